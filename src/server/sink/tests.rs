//! What a sunk name gets, for every kind of type; every reply is read back with hickory-proto.

use hickory_proto::op::Message;

use super::*;
use crate::policy::Garden;
use crate::wire::{Header, PLAIN_UDP_OCTETS, UDP_OCTETS_MAX};
use crate::zone::Config as ZonesConfig;

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

/// [`write_sunk`] where there are no zones, and no entry is known.
fn write_it(
    out: &mut [u8],
    query: &Query<'_>,
    sink: &SinkConfig,
    action: Action,
    records: &[Record],
) -> Option<Written> {
    let zones = Zones::build(&ZonesConfig::default()).unwrap();
    write_sunk(out, query, &Sinking { sink, action, records, zones: &zones, entry: &|_| None })
}

/// The reply to it, as hickory reads it, its records as text, and what is said of it.
fn sunk(packet: &[u8], sink: &SinkConfig, action: Action) -> Option<(Vec<String>, Message, Written)> {
    sunk_with(packet, sink, action, &[])
}

/// [`sunk`] by an entry with records.
fn sunk_with(
    packet: &[u8],
    sink: &SinkConfig,
    action: Action,
    records: &[Record],
) -> Option<(Vec<String>, Message, Written)> {
    let query = Query::read(Header::read(packet).unwrap(), packet).unwrap();
    let mut out = vec![0; query.udp_octets()];
    let sunk = write_it(&mut out, &query, sink, action, records)?;
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
            assert_eq!((rcode, got), (Rcode::NoError, want.iter().map(ToString::to_string).collect()), "type {qtype}");
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
        for (qtype, want) in [(rtype::A, "A.test. 30 IN A 192.0.2.9"), (rtype::AAAA, "SOA"), (rtype::CNAME, "SOA")] {
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
        let (records, message, sunk) = sunk(&packet(name, rtype::AAAA, udp_octets), &sink, Action::Sinkhole).unwrap();
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
    let data = [record(rtype::A, &[192, 0, 2, 1]), record(rtype::TXT, b"\x02hi"), record(rtype::A, &[192, 0, 2, 2])];
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
                    assert_eq!(with, sunk(&query, &sink, action).map(|(said, ..)| said), "{action:?} has no records");
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
        assert_eq!((sunk.rcode, got), (Rcode::NoError, want.iter().map(ToString::to_string).collect()), "{target:?}");
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
        let sunk = write_it(&mut stream, &query, &sink, Action::Data, &records).unwrap();
        assert_eq!((sunk.octets, sunk.truncated), (Some(24 + 113 * count), false), "over TCP there is room");
    }
    let huge = [record(rtype::TXT, &[0; 65_536])];
    let (answers, _, sunk) = sunk_with(&query, &SinkConfig::default(), Action::Data, &huge).unwrap();
    assert_eq!((answers.len(), sunk.truncated), (0, true), "what is no RDATA is not written");
}
