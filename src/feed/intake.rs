//! [`Intake`]: takes a format's names and lines, and keeps the books.
//!
//! A format reads a line, calls [`Intake::take`] for each name on it, and says with a [`Bucket`] what the line was.

use super::door::Door;
use super::entry::{EntryKey, Standing};
use super::terms::IndicatorTerms;
use super::{Column, Format, Reason, Report, Terms};
use crate::index::{Network, Record, Side, Sorted, Until, Verb, Verbs};

/// What a line was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Bucket {
    /// A comment, or blank.
    Comment,
    /// Of use to the format alone.
    Header,
    /// At least one name of it was taken: used or duplicate, which shows at the end.
    Taken,
    /// Nothing of it was taken.
    Refused(Reason),
    /// A record goes on in the next line; the bucket comes with its last.
    Open,
}

/// What an entry asks for.
#[derive(Debug)]
pub(super) enum Says {
    /// This.
    Verb(Verb),
    /// That this record be answered, with all others of its owner.
    Record(Record),
}

/// One load's entries and books.
pub(super) struct Intake<'t> {
    /// What was taken.
    door: Door<'t>,
    /// The books; `used`, `duplicate` and `entries` are filled in at the end.
    report: Report,
    /// The feed's terms.
    terms: &'t Terms,
    /// Room for the name at hand.
    key: EntryKey,
    /// Names taken from the line or record at hand.
    taken: u64,
    /// Names refused on it.
    refused: u64,
    /// Lines of the record at hand, the one at hand not counted.
    open: u64,
}

impl<'t> Intake<'t> {
    /// Books of nothing read yet.
    pub(super) fn new(format: Format, terms: &'t Terms) -> Self {
        Self {
            door: Door::new(&terms.guard),
            report: Report::new(format),
            terms,
            key: EntryKey::new(),
            taken: 0,
            refused: 0,
            open: 0,
        }
    }

    /// Takes one name, without its final dot, or says why not.
    pub(super) fn take(&mut self, text: &[u8], verbs: Verbs) -> Result<(), Reason> {
        let taken = self.try_take(text, verbs);
        match taken {
            Ok(()) => self.taken += 1,
            Err(_) => self.refused += 1,
        }
        taken
    }

    /// The same, of what has a record perhaps; `place` says whether it is of the name or of what is below.
    pub(super) fn take_as(&mut self, text: &[u8], place: fn(Verb) -> Verbs, says: Says) -> Result<(), Reason> {
        if matches!(says, Says::Record(_)) {
            // The name first: records of what is refused would take up room.
            self.judge(text)?;
        }
        let verb = self.verb(says)?;
        self.take(text, place(verb))
    }

    /// What an entry asks for, its record put away.
    fn verb(&mut self, says: Says) -> Result<Verb, Reason> {
        match says {
            Says::Verb(verb) => Ok(verb),
            Says::Record(record) => self.door.record(record),
        }
    }

    /// [`take`](Self::take) without the books.
    fn try_take(&mut self, text: &[u8], verbs: Verbs) -> Result<(), Reason> {
        let standing = self.key.accept(text, self.terms.trust_suffixes)?;
        self.door.admit(self.key.as_bytes(), verbs, self.taken > 0)?;
        if standing == Standing::PrivateSuffix {
            self.report.private_suffixes += 1;
        }
        Ok(())
    }

    /// A name's key, for an entry that says `verbs` and comes once the format has read all: it is judged and counted as one that is taken now.
    pub(super) fn key(&mut self, text: &[u8], verbs: Verbs) -> Result<Box<[u8]>, Reason> {
        let standing = self.key.accept(text, self.terms.trust_suffixes)?;
        self.door.judge(self.key.as_bytes(), verbs)?;
        if standing == Standing::PrivateSuffix {
            self.report.private_suffixes += 1;
        }
        Ok(self.key.as_bytes().into())
    }

