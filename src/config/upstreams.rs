//! `[upstream]` and `[[upstream-group]]`: whom to ask.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use super::reader::{Placed, Section};
use super::rooms::{WORD, or, word};
use crate::forward;

/// The port of DNS (RFC 1035 §4.2).
const DNS_PORT: u16 = 53;
/// What a server is written as.
const SERVER: &str = "a server's address, as \"192.0.2.53\", \"192.0.2.53:5353\" or \"[2001:db8::53]:53\"";

/// An address, with the port of DNS where none is given.
fn server_address(text: &str) -> Option<SocketAddr> {
    let address = text.parse().or_else(|_| text.parse().map(|ip: IpAddr| SocketAddr::new(ip, DNS_PORT))).ok()?;
    (address.port() != 0 && !address.ip().is_unspecified() && !address.ip().is_multicast()).then_some(address)
}

/// The servers of a group, at least `least`, each once.
fn servers(section: &mut Section<'_, '_>, least: usize) -> Option<Placed<Vec<SocketAddr>>> {
    let list = section.list("servers", SERVER, least..=forward::GROUP_SERVERS_MAX, server_address)?;
    for (place, item) in list.value.iter().enumerate() {
        if list.value.iter().take(place).any(|before| before.value == item.value) {
            section.refuse(item, "each server once");
        }
    }
    Some(list.map(|items| items.into_iter().map(|item| item.value).collect()))
}

/// `[[upstream-group]]`; `upstream` has the groups before it. This server's own addresses are not yet taken out.
pub(super) fn upstream_group(section: &mut Section<'_, '_>, upstream: &forward::Config) -> Option<forward::Group> {
    let name = if section.has("name") { section.text("name", WORD, word) } else { section.missing("name", WORD) };
    if let Some(placed) = name.as_ref().filter(|name| upstream.group(&name.value).is_some()) {
        section.refuse(placed, "a name that no other group has");
    }
    let servers = if section.has("servers") {
        servers(section, 1)
    } else {
        section.missing("servers", &format!("a list, each item {SERVER}"))
    };
    let known = upstream.upstreams();
    let is_fresh = |server: &&SocketAddr| !known.contains(server);
    let over =
        |servers: &Vec<SocketAddr>| known.len() + servers.iter().filter(is_fresh).count() > forward::UPSTREAMS_MAX;
    if let Some(placed) = servers.as_ref().filter(|placed| over(&placed.value)) {
        section.refuse(placed, &format!("at most {} different servers in all groups", forward::UPSTREAMS_MAX));
    }
    Some(forward::Group { name: name?.value, servers: servers?.value })
}

/// `[upstream]`; `servers` as written, this server's own addresses not yet taken out.
pub(super) fn upstream(section: &mut Section<'_, '_>) -> forward::Config {
    use forward::Config;
    let default = Config::default();
    let servers = servers(section, 0);
    let timeout = section.number("timeout-ms", &Config::TIMEOUT_MS);
    let budget = section.number("budget-ms", &Config::BUDGET_MS);
    let timeout_ms = timeout.as_ref().map_or(default.timeout_ms, |placed| placed.value);
    let budget_ms = budget.as_ref().map_or(default.budget_ms, |placed| placed.value);
    if let (true, Some(placed)) = (budget_ms < timeout_ms, budget.as_ref().or(timeout.as_ref())) {
        section
            .refuse(placed, &format!("upstream.budget-ms ({budget_ms}) at least upstream.timeout-ms ({timeout_ms})"));
    }
    Config {
        servers: servers
            .map_or_else(|| vec![SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), DNS_PORT)], |placed| placed.value),
        groups: Vec::new(),
        timeout_ms,
        budget_ms,
        in_flight_max: or(section.number("in-flight-max", &Config::IN_FLIGHT_MAX), default.in_flight_max),
        waiters_max: or(section.number("waiters-max", &Config::WAITERS_MAX), default.waiters_max),
        randomize_case: or(section.value("randomize-case", "true or false"), default.randomize_case),
    }
}
