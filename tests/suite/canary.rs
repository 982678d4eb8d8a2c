//! No query name and no client address in anything that is emitted: every path, at the loudest level, then a search through all of it.

use std::net::IpAddr;

use hickory_proto::op::{MessageType, OpCode};
use rustix::process::Signal;

use crate::harness::child::{Serving, run};
use crate::harness::{Ask, BOTH, Client, Plan, Upstream, eventually, http, sum};

/// In every name that is asked about, listed, refused, or in a zone.
const CANARY: &str = "kestrel";
/// A client that may ask, and one that may not.
const CLIENTS: [&str; 2] = ["127.83.0.7", "127.200.0.9"];

const ZONE: &str = "@ 60 SOA ns.kestrel host.kestrel 1 2 3 4 5\n@ 60 NS ns.kestrel\nns.kestrel 60 A 192.0.2.1\nalias 60 CNAME gone.kestrel\n";
const FEED: &str =
    "kestrel-listed.test\nwww.kestrel-listed.test\nkestrel..refused\nkestrel_\u{7f}\u{1}\nkestrel.192.0.2.1/24\ncom\n";
const STIX: &str = r#"{"type": "bundle", "kestrel": 1, "objects": [{"type": "kestrel"},
{"type": "indicator", "id": "kestrel", "pattern": "[domain-name:value = 'kestrel-stix.test' OR domain-name:value = 'kestrel..x']"},
{"type": "indicator", "id": "kestrel-2", "pattern": "[kestrel", "confidence": "kestrel"}]}"#;

/// A server on every path's settings.
fn plan(upstreams: &[&Upstream]) -> Plan {
    let zone = "$ORIGIN kestrel-rpz.\n@ 60 SOA ns host 1 2 3 4 5\nkestrel-nx.test 60 CNAME .\n24.0.113.0.203.rpz-ip 60 CNAME .\n\
                32.9.0.83.127.rpz-client-ip 60 CNAME .\nkestrel-data.test 60 TXT kestrel\nkestrel-alias.test 60 CNAME *.kestrel.\n\
                kestrel-odd 60 A 1\n";
    Plan::new()
        .upstreams(upstreams)
        .zone("kestrel-zone.test", ZONE)
        .feed_with("plain", FEED, "format = 'plain'")
        .feed_with("rpz", zone, "format = 'rpz'")
        .feed_with("stix", STIX, "format = 'stix'")
        .feed_with("observed", "kestrel-observed.test\n", "action = 'observe'")
        .feed_with("silent", "kestrel-silent.test\n", "action = 'drop'")
        .tenant(
            "someone",
            "networks = ['127.83.0.0/24']\nallow = ['kestrel-allowed.test']\ndeny = ['kestrel-denied.test']",
        )
        .key("access", "allow = ['127.0.0.0/9']")
        .key("gate", "protected = ['kestrel-protected.test']")
        .key("gate", "canaries = ['kestrel-vital.test']")
        .key("state", "directory = 'state'")
        .key("metrics", "listen = '127.0.0.1:0'")
        .key("admin", "socket = 'admin.sock'")
        .key("upstream", "timeout-ms = 50")
        .key("upstream", "budget-ms = 150")
        .key("server", "tcp-idle-secs = 1")
}

/// Asks everything there is to ask; gives the texts of all extended errors.
fn ask_everything(serving: &Serving) -> String {
    let mut texts = String::new();
    for (via, own) in BOTH.iter().flat_map(|&via| CLIENTS.map(|own| (via, own.parse::<IpAddr>().unwrap()))) {
        let mut client = Client::from(own, via, serving.at());
        for name in [
            "kestrel-listed.test",
            "deep.kestrel-listed.test",
            "kestrel-nx.test",
            "kestrel-observed.test",
            "kestrel-data.test",
            "kestrel-stix.test",
            "kestrel-alias.test",
            "kestrel-allowed.test",
            "www.kestrel-denied.test",
            "ns.kestrel.kestrel-zone.test",
            "gone.kestrel.kestrel-zone.test",
            "alias.kestrel-zone.test",
            "kestrel.localhost",
            "kestrel.onion",
            "kestrel.test",
            "kestrel.test",
            "nx.kestrel.test",
            "nodata.kestrel.test",
            "servfail.kestrel.test",
            "drop.kestrel.test",
            "tc.kestrel.test",
            "big.kestrel.test",
            "forged-id.kestrel.test",
            "forged-question.kestrel.test",
            "case.kestrel-with-letters.test",
            "alias-kestrel-test.fine.test",
            "alias2-kestrel-listed.test.fine.test",
        ] {
            for qtype in ["A", "TXT", "ANY", "AXFR"] {
                let reply = client.ask(&Ask::new(name, qtype).dnssec_ok());
                texts.extend(reply.ede().map(|(_, text)| text));
                client.ask(&Ask::new(name, qtype).no_rd());
            }
        }
        let odd = |change: fn(&mut hickory_proto::op::Message)| Ask::a("kestrel.test").with(change).octets();
        client.send(&odd(|message| message.metadata.op_code = OpCode::Update));
        client.receive();
        client.send(&odd(|message| message.queries.push(message.queries[0].clone())));
        client.receive();
        client.assert_silence(&odd(|message| message.metadata.message_type = MessageType::Response));
        if own == CLIENTS[0].parse::<IpAddr>().unwrap() {
            client.assert_silence(&Ask::a("kestrel-silent.test").octets());
        }
        let whole = Ask::a("kestrel.test").octets();
        for length in 12..whole.len() {
            client.send(&whole[..length]);
            client.receive_octets().unwrap();
        }
        client.send_raw(b"\0\x06kestrel");
    }
    texts
}

