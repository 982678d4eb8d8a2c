//! What the admin socket can have done.

use std::net::IpAddr;
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};

use super::explain::explain;
use super::publisher::{ReloadError, Task};
use crate::admin::{self, Explanation, Fault, FeedSummary, Reply, Status};
use crate::metrics::Metrics;
use crate::name::Name;
use crate::policy::Live;
use crate::server::Rules;

/// The server, as the admin socket sees it.
pub(super) struct Control {
    /// What is in force.
    pub(super) live: Arc<Live<Rules>>,
    /// Figures.
    pub(super) metrics: Arc<Metrics>,
    /// The publisher's queue.
    pub(super) tasks: Mutex<Sender<Task>>,
}

impl Control {
    /// Every feed in force.
    fn feeds(&self) -> Vec<FeedSummary> {
        let summary = |feed: crate::metrics::FeedFigures| FeedSummary {
            refused_lines: feed.refused.iter().map(|(_, lines)| lines).sum(),
            name: feed.name,
            entries: feed.entries,
            loaded_at_secs: feed.loaded_at_secs,
            stale: feed.stale,
        };
        self.metrics.gauges().feeds.into_iter().map(summary).collect()
    }
}

impl admin::Control for Control {
    fn reload(&self) -> Result<Reply, Fault> {
        let (reply, result) = channel();
        let tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner).clone();
        tasks.send(Task::Reload(Some(reply))).map_err(|_| ReloadError::Stopping)?;
        let reloaded = result.recv().map_err(|_| ReloadError::Stopping)??;
        Ok(Reply::Reloaded { generation: reloaded.generation, feeds: self.feeds(), warnings: reloaded.notes })
    }

    fn explain(&self, name: &str, client: Option<IpAddr>) -> Result<Explanation, Fault> {
        let name = Name::from_text(name.as_bytes())?;
        Ok(explain(&self.live.load(), &name, client))
    }

    fn status(&self) -> Status {
        let version = env!("CARGO_PKG_VERSION").to_owned();
        Status { version, generation: self.metrics.generation(), feeds: self.feeds() }
    }
}
