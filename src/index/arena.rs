//! [`Arena`]: entries end to end, as [`Entries`](super::Entries) takes them, and their order by key.
//!
//! An entry takes three octets and its key's own, and more only if it says more: eight if it has records, four if it ends.

use super::{DataId, Until, Verb, Verbs};

/// The most octets entries may take (offsets are 32 bits): 4 GiB is some 150 million names.
const ARENA_OCTETS_MAX: usize = u32::MAX as usize - 512;

/// This entry stands on the same line as the one before it.
const SAME_LINE: u8 = 1;
/// Sorting found this entry to add nothing.
const DUPLICATE: u8 = 2;
/// Sorting found this entry to say what cannot be said beside an earlier one.
const CONFLICT: u8 = 4;
/// Sorting found this entry's record to be more than its name may have.
const TOO_LARGE: u8 = 8;
/// This entry has [`SETS_OCTETS`] behind its key.
const HAS_SETS: u8 = 16;
/// This entry has [`UNTIL_OCTETS`] behind its key and its sets.
const HAS_UNTIL: u8 = 32;
/// Sorting found this entry's record to make one set of records too many.
const TOO_MANY: u8 = 64;
/// Octets for records: the number of the set for the name, and of that for what is below.
const SETS_OCTETS: usize = 8;
/// Octets for until when it is enforced.
const UNTIL_OCTETS: usize = 4;

/// What an entry came to beside an earlier one of its key; of several, the greatest counts for their line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Fall {
    /// It adds nothing.
    Duplicate,
    /// Its record is one set too many.
    TooMany,
    /// Its record is too much.
    TooLarge,
    /// It does not go with the earlier one.
    Conflict,
    /// It adds something.
    Used,
}

/// Entries in the order they were taken.
#[derive(Default)]
pub(super) struct Arena {
    /// `[length, verbs, flags, key…]` for each entry; then its sets, then until when, if it has them.
    octets: Vec<u8>,
}

/// Two verbs in one octet.
fn pack(verbs: Verbs) -> u8 {
    let number = |verb: Option<Verb>| verb.map_or(0, Verb::number);
    number(verbs.at) << 4 | number(verbs.below)
}

/// Whether one of the verbs is answered with records.
fn has_records(verbs: Verbs) -> bool {
    [verbs.at, verbs.below].into_iter().flatten().any(|verb| verb.data().is_some())
}

/// The numbers of both places' sets.
fn pack_sets(verbs: Verbs) -> impl Iterator<Item = u8> {
    let number = |verb: Option<Verb>| verb.and_then(Verb::data).map_or(0, DataId::number).to_be_bytes();
    number(verbs.at).into_iter().chain(number(verbs.below))
}

/// Octets behind the key of an entry with these flags: for its sets, and for until when.
const fn room(flags: u8) -> (usize, usize) {
    (if flags & HAS_SETS == 0 { 0 } else { SETS_OCTETS }, if flags & HAS_UNTIL == 0 { 0 } else { UNTIL_OCTETS })
}

/// The reverse of [`pack`], with what stands behind the key.
fn unpack(octet: u8, flags: u8, behind: &[u8]) -> Verbs {
    let (sets, until) = behind.split_at_checked(room(flags).0).unwrap_or_default();
    let (at, below) = match sets.first_chunk::<SETS_OCTETS>() {
        Some(&[a, b, c, d, e, f, g, h]) => (u32::from_be_bytes([a, b, c, d]), u32::from_be_bytes([e, f, g, h])),
        None => (0, 0),
    };
    let until = match until.first_chunk::<UNTIL_OCTETS>() {
        Some(&number) if flags & HAS_UNTIL != 0 => Until::of(u32::from_be_bytes(number)),
        _ => Until::NEVER,
    };
    Verbs { at: Verb::from_number(octet >> 4, at), below: Verb::from_number(octet & 15, below), until }
}

impl Arena {
    /// Appends an entry and says where it starts; `None` when the arena is full.
    pub(super) fn append(&mut self, length: u8, key: &[u8], verbs: Verbs, same_line: bool) -> Option<u32> {
        if self.octets.len() > ARENA_OCTETS_MAX {
            return None;
        }
        let start = u32::try_from(self.octets.len()).ok()?;
        let sets = if has_records(verbs) { HAS_SETS } else { 0 };
        let until = if verbs.until == Until::NEVER { 0 } else { HAS_UNTIL };
        let line = if same_line { SAME_LINE } else { 0 };
        self.octets.extend_from_slice(&[length, pack(verbs), sets | until | line]);
        self.octets.extend_from_slice(key);
        if sets != 0 {
            self.octets.extend(pack_sets(verbs));
        }
        if until != 0 {
            self.octets.extend_from_slice(&verbs.until.number().to_be_bytes());
        }
        Some(start)
    }

