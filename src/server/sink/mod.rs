//! What a sunk name is answered with: neutral, the same for every name, whatever the type asked.
//!
//! | asked | `nxdomain` | `nodata` | `refused` | `drop` | `tcp-only` (over UDP) |
//! |---|---|---|---|---|---|
//! | any type | NXDOMAIN | NODATA | REFUSED | – | TC |
//!
//! | asked | `sinkhole` | with a walled garden | by an entry with records |
//! |---|---|---|---|
//! | A | the IPv4 address, or NODATA | CNAME, and the garden's A if it is set | its A, or its CNAME, or NODATA |
//! | AAAA | the IPv6 address, or NODATA | CNAME, and the garden's AAAA if it is set | its AAAA, or its CNAME, or NODATA |
//! | HTTPS, SVCB | NODATA | NODATA | its records of that type, or NODATA |
//! | MX, if `null-mx` is set | `0 .` | `0 .` | its records of that type, or its CNAME, or NODATA |
//! | DS, DNSKEY, RRSIG, NSEC, SIG, KEY, NXT | NODATA | NODATA | its records of that type, or NODATA |
//! | ANY | NODATA | CNAME | its CNAME, or its records of one type, or NODATA |
//! | any other, CNAME too | NODATA | CNAME | its records of that type, or its CNAME, or NODATA |
//!
//! Of an alias, a garden's or an entry's own:
//! * HTTPS and SVCB are NODATA all the same: a service record found at the end of an alias makes clients insist on TLS (RFC 9460 §9.5), for
//!   which no garden has a sunk name's certificate, and its hints are another's to write;
//! * types of DNSSEC are NODATA: RRSIG and NSEC are a name's own beside its CNAME (RFC 4035 §2.5; SIG, KEY and NXT before them, RFC 2181 §10.1),
//!   DS is its parent's (RFC 4035 §3.1.4.1), and a sunk name has none of them;
//! * ANY is the CNAME, one RRset and all there is; of several RRsets one is enough (RFC 8482 §4.1);
//! * if the name of a wildcard's (`*.name`: the name asked in front of `name`) is over 255 octets, it is YXDOMAIN and no record, as RFC 6672
//!   §2.2 has it of DNAME;
//! * an entry's that leads to the garden has the garden's address behind it, as the garden's own has;
//! * one that leads into a zone of the operator's has the zone's answer behind it ([`Chain`]), unless an address of the garden's is set for the
//!   type asked; any other is for the client to follow;
//! * one that would lead round is none: the garden itself (and a name below a wildcard's), should a feed list it, is answered as without a
//!   garden, and a name that is its entry's own target with NODATA.
//!
//! What does not fit the room there is goes without the error's text, and then without records, with TC.

#[cfg(test)]
mod tests;

use std::net::IpAddr;

use super::chain::{Chain, Written};
use crate::name::{NAME_OCTETS_MAX, NameRef};
use crate::policy::{Action, EntryAt, Record, SinkConfig, SoaOwner};
use crate::wire::{Ede, Owner, Query, Rcode, ReplyFlags, Soa, Writer, rtype};
use crate::zone::Zones;

/// RDATA of the null MX: preference 0, and the root (RFC 7505 §3).
const NULL_MX: [u8; 3] = [0, 0, 0];

/// What a sunk name is answered with, and why.
pub(super) struct Sinking<'s> {
    /// The sinkhole's settings.
    pub(super) sink: &'s SinkConfig,
    /// What happens to it.
    pub(super) action: Action,
    /// Those of the entry that decided: what [`Action::Data`] answers.
    pub(super) records: &'s [Record],
    /// The operator's zones, which an alias may lead into.
    pub(super) zones: &'s Zones,
    /// The entry that sank a name, asked if the answer turns on it.
    pub(super) entry: &'s dyn Fn(&NameRef<'_>) -> Option<EntryAt>,
}

/// What a reply says beside its code.
#[derive(Clone, Copy)]
enum Says<'s> {
    /// No record.
    Nothing,
    /// A SOA: that there is no such name, or no such record.
    Negative,
    /// That the name takes no mail.
    NullMx,
    /// An address of the name asked.
    Address(IpAddr),
    /// The name asked is an alias.
    Alias {
        /// Labels in front of the target, without a root.
        front: &'s [u8],
        /// The target, or what follows `front` in it; both together are at most 255 octets.
        back: &'s [u8],
        /// The alias's TTL.
        ttl_secs: u32,
        /// An address of the target.
        address: Option<IpAddr>,
    },
    /// Those of an entry's records that are of this type.
    Records(&'s [Record], u16),
}

