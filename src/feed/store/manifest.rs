//! What a kept generation is made of, as a file of JSON: each feed's standing, and which index holds its entries.
//!
//! It holds the operator's names of feeds, counts and times; the indicators are in the indexes alone.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::feed::{Format, Stat};

/// The version written, and the only one read.
const VERSION: u32 = 1;

/// One feed of a generation, as it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptFeed {
    /// The operator's name for it; its place among the feeds is its place in the indexes.
    pub name: String,
    /// See [`Config::fingerprint`](crate::feed::Config::fingerprint).
    pub fingerprint: u32,
    /// What its file looked like before it was read.
    pub stat: Option<Stat>,
    /// What tells its entries from others; `None`: it is not known.
    #[serde(default)]
    pub content: Option<u64>,
    /// The generation it was rolled back to, as long as its entries are that one's.
    #[serde(default)]
    pub rolled_back_to: Option<u64>,
    /// How it was read; `auto`: it never was.
    pub format: Format,
    /// Distinct entries.
    pub entries: u64,
    /// Lines refused when it was read, by reason.
    pub refused: Vec<(String, u64)>,
    /// When it was read, seconds since 1970; 0: never.
    pub loaded_at_secs: u64,
    /// Whether the last load was refused, so that these are older entries.
    pub stale: bool,
    /// Whether it stays as it is until told otherwise.
    pub pinned: bool,
    /// How many entries would let names through, match a name alone, and of those ask for NXDOMAIN.
    pub tally: [u64; 3],
    /// Which index holds it.
    pub part: String,
}

/// The file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Manifest {
    /// [`VERSION`].
    version: u32,
    /// The generation's number.
    pub(super) generation: u64,
    /// When it was published, seconds since 1970.
    pub(super) made_at_secs: u64,
    /// By place.
    pub(super) feeds: Vec<KeptFeed>,
    /// Each index's file name, by part.
    pub(super) parts: BTreeMap<String, String>,
    /// Those of the overlays over them.
    #[serde(default)]
    pub(super) overlays: BTreeMap<String, String>,
}

impl Manifest {
    /// A generation of these.
    pub(super) const fn new(
        generation: u64,
        made_at_secs: u64,
        feeds: Vec<KeptFeed>,
        parts: BTreeMap<String, String>,
        overlays: BTreeMap<String, String>,
    ) -> Self {
        Self { version: VERSION, generation, made_at_secs, feeds, parts, overlays }
    }

    /// Every file it needs.
    pub(super) fn files(&self) -> impl Iterator<Item = &String> {
        self.parts.values().chain(self.overlays.values())
    }

    /// Whether a newer version wrote it, whatever else stands there by now.
    pub(super) fn is_newer(octets: &[u8]) -> bool {
        /// What every version has.
        #[derive(Deserialize)]
        struct Versioned {
            /// See [`VERSION`].
            version: u32,
        }
        serde_json::from_slice(octets).is_ok_and(|Versioned { version }| version > VERSION)
    }

    /// Reads it; `None`: it is none, or another version's, or names files that are not in its folder.
    pub(super) fn decode(octets: &[u8]) -> Option<Self> {
        let manifest: Self = serde_json::from_slice(octets).ok()?;
        let plain = |file: &String| !file.contains('/') && !file.starts_with('.');
        (manifest.version == VERSION && manifest.files().all(plain)).then_some(manifest)
    }
}
