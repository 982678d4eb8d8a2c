//! A world of clients, upstreams and a forger, all from one seed, in virtual time: whatever happens, each client is told one thing, once, in time,
//! and it is true.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::{Ipv4Addr, SocketAddr};

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::*;
use crate::cache;
use crate::cache::testing::{address_reply, key_in, opt, query_for, read, reply};
use crate::wire::rtype;

/// How many worlds.
const SEEDS: u64 = 400;
/// What the forger wants believed: an address no upstream gives.
const FORGED: u32 = 0x6666_6666;
/// Octets of every name asked.
const NAME_OCTETS: usize = 52;
/// How late a tick may come, milliseconds.
const LAG_MAX_MS: u64 = 7;

/// What an upstream does with a query over TCP.
#[derive(Clone, Copy, PartialEq)]
enum OverTcp {
    /// Replies, but for the chance that the connection fails.
    Answers,
    /// Takes it and never replies.
    Hangs,
    /// Takes no connection.
    Refuses,
    /// Replies TC.
    Truncates,
}

/// An upstream's ways: chances in 100.
struct Nature {
    lost: u32,
    doubled: u32,
    slow: u32,
    servfail: u32,
    truncated: u32,
    tcp_fails: u32,
    over_tcp: OverTcp,
    small_letters: bool,
    knows_edns: bool,
    /// When it is down, and whether its host then says so.
    down: std::ops::Range<u64>,
    port_closed: bool,
}

/// What will happen.
enum Coming {
    Ask {
        waiter: usize,
    },
    /// `guessed`: a forger's guess of socket or id.
    Datagram {
        upstream: usize,
        socket: u16,
        port: u32,
        octets: Vec<u8>,
        guessed: bool,
    },
    PortClosed {
        upstream: usize,
        socket: u16,
        port: u32,
    },
    Tcp {
        slot: Slot,
        octets: Result<Vec<u8>, TcpFailed>,
    },
}

/// Seven clients of two tenants.
impl Waiting for usize {
    fn share(&self) -> Share {
        Share { tenant: u16::from(self % 7 < 3), client: (self % 7) as u64 }
    }

    fn octets(&self) -> usize {
        100 + self % 7
    }
}

/// What a client asked and got.
struct Client {
    name: u16,
    asked_ms: u64,
    settled: u32,
}

/// What came about, to see that it did.
#[derive(Default)]
struct Tally {
    truths: usize,
    failures: usize,
    refused: usize,
    forged: usize,
    /// Queries over TCP to an upstream that does not answer there.
    troubled: usize,
    events: [usize; 5],
}

struct World {
    rng: StdRng,
    forward: Forward<usize>,
    config: Config,
    natures: Vec<Nature>,
    /// Every upstream, socket and id that was ever out: a guess that hits one is left out, as the odds are known (see `sockets`).
    used: HashSet<(usize, u16, [u8; 2])>,
    /// Each socket's port: datagrams to an older one are lost.
    ports: HashMap<(usize, u16), u32>,
    clients: Vec<Client>,
    coming: BTreeMap<(u64, u64), Coming>,
    sequence: u64,
    now_ms: u64,
    attacked: u32,
    /// How often each upstream was asked over TCP.
    over_tcp: Vec<u64>,
    tally: Tally,
}

/// Forty letters and more, so that no forger guesses their case.
fn asked(name: u16) -> Vec<u8> {
    query_for(format!("quitealongnamewithmanymanylettersinit{name:05}").as_bytes(), rtype::A, false, false, false)
}

/// The number in a name's first label.
fn number_in(octets: &[u8]) -> u16 {
    let name = read(octets).qname.wire();
    std::str::from_utf8(&name[38..43]).unwrap().parse().unwrap()
}

/// The servers at these places.
fn server_list(places: impl Iterator<Item = u16>) -> Vec<SocketAddr> {
    places.map(|place| SocketAddr::from((Ipv4Addr::LOCALHOST, 1000 + place))).collect()
}

/// Each name is asked of one group.
fn group_of(config: &Config, name: u16) -> u16 {
    name % u16::try_from(config.groups().count()).unwrap()
}

