//! Reading feeds: those that are wanted and changed are read anew and put before the gate, all others stay as they are in force.
//!
//! A feed that cannot be read, or that the gate refuses, keeps its last good entries: they are read back out of the index in force.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use super::assemble::assemble;
use super::feeds::{FeedSet, FeedState, Tally, Tier};
use crate::feed::{
    self, GateError, Load, LoadError, Loaded, Previous, Report, Rule, Source, Stat, gate, weigh_artifact,
};
use crate::index::{BuildError, FeedId, Index, Kept, OpenError, Sorted, Until};

/// Why one feed was not taken.
#[derive(Debug, thiserror::Error)]
pub enum FeedError {
    /// It could not be read.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// It is an artifact that does not open.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The gate refused it.
    #[error(transparent)]
    Gate(#[from] GateError),
}

impl FeedError {
    /// The rule that refused it.
    #[must_use]
    pub const fn rule(&self) -> Rule {
        match self {
            Self::Load(LoadError::NoUsableEntry { .. }) => Rule::Empty,
            Self::Load(_) | Self::Open(_) => Rule::Unreadable,
            Self::Gate(error) => error.rule(),
        }
    }
}

/// A feed that was not taken.
#[derive(Debug, thiserror::Error)]
#[error("feed {name}: {error}")]
pub struct FeedTrouble {
    /// The operator's name for it.
    pub name: String,
    /// Why.
    #[source]
    pub error: FeedError,
}

/// Which feeds are read.
#[derive(Debug, Clone, Copy)]
pub enum Wanted<'w> {
    /// None: what is in force, or kept, is taken as it is.
    Nothing,
    /// Those whose file or settings changed, those in which an indicator begins to count, and those that failed.
    Changed,
    /// Of these, those that [`Changed`](Self::Changed) would read; with `force` all of these, and their sizes are taken as meant.
    These {
        /// The operator's names for them.
        names: &'w [String],
        /// Whether the gate's bounds are waived.
        force: bool,
    },
}

impl Wanted<'_> {
    /// Whether the feed is to be read, and whether by force.
    fn wants(&self, config: &feed::Config, old: Option<&FeedState>, stat: Option<&Stat>) -> (bool, bool) {
        let begun = |old: &FeedState| old.begins.is_some_and(|begins| begins.has_come(now_secs()));
        let changed = |old: &FeedState| {
            old.fingerprint != config.fingerprint() || old.stat.as_ref() != stat || old.figures.stale || begun(old)
        };
        match (self, old) {
            (Self::Nothing, _) => (false, false),
            (_, Some(old)) if old.figures.pinned => (false, false),
            (Self::These { names, force }, old) if names.contains(&config.name) => {
                (*force || old.is_none_or(changed), *force)
            }
            (Self::These { .. }, _) => (false, false),
            (Self::Changed, old) => (old.is_none_or(changed), false),
        }
    }
}

/// Where one feed of the next generation comes from.
pub(super) enum Next {
    /// Read now.
    Fresh(Sorted),
    /// An artifact, opened now, as one feed.
    Whole(Box<Index>),
    /// In an index at hand, at this place there.
    Kept(Arc<Index>, FeedId),
    /// It was never loaded well.
    Nothing,
}

/// What is told while feeds load: which feed, octets read, octets in all.
pub type Progress<'p> = &'p mut dyn FnMut(&str, u64, u64);

/// What came of a load.
#[derive(Debug)]
pub struct LoadedFeeds {
    /// All feeds.
    pub set: FeedSet,
    /// Those that were read, well or not.
    pub tried: Vec<String>,
    /// Those that were not taken.
    pub troubles: Vec<FeedTrouble>,
}

/// Reads the feeds that are wanted, keeps the others and what could not be read as they are in `previous`, and builds the indexes of all.
///
/// # Errors
/// [`BuildError`]; a feed that is not taken is among the troubles instead.
pub fn load_feeds(
    configs: &[feed::Config],
    previous: Option<&FeedSet>,
    wanted: Wanted<'_>,
    progress: Progress<'_>,
) -> Result<LoadedFeeds, BuildError> {
    let (mut states, mut sources) = (Vec::new(), Vec::new());
    let (mut tried, mut troubles) = (Vec::new(), Vec::new());
    for (place, config) in configs.iter().enumerate() {
        let Some(id) = FeedId::new(place) else { break };
        // Asked before the file is read: a change meanwhile is then seen at the next look.
        let stat = match &config.source {
            Source::File(path) => Stat::of(path),
            Source::Sample => None,
        };
        let old = previous.and_then(|set| set.find(&config.name));
        let (read, force) = wanted.wants(config, old.as_ref().map(|(state, _)| *state), stat.as_ref());
        let (state, next) = if read {
            tried.push(config.name.clone());
            let (state, next, trouble) = load_one(id, config, stat, old, force, progress);
            troubles.extend(trouble.map(|error| FeedTrouble { name: config.name.clone(), error }));
            (state, next)
        } else {
            keep(config, old)
        };
        states.push(state);
        sources.push(next);
    }
    assemble(states, sources, previous).map(|set| LoadedFeeds { set, tried, troubles })
}

