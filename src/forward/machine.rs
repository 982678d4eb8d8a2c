//! [`Forward`]: what happens when. Each `on_…` does all that follows from one event and returns; nothing is left for later but timers.

use std::cmp::Ordering;
use std::net::SocketAddr;
use std::sync::Arc;

use rand::RngExt;
use rand::rngs::StdRng;

use super::check::{Claim, Transport, Verdict, check};
use super::flights::{Flight, Flights, Kind, Path, Slot, TRIES_MAX, Try};
use super::packet::{Letters, Manner, Packet};
use super::shares::{Load, Share, Shares, Waiting};
use super::upstream::Upstream;
use super::{Bound, Config, Effect, Event, Failure, Refused, TcpFailed};
use crate::cache::{self, Answer, Key};
use crate::wire::{Section, u16_at};

/// What a try to an upstream that already got one costs, against [`RESTING_COST`]: two failed tries of a good upstream, then one that rests.
const TRIED_COST: usize = 2;
/// What an upstream that rests costs.
const RESTING_COST: usize = 3;
/// Flights looked at, by chance, for the one that gives way: who has half of them is met with 255 in 256, whoever has more sooner.
const LOOKS: usize = 8;
/// After how long a flight may give way to one whose client asks for as much: most answers have come by then (Unbound's jostle-timeout).
const JOSTLE_MS: u64 = 200;
/// Flights that give way for one query: each frees the memory of at least one that waits.
const GIVE_WAY_MAX: usize = 4;

/// One worker's forwarder; `W` is whoever waits for an answer.
pub struct Forward<W> {
    /// Time limits.
    config: Config,
    /// What replies' TTLs are clamped to.
    cache: cache::Config,
    /// Everyone there is to ask, by place among [`Config::upstreams`].
    upstreams: Vec<Upstream>,
    /// Whom to ask for a group, by its number: places in `upstreams`, in the group's order.
    groups: Vec<Box<[usize]>>,
    /// What is in flight. Every try whose path is a socket has its id out on that socket, and no other id is out.
    flights: Flights<W>,
    /// Who waits: the waiters of all flights.
    shares: Shares,
    /// Ids, sockets, letters, jitter.
    rng: StdRng,
}

impl<W: Waiting> Forward<W> {
    /// A forwarder that knows nothing of its upstreams yet; `rng` is a CSPRNG seeded by the system.
    #[must_use]
    pub fn new(config: Config, cache: cache::Config, sockets_per_upstream: u16, mut rng: StdRng) -> Self {
        let servers = config.upstreams();
        let places = |group: &[SocketAddr]| {
            group.iter().filter_map(|server| servers.iter().position(|other| other == server)).collect()
        };
        let groups = config.groups().map(places).collect();
        let upstreams = servers.iter().map(|_| Upstream::new(sockets_per_upstream)).collect();
        let flights = Flights::new(config.in_flight_max);
        let shares = Shares::new(rng.random());
        Self { config, cache, upstreams, groups, flights, shares, rng }
    }

    /// The memory that all who wait take, octets.
    #[must_use]
    pub const fn waiting_octets(&self) -> usize {
        self.shares.octets()
    }

