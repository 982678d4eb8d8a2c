//! The judge against a naive twin: random feeds, tenants, names and addresses, and every stage's rule read off the documentation.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::*;
use crate::index::{Entries, FeedId, Index, Kept, Network, Part, Side, Sorted, Until, Verb, Verbs};
use crate::name::{Name, NameSet};

/// One feed, as it was made.
struct Feed {
    config: FeedConfig,
    names: BTreeMap<String, Verbs>,
    networks: BTreeMap<(Side, u8, u128), (Verb, IpAddr)>,
    entries: Entries,
}

/// A verdict in words: a feed's place or the tenant, and the action.
type Said = (Option<Option<usize>>, Option<Action>);

fn name(rng: &mut StdRng) -> String {
    let labels = rng.random_range(1..5);
    let labels: Vec<&str> = (0..labels).map(|_| ["a", "b", "c"][rng.random_range(0..3)]).collect();
    labels.join(".")
}

/// One of few addresses of either family.
fn address(rng: &mut StdRng) -> IpAddr {
    let low = rng.random_range(0_u32..16);
    if rng.random() {
        Ipv4Addr::from(0xc000_0200 | low).into()
    } else {
        Ipv6Addr::from(0x2001_0db8_u128 << 96 | u128::from(low)).into()
    }
}

fn verb(rng: &mut StdRng, entries: &mut Entries) -> Verb {
    match rng.random_range(0..8) {
        0 => Verb::Nxdomain,
        1 => Verb::Drop,
        2 | 3 => Verb::Passthru,
        4 => Verb::Cancel,
        5 => Verb::TcpOnly,
        6 => {
            let record = Record { rtype: 1, ttl_secs: 30, rdata: vec![192, 0, 2, rng.random_range(0..4)].into() };
            entries.record(record).unwrap()
        }
        _ => Verb::Listed,
    }
}

fn feed(rng: &mut StdRng, place: usize) -> Feed {
    let action = [None, None, None, Some(Action::Refused), Some(Action::Passthru), Some(Action::Observe)]
        [rng.random_range(0..6)];
    let config = FeedConfig {
        action,
        may_allow: rng.random(),
        check_targets: rng.random_range(0..4) > 0,
        check_addresses: rng.random_range(0..4) > 0,
        ..FeedConfig::plain(format!("f{place}"))
    };
    let (mut names, mut networks, mut entries) = (BTreeMap::new(), BTreeMap::new(), Entries::default());
    for _ in 0..rng.random_range(0..12) {
        let (name, verb) = (name(rng), verb(rng, &mut entries));
        let verbs = [Verbs::exact(verb), Verbs::below(verb), Verbs::subtree(verb)][rng.random_range(0..3)];
        names.entry(name).or_insert_with_key(|name| {
            let key = Name::from_text(name.as_bytes()).unwrap().key().unwrap();
            entries.push(key.as_bytes(), verbs, false).unwrap();
            verbs
        });
    }
    for _ in 0..rng.random_range(0..6) {
        let (side, address) = (Side::ALL[rng.random_range(0..2)], address(rng));
        let whole = if address.is_ipv4() { 32 } else { 128 };
        let prefix_len = whole - rng.random_range(0..5);
        let first = ipnet::IpNet::new(address, prefix_len).unwrap().network();
        let (network, verb) = (Network::of(first, prefix_len).unwrap(), verb(rng, &mut entries));
        networks.entry((side, network.prefix_len(), network.first())).or_insert_with(|| {
            entries.push_network(side, network, verb, Until::NEVER, false).unwrap();
            (verb, first)
        });
    }
    Feed { config, names, networks, entries }
}

/// What a verb comes to, as the documentation has it; `None`: as if the entry were not there. `protected`: the name asked is.
fn reason(feed: &FeedConfig, verb: Verb, tenant: &TenantConfig, via: Via, protected: bool) -> Option<Reason> {
    let action = match (verb, feed.action) {
        (Verb::Cancel, _) => return Some(Reason::Cancels),
        (Verb::Passthru, _) if !feed.may_allow => return None,
        (verb, Some(Action::Observe)) => return (!protected || verb == Verb::Passthru).then_some(Reason::Observes),
        (Verb::Passthru, _) => return Some(Reason::Allows),
        (_, Some(Action::Passthru)) => return feed.may_allow.then_some(Reason::Allows),
        (_, Some(action)) => action,
        (Verb::Nxdomain, None) => Action::Nxdomain,
        (Verb::Drop, None) => Action::Drop,
        (Verb::TcpOnly, None) => Action::TcpOnly,
        (Verb::Data(_), None) => Action::Data,
        (_, None) => Action::Sinkhole,
    };
    match tenant.action.unwrap_or(action) {
        Action::TcpOnly if via == Via::Stream => Some(Reason::Cancels),
        _ if protected => None,
        Action::Observe => Some(Reason::Observes),
        action => Some(Reason::Sinks(action)),
    }
}

