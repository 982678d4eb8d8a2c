//! What the gate weighs of an artifact. Its entries were made by another program, perhaps under other terms, and cannot be refused one by one:
//! one that would sink what is protected, or more than the feed is trusted for, is refused whole.
//!
//! Costs a look at each of its entries; a feed with `trust-suffixes` and no protected zones is spared it.

use super::entry::{is_wide, judge};
use super::{Load, Reason, Terms};
use crate::index::{Index, Kept, Subject};

/// Weighs an artifact that is one feed's source, opened as that.
#[must_use]
pub fn weigh_artifact(index: &Index, terms: &Terms) -> Load {
    let Some(feed) = index.feeds().first() else { return Load::default() };
    let (canaries, protected) = terms.guard.sunk_by(index, terms.may_allow);
    let mut load = Load { entries: feed.entries, canaries, protected, ..Load::default() };
    if terms.trust_suffixes && !terms.guard.has_zones() {
        return load;
    }
    Kept::Old(index, feed.id).each(&mut |subject, verbs| match subject {
        Subject::Name(key) => {
            load.protected += u64::from(terms.guard.refuses_below_zone(key, verbs));
            load.suffixes += u64::from(!terms.trust_suffixes && is_suffix(key));
        }
        Subject::Network(_, network) => load.suffixes += u64::from(!terms.trust_suffixes && is_wide(network)),
    });
    load
}

/// Whether the name of `key` is the root, a TLD, known or not, or a public suffix of the ICANN section.
fn is_suffix(key: &[u8]) -> bool {
    matches!(judge(key, false), Err(Reason::Root | Reason::SingleLabel | Reason::Tld | Reason::PublicSuffix))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::feed::{Guard, Protected, TextFormat, read_text};
    use crate::index::{FeedId, Part};
    use crate::name::Name;

    /// An artifact of these RPZ lines, made by somebody who trusts them.
    fn artifact(lines: &str) -> Index {
        let terms = Terms { trust_suffixes: true, ..Terms::default() };
        let (sorted, _) = read_text(lines.as_bytes(), TextFormat::Rpz, &terms).unwrap();
        let index = Index::build(&Part::in_order(&[("a", sorted.len() as u64, Kept::New(&sorted))])).unwrap();
        let mut octets = Vec::new();
        index.write(&mut octets).unwrap();
        Index::open_one_feed(octets, FeedId::new(0).unwrap(), "a").unwrap()
    }

    #[test]
    fn what_it_would_sink_of_what_it_must_not() {
        let protected = ["*.corp.test", "www.site.test"].map(|text| Protected::from_text(text).unwrap());
        let guard = Arc::new(Guard::new(&protected, Vec::new()));
        for (owner, sunk, suffixes) in [
            ("a.test", 0, 0),
            ("corp.test", 1, 0),
            ("*.corp.test", 1, 0),
            ("a.b.corp.test", 1, 0),
            ("*.a.corp.test", 1, 0),
            ("acorp.test", 0, 0),
            ("*.site.test", 1, 0),
            ("www.site.test", 1, 0),
            ("a.www.site.test", 0, 0),
            ("com", 0, 1),
            ("*.com", 0, 1),
            ("co.uk", 0, 1),
            ("*", 2, 1),
            ("github.io", 0, 0),
            ("7.0.0.0.4.rpz-ip", 0, 1),
            ("8.0.0.0.4.rpz-ip", 0, 0),
            ("0.zz.rpz-client-ip", 0, 1),
        ] {
            let index = artifact(&format!("{owner} CNAME .\nother.example.com CNAME .\n"));
            for trust_suffixes in [false, true] {
                let terms = Terms { trust_suffixes, guard: Arc::clone(&guard), ..Terms::default() };
                let load = weigh_artifact(&index, &terms);
                let want = (sunk, if trust_suffixes { 0 } else { suffixes });
                assert_eq!((load.protected, load.suffixes), want, "{owner} {trust_suffixes}");
                assert_eq!(load.entries, 2, "{owner}");
            }
        }
        let lines = "*.site.test CNAME .\nwww.site.test CNAME rpz-passthru.\n";
        for (may_allow, sunk) in [(false, 1), (true, 0)] {
            let canaries = Arc::new(Guard::new(&protected, vec![Name::from_text(b"www.site.test").unwrap()]));
            let load = weigh_artifact(&artifact(lines), &Terms { may_allow, guard: canaries, ..Terms::default() });
            assert_eq!((load.canaries, load.protected), (sunk, sunk), "{may_allow}");
        }
        let passes =
            weigh_artifact(&artifact("a.corp.test CNAME rpz-passthru.\n"), &Terms { guard, ..Terms::default() });
        assert_eq!(passes.protected, 0);
    }
}
