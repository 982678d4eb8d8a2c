//! Building an index: sorted feeds, and what is kept of the index in force, merged key by key into an FST.
//!
//! A kept feed is read out of the old index, so an unchanged feed needs neither its file nor a second copy in memory. A key that says
//! nothing its ancestors do not say already, and no longer than they do, is left out (14 % of real names). Cost: one comparison a source and key, then the FST's
//! own. Networks are gathered and sorted apart.

use std::sync::Arc;

use fst::Streamer;
use fst::raw::{Builder, Fst};

use super::filter::Filter;
use super::lookup::{Body, IndexedFeed, Layer};
use super::networks::{NETWORKS_MAX, Networks};
use super::record_sets::{RECORD_SETS_MAX, RecordSets};
use super::rows::RowTable;
use super::{FeedId, Index, Listing, Network, Row, Side, Sorted, Until, Verb, Verbs};

/// Why an index was not built.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// One feed twice.
    #[error("expected each feed once, got one twice")]
    Twice,
    /// More distinct combinations of feeds and verbs than the row table holds.
    #[error("expected at most {} distinct combinations of feeds, got more", super::rows::ROWS_MAX)]
    Rows,
    /// More networks than an index holds.
    #[error("expected at most {NETWORKS_MAX} networks in all feeds, got more")]
    Networks,
    /// More distinct sets of records than an index holds, or larger ones.
    #[error("expected at most {RECORD_SETS_MAX} distinct sets of records of usual size in all feeds, got more")]
    Records,
    /// The FST's own error; keys are sorted and memory does not fail, so this does not happen.
    #[error("the map could not be built")]
    Map(#[source] fst::Error),
    /// What was built does not verify: memory is failing.
    #[error("the map that was built does not verify; check this machine's memory")]
    Verify(#[source] fst::Error),
}

/// One feed of the index to be.
#[derive(Debug, Clone, Copy)]
pub struct Part<'a> {
    /// Its place among all feeds; an index may hold some of them.
    pub id: FeedId,
    /// The operator's name for it.
    pub name: &'a str,
    /// Its distinct entries.
    pub entries: u64,
    /// Where they are.
    pub source: Kept<'a>,
}

impl<'a> Part<'a> {
    /// Feeds by name, entries and source, placed as they come.
    #[must_use]
    pub fn in_order(feeds: &[(&'a str, u64, Kept<'a>)]) -> Vec<Self> {
        let places = (0..).map_while(FeedId::new);
        places.zip(feeds).map(|(id, &(name, entries, source))| Self { id, name, entries, source }).collect()
    }
}

/// Where a feed's entries are.
#[derive(Debug, Clone, Copy)]
pub enum Kept<'a> {
    /// Freshly read.
    New(&'a Sorted),
    /// As it is in an index at hand, at this place there.
    Old(&'a Index, FeedId),
}

impl<'a> Kept<'a> {
    /// The sets that its verbs speak of.
    fn sets(self) -> &'a RecordSets {
        match self {
            Self::New(sorted) => &sorted.sets,
            Self::Old(index, _) => &index.layer.body.sets,
        }
    }
}

/// A source of keys in ascending order.
pub(super) enum Cursor<'a> {
    /// A fresh feed.
    Fresh {
        /// Whose listings they are.
        feed: FeedId,
        /// What they are answered with.
        sets: &'a RecordSets,
        /// How many keys it has.
        length: usize,
        /// What is left.
        rest: Box<dyn Iterator<Item = (&'a [u8], Verbs)> + 'a>,
        /// The key and verbs it stands at.
        at: Option<(&'a [u8], Verbs)>,
    },
    /// Feeds of an old index.
    Old {
        /// The old index.
        index: &'a Index,
        /// What is left of its keys.
        rest: fst::raw::Stream<'a>,
        /// Old place → new places.
        places: Vec<(FeedId, FeedId)>,
        /// The key it stands at, and its row; meaningless when `done`.
        key: Vec<u8>,
        /// That key's row number.
        row: u64,
        /// No key is left.
        done: bool,
    },
}

impl Cursor<'_> {
    /// How many keys it goes over at most.
    fn len(&self) -> usize {
        match self {
            Self::Fresh { length, .. } => *length,
            Self::Old { index, .. } => index.keys(),
        }
    }

    /// The key it stands at.
    pub(super) fn key(&self) -> Option<&[u8]> {
        match self {
            Self::Fresh { at, .. } => at.map(|(key, _)| key),
            Self::Old { key, done, .. } => (!done).then_some(key.as_slice()),
        }
    }

    /// Appends what is said of the key it stands at, sets by their numbers in `sets`.
    pub(super) fn gather(&self, listings: &mut Vec<Listing>, sets: &mut RecordSets) -> Result<(), BuildError> {
        match self {
            Self::Fresh { feed, sets: own, at, .. } => {
                if let Some((_, verbs)) = *at {
                    listings.push(Listing { feed: *feed, verbs: adopt(verbs, own, sets)? });
                }
            }
            Self::Old { index, places, row, .. } => {
                for listing in index.layer.row(*row).map(Row::listings).unwrap_or_default() {
                    for &(_, feed) in places.iter().filter(|(old, _)| *old == listing.feed) {
                        listings.push(Listing { feed, verbs: adopt(listing.verbs, &index.layer.body.sets, sets)? });
                    }
                }
            }
        }
        Ok(())
    }

    /// Goes on to the next key.
    pub(super) fn advance(&mut self) {
        match self {
            Self::Fresh { rest, at, .. } => *at = rest.next(),
            Self::Old { rest, key, row, done, .. } => match rest.next() {
                Some((next, value)) => {
                    key.clear();
                    key.extend_from_slice(next);
                    *row = value.value();
                }
                None => *done = true,
            },
        }
    }
}

