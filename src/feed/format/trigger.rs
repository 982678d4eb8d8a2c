//! What an RPZ owner's last label makes of it: a name, or a network as `rpz-ip` and `rpz-client-ip` write it (draft-vixie-dnsop-dns-rpz
//! §4.1.1): `24.0.2.0.192.rpz-ip` is 192.0.2.0/24, `32.zz.db8.2001.rpz-ip` 2001:db8::/32.
//!
//! A network has one way to be written, and any other is refused, as BIND refuses it: what looks like a slip may be one. Costs a pass over
//! the owner.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::Reason;
use crate::feed::entry::network;
use crate::index::{Network, Side};

/// The last labels of triggers other than QNAME start with this (draft §4), and so do the targets of special actions (draft §3).
const SPECIAL_PREFIX: &[u8] = b"rpz-";
/// What stands for an IPv6 address's longest run of zeroes.
const ZEROES: &[u8] = b"zz";

/// What an owner asks to be compared with.
#[derive(Clone, Copy, PartialEq, Eq)]
#[cfg_attr(test, derive(Debug))]
pub(super) enum Trigger<'o> {
    /// The query's name.
    Name(&'o [u8]),
    /// An address, the client's or one in the answer.
    Network(Side, Network),
}

/// Whether a label is one of those that triggers and actions are written with.
pub(super) fn is_special(label: &[u8]) -> bool {
    label.get(..SPECIAL_PREFIX.len()).is_some_and(|start| start.eq_ignore_ascii_case(SPECIAL_PREFIX))
}

/// Reads `owner`, relative to its zone. `trust_wide`: the feed may list networks however large.
///
/// # Errors
/// [`Reason::UnsupportedTrigger`], [`Reason::Network`], [`Reason::WideNetwork`].
pub(super) fn read(owner: &[u8], trust_wide: bool) -> Result<Trigger<'_>, Reason> {
    let dot = owner.iter().rposition(|&octet| octet == b'.');
    let (front, last) = match dot.and_then(|dot| owner.split_at_checked(dot)) {
        Some((front, [_, last @ ..])) => (front, last),
        _ => (&[][..], owner),
    };
    if !is_special(last) {
        return Ok(Trigger::Name(owner));
    }
    let side = match last {
        last if last.eq_ignore_ascii_case(b"rpz-client-ip") => Side::Client,
        last if last.eq_ignore_ascii_case(b"rpz-ip") => Side::Answer,
        _ => return Err(Reason::UnsupportedTrigger),
    };
    let (address, prefix_len) = address(front).ok_or(Reason::Network)?;
    network(address, prefix_len, trust_wide).map(|network| Trigger::Network(side, network))
}

/// The address and the prefix length that labels stand for, last part first; `None` unless that is the one way to write them.
fn address(labels: &[u8]) -> Option<(IpAddr, u8)> {
    let mut labels = labels.split(|&octet| octet == b'.');
    let prefix_len = u8::try_from(number(labels.next()?, 10)?).ok()?;
    // The ninth slot shows that there are too many.
    let mut parts: [&[u8]; 9] = [&[]; 9];
    let mut count = 0;
    for (slot, label) in parts.iter_mut().zip(labels) {
        *slot = label;
        count += 1;
    }
    let parts = parts.get(..count)?;
    if let &[d, c, b, a] = parts
        && !parts.contains(&ZEROES)
    {
        let octet = |label| number(label, 10).and_then(|value| u8::try_from(value).ok());
        return Some((Ipv4Addr::new(octet(a)?, octet(b)?, octet(c)?, octet(d)?).into(), prefix_len));
    }
    Some((ipv6(parts)?.into(), prefix_len))
}

/// The IPv6 address of these words, the last one first, of which one may be `zz`.
fn ipv6(parts: &[&[u8]]) -> Option<Ipv6Addr> {
    let mut words = [0_u16; 8];
    let mut abbreviated = None;
    let mut at = 8_usize;
    for &label in parts {
        if label.eq_ignore_ascii_case(ZEROES) {
            let length = 9_usize.checked_sub(parts.len())?;
            at = at.checked_sub(length)?;
            if abbreviated.replace((at, length)).is_some() {
                return None;
            }
        } else {
            at = at.checked_sub(1)?;
            *words.get_mut(at)? = number(label, 16)?;
        }
    }
    (at == 0 && abbreviated == longest_zeroes(words)).then(|| words.into())
}

/// Where the longest run of two zeroes or more begins, the first of them, and how long it is (RFC 5952 §4.2).
fn longest_zeroes(words: [u16; 8]) -> Option<(usize, usize)> {
    let mut longest = None;
    let mut at = 0;
    for run in words.chunk_by(|a, b| (*a == 0) == (*b == 0)) {
        let zeroes = run.first() == Some(&0) && run.len() >= 2;
        if zeroes && longest.is_none_or(|(_, length)| run.len() > length) {
            longest = Some((at, run.len()));
        }
        at += run.len();
    }
    longest
}

