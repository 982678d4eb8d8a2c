//! Every metric's name, help and labels, in one place; aggregate counts and nothing else.
//!
//! A [`Shard`] is a worker's own set of counters; [`Metrics`] sums the shards when it is scraped. No type here can hold a query name or a
//! client address: labels are static words, and names the operator gave: feeds, tenants, sectors and upstreams.

mod accounts;
mod counter;
mod expose;
mod families;
mod shard;

pub use accounts::{ACCOUNTS_MAX, Account, AccountKind, AccountShard};
pub use counter::Counter;
pub use expose::{FeedFigures, Gauges, LiveFigures, Metrics};
pub use shard::{
    ACTIONS, LATENCY_BOUNDS_SECS, Limit, Outcome, ProxyRefused, RCODES, RULES, Shard, Transport, UPSTREAMS_MAX,
    UpstreamShard,
};