/// The same verbs with their sets' numbers in `sets`, where these are taken in.
fn adopt(verbs: Verbs, own: &RecordSets, sets: &mut RecordSets) -> Result<Verbs, BuildError> {
    let mut adopt = |verb: Option<Verb>| match verb {
        Some(Verb::Data(id)) => sets.adopt(own, id).map(|id| Some(Verb::Data(id))).ok_or(BuildError::Records),
        other => Ok(other),
    };
    Ok(Verbs { at: adopt(verbs.at)?, below: adopt(verbs.below)?, until: verbs.until })
}

/// What the ancestors of the key at hand say: their keys' lengths and their listings.
#[derive(Default)]
pub(super) struct Ancestors {
    /// The last key that was kept.
    key: Vec<u8>,
    /// Each ancestor's key length and where its listings begin in `listings`.
    spans: Vec<(usize, usize)>,
    /// The listings of all of them, outermost first.
    listings: Vec<Listing>,
}

impl Ancestors {
    /// Forgets those that are not above `key`.
    pub(super) fn descend(&mut self, key: &[u8]) {
        let shared = self.key.iter().zip(key).take_while(|(a, b)| a == b).count();
        while let Some(&(length, start)) = self.spans.last() {
            if length <= shared {
                break;
            }
            self.spans.pop();
            self.listings.truncate(start);
        }
    }

    /// What the nearest ancestor that speaks for `feed` says of all below it, and until when.
    fn inherited(&self, feed: FeedId) -> Option<(Verb, Until)> {
        let mut own = self.listings.iter().rev().filter(|listing| listing.feed == feed);
        own.find_map(|listing| listing.verbs.below.map(|verb| (verb, listing.verbs.until)))
    }

    /// Whether `listing` says nothing new, and never will: it may outlast what is above it.
    pub(super) fn covers(&self, listing: &Listing) -> bool {
        let Verbs { at, below, until } = listing.verbs;
        self.inherited(listing.feed).is_some_and(|(inherited, lasts)| {
            let says_the_same = |verb: Option<Verb>| verb.is_none_or(|verb| verb == inherited);
            lasts >= until && says_the_same(at) && says_the_same(below)
        })
    }

    /// Takes a kept key as an ancestor of those that follow.
    pub(super) fn push(&mut self, key: &[u8], listings: &[Listing]) {
        self.key.clear();
        self.key.extend_from_slice(key);
        self.spans.push((key.len(), self.listings.len()));
        self.listings.extend_from_slice(listings);
    }
}

