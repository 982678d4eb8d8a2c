//! [`Index`]: the verified map and its rows; the walk.
//!
//! Most names are not listed, and the filter says so for the price of a hash a label. A walk costs one FST transition an octet of the
//! name, from the root's side, and ends at the first octet no listed name shares: a name under an unlisted domain usually ends inside its
//! second label.

use std::net::IpAddr;

use fst::raw::{Fst, Output};

use super::artifact::Octets;
use super::filter::Filter;
use super::networks::Networks;
use super::record_sets::RecordSets;
use super::{DataId, FeedId, Record, Row, Side};
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
    /// Verified; every value is under `rows.len()` in what we build, and looked up with a bound check all the same.
    pub(super) map: Fst<Octets>,
    /// Of all keys of `map`; an artifact may lack it.
    pub(super) filter: Option<Filter>,
    /// By side; every row is under `rows.len()`.
    pub(super) networks: Networks,
    /// By number.
    pub(super) rows: Vec<Row>,
    /// What the rows' verbs are answered with.
    pub(super) sets: RecordSets,
    /// By place; not all places need be here.
    pub(super) feeds: Vec<IndexedFeed>,
}

impl std::fmt::Debug for Index {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Index").field("keys", &self.map.len()).field("rows", &self.rows.len()).finish_non_exhaustive()
    }
}

impl Index {
    /// False: no feed lists `name` or a name above it. True: one may, and [`Self::walk`] tells.
    #[inline]
    #[must_use]
    pub fn may_list(&self, name: &NameRef<'_>) -> bool {
        self.filter.as_ref().is_none_or(|filter| filter.may_hold(name))
    }

    /// Calls `visit` with the row of every listed ancestor of `name`, from the root's side down, the name itself last, and with how many
    /// labels that ancestor has.
    #[inline]
    pub fn walk<'i>(&'i self, name: &NameRef<'_>, mut visit: impl FnMut(usize, &'i Row)) {
        let mut node = self.map.root();
        let mut output = Output::zero();
        let mut report = |labels: usize, value: Output| {
            if let Some(row) = usize::try_from(value.value()).ok().and_then(|number| self.rows.get(number)) {
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
                node = self.map.node(transition.addr);
            }
            if node.is_final() {
                report(above + 1, output.cat(node.final_output()));
            }
        }
    }

    /// Whether any feed lists a network on this side.
    #[inline]
    #[must_use]
    pub const fn has_networks(&self, side: Side) -> bool {
        self.networks.has(side)
    }

    /// Calls `visit` with length (of 128 bits; an IPv4 network's is 96 more) and row of every network of `side` that `address` is in, the
    /// longest first. What a row says of a network is its listings' `verbs.at`.
    #[inline]
    pub fn walk_networks<'i>(&'i self, side: Side, address: IpAddr, mut visit: impl FnMut(u8, &'i Row)) {
        self.networks.walk(side, address, |prefix_len, row| {
            if let Some(row) = usize::try_from(row).ok().and_then(|number| self.rows.get(number)) {
                visit(prefix_len, row);
            }
        });
    }

    /// What a [`Verb::Data`](super::Verb::Data) of one of this index's rows is answered with: sorted by type, then by data; a CNAME stands
    /// alone, and its target may begin with `*`. Empty for a number that is none of this index's.
    #[inline]
    #[must_use]
    pub fn records(&self, id: DataId) -> &[Record] {
        self.sets.get(id)
    }

    /// How many keys the map holds, redundant ones left out.
    #[must_use]
    pub fn keys(&self) -> usize {
        self.map.len()
    }

    /// Octets of the map, its filter, the networks and the records.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.map.as_bytes().len()
            + self.filter.as_ref().map_or(0, Filter::bytes)
            + self.networks.bytes()
            + self.sets.bytes()
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
            _ => (self.map.len() + self.networks.len()) as u64,
        };
        let rows = self.rows.iter().map(|row| row.collapse(id)).collect();
        let feeds = vec![IndexedFeed { id, name: name.to_owned(), entries }];
        Self { rows, feeds, ..self }
    }
}
