//! Overlays merged in the background: an index whose overlay has grown is built whole on a thread of its own, so that no update pays for it.
//!
//! Until it is built, everything goes on as before: updates are enforced, and if one of them changed the index meanwhile, what was built is
//! dropped and the new one merged instead. The policy stays the same: nothing is read, no gate is asked, no generation more is kept.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::thread;

use super::feeds::FeedSet;
use super::publisher::Publisher;
use super::tasks::Task;
use crate::index::{BuildError, Index, OVERLAY_ENTRIES_MAX};
use crate::sys;

/// An overlay of more names and networks is merged: a quarter of what one may have, so that the next small change still finds room and a query
/// pays little for it (a guess).
const MERGED_FROM_ENTRIES: usize = OVERLAY_ENTRIES_MAX / 4;

/// An index built whole.
pub(super) struct Merged {
    /// The one with the overlay.
    old: Arc<Index>,
    /// What says the same without one; `None`: building it panicked.
    whole: Option<Result<Index, BuildError>>,
}

/// Which index is being merged.
#[derive(Default)]
pub(super) enum Merging {
    /// None.
    #[default]
    Idle,
    /// One is built on another thread.
    Building,
    /// One could not be built: overlays then stay until an update has to build.
    Failed,
}

impl Publisher {
    /// Begins to merge the index in force whose overlay has grown, if there is one.
    pub(super) fn merge_overlays(&mut self, tasks: &Sender<Task>) {
        let Merging::Idle = self.merging else { return };
        let indexes = self.feeds.as_ref().map(FeedSet::indexes).unwrap_or_default();
        let Some(old) = indexes.into_iter().find(|index| index.overlay_entries() > MERGED_FROM_ENTRIES) else { return };
        let tasks = tasks.clone();
        let work = move || {
            // As the publisher: queries come first.
            sys::lower_priority().ok();
            let whole = guarded(|| old.flattened());
            // Refused only once the publisher is gone.
            tasks.send(Task::Merged(Merged { old, whole })).ok();
        };
        self.merging = match thread::Builder::new().name("cenote-merge".to_owned()).spawn(work) {
            Ok(_) => Merging::Building,
            Err(_) => Merging::Failed,
        };
    }

    /// Takes what was merged, if nothing has changed since it was begun.
    pub(super) fn take_merged(&mut self, Merged { old, whole }: Merged) {
        self.merging = Merging::Failed;
        match whole {
            None => tracing::error!("merging an overlay panicked: a defect; the overlay stays"),
            Some(Err(error)) => {
                tracing::warn!(error = super::chain(&error), "an overlay could not be merged; it stays");
            }
            Some(Ok(whole)) => {
                self.merging = Merging::Idle;
                let replaced = self.feeds.as_mut().is_some_and(|set| set.replace(&old, whole));
                drop(old);
                if replaced && self.enforced() == 0 {
                    // What is not enforced yet waits on.
                    self.set_gauges();
                } else if replaced {
                    self.publish();
                    if let Some(note) = self.keep_in_place() {
                        tracing::warn!("{note}");
                    }
                }
            }
        }
    }
}

/// What the work came to, or that it panicked.
fn guarded<T>(work: impl FnOnce() -> T) -> Option<T> {
    catch_unwind(AssertUnwindSafe(work)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_an_outcome() {
        assert_eq!(guarded(|| 1), Some(1));
        assert_eq!(guarded(|| std::panic::resume_unwind(Box::new(()))), None::<()>);
    }
}
