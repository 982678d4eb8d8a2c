//! [`Order`]: which feeds a tenant has, and which comes first.

use crate::index::{FEEDS_MAX, FeedId};

/// A rank no feed has: its bit is none.
const NO_RANK: u8 = 128;

/// A tenant's feeds in its own order. A feed's rank is its place there; sets of feeds are masks of ranks, so that "earlier" is one
/// comparison of bits.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Order {
    /// By feed's place in the configuration: its rank, or [`NO_RANK`].
    ranks: [u8; FEEDS_MAX],
}

impl Order {
    /// The order of these feeds; one that is there twice keeps its first place.
    #[must_use]
    pub fn of(feeds: impl IntoIterator<Item = FeedId>) -> Self {
        let mut ranks = [NO_RANK; FEEDS_MAX];
        let mut next = 0;
        for feed in feeds {
            if let Some(rank) = ranks.get_mut(feed.index()).filter(|rank| **rank == NO_RANK) {
                *rank = next;
                next += 1;
            }
        }
        Self { ranks }
    }

    /// Every feed, as configured.
    #[must_use]
    pub fn as_configured() -> Self {
        Self::of((0..).map_while(FeedId::new))
    }

    /// The bit of the feed's rank; 0 if the tenant does not have it.
    #[inline]
    #[must_use]
    pub fn bit(&self, feed: FeedId) -> u128 {
        let rank = self.ranks.get(feed.index()).copied().unwrap_or(NO_RANK);
        1_u128.checked_shl(u32::from(rank)).unwrap_or(0)
    }

    /// The feeds, the first of them first.
    pub fn feeds(&self) -> impl Iterator<Item = FeedId> {
        let mut feeds: Vec<FeedId> = (0..).map_while(FeedId::new).filter(|&feed| self.bit(feed) != 0).collect();
        feeds.sort_by_key(|&feed| self.bit(feed));
        feeds.into_iter()
    }

    /// A mask of ranks as a mask of the feeds' places.
    #[must_use]
    pub fn places(&self, ranks: u128) -> u128 {
        self.feeds().filter(|&feed| self.bit(feed) & ranks != 0).fold(0, |places, feed| places | feed.bit())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn feed(place: usize) -> FeedId {
        FeedId::new(place).unwrap()
    }

    #[test]
    fn ranks_follow_the_tenants_order() {
        let order = Order::of([feed(7), feed(0), feed(7), feed(127)]);
        assert_eq!([7, 0, 127, 1].map(|place| order.bit(feed(place))), [1, 2, 4, 0]);
        assert_eq!(order.places(0b101), feed(7).bit() | feed(127).bit());
        assert_eq!(order.places(0b1000), 0);
        assert!(order.feeds().eq([feed(7), feed(0), feed(127)]));
        assert_eq!(Order::of([]).bit(feed(0)), 0);
    }

    #[test]
    fn as_configured_rank_is_place() {
        let order = Order::as_configured();
        for place in 0..FEEDS_MAX {
            assert_eq!(order.bit(feed(place)), feed(place).bit());
        }
        assert_eq!(order.places(u128::MAX), u128::MAX);
    }
}
