//! Small changes of a big index: what differs from the base, as an overlay over it.
//!
//! A feed that was read again is compared with what the base holds of it, key by key, both without redundant keys: then a deleted parent brings
//! back the children that it made redundant, and base and overlay together say what one index built anew would say. Costs the reading of all
//! keys of the base, and memory for what differs alone.

use std::cmp::Ordering;

use super::ancestors::Ancestors;
use super::build::{Form, build_layer};
use super::entries::Sorted;
use super::layers::{Keys, Layer};
use super::record_sets::RecordSets;
use super::rows::Row;
use super::sources::{Merge, Source, networks_of};
use super::{BuildError, Entries, FeedId, Index, IndexedFeed, Kept, Network, Part, Side, Verbs};

/// The most names and networks an overlay may have: as many as a small feed, which is built in milliseconds (a guess).
pub const OVERLAY_ENTRIES_MAX: usize = 65_536;

impl Index {
    /// The same index with these feeds in place of those of the same places and names: what differs from the base becomes an overlay over it,
    /// and what an overlay that is there already says of other feeds stays. `None`: some feed is not here yet, or the overlay would have over
    /// `entries_max` names and networks; then build it.
    ///
    /// # Errors
    /// [`BuildError`].
    pub fn amended(&self, changes: &[Part<'_>], entries_max: usize) -> Result<Option<Self>, BuildError> {
        let mut feeds = self.feeds.clone();
        let mut differences = Vec::new();
        for (place, part) in changes.iter().enumerate() {
            if changes.iter().take(place).any(|other| other.id == part.id) {
                return Err(BuildError::Twice);
            }
            let mut known = feeds.iter_mut().filter(|feed| feed.id == part.id && feed.name == part.name);
            let Some(feed) = known.next() else { return Ok(None) };
            feed.entries = part.entries;
            let Some(different) = difference(&self.base, part.id, part.source.of(), entries_max)? else {
                return Ok(None);
            };
            differences.push((part.id, different));
        }
        let fresh = differences.iter().map(|(id, different)| (*id, Source::Fresh(different)));
        let others = self.feeds.iter().filter(|feed| changes.iter().all(|part| part.id != feed.id));
        let carried = others.filter_map(|feed| Some((feed.id, Source::Layers(self.overlay.as_ref()?, None, feed.id))));
        let sources: Vec<_> = fresh.chain(carried).collect();
        let overlay = build_layer(&sources, Form::Overlay)?;
        let fits = overlay.len() <= entries_max;
        let overlay = Some(overlay).filter(|overlay| overlay.len() > 0);
        Ok(fits.then(|| Self { base: self.base.clone(), overlay, feeds }))
    }

    /// The same index as one built anew, without an overlay.
    ///
    /// # Errors
    /// [`BuildError`].
    pub fn flattened(&self) -> Result<Self, BuildError> {
        let feeds = self.feeds.iter();
        let kept = feeds.map(|IndexedFeed { id, name, entries }| Part {
            id: *id,
            name,
            entries: *entries,
            source: Kept::Old(self, *id),
        });
        Self::build(&kept.collect::<Vec<_>>())
    }

    /// Whether there is an overlay.
    #[must_use]
    pub const fn is_amended(&self) -> bool {
        self.overlay.is_some()
    }

    /// How many names and networks its overlay has.
    #[must_use]
    pub fn overlay_entries(&self) -> usize {
        self.overlay.as_ref().map_or(0, Layer::len)
    }

    /// Whether both have the same base in memory, whatever has ended in it since: an overlay may be over either.
    #[must_use]
    pub fn shares_base(&self, other: &Self) -> bool {
        std::sync::Arc::ptr_eq(&self.base.body, &other.base.body)
    }
}

/// A feed's keys in order, without those that say nothing new.
struct Canonical<'a> {
    /// All of them.
    merge: Merge<'a>,
    /// What stands above the key at hand.
    ancestors: Ancestors,
    /// What is said of the key it stands at; `None`: no key is left.
    verbs: Option<Verbs>,
}

impl<'a> Canonical<'a> {
    /// In front of the first key of `source`.
    fn of(id: FeedId, source: Source<'a>) -> Self {
        Self { merge: Merge::of(&[(id, source)]), ancestors: Ancestors::default(), verbs: None }
    }

    /// The key it stands at.
    fn key(&self) -> Option<&[u8]> {
        self.verbs.map(|_| self.merge.key())
    }

    /// Goes on to the next key; its records have their numbers in `sets`.
    fn advance(&mut self, sets: &mut RecordSets) -> Result<(), BuildError> {
        self.verbs = None;
        while self.verbs.is_none()
            && let Some((key, listings)) = self.merge.next(sets)?
        {
            self.ancestors.admit(key, listings);
            self.verbs = listings.first().map(|listing| listing.verbs);
        }
        Ok(())
    }
}

