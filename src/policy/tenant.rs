//! [`Tenants`]: who asks, and what each is owed. Known from the configuration alone, before any feed is loaded.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;
use serde::Deserialize;

use super::{Action, Order, SinkConfig, Territory};
use crate::index::FeedId;
use crate::name::{Name, SuffixMap};

/// The most tenants, the default one not counted.
pub const TENANTS_MAX: usize = 10_000;
/// The name of everyone who is no other tenant.
pub const DEFAULT_TENANT: &str = "default";

/// What a tenant's queries get before the first policy is loaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BeforeLoad {
    /// SERVFAIL: nothing passes unjudged.
    #[default]
    Servfail,
    /// Forwarded: its own names are judged, feeds are not.
    Open,
}

/// Under whose name a tenant's queries are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Figures {
    /// Its own.
    Own,
    /// Its sector's, together with all others' in it.
    Sector,
    /// Nobody's: it is in the server's totals alone.
    None,
}

/// A tenant as the operator wrote it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TenantConfig {
    /// The operator's name for it.
    pub name: String,
    /// What it does, for figures that many share.
    pub sector: Option<String>,
    /// Where its clients are. IPv4 is IPv4, however it comes.
    pub networks: Vec<IpNet>,
    /// Places in `server.listen`: whoever asks there is of this tenant, whatever the address; but whom a load balancer speaks for only if
    /// no tenant's networks hold that client.
    pub listeners: Vec<u8>,
    /// Places of its feeds, in its own order; `None`: all, as configured.
    pub feeds: Option<Vec<FeedId>>,
    /// Names that no feed takes from it, and all below them.
    pub allow: Vec<Name>,
    /// Names that are sunk for it, and all below them.
    pub deny: Vec<Name>,
    /// What its sunk names are answered with; `None`: as the feed says.
    pub sink: Option<SinkConfig>,
    /// What happens to whatever a feed would sink; `None`: as the feed says. Never [`Action::Passthru`] or [`Action::TcpOnly`].
    pub action: Option<Action>,
    /// Which group of upstreams is asked for it; `None`: those of `[upstream]`.
    pub upstream_group: Option<String>,
    /// What its queries get before the first policy.
    pub before_load: BeforeLoad,
    /// Under whose name it is counted.
    pub figures: Figures,
}

impl TenantConfig {
    /// One of this name with nothing of its own.
    #[must_use]
    pub const fn plain(name: String) -> Self {
        Self {
            name,
            sector: None,
            networks: Vec::new(),
            listeners: Vec::new(),
            feeds: None,
            allow: Vec::new(),
            deny: Vec::new(),
            sink: None,
            action: None,
            upstream_group: None,
            before_load: BeforeLoad::Servfail,
            figures: Figures::None,
        }
    }
}

/// A tenant's numbers in other rooms.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Standing {
    /// Where its queries are counted, as the metrics gave it out; `None`: nowhere.
    pub account: Option<u16>,
    /// Which group of upstreams is asked for it; 0: the unnamed one.
    pub upstream_group: u16,
}

/// What a tenant says of a name itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Own {
    /// No feed takes it away.
    Allow,
    /// Sunk.
    Deny,
}

/// One tenant, ready for queries.
pub struct Tenant {
    /// Its feeds.
    pub(super) order: Arc<Order>,
    /// Its own names; the deepest wins, before any feed.
    pub(super) own: SuffixMap<Own>,
    /// Over the feeds'.
    pub(super) sink: Option<SinkConfig>,
    /// Over the feeds'.
    pub(super) action: Option<Action>,
    /// The operator's name for it.
    name: String,
    /// What its queries get before the first policy.
    before_load: BeforeLoad,
    /// With the other rooms.
    standing: Standing,
    /// Its place among the others, from 1; 0: everyone who is no other.
    number: u16,
}

impl std::fmt::Debug for Tenant {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tenant").field("own_names", &self.own.len()).finish_non_exhaustive()
    }
}

impl Tenant {
    /// One as configured, and as it stands with the other rooms.
    fn new(number: u16, config: &TenantConfig, order: Arc<Order>, standing: Standing) -> Self {
        let own =
            |names: &[Name], own| -> Vec<_> { names.iter().filter_map(|name| Some((name.key().ok()?, own))).collect() };
        let own = [own(&config.deny, Own::Deny), own(&config.allow, Own::Allow)];
        Self {
            order,
            own: SuffixMap::build(own.into_iter().flatten()),
            sink: config.sink.clone(),
            action: config.action,
            name: config.name.clone(),
            before_load: config.before_load,
            standing,
            number,
        }
    }

