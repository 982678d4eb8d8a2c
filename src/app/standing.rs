//! [`FeedState`]: how one feed in force stands: how it was read, what is told of it, and which index holds it.

use std::sync::Arc;

use crate::feed::{self, Format, Guard, KeptFeed, Reason, Report, Rule, Stat};
use crate::index::{Until, Verb, Verbs};
use crate::metrics::FeedFigures;

/// One feed in force.
#[derive(Debug, Clone)]
pub struct FeedState {
    /// The operator's name for it.
    pub name: String,
    /// Of the settings it was read with.
    pub(super) fingerprint: u32,
    /// What its file looked like before it was read; `None` for the sample.
    pub(super) stat: Option<Stat>,
    /// What tells its entries from others; `None`: it is not known.
    pub(super) content: Option<u64>,
    /// The generation it was rolled back to, as long as its entries are that one's.
    pub(super) rolled_back_to: Option<u64>,
    /// How it was read; `Auto`: it never was.
    pub format: Format,
    /// How its lines fell; `None` for an artifact, and for what was kept by an earlier run.
    pub report: Option<Report>,
    /// Its gauges.
    pub figures: FeedFigures,
    /// Why its last load was refused, if it was; of an earlier run it is not known.
    pub(super) refused_because: Option<String>,
    /// What its entries ask for, as far as the operator is told of it.
    pub tally: Tally,
    /// When it is read again, though neither its file nor its settings changed: an indicator in it begins to count.
    pub(super) begins: Option<Until>,
    /// What its entries were put before last; `None`: what they were read with.
    pub(super) guard: Option<Arc<Guard>>,
    /// Which index holds it.
    pub(super) tier: Tier,
}

impl FeedState {
    /// A feed that was never loaded.
    pub(super) fn empty(config: &feed::Config) -> Self {
        let figures = FeedFigures { name: config.name.clone(), stale: true, ..FeedFigures::default() };
        Self {
            name: config.name.clone(),
            fingerprint: config.fingerprint(),
            stat: None,
            content: None,
            rolled_back_to: None,
            format: Format::Auto,
            report: None,
            figures,
            refused_because: None,
            tally: Tally::default(),
            begins: None,
            guard: None,
            tier: Tier::Big,
        }
    }

    /// Whether anything of it is enforced, or could be.
    pub(super) const fn is_loaded(&self) -> bool {
        self.figures.loaded_at_secs != 0
    }

    /// Whether both have the same entries.
    pub(super) fn says_the_same(&self, other: &Self) -> bool {
        let reading = |state: &Self| (state.fingerprint, state.stat, state.figures.loaded_at_secs);
        self.figures.entries == other.figures.entries
            && match (self.content, other.content) {
                (Some(own), Some(others)) => own == others,
                // What one reading of the source gave.
                _ => reading(self) == reading(other),
            }
    }

    /// Whether `then`, which it was in generation `of`, is what it was before: one that was rolled back goes further back.
    pub(super) fn goes_back_to(&self, then: &Self, of: u64) -> bool {
        then.is_loaded() && !self.says_the_same(then) && self.rolled_back_to.is_none_or(|bound| of < bound)
    }

    /// This standing under another name.
    pub(super) fn renamed(&self, name: &str) -> Self {
        let mut state = self.clone();
        name.clone_into(&mut state.name);
        name.clone_into(&mut state.figures.name);
        state
    }

    /// This older standing, of generation `of`, in the place of `now`: pinned, and with what was counted since the start.
    pub(super) fn rolled_back(&self, now: &Self, of: u64) -> Self {
        let mut state = self.clone();
        state.rolled_back_to = state.rolled_back_to.or(Some(of));
        state.figures.pinned = true;
        state.figures.stale = false;
        state.figures.failures = now.figures.failures;
        state.figures.refused_updates = now.figures.refused_updates;
        state
    }

    /// Has it follow its source again: whatever that looks like, it is to be read.
    pub(super) const fn unpin(&mut self) {
        self.figures.pinned = false;
        self.figures.stale = true;
    }

    /// When it is read again because an indicator in it begins to count, if that is what it waits for.
    pub(super) fn begins(&self) -> Option<Until> {
        self.begins.filter(|_| !self.figures.stale && !self.figures.pinned)
    }

    /// Whether it was read by a clock that was set back since, and is to be read for that: one that failed is tried again anyway.
    pub(super) const fn was_read_ahead(&self, now_secs: u64) -> bool {
        is_set_back(self.figures.loaded_at_secs, now_secs) && !self.figures.stale && !self.figures.pinned
    }

