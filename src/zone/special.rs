//! The special names: which they are, and what each is answered.
//!
//! Written straight with [`Writer`] rather than through hickory: the answers need no records kept, cost no allocation, and are thus cheap
//! enough for the reverse look-ups of private addresses that leak out of every network. Only at the end of an operator's CNAME do they go
//! the way of the operator's records.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use hickory_proto::op::ResponseCode;
use hickory_proto::rr::rdata::{NS, PTR as Ptr, SOA};
use hickory_proto::rr::{Name as HickoryName, RData, RecordSet};
use hickory_proto::serialize::binary::BinDecodable;

use super::places::Answer;
use super::{SpecialConfig, ZoneAnswer};
use crate::name::{Name, NameKey, NameRef};
use crate::wire::{CLASS_IN, HEADER_OCTETS, Owner, Query, Rcode, ReplyFlags, Writer, rtype};

/// The DS type (RFC 4034 §5).
pub(super) const DS: u16 = 43;
/// The PTR type (RFC 1035 §3.3.12).
const PTR: u16 = 12;
/// TTL of everything here, seconds (RFC 6303 §3).
const TTL_SECS: u32 = 10_800;
/// `nobody.invalid.`, whom the SOA names (RFC 6303 §3).
const NOBODY: &[u8] = b"\x06nobody\x07invalid\0";
/// `localhost.`
const LOCALHOST: &[u8] = b"\x09localhost\0";

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
    /// Nothing exists, the name itself neither, though it does elsewhere: a client that finds it missing keeps to this resolver.
    Denied,
}

/// What a special zone has for a name and a type.
#[derive(Clone, Copy)]
enum Has {
    /// Loopback's IPv4 address.
    Address4,
    /// Loopback's IPv6 address.
    Address6,
    /// The name of a loopback address.
    Pointer,
    /// The apex's SOA.
    Soa,
    /// The apex's NS.
    Ns,
    /// Whatever ANY is answered.
    Any,
    /// No such record.
    Nothing,
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

/// The name by which Firefox asks whether to turn on DNS over HTTPS by itself. Any negative answer says no; Mozilla's own description names
/// NXDOMAIN first.
const APPLICATION_DNS: &[&str] = &["use-application-dns.net"];
/// The names without which Apple's devices do not use iCloud Private Relay. Apple asks network operators for NXDOMAIN, or for NOERROR without
/// an answer, and for neither silence nor an address that leads nowhere.
const PRIVATE_RELAY: &[&str] = &["mask.icloud.com", "mask-h2.icloud.com"];

/// Every special name that is to be answered: its key and its rules.
pub(super) fn keys(config: &SpecialConfig) -> impl Iterator<Item = (NameKey, Special)> {
    let denied = [(config.block_application_dns, APPLICATION_DNS), (config.block_private_relay, PRIVATE_RELAY)];
    let denied = denied.into_iter().filter(|(is_denied, _)| *is_denied).flat_map(|(_, names)| names);
    let denied = denied.map(|&text| (text.to_owned(), Special::Denied));
    let reserved = config.enabled.then(reserved).into_iter().flatten();
    denied.chain(reserved).filter_map(|(text, special)| {
        let key = Name::from_text(text.as_bytes()).ok()?.key().ok()?;
        Some((key, special))
    })
}

/// The special names of the RFCs.
fn reserved() -> impl Iterator<Item = (String, Special)> {
    // RFC 6303 §4.1: 172.16.0.0/12. RFC 7793 §2: the shared address space, 100.64.0.0/10.
    let private = (16..=31).map(|octet| format!("{octet}.172.in-addr.arpa"));
    let shared = (64..=127).map(|octet| format!("{octet}.100.in-addr.arpa"));
    let numbered = private.chain(shared).map(|text| (text, Special::Empty));
    let named = NAMES.iter().map(|&(text, special)| (text.to_owned(), special));
    named.chain(numbered)
}

impl Special {
    /// Whether the public DNS has the name, so that a validator needs its parent's word on the DS.
    pub(super) const fn publicly_delegated(self) -> bool {
        matches!(self, Self::Empty | Self::Loopback4 | Self::Loopback6 | Self::Denied)
    }

    /// The one name in the zone that exists besides its apex: labels below the apex, from the apex down.
    const fn node(self) -> &'static [&'static [u8]] {
        match self {
            Self::Loopback4 => &[b"\x010", b"\x010", b"\x011"],
            Self::Resolver => &[b"\x04_dns"],
            Self::Localhost | Self::Nowhere | Self::Denied | Self::Empty | Self::Loopback6 => &[],
        }
    }

    /// Whether `name`, at or below the apex with `apex_labels` labels, exists, and what it has of `rtype`.
    fn find(self, apex_labels: usize, name: &NameRef<'_>, rtype: u16) -> (bool, Has) {
        let mut labels = name.root_first().skip(apex_labels);
        let mut path = self.node().iter();
        let on_path = labels.all(|label| path.next().is_some_and(|node| node.eq_ignore_ascii_case(label)));
        let exists = match self {
            Self::Localhost => true,
            Self::Nowhere | Self::Denied => false,
            Self::Empty | Self::Loopback4 | Self::Loopback6 | Self::Resolver => on_path,
        };
        let at_apex = name.labels() == apex_labels;
        let at_node = on_path && path.next().is_none();
        let has = match (rtype, self) {
            (_, Self::Nowhere | Self::Denied) => Has::Nothing,
            (rtype::A, Self::Localhost) => Has::Address4,
            (rtype::AAAA, Self::Localhost) => Has::Address6,
            (PTR, Self::Loopback4 | Self::Loopback6) if at_node => Has::Pointer,
            (rtype::SOA, _) if at_apex => Has::Soa,
            (rtype::NS, _) if at_apex => Has::Ns,
            (rtype::ANY, _) if exists => Has::Any,
            _ => Has::Nothing,
        };
        (exists, has)
    }

