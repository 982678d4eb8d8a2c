//! What an indicator is marked with: how far it may be shared (TLP), what the operator asks for, when it is to be destroyed (ACS).
//!
//! A marking may stand behind the objects that refer to it, so all are gathered before any object is judged. Nothing of their text is kept:
//! a marking is known by a hash of its id, and of it a few octets.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};

use serde::de::{MapAccess, SeqAccess};

use super::super::terms::{IndicatorTerms, Tlp};
use super::Reason;
use super::moment::micros_since_1970;
use super::value::{Field, Opening, Scalar, Sink, item_into, skip, value_into};

/// The most markings of one file: as many as there are indicators where each has an ACS marking of its own, which take over a kilobyte.
pub const MARKINGS_MAX: usize = 1 << 20;
/// The most markings that one object may refer to (a guess; published ones have at most three).
const REFS_MAX: usize = 64;

/// The extension that ACS markings are (STIX 2.1), and the type of their definition (STIX 2.0).
pub(super) const ACS: [&str; 2] = ["extension-definition--3a65884d-005a-4290-8335-cb2d778a83ce", "x-isa-acs-3-0"];
/// The extension that TLP 2 markings are.
pub(super) const TLP_2: &str = "extension-definition--60a3c5c5-0d10-413e-aab3-9e08dde9e88d";
/// The ids that TLP markings have in every file: those of version 1 (STIX 2.1 §7.2.1.4), and those of version 2 (OASIS common objects).
pub(super) const TLP_IDS: [(&str, Tlp); 9] = [
    ("marking-definition--613f2e26-407d-48c7-9eca-b8e91df99dc9", Tlp::Clear),
    ("marking-definition--34098fce-860f-48ae-8e50-ebd3cc5e41da", Tlp::Green),
    ("marking-definition--f88d31f6-486f-44da-b317-01333bde0b82", Tlp::Amber),
    ("marking-definition--5e57c739-391a-4eb3-b6be-7d15ca92d5ed", Tlp::Red),
    ("marking-definition--94868c89-83c2-464b-929b-a1a8aa3c8487", Tlp::Clear),
    ("marking-definition--bab4a63c-aed9-4cf5-a766-dfca5abac2bb", Tlp::Green),
    ("marking-definition--55d920b0-5e8b-4f79-9ee9-91f868d9b421", Tlp::Amber),
    ("marking-definition--939a9414-2ddd-4d32-a0cd-375ea402b003", Tlp::AmberStrict),
    ("marking-definition--e828b379-4e03-4974-9ac4-e53a884c97c1", Tlp::Red),
];

/// The level that a TLP label's last word names; one that is not known is as strict as any.
pub(super) fn tlp(word: &str) -> Tlp {
    let is = |known: &str| word.eq_ignore_ascii_case(known);
    match () {
        () if is("clear") || is("white") => Tlp::Clear,
        () if is("green") => Tlp::Green,
        () if is("amber") => Tlp::Amber,
        () if is("amber+strict") => Tlp::AmberStrict,
        () => Tlp::Red,
    }
}

/// All that an object is marked with.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Marks {
    /// The strictest TLP; `None` if it has none.
    pub(super) tlp: Option<Tlp>,
    /// Whether it has the marking that the operator asks for.
    pub(super) asked_for: bool,
    /// How sure its author is, 0 to 100.
    pub(super) confidence: Option<i64>,
    /// When the first is to be destroyed, in microseconds since 1970.
    pub(super) ends: Option<u64>,
}

impl Marks {
    /// These and those of `other`; its confidence is the nearer one.
    #[must_use]
    pub(super) fn and(self, other: Self) -> Self {
        Self {
            tlp: self.tlp.max(other.tlp),
            asked_for: self.asked_for || other.asked_for,
            confidence: other.confidence.or(self.confidence),
            ends: self.ends.into_iter().chain(other.ends).min(),
        }
    }

    /// Whether an object with these is taken.
    ///
    /// # Errors
    /// [`Reason::Confidence`], [`Reason::Marking`].
    pub(super) fn judge(&self, terms: &IndicatorTerms) -> Result<(), Reason> {
        let least = i64::from(terms.confidence_min);
        if least > 0 && self.confidence.is_none_or(|confidence| confidence < least) {
            return Err(Reason::Confidence);
        }
        let shared = self.tlp.is_none_or(|tlp| tlp <= terms.tlp_max);
        if shared && (terms.marking.is_none() || self.asked_for) { Ok(()) } else { Err(Reason::Marking) }
    }
}

/// The markings of a file, by a hash of their ids.
pub(super) struct Markings<'t> {
    /// What they come to.
    known: HashMap<u64, Marks>,
    /// What ids are hashed with.
    hasher: RandomState,
    /// The marking that the operator asks for.
    asked_for: Option<&'t str>,
    /// Whether there were more than [`MARKINGS_MAX`].
    pub(super) overflowed: bool,
}

impl<'t> Markings<'t> {
    /// Those that are the same everywhere.
    pub(super) fn new(terms: &'t IndicatorTerms) -> Self {
        let asked_for = terms.marking.as_deref();
        let mut markings = Self { known: HashMap::new(), hasher: RandomState::new(), asked_for, overflowed: false };
        for (id, tlp) in TLP_IDS {
            markings.define(id, Marks { tlp: Some(tlp), ..Marks::default() });
        }
        markings
    }

    /// What stands for `id`.
    pub(super) fn hash(&self, id: &str) -> u64 {
        self.hasher.hash_one(id)
    }

