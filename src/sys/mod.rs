//! What the operating system gives, and the only room with `unsafe`: batched datagrams, sockets, readiness, process limits.
//!
//! Linux only. Everything public here is safe to call; each `unsafe` block says why it holds.

mod batch;
mod poll;
mod process;
mod socket;

pub use batch::{BATCH, Inbox, Outbox, Peer};
pub use poll::{Doorbell, Poller};
pub use process::{
    forbid_core_dumps, ignore_meaningless_signals, lower_priority, map_large_blocks, open_files_limit, trim_memory,
};
pub use socket::{
    BindError, bind_tcp, bind_udp, connect_udp, ephemeral_ports, granted_receive_buffer, probe, receive_drops,
    spread_at_random,
};
