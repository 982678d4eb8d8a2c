//! The PROXY protocol: who must speak it, who must not, and that the client it names is the one that is judged.

use std::net::IpAddr;

use hickory_proto::op::ResponseCode;

use crate::harness::{Ask, BOTH, Client, House, Plan, Upstream, Via, eventually, free_addresses, sum};

/// What version 2 begins with, version and command included: PROXY, and LOCAL.
const PROXY: &[u8; 13] = b"\r\n\r\n\0\r\nQUIT\n\x21";
const LOCAL: &[u8] = b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0";
/// Where the balancer is. It is no client itself.
const BALANCER: &str = "127.0.0.7";

/// What a balancer puts in front of a query of a client at `source`.
fn header(via: Via, source: &str) -> Vec<u8> {
    let address = match source.parse().unwrap() {
        IpAddr::V4(v4) => v4.octets().to_vec(),
        IpAddr::V6(v6) => v6.octets().to_vec(),
    };
    let family = if address.len() == 4 { 0x10 } else { 0x20 };
    let block = [&address[..], &vec![0; address.len()], b"\xd4\x31\0\x35", b"\xe0\0\x03tlv"].concat();
    let protocol = if via == Via::Tcp { 1 } else { 2 };
    [&PROXY[..], &[family | protocol, 0, block.len() as u8], &block].concat()
}

/// A query as it travels.
fn framed(via: Via, ask: &Ask) -> Vec<u8> {
    let octets = ask.octets();
    let length = (octets.len() as u16).to_be_bytes();
    if via == Via::Tcp { [&length[..], &octets].concat() } else { octets }
}

/// A server with a balancer in front, that documentation's clients may ask, and the local one.
fn plan() -> (Plan, Upstream) {
    let upstream = Upstream::start();
    let plan = Plan::new().upstreams(&[&upstream]).feed("ads", "listed.test\n");
    let plan = plan.key("access", "allow = ['192.0.2.0/24', '2001:db8::/32', '127.0.0.1/32']");
    (plan.key("proxy", &format!("from = ['{BALANCER}']")), upstream)
}

/// The same, running.
fn house() -> (House, Upstream) {
    let (plan, upstream) = plan();
    (plan.start(), upstream)
}

/// A socket of the balancer's.
fn balancer(house: &House, via: Via) -> Client {
    Client::from(BALANCER.parse().unwrap(), via, house.at)
}

/// How many were refused, for a reason or (`""`) for any.
fn refused(house: &House, reason: &str) -> u64 {
    let label = if reason.is_empty() { String::new() } else { format!("reason=\"{reason}\"") };
    sum(&house.server().metrics().render(), "cenote_proxy_refused_total", &label)
}

#[test]
fn the_client_that_the_header_names_is_judged() {
    let (house, _upstream) = house();
    for (via, source, allowed) in BOTH.iter().flat_map(|&via| {
        [
            (via, "192.0.2.9", true),
            (via, "2001:db8::9", true),
            (via, "::ffff:192.0.2.9", true),
            (via, "198.51.100.9", false),
            (via, "2001:db9::9", false),
            (via, BALANCER, false),
        ]
    }) {
        for name in ["listed.test", "localhost", "other.test"] {
            let (mut balancer, ask) = (balancer(&house, via), Ask::a(name).edns(1232));
            balancer.send_raw(&[header(via, source), framed(via, &ask)].concat());
            let reply = balancer.receive();
            let refused = (reply.rcode(), reply.ede_code()) == (ResponseCode::Refused, Some(18));
            assert_eq!((refused, reply.octets[..2] == ask.octets()[..2]), (!allowed, true), "{via:?} {source} {name}");
        }
    }
    assert_eq!(refused(&house, ""), 0);
}

#[test]
fn a_forwarded_answer_comes_back_through_the_balancer() {
    let (house, upstream) = house();
    for via in BOTH {
        let (mut balancer, ask) = (balancer(&house, via), Ask::a(&format!("hold.{via:?}.test")));
        balancer.send_raw(&[header(via, "192.0.2.9"), framed(via, &ask)].concat());
        upstream.wait_for(&format!("hold.{via:?}.test").to_lowercase(), 1);
        upstream.release();
        let reply = balancer.receive();
        assert!(reply.is_upstreams() && reply.octets[..2] == ask.octets()[..2], "{via:?} {reply:?}");
    }
}

