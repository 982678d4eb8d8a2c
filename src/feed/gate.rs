//! The gate that a fresh load passes before it replaces the one in use. What breaks a list far more often than its publisher meant it
//! (it is empty, cut short, another list, a page of errors, or it names what must never be sunk) is refused, and the old one stays.

use std::ops::RangeInclusive;

use crate::metrics::RULES;

/// A growth to so few entries is never refused: small lists double in a day (a guess).
pub const GROWTH_FREE_ENTRIES: u64 = 1000;

/// A feed's bounds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GateConfig {
    /// How much of the entries in use may be gone, percent.
    pub shrink_max_percent: u32,
    /// How many more there may be than are in use, percent.
    pub growth_max_percent: u32,
    /// The fewest entries.
    pub entries_min: u64,
    /// The most entries.
    pub entries_max: u64,
    /// How many of the lines, without comments, may be refused, percent.
    pub refused_max_percent: u32,
}

impl GateConfig {
    /// What `shrink_max_percent` may be.
    pub const SHRINK_MAX_PERCENT: RangeInclusive<u32> = 0..=100;
    /// What `growth_max_percent` may be.
    pub const GROWTH_MAX_PERCENT: RangeInclusive<u32> = 0..=1_000_000;
    /// What `entries_min` and `entries_max` may be: as many names as an arena of 4 GiB holds.
    pub const ENTRIES: RangeInclusive<u64> = 1..=150_000_000;
    /// What `refused_max_percent` may be.
    pub const REFUSED_MAX_PERCENT: RangeInclusive<u32> = 0..=100;
}

impl Default for GateConfig {
    /// Guesses, but for the last one: of a real list of names and addresses 61 % of the lines are refused.
    fn default() -> Self {
        Self {
            shrink_max_percent: 50,
            growth_max_percent: 900,
            entries_min: 1,
            entries_max: *Self::ENTRIES.end(),
            refused_max_percent: 95,
        }
    }
}

/// What is known of a load.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Load {
    /// Distinct entries.
    pub entries: u64,
    /// Lines that were to hold entries: all but comments and what serves the format; 0 where it has no lines.
    pub lines: u64,
    /// Those of them that were refused.
    pub refused: u64,
    /// Canaries that it would sink.
    pub canaries: u64,
    /// Protected names that it would sink, and its entries below protected zones, where entries cannot be refused one by one.
    pub protected: u64,
    /// Its entries that are the root, top-level domains, public suffixes or networks too wide, likewise, and it is not trusted for them.
    pub suffixes: u64,
}

/// The entries in use, which a load is held against.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Previous {
    /// As many as they were when they were loaded.
    pub entries: u64,
    /// Those of them that have not come to their end since.
    pub unexpired: u64,
}

impl Previous {
    /// Entries of which none has ended.
    #[must_use]
    pub const fn of(entries: u64) -> Self {
        Self { entries, unexpired: entries }
    }
}

/// By which rule a load was refused; the first ones before its lines were weighed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Rule {
    /// It is not there, no regular file, or the system does not let it be read.
    Unreadable,
    /// It is larger than a feed may be, packed or unpacked.
    TooLarge,
    /// It is cut short, or not the octets that were written: packed text, JSON, an artifact.
    Damaged,
    /// It is a page of HTML or XML: whoever fetched it was given a login, or an error.
    Html,
    /// It is something else altogether, or an artifact where text was named.
    Foreign,
    /// Nothing tells how it is to be read: its format, or the column that holds the names.
    UnknownFormat,
    /// There is nothing in it, or comments alone.
    Empty,
    /// There is something in it, and nothing of that is an entry.
    NothingUsable,
    /// It would sink a canary.
    Canary,
    /// It would sink a protected name.
    Protected,
    /// It would sink a top-level domain or the like.
    Suffix,
    /// It lost too much.
    Shrunk,
    /// It grew too much.
    Grown,
    /// It has too few entries.
    TooFew,
    /// It has too many.
    TooMany,
    /// Too many of its lines are refused.
    RefusedLines,
}

impl Rule {
    /// How many there are.
    pub const COUNT: usize = RULES.len();

    /// Every rule, in the order metrics list them; each stands at its own number.
    pub const ALL: [Self; Self::COUNT] = [
        Self::Unreadable,
        Self::TooLarge,
        Self::Damaged,
        Self::Html,
        Self::Foreign,
        Self::UnknownFormat,
        Self::Empty,
        Self::NothingUsable,
        Self::Canary,
        Self::Protected,
        Self::Suffix,
        Self::Shrunk,
        Self::Grown,
        Self::TooFew,
        Self::TooMany,
        Self::RefusedLines,
    ];

