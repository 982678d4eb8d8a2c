//! Which of an adblock list's rules stand: `$badfilter`, `$important`, exceptions and `$denyallow` against each other, in any order.
//!
//! Of all rules that match a name the highest decides, wherever above the name it stands: an important exception, an important block, an
//! exception, a block (as AdGuard's urlfilter ranks them). The index knows only that the deepest entry decides, so each entry is given here
//! what the rules come to at its name and below it; `Cancel` where that is nothing. A rule that `$badfilter` disables is not counted in.
//!
//! Costs nothing for a list of plain blocks; else one pass over the sorted entries, and a second copy of them while it lasts.

use std::collections::BTreeMap;

use super::Reason;
use crate::feed::Report;
use crate::feed::door::Door;
use crate::index::{Sorted, Until, Verb, Verbs};

/// The most rules of a list that are not plain blocks: a thousand times those of any list (797 exceptions in 224).
const RULES_MAX: usize = 1 << 20;

/// The most rules with holes: each entry below them is held against all of them (14 in 224 lists).
const HOLED_RULES_MAX: usize = 1024;

/// What of a name a rule matches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Scope {
    /// The name itself.
    at: bool,
    /// What is below it.
    below: bool,
}

impl Scope {
    /// The name alone.
    pub(super) const EXACT: Self = Self { at: true, below: false };
    /// What is below it alone.
    pub(super) const BELOW: Self = Self { at: false, below: true };
    /// Both.
    pub(super) const SUBTREE: Self = Self { at: true, below: true };

    /// That of a plain block.
    const fn of(verbs: Verbs) -> Self {
        Self { at: verbs.at.is_some(), below: verbs.below.is_some() }
    }
}

/// A rule that is not a plain block, or one to disable.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Rule {
    /// The name's key.
    pub(super) key: Box<[u8]>,
    /// What of the name it matches.
    pub(super) scope: Scope,
    /// `@@`.
    pub(super) exception: bool,
    /// `$important`.
    pub(super) important: bool,
    /// Keys of names that it does not match, nor what is below them (`$denyallow`); sorted.
    pub(super) holes: Vec<Box<[u8]>>,
}

impl Rule {
    /// Whether it is a block without more.
    pub(super) const fn is_plain(&self) -> bool {
        !self.exception && !self.important && self.holes.is_empty()
    }

    /// Its rank, as a bit of [`State::ranks`].
    const fn rank(&self) -> u8 {
        match (self.important, self.exception) {
            (false, false) => BLOCK,
            (false, true) => EXCEPTION,
            (true, false) => IMPORTANT_BLOCK,
            (true, true) => IMPORTANT_EXCEPTION,
        }
    }
}

/// A block.
const BLOCK: u8 = 1;
/// An exception.
const EXCEPTION: u8 = 2;
/// A block with `$important`.
const IMPORTANT_BLOCK: u8 = 4;
/// An exception with `$important`.
const IMPORTANT_EXCEPTION: u8 = 8;

/// The rules of one list that are not plain blocks.
#[derive(Default)]
pub(super) struct Overrules {
    /// Those that say something of names.
    rules: Vec<Rule>,
    /// How many of them have holes.
    holed: usize,
    /// Those that `$badfilter` disables; sorted once all are read.
    disabled: Vec<Rule>,
}

/// What stands at one key beside plain blocks.
#[derive(Default)]
struct Point {
    /// Rules of this name, by number.
    rules: Vec<usize>,
    /// Whether a rule of it is disabled that matches the name.
    touched_at: bool,
    /// Whether one is that matches what is below.
    touched_below: bool,
    /// Rules that have a hole here, by number, ascending.
    holes: Vec<usize>,
    /// What plain blocks are disabled, by their scopes.
    off: Vec<Scope>,
}

/// The rules that match a name.
#[derive(Default, Clone)]
struct State {
    /// The ranks of those without holes.
    ranks: u8,
    /// Those with holes, by number.
    holed: Vec<usize>,
}

