//! Whom a reload must not send queries to: upstreams change at a restart, tenants at once.
//!
//! Until the restart the servers of a group are those that the running server started with. A client may be sent to them if that is whom it
//! asks now, or whom the new configuration has it ask; else its queries, an internal name among them, would go to somebody who was never meant
//! to see them. Costs two look-ups for each border of a tenant's network, and nothing while no upstream and no listener is changed.

use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;

use super::{Fault, Problem, Settings};
use crate::policy::{DEFAULT_TENANT, Territory};

/// A tenant by its place in the settings; `None`: nobody's in particular.
type Owner = Option<u16>;

/// Whether no query goes where neither what is in force (`running`) nor the new configuration (`written`, which becomes `next` [until a
/// restart](Settings::until_restart)) has it go; `file` is for the fault.
///
/// # Errors
/// [`Fault`]: the first tenant whose queries would, by its line and key.
pub fn check_upstreams(running: &Settings, next: &Settings, written: &Settings, file: &Path) -> Result<(), Fault> {
    let fault = |tenant: Owner, problem: fn(String, String) -> Problem| {
        let config = tenant.and_then(|place| next.tenants.get(usize::from(place)));
        let place = tenant.map_or(usize::MAX, usize::from);
        let group = config.and_then(|config| config.upstream_group.as_deref());
        Err(Fault {
            file: file.to_owned(),
            line: written.tenant_lines.get(place).copied().unwrap_or(0),
            key: if group.is_some() {
                format!("tenant[{place}].upstream-group")
            } else {
                "upstream.servers".to_owned()
            },
            problem: problem(
                config.map_or(DEFAULT_TENANT, |config| &config.name).to_owned(),
                group.unwrap_or("[upstream]").to_owned(),
            ),
        })
    };
    for (place, tenant) in (0..).zip(&next.tenants) {
        if tenant.upstream_group.as_deref().is_some_and(|group| running.upstream.group(group).is_none()) {
            return fault(Some(place), |tenant, group| Problem::NewGroup { tenant, group });
        }
    }
    let same_servers =
        running.upstream.servers == written.upstream.servers && running.upstream.groups == written.upstream.groups;
    if same_servers && running.server.listen == written.server.listen {
        return Ok(());
    }
    let (before, after) = (Assignment::of(running), Assignment::of(next));
    for (was, is) in before.pairs(&after) {
        let astray = |old: Owner, new: Owner, listens: bool| {
            let group = after.group(new);
            let now = servers(running, group);
            let given = listens && servers(written, group) == now;
            !given && servers(running, before.group(old)) != now
        };
        let told = |new: Owner| fault(new.or(after.default), |tenant, group| Problem::OlderServers { tenant, group });
        for (place, at) in (0..).zip(&running.server.listen) {
            let (old, new) = (before.by_listener.get(&place).copied(), after.by_listener.get(&place).copied());
            // One that closes stays its tenant's; with its tenant gone the new configuration gives it to nobody.
            let listens = old.is_none() || new.is_some() || written.server.listen.contains(at);
            if astray(old.or(was), new.or(is), listens) {
                return told(new.or(is));
            }
            // Behind a load balancer the client comes first.
            if !next.proxy.from.is_empty() && astray(was.or(old), is.or(new), listens) {
                return told(is.or(new));
            }
        }
    }
    Ok(())
}

/// The servers of a group as these settings have them; of one that they do not have, nobody.
fn servers<'s>(settings: &'s Settings, group: Option<&str>) -> &'s [SocketAddr] {
    let number = group.map_or(Some(0), |group| settings.upstream.group(group));
    number.and_then(|number| settings.upstream.groups().nth(usize::from(number))).unwrap_or_default()
}

/// Whose a client is, and which group is asked for it.
struct Assignment<'s> {
    /// All settings.
    settings: &'s Settings,
    /// Everyone who is no other tenant, if that is a tenant of its own.
    default: Owner,
    /// By address.
    by_address: Territory,
    /// By listener.
    by_listener: HashMap<u8, u16>,
}

