//! MISP: an event, as in a MISP feed's files, or several, in a list or in a search's `response`. Attributes that are for detection (`to_ids`)
//! are taken, those inside an event's objects too; attributes that are no name, URL or address of a destination serve the format.
//!
//! An event's tags hold for its attributes and may stand behind them, so the first pass gathers the tags. `last_seen` says when something
//! was seen, not until when it counts: an attribute has no end.

use serde::de::{MapAccess, SeqAccess};

use super::super::indicator::{misp_type, take_misp};
use super::super::intake::{Bucket, Intake};
use super::Reason;
use super::markings::{MARKINGS_MAX, Marks, tlp};
use super::value::{Field, Opening, Sink, item_into, skip, value_into};

/// What the tag `misp:confidence-level` says, by the taxonomy's numbers.
const CONFIDENCE: [(&str, i64); 6] = [
    ("completely-confident", 100),
    ("usually-confident", 75),
    ("fairly-confident", 50),
    ("rarely-confident", 25),
    ("unconfident", 0),
    ("confidence-cannot-be-evaluated", 50),
];

/// The tags of events, by the events' places in the file.
#[derive(Debug, Default)]
pub(super) struct EventTags {
    /// Events without any are left out; in order once it is [`sorted`](Self::sorted).
    tags: Vec<(u64, Marks)>,
    /// Whether there were more than [`MARKINGS_MAX`].
    pub(super) overflowed: bool,
}

impl EventTags {
    /// In order.
    pub(super) fn sorted(mut self) -> Self {
        self.tags.sort_unstable_by_key(|&(event, _)| event);
        self
    }

    /// Keeps an event's.
    fn put(&mut self, event: u64, marks: Marks) {
        if marks != Marks::default() {
            self.overflowed |= self.tags.len() >= MARKINGS_MAX;
            if !self.overflowed {
                self.tags.push((event, marks));
            }
        }
    }

    /// An event's.
    fn of(&self, event: u64) -> Marks {
        let found = self.tags.binary_search_by_key(&event, |&(event, _)| event).ok();
        found.and_then(|at| self.tags.get(at)).map_or_else(Marks::default, |&(_, marks)| marks)
    }
}

/// What a pass is for.
pub(super) enum Pass<'r, 't> {
    /// To gather tags.
    Gather(&'r mut EventTags),
    /// To take attributes.
    Take {
        /// What was gathered.
        tags: &'r EventTags,
        /// What takes the entries.
        intake: &'r mut Intake<'t>,
    },
}

/// A pass over a file.
pub(super) struct Walk<'r, 't> {
    /// What it is for.
    pass: Pass<'r, 't>,
    /// The tag that the operator asks for.
    asked_for: Option<&'t str>,
    /// Events, and lists of them, that were met.
    events: u64,
}

impl<'r, 't> Walk<'r, 't> {
    /// At the file's start.
    pub(super) const fn new(pass: Pass<'r, 't>, asked_for: Option<&'t str>) -> Self {
        Self { pass, asked_for, events: 0 }
    }

    /// Takes an attribute.
    fn take(&mut self, attribute: &Attribute<'_>, event: Marks) {
        if let Pass::Take { intake, .. } = &mut self.pass {
            let bucket = attribute.take(event, intake).unwrap_or_else(Bucket::Refused);
            intake.end_line(bucket);
        }
    }
}

/// An event, or what events are wrapped in.
pub(super) struct Event<'w, 'r, 't> {
    /// The pass.
    walk: &'w mut Walk<'r, 't>,
    /// Its place.
    number: u64,
    /// Its own tags, as far as they were read.
    own: Marks,
    /// All that hold for its attributes; complete in the second pass.
    all: Marks,
}

impl<'w, 'r, 't> Event<'w, 'r, 't> {
    /// The file's one value.
    pub(super) fn outermost(walk: &'w mut Walk<'r, 't>) -> Self {
        Self::inside(walk, Marks::default())
    }

    /// One inside another, which has these tags.
    fn inside(walk: &'w mut Walk<'r, 't>, outer: Marks) -> Self {
        let number = walk.events;
        walk.events += 1;
        let all = match &walk.pass {
            Pass::Take { tags, .. } => outer.and(tags.of(number)),
            Pass::Gather(_) => outer,
        };
        Self { walk, number, own: Marks::default(), all }
    }

    /// Ends it.
    pub(super) fn end(self) {
        if let Pass::Gather(tags) = &mut self.walk.pass {
            tags.put(self.number, self.own);
        }
    }
}

impl Sink for Event<'_, '_, '_> {
    fn item<'de, A: SeqAccess<'de>>(&mut self, list: &mut A) -> Result<bool, A::Error> {
        let mut inner = Event::inside(self.walk, self.all);
        let more = item_into(list, &mut inner)?;
        inner.end();
        Ok(more)
    }

    fn value<'de, A: MapAccess<'de>>(&mut self, key: &str, object: &mut A) -> Result<(), A::Error> {
        match (key, &self.walk.pass) {
            ("Event" | "response", _) => {
                let mut inner = Event::inside(self.walk, self.all);
                value_into(object, &mut inner)?;
                inner.end();
                Ok(())
            }
            ("Tag", Pass::Gather(_)) => {
                value_into(object, &mut Tags { marks: &mut self.own, asked_for: self.walk.asked_for })
            }
            ("Attribute", Pass::Take { .. }) => {
                value_into(object, &mut Attributes { walk: self.walk, event: self.all })
            }
            ("Object", Pass::Take { .. }) => value_into(object, &mut Objects { walk: self.walk, event: self.all }),
            _ => skip(object),
        }
    }
}

