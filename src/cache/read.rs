//! An upstream's reply made into an [`Answer`]: walked once to judge it, once to copy it.
//!
//! Applies what the RFCs and the operator say of TTLs; the clamped ones are written into the kept octets. The OPT is cut off when it is the last
//! record, which it nearly always is; else the message is taken apart and put together without it by hickory-proto.

use std::sync::atomic::AtomicU64;

use hickory_proto::op::Message;

use super::answer::{ALIAS, Answer, Layout, SERVICE};
use super::{Config, secs};
use crate::name::Name;
use crate::wire::{
    CLASS_IN, Ede, Header, Question, Record, Records, RecordsError, Section, expand_name, read_question, rtype, u16_at,
    u32_at,
};

/// The most targets one answer may have; resolvers follow 11 (Unbound) to 16 (BIND 9) CNAMEs, and a DNAME comes with one.
const TARGETS_MAX: usize = 32;
/// NOERROR.
const NO_ERROR: u16 = 0;
/// NXDOMAIN.
const NX_DOMAIN: u16 = 3;
/// The EDNS option that carries an EDE (RFC 8914 §2).
const OPTION_EDE: u16 = 15;
/// Octets of an SOA's five numbers, of which MINIMUM is the last (RFC 1035 §3.3.13).
const SOA_NUMBERS_OCTETS: usize = 20;

/// Why a message is no answer that can be given to anybody.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AnswerError {
    /// It cannot be walked.
    #[error(transparent)]
    Records(#[from] RecordsError),
    /// A query.
    #[error("expected a response, got a query")]
    NotAResponse,
    /// TC: the answer is elsewhere.
    #[error("expected a whole response, got a truncated one")]
    Truncated,
    /// An OPT that is not the root's, not in the additional section, or there twice (RFC 6891 §6.1.1).
    #[error("expected at most one OPT, the root's, in the additional section")]
    Opt,
    /// A TSIG or SIG(0), which nobody asked for.
    #[error("expected an unsigned response, got a signed one")]
    Signed,
    /// More targets than anybody follows.
    #[error("expected at most {TARGETS_MAX} targets of CNAME, DNAME, SVCB and HTTPS, got more")]
    TooManyTargets,
    /// The OPT is not last, and hickory-proto cannot read the message to take it out.
    #[error("the response cannot be encoded without its OPT")]
    Reencode,
}

impl Answer {
    /// Makes an answer of `reply`, which came at `now_ms` and was checked to answer what was asked.
    ///
    /// # Errors
    /// [`AnswerError`]: it is damaged, truncated or signed. A reply that must not be kept is none: its lifetime is 0.
    pub fn from_reply(reply: &[u8], now_ms: u64, config: &Config) -> Result<Self, AnswerError> {
        let survey = Survey::of(reply, config)?;
        if survey.opt_last {
            return Ok(survey.keep(reply, now_ms, config));
        }
        let without_opt = reencode(reply)?;
        let mut again = Survey::of(&without_opt, config)?;
        again.layout.ede = survey.layout.ede;
        again.layout.rcode = survey.layout.rcode;
        Ok(again.keep(&without_opt, now_ms, config))
    }
}

/// The message without its OPT.
fn reencode(reply: &[u8]) -> Result<Vec<u8>, AnswerError> {
    let mut message = Message::from_vec(reply).map_err(|_| AnswerError::Reencode)?;
    message.edns = None;
    // The high bits of the code live in the OPT: cut to the low ones, which is what the header holds.
    message.metadata.response_code = u16::from(message.metadata.response_code.low()).into();
    message.to_vec().map_err(|_| AnswerError::Reencode)
}

/// What one walk of a reply found out.
struct Survey<'r> {
    /// Its question.
    question: Question<'r>,
    /// All but where the targets will start.
    layout: Layout,
    /// There is no OPT, or nothing is behind it.
    opt_last: bool,
    /// Seconds it may be kept.
    lifetime_secs: u32,
    /// What an SOA in the authority section is kept for; its TTL becomes this.
    negative_ttl_secs: Option<u32>,
    /// Targets, uncompressed, one behind the other, each with its kind in front.
    targets: Vec<u8>,
}

