//! Tenants: whose a query is, and what each gets: its feeds, its names, its sinkhole, its upstreams, its figures.

use std::net::IpAddr;

use hickory_proto::op::ResponseCode;

use crate::harness::{Ask, BOTH, Client, House, Plan, Reply, Upstream, Via, eventually, free_addresses};

/// Two feeds, and tenants at 127.0.0.2, 127.0.0.3 and 127.0.1.0/24.
fn plan(upstream: &Upstream) -> Plan {
    Plan::new().upstreams(&[upstream]).key("server", "workers = 1").feed("ads", "ads.test\nboth.test\n").feed_with(
        "malware",
        "malware.test\nboth.test\n",
        "action = 'nxdomain'",
    )
}

/// What was answered, in a word.
fn said(reply: &Reply) -> &'static str {
    match reply.rcode() {
        ResponseCode::NXDomain => "nxdomain",
        ResponseCode::Refused => "refused",
        ResponseCode::ServFail => "servfail",
        _ if reply.is_sunk() => "sunk",
        _ if reply.is_upstreams() => "upstream",
        _ => "other",
    }
}

/// What an address gets over both transports.
fn says(house: &House, own: &str, qname: &str) -> &'static str {
    let [udp, tcp] = BOTH.map(|via| said(&house.client_at(own, via).ask(&Ask::a(qname))));
    assert_eq!(udp, tcp, "{qname} from {own}");
    udp
}

#[test]
fn each_has_its_own_feeds_in_its_own_order() {
    let upstream = Upstream::start();
    let house = plan(&upstream)
        .tenant("ordered", "networks = ['127.0.1.0/24']\nfeeds = ['malware', 'ads']")
        .tenant("inner", "networks = ['127.0.1.128/25']\nfeeds = ['ads']")
        .tenant("none", "networks = ['127.0.0.3']\nfeeds = []")
        .start();
    for (qname, wants) in [
        ("ads.test", ["sunk", "sunk", "sunk", "upstream"]),
        ("malware.test", ["nxdomain", "nxdomain", "upstream", "upstream"]),
        ("both.test", ["sunk", "nxdomain", "sunk", "upstream"]),
        ("alias-both-test.test", ["sunk", "nxdomain", "sunk", "upstream"]),
        ("clear.test", ["upstream"; 4]),
    ] {
        // Twice, so that the cache answers too, whoever's query filled it.
        for _ in 0..2 {
            let got = ["127.0.0.9", "127.0.1.1", "127.0.1.200", "127.0.0.3"].map(|own| says(&house, own, qname));
            assert_eq!(got, wants, "{qname}");
        }
    }
    assert_eq!(upstream.seen("alias-both-test.test"), 1, "asked once for all of them");
}

#[test]
fn a_listener_tells_the_tenant_before_the_address_does() {
    let upstream = Upstream::start();
    let [one, two] = free_addresses();
    let house = plan(&upstream)
        .key("server", &format!("listen = ['{one}', '{two}']"))
        .tenant("listening", &format!("listeners = ['{two}']\nfeeds = ['malware']"))
        .tenant("addressed", "networks = ['127.0.0.0/8']\nfeeds = ['ads']")
        .start();
    for via in BOTH {
        let ask = |at, qname| said(&Client::new(via, at).ask(&Ask::a(qname)));
        assert_eq!((ask(one, "ads.test"), ask(one, "malware.test")), ("sunk", "upstream"), "{via:?}");
        assert_eq!((ask(two, "ads.test"), ask(two, "malware.test")), ("upstream", "nxdomain"), "{via:?}");
    }
    drop(house);
}

