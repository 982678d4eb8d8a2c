//! [`Table`]: plain text in aligned columns, ASCII only around what it shows; numbers right-aligned with thousands separators.
//!
//! Never lets a control character of a cell reach the terminal. Cost: two passes over the cells.

use std::io::{self, Write};

/// What separates two columns.
const GAP: &str = "  ";

/// One cell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Cell {
    /// Left-aligned.
    Text(String),
    /// Right-aligned.
    Number(u64),
}

impl From<&str> for Cell {
    fn from(text: &str) -> Self {
        Self::Text(plain(text))
    }
}

impl From<u64> for Cell {
    fn from(number: u64) -> Self {
        Self::Number(number)
    }
}

/// Rows under a header.
#[derive(Debug)]
pub(super) struct Table {
    /// The columns' names.
    header: Vec<&'static str>,
    /// Each as long as `header`, or shorter.
    rows: Vec<Vec<Cell>>,
}

/// `text` without control characters.
pub(super) fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '?' } else { c }).collect()
}

/// `1234567` as `1,234,567`.
pub(super) fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

impl Table {
    /// A table without rows.
    pub(super) const fn new(header: Vec<&'static str>) -> Self {
        Self { header, rows: Vec::new() }
    }

    /// Adds a row.
    pub(super) fn row(&mut self, cells: Vec<Cell>) {
        self.rows.push(cells);
    }

    /// Writes header and rows, each line indented by `indent` spaces, none with blanks at its end.
    pub(super) fn write(&self, out: &mut dyn Write, indent: usize) -> io::Result<()> {
        let header = self.header.iter().enumerate().map(|(column, name)| (self.is_number(column), (*name).to_owned()));
        let rows = self.rows.iter().map(|row| row.iter().map(Cell::shown).collect());
        let lines: Vec<Vec<(bool, String)>> = std::iter::once(header.collect()).chain(rows).collect();
        let width = |column: usize| {
            lines.iter().filter_map(|line| line.get(column)).map(|(_, text)| text.chars().count()).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..self.header.len()).map(width).collect();
        for line in &lines {
            let mut text = " ".repeat(indent);
            for (column, ((right, cell), width)) in line.iter().zip(&widths).enumerate() {
                text.push_str(if column > 0 { GAP } else { "" });
                let blanks = " ".repeat(width.saturating_sub(cell.chars().count()));
                let (before, after) = if *right { (blanks.as_str(), "") } else { ("", blanks.as_str()) };
                text.extend([before, cell, after]);
            }
            writeln!(out, "{}", text.trim_end())?;
        }
        Ok(())
    }

    /// Whether a column holds numbers: its name is aligned with them.
    fn is_number(&self, column: usize) -> bool {
        self.rows.iter().any(|row| matches!(row.get(column), Some(Cell::Number(_))))
    }
}

impl Cell {
    /// Whether it is aligned to the right, and its text.
    fn shown(&self) -> (bool, String) {
        match self {
            Self::Text(text) => (false, text.clone()),
            Self::Number(number) => (true, thousands(*number)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_separators() {
        for (number, want) in
            [(0, "0"), (999, "999"), (1000, "1,000"), (982_685, "982,685"), (u64::MAX, "18,446,744,073,709,551,615")]
        {
            assert_eq!(thousands(number), want);
        }
    }

    #[test]
    fn columns_are_aligned() {
        let mut table = Table::new(vec!["feed", "lines", "note"]);
        table.row(vec!["a\x1b[1m".into(), 12_u64.into(), "x".into()]);
        table.row(vec!["longer-name".into(), 1_234_567_u64.into(), "".into()]);
        table.row(vec!["é".into()]);
        let mut out = Vec::new();
        table.write(&mut out, 1).unwrap();
        let want = " feed             lines  note
 a?[1m               12  x
 longer-name  1,234,567
 é
";
        assert_eq!(String::from_utf8(out).unwrap(), want);
    }
}