    /// The key of a name that is no entry, whatever suffix it is.
    pub(super) fn key_of_any(&mut self, text: &[u8]) -> Result<Box<[u8]>, Reason> {
        self.key.accept(text, true)?;
        Ok(self.key.as_bytes().into())
    }

    /// Whether a name would be taken.
    pub(super) fn judge(&mut self, text: &[u8]) -> Result<(), Reason> {
        self.key.accept(text, self.terms.trust_suffixes).map(|_| ())
    }

    /// Which column of a CSV feed holds its names, if the operator said.
    pub(super) const fn column(&self) -> Option<&Column> {
        self.terms.column.as_ref()
    }

    /// Whether the feed may list a TLD, a public suffix or a network however wide.
    pub(super) const fn trusts_suffixes(&self) -> bool {
        self.terms.trust_suffixes
    }

    /// What is asked of indicators.
    pub(super) const fn indicators(&self) -> &'t IndicatorTerms {
        &self.terms.indicators
    }

    /// Counts a name that was refused before it came to be taken.
    pub(super) const fn refuse_name(&mut self) {
        self.refused += 1;
    }

    /// Takes a network, which has been judged, until `until`.
    pub(super) fn take_network(
        &mut self,
        side: Side,
        network: Network,
        says: Says,
        until: Until,
    ) -> Result<(), Reason> {
        let verb = self.verb(says)?;
        self.door.admit_network(side, network, verb, until, self.taken > 0)?;
        self.taken += 1;
        Ok(())
    }

    /// Takes all that is below the root: everything there is.
    pub(super) fn take_root(&mut self, says: Says) -> Result<(), Reason> {
        let verb = self.verb(says)?;
        self.door.admit(&[], Verbs::below(verb), self.taken > 0)?;
        self.taken += 1;
        Ok(())
    }

    /// An indicator that is asked for counts from `secs` after 1970 on, which is still to come.
    pub(super) fn comes_at(&mut self, secs: u64) {
        self.report.next_valid_from = self.report.next_valid_from.into_iter().chain([secs]).min();
    }

    /// A door with the same guard, for entries that are only known once all is read.
    pub(super) fn later(&self) -> Door<'t> {
        self.door.beside()
    }

    /// Ends a physical line, or an object.
    pub(super) fn end_line(&mut self, bucket: Bucket) {
        self.report.lines += 1;
        if bucket == Bucket::Open {
            self.open += 1;
            return;
        }
        let lines = std::mem::take(&mut self.open) + 1;
        match bucket {
            // Its entries count for it, whatever the rest of the record is.
            Bucket::Refused(_) if self.taken > 0 => self.report.comment += lines - 1,
            Bucket::Comment => self.report.comment += lines,
            Bucket::Header => self.report.header += lines,
            Bucket::Taken => {
                self.report.comment += lines - 1;
                self.report.names_refused += self.refused;
            }
            Bucket::Refused(reason) => self.report.refuse(reason, self.report.lines + 1 - lines, lines),
            Bucket::Open => {}
        }
        (self.taken, self.refused) = (0, 0);
    }

    /// Sorts, and closes the books. A record still open is refused.
    pub(super) fn finish(mut self) -> (Sorted, Report) {
        if self.open > 0 {
            let lines = self.open;
            if self.taken > 0 {
                self.report.comment += lines - 1;
            } else {
                self.report.refuse(Reason::Syntax, self.report.lines + 1 - lines, lines);
            }
        }
        let (sorted, lines) = self.door.finish();
        self.report.used = lines.used;
        self.report.duplicate = lines.duplicate;
        self.report.refuse_unnumbered(Reason::Conflict, lines.conflict);
        self.report.refuse_unnumbered(Reason::DataTooLarge, lines.too_large);
        self.report.refuse_unnumbered(Reason::RecordSets, lines.too_many);
        self.report.entries = sorted.len() as u64;
        (sorted, self.report)
    }
}
