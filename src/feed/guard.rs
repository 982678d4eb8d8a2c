//! [`Guard`]: names that no feed may sink: `protected` ones, which an entry is refused for, and canaries, which a whole update is.
//!
//! `name` protects the name itself, from entries on it and above it; `*.name` everything below it as well. Protected names may be a million
//! (top sites), so they lie end to end as sorted keys: asking costs a binary search an entry, and nothing if there are none.

use std::fs;
use std::hash::{Hash, Hasher};
use std::io;
use std::path::{Path, PathBuf};

use crate::index::{Index, Sorted, Verb, Verbs};
use crate::name::{Name, NameError};

/// The most protected names: more than any list of top sites has.
pub const PROTECTED_MAX: usize = 2_000_000;
/// The most canaries: each is looked up in each load.
pub const CANARIES_MAX: usize = 10_000;
/// The largest file of protected names, octets.
const FILE_OCTETS_MAX: u64 = 64 << 20;

/// Why a file of protected names cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ProtectedError {
    /// It cannot be read.
    #[error("{path}: cannot be read", path = path.display())]
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A line is no name.
    #[error("{path}:{line}: expected a name or *.name", path = path.display())]
    Line {
        /// Which file.
        path: PathBuf,
        /// Which line, from 1.
        line: usize,
        /// What is wrong.
        source: NameError,
    },
    /// There are too many.
    #[error("{path}: expected at most {PROTECTED_MAX} names", path = path.display())]
    TooMany {
        /// Which file.
        path: PathBuf,
    },
}

/// One protected name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Protected {
    /// The name.
    pub name: Name,
    /// Whether what is below it is protected too.
    pub below: bool,
}

impl Protected {
    /// Reads `name` or `*.name`.
    ///
    /// # Errors
    /// [`NameError`].
    pub fn from_text(text: &str) -> Result<Self, NameError> {
        let (below, rest) = text.strip_prefix("*.").map_or((false, text), |rest| (true, rest));
        let name = Name::from_written(rest)?;
        if name == Name::ROOT {
            return Err(NameError::EmptyLabel);
        }
        Ok(Self { name, below })
    }

    /// Reads a file of names, one a line; `#` begins a comment.
    ///
    /// # Errors
    /// [`ProtectedError`].
    pub fn read_file(path: &Path) -> Result<Vec<Self>, ProtectedError> {
        let unreadable = |source| ProtectedError::Unreadable { path: path.to_owned(), source };
        let file = fs::metadata(path).map_err(unreadable)?;
        if !file.is_file() || file.len() > FILE_OCTETS_MAX {
            return Err(unreadable(io::ErrorKind::InvalidInput.into()));
        }
        let text = fs::read_to_string(path).map_err(unreadable)?;
        let mut names = Vec::new();
        for (number, line) in text.lines().enumerate() {
            let line = line.split('#').next().unwrap_or_default().trim();
            if line.is_empty() {
                continue;
            }
            if names.len() >= PROTECTED_MAX {
                return Err(ProtectedError::TooMany { path: path.to_owned() });
            }
            let bad = |source| ProtectedError::Line { path: path.to_owned(), line: number + 1, source };
            names.push(Self::from_text(line).map_err(bad)?);
        }
        Ok(names)
    }
}

/// Keys end to end, in order.
#[derive(Clone, PartialEq, Eq, Hash, Default)]
struct Keys {
    /// The keys.
    octets: Vec<u8>,
    /// Where each ends.
    ends: Vec<u32>,
}

impl Keys {
    /// Puts keys in order.
    fn of(mut keys: Vec<Box<[u8]>>) -> Self {
        keys.sort_unstable();
        keys.dedup();
        let mut sorted = Self::default();
        for key in keys {
            sorted.octets.extend_from_slice(&key);
            // A key has at most 254 octets and there are at most two million.
            sorted.ends.push(u32::try_from(sorted.octets.len()).unwrap_or(u32::MAX));
        }
        sorted
    }

    /// The key at `place`.
    fn get(&self, place: usize) -> Option<&[u8]> {
        let start = match place.checked_sub(1) {
            Some(before) => *self.ends.get(before)? as usize,
            None => 0,
        };
        self.octets.get(start..*self.ends.get(place)? as usize)
    }

    /// The first key that is not less than `key`.
    fn from(&self, key: &[u8]) -> Option<&[u8]> {
        let (mut low, mut high) = (0, self.ends.len());
        while low < high {
            let middle = usize::midpoint(low, high);
            if self.get(middle).is_some_and(|at| at < key) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        self.get(low)
    }

    /// Whether `key` is among them.
    fn holds(&self, key: &[u8]) -> bool {
        self.from(key) == Some(key)
    }

    /// Whether one of them is below `key`, which is an ancestor of just those that start with it.
    fn holds_below(&self, key: &[u8]) -> bool {
        // What follows a whole name is a length octet, at least 1.
        let first = [key, &[1]].concat();
        self.from(&first).is_some_and(|found| found.starts_with(key))
    }
}

/// Names that no feed may sink. Its `Debug` shows counts alone.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Guard {
    /// All that are protected.
    names: Keys,
    /// Those of which what is below is protected too.
    zones: Keys,
    /// The same names, to be looked up in what cannot be refused entry by entry.
    protected: Vec<Name>,
    /// Canaries.
    canaries: Vec<Name>,
}

