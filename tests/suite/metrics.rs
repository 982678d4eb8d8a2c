//! The figures: they balance, they are exposed, and readiness says whether a policy is enforced.

use hickory_proto::op::ResponseCode;

use crate::harness::{Ask, BOTH, Client, Plan, Upstream, Via, eventually, free_addresses, http, sum};

#[test]
fn every_packet_ends_in_one_outcome_and_every_reply_is_counted() {
    let upstream = Upstream::start();
    let plan = Plan::new().upstreams(&[&upstream]).feed("ads", "listed.test\n");
    let plan = plan.feed_with("quiet", "quiet.test\n", "action = 'drop'");
    let house = plan.start();
    let names = [
        "listed.test",
        "quiet.test",
        "one.test",
        "one.test",
        "nx.test",
        "servfail.test",
        "localhost",
        "alias-listed-test.fine.test",
    ];
    let (mut sent, mut replies) = (0, 0);
    for via in BOTH {
        let mut client = house.client(via);
        for name in names {
            client.send(&Ask::a(name).octets());
            sent += 1;
            if name != "quiet.test" {
                client.receive();
                replies += 1;
            }
        }
        for (octets, answered) in
            [(vec![0; 12], true), ([&[0, 0, 0x80][..], &[0; 9]].concat(), false), (vec![0xff; 40], false)]
        {
            client.send(&octets);
            sent += 1;
            if answered {
                client.receive_octets().unwrap();
                replies += 1;
            }
        }
        client.ask(&Ask::a("last.localhost"));
        (sent, replies) = (sent + 1, replies + 1);
    }
    let text = house.server().metrics().render();
    assert_eq!(
        (sum(&text, "cenote_queries_total", ""), sum(&text, "cenote_replies_total", "")),
        (sent, replies),
        "{text}"
    );
    for (outcome, want) in
        [("sunk", 6), ("hit", 4), ("forwarded", 2), ("failed", 2), ("zone", 4), ("dropped", 4), ("malformed", 2)]
    {
        let label = format!("outcome=\"{outcome}\"");
        assert_eq!(sum(&text, "cenote_queries_total", &label), want, "{outcome}\n{text}");
    }
    for (feed, action, want) in [("ads", "sinkhole", 4), ("quiet", "drop", 2), ("ads", "drop", 0)] {
        assert_eq!(house.metric(&format!("cenote_feed_hits_total{{feed=\"{feed}\",action=\"{action}\"}}")), want);
    }
}

#[test]
fn what_is_loaded_is_exposed() {
    let text = "# a header\n\nlisted.test\nlisted.test\nwww.listed.test\nbad..name\ncom\nco.uk\n192.0.2.1\n";
    let house = Plan::new().feed_with("ads", text, "format = 'plain'").key("metrics", "listen = '127.0.0.1:0'").start();
    let at = house.server().started().http.unwrap();
    let (status, page) = http(at, "/metrics");
    assert_eq!(status, 200);
    let value = |series: &str| crate::harness::value(&page, series);
    assert_eq!(value("cenote_feed_entries{feed=\"ads\"}"), 2);
    assert_eq!(sum(&page, "cenote_feed_refused_lines", "feed=\"ads\""), 4, "{page}");
    assert_eq!((value("cenote_policy_generation"), value("cenote_ready"), value("cenote_panics_total")), (1, 1, 0));
    assert!(
        value("cenote_index_bytes") > 0 && value("cenote_feed_loaded_timestamp_seconds{feed=\"ads\"}") > 1_700_000_000
    );
    house.reload().unwrap();
    assert_eq!(house.metric("cenote_policy_generation"), house.generation());
    assert!(house.generation() >= 2);
    assert_eq!((http(at, "/healthz").0, http(at, "/readyz").0, http(at, "/none").0), (200, 200, 404));
}

#[test]
fn not_ready_until_a_policy_is_enforced() {
    let [dns, web] = free_addresses();
    let plan = Plan::new().key("server", &format!("listen = ['{dns}']")).key("metrics", &format!("listen = '{web}'"));
    let mut looks = 0;
    let house = plan.feed("ads", "listed.test\n").start_and(&mut |_, _, _| {
        looks += 1;
        assert_eq!((http(web, "/healthz").0, http(web, "/readyz").0), (200, 503));
        for via in BOTH {
            let reply = Client::new(via, dns).ask(&Ask::a("listed.test").edns(1232));
            assert_eq!((reply.rcode(), reply.ede_code()), (ResponseCode::ServFail, Some(14)), "{via:?}");
            assert_eq!(
                Client::new(via, dns).ask(&Ask::a("localhost")).addresses().len(),
                1,
                "{via:?}: zones are ready"
            );
        }
    });
    assert!(looks > 0, "nothing was told while the feed loaded");
    assert_eq!((http(web, "/readyz").0, house.a("listed.test").is_sunk()), (200, true));
    let label = "outcome=\"not-ready\"";
    assert!(sum(&house.server().metrics().render(), "cenote_queries_total", label) >= 2);
}

#[test]
fn the_upstream_has_its_figures() {
    let upstream = Upstream::start();
    let house = Plan::new().upstreams(&[&upstream]).start();
    let series = |name: &str| house.metric(&format!("{name}{{upstream=\"{}\"}}", upstream.at));
    house.a("one.test");
    house.a("servfail.test");
    eventually("both are counted", || series("cenote_upstream_latency_seconds_count") == 1);
    assert_eq!((series("cenote_upstream_errors_total"), series("cenote_upstream_timeouts_total")), (1, 0));
    let mut client = house.client(Via::Udp);
    client.send(&Ask::a("hold.test").octets());
    upstream.wait_for("hold.test", 1);
    eventually("one is in flight", || house.metric("cenote_in_flight") == 1);
    upstream.release();
    client.receive();
    eventually("none is in flight", || house.metric("cenote_in_flight") == 0);
    assert_eq!(house.metric("cenote_cache_entries"), 2);
}
