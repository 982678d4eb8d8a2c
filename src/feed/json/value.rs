//! [`Sink`]: what is read out of a JSON value as it passes. A value of another kind than wanted is read past and known as such, so that
//! it costs the object it is in, and not the rest of the text.
//!
//! Nothing is kept but what a sink keeps: [`Field`] keeps a string of at most [`KEPT_OCTETS_MAX`].

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::Reason;

/// The longest string that is kept: a pattern of a thousand names (a guess; the longest among published ones is of 700 octets).
pub(super) const KEPT_OCTETS_MAX: usize = 64 * 1024;
/// The longest key that is told from others: room for an extension's id.
const KEY_OCTETS_MAX: usize = 64;

/// A value that is neither a list nor an object.
#[derive(Debug, Clone, Copy)]
pub(super) enum Scalar<'v> {
    /// `null`.
    Null,
    /// `true` or `false`.
    Flag(bool),
    /// A whole number.
    Number(i64),
    /// Any other number.
    OtherNumber,
    /// A string.
    Text(&'v str),
}

/// What a value is made of others with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Opening {
    /// `[`.
    List,
    /// `{`.
    Object,
}

/// What takes a value.
pub(super) trait Sink {
    /// Takes a value that is neither a list nor an object.
    fn scalar(&mut self, _: Scalar<'_>) {}

    /// A list or an object begins.
    fn open(&mut self, _: Opening) {}

    /// Takes the list's next item; `false` if there is none.
    ///
    /// # Errors
    /// Those of `list`.
    fn item<'de, A: SeqAccess<'de>>(&mut self, list: &mut A) -> Result<bool, A::Error> {
        list.next_element::<IgnoredAny>().map(|item| item.is_some())
    }

    /// Takes the value of `key`.
    ///
    /// # Errors
    /// Those of `object`.
    fn value<'de, A: MapAccess<'de>>(&mut self, _key: &str, object: &mut A) -> Result<(), A::Error> {
        skip(object)
    }
}

/// Reads past the value of a key that is not wanted.
pub(super) fn skip<'de, A: MapAccess<'de>>(object: &mut A) -> Result<(), A::Error> {
    object.next_value::<IgnoredAny>().map(|_| ())
}

/// Reads the value of a key into `sink`.
pub(super) fn value_into<'de, A: MapAccess<'de>>(object: &mut A, sink: &mut impl Sink) -> Result<(), A::Error> {
    object.next_value_seed(Fill(sink))
}

/// Reads an item into `sink`; `false` if there is none.
pub(super) fn item_into<'de, A: SeqAccess<'de>>(list: &mut A, sink: &mut impl Sink) -> Result<bool, A::Error> {
    list.next_element_seed(Fill(sink)).map(|item| item.is_some())
}

/// A value on its way into a sink.
pub(super) struct Fill<'s, S>(pub(super) &'s mut S);