/// Some names do not exist.
fn exists(name: u16) -> bool {
    !name.is_multiple_of(7)
}

impl World {
    fn new(seed: u64) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let calm = seed.is_multiple_of(5);
        let servers = rng.random_range(1..4);
        // None; or one with all servers but the first and one more, the other way round; or another one too, which shares that one more.
        let mut groups = vec![
            Group { name: "shared".to_owned(), servers: server_list((1..=servers).rev()) },
            Group { name: "own".to_owned(), servers: server_list(servers..servers + 2) },
        ];
        groups.truncate(rng.random_range(0..3));
        let config = Config {
            servers: server_list(0..servers),
            groups,
            timeout_ms: rng.random_range(50..800),
            budget_ms: rng.random_range(300..2500),
            in_flight_max: rng.random_range(3..100),
            waiting_max_mb: 1,
            waiting_per_client_max: rng.random_range(3..60),
            tcp_waiting_max: 1,
            randomize_case: true,
        };
        let mut chance = |max: u32| if calm { 0 } else { rng.random_range(0..max) };
        let natures = config
            .upstreams()
            .iter()
            .map(|_| Nature {
                lost: chance(40),
                doubled: chance(30),
                slow: chance(30),
                servfail: chance(20),
                truncated: chance(20),
                tcp_fails: chance(20),
                over_tcp: match chance(12) {
                    9 => OverTcp::Hangs,
                    10 => OverTcp::Refuses,
                    11 => OverTcp::Truncates,
                    _ => OverTcp::Answers,
                },
                small_letters: chance(6) == 1,
                knows_edns: chance(6) != 1,
                down: u64::from(chance(20_000))..u64::from(chance(20_000)),
                port_closed: chance(2) == 1,
            })
            .collect::<Vec<_>>();
        let over_tcp = vec![0; natures.len()];
        let attacked = chance(100);
        let sockets = rng.random_range(1..6);
        let forward = Forward::new(config.clone(), cache::Config::default(), sockets, StdRng::from_rng(&mut rng));
        let (ports, clients, coming) = (HashMap::new(), Vec::new(), BTreeMap::new());
        let tally = Tally::default();
        let mut world = Self {
            rng,
            forward,
            config,
            natures,
            used: HashSet::new(),
            ports,
            clients,
            coming,
            sequence: 0,
            now_ms: 0,
            attacked,
            over_tcp,
            tally,
        };
        world.invite();
        world
    }

    /// Lets clients ask, over some twenty seconds, now and then in crowds.
    fn invite(&mut self) {
        let mut asked_ms = 0;
        for waiter in 0..self.rng.random_range(20..250) {
            asked_ms += if self.rng.random_range(0..3) == 0 { self.rng.random_range(0..400) } else { 0 };
            let name = self.rng.random_range(0..60);
            self.clients.push(Client { name, asked_ms, settled: 0 });
            self.schedule(asked_ms, Coming::Ask { waiter });
        }
    }

    fn happens(&mut self, percent: u32) -> bool {
        self.rng.random_range(0..100) < percent
    }

    fn schedule(&mut self, at_ms: u64, what: Coming) {
        self.sequence += 1;
        self.coming.insert((at_ms, self.sequence), what);
    }

    /// Runs until nothing is left to happen.
    fn run(mut self) -> Tally {
        loop {
            let event_ms = self.coming.first_key_value().map(|((at_ms, _), _)| *at_ms);
            let deadline_ms = self.forward.next_deadline_ms();
            let mut effects = Vec::new();
            match (event_ms, deadline_ms) {
                (None, None) => break,
                (Some(event_ms), deadline_ms) if deadline_ms.is_none_or(|deadline_ms| event_ms <= deadline_ms) => {
                    self.now_ms = self.now_ms.max(event_ms);
                    let (_, what) = self.coming.pop_first().unwrap();
                    self.happen(what, &mut effects);
                }
                (_, Some(deadline_ms)) => {
                    self.now_ms = self.now_ms.max(deadline_ms) + self.rng.random_range(0..LAG_MAX_MS);
                    self.forward.on_tick(self.now_ms, &mut effects);
                    assert!(
                        self.forward.next_deadline_ms().is_none_or(|next_ms| next_ms > self.now_ms),
                        "a tick does all"
                    );
                }
                (Some(_), None) => unreachable!("the guard holds without a deadline"),
            }
            for effect in effects {
                self.take(effect);
            }
            assert!(self.forward.in_flight() <= self.config.in_flight_max, "in flight");
        }
        for (waiter, client) in self.clients.iter().enumerate() {
            assert_eq!(client.settled, 1, "waiter {waiter} is settled once");
        }
        let left = (self.forward.in_flight(), self.forward.ids_out(), self.forward.waiting_octets());
        assert_eq!(left, (0, 0, 0), "nothing leaks");
        for (place, (nature, asked)) in self.natures.iter().zip(&self.over_tcp).enumerate() {
            // Three, a probe in each rest, and those whose flight ended before their failure was known.
            let most = 9 + self.now_ms / 750;
            let refused = nature.over_tcp == OverTcp::Refuses;
            assert!(!refused || *asked <= most, "upstream {place} takes no connection and was asked for {asked}");
        }
        self.tally
    }

    fn happen(&mut self, what: Coming, effects: &mut Vec<Effect<usize>>) {
        let now_ms = self.now_ms;
        let is_open = |ports: &HashMap<_, u32>, upstream, socket, port| {
            ports.get(&(upstream, socket)).copied().unwrap_or(0) == port
        };
        match what {
            Coming::Ask { waiter } => {
                let client = &mut self.clients[waiter];
                client.asked_ms = now_ms;
                let key = key_in(&asked(client.name), group_of(&self.config, client.name));
                match self.forward.on_query(key, waiter, now_ms, effects) {
                    Ok(()) => {}
                    Err(Refused::Full { waiter: back, .. }) => {
                        assert_eq!(back, waiter);
                        client.settled += 1;
                        self.tally.refused += 1;
                    }
                    Err(Refused::NoUpstream { .. }) => panic!("there are upstreams"),
                }
            }
            Coming::Datagram { upstream, socket, octets, guessed: true, .. }
                if self.used.contains(&(upstream, socket, [octets[0], octets[1]])) => {}
            Coming::Datagram { upstream, socket, port, octets, .. } if is_open(&self.ports, upstream, socket, port) => {
                self.forward.on_udp_reply(upstream, socket, &octets, now_ms, effects);
            }
            Coming::PortClosed { upstream, socket, port } if is_open(&self.ports, upstream, socket, port) => {
                self.forward.on_udp_error(upstream, socket, now_ms, effects);
            }
            Coming::Datagram { .. } | Coming::PortClosed { .. } => {}
            Coming::Tcp { slot, octets } => {
                let octets = octets.as_ref().map(Vec::as_slice).map_err(|failed| *failed);
                self.forward.on_tcp_reply(slot, octets, now_ms, effects);
            }
        }
    }

    fn take(&mut self, effect: Effect<usize>) {
        match effect {
            Effect::SendUdp { upstream, socket, packet } => self.udp(upstream, socket, packet.as_bytes()),
            Effect::SendTcp { slot, upstream, packet, .. } => self.tcp(slot, upstream, packet.as_bytes()),
            Effect::RenewSocket { upstream, socket } => *self.ports.entry((upstream, socket)).or_default() += 1,
            Effect::Note { event, .. } => {
                let place = match event {
                    Event::SentTcp => 0,
                    Event::Timeout => 1,
                    Event::Error => 2,
                    Event::Rejected => 3,
                    Event::Coalesced => 4,
                    Event::SentUdp | Event::Reply { .. } | Event::Silent { .. } | Event::Recovered => return,
                };
                self.tally.events[place] += 1;
            }
            Effect::Done { key, waiters, result } => self.settle(&key, waiters, result),
        }
    }

    /// Each waiter asked this and is told something true in time.
    fn settle(&mut self, key: &Key, waiters: Vec<usize>, result: Result<Arc<Answer>, Failure>) {
        assert!(!waiters.is_empty());
        for &waiter in &waiters {
            let client = &mut self.clients[waiter];
            client.settled += 1;
            let took_ms = self.now_ms - client.asked_ms;
            assert!(took_ms <= u64::from(self.config.budget_ms) + LAG_MAX_MS, "waiter {waiter} waited {took_ms} ms");
            let question = asked(client.name);
            assert_eq!(
                *key,
                key_in(&question, group_of(&self.config, client.name)),
                "waiter {waiter} gets another's answer"
            );
            let answer = match &result {
                Ok(answer) => answer,
                Err(Failure::GaveWay(_)) => {
                    self.tally.refused += 1;
                    continue;
                }
                Err(_) => {
                    self.tally.failures += 1;
                    continue;
                }
            };
            self.tally.truths += 1;
            let mut out = [0; 512];
            let written = answer.write(&read(&question), self.now_ms, &mut out, 512).unwrap();
            let address = written.octets.checked_sub(4).map(|at| out[at..at + 4].to_vec());
            let name = client.name;
            assert_eq!(answer.rcode() == 0, exists(name), "waiter {waiter}: name {name} is lied about");
            assert!(!exists(name) || address == Some(u32::from(name).to_be_bytes().to_vec()), "a forged payload");
        }
        self.forward.recycle(waiters);
    }

    /// What `upstream` replies.
    fn truth(&mut self, upstream: usize, asked: &[u8], over_udp: bool) -> Vec<u8> {
        let (servfail, truncated) = (self.natures[upstream].servfail, self.natures[upstream].truncated);
        let name = number_in(asked);
        let (plain, edns) = (read(asked).edns.is_none(), self.natures[upstream].knows_edns);
        let mut octets = if !edns && !plain {
            asked[..12].iter().copied().enumerate().map(|(at, octet)| if at > 3 { 0 } else { octet }).collect()
        } else if self.happens(servfail) {
            reply(asked, 2, [&[], &[], &[]], &opt(0, Some(22)), 1)
        } else if !exists(name) {
            reply(asked, 3, [&[], &[], &[]], &[], 0)
        } else {
            address_reply(asked, &[u32::from(name)], 60)
        };
        if octets.len() == 12 {
            (octets[2], octets[3]) = (0x81, 0x81);
            return octets;
        }
        if !plain {
            // The fixtures keep the query's count of its OPT, which they do not copy.
            octets[11] = u8::from(octets.len() > 12 && octets.ends_with(b"text"));
        }
        if over_udp && self.happens(truncated) {
            octets[2] |= 2;
        }
        if self.natures[upstream].small_letters {
            octets[12..12 + NAME_OCTETS].make_ascii_lowercase();
        }
        octets
    }

    /// Whether `upstream` is one of those to ask for the name in `asked`.
    fn is_of_its_group(&self, upstream: usize, asked: &[u8]) -> bool {
        let group = usize::from(group_of(&self.config, number_in(asked)));
        let server = self.config.upstreams()[upstream];
        self.config.groups().nth(group).unwrap().contains(&server)
    }

    fn udp(&mut self, upstream: usize, socket: u16, asked: &[u8]) {
        assert!(
            self.is_of_its_group(upstream, asked),
            "over UDP upstream {upstream} is asked for another group's client"
        );
        let port = self.ports.get(&(upstream, socket)).copied().unwrap_or(0);
        self.used.insert((upstream, socket, [asked[0], asked[1]]));
        if self.happens(self.attacked) {
            self.forge(upstream, socket, asked);
        }
        if self.natures[upstream].down.contains(&self.now_ms) {
            if self.natures[upstream].port_closed {
                let at_ms = self.now_ms + self.rng.random_range(0..3);
                self.schedule(at_ms, Coming::PortClosed { upstream, socket, port });
            }
            return;
        }
        let octets = self.truth(upstream, asked, true);
        let times = 1 + u32::from(self.happens(self.natures[upstream].doubled));
        for _ in 0..times {
            if !self.happens(self.natures[upstream].lost) {
                let slow = self.happens(self.natures[upstream].slow);
                let delay_ms = self.rng.random_range(if slow { 0..3000 } else { 0..40 });
                let octets = octets.clone();
                self.schedule(
                    self.now_ms + delay_ms,
                    Coming::Datagram { upstream, socket, port, octets, guessed: false },
                );
            }
        }
    }

    /// One who knows all that was sent but one thing, which is guessed wrong, or changed: so each check stands alone.
    fn forge(&mut self, upstream: usize, socket: u16, asked: &[u8]) {
        let small = read(asked).qname.wire().iter().all(|octet| !octet.is_ascii_uppercase());
        for _ in 0..self.rng.random_range(1..90) {
            let mut octets = address_reply(asked, &[FORGED], 60);
            octets[11] = 0;
            let mut to = (upstream, socket);
            let wrong = self.rng.random_range(0..5);
            match wrong {
                0 => octets[..2].copy_from_slice(&self.rng.random::<[u8; 2]>()),
                1 => to.1 = socket.wrapping_add(self.rng.random_range(1..9)),
                2 => to.0 = (upstream + 1) % (self.natures.len() + 1),
                3 => octets[40] ^= 1,
                _ if small => octets[2] &= 0x7f,
                _ => {
                    let letters = octets[12..12 + NAME_OCTETS].iter_mut().filter(|octet| octet.is_ascii_alphabetic());
                    letters.for_each(|letter| *letter ^= u8::from(self.rng.random::<bool>()) << 5);
                }
            }
            self.tally.forged += 1;
            let at_ms = self.now_ms + self.rng.random_range(0..30);
            let port = self.ports.get(&to).copied().unwrap_or(0);
            let datagram = Coming::Datagram { upstream: to.0, socket: to.1, port, octets, guessed: wrong < 3 };
            self.schedule(at_ms, datagram);
        }
    }

    fn tcp(&mut self, slot: Slot, upstream: usize, asked: &[u8]) {
        assert!(
            self.is_of_its_group(upstream, asked),
            "over TCP upstream {upstream} is asked for another group's client"
        );
        self.over_tcp[upstream] += 1;
        self.tally.troubled += usize::from(self.natures[upstream].over_tcp != OverTcp::Answers);
        let down = self.natures[upstream].down.contains(&self.now_ms);
        let fails = down || self.happens(self.natures[upstream].tcp_fails);
        let (octets, delay_max_ms) = match self.natures[upstream].over_tcp {
            OverTcp::Hangs => return,
            OverTcp::Refuses => (Err(TcpFailed::NoReply), 1),
            _ if fails => (Err(if down { TcpFailed::NoReply } else { TcpFailed::Uncounted }), 2000),
            OverTcp::Answers => (Ok(self.truth(upstream, asked, false)), 100),
            OverTcp::Truncates => {
                let mut octets = self.truth(upstream, asked, false);
                octets[2] |= 2;
                (Ok(octets), 100)
            }
        };
        let at_ms = self.now_ms + self.rng.random_range(0..delay_max_ms);
        self.schedule(at_ms, Coming::Tcp { slot, octets });
    }
}

#[test]
fn whatever_happens_each_is_told_the_truth_once_in_time() {
    let mut sum = Tally::default();
    for seed in 0..SEEDS {
        let run = std::panic::catch_unwind(|| World::new(seed).run());
        let Ok(tally) = run else { panic!("seed {seed}: see the assertion above") };
        if seed.is_multiple_of(5) {
            assert_eq!(tally.failures, 0, "seed {seed}: nothing went wrong, and yet somebody got no answer");
        }
        sum.truths += tally.truths;
        sum.failures += tally.failures;
        sum.refused += tally.refused;
        sum.forged += tally.forged;
        sum.troubled += tally.troubled;
        sum.events.iter_mut().zip(tally.events).for_each(|(sum, more)| *sum += more);
    }
    let Tally { truths, failures, refused, forged, troubled, events } = sum;
    let [tcp, timeouts, errors, rejected, coalesced] = events;
    let seen = [truths / 10, failures, refused, forged / 100, troubled, tcp, timeouts, errors, rejected, coalesced];
    assert!(seen.iter().all(|count| *count > 500), "too little happened to prove anything: {seen:?}");
    assert!(truths > 4 * failures, "most get an answer: {truths} of {}", truths + failures);
}
