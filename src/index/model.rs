//! The index against a naive twin: random entries, random names, all that must hold.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::*;
use crate::name::{Name, NameKey};

/// A verb by what it says, which numbers of sets do not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Says {
    Verb(Verb),
    Records(Vec<Record>),
}

impl Says {
    pub(super) fn of(verb: Verb, records: impl FnOnce(DataId) -> Vec<Record>) -> Self {
        match verb {
            Verb::Data(id) => Self::Records(records(id)),
            verb => Self::Verb(verb),
        }
    }
}

/// What the twin keeps of one feed: its entries, as they are.
#[derive(Clone, Default)]
pub(super) struct Feed {
    /// By key, for the name and for what is below, and until when.
    names: BTreeMap<Vec<u8>, ([Option<Says>; 2], Until)>,
    /// Each pair of side and network once, and until when.
    networks: Vec<(Side, Network, Says, Until)>,
}

impl Feed {
    /// What is left of it, `now_secs` after 1970.
    pub(super) fn lapsed(&self, now_secs: u64) -> Self {
        let mut left = self.clone();
        left.names.retain(|_, (_, until)| !until.has_come(now_secs));
        left.networks.retain(|(.., until)| !until.has_come(now_secs));
        left
    }

    /// When the first of its entries ends.
    fn lapses_next(&self) -> Option<Until> {
        let ends = self.names.values().map(|(_, until)| *until).chain(self.networks.iter().map(|(.., until)| *until));
        ends.min().filter(|&until| until != Until::NEVER)
    }
}

/// The hours in which entries end.
pub(super) const HOURS: u64 = 3;

/// Each feed, by place.
pub(super) type Twin = Vec<Feed>;

/// A name of few distinct labels, so that ancestors and collisions are frequent.
fn random_name(rng: &mut StdRng) -> Name {
    let labels = rng.random_range(1..6);
    let text: Vec<&str> =
        (0..labels).map(|_| ["a", "b", "ab", "ba", "www", "com", "A-b_1"][rng.random_range(0..7)]).collect();
    Name::from_text(text.join(".").as_bytes()).unwrap()
}

/// One of few records, so that sets are shared, or another verb.
fn random_verb(rng: &mut StdRng, entries: &mut Entries) -> Verb {
    let plain = [Verb::Listed, Verb::Nxdomain, Verb::Passthru, Verb::Cancel];
    let place = rng.random_range(0..8);
    let record = |rtype, rdata: &[u8]| Record { rtype, ttl_secs: 60, rdata: rdata.into() };
    match place {
        4 | 5 => entries.record(record(1, &[192, 0, 2, place])).unwrap(),
        6 => entries.record(record(16, b"\x01x")).unwrap(),
        7 => entries.record(record(5, b"\x06garden\0")).unwrap(),
        _ => plain[usize::from(place)],
    }
}

fn random_verbs(rng: &mut StdRng, entries: &mut Entries) -> Verbs {
    let verb = random_verb(rng, entries);
    let verbs = match rng.random_range(0..4) {
        0 => Verbs::exact(verb),
        1 => Verbs::below(verb),
        _ => Verbs::subtree(verb),
    };
    verbs.until(random_until(rng))
}

/// One of few hours, or never.
fn random_until(rng: &mut StdRng) -> Until {
    [Until::NEVER, Until::from_secs(rng.random_range(1..=HOURS) * 3600)][rng.random_range(0..2)]
}

/// What `feed` says of `name`: the deepest entry that applies.
fn twin_says(twin: &Feed, name: &Name) -> Option<Says> {
    let view = name.view().unwrap();
    (0..=view.labels()).rev().find_map(|labels| {
        let key = NameKey::of(&crate::name::NameRef::read(view.suffix(labels)).unwrap());
        let (verbs, _) = twin.names.get(key.as_bytes())?;
        verbs[usize::from(labels != view.labels())].clone()
    })
}

/// The same, read off the index.
fn index_says(index: &Index, feed: FeedId, name: &Name) -> Option<Says> {
    let view = name.view().unwrap();
    let mut said = None;
    index.walk(&view, |labels, listings| {
        for listing in listings.iter().filter(|listing| listing.feed == feed) {
            let verb = if labels == view.labels() { listing.verbs.at } else { listing.verbs.below };
            said = verb.map(|verb| Says::of(verb, |id| listings.records(id).to_vec())).or(said.take());
        }
    });
    said
}

