//! The two levels of the cache: a worker's own table beside the shared one, hit, missed and stored into, and an answer written out.

#![allow(missing_docs, clippy::unwrap_used, clippy::indexing_slicing, reason = "a bench")]

mod names;

use std::hint::black_box;
use std::sync::Arc;

use cenote::cache::{Config, Key, Local, Seed, Shared};
use cenote::wire::{Header, Query};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

/// Names asked for in one round: a quarter of a worker's slots.
const ASKED: usize = 1024;

/// Reads a query that is one.
fn read(packet: &[u8]) -> Query<'_> {
    Query::read(Header::read(packet).unwrap(), packet).unwrap()
}

fn cache(criterion: &mut Criterion) {
    let seed = Seed::new([1, 2]);
    let packets: Vec<_> = names::unlisted(2 * ASKED).iter().map(names::query).collect();
    let all: Vec<_> = packets.iter().map(|packet| Key::of(&read(packet), 0, &seed)).collect();
    let (keys, others) = all.split_at(ASKED);
    let answers: Vec<_> = packets.iter().take(ASKED).map(|packet| names::answer(packet)).collect();
    let config = Config::default();
    let (mut local, shared) = (Local::new(&config), Shared::new(&config));
    for (key, answer) in keys.iter().zip(&answers) {
        local.put(key, Arc::clone(answer), 0);
        shared.put(key, Arc::clone(answer), 0);
    }
    let found = keys.iter().filter(|key| local.get(key, 0).is_some()).count();
    assert!(found > ASKED * 3 / 4, "{found} of {ASKED} have a slot of their own");
    assert_eq!(shared.len(), ASKED);

    let mut group = criterion.benchmark_group("cache");
    group.throughput(Throughput::Elements(ASKED as u64));
    for (what, keys) in [("hit", keys), ("miss", others)] {
        group.bench_function(format!("local/{what}"), |bench| {
            bench.iter(|| keys.iter().filter(|key| local.get(black_box(key), 0).is_some()).count());
        });
        group.bench_function(format!("shared/{what}"), |bench| {
            bench.iter(|| keys.iter().filter(|key| shared.get(black_box(key), 0).is_some()).count());
        });
    }
    group.bench_function("shared/put", |bench| {
        bench.iter(|| keys.iter().zip(&answers).for_each(|(key, answer)| shared.put(key, Arc::clone(answer), 0)));
    });
    group.throughput(Throughput::Elements(1));
    let mut out = [0; 1232];
    group.bench_function("key", |bench| bench.iter(|| Key::of(&read(black_box(&packets[0])), 0, &seed)));
    group.bench_function("write", |bench| {
        bench.iter(|| answers[0].write(&read(black_box(&packets[0])), 1000, &mut out, 1232));
    });
    group.finish();
}

criterion_group!(benches, cache);
criterion_main!(benches);
