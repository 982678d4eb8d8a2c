//! [`Hearing`]: feeds speak in any order, and the earliest in the tenant's order that decides is the one that counts.

use super::{By, Decision, Reason, Tenant, Verdict};
use crate::index::{FeedId, Record};

/// What a feed's entry comes to.
#[derive(Clone, Copy)]
pub(super) struct Word<'r> {
    /// Whose.
    pub(super) feed: FeedId,
    /// The bit of the feed's rank.
    pub(super) bit: u128,
    /// What it comes to.
    pub(super) reason: Reason,
    /// The entry's own records, if it has any.
    pub(super) records: &'r [Record],
}

/// The earliest feed's word, as far as all have been heard.
pub(super) struct Hearing<'r> {
    /// Ranks ahead of the feed that decides so far.
    ahead: u128,
    /// Ranks of feeds that have spoken.
    heard: u128,
    /// Ranks of feeds that only observe.
    observed: u128,
    /// Whether anything is listed, by anyone.
    pub(super) listed: bool,
    /// So far.
    verdict: Verdict<'r>,
}

impl<'r> Hearing<'r> {
    /// Before anyone is heard.
    pub(super) const OPEN: Self =
        Self { ahead: u128::MAX, heard: 0, observed: 0, listed: false, verdict: Verdict::Unlisted };

    /// Whether the feed of this rank still has a say: the tenant has it, it has not spoken, and none before it decides.
    #[inline]
    pub(super) const fn hears(&self, bit: u128) -> bool {
        bit & self.ahead & !self.heard != 0
    }

    /// Takes the word of a feed that is awaited.
    #[inline]
    pub(super) const fn hear(&mut self, word: Word<'r>) {
        let by = By::Feed(word.feed);
        self.verdict = match word.reason {
            Reason::MayNotAllow | Reason::Protected(_) => return,
            Reason::Sinks(action) => Verdict::Sunk { by, action, records: word.records },
            Reason::Allows => Verdict::Allowed(by),
            Reason::Observes => {
                self.heard |= word.bit;
                self.observed |= word.bit;
                return;
            }
            Reason::Cancels => {
                self.heard |= word.bit;
                return;
            }
        };
        self.heard |= word.bit;
        self.ahead = word.bit - 1;
    }

    /// What it comes to.
    #[inline]
    pub(super) fn close(self, tenant: &Tenant) -> Decision<'r> {
        let observed = match self.observed & self.ahead {
            0 => 0,
            ranks => tenant.order.places(ranks),
        };
        Decision { verdict: self.verdict, observed, listed: self.listed }
    }
}
