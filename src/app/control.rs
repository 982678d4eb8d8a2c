//! What the admin socket can have done.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};

use super::differences::Differences;
use super::explain::{explain, place};
use super::tasks::{Answer, ReloadError, Reloaded, Task};
use crate::admin::{self, Asker, Explanation, Fault, FeedDifferences, FeedSummary, GenerationSummary, Reply, Status};
use crate::feed::KeptGeneration;
use crate::index::Change;
use crate::metrics::{FeedFigures, Metrics, RULES};
use crate::name::Name;
use crate::policy::Live;
use crate::server::Rules;

/// Why the last update of a feed was refused, by the feed's name, of those whose last one was.
pub(super) type Refusals = Mutex<BTreeMap<String, String>>;

/// The server, as the admin socket sees it.
pub(super) struct Control {
    /// What is in force.
    pub(super) live: Arc<Live<Rules>>,
    /// Figures.
    pub(super) metrics: Arc<Metrics>,
    /// The addresses listened on, by place, ports as bound.
    pub(super) listen: Vec<SocketAddr>,
    /// Why feeds are stale.
    pub(super) refusals: Arc<Refusals>,
    /// The publisher's queue.
    pub(super) tasks: Mutex<Sender<Task>>,
}

impl Control {
    /// Every feed in force.
    fn feeds(&self) -> Vec<FeedSummary> {
        let refusals = self.refusals.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let updates = |feed: &FeedFigures| {
            let by_rule = RULES.into_iter().zip(feed.refused_updates).filter(|&(_, loads)| loads > 0);
            by_rule.map(|(rule, loads)| (rule.to_owned(), loads)).collect()
        };
        let summary = |feed: FeedFigures| FeedSummary {
            refused_lines: feed.refused.iter().map(|(_, lines)| lines).sum(),
            refused_updates: updates(&feed),
            refused_because: refusals.get(&feed.name).cloned(),
            name: feed.name,
            entries: feed.entries,
            loaded_at_secs: feed.loaded_at_secs,
            stale: feed.stale,
            format: feed.format.to_owned(),
            pinned: feed.pinned,
        };
        self.metrics.gauges().feeds.into_iter().map(summary).collect()
    }

    /// Has the publisher do a task, and waits for what comes of it.
    pub(super) fn have_done<T>(&self, task: impl FnOnce(Answer<T>) -> Task) -> Result<T, ReloadError> {
        let (answer, result) = channel();
        let tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner).clone();
        tasks.send(task(answer)).map_err(|_| ReloadError::Stopping)?;
        result.recv().map_err(|_| ReloadError::Stopping)?
    }

    /// The same of a task that may publish a generation.
    fn publish(&self, task: impl FnOnce(Answer<Reloaded>) -> Task) -> Result<Reply, Fault> {
        let Reloaded { generation, notes, refused } = self.have_done(task)?;
        Ok(Reply::Reloaded { generation, feeds: self.feeds(), warnings: notes, refused })
    }
}

impl admin::Control for Control {
    fn reload(&self) -> Result<Reply, Fault> {
        self.publish(|answer| Task::Reload(Some(answer)))
    }

    fn explain(&self, name: &str, asker: Asker) -> Result<Explanation, Fault> {
        let name = Name::from_text(name.as_bytes())?;
        let listener = place(&self.listen, asker)?;
        Ok(explain(&self.live.load(), &name, asker, listener))
    }

    fn status(&self) -> Status {
        let version = env!("CARGO_PKG_VERSION").to_owned();
        Status { version, generation: self.metrics.generation(), feeds: self.feeds() }
    }

    fn refresh(&self, feeds: Vec<String>, force: bool) -> Result<Reply, Fault> {
        self.publish(|answer| Task::Refresh { feeds, force, answer })
    }

    fn roll_back(&self, generation: Option<u64>, feeds: Vec<String>) -> Result<Reply, Fault> {
        self.publish(|answer| Task::Rollback { generation, feeds, answer })
    }

    fn unpin(&self, feeds: Vec<String>) -> Result<Reply, Fault> {
        self.publish(|answer| Task::Unpin { feeds, answer })
    }

    fn differences(&self, feed: String, since: Option<u64>, named: bool) -> Result<Reply, Fault> {
        let found = self.have_done(|answer| Task::Differences { feed, since, named, answer })?;
        let sign = |change| match change {
            Change::Added => '+',
            Change::Removed => '-',
            Change::Altered => '~',
        };
        let entries = found.entries.into_iter().map(|(change, text)| format!("{} {text}", sign(change))).collect();
        let Differences { added, removed, altered, refused, .. } = found;
        Ok(Reply::Differences(FeedDifferences { added, removed, altered, refused, entries }))
    }

    fn generations(&self) -> Result<Reply, Fault> {
        let generations = self.have_done(Task::Generations)?;
        let summary = |kept: KeptGeneration| GenerationSummary {
            generation: kept.generation,
            made_at_secs: kept.made_at_secs,
            in_force: kept.generation == generations.in_force,
            feeds: kept.feeds.into_iter().map(|feed| (feed.name, feed.entries, feed.pinned)).collect(),
        };
        let kept = generations.kept.into_iter().map(summary).collect();
        Ok(Reply::Generations { kept, enforced: generations.enforced })
    }
}
