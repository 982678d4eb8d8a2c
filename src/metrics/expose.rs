//! [`Metrics`]: all shards and the gauges, summed and written as Prometheus text when scraped.

use std::sync::Arc;

use super::Shard;

/// One feed's gauges, set when a generation is published.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct FeedFigures {
    /// The operator's name for it.
    pub name: String,
    /// Indicators enforced.
    pub entries: u64,
    /// Lines refused at the last load, by reason.
    pub refused: Vec<(&'static str, u64)>,
    /// When it was last loaded well, seconds since 1970.
    pub loaded_at_secs: u64,
    /// Whether the last load was refused and an older one is enforced.
    pub stale: bool,
    /// Loads that were refused, since the start.
    pub failures: u64,
}

/// What is known at a publication rather than counted.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Gauges {
    /// The policy's number; 0: none is loaded.
    pub generation: u64,
    /// By feed, in the configuration's order.
    pub feeds: Vec<FeedFigures>,
    /// Upstream addresses, in the configuration's order.
    pub upstreams: Vec<String>,
    /// Octets of the compiled index.
    pub index_bytes: u64,
    /// Reloads that changed nothing because they failed, since the start.
    pub reload_failures: u64,
}

/// Every number there is.
#[derive(Debug, Default)]
pub struct Metrics {
    /// One a worker, and one for the streams.
    shards: Vec<Arc<Shard>>,
}
