//! Writes the seeds of every target below `seeds/`: small inputs, each for one thing that can happen, made here and nowhere else.

use std::fs;
use std::path::Path;

use cenote::feed::{Terms, TextFormat, read_text};
use cenote::index::{Index, Kept, Part};

/// A name in wire form.
fn wire(name: &str) -> Vec<u8> {
    let labels = name.split('.').filter(|label| !label.is_empty());
    let mut octets: Vec<u8> =
        labels.flat_map(|label| [&[u8::try_from(label.len()).unwrap()], label.as_bytes()].concat()).collect();
    octets.push(0);
    octets
}

/// A query with these flags, and an OPT if wanted.
fn query(name: &str, qtype: u16, flags: u16, opt: Option<&[u8]>) -> Vec<u8> {
    let mut octets = vec![0x12, 0x34];
    octets.extend_from_slice(&flags.to_be_bytes());
    octets.extend_from_slice(&[0, 1, 0, 0, 0, 0, 0, u8::from(opt.is_some())]);
    octets.extend_from_slice(&wire(name));
    octets.extend_from_slice(&qtype.to_be_bytes());
    octets.extend_from_slice(&[0, 1]);
    octets.extend_from_slice(opt.unwrap_or_default());
    octets
}

/// A record owned by the question's name.
fn record(rtype: u16, ttl: u32, rdata: &[u8]) -> Vec<u8> {
    let mut octets = vec![0xc0, 12];
    octets.extend_from_slice(&rtype.to_be_bytes());
    octets.extend_from_slice(&[0, 1]);
    octets.extend_from_slice(&ttl.to_be_bytes());
    octets.extend_from_slice(&u16::try_from(rdata.len()).unwrap().to_be_bytes());
    octets.extend_from_slice(rdata);
    octets
}

/// An OPT that takes 1,232 octets; DO set.
const OPT: &[u8] = b"\0\0\x29\x04\xd0\0\0\x80\0\0\0";
/// An OPT of EDNS version 1.
const OPT_ONE: &[u8] = b"\0\0\x29\x04\xd0\0\x01\0\0\0\0";
/// An OPT with an EDE and the high bits of a code.
const OPT_EDE: &[u8] = b"\0\0\x29\x04\xd0\x01\0\0\0\0\x08\0\x0f\0\x04\0\x16hi";

/// Writes one seed.
fn write(target: &str, name: &str, octets: &[u8]) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("seeds").join(target);
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join(name), octets).unwrap();
}

/// Octets of the SOA's RDATA.
fn soa() -> Vec<u8> {
    let mut octets = vec![0, 0];
    octets.extend([1_u32, 3600, 600, 86_400, 60].iter().flat_map(|number| number.to_be_bytes()));
    octets
}

fn respond() {
    let seed = |name: &str, switches: u8, packet: &[u8], records: &[u8]| {
        let length = u16::try_from(packet.len()).unwrap().to_be_bytes();
        write("respond", name, &[&[switches], &length[..], packet, records].concat());
    };
    for (name, asked, qtype) in [
        ("sunk", "bad.test", 1),
        ("sunk-below", "A.b.Bad.test", 28),
        ("walled", "www.Walled.test", 28),
        ("nxdomain", "nx.test", 1),
        ("nodata", "nodata.test", 65),
        ("dropped", "drop.test", 1),
        ("allowed", "let.bad.test", 1),
        ("observed", "seen.test", 16),
        ("zone", "www.corp.example", 1),
        ("zone-alias", "alias.corp.example", 28),
        ("zone-wildcard", "x.y.corp.example", 16),
        ("zone-referral", "a.sub.corp.example", 1),
        ("special", "localhost", 28),
        ("special-reverse", "1.0.0.10.in-addr.arpa", 12),
        ("any", "other.example", 255),
        ("transfer", "corp.example", 252),
    ] {
        seed(name, 0, &query(asked, qtype, 0x0100, Some(OPT)), &[]);
        seed(&format!("{name}-plain"), 1, &query(asked, qtype, 0x0110, None), &[]);
    }
    let asked = query("other.example", 1, 0x0120, Some(OPT));
    let address = record(1, 300, &[192, 0, 2, 1]);
    seed("forwarded", 0, &asked, &[&[0, 1, 0, 1], &address[..], OPT].concat());
    seed("forwarded-alias-sunk", 0, &asked, &[&[0, 1, 0, 0], &record(5, 300, &wire("www.bad.test"))[..]].concat());
    seed("forwarded-alias", 1, &asked, &[&[0, 1, 0, 0], &record(5, 300, &wire("www.test"))[..]].concat());
    seed("forwarded-nxdomain", 0, &asked, &[&[3, 0, 1, 1], &record(6, 300, &soa())[..], OPT_EDE].concat());
    seed("forwarded-long", 0, &asked, &[&[0, 120, 0, 0], &address.repeat(120)[..]].concat());
    seed("forwarded-raw", 8, &asked, &[0x12, 0x34, 0x81, 0x80, 0, 0, 0, 0, 0, 0, 0, 0]);
    seed("not-ready", 4, &asked, &[]);
    seed("not-allowed", 2, &asked, &[]);
    seed("not-allowed-notify", 2, &query("other.example", 6, 0x2000, None), &[]);
    seed("opcode", 0, &query("other.example", 6, 0x2000, None), &[]);
    seed("edns-one", 0, &query("bad.test", 1, 0x0100, Some(OPT_ONE)), &[]);
    seed("no-recursion", 0, &query("other.example", 1, 0, None), &[]);
    seed("a-response", 0, &query("other.example", 1, 0x8180, None), &[]);
    seed("short", 0, &asked[..11], &[]);
    seed("header", 0, &asked[..12], &[]);
    seed("tail", 0, &[&asked[..], b"x"].concat(), &[]);
}

