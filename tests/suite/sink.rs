//! What is sunk: every action, subdomains, the feeds' order, aliases; whatever was cached or in flight before.

use std::net::IpAddr;

use hickory_proto::op::{Edns, Message, ResponseCode};
use hickory_proto::rr::rdata::SOA;
use hickory_proto::rr::{Name, RData, Record, RecordType};

use crate::harness::upstream::{Asked, Step};
use crate::harness::{Ask, BOTH, House, Plan, Reply, Upstream, Via, eventually};

#[test]
fn every_action_for_every_type() {
    let upstream = Upstream::start();
    let actions = ["sinkhole", "nxdomain", "nodata", "refused", "drop", "observe"];
    let plan = Plan::new().upstreams(&[&upstream]).key("sinkhole", "ipv4 = '192.0.2.66'").key("sinkhole", "ipv6 = ''");
    let plan = actions.iter().fold(plan, |plan, action| {
        plan.feed_with(action, &format!("{action}.test\n"), &format!("action = '{action}'"))
    });
    let house = plan.start();
    let qtypes = ["A", "AAAA", "TXT", "HTTPS", "MX", "NS", "SOA", "CNAME", "ANY", "TYPE65280"];
    for (action, qtype) in actions.iter().flat_map(|&action| qtypes.map(|qtype| (action, qtype))) {
        for (via, below) in BOTH.iter().flat_map(|&via| [(via, ""), (via, "www.deep.")]) {
            let ask = Ask::new(&format!("{below}{action}.test"), qtype).edns(1232);
            let what = format!("{action} {qtype} {below} {via:?}");
            if action == "drop" {
                house.client(via).assert_silence(&ask.octets());
                continue;
            }
            let reply = house.ask(via, &ask);
            let want = match action {
                "nxdomain" => ResponseCode::NXDomain,
                "refused" => ResponseCode::Refused,
                _ => ResponseCode::NoError,
            };
            assert_eq!(reply.rcode(), want, "{what} {reply:?}");
            if action == "observe" {
                continue;
            }
            let address = action == "sinkhole" && qtype == "A";
            assert_eq!(reply.addresses(), if address { vec![IpAddr::from([192, 0, 2, 66])] } else { vec![] }, "{what}");
            // RFC 2308: what is negative has a SOA, owned by the name as asked.
            let soa = reply.message.authorities.iter().find(|record| record.record_type() == RecordType::SOA);
            assert_eq!(soa.is_some(), action != "refused" && !address, "{what} {reply:?}");
            assert!(soa.is_none_or(|soa| soa.name == reply.message.queries[0].name && soa.ttl == 30), "{what}");
            assert_eq!(reply.ede(), Some((15, String::new())), "{what}");
            let flags = &reply.message.metadata;
            assert!(!flags.authentic_data && !flags.authoritative && flags.recursion_available, "{what} {reply:?}");
        }
    }
    let forwarded = upstream.asked().into_iter().filter(|asked| !asked.qname.ends_with("observe.test")).count();
    assert_eq!(forwarded, 0, "a sunk name is never sent anywhere");
}

#[test]
fn both_addresses_and_the_operators_error() {
    let plan =
        Plan::new().feed("ads", "listed.test\n").key("sinkhole", "ede-code = 17").key("sinkhole", "ttl-secs = 77");
    let house = plan.key("sinkhole", "ede-text = 'ask your administrator'").start();
    for (qtype, want) in [("A", "0.0.0.0"), ("AAAA", "::")] {
        let reply = house.ask(Via::Udp, &Ask::new("listed.test", qtype).edns(1232));
        assert_eq!((reply.addresses(), reply.ttl()), (vec![want.parse().unwrap()], 77));
        assert_eq!(reply.ede(), Some((17, "ask your administrator".to_owned())));
    }
}