impl Overrules {
    /// Takes a rule.
    ///
    /// # Errors
    /// [`Reason::FeedFull`].
    pub(super) fn add(&mut self, rule: Rule) -> Result<(), Reason> {
        self.holed += usize::from(!rule.holes.is_empty());
        if self.holed > HOLED_RULES_MAX {
            return Err(Reason::FeedFull);
        }
        Self::push(&mut self.rules, rule)
    }

    /// Disables a rule, whether it was read already or comes later.
    ///
    /// # Errors
    /// [`Reason::FeedFull`].
    pub(super) fn disable(&mut self, rule: Rule) -> Result<(), Reason> {
        Self::push(&mut self.disabled, rule)
    }

    /// Takes one more, if there is room.
    fn push(rules: &mut Vec<Rule>, rule: Rule) -> Result<(), Reason> {
        if rules.len() >= RULES_MAX {
            return Err(Reason::FeedFull);
        }
        rules.push(rule);
        Ok(())
    }

    /// Gives each entry what the rules come to; `sorted` are the plain blocks, and what they become comes in by `door`. The rules' own lines
    /// are counted.
    pub(super) fn settle(mut self, sorted: Sorted, mut report: Report, door: Door<'_>) -> (Sorted, Report) {
        let lines = self.rules.len();
        self.rules.sort_unstable();
        self.rules.dedup();
        self.disabled.sort_unstable();
        report.used += self.rules.len() as u64;
        report.duplicate += (lines - self.rules.len()) as u64;
        if self.rules.is_empty() && self.disabled.is_empty() {
            return (sorted, report);
        }
        let (settled, lost) = self.apply(&sorted, door);
        report.names_refused += lost;
        report.entries = settled.len() as u64;
        (settled, report)
    }

    /// The entries that the rules come to, and how many were not let in.
    fn apply(&self, sorted: &Sorted, mut settled: Door<'_>) -> (Sorted, u64) {
        let points = self.points();
        let mut plain = sorted.iter().peekable();
        let mut special = points.iter().peekable();
        let (mut above, mut lost) = (Vec::<(&[u8], State)>::new(), 0);
        loop {
            let key = match (plain.peek(), special.peek()) {
                (None, None) => break,
                (Some((key, _)), None) => *key,
                (None, Some((key, _))) => **key,
                (Some((one, _)), Some((two, _))) => (*one).min(**two),
            };
            let block = plain.next_if(|(one, _)| *one == key).map(|(_, verbs)| verbs);
            let point = special.next_if(|(one, _)| **one == key).map(|(_, point)| point);
            // A key begins with that of what it is below.
            while above.last().is_some_and(|(parent, _)| !key.starts_with(parent)) {
                above.pop();
            }
            let inherited = above.last().map(|(_, state)| state.clone()).unwrap_or_default();
            let (verbs, below) = self.judge(inherited, block, point);
            if (verbs.at.is_some() || verbs.below.is_some()) && settled.admit(key, verbs, false).is_err() {
                lost += 1;
            }
            above.push((key, below));
        }
        (settled.finish().0, lost)
    }

    /// What stands where, beside plain blocks.
    fn points(&self) -> BTreeMap<&[u8], Point> {
        let mut points = BTreeMap::<&[u8], Point>::new();
        for (number, rule) in self.rules.iter().enumerate() {
            let point = points.entry(&rule.key).or_default();
            if self.disabled.binary_search(rule).is_ok() {
                point.touched_at |= rule.scope.at;
                point.touched_below |= rule.scope.below;
                continue;
            }
            point.rules.push(number);
            for hole in &rule.holes {
                points.entry(hole).or_default().holes.push(number);
            }
        }
        for rule in self.disabled.iter().filter(|rule| rule.is_plain()) {
            points.entry(&rule.key).or_default().off.push(rule.scope);
        }
        points
    }

