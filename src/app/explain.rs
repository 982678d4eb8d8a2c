//! What happens to a name, and why: the ladder's decision and every feed's word, for the operator who asked about this very name.

use std::net::IpAddr;

use crate::admin::{Explanation, Opinion, Rule, Verdict as Outcome};
use crate::index::Verbs;
use crate::name::{Name, NameRef};
use crate::policy::{Action, Policy, Reason, Verdict, Via};
use crate::server::Rules;
use crate::wire::rtype;

/// Explains what `rules` do with a query for `name`, by `client` or by one who may ask.
pub(super) fn explain(rules: &Rules, name: &Name, client: Option<IpAddr>) -> Explanation {
    let mut explanation = Explanation {
        generation: rules.generation,
        name: name.reveal().to_string(),
        client,
        verdict: Outcome::NotReady,
        action: None,
        feed: None,
        entry: None,
        rule: None,
        feeds: Vec::new(),
    };
    let Ok(view) = name.view() else { return explanation };
    if let Some(policy) = &rules.policy {
        explanation.feeds = opinions(policy, &view);
        decide(&mut explanation, policy, &view);
    }
    if let Some(zone) = rules.zones.covers(&view, rtype::A) {
        explanation = Explanation {
            verdict: Outcome::Zone,
            action: None,
            feed: None,
            entry: entry(&view, zone.apex_labels()),
            rule: Some(Rule::NameAndBelow),
            ..explanation
        };
    }
    if client.is_some_and(|client| !rules.access.allows(client)) {
        explanation =
            Explanation { verdict: Outcome::Refused, action: None, feed: None, entry: None, rule: None, ..explanation };
    }
    explanation
}

/// Fills in the policy's decision.
fn decide(explanation: &mut Explanation, policy: &Policy, view: &NameRef<'_>) {
    let (verdict, feed, action) = match policy.decide(view, Via::Datagram).verdict {
        Verdict::Unlisted => (Outcome::Forwarded, None, None),
        Verdict::Allowed { feed } => (Outcome::LetThrough, Some(feed), Some(Action::Passthru)),
        Verdict::Sunk { feed, action } => (Outcome::Sunk, Some(feed), Some(action)),
    };
    explanation.verdict = verdict;
    explanation.action = action.map(|action| action.label().to_owned());
    explanation.feed = feed.and_then(|feed| policy.feeds().get(feed.index())).map(|feed| feed.name.clone());
    let speaks = |reason| matches!(reason, Reason::Sinks(_) | Reason::Allows);
    if let Some(opinion) =
        policy.opinions(view).into_iter().find(|opinion| Some(opinion.feed) == feed && speaks(opinion.reason))
    {
        explanation.entry = entry(view, opinion.labels);
        explanation.rule = Some(rule(opinion.verbs));
    }
}

/// Every feed's word, in the feeds' order.
fn opinions(policy: &Policy, view: &NameRef<'_>) -> Vec<Opinion> {
    let said = policy.opinions(view);
    let decided = match policy.decide(view, Via::Datagram).verdict {
        Verdict::Unlisted => None,
        Verdict::Allowed { feed } | Verdict::Sunk { feed, .. } => Some(feed.index()),
    };
    let mut words = Vec::new();
    for (place, feed) in policy.feeds().iter().enumerate() {
        let before = words.len();
        for opinion in said.iter().filter(|opinion| opinion.feed.index() == place) {
            let first = decided.is_none_or(|decided| place <= decided);
            words.push(Opinion {
                feed: feed.name.clone(),
                says: says(opinion.reason).to_owned(),
                entry: entry(view, opinion.labels),
                rule: Some(rule(opinion.verbs)),
                effect: effect(opinion.reason, first).to_owned(),
            });
        }
        if words.len() == before {
            let says = "not listed".to_owned();
            words.push(Opinion { feed: feed.name.clone(), says, entry: None, rule: None, effect: "none".to_owned() });
        }
    }
    words
}

/// What a feed asks for.
const fn says(reason: Reason) -> &'static str {
    match reason {
        Reason::Sinks(action) => action.label(),
        Reason::Allows | Reason::MayNotAllow => Action::Passthru.label(),
        Reason::Cancels => "cancel",
        Reason::Observes => Action::Observe.label(),
    }
}

/// What comes of it; `first`: no feed before it decides.
const fn effect(reason: Reason, first: bool) -> &'static str {
    match (reason, first) {
        (Reason::MayNotAllow, _) => "ignored: the feed has no may-allow",
        (Reason::Cancels, _) => "cancels this feed's own match",
        (_, false) => "none: an earlier feed decides",
        (Reason::Sinks(Action::TcpOnly), true) => "decides over UDP; over TCP it cancels this feed's own match",
        (Reason::Observes, true) => "counted, not enforced",
        (Reason::Sinks(_) | Reason::Allows, true) => "decides",
    }
}

/// The listed name with so many labels, as text.
fn entry(view: &NameRef<'_>, labels: usize) -> Option<String> {
    Name::from_wire(view.suffix(labels)).ok().map(|entry| entry.reveal().to_string())
}

/// What an entry covers.
const fn rule(verbs: Verbs) -> Rule {
    match (verbs.at.is_some(), verbs.below.is_some()) {
        (true, false) => Rule::Exact,
        (false, true) => Rule::Below,
        _ => Rule::NameAndBelow,
    }
}
