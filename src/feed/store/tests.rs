//! Generations kept, read back, pruned, damaged, half written.

use super::*;
use crate::index::{Entries, FeedId, Kept as From, Part, Verb, Verbs};

/// An index of one feed, with one name.
fn index(name: &[u8]) -> Arc<Index> {
    let mut entries = Entries::default();
    entries.push(name, Verbs::subtree(Verb::Listed), false).unwrap();
    let (sorted, _) = entries.finish();
    let part = Part { id: FeedId::new(0).unwrap(), name: "a", entries: 1, source: From::New(&sorted) };
    Arc::new(Index::build(&[part]).unwrap())
}

fn feed(pinned: bool) -> KeptFeed {
    KeptFeed {
        name: "a".to_owned(),
        fingerprint: 7,
        stat: None,
        content: Some(1 << 63),
        rolled_back_to: None,
        format: crate::feed::Format::Plain,
        entries: 1,
        refused: vec![("tld".to_owned(), 3)],
        loaded_at_secs: 1_700_000_000,
        stale: false,
        pinned,
        tally: [0, 1, 0],
        part: "big".to_owned(),
    }
}

fn parts(index: &Arc<Index>) -> BTreeMap<String, Arc<Index>> {
    BTreeMap::from([("big".to_owned(), Arc::clone(index))])
}

fn save(store: &mut Store, generation: u64, index: &Arc<Index>) {
    store.save(generation, 1_700_000_000, vec![feed(false)], parts(index)).unwrap();
}

/// The files of a folder but the lock, sorted.
fn files(folder: &Path) -> Vec<String> {
    let names = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<_> = names.filter(|name| name != "lock").collect();
    names.sort();
    names
}

#[test]
fn generations_are_kept_and_read_back_and_the_oldest_go() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = Store::open(folder.path(), 3).unwrap();
    assert!(store.newest().0.is_none() && store.last_number() == 0);
    let indexes = [b"\x04test\x01a", b"\x04test\x01b", b"\x04test\x01c", b"\x04test\x01d"].map(|key| index(key));
    for (number, index) in (1..).zip(&indexes) {
        save(&mut store, number, index);
    }
    assert_eq!(store.list().iter().map(|kept| kept.generation).collect::<Vec<_>>(), [4, 3, 2]);
    assert_eq!(files(folder.path()).len(), 6, "{:?}", files(folder.path()));
    drop(store);

    let mut store = Store::open(folder.path(), 3).unwrap();
    let (kept, passed_over) = store.newest();
    let kept = kept.unwrap();
    assert!(passed_over.is_empty() && kept.generation == 4 && kept.feeds == [feed(false)]);
    assert_eq!(kept.parts["big"].keys(), 1);
    assert_eq!(store.get(2).unwrap().generation, 2);
    assert!(matches!(store.get(1), Err(StoreError::NoSuchGeneration { generation: 1 })));
}

#[test]
fn what_is_the_same_takes_the_place_of_the_last_and_is_not_written_again() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = Store::open(folder.path(), 3).unwrap();
    let one = index(b"\x04test\x01a");
    for number in 1..=4 {
        save(&mut store, number, &one);
    }
    assert_eq!(files(folder.path()), ["generation-0000000001-big.index", "generation-0000000004.json"]);
    // Pinned, it is another one.
    store.save(5, 1_700_000_000, vec![feed(true)], parts(&one)).unwrap();
    assert_eq!(store.list().len(), 2);
    assert!(store.list()[0].feeds[0].pinned);
    drop(store);
    let mut store = Store::open(folder.path(), 3).unwrap();
    let (kept, _) = store.newest();
    // What was read back is in force and known.
    store.save(6, 1_700_000_000, vec![feed(true)], kept.unwrap().parts).unwrap();
    assert_eq!(files(folder.path()).iter().filter(|name| name.ends_with(".index")).count(), 1);
}

