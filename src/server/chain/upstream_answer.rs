//! An upstream's answer, taken apart: the aliases that lead into a zone of the operator's, and what belongs to them.

use super::{OPT_OCTETS_MAX, Unfinished};
use crate::cache::Answer;
use crate::name::{Name, NameRef};
use crate::wire::{
    CLASS_IN, HEADER_OCTETS, Query, Record, Records, Section, expand_name, read_question, rtype, u16_at,
};

/// Where the labels field is in an RRSIG's RDATA (RFC 4034 §3.1).
const RRSIG_LABELS_AT: usize = 3;

/// An alias of an upstream's answer.
pub(super) struct Alias<'r> {
    /// Whose.
    owner: &'r Name,
    /// Its TTL, seconds.
    ttl_secs: u32,
    /// Where it leads.
    pub(super) target: Name,
}

/// An upstream's answer, taken apart.
pub(super) struct UpstreamAnswer {
    /// The message.
    octets: Vec<u8>,
    /// Its records of class IN, and their owners.
    records: Vec<(Name, Record)>,
}

impl UpstreamAnswer {
    /// Takes `answer` apart as it is given out at `now_ms`.
    pub(super) fn apart(query: &Query<'_>, answer: &Answer, now_ms: u64) -> Option<Self> {
        let mut octets = vec![0; HEADER_OCTETS + query.question.len() + answer.size_bytes() + OPT_OCTETS_MAX];
        let room = octets.len();
        let written = answer.write(query, now_ms, &mut octets, room).filter(|written| !written.truncated)?;
        octets.truncate(written.octets);
        let question = read_question(&octets).ok()?;
        let of_internet = |record: &Record| record.class == CLASS_IN;
        let records = Records::after(&octets, &question)
            .map_while(Result::ok)
            .filter(of_internet)
            .map(|record| Some((expand_name(&octets, record.start).ok()?.0, record)))
            .collect::<Option<_>>()?;
        Some(Self { octets, records })
    }

    /// The records of a section that are of this type, or sign such.
    fn of_type(&self, section: Section, rtype: u16) -> impl Iterator<Item = &(Name, Record)> {
        self.records.iter().filter(move |(_, record)| {
            record.section == section && (record.rtype == rtype || self.covered(record) == Some(rtype))
        })
    }

    /// What a record signs, if it is a signature.
    fn covered(&self, record: &Record) -> Option<u16> {
        if record.rtype == rtype::RRSIG { u16_at(&self.octets, record.rdata.start) } else { None }
    }

    /// The aliases that lead from `qname` to the first name that `is_end`, in their order; `None` if none does.
    pub(super) fn path(&self, qname: &Name, is_end: impl Fn(&NameRef<'_>) -> bool) -> Option<Vec<Alias<'_>>> {
        let mut path: Vec<Alias<'_>> = Vec::new();
        loop {
            let from = path.last().map_or(qname, |alias| &alias.target);
            let mut aliases =
                self.of_type(Section::Answer, rtype::CNAME).filter(|(_, alias)| alias.rtype == rtype::CNAME);
            let (owner, record) = aliases.find(|(owner, _)| owner == from)?;
            // An answer has a bounded number of aliases, and none is followed twice.
            if path.iter().any(|alias| alias.owner == owner) {
                return None;
            }
            let (target, _) = expand_name(&self.octets, record.rdata.start).ok()?;
            let ends = is_end(&target.view().ok()?);
            path.push(Alias { owner, ttl_secs: record.ttl, target });
            if ends {
                return Some(path);
            }
        }
    }

    /// Whether a signature is of a record that a wildcard made.
    fn is_of_wildcard(&self, owner: &Name, signature: &Record) -> bool {
        // RFC 4035 §5.3.4: "If the number of labels in an RRset's owner name is greater than the Labels field of the covering RRSIG RR, then
        // the RRset and its covering RRSIG RR were created as a result of wildcard expansion".
        let labels = owner.view().map_or(0, |owner| owner.labels());
        self.octets.get(signature.rdata.start + RRSIG_LABELS_AT).is_some_and(|&signed| usize::from(signed) < labels)
    }

    /// Puts a record as it is behind `to`, its owner written already.
    fn put(&self, record: &Record, to: &mut Vec<u8>) {
        // RFC 1035 §4.1.3: TYPE and CLASS in front of the TTL, RDLENGTH and RDATA behind it. Of the types that are put so, RDATA has no
        // pointer (RFC 4034 §3.1.7, §4.1.1).
        let fixed = record.ttl_at.saturating_sub(4)..record.end;
        to.extend_from_slice(self.octets.get(fixed).unwrap_or_default());
    }

    /// The records of the answer up to the end of `path`; and whether a wildcard made any of them.
    pub(super) fn keep(&self, path: &[Alias<'_>], kept: &mut Unfinished) -> Option<bool> {
        let (mut of_wildcard, mut dnames) = (false, Vec::new());
        for alias in path {
            // RFC 6672 §3.1: a DNAME stands with the CNAME that is made of it.
            for (owner, record) in self.of_type(Section::Answer, rtype::DNAME) {
                if is_below(alias.owner, owner) && !dnames.contains(&record.start) {
                    dnames.push(record.start);
                    if record.rtype == rtype::DNAME {
                        let (target, _) = expand_name(&self.octets, record.rdata.start).ok()?;
                        kept.put_alias(owner, rtype::DNAME, record.ttl, &target)?;
                    } else {
                        kept.put_owner(owner);
                        self.put(record, &mut kept.octets);
                        kept.count += 1;
                    }
                }
            }
            kept.put_alias(alias.owner, rtype::CNAME, alias.ttl_secs, &alias.target)?;
            let signatures = self.of_type(Section::Answer, rtype::CNAME).filter(|(_, one)| one.rtype == rtype::RRSIG);
            for (owner, signature) in signatures.filter(|(owner, _)| owner == alias.owner) {
                kept.put_owner(owner);
                self.put(signature, &mut kept.octets);
                kept.count += 1;
                of_wildcard |= self.is_of_wildcard(owner, signature);
            }
        }
        Some(of_wildcard)
    }

    /// What proves that a wildcard was to be used, with signatures; and how many records.
    pub(super) fn proofs(&self, is_own: impl Fn(&NameRef<'_>) -> bool) -> (Vec<u8>, u16) {
        let (mut octets, mut count) = (Vec::new(), 0);
        for rtype in [rtype::NSEC, rtype::NSEC3] {
            for (owner, record) in self.of_type(Section::Authority, rtype) {
                if owner.view().is_ok_and(|owner| !is_own(&owner)) {
                    octets.extend_from_slice(owner.wire());
                    self.put(record, &mut octets);
                    count += 1;
                }
            }
        }
        (octets, count)
    }
}

/// Whether `name` is below `above`.
fn is_below(name: &Name, above: &Name) -> bool {
    match (name.view(), above.view()) {
        (Ok(name), Ok(above)) => {
            name.labels() > above.labels() && name.suffix(above.labels()).eq_ignore_ascii_case(above.wire())
        }
        _ => false,
    }
}
