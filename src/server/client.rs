//! [`Client`]: who asks. Lives as long as the query it came with, and is in no log, metric or error.

use std::fmt;
use std::net::IpAddr;

/// A query's identity: an address, who said it, and the listener the query came to. Shows none of them when printed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Client {
    /// IPv4 is IPv4, never mapped into IPv6 (RFC 4291 §2.5.5.2): one client has one address.
    address: IpAddr,
    /// Under `LISTEN_MAX`, which a `u8` holds; `None` if it is not known.
    listener: Option<u8>,
    /// Whether a PROXY header said who asks: the query came by way of a load balancer.
    proxied: bool,
}

impl Client {
    /// A client at `address` that came itself, to the listener at place `listener` of `server.listen`.
    #[inline]
    #[must_use]
    pub fn direct(address: IpAddr, listener: usize) -> Self {
        Self { address: address.to_canonical(), listener: u8::try_from(listener).ok(), proxied: false }
    }

    /// A client that a load balancer says is at `address`; which listener it says it to is not known yet.
    #[inline]
    #[must_use]
    pub const fn proxied(address: IpAddr) -> Self {
        Self { address: address.to_canonical(), listener: None, proxied: true }
    }

    /// This client, whose query came to the listener that `balancer` came to.
    #[inline]
    #[must_use]
    pub const fn through(self, balancer: Self) -> Self {
        Self { listener: balancer.listener, ..self }
    }

    /// Its address; an IPv4-mapped one as IPv4.
    #[inline]
    #[must_use]
    pub const fn address(self) -> IpAddr {
        self.address
    }

    /// The place in `server.listen` of the listener that its query came to, if that is known.
    #[inline]
    #[must_use]
    pub const fn listener(self) -> Option<u8> {
        self.listener
    }

    /// Whether a load balancer said who it is.
    #[inline]
    #[must_use]
    pub const fn is_proxied(self) -> bool {
        self.proxied
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<client>")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_client_has_one_address_and_keeps_it_to_itself() {
        let (mapped, four) = ("::ffff:192.0.2.7".parse().unwrap(), "192.0.2.7".parse().unwrap());
        assert_eq!(Client::direct(mapped, 3), Client::direct(four, 3));
        assert_eq!(Client::proxied(mapped), Client::proxied(four));
        assert_eq!((Client::direct(four, 3).address(), Client::direct(four, 3).listener()), (four, Some(3)));
        assert_eq!(Client::proxied(four).listener(), None);
        let balancer = Client::direct("198.51.100.1".parse().unwrap(), 3);
        let through = Client::proxied(four).through(balancer);
        assert_eq!((through.address(), through.listener(), through.is_proxied()), (four, Some(3), true));
        assert!(!balancer.is_proxied() && through != Client::direct(four, 3));
        let shown = format!("{:?} {:?}", Client::direct(four, 3), Client::proxied(four));
        assert!(!shown.contains(|c: char| c.is_ascii_digit()), "{shown}");
    }
}
