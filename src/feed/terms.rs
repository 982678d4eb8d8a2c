//! [`Terms`]: under what terms a feed's text is read, whatever its format.

use std::num::NonZeroU16;
use std::sync::Arc;

use serde::Deserialize;

use super::Guard;

/// What an operator grants a feed, and asks of its entries.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Terms {
    /// Whether it may list a TLD, a public suffix or a network however wide.
    pub trust_suffixes: bool,
    /// Whether its passthru entries let names through. It changes nothing of how they are read; but what a feed sinks, and is refused for, turns on
    /// it, so that one of which it changes is read again.
    pub may_allow: bool,
    /// What it may not sink.
    pub guard: Arc<Guard>,
    /// Which column of a CSV feed holds its names; `None`: the header tells.
    pub column: Option<Column>,
    /// What is asked of its entries if it is STIX or MISP.
    pub indicators: IndicatorTerms,
}

/// A column of a CSV feed.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Deserialize)]
#[serde(untagged)]
pub enum Column {
    /// Its number, from 1.
    Number(NonZeroU16),
    /// What the header calls it; upper and lower case are the same.
    Name(String),
}

/// What an operator asks of indicators that say how sure they are and how far they may be shared.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct IndicatorTerms {
    /// The least confidence, 0 to 100; at 0 one that says nothing of it is taken too.
    pub confidence_min: u8,
    /// The strictest TLP.
    pub tlp_max: Tlp,
    /// The marking that each must have: a marking definition's id, a value of an ACS marking, a MISP tag. `None`: any or none.
    pub marking: Option<String>,
    /// Whether the host of any URL is taken; otherwise of a URL that has nothing but a host.
    pub url_hosts: bool,
}

impl IndicatorTerms {
    /// The longest marking: twice an id (a guess).
    pub const MARKING_OCTETS_MAX: usize = 128;
}

/// How far something may be shared (Traffic Light Protocol 2.0), the widest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Tlp {
    /// With everybody; WHITE in version 1.
    Clear,
    /// Within the community.
    Green,
    /// Within the organisation and with its clients.
    Amber,
    /// Within the organisation.
    AmberStrict,
    /// With the recipients alone.
    #[default]
    Red,
}
