//! The cache's settings.

use std::ops::RangeInclusive;

/// How much is kept, and for how long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// The most megabytes (10⁶ octets) the shared cache may take, its own bookkeeping included; 0 keeps nothing.
    pub size_mb: u32,
    /// A shorter TTL is raised to this, seconds.
    pub ttl_min_secs: u32,
    /// A longer TTL is cut to this, seconds (RFC 8767 §4 suggests days, RFC 1035 a week; a day is usual).
    pub ttl_max_secs: u32,
    /// A longer negative TTL is cut to this, seconds (RFC 2308 §5: one to three hours).
    pub negative_ttl_max_secs: u32,
}

impl Config {
    /// What `size_mb` may be: up to a terabyte, more memory than any host of ours has.
    pub const SIZE_MB: RangeInclusive<u32> = 0..=1_000_000;
    /// What `ttl_min_secs` may be: up to an hour; raising a TTL further serves stale addresses (RFC 8767 §4 caps for the same reason).
    pub const TTL_MIN_SECS: RangeInclusive<u32> = 0..=3600;
    /// What `ttl_max_secs` may be: up to a week, the cap RFC 1035 and RFC 8767 §4 suggest.
    pub const TTL_MAX_SECS: RangeInclusive<u32> = 1..=604_800;
    /// What `negative_ttl_max_secs` may be: up to a day; more has been found to be problematic (RFC 2308 §5).
    pub const NEGATIVE_TTL_MAX_SECS: RangeInclusive<u32> = 1..=86_400;
}

impl Default for Config {
    fn default() -> Self {
        Self { size_mb: 64, ttl_min_secs: 0, ttl_max_secs: 86_400, negative_ttl_max_secs: 3600 }
    }
}
