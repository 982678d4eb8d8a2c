//! [`NameKey`]: the lookup form of a name, root-first, each label led by its length, letters folded.
//!
//! `www.Example.com` is `3com7example3www`: a parent's key is a prefix of its children's keys and of no other name's, because the
//! length octets keep labels apart (`notbad` cannot match `bad`). Knot's `dname_lf` and NSD's tree order serve the same end.

use super::{NAME_OCTETS_MAX, NameRef, fold};

/// Octets of the longest key: a name without its root label.
const KEY_OCTETS_MAX: usize = NAME_OCTETS_MAX - 1;

/// A name's lookup form, on the stack.
#[derive(Clone)]
pub struct NameKey {
    /// The key is the first `length` octets.
    octets: [u8; KEY_OCTETS_MAX],
    /// Octets in use.
    length: u8,
}

impl NameKey {
    /// The key of `name`; the root's is empty.
    #[must_use]
    pub fn of(name: &NameRef<'_>) -> Self {
        let mut key = Self { octets: [0; KEY_OCTETS_MAX], length: 0 };
        let mut room = key.octets.iter_mut();
        for octet in name.root_first().flatten() {
            if let Some(slot) = room.next() {
                *slot = fold(*octet);
                key.length += 1;
            }
        }
        key
    }

    /// The key's octets, 0 to 254.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.octets.get(..usize::from(self.length)).unwrap_or_default()
    }
}

impl std::fmt::Debug for NameKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("<name>")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn worked_example() {
        let name = NameRef::read(b"\x03wWw\x07Example\x03com\0").unwrap();
        assert_eq!(NameKey::of(&name).as_bytes(), b"\x03com\x07example\x03www");
        assert_eq!(NameKey::of(&NameRef::read(b"\0").unwrap()).as_bytes(), b"");
    }
}
