//! [`Name`]: a name of our own, on the stack, read from text or copied from a message.

use super::{LABEL_OCTETS_MAX, NAME_OCTETS_MAX, NameError, NameKey, NameRef};

/// An owned name in wire form, at most 255 octets, letters as they came.
#[derive(Clone)]
pub struct Name {
    /// The first `length` octets are a whole, valid, uncompressed name.
    octets: [u8; NAME_OCTETS_MAX],
    /// Octets in use, at least 1.
    length: u8,
}

impl Name {
    /// The root.
    pub const ROOT: Self = Self { octets: [0; NAME_OCTETS_MAX], length: 1 };

    /// Reads presentation format (RFC 1035 §5.1): `www.example.com`, with or without the final dot, `\.` and `\DDD` understood.
    /// Printable ASCII only; a Unicode name must be turned into A-labels first.
    ///
    /// # Errors
    /// [`NameError`], saying which rule the text breaks.
    pub fn from_text(text: &[u8]) -> Result<Self, NameError> {
        let mut name = Self { octets: [0; NAME_OCTETS_MAX], length: 0 };
        if text.is_empty() {
            return Err(NameError::EmptyLabel);
        }
        if text == b"." {
            return Ok(Self::ROOT);
        }
        let mut rest = text;
        while !rest.is_empty() {
            rest = name.push_label(rest)?;
        }
        name.push(0)?;
        Ok(name)
    }

    /// Reads a name as a person writes it: presentation format, or Unicode, which becomes A-labels (UTS 46).
    ///
    /// # Errors
    /// [`NameError`].
    pub fn from_written(text: &str) -> Result<Self, NameError> {
        if text.is_ascii() {
            return Self::from_text(text.as_bytes());
        }
        let ascii = idna::domain_to_ascii(text).map_err(|_| NameError::Character)?;
        Self::from_text(ascii.as_bytes())
    }

    /// Whether one of its labels is an asterisk.
    #[must_use]
    pub fn has_wildcard(&self) -> bool {
        self.view().is_ok_and(|name| name.root_first().any(|label| label == b"\x01*"))
    }

    /// Takes one label and its dot off the front of `text`, appends it, and returns what is left.
    fn push_label<'t>(&mut self, text: &'t [u8]) -> Result<&'t [u8], NameError> {
        let start = usize::from(self.length);
        self.push(0)?;
        let mut count = 0_u8;
        let mut rest = text;
        loop {
            let octet = match rest {
                [] => break,
                [b'.', tail @ ..] => {
                    rest = tail;
                    break;
                }
                [b'\\', tail @ ..] => {
                    let (octet, used) = unescape(tail)?;
                    rest = tail.get(used..).unwrap_or_default();
                    octet
                }
                [b'"' | b'(' | b')' | b';' | b'@', ..] => return Err(NameError::Character),
                [octet @ 0x21..=0x7e, tail @ ..] => {
                    rest = tail;
                    *octet
                }
                _ => return Err(NameError::Character),
            };
            count += 1;
            if usize::from(count) > LABEL_OCTETS_MAX {
                return Err(NameError::LabelTooLong);
            }
            self.push(octet)?;
        }
        if count == 0 {
            return Err(NameError::EmptyLabel);
        }
        if let Some(slot) = self.octets.get_mut(start) {
            *slot = count;
        }
        Ok(rest)
    }

    /// Appends one octet.
    fn push(&mut self, octet: u8) -> Result<(), NameError> {
        let slot = self.octets.get_mut(usize::from(self.length)).ok_or(NameError::TooLong)?;
        *slot = octet;
        self.length = self.length.checked_add(1).ok_or(NameError::TooLong)?;
        Ok(())
    }

    /// Copies the name at the front of `wire`, uncompressed.
    ///
    /// # Errors
    /// As [`NameRef::read`].
    pub fn from_wire(wire: &[u8]) -> Result<Self, NameError> {
        let view = NameRef::read(wire)?;
        let mut name = Self { octets: [0; NAME_OCTETS_MAX], length: 0 };
        for &octet in view.wire() {
            name.push(octet)?;
        }
        Ok(name)
    }

    /// The name of a lookup key, folded as that is.
    ///
    /// # Errors
    /// As [`NameRef::read`], and [`NameError::TooLong`] for what is no key.
    pub fn from_key(key: &[u8]) -> Result<Self, NameError> {
        let mut name = Self { octets: [0; NAME_OCTETS_MAX], length: 0 };
        let (mut rest, mut at) = (key, key.len());
        // The key is root-first; the name is filled from its end.
        while let [length, tail @ ..] = rest {
            let (label, after) = tail.split_at_checked(usize::from(*length)).ok_or(NameError::Truncated)?;
            let end = at;
            at = at.checked_sub(label.len() + 1).ok_or(NameError::Truncated)?;
            let room = name.octets.get_mut(at..end).ok_or(NameError::TooLong)?;
            room.iter_mut().zip(std::iter::once(length).chain(label)).for_each(|(slot, &octet)| *slot = octet);
            rest = after;
        }
        name.length = u8::try_from(key.len() + 1).map_err(|_| NameError::TooLong)?;
        let whole = NameRef::read(name.wire())?.wire().len() == name.wire().len();
        if whole { Ok(name) } else { Err(NameError::EmptyLabel) }
    }

    /// The wire form, root label included.
    #[must_use]
    pub fn wire(&self) -> &[u8] {
        self.octets.get(..usize::from(self.length)).unwrap_or_default()
    }

    /// A view of it, labels found.
    ///
    /// # Errors
    /// None in practice: a `Name` is valid by construction.
    pub fn view(&self) -> Result<NameRef<'_>, NameError> {
        NameRef::read(self.wire())
    }

    /// Its lookup form.
    ///
    /// # Errors
    /// None in practice: a `Name` is valid by construction.
    pub fn key(&self) -> Result<NameKey, NameError> {
        Ok(NameKey::of(&self.view()?))
    }

    /// The text of the name, for a person who asked about this very name. Never for a log, a metric or an error.
    #[must_use]
    pub fn reveal(&self) -> Revealed<'_> {
        Revealed(self.wire())
    }
}

