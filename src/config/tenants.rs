//! `[[tenant]]`: each checked in itself, and against feeds, listeners and all tenants before it.

use std::collections::HashSet;

use ipnet::IpNet;

use super::networks::networks;
use super::reader::{Placed, Section};
use super::rooms::{DOMAIN, WORD, domain, or, word};
use super::sinkholes::sinkhole;
use crate::index::{FEEDS_MAX, FeedId};
use crate::name::Name;
use crate::policy::{Action, BeforeLoad, DEFAULT_TENANT, Figures, SinkConfig, TENANTS_MAX, TenantConfig};
use crate::server::LISTEN_MAX;
use crate::{feed, forward, server};

/// The most networks of one tenant, and of all together: some 5 MB of ranges.
const NETWORKS_MAX: usize = 131_072;
/// The most names a tenant may allow, and the most it may deny; more are a feed.
const OWN_NAMES_MAX: usize = 10_000;
/// What holds one site, or one person: networks longer than these have no figures of their own unless the operator says so.
const OWN_FIGURES_PREFIX_MAX: (u8, u8) = (24, 56);

/// What tenants refer to, and what those read so far have taken.
pub(super) struct Reader<'r> {
    /// The feeds, by place.
    pub(super) feeds: &'r [feed::Config],
    /// The listeners.
    pub(super) server: &'r server::Config,
    /// The upstreams.
    pub(super) upstream: &'r forward::Config,
    /// What `[sinkhole]` says.
    pub(super) sink: &'r SinkConfig,
    /// What a tenant gets before the first load if it does not say.
    before_load: BeforeLoad,
    /// Names that are taken.
    names: HashSet<String>,
    /// Networks that are taken.
    networks: HashSet<IpNet>,
    /// Listeners that are taken.
    listeners: HashSet<u8>,
}

impl<'r> Reader<'r> {
    /// One that has read none.
    pub(super) fn new(
        feeds: &'r [feed::Config],
        server: &'r server::Config,
        upstream: &'r forward::Config,
        sink: &'r SinkConfig,
        before_load: BeforeLoad,
    ) -> Self {
        let (names, networks, listeners) = Default::default();
        Self { feeds, server, upstream, sink, before_load, names, networks, listeners }
    }

    /// One `[[tenant]]`.
    pub(super) fn tenant(&mut self, section: &mut Section<'_, '_>) -> Option<TenantConfig> {
        let name = self.name(section);
        let is_default = name.as_ref().is_some_and(|name| name.value == DEFAULT_TENANT);
        let (networks, listeners) = self.places(section, is_default);
        let sector = section.text("sector", WORD, word);
        let feeds = self.feeds(section);
        let (allow, deny) = own_names(section);
        let (has_sink, sink) =
            (section.has("sinkhole"), section.section("sinkhole", |section| sinkhole(section, self.sink.clone())));
        let expected = "one of sinkhole, nxdomain, nodata, refused, drop, observe";
        let action = section.value::<Action>("action", expected);
        if let Some(placed) = action.as_ref().filter(|one| matches!(one.value, Action::Passthru | Action::TcpOnly)) {
            section.refuse(placed, expected);
        }
        let upstream = self.upstream;
        let group = section.text("upstream-group", "the name of an [[upstream-group]]", |text| {
            upstream.group(text).map(|_| text.to_owned())
        });
        let before_load = section.value("before-load", "one of servfail, open");
        let figures = section.value("figures", "one of own, sector, none");
        if let Some(placed) = figures.as_ref().filter(|one| one.value == Figures::Sector && sector.is_none()) {
            section.refuse(placed, "a sector beside it");
        }
        let wide = |network: &IpNet| match network {
            IpNet::V4(network) => network.prefix_len() <= OWN_FIGURES_PREFIX_MAX.0,
            IpNet::V6(network) => network.prefix_len() <= OWN_FIGURES_PREFIX_MAX.1,
        };
        let figures_default = if networks.iter().all(wide) { Figures::Own } else { Figures::None };
        Some(TenantConfig {
            name: name?.value,
            sector: sector.map(|placed| placed.value),
            networks,
            listeners,
            feeds,
            allow,
            deny,
            sink: has_sink.then_some(sink),
            action: action.map(|placed| placed.value),
            upstream_group: group.map(|placed| placed.value),
            before_load: or(before_load, self.before_load),
            figures: or(figures, figures_default),
        })
    }

