//! A reply, written into the buffer it leaves from.
//!
//! A [`Writer`] never grows and never panics: what does not fit is not written, and the caller learns it from [`Writer::finish`] and may
//! start over with less. The question is echoed octet for octet, so the client's letter case is kept.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::ops::Range;

use super::{CLASS_IN, HEADER_OCTETS, Header, Query, Rcode, UDP_OCTETS_MAX, rtype};
use crate::name::{NAME_OCTETS_MAX, NameRef};

/// An Extended DNS Error's INFO-CODE (RFC 8914 §4; IANA registry).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Ede(pub u16);

impl Ede {
    /// "Other Error".
    pub const OTHER: Self = Self(0);
    /// "Not Ready": the policy is not loaded yet.
    pub const NOT_READY: Self = Self(14);
    /// "Blocked": on the server operator's blocklist.
    pub const BLOCKED: Self = Self(15);
    /// "Filtered": on a list the client asked for.
    pub const FILTERED: Self = Self(17);
    /// "Prohibited": this client may not ask here.
    pub const PROHIBITED: Self = Self(18);
    /// "Not Authoritative": recursion was not asked for and the name is in no zone of ours.
    pub const NOT_AUTHORITATIVE: Self = Self(20);
    /// "Not Supported": the operation or type is not served.
    pub const NOT_SUPPORTED: Self = Self(21);
    /// "No Reachable Authority": no upstream answered.
    pub const NO_REACHABLE_AUTHORITY: Self = Self(22);
    /// "Network Error".
    pub const NETWORK_ERROR: Self = Self(23);
}

/// The header bits a reply decides for itself; QR, opcode, RD and CD come from the query (RFC 1035 §4.1.1, RFC 4035 §3.2.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ReplyFlags {
    /// AA: from a zone of ours.
    pub authoritative: bool,
    /// TC: cut short, ask over TCP.
    pub truncated: bool,
    /// AD: the upstream validated it, and the client asked to know.
    pub authentic: bool,
}

/// The SOA that lets a negative answer be cached (RFC 2308 §5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Soa<'s> {
    /// Labels of the zone, which is the name asked or one above it.
    pub zone_labels: usize,
    /// MNAME and RNAME in wire form, one behind the other.
    pub names: &'s [u8],
    /// SERIAL, REFRESH, RETRY, EXPIRE and MINIMUM.
    pub numbers: [u32; 5],
    /// How long the negative answer is kept, seconds.
    pub ttl_secs: u32,
}

/// Writes one reply.
#[derive(Debug)]
pub struct Writer<'o> {
    /// The whole room.
    out: &'o mut [u8],
    /// Where the next octet goes.
    at: usize,
    /// Something did not fit.
    overflow: bool,
    /// Records in answer, authority, additional.
    counts: [u16; 3],
}

/// Whose a record is: a pointer to a name that is written already (RFC 1035 §4.1.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Owner(u16);

impl Owner {
    /// The question's name, which always starts at octet 12.
    pub const QNAME: Self = Self(POINTER | 12);
}

/// A pointer to what starts at this octet, if one can tell it.
#[inline]
fn pointer(at: usize) -> Option<u16> {
    u16::try_from(at).ok().filter(|at| at & POINTER == 0).map(|at| at | POINTER)
}

/// The two bits that tell a pointer from a label (RFC 1035 §4.1.4); the rest is where it points.
const POINTER: u16 = 0xc000;

impl<'o> Writer<'o> {
    /// Starts a reply to `query`: header and question.
    #[inline]
    pub fn reply(out: &'o mut [u8], query: &Query<'_>, rcode: Rcode, flags: ReplyFlags) -> Self {
        let mut writer = Self::header(out, query.header, rcode, flags, 1);
        writer.put(query.question);
        writer
    }

    /// Starts a reply to a packet whose question cannot be read: a header and nothing else.
    pub fn bare(out: &'o mut [u8], header: Header, rcode: Rcode) -> Self {
        Self::header(out, header, rcode, ReplyFlags::default(), 0)
    }