#[test]
fn what_is_damaged_is_passed_over_and_told() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = Store::open(folder.path(), 9).unwrap();
    for (number, key) in [(1, b"\x04test\x01a"), (2, b"\x04test\x01b"), (3, b"\x04test\x01c"), (4, b"\x04test\x01d")] {
        save(&mut store, number, &index(key));
    }
    drop(store);
    let path = |file: &str| folder.path().join(file);
    let mut octets = fs::read(path("generation-0000000004-big.index")).unwrap();
    octets.truncate(octets.len() - 1);
    fs::write(path("generation-0000000004-big.index"), octets).unwrap();
    fs::remove_file(path("generation-0000000003-big.index")).unwrap();
    fs::write(path("generation-0000000002.json"), b"{").unwrap();
    let mut store = Store::open(folder.path(), 9).unwrap();
    let (kept, passed_over) = store.newest();
    assert_eq!(kept.unwrap().generation, 1);
    assert!(
        matches!(passed_over[..], [StoreError::Index { .. }, StoreError::Index { .. }, StoreError::Manifest { .. }]),
        "{passed_over:?}"
    );
    assert_eq!(store.last_number(), 4, "no number is given twice");
    save(&mut store, 5, &index(b"\x04test\x01e"));
    assert_eq!(store.newest().0.unwrap().generation, 5);
}

#[test]
fn what_a_write_left_half_done_goes_at_the_next() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = Store::open(folder.path(), 2).unwrap();
    fs::write(folder.path().join("generation-0000000007-big.index.99.tmp"), b"half").unwrap();
    let index_of = |number| folder.path().join(names::index(number, "big"));
    fs::write(index_of(7), [&crate::index::MAGIC[..], b"no manifest names it"].concat()).unwrap();
    fs::write(folder.path().join("notes.txt"), b"somebody's").unwrap();
    save(&mut store, 8, &index(b"\x04test\x01a"));
    assert_eq!(files(folder.path()), ["generation-0000000008-big.index", "generation-0000000008.json", "notes.txt"]);
}

#[test]
fn what_is_not_ours_stays() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = Store::open(folder.path(), 2).unwrap();
    let artifact = [&crate::index::MAGIC[..], b"somebody's"].concat();
    let theirs = [
        ("indicators.cenote", &artifact[..]),
        ("0000000003-big.cenote", &artifact),
        ("2026112601-small.overlay", &artifact),
        ("list.cenote.99.tmp", b"being compiled"),
        ("generation-0000000001-big.index", b"not an index"),
        ("generation-0000000002.json", b"{}"),
    ];
    for (name, octets) in theirs {
        fs::write(folder.path().join(name), octets).unwrap();
    }
    for number in 5..10 {
        save(&mut store, number, &index(&[1, b'a' + u8::try_from(number).unwrap()]));
    }
    for (name, octets) in theirs {
        assert_eq!(fs::read(folder.path().join(name)).unwrap(), octets, "{name}");
    }
    assert_eq!(files(folder.path()).len(), theirs.len() + 4, "{:?}", files(folder.path()));
}

#[test]
fn what_earlier_versions_called_otherwise_is_read_and_goes_with_its_generations() {
    let folder = tempfile::tempdir().unwrap();
    let path = |file: &str| folder.path().join(file);
    let mut store = Store::open(folder.path(), 2).unwrap();
    save(&mut store, 1, &index(b"\x04test\x01a"));
    drop(store);
    let (new, old) = (names::index(1, "big"), "0000000001-big.cenote");
    fs::rename(path(&new), path(old)).unwrap();
    let manifest = fs::read_to_string(path(&names::manifest(1))).unwrap();
    fs::write(path(&names::manifest(1)), manifest.replace(&new, old)).unwrap();
    let mut store = Store::open(folder.path(), 2).unwrap();
    assert_eq!(store.newest().0.unwrap().generation, 1);
    save(&mut store, 2, &index(b"\x04test\x01b"));
    assert!(path(old).exists(), "it is needed");
    save(&mut store, 3, &index(b"\x04test\x01c"));
    assert!(!path(old).exists() && store.newest().0.unwrap().generation == 3, "{:?}", files(folder.path()));
}

#[test]
fn without_its_lock_nothing_is_written_or_removed() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = Store::open(folder.path(), 2).unwrap();
    save(&mut store, 1, &index(b"\x04test\x01a"));
    drop(store);
    // Whoever may write anywhere cannot write to a folder.
    fs::remove_file(folder.path().join("lock")).unwrap();
    fs::create_dir(folder.path().join("lock")).unwrap();
    let before = files(folder.path());
    let mut store = Store::open(folder.path(), 2).unwrap();
    assert!(!store.is_writable() && store.newest().0.unwrap().generation == 1);
    let error = store.save(2, 0, vec![feed(false)], parts(&index(b"\x04test\x01b"))).unwrap_err();
    assert!(matches!(error, StoreError::Write { .. }), "{error:?}");
    assert!(store.restate(vec![feed(true)]).is_err());
    assert_eq!((files(folder.path()), store.list()[0].feeds[0].pinned), (before, false));
}

