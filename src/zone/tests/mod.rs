//! The zones as a client sees them: every reply is read back with hickory-proto, and rules are tables.

mod on_aliases;
mod on_records;

use std::path::Path;

use hickory_proto::op::Message;

use super::special::DS;
use super::*;
use crate::name::Name;
use crate::wire::Header;

const CORP: &str = "\
$TTL 300
@ 600 IN SOA ns hostmaster 7 3600 600 86400 60
@ NS ns
@ MX 10 mail
ns A 192.0.2.1
ns AAAA 2001:db8::1
mail A 192.0.2.2
www A 192.0.2.3
www A 192.0.2.4
alias CNAME www
alias2 CNAME alias
out CNAME www.example.org.
dangling CNAME nothere
loop1 CNAME loop2
loop2 CNAME loop1
a.b.c TXT deep
*.wild A 192.0.2.9
x.wild TXT x
*.wildalias CNAME www
* TXT top
sub NS ns.sub
ns.sub A 192.0.2.50
_sip._tcp SRV 1 2 5060 mail
";

fn name(text: &str) -> Name {
    Name::from_text(text.as_bytes()).unwrap()
}

/// Zones with `corp.example` from [`CORP`] and others as given.
fn zones_with(folder: &Path, others: &[(&str, &str)], config: Config) -> Result<Zones, Vec<ZoneError>> {
    let mut config = config;
    for (index, (apex, text)) in [("corp.example", CORP)].iter().chain(others).enumerate() {
        let file = folder.join(format!("{index}.zone"));
        std::fs::write(&file, text).unwrap();
        config.zones.push(ZoneConfig { apex: name(apex), file });
    }
    Zones::build(&config)
}

/// Settings by which these special names are forwarded.
fn forwarding(names: &[&str]) -> Config {
    let forwarded = names.iter().map(|text| name(text)).collect();
    Config { special_names: SpecialConfig { forwarded, ..SpecialConfig::default() }, ..Config::default() }
}

fn zones() -> Zones {
    zones_with(tempfile::tempdir().unwrap().path(), &[], Config::default()).unwrap()
}

/// A query with RD, AD and CD set.
fn packet(qname: &str, qtype: u16, edns: Option<u16>) -> Vec<u8> {
    let mut octets = vec![0xab, 0xcd, 0x01, 0x30, 0, 1, 0, 0, 0, 0, 0, u8::from(edns.is_some())];
    octets.extend_from_slice(name(qname).wire());
    octets.extend_from_slice(&qtype.to_be_bytes());
    octets.extend_from_slice(&[0, 1]);
    if let Some(size) = edns {
        // DO set, a cookie and a malformed client-subnet option behind: hickory must not see them.
        octets.extend_from_slice(&[0, 0, 41]);
        octets.extend_from_slice(&size.to_be_bytes());
        octets.extend_from_slice(&[0, 0, 0x80, 0, 0, 17, 0, 10, 0, 8, 1, 2, 3, 4, 5, 6, 7, 8, 0, 8, 0, 1, 9]);
    }
    octets
}

/// The raw reply, `None` where the name is not covered.
fn ask_raw(zones: &Zones, packet: &[u8], limit: usize) -> Option<(ZoneAnswer, Vec<u8>)> {
    let query = Query::read(Header::read(packet).unwrap(), packet).unwrap();
    let zone = zones.covers(&query.qname, query.qtype)?;
    let mut out = vec![0; 65_535];
    let answer = zones.answer(zone, &query, &mut out, limit);
    let ZoneAnswer::Reply { length, .. } = answer else { panic!("unready") };
    assert!(length <= limit, "{length} octets where {limit} are allowed");
    out.truncate(length);
    Some((answer, out))
}

fn ask(zones: &Zones, qname: &str, qtype: u16) -> Option<Message> {
    let (_, octets) = ask_raw(zones, &packet(qname, qtype, None), 512)?;
    Some(Message::from_vec(&octets).unwrap())
}

