//! [`Chain`]: a reply whose aliases lead into a zone of the operator's: the aliases, and behind them what the zone says.
//!
//! A name of the inside is answered by the inside, whoever leads to it: a sunk name's alias, or an upstream's answer, of which the part in front
//! of the zone is kept. Clients that take a reply as it comes, as stubs do, have the address at once.
//!
//! Of an upstream's answer:
//! * the CNAMEs up to the zone are kept as they came, in the order in which they lead on, with the DNAMEs they are made of and the signatures of
//!   both; for a CNAME that a wildcard made, as its signature tells (RFC 4035 §5.3.4), also the NSEC and NSEC3 records that prove it;
//! * the rest is the zone's, the code too (RFC 6604 §3). AD is off: not all that is answered was validated (RFC 4035 §3.2.3);
//! * an answer for CNAME itself is whole as it is, and so is one that leads to a delegation of the zone, whose servers know better.
//!
//! Nothing of this is kept: it is made again for every reply, under the zones of today. It allocates, and is only for replies that lead to a zone.

#[cfg(test)]
mod tests;
mod upstream_answer;

use std::net::IpAddr;

use upstream_answer::UpstreamAnswer;

use crate::cache::{Answer, addresses_in};
use crate::name::{NAME_OCTETS_MAX, Name, NameRef};
use crate::wire::{
    CLASS_IN, Ede, HEADER_OCTETS, Query, Question, Rcode, Record, Records, ReplyFlags, Section, Writer, read_question,
    rtype,
};
use crate::zone::{Appended, Zones};

/// Octets of our OPT with an extended error's code (RFC 6891 §6.1.2, RFC 8914 §2).
const OPT_OCTETS_MAX: usize = 17;
/// The longest offset that a pointer can tell (RFC 1035 §4.1.4).
const POINTED_MAX: usize = 0x3fff;

/// A reply that leads into an own zone.
pub(super) struct Chain {
    /// The message; of its header only the counts are set, and it has no OPT.
    octets: Vec<u8>,
    /// Where its records start.
    records_at: usize,
    /// Where its additional section starts.
    additional_at: usize,
    /// Records by section.
    counts: [u16; 3],
    /// Its code.
    rcode: Rcode,
}

/// What [`Chain::write`] wrote.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Written {
    /// Its code.
    pub(super) rcode: Rcode,
    /// Its length; `None` if there is no room even for header and question.
    pub(super) octets: Option<usize>,
    /// Whether it has TC.
    pub(super) truncated: bool,
}

/// Records of a chain in the making.
struct Unfinished {
    /// The message up to the last of them.
    octets: Vec<u8>,
    /// How many are in its answer section.
    count: u16,
    /// Names that stand in it, and where.
    names: Vec<(Name, u16)>,
}

impl Unfinished {
    /// None, in a reply to `query`.
    fn new(query: &Query<'_>) -> Option<Self> {
        let mut octets = vec![0; HEADER_OCTETS];
        octets.extend_from_slice(query.question);
        let qname = Name::from_wire(query.qname.wire()).ok()?;
        Some(Self { octets, count: 0, names: vec![(qname, u16::try_from(HEADER_OCTETS).ok()?)] })
    }

    /// Writes an owner: as a pointer if it stands here already.
    fn put_owner(&mut self, owner: &Name) {
        match self.names.iter().find(|(name, _)| name == owner) {
            Some((_, at)) => self.octets.extend_from_slice(&(at | 0xc000).to_be_bytes()),
            None => self.octets.extend_from_slice(owner.wire()),
        }
    }

    /// Adds an alias, whose target may own what follows; `None` if the target is too long to be one.
    fn put_alias(&mut self, owner: &Name, rtype: u16, ttl_secs: u32, target: &Name) -> Option<()> {
        let length = u16::try_from(target.wire().len()).ok()?;
        self.put_owner(owner);
        for field in [rtype, CLASS_IN] {
            self.octets.extend_from_slice(&field.to_be_bytes());
        }
        self.octets.extend_from_slice(&ttl_secs.to_be_bytes());
        self.octets.extend_from_slice(&length.to_be_bytes());
        if let Some(at) = u16::try_from(self.octets.len()).ok().filter(|at| usize::from(*at) <= POINTED_MAX) {
            self.names.push((target.clone(), at));
        }
        self.octets.extend_from_slice(target.wire());
        self.count += 1;
        Some(())
    }

    /// Puts behind them what the zones say to `name`; `authorities` are records to stand with the zone's, and how many.
    fn lead(
        mut self,
        zones: &Zones,
        query: &Query<'_>,
        name: &NameRef<'_>,
        authorities: (&[u8], u16),
    ) -> Option<Chain> {
        let appended = zones.append(name, query.qtype, authorities, &mut self.octets)?;
        let Appended { rcode, counts: [answers, authorities, additionals], additional_at } = appended;
        let counts = [answers.checked_add(self.count)?, authorities, additionals];
        let mut octets = self.octets;
        let header = [1, counts[0], counts[1], counts[2]].into_iter().flat_map(u16::to_be_bytes);
        for (slot, octet) in octets.iter_mut().skip(4).zip(header) {
            *slot = octet;
        }
        let records_at = HEADER_OCTETS + query.question.len();
        Some(Chain { octets, records_at, additional_at, counts, rcode })
    }
}