    /// The operator's name for it.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What tells it from the other tenants of its generation; 0: everyone who is no other.
    #[inline]
    #[must_use]
    pub const fn number(&self) -> u16 {
        self.number
    }

    /// Its feeds, the first of them first.
    pub fn feeds(&self) -> impl Iterator<Item = FeedId> {
        self.order.feeds()
    }

    /// Which upstreams are asked for it.
    #[inline]
    #[must_use]
    pub const fn upstream_group(&self) -> u16 {
        self.standing.upstream_group
    }

    /// Whether its queries are forwarded before the first policy is loaded.
    #[must_use]
    pub const fn is_open_before_load(&self) -> bool {
        matches!(self.before_load, BeforeLoad::Open)
    }

    /// Where its queries are counted, if they are.
    #[inline]
    #[must_use]
    pub const fn account(&self) -> Option<u16> {
        self.standing.account
    }

    /// Whether it has names of its own.
    #[inline]
    #[must_use]
    pub const fn has_own_names(&self) -> bool {
        !self.own.is_empty()
    }

    /// What happens to its denied names: its own action, unless that only counts.
    pub(super) const fn denial(&self) -> Action {
        match self.action {
            None | Some(Action::Observe) => Action::Sinkhole,
            Some(action) => action,
        }
    }
}

/// All tenants.
#[derive(Debug)]
pub struct Tenants {
    /// Everyone who is no other.
    default: Tenant,
    /// The others; they are counted from 1.
    others: Vec<Tenant>,
    /// By listener's place; 0: nobody's in particular.
    by_listener: Vec<u16>,
    /// By address.
    by_address: Territory,
}

impl Default for Tenants {
    /// Everyone is alike, and counted nowhere.
    fn default() -> Self {
        Self::new(&[], |_| Standing::default())
    }
}

impl Tenants {
    /// Tenants as configured; the one named [`DEFAULT_TENANT`], or a plain one, is everyone else. `standing` gives a tenant's numbers in
    /// other rooms.
    #[must_use]
    pub fn new(configs: &[TenantConfig], mut standing: impl FnMut(&TenantConfig) -> Standing) -> Self {
        // Many tenants share few orders.
        let mut orders: HashMap<Order, Arc<Order>> = HashMap::new();
        let mut ready = |number, config: &TenantConfig| {
            let feeds = config.feeds.as_ref();
            let order = feeds.map_or_else(Order::as_configured, |feeds| Order::of(feeds.iter().copied()));
            let order = orders.entry(order).or_insert_with_key(|order| Arc::new(order.clone()));
            Tenant::new(number, config, Arc::clone(order), standing(config))
        };
        let plain = TenantConfig { figures: Figures::Own, ..TenantConfig::plain(DEFAULT_TENANT.to_owned()) };
        let default = ready(0, configs.iter().find(|config| config.name == DEFAULT_TENANT).unwrap_or(&plain));
        let (mut others, mut networks, mut by_listener) = (Vec::new(), Vec::new(), Vec::new());
        let named = configs.iter().filter(|config| config.name != DEFAULT_TENANT).take(TENANTS_MAX);
        for (place, config) in (1..).zip(named) {
            others.push(ready(place, config));
            networks.extend(config.networks.iter().map(|&network| (network, place)));
            for &listener in &config.listeners {
                let listener = usize::from(listener);
                by_listener.resize(by_listener.len().max(listener + 1), 0);
                if let Some(owner) = by_listener.get_mut(listener) {
                    *owner = place;
                }
            }
        }
        Self { default, others, by_listener, by_address: Territory::divide(networks) }
    }

    /// Whose query it is that came from `address` to the listener at this place, if that is known: the listener's tenant, else the address's.
    #[inline]
    #[must_use]
    pub fn find(&self, listener: Option<u8>, address: IpAddr) -> &Tenant {
        self.at(match self.listening(listener) {
            0 => self.by_address.owner(address).unwrap_or(0),
            place => place,
        })
    }

    /// The same where a load balancer said that `address` asks: the address's tenant, else the listener's. One listener of a balancer's may
    /// serve many tenants, hence the client comes first; a client that is nobody's is not to get round the policy of where it asked.
    #[inline]
    #[must_use]
    pub fn find_proxied(&self, listener: Option<u8>, address: IpAddr) -> &Tenant {
        self.at(self.by_address.owner(address).unwrap_or_else(|| self.listening(listener)))
    }

    /// Whose the listener at this place is; 0: nobody's in particular.
    #[inline]
    fn listening(&self, listener: Option<u8>) -> u16 {
        listener.and_then(|listener| self.by_listener.get(usize::from(listener)).copied()).unwrap_or(0)
    }

