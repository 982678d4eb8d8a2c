//! Entries of up to four feeds put in an index and in a naive twin, which must say the same of every name: built, through the artifact, with
//! one feed replaced and the others kept in another order, with feeds exchanged in an overlay, and as hours pass.
//!
//! Input: operations of four octets: feed, verb and hour; place and how many labels; two octets that choose the labels.

use std::collections::{BTreeMap, BTreeSet};

use cenote::index::{Entries, FeedId, Index, Kept, Part, Sorted, Until, Verb, Verbs};
use cenote::name::Name;

/// Labels of every name: few, so that ancestors and collisions are frequent.
const LABELS: [&str; 8] = ["a", "b", "ab", "ba", "www", "com", "A-b_1", "xn--a"];
/// How many feeds.
const FEEDS: usize = 4;
/// The hours in which entries end.
const HOURS: u64 = 3;
/// The most operations looked at: what follows adds time, not cases.
const OPERATIONS_MAX: usize = 64;

/// A name's labels from the root's side down, small letters.
type Path = Vec<String>;
/// One feed as the twin keeps it.
type Twin = BTreeMap<Path, Verbs>;

/// One operation.
struct Operation {
    /// Which feed's.
    feed: usize,
    /// The name.
    path: Path,
    /// What the entry asks for.
    verbs: Verbs,
}

impl Operation {
    /// Reads four octets.
    fn read([one, two, three, four]: [u8; 4]) -> Self {
        let verb =
            [Verb::Listed, Verb::Nxdomain, Verb::Nodata, Verb::Drop, Verb::Passthru, Verb::Cancel, Verb::TcpOnly]
                [usize::from(one >> 2) % 7];
        let until = match u64::from(one >> 2) / 7 % (HOURS + 1) {
            0 => Until::NEVER,
            hour => Until::from_secs(hour * 3600),
        };
        let verbs = [Verbs::subtree, Verbs::exact, Verbs::below][usize::from(two >> 3) % 3](verb).until(until);
        let choice = u32::from_be_bytes([0, three, four, two]);
        let labels = (0..usize::from(two & 7)).map(|label| LABELS[(choice >> (3 * label) & 7) as usize].to_lowercase());
        Self { feed: usize::from(one & 3), path: labels.collect(), verbs }
    }
}

/// A path as a name; letters as `LABELS` has them do not matter.
fn name_of(path: &[String]) -> Name {
    let labels: Vec<&str> = path.iter().rev().map(String::as_str).collect();
    Name::from_text(if labels.is_empty() { ".".to_owned() } else { labels.join(".").to_uppercase() }.as_bytes())
        .unwrap()
}

/// Of two verbs of one feed for one place: cancelling before letting through before the rest; else the first.
fn merged(old: Option<Verb>, new: Option<Verb>) -> Option<Verb> {
    let both = [old, new];
    [Verb::Cancel, Verb::Passthru].into_iter().find(|verb| both.contains(&Some(*verb))).or(old).or(new)
}

/// What `twin` says of `path`: the deepest entry that applies.
fn twin_says(twin: &Twin, path: &[String]) -> Option<Verb> {
    (0..=path.len()).rev().find_map(|labels| {
        let verbs = twin.get(&path[..labels])?;
        if labels == path.len() { verbs.at } else { verbs.below }
    })
}

/// What the index's feed at `place` says of `path`.
fn index_says(index: &Index, place: usize, path: &[String]) -> Option<Verb> {
    let name = name_of(path);
    let mut said = None;
    index.walk(&name.view().unwrap(), |labels, listings| {
        for listing in listings.iter().filter(|listing| listing.feed.index() == place) {
            said = if labels == path.len() { listing.verbs.at } else { listing.verbs.below }.or(said);
        }
    });
    said
}

