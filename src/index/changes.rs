//! What differs between two readings of a feed, key by key: what was added, removed, or says something else.
//!
//! Both are compared as an index would hold them, so that an entry its parent makes redundant is no difference. Streams over both; keeps
//! nothing. Costs what building an index of both costs, but for the map.

use super::ancestors::Ancestors;
use super::record_sets::RecordSets;
use super::sources::{Merge, gather_networks};
use super::{BuildError, FeedId, Kept, Listing, Network, Side};

/// How an entry differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// It was not there.
    Added,
    /// It is there no more.
    Removed,
    /// It says something else.
    Altered,
}

/// What a change is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Subject<'k> {
    /// A name, by its key.
    Name(&'k [u8]),
    /// A network.
    Network(Side, Network),
}

/// The two readings' places while they are compared.
const SIDES: [usize; 2] = [0, 1];

/// Calls `visit` with every difference between `old` and `new`: names in key order, then networks.
///
/// # Errors
/// [`BuildError::Records`], as building an index of both has.
pub fn changes(old: Kept<'_>, new: Kept<'_>, visit: &mut dyn FnMut(Change, Subject<'_>)) -> Result<(), BuildError> {
    let Some([before, after]) = sides() else { return Ok(()) };
    let sources = [(before, old.of()), (after, new.of())];
    let mut sets = RecordSets::default();
    let mut ancestors = Ancestors::default();
    let mut merge = Merge::of(&sources);
    while let Some((key, listings)) = merge.next(&mut sets)? {
        ancestors.admit(key, listings);
        if let Some(change) = change(listings, [before, after]) {
            visit(change, Subject::Name(key));
        }
    }
    let mut said = gather_networks(&sources, &mut sets)?;
    said.retain(|(.., listing)| !listing.verbs.is_silent());
    for same in said.chunk_by(|(a, b, _), (c, d, _)| (a, b) == (c, d)) {
        let listings: Vec<Listing> = same.iter().map(|&(.., listing)| listing).collect();
        if let (Some(change), Some(&(side, network, _))) = (change(&listings, [before, after]), same.first()) {
            visit(change, Subject::Network(side, network));
        }
    }
    Ok(())
}

/// The two places.
fn sides() -> Option<[FeedId; 2]> {
    let [before, after] = SIDES.map(FeedId::new);
    Some([before?, after?])
}

/// How what the second says differs from what the first says.
fn change(listings: &[Listing], [before, after]: [FeedId; 2]) -> Option<Change> {
    let of = |feed| listings.iter().find(|listing| listing.feed == feed).map(|listing| listing.verbs);
    match (of(before), of(after)) {
        (None, Some(_)) => Some(Change::Added),
        (Some(_), None) => Some(Change::Removed),
        (Some(old), Some(new)) if old != new => Some(Change::Altered),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Entries, Index, Part, Sorted, Verb, Verbs};
    use super::*;
    use crate::name::Name;

    /// Entries of `name`, `=name` and `name!`, which is NXDOMAIN.
    fn sorted(names: &[&str]) -> Sorted {
        let mut entries = Entries::default();
        for &text in names {
            let (text, verb) = text.strip_suffix('!').map_or((text, Verb::Listed), |text| (text, Verb::Nxdomain));
            let (text, verbs) = match text.strip_prefix('=') {
                Some(text) => (text, Verbs::exact(verb)),
                None => (text, Verbs::subtree(verb)),
            };
            let key = Name::from_text(text.as_bytes()).unwrap().key().unwrap();
            entries.push(key.as_bytes(), verbs, false).unwrap();
        }
        let ten = Network::of("10.0.0.0".parse().unwrap(), 8).unwrap();
        if names.len() > 2 {
            entries.push_network(Side::Answer, ten, Verb::Listed, super::super::Until::NEVER, false).unwrap();
        }
        entries.finish().0
    }

    fn index(sorted: &Sorted) -> Index {
        Index::build(&Part::in_order(&[("a", sorted.len() as u64, Kept::New(sorted))])).unwrap()
    }

    #[test]
    fn what_was_added_removed_and_altered() {
        let id = FeedId::new(0).unwrap();
        for (old, new, want) in [
            (&["a.test", "b.test"][..], &["a.test", "b.test"][..], [0, 0, 0]),
            (&["a.test"], &["b.test"], [1, 1, 0]),
            (&["a.test"], &["a.test!"], [0, 0, 1]),
            (&["a.test", "=b.test"], &["=a.test", "=b.test"], [0, 0, 1]),
            (&["a.test"], &["a.test", "x.a.test"], [0, 0, 0]), // its parent says it
            (&["a.test", "x.a.test"], &["x.a.test"], [1, 1, 0]),
            (&["a.test"], &["a.test", "x.a.test!"], [1, 0, 0]),
            (&["a.test", "b.test"], &["a.test", "b.test", "c.test"], [2, 0, 0]), // and a network
            (&["a.test", "b.test", "c.test"], &[], [0, 4, 0]),
        ] {
            let (old_sorted, new_sorted) = (sorted(old), sorted(new));
            let (old_index, new_index) = (index(&old_sorted), index(&new_sorted));
            for (left, right) in [
                (Kept::New(&old_sorted), Kept::New(&new_sorted)),
                (Kept::Old(&old_index, id), Kept::New(&new_sorted)),
                (Kept::Old(&old_index, id), Kept::Old(&new_index, id)),
            ] {
                let mut counts = [0; 3];
                changes(left, right, &mut |change, _| counts[change as usize] += 1).unwrap();
                assert_eq!(counts, want, "{old:?} {new:?}");
            }
            let mut counts = 0;
            changes(Kept::Old(&old_index, id), Kept::Old(&old_index, id), &mut |_, _| counts += 1).unwrap();
            assert_eq!(counts, 0, "nothing differs from itself");
        }
    }
}
