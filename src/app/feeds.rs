//! [`FeedSet`]: the feeds in force, and the indexes of them all.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::loading::Next;
use super::standing::{FeedState, Tally, Tier};
use crate::feed::{self, KeptFeed, Report};
use crate::index::{BuildError, FeedId, Index, Kept, Part, Until};
use crate::policy::{Action, FeedConfig, TenantConfig};

/// All feeds in force.
#[derive(Debug, Clone)]
pub struct FeedSet {
    /// By place.
    pub states: Vec<FeedState>,
    /// The big feeds' entries, if there are big feeds.
    pub(super) big: Option<Arc<Index>>,
    /// The small feeds' entries, if there are small feeds.
    pub(super) small: Option<Arc<Index>>,
}

impl FeedSet {
    /// The indexes of all feeds.
    #[must_use]
    pub fn indexes(&self) -> Vec<Arc<Index>> {
        self.big.iter().chain(&self.small).map(Arc::clone).collect()
    }

    /// The indexes as they are enforced `now_secs` after 1970, without what has come to its end, and when the next of the rest does.
    pub(super) fn in_force(&self, now_secs: u64) -> (Vec<Arc<Index>>, Option<Until>) {
        let lapsed = |index: Arc<Index>| match index.lapses_next() {
            Some(first) if first.has_come(now_secs) => Arc::new(index.lapsed(now_secs)),
            _ => index,
        };
        let indexes: Vec<_> = self.indexes().into_iter().map(lapsed).collect();
        let next = indexes.iter().filter_map(|index| index.lapses_next()).min();
        (indexes, next)
    }

    /// When the next feed is read again because an indicator in it begins to count. One that failed is tried again anyway, and a pinned one
    /// stays.
    pub(super) fn begins(&self) -> Option<Until> {
        self.states.iter().filter_map(FeedState::begins).min()
    }

    /// The feeds for which that has come, `now_secs` after 1970, and those that were read by a clock that was set back since: what ended or began
    /// by it is not told by their entries.
    pub(super) fn begun(&self, now_secs: u64) -> Vec<String> {
        let begun = |state: &&FeedState| {
            state.begins().is_some_and(|begins| begins.has_come(now_secs)) || state.was_read_ahead(now_secs)
        };
        self.states.iter().filter(begun).map(|state| state.name.clone()).collect()
    }

    /// Whatever came of reading them: none is read for that again before there is another such time.
    pub(super) fn forget_begun(&mut self, now_secs: u64) {
        for state in &mut self.states {
            state.begins = state.begins.filter(|begins| !begins.has_come(now_secs));
            state.figures.loaded_at_secs = state.figures.loaded_at_secs.min(now_secs);
        }
    }

    /// One index of all feeds, for an artifact.
    ///
    /// # Errors
    /// [`BuildError`].
    pub fn merged(&self) -> Result<Arc<Index>, BuildError> {
        if let [only] = self.indexes().as_slice()
            && !only.is_amended()
        {
            return Ok(Arc::clone(only));
        }
        let parts: Vec<Part<'_>> = (0..)
            .zip(&self.states)
            .filter_map(|(place, state)| {
                let id = FeedId::new(place)?;
                let source = Kept::Old(self.tier(state.tier)?, id);
                Some(Part { id, name: &state.name, entries: state.figures.entries, source })
            })
            .collect();
        Index::build(&parts).map(Arc::new)
    }

    /// What works, but hardly as it was meant; `configs` by place, and what `tenants` make of them.
    #[must_use]
    pub fn notes(&self, configs: &[FeedConfig], tenants: &[TenantConfig]) -> Vec<String> {
        let mut notes = Vec::new();
        for (place, (state, policy)) in self.states.iter().zip(configs).enumerate() {
            let name = &policy.name;
            let Tally { allows, exact, exact_nxdomain } = state.tally;
            if allows > 0 && !policy.may_allow {
                notes.push(format!("feed {name}: passthru entries ignored, for it has no may-allow: {allows}"));
            }
            let of_tenant = |tenant: &TenantConfig| {
                let has_it = tenant.feeds.as_ref().is_none_or(|feeds| feeds.iter().any(|feed| feed.index() == place));
                has_it && tenant.action == Some(Action::Nxdomain)
            };
            let alone = match policy.action {
                Some(Action::Observe | Action::Passthru) => 0,
                Some(Action::Nxdomain) => exact,
                _ if tenants.iter().any(of_tenant) => exact,
                None => exact_nxdomain,
                Some(_) => 0,
            };
            if alone > 0 {
                notes.push(format!(
                    "feed {name}: names answered NXDOMAIN while what is below them is not: {alone}; caches may take all of it for gone \
                     (RFC 8020), nodata does not spread"
                ));
            }
            let hosting = state.report.as_ref().map_or(0, |report: &Report| report.private_suffixes);
            if hosting > 0 {
                notes.push(format!(
                    "feed {name}: entries that are whole hosting domains (private section of the Public Suffix List): {hosting}"
                ));
            }
        }
        notes
    }

