//! [`Territory`]: from an address to the value of the narrowest network that holds it.
//!
//! Nested networks are cut into ranges that do not overlap, once, so that a lookup is one binary search however deep they nest. 18 octets a
//! border, at most two borders a network.

use std::net::IpAddr;

use ipnet::IpNet;

/// Networks and the number each stands for, immutable.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Territory {
    /// Where each range starts, ascending; the one in front of the first belongs to nobody. IPv4 is `::ffff:a.b.c.d`.
    borders: Vec<u128>,
    /// Whose the range behind each border is.
    owners: Vec<Option<u16>>,
}

/// All of IPv4: `::ffff:0:0` to `::ffff:ffff:ffff`.
const IPV4: (u128, u128) = (0xffff_0000_0000, 0xffff_ffff_ffff);

/// An address as a number; IPv4 and IPv4-mapped IPv6 are the same (RFC 4291 §2.5.5.2).
fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(four) => four.to_ipv6_mapped().to_bits(),
        IpAddr::V6(six) => six.to_bits(),
    }
}

/// A network as its first and its last address.
fn span(network: IpNet) -> (u128, u128) {
    let first = number(network.network());
    let host_bits = u32::from(network.max_prefix_len() - network.prefix_len());
    (first, first | 1_u128.checked_shl(host_bits).map_or(u128::MAX, |size| size - 1))
}

impl Territory {
    /// The territory of these networks; of two owners of one network the later stays.
    #[must_use]
    pub fn divide(networks: impl IntoIterator<Item = (IpNet, u16)>) -> Self {
        let owned = networks.into_iter().map(|(network, owner)| (span(network), Some(owner)));
        // An IPv6 network that happens to hold IPv4's place in it was not meant for IPv4; of two owners of all IPv4 the later stays.
        let mut spans: Vec<((u128, u128), Option<u16>)> = std::iter::once((IPV4, None)).chain(owned).collect();
        // Outer networks come before those in them.
        spans.sort_by_key(|&((first, last), _)| (first, u128::MAX - last));
        let mut territory = Self::default();
        // The networks that hold the place reached: their last addresses and owners, the narrowest last.
        let mut open: Vec<(u128, Option<u16>)> = Vec::new();
        for ((first, last), owner) in spans {
            territory.close(&mut open, Some(first));
            territory.start(first, owner);
            open.push((last, owner));
        }
        territory.close(&mut open, None);
        territory.borders.shrink_to_fit();
        territory.owners.shrink_to_fit();
        territory
    }

    /// Ends the networks that end in front of `until`, or all.
    fn close(&mut self, open: &mut Vec<(u128, Option<u16>)>, until: Option<u128>) {
        while let Some((last, _)) = open.pop_if(|(last, _)| until.is_none_or(|until| *last < until)) {
            // Nothing is behind the last address there is.
            if let Some(behind) = last.checked_add(1) {
                self.start(behind, open.last().and_then(|&(_, owner)| owner));
            }
        }
    }

    /// Starts a range at `at`, in place of one that would be empty.
    fn start(&mut self, at: u128, owner: Option<u16>) {
        if self.borders.last() == Some(&at) {
            self.borders.pop();
            self.owners.pop();
        }
        if self.owners.last().copied().flatten() != owner {
            self.borders.push(at);
            self.owners.push(owner);
        }
    }

    /// Whose the narrowest network is that holds `address`.
    #[inline]
    #[must_use]
    pub fn owner(&self, address: IpAddr) -> Option<u16> {
        if self.borders.is_empty() {
            return None;
        }
        let address = number(address);
        let behind = self.borders.partition_point(|&border| border <= address);
        behind.checked_sub(1).and_then(|place| self.owners.get(place).copied().flatten())
    }

    /// Octets it takes on the heap.
    #[must_use]
    pub fn bytes(&self) -> usize {
        size_of_val(self.borders.as_slice()) + size_of_val(self.owners.as_slice())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::net::{Ipv4Addr, Ipv6Addr};

    use rand::rngs::StdRng;
    use rand::{RngExt, SeedableRng};

    use super::*;

    fn territory(networks: &[&str]) -> Territory {
        Territory::divide((0..).zip(networks).map(|(owner, network)| (network.parse().unwrap(), owner)))
    }

    #[test]
    fn the_narrowest_network_owns_an_address() {
        let territory = territory(&[
            "10.0.0.0/8",
            "10.1.0.0/16",
            "10.1.2.0/24",
            "10.1.2.3/32",
            "::/0",
            "2001:db8::/32",
            "2001:db8::/48",
            "10.255.255.255/32",
            "11.0.0.0/8",
        ]);
        for (address, want) in [
            ("10.0.0.0", Some(0)),
            ("10.1.0.0", Some(1)),
            ("10.1.2.2", Some(2)),
            ("10.1.2.3", Some(3)),
            ("::ffff:10.1.2.3", Some(3)),
            ("10.1.2.4", Some(2)),
            ("10.1.3.0", Some(1)),
            ("10.2.0.0", Some(0)),
            ("10.255.255.255", Some(7)),
            ("11.0.0.0", Some(8)),
            ("12.0.0.0", None),
            ("2001:db8:0:1::", Some(6)),
            ("2001:db8:1::", Some(5)),
            ("2001:db9::", Some(4)),
            ("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", Some(4)),
        ] {
            assert_eq!(territory.owner(address.parse().unwrap()), want, "{address}");
        }
        assert_eq!(Territory::default().owner("10.0.0.1".parse().unwrap()), None);
    }

    #[test]
    fn as_a_naive_twin_says() {
        for seed in 0..200 {
            let mut rng = StdRng::seed_from_u64(seed);
            let mut twin: BTreeMap<IpNet, u16> = BTreeMap::new();
            for owner in 0..rng.random_range(0..40) {
                let network = if rng.random() {
                    // A narrow part of each family, so that networks nest and touch.
                    IpNet::new(
                        Ipv4Addr::from(0x0a00_0000 | rng.random_range(0_u32..64)).into(),
                        rng.random_range(24..=32),
                    )
                } else {
                    IpNet::new(
                        Ipv6Addr::from(u128::MAX - rng.random_range(0_u128..64)).into(),
                        rng.random_range(120..=128),
                    )
                };
                twin.insert(network.unwrap().trunc(), owner);
            }
            if rng.random() {
                twin.insert("::/0".parse().unwrap(), 99);
            }
            let territory = Territory::divide(twin.iter().map(|(&network, &owner)| (network, owner)));
            for low in 0..80_u32 {
                let four = IpAddr::from(Ipv4Addr::from(0x0a00_0000_u32.wrapping_sub(8) + low));
                let six = IpAddr::from(Ipv6Addr::from(u128::MAX - u128::from(low)));
                for address in [four, six] {
                    let holds = twin.iter().filter(|(network, _)| network.contains(&address));
                    let want = holds.max_by_key(|(network, _)| network.prefix_len()).map(|(_, &owner)| owner);
                    assert_eq!(territory.owner(address), want, "seed {seed}, {address}");
                }
            }
        }
    }
}
