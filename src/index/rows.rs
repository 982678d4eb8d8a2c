//! [`Row`]: a distinct set of listings; the map's value is a row's number.
//!
//! A million names of one feed share one row; names that several feeds list share one row a combination.

use std::collections::HashMap;

use super::{DATA, FeedId, Listing, Until, Verb, Verbs};

/// The most distinct rows: 128 feeds in ever new combinations could make more, real lists make some hundred.
pub(super) const ROWS_MAX: usize = 1 << 20;

/// The bit of a listing's first verb in the artifact that says that the listing ends.
const ENDS: u8 = 0x80;

/// A set of listings that some names share, ordered by feed, each feed once. Empty once all of them are past their ends; in an overlay they
/// fall silent instead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Row {
    /// By feed, ascending.
    listings: Box<[Listing]>,
}

impl Row {
    /// The listings, by feed.
    #[inline]
    pub(super) const fn listings(&self) -> &[Listing] {
        &self.listings
    }

    /// Whether one of the listings is `feed`'s.
    pub(super) fn is_of(&self, feed: FeedId) -> bool {
        self.listings.iter().any(|listing| listing.feed == feed)
    }
}

/// The rows of an index under construction, each distinct set once.
#[derive(Debug, Default)]
pub(super) struct RowTable {
    /// By number.
    rows: Vec<Row>,
    /// Where each set is.
    numbers: HashMap<Box<[Listing]>, u64>,
}

impl RowTable {
    /// The number of the row with these listings; `None` when the table is full.
    pub(super) fn intern(&mut self, listings: &[Listing]) -> Option<u64> {
        if let Some(&number) = self.numbers.get(listings) {
            return Some(number);
        }
        if self.rows.len() >= ROWS_MAX {
            return None;
        }
        let number = self.rows.len() as u64;
        self.rows.push(Row { listings: listings.into() });
        self.numbers.insert(listings.into(), number);
        Some(number)
    }

    /// The rows by number.
    pub(super) fn into_rows(self) -> Vec<Row> {
        self.rows
    }
}

/// Rows as the artifact holds them: a count, then for each row a count of listings; for a listing its feed, and the numbers of its two
/// verbs, each an octet; then for each of these that is [`Verb::Data`] its set's number (u32); then, if the first verb has [`ENDS`] set, until
/// when (hours, u32).
pub(super) fn encode(rows: &[Row]) -> Vec<u8> {
    let mut octets = Vec::new();
    octets.extend_from_slice(&u32::try_from(rows.len()).unwrap_or(u32::MAX).to_be_bytes());
    for row in rows {
        octets.push(u8::try_from(row.listings.len()).unwrap_or(u8::MAX));
        for listing in &row.listings {
            let number = |verb: Option<Verb>| verb.map_or(0, Verb::number);
            let Verbs { at, below, until } = listing.verbs;
            let ends = if until == Until::NEVER { 0 } else { ENDS };
            octets.extend_from_slice(&[listing.feed.0, number(at) | ends, number(below)]);
            for id in [at, below].into_iter().flatten().filter_map(Verb::data) {
                octets.extend_from_slice(&id.number().to_be_bytes());
            }
            if ends != 0 {
                octets.extend_from_slice(&until.number().to_be_bytes());
            }
        }
    }
    octets
}

/// The reverse of [`encode`]; `None` if the octets are not rows of these feeds, a bit each, with so many sets of records.
pub(super) fn decode(octets: &[u8], feeds: u128, sets: usize) -> Option<Vec<Row>> {
    let (count, mut rest) = octets.split_first_chunk::<4>()?;
    let count = usize::try_from(u32::from_be_bytes(*count)).ok()?;
    if count > ROWS_MAX {
        return None;
    }
    let mut rows = Vec::new();
    for _ in 0..count {
        let (&length, tail) = rest.split_first()?;
        rest = tail;
        let mut listings = Vec::with_capacity(usize::from(length));
        for _ in 0..length {
            let (&[feed, at, below], tail) = rest.split_first_chunk::<3>()?;
            rest = tail;
            let feed = FeedId::new(usize::from(feed)).filter(|feed| feeds & feed.bit() != 0)?;
            let ends = at & ENDS != 0;
            let (at, below) = (verb(at & !ENDS, &mut rest, sets)?, verb(below, &mut rest, sets)?);
            let until = if ends { hour(&mut rest)? } else { Until::NEVER };
            listings.push(Listing { feed, verbs: Verbs { at, below, until } });
        }
        if !listings.is_sorted_by(|a, b| a.feed < b.feed) {
            return None;
        }
        rows.push(Row { listings: listings.into() });
    }
    rest.is_empty().then_some(rows)
}

/// A verb or none, with its set's number, under `sets`, taken off `rest`; `None` for a number that is neither.
fn verb(number: u8, rest: &mut &[u8], sets: usize) -> Option<Option<Verb>> {
    if number == 0 {
        return Some(None);
    }
    let mut data = 0;
    if number == DATA {
        let (set, tail) = rest.split_first_chunk::<4>()?;
        data = u32::from_be_bytes(*set);
        usize::try_from(data).ok().filter(|&set| set < sets)?;
        *rest = tail;
    }
    Verb::from_number(number, data).map(Some)
}

/// Until when, taken off `rest`.
fn hour(rest: &mut &[u8]) -> Option<Until> {
    let (number, tail) = rest.split_first_chunk::<4>()?;
    *rest = tail;
    Some(Until::of(u32::from_be_bytes(*number)))
}