    /// The index of a tier.
    pub(super) const fn tier(&self, tier: Tier) -> Option<&Arc<Index>> {
        match tier {
            Tier::Big => self.big.as_ref(),
            Tier::Small => self.small.as_ref(),
        }
    }

    /// Has `whole`, which says the same, in the place of `old`; whether that is still here.
    pub(super) fn replace(&mut self, old: &Arc<Index>, whole: Index) -> bool {
        let mut tiers = [&mut self.big, &mut self.small].into_iter().flatten();
        match tiers.find(|index| Arc::ptr_eq(index, old)) {
            Some(index) => {
                *index = Arc::new(whole);
                true
            }
            None => false,
        }
    }

    /// Whether each feed was loaded.
    pub(super) fn is_whole(&self) -> bool {
        self.states.iter().all(FeedState::is_loaded)
    }

    /// Whether some feed was.
    pub(super) fn has_some(&self) -> bool {
        self.states.iter().any(FeedState::is_loaded)
    }

    /// Whether both list the same in the same indexes.
    pub(super) fn says_the_same(&self, other: &Self) -> bool {
        let (own, others) = (self.indexes(), other.indexes());
        own.len() == others.len() && own.iter().zip(&others).all(|(own, other)| Arc::ptr_eq(own, other))
    }

    /// What is known of the feed of this configuration: by its name, else under the name it had before it was given another.
    pub(super) fn known(&self, config: &feed::Config, configs: &[feed::Config]) -> Option<(FeedState, Next)> {
        if let Some((state, next)) = self.find(&config.name) {
            return Some((state.clone(), next));
        }
        let fingerprint = config.fingerprint();
        let is_gone = |name: &str| configs.iter().all(|other| other.name != name);
        let old =
            self.states.iter().find(|old| old.is_loaded() && old.fingerprint == fingerprint && is_gone(&old.name))?;
        let (state, next) = self.find(&old.name)?;
        Some((state.renamed(&config.name), next))
    }

    /// Whether a feed is pinned.
    pub(super) fn is_pinned(&self, name: &str) -> bool {
        self.states.iter().any(|state| state.name == name && state.figures.pinned)
    }

    /// A feed by name, and where its entries are.
    pub(super) fn find(&self, name: &str) -> Option<(&FeedState, Next)> {
        let place = self.states.iter().position(|state| state.name == name)?;
        let state = self.states.get(place)?;
        let next = self.tier(state.tier).zip(FeedId::new(place));
        Some((state, next.map_or(Next::Nothing, |(index, id)| Next::Kept(Arc::clone(index), id))))
    }

    /// As it is kept on disk: each feed's standing, and the indexes by part.
    pub(super) fn kept(&self) -> (Vec<KeptFeed>, BTreeMap<String, Arc<Index>>) {
        let parts = [Tier::Big, Tier::Small].into_iter();
        let parts = parts.filter_map(|tier| Some((tier.label().to_owned(), Arc::clone(self.tier(tier)?))));
        (self.states.iter().map(FeedState::kept).collect(), parts.collect())
    }