    /// The marking that the operator asks for.
    pub(super) const fn asked_for(&self) -> Option<&'t str> {
        self.asked_for
    }

    /// Takes a definition. The first of an id stands: a file cannot say what TLP:RED is.
    pub(super) fn define(&mut self, id: &str, marks: Marks) {
        if self.known.len() >= MARKINGS_MAX {
            self.overflowed = true;
            return;
        }
        let asked_for = marks.asked_for || self.asked_for == Some(id);
        self.known.entry(self.hash(id)).or_insert(Marks { asked_for, ..marks });
    }

    /// What references come to. One that is defined nowhere may forbid anything.
    pub(super) fn of(&self, refs: &Refs) -> Marks {
        let asked_for = self.asked_for.map(|id| self.hash(id));
        let unknown = |id| Marks { tlp: Some(Tlp::Red), asked_for: Some(id) == asked_for, ..Marks::default() };
        let each = refs.ids.iter().map(|id| self.known.get(id).copied().unwrap_or_else(|| unknown(*id)));
        each.fold(Marks::default(), Marks::and)
    }
}

/// The markings that an object refers to, by their hashes.
#[derive(Debug, Clone, Default)]
pub(super) struct Refs {
    /// At most [`REFS_MAX`].
    ids: Vec<u64>,
    /// Whether something else stands among them, or there are too many.
    pub(super) wrong: bool,
}

/// Reads `object_marking_refs`, or `granular_markings`, of which those of the pattern count.
pub(super) struct RefsOf<'r, 't> {
    /// What was read.
    pub(super) refs: &'r mut Refs,
    /// What ids are hashed by.
    pub(super) markings: &'r Markings<'t>,
    /// Whether they are granular.
    pub(super) granular: bool,
}

impl RefsOf<'_, '_> {
    /// Takes one reference.
    fn push(&mut self, id: &Field) {
        match id.text() {
            Ok(Some(id)) if self.refs.ids.len() < REFS_MAX => self.refs.ids.push(self.markings.hash(id)),
            _ => self.refs.wrong = true,
        }
    }
}

impl Sink for RefsOf<'_, '_> {
    fn scalar(&mut self, scalar: Scalar<'_>) {
        self.refs.wrong |= !matches!(scalar, Scalar::Null);
    }

    fn open(&mut self, opening: Opening) {
        self.refs.wrong |= opening == Opening::Object;
    }

    fn item<'de, A: SeqAccess<'de>>(&mut self, list: &mut A) -> Result<bool, A::Error> {
        let (mut id, mut granular) = (Field::default(), Granular::default());
        let more = if self.granular { item_into(list, &mut granular)? } else { item_into(list, &mut id)? };
        if more && !self.granular {
            self.push(&id);
        } else if granular.selects && granular.marking != Field::Absent {
            self.push(&granular.marking);
        }
        Ok(more)
    }
}

/// One granular marking (STIX 2.1 §7.2.3).
#[derive(Default)]
struct Granular {
    /// The marking; absent if it tells of a language.
    marking: Field,
    /// Whether it is of the pattern.
    selects: bool,
}

impl Sink for Granular {
    fn value<'de, A: MapAccess<'de>>(&mut self, key: &str, object: &mut A) -> Result<(), A::Error> {
        match key {
            "marking_ref" => value_into(object, &mut self.marking),
            "selectors" => value_into(object, &mut Holds { text: "pattern", found: &mut self.selects }),
            _ => skip(object),
        }
    }
}

/// Whether a string stands anywhere in a value.
struct Holds<'h> {
    /// The string.
    text: &'h str,
    /// Whether it was found.
    found: &'h mut bool,
}

impl Sink for Holds<'_> {
    fn scalar(&mut self, scalar: Scalar<'_>) {
        *self.found |= matches!(scalar, Scalar::Text(text) if text == self.text);
    }

    fn item<'de, A: SeqAccess<'de>>(&mut self, list: &mut A) -> Result<bool, A::Error> {
        item_into(list, self)
    }

    fn value<'de, A: MapAccess<'de>>(&mut self, _key: &str, object: &mut A) -> Result<(), A::Error> {
        value_into(object, self)
    }
}

/// What a marking definition says: `definition`, and the extensions that are read.
pub(super) struct Definition<'t> {
    /// What it comes to.
    pub(super) marks: Marks,
    /// The marking that the operator asks for.
    asked_for: Option<&'t str>,
}

impl<'t> Definition<'t> {
    /// Nothing yet.
    pub(super) fn new(asked_for: Option<&'t str>) -> Self {
        Self { marks: Marks::default(), asked_for }
    }
}

impl Sink for Definition<'_> {
    fn value<'de, A: MapAccess<'de>>(&mut self, key: &str, object: &mut A) -> Result<(), A::Error> {
        let mut field = Field::default();
        match (key, self.asked_for) {
            ("tlp" | "tlp_2_0", _) => {
                value_into(object, &mut field)?;
                let level = field.text().map_or(Some(Tlp::Red), |text| text.map(tlp));
                self.marks.tlp = self.marks.tlp.max(level);
                Ok(())
            }
            ("control_set" | "identifier", Some(text)) => {
                value_into(object, &mut Holds { text, found: &mut self.marks.asked_for })
            }
            ("resource_disposition", _) => value_into(object, self),
            ("disposition_date", _) => {
                value_into(object, &mut field)?;
                // What is to be destroyed on a day that cannot be read is not used.
                let day = field.text().map_or(Some(0), |text| text.map(|text| micros_since_1970(text).unwrap_or(0)));
                self.marks.ends = self.marks.ends.into_iter().chain(day).min();
                Ok(())
            }
            (key, _) if ACS.contains(&key) || key == TLP_2 => value_into(object, self),
            _ => skip(object),
        }
    }
}
