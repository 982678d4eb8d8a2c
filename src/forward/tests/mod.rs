//! A table or a scene for each rule of the forwarder.

mod on_shares;
mod on_tcp;

use std::net::{Ipv4Addr, SocketAddr};

use rand::SeedableRng;
use rand::rngs::StdRng;

use super::*;
use crate::cache;
use crate::cache::testing::{address_reply, key_in, opt, query, read, reply};
use crate::wire::rtype;

/// What one who waits is said to take.
const WAITER_OCTETS: usize = 200;

/// How a query was sent.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Via {
    Udp(u16),
    Tcp(Slot),
}

/// A query that was sent.
#[derive(Debug, Clone)]
struct Sent {
    upstream: usize,
    via: Via,
    octets: Vec<u8>,
}

impl Sent {
    fn is_tcp(&self) -> bool {
        matches!(self.via, Via::Tcp(_))
    }

    /// The question's name as it was sent.
    fn name(&self) -> Vec<u8> {
        read(&self.octets).qname.wire().to_vec()
    }
}

/// A waiter's number says whose it is: a thousand are one client's, a million one tenant's.
impl Waiting for u32 {
    fn share(&self) -> Share {
        Share { tenant: u16::try_from(self / 1_000_000).unwrap(), client: u64::from(self / 1000) }
    }

    fn octets(&self) -> usize {
        WAITER_OCTETS
    }
}

/// What one event led to.
struct Outcome(Vec<Effect<u32>>);

impl Outcome {
    fn sent(&self) -> Vec<Sent> {
        let sent = |effect: &Effect<u32>| match effect {
            Effect::SendUdp { upstream, socket, packet } => Some((*upstream, Via::Udp(*socket), packet.clone())),
            Effect::SendTcp { upstream, slot, packet, .. } => Some((*upstream, Via::Tcp(*slot), packet.clone())),
            _ => None,
        };
        let sent = self.0.iter().filter_map(sent);
        sent.map(|(upstream, via, packet)| Sent { upstream, via, octets: packet.as_bytes().to_vec() }).collect()
    }

    /// The only query that was sent; nobody was answered.
    fn one(&self) -> Sent {
        let sent = self.sent();
        assert!(sent.len() == 1 && self.done().is_empty(), "one query and no answer expected: {:?}", self.0);
        sent[0].clone()
    }

    fn done(&self) -> Vec<(Vec<u32>, Result<u16, Failure>)> {
        let done = |effect: &Effect<u32>| match effect {
            Effect::Done { waiters, result, .. } => Some((
                waiters.clone(),
                result.as_ref().map_or_else(|failure| Err(*failure), |answer| Ok(answer.rcode())),
            )),
            _ => None,
        };
        self.0.iter().filter_map(done).collect()
    }

    /// What the only flight that ended came to; nothing was sent.
    fn end(&self) -> Result<u16, Failure> {
        let done = self.done();
        assert!(done.len() == 1 && self.sent().is_empty(), "one end and no query expected: {:?}", self.0);
        done[0].1
    }

    fn counts(&self, event: Event) -> usize {
        self.0.iter().filter(|effect| matches!(effect, Effect::Note { event: noted, .. } if *noted == event)).count()
    }
}

/// The server at a place of the configuration.
fn server(place: usize) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, 1000 + u16::try_from(place).unwrap()))
}

/// A forwarder and its time.
struct Rig {
    forward: Forward<u32>,
    now_ms: u64,
    waiters: u32,
}

impl Rig {
    fn new(servers: usize) -> Self {
        Self::with(servers, |_| {})
    }

    fn with(servers: usize, change: impl FnOnce(&mut Config)) -> Self {
        let mut config = Config { servers: (0..servers).map(server).collect(), ..Config::default() };
        change(&mut config);
        let forward = Forward::new(config, cache::Config::default(), 4, StdRng::seed_from_u64(7));
        Self { forward, now_ms: 1_000_000, waiters: 0 }
    }

    /// `groups` beside the unnamed one, by places among `servers` servers.
    fn grouped(servers: usize, groups: &[&[usize]]) -> Self {
        let groups = groups.iter().enumerate().map(|(number, places)| {
            let servers = places.iter().map(|&place| server(place)).collect();
            Group { name: format!("g{number}"), servers }
        });
        Self::with(servers, |config| config.groups = groups.collect())
    }

    fn try_ask_in(&mut self, group: u16, name: u16) -> Result<Outcome, Refused<u32>> {
        self.waiters += 1;
        self.try_ask_as(self.waiters, group, name)
    }

