//! [`Door`]: the one way by which an entry of a feed's text gets in. Whatever the format, and whenever it knows its entries, each is shown to
//! the [`Guard`] here; a test of the house sees to it that nothing else in this room gathers entries.

use super::{Guard, Reason};
use crate::index::{Entries, EntriesError, Lines, Network, Record, Side, Sorted, Until, Verb, Verbs};

/// The entries that were let in.
pub(super) struct Door<'t> {
    /// Those.
    entries: Entries,
    /// What none of them may sink.
    guard: &'t Guard,
}

impl<'t> Door<'t> {
    /// Nothing came yet.
    pub(super) fn new(guard: &'t Guard) -> Self {
        Self { entries: Entries::default(), guard }
    }

    /// Another one with the same guard.
    pub(super) fn beside(&self) -> Self {
        Self::new(self.guard)
    }

    /// Whether an entry on `key` that says `verbs` would be let in.
    ///
    /// # Errors
    /// [`Reason::Protected`].
    pub(super) fn judge(&self, key: &[u8], verbs: Verbs) -> Result<(), Reason> {
        if self.guard.refuses(key, verbs) { Err(Reason::Protected) } else { Ok(()) }
    }

    /// Lets a name in. `same_line`: it stands on the same line as the entry before it.
    ///
    /// # Errors
    /// [`Reason::Protected`], [`Reason::FeedFull`].
    pub(super) fn admit(&mut self, key: &[u8], verbs: Verbs, same_line: bool) -> Result<(), Reason> {
        self.judge(key, verbs)?;
        self.entries.push(key, verbs, same_line).map_err(|_| Reason::FeedFull)
    }

    /// Lets a network in. `same_line` as of [`admit`](Self::admit).
    ///
    /// # Errors
    /// [`Reason::FeedFull`].
    pub(super) fn admit_network(
        &mut self,
        side: Side,
        network: Network,
        verb: Verb,
        until: Until,
        same_line: bool,
    ) -> Result<(), Reason> {
        self.entries.push_network(side, network, verb, until, same_line).map_err(|_| Reason::FeedFull)
    }

    /// The verb that answers `record`, for an entry that comes in here.
    ///
    /// # Errors
    /// [`Reason::DataTooLarge`], [`Reason::RecordSets`].
    pub(super) fn record(&mut self, record: Record) -> Result<Verb, Reason> {
        self.entries.record(record).map_err(|error| match error {
            EntriesError::Record => Reason::DataTooLarge,
            EntriesError::Records => Reason::RecordSets,
            _ => Reason::FeedFull,
        })
    }

    /// All that came in, sorted, and how the lines fell.
    pub(super) fn finish(self) -> (Sorted, Lines) {
        self.entries.finish()
    }
}
