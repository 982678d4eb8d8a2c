//! Where feeds' entries are, freshly read or in layers at hand, and all of them in one order.
//!
//! Streams: keeps one key and what is said of it. Costs one comparison a source and key. Networks are gathered and sorted apart.

use std::cmp::Ordering;

use super::layers::{Keys, Layer};
use super::record_sets::RecordSets;
use super::rows::Row;
use super::{BuildError, FeedId, Index, Listing, Network, Side, Sorted, Verb, Verbs};

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

/// A key, and what is said of it, which whoever asked may change.
pub(super) type Said<'m> = (&'m [u8], &'m mut Vec<Listing>);

/// The keys of several sources in ascending order.
pub(super) struct Merge<'a> {
    /// Each stands at the least of its keys that is not told yet.
    cursors: Vec<Cursor<'a>>,
    /// The key told last.
    key: Vec<u8>,
    /// What is said of it.
    listings: Vec<Listing>,
}

impl<'a> Merge<'a> {
    /// In front of the first key. Feeds of one old index are read in one go.
    pub(super) fn of(sources: &[(FeedId, Source<'a>)]) -> Self {
        Self { cursors: cursors(sources), key: Vec::new(), listings: Vec::new() }
    }

    /// How many keys there are at most.
    pub(super) fn len(&self) -> usize {
        self.cursors.iter().map(Cursor::len).sum()
    }

    /// The next key, and all that is said of it, silence too, sets by their numbers in `sets`.
    pub(super) fn next(&mut self, sets: &mut RecordSets) -> Result<Option<Said<'_>>, BuildError> {
        let Some(least) = self.cursors.iter().filter_map(Cursor::key).min() else { return Ok(None) };
        self.key.clear();
        self.key.extend_from_slice(least);
        self.listings.clear();
        for cursor in &mut self.cursors {
            if cursor.key() == Some(&self.key) {
                cursor.gather(&mut self.listings, sets)?;
                cursor.advance();
            }
        }
        Ok(Some((&self.key, &mut self.listings)))
    }

    /// The key told last.
    pub(super) fn key(&self) -> &[u8] {
        &self.key
    }
}

/// A source of keys in ascending order.
enum Cursor<'a> {
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
    fn key(&self) -> Option<&[u8]> {
        match self {
            Self::Fresh { at, .. } => at.map(|(key, _)| key),
            Self::Old { base, overlay, .. } => {
                [base.key(), overlay.as_ref().and_then(|keys| keys.key())].into_iter().flatten().min()
            }
        }
    }

    /// Appends what is said of the key it stands at, silence too, sets by their numbers in `sets`.
    fn gather(&self, listings: &mut Vec<Listing>, sets: &mut RecordSets) -> Result<(), BuildError> {
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
    fn advance(&mut self) {
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

/// One cursor a fresh feed, and one an old index, however many feeds are kept of it.
fn cursors<'a>(sources: &[(FeedId, Source<'a>)]) -> Vec<Cursor<'a>> {
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

/// What is said of the networks of several sources, by network, then by feed; silence too.
pub(super) fn gather_networks(
    sources: &[(FeedId, Source<'_>)],
    sets: &mut RecordSets,
) -> Result<Vec<(Side, Network, Listing)>, BuildError> {
    let mut said = Vec::new();
    for &(feed, source) in sources {
        networks_of(source, sets, &mut |side, network, verbs| said.push((side, network, Listing { feed, verbs })))?;
    }
    said.sort_unstable_by_key(|(side, network, listing)| (*side, network.order(), listing.feed));
    Ok(said)
}
