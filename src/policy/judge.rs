//! [`Judge`]: what happens to one client's query, and to the answer it gets.
//!
//! ```text
//! 1 query      the client's address and the name asked
//! 2 target     each name that the answer leads to, in its order
//! 3 addresses  those in the answer
//! ```
//!
//! In each stage the tenant's own names come first, then its feeds in its order: the earliest that matches decides; inside a feed the client's
//! address before the name, and the most specific entry. If that would sink what comes of a protected name, the stage is judged again as if
//! the entries that sink were not there. No allocation; a name that nothing lists costs a walk at most.

use std::cmp::Reverse;
use std::net::IpAddr;

use super::hearing::{Hearing, Word};
use super::tenant::Own;
use super::{Action, By, Decision, Opinion, Policy, Reason, SinkConfig, Tenant, Trigger, Verdict, Via};
use crate::index::{FeedId, Index, Listings, Side, Verb};
use crate::name::{LABELS_MAX, NameRef};

/// Listed ancestors that the first try has room for; real lists nest two or three deep (a guess with room).
const NEAR: usize = 8;

/// The most that one index says of a name: of each ancestor, the name and the root among them, what it was built with and what was changed.
const MATCHES_MAX: usize = 2 * (LABELS_MAX + 1);

/// A listed ancestor: its labels, and who lists it how.
type Match<'r> = (usize, Listings<'r>);

/// How early a network's word counts, the least first: its feed's rank, its length, the address in it.
type Urgency = (u128, Reverse<u8>, u128);

/// The rules as one client's query meets them. It has no `Debug`: the client is in it.
#[derive(Clone, Copy)]
pub struct Judge<'r> {
    /// All feeds; `None` before the first load.
    pub policy: Option<&'r Policy>,
    /// Whose query it is.
    pub tenant: &'r Tenant,
    /// What is answered where neither the tenant nor a feed says.
    pub sink: &'r SinkConfig,
    /// Who asks.
    pub client: IpAddr,
    /// How it came.
    pub via: Via,
    /// Whether no feed may sink it: the name asked is protected, and some feed would.
    protected: bool,
}

impl<'r> Judge<'r> {
    /// One for a query of `client` that came `via`.
    #[inline]
    #[must_use]
    pub const fn new(
        policy: Option<&'r Policy>,
        tenant: &'r Tenant,
        sink: &'r SinkConfig,
        client: IpAddr,
        via: Via,
    ) -> Self {
        Self { policy, tenant, sink, client, via, protected: false }
    }

    /// Whether names may be forwarded: the policy is loaded, or the tenant would rather not wait for it.
    #[inline]
    #[must_use]
    pub const fn is_ready(&self) -> bool {
        self.policy.is_some() || self.tenant.is_open_before_load()
    }

