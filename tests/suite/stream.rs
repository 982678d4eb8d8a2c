//! Streams: pipelined, out of order, bounded in number and time; what is no message ends one and harms nobody.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use crate::harness::{Ask, Client, House, Plan, Upstream, Via, eventually};

/// A plan with one listed name, and its upstream.
fn plan() -> (Plan, Upstream) {
    let upstream = Upstream::start();
    (Plan::new().upstreams(&[&upstream]).feed("ads", "listed.test\n").key("server", "tcp-idle-secs = 30"), upstream)
}

/// The same, running.
fn house() -> (House, Upstream) {
    let (plan, upstream) = plan();
    (plan.start(), upstream)
}

/// A query as it travels.
fn framed(ask: &Ask) -> Vec<u8> {
    let octets = ask.octets();
    [&(octets.len() as u16).to_be_bytes()[..], &octets].concat()
}

#[test]
fn queries_in_one_write_are_all_answered() {
    let (house, _upstream) = house();
    let mut client = house.client(Via::Tcp);
    let asks: Vec<Ask> = (0..200).map(|n| Ask::a(&format!("n{n}.listed.test"))).collect();
    client.send_raw(&asks.iter().flat_map(framed).collect::<Vec<u8>>());
    for ask in &asks {
        let reply = client.receive();
        assert!(reply.is_sunk() && reply.octets[..2] == ask.octets()[..2], "what is answered at once keeps its order");
    }
}

#[test]
fn octets_may_trickle() {
    let (house, _upstream) = house();
    let mut client = house.client(Via::Tcp);
    framed(&Ask::a("listed.test")).iter().for_each(|octet| client.send_raw(&[*octet]));
    assert!(client.receive().is_sunk());
}

#[test]
fn a_fast_answer_overtakes_a_slow_one() {
    let (house, upstream) = house();
    let (mut client, slow, fast) = (house.client(Via::Tcp), Ask::a("hold.test"), Ask::a("listed.test"));
    client.send(&slow.octets());
    upstream.wait_for("hold.test", 1);
    assert!(client.ask(&fast).is_sunk());
    upstream.release();
    let late = client.receive();
    assert!(late.is_upstreams() && late.octets[..2] == slow.octets()[..2], "{late:?}");
}

#[test]
fn more_than_may_wait_are_answered_in_turn() {
    let (house, upstream) = house();
    let mut client = house.client(Via::Tcp);
    let asks: Vec<Ask> = (0..70).map(|n| Ask::a(&format!("hold.n{n}.test"))).collect();
    client.send_raw(&asks.iter().flat_map(framed).collect::<Vec<u8>>());
    eventually("the named maximum of one connection", || upstream.asked().len() == 64);
    assert!(house.ask(Via::Tcp, &Ask::a("other.test")).is_upstreams());
    assert_eq!(upstream.asked().len(), 65, "the rest waits to be read, a neighbour does not");
    upstream.release();
    eventually("all are with the upstream", || upstream.asked().len() == 71);
    upstream.release();
    for _ in &asks {
        assert!(client.receive().is_upstreams());
    }
}

#[test]
fn a_half_closed_client_still_gets_its_answers() {
    let (house, upstream) = house();
    let mut client = house.client(Via::Tcp);
    client.send(&Ask::a("hold.test").octets());
    client.send(&Ask::a("listed.test").octets());
    client.finish();
    assert!(client.receive().is_sunk());
    upstream.wait_for("hold.test", 1);
    upstream.release();
    assert!(client.receive().is_upstreams());
    assert!(client.receive_octets().is_none(), "then the server ends it too");
}

#[test]
fn a_silent_client_is_closed() {
    let (plan, _upstream) = plan();
    let house = plan.key("server", "tcp-idle-secs = 1").start();
    for first in [&b""[..], b"\0", b"\0\x20half of it"] {
        let (start, mut client) = (Instant::now(), house.client(Via::Tcp));
        assert!(client.ask(&Ask::a("listed.test")).is_sunk());
        client.send_raw(first);
        assert!(client.receive_octets().is_none());
        assert!(start.elapsed() >= Duration::from_millis(990), "not before its time");
    }
}

#[test]
fn connections_are_bounded() {
    let two = |house: &House| -> Vec<Client> {
        (0..2)
            .map(|_| {
                let mut client = house.client(Via::Tcp);
                assert!(client.ask(&Ask::a("listed.test")).is_sunk());
                client
            })
            .collect()
    };
    let other: IpAddr = "127.0.0.9".parse().unwrap();
    for (key, others_too) in [("tcp-connections = 2", true), ("tcp-connections-per-client = 2", false)] {
        let house = plan().0.key("server", key).start();
        let clients = two(&house);
        assert!(house.client(Via::Tcp).receive_octets().is_none(), "{key}: one too many is closed");
        let mut neighbour = Client::from(other, Via::Tcp, house.at);
        if others_too {
            assert!(neighbour.receive_octets().is_none(), "{key}");
        } else {
            assert!(neighbour.ask(&Ask::a("listed.test")).is_sunk(), "{key}");
        }
        drop((clients, neighbour));
        eventually("places come free", || {
            house.client(Via::Tcp).try_ask(&Ask::a("listed.test")).is_some_and(|reply| reply.is_sunk())
        });
    }
}

#[test]
fn what_is_no_message_ends_the_stream_and_harms_nobody() {
    let (house, _upstream) = house();
    let mut bystander = house.client(Via::Tcp);
    for octets in
        [&b"\0\0"[..], b"\0\x05hello", b"\0\x0bhello world", b"GET / HTTP/1.1\r\n\r\n", b"\xff\xff", b"\0\x20short"]
    {
        let mut client = house.client(Via::Tcp);
        client.send(&Ask::a("listed.test").octets());
        client.send_raw(octets);
        client.finish();
        assert!(client.receive().is_sunk(), "{octets:?}: what was asked before is answered");
        assert!(client.receive_octets().is_none(), "{octets:?}");
        assert!(bystander.ask(&Ask::a("listed.test")).is_sunk());
    }
    let mut client = house.client(Via::Tcp);
    client.send(&vec![0; 65_535]);
    assert_eq!(
        client.receive_octets().unwrap()[3] & 15,
        1,
        "the longest message of all is read, and is a format error"
    );
    assert_eq!(house.metric("cenote_panics_total"), 0);
}

#[test]
fn a_client_that_leaves_takes_nothing_with_it() {
    let (house, upstream) = house();
    for n in 0..10 {
        let mut client = house.client(Via::Tcp);
        client.send(&Ask::a(&format!("hold.n{n}.test")).octets());
        upstream.wait_for(&format!("hold.n{n}.test"), 1);
    }
    upstream.release();
    eventually("all is settled", || house.metric("cenote_in_flight") == 0);
    assert!(house.a("hold.n3.test").is_upstreams(), "its answer was kept");
    assert_eq!(upstream.asked().len(), 10);
}
