//! The feeds in force: loading those that changed, keeping the others, and the indexes of them all.
//!
//! A feed that cannot be loaded, or lost too much, keeps its last good entries: they are read back out of the index in force. Big and small
//! feeds have an index each, so that a name added to a small one is enforced in milliseconds however big the others are; an index none of
//! whose feeds changed is taken over as it is.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::feed::{self, GateError, LoadError, Loaded, Report, Source, Stat, gate};
use crate::index::{BuildError, FeedId, Index, Kept, OVERLAY_ENTRIES_MAX, OpenError, Part, Sorted, Verb, Verbs};
use crate::metrics::FeedFigures;
use crate::policy::{Action, FeedConfig};

/// A feed of at most so many entries is small: a guess. Beside a big one it costs a query one more
/// look at a filter, which fits a core's own cache.
const SMALL_FEED_ENTRIES: u64 = 65_536;

/// Why one feed was not taken.
#[derive(Debug, thiserror::Error)]
pub enum FeedError {
    /// It could not be read.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// It is an artifact that does not open.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// It lost too much.
    #[error(transparent)]
    Gate(#[from] GateError),
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

/// One feed in force.
#[derive(Debug, Clone)]
pub struct FeedState {
    /// As configured.
    config: feed::Config,
    /// What its file looked like before it was read; `None` for the sample.
    stat: Option<Stat>,
    /// How its lines fell; `None` for an artifact.
    pub report: Option<Report>,
    /// Its gauges.
    pub figures: FeedFigures,
    /// What its entries ask for, as far as the operator is told of it.
    pub tally: Tally,
    /// Which index holds it.
    tier: Tier,
}

/// How many of a feed's entries ask for what is worth a note; of an artifact nothing is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tally {
    /// They would let names through.
    pub allows: u64,
    /// They match a name and nothing below it.
    pub exact: u64,
    /// Of those, the ones that ask for NXDOMAIN themselves.
    pub exact_nxdomain: u64,
}

impl Tally {
    /// Counts `entries`.
    fn of(entries: &Sorted) -> Self {
        let passes = |verbs: &Verbs| verbs.at == Some(Verb::Passthru);
        let networks = entries.networks().filter(|(.., verbs)| passes(verbs)).count();
        let mut tally = Self { allows: networks as u64, ..Self::default() };
        for (_, Verbs { at, below, .. }) in entries.iter() {
            let sinks = !matches!(at, None | Some(Verb::Passthru | Verb::Cancel));
            tally.allows += u64::from([at, below].contains(&Some(Verb::Passthru)));
            tally.exact += u64::from(sinks && below.is_none());
            tally.exact_nxdomain += u64::from(at == Some(Verb::Nxdomain) && below.is_none());
        }
        tally
    }
}

/// Which index a feed is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tier {
    /// That of the big feeds.
    Big,
    /// That of the small ones.
    Small,
}

/// All feeds in force.
#[derive(Debug, Clone)]
pub struct FeedSet {
    /// By place.
    pub states: Vec<FeedState>,
    /// The big feeds' entries, if there are big feeds.
    big: Option<Arc<Index>>,
    /// The small feeds' entries, if there are small feeds.
    small: Option<Arc<Index>>,
}

impl FeedSet {
    /// The indexes of all feeds.
    #[must_use]
    pub fn indexes(&self) -> Vec<Arc<Index>> {
        self.big.iter().chain(&self.small).map(Arc::clone).collect()
    }

    /// One index of all feeds, for an artifact.
    ///
    /// # Errors
    /// [`BuildError`].
    pub fn merged(&self) -> Result<Arc<Index>, BuildError> {
        if let [only] = self.indexes().as_slice()
            && !only.is_amended()
        {
            return Ok(Arc::clone(only));
        }
        let parts: Vec<Part<'_>> = (0..)
            .zip(&self.states)
            .filter_map(|(place, state)| {
                let (id, source) = (FeedId::new(place)?, Kept::Old(self.tier(state.tier)?, FeedId::new(place)?));
                Some(Part { id, name: &state.config.name, entries: state.figures.entries, source })
            })
            .collect();
        Index::build(&parts, &mut |_| ()).map(Arc::new)
    }