    /// How many questions are in flight.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.flights.len()
    }

    /// When [`Self::on_tick`] is due.
    #[must_use]
    pub fn next_deadline_ms(&self) -> Option<u64> {
        self.flights.next_deadline_ms()
    }

    /// Takes back the waiters' vector of an [`Effect::Done`], to use its room again.
    pub fn recycle(&mut self, waiters: Vec<W>) {
        self.flights.recycle(waiters);
    }

    /// Asks the upstreams of its group for `key`, or lets `waiter` wait with those who asked already.
    ///
    /// # Errors
    /// [`Refused`]: a limit is reached, or the group has no upstream.
    pub fn on_query(
        &mut self,
        key: Key,
        waiter: W,
        now_ms: u64,
        effects: &mut Vec<Effect<W>>,
    ) -> Result<(), Refused<W>> {
        if group_of(&self.groups, &key).is_empty() {
            return Err(Refused::NoUpstream { waiter });
        }
        if let Err(bound) = self.make_room(&key, &waiter, now_ms, effects) {
            return Err(Refused::Full { waiter, bound });
        }
        self.shares.add(&waiter);
        if let Some(flight) = self.flights.find(&key) {
            flight.waiters.push(waiter);
            let upstream = flight.tries.last().map_or(0, |one| one.upstream);
            effects.push(Effect::Note { upstream, event: Event::Coalesced });
            return Ok(());
        }
        let letters =
            if self.config.randomize_case { Letters::random(&mut self.rng, key.name().len()) } else { Letters::SMALL };
        let slot = self.flights.begin(key, letters, waiter, now_ms);
        self.flights.set_timer(Kind::Flight, now_ms + u64::from(self.config.budget_ms), slot);
        self.ask_next(slot, now_ms, effects);
        Ok(())
    }

    /// Makes room for one who asks for `key`, if need be by ending flights of those who ask for more; else which bound is in the way.
    fn make_room(&mut self, key: &Key, waiter: &W, now_ms: u64, effects: &mut Vec<Effect<W>>) -> Result<(), Bound> {
        let (share, octets) = (waiter.share(), waiter.octets());
        if self.shares.of_client(share) >= self.config.waiting_per_client_max {
            return Err(Bound::WaitingPerClient);
        }
        for _ in 0..GIVE_WAY_MAX {
            let Some(bound) = self.bound_reached(key, octets) else { return Ok(()) };
            let slot = self.who_gives_way(share, now_ms).ok_or(bound)?;
            self.finish(slot, Err(Failure::GaveWay(bound)), now_ms, effects);
        }
        self.bound_reached(key, octets).map_or(Ok(()), Err)
    }

    /// Which bound is in the way of one more who waits for `key` and takes `octets`.
    fn bound_reached(&mut self, key: &Key, octets: usize) -> Option<Bound> {
        if self.shares.octets() + octets > self.config.waiting_max_octets() {
            Some(Bound::Waiting)
        } else if self.flights.is_full() && self.flights.find(key).is_none() {
            Some(Bound::InFlight)
        } else {
            None
        }
    }

    /// The flight that gives way to one more query of `share`: of some, the one whose tenant, or client, has most waiting, if that is more than
    /// `share` has with one more; or as much, and it has had its time.
    fn who_gives_way(&mut self, share: Share, now_ms: u64) -> Option<Slot> {
        let Self { flights, shares, rng, .. } = self;
        let asks = shares.load(share).with_one_more();
        let looks = (0..LOOKS).filter_map(|_| {
            let (slot, flight) = flights.any(rng)?;
            Some((load_of(flight, shares)?, now_ms.saturating_sub(flight.started_ms), slot))
        });
        let (load, age_ms, slot) =
            looks.max_by(|(one, age, _), (other, other_age, _)| one.compare(*other).then(age.cmp(other_age)))?;
        match load.compare(asks) {
            Ordering::Greater => Some(slot),
            Ordering::Equal if age_ms >= JOSTLE_MS => Some(slot),
            _ => None,
        }
    }

    /// A datagram came on a socket of `upstream`, from its address.
    pub fn on_udp_reply(
        &mut self,
        upstream: usize,
        socket: u16,
        octets: &[u8],
        now_ms: u64,
        effects: &mut Vec<Effect<W>>,
    ) {
        let pool = self.upstreams.get(upstream).map(|upstream| &upstream.pool);
        let out = pool.zip(u16_at(octets, 0)).and_then(|(pool, id)| pool.find(socket, id));
        let Some(out) = out else { return self.reject(upstream, socket, now_ms, effects) };
        let slot = self.flights.slot(out.flight, out.number);
        match self.judge(slot, octets, Transport::Udp, now_ms) {
            None | Some((_, Verdict::NotBelieved)) => self.reject(upstream, socket, now_ms, effects),
            Some((one, verdict)) => {
                self.close(slot, now_ms, effects);
                self.settle(slot, one, verdict, now_ms, effects);
            }
        }
    }

    /// A socket of `upstream` reports that nobody listens at the other end (ECONNREFUSED and the like).
    pub fn on_udp_error(&mut self, upstream: usize, socket: u16, now_ms: u64, effects: &mut Vec<Effect<W>>) {
        let Some(server) = self.upstreams.get_mut(upstream) else { return };
        effects.push(Effect::Note { upstream, event: Event::Error });
        let outs = server.pool.take_all(socket);
        if server.pool.renew_if_drained(socket, now_ms) {
            effects.push(Effect::RenewSocket { upstream, socket });
        }
        for (place, out) in outs.into_iter().enumerate() {
            let slot = self.flights.slot(out.flight, out.number);
            let Some(one) = self.flights.try_of(slot) else { continue };
            one.path = Path::Closed;
            let sent_ms = one.sent_ms;
            // One report, one failure, however many wait there.
            if place == 0 {
                self.count_silence(upstream, Path::Udp(socket), sent_ms, now_ms, effects);
            }
            self.give_up(slot, upstream, now_ms, effects);
        }
    }

    /// What came of an [`Effect::SendTcp`]: the reply without its length octets, or none.
    pub fn on_tcp_reply(
        &mut self,
        slot: Slot,
        reply: Result<&[u8], TcpFailed>,
        now_ms: u64,
        effects: &mut Vec<Effect<W>>,
    ) {
        let Some(Try { upstream, sent_ms, .. }) =
            self.flights.try_of(slot).copied().filter(|one| one.path == Path::Tcp)
        else {
            return;
        };
        let judged = reply.ok().and_then(|octets| self.judge(slot, octets, Transport::Tcp, now_ms));
        if let Some(one) = self.flights.try_of(slot) {
            one.path = Path::Closed;
        }
        if reply == Err(TcpFailed::NoReply)
            && let Some(server) = self.upstreams.get_mut(upstream)
        {
            server.tcp.failed(sent_ms, now_ms, &mut self.rng);
        }
        match judged {
            Some((one, verdict)) => self.settle(slot, one, verdict, now_ms, effects),
            None => {
                effects.push(Effect::Note { upstream, event: Event::Error });
                self.give_up(slot, upstream, now_ms, effects);
            }
        }
    }

    /// Time has passed.
    pub fn on_tick(&mut self, now_ms: u64, effects: &mut Vec<Effect<W>>) {
        while let Some((kind, slot)) = self.flights.pop_due(now_ms) {
            match kind {
                Kind::Try => {
                    self.count_timeout(slot, now_ms, effects);
                    self.ask_next(slot, now_ms, effects);
                }
                Kind::Flight => {
                    let last = self.flights.get(slot).map_or(0, |flight| flight.tries.len().saturating_sub(1));
                    let number = u8::try_from(last).unwrap_or(u8::MAX);
                    self.count_timeout(Slot { number, ..slot }, now_ms, effects);
                    let error = self.flights.get(slot).and_then(|flight| flight.error);
                    self.finish(slot, Err(error.map_or(Failure::Timeout, Failure::Upstream)), now_ms, effects);
                }
            }
        }
    }

    /// Ends every flight: nothing more is awaited.
    pub fn end_all(&mut self, now_ms: u64, effects: &mut Vec<Effect<W>>) {
        for slot in self.flights.all() {
            self.finish(slot, Err(Failure::Timeout), now_ms, effects);
        }
    }

    /// Counts a try that got no reply; one cut short by its flight's end says nothing of the upstream.
    fn count_timeout(&mut self, slot: Slot, now_ms: u64, effects: &mut Vec<Effect<W>>) {
        let Some(one) = self.flights.try_of(slot).filter(|one| one.path != Path::Closed) else { return };
        let (upstream, sent_ms, path) = (one.upstream, one.sent_ms, one.path);
        if now_ms.saturating_sub(sent_ms) < u64::from(self.config.timeout_ms.min(self.config.budget_ms)) {
            return;
        }
        effects.push(Effect::Note { upstream, event: Event::Timeout });
        self.count_silence(upstream, path, sent_ms, now_ms, effects);
    }

    /// A try sent to `upstream` at `sent_ms` over `path` got no reply. That UDP is silent is told.
    fn count_silence(&mut self, upstream: usize, path: Path, sent_ms: u64, now_ms: u64, effects: &mut Vec<Effect<W>>) {
        let Some(server) = self.upstreams.get_mut(upstream) else { return };
        if server.health(path).failed(sent_ms, now_ms, &mut self.rng) && matches!(path, Path::Udp(_)) {
            effects.push(Effect::Note { upstream, event: Event::Silent { sent_ms } });
        }
    }

    /// Judges octets that came for a try; `None` if the try is over.
    fn judge(&mut self, slot: Slot, octets: &[u8], transport: Transport, now_ms: u64) -> Option<(Try, Verdict)> {
        let flight = self.flights.get(slot)?;
        let one = *flight.tries.get(usize::from(slot.number))?;
        let manner = manner(flight, &one);
        let verdict = check(octets, &flight.key, manner, transport, now_ms, &self.cache);
        Some((one, verdict))
    }

    /// Does what follows from a verdict on `one`, whose path is closed by now.
    fn settle(&mut self, slot: Slot, one: Try, verdict: Verdict, now_ms: u64, effects: &mut Vec<Effect<W>>) {
        let upstream = one.upstream;
        let Some(server) = self.upstreams.get_mut(upstream) else { return };
        let replied = !matches!(verdict, Verdict::NotBelieved | Verdict::OtherLetters(_));
        if replied && server.health(one.path).replied(now_ms) && matches!(one.path, Path::Udp(_)) {
            effects.push(Effect::Note { upstream, event: Event::Recovered });
        }
        match verdict {
            Verdict::NotBelieved => {
                effects.push(Effect::Note { upstream, event: Event::Rejected });
                self.give_up(slot, upstream, now_ms, effects);
            }
            Verdict::OtherLetters(claim) => {
                effects.push(Effect::Note { upstream, event: Event::Rejected });
                self.ask_tcp(slot, upstream, one.edns, Some(claim), now_ms, effects);
            }
            Verdict::Truncated => self.ask_tcp(slot, upstream, one.edns, None, now_ms, effects),
            Verdict::NoEdns => {
                if matches!(one.path, Path::Udp(_)) {
                    if !self.ask_udp(slot, upstream, false, now_ms, effects) {
                        self.give_up(slot, upstream, now_ms, effects);
                    }
                } else {
                    self.ask_tcp(slot, upstream, false, one.doubt, now_ms, effects);
                }
            }
            Verdict::Error(ede) => {
                effects.push(Effect::Note { upstream, event: Event::Error });
                if let Some(flight) = self.flights.get(slot) {
                    flight.keep_error(ede);
                }
                self.give_up(slot, upstream, now_ms, effects);
            }
            Verdict::Truth(answer) => {
                match one.doubt {
                    Some(claimed) => server.letters.confirmed(claimed, claim_of(&answer), now_ms),
                    None if one.mixed => server.letters.kept(),
                    None => {}
                }
                let micros = now_ms.saturating_sub(one.sent_ms).saturating_mul(1000);
                effects.push(Effect::Note { upstream, event: Event::Reply { micros } });
                self.finish(slot, Ok(Arc::new(answer)), now_ms, effects);
            }
        }
    }

    /// A reply on `socket` is not believed. Those who have waited through many such are asked over TCP instead, where nobody can guess.
    fn reject(&mut self, upstream: usize, socket: u16, now_ms: u64, effects: &mut Vec<Effect<W>>) {
        let Some(server) = self.upstreams.get_mut(upstream) else { return };
        effects.push(Effect::Note { upstream, event: Event::Rejected });
        for out in server.pool.count_wrong(socket) {
            let slot = self.flights.slot(out.flight, out.number);
            let Some(edns) = self.flights.try_of(slot).map(|one| one.edns) else { continue };
            self.close(slot, now_ms, effects);
            if self.flights.get(slot).is_some_and(|flight| flight.is_current(slot.number)) {
                self.ask_tcp(slot, upstream, edns, None, now_ms, effects);
            }
        }
    }

    /// `upstream` is not asked again for this flight; if it was the one waited for, the next is asked.
    fn give_up(&mut self, slot: Slot, upstream: usize, now_ms: u64, effects: &mut Vec<Effect<W>>) {
        let Some(flight) = self.flights.get(slot) else { return };
        flight.spent |= 1 << upstream;
        if flight.is_current(slot.number) {
            self.ask_next(slot, now_ms, effects);
        }
    }

    /// Asks the best upstream that is left; if none is, the flight ends.
    fn ask_next(&mut self, slot: Slot, now_ms: u64, effects: &mut Vec<Effect<W>>) {
        while let Some(flight) = self.flights.get(slot) {
            let group = group_of(&self.groups, &flight.key);
            let Some(upstream) = choose(group, &self.upstreams, flight, now_ms) else {
                let failure = flight.error.map_or(Failure::Network, Failure::Upstream);
                return self.finish(slot, Err(failure), now_ms, effects);
            };
            if self.ask_udp(slot, upstream, true, now_ms, effects) {
                return;
            }
            if let Some(flight) = self.flights.get(slot) {
                flight.spent |= 1 << upstream;
            }
        }
    }

    /// Sends a try over UDP; false if no id could be had. With all tries used up, what is out is waited for.
    fn ask_udp(&mut self, slot: Slot, upstream: usize, edns: bool, now_ms: u64, effects: &mut Vec<Effect<W>>) -> bool {
        let (Some(flight), Some(server)) = (self.flights.get(slot), self.upstreams.get_mut(upstream)) else {
            return false;
        };
        let Some(number) = next_number(flight) else { return true };
        let Some(opened) = server.pool.open(&mut self.rng, slot.index, number, now_ms) else { return false };
        server.udp.asked(now_ms, u64::from(self.config.timeout_ms));
        let mixed = self.config.randomize_case && server.letters.is_on(now_ms);
        let (path, id) = (Path::Udp(opened.socket), opened.id);
        let one = Try { upstream, path, id, mixed, edns, sent_ms: now_ms, doubt: None };
        if opened.renew {
            effects.push(Effect::RenewSocket { upstream, socket: opened.socket });
        }
        let packet = Packet::new(&flight.key, manner(flight, &one));
        effects.push(Effect::SendUdp { upstream, socket: opened.socket, packet });
        effects.push(Effect::Note { upstream, event: Event::SentUdp });
        self.add(slot, number, one);
        true
    }

    /// Sends a try over TCP, all letters small. An upstream whose TCP rests is given up: nobody waits for what is not going to come.
    fn ask_tcp(
        &mut self,
        slot: Slot,
        upstream: usize,
        edns: bool,
        doubt: Option<Claim>,
        now_ms: u64,
        effects: &mut Vec<Effect<W>>,
    ) {
        let (Some(flight), Some(server)) = (self.flights.get(slot), self.upstreams.get_mut(upstream)) else { return };
        let Some(number) = next_number(flight) else { return };
        if !server.tcp.is_good(now_ms) {
            return self.give_up(slot, upstream, now_ms, effects);
        }
        server.tcp.asked(now_ms, u64::from(self.config.timeout_ms));
        let id = self.rng.random();
        let one = Try { upstream, path: Path::Tcp, id, mixed: false, edns, sent_ms: now_ms, doubt };
        let packet = Packet::new(&flight.key, manner(flight, &one));
        let deadline_ms = flight.started_ms + u64::from(self.config.budget_ms);
        effects.push(Effect::SendTcp { slot: Slot { number, ..slot }, upstream, packet, deadline_ms });
        effects.push(Effect::Note { upstream, event: Event::SentTcp });
        self.add(slot, number, one);
    }

    /// Adds a try that was sent, and its timer, unless the flight ends before.
    fn add(&mut self, slot: Slot, number: u8, one: Try) {
        let at_ms = one.sent_ms + u64::from(self.config.timeout_ms.max(1));
        let Some(flight) = self.flights.get(slot) else { return };
        flight.tries.push(one);
        if at_ms < flight.started_ms + u64::from(self.config.budget_ms) {
            self.flights.set_timer(Kind::Try, at_ms, Slot { number, ..slot });
        }
        self.flights.trim();
    }

    /// Takes a try off its socket, if it is on one.
    fn close(&mut self, slot: Slot, now_ms: u64, effects: &mut Vec<Effect<W>>) {
        let Some(one) = self.flights.try_of(slot) else { return };
        let Path::Udp(socket) = std::mem::replace(&mut one.path, Path::Closed) else { return };
        let (upstream, id) = (one.upstream, one.id);
        let Some(server) = self.upstreams.get_mut(upstream) else { return };
        if server.pool.close(socket, id, now_ms) {
            effects.push(Effect::RenewSocket { upstream, socket });
        }
    }

    /// Ends a flight.
    fn finish(&mut self, slot: Slot, result: Result<Arc<Answer>, Failure>, now_ms: u64, effects: &mut Vec<Effect<W>>) {
        let tries = self.flights.get(slot).map_or(0, |flight| flight.tries.len());
        for number in 0..u8::try_from(tries).unwrap_or(u8::MAX) {
            self.close(Slot { number, ..slot }, now_ms, effects);
        }
        if let Some((key, waiters)) = self.flights.end(slot) {
            waiters.iter().for_each(|waiter| self.shares.remove(waiter));
            effects.push(Effect::Done { key, waiters, result });
        }
    }

    /// Ids out on all sockets of all upstreams.
    #[cfg(test)]
    pub(super) fn ids_out(&self) -> usize {
        self.upstreams.iter().map(|upstream| upstream.pool.out()).sum()
    }
}