#[test]
fn own_names_come_first_and_change_on_reload() {
    let upstream = Upstream::start();
    let tenant = |plan: Plan, allow: &str, deny: &str| {
        plan.tenant("t", &format!("networks = ['127.0.0.2']\nallow = [{allow}]\ndeny = [{deny}]"))
    };
    let mut house = tenant(plan(&upstream), "'ads.test', 'fine.own.test'", "'own.test', 'x.ads.test'").start();
    let all = [
        ("ads.test", "sunk", "upstream"),
        ("y.ads.test", "sunk", "upstream"),
        ("x.ads.test", "sunk", "sunk"),
        ("a.own.test", "upstream", "sunk"),
        ("fine.own.test", "upstream", "upstream"),
        ("both.test", "sunk", "sunk"),
        // Where an answer leads: first for everyone, so that it is in the cache and known to be clear.
        ("alias-a-own-test.test", "upstream", "sunk"),
        ("alias-y-ads-test.test", "sunk", "upstream"),
        // A name let through exempts the whole answer.
        ("alias-a-own-test.fine.own.test", "upstream", "upstream"),
    ];
    for (qname, everyone, tenants) in all {
        for _ in 0..2 {
            assert_eq!(
                (says(&house, "127.0.0.9", qname), says(&house, "127.0.0.2", qname)),
                (everyone, tenants),
                "{qname}"
            );
        }
    }
    let figure = |decision| house.metric(&format!("cenote_tenant_names_total{{decision=\"{decision}\"}}"));
    assert!(figure("allowed") > 0 && figure("denied") > 0);

    let feeds = house.generation();
    house.configure(|plan| tenant(plan.no_tenants(), "", "'clear.test'"));
    house.reload().unwrap();
    assert_eq!(house.generation(), feeds + 1);
    assert_eq!((says(&house, "127.0.0.2", "ads.test"), says(&house, "127.0.0.2", "clear.test")), ("sunk", "sunk"));
}

#[test]
fn two_tenants_ask_at_once_and_each_gets_its_own_answer() {
    let upstream = Upstream::start();
    let house = plan(&upstream).tenant("free", "networks = ['127.0.0.2']\nfeeds = ['ads']").start();
    let mut clients = ["127.0.0.2", "127.0.0.9"].map(|own| house.client_at(own, Via::Udp));
    let ask = Ask::a("held-malware-test.test");
    clients.iter_mut().for_each(|client| client.send(&ask.octets()));
    eventually("the second waits for the first", || house.metric("cenote_coalesced_total") == 1);
    upstream.wait_for("held-malware-test.test", 1);
    upstream.release();
    let got = clients.map(|mut client| said(&client.receive()));
    assert_eq!(got, ["upstream", "nxdomain"]);
    assert_eq!(upstream.seen("held-malware-test.test"), 1, "one query to the upstream");
}

#[test]
fn what_is_listed_while_it_is_asked_for_is_sunk() {
    let upstream = Upstream::start();
    let house = plan(&upstream).tenant("free", "networks = ['127.0.0.2']\nfeeds = ['ads']").start();
    let mut clients = ["127.0.0.2", "127.0.0.9"].map(|own| house.client_at(own, Via::Udp));
    let ask = Ask::a("held-new-test.test");
    clients.iter_mut().for_each(|client| client.send(&ask.octets()));
    eventually("the second waits for the first", || house.metric("cenote_coalesced_total") == 1);
    upstream.wait_for("held-new-test.test", 1);
    house.replace("malware", "malware.test\nboth.test\nnew.test\n");
    house.reload().unwrap();
    upstream.release();
    let got = clients.map(|mut client| said(&client.receive()));
    assert_eq!(got, ["upstream", "nxdomain"], "the target is listed by now, in a feed that one of them has");
    house.replace("ads", "ads.test\nboth.test\nheld-new-test.test\n");
    house.reload().unwrap();
    assert_eq!(["127.0.0.2", "127.0.0.9"].map(|own| says(&house, own, "held-new-test.test")), ["sunk", "sunk"]);
}

