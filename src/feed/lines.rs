//! [`Lines`]: a feed's lines, one at a time in one buffer, whatever the file holds.
//!
//! `\n` and `\r\n` end a line, a UTF-8 byte order mark in front of the first is dropped, the last needs no newline. A line over
//! [`LINE_OCTETS_MAX`] is skipped and said to be so. Costs one copy of the line; nothing is allocated after the first, unless one is longer
//! than all before.

use std::io::{self, BufRead, BufReader, Read};

/// The longest line, without its end: room for some sixty thousand usual names. Of 224 published lists the longest is 904 KB of
/// comma-separated names.
pub const LINE_OCTETS_MAX: usize = 1 << 20;
/// Room for a line at first: no other list has a longer one.
const LINE_OCTETS_USUAL: usize = 4096;
/// How much is read at once: large enough that the system calls do not count, small enough for the second-level cache (a guess).
const BLOCK_OCTETS: usize = 256 * 1024;
/// U+FEFF in UTF-8.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// One physical line.
pub(super) enum Line<'a> {
    /// Its octets, without the line's end.
    Text(&'a [u8]),
    /// It was over [`LINE_OCTETS_MAX`].
    TooLong,
}

/// The lines of `source`.
pub(super) struct Lines<R> {
    /// Read in blocks.
    source: BufReader<R>,
    /// The line at hand.
    line: Vec<u8>,
    /// Whether no line was read yet.
    first: bool,
}

impl<R: Read> Lines<R> {
    /// Lines of `source`, from its start.
    pub(super) fn new(source: R) -> Self {
        let line = Vec::with_capacity(LINE_OCTETS_USUAL + 2);
        Self { source: BufReader::with_capacity(BLOCK_OCTETS, source), line, first: true }
    }

    /// The next line; `None` at the end.
    ///
    /// # Errors
    /// The source's own.
    pub(super) fn next(&mut self) -> io::Result<Option<Line<'_>>> {
        self.line.clear();
        // Two octets more than the longest line: its `\r\n`.
        let limit = LINE_OCTETS_MAX as u64 + 2;
        if (&mut self.source).take(limit).read_until(b'\n', &mut self.line)? == 0 {
            return Ok(None);
        }
        let ended = self.line.ends_with(b"\n");
        let mut text = self.line.as_slice();
        if std::mem::take(&mut self.first) {
            text = text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text);
        }
        text = text.strip_suffix(b"\n").unwrap_or(text);
        text = text.strip_suffix(b"\r").unwrap_or(text);
        if text.len() > LINE_OCTETS_MAX {
            if !ended {
                self.source.skip_until(b'\n')?;
            }
            return Ok(Some(Line::TooLong));
        }
        Ok(Some(Line::Text(text)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &[u8]) -> Vec<Option<Vec<u8>>> {
        let mut lines = Lines::new(text);
        let mut found = Vec::new();
        while let Some(line) = lines.next().unwrap() {
            found.push(match line {
                Line::Text(text) => Some(text.to_vec()),
                Line::TooLong => None,
            });
        }
        found
    }

    #[test]
    fn every_end_of_line_there_is() {
        for (text, want) in [
            (&b""[..], &[][..]),
            (b"a", &[&b"a"[..]]),
            (b"a\n", &[b"a"]),
            (b"a\r\nb", &[b"a", b"b"]),
            (b"\n\r\n", &[b"", b""]),
            (b"\xef\xbb\xbf# t\n\xef\xbb\xbfx", &[b"# t", b"\xef\xbb\xbfx"]),
            (b"\xef\xbb\xbf", &[b""]),
            (b"a\rb\n", &[b"a\rb"]),
            (b"a\0b\xca", &[b"a\0b\xca"]),
        ] {
            let want: Vec<_> = want.iter().map(|line| Some(line.to_vec())).collect();
            assert_eq!(lines(text), want, "{text:?}");
        }
    }

    #[test]
    fn an_over_long_line_is_one_line_and_the_rest_is_read() {
        for (length, fits) in
            [(904_000, true), (LINE_OCTETS_MAX, true), (LINE_OCTETS_MAX + 1, false), (3 * LINE_OCTETS_MAX, false)]
        {
            for end in ["\n", "\r\n"] {
                let text = format!("a{end}{}{end}b", "x".repeat(length));
                let found = lines(text.as_bytes());
                assert_eq!(found.len(), 3, "{length} {end:?}");
                assert_eq!(found[1].is_some(), fits, "{length} {end:?}");
                assert_eq!(found[2].as_deref(), Some(&b"b"[..]));
            }
            assert_eq!(lines("x".repeat(length).as_bytes()), [fits.then(|| "x".repeat(length).into_bytes())]);
        }
    }
}
