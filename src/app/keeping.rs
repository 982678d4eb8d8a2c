//! Keeping what is enforced on disk: whatever comes of it, protection stays, and what could not be kept is tried again.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use super::feeds::FeedSet;
use super::loading::now_secs;
use super::publisher::Publisher;
use super::tasks::{Generations, ReloadError};
use crate::feed::{KeptFeed, RETRY_FIRST, RETRY_MAX, Store, StoreError};
use crate::index::Index;

/// A way to keep a generation on disk.
type Save = fn(&mut Store, u64, u64, Vec<KeptFeed>, BTreeMap<String, Arc<Index>>) -> Result<(), StoreError>;

/// How it stands with what is kept.
#[derive(Default)]
pub(super) struct Keeping {
    /// The generation kept last.
    pub(super) generation: u64,
    /// Generations that could not be kept.
    pub(super) failures: u64,
    /// Whether something kept was passed over because a newer version of this program wrote it.
    pub(super) newer: bool,
    /// If what is in force is one of them: when to try again, and how often that was done.
    again: Option<(Instant, u32)>,
}

impl Keeping {
    /// When to try again.
    pub(super) fn again_at(&self) -> Option<Instant> {
        self.again.map(|(at, _)| at)
    }
}

impl Publisher {
    /// Opens the state directory, and reads what was kept last.
    pub(super) fn open_store(&mut self) -> Result<(Option<FeedSet>, Vec<String>), ReloadError> {
        let Some(folder) = &self.settings.state.directory else { return Ok((None, Vec::new())) };
        let mut store = match Store::open(folder, self.settings.state.generations) {
            Ok(store) => store,
            Err(error @ StoreError::InUse { .. }) => return Err(error.into()),
            Err(error) => {
                self.keeping.failures += 1;
                return Ok((None, vec![format!("nothing is kept: {}", super::chain(&error))]));
            }
        };
        let mut notes = Vec::new();
        if let Some(why) = store.unwritable() {
            self.keeping.failures += 1;
            notes.push(format!("nothing is kept: {}: cannot be written: {why}", folder.display()));
        }
        let (kept, passed_over) = store.newest();
        self.keeping.newer = passed_over.iter().any(StoreError::is_newer);
        notes.extend(passed_over.iter().map(|error| format!("passed over: {}", super::chain(error))));
        // A number means one policy, in every run.
        self.generation = store.last_number();
        self.keeping.generation = kept.as_ref().map_or(0, |kept| kept.generation);
        self.store = Some(store);
        // Told from now on, while the feeds are being read.
        self.set_gauges();
        Ok((kept.map(FeedSet::from_kept), notes))
    }

    /// Writes down the number that is about to be enforced. If that fails, what comes of keeping it will say so.
    pub(super) fn give_number(&mut self) {
        if let Some(store) = self.store.as_mut().filter(|store| store.is_writable())
            && let Err(error) = store.give_number(self.generation)
        {
            tracing::debug!(error = super::chain(&error), "the number of a generation is not written down");
        }
    }

    /// Keeps what is in force on disk; what the operator should know if that fails.
    pub(super) fn keep(&mut self) -> Option<String> {
        self.keep_by(Store::save, 0)
    }

    /// As [`Self::keep`], where the same was kept already, in its place.
    pub(super) fn keep_in_place(&mut self) -> Option<String> {
        self.keep_by(if self.keeping.again.is_some() { Store::save } else { Store::save_again }, 0)
    }

    /// Tries again to keep what is in force, if it is time to.
    pub(super) fn keep_late(&mut self) {
        let Some((at, tries)) = self.keeping.again else { return };
        if at <= Instant::now() && self.keep_by(Store::save, tries + 1).is_none() {
            tracing::info!(generation = self.generation, "what is enforced is kept now");
        }
    }

    /// Keeps what is in force by one of the store's ways, after so many tries that failed.
    fn keep_by(&mut self, save: Save, tries: u32) -> Option<String> {
        let (feeds, parts) = self.feeds.as_ref()?.kept();
        // That nothing can be is told at the start.
        let store = self.store.as_mut().filter(|store| store.is_writable())?;
        let kept = save(store, self.generation, now_secs(), feeds, parts);
        let note = match kept {
            Ok(()) => {
                self.keeping.generation = self.generation;
                self.keeping.again = None;
                None
            }
            Err(error) => {
                self.keeping.failures += u64::from(tries == 0);
                let wait = RETRY_FIRST.saturating_mul(1 << tries.min(20)).min(RETRY_MAX);
                self.keeping.again = Some((Instant::now() + wait, tries));
                Some(format!("generation {} is enforced but not kept: {}", self.generation, super::chain(&error)))
            }
        };
        self.set_gauges();
        note
    }

    /// Writes down when feeds were read that say what they said; what the operator should know if that fails.
    pub(super) fn keep_standing(&mut self) -> Option<String> {
        if self.keeping.again.is_some() {
            return None;
        }
        let (feeds, _) = self.feeds.as_ref()?.kept();
        let error = self.store.as_mut().filter(|store| store.is_writable())?.restate(feeds).err()?;
        self.keeping.failures += 1;
        Some(format!("that feeds were read is not kept: {}", super::chain(&error)))
    }

    /// The generations that are kept.
    pub(super) fn generations(&self) -> Result<Generations, ReloadError> {
        let store = self.store.as_ref().ok_or(ReloadError::NoStore)?;
        let enforced = self.enforced();
        let in_force = if self.is_kept() { self.keeping.generation } else { 0 };
        Ok(Generations { kept: store.list(), in_force, enforced })
    }

    /// Whether what is enforced is kept.
    pub(super) fn is_kept(&self) -> bool {
        self.enforced() != 0 && self.store.as_ref().is_some_and(Store::is_writable) && self.keeping.again.is_none()
    }
}
