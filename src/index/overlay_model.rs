//! Overlays against one index built anew: random changes one over the other, as hours pass, in memory and on disk.

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::model::{Feed, HOURS, Says, Twin, add_some, agree, build, finished, part, random_feed, reopened};
use super::*;

/// One feed's word on one key.
type Content = (Vec<u8>, FeedId, [Option<Says>; 2], Until);

/// Everything an index without an overlay holds.
fn contents(index: &Index) -> Vec<Content> {
    let mut contents = Vec::new();
    let mut take = |key: &[u8], row: u64| {
        for &Listing { feed, verbs } in index.base.row(row).unwrap().listings() {
            let says = |verb: Option<Verb>| verb.map(|verb| Says::of(verb, |id| index.base.body.sets.get(id).to_vec()));
            contents.push((key.to_vec(), feed, [says(verbs.at), says(verbs.below)], verbs.until));
        }
    };
    let mut keys = layers::Keys::of(&index.base);
    while let (Some(key), Some(row)) = (keys.key(), keys.row()) {
        take(key, row);
        keys.advance();
    }
    for (side, network, row) in index.base.body.networks.iter() {
        take(&network.key(side), row.into());
    }
    contents
}

/// The feed after a small change, or another one altogether.
fn changed(rng: &mut StdRng, old: &Sorted) -> (Sorted, Feed) {
    if rng.random_range(0..4) == 0 {
        return random_feed(rng);
    }
    let mut entries = Entries::default();
    let again = |entries: &mut Entries, verb: Option<Verb>| {
        verb.map(|verb| match verb {
            Verb::Data(id) => Verb::Data(entries.sets.intern(old.records(id)).unwrap()),
            verb => verb,
        })
    };
    let lost = rng.random_range(0..4);
    for (key, verbs) in old.iter() {
        if rng.random_range(0..10) >= lost {
            let (at, below) = (again(&mut entries, verbs.at), again(&mut entries, verbs.below));
            entries.push(key, Verbs { at, below, ..verbs }, false).unwrap();
        }
    }
    for (side, network, verbs) in old.networks() {
        if rng.random_range(0..10) >= lost {
            let verb = again(&mut entries, verbs.at).unwrap();
            entries.push_network(side, network, verb, verbs.until, false).unwrap();
        }
    }
    add_some(rng, &mut entries, 3);
    finished(entries)
}

#[test]
fn an_overlay_says_what_one_index_built_anew_says() {
    let (mut amended, mut grown) = (0, 0);
    for seed in 0..150 {
        let mut rng = StdRng::seed_from_u64(seed);
        let mut feeds: Vec<_> = (0..rng.random_range(1..4)).map(|_| random_feed(&mut rng)).collect();
        let mut index = build(&feeds);
        for hour in 0..=HOURS {
            for _ in 0..2 {
                let places: Vec<usize> = (0..feeds.len()).filter(|_| rng.random()).collect();
                for &place in &places {
                    feeds[place] = changed(&mut rng, &feeds[place].0);
                }
                let changes = places.iter().map(|&place| part(place, "feed", Kept::New(&feeds[place].0)));
                let changes: Vec<_> = changes.collect();
                let next = index.amended(&changes, usize::MAX).unwrap().unwrap();
                assert!(next.shares_base(&index), "seed {seed}");
                let entries = next.overlay.as_ref().map_or(0, layers::Layer::len);
                assert!(index.amended(&changes, entries).unwrap().is_some(), "seed {seed}: as many as there may be");
                if entries > 0 {
                    assert!(index.amended(&changes, entries - 1).unwrap().is_none(), "seed {seed}: one too many");
                }
                index = next.lapsed(hour * 3600);
                let left: Twin = feeds.iter().map(|(_, twin)| twin.lapsed(hour * 3600)).collect();
                agree(&index, &left, &mut rng, seed);
                amended += u32::from(index.is_amended());

                // Built anew: out of base and overlay, and out of the feeds.
                let (flat, fresh) =
                    (index.flattened().unwrap(), build(&feeds).lapsed(hour * 3600).flattened().unwrap());
                assert_eq!(contents(&flat), contents(&fresh), "seed {seed}");
                assert_eq!(contents(&reopened(&index).flattened().unwrap()), contents(&fresh), "seed {seed}");
                let persisted = persisted(&index);
                assert_eq!(contents(&persisted.flattened().unwrap()), contents(&flat), "seed {seed}: from two files");
                assert_eq!((persisted.is_amended(), persisted.feeds()), (index.is_amended(), index.feeds()));
                // A feed may come out of another index, in whichever form.
                let olds = [&index, &flat];
                let old = |place| Kept::Old(olds[place % 2], FeedId::new(place).unwrap());
                let kept: Vec<_> = (0..feeds.len()).map(|place| part(place, "feed", old(place))).collect();
                let same = fresh.amended(&kept, 0).unwrap();
                assert!(same.is_some_and(|same| !same.is_amended()), "seed {seed}: nothing differs");
                if rng.random_range(0..6) == 0 {
                    index = Index::build(&kept).unwrap();
                    grown += 1;
                }
            }
        }
    }
    assert!(amended > 500 && grown > 100, "{amended} and {grown} prove nothing");
}

