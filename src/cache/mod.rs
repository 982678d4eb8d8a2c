//! Replies of upstreams kept as wire octets with their TTL offsets; two levels, each bounded: [`Local`], a worker's own table, and [`Shared`].
//!
//! Holds only what an upstream said, unmodified but for TTLs (DESIGN, decision 10): never a decision of the policy. Keyed by [`Key`]: name, type,
//! DO, CD, group of upstreams. No clock: time is milliseconds since the process started, handed in.

mod addresses;
mod answer;
mod config;
mod key;
mod local;
mod read;
mod shared;
#[cfg(test)]
pub(crate) mod testing;

pub use addresses::addresses_in;
pub use answer::{Answer, Target, Written};
pub use config::Config;
pub(crate) use key::Carried;
pub use key::{Key, Seed};
pub use local::Local;
pub use read::AnswerError;
pub use shared::Shared;

/// Whole seconds of a time in milliseconds; good for 136 years.
const fn secs(ms: u64) -> u32 {
    let secs = ms / 1000;
    if secs > u32::MAX as u64 {
        u32::MAX
    } else {
        #[expect(clippy::cast_possible_truncation, reason = "compared above")]
        let secs = secs as u32;
        secs
    }
}
