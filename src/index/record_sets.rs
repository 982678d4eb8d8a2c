//! [`RecordSets`]: the distinct sets of records that entries are answered with.
//!
//! A million names with one address share one set. A set is sorted by type, then by data, holds each record once, and one TTL a type
//! (RFC 2181 §5.2). A CNAME stands alone (RFC 1034 §3.6.2). Finding a set costs a hash of its octets.

use std::collections::HashMap;
use std::sync::Arc;

use super::Record;
use crate::name::NameRef;

/// The most octets of one set as records of an answer: what answers over UDP were made for at most (RFC 6891 §6.2.5), and far from what
/// TCP carries.
pub const RECORD_SET_OCTETS_MAX: usize = 4096;
/// The most distinct sets of an index, and of a feed: a site's every host with an address of its own (a guess).
pub const RECORD_SETS_MAX: usize = 1 << 18;
/// The most octets of all of them as records of answers: 256 for each of the most there may be. In memory a record takes some 40 more.
pub const RECORDS_OCTETS_MAX: usize = RECORD_SETS_MAX * 256;
/// The longest TTL, seconds: a day, so that a name taken off a list is free of it the day after.
pub const RECORD_TTL_SECS_MAX: u32 = 86_400;
/// Octets of a record beside its data: a pointer to its owner, type, class, TTL, length.
const RECORD_FRONT_OCTETS: usize = 12;
/// The types with rules of their own here (RFC 1035 §3.2.2, RFC 3596).
const A: u16 = 1;
/// As above.
const CNAME: u16 = 5;
/// As above.
const AAAA: u16 = 28;
/// OPT, a message's and no name's (RFC 6891 §6.1.1).
const OPT: u16 = 41;

/// A set's number, meaningful to who gave it out: an [`Entries`](super::Entries), or an [`Index`](super::Index).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DataId(u32);

impl DataId {
    /// Its number.
    pub(super) const fn number(self) -> u32 {
        self.0
    }

    /// The set with this number.
    pub(super) const fn of(number: u32) -> Self {
        Self(number)
    }
}

/// Why two sets do not make one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Apart {
    /// A CNAME and other data.
    Conflict,
    /// Too many octets of one set.
    TooLarge,
    /// Too many sets, or octets of them all.
    TooMany,
}

/// Distinct sets, by number.
#[derive(Default)]
pub(super) struct RecordSets {
    /// Each is sound.
    sets: Vec<Arc<[Record]>>,
    /// Where each is; empty once nothing more is to be found.
    numbers: HashMap<Arc<[Record]>, u32>,
    /// Octets of them all; at most [`RECORDS_OCTETS_MAX`].
    octets: usize,
    /// The last of `sets`, if only the entry at hand has it: it makes room for what that entry's records become.
    partial: Option<DataId>,
}

impl RecordSets {
    /// The set with this number; none for a number that is not from here.
    pub(super) fn get(&self, id: DataId) -> &[Record] {
        self.shared(id).map_or(&[], |set| set)
    }

    /// The same, to be kept.
    fn shared(&self, id: DataId) -> Option<&Arc<[Record]>> {
        usize::try_from(id.0).ok().and_then(|number| self.sets.get(number))
    }

    /// How many there are.
    pub(super) const fn len(&self) -> usize {
        self.sets.len()
    }

    /// Octets they take in an answer.
    pub(super) const fn bytes(&self) -> usize {
        self.octets
    }

    /// The entry at hand is another one: what was added belongs to the one before.
    pub(super) const fn settle(&mut self) {
        self.partial = None;
    }

    /// The set of this one record; `None` if it is not sound.
    pub(super) fn single(record: Record) -> Option<[Record; 1]> {
        let set = [record];
        is_sound(&set).then_some(set)
    }

    /// The number here of another table's set.
    pub(super) fn adopt(&mut self, other: &Self, id: DataId) -> Option<DataId> {
        let set = other.shared(id)?;
        match self.numbers.get(set) {
            Some(&number) => Some(DataId(number)),
            None => self.add(Arc::clone(set)),
        }
    }