/// What feed `id` says in `source` and not in `base`, and silence where it says something in `base` alone; `None` for over `entries_max`
/// of these, or for what an overlay cannot hold.
fn difference(base: &Layer, id: FeedId, source: Source<'_>, entries_max: usize) -> Result<Option<Sorted>, BuildError> {
    let mut entries = Entries::default();
    let mut compare = || -> Result<Option<()>, BuildError> {
        // By row: what the base says, its records numbered as those of `source` are.
        let mut said = Vec::new();
        for row in base.rows.iter() {
            said.push(match own(row, id) {
                Some(verbs) => Some(super::sources::adopt(verbs, &base.body.sets, &mut entries.sets)?),
                None => None,
            });
        }
        let said = |row: u64| usize::try_from(row).ok().and_then(|row| said.get(row).copied().flatten());
        let names = compare_names(base, Canonical::of(id, source), &said, &mut entries, entries_max)?;
        if names.is_none() {
            return Ok(None);
        }
        compare_networks(base, source, &said, &mut entries, entries_max)
    };
    match compare() {
        Ok(Some(())) => Ok(Some(entries.finish().0)),
        // Both may have as many records as an index holds; one alone has not.
        Ok(None) | Err(BuildError::Records) => Ok(None),
        Err(error) => Err(error),
    }
}

/// What `id` says in `row`.
fn own(row: &Row, id: FeedId) -> Option<Verbs> {
    let listing = row.listings().iter().find(|listing| listing.feed == id)?;
    (!listing.verbs.is_silent()).then_some(listing.verbs)
}

/// Gathers the names that differ; `None` if there are too many.
fn compare_names(
    base: &Layer,
    mut new: Canonical<'_>,
    said: &impl Fn(u64) -> Option<Verbs>,
    entries: &mut Entries,
    entries_max: usize,
) -> Result<Option<()>, BuildError> {
    let mut old = Keys::of(base);
    new.advance(&mut entries.sets)?;
    loop {
        let was = old.row().and_then(said);
        if was.is_none() && old.row().is_some() {
            old.advance();
            continue;
        }
        let order = match (old.key(), new.key()) {
            (None, None) => return Ok(Some(())),
            (None, Some(_)) => Ordering::Greater,
            (Some(_), None) => Ordering::Less,
            (Some(old), Some(new)) => old.cmp(new),
        };
        let is = new.verbs.filter(|_| order.is_ge());
        let key = if order.is_le() { old.key() } else { new.key() };
        if is != was.filter(|_| order.is_le()) {
            let taken = entries.push(key.unwrap_or_default(), is.unwrap_or(Verbs::SILENT), false);
            if taken.is_err() || entries.len() > entries_max {
                return Ok(None);
            }
        }
        if order.is_le() {
            old.advance();
        }
        if order.is_ge() {
            new.advance(&mut entries.sets)?;
        }
    }
}

/// Gathers the networks that differ; `None` if there are too many.
fn compare_networks(
    base: &Layer,
    source: Source<'_>,
    said: &impl Fn(u64) -> Option<Verbs>,
    entries: &mut Entries,
    entries_max: usize,
) -> Result<Option<()>, BuildError> {
    let place = |side: Side, network: Network| (side, network.order());
    let mut new = Vec::new();
    networks_of(source, &mut entries.sets, &mut |side, network, verbs| new.push((side, network, verbs)))?;
    new.retain(|(.., verbs)| !verbs.is_silent());
    new.sort_unstable_by_key(|&(side, network, _)| place(side, network));
    let mut new = new.into_iter().peekable();
    let old = base.body.networks.iter();
    let mut old = old.filter_map(|(side, network, row)| Some((side, network, said(u64::from(row))?))).peekable();
    loop {
        let order = match (old.peek(), new.peek()) {
            (None, None) => return Ok(Some(())),
            (None, Some(_)) => Ordering::Greater,
            (Some(_), None) => Ordering::Less,
            (Some(old), Some(new)) => place(old.0, old.1).cmp(&place(new.0, new.1)),
        };
        let was = old.next_if(|_| order.is_le());
        let is = new.next_if(|_| order.is_ge());
        let verbs = |said: Option<(Side, Network, Verbs)>| said.map(|(.., verbs)| verbs);
        if let Some((side, network, _)) = is.or(was)
            && verbs(is) != verbs(was)
        {
            let taken = entries.take_network(side, network, verbs(is).unwrap_or(Verbs::SILENT), false);
            if taken.is_err() || entries.len() > entries_max {
                return Ok(None);
            }
        }
    }
}
