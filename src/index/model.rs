//! The index against a naive twin: random entries, random names, all that must hold.

use std::collections::BTreeMap;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::*;
use crate::name::{Name, NameKey};

/// What the twin keeps: each feed's entries, as they are.
type Twin = Vec<BTreeMap<Vec<u8>, Verbs>>;

/// A name of few distinct labels, so that ancestors and collisions are frequent.
fn random_name(rng: &mut StdRng) -> Name {
    let labels = rng.random_range(1..6);
    let text: Vec<&str> =
        (0..labels).map(|_| ["a", "b", "ab", "ba", "www", "com", "A-b_1"][rng.random_range(0..7)]).collect();
    Name::from_text(text.join(".").as_bytes()).unwrap()
}

fn random_verbs(rng: &mut StdRng) -> Verbs {
    let verb = [Verb::Listed, Verb::Nxdomain, Verb::Passthru, Verb::Cancel][rng.random_range(0..4)];
    match rng.random_range(0..4) {
        0 => Verbs::exact(verb),
        1 => Verbs::below(verb),
        _ => Verbs::subtree(verb),
    }
}

/// What `feed` says of `name`: the deepest entry that applies.
fn twin_says(twin: &BTreeMap<Vec<u8>, Verbs>, name: &Name) -> Option<Verb> {
    let view = name.view().unwrap();
    (0..=view.labels()).rev().find_map(|labels| {
        let key = NameKey::of(&crate::name::NameRef::read(view.suffix(labels)).unwrap());
        let verbs = twin.get(key.as_bytes())?;
        if labels == view.labels() { verbs.at } else { verbs.below }
    })
}

/// The same, read off the index.
fn index_says(index: &Index, feed: FeedId, name: &Name) -> Option<Verb> {
    let view = name.view().unwrap();
    let mut said = None;
    index.walk(&view, |labels, row| {
        for listing in row.listings().iter().filter(|listing| listing.feed == feed) {
            let verb = if labels == view.labels() { listing.verbs.at } else { listing.verbs.below };
            said = verb.or(said);
        }
    });
    said
}

fn random_feed(rng: &mut StdRng) -> (Sorted, BTreeMap<Vec<u8>, Verbs>) {
    let mut entries = Entries::default();
    for _ in 0..rng.random_range(0..60) {
        entries.push(random_name(rng).key().unwrap().as_bytes(), random_verbs(rng), false).unwrap();
    }
    let (sorted, _) = entries.finish();
    let twin = sorted.iter().map(|(key, verbs)| (key.to_vec(), verbs)).collect();
    (sorted, twin)
}

fn part<'a>(place: usize, name: &'a str, source: Kept<'a>) -> Part<'a> {
    Part { id: FeedId::new(place).unwrap(), name, entries: 1, source }
}

fn agree(index: &Index, twin: &Twin, rng: &mut StdRng, seed: u64) {
    for _ in 0..200 {
        let name = random_name(rng);
        for (place, twin) in twin.iter().enumerate() {
            let feed = FeedId::new(place).unwrap();
            let (got, want) = (index_says(index, feed, &name), twin_says(twin, &name));
            assert_eq!(got, want, "seed {seed}, feed {place}, {}", name.reveal());
        }
    }
}

#[test]
fn the_index_says_what_a_naive_loop_says() {
    for seed in 0..150 {
        let mut rng = StdRng::seed_from_u64(seed);
        let feeds: Vec<_> = (0..rng.random_range(1..5)).map(|_| random_feed(&mut rng)).collect();
        let names: Vec<String> = (0..feeds.len()).map(|place| format!("feed-{place}")).collect();
        let sources: Vec<_> = feeds
            .iter()
            .zip(&names)
            .enumerate()
            .map(|(place, ((sorted, _), name))| part(place, name, Kept::New(sorted)))
            .collect();
        let index = Index::build(&sources, &mut |_| ()).unwrap();
        let twin: Twin = feeds.iter().map(|(_, twin)| twin.clone()).collect();
        agree(&index, &twin, &mut rng, seed);

        // Through the artifact.
        let mut octets = Vec::new();
        index.write(&mut octets).unwrap();
        let opened = Index::open(octets).unwrap();
        assert_eq!(opened.feeds(), index.feeds());
        agree(&opened, &twin, &mut rng, seed);

        // One feed replaced, the others kept out of the old index, in reverse order.
        let (fresh, fresh_twin) = random_feed(&mut rng);
        let mut sources = vec![part(0, "fresh", Kept::New(&fresh))];
        let kept = (1..feeds.len()).rev().map(|place| Kept::Old(&opened, FeedId::new(place).unwrap()));
        sources.extend(kept.enumerate().map(|(place, kept)| part(place + 1, "kept", kept)));
        let next = Index::build(&sources, &mut |_| ()).unwrap();
        let mut next_twin = vec![fresh_twin];
        next_twin.extend(twin[1..].iter().rev().cloned());
        agree(&next, &next_twin, &mut rng, seed);
    }
}

#[test]
fn one_feed_of_several_is_their_union() {
    let mut rng = StdRng::seed_from_u64(7);
    let listed = |rng: &mut StdRng| {
        let mut entries = Entries::default();
        for _ in 0..40 {
            entries.push(random_name(rng).key().unwrap().as_bytes(), Verbs::subtree(Verb::Listed), false).unwrap();
        }
        entries.finish().0
    };
    let (one, two) = (listed(&mut rng), listed(&mut rng));
    let index = Index::build(&[part(0, "a", Kept::New(&one)), part(1, "b", Kept::New(&two))], &mut |_| ()).unwrap();
    let id = |place| FeedId::new(place).unwrap();
    let names: Vec<_> = (0..300).map(|_| random_name(&mut rng)).collect();
    let want: Vec<_> =
        names.iter().map(|name| index_says(&index, id(0), name).or(index_says(&index, id(1), name))).collect();
    let folded = index.into_one_feed(id(5), "both");
    let got: Vec<_> = names.iter().map(|name| index_says(&folded, id(5), name)).collect();
    assert_eq!(got, want);
    assert_eq!(folded.feeds().len(), 1);
}

#[test]
fn a_damaged_artifact_is_refused() {
    let mut rng = StdRng::seed_from_u64(1);
    let (sorted, _) = random_feed(&mut rng);
    let index = Index::build(&[part(3, "f", Kept::New(&sorted))], &mut |_| ()).unwrap();
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
    let index = Index::build(&[], &mut |_| ()).unwrap();
    let mut good = Vec::new();
    index.write(&mut good).unwrap();
    for (required, opens) in [(0_u32, true), (1, false)] {
        let mut file = good.clone();
        file.extend_from_slice(&9_u32.to_be_bytes());
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
    let index = Index::build(&[], &mut |_| ()).unwrap();
    index.write_file(&path).unwrap();
    index.write_file(&path).unwrap();
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "no temporary file is left");
    assert!(Index::open_file(&path).is_ok());
    assert!(matches!(Index::open_file(&folder.path().join("none")), Err(OpenError::Io(_))));
}
