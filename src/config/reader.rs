//! A TOML document read key by key: a value that does not fit is noted as a [`Fault`] with its line and reading goes on; what nobody
//! asked for is an unknown key.
//!
//! Nothing here knows what any key means. Cost: one parse, then a map lookup a key.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fmt::Display;
use std::ops::{Range, RangeInclusive};
use std::path::{Path, PathBuf};

use serde::de::{DeserializeOwned, IntoDeserializer};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::fault::{Fault, Faults, Problem};

/// How many characters of a wrong value are shown.
const SHOWN_CHARACTERS_MAX: usize = 60;
/// How alike (Jaro-Winkler, 0 to 1) an unknown key and a known one must be for a suggestion; clap, for the same end, takes 0.7.
const SUGGESTION_LIKENESS_MIN: f64 = 0.7;

/// What is shared by all sections of one document.
pub(super) struct Document<'t> {
    /// The file, for faults.
    file: PathBuf,
    /// The whole text; spans point into it.
    text: &'t str,
    /// Where each line starts in `text`, ascending, the first at 0.
    line_starts: Vec<usize>,
    /// What was found wrong so far.
    faults: RefCell<Vec<Fault>>,
    /// Every key that was asked for, dotted, places in lists left out: what the room knows.
    asked: RefCell<BTreeSet<String>>,
}

impl<'t> Document<'t> {
    /// A document without faults yet.
    pub(super) fn new(text: &'t str, file: &Path) -> Self {
        let line_starts = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
        Self { file: file.to_owned(), text, line_starts, faults: RefCell::default(), asked: RefCell::default() }
    }

    /// The top of the document; empty, and its faults noted, if it is not TOML.
    pub(super) fn parse(&self) -> Section<'_, 't> {
        let (table, errors) = DeTable::parse_recoverable(self.text);
        let mut lines = BTreeSet::new();
        for error in &errors {
            let span = error.span().unwrap_or_default();
            // One slip often reads as several errors; the first of a line tells.
            if lines.insert(self.line(&span)) {
                self.fault(&span, String::new(), Problem::Syntax(error.message().to_owned()));
            }
        }
        let table = if errors.is_empty() { table.into_inner() } else { DeTable::new() };
        let (path, general) = (String::new(), String::new());
        Section { document: self, path, general, span: 0..0, table, known: Vec::new() }
    }

    /// The line that `span` starts on, from 1.
    fn line(&self, span: &Range<usize>) -> usize {
        self.line_starts.partition_point(|&start| start <= span.start)
    }

    /// Notes a fault.
    fn fault(&self, span: &Range<usize>, key: String, problem: Problem) {
        self.faults.borrow_mut().push(Fault { file: self.file.clone(), line: self.line(span), key, problem });
    }

    /// The text at `span`, cut short and on one line.
    fn shown(&self, span: &Range<usize>) -> String {
        let text = self.text.get(span.clone()).unwrap_or_default();
        let mut shown: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        if let Some((cut, _)) = shown.char_indices().nth(SHOWN_CHARACTERS_MAX) {
            shown.truncate(cut);
            shown.push_str("...");
        }
        shown
    }

    /// What was found wrong, if anything.
    pub(super) fn finish(self) -> Result<BTreeSet<String>, Faults> {
        let faults = self.faults.into_inner();
        if faults.is_empty() { Ok(self.asked.into_inner()) } else { Err(Faults::new(faults)) }
    }
}

/// A value with the place it stands in, for faults found later.
#[derive(Debug, Clone)]
pub(super) struct Placed<T> {
    /// The value.
    pub(super) value: T,
    /// Its key, dotted.
    key: String,
    /// Where it stands.
    span: Range<usize>,
}

impl<T> Placed<T> {
    /// What `change` makes of the value, in its place.
    pub(super) fn map<U>(self, change: impl FnOnce(T) -> U) -> Placed<U> {
        Placed { value: change(self.value), key: self.key, span: self.span }
    }
}

/// One table of a document, emptied as it is read.
pub(super) struct Section<'d, 't> {
    /// The document.
    document: &'d Document<'t>,
    /// Its key, dotted, with places in lists: `feed[2]`; empty for the top.
    path: String,
    /// Its key without places: `feed`.
    general: String,
    /// Where it stands; its header's line is the first.
    span: Range<usize>,
    /// What nobody has asked for yet.
    table: DeTable<'t>,
    /// What was asked for: the keys a suggestion is chosen from.
    known: Vec<&'static str>,
}