    fn try_ask_as(&mut self, waiter: u32, group: u16, name: u16) -> Result<Outcome, Refused<u32>> {
        let mut effects = Vec::new();
        self.forward.on_query(key_in(&query(name), group), waiter, self.now_ms, &mut effects)?;
        Ok(Outcome(effects))
    }

    fn ask_in(&mut self, group: u16, name: u16) -> Outcome {
        self.try_ask_in(group, name).unwrap()
    }

    fn try_ask(&mut self, name: u16) -> Result<Outcome, Refused<u32>> {
        self.try_ask_in(0, name)
    }

    fn ask(&mut self, name: u16) -> Outcome {
        self.try_ask(name).unwrap()
    }

    /// Hands `octets` in as what came back for `sent`.
    fn answer(&mut self, sent: &Sent, octets: &[u8]) -> Outcome {
        let mut effects = Vec::new();
        match sent.via {
            Via::Udp(socket) => self.forward.on_udp_reply(sent.upstream, socket, octets, self.now_ms, &mut effects),
            Via::Tcp(slot) => self.forward.on_tcp_reply(slot, Ok(octets), self.now_ms, &mut effects),
        }
        Outcome(effects)
    }

    /// Answers `sent` with one address.
    fn resolve(&mut self, sent: &Sent) -> Outcome {
        self.answer(sent, &address_reply(&sent.octets, &[1], 60))
    }

    fn fail(&mut self, sent: &Sent) -> Outcome {
        let mut effects = Vec::new();
        match sent.via {
            Via::Udp(socket) => self.forward.on_udp_error(sent.upstream, socket, self.now_ms, &mut effects),
            Via::Tcp(slot) => self.forward.on_tcp_reply(slot, Err(TcpFailed::NoReply), self.now_ms, &mut effects),
        }
        Outcome(effects)
    }

    /// Answers `sent` with TC.
    fn truncate(&mut self, sent: &Sent) -> Outcome {
        self.answer(sent, &changed(&sent.octets, 2, |octet| octet | 0x82))
    }

    /// Goes to the next deadline and ticks; how long that was.
    fn wait(&mut self) -> (u64, Outcome) {
        let then_ms = self.forward.next_deadline_ms().unwrap();
        let waited_ms = then_ms - self.now_ms;
        self.now_ms = then_ms;
        let mut effects = Vec::new();
        self.forward.on_tick(self.now_ms, &mut effects);
        (waited_ms, Outcome(effects))
    }

    /// Asks a new name of upstream 0 and lets the try time out, `count` times; each is then resolved by whoever is asked next.
    fn time_out(&mut self, names: std::ops::Range<u16>) {
        for name in names {
            assert_eq!(self.ask(name).one().upstream, 0, "{name}");
            let next = self.wait().1.one();
            assert_eq!(self.resolve(&next).end(), Ok(0));
        }
    }
}

/// A reply to `sent` with this code and an OPT, with an EDE if given.
fn coded(sent: &Sent, rcode: u8, ede: Option<u16>) -> Vec<u8> {
    reply(&sent.octets, rcode, [&[], &[], &[]], &opt(0, ede), 1)
}

/// A right reply, its question's letters small.
fn small_letters(sent: &Sent, addresses: &[u32]) -> Vec<u8> {
    let mut octets = address_reply(&sent.octets, addresses, 60);
    octets[12..12 + 15].make_ascii_lowercase();
    octets
}

/// `octets` with one octet changed.
fn changed(octets: &[u8], at: usize, change: impl Fn(u8) -> u8) -> Vec<u8> {
    let mut octets = octets.to_vec();
    octets[at] = change(octets[at]);
    octets
}

#[test]
fn who_asks_the_same_waits_together() {
    let mut rig = Rig::new(1);
    let sent = rig.ask(1).one();
    let joined = rig.ask(1);
    assert!(joined.sent().is_empty());
    assert_eq!((joined.counts(Event::Coalesced), rig.forward.in_flight()), (1, 1));
    let other = rig.ask(2).one();
    assert_ne!(other.octets[..2], sent.octets[..2]);
    rig.now_ms += 3;
    let end = rig.resolve(&sent);
    assert_eq!(end.done(), [(vec![1, 2], Ok(0))]);
    assert_eq!(end.counts(Event::Reply { micros: 3000 }), 1);
    assert_eq!((rig.forward.in_flight(), rig.forward.ids_out()), (1, 1));
    assert_eq!(rig.resolve(&other).done(), [(vec![3], Ok(0))]);
    assert_eq!((rig.forward.in_flight(), rig.forward.ids_out(), rig.forward.next_deadline_ms()), (0, 0, None));
    assert_eq!(rig.ask(1).sent().len(), 1, "a new flight");
}

