//! From a feed's text to an index, step by step, and an artifact opened: what a reload costs. A hundred thousand names.

#![allow(missing_docs, clippy::unwrap_used, reason = "a bench")]

mod names;

use std::hint::black_box;

use cenote::feed::{Terms, TextFormat, read_text};
use cenote::index::{Index, Kept, Part};
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};

/// Names in the feed.
const LISTED: usize = 100_000;

fn build(criterion: &mut Criterion) {
    let text = names::listed(LISTED).join("\n");
    let hosts: String = text.lines().flat_map(|name| ["0.0.0.0 ", name, "\n"]).collect();
    let (sorted, report) = read_text(text.as_bytes(), TextFormat::Plain, &Terms::default()).unwrap();
    assert_eq!(report.refused_total(), 0, "made-up names are names");
    let entries = sorted.len() as u64;
    let index = || Index::build(&Part::in_order(&[("feed", entries, Kept::New(&sorted))])).unwrap();
    let mut artifact = Vec::new();
    index().write(&mut artifact).unwrap();

    let mut group = criterion.benchmark_group("build");
    group.sample_size(10).throughput(Throughput::Elements(LISTED as u64));
    for (what, text, format) in [("read-plain", &text, TextFormat::Plain), ("read-hosts", &hosts, TextFormat::Hosts)] {
        group.bench_function(what, |bench| {
            bench.iter(|| read_text(black_box(text.as_bytes()), format, &Terms::default()).unwrap())
        });
    }
    group.bench_function("index", |bench| bench.iter(index));
    group.bench_function("open", |bench| {
        bench.iter_batched(|| artifact.clone(), |file| Index::open(file).unwrap(), BatchSize::LargeInput);
    });
    group.finish();
}

criterion_group!(benches, build);
criterion_main!(benches);
