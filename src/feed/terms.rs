//! [`Terms`]: under what terms a feed's text is read, whatever its format.

/// What an operator grants a feed, and asks of its entries.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Terms {
    /// Whether it may list a TLD, a public suffix or a network however wide.
    pub trust_suffixes: bool,
}