impl Row {
    /// The row with all its feeds folded into one: for an artifact of several feeds that is one feed's source. At each place the earliest
    /// feed's word stands, until the last of them ends.
    pub(super) fn collapse(&self, id: FeedId) -> Self {
        let first = |place: fn(&Listing) -> Option<Verb>| self.listings.iter().find_map(place);
        let (at, below) = (first(|listing| listing.verbs.at), first(|listing| listing.verbs.below));
        let until = self.listings.iter().map(|listing| listing.verbs.until).max();
        let listing = until.map(|until| Listing { feed: id, verbs: Verbs { at, below, until } });
        Self { listings: listing.into_iter().collect() }
    }

    /// Whether the feeds together list the name itself until another time than what is below it.
    pub(super) fn ends_apart(&self) -> bool {
        let last = |place: fn(&Listing) -> Option<Verb>| {
            let those = self.listings.iter().filter(|listing| place(listing).is_some());
            those.map(|listing| listing.verbs.until).max()
        };
        let (at, below) = (last(|listing| listing.verbs.at), last(|listing| listing.verbs.below));
        at.zip(below).is_some_and(|(at, below)| at != below)
    }

    /// The row without what has come to its end, `now_secs` after 1970.
    pub(super) fn lapse(&self, now_secs: u64) -> Self {
        let stands = |listing: &&Listing| !listing.verbs.until.has_come(now_secs);
        Self { listings: self.listings.iter().filter(stands).copied().collect() }
    }

    /// The row with what has come to its end, `now_secs` after 1970, saying nothing: what it replaces in a base stays replaced.
    pub(super) fn hush(&self, now_secs: u64) -> Self {
        let hush = |&Listing { feed, verbs }| {
            let verbs = if verbs.until.has_come(now_secs) { Verbs::SILENT } else { verbs };
            Listing { feed, verbs }
        };
        Self { listings: self.listings.iter().map(hush).collect() }
    }

    /// When the first of its listings ends, if one does.
    pub(super) fn lapses_next(&self) -> Option<Until> {
        self.listings.iter().map(|listing| listing.verbs.until).min().filter(|&until| until != Until::NEVER)
    }
}

#[cfg(test)]
mod tests {
    use super::super::DataId;
    use super::*;

    #[test]
    fn rows_survive_the_artifact() {
        let listing = |feed, verbs| Listing { feed: FeedId(feed), verbs };
        let mut table = RowTable::default();
        let one = [listing(0, Verbs::subtree(Verb::Listed))];
        let two = [listing(0, Verbs::exact(Verb::Drop)), listing(5, Verbs::below(Verb::Cancel))];
        assert_eq!((table.intern(&one), table.intern(&two), table.intern(&one)), (Some(0), Some(1), Some(0)));
        let data = |set| Some(Verb::Data(DataId::of(set)));
        let until = Until::from_secs(7200);
        let three = [
            listing(0, Verbs { at: data(2), ..Verbs::SILENT }),
            listing(5, Verbs { at: data(0), below: data(1), until }),
        ];
        assert_eq!(table.intern(&three), Some(2));
        let four = [listing(0, Verbs::below(Verb::Drop).until(until)), two[1]];
        assert_eq!((table.intern(&four), table.intern(&[four[0]])), (Some(3), Some(4)));
        let rows = table.into_rows();
        let octets = encode(&rows);
        assert_eq!(decode(&octets, 0b10_0001, 3).as_ref(), Some(&rows));
        assert_eq!(decode(&octets, 0b01_0001, 3), None, "a feed that is not there");
        assert_eq!(decode(&octets, 0b10_0001, 2), None, "a set that is not there");
        for cut in 0..octets.len() {
            assert_eq!(decode(&octets[..cut], 0b10_0001, 3), None, "cut at {cut}");
        }
        let mut bad = octets;
        bad[6] = 9;
        assert_eq!(decode(&bad, 0b10_0001, 3), None, "an unknown verb");
    }

    #[test]
    fn collapsed_rows_keep_the_earliest_word() {
        let row = Row {
            listings: Box::new([
                Listing { feed: FeedId(1), verbs: Verbs::exact(Verb::Passthru) },
                Listing { feed: FeedId(2), verbs: Verbs::subtree(Verb::Listed) },
            ]),
        };
        let want = Verbs { at: Some(Verb::Passthru), ..Verbs::below(Verb::Listed) };
        assert_eq!(row.collapse(FeedId(7)).listings(), [Listing { feed: FeedId(7), verbs: want }]);
        assert!(Row { listings: Box::new([]) }.collapse(FeedId(7)).listings().is_empty(), "nothing stays nothing");
    }

    #[test]
    fn a_row_loses_what_has_ended() {
        let listing = |feed, until| Listing { feed: FeedId(feed), verbs: Verbs::subtree(Verb::Listed).until(until) };
        let [one, two] = [1, 2].map(|hour| Until::from_secs(hour * 3600));
        let all = Row { listings: Box::new([listing(0, two), listing(1, one), listing(2, Until::NEVER)]) };
        for (now_secs, left, next) in
            [(3599, &[0, 1, 2][..], Some(one)), (3600, &[0, 2], Some(two)), (7200, &[2], None), (u64::MAX, &[2], None)]
        {
            let row = all.lapse(now_secs);
            let feeds: Vec<u8> = row.listings().iter().map(|listing| listing.feed.0).collect();
            assert_eq!((feeds.as_slice(), row.lapses_next()), (left, next), "{now_secs}");
            let hushed = all.hush(now_secs);
            assert_eq!((hushed.listings().len(), hushed.lapses_next()), (3, next), "{now_secs}");
            let speak = hushed.listings().iter().filter(|listing| !listing.verbs.is_silent());
            assert!(speak.eq(row.listings()), "{now_secs}");
        }
    }
}
