//! What works, but hardly as it was meant ([`Warning`]).

use std::collections::HashSet;
use std::net::SocketAddr;
use std::path::PathBuf;

use ipnet::IpNet;

use super::Settings;
use crate::policy::SinkConfig;

/// Something that works, but hardly as it was meant.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Warning {
    /// Nothing would be sunk.
    #[error("no [[feed]] is set: nothing is sunk")]
    NoFeed,
    /// Nothing would be forwarded.
    #[error("upstream.servers names no other server: names that are not listed get SERVFAIL; set upstream.servers")]
    NoUpstream,
    /// Nothing would be forwarded for a group.
    #[error("upstream-group {group} names no other server: names that are not listed get SERVFAIL from it")]
    NoGroupUpstream {
        /// The group's name.
        group: String,
    },
    /// An upstream is this very server; asking it would go round for ever.
    #[error("upstream {upstream} is left out: this server listens there (server.listen {listen})")]
    OwnAddress {
        /// The upstream.
        upstream: SocketAddr,
        /// The listener that would receive what is sent there.
        listen: SocketAddr,
    },
    /// Nobody can ask from there.
    #[error("tenant {tenant}: networks that access.allow lets nobody ask from: {networks}")]
    NoAccess {
        /// Whose.
        tenant: String,
        /// How many.
        networks: usize,
    },
    /// Clients that do not follow aliases themselves learn no address.
    #[error(
        "{of}: the walled garden has no ipv4 or ipv6 beside it, and no [[zone]] holds it: clients that do not follow a CNAME get no address"
    )]
    NoGardenAddress {
        /// The section, by the name of its feed or tenant.
        of: String,
    },
    /// The system's list of name servers cannot be read.
    #[error("{}: cannot be read: {kind}", .path.display())]
    ResolvUnreadable {
        /// The list.
        path: PathBuf,
        /// Why.
        kind: std::io::ErrorKind,
    },
    /// A name server of the system's that cannot be asked.
    #[error("{}:{line}: name server left out: {why}", .path.display())]
    ResolvLine {
        /// The list.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// Why.
        why: ResolvFlaw,
    },
}

/// Why a `nameserver` line is left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ResolvFlaw {
    /// A link-local address that names its interface.
    #[error("an address with a zone (%interface) is not supported")]
    Scoped,
    /// No address.
    #[error("expected an IP address")]
    NoAddress,
    /// One more than [`GROUP_SERVERS_MAX`](crate::forward::GROUP_SERVERS_MAX).
    #[error("expected at most {} name servers", crate::forward::GROUP_SERVERS_MAX)]
    TooMany,
}

/// What is odd about settings that are free of faults, feeds and files not looked at.
pub(super) fn warnings(settings: &Settings) -> Vec<Warning> {
    let mut warnings = Vec::new();
    if settings.feeds.is_empty() {
        warnings.push(Warning::NoFeed);
    }
    let of_feeds = settings.policy_feeds.iter().map(|feed| (format!("feed {}", feed.name), feed.sink.as_ref()));
    let of_tenants = settings.tenants.iter().map(|tenant| (format!("tenant {}", tenant.name), tenant.sink.as_ref()));
    let sinks = std::iter::once(("sinkhole".to_owned(), Some(&settings.sink))).chain(of_feeds).chain(of_tenants);
    let lost = sinks.filter(|(_, sink)| sink.is_some_and(|sink| !leads_to_an_address(sink, settings)));
    warnings.extend(lost.map(|(of, _)| Warning::NoGardenAddress { of }));
    warnings.extend(without_access(settings));
    warnings
}

/// Whether whoever is sent to the garden of `sink` finds an address here.
fn leads_to_an_address(sink: &SinkConfig, settings: &Settings) -> bool {
    let Some(garden) = &sink.cname else { return true };
    let held =
        |apex: &crate::name::Name| garden.wire().to_ascii_lowercase().ends_with(&apex.wire().to_ascii_lowercase());
    sink.ipv4.is_some() || sink.ipv6.is_some() || settings.zones.zones.iter().any(|zone| held(&zone.apex))
}

/// Tenants whose networks no client may ask from.
fn without_access(settings: &Settings) -> impl Iterator<Item = Warning> {
    let allow: HashSet<IpNet> = settings.access.allow.iter().copied().collect();
    let meet = |one: &IpNet, other: &IpNet| one.contains(other) || other.contains(one);
    settings.tenants.iter().filter_map(move |tenant| {
        // Most are allowed as they stand.
        let shut = |network: &&IpNet| !allow.contains(network) && !allow.iter().any(|allowed| meet(allowed, network));
        let networks = tenant.networks.iter().filter(shut).count();
        (networks > 0).then(|| Warning::NoAccess { tenant: tenant.name.clone(), networks })
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn what_is_odd_is_told() {
        let head = "[upstream]\nservers = ['192.0.2.53']\n[[feed]]\nname = 'f'\nsource = 'f'\n";
        let garden = |of: &str| Warning::NoGardenAddress { of: of.to_owned() };
        let shut = |networks| Warning::NoAccess { tenant: "t".to_owned(), networks };
        for (text, want) in [
            ("", vec![]),
            ("[sinkhole]\ncname = 'garden.example'\n", vec![garden("sinkhole")]),
            ("[sinkhole]\ncname = '*.garden.example'\nipv6 = '2001:db8::1'\n", vec![]),
            ("[sinkhole]\ncname = '*.www.garden.example'\n[[zone]]\nname = 'Garden.example'\nfile = 'z'\n", vec![]),
            (
                "sinkhole = { cname = 'agarden.example' }\n[[zone]]\nname = 'garden.example'\nfile = 'z'\n",
                vec![garden("feed f")],
            ),
            (
                "[[tenant]]\nname = 't'\nnetworks = ['10.1.0.0/16']\nsinkhole = { cname = 'g.example' }\n",
                vec![garden("tenant t")],
            ),
            (
                "[access]\nallow = ['192.0.2.0/24', '2001:db8::/32']\n[[tenant]]\nname = 't'\n\
                 networks = ['192.0.2.0/24', '192.0.2.7', '192.0.0.0/16', '10.0.0.0/8', '2001:db9::/32', '2001:db8:1::/48']\n",
                vec![shut(2)],
            ),
        ] {
            let settings = crate::config::testing::read(&format!("{head}{text}"), Path::new("c.toml")).unwrap();
            assert_eq!(settings.warnings, want, "{text}");
        }
    }
}
