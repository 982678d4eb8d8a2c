//! A reply's records, walked where they lie (RFC 1035 §4.1.3), and names put together from compressed ones (§4.1.4).
//!
//! Nothing is believed of the octets: every step is bounds-checked, pointers go strictly backwards, no input panics or loops. A walk costs one
//! step a label of each owner; nothing is copied but the names that [`expand_name`] is asked for.

use std::ops::Range;

use super::{HEADER_OCTETS, Header, u16_at, u32_at};
use crate::name::{NAME_OCTETS_MAX, Name, NameRef};

/// Why a message cannot be walked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RecordsError {
    /// It ends before what its counts promise does.
    #[error("the message is cut short")]
    Truncated,
    /// Not one question (RFC 9619).
    #[error("expected one question, got {got}")]
    Questions {
        /// QDCOUNT.
        got: u16,
    },
    /// The question's name is none, or is compressed.
    #[error("expected a plain name in the question")]
    QuestionName,
    /// A label type that is neither plain nor a pointer (RFC 6891 §5).
    #[error("expected a plain label or a pointer, got another label type")]
    LabelType,
    /// A pointer into the header, to itself or forward.
    #[error("expected a pointer to an earlier name, got one elsewhere")]
    Pointer,
    /// A name of over 255 octets once put together.
    #[error("expected a name of at most 255 octets, got a longer one")]
    NameTooLong,
}

/// A message's only question.
#[derive(Debug, Clone)]
pub struct Question<'a> {
    /// The name asked.
    pub qname: NameRef<'a>,
    /// The type asked.
    pub qtype: u16,
    /// The class asked.
    pub qclass: u16,
    /// Where name, type and class lie in the message.
    pub octets: Range<usize>,
}

/// Reads the one question of `message`.
///
/// # Errors
/// [`RecordsError`]: no header, not one question, a name that is none, octets missing.
#[inline]
pub fn read_question(message: &[u8]) -> Result<Question<'_>, RecordsError> {
    let header = Header::read(message).ok_or(RecordsError::Truncated)?;
    let [questions, ..] = header.counts;
    if questions != 1 {
        return Err(RecordsError::Questions { got: questions });
    }
    let body = message.get(HEADER_OCTETS..).ok_or(RecordsError::Truncated)?;
    let qname = NameRef::read(body).map_err(|_| RecordsError::QuestionName)?;
    let fixed = HEADER_OCTETS + qname.wire().len();
    let qtype = u16_at(message, fixed).ok_or(RecordsError::Truncated)?;
    let qclass = u16_at(message, fixed + 2).ok_or(RecordsError::Truncated)?;
    Ok(Question { qname, qtype, qclass, octets: HEADER_OCTETS..fixed + 4 })
}

/// Which part of a message a record stands in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "each is its own name")]
pub enum Section {
    Answer,
    Authority,
    Additional,
}

impl Section {
    /// Every section, in the message's order.
    pub const ALL: [Self; 3] = [Self::Answer, Self::Authority, Self::Additional];
}

/// Where one record and its parts lie in the message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Where it stands.
    pub section: Section,
    /// Where it starts: its owner's name.
    pub start: usize,
    /// TYPE.
    pub rtype: u16,
    /// CLASS; an OPT's payload size.
    pub class: u16,
    /// Where the TTL's four octets are.
    pub ttl_at: usize,
    /// TTL, seconds, as it stands (RFC 2181 §8 is the reader's to apply); an OPT's high rcode, version and flags.
    pub ttl: u32,
    /// RDATA.
    pub rdata: Range<usize>,
    /// Where the next record starts.
    pub end: usize,
}

/// The records of a message, in its order; ends at the first error.
#[derive(Clone)]
pub struct Records<'a> {
    /// The whole message.
    message: &'a [u8],
    /// Where the next record starts.
    at: usize,
    /// Records not read yet: answer, authority, additional.
    left: [u16; 3],
}

impl<'a> Records<'a> {
    /// The records behind `question`, which was read from this very `message`.
    #[inline]
    #[must_use]
    pub fn after(message: &'a [u8], question: &Question<'_>) -> Self {
        let left = Header::read(message).map_or([0; 3], |header| {
            let [_, left @ ..] = header.counts;
            left
        });
        Self { message, at: question.octets.end, left }
    }

    /// Takes the next record's section off the counts.
    #[inline]
    fn next_section(&mut self) -> Option<Section> {
        let (section, left) = Section::ALL.into_iter().zip(&mut self.left).find(|(_, left)| **left > 0)?;
        *left -= 1;
        Some(section)
    }

    /// Reads the record at `self.at`.
    #[inline]
    fn read(&self, section: Section) -> Result<Record, RecordsError> {
        let start = self.at;
        let fixed = skip_name(self.message, start)?;
        let (Some(rtype), Some(class), Some(ttl), Some(length)) = (
            u16_at(self.message, fixed),
            u16_at(self.message, fixed + 2),
            u32_at(self.message, fixed + 4),
            u16_at(self.message, fixed + 8),
        ) else {
            return Err(RecordsError::Truncated);
        };
        let rdata = fixed + 10..fixed + 10 + usize::from(length);
        if rdata.end > self.message.len() {
            return Err(RecordsError::Truncated);
        }
        Ok(Record { section, start, rtype, class, ttl_at: fixed + 4, ttl, end: rdata.end, rdata })
    }
}

