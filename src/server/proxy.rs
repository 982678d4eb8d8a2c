//! The PROXY protocol, version 2: a load balancer says in front of a query for whom it asks (HAProxy's `proxy-protocol.txt` §2.2).
//!
//! ```text
//! 0      signature, 12 octets
//! 12     version (high half: 2), command (low half: 0 LOCAL, 1 PROXY)
//! 13     family (high half: 0 unspecified, 1 IPv4, 2 IPv6, 3 Unix), transport (low half: 0 unspecified, 1 stream, 2 datagram)
//! 14     length of what follows, 2 octets
//! 16     source address, destination address, source port, destination port; then TLVs, which are skipped, a checksum among them too
//! ```
//!
//! §2: "The receiver MUST be configured to only receive the protocol described in this specification and MUST not try to guess whether the
//! protocol header is present or not": who is listed must send one, and nobody else may, or anyone could ask in another's name. Octets in,
//! a client out; no I/O. Costs a compare of a few octets a packet, and a binary search; allocates nothing.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::networks::Networks;
use super::{Client, ProxyConfig};
use crate::metrics::ProxyRefused;

/// What a header begins with.
const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";
/// What a header of version 1, which is text, begins with. It is never read.
const TEXT_SIGNATURE: [u8; 6] = *b"PROXY ";
/// Octets up to the addresses.
const FIXED_OCTETS: usize = 16;

/// What some octets say about who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProxyHeader {
    /// No header is in front.
    Absent,
    /// So far as it goes it is a header; the next step takes up to so many octets more, at least one.
    Partial {
        /// How many.
        more: usize,
    },
    /// A header, whole.
    Whole {
        /// For whom the sender asks, not yet [`Client::through`] it; `None`: for itself.
        client: Option<Client>,
        /// The header's length: the query begins behind it.
        octets: usize,
    },
    /// Begins as a header, and is none that is understood.
    Malformed,
}

impl ProxyHeader {
    /// The longest header, octets. §2: "Both formats are designed to fit in the smallest TCP segment that any TCP/IP host is required to support
    /// (576 - 40 = 536 bytes)"; dnsdist and PowerDNS, when they read one, take 512.
    pub const OCTETS_MAX: usize = 536;

    /// What `octets` begin with.
    #[must_use]
    pub fn read(octets: &[u8]) -> Self {
        if octets.starts_with(&TEXT_SIGNATURE) {
            return Self::Malformed;
        }
        if !octets.starts_with(&SIGNATURE) {
            let undecided = SIGNATURE.starts_with(octets) || TEXT_SIGNATURE.starts_with(octets);
            return if undecided { Self::Partial { more: FIXED_OCTETS - octets.len() } } else { Self::Absent };
        }
        let Some((fixed, rest)) = octets.split_first_chunk::<FIXED_OCTETS>() else {
            return Self::Partial { more: FIXED_OCTETS - octets.len() };
        };
        let [.., command, family, high, low] = *fixed;
        let length = usize::from(u16::from_be_bytes([high, low]));
        // §2.2: "Receivers MUST always consider this field to skip the appropriate number of bytes".
        let addresses = match kind(command, family) {
            Some(Kind::Own) => 0,
            Some(Kind::V4) => 2 * 4 + 2 * 2,
            Some(Kind::V6) => 2 * 16 + 2 * 2,
            None => return Self::Malformed,
        };
        if length < addresses || FIXED_OCTETS + length > Self::OCTETS_MAX {
            return Self::Malformed;
        }
        if let Some(more @ 1..) = length.checked_sub(rest.len()) {
            return Self::Partial { more };
        }
        let client = match kind(command, family) {
            Some(Kind::V4) => rest.first_chunk::<4>().map(|&four| IpAddr::V4(Ipv4Addr::from(four))),
            Some(Kind::V6) => rest.first_chunk::<16>().map(|&sixteen| IpAddr::V6(Ipv6Addr::from(sixteen))),
            _ => None,
        };
        Self::Whole { client: client.map(Client::proxied), octets: FIXED_OCTETS + length }
    }
}

/// Whose addresses a header has.
#[derive(Clone, Copy)]
enum Kind {
    /// None that count: the connection's own are used.
    Own,
    /// A client's, IPv4.
    V4,
    /// A client's, IPv6.
    V6,
}

