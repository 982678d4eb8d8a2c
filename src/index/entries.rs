//! [`Entries`]: one feed's accepted entries as they are read, then sorted, each name and each network once.
//!
//! Keys lie end to end in one arena, so memory is the names' own octets plus seven a name. A network is an entry whose key is
//! [`Network`]'s own, told apart by where its start is kept. Duplicates are found by sorting, and told apart by line without keeping line
//! numbers: an entry only knows whether it shares its line with the one before.

use super::arena::{Arena, Fall};
use super::networks::NETWORKS_MAX;
use super::record_sets::{Apart, RECORD_SET_OCTETS_MAX, RECORD_SETS_MAX, RecordSets};
use super::{DataId, Network, Record, Side, Until, Verb, Verbs};

/// Why an entry was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EntriesError {
    /// The arena is full.
    #[error("expected at most 4 GiB of names in a feed, got more")]
    Full,
    /// There are [`NETWORKS_MAX`] networks already.
    #[error("expected at most {NETWORKS_MAX} networks in a feed, got more")]
    Networks,
    /// A record that cannot be answered as it is, or is larger than a set may be.
    #[error("expected a sound record of at most {RECORD_SET_OCTETS_MAX} octets, got another")]
    Record,
    /// There are [`RECORD_SETS_MAX`] distinct sets of records already, or they have [`RECORDS_OCTETS_MAX`](super::RECORDS_OCTETS_MAX).
    #[error("expected at most {RECORD_SETS_MAX} distinct sets of records of usual size in a feed, got more")]
    Records,
    /// A key over 254 octets is no name's.
    #[error("expected a name's key, got one of over 254 octets")]
    KeyTooLong,
}

/// One feed's entries in the order they were read.
#[derive(Default)]
pub struct Entries {
    /// All of them, duplicates included.
    arena: Arena,
    /// Where each name's entry starts in `arena`.
    starts: Vec<u32>,
    /// Where each network's does.
    network_starts: Vec<u32>,
    /// The records that entries are answered with.
    pub(super) sets: RecordSets,
}

/// How a feed's lines with entries fell, and how many entries came of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Lines {
    /// Lines that added something.
    pub used: u64,
    /// Lines whose every entry was there already.
    pub duplicate: u64,
    /// Lines that added nothing since an earlier one says what does not go with it: records beside another action, or beside a CNAME.
    pub conflict: u64,
    /// Lines that added nothing since their name's records would be more than a set may hold.
    pub too_large: u64,
    /// Lines that added nothing since there would be more than [`RECORD_SETS_MAX`] distinct sets of records, or octets of them all.
    pub too_many: u64,
}

/// One feed's entries, sorted by key, each key once.
#[derive(Default)]
pub struct Sorted {
    /// As in [`Entries`].
    arena: Arena,
    /// Where the names' entries that count start, in key order.
    starts: Vec<u32>,
    /// Where the networks' do, in key order.
    network_starts: Vec<u32>,
    /// As in [`Entries`]; some are of no entry that counts.
    pub(super) sets: RecordSets,
}

/// Which of two verbs for one place in one feed stands, and what became of the second: cancelling stands over letting through over the
/// rest; records add up; else the first stands.
fn merge(old: Option<Verb>, new: Option<Verb>, sets: &mut RecordSets) -> (Option<Verb>, Fall) {
    const fn rank(verb: Verb) -> u8 {
        match verb {
            Verb::Cancel => 3,
            Verb::Passthru => 2,
            _ => 1,
        }
    }
    match (old, new) {
        (_, None) => (old, Fall::Duplicate),
        (None, Some(_)) => (new, Fall::Used),
        (Some(Verb::Data(one)), Some(Verb::Data(two))) => match sets.union(one, two) {
            Ok(None) => (old, Fall::Duplicate),
            Ok(Some(both)) => (Some(Verb::Data(both)), Fall::Used),
            Err(Apart::Conflict) => (old, Fall::Conflict),
            Err(Apart::TooLarge) => (old, Fall::TooLarge),
            Err(Apart::TooMany) => (old, Fall::TooMany),
        },
        (Some(one), Some(two)) if rank(two) > rank(one) => (new, Fall::Used),
        (Some(Verb::Data(_)), _) | (_, Some(Verb::Data(_))) => (old, Fall::Conflict),
        _ => (old, Fall::Duplicate),
    }
}

impl Entries {
    /// Takes one name. `same_line`: it stands on the same line as the entry taken before it.
    ///
    /// # Errors
    /// [`EntriesError`].
    pub fn push(&mut self, key: &[u8], verbs: Verbs, same_line: bool) -> Result<(), EntriesError> {
        let start = self.append(key, verbs, same_line)?;
        self.starts.push(start);
        Ok(())
    }