    /// What the rules come to at one key, and which of them match what is below it.
    fn judge(&self, inherited: State, block: Option<Verbs>, point: Option<&Point>) -> (Verbs, State) {
        let none = Point::default();
        let point = point.unwrap_or(&none);
        let (mut at, mut below) = (inherited.clone(), inherited);
        let (mut says_at, mut says_below) = (point.touched_at, point.touched_below);
        if let Some(scope) = block.map(Scope::of) {
            says_at |= scope.at;
            says_below |= scope.below;
            let rank = if point.off.contains(&scope) { 0 } else { BLOCK };
            at.ranks |= if scope.at { rank } else { 0 };
            below.ranks |= if scope.below { rank } else { 0 };
        }
        for (&number, rule) in point.rules.iter().filter_map(|number| Some((number, self.rules.get(*number)?))) {
            if rule.scope.at {
                at.add(number, rule);
            }
            if rule.scope.below {
                below.add(number, rule);
            }
            says_at |= rule.scope.at;
            says_below |= rule.scope.below;
        }
        for (state, says) in [(&mut at, &mut says_at), (&mut below, &mut says_below)] {
            let before = self.verdict(state);
            state.holed.retain(|number| point.holes.binary_search(number).is_err());
            *says |= self.verdict(state) != before;
        }
        let verb = |says, state| if says { Some(self.verdict(state).unwrap_or(Verb::Cancel)) } else { None };
        (Verbs { at: verb(says_at, &at), below: verb(says_below, &below), until: Until::NEVER }, below)
    }

    /// What the rules that match come to; `None`: there is none.
    fn verdict(&self, state: &State) -> Option<Verb> {
        let holed = state.holed.iter().filter_map(|&number| self.rules.get(number));
        match holed.fold(state.ranks, |ranks, rule| ranks | rule.rank()) {
            0 => None,
            ranks if ranks >= IMPORTANT_EXCEPTION => Some(Verb::Cancel),
            ranks if ranks >= IMPORTANT_BLOCK => Some(Verb::Listed),
            ranks if ranks >= EXCEPTION => Some(Verb::Cancel),
            _ => Some(Verb::Listed),
        }
    }
}

