//! Reads one zone file into an [`Authority`], or says by file and line why not.
//!
//! Runs when a generation is built, never on a worker. hickory's parser says no lines, so a fault's is found by parsing prefixes that end
//! between records, in as many tries as the file's size has bits.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use hickory_proto::rr::{DNSClass, LowerName, Name as HickoryName, RecordSet, RecordType, RrKey};
use hickory_proto::serialize::binary::BinDecodable;
use hickory_proto::serialize::txt::{ParseResult, Parser};

use super::authority::Authority;
use super::{ZONE_FILE_OCTETS_MAX, ZoneError};
use crate::name::Name;

/// What hickory's parser makes of a file.
type Parsed = ParseResult<(HickoryName, BTreeMap<RrKey, RecordSet>)>;

/// Reads and checks the zone at `apex`.
pub(super) fn read(apex: &Name, path: &Path) -> Result<Authority, ZoneError> {
    let text = read_text(path)?;
    let Ok(origin) = HickoryName::from_bytes(apex.wire()) else {
        return Err(ZoneError::NoSoa { path: path.to_owned() });
    };
    parse(&origin, &text, path)
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
fn parse(origin: &HickoryName, text: &str, path: &Path) -> Result<Authority, ZoneError> {
    let apex = LowerName::new(origin);
    let path = || path.to_owned();
    let line = |bad: &dyn Fn(&BTreeMap<RrKey, RecordSet>) -> bool| first_line(origin, text, bad);
    if let Some(line) = entries(text).find(|entry| is_include(text, entry)).map(|entry| entry.line) {
        return Err(ZoneError::Include { path: path(), line });
    }
    let records = match parse_text(origin, text) {
        Ok((_, records)) => records,
        Err(source) => return Err(ZoneError::Parse { path: path(), line: line(&|_| false), source }),
    };
    let soa_elsewhere = |records: &BTreeMap<RrKey, RecordSet>| {
        records.keys().any(|key| key.record_type == RecordType::SOA && *key.name() != apex)
    };
    let outside = |records: &BTreeMap<RrKey, RecordSet>| records.keys().any(|key| !apex.zone_of(key.name()));
    let other_class = |records: &BTreeMap<RrKey, RecordSet>| {
        records.values().flat_map(RecordSet::records_without_rrsigs).any(|record| record.dns_class != DNSClass::IN)
    };
    if soa_elsewhere(&records) {
        return Err(ZoneError::WrongApex { path: path(), line: line(&soa_elsewhere) });
    }
    if outside(&records) {
        return Err(ZoneError::OutOfZone { path: path(), line: line(&outside) });
    }
    if other_class(&records) {
        return Err(ZoneError::Class { path: path(), line: line(&other_class) });
    }
    if cname_and_other(&records) {
        return Err(ZoneError::CnameAndOther { path: path(), line: line(&cname_and_other) });
    }
    Authority::new(apex.clone(), records).ok_or_else(|| ZoneError::NoSoa { path: path() })
}

/// hickory's parser, relative names below `origin`, nothing included.
fn parse_text(origin: &HickoryName, text: &str) -> Parsed {
    Parser::new(text, None, Some(origin.clone())).parse()
}

/// Whether a CNAME shares its name. Keys are sorted by name, so what shares a name is next to it.
fn cname_and_other(records: &BTreeMap<RrKey, RecordSet>) -> bool {
    let is_cname = |key: &RrKey| key.record_type == RecordType::CNAME;
    let pairs = records.keys().zip(records.keys().skip(1));
    pairs.filter(|(a, b)| a.name() == b.name()).any(|(a, b)| is_cname(a) || is_cname(b))
}

/// One record or directive: where it ends, and the line it begins on.
struct Entry {
    /// Its first octet.
    start: usize,
    /// The octet after its line end.
    end: usize,
    /// Its first line, from 1.
    line: usize,
}

/// Whether `entry` is an `$INCLUDE`.
fn is_include(text: &str, entry: &Entry) -> bool {
    let entry = text.get(entry.start..entry.end).unwrap_or_default().trim_start();
    entry.get(..8).is_some_and(|word| word.eq_ignore_ascii_case("$include"))
}

/// The entries of a zone file: lines, joined where parentheses or quotes are open (RFC 1035 §5.1).
fn entries(text: &str) -> impl Iterator<Item = Entry> + '_ {
    let mut octets = text.bytes().enumerate();
    let (mut start, mut line, mut next_line) = (0, 1, 1);
    std::iter::from_fn(move || {
        let (mut depth, mut quoted, mut comment, mut escaped) = (0_u32, false, false, false);
        for (at, octet) in octets.by_ref() {
            let was_escaped = std::mem::take(&mut escaped);
            match octet {
                b'\n' => {
                    comment = false;
                    next_line += 1;
                    if depth == 0 && !quoted {
                        let entry = Entry { start, end: at + 1, line };
                        (start, line) = (at + 1, next_line);
                        return Some(entry);
                    }
                }
                _ if comment || was_escaped => {}
                b'\\' => escaped = true,
                b'"' => quoted = !quoted,
                b';' if !quoted => comment = true,
                b'(' if !quoted => depth += 1,
                b')' if !quoted => depth = depth.saturating_sub(1),
                _ => {}
            }
        }
        let rest = (start < text.len()).then_some(Entry { start, end: text.len(), line });
        start = text.len();
        rest
    })
}

