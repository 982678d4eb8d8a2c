//! What no feed may sink: protected names, whatever they lead to and whoever asks, and canaries, found as queries find them.

use std::fs;

use hickory_proto::op::ResponseCode;

use crate::harness::{Ask, BOTH, House, Plan, Upstream, Via};

/// Lists a name, the address of every answer of the upstream's, and three clients.
const RPZ: &str = "$TTL 60\n@ SOA . . 1 60 60 60 60\nevil.test CNAME .\nevil.deny.test CNAME .\n32.1.2.0.192.rpz-ip CNAME .\n\
                   32.7.0.0.127.rpz-client-ip CNAME .\n32.8.0.0.127.rpz-client-ip CNAME rpz-drop.\n\
                   32.9.0.0.127.rpz-client-ip CNAME rpz-tcp-only.\n";
/// Names in and outside what is protected, each of which leads to what the feed lists.
const PROTECTED: [&str; 5] =
    ["www.bank.test", "Bank.Test", "alone.test", "alias-evil-test.bank.test", "alias2-x-test.bank.test"];
const OTHERS: [&str; 4] = ["www.alone.test", "notbank.test", "alias-evil-test.other.test", "alias-www-bank-test.test"];

fn plan(upstream: &Upstream) -> Plan {
    Plan::new().upstreams(&[upstream]).key("server", "workers = 1").feed_with("rpz", RPZ, "format = 'rpz'")
}

fn protecting(plan: Plan) -> Plan {
    plan.key("gate", "protected = ['*.bank.test', 'alone.test', '*.vault.test']")
}

/// What a client gets, over both transports where it gets something.
fn gets(house: &House, own: &str, qname: &str) -> [&'static str; 2] {
    BOTH.map(|via| {
        let mut client = house.client_at(own, via);
        client.send(&Ask::a(qname).octets());
        match client.receive_in_time() {
            None => "nothing",
            Some(reply) if reply.message.metadata.truncation => "tc",
            Some(reply) if reply.rcode() == ResponseCode::NXDomain => "nxdomain",
            Some(reply) if reply.is_sunk() => "sunk",
            Some(reply) if reply.addresses().len() == 1 => "passed",
            Some(reply) => panic!("{qname} from {own}: {reply:?}"),
        }
    })
}

#[test]
fn a_protected_name_is_sunk_by_no_feed_whatever_it_leads_to_and_whoever_asks() {
    let upstream = Upstream::start();
    let house = protecting(plan(&upstream)).start();
    // Twice, so that the cache answers too.
    for own in ["127.0.0.1", "127.0.0.7", "127.0.0.8", "127.0.0.9"].iter().flat_map(|own| [own; 2]) {
        for qname in PROTECTED {
            assert_eq!(gets(&house, own, qname), ["passed"; 2], "{qname} from {own}");
        }
    }
    for (own, want) in
        [("127.0.0.1", ["nxdomain"; 2]), ("127.0.0.7", ["nxdomain"; 2]), ("127.0.0.9", ["tc", "nxdomain"])]
    {
        for qname in OTHERS {
            assert_eq!(gets(&house, own, qname), want, "{qname} from {own}");
        }
    }
    let https = |qname: &str| house.ask(Via::Udp, &Ask::new(qname, "HTTPS")).rcode();
    assert_eq!(https("service-evil-test.bank.test"), ResponseCode::NoError);
    assert_eq!(https("service-evil-test.other.test"), ResponseCode::NXDomain);
}

#[test]
fn what_an_answer_of_a_protected_name_leads_to_is_judged_when_it_comes_as_it_is_in_the_cache() {
    let upstream = Upstream::start();
    let house = protecting(plan(&upstream)).start();
    let mut client = house.client(Via::Udp);
    client.send(&Ask::a("held-evil-test.bank.test").octets());
    upstream.wait_for("held-evil-test.bank.test", 1);
    upstream.release();
    assert_eq!(client.receive().addresses().len(), 1);
    // Observed by nobody, sunk by nobody: as if the entries were not there.
    for action in ["nxdomain", "drop", "tcp-only", "observe"] {
        assert_eq!(house.metric(&format!("cenote_feed_hits_total{{feed=\"rpz\",action=\"{action}\"}}")), 0, "{action}");
    }
}

