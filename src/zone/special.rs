//! The special names: which they are, and what each is answered.
//!
//! Written straight with [`Writer`] rather than through hickory: the answers need no records kept, cost no allocation, and are thus cheap
//! enough for the reverse look-ups of private addresses that leak out of every network.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::ZoneAnswer;
use crate::name::{Name, NameKey};
use crate::wire::{CLASS_IN, HEADER_OCTETS, Owner, Query, Rcode, ReplyFlags, Writer, rtype};

/// The DS type (RFC 4034 §5).
pub(super) const DS: u16 = 43;
/// The PTR type (RFC 1035 §3.3.12).
const PTR: u16 = 12;
/// TTL of everything here, seconds (RFC 6303 §3).
const TTL_SECS: u32 = 10_800;

/// How a special name is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Special {
    /// Loopback's addresses, for the name and all below it (RFC 6761 §6.3).
    Localhost,
    /// Nothing exists, the name itself neither (RFC 6761 §6.4, RFC 7686 §2).
    Nowhere,
    /// An empty zone (RFC 6303 §3).
    Empty,
    /// Empty, but for the PTR of 127.0.0.1.
    Loopback4,
    /// Empty, but for the PTR of ::1, which is its apex.
    Loopback6,
    /// Empty, but `_dns` exists and has nothing (RFC 9462 §6.4).
    Resolver,
}

/// Special names but the numbered ones, which [`keys`] adds.
const NAMES: &[(&str, Special)] = &[
    ("localhost", Special::Localhost),
    ("invalid", Special::Nowhere),
    ("onion", Special::Nowhere),
    ("home.arpa", Special::Empty),
    ("resolver.arpa", Special::Resolver),
    // RFC 6303 §4.1: private networks; 172.16/12 is in `keys`.
    ("10.in-addr.arpa", Special::Empty),
    ("168.192.in-addr.arpa", Special::Empty),
    // RFC 6303 §4.2: this network, loopback, link-local, documentation, broadcast.
    ("0.in-addr.arpa", Special::Empty),
    ("127.in-addr.arpa", Special::Loopback4),
    ("254.169.in-addr.arpa", Special::Empty),
    ("2.0.192.in-addr.arpa", Special::Empty),
    ("100.51.198.in-addr.arpa", Special::Empty),
    ("113.0.203.in-addr.arpa", Special::Empty),
    ("255.255.255.255.in-addr.arpa", Special::Empty),
    // RFC 6303 §4.3 to §4.6: unspecified, loopback, unique local, link-local, documentation.
    ("0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.ip6.arpa", Special::Empty),
    ("1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.ip6.arpa", Special::Loopback6),
    ("d.f.ip6.arpa", Special::Empty),
    ("8.e.f.ip6.arpa", Special::Empty),
    ("9.e.f.ip6.arpa", Special::Empty),
    ("a.e.f.ip6.arpa", Special::Empty),
    ("b.e.f.ip6.arpa", Special::Empty),
    ("8.b.d.0.1.0.0.2.ip6.arpa", Special::Empty),
];

/// Every special name's key and rules.
pub(super) fn keys() -> impl Iterator<Item = (NameKey, Special)> {
    // RFC 6303 §4.1: 172.16.0.0/12. RFC 7793 §2: the shared address space, 100.64.0.0/10.
    let private = (16..=31).map(|octet| format!("{octet}.172.in-addr.arpa"));
    let shared = (64..=127).map(|octet| format!("{octet}.100.in-addr.arpa"));
    let numbered = private.chain(shared).map(|text| (text, Special::Empty));
    let named = NAMES.iter().map(|&(text, special)| (text.to_owned(), special));
    named.chain(numbered).filter_map(|(text, special)| {
        let key = Name::from_text(text.as_bytes()).ok()?.key().ok()?;
        Some((key, special))
    })
}

impl Special {
    /// Whether the public DNS delegates the name, unsigned, so that a validator needs its parent's word on the DS.
    pub(super) const fn publicly_delegated(self) -> bool {
        matches!(self, Self::Empty | Self::Loopback4 | Self::Loopback6)
    }

