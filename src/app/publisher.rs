//! The publisher: one thread that reads, builds, publishes, keeps, and frees what was retired.
//!
//! Configuration and feeds form one generation. It is built aside and swapped whole; whatever goes wrong, the generation in force stays. Only
//! what is enforced already is kept on disk: a full or broken disk costs nobody's protection.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use rand::RngExt as _;
use rand::rngs::StdRng;

use super::StartError;
use super::assembly::{Common, random};
use super::control::Refusals;
use super::feeds::FeedSet;
use super::generation::{self, Accounts};
use super::keeping::Keeping;
use super::loading::{LoadedFeeds, Progress, Wanted, load_feeds, now_secs};
use super::merging::Merging;
use super::standing::{FeedState, is_set_back};
use super::tasks::{ReloadError, Reloaded, Task};
use super::watching::{files, look, other_files};
use crate::config::{self, Settings};
use crate::feed::{Schedule, Source, Start, Stat, Store};
use crate::index::Until;
use crate::metrics::{Account, Gauges, Metrics};
use crate::policy::{Live, TenantConfig};
use crate::server::{Post, Rules};
use crate::sys;
use crate::zone::Zones;

/// How often the shelf of retired generations is looked at while something is on it.
const REAP_EVERY: Duration = Duration::from_millis(20);

/// How often at least the clock on the wall is looked at: entries may end or begin, and it may be set.
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
    /// Where it is told why feeds are stale.
    pub(super) refusals: Arc<Refusals>,
    /// The feeds in force; `None` before the first load.
    pub(super) feeds: Option<FeedSet>,
    /// What every file looked like before it was last read, in the order of `files`; `None`: they are still to be read.
    pub(super) seen: Option<Vec<Option<Stat>>>,
    /// The zones in force.
    pub(super) zones: Arc<Zones>,
    /// The number in force.
    pub(super) generation: u64,
    /// When it was published by the clock on the wall, seconds since 1970; 0: nothing was.
    pub(super) published_at_secs: u64,
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
    /// How it stands with what is kept.
    pub(super) keeping: Keeping,
    /// Whether every feed of what was published first had been read, or was kept: until then not all that should be is enforced.
    pub(super) whole: bool,
    /// Reloads that changed nothing because they failed.
    pub(super) reload_failures: u64,
    /// What was found in the state directory, until the first generation is enforced.
    restored: Restored,
}

/// What a start found in the state directory.
#[derive(Default)]
struct Restored {
    /// The feeds of the newest generation that is whole.
    kept: Option<FeedSet>,
    /// What the operator should know.
    notes: Vec<String>,
}

impl Publisher {
    /// One that has published nothing yet.
    ///
    /// # Errors
    /// What the system says that has no random octets.
    pub(super) fn new(
        config_file: Option<PathBuf>,
        settings: Settings,
        common: &Common,
        posts: Arc<[Post]>,
        zones: Arc<Zones>,
        refusals: Arc<Refusals>,
    ) -> Result<Self, StartError> {
        Ok(Self {
            config_file,
            settings,
            live: Arc::clone(&common.live),
            posts,
            metrics: Arc::clone(&common.metrics),
            refusals,
            feeds: None,
            seen: None,
            zones,
            generation: 0,
            published_at_secs: 0,
            ends: None,
            accounts: common.accounts.clone(),
            store: None,
            schedule: Schedule::default(),
            random: random()?,
            merging: Merging::default(),
            keeping: Keeping::default(),
            whole: false,
            reload_failures: 0,
            restored: Restored::default(),
        })
    }

    /// Opens the state directory, and enforces what was kept, if that may be. Nothing of the sources is read: what changed since is read next.
    pub(super) fn restore(&mut self, progress: Progress<'_>) -> Result<Option<Reloaded>, ReloadError> {
        // What is counted is there before it is: the first load may take long, and be refused.
        self.set_gauges();
        let (kept, notes) = self.open_store()?;
        self.schedule.set(intervals(&self.settings), Instant::now());
        self.restored = Restored { kept, notes };
        let Some(kept) = self.restored.kept.as_ref().filter(|_| self.settings.state.start != Start::Wait) else {
            return Ok(None);
        };
        let loaded = load_feeds(&self.settings.feeds, Some(kept), Wanted::Nothing, progress)?;
        if !loaded.set.has_some() {
            return Ok(None);
        }
        self.whole = true;
        Ok(Some(self.take_first(loaded)))
    }

