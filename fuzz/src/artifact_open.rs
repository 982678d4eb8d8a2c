//! An artifact's octets through `Index::open`, its checksums made good, so that they keep nothing out: it opens and every lookup ends, or it is
//! refused.
//!
//! Input: an octet of what the rest is (0 the file, 1 the map's nodes, 2 the FEEDS section, 3 the ROWS section,
//! 4 the NETWORKS section, 5 the RECORDS section; the others 0), and the rest.

use std::sync::LazyLock;

use cenote::feed::{Terms, TextFormat, read_text};
use cenote::index::{FeedId, Index, Kept, MAGIC, Part, Side, Sorted, Verb};
use cenote::name::Name;
use fst::raw::Fst;

use super::octet;

/// Octets in front of the sections.
const PREAMBLE_OCTETS: usize = 20;
/// Octets in front of a section's own.
const SECTION_HEAD_OCTETS: usize = 16;
/// The number of the FEEDS section.
const FEEDS: u32 = 1;
/// The number of the ROWS section.
const ROWS: u32 = 2;
/// The number of the MAP section.
const MAP: u32 = 3;
/// The number of the NETWORKS section.
const NETWORKS: u32 = 5;
/// The number of the RECORDS section.
const RECORDS: u32 = 6;
/// Octets in front of a map's first node: its version and its type.
const MAP_HEAD_OCTETS: usize = 16;

/// What is looked up in whatever opens.
const NAMES: [&str; 7] =
    [".", "com", "bad.example.com", "a.bad.example.com", "www.example.net", "x.y.z.example.org", "nothing.here"];

/// Addresses looked up beside them.
const ADDRESSES: [&str; 4] = ["192.0.2.1", "198.51.100.1", "2001:db8::1", "::"];

/// A good artifact of two feeds.
static GOOD: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let read = |text: &str, format| read_text(text.as_bytes(), format, &Terms::default()).unwrap().0;
    let sorted: [Sorted; 2] = [
        read("bad.example.com\nexample.org\n", TextFormat::Plain),
        read(
            "bad.example.com CNAME .\nwww.example.net A 192.0.2.1\n AAAA ::1\n*.example.org CNAME *.garden.example.\n\
             24.0.2.0.192.rpz-ip CNAME .\n32.1.2.0.192.rpz-ip A 192.0.2.1\n32.zz.db8.2001.rpz-client-ip CNAME rpz-drop.\n",
            TextFormat::Rpz,
        ),
    ];
    let index = Index::build(&Part::in_order(&[("one", 2, Kept::New(&sorted[0])), ("two", 2, Kept::New(&sorted[1]))]));
    let mut octets = Vec::new();
    index.unwrap().write(&mut octets).unwrap();
    octets
});

/// Opens the artifact as it is and with its checksums made good, and looks names up in it.
pub fn run(data: &[u8]) {
    let mut rest = data;
    let mut file = match octet(&mut rest) {
        1 => with(MAP, &map_of(rest)),
        2 => with(FEEDS, rest),
        3 => with(ROWS, rest),
        4 => with(NETWORKS, rest),
        5 => with(RECORDS, rest),
        _ => rest.to_vec(),
    };
    look_up(file.clone());
    make_good(&mut file);
    look_up(file);
}

/// Looks names up, if it opens.
fn look_up(file: Vec<u8>) {
    let Ok(index) = Index::open(file.clone()) else { return };
    let walk = |index: &Index| {
        let mut rows = 0;
        for text in NAMES {
            let name = Name::from_text(text.as_bytes()).unwrap();
            index.walk(&name.view().unwrap(), |labels, listings| {
                assert!(labels <= name.view().unwrap().labels());
                assert!(listings.iter().all(|listing| listing.feed.index() < index.feeds().len()));
                for verb in listings.iter().flat_map(|listing| [listing.verbs.at, listing.verbs.below]).flatten() {
                    assert!(
                        !matches!(verb, Verb::Data(id) if listings.records(id).is_empty()),
                        "records that are not there"
                    );
                }
                rows += 1;
            });
        }
        for (side, address) in Side::ALL.into_iter().flat_map(|side| ADDRESSES.map(|address| (side, address))) {
            let mut last = 129;
            index.walk_networks(side, address.parse().unwrap(), |length, _| {
                assert!(length < last, "longest first");
                last = length;
                rows += 1;
            });
        }
        rows
    };
    let rows = walk(&index);
    let folded = Index::open_one_feed(file, FeedId::new(0).unwrap(), "all").unwrap();
    assert_eq!(walk(&folded), rows, "folding feeds together moves no name");
}

/// A map with these nodes, the last of which is the root; its first octet says how many keys it is to claim.
fn map_of(nodes: &[u8]) -> Vec<u8> {
    let mut nodes = nodes;
    let keys = u64::from(octet(&mut nodes));
    let root = (MAP_HEAD_OCTETS + nodes.len()).saturating_sub(1) as u64;
    [&3_u64.to_le_bytes()[..], &0_u64.to_le_bytes(), nodes, &keys.to_le_bytes(), &root.to_le_bytes(), &[0; 4]].concat()
}

/// Sections of `file`: kind, and where its octets lie; up to the first that is cut short.
fn sections(file: &[u8]) -> Vec<(u32, std::ops::Range<usize>)> {
    let mut sections = Vec::new();
    let mut at = PREAMBLE_OCTETS;
    while let Some(head) = file.get(at..).and_then(|rest| rest.first_chunk::<SECTION_HEAD_OCTETS>()) {
        let kind = u32::from_be_bytes([head[0], head[1], head[2], head[3]]);
        let length = u32::from_be_bytes([head[12], head[13], head[14], head[15]]) as usize;
        let from = at + SECTION_HEAD_OCTETS;
        at = from + length;
        if at > file.len() {
            break;
        }
        sections.push((kind, from..at));
    }
    sections
}

/// The good artifact with `octets` in place of one section's.
fn with(kind: u32, octets: &[u8]) -> Vec<u8> {
    let mut file = GOOD[..PREAMBLE_OCTETS].to_vec();
    for (here, range) in sections(&GOOD) {
        let octets = if here == kind { octets } else { &GOOD[range] };
        file.extend_from_slice(&[here.to_be_bytes(), [0, 0, 0, 1], [0; 4]].concat());
        file.extend_from_slice(&u32::try_from(octets.len()).unwrap().to_be_bytes());
        file.extend_from_slice(octets);
    }
    file
}

/// Puts the right magic, version and checksums in, where there is room for them.
fn make_good(file: &mut [u8]) {
    if file.len() < PREAMBLE_OCTETS {
        return;
    }
    file[..8].copy_from_slice(&MAGIC);
    file[8..12].copy_from_slice(&GOOD[8..12]);
    let map = sections(file).into_iter().find(|(kind, _)| *kind == MAP);
    if let Some(map) = map.and_then(|(_, range)| file.get_mut(range)) {
        let verified = Fst::new(&*map).and_then(|map| map.verify());
        if let Err(fst::Error::Fst(fst::raw::Error::ChecksumMismatch { got, .. })) = verified {
            let at = map.len() - 4;
            map[at..].copy_from_slice(&got.to_le_bytes());
        }
    }
    let checksum = crc32fast::hash(&file[PREAMBLE_OCTETS..]);
    file[16..PREAMBLE_OCTETS].copy_from_slice(&checksum.to_be_bytes());
}
