//! The listeners' settings.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::ops::RangeInclusive;

use ipnet::IpNet;
use serde::Deserialize;

/// The most addresses one server listens on.
pub const LISTEN_MAX: usize = 64;
/// The most workers.
pub const WORKERS_MAX: usize = 256;

/// How the kernel deals queries out to workers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Spread {
    /// By the client's address and port: a flow stays with one worker.
    Flow,
    /// At random: for few flows, as behind a load balancer.
    Random,
}

/// How the log is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LogFormat {
    /// A line of text an event.
    Text,
    /// A line of JSON an event.
    Json,
}

/// Where to listen and what to bear.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// UDP and TCP, at most [`LISTEN_MAX`].
    pub listen: Vec<SocketAddr>,
    /// Worker threads, at most [`WORKERS_MAX`]; 0: one a core.
    pub workers: usize,
    /// How queries are dealt out to workers.
    pub spread: Spread,
    /// What each UDP socket asks the kernel for, KiB; what was granted is reported.
    pub receive_buffer_kb: u32,
    /// The most TCP connections at once.
    pub tcp_connections_max: usize,
    /// The most TCP connections of one client network.
    pub tcp_connections_per_client_max: usize,
    /// A TCP connection that is silent for this long is closed, seconds (RFC 7766 §6.2.3).
    pub tcp_idle_secs: u32,
    /// How long queries are still answered after SIGTERM, while `/readyz` says that none should be sent any more, seconds.
    pub drain_secs: u32,
    /// How the log is written.
    pub log_format: LogFormat,
}

impl Config {
    /// The place of a listener.
    #[must_use]
    pub fn place(&self, address: SocketAddr) -> Option<u8> {
        u8::try_from(self.listen.iter().position(|listen| *listen == address)?).ok()
    }

    /// What `workers` may be.
    pub const WORKERS: RangeInclusive<usize> = 0..=WORKERS_MAX;
    /// What `receive_buffer_kb` may be: from the least that holds one batch of 64 packets to 1 GiB.
    pub const RECEIVE_BUFFER_KB: RangeInclusive<u32> = 64..=1_048_576;
    /// What `tcp_connections_max` may be: up to the ports of one client address; 0 refuses them all.
    pub const TCP_CONNECTIONS_MAX: RangeInclusive<usize> = 0..=65_535;
    /// What `tcp_connections_per_client_max` may be.
    pub const TCP_CONNECTIONS_PER_CLIENT_MAX: RangeInclusive<usize> = 1..=65_535;
    /// What `tcp_idle_secs` may be: up to two minutes, what RFC 1035 §4.2.2 asked for before RFC 7766 shortened it to seconds.
    pub const TCP_IDLE_SECS: RangeInclusive<u32> = 1..=120;
    /// What `drain_secs` may be: under the 90 s after which systemd kills a unit that does not stop.
    pub const DRAIN_SECS: RangeInclusive<u32> = 0..=60;
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: vec![SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 1053)],
            workers: 0,
            spread: Spread::Flow,
            receive_buffer_kb: 4096,
            tcp_connections_max: 1024,
            tcp_connections_per_client_max: 128,
            tcp_idle_secs: 10,
            drain_secs: 5,
            log_format: LogFormat::Text,
        }
    }
}

/// Which clients may ask.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessConfig {
    /// Networks whose clients are answered; everyone else is REFUSED.
    pub allow: Vec<IpNet>,
}

impl AccessConfig {
    /// The most networks (a guess: a provider's customers have some hundred).
    pub const NETWORKS_MAX: usize = 4096;
}

/// Who asks for others.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ProxyConfig {
    /// Networks of load balancers, which put a PROXY header in front of whatever they send. None at first.
    pub from: Vec<IpNet>,
}

impl ProxyConfig {
    /// The most networks (a guess: a fleet has some dozen balancers).
    pub const NETWORKS_MAX: usize = 1024;
}

impl Default for AccessConfig {
    /// Loopback, private and link-local networks (RFC 1122, 1918, 3927, 4193, 4291).
    fn default() -> Self {
        let allow = [
            "127.0.0.0/8",
            "10.0.0.0/8",
            "172.16.0.0/12",
            "192.168.0.0/16",
            "169.254.0.0/16",
            "::1/128",
            "fc00::/7",
            "fe80::/10",
        ];
        Self { allow: allow.iter().filter_map(|network| network.parse().ok()).collect() }
    }
}