    /// The twelve octets; record counts are set by [`Self::finish`].
    #[inline]
    fn header(out: &'o mut [u8], asked: Header, rcode: Rcode, flags: ReplyFlags, questions: u16) -> Self {
        // Kept from the query: opcode, RD, CD. RA is always on: we do forward.
        let bits = 0x8080
            | asked.flags & 0x7910
            | u16::from(flags.authoritative) << 10
            | u16::from(flags.truncated) << 9
            | u16::from(flags.authentic) << 5
            | (rcode as u16 & 15);
        let mut writer = Self { out, at: 0, overflow: false, counts: [0; 3] };
        writer.put_u16(asked.id);
        writer.put_u16(bits);
        writer.put_u16(questions);
        writer.put(&[0; 6]);
        writer
    }

    /// Appends octets.
    #[inline]
    fn put(&mut self, octets: &[u8]) {
        match self.out.get_mut(self.at..self.at + octets.len()) {
            Some(room) => {
                room.copy_from_slice(octets);
                self.at += octets.len();
            }
            None => self.overflow = true,
        }
    }

    /// Appends a `u16`.
    #[inline]
    fn put_u16(&mut self, value: u16) {
        self.put(&value.to_be_bytes());
    }

    /// A record up to its RDATA.
    #[inline]
    fn record(&mut self, owner: Owner, rtype: u16, ttl_secs: u32, rdata_octets: u16) {
        self.put_u16(owner.0);
        self.record_of_owner(rtype, ttl_secs, rdata_octets);
    }

    /// A record whose owner is written, up to its RDATA.
    #[inline]
    fn record_of_owner(&mut self, rtype: u16, ttl_secs: u32, rdata_octets: u16) {
        self.put_u16(rtype);
        self.put_u16(CLASS_IN);
        self.put(&ttl_secs.to_be_bytes());
        self.put_u16(rdata_octets);
    }

    /// An A record.
    #[inline]
    pub fn a(&mut self, owner: Owner, address: Ipv4Addr, ttl_secs: u32) {
        self.record(owner, rtype::A, ttl_secs, 4);
        self.put(&address.octets());
        self.counts[0] += 1;
    }

    /// An AAAA record.
    #[inline]
    pub fn aaaa(&mut self, owner: Owner, address: Ipv6Addr, ttl_secs: u32) {
        self.record(owner, rtype::AAAA, ttl_secs, 16);
        self.put(&address.octets());
        self.counts[0] += 1;
    }

    /// The CNAME of the name asked: the labels of `front`, without a root, then all of the name `back`. Its target, to own what follows; what is
    /// over 255 octets is not written, as if it did not fit.
    pub fn cname(&mut self, front: &[u8], back: &[u8], ttl_secs: u32) -> Owner {
        let length = front.len() + back.len();
        match u16::try_from(length).ok().filter(|_| length <= NAME_OCTETS_MAX) {
            Some(length) => self.record(Owner::QNAME, rtype::CNAME, ttl_secs, length),
            None => self.overflow = true,
        }
        // The front is the question's labels, but they end there in a name of their own: nothing of it can be pointed to.
        let target = u16::try_from(self.at).ok().filter(|at| at & POINTER == 0);
        self.overflow |= target.is_none();
        self.put(front);
        self.put(back);
        self.counts[0] += 1;
        target.map_or(Owner::QNAME, |at| Owner(POINTER | at))
    }

    /// A record of any type for the name asked, its RDATA as given.
    pub fn answer(&mut self, rtype: u16, ttl_secs: u32, rdata: &[u8]) {
        match u16::try_from(rdata.len()) {
            Ok(length) => self.record(Owner::QNAME, rtype, ttl_secs, length),
            Err(_) => self.overflow = true,
        }
        self.put(rdata);
        self.counts[0] += 1;
    }