    /// Takes one network, which is wholly of `verb` and enforced until `until`. `same_line` as of [`push`](Self::push).
    ///
    /// # Errors
    /// [`EntriesError`].
    pub fn push_network(
        &mut self,
        side: Side,
        network: Network,
        verb: Verb,
        until: Until,
        same_line: bool,
    ) -> Result<(), EntriesError> {
        self.take_network(side, network, Verbs::exact(verb).until(until), same_line)
    }

    /// As [`push_network`](Self::push_network); the network may be one that nothing is said of.
    pub(super) fn take_network(
        &mut self,
        side: Side,
        network: Network,
        verbs: Verbs,
        same_line: bool,
    ) -> Result<(), EntriesError> {
        if self.network_starts.len() >= NETWORKS_MAX {
            return Err(EntriesError::Networks);
        }
        let start = self.append(&network.key(side), verbs, same_line)?;
        self.network_starts.push(start);
        Ok(())
    }

    /// Appends an entry to the arena and says where it starts.
    fn append(&mut self, key: &[u8], verbs: Verbs, same_line: bool) -> Result<u32, EntriesError> {
        let length = u8::try_from(key.len()).ok().filter(|&length| length < 255).ok_or(EntriesError::KeyTooLong)?;
        self.arena.append(length, key, verbs, same_line).ok_or(EntriesError::Full)
    }

    /// The verb that answers `record`, to be pushed here. What is pushed for one place with several such verbs is answered with all of them.
    ///
    /// # Errors
    /// [`EntriesError::Record`], [`EntriesError::Records`].
    pub fn record(&mut self, record: Record) -> Result<Verb, EntriesError> {
        let sound = RecordSets::single(record).ok_or(EntriesError::Record)?;
        self.sets.intern(&sound).map(Verb::Data).ok_or(EntriesError::Records)
    }

    /// How many were taken, duplicates included.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.starts.len() + self.network_starts.len()
    }

    /// Whether none was taken.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Sorts, folds duplicates together, and says how the lines fell.
    #[must_use]
    pub fn finish(self) -> (Sorted, Lines) {
        let Self { mut arena, mut starts, mut network_starts, mut sets } = self;
        for starts in [&mut starts, &mut network_starts] {
            arena.sort(starts);
            fold_duplicates(&mut arena, starts, &mut sets);
            starts.shrink_to_fit();
        }
        let lines = count_lines(&arena);
        (Sorted { arena, starts, network_starts, sets: sets.closed() }, lines)
    }
}

/// Leaves one of each key's entries, which are next to each other in `starts` in the order of the file, with what all of them say, until the
/// last of them ends.
fn fold_duplicates(arena: &mut Arena, starts: &mut Vec<u32>, sets: &mut RecordSets) {
    starts.dedup_by(|&mut later, kept| {
        if arena.key(later) != arena.key(*kept) {
            sets.settle();
            return false;
        }
        let ((_, new), (_, old)) = (arena.entry(later), arena.entry(*kept));
        let ((at, at_fall), (below, below_fall)) = (merge(old.at, new.at, sets), merge(old.below, new.below, sets));
        let merged = Verbs { at, below, until: old.until.max(new.until) };
        // Records are of one of the two, which then has room for them.
        if !arena.overwrite(*kept, merged) {
            arena.overwrite(later, merged);
            *kept = later;
        }
        let fall = match at_fall.max(below_fall) {
            Fall::Duplicate if new.until > old.until => Fall::Used,
            fall => fall,
        };
        arena.mark(later, fall);
        true
    });
}

/// Groups entries by line.
fn count_lines(arena: &Arena) -> Lines {
    let mut lines = Lines::default();
    let mut open = None;
    for (fall, same_line) in arena.falls() {
        if same_line {
            open = open.max(Some(fall));
        } else {
            lines.close(open);
            open = Some(fall);
        }
    }
    lines.close(open);
    lines
}

