//! [`Shard`]: one worker's counters. No other thread writes it, so no cache line is shared on the query path.

use super::accounts::Accounts;
use super::{AccountShard, Counter};

/// How many feeds' hits are counted; `index::FEEDS_MAX`.
const FEEDS_MAX: usize = 128;
/// How many upstreams are counted; `forward::UPSTREAMS_MAX`.
pub const UPSTREAMS_MAX: usize = 64;

/// How a query came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is its own name")]
pub enum Transport {
    Udp,
    Tcp,
}

impl Transport {
    /// Every one, with its label.
    pub const ALL: [(Self, &'static str); 2] = [(Self::Udp, "udp"), (Self::Tcp, "tcp")];
}

/// What became of a query: each received packet ends in exactly one of these.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Answered, or dropped, as a feed said.
    Sunk,
    /// Answered from the operator's zones or the special names.
    Zone,
    /// Answered from the cache.
    Hit,
    /// Answered by an upstream.
    Forwarded,
    /// SERVFAIL: no upstream answered in time.
    Failed,
    /// SERVFAIL: the table of queries in flight was full.
    Overload,
    /// REFUSED: access, class, transfer, or no recursion asked.
    Refused,
    /// FORMERR, NOTIMP or BADVERS.
    Malformed,
    /// A response, or too short to answer.
    Dropped,
    /// SERVFAIL: the policy is not loaded yet.
    NotReady,
    /// Dropped: its handling panicked.
    Panicked,
}

impl Outcome {
    /// Every one, with its label.
    pub const ALL: [(Self, &'static str); 11] = [
        (Self::Sunk, "sunk"),
        (Self::Zone, "zone"),
        (Self::Hit, "hit"),
        (Self::Forwarded, "forwarded"),
        (Self::Failed, "failed"),
        (Self::Overload, "overload"),
        (Self::Refused, "refused"),
        (Self::Malformed, "malformed"),
        (Self::Dropped, "dropped"),
        (Self::NotReady, "not-ready"),
        (Self::Panicked, "panicked"),
    ];
}

/// Why what came was not taken for a query: a PROXY header was there, or not, or not a good one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProxyRefused {
    /// A header of somebody who is not listed.
    Stranger,
    /// No header of somebody who is listed.
    Missing,
    /// A header that is not understood, or cut short.
    Malformed,
}

impl ProxyRefused {
    /// Every one, with its label.
    pub const ALL: [(Self, &'static str); 3] =
        [(Self::Stranger, "stranger"), (Self::Missing, "missing"), (Self::Malformed, "malformed")];
}

/// A limit that bounds what clients can use up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limit {
    /// `upstream.in-flight-max`: a question was given up, or not taken, because too many were in flight.
    InFlight,
    /// `upstream.waiting-max-mb`: a query was given up, or not taken, because too much memory was taken by those that wait.
    Waiting,
    /// `upstream.waiting-per-client-max`: a query was not taken because its client had too many waiting.
    WaitingPerClient,
    /// A query that came over a stream was not taken because too many waited for a worker.
    Handover,
    /// `server.tcp-connections`: a connection was not taken because there were too many.
    TcpConnections,
    /// `server.tcp-connections-per-client`: a connection was not taken because its client had too many.
    TcpConnectionsPerClient,
    /// `upstream.tcp-waiting-max`: a question to an upstream over TCP was not taken because too many waited for it.
    UpstreamTcp,
}

impl Limit {
    /// Every one, with its label.
    pub const ALL: [(Self, &'static str); 7] = [
        (Self::InFlight, "in-flight"),
        (Self::Waiting, "waiting"),
        (Self::WaitingPerClient, "waiting-per-client"),
        (Self::Handover, "handover"),
        (Self::TcpConnections, "tcp-connections"),
        (Self::TcpConnectionsPerClient, "tcp-connections-per-client"),
        (Self::UpstreamTcp, "upstream-tcp"),
    ];
}

/// Labels of response codes, in `wire::Rcode::ALL`'s order.
pub const RCODES: [&str; 9] =
    ["noerror", "formerr", "servfail", "nxdomain", "notimp", "refused", "yxdomain", "other", "badvers"];
/// Labels of actions, in `policy::Action::ALL`'s order.
pub const ACTIONS: [&str; 9] =
    ["sinkhole", "data", "nxdomain", "nodata", "refused", "drop", "tcp-only", "passthru", "observe"];
/// Labels of the rules that refuse a feed's update, in `feed::Rule::ALL`'s order.
pub const RULES: [&str; 16] = [
    "unreadable",
    "too-large",
    "damaged",
    "html",
    "foreign",
    "unknown-format",
    "empty",
    "nothing-usable",
    "canary",
    "protected",
    "suffix",
    "shrunk",
    "grown",
    "too-few",
    "too-many",
    "refused-lines",
];
/// Upper bounds of the upstream latency histogram, seconds; the last bucket is +Inf.
pub const LATENCY_BOUNDS_SECS: [f64; 10] = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0];

/// One worker's counts of one upstream.
#[derive(Debug, Default)]
pub struct UpstreamShard {
    /// Queries sent over UDP, retries included.
    pub sent_udp: Counter,
    /// Queries sent over TCP.
    pub sent_tcp: Counter,
    /// Replies believed.
    pub replies: Counter,
    /// Tries that got no reply in time.
    pub timeouts: Counter,
    /// Replies with an rcode that made us ask elsewhere, and connections that failed.
    pub errors: Counter,
    /// Replies not believed: wrong id, question, letter case, or not a message.
    pub rejected: Counter,
    /// Time to a believed reply: one bucket a bound, one for the rest.
    pub latency: [Counter; LATENCY_BOUNDS_SECS.len() + 1],
    /// Sum of those times, microseconds.
    pub latency_sum_us: Counter,
}

impl UpstreamShard {
    /// Counts a believed reply that took `micros`.
    pub fn observe_latency(&self, micros: u64) {
        self.replies.bump();
        self.latency_sum_us.add(micros);
        #[expect(clippy::cast_precision_loss, reason = "a latency is far under 2^52 µs")]
        let secs = micros as f64 / 1e6;
        let bucket = LATENCY_BOUNDS_SECS.iter().position(|&bound| secs <= bound).unwrap_or(LATENCY_BOUNDS_SECS.len());
        if let Some(counter) = self.latency.get(bucket) {
            counter.bump();
        }
    }
}

/// One worker's counts.
#[derive(Debug)]
pub struct Shard {
    /// Packets by transport and outcome.
    queries: [[Counter; Outcome::ALL.len()]; Transport::ALL.len()],
    /// Replies sent, by rcode.
    replies: [Counter; RCODES.len()],
    /// Datagrams and connections refused for their PROXY header or the want of one, by reason.
    proxy_refused: [Counter; ProxyRefused::ALL.len()],
    /// How often a limit was reached, by limit.
    limits: [Counter; Limit::ALL.len()],
    /// Hits by feed and action.
    feed_hits: Box<[[Counter; ACTIONS.len()]; FEEDS_MAX]>,
    /// By tenant or sector.
    accounts: Accounts,
    /// By upstream, in the order of their first group's.
    upstreams: Box<[UpstreamShard; UPSTREAMS_MAX]>,
    /// Names that a tenant's own list let through.
    pub tenant_allowed: Counter,
    /// Names that a tenant's own list sank.
    pub tenant_denied: Counter,
    /// Answers found in the worker's own cache.
    pub cache_hits_local: Counter,
    /// Answers found in the shared cache.
    pub cache_hits_shared: Counter,
    /// Questions that were in neither.
    pub cache_misses: Counter,
    /// Misses that joined a query already in flight.
    pub coalesced: Counter,
    /// UDP replies cut short (TC).
    pub truncated: Counter,
    /// Answers with an address of the inside that were not given out.
    pub rebindings: Counter,
    /// Packets whose handling panicked.
    pub panics: Counter,
    /// UDP replies the kernel did not take.
    pub send_failures: Counter,
    /// Queries the kernel dropped because the receive buffer was full.
    pub receive_drops: Counter,
    /// Queries to the operator's zones that had no answer at once.
    pub zone_unready: Counter,
}

impl Default for Shard {
    fn default() -> Self {
        use std::array::from_fn;
        Self {
            queries: from_fn(|_| from_fn(|_| Counter::default())),
            replies: from_fn(|_| Counter::default()),
            proxy_refused: from_fn(|_| Counter::default()),
            limits: from_fn(|_| Counter::default()),
            feed_hits: Box::new(from_fn(|_| from_fn(|_| Counter::default()))),
            accounts: Accounts::default(),
            tenant_allowed: Counter::default(),
            tenant_denied: Counter::default(),
            upstreams: Box::new(from_fn(|_| UpstreamShard::default())),
            cache_hits_local: Counter::default(),
            cache_hits_shared: Counter::default(),
            cache_misses: Counter::default(),
            coalesced: Counter::default(),
            truncated: Counter::default(),
            rebindings: Counter::default(),
            panics: Counter::default(),
            send_failures: Counter::default(),
            receive_drops: Counter::default(),
            zone_unready: Counter::default(),
        }
    }
}

/// What an index beyond a table counts into: nothing reads it.
static NOWHERE: Counter = Counter::new();

impl Shard {
    /// Packets that came by `transport` and ended as `outcome`.
    #[inline]
    #[must_use]
    pub fn queries(&self, transport: Transport, outcome: Outcome) -> &Counter {
        self.queries.get(transport as usize).and_then(|row| row.get(outcome as usize)).unwrap_or(&NOWHERE)
    }