/// The line of the first entry with which the file no longer parses, or its records are `bad`.
fn first_line(origin: &HickoryName, text: &str, bad: &dyn Fn(&BTreeMap<RrKey, RecordSet>) -> bool) -> usize {
    let entries: Vec<Entry> = entries(text).collect();
    let good = entries.partition_point(|entry| {
        let prefix = text.get(..entry.end).unwrap_or_default();
        parse_text(origin, prefix).is_ok_and(|(_, records)| !bad(&records))
    });
    entries.get(good).or(entries.last()).map_or(1, |entry| entry.line)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str =
        "$TTL 300\n@ IN SOA ns hostmaster (\n 1 ; serial )\n 3600 600 86400 60 )\n@ NS ns\nns A 192.0.2.1\n";

    fn fault(tail: &str) -> String {
        let origin = HickoryName::from_ascii("corp.example.").unwrap();
        match parse(&origin, &format!("{GOOD}{tail}"), Path::new("zone")) {
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
            ("a.other.example. A 192.0.2.1\nb A 192.0.2\n", "zone:8: expected a record"),
            ("x A 192.0.2.1\na.other.example. A 192.0.2.1\n", "zone:8: expected names at or below"),
            ("corp.example.org. A 192.0.2.1\n", "zone:7: expected names at or below"),
            ("xcorp.example. A 192.0.2.1\n", "zone:7: expected names at or below"),
            ("sub SOA ns h 1 2 3 4 5\n", "zone:7: expected the SOA record at"),
            ("a CH TXT x\n", "zone:7: expected class IN"),
            ("a CNAME b\nb A 192.0.2.1\na A 192.0.2.1\n", "zone:9: expected a CNAME to be"),
            ("a TXT x\n$include other\n", "zone:8: expected the whole zone in one file"),
            ("a TXT ( \"\n$INCLUDE x\" )\n", "none"),
        ] {
            let got = fault(tail);
            assert!(got.starts_with(want), "{tail:?}: wanted {want:?}, got {got:?}");
        }
        let origin = HickoryName::from_ascii("corp.example.").unwrap();
        let got = parse(&origin, "$TTL 1\na A 192.0.2.1\n", Path::new("zone")).map(|_| ()).unwrap_err();
        assert!(matches!(got, ZoneError::NoSoa { .. }), "{got}");
    }

    /// hickory's parser is fed what an editor or a disk may leave behind: it may refuse, it may not panic.
    #[test]
    fn spoilt_files_do_not_panic() {
        let origin = HickoryName::from_ascii("corp.example.").unwrap();
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
            let _told = parse(&origin, &spoilt, Path::new("zone")).is_ok();
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
