//! [`Guard`]: names that no feed may sink: `protected` ones, which an entry is refused for, and canaries, which a whole update is.
//!
//! `name` protects the name itself, from entries on it and above it; `*.name` everything below it as well. Here entries are asked about, as
//! they are read; what is listed otherwise (where a protected name's answer leads, who asks for it) the judge spares, by the same
//! [set of names](NameSet).

use std::fs;
use std::hash::{Hash, Hasher};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::index::{Index, Sorted, Verb, Verbs};
use crate::name::{Name, NameError, NameSet};

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

/// One protected name, of which there may be millions.
#[derive(Clone, PartialEq, Eq)]
pub struct Protected {
    /// The name's [key](crate::name::NameKey).
    key: Box<[u8]>,
    /// Whether what is below it is protected too.
    below: bool,
}

impl std::fmt::Debug for Protected {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Protected").field("below", &self.below).finish_non_exhaustive()
    }
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
        if name.has_wildcard() {
            return Err(NameError::Wildcard);
        }
        Ok(Self { key: name.key()?.as_bytes().into(), below })
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

/// Names that no feed may sink. Its `Debug` shows counts alone.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Guard {
    /// Those that are protected.
    protected: Arc<NameSet>,
    /// Canaries.
    canaries: Vec<Name>,
}

impl Hash for Guard {
    fn hash<H: Hasher>(&self, state: &mut H) {
        // Canaries belong to the gate: they change what is let in, not how it is read.
        self.protected.hash(state);
    }
}

impl std::fmt::Debug for Guard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (names, canaries) = (self.protected.len(), self.canaries.len());
        f.debug_struct("Guard").field("protected", &names).field("canaries", &canaries).finish()
    }
}

impl Guard {
    /// Guards these.
    #[must_use]
    pub fn new(protected: &[Protected], canaries: Vec<Name>) -> Self {
        let protected = NameSet::of(protected.iter().map(|one| (&*one.key, one.below)));
        Self { protected: Arc::new(protected), canaries }
    }

    /// The protected names, for whoever judges queries.
    #[must_use]
    pub const fn protected(&self) -> &Arc<NameSet> {
        &self.protected
    }

    /// Whether an entry on `key` that says `verbs` would sink what is protected.
    #[must_use]
    pub fn refuses(&self, key: &[u8], verbs: Verbs) -> bool {
        if self.protected.is_empty() {
            return false;
        }
        let (at, below) = (sinks_by(verbs.at), sinks_by(verbs.below));
        (at && self.protected.holds(key))
            || (below && self.protected.holds_below(key))
            || ((at || below) && self.protected.is_in_subtree(key))
    }

    /// How many canaries these entries would sink; `may_allow`: their feed's passthru entries let through.
    #[must_use]
    pub fn canaries_sunk(&self, entries: &Sorted, may_allow: bool) -> u64 {
        let sunk = |key: &[u8]| sinks(entries, key, may_allow);
        self.canaries.iter().filter(|canary| canary.key().is_ok_and(|key| sunk(key.as_bytes()))).count() as u64
    }

    /// How many canaries, and how many protected names, an index would sink; of what is below a protected zone only its name is asked here.
    pub(super) fn sunk_by(&self, index: &Index, may_allow: bool) -> (u64, u64) {
        let sinks = |name: &Name| index_sinks(index, name, may_allow);
        let canaries = self.canaries.iter().filter(|name| sinks(name)).count();
        (canaries as u64, self.protected.names().filter(sinks).count() as u64)
    }

    /// Whether there are zones of which everything is protected.
    pub(super) fn has_zones(&self) -> bool {
        self.protected.has_subtrees()
    }

    /// Whether an entry on `key` that says `verbs` would sink what is below a zone of which everything is protected.
    pub(super) fn refuses_below_zone(&self, key: &[u8], verbs: Verbs) -> bool {
        if !self.protected.is_in_subtree(key) {
            return false;
        }
        // One that sinks the zone's own name is told by that.
        let (at, below) = (sinks_by(verbs.at), sinks_by(verbs.below));
        if self.protected.holds_subtree(key) { below && !at } else { below || at }
    }
}

/// Whether this verb sinks what it is said of.
const fn sinks_by(verb: Option<Verb>) -> bool {
    !matches!(verb, None | Some(Verb::Passthru | Verb::Cancel))
}

/// What one feed's entries come to for a name, as a query would hear them; the less deep an entry, the earlier it is heard.
struct Hearing {
    /// Whether the feed's passthru entries let through: in one that may not they are as if they were not there.
    may_allow: bool,
    /// Whether the deepest entry that was heard sinks it.
    sunk: bool,
}

impl Hearing {
    /// Hears an entry.
    const fn hear(&mut self, verb: Option<Verb>) {
        match verb {
            None => {}
            Some(Verb::Passthru) if !self.may_allow => {}
            Some(_) => self.sunk = sinks_by(verb),
        }
    }
}

/// Whether one feed's entries sink the name of `key`.
fn sinks(entries: &Sorted, key: &[u8], may_allow: bool) -> bool {
    let (mut end, mut hearing) = (0, Hearing { may_allow, sunk: false });
    hearing.hear(entries.get(&[]).and_then(|verbs| verbs.below));
    while let Some(&length) = key.get(end) {
        end += 1 + usize::from(length);
        let Some(verbs) = key.get(..end).and_then(|above| entries.get(above)) else { continue };
        hearing.hear(if end == key.len() { verbs.at } else { verbs.below });
    }
    hearing.sunk
}

/// Whether an index of one feed sinks a name.
fn index_sinks(index: &Index, name: &Name, may_allow: bool) -> bool {
    let Ok(view) = name.view() else { return false };
    let mut hearing = Hearing { may_allow, sunk: false };
    index.walk(&view, |labels, listings| {
        for listing in listings.iter() {
            hearing.hear(if labels == view.labels() { listing.verbs.at } else { listing.verbs.below });
        }
    });
    hearing.sunk
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::feed::{Terms, TextFormat, read_text};

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
            assert_eq!(canaries.canaries_sunk(&sorted, false), 1, "{rules}");
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
            assert_eq!(guard.canaries_sunk(&sorted, false), sunk, "{text:?}");
        }
        let rules = "||b.test^\n@@||a.b.test^\n";
        let (sorted, _) = read_text(rules.as_bytes(), TextFormat::Adblock, &Terms::default()).unwrap();
        assert_eq!(guard.canaries_sunk(&sorted, false), 0);
    }

    #[test]
    fn a_passthru_counts_for_canaries_only_where_it_lets_through_and_a_cancel_everywhere() {
        let guard = guard(&[], &["www.bank.test"]);
        let passes = "*.bank.test CNAME .\nwww.bank.test CNAME rpz-passthru.\n";
        for (format, text, alone, allowing) in [
            (TextFormat::Rpz, passes, 1, 0),
            (TextFormat::Rpz, "*.bank.test CNAME .\n*.www.bank.test CNAME rpz-passthru.\n", 1, 1),
            (TextFormat::Rpz, "www.bank.test CNAME .\n*.bank.test CNAME rpz-passthru.\n", 1, 1),
            (TextFormat::Rpz, "*.test CNAME rpz-passthru.\nwww.bank.test CNAME rpz-passthru.\n", 0, 0),
            (TextFormat::Adblock, "||bank.test^\n@@||www.bank.test^\n", 0, 0),
        ] {
            let (sorted, _) = read_text(text.as_bytes(), format, &Terms::default()).unwrap();
            let got = [false, true].map(|may_allow| guard.canaries_sunk(&sorted, may_allow));
            assert_eq!(got, [alone, allowing], "{text}");
        }
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