#[test]
fn a_feeds_own_sinkhole_and_what_it_leaves_out() {
    let own = "sinkhole = { ipv4 = '192.0.2.99', ipv6 = '', ede-text = 'by your provider', soa = 'ns.test host.test' }";
    let plan = Plan::new().feed_with("own", "own.test\n", own).feed("ads", "ads.test\n");
    let house = plan.key("sinkhole", "ede-code = 17").key("sinkhole", "ttl-secs = 77").start();
    for (name, want) in [("own.test", "ns.test. host.test."), ("ads.test", ". .")] {
        let reply = house.ask(Via::Udp, &Ask::new(name, "MX"));
        assert_eq!(reply.message.authorities[0].data.to_string(), format!("{want} 1 3600 600 86400 77"));
    }
    for (name, qtype, addresses, text) in [
        ("own.test", "A", &["192.0.2.99"][..], "by your provider"),
        ("own.test", "AAAA", &[], "by your provider"),
        ("ads.test", "A", &["0.0.0.0"], ""),
        ("ads.test", "AAAA", &["::"], ""),
    ] {
        let reply = house.ask(Via::Udp, &Ask::new(name, qtype).edns(1232));
        let addresses: Vec<_> = addresses.iter().map(|text| text.parse().unwrap()).collect();
        assert_eq!((reply.addresses(), reply.ttl()), (addresses, 77), "{name} {qtype}");
        assert_eq!(reply.ede(), Some((17, text.to_owned())), "{name} {qtype}");
    }
}

#[test]
fn a_walled_garden_is_led_to_and_nobody_else_is_asked() {
    let upstream = Upstream::start();
    let own = "sinkhole = { cname = '*.garden.example', ttl-secs = 5 }";
    let plan = Plan::new().upstreams(&[&upstream]).feed("ads", "listed.test\n").feed_with("own", "own.test\n", own);
    let plan = plan.key("sinkhole", "cname = 'garden.example'").key("sinkhole", "ipv4 = '192.0.2.9'");
    let house = plan.start();
    let longest = format!("{0}.{0}.{0}.{1}.own.test", "a".repeat(61), "b".repeat(50));
    let address = Some(IpAddr::from([192, 0, 2, 9]));
    for (name, qtype, alias, addresses) in [
        ("listed.test", "A", Some("garden.example."), address),
        ("www.listed.test", "AAAA", Some("garden.example."), None),
        ("listed.test", "MX", Some("garden.example."), None),
        ("listed.test", "HTTPS", None, None),
        ("alias-listed-test.fine.test", "A", Some("garden.example."), address),
        ("own.test", "A", Some("own.test.garden.example."), None),
        ("www.own.test", "TXT", Some("www.own.test.garden.example."), None),
        (&longest, "A", None, None),
    ] {
        for via in BOTH {
            let reply = house.ask(via, &Ask::new(name, qtype).edns(1232));
            let (answers, what) = (&reply.message.answers, format!("{name} {qtype} {via:?} {reply:?}"));
            let target = answers.first().map(|record| record.data.to_string());
            assert_eq!(target.as_deref(), alias, "{what}");
            let alias = alias.map(|alias| alias.parse().unwrap());
            assert!(answers.iter().skip(1).all(|record| Some(&record.name) == alias.as_ref()), "{what}");
            assert_eq!(reply.addresses(), Vec::from_iter(addresses), "{what}");
            let want = if name == longest { ResponseCode::YXDomain } else { ResponseCode::NoError };
            assert_eq!((reply.rcode(), reply.ede()), (want, Some((15, String::new()))), "{what}");
            assert!(!reply.message.metadata.authentic_data && !reply.message.metadata.authoritative, "{what}");
        }
    }
    assert_eq!(house.metric("cenote_replies_total{rcode=\"yxdomain\"}"), 2);
    assert_eq!(upstream.asked().len(), 1, "the alias alone is not known to be sunk before");
}