/// `path.key`, or `key` at the top.
fn dotted(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

impl<'d, 't> Section<'d, 't> {
    /// Takes a key's value, if it is there.
    fn take(&mut self, key: &'static str) -> Option<Placed<DeValue<'t>>> {
        self.known.push(key);
        self.document.asked.borrow_mut().insert(dotted(&self.general, key));
        let value = self.table.remove(key)?;
        let span = value.span();
        Some(Placed { value: value.into_inner(), key: dotted(&self.path, key), span })
    }

    /// Takes a value as serde reads it; `None` if it is absent, or wrong and noted.
    pub(super) fn value<T: DeserializeOwned>(&mut self, key: &'static str, expected: &str) -> Option<Placed<T>> {
        let Placed { value, key, span } = self.take(key)?;
        match T::deserialize(Spanned::new(span.clone(), value).into_deserializer()) {
            Ok(value) => Some(Placed { value, key, span }),
            Err(_) => {
                self.wrong(&key, &span, expected);
                None
            }
        }
    }

    /// Takes a whole number within `range`.
    pub(super) fn number<T>(&mut self, key: &'static str, range: &RangeInclusive<T>) -> Option<Placed<T>>
    where
        T: TryFrom<i64> + PartialOrd + Display,
    {
        let expected = format!("a whole number from {} to {}", range.start(), range.end());
        let Placed { value, key, span } = self.value::<i64>(key, &expected)?;
        match T::try_from(value).ok().filter(|value| range.contains(value)) {
            Some(value) => Some(Placed { value, key, span }),
            None => {
                self.wrong(&key, &span, &expected);
                None
            }
        }
    }

    /// Takes a string that `parse` understands.
    pub(super) fn text<T>(
        &mut self,
        key: &'static str,
        expected: &str,
        parse: impl Fn(&str) -> Option<T>,
    ) -> Option<Placed<T>> {
        let Placed { value, key, span } = self.take(key)?;
        self.parsed(&value, key, span, expected, parse)
    }

    /// Takes a list of `count` strings that `parse` understands; the wrong ones are noted, each on its own line, and left out.
    pub(super) fn list<T>(
        &mut self,
        key: &'static str,
        expected: &str,
        count: RangeInclusive<usize>,
        parse: impl Fn(&str) -> Option<T>,
    ) -> Option<Placed<Vec<Placed<T>>>> {
        let Placed { value, key, span } = self.take(key)?;
        let DeValue::Array(items) = value else {
            self.wrong(&key, &span, &format!("a list, each item {expected}"));
            return None;
        };
        if !count.contains(&items.len()) {
            self.wrong(&key, &span, &format!("a list of {} to {} items", count.start(), count.end()));
            return None;
        }
        let mut value = Vec::with_capacity(items.len());
        for (place, item) in items.into_iter().enumerate() {
            let (span, key) = (item.span(), format!("{key}[{place}]"));
            value.extend(self.parsed(item.get_ref(), key, span, expected, &parse));
        }
        Some(Placed { value, key, span })
    }

    /// A string that `parse` understands, or a fault.
    fn parsed<T>(
        &self,
        value: &DeValue<'_>,
        key: String,
        span: Range<usize>,
        expected: &str,
        parse: impl Fn(&str) -> Option<T>,
    ) -> Option<Placed<T>> {
        match value.as_str().and_then(parse) {
            Some(value) => Some(Placed { value, key, span }),
            None => {
                self.wrong(&key, &span, expected);
                None
            }
        }
    }

    /// Reads a table, whole: what `read` leaves is unknown. An absent table is as good as an empty one.
    pub(super) fn section<T>(&mut self, key: &'static str, read: impl FnOnce(&mut Self) -> T) -> T {
        let (path, general) = (dotted(&self.path, key), dotted(&self.general, key));
        let (span, table) = match self.take(key) {
            Some(Placed { value: DeValue::Table(table), span, .. }) => (span, table),
            Some(Placed { key, span, .. }) => {
                self.wrong(&key, &span, &format!("a table, [{key}]"));
                (span, DeTable::new())
            }
            None => (0..0, DeTable::new()),
        };
        let mut section = Self { document: self.document, path, general, span, table, known: Vec::new() };
        let result = read(&mut section);
        section.finish();
        result
    }

    /// Reads a list of at most `most` tables, each whole.
    pub(super) fn sections(&mut self, key: &'static str, most: usize, mut read: impl FnMut(&mut Self)) {
        let general = dotted(&self.general, key);
        let expected = format!("at most {most} tables, each [[{key}]]");
        let Some(Placed { value, key, span }) = self.take(key) else { return };
        let items = match value {
            DeValue::Array(items) if items.len() <= most => items,
            _ => return self.wrong(&key, &span, &expected),
        };
        for (place, item) in items.into_iter().enumerate() {
            let (span, path) = (item.span(), format!("{key}[{place}]"));
            let DeValue::Table(table) = item.into_inner() else {
                self.wrong(&path, &span, &expected);
                continue;
            };
            let general = general.clone();
            let mut section = Self { document: self.document, path, general, span, table, known: Vec::new() };
            read(&mut section);
            section.finish();
        }
    }

    /// Notes that a value is not what its key takes.
    fn wrong(&self, key: &str, span: &Range<usize>, expected: &str) {
        let got = self.document.shown(span);
        self.document.fault(span, key.to_owned(), Problem::Value { expected: expected.to_owned(), got });
    }

    /// Notes that a value, fine in itself, does not go with the rest.
    pub(super) fn refuse<T>(&self, placed: &Placed<T>, expected: &str) {
        self.wrong(&placed.key, &placed.span, expected);
    }

    /// As [`Self::refuse`], with what is made of the text that stands there.
    pub(super) fn refuse_as<T>(&self, placed: &Placed<T>, problem: impl FnOnce(String) -> Problem) {
        let got = self.document.shown(&placed.span);
        self.document.fault(&placed.span, placed.key.clone(), problem(got));
    }

    /// Notes that a key is missing; `None`, to be returned.
    pub(super) fn missing<T>(&self, key: &'static str, expected: &str) -> Option<T> {
        self.note(key, Problem::Missing { expected: expected.to_owned() });
        None
    }

    /// The line that it starts on, from 1.
    pub(super) fn line(&self) -> usize {
        self.document.line(&self.span)
    }

    /// Notes what is wrong with a key that is not there.
    pub(super) fn note(&self, key: &'static str, problem: Problem) {
        self.document.fault(&self.span, dotted(&self.path, key), problem);
    }

    /// Notes a key that once was and is no more, with what there is in its place.
    pub(super) fn replaced(&mut self, key: &str, by: &'static str) {
        if let Some((key, _)) = self.table.remove_entry(key) {
            let dotted = dotted(&self.path, key.get_ref());
            self.document.fault(&key.span(), dotted, Problem::Replaced { by });
        }
    }

    /// Whether the key is there and not taken yet.
    pub(super) fn has(&self, key: &'static str) -> bool {
        self.table.contains_key(key)
    }

    /// Notes whatever is left as unknown.
    pub(super) fn finish(self) {
        for (key, _) in &self.table {
            let got = key.get_ref();
            let likeness = |known: &str| strsim::jaro_winkler(known, got);
            let suggestion = self.known.iter().copied().max_by(|a, b| likeness(a).total_cmp(&likeness(b)));
            let suggestion = suggestion.filter(|known| likeness(known) >= SUGGESTION_LIKENESS_MIN);
            let got = self.document.shown(&key.span());
            let dotted = dotted(&self.path, &got);
            self.document.fault(&key.span(), dotted, Problem::Unknown { got, suggestion });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_counted_from_one() {
        let document = Document::new("a\nbc\n\nd", Path::new("f"));
        for (at, want) in [(0, 1), (1, 1), (2, 2), (4, 2), (5, 3), (6, 4), (7, 4)] {
            assert_eq!(document.line(&(at..at)), want, "octet {at}");
        }
    }

    #[test]
    fn what_is_shown_is_short_and_on_one_line() {
        let text = format!("{}\n\t{}", "é".repeat(10), "x".repeat(100));
        let shown = Document::new(&text, Path::new("f")).shown(&(0..text.len()));
        assert_eq!(shown, format!("{}  {}...", "é".repeat(10), "x".repeat(48)));
    }

    #[test]
    fn what_was_asked_for_is_known() {
        let document = Document::new("a = 1\n[[f]]\nx = 1\n[s]\ny = 2", Path::new("f"));
        let mut top = document.parse();
        assert_eq!(top.number::<u8>("a", &(0..=9)).unwrap().value, 1);
        top.sections("f", 1, |section| assert_eq!(section.number::<u8>("x", &(0..=9)).unwrap().value, 1));
        top.section("s", |section| {
            assert!(section.has("y"));
            assert_eq!(section.value::<u64>("y", "a number").unwrap().value, 2);
        });
        top.finish();
        assert_eq!(document.finish().unwrap().into_iter().collect::<Vec<_>>(), ["a", "f", "f.x", "s", "s.y"]);
    }
}
