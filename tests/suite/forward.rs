//! What is forwarded: asked once, of whom, what is believed, what is kept, and how it fits.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::time::Instant;

use hickory_proto::op::{Message, ResponseCode};

use crate::harness::upstream::{self, ADDRESS, FORGED};
use crate::harness::{Ask, BOTH, House, Plan, Upstream, Via, eventually, sum};

/// A server that asks these.
fn house(upstreams: &[&Upstream]) -> House {
    Plan::new().upstreams(upstreams).feed("ads", "listed.test\n").start()
}

/// An address at which nobody listens: no other test here uses its network.
fn nobody() -> SocketAddr {
    UdpSocket::bind("127.7.7.8:0").unwrap().local_addr().unwrap()
}

#[test]
fn an_answer_comes_through_and_is_kept() {
    let upstream = Upstream::start();
    let house = house(&[&upstream]);
    for (qtype, via) in ["A", "AAAA", "TXT"].iter().flat_map(|&qtype| BOTH.map(|via| (qtype, via))) {
        let reply = house.ask(via, &Ask::new("one.test", qtype));
        assert_eq!((reply.rcode(), reply.message.answers.len()), (ResponseCode::NoError, 1), "{qtype} {via:?}");
        assert!(reply.message.metadata.recursion_available && !reply.message.metadata.authoritative);
    }
    assert_eq!(upstream.seen("one.test"), 3, "one of each type, however it was asked");
}

#[test]
fn an_upstream_is_asked_in_our_own_words() {
    let upstream = Upstream::start();
    let house = house(&[&upstream]);
    let cookie = |message: &mut Message| {
        use hickory_proto::rr::rdata::opt::EdnsOption;
        Ask::edns_mut(message).set_max_payload(4096).options_mut().insert(EdnsOption::Unknown(10, vec![7; 8]));
    };
    house.a("one.test");
    house.ask(Via::Udp, &Ask::a("two.test").dnssec_ok().with(cookie));
    let asked = upstream.asked();
    for (asked, dnssec_ok) in asked.iter().zip([false, true]) {
        let message = Message::from_vec(&asked.octets).unwrap();
        let (flags, edns) = (&message.metadata, message.edns.as_ref().unwrap());
        assert!(flags.recursion_desired && flags.authentic_data && !flags.checking_disabled, "{message}");
        assert_eq!((edns.max_payload(), edns.flags().dnssec_ok), (1232, dnssec_ok), "{message}");
        assert!(edns.options().options.is_empty(), "no option of the client's goes on: {message}");
    }
    assert_ne!(asked[0].octets[..2], asked[1].octets[..2]);
}

#[test]
fn one_question_at_a_time_however_many_ask() {
    let upstream = Upstream::start();
    let house = house(&[&upstream]);
    let mut client = house.client(Via::Udp);
    let names = ["hold.test", "HOLD.test", "hold.TEST", "Hold.Test", "hold.test"];
    let asks = names.map(|name| Ask::a(name).edns(if name == "HOLD.test" { 4096 } else { 512 }));
    asks.iter().for_each(|ask| client.send(&ask.octets()));
    upstream.wait_for("hold.test", 1);
    eventually("four of five wait for the first", || house.metric("cenote_coalesced_total") == 4);
    upstream.release();
    for (ask, name) in asks.iter().zip(names) {
        let reply = client.receive();
        assert!(reply.is_upstreams() && reply.octets[..2] == ask.octets()[..2], "{reply:?}");
        assert_eq!(reply.message.queries[0].name.to_ascii(), format!("{name}."), "each in its own letters");
    }
    assert_eq!(upstream.seen("hold.test"), 1);
}

#[test]
fn streams_meet_at_one_worker() {
    let upstream = Upstream::start();
    let house = house(&[&upstream]);
    let mut clients: Vec<_> = (0..6).map(|_| house.client(Via::Tcp)).collect();
    clients.iter_mut().for_each(|client| client.send(&Ask::a("hold.test").octets()));
    upstream.wait_for("hold.test", 1);
    eventually("five of six wait for the first", || house.metric("cenote_coalesced_total") == 5);
    upstream.release();
    assert!(clients.iter_mut().all(|client| client.receive().is_upstreams()));
    assert_eq!(upstream.seen("hold.test"), 1);
}