    /// The entry at `start`: its key and its verbs.
    pub(super) fn entry(&self, start: u32) -> (&[u8], Verbs) {
        match self.octets.get(start as usize..) {
            Some([length, verbs, flags, rest @ ..]) => {
                let (key, behind) = rest.split_at_checked(usize::from(*length)).unwrap_or_default();
                (key, unpack(*verbs, *flags, behind))
            }
            _ => (&[], Verbs::SILENT),
        }
    }

    /// The key of the entry at `start`.
    pub(super) fn key(&self, start: u32) -> &[u8] {
        match self.octets.get(start as usize..) {
            Some([length, _, _, rest @ ..]) => rest.get(..usize::from(*length)).unwrap_or_default(),
            _ => &[],
        }
    }

    /// Writes verbs over those of the entry at `start`; `false`, and nothing is written, if it lacks room for their sets. An entry without
    /// room for until when is never given one: merged with any other it still has no end.
    pub(super) fn overwrite(&mut self, start: u32, verbs: Verbs) -> bool {
        let Some([length, packed, flags, rest @ ..]) = self.octets.get_mut(start as usize..) else { return false };
        let (sets_octets, until_octets) = room(*flags);
        if sets_octets == 0 && has_records(verbs) {
            return false;
        }
        let behind = rest.get_mut(usize::from(*length)..).unwrap_or_default();
        let (sets, until) = behind.split_at_mut_checked(sets_octets).unwrap_or_default();
        sets.iter_mut().zip(pack_sets(verbs)).for_each(|(slot, octet)| *slot = octet);
        let number = verbs.until.number().to_be_bytes();
        until.iter_mut().take(until_octets).zip(number).for_each(|(slot, octet)| *slot = octet);
        *packed = pack(verbs);
        true
    }

    /// Marks the entry at `start` with how it fell.
    pub(super) fn mark(&mut self, start: u32, fall: Fall) {
        let mark = match fall {
            Fall::Used => 0,
            Fall::Duplicate => DUPLICATE,
            Fall::Conflict => CONFLICT,
            Fall::TooLarge => TOO_LARGE,
            Fall::TooMany => TOO_MANY,
        };
        if let Some([_, _, flags, ..]) = self.octets.get_mut(start as usize..) {
            *flags |= mark;
        }
    }

    /// In the order they were taken, how each entry fell, and whether it stands on the line of the one before.
    pub(super) fn falls(&self) -> impl Iterator<Item = (Fall, bool)> {
        let mut rest = self.octets.as_slice();
        std::iter::from_fn(move || {
            let [length, _, flags, tail @ ..] = rest else { return None };
            let fall = match flags & (DUPLICATE | CONFLICT | TOO_LARGE | TOO_MANY) {
                0 => Fall::Used,
                DUPLICATE => Fall::Duplicate,
                CONFLICT => Fall::Conflict,
                TOO_LARGE => Fall::TooLarge,
                _ => Fall::TooMany,
            };
            let (sets, until) = room(*flags);
            rest = tail.get(usize::from(*length) + sets + until..).unwrap_or_default();
            Some((fall, flags & SAME_LINE != 0))
        })
    }

    /// Sorts starts by key, then by place.
    ///
    /// Eight octets at a time are carried beside each start, so that nearly all comparisons stay out of the arena; 12 octets a name while it
    /// lasts.
    pub(super) fn sort(&self, starts: &mut Vec<u32>) {
        let mut sortable: Vec<Sortable> =
            std::mem::take(starts).into_iter().map(|start| self.sortable(start, 0)).collect();
        self.sort_from(&mut sortable, 0);
        starts.extend(sortable.iter().map(|&[.., start]| start));
    }

    /// Sorts entries whose keys are the same up to `depth`, and whose octets there are at hand.
    fn sort_from(&self, entries: &mut [Sortable], depth: usize) {
        entries.sort_unstable();
        for run in entries.chunk_by_mut(|[a, b, _], [c, d, _]| (a, b) == (c, d)) {
            // A key that ends here is told from a longer one: behind a whole name comes a length octet, which is never 0.
            let goes_on = |&[.., start]: &Sortable| self.key(start).len() > depth + 8;
            if run.len() > 1 && run.iter().any(goes_on) {
                for one in run.iter_mut() {
                    *one = self.sortable(one[2], depth + 8);
                }
                self.sort_from(run, depth + 8);
            }
        }
    }

    /// The entry at `start` with the eight octets of its key from `depth` on, as if zeroes followed it.
    fn sortable(&self, start: u32, depth: usize) -> Sortable {
        let key = self.key(start).get(depth..).unwrap_or_default();
        let eight = match key.first_chunk::<8>() {
            Some(&eight) => u64::from_be_bytes(eight),
            None => key.iter().chain(&[0; 8]).take(8).fold(0, |word, &octet| word << 8 | u64::from(octet)),
        };
        #[expect(clippy::cast_possible_truncation, reason = "the two halves")]
        let halves = ((eight >> 32) as u32, eight as u32);
        [halves.0, halves.1, start]
    }
}

/// An entry while it is sorted: the next eight octets of its key, big-endian, in two halves, and its start. In order as it stands.
type Sortable = [u32; 3];
