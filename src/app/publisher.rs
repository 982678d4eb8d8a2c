//! The publisher: one thread that reads, builds, publishes, and frees what was retired.
//!
//! Configuration and feeds form one generation. It is built aside and swapped whole; whatever goes wrong, the generation in force stays.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::Duration;

use super::feeds::{FeedSet, FeedTrouble, Progress, load_feeds};
use super::generation::{self, Accounts};
use crate::config::{self, Faults, Settings};
use crate::feed::{Source, Stat, Watch};
use crate::index::BuildError;
use crate::metrics::{Account, Gauges, Metrics};
use crate::policy::{Live, TenantConfig};
use crate::server::{Post, Rules};
use crate::sys;
use crate::zone::{ZoneError, Zones};

/// How often the shelf of retired generations is looked at while something is on it.
const REAP_EVERY: Duration = Duration::from_millis(20);

/// What the publisher is told to do.
pub(super) enum Task {
    /// Read everything again; whoever asked may wait for the result.
    Reload(Option<Sender<Result<Reloaded, ReloadError>>>),
    /// End.
    Stop,
}

/// What a reload came to.
#[derive(Debug, Clone)]
pub struct Reloaded {
    /// The generation in force now.
    pub generation: u64,
    /// What the operator should know.
    pub notes: Vec<String>,
}

/// Why nothing was reloaded; the generation in force stays.
#[derive(Debug, thiserror::Error)]
pub enum ReloadError {
    /// The configuration is wrong.
    #[error(transparent)]
    Config(#[from] Faults),
    /// A zone is wrong.
    #[error("{}", list(.0))]
    Zones(Vec<ZoneError>),
    /// The index could not be built.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// The first load: a feed could not be taken.
    #[error("{}", list(.0))]
    Feeds(Vec<FeedTrouble>),
    /// The server is stopping.
    #[error("the server is stopping")]
    Stopping,
}

/// Each on a line.
fn list<E: std::error::Error>(errors: &[E]) -> String {
    let lines: Vec<String> = errors.iter().map(|error| super::chain(error)).collect();
    lines.join("\n")
}

/// What the publisher works on.
pub(super) struct Publisher {
    /// The file that is read again; `None`: the embedded configuration.
    pub(super) config_file: Option<PathBuf>,
    /// What is in force.
    pub(super) settings: Settings,
    /// What workers read.
    pub(super) live: Arc<Live<Rules>>,
    /// Who is woken after a swap.
    pub(super) posts: Arc<[Post]>,
    /// Where figures go.
    pub(super) metrics: Arc<Metrics>,
    /// The feeds in force; `None` before the first load.
    pub(super) feeds: Option<FeedSet>,
    /// What every file looked like before it was last read, in the order of `files`.
    pub(super) seen: Vec<Option<Stat>>,
    /// The zones in force.
    pub(super) zones: Arc<Zones>,
    /// The number in force.
    pub(super) generation: u64,
    /// Where the tenants in force are counted.
    pub(super) accounts: Vec<Account>,
    /// Reloads that changed nothing because they failed.
    pub(super) reload_failures: u64,
}

impl Publisher {
    /// The first load: a feed that cannot be taken is an error, for nothing older protects anybody.
    pub(super) fn first_load(&mut self, progress: Progress<'_>) -> Result<Reloaded, ReloadError> {
        self.seen = look(&self.files());
        let (feeds, troubles) = load_feeds(&self.settings.feeds, None, progress)?;
        if !troubles.is_empty() {
            return Err(ReloadError::Feeds(troubles));
        }
        self.feeds = Some(feeds);
        self.publish();
        Ok(Reloaded { generation: self.generation, notes: self.notes() })
    }

