//! Every family that is exposed: its name, help, labels and where its numbers come from.
//!
//! Every counter has all its series from the start, at zero: what appears with its first event is no increase to Prometheus, and its alert stays
//! silent. Of the gauges those by reason alone show no zeroes.

use std::sync::Arc;

use prometheus::proto::{
    Bucket, Counter as CounterValue, Gauge, Histogram, LabelPair, Metric, MetricFamily, MetricType,
};

use super::expose::{FeedFigures, Gauges, LiveFigures, Process};
use super::{
    ACTIONS, AccountKind, AccountShard, LATENCY_BOUNDS_SECS, Limit, Outcome, ProxyRefused, RCODES, RULES, Shard,
    Transport, UPSTREAMS_MAX, UpstreamShard,
};

/// What one scrape reads.
pub(super) struct Scrape<'a> {
    /// Summed.
    pub(super) shards: &'a [Arc<Shard>],
    /// The last publication.
    pub(super) gauges: &'a Gauges,
    /// Hits by feed, as in `gauges.feeds`.
    pub(super) hits: &'a [[u64; ACTIONS.len()]],
    /// What is asked at each scrape.
    pub(super) live: LiveFigures,
    /// About this process.
    pub(super) process: Process,
}

/// One series: labels and a value.
type Sample<'a> = (Vec<(&'static str, &'a str)>, u64);

/// Families in the order they are written.
#[derive(Default)]
struct Families(Vec<MetricFamily>);

impl Families {
    /// Adds a family, unless it has no series: the text format has no way to write that.
    fn push(&mut self, name: &str, help: &str, kind: MetricType, metrics: Vec<Metric>) {
        if metrics.is_empty() {
            return;
        }
        let mut family = MetricFamily::default();
        family.set_name(name.to_owned());
        family.set_help(help.to_owned());
        family.set_field_type(kind);
        family.set_metric(metrics);
        self.0.push(family);
    }

    /// A family of counters.
    fn counters<'a>(&mut self, name: &str, help: &str, samples: impl IntoIterator<Item = Sample<'a>>) {
        let metric = |(labels, value): Sample<'_>| {
            let mut counter = CounterValue::default();
            counter.set_value(real(value));
            let mut metric = Metric::from_label(pairs(&labels));
            metric.set_counter(counter);
            metric
        };
        self.push(name, help, MetricType::COUNTER, samples.into_iter().map(metric).collect());
    }

    /// A family of gauges.
    fn gauges<'a>(&mut self, name: &str, help: &str, samples: impl IntoIterator<Item = Sample<'a>>) {
        let metric = |(labels, value): Sample<'_>| {
            let mut gauge = Gauge::default();
            gauge.set_value(real(value));
            let mut metric = Metric::from_label(pairs(&labels));
            metric.set_gauge(gauge);
            metric
        };
        self.push(name, help, MetricType::GAUGE, samples.into_iter().map(metric).collect());
    }

    /// A counter without labels.
    fn counter(&mut self, name: &str, help: &str, value: u64) {
        self.counters(name, help, [(Vec::new(), value)]);
    }

    /// A gauge without labels.
    fn gauge(&mut self, name: &str, help: &str, value: u64) {
        self.gauges(name, help, [(Vec::new(), value)]);
    }
}

/// A count as Prometheus has it.
#[expect(clippy::cast_precision_loss, reason = "Prometheus values are doubles; counts stay exact up to 2^53")]
const fn real(value: u64) -> f64 {
    value as f64
}