#[test]
fn the_next_upstream_is_asked_when_one_is_silent_fails_or_is_gone() {
    let gone = nobody();
    for first in [Some(upstream::silent as upstream::Script), Some(upstream::failing), None] {
        let (second, first) = (Upstream::start(), first.map(Upstream::with));
        let servers = [first.as_ref().map_or(gone, |first| first.at), second.at].map(|at| at.to_string());
        let plan = Plan::new().key("upstream", &format!("servers = {servers:?}")).key("upstream", "timeout-ms = 50");
        let house = plan.start();
        for via in BOTH {
            assert!(house.ask(via, &Ask::a(&format!("{via:?}.test"))).is_upstreams(), "{via:?}");
        }
        assert!(first.is_none_or(|first| first.seen("udp.test") == 1));
    }
}

#[test]
fn a_truncated_reply_is_asked_for_again_over_tcp() {
    let upstream = Upstream::start();
    let house = house(&[&upstream]);
    assert!(house.a("tc.test").is_upstreams());
    let how: Vec<Via> = upstream.asked().iter().map(|asked| asked.via).collect();
    assert_eq!(how, BOTH);
    let labels = format!("{{upstream=\"{}\",transport=\"tcp\"}}", upstream.at);
    assert_eq!(house.metric(&format!("cenote_upstream_queries_total{labels}")), 1);
}

#[test]
fn an_upstreams_error_goes_on_without_its_text() {
    let upstream = Upstream::start();
    let house = house(&[&upstream]);
    for via in BOTH {
        let reply = house.ask(via, &Ask::a("servfail.test").edns(1232));
        assert_eq!((reply.rcode(), reply.ede()), (ResponseCode::ServFail, Some((6, String::new()))), "{via:?}");
    }
}

#[test]
fn with_nobody_to_answer_it_is_servfail_and_listed_names_are_still_sunk() {
    let (silent, gone) = (Upstream::with(upstream::silent), nobody());
    let plan = || Plan::new().feed("ads", "listed.test\n").key("upstream", "timeout-ms = 50");
    for (house, ede) in [
        (plan().upstreams(&[&silent]).key("upstream", "budget-ms = 120").start(), 22),
        (plan().key("upstream", &format!("servers = ['{gone}']")).start(), 23),
        (plan().start(), 22),
    ] {
        for via in BOTH {
            let reply = house.ask(via, &Ask::a("other.test").edns(1232));
            assert_eq!((reply.rcode(), reply.ede_code()), (ResponseCode::ServFail, Some(ede)), "{via:?} {reply:?}");
            assert!(house.ask(via, &Ask::a("www.listed.test")).is_sunk());
        }
    }
}

#[test]
fn a_full_table_turns_misses_away_and_nothing_else() {
    let upstream = Upstream::start();
    let plan = Plan::new().upstreams(&[&upstream]).feed("ads", "listed.test\n").key("server", "workers = 1");
    let house = plan.key("upstream", "in-flight-max = 2").key("upstream", "waiting-per-client-max = 3").start();
    assert!(house.a("cached.test").is_upstreams());
    let mut client = house.client(Via::Udp);
    for name in ["hold.one.test", "hold.one.test", "hold.two.test"] {
        client.send(&Ask::a(name).octets());
    }
    upstream.wait_for("hold.two.test", 1);
    for via in BOTH {
        for name in ["hold.one.test", "hold.three.test"] {
            let reply = house.ask(via, &Ask::a(name).edns(1232));
            assert_eq!((reply.rcode(), reply.ede_code()), (ResponseCode::ServFail, Some(0)), "{name} {via:?}");
        }
        assert!(house.ask(via, &Ask::a("listed.test")).is_sunk());
        assert!(house.ask(via, &Ask::a("cached.test")).is_upstreams());
    }
    let text = house.server().metrics().render();
    assert_eq!(sum(&text, "cenote_queries_total", "outcome=\"overload\""), 4);
    assert_eq!(house.metric("cenote_limit_reached_total{limit=\"waiting-per-client\"}"), 4);
    upstream.release();
    assert!((0..3).all(|_| client.receive().is_upstreams()));
}

#[test]
fn a_client_that_fills_the_table_gives_way_to_one_that_asks_for_less() {
    let upstream = Upstream::start();
    let plan = Plan::new().upstreams(&[&upstream]).key("server", "workers = 1");
    let house = plan.key("upstream", "in-flight-max = 2").start();
    let (mut greedy, mut other) = (house.client_at("127.0.0.8", Via::Udp), house.client_at("127.0.0.9", Via::Udp));
    for name in ["hold.one.test", "hold.two.test"] {
        greedy.send(&Ask::a(name).octets());
        upstream.wait_for(name, 1);
    }
    greedy.send(&Ask::a("hold.three.test").octets());
    assert_eq!(greedy.receive().rcode(), ResponseCode::ServFail, "it makes no room for itself");
    assert!(other.ask(&Ask::a("one.test")).is_upstreams());
    assert_eq!(greedy.receive().rcode(), ResponseCode::ServFail, "one of its own gave way");
    assert_eq!(house.metric("cenote_limit_reached_total{limit=\"in-flight\"}"), 2);
    upstream.release();
    assert!(greedy.receive().is_upstreams());
}