/// Labels of `name` that are an entry's, if it is at or below `entry`.
fn covers(entry: &str, name: &str) -> bool {
    name == entry || name.ends_with(&format!(".{entry}"))
}

/// What each feed's entries say in the order in which they count, through the tenant's feeds.
fn first_word(
    feeds: &[Feed],
    tenant: &TenantConfig,
    via: Via,
    protected: bool,
    candidates: impl Fn(&Feed) -> Vec<Verb>,
) -> (Said, u128) {
    let all: Vec<usize> = (0..feeds.len()).collect();
    let order = tenant.feeds.as_ref().map_or(all, |feeds| feeds.iter().map(|feed| feed.index()).collect());
    let mut observed = 0;
    for place in order {
        let feed = &feeds[place];
        let words = candidates(feed);
        match words.into_iter().find_map(|verb| reason(&feed.config, verb, tenant, via, protected)) {
            Some(Reason::Sinks(action)) => return ((Some(Some(place)), Some(action)), observed),
            Some(Reason::Allows) => return ((Some(Some(place)), None), observed),
            Some(Reason::Observes) => observed |= FeedId::new(place).unwrap().bit(),
            Some(Reason::Cancels | Reason::MayNotAllow | Reason::Protected(_)) | None => {}
        }
    }
    ((None, None), observed)
}

/// A feed's verbs for a name, the deepest entry first.
fn of_name(feed: &Feed, name: &str) -> Vec<Verb> {
    let mut entries: Vec<_> = feed.names.iter().filter(|(entry, _)| covers(entry, name)).collect();
    entries.sort_by_key(|(entry, _)| std::cmp::Reverse(entry.len()));
    entries.into_iter().filter_map(|(entry, verbs)| if entry == name { verbs.at } else { verbs.below }).collect()
}

/// A feed's verbs for addresses, the longest network first, then the lowest address.
fn of_addresses(feed: &Feed, side: Side, addresses: &[IpAddr]) -> Vec<Verb> {
    let number = |address: IpAddr| match address {
        IpAddr::V4(four) => four.to_ipv6_mapped().to_bits(),
        IpAddr::V6(six) => six.to_bits(),
    };
    let mut found = Vec::new();
    for (&(of, prefix_len, first), &(verb, family)) in &feed.networks {
        for &address in addresses.iter().filter(|address| address.is_ipv4() == family.is_ipv4()) {
            if of == side && number(address) >> (128 - prefix_len) == first >> (128 - prefix_len) {
                found.push(((std::cmp::Reverse(prefix_len), number(address)), verb));
            }
        }
    }
    found.sort_by_key(|&(order, _)| order);
    found.into_iter().map(|(_, verb)| verb).collect()
}

/// A few protected names, whether what is below them is too, and the set of them.
fn protected(rng: &mut StdRng) -> (Vec<(String, bool)>, Arc<NameSet>) {
    let protected: Vec<_> = (0..rng.random_range(0..4)).map(|_| (name(rng), rng.random())).collect();
    let key = |name: &String| Name::from_text(name.as_bytes()).unwrap().key().unwrap();
    let keys: Vec<_> = protected.iter().map(|(name, below)| (key(name), *below)).collect();
    let set = NameSet::of(keys.iter().map(|(key, below)| (key.as_bytes(), *below)));
    (protected, Arc::new(set))
}

/// What the tenant's own names say.
fn own_word(allow: &[String], deny: &[String], config: &TenantConfig, asked: &str) -> Option<(Said, u128)> {
    let own = allow.iter().map(|name| (name, true)).chain(deny.iter().map(|name| (name, false)));
    let own = own.filter(|(name, _)| covers(name, asked)).max_by_key(|(name, _)| name.len());
    own.map(|(_, allows)| {
        let denial = config.action.filter(|action| *action != Action::Observe).unwrap_or(Action::Sinkhole);
        ((Some(None), (!allows).then_some(denial)), 0)
    })
}