impl<'r> Survey<'r> {
    /// Walks `reply`.
    fn of(reply: &'r [u8], config: &Config) -> Result<Self, AnswerError> {
        let header = Header::read(reply).ok_or(RecordsError::Truncated)?;
        if !header.is_response() {
            return Err(AnswerError::NotAResponse);
        }
        if header.truncated() {
            return Err(AnswerError::Truncated);
        }
        let question = read_question(reply)?;
        let records_at = question.octets.end;
        let mut walk = Walk { end: records_at, ..Walk::default() };
        for record in Records::after(reply, &question) {
            walk.take(reply, &record?, question.qtype, config)?;
        }
        let additional_at = walk.additional_at.unwrap_or(walk.end);
        let layout = Layout {
            rcode: u16::from(header.rcode_low()) | walk.rcode_high << 4,
            authentic: header.authentic_data(),
            ede: walk.ede,
            counts: walk.counts,
            additional_at: additional_at - records_at,
            records_end: walk.end - records_at,
            targets_at: 0,
        };
        let mut survey = Self {
            question,
            layout,
            opt_last: walk.opt_at.is_none_or(|at| at == walk.end),
            lifetime_secs: walk.ttl_least_secs,
            negative_ttl_secs: walk.negative_ttl_secs,
            targets: walk.targets,
        };
        survey.judge(walk.answered);
        Ok(survey)
    }

    /// Sets how long it may be kept and, for a positive answer, leaves an SOA's TTL alone.
    fn judge(&mut self, answered: bool) {
        match (self.layout.rcode, answered) {
            (NO_ERROR, true) => self.negative_ttl_secs = None,
            // RFC 2308 §5: "Negative responses without SOA records SHOULD NOT be cached".
            (NO_ERROR, false) | (NX_DOMAIN, _) => {
                self.lifetime_secs = self.negative_ttl_secs.map_or(0, |negative| negative.min(self.lifetime_secs));
            }
            _ => self.lifetime_secs = 0,
        }
    }

    /// Copies the records, writes the clamped TTLs into them, and puts TTL places and targets behind.
    fn keep(mut self, reply: &[u8], now_ms: u64, config: &Config) -> Answer {
        let records_at = self.question.octets.end;
        let records_end = records_at + self.layout.records_end;
        let records: usize = self.layout.counts.map(usize::from).iter().sum();
        self.layout.targets_at = self.layout.records_end + 2 * records;
        let mut octets = Vec::with_capacity(self.layout.targets_at + self.targets.len());
        octets.extend_from_slice(reply.get(records_at..records_end).unwrap_or_default());
        for record in Records::after(reply, &self.question).take(records).flatten() {
            let ttl = match self.negative_ttl_secs {
                Some(ttl) if record.rtype == rtype::SOA && record.section == Section::Authority => ttl,
                _ => clamped_ttl(record.ttl, config),
            };
            let at = record.ttl_at - records_at;
            if let Some(room) = octets.get_mut(at..at + 4) {
                room.copy_from_slice(&ttl.to_be_bytes());
            }
            // A message has at most 65,535 octets, so every place fits.
            octets.extend_from_slice(&u16::try_from(at).unwrap_or(u16::MAX).to_be_bytes());
        }
        octets.extend_from_slice(&self.targets);
        let stored_secs = secs(now_ms);
        Answer {
            layout: self.layout,
            octets: octets.into_boxed_slice(),
            stored_secs,
            expires_secs: stored_secs.saturating_add(self.lifetime_secs),
            cleared: AtomicU64::new(0),
        }
    }
}

/// A [`Survey`] in the making.
struct Walk {
    /// Where the last record that is no OPT ends.
    end: usize,
    /// Where the additional section starts, if it has a record that is no OPT.
    additional_at: Option<usize>,
    /// Where the OPT starts.
    opt_at: Option<usize>,
    /// The OPT's share of the response code.
    rcode_high: u16,
    /// The first EDE.
    ede: Option<Ede>,
    /// Records by section, the OPT not counted.
    counts: [u16; 3],
    /// The least of all TTLs, clamped.
    ttl_least_secs: u32,
    /// From the first SOA of the authority section.
    negative_ttl_secs: Option<u32>,
    /// Whether the answer section has a record of the type asked.
    answered: bool,
    /// How many targets.
    targets_count: usize,
    /// The targets, each with its kind in front.
    targets: Vec<u8>,
}