#[test]
fn its_action_and_its_sinkhole_stand_over_the_feeds() {
    let upstream = Upstream::start();
    let house = plan(&upstream)
        .tenant("strict", "networks = ['127.0.0.2']\naction = 'refused'")
        .tenant("trial", "networks = ['127.0.0.3']\naction = 'observe'\nfigures = 'own'")
        .tenant("walled", "networks = ['127.0.0.4']\nsinkhole = { ipv4 = '192.0.2.77', ede-code = 17 }")
        .start();
    for (qname, wants) in [("ads.test", ["refused", "upstream"]), ("malware.test", ["refused", "upstream"])] {
        assert_eq!(["127.0.0.2", "127.0.0.3"].map(|own| says(&house, own, qname)), wants, "{qname}");
    }
    let reply = house.client_at("127.0.0.4", Via::Udp).ask(&Ask::a("ads.test").edns(1232));
    assert_eq!((reply.addresses(), reply.ede_code()), (vec![IpAddr::from([192, 0, 2, 77])], Some(17)));
    assert_eq!(house.metric("cenote_tenant_observed_total{tenant=\"trial\"}"), 4, "counted as if enforced");
    assert_eq!(house.metric("cenote_tenant_sunk_total{tenant=\"trial\"}"), 0);
}

#[test]
fn figures_are_a_tenants_its_sectors_or_nobodys() {
    let upstream = Upstream::start();
    let tenants = |plan: Plan| {
        plan.tenant("wide", "networks = ['127.0.2.0/24']")
            .tenant("north", "networks = ['127.0.3.0/24']\nfigures = 'sector'\nsector = 'energy'")
            .tenant("south", "networks = ['127.0.4.7']\nfigures = 'sector'\nsector = 'energy'")
            .tenant("alone", "networks = ['127.0.5.7']")
    };
    let mut house = tenants(plan(&upstream)).start();
    for own in ["127.0.2.1", "127.0.3.1", "127.0.4.7", "127.0.5.7", "127.0.0.9"] {
        for qname in ["ads.test", "clear.test", "localhost", "alias-ads-test.test"] {
            house.a_from(own, qname);
        }
    }
    let figures = |house: &House, of: &str| {
        let kind = of.split('=').next().unwrap();
        ["queries", "sunk"].map(|figure| house.metric(&format!("cenote_{kind}_{figure}_total{{{of}}}")))
    };
    let [wide, energy, rest] = ["tenant=\"wide\"", "sector=\"energy\"", "tenant=\"default\""];
    assert_eq!([wide, energy, rest].map(|of| figures(&house, of)), [[4, 2], [8, 4], [4, 2]]);
    let shown = house.server().metrics().render();
    for name in ["alone", "north", "south"] {
        assert!(!shown.contains(name), "{name} has no figures of its own");
    }

    // A tenant that was away finds its figures again.
    house.configure(Plan::no_tenants);
    house.reload().unwrap();
    assert!(!house.server().metrics().render().contains("wide"));
    house.configure(tenants);
    house.reload().unwrap();
    house.a_from("127.0.2.1", "ads.test");
    assert_eq!(figures(&house, wide), [5, 3]);
}

#[test]
fn each_asks_its_own_upstreams_and_keeps_their_answers_apart() {
    let (upstream, european) = (Upstream::start(), Upstream::start());
    let house =
        plan(&upstream).group("eu", &european).tenant("eu", "networks = ['127.0.0.2']\nupstream-group = 'eu'").start();
    for _ in 0..2 {
        assert_eq!(["127.0.0.9", "127.0.0.2"].map(|own| says(&house, own, "clear.test")), ["upstream"; 2]);
        assert_eq!(["127.0.0.9", "127.0.0.2"].map(|own| says(&house, own, "ads.test")), ["sunk"; 2]);
    }
    assert_eq!((upstream.seen("clear.test"), european.seen("clear.test")), (1, 1));
}

