//! Looking through what a feed says as it stands, and leaving some of it out.
//!
//! Costs a pass over the whole index that a kept feed is in, other feeds' keys included; leaving out, a copy of the feed's entries besides.

use super::layers::Keys;
use super::rows::Row;
use super::sources::{Merge, Source, networks_of};
use super::{BuildError, Entries, FeedId, Kept, Sorted, Subject, Verbs};

impl Kept<'_> {
    /// Calls `visit` with everything the feed says, in no order, and each thing once. The numbers of record sets mean nothing to who hears it.
    pub fn each(self, visit: &mut dyn FnMut(Subject<'_>, Verbs)) {
        let (base, overlay, feed) = match self.of() {
            Source::Fresh(sorted) => {
                sorted.iter().for_each(|(key, verbs)| visit(Subject::Name(key), verbs));
                sorted.networks().for_each(|(side, network, verbs)| visit(Subject::Network(side, network), verbs));
                return;
            }
            Source::Layers(base, overlay, feed) => (base, overlay, feed),
        };
        let of_feed = |row: &Row| row.is_of(feed);
        for (over, layer) in [(overlay, base)].into_iter().chain(overlay.map(|overlay| (None, overlay))) {
            let said = |row: Option<&Row>| {
                let own = row?.listings().iter().find(|listing| listing.feed == feed)?;
                (!own.verbs.is_silent()).then_some(own.verbs)
            };
            let mut keys = Keys::of(layer);
            while let Some(key) = keys.key() {
                let replaced = || over.and_then(|over| over.name(key)).is_some_and(of_feed);
                if let Some(verbs) = said(keys.row().and_then(|row| layer.row(row))).filter(|_| !replaced()) {
                    visit(Subject::Name(key), verbs);
                }
                keys.advance();
            }
            for (side, network, row) in layer.body.networks.iter() {
                let replaced = || over.and_then(|over| over.network(side, network)).is_some_and(of_feed);
                if let Some(verbs) = said(layer.row(u64::from(row))).filter(|_| !replaced()) {
                    visit(Subject::Network(side, network), verbs);
                }
            }
        }
    }

    /// What the feed says without the names that are to go.
    ///
    /// # Errors
    /// [`BuildError`].
    pub fn without(self, goes: &dyn Fn(&[u8], Verbs) -> bool) -> Result<Sorted, BuildError> {
        let mut entries = Entries::default();
        let Some(place) = FeedId::new(0) else { return Ok(Sorted::default()) };
        let source = self.of();
        let sources = [(place, source)];
        let mut merge = Merge::of(&sources);
        while let Some((key, listings)) = merge.next(&mut entries.sets)? {
            for verbs in listings.iter().map(|listing| listing.verbs) {
                if !verbs.is_silent() && !goes(key, verbs) {
                    entries.push(key, verbs, false).map_err(BuildError::Entries)?;
                }
            }
        }
        let mut networks = Vec::new();
        networks_of(source, &mut entries.sets, &mut |side, network, verbs| networks.push((side, network, verbs)))?;
        for (side, network, verbs) in networks.into_iter().filter(|(.., verbs)| !verbs.is_silent()) {
            entries.take_network(side, network, verbs, false).map_err(BuildError::Entries)?;
        }
        Ok(entries.finish().0)
    }

    /// How many of the feed's names and networks have come to their end, `now_secs` after 1970; of names that a parent made redundant none.
    #[must_use]
    pub fn lapsed(self, now_secs: u64) -> u64 {
        let mut lapsed = 0;
        self.each(&mut |_, verbs| lapsed += u64::from(verbs.until.has_come(now_secs)));
        lapsed
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use rand::SeedableRng as _;
    use rand::rngs::StdRng;

    use super::super::model::{add_some, finished, part, random_feed};
    use super::super::{Change, Index, OVERLAY_ENTRIES_MAX, Side, Until, changes};
    use super::*;

    /// All that a feed says, in order; sets left out.
    fn said(kept: Kept<'_>) -> BTreeMap<Vec<u8>, Verbs> {
        let mut said = BTreeMap::new();
        kept.each(&mut |subject, verbs| {
            let key = match subject {
                Subject::Name(key) => [b"n", key].concat(),
                Subject::Network(side, network) => [
                    &[b"ca"[usize::from(side == Side::Answer)]][..],
                    &network.first().to_be_bytes(),
                    &[network.prefix_len()],
                ]
                .concat(),
            };
            assert!(said.insert(key, verbs).is_none(), "once");
        });
        said
    }

    #[test]
    fn a_kept_feed_is_heard_whole_under_an_overlay_too_and_loses_what_goes() {
        let id = FeedId::new(1).unwrap();
        for seed in 0..40 {
            let mut rng = StdRng::seed_from_u64(seed);
            let (one, two) = (random_feed(&mut rng).0, random_feed(&mut rng).0);
            let old = Index::build(&[part(0, "a", Kept::New(&one)), part(1, "b", Kept::New(&two))]).unwrap();
            let mut entries = Entries::default();
            add_some(&mut rng, &mut entries, 20);
            let (next, _) = finished(entries);
            let new = old.amended(&[part(1, "b", Kept::New(&next))], OVERLAY_ENTRIES_MAX).unwrap();
            for (index, sorted) in [(Some(&old), &two), (new.as_ref(), &next)] {
                let Some(index) = index else { continue };
                let (kept, fresh) = (said(Kept::Old(index, id)), said(Kept::New(sorted)));
                // Redundant names are left out of an index; nothing else is.
                assert!(kept.keys().all(|key| fresh.contains_key(key)), "seed {seed}");
                let mut differ = 0;
                changes(Kept::Old(index, id), Kept::New(sorted), &mut |_: Change, _| differ += 1).unwrap();
                assert_eq!(differ, 0, "seed {seed}");
                let all = Kept::Old(index, id).without(&|_, _| false).unwrap();
                assert!(said(Kept::New(&all)).keys().eq(kept.keys()), "seed {seed}");
                let short = Kept::Old(index, id).without(&|key, _| key.len() > 4).unwrap();
                let want = kept.keys().filter(|key| key[0] != b'n' || key.len() <= 5);
                assert!(said(Kept::New(&short)).keys().eq(want), "seed {seed}");
            }
        }
    }

    #[test]
    fn what_has_lapsed_is_counted() {
        let mut entries = Entries::default();
        for (key, hour) in [(&b"\x01a"[..], Some(1)), (b"\x01b", Some(2)), (b"\x01c", None)] {
            let until = hour.map_or(Until::NEVER, |hour| Until::from_secs(hour * 3600));
            entries.push(key, Verbs::subtree(super::super::Verb::Listed).until(until), false).unwrap();
        }
        let (sorted, _) = entries.finish();
        let index = Index::build(&[part(0, "a", Kept::New(&sorted))]).unwrap();
        for (now_secs, want) in [(3599, 0), (3600, 1), (7200, 2)] {
            assert_eq!(Kept::Old(&index, FeedId::new(0).unwrap()).lapsed(now_secs), want);
        }
    }
}
