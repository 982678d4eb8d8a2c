//! [`Report`]: how one load's lines fell. Counts and line numbers, never a line's text.
//!
//! Of STIX and MISP a line is an object: what a bundle's `objects` hold, an attribute. Each physical line falls in exactly one bucket. A line of which some names were taken and others refused is used or a duplicate, and
//! the names refused on it are counted in `names_refused`. A record over several lines: a header's lines are all header, a refused
//! record's all refused; of one that was taken the first line is used or duplicate, and the others count as comment, for they add nothing
//! of their own. So too of a record that sorting finds to be refused beside an earlier one of its owner: the first line counts as refused.

use super::{Format, Load, Reason};

/// How many refused lines of one reason are kept by number, for an operator to look at.
pub const REFUSED_SHOWN_MAX: u64 = 5;
/// How many reasons, and how many line numbers of each, are told in a sentence.
const REASONS_TOLD_MAX: usize = 5;
/// As of [`REASONS_TOLD_MAX`].
const LINES_TOLD_MAX: usize = 3;

/// How a load's lines fell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// How the text was read; never `Auto`.
    pub format: Format,
    /// Physical lines, a last one without a newline included; of JSON formats, objects.
    pub lines: u64,
    /// Lines that added an entry, or changed one.
    pub used: u64,
    /// Lines whose every entry was there already.
    pub duplicate: u64,
    /// Comments and blank lines.
    pub comment: u64,
    /// Lines that serve the format: `[Adblock Plus]`, `$TTL`, SOA, NS, a STIX identity, a MISP comment.
    pub header: u64,
    /// Lines refused, by `Reason as usize`.
    pub refused: [u64; Reason::COUNT],
    /// Names refused on lines of which another name was taken.
    pub names_refused: u64,
    /// Distinct names and networks.
    pub entries: u64,
    /// Entries taken that are public suffixes of the private section, such as a hosting provider's domain: worth a warning.
    pub private_suffixes: u64,
    /// When the first of the indicators that count from a later time on, and are asked for, begins to: seconds since 1970.
    pub next_valid_from: Option<u64>,
    /// The first refused lines by number, from 1, at most [`REFUSED_SHOWN_MAX`] of one reason.
    pub refused_at: Vec<(u64, Reason)>,
}

impl Report {
    /// A report of nothing read.
    #[must_use]
    pub(super) const fn new(format: Format) -> Self {
        Self {
            format,
            lines: 0,
            used: 0,
            duplicate: 0,
            comment: 0,
            header: 0,
            refused: [0; Reason::COUNT],
            names_refused: 0,
            entries: 0,
            private_suffixes: 0,
            next_valid_from: None,
            refused_at: Vec::new(),
        }
    }

    /// What is counted: lines, or objects.
    #[must_use]
    pub const fn unit(&self) -> &'static str {
        match self.format {
            Format::Stix | Format::Misp => "objects",
            _ => "lines",
        }
    }

    /// Lines refused, for whatever reason.
    #[must_use]
    pub fn refused_total(&self) -> u64 {
        self.refused.iter().sum()
    }

    /// Lines refused by reason, reasons that did not occur left out.
    pub fn refusals(&self) -> impl Iterator<Item = (Reason, u64)> + '_ {
        Reason::ALL.into_iter().zip(self.refused).filter(|&(_, count)| count > 0)
    }

    /// The most frequent reasons, with the first line numbers of each.
    #[must_use]
    pub fn refusals_told(&self) -> String {
        let mut reasons: Vec<_> = self.refusals().collect();
        reasons.sort_by_key(|&(_, count)| std::cmp::Reverse(count));
        let told = reasons.iter().take(REASONS_TOLD_MAX);
        let mut told: Vec<_> = told.map(|&(reason, count)| self.refusal_told(reason, count)).collect();
        let more = reasons.len().saturating_sub(REASONS_TOLD_MAX);
        told.extend((more > 0).then(|| format!("and {more} more")));
        told.join(", ")
    }

    /// One reason, its count, and its first line numbers, as far as they are known.
    fn refusal_told(&self, reason: Reason, count: u64) -> String {
        let mut lines: Vec<_> = self.refused_at.iter().filter(|(_, why)| *why == reason).collect();
        // A record over several lines that sorting finds to be refused may come late.
        lines.sort_unstable();
        let mut lines: Vec<_> = lines.iter().take(LINES_TOLD_MAX).map(|(line, _)| line.to_string()).collect();
        let (unit, shown) = (self.unit().trim_end_matches('s'), lines.len() as u64);
        let unit = if count == 1 { unit.to_owned() } else { format!("{unit}s") };
        if shown == 0 {
            return format!("{} {count}", reason.label());
        }
        lines.extend((shown < count).then(|| "...".to_owned()));
        format!("{} {count} ({unit} {})", reason.label(), lines.join(", "))
    }

    /// What the gate weighs of it; `canaries` of those that it would sink. What the terms keep out is neither for the feed nor against it.
    #[must_use]
    pub fn weigh(&self, canaries: u64) -> Load {
        let refused = self.refusals().filter(|(reason, _)| !reason.is_by_terms()).map(|(_, lines)| lines).sum();
        let lines = self.used + self.duplicate + refused;
        Load { entries: self.entries, lines, refused, canaries, ..Load::default() }
    }

    /// Whether each line is in exactly one bucket.
    #[must_use]
    pub fn balanced(&self) -> bool {
        self.used + self.duplicate + self.comment + self.header + self.refused_total() == self.lines
    }

    /// Counts refused lines of which the numbers are not known: what they do not go with may stand anywhere, so it shows at the end.
    pub(super) fn refuse_unnumbered(&mut self, reason: Reason, lines: u64) {
        if let Some(count) = self.refused.get_mut(reason as usize) {
            *count += lines;
        }
    }

    /// Counts `lines` refused lines, the first of them at `line`.
    pub(super) fn refuse(&mut self, reason: Reason, line: u64, lines: u64) {
        let before = self.refused.get(reason as usize).copied().unwrap_or_default();
        self.refuse_unnumbered(reason, lines);
        if before < REFUSED_SHOWN_MAX {
            self.refused_at.push((line, reason));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_lines_of_each_reason_are_told_however_many_came_before() {
        let mut report = Report::new(Format::Plain);
        (1..=40).for_each(|line| report.refuse(Reason::Address, line, 1));
        report.refuse(Reason::Path, 41, 1);
        report.refuse_unnumbered(Reason::Conflict, 2);
        assert_eq!(report.refusals_told(), "address 40 (lines 1, 2, 3, ...), conflict 2, path 1 (line 41)");
        for reason in [Reason::Url, Reason::Port, Reason::Idna] {
            report.refuse(reason, 50, 1);
        }
        assert!(report.refusals_told().ends_with(", and 1 more"), "{}", report.refusals_told());
        assert_eq!(report.refused_at.len(), 9);
    }

    #[test]
    fn the_gate_weighs_bad_lines_and_not_the_terms() {
        let mut report = Report { used: 3, duplicate: 1, entries: 3, ..Report::new(Format::Stix) };
        for reason in Reason::ALL {
            report.refuse(reason, 1, 10);
        }
        let terms = Reason::ALL.into_iter().filter(|reason| reason.is_by_terms()).count() as u64;
        let refused = report.refused_total() - 10 * terms;
        let want = Load { entries: 3, lines: 4 + refused, refused, canaries: 2, ..Load::default() };
        assert_eq!((terms, report.weigh(2)), (7, want));
    }
}
