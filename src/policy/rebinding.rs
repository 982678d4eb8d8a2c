//! [`Rebinding`]: whether an upstream may give a name an address of the inside.
//!
//! A page of the outside whose name comes to mean 192.168.1.1 makes a browser attack its own network (DNS rebinding). Off unless the operator
//! turns it on: some zones of the outside mean it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::name::{Name, NameRef, SuffixMap};

/// Whether answers are looked at, and the names that may have addresses of the inside.
#[derive(Clone, Default)]
pub struct Rebinding {
    /// `None`: answers are not looked at.
    may: Option<SuffixMap<()>>,
}

impl std::fmt::Debug for Rebinding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Rebinding").field("protects", &self.may.is_some()).finish_non_exhaustive()
    }
}

impl Rebinding {
    /// Protection of all names but `may` and those below them.
    #[must_use]
    pub fn protect(may: &[Name]) -> Self {
        Self { may: Some(SuffixMap::build(may.iter().filter_map(|name| Some((name.key().ok()?, ()))))) }
    }

    /// Whether `name` must not be given these `addresses`.
    #[inline]
    pub fn refuses(&self, name: &NameRef<'_>, mut addresses: impl Iterator<Item = IpAddr>) -> bool {
        let Some(may) = &self.may else { return false };
        addresses.any(is_inside) && may.deepest(name).is_none()
    }
}

/// Whether an address means something of one's own network: unspecified, loopback, private, link-local, unique local (RFC 1122 §3.2.1.3, 1918,
/// 3927, 4193, 4291). An IPv4-mapped one is to be given as IPv4.
const fn is_inside(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(four) => is_inside_v4(four),
        IpAddr::V6(six) => is_inside_v6(six),
    }
}

/// [`is_inside`] of IPv4.
const fn is_inside_v4(four: Ipv4Addr) -> bool {
    four.octets()[0] == 0 || four.is_loopback() || four.is_private() || four.is_link_local()
}

/// [`is_inside`] of IPv6.
const fn is_inside_v6(six: Ipv6Addr) -> bool {
    six.is_unspecified() || six.is_loopback() || six.is_unique_local() || six.is_unicast_link_local()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inside_and_outside() {
        for (address, inside) in [
            ("0.0.0.0", true),
            ("0.1.2.3", true),
            ("127.0.0.2", true),
            ("10.255.0.1", true),
            ("172.16.0.1", true),
            ("172.32.0.1", false),
            ("192.168.1.1", true),
            ("192.169.1.1", false),
            ("169.254.1.1", true),
            ("198.51.100.1", false),
            ("::", true),
            ("::1", true),
            ("fd00::1", true),
            ("fe80::1", true),
            ("2001:db8::1", false),
        ] {
            assert_eq!(is_inside(address.parse().unwrap()), inside, "{address}");
        }
    }

    #[test]
    fn named_zones_may() {
        let name = |text: &str| Name::from_text(text.as_bytes()).unwrap();
        let (on, off) = (Rebinding::protect(&[name("corp.example")]), Rebinding::default());
        let shown = [&on, &off].map(|one| format!("{one:?}"));
        assert_eq!(shown, ["Rebinding { protects: true, .. }", "Rebinding { protects: false, .. }"], "and no name");
        let addresses = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect::<Vec<IpAddr>>();
        for (asked, given, refused) in [
            ("a.example", &["198.51.100.1", "10.0.0.1"][..], true),
            ("a.example", &["198.51.100.1"], false),
            ("a.example", &[], false),
            ("db.CORP.example", &["10.0.0.1"], false),
            ("notcorp.example", &["10.0.0.1"], true),
        ] {
            let asked = name(asked);
            assert_eq!(on.refuses(&asked.view().unwrap(), addresses(given).into_iter()), refused, "{}", asked.reveal());
            assert!(!off.refuses(&asked.view().unwrap(), addresses(given).into_iter()));
        }
    }
}
