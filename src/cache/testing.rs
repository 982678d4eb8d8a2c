//! Queries and replies for tests of this room and of `forward`, octet by octet.

use super::{Key, Seed};
use crate::wire::{HEADER_OCTETS, Header, Query, rtype};

/// A record of a scripted reply: type, TTL, RDATA; its owner is the question's name.
pub(crate) type Scripted<'a> = (u16, u32, &'a [u8]);

/// A query for the A of the `number`th name, RD set, with an OPT.
pub(crate) fn query(number: u16) -> Vec<u8> {
    query_for(format!("n{number:05}").as_bytes(), rtype::A, true, false, false)
}

/// A query for `label.example`.
pub(crate) fn query_for(label: &[u8], qtype: u16, opt: bool, dnssec_ok: bool, authentic: bool) -> Vec<u8> {
    let mut octets = vec![0xab, 0xcd, 1, u8::from(authentic) << 5, 0, 1, 0, 0, 0, 0, 0, u8::from(opt)];
    octets.push(u8::try_from(label.len()).unwrap());
    octets.extend_from_slice(label);
    octets.extend_from_slice(b"\x07example\0");
    octets.extend_from_slice(&qtype.to_be_bytes());
    octets.extend_from_slice(&[0, 1]);
    if opt {
        octets.extend_from_slice(&[0, 0, 41, 4, 0xd0, 0, 0, u8::from(dnssec_ok) << 7, 0, 0, 0]);
    }
    octets
}

/// Reads a query that is one.
pub(crate) fn read(octets: &[u8]) -> Query<'_> {
    Query::read(Header::read(octets).unwrap(), octets).unwrap()
}

/// A query's key under the tests' seed.
pub(crate) fn key_of(octets: &[u8]) -> Key {
    key_in(octets, 0)
}

/// A query's key in a group of upstreams.
pub(crate) fn key_in(octets: &[u8], group: u16) -> Key {
    Key::of(&read(octets), group, &Seed::new([0x5eed, 0xc0de]))
}

/// A reply to `query` with RA, the given records by section, and at the end `tail` counted as `tail_records` additional ones.
pub(crate) fn reply(query: &[u8], rcode: u8, sections: [&[Scripted<'_>]; 3], tail: &[u8], tail_records: u8) -> Vec<u8> {
    let question = read(query).question.len();
    let mut octets = query[..HEADER_OCTETS + question].to_vec();
    octets[2] |= 0x80;
    octets[3] = 0x80 | rcode;
    for (index, records) in sections.iter().enumerate() {
        octets[7 + 2 * index] = u8::try_from(records.len()).unwrap();
        for (rtype, ttl, rdata) in *records {
            octets.extend_from_slice(&[0xc0, 12]);
            octets.extend_from_slice(&rtype.to_be_bytes());
            octets.extend_from_slice(&[0, 1]);
            octets.extend_from_slice(&ttl.to_be_bytes());
            octets.extend_from_slice(&u16::try_from(rdata.len()).unwrap().to_be_bytes());
            octets.extend_from_slice(rdata);
        }
    }
    octets[11] += tail_records;
    octets.extend_from_slice(tail);
    octets
}

/// A reply that gives `addresses`.
pub(crate) fn address_reply(query: &[u8], addresses: &[u32], ttl: u32) -> Vec<u8> {
    let rdata: Vec<_> = addresses.iter().map(|address| address.to_be_bytes()).collect();
    let records: Vec<Scripted<'_>> = rdata.iter().map(|rdata| (rtype::A, ttl, &rdata[..])).collect();
    reply(query, 0, [&records, &[], &[]], &[], 0)
}

/// An OPT with the high bits of a code and, if given, an EDE with text.
pub(crate) fn opt(rcode_high: u8, ede: Option<u16>) -> Vec<u8> {
    let option = ede.map_or(vec![], |code| [&[0, 15, 0, 6][..], &code.to_be_bytes(), b"text"].concat());
    let length = u8::try_from(option.len()).unwrap();
    [&[0, 0, 41, 4, 0xd0, rcode_high, 0, 0, 0, 0, length][..], &option].concat()
}
