//! What is answered here with authority: the operator's zones and the special names; before policy, never forwarded, longest match.

use hickory_proto::op::ResponseCode;

use crate::harness::{Ask, BOTH, House, Plan, Reply, Upstream, Via, upstream};

const CORP: &str = "\
$TTL 300
@ SOA ns hostmaster 7 3600 600 86400 60
@ NS ns
ns A 192.0.2.2
www A 192.0.2.3
deep.lab A 192.0.2.4
gone CNAME missing
mail CNAME www
there CNAME www.lab
notthere CNAME gone.lab
out CNAME www.example.org.
";
const LAB: &str = "@ 300 SOA ns hostmaster 7 3600 600 86400 60\n@ 300 NS ns\nns 300 A 192.0.2.5\nwww 300 A 192.0.2.6\n";

/// A server with a zone and one below it; its feed lists all of it, and more.
fn house(special: &str) -> (House, Upstream) {
    let upstream = Upstream::start();
    let plan = Plan::new().upstreams(&[&upstream]).zone("corp.test", CORP).zone("lab.corp.test", LAB);
    let plan = plan.feed("ads", "corp.test\nwww.lab.corp.test\nbox.home.arpa\n").key("special-names", special);
    (plan.start(), upstream)
}

#[test]
fn a_zone_is_answered_with_authority_and_before_policy() {
    let (house, upstream) = house("enabled = true");
    for (name, want, address) in [
        ("www.corp.test", ResponseCode::NoError, Some([192, 0, 2, 3])),
        ("WWW.Corp.Test", ResponseCode::NoError, Some([192, 0, 2, 3])),
        ("gone.corp.test", ResponseCode::NXDomain, None),
        ("corp.test", ResponseCode::NoError, None),
        ("www.lab.corp.test", ResponseCode::NoError, Some([192, 0, 2, 6])),
        ("gone.lab.corp.test", ResponseCode::NXDomain, None),
        // The longest match decides, though the zone above has it.
        ("deep.lab.corp.test", ResponseCode::NXDomain, None),
    ] {
        for via in BOTH {
            let reply = house.ask(via, &Ask::a(name).edns(1232));
            let flags = &reply.message.metadata;
            let got = (reply.rcode(), reply.addresses());
            assert_eq!(got, (want, address.map(Into::into).into_iter().collect()), "{name} {via:?} {reply:?}");
            assert!(flags.authoritative && !flags.authentic_data, "{name} {via:?} {reply:?}");
            assert_eq!(reply.message.authorities.is_empty(), address.is_some(), "{name} {via:?} {reply:?}");
        }
    }
    assert!(house.a("corp.test.other.example").is_upstreams());
    assert_eq!(upstream.asked().len(), 1);
}

#[test]
fn an_alias_ends_where_the_zones_end() {
    let (house, upstream) = house("enabled = true");
    for (name, qtype, want, answers, authorities) in [
        ("gone.corp.test", "A", ResponseCode::NXDomain, 1, 1),
        ("mail.corp.test", "MX", ResponseCode::NoError, 1, 1),
        ("there.corp.test", "A", ResponseCode::NoError, 2, 0),
        ("notthere.corp.test", "A", ResponseCode::NXDomain, 1, 1),
        ("out.corp.test", "A", ResponseCode::NoError, 1, 0),
    ] {
        for via in BOTH {
            let reply = house.ask(via, &Ask::new(name, qtype));
            let got = (reply.rcode(), reply.message.answers.len(), reply.message.authorities.len());
            assert_eq!(got, (want, answers, authorities), "{name} {via:?} {reply:?}");
            assert!(reply.message.metadata.authoritative, "{name} {via:?} {reply:?}");
        }
    }
    assert!(upstream.asked().is_empty(), "an alias that leads out is not followed");
}

