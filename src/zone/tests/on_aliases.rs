//! CNAMEs: where they lead, what their end says, and how far they are followed.

use super::*;

/// A zone of aliases, some of which lead to [`B`] and to special names.
const A: &str = "\
$TTL 300
@ 600 SOA ns h 7 3600 600 86400 60
www A 192.0.2.3
gone CNAME missing
upper CNAME WWW
Ring CNAME ring.B.example.
self CNAME self
*.w CNAME www
via CNAME x.w
viamissing CNAME x.wm
*.wm CNAME missing
*.round CNAME x.round
sub NS ns.b.example.
below CNAME x.sub
there CNAME www.b.example.
nothere CNAME gone.b.example.
away CNAME h.sub.b.example.
cut CNAME sub.b.example.
back CNAME back.b.example.
far CNAME far.b.example.
post CNAME b.example.
down CNAME www.child
www.child A 192.0.2.99
local CNAME x.localhost.
ptr CNAME 1.0.0.127.in-addr.arpa.
hidden CNAME x.onion.
arpa CNAME home.arpa.
fwd CNAME x.d.f.ip6.arpa.
";
/// A zone whose SOA's TTL is under its minimum.
const B: &str = "\
$TTL 300
@ 30 SOA ns h 7 3600 600 86400 900
@ NS ns
@ MX 10 www
ns A 192.0.2.11
www A 192.0.2.12
ring CNAME ring.a.example.
back CNAME www.a.example.
far CNAME www.example.org.
sub NS ns.sub
ns.sub A 192.0.2.13
";

/// Asks with and without EDNS and DO, which must change nothing, and gives [`line`].
fn line_of(zones: &Zones, qname: &str, qtype: u16) -> String {
    let [plain, signed] = [None, Some(1232)].map(|edns| {
        let (_, octets) = ask_raw(zones, &packet(qname, qtype, edns), 1232).unwrap();
        line(&Message::from_vec(&octets).unwrap())
    });
    assert_eq!(plain, signed, "{qname} type {qtype}, with DO set");
    plain
}

/// [`A`], [`B`] and a zone below the first; one special name is left to be forwarded.
fn alias_zones() -> Zones {
    let folder = tempfile::tempdir().unwrap();
    let child = "$TTL 300\n@ SOA n h 1 2 3 4 5\nwww A 192.0.2.21\n";
    let others = [("a.example", A), ("b.example", B), ("child.a.example", child)];
    let config = forwarding(&["d.f.ip6.arpa"]);
    zones_with(folder.path(), &others, config).unwrap()
}

/// One of the aliases of [`A`], as [`line`] tells it.
fn cname(from: &str, to: &str) -> String {
    format!("{from}.a.example. 300 CNAME {to}")
}

const NO: &str = "No Error aa";
const NX: &str = "Non-Existent Domain aa";
const SOA_A: &str = "a.example. 60 SOA ns.a.example. h.a.example. 7 3600 600 86400 60";
const SOA_B: &str = "b.example. 30 SOA ns.b.example. h.b.example. 7 3600 600 86400 900";

#[test]
fn an_alias_is_followed_in_its_zone() {
    let zones = alias_zones();
    for (qname, qtype, want) in [
        // The response code is the last name's (RFC 6604 §3), and so is the SOA (RFC 2308 §2.1, §2.2).
        ("gone", 1, format!("{NX} | {} | {SOA_A} | ", cname("gone", "missing.a.example."))),
        ("upper", 15, format!("{NO} | {} | {SOA_A} | ", cname("upper", "WWW.a.example."))),
        // ANY and CNAME are answered with the alias itself.
        ("gone", 255, format!("{NO} | {} |  | ", cname("gone", "missing.a.example."))),
        ("gone", 5, format!("{NO} | {} |  | ", cname("gone", "missing.a.example."))),
        // Wildcards on the way.
        (
            "via",
            1,
            format!(
                "{NO} | {}, {}, www.a.example. 300 A 192.0.2.3 |  | ",
                cname("via", "x.w.a.example."),
                cname("x.w", "www.a.example.")
            ),
        ),
        (
            "viamissing",
            1,
            format!(
                "{NX} | {}, {} | {SOA_A} | ",
                cname("viamissing", "x.wm.a.example."),
                cname("x.wm", "missing.a.example.")
            ),
        ),
        // Circles.
        ("self", 1, format!("{NO} | {} |  | ", cname("self", "self.a.example."))),
        (
            "y.round",
            1,
            format!(
                "{NO} | {}, {} |  | ",
                cname("y.round", "x.round.a.example."),
                cname("x.round", "x.round.a.example.")
            ),
        ),
        (
            "ring",
            1,
            format!("{NO} | {}, ring.b.example. 300 CNAME ring.a.example. |  | ", cname("Ring", "ring.B.example.")),
        ),
    ] {
        assert_eq!(line_of(&zones, &format!("{qname}.a.example"), qtype), want, "{qname} type {qtype}");
    }
}

