//! Octets as an upstream's reply: through `forward::Forward` after a query was sent, and through `cache::Answer`.
//!
//! Input: an octet of what is made good (1 the id, 2 the question, 4 QR and opcode, 8 they come from another socket first), an octet for the
//! question (type, DO, CD, OPT, which name), then the reply.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use cenote::cache::{Answer, Config as CacheConfig, Key, Seed};
use cenote::forward::{Config, Effect, Failure, Forward, TcpFailed};
use cenote::wire::{HEADER_OCTETS, Header, Query, Records, STREAM_OCTETS_MAX, Section, read_question, rtype};
use hickory_proto::op::Message;
use hickory_proto::rr::{RData, Record};
use rand::SeedableRng;
use rand::rngs::StdRng;

use super::octet;

/// When the query is sent, milliseconds.
const NOW_MS: u64 = 1_000_000;
/// How long the cache keeps an answer at most, seconds.
const TTL_MAX_SECS: u32 = 3600;
/// More steps than any flight can take: each try ends in a reply or a timer, and there are few.
const STEPS_MAX: usize = 100;

/// What comes back for every query.
struct Upstream<'d> {
    /// What is made good.
    switches: u8,
    /// The octets.
    octets: &'d [u8],
}

impl Upstream<'_> {
    /// The reply to `query`.
    fn reply(&self, query: &[u8]) -> Vec<u8> {
        let mut reply = self.octets.to_vec();
        if reply.len() < HEADER_OCTETS {
            return reply;
        }
        if self.switches & 1 != 0 {
            reply[..2].copy_from_slice(&query[..2]);
        }
        if self.switches & 4 != 0 {
            reply[2] = reply[2] & 0x07 | 0x80;
        }
        if self.switches & 2 != 0 {
            let asked = Query::read(Header::read(query).unwrap(), query).unwrap().question;
            let end = read_question(&reply).map_or(HEADER_OCTETS, |question| question.octets.end);
            reply[4..6].copy_from_slice(&[0, 1]);
            reply.splice(HEADER_OCTETS..end, asked.iter().copied());
        }
        reply.truncate(STREAM_OCTETS_MAX);
        reply
    }
}

/// A client's query.
fn client_query(choice: u8) -> Vec<u8> {
    let name: &[u8] = if choice & 0x80 == 0 { b"\x03wWw\x07example\0" } else { b"\0" };
    let qtype = [rtype::A, rtype::AAAA, rtype::CNAME, rtype::SOA, rtype::HTTPS, rtype::TXT, rtype::NS, 43]
        [usize::from(choice & 7)];
    let [opt, checking_disabled, dnssec_ok] = [choice >> 3 & 1, choice >> 4 & 1, choice >> 5 & 1];
    let mut query = vec![0xab, 0xcd, 1, checking_disabled << 4, 0, 1, 0, 0, 0, 0, 0, opt];
    query.extend_from_slice(name);
    query.extend_from_slice(&qtype.to_be_bytes());
    query.extend_from_slice(&[0, 1]);
    if opt == 1 {
        query.extend_from_slice(&[0, 0, 41, 4, 0xd0, 0, 0, dnssec_ok << 7, 0, 0, 0]);
    }
    query
}

/// Asks, lets every query be answered with the octets, waits until the flight has ended, and writes what came of it.
pub fn run(data: &[u8]) {
    let mut octets = data;
    let (switches, choice) = (octet(&mut octets), octet(&mut octets));
    let cache = CacheConfig { ttl_max_secs: TTL_MAX_SECS, ..CacheConfig::default() };
    let client = client_query(choice);
    let query = Query::read(Header::read(&client).unwrap(), &client).unwrap();
    let upstream = Upstream { switches, octets };

    let fitting = Upstream { switches: switches | 7, octets }.reply(&client);
    if let Ok(answer) = Answer::from_reply(&fitting, NOW_MS, &cache) {
        check_answer(&answer, &fitting, &query);
    }
    let (result, reply) = fly(&upstream, Key::of(&query, 0, &Seed::new([1, 2])), &cache);
    if let (Ok(answer), Some(reply)) = (result, reply) {
        assert!(matches!(answer.rcode(), 0 | 3), "code {} is nobody's answer", answer.rcode());
        check_answer(&answer, &reply, &query);
    }
}

