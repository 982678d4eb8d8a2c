//! Feeds and tenants: who decides what. The precedence of every trigger, beside a real `named`, is in `tests/precedence`.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use super::*;
use crate::index::{Entries, FeedId, Index, Kept, Part, Sorted, Verb, Verbs};
use crate::name::{LABELS_MAX, Name, NameSet};

/// Who asks.
const CLIENT: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));

type Feed<'t> = (Option<Action>, bool, &'t [(&'t str, Verbs)]);

/// Where the feeds are: what is decided must not depend on it.
#[derive(Debug, Clone, Copy)]
enum Place {
    /// In one index.
    Together,
    /// Every second one in an index of its own.
    Apart,
    /// Every second one in an overlay.
    Amended,
}

const PLACES: [Place; 3] = [Place::Together, Place::Apart, Place::Amended];

fn policy(feeds: &[Feed<'_>]) -> Policy {
    policy_in(feeds, Place::Together)
}

fn policy_in(feeds: &[Feed<'_>], place: Place) -> Policy {
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
    let build = |parts: &[Part<'_>]| Arc::new(Index::build(parts).unwrap());
    let (even, odd): (Vec<Part<'_>>, Vec<_>) = parts.iter().partition(|part| part.id.index() % 2 == 0);
    let nothing = Sorted::default();
    let indexes = match place {
        Place::Together => vec![build(&parts)],
        Place::Apart => vec![build(&even), build(&odd)],
        Place::Amended => {
            let empty = odd.iter().map(|part| Part { source: Kept::New(&nothing), ..*part });
            let base = build(&even.iter().copied().chain(empty).collect::<Vec<_>>());
            vec![Arc::new(base.amended(&odd, usize::MAX).unwrap().unwrap())]
        }
    };
    let feeds = feeds
        .iter()
        .map(|&(action, may_allow, _)| FeedConfig { action, may_allow, ..FeedConfig::plain("f".to_owned()) })
        .collect();
    Policy::new(indexes, feeds)
}

#[derive(Clone, Copy)]
enum Stage {
    Query,
    Target,
}

/// What the tenant `config` gets, asking for `name`; who observed it; whether it is listed.
fn judged(policy: &Policy, config: TenantConfig, via: Via, name: &str, stage: Stage) -> (&'static str, u128, bool) {
    let tenants = Tenants::new(&[TenantConfig { listeners: vec![0], ..config }], |_| Standing::default());
    let (tenant, sink) = (tenants.find(Some(0), CLIENT), SinkConfig::default());
    let judge = Judge::new(Some(policy), tenant, &sink, CLIENT, via);
    let name = Name::from_text(name.as_bytes()).unwrap();
    let decision = match stage {
        Stage::Query => judge.query(&name.view().unwrap()),
        Stage::Target => judge.target(&name.view().unwrap()),
    };
    (shown(decision), decision.observed, decision.listed)
}

fn plain() -> TenantConfig {
    TenantConfig::plain("t".to_owned())
}

fn shown(decision: Decision<'_>) -> &'static str {
    match decision.verdict {
        Verdict::Unlisted => "unlisted",
        Verdict::Allowed(By::Feed(_)) => "allowed",
        Verdict::Allowed(By::Tenant) => "own allowed",
        Verdict::Sunk { by: By::Feed(_), action, .. } => action.label(),
        Verdict::Sunk { by: By::Tenant, action: Action::Refused, .. } => "own refused",
        Verdict::Sunk { by: By::Tenant, .. } => "own sinkhole",
    }
}

fn decide(policy: &Policy, name: &str) -> (&'static str, u128) {
    let (shown, observed, _) = judged(policy, plain(), Via::Datagram, name, Stage::Query);
    (shown, observed)
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
    let policies = PLACES.map(|place| (place, policy_in(&feeds, place)));
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
        for (place, policy) in &policies {
            assert_eq!(decide(policy, name), want, "{name} {place:?}");
        }
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
        for (via, want) in [(Via::Datagram, udp), (Via::Stream, tcp)] {
            let (got, _, listed) = judged(&policy, plain(), via, name, Stage::Query);
            assert_eq!((got, listed), (want, true), "{name} {via:?}");
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
    // The first feed's only match is let through: the second one's must be heard too.
    let passed: Vec<(&str, Verbs)> = names.iter().map(|&(name, _)| (name, Verbs::exact(Verb::Passthru))).collect();
    for place in PLACES {
        let policy = policy_in(&[(None, true, &passed), (None, false, &names)], place);
        let keys: usize = policy.indexes().iter().map(|index| index.keys()).sum();
        assert_eq!(keys, if matches!(place, Place::Together) { 126 } else { 252 });
        for (name, want) in [
            (deep.clone(), "allowed"),
            (format!("b.{deep}"), "nodata"),
            (format!("b.{}", vec!["a"; 125].join(".")), "nxdomain"),
        ] {
            assert_eq!(decide(&policy, &name).0, want, "{place:?} {name}");
        }
    }
}

#[test]
fn a_name_with_every_ancestor_listed_and_the_root() {
    let owned: Vec<String> = (1..=LABELS_MAX).map(|labels| vec!["a"; labels].join(".")).collect();
    // Alternating verbs, so that no entry is redundant; and the root, which is an ancestor too.
    let verbs = |labels: usize| Verbs::subtree(if labels.is_multiple_of(2) { Verb::Nxdomain } else { Verb::Nodata });
    let mut names: Vec<(&str, Verbs)> =
        (1..).zip(&owned).map(|(labels, name)| (name.as_str(), verbs(labels))).collect();
    names.push((".", verbs(0)));
    // In two indexes, or in an overlay, each of them is found twice.
    for (feeds, place) in [(1, Place::Together), (2, Place::Together), (2, Place::Apart), (2, Place::Amended)] {
        let policy = policy_in(&[(None, false, &names[..]), (None, false, &names)][..feeds], place);
        for (labels, name) in (1..).zip(&owned) {
            let want = if labels % 2 == 0 { "nxdomain" } else { "nodata" };
            assert_eq!(decide(&policy, name).0, want, "{labels} labels, feeds {feeds}, {place:?}");
        }
        assert_eq!(decide(&policy, "b").0, "nxdomain");
        assert_eq!(decide(&policy, &format!("b.{}", owned[LABELS_MAX - 2])).0, "nxdomain");
    }
}

/// Three feeds: the first lets one name through.
fn three() -> Policy {
    policy(&[
        (None, true, &[("bad.test", LISTED), ("good.bad.test", Verbs::subtree(Verb::Passthru))]),
        (Some(Action::Nxdomain), false, &[("bad.test", LISTED), ("worse.test", LISTED)]),
        (Some(Action::Observe), false, &[("bad.test", LISTED), ("seen.test", LISTED)]),
    ])
}

#[test]
fn a_tenants_own_order_of_feeds() {
    for (feeds, wants) in [
        (None, [("sinkhole", 0), ("allowed", 0), ("nxdomain", 0), ("unlisted", 0b100)]),
        (Some(&[1, 0][..]), [("nxdomain", 0), ("nxdomain", 0), ("nxdomain", 0), ("unlisted", 0)]),
        (Some(&[2, 0]), [("sinkhole", 0b100), ("allowed", 0b100), ("unlisted", 0), ("unlisted", 0b100)]),
        (Some(&[2, 1]), [("nxdomain", 0b100), ("nxdomain", 0b100), ("nxdomain", 0), ("unlisted", 0b100)]),
        (Some(&[]), [("unlisted", 0); 4]),
    ] {
        let order = feeds.map(|feeds| feeds.iter().map(|&place| FeedId::new(place).unwrap()).collect());
        for (name, want) in ["bad.test", "good.bad.test", "worse.test", "seen.test"].into_iter().zip(wants) {
            let config = TenantConfig { feeds: order.clone(), ..plain() };
            let (got, observed, listed) = judged(&three(), config, Via::Datagram, name, Stage::Query);
            assert_eq!((got, observed), want, "{name} with feeds {feeds:?}");
            assert!(listed, "whoever asks: {name}");
        }
    }
}

#[test]
fn a_tenants_own_names_come_before_any_feed() {
    let names = |texts: &[&str]| texts.iter().map(|text| Name::from_text(text.as_bytes()).unwrap()).collect();
    let config = TenantConfig {
        allow: names(&["bad.test", "fine.own.test"]),
        deny: names(&["own.test", "x.bad.test"]),
        ..plain()
    };
    for (name, want) in [
        ("bad.test", "own allowed"),
        ("y.bad.test", "own allowed"),
        ("a.x.bad.test", "own sinkhole"),
        ("own.test", "own sinkhole"),
        ("a.fine.own.test", "own allowed"),
        ("worse.test", "nxdomain"),
        ("else.test", "unlisted"),
    ] {
        for ask in [Stage::Query, Stage::Target] {
            assert_eq!(judged(&three(), config.clone(), Via::Datagram, name, ask).0, want, "{name}");
        }
    }
}

#[test]
fn a_tenant_minds_targets_that_its_own_names_cover_and_no_others() {
    let names = |texts: &[&str]| texts.iter().map(|text| Name::from_text(text.as_bytes()).unwrap()).collect::<Vec<_>>();
    for (allow, deny, targets, minds, labels) in [
        (&[][..], &[][..], &["bad.test"][..], false, None),
        (&["bad.test"], &[], &["x.test", "a.bad.test"], true, Some(2)),
        (&["bad.test"], &["a.bad.test"], &["a.bad.test"], true, Some(3)),
        (&["bad.test"], &["a.bad.test"], &["x.test", "test"], false, None),
        (&["bad.test"], &["a.bad.test"], &[], false, None),
    ] {
        let config = TenantConfig { allow: names(allow), deny: names(deny), listeners: vec![0], ..plain() };
        let tenants = Tenants::new(&[config], |_| Standing::default());
        let (tenant, sink) = (tenants.find(Some(0), CLIENT), SinkConfig::default());
        let judge = Judge::new(None, tenant, &sink, CLIENT, Via::Datagram);
        let targets = names(targets);
        assert_eq!(judge.minds(targets.iter().map(|name| name.view().unwrap())), minds, "{allow:?} {deny:?}");
        let last = targets.last().and_then(|name| judge.own_labels(&name.view().unwrap()));
        assert_eq!(last, labels, "{allow:?} {deny:?}");
    }
}

#[test]
fn a_tenants_action_stands_over_the_feeds() {
    for (action, wants) in [
        (Action::Refused, [("refused", 0), ("allowed", 0), ("refused", 0), ("unlisted", 0b100)]),
        (Action::Observe, [("unlisted", 0b111), ("allowed", 0), ("unlisted", 0b10), ("unlisted", 0b100)]),
    ] {
        let deny = vec![Name::from_text(b"own.test").unwrap()];
        let config = TenantConfig { action: Some(action), deny, ..plain() };
        for (name, want) in ["bad.test", "good.bad.test", "worse.test", "seen.test"].into_iter().zip(wants) {
            let (got, observed, _) = judged(&three(), config.clone(), Via::Datagram, name, Stage::Query);
            assert_eq!((got, observed), want, "{name} under {action:?}");
        }
        let (own, ..) = judged(&three(), config, Via::Datagram, "own.test", Stage::Query);
        assert_eq!(own, if action == Action::Observe { "own sinkhole" } else { "own refused" }, "own names are meant");
    }
}

#[test]
fn a_feed_may_have_no_say_in_where_answers_lead() {
    let mut feeds: Vec<FeedConfig> = three().feeds().to_vec();
    feeds[0].check_targets = false;
    let policy = Policy::new(three().indexes(), feeds);
    let ask = |name, ask| judged(&policy, plain(), Via::Datagram, name, ask).0;
    assert_eq!((ask("bad.test", Stage::Query), ask("bad.test", Stage::Target)), ("sinkhole", "nxdomain"));
    assert_eq!((ask("good.bad.test", Stage::Query), ask("good.bad.test", Stage::Target)), ("allowed", "nxdomain"));
}

#[test]
fn the_tenants_sinkhole_then_the_feeds_then_everyones() {
    let sink = |text: &str| SinkConfig { ede_text: text.to_owned(), ..SinkConfig::default() };
    let mut feeds: Vec<FeedConfig> = three().feeds().to_vec();
    feeds[1].sink = Some(sink("feed"));
    let policy = Policy::new(three().indexes(), feeds);
    let everyones = sink("everyone");
    for (tenants, wants) in [(None, ["everyone", "feed", "everyone"]), (Some(sink("tenant")), ["tenant"; 3])] {
        let tenants =
            Tenants::new(&[TenantConfig { sink: tenants, listeners: vec![0], ..plain() }], |_| Standing::default());
        let tenant = tenants.find(Some(0), CLIENT);
        let judge = Judge::new(Some(&policy), tenant, &everyones, CLIENT, Via::Datagram);
        let by = [By::Feed(FeedId::new(0).unwrap()), By::Feed(FeedId::new(1).unwrap()), By::Tenant];
        assert_eq!(by.map(|by| judge.sink(by).ede_text.as_str()), wants);
    }
}

#[test]
fn opinions_say_what_each_feed_would() {
    let policy = policy(&[
        (None, false, &[("bad.test", LISTED), ("x.bad.test", Verbs::subtree(Verb::Passthru))]),
        (Some(Action::Observe), false, &[("x.bad.test", LISTED)]),
        (None, false, &[("x.bad.test", LISTED)]),
    ]);
    let feeds = [1, 0].map(|place| FeedId::new(place).unwrap()).to_vec();
    let tenants =
        Tenants::new(&[TenantConfig { feeds: Some(feeds), listeners: vec![0], ..plain() }], |_| Standing::default());
    let tenant = tenants.find(Some(0), CLIENT);
    let sink = SinkConfig::default();
    let name = Name::from_text(b"x.bad.test").unwrap();
    let got = |policy: &Policy| -> Vec<_> {
        Judge::new(Some(policy), tenant, &sink, CLIENT, Via::Datagram)
            .opinions(&name.view().unwrap())
            .into_iter()
            .map(|opinion| match opinion.trigger {
                Trigger::Name { labels, .. } => (opinion.feed.index(), labels, opinion.reason),
                _ => panic!("no network is listed"),
            })
            .collect()
    };
    let want = [(1, 3, Reason::Observes), (0, 3, Reason::MayNotAllow), (0, 2, Reason::Sinks(Action::Sinkhole))];
    assert_eq!(got(&policy), want);
    let key = name.key().unwrap();
    let policy = policy.protecting(Arc::new(NameSet::of([(key.as_bytes(), false)].into_iter())));
    let [observes, sinks] = [Action::Observe, Action::Sinkhole].map(Reason::Protected);
    assert_eq!(got(&policy), [(1, 3, observes), (0, 3, Reason::MayNotAllow), (0, 2, sinks)]);
}

#[test]
fn before_the_first_load_only_own_names_are_judged() {
    for (before_load, ready) in [(BeforeLoad::Servfail, false), (BeforeLoad::Open, true)] {
        let deny = vec![Name::from_text(b"own.test").unwrap()];
        let config = TenantConfig { deny, before_load, listeners: vec![0], ..plain() };
        let tenants = Tenants::new(&[config], |_| Standing::default());
        let tenant = tenants.find(Some(0), CLIENT);
        let sink = SinkConfig::default();
        let judge = Judge::new(None, tenant, &sink, CLIENT, Via::Datagram);
        let ask = |name: &str| judge.query(&Name::from_text(name.as_bytes()).unwrap().view().unwrap());
        assert_eq!(judge.is_ready(), ready);
        assert_eq!((shown(ask("a.own.test")), ask("bad.test")), ("own sinkhole", Decision::UNLISTED));
    }
}
