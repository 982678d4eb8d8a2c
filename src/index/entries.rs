//! [`Entries`]: one feed's accepted entries as they are read, then sorted, each name once.
//!
//! Keys lie end to end in one arena, so memory is the names' own octets plus seven a name. Duplicates are found by sorting, and
//! told apart by line without keeping line numbers: an entry only knows whether it shares its line with the one before.

use super::{Verb, Verbs};

/// The most entries a feed may have, and the most octets their keys may take (offsets are 32 bits): 4 GiB is some 150 million names.
const ARENA_OCTETS_MAX: usize = u32::MAX as usize - 512;

/// This entry stands on the same line as the one before it in the arena.
const SAME_LINE: u8 = 1;
/// Sorting found this entry to add nothing.
const DUPLICATE: u8 = 2;

/// Why an entry was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EntriesError {
    /// The arena is full.
    #[error("expected at most 4 GiB of names in a feed, got more")]
    Full,
    /// A key over 254 octets is no name's.
    #[error("expected a name's key, got one of over 254 octets")]
    KeyTooLong,
}

/// One feed's entries in the order they were read.
#[derive(Default)]
pub struct Entries {
    /// `[length, verbs, flags, key…]` for each entry.
    arena: Vec<u8>,
    /// Where each entry starts in `arena`.
    starts: Vec<u32>,
}

/// How a feed's lines with entries fell, and how many entries came of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Lines {
    /// Lines that added something.
    pub used: u64,
    /// Lines whose every entry was there already.
    pub duplicate: u64,
}

/// One feed's entries, sorted by key, each key once.
#[derive(Default)]
pub struct Sorted {
    /// As in [`Entries`], duplicates included.
    arena: Vec<u8>,
    /// Where the entries that count start, in key order.
    starts: Vec<u32>,
}

/// Two verbs in one octet.
fn pack(verbs: Verbs) -> u8 {
    let number = |verb: Option<Verb>| verb.map_or(0, |verb| verb as u8);
    number(verbs.at) << 4 | number(verbs.below)
}

/// The reverse of [`pack`].
const fn unpack(octet: u8) -> Verbs {
    Verbs { at: Verb::from_number(octet >> 4), below: Verb::from_number(octet & 15) }
}

/// Which of two verbs for one place in one feed stands: cancelling over letting through over the rest; else the first.
const fn stronger(old: Option<Verb>, new: Option<Verb>) -> Option<Verb> {
    const fn rank(verb: Option<Verb>) -> u8 {
        match verb {
            None => 0,
            Some(Verb::Cancel) => 3,
            Some(Verb::Passthru) => 2,
            Some(_) => 1,
        }
    }
    if rank(new) > rank(old) { new } else { old }
}

/// The entry at `start`: its verbs, its flags, its key.
fn entry(arena: &[u8], start: u32) -> (Verbs, u8, &[u8]) {
    match arena.get(start as usize..) {
        Some([length, verbs, flags, rest @ ..]) => {
            (unpack(*verbs), *flags, rest.get(..usize::from(*length)).unwrap_or_default())
        }
        _ => (Verbs { at: None, below: None }, 0, &[]),
    }
}

impl Entries {
    /// Takes one entry. `same_line`: it stands on the same line as the one taken before it.
    ///
    /// # Errors
    /// [`EntriesError`].
    pub fn push(&mut self, key: &[u8], verbs: Verbs, same_line: bool) -> Result<(), EntriesError> {
        let length = u8::try_from(key.len()).ok().filter(|&length| length < 255).ok_or(EntriesError::KeyTooLong)?;
        if self.arena.len() > ARENA_OCTETS_MAX {
            return Err(EntriesError::Full);
        }
        let start = u32::try_from(self.arena.len()).map_err(|_| EntriesError::Full)?;
        self.arena.extend_from_slice(&[length, pack(verbs), if same_line { SAME_LINE } else { 0 }]);
        self.arena.extend_from_slice(key);
        self.starts.push(start);
        Ok(())
    }

    /// How many were taken, duplicates included.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.starts.len()
    }

    /// Whether none was taken.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.starts.is_empty()
    }

    /// Sorts, folds duplicates together, and says how the lines fell.
    #[must_use]
    pub fn finish(self) -> (Sorted, Lines) {
        let Self { mut arena, mut starts } = self;
        sort_by_key(&arena, &mut starts);
        starts.dedup_by(|&mut later, &mut kept| {
            let ((later_verbs, flags, later_key), (verbs, _, key)) = (entry(&arena, later), entry(&arena, kept));
            if later_key != key {
                return false;
            }
            let merged =
                Verbs { at: stronger(verbs.at, later_verbs.at), below: stronger(verbs.below, later_verbs.below) };
            let adds = merged != verbs;
            if let Some(octet) = arena.get_mut(kept as usize + 1) {
                *octet = pack(merged);
            }
            if let (false, Some(octet)) = (adds, arena.get_mut(later as usize + 2)) {
                *octet = flags | DUPLICATE;
            }
            true
        });
        starts.shrink_to_fit();
        let lines = count_lines(&arena);
        (Sorted { arena, starts }, lines)
    }
}

/// An entry while it is sorted: the next eight octets of its key, big-endian, in two halves, and its start. In order as it stands.
type Sortable = [u32; 3];

/// Sorts by key, then by place in the file.
///
/// Eight octets at a time are carried beside each start, so that nearly all comparisons stay out of the arena; 12 octets a name while it
/// lasts.
fn sort_by_key(arena: &[u8], starts: &mut Vec<u32>) {
    let mut sortable: Vec<Sortable> =
        std::mem::take(starts).into_iter().map(|start| sortable_at(arena, start, 0)).collect();
    sort_from(arena, &mut sortable, 0);
    starts.extend(sortable.iter().map(|&[.., start]| start));
}

