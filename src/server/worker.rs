//! A worker: one plain thread with its own listeners, upstream sockets, forwarding state, cache and counters.
//!
//! Its loop: wait → receive a batch → respond to each → send the batch. A batch costs three system calls, a miss two more. The rules are
//! read once a batch. A panic is caught around one packet: it is dropped and counted, the loop goes on.

use std::net::UdpSocket;
use std::os::fd::AsFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;
use std::{io, thread};

use tokio::sync::oneshot;

use super::clock::Clock;
use super::mailbox::{Letter, Mailbox};
use super::upstream::{TcpAsk, TcpQueues, UPSTREAM_TOKENS, UpstreamSockets};
use super::{Client, Outcome, Responder, Rules, UpstreamHealth};
use crate::cache::Key;
use crate::forward::{Bound, Effect, Event, Failure, Forward, Refused, Share, TcpFailed, Waiting};
use crate::metrics::{Limit, Outcome as Counted, Transport};
use crate::net::ClientNetwork;
use crate::policy::Reader;
use crate::sys::{BATCH, Inbox, Outbox, Peer, Poller, receive_drops};
use crate::wire::{Ede, Header, Query, STREAM_OCTETS_MAX};

/// How long a worker sleeps at most, so that kernel drops are counted and late timers run.
const IDLE_MS: u32 = 1000;
/// Batches taken from one socket before the others have their turn: a flood on one must not starve the rest.
const BATCHES_IN_A_ROW: usize = 4;
/// Batches taken from one listener at the end: more than any receive buffer holds.
const DRAIN_BATCHES_MAX: usize = 1024;
/// What an allocation takes beside what was asked for, octets (glibc: a header of 8, rounded up to 16).
const ALLOCATION_OCTETS: usize = 16;
/// How often the end of the drain is looked for, at least.
const DRAIN_LOOK_MS: u32 = 50;
/// The token of the doorbell; listeners are counted from 0, upstream sockets from `UPSTREAM_TOKENS`.
const BELL_TOKEN: u64 = u64::MAX;

/// Where the reply to a forwarded query goes.
#[derive(Debug)]
enum Asker {
    /// A client's datagram.
    Datagram {
        /// The listener it came to.
        listener: usize,
        /// Where to answer.
        peer: Peer,
    },
    /// A stream's task.
    Stream(oneshot::Sender<Box<[u8]>>),
}

/// A query that waits for its upstream: all that is needed to answer it as if it had just come.
#[derive(Debug)]
pub struct Waiter {
    /// The query, trimmed.
    packet: Box<[u8]>,
    /// Who asked.
    client: Client,
    /// The number of the client's tenant.
    tenant: u16,
    /// Where the reply goes.
    asker: Asker,
}

impl Waiting for Waiter {
    fn share(&self) -> Share {
        Share { tenant: self.tenant, client: ClientNetwork::of(self.client.address()).number() }
    }

    fn octets(&self) -> usize {
        // A vector of waiters has up to twice the room it needs.
        2 * size_of::<Self>() + self.packet.len() + ALLOCATION_OCTETS
    }
}

/// A listening socket and the replies that leave through it.
struct Listener {
    /// Shares its port with the other workers'.
    socket: UdpSocket,
    /// Replies that wait for the batch's end.
    outbox: Outbox,
    /// Kernel drops counted so far.
    drops: u32,
}

/// What the threads of a server share about its end, and about each other's load.
#[derive(Debug, Default)]
pub struct Shutdown {
    /// Set once: drain and end.
    stopping: AtomicBool,
}

impl Shutdown {
    /// Tells workers to drain; ring their doorbells after.
    pub fn begin(&self) {
        self.stopping.store(true, Ordering::Release);
    }

    /// Whether it has begun.
    #[must_use]
    pub fn begun(&self) -> bool {
        self.stopping.load(Ordering::Acquire)
    }
}

