//! A feed's settings.

use std::hash::Hash as _;
use std::ops::RangeInclusive;
use std::path::PathBuf;

use crc32fast::Hasher;
use serde::{Deserialize, Serialize};

use super::{GateConfig, Terms};

/// Where a feed's entries come from.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Source {
    /// A text file or an artifact.
    File(PathBuf),
    /// The sample compiled into the program.
    Sample,
}

/// How a feed's text is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Format {
    /// Told from the content.
    Auto,
    /// `0.0.0.0 name …`, as in `/etc/hosts`.
    Hosts,
    /// One name a line, or many with commas between.
    Plain,
    /// `||name^` and `@@||name^`.
    Adblock,
    /// A response policy zone, as a zone file (draft-vixie-dnsop-dns-rpz).
    Rpz,
    /// dnsmasq's `address=/name/`, `local=/name/` and `server=/name/`.
    Dnsmasq,
    /// Unbound's `local-zone:` and `local-data:`.
    Unbound,
    /// BIND's `zone "name" { type master; … };`.
    Bind,
    /// dnscrypt-proxy's blocked names.
    Dnscrypt,
    /// One column of a CSV file.
    Csv,
    /// A list of v2fly's domain-list-community: `domain:name`, `full:name`.
    V2fly,
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
    /// What `refresh_secs` may be.
    pub const REFRESH_SECS: RangeInclusive<u32> = 0..=2_592_000;
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
            Self::Dnsmasq => "dnsmasq",
            Self::Unbound => "unbound",
            Self::Bind => "bind",
            Self::Dnscrypt => "dnscrypt",
            Self::Csv => "csv",
            Self::V2fly => "v2fly",
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
    /// Under what terms it is read.
    pub terms: Terms,
    /// What a load must be to replace the one in use.
    pub gate: GateConfig,
    /// How often it is read without a change of its file, seconds; 0: never.
    pub refresh_secs: u32,
}

impl Config {
    /// A feed with nothing but a name and a source: its format is told from its content, and it is granted nothing.
    #[must_use]
    pub fn new(name: &str, source: Source) -> Self {
        Self {
            name: name.to_owned(),
            source,
            format: Format::Auto,
            terms: Terms::default(),
            gate: GateConfig::default(),
            refresh_secs: 0,
        }
    }

    /// What tells how its text was read, and by which version of this program: what was kept of a feed stands for the same file while this
    /// stays.
    #[must_use]
    pub fn fingerprint(&self) -> u32 {
        // Taken apart whole, so that a new setting cannot be forgotten here. The gate and the interval change nothing of what a file holds.
        let Self { name: _, source, format, terms, gate: _, refresh_secs: _ } = self;
        let mut hasher = Hasher::new();
        (env!("CARGO_PKG_VERSION"), source, format, terms).hash(&mut hasher);
        hasher.finalize()
    }
}