fn feed_format() {
    for (number, name, text) in [
        (
            4_u8,
            "dnsmasq",
            "# Title\naddress=/a.example.com/b.example.com/0.0.0.0\naddress=/c.example.com/::1/\nlocal=/*.example.org/\n\
             server=/d.example.com/192.0.2.53\nserver=/www.a.example.com/#\naddress=/#/\naddress=/e.example.com/192.0.2.1\nport=53\n",
        ),
        (
            5,
            "unbound",
            "server:\n  local-zone: \"a.example.com\" always_nxdomain # x\n  local-data: 'a.example.com. 30 IN AAAA ::'\n\
             local-zone: b.example.com transparent\nlocal-data: \"c.example.com A 192.0.2.1\"\nlocal-zone:\"d.example.com\" static",
        ),
        (
            6,
            "bind",
            "// x\nzone \"a.example.com\" { type master; file \"null\"; };\n/* x\n*/\nzone \"b.example.com\" IN {\n type slave;\n};\n\
             options { x { y; }; };\nzone c.example.com { type primary; }; zone \"d",
        ),
        (
            7,
            "dnscrypt",
            "# x\na.example.com\n*.b.example.com\n=c.example.com # x\nads.*\n*x*\nd[0-9].example.com\ne.example.com @work\n",
        ),
        (
            8,
            "csv",
            "# x\nid;\"domain\";note\n1;a.example.com;\"x \"\"y\"\"; z\n\nz\"\n2;.b.example.com;\n3;1.2.3.4\n4\n5;c.example.com;\"open\n",
        ),
        (
            8,
            "csv-url",
            "# id,seen,url\n\"1\",\"2\",\"http://u@a.example.com:80/x?y\"\n3,4,b.example.com/z\n5,6,[2001:db8::1]\n",
        ),
        (
            9,
            "v2fly",
            "# x\ninclude:other\na.example.com @ads @!cn\ndomain:b.example.com:@ads\nfull:c.example.com # x\nkeyword:ads\nregexp:^x d$\n",
        ),
        (
            8,
            "csv-misp",
            "uuid,type,value,comment,to_ids\n1,domain,a.example.com,,1\n2,url,hxxp://b[.]example.com/,,1\n3,ip-dst,192.0.2.7,,0\n,,,,\n",
        ),
        (
            2,
            "adblock-anchors",
            "||a.test^ # x\n@@|b.a.test|\n|c.test^\n||d.test\n@@e.d.test\n|c.test^$badfilter\n0 f.test ; x\n",
        ),
        (
            1,
            "plain-defanged",
            "a[.]example[dot]com\nhxxp://b.example.com/\nc[.]example,d[.]example\ne.example#x\nf.example ; x\n",
        ),
        (
            2,
            "adblock-overrule",
            "||a.test^\n@@||a.test^\n||b.a.test^$important\n||c.test^$denyallow=d.c.test|e.c.test\n||d.c.test^\n||f.test^\n\
             ||f.test^$badfilter\n@@||g.test^$important\n||*.g.test^\n||h.test^$dnstype=A\n||h.test^$denyallow=d.c.test,badfilter\n",
        ),
        (1, "plain-commas", "a.example.com,b.example.com, =c.example.com,,x..y\na.example.com,b.example.com##.ad\n"),
        (
            0,
            "hosts",
            "# Title\n0.0.0.0 a.example.com b.example.com # why\n:: a.example.com\r\n127.0.0.1 localhost\n0 x",
        ),
        (
            1,
            "plain",
            "\u{feff}! note\nexample.com\n*.example.org\n.example.net.\nexample.com\nb\u{fc}cher.example\ncom\n10.0.0.1\n",
        ),
        (
            2,
            "adblock",
            "[Adblock Plus 2.0]\n||example.com^\n@@||let.example.com^\n||a.example^$important\n/x/\n##.ad\n",
        ),
        (
            3,
            "rpz",
            "$TTL 300\n$ORIGIN rpz.example.\n@ SOA localhost. root. (1 2\n 3 4 5 ) ; serial\n NS localhost.\n\
             bad.example.com CNAME .\n*.bad.example.com CNAME *.\nlet.example.com CNAME rpz-passthru.\n\
             gone.example.com.rpz.example. 60 IN CNAME rpz-drop.\n32.1.2.0.192.rpz-ip CNAME .\nopen.example.com ( CNAME\n",
        ),
        (
            3,
            "rpz-data",
            "$ORIGIN rpz.example.\n@ SOA . . 1 2 3 4 5\na.example.com 1h A 192.0.2.1\n AAAA 2001:db8::1\n TXT \"x\" \"\\065\"\n\
             *.a.example.com CNAME *.garden\nb.example.com MX 10 mail\n HTTPS 1 . alpn=\"h2,h3\" port=53\n CNAME .\n\
             c.example.com TYPE65280 \\# 2 aabb\nc.example.com CAA 0 issue \"ca.example\"\n24.0.2.0.192.rpz-client-ip CNAME rpz-drop.\n\
             24.0.2.0.192.rpz-client-ip A 192.0.2.1\n32.zz.db8.2001.rpz-ip A 192.0.2.1\n7.0.0.0.10.rpz-ip CNAME .\n\
             25.1.2.0.192.rpz-ip CNAME .\nd.example.com SRV 1 2 53 @\n",
        ),
    ] {
        // As the target takes it apart.
        let number = number & 3 | number >> 2 << 4;
        write("feed_format", name, &[&[number], text.as_bytes()].concat());
        write("feed_format", &format!("{name}-trusted"), &[&[number | 4], text.as_bytes()].concat());
        write("feed_format", &format!("{name}-indexed"), &[&[number | 8], text.as_bytes()].concat());
    }
    write("feed_format", "not-text", &[&[1][..], b"a\0b\xca\xfe.com\n\r\r\nx.example\n"].concat());
    write("feed_format", "long-line", &[&[0][..], &b"0.0.0.0 x.example ".repeat(500), b"\ny.example"].concat());
}

