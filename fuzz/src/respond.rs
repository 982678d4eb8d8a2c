//! A client's packet through `server::Responder`: access, zones, policy, cache, and what comes back from an upstream.
//!
//! Input: an octet of switches (1 TCP, 2 a client who may not ask, 4 no policy yet, 8 any octets as the upstream's reply rather than a header
//! made to fit), the packet's length (`u16`), the packet, and behind it the records of an upstream's reply.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, LazyLock};

use cenote::cache::{Answer, Config as CacheConfig, Key, Local, Seed, Shared};
use cenote::feed::{Terms, TextFormat, read_text};
use cenote::index::{Index, Kept, Part, Sorted};
use cenote::metrics::{Outcome as Counted, Shard, Transport};
use cenote::name::Name;
use cenote::policy::{Action, FeedConfig, Garden, Policy, SinkConfig};
use cenote::server::{Access, AccessConfig, Client, Outcome, Responder, Rules};
use cenote::wire::{HEADER_OCTETS, Header, Query, STREAM_OCTETS_MAX, UDP_OCTETS_MAX};
use cenote::zone::{Config as ZonesConfig, ZoneConfig, Zones};
use hickory_proto::op::Message;

use super::{octet, take};

/// When everything happens, milliseconds.
const NOW_MS: u64 = 5_000;
/// A zone of the operator's.
const ZONE: &str = "$TTL 300\n@ SOA ns hostmaster 1 3600 600 86400 60\n@ NS ns\nns A 192.0.2.53\nwww A 192.0.2.80\n\
                    alias CNAME www\n* TXT \"anything\"\nsub NS ns.sub\nns.sub A 192.0.2.54\n";
/// A response policy zone with every action an entry can have.
const RPZ: &str = "$ORIGIN rpz.invalid.\n@ 300 SOA . . 1 3600 600 86400 60\n@ NS .\nnx.test CNAME .\nnodata.test CNAME *.\n\
                   drop.test CNAME rpz-drop.\nlet.bad.test CNAME rpz-passthru.\n*.below.test CNAME .\n";
/// Names to be sunk.
const PLAIN: &str = "bad.test\nnx.bad.test\nwww.example\n";
/// Names that are aliases of a walled garden's.
const WALLED: &str = "walled.test\n";
/// Names to be observed.
const SEEN: &str = "seen.test\nbad.test\n";

/// What every packet is judged by: with a policy, and before there is one.
static RULES: LazyLock<[Rules; 2]> = LazyLock::new(|| {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("corp.zone");
    std::fs::write(&file, ZONE).unwrap();
    let zone = ZoneConfig { apex: Name::from_text(b"corp.example").unwrap(), file };
    let zones = Arc::new(Zones::build(&ZonesConfig { zones: vec![zone], ..ZonesConfig::default() }).unwrap());
    let rules = |policy| Rules::new(1, Access::new(&AccessConfig::default()), Arc::clone(&zones), policy);
    [rules(Some(Arc::new(policy()))), rules(None)]
});

/// An observing feed, one that may allow, one that sinks, one with a walled garden.
fn policy() -> Policy {
    let read = |text: &str, format| read_text(text.as_bytes(), format, &Terms::default()).unwrap().0;
    let feeds = [
        ("seen", SEEN, TextFormat::Plain, Some(Action::Observe), false),
        ("rpz", RPZ, TextFormat::Rpz, None, true),
        ("plain", PLAIN, TextFormat::Plain, None, false),
        ("walled", WALLED, TextFormat::Plain, None, false),
    ];
    let sorted: Vec<Sorted> = feeds.iter().map(|&(_, text, format, ..)| read(text, format)).collect();
    let sources: Vec<_> = feeds.iter().zip(&sorted).map(|(feed, sorted)| (feed.0, 1, Kept::New(sorted))).collect();
    let index = Index::build(&Part::in_order(&sources)).unwrap();
    let garden = SinkConfig { cname: Garden::from_text("*.garden.example"), ..SinkConfig::default() };
    let configs = feeds
        .map(|(name, _, _, action, may_allow)| {
            let sink = (name == "walled").then(|| garden.clone());
            FeedConfig { action, may_allow, sink, ..FeedConfig::plain(name.to_owned()) }
        })
        .to_vec();
    Policy::new([Arc::new(index)], configs)
}

/// A server that has seen nothing yet, and what it is asked.
struct Scene<'d> {
    /// The server.
    responder: Responder,
    /// How the packet comes.
    transport: Transport,
    /// What it is judged by.
    rules: &'static Rules,
    /// Who asks.
    client: Client,
    /// What is asked.
    packet: &'d [u8],
    /// Room for a reply.
    out: Vec<u8>,
}

