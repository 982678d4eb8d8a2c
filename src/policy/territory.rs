//! [`Territory`]: from an address to the value of the narrowest network that holds it.
//!
//! Nested networks are cut into ranges that do not overlap, once, so that a lookup is one binary search however deep they nest. At most two
//! borders a network: 8 octets each for IPv4, whose narrow numbers make a search cheap, and 20 for IPv6.

use std::cmp::Reverse;
use std::net::IpAddr;

use ipnet::IpNet;

/// Networks and the number each stands for, immutable.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Territory {
    /// IPv4, and IPv4-mapped IPv6, which is the same (RFC 4291 §2.5.5.2).
    four: Ranges<u32>,
    /// All other addresses.
    six: Ranges<u128>,
}

/// The addresses of one family, as numbers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Ranges<N> {
    /// Where each range starts, ascending; the one in front of the first belongs to nobody.
    borders: Vec<N>,
    /// Whose the range behind each border is.
    owners: Vec<Option<u16>>,
}

/// A network's first and last address, and its owner.
type Span = ((u128, u128), u16);

/// A network of this first address with so many host bits.
fn span(first: u128, host_bits: u8, owner: u16) -> Span {
    ((first, first | 1_u128.checked_shl(host_bits.into()).map_or(u128::MAX, |size| size - 1)), owner)
}

impl Territory {
    /// The territory of these networks; of two owners of one network the later stays. An IPv6 network that happens to hold IPv4's place in
    /// it was not meant for IPv4.
    #[must_use]
    pub fn divide(networks: impl IntoIterator<Item = (IpNet, u16)>) -> Self {
        let (mut four, mut six) = (Vec::new(), Vec::new());
        for (network, owner) in networks {
            let host_bits = network.max_prefix_len() - network.prefix_len();
            match network.network().to_canonical() {
                // Of at most 32 host bits, mapped or not: a wider network's first address is not IPv4-mapped.
                IpAddr::V4(first) => four.push(span(first.to_bits().into(), host_bits, owner)),
                IpAddr::V6(first) => six.push(span(first.to_bits(), host_bits, owner)),
            }
        }
        let Ranges { borders, owners } = Ranges::divide(four);
        // Nothing of IPv4 is behind its last address.
        let four = borders.into_iter().zip(owners).filter_map(|(at, owner)| Some((u32::try_from(at).ok()?, owner)));
        let (borders, owners) = four.unzip();
        Self { four: Ranges { borders, owners }, six: Ranges::divide(six) }
    }

    /// Whose the narrowest network is that holds `address`.
    #[inline]
    #[must_use]
    pub fn owner(&self, address: IpAddr) -> Option<u16> {
        match address.to_canonical() {
            IpAddr::V4(four) => self.four.owner(four.to_bits()),
            IpAddr::V6(six) => self.six.owner(six.to_bits()),
        }
    }
}

impl<N: Ord + Copy> Ranges<N> {
    /// Whose `address` is.
    #[inline]
    fn owner(&self, address: N) -> Option<u16> {
        let behind = self.borders.partition_point(|&border| border <= address);
        behind.checked_sub(1).and_then(|place| self.owners.get(place).copied().flatten())
    }
}

impl Ranges<u128> {
    /// The ranges of these networks.
    fn divide(mut spans: Vec<Span>) -> Self {
        // Outer networks come before those in them.
        spans.sort_by_key(|&((first, last), _)| (first, Reverse(last)));
        let mut ranges = Self::default();
        // The networks that hold the place reached: their last addresses and owners, the narrowest last.
        let mut open: Vec<(u128, u16)> = Vec::new();
        for ((first, last), owner) in spans {
            ranges.close(&mut open, Some(first));
            ranges.start(first, Some(owner));
            open.push((last, owner));
        }
        ranges.close(&mut open, None);
        ranges.borders.shrink_to_fit();
        ranges.owners.shrink_to_fit();
        ranges
    }

    /// Ends the networks that end in front of `until`, or all.
    fn close(&mut self, open: &mut Vec<(u128, u16)>, until: Option<u128>) {
        while let Some((last, _)) = open.pop_if(|(last, _)| until.is_none_or(|until| *last < until)) {
            // Nothing is behind the last address there is.
            if let Some(behind) = last.checked_add(1) {
                self.start(behind, open.last().map(|&(_, owner)| owner));
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
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::net::{Ipv4Addr, Ipv6Addr};

    use rand::rngs::StdRng;
    use rand::seq::SliceRandom;
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
            "2001:db8::/48",
            "2001:db8::/32",
            "10.255.255.255/32",
            "11.0.0.0/8",
            "::ffff:11.1.0.0/112",
            "255.255.255.0/24",
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
            ("11.1.255.255", Some(9)),
            ("::ffff:11.1.0.0", Some(9)),
            ("255.255.255.255", Some(10)),
            ("0.0.0.0", None),
            ("::", Some(4)),
            ("::1:0:0:0", Some(4)),
            ("12.0.0.0", None),
            ("2001:db8:0:1::", Some(5)),
            ("2001:db8:1::", Some(6)),
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
            let mut networks: Vec<(IpNet, u16)> = twin.iter().map(|(&network, &owner)| (network, owner)).collect();
            networks.shuffle(&mut rng);
            let territory = Territory::divide(networks);
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
