//! [`SuffixMap`]: a small map from names to values that finds the deepest entry at or above a name, without copying the name.
//!
//! Sorted keys, narrowed one label at a time by binary search. Nearly every query's top label is no entry's, or the label below it is none's,
//! which a bit tells for each: without the first a cached answer costs 31 % more instructions (`benches/instructions.rs`), without the second
//! one costs a tenant with ten names half as much again for every query under their TLD. For some hundred entries; indicators live in
//! `index/`.

use super::{NameKey, NameRef, fold};

/// A map from names to values, immutable once built.
#[derive(Clone, Default)]
pub struct SuffixMap<V> {
    /// Sorted by key, each key once. Root-first keys keep everything below a name next to it.
    entries: Vec<(Box<[u8]>, V)>,
    /// The [`bit`] of every entry's top label; all bits if the root is an entry.
    tops: u64,
    /// The same of the entries that have no second label.
    singles: u64,
    /// The [`bit`] of every entry's second label from the top.
    seconds: u64,
}

/// One of 64 bits for a label, by its length and first letter; all bits for none.
#[inline]
const fn bit(label: &[u8]) -> u64 {
    match label {
        &[length, first, ..] => 1 << ((length.wrapping_mul(7) ^ fold(first)) % 64),
        _ => u64::MAX,
    }
}

impl<V> SuffixMap<V> {
    /// Builds from names and values; of two values for one name the later stays.
    pub fn build(names: impl IntoIterator<Item = (NameKey, V)>) -> Self {
        let mut entries: Vec<(Box<[u8]>, V)> =
            names.into_iter().map(|(key, value)| (key.as_bytes().into(), value)).collect();
        entries.reverse();
        entries.sort_by(|a, b| a.0.cmp(&b.0));
        entries.dedup_by(|later, kept| later.0 == kept.0);
        let (mut tops, mut singles, mut seconds) = (0, 0, 0);
        for (key, _) in &entries {
            let (top, second) = (bit(key), key.get(1 + usize::from(key.first().copied().unwrap_or(0))..));
            tops |= top;
            match second.unwrap_or_default() {
                [] => singles |= top,
                second => seconds |= bit(second),
            }
        }
        Self { entries, tops, singles, seconds }
    }

    /// How many names.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether it holds no name.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The deepest entry at or above `name`, and how many labels it has.
    #[inline]
    pub fn deepest(&self, name: &NameRef<'_>) -> Option<(usize, &V)> {
        let top = bit(name.root_first().next().unwrap_or_default());
        if self.tops & top == 0 { None } else { self.deepest_below(top, name) }
    }

    /// As [`Self::deepest`], of a name whose top label's bit is `top`.
    fn deepest_below(&self, top: u64, name: &NameRef<'_>) -> Option<(usize, &V)> {
        let second = bit(name.root_first().nth(1).unwrap_or_default());
        if self.singles & top == 0 && self.seconds & second == 0 {
            return None;
        }
        let mut range = self.entries.as_slice();
        let mut prefix = 0;
        let mut best = range.first().filter(|(key, _)| key.is_empty()).map(|(_, value)| (0, value));
        for (depth, label) in name.root_first().enumerate() {
            range = narrow(range, prefix, label);
            prefix += label.len();
            match range.first() {
                None => break,
                Some((key, value)) if key.len() == prefix => best = Some((depth + 1, value)),
                Some(_) => {}
            }
        }
        best
    }
}

/// The entries whose keys go on with `label` after `prefix` octets that all of `range` share.
fn narrow<'m, V>(range: &'m [(Box<[u8]>, V)], prefix: usize, label: &[u8]) -> &'m [(Box<[u8]>, V)] {
    let order = |key: &[u8]| {
        let next = key.get(prefix..).unwrap_or_default();
        let next = next.get(..label.len()).unwrap_or(next);
        next.iter().copied().cmp(label.iter().map(|&octet| fold(octet)))
    };
    let from = range.partition_point(|(key, _)| order(key).is_lt());
    let range = range.get(from..).unwrap_or_default();
    let to = range.partition_point(|(key, _)| order(key).is_eq());
    range.get(..to).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use rand::rngs::StdRng;
    use rand::{RngExt, SeedableRng};

    use super::*;
    use crate::name::Name;

    fn map(names: &[&str]) -> SuffixMap<usize> {
        SuffixMap::build(
            names.iter().enumerate().map(|(i, text)| (Name::from_text(text.as_bytes()).unwrap().key().unwrap(), i)),
        )
    }

    #[test]
    fn the_deepest_wins() {
        let map = map(&["example.com", "corp.example.com", "com", "ab", "b"]);
        for (name, want) in [
            ("example.com", Some((2, 0))),
            ("x.EXAMPLE.com", Some((2, 0))),
            ("a.b.corp.example.com", Some((3, 1))),
            ("orp.example.com", Some((2, 0))),
            ("notexample.com", Some((1, 2))),
            ("org", None),
            ("x.ab", Some((1, 3))),
            ("b", Some((1, 4))),
            (".", None),
        ] {
            let name = Name::from_text(name.as_bytes()).unwrap();
            let got = map.deepest(&name.view().unwrap()).map(|(depth, value)| (depth, *value));
            assert_eq!(got, want, "{}", name.reveal());
        }
    }

    #[test]
    fn the_root_covers_all_and_the_later_value_stays() {
        let root = map(&[".", "a", "a"]);
        let name = Name::from_text(b"x.a").unwrap();
        assert_eq!(root.deepest(&name.view().unwrap()), Some((1, &2)));
        assert_eq!(root.deepest(&Name::from_text(b"b").unwrap().view().unwrap()), Some((0, &0)));
        assert_eq!(root.len(), 2);
    }

    #[test]
    fn as_a_naive_twin_says() {
        for seed in 0..200 {
            let mut rng = StdRng::seed_from_u64(seed);
            let name = |rng: &mut StdRng| {
                let labels: Vec<&str> = (0..rng.random_range(0..4))
                    .map(|_| ["a", "b", "ab", "com", "A", "c0m"][rng.random_range(0..6)])
                    .collect();
                format!("{}.", labels.join("."))
            };
            let entries: Vec<String> = (0..rng.random_range(0..6)).map(|_| name(&mut rng)).collect();
            let map = map(&entries.iter().map(String::as_str).collect::<Vec<_>>());
            for _ in 0..100 {
                let asked = name(&mut rng);
                let lower: Vec<String> = entries.iter().map(|entry| entry.to_ascii_lowercase()).collect();
                let low = asked.to_ascii_lowercase();
                let covers = |entry: &str| entry == "." || format!(".{low}").ends_with(&format!(".{entry}"));
                let covering = (0..).zip(&lower).filter(|(_, entry)| covers(entry));
                let want = covering.max_by_key(|(place, entry)| (entry.len(), *place)).map(|(place, _)| place);
                let name = Name::from_text(asked.as_bytes()).unwrap();
                let got = map.deepest(&name.view().unwrap()).map(|(_, place)| *place);
                assert_eq!(got, want, "seed {seed}: {asked} in {entries:?}");
            }
        }
    }
}
