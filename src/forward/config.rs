//! The forwarder's settings.

use std::net::SocketAddr;
use std::ops::RangeInclusive;

/// The most upstreams one server may have.
pub const UPSTREAMS_MAX: usize = 16;

/// Whom to ask, and how long to wait.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// In order of preference, at most [`UPSTREAMS_MAX`]. Empty: nothing is forwarded, every miss is SERVFAIL.
    pub servers: Vec<SocketAddr>,
    /// How long one try over UDP waits before the next upstream is asked, milliseconds.
    pub timeout_ms: u32,
    /// How long a query may take in all before it is SERVFAIL, milliseconds.
    pub budget_ms: u32,
    /// The most queries in flight in one worker; one more is SERVFAIL.
    pub in_flight_max: usize,
    /// The most clients that wait for one query in flight; one more is SERVFAIL.
    pub waiters_max: usize,
    /// Whether letter case is randomised (draft-vixie-dnsext-dns0x20).
    pub randomize_case: bool,
}

impl Config {
    /// What `timeout_ms` may be: from one fast network's round trip to the stub resolvers' own usual patience of 5 s, doubled.
    pub const TIMEOUT_MS: RangeInclusive<u32> = 10..=10_000;
    /// What `budget_ms` may be: nobody waits longer than half a minute for a name.
    pub const BUDGET_MS: RangeInclusive<u32> = 10..=30_000;
    /// What `in_flight_max` may be: an upstream's ids are 16 bits.
    pub const IN_FLIGHT_MAX: RangeInclusive<usize> = 1..=65_536;
    /// What `waiters_max` may be (a guess; each is a few dozen octets).
    pub const WAITERS_MAX: RangeInclusive<usize> = 1..=4096;
}

impl Default for Config {
    fn default() -> Self {
        Self {
            servers: Vec::new(),
            timeout_ms: 800,
            budget_ms: 2500,
            in_flight_max: 8192,
            waiters_max: 256,
            randomize_case: true,
        }
    }
}