#[test]
fn before_the_first_load_one_waits_and_another_does_not() {
    let upstream = Upstream::start();
    let [dns] = free_addresses();
    let mut looks = 0;
    let house = plan(&upstream)
        .key("server", &format!("listen = ['{dns}']"))
        .tenant("open", "networks = ['127.0.0.2']\nbefore-load = 'open'\ndeny = ['own.test']")
        .tenant("shut", "networks = ['127.0.0.3']\ndeny = ['own.test']")
        .start_and(&mut |_, _, _| {
            looks += 1;
            for via in BOTH {
                let ask = |own: &str, qname| said(&Client::from(own.parse().unwrap(), via, dns).ask(&Ask::a(qname)));
                assert_eq!(
                    ["ads.test", "clear.test", "own.test"].map(|qname| ask("127.0.0.2", qname)),
                    ["upstream", "upstream", "sunk"]
                );
                assert_eq!(
                    ["ads.test", "clear.test", "own.test"].map(|qname| ask("127.0.0.3", qname)),
                    ["servfail", "servfail", "sunk"]
                );
            }
        });
    assert!(looks > 0, "nothing was told while the feeds loaded");
    // What was let through then is judged now, though it is in the cache.
    assert_eq!((says(&house, "127.0.0.2", "ads.test"), says(&house, "127.0.0.2", "clear.test")), ("sunk", "upstream"));
}

/// Two upstreams beside the unnamed group's, and who asks which: `us` of the two is a group from the start only if that is said.
fn grouped(plan: Plan, eu: &Upstream, us: Option<&Upstream>, tenants: &[(&str, &str, &str)]) -> Plan {
    let plan = us.into_iter().fold(plan.group("eu", eu), |plan, us| plan.group("us", us));
    tenants.iter().fold(plan, |plan, (name, places, group)| {
        let group = if group.is_empty() { String::new() } else { format!("\nupstream-group = '{group}'") };
        plan.tenant(name, &format!("{places}{group}"))
    })
}

#[test]
fn a_group_that_the_running_server_does_not_have_is_refused_with_all_that_came_with_it() {
    let (upstream, eu, us) = (Upstream::start(), Upstream::start(), Upstream::start());
    let eu_alone = [("a", "networks = ['127.0.0.2']", "eu")];
    let plan = Plan::new().upstreams(&[&upstream]).key("server", "workers = 1").feed("ads", "ads.test\n");
    let mut house = grouped(plan, &eu, None, &eu_alone).start();
    house.configure(|plan| {
        let both = [eu_alone[0], ("b", "networks = ['127.0.0.3']\ndeny = ['clear.test']", "us")];
        let plan = plan.no_tenants().no_tables().feed("ads", "ads.test\n");
        grouped(plan, &eu, Some(&us), &both)
    });
    let before = house.metric("cenote_reload_failures_total");
    let error = house.reload().unwrap_err().to_string();
    for word in ["cenote.toml:", "tenant[1].upstream-group", "tenant b", "us", "at a restart", "nothing was changed"] {
        assert!(error.contains(word), "{word}: {error}");
    }
    // The watch may have tried it too.
    assert!(house.metric("cenote_reload_failures_total") > before);
    assert_eq!((says(&house, "127.0.0.3", "clear.test"), us.asked().len()), ("upstream", 0));
    let plan = house.stop();
    let house = plan.start();
    assert_eq!((says(&house, "127.0.0.3", "clear.test"), says(&house, "127.0.0.3", "x.test")), ("sunk", "upstream"));
    assert_eq!((us.seen("x.test"), upstream.seen("x.test")), (1, 0));
}

