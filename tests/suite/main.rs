//! One binary for everything that is tested from outside a room.

#[path = "../../fuzz/src/lib.rs"]
#[allow(unreachable_pub, reason = "public for the fuzz targets, which are crates of their own")]
#[allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "that is how a fuzz target says what does not hold"
)]
mod fuzz;
mod fuzz_seeds;
mod rooms;
