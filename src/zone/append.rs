//! What the operator's zones say at the end of an alias that is not theirs: a sunk name's, or an upstream's.
//!
//! The records go behind those of a reply that is written so far. It costs what an answer of [`Places`](super::places::Places) costs, and
//! an encoding of its records by hickory-proto.

use std::sync::Arc;

use hickory_proto::rr::{LowerName, Name as HickoryName, RecordSet, RecordType};
use hickory_proto::serialize::binary::{BinDecodable, BinEncoder};

use super::places::{Answer, Place};
use super::{ZoneId, Zones};
use crate::name::NameRef;
use crate::wire::Rcode;

/// Records that an alias leads to, as they were put behind it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Appended {
    /// The code of the reply: the last name's (RFC 6604 §3).
    pub rcode: Rcode,
    /// How many records, by section; those handed in are counted too.
    pub counts: [u16; 3],
    /// Where the additional section starts in the message.
    pub additional_at: usize,
}

impl Zones {
    /// Whether a question is answered from a zone of the operator's. Without such zones a compare; else as [`Self::covers`].
    #[inline]
    #[must_use]
    pub fn owns(&self, name: &NameRef<'_>, qtype: u16) -> bool {
        let is_operators = |zone: ZoneId| matches!(zone.place, Place::Operator(_));
        self.operator_zones > 0 && self.covers(name, qtype).is_some_and(is_operators)
    }

    /// Puts the answer to `name`, where an alias leads, behind `message`: a message up to the end of its answer section so far, header
    /// and question with it, for pointers count from its start. `authorities` are records of its authority section, and how many.
    ///
    /// `None`, and `message` is as it was: the name is in no zone of the operator's, or below a delegation of it, whose servers know; or the message
    /// would be over 65,535 octets.
    #[must_use]
    pub fn append(
        &self,
        name: &NameRef<'_>,
        qtype: u16,
        authorities: (&[u8], u16),
        message: &mut Vec<u8>,
    ) -> Option<Appended> {
        if !self.owns(name, qtype) {
            return None;
        }
        let qname = LowerName::new(&HickoryName::from_bytes(name.wire()).ok()?);
        let answer = self.handler.places().answer(&qname, RecordType::from(qtype))?;
        let is_referral = answer.answers.is_empty() && !answer.authoritative;
        let (start, appended) = (message.len(), if is_referral { None } else { encode(&answer, authorities, message) });
        if appended.is_none() {
            message.truncate(start);
        }
        appended
    }
}

/// Writes `answer` behind `message`, `authorities` in front of its own; `None` if the message would be over 65,535 octets.
fn encode(answer: &Answer, (octets, count): (&[u8], u16), message: &mut Vec<u8>) -> Option<Appended> {
    let start = u32::try_from(message.len()).ok()?;
    let mut encoder = BinEncoder::with_offset(message, start);
    let answers = emit(&answer.answers, &mut encoder)?;
    encoder.emit_vec(octets).ok()?;
    let authorities = emit(&answer.authorities, &mut encoder)?.checked_add(count)?;
    let additional_at = encoder.len();
    let additionals = emit(&answer.additionals, &mut encoder)?;
    Some(Appended {
        rcode: Rcode::from_code(u16::from(answer.rcode.low())),
        counts: [answers, authorities, additionals],
        additional_at,
    })
}

/// Writes the records of a section, and says how many.
fn emit(sets: &[Arc<RecordSet>], encoder: &mut BinEncoder<'_>) -> Option<u16> {
    let mut records = sets.iter().flat_map(|set| set.records_without_rrsigs());
    u16::try_from(encoder.emit_iter(&mut records).ok()?).ok()
}
