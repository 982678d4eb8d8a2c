//! Reads one zone file into an [`Authority`], or says by file and line why not.
//!
//! Runs when a generation is built, never on a worker. Lines become tokens and RDATA octets as `wire` reads them; hickory-proto, which
//! answers, must read the octets as they are and write them back the same, so that nothing is accepted that cannot be answered.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use hickory_proto::rr::{LowerName, Name as HickoryName, RData, Record, RecordSet, RecordType, RrKey};
use hickory_proto::serialize::binary::{
    BinDecodable, BinDecoder, BinEncodable as _, BinEncoder, NameEncoding, Restrict,
};

use super::authority::Authority;
use super::{ZONE_FILE_OCTETS_MAX, ZoneError};
use crate::name::Name;
use crate::wire::{DataType, HEADER_OCTETS, STREAM_OCTETS_MAX, Step, ZoneFile, rtype, ttl_secs};

/// The most octets of a name's records of one type, each with its fixed fields and a pointer to its owner: what a message has room for beside
/// a question of the longest name and an OPT.
const SET_OCTETS_MAX: usize = STREAM_OCTETS_MAX - HEADER_OCTETS - (255 + 4) - 11;
/// Octets of a record beside its RDATA: pointer, type, class, TTL, length (RFC 1035 §4.1.3, §4.1.4).
const RECORD_OCTETS: usize = 12;
/// RFC 2181 §8: a TTL is "an unsigned number, with a minimum value of 0, and a maximum value of 2147483647".
const TTL_SECS_MAX: u32 = i32::MAX as u32;

/// Reads and checks the zone at `apex`.
pub(super) fn read(apex: &Name, path: &Path) -> Result<Authority, ZoneError> {
    parse(apex, &read_text(path)?, path)
}

/// Reads the file, no further than the maximum.
fn read_text(path: &Path) -> Result<String, ZoneError> {
    let failed = |source| ZoneError::Read { path: path.to_owned(), source };
    // Asked before opening: opening a pipe would wait for its writer.
    if !std::fs::metadata(path).map_err(failed)?.is_file() {
        return Err(ZoneError::NotAFile { path: path.to_owned() });
    }
    let mut text = String::new();
    let room = u64::try_from(ZONE_FILE_OCTETS_MAX).unwrap_or(u64::MAX).saturating_add(1);
    File::open(path).map_err(failed)?.take(room).read_to_string(&mut text).map_err(failed)?;
    if text.len() > ZONE_FILE_OCTETS_MAX {
        return Err(ZoneError::TooLarge { path: path.to_owned(), max: ZONE_FILE_OCTETS_MAX });
    }
    Ok(text)
}

/// Parses and checks a zone's text; `path` is for its errors.
fn parse(apex: &Name, text: &str, path: &Path) -> Result<Authority, ZoneError> {
    let no_soa = || ZoneError::NoSoa { path: path.to_owned() };
    let mut zone = Reading::new(apex, path).ok_or_else(no_soa)?;
    let mut file = ZoneFile::default();
    for (line, text) in (1..).zip(text.lines()) {
        // A record over several lines is told by its first.
        if !file.is_open() {
            zone.line = line;
        }
        match file.line(text.as_bytes()) {
            Some(Step::Record) => zone.record(&file)?,
            Some(Step::Blank | Step::Open) => {}
            None => return Err(zone.unreadable()),
        }
    }
    if file.is_open() {
        return Err(zone.unreadable());
    }
    let records = zone.sets.into_iter().map(|(key, set)| (key, set.records)).collect();
    Authority::new(zone.apex, records).ok_or_else(no_soa)
}

/// A zone as far as its file was read.
struct Reading<'p> {
    /// For errors.
    path: &'p Path,
    /// The first line of the record at hand, from 1.
    line: usize,
    /// The zone's name.
    apex: LowerName,
    /// What relative names are completed with.
    origin: Name,
    /// The owner of the last record.
    owner: Option<HickoryName>,
    /// The TTL by `$TTL`.
    ttl_default: Option<u32>,
    /// The TTL that was last stated.
    ttl_last: Option<u32>,
    /// The records.
    sets: BTreeMap<RrKey, Set>,
}