impl Scene<'_> {
    /// The reply to the packet, checked; `Err` if it is to be forwarded.
    fn respond(&mut self) -> Result<Option<Vec<u8>>, Box<Key>> {
        let before = self.counted();
        let outcome = self.responder.respond(self.rules, self.packet, self.client, NOW_MS, &mut self.out);
        let (reply, counts) = match outcome {
            Outcome::Silence => (Ok(None), 1),
            Outcome::Reply(octets) => (Ok(Some(self.out[..octets].to_vec())), 1),
            Outcome::Forward(miss) => (Err(Box::new(miss.key)), 0),
        };
        assert_eq!(self.counted() - before, counts, "each packet ends in one outcome");
        if let Ok(reply) = &reply {
            self.check(reply.as_deref());
        }
        reply
    }

    /// Packets counted.
    fn counted(&self) -> u64 {
        Counted::ALL.iter().map(|&(outcome, _)| self.responder.shard().queries(self.transport, outcome).read()).sum()
    }

    /// What holds of every reply.
    fn check(&self, reply: Option<&[u8]>) {
        let header = Header::read(self.packet);
        let Some(header) = header.filter(|header| !header.is_response()) else {
            assert!(reply.is_none(), "a response, or less than a header, is not answered");
            return;
        };
        let Some(reply) = reply else { return };
        let query = Query::read(header, self.packet).ok();
        let limit = match self.transport {
            Transport::Udp => query.as_ref().map_or(HEADER_OCTETS, Query::udp_octets),
            Transport::Tcp => STREAM_OCTETS_MAX,
        };
        assert!(reply.len() <= limit, "{} octets of at most {limit}", reply.len());
        let got = Header::read(reply).unwrap();
        assert!(got.is_response() && (got.id, got.opcode()) == (header.id, header.opcode()));
        assert_eq!(got.recursion_desired(), header.recursion_desired());
        let Some(query) = query else {
            assert_eq!((reply.len(), got.counts), (HEADER_OCTETS, [0; 4]), "no question to echo");
            return;
        };
        assert_eq!(got.counts[0], 1);
        assert_eq!(reply.get(HEADER_OCTETS..HEADER_OCTETS + query.question.len()), Some(query.question));
    }
}

/// Answers the packet, hands in an upstream's reply if one is wanted, and asks again.
pub fn run(data: &[u8]) {
    let mut rest = data;
    let switches = octet(&mut rest);
    let length = usize::from(u16::from_be_bytes([octet(&mut rest), octet(&mut rest)]));
    let packet = take(&mut rest, length);
    let transport = if switches & 1 == 0 { Transport::Udp } else { Transport::Tcp };
    let room = if transport == Transport::Udp { UDP_OCTETS_MAX } else { STREAM_OCTETS_MAX };
    let config = CacheConfig::default();
    let shared = Arc::new(Shared::new(&config));
    let mut scene = Scene {
        responder: Responder::new(
            transport,
            Arc::new(Shard::default()),
            Local::new(&config),
            Arc::clone(&shared),
            Seed::new([1, 2]),
        ),
        transport,
        rules: &RULES[usize::from(switches >> 2 & 1)],
        client: Client::direct(
            IpAddr::V4(if switches & 2 == 0 { Ipv4Addr::LOCALHOST } else { Ipv4Addr::new(192, 0, 2, 1) }),
            0,
        ),
        packet,
        out: vec![0; room],
    };
    let key = match scene.respond() {
        Ok(reply) => {
            if let Some(reply) = &reply {
                parse(reply, packet);
            }
            assert_eq!(scene.respond().ok(), Some(reply), "the same packet, the same answer");
            return;
        }
        Err(key) => key,
    };
    assert!(scene.respond().is_err(), "not answered yet");
    let upstream = upstream_reply(packet, rest, switches & 8 != 0);
    let Ok(answer) = Answer::from_reply(&upstream, NOW_MS, &config).map(Arc::new) else { return };
    scene.responder.keep(&key, &answer, NOW_MS);
    let settled = scene.responder.settle(
        transport,
        scene.client,
        scene.rules,
        packet,
        &Ok(Arc::clone(&answer)),
        NOW_MS,
        &mut scene.out,
    );
    let settled = settled.map(|octets| scene.out[..octets].to_vec());
    scene.check(settled.as_deref());
    if let (Some(settled), Ok(_)) = (&settled, Message::from_vec(&upstream)) {
        parse(settled, packet);
    }
    match scene.respond() {
        Ok(again) => assert_eq!(again, settled, "from the cache as when it came"),
        Err(_) => assert!(!answer.is_fresh(NOW_MS), "kept, and not found"),
    }
}

/// hickory reads the reply, and finds an OPT in it if there was one in the query.
fn parse(reply: &[u8], packet: &[u8]) {
    let message = Message::from_vec(reply).unwrap();
    let query = Header::read(packet).and_then(|header| Query::read(header, packet).ok());
    assert_eq!(message.edns.is_some(), query.is_some_and(|query| query.edns.is_some()), "RFC 6891 §7");
}

/// A reply to `packet` from an upstream: `rest`, behind a header and question that fit unless it is to be taken as it is.
fn upstream_reply(packet: &[u8], rest: &[u8], as_it_is: bool) -> Vec<u8> {
    if as_it_is {
        return rest.to_vec();
    }
    let mut rest = rest;
    let header = Header::read(packet).unwrap();
    let question = Query::read(header, packet).unwrap().question;
    let (rcode, counts) = (octet(&mut rest), take(&mut rest, 3));
    let mut reply = packet[..HEADER_OCTETS].to_vec();
    (reply[2], reply[3]) = (0x81, rcode);
    for section in 0..3 {
        (reply[6 + 2 * section], reply[7 + 2 * section]) = (0, counts.get(section).copied().unwrap_or_default());
    }
    reply.extend_from_slice(question);
    reply.extend_from_slice(rest);
    reply
}
