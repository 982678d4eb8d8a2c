//! [`Answer`]: one upstream's reply as it is kept, and how it is written out again.
//!
//! Immutable but for one memo. Its records lie as they came, right behind where the question stood, so compression pointers hold for any
//! client's question of the same name. Writing copies them once and patches the TTLs in place; it allocates nothing.

use std::sync::atomic::{AtomicU64, Ordering};

use super::secs;
use crate::name::NameRef;
use crate::wire::{Ede, Query, Rcode, ReplyFlags, Section, Writer, u16_at, u32_at};

/// The kind of a target of CNAME or DNAME.
pub(super) const ALIAS: u8 = 0;
/// The kind of a target of SVCB or HTTPS.
pub(super) const SERVICE: u8 = 1;

/// A reply as an upstream gave it, its OPT taken out.
pub struct Answer {
    /// What it says and where its parts lie.
    pub(super) layout: Layout,
    /// Records; behind them each TTL's place in them (`u16`, ascending); behind those the targets: an octet for the kind, the name. One
    /// allocation.
    pub(super) octets: Box<[u8]>,
    /// When it came, seconds since the process started.
    pub(super) stored_secs: u32,
    /// When it may no longer be given out; `stored_secs` if it may not be kept at all.
    pub(super) expires_secs: u32,
    /// 1 + the generation of the policy under which none of the targets is sunk; 0: not known of any.
    pub(super) cleared: AtomicU64,
}

/// What a reply's header and OPT said, and where its records lie.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Layout {
    /// All twelve bits, those in the OPT too.
    pub(super) rcode: u16,
    /// AD.
    pub(super) authentic: bool,
    /// The first EDE's INFO-CODE.
    pub(super) ede: Option<Ede>,
    /// Records in answer, authority, additional; the OPT not counted.
    pub(super) counts: [u16; 3],
    /// Octets of the records in front of the additional section.
    pub(super) additional_at: usize,
    /// Octets of all records: where the TTL places start.
    pub(super) records_end: usize,
    /// Where the targets start.
    pub(super) targets_at: usize,
}

/// A name that an answer leads to.
pub struct Target<'a> {
    /// The name. It has no `Debug`: somebody asked for what leads there.
    pub name: NameRef<'a>,
    /// Whether it is one of several ways on, of an SVCB or HTTPS record; else all that follows comes from it (CNAME, DNAME).
    pub is_service: bool,
}

/// What [`Answer::write`] wrote.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Written {
    /// The reply's length.
    pub octets: usize,
    /// Whether TC was set: no record fitted.
    pub truncated: bool,
}

impl Answer {
    /// The response code, the OPT's high bits included.
    #[must_use]
    pub const fn rcode(&self) -> u16 {
        self.layout.rcode
    }

    /// The upstream's first EDE; its text is not kept.
    #[must_use]
    pub const fn ede(&self) -> Option<Ede> {
        self.layout.ede
    }

    /// Whether it may be kept for another query, at `now_ms`.
    #[inline]
    #[must_use]
    pub const fn is_fresh(&self, now_ms: u64) -> bool {
        secs(now_ms) < self.expires_secs
    }

    /// How long it may be kept from when it came, seconds; 0: not at all.
    #[must_use]
    pub const fn lifetime_secs(&self) -> u32 {
        self.expires_secs.saturating_sub(self.stored_secs)
    }

    /// Octets it takes on the heap and itself, its reference counts not included.
    #[must_use]
    pub fn size_bytes(&self) -> usize {
        size_of::<Self>() + self.octets.len()
    }

