//! Which clients may ask. One binary search a packet.

use std::net::IpAddr;

use super::AccessConfig;
use super::networks::Networks;

/// The networks whose clients are answered. Default deny: an open resolver amplifies attacks (RFC 5358, BCP 140).
#[derive(Debug, Clone, Default)]
pub struct Access {
    /// Theirs.
    allowed: Networks,
}

impl Access {
    /// The set of `config`'s networks.
    #[must_use]
    pub fn new(config: &AccessConfig) -> Self {
        Self { allowed: Networks::new(&config.allow) }
    }

    /// Whether a client at `address` may ask.
    #[inline]
    #[must_use]
    pub fn allows(&self, address: IpAddr) -> bool {
        self.allowed.contains(address)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_default_the_inside_may_ask_and_nobody_else() {
        let default = Access::new(&AccessConfig::default());
        assert!(default.allows("10.0.0.1".parse().unwrap()) && !default.allows("192.0.2.1".parse().unwrap()));
        assert!(!Access::default().allows("10.0.0.1".parse().unwrap()), "without a network nobody may");
    }
}
