//! What happens to a name, and why: the ladder's decision and every feed's word, for the operator who asked about this very name.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use ipnet::IpNet;

use crate::admin::{Asker, Explanation, Opinion, Rule, Verdict as Outcome, Word};
use crate::index::Verbs;
use crate::metrics::Transport;
use crate::name::{Name, NameRef};
use crate::policy::{Action, By, Judge, Policy, Reason, Trigger, Verdict};
use crate::server::{Client, Rules};
use crate::wire::rtype;

/// What was asked about, and by what it is judged.
struct Question<'q> {
    /// The name.
    name: NameRef<'q>,
    /// The client, if one was given.
    client: Option<IpAddr>,
    /// Of that client, or of one whose address is no tenant's.
    judge: Judge<'q>,
}

/// Nothing listens where a query was to come to.
#[derive(Debug, thiserror::Error)]
#[error("{asked}: expected one of server.listen's addresses, {}", .listen.iter().map(SocketAddr::to_string).collect::<Vec<_>>().join(", "))]
pub struct NoListener {
    /// Where.
    asked: SocketAddr,
    /// The listeners there are.
    listen: Vec<SocketAddr>,
}

/// The place among the addresses listened on of the listener that is asked, if one is said.
pub(super) fn place(listen: &[SocketAddr], asker: Asker) -> Result<Option<usize>, NoListener> {
    let Some(asked) = asker.listener else { return Ok(None) };
    let place = listen.iter().position(|&listener| listener == asked);
    place.map(Some).ok_or_else(|| NoListener { asked, listen: listen.to_vec() })
}

/// The client of a query by `asker` to the listener at this place, or to one that is no tenant's.
fn client_of(asker: Asker, listener: Option<usize>) -> Client {
    let address = asker.client.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
    match listener {
        None => Client::proxied(address),
        Some(place) if asker.proxied => Client::proxied(address).through(Client::direct(address, place)),
        Some(place) => Client::direct(address, place),
    }
}

/// Explains what `rules` do with a query for `name` over UDP to the listener at this [`place`], by the client of `asker` or by one who may ask
/// and whose address is no tenant's.
pub(super) fn explain(rules: &Rules, name: &Name, asker: Asker, listener: Option<usize>) -> Explanation {
    let client = asker.client.map(|client| client.to_canonical());
    let judge = rules.judge(client_of(asker, listener), Transport::Udp);
    let mut explanation = Explanation {
        generation: rules.generation,
        name: name.reveal().to_string(),
        client,
        listener: asker.listener,
        proxied: asker.proxied,
        tenant: judge.tenant.name().to_owned(),
        protected: false,
        verdict: Outcome::NotReady,
        action: None,
        by: None,
        entry: None,
        rule: None,
        feeds: Vec::new(),
    };
    let Ok(view) = name.view() else { return explanation };
    let question = Question { name: view, client, judge };
    if let Some(policy) = &rules.policy {
        explanation.feeds = question.opinions(policy);
    }
    explanation.protected = question.judge.protects(&question.name);
    question.decide(&mut explanation);
    let elsewhere = |verdict, why: &str| {
        let feeds = explanation.feeds.iter().cloned().map(|opinion| match opinion.effect.as_str() {
            "none" => opinion,
            _ => Opinion { effect: format!("none: {why}"), ..opinion },
        });
        let feeds = feeds.collect();
        Explanation { verdict, action: None, by: None, entry: None, rule: None, feeds, ..explanation.clone() }
    };
    if client.is_some_and(|client| !rules.access.allows(client)) {
        return elsewhere(Outcome::Refused, "this client may not ask");
    }
    match rules.zones.covers(&question.name, rtype::A) {
        Some(zone) => Explanation {
            entry: suffix(&question.name, zone.apex_labels()),
            rule: Some(Rule::NameAndBelow),
            ..elsewhere(Outcome::Zone, "zones answer before feeds are asked")
        },
        None => explanation,
    }
}