#[test]
fn what_is_not_believed_changes_nothing() {
    let mut rig = Rig::new(2);
    let sent = rig.ask(1).one();
    let right = address_reply(&sent.octets, &[1], 60);
    let Via::Udp(socket) = sent.via else { panic!("UDP first") };
    let elsewhere = |upstream, socket| Sent { upstream, via: Via::Udp(socket), octets: vec![] };
    for (why, from, octets) in [
        ("a query", &sent, changed(&right, 2, |octet| octet & 0x7f)),
        ("a query with TC", &sent, changed(&sent.octets, 2, |octet| octet | 2)),
        ("another opcode", &sent, changed(&right, 2, |octet| octet | 0x20)),
        ("another id", &sent, changed(&right, 1, |octet| octet ^ 1)),
        ("another name", &sent, changed(&right, 15, |octet| octet ^ 1)),
        ("another type", &sent, changed(&right, 28, |octet| octet ^ 1)),
        ("another class", &sent, changed(&right, 30, |octet| octet ^ 2)),
        ("two questions", &sent, changed(&right, 5, |_| 2)),
        ("records missing", &sent, changed(&right, 7, |_| 2)),
        ("cut", &sent, right[..right.len() - 1].to_vec()),
        ("a header", &sent, right[..12].to_vec()),
        ("FORMERR of a header and more", &sent, [&changed(&right, 3, |_| 0x81)[..12], b"x"].concat()),
        ("nothing", &sent, vec![]),
        ("another socket", &elsewhere(0, (socket + 1) % 4), right.clone()),
        ("another upstream", &elsewhere(1, socket), right.clone()),
        ("no socket of ours", &elsewhere(0, 99), right.clone()),
    ] {
        let outcome = rig.answer(from, &octets);
        assert!(outcome.sent().is_empty() && outcome.done().is_empty(), "{why}");
        assert_eq!(outcome.counts(Event::Rejected), 1, "{why}");
    }
    let outcome = rig.answer(&elsewhere(9, 0), &right);
    assert!(outcome.0.is_empty(), "no upstream of ours");
    assert_eq!(rig.resolve(&sent).end(), Ok(0));
    assert_eq!(rig.resolve(&sent).counts(Event::Rejected), 1, "a doubled reply");
}

#[test]
fn other_letters_are_asked_again_over_tcp() {
    let mut rig = Rig::new(2);
    for name in 0..3 {
        let sent = rig.ask(name).one();
        assert_ne!(sent.name(), sent.name().to_ascii_lowercase());
        let again = rig.answer(&sent, &small_letters(&sent, &[1])).one();
        assert_eq!((again.upstream, again.is_tcp()), (0, true));
        assert_eq!(rig.answer(&sent, &address_reply(&sent.octets, &[1], 60)).counts(Event::Rejected), 1, "UDP is over");
        assert_eq!(rig.answer(&again, &small_letters(&again, &[1])).end(), Ok(0));
    }
    let small = rig.ask(4).one();
    assert_eq!(small.name(), small.name().to_ascii_lowercase(), "0x20 rests after three confirmed");
    assert_eq!(rig.resolve(&small).end(), Ok(0));
}

#[test]
fn what_tcp_does_not_confirm_is_no_doubt() {
    let mut rig = Rig::new(1);
    for name in 0..9 {
        let sent = rig.ask(name).one();
        let again = rig.answer(&sent, &small_letters(&sent, &[1, 2])).one();
        assert_eq!(rig.resolve(&again).end(), Ok(0));
    }
    assert_ne!(rig.ask(10).one().name(), b"\x06n00010\x07example\0");
    let mut off = Rig::with(1, |config| config.randomize_case = false);
    assert_eq!(off.ask(10).one().name(), b"\x06n00010\x07example\0");
}

