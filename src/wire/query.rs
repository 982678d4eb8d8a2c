//! A client's query: its header, its question, its EDNS, read where they lie.
//!
//! Read in two steps, because the ladder of `server/respond` has gates between them: [`Header::read`], then [`Query::read`].

use super::{HEADER_OCTETS, PLAIN_UDP_OCTETS, UDP_OCTETS_MAX, rtype, u16_at};
use crate::name::{NAME_OCTETS_MAX, NameRef};

/// Octets of an OPT without options (RFC 6891 §6.1.2).
const OPT_OCTETS: usize = 11;
/// The most octets of a [`Query::trimmed`]: header, question, OPT.
pub const TRIMMED_OCTETS_MAX: usize = HEADER_OCTETS + NAME_OCTETS_MAX + 4 + OPT_OCTETS;

/// A message's twelve header octets (RFC 1035 §4.1.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// The id, as it came.
    pub id: u16,
    /// The second 16 bits: QR, opcode, AA, TC, RD, RA, Z, AD, CD, RCODE.
    pub flags: u16,
    /// Entries in question, answer, authority, additional.
    pub counts: [u16; 4],
}

impl Header {
    /// Reads a header; `None` under 12 octets.
    #[inline]
    #[must_use]
    pub fn read(packet: &[u8]) -> Option<Self> {
        let id = u16_at(packet, 0)?;
        let flags = u16_at(packet, 2)?;
        let counts = [u16_at(packet, 4)?, u16_at(packet, 6)?, u16_at(packet, 8)?, u16_at(packet, 10)?];
        Some(Self { id, flags, counts })
    }

    /// QR: it is a response.
    #[must_use]
    pub const fn is_response(self) -> bool {
        self.flags & 0x8000 != 0
    }

    /// OPCODE, 0 for QUERY.
    #[must_use]
    pub const fn opcode(self) -> u8 {
        self.flags.to_be_bytes()[0] >> 3 & 15
    }

    /// TC: cut short.
    #[must_use]
    pub const fn truncated(self) -> bool {
        self.flags & 0x0200 != 0
    }

    /// RD: recursion desired.
    #[must_use]
    pub const fn recursion_desired(self) -> bool {
        self.flags & 0x0100 != 0
    }

    /// AD: authentic data (RFC 6840 §5.7).
    #[must_use]
    pub const fn authentic_data(self) -> bool {
        self.flags & 0x0020 != 0
    }

    /// CD: checking disabled (RFC 4035 §3.1.6).
    #[must_use]
    pub const fn checking_disabled(self) -> bool {
        self.flags & 0x0010 != 0
    }

    /// The four low bits of the response code.
    #[must_use]
    pub const fn rcode_low(self) -> u8 {
        self.flags.to_be_bytes()[1] & 15
    }
}

/// The client's OPT record (RFC 6891 §6.1); its options are not looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Edns {
    /// EDNS version; we speak 0.
    pub version: u8,
    /// Octets the client takes over UDP, as it said.
    pub udp_octets: u16,
    /// DO: DNSSEC records wanted (RFC 3225).
    pub dnssec_ok: bool,
}

/// Why a packet with a good header is no query we can read: FORMERR.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueryError;

/// A query with exactly one readable question.
#[derive(Debug, Clone)]
pub struct Query<'a> {
    /// The header.
    pub header: Header,
    /// The name asked.
    pub qname: NameRef<'a>,
    /// The type asked.
    pub qtype: u16,
    /// The class asked.
    pub qclass: u16,
    /// The question section's octets: name, type, class, letters as they came.
    pub question: &'a [u8],
    /// The OPT, if there is one.
    pub edns: Option<Edns>,
}