/// A name's records of one type.
struct Set {
    /// As they are answered, of one owner and type; never empty.
    records: RecordSet,
    /// Octets that they take in an answer.
    octets: usize,
}

impl<'p> Reading<'p> {
    /// A zone of which nothing was read.
    fn new(apex: &Name, path: &'p Path) -> Option<Self> {
        let name = HickoryName::from_bytes(apex.wire()).ok()?;
        let (line, origin, apex) = (1, apex.clone(), LowerName::new(&name));
        Some(Self { path, line, apex, origin, owner: None, ttl_default: None, ttl_last: None, sets: BTreeMap::new() })
    }

    /// The record at hand is none.
    fn unreadable(&self) -> ZoneError {
        ZoneError::Parse { path: self.path.to_owned(), line: self.line }
    }

    /// Reads one record or directive.
    fn record(&mut self, file: &ZoneFile) -> Result<(), ZoneError> {
        let (path, line) = (|| self.path.to_owned(), self.line);
        let mut tokens = file.tokens();
        if !file.indented() {
            let first = tokens.next().ok_or_else(|| self.unreadable())?;
            if first.first() == Some(&b'$') {
                return self.directive(first, &tokens.collect::<Vec<_>>());
            }
            let owner = absolute(first, &self.origin).and_then(|name| HickoryName::from_bytes(name.wire()).ok());
            self.owner = Some(owner.ok_or_else(|| self.unreadable())?);
        }
        let (mut ttl, mut class) = (None, false);
        let kind = loop {
            let token = tokens.next().ok_or_else(|| self.unreadable())?;
            // RFC 1035 §5.1: "[<TTL>] [<class>] <type> <RDATA>" or "[<class>] [<TTL>] <type> <RDATA>".
            match ttl_secs(token).filter(|_| ttl.is_none()) {
                Some(secs) => ttl = Some(secs),
                None if !class && token.eq_ignore_ascii_case(b"IN") => class = true,
                None if is_other_class(token) => return Err(ZoneError::Class { path: path(), line }),
                None => break token,
            }
        };
        let kind = DataType::read(kind).filter(|kind| is_served(kind.number()));
        let kind = kind.ok_or_else(|| ZoneError::Type { path: path(), line })?;
        self.ttl_last = ttl.or(self.ttl_last);
        let tokens: Vec<&[u8]> = tokens.collect();
        let octets = kind.rdata(&tokens, &|token| absolute(token, &self.origin)).filter(|_| !file.is_cut());
        let octets = octets.ok_or_else(|| ZoneError::Rdata { path: path(), line })?;
        let rdata = answered_as(kind.number(), &octets).ok_or_else(|| ZoneError::Rdata { path: path(), line })?;
        let ttl = ttl.or(self.ttl_default).or(self.ttl_last).filter(|&secs| secs <= TTL_SECS_MAX);
        let ttl = ttl.ok_or_else(|| ZoneError::Ttl { path: path(), line })?;
        let owner = self.owner.clone().ok_or_else(|| self.unreadable())?;
        self.add(Record::from_rdata(owner, ttl, rdata), octets.len())
    }