#[test]
fn one_who_knows_no_edns_is_asked_without() {
    let header_alone = |sent: &Sent, rcode: u8| {
        let mut octets = sent.octets[..12].to_vec();
        (octets[2], octets[3], octets[5], octets[11]) = (0x81, 0x80 | rcode, 0, 0);
        octets
    };
    for rcode in [1, 4] {
        for alone in [true, false] {
            let mut rig = Rig::new(2);
            let sent = rig.ask(1).one();
            assert!(read(&sent.octets).edns.is_some());
            let refusal = |sent: &Sent| reply(&sent.octets[..], rcode, [&[], &[], &[]], &[], 0);
            let octets = if alone { header_alone(&sent, rcode) } else { changed(&refusal(&sent), 11, |_| 0) };
            let plain = rig.answer(&sent, &octets).one();
            assert!(plain.upstream == 0 && !plain.is_tcp() && read(&plain.octets).edns.is_none(), "{rcode} {alone}");
            let next = rig.answer(&plain, &refusal(&plain)).one();
            assert!(next.upstream == 1 && read(&next.octets).edns.is_some(), "only once: {rcode} {alone}");
        }
        let mut rig = Rig::new(2);
        let sent = rig.ask(1).one();
        assert_eq!(rig.answer(&sent, &coded(&sent, rcode, None)).one().upstream, 1, "it knows EDNS: {rcode}");
    }
}

#[test]
fn an_error_is_asked_of_the_next() {
    for rcode in [2, 5, 9] {
        let mut rig = Rig::new(3);
        let sent = rig.ask(1).one();
        let next = rig.answer(&sent, &coded(&sent, rcode, None)).one();
        let last = rig.answer(&next, &coded(&next, 2, Some(9))).one();
        assert_eq!([sent.upstream, next.upstream, last.upstream], [0, 1, 2]);
        assert_eq!(
            rig.answer(&last, &coded(&last, 2, Some(7))).end(),
            Err(Failure::Upstream(Some(Ede(9)))),
            "the first EDE"
        );
        assert_eq!((rig.forward.ids_out(), rig.forward.next_deadline_ms()), (0, None));
    }
    let mut rig = Rig::new(2);
    let sent = rig.ask(1).one();
    let next = rig.answer(&sent, &coded(&sent, 2, None)).one();
    assert_eq!(rig.resolve(&next).end(), Ok(0));
}

#[test]
fn truth_ends_the_search() {
    for (rcode, records) in [(3, 0), (0, 0), (0, 1)] {
        let mut rig = Rig::new(2);
        let sent = rig.ask(1).one();
        let answers = vec![(rtype::A, 60, &[192, 0, 2, 1][..]); records];
        let octets = reply(&sent.octets, rcode, [&answers, &[], &[]], &[], 0);
        assert_eq!(rig.answer(&sent, &changed(&octets, 11, |_| 0)).end(), Ok(u16::from(rcode)));
    }
}

#[test]
fn silence_goes_round_until_the_budget_ends() {
    for (servers, want) in [(1, [0, 0, 0, 0]), (2, [0, 1, 0, 1]), (5, [0, 1, 2, 3])] {
        let mut rig = Rig::new(servers);
        let mut tries = vec![rig.ask(1).one()];
        for _ in 0..3 {
            let (waited_ms, outcome) = rig.wait();
            assert_eq!((waited_ms, outcome.counts(Event::Timeout)), (800, 1));
            tries.push(outcome.one());
        }
        assert_eq!(tries.iter().map(|sent| sent.upstream).collect::<Vec<_>>(), want);
        let ids: std::collections::HashSet<_> = tries.iter().map(|sent| sent.octets[..2].to_vec()).collect();
        assert_eq!(ids.len(), 4, "each has its own id");
        let (waited_ms, outcome) = rig.wait();
        assert_eq!((waited_ms, outcome.end()), (100, Err(Failure::Timeout)));
        assert_eq!(outcome.counts(Event::Timeout), 0, "100 ms say nothing of the upstream");
        assert_eq!((rig.forward.in_flight(), rig.forward.ids_out(), rig.forward.next_deadline_ms()), (0, 0, None));
    }
}

#[test]
fn a_late_reply_to_an_earlier_try_is_believed() {
    let mut rig = Rig::new(2);
    let first = rig.ask(1).one();
    let second = rig.wait().1.one();
    assert!(
        rig.answer(&first, &coded(&first, 2, None)).sent().is_empty(),
        "an error of an earlier try changes nothing"
    );
    assert_eq!(rig.resolve(&first).counts(Event::Rejected), 1, "it has had its reply");
    assert_eq!(rig.resolve(&second).end(), Ok(0));
    let first = rig.ask(2).one();
    rig.wait().1.one();
    assert_eq!(rig.resolve(&first).end(), Ok(0));
    assert_eq!(rig.forward.ids_out(), 0);
}