impl<'s> Assignment<'s> {
    /// Of these settings.
    fn of(settings: &'s Settings) -> Self {
        let tenants = || (0..).zip(&settings.tenants);
        let networks =
            tenants().flat_map(|(place, tenant)| tenant.networks.iter().map(move |&network| (network, place)));
        let listeners = tenants().flat_map(|(place, tenant)| tenant.listeners.iter().map(move |&at| (at, place)));
        Self {
            settings,
            default: tenants().find(|(_, tenant)| tenant.name == DEFAULT_TENANT).map(|(place, _)| place),
            by_address: Territory::divide(networks),
            by_listener: listeners.collect(),
        }
    }

    /// The group that is asked for a tenant's clients, or for everyone else's; `None`: the unnamed one.
    fn group(&self, owner: Owner) -> Option<&'s str> {
        let tenant = self.settings.tenants.get(usize::from(owner.or(self.default)?))?;
        tenant.upstream_group.as_deref()
    }

    /// Who an address is of by this one and by `next`: of all addresses that differ in whose groups these are, one.
    fn pairs(&self, next: &Self) -> impl Iterator<Item = (Owner, Owner)> {
        let ends = [IpAddr::V4(Ipv4Addr::UNSPECIFIED), IpAddr::V6(Ipv6Addr::UNSPECIFIED)];
        let borders =
            [self, next].into_iter().flat_map(|one| one.settings.tenants.iter().flat_map(|tenant| &tenant.networks));
        let borders = borders.flat_map(|network| [Some(network.network()), following(network.broadcast())]).flatten();
        let mut pairs = BTreeMap::new();
        for address in ends.into_iter().chain(borders) {
            let (was, is) = (self.by_address.owner(address), next.by_address.owner(address));
            let group = |one: &Self, owner: Owner| owner.map(|_| one.group(owner).map(str::to_owned));
            pairs.entry((group(self, was), group(next, is))).or_insert((was, is));
        }
        pairs.into_values()
    }
}