#[test]
fn behind_a_balancer_the_clients_network_tells_the_tenant_and_then_the_listener() {
    let [shared, own] = free_addresses();
    let (plan, _upstream) = plan();
    let house = plan
        .key("server", &format!("listen = ['{shared}', '{own}']"))
        .key("access", "allow = ['192.0.2.0/24', '2001:db8::/32', '127.0.0.0/8']")
        .feed("late", "late.test\n")
        .tenant("listening", &format!("listeners = ['{own}']\nfeeds = ['late']\ndeny = ['own.test']"))
        .tenant("addressed", "networks = ['192.0.2.128/25', '2001:db8:7::/48', '127.0.0.9']\nfeeds = []")
        .start();
    // What is sunk: of listed.test, late.test, own.test.
    let (default, listening, addressed) = ([true, true, false], [false, true, true], [false; 3]);
    let names = ["listed.test", "late.test", "own.test"];
    for via in BOTH {
        for (at, source, want) in [
            (shared, "192.0.2.9", default),
            (shared, "192.0.2.200", addressed),
            (own, "192.0.2.9", listening),
            (own, "2001:db8::9", listening),
            (own, "192.0.2.200", addressed),
            (own, "::ffff:192.0.2.200", addressed),
            (own, "2001:db8:7::9", addressed),
        ] {
            let sunk = names.map(|name| {
                let mut balancer = Client::from(BALANCER.parse().unwrap(), via, at);
                balancer.send_raw(&[header(via, source), framed(via, &Ask::a(name))].concat());
                balancer.receive().is_sunk()
            });
            assert_eq!(sunk, want, "{via:?} {at} {source}");
        }
        // Who comes itself, and a balancer that asks for itself: the listener first.
        for (client, front, at, want) in [
            ("127.0.0.1", &b""[..], shared, default),
            ("127.0.0.9", b"", shared, addressed),
            ("127.0.0.9", b"", own, listening),
            (BALANCER, LOCAL, shared, default),
            (BALANCER, LOCAL, own, listening),
        ] {
            let sunk = names.map(|name| {
                let mut client = Client::from(client.parse().unwrap(), via, at);
                client.send_raw(&[front, &framed(via, &Ask::a(name))].concat());
                client.receive().is_sunk()
            });
            assert_eq!(sunk, want, "{via:?} {at} {client}");
        }
    }
    assert_eq!(refused(&house, ""), 0);
}

#[test]
fn a_forwarded_answer_through_a_balancer_is_judged_by_the_listeners_tenant() {
    let [shared, own] = free_addresses();
    let (plan, upstream) = plan();
    let house = plan
        .key("server", "workers = 1")
        .key("server", &format!("listen = ['{shared}', '{own}']"))
        .tenant("listening", &format!("listeners = ['{own}']\ndeny = ['own.test']"))
        .start();
    for (waiting, via) in (1..).zip(BOTH) {
        let name = format!("held-own-test.{via:?}.test").to_lowercase();
        let balancers = [shared, own].map(|at| {
            let mut balancer = Client::from(BALANCER.parse().unwrap(), via, at);
            balancer.send_raw(&[header(via, "192.0.2.9"), framed(via, &Ask::a(&name))].concat());
            balancer
        });
        eventually("the second waits for the first", || house.metric("cenote_coalesced_total") == waiting);
        upstream.wait_for(&name, 1);
        upstream.release();
        let sunk = balancers.map(|mut balancer| balancer.receive().is_sunk());
        assert_eq!(sunk, [false, true], "{via:?}: one answer, each by its own policy");
    }
}

