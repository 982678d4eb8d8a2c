//! Compiling: all feeds into one artifact, which is one feed to whoever uses it. Whatever would mean something else there is refused by the
//! feed's name, before anything is written.
//!
//! An artifact carries entries: each with what it asks for itself, and until when. It carries no feed's policy, and no order between feeds. So a
//! feed with keys of policy is refused, for they belong to the feed that uses the file; and several feeds are one only where all their entries
//! ask for the same, since then neither order nor depth decides anything.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::loading::{FeedTrouble, LoadedFeeds, Progress, Wanted, load_feeds};
use crate::config::Settings;
use crate::feed::{Source, is_kept_name};
use crate::index::{BuildError, Index, OpenError, Verb};
use crate::policy::FeedConfig;

/// Why nothing was compiled; what was at the path stays.
#[derive(Debug, thiserror::Error)]
pub enum CompileError {
    /// The file would be taken for a state directory's own.
    #[error("{path}: expected another name, got one that the state directory calls its own files by", path = path.display())]
    Name {
        /// Where it was to be written.
        path: PathBuf,
    },
    /// There is nowhere to write it.
    #[error("{path}: expected a file in a folder that is there, got no folder {folder}; make it (mkdir -p) and compile again", path = path.display(), folder = folder.display())]
    NoFolder {
        /// Where it was to be written.
        path: PathBuf,
        /// The folder.
        folder: PathBuf,
    },
    /// It is a folder itself.
    #[error("{path}: expected a file to write, got a folder; give the file's name too", path = path.display())]
    Folder {
        /// Where it was to be written.
        path: PathBuf,
    },
    /// It would be written over what it is made of.
    #[error("{path}: expected another file than the feeds are read from, got the source of feed {feed}", path = path.display())]
    Source {
        /// Where it was to be written.
        path: PathBuf,
        /// The operator's name for the feed.
        feed: String,
    },
    /// There is nothing to compile.
    #[error("expected at least one [[feed]], got a configuration without any")]
    NoFeeds,
    /// Feeds that would mean something else.
    #[error("{}", lines(.0))]
    Uncarried(Vec<Uncarried>),
    /// Feeds that were not taken.
    #[error("{}", lines(.0))]
    Feeds(Vec<FeedTrouble>),
    /// The index could not be built.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// The file could not be written.
    #[error("{path}: cannot be written", path = path.display())]
    Write {
        /// Where it was to be written.
        path: PathBuf,
        /// Why not.
        source: OpenError,
    },
}

/// Each on a line, its causes behind it.
fn lines<E: std::error::Error>(errors: &[E]) -> String {
    errors.iter().map(|error| super::chain(error)).collect::<Vec<_>>().join("\n")
}

/// What of a feed an artifact cannot carry.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Uncarried {
    /// Keys of its policy.
    #[error(
        "feed {feed}: expected no policy, which an artifact cannot carry, got {keys}; set it on the feed that uses the file"
    )]
    Policy {
        /// The operator's name for it.
        feed: String,
        /// Which, with their values.
        keys: String,
    },
    /// Entries that ask for something else than an earlier feed's.
    #[error(
        "feed {feed}: expected entries that ask for the same as those of feed {first} ({asked}), got {got}: which decides is lost in one \
         artifact; compile each into a file of its own"
    )]
    Asks {
        /// The operator's name for it.
        feed: String,
        /// The feed before it.
        first: String,
        /// What all entries ask for so far.
        asked: Asked,
        /// What else these ask for.
        got: Asked,
    },
    /// Entries of several feeds that end at several times.
    #[error(
        "feed {feed}: expected entries that end as those of the feeds before it for the same names, got others for the names themselves and for \
         what is below them; compile each feed into a file of its own"
    )]
    Ends {
        /// The operator's name for the last feed that has any.
        feed: String,
    },
}

/// What entries ask for, in the configuration's words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked(Vec<Verb>);

impl fmt::Display for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut words: Vec<_> = self.0.iter().map(|&verb| word(verb)).collect();
        words.dedup();
        f.write_str(&words.join(", "))
    }
}