#[test]
fn special_names_stay_here() {
    let (house, upstream) = house("enabled = true");
    for (name, qtype, want, answers) in [
        ("localhost", "A", ResponseCode::NoError, 1),
        ("x.localhost", "AAAA", ResponseCode::NoError, 1),
        ("localhost", "MX", ResponseCode::NoError, 0),
        ("x.invalid", "A", ResponseCode::NXDomain, 0),
        ("facebookcorewwwi.onion", "A", ResponseCode::NXDomain, 0),
        ("home.arpa", "SOA", ResponseCode::NoError, 1),
        ("box.home.arpa", "A", ResponseCode::NXDomain, 0),
        ("1.0.0.10.in-addr.arpa", "PTR", ResponseCode::NXDomain, 0),
        ("9.31.16.172.in-addr.arpa", "PTR", ResponseCode::NXDomain, 0),
        ("1.0.0.127.in-addr.arpa", "PTR", ResponseCode::NoError, 1),
        ("_dns.resolver.arpa", "SVCB", ResponseCode::NoError, 0),
    ] {
        for via in BOTH {
            let reply = house.ask(via, &Ask::new(name, qtype));
            assert_eq!((reply.rcode(), reply.message.answers.len()), (want, answers), "{name} {via:?} {reply:?}");
            assert!(reply.message.metadata.authoritative, "{name} {via:?} {reply:?}");
        }
    }
    assert!(upstream.asked().is_empty(), "none is forwarded");
}

#[test]
fn special_names_are_switchable() {
    for (key, here) in [("forward = ['home.arpa']", true), ("enabled = false", false)] {
        let (house, upstream) = house(key);
        assert_eq!(house.a("x.onion").rcode() == ResponseCode::NXDomain, here, "{key}");
        assert!(house.a("box.home.arpa").is_sunk(), "{key}: now policy has its say");
        assert!(house.a("tea.home.arpa").is_upstreams() && upstream.seen("tea.home.arpa") == 1, "{key}");
        assert_eq!(house.a("www.corp.test").addresses().len(), 1, "{key}: zones stay");
    }
}

/// A zone's records as they are told: owner and data.
fn told(reply: &Reply) -> Vec<String> {
    let records = reply.message.answers.iter().chain(&reply.message.authorities).chain(&reply.message.additionals);
    records.map(|record| format!("{} {} {}", record.name, record.record_type(), record.data)).collect()
}

#[test]
fn an_upstreams_alias_that_leads_into_an_own_zone_has_the_zones_data() {
    let upstream = Upstream::start();
    let plan = Plan::new().upstreams(&[&upstream]).zone("corp.test", CORP).zone("lab.corp.test", LAB);
    let house = plan.feed("ads", "listed.test\n").start();
    const SOA: &str = "SOA ns.corp.test. hostmaster.corp.test. 7 3600 600 86400 60";
    const LAB_SOA: &str = "SOA ns.lab.corp.test. hostmaster.lab.corp.test. 7 3600 600 86400 60";
    for (name, qtype, want, records) in [
        ("alias-www-corp-test", "A", ResponseCode::NoError, vec!["www.corp.test. A 192.0.2.3".to_owned()]),
        ("alias-www-corp-test", "AAAA", ResponseCode::NoError, vec![format!("corp.test. {SOA}")]),
        ("alias-none-corp-test", "A", ResponseCode::NXDomain, vec![format!("corp.test. {SOA}")]),
        (
            "alias-mail-corp-test",
            "A",
            ResponseCode::NoError,
            vec!["mail.corp.test. CNAME www.corp.test.".to_owned(), "www.corp.test. A 192.0.2.3".to_owned()],
        ),
        (
            "alias-notthere-corp-test",
            "A",
            ResponseCode::NXDomain,
            vec!["notthere.corp.test. CNAME gone.lab.corp.test.".to_owned(), format!("lab.corp.test. {LAB_SOA}")],
        ),
        ("alias-out-corp-test", "A", ResponseCode::NoError, vec!["out.corp.test. CNAME www.example.org.".to_owned()]),
    ] {
        // Twice: out of the cache, too.
        for via in BOTH.iter().chain(&BOTH) {
            let asked = format!("{name}.fine.test");
            let reply = house.ask(*via, &Ask::new(&asked, qtype).edns(1232));
            let target = name.strip_prefix("alias-").unwrap().replace('-', ".");
            let got = told(&reply);
            let want_all: Vec<_> =
                std::iter::once(format!("{asked}. CNAME {target}.")).chain(records.iter().cloned()).collect();
            assert_eq!((reply.rcode(), got), (want, want_all), "{name} {qtype} {via:?}");
            let flags = &reply.message.metadata;
            assert!(!flags.authoritative && !flags.authentic_data && flags.recursion_available, "{name} {reply:?}");
        }
    }
    // The alias itself was asked for: as the upstream has it.
    let reply = house.ask(Via::Udp, &Ask::new("alias-www-corp-test.fine.test", "CNAME"));
    assert_eq!(told(&reply)[1..], ["www.corp.test. TXT text"], "{reply:?}");
    // Through an alias of the outside, and past the zone.
    let reply = house.ask(Via::Udp, &Ask::a("alias2-www-corp-test.fine.test"));
    assert_eq!(told(&reply)[2..], ["www.corp.test. A 192.0.2.3"]);
    assert!(house.a("alias-www-other-test.fine.test").addresses() == [upstream::ADDRESS]);
    // Policy is asked as before.
    assert!(house.a("alias2-listed-test.fine.test").is_sunk());
}

