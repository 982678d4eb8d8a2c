//! Putting a generation's indexes together: big and small feeds have one each, so that a name added to a small one is enforced in
//! milliseconds however big the others are; an index none of whose feeds changed is taken over as it is, and one that is big and hardly changed
//! gets an overlay, which is merged in the background once it has grown.

use std::sync::Arc;

use super::feeds::FeedSet;
use super::guarding::guard_again;
use super::loading::Next;
use super::standing::{FeedState, Tier};
use crate::feed;
use crate::index::{BuildError, FeedId, Index, Kept, OVERLAY_ENTRIES_MAX, Part, Sorted};

/// A feed of at most so many entries is small: a guess. Beside a big one it costs a query one more
/// look at a filter, which fits a core's own cache.
pub(super) const SMALL_FEED_ENTRIES: u64 = 65_536;

/// The set of these feeds, by place, each with its settings and where its entries are; `previous`: the set in force. Whatever comes into force
/// passes here, so older entries are put before the guard here.
///
/// # Errors
/// [`BuildError`].
pub(super) fn assemble(
    configs: &[feed::Config],
    mut states: Vec<FeedState>,
    mut sources: Vec<Next>,
    previous: Option<&FeedSet>,
) -> Result<FeedSet, BuildError> {
    for ((config, state), next) in configs.iter().zip(&mut states).zip(&mut sources) {
        guard_again(config, state, next)?;
    }
    // Alone, small feeds need no index apart.
    let any_big = states.iter().any(|state| state.figures.entries > SMALL_FEED_ENTRIES);
    for state in &mut states {
        let small = any_big && state.figures.entries <= SMALL_FEED_ENTRIES;
        state.tier = if small { Tier::Small } else { Tier::Big };
    }
    let big = assemble_tier(Tier::Big, &states, &mut sources, previous)?;
    let small = assemble_tier(Tier::Small, &states, &mut sources, previous)?;
    Ok(FeedSet { states, big, small })
}

/// The index of one tier's feeds; `None` if it has none. One that is built already is taken as it is.
fn assemble_tier(
    tier: Tier,
    states: &[FeedState],
    sources: &mut [Next],
    previous: Option<&FeedSet>,
) -> Result<Option<Arc<Index>>, BuildError> {
    let mut own: Vec<(FeedId, &FeedState, &mut Next)> = (0..)
        .zip(states.iter().zip(sources))
        .filter(|(_, (state, _))| state.tier == tier)
        .filter_map(|(place, (state, next))| Some((FeedId::new(place)?, state, next)))
        .collect();
    if own.is_empty() {
        return Ok(None);
    }
    let stays = |(id, state, next): &(FeedId, &FeedState, &mut Next), old: &Arc<Index>| {
        let named = |index: &Index| index.feeds().iter().any(|feed| feed.id == *id && feed.name == state.name);
        matches!(&**next, Next::Kept(index, place) if place == id && Arc::ptr_eq(index, old) && named(index))
    };
    if let Some((_, _, Next::Kept(first, _))) = own.first()
        && first.feeds().len() == own.len()
        && own.iter().all(|one| stays(one, first))
    {
        return Ok(Some(Arc::clone(first)));
    }
    if let [(_, _, next)] = own.as_mut_slice()
        && matches!(next, Next::Whole(_))
        && let Next::Whole(index) = std::mem::replace(*next, Next::Nothing)
    {
        return Ok(Some(Arc::from(index)));
    }
    let nothing = Sorted::default();
    let parts: Vec<Part<'_>> = own
        .iter()
        .map(|(id, state, next)| {
            let source = match &**next {
                Next::Fresh(entries) => Kept::New(entries),
                Next::Whole(index) => Kept::Old(index, *id),
                Next::Kept(index, place) => Kept::Old(index, *place),
                Next::Nothing => Kept::New(&nothing),
            };
            Part { id: *id, name: &state.name, entries: state.figures.entries, source }
        })
        .collect();
    let old = previous.and_then(|old| old.tier(tier)).filter(|old| old.feeds().len() == own.len());
    // The feeds are as many as they were; that each of the others has a base, the overlay looks after.
    if let Some(old) = old.filter(|old| old.keys() > OVERLAY_ENTRIES_MAX) {
        let changed = own.iter().zip(&parts).filter(|(one, _)| !stays(one, old)).map(|(_, part)| *part);
        if let Some(amended) = old.amended(&changed.collect::<Vec<_>>(), OVERLAY_ENTRIES_MAX)? {
            return Ok(Some(Arc::new(amended)));
        }
    }
    Index::build(&parts).map(Arc::new).map(Some)
}
