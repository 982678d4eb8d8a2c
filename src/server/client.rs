//! [`Client`]: who asks. Lives as long as the query it came with, and is in no log, metric or error.

use std::fmt;
use std::net::IpAddr;

/// A query's identity: an address, and the listener it came to unless somebody trusted spoke for the client. Shows neither when printed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Client {
    /// IPv4 is IPv4, never mapped into IPv6 (RFC 4291 §2.5.5.2): one client has one address.
    address: IpAddr,
    /// `None` if a PROXY header said who asks; else under `LISTEN_MAX`, which a `u8` holds.
    listener: Option<u8>,
}

impl Client {
    /// A client at `address` that came itself, to the listener at place `listener` of `server.listen`.
    #[inline]
    #[must_use]
    pub fn direct(address: IpAddr, listener: usize) -> Self {
        Self { address: address.to_canonical(), listener: u8::try_from(listener).ok() }
    }

    /// A client that a load balancer says is at `address`.
    #[inline]
    #[must_use]
    pub const fn proxied(address: IpAddr) -> Self {
        Self { address: address.to_canonical(), listener: None }
    }

    /// Its address; an IPv4-mapped one as IPv4.
    #[inline]
    #[must_use]
    pub const fn address(self) -> IpAddr {
        self.address
    }

    /// The place in `server.listen` of the listener it came to; `None` if a PROXY header said who asks.
    #[inline]
    #[must_use]
    pub const fn listener(self) -> Option<u8> {
        self.listener
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
        let shown = format!("{:?} {:?}", Client::direct(four, 3), Client::proxied(four));
        assert!(!shown.contains(|c: char| c.is_ascii_digit()), "{shown}");
    }
}