impl Iterator for Records<'_> {
    type Item = Result<Record, RecordsError>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let section = self.next_section()?;
        let record = self.read(section);
        match &record {
            Ok(record) => self.at = record.end,
            Err(_) => self.left = [0; 3],
        }
        Some(record)
    }
}

/// Walks the name at `at` to its end, pointers too, giving each label with its length octet to `visit`; returns where what follows the name starts.
#[inline]
fn walk_name(message: &[u8], at: usize, mut visit: impl FnMut(&[u8])) -> Result<usize, RecordsError> {
    let mut here = at;
    let mut next = None;
    // Where the part being read starts, and where it must end. RFC 1035 §4.1.4: a pointer is to "a prior occurrence of the same name", so the
    // part pointed to lies before the one that points: a bound and no loop, and no name that takes in what comes after it.
    let (mut part, mut part_end) = (at, message.len());
    let mut octets = 1;
    loop {
        let length = *message.get(here).ok_or(RecordsError::Truncated)?;
        if here >= part_end {
            return Err(RecordsError::Pointer);
        }
        match length {
            0 => return Ok(next.unwrap_or(here + 1)),
            1..=63 => {
                let end = here + 1 + usize::from(length);
                let label = message.get(here..end).ok_or(RecordsError::Truncated)?;
                octets += label.len();
                if octets > NAME_OCTETS_MAX {
                    return Err(RecordsError::NameTooLong);
                }
                visit(label);
                here = end;
            }
            0xc0..=0xff => {
                let target = usize::from(u16_at(message, here).ok_or(RecordsError::Truncated)? & 0x3fff);
                if target < HEADER_OCTETS || target >= part || here + 2 > part_end {
                    return Err(RecordsError::Pointer);
                }
                next = next.or(Some(here + 2));
                (here, part, part_end) = (target, target, part);
            }
            _ => return Err(RecordsError::LabelType),
        }
    }
}

/// Where what follows the name at `at` starts, the name being good to its end.
#[inline]
fn skip_name(message: &[u8], at: usize) -> Result<usize, RecordsError> {
    // Nearly every owner in a reply is a pointer to the question's name, which was read already.
    if message.get(at..at + 2) == Some(&[0xc0, 0x0c]) && at > HEADER_OCTETS {
        return Ok(at + 2);
    }
    walk_name(message, at, |_| {})
}

