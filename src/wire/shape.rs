//! [`Part`]: what RDATA is made of, and whether octets are made so. What is not would go out as a record that its reader cannot read.
//!
//! Names are not compressed here: RDATA stands alone. Costs a pass over the octets.

use crate::name::NameRef;

/// One part of a type's RDATA.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    /// A number of one octet.
    U8,
    /// A number of two octets.
    U16,
    /// A number of four octets.
    U32,
    /// The same, a time in seconds that may be written with units.
    Secs,
    /// An IPv4 address.
    Ipv4,
    /// An IPv6 address.
    Ipv6,
    /// A domain name.
    Name,
    /// One character-string (RFC 1035 §3.3).
    String,
    /// One or more of them, to the end.
    Strings,
    /// Letters and digits, at least one, with their count in front (RFC 8659 §4.1).
    Tag,
    /// Text to the end, at least so long.
    Text(usize),
    /// Octets to the end, at least one; written as hexadecimal digits.
    Hex,
    /// So many octets of a form that is not looked at.
    Octets(usize),
    /// Octets to the end, at least so many, of a form that is not looked at.
    Rest(usize),
    /// Parameters of a service, to the end (RFC 9460 §2.2).
    Params,
}

/// Whether `rdata` is made of `parts` and nothing else.
pub(super) fn is_made_of(mut rdata: &[u8], parts: &[Part]) -> bool {
    parts.iter().all(|part| {
        part.skip(rdata).is_some_and(|rest| {
            rdata = rest;
            true
        })
    }) && rdata.is_empty()
}

impl Part {
    /// What follows this part at the start of `octets`; `None` if it does not stand there.
    fn skip(self, octets: &[u8]) -> Option<&[u8]> {
        let whole = |holds: bool| holds.then_some(&[][..]);
        match self {
            Self::U8 => octets.get(1..),
            Self::U16 => octets.get(2..),
            Self::U32 | Self::Secs | Self::Ipv4 => octets.get(4..),
            Self::Ipv6 => octets.get(16..),
            Self::Octets(count) => octets.get(count..),
            Self::Name => octets.get(NameRef::read(octets).ok()?.wire().len()..),
            Self::String => string(octets).map(|(_, rest)| rest),
            Self::Strings => whole(is_strings(octets, |_| true)),
            Self::Tag => {
                let (tag, rest) = string(octets)?;
                (!tag.is_empty() && tag.iter().all(u8::is_ascii_alphanumeric)).then_some(rest)
            }
            Self::Text(least) | Self::Rest(least) => whole(octets.len() >= least),
            Self::Hex => whole(!octets.is_empty()),
            Self::Params => whole(are_params(octets)),
        }
    }
}

/// The octets that the first one counts, and what follows.
fn string(octets: &[u8]) -> Option<(&[u8], &[u8])> {
    let (&length, rest) = octets.split_first()?;
    rest.split_at_checked(usize::from(length))
}

/// Whether octets are one string or more, each of which `fits`.
fn is_strings(mut octets: &[u8], fits: fn(&[u8]) -> bool) -> bool {
    if octets.is_empty() {
        return false;
    }
    while let Some((one, rest)) = string(octets) {
        if !fits(one) {
            return false;
        }
        octets = rest;
    }
    octets.is_empty()
}

/// A number of two octets, and what follows.
fn number(octets: &[u8]) -> Option<(u16, &[u8])> {
    octets.split_first_chunk().map(|(&number, rest)| (u16::from_be_bytes(number), rest))
}

/// Keys of service parameters (RFC 9460 §14.3.2).
mod key {
    pub(super) const MANDATORY: u16 = 0;
    pub(super) const ALPN: u16 = 1;
    pub(super) const NO_DEFAULT_ALPN: u16 = 2;
    pub(super) const PORT: u16 = 3;
    pub(super) const IPV4HINT: u16 = 4;
    pub(super) const ECH: u16 = 5;
    pub(super) const IPV6HINT: u16 = 6;
    pub(super) const INVALID: u16 = 65_535;
}

