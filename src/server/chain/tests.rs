//! What is kept of an upstream's answer, what stays as it is, and what does not fit; every reply is read back with hickory-proto.

use hickory_proto::op::Message;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::*;
use crate::cache::Config as CacheConfig;
use crate::wire::Header;
use crate::zone::{Config, ZoneConfig};

const ZONE: &str = "$TTL 300\n@ 600 SOA ns h 7 3600 600 86400 60\nwww A 10.0.0.1\nwww HTTPS 1 . ipv4hint=10.0.0.2\n\
                    back CNAME a.test.\nsub NS ns.sub\nhop CNAME h.sub\n";

/// A name as it travels.
fn wire(text: &str) -> Vec<u8> {
    Name::from_text(text.as_bytes()).unwrap().wire().to_vec()
}

/// One record of class IN.
fn record(owner: &str, rtype: u16, rdata: &[u8]) -> Vec<u8> {
    let length = u16::try_from(rdata.len()).unwrap().to_be_bytes();
    [&wire(owner)[..], &rtype.to_be_bytes(), &[0, 1, 0, 0, 1, 0], &length, rdata].concat()
}

fn cname(owner: &str, target: &str) -> Vec<u8> {
    record(owner, rtype::CNAME, &wire(target))
}

fn dname(owner: &str, target: &str) -> Vec<u8> {
    record(owner, rtype::DNAME, &wire(target))
}

/// A signature of `covered`, whose wildcard, if it is of one, had so many labels.
fn rrsig(owner: &str, covered: u16, labels: u8) -> Vec<u8> {
    let fixed = [&covered.to_be_bytes()[..], &[13, labels], &[0; 12], &[0, 9]].concat();
    record(owner, rtype::RRSIG, &[&fixed[..], &wire("test"), &[7; 64]].concat())
}

fn nsec(owner: &str) -> Vec<u8> {
    record(owner, rtype::NSEC, &[&wire("z.test")[..], &[0, 1, 0x40]].concat())
}

fn a(owner: &str) -> Vec<u8> {
    record(owner, rtype::A, &[192, 0, 2, 1])
}

/// A query with DO for the name.
fn query_for(qname: &str, qtype: u16) -> Vec<u8> {
    let opt = b"\0\0\x29\x04\xd0\0\0\x80\0\0\0";
    [&[0, 7, 1, 0x20, 0, 1, 0, 0, 0, 0, 0, 1][..], &wire(qname), &qtype.to_be_bytes(), &[0, 1], opt].concat()
}

fn read(packet: &[u8]) -> Query<'_> {
    Query::read(Header::read(packet).unwrap(), packet).unwrap()
}

/// The upstream's reply to `query`, with AD, made at 0.
fn reply(query: &Query<'_>, rcode: u8, sections: [&[Vec<u8>]; 3]) -> Vec<u8> {
    let counts = sections.map(|section| u8::try_from(section.len()).unwrap());
    let head = [0, 7, 0x81, 0xa0 | rcode, 0, 1, 0, counts[0], 0, counts[1], 0, counts[2]];
    [&head[..], query.question, &sections.concat().concat()].concat()
}

fn zones() -> Zones {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("corp.zone");
    std::fs::write(&file, ZONE).unwrap();
    let apex = Name::from_text(b"corp.test").unwrap();
    Zones::build(&Config { zones: vec![ZoneConfig { apex, file }], ..Config::default() }).unwrap()
}

/// What an upstream's reply comes to, ten seconds later: the code, and owner, TTL and type by section; `None` if it stays as it is.
fn led(qname: &str, qtype: u16, rcode: u8, sections: [&[Vec<u8>]; 3]) -> Option<(u16, [Vec<String>; 3])> {
    let packet = query_for(qname, qtype);
    let query = read(&packet);
    let answer = Answer::from_reply(&reply(&query, rcode, sections), 0, &CacheConfig::default()).unwrap();
    let chain = Chain::of_answer(&zones(), &query, &answer, 10_000)?;
    let mut out = [0; 1232];
    let written = chain.write(&mut out, &query, None);
    let message = Message::from_vec(&out[..written.octets.unwrap()]).unwrap();
    assert!(!written.truncated && !message.metadata.authentic_data && !message.metadata.authoritative);
    assert!(message.edns.as_ref().is_some_and(|edns| edns.flags().dnssec_ok));
    let shown = |section: &[hickory_proto::rr::Record]| {
        section.iter().map(|one| format!("{} {} {}", one.name, one.ttl, one.record_type())).collect()
    };
    let sections = [&message.answers, &message.authorities, &message.additionals].map(|section| shown(section));
    Some((u16::from(message.metadata.response_code), sections))
}