    /// `name`.
    fn name(&mut self, section: &mut Section<'_, '_>) -> Option<Placed<String>> {
        let named =
            "a name of a to z, 0 to 9 and -, at most 64 characters; \"default\" is everyone who is no other tenant";
        if !section.has("name") {
            return section.missing("name", named);
        }
        let name = section.text("name", named, word)?;
        if !self.names.insert(name.value.clone()) {
            section.refuse(&name, "a name that no other tenant has");
        } else if self.names.len() - usize::from(self.names.contains(DEFAULT_TENANT)) > TENANTS_MAX {
            section.refuse(&name, &format!("at most {TENANTS_MAX} tenants beside \"default\""));
        }
        Some(name)
    }

    /// `networks` and `listeners`.
    fn places(&mut self, section: &mut Section<'_, '_>, is_default: bool) -> (Vec<IpNet>, Vec<u8>) {
        if !is_default && !section.has("networks") && !section.has("listeners") {
            section.missing::<()>("networks", "its clients' networks, or listeners of its own");
        }
        let networks = networks(section, "networks", 1..=NETWORKS_MAX);
        let expected = "one of server.listen's addresses";
        let server = self.server;
        let place = |text: &str| server.place(text.parse().ok()?);
        let listeners = section.list("listeners", expected, 1..=LISTEN_MAX, place);
        for placed in networks.iter().flat_map(|list| &list.value) {
            if is_default {
                section.refuse(placed, "no network: everyone who is no other tenant is of this one");
            } else if self.networks.len() >= NETWORKS_MAX {
                section.refuse(placed, &format!("at most {NETWORKS_MAX} networks in all"));
                break;
            } else if !self.networks.insert(placed.value) {
                section.refuse(placed, "a network that is nowhere else: each address is of one tenant");
            }
        }
        for placed in listeners.iter().flat_map(|list| &list.value) {
            if is_default {
                section.refuse(placed, "no listener: everyone who is no other tenant is of this one");
            } else if !self.listeners.insert(placed.value) {
                section.refuse(placed, "a listener that is nowhere else: each is of one tenant");
            }
        }
        let all = |list: Option<Placed<Vec<Placed<u8>>>>| values(list).unwrap_or_default();
        (values(networks).unwrap_or_default(), all(listeners))
    }

    /// `feeds`.
    fn feeds(&self, section: &mut Section<'_, '_>) -> Option<Vec<FeedId>> {
        let feeds = self.feeds;
        let place = |text: &str| FeedId::new(feeds.iter().position(|feed| feed.name == text)?);
        let list = section.list("feeds", "the name of a [[feed]]", 0..=FEEDS_MAX, place)?;
        let mut named = HashSet::new();
        for placed in &list.value {
            if !named.insert(placed.value) {
                section.refuse(placed, "each feed once: the first place in the order is the one that counts");
            }
        }
        values(Some(list))
    }
}

/// `allow` and `deny`.
fn own_names(section: &mut Section<'_, '_>) -> (Vec<Name>, Vec<Name>) {
    let mut list = |key| section.list(key, DOMAIN, 0..=OWN_NAMES_MAX, domain);
    let (allow, deny) = (list("allow"), list("deny"));
    let key = |placed: &Placed<Name>| placed.value.key().ok().map(|key| key.as_bytes().to_vec());
    let allowed: HashSet<_> = allow.iter().flat_map(|list| &list.value).filter_map(key).collect();
    for placed in deny.iter().flat_map(|list| &list.value) {
        if key(placed).is_some_and(|key| allowed.contains(&key)) {
            section.refuse(placed, "a name that is not in allow as well");
        }
    }
    (values(allow).unwrap_or_default(), values(deny).unwrap_or_default())
}