impl Default for Walk {
    fn default() -> Self {
        Self {
            end: 0,
            additional_at: None,
            opt_at: None,
            rcode_high: 0,
            ede: None,
            counts: [0; 3],
            ttl_least_secs: u32::MAX,
            negative_ttl_secs: None,
            answered: false,
            targets_count: 0,
            targets: Vec::new(),
        }
    }
}

impl Walk {
    /// Takes in one record.
    fn take(&mut self, reply: &[u8], record: &Record, qtype: u16, config: &Config) -> Result<(), AnswerError> {
        let is_answer = record.section == Section::Answer && record.class == CLASS_IN;
        match record.rtype {
            rtype::OPT => return self.take_opt(reply, record),
            rtype::TSIG => return Err(AnswerError::Signed),
            // RFC 2931 §3: a SIG(0) covers type 0.
            rtype::SIG if u16_at(reply, record.rdata.start) == Some(0) => return Err(AnswerError::Signed),
            rtype::CNAME | rtype::DNAME if is_answer => {
                let next = self.take_target(ALIAS, reply, record.rdata.start)?;
                if next != record.end {
                    return Err(RecordsError::Truncated.into());
                }
            }
            // RFC 9460 §2.2: SvcPriority, TargetName, SvcParams.
            rtype::SVCB | rtype::HTTPS if is_answer => {
                let next = self.take_target(SERVICE, reply, record.rdata.start + 2)?;
                if next > record.end {
                    return Err(RecordsError::Truncated.into());
                }
            }
            rtype::SOA if record.section == Section::Authority && self.negative_ttl_secs.is_none() => {
                self.negative_ttl_secs = Some(negative_ttl(reply, record, config));
            }
            _ => {}
        }
        if record.section == Section::Answer {
            self.answered |= record.rtype == qtype || qtype == rtype::ANY;
        }
        if record.section == Section::Additional && self.additional_at.is_none() {
            self.additional_at = Some(record.start);
        }
        self.ttl_least_secs = self.ttl_least_secs.min(clamped_ttl(record.ttl, config));
        if let Some(count) = self.counts.get_mut(record.section as usize) {
            *count += 1;
        }
        self.end = record.end;
        Ok(())
    }

    /// Takes in the OPT: the high bits of the code and the first EDE.
    fn take_opt(&mut self, reply: &[u8], record: &Record) -> Result<(), AnswerError> {
        let owned_by_root = reply.get(record.start) == Some(&0);
        if self.opt_at.is_some() || record.section != Section::Additional || !owned_by_root {
            return Err(AnswerError::Opt);
        }
        self.opt_at = Some(record.start);
        self.rcode_high = u16::from(record.ttl.to_be_bytes()[0]);
        let mut options = reply.get(record.rdata.clone()).unwrap_or_default();
        while let (Some(code), Some(length)) = (u16_at(options, 0), u16_at(options, 2)) {
            if code == OPTION_EDE {
                self.ede = options.get(4..4 + usize::from(length)).and_then(|option| u16_at(option, 0)).map(Ede);
                break;
            }
            options = options.get(4 + usize::from(length)..).unwrap_or_default();
        }
        Ok(())
    }

    /// Takes in the target whose name is at `at`; gives where it ends. The root is none: it stands for the owner itself, or for nothing
    /// (RFC 9460 §2.5).
    fn take_target(&mut self, kind: u8, reply: &[u8], at: usize) -> Result<usize, AnswerError> {
        let (target, next) = expand_name(reply, at)?;
        if target == Name::ROOT {
            return Ok(next);
        }
        if self.targets_count == TARGETS_MAX {
            return Err(AnswerError::TooManyTargets);
        }
        self.targets_count += 1;
        self.targets.push(kind);
        self.targets.extend_from_slice(target.wire());
        Ok(next)
    }
}