/// Where an alias leads.
#[derive(Clone, Copy)]
struct Target<'s> {
    /// Whether the name asked stands in front.
    wildcard: bool,
    /// The target in wire form, or what follows the name asked in it.
    back: &'s [u8],
    /// The alias's TTL.
    ttl_secs: u32,
    /// Whether it is the garden, so that the sinkhole's addresses are the target's.
    is_garden: bool,
}

/// Writes the reply to a query for a sunk name into `out`, which is as long as the reply may be; `None` if it gets none. AA and AD stay off, DO
/// changes nothing.
pub(super) fn write_sunk(out: &mut [u8], query: &Query<'_>, sinking: &Sinking<'_>) -> Option<Written> {
    let sink = sinking.sink;
    let (rcode, says) = match sinking.action {
        Action::Sinkhole => sinkhole(query, sink),
        Action::Data => local_data(query, sink, sinking.records),
        Action::Nodata => (Rcode::NoError, Says::Negative),
        Action::Nxdomain => (Rcode::NxDomain, Says::Negative),
        Action::Refused => (Rcode::Refused, Says::Nothing),
        // Nothing is blocked yet, so no extended error says so.
        Action::TcpOnly => return Some(write_truncated(out, query, None)),
        Action::Drop | Action::Passthru | Action::Observe => return None,
    };
    let ede = sink.ede_code.map(Ede);
    if let Says::Alias { front, back, ttl_secs, address: None } = says
        && let Some(chain) = Chain::of_alias(sinking.zones, query, (front, back), ttl_secs)
    {
        return Some(chain.write(out, query, ede.map(|ede| (ede, sink.ede_text.as_str()))));
    }
    let zone_labels = match (says, sink.soa_owner) {
        (Says::Negative, SoaOwner::Zone) => zone_labels(query, rcode, (sinking.entry)(&query.qname)),
        _ => query.qname.labels(),
    };
    // RFC 8914 §3: what explains an error goes before the answer does; its code is two octets and stays.
    for text in [sink.ede_text.as_str(), ""] {
        let octets = write_whole(out, query, sink, rcode, says, zone_labels, ede.map(|ede| (ede, text)));
        if octets.is_some() {
            return Some(Written { rcode, octets, truncated: false });
        }
    }
    Some(write_truncated(out, query, ede))
}

/// Labels of the zone that a negative answer would be from if nothing were listed. What NXDOMAIN says is not there is the listed name, so that the
/// zone is above it; where only what is below an entry is listed, and with NODATA, it may be the entry's own.
fn zone_labels(query: &Query<'_>, rcode: Rcode, entry: Option<EntryAt>) -> usize {
    let asked = EntryAt { labels: query.qname.labels(), sinks_itself: true };
    let EntryAt { labels, sinks_itself } = entry.unwrap_or(asked);
    if rcode == Rcode::NxDomain && sinks_itself { labels.saturating_sub(1) } else { labels }
}

/// What [`Action::Sinkhole`] comes to of an entry without records.
#[inline]
fn sinkhole<'s>(query: &Query<'s>, sink: &'s SinkConfig) -> (Rcode, Says<'s>) {
    // RFC 7505 §3: "the single MX RR with the RDATA section consisting of preference number 0 and a zero-length label".
    if sink.null_mx && query.qtype == rtype::MX {
        return (Rcode::NoError, Says::NullMx);
    }
    match &sink.cname {
        Some(garden) if !garden.covers(&query.qname) => {
            let (wildcard, back) = (garden.is_wildcard(), garden.wire());
            alias(query, sink, Target { wildcard, back, ttl_secs: sink.ttl_secs, is_garden: true })
        }
        _ => (Rcode::NoError, address(query, sink).map_or(Says::Negative, Says::Address)),
    }
}

/// What an entry's own records come to.
fn local_data<'s>(query: &Query<'s>, sink: &'s SinkConfig, records: &'s [Record]) -> (Rcode, Says<'s>) {
    let cname = records.iter().find(|record| record.rtype == rtype::CNAME);
    let wanted = match query.qtype {
        rtype::ANY => cname.or(records.first()).map_or(rtype::ANY, |record| record.rtype),
        asked => asked,
    };
    if wanted != rtype::CNAME && records.iter().any(|record| record.rtype == wanted) {
        return (Rcode::NoError, Says::Records(records, wanted));
    }
    match cname.and_then(|cname| target_of(query, sink, cname)) {
        Some(target) => alias(query, sink, target),
        None => (Rcode::NoError, Says::Negative),
    }
}