#[test]
fn a_zone_that_comes_or_goes_decides_for_what_is_cached_and_in_flight() {
    let upstream = Upstream::start();
    let mut house = Plan::new().upstreams(&[&upstream]).feed("ads", "listed.test\n").start();
    let address = |house: &House, via| house.ask(via, &Ask::a("alias-www-corp-test.fine.test")).addresses();
    assert!(BOTH.iter().all(|&via| address(&house, via) == [upstream::ADDRESS]));
    let mut clients = BOTH.map(|via| house.client(via));
    for (client, name) in clients.iter_mut().zip(["held-www-corp-test.fine.test", "hold.corp.test"]) {
        client.send(&Ask::a(name).octets());
    }
    // Over TCP the upstream does not hold a reply back, so that both wait for datagrams.
    upstream.wait_for("held-www-corp-test.fine.test", 1);
    upstream.wait_for("hold.corp.test", 1);
    house.configure(|plan| plan.zone("corp.test", CORP));
    house.reload().unwrap();
    upstream.release();
    let [led, direct] = clients.map(|mut client| client.receive());
    assert_eq!(led.addresses(), ["192.0.2.3".parse::<std::net::IpAddr>().unwrap()], "an alias that was in flight");
    assert_eq!(direct.rcode(), ResponseCode::NXDomain, "a name that was in flight is the zone's now: {direct:?}");
    assert!(BOTH.iter().all(|&via| address(&house, via) == ["192.0.2.3".parse::<std::net::IpAddr>().unwrap()]));
    house.configure(|plan| plan.no_tables().feed("ads", "listed.test\n"));
    house.reload().unwrap();
    assert!(BOTH.iter().all(|&via| address(&house, via) == [upstream::ADDRESS]));
    assert_eq!(upstream.seen("alias-www-corp-test.fine.test"), 1, "all but the first came out of the cache");
}

