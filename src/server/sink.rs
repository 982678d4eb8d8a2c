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
//! * an entry's that leads to the garden has the garden's address behind it, as the garden's own has; any other is for the client to follow;
//! * one that would lead round is none: the garden itself (and a name below a wildcard's), should a feed list it, is answered as without a
//!   garden, and a name that is its entry's own target with NODATA.
//!
//! What does not fit the room there is goes without the error's text, and then without records, with TC.

use std::net::IpAddr;

use crate::name::{NAME_OCTETS_MAX, NameRef};
use crate::policy::{Action, Record, SinkConfig};
use crate::wire::{Ede, Owner, Query, Rcode, ReplyFlags, Soa, Writer, rtype};

/// A reply that was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sunk {
    /// Its code.
    pub(super) rcode: Rcode,
    /// Its length; `None` if there is no room even for header and question.
    pub(super) octets: Option<usize>,
    /// Whether it has TC.
    pub(super) truncated: bool,
}

/// What a reply says beside its code.
#[derive(Clone, Copy)]
enum Says<'s> {
    /// No record.
    Nothing,
    /// A SOA: that there is no such name, or no such record.
    Negative,
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
/// changes nothing. `records` are those of the entry that decided: what [`Action::Data`] answers.
pub(super) fn write_sunk(
    out: &mut [u8],
    query: &Query<'_>,
    sink: &SinkConfig,
    action: Action,
    records: &[Record],
) -> Option<Sunk> {
    let (rcode, says) = match action {
        Action::Sinkhole => sinkhole(query, sink),
        Action::Data => local_data(query, sink, records),
        Action::Nodata => (Rcode::NoError, Says::Negative),
        Action::Nxdomain => (Rcode::NxDomain, Says::Negative),
        Action::Refused => (Rcode::Refused, Says::Nothing),
        // Nothing is blocked yet, so no extended error says so.
        Action::TcpOnly => return Some(write_truncated(out, query, None)),
        Action::Drop | Action::Passthru | Action::Observe => return None,
    };
    // RFC 8914 §3: what explains an error goes before the answer does; its code is two octets and stays.
    for text in [sink.ede_text.as_str(), ""] {
        let octets = write_whole(out, query, sink, rcode, says, text);
        if octets.is_some() {
            return Some(Sunk { rcode, octets, truncated: false });
        }
    }
    Some(write_truncated(out, query, Some(Ede(sink.ede_code))))
}