/// Index and twins say the same of all `names`.
fn agree(index: &Index, twins: &[&Twin], names: &BTreeSet<Path>, what: &str) {
    for path in names {
        for (place, twin) in twins.iter().enumerate() {
            assert_eq!(index_says(index, place, path), twin_says(twin, path), "{what}: feed {place}, {path:?}");
        }
    }
}

/// Builds, compares, writes, opens, replaces, compares again.
pub fn run(data: &[u8]) {
    let operations: Vec<_> =
        data.as_chunks::<4>().0.iter().take(OPERATIONS_MAX).copied().map(Operation::read).collect();
    let mut entries: [Entries; FEEDS] = std::array::from_fn(|_| Entries::default());
    let mut twins: [Twin; FEEDS] = std::array::from_fn(|_| Twin::new());
    let mut names = BTreeSet::from([Path::new()]);
    for Operation { feed, path, verbs } in operations {
        entries[feed].push(name_of(&path).key().unwrap().as_bytes(), verbs, false).unwrap();
        let twin = twins[feed].entry(path.clone()).or_insert(Verbs { at: None, below: None, until: verbs.until });
        let (at, below) = (merged(twin.at, verbs.at), merged(twin.below, verbs.below));
        *twin = Verbs { at, below, until: twin.until.max(verbs.until) };
        for label in ["b", "www"] {
            names.insert([path.as_slice(), &[label.to_owned()]].concat());
        }
        names.extend((0..=path.len()).map(|labels| path[..labels].to_vec()));
    }
    let sorted: [Sorted; FEEDS] = entries.map(|entries| entries.finish().0);
    let sources: Vec<_> = sorted.iter().map(|sorted| ("feed", sorted.len() as u64, Kept::New(sorted))).collect();
    let index = Index::build(&Part::in_order(&sources)).unwrap();
    let [one, two, three, four] = &twins;
    agree(&index, &[one, two, three, four], &names, "built");

    let mut octets = Vec::new();
    index.write(&mut octets).unwrap();
    let opened = Index::open(octets).unwrap();
    assert_eq!((opened.keys(), opened.feeds()), (index.keys(), index.feeds()));
    agree(&opened, &[one, two, three, four], &names, "opened");

    let old = |place| Kept::Old(&opened, FeedId::new(place).unwrap());
    let sources = [("d", 1, old(3)), ("fresh", 1, Kept::New(&sorted[1])), ("a", 1, old(0)), ("a too", 1, old(0))];
    let next = Index::build(&Part::in_order(&sources)).unwrap();
    agree(&next, &[four, two, one, one], &names, "kept");

    let new = |place: usize, other: usize| Part {
        id: FeedId::new(place).unwrap(),
        name: "feed",
        entries: 1,
        source: Kept::New(&sorted[other]),
    };
    let once = opened.amended(&[new(0, 1), new(2, 3)], usize::MAX).unwrap().unwrap();
    agree(&once, &[two, two, four, four], &names, "amended");
    let twice = once.amended(&[new(2, 2), new(3, 0)], usize::MAX).unwrap().unwrap();
    agree(&twice, &[two, two, three, one], &names, "amended twice");
    agree(&twice.flattened().unwrap(), &[two, two, three, one], &names, "flattened");
    let back = twice.amended(&[new(0, 0), new(3, 3)], 0).unwrap().unwrap();
    assert!(!back.is_amended(), "nothing differs");

    let (mut passing, feeds) = (twice, [two, two, three, one]);
    for now_secs in (0..=HOURS).map(|hour| hour * 3600) {
        passing = passing.lapsed(now_secs);
        assert!(passing.lapses_next().is_none_or(|until| !until.has_come(now_secs)));
        let left = feeds.map(|twin| -> Twin {
            let left = twin.iter().filter(|(_, verbs)| !verbs.until.has_come(now_secs));
            left.map(|(path, verbs)| (path.clone(), *verbs)).collect()
        });
        agree(&passing, &left.each_ref(), &names, "lapsed");
    }
}
