//! The forwarder's settings.

use std::net::SocketAddr;
use std::ops::RangeInclusive;

/// The most servers of one group.
pub const GROUP_SERVERS_MAX: usize = 16;
/// The most groups beside the unnamed one (a guess: a group is a region or a customer's own resolvers).
pub const GROUPS_MAX: usize = 64;
/// The most upstreams, which are the different servers of all groups: a flight has a bit for each, a worker's counters a place.
pub const UPSTREAMS_MAX: usize = 64;

/// Servers asked in place of the unnamed group's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// The operator's name for it.
    pub name: String,
    /// In order of preference, at most [`GROUP_SERVERS_MAX`], each once. Empty: nothing is forwarded for it.
    pub servers: Vec<SocketAddr>,
}

/// Whom to ask, and how long to wait.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Group 0, which has no name: in order of preference, at most [`GROUP_SERVERS_MAX`], each once. Empty: nothing is forwarded for it, every
    /// miss is SERVFAIL.
    pub servers: Vec<SocketAddr>,
    /// Group 1 and on, at most [`GROUPS_MAX`], each name once. A server of several groups is one upstream.
    pub groups: Vec<Group>,
    /// How long one try over UDP waits before the next upstream is asked, milliseconds.
    pub timeout_ms: u32,
    /// How long a query may take in all before it is SERVFAIL, milliseconds.
    pub budget_ms: u32,
    /// The most questions in flight in one worker; for one more somebody gives way.
    pub in_flight_max: usize,
    /// The most memory that the queries waiting in one worker may take, MiB; for more somebody gives way.
    pub waiting_max_mb: u32,
    /// The most queries of one client network that may wait in one worker; one more is SERVFAIL.
    pub waiting_per_client_max: usize,
    /// The most questions that wait for a connection to one upstream, of all workers; one more is asked of the next upstream. A worker hands over
    /// hundreds before their task's thread runs: with 256, 3 to 5 % of 640 at once were turned away though connections had room.
    pub tcp_waiting_max: usize,
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
    /// What `waiting_max_mb` may be: a MiB holds some 5,000 queries.
    pub const WAITING_MAX_MB: RangeInclusive<u32> = 1..=4096;
    /// What `waiting_per_client_max` may be: a balancer without PROXY headers is one client for all behind it.
    pub const WAITING_PER_CLIENT_MAX: RangeInclusive<usize> = 1..=1_048_576;

    /// [`Self::waiting_max_mb`] in octets.
    #[must_use]
    pub const fn waiting_max_octets(&self) -> usize {
        (self.waiting_max_mb as usize).saturating_mul(1 << 20)
    }

    /// What `tcp_waiting_max` may be (a guess; each is some 300 octets).
    pub const TCP_WAITING_MAX: RangeInclusive<usize> = 1..=65_536;

    /// The number of the group with this name, as a [`Key`](crate::cache::Key) has it; 0 is the one without.
    #[must_use]
    pub fn group(&self, name: &str) -> Option<u16> {
        let place = self.groups.iter().position(|group| group.name == name)?;
        u16::try_from(place + 1).ok()
    }

    /// Every group's servers, by number.
    pub fn groups(&self) -> impl Iterator<Item = &[SocketAddr]> {
        std::iter::once(&self.servers).chain(self.groups.iter().map(|group| &group.servers)).map(Vec::as_slice)
    }

    /// The upstreams: every server once, in the order of the groups, at most [`UPSTREAMS_MAX`]. Their places here are what effects name.
    #[must_use]
    pub fn upstreams(&self) -> Vec<SocketAddr> {
        let mut upstreams = Vec::new();
        for &server in self.groups().flatten() {
            if upstreams.len() < UPSTREAMS_MAX && !upstreams.contains(&server) {
                upstreams.push(server);
            }
        }
        upstreams
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            servers: Vec::new(),
            groups: Vec::new(),
            timeout_ms: 800,
            budget_ms: 2500,
            in_flight_max: 8192,
            // Some 80,000 queries: ten for each question in flight.
            waiting_max_mb: 16,
            // A quarter of what may be in flight; Unbound's wait-limit is 1,000.
            waiting_per_client_max: 2048,
            tcp_waiting_max: 1024,
            randomize_case: true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_of_several_groups_is_one_upstream() {
        let servers = |ports: &[u16]| ports.iter().map(|&port| SocketAddr::from(([192, 0, 2, 1], port))).collect();
        let group = |name: &str, ports: &[u16]| Group { name: name.to_owned(), servers: servers(ports) };
        let groups = vec![group("eu", &[3, 1]), group("us", &[4, 3]), group("none", &[])];
        let config = Config { servers: servers(&[1, 2]), groups, ..Config::default() };
        let expected: Vec<SocketAddr> = servers(&[1, 2, 3, 4]);
        assert_eq!(config.upstreams(), expected);
        assert_eq!(
            ["eu", "us", "none", "", "x"].map(|name| config.group(name)),
            [Some(1), Some(2), Some(3), None, None]
        );
        let many: Vec<u16> = (1..=100).collect();
        assert_eq!(Config { groups: vec![group("many", &many)], ..config }.upstreams().len(), UPSTREAMS_MAX);
    }
}
