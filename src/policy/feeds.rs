//! [`Policy`]: feeds, their actions and their entries; immutable once built, and the same for every tenant.

use std::net::IpAddr;
use std::sync::Arc;

use super::{Action, FeedConfig, Reason, SinkConfig};
use crate::index::{FeedId, Index, Listings, Side, Verb};
use crate::name::{NameRef, NameSet};

/// All feeds and what they hold.
#[derive(Debug)]
pub struct Policy {
    /// Who lists what; each feed is in one of them.
    indexes: Box<[Arc<Index>]>,
    /// By place; as many as the indexes' feeds.
    feeds: Vec<FeedConfig>,
    /// A bit for each feed that has a say in where an answer leads.
    check_targets: u128,
    /// A bit for each feed that has a say in an answer's addresses.
    check_addresses: u128,
    /// By side, whether any feed lists a network.
    lists_networks: [bool; 2],
    /// Names that no feed sinks; `None`: there are none.
    protected: Option<Arc<NameSet>>,
}

impl Policy {
    /// Puts feeds and indexes together: `feeds` by place, each one's entries in one of `indexes`.
    #[must_use]
    pub fn new(indexes: impl Into<Box<[Arc<Index>]>>, feeds: Vec<FeedConfig>) -> Self {
        let mask = |has: fn(&FeedConfig) -> bool| {
            let places = (0..).map_while(FeedId::new).zip(&feeds).filter(|(_, feed)| has(feed));
            places.fold(0, |mask, (place, _)| mask | place.bit())
        };
        let (check_targets, check_addresses) = (mask(|feed| feed.check_targets), mask(|feed| feed.check_addresses));
        let indexes = indexes.into();
        let lists_networks = Side::ALL.map(|side| indexes.iter().any(|index| index.has_networks(side)));
        Self { indexes, feeds, check_targets, check_addresses, lists_networks, protected: None }
    }

    /// This one with names that no feed sinks, whatever lists them or what they lead to.
    #[must_use]
    pub fn protecting(self, protected: Arc<NameSet>) -> Self {
        Self { protected: Some(protected).filter(|protected| !protected.is_empty()), ..self }
    }

    /// The indexes.
    #[must_use]
    pub fn indexes(&self) -> &[Arc<Index>] {
        &self.indexes
    }

    /// The feeds, as configured.
    #[must_use]
    pub fn feeds(&self) -> &[FeedConfig] {
        &self.feeds
    }

    /// A bit for each feed that has a say in where an answer leads.
    #[inline]
    pub(super) const fn check_targets(&self) -> u128 {
        self.check_targets
    }

    /// A bit for each feed that has a say in an answer's addresses.
    #[inline]
    pub(super) const fn check_addresses(&self) -> u128 {
        self.check_addresses
    }

    /// Whether any feed lists a network on this side.
    #[inline]
    pub(super) const fn lists_networks(&self, side: Side) -> bool {
        let [client, answer] = self.lists_networks;
        match side {
            Side::Client => client,
            Side::Answer => answer,
        }
    }

    /// Whether no feed may sink `name`. Costs a binary search a label if there are such names; so it is asked where a feed would.
    #[inline]
    pub(super) fn protects(&self, name: &NameRef<'_>) -> bool {
        self.protected.as_ref().is_some_and(|protected| protected.covers(name))
    }

    /// False: no feed lists `name` or a name above it.
    #[inline]
    pub(super) fn may_list(&self, name: &NameRef<'_>) -> bool {
        self.indexes.iter().any(|index| index.may_list(name))
    }

    /// Calls `visit` with length (of 128 bits) and listings of every network of `side` that `address` is in; in each index the longest first.
    #[inline]
    pub(super) fn walk_networks<'p>(&'p self, side: Side, address: IpAddr, mut visit: impl FnMut(u8, Listings<'p>)) {
        for index in &self.indexes {
            index.walk_networks(side, address, &mut visit);
        }
    }

    /// What the feed's own names are answered with, if not as all others.
    #[inline]
    pub(super) fn sink(&self, feed: FeedId) -> Option<&SinkConfig> {
        self.feeds.get(feed.index())?.sink.as_ref()
    }

    /// What `verb` of `feed` comes to, whoever asks and however.
    #[inline]
    pub(super) fn reason(&self, feed: FeedId, verb: Verb) -> Reason {
        let Some(config) = self.feeds.get(feed.index()) else { return Reason::MayNotAllow };
        let allow = if config.may_allow { Reason::Allows } else { Reason::MayNotAllow };
        match (verb, config.action) {
            (Verb::Cancel, _) => Reason::Cancels,
            (Verb::Passthru, _) if !config.may_allow => Reason::MayNotAllow,
            (_, Some(Action::Observe)) => Reason::Observes,
            (Verb::Passthru, _) | (_, Some(Action::Passthru)) => allow,
            (_, Some(action)) => Reason::Sinks(action),
            (Verb::Listed, None) => Reason::Sinks(Action::Sinkhole),
            (Verb::Nxdomain, None) => Reason::Sinks(Action::Nxdomain),
            (Verb::Nodata, None) => Reason::Sinks(Action::Nodata),
            (Verb::Drop, None) => Reason::Sinks(Action::Drop),
            (Verb::Data(_), None) => Reason::Sinks(Action::Data),
            (Verb::TcpOnly, None) => Reason::Sinks(Action::TcpOnly),
        }
    }
}
