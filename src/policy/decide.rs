//! [`Policy`]: feeds in order over one index, and the decision for a name.
//!
//! The feed earliest in order that matches decides; inside a feed the deepest entry wins. One walk collects the rows of all listed
//! ancestors; then one pass over them, deepest first. No allocation; a name that nothing lists costs the walk alone.

use std::sync::Arc;

use super::{Action, FeedConfig, Rebinding, SinkConfig, Via};
use crate::index::{FeedId, Index, Row, Verb, Verbs};
use crate::name::{LABELS_MAX, NameRef};

/// Listed ancestors that the first try has room for; real lists nest two or three deep (a guess with room).
const NEAR: usize = 8;

/// What happens to a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing lists it.
    Unlisted,
    /// A feed that may lets it through: policy ends here.
    Allowed {
        /// The feed that decided.
        feed: FeedId,
    },
    /// A feed sinks it. Never [`Action::Passthru`] or [`Action::Observe`].
    Sunk {
        /// The feed that decided.
        feed: FeedId,
        /// What to answer.
        action: Action,
    },
}

/// A verdict, and which observing feeds would have come before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decision {
    /// What happens.
    pub verdict: Verdict,
    /// A bit for each `observe` feed that would have decided, were it enforced.
    pub observed: u128,
    /// Whether any feed lists it, for whatever it comes to: if not, it is unlisted however it is asked.
    pub listed: bool,
}

impl Decision {
    /// What a name gets that nothing lists.
    pub const UNLISTED: Self = Self { verdict: Verdict::Unlisted, observed: 0, listed: false };
}

/// What a feed's verb comes to under its configuration.
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
}

/// What one feed says of a name, for `explain`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Opinion {
    /// The feed.
    pub feed: FeedId,
    /// Labels of the entry that speaks.
    pub labels: usize,
    /// All that the entry says; for the name itself if it has as many labels, else for what is below it.
    pub verbs: Verbs,
    /// What it comes to.
    pub reason: Reason,
}

/// Feeds, their actions and their entries: immutable.
#[derive(Debug)]
pub struct Policy {
    /// Who lists what; each feed is in one of them.
    indexes: Box<[Arc<Index>]>,
    /// By place; as many as the index's feeds.
    feeds: Vec<FeedConfig>,
    /// What a sunk name is answered with, unless its feed says otherwise.
    sink: SinkConfig,
    /// What addresses an upstream may give.
    rebinding: Rebinding,
}

/// A listed ancestor: its labels, and who lists it how.
type Match<'p> = (usize, &'p Row);

impl Policy {
    /// Puts feeds and indexes together: `feeds` by place, each one's entries in one of `indexes`.
    #[must_use]
    pub fn new(indexes: impl Into<Box<[Arc<Index>]>>, feeds: Vec<FeedConfig>, sink: SinkConfig) -> Self {
        Self { indexes: indexes.into(), feeds, sink, rebinding: Rebinding::default() }
    }

    /// The same, with protection from DNS rebinding.
    #[must_use]
    pub fn with_rebinding(self, rebinding: Rebinding) -> Self {
        Self { rebinding, ..self }
    }

    /// What addresses an upstream may give.
    #[inline]
    #[must_use]
    pub const fn rebinding(&self) -> &Rebinding {
        &self.rebinding
    }

    /// What is answered in place of what is refused by no feed's word.
    #[must_use]
    pub const fn common_sink(&self) -> &SinkConfig {
        &self.sink
    }

    /// The indexes.
    #[must_use]
    pub fn indexes(&self) -> &[Arc<Index>] {
        &self.indexes
    }

    /// The feeds, in order.
    #[must_use]
    pub fn feeds(&self) -> &[FeedConfig] {
        &self.feeds
    }

    /// What a name is answered with that the feed at place `feed` sinks.
    #[inline]
    #[must_use]
    pub fn sink(&self, feed: usize) -> &SinkConfig {
        self.feeds.get(feed).and_then(|feed| feed.sink.as_ref()).unwrap_or(&self.sink)
    }

