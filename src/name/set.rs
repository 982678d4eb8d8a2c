//! [`NameSet`]: millions of names, some of them with all below, lying end to end as sorted keys.
//!
//! It takes the keys' octets and four more a name. Asking costs a binary search a label, and nothing if there are none.

use super::{Name, NameKey, NameRef};

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
    fn of(mut keys: Vec<&[u8]>) -> Self {
        keys.sort_unstable();
        keys.dedup();
        let mut sorted = Self { octets: Vec::with_capacity(keys.iter().map(|key| key.len()).sum()), ends: Vec::new() };
        sorted.ends.reserve_exact(keys.len());
        for key in keys {
            sorted.octets.extend_from_slice(key);
            // A key has at most 254 octets, and a set is of a few million.
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
}

/// A set of names and of subtrees, immutable once built. Its `Debug` shows a count alone.
#[derive(Clone, PartialEq, Eq, Hash, Default)]
pub struct NameSet {
    /// Every name.
    names: Keys,
    /// Those of which all that is below is in the set too.
    subtrees: Keys,
}

impl std::fmt::Debug for NameSet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NameSet").field("names", &self.len()).finish_non_exhaustive()
    }
}

impl NameSet {
    /// The set of these [keys](NameKey), each with all below it if that is said.
    #[must_use]
    pub fn of<'k>(keys: impl Iterator<Item = (&'k [u8], bool)> + Clone) -> Self {
        let names = Keys::of(keys.clone().map(|(key, _)| key).collect());
        Self { names, subtrees: Keys::of(keys.filter(|&(_, below)| below).map(|(key, _)| key).collect()) }
    }

    /// How many names, subtrees counted once.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.names.ends.len()
    }

    /// Whether nothing is in it.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.names.ends.is_empty()
    }

    /// Whether there are subtrees in it.
    #[must_use]
    pub const fn has_subtrees(&self) -> bool {
        !self.subtrees.ends.is_empty()
    }

    /// The names, subtrees' own among them, in the order of their keys.
    pub fn names(&self) -> impl Iterator<Item = Name> + '_ {
        (0..self.len()).filter_map(|place| Name::from_key(self.names.get(place)?).ok())
    }

    /// Whether `name` is in it.
    #[must_use]
    pub fn covers(&self, name: &NameRef<'_>) -> bool {
        if self.is_empty() {
            return false;
        }
        let key = NameKey::of(name);
        self.names.holds(key.as_bytes()) || self.is_in_subtree(key.as_bytes())
    }

    /// Whether the name of `key` is one of the names.
    #[must_use]
    pub fn holds(&self, key: &[u8]) -> bool {
        self.names.holds(key)
    }

    /// Whether the name of `key` is a subtree's own.
    #[must_use]
    pub fn holds_subtree(&self, key: &[u8]) -> bool {
        self.subtrees.holds(key)
    }

    /// Whether one of the names is below that of `key`.
    #[must_use]
    pub fn holds_below(&self, key: &[u8]) -> bool {
        // Those below are just those whose keys start with it; what follows a whole name is a length octet, at least 1.
        let first = [key, &[1]].concat();
        self.names.from(&first).is_some_and(|found| found.starts_with(key))
    }

    /// Whether the name of `key` is a subtree's own, or in one.
    #[must_use]
    pub fn is_in_subtree(&self, key: &[u8]) -> bool {
        let mut end = 0;
        while let Some(&length) = key.get(end).filter(|_| self.has_subtrees()) {
            end += 1 + usize::from(length);
            if key.get(..end).is_some_and(|above| self.subtrees.holds(above)) {
                return true;
            }
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Name {
        Name::from_text(text.as_bytes()).unwrap()
    }

    #[test]
    fn names_and_subtrees_are_found() {
        let keys = [("www.Site.test", false), ("corp.test", true), ("top.test", false), ("top.test", false)]
            .map(|(text, below)| (name(text).key().unwrap(), below));
        let set = NameSet::of(keys.iter().map(|(key, below)| (key.as_bytes(), *below)));
        for (text, covered, below) in [
            ("www.site.test", true, false),
            ("WWW.site.Test", true, false),
            ("a.www.site.test", false, false),
            ("site.test", false, true),
            ("test", false, true),
            (".", false, true),
            ("corp.test", true, false),
            ("a.b.corp.test", true, false),
            ("acorp.test", false, false),
            ("top.test", true, false),
            ("x.top.test", false, false),
        ] {
            let (name, key) = (name(text), name(text).key().unwrap());
            assert_eq!(set.covers(&name.view().unwrap()), covered, "{text}");
            assert_eq!(set.holds_below(key.as_bytes()), below, "{text}");
        }
        let names: Vec<_> = set.names().map(|name| name.reveal().to_string()).collect();
        assert_eq!(names, ["top.test", "corp.test", "www.site.test"]);
        assert_eq!((set.len(), format!("{set:?}")), (3, "NameSet { names: 3, .. }".to_owned()));
    }

    #[test]
    fn nothing_is_in_an_empty_set() {
        let (set, root) = (NameSet::default(), name("."));
        assert!(set.is_empty() && !set.has_subtrees() && !set.covers(&root.view().unwrap()) && !set.holds_below(b""));
    }
}
