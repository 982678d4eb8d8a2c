//! [`Scan`]: the octets of a JSON text on their way to the parser, held to what a feed's may be.
//!
//! The parser copies a string whole and goes down a call for each value inside another, so the two limits here are what bounds its memory
//! and its stack; what is kept of an object is bounded where it is read. Costs one look at each octet.

use std::io::{self, Read};

use super::JsonError;

/// How deep values may lie inside one another: a MISP attribute's tag lies at 9, a marking's fields in a bundle at 8 (the rest is a guess).
pub const DEPTH_MAX: usize = 64;
/// The longest string: MISP carries files as base64, and takes such of 50 MB only if it is told to.
pub const STRING_OCTETS_MAX: usize = 64 << 20;

/// Where in the text an octet stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    /// Between strings.
    Between,
    /// In a string, behind this many octets of it.
    String(usize),
    /// The same, behind a backslash.
    Escape(usize),
}

/// The octets of `source`, until one is too much.
pub(super) struct Scan<R> {
    /// The text.
    source: R,
    /// Where the next octet stands.
    at: At,
    /// Lists and objects that are open.
    depth: usize,
    /// The line that the next octet is on, from 1.
    line: u64,
}

impl<R: Read> Scan<R> {
    /// The octets of `source`, from its start.
    pub(super) const fn new(source: R) -> Self {
        Self { source, at: At::Between, depth: 0, line: 1 }
    }

    /// Looks at one octet.
    fn step(&mut self, octet: u8) -> Result<(), JsonError> {
        self.line += u64::from(octet == b'\n');
        self.at = match (self.at, octet) {
            (At::Between, b'"') => At::String(0),
            (At::Between, b'[' | b'{') => {
                self.depth += 1;
                At::Between
            }
            (At::Between, b']' | b'}') => {
                self.depth = self.depth.saturating_sub(1);
                At::Between
            }
            (At::Between, _) | (At::String(_), b'"') => At::Between,
            (At::String(octets), b'\\') => At::Escape(octets + 1),
            (At::String(octets) | At::Escape(octets), _) => At::String(octets + 1),
        };
        if self.depth > DEPTH_MAX {
            return Err(JsonError::TooDeep { line: self.line });
        }
        match self.at {
            At::String(octets) if octets > STRING_OCTETS_MAX => Err(JsonError::StringTooLong { line: self.line }),
            _ => Ok(()),
        }
    }
}

impl<R: Read> Read for Scan<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.source.read(buffer)?;
        buffer.iter().take(count).try_for_each(|&octet| self.step(octet)).map_err(io::Error::other)?;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads all of it in blocks of `block` octets.
    fn scan(text: impl Read, block: usize) -> Result<(), String> {
        let mut scan = io::BufReader::with_capacity(block, Scan::new(text));
        io::copy(&mut scan, &mut io::sink()).map(|_| ()).map_err(|error| error.to_string())
    }

    #[test]
    fn depth_is_counted_outside_of_strings_alone() {
        let deep = |count: usize| "[".repeat(count) + &"]".repeat(count);
        for (text, fits) in [
            (deep(DEPTH_MAX), true),
            (deep(DEPTH_MAX + 1), false),
            (format!("\n{}", "{\"a\":".repeat(DEPTH_MAX + 1)), false),
            (deep(DEPTH_MAX) + &deep(DEPTH_MAX), true),
            (format!("\"{}\"", deep(DEPTH_MAX + 1)), true),
            (format!(r#""\"{}""#, deep(DEPTH_MAX + 1)), true),
            (format!(r#""\\"{}"#, deep(DEPTH_MAX + 1)), false),
            ("]".repeat(9) + &deep(DEPTH_MAX + 1), false),
        ] {
            for block in [1, 7, 4096] {
                let got = scan(text.as_bytes(), block);
                assert_eq!(got.is_ok(), fits, "{block} {text:?}: {got:?}");
            }
        }
        assert!(scan(&b"\n[".repeat(DEPTH_MAX + 1)[..], 9).unwrap_err().ends_with("at line 66"));
    }

    #[test]
    fn a_string_has_a_longest() {
        let most = STRING_OCTETS_MAX as u64;
        let string = |octets: u64| (&b"\n\""[..]).chain(io::repeat(b'x').take(octets)).chain(&b"\" \"\""[..]);
        assert_eq!(scan(string(most), 1 << 16), Ok(()));
        assert!(scan(string(most + 1), 1 << 16).unwrap_err().ends_with("at line 2"));
    }
}