#[test]
fn the_first_feed_that_lists_a_name_decides() {
    let upstream = Upstream::start();
    let house = Plan::new()
        .upstreams(&[&upstream])
        .feed_with("watch", "one.test\ntwo.test\nfour.test\n", "action = 'observe'")
        .feed_with("trusted", "good.one.test\n", "action = 'passthru'\nmay-allow = true")
        .feed_with(
            "wishful",
            "$ORIGIN rpz.\n@ 60 SOA ns host 1 2 3 4 5\ntwo.test 60 CNAME rpz-passthru.\n",
            "format = 'rpz'",
        )
        .feed_with(
            "first",
            "||one.test^\n||three.test^\n@@||fine.three.test^\n",
            "format = 'adblock'\naction = 'nxdomain'",
        )
        .feed_with("second", "one.test\ntwo.test\n", "action = 'refused'")
        .feed_with("third", "odd.fine.three.test\n", "action = 'nodata'")
        .start();
    for (name, want, answers) in [
        ("one.test", ResponseCode::NXDomain, 0),
        ("www.one.test", ResponseCode::NXDomain, 0),
        ("good.one.test", ResponseCode::NoError, 1),
        ("very.good.one.test", ResponseCode::NoError, 1),
        ("notone.test", ResponseCode::NoError, 1),
        ("two.test", ResponseCode::Refused, 0),
        ("three.test", ResponseCode::NXDomain, 0),
        ("fine.three.test", ResponseCode::NoError, 1),
        ("odd.fine.three.test", ResponseCode::NoError, 0),
        ("four.test", ResponseCode::NoError, 1),
    ] {
        for via in BOTH {
            let reply = house.ask(via, &Ask::a(name));
            assert_eq!((reply.rcode(), reply.addresses().len()), (want, answers), "{name} {via:?} {reply:?}");
        }
    }
    let hits = |feed, action| house.metric(&format!("cenote_feed_hits_total{{feed=\"{feed}\",action=\"{action}\"}}"));
    let got =
        [hits("watch", "observe"), hits("trusted", "passthru"), hits("wishful", "passthru"), hits("first", "nxdomain")];
    assert_eq!(got, [12, 4, 0, 6]);
    assert_eq!([hits("second", "refused"), hits("third", "nodata")], [2, 2]);
}

#[test]
fn a_query_counts_once_however_often_a_feed_would_have_decided() {
    let upstream = Upstream::start();
    let plan = Plan::new().upstreams(&[&upstream]).feed_with("watch", "seen.test\n", "action = 'observe'");
    let house = plan.feed_with("trusted", "let.test\n", "action = 'passthru'\nmay-allow = true").start();
    // Asked for and led to, led to twice, neither; each out of the cache too.
    for name in ["alias-x-seen-test.seen.test", "alias2-y-seen-test.fine.test", "plain.fine.test"] {
        assert!((0..2).all(|_| !house.a(name).addresses().is_empty()), "{name}");
    }
    assert!((0..2).all(|_| !house.a("alias-let-test.fine.test").addresses().is_empty()));
    let hits = |feed, action| house.metric(&format!("cenote_feed_hits_total{{feed=\"{feed}\",action=\"{action}\"}}"));
    assert_eq!([hits("watch", "observe"), hits("trusted", "passthru")], [4, 2]);
    assert_eq!(house.metric("cenote_tenant_observed_total{tenant=\"default\"}"), 4);
}

#[test]
fn an_rpz_entrys_own_action_stands() {
    let upstream = Upstream::start();
    let zone = "$ORIGIN rpz.\n$TTL 60\n@ SOA ns host 1 2 3 4 5\n@ NS ns\ngone.test CNAME .\nempty.test CNAME *.\n\
                quiet.test CNAME rpz-drop.\nfine.gone.test CNAME rpz-passthru.\n*.below.test CNAME .\n";
    let house = Plan::new().upstreams(&[&upstream]).feed_with("rpz", zone, "format = 'rpz'\nmay-allow = true").start();
    for (name, want, answers) in [
        ("gone.test", ResponseCode::NXDomain, 0),
        ("www.gone.test", ResponseCode::NoError, 1),
        ("fine.gone.test", ResponseCode::NoError, 1),
        ("empty.test", ResponseCode::NoError, 0),
        ("below.test", ResponseCode::NoError, 1),
        ("x.below.test", ResponseCode::NXDomain, 0),
        ("y.x.below.test", ResponseCode::NXDomain, 0),
    ] {
        let reply = house.a(name);
        assert_eq!((reply.rcode(), reply.addresses().len()), (want, answers), "{name} {reply:?}");
    }
    house.client(Via::Udp).assert_silence(&Ask::a("quiet.test").octets());
}