/// A TTL as it is kept.
fn clamped_ttl(ttl: u32, config: &Config) -> u32 {
    // RFC 2181 §8: "Implementations should treat TTL values received with the most significant bit set as if the entire value received was zero."
    let ttl = if ttl > i32::MAX as u32 { 0 } else { ttl };
    ttl.max(config.ttl_min_secs).min(config.ttl_max_secs)
}

/// How long a negative answer with this SOA is kept.
fn negative_ttl(reply: &[u8], soa: &Record, config: &Config) -> u32 {
    // RFC 2308 §5: "the minimum of the MINIMUM field of the SOA record and the TTL of the SOA itself".
    let numbers = soa.rdata.len().checked_sub(SOA_NUMBERS_OCTETS).map(|skipped| soa.rdata.start + skipped);
    let minimum = numbers.and_then(|at| u32_at(reply, at + SOA_NUMBERS_OCTETS - 4)).unwrap_or(0);
    let minimum = if minimum > i32::MAX as u32 { 0 } else { minimum };
    let raw = if soa.ttl > i32::MAX as u32 { 0 } else { soa.ttl };
    raw.min(minimum).max(config.ttl_min_secs).min(config.ttl_max_secs).min(config.negative_ttl_max_secs)
}

#[cfg(test)]
mod tests {
    use rand::rngs::StdRng;
    use rand::{RngExt, SeedableRng};

    use super::*;
    use crate::cache::testing::{Scripted, opt, query_for, read, reply};

    /// An SOA's RDATA of root names with this MINIMUM.
    fn soa(minimum: u32) -> Vec<u8> {
        [&[0, 0][..], &[0; 16], &minimum.to_be_bytes()].concat()
    }

    fn answer(octets: &[u8], config: &Config) -> Result<Answer, AnswerError> {
        Answer::from_reply(octets, 1000, config)
    }