#[test]
fn who_is_silent_rests_and_is_probed_by_one_query() {
    let mut rig = Rig::new(2);
    rig.time_out(0..3);
    for name in 10..20 {
        let sent = rig.ask(name).one();
        assert_eq!(sent.upstream, 1, "passed over");
        rig.resolve(&sent).end().unwrap();
    }
    rig.now_ms += 1250;
    let probe = rig.ask(20).one();
    let beside = rig.ask(21).one();
    assert_eq!((probe.upstream, beside.upstream), (0, 1), "one query probes");
    let next = rig.wait().1.sent();
    assert!(next.iter().all(|sent| sent.upstream == 1 || sent.name() == beside.name()));
    assert_eq!(rig.ask(22).one().upstream, 1, "it rests again");
    rig.now_ms += 2500;
    let probe = rig.ask(23).one();
    assert_eq!(probe.upstream, 0);
    rig.resolve(&probe).end().unwrap();
    assert_eq!(rig.ask(24).one().upstream, 0, "recovered");
}

#[test]
fn when_all_rest_they_are_asked_all_the_same() {
    let mut rig = Rig::new(1);
    for name in 0..3 {
        rig.ask(name);
        while rig.forward.in_flight() > 0 {
            rig.wait();
        }
    }
    let sent = rig.ask(9).one();
    assert_eq!(rig.resolve(&sent).end(), Ok(0));
}

#[test]
fn a_flood_of_wrong_replies_moves_the_try_to_tcp() {
    let mut rig = Rig::new(2);
    let sent = rig.ask(1).one();
    let mut moved = Vec::new();
    for guess in 0..1000_u16 {
        let mut forged = address_reply(&sent.octets, &[666], 60);
        let id = u16::from_be_bytes([forged[0], forged[1]]) ^ (guess + 1);
        forged[..2].copy_from_slice(&id.to_be_bytes());
        let outcome = rig.answer(&sent, &forged);
        assert!(outcome.done().is_empty());
        moved.extend(outcome.sent().into_iter().map(|sent| (guess, sent)));
    }
    let [(guess, again)] = &moved[..] else { panic!("moved once, not {}", moved.len()) };
    assert!((16..64).contains(guess) && again.upstream == 0 && again.is_tcp());
    assert_eq!(rig.resolve(&sent).counts(Event::Rejected), 1, "UDP is not believed any more");
    assert_eq!(rig.resolve(again).end(), Ok(0));
}

#[test]
fn a_closed_port_and_a_failed_connection_go_to_the_next() {
    let mut rig = Rig::new(2);
    let sent = rig.ask(1).one();
    let next = rig.fail(&sent).one();
    assert_eq!(next.upstream, 1);
    let again = rig.answer(&next, &changed(&next.octets, 2, |octet| octet | 0x82)).one();
    assert!(again.is_tcp());
    assert_eq!(rig.fail(&again).end(), Err(Failure::Network));
    assert!(rig.fail(&again).0.is_empty(), "a slot that is over");
    let outcome = rig.fail(&sent);
    assert!(outcome.counts(Event::Error) == 1 && outcome.0.len() == 1, "nobody waits there");
    assert_eq!(rig.forward.ids_out(), 0);
}

#[test]
fn closed_ports_make_an_upstream_rest_too() {
    let mut rig = Rig::new(2);
    for name in 0..3 {
        let sent = rig.ask(name).one();
        let next = rig.fail(&sent).one();
        rig.resolve(&next).end().unwrap();
    }
    assert_eq!(rig.ask(9).one().upstream, 1);
}

#[test]
fn a_worn_socket_is_renewed_before_it_is_used() {
    let mut rig = Rig::new(1);
    rig.now_ms += 60_000;
    let sent = rig.ask(1);
    let Via::Udp(used) = sent.one().via else { panic!("UDP first") };
    assert!(matches!(sent.0[0], Effect::RenewSocket { upstream: 0, socket } if socket == used), "{:?}", sent.0);
    assert!(matches!(sent.0[1], Effect::SendUdp { .. }));
}

#[test]
fn waiters_room_is_used_again() {
    let mut rig = Rig::new(1);
    let sent = rig.ask(1).one();
    let end = rig.resolve(&sent);
    let Some(Effect::Done { mut waiters, .. }) = end.0.into_iter().find(|effect| matches!(effect, Effect::Done { .. }))
    else {
        panic!("an end")
    };
    waiters.reserve(777);
    rig.forward.recycle(waiters);
    let sent = rig.ask(2).one();
    let end = rig.resolve(&sent);
    assert!(end.0.iter().any(|effect| matches!(effect, Effect::Done { waiters, .. } if waiters.capacity() >= 777)));
}