/// An event's objects, or one of them.
struct Objects<'w, 'r, 't> {
    /// The pass.
    walk: &'w mut Walk<'r, 't>,
    /// The event's tags.
    event: Marks,
}

impl Sink for Objects<'_, '_, '_> {
    fn item<'de, A: SeqAccess<'de>>(&mut self, list: &mut A) -> Result<bool, A::Error> {
        item_into(list, self)
    }

    fn value<'de, A: MapAccess<'de>>(&mut self, key: &str, object: &mut A) -> Result<(), A::Error> {
        match key {
            "Attribute" => value_into(object, &mut Attributes { walk: self.walk, event: self.event }),
            _ => skip(object),
        }
    }
}

/// A list of attributes.
struct Attributes<'w, 'r, 't> {
    /// The pass.
    walk: &'w mut Walk<'r, 't>,
    /// The event's tags.
    event: Marks,
}

impl Sink for Attributes<'_, '_, '_> {
    fn item<'de, A: SeqAccess<'de>>(&mut self, list: &mut A) -> Result<bool, A::Error> {
        let mut attribute = Attribute::new(self.walk.asked_for);
        let more = item_into(list, &mut attribute)?;
        if more {
            self.walk.take(&attribute, self.event);
        }
        Ok(more)
    }
}

/// One attribute, as far as it is of use.
struct Attribute<'t> {
    /// Whether it is an object at all.
    is_object: bool,
    /// `type`.
    kind: Field,
    /// `value`.
    value: Field,
    /// `to_ids`.
    to_ids: Field,
    /// `deleted`.
    deleted: Field,
    /// Its own tags.
    marks: Marks,
    /// The tag that the operator asks for.
    asked_for: Option<&'t str>,
}

impl<'t> Attribute<'t> {
    /// One of which nothing is known.
    fn new(asked_for: Option<&'t str>) -> Self {
        let (kind, value, to_ids, deleted) = (Field::Absent, Field::Absent, Field::Absent, Field::Absent);
        Self { is_object: false, kind, value, to_ids, deleted, marks: Marks::default(), asked_for }
    }

    /// Takes what it says, and tells where it falls.
    fn take(&self, event: Marks, intake: &mut Intake<'_>) -> Result<Bucket, Reason> {
        let named = self.kind.text()?.filter(|_| self.is_object).ok_or(Reason::Syntax)?;
        let Some(kind) = misp_type(named) else { return Ok(Bucket::Header) };
        if self.deleted.flag()? == Some(true) {
            return Err(Reason::Revoked);
        }
        if self.to_ids.flag()? != Some(true) {
            return Err(Reason::NotToIds);
        }
        event.and(self.marks).judge(intake.indicators())?;
        let value = self.value.text()?.ok_or(Reason::Syntax)?;
        take_misp(kind, value, intake).map(|()| Bucket::Taken)
    }
}

impl Sink for Attribute<'_> {
    fn open(&mut self, opening: Opening) {
        self.is_object = opening == Opening::Object;
    }

    fn value<'de, A: MapAccess<'de>>(&mut self, key: &str, object: &mut A) -> Result<(), A::Error> {
        let field = match key {
            "type" => &mut self.kind,
            "value" => &mut self.value,
            "to_ids" => &mut self.to_ids,
            "deleted" => &mut self.deleted,
            "Tag" => return value_into(object, &mut Tags { marks: &mut self.marks, asked_for: self.asked_for }),
            _ => return skip(object),
        };
        value_into(object, field)
    }
}

/// A list of tags, or one of them.
struct Tags<'m, 't> {
    /// What they come to.
    marks: &'m mut Marks,
    /// The tag that the operator asks for.
    asked_for: Option<&'t str>,
}

impl Sink for Tags<'_, '_> {
    fn item<'de, A: SeqAccess<'de>>(&mut self, list: &mut A) -> Result<bool, A::Error> {
        item_into(list, self)
    }

    fn value<'de, A: MapAccess<'de>>(&mut self, key: &str, object: &mut A) -> Result<(), A::Error> {
        if key != "name" {
            return skip(object);
        }
        let mut name = Field::Absent;
        value_into(object, &mut name)?;
        if let Field::Text(name) = &name {
            *self.marks = self.marks.and(said_by(name, self.asked_for));
        }
        Ok(())
    }
}

/// What a tag says.
fn said_by(tag: &str, asked_for: Option<&str>) -> Marks {
    let level = tag.split_at_checked(4).filter(|(front, _)| front.eq_ignore_ascii_case("tlp:"));
    let confidence = tag.strip_prefix("misp:confidence-level=").map(|level| level.trim_matches('"'));
    let confidence = confidence.and_then(|word| CONFIDENCE.iter().find(|(known, _)| *known == word));
    Marks {
        tlp: level.map(|(_, word)| tlp(word)),
        asked_for: asked_for == Some(tag),
        confidence: confidence.map(|&(_, number)| number),
        ends: None,
    }
}