/// What [`Action::Sinkhole`] comes to of an entry without records.
#[inline]
fn sinkhole<'s>(query: &Query<'s>, sink: &'s SinkConfig) -> (Rcode, Says<'s>) {
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
    ede_text: &str,
) -> Option<usize> {
    let mut writer = Writer::reply(out, query, rcode, ReplyFlags::default());
    match says {
        Says::Nothing => {}
        // RFC 2308 §2.2.1: a negative answer without a SOA is not cached, and the client would ask again and again.
        Says::Negative => writer.soa(Soa { names: &sink.soa_names, ttl_secs: sink.ttl_secs }),
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
    writer.opt(query, rcode, Some((Ede(sink.ede_code), ede_text)));
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
fn write_truncated(out: &mut [u8], query: &Query<'_>, ede: Option<Ede>) -> Sunk {
    let rcode = Rcode::NoError;
    let mut writer = Writer::reply(out, query, rcode, ReplyFlags { truncated: true, ..ReplyFlags::default() });
    writer.opt(query, rcode, ede.map(|ede| (ede, "")));
    Sunk { rcode, octets: writer.finish(), truncated: true }
}

#[cfg(test)]
mod tests {
    use hickory_proto::op::Message;

    use super::*;
    use crate::policy::Garden;
    use crate::wire::{Header, PLAIN_UDP_OCTETS, UDP_OCTETS_MAX};

    /// Every kind of type the table at the head tells apart.
    const QTYPES: [u16; 19] = [
        rtype::A,
        rtype::AAAA,
        rtype::HTTPS,
        rtype::SVCB,
        rtype::DS,
        rtype::DNSKEY,
        rtype::RRSIG,
        rtype::NSEC,
        rtype::SIG,
        rtype::KEY,
        rtype::NXT,
        rtype::ANY,
        rtype::CNAME,
        rtype::TXT,
        rtype::NS,
        rtype::SOA,
        15,
        257,
        65_280,
    ];

    /// A query for this name in wire form, with an OPT of so many octets.
    fn packet(name: &[u8], qtype: u16, udp_octets: Option<u16>) -> Vec<u8> {
        let mut packet = vec![0, 7, 1, 0, 0, 1, 0, 0, 0, 0, 0, u8::from(udp_octets.is_some())];
        packet.extend_from_slice(name);
        packet.extend_from_slice(&qtype.to_be_bytes());
        packet.extend_from_slice(&[0, 1]);
        if let Some(octets) = udp_octets {
            packet.extend_from_slice(&[0, 0, 41]);
            packet.extend_from_slice(&octets.to_be_bytes());
            packet.extend_from_slice(&[0; 6]);
        }
        packet
    }

    /// The reply to it, as hickory reads it, its records as text, and what is said of it.
    fn sunk(packet: &[u8], sink: &SinkConfig, action: Action) -> Option<(Vec<String>, Message, Sunk)> {
        sunk_with(packet, sink, action, &[])
    }

    /// [`sunk`] by an entry with records.
    fn sunk_with(
        packet: &[u8],
        sink: &SinkConfig,
        action: Action,
        records: &[Record],
    ) -> Option<(Vec<String>, Message, Sunk)> {
        let query = Query::read(Header::read(packet).unwrap(), packet).unwrap();
        let mut out = vec![0; query.udp_octets()];
        let sunk = write_sunk(&mut out, &query, sink, action, records)?;
        let message = Message::from_vec(&out[..sunk.octets.unwrap()]).unwrap();
        let flags = &message.metadata;
        assert!(!flags.authoritative && !flags.authentic_data, "no claim of DNSSEC");
        assert_eq!((u16::from(flags.response_code), flags.truncation), (sunk.rcode as u16, sunk.truncated));
        assert_eq!(message.edns.is_some(), query.edns.is_some());
        let records = message.answers.iter().chain(&message.authorities).map(ToString::to_string).collect();
        Some((records, message, sunk))
    }

    /// [`sunk`] of `a.test`: the code and the records.
    fn says(qtype: u16, sink: &SinkConfig, action: Action) -> Option<(Rcode, Vec<String>)> {
        sunk(&packet(b"\x01a\x04test\0", qtype, None), sink, action).map(|(records, _, sunk)| (sunk.rcode, records))
    }

    fn garden(text: &str, ipv4: Option<&str>, ipv6: Option<&str>) -> SinkConfig {
        SinkConfig {
            cname: Some(Garden::from_text(text).unwrap()),
            ipv4: ipv4.map(|text| text.parse().unwrap()),
            ipv6: ipv6.map(|text| text.parse().unwrap()),
            ..SinkConfig::default()
        }
    }

    const NEGATIVE: &str = "a.test. 30 IN SOA . . 1 3600 600 86400 30";

    #[test]
    fn every_action_for_every_type() {
        let both = SinkConfig::default();
        let neither = SinkConfig { ipv4: None, ipv6: None, ..SinkConfig::default() };
        let walled = garden("garden.example", Some("192.0.2.9"), None);
        for qtype in QTYPES {
            let plain = match qtype {
                rtype::A => "a.test. 30 IN A 0.0.0.0",
                rtype::AAAA => "a.test. 30 IN AAAA ::",
                _ => NEGATIVE,
            };
            for (sink, sinkhole) in [(&both, &[plain][..]), (&neither, &[NEGATIVE])] {
                for (action, rcode, want) in [
                    (Action::Sinkhole, Rcode::NoError, sinkhole),
                    (Action::Nodata, Rcode::NoError, &[NEGATIVE]),
                    (Action::Nxdomain, Rcode::NxDomain, &[NEGATIVE]),
                    (Action::Refused, Rcode::Refused, &[]),
                    (Action::TcpOnly, Rcode::NoError, &[]),
                ] {
                    let (got_rcode, got) = says(qtype, sink, action).unwrap();
                    assert_eq!(
                        (got_rcode, &got[..]),
                        (rcode, &want.iter().map(ToString::to_string).collect::<Vec<_>>()[..]),
                        "{action:?} for type {qtype}"
                    );
                    if action != Action::Sinkhole {
                        assert_eq!(
                            says(qtype, &walled, action).unwrap(),
                            (rcode, got),
                            "{action:?} for type {qtype}: a garden is for sinkhole"
                        );
                    }
                }
                assert!(says(qtype, sink, Action::Drop).is_none());
            }
        }
    }

    #[test]
    fn a_walled_garden_for_every_type() {
        let alias = "a.test. 30 IN CNAME garden.example.";
        let (four, six) = ("garden.example. 30 IN A 192.0.2.9", "garden.example. 30 IN AAAA 2001:db8::9");
        for (ipv4, ipv6) in [(None, None), (Some("192.0.2.9"), None), (Some("192.0.2.9"), Some("2001:db8::9"))] {
            let sink = garden("garden.example", ipv4, ipv6);
            for qtype in QTYPES {
                let want = match qtype {
                    rtype::A if ipv4.is_some() => vec![alias, four],
                    rtype::AAAA if ipv6.is_some() => vec![alias, six],
                    rtype::HTTPS | rtype::SVCB | 24 | 25 | 30 | 43 | 46 | 47 | 48 => vec![NEGATIVE],
                    _ => vec![alias],
                };
                let (rcode, got) = says(qtype, &sink, Action::Sinkhole).unwrap();
                assert_eq!(
                    (rcode, got),
                    (Rcode::NoError, want.iter().map(ToString::to_string).collect()),
                    "type {qtype}"
                );
            }
        }
    }

    #[test]
    fn a_wildcards_garden_has_the_name_in_front() {
        let sink = garden("*.garden.example", Some("192.0.2.9"), None);
        let (_, records) = says(rtype::A, &sink, Action::Sinkhole).unwrap();
        assert_eq!(records, ["a.test. 30 IN CNAME a.test.garden.example.", "a.test.garden.example. 30 IN A 192.0.2.9"]);
        let (_, records, ..) = says(rtype::TXT, &sink, Action::Sinkhole).unwrap();
        assert_eq!(records, ["a.test. 30 IN CNAME a.test.garden.example."]);
        // The garden's own 16 octets, root included, leave 239 for the name asked without its root.
        for (labels, length, fits) in [(119, 238, true), (119, 239, true), (120, 240, false)] {
            let mut name = [1, b'a'].repeat(labels);
            if length % 2 == 1 {
                name.splice(..2, [2, b'a', b'a']);
            }
            assert_eq!(name.len(), length);
            name.push(0);
            let (records, message, said) = sunk(&packet(&name, rtype::A, Some(1232)), &sink, Action::Sinkhole).unwrap();
            let want = if fits { (Rcode::NoError, 2) } else { (Rcode::YxDomain, 0) };
            assert_eq!((said.rcode, records.len()), want, "{length} octets");
            assert!(message.edns.unwrap().option(hickory_proto::rr::rdata::opt::EdnsCode::Unknown(15)).is_some());
            let (records, _, said) = sunk(&packet(&name, rtype::HTTPS, None), &sink, Action::Sinkhole).unwrap();
            assert_eq!((said.rcode, records.len()), (Rcode::NoError, 1), "NODATA needs no target");
        }
    }

    #[test]
    fn the_garden_itself_is_no_alias() {
        for (text, name) in
            [("a.test", &b"\x01A\x04test\0"[..]), ("*.test", b"\x01A\x04test\0"), ("*.a.test", b"\x01A\x04test\0")]
        {
            let sink = garden(text, Some("192.0.2.9"), None);
            for (qtype, want) in [(rtype::A, "A.test. 30 IN A 192.0.2.9"), (rtype::AAAA, "SOA"), (rtype::CNAME, "SOA")]
            {
                let (records, ..) = sunk(&packet(name, qtype, None), &sink, Action::Sinkhole).unwrap();
                assert!(records.len() == 1 && records[0].contains(want), "{text} {qtype} {records:?}");
            }
        }
    }

    #[test]
    fn what_does_not_fit_is_cut_with_tc() {
        let longest = [&[1, b'a'].repeat(127)[..], &[0]].concat();
        let far = ["g".repeat(63), "h".repeat(63), "i".repeat(63), "j".repeat(61)].join(".");
        let text = "x".repeat(128);
        for (name, far, udp_octets, text, want) in [
            (&b"\x01a\0"[..], "g.example", None, &text, (2, false, None)),
            (b"\x01a\0", "g.example", Some(512), &text, (2, false, Some(128))),
            (b"\x01a\0", &far, Some(512), &text, (2, false, Some(128))),
            (&longest, "g.example", Some(512), &text, (2, false, Some(128))),
            (&longest, &far, Some(512), &text, (0, true, Some(0))),
            (&longest, &far, None, &text, (0, true, None)),
            (&longest, &far, Some(1232), &text, (2, false, Some(128))),
            (&longest[128..], &far, Some(512), &text, (2, false, Some(0))),
        ] {
            let sink = SinkConfig { ede_text: text.clone(), ..garden(far, None, Some("2001:db8::9")) };
            let (records, message, sunk) =
                sunk(&packet(name, rtype::AAAA, udp_octets), &sink, Action::Sinkhole).unwrap();
            let ede =
                message.edns.and_then(|edns| match edns.option(hickory_proto::rr::rdata::opt::EdnsCode::Unknown(15)) {
                    Some(hickory_proto::rr::rdata::opt::EdnsOption::Unknown(_, octets)) => Some(octets.len() - 2),
                    _ => None,
                });
            let room = udp_octets.map_or(PLAIN_UDP_OCTETS, usize::from).min(UDP_OCTETS_MAX);
            assert!(sunk.octets.unwrap() <= room && sunk.rcode == Rcode::NoError);
            assert_eq!((records.len(), sunk.truncated, ede), want, "{} octets, {udp_octets:?}", name.len());
        }
        // The longest names that a SOA may have push the text out, and never the SOA.
        let soa_names = [&[1, b'a'].repeat(63)[..], &[0, 0]].concat().into();
        let sink = SinkConfig { ede_text: text, soa_names, ..SinkConfig::default() };
        let (records, _, sunk) = sunk(&packet(&longest, rtype::AAAA, Some(512)), &sink, Action::Nodata).unwrap();
        assert_eq!((records.len(), sunk.truncated), (1, false));
    }

    fn record(rtype: u16, rdata: &[u8]) -> Record {
        Record { rtype, ttl_secs: 300, rdata: rdata.into() }
    }

    #[test]
    fn an_entrys_records_for_every_type() {
        let four = ["a.test. 300 IN A 192.0.2.1", "a.test. 300 IN A 192.0.2.2"];
        let text = "a.test. 300 IN TXT hi";
        let alias = "a.test. 300 IN CNAME www.example.";
        let starred = "a.test. 300 IN CNAME a.test.www.example.";
        let (to_plain, to_starred) = (&b"\x03www\x07example\0"[..], &b"\x01*\x03www\x07example\0"[..]);
        let data =
            [record(rtype::A, &[192, 0, 2, 1]), record(rtype::TXT, b"\x02hi"), record(rtype::A, &[192, 0, 2, 2])];
        let plain = [record(rtype::CNAME, to_plain)];
        let wildcard = [record(rtype::CNAME, to_starred)];
        let mixed = [record(rtype::TXT, b"\x02hi"), record(rtype::CNAME, to_plain)];
        let service = [record(rtype::HTTPS, b"\0\x01\0"), record(rtype::CNAME, to_plain)];
        let nodata = || vec![NEGATIVE.to_owned()];
        let some = |texts: &[&str]| texts.iter().map(ToString::to_string).collect::<Vec<_>>();
        for qtype in QTYPES {
            let unaliased = matches!(qtype, rtype::HTTPS | rtype::SVCB | 24 | 25 | 30 | 43 | 46 | 47 | 48);
            let or_alias = |alias| if unaliased { nodata() } else { some(&[alias]) };
            for (records, want) in [
                (
                    &data[..],
                    match qtype {
                        rtype::A | rtype::ANY => some(&four),
                        rtype::TXT => some(&[text]),
                        _ => nodata(),
                    },
                ),
                (&plain, or_alias(alias)),
                (&wildcard, or_alias(starred)),
                (&mixed, if qtype == rtype::TXT { some(&[text]) } else { or_alias(alias) }),
                (&[], nodata()),
            ] {
                // With a garden or without one: an entry's own records go before it, and another's target gets no address of it.
                for sink in [SinkConfig::default(), garden("garden.example", Some("192.0.2.9"), Some("2001:db8::9"))] {
                    let query = packet(b"\x01a\x04test\0", qtype, None);
                    let (got, _, said) = sunk_with(&query, &sink, Action::Data, records).unwrap();
                    assert_eq!((said.rcode, got), (Rcode::NoError, want.clone()), "type {qtype} of {records:?}");
                    for action in [Action::Nxdomain, Action::Nodata, Action::Refused, Action::TcpOnly, Action::Drop] {
                        let with = sunk_with(&query, &sink, action, records).map(|(said, ..)| said);
                        assert_eq!(
                            with,
                            sunk(&query, &sink, action).map(|(said, ..)| said),
                            "{action:?} has no records"
                        );
                    }
                }
            }
        }
        let query = packet(b"\x01a\x04test\0", rtype::HTTPS, None);
        let (_, message, _) = sunk_with(&query, &SinkConfig::default(), Action::Data, &service).unwrap();
        assert_eq!(message.answers.len(), 1, "an entry's own service record is its owner's wish");
    }

    #[test]
    fn an_entrys_alias_of_the_garden_has_its_address() {
        for (sink, target, want) in [
            ("garden.example", &b"\x06Garden\x07example\0"[..], vec!["Garden.example.", "192.0.2.9"]),
            ("*.garden.example", b"\x01*\x06garden\x07example\0", vec!["a.test.garden.example.", "192.0.2.9"]),
            ("*.garden.example", b"\x06garden\x07example\0", vec!["garden.example."]),
            ("garden.example", b"\x01*\x06garden\x07example\0", vec!["a.test.garden.example."]),
            ("garden.example", b"\x07example\0", vec!["example."]),
            // What leads round, and what is no name.
            ("garden.example", b"\x01A\x04test\0", vec![]),
            ("garden.example", b"\x01*\0", vec![]),
            ("garden.example", b"\x03ab", vec![]),
            ("garden.example", b"\xc0\x0c", vec![]),
            ("garden.example", b"", vec![]),
        ] {
            let sink = garden(sink, Some("192.0.2.9"), None);
            let (records, query) = ([record(rtype::CNAME, target)], packet(b"\x01a\x04test\0", rtype::A, None));
            let (_, message, sunk) = sunk_with(&query, &sink, Action::Data, &records).unwrap();
            let got: Vec<_> = message.answers.iter().map(|record| record.data.to_string()).collect();
            assert_eq!(
                (sunk.rcode, got),
                (Rcode::NoError, want.iter().map(ToString::to_string).collect()),
                "{target:?}"
            );
            assert_eq!(message.authorities.len(), usize::from(want.is_empty()));
        }
        let (sink, long) = (SinkConfig::default(), [&[1, b'*'][..], &[1, b'b'].repeat(126), &[0]].concat());
        let query = packet(b"\x01a\x04test\0", rtype::A, None);
        let (records, _, sunk) = sunk_with(&query, &sink, Action::Data, &[record(rtype::CNAME, &long)]).unwrap();
        assert_eq!((sunk.rcode, records.len()), (Rcode::YxDomain, 0));
    }

    #[test]
    fn an_entrys_records_that_do_not_fit_are_cut_with_tc() {
        let query = packet(b"\x01a\x04test\0", rtype::TXT, None);
        // Header and question take 24 octets, a record of 100 characters 113.
        for (count, fits) in [(4, true), (5, false)] {
            let records = vec![record(rtype::TXT, &[&[100][..], &[b'x'; 100]].concat()); count];
            let (answers, _, sunk) = sunk_with(&query, &SinkConfig::default(), Action::Data, &records).unwrap();
            assert_eq!((answers.len(), sunk.truncated), (if fits { count } else { 0 }, !fits));
            let query = Query::read(Header::read(&query).unwrap(), &query).unwrap();
            let mut stream = vec![0; 65_535];
            let sink = SinkConfig::default();
            let sunk = write_sunk(&mut stream, &query, &sink, Action::Data, &records).unwrap();
            assert_eq!((sunk.octets, sunk.truncated), (Some(24 + 113 * count), false), "over TCP there is room");
        }
        let huge = [record(rtype::TXT, &[0; 65_536])];
        let (answers, _, sunk) = sunk_with(&query, &SinkConfig::default(), Action::Data, &huge).unwrap();
        assert_eq!((answers.len(), sunk.truncated), (0, true), "what is no RDATA is not written");
    }
}