#[test]
fn no_reload_sends_a_client_to_servers_that_neither_it_nor_what_was_gives_it() {
    let [upstream, eu, us, other] = [(); 4].map(|()| Upstream::start());
    let (own, next) = ("networks = ['127.0.0.2']", "networks = ['127.0.0.2', '127.0.0.3']");
    let first = [("a", own, "eu"), ("b", "listeners = ['SECOND']", "us")];
    // What is changed, which group's servers are others, whether the second listener stays, and whether that may be reloaded.
    for (what, tenants, changed, stays, may) in [
        ("nothing", &first[..], "", true, true),
        ("servers of a group", &first, "eu", true, true),
        ("the unnamed servers", &first, "upstream", true, true),
        ("a tenant is moved to another group", &[("a", own, "us"), first[1]], "", true, true),
        ("the same, and its old group's servers", &[("a", own, "us"), first[1]], "eu", true, true),
        ("the same, and its new group's servers", &[("a", own, "us"), first[1]], "us", true, false),
        ("a tenant has more networks", &[("a", next, "eu"), first[1]], "", true, true),
        ("the same, and its group's servers", &[("a", next, "eu"), first[1]], "eu", true, false),
        ("a tenant under another name", &[("c", own, "eu"), first[1]], "eu", true, true),
        ("a tenant is gone", &first[1..], "", true, true),
        ("the same, and the unnamed servers", &first[1..], "upstream", true, false),
        ("a tenant of a listener is gone", &first[..1], "", true, true),
        ("the same, with the listener", &first[..1], "", false, false),
        ("the same, and the unnamed servers", &first[..1], "upstream", true, false),
        ("a listener is another group's", &[first[0], ("b", first[1].1, "eu")], "", true, true),
        ("the same, and its new group's servers", &[first[0], ("b", first[1].1, "eu")], "eu", true, false),
    ] {
        let [listen, second] = free_addresses().map(|at| at.to_string());
        let plan = |plan: Plan, changed: &str, tenants: &[(&str, &str, &str)], listen: &[&str]| {
            let of = |group, servers| if group == changed { &other } else { servers };
            let plan = plan.no_tenants().no_tables().feed("ads", "ads.test\n").upstreams(&[of("upstream", &upstream)]);
            let plan = plan.key("server", &format!("listen = {listen:?}")).key("server", "workers = 1");
            let tenants =
                tenants.iter().map(|(name, places, group)| (*name, places.replace("SECOND", &second), *group));
            let tenants: Vec<_> = tenants.collect();
            let tenants: Vec<_> =
                tenants.iter().map(|(name, places, group)| (*name, places.as_str(), *group)).collect();
            grouped(plan, of("eu", &eu), Some(of("us", &us)), &tenants)
        };
        let both = [listen.as_str(), second.as_str()];
        let mut house = plan(Plan::new(), "", &first, &both).start();
        house.configure(|old| plan(old, changed, tenants, if stays { &both } else { &both[..1] }));
        let result = house.reload();
        assert_eq!(result.is_ok(), may, "{what}, {changed}: {result:?}");
    }
}

#[test]
fn a_tenant_moves_between_groups_while_its_queries_are_in_flight() {
    let (upstream, eu, us) = (Upstream::start(), Upstream::start(), Upstream::start());
    let tenant = |group| [("a", "networks = ['127.0.0.2']", group)];
    let plan = Plan::new().upstreams(&[&upstream]).key("server", "workers = 1").feed("ads", "ads.test\n");
    let mut house = grouped(plan, &eu, Some(&us), &tenant("eu")).start();
    let mut client = house.client_at("127.0.0.2", Via::Udp);
    client.send(&Ask::a("held-clear-test.test").octets());
    eu.wait_for("held-clear-test.test", 1);
    // The group is gone from the file as well; it is there until a restart.
    house.configure(|plan| {
        let plan = plan.no_tenants().no_tables().feed("ads", "ads.test\n").group("us", &us);
        plan.tenant("a", "networks = ['127.0.0.2']\nupstream-group = 'us'")
    });
    let notes = house.reload().unwrap().notes;
    assert_eq!(notes, ["changed, and in force after a restart: upstream-group"]);
    eu.release();
    assert!(client.receive().is_upstreams());
    assert_eq!(says(&house, "127.0.0.2", "next.test"), "upstream");
    assert_eq!((upstream.asked().len(), eu.asked().len(), us.seen("next.test")), (0, 1, 1));
}
