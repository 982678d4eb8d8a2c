//! One binary for everything that is tested from outside a room.

#[path = "../../fuzz/src/lib.rs"]
#[allow(unreachable_pub, reason = "public for the fuzz targets, which are crates of their own")]
mod fuzz;
mod fuzz_seeds;
mod rooms;