/// A feed as it is in force, if it is.
fn keep(config: &feed::Config, old: Option<(&FeedState, Next)>) -> (FeedState, Next) {
    old.map_or_else(|| (FeedState::empty(config), Next::Nothing), |(state, next)| (state.clone(), next))
}

/// Reads one feed, or keeps it.
fn load_one(
    id: FeedId,
    config: &feed::Config,
    stat: Option<Stat>,
    old: Option<(&FeedState, Next)>,
    force: bool,
    progress: Progress<'_>,
) -> (FeedState, Next, Option<FeedError>) {
    let previous = old.as_ref().and_then(|(state, next)| previous(config, state, next));
    let read = read_one(id, config, progress)
        .and_then(|fresh| Ok(gate(&config.gate, previous, fresh.load, force).map(|()| fresh)?));
    match read {
        Ok(Fresh { next, load: Load { entries, .. }, tally, report }) => {
            let (mut state, _) = keep(config, old);
            state.fingerprint = config.fingerprint();
            state.stat = stat;
            state.format = report.as_ref().map_or(feed::Format::Artifact, |report| report.format);
            state.figures.format = state.format.label();
            state.figures.entries = entries;
            state.figures.refused =
                report.iter().flat_map(Report::refusals).map(|(why, lines)| (why.label(), lines)).collect();
            state.figures.loaded_at_secs = now_secs();
            state.figures.stale = false;
            state.begins = report.as_ref().and_then(|report| report.next_valid_from).map(Until::from_secs);
            state.guard = Some(Arc::clone(&config.terms.guard));
            state.report = report;
            state.tally = tally;
            state.tier = Tier::Big;
            (state, next, None)
        }
        Err(error) => {
            let (mut state, next) = keep(config, old);
            state.figures.stale = true;
            state.count_refusal(error.rule());
            (state, next, Some(error))
        }
    }
}

/// Seconds since 1970.
pub(super) fn now_secs() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// What a new load of a feed is held against: what is in force of it and has not ended. Nothing if there is none, or if the feed is now read
/// under other settings: then it is the operator who made it smaller, or larger.
pub(super) fn previous(config: &feed::Config, state: &FeedState, next: &Next) -> Option<Previous> {
    let entries = state.figures.entries;
    if entries == 0 || state.fingerprint != config.fingerprint() {
        return None;
    }
    let now_secs = now_secs();
    let lapsed = match next {
        Next::Kept(index, place) if index.lapses_next().is_some_and(|first| first.has_come(now_secs)) => {
            Kept::Old(index, *place).lapsed(now_secs)
        }
        _ => 0,
    };
    Some(Previous { entries, unexpired: entries.saturating_sub(lapsed) })
}

/// A feed as it was read, before the gate.
pub(super) struct Fresh {
    /// What came.
    pub(super) next: Next,
    /// What the gate weighs of it.
    pub(super) load: Load,
    /// What its entries ask for.
    tally: Tally,
    /// How its lines fell; of an artifact nothing is known.
    report: Option<Report>,
}

/// Reads one feed.
pub(super) fn read_one(id: FeedId, config: &feed::Config, progress: Progress<'_>) -> Result<Fresh, FeedError> {
    match feed::load(config, &mut |done, total| progress(&config.name, done, total))? {
        Loaded::Text { entries, report } => {
            let load = report.weigh(config.terms.guard.canaries_sunk(&entries));
            let tally = Tally::of(&entries);
            Ok(Fresh { next: Next::Fresh(entries), load, tally, report: Some(*report) })
        }
        Loaded::Artifact { bytes } => {
            let index = Index::open_one_feed(bytes, id, &config.name)?;
            let load = weigh_artifact(&index, &config.terms);
            Ok(Fresh { next: Next::Whole(Box::new(index)), load, tally: Tally::default(), report: None })
        }
    }
}
        }
    }
}
