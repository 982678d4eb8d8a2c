//! What older loads left is put before the guard again: protected names may be newer than a feed's entries, which stay when it cannot be read,
//! is refused, or goes back to an older generation.
//!
//! Costs nothing while the protected names are those that the entries were read with; after a change of them a pass over the index that a
//! feed is in, once.

use std::sync::Arc;

use super::loading::Next;
use super::standing::FeedState;
use crate::feed::{self, Guard};
use crate::index::{BuildError, Kept, Subject};

/// Leaves those entries of a feed out that would sink what is protected now.
///
/// # Errors
/// [`BuildError`].
pub(super) fn guard_again(config: &feed::Config, state: &mut FeedState, next: &mut Next) -> Result<(), BuildError> {
    let guard = &config.terms.guard;
    if let Next::Kept(index, place) = next
        && !is_guarded_by(guard, config, state)
    {
        let (kept, mut sunk) = (Kept::Old(index, *place), 0);
        kept.each(&mut |subject, verbs| {
            sunk += u64::from(matches!(subject, Subject::Name(key) if guard.refuses(key, verbs)));
        });
        if sunk > 0 {
            *next = Next::Fresh(kept.without(&|key, verbs| guard.refuses(key, verbs))?);
            state.withhold(sunk);
        }
    }
    state.guard = Some(Arc::clone(guard));
    Ok(())
}

/// Whether a feed's entries have been put before this guard.
fn is_guarded_by(guard: &Arc<Guard>, config: &feed::Config, state: &FeedState) -> bool {
    match &state.guard {
        Some(known) => Arc::ptr_eq(known, guard) || known == guard,
        // Kept by an earlier run: what it was read with is known by its settings alone.
        None => state.fingerprint == config.fingerprint(),
    }
}
