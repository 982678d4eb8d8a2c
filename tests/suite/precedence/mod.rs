//! Which entry decides: a table of some hundreds of queries, asked of Cenote, and of a named that has the same policy zones.

mod answers;
mod named;
mod table;

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr, TcpListener};

use answers::{outcome, script};
use named::Named;
use table::{Row, Scenario, TABLE, Zone};

use crate::harness::{Ask, Client, Plan, Reply, Upstream, Via};

/// Round trips after which a query that came before them was answered, if it is at all: the server has one worker, and what must be asked
/// of the upstream first takes one. (Over TCP that is all but certain: an answer that comes later still would be missed, none is made up.)
const ROUND_TRIPS: usize = 3;

/// A policy zone's text.
fn zone(name: &str) -> &'static str {
    match name {
        "a" => include_str!("../../precedence/a.rpz"),
        "b" => include_str!("../../precedence/b.rpz"),
        "c" => include_str!("../../precedence/c.rpz"),
        "six" => include_str!("../../precedence/six.rpz"),
        "six-clients" => include_str!("../../precedence/six-clients.rpz"),
        "wide" => include_str!("../../precedence/wide.rpz"),
        _ => panic!("no such zone: {name}"),
    }
}

/// Whether clients of both families can ask here.
fn has_ipv6() -> bool {
    TcpListener::bind("[::1]:0").is_ok()
}

/// Asks what a row asks.
fn ask(row: &Row, want: &str, at: impl Fn(IpAddr) -> SocketAddr) -> Option<Reply> {
    let mut client = Client::from(row.client, row.via, at(row.client));
    let octets = row.ask().octets();
    client.send(&octets);
    let reply = if want == "drop" {
        for round in 0..ROUND_TRIPS {
            let name = format!("round-{round}.{}.clear.example", row.line);
            Client::new(Via::Udp, at([127, 0, 0, 1].into())).ask(&Ask::a(&name));
        }
        client.receive_at_once()
    } else {
        client.receive_in_time()
    }?;
    assert_eq!(reply.octets[..2], octets[..2], "line {}: a reply to another query", row.line);
    Some(reply)
}

/// What is wrong with the rows of a scenario.
fn judge(
    scenario: &Scenario,
    server: &str,
    want: impl Fn(&Row) -> &'static str,
    at: impl Fn(IpAddr) -> SocketAddr + Copy,
) -> Vec<String> {
    let zones: String = scenario.zones.iter().map(Zone::policy).collect();
    let has_ipv6 = has_ipv6();
    let wrong = scenario.rows.iter().filter_map(|row| {
        let want = want(row);
        if row.client.is_ipv6() && !has_ipv6 {
            eprintln!("skipped: line {}: this machine has no IPv6", row.line);
            return None;
        }
        let got = outcome(row, ask(row, want, at).as_ref());
        let Row { line, qname, qtype, via, flag, client, .. } = row;
        let what = format!("line {line}: {qname} {qtype} {via:?} {flag:?} from {client} under {zones}");
        (got != want).then(|| format!("{what}: {server} is to say `{want}` and says `{got}`\n"))
    });
    wrong.collect()
}

/// Fails if a row is wrong; says each.
fn assert_right(wrong: &[String]) {
    assert!(wrong.is_empty(), "{} of tests/precedence/table.txt\n{}", wrong.len(), wrong.concat());
}

// Twice, so that the cache answers too, whoever's query filled it.
#[test]
fn cenote_does_what_the_table_says() {
    let mut wrong = Vec::new();
    for scenario in &TABLE.scenarios {
        let upstream = Upstream::with(script);
        let listen = if has_ipv6() { "listen = ['127.0.0.1:0', '[::1]:0']" } else { "listen = ['127.0.0.1:0']" };
        let plan = Plan::new().upstreams(&[&upstream]).key("server", listen).key("server", "workers = 1");
        let plan = scenario.zones.iter().fold(plan, |plan, of| plan.feed_with(of.name, zone(of.name), &of.keys()));
        let house = plan.start();
        let listen = &house.server().started().listen;
        let at = |client: IpAddr| *listen.iter().find(|at| at.is_ipv4() == client.is_ipv4()).unwrap();
        for server in ["Cenote", "Cenote, asked again,"] {
            wrong.extend(judge(scenario, server, |row| row.cenote, at));
        }
    }
    assert_right(&wrong);
}

#[test]
#[ignore = "needs named; .ci/run runs it"]
fn named_does_what_the_table_says() {
    let mut wrong = Vec::new();
    for scenario in &TABLE.scenarios {
        let upstream = Upstream::with(script);
        let named = Named::start(&scenario.zones, upstream.at);
        wrong.extend(judge(scenario, "named", |row| row.named, |client| named.at(client)));
    }
    assert_right(&wrong);
}

#[test]
fn each_difference_has_a_reason_and_the_readme_counts_them() {
    let (mut asked, mut counts) = (BTreeSet::new(), BTreeMap::<&str, usize>::new());
    for (number, scenario) in TABLE.scenarios.iter().enumerate() {
        for row in &scenario.rows {
            let question = (number, row.qname, row.qtype, row.via == Via::Udp, row.flag, row.client);
            assert!(asked.insert(question), "line {}: asked before", row.line);
            assert_eq!(row.cenote == row.named, row.reasons.is_empty(), "line {}: no difference, no reason", row.line);
            row.reasons.iter().for_each(|reason| *counts.entry(reason).or_default() += 1);
        }
    }
    assert!(counts.keys().eq(TABLE.reasons.keys()), "{counts:?}: reasons are given, and are needed");
    let differing = TABLE.rows().filter(|row| !row.reasons.is_empty()).count();
    let readme = include_str!("../../../README.md").split_whitespace().collect::<Vec<_>>().join(" ");
    let said = format!("{} queries", TABLE.rows().count());
    assert!(readme.contains(&said), "README.md: {said}");
    let counts: Vec<String> = counts.iter().map(|(reason, count)| format!("`{reason}` {count}")).collect();
    let said = format!("{differing} answers differ ({})", counts.join(", "));
    assert!(readme.contains(&said), "README.md: {said}");
}