fn indicators() {
    let stix = r#"{"type":"bundle","id":"bundle--1","objects":[
{"type":"identity","id":"identity--1","name":"x"},
{"type":"indicator","id":"indicator--1","modified":"2021-01-01T00:00:00.000Z","pattern":"[domain-name:value='a.example']","confidence":70,
"valid_from":"2021-01-01T00:00:00Z","valid_until":"2030-01-01T00:00:00Z","object_marking_refs":["marking-definition--1"]},
{"type":"indicator","id":"indicator--1","modified":"2022-01-01T00:00:00.5+01:00","revoked":true,"pattern":"[domain-name:value='b.example']"},
{"type":"indicator","id":"indicator--2","pattern_type":"stix",
"pattern":"([url:value = 'http://c.example/it\\'s' OR ipv4-addr:value ISSUBSET '192.0.2.0/24'] OR [domain-name:value IN ('d.example', 'com')]) AND [file:name='x']"},
{"type":"indicator","id":"indicator--3","pattern":"[domain-name:value='e.example' OR ipv6-addr:value='2001:db8::1']",
"granular_markings":[{"marking_ref":"marking-definition--2","selectors":["pattern"]},{"lang":"en","selectors":["name"]}]},
{"type":"marking-definition","id":"marking-definition--1","definition_type":"tlp","definition":{"tlp":"green"}},
{"type":"marking-definition","id":"marking-definition--2","extensions":{"extension-definition--3a65884d-005a-4290-8335-cb2d778a83ce":
{"identifier":"asked-for","control_set":{"sensitivity":["asked-for"]},"resource_disposition":{"disposition_date":"2026-01-01T00:00:00Z"}}}}]}"#;
    let misp = r#"{"response":[{"Event":{"id":"1","Attribute":[{"type":"domain","value":"a.example","to_ids":true},
{"type":"domain|ip","value":"b.example|192.0.2.1","to_ids":"1","deleted":false,"Tag":[{"name":"tlp:amber"}]},
{"type":"ip-dst","value":"192.0.2.1","to_ids":true},{"type":"url","value":"http://c.example/x","to_ids":true},{"type":"md5","to_ids":false}],
"Object":[{"name":"x","Attribute":[{"type":"hostname","value":"d.example","to_ids":false}]}],
"Tag":[{"name":"tlp:green"},{"name":"asked-for"},{"name":"misp:confidence-level=\"usually-confident\""}]}}]}"#;
    for (name, text) in [("stix", stix), ("misp", misp)] {
        for switches in [0_u8, 2, 4, 8, 16, 31] {
            write("indicators", &format!("{name}-{switches}"), &[&[switches], text.as_bytes()].concat());
        }
        write("indicators", &format!("{name}-cut"), &[&[0], &text.as_bytes()[..text.len() - 9]].concat());
    }
    write("indicators", "deep", &[&[0], "{\"objects\":".as_bytes(), &b"[".repeat(100)].concat());
    write("indicators", "not-utf8", b"\0{\"objects\":[{\"type\":\"\xca\"}]}");
}