impl Hash for Guard {
    fn hash<H: Hasher>(&self, state: &mut H) {
        // Canaries belong to the gate: they change what is let in, not how it is read.
        self.names.hash(state);
        self.zones.hash(state);
    }
}

impl std::fmt::Debug for Guard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (names, canaries) = (self.names.ends.len(), self.canaries.len());
        f.debug_struct("Guard").field("protected", &names).field("canaries", &canaries).finish()
    }
}

impl Guard {
    /// Guards these.
    #[must_use]
    pub fn new(protected: &[Protected], canaries: Vec<Name>) -> Self {
        let key = |name: &Name| name.key().ok().map(|key| Box::from(key.as_bytes()));
        let keys = |which: fn(&Protected) -> bool| {
            Keys::of(protected.iter().filter(|one| which(one)).filter_map(|one| key(&one.name)).collect())
        };
        let names = protected.iter().map(|one| one.name.clone()).collect();
        Self { names: keys(|_| true), zones: keys(|one| one.below), protected: names, canaries }
    }

    /// Whether an entry on `key` that says `verbs` would sink what is protected.
    #[must_use]
    pub fn refuses(&self, key: &[u8], verbs: Verbs) -> bool {
        if self.names.ends.is_empty() {
            return false;
        }
        let (at, below) = (sinks_by(verbs.at), sinks_by(verbs.below));
        (at && self.names.holds(key))
            || (below && self.names.holds_below(key))
            || ((at || below) && self.has_zones() && self.is_in_zone(key))
    }

    /// Whether `key` is a zone of which everything is protected, or in one.
    fn is_in_zone(&self, key: &[u8]) -> bool {
        let mut end = 0;
        while let Some(&length) = key.get(end) {
            end += 1 + usize::from(length);
            if key.get(..end).is_some_and(|above| self.zones.holds(above)) {
                return true;
            }
        }
        false
    }

    /// How many canaries these entries would sink.
    #[must_use]
    pub fn canaries_sunk(&self, entries: &Sorted) -> u64 {
        let sunk = self.canaries.iter().filter(|canary| canary.key().is_ok_and(|key| sinks(entries, key.as_bytes())));
        sunk.count() as u64
    }

    /// How many canaries, and how many protected names, an index would sink; of what is below a protected zone only its name is asked here.
    pub(super) fn sunk_by(&self, index: &Index) -> (u64, u64) {
        let sunk = |names: &[Name]| names.iter().filter(|name| index_sinks(index, name)).count() as u64;
        (sunk(&self.canaries), sunk(&self.protected))
    }

    /// Whether there are zones of which everything is protected.
    pub(super) const fn has_zones(&self) -> bool {
        !self.zones.ends.is_empty()
    }

    /// Whether an entry on `key` that says `verbs` would sink what is below a zone of which everything is protected.
    pub(super) fn refuses_below_zone(&self, key: &[u8], verbs: Verbs) -> bool {
        if !self.has_zones() || !self.is_in_zone(key) {
            return false;
        }
        // One that sinks the zone's own name is told by that.
        let (at, below) = (sinks_by(verbs.at), sinks_by(verbs.below));
        if self.zones.holds(key) { below && !at } else { below || at }
    }
}

/// Whether this verb sinks what it is said of.
const fn sinks_by(verb: Option<Verb>) -> bool {
    !matches!(verb, None | Some(Verb::Passthru | Verb::Cancel))
}

/// Whether entries sink the name of `key`: the deepest one that says anything decides.
fn sinks(entries: &Sorted, key: &[u8]) -> bool {
    let (mut end, mut sunk) = (0, false);
    let mut hear = |verb: Option<Verb>| {
        if verb.is_some() {
            sunk = sinks_by(verb);
        }
    };
    hear(entries.get(&[]).and_then(|verbs| verbs.below));
    while let Some(&length) = key.get(end) {
        end += 1 + usize::from(length);
        let Some(verbs) = key.get(..end).and_then(|above| entries.get(above)) else { continue };
        hear(if end == key.len() { verbs.at } else { verbs.below });
    }
    sunk
}