/// What a backslash stands for, and how many octets after it belong to the escape.
fn unescape(tail: &[u8]) -> Result<(u8, usize), NameError> {
    match tail {
        [a @ b'0'..=b'9', b @ b'0'..=b'9', c @ b'0'..=b'9', ..] => {
            let value = u16::from(a - b'0') * 100 + u16::from(b - b'0') * 10 + u16::from(c - b'0');
            u8::try_from(value).map(|octet| (octet, 3)).map_err(|_| NameError::Character)
        }
        [b'0'..=b'9', ..] | [] => Err(NameError::Character),
        [octet, ..] => Ok((*octet, 1)),
    }
}

impl std::fmt::Debug for Name {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("<name>")
    }
}

impl PartialEq for Name {
    /// The same name, letter case aside (RFC 4343 §3).
    fn eq(&self, other: &Self) -> bool {
        self.wire().eq_ignore_ascii_case(other.wire())
    }
}

impl Eq for Name {}

/// A name about to be shown to somebody who already knows it, in presentation format with escapes.
pub struct Revealed<'a>(&'a [u8]);

impl std::fmt::Display for Revealed<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut rest = self.0;
        let mut first = true;
        while let [length @ 1..=255, tail @ ..] = rest {
            let (label, after) = tail.split_at_checked(usize::from(*length)).unwrap_or((tail, &[]));
            if !first {
                f.write_str(".")?;
            }
            first = false;
            for &octet in label {
                match octet {
                    b'.' | b'\\' | b'"' | b'(' | b')' | b';' | b'@' => write!(f, "\\{}", char::from(octet))?,
                    0x21..=0x7e => write!(f, "{}", char::from(octet))?,
                    _ => write!(f, "\\{octet:03}")?,
                }
            }
            rest = after;
        }
        if first { f.write_str(".") } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_unicode_name_is_turned_into_a_labels() {
        let written = |text| Name::from_written(text).map(|name| name.reveal().to_string());
        assert_eq!(written("B\u{fc}cher.example").unwrap(), "xn--bcher-kva.example");
        assert_eq!(written("www.example.").unwrap(), "www.example");
        assert!(written("\u{fffd}.example").is_err());
    }

    #[test]
    fn a_key_is_the_name_it_was_made_of() {
        for text in [".", "a", "www.Example.com", &"a.".repeat(126)] {
            let name = Name::from_text(text.as_bytes()).unwrap();
            let back = Name::from_key(name.key().unwrap().as_bytes()).unwrap();
            assert!(back.wire().eq_ignore_ascii_case(name.wire()), "{text}");
        }
        for key in [&b"\x03co"[..], b"\0", b"\x40", &[1; 255]] {
            assert!(Name::from_key(key).is_err(), "{key:?}");
        }
    }

    #[test]
    fn text_to_wire_and_back() {
        for (text, wire, shown) in [
            ("www.Example.com", &b"\x03www\x07Example\x03com\0"[..], "www.Example.com"),
            ("www.example.com.", b"\x03www\x07example\x03com\0", "www.example.com"),
            (".", b"\0", "."),
            ("_dmarc.a--b.x-", b"\x06_dmarc\x04a--b\x02x-\0", "_dmarc.a--b.x-"),
            (r"a\.b.\032c", b"\x03a.b\x02 c\0", r"a\.b.\032c"),
        ] {
            let name = Name::from_text(text.as_bytes()).unwrap();
            assert_eq!(name.wire(), wire, "{text}");
            assert_eq!(name.reveal().to_string(), shown, "{text}");
            assert_eq!(Name::from_wire(wire).unwrap(), name);
        }
    }

    #[test]
    fn bad_text_is_refused_by_its_rule() {
        let label64 = "a".repeat(64);
        let long = ["a".repeat(63), "b".repeat(63), "c".repeat(63), "d".repeat(62)].join(".");
        for (text, want) in [
            ("", NameError::EmptyLabel),
            ("..", NameError::EmptyLabel),
            ("a..b", NameError::EmptyLabel),
            (".a", NameError::EmptyLabel),
            (&label64, NameError::LabelTooLong),
            (&long, NameError::TooLong),
            ("a b", NameError::Character),
            ("a\u{e9}", NameError::Character),
            (r"a\25", NameError::Character),
            (r"a\256", NameError::Character),
            ("a\\", NameError::Character),
            ("(a", NameError::Character),
        ] {
            assert_eq!(Name::from_text(text.as_bytes()).unwrap_err(), want, "{text}");
        }
        let longest = ["a".repeat(63), "b".repeat(63), "c".repeat(63), "d".repeat(61)].join(".");
        assert_eq!(Name::from_text(longest.as_bytes()).unwrap().wire().len(), NAME_OCTETS_MAX);
    }

    #[test]
    fn nothing_shows_a_name_by_accident() {
        let name = Name::from_text(b"canary.example").unwrap();
        assert_eq!(format!("{name:?}{:?}{:?}", name.view().unwrap(), name.key().unwrap()), "<name><name><name>");
    }
}
