//! [`Ancestors`]: what stands above a key, so that what says nothing new is left out.

use super::{FeedId, Listing, Until, Verb, Verbs};

/// What the ancestors of the key at hand say: their keys' lengths and their listings.
#[derive(Default)]
pub(super) struct Ancestors {
    /// The last key that was kept.
    key: Vec<u8>,
    /// Each ancestor's key length and where its listings begin in `listings`.
    spans: Vec<(usize, usize)>,
    /// The listings of all of them, outermost first.
    listings: Vec<Listing>,
}

impl Ancestors {
    /// Forgets those that are not above `key`.
    fn descend(&mut self, key: &[u8]) {
        let shared = self.key.iter().zip(key).take_while(|(a, b)| a == b).count();
        while let Some(&(length, start)) = self.spans.last() {
            if length <= shared {
                break;
            }
            self.spans.pop();
            self.listings.truncate(start);
        }
    }

    /// What the nearest ancestor that speaks for `feed` says of all below it, and until when.
    fn inherited(&self, feed: FeedId) -> Option<(Verb, Until)> {
        let mut own = self.listings.iter().rev().filter(|listing| listing.feed == feed);
        own.find_map(|listing| listing.verbs.below.map(|verb| (verb, listing.verbs.until)))
    }

    /// Whether `listing` says nothing new, and never will: it may outlast what is above it.
    fn covers(&self, listing: &Listing) -> bool {
        let Verbs { at, below, until } = listing.verbs;
        self.inherited(listing.feed).is_some_and(|(inherited, lasts)| {
            let says_the_same = |verb: Option<Verb>| verb.is_none_or(|verb| verb == inherited);
            lasts >= until && says_the_same(at) && says_the_same(below)
        })
    }

    /// Takes out of `listings` what says nothing new of `key`, which comes behind all keys before it; what is left counts for those below it.
    pub(super) fn admit(&mut self, key: &[u8], listings: &mut Vec<Listing>) {
        self.descend(key);
        listings.retain(|listing| !listing.verbs.is_silent() && !self.covers(listing));
        if listings.is_empty() {
            return;
        }
        self.key.clear();
        self.key.extend_from_slice(key);
        self.spans.push((key.len(), self.listings.len()));
        self.listings.extend_from_slice(listings);
    }
}
