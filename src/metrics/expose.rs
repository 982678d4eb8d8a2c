//! [`Metrics`]: all shards and the gauges, summed and written as Prometheus text when scraped.
//!
//! A scrape reads every counter of every shard once, relaxed, under the lock of the gauges; no worker takes that lock.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use prometheus::TextEncoder;

use super::accounts::Register;
use super::families::{Scrape, families};
use super::{ACTIONS, Account, AccountKind, RULES, Shard};

/// One feed's gauges, set when a generation is published.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct FeedFigures {
    /// The operator's name for it.
    pub name: String,
    /// How it was read; empty: it never was.
    pub format: &'static str,
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
    /// The same by the rule that refused them, in the order of [`RULES`].
    pub refused_updates: [u64; RULES.len()],
    /// Whether it stays as it is until the operator says otherwise.
    pub pinned: bool,
}

/// What is known at a publication rather than counted.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Gauges {
    /// The policy's number; 0: none is loaded, and nothing is enforced.
    pub generation: u64,
    /// By feed, in the configuration's order.
    pub feeds: Vec<FeedFigures>,
    /// Upstream addresses, in the configuration's order; they do not change while the server runs.
    pub upstreams: Vec<String>,
    /// Octets of the compiled index.
    pub index_bytes: u64,
    /// The accounts that tenants in force are counted in, each once.
    pub accounts: Vec<Account>,
    /// Reloads that changed nothing because they failed, since the start.
    pub reload_failures: u64,
    /// The number of the generation that was kept on disk last; 0: none is.
    pub state_generation: u64,
    /// Generations that could not be kept, since the start.
    pub state_failures: u64,
    /// Whether what is enforced is kept on disk; `None`: it is not to be.
    pub state_kept: Option<bool>,
    /// Whether something kept was passed over because a newer version of this program wrote it.
    pub state_newer: bool,
}

/// What is neither counted nor published, but asked for at each scrape.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LiveFigures {
    /// Octets the shared cache takes.
    pub cache_bytes: u64,
    /// Answers in the shared cache.
    pub cache_entries: u64,
    /// Questions sent to an upstream and not answered yet.
    pub in_flight: u64,
}

/// About this process.
#[derive(Debug, Clone, Copy)]
pub(super) struct Process {
    /// The program's version.
    pub(super) version: &'static str,
    /// Seconds since 1970 when it started.
    pub(super) started_at_secs: u64,
    /// Octets of memory resident; `None` where the system does not say.
    pub(super) resident_bytes: Option<u64>,
}

/// Hits of one feed, by action.
type Hits = [u64; ACTIONS.len()];

/// How one feed's hits are told from those of the feed that held its place in an earlier generation.
#[derive(Debug, Clone, Copy, Default)]
struct Place {
    /// What the feed had when it came to this place.
    carried: Hits,
    /// What the place's counters showed then.
    base: Hits,
}

/// The last publication.
#[derive(Debug, Default)]
struct Published {
    /// As it was set.
    gauges: Gauges,
    /// By feed, as in `gauges.feeds`.
    places: Vec<Place>,
}

/// Every number there is.
pub struct Metrics {
    /// One a worker, and one for the streams.
    shards: Vec<Arc<Shard>>,
    /// Swapped whole at each publication.
    published: Mutex<Published>,
    /// Where tenants and sectors are counted, once and for all.
    register: Mutex<Register>,
    /// Whether the server is about to end.
    draining: AtomicBool,
    /// Asked at each scrape.
    live: Box<dyn Fn() -> LiveFigures + Send + Sync>,
    /// When this was made.
    started_at_secs: u64,
}

impl std::fmt::Debug for Metrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Metrics").field("shards", &self.shards.len()).finish_non_exhaustive()
    }
}