fn artifact_open() {
    let read = |text: &str| read_text(text.as_bytes(), TextFormat::Plain, &Terms::default()).unwrap().0;
    let names = "bad.example.com\na.bad.example.com\nwww.example.net\nexample.org\n";
    let many: String = (0..60).map(|number| format!("{}.example.com\n", char::from(b'0' + number))).collect();
    for (name, text) in [("empty", ""), ("some", names), ("wide", &many)] {
        let (one, two) = (read(text), read("example.org\nbad.example.com\n"));
        let index = Index::build(&Part::in_order(&[("one", 1, Kept::New(&one)), ("two", 2, Kept::New(&two))])).unwrap();
        let mut file = Vec::new();
        index.write(&mut file).unwrap();
        write("artifact_open", &format!("file-{name}"), &[&[0], &file[..]].concat());
        // The sections lie in the order of their kinds, each behind sixteen octets; a map has 16 octets in front of its nodes and 20 behind.
        let mut at = 20;
        for (kind, skipped) in [(2_u8, (0, 0)), (3, (0, 0)), (1, (16, 20))] {
            let length = usize::try_from(u64::from_be_bytes(file[at + 8..at + 16].try_into().unwrap())).unwrap();
            let section = &file[at + 16 + skipped.0..at + 16 + length - skipped.1];
            let keys: &[u8] = if kind == 1 { &[4] } else { &[] };
            write("artifact_open", &format!("section-{kind}-{name}"), &[&[kind], keys, section].concat());
            at += 16 + length;
        }
    }
    let zone = "bad.example.com CNAME .\nwww.example.net A 192.0.2.1\n*.example.org CNAME *.garden.example.\n24.0.2.0.192.rpz-ip CNAME .\n\
                32.1.2.0.192.rpz-ip A 192.0.2.1\n32.zz.db8.2001.rpz-client-ip CNAME rpz-drop.\n";
    let (sorted, _) = read_text(zone.as_bytes(), TextFormat::Rpz, &Terms::default()).unwrap();
    let index = Index::build(&Part::in_order(&[("zone", 6, Kept::New(&sorted))])).unwrap();
    let mut file = Vec::new();
    index.write(&mut file).unwrap();
    write("artifact_open", "file-rpz", &[&[0], &file[..]].concat());
    let mut at = 20;
    while at < file.len() {
        let kind = u32::from_be_bytes(file[at..at + 4].try_into().unwrap());
        let length = usize::try_from(u64::from_be_bytes(file[at + 8..at + 16].try_into().unwrap())).unwrap();
        // NETWORKS and RECORDS; the target numbers them 4 and 5.
        if let Some(number @ 4..) = kind.checked_sub(1).and_then(|number| u8::try_from(number).ok()) {
            write(
                "artifact_open",
                &format!("section-{number}-rpz"),
                &[&[number], &file[at + 16..at + 16 + length]].concat(),
            );
        }
        at += 16 + length;
    }
}

fn index_model() {
    let mut state = 1_u32;
    let mut octets = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state.to_be_bytes()
    };
    for (name, operations) in [("none", 0), ("one", 1), ("few", 8), ("many", 64)] {
        write("index_model", name, &std::iter::repeat_with(&mut octets).take(operations).flatten().collect::<Vec<_>>());
    }
    // One feed lists a name and everything below, another only below, a third cancels inside.
    write("index_model", "nested", &[0, 2, 0, 8, 1, 18, 0, 8, 20, 3, 0, 8, 20, 4, 0, 8, 0, 5, 0, 8]);
}

