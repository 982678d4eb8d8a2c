//! Networks of addresses as they are written, and which are more of the Internet than any one holder has.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::RangeInclusive;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use super::fault::Problem;
use super::reader::{Placed, Section};

/// What a network is written like.
const A_NETWORK: &str = "a network, as \"192.0.2.0/24\" or \"2001:db8::/32\"";
/// All addresses of IPv4, mapped into IPv6 (RFC 4291 §2.5.5.2).
const MAPPED_V4: Ipv6Net = Ipv6Net::new_assert(Ipv4Addr::UNSPECIFIED.to_ipv6_mapped(), 96);
/// All global unicast addresses of IPv6 (RFC 4291 §2.4, IANA). Nobody outside has any other.
const GLOBAL_V6: Ipv6Net = Ipv6Net::new_assert(Ipv6Addr::new(0x2000, 0, 0, 0, 0, 0, 0, 0), 3);
/// Multicast and reserved addresses of IPv4 (RFC 6890): nobody outside has one.
const UNROUTED_V4: Ipv4Net = Ipv4Net::new_assert(Ipv4Addr::new(224, 0, 0, 0), 3);
/// The shortest prefix of one holder's network: the largest blocks of IPv4 ever given out. It is a 256th of all.
const HOLDER_V4_PREFIX_MIN: u8 = 8;
/// The same of IPv6: the largest holders have a /19, so that this is a wide guess. It is an 8,192th of [`GLOBAL_V6`].
const HOLDER_V6_PREFIX_MIN: u8 = 16;
/// The most that all networks of a list may come to, in networks of the largest holders: of IPv4 a sixteenth of all, so that a carrier may list
/// several (a guess), of IPv6 less.
const HOLDERS_MAX: u64 = 16;

/// The networks of a list; one with bits of the host set, which may be a slip in the address or in the length, is a fault.
pub(super) fn networks(
    section: &mut Section<'_, '_>,
    key: &'static str,
    count: RangeInclusive<usize>,
) -> Option<Placed<Vec<Placed<IpNet>>>> {
    let list = section.list(key, A_NETWORK, count, network)?;
    for placed in list.value.iter().filter(|placed| placed.value != placed.value.trunc()) {
        let (network, address) = (placed.value.trunc(), placed.value.addr());
        section.refuse_as(placed, |got| Problem::HostBits { network, address, got });
    }
    Some(list.map(|list| list.into_iter().map(|placed| placed.map(|network| network.trunc())).collect()))
}

/// A network, or one address as the network of itself. One of IPv4-mapped addresses is one of IPv4.
fn network(text: &str) -> Option<IpNet> {
    let network: IpNet = text.parse().or_else(|_| text.parse().map(|ip: IpAddr| IpNet::from(ip))).ok()?;
    let mapped = match network {
        IpNet::V6(six) => six.addr().to_ipv4_mapped().zip(six.prefix_len().checked_sub(MAPPED_V4.prefix_len())),
        IpNet::V4(_) => None,
    };
    match mapped {
        Some((four, prefix_len)) => IpNet::new(IpAddr::V4(four), prefix_len).ok(),
        None => Some(network),
    }
}

/// Whether a network is more of the Internet than any one holder's.
fn is_everyone(network: &IpNet) -> bool {
    match network {
        IpNet::V4(four) => four.prefix_len() < HOLDER_V4_PREFIX_MIN && !UNROUTED_V4.contains(four),
        IpNet::V6(six) => {
            let global = GLOBAL_V6.contains(six) || six.contains(&GLOBAL_V6);
            (global && six.prefix_len() < HOLDER_V6_PREFIX_MIN) || six.contains(&MAPPED_V4)
        }
    }
}

/// Notes each network that takes in everyone, or the list if all of them together do: a server that answers half the Internet twice is open.
pub(super) fn refuse_everyone(section: &Section<'_, '_>, list: &Placed<Vec<Placed<IpNet>>>, expected: &str) {
    let mut everyone = false;
    for item in list.value.iter().filter(|item| is_everyone(&item.value)) {
        section.refuse(item, expected);
        everyone = true;
    }
    let networks = IpNet::aggregate(&list.value.iter().map(|item| item.value).collect());
    let holders = |is_four: bool| -> u64 {
        let of_family = networks.iter().filter(|network| matches!(network, IpNet::V4(_)) == is_four);
        // In 65,536ths of the largest holder's network; what is smaller still counts as nothing.
        let parts = of_family.map(|network| match network {
            IpNet::V4(four) if !UNROUTED_V4.contains(four) => 1 << (24_u8.saturating_sub(four.prefix_len())),
            IpNet::V6(six) if GLOBAL_V6.contains(six) && six.prefix_len() <= 32 => 1 << (32 - six.prefix_len()),
            _ => 0_u64,
        });
        parts.sum()
    };
    if !everyone && [true, false].into_iter().any(|is_four| holders(is_four) > HOLDERS_MAX << 16) {
        section.refuse(list, expected);
    }
}