    /// The targets of the answer section's CNAME, DNAME, SVCB and HTTPS records, in its order: other names the policy has a say in.
    pub fn targets(&self) -> impl Iterator<Item = Target<'_>> {
        let mut rest = self.octets.get(self.layout.targets_at..).unwrap_or_default();
        std::iter::from_fn(move || {
            let (kind, named) = rest.split_first()?;
            let name = NameRef::read(named).ok()?;
            rest = named.get(name.wire().len()..).unwrap_or_default();
            Some(Target { name, is_service: *kind == SERVICE })
        })
    }

    /// Whether it has targets at all; usually not.
    #[inline]
    #[must_use]
    pub fn has_targets(&self) -> bool {
        self.layout.targets_at < self.octets.len()
    }

    /// Whether no target is sunk under the policy `generation`, as far as is known.
    #[inline]
    #[must_use]
    pub fn is_cleared(&self, generation: u64) -> bool {
        // Relaxed: the memo stands for itself, and an older one only means looking again.
        self.cleared.load(Ordering::Relaxed) == generation.wrapping_add(1)
    }

    /// Remembers that no target is sunk, for any tenant, under the policy `generation`.
    #[inline]
    pub fn set_cleared(&self, generation: u64) {
        self.cleared.store(generation.wrapping_add(1), Ordering::Relaxed);
    }

    /// Writes it as the reply to `query`, whose key is this answer's, into at most `limit` octets of `out`: if it does not fit, without its
    /// additional section; if that does not either, with TC and no records (RFC 2181 §9). `None`: not even the question fits.
    #[inline]
    #[must_use]
    pub fn write(&self, query: &Query<'_>, now_ms: u64, out: &mut [u8], limit: usize) -> Option<Written> {
        let room = limit.min(out.len());
        let out = out.get_mut(..room)?;
        let [answers, authorities, additionals] = self.layout.counts;
        let whole = (self.layout.records_end, [answers, authorities, additionals]);
        let necessary = (self.layout.additional_at, [answers, authorities, 0]);
        for (octets, counts) in [whole, necessary] {
            if let Some(octets) = self.write_part(query, now_ms, out, octets, counts, false) {
                return Some(Written { octets, truncated: false });
            }
            if additionals == 0 {
                break;
            }
        }
        let octets = self.write_part(query, now_ms, out, 0, [0; 3], true)?;
        Some(Written { octets, truncated: true })
    }

    /// Writes header, question, the first `octets` of the records, and the OPT; `None` if they do not fit.
    #[inline]
    fn write_part(
        &self,
        query: &Query<'_>,
        now_ms: u64,
        out: &mut [u8],
        octets: usize,
        counts: [u16; 3],
        truncated: bool,
    ) -> Option<usize> {
        // RFC 6840 §5.7, §5.8: AD only to a client that set AD or DO.
        let authentic = self.layout.authentic && (query.header.authentic_data() || query.dnssec_ok());
        let rcode = self.client_rcode();
        let flags = ReplyFlags { authentic, truncated, ..ReplyFlags::default() };
        let mut writer = Writer::reply(out, query, rcode, flags);
        let records_at = writer.written_mut().len();
        writer.records(self.octets.get(..octets)?, counts);
        if octets > 0 {
            let age_secs = secs(now_ms).saturating_sub(self.stored_secs);
            self.age_ttls(writer.written_mut().get_mut(records_at..)?, age_secs);
        }
        writer.opt(query, rcode, self.layout.ede.map(|ede| (ede, "")));
        writer.finish()
    }

    /// The code a client may be sent: what needs an OPT's high bits is SERVFAIL to those who know no OPT, so to all.
    fn client_rcode(&self) -> Rcode {
        match u8::try_from(self.layout.rcode) {
            Ok(low @ 0..=15) => Rcode::from_code(u16::from(low)),
            _ => Rcode::ServFail,
        }
    }

    /// Takes `age_secs` off every TTL in `records`.
    #[inline]
    fn age_ttls(&self, records: &mut [u8], age_secs: u32) {
        if age_secs == 0 {
            return;
        }
        for at in self.ttl_places() {
            let Some(ttl) = u32_at(records, at) else { return };
            if let Some(room) = records.get_mut(at..at + 4) {
                room.copy_from_slice(&ttl.saturating_sub(age_secs).to_be_bytes());
            }
        }
    }

    /// Where the TTLs are in the records, ascending.
    #[inline]
    fn ttl_places(&self) -> impl Iterator<Item = usize> + Clone {
        let places = self.octets.get(self.layout.records_end..self.layout.targets_at).unwrap_or_default();
        places.chunks_exact(2).filter_map(|pair| u16_at(pair, 0)).map(usize::from)
    }

    /// A section's records of any class: type and RDATA.
    pub(super) fn records(&self, section: Section) -> impl Iterator<Item = (u16, &[u8])> + Clone {
        let before = match section {
            Section::Answer => 0,
            Section::Authority => self.count(Section::Answer),
            Section::Additional => self.count(Section::Answer) + self.count(Section::Authority),
        };
        let places = self.ttl_places().skip(usize::from(before)).take(usize::from(self.count(section)));
        places.filter_map(|ttl_at| {
            // RFC 1035 §4.1.3: TYPE and CLASS in front of the TTL, RDLENGTH and RDATA behind it.
            let rtype = u16_at(&self.octets, ttl_at.checked_sub(4)?)?;
            let length = usize::from(u16_at(&self.octets, ttl_at + 4)?);
            Some((rtype, self.octets.get(ttl_at + 6..ttl_at + 6 + length)?))
        })
    }

    /// How many records a section has.
    #[must_use]
    pub const fn count(&self, section: Section) -> u16 {
        let [answers, authorities, additionals] = self.layout.counts;
        match section {
            Section::Answer => answers,
            Section::Authority => authorities,
            Section::Additional => additionals,
        }
    }
}

impl std::fmt::Debug for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("<answer>")
    }
}

#[cfg(test)]
mod tests {
    use hickory_proto::op::Message;

    use super::*;
    use crate::cache::testing::{opt, query_for, read, reply};
    use crate::cache::{AnswerError, Config};
    use crate::wire::rtype;

    const ADDRESS: (u16, u32, &[u8]) = (rtype::A, 300, &[192, 0, 2, 1]);

    fn answer(octets: &[u8]) -> Result<Answer, AnswerError> {
        Answer::from_reply(octets, 5000, &Config::default())
    }

    /// Writes `answer` for `query` and lets hickory read it.
    fn written(answer: &Answer, query: &[u8], now_ms: u64, limit: usize) -> (Message, Written) {
        let mut out = [0; 4096];
        let written = answer.write(&read(query), now_ms, &mut out, limit).unwrap();
        assert!(written.octets <= limit);
        (Message::from_vec(&out[..written.octets]).unwrap(), written)
    }