    /// Ends `answer`, a chain of CNAMEs that led to `name`, as [`Self::answer`] answers; `None` if a name cannot be read.
    pub(super) fn conclude(
        self,
        apex_labels: usize,
        name: &NameRef<'_>,
        rtype: u16,
        answer: &mut Answer,
    ) -> Option<()> {
        let owner = HickoryName::from_bytes(name.wire()).ok()?;
        let apex = HickoryName::from_bytes(name.suffix(apex_labels)).ok()?;
        let (exists, has) = self.find(apex_labels, name, rtype);
        if !exists {
            answer.rcode = ResponseCode::NXDomain;
        }
        let rdata = match has {
            Has::Address4 => RData::A(Ipv4Addr::LOCALHOST.into()),
            Has::Address6 => RData::AAAA(Ipv6Addr::LOCALHOST.into()),
            Has::Pointer => RData::PTR(Ptr(HickoryName::from_bytes(LOCALHOST).ok()?)),
            Has::Soa => soa(&apex)?,
            Has::Ns => RData::NS(NS(apex)),
            // ANY is answered with the CNAME itself, so it does not get here.
            Has::Any | Has::Nothing => {
                answer.authorities.push(set_of(apex.clone(), soa(&apex)?));
                return Some(());
            }
        };
        answer.answers.push(set_of(owner, rdata));
        Some(())
    }

    /// Answers `query`, whose name is at or below the apex with `apex_labels` labels, into `out`.
    pub(super) fn answer(self, apex_labels: usize, query: &Query<'_>, out: &mut [u8]) -> ZoneAnswer {
        let apex_octets = query.qname.suffix(apex_labels).len();
        let apex_at = HEADER_OCTETS + query.qname.wire().len() - apex_octets;
        let Ok(apex_at) = u16::try_from(apex_at) else { return ZoneAnswer::Unready };
        let apex = (apex_at | 0xc000).to_be_bytes();

        let (exists, has) = self.find(apex_labels, &query.qname, query.qtype);
        let rcode = if exists { Rcode::NoError } else { Rcode::NxDomain };
        let flags = ReplyFlags { authoritative: true, ..ReplyFlags::default() };
        let mut writer = Writer::reply(out, query, rcode, flags);
        match has {
            Has::Address4 => writer.a(Owner::QNAME, Ipv4Addr::LOCALHOST, TTL_SECS),
            Has::Address6 => writer.aaaa(Owner::QNAME, Ipv6Addr::LOCALHOST, TTL_SECS),
            Has::Pointer => put_ptr(&mut writer),
            Has::Soa => put_soa(&mut writer, apex, 0),
            Has::Ns => put_ns(&mut writer, apex),
            Has::Any => writer.hinfo_rfc8482(TTL_SECS),
            Has::Nothing => put_soa(&mut writer, apex, 1),
        }
        writer.opt(query, rcode, None);
        match writer.finish() {
            Some(length) => ZoneAnswer::Reply { length, rcode, truncated: false },
            None => ZoneAnswer::Unready,
        }
    }
}

/// The record set of one record.
fn set_of(owner: HickoryName, rdata: RData) -> Arc<RecordSet> {
    let mut set = RecordSet::with_ttl(owner, rdata.record_type(), TTL_SECS);
    set.add_rdata(rdata);
    Arc::new(set)
}

/// What [`put_soa`] writes, as hickory has it.
fn soa(apex: &HickoryName) -> Option<RData> {
    let nobody = HickoryName::from_bytes(NOBODY).ok()?;
    Some(RData::SOA(SOA::new(apex.clone(), nobody, 1, 3600, 1200, 604_800, TTL_SECS)))
}

/// The SOA of RFC 6303 §3, owned by the apex, in the answer section (0) or the authority section (1).
fn put_soa(writer: &mut Writer<'_>, apex: [u8; 2], section: usize) {
    // "@ 10800 IN SOA @ nobody.invalid. 1 3600 1200 604800 10800"
    let mut rdata = [0; 38];
    let fields = [1_u32, 3600, 1200, 604_800, TTL_SECS].map(u32::to_be_bytes);
    let octets = apex.iter().chain(NOBODY).chain(fields.iter().flatten());
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
    put_record(writer, [0xc0, 0x0c], PTR, LOCALHOST, [1, 0, 0]);
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
        let mut seen: Vec<_> = keys(&SpecialConfig::default()).map(|(key, _)| key.as_bytes().to_vec()).collect();
        assert_eq!(seen.len(), NAMES.len() + 16 + 64);
        seen.sort();
        seen.dedup();
        assert_eq!(seen.len(), NAMES.len() + 16 + 64);
    }
}