    /// The number of both sets' union, which may be the first's number anew; `None` if the first has all records already. Of two TTLs of one
    /// type, the first set's stands.
    pub(super) fn union(&mut self, first: DataId, second: DataId) -> Result<Option<DataId>, Apart> {
        let (one, two) = (self.get(first), self.get(second));
        let mut both = one.to_vec();
        for record in two.iter().filter(|record| !one.iter().any(|known| same(known, record))) {
            let ttl = one.iter().find(|known| known.rtype == record.rtype).map(|known| known.ttl_secs);
            both.push(Record { ttl_secs: ttl.unwrap_or(record.ttl_secs), ..record.clone() });
        }
        if both.len() == one.len() {
            return Ok(None);
        }
        if both.len() > 1 && both.iter().any(|record| record.rtype == CNAME) {
            return Err(Apart::Conflict);
        }
        both.sort_unstable_by(|a, b| order(a).cmp(&order(b)));
        if octets(&both) > RECORD_SET_OCTETS_MAX {
            return Err(Apart::TooLarge);
        }
        if let Some(&number) = self.numbers.get(both.as_slice()) {
            let known = DataId(number);
            self.partial = self.partial.filter(|&partial| partial != known);
            return Ok(Some(known));
        }
        self.replace(first, both.into()).map(Some).ok_or(Apart::TooMany)
    }

    /// Adds a set that is not here yet, in place of `first` if nothing else has that.
    fn replace(&mut self, first: DataId, set: Arc<[Record]>) -> Option<DataId> {
        let replaced = self.sets.last().filter(|_| self.partial == Some(first)).map(Arc::clone);
        let freed = replaced.as_ref().map_or(0, |set| octets(set));
        if self.octets + octets(&set) > RECORDS_OCTETS_MAX + freed {
            return None;
        }
        if let Some(replaced) = replaced {
            self.sets.pop();
            self.numbers.remove(&replaced);
            self.octets -= freed;
        }
        let added = self.add(set)?;
        self.partial = Some(added);
        Some(added)
    }

    /// The number of a sound set; `None` when there are too many.
    pub(super) fn intern(&mut self, set: &[Record]) -> Option<DataId> {
        match self.numbers.get(set) {
            Some(&number) => Some(DataId(number)),
            None => self.add(set.into()),
        }
    }

    /// Adds a set that is not here yet.
    fn add(&mut self, set: Arc<[Record]>) -> Option<DataId> {
        let total = self.octets + octets(&set);
        let number = u32::try_from(self.sets.len()).ok().filter(|_| self.sets.len() < RECORD_SETS_MAX)?;
        if total > RECORDS_OCTETS_MAX {
            return None;
        }
        self.octets = total;
        self.sets.push(Arc::clone(&set));
        self.numbers.insert(set, number);
        Some(DataId(number))
    }

    /// The same, in which no set is looked for any more: for an index, which is read.
    pub(super) fn closed(self) -> Self {
        Self { sets: self.sets, numbers: HashMap::new(), octets: self.octets, partial: None }
    }

    /// The RECORDS section: a count, then for each set a count (u16) of records: type (u16), TTL (u32), length (u16), data.
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut octets = u32::try_from(self.sets.len()).unwrap_or(u32::MAX).to_be_bytes().to_vec();
        let length = |length: usize| u16::try_from(length).unwrap_or(u16::MAX).to_be_bytes();
        for set in &self.sets {
            octets.extend_from_slice(&length(set.len()));
            for record in set.iter() {
                octets.extend_from_slice(&record.rtype.to_be_bytes());
                octets.extend_from_slice(&record.ttl_secs.to_be_bytes());
                octets.extend_from_slice(&length(record.rdata.len()));
                octets.extend_from_slice(&record.rdata);
            }
        }
        octets
    }

    /// The reverse of [`encode`](Self::encode); `None` if the octets are not sound sets, each once.
    pub(super) fn decode(octets: &[u8]) -> Option<Self> {
        let (count, mut rest) = octets.split_first_chunk::<4>()?;
        let mut sets = Self::default();
        for _ in 0..u32::from_be_bytes(*count) {
            let (records, tail) = rest.split_first_chunk::<2>()?;
            rest = tail;
            let mut set = Vec::new();
            for _ in 0..u16::from_be_bytes(*records) {
                let (rtype, tail) = rest.split_first_chunk::<2>()?;
                let (ttl, tail) = tail.split_first_chunk::<4>()?;
                let (length, tail) = tail.split_first_chunk::<2>()?;
                let (rdata, tail) = tail.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
                rest = tail;
                let (rtype, ttl_secs) = (u16::from_be_bytes(*rtype), u32::from_be_bytes(*ttl));
                set.push(Record { rtype, ttl_secs, rdata: rdata.into() });
            }
            if !is_sound(&set) || sets.numbers.contains_key(set.as_slice()) {
                return None;
            }
            sets.add(set.into())?;
        }
        rest.is_empty().then(|| sets.closed())
    }
}