    /// The HINFO that stands for ANY (RFC 8482 §4.2).
    pub fn hinfo_rfc8482(&mut self, ttl_secs: u32) {
        let rdata = b"\x07RFC8482\0";
        self.record(Owner::QNAME, rtype::HINFO, ttl_secs, 9);
        self.put(rdata);
        self.counts[0] += 1;
    }

    /// The SOA of a negative answer to `query`, in the authority section (RFC 2308 §3), its names compressed as name servers do (RFC 1035 §4.1.4).
    #[inline]
    pub fn soa(&mut self, query: &Query<'_>, soa: Soa<'_>) {
        let zone = query.qname.suffix(soa.zone_labels);
        match pointer(HEADER_OCTETS + query.qname.wire().len() - zone.len()) {
            // RFC 1035 §4.1.4 allows a pointer to the root, and no server writes one.
            Some(owner) if zone != [0] => self.put_u16(owner),
            _ => self.put(&[0]),
        }
        self.record_of_owner(rtype::SOA, soa.ttl_secs, 0);
        let rdata_at = self.at;
        if soa.names == [0, 0] {
            self.put(soa.names);
        } else {
            self.soa_names(query, soa.names);
        }
        for field in soa.numbers {
            self.put(&field.to_be_bytes());
        }
        let length = u16::try_from(self.at.saturating_sub(rdata_at)).map(u16::to_be_bytes);
        if let (Ok(length), Some(room)) = (length, self.out.get_mut(rdata_at.saturating_sub(2)..rdata_at)) {
            room.copy_from_slice(&length);
        }
        self.counts[1] += 1;
    }

    /// Writes MNAME and RNAME, given one behind the other.
    fn soa_names(&mut self, query: &Query<'_>, names: &[u8]) {
        let Ok(mname) = NameRef::read(names) else { return self.put(names) };
        let mname_at = self.at;
        self.name(&mname, [(&query.qname, HEADER_OCTETS..usize::MAX)]);
        match NameRef::read(names.get(mname.wire().len()..).unwrap_or_default()) {
            Ok(rname) => {
                let known = [(&query.qname, HEADER_OCTETS..usize::MAX), (&mname, mname_at..self.at)];
                self.name(&rname, known);
            }
            Err(_) => self.overflow = true,
        }
    }

    /// Writes a name, the most of its end that it can as a pointer to one of `known`: names, and where in the message they are written out.
    fn name<const N: usize>(&mut self, name: &NameRef<'_>, known: [(&NameRef<'_>, Range<usize>); N]) {
        for labels in (1..=name.labels()).rev() {
            let end = name.suffix(labels);
            for (other, octets) in &known {
                let place = octets.start + other.wire().len().saturating_sub(end.len());
                // A pointer's own two octets are no label.
                let is_there = place.saturating_add(2) < octets.end && other.suffix(labels).eq_ignore_ascii_case(end);
                if let Some(pointer) = pointer(place).filter(|_| is_there && other.labels() >= labels) {
                    self.put(name.wire().get(..name.wire().len() - end.len()).unwrap_or_default());
                    return self.put_u16(pointer);
                }
            }
        }
        self.put(name.wire());
    }

    /// Our OPT, if the query had one (RFC 6891 §7: "MUST NOT" otherwise), DO echoed (RFC 3225 §3), with an EDE if given and the operator's text.
    #[inline]
    pub fn opt(&mut self, query: &Query<'_>, rcode: Rcode, ede: Option<(Ede, &str)>) {
        let Some(edns) = query.edns else { return };
        self.opt_bare(edns.dnssec_ok, rcode, ede);
    }

    /// An OPT whatever the query was: for a packet whose EDNS was seen but whose version is not ours.
    pub fn opt_bare(&mut self, dnssec_ok: bool, rcode: Rcode, ede: Option<(Ede, &str)>) {
        let text_octets = ede.map_or(0, |(_, text)| text.len());
        let Ok(option_octets) = u16::try_from(text_octets + 2) else {
            self.overflow = true;
            return;
        };
        let rdata_octets = if ede.is_some() { option_octets + 4 } else { 0 };
        self.put(&[0]);
        self.put_u16(rtype::OPT);
        #[expect(clippy::cast_possible_truncation, reason = "1232")]
        self.put_u16(UDP_OCTETS_MAX as u16);
        self.put(&[rcode as u8 >> 4, 0, u8::from(dnssec_ok) << 7, 0]);
        self.put_u16(rdata_octets);
        if let Some((Ede(code), text)) = ede {
            self.put_u16(15);
            self.put_u16(option_octets);
            self.put_u16(code);
            self.put(text.as_bytes());
        }
        self.counts[2] += 1;
    }

    /// Appends records written elsewhere (a cached answer), counted as given: answer, authority, additional.
    #[inline]
    pub fn records(&mut self, octets: &[u8], counts: [u16; 3]) {
        self.put(octets);
        for (have, more) in self.counts.iter_mut().zip(counts) {
            *have += more;
        }
    }

    /// What has been written so far, to patch TTLs in place.
    #[inline]
    pub fn written_mut(&mut self) -> &mut [u8] {
        self.out.get_mut(..self.at).unwrap_or_default()
    }

    /// Sets the counts and gives the reply's length; `None` if it did not fit.
    #[inline]
    #[must_use]
    pub fn finish(self) -> Option<usize> {
        if self.overflow {
            return None;
        }
        let [answers, authorities, additionals] = self.counts.map(u16::to_be_bytes);
        let room = self.out.get_mut(6..HEADER_OCTETS)?;
        room.copy_from_slice(&[answers[0], answers[1], authorities[0], authorities[1], additionals[0], additionals[1]]);
        Some(self.at)
    }
}