#[test]
fn what_is_kept_of_an_upstreams_answer() {
    let (cname_type, dname_type) = (rtype::CNAME, rtype::DNAME);
    let end = ["www.corp.test. 300 A"];
    let none = || Vec::<String>::new();
    let all = |first: &[&str], last: &[&str]| first.iter().chain(last).map(ToString::to_string).collect::<Vec<_>>();
    for (why, qname, sections, want, proofs) in [
        (
            "signatures of what is kept, in the order in which it leads on",
            "a.test",
            [
                vec![
                    a("www.corp.test"),
                    rrsig("www.corp.test", rtype::A, 3),
                    cname("b.test", "www.corp.test"),
                    rrsig("b.test", cname_type, 2),
                    cname("a.test", "b.test"),
                    rrsig("a.test", cname_type, 2),
                    rrsig("a.test", rtype::A, 2),
                ],
                vec![nsec("a.test"), rrsig("a.test", rtype::NSEC, 2)],
                vec![a("b.test")],
            ],
            all(&["a.test. 246 CNAME", "a.test. 246 RRSIG", "b.test. 246 CNAME", "b.test. 246 RRSIG"], &end),
            none(),
        ),
        (
            "a DNAME, once",
            "a.b.test",
            [
                vec![
                    dname("b.test", "c.test"),
                    rrsig("b.test", dname_type, 2),
                    cname("a.b.test", "a.c.test"),
                    dname("c.test", "b.test"),
                    cname("a.c.test", "www.corp.test"),
                    dname("other.test", "corp.test"),
                    a("www.corp.test"),
                ],
                vec![],
                vec![],
            ],
            all(
                &[
                    "b.test. 246 DNAME",
                    "b.test. 246 RRSIG",
                    "a.b.test. 246 CNAME",
                    "c.test. 246 DNAME",
                    "a.c.test. 246 CNAME",
                ],
                &end,
            ),
            none(),
        ),
        (
            "what proves a wildcard, and not what it says of the zone",
            "x.a.test",
            [
                vec![cname("x.a.test", "www.corp.test"), rrsig("x.a.test", cname_type, 2)],
                vec![
                    nsec("w.a.test"),
                    rrsig("w.a.test", rtype::NSEC, 3),
                    nsec("v.corp.test"),
                    rrsig("v.corp.test", rtype::NSEC, 3),
                    record("test", rtype::SOA, &[0; 22]),
                ],
                vec![],
            ],
            all(&["x.a.test. 246 CNAME", "x.a.test. 246 RRSIG"], &end),
            all(&["w.a.test. 246 NSEC", "w.a.test. 246 RRSIG"], &[]),
        ),
    ] {
        let [answers, authorities, additionals] = &sections;
        let got = led(qname, rtype::A, 0, [answers, authorities, additionals]);
        assert_eq!(got, Some((0, [want, proofs, none()])), "{why}");
    }
}