#[test]
fn a_sunk_names_alias_into_an_own_zone_has_the_zones_data_beside_it() {
    let upstream = Upstream::start();
    let rpz = "@ SOA . . 1 60 60 60 60\n$TTL 60\nlocal.test CNAME www.corp.test.\nstar.test CNAME *.lab.corp.test.\n\
               gone.test CNAME gone.corp.test.\n";
    let plan = Plan::new()
        .upstreams(&[&upstream])
        .zone("corp.test", CORP)
        .zone("lab.corp.test", &format!("{LAB}* 300 TXT hi\n"));
    let plan = plan.feed("ads", "listed.test\n").feed_with("rpz", rpz, "format = 'rpz'");
    let plan = plan.feed_with("two", "two.test\n", "sinkhole = { cname = 'mail.corp.test', ipv4 = '192.0.2.77' }");
    let house = plan.key("sinkhole", "cname = 'mail.corp.test'").start();
    const SOA: &str = "corp.test. SOA ns.corp.test. hostmaster.corp.test. 7 3600 600 86400 60";
    const LAB_SOA: &str = "lab.corp.test. SOA ns.lab.corp.test. hostmaster.lab.corp.test. 7 3600 600 86400 60";
    let garden = ["mail.corp.test.", "mail.corp.test. CNAME www.corp.test."];
    for (name, qtype, want, records) in [
        ("listed.test", "A", ResponseCode::NoError, vec![garden[0], garden[1], "www.corp.test. A 192.0.2.3"]),
        ("listed.test", "AAAA", ResponseCode::NoError, vec![garden[0], garden[1], SOA]),
        ("listed.test", "MX", ResponseCode::NoError, vec![garden[0], garden[1], SOA]),
        ("listed.test", "CNAME", ResponseCode::NoError, vec![garden[0]]),
        ("listed.test", "ANY", ResponseCode::NoError, vec![garden[0]]),
        // A garden's own address wins; of the other family there is the zone's word.
        ("two.test", "A", ResponseCode::NoError, vec![garden[0], "mail.corp.test. A 192.0.2.77"]),
        ("two.test", "AAAA", ResponseCode::NoError, vec![garden[0], garden[1], SOA]),
        ("local.test", "A", ResponseCode::NoError, vec!["www.corp.test.", "www.corp.test. A 192.0.2.3"]),
        (
            "gone.test",
            "A",
            ResponseCode::NXDomain,
            vec!["gone.corp.test.", "gone.corp.test. CNAME missing.corp.test.", SOA],
        ),
        (
            "star.test",
            "TXT",
            ResponseCode::NoError,
            vec!["star.test.lab.corp.test.", "star.test.lab.corp.test. TXT hi"],
        ),
        ("star.test", "A", ResponseCode::NoError, vec!["star.test.lab.corp.test.", LAB_SOA]),
        (
            "alias-listed-test.fine.test",
            "A",
            ResponseCode::NoError,
            vec![garden[0], garden[1], "www.corp.test. A 192.0.2.3"],
        ),
    ] {
        for via in BOTH {
            for ask in [Ask::new(name, qtype).edns(1232), Ask::new(name, qtype).dnssec_ok()] {
                let reply = house.ask(via, &ask);
                let want_all: Vec<String> = std::iter::once(format!("{name}. CNAME {}", records[0]))
                    .chain(records.iter().skip(1).map(ToString::to_string))
                    .collect();
                assert_eq!((reply.rcode(), told(&reply)), (want, want_all), "{name} {qtype} {via:?}");
                assert_eq!(reply.ede(), Some((15, String::new())), "{name} {qtype} {via:?}");
                let flags = &reply.message.metadata;
                assert!(!flags.authoritative && !flags.authentic_data && !flags.truncation, "{name} {reply:?}");
            }
        }
    }
    // HTTPS has no alias, garden or not.
    let reply = house.ask(Via::Udp, &Ask::new("listed.test", "HTTPS"));
    assert_eq!((reply.message.answers.len(), reply.message.authorities.len()), (0, 1));
    assert_eq!(upstream.asked().len(), 2, "nobody is asked for what is sunk but for the alias, with DO and without");
}

#[test]
fn what_an_own_zone_adds_is_cut_where_it_does_not_fit() {
    let upstream = Upstream::start();
    let many: String = (1..100).map(|last| format!("many 300 A 192.0.2.{last}\n")).collect();
    let house = Plan::new()
        .upstreams(&[&upstream])
        .zone("corp.test", &format!("{CORP}{many}post 300 MX 1 many\n"))
        .feed_with("ads", "listed.test\n", "sinkhole = { cname = 'many.corp.test' }")
        .start();
    for name in ["alias-many-corp-test.fine.test", "listed.test"] {
        let over_udp = house.ask(Via::Udp, &Ask::a(name).edns(1232));
        assert!(over_udp.message.metadata.truncation && over_udp.message.answers.is_empty(), "{over_udp:?}");
        let over_tcp = house.ask(Via::Tcp, &Ask::a(name));
        assert_eq!((over_tcp.addresses().len(), over_tcp.message.metadata.truncation), (99, false));
    }
    // Addresses beside the answer go first, and need no TC.
    let post = house.ask(Via::Udp, &Ask::new("alias-post-corp-test.fine.test", "MX").edns(512));
    let counts = (post.message.answers.len(), post.message.additionals.len(), post.message.metadata.truncation);
    assert_eq!(counts, (2, 0, false), "{post:?}");
    let post = house.ask(Via::Tcp, &Ask::new("alias-post-corp-test.fine.test", "MX"));
    assert_eq!((post.message.answers.len(), post.message.additionals.len()), (2, 99));
    assert_eq!(house.metric("cenote_truncated_replies_total"), 2);
}