    /// Works until told to stop.
    pub(super) fn run(mut self, tasks: &Receiver<Task>, itself: &Sender<Task>) {
        // The first load was in a hurry; from here on queries come first.
        if let Err(error) = sys::lower_priority() {
            tracing::debug!(%error, "the publisher keeps its priority");
        }
        let mut watch = self.watch(itself);
        let mut freeing = true;
        loop {
            let held = self.live.reap();
            if freeing && held == 0 {
                sys::trim_memory();
                freeing = false;
            }
            let task = if held == 0 {
                tasks.recv().map_err(|_| RecvTimeoutError::Disconnected)
            } else {
                tasks.recv_timeout(REAP_EVERY)
            };
            match task {
                Ok(Task::Reload(reply)) => {
                    let files = self.files();
                    let result = self.reload();
                    freeing = true;
                    if files != self.files() {
                        drop(watch);
                        watch = self.watch(itself);
                    }
                    report(&result);
                    if let Some(reply) = reply {
                        // Whoever asked may have gone.
                        reply.send(result).ok();
                    }
                }
                Err(RecvTimeoutError::Timeout) => {}
                Ok(Task::Stop) | Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    /// Reads everything again and publishes it.
    fn reload(&mut self) -> Result<Reloaded, ReloadError> {
        let result = self.try_reload();
        if result.is_err() {
            self.reload_failures += 1;
            self.set_gauges();
        }
        result
    }

    /// As [`Self::reload`]; an error leaves everything as it was.
    fn try_reload(&mut self) -> Result<Reloaded, ReloadError> {
        let config_seen: Vec<_> = self.config_file.iter().map(|file| Stat::of(file)).collect();
        let settings = match &self.config_file {
            Some(file) => config::load(file)?,
            None => self.settings.clone(),
        };
        let mut seen = look(&files(self.config_file.as_deref(), &settings));
        seen.splice(..config_seen.len(), config_seen);
        let zones = Arc::new(Zones::build(&settings.zones).map_err(ReloadError::Zones)?);
        let (feeds, troubles) = load_feeds(&settings.feeds, self.feeds.as_ref(), &mut |_, _, _| ())?;
        let mut notes: Vec<String> = troubles.iter().map(|trouble| super::chain(trouble)).collect();
        let restart = config::restart_keys(&self.settings, &settings);
        if !restart.is_empty() {
            notes.push(format!("changed, and in force after a restart: {}", restart.join(", ")));
        }
        // Keys that need a restart stay as they are until then, so that they are named again at the next reload.
        self.settings = Settings {
            server: self.settings.server.clone(),
            upstream: self.settings.upstream.clone(),
            cache: self.settings.cache.clone(),
            admin: self.settings.admin.clone(),
            ..settings
        };
        self.zones = zones;
        self.seen = seen;
        self.feeds = Some(feeds);
        self.publish();
        notes.extend(self.notes());
        Ok(Reloaded { generation: self.generation, notes })
    }

    /// Swaps in what was built, wakes everyone, and sets the figures.
    fn publish(&mut self) {
        let Some(feeds) = &self.feeds else { return };
        self.generation += 1;
        let mut accounts = Accounts::new(&self.metrics);
        let account = |tenant: &TenantConfig| accounts.account(tenant);
        let rules = generation::rules(&self.settings, Arc::clone(&self.zones), Some(feeds), self.generation, account);
        self.accounts = accounts.into_opened();
        self.live.publish(rules);
        for post in self.posts.iter() {
            post.ring();
        }
        self.set_gauges();
    }

    /// Tells the metrics what is in force.
    fn set_gauges(&self) {
        let feeds = self.feeds.as_ref();
        self.metrics.set(Gauges {
            generation: self.generation,
            feeds: feeds.map(|set| set.states.iter().map(|state| state.figures.clone()).collect()).unwrap_or_default(),
            upstreams: self.settings.upstream.upstreams().iter().map(ToString::to_string).collect(),
            index_bytes: feeds.map_or(0, |set| set.indexes().iter().map(|index| index.bytes() as u64).sum()),
            accounts: self.accounts.clone(),
            reload_failures: self.reload_failures,
        });
    }

    /// What works in this generation, but hardly as it was meant.
    pub(super) fn notes(&self) -> Vec<String> {
        let mut notes: Vec<String> = self.settings.warnings.iter().map(ToString::to_string).collect();
        notes.extend(self.feeds.iter().flat_map(|set| set.notes(&self.settings.policy_feeds)));
        notes
    }

    /// Every file that makes a generation.
    fn files(&self) -> Vec<PathBuf> {
        files(self.config_file.as_deref(), &self.settings)
    }

    /// Watches the files; a change that has come to rest is a reload, and so is one since they were read. Without a watch there is still
    /// SIGHUP.
    fn watch(&self, tasks: &Sender<Task>) -> Option<Watch> {
        let files = self.files();
        if files.is_empty() {
            return None;
        }
        let (watch, changes) = Watch::start(files).inspect_err(warn_unwatched).ok()?;
        if look(&self.files()) != self.seen {
            // Refused only once the publisher is gone.
            tasks.send(Task::Reload(None)).ok();
        }
        let tasks = tasks.clone();
        let relay = move || {
            // Ends with the watch, or with the publisher.
            while changes.recv().is_ok() && tasks.send(Task::Reload(None)).is_ok() {}
        };
        thread::Builder::new().name("cenote-changes".to_owned()).spawn(relay).ok()?;
        Some(watch)
    }
}

/// Every file that makes a generation: the configuration first, then feeds and zones.
fn files(config_file: Option<&Path>, settings: &Settings) -> Vec<PathBuf> {
    let feeds = settings.feeds.iter().filter_map(|feed| match &feed.source {
        Source::File(path) => Some(path.clone()),
        Source::Sample => None,
    });
    let zones = settings.zones.zones.iter().map(|zone| zone.file.clone());
    config_file.map(Path::to_owned).into_iter().chain(feeds).chain(zones).collect()
}

/// What files look like now.
fn look(files: &[PathBuf]) -> Vec<Option<Stat>> {
    files.iter().map(|file| Stat::of(file)).collect()
}

/// Says that files are not watched.
fn warn_unwatched(error: &crate::feed::WatchError) {
    tracing::warn!(error = super::chain(error), "files are not watched; SIGHUP or `cenote reload` reloads");
}

/// Logs what a reload came to.
fn report(result: &Result<Reloaded, ReloadError>) {
    match result {
        Ok(Reloaded { generation, notes }) => {
            tracing::info!(generation, "a new generation is enforced");
            for note in notes {
                tracing::warn!("{note}");
            }
        }
        // A fault may quote the operator's own zone names: the log gets places, `cenote reload` and `check` the rest.
        Err(ReloadError::Config(faults)) => {
            let count = faults.count();
            tracing::error!(
                faults = count,
                "the configuration is wrong, the older generation stays; see `cenote check`"
            );
        }
        Err(ReloadError::Zones(errors)) => {
            tracing::error!(faults = errors.len(), "a zone is wrong, the older generation stays; see `cenote check`");
        }
        Err(error) => tracing::error!(error = super::chain(error), "the older generation stays"),
    }
}

/// A queue of tasks.
pub(super) fn tasks() -> (Sender<Task>, Receiver<Task>) {
    channel()
}
