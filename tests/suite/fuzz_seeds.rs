//! Every fuzz target's seeds through its body, so that what the fuzzers start from, and what they once found, holds in every run of the tests.

use std::fs;
use std::path::Path;

use super::fuzz;

#[test]
fn every_seed_holds() {
    for (target, run) in fuzz::TARGETS {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds").join(target);
        let mut seeds: Vec<_> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        seeds.sort();
        assert!(!seeds.is_empty(), "no seeds in fuzz/seeds/{target}");
        for seed in seeds {
            let octets = fs::read(&seed).unwrap();
            if std::panic::catch_unwind(|| run(&octets)).is_err() {
                panic!("fuzz/seeds/{target}/{} does not hold", seed.file_name().unwrap().display());
            }
        }
    }
}
