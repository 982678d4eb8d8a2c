//! What an operator does to feeds by hand: read them now, go back to what they were, let them follow their sources again.

use super::assemble::assemble;
use super::feeds::FeedSet;
use super::loading::{LoadedFeeds, Wanted, load_feeds};
use super::publisher::Publisher;
use super::standing::FeedState;
use super::tasks::{ReloadError, Reloaded};
use crate::feed::KeptFeed;

impl Publisher {
    /// Reads these feeds, or all, again, as an operator asks.
    pub(super) fn refresh_named(&mut self, feeds: &[String], force: bool) -> Result<Reloaded, ReloadError> {
        let names = self.named(feeds)?;
        let mut reloaded = self.refresh(Wanted::These { names: &names, force })?;
        let pinned = |name: &&String| self.feeds.as_ref().is_some_and(|set| set.is_pinned(name));
        for name in names.iter().filter(pinned) {
            // Asked for by its name, it was not taken.
            reloaded.refused.extend(feeds.contains(name).then(|| name.clone()));
            reloaded
                .notes
                .push(format!("feed {name} is pinned: `cenote feed unpin {name}` lets it follow its source again"));
        }
        Ok(reloaded)
    }

    /// Enforces what these feeds, or all, were in an older generation, and pins those that are now other than they were.
    pub(super) fn roll_back(&mut self, generation: Option<u64>, feeds: &[String]) -> Result<Reloaded, ReloadError> {
        let names = self.named(feeds)?;
        let store = self.store.as_ref().ok_or(ReloadError::NoStore)?;
        let current = self.feeds.as_ref().ok_or(ReloadError::NoneBefore)?;
        let older = |feed: &KeptFeed, of: u64| {
            let now = current.find(&feed.name).filter(|_| names.contains(&feed.name));
            now.is_some_and(|(now, _)| now.goes_back_to(&FeedState::from_kept(feed.clone()), of))
        };
        let newest =
            || store.list().into_iter().find(|kept| kept.feeds.iter().any(|feed| older(feed, kept.generation)));
        let asked = generation.is_some();
        let generation = generation.or_else(|| newest().map(|kept| kept.generation)).ok_or(ReloadError::NoneBefore)?;
        let old = FeedSet::from_kept(store.get(generation)?);
        let differs = |now: &FeedState, then: &FeedState| {
            if asked { !now.says_the_same(then) } else { now.goes_back_to(then, generation) }
        };
        let (mut states, mut sources, mut notes) = (Vec::new(), Vec::new(), Vec::new());
        for config in &self.settings.feeds {
            let present = current.find(&config.name);
            let past = old.find(&config.name).filter(|(state, _)| names.contains(&config.name) && state.is_loaded());
            let (state, next) = match (present, past) {
                (Some((now, _)), Some((then, next))) if differs(now, then) => {
                    notes.push(format!("feed {} is as in generation {generation}, and pinned", config.name));
                    (then.rolled_back(now, generation), next)
                }
                (Some((now, next)), _) => (now.clone(), next),
                (None, _) => return Err(ReloadError::NoSuchFeed(config.name.clone())),
            };
            states.push(state);
            sources.push(next);
        }
        if notes.is_empty() {
            return Err(ReloadError::Nothing("nothing to roll back: these feeds are as they were then"));
        }
        let set = assemble(&self.settings.feeds, states, sources, Some(current))?;
        let mut reloaded = self.take(LoadedFeeds { set, tried: Vec::new(), troubles: Vec::new() });
        reloaded.notes.splice(..0, notes);
        Ok(reloaded)
    }

    /// Lets these pinned feeds, or all, follow their sources again, and reads them.
    pub(super) fn unpin(&mut self, feeds: &[String]) -> Result<Reloaded, ReloadError> {
        let names = self.named(feeds)?;
        let set = self.feeds.as_mut().ok_or(ReloadError::NoneBefore)?;
        let mut unpinned = Vec::new();
        for state in set.states.iter_mut().filter(|state| state.figures.pinned && names.contains(&state.name)) {
            state.unpin();
            unpinned.push(state.name.clone());
        }
        if unpinned.is_empty() {
            return Err(ReloadError::Nothing("nothing to unpin: none of these feeds is pinned"));
        }
        let wanted = Wanted::These { names: &unpinned, force: false };
        let loaded = load_feeds(&self.settings.feeds, self.feeds.as_ref(), wanted, &mut |_, _, _| ())?;
        Ok(self.take(loaded))
    }

    /// These feeds, or all if none is named.
    ///
    /// # Errors
    /// [`ReloadError::NoSuchFeed`].
    fn named(&self, feeds: &[String]) -> Result<Vec<String>, ReloadError> {
        let all = || self.settings.feeds.iter().map(|feed| &feed.name);
        match feeds.iter().find(|feed| !all().any(|name| name == *feed)) {
            Some(unknown) => Err(ReloadError::NoSuchFeed(unknown.clone())),
            None if feeds.is_empty() => Ok(all().cloned().collect()),
            None => Ok(feeds.to_vec()),
        }
    }
}
