//! Whether a reply is believed, and what it means for the try it belongs to (RFC 5452 §9; DESIGN, decision 11).
//!
//! Who calls has already matched upstream, socket and id. What is not exactly an answer to the question sent is not looked at further.

use super::packet::Manner;
use crate::cache::{Answer, Config, Key};
use crate::wire::{CLASS_IN, Ede, HEADER_OCTETS, Header, Section, read_question};

/// NOERROR.
const NO_ERROR: u16 = 0;
/// FORMERR.
const FORM_ERR: u16 = 1;
/// NXDOMAIN.
const NX_DOMAIN: u16 = 3;
/// NOTIMP.
const NOT_IMP: u16 = 4;

/// How a reply came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Transport {
    /// A datagram anybody may have sent.
    Udp,
    /// A connection: letter case proves nothing that the connection does not.
    Tcp,
}

/// What a UDP reply with other letters claimed, to compare with what TCP says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Claim {
    /// Its code's low bits.
    pub(super) rcode_low: u8,
    /// Records in its answer section.
    pub(super) answers: u16,
}

impl Claim {
    /// What a header claims.
    pub(super) const fn of(header: Header) -> Self {
        let [_, answers, ..] = header.counts;
        Self { rcode_low: header.rcode_low(), answers }
    }
}

/// What a reply is.
#[derive(Debug)]
pub(super) enum Verdict {
    /// No reply to this question, or damaged.
    NotBelieved,
    /// Right but for the letter case of the question's name.
    OtherLetters(Claim),
    /// TC.
    Truncated,
    /// FORMERR or NOTIMP from one who may not know EDNS.
    NoEdns,
    /// An error code.
    Error(Option<Ede>),
    /// NOERROR or NXDOMAIN.
    Truth(Answer),
}

/// Judges `octets` as a reply to the query for `key` sent in this `manner`.
pub(super) fn check(
    octets: &[u8],
    key: &Key,
    manner: Manner,
    transport: Transport,
    now_ms: u64,
    cache: &Config,
) -> Verdict {
    let Some(header) = Header::read(octets) else { return Verdict::NotBelieved };
    if header.id != manner.id || !header.is_response() || header.opcode() != 0 {
        return Verdict::NotBelieved;
    }
    let rcode_low = u16::from(header.rcode_low());
    let no_edns = manner.edns && matches!(rcode_low, FORM_ERR | NOT_IMP);
    // RFC 6891 §7: one who does not know EDNS answers FORMERR or NOTIMP, and may do so with a header alone.
    if no_edns && octets.len() == HEADER_OCTETS && header.counts == [0; 4] {
        return Verdict::NoEdns;
    }
    match (compare(octets, key, manner), transport) {
        (Same::No, _) => return Verdict::NotBelieved,
        (Same::ButLetters, Transport::Udp) => return Verdict::OtherLetters(Claim::of(header)),
        (Same::Exactly, _) | (Same::ButLetters, Transport::Tcp) => {}
    }
    if header.truncated() {
        return match transport {
            Transport::Udp => Verdict::Truncated,
            Transport::Tcp => Verdict::Error(None),
        };
    }
    let Ok(answer) = Answer::from_reply(octets, now_ms, cache) else { return Verdict::NotBelieved };
    let [.., additionals] = header.counts;
    let has_opt = additionals > answer.count(Section::Additional);
    match answer.rcode() {
        NO_ERROR | NX_DOMAIN => Verdict::Truth(answer),
        _ if no_edns && !has_opt => Verdict::NoEdns,
        _ => Verdict::Error(answer.ede()),
    }
}

/// How a reply's question compares with the one sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Same {
    /// Octet for octet.
    Exactly,
    /// Other letter case.
    ButLetters,
    /// Another question.
    No,
}

/// Compares the question of `octets` with the one sent.
fn compare(octets: &[u8], key: &Key, manner: Manner) -> Same {
    let Ok(question) = read_question(octets) else { return Same::No };
    let asked = (question.qtype, question.qclass) == (key.qtype(), CLASS_IN) && question.qname.eq_folded(key.name());
    if !asked {
        return Same::No;
    }
    let exact = manner.letters.applied(key.name()).eq(question.qname.wire().iter().copied());
    if exact { Same::Exactly } else { Same::ButLetters }
}
