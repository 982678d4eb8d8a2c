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
    /// What it may not sink.
    pub guard: Arc<Guard>,
    /// Which column of a CSV feed holds its names; `None`: the header tells.
    pub column: Option<Column>,
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
