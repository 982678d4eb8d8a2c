//! Building an index: sorted feeds, and what is kept of the index in force, merged key by key into an FST.
//!
//! A kept feed is read out of the old index, so an unchanged feed needs neither its file nor a second copy in memory. A key that says
//! nothing its ancestors do not say already, and no longer than they do, is left out (14 % of real names). Cost: that of reading the sources, then
//! the FST's own.

use std::sync::Arc;

use fst::raw::{Builder, Fst};

use super::ancestors::Ancestors;
use super::filter::Filter;
use super::layers::{Body, Layer};
use super::lookup::IndexedFeed;
use super::networks::{NETWORKS_MAX, Networks};
use super::record_sets::{RECORD_SETS_MAX, RecordSets};
use super::rows::RowTable;
use super::sources::{Kept, Merge, Source, gather_networks};
use super::{EntriesError, FeedId, Index, Listing};

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
    /// A feed's entries, some of them left out, do not fit where they fitted before.
    #[error("the entries that are left of a feed could not be gathered")]
    Entries(#[source] EntriesError),
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

/// What is to be built.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// A layer that stands alone: it holds nothing redundant.
    Whole,
    /// A layer over another one: silence is kept, and nothing else is left out.
    Overlay,
}

impl Index {
    /// Builds the index of `parts` and verifies it.
    ///
    /// # Errors
    /// [`BuildError`].
    pub fn build(parts: &[Part<'_>]) -> Result<Self, BuildError> {
        let mut parts = parts.to_vec();
        parts.sort_by_key(|part| part.id);
        if !parts.is_sorted_by(|a, b| a.id < b.id) {
            return Err(BuildError::Twice);
        }
        let sources: Vec<_> = parts.iter().map(|part| (part.id, part.source.of())).collect();
        let base = build_layer(&sources, Form::Whole)?;
        let indexed = |part: &Part<'_>| IndexedFeed { id: part.id, name: part.name.to_owned(), entries: part.entries };
        Ok(Self { base, overlay: None, feeds: parts.iter().map(indexed).collect() })
    }
}

/// Builds a layer of these feeds and verifies it.
pub(super) fn build_layer(sources: &[(FeedId, Source<'_>)], form: Form) -> Result<Layer, BuildError> {
    let mut merge = Merge::of(sources);
    let mut builder = Builder::memory();
    let mut filter = Filter::with_room(merge.len());
    let mut table = RowTable::default();
    let mut sets = RecordSets::default();
    let mut ancestors = Ancestors::default();
    while let Some((key, listings)) = merge.next(&mut sets)? {
        listings.sort_unstable_by_key(|listing| listing.feed);
        if form == Form::Whole {
            ancestors.admit(key, listings);
        }
        if listings.is_empty() {
            continue;
        }
        let row = table.intern(listings).ok_or(BuildError::Rows)?;
        builder.insert(key, row).map_err(BuildError::Map)?;
        filter.insert(key);
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

/// The networks of all feeds, with rows of `table` and sets of `sets`.
fn build_networks(
    sources: &[(FeedId, Source<'_>)],
    form: Form,
    table: &mut RowTable,
    sets: &mut RecordSets,
) -> Result<Networks, BuildError> {
    let mut said = gather_networks(sources, sets)?;
    said.retain(|(.., listing)| form == Form::Overlay || !listing.verbs.is_silent());
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