    /// Adds a record whose RDATA takes so many octets.
    fn add(&mut self, record: Record, rdata_octets: usize) -> Result<(), ZoneError> {
        let (path, line) = (|| self.path.to_owned(), self.line);
        let (owner, rtype) = (LowerName::new(&record.name), record.record_type());
        if !self.apex.zone_of(&owner) {
            return Err(ZoneError::OutOfZone { path: path(), line });
        }
        if rtype == RecordType::SOA && owner != self.apex {
            return Err(ZoneError::WrongApex { path: path(), line });
        }
        if !self.goes_with_others(&owner, &record) {
            return Err(ZoneError::CnameAndOther { path: path(), line });
        }
        let set = match self.sets.entry(RrKey::new(owner, rtype)) {
            Entry::Occupied(_) if rtype == RecordType::SOA => return Err(self.unreadable()),
            Entry::Occupied(set) => set.into_mut(),
            Entry::Vacant(place) => {
                place.insert(Set { records: RecordSet::new(record.name.clone(), rtype, 0), octets: 0 })
            }
        };
        if set.records.insert(record, 0) {
            set.octets += RECORD_OCTETS + rdata_octets;
        }
        if set.octets > SET_OCTETS_MAX {
            return Err(ZoneError::SetTooLarge { path: path(), line, max: SET_OCTETS_MAX });
        }
        Ok(())
    }

    /// Whether a record may stand beside what its name has (RFC 1034 §3.6.2: a CNAME alone, and once).
    fn goes_with_others(&self, owner: &LowerName, record: &Record) -> bool {
        let is_cname = |rtype| rtype == RecordType::CNAME;
        // Keys are sorted by name first, and no type's number is less than 0.
        let first = RrKey::new(owner.clone(), RecordType::from(0));
        let mut beside = self.sets.range(first..).take_while(|(key, _)| key.name() == owner);
        beside.all(|(key, set)| match (is_cname(key.record_type), is_cname(record.record_type())) {
            (true, true) => set.records.records_without_rrsigs().all(|before| before.data == record.data),
            (one, other) => !one && !other,
        })
    }

    /// Reads a directive: `$ORIGIN` or `$TTL`.
    fn directive(&mut self, name: &[u8], values: &[&[u8]]) -> Result<(), ZoneError> {
        let is = |known: &[u8]| name.eq_ignore_ascii_case(known);
        if is(b"$INCLUDE") {
            return Err(ZoneError::Include { path: self.path.to_owned(), line: self.line });
        }
        let &[value] = values else { return Err(self.unreadable()) };
        if is(b"$ORIGIN") {
            self.origin = absolute(value, &self.origin).ok_or_else(|| self.unreadable())?;
        } else {
            let secs = ttl_secs(value).filter(|_| is(b"$TTL"));
            self.ttl_default = Some(secs.ok_or_else(|| self.unreadable())?);
        }
        Ok(())
    }
}

/// The absolute name that `token` stands for (RFC 1035 §5.1).
fn absolute(token: &[u8], origin: &Name) -> Option<Name> {
    if token == b"@" {
        return Some(origin.clone());
    }
    let name = if token.is_ascii() {
        Name::from_text(token).ok()?
    } else {
        Name::from_written(std::str::from_utf8(token).ok()?).ok()?
    };
    let escapes = token.iter().rev().skip(1).take_while(|&&octet| octet == b'\\').count();
    if token.ends_with(b".") && escapes.is_multiple_of(2) {
        return Some(name);
    }
    let front = name.wire().strip_suffix(b"\0")?;
    Name::from_wire(&[front, origin.wire()].concat()).ok()
}

/// Whether a token is a class other than IN (RFC 6895 §3.2).
fn is_other_class(token: &[u8]) -> bool {
    [&b"CH"[..], b"HS", b"CS", b"NONE", b"ANY"].iter().any(|class| token.eq_ignore_ascii_case(class))
}

/// Whether records of a type are answered from a zone: not what signs one, which is not done here, not DNAME, and none that only asks or
/// speaks of the message (RFC 6895 §3.1).
const fn is_served(number: u16) -> bool {
    !matches!(number, 0 | rtype::DNAME | rtype::OPT | rtype::RRSIG..=rtype::DNSKEY | 50 | 51 | 128..=255)
}