impl Index {
    /// Builds the index of `parts` and verifies it. `progress` is told after every 65,536 keys how many were seen.
    ///
    /// # Errors
    /// [`BuildError`].
    pub fn build(parts: &[Part<'_>], progress: &mut dyn FnMut(u64)) -> Result<Self, BuildError> {
        let mut parts = parts.to_vec();
        parts.sort_by_key(|part| part.id);
        if !parts.is_sorted_by(|a, b| a.id < b.id) {
            return Err(BuildError::Twice);
        }
        let mut cursors = cursors(&parts);
        let mut builder = Builder::memory();
        let mut filter = Filter::with_room(cursors.iter().map(Cursor::len).sum());
        let mut table = RowTable::default();
        let mut sets = RecordSets::default();
        let mut ancestors = Ancestors::default();
        let (mut key, mut listings, mut seen) = (Vec::new(), Vec::new(), 0_u64);
        loop {
            key.clear();
            match cursors.iter().filter_map(Cursor::key).min() {
                Some(least) => key.extend_from_slice(least),
                None => break,
            }
            listings.clear();
            for cursor in &mut cursors {
                if cursor.key() == Some(&key) {
                    cursor.gather(&mut listings, &mut sets)?;
                    cursor.advance();
                }
            }
            seen += 1;
            if seen.is_multiple_of(65_536) {
                progress(seen);
            }
            listings.sort_unstable_by_key(|listing| listing.feed);
            ancestors.descend(&key);
            listings.retain(|listing| !listing.verbs.is_silent() && !ancestors.covers(listing));
            if listings.is_empty() {
                continue;
            }
            let row = table.intern(&listings).ok_or(BuildError::Rows)?;
            builder.insert(&key, row).map_err(BuildError::Map)?;
            filter.insert(&key);
            ancestors.push(&key, &listings);
        }
        let networks = networks(&parts, &mut table, &mut sets)?;
        let octets = builder.into_inner().map_err(BuildError::Map)?;
        let map = Fst::new(octets.into()).map_err(BuildError::Map)?;
        map.verify().map_err(BuildError::Verify)?;
        let indexed = |part: &Part<'_>| IndexedFeed { id: part.id, name: part.name.to_owned(), entries: part.entries };
        let feeds = parts.iter().map(indexed).collect();
        let body = Body { map, filter: Some(filter), networks, sets: sets.closed() };
        Ok(Self { layer: Layer { body: Arc::new(body), rows: table.into_rows().into() }, feeds })
    }
}

/// One cursor a fresh feed, and one an old index, however many feeds are kept of it.
pub(super) fn cursors<'a>(parts: &[Part<'a>]) -> Vec<Cursor<'a>> {
    let mut cursors: Vec<Cursor<'a>> = Vec::new();
    for &Part { id: feed, source, .. } in parts {
        match source {
            Kept::New(sorted) => {
                let mut rest = Box::new(sorted.iter());
                let at = rest.next();
                cursors.push(Cursor::Fresh { feed, sets: &sorted.sets, length: sorted.names(), rest, at });
            }
            Kept::Old(old, old_feed) => {
                let known = cursors.iter_mut().find_map(|cursor| match cursor {
                    Cursor::Old { index, places, .. } if std::ptr::eq(*index, old) => Some(places),
                    _ => None,
                });
                if let Some(places) = known {
                    places.push((old_feed, feed));
                } else {
                    let mut cursor = Cursor::Old {
                        index: old,
                        rest: old.layer.body.map.stream(),
                        places: vec![(old_feed, feed)],
                        key: Vec::new(),
                        row: 0,
                        done: false,
                    };
                    cursor.advance();
                    cursors.push(cursor);
                }
            }
        }
    }
    cursors
}

/// What each feed says of each network, those of one network together, sets by their numbers in `sets`.
pub(super) fn network_listings(
    parts: &[Part<'_>],
    sets: &mut RecordSets,
) -> Result<Vec<(Side, Network, Listing)>, BuildError> {
    let mut said: Vec<(Side, Network, Listing)> = Vec::new();
    for &Part { id: feed, source, .. } in parts {
        let mut take = |side, network, verbs| {
            let verbs = adopt(verbs, source.sets(), sets)?;
            said.push((side, network, Listing { feed, verbs }));
            Ok(())
        };
        match source {
            Kept::New(sorted) => sorted.networks().try_for_each(|(side, network, verbs)| take(side, network, verbs))?,
            Kept::Old(old, old_feed) => {
                for (side, network, row) in old.layer.body.networks.iter() {
                    let mut own = old.layer.row(u64::from(row)).map(Row::listings).unwrap_or_default().iter();
                    if let Some(listing) = own.find(|listing| listing.feed == old_feed) {
                        take(side, network, listing.verbs)?;
                    }
                }
            }
        }
    }
    said.sort_unstable_by_key(|(side, network, listing)| (*side, network.order(), listing.feed));
    Ok(said)
}

/// The networks of all parts, with rows of `table` and sets of `sets`.
fn networks(parts: &[Part<'_>], table: &mut RowTable, sets: &mut RecordSets) -> Result<Networks, BuildError> {
    let said = network_listings(parts, sets)?;
    let mut networks = Networks::default();
    for same in said.chunk_by(|(a, b, _), (c, d, _)| (a, b) == (c, d)) {
        let listings: Vec<Listing> = same.iter().map(|&(.., listing)| listing).collect();
        let row = table.intern(&listings).and_then(|row| u32::try_from(row).ok()).ok_or(BuildError::Rows)?;
        if let Some(&(side, network, _)) = same.first() {
            networks
                .push(side, network, row)
                .filter(|()| networks.len() <= NETWORKS_MAX)
                .ok_or(BuildError::Networks)?;
        }
    }
    Ok(networks)
}
