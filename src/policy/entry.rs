//! Which entry sank a name: what the SOA of a negative answer is made to fit, when it is to tell nothing else.

use super::tenant::Own;
use super::{By, Judge, Reason};
use crate::index::{FeedId, Verb};
use crate::name::NameRef;

/// An entry at or above a name that was sunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EntryAt {
    /// Its labels.
    pub labels: usize,
    /// Whether it sinks its own name, and not only what is below.
    pub sinks_itself: bool,
}

impl Judge<'_> {
    /// The entry by which `by` sank `name`; `None` if it was for another reason: the client, or where an answer leads. It costs a walk, and
    /// allocates nothing.
    #[must_use]
    pub fn entry(&self, by: By, name: &NameRef<'_>) -> Option<EntryAt> {
        match by {
            By::Feed(feed) => self.entry_of(feed, name),
            By::Tenant => {
                let (labels, own) = self.tenant.own.deepest(name)?;
                matches!(own, Own::Deny).then_some(EntryAt { labels, sinks_itself: true })
            }
        }
    }

    /// The same of a feed: the deepest of its entries that sinks.
    fn entry_of(&self, feed: FeedId, name: &NameRef<'_>) -> Option<EntryAt> {
        let policy = self.policy?;
        let sinks = |verb: Option<Verb>| verb.is_some_and(|verb| matches!(policy.reason(feed, verb), Reason::Sinks(_)));
        let mut entry = None;
        for index in policy.indexes() {
            // The deepest comes last.
            index.walk(name, |labels, listings| {
                for listing in listings.iter().filter(|listing| listing.feed == feed) {
                    let sinks_itself = sinks(listing.verbs.at);
                    if if labels == name.labels() { sinks_itself } else { sinks(listing.verbs.below) } {
                        entry = Some(EntryAt { labels, sinks_itself });
                    }
                }
            });
        }
        entry
    }
}
