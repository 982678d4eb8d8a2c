//! A domain name: read from a message or from text, and [`NameKey`], the form it is looked up in.
//!
//! No type here can be printed: `Debug` shows `<name>`, there is no `Display`, and the text of a name comes out only through
//! [`Name::reveal`], which the house rules allow to the admin socket's `explain` and to `cli` alone.

mod key;
mod owned;
mod set;
mod suffix;
mod view;

pub use key::NameKey;
pub use owned::{Name, Revealed};
pub use set::NameSet;
pub use suffix::SuffixMap;
pub use view::NameRef;

/// The longest name on the wire, root label included (RFC 1035 §2.3.4).
pub const NAME_OCTETS_MAX: usize = 255;
/// The longest label, without its length octet (RFC 1035 §2.3.4).
pub const LABEL_OCTETS_MAX: usize = 63;
/// The most labels a name can have, root label not counted: 127 labels of one octet and the root make 255 octets.
pub const LABELS_MAX: usize = 127;

/// Why some octets or some text are no domain name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// The octets end before the name does.
    #[error("the name is cut short")]
    Truncated,
    /// A compression pointer or an obsolete label type where plain labels are wanted (RFC 1035 §4.1.4, RFC 6891 §5).
    #[error("expected a plain label, got a compressed or extended one")]
    LabelType,
    /// Over 255 octets on the wire.
    #[error("expected at most 253 characters, got a longer name")]
    TooLong,
    /// A label of over 63 octets.
    #[error("expected labels of at most 63 octets, got a longer one")]
    LabelTooLong,
    /// Two dots in a row, or a dot in front.
    #[error("expected text between the dots, got an empty label")]
    EmptyLabel,
    /// An octet that presentation format does not allow bare, or an escape that is not one (RFC 1035 §5.1).
    #[error("expected a name in presentation format, got a character that cannot stand in one")]
    Character,
    /// A label that is an asterisk where no wildcard can stand.
    #[error("expected a name, got a wildcard that has no meaning there")]
    Wildcard,
}

/// Folds an ASCII capital to its small letter; every other octet stays, length octets too (63 < `A`) (RFC 4343 §3).
#[inline]
#[must_use]
pub const fn fold(octet: u8) -> u8 {
    octet.to_ascii_lowercase()
}