#[test]
fn one_server_a_folder_and_nobody_else_reads_it() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a/b");
    let mut store = Store::open(&path, 2).unwrap();
    assert!(store.is_writable());
    assert!(matches!(Store::open(&path, 2), Err(StoreError::InUse { .. })));
    save(&mut store, 1, &index(b"\x04test\x01a"));
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&path), 0o700);
    for file in fs::read_dir(&path).unwrap() {
        assert_eq!(mode(&file.unwrap().path()), 0o600);
    }
    drop(store);
    assert!(Store::open(&path, 2).is_ok());
    let file = folder.path().join("file");
    fs::write(&file, b"").unwrap();
    assert!(matches!(Store::open(&file, 2), Err(StoreError::Folder { .. })));
}

#[test]
fn a_folder_that_is_gone_costs_the_save_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state");
    let mut store = Store::open(&path, 2).unwrap();
    let one = index(b"\x04test\x01a");
    save(&mut store, 1, &one);
    fs::remove_dir_all(&path).unwrap();
    fs::write(&path, b"a file in its place").unwrap();
    let two = index(b"\x04test\x01b");
    let error = store.save(2, 0, vec![feed(false)], parts(&two)).unwrap_err();
    assert!(matches!(error, StoreError::Write { .. }), "{error:?}");
    assert!(!format!("{error} {error:?}").contains("test"), "{error:?}");
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    save(&mut store, 3, &two);
    assert_eq!(store.newest().0.unwrap().generation, 3);
}

/// The full disk.
fn full() -> Result<(), OpenError> {
    Err(OpenError::Io(ErrorKind::StorageFull.into()))
}

/// The numbers of the generations kept, the newest first.
fn numbers(store: &Store) -> Vec<u64> {
    store.list().iter().map(|kept| kept.generation).collect()
}

#[test]
fn a_full_disk_costs_older_generations_only_where_that_makes_room() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = Store::open(folder.path(), 9).unwrap();
    for (number, key) in [(1, b"\x04test\x01a"), (2, b"\x04test\x01b"), (3, b"\x04test\x01c"), (4, b"\x04test\x01d")] {
        save(&mut store, number, &index(key));
    }
    let path = folder.path().join("generation-0000000005-big.index");
    let octets = fs::metadata(folder.path().join("generation-0000000001-big.index")).unwrap().len();
    // Nothing that may go would do.
    assert!(store.write(5, &path, octets * 4, 0, full).is_err());
    assert_eq!(numbers(&store), [4, 3, 2, 1]);
    // The oldest makes enough room, and so do the next two; should it not be, two are left.
    let room = || if numbers(&store).len() < 4 { Ok(()) } else { full() };
    store.write(5, &path, octets, 0, room).unwrap();
    assert_eq!(numbers(&store), [4, 3, 2]);
    assert!(store.write(5, &path, octets, 0, full).is_err());
    assert_eq!(numbers(&store), [4, 3]);
    let room = || if numbers(&store).len() < 2 { Ok(()) } else { full() };
    store.write(5, &path, octets, 0, room).unwrap();
    assert_eq!(numbers(&store), [4], "and the one before the new one stays");
    assert!(store.write(5, &path, 1, 0, full).is_err());
    assert_eq!(numbers(&store), [4]);
    assert_eq!(files(folder.path()), ["generation-0000000004-big.index", "generation-0000000004.json"]);
}

#[test]
fn the_one_in_force_makes_no_room_though_newer_ones_are_damaged() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = Store::open(folder.path(), 9).unwrap();
    save(&mut store, 1, &index(b"\x04test\x01a"));
    fs::write(folder.path().join("generation-0000000002.json"), b"{").unwrap();
    assert!(store.write(3, &folder.path().join("x"), 1, 0, full).is_err());
    assert_eq!(numbers(&store), [1]);
}

#[test]
fn a_standing_is_written_over_the_one_before() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = Store::open(folder.path(), 3).unwrap();
    save(&mut store, 1, &index(b"\x04test\x01a"));
    store.restate(vec![KeptFeed { loaded_at_secs: 1_800_000_000, ..feed(false) }]).unwrap();
    let kept = store.list();
    assert_eq!((kept.len(), kept[0].generation, kept[0].feeds[0].loaded_at_secs), (1, 1, 1_800_000_000));
    assert_eq!(kept[0].made_at_secs, 1_700_000_000);
}