/// Where an entry's CNAME leads; `None` if it is no name or leads round.
fn target_of<'s>(query: &Query<'_>, sink: &SinkConfig, cname: &'s Record) -> Option<Target<'s>> {
    let name = NameRef::read(&cname.rdata).ok()?;
    let (wildcard, back) = match name.wire() {
        [1, b'*', back @ ..] => (true, back),
        whole => (false, whole),
    };
    let round = if wildcard { back == [0] } else { query.qname.eq_folded(back) };
    let is_garden = sink.cname.as_ref().is_some_and(|garden| garden.is_target(wildcard, back));
    (!round).then_some(Target { wildcard, back, ttl_secs: cname.ttl_secs, is_garden })
}

/// The sinkhole's address of the type asked.
#[inline]
fn address(query: &Query<'_>, sink: &SinkConfig) -> Option<IpAddr> {
    match query.qtype {
        rtype::A => sink.ipv4.map(IpAddr::V4),
        rtype::AAAA => sink.ipv6.map(IpAddr::V6),
        _ => None,
    }
}

/// An alias of `target`.
fn alias<'s>(query: &Query<'s>, sink: &SinkConfig, target: Target<'s>) -> (Rcode, Says<'s>) {
    let Target { wildcard, back, ttl_secs, is_garden } = target;
    if !is_aliased(query.qtype) {
        return (Rcode::NoError, Says::Negative);
    }
    let front = match query.qname.wire() {
        [labels @ .., _] if wildcard => labels,
        _ => &[],
    };
    // RFC 6672 §2.2: a name that the substitution makes longer than 255 octets is answered with YXDOMAIN.
    if front.len() + back.len() > NAME_OCTETS_MAX {
        return (Rcode::YxDomain, Says::Nothing);
    }
    let address = if is_garden { address(query, sink) } else { None };
    (Rcode::NoError, Says::Alias { front, back, ttl_secs, address })
}

/// Whether a query for this type is answered with an alias; the head of this file says why not.
const fn is_aliased(qtype: u16) -> bool {
    !matches!(
        qtype,
        rtype::HTTPS
            | rtype::SVCB
            | rtype::DS
            | rtype::DNSKEY
            | rtype::RRSIG
            | rtype::NSEC
            | rtype::SIG
            | rtype::KEY
            | rtype::NXT
    )
}

/// Writes all that is to be said; `None` if it does not fit.
#[inline]
fn write_whole(
    out: &mut [u8],
    query: &Query<'_>,
    sink: &SinkConfig,
    rcode: Rcode,
    says: Says<'_>,
    zone_labels: usize,
    ede: Option<(Ede, &str)>,
) -> Option<usize> {
    let mut writer = Writer::reply(out, query, rcode, ReplyFlags::default());
    match says {
        Says::Nothing => {}
        // RFC 2308 §2.2.1: a negative answer without a SOA is not cached, and the client would ask again and again.
        Says::Negative => {
            // SERIAL 1; REFRESH, RETRY, EXPIRE are for secondaries, of which there are none.
            let numbers = sink.soa_numbers.unwrap_or([1, 3600, 600, 86_400, sink.ttl_secs]);
            writer.soa(query, Soa { zone_labels, names: &sink.soa_names, numbers, ttl_secs: sink.ttl_secs });
        }
        Says::NullMx => writer.answer(rtype::MX, sink.ttl_secs, &NULL_MX),
        Says::Address(address) => put_address(&mut writer, Owner::QNAME, address, sink.ttl_secs),
        Says::Alias { front, back, ttl_secs, address } => {
            let target = writer.cname(front, back, ttl_secs);
            if let Some(address) = address {
                put_address(&mut writer, target, address, sink.ttl_secs);
            }
        }
        Says::Records(records, wanted) => {
            for record in records.iter().filter(|record| record.rtype == wanted) {
                writer.answer(record.rtype, record.ttl_secs, &record.rdata);
            }
        }
    }
    writer.opt(query, rcode, ede);
    writer.finish()
}

/// Writes an address record.
#[inline]
fn put_address(writer: &mut Writer<'_>, owner: Owner, address: IpAddr, ttl_secs: u32) {
    match address {
        IpAddr::V4(address) => writer.a(owner, address, ttl_secs),
        IpAddr::V6(address) => writer.aaaa(owner, address, ttl_secs),
    }
}

/// Writes that the client is to ask over TCP.
fn write_truncated(out: &mut [u8], query: &Query<'_>, ede: Option<Ede>) -> Written {
    let rcode = Rcode::NoError;
    let mut writer = Writer::reply(out, query, rcode, ReplyFlags { truncated: true, ..ReplyFlags::default() });
    writer.opt(query, rcode, ede.map(|ede| (ede, "")));
    Written { rcode, octets: writer.finish(), truncated: true }
}