#[test]
fn a_tenants_own_deny_and_a_feeds_passthru_stand_for_protected_names_too() {
    let upstream = Upstream::start();
    let allow = "$TTL 60\n@ SOA . . 1 60 60 60 60\nlet.bank.test CNAME rpz-passthru.\n";
    let house = protecting(Plan::new())
        .upstreams(&[&upstream])
        .feed_with("allow", allow, "format = 'rpz'\nmay-allow = true")
        .feed_with("rpz", RPZ, "format = 'rpz'")
        .tenant("denying", "networks = ['127.0.0.2']\ndeny = ['bank.test', 'deny.test']\nallow = ['fine.bank.test']")
        .tenant("strict", "networks = ['127.0.0.3']\naction = 'refused'")
        .tenant("trial", "networks = ['127.0.0.4']\naction = 'observe'\nfigures = 'own'")
        .start();
    for (own, qname, want) in [
        ("127.0.0.2", "www.bank.test", "sunk"),
        ("127.0.0.2", "fine.bank.test", "passed"),
        ("127.0.0.2", "alone.test", "passed"),
        ("127.0.0.2", "alias-x-deny-test.vault.test", "sunk"),
        // A feed's word on the same target comes after the tenant's, and does not count.
        ("127.0.0.2", "alias-evil-deny-test.vault.test", "sunk"),
        ("127.0.0.1", "alias-evil-deny-test.vault.test", "passed"),
        ("127.0.0.3", "alias-evil-test.bank.test", "passed"),
        ("127.0.0.4", "alias-evil-test.bank.test", "passed"),
        ("127.0.0.1", "let.bank.test", "passed"),
    ] {
        assert_eq!(gets(&house, own, qname), [want; 2], "{qname} from {own}");
    }
    assert_eq!(house.metric("cenote_tenant_observed_total{tenant=\"trial\"}"), 0, "enforcing would have done nothing");
    assert!(house.metric("cenote_feed_hits_total{feed=\"allow\",action=\"passthru\"}") > 0);
}

#[test]
fn what_is_protected_changes_at_a_reload_though_no_feed_can_be_read() {
    let upstream = Upstream::start();
    let mut house = plan(&upstream).start();
    assert_eq!(gets(&house, "127.0.0.1", "www.bank.test"), ["nxdomain"; 2]);
    fs::remove_file(house.folder().join("rpz")).unwrap();
    house.configure(protecting);
    house.reload().unwrap();
    assert_eq!(gets(&house, "127.0.0.1", "www.bank.test"), ["passed"; 2]);
    assert_eq!(gets(&house, "127.0.0.7", "alone.test"), ["passed"; 2]);
    assert_eq!(gets(&house, "127.0.0.1", "www.alone.test"), ["nxdomain"; 2]);
}

#[test]
fn a_passthru_takes_a_canary_out_only_in_a_feed_that_may_let_through() {
    let lines = "$TTL 60\n@ SOA . . 1 60 60 60 60\na.test CNAME .\nb.test CNAME .\n";
    let banned = format!("{lines}*.bank.test CNAME .\nwww.bank.test CNAME rpz-passthru.\n");
    let network = format!("{lines}*.bank.test CNAME .\n32.7.0.0.127.rpz-client-ip CNAME rpz-passthru.\n");
    for (keys, text, refused) in [
        ("", &banned, true),
        ("may-allow = true", &banned, false),
        ("may-allow = true", &network, true),
        ("action = 'nxdomain'", &banned, true),
        ("action = 'nxdomain'\nmay-allow = true", &banned, false),
        ("action = 'observe'", &banned, true),
        ("action = 'observe'\nmay-allow = true", &banned, false),
        ("action = 'passthru'\nmay-allow = true", &banned, false),
    ] {
        let house = Plan::new()
            .key("upstream", "servers = ['127.7.7.8:9']")
            .key("gate", "canaries = ['www.bank.test']")
            // What an earlier feed lets through does not make a later one's list one to be trusted.
            .feed_with("allow", "www.bank.test\n", "action = 'passthru'\nmay-allow = true")
            .feed_with("rpz", lines, &format!("format = 'rpz'\n{keys}"))
            .start();
        house.replace("rpz", text);
        let notes = house.refresh(&["rpz"], true).unwrap().1;
        let canary = notes.iter().any(|note| note.contains("no canary to be sunk"));
        assert_eq!(canary, refused, "{keys}: {notes:?}\n{text}");
    }
}