    /// Replies sent with the `rcode`th of [`RCODES`].
    #[inline]
    #[must_use]
    pub fn replies(&self, rcode: usize) -> &Counter {
        self.replies.get(rcode).unwrap_or(&NOWHERE)
    }

    /// Datagrams and connections that were refused for `reason`.
    #[must_use]
    pub fn proxy_refused(&self, reason: ProxyRefused) -> &Counter {
        self.proxy_refused.get(reason as usize).unwrap_or(&NOWHERE)
    }

    /// How often `limit` was reached.
    #[must_use]
    pub fn limit(&self, limit: Limit) -> &Counter {
        self.limits.get(limit as usize).unwrap_or(&NOWHERE)
    }

    /// Hits of the feed at place `feed` that ended in the `action`th of [`ACTIONS`].
    #[inline]
    #[must_use]
    pub fn feed_hits(&self, feed: usize, action: usize) -> &Counter {
        self.feed_hits.get(feed).and_then(|row| row.get(action)).unwrap_or(&NOWHERE)
    }

    /// Makes room for the account at `place`; before any query is counted there.
    pub(super) fn open_account(&self, place: u16) {
        self.accounts.open(place);
    }

    /// The counts of the account at `place`, if it was opened.
    #[inline]
    #[must_use]
    pub fn account(&self, place: u16) -> Option<&AccountShard> {
        self.accounts.get(place)
    }

    /// The counts of the upstream at place `upstream`; the last one's beyond.
    #[must_use]
    pub fn upstream(&self, upstream: usize) -> &UpstreamShard {
        let [.., last] = &*self.upstreams;
        self.upstreams.get(upstream).unwrap_or(last)
    }
}
