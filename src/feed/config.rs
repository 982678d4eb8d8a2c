//! A feed's settings.

use std::path::PathBuf;

use serde::Deserialize;

use super::Terms;

/// Where a feed's entries come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A text file or an artifact.
    File(PathBuf),
    /// The sample compiled into the program.
    Sample,
}

/// How a feed's text is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Format {
    /// Told from the content.
    Auto,
    /// `0.0.0.0 name …`, as in `/etc/hosts`.
    Hosts,
    /// One name a line.
    Plain,
    /// `||name^` and `@@||name^`.
    Adblock,
    /// A response policy zone, as a zone file (draft-vixie-dnsop-dns-rpz).
    Rpz,
    /// A STIX 2.0 or 2.1 bundle.
    Stix,
    /// MISP events, as JSON.
    Misp,
    /// An index made by `cenote compile`.
    Artifact,
}

impl Config {
    /// The longest name: it is a metric's label and a file's name.
    pub const NAME_OCTETS_MAX: usize = 64;
}

impl Format {
    /// Its name in the configuration.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Hosts => "hosts",
            Self::Plain => "plain",
            Self::Adblock => "adblock",
            Self::Rpz => "rpz",
            Self::Stix => "stix",
            Self::Misp => "misp",
            Self::Artifact => "artifact",
        }
    }
}

/// One feed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// The operator's name for it.
    pub name: String,
    /// Where it comes from.
    pub source: Source,
    /// How it is written.
    pub format: Format,
    /// What it is granted.
    pub terms: Terms,
}

impl Config {
    /// A feed with nothing but a name and a source: its format is told from its content, and it is granted nothing.
    #[must_use]
    pub fn new(name: &str, source: Source) -> Self {
        Self { name: name.to_owned(), source, format: Format::Auto, terms: Terms::default() }
    }
}