/// What all stages of an answer come to: the first that is decided, but for one of several ways on that is let through; and who observes till
/// then.
fn first_decided(stages: impl Iterator<Item = ((Said, u128), bool)>) -> (Said, u128) {
    let mut observed = 0;
    for ((verdict, by), is_service) in stages {
        observed |= by;
        if verdict.0.is_some() && !(is_service && verdict.1.is_none()) {
            return (verdict, observed);
        }
    }
    ((None, None), observed)
}

/// An index of these, built over a base in which those that `amends` says are `others`.
fn amended(parts: &[Part<'_>], amends: &[bool], others: &[Sorted]) -> Arc<Index> {
    let other = |place: usize| amends[place].then(|| Kept::New(&others[place]));
    let before = parts.iter().map(|part| Part { source: other(part.id.index()).unwrap_or(part.source), ..*part });
    let base = Index::build(&before.collect::<Vec<_>>()).unwrap();
    Arc::new(base.amended(parts, usize::MAX).unwrap().unwrap())
}

/// How specific the entry is.
fn size(trigger: Trigger) -> usize {
    match trigger {
        Trigger::Name { labels, .. } => labels,
        Trigger::Client { prefix_len } | Trigger::Address { prefix_len } => usize::from(prefix_len),
    }
}

fn said(verdict: Verdict<'_>) -> Said {
    let place = |by| match by {
        By::Feed(feed) => Some(feed.index()),
        By::Tenant => None,
    };
    match verdict {
        Verdict::Unlisted => (None, None),
        Verdict::Allowed(by) => (Some(place(by)), None),
        Verdict::Sunk { by, action, records } => {
            assert_eq!(action == Action::Data, !records.is_empty(), "records come with their action");
            (Some(place(by)), Some(action))
        }
    }
}

#[test]
fn the_judge_says_what_a_naive_loop_says() {
    for seed in 0..400 {
        let mut rng = StdRng::seed_from_u64(seed);
        let mut feeds: Vec<Feed> = (0..rng.random_range(1..5)).map(|place| feed(&mut rng, place)).collect();
        let sorted: Vec<Sorted> = feeds.iter_mut().map(|feed| std::mem::take(&mut feed.entries).finish().0).collect();
        let parts: Vec<Part<'_>> = (0..)
            .zip(&sorted)
            .map(|(place, sorted)| Part {
                id: FeedId::new(place).unwrap(),
                name: "f",
                entries: 1,
                source: Kept::New(sorted),
            })
            .collect();
        let apart = rng.random_range(0..=parts.len());
        // Built as they are, or over a base in which they are others, some of them the same.
        let others: Vec<Sorted> = (0..feeds.len()).map(|place| feed(&mut rng, place).entries.finish().0).collect();
        let amends: Vec<bool> = (0..feeds.len()).map(|_| rng.random()).collect();
        let indexes = [&parts[..apart], &parts[apart..]].map(|parts| amended(parts, &amends, &others));
        let configs: Vec<_> = feeds.iter().map(|feed| feed.config.clone()).collect();
        let flat = indexes.each_ref().map(|index| Arc::new(index.flattened().unwrap()));
        let (protected, set) = protected(&mut rng);
        let (policy, flat) = (Policy::new(indexes, configs.clone()), Policy::new(flat, configs));
        let [policy, flat] = [policy, flat].map(|policy| policy.protecting(Arc::clone(&set)));

        let mut order: Vec<FeedId> = (0..feeds.len()).map(|place| FeedId::new(place).unwrap()).collect();
        order.rotate_left(rng.random_range(0..feeds.len()));
        order.truncate(rng.random_range(0..=feeds.len()));
        let own = |rng: &mut StdRng| (0..rng.random_range(0..3)).map(|_| name(rng)).collect::<Vec<_>>();
        let (allow, mut deny) = (own(&mut rng), own(&mut rng));
        deny.retain(|name| !allow.contains(name));
        let names = |names: &[String]| names.iter().map(|name| Name::from_text(name.as_bytes()).unwrap()).collect();
        let config = TenantConfig {
            feeds: rng.random::<bool>().then_some(order),
            allow: names(&allow),
            deny: names(&deny),
            action: [None, None, Some(Action::Nodata), Some(Action::Observe)][rng.random_range(0..4)],
            listeners: vec![0],
            ..TenantConfig::plain("t".to_owned())
        };
        let tenants = Tenants::new(std::slice::from_ref(&config), |_| Standing::default());
        let (sink, tenant) = (SinkConfig::default(), tenants.find(Some(0), Ipv4Addr::LOCALHOST.into()));

        for _ in 0..60 {
            let via = if rng.random() { Via::Datagram } else { Via::Stream };
            let (asked, client) = (name(&mut rng), address(&mut rng));
            let answer: Vec<IpAddr> = (0..rng.random_range(0..4)).map(|_| address(&mut rng)).collect();
            let judge = Judge::new(Some(&policy), tenant, &sink, client, via);
            let asked_name = Name::from_text(asked.as_bytes()).unwrap();
            let view = asked_name.view().unwrap();

            let own = |asked: &str| own_word(&allow, &deny, &config, asked);
            let is_protected = protected.iter().any(|(name, below)| *name == asked || *below && covers(name, &asked));
            let of_feeds = |protected, candidates: &dyn Fn(&Feed) -> Vec<Verb>| {
                first_word(&feeds, &config, via, protected, candidates)
            };
            let query = of_feeds(is_protected, &|feed| {
                [of_addresses(feed, Side::Client, &[client]), of_name(feed, &asked)].concat()
            });
            let target = |protected, name: &str| {
                let candidates = |feed: &Feed| if feed.config.check_targets { of_name(feed, name) } else { Vec::new() };
                own(name).unwrap_or_else(|| of_feeds(protected, &candidates))
            };
            let addresses = |protected| {
                of_feeds(protected, &|feed| {
                    if feed.config.check_addresses { of_addresses(feed, Side::Answer, &answer) } else { Vec::new() }
                })
            };
            let leads: Vec<(String, bool)> =
                (0..rng.random_range(0..3)).map(|_| (name(&mut rng), rng.random())).collect();
            let stages = leads.iter().map(|(name, is_service)| (target(is_protected, name), *is_service));
            let whole = first_decided(stages.chain([(addresses(is_protected), false)]));
            let names: Vec<_> = leads.iter().map(|(name, _)| Name::from_text(name.as_bytes()).unwrap()).collect();
            let targets = || names.iter().zip(&leads).map(|(name, (_, service))| (name.view().unwrap(), *service));
            for (stage, got, want) in [
                ("query", judge.query(&view), own(&asked).unwrap_or(query)),
                ("target", judge.target(&view), target(false, &asked)),
                ("addresses", judge.addresses(|| answer.iter().copied()), addresses(false)),
                ("answer", judge.answer(&view, targets, || answer.iter().copied()), whole),
            ] {
                assert_eq!(
                    (said(got.verdict), got.observed),
                    want,
                    "seed {seed}: {stage} {asked} of {client}, {via:?}: {answer:?}"
                );
                assert!(got.listed || got.verdict == Verdict::Unlisted && got.observed == 0, "seed {seed}: {stage}");
            }
            let of_one = Judge::new(Some(&flat), tenant, &sink, client, via);
            assert_eq!(judge.query(&view), of_one.query(&view), "seed {seed}: all of it on {asked} of {client}");
            let opinions = |judge: &Judge<'_>| -> Vec<_> {
                judge.opinions(&view).into_iter().map(|one| (one.feed, size(one.trigger), one.reason)).collect()
            };
            assert_eq!(opinions(&judge), opinions(&of_one), "seed {seed}: {asked} of {client}");
            let heard = judge.opinions(&view).into_iter().map(|one| (one.feed.index(), one.reason));
            let decides = heard.clone().find(|(_, reason)| matches!(reason, Reason::Sinks(_) | Reason::Allows));
            let want = match query.0 {
                (Some(Some(place)), Some(action)) => Some((place, Reason::Sinks(action))),
                (Some(Some(place)), None) => Some((place, Reason::Allows)),
                _ => None,
            };
            assert_eq!(decides, want, "seed {seed}: opinions on {asked} of {client}");
        }
    }
}