/// Flies one query to its end: what came of it, and the last reply that was handed in.
fn fly(upstream: &Upstream<'_>, key: Key, cache: &CacheConfig) -> (Result<Arc<Answer>, Failure>, Option<Vec<u8>>) {
    let servers = vec![SocketAddr::from((Ipv4Addr::LOCALHOST, 53)); 2];
    let config = Config { servers, ..Config::default() };
    let mut forward = Forward::new(config, cache.clone(), 4, StdRng::seed_from_u64(7));
    let mut effects = Vec::new();
    let mut now_ms = NOW_MS;
    forward.on_query(key, (), now_ms, &mut effects).unwrap();
    let (mut reply, mut ended) = (None, None);
    for _ in 0..STEPS_MAX {
        if effects.is_empty() {
            let Some(deadline_ms) = forward.next_deadline_ms() else { break };
            assert!(deadline_ms > now_ms, "time goes on");
            now_ms = deadline_ms;
            forward.on_tick(now_ms, &mut effects);
        }
        for effect in std::mem::take(&mut effects) {
            match effect {
                Effect::SendUdp { upstream: whose, socket, packet } => {
                    let octets = upstream.reply(packet.as_bytes());
                    if upstream.switches & 8 != 0 {
                        forward.on_udp_reply(whose, (socket + 1) % 4, &octets, now_ms, &mut effects);
                    }
                    forward.on_udp_reply(whose, socket, &octets, now_ms, &mut effects);
                    reply = Some(octets);
                }
                Effect::SendTcp { slot, packet, .. } => {
                    let octets = upstream.reply(packet.as_bytes());
                    let came = if octets.is_empty() { Err(TcpFailed::NoReply) } else { Ok(octets.as_slice()) };
                    forward.on_tcp_reply(slot, came, now_ms, &mut effects);
                    reply = Some(octets);
                }
                Effect::Done { waiters, result, .. } => {
                    assert_eq!(waiters.len(), 1);
                    assert!(ended.replace(result).is_none(), "a flight ends once");
                }
                Effect::RenewSocket { .. } | Effect::Note { .. } => {}
            }
        }
    }
    assert_eq!((forward.in_flight(), forward.next_deadline_ms()), (0, None), "the flight has ended");
    (ended.unwrap(), reply)
}

/// What holds of an answer made of `reply` to `query`.
fn check_answer(answer: &Answer, reply: &[u8], query: &Query<'_>) {
    assert!(answer.lifetime_secs() <= TTL_MAX_SECS);
    assert!(answer.size_bytes() <= size_of::<Answer>() + 2 * reply.len() + 32 * 255 + 512, "it may not grow far");
    let other_ttls = with_other_ttls(reply);
    let walks = walks(&other_ttls);
    let oracle = Message::from_vec(reply).ok().filter(|message| {
        Message::from_vec(&other_ttls).is_ok_and(|other| bare(&other.answers) == bare(&message.answers))
    });
    let mut out = vec![0; STREAM_OCTETS_MAX];
    for (later_secs, limit) in [(0, STREAM_OCTETS_MAX), (0, 1232), (100, 512)] {
        let Some(written) = answer.write(query, NOW_MS + later_secs * 1000, &mut out, limit) else {
            panic!("not even the question fits in {limit}");
        };
        let octets = &out[..written.octets];
        assert!(octets.len() <= limit);
        assert_eq!(octets[HEADER_OCTETS..HEADER_OCTETS + query.question.len()], *query.question);
        let question = read_question(octets).unwrap();
        let mut records = 0;
        for record in Records::after(octets, &question) {
            records += 1;
            let record = match record {
                Ok(record) => record,
                Err(error) if walks => panic!("what could be walked no longer can: {error}"),
                Err(_) => break,
            };
            assert!(record.rtype == rtype::OPT || record.ttl <= TTL_MAX_SECS, "a TTL of {} s", record.ttl);
        }
        if written.truncated {
            assert!(records <= 1, "nothing but an OPT");
            continue;
        }
        if let Some(oracle) = &oracle {
            let message = Message::from_vec(octets).unwrap();
            assert_eq!(bare(&oracle.answers), bare(&message.answers));
            assert_eq!(bare(&oracle.authorities), bare(&message.authorities));
        }
    }
    assert!(answer.targets().count() <= usize::from(answer.count(Section::Answer)));
}

/// Whether all records of `message` can be walked.
fn walks(message: &[u8]) -> bool {
    read_question(message).is_ok_and(|question| Records::after(message, &question).all(|record| record.is_ok()))
}

/// The same message with other TTLs. A name that is made of a TTL's octets is another name there, or none: of messages with such names nothing
/// can be asked, since a cache must change TTLs.
fn with_other_ttls(message: &[u8]) -> Vec<u8> {
    let mut other = message.to_vec();
    let Ok(question) = read_question(message) else { return other };
    for record in Records::after(message, &question).flatten().filter(|record| record.rtype != rtype::OPT) {
        other[record.ttl_at..record.ttl_at + 4].fill(0xff);
    }
    other
}

/// Records without their TTLs.
fn bare(records: &[Record]) -> Vec<(String, u16, u16, RData)> {
    let bare = |record: &Record| {
        let name = record.name.to_lowercase().to_ascii();
        (name, u16::from(record.dns_class), u16::from(record.record_type()), record.data.clone())
    };
    records.iter().map(bare).collect()
}
