//! A new generation: what brings it, what keeps the old one, that nothing is lost meanwhile, and that the old one's memory is given back.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use cenote::app::ReloadError;
use hickory_proto::op::ResponseCode;

use crate::harness::{Ask, BOTH, House, Plan, Upstream, Via, eventually};

const ZONE: &str = "@ 60 SOA ns host 1 2 3 4 5\n@ 60 NS ns\nns 60 A 192.0.2.1\n";

/// A server with one feed of four names, and a zone.
fn house() -> House {
    let plan = Plan::new().key("upstream", "servers = ['127.7.7.8:9']");
    plan.feed("ads", "one.test\ntwo.test\nthree.test\nfour.test\n").zone("corp.test", ZONE).start()
}

#[test]
fn a_changed_file_is_noticed_however_it_was_changed() {
    let house = house();
    house.replace("ads", "one.test\nmoved.test\n");
    eventually("a file moved over the feed", || house.a("moved.test").is_sunk());
    house.overwrite("ads", "one.test\nwritten.test\n");
    eventually("a feed written in place", || house.a("written.test").is_sunk());
    house.replace("corp.test.zone", &format!("{ZONE}new 60 A 192.0.2.7\n"));
    eventually("another zone file", || house.a("new.corp.test").addresses().len() == 1);
    assert!(!house.a("moved.test").is_sunk());
}

#[test]
fn a_changed_configuration_is_noticed_and_its_new_feed_is_watched() {
    let mut house = house();
    house.configure(|plan| plan.feed("more", "five.test\n"));
    eventually("the new feed", || house.a("five.test").is_sunk());
    house.replace("more", "six.test\n");
    eventually("the new feed's change", || house.a("six.test").is_sunk());
    assert!(house.a("one.test").is_sunk());
}

#[test]
fn a_feed_that_lost_too_much_keeps_its_old_entries() {
    let house = house();
    for (round, text) in ["one.test\n", "", "# nothing\n", "no name at all\n"].into_iter().enumerate() {
        house.replace("ads", text);
        let notes = house.reload().unwrap().notes;
        assert!(notes.len() == 1 && notes[0].starts_with("feed ads: "), "{text:?}: {notes:?}");
        assert!(["one.test", "two.test", "four.test"].iter().all(|name| house.a(name).is_sunk()), "{text:?}");
        assert_eq!(house.metric("cenote_feed_entries{feed=\"ads\"}"), 4);
        assert_eq!(house.metric("cenote_feed_stale{feed=\"ads\"}"), 1);
        // The watch may have tried it too.
        assert!(house.metric("cenote_feed_failures_total{feed=\"ads\"}") > round as u64);
    }
    house.replace("ads", "one.test\nfive.test\n");
    assert!(house.reload().unwrap().notes.is_empty());
    assert!(house.a("five.test").is_sunk() && !house.a("two.test").is_sunk());
    assert_eq!(house.metric("cenote_feed_stale{feed=\"ads\"}"), 0);
}

#[test]
fn a_wrong_configuration_keeps_the_old_generation() {
    let house = house();
    house.replace("cenote.toml", "[server]\nlisten = 7\n");
    assert!(matches!(house.reload(), Err(ReloadError::Config(_))));
    assert!(house.metric("cenote_reload_failures_total") >= 1 && house.generation() == 1);
    assert!(house.a("one.test").is_sunk());
}

#[test]
fn a_wrong_zone_keeps_the_old_generation() {
    let house = house();
    house.replace("corp.test.zone", "@ 60 NS\n");
    house.replace("ads", "one.test\nfive.test\n");
    assert!(matches!(house.reload(), Err(ReloadError::Zones(_))));
    assert_eq!((house.a("ns.corp.test").addresses().len(), house.a("five.test").is_sunk()), (1, false));
    house.replace("corp.test.zone", ZONE);
    house.reload().unwrap();
    assert!(house.a("five.test").is_sunk());
}