#[test]
fn tcp_only_sends_clients_to_tcp_where_later_feeds_have_their_say() {
    let upstream = Upstream::start();
    let zone = "@ SOA ns host 1 2 3 4 5\nslow.test CNAME rpz-tcp-only.\nboth.test CNAME rpz-tcp-only.\n";
    let plan = Plan::new().upstreams(&[&upstream]).feed_with("rpz", zone, "format = 'rpz'");
    let house = plan.feed("ads", "both.test\n").feed_with("tcp", "third.test\n", "action = 'tcp-only'").start();
    let truncated = |name: &str| {
        let reply = house.ask(Via::Udp, &Ask::a(name).edns(1232));
        assert_eq!((reply.rcode(), reply.message.answers.len()), (ResponseCode::NoError, 0), "{name} {reply:?}");
        (reply.message.metadata.truncation, reply.ede())
    };
    // Twice, and over TCP first: what is cached by one transport's query is judged for the other's.
    for _ in 0..2 {
        for name in ["slow.test", "www.third.test", "alias-slow-test.fine.test"] {
            assert!(!house.ask(Via::Tcp, &Ask::a(name)).addresses().is_empty(), "{name}");
            assert_eq!(truncated(name), (true, None), "{name}");
        }
        assert!(house.ask(Via::Tcp, &Ask::a("both.test")).is_sunk());
        assert_eq!(truncated("both.test"), (true, None));
    }
    assert_eq!(house.metric("cenote_feed_hits_total{feed=\"rpz\",action=\"tcp-only\"}"), 6);
}

#[test]
fn an_address_of_the_inside_is_not_given_to_a_name_of_the_outside() {
    let upstream = Upstream::start();
    let plan =
        Plan::new().upstreams(&[&upstream]).feed_with("own", "let.test\n", "action = 'passthru'\nmay-allow = true");
    let mut house = plan.feed("ads", "listed.test\n").start();
    let given =
        |house: &House, name: &str, qtype: &str| house.ask(Via::Udp, &Ask::new(name, qtype)).message.answers.len();
    for name in ["inside.fine.test", "alias-inside-net.fine.test"] {
        assert!(given(&house, name, "A") > 0, "{name}: not looked at unless the operator says so");
    }
    house.configure(|plan| plan.key("rebinding", "protect = true").key("rebinding", "allow = ['corp.test']"));
    house.reload().unwrap();
    // Twice: out of the cache too.
    for _ in 0..2 {
        for (name, qtype, passes) in [
            ("inside.fine.test", "A", false),
            ("inside.fine.test", "HTTPS", false),
            // That a service's target may be gone to clears nothing that stands beside it.
            ("service-let-test.inside.fine.test", "HTTPS", false),
            ("service-let-test.fine.test", "HTTPS", true),
            ("alias-inside-let-test.fine.test", "A", true),
            ("alias-inside-net.fine.test", "A", false),
            ("inside.notcorp.test", "A", false),
            ("inside.corp.test", "A", true),
            ("inside.let.test", "A", true),
            ("fine.test", "A", true),
            ("fine.test", "HTTPS", true),
        ] {
            let reply = house.ask(Via::Udp, &Ask::new(name, qtype).edns(1232));
            let (answers, soas) = (reply.message.answers.len(), reply.message.authorities.len());
            assert_eq!(
                (reply.rcode(), answers > 0, soas),
                (ResponseCode::NoError, passes, usize::from(!passes)),
                "{name} {qtype}"
            );
            assert_eq!(reply.ede(), (!passes).then(|| (15, String::new())), "{name} {qtype}");
        }
    }
    assert_eq!(house.metric("cenote_rebindings_total"), 10);
}

/// A server whose feed lists one name, and its upstream.
fn house() -> (House, Upstream) {
    let upstream = Upstream::start();
    (Plan::new().upstreams(&[&upstream]).feed("ads", "listed.test\n").start(), upstream)
}

