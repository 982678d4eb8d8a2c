//! A name's decision among a million listed names, or as many as `CENOTE_BENCH_NAMES` says, beside what a hash set of the same names would
//! cost: one SipHash probe a label.

#![allow(missing_docs, clippy::unwrap_used, clippy::indexing_slicing, reason = "a bench")]

mod names;

use std::collections::HashSet;
use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr};

use cenote::name::Name;
use cenote::policy::{Judge, SinkConfig, Tenants, Verdict, Via};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

/// Names listed, unless the environment says otherwise.
const LISTED: usize = 1_000_000;
/// Names asked for in one round.
const ASKED: usize = 4096;

/// Whether a suffix of `name` is in the set, from the top label down.
fn probe(set: &HashSet<Box<[u8]>>, name: &Name) -> bool {
    let view = name.view().unwrap();
    (1..=view.labels()).any(|labels| set.contains(view.suffix(labels)))
}

fn lookup(criterion: &mut Criterion) {
    let count = std::env::var("CENOTE_BENCH_NAMES").ok().and_then(|count| count.parse().ok());
    let listed = names::listed(count.unwrap_or(LISTED));
    let (policy, tenants, sink) = (names::policy(&listed), Tenants::default(), SinkConfig::default());
    let client = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let judge = Judge::new(Some(&policy), tenants.find(None, client), &sink, client, Via::Datagram);
    let set: HashSet<Box<[u8]>> = listed.iter().map(|text| names::name(text).wire().into()).collect();
    let mut group = criterion.benchmark_group("lookup");
    group.throughput(Throughput::Elements(ASKED as u64));
    for (what, asked, sunk) in [
        ("listed", names::below(&listed, 0, ASKED), true),
        ("below-listed", names::below(&listed, 1, ASKED), true),
        ("not-listed", names::unlisted(ASKED), false),
        ("deep", names::below(&listed, 8, ASKED), true),
    ] {
        let decide = |name: &Name| judge.query(&name.view().unwrap()).verdict != Verdict::Unlisted;
        assert!(asked.iter().all(|name| decide(name) == sunk && probe(&set, name) == sunk), "{what}");
        group.bench_function(format!("policy/{what}"), |bench| {
            bench.iter(|| asked.iter().filter(|name| decide(black_box(name))).count());
        });
        group.bench_function(format!("hash-set/{what}"), |bench| {
            bench.iter(|| asked.iter().filter(|name| probe(&set, black_box(name))).count());
        });
    }
    group.finish();
}

criterion_group!(benches, lookup);
criterion_main!(benches);