/// A reply as one line: rcode, flags, then each section.
fn line(message: &Message) -> String {
    let section = |records: &[hickory_proto::rr::Record]| {
        records
            .iter()
            .map(|r| format!("{} {} {} {}", r.name, r.ttl, r.record_type(), r.data))
            .collect::<Vec<_>>()
            .join(", ")
    };
    let aa = if message.metadata.authoritative { "aa" } else { "--" };
    format!(
        "{} {aa} | {} | {} | {}",
        message.metadata.response_code.to_str(),
        section(&message.answers),
        section(&message.authorities),
        section(&message.additionals)
    )
}

const SOA: &str = "corp.example. 60 SOA ns.corp.example. hostmaster.corp.example. 7 3600 600 86400 60";

#[test]
fn the_zone_answers_as_the_rfcs_say() {
    let zones = zones();
    let no = "No Error";
    let nx = "Non-Existent Domain";
    for (qname, qtype, want) in [
        ("ns.corp.example", 1, format!("{no} aa | ns.corp.example. 300 A 192.0.2.1 |  | ")),
        (
            "www.corp.example",
            1,
            format!("{no} aa | www.corp.example. 300 A 192.0.2.3, www.corp.example. 300 A 192.0.2.4 |  | "),
        ),
        // NODATA at a name that exists: the top wildcard must not answer for it (RFC 4592 §2.2.1).
        ("www.corp.example", 16, format!("{no} aa |  | {SOA} | ")),
        ("www.corp.example", 28, format!("{no} aa |  | {SOA} | ")),
        // Empty non-terminals exist (RFC 4592 §2.2.2), and keep wildcards above them away.
        ("b.c.corp.example", 16, format!("{no} aa |  | {SOA} | ")),
        ("x.b.c.corp.example", 16, format!("{nx} aa |  | {SOA} | ")),
        ("a.b.c.corp.example", 16, format!("{no} aa | a.b.c.corp.example. 300 TXT deep |  | ")),
        // Wildcards.
        ("nothere.corp.example", 16, format!("{no} aa | nothere.corp.example. 300 TXT top |  | ")),
        ("q.nothere.corp.example", 16, format!("{no} aa | q.nothere.corp.example. 300 TXT top |  | ")),
        ("nothere.corp.example", 1, format!("{no} aa |  | {SOA} | ")),
        ("y.wild.corp.example", 1, format!("{no} aa | y.wild.corp.example. 300 A 192.0.2.9 |  | ")),
        ("x.wild.corp.example", 1, format!("{no} aa |  | {SOA} | ")),
        ("z.x.wild.corp.example", 1, format!("{nx} aa |  | {SOA} | ")),
        ("wild.corp.example", 1, format!("{no} aa |  | {SOA} | ")),
        // CNAMEs.
        (
            "alias2.corp.example",
            1,
            format!(
                "{no} aa | alias2.corp.example. 300 CNAME alias.corp.example., alias.corp.example. 300 CNAME www.corp.example., \
                 www.corp.example. 300 A 192.0.2.3, www.corp.example. 300 A 192.0.2.4 |  | "
            ),
        ),
        ("alias.corp.example", 28, format!("{no} aa | alias.corp.example. 300 CNAME www.corp.example. | {SOA} | ")),
        ("alias.corp.example", 5, format!("{no} aa | alias.corp.example. 300 CNAME www.corp.example. |  | ")),
        ("out.corp.example", 1, format!("{no} aa | out.corp.example. 300 CNAME www.example.org. |  | ")),
        (
            "loop1.corp.example",
            1,
            format!(
                "{no} aa | loop1.corp.example. 300 CNAME loop2.corp.example., loop2.corp.example. 300 CNAME loop1.corp.example. |  | "
            ),
        ),
        (
            "k.wildalias.corp.example",
            15,
            format!("{no} aa | k.wildalias.corp.example. 300 CNAME www.corp.example. | {SOA} | "),
        ),
        // The apex.
        (
            "corp.example",
            6,
            format!(
                "{no} aa | corp.example. 600 SOA ns.corp.example. hostmaster.corp.example. 7 3600 600 86400 60 | \
                 corp.example. 300 NS ns.corp.example. | "
            ),
        ),
        (
            "corp.example",
            15,
            format!("{no} aa | corp.example. 300 MX 10 mail.corp.example. |  | mail.corp.example. 300 A 192.0.2.2"),
        ),
        (
            "corp.example",
            2,
            format!(
                "{no} aa | corp.example. 300 NS ns.corp.example. |  | ns.corp.example. 300 A 192.0.2.1, ns.corp.example. 300 AAAA 2001:db8::1"
            ),
        ),
        ("ns.corp.example", 255, format!("{no} aa | ns.corp.example. 300 A 192.0.2.1 |  | ")),
        // Delegation: not our authority, with glue; the DS is ours.
        (
            "host.sub.corp.example",
            1,
            format!(
                "{no} -- |  | sub.corp.example. 300 NS ns.sub.corp.example. | ns.sub.corp.example. 300 A 192.0.2.50"
            ),
        ),
        (
            "sub.corp.example",
            2,
            format!(
                "{no} -- |  | sub.corp.example. 300 NS ns.sub.corp.example. | ns.sub.corp.example. 300 A 192.0.2.50"
            ),
        ),
        ("sub.corp.example", 43, format!("{no} aa |  | {SOA} | ")),
    ] {
        let got = line(&ask(&zones, qname, qtype).unwrap());
        assert_eq!(got, want, "{qname} type {qtype}");
    }
}

