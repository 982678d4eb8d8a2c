//! One binary for everything that is tested from outside a room.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::print_stderr,
    reason = "a test that is wrong about what it got should fail there"
)]
#![allow(unreachable_pub, reason = "the harness is a room like any other, though nothing is outside this binary")]

mod harness;

#[path = "../../fuzz/src/lib.rs"]
mod fuzz;

mod alerts;
mod canary;
mod endurance;
mod forward;
mod fuzz_seeds;
mod guarding;
mod ladder;
mod lines;
mod manual;
mod metrics;
mod precedence;
mod process;
mod proxy;
mod publish;
mod reload;
mod rooms;
mod sink;
mod stream;
mod tenants;
mod updates;
mod wildcard;
mod zones;