#[test]
fn keys_that_need_a_restart_are_named_until_there_is_one() {
    let mut house = house();
    house.configure(|plan| {
        plan.key("server", "workers = 3").key("cache", "size-mb = 9").key("sinkhole", "ttl-secs = 5")
    });
    for _ in 0..2 {
        let notes = house.reload().unwrap().notes;
        assert_eq!(notes, ["changed, and in force after a restart: server.workers, cache.size-mb"]);
    }
    assert_eq!(house.a("one.test").ttl(), 5, "the rest applies");
}

#[test]
fn who_may_ask_applies_at_once() {
    let mut house = house();
    let mut client = house.client(Via::Tcp);
    assert!(client.ask(&Ask::a("one.test")).is_sunk());
    for (allow, want) in [("['192.0.2.0/24']", ResponseCode::Refused), ("['127.0.0.1/32']", ResponseCode::NoError)] {
        house.configure(|plan| plan.key("access", &format!("allow = {allow}")));
        house.reload().unwrap();
        assert!(BOTH.iter().all(|&via| house.ask(via, &Ask::a("one.test")).rcode() == want), "{allow}");
        assert_eq!(client.ask(&Ask::a("one.test")).rcode(), want, "{allow}: an open connection too");
    }
}

#[test]
fn a_swap_under_load_loses_nothing() {
    let upstream = Upstream::start();
    let house = Plan::new().upstreams(&[&upstream]).feed("ads", "always.test\nround-0.test\n").start();
    let (done, asked) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let clients: Vec<_> = [Via::Udp, Via::Udp, Via::Tcp]
        .into_iter()
        .map(|via| {
            let (mut client, done, asked) = (house.client(via), Arc::clone(&done), Arc::clone(&asked));
            // Every question must be answered: `ask` fails otherwise.
            thread::spawn(move || {
                while !done.load(Ordering::Relaxed) {
                    assert!(client.ask(&Ask::a("always.test")).is_sunk());
                    assert!(client.ask(&Ask::a("www.always.test")).is_sunk());
                    assert!(client.ask(&Ask::a("alias-always-test.never.test")).is_sunk());
                    assert!(client.ask(&Ask::a("never.test")).is_upstreams());
                    asked.fetch_add(4, Ordering::Relaxed);
                }
            })
        })
        .collect();
    for round in 1..=30 {
        let before = asked.load(Ordering::Relaxed);
        house.replace("ads", &format!("always.test\nround-{round}.test\n"));
        house.reload().unwrap();
        assert!(house.a(&format!("round-{round}.test")).is_sunk(), "in force once the reload is back");
        assert!(house.a(&format!("round-{}.test", round - 1)).is_upstreams());
        eventually("the clients go on", || {
            asked.load(Ordering::Relaxed) > before || clients.iter().any(|c| c.is_finished())
        });
    }
    done.store(true, Ordering::Relaxed);
    clients.into_iter().for_each(|client| client.join().unwrap());
    assert!(house.generation() >= 31);
    assert_eq!(house.metric("cenote_panics_total"), 0);
}

#[test]
fn a_retired_policy_is_freed_though_all_workers_are_idle() {
    let house = Plan::new().key("server", "workers = 4").feed("ads", "one.test\ntwo.test\n").start();
    let mut open = house.client(Via::Tcp);
    open.ask(&Ask::a("one.test"));
    (0..16).for_each(|_| drop(house.a("one.test")));
    let (policy, index) = {
        let rules = house.server().live().load();
        let policy = rules.policy.as_ref().unwrap();
        (Arc::downgrade(policy), Arc::downgrade(&policy.indexes()[0]))
    };
    house.replace("ads", "one.test\nthree.test\n");
    house.reload().unwrap();
    let swapped = Instant::now();
    eventually("the old policy and its index are freed", || policy.strong_count() + index.strong_count() == 0);
    assert!(swapped.elapsed() < Duration::from_secs(1), "{:?}", swapped.elapsed());
    assert!(open.ask(&Ask::a("three.test")).is_sunk());
}