/// A list without its places.
fn values<T>(list: Option<Placed<Vec<Placed<T>>>>) -> Option<Vec<T>> {
    list.map(|list| list.value.into_iter().map(|placed| placed.value).collect())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use crate::config::Settings;
    use crate::config::testing::read;
    use crate::policy::{Action, BeforeLoad, Figures, TENANTS_MAX};

    const HEAD: &str = "[server]\nlisten = ['127.0.0.1:1053', '[::1]:1053']\n\
                        [[feed]]\nname = 'a'\nsource = 'a'\n[[feed]]\nname = 'b'\nsource = 'b'\n\
                        [[upstream-group]]\nname = 'eu'\nservers = ['192.0.2.53']\n";

    fn tenants(text: &str) -> Result<Settings, Vec<(usize, String, String)>> {
        // The head's eleven lines are not counted.
        let shown = |fault: &crate::config::Fault| (fault.line - 11, fault.key.clone(), fault.problem.to_string());
        read(&format!("{HEAD}{text}"), Path::new("c.toml")).map_err(|faults| faults.iter().map(shown).collect())
    }

    #[test]
    fn all_that_a_tenant_may_have() {
        let settings = tenants(
            "[[tenant]]\nname = 'one'\nsector = 'energy'\nnetworks = ['10.0.0.0/8', '::ffff:192.0.2.0/120', '2001:db8::1']\n\
             listeners = ['[::1]:1053']\nfeeds = ['b', 'a']\nallow = ['x.example']\ndeny = ['*.y.example', 'münchen.example']\n\
             action = 'observe'\nbefore-load = 'open'\nfigures = 'sector'\nsinkhole = { ipv4 = '192.0.2.1' }\nupstream-group = 'eu'\n\
             [[tenant]]\nname = 'default'\nfeeds = []",
        )
        .unwrap();
        let [one, default] = settings.tenants.as_slice() else { panic!("two tenants") };
        let networks: Vec<String> = one.networks.iter().map(ToString::to_string).collect();
        assert_eq!(networks, ["10.0.0.0/8", "192.0.2.0/24", "2001:db8::1/128"]);
        let feeds: Vec<usize> = one.feeds.iter().flatten().map(|feed| feed.index()).collect();
        assert_eq!((one.listeners.as_slice(), feeds.as_slice()), (&[1][..], &[1, 0][..]));
        assert_eq!((one.allow.len(), one.deny.len(), one.action), (1, 2, Some(Action::Observe)));
        let deny: Vec<String> = one.deny.iter().map(|name| name.reveal().to_string()).collect();
        assert_eq!(deny, ["y.example", "xn--mnchen-3ya.example"], "a wildcard's own name too");
        assert_eq!((one.before_load, one.figures), (BeforeLoad::Open, Figures::Sector));
        assert_eq!(one.upstream_group.as_deref(), Some("eu"));
        assert_eq!(one.sink.as_ref().map(|sink| sink.ipv4), Some(Some([192, 0, 2, 1].into())));
        assert_eq!((default.feeds.as_deref(), default.sink.as_ref(), default.action), (Some(&[][..]), None, None));
    }

    #[test]
    fn one_persons_networks_have_no_figures_unless_it_is_said() {
        for (networks, want) in [
            ("'10.0.0.0/24', '2001:db8::/56'", Figures::Own),
            ("'10.0.0.0/24', '10.1.0.0/25'", Figures::None),
            ("'2001:db8::/57'", Figures::None),
            ("'192.0.2.7'", Figures::None),
            ("'192.0.2.7']\nfigures = 'own'\nfeeds = [", Figures::Own),
        ] {
            let settings = tenants(&format!("[[tenant]]\nname = 't'\nnetworks = [{networks}]")).unwrap();
            assert_eq!(settings.tenants[0].figures, want, "{networks}");
        }
    }

    #[test]
    fn as_many_tenants_as_there_may_be_and_everyone_else() {
        let many: String = (0..TENANTS_MAX)
            .map(|n| format!("[[tenant]]\nname = 't{n}'\nnetworks = ['10.{}.{}.0/24']\n", n / 256, n % 256))
            .collect();
        let most = format!("{many}[[tenant]]\nname = 'default'\nfeeds = []\n");
        assert_eq!(tenants(&most).unwrap().tenants.len(), TENANTS_MAX + 1);
        let last = |text: &str| tenants(text).unwrap_err().pop().unwrap();
        let (_, key, problem) = last(&format!("{many}[[tenant]]\nname = 'one-more'\nnetworks = ['11.0.0.0/8']"));
        assert_eq!(key, "tenant[10000].name");
        assert!(problem.contains("at most 10000 tenants"), "{problem}");
        let (_, key, problem) = last(&format!("{most}[[tenant]]\nname = 'one-more'\nnetworks = ['11.0.0.0/8']"));
        assert!(key == "tenant" && problem.contains("at most 10001 tables"), "{problem}");
    }

    #[test]
    fn every_fault_is_told_in_one_pass() {
        for (text, want) in [
            ("[[tenant]]", &[(1, "tenant[0].name", "no such key"), (1, "tenant[0].networks", "no such key")][..]),
            ("[[tenant]]\nname = 'A b'\nnetworks = ['10.0.0.0/8']", &[(2, "tenant[0].name", "a to z")]),
            (
                "[[tenant]]\nname = 't'\nnetworks = ['10.0.0.0/8', '10.0.0.0/8', 'x', '10.0.0.0/33']\nfeeds = ['c', 'a', 'a']",
                &[
                    (3, "tenant[0].networks[2]", "a network, as"),
                    (3, "tenant[0].networks[3]", "a network, as"),
                    (3, "tenant[0].networks[1]", "a network that is nowhere else"),
                    (4, "tenant[0].feeds[0]", "the name of a [[feed]]"),
                    (4, "tenant[0].feeds[2]", "each feed once"),
                ],
            ),
            (
                "[[tenant]]\nname = 't'\nnetworks = ['10.0.0.0/8']\nlisteners = ['[::1]:1053']\n\
                 [[tenant]]\nname = 't'\nnetworks = ['::ffff:10.0.0.0/104']\nlisteners = ['[::1]:1053', '127.0.0.1:53']",
                &[
                    (6, "tenant[1].name", "a name that no other tenant has"),
                    (7, "tenant[1].networks[0]", "a network that is nowhere else"),
                    (8, "tenant[1].listeners[1]", "one of server.listen's addresses"),
                    (8, "tenant[1].listeners[0]", "a listener that is nowhere else"),
                ],
            ),
            (
                "[[tenant]]\nname = 'default'\nnetworks = ['10.0.0.0/8']\nlisteners = ['[::1]:1053']",
                &[(3, "tenant[0].networks[0]", "no network"), (4, "tenant[0].listeners[0]", "no listener")],
            ),
            (
                "[[tenant]]\nname = 't'\nnetworks = ['10.0.0.0/8']\nallow = ['a.example', '.', 'a..b', 'http://c.example/', '192.0.2.1', '=d.example', '10.0.0.0/8']\n\
                 deny = ['b.example', 'A.Example']\naction = 'passthru'\nbefore-load = 'shut'\nfigures = 'sector'\nfeed = 'a'\nupstream-group = 'us'",
                &[
                    (4, "tenant[0].allow[1]", "a name, as"),
                    (4, "tenant[0].allow[2]", "a name, as"),
                    (4, "tenant[0].allow[3]", "a name, as"),
                    (4, "tenant[0].allow[4]", "a name, as"),
                    (4, "tenant[0].allow[5]", "a name, as"),
                    (4, "tenant[0].allow[6]", "a name, as"),
                    (5, "tenant[0].deny[1]", "not in allow as well"),
                    (6, "tenant[0].action", "one of sinkhole, nxdomain"),
                    (7, "tenant[0].before-load", "one of servfail, open"),
                    (8, "tenant[0].figures", "a sector beside it"),
                    (9, "tenant[0].feed", "did you mean feeds?"),
                    (10, "tenant[0].upstream-group", "the name of an [[upstream-group]]"),
                ],
            ),
            (
                "[[tenant]]\nname = 't'\nnetworks = ['192.0.2.5/24', '::ffff:198.51.100.7/120']",
                &[
                    (3, "tenant[0].networks[0]", "expected 192.0.2.0/24, or 192.0.2.5 for that address alone, got"),
                    (3, "tenant[0].networks[1]", "expected 198.51.100.0/24, or 198.51.100.7 for that"),
                ],
            ),
            ("[[tenant]]\nname = 't'\nnetworks = []", &[(3, "tenant[0].networks", "a list of 1 to")]),
        ] {
            let faults = tenants(text).expect_err(text);
            assert_eq!(faults.len(), want.len(), "{text}\n{faults:?}");
            for ((line, key, problem), &(want_line, want_key, part)) in faults.iter().zip(want) {
                assert_eq!((*line, key.as_str()), (want_line, want_key), "{text}\n{faults:?}");
                assert!(problem.contains(part), "{text}\nwanted: {part}\ngot: {problem}");
            }
        }
    }
}