fn upstream_reply() {
    let seed = |name: &str, switches: u8, choice: u8, code: u8, counts: [u8; 3], records: &[u8]| {
        let question = query("wWw.example", 1, 0x8180 | u16::from(code), None);
        let mut octets = [&[switches, choice], &question[..]].concat();
        for (section, count) in counts.into_iter().enumerate() {
            octets[9 + 2 * section] = count;
        }
        octets.extend_from_slice(records);
        write("upstream_reply", name, &octets);
    };
    let address = record(1, 300, &[192, 0, 2, 1]);
    let alias = record(5, 100_000, b"\x03cdn\xc0\x10");
    let other = [&wire("a.example")[..], &address[2..]].concat();
    seed("address", 7, 8, 0, [1, 0, 1], &[&address[..], OPT].concat());
    seed("address-not-ours", 0, 8, 0, [1, 0, 0], &address);
    seed("other-letters", 5, 0, 0, [1, 0, 0], &address);
    seed("other-socket", 15, 0, 0, [1, 0, 0], &address);
    seed("alias", 7, 8, 0, [2, 0, 0], &[&alias[..], &address].concat());
    seed("nxdomain", 7, 0x28, 3, [0, 1, 1], &[&record(6, 900, &soa())[..], OPT].concat());
    seed("nodata", 7, 1, 0, [0, 1, 0], &record(6, 0x8000_0000, &soa()));
    seed("opt-in-the-middle", 7, 8, 0, [1, 0, 2], &[&address[..], OPT_EDE, &other].concat());
    seed("servfail-ede", 7, 8, 2, [0, 0, 1], OPT_EDE);
    seed("formerr", 7, 8, 1, [0, 0, 0], &[]);
    seed("long", 7, 8, 0, [200, 0, 20], &address.repeat(220));
    seed("root", 7, 0x8e, 0, [1, 0, 0], &[&[0][..], &record(2, 60, b"\x01a\0")[2..]].concat());
    seed("https", 7, 4, 0, [1, 0, 0], &record(65, 60, b"\0\x01\0\0\x01\0\x03\x02h2"));
    write("upstream_reply", "header", &[1, 8, 0, 0, 0x81, 0x81, 0, 0, 0, 0, 0, 0, 0, 0]);
}

fn proxy_header() {
    let seed = |name: &str, switches: u8, octets: &[u8]| write("proxy_header", name, &[&[switches], octets].concat());
    let asked = query("bad.test", 1, 0x0100, None);
    let header =
        |front: &[u8], block: &[u8]| [front, &u16::try_from(block.len()).unwrap().to_be_bytes(), block].concat();
    let (four, six) = ([192, 0, 2, 9, 192, 0, 2, 53, 212, 49, 0, 53], [0x20; 36]);
    for (name, front, block) in [
        ("udp-ipv4", [0x21, 0x12], &four[..]),
        ("tcp-ipv4", [0x21, 0x11], &four),
        ("udp-ipv6", [0x21, 0x22], &six),
        ("tcp-ipv6", [0x21, 0x21], &six),
        ("with-a-tlv", [0x21, 0x12], &[&four[..], &[0xe0, 0, 1, 7]].concat()),
        ("local", [0x20, 0], &[]),
        ("local-with-addresses", [0x20, 0x12], &four),
        ("unspecified", [0x21, 0], &[]),
        ("unix", [0x21, 0x31], &[0; 216]),
        ("no-command", [0x22, 0x12], &four),
        ("version-3", [0x31, 0x12], &four),
        ("short-block", [0x21, 0x22], &four),
        ("longest", [0x20, 0], &[1; 520]),
        ("too-long", [0x20, 0], &[1; 521]),
    ] {
        let octets = [&header(&front, block)[..], &asked].concat();
        seed(name, 2, &octets);
        seed(&format!("{name}-stranger"), 3, &octets);
    }
    seed("cut-short", 2, &header(&[0x21, 0x12], &four)[..9]);
    seed("query", 0, &asked);
    seed("query-stranger", 1, &asked);
    seed("version-1", 0, b"PROXY TCP4 192.0.2.9 192.0.2.53 54321 53\r\n");
    seed("version-1-stranger", 1, b"PROXY UNKNOWN\r\n");
}

fn main() {
    proxy_header();
    respond();
    feed_format();
    artifact_open();
    index_model();
    indicators();
    upstream_reply();
}