/// What a verb is called.
const fn word(verb: Verb) -> &'static str {
    match verb {
        Verb::Listed => "to be sunk",
        Verb::Nxdomain => "nxdomain",
        Verb::Nodata => "nodata",
        Verb::Drop => "drop",
        Verb::Passthru => "passthru",
        Verb::Cancel => "exceptions (@@)",
        Verb::TcpOnly => "tcp-only",
        Verb::Data(_) => "records of their own",
    }
}

/// Compiles the feeds of these settings into a file at `out`; gives the index that it holds.
///
/// # Errors
/// [`CompileError`].
pub fn compile(settings: &Settings, out: &Path, progress: Progress<'_>) -> Result<Arc<Index>, CompileError> {
    // Said at once, not after minutes of building.
    check_place(out)?;
    if settings.feeds.is_empty() {
        return Err(CompileError::NoFeeds);
    }
    let is_out = |source: &Source| matches!(source, Source::File(file) if is_same_file(file, out));
    if let Some(feed) = settings.feeds.iter().find(|feed| is_out(&feed.source)) {
        return Err(CompileError::Source { path: out.to_owned(), feed: feed.name.clone() });
    }
    let uncarried: Vec<_> = settings.policy_feeds.iter().filter_map(policy_of).collect();
    if !uncarried.is_empty() {
        return Err(CompileError::Uncarried(uncarried));
    }
    let LoadedFeeds { set, troubles, .. } = load_feeds(&settings.feeds, None, Wanted::All, progress)?;
    if !troubles.is_empty() {
        return Err(CompileError::Feeds(troubles));
    }
    let index = set.merged()?;
    let uncarried = differences_of(&index);
    if !uncarried.is_empty() {
        return Err(CompileError::Uncarried(uncarried));
    }
    index.write_file(out).map_err(|source| CompileError::Write { path: out.to_owned(), source })?;
    Ok(index)
}

/// Whether two paths lead to one file that is there.
fn is_same_file(one: &Path, other: &Path) -> bool {
    matches!((one.canonicalize(), other.canonicalize()), (Ok(one), Ok(other)) if one == other)
}

/// Whether a file can be written at `out`, as far as can be told before.
fn check_place(out: &Path) -> Result<(), CompileError> {
    let path = || out.to_owned();
    if out.file_name().is_some_and(is_kept_name) {
        return Err(CompileError::Name { path: path() });
    }
    if out.is_dir() {
        return Err(CompileError::Folder { path: path() });
    }
    let folder = out.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if !folder.is_dir() {
        return Err(CompileError::NoFolder { path: path(), folder: folder.to_owned() });
    }
    Ok(())
}

/// A feed's policy, if it has one.
fn policy_of(config: &FeedConfig) -> Option<Uncarried> {
    let FeedConfig { name, action, may_allow, check_targets, check_addresses, sink } = config;
    let keys = [
        action.map(|action| format!("action = \"{}\"", action.label())),
        may_allow.then(|| "may-allow = true".to_owned()),
        (!check_targets).then(|| "check-targets = false".to_owned()),
        (!check_addresses).then(|| "check-addresses = false".to_owned()),
        sink.as_ref().map(|_| "a sinkhole of its own".to_owned()),
    ];
    let keys: Vec<_> = keys.into_iter().flatten().collect();
    (!keys.is_empty()).then(|| Uncarried::Policy { feed: name.clone(), keys: keys.join(", ") })
}