/// A number without a sign or a zero in front.
fn number(label: &[u8], radix: u32) -> Option<u16> {
    let digits = label.iter().all(u8::is_ascii_alphanumeric);
    if !digits || (label.len() > 1 && label.starts_with(b"0")) {
        return None;
    }
    u16::from_str_radix(std::str::from_utf8(label).ok()?, radix).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A network as text.
    fn network(text: &str) -> Network {
        let (first, length) = text.split_once('/').unwrap();
        Network::of(first.parse().unwrap(), length.parse().unwrap()).unwrap()
    }

    #[test]
    fn networks_and_the_one_way_each_is_written() {
        let (bad, wide) = (Err(Reason::Network), Err(Reason::WideNetwork));
        for (labels, want) in [
            ("32.1.7.168.192", Ok("192.168.7.1/32")),
            ("24.0.2.0.192", Ok("192.0.2.0/24")),
            ("8.0.0.0.10", Ok("10.0.0.0/8")),
            ("7.0.0.0.10", wide),
            ("0.0.0.0.0", wide),
            ("24.1.2.0.192", bad), // host bits
            ("33.1.2.0.192", bad),
            ("032.1.2.0.192", bad),
            ("32.01.2.0.192", bad),
            ("32.256.2.0.192", bad),
            ("32.+1.2.0.192", bad),
            ("32.1.2.192", bad),
            ("32.1.1.2.0.192", bad),
            ("32..2.0.192", bad),
            ("*.2.0.192", bad),
            ("", bad),
            ("32", bad),
            ("a.1.2.0.192", bad),
            ("128.1.zz.db8.2001", Ok("2001:db8::1/128")),
            ("32.zz.DB8.2001", Ok("2001:db8::/32")),
            ("128.1.ZZ", Ok("::1/128")),
            ("64.zz.1", Ok("1::/64")),
            ("128.8.7.6.5.4.3.2.1", Ok("1:2:3:4:5:6:7:8/128")),
            ("128.8.7.6.5.4.0.2.1", Ok("1:2:0:4:5:6:7:8/128")),
            ("128.8.0.0.5.zz.1", Ok("1::5:0:0:8/128")),
            ("128.8.0.0.5.4.zz.1", Ok("1::4:5:0:0:8/128")), // of two as long the first is left out
            ("128.8.zz.5.4.0.0.1", bad),
            ("128.8.7.6.5.4.zz.2.1", bad), // a single zero is written
            ("128.1.0.0.0.0.0.db8.2001", bad),
            ("128.1.zz.0.db8.2001", bad),
            ("128.1.zz.zz.2001", bad),
            ("128.1.zz.0db8.2001", bad),
            ("128.1.zz.10000", bad),
            ("129.1.zz.db8.2001", bad),
            ("256.1.zz.db8.2001", bad),
            ("127.1.zz.db8.2001", bad),
            ("128.9.8.7.6.5.4.3.2.1", bad),
            ("128.1.9.8.7.6.5.4.3.2.1", bad),
            ("120.0.c000.ffff.zz", bad), // IPv4 has its own way
            ("15.zz.2000", wide),
            ("16.zz.2002", Ok("2002::/16")),
            ("0.zz", wide),
        ] {
            for (end, side) in [("rpz-ip", Side::Answer), ("RPZ-Client-IP", Side::Client)] {
                let owner = format!("{labels}.{end}");
                let want = want.map(|text| Trigger::Network(side, network(text)));
                assert_eq!(read(owner.as_bytes(), false), want, "{owner}");
                let trusted = want.map(Ok).unwrap_or_else(|reason| match reason {
                    Reason::WideNetwork => read(owner.as_bytes(), true),
                    _ => Err(reason),
                });
                assert_eq!(read(owner.as_bytes(), true), trusted, "{owner}");
                assert!(want != wide_error() || trusted.is_ok(), "{owner}");
            }
        }
        assert_eq!(read(b"rpz-ip", true), Err(Reason::Network));
    }

    /// What a network that is too wide comes to.
    const fn wide_error<'o>() -> Result<Trigger<'o>, Reason> {
        Err(Reason::WideNetwork)
    }

    #[test]
    fn other_owners() {
        let name = |owner: &'static str| Ok(Trigger::Name(owner.as_bytes()));
        for (owner, want) in [
            ("a.example", name("a.example")),
            ("", name("")),
            ("rpz-ip.example", name("rpz-ip.example")),
            ("ns.example.rpz-nsdname", Err(Reason::UnsupportedTrigger)),
            ("32.1.2.0.192.RPZ-NSIP", Err(Reason::UnsupportedTrigger)),
            ("32.1.2.0.192.rpz-new", Err(Reason::UnsupportedTrigger)),
        ] {
            assert_eq!(read(owner.as_bytes(), false), want, "{owner}");
        }
    }
}
