//! [`Places`]: who answers for a name, and the whole answer to it, CNAMEs followed from zone to zone.
//!
//! Nothing here waits. Each name of a chain costs one binary search for its zone, and in it one hash lookup for each label between the name
//! and its closest encloser.

use std::sync::Arc;

use hickory_proto::op::ResponseCode;
use hickory_proto::rr::{LowerName, RData, RecordSet, RecordType};

use super::ZoneId;
use super::authority::{Authority, Found};
use super::special::{DS, Special};
use crate::name::{NAME_OCTETS_MAX, NameKey, NameRef, SuffixMap};
use crate::wire::rtype;

/// The most CNAMEs in an answer, over all zones together. hickory-server's own number.
pub(super) const CHAIN_MAX: usize = 8;

/// Who answers for a name.
#[derive(Debug, Clone, Copy)]
pub(super) enum Place {
    /// The zone of the operator's with this number.
    Operator(usize),
    /// A built-in special name.
    Special(Special),
    /// The operator wants this one forwarded all the same.
    Forwarded,
}

/// Every zone there is.
pub(super) struct Places {
    /// Every apex.
    apexes: SuffixMap<Place>,
    /// The operator's zones, by number.
    authorities: Vec<Authority>,
}

/// A whole answer, section by section.
#[derive(Default)]
pub(super) struct Answer {
    /// The response code, which is the last name's (RFC 6604 §3).
    pub(super) rcode: ResponseCode,
    /// AA.
    pub(super) authoritative: bool,
    /// CNAMEs in the order they were followed, then the records asked for.
    pub(super) answers: Vec<Arc<RecordSet>>,
    /// The SOA of a negative end, or the NS of a referral.
    pub(super) authorities: Vec<Arc<RecordSet>>,
    /// Addresses.
    pub(super) additionals: Vec<Arc<RecordSet>>,
}

impl Answer {
    /// Takes a CNAME and says where to go on; `None` where the chain ends, in a circle or at its bound.
    fn follow(&mut self, alias: Arc<RecordSet>) -> Option<LowerName> {
        if self.answers.len() == CHAIN_MAX {
            return None;
        }
        let Some(RData::CNAME(target)) = alias.record().map(|record| &record.data) else { return None };
        let target = LowerName::new(&target.0);
        self.answers.push(alias);
        let seen = self.answers.iter().any(|alias| *alias.name() == *target);
        (!seen).then_some(target)
    }
}

impl Places {
    /// Takes the apexes, of which the later of two stays, and the operator's zones.
    pub(super) fn new(apexes: Vec<(NameKey, Place)>, authorities: Vec<Authority>) -> Self {
        Self { apexes: SuffixMap::build(apexes), authorities }
    }

    /// Which zone a question is for; the longest match.
    #[inline]
    pub(super) fn covers(&self, qname: &NameRef<'_>, qtype: u16) -> Option<ZoneId> {
        let (apex_labels, &place) = self.apexes.deepest(qname)?;
        match place {
            Place::Forwarded => None,
            // RFC 8375 §4: "a query for a DS record with the DO bit set MUST return the correct answer for that question"; RFC 4035 §3.1.4.1:
            // the DS of a zone lies in its parent. So a delegation that is public goes to whoever answers for the parent.
            Place::Special(special) if qtype == DS && special.publicly_delegated() && apex_labels == qname.labels() => {
                let parent = NameRef::read(qname.suffix(apex_labels.checked_sub(1)?)).ok()?;
                self.covers(&parent, rtype::A)
            }
            Place::Operator(_) | Place::Special(_) => Some(ZoneId { place, apex_labels }),
        }
    }

    /// The whole answer; `None` for a name in none of the zones.
    ///
    /// RFC 1034 §4.3.2 step 3a: at a CNAME, "change QNAME to the canonical name in the CNAME RR, and go back to step 1", which chooses the
    /// zone. A CNAME that leads out of all zones ends the answer.
    pub(super) fn answer(&self, qname: &LowerName, rtype: RecordType) -> Option<Answer> {
        let mut answer = Answer { authoritative: true, ..Answer::default() };
        let mut name = qname.clone();
        loop {
            let wire = wire_form(&name);
            let view = NameRef::read(&wire).ok()?;
            let Some(ZoneId { place, apex_labels }) = self.covers(&view, rtype.into()) else { break };
            let authority = match place {
                Place::Operator(number) => self.authorities.get(number)?,
                Place::Special(special) => {
                    special.conclude(apex_labels, &view, rtype.into(), &mut answer)?;
                    return Some(answer);
                }
                Place::Forwarded => break,
            };
            match authority.find(&name, rtype) {
                Found::Alias(alias) => match answer.follow(alias) {
                    Some(target) => name = target,
                    None => return Some(answer),
                },
                found => {
                    authority.conclude(found, rtype, &mut answer);
                    return Some(answer);
                }
            }
        }
        (!answer.answers.is_empty()).then_some(answer)
    }
}

/// A name's wire form.
fn wire_form(name: &LowerName) -> Vec<u8> {
    let mut wire = Vec::with_capacity(NAME_OCTETS_MAX);
    for label in name.iter() {
        wire.push(u8::try_from(label.len()).unwrap_or_default());
        wire.extend_from_slice(label);
    }
    wire.push(0);
    wire
}
