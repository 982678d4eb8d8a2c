//! What `check` prints: how every feed's lines fell, with sums, and what was refused, by reason and line number.
//!
//! Never shows a line of a feed: an operator looks it up by its number.

use std::io::{self, Write};

use super::table::{Cell, Table, plain, thousands};
use crate::feed::Format;

/// How one feed's lines fell.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FeedLines {
    /// The operator's name for it.
    pub name: String,
    /// How it was read.
    pub format: &'static str,
    /// Physical lines; of STIX and MISP, objects.
    pub lines: u64,
    /// Lines that added something.
    pub used: u64,
    /// Lines whose every entry was there already.
    pub duplicate: u64,
    /// Comments and blank lines.
    pub comment: u64,
    /// Lines that serve the format.
    pub header: u64,
    /// Lines refused, by reason.
    pub refused: Vec<(&'static str, u64)>,
    /// Names refused on lines of which another name was taken.
    pub names_refused: u64,
    /// Distinct names.
    pub entries: u64,
    /// The first refused lines, by number, with the reason.
    pub refused_at: Vec<(u64, &'static str)>,
}

impl FeedLines {
    /// Lines refused, for whatever reason.
    fn refused_total(&self) -> u64 {
        self.refused.iter().map(|(_, lines)| lines).sum()
    }

    /// The numbers of a row.
    fn numbers(&self) -> [u64; 7] {
        [self.lines, self.used, self.duplicate, self.comment, self.header, self.refused_total(), self.entries]
    }
}

/// Prints the table of what would be served, and of what was refused.
///
/// # Errors
/// As `out` has.
pub(super) fn write(feeds: &[FeedLines], out: &mut dyn Write) -> io::Result<()> {
    let mut table =
        Table::new(vec!["feed", "format", "lines", "used", "duplicate", "comment", "header", "refused", "entries"]);
    let mut sums = [0_u64; 7];
    for feed in feeds {
        let mut row: Vec<Cell> = vec![feed.name.as_str().into(), feed.format.into()];
        for (sum, number) in sums.iter_mut().zip(feed.numbers()) {
            *sum = sum.saturating_add(number);
            row.push(number.into());
        }
        table.row(row);
    }
    if feeds.len() > 1 {
        table.row(["sum", ""].map(Cell::from).into_iter().chain(sums.map(Cell::from)).collect());
    }
    table.write(out, 0)?;
    write_refused(feeds, out)?;
    for feed in feeds.iter().filter(|feed| feed.names_refused > 0) {
        let (name, names) = (plain(&feed.name), thousands(feed.names_refused));
        writeln!(out, "\n{name}: {names} names more were refused on lines of which another name was taken")?;
    }
    Ok(())
}

/// Prints the table of what was refused, if anything was.
fn write_refused(feeds: &[FeedLines], out: &mut dyn Write) -> io::Result<()> {
    if feeds.iter().all(|feed| feed.refused.is_empty()) {
        return Ok(());
    }
    let mut table = Table::new(vec!["feed", "refused because", "lines", "at line"]);
    for feed in feeds {
        for &(reason, lines) in &feed.refused {
            table.row(vec![
                feed.name.as_str().into(),
                reason.into(),
                lines.into(),
                Cell::Text(places(feed, reason, lines)),
            ]);
        }
    }
    writeln!(out)?;
    table.write(out, 0)?;
    let of_objects = [Format::Stix, Format::Misp].map(Format::label);
    if feeds.iter().any(|feed| of_objects.contains(&feed.format)) {
        writeln!(out, "\nof stix a line is one of the bundle's objects, of misp an attribute")?;
    }
    Ok(())
}

/// How many line numbers are shown for one reason: they fit beside the rest on a line of 80 characters.
const PLACES_MAX: usize = 5;

/// The numbers of the first lines refused for `reason`, `...` after them if there are more.
fn places(feed: &FeedLines, reason: &str, lines: u64) -> String {
    let mut numbers: Vec<String> = feed
        .refused_at
        .iter()
        .filter(|(_, why)| *why == reason)
        .take(PLACES_MAX)
        .map(|(line, _)| line.to_string())
        .collect();
    if u64::try_from(numbers.len()).is_ok_and(|shown| shown < lines) {
        numbers.push("...".to_owned());
    }
    plain(&numbers.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is printed.
    fn printed(feeds: &[FeedLines]) -> String {
        let mut out = Vec::new();
        write(feeds, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn every_line_is_in_the_table_and_sums_are_below() {
        let feeds = [
            FeedLines {
                name: "sample".into(),
                format: "plain",
                lines: 10,
                used: 8,
                comment: 2,
                entries: 8,
                ..FeedLines::default()
            },
            FeedLines {
                name: "big".into(),
                format: "hosts",
                lines: 1_000_000,
                used: 999_000,
                duplicate: 500,
                comment: 300,
                header: 100,
                refused: vec![("tld", 3), ("name-too-long", 97)],
                entries: 999_001,
                names_refused: 0,
                refused_at: vec![(7, "tld"), (9, "name-too-long"), (11, "tld"), (12, "tld")],
            },
        ];
        let want = "\
feed    format      lines     used  duplicate  comment  header  refused  entries
sample  plain          10        8          0        2       0        0        8
big     hosts   1,000,000  999,000        500      300     100      100  999,001
sum             1,000,010  999,008        500      302     100      100  999,009

feed  refused because  lines  at line
big   tld                  3  7, 11, 12
big   name-too-long       97  9, ...
";
        assert_eq!(printed(&feeds), want);
    }

    #[test]
    fn what_a_line_is_of_json_is_said_where_lines_are_numbered() {
        let mut feed = FeedLines { format: "plain", refused: vec![("tld", 1)], ..FeedLines::default() };
        assert!(!printed(std::slice::from_ref(&feed)).contains("objects"));
        feed.format = "stix";
        assert!(printed(&[feed]).ends_with("of stix a line is one of the bundle's objects, of misp an attribute\n"));
    }

    #[test]
    fn names_refused_beside_others_are_told() {
        let feed = FeedLines { name: "hosts".into(), format: "hosts", names_refused: 1204, ..FeedLines::default() };
        let printed = printed(&[feed]);
        assert!(
            printed.ends_with("\n\nhosts: 1,204 names more were refused on lines of which another name was taken\n"),
            "{printed}"
        );
    }

    #[test]
    fn one_feed_needs_no_sum_and_nothing_refused_no_reasons() {
        let feeds =
            [FeedLines { name: "a".into(), format: "plain", lines: 1, used: 1, entries: 1, ..FeedLines::default() }];
        assert_eq!(printed(&feeds).lines().count(), 2);
        assert_eq!(printed(&[]).lines().count(), 1);
    }
}