/// The index through two files: its base and its overlay.
fn persisted(index: &Index) -> Index {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("overlay");
    let mut base = Index { base: index.base.clone(), overlay: None, feeds: index.feeds.clone() };
    base = reopened(&base);
    if index.write_overlay_file(&path).unwrap() {
        base = base.with_overlay(std::fs::read(&path).unwrap()).unwrap();
    }
    base
}

#[test]
fn an_overlay_on_disk_knows_its_base() {
    let mut rng = StdRng::seed_from_u64(11);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("overlay");
    let [one, two] = [0; 2].map(|_| random_feed(&mut rng).0);
    let index = |name, sorted| Index::build(&[part(1, name, Kept::New(sorted))]).unwrap();
    let base = index("a", &one);
    assert!(!base.write_overlay_file(&path).unwrap() && !path.exists(), "there is none");
    let amended = base.amended(&[part(1, "a", Kept::New(&two))], usize::MAX).unwrap().unwrap();
    assert!(amended.write_overlay_file(&path).unwrap());
    let overlay = std::fs::read(&path).unwrap();
    assert!(matches!(Index::open(overlay.clone()), Err(OpenError::Overlay)));
    let whole = |index: &Index| {
        let mut octets = Vec::new();
        index.write(&mut octets).unwrap();
        octets
    };
    for (what, base, file, fits) in [
        ("its own", index("a", &one), overlay.clone(), true),
        ("its own, some of it past its end", reopened(&base.lapsed(HOURS * 3600)), overlay.clone(), true),
        ("another", index("a", &two), overlay.clone(), false),
        ("another feed's", index("b", &one), overlay.clone(), false),
        ("a whole one", index("a", &one), whole(&index("a", &one)), false),
    ] {
        match base.with_overlay(file) {
            Ok(index) => assert!(fits && index.is_amended(), "{what}"),
            Err(error) => assert!(!fits && matches!(error, OpenError::OtherBase), "{what}: {error}"),
        }
    }
    for at in 0..overlay.len() {
        let mut bad = overlay.clone();
        bad[at] ^= 1 << rng.random_range(0..8);
        assert!(index("a", &one).with_overlay(bad).is_err(), "octet {at} flipped");
    }
}

#[test]
fn an_overlay_is_only_over_feeds_that_are_there() {
    let mut rng = StdRng::seed_from_u64(3);
    let (one, two) = (random_feed(&mut rng).0, random_feed(&mut rng).0);
    let index = Index::build(&[part(1, "a", Kept::New(&one))]).unwrap();
    for (place, name) in [(0, "a"), (1, "b")] {
        assert!(index.amended(&[part(place, name, Kept::New(&two))], usize::MAX).unwrap().is_none(), "{place} {name}");
    }
    let twice = [part(1, "a", Kept::New(&two)), part(1, "a", Kept::New(&one))];
    assert!(matches!(index.amended(&twice, usize::MAX), Err(BuildError::Twice)));
    let more = Part { entries: 7, ..twice[0] };
    let amended = index.amended(&[more], usize::MAX).unwrap().unwrap();
    assert_eq!((amended.feeds()[0].entries, amended.is_amended()), (7, true));
    let back = amended.amended(&[part(1, "a", Kept::New(&one))], 0).unwrap().unwrap();
    assert!(!back.is_amended(), "what was before differs in nothing");
}