/// Whether an index sinks a name, whichever of its feeds does.
fn index_sinks(index: &Index, name: &Name) -> bool {
    let Ok(view) = name.view() else { return false };
    let mut sunk = false;
    index.walk(&view, |labels, listings| {
        for listing in listings.iter() {
            let verb = if labels == view.labels() { listing.verbs.at } else { listing.verbs.below };
            if verb.is_some() {
                sunk = sinks_by(verb);
            }
        }
    });
    sunk
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::feed::{Terms, TextFormat, read_text};
    use std::sync::Arc;

    fn guard(protected: &[&str], canaries: &[&str]) -> Arc<Guard> {
        let protected: Vec<_> = protected.iter().map(|text| Protected::from_text(text).unwrap()).collect();
        let canaries = canaries.iter().map(|text| Name::from_text(text.as_bytes()).unwrap()).collect();
        Arc::new(Guard::new(&protected, canaries))
    }

    #[test]
    fn protected_names_refuse_the_entries_that_would_sink_them() {
        let terms = Terms { guard: guard(&["www.site.test", "*.corp.test", "top.test"], &[]), ..Terms::default() };
        for (line, taken) in [
            ("www.site.test", false),
            ("=www.site.test", false),
            ("site.test", false),
            ("=site.test", true),
            ("a.www.site.test", true),
            ("other.site.test", true),
            ("swww.site.test", true),
            ("corp.test", false),
            ("=corp.test", false),
            ("a.b.corp.test", false),
            ("=a.corp.test", false),
            ("acorp.test", true),
            ("x.top.test", true),
            ("top.test", false),
        ] {
            let (sorted, report) = read_text(line.as_bytes(), TextFormat::Plain, &terms).unwrap();
            assert_eq!(!sorted.is_empty(), taken, "{line}: {report:?}");
            assert!(report.balanced());
        }
    }

    #[test]
    fn no_modifier_of_an_adblock_rule_gets_past_the_guard() {
        let terms = Terms { guard: guard(&["www.site.test", "*.corp.test"], &[]), ..Terms::default() };
        for (rules, taken, refused) in [
            ("||www.site.test^$important", 0, 1),
            ("||site.test^$important", 0, 1),
            ("||site.test^$important\n||www.site.test^$important", 0, 2),
            ("||a.corp.test^$important", 0, 1),
            ("||corp.test^$denyallow=x.corp.test", 0, 1),
            ("||site.test^$denyallow=www.site.test", 0, 1),
            ("||site.test^$important,denyallow=x.test", 0, 1),
            ("||*.site.test^$important", 0, 1),
            ("||a.www.site.test^$important", 1, 0),
            ("@@||www.site.test^$important", 1, 0),
            ("@@||a.corp.test^", 1, 0),
            ("||com^$important", 0, 1),
            ("||co.uk^$denyallow=x.co.uk", 0, 1),
        ] {
            let (sorted, report) = read_text(rules.as_bytes(), TextFormat::Adblock, &terms).unwrap();
            assert_eq!((sorted.len(), report.refused_total()), (taken, refused), "{rules}: {report:?}");
            assert!(report.balanced(), "{rules}");
        }
        let canaries = guard(&[], &["a.b.test"]);
        for rules in ["||b.test^$important", "||b.test^$denyallow=c.b.test", "@@||a.b.test^\n||b.test^$important"] {
            let (sorted, _) = read_text(rules.as_bytes(), TextFormat::Adblock, &Terms::default()).unwrap();
            assert_eq!(canaries.canaries_sunk(&sorted), 1, "{rules}");
        }
    }

    #[test]
    fn canaries_are_found_as_queries_would_be() {
        let guard = guard(&[], &["a.b.test", "c.test"]);
        for (text, sunk) in [
            ("b.test\n", 1),
            ("a.b.test\nc.test\n", 2),
            ("=b.test\nx.c.test\n", 0),
            ("=a.b.test", 1),
            ("ab.test\nb.testing\n", 0),
        ] {
            let (sorted, _) = read_text(text.as_bytes(), TextFormat::Plain, &Terms::default()).unwrap();
            assert_eq!(guard.canaries_sunk(&sorted), sunk, "{text:?}");
        }
        let rules = "||b.test^\n@@||a.b.test^\n";
        let (sorted, _) = read_text(rules.as_bytes(), TextFormat::Adblock, &Terms::default()).unwrap();
        assert_eq!(guard.canaries_sunk(&sorted), 0);
    }

    #[test]
    fn a_file_of_names_is_read_or_told_by_its_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("top");
        fs::write(&path, "# top sites\nsite.test\n\n*.corp.test # ours\nb\u{fc}cher.test\r\n").unwrap();
        assert_eq!(Protected::read_file(&path).unwrap().len(), 3);
        fs::write(&path, "site.test\ncanary..test\n").unwrap();
        let error = Protected::read_file(&path).unwrap_err();
        assert!(matches!(error, ProtectedError::Line { line: 2, .. }), "{error:?}");
        assert!(!format!("{error} {error:?}").contains("canary"));
        assert!(matches!(Protected::read_file(folder.path()), Err(ProtectedError::Unreadable { .. })));
    }
}
