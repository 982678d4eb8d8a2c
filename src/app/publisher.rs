//! The publisher: one thread that reads, builds, publishes, keeps, and frees what was retired.
//!
//! Configuration and feeds form one generation. It is built aside and swapped whole; whatever goes wrong, the generation in force stays. Only
//! what is enforced already is kept on disk: a full or broken disk costs nobody's protection.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::thread;
use std::time::{Duration, Instant};

use rand::RngExt as _;
use rand::rngs::StdRng;

use super::feeds::FeedSet;
use super::generation::{self, Accounts};
use super::loading::{LoadedFeeds, Progress, Wanted, load_feeds, now_secs};
use super::merging::Merging;
use super::tasks::{Generations, ReloadError, Reloaded, Task};
use crate::config::{self, Settings};
use crate::feed::{KeptFeed, Schedule, Source, Start, Stat, Store, StoreError, Watch};
use crate::index::{Index, Until};
use crate::metrics::{Account, Gauges, Metrics};
use crate::policy::{Live, TenantConfig};
use crate::server::{Post, Rules};
use crate::sys;
use crate::zone::Zones;

/// A way to keep a generation on disk.
type Save = fn(&mut Store, u64, u64, Vec<KeptFeed>, BTreeMap<String, Arc<Index>>) -> Result<(), StoreError>;

/// How often the shelf of retired generations is looked at while something is on it.
const REAP_EVERY: Duration = Duration::from_millis(20);

/// How often at least the clock is looked at while entries have an end.
const CLOCK_EVERY: Duration = Duration::from_secs(60);

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
    /// When the next entry ends that is enforced.
    pub(super) ends: Option<Until>,
    /// Where the tenants in force are counted.
    pub(super) accounts: Vec<Account>,
    /// Where generations are kept.
    pub(super) store: Option<Store>,
    /// When each feed is read again.
    pub(super) schedule: Schedule,
    /// Spreads the feeds' times.
    pub(super) random: StdRng,
    /// Whether an overlay is being merged.
    pub(super) merging: Merging,
    /// How much went wrong.
    pub(super) troubles: Troubles,
}

/// What went wrong since the start, and what the operator is to know of it.
#[derive(Default)]
pub(super) struct Troubles {
    /// Reloads that changed nothing because they failed.
    reload_failures: u64,
    /// The generation kept last.
    state_generation: u64,
    /// Generations that could not be kept.
    state_failures: u64,
    /// Whether what is in force is one of them.
    unkept: bool,
}

impl Publisher {
    /// The first generation: what was kept, if it may be enforced, else what the sources give. Without either a feed that cannot be taken is an
    /// error, unless the operator would rather wait.
    pub(super) fn first_load(&mut self, progress: Progress<'_>) -> Result<Reloaded, ReloadError> {
        let (kept, mut notes) = self.open_store()?;
        self.schedule.set(intervals(&self.settings), Instant::now());
        let start = self.settings.state.start;
        self.seen = look(&self.files());
        let loaded = match (&kept, start) {
            // Nothing of the sources is read here: the look at them below shows what changed since.
            (Some(kept), Start::LastGood | Start::Open) => {
                self.seen.clear();
                load_feeds(&self.settings.feeds, Some(kept), Wanted::Nothing, progress)?
            }
            _ => load_feeds(&self.settings.feeds, kept.as_ref(), Wanted::Changed, progress)?,
        };
        let LoadedFeeds { set, tried, troubles } = loaded;
        let unprotected =
            troubles.iter().any(|trouble| set.find(&trouble.name).is_none_or(|(state, _)| !state.is_loaded()));
        if unprotected && start == Start::LastGood {
            return Err(ReloadError::Feeds(troubles));
        }
        self.tell_schedule(&set, &tried, &troubles);
        notes.extend(troubles.iter().map(|trouble| super::chain(trouble)));
        self.feeds = Some(set);
        if unprotected && start == Start::Wait {
            notes.push("not enforcing: not all feeds could be read yet".to_owned());
            self.set_gauges();
        } else {
            self.publish();
            notes.extend(self.keep());
        }
        notes.extend(self.notes());
        Ok(Reloaded { generation: self.enforced(), notes })
    }

    /// The generation that is enforced; 0: none is.
    fn enforced(&self) -> u64 {
        if self.live.load().policy.is_some() { self.generation } else { 0 }
    }