impl Metrics {
    /// Sums `shards`, and asks `live` at each scrape; it must not wait.
    #[must_use]
    pub fn new(shards: Vec<Arc<Shard>>, live: Box<dyn Fn() -> LiveFigures + Send + Sync>) -> Self {
        let started_at_secs = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let draining = AtomicBool::new(false);
        Self { shards, published: Mutex::default(), register: Mutex::default(), draining, live, started_at_secs }
    }

    /// Takes the figures of a publication. A feed keeps its hits by name when its place in the order changes; what a worker counts between
    /// the swap of the policy and this call may go to the neighbour.
    pub fn set(&self, gauges: Gauges) {
        let mut published = self.published();
        let places = gauges.feeds.iter().enumerate().map(|(index, feed)| {
            let carried = published.index_of(&feed.name).map_or_else(Hits::default, |old| self.hits(&published, old));
            Place { carried, base: self.counted(index) }
        });
        *published = Published { places: places.collect(), gauges };
    }

    /// Where the tenant or sector `name` is counted, room made for it in every shard; `None` once [`ACCOUNTS_MAX`](super::ACCOUNTS_MAX) were
    /// opened.
    pub fn account(&self, kind: AccountKind, name: &str) -> Option<u16> {
        let place = self.register.lock().unwrap_or_else(PoisonError::into_inner).place(kind, name)?;
        self.shards.iter().for_each(|shard| shard.open_account(place));
        Some(place)
    }

    /// The last publication's figures.
    #[must_use]
    pub fn gauges(&self) -> Gauges {
        self.published().gauges.clone()
    }

    /// The policy's number without the rest; 0: nothing is enforced.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.published().gauges.generation
    }

    /// From here on the server is about to end: it answers, but is not to be asked any more.
    pub fn begin_drain(&self) {
        self.draining.store(true, Ordering::Release);
    }

    /// Whether the server is about to end.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Acquire)
    }

    /// Prometheus text, format 0.0.4.
    #[must_use]
    pub fn render(&self) -> String {
        self.render_as(Process {
            version: env!("CARGO_PKG_VERSION"),
            started_at_secs: self.started_at_secs,
            resident_bytes: resident_bytes(),
        })
    }

    /// As [`Self::render`], with the process given.
    fn render_as(&self, process: Process) -> String {
        let live = (self.live)();
        let published = self.published();
        let hits: Vec<Hits> = (0..published.gauges.feeds.len()).map(|index| self.hits(&published, index)).collect();
        let scrape = Scrape { shards: &self.shards, gauges: &published.gauges, hits: &hits, live, process };
        let families = families(&scrape);
        drop(published);
        // It fails on a family without a sample or a name, of which there are none.
        TextEncoder::new().encode_to_string(&families).unwrap_or_default()
    }

    /// The last publication; a panic while it was held left it whole, for it is replaced in one assignment.
    fn published(&self) -> MutexGuard<'_, Published> {
        self.published.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the counters of the place `index` show.
    fn counted(&self, index: usize) -> Hits {
        std::array::from_fn(|action| self.shards.iter().map(|shard| shard.feed_hits(index, action).read()).sum())
    }

    /// The hits of the feed at place `index`.
    fn hits(&self, published: &Published, index: usize) -> Hits {
        let Place { carried, base } = published.places.get(index).copied().unwrap_or_default();
        let mut hits = self.counted(index);
        for ((hits, carried), base) in hits.iter_mut().zip(carried).zip(base) {
            *hits = hits.saturating_sub(base) + carried;
        }
        hits
    }
}

impl Published {
    /// The place of the feed called `name`.
    fn index_of(&self, name: &str) -> Option<usize> {
        self.gauges.feeds.iter().position(|feed| feed.name == name)
    }
}

