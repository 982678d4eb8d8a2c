//! A packet turned into its reply, by the rung of the ladder it ends on.

#![allow(missing_docs, clippy::unwrap_used, clippy::indexing_slicing, reason = "a bench")]

mod names;

use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use cenote::cache::{Config as CacheConfig, Local, Seed, Shared};
use cenote::metrics::{Shard, Transport};
use cenote::server::{Client, Outcome, Responder};
use criterion::{Criterion, criterion_group, criterion_main};

/// Names listed.
const LISTED: usize = 100_000;
/// The client.
const CLIENT: Client = Client::proxied(IpAddr::V4(Ipv4Addr::LOCALHOST));

fn respond(criterion: &mut Criterion) {
    let listed = names::listed(LISTED);
    let rules = names::rules(&listed);
    let config = CacheConfig::default();
    let shared = Arc::new(Shared::new(&config));
    let seed = Seed::new([1, 2]);
    let new = |local| Responder::new(Transport::Udp, Arc::default(), local, Arc::clone(&shared), seed.clone());
    let mut responder: Responder = new(Local::new(&config));
    let mut without_local = new(Local::none());
    assert_eq!(size_of_val(responder.shard()), size_of::<Shard>());
    let mut out = [0; 1232];

    let cached = names::query(&names::unlisted(1)[0]);
    match responder.respond(&rules, &cached, CLIENT, 0, &mut out) {
        Outcome::Forward(miss) => responder.keep(&miss.key, &names::answer(&cached), 0),
        other => unreachable!("{other:?}"),
    }
    let sunk = names::query(&names::below(&listed, 1, 1)[0]);
    let mut group = criterion.benchmark_group("respond");
    for (what, packet) in [
        ("sink", &sunk),
        ("worker-cache", &cached),
        ("zone", &names::query(&names::name("ns.corp.example"))),
        ("special", &names::query(&names::name("localhost"))),
        ("malformed", &sunk[..sunk.len() - 1].to_vec()),
        ("miss", &names::query(&names::unlisted(2)[1])),
    ] {
        group.bench_function(what, |bench| {
            bench.iter(|| match responder.respond(&rules, black_box(packet), CLIENT, 1000, &mut out) {
                Outcome::Reply(octets) => octets,
                Outcome::Forward(_) | Outcome::Silence => 0,
            });
        });
    }
    group.bench_function("shared-cache", |bench| {
        bench.iter(|| {
            matches!(without_local.respond(&rules, black_box(&cached), CLIENT, 1000, &mut out), Outcome::Reply(_))
        });
    });
    group.finish();
}

criterion_group!(benches, respond);
criterion_main!(benches);