    /// Opens the state directory, and reads what was kept last.
    fn open_store(&mut self) -> Result<(Option<FeedSet>, Vec<String>), ReloadError> {
        let Some(folder) = &self.settings.state.directory else { return Ok((None, Vec::new())) };
        let mut store = match Store::open(folder, self.settings.state.generations) {
            Ok(store) => store,
            Err(error @ StoreError::InUse { .. }) => return Err(error.into()),
            Err(error) => {
                self.troubles.state_failures += 1;
                return Ok((None, vec![format!("nothing is kept: {}", super::chain(&error))]));
            }
        };
        let mut notes = Vec::new();
        if !store.is_writable() {
            notes.push(format!("nothing is kept: {}: cannot be written", folder.display()));
        }
        let (kept, passed_over) = store.newest();
        notes.extend(passed_over.iter().map(|error| format!("passed over: {}", super::chain(error))));
        // A number means one policy, in every run.
        self.generation = store.last_number();
        self.troubles.state_generation = kept.as_ref().map_or(0, |kept| kept.generation);
        self.store = Some(store);
        Ok((kept.map(FeedSet::from_kept), notes))
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
            self.merge_overlays(itself);
            let files = self.files();
            match self.next_task(tasks, held > 0) {
                Ok(Task::Stop) | Err(RecvTimeoutError::Disconnected) => return,
                Ok(Task::Generations(answer)) => drop(answer.send(self.generations())),
                Ok(Task::Differences { feed, since, named, answer }) => {
                    drop(answer.send(self.differences(&feed, since, named)));
                    freeing = true;
                }
                Ok(Task::Merged(merged)) => {
                    self.take_merged(merged);
                    freeing = true;
                }
                Ok(task) => {
                    self.perform(task);
                    freeing = true;
                }
                Err(RecvTimeoutError::Timeout) => {
                    if self.ends.is_some_and(|ends| ends.has_come(now_secs())) {
                        // What is left of the same feeds: there is nothing new to keep.
                        self.publish();
                        freeing = true;
                    }
                    freeing |= self.refresh_due();
                }
            }
            if files != self.files() {
                drop(watch);
                watch = self.watch(itself);
            }
        }
    }

    /// Reads the feeds whose time has come; whether there were any.
    fn refresh_due(&mut self) -> bool {
        let (mut due, now_secs) = (self.schedule.due(Instant::now()), now_secs());
        due.extend(self.feeds.iter().flat_map(|set| set.begun(now_secs)));
        if due.is_empty() {
            return false;
        }
        report(&self.refresh(&due, false));
        self.feeds.iter_mut().for_each(|set| set.forget_begun(now_secs));
        // Those that are as they were when last read were not read again, and are well.
        for name in self.schedule.due(Instant::now()).iter().filter(|name| due.contains(name)) {
            self.schedule.done(name, true, Instant::now(), self.random.random());
        }
        true
    }

    /// The next task; [`RecvTimeoutError::Timeout`] when something is to be done without one. `held`: something retired waits to be freed.
    fn next_task(&self, tasks: &Receiver<Task>, held: bool) -> Result<Task, RecvTimeoutError> {
        let due = self.schedule.next().map(|due| due.saturating_duration_since(Instant::now()));
        let reap = held.then_some(REAP_EVERY);
        // Told by the clock on the wall, which may be set meanwhile.
        let ends = self.ends.into_iter().chain(self.feeds.as_ref().and_then(FeedSet::begins)).min();
        let ends = ends.and_then(Until::secs).map(|ends| Duration::from_secs(ends.saturating_sub(now_secs())));
        let ends = ends.map(|wait| wait.clamp(Duration::from_millis(100), CLOCK_EVERY));
        match due.into_iter().chain(reap).chain(ends).min() {
            Some(wait) => tasks.recv_timeout(wait),
            None => tasks.recv().map_err(|_| RecvTimeoutError::Disconnected),
        }
    }

    /// Does one task, says what came of it, and answers whoever asked.
    fn perform(&mut self, task: Task) {
        let (result, answer) = match task {
            Task::Reload(answer) => (self.reload(), answer),
            Task::Changed(paths) => match self.feeds_behind(&paths) {
                Some(feeds) => (self.refresh(&feeds, false), None),
                None => (self.reload(), None),
            },
            Task::Refresh { feeds, force, answer } => (self.refresh_named(&feeds, force), Some(answer)),
            Task::Rollback { generation, feeds, answer } => (self.roll_back(generation, &feeds), Some(answer)),
            Task::Unpin { feeds, answer } => (self.unpin(&feeds), Some(answer)),
            Task::Differences { .. } | Task::Merged(_) | Task::Generations(_) | Task::Stop => return,
        };
        report(&result);
        if let Some(answer) = answer {
            // Whoever asked may have gone.
            answer.send(result).ok();
        }
    }

    /// The feeds whose files these are; `None` if another file is among them.
    fn feeds_behind(&self, paths: &[PathBuf]) -> Option<Vec<String>> {
        let mut feeds = Vec::new();
        for path in paths {
            let other = |file: &PathBuf| file == path;
            if other_files(self.config_file.as_deref(), &self.settings).any(|file| other(&file)) {
                return None;
            }
            let of_path = |source: &Source| matches!(source, Source::File(file) if file == path);
            feeds.extend(self.settings.feeds.iter().filter(|feed| of_path(&feed.source)).map(|feed| feed.name.clone()));
        }
        Some(feeds)
    }

    /// Reads everything again and publishes it.
    fn reload(&mut self) -> Result<Reloaded, ReloadError> {
        let result = self.try_reload();
        if result.is_err() {
            self.troubles.reload_failures += 1;
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
        let loaded = load_feeds(&settings.feeds, self.feeds.as_ref(), Wanted::Changed, &mut |_, _, _| ())?;
        let restart = config::restart_keys(&self.settings, &settings);
        // Keys that need a restart stay as they are until then, so that they are named again at the next reload.
        self.settings = Settings {
            server: self.settings.server.clone(),
            upstream: self.settings.upstream.clone(),
            cache: self.settings.cache.clone(),
            admin: self.settings.admin.clone(),
            state: self.settings.state.clone(),
            ..settings
        };
        self.zones = zones;
        self.seen = seen;
        self.schedule.set(intervals(&self.settings), Instant::now());
        let mut reloaded = self.take(loaded);
        if !restart.is_empty() {
            reloaded.notes.insert(0, format!("changed, and in force after a restart: {}", restart.join(", ")));
        }
        reloaded.notes.extend(self.notes());
        Ok(reloaded)
    }

    /// Reads these feeds again.
    pub(super) fn refresh(&mut self, names: &[String], force: bool) -> Result<Reloaded, ReloadError> {
        let wanted = Wanted::These { names, force };
        let loaded = load_feeds(&self.settings.feeds, self.feeds.as_ref(), wanted, &mut |_, _, _| ())?;
        let nothing_new = loaded.tried.len() == loaded.troubles.len();
        if nothing_new && self.enforced() != 0 {
            // Nothing changed but what is known of those that failed: there is nothing to publish.
            self.tell_schedule(&loaded.set, &loaded.tried, &loaded.troubles);
            let notes = loaded.troubles.iter().map(|trouble| super::chain(trouble)).collect();
            self.feeds = Some(loaded.set);
            self.set_gauges();
            return Ok(Reloaded { generation: self.generation, notes });
        }
        Ok(self.take(loaded))
    }

    /// Takes what was loaded: in force, on disk, and in the figures.
    pub(super) fn take(&mut self, loaded: LoadedFeeds) -> Reloaded {
        let LoadedFeeds { set, tried, troubles } = loaded;
        self.tell_schedule(&set, &tried, &troubles);
        let mut notes: Vec<String> = troubles.iter().map(|trouble| super::chain(trouble)).collect();
        let waits = self.enforced() == 0;
        let complete = set.states.iter().all(super::FeedState::is_loaded);
        self.feeds = Some(set);
        if waits && self.settings.state.start == Start::Wait && !complete {
            self.set_gauges();
        } else {
            self.publish();
            notes.extend(self.keep());
        }
        Reloaded { generation: self.enforced(), notes }
    }

    /// Tells the schedule what was read, and which feeds rest.
    fn tell_schedule(&mut self, set: &FeedSet, tried: &[String], troubles: &[super::FeedTrouble]) {
        for name in tried {
            let well = !troubles.iter().any(|trouble| trouble.name == *name);
            self.schedule.done(name, well, Instant::now(), self.random.random());
        }
        for state in set.states.iter().filter(|state| state.figures.pinned) {
            self.schedule.rest(&state.name);
        }
    }

    /// Swaps in what was built, wakes everyone, and sets the figures.
    pub(super) fn publish(&mut self) {
        let Some(feeds) = &self.feeds else { return };
        let (indexes, ends) = feeds.in_force(now_secs());
        self.ends = ends;
        self.generation += 1;
        let mut accounts = Accounts::new(&self.metrics);
        let account = |tenant: &TenantConfig| accounts.account(tenant);
        let rules = generation::rules(&self.settings, Arc::clone(&self.zones), Some(indexes), self.generation, account);
        self.accounts = accounts.into_opened();
        self.live.publish(rules);
        tracing::info!(generation = self.generation, "a new generation is enforced");
        for post in self.posts.iter() {
            post.ring();
        }
        self.set_gauges();
    }

    /// Keeps what is in force on disk; what the operator should know if that fails.
    fn keep(&mut self) -> Option<String> {
        self.keep_by(Store::save)
    }

    /// As [`Self::keep`], where the same was kept already, in its place.
    pub(super) fn keep_again(&mut self) -> Option<String> {
        self.keep_by(if self.troubles.unkept { Store::save } else { Store::save_again })
    }

    /// Keeps what is in force by one of the store's ways.
    fn keep_by(&mut self, save: Save) -> Option<String> {
        let (feeds, parts) = self.feeds.as_ref()?.kept();
        let store = self.store.as_mut()?;
        let kept = save(store, self.generation, now_secs(), feeds, parts);
        self.troubles.unkept = kept.is_err();
        let note = match kept {
            Ok(()) => {
                self.troubles.state_generation = self.generation;
                None
            }
            Err(error) => {
                self.troubles.state_failures += 1;
                Some(format!("generation {} is enforced but not kept: {}", self.generation, super::chain(&error)))
            }
        };
        self.set_gauges();
        note
    }

    /// The number under which what is in force is kept; 0: it is not.
    pub(super) const fn kept_in_force(&self) -> u64 {
        self.troubles.state_generation
    }

    /// The generations that are kept.
    fn generations(&self) -> Result<Generations, ReloadError> {
        let store = self.store.as_ref().ok_or(ReloadError::NoStore)?;
        Ok(Generations { kept: store.list(), in_force: self.troubles.state_generation })
    }

    /// Tells the metrics what is in force.
    fn set_gauges(&self) {
        let feeds = self.feeds.as_ref();
        self.metrics.set(Gauges {
            generation: self.enforced(),
            feeds: feeds.map(|set| set.states.iter().map(|state| state.figures.clone()).collect()).unwrap_or_default(),
            upstreams: self.settings.upstream.upstreams().iter().map(ToString::to_string).collect(),
            index_bytes: feeds.map_or(0, |set| set.indexes().iter().map(|index| index.bytes() as u64).sum()),
            accounts: self.accounts.clone(),
            reload_failures: self.troubles.reload_failures,
            state_generation: self.troubles.state_generation,
            state_failures: self.troubles.state_failures,
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

    /// Watches the files; a change that has come to rest is a task, and so is one since they were read. Without a watch there is still
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
            while let Ok(changed) = changes.recv() {
                if tasks.send(Task::Changed(changed.paths)).is_err() {
                    break;
                }
            }
        };
        thread::Builder::new().name("cenote-changes".to_owned()).spawn(relay).ok()?;
        Some(watch)
    }
}

/// Every feed's name and interval.
fn intervals(settings: &Settings) -> impl Iterator<Item = (&str, u32)> {
    settings.feeds.iter().map(|feed| (feed.name.as_str(), feed.refresh_secs))
}

/// Every file that makes a generation: the configuration first, then zones and what feeds may not sink, then feeds.
fn files(config_file: Option<&Path>, settings: &Settings) -> Vec<PathBuf> {
    let feeds = settings.feeds.iter().filter_map(|feed| match &feed.source {
        Source::File(path) => Some(path.clone()),
        Source::Sample => None,
    });
    other_files(config_file, settings).chain(feeds).collect()
}

/// Those of them that are no feed's.
fn other_files(config_file: Option<&Path>, settings: &Settings) -> impl Iterator<Item = PathBuf> {
    let zones = settings.zones.zones.iter().map(|zone| zone.file.clone());
    config_file.map(Path::to_owned).into_iter().chain(settings.protected_file.clone()).chain(zones)
}

/// What files look like now.
fn look(files: &[PathBuf]) -> Vec<Option<Stat>> {
    files.iter().map(|file| Stat::of(file)).collect()
}

/// Says that files are not watched.
fn warn_unwatched(error: &crate::feed::WatchError) {
    tracing::warn!(error = super::chain(error), "files are not watched; SIGHUP or `cenote reload` reloads");
}

/// Logs what a task came to.
fn report(result: &Result<Reloaded, ReloadError>) {
    match result {
        Ok(Reloaded { notes, .. }) => notes.iter().for_each(|note| tracing::warn!("{note}")),
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