/// Labels as the encoder wants them.
fn pairs(labels: &[(&'static str, &str)]) -> Vec<LabelPair> {
    let pair = |(name, value): &(&str, &str)| {
        let mut pair = LabelPair::default();
        pair.set_name((*name).to_owned());
        pair.set_value((*value).to_owned());
        pair
    };
    labels.iter().map(pair).collect()
}

impl Scrape<'_> {
    /// A count summed over the shards.
    fn sum(&self, read: impl Fn(&Shard) -> u64) -> u64 {
        self.shards.iter().map(|shard| read(shard)).sum()
    }

    /// One sample for each upstream.
    fn by_upstream<'a>(&'a self, read: impl Fn(&UpstreamShard) -> u64 + 'a) -> impl Iterator<Item = Sample<'a>> {
        self.upstreams()
            .map(move |(index, address)| (vec![("upstream", address)], self.sum(|shard| read(shard.upstream(index)))))
    }

    /// Places and addresses of the upstreams.
    fn upstreams(&self) -> impl Iterator<Item = (usize, &str)> {
        self.gauges.upstreams.iter().map(String::as_str).enumerate().take(UPSTREAMS_MAX)
    }

    /// One sample for each feed.
    fn by_feed<'a>(&'a self, read: impl Fn(&FeedFigures) -> u64 + 'a) -> impl Iterator<Item = Sample<'a>> {
        self.gauges.feeds.iter().map(move |feed| (vec![("feed", feed.name.as_str())], read(feed)))
    }
}

/// All of them.
pub(super) fn families(scrape: &Scrape<'_>) -> Vec<MetricFamily> {
    let mut out = Families::default();
    put_queries(&mut out, scrape);
    put_feeds(&mut out, scrape);
    put_policy(&mut out, scrape);
    put_tenants(&mut out, scrape);
    put_cache(&mut out, scrape);
    put_upstreams(&mut out, scrape);
    put_server(&mut out, scrape);
    out.0
}

/// What came and what went.
fn put_queries(out: &mut Families, scrape: &Scrape<'_>) {
    let outcomes = Transport::ALL.iter().flat_map(|&(transport, transport_label)| {
        Outcome::ALL.iter().map(move |&(outcome, label)| {
            let labels = vec![("transport", transport_label), ("outcome", label)];
            (labels, scrape.sum(|shard| shard.queries(transport, outcome).read()))
        })
    });
    out.counters(
        "cenote_queries_total",
        "Packets received, by transport and by what became of them; each ends in exactly one outcome.",
        outcomes,
    );
    let rcodes = RCODES
        .iter()
        .enumerate()
        .map(|(index, &label)| (vec![("rcode", label)], scrape.sum(|shard| shard.replies(index).read())));
    out.counters("cenote_replies_total", "Replies sent to clients, by response code.", rcodes);
    let refused = ProxyRefused::ALL
        .iter()
        .map(|&(reason, label)| (vec![("reason", label)], scrape.sum(|shard| shard.proxy_refused(reason).read())));
    out.counters(
        "cenote_proxy_refused_total",
        "Datagrams dropped and connections closed because a PROXY header was there, or not, or not a good one, by reason.",
        refused,
    );
    let limits = Limit::ALL
        .iter()
        .map(|&(limit, label)| (vec![("limit", label)], scrape.sum(|shard| shard.limit(limit).read())));
    out.counters(
        "cenote_limit_reached_total",
        "Queries and connections that were given up or not taken because a limit was reached, by limit.",
        limits,
    );
}

/// What each feed holds and does.
fn put_feeds(out: &mut Families, scrape: &Scrape<'_>) {
    let hits = scrape.gauges.feeds.iter().zip(scrape.hits).flat_map(|(feed, hits)| {
        ACTIONS.iter().zip(hits).map(|(&action, &hits)| (vec![("feed", feed.name.as_str()), ("action", action)], hits))
    });
    out.counters(
        "cenote_feed_hits_total",
        "Queries that a feed decided, by the action taken; for observe, those it would have decided.",
        hits,
    );
    out.gauges(
        "cenote_feed_entries",
        "Indicators of the feed that are enforced now.",
        scrape.by_feed(|feed| feed.entries),
    );
    let refused = scrape.gauges.feeds.iter().flat_map(|feed| {
        feed.refused.iter().map(|&(reason, lines)| (vec![("feed", feed.name.as_str()), ("reason", reason)], lines))
    });
    out.gauges("cenote_feed_refused_lines", "Lines refused when the feed was last loaded, by reason.", refused);
    out.gauges(
        "cenote_feed_loaded_timestamp_seconds",
        "When the enforced copy of the feed was loaded, seconds since 1970; 0 if it never was.",
        scrape.by_feed(|feed| feed.loaded_at_secs),
    );
    out.gauges(
        "cenote_feed_stale",
        "1 while the feed's last load was refused and an older copy is enforced.",
        scrape.by_feed(|feed| u64::from(feed.stale)),
    );
    out.counters(
        "cenote_feed_failures_total",
        "Loads of the feed that were refused, the older copy kept.",
        scrape.by_feed(|feed| feed.failures),
    );
    let updates = scrape.gauges.feeds.iter().flat_map(|feed| {
        let by_rule = RULES.into_iter().zip(feed.refused_updates);
        by_rule.map(|(rule, loads)| (vec![("feed", feed.name.as_str()), ("rule", rule)], loads))
    });
    out.counters(
        "cenote_feed_refused_updates_total",
        "Loads of the feed that were refused, by the rule that refused them.",
        updates,
    );
    out.gauges(
        "cenote_feed_pinned",
        "1 while the feed was rolled back and stays as it is until it is unpinned.",
        scrape.by_feed(|feed| u64::from(feed.pinned)),
    );
}

/// What tenants and sectors ask, if they are counted at all.
fn put_tenants(out: &mut Families, scrape: &Scrape<'_>) {
    for (kind, label) in [(AccountKind::Tenant, "tenant"), (AccountKind::Sector, "sector")] {
        for (figure, help, read) in [
            (
                "queries",
                "Queries of clients that may ask",
                (|account| account.queries.read()) as fn(&AccountShard) -> u64,
            ),
            ("sunk", "Queries that were sunk", |account| account.sunk.read()),
            ("observed", "Queries that a feed that only observes would have decided", |account| {
                account.observed.read()
            }),
        ] {
            let own = scrape.gauges.accounts.iter().filter(|account| account.kind == kind);
            let samples = own.map(|account| {
                let count = scrape.sum(|shard| shard.account(account.place).map_or(0, read));
                (vec![(label, account.name.as_str())], count)
            });
            out.counters(&format!("cenote_{label}_{figure}_total"), &format!("{help}, by {label}."), samples);
        }
    }
    let names = [
        (vec![("decision", "allowed")], scrape.sum(|shard| shard.tenant_allowed.read())),
        (vec![("decision", "denied")], scrape.sum(|shard| shard.tenant_denied.read())),
    ];
    out.counters("cenote_tenant_names_total", "Queries that a tenant's own names decided.", names);
}

/// The policy as a whole.
fn put_policy(out: &mut Families, scrape: &Scrape<'_>) {
    out.gauge(
        "cenote_policy_generation",
        "Number of the enforced policy; 0 while none is loaded.",
        scrape.gauges.generation,
    );
    out.gauge(
        "cenote_ready",
        "1 once a policy is enforced; until then queries get SERVFAIL, or are forwarded where that is set.",
        u64::from(scrape.gauges.generation != 0),
    );
    out.counter(
        "cenote_reload_failures_total",
        "Reloads that failed and changed nothing.",
        scrape.gauges.reload_failures,
    );
    out.gauge(
        "cenote_state_generation",
        "Number of the generation that was kept on disk last; 0 while none is.",
        scrape.gauges.state_generation,
    );
    out.counter(
        "cenote_state_failures_total",
        "Generations that could not be kept on disk.",
        scrape.gauges.state_failures,
    );
    if let Some(kept) = scrape.gauges.state_kept {
        let help = "1 while what is enforced is kept on disk, 0 while it cannot be; absent where nothing is to be.";
        out.gauge("cenote_state_kept", help, u64::from(kept));
    }
    out.gauge("cenote_index_bytes", "Memory taken by the compiled index of indicators.", scrape.gauges.index_bytes);
}

/// The caches.
fn put_cache(out: &mut Families, scrape: &Scrape<'_>) {
    let lookups = [
        (vec![("result", "local")], scrape.sum(|shard| shard.cache_hits_local.read())),
        (vec![("result", "shared")], scrape.sum(|shard| shard.cache_hits_shared.read())),
        (vec![("result", "miss")], scrape.sum(|shard| shard.cache_misses.read())),
    ];
    out.counters(
        "cenote_cache_lookups_total",
        "Cache look-ups: found in the worker's own cache, in the shared one, or in neither.",
        lookups,
    );
    out.gauge("cenote_cache_bytes", "Memory taken by the shared cache.", scrape.live.cache_bytes);
    out.gauge("cenote_cache_entries", "Answers held in the shared cache.", scrape.live.cache_entries);
}

/// The upstreams.
fn put_upstreams(out: &mut Families, scrape: &Scrape<'_>) {
    out.gauge("cenote_in_flight", "Questions sent to an upstream and not answered yet.", scrape.live.in_flight);
    out.counter(
        "cenote_coalesced_total",
        "Queries that waited for the same question already in flight.",
        scrape.sum(|shard| shard.coalesced.read()),
    );
    let sent = scrape.upstreams().flat_map(|(index, address)| {
        let by = |label, read: fn(&UpstreamShard) -> u64| {
            (vec![("upstream", address), ("transport", label)], scrape.sum(|shard| read(shard.upstream(index))))
        };
        [by("udp", |upstream| upstream.sent_udp.read()), by("tcp", |upstream| upstream.sent_tcp.read())]
    });
    out.counters("cenote_upstream_queries_total", "Queries sent to the upstream, retries included.", sent);
    out.counters(
        "cenote_upstream_timeouts_total",
        "Queries the upstream did not answer in time.",
        scrape.by_upstream(|upstream| upstream.timeouts.read()),
    );
    out.counters(
        "cenote_upstream_errors_total",
        "Replies of the upstream that made us ask another, and connections to it that failed.",
        scrape.by_upstream(|upstream| upstream.errors.read()),
    );
    out.counters(
        "cenote_upstream_rejected_replies_total",
        "Replies in the upstream's name that were not believed: wrong id, question or letter case, or no message.",
        scrape.by_upstream(|upstream| upstream.rejected.read()),
    );
    let latencies = scrape.upstreams().map(|(index, address)| latency(scrape, index, address)).collect();
    out.push(
        "cenote_upstream_latency_seconds",
        "Time from a query to the upstream's believed reply.",
        MetricType::HISTOGRAM,
        latencies,
    );
}

/// The latency histogram of one upstream: the shards' buckets stand side by side, Prometheus's hold all before them too.
fn latency(scrape: &Scrape<'_>, index: usize, address: &str) -> Metric {
    let mut count = 0;
    let mut buckets = Vec::with_capacity(LATENCY_BOUNDS_SECS.len());
    for place in 0..=LATENCY_BOUNDS_SECS.len() {
        count += scrape.sum(|shard| shard.upstream(index).latency.get(place).map_or(0, super::Counter::read));
        if let Some(&bound) = LATENCY_BOUNDS_SECS.get(place) {
            let mut bucket = Bucket::default();
            bucket.set_upper_bound(bound);
            bucket.set_cumulative_count(count);
            buckets.push(bucket);
        }
    }
    let mut histogram = Histogram::default();
    histogram.set_bucket(buckets);
    histogram.set_sample_count(count);
    histogram.set_sample_sum(real(scrape.sum(|shard| shard.upstream(index).latency_sum_us.read())) / 1e6);
    let mut metric = Metric::from_label(pairs(&[("upstream", address)]));
    metric.set_histogram(histogram);
    metric
}

/// The server itself.
fn put_server(out: &mut Families, scrape: &Scrape<'_>) {
    for (name, help, read) in [
        (
            "cenote_truncated_replies_total",
            "UDP replies cut short (TC), to be asked again over TCP.",
            (|shard| shard.truncated.read()) as fn(&Shard) -> u64,
        ),
        (
            "cenote_rebindings_total",
            "Answers of upstreams with an address of the inside, answered NODATA (they are among the sunk).",
            |shard| shard.rebindings.read(),
        ),
        ("cenote_send_failures_total", "UDP replies the kernel did not take.", |shard| shard.send_failures.read()),
        (
            "cenote_receive_drops_total",
            "Queries the kernel dropped because a socket's receive buffer was full.",
            |shard| shard.receive_drops.read(),
        ),
        ("cenote_panics_total", "Packets dropped because handling them panicked: a defect.", |shard| {
            shard.panics.read()
        }),
        (
            "cenote_zone_unready_total",
            "Queries to the operator's zones that got SERVFAIL because no answer was ready at once: a defect.",
            |shard| shard.zone_unready.read(),
        ),
    ] {
        out.counter(name, help, scrape.sum(read));
    }
    let process = scrape.process;
    out.gauges(
        "cenote_build_info",
        "Always 1; the label says which version runs.",
        [(vec![("version", process.version)], 1)],
    );
    out.gauge(
        "cenote_start_timestamp_seconds",
        "When the process started, seconds since 1970.",
        process.started_at_secs,
    );
    if let Some(bytes) = process.resident_bytes {
        out.gauge("cenote_resident_bytes", "Memory of the process that is resident.", bytes);
    }
}