    /// The first generation where nothing that was kept is enforced: what the sources give. A source that cannot be read is waited for; if none
    /// can be, that is an error, unless the operator would rather wait.
    pub(super) fn first_load(&mut self, progress: Progress<'_>) -> Result<Reloaded, ReloadError> {
        self.seen = Some(look(&self.files()));
        let loaded = load_feeds(&self.settings.feeds, self.restored.kept.as_ref(), Wanted::Changed, progress)?;
        if self.settings.state.start == Start::LastGood && !loaded.troubles.is_empty() && !loaded.set.has_some() {
            // Why nothing that was kept helps.
            self.restored.notes.iter().for_each(|note| tracing::warn!("{note}"));
            return Err(ReloadError::NothingToEnforce(loaded.troubles));
        }
        let reloaded = self.take_first(loaded);
        if !self.whole {
            tracing::error!("not all feeds could be read: see the warnings; they are tried again");
        }
        Ok(reloaded)
    }

    /// Takes the first that was loaded; what was kept has served its purpose.
    fn take_first(&mut self, loaded: LoadedFeeds) -> Reloaded {
        let Restored { notes, .. } = std::mem::take(&mut self.restored);
        let mut reloaded = self.take(loaded);
        reloaded.notes.splice(..0, notes);
        reloaded.notes.extend(self.notes());
        reloaded
    }