/// An address of few bits, so that networks nest and collide; some IPv4 ones in their IPv6 form.
fn random_address(rng: &mut StdRng) -> IpAddr {
    let low: u8 = rng.random();
    match rng.random_range(0..4) {
        0 => Ipv4Addr::new(10, 0, low >> 6, low << 6).to_ipv6_mapped().into(),
        1 => Ipv6Addr::new(u16::from(low >> 6), 0, 0, 0, 0, 0, 0, u16::from(low & 3)).into(),
        _ => Ipv4Addr::new(10, 0, low >> 6, low & 3).into(),
    }
}

fn random_network(rng: &mut StdRng) -> Network {
    let address = random_address(rng);
    let (bits, family) = match address.to_canonical() {
        IpAddr::V4(ipv4) => (ipv4.to_ipv6_mapped().to_bits(), 96),
        IpAddr::V6(ipv6) => (ipv6.to_bits(), 0),
    };
    let prefix_len = [family, 104, 110, 118, 120, 126, 127, 128][rng.random_range(0..8)];
    let hosts = u128::MAX.checked_shr(prefix_len).unwrap_or(0);
    Network::new(bits & !hosts, u8::try_from(prefix_len).unwrap()).unwrap()
}

/// What `feed` says of `address`: its longest network that holds it, of its own family.
fn twin_says_of(twin: &Feed, side: Side, address: IpAddr) -> Option<(u8, Says)> {
    let ipv4 = |network: &Network| network.prefix_len() >= 96 && network.first() >> 32 == 0xffff;
    let (bits, is_ipv4) = match address.to_canonical() {
        IpAddr::V4(ipv4) => (ipv4.to_ipv6_mapped().to_bits(), true),
        IpAddr::V6(ipv6) => (ipv6.to_bits(), false),
    };
    let holds = |network: &Network| {
        let host_bits = u32::from(128 - network.prefix_len());
        ipv4(network) == is_ipv4 && bits.checked_shr(host_bits) == network.first().checked_shr(host_bits)
    };
    let own = twin.networks.iter().filter(|(one, network, ..)| *one == side && holds(network));
    own.map(|(_, network, says, _)| (network.prefix_len(), says.clone())).max_by_key(|(length, _)| *length)
}

/// The same, read off the index.
fn index_says_of(index: &Index, feed: FeedId, side: Side, address: IpAddr) -> Option<(u8, Says)> {
    let (mut said, mut last) = (None, 129);
    index.walk_networks(side, address, |length, listings| {
        assert!(length < last || length == last && index.is_amended(), "longest first, each length once a layer");
        last = length;
        assert!(index.has_networks(side));
        for listing in listings.iter().filter(|listing| listing.feed == feed) {
            let says = listing.verbs.at.map(|verb| Says::of(verb, |id| listings.records(id).to_vec()));
            said = said.take().or(says.map(|says| (length, says)));
        }
    });
    said
}

pub(super) fn random_feed(rng: &mut StdRng) -> (Sorted, Feed) {
    let mut entries = Entries::default();
    add_some(rng, &mut entries, 60);
    finished(entries)
}

/// Takes up to so many random names, and a third as many networks, more often none.
pub(super) fn add_some(rng: &mut StdRng, entries: &mut Entries, names_max: usize) {
    let some = if rng.random() { 0 } else { names_max / 3 };
    for _ in 0..rng.random_range(0..=some) {
        let (side, network) = (Side::ALL[rng.random_range(0..2)], random_network(rng));
        let verb = random_verb(rng, entries);
        entries.push_network(side, network, verb, random_until(rng), false).unwrap();
    }
    for _ in 0..rng.random_range(0..names_max) {
        let verbs = random_verbs(rng, entries);
        entries.push(random_name(rng).key().unwrap().as_bytes(), verbs, false).unwrap();
    }
}

/// The feed, and what the twin keeps of it.
pub(super) fn finished(entries: Entries) -> (Sorted, Feed) {
    let (sorted, _) = entries.finish();
    let says = |verb: Option<Verb>| verb.map(|verb| Says::of(verb, |id| sorted.records(id).to_vec()));
    let name = |(key, verbs): (&[u8], Verbs)| (key.to_vec(), ([says(verbs.at), says(verbs.below)], verbs.until));
    let names = sorted.iter().map(name).collect();
    let network = |(side, network, verbs): (_, _, Verbs)| (side, network, says(verbs.at).unwrap(), verbs.until);
    let networks = sorted.networks().map(network).collect();
    (sorted, Feed { names, networks })
}

