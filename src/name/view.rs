//! A name where it lies in a message, uncompressed: nothing is copied, its labels are found once.
//!
//! Reading costs one step a label.

use super::{LABEL_OCTETS_MAX, LABELS_MAX, NAME_OCTETS_MAX, NameError, fold};

/// A borrowed, uncompressed name in wire form.
#[derive(Clone)]
pub struct NameRef<'a> {
    /// Wire form, 1 to 255 octets, root label included.
    wire: &'a [u8],
    /// Where each label's length octet stands in `wire`, leftmost first; the first `labels` are set.
    starts: [u8; LABELS_MAX],
    /// How many labels, the root not counted.
    labels: u8,
}

impl<'a> NameRef<'a> {
    /// Reads the name at the front of `octets`; what follows it is left alone.
    ///
    /// # Errors
    /// [`NameError::Truncated`], [`NameError::LabelType`] (a question's name is never compressed: it is the first) or
    /// [`NameError::TooLong`].
    #[inline]
    pub fn read(octets: &'a [u8]) -> Result<Self, NameError> {
        let mut starts = [0; LABELS_MAX];
        let mut labels = 0_u8;
        let mut at = 0_usize;
        loop {
            let length = usize::from(*octets.get(at).ok_or(NameError::Truncated)?);
            if length == 0 {
                break;
            }
            if length > LABEL_OCTETS_MAX {
                return Err(NameError::LabelType);
            }
            if at + length + 2 > NAME_OCTETS_MAX {
                return Err(NameError::TooLong);
            }
            let (Some(slot), Ok(start)) = (starts.get_mut(usize::from(labels)), u8::try_from(at)) else {
                return Err(NameError::TooLong);
            };
            *slot = start;
            labels += 1;
            at += length + 1;
        }
        let wire = octets.get(..=at).ok_or(NameError::Truncated)?;
        Ok(Self { wire, starts, labels })
    }

    /// The wire form, root label included: 1 to 255 octets, letters as they came.
    #[inline]
    #[must_use]
    pub const fn wire(&self) -> &'a [u8] {
        self.wire
    }

    /// How many labels, the root not counted: 0 to 127.
    #[inline]
    #[must_use]
    pub fn labels(&self) -> usize {
        usize::from(self.labels)
    }

    /// The labels from the root's side down, each led by its length octet, letters as they came.
    #[inline]
    pub fn root_first(&self) -> impl Iterator<Item = &'a [u8]> + '_ {
        let mut end = self.wire.len().saturating_sub(1);
        self.starts.get(..self.labels()).unwrap_or_default().iter().rev().map(move |&start| {
            let start = usize::from(start);
            let label = self.wire.get(start..end).unwrap_or_default();
            end = start;
            label
        })
    }

    /// The wire form of the ancestor with `labels` labels (all of them: the name itself; 0: the root).
    #[inline]
    #[must_use]
    pub fn suffix(&self, labels: usize) -> &'a [u8] {
        let skipped = self.labels().saturating_sub(labels);
        let from = if skipped == self.labels() {
            self.wire.len().saturating_sub(1)
        } else {
            self.starts.get(skipped).map_or(0, |&start| usize::from(start))
        };
        self.wire.get(from..).unwrap_or_default()
    }

    /// Whether two names are the same, letter case aside (RFC 4343 §3).
    #[must_use]
    pub fn eq_folded(&self, other: &[u8]) -> bool {
        self.wire.len() == other.len() && self.wire.iter().zip(other).all(|(&a, &b)| fold(a) == fold(b))
    }
}

impl std::fmt::Debug for NameRef<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("<name>")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_come_from_the_root_down() {
        let name = NameRef::read(b"\x03wWw\x07Example\x03com\0tail").unwrap();
        assert_eq!(name.labels(), 3);
        assert_eq!(name.wire().len(), 17);
        let labels: Vec<_> = name.root_first().collect();
        assert_eq!(labels, [&b"\x03com"[..], b"\x07Example", b"\x03wWw"]);
        assert_eq!(name.suffix(0), b"\0");
        assert_eq!(name.suffix(1), b"\x03com\0");
        assert_eq!(name.suffix(3), name.wire());
        assert!(name.eq_folded(b"\x03www\x07eXample\x03com\0"));
    }

    #[test]
    fn limits_hold() {
        let longest: Vec<u8> = [1, b'a'].repeat(127).into_iter().chain([0]).collect();
        assert_eq!(longest.len(), NAME_OCTETS_MAX);
        assert_eq!(NameRef::read(&longest).unwrap().labels(), LABELS_MAX);
        let over: Vec<u8> = [1, b'a'].repeat(128).into_iter().chain([0]).collect();
        for (octets, want) in [
            (&over[..], NameError::TooLong),
            (b"\xc0\x0c", NameError::LabelType),
            (b"\x40", NameError::LabelType),
            (b"", NameError::Truncated),
            (b"\x03ab", NameError::Truncated),
            (b"\x01a", NameError::Truncated),
        ] {
            assert_eq!(NameRef::read(octets).unwrap_err(), want, "{octets:?}");
        }
        assert_eq!(NameRef::read(b"\0").unwrap().labels(), 0);
    }
}