/// What a worker is made of.
pub struct WorkerParts {
    /// Its listeners.
    pub sockets: Vec<UdpSocket>,
    /// Its mailbox.
    pub mailbox: Mailbox,
    /// Its view of the rules.
    pub rules: Reader<Rules>,
    /// Answers and counts.
    pub responder: Responder,
    /// Its forwarding state.
    pub forward: Forward<Waiter>,
    /// Its upstream sockets.
    pub upstreams: UpstreamSockets,
    /// Where questions for TCP go.
    pub tcp: TcpQueues,
    /// The process's clock.
    pub clock: Clock,
    /// When to end.
    pub shutdown: Arc<Shutdown>,
    /// How long to wait for answers in flight at the end, milliseconds.
    pub finish_ms: u64,
    /// Whether the upstreams answer, as all workers know it.
    pub health: Arc<UpstreamHealth>,
    /// Queries in flight by worker, for the scrape.
    pub in_flight: Arc<[AtomicUsize]>,
    /// Its place among the workers.
    pub index: usize,
}

/// One worker, running.
pub struct Worker {
    /// Waits for all sockets and the doorbell.
    poller: Poller,
    /// Listeners, by token.
    listeners: Vec<Listener>,
    /// The batch received last.
    inbox: Inbox,
    /// A stream's reply is written here, before it is sent as long as it is.
    stream_room: Box<[u8]>,
    /// What `forward` wants done.
    effects: Vec<Effect<Waiter>>,
    /// Empty, but for its room.
    applied: Vec<Effect<Waiter>>,
    /// When kernel drops are counted next.
    drops_due_ms: u64,
    /// The rest.
    parts: WorkerParts,
}

impl Worker {
    /// Puts a worker together.
    ///
    /// # Errors
    /// What `epoll(7)` says.
    pub fn new(mut parts: WorkerParts) -> io::Result<Self> {
        let poller = Poller::new()?;
        poller.add(&parts.mailbox.bell, BELL_TOKEN)?;
        let mut listeners = Vec::new();
        for (token, socket) in std::mem::take(&mut parts.sockets).into_iter().enumerate() {
            poller.add(&socket, token as u64)?;
            listeners.push(Listener { socket, outbox: Outbox::default(), drops: 0 });
        }
        let stream_room = vec![0; STREAM_OCTETS_MAX].into_boxed_slice();
        Ok(Self {
            poller,
            listeners,
            inbox: Inbox::default(),
            stream_room,
            effects: Vec::new(),
            applied: Vec::new(),
            drops_due_ms: 0,
            parts,
        })
    }

    /// Serves until told to stop; then answers what was received and what is in flight, in bounded time.
    pub fn run(mut self) {
        let mut ready = Vec::with_capacity(BATCH);
        while !self.parts.shutdown.begun() {
            self.guarded(|worker| worker.turn(&mut ready, IDLE_MS));
        }
        for listener in 0..self.listeners.len() {
            for _ in 0..DRAIN_BATCHES_MAX {
                if self.guarded(|worker| worker.receive(listener)).is_some_and(|count| count < BATCH) {
                    break;
                }
            }
        }
        // From here on only replies of upstreams are awaited.
        for listener in &self.listeners {
            self.poller.remove(&listener.socket).ok();
        }
        let deadline_ms = self.parts.clock.now_ms() + self.parts.finish_ms;
        while self.parts.forward.in_flight() > 0 && self.parts.clock.now_ms() < deadline_ms {
            self.guarded(|worker| worker.turn(&mut ready, DRAIN_LOOK_MS));
        }
        self.guarded(Self::give_up);
        self.count_drops();
    }

    /// Does something that is no one packet's; a panic in it is counted.
    fn guarded<T>(&mut self, work: impl FnOnce(&mut Self) -> T) -> Option<T> {
        let done = guard(|| work(self));
        if done.is_none() {
            self.parts.responder.shard().panics.bump();
        }
        done
    }

    /// Answers whoever still waits: nothing more is awaited.
    fn give_up(&mut self) {
        let now_ms = self.parts.clock.now_ms();
        self.parts.forward.end_all(now_ms, &mut self.effects);
        self.apply_effects(now_ms);
        self.flush();
    }

