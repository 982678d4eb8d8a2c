//! [`Terms`]: under what terms a feed's text is read, whatever its format.

use std::sync::Arc;

use super::Guard;

/// What an operator grants a feed, and asks of its entries.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Terms {
    /// Whether it may list a TLD, a public suffix or a network however wide.
    pub trust_suffixes: bool,
    /// What it may not sink.
    pub guard: Arc<Guard>,
}