impl State {
    /// A rule matches too.
    fn add(&mut self, number: usize, rule: &Rule) {
        if rule.holes.is_empty() {
            self.ranks |= rule.rank();
        } else {
            self.holed.push(number);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::TextFormat;
    use super::super::read_text;
    use super::super::tests::entries;
    use crate::feed::Terms;

    #[test]
    fn rules_against_each_other_in_any_order() {
        for (rules, want) in [
            // An exception stands over blocks at its name and below, unless they are important.
            (&["||a.test^", "@@||a.test^"][..], &["a.test Cancel"][..]),
            (&["||a.test^", "@@||b.a.test^"], &["a.test", "b.a.test Cancel"]),
            (&["@@||a.test^", "||b.a.test^"], &["a.test Cancel", "b.a.test Cancel"]),
            (&["@@||a.test^", "||b.a.test^$important"], &["a.test Cancel", "b.a.test"]),
            (&["||a.test^$important", "@@||a.test^"], &["a.test"]),
            (&["||a.test^$important", "@@||b.a.test^"], &["a.test", "b.a.test"]),
            (&["||a.test^$important", "@@||a.test^$important"], &["a.test Cancel"]),
            (
                &["||a.test^$important", "@@||b.a.test^$important", "||c.b.a.test^$important"],
                &["a.test", "b.a.test Cancel", "c.b.a.test Cancel"],
            ),
            (&["||a.test^", "@@||*.a.test^"], &["=a.test *. Cancel"]),
            (&["||*.a.test^$important", "@@||a.test^"], &["=a.test Cancel *."]),
            (&["0.0.0.0 a.test b.test", "@@||a.test^"], &["a.test Cancel", "b.test"]),
            // A rule of a host alone says nothing of what is below.
            (&["||a.test^", "@@|b.a.test|"], &["a.test", "=b.a.test Cancel"]),
            (&["||a.test^", "@@|a.test^"], &["=a.test Cancel *."]),
            (&["|a.test^", "@@||a.test^"], &["a.test Cancel"]),
            (&["|a.test|$important", "@@||a.test^"], &["=a.test *. Cancel"]),
            (&["|a.test^", "||b.a.test^"], &["=a.test", "b.a.test"]),
            (&["|a.test^", "|a.test^$badfilter"], &["=a.test Cancel"]),
            (&["|a.test^", "||a.test^$badfilter"], &["=a.test"]),
            (&["||a.test^", "|a.test^$badfilter"], &["a.test"]),
            // One that is disabled says nothing, and no other is.
            (&["||a.test^", "||a.test^$badfilter"], &["a.test Cancel"]),
            (&["||a.test^$badfilter", "||b.test^"], &["b.test"]),
            (&["||a.test^", "||b.a.test^", "||b.a.test^$badfilter"], &["a.test", "b.a.test"]),
            (&["||a.test^", "||b.a.test^", "||a.test^$badfilter"], &["a.test Cancel", "b.a.test"]),
            (&["||a.test^", "||b.a.test^$badfilter"], &["a.test"]),
            (&["||a.test^", "||*.a.test^$badfilter"], &["a.test"]),
            (&["||a.test^", "||a.test^$badfilter,important"], &["a.test"]),
            (&["||a.test^$important", "||a.test^$badfilter", "@@||a.test^"], &["a.test"]),
            (&["||a.test^$important", "||a.test^$important,badfilter", "@@||a.test^"], &["a.test Cancel"]),
            (&["||a.test^", "@@||a.test^", "@@||a.test^$badfilter"], &["a.test"]),
            (&["@@||a.test^", "@@||a.test^$badfilter"], &["a.test Cancel"]),
            (&["||a.test^$all", "||a.test^$badfilter"], &["a.test Cancel"]),
            (&["||a.test^", "||a.test^$popup,badfilter"], &["a.test"]),
            // What a rule leaves out is left out of that rule alone.
            (&["||a.test^$denyallow=b.a.test|c.a.test"], &["a.test", "b.a.test Cancel", "c.a.test Cancel"]),
            (&["||a.test^$denyallow=b.a.test", "||b.a.test^"], &["a.test", "b.a.test"]),
            (&["||a.test^$denyallow=b.a.test", "||c.b.a.test^"], &["a.test", "b.a.test Cancel", "c.b.a.test"]),
            (&["||a.test^$denyallow=b.a.test", "||a.test^"], &["a.test"]),
            (&["||a.test^$denyallow=b.a.test", "||a.test^$denyallow=c.a.test"], &["a.test"]),
            (&["||a.test^$denyallow=b.test", "||b.test^"], &["a.test", "b.test"]),
            (&["||a.test^$denyallow=a.test"], &["a.test Cancel"]),
            (&["||a.test^$important,denyallow=b.a.test", "@@||a.test^"], &["a.test", "b.a.test Cancel"]),
            (&["||a.test^$denyallow=b.a.test", "||a.test^$badfilter"], &["a.test", "b.a.test Cancel"]),
            (
                &["||a.test^$denyallow=c.a.test|b.a.test", "||a.test^$denyallow=b.a.test|c.a.test,badfilter"],
                &["a.test Cancel"],
            ),
        ] {
            let mut rules = rules.to_vec();
            for _ in 0..rules.len() {
                rules.rotate_left(1);
                for text in [rules.join("\n"), rules.iter().rev().copied().collect::<Vec<_>>().join("\n")] {
                    let (sorted, report) = read_text(text.as_bytes(), TextFormat::Adblock, &Terms::default()).unwrap();
                    let (mut found, mut want) = (entries(&sorted), want.to_vec());
                    found.sort_unstable();
                    want.sort_unstable();
                    assert_eq!(found, want, "{text:?}");
                    assert!(report.balanced() && report.refused_total() == 0, "{text:?}: {report:?}");
                    assert_eq!(report.entries, sorted.len() as u64);
                }
            }
        }
    }

    #[test]
    fn lines_are_counted_once() {
        let text = "||a.test^\n||a.test^\n@@||a.test^\n@@||a.test^\n||b.test^$important\n||a.test^$badfilter\n";
        let (_, report) = read_text(text.as_bytes(), TextFormat::Adblock, &Terms::default()).unwrap();
        assert_eq!((report.used, report.duplicate, report.header, report.entries), (3, 2, 1, 2));
        assert!(report.balanced());
    }
}
