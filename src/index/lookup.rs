//! [`Index`]: the verified map and its rows; the walk.
//!
//! Most names are not listed, and the filter says so for the price of a hash a label. A walk costs one FST transition an octet of the
//! name, from the root's side, and ends at the first octet no listed name shares: a name under an unlisted domain usually ends inside its
//! second label.

use std::net::IpAddr;
use std::sync::Arc;

use fst::raw::{Fst, Output};

use super::artifact::Octets;
use super::filter::Filter;
use super::networks::Networks;
use super::record_sets::RecordSets;
use super::{DataId, FeedId, Record, Row, Side, Until};
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
    pub(super) layer: Layer,
    /// By place; not all places need be here.
    pub(super) feeds: Vec<IndexedFeed>,
}

/// Keys and networks, and what is said of them.
pub(super) struct Layer {
    /// All that has a size.
    pub(super) body: Arc<Body>,
    /// By number.
    pub(super) rows: Box<[Row]>,
}

/// What stays as it was built while rows come to their ends.
pub(super) struct Body {
    /// Verified; every value is under the number of rows in what we build, and looked up with a bound check all the same.
    pub(super) map: Fst<Octets>,
    /// Of all keys of `map`; an artifact may lack it.
    pub(super) filter: Option<Filter>,
    /// By side; every row is under the number of rows.
    pub(super) networks: Networks,
    /// What the rows' verbs are answered with.
    pub(super) sets: RecordSets,
}

impl Layer {
    /// The row with this number, if it says anything.
    #[inline]
    pub(super) fn row(&self, number: u64) -> Option<&Row> {
        let row = usize::try_from(number).ok().and_then(|number| self.rows.get(number));
        row.filter(|row| !row.listings().is_empty())
    }

    /// Octets of the map, its filter, the networks and the records.
    fn bytes(&self) -> usize {
        let Body { map, filter, networks, sets } = &*self.body;
        map.as_bytes().len() + filter.as_ref().map_or(0, Filter::bytes) + networks.bytes() + sets.bytes()
    }
}

impl std::fmt::Debug for Index {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Index")
            .field("keys", &self.keys())
            .field("rows", &self.layer.rows.len())
            .finish_non_exhaustive()
    }
}

impl Index {
    /// False: no feed lists `name` or a name above it. True: one may, and [`Self::walk`] tells.
    #[inline]
    #[must_use]
    pub fn may_list(&self, name: &NameRef<'_>) -> bool {
        self.layer.body.filter.as_ref().is_none_or(|filter| filter.may_hold(name))
    }

    /// Calls `visit` with the row of every listed ancestor of `name`, from the root's side down, the name itself last, and with how many
    /// labels that ancestor has.
    #[inline]
    pub fn walk<'i>(&'i self, name: &NameRef<'_>, mut visit: impl FnMut(usize, &'i Row)) {
        let map = &self.layer.body.map;
        let mut node = map.root();
        let mut output = Output::zero();
        let mut report = |labels: usize, value: Output| {
            if let Some(row) = self.layer.row(value.value()) {
                visit(labels, row);
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

    /// Whether any feed lists a network on this side.
    #[inline]
    #[must_use]
    pub fn has_networks(&self, side: Side) -> bool {
        self.layer.body.networks.has(side)
    }

    /// Calls `visit` with length (of 128 bits; an IPv4 network's is 96 more) and row of every network of `side` that `address` is in, the
    /// longest first. What a row says of a network is its listings' `verbs.at`.
    #[inline]
    pub fn walk_networks<'i>(&'i self, side: Side, address: IpAddr, mut visit: impl FnMut(u8, &'i Row)) {
        self.layer.body.networks.walk(side, address, |prefix_len, row| {
            if let Some(row) = self.layer.row(u64::from(row)) {
                visit(prefix_len, row);
            }
        });
    }

    /// What a [`Verb::Data`](super::Verb::Data) of one of this index's rows is answered with: sorted by type, then by data; a CNAME stands
    /// alone, and its target may begin with `*`. Empty for a number that is none of this index's.
    #[inline]
    #[must_use]
    pub fn records(&self, id: DataId) -> &[Record] {
        self.layer.body.sets.get(id)
    }

    /// How many keys the map holds, redundant ones left out.
    #[must_use]
    pub fn keys(&self) -> usize {
        self.layer.body.map.len()
    }

    /// Octets of the map, its filter, the networks and the records.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.layer.bytes()
    }

    /// When the first entry that is still enforced ends, if one does. Costs a look at every row, not at every key.
    #[must_use]
    pub fn lapses_next(&self) -> Option<Until> {
        self.layer.rows.iter().filter_map(Row::lapses_next).min()
    }

    /// The same index without what has come to its end, `now_secs` after 1970: the rows are made anew, which takes kilobytes; all else is shared.
    #[must_use]
    pub fn lapsed(&self, now_secs: u64) -> Self {
        let rows = self.layer.rows.iter().map(|row| row.lapse(now_secs)).collect();
        Self { layer: Layer { body: Arc::clone(&self.layer.body), rows }, feeds: self.feeds.clone() }
    }

    /// The feeds, by place.
    #[must_use]
    pub fn feeds(&self) -> &[IndexedFeed] {
        &self.feeds
    }

    /// The same index as one feed, `name` at place `id`: what an artifact is when it is a feed's source. The map is not touched.
    #[must_use]
    pub fn into_one_feed(self, id: FeedId, name: &str) -> Self {
        let entries = match self.feeds.as_slice() {
            [only] => only.entries,
            _ => (self.keys() + self.layer.body.networks.len()) as u64,
        };
        let rows = self.layer.rows.iter().map(|row| row.collapse(id)).collect();
        let feeds = vec![IndexedFeed { id, name: name.to_owned(), entries }];
        Self { layer: Layer { rows, ..self.layer }, feeds }
    }
}