#[test]
fn an_alias_of_a_sunk_name_is_sunk_and_nothing_of_its_chain_shows() {
    let (house, upstream) = house();
    for (round, via) in BOTH.iter().flat_map(|&via| [(1, via), (2, via)]) {
        for name in ["alias-listed-test", "alias-www-listed-test", "alias2-listed-test", "alias3-deep-listed-test"] {
            let reply = house.ask(via, &Ask::a(&format!("{name}.fine.test")));
            assert!(reply.is_sunk(), "{name} {round} {via:?} {reply:?}");
        }
        let fine = house.ask(via, &Ask::a("alias2-other-test.fine.test"));
        assert_eq!((fine.message.answers.len(), fine.addresses().len()), (3, 1), "{round} {via:?} {fine:?}");
    }
    assert_eq!(upstream.asked().len(), 5, "each is asked once, and judged each time it is given out");
}

#[test]
fn a_service_at_a_sunk_name_is_sunk() {
    let (house, _upstream) = house();
    for via in BOTH.iter().chain(&BOTH) {
        for qtype in ["HTTPS", "SVCB"] {
            let reply = house.ask(*via, &Ask::new("service-deep-listed-test.fine.test", qtype));
            let counts = (reply.message.answers.len(), reply.message.authorities.len());
            assert_eq!((reply.rcode(), counts), (ResponseCode::NoError, (0, 1)), "{qtype} {reply:?}");
            let fine = house.ask(*via, &Ask::new("service-other-test.fine.test", qtype));
            assert_eq!(fine.message.answers.len(), 1, "{qtype} {fine:?}");
            assert_eq!(house.ask(*via, &Ask::new("plain.fine.test", qtype)).message.answers.len(), 1, "{qtype}");
        }
    }
}

#[test]
fn a_target_listed_while_its_alias_is_cached_is_sunk() {
    let (house, upstream) = house();
    for via in BOTH {
        assert_eq!(house.ask(via, &Ask::a("alias-later-example.test")).addresses().len(), 1);
    }
    house.replace("ads", "listed.test\nlater.example\n");
    house.reload().unwrap();
    for via in BOTH {
        assert!(house.ask(via, &Ask::a("alias-later-example.test")).is_sunk());
    }
    assert_eq!(upstream.seen("alias-later-example.test"), 1, "the second time it came out of the cache");
}

#[test]
fn a_name_listed_while_it_is_cached_is_sunk() {
    let (house, _upstream) = house();
    assert!(house.a("soon.example").is_upstreams() && house.a("soon.example").is_upstreams());
    house.replace("ads", "listed.test\nsoon.example\n");
    house.reload().unwrap();
    assert!(BOTH.iter().all(|&via| house.ask(via, &Ask::a("soon.example")).is_sunk()));
    house.replace("ads", "listed.test\n");
    house.reload().unwrap();
    assert!(house.a("soon.example").is_upstreams(), "and what is not listed any more is answered again");
}

#[test]
fn a_name_listed_while_it_is_in_flight_is_sunk() {
    let (house, upstream) = house();
    for (via, name) in BOTH.into_iter().zip(["hold.first.example", "hold.second.example"]) {
        let (mut client, ask) = (house.client(via), Ask::a(name));
        client.send(&ask.octets());
        upstream.wait_for(name, 1);
        house.replace("ads", &format!("listed.test\n{name}\n"));
        house.reload().unwrap();
        upstream.release();
        assert!(client.receive().is_sunk(), "{via:?}");
    }
    eventually("all that was sent is settled", || house.metric("cenote_in_flight") == 0);
}

/// What the server of the zone `test` says of any name.
fn nobody(asked: &Asked) -> Step {
    let query = Message::from_vec(&asked.octets).unwrap();
    let mut reply = Message::response(query.metadata.id, query.metadata.op_code);
    reply.metadata.recursion_desired = true;
    reply.metadata.recursion_available = true;
    reply.metadata.response_code = ResponseCode::NXDomain;
    reply.add_query(query.queries[0].clone());
    let name = |text: &str| Name::from_ascii(text).unwrap();
    let soa = SOA::new(name("ns.nic.test."), name("hostmaster.nic.test."), 2_026_112_601, 1800, 900, 604_800, 300);
    reply.add_authority(Record::from_rdata(name("test."), 300, RData::SOA(soa)));
    if query.edns.is_some() {
        reply.set_edns(Edns::new());
    }
    Step::Send(vec![reply.to_vec().unwrap()])
}

