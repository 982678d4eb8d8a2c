//! Sockets, workers, listeners, limits; and [`Responder`], which turns a packet into its reply without any of them.

mod access;
mod chain;
mod client;
mod clock;
mod config;
mod health;
mod mailbox;
mod networks;
mod proxy;
mod respond;
mod rules;
mod sink;
mod stream;
mod upstream;
mod worker;

pub use access::Access;
pub use client::Client;
pub use clock::Clock;
pub use config::{AccessConfig, Config, LISTEN_MAX, LogFormat, ProxyConfig, Spread, WORKERS_MAX};
pub use health::UpstreamHealth;
pub use mailbox::{Letter, Mailbox, Post, mailbox};
pub use proxy::{Proxies, ProxyHeader};
pub use respond::{Miss, Outcome, Responder};
pub use rules::Rules;
pub use stream::{StreamParts, serve_streams};
pub use upstream::{
    LINES_PER_UPSTREAM_MAX, TcpAsk, TcpAskers, TcpParts, TcpQueues, UpstreamSockets, ask_over_tcp,
    sockets_per_upstream, tcp_queues,
};
pub use worker::{Shutdown, Waiter, Worker, WorkerParts};