    /// Waits for something to do, at most `wait_ms`, and does it.
    fn turn(&mut self, ready: &mut Vec<u64>, wait_ms: u32) {
        let now_ms = self.parts.clock.now_ms();
        let due = self.parts.forward.next_deadline_ms().map(|at| at.saturating_sub(now_ms));
        let wait_ms = due.and_then(|due| u32::try_from(due).ok()).map_or(wait_ms, |due| due.min(wait_ms));
        if let Err(error) = self.poller.wait(wait_ms, ready) {
            tracing::error!(%error, "a worker cannot wait for its sockets");
            thread::sleep(Duration::from_millis(u64::from(DRAIN_LOOK_MS)));
        }
        for &token in ready.iter() {
            self.attend(token);
        }
        let now_ms = self.parts.clock.now_ms();
        self.parts.forward.on_tick(now_ms, &mut self.effects);
        self.apply_effects(now_ms);
        self.flush();
        if let Some(figure) = self.parts.in_flight.get(self.parts.index) {
            figure.store(self.parts.forward.in_flight(), Ordering::Relaxed);
        }
        if now_ms >= self.drops_due_ms {
            self.drops_due_ms = now_ms + u64::from(IDLE_MS);
            self.count_drops();
        }
    }

    /// Does what a ready source wants.
    fn attend(&mut self, token: u64) {
        if token == BELL_TOKEN {
            self.parts.mailbox.bell.hush();
            // Lets go of a retired generation even when no query comes.
            self.parts.rules.load();
            while let Some(letter) = self.parts.mailbox.take() {
                self.open(letter);
            }
        } else if token >= UPSTREAM_TOKENS {
            self.receive_upstream(token - UPSTREAM_TOKENS);
        } else if let Ok(listener) = usize::try_from(token) {
            for _ in 0..BATCHES_IN_A_ROW {
                if self.receive(listener) < BATCH {
                    break;
                }
            }
        }
    }

    /// Receives and answers one batch; gives its size.
    fn receive(&mut self, listener: usize) -> usize {
        let Self { listeners, inbox, effects, parts, .. } = self;
        let WorkerParts { rules, responder, forward, clock, .. } = parts;
        let Some(Listener { socket, outbox, .. }) = listeners.get_mut(listener) else { return 0 };
        // An error here is an ICMP's about an earlier reply, which is none of ours to mend.
        let Ok(count) = inbox.receive(socket.as_fd()) else { return 0 };
        let now_ms = clock.now_ms();
        let rules = rules.load();
        for index in 0..count {
            let asked = inbox.packet(index).zip(inbox.peer(index).filter(Peer::is_answerable));
            let Some((datagram, peer, address)) = asked.and_then(|(packet, peer)| Some((packet, peer, peer.ip()?)))
            else {
                responder.count(Transport::Udp, Counted::Dropped);
                continue;
            };
            let (client, packet) = match rules.proxies.identify(Client::direct(address, listener), datagram) {
                Ok(identified) => identified,
                Err(reason) => {
                    responder.shard().proxy_refused(reason).bump();
                    responder.count(Transport::Udp, Counted::Dropped);
                    continue;
                }
            };
            if outbox.room().is_none() {
                responder.shard().send_failures.add(outbox.flush(socket.as_fd()) as u64);
            }
            let Some(room) = outbox.room() else { continue };
            let reply = responder.guard(Transport::Udp, |responder| {
                match responder.respond(rules, packet, client, now_ms, room) {
                    Outcome::Silence => None,
                    Outcome::Reply(octets) => Some(octets),
                    Outcome::Forward(miss) => {
                        let (packet, asker) = (miss.query.trimmed(), Asker::Datagram { listener, peer });
                        let waiter = Waiter { packet, client, tenant: miss.tenant, asker };
                        let refused = forward.on_query(miss.key, waiter, now_ms, effects).err()?;
                        let (outcome, ede) = turned_away(responder, &refused);
                        responder.turn_away(Transport::Udp, &miss.query, outcome, ede, room)
                    }
                }
            });
            if let Some(octets) = reply.flatten() {
                outbox.commit(octets, &peer);
            }
        }
        responder.shard().send_failures.add(outbox.flush(socket.as_fd()) as u64);
        self.apply_effects(now_ms);
        count
    }

