//! [`LoadError`]: why a feed did not load, and by which rule that is counted. It names the file, counts and line numbers, never a line's text.

use std::io;
use std::path::PathBuf;

use super::json::JsonError;
use super::load::FILE_OCTETS_MAX;
use super::unpack::{Damage, RATIO_MAX};
use super::{Report, Rule};

/// Why a feed did not load.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The file could not be opened or read.
    #[error("{path}: cannot be read", path = path.display())]
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A folder, a pipe, a device.
    #[error("{path}: expected a regular file", path = path.display())]
    NotRegular {
        /// Which file.
        path: PathBuf,
    },
    /// Over [`FILE_OCTETS_MAX`].
    #[error("{path}: expected at most {FILE_OCTETS_MAX} octets, got {octets}", path = path.display())]
    TooLarge {
        /// Which file.
        path: PathBuf,
        /// How large it is, at least.
        octets: u64,
    },
    /// Packed, and over [`FILE_OCTETS_MAX`] once unpacked.
    #[error("{path}: expected {packing} of at most {FILE_OCTETS_MAX} octets of text, got more", path = path.display())]
    UnpacksTooLarge {
        /// Which file.
        path: PathBuf,
        /// What it is packed in.
        packing: &'static str,
    },
    /// Packed, and over [`RATIO_MAX`] times as large once unpacked: made to fill a disk or a memory, not to list names.
    #[error("{path}: expected {packing} that unpacks to at most {RATIO_MAX} times its size, got more", path = path.display())]
    UnpacksTooFar {
        /// Which file.
        path: PathBuf,
        /// What it is packed in.
        packing: &'static str,
    },
    /// Packed, and cut short or damaged: nothing of it is used.
    #[error("{path}: expected whole {packing}, got it cut short or damaged", path = path.display())]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// What it is packed in.
        packing: &'static str,
        /// What is wrong with it.
        source: Damage,
    },
    /// A page of HTML or XML.
    #[error(
        "{path}: expected a feed's text or an artifact, got an HTML or XML page: whoever fetched it was given a login or an error",
        path = path.display()
    )]
    Html {
        /// Which file.
        path: PathBuf,
    },
    /// It is something else altogether.
    #[error("{path}: expected a feed's text or an artifact, got {found}", path = path.display())]
    Foreign {
        /// Which file.
        path: PathBuf,
        /// What it looks like.
        found: &'static str,
    },
    /// There is nothing in it that could be an entry.
    #[error("{path}: expected at least one entry, got {holds}", path = path.display())]
    Empty {
        /// Which file.
        path: PathBuf,
        /// What it is instead of a list.
        holds: &'static str,
    },
    /// `format = "auto"`, and its lines are of no known format.
    #[error("{path}: expected a format that can be told, got none; if it is a list, name its format", path = path.display())]
    Unknown {
        /// Which file.
        path: PathBuf,
    },
    /// `format = "artifact"`, and it is none.
    #[error("{path}: expected an artifact, got another file", path = path.display())]
    NotArtifact {
        /// Which file.
        path: PathBuf,
    },
    /// CSV, and nothing tells which column holds the names.
    #[error(
        "{path}: expected a header with a column called {expected}, got none; set `column` to its number, from 1, or to what the header calls it",
        path = path.display()
    )]
    Column {
        /// Which file.
        path: PathBuf,
        /// What the column would be called.
        expected: String,
    },
    /// `format` is a JSON format, and it is not read to its end.
    #[error("{path}: the feed is not read to its end", path = path.display())]
    Json {
        /// Which file.
        path: PathBuf,
        /// What stopped it.
        source: JsonError,
    },
    /// Read to its end, and nothing was taken.
    #[error(
        "{path}: expected at least one usable entry, got none in {lines} {unit}; refused: {refused}",
        path = path.display(), lines = report.lines, unit = report.unit(), refused = report.refusals_told()
    )]
    NoUsableEntry {
        /// Which file.
        path: PathBuf,
        /// Where its lines went.
        report: Box<Report>,
    },
}

impl LoadError {
    /// The rule that refuses it.
    #[must_use]
    pub const fn rule(&self) -> Rule {
        match self {
            Self::Unreadable { .. } | Self::NotRegular { .. } | Self::Json { source: JsonError::Unreadable(_), .. } => {
                Rule::Unreadable
            }
            Self::TooLarge { .. } | Self::UnpacksTooLarge { .. } | Self::UnpacksTooFar { .. } => Rule::TooLarge,
            Self::Damaged { .. } | Self::Json { .. } => Rule::Damaged,
            Self::Html { .. } => Rule::Html,
            Self::Foreign { .. } | Self::NotArtifact { .. } => Rule::Foreign,
            Self::Unknown { .. } | Self::Column { .. } => Rule::UnknownFormat,
            Self::Empty { .. } => Rule::Empty,
            Self::NoUsableEntry { .. } => Rule::NothingUsable,
        }
    }
}