/// Sorts entries whose keys are the same up to `depth`, and whose octets there are at hand.
fn sort_from(arena: &[u8], entries: &mut [Sortable], depth: usize) {
    entries.sort_unstable();
    for run in entries.chunk_by_mut(|[a, b, _], [c, d, _]| (a, b) == (c, d)) {
        // A key that ends here is told from a longer one: behind a whole name comes a length octet, which is never 0.
        let goes_on = |&[.., start]: &Sortable| entry(arena, start).2.len() > depth + 8;
        if run.len() > 1 && run.iter().any(goes_on) {
            for one in run.iter_mut() {
                *one = sortable_at(arena, one[2], depth + 8);
            }
            sort_from(arena, run, depth + 8);
        }
    }
}

/// The entry at `start` with the eight octets of its key from `depth` on, as if zeroes followed it.
fn sortable_at(arena: &[u8], start: u32, depth: usize) -> Sortable {
    let key = entry(arena, start).2.get(depth..).unwrap_or_default();
    let eight = match key.first_chunk::<8>() {
        Some(&eight) => u64::from_be_bytes(eight),
        None => key.iter().chain(&[0; 8]).take(8).fold(0, |word, &octet| word << 8 | u64::from(octet)),
    };
    #[expect(clippy::cast_possible_truncation, reason = "the two halves")]
    let halves = ((eight >> 32) as u32, eight as u32);
    [halves.0, halves.1, start]
}

/// Walks the arena in the order of the file and groups entries by line.
fn count_lines(arena: &[u8]) -> Lines {
    let mut lines = Lines::default();
    let mut rest = arena;
    let mut open = None;
    while let [length, _, flags, tail @ ..] = rest {
        let new = flags & DUPLICATE == 0;
        if flags & SAME_LINE == 0 {
            lines.close(open);
            open = Some(new);
        } else {
            open = Some(open.unwrap_or(false) || new);
        }
        rest = tail.get(usize::from(*length)..).unwrap_or_default();
    }
    lines.close(open);
    lines
}

impl Lines {
    /// Counts a finished line.
    const fn close(&mut self, line: Option<bool>) {
        match line {
            Some(true) => self.used += 1,
            Some(false) => self.duplicate += 1,
            None => {}
        }
    }
}

impl std::fmt::Debug for Entries {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "<{} entries>", self.len())
    }
}

impl std::fmt::Debug for Sorted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "<{} entries>", self.len())
    }
}

impl Sorted {
    /// How many distinct names.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.starts.len()
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.starts.is_empty()
    }

    /// Keys and verbs in key order.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], Verbs)> {
        self.starts.iter().map(|&start| {
            let (verbs, _, key) = entry(&self.arena, start);
            (key, verbs)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_line_is_used_or_a_duplicate() {
        let mut entries = Entries::default();
        let listed = Verbs::subtree(Verb::Listed);
        for (key, verbs, same_line) in [
            (&b"\x01b"[..], listed, false),
            (b"\x01a", listed, false),
            (b"\x01b", listed, false), // duplicate line
            (b"\x01c", listed, false), // one line, two names, the second known
            (b"\x01a", listed, true),
            (b"\x01a", listed, false), // one line, both known
            (b"\x01b", listed, true),
            (b"\x01d", Verbs::exact(Verb::Nxdomain), false), // an RPZ pair: both used
            (b"\x01d", Verbs::below(Verb::Nxdomain), false),
            (b"\x01a", Verbs::subtree(Verb::Cancel), false), // stronger: used
        ] {
            entries.push(key, verbs, same_line).unwrap();
        }
        let (sorted, lines) = entries.finish();
        assert_eq!(lines, Lines { used: 6, duplicate: 2 });
        assert_eq!(
            sorted.iter().collect::<Vec<_>>(),
            [
                (&b"\x01a"[..], Verbs::subtree(Verb::Cancel)),
                (b"\x01b", listed),
                (b"\x01c", listed),
                (b"\x01d", Verbs::subtree(Verb::Nxdomain)),
            ]
        );
    }

    #[test]
    fn keys_of_any_length_and_likeness_are_sorted_as_octets_are() {
        use rand::rngs::StdRng;
        use rand::{RngExt, SeedableRng};
        let mut rng = StdRng::seed_from_u64(5);
        let mut entries = Entries::default();
        let mut want = std::collections::BTreeSet::new();
        for _ in 0..3000 {
            let mut key = Vec::new();
            for _ in 0..rng.random_range(0..6) {
                let label = vec![b'a' + rng.random_range(0..2); rng.random_range(1..12)];
                key.push(u8::try_from(label.len()).unwrap());
                key.extend(label);
            }
            entries.push(&key, Verbs::subtree(Verb::Listed), false).unwrap();
            want.insert(key);
        }
        let (sorted, lines) = entries.finish();
        assert!(sorted.iter().map(|(key, _)| key.to_vec()).eq(want.iter().cloned()));
        assert_eq!((lines.used, lines.used + lines.duplicate), (want.len() as u64, 3000));
    }

    #[test]
    fn an_over_long_key_is_refused() {
        let mut entries = Entries::default();
        assert_eq!(entries.push(&[1; 255], Verbs::exact(Verb::Listed), false), Err(EntriesError::KeyTooLong));
        assert!(entries.is_empty());
        assert_eq!(entries.finish().1, Lines::default());
    }
}