    #[test]
    fn lifetimes() {
        let (hour, day) = (soa(3600), soa(86_400));
        let odd = soa(u32::MAX);
        let a = |ttl| (rtype::A, ttl, &[192, 0, 2, 1][..]);
        let alias = |ttl| (rtype::CNAME, ttl, &b"\x01b\xc0\x0c"[..]);
        let start = |ttl, rdata| (rtype::SOA, ttl, rdata);
        let cases: &[(&str, u8, [&[Scripted<'_>]; 3], u32)] = &[
            ("the least TTL", 0, [&[a(300), a(60)], &[], &[a(100)]], 60),
            ("the additional section's too", 0, [&[a(300)], &[], &[a(100)]], 100),
            ("a TTL of 0", 0, [&[a(0)], &[], &[]], 0),
            ("RFC 2181 §8", 0, [&[a(0x8000_0001)], &[], &[]], 0),
            ("over a day", 0, [&[a(1_000_000)], &[], &[]], 86_400),
            ("NXDOMAIN, MINIMUM less", 3, [&[], &[start(7200, &*hour)], &[]], 3600),
            ("NXDOMAIN, SOA's TTL less", 3, [&[], &[start(60, &*hour)], &[]], 60),
            ("NXDOMAIN, cut", 3, [&[], &[start(86_400, &*day)], &[]], 3600),
            ("NXDOMAIN, MINIMUM with the top bit", 3, [&[], &[start(60, &*odd)], &[]], 0),
            ("NXDOMAIN behind an alias", 3, [&[alias(20)], &[start(60, &*hour)], &[]], 20),
            ("NXDOMAIN without SOA", 3, [&[a(60)], &[], &[]], 0),
            ("NODATA", 0, [&[], &[start(60, &*hour)], &[]], 60),
            ("NODATA behind an alias", 0, [&[alias(100)], &[start(60, &*hour)], &[]], 60),
            ("an alias and nothing else", 0, [&[alias(100)], &[], &[]], 0),
            ("nothing", 0, [&[], &[], &[]], 0),
            ("SERVFAIL", 2, [&[a(60)], &[start(60, &*hour)], &[]], 0),
            ("a positive answer with an SOA", 0, [&[a(7000)], &[start(7000, &*hour)], &[]], 7000),
        ];
        let asked = query_for(b"a", rtype::A, true, false, false);
        for (why, rcode, sections, want) in cases {
            for tail in [opt(0, None), vec![]] {
                let octets = reply(&asked, *rcode, *sections, &tail, u8::from(!tail.is_empty()));
                assert_eq!(answer(&octets, &Config::default()).unwrap().lifetime_secs(), *want, "{why}");
            }
        }
    }

    #[test]
    fn clamps_are_written_into_what_is_kept() {
        let asked = query_for(b"a", rtype::A, false, false, false);
        let config = Config { ttl_min_secs: 50, ttl_max_secs: 500, negative_ttl_max_secs: 100, ..Config::default() };
        let a = |ttl| (rtype::A, ttl, &[192, 0, 2, 1][..]);
        let octets = reply(&asked, 0, [&[a(1), a(100), a(1000), a(u32::MAX)], &[], &[]], &[], 0);
        let ttls = |octets: &[u8]| {
            let mut out = [0; 512];
            let written = answer(octets, &config).unwrap().write(&read(&asked), 0, &mut out, 512).unwrap();
            let question = read_question(&out).unwrap();
            Records::after(&out[..written.octets], &question).map(|record| record.unwrap().ttl).collect::<Vec<_>>()
        };
        assert_eq!(ttls(&octets), [50, 100, 500, 50]);
        for (ttl, minimum, want) in [(1, 2, 50), (70, 80, 70), (400, 80, 80), (400, 400, 100)] {
            let octets = reply(&asked, 3, [&[], &[(rtype::SOA, ttl, &soa(minimum))], &[]], &[], 0);
            assert_eq!(ttls(&octets), [want]);
        }
    }

    #[test]
    fn targets_of_aliases() {
        let asked = query_for(b"a", rtype::A, true, false, false);
        let cname: Scripted<'_> = (rtype::CNAME, 60, b"\x01b\xc0\x0e");
        let dname: Scripted<'_> = (rtype::DNAME, 60, b"\x03net\0");
        let octets = reply(&asked, 0, [&[dname, cname], &[], &[cname]], &opt(0, None), 1);
        let answer_of = answer(&octets, &Config::default()).unwrap();
        let targets: Vec<_> = answer_of.targets().map(|target| target.name.wire().to_vec()).collect();
        assert_eq!(targets, [&b"\x03net\0"[..], b"\x01b\x07example\0"], "the answer section's alone, in order");
        assert!(answer_of.has_targets() && answer_of.targets().all(|target| !target.is_service));
        let many = reply(&asked, 0, [&vec![cname; TARGETS_MAX + 1], &[], &[]], &[], 0);
        assert_eq!(answer(&many, &Config::default()).unwrap_err(), AnswerError::TooManyTargets);
        let cut = reply(&asked, 0, [&[(rtype::CNAME, 60, b"\x01b\xc0\x0e!")], &[], &[]], &[], 0);
        assert!(answer(&cut, &Config::default()).is_err(), "octets behind the target");
    }

    #[test]
    fn targets_of_services() {
        let asked = query_for(b"a", rtype::HTTPS, true, false, false);
        let targets = |rdata: &[u8]| {
            let octets = reply(&asked, 0, [&[(rtype::HTTPS, 60, rdata), (rtype::SVCB, 60, rdata)], &[], &[]], &[], 0);
            let answer = answer(&octets, &Config::default())?;
            assert!(answer.targets().all(|target| target.is_service));
            Ok::<_, AnswerError>(answer.targets().map(|target| target.name.wire().to_vec()).collect::<Vec<_>>())
        };
        let alias = b"\0\0\x03cdn\x03net\0";
        let service = b"\0\x01\x03cdn\x03net\0\0\x01\0\x03\x02h2";
        for rdata in [&alias[..], service] {
            assert_eq!(targets(rdata).unwrap(), [b"\x03cdn\x03net\0"; 2]);
        }
        assert!(targets(b"\0\x01\0\0\x01\0\x03\x02h2").unwrap().is_empty(), "the root is the owner itself");
        assert!(targets(b"\0\x01").is_err() && targets(b"\0").is_err(), "no target at all");
    }

    #[test]
    fn an_opt_that_is_not_last_is_taken_out() {
        let asked = query_for(b"a", rtype::A, true, false, false);
        let a = (rtype::A, 60, &[192, 0, 2, 1][..]);
        let cname = (rtype::CNAME, 60, &b"\x01b\xc0\x0c"[..]);
        let last = reply(&asked, 0, [&[cname, a], &[], &[a]], &[], 0);
        let glue = &last[last.len() - 16..];
        let tail = [&opt(0, Some(7))[..], glue].concat();
        let first = reply(&asked, 0, [&[cname, a], &[], &[]], &tail, 2);
        let (want, got) = (answer(&last, &Config::default()).unwrap(), answer(&first, &Config::default()).unwrap());
        assert_eq!(want.octets, got.octets);
        assert_eq!((got.layout.counts, got.ede(), got.lifetime_secs()), (want.layout.counts, Some(Ede(7)), 60));
        let bad = reply(&asked, 7, [&[], &[], &[]], &[&opt(1, None)[..], glue].concat(), 2);
        assert_eq!(answer(&bad, &Config::default()).unwrap().rcode(), 23, "the OPT's share of the code is kept");
    }

    #[test]
    fn what_is_no_answer() {
        let asked = query_for(b"a", rtype::A, true, false, false);
        let good = reply(&asked, 0, [&[(rtype::A, 60, &[192, 0, 2, 1])], &[], &[]], &opt(0, None), 1);
        let with = |at: usize, octet: u8| {
            let mut octets = good.clone();
            octets[at] = octet;
            octets
        };
        let tail = |tail: &[u8], records| reply(&asked, 0, [&[], &[], &[]], tail, records);
        let twice = [opt(0, None), opt(0, None)].concat();
        for (why, octets, want) in [
            ("a query", asked.clone(), AnswerError::NotAResponse),
            ("TC", with(2, 0x82), AnswerError::Truncated),
            ("a count too high", with(11, 2), AnswerError::Records(RecordsError::Truncated)),
            ("cut", good[..good.len() - 1].to_vec(), AnswerError::Records(RecordsError::Truncated)),
            ("two OPTs", tail(&twice, 2), AnswerError::Opt),
            ("an OPT of a name", tail(b"\xc0\x0c\0\x29\x10\0\0\0\0\0\0\0", 1), AnswerError::Opt),
            ("an OPT as answer", reply(&asked, 0, [&[(rtype::OPT, 0, b"")], &[], &[]], &[], 0), AnswerError::Opt),
            ("TSIG", tail(b"\0\0\xfa\0\xff\0\0\0\0\0\0", 1), AnswerError::Signed),
            ("SIG(0)", tail(b"\0\0\x18\0\xff\0\0\0\0\0\x02\0\0", 1), AnswerError::Signed),
            ("no question", with(5, 0), AnswerError::Records(RecordsError::Questions { got: 0 })),
            ("an owner that points forward", with(27, 0xff), AnswerError::Records(RecordsError::Pointer)),
        ] {
            assert_eq!(answer(&octets, &Config::default()).unwrap_err(), want, "{why}");
        }
    }

    #[test]
    fn damage_never_panics() {
        let asked = query_for(b"a", rtype::A, true, false, false);
        let cname: Scripted<'_> = (rtype::CNAME, 60, b"\x01b\xc0\x0e");
        let start = soa(60);
        let good = reply(&asked, 0, [&[cname], &[(rtype::SOA, 60, &start)], &[cname]], &opt(0, Some(22)), 1);
        let mut kept = 0;
        for seed in 0..5000 {
            let mut rng = StdRng::seed_from_u64(seed);
            let mut octets = good.clone();
            for _ in 0..rng.random_range(1..4) {
                let at = rng.random_range(0..octets.len());
                octets[at] = rng.random();
            }
            let Ok(answer) = answer(&octets, &Config::default()) else { continue };
            let mut out = [0; 600];
            let written = answer.write(&read(&asked), 3000, &mut out, 512);
            assert!(written.is_none_or(|written| written.octets <= 512), "seed {seed}");
            kept += answer.targets().count();
        }
        assert!(kept > 1000, "{kept} targets prove nothing");
    }
}