/// What answers with these octets: hickory-proto's reading of them, if it writes the same.
fn answered_as(number: u16, octets: &[u8]) -> Option<RData> {
    let length = u16::try_from(octets.len()).ok()?;
    let rdata = RData::read(&mut BinDecoder::new(octets), RecordType::from(number), Restrict::new(length)).ok()?;
    let mut written = Vec::new();
    let mut encoder = BinEncoder::new(&mut written);
    encoder.set_name_encoding(NameEncoding::Uncompressed);
    rdata.emit(&mut encoder).ok()?;
    (written == octets && rdata.record_type() == RecordType::from(number)).then_some(rdata)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str =
        "$TTL 300\n@ IN SOA ns hostmaster (\n 1 ; serial )\n 3600 600 86400 60 )\n@ NS ns\nns A 192.0.2.1\n";

    fn fault(tail: &str) -> String {
        let apex = Name::from_text(b"corp.example").unwrap();
        match parse(&apex, &format!("{GOOD}{tail}"), Path::new("zone")) {
            Ok(_) => "none".to_owned(),
            Err(fault) => fault.to_string(),
        }
    }

    #[test]
    fn faults_are_told_by_line() {
        for (tail, want) in [
            ("", "none"),
            ("txt TXT \"a ; ( b\" ; ( \"\nlast A 192.0.2.2", "none"),
            ("a A 192.0.2.1\nb A 192.0.2\nc A 192.0.2.3\n", "zone:8: expected a record"),
            ("a A 192.0.2.1\n\nb TXT (\n \"open\"\n", "zone:9: expected a record"),
            ("a TXT \"open\n", "zone:7: expected a record"),
            ("a.other.example. A 192.0.2.1\nb A 192.0.2\n", "zone:7: expected names at or below"),
            ("x A 192.0.2.1\na.other.example. A 192.0.2.1\n", "zone:8: expected names at or below"),
            ("corp.example.org. A 192.0.2.1\n", "zone:7: expected names at or below"),
            ("xcorp.example. A 192.0.2.1\n", "zone:7: expected names at or below"),
            ("sub SOA ns h 1 2 3 4 5\n", "zone:7: expected the SOA record at"),
            ("a CH TXT x\n", "zone:7: expected class IN"),
            ("a CNAME b\nb A 192.0.2.1\na A 192.0.2.1\n", "zone:9: expected a CNAME to be"),
            ("a TXT x\n$include other\n", "zone:8: expected the whole zone in one file"),
            ("a TXT ( \"\n$INCLUDE x\" )\n", "zone:7: expected a record"),
            ("a TXT (\n x", "zone:7: expected a record, $ORIGIN"),
            ("a CNAME b\na CNAME B\n", "none"),
            ("a CNAME b\na CNAME c\n", "zone:8: expected a CNAME to be"),
            ("$TTL x\n", "zone:7: expected a record, $ORIGIN"),
            ("$GENERATE 1-9 a$ A 192.0.2.$\n", "zone:7: expected a record, $ORIGIN"),
            ("a 2147483648 A 192.0.2.1\n", "zone:7: expected a TTL"),
            ("a DNAME b\n", "zone:7: expected a type"),
            ("a NSEC b A\n", "zone:7: expected a type"),
            ("a ANAME b\n", "zone:7: expected a type"),
            ("a NOTATYPE b\n", "zone:7: expected a type"),
            (
                "a TXT \"v=DKIM1; k=rsa; \"\nb TXT (\n \"v=DKIM1; k=rsa; \"\n \"p=x\" )\nc TYPE65280 \\# 2 abcd\n",
                "none",
            ),
        ] {
            let got = fault(tail);
            assert!(got.starts_with(want), "{tail:?}: wanted {want:?}, got {got:?}");
        }
        let apex = Name::from_text(b"corp.example").unwrap();
        let got = parse(&apex, "a A 192.0.2.1\n", Path::new("zone")).map(|_| ()).unwrap_err();
        assert!(matches!(got, ZoneError::Ttl { .. }), "{got}");
        let got = parse(&apex, "$TTL 1\na A 192.0.2.1\n", Path::new("zone")).map(|_| ()).unwrap_err();
        assert!(matches!(got, ZoneError::NoSoa { .. }), "{got}");
    }

    #[test]
    fn what_would_go_out_malformed_or_not_at_all_is_told_by_line() {
        let long = "x".repeat(256);
        for record in [
            "HTTPS 1 . alpn=",
            "HTTPS 1 . alpn=h2,,h3",
            "HTTPS 1 . alpn=\"",
            "HTTPS 1 . mandatory=",
            "HTTPS 1 . mandatory=port",
            "HTTPS 1 . mandatory=port,port port=1",
            "HTTPS 1 . ipv4hint=",
            "SVCB 1 . ipv6hint=",
            "SVCB 1 . port",
            "SVCB 1 . ech=",
            "SVCB 1 . port=1 port=2",
            "SVCB 1 . no-default-alpn",
            &format!("HTTPS 1 . alpn={long}"),
            &format!("TXT {long}"),
            "TXT",
            "TXT \\# 0",
            &format!("CAA 0 {long} x"),
            "CAA 0 \"\" x",
            &format!("HINFO {long} x"),
            &format!("NAPTR 1 2 U {long} x ."),
            "URI 1 2 \"\"",
            "OPENPGPKEY \"\"",
            "CERT 1 2 3 \"\"",
            "MX 1 a b",
        ] {
            let got = fault(&format!("a A 192.0.2.1\n\nb (\n {record} )\n"));
            assert!(got.starts_with("zone:9: expected a record"), "{record}: {got}");
        }
        let many: String = (0..4100).map(|number| format!("b A 10.0.{}.{}\n", number / 256, number % 256)).collect();
        let got = fault(&many);
        assert!(got.starts_with("zone:4085: expected records of one name and type"), "{got}");
    }

    /// What an editor or a disk may leave behind is refused or read, and never a panic.
    #[test]
    fn spoilt_files_do_not_panic() {
        let apex = Name::from_text(b"corp.example").unwrap();
        let text = format!(
            "{GOOD}mx MX 10 ns\nt TXT \"a\\\"b\" c\ns SRV 1 2 3 ns\nh HTTPS 1 . alpn=h2 port=443\nc CAA 0 issue \"ca\"\n* AAAA ::1\n"
        );
        let mut state = 7_u64;
        let mut next = |below: usize| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            usize::try_from(state >> 33).unwrap() % below
        };
        for _ in 0..1500 {
            let mut octets = text.clone().into_bytes();
            for _ in 0..=next(3) {
                let at = next(octets.len());
                match next(3) {
                    0 => octets[at] = b"\0\\\"();$@ \n.09aZ\x7f\xff"[next(17)],
                    1 => drop(octets.drain(at..(at + next(9)).min(octets.len()))),
                    _ => octets.insert(at, b"\\\"()$@.\n"[next(8)]),
                }
            }
            let spoilt = String::from_utf8_lossy(&octets);
            let _told = parse(&apex, &spoilt, Path::new("zone")).is_ok();
        }
    }

    #[test]
    fn unreadable_files_are_told_apart() {
        let folder = tempfile::tempdir().unwrap();
        let apex = Name::from_text(b"corp.example").unwrap();
        let path = folder.path().join("zone");
        let fault = |path: &Path| read(&apex, path).map(|_| ()).unwrap_err();
        assert!(matches!(fault(&path), ZoneError::Read { .. }));
        assert!(matches!(fault(folder.path()), ZoneError::NotAFile { .. }));
        std::fs::write(&path, b"\xff\xfe").unwrap();
        assert!(matches!(fault(&path), ZoneError::Read { .. }));
        std::fs::write(&path, vec![b'\n'; ZONE_FILE_OCTETS_MAX + 1]).unwrap();
        assert!(matches!(fault(&path), ZoneError::TooLarge { .. }));
        std::fs::write(&path, GOOD).unwrap();
        assert!(read(&apex, &path).is_ok());
    }
}
