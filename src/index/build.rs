//! Building an index: sorted feeds, and what is kept of the index in force, merged key by key into an FST.
//!
//! A kept feed is read out of the old index, so an unchanged feed needs neither its file nor a second copy in memory. A key that says
//! nothing its ancestors do not say already, and no longer than they do, is left out (14 % of real names). Cost: one comparison a source and key, then the FST's
//! own. Networks are gathered and sorted apart.

use std::cmp::Ordering;
use std::sync::Arc;

use fst::raw::{Builder, Fst};

use super::filter::Filter;
use super::layers::{Body, Keys, Layer};
use super::lookup::IndexedFeed;
use super::networks::{NETWORKS_MAX, Networks};
use super::record_sets::{RECORD_SETS_MAX, RecordSets};
use super::rows::{Row, RowTable};
use super::{FeedId, Index, Listing, Network, Side, Sorted, Until, Verb, Verbs};

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
    /// The same in terms of layers.
    pub(super) fn of(self) -> Source<'a> {
        match self {
            Self::New(sorted) => Source::Fresh(sorted),
            Self::Old(index, feed) => Source::Layers(&index.base, index.overlay.as_ref(), feed),
        }
    }
}

/// Where a feed's entries, or its changes, are.
#[derive(Clone, Copy)]
pub(super) enum Source<'a> {
    /// Freshly read, or compared.
    Fresh(&'a Sorted),
    /// In a layer and in the one over it, at this place there.
    Layers(&'a Layer, Option<&'a Layer>, FeedId),
}

/// What is to be built.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// A layer that stands alone: it holds nothing redundant.
    Whole,
    /// A layer over another one: silence is kept, and nothing else is left out.
    Overlay,
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
    /// Feeds of old layers.
    Old {
        /// The keys of one.
        base: Box<Keys<'a>>,
        /// The keys of the one over it.
        overlay: Option<Box<Keys<'a>>>,
        /// Old place → new places.
        places: Vec<(FeedId, FeedId)>,
    },
}

impl Cursor<'_> {
    /// How many keys it goes over at most.
    fn len(&self) -> usize {
        match self {
            Self::Fresh { length, .. } => *length,
            Self::Old { base, overlay, .. } => {
                base.layer().len() + overlay.as_ref().map_or(0, |keys| keys.layer().len())
            }
        }
    }

    /// The key it stands at.
    pub(super) fn key(&self) -> Option<&[u8]> {
        match self {
            Self::Fresh { at, .. } => at.map(|(key, _)| key),
            Self::Old { base, overlay, .. } => {
                [base.key(), overlay.as_ref().and_then(|keys| keys.key())].into_iter().flatten().min()
            }
        }
    }

    /// Appends what is said of the key it stands at, silence too, sets by their numbers in `sets`.
    pub(super) fn gather(&self, listings: &mut Vec<Listing>, sets: &mut RecordSets) -> Result<(), BuildError> {
        match self {
            Self::Fresh { feed, sets: own, at, .. } => {
                if let Some((_, verbs)) = *at {
                    listings.push(Listing { feed: *feed, verbs: adopt(verbs, own, sets)? });
                }
            }
            Self::Old { base, overlay, places } => {
                let key = self.key();
                let here = |keys: &&Keys<'_>| keys.key() == key;
                let over = overlay.as_deref().filter(here).map(Keys::listings).unwrap_or_default();
                let replaced = |feed: FeedId| over.iter().any(|listing| listing.feed == feed);
                let mut take = |listing: &Listing, own: &RecordSets| {
                    for &(_, feed) in places.iter().filter(|(old, _)| *old == listing.feed) {
                        listings.push(Listing { feed, verbs: adopt(listing.verbs, own, sets)? });
                    }
                    Ok(())
                };
                if let Some(base) = Some(&**base).filter(here) {
                    let mut left = base.listings().iter().filter(|listing| !replaced(listing.feed));
                    left.try_for_each(|listing| take(listing, &base.layer().body.sets))?;
                }
                if let Some(overlay) = overlay {
                    over.iter().try_for_each(|listing| take(listing, &overlay.layer().body.sets))?;
                }
            }
        }
        Ok(())
    }

    /// Goes on to the next key.
    pub(super) fn advance(&mut self) {
        match self {
            Self::Fresh { rest, at, .. } => *at = rest.next(),
            Self::Old { base, overlay: None, .. } => base.advance(),
            Self::Old { base, overlay: Some(overlay), .. } => {
                let order = match (base.key(), overlay.key()) {
                    (Some(base), Some(overlay)) => base.cmp(overlay),
                    (Some(_), None) => Ordering::Less,
                    (None, _) => Ordering::Greater,
                };
                if order.is_le() {
                    base.advance();
                }
                if order.is_ge() {
                    overlay.advance();
                }
            }
        }
    }
}

