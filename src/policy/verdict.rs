//! What a judge says, and why.

use super::Action;
use crate::index::{FeedId, Record, Verbs};

/// By whose word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    /// A feed's.
    Feed(FeedId),
    /// The tenant's own.
    Tenant,
}

/// What happens to a query, or to an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict<'r> {
    /// Nobody lists it.
    Unlisted,
    /// Let through: policy ends here.
    Allowed(By),
    /// Sunk.
    Sunk {
        /// By whose word.
        by: By,
        /// What to answer. Never [`Action::Passthru`] or [`Action::Observe`].
        action: Action,
        /// What [`Action::Data`] answers; for every other action none.
        records: &'r [Record],
    },
}

/// A verdict, and which observing feeds would have come before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decision<'r> {
    /// What happens.
    pub verdict: Verdict<'r>,
    /// A bit for each `observe` feed, by its place, that would have decided, were it enforced.
    pub observed: u128,
    /// Whether any feed lists it, the tenant's or not, for whatever it comes to: if not, no feed has a word whoever asks.
    pub listed: bool,
}

impl<'r> Decision<'r> {
    /// What nobody lists gets.
    pub const UNLISTED: Self = Self { verdict: Verdict::Unlisted, observed: 0, listed: false };

    /// What a tenant's own names come to.
    pub(super) const fn own(verdict: Verdict<'r>) -> Self {
        Self { verdict, observed: 0, listed: true }
    }
}

/// What a feed's verb comes to for a tenant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// It sinks.
    Sinks(Action),
    /// It lets through.
    Allows,
    /// It would let through, but may not: as if the entry were not there.
    MayNotAllow,
    /// It cancels its own feed's match.
    Cancels,
    /// It is counted, and that is all.
    Observes,
    /// It would do this, but the name asked is protected: as if the entry were not there.
    Protected(Action),
}

impl Reason {
    /// Whether it has a say at all: if not, the feed's less specific entries are asked.
    pub(super) const fn is_heard(self) -> bool {
        !matches!(self, Self::MayNotAllow | Self::Protected(_))
    }
}

/// What an entry of a feed matched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trigger {
    /// A name: the entry's labels, and all that it says; for the name itself if it has as many labels, else for what is below it.
    Name {
        /// Labels of the entry.
        labels: usize,
        /// All that it says.
        verbs: Verbs,
    },
    /// The client's address: the entry's prefix length, of 128 (IPv4 is IPv4-mapped).
    Client {
        /// The prefix length.
        prefix_len: u8,
    },
    /// An address in an answer: as for the client's.
    Address {
        /// The prefix length.
        prefix_len: u8,
    },
}

/// What one feed says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Opinion {
    /// The feed.
    pub feed: FeedId,
    /// Which of its entries speaks.
    pub trigger: Trigger,
    /// What it comes to.
    pub reason: Reason,
}
