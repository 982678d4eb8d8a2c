//! `[upstream]` and `[[upstream-group]]`: whom to ask.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use super::reader::{Placed, Section};
use super::resolv::System;
use super::rooms::{WORD, or, word};
use super::{Settings, Warning};
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

/// Where upstreams come from that the file does not name.
pub(super) struct Unnamed<'u> {
    /// What the system says.
    pub(super) system: &'u System,
    /// Where this server listens.
    pub(super) listen: &'u [SocketAddr],
    /// What if the system names nobody.
    pub(super) otherwise: Otherwise<'u>,
}

/// What becomes of a file that names no upstreams where the system names none that can be asked.
#[derive(Clone, Copy)]
pub(super) enum Otherwise<'u> {
    /// It is a fault: what is to serve would answer SERVFAIL to nearly everyone.
    Fault,
    /// The server that runs goes on with those it has.
    InForce(&'u Settings),
    /// It is a warning: nobody is going to be asked.
    Warning,
}

/// `[upstream]`, read.
pub(super) struct Read {
    /// Its servers as written, this server's own addresses not yet taken out.
    pub(super) config: forward::Config,
    /// See [`Settings::name_servers_of`].
    pub(super) name_servers_of: Option<PathBuf>,
    /// What is odd about the system's name servers.
    pub(super) warnings: Vec<Warning>,
}

/// The servers of the system, for a file that names none.
fn of_system(section: &Section<'_, '_>, unnamed: &Unnamed<'_>) -> (Vec<SocketAddr>, Vec<Warning>) {
    match (unnamed.system.others(unnamed.listen), unnamed.otherwise) {
        (Ok(found), _) => found,
        (Err(_), Otherwise::InForce(settings)) => (settings.upstream.servers.clone(), Vec::new()),
        (Err(_), Otherwise::Warning) => unnamed.system.servers(),
        (Err(problem), Otherwise::Fault) => {
            section.note("servers", problem);
            (Vec::new(), Vec::new())
        }
    }
}

/// `[upstream]`.
pub(super) fn upstream(section: &mut Section<'_, '_>, unnamed: &Unnamed<'_>) -> Read {
    use forward::Config;
    let default = Config::default();
    section.replaced("waiters-max", "waiting-max-mb and waiting-per-client-max, which bound all that wait in a worker");
    let is_named = section.has("servers");
    let named = servers(section, 0).map_or_else(Vec::new, |placed| placed.value);
    let (servers, warnings) = if is_named { (named, Vec::new()) } else { of_system(section, unnamed) };
    let timeout = section.number("timeout-ms", &Config::TIMEOUT_MS);
    let budget = section.number("budget-ms", &Config::BUDGET_MS);
    let timeout_ms = timeout.as_ref().map_or(default.timeout_ms, |placed| placed.value);
    let budget_ms = budget.as_ref().map_or(default.budget_ms, |placed| placed.value);
    if let (true, Some(placed)) = (budget_ms < timeout_ms, budget.as_ref().or(timeout.as_ref())) {
        section
            .refuse(placed, &format!("upstream.budget-ms ({budget_ms}) at least upstream.timeout-ms ({timeout_ms})"));
    }
    let config = Config {
        servers,
        groups: Vec::new(),
        timeout_ms,
        budget_ms,
        in_flight_max: or(section.number("in-flight-max", &Config::IN_FLIGHT_MAX), default.in_flight_max),
        waiting_max_mb: or(section.number("waiting-max-mb", &Config::WAITING_MAX_MB), default.waiting_max_mb),
        waiting_per_client_max: or(
            section.number("waiting-per-client-max", &Config::WAITING_PER_CLIENT_MAX),
            default.waiting_per_client_max,
        ),
        tcp_waiting_max: or(section.number("tcp-waiting-max", &Config::TCP_WAITING_MAX), default.tcp_waiting_max),
        randomize_case: or(section.value("randomize-case", "true or false"), default.randomize_case),
    };
    Read { config, name_servers_of: (!is_named).then(|| unnamed.system.path.clone()), warnings }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::{embedded_with, read, restart_keys, testing};
    use super::*;

    #[test]
    fn without_upstreams_those_of_the_system_are_asked() {
        let path = Path::new("c.toml");
        let feed = "[[feed]]\nname='s'\nsource='sample'\n";
        let system = testing::system("nameserver 192.0.2.1\nnameserver fe80::1%eth0\nnameserver 127.0.0.1\n");
        let text = format!("[server]\nlisten = ['127.0.0.1:53']\n[upstream]\ntimeout-ms = 700\n{feed}");
        let settings = read(&text, path, &system, Otherwise::Fault).unwrap();
        let without = embedded_with(&system);
        assert_eq!(settings.upstream.servers, ["192.0.2.1:53".parse().unwrap()]);
        assert_eq!(settings.name_servers_of, without.name_servers_of);
        let left: Vec<String> = settings.warnings.iter().map(ToString::to_string).collect();
        assert!(left.len() == 2 && left[0].contains(":2: name server left out") && left[1].contains("127.0.0.1:53"));
        for named in ["servers = ['192.0.2.9']", "servers = []"] {
            let settings = read(&format!("[upstream]\n{named}\n{feed}"), path, &system, Otherwise::Fault).unwrap();
            assert_eq!(settings.name_servers_of, None, "{named}");
            assert!(!settings.upstream.servers.contains(&"192.0.2.1:53".parse().unwrap()), "{named}");
        }
    }

    #[test]
    fn a_system_that_names_nobody_is_a_fault_but_not_of_a_server_that_runs() {
        let path = Path::new("c.toml");
        let text = "\n[upstream]\ntimeout-ms = 700\n[server]\nlisten = ['127.0.0.1:53']\n";
        let own = testing::system("nameserver 127.0.0.1");
        let faults = read(text, path, &own, Otherwise::Fault).unwrap_err();
        let want = "c.toml:2: upstream.servers: expected servers to ask, got no such key, and /etc/resolv.conf names none that can be asked: \
                    127.0.0.1:53 is this server; set it, or [] to ask nobody";
        assert_eq!(faults.to_string(), want);
        let in_force = read(text, path, &testing::system("nameserver 192.0.2.1"), Otherwise::Fault).unwrap();
        let again = read(text, path, &own, Otherwise::InForce(&in_force)).unwrap();
        assert_eq!((restart_keys(&in_force, &again), &again.upstream), (vec![], &in_force.upstream));
        let looked_at = read(text, path, &own, Otherwise::Warning).unwrap();
        assert!(looked_at.upstream.servers.is_empty() && looked_at.warnings.contains(&Warning::NoUpstream));
    }
}