#[test]
fn the_reply_is_ours_in_header_and_opt() {
    let zones = zones();
    for (qname, edns) in [
        ("WwW.Corp.ExamplE", None),
        ("WwW.Corp.ExamplE", Some(4096)),
        ("LocalHost", None),
        ("1.0.0.10.in-Addr.arpa", Some(700)),
    ] {
        let asked = packet(qname, 1, edns);
        let (answer, octets) = ask_raw(&zones, &asked, 1232).unwrap();
        assert_eq!(octets[12..12 + name(qname).wire().len()], *name(qname).wire(), "letter case is kept");
        let message = Message::from_vec(&octets).unwrap();
        let meta = message.metadata;
        assert_eq!((meta.id, meta.authoritative, meta.truncation), (0xabcd, true, false));
        assert!(meta.recursion_desired && meta.recursion_available && meta.checking_disabled && !meta.authentic_data);
        assert!(matches!(answer, ZoneAnswer::Reply { truncated: false, .. }));
        match (edns, message.edns) {
            (None, None) => {}
            (Some(_), Some(ours)) => {
                assert_eq!((ours.max_payload(), ours.version(), ours.flags().dnssec_ok), (1232, 0, true));
                assert!(ours.options().as_ref().is_empty(), "no option of the client's comes back");
            }
            (asked, got) => panic!("asked with {asked:?}, got {got:?}"),
        }
    }
}

#[test]
fn what_does_not_fit_is_cut_to_a_question() {
    let records: String = (0..200).map(|i| format!("big TXT \"{i:0100}\"\n")).collect();
    let text = format!("$TTL 1\n@ SOA n h 1 2 3 4 5\n{records}");
    let folder = tempfile::tempdir().unwrap();
    let zones = zones_with(folder.path(), &[("big.example", &text)], Config::default()).unwrap();
    let asked = packet("big.big.example", 16, Some(1232));
    let (answer, octets) = ask_raw(&zones, &asked, 1232).unwrap();
    assert!(matches!(answer, ZoneAnswer::Reply { truncated: true, .. }));
    let message = Message::from_vec(&octets).unwrap();
    assert!(message.metadata.truncation && message.answers.is_empty() && message.edns.is_some());
    let (answer, octets) = ask_raw(&zones, &asked, 65_535).unwrap();
    assert!(matches!(answer, ZoneAnswer::Reply { truncated: false, .. }));
    assert_eq!(Message::from_vec(&octets).unwrap().answers.len(), 200);
    // Whatever the limit, the reply keeps to it and can be read.
    for limit in 60..1400 {
        let (_, octets) = ask_raw(&zones, &packet("corp.example", 15, Some(1232)), limit).unwrap();
        Message::from_vec(&octets).unwrap();
    }
}