/// What the 13th and 14th octets say; `None` if they say nothing that may be accepted.
const fn kind(command: u8, family: u8) -> Option<Kind> {
    match (command, family >> 4, family & 15) {
        // §2.2: LOCAL: "The receiver must accept this connection as valid and must use the real connection endpoints and discard the
        // protocol block including the family which is ignored."
        (0x20, ..) => Some(Kind::Own),
        // UNSPEC, family or transport: "free to accept the connection anyway and use the real endpoint addresses".
        (0x21, 0, 0..=2) | (0x21, 1 | 2, 0) => Some(Kind::Own),
        (0x21, 1, 1 | 2) => Some(Kind::V4),
        (0x21, 2, 1 | 2) => Some(Kind::V6),
        // A Unix socket's client has no address to be judged by. Other commands: "Receivers must drop"; other families and transports:
        // "must be rejected as invalid by receivers".
        _ => None,
    }
}

/// The load balancers that ask for others.
#[derive(Debug, Clone, Default)]
pub struct Proxies {
    /// Theirs.
    from: Networks,
}

impl Proxies {
    /// The set of `config`'s networks.
    #[must_use]
    pub fn new(config: &ProxyConfig) -> Self {
        Self { from: Networks::new(&config.from) }
    }

    /// Whether the peer at `address` must put a header in front.
    #[inline]
    #[must_use]
    pub fn lists(&self, address: IpAddr) -> bool {
        self.from.contains(address)
    }

    /// Who asks by a datagram of `peer`'s, and the query in it.
    ///
    /// # Errors
    /// Why the datagram is to be dropped.
    #[inline]
    pub fn identify<'p>(&self, peer: Client, datagram: &'p [u8]) -> Result<(Client, &'p [u8]), ProxyRefused> {
        identify(self.lists(peer.address()), peer, datagram)
    }
}