/// Puts together the possibly compressed name at `at`; also returns where what follows it starts.
///
/// # Errors
/// [`RecordsError`]: cut short, another label type, a pointer that does not go backwards, over 255 octets.
pub fn expand_name(message: &[u8], at: usize) -> Result<(Name, usize), RecordsError> {
    let mut octets = [0; NAME_OCTETS_MAX];
    let mut length = 0;
    let next = walk_name(message, at, |label| {
        if let Some(room) = octets.get_mut(length..length + label.len()) {
            room.copy_from_slice(label);
        }
        length += label.len();
    })?;
    // The last octet, the root label, is there already: the walk leaves at least one of the 255 free.
    let name = Name::from_wire(&octets).map_err(|_| RecordsError::NameTooLong)?;
    Ok((name, next))
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;
    use std::str::FromStr;

    use hickory_proto::op::{Edns, Message, MessageType, OpCode, Query};
    use hickory_proto::rr::rdata::{A, CNAME, MX, SOA, TXT};
    use hickory_proto::rr::{Name as HickoryName, RData, Record as HickoryRecord, RecordType};
    use rand::rngs::StdRng;
    use rand::{RngExt, SeedableRng};

    use super::*;

    /// Some name, often sharing its end with others so that compression has work.
    fn some_name(rng: &mut StdRng) -> HickoryName {
        let labels = rng.random_range(0..4);
        let mut text: String =
            (0..labels).map(|_| ["a.", "Bb.", "ccc.", "www.", "x-y."][rng.random_range(0..5)]).collect();
        text.push_str(["example.", "com.", "example.com.", "."][rng.random_range(0..4)]);
        HickoryName::from_str(&text.replace("..", ".")).unwrap()
    }

    fn some_record(rng: &mut StdRng) -> HickoryRecord {
        let rdata = match rng.random_range(0..5) {
            0 => RData::A(A(Ipv4Addr::from(rng.random::<u32>()))),
            1 => RData::CNAME(CNAME(some_name(rng))),
            2 => RData::MX(MX::new(10, some_name(rng))),
            3 => RData::SOA(SOA::new(some_name(rng), some_name(rng), 1, 2, 3, 4, 5)),
            _ => RData::TXT(TXT::new(vec!["text".repeat(rng.random_range(0..9))])),
        };
        HickoryRecord::from_rdata(some_name(rng), rng.random(), rdata)
    }

    fn some_message(rng: &mut StdRng) -> Message {
        let mut message = Message::new(rng.random(), MessageType::Response, OpCode::Query);
        message.add_query(Query::query(some_name(rng), RecordType::A));
        for _ in 0..rng.random_range(0..5) {
            message.add_answer(some_record(rng));
        }
        for _ in 0..rng.random_range(0..3) {
            message.add_authority(some_record(rng));
        }
        for _ in 0..rng.random_range(0..3) {
            message.add_additional(some_record(rng));
        }
        if rng.random() {
            message.set_edns(Edns::new());
        }
        message
    }

    #[test]
    fn hickory_and_we_walk_alike() {
        for seed in 0..500 {
            let mut rng = StdRng::seed_from_u64(seed);
            let message = some_message(&mut rng);
            let octets = message.to_vec().unwrap();
            let question = read_question(&octets).unwrap();
            let records: Vec<_> = Records::after(&octets, &question).map(Result::unwrap).collect();
            let theirs: Vec<_> = message.all_sections().collect();
            let opt = usize::from(message.edns.is_some());
            assert_eq!(records.len(), theirs.len() + opt, "seed {seed}");
            assert_eq!(records.last().map_or(question.octets.end, |last| last.end), octets.len(), "seed {seed}");
            for (ours, theirs) in records.iter().zip(theirs) {
                let (owner, _) = expand_name(&octets, ours.start).unwrap();
                let want = HickoryName::from_str(&owner.reveal().to_string()).unwrap();
                assert!(theirs.name.eq_ignore_root(&want), "seed {seed}");
                assert_eq!((ours.rtype, ours.ttl), (theirs.record_type().into(), theirs.ttl), "seed {seed}");
                if let RData::CNAME(CNAME(target)) = &theirs.data {
                    let (ours_target, next) = expand_name(&octets, ours.rdata.start).unwrap();
                    assert_eq!(next, ours.end);
                    let ours_target = HickoryName::from_str(&ours_target.reveal().to_string()).unwrap();
                    assert!(target.eq_ignore_root(&ours_target), "seed {seed}");
                }
            }
        }
    }

    #[test]
    fn damage_never_panics_or_loops() {
        for seed in 0..3000 {
            let mut rng = StdRng::seed_from_u64(seed);
            let mut octets = some_message(&mut rng).to_vec().unwrap();
            for _ in 0..rng.random_range(1..6) {
                let at = rng.random_range(0..octets.len());
                octets[at] = if rng.random() { 0xc0 } else { rng.random() };
            }
            octets.truncate(rng.random_range(0..=octets.len()));
            let Ok(question) = read_question(&octets) else { continue };
            for record in Records::after(&octets, &question).flatten() {
                assert!(record.end <= octets.len() && record.rdata.end == record.end, "seed {seed}");
                assert!(expand_name(&octets, record.start).is_ok(), "seed {seed}: a walked owner can be put together");
                drop(expand_name(&octets, record.rdata.start));
            }
        }
    }

    #[test]
    fn names_that_are_none() {
        let pad = [0_u8; HEADER_OCTETS];
        let long = [&[63][..], &[b'a'; 63]].concat().repeat(4);
        for (octets, at, want) in [
            (&b"\xc0\x0c"[..], 12, RecordsError::Pointer),
            (b"\xc0\x0e\0", 12, RecordsError::Pointer),
            (b"\xc0\x00", 12, RecordsError::Pointer),
            (b"\x01a\xc0\x0c", 12, RecordsError::Pointer),
            (b"\x01a\xc0\x0e", 12, RecordsError::Pointer),
            (b"\x01a\xc0", 12, RecordsError::Truncated),
            (b"\x02a", 12, RecordsError::Truncated),
            (b"\x40", 12, RecordsError::LabelType),
            (b"\x04ab\xc0\x0c\0", 15, RecordsError::Pointer),
            (&long, 12, RecordsError::NameTooLong),
            (b"", 12, RecordsError::Truncated),
        ] {
            let message = [&pad, octets].concat();
            assert_eq!(expand_name(&message, at).unwrap_err(), want, "{octets:?}");
        }
        let message = [&pad[..], b"\x01b\0\x01a\xc0\x0c!"].concat();
        let (name, next) = expand_name(&message, 15).unwrap();
        assert_eq!((name.wire(), next), (&b"\x01a\x01b\0"[..], 19));
        assert_eq!(Header::read(&message).map(|header| header.counts[0]), Some(0));
        assert_eq!(read_question(&message).unwrap_err(), RecordsError::Questions { got: 0 });
    }

    #[test]
    fn the_longest_name_can_be_put_together() {
        let label = |length: u8| [&[length][..], &vec![b'a'; usize::from(length)]].concat();
        let longest = [label(63), label(63), label(63), label(61), vec![0]].concat();
        let message = [&[0; HEADER_OCTETS][..], &longest].concat();
        assert_eq!(expand_name(&message, HEADER_OCTETS).unwrap().0.wire(), longest);
    }
}
