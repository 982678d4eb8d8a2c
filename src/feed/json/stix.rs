//! STIX 2.0 and 2.1: a bundle's `objects`, or those of a TAXII 2.1 envelope. Indicators are taken, by what their patterns say; of marking
//! definitions what they forbid; all other objects serve the format.
//!
//! The first pass gathers the markings, and which ids stand there in several versions (§3.6): of these the one modified last counts, and
//! an indicator that was revoked is of no version more. Two passes keep 16 octets an indicator for that, during the first.

use serde::de::{MapAccess, SeqAccess};

use super::super::indicator;
use super::super::intake::{Bucket, Intake};
use super::markings::{Definition, Markings, Marks, Refs, RefsOf};
use super::moment::{MICROS_PER_SEC, micros_since_1970};
use super::value::{Field, Opening, Sink, item_into, skip, value_into};
use super::{Reason, pattern};

/// One object, as far as it is of use.
struct Object<'r, 't> {
    /// Whether it is an object at all.
    is_object: bool,
    /// `type`.
    kind: Field,
    /// `id`.
    id: Field,
    /// `modified`.
    modified: Field,
    /// `revoked`.
    revoked: Field,
    /// `pattern`.
    pattern: Field,
    /// `pattern_type`, of 2.1 alone.
    pattern_type: Field,
    /// `valid_from`.
    valid_from: Field,
    /// `valid_until`.
    valid_until: Field,
    /// `confidence`, of 2.1 alone.
    confidence: Field,
    /// `object_marking_refs`, and of `granular_markings` those of the pattern.
    refs: Refs,
    /// `definition`, and the extensions that are read.
    definition: Definition<'t>,
    /// What ids are hashed by.
    markings: &'r Markings<'t>,
}

impl<'r, 't> Object<'r, 't> {
    /// One of which nothing is known.
    fn new(markings: &'r Markings<'t>) -> Self {
        Self {
            is_object: false,
            kind: Field::Absent,
            id: Field::Absent,
            modified: Field::Absent,
            revoked: Field::Absent,
            pattern: Field::Absent,
            pattern_type: Field::Absent,
            valid_from: Field::Absent,
            valid_until: Field::Absent,
            confidence: Field::Absent,
            refs: Refs::default(),
            definition: Definition::new(markings.asked_for()),
            markings,
        }
    }

    /// Whether it is of this type.
    fn is(&self, kind: &str) -> bool {
        matches!(&self.kind, Field::Text(text) if text == kind)
    }

    /// Its id's hash.
    fn hash(&self) -> Option<u64> {
        let Field::Text(id) = &self.id else { return None };
        Some(self.markings.hash(id))
    }

    /// Which version it is: the later modified the greater, and revoked is greater than not.
    fn version(&self) -> u64 {
        let modified = self.modified.text().ok().flatten().and_then(micros_since_1970).unwrap_or(0);
        modified << 1 | u64::from(self.revoked.flag() == Ok(Some(true)))
    }
}

impl Sink for Object<'_, '_> {
    fn open(&mut self, opening: Opening) {
        self.is_object = opening == Opening::Object;
    }

    fn value<'de, A: MapAccess<'de>>(&mut self, key: &str, object: &mut A) -> Result<(), A::Error> {
        let field = match key {
            "type" => &mut self.kind,
            "id" => &mut self.id,
            "modified" => &mut self.modified,
            "revoked" => &mut self.revoked,
            "pattern" => &mut self.pattern,
            "pattern_type" => &mut self.pattern_type,
            "valid_from" => &mut self.valid_from,
            "valid_until" => &mut self.valid_until,
            "confidence" => &mut self.confidence,
            "object_marking_refs" | "granular_markings" => {
                let granular = key == "granular_markings";
                return value_into(object, &mut RefsOf { refs: &mut self.refs, markings: self.markings, granular });
            }
            "definition" | "extensions" => return value_into(object, &mut self.definition),
            _ => return skip(object),
        };
        value_into(object, field)
    }
}

/// What a pass does with an object.
trait Pass {
    /// Reads the next object; `false` if there is none.
    fn object<'de, A: SeqAccess<'de>>(&mut self, list: &mut A) -> Result<bool, A::Error>;
}

/// A bundle, or an envelope: only its objects count.
pub(super) struct Bundle<P>(pub(super) P);

/// Its objects.
struct Objects<'p, P>(&'p mut P);

impl<P: Pass> Sink for Bundle<P> {
    fn value<'de, A: MapAccess<'de>>(&mut self, key: &str, object: &mut A) -> Result<(), A::Error> {
        if key == "objects" { value_into(object, &mut Objects(&mut self.0)) } else { skip(object) }
    }
}

impl<P: Pass> Sink for Objects<'_, P> {
    fn item<'de, A: SeqAccess<'de>>(&mut self, list: &mut A) -> Result<bool, A::Error> {
        self.0.object(list)
    }
}