    /// The tenant of this number; 0: everyone who is no other.
    #[inline]
    fn at(&self, place: u16) -> &Tenant {
        usize::from(place).checked_sub(1).and_then(|place| self.others.get(place)).unwrap_or(&self.default)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tenant(name: &str, networks: &[&str], listeners: &[u8]) -> TenantConfig {
        let networks = networks.iter().map(|network| network.parse().unwrap()).collect();
        TenantConfig { networks, listeners: listeners.to_vec(), ..TenantConfig::plain(name.to_owned()) }
    }

    #[test]
    fn a_listener_before_an_address_before_everyone_and_behind_a_balancer_the_address_first() {
        let tenants = Tenants::new(
            &[
                tenant("a", &["10.0.0.0/8", "2001:db8::/32"], &[]),
                tenant(DEFAULT_TENANT, &[], &[]),
                tenant("b", &["10.1.0.0/16"], &[2]),
            ],
            |_| Standing::default(),
        );
        for (listener, address, direct, proxied) in [
            (Some(0), "10.0.0.1", "a", "a"),
            (Some(0), "::ffff:10.0.0.1", "a", "a"),
            (Some(0), "2001:db8::1", "a", "a"),
            (Some(0), "192.0.2.1", DEFAULT_TENANT, DEFAULT_TENANT),
            (Some(1), "10.1.0.1", "b", "b"),
            (Some(2), "10.0.0.1", "b", "a"),
            (Some(2), "10.1.0.1", "b", "b"),
            (Some(2), "192.0.2.1", "b", "b"),
            (Some(9), "192.0.2.1", DEFAULT_TENANT, DEFAULT_TENANT),
            (None, "10.1.0.1", "b", "b"),
            (None, "192.0.2.1", DEFAULT_TENANT, DEFAULT_TENANT),
        ] {
            let (what, address) = (format!("{listener:?}, {address}"), address.parse().unwrap());
            assert_eq!(tenants.find(listener, address).name(), direct, "{what}");
            assert_eq!(tenants.find_proxied(listener, address).name(), proxied, "{what}, behind a balancer");
        }
        let (nobody, address) = (Tenants::default(), "10.0.0.1".parse().unwrap());
        assert_eq!(nobody.find(Some(0), address).name(), DEFAULT_TENANT);
        assert_eq!(nobody.find_proxied(Some(0), address).name(), DEFAULT_TENANT);
    }

    #[test]
    fn tenants_with_the_same_feeds_share_their_order() {
        let [one, two] = ["a", "b"].map(|name| TenantConfig {
            feeds: Some(vec![FeedId::new(1).unwrap(), FeedId::new(0).unwrap()]),
            ..tenant(name, &[], &[])
        });
        let tenants = Tenants::new(&[one, two], |_| Standing::default());
        let [a, b] = tenants.others.as_slice() else { panic!("two tenants") };
        assert!(Arc::ptr_eq(&a.order, &b.order) && !Arc::ptr_eq(&a.order, &tenants.default.order));
        assert!(a.feeds().map(FeedId::index).eq([1, 0]));
    }

    #[test]
    fn each_is_counted_where_it_is_said_and_asks_whom_it_is_said() {
        let own = TenantConfig { figures: Figures::Own, ..tenant("a", &["10.0.0.0/8"], &[]) };
        let account = |config: &TenantConfig| Standing {
            account: (config.figures == Figures::Own).then_some(u16::from(config.name == "a")),
            upstream_group: if config.name == "b" { 7 } else { 0 },
        };
        let tenants = Tenants::new(&[own, tenant("b", &["10.1.0.0/16"], &[])], account);
        let accounts = ["10.0.0.1", "10.1.0.1", "192.0.2.1"].map(|a| tenants.find(None, a.parse().unwrap()).account());
        assert_eq!(accounts, [Some(1), None, Some(0)]);
        let groups =
            ["10.0.0.1", "10.1.0.1", "192.0.2.1"].map(|a| tenants.find(None, a.parse().unwrap()).upstream_group());
        assert_eq!(groups, [0, 7, 0]);
    }

    #[test]
    fn nothing_printed_shows_a_tenants_names() {
        let deny = vec![Name::from_text(b"secret.example").unwrap()];
        let tenants =
            Tenants::new(&[TenantConfig { deny, ..tenant("a", &["10.0.0.0/8"], &[]) }], |_| Standing::default());
        let shown = format!("{tenants:?}");
        assert!(!shown.contains("secret") && shown.contains("own_names: 1"), "{shown}");
        assert!(tenants.others[0].has_own_names() && !tenants.default.has_own_names());
    }
}
