//! [`Index`]: the verified map and its rows, an overlay over them if there is one; the walk.
//!
//! Most names are not listed, and the filter says so for the price of a hash a label. A walk costs one FST transition an octet of the
//! name, from the root's side, and ends at the first octet no listed name shares: a name under an unlisted domain usually ends inside its
//! second label.

use std::net::IpAddr;

use fst::raw::Output;

use super::layers::{Both, Layer, Listings};
use super::rows::Row;
use super::{FeedId, OpenError, Side, Until, Verb};
use crate::name::{NameRef, fold};

/// One feed as the index knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IndexedFeed {
    /// Its place among all feeds.
    pub id: FeedId,
    /// The operator's name for it.
    pub name: String,
    /// Distinct indicators, names and networks, those a parent makes redundant included.
    pub entries: u64,
}

/// All feeds' entries, immutable and verified.
pub struct Index {
    /// What is listed.
    pub(super) base: Layer,
    /// What was changed since `base` was built; it lists something.
    pub(super) overlay: Option<Layer>,
    /// By place; not all places need be here.
    pub(super) feeds: Vec<IndexedFeed>,
}

impl std::fmt::Debug for Index {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Index").field("keys", &self.keys()).field("rows", &self.base.rows.len()).finish_non_exhaustive()
    }
}

impl Index {
    /// False: no feed lists `name` or a name above it. True: one may, and [`Self::walk`] tells.
    #[inline]
    #[must_use]
    pub fn may_list(&self, name: &NameRef<'_>) -> bool {
        self.base.may_hold(name) || self.overlay.as_ref().is_some_and(|overlay| overlay.may_hold(name))
    }

    /// Calls `visit` with what feeds say of every listed ancestor of `name`, from the root's side down, the name itself last, and with how many
    /// labels that ancestor has; of an ancestor it may be twice, and of no feed twice.
    #[inline]
    pub fn walk<'i>(&'i self, name: &NameRef<'_>, mut visit: impl FnMut(usize, Listings<'i>)) {
        if let Some(both) = self.both()
            && both.overlay.may_hold(name)
        {
            return both.walk(name, &mut visit);
        }
        let map = &self.base.body.map;
        let mut node = map.root();
        let mut output = Output::zero();
        let mut report = |labels: usize, value: Output| {
            if let Some(row) = self.base.row(value.value()) {
                visit(labels, self.base.says(row));
            }
        };
        if node.is_final() {
            report(0, node.final_output());
        }
        for (above, label) in name.root_first().enumerate() {
            for &octet in label {
                let Some(found) = node.find_input(fold(octet)) else { return };
                let transition = node.transition(found);
                output = output.cat(transition.out);
                node = map.node(transition.addr);
            }
            if node.is_final() {
                report(above + 1, output.cat(node.final_output()));
            }
        }
    }

    /// Whether any feed may list a network on this side.
    #[inline]
    #[must_use]
    pub fn has_networks(&self, side: Side) -> bool {
        self.base.body.networks.has(side)
            || self.overlay.as_ref().is_some_and(|overlay| overlay.body.networks.has(side))
    }

    /// Calls `visit` with length (of 128 bits; an IPv4 network's is 96 more) of every network of `side` that `address` is in, the longest
    /// first, and with what feeds say of it, which is their listings' `verbs.at`; of a network it may be twice, and of no feed twice.
    #[inline]
    pub fn walk_networks<'i>(&'i self, side: Side, address: IpAddr, mut visit: impl FnMut(u8, Listings<'i>)) {
        if let Some(both) = self.both() {
            return both.walk_networks(side, address, &mut visit);
        }
        for (prefix_len, row) in self.base.body.networks.holding(side, address) {
            if let Some(row) = self.base.row(u64::from(row)) {
                visit(prefix_len, self.base.says(row));
            }
        }
    }

    /// Base and overlay, if there is one.
    #[inline]
    fn both(&self) -> Option<Both<'_>> {
        self.overlay.as_ref().map(|overlay| Both { base: &self.base, overlay })
    }

    /// How many keys the maps hold, redundant ones left out, those that an overlay changes or deletes counted again.
    #[must_use]
    pub fn keys(&self) -> usize {
        self.layers().map(|layer| layer.body.map.len()).sum()
    }

    /// Octets of the maps, their filters, the networks and the records.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.layers().map(Layer::bytes).sum()
    }

    /// The base, and the overlay if there is one.
    fn layers(&self) -> impl Iterator<Item = &Layer> {
        std::iter::once(&self.base).chain(&self.overlay)
    }

    /// When the first entry that is still enforced ends, if one does; or a little before. Costs a look at every row, not at every key.
    #[must_use]
    pub fn lapses_next(&self) -> Option<Until> {
        self.layers().flat_map(|layer| layer.rows.iter()).filter_map(Row::lapses_next).min()
    }

    /// The same index without what has come to its end, `now_secs` after 1970: the rows are made anew, which takes kilobytes; all else is shared.
    #[must_use]
    pub fn lapsed(&self, now_secs: u64) -> Self {
        let overlay = self.overlay.as_ref().map(|overlay| overlay.with_rows(|row| row.hush(now_secs)));
        Self { base: self.base.with_rows(|row| row.lapse(now_secs)), overlay, feeds: self.feeds.clone() }
    }

    /// The feeds, by place.
    #[must_use]
    pub fn feeds(&self) -> &[IndexedFeed] {
        &self.feeds
    }

    /// What the entries of a feed ask for, each once, in order. Costs a look at every row, not at every key.
    #[must_use]
    pub fn asks(&self, feed: FeedId) -> Vec<Verb> {
        let listings = self.layers().flat_map(|layer| layer.rows.iter()).flat_map(Row::listings);
        let own = listings.filter(|listing| listing.feed == feed);
        let mut verbs: Vec<_> = own.flat_map(|listing| [listing.verbs.at, listing.verbs.below]).flatten().collect();
        verbs.sort_unstable();
        verbs.dedup();
        verbs
    }

    /// Whether, were all feeds one as [`open_one_feed`](Self::open_one_feed) makes them, some name would end at another time than what is below
    /// it: an artifact holds one end for both. Costs as [`asks`](Self::asks).
    #[must_use]
    pub fn ends_apart(&self) -> bool {
        self.layers().flat_map(|layer| layer.rows.iter()).any(Row::ends_apart)
    }

    /// An artifact held in memory, opened as one feed, `name` at place `id`: what it is when it is a feed's source. The map is not touched.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn open_one_feed(file: Vec<u8>, id: FeedId, name: &str) -> Result<Self, OpenError> {
        let Self { base, feeds, .. } = Self::open(file)?;
        let entries = match feeds.as_slice() {
            [only] => only.entries,
            _ => base.len() as u64,
        };
        let base = base.with_rows(|row| row.collapse(id));
        Ok(Self { base, overlay: None, feeds: vec![IndexedFeed { id, name: name.to_owned(), entries }] })
    }
}