pub(super) fn part<'a>(place: usize, name: &'a str, source: Kept<'a>) -> Part<'a> {
    Part { id: FeedId::new(place).unwrap(), name, entries: 1, source }
}

pub(super) fn agree(index: &Index, twin: &Twin, rng: &mut StdRng, seed: u64) {
    for _ in 0..200 {
        let name = random_name(rng);
        for (place, twin) in twin.iter().enumerate() {
            let feed = FeedId::new(place).unwrap();
            let (got, want) = (index_says(index, feed, &name), twin_says(twin, &name));
            assert_eq!(got, want, "seed {seed}, feed {place}, {}", name.reveal());
        }
    }
    for _ in 0..100 {
        let (address, side) = (random_address(rng), Side::ALL[rng.random_range(0..2)]);
        for (place, twin) in twin.iter().enumerate() {
            let feed = FeedId::new(place).unwrap();
            let (got, want) = (index_says_of(index, feed, side, address), twin_says_of(twin, side, address));
            assert_eq!(got, want, "seed {seed}, feed {place}, {side:?} {address}");
        }
    }
}

#[test]
fn the_index_says_what_a_naive_loop_says() {
    for seed in 0..150 {
        let mut rng = StdRng::seed_from_u64(seed);
        let feeds: Vec<_> = (0..rng.random_range(1..5)).map(|_| random_feed(&mut rng)).collect();
        let index = build(&feeds);
        let twin: Twin = feeds.iter().map(|(_, twin)| twin.clone()).collect();
        agree(&index, &twin, &mut rng, seed);

        // Through the artifact.
        let opened = reopened(&index);
        assert_eq!(opened.feeds(), index.feeds());
        agree(&opened, &twin, &mut rng, seed);

        // One feed replaced, the others kept out of the old index, in reverse order.
        let (fresh, fresh_twin) = random_feed(&mut rng);
        let mut sources = vec![part(0, "fresh", Kept::New(&fresh))];
        let kept = (1..feeds.len()).rev().map(|place| Kept::Old(&opened, FeedId::new(place).unwrap()));
        sources.extend(kept.enumerate().map(|(place, kept)| part(place + 1, "kept", kept)));
        let next = Index::build(&sources).unwrap();
        let mut next_twin = vec![fresh_twin];
        next_twin.extend(twin[1..].iter().rev().cloned());
        agree(&next, &next_twin, &mut rng, seed);
    }
}

/// The index of these feeds, in order.
pub(super) fn build(feeds: &[(Sorted, Feed)]) -> Index {
    let sources = feeds.iter().enumerate();
    let parts: Vec<_> = sources.map(|(place, (sorted, _))| part(place, "feed", Kept::New(sorted))).collect();
    Index::build(&parts).unwrap()
}

/// The index, written and opened again.
pub(super) fn reopened(index: &Index) -> Index {
    let mut octets = Vec::new();
    index.write(&mut octets).unwrap();
    Index::open(octets).unwrap()
}

#[test]
fn what_has_ended_is_as_if_it_had_never_been() {
    for seed in 0..150 {
        let mut rng = StdRng::seed_from_u64(seed);
        let feeds: Vec<_> = (0..rng.random_range(1..4)).map(|_| random_feed(&mut rng)).collect();
        let mut index = build(&feeds);
        for hour in 0..=HOURS {
            let now_secs = hour * 3600 + rng.random_range(0..3600);
            let left: Twin = feeds.iter().map(|(_, twin)| twin.lapsed(now_secs)).collect();
            let lapsed = index.lapsed(now_secs);
            assert!(Arc::ptr_eq(&lapsed.base.body, &index.base.body), "seed {seed}: shared");
            // What an ancestor makes redundant may end unseen.
            let ends = left.iter().filter_map(Feed::lapses_next).min().unwrap_or(Until::NEVER);
            let next = lapsed.lapses_next().unwrap_or(Until::NEVER);
            assert!(next >= ends && !next.has_come(now_secs), "seed {seed}: {next:?}, {ends:?}");
            agree(&lapsed, &left, &mut rng, seed);

            let opened = reopened(&lapsed);
            agree(&opened, &left, &mut rng, seed);
            let kept =
                (0..feeds.len()).map(|place| part(place, "kept", Kept::Old(&lapsed, FeedId::new(place).unwrap())));
            let rebuilt = Index::build(&kept.collect::<Vec<_>>()).unwrap();
            agree(&rebuilt, &left, &mut rng, seed);
            assert_eq!(rebuilt.base.rows.iter().filter(|row| row.listings().is_empty()).count(), 0, "seed {seed}");
            // One hour after the other, in whichever form.
            index = [index, lapsed, opened, rebuilt].into_iter().nth(rng.random_range(0..4)).unwrap();
        }
        assert_eq!(index.lapsed(HOURS * 3600).lapses_next(), None, "seed {seed}");
    }
}