    /// What `verb` of `feed` comes to.
    fn reason(&self, feed: FeedId, verb: Verb, via: Via) -> Reason {
        match self.reason_over_udp(feed, verb) {
            // Letting through would end policy, which is a power; so later feeds are asked.
            Reason::Sinks(Action::TcpOnly) if via == Via::Stream => Reason::Cancels,
            reason => reason,
        }
    }

    /// As [`Self::reason`], of a datagram.
    fn reason_over_udp(&self, feed: FeedId, verb: Verb) -> Reason {
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
            (Verb::TcpOnly, None) => Reason::Sinks(Action::TcpOnly),
        }
    }

    /// What happens to `name`, asked for by a query that came `via`.
    #[inline]
    #[must_use]
    pub fn decide(&self, name: &NameRef<'_>, via: Via) -> Decision {
        if !self.indexes.iter().any(|index| index.may_list(name)) {
            return Decision::UNLISTED;
        }
        self.decide_within::<NEAR>(name, via)
            .or_else(|| self.decide_within::<{ LABELS_MAX + 1 }>(name, via))
            .unwrap_or(Decision::UNLISTED)
    }

    /// As [`Self::decide`], with room for `N` listed ancestors; `None` if there are more.
    #[inline]
    fn decide_within<const N: usize>(&self, name: &NameRef<'_>, via: Via) -> Option<Decision> {
        let mut matches: [Option<Match<'_>>; N] = [None; N];
        let mut count = 0_usize;
        for index in &self.indexes {
            index.walk(name, |labels, row| {
                if let Some(slot) = matches.get_mut(count) {
                    *slot = Some((labels, row));
                }
                count += 1;
            });
        }
        if count == 0 {
            return Some(Decision::UNLISTED);
        }
        let matches = matches.get(..count)?;
        let mut decision = Decision { listed: true, ..Decision::UNLISTED };
        let mut first =
            FeedId::new(crate::index::FEEDS_MAX - 1).map_or(u128::MAX, |last| last.bit() | (last.bit() - 1));
        self.for_each_opinion(matches.iter().rev().flatten().copied(), name.labels(), via, |opinion| {
            let bit = opinion.feed.bit();
            // `first` holds the feeds ahead of the one that decides so far.
            if first & bit == 0 {
                return;
            }
            let feed = opinion.feed;
            decision.verdict = match opinion.reason {
                Reason::Sinks(action) => Verdict::Sunk { feed, action },
                Reason::Allows => Verdict::Allowed { feed },
                Reason::Observes => {
                    decision.observed |= bit;
                    return;
                }
                Reason::Cancels | Reason::MayNotAllow => return,
            };
            first = bit - 1;
        });
        decision.observed &= first;
        Some(decision)
    }

    /// Gives each feed's deciding entry once. A feed is in one index only, so that its own matches come deepest first.
    #[inline]
    fn for_each_opinion<'p>(
        &self,
        deepest_first: impl Iterator<Item = Match<'p>>,
        labels: usize,
        via: Via,
        mut tell: impl FnMut(Opinion),
    ) {
        let mut heard = 0_u128;
        for (depth, row) in deepest_first {
            let at = depth == labels;
            for listing in row.listings() {
                let feed = listing.feed;
                let verb = if at { listing.verbs.at } else { listing.verbs.below };
                let Some(verb) = verb.filter(|_| heard & feed.bit() == 0) else { continue };
                let reason = self.reason(feed, verb, via);
                if reason != Reason::MayNotAllow {
                    heard |= feed.bit();
                }
                tell(Opinion { feed, labels: depth, verbs: listing.verbs, reason });
            }
        }
    }

    /// What every feed says of `name` asked for by a datagram, in the feeds' order; entries that may not allow are among them.
    #[must_use]
    pub fn opinions(&self, name: &NameRef<'_>) -> Vec<Opinion> {
        let mut matches = Vec::new();
        for index in &self.indexes {
            index.walk(name, |labels, row| matches.push((labels, row)));
        }
        let mut opinions = Vec::new();
        self.for_each_opinion(matches.into_iter().rev(), name.labels(), Via::Datagram, |opinion| {
            opinions.push(opinion)
        });
        opinions.sort_by_key(|opinion| opinion.feed);
        opinions
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::index::{Entries, Kept, Part, Sorted};
    use crate::name::Name;

    type Feed<'t> = (Option<Action>, bool, &'t [(&'t str, Verbs)]);

    fn policy(feeds: &[Feed<'_>]) -> Policy {
        policy_in(feeds, false)
    }

    fn policy_in(feeds: &[Feed<'_>], apart: bool) -> Policy {
        let sorted: Vec<Sorted> = feeds
            .iter()
            .map(|(_, _, names)| {
                let mut entries = Entries::default();
                for (name, verbs) in *names {
                    let name = Name::from_text(name.as_bytes()).unwrap();
                    entries.push(name.key().unwrap().as_bytes(), *verbs, false).unwrap();
                }
                entries.finish().0
            })
            .collect();
        let parts: Vec<Part<'_>> = (0..)
            .zip(&sorted)
            .map(|(place, sorted)| Part {
                id: FeedId::new(place).unwrap(),
                name: "f",
                entries: sorted.len() as u64,
                source: Kept::New(sorted),
            })
            .collect();
        let build = |parts: &[Part<'_>]| Arc::new(Index::build(parts, &mut |_| ()).unwrap());
        // Every second feed in an index of its own: what is decided must not depend on it.
        let (even, odd): (Vec<Part<'_>>, Vec<_>) = parts.iter().partition(|part| part.id.index() % 2 == 0);
        let indexes = if apart { vec![build(&even), build(&odd)] } else { vec![build(&parts)] };
        let feeds = feeds
            .iter()
            .map(|&(action, may_allow, _)| FeedConfig { name: "f".to_owned(), action, may_allow, sink: None })
            .collect();
        Policy::new(indexes, feeds, SinkConfig::default())
    }

    fn decide(policy: &Policy, name: &str) -> (&'static str, u128) {
        let name = Name::from_text(name.as_bytes()).unwrap();
        let decision = policy.decide(&name.view().unwrap(), Via::Datagram);
        let verdict = match decision.verdict {
            Verdict::Unlisted => "unlisted",
            Verdict::Allowed { .. } => "allowed",
            Verdict::Sunk { action, .. } => action.label(),
        };
        (verdict, decision.observed)
    }

    const LISTED: Verbs = Verbs::subtree(Verb::Listed);

    #[test]
    fn the_earliest_feed_decides_and_inside_it_the_deepest_entry() {
        let feeds: [Feed<'_>; 5] = [
            (Some(Action::Observe), false, &[("seen.test", LISTED), ("deep.bad.test", LISTED)]),
            (None, true, &[("good.bad.test", Verbs::subtree(Verb::Passthru)), ("x.good.bad.test", LISTED)]),
            (Some(Action::Nxdomain), false, &[("bad.test", LISTED), ("good.bad.test", LISTED)]),
            (Some(Action::Observe), false, &[("bad.test", LISTED)]),
            (None, false, &[("deep.bad.test", LISTED), ("seen.test", LISTED)]),
        ];
        let (together, apart) = (policy_in(&feeds, false), policy_in(&feeds, true));
        for (name, want) in [
            ("ok.test", ("unlisted", 0)),
            ("bad.test", ("nxdomain", 0)),
            ("a.b.bad.test", ("nxdomain", 0)),
            ("good.bad.test", ("allowed", 0)),
            ("y.good.bad.test", ("allowed", 0)),
            ("x.good.bad.test", ("sinkhole", 0)),
            ("deep.bad.test", ("nxdomain", 1)),
            ("seen.test", ("sinkhole", 1)),
            ("notbad.test", ("unlisted", 0)),
        ] {
            assert_eq!(decide(&together, name), want, "{name}");
            assert_eq!(decide(&apart, name), want, "{name}, in two indexes");
        }
    }

    #[test]
    fn verbs_and_actions() {
        let names: &[(&str, Verbs)] = &[
            ("own.test", Verbs::exact(Verb::Nxdomain)),
            ("star.test", Verbs::below(Verb::Nodata)),
            ("off.test", LISTED),
            ("kept.off.test", Verbs::subtree(Verb::Cancel)),
            ("let.test", LISTED),
            ("x.let.test", Verbs::subtree(Verb::Passthru)),
            ("gone.test", Verbs::subtree(Verb::Drop)),
        ];
        for (action, may_allow, wants) in [
            (None, false, ["nxdomain", "unlisted", "unlisted", "nodata", "sinkhole", "unlisted", "sinkhole", "drop"]),
            (None, true, ["nxdomain", "unlisted", "unlisted", "nodata", "sinkhole", "unlisted", "allowed", "drop"]),
            (
                Some(Action::Refused),
                false,
                ["refused", "unlisted", "unlisted", "refused", "refused", "unlisted", "refused", "refused"],
            ),
            (
                Some(Action::Passthru),
                true,
                ["allowed", "unlisted", "unlisted", "allowed", "allowed", "unlisted", "allowed", "allowed"],
            ),
            (Some(Action::Passthru), false, ["unlisted"; 8]),
        ] {
            let policy = policy(&[(action, may_allow, names)]);
            let asked = [
                "own.test",
                "a.own.test",
                "star.test",
                "a.star.test",
                "a.off.test",
                "kept.off.test",
                "x.let.test",
                "gone.test",
            ];
            for (name, want) in asked.iter().zip(wants) {
                assert_eq!(decide(&policy, name).0, want, "{name} under {action:?}, may allow: {may_allow}");
            }
        }
    }

    #[test]
    fn tcp_only_turns_clients_to_tcp_and_is_no_match_there() {
        let (tcp_only, sunk) = (Verbs::subtree(Verb::TcpOnly), LISTED);
        let policy = policy(&[
            (
                None,
                true,
                &[("bad.test", sunk), ("slow.bad.test", tcp_only), ("x.slow.bad.test", sunk), ("other.test", tcp_only)],
            ),
            (Some(Action::Nodata), false, &[("other.test", sunk)]),
            (Some(Action::TcpOnly), false, &[("third.test", sunk)]),
        ]);
        for (name, udp, tcp) in [
            ("bad.test", "sinkhole", "sinkhole"),
            ("slow.bad.test", "tcp-only", "unlisted"),
            ("x.slow.bad.test", "sinkhole", "sinkhole"),
            ("other.test", "tcp-only", "nodata"),
            ("a.third.test", "tcp-only", "unlisted"),
        ] {
            let name = Name::from_text(name.as_bytes()).unwrap();
            for (via, want) in [(Via::Datagram, udp), (Via::Stream, tcp)] {
                let decision = policy.decide(&name.view().unwrap(), via);
                let got = match decision.verdict {
                    Verdict::Sunk { action, .. } => action.label(),
                    _ => "unlisted",
                };
                assert_eq!((got, decision.listed), (want, true), "{} {via:?}", name.reveal());
            }
        }
    }

    #[test]
    fn a_name_with_every_ancestor_listed() {
        let deep = vec!["a"; 126].join(".");
        let owned: Vec<String> = (0..126).map(|i| vec!["a"; i + 1].join(".")).collect();
        // Alternating verbs, so that no entry is redundant.
        let names: Vec<(&str, Verbs)> = owned
            .iter()
            .enumerate()
            .map(|(i, name)| (name.as_str(), Verbs::subtree(if i % 2 == 0 { Verb::Nxdomain } else { Verb::Nodata })))
            .collect();
        let policy = policy(&[(None, false, &names)]);
        assert_eq!(policy.indexes()[0].keys(), 126);
        assert_eq!(decide(&policy, &deep).0, "nodata");
        assert_eq!(decide(&policy, &format!("b.{deep}")).0, "nodata");
        assert_eq!(decide(&policy, &vec!["a"; 125].join(".")).0, "nxdomain");
    }

    #[test]
    fn opinions_say_what_each_feed_would() {
        let policy = policy(&[
            (None, false, &[("bad.test", LISTED), ("x.bad.test", Verbs::subtree(Verb::Passthru))]),
            (Some(Action::Observe), false, &[("x.bad.test", LISTED)]),
        ]);
        let name = Name::from_text(b"x.bad.test").unwrap();
        let got: Vec<_> = policy
            .opinions(&name.view().unwrap())
            .into_iter()
            .map(|opinion| (opinion.feed.index(), opinion.labels, opinion.reason))
            .collect();
        let want = [(0, 3, Reason::MayNotAllow), (0, 2, Reason::Sinks(Action::Sinkhole)), (1, 3, Reason::Observes)];
        assert_eq!(got, want);
    }
}