#[test]
fn special_names_are_answered_as_their_rfcs_say() {
    let zones = zones();
    let soa = |apex: &str| format!("{apex} 10800 SOA {apex} nobody.invalid. 1 3600 1200 604800 10800");
    let no = "No Error";
    let nx = "Non-Existent Domain";
    for (qname, qtype, want) in [
        ("localhost", 1, format!("{no} aa | localhost. 10800 A 127.0.0.1 |  | ")),
        ("a.b.localhost", 28, format!("{no} aa | a.b.localhost. 10800 AAAA ::1 |  | ")),
        ("a.localhost", 15, format!("{no} aa |  | {} | ", soa("localhost."))),
        ("invalid", 1, format!("{nx} aa |  | {} | ", soa("invalid."))),
        ("x.invalid", 255, format!("{nx} aa |  | {} | ", soa("invalid."))),
        ("abc.onion", 1, format!("{nx} aa |  | {} | ", soa("onion."))),
        ("home.arpa", 1, format!("{no} aa |  | {} | ", soa("home.arpa."))),
        ("printer.home.arpa", 1, format!("{nx} aa |  | {} | ", soa("home.arpa."))),
        ("home.arpa", 6, format!("{no} aa | {} |  | ", soa("home.arpa."))),
        ("home.arpa", 2, format!("{no} aa | home.arpa. 10800 NS home.arpa. |  | ")),
        ("4.3.2.10.in-addr.arpa", 12, format!("{nx} aa |  | {} | ", soa("10.in-addr.arpa."))),
        ("1.0.16.172.in-addr.arpa", 12, format!("{nx} aa |  | {} | ", soa("16.172.in-addr.arpa."))),
        ("1.0.127.100.in-addr.arpa", 12, format!("{nx} aa |  | {} | ", soa("127.100.in-addr.arpa."))),
        ("1.0.0.127.in-addr.arpa", 12, format!("{no} aa | 1.0.0.127.in-addr.arpa. 10800 PTR localhost. |  | ")),
        ("1.0.0.127.in-addr.arpa", 1, format!("{no} aa |  | {} | ", soa("127.in-addr.arpa."))),
        ("0.127.in-addr.arpa", 12, format!("{no} aa |  | {} | ", soa("127.in-addr.arpa."))),
        ("1.1.0.0.127.in-addr.arpa", 12, format!("{nx} aa |  | {} | ", soa("127.in-addr.arpa."))),
        ("2.0.0.127.in-addr.arpa", 12, format!("{nx} aa |  | {} | ", soa("127.in-addr.arpa."))),
        ("5.d.f.ip6.arpa", 12, format!("{nx} aa |  | {} | ", soa("d.f.ip6.arpa."))),
        ("_dns.resolver.arpa", 64, format!("{no} aa |  | {} | ", soa("resolver.arpa."))),
        ("x.resolver.arpa", 64, format!("{nx} aa |  | {} | ", soa("resolver.arpa."))),
        ("resolver.arpa", 43, format!("{no} aa |  | {} | ", soa("resolver.arpa."))),
    ] {
        let got = line(&ask(&zones, qname, qtype).unwrap());
        assert_eq!(got, want, "{qname} type {qtype}");
    }
    let any = ask(&zones, "localhost", 255).unwrap();
    assert_eq!(any.answers[0].record_type().to_string(), "HINFO");
}