/// How a try was, or is to be, sent.
const fn manner<W>(flight: &Flight<W>, one: &Try) -> Manner {
    Manner { id: one.id, letters: if one.mixed { flight.letters } else { Letters::SMALL }, edns: one.edns }
}

/// How much is waiting for whom a flight is: of the first who asked and the last, the one with less, for many may wait for what a greedy one asked
/// first.
fn load_of<W: Waiting>(flight: &Flight<W>, shares: &Shares) -> Option<Load> {
    let ends = [flight.waiters.first()?, flight.waiters.last()?];
    ends.map(|waiter| shares.load(waiter.share())).into_iter().min_by(|one, other| one.compare(*other))
}

/// What an answer comes to, beside what was claimed.
fn claim_of(answer: &Answer) -> Claim {
    let [_, low] = answer.rcode().to_be_bytes();
    Claim { rcode_low: low & 15, answers: answer.count(Section::Answer) }
}

/// The number of a flight's next try, if it may have one more.
fn next_number<W>(flight: &Flight<W>) -> Option<u8> {
    u8::try_from(flight.tries.len()).ok().filter(|number| usize::from(*number) < TRIES_MAX)
}

/// The places of whom to ask for `key`; of no group nobody.
fn group_of<'g>(groups: &'g [Box<[usize]>], key: &Key) -> &'g [usize] {
    groups.get(usize::from(key.group())).map_or(&[], |group| group)
}

/// The upstream to ask next: in the group's order, those not tried before those tried, those that answer before those that rest.
fn choose<W>(group: &[usize], upstreams: &[Upstream], flight: &Flight<W>, now_ms: u64) -> Option<usize> {
    let left = group.iter().copied().filter(|index| flight.spent >> index & 1 == 0);
    left.min_by_key(|&index| {
        let tried = flight.tries.iter().filter(|one| one.upstream == index).count() * TRIED_COST;
        let is_good = upstreams.get(index).is_some_and(|upstream| upstream.udp.is_good(now_ms));
        if is_good { tried } else { tried + RESTING_COST }
    })
}
