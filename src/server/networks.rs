//! [`Networks`]: a set of networks, as sorted ranges. One binary search a question.

use std::net::IpAddr;

use ipnet::IpNet;

/// A set of addresses; empty, it holds none. An IPv4-mapped IPv6 address is the IPv4 one (RFC 4291 §2.5.5.2), and an IPv6 network that has
/// IPv4's place in it was not meant for IPv4.
#[derive(Debug, Clone, Default)]
pub(super) struct Networks {
    /// First and last address of each range, sorted, apart from each other; IPv4 as `::ffff:a.b.c.d`.
    ranges: Vec<(u128, u128)>,
}

/// All of IPv4: `::ffff:0:0` to `::ffff:ffff:ffff`.
const IPV4: (u128, u128) = (0xffff_0000_0000, 0xffff_ffff_ffff);

/// An address as a number; IPv4 and IPv4-mapped IPv6 are the same.
fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().to_bits(),
        IpAddr::V6(v6) => v6.to_bits(),
    }
}

impl Networks {
    /// The set of all these networks' addresses.
    pub(super) fn new(networks: &[IpNet]) -> Self {
        let mut all: Vec<(u128, u128)> = networks
            .iter()
            .flat_map(|network| {
                let first = number(network.network());
                let host_bits = u32::from(network.max_prefix_len() - network.prefix_len());
                let last = first | 1_u128.checked_shl(host_bits).map_or(u128::MAX, |size| size - 1);
                let around = (first < IPV4.0 && last >= IPV4.1).then_some((IPV4.1 + 1, last));
                [Some((first, around.map_or(last, |_| IPV4.0 - 1))), around].into_iter().flatten()
            })
            .collect();
        all.sort_unstable();
        let mut ranges: Vec<(u128, u128)> = Vec::with_capacity(all.len());
        for (first, last) in all {
            match ranges.last_mut() {
                Some((_, end)) if first <= end.saturating_add(1) => *end = last.max(*end),
                _ => ranges.push((first, last)),
            }
        }
        Self { ranges }
    }

    /// Whether `address` is in one of them.
    #[inline]
    pub(super) fn contains(&self, address: IpAddr) -> bool {
        let address = number(address);
        let behind = self.ranges.partition_point(|&(first, _)| first <= address);
        self.ranges.get(..behind).and_then(<[_]>::last).is_some_and(|&(_, last)| address <= last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_of_both_families() {
        for (networks, address, want) in [
            (&[][..], "127.0.0.1", false),
            (&["127.0.0.0/8"], "127.255.255.255", true),
            (&["127.0.0.0/8"], "128.0.0.0", false),
            (&["127.0.0.0/8"], "::ffff:127.0.0.1", true),
            (&["127.0.0.0/8"], "::1", false),
            (&["0.0.0.0/0"], "203.0.113.9", true),
            (&["0.0.0.0/0"], "2001:db8::1", false),
            (&["::/0"], "2001:db8::1", true),
            (&["::/0"], "::", true),
            (&["::/0"], "::fffe:ffff:ffff", true),
            (&["::/0"], "::ffff:10.0.0.1", false),
            (&["::/0"], "0.0.0.0", false),
            (&["::/64"], "255.255.255.255", false),
            (&["::/64"], "::1:0:0:0", true),
            (&["::/64", "10.0.0.0/8"], "10.0.0.1", true),
            (&["::ffff:10.0.0.0/104"], "10.0.0.1", true),
            (&["10.0.0.0/9", "10.128.0.0/9", "10.1.0.0/16"], "10.200.0.1", true),
            (&["2001:db8::/32"], "2001:db9::", false),
            (&["192.168.1.7/32"], "192.168.1.7", true),
            (&["192.168.1.7/32"], "192.168.1.8", false),
        ] {
            let set = Networks::new(&networks.iter().map(|text| text.parse().unwrap()).collect::<Vec<_>>());
            assert_eq!(set.contains(address.parse().unwrap()), want, "{address} in {networks:?}");
        }
    }
}