/// Who asks by what begins with `octets` and comes of `peer`, and what is behind the header; `listed`: the peer must send one.
#[inline]
pub(super) fn identify(listed: bool, peer: Client, octets: &[u8]) -> Result<(Client, &[u8]), ProxyRefused> {
    if !listed {
        // Neither is a query: their opcodes are 1 and 9 in a datagram, their question counts not 1 in a stream.
        let opens = octets.starts_with(&SIGNATURE) || octets.starts_with(&TEXT_SIGNATURE);
        return if opens { Err(ProxyRefused::Stranger) } else { Ok((peer, octets)) };
    }
    match ProxyHeader::read(octets) {
        ProxyHeader::Whole { client, octets: header } => {
            let client = client.map_or(peer, |client| client.through(peer));
            Ok((client, octets.get(header..).unwrap_or_default()))
        }
        ProxyHeader::Absent => Err(ProxyRefused::Missing),
        ProxyHeader::Partial { .. } | ProxyHeader::Malformed => Err(ProxyRefused::Malformed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A header with these two octets and this block.
    fn header(command: u8, family: u8, block: &[u8]) -> Vec<u8> {
        let length = u16::try_from(block.len()).unwrap().to_be_bytes();
        [&SIGNATURE[..], &[command, family], &length, block].concat()
    }

    /// Source, destination, ports.
    fn block(source: &str) -> Vec<u8> {
        let address = match source.parse().unwrap() {
            IpAddr::V4(v4) => v4.octets().to_vec(),
            IpAddr::V6(v6) => v6.octets().to_vec(),
        };
        [&address[..], &vec![0xdd; address.len()], &[0xc0, 0, 0, 53]].concat()
    }

    fn client(address: &str) -> Client {
        Client::proxied(address.parse().unwrap())
    }

    const V4: &str = "192.0.2.7";
    const V6: &str = "2001:db8::7";

    #[test]
    fn what_a_header_says() {
        let tlv = [&block(V4)[..], &[0xea, 0, 1, b'x']].concat();
        let full = [&block(V6)[..], &vec![4; ProxyHeader::OCTETS_MAX - FIXED_OCTETS - 36]].concat();
        for (what, octets, want) in [
            ("UDP over IPv4", header(0x21, 0x12, &block(V4)), Some(client(V4))),
            ("TCP over IPv4", header(0x21, 0x11, &block(V4)), Some(client(V4))),
            ("UDP over IPv6", header(0x21, 0x22, &block(V6)), Some(client(V6))),
            ("TCP over IPv6", header(0x21, 0x21, &block(V6)), Some(client(V6))),
            ("mapped", header(0x21, 0x22, &block("::ffff:192.0.2.7")), Some(client(V4))),
            ("with a TLV", header(0x21, 0x12, &tlv), Some(client(V4))),
            ("as long as may be", header(0x21, 0x22, &full), Some(client(V6))),
            ("LOCAL", header(0x20, 0, &[]), None),
            ("LOCAL with addresses all the same", header(0x20, 0x12, &block(V4)), None),
            ("LOCAL of no known family", header(0x20, 0xff, b"?"), None),
            ("unspecified", header(0x21, 0, &[]), None),
            ("unspecified, with octets", header(0x21, 0, &block(V4)), None),
            ("no transport", header(0x21, 0x10, &block(V4)), None),
            ("no transport", header(0x21, 0x20, &block(V6)), None),
            ("no family", header(0x21, 0x02, &[]), None),
        ] {
            let whole = ProxyHeader::Whole { client: want, octets: octets.len() };
            assert_eq!(ProxyHeader::read(&octets), whole, "{what}");
            let longer = [&octets[..], b"a query"].concat();
            assert_eq!(ProxyHeader::read(&longer), whole, "{what}, and more");
            for cut in 0..octets.len() {
                let next = if cut < FIXED_OCTETS { FIXED_OCTETS } else { octets.len() };
                let want = ProxyHeader::Partial { more: next - cut };
                assert_eq!(ProxyHeader::read(&octets[..cut]), want, "{what}, {cut} octets");
            }
        }
    }

    #[test]
    fn what_is_no_header() {
        for octet in 0..SIGNATURE.len() {
            let mut octets = header(0x21, 0x12, &block(V4));
            octets[octet] ^= 0x20;
            assert_eq!(ProxyHeader::read(&octets), ProxyHeader::Absent, "octet {octet} of the signature");
        }
        assert_eq!(ProxyHeader::read(&[0; 40]), ProxyHeader::Absent);
        assert_eq!(ProxyHeader::read(b"PROXY"), ProxyHeader::Partial { more: 11 });
        assert_eq!(ProxyHeader::read(b"PROXY TCP4 192.0.2.7 192.0.2.1 1 2\r\n"), ProxyHeader::Malformed, "version 1");
    }

    #[test]
    fn every_bad_field_is_refused() {
        for command in (0..=255).filter(|command| !matches!(command, 0x20 | 0x21)) {
            assert_eq!(ProxyHeader::read(&header(command, 0x12, &block(V4))), ProxyHeader::Malformed, "{command:#x}");
        }
        for family in (0..=255_u8).filter(|family| family >> 4 > 2 || family & 15 > 2) {
            let octets = header(0x21, family, &[0; 216]);
            assert_eq!(ProxyHeader::read(&octets), ProxyHeader::Malformed, "{family:#x}");
        }
        for (family, needed) in [(0x11, 12), (0x12, 12), (0x21, 36), (0x22, 36)] {
            for length in 0..needed {
                let octets = header(0x21, family, &vec![1; length]);
                assert_eq!(ProxyHeader::read(&octets), ProxyHeader::Malformed, "{family:#x}, {length} octets");
            }
        }
        for command in [0x20, 0x21] {
            let octets = header(command, 0x12, &[0; ProxyHeader::OCTETS_MAX - FIXED_OCTETS + 1]);
            let told = ProxyHeader::read(&octets[..FIXED_OCTETS]);
            assert_eq!(told, ProxyHeader::Malformed, "too long: told by its length alone");
        }
    }

    #[test]
    fn who_must_and_who_must_not() {
        let config = ProxyConfig { from: vec!["192.0.2.0/24".parse().unwrap()] };
        let proxies = Proxies::new(&config);
        let (listed, stranger) = ("192.0.2.1".parse().unwrap(), "198.51.100.1".parse().unwrap());
        let (listed, stranger) = (Client::direct(listed, 2), Client::direct(stranger, 2));
        let query = &b"\x12\x34\x01\0\0\x01\0\0\0\0\0\0\0\0\x01\0\x01"[..];
        let with = |front: Vec<u8>| [&front[..], query].concat();
        let spoken = with(header(0x21, 0x22, &block(V6)));
        let local = with(header(0x20, 0, &[]));
        for (what, peer, octets, want) in [
            ("a client's", listed, &spoken[..], Ok((client(V6).through(listed), query))),
            ("its own", listed, &local, Ok((listed, query))),
            ("a header alone", listed, &local[..FIXED_OCTETS], Ok((listed, &[][..]))),
            ("none", listed, query, Err(ProxyRefused::Missing)),
            ("cut short", listed, &spoken[..40], Err(ProxyRefused::Malformed)),
            ("nothing", listed, &[], Err(ProxyRefused::Malformed)),
            ("version 1", listed, b"PROXY UNKNOWN\r\n", Err(ProxyRefused::Malformed)),
            ("a stranger's", stranger, &spoken, Err(ProxyRefused::Stranger)),
            ("a stranger's own", stranger, &local, Err(ProxyRefused::Stranger)),
            ("a stranger's version 1", stranger, b"PROXY UNKNOWN\r\n", Err(ProxyRefused::Stranger)),
            ("a stranger's query", stranger, query, Ok((stranger, query))),
            ("a stranger's silence", stranger, &[], Ok((stranger, &[][..]))),
        ] {
            assert_eq!(proxies.identify(peer, octets), want, "{what}");
        }
        assert!(!Proxies::default().lists(listed.address()), "nobody is trusted unless listed");
    }
}