impl<'a> Query<'a> {
    /// Reads the packet behind `header`.
    ///
    /// # Errors
    /// [`QueryError`]: QDCOUNT ≠ 1, a name that is none, records in the answer section, a record cut short, an OPT that is not the root's or
    /// is there twice (RFC 6891 §6.1.1), octets behind the last record.
    #[inline]
    pub fn read(header: Header, packet: &'a [u8]) -> Result<Self, QueryError> {
        // RFC 9619 §4: with OPCODE 0, more than one question is a format error; with none there is nothing to answer.
        let [1, 0, authorities, additionals] = header.counts else { return Err(QueryError) };
        let body = packet.get(HEADER_OCTETS..).ok_or(QueryError)?;
        let qname = NameRef::read(body).map_err(|_| QueryError)?;
        let length = qname.wire().len() + 4;
        let question = body.get(..length).ok_or(QueryError)?;
        let qtype = u16_at(question, length - 4).ok_or(QueryError)?;
        let qclass = u16_at(question, length - 2).ok_or(QueryError)?;
        let records = body.get(length..).unwrap_or_default();
        let edns = read_edns(records, authorities, additionals)?;
        Ok(Self { header, qname, qtype, qclass, question, edns })
    }

    /// The most octets a UDP reply to it may have: the client's size, never under 512 (RFC 6891 §6.2.3), never over our own 1232.
    #[must_use]
    pub fn udp_octets(&self) -> usize {
        self.edns.map_or(PLAIN_UDP_OCTETS, |edns| usize::from(edns.udp_octets).clamp(PLAIN_UDP_OCTETS, UDP_OCTETS_MAX))
    }

    /// The query without what no answer needs: its header, its question as it was spelled, and of an OPT the fields without options. At most
    /// [`TRIMMED_OCTETS_MAX`] octets; read again, it is this query.
    #[must_use]
    pub fn trimmed(&self) -> Box<[u8]> {
        let mut octets = Vec::with_capacity(HEADER_OCTETS + self.question.len() + OPT_OCTETS);
        for field in [self.header.id, self.header.flags, 1, 0, 0, u16::from(self.edns.is_some())] {
            octets.extend(field.to_be_bytes());
        }
        octets.extend_from_slice(self.question);
        if let Some(edns) = self.edns {
            octets.push(0);
            octets.extend(rtype::OPT.to_be_bytes());
            octets.extend(edns.udp_octets.to_be_bytes());
            octets.extend([0, edns.version, u8::from(edns.dnssec_ok) << 7, 0, 0, 0]);
        }
        octets.into_boxed_slice()
    }

    /// Whether DNSSEC records are wanted.
    #[must_use]
    pub fn dnssec_ok(&self) -> bool {
        self.edns.is_some_and(|edns| edns.dnssec_ok)
    }
}

/// Walks the records behind the question and takes the OPT out of the additional section.
fn read_edns(records: &[u8], authorities: u16, additionals: u16) -> Result<Option<Edns>, QueryError> {
    let mut rest = records;
    let mut edns = None;
    for index in 0..u32::from(authorities) + u32::from(additionals) {
        let owner = skip_name(rest).ok_or(QueryError)?;
        let fixed = rest.get(owner..owner + 10).ok_or(QueryError)?;
        let length = usize::from(u16_at(fixed, 8).ok_or(QueryError)?);
        if u16_at(fixed, 0) == Some(rtype::OPT) {
            // RFC 6891 §6.1.1: "If a query message with more than one OPT RR is received, a FORMERR (RCODE=1) MUST be returned."; §6.1.2: its
            // name is the root.
            if edns.is_some() || owner != 1 || index < u32::from(authorities) {
                return Err(QueryError);
            }
            let [_, _, size_high, size_low, _, version, flags, _, ..] = *fixed else { return Err(QueryError) };
            edns = Some(Edns {
                version,
                udp_octets: u16::from_be_bytes([size_high, size_low]),
                dnssec_ok: flags & 0x80 != 0,
            });
        }
        rest = rest.get(owner + 10 + length..).ok_or(QueryError)?;
    }
    if rest.is_empty() { Ok(edns) } else { Err(QueryError) }
}