#[test]
fn a_balancer_without_a_good_header_is_refused() {
    let (house, _upstream) = house();
    for via in BOTH {
        let query = framed(via, &Ask::a("listed.test"));
        let good = header(via, "192.0.2.9");
        let with = |place: usize, octet: u8| {
            let mut bad = good.clone();
            bad[place] = octet;
            [&bad[..], &query].concat()
        };
        for (what, octets, reason) in [
            ("none", query.clone(), "missing"),
            ("another signature", with(11, 0), "missing"),
            ("version 1", [&b"PROXY TCP4 192.0.2.9 192.0.2.1 1 53\r\n"[..], &query].concat(), "malformed"),
            ("version 3", with(12, 0x31), "malformed"),
            ("no such command", with(12, 0x22), "malformed"),
            ("a Unix socket's", with(13, 0x31), "malformed"),
            ("no such transport", with(13, 0x13), "malformed"),
            ("longer than may be", with(14, 2), "malformed"),
            ("longer than it is", good[..20].to_vec(), "malformed"),
            ("shorter than its addresses", with(15, 11), "malformed"),
        ] {
            let before = (refused(&house, reason), refused(&house, ""));
            let mut client = balancer(&house, via);
            client.send_raw(&octets);
            if via == Via::Udp {
                let ask = Ask::a("listed.test");
                client.send_raw(&[&good[..], &framed(via, &ask)].concat());
                let reply = client.receive();
                assert_eq!(reply.octets[..2], ask.octets()[..2], "{what}: the bad one has no reply");
            } else {
                client.finish();
                assert!(client.receive_octets().is_none(), "{what}: the connection is closed");
            }
            assert_eq!((refused(&house, reason), refused(&house, "")), (before.0 + 1, before.1 + 1), "{via:?} {what}");
        }
    }
    let text = house.server().metrics().render();
    assert_eq!(sum(&text, "cenote_queries_total", "transport=\"udp\",outcome=\"dropped\""), 10);
    assert_eq!(sum(&text, "cenote_queries_total", "transport=\"tcp\""), 0, "no query was read");
    assert_eq!(sum(&text, "cenote_panics_total", ""), 0);
}

#[test]
fn a_strangers_header_is_refused_and_a_strangers_query_is_not() {
    let (house, _upstream) = house();
    for via in BOTH {
        let query = framed(via, &Ask::a("listed.test"));
        let headers = [header(via, "192.0.2.9"), LOCAL.to_vec(), b"PROXY UNKNOWN\r\n".to_vec()];
        for (count, header) in (1..).zip(headers) {
            let mut stranger = house.client(via);
            if via == Via::Udp {
                stranger.assert_silence(&[&header[..], &query].concat());
            } else {
                stranger.send_raw(&[&header[..], &query].concat());
                assert!(stranger.receive_octets().is_none(), "closed");
            }
            let label = if via == Via::Udp { count } else { 3 + count };
            assert_eq!((refused(&house, "stranger"), refused(&house, "")), (label, label), "{via:?}");
        }
        assert!(house.ask(via, &Ask::a("listed.test")).is_sunk(), "{via:?}: its own query is answered");
    }
}

#[test]
fn who_is_not_told_of_balancers_believes_none() {
    let upstream = Upstream::start();
    let house = Plan::new().upstreams(&[&upstream]).feed("ads", "listed.test\n").start();
    house.client(Via::Udp).assert_silence(&[header(Via::Udp, "10.0.0.1"), Ask::a("listed.test").octets()].concat());
    assert_eq!(refused(&house, "stranger"), 1);
}

#[test]
fn a_local_header_is_the_balancers_own() {
    for (allow, served) in [("['192.0.2.0/24']", false), ("['192.0.2.0/24', '127.0.0.7']", true)] {
        let house = plan().0.key("access", &format!("allow = {allow}")).start();
        let unspecified = [&PROXY[..], b"\0\0\0"].concat();
        let with_addresses = [&LOCAL[..13], b"\x12\0\x0c", &[192, 0, 2, 9], &[0; 8]].concat();
        for (via, header) in
            BOTH.iter().flat_map(|&via| [LOCAL, &unspecified[..], &with_addresses[..]].map(|header| (via, header)))
        {
            let mut balancer = balancer(&house, via);
            balancer.send_raw(&[header, &framed(via, &Ask::a("listed.test"))].concat());
            let reply = balancer.receive();
            assert_eq!((reply.is_sunk(), reply.rcode() == ResponseCode::Refused), (served, !served), "{allow} {via:?}");
        }
    }
}