#[test]
fn a_sunk_name_looks_like_any_that_is_not_there() {
    let upstream = Upstream::with(nobody);
    let plan = Plan::new().upstreams(&[&upstream]).feed_with("ads", "evil.test\n=a.ours.test\n", "action = 'nxdomain'");
    let soa = "soa = 'ns.nic.test hostmaster.nic.test 2026112601 1800 900 604800 300'";
    let plan = plan.key("sinkhole", soa).key("sinkhole", "soa-owner = 'zone'").key("sinkhole", "ede-code = 0");
    // An upstream whose answers are kept has its TTLs counted down; letters are the client's in one reply and the server's in the other.
    let plan = plan.key("cache", "size-mb = 0").key("upstream", "randomize-case = false");
    let house = plan.key("sinkhole", "ttl-secs = 300").start();
    let shapes: [fn(Ask) -> Ask; 5] = [
        |ask| ask,
        |ask| ask.edns(1232),
        Ask::dnssec_ok,
        Ask::ad,
        |ask| ask.edns(512).with(|message| message.metadata.checking_disabled = true),
    ];
    for (sunk, real) in
        [("evil.test", "good.test"), ("www.Evil.test", "www.Good.test"), ("a.b.evil.test", "a.b.good.test")]
    {
        for (qtype, via) in
            ["A", "AAAA", "MX", "HTTPS", "TXT", "DS"].iter().flat_map(|qtype| BOTH.map(|via| (qtype, via)))
        {
            for shape in shapes {
                let octets = |name: &str| {
                    let ask = shape(Ask::new(name, qtype)).with(|message| message.metadata.id = 7);
                    house.ask(via, &ask).octets
                };
                let (got, want) = (octets(sunk), octets(real));
                let letters = 12..12 + sunk.len() + 1;
                assert_eq!(got[..letters.start], want[..letters.start], "{sunk} {qtype} {via:?}: the header");
                assert_eq!(got[letters.end..], want[letters.end..], "{sunk} {qtype} {via:?}: all behind the name");
            }
        }
    }
    assert_eq!(house.metric("cenote_feed_hits_total{feed=\"ads\",action=\"nxdomain\"}"), 180);
}

#[test]
fn the_zone_a_negative_answer_comes_from_is_told_by_the_entry() {
    let upstream = Upstream::start();
    let rpz =
        "@ SOA . . 1 60 60 60 60\n$TTL 60\n*.below.rpz.test CNAME .\nat.rpz.test CNAME .\nnone.rpz.test CNAME *.\n";
    let plan = Plan::new().upstreams(&[&upstream]).key("sinkhole", "soa-owner = 'zone'").key("sinkhole", "cname = ''");
    let plan = plan.feed_with("rpz", rpz, "format = 'rpz'").feed_with(
        "top",
        "zip\n",
        "format = 'plain'\ntrust-suffixes = true\naction = 'nxdomain'",
    );
    let plan = plan.feed_with("ads", "deep.ads.test\nads.test\n", "action = 'nodata'").feed_with(
        "named",
        "named.test\n",
        "action = 'nxdomain'\nsinkhole = { soa-owner = 'name' }",
    );
    let plan = plan.tenant("acme", "networks = ['127.0.0.9/32']\ndeny = ['own.test']\naction = 'nxdomain'");
    let house = plan.start();
    let owner = |reply: Reply| {
        let soa = reply.message.authorities.first().unwrap_or_else(|| panic!("no SOA: {reply:?}"));
        (reply.rcode(), soa.name.to_string())
    };
    let (nx, no) = (ResponseCode::NXDomain, ResponseCode::NoError);
    for (name, want) in [
        // What is listed is not there, so the zone is above it; what is below the entry is below that.
        ("at.rpz.test", (nx, "rpz.test.")),
        ("x.y.below.rpz.test", (nx, "below.rpz.test.")),
        ("www.zip", (nx, ".")),
        // What is listed is there and has no such record: it is the zone.
        ("none.rpz.test", (no, "none.rpz.test.")),
        ("www.ads.test", (no, "ads.test.")),
        // An entry below one that covers it is none.
        ("x.deep.ads.test", (no, "ads.test.")),
        ("a.named.test", (nx, "a.named.test.")),
        // An answer that leads to it: the entry is no zone of the name asked.
        ("alias-at-rpz-test.fine.test", (nx, "fine.test.")),
    ] {
        let (rcode, zone) = owner(house.a(name));
        assert_eq!((rcode, zone.as_str()), want, "{name}");
    }
    assert_eq!(owner(house.a_from("127.0.0.9", "x.own.test")), (nx, "test.".to_owned()), "a tenant's own name");
}

