//! [`Layer`]: keys and networks with their rows; and what two of them, one over the other, say of a place.
//!
//! An overlay's word on a place replaces the base's of the same feed; an overlay's silence deletes it. Both are walked side by side, so that
//! whoever asks hears one index, the outermost place first. Costs a look at the overlay's filter, and a second walk for names that may be in it.

use std::net::IpAddr;
use std::sync::Arc;

use fst::raw::{Fst, Node, Output, Stream};
use fst::{IntoStreamer, Streamer};

use super::filter::Filter;
use super::networks::Networks;
use super::record_sets::RecordSets;
use super::rows::{self, Row};
use super::{DataId, Listing, Network, Record, Side};
use crate::name::{NameRef, fold};

/// Keys and networks, and what is said of them.
#[derive(Clone)]
pub(super) struct Layer {
    /// All that has a size.
    pub(super) body: Arc<Body>,
    /// By number.
    pub(super) rows: Arc<[Row]>,
}

/// What stays as it was built while rows come to their ends.
pub(super) struct Body {
    /// Verified; every value is under the number of rows in what we build, and looked up with a bound check all the same.
    pub(super) map: Fst<Vec<u8>>,
    /// Of all keys of `map`; an artifact may lack it.
    pub(super) filter: Option<Filter>,
    /// By side; every row is under the number of rows.
    pub(super) networks: Networks,
    /// What the rows' verbs are answered with.
    pub(super) sets: RecordSets,
    /// By which an overlay on disk knows its base: all of the above, and the rows as they were built, summed.
    pub(super) mark: u64,
}

impl Body {
    /// Its mark, if it was built with these rows: the map's own checksum in front of that of all else but the filter.
    pub(super) fn mark_with(&self, rows: &[Row]) -> u64 {
        let map = self.map.as_bytes().last_chunk::<4>().copied().map_or(0, u32::from_le_bytes);
        let mut rest = crc32fast::Hasher::new();
        rest.update(&rows::encode(rows));
        for (side, network, row) in self.networks.iter() {
            rest.update(&network.key(side));
            rest.update(&row.to_be_bytes());
        }
        rest.update(&self.sets.encode());
        u64::from(map) << 32 | u64::from(rest.finalize())
    }
}

impl Layer {
    /// The row with this number, if it has any listing.
    #[inline]
    pub(super) fn row(&self, number: u64) -> Option<&Row> {
        let row = usize::try_from(number).ok().and_then(|number| self.rows.get(number));
        row.filter(|row| !row.listings().is_empty())
    }

    /// What `row`, one of its own, says where no other layer is over it.
    #[inline]
    pub(super) fn says<'i>(&'i self, row: &'i Row) -> Listings<'i> {
        Listings { row, over: None, sets: &self.body.sets }
    }

    /// Whether `name` or a name above it may be a key.
    #[inline(always)]
    pub(super) fn may_hold(&self, name: &NameRef<'_>) -> bool {
        self.body.filter.as_ref().is_none_or(|filter| filter.may_hold(name))
    }

    /// The row of a name, by its key.
    pub(super) fn name(&self, key: &[u8]) -> Option<&Row> {
        self.body.map.get(key).and_then(|row| self.row(row.value()))
    }

    /// The row of a network.
    pub(super) fn network(&self, side: Side, network: Network) -> Option<&Row> {
        self.body.networks.find(side, network).and_then(|row| self.row(u64::from(row)))
    }

    /// How many keys and networks.
    pub(super) fn len(&self) -> usize {
        self.body.map.len() + self.body.networks.len()
    }

    /// Octets of the map, its filter, the networks and the records.
    pub(super) fn bytes(&self) -> usize {
        let Body { map, filter, networks, sets, mark: _ } = &*self.body;
        map.as_bytes().len() + filter.as_ref().map_or(0, Filter::bytes) + networks.bytes() + sets.bytes()
    }

    /// The same layer with rows made from its own.
    pub(super) fn with_rows(&self, make: impl Fn(&Row) -> Row) -> Self {
        Self { body: Arc::clone(&self.body), rows: self.rows.iter().map(make).collect() }
    }
}

/// What feeds say of one name or network.
#[derive(Clone, Copy)]
pub struct Listings<'i> {
    /// What one layer says.
    row: &'i Row,
    /// What the layer over it says there: its feeds' listings replace those in `row`.
    over: Option<&'i Row>,
    /// What the verbs in `row` are answered with.
    sets: &'i RecordSets,
}

impl<'i> Listings<'i> {
    /// Each feed's, by feed; each feed once.
    #[inline]
    pub fn iter(self) -> impl Iterator<Item = &'i Listing> {
        let stands = move |listing: &&Listing| self.over.is_none_or(|over| !over.is_of(listing.feed));
        self.row.listings().iter().filter(move |listing| stands(listing) && !listing.verbs.is_silent())
    }

    /// What a [`Verb::Data`](super::Verb::Data) of one of these is answered with: sorted by type, then by data; a CNAME stands alone, and its
    /// target may begin with `*`. Empty for a number that is of none of these.
    #[inline]
    #[must_use]
    pub fn records(self, id: DataId) -> &'i [Record] {
        self.sets.get(id)
    }
}