#[test]
fn a_group_has_its_own_order_and_no_others_are_asked() {
    for (group, want) in [(0, [0, 1, 2, 0]), (1, [2, 0, 2, 0]), (2, [3, 3, 3, 3])] {
        let mut rig = Rig::grouped(3, &[&[2, 0], &[3]]);
        let mut tries = vec![rig.ask_in(group, 1).one().upstream];
        tries.extend((0..3).map(|_| rig.wait().1.one().upstream));
        assert_eq!(tries, want, "silence, group {group}");
    }
    let mut rig = Rig::grouped(3, &[&[2, 0]]);
    let first = rig.ask_in(1, 1).one();
    let second = rig.answer(&first, &coded(&first, 2, None)).one();
    assert_eq!([first.upstream, second.upstream], [2, 0]);
    let end = rig.answer(&second, &coded(&second, 2, None)).end();
    assert_eq!(end, Err(Failure::Upstream(None)), "the third is not of this group");
}

#[test]
fn the_health_of_a_shared_upstream_is_shared() {
    let mut rig = Rig::grouped(2, &[&[0, 2], &[1]]);
    rig.time_out(0..3);
    assert_eq!(rig.ask_in(1, 10).one().upstream, 2, "what rests for one group rests for the other");
    assert_eq!(rig.ask_in(2, 10).one().upstream, 1);
    rig.now_ms += 1250;
    let probe = rig.ask_in(1, 11).one();
    assert_eq!(probe.upstream, 0);
    assert_eq!(rig.ask(12).one().upstream, 1, "one query of all groups probes");
    rig.resolve(&probe).end().unwrap();
    assert_eq!(rig.ask(13).one().upstream, 0, "recovered for both");
}

#[test]
fn the_same_question_of_two_groups_is_two_flights() {
    let mut rig = Rig::grouped(1, &[&[0], &[0, 1]]);
    let asked = [rig.ask_in(0, 1).one(), rig.ask_in(1, 1).one(), rig.ask_in(2, 1).one()];
    assert!(asked.iter().all(|sent| sent.upstream == 0) && rig.forward.in_flight() == 3);
    assert_eq!(rig.ask_in(1, 1).counts(Event::Coalesced), 1);
    for (group, (sent, waiters)) in (0..).zip(asked.iter().zip([vec![1], vec![2, 4], vec![3]])) {
        let outcome = rig.resolve(sent);
        assert_eq!(outcome.done(), [(waiters, Ok(0))]);
        let key = outcome.0.iter().find_map(|effect| match effect {
            Effect::Done { key, .. } => Some(key.clone()),
            _ => None,
        });
        assert!(key == Some(key_in(&query(1), group)), "kept for group {group}");
    }
}

#[test]
fn of_no_group_and_of_an_empty_one_nobody_is_asked() {
    let mut rig = Rig::grouped(1, &[&[]]);
    for (waiter, group) in [(1, 1), (2, 2), (3, u16::MAX)] {
        assert_eq!(rig.try_ask_in(group, 1).map(|_| ()), Err(Refused::NoUpstream { waiter }));
    }
    let mut rig = Rig::grouped(0, &[&[0]]);
    assert!(rig.try_ask(1).is_err());
    assert_eq!(rig.ask_in(1, 1).one().upstream, 0, "a group does not need the unnamed one");
}

#[test]
fn the_last_upstream_there_can_be_is_given_up_like_any_other() {
    let places: Vec<usize> = (0..UPSTREAMS_MAX).collect();
    let groups: Vec<&[usize]> = places.chunks(GROUP_SERVERS_MAX).collect();
    let mut rig = Rig::grouped(0, &groups);
    let mut sent = rig.ask_in(u16::try_from(groups.len()).unwrap(), 1).one();
    for place in UPSTREAMS_MAX - GROUP_SERVERS_MAX..UPSTREAMS_MAX - 1 {
        assert_eq!(sent.upstream, place);
        sent = rig.answer(&sent, &coded(&sent, 2, None)).one();
    }
    assert_eq!(sent.upstream, UPSTREAMS_MAX - 1);
    assert_eq!(rig.answer(&sent, &coded(&sent, 2, None)).end(), Err(Failure::Upstream(None)));
    assert_eq!(rig.forward.ids_out(), 0);
}