    /// What works, but hardly as it was meant; `configs` by place.
    #[must_use]
    pub fn notes(&self, configs: &[FeedConfig]) -> Vec<String> {
        let mut notes = Vec::new();
        let states = self.states.iter().zip(configs);
        for (state, policy) in states {
            let name = &policy.name;
            let Tally { allows, exact, exact_nxdomain } = state.tally;
            if allows > 0 && !policy.may_allow {
                notes.push(format!("feed {name}: {allows} passthru entries are ignored: it has no may-allow"));
            }
            let alone = match policy.action {
                None => exact_nxdomain,
                Some(Action::Nxdomain) => exact,
                Some(_) => 0,
            };
            if alone > 0 {
                notes.push(format!(
                    "feed {name}: {alone} names are answered NXDOMAIN and what is below them is not: caches may take all of it for gone \
                     (RFC 8020); nodata does not spread"
                ));
            }
            let hosting = state.report.as_ref().map_or(0, |report: &Report| report.private_suffixes);
            if hosting > 0 {
                notes.push(format!(
                    "feed {name}: {hosting} entries are whole hosting domains (private section of the Public Suffix List)"
                ));
            }
        }
        notes
    }

    /// The index of a tier.
    const fn tier(&self, tier: Tier) -> Option<&Arc<Index>> {
        match tier {
            Tier::Big => self.big.as_ref(),
            Tier::Small => self.small.as_ref(),
        }
    }
}

/// Where one feed of the next index comes from.
enum Next {
    /// Read now.
    Fresh(Sorted),
    /// An artifact, opened now, as one feed.
    Whole(Box<Index>),
    /// In the index in force: its place there, and in which.
    Kept(FeedId, Tier),
    /// It was never loaded well.
    Nothing,
}

/// What is told while feeds load: which feed, octets read, octets in all.
pub type Progress<'p> = &'p mut dyn FnMut(&str, u64, u64);

/// Loads what changed since `previous`, keeps what did not or could not be loaded, and builds the indexes of all.
///
/// # Errors
/// [`BuildError`]; a feed that is not taken is among the troubles instead.
pub fn load_feeds(
    configs: &[feed::Config],
    previous: Option<&FeedSet>,
    progress: Progress<'_>,
) -> Result<(FeedSet, Vec<FeedTrouble>), BuildError> {
    let (mut states, mut sources, mut troubles) = (Vec::new(), Vec::new(), Vec::new());
    for (place, config) in configs.iter().enumerate() {
        let Some(id) = FeedId::new(place) else { break };
        let old = previous.and_then(|set| {
            let place = set.states.iter().position(|state| state.config.name == config.name)?;
            Some((FeedId::new(place)?, set.states.get(place)?))
        });
        let (state, next, trouble) = load_one(id, config, old, progress);
        states.push(state);
        sources.push(next);
        troubles.extend(trouble.map(|error| FeedTrouble { name: config.name.clone(), error }));
    }
    // Alone, small feeds need no index apart.
    let any_big = states.iter().any(|state| state.figures.entries > SMALL_FEED_ENTRIES);
    for state in &mut states {
        let small = any_big && state.figures.entries <= SMALL_FEED_ENTRIES;
        state.tier = if small { Tier::Small } else { Tier::Big };
    }
    let big = assemble(Tier::Big, &states, &mut sources, previous)?;
    let small = assemble(Tier::Small, &states, &mut sources, previous)?;
    Ok((FeedSet { states, big, small }, troubles))
}

/// Loads one feed, or keeps it.
fn load_one(
    id: FeedId,
    config: &feed::Config,
    old: Option<(FeedId, &FeedState)>,
    progress: Progress<'_>,
) -> (FeedState, Next, Option<FeedError>) {
    // Asked before the file is read: a change meanwhile is then seen at the next look.
    let stat = match &config.source {
        Source::File(path) => Stat::of(path),
        Source::Sample => None,
    };
    if let Some((place, old)) = old
        && old.config == *config
        && old.stat == stat
        && !old.figures.stale
    {
        return (old.clone(), Next::Kept(place, old.tier), None);
    }
    let previous = old.map(|(_, old)| old.figures.entries).filter(|&entries| entries > 0);
    match read_one(id, config, previous, progress) {
        Ok((next, entries, tally, report)) => {
            let figures = FeedFigures {
                name: config.name.clone(),
                entries,
                refused: report.iter().flat_map(Report::refusals).map(|(why, lines)| (why.label(), lines)).collect(),
                loaded_at_secs: SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs()),
                stale: false,
                failures: old.map_or(0, |(_, old)| old.figures.failures),
            };
            (FeedState { config: config.clone(), stat, report, figures, tally, tier: Tier::Big }, next, None)
        }
        Err(error) => {
            let mut state = old.map_or_else(|| FeedState::empty(config), |(_, old)| old.clone());
            state.config = config.clone();
            state.figures.stale = true;
            state.figures.failures += 1;
            (state, old.map_or(Next::Nothing, |(place, old)| Next::Kept(place, old.tier)), Some(error))
        }
    }
}

