//! Reading feeds: those that are wanted and changed are read anew and put before the gate, all others stay as they are in force.
//!
//! A feed that cannot be read, or that the gate refuses, keeps its last good entries: they are read back out of the index in force.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use super::assemble::assemble;
use super::content::survey;
use super::feeds::FeedSet;
use super::standing::{FeedState, Tier, is_set_back};
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
    #[error("{error}{}", told(.refusals.as_deref()))]
    Gate {
        /// By which rule.
        error: GateError,
        /// Why its lines were refused, if that may be why.
        refusals: Option<String>,
    },
}

/// What follows the gate's own words.
fn told(refusals: Option<&str>) -> String {
    refusals.map_or_else(String::new, |refusals| format!("; refused: {refusals}"))
}

impl FeedError {
    /// The rule that refused it.
    #[must_use]
    pub const fn rule(&self) -> Rule {
        match self {
            Self::Load(error) => error.rule(),
            Self::Open(OpenError::Io(_)) => Rule::Unreadable,
            Self::Open(OpenError::TooLarge(_)) => Rule::TooLarge,
            Self::Open(OpenError::Checksum { .. } | OpenError::Section(_)) => Rule::Damaged,
            // Another version's, or no whole artifact.
            Self::Open(_) => Rule::Foreign,
            Self::Gate { error, .. } => error.rule(),
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
    /// All, whatever their files look like.
    All,
    /// Those whose file or settings changed, those in which an indicator begins to count, those that were read by a clock that was set back
    /// since, and those that failed.
    Changed,
    /// Of these, those that [`Changed`](Self::Changed) would read.
    ChangedOf(&'w [String]),
    /// These, whatever their files look like; pinned ones, which stay, among none of all this.
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
        let now_secs = now_secs();
        let begun = |old: &FeedState| old.begins.is_some_and(|begins| begins.has_come(now_secs));
        let changed = |old: &FeedState| {
            old.fingerprint != config.fingerprint()
                || old.stat.as_ref() != stat
                || old.figures.stale
                || begun(old)
                || is_set_back(old.figures.loaded_at_secs, now_secs)
        };
        match (self, old) {
            (Self::Nothing, _) => (false, false),
            (_, Some(old)) if old.figures.pinned => (false, false),
            (Self::All, _) => (true, false),
            (Self::These { names, force }, _) => (names.contains(&config.name), *force),
            (Self::ChangedOf(names), _) if !names.contains(&config.name) => (false, false),
            (Self::ChangedOf(_) | Self::Changed, old) => (old.is_none_or(changed), false),
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
        let old = previous.and_then(|set| set.known(config, configs));
        let (read, force) = wanted.wants(config, old.as_ref().map(|(state, _)| state), stat.as_ref());
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
    assemble(configs, states, sources, previous).map(|set| LoadedFeeds { set, tried, troubles })
}

/// A feed as it is in force, if it is.
fn keep(config: &feed::Config, old: Option<(FeedState, Next)>) -> (FeedState, Next) {
    old.unwrap_or_else(|| (FeedState::empty(config), Next::Nothing))
}

/// Reads one feed, or keeps it; one that says what it said stays where it is.
fn load_one(
    id: FeedId,
    config: &feed::Config,
    stat: Option<Stat>,
    old: Option<(FeedState, Next)>,
    force: bool,
    progress: Progress<'_>,
) -> (FeedState, Next, Option<FeedError>) {
    let previous = old.as_ref().and_then(|(state, next)| previous(config, state, next));
    let read = read_one(id, config, progress).and_then(|fresh| fresh.pass(config, previous, force));
    match read {
        Ok(Fresh { next, load: Load { entries, .. }, report }) => {
            let (content, tally) = survey(&next);
            let (mut state, kept) = keep(config, old);
            let same = state.is_loaded() && content.is_some() && state.content == content;
            let next = if same { kept } else { next };
            state.rolled_back_to = state.rolled_back_to.filter(|_| same);
            state.content = content;
            state.fingerprint = config.fingerprint();
            state.stat = stat;
            state.format = report.as_ref().map_or(feed::Format::Artifact, |report| report.format);
            state.figures.format = state.format.label();
            state.figures.entries = entries;
            state.figures.refused =
                report.iter().flat_map(Report::refusals).map(|(why, lines)| (why.label(), lines)).collect();
            state.figures.loaded_at_secs = now_secs();
            state.figures.stale = false;
            state.refused_because = None;
            state.begins = report.as_ref().and_then(|report| report.next_valid_from).map(Until::from_secs);
            state.guard = Some(Arc::clone(&config.terms.guard));
            state.report = report;
            state.tally = tally;
            state.tier = Tier::Big;
            (state, next, None)
        }
        Err(error) => {
            let (mut state, next) = keep(config, old);
            state.refuse(error.rule(), super::chain(&error));
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
    /// How its lines fell; of an artifact nothing is known.
    report: Option<Report>,
}

impl Fresh {
    /// Passes the gate.
    ///
    /// # Errors
    /// [`FeedError::Gate`].
    pub(super) fn pass(
        self,
        config: &feed::Config,
        previous: Option<Previous>,
        force: bool,
    ) -> Result<Self, FeedError> {
        match gate(&config.gate, previous, self.load, force) {
            Ok(()) => Ok(self),
            Err(error) => {
                let report = self.report.filter(|report| error.turns_on_lines() && report.refused_total() > 0);
                Err(FeedError::Gate { error, refusals: report.map(|report| report.refusals_told()) })
            }
        }
    }
}

/// Reads one feed.
pub(super) fn read_one(id: FeedId, config: &feed::Config, progress: Progress<'_>) -> Result<Fresh, FeedError> {
    match feed::load(config, &mut |done, total| progress(&config.name, done, total))? {
        Loaded::Text { entries, report } => {
            let load = report.weigh(config.terms.guard.canaries_sunk(&entries, config.terms.may_allow));
            Ok(Fresh { next: Next::Fresh(entries), load, report: Some(*report) })
        }
        Loaded::Artifact { bytes } => {
            let index = Index::open_one_feed(bytes, id, &config.name)?;
            let load = weigh_artifact(&index, &config.terms);
            Ok(Fresh { next: Next::Whole(Box::new(index)), load, report: None })
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;
    use crate::feed::{Guard, Protected};
    use crate::name::Name;

    /// A STIX bundle of names, each with these keys.
    fn bundle(objects: &[(&str, &str)]) -> String {
        let object = |(name, keys): &(&str, &str)| {
            format!(
                r#"{{"type": "indicator", "id": "indicator--{name}", "pattern": "[domain-name:value = '{name}']"{keys}}}"#
            )
        };
        format!(r#"{{"type": "bundle", "objects": [{}]}}"#, objects.iter().map(object).collect::<Vec<_>>().join(", "))
    }

    fn config(path: &Path) -> feed::Config {
        feed::Config::new("f", Source::File(path.to_owned()))
    }

    /// Loads what changed: the set, and by which rules it was refused.
    fn load(config: &feed::Config, previous: Option<&FeedSet>) -> (FeedSet, Vec<Rule>) {
        let configs = std::slice::from_ref(config);
        let loaded = load_feeds(configs, previous, Wanted::Changed, &mut |_, _, _| ()).unwrap();
        (loaded.set, loaded.troubles.iter().map(|trouble| trouble.error.rule()).collect())
    }

    fn sinks(set: &FeedSet, name: &str) -> bool {
        let (name, mut sunk) = (Name::from_text(name.as_bytes()).unwrap(), false);
        for index in set.indexes() {
            index.walk(&name.view().unwrap(), |_, listings| sunk |= listings.iter().next().is_some());
        }
        sunk
    }

    fn guarding(config: &feed::Config, protected: &[&str]) -> feed::Config {
        let protected: Vec<_> = protected.iter().map(|text| Protected::from_text(text).unwrap()).collect();
        let mut config = config.clone();
        config.terms.guard = Arc::new(Guard::new(&protected, Vec::new()));
        config
    }

    #[test]
    fn what_is_protected_now_is_not_sunk_by_what_an_older_load_left() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("f");
        fs::write(&path, "mine.corp.test\none.test\ntwo.test\n").unwrap();
        let plain = config(&path);
        let (first, _) = load(&plain, None);
        let guarded = guarding(&plain, &["*.corp.test"]);
        // Its source is gone; or refused by another rule.
        for text in [None, Some("<html>\n"), Some("")] {
            match text {
                Some(text) => fs::write(&path, text).unwrap(),
                None => fs::remove_file(&path).unwrap(),
            }
            let (set, refused) = load(&guarded, Some(&first));
            assert_eq!(refused.len(), 1, "{text:?}");
            let sunk = ["mine.corp.test", "one.test", "two.test"].map(|name| sinks(&set, name));
            assert_eq!(sunk, [false, true, true], "{text:?}");
            assert_eq!(
                (set.states[0].figures.entries, &set.states[0].figures.refused[..]),
                (2, &[("protected", 1)][..])
            );
            // As a later run finds it, and once more in this one.
            let (states, parts) = set.kept();
            let kept = FeedSet::from_kept(feed::Kept { generation: 1, feeds: states, parts });
            for previous in [&kept, &set] {
                let (again, _) = load(&guarded, Some(previous));
                assert!(Arc::ptr_eq(&again.indexes()[0], &previous.indexes()[0]), "nothing is left to leave out");
            }
        }
        // A start from what was kept before the names were protected reads nothing, and leaves them out.
        let (states, parts) = first.kept();
        let kept = FeedSet::from_kept(feed::Kept { generation: 1, feeds: states, parts });
        let configs = std::slice::from_ref(&guarded);
        let set = load_feeds(configs, Some(&kept), Wanted::Nothing, &mut |_, _, _| ()).unwrap().set;
        assert!(!sinks(&set, "mine.corp.test") && sinks(&set, "one.test"));
    }

    #[test]
    fn entries_that_ended_are_not_missed_and_changed_settings_waive_the_bounds() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("f");
        let soon = ", \"valid_until\": \"2100-01-01T00:00:00Z\"";
        let all = [("a.test", soon), ("b.test", soon), ("c.test", soon), ("d.test", "")];
        fs::write(&path, bundle(&all)).unwrap();
        let plain = config(&path);
        let (first, refused) = load(&plain, None);
        assert!(refused.is_empty());
        // In 2100 only the last is left.
        let next = first.find("f").unwrap().1;
        let Next::Kept(index, place) = &next else { panic!("it is in force") };
        assert_eq!(Kept::Old(index, *place).lapsed(4_102_444_800), 3);
        assert_eq!(previous(&plain, &first.states[0], &next), Some(Previous::of(4)));

        fs::write(&path, bundle(&all[3..])).unwrap();
        assert_eq!(load(&plain, Some(&first)).1, [Rule::Shrunk]);
        let mut other = plain.clone();
        other.terms.indicators.confidence_min = 1;
        let sure = [("d.test", ", \"confidence\": 90"), ("a.test", "")];
        fs::write(&path, bundle(&sure)).unwrap();
        assert_eq!(load(&plain, Some(&first)).1, []);
        let (set, refused) = load(&other, Some(&first));
        assert_eq!((refused.len(), set.states[0].figures.entries), (0, 1), "the operator asks for more");
    }

    #[test]
    fn what_the_terms_keep_out_is_no_sign_of_a_broken_feed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("f");
        let past: Vec<String> = (0..99).map(|i| format!("n{i}.test")).collect();
        let over = ", \"valid_until\": \"2001-01-01T00:00:00Z\"";
        let objects: Vec<_> = past.iter().map(|name| (name.as_str(), over)).chain([("a.test", "")]).collect();
        fs::write(&path, bundle(&objects)).unwrap();
        let (set, refused) = load(&config(&path), None);
        assert_eq!((refused.len(), set.states[0].figures.entries), (0, 1));
    }

    #[test]
    fn a_feed_is_read_again_when_an_indicator_in_it_begins_to_count() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("f");
        let from = |year: u32| format!(", \"valid_from\": \"{year}-01-01T00:30:00Z\"");
        let (later, first) = (from(2101), from(2100));
        let never = format!("{}, \"valid_until\": \"2097-01-01T00:00:00Z\"", from(2098));
        let objects = [("a.test", ""), ("b.test", &later), ("c.test", &first), ("d.test", &never)];
        let objects: Vec<(&str, &str)> = objects.iter().map(|&(name, keys)| (name, keys)).collect();
        fs::write(&path, bundle(&objects)).unwrap();
        let plain = config(&path);
        let (mut set, _) = load(&plain, None);
        let begins = set.begins().and_then(Until::secs).unwrap();
        assert_eq!(set.states[0].report.as_ref().unwrap().next_valid_from.map(|secs| begins - secs), Some(30 * 60));
        assert!(set.begun(begins - 1).is_empty() && set.begun(begins) == ["f"]);

        let tried = |set: &FeedSet| {
            let names = ["f".to_owned()];
            let wanted = Wanted::ChangedOf(&names);
            load_feeds(std::slice::from_ref(&plain), Some(set), wanted, &mut |_, _, _| ()).unwrap().tried.len()
        };
        assert_eq!(tried(&set), 0, "nothing changed");
        set.states[0].begins = Some(Until::from_secs(1));
        assert_eq!((tried(&set), set.begun(now_secs()).len()), (1, 1), "its hour has come");
        set.forget_begun(now_secs());
        assert_eq!((tried(&set), set.begins()), (0, None));

        // After a restart it is read at once.
        let (states, parts) = set.kept();
        let kept = FeedSet::from_kept(feed::Kept { generation: 1, feeds: states, parts });
        assert_eq!((tried(&kept), kept.begun(now_secs()).len()), (1, 1));
    }

    #[test]
    fn a_feed_that_was_read_by_a_wrong_clock_is_read_again_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("f");
        fs::write(&path, bundle(&[("a.test", "")])).unwrap();
        let plain = config(&path);
        let (mut set, _) = load(&plain, None);
        let now_secs = now_secs();
        let tried = |set: &FeedSet| {
            let configs = std::slice::from_ref(&plain);
            load_feeds(configs, Some(set), Wanted::Changed, &mut |_, _, _| ()).unwrap().tried.len()
        };
        for (ahead_secs, due) in [(0, 0), (30, 0), (3600, 1)] {
            set.states[0].figures.loaded_at_secs = now_secs + ahead_secs;
            assert_eq!((set.begun(now_secs).len(), tried(&set)), (due, due), "{ahead_secs}");
        }
        for (stale, pinned) in [(true, false), (false, true)] {
            let figures = &mut set.states[0].figures;
            (figures.stale, figures.pinned) = (stale, pinned);
            assert!(set.begun(now_secs).is_empty(), "it has times of its own, or none");
        }
        set.forget_begun(now_secs);
        assert_eq!(set.states[0].figures.loaded_at_secs, now_secs);
    }

    #[test]
    fn who_asks_says_what_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("f");
        fs::write(&path, "a.test\n").unwrap();
        let plain = config(&path);
        let (mut set, _) = load(&plain, None);
        let (own, others) = (["f".to_owned()], ["g".to_owned()]);
        let these = |force| Wanted::These { names: &own, force };
        let wanted =
            [Wanted::Nothing, Wanted::Changed, Wanted::ChangedOf(&own), Wanted::All, these(false), these(true)];
        for (pinned, reads) in [(false, [0, 0, 0, 1, 1, 1]), (true, [0; 6])] {
            set.states[0].figures.pinned = pinned;
            for (wanted, reads) in wanted.into_iter().zip(reads) {
                let configs = std::slice::from_ref(&plain);
                let loaded = load_feeds(configs, Some(&set), wanted, &mut |_, _, _| ()).unwrap();
                assert_eq!(loaded.tried.len(), reads, "{wanted:?} {pinned}");
                assert!(loaded.set.says_the_same(&set), "what says the same is not built again");
            }
        }
        set.states[0].figures.pinned = false;
        fs::write(&path, "a.test\nb.test\n").unwrap();
        for (wanted, reads) in [(Wanted::ChangedOf(&others), 0), (Wanted::ChangedOf(&own), 1), (Wanted::Changed, 1)] {
            let loaded = load_feeds(std::slice::from_ref(&plain), Some(&set), wanted, &mut |_, _, _| ()).unwrap();
            assert_eq!(loaded.tried.len(), reads, "{wanted:?}");
        }
    }

    #[test]
    fn an_artifact_that_would_sink_what_it_must_not_is_refused_whole() {
        let folder = tempfile::tempdir().unwrap();
        let (text, artifact) = (folder.path().join("t"), folder.path().join("f"));
        for (lines, rule) in [
            ("a.test\n", None),
            ("a.test\na.b.corp.test\n", Some(Rule::Protected)),
            ("a.test\ncom\n", Some(Rule::Suffix)),
            ("a.test\nco.uk\n", Some(Rule::Suffix)),
        ] {
            fs::write(&text, lines).unwrap();
            let mut trusted = config(&text);
            trusted.terms.trust_suffixes = true;
            trusted.format = feed::Format::Plain;
            load(&trusted, None).0.merged().unwrap().write_file(&artifact).unwrap();
            let mut guarded = guarding(&config(&artifact), &["*.corp.test"]);
            assert_eq!(load(&guarded, None).1, rule.into_iter().collect::<Vec<_>>(), "{lines}");
            guarded.terms.trust_suffixes = true;
            let want = rule.filter(|&rule| rule == Rule::Protected);
            assert_eq!(load(&guarded, None).1, want.into_iter().collect::<Vec<_>>(), "{lines} trusted");
        }
    }
}