/// Memory resident, from `/proc/self/status`.
fn resident_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::{LATENCY_BOUNDS_SECS, Limit, Outcome, ProxyRefused, RCODES, Transport};

    fn feed(name: &str) -> FeedFigures {
        FeedFigures { name: name.to_owned(), ..FeedFigures::default() }
    }

    /// Two shards with fixed counts, two feeds, two upstreams.
    fn fixed() -> Metrics {
        let shards = [Arc::new(Shard::default()), Arc::new(Shard::default())];
        for (shard, weight) in shards.iter().zip([1, 100]) {
            shard.queries(Transport::Udp, Outcome::Sunk).add(3 * weight);
            shard.queries(Transport::Tcp, Outcome::Hit).add(weight);
            shard.replies(0).add(2 * weight);
            shard.feed_hits(1, 0).add(5 * weight);
            shard.cache_hits_local.add(7 * weight);
            shard.upstream(0).sent_udp.add(9 * weight);
            shard.upstream(0).timeouts.add(weight);
            for micros in [900, 1000, 30_000, 2_000_000] {
                shard.upstream(0).observe_latency(micros);
            }
            shard.zone_unready.add(weight);
            shard.proxy_refused(ProxyRefused::Missing).add(3 * weight);
        }
        let live = LiveFigures { cache_bytes: 11, cache_entries: 12, in_flight: 13 };
        let metrics = Metrics::new(shards.to_vec(), Box::new(move || live));
        let accounts =
            [(AccountKind::Tenant, "acme"), (AccountKind::Sector, "energy"), (AccountKind::Tenant, "default")].map(
                |(kind, name)| Account { kind, name: name.to_owned(), place: metrics.account(kind, name).unwrap() },
            );
        for (shard, weight) in shards.iter().zip([1, 100]) {
            shard.account(0).unwrap().queries.add(50 * weight);
            shard.account(0).unwrap().sunk.add(weight);
            shard.account(1).unwrap().observed.add(2 * weight);
            shard.tenant_denied.add(weight);
        }
        metrics.published().gauges = Gauges {
            generation: 4,
            feeds: vec![
                FeedFigures {
                    entries: 1000,
                    refused: vec![("not-a-name", 2), ("too-long", 0)],
                    loaded_at_secs: 1_700_000_000,
                    failures: 6,
                    refused_updates: std::array::from_fn(|rule| match RULES[rule] {
                        "unreadable" => 2,
                        "shrunk" => 4,
                        _ => 0,
                    }),
                    pinned: true,
                    stale: true,
                    ..feed("gov \"urgent\"")
                },
                feed("urlhaus"),
            ],
            upstreams: vec!["192.0.2.53:53".to_owned(), "[2001:db8::53]:53".to_owned()],
            index_bytes: 4096,
            accounts: accounts.to_vec(),
            reload_failures: 1,
            state_generation: 3,
            state_failures: 1,
            state_kept: Some(true),
            state_newer: false,
        };
        metrics
    }

    /// The text of [`fixed`].
    fn fixed_text() -> String {
        let process = Process { version: "1.2.3", started_at_secs: 1_699_999_999, resident_bytes: Some(65_536) };
        fixed().render_as(process)
    }

    #[test]
    fn exposition_is_golden() {
        let got = fixed_text();
        for (number, (got, want)) in got.lines().zip(include_str!("golden.txt").lines()).enumerate() {
            assert_eq!(got, want, "src/metrics/golden.txt line {}", number + 1);
        }
        assert_eq!(got.len(), include_str!("golden.txt").len(), "lines at the end are missing or new");
    }

    #[test]
    fn names_follow_the_scheme_and_all_have_help() {
        let text = fixed_text();
        let mut helped = "";
        for line in text.lines() {
            if let Some(rest) = line.strip_prefix("# HELP ") {
                let (name, help) = rest.split_once(' ').unwrap();
                assert!(help.len() > 20 && help.ends_with('.'), "{name}: {help}");
                helped = name;
            } else if let Some(rest) = line.strip_prefix("# TYPE ") {
                let (name, kind) = rest.split_once(' ').unwrap();
                assert_eq!(name, helped);
                let noun = name.strip_prefix("cenote_").unwrap();
                assert!(noun.split('_').all(|word| !word.is_empty() && word.bytes().all(|c| c.is_ascii_lowercase())));
                assert_eq!(kind == "counter", name.ends_with("_total"), "{name} is a {kind}");
            } else {
                assert!(line.starts_with(helped), "{line} stands under {helped}");
            }
        }
    }

    #[test]
    fn only_the_operators_names_are_free_text() {
        let fixed_words: Vec<&str> = Transport::ALL
            .iter()
            .map(|(_, label)| *label)
            .chain(Outcome::ALL.iter().map(|(_, label)| *label))
            .chain(ProxyRefused::ALL.iter().map(|(_, label)| *label))
            .chain(Limit::ALL.iter().map(|(_, label)| *label))
            .chain(RCODES)
            .chain(ACTIONS)
            .chain(RULES)
            .chain(["allowed", "denied", "local", "shared", "miss", "not-a-name", "too-long", "1.2.3", "+Inf"])
            .collect();
        let bounds: Vec<String> = LATENCY_BOUNDS_SECS.iter().map(f64::to_string).collect();
        for line in fixed_text().lines().filter(|line| !line.starts_with('#')) {
            let Some((_, labels)) = line.split_once('{') else { continue };
            let labels = labels.rsplit_once('}').unwrap().0.replace("\\\"urgent\\\"", "urgent");
            for pair in labels.split(',') {
                let (label, value) = pair.split_once('=').unwrap();
                let value = value.trim_matches('"');
                let known = fixed_words.contains(&value) || bounds.iter().any(|bound| bound == value);
                assert!(
                    known || ["feed", "upstream", "tenant", "sector"].contains(&label),
                    "{line}: {label} is free text"
                );
            }
        }
    }

    #[test]
    fn hits_follow_their_feed_when_its_place_changes() {
        let shard = Arc::new(Shard::default());
        let metrics = Metrics::new(vec![Arc::clone(&shard)], Box::new(LiveFigures::default));
        let publish = |feeds: &[&str]| {
            let feeds = feeds.iter().map(|name| feed(name)).collect();
            metrics.set(Gauges { feeds, ..Gauges::default() });
        };
        let sunk = |name: &str| {
            let start = format!("cenote_feed_hits_total{{feed=\"{name}\",action=\"sinkhole\"}} ");
            metrics.render().lines().find_map(|line| Some(line.strip_prefix(&start)?.parse::<u64>().unwrap()))
        };
        publish(&["a", "b"]);
        shard.feed_hits(0, 0).add(10);
        shard.feed_hits(1, 0).add(20);
        assert_eq!((sunk("a"), sunk("b")), (Some(10), Some(20)));
        publish(&["new", "a", "b"]);
        assert_eq!((sunk("new"), sunk("a"), sunk("b")), (Some(0), Some(10), Some(20)));
        shard.feed_hits(0, 0).add(1);
        shard.feed_hits(1, 0).add(2);
        shard.feed_hits(2, 0).add(3);
        assert_eq!((sunk("new"), sunk("a"), sunk("b")), (Some(1), Some(12), Some(23)));
        publish(&["b", "new"]);
        assert_eq!((sunk("new"), sunk("a"), sunk("b")), (Some(1), None, Some(23)));
    }

    #[test]
    fn without_feeds_and_upstreams_it_still_renders() {
        let metrics = Metrics::new(Vec::new(), Box::new(LiveFigures::default));
        let text = metrics.render();
        assert!(text.contains("\ncenote_ready 0\n") && text.contains("cenote_policy_generation 0\n"), "{text}");
        assert_eq!(metrics.generation(), 0);
        metrics.set(Gauges { generation: 2, ..Gauges::default() });
        assert!(metrics.render().contains("\ncenote_ready 1\n"));
        assert_eq!((metrics.generation(), metrics.gauges().generation), (2, 2));
    }
}
