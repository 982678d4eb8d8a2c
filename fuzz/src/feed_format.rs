//! A feed's text through `feed::read_text` and `feed::detect`.
//!
//! Input: an octet, then the text. The octet: 4 trusts suffixes; 8 builds an index of it, which takes a hundred times as long; the others are
//! the format's number, 1 and 2 its lower bits, 16 and up its higher ones; CSV's column is told by the header.

use cenote::feed::{DETECT_OCTETS, Terms, TextFormat, detect, read_text};
use cenote::index::{Index, Kept, Part, RECORD_SET_OCTETS_MAX, Sorted, Verb, Verbs};
use cenote::name::{LABEL_OCTETS_MAX, NAME_OCTETS_MAX};

use super::octet;

/// Reads the text and checks books and keys.
pub fn run(data: &[u8]) {
    let mut text = data;
    let switches = octet(&mut text);
    let number = usize::from(switches & 3 | switches >> 4 << 2);
    let format = TextFormat::ALL[number % TextFormat::ALL.len()];
    let (sorted, report) =
        read_text(text, format, &Terms { trust_suffixes: switches & 4 != 0, ..Terms::default() }).unwrap();
    assert!(report.balanced(), "{report:?}");
    let ends = text.split_inclusive(|&octet| octet == b'\n').count();
    assert_eq!(report.lines, ends as u64, "each line is counted once");
    assert_eq!((report.entries, report.format), (sorted.len() as u64, format.format()));
    assert!(report.used <= report.lines && (report.used > 0) == (report.entries > 0), "{report:?}");

    let keys: Vec<&[u8]> = sorted.iter().map(|(key, _)| key).collect();
    assert!(keys.is_sorted_by(|a, b| a < b), "sorted and unique");
    assert!(keys.iter().all(|key| is_key(key)), "a key that is no name's");
    let networks: Vec<_> =
        sorted.networks().map(|(side, network, _)| (side, 128 - network.prefix_len(), network.first())).collect();
    assert!(networks.is_sorted_by(|a, b| a < b), "sorted and unique");
    assert_eq!(sorted.len(), keys.len() + networks.len());
    let verbs = || sorted.iter().map(|(_, verbs)| verbs).chain(sorted.networks().map(|(.., verbs)| verbs));
    assert!(verbs().all(|verbs| says_something(&sorted, verbs)), "an entry that says nothing");
    if switches & 8 != 0 {
        let index = Index::build(&Part::in_order(&[("feed", report.entries, Kept::New(&sorted))])).unwrap();
        assert!(index.keys() <= keys.len());
        let mut octets = Vec::new();
        index.write(&mut octets).unwrap();
        // Records and networks are looked at one by one here: what a feed can hold, an artifact can.
        assert!(Index::open(octets).is_ok());
    }

    // What is detected is not checked, only that something is: any text may look like anything.
    std::hint::black_box(detect(&text[..text.len().min(DETECT_OCTETS)]));
}

/// Whether verbs are of something, and records are some and not too many.
fn says_something(sorted: &Sorted, verbs: Verbs) -> bool {
    let verbs = [verbs.at, verbs.below];
    let good = |verb: Verb| match verb {
        Verb::Data(id) => {
            let octets: usize = sorted.records(id).iter().map(|record| record.rdata.len()).sum();
            !sorted.records(id).is_empty() && octets <= RECORD_SET_OCTETS_MAX
        }
        _ => true,
    };
    verbs.iter().any(Option::is_some) && verbs.into_iter().flatten().all(good)
}

/// Whether `key` is a name's lookup form: labels led by their lengths, letters small.
fn is_key(key: &[u8]) -> bool {
    let mut rest = key;
    while let Some((&length, tail)) = rest.split_first() {
        let Some((label, after)) = tail.split_at_checked(usize::from(length)) else { return false };
        if label.is_empty() || label.len() > LABEL_OCTETS_MAX || label.iter().any(u8::is_ascii_uppercase) {
            return false;
        }
        rest = after;
    }
    key.len() < NAME_OCTETS_MAX
}