impl<'de, S: Sink> DeserializeSeed<'de> for Fill<'_, S> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de, S: Sink> Visitor<'de> for Fill<'_, S> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        self.0.scalar(Scalar::Null);
        Ok(())
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<(), E> {
        self.0.scalar(Scalar::Flag(value));
        Ok(())
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<(), E> {
        self.0.scalar(Scalar::Number(value));
        Ok(())
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<(), E> {
        self.0.scalar(i64::try_from(value).map_or(Scalar::OtherNumber, Scalar::Number));
        Ok(())
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<(), E> {
        self.0.scalar(Scalar::OtherNumber);
        Ok(())
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<(), E> {
        self.0.scalar(Scalar::Text(text));
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        self.0.open(Opening::List);
        while self.0.item(&mut list)? {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<(), A::Error> {
        self.0.open(Opening::Object);
        let mut key = String::new();
        while object.next_key_seed(Key(&mut key))?.is_some() {
            self.0.value(&key, &mut object)?;
        }
        Ok(())
    }
}

/// An object's key on its way into a string that is used for all of them; one that is too long for any known key is left empty.
struct Key<'k>(&'k mut String);

impl<'de> DeserializeSeed<'de> for Key<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for Key<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<(), E> {
        self.0.clear();
        if text.len() <= KEY_OCTETS_MAX {
            self.0.push_str(text);
        }
        Ok(())
    }
}

/// The value of a key that is wanted and holds no others.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) enum Field {
    /// The key is not there, or is `null`.
    #[default]
    Absent,
    /// `true` or `false`.
    Flag(bool),
    /// A whole number.
    Number(i64),
    /// A string.
    Text(String),
    /// A string over [`KEPT_OCTETS_MAX`].
    TooLong,
    /// Anything else.
    Other,
}

impl Sink for Field {
    fn scalar(&mut self, scalar: Scalar<'_>) {
        *self = match scalar {
            Scalar::Null => Self::Absent,
            Scalar::Flag(value) => Self::Flag(value),
            Scalar::Number(value) => Self::Number(value),
            Scalar::OtherNumber => Self::Other,
            Scalar::Text(text) if text.len() > KEPT_OCTETS_MAX => Self::TooLong,
            Scalar::Text(text) => Self::Text(text.to_owned()),
        };
    }

    fn open(&mut self, _: Opening) {
        *self = Self::Other;
    }
}

impl Field {
    /// The string, if there is one.
    ///
    /// # Errors
    /// It is something else, or too long.
    pub(super) fn text(&self) -> Result<Option<&str>, Reason> {
        match self {
            Self::Absent => Ok(None),
            Self::Text(text) => Ok(Some(text)),
            Self::TooLong => Err(Reason::LineTooLong),
            _ => Err(Reason::Syntax),
        }
    }

    /// The flag, if there is one; MISP writes some as `0`, `"0"`, `1` and `"1"`.
    ///
    /// # Errors
    /// It is something else.
    pub(super) fn flag(&self) -> Result<Option<bool>, Reason> {
        match self {
            Self::Absent => Ok(None),
            Self::Flag(value) => Ok(Some(*value)),
            Self::Number(0) => Ok(Some(false)),
            Self::Number(1) => Ok(Some(true)),
            Self::Text(text) if text == "0" || text == "false" => Ok(Some(false)),
            Self::Text(text) if text == "1" || text == "true" => Ok(Some(true)),
            _ => Err(Reason::Syntax),
        }
    }

    /// The whole number, if there is one.
    ///
    /// # Errors
    /// It is something else.
    pub(super) const fn number(&self) -> Result<Option<i64>, Reason> {
        match self {
            Self::Absent => Ok(None),
            Self::Number(value) => Ok(Some(*value)),
            _ => Err(Reason::Syntax),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The value of the key `a`.
    #[derive(Default)]
    struct OneKey(Field);

    impl Sink for OneKey {
        fn value<'de, A: MapAccess<'de>>(&mut self, key: &str, object: &mut A) -> Result<(), A::Error> {
            if key == "a" { value_into(object, &mut self.0) } else { skip(object) }
        }
    }

    fn field(text: &str) -> Field {
        let mut one = OneKey::default();
        Fill(&mut one).deserialize(&mut serde_json::Deserializer::from_str(text)).unwrap();
        one.0
    }

    #[test]
    fn whatever_stands_there_is_told_and_the_rest_is_read() {
        let text = |text: &str| Field::Text(text.to_owned());
        let long = format!("{{\"a\": \"{}\"}}", "x".repeat(KEPT_OCTETS_MAX + 1));
        let longest = format!("{{\"a\": \"{}\"}}", "x".repeat(KEPT_OCTETS_MAX));
        for (json, want) in [
            (r#"{"b": {"a": 1}}"#, Field::Absent),
            (r#"{"a": null}"#, Field::Absent),
            (r#"{"b": [{}], "a": "x\u0041", "c": 1e999}"#, text("xA")),
            (r#"{"a": true}"#, Field::Flag(true)),
            (r#"{"a": -7}"#, Field::Number(-7)),
            (r#"{"a": 18446744073709551615}"#, Field::Other),
            (r#"{"a": 1.5}"#, Field::Other),
            (r#"{"a": []}"#, Field::Other),
            (r#"{"a": {}}"#, Field::Other),
            (r#"{"a": [["x"], {"a": "x"}]}"#, Field::Other),
            (r#"{"a": 1, "a": "2"}"#, text("2")),
            ("[]", Field::Absent),
            ("7", Field::Absent),
            (&long, Field::TooLong),
            (&longest, text(&"x".repeat(KEPT_OCTETS_MAX))),
        ] {
            assert_eq!(field(json), want, "{:.60}", json);
        }
    }

    #[test]
    fn a_field_is_what_is_asked_for_or_the_object_is_refused() {
        let (wrong, none) = (Err(Reason::Syntax), Ok(None));
        for (value, text, flag, number) in [
            (Field::Absent, Ok(None), none, Ok(None)),
            (Field::Text("1".into()), Ok(Some("1")), Ok(Some(true)), Err(Reason::Syntax)),
            (Field::Text("false".into()), Ok(Some("false")), Ok(Some(false)), Err(Reason::Syntax)),
            (Field::Text("x".into()), Ok(Some("x")), wrong, Err(Reason::Syntax)),
            (Field::Flag(true), Err(Reason::Syntax), Ok(Some(true)), Err(Reason::Syntax)),
            (Field::Number(0), Err(Reason::Syntax), Ok(Some(false)), Ok(Some(0))),
            (Field::Number(2), Err(Reason::Syntax), wrong, Ok(Some(2))),
            (Field::TooLong, Err(Reason::LineTooLong), wrong, Err(Reason::Syntax)),
            (Field::Other, Err(Reason::Syntax), wrong, Err(Reason::Syntax)),
        ] {
            assert_eq!((value.text(), value.flag(), value.number()), (text, flag, number), "{value:?}");
        }
    }
}
