//! What a zone file may hold is answered: odd records of every type are written at random, and each that loads is asked for.

use super::*;

/// Types as zone files name them, what their data begin with, and how they may go on.
const TYPES: [(&str, &str, &str); 30] = [
    ("A", "", "192.0.2.1"),
    ("AAAA", "", "::1"),
    ("AFSDB", "1", "a"),
    ("CAA", "0", "issue a"),
    ("CERT", "1 2 3", "qrs="),
    ("CNAME", "", "b"),
    ("CSYNC", "1 2", "A NS"),
    ("DS", "1 2 3", "aabb"),
    ("HINFO", "", "a b"),
    ("HTTPS", "1 .", "alpn=h2"),
    ("KX", "1", "a"),
    ("LOC", "\\# 16", "00000000000000000000000000000000"),
    ("MX", "1", "a"),
    ("NAPTR", "1 2 U", "a b ."),
    ("NS", "", "b"),
    ("OPENPGPKEY", "", "qrs="),
    ("PTR", "", "b"),
    ("RP", "", "a b"),
    ("RT", "1", "a"),
    ("SMIMEA", "1 2 3", "aabb"),
    ("SOA", ". . 1 2 3 4", "5"),
    ("SPF", "", "a"),
    ("SRV", "1 2 3", "a"),
    ("SSHFP", "1 2", "aabb"),
    ("SVCB", "1 .", "port=53"),
    ("TLSA", "1 2 3", "aabb"),
    ("TXT", "", "a"),
    ("TYPE10", "", "\\# 1 00"),
    ("TYPE65280", "", "\\# 2 abcd"),
    ("URI", "1 2", "a"),
];
/// What their data are written with, well or ill.
const WORDS: [&str; 60] = [
    "0",
    "1",
    "65535",
    "65536",
    "-1",
    "",
    "\"\"",
    "\"a b\"",
    "\"a;b\"",
    "\\065",
    "\\\"",
    "\\000",
    "\"\\255\"",
    "a",
    ".",
    "@",
    "b.",
    "a..b",
    "a\\.b",
    "*.a",
    "192.0.2.1",
    "2001:db8::1",
    "::",
    "1h",
    "issue",
    "mandatory=",
    "mandatory=alpn",
    "mandatory=alpn,port",
    "mandatory=port,port",
    "alpn",
    "alpn=",
    "alpn=h2",
    "alpn=h2,,h3",
    "alpn=\"h2,h3\"",
    "alpn=\"",
    "no-default-alpn",
    "port=",
    "port=53",
    "port=0",
    "port=65536",
    "ipv4hint=",
    "ipv4hint=192.0.2.1",
    "ipv4hint=,",
    "ipv6hint=2001:db8::1,::1",
    "ipv6hint=",
    "ech=",
    "ech=AAE=",
    "ech=x",
    "key667=a",
    "key667=",
    "key667",
    "key65535=a",
    "key3=ab",
    "\\# 0",
    "\\# 1 00",
    "\\# 4 c0000201",
    "\\# 7 00010000010000",
    "aabb",
    "qrs=",
    "LONG",
];

#[test]
fn whatever_record_loads_is_answered_and_reads_back() {
    let folder = tempfile::tempdir().unwrap();
    let mut state = 11_u64;
    let mut next = |below: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(state >> 33).unwrap() % below
    };
    let long = "x".repeat(256);
    let mut loaded = std::collections::BTreeMap::<&str, u32>::new();
    for round in 0..3000 {
        let (kind, front, good) = TYPES[round % TYPES.len()];
        let words: Vec<&str> = (0..next(4)).map(|_| WORDS[next(WORDS.len())]).collect();
        let words = if round < TYPES.len() { good.to_owned() } else { words.join(" ").replace("LONG", &long) };
        let data = format!("{front} {words}");
        let owner = if kind == "SOA" { "r.example." } else { "a" };
        let file = folder.path().join("r.zone");
        let soa = if kind == "SOA" { "" } else { "@ SOA . . 1 2 3 4 5\n" };
        std::fs::write(&file, format!("$TTL 300\n{soa}{owner} {kind} {data}\n")).unwrap();
        let config = Config {
            zones: vec![ZoneConfig { apex: name("r.example"), file }],
            special_names: SpecialConfig { enabled: false, ..Config::default().special_names },
        };
        let Ok(zones) = Zones::build(&config) else { continue };
        let number = crate::wire::DataType::read(kind.as_bytes()).unwrap().number();
        let asked = if kind == "SOA" { "r.example" } else { "a.r.example" };
        let (answer, octets) = ask_raw(&zones, &packet(asked, number, None), 65_535).unwrap();
        let ZoneAnswer::Reply { rcode, truncated, .. } = answer else { panic!("{kind} {data}: unready") };
        if data.ends_with("\\# 0") {
            // RFC 1035 §3.2.1 has no least length; hickory-proto reads none of 0 outside of updates.
            continue;
        }
        let reply = Message::from_vec(&octets).unwrap_or_else(|error| panic!("{kind} {data}: {error}"));
        let found = if number == 2 { &reply.authorities } else { &reply.answers };
        let is_of_type = found.iter().any(|record| u16::from(record.record_type()) == number);
        assert!(rcode == Rcode::NoError && !truncated && is_of_type, "{kind} {data}: {}", line(&reply));
        *loaded.entry(kind).or_default() += 1;
    }
    assert_eq!(loaded.len(), TYPES.len(), "a good record of every type loads: {loaded:?}");
}

#[test]
fn records_come_out_as_they_were_written() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("r.zone");
    std::fs::write(
        &file,
        "$TTL 300\n@ SOA ns john\\.doe 1 1h 600 1d 60\nq TXT ( \"v=DKIM1; k=rsa; \"\n \"p=a\" ) ; why\ne TXT \"\\065\\\"\" \\200\n\
         s HTTPS 1 svc port=53 alpn=h2\nt SVCB 0 @\nu TYPE65280 \\# 2 abcd\n$ORIGIN sub\nv MX 1 mail\n",
    )
    .unwrap();
    let config = Config { zones: vec![ZoneConfig { apex: name("r.example"), file }], ..Config::default() };
    let zones = Zones::build(&config).unwrap();
    for (qname, qtype, want) in [
        ("r.example", 6, &b"\x08john.doe\xc0"[..]),
        ("q.r.example", 16, b"\x10v=DKIM1; k=rsa; \x03p=a"),
        ("e.r.example", 16, b"\x02A\"\x01\xc8"),
        ("s.r.example", 65, b"\0\x01\x03svc\x01r\x07example\0\0\x01\0\x03\x02h2\0\x03\0\x02\0\x35"),
        ("t.r.example", 64, b"\0\0\x01r\x07example\0"),
        ("u.r.example", 65_280, b"\xab\xcd"),
        ("v.sub.r.example", 15, b"\0\x01\x04mail\xc0"),
    ] {
        let (_, octets) = ask_raw(&zones, &packet(qname, qtype, None), 512).unwrap();
        let stands = octets.windows(want.len()).any(|window| window == want);
        assert!(stands, "{qname}: {}", octets.escape_ascii());
    }
}