impl Question<'_> {
    /// Fills in the policy's decision.
    fn decide(&self, explanation: &mut Explanation) {
        let (outcome, by, action) = match self.judge.query(&self.name).verdict {
            Verdict::Sunk { by, action, .. } => (Outcome::Sunk, Some(by), Some(action)),
            _ if !self.judge.is_ready() => (Outcome::NotReady, None, None),
            Verdict::Allowed(by) => (Outcome::LetThrough, Some(by), Some(Action::Passthru)),
            Verdict::Unlisted => (Outcome::Forwarded, None, None),
        };
        explanation.verdict = outcome;
        explanation.action = action.map(|action| action.label().to_owned());
        match by {
            None => {}
            Some(By::Tenant) => {
                explanation.by = Some(Word::Tenant);
                explanation.entry = self.judge.own_labels(&self.name).and_then(|labels| suffix(&self.name, labels));
                explanation.rule = Some(Rule::NameAndBelow);
            }
            Some(By::Feed(feed)) => {
                let config = self.judge.policy.and_then(|policy| policy.feeds().get(feed.index()));
                explanation.by = config.map(|config| Word::Feed(config.name.clone()));
                let speaks = |reason| matches!(reason, Reason::Sinks(_) | Reason::Allows);
                let opinions = self.judge.opinions(&self.name);
                if let Some(opinion) = opinions.iter().find(|one| one.feed == feed && speaks(one.reason)) {
                    explanation.entry = self.entry(opinion.trigger);
                    explanation.rule = Some(rule(opinion.trigger));
                }
            }
        }
    }

    /// Every feed's word, in the tenant's order.
    fn opinions(&self, policy: &Policy) -> Vec<Opinion> {
        let said = self.judge.opinions(&self.name);
        let own = self.judge.own_labels(&self.name).is_some();
        let decider = match self.judge.query(&self.name).verdict {
            Verdict::Allowed(By::Feed(feed)) | Verdict::Sunk { by: By::Feed(feed), .. } => Some(feed),
            _ => None,
        };
        let (mut words, mut decided) = (Vec::new(), own);
        for feed in self.judge.tenant.feeds() {
            let Some(config) = policy.feeds().get(feed.index()) else { continue };
            let word = |says: &str, entry, rule, effect: &str| Opinion {
                feed: config.name.clone(),
                says: says.to_owned(),
                entry,
                rule,
                effect: effect.to_owned(),
            };
            let before = words.len();
            for opinion in said.iter().filter(|opinion| opinion.feed == feed) {
                let effect = match (own, decided) {
                    (true, _) => "none: the tenant's own names decide",
                    (false, decided) => effect(opinion.reason, !decided),
                };
                words.push(word(
                    says(opinion.reason),
                    self.entry(opinion.trigger),
                    Some(rule(opinion.trigger)),
                    effect,
                ));
            }
            if words.len() == before {
                words.push(word("not listed", None, None, "none"));
            }
            decided |= decider == Some(feed);
        }
        let others = policy.feeds().iter().filter(|config| !words.iter().any(|word| word.feed == config.name));
        let others: Vec<Opinion> = others
            .map(|config| Opinion {
                feed: config.name.clone(),
                says: "not asked".to_owned(),
                entry: None,
                rule: None,
                effect: "none: not one of the tenant's feeds".to_owned(),
            })
            .collect();
        words.extend(others);
        words
    }

    /// The listed name or network, as text.
    fn entry(&self, trigger: Trigger) -> Option<String> {
        match trigger {
            Trigger::Name { labels, .. } => suffix(&self.name, labels),
            Trigger::Client { prefix_len } | Trigger::Address { prefix_len } => network(self.client?, prefix_len),
        }
    }
}

/// The network of `address` with so many of 128 bits, as text.
fn network(address: IpAddr, prefix_len: u8) -> Option<String> {
    let prefix_len = if address.is_ipv4() { prefix_len.saturating_sub(96) } else { prefix_len };
    IpNet::new(address, prefix_len).ok().map(|network| network.trunc().to_string())
}

/// The name's last labels, as text.
fn suffix(name: &NameRef<'_>, labels: usize) -> Option<String> {
    Name::from_wire(name.suffix(labels)).ok().map(|entry| entry.reveal().to_string())
}

/// What a feed asks for.
const fn says(reason: Reason) -> &'static str {
    match reason {
        Reason::Sinks(action) | Reason::Protected(action) => action.label(),
        Reason::Allows | Reason::MayNotAllow => Action::Passthru.label(),
        Reason::Cancels => "cancel",
        Reason::Observes => Action::Observe.label(),
    }
}

/// What comes of it; `first`: no feed before it decides.
const fn effect(reason: Reason, first: bool) -> &'static str {
    match (reason, first) {
        (Reason::Protected(_), _) => "ignored: the name is protected, no feed sinks it",
        (Reason::MayNotAllow, _) => "ignored: the feed has no may-allow",
        (Reason::Cancels, _) => "cancels this feed's own match",
        (_, false) => "none: an earlier feed decides",
        (Reason::Sinks(Action::TcpOnly), true) => "decides over UDP; over TCP it cancels this feed's own match",
        (Reason::Observes, true) => "counted, not enforced",
        (Reason::Sinks(_) | Reason::Allows, true) => "decides",
    }
}

/// What an entry covers.
const fn rule(trigger: Trigger) -> Rule {
    match trigger {
        Trigger::Name { verbs: Verbs { at: Some(_), below: None, .. }, .. } => Rule::Exact,
        Trigger::Name { verbs: Verbs { at: None, below: Some(_), .. }, .. } => Rule::Below,
        Trigger::Name { .. } => Rule::NameAndBelow,
        Trigger::Client { .. } => Rule::Clients,
        Trigger::Address { .. } => Rule::Addresses,
    }
}