    /// The reverse of [`kept`](Self::kept).
    pub(super) fn from_kept(kept: feed::Kept) -> Self {
        let mut parts = kept.parts;
        let (big, small) = (parts.remove(Tier::Big.label()), parts.remove(Tier::Small.label()));
        Self { states: kept.feeds.into_iter().map(FeedState::from_kept).collect(), big, small }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::super::assemble::SMALL_FEED_ENTRIES;
    use super::super::loading::{LoadedFeeds, Wanted, load_feeds};
    use super::*;
    use crate::feed::Source;
    use crate::name::Name;

    fn config(name: &str, path: &Path) -> feed::Config {
        feed::Config::new(name, Source::File(path.to_owned()))
    }

    /// By feed, whether it lists the name.
    fn listed(set: &FeedSet, name: &str) -> Vec<usize> {
        let name = Name::from_text(name.as_bytes()).unwrap();
        let mut feeds = Vec::new();
        for index in set.indexes() {
            index.walk(&name.view().unwrap(), |_, listings| {
                feeds.extend(listings.iter().map(|one| one.feed.index()));
            });
        }
        feeds.sort_unstable();
        feeds
    }

    fn load(configs: &[feed::Config], previous: Option<&FeedSet>) -> (FeedSet, usize) {
        let LoadedFeeds { set, troubles, .. } =
            load_feeds(configs, previous, Wanted::Changed, &mut |_, _, _| ()).unwrap();
        (set, troubles.len())
    }

    #[test]
    fn a_bad_refresh_keeps_the_last_good_entries() {
        let folder = tempfile::tempdir().unwrap();
        let (a, b) = (folder.path().join("a"), folder.path().join("b"));
        fs::write(&a, "one.example.com\ntwo.example.com\nthree.example.com\nfour.example.com\n").unwrap();
        fs::write(&b, "other.example.net\nmore.example.net\n").unwrap();
        let configs = [config("a", &a), config("b", &b)];
        let (first, troubles) = load(&configs, None);
        assert_eq!((listed(&first, "x.one.example.com"), listed(&first, "other.example.net")), (vec![0], vec![1]));
        assert_eq!(troubles, 0);

        let (same, _) = load(&configs, Some(&first));
        assert!(Arc::ptr_eq(&same.indexes()[0], &first.indexes()[0]), "nothing changed, nothing is built");

        // Shrunk under half, empty, gone: the old one stays, counted. The other feed changes all the same.
        let mut set = first;
        for (text, other) in [(Some("one.example.com\n"), "p"), (Some(""), "q"), (None, "r")] {
            match text {
                Some(text) => fs::write(&a, text).unwrap(),
                None => fs::remove_file(&a).unwrap(),
            }
            fs::write(&b, format!("{other}.example.net\nmore-{other}.example.net\n")).unwrap();
            let (next, troubles) = load(&configs, Some(&set));
            assert_eq!(troubles, 1, "{text:?}");
            assert_eq!(listed(&next, "four.example.com"), [0], "{text:?}");
            assert_eq!(listed(&next, &format!("{other}.example.net")), [1], "{text:?}");
            assert!(next.states[0].figures.stale && !next.states[1].figures.stale);
            set = next;
        }
        assert_eq!(set.states[0].figures.failures, 3);

        // Back again, and in another order.
        fs::write(&a, "five.example.com\nsix.example.com\n").unwrap();
        let (next, troubles) = load(&[configs[1].clone(), configs[0].clone()], Some(&set));
        assert_eq!(
            (troubles, listed(&next, "five.example.com"), listed(&next, "r.example.net")),
            (0, vec![1], vec![0])
        );
        assert!(listed(&next, "one.example.com").is_empty());
    }

    #[test]
    fn what_has_ended_is_not_enforced_and_the_next_end_is_known() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("bundle");
        // The year 2100, and a day later.
        let (first, second) = (4_102_444_800, 4_102_531_200);
        let object = |name: &str, until: &str| {
            format!(
                r#"{{"type": "indicator", "id": "indicator--{name}", "pattern": "[domain-name:value = '{name}']"{until}}}"#
            )
        };
        let objects = [
            object("one.example.com", ", \"valid_until\": \"2100-01-01T00:00:00Z\""),
            object("two.example.com", ", \"valid_until\": \"2100-01-02T00:00:00Z\""),
            object("three.example.com", ""),
        ];
        fs::write(&path, format!(r#"{{"type": "bundle", "objects": [{}]}}"#, objects.join(", "))).unwrap();
        let (set, troubles) = load(&[config("stix", &path)], None);
        assert_eq!(troubles, 0);
        for (now_secs, wants, next) in [
            (0, [true; 3], Some(first)),
            (first - 1, [true; 3], Some(first)),
            (first, [false, true, true], Some(second)),
            (second, [false, false, true], None),
        ] {
            let (indexes, ends) = set.in_force(now_secs);
            let sunk = ["a.one.example.com", "two.example.com", "three.example.com"].map(|name| {
                let (name, mut sunk) = (Name::from_text(name.as_bytes()).unwrap(), false);
                indexes.iter().for_each(|index| index.walk(&name.view().unwrap(), |_, _| sunk = true));
                sunk
            });
            assert_eq!((sunk, ends.and_then(Until::secs)), (wants, next), "at {now_secs}");
        }
    }

    #[test]
    fn an_artifact_is_a_feed() {
        let folder = tempfile::tempdir().unwrap();
        let (text, artifact) = (folder.path().join("text"), folder.path().join("index.cenote"));
        fs::write(&text, "one.example.com\ntwo.example.com\n").unwrap();
        let (set, _) = load(&[config("t", &text)], None);
        set.merged().unwrap().write_file(&artifact).unwrap();
        let (alone, troubles) = load(&[config("x", &artifact)], None);
        assert_eq!((troubles, listed(&alone, "a.two.example.com")), (0, vec![0]));
        assert_eq!(alone.states[0].figures.entries, 2);
        fs::write(&text, "two.example.com\nthree.example.com\n").unwrap();
        let (both, _) = load(&[config("t", &text), config("x", &artifact)], None);
        assert_eq!(listed(&both, "two.example.com"), [0, 1]);
        assert_eq!(listed(&both, "one.example.com"), [1]);
        fs::write(&artifact, "\u{89}not one").unwrap();
        assert_eq!(load(&[config("x", &artifact)], Some(&alone)).1, 1);
    }

    #[test]
    fn a_small_feed_changes_beside_a_big_one_that_is_not_touched() {
        let folder = tempfile::tempdir().unwrap();
        let (big, small) = (folder.path().join("big"), folder.path().join("small"));
        let many: String = (0..=SMALL_FEED_ENTRIES).map(|i| format!("n{i}.example.com\n")).collect();
        fs::write(&big, many).unwrap();
        fs::write(&small, "n7.example.com\nn8.example.net\n").unwrap();
        let configs = [config("small", &small), config("big", &big)];
        let (first, _) = load(&configs, None);
        assert_eq!((first.indexes().len(), listed(&first, "n7.example.com")), (2, vec![0, 1]));
        fs::write(&small, "n7.example.com\nnew.example.net\n").unwrap();
        let (next, _) = load(&configs, Some(&first));
        assert_eq!(listed(&next, "new.example.net"), [0]);
        assert!(Arc::ptr_eq(&first.indexes()[0], &next.indexes()[0]), "the big feed's index is the same");

        // The artifact holds both; in another order and without the big feed everything is where it belongs.
        let merged = next.merged().unwrap();
        assert_eq!(merged.feeds().iter().map(|feed| feed.entries).collect::<Vec<_>>(), [2, SMALL_FEED_ENTRIES + 1]);
        let (swapped, _) = load(&[configs[1].clone(), configs[0].clone()], Some(&next));
        assert_eq!(listed(&swapped, "n7.example.com"), [0, 1]);
        let (alone, _) = load(&configs[..1], Some(&swapped));
        assert_eq!((alone.indexes().len(), listed(&alone, "n7.example.com")), (1, vec![0]));
        assert!(listed(&alone, "n9.example.com").is_empty());
    }

    #[test]
    fn a_big_feed_that_hardly_changes_is_not_built_again() {
        let folder = tempfile::tempdir().unwrap();
        let (big, other) = (folder.path().join("big"), folder.path().join("other"));
        let many = |from: u64| -> String {
            (from..from + SMALL_FEED_ENTRIES + 9).map(|i| format!("n{i}.example.com\n")).collect()
        };
        fs::write(&big, many(0)).unwrap();
        fs::write(&other, many(1)).unwrap();
        let configs = [config("big", &big), config("other", &other)];
        let (first, _) = load(&configs, None);
        fs::write(&big, many(0) + "new.example.net\n").unwrap();
        let (second, _) = load(&configs, Some(&first));
        assert!(second.indexes()[0].is_amended() && second.indexes()[0].shares_base(&first.indexes()[0]));
        assert_eq!((listed(&second, "a.new.example.net"), listed(&second, "n7.example.com")), (vec![0], vec![0, 1]));
        // The other one loses its first name; what the first one gained stays.
        fs::write(&other, many(1).split_once('\n').unwrap().1).unwrap();
        let (third, _) = load(&configs, Some(&second));
        assert!(third.indexes()[0].shares_base(&first.indexes()[0]));
        assert_eq!((listed(&third, "new.example.net"), listed(&third, "n1.example.com")), (vec![0], vec![0]));
        let (same, _) = load(&configs, Some(&third));
        assert!(Arc::ptr_eq(&same.indexes()[0], &third.indexes()[0]), "nothing changed");

        // Built whole it says the same, and takes the place of the very one it was made of.
        let (mut set, old) = (third.clone(), &third.indexes()[0]);
        assert!(!set.replace(&first.indexes()[0], old.flattened().unwrap()), "that one is no longer here");
        assert!(set.replace(old, old.flattened().unwrap()) && set.indexes()[0].overlay_entries() == 0);
        assert_eq!((listed(&set, "new.example.net"), listed(&set, "n1.example.com")), (vec![0], vec![0]));

        // The artifact has no overlay; another order, and more than an overlay holds, is a build.
        let merged = third.merged().unwrap();
        assert!(!merged.is_amended() && merged.may_list(&Name::from_text(b"new.example.net").unwrap().view().unwrap()));
        let (swapped, _) = load(&[configs[1].clone(), configs[0].clone()], Some(&third));
        assert!(!swapped.indexes()[0].is_amended());
        assert_eq!((listed(&swapped, "new.example.net"), listed(&swapped, "n1.example.com")), (vec![1], vec![1]));
        fs::write(&big, many(500_000)).unwrap();
        let (other, _) = load(&configs, Some(&third));
        assert!(!other.indexes()[0].is_amended());
        assert_eq!((listed(&other, "n7.example.com"), listed(&other, "n500007.example.com")), (vec![1], vec![0]));
    }
}
