//! Upstreams as a worker and the runtime see them.
//!
//! ```text
//!  worker ─► UpstreamSockets         UDP: the worker's own sockets
//!     └────► TcpAsk, a queue an upstream ─► its task ─► Lines, which decides ─► a connection's task ─► the upstream
//!                                              └──────── Letter::Reply ◄────────────────┘
//! ```
//!
//! * `sockets`: one worker's UDP sockets.
//! * `line`, `lines`: which question goes over which connection, and what follows from what comes back; no I/O.
//! * `tcp`: the tasks that do what `lines` decides.

mod line;
mod lines;
mod sockets;
mod tcp;

#[cfg(test)]
mod simulation;

pub use lines::LINES_PER_UPSTREAM_MAX;
pub use sockets::{UpstreamSockets, sockets_per_upstream};
pub use tcp::{TcpAsk, TcpAskers, TcpParts, TcpQueues, ask_over_tcp, tcp_queues};

pub(super) use sockets::UPSTREAM_TOKENS;
