//! The JSON formats of indicators, STIX and MISP, each read in two passes over the file: a [`Survey`] first, of what may stand behind the
//! objects it is about, then the objects.
//!
//! No object outlives its own reading, so memory is the entries', and for the time of the survey 16 octets an indicator. What is not JSON
//! ends a load, for nothing behind it can be told; what is JSON and no indicator costs its own object. Costs two looks at each octet and
//! two parses: a second for each hundred megabytes.

mod markings;
mod misp;
mod moment;
mod pattern;
mod scan;
mod stix;
#[cfg(test)]
mod tests;
mod value;

use std::io::{self, BufReader, Read};

use serde::de::DeserializeSeed as _;
use serde_json::error::Category;

use super::intake::Intake;
use super::{Format, Reason, Report, Terms};
use crate::index::Sorted;
use markings::Markings;
use misp::EventTags;
use moment::MICROS_PER_SEC;
use stix::Versions;
use value::{Fill, Sink};

pub use markings::MARKINGS_MAX;
pub use scan::{DEPTH_MAX, STRING_OCTETS_MAX};

/// How much is read at once, as of text.
const BLOCK_OCTETS: usize = 256 * 1024;
/// U+FEFF in UTF-8.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// A format that is JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JsonFormat {
    /// A STIX bundle.
    Stix,
    /// MISP events.
    Misp,
}

impl JsonFormat {
    /// Every JSON format.
    pub const ALL: [Self; 2] = [Self::Stix, Self::Misp];

    /// The same as a setting.
    #[must_use]
    pub const fn format(self) -> Format {
        match self {
            Self::Stix => Format::Stix,
            Self::Misp => Format::Misp,
        }
    }
}

/// Why a JSON text was not read to its end.
#[derive(Debug, thiserror::Error)]
pub enum JsonError {
    /// The source's own.
    #[error("cannot be read")]
    Unreadable(#[source] io::Error),
    /// It is no JSON.
    #[error("expected JSON, got a syntax error at line {line}, column {column}")]
    Syntax {
        /// The line, from 1.
        line: usize,
        /// The octet on it, from 1.
        column: usize,
    },
    /// Its end is missing.
    #[error("expected JSON, got only its beginning: it ends at line {line}, column {column}")]
    CutShort {
        /// The line, from 1.
        line: usize,
        /// The octet on it, from 1.
        column: usize,
    },
    /// A value lies deeper than [`DEPTH_MAX`].
    #[error("expected JSON of at most {DEPTH_MAX} values inside one another, got more at line {line}")]
    TooDeep {
        /// The line, from 1.
        line: u64,
    },
    /// A string over [`STRING_OCTETS_MAX`].
    #[error("expected strings of at most {STRING_OCTETS_MAX} octets, got a longer one at line {line}")]
    StringTooLong {
        /// The line, from 1.
        line: u64,
    },
    /// Over [`MARKINGS_MAX`] markings, or events with tags.
    #[error("expected at most {MARKINGS_MAX} markings, got more")]
    Markings,
}

impl From<serde_json::Error> for JsonError {
    /// Keeps where, and nothing of what stands there.
    fn from(error: serde_json::Error) -> Self {
        let (line, column) = (error.line(), error.column());
        match error.classify() {
            Category::Io => io::Error::from(error).downcast().unwrap_or_else(Self::Unreadable),
            Category::Eof => Self::CutShort { line, column },
            Category::Syntax | Category::Data => Self::Syntax { line, column },
        }
    }
}

/// What a file says of its objects elsewhere than in them.
pub struct Survey<'t> {
    /// How it is read.
    format: JsonFormat,
    /// The feed's terms.
    terms: &'t Terms,
    /// STIX: the markings that are defined.
    markings: Markings<'t>,
    /// STIX: of the ids that have several versions the last.
    newest: Versions,
    /// MISP: the tags of events.
    tags: EventTags,
}

impl<'t> Survey<'t> {
    /// The first pass, over all of `source`.
    ///
    /// # Errors
    /// [`JsonError`].
    pub fn of<R: Read>(source: R, format: JsonFormat, terms: &'t Terms) -> Result<Self, JsonError> {
        let mut markings = Markings::new(&terms.indicators);
        let (mut newest, mut tags) = (Versions::default(), EventTags::default());
        match format {
            JsonFormat::Stix => {
                let mut bundle = stix::Bundle(stix::Gather { markings: &mut markings, versions: newest });
                parse(source, &mut bundle)?;
                newest = bundle.0.versions.newest();
            }
            JsonFormat::Misp => {
                let mut walk = misp::Walk::new(misp::Pass::Gather(&mut tags), markings.asked_for());
                let mut event = misp::Event::outermost(&mut walk);
                parse(source, &mut event)?;
                event.end();
                tags = tags.sorted();
            }
        }
        if markings.overflowed || tags.overflowed {
            return Err(JsonError::Markings);
        }
        Ok(Self { format, terms, markings, newest, tags })
    }

    /// The second pass, over all of the same: the entries in key order, and where each object went. `now_secs` is counted from 1970.
    ///
    /// # Errors
    /// [`JsonError`].
    pub fn read<R: Read>(&self, source: R, now_secs: u64) -> Result<(Sorted, Report), JsonError> {
        let mut intake = Intake::new(self.format.format(), self.terms);
        match self.format {
            JsonFormat::Stix => {
                let now = now_secs.saturating_mul(MICROS_PER_SEC);
                let (markings, newest) = (&self.markings, &self.newest);
                parse(source, &mut stix::Bundle(stix::Take { markings, newest, now, intake: &mut intake }))?;
            }
            JsonFormat::Misp => {
                let pass = misp::Pass::Take { tags: &self.tags, intake: &mut intake };
                let mut walk = misp::Walk::new(pass, self.markings.asked_for());
                parse(source, &mut misp::Event::outermost(&mut walk))?;
            }
        }
        Ok(intake.finish())
    }
}

/// Reads one JSON value, and nothing behind it, into `sink`.
fn parse<R: Read>(mut source: R, sink: &mut impl Sink) -> Result<(), JsonError> {
    let mut head = Vec::with_capacity(BYTE_ORDER_MARK.len());
    (&mut source).take(BYTE_ORDER_MARK.len() as u64).read_to_end(&mut head).map_err(JsonError::Unreadable)?;
    if head == BYTE_ORDER_MARK {
        head.clear();
    }
    let scan = scan::Scan::new(io::Cursor::new(head).chain(source));
    let mut parser = serde_json::Deserializer::from_reader(BufReader::with_capacity(BLOCK_OCTETS, scan));
    Fill(sink).deserialize(&mut parser)?;
    Ok(parser.end()?)
}