impl std::fmt::Debug for Listings<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

/// A base and the overlay over it.
#[derive(Clone, Copy)]
pub(super) struct Both<'i> {
    /// Under.
    pub(super) base: &'i Layer,
    /// Over.
    pub(super) overlay: &'i Layer,
}

impl<'i> Both<'i> {
    /// Calls `visit` as [`Index::walk`](super::Index::walk) does.
    #[inline(never)]
    pub(super) fn walk(self, name: &NameRef<'_>, visit: &mut dyn FnMut(usize, Listings<'i>)) {
        let (mut base, mut overlay) = (Descent::of(self.base), Descent::of(self.overlay));
        self.report(base.row(), overlay.row(), |listings| visit(0, listings));
        for (above, label) in name.root_first().enumerate() {
            base.step(label);
            overlay.step(label);
            if base.at.is_none() && overlay.at.is_none() {
                return;
            }
            self.report(base.row(), overlay.row(), |listings| visit(above + 1, listings));
        }
    }

    /// Calls `visit` as [`Index::walk_networks`](super::Index::walk_networks) does.
    #[inline(never)]
    pub(super) fn walk_networks(self, side: Side, address: IpAddr, visit: &mut dyn FnMut(u8, Listings<'i>)) {
        let mut base = self.base.body.networks.holding(side, address).peekable();
        let mut overlay = self.overlay.body.networks.holding(side, address).peekable();
        while let Some(longest) = base.peek().max(overlay.peek()).map(|&(prefix_len, _)| prefix_len) {
            let of = |(prefix_len, _): &(u8, u32)| *prefix_len == longest;
            let row = base.next_if(of).and_then(|(_, row)| self.base.row(u64::from(row)));
            let over = overlay.next_if(of).and_then(|(_, row)| self.overlay.row(u64::from(row)));
            self.report(row, over, |listings| visit(longest, listings));
        }
    }

    /// Calls `visit` with what is left of a base's row, and with the overlay's, as far as they say anything.
    fn report(self, row: Option<&'i Row>, over: Option<&'i Row>, mut visit: impl FnMut(Listings<'i>)) {
        let left = row.map(|row| Listings { over, ..self.base.says(row) });
        for listings in left.into_iter().chain(over.map(|over| self.overlay.says(over))) {
            if listings.iter().next().is_some() {
                visit(listings);
            }
        }
    }
}

/// A walk down one layer, from the root.
struct Descent<'i> {
    /// The layer.
    layer: &'i Layer,
    /// Where it stands and what it has gathered; `None` once it has left the map.
    at: Option<(Node<'i>, Output)>,
}

impl<'i> Descent<'i> {
    /// At the root of `layer`.
    fn of(layer: &'i Layer) -> Self {
        Self { layer, at: Some((layer.body.map.root(), Output::zero())) }
    }

    /// Goes on by one label.
    fn step(&mut self, label: &[u8]) {
        let Some((mut node, mut output)) = self.at.take() else { return };
        for &octet in label {
            let Some(found) = node.find_input(fold(octet)) else { return };
            let transition = node.transition(found);
            output = output.cat(transition.out);
            node = self.layer.body.map.node(transition.addr);
        }
        self.at = Some((node, output));
    }

    /// The row of where it stands.
    fn row(&self) -> Option<&'i Row> {
        let (node, output) = self.at.as_ref()?;
        if !node.is_final() {
            return None;
        }
        self.layer.row(output.cat(node.final_output()).value())
    }
}

/// The keys of a layer in order.
pub(super) struct Keys<'i> {
    /// The layer.
    layer: &'i Layer,
    /// What is left of its keys.
    rest: Stream<'i>,
    /// The key it stands at; meaningless when `row` is none.
    key: Vec<u8>,
    /// That key's row number; `None`: no key is left.
    row: Option<u64>,
}

impl<'i> Keys<'i> {
    /// At the first key of `layer`.
    pub(super) fn of(layer: &'i Layer) -> Self {
        let mut keys = Self { layer, rest: layer.body.map.into_stream(), key: Vec::new(), row: None };
        keys.advance();
        keys
    }

    /// The layer.
    pub(super) const fn layer(&self) -> &'i Layer {
        self.layer
    }

    /// The key it stands at.
    pub(super) fn key(&self) -> Option<&[u8]> {
        self.row.map(|_| self.key.as_slice())
    }

    /// The number of that key's row.
    pub(super) const fn row(&self) -> Option<u64> {
        self.row
    }

    /// All that is said of that key, silence too.
    pub(super) fn listings(&self) -> &'i [Listing] {
        self.row.and_then(|row| self.layer.row(row)).map(Row::listings).unwrap_or_default()
    }

    /// Goes on to the next key.
    pub(super) fn advance(&mut self) {
        self.row = self.rest.next().map(|(next, value)| {
            self.key.clear();
            self.key.extend_from_slice(next);
            value.value()
        });
    }
}