#[test]
fn a_name_of_the_outside_gets_no_address_of_the_inside_through_an_own_zone() {
    let upstream = Upstream::start();
    let zone = format!("{CORP}inner 300 A 10.0.0.7\n");
    let plan = Plan::new().upstreams(&[&upstream]).zone("corp.test", &zone).feed("ads", "listed.test\n");
    let house = plan.key("rebinding", "protect = true").key("rebinding", "allow = ['partner.test']").start();
    for (name, count) in [
        ("alias-inner-corp-test.fine.test", 0),
        ("alias-inner-corp-test.partner.test", 1),
        ("alias-www-corp-test.fine.test", 1),
        ("inner.corp.test", 1),
    ] {
        for _ in 0..2 {
            assert_eq!(house.a(name).addresses().len(), count, "{name}");
        }
    }
    assert_eq!(house.metric("cenote_rebindings_total"), 2);
}

#[test]
fn names_by_which_clients_ask_whether_to_go_round_this_server_are_denied_by_setting() {
    const NAMES: [&str; 3] = ["use-application-dns.net", "mask.icloud.com", "mask-h2.icloud.com"];
    for (keys, denied) in [
        (&[][..], [false, false, false]),
        (&["block-application-dns = true"], [true, false, false]),
        (&["block-private-relay = true"], [false, true, true]),
        // They stand by themselves, and give way to `forward`.
        (&["block-application-dns = true", "block-private-relay = true", "enabled = false"], [true, true, true]),
        (&["block-private-relay = true", "forward = ['mask.icloud.com']"], [false, false, true]),
    ] {
        let upstream = Upstream::start();
        let plan = Plan::new().upstreams(&[&upstream]).feed("ads", "listed.test\n");
        let house = keys.iter().fold(plan, |plan, key| plan.key("special-names", key)).start();
        for (name, denied) in NAMES.into_iter().zip(denied) {
            for (below, qtype) in
                ["", "x.y."].iter().flat_map(|below| ["A", "AAAA", "HTTPS"].map(|qtype| (below, qtype)))
            {
                for via in BOTH {
                    let reply = house.ask(via, &Ask::new(&format!("{below}{name}"), qtype).edns(1232));
                    assert_eq!(
                        reply.rcode() == ResponseCode::NXDomain,
                        denied,
                        "{keys:?} {below}{name} {qtype} {reply:?}"
                    );
                    let soa: Vec<_> = reply.message.authorities.iter().map(ToString::to_string).collect();
                    let want = format!("{name}. 10800 IN SOA {name}. nobody.invalid. 1 3600 1200 604800 10800");
                    assert_eq!(soa, if denied { vec![want] } else { vec![] }, "{keys:?} {name} {qtype}");
                    assert_eq!(reply.message.metadata.authoritative, denied, "{keys:?} {name} {qtype}");
                }
            }
        }
        let zone: u64 = ["udp", "tcp"]
            .iter()
            .map(|via| house.metric(&format!("cenote_queries_total{{transport=\"{via}\",outcome=\"zone\"}}")))
            .sum();
        let denied = denied.iter().filter(|denied| **denied).count();
        assert_eq!(zone, 12 * denied as u64, "counted as special names are");
        assert!(house.a("icloud.com").is_upstreams() && house.a("application-dns.net").is_upstreams(), "and no other");
        // Whether the name is signed is its parent's to say.
        assert_eq!(house.ask(Via::Udp, &Ask::new(NAMES[0], "DS")).message.answers.len(), 1);
    }
}