impl FeedState {
    /// A feed that was never loaded.
    fn empty(config: &feed::Config) -> Self {
        let figures = FeedFigures { name: config.name.clone(), ..FeedFigures::default() };
        Self { config: config.clone(), stat: None, report: None, figures, tally: Tally::default(), tier: Tier::Big }
    }
}

/// Reads one feed and puts it before the gate: what came, its entries, what they ask for, its report.
fn read_one(
    id: FeedId,
    config: &feed::Config,
    previous: Option<u64>,
    progress: Progress<'_>,
) -> Result<(Next, u64, Tally, Option<Report>), FeedError> {
    match feed::load(config, &mut |done, total| progress(&config.name, done, total))? {
        Loaded::Text { entries, report } => {
            gate(previous, report.entries)?;
            let tally = Tally::of(&entries);
            Ok((Next::Fresh(entries), report.entries, tally, Some(*report)))
        }
        Loaded::Artifact { bytes } => {
            let index = Index::open_one_feed(bytes, id, &config.name)?;
            let entries = index.feeds().first().map_or(0, |feed| feed.entries);
            gate(previous, entries)?;
            Ok((Next::Whole(Box::new(index)), entries, Tally::default(), None))
        }
    }
}

/// The index of one tier's feeds; `None` if it has none. One that is built already is taken as it is, and one that is big and hardly changed
/// gets an overlay.
fn assemble(
    tier: Tier,
    states: &[FeedState],
    sources: &mut [Next],
    previous: Option<&FeedSet>,
) -> Result<Option<Arc<Index>>, BuildError> {
    let mut own: Vec<(FeedId, &FeedState, &mut Next)> = (0..)
        .zip(states.iter().zip(sources))
        .filter(|(_, (state, _))| state.tier == tier)
        .filter_map(|(place, (state, next))| Some((FeedId::new(place)?, state, next)))
        .collect();
    if own.is_empty() {
        return Ok(None);
    }
    let stays = |(id, _, next): &(FeedId, &FeedState, &mut Next)| matches!(next, Next::Kept(old, at) if old == id && *at == tier);
    let old = previous.and_then(|old| old.tier(tier)).filter(|old| old.feeds().len() == own.len());
    if let Some(old) = old
        && own.iter().all(stays)
    {
        return Ok(Some(Arc::clone(old)));
    }
    if let [(_, _, next)] = own.as_mut_slice()
        && matches!(next, Next::Whole(_))
        && let Next::Whole(index) = std::mem::replace(*next, Next::Nothing)
    {
        return Ok(Some(Arc::from(index)));
    }
    let nothing = Sorted::default();
    let parts: Vec<Part<'_>> = own
        .iter()
        .map(|(id, state, next)| {
            let old = |tier: &Tier| previous.and_then(|old| old.tier(*tier));
            let source = match &**next {
                Next::Fresh(entries) => Kept::New(entries),
                Next::Whole(index) => Kept::Old(index, *id),
                Next::Kept(place, tier) => old(tier).map_or(Kept::New(&nothing), |old| Kept::Old(old, *place)),
                Next::Nothing => Kept::New(&nothing),
            };
            Part { id: *id, name: &state.config.name, entries: state.figures.entries, source }
        })
        .collect();
    // The feeds are as many as they were; that each of the others has a base, the overlay looks after.
    let changes = own.iter().zip(&parts).filter(|(own, _)| !stays(own)).map(|(_, part)| *part);
    if let Some(old) = old.filter(|old| old.keys() > OVERLAY_ENTRIES_MAX)
        && let Some(amended) = old.amended(&changes.collect::<Vec<_>>(), OVERLAY_ENTRIES_MAX)?
    {
        return Ok(Some(Arc::new(amended)));
    }
    Index::build(&parts, &mut |_| ()).map(Arc::new).map(Some)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;
    use crate::name::Name;

    fn config(name: &str, path: &Path) -> feed::Config {
        feed::Config::new(name, Source::File(path.to_owned()))
    }

    /// By feed, whether it lists the name.
    fn listed(set: &FeedSet, name: &str) -> Vec<usize> {
        let name = Name::from_text(name.as_bytes()).unwrap();
        let mut feeds = Vec::new();
        for index in set.indexes() {
            index.walk(&name.view().unwrap(), |_, listings| {
                feeds.extend(listings.iter().map(|one| one.feed.index()));
            });
        }
        feeds.sort_unstable();
        feeds
    }

    fn load(configs: &[feed::Config], previous: Option<&FeedSet>) -> (FeedSet, usize) {
        let (set, troubles) = load_feeds(configs, previous, &mut |_, _, _| ()).unwrap();
        (set, troubles.len())
    }

    #[test]
    fn a_bad_refresh_keeps_the_last_good_entries() {
        let folder = tempfile::tempdir().unwrap();
        let (a, b) = (folder.path().join("a"), folder.path().join("b"));
        fs::write(&a, "one.example.com\ntwo.example.com\nthree.example.com\nfour.example.com\n").unwrap();
        fs::write(&b, "other.example.net\nmore.example.net\n").unwrap();
        let configs = [config("a", &a), config("b", &b)];
        let (first, troubles) = load(&configs, None);
        assert_eq!((listed(&first, "x.one.example.com"), listed(&first, "other.example.net")), (vec![0], vec![1]));
        assert_eq!(troubles, 0);

        let (same, _) = load(&configs, Some(&first));
        assert!(Arc::ptr_eq(&same.indexes()[0], &first.indexes()[0]), "nothing changed, nothing is built");

        // Shrunk under half, empty, gone: the old one stays, counted. The other feed changes all the same.
        let mut set = first;
        for (text, other) in [(Some("one.example.com\n"), "p"), (Some(""), "q"), (None, "r")] {
            match text {
                Some(text) => fs::write(&a, text).unwrap(),
                None => fs::remove_file(&a).unwrap(),
            }
            fs::write(&b, format!("{other}.example.net\nmore-{other}.example.net\n")).unwrap();
            let (next, troubles) = load(&configs, Some(&set));
            assert_eq!(troubles, 1, "{text:?}");
            assert_eq!(listed(&next, "four.example.com"), [0], "{text:?}");
            assert_eq!(listed(&next, &format!("{other}.example.net")), [1], "{text:?}");
            assert!(next.states[0].figures.stale && !next.states[1].figures.stale);
            set = next;
        }
        assert_eq!(set.states[0].figures.failures, 3);

        // Back again, and in another order.
        fs::write(&a, "five.example.com\nsix.example.com\n").unwrap();
        let (next, troubles) = load(&[configs[1].clone(), configs[0].clone()], Some(&set));
        assert_eq!(
            (troubles, listed(&next, "five.example.com"), listed(&next, "r.example.net")),
            (0, vec![1], vec![0])
        );
        assert!(listed(&next, "one.example.com").is_empty());
    }

    #[test]
    fn an_artifact_is_a_feed() {
        let folder = tempfile::tempdir().unwrap();
        let (text, artifact) = (folder.path().join("text"), folder.path().join("index.cenote"));
        fs::write(&text, "one.example.com\ntwo.example.com\n").unwrap();
        let (set, _) = load(&[config("t", &text)], None);
        set.merged().unwrap().write_file(&artifact).unwrap();
        let (alone, troubles) = load(&[config("x", &artifact)], None);
        assert_eq!((troubles, listed(&alone, "a.two.example.com")), (0, vec![0]));
        assert_eq!(alone.states[0].figures.entries, 2);
        fs::write(&text, "two.example.com\nthree.example.com\n").unwrap();
        let (both, _) = load(&[config("t", &text), config("x", &artifact)], None);
        assert_eq!(listed(&both, "two.example.com"), [0, 1]);
        assert_eq!(listed(&both, "one.example.com"), [1]);
        fs::write(&artifact, "\u{89}not one").unwrap();
        assert_eq!(load(&[config("x", &artifact)], Some(&alone)).1, 1);
    }

    #[test]
    fn a_small_feed_changes_beside_a_big_one_that_is_not_touched() {
        let folder = tempfile::tempdir().unwrap();
        let (big, small) = (folder.path().join("big"), folder.path().join("small"));
        let many: String = (0..=SMALL_FEED_ENTRIES).map(|i| format!("n{i}.example.com\n")).collect();
        fs::write(&big, many).unwrap();
        fs::write(&small, "n7.example.com\nn8.example.net\n").unwrap();
        let configs = [config("small", &small), config("big", &big)];
        let (first, _) = load(&configs, None);
        assert_eq!((first.indexes().len(), listed(&first, "n7.example.com")), (2, vec![0, 1]));
        fs::write(&small, "n7.example.com\nnew.example.net\n").unwrap();
        let (next, _) = load(&configs, Some(&first));
        assert_eq!(listed(&next, "new.example.net"), [0]);
        assert!(Arc::ptr_eq(&first.indexes()[0], &next.indexes()[0]), "the big feed's index is the same");

        // The artifact holds both; in another order and without the big feed everything is where it belongs.
        let merged = next.merged().unwrap();
        assert_eq!(merged.feeds().iter().map(|feed| feed.entries).collect::<Vec<_>>(), [2, SMALL_FEED_ENTRIES + 1]);
        let (swapped, _) = load(&[configs[1].clone(), configs[0].clone()], Some(&next));
        assert_eq!(listed(&swapped, "n7.example.com"), [0, 1]);
        let (alone, _) = load(&configs[..1], Some(&swapped));
        assert_eq!((alone.indexes().len(), listed(&alone, "n7.example.com")), (1, vec![0]));
        assert!(listed(&alone, "n9.example.com").is_empty());
    }

    #[test]
    fn a_big_feed_that_hardly_changes_is_not_built_again() {
        let folder = tempfile::tempdir().unwrap();
        let (big, other) = (folder.path().join("big"), folder.path().join("other"));
        let many = |from: u64| -> String {
            (from..from + SMALL_FEED_ENTRIES + 9).map(|i| format!("n{i}.example.com\n")).collect()
        };
        fs::write(&big, many(0)).unwrap();
        fs::write(&other, many(1)).unwrap();
        let configs = [config("big", &big), config("other", &other)];
        let (first, _) = load(&configs, None);
        fs::write(&big, many(0) + "new.example.net\n").unwrap();
        let (second, _) = load(&configs, Some(&first));
        assert!(second.indexes()[0].is_amended() && second.indexes()[0].shares_base(&first.indexes()[0]));
        assert_eq!((listed(&second, "a.new.example.net"), listed(&second, "n7.example.com")), (vec![0], vec![0, 1]));
        // The other one loses its first name; what the first one gained stays.
        fs::write(&other, many(1).split_once('\n').unwrap().1).unwrap();
        let (third, _) = load(&configs, Some(&second));
        assert!(third.indexes()[0].shares_base(&first.indexes()[0]));
        assert_eq!((listed(&third, "new.example.net"), listed(&third, "n1.example.com")), (vec![0], vec![0]));
        let (same, _) = load(&configs, Some(&third));
        assert!(Arc::ptr_eq(&same.indexes()[0], &third.indexes()[0]), "nothing changed");

        // The artifact has no overlay; another order, and more than an overlay holds, is a build.
        let merged = third.merged().unwrap();
        assert!(!merged.is_amended() && merged.may_list(&Name::from_text(b"new.example.net").unwrap().view().unwrap()));
        let (swapped, _) = load(&[configs[1].clone(), configs[0].clone()], Some(&third));
        assert!(!swapped.indexes()[0].is_amended());
        assert_eq!((listed(&swapped, "new.example.net"), listed(&swapped, "n1.example.com")), (vec![1], vec![1]));
        fs::write(&big, many(500_000)).unwrap();
        let (other, _) = load(&configs, Some(&third));
        assert!(!other.indexes()[0].is_amended());
        assert_eq!((listed(&other, "n7.example.com"), listed(&other, "n500007.example.com")), (vec![1], vec![0]));
    }
}