/// The address behind this one, if there is any.
fn following(address: IpAddr) -> Option<IpAddr> {
    match address {
        IpAddr::V4(four) => four.to_bits().checked_add(1).map(|next| Ipv4Addr::from_bits(next).into()),
        IpAddr::V6(six) => six.to_bits().checked_add(1).map(|next| Ipv6Addr::from_bits(next).into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether `new` may take the place of `old`, and if not, whose queries would go astray, and where that stands.
    fn astray(old: &str, new: &str) -> Option<(usize, String, String)> {
        let read = |text: &str| crate::config::testing::read(text, Path::new("c.toml")).unwrap();
        let (running, written) = (read(old), read(new));
        let next = written.clone().until_restart(&running);
        let fault = check_upstreams(&running, &next, &written, Path::new("c.toml")).err()?;
        let (Problem::NewGroup { tenant, .. } | Problem::OlderServers { tenant, .. }) = fault.problem else { panic!() };
        Some((fault.line, fault.key, tenant))
    }

    /// A configuration: the servers of no group, of eu and of us, one octet each; then tables.
    fn of([none, eu, us]: [u8; 3], tables: &str) -> String {
        format!(
            "server = {{ listen = ['127.0.0.1:53', '127.0.0.2:53'] }}\nupstream = {{ servers = ['192.0.2.{none}'] }}\n\
             upstream-group = [{{ name = 'eu', servers = ['192.0.2.{eu}'] }}, {{ name = 'us', servers = ['192.0.2.{us}'] }}]\n{tables}"
        )
    }

    #[test]
    fn who_asks_is_told_by_the_narrowest_network_the_listener_and_the_balancer() {
        let outer = "[[tenant]]\nname = 'outer'\nnetworks = ['10.0.0.0/8', '2001:db8::/32']\nupstream-group = 'eu'\n";
        let inner = "[[tenant]]\nname = 'inner'\nnetworks = ['10.1.0.0/16']\nupstream-group = 'us'\n";
        let six = "[[tenant]]\nname = 'six'\nnetworks = ['2001:db8:ffff::/48']\nupstream-group = 'us'\n";
        let listens = "[[tenant]]\nname = 'listens'\nlisteners = ['127.0.0.2:53']\nupstream-group = 'us'\n";
        let default = "[[tenant]]\nname = 'default'\nupstream-group = 'us'\n";
        let proxy = "[proxy]\nfrom = ['192.0.2.0/24']\n";
        let group = |line| Some((line, "tenant[0].upstream-group".to_owned(), "outer".to_owned()));
        for (old, new, changed, want) in [
            // What the inner network lost is the outer's.
            (format!("{outer}{inner}"), outer.to_owned(), [1, 2, 3], None),
            (format!("{outer}{inner}"), outer.to_owned(), [1, 9, 3], group(4)),
            (format!("{outer}{six}"), outer.to_owned(), [1, 9, 3], group(4)),
            (format!("{outer}{inner}"), outer.to_owned(), [1, 2, 9], None),
            (format!("{inner}{outer}"), format!("{outer}{inner}"), [7, 8, 9], None),
            // Everyone else.
            (inner.to_owned(), String::new(), [1, 9, 9], None),
            (
                inner.to_owned(),
                String::new(),
                [9, 2, 3],
                Some((0, "upstream.servers".to_owned(), "default".to_owned())),
            ),
            (String::new(), default.to_owned(), [9, 2, 3], None),
            (
                String::new(),
                default.to_owned(),
                [1, 2, 9],
                Some((4, "tenant[0].upstream-group".to_owned(), "default".to_owned())),
            ),
            // A listener's tenant comes before an address's, unless a load balancer names the client.
            (format!("{outer}{listens}"), format!("{listens}{outer}"), [1, 9, 9], None),
            (listens.to_owned(), format!("{outer}{listens}"), [1, 2, 9], None),
            (listens.to_owned(), format!("{outer}{listens}"), [1, 9, 3], group(4)),
            (format!("{listens}{default}"), format!("{outer}{listens}{default}"), [1, 9, 3], group(4)),
            (format!("{proxy}{listens}"), format!("{proxy}{listens}"), [9, 9, 9], None),
            (format!("{proxy}{outer}"), format!("{proxy}{outer}{listens}"), [1, 9, 3], None),
        ] {
            assert_eq!(astray(&of([1, 2, 3], &old), &of(changed, &new)), want, "{changed:?}\n{old}to\n{new}");
        }
    }

    #[test]
    fn a_listener_that_closes_stays_its_tenants_and_a_new_group_is_told_by_its_line() {
        let tenant = |group: &str, at: &str| {
            format!("[[tenant]]\nname = 't'\nnetworks = ['10.0.0.0/8']\nupstream-group = '{group}'\n{at}")
        };
        let old = of([1, 2, 3], &tenant("eu", "listeners = ['127.0.0.2:53']\n"));
        let one = |text: String| text.replace(", '127.0.0.2:53'", "");
        let read = |text: &str| crate::config::testing::read(text, Path::new("c.toml")).unwrap();
        let next = read(&one(of([1, 2, 3], &tenant("eu", "")))).until_restart(&read(&old));
        assert_eq!(next.tenants[0].listeners, [1]);
        assert_eq!(astray(&old, &one(of([1, 2, 3], &tenant("us", "")))), None);
        assert_eq!(astray(&old, &one(of([1, 2, 3], ""))).map(|(_, key, _)| key), Some("upstream.servers".to_owned()));
        let new = of([1, 2, 3], &tenant("asia", "")).replace("'us'", "'asia'");
        assert_eq!(astray(&old, &new), Some((4, "tenant[0].upstream-group".to_owned(), "t".to_owned())));
    }
}