#[test]
fn an_alias_is_followed_into_other_zones() {
    let zones = alias_zones();
    for (qname, qtype, want) in [
        // Another zone, and back.
        ("there", 1, format!("{NO} | {}, www.b.example. 300 A 192.0.2.12 |  | ", cname("there", "www.b.example."))),
        ("there", 28, format!("{NO} | {} | {SOA_B} | ", cname("there", "www.b.example."))),
        ("nothere", 1, format!("{NX} | {} | {SOA_B} | ", cname("nothere", "gone.b.example."))),
        (
            "back",
            28,
            format!(
                "{NO} | {}, back.b.example. 300 CNAME www.a.example. | {SOA_A} | ",
                cname("back", "back.b.example.")
            ),
        ),
        (
            "post",
            15,
            format!(
                "{NO} | {}, b.example. 300 MX 10 www.b.example. |  | www.b.example. 300 A 192.0.2.12",
                cname("post", "b.example.")
            ),
        ),
        ("post", 6, format!("{NO} | {}, {SOA_B} | b.example. 300 NS ns.b.example. | ", cname("post", "b.example."))),
        // The zone below, though the one above has the name too.
        (
            "down",
            1,
            format!("{NO} | {}, www.child.a.example. 300 A 192.0.2.21 |  | ", cname("down", "www.child.a.example.")),
        ),
        // Referrals (RFC 1034 §4.3.2 step 3b); AA is the first name's.
        ("below", 1, format!("{NO} | {} | sub.a.example. 300 NS ns.b.example. | ", cname("below", "x.sub.a.example."))),
        (
            "away",
            1,
            format!(
                "{NO} | {} | sub.b.example. 300 NS ns.sub.b.example. | ns.sub.b.example. 300 A 192.0.2.13",
                cname("away", "h.sub.b.example.")
            ),
        ),
        (
            "cut",
            2,
            format!(
                "{NO} | {} | sub.b.example. 300 NS ns.sub.b.example. | ns.sub.b.example. 300 A 192.0.2.13",
                cname("cut", "sub.b.example.")
            ),
        ),
        ("cut", 43, format!("{NO} | {} | {SOA_B} | ", cname("cut", "sub.b.example."))),
    ] {
        assert_eq!(line_of(&zones, &format!("{qname}.a.example"), qtype), want, "{qname} type {qtype}");
    }
}

#[test]
fn an_alias_may_lead_out_or_to_a_special_name() {
    let zones = alias_zones();
    let special = |apex: &str| format!("{apex} 10800 SOA {apex} nobody.invalid. 1 3600 1200 604800 10800");
    for (qname, qtype, want) in [
        // Out of all zones.
        (
            "far",
            1,
            format!("{NO} | {}, far.b.example. 300 CNAME www.example.org. |  | ", cname("far", "far.b.example.")),
        ),
        ("fwd", 1, format!("{NO} | {} |  | ", cname("fwd", "x.d.f.ip6.arpa."))),
        // Special names end a chain as they answer.
        ("local", 1, format!("{NO} | {}, x.localhost. 10800 A 127.0.0.1 |  | ", cname("local", "x.localhost."))),
        ("local", 28, format!("{NO} | {}, x.localhost. 10800 AAAA ::1 |  | ", cname("local", "x.localhost."))),
        ("local", 15, format!("{NO} | {} | {} | ", cname("local", "x.localhost."), special("localhost."))),
        ("hidden", 1, format!("{NX} | {} | {} | ", cname("hidden", "x.onion."), special("onion."))),
        ("arpa", 6, format!("{NO} | {}, {} |  | ", cname("arpa", "home.arpa."), special("home.arpa."))),
        ("arpa", 2, format!("{NO} | {}, home.arpa. 10800 NS home.arpa. |  | ", cname("arpa", "home.arpa."))),
        // The DS of a publicly delegated special name is its parent's to say, and that is not here.
        ("arpa", 43, format!("{NO} | {} |  | ", cname("arpa", "home.arpa."))),
        (
            "ptr",
            12,
            format!(
                "{NO} | {}, 1.0.0.127.in-addr.arpa. 10800 PTR localhost. |  | ",
                cname("ptr", "1.0.0.127.in-addr.arpa.")
            ),
        ),
    ] {
        assert_eq!(line_of(&zones, &format!("{qname}.a.example"), qtype), want, "{qname} type {qtype}");
    }
}

#[test]
fn a_chain_is_bounded_over_all_zones() {
    let folder = tempfile::tempdir().unwrap();
    // c1 to c4 are in one zone, c5 on in the other: c9, where the chain from c1 leads, is CHAIN_MAX aliases away.
    let links = |range: std::ops::Range<usize>| -> String {
        let zone = |link: usize| if link < 5 { "p.example." } else { "q.example." };
        range.map(|link| format!("c{link} CNAME c{}.{}\n", link + 1, zone(link + 1))).collect()
    };
    let soa = "$TTL 300\n@ SOA n h 1 2 3 4 5\n";
    let (p, q) = (format!("{soa}{}", links(0..5)), format!("{soa}{}c9 A 192.0.2.1\n", links(5..9)));
    let zones = zones_with(folder.path(), &[("p.example", &p), ("q.example", &q)], Config::default()).unwrap();
    let negative = "q.example. 5 SOA n.q.example. h.q.example. 1 2 3 4 5";
    for (qname, qtype, aliases, records, authority) in [
        ("c2.p.example", 1, places::CHAIN_MAX - 1, 1, ""),
        ("c1.p.example", 1, places::CHAIN_MAX, 1, ""),
        ("c1.p.example", 28, places::CHAIN_MAX, 0, negative),
        // One more: the reply ends with an alias, and whoever asked may go on from there.
        ("c0.p.example", 1, places::CHAIN_MAX, 0, ""),
        ("c0.p.example", 28, places::CHAIN_MAX, 0, ""),
    ] {
        let got = line_of(&zones, qname, qtype);
        let counts = (got.matches(" CNAME ").count(), got.matches(" A ").count());
        assert_eq!(counts, (aliases, records), "{qname} type {qtype}: {got}");
        assert!(got.starts_with("No Error aa") && got.ends_with(&format!("| {authority} | ")), "{got}");
    }
}