    /// The one name in the zone that exists besides its apex: labels below the apex, from the apex down.
    const fn node(self) -> &'static [&'static [u8]] {
        match self {
            Self::Loopback4 => &[b"\x010", b"\x010", b"\x011"],
            Self::Resolver => &[b"\x04_dns"],
            Self::Localhost | Self::Nowhere | Self::Empty | Self::Loopback6 => &[],
        }
    }

    /// Answers `query`, whose name is at or below the apex with `apex_labels` labels, into `out`.
    pub(super) fn answer(self, apex_labels: usize, query: &Query<'_>, out: &mut [u8]) -> ZoneAnswer {
        let apex_octets = query.qname.suffix(apex_labels).len();
        let apex_at = HEADER_OCTETS + query.qname.wire().len() - apex_octets;
        let Ok(apex_at) = u16::try_from(apex_at) else { return ZoneAnswer::Unready };
        let apex = (apex_at | 0xc000).to_be_bytes();

        let mut labels = query.qname.root_first().skip(apex_labels);
        let mut path = self.node().iter();
        let on_path = labels.all(|label| path.next().is_some_and(|node| node.eq_ignore_ascii_case(label)));
        let exists = match self {
            Self::Localhost => true,
            Self::Nowhere => false,
            Self::Empty | Self::Loopback4 | Self::Loopback6 | Self::Resolver => on_path,
        };
        let at_apex = query.qname.labels() == apex_labels;
        let at_node = on_path && path.next().is_none();

        let rcode = if exists { Rcode::NoError } else { Rcode::NxDomain };
        let flags = ReplyFlags { authoritative: true, ..ReplyFlags::default() };
        let mut writer = Writer::reply(out, query, rcode, flags);
        match (query.qtype, self) {
            (_, Self::Nowhere) => put_soa(&mut writer, apex, 1),
            (rtype::A, Self::Localhost) => writer.a(Owner::QNAME, Ipv4Addr::LOCALHOST, TTL_SECS),
            (rtype::AAAA, Self::Localhost) => writer.aaaa(Owner::QNAME, Ipv6Addr::LOCALHOST, TTL_SECS),
            (PTR, Self::Loopback4 | Self::Loopback6) if at_node => put_ptr(&mut writer),
            (rtype::SOA, _) if at_apex => put_soa(&mut writer, apex, 0),
            (rtype::NS, _) if at_apex => put_ns(&mut writer, apex),
            (rtype::ANY, _) if exists => writer.hinfo_rfc8482(TTL_SECS),
            _ => put_soa(&mut writer, apex, 1),
        }
        writer.opt(query, rcode, None);
        match writer.finish() {
            Some(length) => ZoneAnswer::Reply { length, rcode, truncated: false },
            None => ZoneAnswer::Unready,
        }
    }
}

/// The SOA of RFC 6303 §3, owned by the apex, in the answer section (0) or the authority section (1).
fn put_soa(writer: &mut Writer<'_>, apex: [u8; 2], section: usize) {
    // "@ 10800 IN SOA @ nobody.invalid. 1 3600 1200 604800 10800"
    let rname = b"\x06nobody\x07invalid\0";
    let mut rdata = [0; 38];
    let fields = [1_u32, 3600, 1200, 604_800, TTL_SECS].map(u32::to_be_bytes);
    let octets = apex.iter().chain(rname).chain(fields.iter().flatten());
    for (slot, octet) in rdata.iter_mut().zip(octets) {
        *slot = *octet;
    }
    let mut counts = [0; 3];
    if let Some(count) = counts.get_mut(section) {
        *count = 1;
    }
    put_record(writer, apex, rtype::SOA, &rdata, counts);
}

/// The NS of RFC 6303 §3: "@ 10800 IN NS @".
fn put_ns(writer: &mut Writer<'_>, apex: [u8; 2]) {
    put_record(writer, apex, rtype::NS, &apex, [1, 0, 0]);
}

/// `PTR localhost.` for the name asked.
fn put_ptr(writer: &mut Writer<'_>) {
    put_record(writer, [0xc0, 0x0c], PTR, b"\x09localhost\0", [1, 0, 0]);
}

/// One record of at most 38 octets of RDATA.
fn put_record(writer: &mut Writer<'_>, owner: [u8; 2], rtype: u16, rdata: &[u8], counts: [u16; 3]) {
    let length = u16::try_from(rdata.len()).unwrap_or_default().to_be_bytes();
    writer.records(&owner, [0; 3]);
    writer.records(&rtype.to_be_bytes(), [0; 3]);
    writer.records(&CLASS_IN.to_be_bytes(), [0; 3]);
    writer.records(&TTL_SECS.to_be_bytes(), [0; 3]);
    writer.records(&length, [0; 3]);
    writer.records(rdata, counts);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_special_name_is_a_name_once() {
        let mut seen: Vec<_> = keys().map(|(key, _)| key.as_bytes().to_vec()).collect();
        assert_eq!(seen.len(), NAMES.len() + 16 + 64);
        seen.sort();
        seen.dedup();
        assert_eq!(seen.len(), NAMES.len() + 16 + 64);
    }
}
