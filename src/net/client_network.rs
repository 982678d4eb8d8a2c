//! [`ClientNetwork`]: the network that a client's share of a limit is counted by.

use std::fmt;
use std::net::IpAddr;

/// An IPv4 address, or the /56 that an IPv6 address is in: what one customer usually has (RFC 6177 §2), so that changing the address gains
/// nothing. Shows none of it when printed.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct ClientNetwork(u64);

impl ClientNetwork {
    /// Octets of an IPv6 address that count.
    const SIX_OCTETS: usize = 7;

    /// Its number among all networks of both families: to be counted by, never to be shown.
    #[inline]
    #[must_use]
    pub const fn number(self) -> u64 {
        self.0
    }

    /// The network of `address`; an IPv4-mapped one counts as IPv4.
    #[inline]
    #[must_use]
    pub const fn of(address: IpAddr) -> Self {
        // The top octet tells the families apart: an IPv6 network takes the seven below it.
        match address.to_canonical() {
            IpAddr::V4(four) => Self(1 << (8 * Self::SIX_OCTETS) | four.to_bits() as u64),
            IpAddr::V6(six) => {
                let [a, b, c, d, e, f, g, ..] = six.octets();
                Self(u64::from_be_bytes([0, a, b, c, d, e, f, g]))
            }
        }
    }
}

impl fmt::Debug for ClientNetwork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<client network>")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_or_a_56_is_one_client() {
        for (one, other, same) in [
            ("192.0.2.1", "192.0.2.1", true),
            ("192.0.2.1", "192.0.2.2", false),
            ("::ffff:192.0.2.1", "192.0.2.1", true),
            ("2001:db8:0:ff::1", "2001:db8:0:0:ffff::9", true),
            ("2001:db8:0:ff::1", "2001:db8:0:100::1", false),
            ("::c000:201", "192.0.2.1", false),
            ("100:c000:201::", "192.0.2.1", false),
        ] {
            let network = |text: &str| ClientNetwork::of(text.parse().unwrap());
            assert_eq!(network(one) == network(other), same, "{one} {other}");
            assert_eq!(format!("{:?}", network(one)), "<client network>");
        }
    }
}
