//! The feeds in force: loading those that changed, keeping the others, and the index of them all.
//!
//! A feed that cannot be loaded, or lost too much, keeps its last good entries: they are read back out of the index in force.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::feed::{self, GateError, LoadError, Loaded, Report, Source, Stat, gate};
use crate::index::{BuildError, FeedId, Index, Kept, OpenError, Sorted, Verb};
use crate::metrics::FeedFigures;

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
    /// Entries that would let names through.
    pub allows: u64,
}

/// All feeds in force.
#[derive(Debug, Clone)]
pub struct FeedSet {
    /// Their entries.
    pub index: Arc<Index>,
    /// By place.
    pub states: Vec<FeedState>,
}

/// Where one feed of the next index comes from.
enum Next {
    /// Read now.
    Fresh(Sorted),
    /// An artifact, opened now, as one feed.
    Whole(Index),
    /// In the index in force, at this place.
    Kept(FeedId),
    /// It was never loaded well.
    Nothing,
}

/// What is told while feeds load: which feed, octets read, octets in all.
pub type Progress<'p> = &'p mut dyn FnMut(&str, u64, u64);

/// Loads what changed since `previous`, keeps what did not or could not be loaded, and builds the index of all.
///
/// # Errors
/// [`BuildError`]; a feed that is not taken is among the troubles instead.
pub fn load_feeds(
    configs: &[feed::Config],
    previous: Option<&FeedSet>,
    progress: Progress<'_>,
) -> Result<(FeedSet, Vec<FeedTrouble>), BuildError> {
    let (mut states, mut sources, mut troubles) = (Vec::new(), Vec::new(), Vec::new());
    for config in configs {
        let old = previous.and_then(|set| {
            let place = set.states.iter().position(|state| state.config.name == config.name)?;
            Some((FeedId::new(place)?, set.states.get(place)?))
        });
        let (state, next, trouble) = load_one(config, old, progress);
        states.push(state);
        sources.push(next);
        troubles.extend(trouble.map(|error| FeedTrouble { name: config.name.clone(), error }));
    }
    let index = assemble(&states, sources, previous)?;
    Ok((FeedSet { index, states }, troubles))
}

/// Loads one feed, or keeps it.
fn load_one(
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
        return (old.clone(), Next::Kept(place), None);
    }
    let previous = old.map(|(_, old)| old.figures.entries).filter(|&entries| entries > 0);
    match read_one(config, previous, progress) {
        Ok((next, entries, allows, report)) => {
            let figures = FeedFigures {
                name: config.name.clone(),
                entries,
                refused: report.iter().flat_map(Report::refusals).map(|(why, lines)| (why.label(), lines)).collect(),
                loaded_at_secs: SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs()),
                stale: false,
                failures: old.map_or(0, |(_, old)| old.figures.failures),
            };
            (FeedState { config: config.clone(), stat, report, figures, allows }, next, None)
        }
        Err(error) => {
            let mut state = old.map_or_else(|| FeedState::empty(config), |(_, old)| old.clone());
            state.config = config.clone();
            state.figures.stale = true;
            state.figures.failures += 1;
            (state, old.map_or(Next::Nothing, |(place, _)| Next::Kept(place)), Some(error))
        }
    }
}

impl FeedState {
    /// A feed that was never loaded.
    fn empty(config: &feed::Config) -> Self {
        let figures = FeedFigures { name: config.name.clone(), ..FeedFigures::default() };
        Self { config: config.clone(), stat: None, report: None, figures, allows: 0 }
    }
}

/// Reads one feed and puts it before the gate: what came, its entries, those that allow, its report.
fn read_one(
    config: &feed::Config,
    previous: Option<u64>,
    progress: Progress<'_>,
) -> Result<(Next, u64, u64, Option<Report>), FeedError> {
    match feed::load(config, &mut |done, total| progress(&config.name, done, total))? {
        Loaded::Text { entries, report } => {
            gate(previous, report.entries)?;
            let passthru = Some(Verb::Passthru);
            let allows = entries.iter().filter(|(_, verbs)| verbs.at == passthru || verbs.below == passthru).count();
            Ok((Next::Fresh(entries), report.entries, allows as u64, Some(*report)))
        }
        Loaded::Artifact { bytes } => {
            let index = Index::open(bytes)?.into_one_feed(&config.name);
            let entries = index.feeds().first().map_or(0, |feed| feed.entries);
            gate(previous, entries)?;
            Ok((Next::Whole(index), entries, 0, None))
        }
    }
}

/// The index of all sources; one that is already built is taken as it is.
fn assemble(
    states: &[FeedState],
    mut sources: Vec<Next>,
    previous: Option<&FeedSet>,
) -> Result<Arc<Index>, BuildError> {
    let unchanged = |old: &&FeedSet| {
        let in_place = |(place, next): (usize, &Next)| matches!(next, Next::Kept(old) if old.index() == place);
        old.states.len() == sources.len() && sources.iter().enumerate().all(in_place)
    };
    if let Some(old) = previous.filter(unchanged) {
        return Ok(Arc::clone(&old.index));
    }
    if let [Next::Whole(_)] = sources.as_slice()
        && let Some(Next::Whole(index)) = sources.pop()
    {
        return Ok(Arc::new(index));
    }
    let nothing = Sorted::default();
    let first = FeedId::new(0);
    let feeds: Vec<(&str, u64, Kept<'_>)> = states
        .iter()
        .zip(&sources)
        .map(|(state, next)| {
            let kept = match (next, previous, first) {
                (Next::Fresh(entries), ..) => Kept::New(entries),
                (Next::Whole(index), _, Some(first)) => Kept::Old(index, first),
                (Next::Kept(place), Some(old), _) => Kept::Old(&old.index, *place),
                _ => Kept::New(&nothing),
            };
            (state.config.name.as_str(), state.figures.entries, kept)
        })
        .collect();
    Index::build(&feeds, &mut |_| ()).map(Arc::new)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;
    use crate::feed::Format;
    use crate::name::Name;

    fn config(name: &str, path: &Path) -> feed::Config {
        let source = Source::File(path.to_owned());
        feed::Config { name: name.to_owned(), source, format: Format::Auto, trust_suffixes: false }
    }

    /// By feed, whether it lists the name.
    fn listed(set: &FeedSet, name: &str) -> Vec<usize> {
        let name = Name::from_text(name.as_bytes()).unwrap();
        let mut feeds = Vec::new();
        set.index.walk(&name.view().unwrap(), |_, row| feeds.extend(row.listings().iter().map(|one| one.feed.index())));
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
        assert!(Arc::ptr_eq(&same.index, &first.index), "nothing changed, nothing is built");

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
        set.index.write_file(&artifact).unwrap();
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
}