#[test]
fn one_header_opens_a_connection_and_its_queries_follow() {
    let (house, _upstream) = house();
    let asks: Vec<Ask> = (0..100).map(|n| Ask::a(&format!("n{n}.listed.test"))).collect();
    let queries: Vec<u8> = asks.iter().flat_map(|ask| framed(Via::Tcp, ask)).collect();
    let whole = [header(Via::Tcp, "192.0.2.9"), queries].concat();
    let mut at_once = balancer(&house, Via::Tcp);
    at_once.send_raw(&whole);
    let mut in_drops = balancer(&house, Via::Tcp);
    let (first, rest) = whole.split_at(80);
    first.iter().for_each(|octet| in_drops.send_raw(&[*octet]));
    in_drops.send_raw(rest);
    for client in [&mut at_once, &mut in_drops] {
        for ask in &asks {
            let reply = client.receive();
            assert!(reply.is_sunk() && reply.octets[..2] == ask.octets()[..2]);
        }
    }
    at_once.send_raw(&header(Via::Tcp, "192.0.2.9"));
    at_once.finish();
    assert!(at_once.receive_octets().is_none(), "a second header is no message");
    assert_eq!(refused(&house, ""), 0);
}

#[test]
fn a_balancer_that_says_nothing_is_closed_and_not_counted() {
    let house = plan().0.key("server", "tcp-idle-secs = 1").start();
    let mut silent = balancer(&house, Via::Tcp);
    assert!(silent.receive_octets().is_none());
    let mut ended = balancer(&house, Via::Tcp);
    ended.finish();
    assert!(ended.receive_octets().is_none());
    assert_eq!(refused(&house, ""), 0);
    let mut half = balancer(&house, Via::Tcp);
    half.send_raw(&PROXY[..]);
    assert!(half.receive_octets().is_none());
    assert_eq!(refused(&house, "malformed"), 1);
}

#[test]
fn a_balancers_connections_are_not_one_clients() {
    let plan = plan().0.key("server", "tcp-connections-per-client = 1").key("server", "tcp-connections = 4");
    let house = plan.start();
    let ask = |client: &mut Client, front: &[u8]| {
        client.send_raw(&[front, &framed(Via::Tcp, &Ask::a("listed.test"))].concat());
        client.receive_octets().is_some()
    };
    let front = header(Via::Tcp, "192.0.2.9");
    let mut balancers: Vec<Client> = (0..3).map(|_| balancer(&house, Via::Tcp)).collect();
    assert!(balancers.iter_mut().all(|client| ask(client, &front)), "as many as there is room for");
    let mut client = house.client(Via::Tcp);
    assert!(ask(&mut client, &[]), "the last place");
    assert!(balancer(&house, Via::Tcp).receive_octets().is_none(), "the limit on all of them stays");
}

#[test]
fn a_reload_changes_who_is_trusted_and_an_open_connection_stays_as_it_is() {
    let (mut house, _upstream) = house();
    let mut open = balancer(&house, Via::Tcp);
    open.send_raw(&[header(Via::Tcp, "192.0.2.9"), framed(Via::Tcp, &Ask::a("listed.test"))].concat());
    assert!(open.receive().is_sunk());
    house.configure(|plan| plan.key("proxy", "from = ['127.0.0.8/32']").key("access", "allow = ['127.0.0.0/8']"));
    assert_eq!(house.reload().unwrap().notes, [""; 0], "nothing wants a restart");
    for via in BOTH {
        assert!(balancer(&house, via).ask(&Ask::a("listed.test")).is_sunk(), "{via:?}: now a client as any");
    }
    let refused = open.ask(&Ask::a("listed.test"));
    assert_eq!(refused.rcode(), ResponseCode::Refused, "still the client it was, who may not ask now");
    let mut other = Client::from("127.0.0.8".parse().unwrap(), Via::Udp, house.at);
    other.send_raw(&[header(Via::Udp, "127.9.9.9"), Ask::a("listed.test").octets()].concat());
    assert!(other.receive().is_sunk());
}
