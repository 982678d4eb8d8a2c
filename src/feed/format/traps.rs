//! What published lists hold that is not a clean line, trap by trap: what is taken, and how its lines are counted. Found in 224 list files of
//! 12.4 million clean entries; a parser's own tests have the rest of its format.

use super::TextFormat::{self, Adblock, Bind, Csv, Dnscrypt, Dnsmasq, Hosts, Plain, Rpz, Unbound};
use super::read_text;
use super::tests::entries;
use crate::feed::Terms;

/// A trap: what it is called, in which format, the lines, what is taken of them, and where they went that are not used.
type Trap = (&'static str, TextFormat, &'static [u8], &'static [&'static str], &'static str);

/// Every trap.
const TRAPS: &[Trap] = &[
    ("IPv4 among domains", Plain, b"109.201.135.46\n*.1.12.232.254\na.test\n", &["a.test"], "2 address"),
    ("IPv4 among domains", Adblock, b"||109.201.135.46^\n||a.test^\n", &["a.test"], "1 address"),
    ("IPv4 among domains", Rpz, b"109.201.135.46 CNAME .\na.test CNAME .\n", &["=a.test Nxdomain"], "1 address"),
    (
        "IPv6, networks, ports",
        Plain,
        b"2001:148f:fffe::1\n103.114.104.194/31\n47.106.91.17:9999\n",
        &[],
        "2 address, 1 cidr",
    ),
    ("a dot in front", Plain, b".id.google.ac\n", &["id.google.ac"], ""),
    ("a dot in front", Dnsmasq, b"address=/.id.google.ac/\n", &["id.google.ac"], ""),
    ("`*.`: the name too", Plain, b"*.2mdn.net\n", &["2mdn.net"], ""),
    ("`*.`: the name too", Hosts, b"0.0.0.0 *.2mdn.net\n", &["2mdn.net"], ""),
    ("`*.`: the name too", Dnscrypt, b"*.2mdn.net\n", &["2mdn.net"], ""),
    ("`*.`: the name too", Csv, b"domain\n*.2mdn.net\n", &["2mdn.net"], "1 header"),
    ("`*.`: below the name", Dnsmasq, b"address=/*.2mdn.net/\n", &["*.2mdn.net"], ""),
    ("`*.`: below the name", Adblock, b"||*.2mdn.net^\n", &["*.2mdn.net"], ""),
    ("`*.`: below the name", Rpz, b"*.2mdn.net CNAME .\n", &["*.2mdn.net Nxdomain"], ""),
    ("`*` elsewhere", Plain, b"array*-prod.do.dsp.mp.microsoft.com\n", &[], "1 wildcard"),
    ("`*` elsewhere", Adblock, b"||array*-prod.do.dsp.mp.microsoft.com^\n", &[], "1 wildcard"),
    ("`*` elsewhere", Dnscrypt, b"ads.*\n", &[], "1 wildcard"),
    ("$all", Adblock, b"||a.test^$all\n", &["a.test"], ""),
    (
        "$popup, $document, $domain",
        Adblock,
        b"||a.test^$popup\n||b.test^$document\n||top^$domain=~caitlin.top|~x.top\n",
        &[],
        "3 modifier",
    ),
    ("$badfilter", Adblock, b"||a.test^\n||b.test^\n||a.test^$badfilter\n", &["a.test Cancel", "b.test"], "1 header"),
    ("$badfilter of nothing", Adblock, b"||amazonaws.com^$badfilter\n", &[], "1 header"),
    ("$dnstype", Adblock, b"||a.test^$dnstype=AAAA\n", &[], "1 dnstype"),
    ("$denyallow", Adblock, b"||a.test^$denyallow=b.a.test\n", &["a.test", "b.a.test Cancel"], ""),
    ("$important", Adblock, b"@@||a.test^\n||a.test^$important\n", &["a.test"], ""),
    ("@@", Adblock, b"@@||example.com^\n", &["example.com Cancel"], ""),
    ("regex", Adblock, br"/^1\.10\.(3[01])/", &[], "1 regex"),
    ("cosmetic", Adblock, b"site.com##+js(x)\n", &[], "1 cosmetic"),
    ("cosmetic", Plain, b"site.com##+js(x)\nsite.com,other.com##.ad\n", &[], "2 character"),
    ("path rules", Adblock, b"||rentry.co^frame\n", &[], "1 path"),
    ("`||d` without `^`", Adblock, b"||get-me-wow.\n", &[], "1 prefix"),
    ("dnsmasq: an address among the names", Dnsmasq, b"address=/x.com/::1/\n", &["x.com"], "1 name"),
    ("dnsmasq: server=", Dnsmasq, b"server=/0001.xin/114.114.114.114\nserver=/s.sh/\n", &["s.sh"], "1 forwarding"),
    ("CRLF", Plain, b"a.test\r\n# x\r\n\r\n", &["a.test"], "2 comment"),
    ("CRLF", Csv, b"domain,x\r\na.test,1\r\n", &["a.test"], "1 header"),
    ("CRLF", Bind, b"zone \"a.test\" {\r\n type master;\r\n};\r\n", &["a.test"], "2 comment"),
    ("not UTF-8", Plain, b"a.test\xca\nb.test\n", &["b.test"], "1 not-utf8"),
    ("byte order mark", Plain, b"\xef\xbb\xbf# Title\na.test\n", &["a.test"], "1 comment"),
    ("byte order mark", Adblock, b"\xef\xbb\xbf||a.test^\n", &["a.test"], ""),
    ("no newline at the end", Plain, b"a.test\nb.test", &["a.test", "b.test"], ""),
    ("no newline at the end", Unbound, b"local-zone: \"a.test\" static", &["a.test"], ""),
    (
        "Unicode",
        Plain,
        "disçordapp.com\nгород-сад.agency\n".as_bytes(),
        &["xn--disordapp-s3a.com", "xn----8sbhec0dapm.agency"],
        "",
    ),
    ("punycode that IDNA refuses", Plain, b"xn--4x6-jgq.adj.st\n", &["xn--4x6-jgq.adj.st"], ""),
    ("`--` in places 3 and 4", Plain, b"r1---sn-i3b7kn7s.googlevideo.com\n", &["r1---sn-i3b7kn7s.googlevideo.com"], ""),
    ("underscore", Hosts, b"0.0.0.0 119_51377620.ampnetwork.net\n", &["119_51377620.ampnetwork.net"], ""),
    ("a hyphen at the end of a label", Plain, b"aftr-88-152-.tumblr.com\n", &["aftr-88-152-.tumblr.com"], ""),
    ("capitals", Plain, b"sO.2mdn.net\nso.2mdn.net\n", &["so.2mdn.net"], "1 duplicate"),
    ("a dot at the end", Plain, b"a.test.\n", &["a.test"], ""),
    ("a dot at the end", Unbound, b"local-zone: \"a.test.\" static\n", &["a.test"], ""),
    ("a dot at the end", Rpz, b"abbp1.science. CNAME .\n", &[], "1 out-of-zone"),
    ("an empty label", Plain, b"zec-asia1..nanopool.org\n", &[], "1 empty-label"),
    (
        "a label over 63",
        Plain,
        b"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.test\na.test\n",
        &["a.test"],
        "1 label-too-long",
    ),
    ("port", Plain, b"example.com:8080\n", &[], "1 port"),
    ("URL", Plain, b"http://x.com/\n", &[], "1 url"),
    ("URL", Rpz, b"http://x.com/ CNAME .\n", &[], "1 url"),
    ("URL, where the format says so", Csv, b"id,url\n1,http://x.com/y\n", &["=x.com"], "1 header"),
    ("path", Hosts, b"0.0.0.0 javmovie.com/\n", &[], "1 path"),
    ("a space in a name", Plain, b"url s.ixiaa.com\n", &[], "1 syntax"),
    ("an escape in a name", Plain, br"194.58.122.146\032stratum.aikapool.com", &[], "1 character"),
    ("a comment behind", Hosts, b"127.0.0.1 localhost #[IPv4]\n", &[], "1 boilerplate"),
    ("a comment behind", Plain, b"178linux.com # seen\n", &["178linux.com"], ""),
    ("a comment behind", Dnsmasq, b"local=/178linux.com/ # seen\n", &["178linux.com"], ""),
    ("TLD", Rpz, b"country CNAME .\n", &[], "1 tld"),
    ("TLD", Plain, b".abb\n", &[], "1 tld"),
    ("TLD", Dnsmasq, b"server=/cn/\nserver=/cn/114.114.114.114\n", &[], "1 forwarding, 1 tld"),
    ("one label", Hosts, b"0.0.0.0 inf\n", &[], "1 single-label"),
    ("public suffix", Plain, b"ce.gov.br\ngob.mx\n", &[], "2 public-suffix"),
    ("public suffix", Adblock, b"||net.bw^\n", &[], "1 public-suffix"),
    ("public suffix, private", Plain, b"cloudfront.net\ncsb.app\n", &["csb.app", "cloudfront.net"], "2 private"),
    ("public suffix, private", Adblock, b"||ru.com^$all\n", &["ru.com"], "1 private"),
    ("apex of a known site", Plain, b"carfax.com\n", &["carfax.com"], ""),
    ("unknown TLD", Plain, b"x.bazar\nx.bit\nx.comundefined\n", &["x.bit", "x.bazar", "x.comundefined"], ""),
    (
        "hosts boilerplate",
        Hosts,
        b"127.0.0.1 local\n255.255.255.255 broadcasthost\nfe80::1%lo0 localhost\n",
        &[],
        "3 boilerplate",
    ),
    (
        "RPZ headers",
        Rpz,
        b"@ SOA a. b. (\n 1 6h\n 1h 1w 2h )\n NS localhost.\na.test CNAME .\n",
        &["=a.test Nxdomain"],
        "4 header",
    ),
    (
        "RPZ triggers",
        Rpz,
        b"32.1.7.168.192.rpz-ip CNAME .\nx.rpz-nsdname CNAME .\n32.1.2.0.192.rpz-client-ip CNAME .\n",
        &["Client 192.0.2.1/32 Nxdomain", "Answer 192.168.7.1/32 Nxdomain"],
        "1 unsupported-trigger",
    ),
    ("duplicates", Hosts, b"0.0.0.0 a.test\n:: a.test\n", &["a.test"], "1 duplicate"),
    ("many names on one line", Plain, b"a.test,b.test,com\n", &["a.test", "b.test"], "1 name"),
    ("nothing", Plain, b"", &[], ""),
    ("bare CR, NUL", Plain, b"a.test\rb.test\na\0b.test\n", &[], "1 character, 1 syntax"),
];