    /// Receives what one upstream socket holds.
    fn receive_upstream(&mut self, token: u64) {
        let Some((upstream, socket)) = UpstreamSockets::of_token(token) else { return };
        let now_ms = self.parts.clock.now_ms();
        for _ in 0..BATCHES_IN_A_ROW {
            let Some(fd) = self.parts.upstreams.get(upstream, socket) else { break };
            match self.inbox.receive(fd.as_fd()) {
                Ok(count) => {
                    let Self { inbox, effects, parts, .. } = self;
                    for packet in (0..count).filter_map(|index| inbox.packet(index)) {
                        let done = guard(|| parts.forward.on_udp_reply(upstream, socket, packet, now_ms, effects));
                        if done.is_none() {
                            parts.responder.shard().panics.bump();
                        }
                    }
                    if count < BATCH {
                        break;
                    }
                }
                Err(_) => {
                    self.parts.forward.on_udp_error(upstream, socket, now_ms, &mut self.effects);
                    break;
                }
            }
        }
        self.apply_effects(now_ms);
    }

    /// Does what a letter says.
    fn open(&mut self, letter: Letter) {
        let now_ms = self.parts.clock.now_ms();
        match letter {
            Letter::Query { client, tenant, key, packet, reply } => {
                let waiter = Waiter { packet, client, tenant, asker: Asker::Stream(reply) };
                self.forward_stream(key, waiter, now_ms);
            }
            Letter::Reply { slot, result } => {
                self.parts.forward.on_tcp_reply(
                    slot,
                    result.as_deref().map_err(|&failed| failed),
                    now_ms,
                    &mut self.effects,
                );
            }
        }
        self.apply_effects(now_ms);
    }

    /// Forwards a stream's miss.
    fn forward_stream(&mut self, key: Key, waiter: Waiter, now_ms: u64) {
        let Err(refused) = self.parts.forward.on_query(key, waiter, now_ms, &mut self.effects) else { return };
        let (outcome, ede) = turned_away(&self.parts.responder, &refused);
        let (Refused::Full { waiter, .. } | Refused::NoUpstream { waiter }) = refused;
        let packet = &*waiter.packet;
        let Some(query) = Header::read(packet).and_then(|header| Query::read(header, packet).ok()) else { return };
        let octets = self.parts.responder.turn_away(Transport::Tcp, &query, outcome, ede, &mut self.stream_room);
        send_to_stream(waiter.asker, octets.and_then(|octets| self.stream_room.get(..octets)));
    }

    /// Carries out what `forward` wants done, until it wants no more.
    fn apply_effects(&mut self, now_ms: u64) {
        while !self.effects.is_empty() {
            // Two vectors in turn, so that their room is kept.
            let mut effects = std::mem::replace(&mut self.effects, std::mem::take(&mut self.applied));
            for effect in effects.drain(..) {
                if guard(|| self.apply(effect, now_ms)).is_none() {
                    self.parts.responder.shard().panics.bump();
                }
            }
            self.applied = effects;
        }
    }

    /// Carries out one effect.
    fn apply(&mut self, effect: Effect<Waiter>, now_ms: u64) {
        let parts = &mut self.parts;
        match effect {
            Effect::SendUdp { upstream, socket, packet } => {
                if parts.upstreams.send(&self.poller, upstream, socket, packet.as_bytes()).is_err() {
                    parts.forward.on_udp_error(upstream, socket, now_ms, &mut self.effects);
                }
            }
            Effect::SendTcp { slot, upstream, packet, deadline_ms } => {
                let ask = TcpAsk { worker: parts.index, slot, packet: packet.as_bytes().into(), deadline_ms };
                if parts.tcp.get(upstream).is_none_or(|queue| queue.try_send(ask).is_err()) {
                    parts.responder.shard().limit(Limit::UpstreamTcp).bump();
                    parts.forward.on_tcp_reply(slot, Err(TcpFailed::Uncounted), now_ms, &mut self.effects);
                }
            }
            Effect::RenewSocket { upstream, socket } => parts.upstreams.renew(&self.poller, upstream, socket),
            Effect::Note { upstream, event } => note(&parts.responder, &parts.health, upstream, event, now_ms),
            Effect::Done { key, mut waiters, result } => {
                if let Ok(answer) = &result {
                    parts.responder.keep(&key, answer, now_ms);
                }
                if let Err(Failure::GaveWay(bound)) = result {
                    parts.responder.shard().limit(limit(bound)).add(waiters.len() as u64);
                }
                for waiter in waiters.drain(..) {
                    self.settle(waiter, &result, now_ms);
                }
                self.parts.forward.recycle(waiters);
            }
        }
    }