impl Chain {
    /// The reply that makes the name asked an alias of the name whose labels are `front` and `back`, a root's at its end; `None` if it is in no
    /// own zone, or the alias itself is asked for.
    pub(super) fn of_alias(
        zones: &Zones,
        query: &Query<'_>,
        (front, back): (&[u8], &[u8]),
        ttl_secs: u32,
    ) -> Option<Self> {
        if zones.operator_zones() == 0 || asks_for_alias(query) {
            return None;
        }
        // On the stack: most aliases lead elsewhere.
        let (mut octets, end) = ([0; NAME_OCTETS_MAX], front.len() + back.len());
        octets.get_mut(..front.len())?.copy_from_slice(front);
        octets.get_mut(front.len()..end)?.copy_from_slice(back);
        let target = Name::from_wire(octets.get(..end)?).ok()?;
        let view = target.view().ok()?;
        if !zones.owns(&view, query.qtype) {
            return None;
        }
        let mut kept = Unfinished::new(query)?;
        let qname = Name::from_wire(query.qname.wire()).ok()?;
        kept.put_alias(&qname, rtype::CNAME, ttl_secs, &target)?;
        kept.lead(zones, query, &view, (&[], 0))
    }

    /// The reply that an upstream's answer comes to at `now_ms`; `None` if that does not lead into an own zone.
    pub(super) fn of_answer(zones: &Zones, query: &Query<'_>, answer: &Answer, now_ms: u64) -> Option<Self> {
        let is_own = |name: &NameRef<'_>| zones.owns(name, query.qtype);
        // NOERROR and NXDOMAIN: of any other answer not all that there is was found.
        let is_answer = matches!(Rcode::from_code(answer.rcode()), Rcode::NoError | Rcode::NxDomain);
        if !is_answer || asks_for_alias(query) || !answer.targets().any(|target| is_own(&target.name)) {
            return None;
        }
        let taken = UpstreamAnswer::apart(query, answer, now_ms)?;
        let qname = Name::from_wire(query.qname.wire()).ok()?;
        let path = taken.path(&qname, is_own)?;
        let mut kept = Unfinished::new(query)?;
        let of_wildcard = taken.keep(&path, &mut kept)?;
        let (proofs, count) = if of_wildcard { taken.proofs(is_own) } else { (Vec::new(), 0) };
        let end = path.last()?.target.view().ok()?;
        kept.lead(zones, query, &end, (&proofs, count))
    }

    /// The addresses it gives.
    pub(super) fn addresses(&self) -> Vec<IpAddr> {
        let of_section = |section: Section| self.records().filter(move |record| record.section == section);
        let of = |section| {
            of_section(section).map(|record| (record.rtype, self.octets.get(record.rdata).unwrap_or_default()))
        };
        addresses_in(of(Section::Answer), of(Section::Additional)).collect()
    }

    /// Its records.
    fn records(&self) -> impl Iterator<Item = Record> + Clone {
        let question: Option<Question<'_>> = read_question(&self.octets).ok();
        question.map(|question| Records::after(&self.octets, &question)).into_iter().flatten().map_while(Result::ok)
    }

    /// Writes it as the reply to `query` into `out`, which is as long as the reply may be: what does not fit goes without its additional section,
    /// then without the error's text, then without records, with TC (RFC 2181 §9).
    pub(super) fn write(&self, out: &mut [u8], query: &Query<'_>, ede: Option<(Ede, &str)>) -> Written {
        let [answers, authorities, _] = self.counts;
        let (whole, necessary) = ((self.octets.len(), self.counts), (self.additional_at, [answers, authorities, 0]));
        let no_text = ede.map(|(code, _)| (code, ""));
        let mut attempt = |(end, counts), ede, truncated| {
            let flags = ReplyFlags { truncated, ..ReplyFlags::default() };
            let mut writer = Writer::reply(out, query, self.rcode, flags);
            writer.records(self.octets.get(self.records_at..end).unwrap_or_default(), counts);
            writer.opt(query, self.rcode, ede);
            writer.finish()
        };
        for (part, ede) in [(whole, ede), (necessary, ede), (necessary, no_text)] {
            let octets = attempt(part, ede, false);
            if octets.is_some() {
                return Written { rcode: self.rcode, octets, truncated: false };
            }
        }
        let octets = attempt((self.records_at, [0; 3]), no_text, true);
        Written { rcode: self.rcode, octets, truncated: true }
    }
}

/// Whether an alias is itself what is asked for, so that it is not followed (RFC 1034 §3.6.2; ANY: RFC 8482 §4.1).
const fn asks_for_alias(query: &Query<'_>) -> bool {
    matches!(query.qtype, rtype::CNAME | rtype::ANY)
}