/// The first pass.
pub(super) struct Gather<'r, 't> {
    /// The markings that are defined.
    pub(super) markings: &'r mut Markings<'t>,
    /// Every indicator's id and version.
    pub(super) versions: Versions,
}

impl Pass for Gather<'_, '_> {
    fn object<'de, A: SeqAccess<'de>>(&mut self, list: &mut A) -> Result<bool, A::Error> {
        let mut object = Object::new(self.markings);
        let more = item_into(list, &mut object)?;
        if object.is("indicator") {
            self.versions.0.extend(object.hash().map(|id| (id, object.version())));
        } else if object.is("marking-definition") {
            let Object { id, definition, .. } = object;
            if let Field::Text(id) = id {
                self.markings.define(&id, definition.marks);
            }
        }
        Ok(more)
    }
}

/// Ids' hashes and versions.
#[derive(Debug, Default)]
pub(super) struct Versions(Vec<(u64, u64)>);

impl Versions {
    /// Of the ids that have several versions the last one, in order of the ids.
    pub(super) fn newest(mut self) -> Self {
        self.0.sort_unstable();
        let ids = self.0.chunk_by(|one, other| one.0 == other.0);
        Self(
            ids.filter(|versions| versions.first() != versions.last())
                .filter_map(|versions| versions.last().copied())
                .collect(),
        )
    }

    /// Whether a later one than `version` stands for `id`.
    fn has_later(&self, id: u64, version: u64) -> bool {
        let found = self.0.binary_search_by_key(&id, |&(id, _)| id).ok().and_then(|at| self.0.get(at));
        found.is_some_and(|&(_, newest)| newest > version)
    }
}

/// The second pass.
pub(super) struct Take<'r, 't> {
    /// The markings that are defined.
    pub(super) markings: &'r Markings<'t>,
    /// The versions that count of the ids that have several.
    pub(super) newest: &'r Versions,
    /// What time it is, in microseconds since 1970.
    pub(super) now: u64,
    /// What takes the entries.
    pub(super) intake: &'r mut Intake<'t>,
}

impl Pass for Take<'_, '_> {
    fn object<'de, A: SeqAccess<'de>>(&mut self, list: &mut A) -> Result<bool, A::Error> {
        let mut object = Object::new(self.markings);
        let more = item_into(list, &mut object)?;
        if more {
            let bucket = self.take(&object).unwrap_or_else(Bucket::Refused);
            self.intake.end_line(bucket);
        }
        Ok(more)
    }
}

impl Take<'_, '_> {
    /// Takes what an object says, and tells where it falls.
    fn take(&mut self, object: &Object<'_, '_>) -> Result<Bucket, Reason> {
        if !object.is_object || object.kind.text()?.is_none() {
            return Err(Reason::Syntax);
        }
        if !object.is("indicator") {
            return Ok(Bucket::Header);
        }
        let until = self.judge(object)?;
        if object.pattern_type.text()?.is_some_and(|kind| kind != "stix") {
            return Err(Reason::Pattern);
        }
        let text = object.pattern.text()?.ok_or(Reason::Syntax)?;
        let pattern = pattern::read(text).ok_or(Reason::Syntax)?;
        let mut fell = Err(if pattern.left_out > 0 { Reason::Pattern } else { Reason::Observable });
        for (place, (kind, value)) in pattern.enough.into_iter().enumerate() {
            let taken = indicator::take(kind, &value, until, self.intake).map(|()| Bucket::Taken);
            if place == 0 || fell.is_err() && taken.is_ok() {
                fell = taken;
            }
        }
        (0..pattern.left_out).for_each(|_| self.intake.refuse_name());
        fell
    }

    /// Whether an indicator counts at all, and until when.
    fn judge(&mut self, object: &Object<'_, '_>) -> Result<Option<u64>, Reason> {
        let moment = |field: &Field| match field.text()? {
            Some(text) => micros_since_1970(text).map(Some).ok_or(Reason::Syntax),
            None => Ok(None),
        };
        if object.hash().is_some_and(|id| self.newest.has_later(id, object.version())) {
            return Err(Reason::Superseded);
        }
        if object.revoked.flag()? == Some(true) {
            return Err(Reason::Revoked);
        }
        if object.refs.wrong {
            return Err(Reason::Syntax);
        }
        let marks = Marks { confidence: object.confidence.number()?, ..self.markings.of(&object.refs) };
        let from = moment(&object.valid_from)?.filter(|&from| from > self.now);
        let until = moment(&object.valid_until)?.into_iter().chain(marks.ends).min();
        if let Some(from) = from {
            if until.is_none_or(|until| until > from) && marks.judge(self.intake.indicators()).is_ok() {
                self.intake.comes_at(from.div_ceil(MICROS_PER_SEC));
            }
            return Err(Reason::NotYetValid);
        }
        if until.is_some_and(|until| until <= self.now) {
            return Err(Reason::Expired);
        }
        marks.judge(self.intake.indicators())?;
        Ok(until)
    }
}