    /// Answers one waiter.
    fn settle(&mut self, waiter: Waiter, result: &Result<Arc<crate::cache::Answer>, Failure>, now_ms: u64) {
        let parts = &mut self.parts;
        let rules = parts.rules.load();
        match waiter.asker {
            Asker::Datagram { listener, peer } => {
                let Some(Listener { socket, outbox, .. }) = self.listeners.get_mut(listener) else { return };
                if outbox.room().is_none() {
                    parts.responder.shard().send_failures.add(outbox.flush(socket.as_fd()) as u64);
                }
                let Some(room) = outbox.room() else { return };
                let octets = parts.responder.guard(Transport::Udp, |responder| {
                    responder.settle(Transport::Udp, waiter.client, rules, &waiter.packet, result, now_ms, room)
                });
                if let Some(octets) = octets.flatten() {
                    outbox.commit(octets, &peer);
                }
            }
            asker @ Asker::Stream(_) => {
                let room = &mut self.stream_room;
                let octets = parts.responder.guard(Transport::Tcp, |responder| {
                    responder.settle(Transport::Tcp, waiter.client, rules, &waiter.packet, result, now_ms, room)
                });
                send_to_stream(asker, octets.flatten().and_then(|octets| self.stream_room.get(..octets)));
            }
        }
    }

    /// Sends what waits on every listener.
    fn flush(&mut self) {
        for Listener { socket, outbox, .. } in
            self.listeners.iter_mut().filter(|listener| listener.outbox.waiting() > 0)
        {
            self.parts.responder.shard().send_failures.add(outbox.flush(socket.as_fd()) as u64);
        }
    }

    /// Counts what the kernel dropped since the last look.
    fn count_drops(&mut self) {
        for Listener { socket, drops, .. } in &mut self.listeners {
            let now = receive_drops(socket.as_fd());
            self.parts.responder.shard().receive_drops.add(u64::from(now.wrapping_sub(*drops)));
            *drops = now;
        }
    }
}

/// Runs what is no one packet's; a panic is caught and `None`, for the caller to count. What it was doing is left as it was: the tables of `forward`
/// hold no reference that could dangle, and a slot left open runs into its time limit.
fn guard<T>(work: impl FnOnce() -> T) -> Option<T> {
    catch_unwind(AssertUnwindSafe(work)).ok()
}

/// Hands a stream its reply; without one, its task learns it from the sender going away.
fn send_to_stream(asker: Asker, reply: Option<&[u8]>) {
    if let (Asker::Stream(sender), Some(octets)) = (asker, reply) {
        // The connection may have ended meanwhile.
        sender.send(octets.into()).ok();
    }
}

/// What a bound of the forwarder's is counted as.
const fn limit(bound: Bound) -> Limit {
    match bound {
        Bound::InFlight => Limit::InFlight,
        Bound::Waiting => Limit::Waiting,
        Bound::WaitingPerClient => Limit::WaitingPerClient,
    }
}

/// Why a miss was not taken: how it is counted, and what the client is told.
fn turned_away(responder: &Responder, refused: &Refused<Waiter>) -> (Counted, Ede) {
    match refused {
        Refused::Full { bound, .. } => {
            responder.shard().limit(limit(*bound)).bump();
            (Counted::Overload, Ede::OTHER)
        }
        Refused::NoUpstream { .. } => (Counted::Failed, Ede::NO_REACHABLE_AUTHORITY),
    }
}

/// Counts what `forward` noticed, and tells the others whether an upstream answers.
fn note(responder: &Responder, health: &UpstreamHealth, upstream: usize, event: Event, now_ms: u64) {
    let shard = responder.shard().upstream(upstream);
    match event {
        Event::SentUdp => shard.sent_udp.bump(),
        Event::SentTcp => shard.sent_tcp.bump(),
        Event::Reply { micros } => {
            shard.observe_latency(micros);
            health.replied(upstream, now_ms);
        }
        Event::Timeout => shard.timeouts.bump(),
        Event::Error => shard.errors.bump(),
        Event::Rejected => shard.rejected.bump(),
        Event::Coalesced => responder.shard().coalesced.bump(),
        Event::Silent { sent_ms } => health.fell_silent(upstream, sent_ms),
        Event::Recovered => health.replied(upstream, now_ms),
    }
}
