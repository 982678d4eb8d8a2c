//! A feed's text through `feed::read_text` and `feed::detect`.
//!
//! Input: an octet (which format; 4 trusts suffixes; 8 builds an index of it, which takes a hundred times as long), then the text.

use cenote::feed::{DETECT_OCTETS, TextFormat, detect, read_text};
use cenote::index::{Index, Kept, Part};
use cenote::name::{LABEL_OCTETS_MAX, NAME_OCTETS_MAX};

use super::octet;

/// Reads the text and checks books and keys.
pub fn run(data: &[u8]) {
    let mut text = data;
    let switches = octet(&mut text);
    let format = TextFormat::ALL[usize::from(switches & 3)];
    let (sorted, report) = read_text(text, format, switches & 4 != 0).unwrap();
    assert!(report.balanced(), "{report:?}");
    let ends = text.split_inclusive(|&octet| octet == b'\n').count();
    assert_eq!(report.lines, ends as u64, "each line is counted once");
    assert_eq!((report.entries, report.format), (sorted.len() as u64, format.format()));
    assert!(report.used <= report.lines && (report.used > 0) == (report.entries > 0), "{report:?}");

    let keys: Vec<&[u8]> = sorted.iter().map(|(key, _)| key).collect();
    assert!(keys.is_sorted_by(|a, b| a < b), "sorted and unique");
    assert!(keys.iter().all(|key| is_key(key)), "a key that is no name's");
    assert!(sorted.iter().all(|(_, verbs)| verbs.at.or(verbs.below).is_some()), "an entry that says nothing");
    if switches & 8 != 0 {
        let index =
            Index::build(&Part::in_order(&[("feed", report.entries, Kept::New(&sorted))]), &mut |_| ()).unwrap();
        assert!(index.keys() <= keys.len());
    }

    // What is detected is not checked, only that something is: any text may look like anything.
    std::hint::black_box(detect(&text[..text.len().min(DETECT_OCTETS)]));
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