    /// Its label in `cenote_feed_refused_updates_total{feed,rule}`.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Unreadable => "unreadable",
            Self::TooLarge => "too-large",
            Self::Damaged => "damaged",
            Self::Html => "html",
            Self::Foreign => "foreign",
            Self::UnknownFormat => "unknown-format",
            Self::Empty => "empty",
            Self::NothingUsable => "nothing-usable",
            Self::Canary => "canary",
            Self::Protected => "protected",
            Self::Suffix => "suffix",
            Self::Shrunk => "shrunk",
            Self::Grown => "grown",
            Self::TooFew => "too-few",
            Self::TooMany => "too-many",
            Self::RefusedLines => "refused-lines",
        }
    }
}

/// Why a load may not replace the one in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum GateError {
    /// Nothing is left of it.
    #[error("expected at least one usable entry, got none")]
    Empty,
    /// It would sink canaries.
    #[error(
        "expected no canary to be sunk (gate.canaries), got {0} that would be; mend the list at its source, or take the name out of gate.canaries if the list is right (--force does not waive this)"
    )]
    Canary(u64),
    /// It would sink protected names.
    #[error("expected no protected name to be sunk (gate.protected), got {0} that would be")]
    Protected(u64),
    /// It would sink more than one holder's names or addresses.
    #[error("expected no top-level domain, public suffix or network as wide (trust-suffixes), got {0}")]
    Suffix(u64),
    /// Over `shrink-max-percent`.
    #[error("expected at most {percent} % of the {previous} entries in use to be gone (shrink-max-percent), got {new}")]
    Shrunk {
        /// Entries in use that have not ended.
        previous: u64,
        /// Entries of the new load.
        new: u64,
        /// The bound.
        percent: u32,
    },
    /// Over `growth-max-percent`.
    #[error("expected at most {percent} % more than the {previous} entries in use (growth-max-percent), got {new}")]
    Grown {
        /// Entries in use.
        previous: u64,
        /// Entries of the new load.
        new: u64,
        /// The bound.
        percent: u32,
    },
    /// Under `entries-min`.
    #[error("expected at least {min} entries (entries-min), got {new}")]
    TooFew {
        /// The bound.
        min: u64,
        /// Entries of the new load.
        new: u64,
    },
    /// Over `entries-max`.
    #[error("expected at most {max} entries (entries-max), got {new}")]
    TooMany {
        /// The bound.
        max: u64,
        /// Entries of the new load.
        new: u64,
    },
    /// Over `refused-max-percent`.
    #[error("expected at most {percent} % of {lines} lines to be refused (refused-max-percent), got {refused}")]
    RefusedLines {
        /// Lines that were to hold entries.
        lines: u64,
        /// Those refused.
        refused: u64,
        /// The bound.
        percent: u32,
    },
}

impl GateError {
    /// Whether what was refused of its lines may be why.
    #[must_use]
    pub const fn turns_on_lines(&self) -> bool {
        matches!(self, Self::Shrunk { .. } | Self::TooFew { .. } | Self::RefusedLines { .. })
    }

    /// The rule behind it.
    #[must_use]
    pub const fn rule(&self) -> Rule {
        match self {
            Self::Empty => Rule::Empty,
            Self::Canary(_) => Rule::Canary,
            Self::Protected(_) => Rule::Protected,
            Self::Suffix(_) => Rule::Suffix,
            Self::Shrunk { .. } => Rule::Shrunk,
            Self::Grown { .. } => Rule::Grown,
            Self::TooFew { .. } => Rule::TooFew,
            Self::TooMany { .. } => Rule::TooMany,
            Self::RefusedLines { .. } => Rule::RefusedLines,
        }
    }
}

