//! Listening on every address: a reply leaves from the address that was asked, or the client would not take it.

use std::net::{IpAddr, SocketAddr, TcpListener};

use crate::harness::{Ask, BOTH, Client, Plan, Upstream};

/// A server on this address, asked at each of those.
fn asked_at(listen: &str, own: &str, addresses: &[&str]) {
    let upstream = Upstream::start();
    let plan = Plan::new().upstreams(&[&upstream]).feed("ads", "listed.test\n");
    let house = plan.key("server", &format!("listen = ['{listen}']")).start();
    for (address, via) in addresses.iter().flat_map(|&address| BOTH.map(|via| (address, via))) {
        let (own, address): (IpAddr, IpAddr) = (own.parse().unwrap(), address.parse().unwrap());
        // A connected socket takes replies from that address only.
        let mut client = Client::from(own, via, SocketAddr::new(address, house.at.port()));
        assert!(client.ask(&Ask::a("listed.test")).is_sunk(), "{address} {via:?}");
        assert!(client.ask(&Ask::a("other.test")).is_upstreams(), "{address} {via:?}: forwarded, then cached");
    }
}

#[test]
fn ipv4() {
    asked_at("0.0.0.0:0", "127.0.0.1", &["127.0.0.1", "127.0.0.2", "127.99.0.1"]);
}

#[test]
fn ipv6() {
    if TcpListener::bind("[::1]:0").is_err() {
        // No test of IPv6 on a machine without it.
        eprintln!("skipped: this machine has no IPv6");
        return;
    }
    asked_at("[::]:0", "::1", &["::1"]);
    asked_at("[::1]:0", "::1", &["::1"]);
}