#[test]
fn what_leads_into_no_zone_stays_as_it_is() {
    let into = || cname("a.test", "www.corp.test");
    for (why, qname, qtype, rcode, answers) in [
        ("it leads elsewhere", "a.test", rtype::A, 0, vec![cname("a.test", "b.test"), a("b.test")]),
        ("the alias is asked for", "a.test", rtype::CNAME, 0, vec![into()]),
        ("an alias of another name", "c.test", rtype::A, 0, vec![into(), a("c.test")]),
        (
            "round",
            "a.test",
            rtype::A,
            0,
            vec![cname("a.test", "b.test"), cname("b.test", "a.test"), cname("c.test", "www.corp.test")],
        ),
        ("not all was found", "a.test", rtype::A, 2, vec![into()]),
        (
            "a service is one of several ways on",
            "a.test",
            rtype::HTTPS,
            0,
            vec![record("a.test", rtype::HTTPS, &[&[0, 1][..], &wire("www.corp.test")].concat())],
        ),
        ("a DNAME, which is no alias", "a.test", rtype::DNAME, 0, vec![dname("a.test", "corp.test")]),
        (
            "a delegation of the zone",
            "a.test",
            rtype::A,
            0,
            vec![cname("a.test", "h.sub.corp.test"), a("h.sub.corp.test")],
        ),
    ] {
        assert_eq!(led(qname, qtype, rcode, [&answers, &[], &[]]), None, "{why}");
    }
    // Negative, as the upstream has it, or not; a zone's alias that leads out again, and one to its delegation.
    for (target, qtype, rcode, want) in [
        ("www.corp.test", rtype::A, 3, (0, 2, 0)),
        ("none.corp.test", rtype::A, 0, (3, 1, 1)),
        ("www.corp.test", rtype::TXT, 0, (0, 1, 1)),
        ("back.corp.test", rtype::A, 0, (0, 2, 0)),
        ("hop.corp.test", rtype::A, 0, (0, 2, 1)),
    ] {
        let (code, [answers, authorities, _]) =
            led("a.test", qtype, rcode, [&[cname("a.test", target)], &[], &[]]).unwrap();
        assert_eq!((code, answers.len(), authorities.len()), want, "{target}");
    }
}

#[test]
fn its_addresses_are_the_zones_hints_too() {
    let zones = zones();
    for (qtype, want) in [(rtype::A, "10.0.0.1"), (rtype::HTTPS, "10.0.0.2")] {
        let packet = query_for("a.test", qtype);
        let chain = Chain::of_alias(&zones, &read(&packet), (b"\x03www", b"\x04corp\x04test\0"), 30).unwrap();
        assert_eq!(chain.addresses(), [want.parse::<IpAddr>().unwrap()]);
    }
    let packet = query_for("a.test", rtype::A);
    for target in ["corp.testing", "test", "h.sub.corp.test"] {
        assert!(Chain::of_alias(&zones, &read(&packet), (&[], &wire(target)), 30).is_none(), "{target}");
    }
}

#[test]
fn what_does_not_fit_goes_in_order() {
    let zones = zones();
    let packet = query_for("a.test", rtype::A);
    let query = read(&packet);
    let chain = Chain::of_alias(&zones, &query, (&[], &wire("www.corp.test")), 30).unwrap();
    let ede = Some((Ede(15), "text"));
    let whole = chain.write(&mut [0; 1232], &query, ede).octets.unwrap();
    for (room, octets, truncated) in [
        (whole, Some(whole), false),
        (whole - 1, Some(whole - 4), false),
        (whole - 5, Some(12 + query.question.len() + OPT_OCTETS_MAX), true),
        (12, None, true),
    ] {
        let written = chain.write(&mut vec![0; room], &query, ede);
        assert_eq!((written.octets, written.truncated), (octets, truncated), "{room} octets");
    }
}

#[test]
fn damage_never_panics() {
    let zones = zones();
    let packet = query_for("x.a.test", rtype::A);
    let query = read(&packet);
    let answers = [
        cname("x.a.test", "b.test"),
        rrsig("x.a.test", rtype::CNAME, 2),
        cname("b.test", "www.corp.test"),
        dname("a.test", "corp.test"),
    ];
    let good = reply(&query, 0, [&answers, &[nsec("w.a.test"), rrsig("w.a.test", rtype::NSEC, 3)], &[]]);
    let mut led = 0;
    for seed in 0..3000 {
        let mut rng = StdRng::seed_from_u64(seed);
        let mut octets = good.clone();
        for _ in 0..rng.random_range(1..4) {
            let at = rng.random_range(28..octets.len());
            octets[at] = rng.random();
        }
        let Ok(answer) = Answer::from_reply(&octets, 0, &CacheConfig::default()) else { continue };
        let Some(chain) = Chain::of_answer(&zones, &query, &answer, 1000) else { continue };
        assert!(chain.write(&mut [0; 512], &query, None).octets.is_some_and(|octets| octets <= 512));
        led += 1;
    }
    assert!(led > 500, "{led} prove nothing");
}
