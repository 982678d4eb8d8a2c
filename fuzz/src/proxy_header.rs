//! What may be a PROXY header, through `server::ProxyHeader` and `server::Proxies`.
//!
//! Input: an octet of switches (1 not listed, 2 the signature in front), and the octets.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::LazyLock;

use cenote::server::{Client, Proxies, ProxyConfig, ProxyHeader};

use super::octet;

/// What a header begins with.
const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
/// The listed peer.
const LISTED: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);

/// One balancer.
static PROXIES: LazyLock<Proxies> =
    LazyLock::new(|| Proxies::new(&ProxyConfig { from: vec![IpAddr::V4(LISTED).into()] }));

/// Reads every beginning of the octets, and asks who asks.
pub fn run(data: &[u8]) {
    let mut rest = data;
    let switches = octet(&mut rest);
    let octets = [if switches & 2 == 0 { &[][..] } else { SIGNATURE }, rest].concat();
    let got = ProxyHeader::read(&octets);
    if let ProxyHeader::Whole { client, octets: length } = got {
        assert!((16..=ProxyHeader::OCTETS_MAX).contains(&length) && length <= octets.len());
        assert_eq!(length, 16 + usize::from(octets[14]) * 256 + usize::from(octets[15]));
        assert_eq!(client, named(&octets));
    }
    beginnings(&octets, got);

    let peer = if switches & 1 == 0 { LISTED } else { Ipv4Addr::new(198, 51, 100, 1) };
    let peer = Client::direct(IpAddr::V4(peer), 0);
    match (PROXIES.identify(peer, &octets), got) {
        (Ok((client, query)), ProxyHeader::Whole { client: named, octets: length }) if switches & 1 == 0 => {
            let named = named.map_or(peer, |named| named.through(peer));
            assert_eq!((client, query), (named, &octets[length..]));
        }
        (result, _) if switches & 1 == 0 => assert!(result.is_err(), "without a whole header nobody asks"),
        (Ok((client, query)), header) => {
            assert_eq!((client, query), (peer, &octets[..]), "a stranger asks for itself");
            assert!(!matches!(header, ProxyHeader::Whole { .. }), "a stranger's header is refused");
        }
        (Err(_), header) => assert_ne!(header, ProxyHeader::Absent, "a stranger's query is taken"),
    }
}

/// The client of a whole header, read naively.
fn named(octets: &[u8]) -> Option<Client> {
    let source = match (octets[12], octets[13]) {
        (0x21, 0x11 | 0x12) => IpAddr::V4(Ipv4Addr::new(octets[16], octets[17], octets[18], octets[19])),
        (0x21, 0x21 | 0x22) => {
            IpAddr::V6(Ipv6Addr::from(u128::from_be_bytes(std::array::from_fn(|place| octets[16 + place]))))
        }
        _ => return None,
    };
    Some(Client::proxied(source))
}

/// What is read of the octets is read of them as they come, too: each beginning says how much to wait for, until one says what all say.
fn beginnings(octets: &[u8], all: ProxyHeader) {
    let mut length = 0;
    let last = loop {
        match ProxyHeader::read(&octets[..length]) {
            ProxyHeader::Partial { more } if length < octets.len() => {
                assert!(more > 0 && length + more <= ProxyHeader::OCTETS_MAX);
                length = (length + more).min(octets.len());
            }
            other => break other,
        }
    };
    assert_eq!(last, all);
    for cut in 0..length {
        let early = ProxyHeader::read(&octets[..cut]);
        assert!(early == all || matches!(early, ProxyHeader::Partial { .. }), "{cut} octets");
    }
}