    #[test]
    fn ttls_count_down_and_the_rest_is_as_it_came() {
        let asked = query_for(b"a", rtype::A, true, false, false);
        let answer = answer(&reply(&asked, 0, [&[ADDRESS, ADDRESS], &[], &[ADDRESS]], &opt(0, None), 1)).unwrap();
        let client = query_for(b"A", rtype::A, true, false, false);
        for (now_ms, want) in [(5000, 300), (5999, 300), (6000, 299), (304_999, 1), (900_000, 0), (0, 300)] {
            let (message, written) = written(&answer, &client, now_ms, 1232);
            assert_eq!(message.all_sections().map(|record| record.ttl).collect::<Vec<_>>(), [want; 3], "at {now_ms}");
            assert_eq!(message.queries[0].name().to_string(), "A.example.", "the client's own letters");
            assert_eq!(message.answers[0].name.to_string(), "A.example.");
            assert!(message.edns.is_some() && !written.truncated && !message.metadata.authentic_data);
        }
        assert!(answer.is_fresh(304_999) && !answer.is_fresh(305_000));
        assert_eq!(answer.count(Section::Answer), 2);
    }

    #[test]
    fn ad_only_to_those_who_ask() {
        let mut octets = reply(&query_for(b"a", rtype::A, true, true, true), 0, [&[ADDRESS], &[], &[]], &[], 0);
        octets[3] |= 0x20;
        let answer = answer(&octets).unwrap();
        for (opt, dnssec_ok, authentic, want) in [
            (true, false, false, false),
            (true, true, false, true),
            (false, false, true, true),
            (false, false, false, false),
        ] {
            let client = query_for(b"a", rtype::A, opt, dnssec_ok, authentic);
            let (message, _) = written(&answer, &client, 5000, 1232);
            assert_eq!(message.metadata.authentic_data, want, "OPT {opt}, DO {dnssec_ok}, AD {authentic}");
            assert_eq!(message.edns.is_some(), opt);
        }
    }

    #[test]
    fn what_does_not_fit_goes_in_order() {
        let asked = query_for(b"a", rtype::A, true, false, false);
        let plain = query_for(b"a", rtype::A, false, false, false);
        let answer = answer(&reply(&asked, 0, [&[ADDRESS], &[ADDRESS], &[ADDRESS]], &opt(0, None), 1)).unwrap();
        let header = 12 + read(&asked).question.len();
        for (client, opt) in [(&asked, 11), (&plain, 0)] {
            for (room, answers, additionals, truncated) in [
                (header + opt + 48, 1, 1, false),
                (header + opt + 47, 1, 0, false),
                (header + opt + 32, 1, 0, false),
                (header + opt + 31, 0, 0, true),
                (header + opt, 0, 0, true),
            ] {
                let (message, written) = written(&answer, client, 5000, room);
                let got = (message.answers.len(), message.additionals.len(), message.metadata.truncation);
                assert_eq!(got, (answers, additionals, truncated), "{room} octets, OPT {opt}");
                assert_eq!((written.truncated, message.edns.is_some()), (truncated, opt > 0));
            }
            assert_eq!(answer.write(&read(client), 0, &mut [0; 512], header + opt - 1), None);
        }
        assert_eq!(answer.write(&read(&plain), 0, &mut [], 512), None);
    }

    #[test]
    fn an_ede_is_relayed_as_its_code_alone() {
        let asked = query_for(b"a", rtype::A, true, false, false);
        let answer = answer(&reply(&asked, 2, [&[], &[], &[]], &opt(0, Some(22)), 1)).unwrap();
        assert_eq!((answer.ede(), answer.rcode(), answer.lifetime_secs()), (Some(Ede(22)), 2, 0));
        let mut out = [0; 512];
        let written = answer.write(&read(&asked), 5000, &mut out, 512).unwrap();
        assert!(out[..written.octets].ends_with(&[0, 6, 0, 15, 0, 2, 0, 22]));
    }

    #[test]
    fn a_code_of_twelve_bits_is_servfail_to_clients() {
        let asked = query_for(b"a", rtype::A, true, false, false);
        let answer = answer(&reply(&asked, 7, [&[], &[], &[]], &opt(1, None), 1)).unwrap();
        assert_eq!(answer.rcode(), 23);
        assert_eq!(u16::from(written(&answer, &asked, 0, 512).0.metadata.response_code), 2);
    }

    #[test]
    fn the_memo_holds_for_one_generation() {
        let asked = query_for(b"a", rtype::A, true, false, false);
        let answer = answer(&reply(&asked, 0, [&[ADDRESS], &[], &[]], &[], 0)).unwrap();
        assert!(!answer.is_cleared(0) && !answer.has_targets());
        assert_eq!(format!("{answer:?}"), "<answer>", "nothing printed shows a name");
        answer.set_cleared(0);
        assert!(answer.is_cleared(0) && !answer.is_cleared(1));
        answer.set_cleared(7);
        assert!(answer.is_cleared(7) && !answer.is_cleared(0));
    }
}