#[test]
fn trap_by_trap() {
    for (trap, format, text, want, counts) in TRAPS {
        let (sorted, report) = read_text(*text, *format, &Terms::default()).unwrap();
        assert!(report.balanced(), "{trap}, {format:?}: {report:?}");
        assert_eq!(entries(&sorted), *want, "{trap}, {format:?}");
        let other = [
            (report.comment, "comment"),
            (report.header, "header"),
            (report.duplicate, "duplicate"),
            (report.names_refused, "name"),
            (report.private_suffixes, "private"),
        ];
        let refused = report.refusals().map(|(reason, count)| (count, reason.label()));
        let mut found: Vec<String> = other
            .into_iter()
            .chain(refused)
            .filter(|(count, _)| *count > 0)
            .map(|(count, what)| format!("{count} {what}"))
            .collect();
        let mut counts: Vec<&str> = counts.split(", ").filter(|count| !count.is_empty()).collect();
        found.sort_unstable();
        counts.sort_unstable();
        assert_eq!(found, counts, "{trap}, {format:?}");
    }
}

#[test]
fn a_line_that_is_too_long_is_refused_and_the_rest_is_read() {
    let long = "a.test,".repeat(super::super::LINE_OCTETS_MAX / 7 + 1);
    for (format, line) in [
        (Hosts, "0.0.0.0 b.test"),
        (Plain, "b.test"),
        (Adblock, "||b.test^"),
        (Rpz, "b.test CNAME ."),
        (Dnsmasq, "local=/b.test/"),
        (Unbound, "local-zone: b.test static"),
        (Bind, "zone b.test { type master; };"),
        (Dnscrypt, "b.test"),
        (Csv, "domain\nb.test"),
    ] {
        let (sorted, report) = read_text(format!("{long}\n{line}").as_bytes(), format, &Terms::default()).unwrap();
        assert_eq!((sorted.len(), report.refused[crate::feed::Reason::LineTooLong as usize]), (1, 1), "{format:?}");
        assert!(report.balanced(), "{format:?}: {report:?}");
    }
}