/// Octets of the possibly compressed name at the front of `octets`, without following the pointer.
fn skip_name(octets: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        match *octets.get(at)? {
            0 => return Some(at + 1),
            length @ 1..=63 => at += usize::from(length) + 1,
            0xc0..=0xff => return octets.get(at + 1).map(|_| at + 2),
            _ => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `a.example/A/IN` with RD, plus `tail`, with the given counts of authority and additional records.
    fn packet(tail: &[u8], counts: [u8; 4]) -> Vec<u8> {
        let mut octets = vec![0x12, 0x34, 0x01, 0, 0, counts[0], 0, counts[1], 0, counts[2], 0, counts[3]];
        octets.extend_from_slice(b"\x01a\x07example\0\0\x01\0\x01");
        octets.extend_from_slice(tail);
        octets
    }

    fn read(octets: &[u8]) -> Result<Query<'_>, QueryError> {
        Query::read(Header::read(octets).unwrap(), octets)
    }

    const OPT: &[u8] = b"\0\0\x29\x10\0\0\0\x80\0\0\0";

    #[test]
    fn a_question_and_its_opt() {
        let octets = packet(OPT, [1, 0, 0, 1]);
        let query = read(&octets).unwrap();
        assert_eq!((query.header.id, query.qtype, query.qclass), (0x1234, rtype::A, 1));
        assert_eq!(query.question, b"\x01a\x07example\0\0\x01\0\x01");
        assert_eq!(query.edns, Some(Edns { version: 0, udp_octets: 4096, dnssec_ok: true }));
        assert_eq!(query.udp_octets(), UDP_OCTETS_MAX);
        assert_eq!(read(&packet(b"", [1, 0, 0, 0])).unwrap().udp_octets(), PLAIN_UDP_OCTETS);
        assert!(query.header.recursion_desired());
    }

    #[test]
    fn what_is_no_query() {
        let twice = [OPT, OPT].concat();
        for (why, octets) in [
            ("no question", packet(b"", [0, 0, 0, 0])),
            ("two questions", packet(b"\0\0\x01\0\x01", [2, 0, 0, 0])),
            ("an answer", packet(b"\0\0\x01\0\x01\0\0\0\0\0\0", [1, 1, 0, 0])),
            ("octets behind", packet(b"x", [1, 0, 0, 0])),
            ("a record missing", packet(b"", [1, 0, 0, 1])),
            ("a record cut", packet(&OPT[..10], [1, 0, 0, 1])),
            ("two OPTs", packet(&twice, [1, 0, 0, 2])),
            ("an OPT of a name", packet(b"\x01a\0\0\x29\x10\0\0\0\x80\0\0\0", [1, 0, 0, 1])),
            ("an OPT as authority", packet(OPT, [1, 0, 1, 0])),
            ("rdata over the end", packet(b"\0\0\x29\x10\0\0\0\x80\0\0\x01", [1, 0, 0, 1])),
        ] {
            assert!(read(&octets).is_err(), "{why}");
        }
    }

    #[test]
    fn trimmed_it_is_the_same_query() {
        let padding = [b"\0\0\x29\x04\xd0\0\0\0\0\x0f\xa4\0\x0c\x0f\xa0".as_slice(), &[0; 4000]].concat();
        let tsig = b"\xc0\x0c\0\xfa\0\xff\0\0\0\0\0\x02hi";
        for octets in [
            packet(b"", [1, 0, 0, 0]),
            packet(OPT, [1, 0, 0, 1]),
            packet(&padding, [1, 0, 0, 1]),
            packet(&[tsig, OPT].concat(), [1, 0, 0, 2]),
        ] {
            let query = read(&octets).unwrap();
            let trimmed = query.trimmed();
            let again = read(&trimmed).unwrap();
            assert!(trimmed.len() <= 12 + 15 + OPT_OCTETS);
            assert_eq!((again.header.id, again.header.flags), (query.header.id, query.header.flags));
            assert_eq!((again.question, again.edns), (query.question, query.edns));
        }
    }

    #[test]
    fn other_records_are_walked_over() {
        let tsig = b"\xc0\x0c\0\xfa\0\xff\0\0\0\0\0\x02hi";
        let octets = packet(&[tsig, OPT].concat(), [1, 0, 0, 2]);
        assert!(read(&octets).unwrap().edns.is_some());
        assert!(Header::read(&octets[..11]).is_none());
    }
}