#[test]
fn no_extended_error_by_setting() {
    let upstream = Upstream::start();
    let plan = Plan::new().upstreams(&[&upstream]).key("sinkhole", "ede-code = 0").feed("ads", "ads.test\n");
    let plan = plan.feed_with("told", "told.test\n", "sinkhole = { ede-code = 17, ede-text = 'why' }");
    let house = plan.tenant("acme", "networks = ['127.0.0.9/32']\nsinkhole = { ede-code = 15 }").start();
    let ede = |client: &str, name: &str, qtype: &str| {
        house.client_at(client, Via::Udp).ask(&Ask::new(name, qtype).edns(1232)).ede()
    };
    for qtype in ["A", "MX"] {
        assert_eq!(ede("127.0.0.1", "ads.test", qtype), None);
        assert_eq!(ede("127.0.0.1", "told.test", qtype), Some((17, "why".to_owned())));
        assert_eq!(ede("127.0.0.9", "ads.test", qtype), Some((15, String::new())));
    }
    // An OPT all the same, without options.
    let reply = house.ask(Via::Udp, &Ask::a("ads.test").edns(1232));
    assert!(reply.octets.ends_with(&[0, 0, 41, 0x04, 0xd0, 0, 0, 0, 0, 0, 0]), "{reply:?}");
}

#[test]
fn mail_to_a_sunk_name_fails_at_once_by_setting() {
    let upstream = Upstream::start();
    let plan = Plan::new().upstreams(&[&upstream]).key("sinkhole", "null-mx = true").feed("ads", "ads.test\n");
    let plan = plan
        .feed_with("off", "off.test\n", "sinkhole = { null-mx = false }")
        .feed_with("walled", "walled.test\n", "sinkhole = { cname = 'garden.example', ttl-secs = 5 }")
        .feed_with("nx", "nx.test\n", "action = 'nxdomain'")
        .feed_with("none", "none.test\n", "action = 'nodata'")
        .feed_with(
            "rpz",
            "@ SOA . . 1 60 60 60 60\n$TTL 60\nown.test MX 5 mail.own.test.\na.test A 192.0.2.1\n",
            "format = 'rpz'",
        );
    let house = plan.tenant("acme", "networks = ['127.0.0.9/32']\nsinkhole = { null-mx = false }").start();
    for (name, mx) in [
        ("www.ads.test", Some(("0 .", 30))),
        ("off.test", None),
        ("walled.test", Some(("0 .", 5))),
        ("nx.test", None),
        ("none.test", None),
        // An entry's own records are all it has.
        ("own.test", Some(("5 mail.own.test.", 60))),
        ("a.test", None),
        ("alias-ads-test.fine.test", Some(("0 .", 30))),
    ] {
        for via in BOTH {
            let reply = house.ask(via, &Ask::new(name, "MX").edns(1232));
            let got: Vec<_> =
                reply.message.answers.iter().map(|record| (record.data.to_string(), record.ttl)).collect();
            assert_eq!(got, mx.map(|(data, ttl)| (data.to_owned(), ttl)).into_iter().collect::<Vec<_>>(), "{name}");
            assert_eq!(reply.message.authorities.len(), usize::from(mx.is_none()), "{name} {reply:?}");
        }
    }
    assert!(house.a("ads.test").is_sunk(), "and nothing else is different");
    let reply = house.client_at("127.0.0.9", Via::Udp).ask(&Ask::new("ads.test", "MX"));
    assert_eq!((reply.message.answers.len(), reply.message.authorities.len()), (0, 1));
}
