//! The cache's settings.

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

impl Default for Config {
    fn default() -> Self {
        Self { size_mb: 64, ttl_min_secs: 0, ttl_max_secs: 86_400, negative_ttl_max_secs: 3600 }
    }
}