#[cfg(test)]
mod tests {
    use hickory_proto::op::Message;
    use hickory_proto::rr::RecordType;

    use super::*;

    const QUERY: &[u8] =
        b"\x12\x34\x01\x10\0\x01\0\0\0\0\0\x01\x01a\x07ExamplE\0\0\x01\0\x01\0\0\x29\x10\0\0\0\x80\0\0\0";

    fn query() -> Query<'static> {
        Query::read(Header::read(QUERY).unwrap(), QUERY).unwrap()
    }

    #[test]
    fn hickory_reads_what_we_write() {
        let mut out = [0; 512];
        let query = query();
        let mut writer = Writer::reply(&mut out, &query, Rcode::NoError, ReplyFlags::default());
        writer.a(Owner::QNAME, Ipv4Addr::new(192, 0, 2, 1), 30);
        let (names, numbers) = (&b"\x02ns\0\x04info\0"[..], [1, 3600, 600, 86_400, 30]);
        writer.soa(&query, Soa { zone_labels: 2, names, numbers, ttl_secs: 30 });
        writer.opt(&query, Rcode::NoError, Some((Ede::BLOCKED, "Blocked")));
        let length = writer.finish().unwrap();
        let message = Message::from_vec(&out[..length]).unwrap();
        assert_eq!(message.metadata.id, 0x1234);
        assert!(message.metadata.recursion_desired && message.metadata.checking_disabled);
        assert!(message.metadata.recursion_available && !message.metadata.authentic_data);
        assert_eq!(message.queries[0].name().to_string(), "a.ExamplE.");
        assert_eq!(message.answers[0].record_type(), RecordType::A);
        assert_eq!(message.answers[0].ttl, 30);
        assert_eq!(message.authorities[0].data.to_string(), "ns. info. 1 3600 600 86400 30");
        let edns = message.edns.unwrap();
        assert!(edns.flags().dnssec_ok);
        assert_eq!(usize::from(edns.max_payload()), UDP_OCTETS_MAX);
    }

    #[test]
    fn a_soa_is_written_as_name_servers_write_it() {
        // `a.ExamplE` is at 12, its second label at 14; SOA's RDATA starts 10 octets behind its owner.
        let query = query();
        let question_end = HEADER_OCTETS + query.question.len();
        for (zone_labels, names, owner, written) in [
            (2, &b"\0\0"[..], &b"\xc0\x0c"[..], &b"\0\0"[..]),
            (1, b"\x02ns\x07example\0\x01h\x02ns\x07example\0", b"\xc0\x0e", b"\x02ns\xc0\x0e\x01h\xc0\x27"),
            (0, b"\x01m\x04test\0\x01h\x04test\0", b"\0", b"\x01m\x04test\0\x01h\xc0\x28"),
            (1, b"\x01a\x07example\0\x01a\x07example\0", b"\xc0\x0e", b"\xc0\x0c\xc0\x0c"),
            (1, b"\0\x07example\0", b"\xc0\x0e", b"\0\xc0\x0e"),
            (1, b"\x01m\0\0", b"\xc0\x0e", b"\x01m\0\0"),
            (1, b"\x01m\0\x01h\x01m\0", b"\xc0\x0e", b"\x01m\0\x01h\xc0\x27"),
        ] {
            let mut out = [0; 512];
            let mut writer = Writer::reply(&mut out, &query, Rcode::NxDomain, ReplyFlags::default());
            writer.soa(&query, Soa { zone_labels, names, numbers: [1, 2, 3, 4, 5], ttl_secs: 30 });
            let length = writer.finish().unwrap();
            let record = &out[question_end..length];
            assert_eq!(&record[..owner.len()], owner, "{names:?}");
            assert_eq!(&record[owner.len() + 10..record.len() - 20], written, "{names:?}");
            let message = Message::from_vec(&out[..length]).unwrap();
            assert_eq!(message.authorities[0].record_type(), RecordType::SOA);
        }
    }

    #[test]
    fn a_target_owns_what_follows() {
        let mut out = [0; 512];
        let query = query();
        let mut writer = Writer::reply(&mut out, &query, Rcode::NoError, ReplyFlags::default());
        let target = writer.cname(b"\x01a\x07ExamplE", b"\x06garden\x04test\0", 60);
        writer.a(target, Ipv4Addr::new(192, 0, 2, 1), 60);
        let length = writer.finish().unwrap();
        let message = Message::from_vec(&out[..length]).unwrap();
        let records: Vec<_> = message.answers.iter().map(ToString::to_string).collect();
        assert_eq!(
            records,
            ["a.ExamplE. 60 IN CNAME a.ExamplE.garden.test.", "a.ExamplE.garden.test. 60 IN A 192.0.2.1"]
        );
        let front = [1, b'a'].repeat(100);
        for (back, fits) in [([1, b'b'].repeat(27), true), ([1, b'b'].repeat(28), false)] {
            let mut writer = Writer::reply(&mut out, &query, Rcode::NoError, ReplyFlags::default());
            writer.cname(&front, &[&back[..], &[0]].concat(), 60);
            assert_eq!(writer.finish().is_some(), fits, "no name is over 255 octets");
        }
    }

    #[test]
    fn badvers_has_its_high_bits_in_the_opt() {
        let mut out = [0; 512];
        let query = query();
        let mut writer = Writer::reply(&mut out, &query, Rcode::BadVers, ReplyFlags::default());
        writer.opt(&query, Rcode::BadVers, None);
        let length = writer.finish().unwrap();
        let message = Message::from_vec(&out[..length]).unwrap();
        assert_eq!(u16::from(message.metadata.response_code), 16);
    }

    #[test]
    fn what_does_not_fit_is_said() {
        let query = query();
        let need = {
            let mut out = [0; 512];
            let mut writer = Writer::reply(&mut out, &query, Rcode::NoError, ReplyFlags::default());
            writer.aaaa(Owner::QNAME, Ipv6Addr::LOCALHOST, 30);
            writer.finish().unwrap()
        };
        for room in 0..need {
            let mut out = vec![0; room];
            let mut writer = Writer::reply(&mut out, &query, Rcode::NoError, ReplyFlags::default());
            writer.aaaa(Owner::QNAME, Ipv6Addr::LOCALHOST, 30);
            assert_eq!(writer.finish(), None, "{room} octets");
        }
    }
}
