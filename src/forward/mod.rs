//! The forwarder: a state machine that time, randomness and octets go into and [`Effect`]s come out of.
//!
//! It has no socket, no clock, no thread and no log: who drives it sends what it says, hands in what comes back, and calls
//! [`Forward::on_tick`] when [`Forward::next_deadline_ms`] says. So lost, late, doubled, reordered and forged replies are tested by simulation.
//!
//! ```text
//!  on_query ──► joined to a flight of the same key ─────────────────────────────┐
//!     └────► a new flight ─► a try: upstream, socket, id, letters ─► SendUdp     │
//!  on_udp_reply ─► check ─┬─ not believed ──────► counted; too many: over TCP    │
//!                         ├─ TC, letters differ ─► SendTcp, same upstream; if    │
//!                         │                        its TCP rests, the next one   │
//!                         ├─ FORMERR, no OPT ────► once more without EDNS        │
//!                         ├─ SERVFAIL and such ──► the next upstream             ▼
//!                         └─ NOERROR, NXDOMAIN ──────────────────────────────► Done
//!  on_tick ─► a try's time is over ─► the next upstream; the flight's is ─────► Done
//! ```
//!
//! What it keeps is bounded: flights, the memory of who waits, tries of a flight, timers; and when there is no more room, whoever asks for most
//! gives way (`shares`). A query forwarded and answered costs no allocation here but
//! the answer's own two, once the tables have grown.

mod check;
mod config;
mod flights;
mod machine;
mod packet;
mod shares;
mod sockets;
mod upstream;

#[cfg(test)]
mod simulation;
#[cfg(test)]
mod tests;

use std::sync::Arc;

pub use config::{Config, GROUP_SERVERS_MAX, GROUPS_MAX, Group, UPSTREAMS_MAX};
pub use flights::Slot;
pub use machine::Forward;
pub use packet::Packet;
pub use shares::{Share, Waiting};

use crate::cache::{Answer, Key};
use crate::wire::Ede;

/// What the driver of a [`Forward`] has to do, in the order given.
#[derive(Debug)]
pub enum Effect<W> {
    /// Send over UDP.
    SendUdp {
        /// To whom: its place among [`Config::upstreams`].
        upstream: usize,
        /// From which of that upstream's sockets.
        socket: u16,
        /// What.
        packet: Packet,
    },
    /// Ask over TCP, and hand the outcome to [`Forward::on_tcp_reply`].
    SendTcp {
        /// What the outcome belongs to.
        slot: Slot,
        /// To whom.
        upstream: usize,
        /// What; its length octets are the driver's to add.
        packet: Packet,
        /// When its flight ends: after that nobody waits for the outcome.
        deadline_ms: u64,
    },
    /// Close this socket and open another in its place, with another source port: nothing waits for a reply on it.
    RenewSocket {
        /// Whose.
        upstream: usize,
        /// Which.
        socket: u16,
    },
    /// Something to count.
    Note {
        /// Of which upstream.
        upstream: usize,
        /// What.
        event: Event,
    },
    /// A flight has ended.
    Done {
        /// What was asked.
        key: Key,
        /// Who asked. Handed back by [`Forward::recycle`], its room is used again.
        waiters: Vec<W>,
        /// What came of it: NOERROR or NXDOMAIN, else the reason for a SERVFAIL.
        result: Result<Arc<Answer>, Failure>,
    },
}

/// What is counted of an upstream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// A query was sent over UDP.
    SentUdp,
    /// A query was sent over TCP.
    SentTcp,
    /// A reply was believed and answers the question.
    Reply {
        /// Time since that try was sent, microseconds, in steps of the clock handed in.
        micros: u64,
    },
    /// A try got no reply in time.
    Timeout,
    /// A reply with an error code, a connection that failed, a port that is closed.
    Error,
    /// A reply was not believed.
    Rejected,
    /// A query joined one in flight.
    Coalesced,
    /// It was silent too often in a row, the last time to a try sent at `sent_ms`, and rests. Again after each probe that fails.
    Silent {
        /// When that try was sent.
        sent_ms: u64,
    },
    /// It replied for the first time since it was [`Silent`](Self::Silent).
    Recovered,
}

/// Why nobody gets an answer; each is SERVFAIL to clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// No upstream answered within the budget.
    Timeout,
    /// All that answered said they cannot; with the first EDE of theirs.
    Upstream(Option<Ede>),
    /// No upstream could be reached at all.
    Network,
    /// It gave way to somebody who asks for less.
    GaveWay(Bound),
}

/// A bound on what may wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bound {
    /// [`Config::in_flight_max`].
    InFlight,
    /// [`Config::waiting_max_mb`].
    Waiting,
    /// [`Config::waiting_per_client_max`].
    WaitingPerClient,
}

impl Failure {
    /// What a client's EDE says of it (RFC 8914 §4.23, §4.24).
    #[must_use]
    pub const fn ede(self) -> Option<Ede> {
        match self {
            Self::Timeout => Some(Ede::NO_REACHABLE_AUTHORITY),
            Self::Upstream(ede) => ede,
            Self::Network => Some(Ede::NETWORK_ERROR),
            Self::GaveWay(_) => Some(Ede::OTHER),
        }
    }
}

/// Why a query was not taken; its waiter comes back.
#[derive(Debug, PartialEq, Eq)]
pub enum Refused<W> {
    /// A bound is reached, and nobody asks for so much more that he should give way.
    Full {
        /// Who asked.
        waiter: W,
        /// Which.
        bound: Bound,
    },
    /// Its group has no upstream.
    NoUpstream {
        /// Who asked.
        waiter: W,
    },
}

/// Why a query over TCP got no reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TcpFailed {
    /// Not connected, or closed without a reply.
    NoReply,
    /// For a limit of ours, or as another query did whose failure is told: this one says nothing of the upstream.
    Uncounted,
}