    /// Takes down a load that was refused, by which rule and why.
    pub(super) fn refuse(&mut self, rule: Rule, because: String) {
        self.refused_because = Some(because);
        let figures = &mut self.figures;
        figures.stale = true;
        figures.failures += 1;
        if let Some(loads) = figures.refused_updates.get_mut(rule as usize) {
            *loads += 1;
        }
    }

    /// Counts entries that an older load left and that are not let in again, for they would sink what is protected.
    pub(super) fn withhold(&mut self, entries: u64) {
        let figures = &mut self.figures;
        figures.entries = figures.entries.saturating_sub(entries);
        let protected = Reason::Protected.label();
        match figures.refused.iter_mut().find(|(label, _)| *label == protected) {
            Some((_, lines)) => *lines += entries,
            None => figures.refused.push((protected, entries)),
        }
    }

    /// As it is kept on disk.
    pub(super) fn kept(&self) -> KeptFeed {
        let Tally { allows, exact, exact_nxdomain } = self.tally;
        KeptFeed {
            name: self.name.clone(),
            fingerprint: self.fingerprint,
            stat: self.stat,
            content: self.content,
            rolled_back_to: self.rolled_back_to,
            format: self.format,
            entries: self.figures.entries,
            refused: self.figures.refused.iter().map(|&(reason, lines)| (reason.to_owned(), lines)).collect(),
            loaded_at_secs: self.figures.loaded_at_secs,
            stale: self.figures.stale,
            pinned: self.figures.pinned,
            tally: [allows, exact, exact_nxdomain],
            part: self.tier.label().to_owned(),
        }
    }

    /// The reverse of [`kept`](Self::kept).
    pub(super) fn from_kept(kept: KeptFeed) -> Self {
        let label = |(reason, lines): (String, u64)| Some((Reason::from_label(&reason)?.label(), lines));
        let [allows, exact, exact_nxdomain] = kept.tally;
        // When is not kept: a feed with indicators that were still to come is read again at once.
        let to_come = kept.refused.iter().any(|(reason, _)| reason == Reason::NotYetValid.label());
        let figures = FeedFigures {
            name: kept.name.clone(),
            entries: kept.entries,
            refused: kept.refused.into_iter().filter_map(label).collect(),
            format: kept.format.label(),
            loaded_at_secs: kept.loaded_at_secs,
            stale: kept.stale,
            pinned: kept.pinned,
            ..FeedFigures::default()
        };
        Self {
            name: kept.name,
            fingerprint: kept.fingerprint,
            stat: kept.stat,
            content: kept.content,
            rolled_back_to: kept.rolled_back_to,
            format: kept.format,
            report: None,
            figures,
            refused_because: None,
            tally: Tally { allows, exact, exact_nxdomain },
            begins: to_come.then(|| Until::from_secs(0)),
            guard: None,
            tier: if kept.part == Tier::Small.label() { Tier::Small } else { Tier::Big },
        }
    }
}

/// How far back the clock on the wall is set before it is heeded, seconds: what ends and begins does so within the hour, and less is a clock
/// that is kept right.
const SET_BACK_SECS: u64 = 60;

/// Whether the clock on the wall was set back since it showed `then_secs`.
pub(super) const fn is_set_back(then_secs: u64, now_secs: u64) -> bool {
    now_secs.saturating_add(SET_BACK_SECS) < then_secs
}

/// How many of a feed's entries ask for what is worth a note; of an artifact nothing is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tally {
    /// They would let names through.
    pub allows: u64,
    /// They match a name and nothing below it.
    pub exact: u64,
    /// Of those, the ones that ask for NXDOMAIN themselves.
    pub exact_nxdomain: u64,
}

impl Tally {
    /// Counts a name of which this is said.
    pub(super) fn add_name(&mut self, Verbs { at, below, .. }: Verbs) {
        let sinks = !matches!(at, None | Some(Verb::Passthru | Verb::Cancel));
        self.allows += u64::from([at, below].contains(&Some(Verb::Passthru)));
        self.exact += u64::from(sinks && below.is_none());
        self.exact_nxdomain += u64::from(at == Some(Verb::Nxdomain) && below.is_none());
    }

    /// Counts a network of which this is said.
    pub(super) fn add_network(&mut self, Verbs { at, .. }: Verbs) {
        self.allows += u64::from(at == Some(Verb::Passthru));
    }
}

/// Which index a feed is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tier {
    /// That of the big feeds.
    Big,
    /// That of the small ones.
    Small,
}

impl Tier {
    /// What it is called on disk.
    pub(super) const fn label(self) -> &'static str {
        match self {
            Self::Big => "big",
            Self::Small => "small",
        }
    }
}