/// The same verbs with their sets' numbers in `sets`, where these are taken in.
pub(super) fn adopt(verbs: Verbs, own: &RecordSets, sets: &mut RecordSets) -> Result<Verbs, BuildError> {
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
    fn descend(&mut self, key: &[u8]) {
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
    fn covers(&self, listing: &Listing) -> bool {
        let Verbs { at, below, until } = listing.verbs;
        self.inherited(listing.feed).is_some_and(|(inherited, lasts)| {
            let says_the_same = |verb: Option<Verb>| verb.is_none_or(|verb| verb == inherited);
            lasts >= until && says_the_same(at) && says_the_same(below)
        })
    }

    /// Takes out of `listings` what says nothing new of `key`, which comes behind all keys before it; what is left counts for those below it.
    pub(super) fn admit(&mut self, key: &[u8], listings: &mut Vec<Listing>) {
        self.descend(key);
        listings.retain(|listing| !listing.verbs.is_silent() && !self.covers(listing));
        if listings.is_empty() {
            return;
        }
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
        let sources: Vec<_> = parts.iter().map(|part| (part.id, part.source.of())).collect();
        let base = build_layer(&sources, Form::Whole, progress)?;
        let indexed = |part: &Part<'_>| IndexedFeed { id: part.id, name: part.name.to_owned(), entries: part.entries };
        Ok(Self { base, overlay: None, feeds: parts.iter().map(indexed).collect() })
    }
}

/// Builds a layer of these feeds and verifies it; `progress` as of [`Index::build`].
pub(super) fn build_layer(
    sources: &[(FeedId, Source<'_>)],
    form: Form,
    progress: &mut dyn FnMut(u64),
) -> Result<Layer, BuildError> {
    let mut cursors = cursors(sources);
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
        if form == Form::Whole {
            ancestors.admit(&key, &mut listings);
        }
        if listings.is_empty() {
            continue;
        }
        let row = table.intern(&listings).ok_or(BuildError::Rows)?;
        builder.insert(&key, row).map_err(BuildError::Map)?;
        filter.insert(&key);
    }
    let networks = build_networks(sources, form, &mut table, &mut sets)?;
    let octets = builder.into_inner().map_err(BuildError::Map)?;
    let map = Fst::new(octets).map_err(BuildError::Map)?;
    map.verify().map_err(BuildError::Verify)?;
    let rows = table.into_rows();
    let mut body = Body { map, filter: Some(filter), networks, sets: sets.closed(), mark: 0 };
    body.mark = body.mark_with(&rows);
    Ok(Layer { body: Arc::new(body), rows: rows.into() })
}

/// One cursor a fresh feed, and one an old index, however many feeds are kept of it.
pub(super) fn cursors<'a>(sources: &[(FeedId, Source<'a>)]) -> Vec<Cursor<'a>> {
    let mut cursors: Vec<Cursor<'a>> = Vec::new();
    for &(feed, source) in sources {
        match source {
            Source::Fresh(sorted) => {
                let mut rest = Box::new(sorted.iter());
                let at = rest.next();
                cursors.push(Cursor::Fresh { feed, sets: &sorted.sets, length: sorted.names(), rest, at });
            }
            Source::Layers(layer, over, old_feed) => {
                let known = cursors.iter_mut().find_map(|cursor| match cursor {
                    Cursor::Old { base, places, .. } if std::ptr::eq(base.layer(), layer) => Some(places),
                    _ => None,
                });
                if let Some(places) = known {
                    places.push((old_feed, feed));
                } else {
                    let places = vec![(old_feed, feed)];
                    let keys = |layer| Box::new(Keys::of(layer));
                    cursors.push(Cursor::Old { base: keys(layer), overlay: over.map(keys), places });
                }
            }
        }
    }
    cursors
}

/// Calls `take` with every network of a feed, silence too, sets by their numbers in `sets`; in order if the feed was freshly read.
pub(super) fn networks_of(
    source: Source<'_>,
    sets: &mut RecordSets,
    take: &mut dyn FnMut(Side, Network, Verbs),
) -> Result<(), BuildError> {
    match source {
        Source::Fresh(sorted) => {
            for (side, network, verbs) in sorted.networks() {
                take(side, network, adopt(verbs, &sorted.sets, sets)?);
            }
        }
        Source::Layers(base, overlay, feed) => {
            for (over, layer) in [(overlay, base)].into_iter().chain(overlay.map(|overlay| (None, overlay))) {
                for (side, network, row) in layer.body.networks.iter() {
                    let replaced =
                        || over.and_then(|over| over.network(side, network)).is_some_and(|row| row.is_of(feed));
                    let mut own = layer.row(u64::from(row)).map(Row::listings).unwrap_or_default().iter();
                    if let Some(listing) = own.find(|listing| listing.feed == feed)
                        && !replaced()
                    {
                        take(side, network, adopt(listing.verbs, &layer.body.sets, sets)?);
                    }
                }
            }
        }
    }
    Ok(())
}

/// The networks of all feeds, with rows of `table` and sets of `sets`.
fn build_networks(
    sources: &[(FeedId, Source<'_>)],
    form: Form,
    table: &mut RowTable,
    sets: &mut RecordSets,
) -> Result<Networks, BuildError> {
    let mut said: Vec<(Side, Network, Listing)> = Vec::new();
    for &(feed, source) in sources {
        networks_of(source, sets, &mut |side, network, verbs| {
            if form == Form::Overlay || !verbs.is_silent() {
                said.push((side, network, Listing { feed, verbs }));
            }
        })?;
    }
    said.sort_unstable_by_key(|(side, network, listing)| (*side, network.order(), listing.feed));
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
