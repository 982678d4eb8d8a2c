//! What each fuzz target does with its input, one module a target. The fuzzers call it with what they think up, and `tests/suite/fuzz_seeds.rs`,
//! which includes this very file, with every seed.
//!
//! Each `run` takes any octets, uses a fixed time and fixed randomness, keeps nothing between two calls, and panics if what must hold does not.

pub mod artifact_open;
pub mod feed_format;
pub mod index_model;
pub mod indicators;
pub mod proxy_header;
pub mod respond;
pub mod upstream_reply;

/// A target's name, and what it does with its input.
pub type Target = (&'static str, fn(&[u8]));

/// The targets.
pub const TARGETS: [Target; 7] = [
    ("artifact_open", artifact_open::run),
    ("feed_format", feed_format::run),
    ("index_model", index_model::run),
    ("indicators", indicators::run),
    ("proxy_header", proxy_header::run),
    ("respond", respond::run),
    ("upstream_reply", upstream_reply::run),
];

/// Takes up to `count` octets off the front of `rest`.
fn take<'d>(rest: &mut &'d [u8], count: usize) -> &'d [u8] {
    let (front, back) = rest.split_at(count.min(rest.len()));
    *rest = back;
    front
}

/// Takes one octet off the front of `rest`; 0 if there is none.
fn octet(rest: &mut &[u8]) -> u8 {
    take(rest, 1).first().copied().unwrap_or_default()
}
