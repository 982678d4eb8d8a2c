//! Two doors: HTTP, for aggregates that anybody may read; a Unix socket (0600), for the operator's commands.
//!
//! HTTP cannot change anything and cannot be asked about a name. The socket may be, because only the server's own user can open it: a name
//! that comes in by it goes out by it, in the [`Explanation`], and nowhere else; no type of this room shows one in its `Debug`.

mod ask;
mod config;
mod http;
mod paths;
mod protocol;
mod slots;
mod socket;

pub use ask::{AskError, ask, find_server};
pub use config::{Config, SocketChoice};
pub use http::{HTTP_CONNECTIONS_MAX, HttpError, serve_http};
pub use paths::SocketError;
pub use protocol::{
    Asker, Explanation, FeedDifferences, FeedSummary, GenerationSummary, LINE_OCTETS_MAX, Opinion, REPLY_OCTETS_MAX,
    Reply, Request, Rule, Status, Verdict, Word,
};
pub use socket::{AdminSocket, Control, Fault, SOCKET_CONNECTIONS_MAX};

/// Whether the server is to stop: set to true once, or its sender dropped.
pub type Stop = tokio::sync::watch::Receiver<bool>;

/// Waits until the server is to stop.
async fn stopped(mut stop: Stop) {
    // An error means that the sender is gone, and with it the server.
    drop(stop.wait_for(|stop| *stop).await);
}