    /// Whether the tenant's own names have a say in where an answer leads: if not, what no feed lists in it is let through, whoever asks.
    #[inline]
    #[must_use]
    pub fn minds<'n>(&self, mut targets: impl Iterator<Item = NameRef<'n>>) -> bool {
        self.tenant.has_own_names() && targets.any(|target| self.tenant.own.deepest(&target).is_some())
    }

    /// Stage 1: the name asked, and who asks.
    #[inline]
    #[must_use]
    pub fn query(&self, name: &NameRef<'_>) -> Decision<'r> {
        if let Some(own) = self.own(name) {
            return own;
        }
        match self.policy {
            Some(policy) if policy.may_list(name) || policy.lists_networks(Side::Client) => {
                let decision = self.feeds_on(policy, name);
                if self.spares(name, &decision) { self.of_protected().feeds_on(policy, name) } else { decision }
            }
            _ => Decision::UNLISTED,
        }
    }

    /// What the feeds say of the name asked, and of who asks.
    #[inline]
    fn feeds_on(&self, policy: &'r Policy, name: &NameRef<'_>) -> Decision<'r> {
        let mut hearing = Hearing::OPEN;
        if policy.lists_networks(Side::Client) {
            self.hear_client(policy, &mut hearing);
        }
        self.hear_name(policy, name, u128::MAX, &mut hearing);
        hearing.close(self.tenant)
    }

    /// Stages 2 and 3: the answer to a query for `name`, whose targets and addresses are given from the first on. Beside a target stands whether
    /// it is one of several ways on (SVCB, HTTPS); else all that follows comes from it (CNAME, DNAME).
    #[must_use]
    pub fn answer<'n, T, A>(
        &self,
        name: &NameRef<'_>,
        targets: impl Fn() -> T,
        addresses: impl Fn() -> A,
    ) -> Decision<'r>
    where
        T: Iterator<Item = (NameRef<'n>, bool)>,
        A: Iterator<Item = IpAddr>,
    {
        let decision = self.leads_to(&targets, &addresses);
        if self.spares(name, &decision) { self.of_protected().leads_to(&targets, &addresses) } else { decision }
    }

    /// The first decision on what an answer leads to, and what was observed on the way there.
    fn leads_to<'n, T, A>(&self, targets: &impl Fn() -> T, addresses: &impl Fn() -> A) -> Decision<'r>
    where
        T: Iterator<Item = (NameRef<'n>, bool)>,
        A: Iterator<Item = IpAddr>,
    {
        let mut sum = Decision::UNLISTED;
        let stages = targets().map(|(target, is_service)| (self.target(&target), is_service));
        for (decision, is_service) in stages.chain(std::iter::once_with(|| (self.addresses(addresses), false))) {
            sum.observed |= decision.observed;
            sum.listed |= decision.listed;
            match decision.verdict {
                Verdict::Unlisted => {}
                // One of several ways on: that it may be gone clears neither the others nor what its record says itself.
                Verdict::Allowed(_) if is_service => {}
                decided => {
                    sum.verdict = decided;
                    break;
                }
            }
        }
        sum
    }

    /// Whether no feed may sink `name`, of which the operator asks.
    #[must_use]
    pub fn protects(&self, name: &NameRef<'_>) -> bool {
        self.policy.is_some_and(|policy| policy.protects(name))
    }

    /// Whether a decision of feeds is not to stand: it takes the protected `name` from who asked, or counts that one would.
    #[inline]
    fn spares(&self, name: &NameRef<'_>, decision: &Decision<'_>) -> bool {
        let objects = matches!(decision.verdict, Verdict::Sunk { by: By::Feed(_), .. }) || decision.observed != 0;
        objects && self.protects(name)
    }

    /// This judge of a query for a protected name: no entry of a feed's that sinks is heard.
    const fn of_protected(&self) -> Self {
        Self { protected: true, ..*self }
    }

    /// Stage 2: a name that the answer leads to.
    #[must_use]
    pub(super) fn target(&self, name: &NameRef<'_>) -> Decision<'r> {
        if let Some(own) = self.own(name) {
            return own;
        }
        let Some(policy) = self.policy.filter(|policy| policy.may_list(name)) else { return Decision::UNLISTED };
        let mut hearing = Hearing::OPEN;
        self.hear_name(policy, name, policy.check_targets(), &mut hearing);
        hearing.close(self.tenant)
    }

    /// Stage 3: the answer's addresses, which `each` gives from the first on. Of one feed's networks the longest decides, of equally long ones
    /// that with the lowest address (draft-vixie-dnsop-dns-rpz §5).
    #[must_use]
    pub(super) fn addresses<I: Iterator<Item = IpAddr>>(&self, each: impl Fn() -> I) -> Decision<'r> {
        let Some(policy) = self.policy.filter(|policy| policy.lists_networks(Side::Answer)) else {
            return Decision::UNLISTED;
        };
        let (says, mut hearing) = (policy.check_addresses(), Hearing::OPEN);
        // Each round hears one feed, the earliest that is left; hardly an answer has an address that any lists.
        loop {
            let mut earliest: Option<(Urgency, Word<'r>)> = None;
            for address in each() {
                let number = number(address);
                policy.walk_networks(Side::Answer, address, |prefix_len, listings| {
                    hearing.listed = true;
                    for word in self.words(policy, listings, true) {
                        let urgency = (word.bit, Reverse(prefix_len), number);
                        let awaited = hearing.hears(word.bit) && says & word.feed.bit() != 0;
                        let counts = awaited && word.reason.is_heard();
                        if counts && earliest.is_none_or(|(before, _)| urgency < before) {
                            earliest = Some((urgency, word));
                        }
                    }
                });
            }
            match earliest {
                Some((_, word)) => hearing.hear(word),
                None => return hearing.close(self.tenant),
            }
        }
    }

    /// What is answered when `by` sinks.
    #[inline]
    #[must_use]
    pub fn sink(&self, by: By) -> &'r SinkConfig {
        let of_feed = || match (by, self.policy) {
            (By::Feed(feed), Some(policy)) => policy.sink(feed),
            _ => None,
        };
        self.tenant.sink.as_ref().or_else(of_feed).unwrap_or(self.sink)
    }

    /// How many labels the tenant's own entry has that decides `name`, if one does.
    #[must_use]
    pub fn own_labels(&self, name: &NameRef<'_>) -> Option<usize> {
        self.tenant.own.deepest(name).map(|(labels, _)| labels)
    }

    /// What each of the tenant's feeds says of a query, for `explain`: in the tenant's order; entries that may not allow are among them.
    #[must_use]
    pub fn opinions(&self, name: &NameRef<'_>) -> Vec<Opinion> {
        let Some(policy) = self.policy else { return Vec::new() };
        if policy.protects(name) && !self.protected {
            return self.of_protected().opinions(name);
        }
        let mut said: Vec<(Trigger, Word<'_>)> = Vec::new();
        policy.walk_networks(Side::Client, self.client, |prefix_len, listings| {
            said.extend(self.words(policy, listings, true).map(|word| (Trigger::Client { prefix_len }, word)));
        });
        let mut matches = Vec::new();
        for index in policy.indexes() {
            index.walk(name, |labels, listings| matches.push((labels, listings)));
        }
        for (labels, listings) in matches.into_iter().rev() {
            for listing in listings.iter() {
                let trigger = Trigger::Name { labels, verbs: listing.verbs };
                let words = self.words(policy, listings, labels == name.labels());
                said.extend(words.filter(|word| word.feed == listing.feed).map(|word| (trigger, word)));
            }
        }
        let mut heard = 0;
        said.retain(|(_, word)| {
            let speaks = word.bit & !heard != 0;
            if word.reason.is_heard() {
                heard |= word.bit;
            }
            speaks
        });
        said.sort_by_key(|(_, word)| word.bit);
        said.into_iter().map(|(trigger, word)| Opinion { feed: word.feed, trigger, reason: word.reason }).collect()
    }

    /// What the tenant's own names say.
    #[inline]
    fn own(&self, name: &NameRef<'_>) -> Option<Decision<'r>> {
        if !self.tenant.has_own_names() {
            return None;
        }
        let (_, own) = self.tenant.own.deepest(name)?;
        Some(Decision::own(match own {
            Own::Allow => Verdict::Allowed(By::Tenant),
            Own::Deny => Verdict::Sunk { by: By::Tenant, action: self.tenant.denial(), records: &[] },
        }))
    }

    /// Hears what feeds say of the client's address.
    #[inline]
    fn hear_client(&self, policy: &'r Policy, hearing: &mut Hearing<'r>) {
        // A feed is in one index only, so its own networks come longest first.
        policy.walk_networks(Side::Client, self.client, |_, listings| {
            hearing.listed = true;
            for word in self.words(policy, listings, true) {
                if hearing.hears(word.bit) {
                    hearing.hear(word);
                }
            }
        });
    }

    /// Hears what the feeds in the mask `says` have to say of a name. A feed is in one index only, so one may be heard out after the other.
    #[inline]
    fn hear_name(&self, policy: &'r Policy, name: &NameRef<'_>, says: u128, hearing: &mut Hearing<'r>) {
        for index in policy.indexes() {
            if self.hear_name_within::<NEAR>(policy, index, name, says, hearing).is_none() {
                self.hear_deep_name(policy, index, name, says, hearing);
            }
        }
    }

    /// As [`Self::hear_name`] of one index, with room for all matches there can be. Its room on the stack is its own: hardly a name needs it.
    #[cold]
    #[inline(never)]
    fn hear_deep_name(
        &self,
        policy: &'r Policy,
        index: &'r Index,
        name: &NameRef<'_>,
        says: u128,
        hearing: &mut Hearing<'r>,
    ) {
        self.hear_name_within::<MATCHES_MAX>(policy, index, name, says, hearing);
    }

    /// As [`Self::hear_name`] of one index, with room for `N` matches; `None`, and nobody is heard, if there are more.
    #[inline]
    fn hear_name_within<const N: usize>(
        &self,
        policy: &'r Policy,
        index: &'r Index,
        name: &NameRef<'_>,
        says: u128,
        hearing: &mut Hearing<'r>,
    ) -> Option<()> {
        let mut matches: [Option<Match<'r>>; N] = [None; N];
        let mut count = 0_usize;
        index.walk(name, |labels, listings| {
            if let Some(slot) = matches.get_mut(count) {
                *slot = Some((labels, listings));
            }
            count += 1;
        });
        // The deepest first.
        for &(depth, listings) in matches.get(..count)?.iter().rev().flatten() {
            hearing.listed = true;
            for word in self.words(policy, listings, depth == name.labels()) {
                if hearing.hears(word.bit) && says & word.feed.bit() != 0 {
                    hearing.hear(word);
                }
            }
        }
        Some(())
    }

    /// What feeds say of the very name or network (`at`), or of what is below it.
    #[inline]
    fn words(&self, policy: &'r Policy, listings: Listings<'r>, at: bool) -> impl Iterator<Item = Word<'r>> {
        listings.iter().filter_map(move |listing| {
            let (feed, verbs) = (listing.feed, listing.verbs);
            let verb = if at { verbs.at } else { verbs.below }?;
            let (bit, reason) = (self.tenant.order.bit(feed), self.reason(policy, feed, verb));
            let records = match (reason, verb) {
                (Reason::Sinks(Action::Data), Verb::Data(id)) => listings.records(id),
                _ => &[],
            };
            Some(Word { feed, bit, reason, records })
        })
    }

    /// What `verb` of `feed` comes to for this tenant, over this transport.
    #[inline]
    fn reason(&self, policy: &Policy, feed: FeedId, verb: Verb) -> Reason {
        let reason = match (policy.reason(feed, verb), self.tenant.action) {
            (Reason::Sinks(_), Some(Action::Observe)) => Reason::Observes,
            (Reason::Sinks(_), Some(action)) => Reason::Sinks(action),
            (reason, _) => reason,
        };
        match reason {
            // Letting through would end policy, which is a power; so later feeds are asked.
            Reason::Sinks(Action::TcpOnly) if self.via == Via::Stream => Reason::Cancels,
            Reason::Sinks(action) if self.protected => Reason::Protected(action),
            // What is observed is what enforcing would have done: nothing, unless it lets through.
            Reason::Observes if self.protected && verb != Verb::Passthru => Reason::Protected(Action::Observe),
            reason => reason,
        }
    }
}

/// An address as a number; IPv4 is `::ffff:a.b.c.d`.
const fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(four) => four.to_ipv6_mapped().to_bits(),
        IpAddr::V6(six) => six.to_bits(),
    }
}