impl Lines {
    /// Counts a finished line.
    const fn close(&mut self, line: Option<Fall>) {
        match line {
            Some(Fall::Used) => self.used += 1,
            Some(Fall::Duplicate) => self.duplicate += 1,
            Some(Fall::Conflict) => self.conflict += 1,
            Some(Fall::TooLarge) => self.too_large += 1,
            Some(Fall::TooMany) => self.too_many += 1,
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
    /// How many distinct names and networks.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.starts.len() + self.network_starts.len()
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many distinct names.
    #[must_use]
    pub const fn names(&self) -> usize {
        self.starts.len()
    }

    /// Networks and their verbs: by side, the longest first, then by address.
    pub fn networks(&self) -> impl Iterator<Item = (Side, Network, Verbs)> {
        self.network_starts.iter().filter_map(|&start| {
            let (key, verbs) = self.arena.entry(start);
            Network::from_key(key).map(|(side, network)| (side, network, verbs))
        })
    }

    /// What a [`Verb::Data`] of these entries is answered with.
    #[must_use]
    pub fn records(&self, id: DataId) -> &[Record] {
        self.sets.get(id)
    }

    /// Names' keys and verbs in key order.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], Verbs)> {
        self.starts.iter().map(|&start| self.arena.entry(start))
    }

    /// What the name of `key` says; a binary search.
    #[must_use]
    pub fn get(&self, key: &[u8]) -> Option<Verbs> {
        let place = self.starts.binary_search_by(|&start| self.arena.key(start).cmp(key)).ok()?;
        self.starts.get(place).map(|&start| self.arena.entry(start).1)
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
        assert_eq!(lines, Lines { used: 6, duplicate: 2, ..Lines::default() });
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
    fn networks_are_counted_by_line_and_sorted_apart_from_names() {
        let network = |last: u8, prefix_len| Network::of([192, 0, 2, last].into(), prefix_len).unwrap();
        let mut entries = Entries::default();
        entries.push_network(Side::Answer, network(0, 24), Verb::Drop, Until::NEVER, false).unwrap();
        entries.push(b"\x01a", Verbs::exact(Verb::Nxdomain), false).unwrap();
        for (side, network, verb, same_line) in [
            (Side::Answer, network(7, 32), Verb::Nodata, false),
            (Side::Client, network(0, 24), Verb::Nodata, false), // the other side
            (Side::Answer, network(0, 24), Verb::Drop, false),   // duplicate
            (Side::Answer, network(0, 25), Verb::Nodata, true),  // on the duplicate's line: the line is used
            (Side::Answer, network(0, 24), Verb::Nxdomain, false), // the first stands
            (Side::Client, network(0, 24), Verb::Passthru, false), // stronger
        ] {
            entries.push_network(side, network, verb, Until::NEVER, same_line).unwrap();
        }
        let (sorted, lines) = entries.finish();
        assert_eq!(lines, Lines { used: 6, duplicate: 1, ..Lines::default() });
        assert_eq!((sorted.len(), sorted.names()), (5, 1));
        let want = [
            (Side::Client, network(0, 24), Verbs::exact(Verb::Passthru)),
            (Side::Answer, network(7, 32), Verbs::exact(Verb::Nodata)),
            (Side::Answer, network(0, 25), Verbs::exact(Verb::Nodata)),
            (Side::Answer, network(0, 24), Verbs::exact(Verb::Drop)),
        ];
        assert!(sorted.networks().eq(want));
    }

    #[test]
    fn more_sets_of_records_than_there_may_be_are_told_apart_from_large_ones() {
        let record = |number: u32| Record { rtype: 1, ttl_secs: 60, rdata: number.to_be_bytes().into() };
        let mut entries = Entries::default();
        for number in 0..u32::try_from(RECORD_SETS_MAX).unwrap() {
            let verb = entries.record(record(number)).unwrap();
            if number < 2 {
                entries.push(b"\x01a", Verbs::exact(verb), false).unwrap();
            }
        }
        assert_eq!(entries.record(record(u32::MAX)), Err(EntriesError::Records));
        assert_eq!(entries.finish().1, Lines { used: 1, too_many: 1, ..Lines::default() });
    }

    #[test]
    fn records_add_up_beside_what_goes_with_them() {
        type Place = fn(Verb) -> Verbs;
        let address = |last| Record { rtype: 1, ttl_secs: 60, rdata: [192, 0, 2, last].into() };
        let alias = |label: u8| Record { rtype: 5, ttl_secs: 60, rdata: [1, label, 0].into() };
        let text = |octets: usize| Record { rtype: 16, ttl_secs: 60, rdata: vec![0; octets].into() };
        let (at, below): (Place, Place) = (Verbs::exact, Verbs::below);
        let mut entries = Entries::default();
        let mut push = |key: &[u8], place: Place, verb: Result<Verb, Record>| {
            let verb = verb.unwrap_or_else(|record| entries.record(record).unwrap());
            entries.push(key, place(verb), false).unwrap();
        };
        push(b"\x01a", at, Err(address(2)));
        push(b"\x01b", at, Ok(Verb::Nxdomain));
        push(b"\x01a", below, Err(address(3)));
        push(b"\x01a", at, Err(address(1)));
        push(b"\x01a", at, Err(address(2))); // duplicate
        push(b"\x01a", at, Err(alias(b'x'))); // conflict
        push(b"\x01a", at, Ok(Verb::Nxdomain)); // conflict
        push(b"\x01b", at, Err(address(2))); // conflict
        push(b"\x01b", below, Err(address(3))); // the entry without room
        push(b"\x01c", at, Err(alias(b'x')));
        push(b"\x01c", at, Err(alias(b'x'))); // duplicate
        push(b"\x01c", at, Err(alias(b'y'))); // conflict
        push(b"\x01d", at, Err(address(2)));
        push(b"\x01d", at, Ok(Verb::Passthru)); // stronger
        push(b"\x01d", at, Err(address(2))); // conflict
        push(b"\x01e", at, Err(text(4000)));
        push(b"\x01e", at, Err(text(500))); // too large
        push(b"\x01f", at, Ok(Verb::Drop));
        let network = Network::of([192, 0, 2, 0].into(), 24).unwrap();
        for last in [1, 2, 1] {
            let verb = entries.record(address(last)).unwrap();
            entries.push_network(Side::Answer, network, verb, Until::NEVER, false).unwrap();
        }
        let (sorted, lines) = entries.finish();
        assert_eq!(lines, Lines { used: 12, duplicate: 3, conflict: 5, too_large: 1, too_many: 0 });
        let shown = |verb: Option<Verb>| match verb {
            Some(Verb::Data(id)) => sorted
                .records(id)
                .iter()
                .map(|record| format!("{}", record.rdata.last().unwrap()))
                .collect::<Vec<_>>()
                .join(" "),
            other => format!("{other:?}"),
        };
        let names: Vec<_> = sorted.iter().map(|(_, verbs)| [shown(verbs.at), shown(verbs.below)].join(" | ")).collect();
        assert_eq!(
            names,
            ["1 2 | 3", "Some(Nxdomain) | 3", "0 | None", "Some(Passthru) | None", "0 | None", "Some(Drop) | None"]
        );
        assert_eq!(sorted.networks().map(|(.., verbs)| shown(verbs.at)).collect::<Vec<_>>(), ["1 2"]);
    }

    #[test]
    fn of_one_key_the_latest_end_stands() {
        let listed = Verbs::subtree(Verb::Listed);
        let [early, late] = [1, 2].map(|hour| Until::from_secs(hour * 3600));
        let mut entries = Entries::default();
        let verb = entries.record(Record { rtype: 16, ttl_secs: 60, rdata: b"\x01x"[..].into() }).unwrap();
        let records = Verbs::below(verb);
        for (key, verbs) in [
            (&b"\x01a"[..], listed.until(early)),
            (b"\x01a", listed.until(late)),                        // later: used
            (b"\x01a", listed.until(early)),                       // duplicate
            (b"\x01b", listed),                                    // without room for an end
            (b"\x01b", listed.until(late)),                        // duplicate
            (b"\x01c", listed.until(early)),                       // with room, and in the end none
            (b"\x01c", listed),                                    // used
            (b"\x01d", Verbs::exact(Verb::Nxdomain).until(early)), // without room for records
            (b"\x01d", records.until(late)),                       // used
            (b"\x01e", Verbs::exact(Verb::Nxdomain).until(early)),
            (b"\x01e", records), // used
            (b"\x01f", Verbs::exact(Verb::Nxdomain)),
            (b"\x01f", records.until(late)), // used
            (b"\x01g", Verbs::exact(Verb::Nxdomain).until(early)),
            (b"\x01g", Verbs::exact(verb).until(late)), // conflict, and all the same the later end stands
            (b"\x01h", Verbs::exact(Verb::Listed).until(late)),
            (b"\x01h", Verbs::exact(Verb::Cancel).until(early)), // stronger, and the later end stands
        ] {
            entries.push(key, verbs, false).unwrap();
        }
        let network = Network::of([192, 0, 2, 0].into(), 24).unwrap();
        for until in [early, late] {
            entries.push_network(Side::Answer, network, Verb::Drop, until, false).unwrap();
        }
        let (sorted, lines) = entries.finish();
        assert_eq!(lines, Lines { used: 16, duplicate: 2, conflict: 1, ..Lines::default() });
        let both = Verbs { at: Some(Verb::Nxdomain), ..records };
        let want = [
            (&b"\x01a"[..], listed.until(late)),
            (b"\x01b", listed),
            (b"\x01c", listed),
            (b"\x01d", both.until(late)),
            (b"\x01e", both),
            (b"\x01f", both),
            (b"\x01g", Verbs::exact(Verb::Nxdomain).until(late)),
            (b"\x01h", Verbs::exact(Verb::Cancel).until(late)),
        ];
        assert_eq!(sorted.iter().collect::<Vec<_>>(), want);
        assert!(sorted.networks().eq([(Side::Answer, network, Verbs::exact(Verb::Drop).until(late))]));
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