#[test]
fn one_feed_of_several_is_their_union() {
    let mut rng = StdRng::seed_from_u64(7);
    let listed = |rng: &mut StdRng| {
        let mut entries = Entries::default();
        for _ in 0..40 {
            entries.push(random_name(rng).key().unwrap().as_bytes(), Verbs::subtree(Verb::Listed), false).unwrap();
            let verb = random_verb(rng, &mut entries);
            entries.push_network(Side::Answer, random_network(rng), verb, Until::NEVER, false).unwrap();
        }
        entries.finish().0
    };
    let (one, two) = (listed(&mut rng), listed(&mut rng));
    let index = Index::build(&[part(0, "a", Kept::New(&one)), part(1, "b", Kept::New(&two))]).unwrap();
    let id = |place| FeedId::new(place).unwrap();
    let names: Vec<_> = (0..300).map(|_| random_name(&mut rng)).collect();
    let addresses: Vec<_> = (0..100).map(|_| random_address(&mut rng)).collect();
    // Of two feeds' words on one network the earlier one's stands; of two networks the longer one's.
    let of_both = |address| {
        let says = |place| index_says_of(&index, id(place), Side::Answer, address);
        [says(1), says(0)].into_iter().flatten().max_by_key(|(length, _)| *length)
    };
    let want_of: Vec<_> = addresses.iter().map(|&address| of_both(address)).collect();
    let networks = index.base.body.networks.len() as u64;
    let want: Vec<_> =
        names.iter().map(|name| index_says(&index, id(0), name).or(index_says(&index, id(1), name))).collect();
    let mut octets = Vec::new();
    index.write(&mut octets).unwrap();
    let folded = Index::open_one_feed(octets, id(5), "both").unwrap();
    let got: Vec<_> = names.iter().map(|name| index_says(&folded, id(5), name)).collect();
    assert_eq!(got, want);
    let got: Vec<_> = addresses.iter().map(|&address| index_says_of(&folded, id(5), Side::Answer, address)).collect();
    assert_eq!(got, want_of);
    assert_eq!(folded.feeds().len(), 1);
    assert_eq!(folded.feeds()[0].entries, folded.keys() as u64 + networks);
}

#[test]
fn a_damaged_artifact_is_refused() {
    let mut rng = StdRng::seed_from_u64(1);
    let (sorted, _) = random_feed(&mut rng);
    let index = Index::build(&[part(3, "f", Kept::New(&sorted))]).unwrap();
    let mut good = Vec::new();
    index.write(&mut good).unwrap();
    for at in 0..good.len() {
        let mut bad = good.clone();
        bad[at] ^= 1 << rng.random_range(0..8);
        assert!(Index::open(bad).is_err(), "octet {at} flipped");
        assert!(Index::open(good[..at].to_vec()).is_err(), "cut at {at}");
    }
}

#[test]
fn unknown_sections_are_passed_over_unless_required() {
    let index = Index::build(&[]).unwrap();
    let mut good = Vec::new();
    index.write(&mut good).unwrap();
    for (required, opens) in [(0_u32, true), (1, false)] {
        let mut file = good.clone();
        file.extend_from_slice(&99_u32.to_be_bytes());
        file.extend_from_slice(&required.to_be_bytes());
        file.extend_from_slice(&2_u64.to_be_bytes());
        file.extend_from_slice(b"hi");
        file[15] += 1;
        let checksum = crc32fast::hash(&file[20..]);
        file[16..20].copy_from_slice(&checksum.to_be_bytes());
        assert_eq!(Index::open(file).is_ok(), opens, "required {required}");
    }
}

#[test]
fn a_written_file_is_private_and_whole() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("index.cenote");
    let index = Index::build(&[]).unwrap();
    index.write_file(&path).unwrap();
    index.write_file(&path).unwrap();
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "no temporary file is left");
    assert!(Index::open_file(&path).is_ok());
    assert!(matches!(Index::open_file(&folder.path().join("none")), Err(OpenError::Io(_))));
}