/// Whether octets are service parameters, each as its key has it. RFC 9460 §2.2: "SvcParamKeys SHALL appear in increasing numeric order."
fn are_params(octets: &[u8]) -> bool {
    let mut params: Vec<(u16, &[u8])> = Vec::new();
    let mut rest = octets;
    while !rest.is_empty() {
        let read = number(rest).and_then(|(key, rest)| {
            let (length, rest) = number(rest)?;
            Some((key, rest.split_at_checked(usize::from(length))?))
        });
        let Some((key, (value, tail))) = read else { return false };
        if params.last().is_some_and(|&(before, _)| before >= key) {
            return false;
        }
        params.push((key, value));
        rest = tail;
    }
    let has = |key| params.iter().any(|&(other, _)| other == key);
    params.iter().all(|&(key, value)| match key {
        key::MANDATORY => is_mandatory(value, has),
        key::ALPN => is_strings(value, |id| !id.is_empty()),
        // RFC 9460 §7.1.1: "alpn" must be there too, "in order for the RR to be "self-consistent"".
        key::NO_DEFAULT_ALPN => value.is_empty() && has(key::ALPN),
        key::PORT => value.len() == 2,
        key::IPV4HINT => !value.is_empty() && value.len().is_multiple_of(4),
        key::IPV6HINT => !value.is_empty() && value.len().is_multiple_of(16),
        key::ECH => !value.is_empty(),
        key::INVALID => false,
        _ => true,
    })
}

/// Whether a value lists keys that must be understood (RFC 9460 §8): at least one, each once and in order, each of a parameter that is there,
/// and not itself.
fn is_mandatory(mut value: &[u8], has: impl Fn(u16) -> bool) -> bool {
    let mut before = key::MANDATORY;
    let listed = !value.is_empty();
    while let Some((key, rest)) = number(value) {
        if key <= before || !has(key) {
            return false;
        }
        (before, value) = (key, rest);
    }
    listed && value.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_one_by_one() {
        use Part::{Hex, Name, Octets, Params, Rest, String, Strings, Tag, Text, U8, U16};
        for (parts, octets, want) in [
            (&[U16, Name][..], &b"\0\x0a\x01a\0"[..], true),
            (&[U16, Name], b"\0\x0a\x01a", false),
            (&[U16, Name], b"\0\x0a\x01a\0x", false),
            (&[U16, Name], b"\0\x0a\xc0\0", false),
            (&[Strings], b"", false),
            (&[Strings], b"\0", true),
            (&[Strings], b"\x01a\x02bc", true),
            (&[Strings], b"\x01a\x02b", false),
            (&[String, String], b"\x01a\0", true),
            (&[String, String], b"\x01a", false),
            (&[U8, Tag, Text(0)], b"\0\x05issue", true),
            (&[U8, Tag, Text(0)], b"\0\0issue", false),
            (&[U8, Tag, Text(0)], b"\0\x05iss-e", false),
            (&[U16, U16, Text(1)], b"\0\0\0\0", false),
            (&[U8, U8, Hex], b"\x01\x01\xaa", true),
            (&[U8, U8, Hex], b"\x01\x01", false),
            (&[Octets(4)], b"\0\0\0", false),
            (&[Rest(0)], b"", true),
            (&[Params], b"", true),
            (&[Params], b"\0\x01\0\x03\x02h2", true),
            (&[Params], b"\0\x01\0\x01\0", false), // an empty id
            (&[Params], b"\0\x01\0\0", false),     // no id
            (&[Params], b"\0\x02\0\0", false),     // no-default-alpn without alpn
            (&[Params], b"\0\x01\0\x02\x01x\0\x02\0\0", true),
            (&[Params], b"\0\x03\0\x02\0\x35", true),
            (&[Params], b"\0\x03\0\x01\x35", false),
            (&[Params], b"\0\x04\0\0", false), // no address
            (&[Params], b"\0\x04\0\x03abc", false),
            (&[Params], b"\0\x06\0\0", false),
            (&[Params], b"\0\x05\0\0", false),
            (&[Params], b"\0\x03\0\x02\0\x35\0\x03\0\x02\0\x35", false), // twice
            (&[Params], b"\0\x03\0\x02\0\x35\0\x01\0\x02\x01x", false),  // out of order
            (&[Params], b"\0\0\0\0\0\x03\0\x02\0\x35", false),           // mandatory, but nothing
            (&[Params], b"\0\0\0\x02\0\x03\0\x03\0\x02\0\x35", true),
            (&[Params], b"\0\0\0\x02\0\x04\0\x03\0\x02\0\x35", false), // not there
            (&[Params], b"\0\0\0\x04\0\x03\0\x03\0\x03\0\x02\0\x35", false),
            (&[Params], b"\0\0\0\x02\0\0\0\x03\0\x02\0\x35", false),
            (&[Params], b"\xff\xff\0\0", false),
            (&[Params], b"\0\x07\0\0", true),
            (&[Params], b"\0\x07\0\x09x", false),
        ] {
            assert_eq!(is_made_of(octets, parts), want, "{parts:?} {}", octets.escape_ascii());
        }
    }
}