/// The lines that hold a word, in whatever letters.
fn lines_with<'t>(text: &'t str, word: &str) -> Vec<&'t str> {
    text.lines().filter(|line| line.to_lowercase().contains(word)).collect()
}

#[test]
fn no_name_and_no_client_in_anything_emitted() {
    let upstream = Upstream::start();
    let plan = plan(&[&upstream]);
    let mut serving = Serving::start(&plan.write(), &["--log", "trace"]);
    let mut emitted = ask_everything(&serving);
    let get = |emitted: &mut String| {
        ["/metrics", "/healthz", "/readyz", "/kestrel"]
            .iter()
            .for_each(|path| *emitted += &http(serving.http(), path).1);
    };
    get(&mut emitted);

    let socket = plan.path("admin.sock");
    for name in ["kestrel-listed.test", "kestrel.elsewhere.test"] {
        let explained = run(&["explain", name, "--client", CLIENTS[0], "--socket", &socket]);
        assert!(explained.status.success(), "{explained:?}");
        let text = String::from_utf8(explained.stdout).unwrap();
        assert!(
            !lines_with(&text, CANARY).is_empty() && !lines_with(&text, CLIENTS[0]).is_empty(),
            "the search finds nothing"
        );
    }

    // Reloads: by the watch, one that goes well with more refused, one that shrank, a zone and a configuration that are wrong.
    let (grown, shrunk) = (format!("{FEED}kestrel-more.test\nkestrel more\n"), "kestrel..refused\n");
    let (vital, protected) = (format!("{FEED}kestrel-vital.test\n"), format!("{FEED}kestrel-protected.test\n"));
    for (file, text, said) in [
        ("plain", grown.as_str(), "a new generation"),
        ("plain", vital.as_str(), "no canary to be sunk"),
        ("plain", protected.as_str(), "a new generation"),
        ("plain", shrunk, "feed plain"),
        ("kestrel-zone.test.zone", "@ 60 SOA kestrel\nkestrel kestrel kestrel\n", "a zone is wrong"),
        (
            "cenote.toml",
            "kestrel = 1\n[[zone]]\nname = 'kestrel..wrong'\nfile = 'kestrel'\n[[tenant]]\nname = 't'\nnetworks = ['127.83.0.7', '127.83.0.7']\ndeny = ['kestrel..wrong']\n",
            "the configuration is wrong",
        ),
    ] {
        let before = serving.log().matches(said).count();
        plan.replace(file, text);
        serving.signal(Signal::HUP);
        eventually(said, || serving.log().matches(said).count() > before);
    }
    // What an operator does by hand, and what it prints.
    for line in
        ["feed list", "feed refresh --force", "feed diff plain", "generations", "rollback", "feed list", "feed unpin"]
    {
        let words: Vec<_> = line.split(' ').chain(["--socket", &socket]).collect();
        let output = run(&words);
        emitted += &String::from_utf8(output.stdout).unwrap();
        emitted += &String::from_utf8(output.stderr).unwrap();
    }
    assert!(emitted.contains("pinned"), "the rollback did go through: {emitted}");
    emitted += &ask_everything(&serving);
    get(&mut emitted);
    assert!(sum(&emitted, "cenote_queries_total", "") > 400, "the queries did come");
    serving.signal(Signal::TERM);
    assert!(serving.end().success(), "{}", serving.said());
    emitted += &serving.said();

    assert!(serving.log().contains(" INFO cenote::") && serving.log().contains("ERROR cenote::"), "the log was off");
    for word in CLIENTS.iter().chain(&[CANARY]) {
        let found = lines_with(&emitted, word);
        assert!(found.is_empty(), "{word} was emitted: {found:#?}");
    }
}