#[test]
fn many_clients_may_wait_for_one_name() {
    let upstream = Upstream::start();
    let house = Plan::new().upstreams(&[&upstream]).key("server", "workers = 1").start();
    let mut clients: Vec<_> = (1..=20).map(|last| house.client_at(&format!("127.0.7.{last}"), Via::Udp)).collect();
    for client in &mut clients {
        (0..30).for_each(|_| client.send(&Ask::a("hold.test").octets()));
    }
    eventually("all wait", || house.metric("cenote_coalesced_total") == 599);
    upstream.release();
    for client in &mut clients {
        assert!((0..30).all(|_| client.receive().is_upstreams()));
    }
}

#[test]
fn forged_replies_are_not_believed() {
    let upstream = Upstream::start();
    let house = house(&[&upstream]);
    for (name, rejected) in
        [("forged-id.test", 1), ("forged-question.test", 2), ("case.long-name-with-many-letters.test", 3)]
    {
        for via in BOTH {
            let reply = house.ask(via, &Ask::a(name));
            assert_eq!(reply.addresses(), [ADDRESS], "{name} {via:?}: {FORGED} is the forger's");
        }
        let series = format!("cenote_upstream_rejected_replies_total{{upstream=\"{}\"}}", upstream.at);
        eventually("what was forged is counted", || house.metric(&series) == rejected);
    }
    let last = upstream.asked().pop().unwrap();
    assert_eq!(last.via, Via::Tcp, "other letters: asked again where nobody can guess");
}

#[test]
fn negatives_are_kept_too() {
    let upstream = Upstream::start();
    let house = house(&[&upstream]);
    for (name, want) in [("nx.test", ResponseCode::NXDomain), ("nodata.test", ResponseCode::NoError)] {
        for via in BOTH {
            let reply = house.ask(via, &Ask::a(name));
            assert_eq!((reply.rcode(), reply.message.authorities.len()), (want, 1), "{name} {via:?}");
            assert!((58..=60).contains(&reply.ttl()), "{name} {reply:?}");
        }
        assert_eq!(upstream.seen(name), 1);
    }
}

#[test]
fn a_ttl_counts_down_and_a_cut_one_runs_out() {
    let upstream = Upstream::start();
    let plan = Plan::new().upstreams(&[&upstream]).key("cache", "ttl-max-secs = 2");
    let house = plan.start();
    let (start, mut client) = (Instant::now(), house.client(Via::Udp));
    assert_eq!(client.ask(&Ask::a("one.test")).ttl(), 2);
    eventually("the TTL counts down", || client.ask(&Ask::a("one.test")).ttl() == 1);
    eventually("it is asked for again", || {
        client.ask(&Ask::a("one.test"));
        upstream.seen("one.test") == 2
    });
    assert!(start.elapsed().as_millis() > 900, "not before its time");
}

#[test]
fn a_reply_fits_what_the_client_takes() {
    let upstream = Upstream::start();
    let house = house(&[&upstream]);
    for (name, size, whole) in [
        ("medium.test", None, false),
        ("medium.test", Some(512), false),
        ("medium.test", Some(0), false),
        ("medium.test", Some(1232), true),
        ("medium.test", Some(65_535), true),
        ("big.test", None, false),
        ("big.test", Some(65_535), false),
        ("one.test", Some(0), true),
    ] {
        let plain = Ask::a(name);
        let reply = house.ask(Via::Udp, &size.map_or(plain.clone(), |size| plain.clone().edns(size)));
        let limit = size.map_or(512, |size| usize::from(size.clamp(512, 1232)));
        assert!(reply.octets.len() <= limit, "{name} {size:?}: {}", reply.octets.len());
        assert_eq!(reply.message.metadata.truncation, !whole, "{name} {size:?}");
        assert_eq!(reply.addresses().is_empty(), !whole, "RFC 2181 §9: {name} {size:?} {reply:?}");
        let reply = house.ask(Via::Tcp, &plain);
        assert!(!reply.message.metadata.truncation && reply.addresses().contains(&ADDRESS), "{name} {reply:?}");
    }
    assert_eq!(house.metric("cenote_truncated_replies_total"), 5);
    let all = house.ask(Via::Tcp, &Ask::a("big.test")).addresses();
    assert_eq!((all.len(), all[199]), (200, Ipv4Addr::new(192, 0, 2, 200).into()));
}