/// What keeps the feeds of an index from being one. One feed is one already.
fn differences_of(index: &Index) -> Vec<Uncarried> {
    let [_, .., last] = index.feeds() else { return Vec::new() };
    let mut uncarried = Vec::new();
    let mut all: Option<(String, Vec<Verb>)> = None;
    for feed in index.feeds() {
        let asks = index.asks(feed.id);
        match &mut all {
            // What a feed asks for that is not alone in it differs from itself: it has an order of its own, by depth.
            None if asks.is_empty() => {}
            None => all = Some((feed.name.clone(), asks)),
            Some((first, asked)) => {
                if asked.len() > 1 || asks.iter().any(|verb| !asked.contains(verb)) {
                    let (feed, first) = (feed.name.clone(), first.clone());
                    uncarried.push(Uncarried::Asks { feed, first, asked: Asked(asked.clone()), got: Asked(asks) });
                }
            }
        }
    }
    if uncarried.is_empty() && index.ends_apart() {
        uncarried.push(Uncarried::Ends { feed: last.name.clone() });
    }
    uncarried
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::index::{Entries, FeedId, Kept, Part, Sorted, Until, Verbs};

    /// One feed's entries.
    fn sorted(entries: &[(&[u8], Verbs)]) -> Sorted {
        let mut gathered = Entries::default();
        entries.iter().for_each(|(key, verbs)| gathered.push(key, *verbs, false).unwrap());
        gathered.finish().0
    }

    /// What keeps these feeds from being one: by place, and whether for what they ask or for their ends.
    fn differ(feeds: &[&[(&[u8], Verbs)]]) -> Vec<String> {
        let sorted: Vec<_> = feeds.iter().map(|entries| sorted(entries)).collect();
        let names: Vec<_> = (0..feeds.len()).map(|place| place.to_string()).collect();
        let part = |(place, entries): (usize, &Sorted)| {
            (FeedId::new(place).unwrap(), names[place].clone(), entries.len() as u64)
        };
        let parts: Vec<_> = sorted.iter().enumerate().map(part).collect();
        let parts: Vec<_> = parts
            .iter()
            .zip(&sorted)
            .map(|((id, name, entries), sorted)| Part { id: *id, name, entries: *entries, source: Kept::New(sorted) })
            .collect();
        let told = |uncarried| match uncarried {
            Uncarried::Asks { feed, asked, got, .. } => format!("{feed}: {got} beside {asked}"),
            Uncarried::Ends { feed } => format!("{feed}: ends"),
            Uncarried::Policy { .. } => unreachable!(),
        };
        differences_of(&Index::build(&parts).unwrap()).into_iter().map(told).collect()
    }

    #[test]
    fn feeds_are_one_where_all_entries_ask_for_the_same() {
        let (a, b): (&[u8], &[u8]) = (b"\x01a", b"\x01b");
        let (listed, nx) = (Verbs::subtree(Verb::Listed), Verbs::subtree(Verb::Nxdomain));
        let one = [(a, listed)];
        assert_eq!(differ(&[&[(a, listed), (b, nx)]]), [""; 0], "one feed keeps its own order");
        assert_eq!(differ(&[&one, &[(a, listed), (b, Verbs::exact(Verb::Listed))]]), [""; 0]);
        assert_eq!(differ(&[&[(a, nx)], &[], &[(b, nx)]]), [""; 0], "and one that lists nothing is in nobody's way");
        assert_eq!(differ(&[&one, &[(b, nx)], &one]), ["1: nxdomain beside to be sunk"]);
        let mixed = [(a, listed), (b, Verbs::subtree(Verb::Cancel))];
        assert_eq!(differ(&[&mixed, &one]), ["1: to be sunk beside to be sunk, exceptions (@@)"]);
        assert_eq!(differ(&[&one, &mixed]), ["1: to be sunk, exceptions (@@) beside to be sunk"]);
        let passes = [(b, Verbs::exact(Verb::Passthru))];
        assert_eq!(differ(&[&one, &passes]), ["1: passthru beside to be sunk"]);
    }

    #[test]
    fn ends_are_carried_where_the_name_and_what_is_below_it_end_together() {
        let a: &[u8] = b"\x01a";
        let at = |secs: u64| Until::from_secs(secs * 3600);
        let (both, exact, below) =
            (Verbs::subtree(Verb::Listed), Verbs::exact(Verb::Listed), Verbs::below(Verb::Listed));
        for (one, two, apart) in [
            (both.until(at(1)), both.until(at(2)), false),
            (exact.until(at(1)), below.until(at(1)), false),
            (exact.until(at(1)), below.until(at(2)), true),
            (exact, both.until(at(2)), true),
            (exact.until(at(1)), both.until(at(2)), false),
        ] {
            assert_eq!(!differ(&[&[(a, one)], &[(a, two)]]).is_empty(), apart, "{one:?} {two:?}");
        }
    }
}