    /// The generation that is enforced; 0: none is yet, or not all of it.
    pub(super) fn enforced(&self) -> u64 {
        if self.whole && self.live.load().policy.is_some() { self.generation } else { 0 }
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
            let files = self.files();
            let next = self.next_task(tasks, held > 0);
            if matches!(next, Ok(Task::Stop) | Err(RecvTimeoutError::Disconnected)) {
                return;
            }
            // As workers do around a packet: a defect costs one task, and no update after it.
            match catch_unwind(AssertUnwindSafe(|| self.work(next.ok(), itself))) {
                Ok(worked) => freeing |= worked,
                Err(_) => self.recover(),
            }
            if files != self.files() {
                drop(watch);
                watch = self.watch(itself);
            }
        }
    }

    /// Does a task, or what it is time for; whether there may be something to free.
    fn work(&mut self, task: Option<Task>, itself: &Sender<Task>) -> bool {
        let mut worked = true;
        match task {
            Some(Task::Generations(answer)) => drop(answer.send(self.generations())),
            Some(Task::Differences { feed, since, named, answer }) => {
                drop(answer.send(self.differences(&feed, since, named)));
            }
            Some(Task::Merged(merged)) => self.take_merged(merged),
            #[cfg(test)]
            Some(Task::Panic) => std::panic::resume_unwind(Box::new(())),
            Some(task) => self.perform(task),
            None => {
                let now_secs = now_secs();
                let ended = self.ends.is_some_and(|ends| ends.has_come(now_secs));
                let set_back = is_set_back(self.published_at_secs, now_secs);
                if set_back {
                    tracing::warn!("the clock was set back: what ends or begins is enforced as the clock has it now");
                }
                if ended || set_back {
                    // What is left of the same feeds, or is there again: there is nothing new to keep.
                    self.publish();
                }
                self.keep_late();
                worked = self.refresh_due() || ended || set_back;
            }
        }
        self.merge_overlays(itself);
        worked
    }

    /// After a panic: what is in force stays, it is counted, and what was to be read is tried again later.
    fn recover(&mut self) {
        tracing::error!("a task of the publisher panicked: a defect; what is enforced stays");
        self.reload_failures += 1;
        for name in self.schedule.due(Instant::now()) {
            self.schedule.done(&name, false, Instant::now(), self.random.random());
        }
        self.set_gauges();
    }

    /// Reads the feeds whose time has come; whether there were any.
    fn refresh_due(&mut self) -> bool {
        let (mut due, now_secs) = (self.schedule.due(Instant::now()), now_secs());
        due.extend(self.feeds.iter().flat_map(|set| set.begun(now_secs)));
        if due.is_empty() {
            return false;
        }
        report(&self.refresh(Wanted::These { names: &due, force: false }));
        self.feeds.iter_mut().for_each(|set| set.forget_begun(now_secs));
        // Those that could not be put together were read well, and are read again at their next time.
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
        let again = self.keeping.again_at().map(|at| at.saturating_duration_since(Instant::now()));
        tasks.recv_timeout(due.into_iter().chain(reap).chain(ends).chain(again).fold(CLOCK_EVERY, Duration::min))
    }

    /// Does one task, says what came of it, and answers whoever asked.
    fn perform(&mut self, task: Task) {
        let (result, answer) = match task {
            Task::Reload(answer) => (self.reload(Wanted::All), answer),
            Task::Recheck => (self.reload(Wanted::Changed), None),
            Task::Changed(paths) => match self.feeds_behind(&paths) {
                Some(feeds) => (self.refresh(Wanted::ChangedOf(&feeds)), None),
                None => (self.reload(Wanted::Changed), None),
            },
            Task::Refresh { feeds, force, answer } => (self.refresh_named(&feeds, force), Some(answer)),
            Task::Rollback { generation, feeds, answer } => (self.roll_back(generation, &feeds), Some(answer)),
            Task::Unpin { feeds, answer } => (self.unpin(&feeds), Some(answer)),
            #[cfg(test)]
            Task::Panic => return,
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

    /// Reads configuration, zones and the wanted feeds again, and publishes them.
    fn reload(&mut self, wanted: Wanted<'_>) -> Result<Reloaded, ReloadError> {
        let result = self.try_reload(wanted);
        if result.is_err() {
            self.reload_failures += 1;
            self.set_gauges();
        }
        result
    }

    /// As [`Self::reload`]; an error leaves everything as it was.
    fn try_reload(&mut self, wanted: Wanted<'_>) -> Result<Reloaded, ReloadError> {
        let config_seen: Vec<_> = self.config_file.iter().map(|file| Stat::of(file)).collect();
        let settings = match &self.config_file {
            Some(file) => config::load_again(file, &self.settings)?,
            None => self.settings.clone(),
        };
        let restart = config::restart_keys(&self.settings, &settings);
        let written = settings.clone();
        let settings = settings.until_restart(&self.settings);
        let file = self.config_file.as_deref().unwrap_or(Path::new(""));
        config::check_upstreams(&self.settings, &settings, &written, file).map_err(ReloadError::Upstreams)?;
        let mut seen = look(&files(self.config_file.as_deref(), &settings));
        seen.splice(..config_seen.len(), config_seen);
        let zones = Arc::new(Zones::build(&settings.zones).map_err(ReloadError::Zones)?);
        let loaded = load_feeds(&settings.feeds, self.feeds.as_ref(), wanted, &mut |_, _, _| ())?;
        self.settings = settings;
        self.zones = zones;
        self.seen = Some(seen);
        self.schedule.set(intervals(&self.settings), Instant::now());
        let mut reloaded = self.take(loaded);
        if !restart.is_empty() {
            reloaded.notes.insert(0, format!("changed, and in force after a restart: {}", restart.join(", ")));
        }
        reloaded.notes.extend(self.notes());
        Ok(reloaded)
    }

    /// Reads the wanted feeds again.
    pub(super) fn refresh(&mut self, wanted: Wanted<'_>) -> Result<Reloaded, ReloadError> {
        let loaded = load_feeds(&self.settings.feeds, self.feeds.as_ref(), wanted, &mut |_, _, _| ())?;
        let says_the_same = self.feeds.as_ref().is_some_and(|set| set.says_the_same(&loaded.set));
        if !says_the_same {
            return Ok(self.take(loaded));
        }
        // There is nothing to publish; but when those that are well were read is to outlive the process.
        let LoadedFeeds { set, tried, troubles } = loaded;
        self.tell_schedule(&set, &tried, &troubles);
        let mut reloaded = told(&set, &troubles, self.enforced());
        self.feeds = Some(set);
        self.set_gauges();
        if self.whole && tried.len() > troubles.len() {
            reloaded.notes.extend(self.keep_standing());
        }
        Ok(reloaded)
    }

    /// Takes what was loaded: in force, on disk, and in the figures.
    pub(super) fn take(&mut self, loaded: LoadedFeeds) -> Reloaded {
        let LoadedFeeds { set, tried, troubles } = loaded;
        self.tell_schedule(&set, &tried, &troubles);
        let mut reloaded = told(&set, &troubles, 0);
        self.whole |= set.is_whole();
        let some = set.has_some();
        self.feeds = Some(set);
        if self.whole {
            self.publish();
            reloaded.notes.extend(self.keep());
        } else if self.settings.state.start == Start::Open && some {
            // What there is protects better than nothing; it is neither called enforcing nor kept in the place of what was whole.
            self.publish();
            reloaded.notes.push("not enforcing all: some feeds could not be read yet".to_owned());
        } else {
            reloaded.notes.push("not enforcing: not all feeds could be read yet".to_owned());
            self.set_gauges();
        }
        reloaded.generation = self.enforced();
        reloaded
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
        self.published_at_secs = now_secs();
        let (indexes, ends) = feeds.in_force(self.published_at_secs);
        self.ends = ends;
        self.generation += 1;
        self.give_number();
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

    /// Tells the metrics what is in force.
    pub(super) fn set_gauges(&self) {
        let feeds = self.feeds.as_ref();
        let figures = match feeds {
            Some(set) => set.states.iter().map(|state| state.figures.clone()).collect(),
            None => self.settings.feeds.iter().map(|config| FeedState::empty(config).figures).collect(),
        };
        let refusal = |state: &FeedState| Some((state.name.clone(), state.refused_because.clone()?));
        *self.refusals.lock().unwrap_or_else(PoisonError::into_inner) =
            feeds.iter().flat_map(|set| set.states.iter().filter_map(refusal)).collect();
        self.metrics.set(Gauges {
            generation: self.enforced(),
            feeds: figures,
            upstreams: self.settings.upstream.upstreams().iter().map(ToString::to_string).collect(),
            index_bytes: feeds.map_or(0, |set| set.indexes().iter().map(|index| index.bytes() as u64).sum()),
            accounts: self.accounts.clone(),
            reload_failures: self.reload_failures,
            state_generation: self.keeping.generation,
            state_failures: self.keeping.failures,
            state_kept: self.settings.state.directory.as_ref().map(|_| self.is_kept()),
            state_newer: self.keeping.newer,
        });
    }

    /// What works in this generation, but hardly as it was meant.
    pub(super) fn notes(&self) -> Vec<String> {
        let mut notes: Vec<String> = self.settings.warnings.iter().map(ToString::to_string).collect();
        notes.extend(self.feeds.iter().flat_map(|set| set.notes(&self.settings.policy_feeds, &self.settings.tenants)));
        notes
    }
}

/// What the operator should know of the feeds that were not taken.
fn told(set: &FeedSet, troubles: &[super::FeedTrouble], generation: u64) -> Reloaded {
    let is_loaded = |name: &str| set.find(name).is_some_and(|(state, _)| state.is_loaded());
    let note = |trouble: &super::FeedTrouble| {
        let unprotected = if is_loaded(&trouble.name) { "" } else { "; nothing of it is enforced: it was never read" };
        format!("{}{unprotected}", super::chain(trouble))
    };
    Reloaded {
        generation,
        notes: troubles.iter().map(note).collect(),
        refused: troubles.iter().map(|trouble| trouble.name.clone()).collect(),
    }
}

/// Every feed's name and interval.
fn intervals(settings: &Settings) -> impl Iterator<Item = (&str, u32)> {
    settings.feeds.iter().map(|feed| (feed.name.as_str(), feed.refresh_secs))
}

/// Logs what a task came to.
fn report(result: &Result<Reloaded, ReloadError>) {
    match result {
        Ok(Reloaded { notes, .. }) => notes.iter().for_each(|note| tracing::warn!("{note}")),
        // What stands in the files, and what a zone's file is called, may be names: the log gets the configuration's places and what was expected
        // there, `cenote reload` and `check` the rest.
        Err(ReloadError::Config(faults)) => {
            for fault in faults.iter() {
                let ((key, problem), file) = (fault.for_log(), fault.file.display());
                tracing::error!(%file, line = fault.line, key, "a fault of the configuration: {problem}");
            }
            let count = faults.count();
            tracing::error!(
                faults = count,
                "the configuration is wrong, the older generation stays; see `cenote check`"
            );
        }
        Err(ReloadError::Zones(errors)) => {
            tracing::error!(faults = errors.len(), "a zone is wrong, the older generation stays; see `cenote check`");
        }
        // What an operator took for a feed's name may be an indicator.
        Err(ReloadError::NoSuchFeed(_)) => tracing::warn!("a feed was named that there is not; nothing was changed"),
        Err(error) => tracing::error!(error = super::chain(error), "the older generation stays"),
    }
}