#[test]
fn who_covers_what() {
    let folder = tempfile::tempdir().unwrap();
    let zone = "$TTL 1\n@ SOA n h 1 2 3 4 5\n";
    let config = forwarding(&["d.f.ip6.arpa", "onion"]);
    let others =
        [("7.10.in-addr.arpa", zone), ("home.arpa", zone), ("sub.corp.example", zone), ("arpa.localhost", zone)];
    let zones = zones_with(folder.path(), &others, config).unwrap();
    for (qname, qtype, want) in [
        ("example", 1, None),
        ("xcorp.example", 1, None),
        ("corp.example", 1, Some((false, 2))),
        ("a.sub.corp.example", 1, Some((false, 3))),
        ("9.7.10.in-addr.arpa", 12, Some((false, 4))),
        ("8.10.in-addr.arpa", 12, Some((true, 3))),
        ("x.home.arpa", 1, Some((false, 2))),
        ("a.arpa.localhost", 1, Some((false, 2))),
        ("b.localhost", 1, Some((true, 1))),
        ("32.172.in-addr.arpa", 12, None),
        ("15.172.in-addr.arpa", 12, None),
        ("63.100.in-addr.arpa", 12, None),
        ("128.100.in-addr.arpa", 12, None),
        ("1.d.f.ip6.arpa", 12, None),
        ("x.onion", 1, None),
        ("notonion", 1, None),
        // The DS of a publicly delegated special zone is its parent's to say; of an operator's zone it is ours.
        ("10.in-addr.arpa", DS, None),
        ("1.10.in-addr.arpa", DS, Some((true, 3))),
        ("home.arpa", DS, Some((false, 2))),
        ("invalid", DS, Some((true, 1))),
        (".", 1, None),
    ] {
        let qname_owned = name(qname);
        let got = zones.covers(&qname_owned.view().unwrap(), qtype).map(|zone| (zone.is_special(), zone.apex_labels()));
        assert_eq!(got, want, "{qname} type {qtype}");
    }
    assert_eq!(zones.operator_zones(), 5);
    let none = Zones::build(&Config {
        special_names: SpecialConfig { enabled: false, ..SpecialConfig::default() },
        ..Config::default()
    })
    .unwrap();
    assert!(none.covers(&name("localhost").view().unwrap(), 1).is_none());
}

#[test]
fn every_fault_of_every_zone_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let others = [("a.example", "x A 1.2.3\n"), ("Corp.Example", CORP), ("b.example", "$TTL 1\nx A 192.0.2.1\n")];
    let faults = zones_with(folder.path(), &others, Config::default()).unwrap_err();
    let told: Vec<_> = faults.iter().map(ToString::to_string).collect();
    assert_eq!(told.len(), 3, "{told:?}");
    assert!(told[0].contains("1.zone:1: expected a record"), "{told:?}");
    assert!(told[1].contains("2.zone: expected each zone once"), "{told:?}");
    assert!(told[2].contains("3.zone: expected a SOA"), "{told:?}");
    let zone = ZoneConfig { apex: name("a.example"), file: folder.path().join("0.zone") };
    let many = Config { zones: vec![zone; ZONES_MAX + 1], ..Config::default() };
    assert!(matches!(Zones::build(&many).unwrap_err()[..], [ZoneError::TooMany { got: 257, .. }]));
}

#[test]
fn any_name_and_type_gets_a_readable_reply() {
    let zones = zones();
    for qname in [
        "corp.example",
        "a.corp.example",
        "sub.corp.example",
        "x.sub.corp.example",
        "*.corp.example",
        "localhost",
        "x.invalid",
    ] {
        for qtype in 0..=260 {
            for edns in [None, Some(512)] {
                let Some((_, octets)) = ask_raw(&zones, &packet(qname, qtype, edns), 512) else { continue };
                Message::from_vec(&octets).unwrap_or_else(|fault| panic!("{qname} type {qtype}: {fault}"));
            }
        }
    }
}