/// Whether `load` may replace the entries of `previous`; the first load has none, nor has the first after the operator changed how the feed is
/// read. What ended in the meantime is not missed. `force`: the operator has looked, and its size and its
/// refused lines are as they should be; what is empty, or sinks what must not be, is refused all the same.
///
/// # Errors
/// [`GateError`].
pub const fn gate(config: &GateConfig, previous: Option<Previous>, load: Load, force: bool) -> Result<(), GateError> {
    let Load { entries: new, lines, refused, canaries, protected, suffixes } = load;
    if new == 0 {
        return Err(GateError::Empty);
    }
    if canaries > 0 {
        return Err(GateError::Canary(canaries));
    }
    if protected > 0 {
        return Err(GateError::Protected(protected));
    }
    if suffixes > 0 {
        return Err(GateError::Suffix(suffixes));
    }
    if force {
        return Ok(());
    }
    if let Some(Previous { entries: previous, unexpired }) = previous {
        let percent = config.shrink_max_percent;
        let kept = new.saturating_mul(100);
        if kept < unexpired.saturating_mul(100 - if percent > 100 { 100 } else { percent } as u64) {
            return Err(GateError::Shrunk { previous: unexpired, new, percent });
        }
        let percent = config.growth_max_percent;
        if previous > 0 && new > GROWTH_FREE_ENTRIES && kept > previous.saturating_mul(100 + percent as u64) {
            return Err(GateError::Grown { previous, new, percent });
        }
    }
    if new < config.entries_min {
        return Err(GateError::TooFew { min: config.entries_min, new });
    }
    if new > config.entries_max {
        return Err(GateError::TooMany { max: config.entries_max, new });
    }
    let percent = config.refused_max_percent;
    if refused.saturating_mul(100) > lines.saturating_mul(percent as u64) {
        return Err(GateError::RefusedLines { lines, refused, percent });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_stands_at_its_number_with_a_label_of_its_own() {
        let mut labels = std::collections::BTreeSet::new();
        for (number, rule) in Rule::ALL.into_iter().enumerate() {
            assert_eq!(rule as usize, number, "{rule:?}");
            assert!(labels.insert(rule.label()), "{rule:?}");
            assert_eq!(RULES[number], rule.label(), "metrics list it so");
        }
    }

    #[test]
    fn sizes() {
        let config = GateConfig { entries_min: 2, entries_max: 30_000, ..GateConfig::default() };
        let shrunk = |previous, new| Err(GateError::Shrunk { previous, new, percent: 50 });
        for (previous, new, want) in [
            (None, 2, Ok(())),
            (None, 30_000, Ok(())),
            (None, 0, Err(GateError::Empty)),
            (None, 1, Err(GateError::TooFew { min: 2, new: 1 })),
            (None, 30_001, Err(GateError::TooMany { max: 30_000, new: 30_001 })),
            (Some(10), 0, Err(GateError::Empty)),
            (Some(10), 5, Ok(())),
            (Some(10), 4, shrunk(10, 4)),
            (Some(11), 5, shrunk(11, 5)),
            (Some(0), 2, Ok(())),
            (Some(0), 20_000, Ok(())),
            (Some(5), 1000, Ok(())), // too few to mind
            (Some(5), 1001, Err(GateError::Grown { previous: 5, new: 1001, percent: 900 })),
            (Some(2000), 20_000, Ok(())),
            (Some(2000), 20_001, Err(GateError::Grown { previous: 2000, new: 20_001, percent: 900 })),
        ] {
            let load = Load { entries: new, ..Load::default() };
            let previous = previous.map(Previous::of);
            assert_eq!(gate(&config, previous, load, false), want, "{previous:?} {new}");
            assert_eq!(gate(&config, previous, load, true).is_ok(), new > 0, "forced: {previous:?} {new}");
        }
    }

    #[test]
    fn bounds_may_be_off_or_strict() {
        let off = GateConfig { shrink_max_percent: 100, refused_max_percent: 100, ..GateConfig::default() };
        let strict = GateConfig {
            shrink_max_percent: 0,
            growth_max_percent: 0,
            refused_max_percent: 0,
            ..GateConfig::default()
        };
        let load = |entries, refused| Load { entries, lines: entries + refused, refused, ..Load::default() };
        assert_eq!(gate(&off, Some(Previous::of(u64::MAX / 200)), load(1, 1_000_000), false), Ok(()));
        assert_eq!(gate(&strict, Some(Previous::of(2000)), load(2000, 0), false), Ok(()));
        assert_eq!(
            gate(&strict, Some(Previous::of(2000)), load(1999, 0), false).map_err(|error| error.rule()),
            Err(Rule::Shrunk)
        );
        assert_eq!(
            gate(&strict, Some(Previous::of(2000)), load(2001, 0), false).map_err(|error| error.rule()),
            Err(Rule::Grown)
        );
        assert_eq!(
            gate(&strict, None, load(99, 1), false),
            Err(GateError::RefusedLines { lines: 100, refused: 1, percent: 0 })
        );
        assert_eq!(gate(&GateConfig::default(), None, load(5, 95), false), Ok(()));
        assert_eq!(
            gate(&GateConfig::default(), None, load(4, 96), false).map_err(|error| error.rule()),
            Err(Rule::RefusedLines)
        );
    }

    #[test]
    fn what_has_ended_is_not_missed() {
        let config = GateConfig::default();
        for (unexpired, new, want) in [
            (5000, 2499, Some(Rule::Shrunk)),
            (5000, 2500, None),
            (100, 50, None),
            (100, 49, Some(Rule::Shrunk)),
            (0, 1, None),
            (0, 50_000, None),
            (0, 50_001, Some(Rule::Grown)),
        ] {
            let load = Load { entries: new, ..Load::default() };
            let previous = Some(Previous { entries: 5000, unexpired });
            assert_eq!(gate(&config, previous, load, false).err().map(|error| error.rule()), want, "{unexpired} {new}");
        }
    }

    #[test]
    fn what_must_not_be_sunk_cannot_be_forced() {
        for force in [false, true] {
            let load = Load { entries: 5, canaries: 1, ..Load::default() };
            assert_eq!(gate(&GateConfig::default(), None, load, force), Err(GateError::Canary(1)));
            let load = Load { entries: 5, protected: 2, ..Load::default() };
            assert_eq!(gate(&GateConfig::default(), None, load, force), Err(GateError::Protected(2)));
            let load = Load { entries: 5, suffixes: 3, ..Load::default() };
            assert_eq!(gate(&GateConfig::default(), None, load, force), Err(GateError::Suffix(3)));
        }
    }
}
