//! The FST of indicators: gather entries, build, verify, look up, keep as an artifact.
//!
//! One map holds all feeds. Its keys are [`NameKey`](crate::name::NameKey)s; its value is a row number in a small table of distinct
//! sets of [`Listing`]s. A walk reads the query's own octets, copies nothing, and reports the row at every listed ancestor. Networks
//! stand beside the map in sorted tables and share its rows.
//!
//! Neither time nor a small change builds the map again. An entry that is past its end is taken out of the rows, which are few; what a feed has
//! added, changed or dropped stands in a small overlay of the same form, until it has grown too large.

mod ancestors;
mod arena;
mod artifact;
mod build;
mod changes;
mod entries;
mod filter;
mod layers;
mod lookup;
#[cfg(test)]
mod model;
mod networks;
mod overlay;
#[cfg(test)]
mod overlay_model;
mod record_sets;
mod records;
mod rows;
mod sift;
mod sound;
mod sources;
mod until;

pub use artifact::{ARTIFACT_OCTETS_MAX, MAGIC, OpenError};
pub use build::{BuildError, Part};
pub use changes::{Change, Subject, changes};
pub use entries::{Entries, EntriesError, Lines, Sorted};
pub use layers::Listings;
pub use lookup::{Index, IndexedFeed};
pub use networks::{NETWORKS_MAX, Network, Side};
pub use overlay::OVERLAY_ENTRIES_MAX;
pub use record_sets::{DataId, RECORD_SET_OCTETS_MAX, RECORD_SETS_MAX, RECORD_TTL_SECS_MAX, RECORDS_OCTETS_MAX};
pub use records::Record;
pub use sources::Kept;
pub use until::Until;

/// The most feeds one index can hold: the bits of a `u128`, which is a tenant's mask.
pub const FEEDS_MAX: usize = 128;

/// A feed's place in the configuration, 0 to 127.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FeedId(u8);

impl FeedId {
    /// The feed at place `index`; `None` from 128 on.
    #[must_use]
    pub fn new(index: usize) -> Option<Self> {
        u8::try_from(index).ok().filter(|&id| usize::from(id) < FEEDS_MAX).map(Self)
    }

    /// Its place.
    #[must_use]
    pub const fn index(self) -> usize {
        self.0 as usize
    }

    /// Its bit in a mask of feeds.
    #[must_use]
    pub const fn bit(self) -> u128 {
        1 << self.0
    }
}

/// What an entry itself asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Verb {
    /// Whatever the feed's action is.
    Listed,
    /// NXDOMAIN (RPZ `CNAME .`).
    Nxdomain,
    /// NODATA (RPZ `CNAME *.`).
    Nodata,
    /// No answer at all (RPZ `CNAME rpz-drop.`).
    Drop,
    /// Let it through and end policy, if the feed may (RPZ `CNAME rpz-passthru.`).
    Passthru,
    /// No match of this feed here (adblock `@@`).
    Cancel,
    /// Over UDP: ask again over TCP (RPZ `CNAME rpz-tcp-only.`).
    TcpOnly,
    /// Answer these records (RPZ local data): see [`Listings::records`].
    Data(DataId),
}

impl Verb {
    /// Its number in the artifact and in [`Entries`]; [`Data`](Self::Data) has its set's number beside it.
    const fn number(self) -> u8 {
        match self {
            Self::Listed => 1,
            Self::Nxdomain => 2,
            Self::Nodata => 3,
            Self::Drop => 4,
            Self::Passthru => 5,
            Self::Cancel => 6,
            Self::TcpOnly => 7,
            Self::Data(_) => DATA,
        }
    }

    /// The verb with this number, `data` its set if it is [`Data`](Self::Data).
    const fn from_number(number: u8, data: u32) -> Option<Self> {
        Some(match number {
            1 => Self::Listed,
            2 => Self::Nxdomain,
            3 => Self::Nodata,
            4 => Self::Drop,
            5 => Self::Passthru,
            6 => Self::Cancel,
            7 => Self::TcpOnly,
            DATA => Self::Data(DataId::of(data)),
            _ => return None,
        })
    }

    /// The set it is answered with, if it is [`Data`](Self::Data).
    const fn data(self) -> Option<DataId> {
        match self {
            Self::Data(id) => Some(id),
            _ => None,
        }
    }
}

/// The number of [`Verb::Data`].
const DATA: u8 = 8;

/// What one entry asks for its name, and for everything below it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Verbs {
    /// For the name itself.
    pub at: Option<Verb>,
    /// For every name below it.
    pub below: Option<Verb>,
    /// Until when, for both.
    pub until: Until,
}

impl Verbs {
    /// Nothing at all.
    pub(super) const SILENT: Self = Self { at: None, below: None, until: Until::NEVER };

    /// The name and everything below it, for ever: what an indicator means in nearly every format.
    #[must_use]
    pub const fn subtree(verb: Verb) -> Self {
        Self { at: Some(verb), below: Some(verb), until: Until::NEVER }
    }

    /// The name alone, for ever: an RPZ owner, an `=name`.
    #[must_use]
    pub const fn exact(verb: Verb) -> Self {
        Self { at: Some(verb), below: None, until: Until::NEVER }
    }

    /// Only what is below the name, for ever: an RPZ `*.name`.
    #[must_use]
    pub const fn below(verb: Verb) -> Self {
        Self { at: None, below: Some(verb), until: Until::NEVER }
    }

    /// The same until `until`.
    #[must_use]
    pub const fn until(self, until: Until) -> Self {
        Self { until, ..self }
    }

    /// Whether it asks for nothing at all.
    #[inline]
    pub(super) const fn is_silent(self) -> bool {
        self.at.is_none() && self.below.is_none()
    }
}

/// One feed's word on one name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Listing {
    /// Whose.
    pub feed: FeedId,
    /// What it asks for.
    pub verbs: Verbs,
}