/// What a record is sorted by.
fn order(record: &Record) -> (u16, &[u8]) {
    (record.rtype, &record.rdata)
}

/// Whether two records differ in nothing but their TTLs.
fn same(one: &Record, two: &Record) -> bool {
    order(one) == order(two)
}

/// Octets of a set in an answer.
fn octets(set: &[Record]) -> usize {
    set.iter().map(|record| RECORD_FRONT_OCTETS + record.rdata.len()).sum()
}

/// Whether a set is one that can be answered as it is: not empty, in order, each record once, one TTL a type, a CNAME alone, within every
/// maximum.
fn is_sound(set: &[Record]) -> bool {
    let pairs = || set.iter().zip(set.iter().skip(1));
    !set.is_empty()
        && set.iter().all(is_sound_record)
        && pairs().all(|(one, two)| order(one) < order(two))
        && pairs().all(|(one, two)| one.rtype != two.rtype || one.ttl_secs == two.ttl_secs)
        && (set.len() == 1 || set.iter().all(|record| record.rtype != CNAME))
        && octets(set) <= RECORD_SET_OCTETS_MAX
}

/// Whether a record's type is one that names have, and its data are what we read of that type.
fn is_sound_record(record: &Record) -> bool {
    let fits = match record.rtype {
        A => record.rdata.len() == 4,
        AAAA => record.rdata.len() == 16,
        // The root is how RPZ says NXDOMAIN; as a target it answers nobody.
        CNAME => {
            NameRef::read(&record.rdata).is_ok_and(|name| name.wire().len() == record.rdata.len() && name.labels() > 0)
        }
        // RFC 6895 §3.1: 128 to 255 are for queries and meta-records, 0 is reserved.
        0 | OPT | 128..=255 => false,
        _ => true,
    };
    fits && record.ttl_secs <= RECORD_TTL_SECS_MAX
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(rtype: u16, ttl_secs: u32, rdata: &[u8]) -> Record {
        Record { rtype, ttl_secs, rdata: rdata.into() }
    }

    fn single(sets: &mut RecordSets, record: Record) -> Option<DataId> {
        RecordSets::single(record).and_then(|set| sets.intern(&set))
    }

    #[test]
    fn sets_add_up_and_equal_ones_are_one() {
        let mut sets = RecordSets::default();
        let one = single(&mut sets, record(A, 60, &[192, 0, 2, 2])).unwrap();
        let two = single(&mut sets, record(A, 30, &[192, 0, 2, 1])).unwrap();
        let text = single(&mut sets, record(16, 5, b"\x01x")).unwrap();
        let alias = single(&mut sets, record(CNAME, 5, b"\x01a\0")).unwrap();
        assert_eq!(single(&mut sets, record(A, 60, &[192, 0, 2, 2])), Some(one));
        let pair = sets.union(one, two).unwrap().unwrap();
        sets.settle();
        assert_eq!(sets.get(pair), [record(A, 60, &[192, 0, 2, 1]), record(A, 60, &[192, 0, 2, 2])], "the first TTL");
        assert_eq!(sets.union(pair, one), Ok(None), "nothing new");
        let three = sets.union(pair, text).unwrap().unwrap();
        let swapped = sets.union(text, pair).unwrap().unwrap();
        assert_eq!((three, sets.get(three).len()), (swapped, 3));
        assert_eq!(sets.union(alias, alias), Ok(None));
        assert_eq!(sets.union(alias, one), Err(Apart::Conflict));
        assert_eq!(sets.union(one, alias), Err(Apart::Conflict));
        let other = single(&mut sets, record(CNAME, 5, b"\x01b\0")).unwrap();
        assert_eq!(sets.union(alias, other), Err(Apart::Conflict));
        assert!(sets.get(DataId(99)).is_empty());
    }

    #[test]
    fn what_a_set_was_on_the_way_is_not_kept() {
        let mut sets = RecordSets::default();
        let singles: Vec<_> =
            (0..100).map(|last| single(&mut sets, record(A, 60, &[192, 0, 2, last])).unwrap()).collect();
        let all = |sets: &mut RecordSets, count: usize| {
            sets.settle();
            singles[1..count].iter().fold(singles[0], |one, &two| sets.union(one, two).unwrap().unwrap())
        };
        let ten = all(&mut sets, 10);
        assert_eq!((sets.len(), sets.get(ten).len()), (101, 10));
        assert_eq!(all(&mut sets, 10), ten, "found again");
        let twenty = all(&mut sets, 20);
        assert_eq!((sets.get(ten).len(), sets.get(twenty).len()), (10, 20), "the first entry's stays");
        let fifty = all(&mut sets, 50);
        assert_eq!((sets.get(ten).len(), sets.get(twenty).len(), sets.get(fifty).len()), (10, 20, 50));
        assert_eq!(sets.bytes(), sets.sets.iter().map(|set| octets(set)).sum::<usize>());
    }

    #[test]
    fn a_set_of_two_places_is_not_replaced_in_one() {
        let mut sets = RecordSets::default();
        let [a, b, c] = [1, 2, 3].map(|last| single(&mut sets, record(A, 60, &[192, 0, 2, last])).unwrap());
        let at = sets.union(a, b).unwrap().unwrap();
        let below = sets.union(b, a).unwrap().unwrap();
        let more = sets.union(below, c).unwrap().unwrap();
        assert_eq!((at, sets.get(at).len(), sets.get(more).len()), (below, 2, 3));
    }

    #[test]
    fn a_set_has_a_maximum() {
        let mut sets = RecordSets::default();
        let room = RECORD_SET_OCTETS_MAX - RECORD_FRONT_OCTETS;
        assert!(single(&mut sets, record(16, 0, &vec![0; room + 1])).is_none());
        let full = single(&mut sets, record(16, 0, &vec![0; room])).unwrap();
        let small = single(&mut sets, record(A, 0, &[0; 4])).unwrap();
        assert_eq!(sets.union(full, small), Err(Apart::TooLarge));
    }

    #[test]
    fn sets_survive_the_artifact() {
        let mut sets = RecordSets::default();
        let one = single(&mut sets, record(A, 60, &[192, 0, 2, 2])).unwrap();
        let two = single(&mut sets, record(65_280, 5, b"")).unwrap();
        sets.union(one, two).unwrap();
        single(&mut sets, record(CNAME, 5, b"\x01*\x06garden\0")).unwrap();
        let octets = sets.encode();
        let decoded = RecordSets::decode(&octets).unwrap();
        assert_eq!(decoded.sets, sets.sets);
        for cut in 0..octets.len() {
            assert!(RecordSets::decode(&octets[..cut]).is_none(), "cut at {cut}");
        }
    }

    #[test]
    fn what_is_not_sound_is_refused() {
        let address = |last| record(A, 60, &[192, 0, 2, last]);
        for (what, set, good) in [
            ("one", vec![address(1)], true),
            ("none", vec![], false),
            ("unsorted", vec![address(2), address(1)], false),
            ("twice", vec![address(1), address(1)], false),
            ("two TTLs", vec![address(1), record(A, 61, &[192, 0, 2, 2])], false),
            ("a long TTL", vec![record(A, RECORD_TTL_SECS_MAX + 1, &[0; 4])], false),
            ("a short address", vec![record(A, 0, &[0; 3])], false),
            ("a long address", vec![record(AAAA, 0, &[0; 17])], false),
            ("an alias", vec![record(CNAME, 0, b"\x01*\x01a\0")], true),
            ("an alias and more", vec![address(1), record(CNAME, 60, b"\x01a\0")], false),
            ("the root", vec![record(CNAME, 0, b"\0")], false),
            ("a compressed name", vec![record(CNAME, 0, b"\x01a\xc0\0")], false),
            ("a name cut short", vec![record(CNAME, 0, b"\x01a")], false),
            ("more than a name", vec![record(CNAME, 0, b"\x01a\0\0")], false),
            ("no data", vec![record(CNAME, 0, b"")], false),
            ("OPT", vec![record(OPT, 0, b"")], false),
            ("ANY", vec![record(255, 0, b"")], false),
            ("type 0", vec![record(0, 0, b"")], false),
        ] {
            assert_eq!(is_sound(&set), good, "{what}");
            let mut sets = RecordSets::default();
            sets.sets.push(set.into());
            assert_eq!(RecordSets::decode(&sets.encode()).is_some(), good, "{what}");
            sets.sets.push(Arc::clone(&sets.sets[0]));
            assert!(RecordSets::decode(&sets.encode()).is_none(), "{what}, twice");
        }
    }
}
