//! TCP to upstreams: connections kept and shared, each upstream's apart from the others', lost ones made good.

use std::net::{IpAddr, Ipv4Addr};

use hickory_proto::op::ResponseCode;

use crate::harness::upstream::{Asked, Step};
use crate::harness::{Ask, Client, House, Plan, Upstream, Via, eventually};

/// The other tenant's client.
const OTHER: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2));

/// A server that asks it.
fn house(upstream: &Upstream) -> House {
    Plan::new().upstreams(&[upstream]).start()
}

/// Asks for so many names with this first label, no faster than sockets' buffers hold what its upstream has not read.
fn ask_many(client: &mut Client, upstream: &Upstream, label: &str, count: usize) {
    for number in 0..count {
        client.send(&Ask::a(&format!("{label}.n{number}.test")).octets());
        if number % 50 == 49 {
            eventually("the upstream has read them", || upstream.seen_via(Via::Udp) > number);
        }
    }
}

#[test]
fn truncated_names_in_a_row_use_few_connections() {
    let upstream = Upstream::start();
    let house = house(&upstream);
    assert!((0..200).all(|number| house.a(&format!("tc.n{number}.test")).is_upstreams()));
    assert_eq!(upstream.seen_via(Via::Tcp), 200);
    assert!(upstream.connections() <= 4, "{} connections for 200 questions", upstream.connections());
}

#[test]
fn truncated_names_at_once_share_a_connection_whatever_the_order_of_replies() {
    let upstream = Upstream::start();
    let house = Plan::new().upstreams(&[&upstream]).key("server", "workers = 1").start();
    let mut client = house.client(Via::Udp);
    ask_many(&mut client, &upstream, "tc-hold", 50);
    eventually("all are asked for over TCP", || upstream.seen_via(Via::Tcp) == 50);
    upstream.release();
    assert!((0..50).all(|_| client.receive().is_upstreams()));
    assert_eq!(upstream.connections(), 1);
}

#[test]
fn an_upstream_that_hangs_over_tcp_is_no_other_tenants_loss() {
    let (upstream, hanging) = (Upstream::start(), Upstream::start());
    let plan = Plan::new().upstreams(&[&upstream]).group("hanging", &hanging);
    let house = plan.tenant("other", "networks = ['127.0.0.2']\nupstream-group = 'hanging'").start();
    let mut other = Client::from(OTHER, Via::Udp, house.at);
    ask_many(&mut other, &hanging, "tc-drop", 300);
    eventually("its questions are out", || hanging.seen_via(Via::Tcp) >= 256);
    for number in 0..20 {
        assert!(house.a(&format!("tc.n{number}.test")).is_upstreams(), "{number}");
    }
    assert!(other.receive_at_once().is_none(), "the other's still hang");
}

#[test]
fn a_connection_that_the_upstream_closed_loses_nothing() {
    let upstream = Upstream::start();
    let house = house(&upstream);
    for number in 0..9 {
        assert!(house.a(&format!("tc.n{number}.test")).is_upstreams(), "{number}");
        upstream.close_connections();
    }
    assert_eq!(upstream.connections(), 9);
}

#[test]
fn an_upstream_that_answers_one_question_a_connection_will_do() {
    let upstream = Upstream::start();
    let house = house(&upstream);
    for number in 0..30 {
        assert!(house.a(&format!("tc-last.n{number}.test")).is_upstreams(), "{number}");
    }
}

#[test]
fn a_connection_that_ends_with_questions_out_has_them_asked_again() {
    let upstream = Upstream::start();
    let house = Plan::new().upstreams(&[&upstream]).key("server", "workers = 1").start();
    let mut client = house.client(Via::Udp);
    ask_many(&mut client, &upstream, "tc-hold", 20);
    eventually("all are asked for over TCP", || upstream.seen_via(Via::Tcp) == 20);
    upstream.close_connections();
    eventually("all are asked for again", || upstream.seen_via(Via::Tcp) == 40);
    upstream.release();
    assert!((0..20).all(|_| client.receive().is_upstreams()));
    assert_eq!(upstream.connections(), 2);
}

#[test]
fn who_takes_no_connection_fails_truncated_names_alone() {
    let upstream = Upstream::with(|asked: &Asked| match asked.via {
        Via::Udp => crate::harness::upstream::by_label(asked),
        Via::Tcp => Step::Last(Vec::new()),
    });
    let house = house(&upstream);
    for number in 0..9 {
        let reply = house.a(&format!("tc.n{number}.test"));
        assert_eq!(reply.rcode(), ResponseCode::ServFail, "{number}");
        assert!(house.a(&format!("n{number}.test")).is_upstreams(), "{number}: UDP is as good as ever");
    }
}

#[test]
fn a_full_queue_has_the_next_upstream_asked_and_is_counted() {
    let (hanging, second) = (Upstream::start(), Upstream::with(|asked| Step::Send(vec![asked.answer(0, 1)])));
    let plan = Plan::new().upstreams(&[&hanging, &second]).key("server", "workers = 1");
    let house = plan.key("upstream", "tcp-waiting-max = 1").start();
    let mut client = house.client(Via::Udp);
    ask_many(&mut client, &hanging, "tc-drop", 500);
    assert!((0..50).all(|_| client.receive().is_upstreams()), "402 at most are with the first");
    assert!(house.metric("cenote_limit_reached_total{limit=\"upstream-tcp\"}") >= 50);
}
