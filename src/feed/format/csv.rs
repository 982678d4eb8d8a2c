//! CSV (RFC 4180), one column of it: each name there, `.name` and `*.name` too, is the name and everything below.
//!
//! The column is the one the operator chose, by its number or by what the header calls it; else the first that the header calls by one of
//! [`NAME_HEADERS`]. Where the header calls it a URL, the name is the URL's host, and that alone. The header is the first record, or a comment
//! before it, as abuse.ch writes. The separator is told from the first line: comma, semicolon or tab. A record's fields are unquoted by
//! csv-core as they stream by; only the column's own is kept. A record that goes on over more than [`RECORD_LINES_MAX`] lines is refused, and one
//! of nothing but empty fields is blank.
//!
//! A header with `type`, `value` and `to_ids` is MISP's export of attributes, and read as MISP's JSON is: by the type, and only what is for
//! detection. What people write so that nobody follows it (`name[.]example`) is read as what it was.

use csv_core::{ReadFieldResult, Reader, ReaderBuilder, Terminator};

use super::{Bucket, LineParser, Reason, bare_name};
use crate::feed::Column;
use crate::feed::indicator::{misp_type, take_misp, take_refanged, untagged};
use crate::feed::intake::Intake;
use crate::feed::refang::refang;
use crate::index::{Verb, Verbs};

/// What headers call a column of names, in small letters.
const NAME_HEADERS: [&str; 6] = ["domain", "hostname", "host", "name", "fqdn", "indicator"];
/// What headers call a column of URLs.
const URL_HEADERS: [&str; 2] = ["url", "uri"];
/// What MISP's export calls the columns that tell what an attribute is, in the order of [`Chosen::Misp`].
const MISP_HEADERS: [&str; 3] = ["value", "type", "to_ids"];
/// The most octets of a field that are kept: room for a header's name, for any name, and for the host of any URL.
const FIELD_OCTETS_MAX: usize = 2048;
/// The most physical lines a record may span: past it a quote was forgotten, and the rest of the file must not vanish in it (a guess).
const RECORD_LINES_MAX: usize = 64;
/// The most fields of a record that are looked at: no column has a greater number.
const FIELDS_MAX: usize = u16::MAX as usize;

/// The CSV format.
#[derive(Default)]
pub(super) struct Csv {
    /// Unquotes fields; `None` before the first line, which tells the separator.
    reader: Option<Reader>,
    /// Which column, once it is known.
    chosen: Chosen,
    /// The record at hand: how many of its fields have ended.
    fields: usize,
    /// Octets of the field at hand, if it is of use.
    field: Vec<u8>,
    /// The column's fields that have ended; `None`: too long to be kept. Of MISP's export there are three.
    columns: [Option<Option<Vec<u8>>>; 3],
    /// Whether the record has anything but white space.
    filled: bool,
    /// The header's fields, while they are read.
    header: Vec<Vec<u8>>,
    /// Physical lines of the record so far.
    lines: usize,
}

/// What is known of the column.
#[derive(Default, Clone, Copy, PartialEq, Eq)]
enum Chosen {
    /// Nothing: the next record is the header, or the first of a file without one.
    #[default]
    Open,
    /// Its place, from 0, and whether it holds URLs.
    Is { place: usize, url: bool },
    /// The places of MISP's value, type and `to_ids`.
    Misp([usize; 3]),
    /// The header does not tell: every record is refused.
    Missing,
}

impl LineParser for Csv {
    fn line(&mut self, text: &[u8], intake: &mut Intake<'_>) -> Bucket {
        if self.lines == 0 {
            match text.trim_ascii() {
                [] => return Bucket::Comment,
                [b'#', comment @ ..] => return self.comment(comment, intake),
                _ => {}
            }
        }
        self.lines += 1;
        let ended = self.feed(text) || self.feed(b"\n");
        if ended {
            let bucket = self.record(intake);
            self.begin();
            return bucket;
        }
        if self.lines < RECORD_LINES_MAX {
            return Bucket::Open;
        }
        self.abandon();
        Bucket::Refused(Reason::Syntax)
    }

    fn abandon(&mut self) {
        self.begin();
        if let Some(reader) = &mut self.reader {
            reader.reset();
        }
    }
}

impl Csv {
    /// Before a record.
    fn begin(&mut self) {
        (self.fields, self.lines, self.filled) = (0, 0, false);
        self.columns = Default::default();
        self.field.clear();
        self.header.clear();
    }

    /// Reads a comment: it may be the header.
    fn comment(&mut self, comment: &[u8], intake: &Intake<'_>) -> Bucket {
        if self.chosen != Chosen::Open {
            return Bucket::Comment;
        }
        let separator = separator(comment);
        let names: Vec<Vec<u8>> = comment.split(|&octet| octet == separator).map(header_name).collect();
        match choose(&names, intake.column()) {
            Some(chosen) if names.len() > 1 => {
                self.chosen = chosen;
                Bucket::Header
            }
            _ => Bucket::Comment,
        }
    }

    /// Unquotes `text`, a part of a record; whether the record ended.
    fn feed(&mut self, mut text: &[u8]) -> bool {
        let first = || ReaderBuilder::new().delimiter(separator(text)).terminator(Terminator::Any(b'\n')).build();
        let mut reader = self.reader.take().unwrap_or_else(first);
        let mut output = [0; 512];
        let mut ended = false;
        while !ended && !text.is_empty() {
            let (result, read, written) = reader.read_field(text, &mut output);
            text = text.get(read..).unwrap_or_default();
            self.keep(output.get(..written).unwrap_or_default());
            if let ReadFieldResult::Field { record_end } = result {
                self.end_field();
                ended = record_end;
            }
        }
        self.reader = Some(reader);
        ended
    }

    /// Keeps octets of the field at hand if they are of use; one too many shows that the field is too long.
    fn keep(&mut self, octets: &[u8]) {
        self.filled = self.filled || !octets.trim_ascii().is_empty();
        if self.chosen == Chosen::Open || self.slot().is_some() {
            let room = (FIELD_OCTETS_MAX + 1).saturating_sub(self.field.len());
            self.field.extend_from_slice(octets.get(..room).unwrap_or(octets));
        }
    }

    /// Ends the field at hand.
    fn end_field(&mut self) {
        match self.chosen {
            Chosen::Open if self.header.len() < FIELDS_MAX => self.header.push(std::mem::take(&mut self.field)),
            _ => {
                if let Some(slot) = self.slot().and_then(|slot| self.columns.get_mut(slot)) {
                    let field = std::mem::take(&mut self.field);
                    *slot = Some(Some(field).filter(|field| field.len() <= FIELD_OCTETS_MAX));
                }
                self.field.clear();
            }
        }
        self.fields = self.fields.saturating_add(1);
    }

    /// Where the field at hand is kept, if it is of a column.
    fn slot(&self) -> Option<usize> {
        match self.chosen {
            Chosen::Is { place, .. } => (place == self.fields).then_some(0),
            Chosen::Misp(places) => places.iter().position(|&place| place == self.fields),
            Chosen::Open | Chosen::Missing => None,
        }
    }

    /// Reads a whole record.
    fn record(&mut self, intake: &mut Intake<'_>) -> Bucket {
        if !self.filled {
            return Bucket::Comment;
        }
        if self.chosen == Chosen::Open
            && let Some(bucket) = self.first(intake)
        {
            return bucket;
        }
        let taken = match self.chosen {
            Chosen::Is { url, .. } => self.take(url, intake),
            Chosen::Misp(_) => return self.attribute(intake).unwrap_or_else(Bucket::Refused),
            Chosen::Open | Chosen::Missing => Err(Reason::Column),
        };
        taken.map_or_else(Bucket::Refused, |()| Bucket::Taken)
    }

    /// Reads the first record: a header, unless the column was given by its number and there is a name in it.
    fn first(&mut self, intake: &Intake<'_>) -> Option<Bucket> {
        let names: Vec<Vec<u8>> = self.header.iter().map(|field| header_name(field)).collect();
        self.chosen = choose(&names, intake.column()).unwrap_or(Chosen::Missing);
        let place = match self.chosen {
            Chosen::Is { place, .. } => place,
            Chosen::Misp(_) => return Some(Bucket::Header),
            Chosen::Open | Chosen::Missing => return Some(Bucket::Refused(Reason::Column)),
        };
        match (self.header.get_mut(place), intake.column()) {
            // A number says nothing of a header: what has no dot is one, any other field is the first name.
            (Some(field), Some(Column::Number(_))) if field.contains(&b'.') => {
                let field = std::mem::take(field);
                self.columns = [Some(Some(field).filter(|field| field.len() <= FIELD_OCTETS_MAX)), None, None];
                None
            }
            (_, Some(Column::Number(_))) | (Some(_), _) => Some(Bucket::Header),
            (None, _) => Some(Bucket::Refused(Reason::Column)),
        }
    }

    /// Takes the column's field.
    fn take(&self, url: bool, intake: &mut Intake<'_>) -> Result<(), Reason> {
        let [Some(field), ..] = &self.columns else { return Err(Reason::Column) };
        let field = match field {
            Some(field) => field.trim_ascii(),
            // What is too long for a URL's host is no host.
            None => return Err(if url { Reason::Url } else { Reason::NameTooLong }),
        };
        let plain = if is_bracketed(field) { std::str::from_utf8(field).ok().and_then(refang) } else { None };
        match (plain, url) {
            (Some(plain), false) => take_refanged(&plain, intake),
            (None, false) => intake.take(bare_name(field), Verbs::subtree(Verb::Listed)),
            (plain, true) => {
                let host = host(plain.as_ref().map_or(field, |plain| plain.as_bytes()));
                intake.take(host.strip_suffix(b".").unwrap_or(host), Verbs::exact(Verb::Listed))
            }
        }
    }

    /// Takes an attribute of MISP's export.
    fn attribute(&self, intake: &mut Intake<'_>) -> Result<Bucket, Reason> {
        let text = |slot: usize| {
            let field = self.columns.get(slot).and_then(Option::as_ref).ok_or(Reason::Column)?;
            let field = field.as_ref().ok_or(Reason::Syntax)?;
            std::str::from_utf8(field).map(str::trim_ascii).map_err(|_| Reason::NotUtf8)
        };
        let Some(kind) = misp_type(text(1)?) else { return Ok(Bucket::Header) };
        untagged(matches!(text(2)?, "1" | "true"), intake)?;
        let value = text(0)?;
        take_misp(kind, refang(value).as_deref().unwrap_or(value), intake).map(|()| Bucket::Taken)
    }
}

/// Whether a field has what only names and URLs have that were made harmless; a pass over it is all that costs of the others.
fn is_bracketed(field: &[u8]) -> bool {
    field.iter().any(|octet| matches!(octet, b'[' | b'(' | b'{'))
        || field.get(..4).is_some_and(|start| start.eq_ignore_ascii_case(b"hxxp"))
}

/// What separates fields: of comma, semicolon and tab what there is most of outside quotes, the comma first.
fn separator(line: &[u8]) -> u8 {
    separators(line).0
}

/// How many fields a record on one line has.
pub(in crate::feed) fn fields(line: &[u8]) -> usize {
    separators(line).1 + 1
}

/// What separates fields, and how often.
fn separators(line: &[u8]) -> (u8, usize) {
    let mut counts = [(b'\t', 0_usize), (b';', 0), (b',', 0)];
    let mut quoted = false;
    for octet in line {
        quoted ^= *octet == b'"';
        for (separator, count) in &mut counts {
            *count += usize::from(octet == separator && !quoted);
        }
    }
    counts.into_iter().max_by_key(|&(_, count)| count).unwrap_or((b',', 0))
}

/// A field of a header in small letters, without the white space and quotes around it.
fn header_name(field: &[u8]) -> Vec<u8> {
    let field = field.trim_ascii();
    let field = field.strip_prefix(b"\"").and_then(|field| field.strip_suffix(b"\"")).unwrap_or(field);
    field.to_ascii_lowercase()
}

/// Which column of a header is meant.
fn choose(names: &[Vec<u8>], column: Option<&Column>) -> Option<Chosen> {
    let is_one = |name: &[u8], of: &[&str]| of.iter().any(|one| one.as_bytes() == name);
    let place_of = |wanted: &str| names.iter().position(|name| name.as_slice() == wanted.as_bytes());
    let [value, kind, to_ids] = MISP_HEADERS.map(place_of);
    let misp = value.zip(kind).zip(to_ids).map(|((value, kind), to_ids)| [value, kind, to_ids]);
    let is_url = |place: usize| names.get(place).is_some_and(|name| is_one(name, &URL_HEADERS));
    let place = match column {
        Some(Column::Number(number)) => Some(usize::from(number.get() - 1)),
        Some(Column::Name(wanted)) => names.iter().position(|name| *name == wanted.to_ascii_lowercase().into_bytes()),
        None => names
            .iter()
            .position(|name| is_one(name, &NAME_HEADERS))
            .or_else(|| (0..names.len()).find(|&place| is_url(place))),
    };
    match (misp, place) {
        // Another column of it is that column, of every line.
        (Some(places @ [value, ..]), place) if column.is_none() || place == Some(value) => Some(Chosen::Misp(places)),
        (_, place) => place.map(|place| Chosen::Is { place, url: is_url(place) }),
    }
}

/// What a column may be called to be found without being told, as text.
pub(in crate::feed) fn column_names() -> String {
    let [urls @ .., last] = URL_HEADERS;
    let others: Vec<&str> = NAME_HEADERS.into_iter().chain(urls).collect();
    format!("{} or {last}", others.join(", "))
}

/// Whether a line is the header of a CSV file with a column that is found without being told.
pub(in crate::feed) fn is_header(line: &[u8]) -> bool {
    let separator = separator(line);
    let names: Vec<Vec<u8>> = line.split(|&octet| octet == separator).map(header_name).collect();
    let words =
        names.iter().all(|name| name.iter().all(|octet| octet.is_ascii_alphanumeric() || b"_- ".contains(octet)));
    names.len() > 1 && words && choose(&names, None).is_some()
}

/// The host of a URL (RFC 3986 §3.2.2), its scheme left out or not; what follows the host is not looked at.
fn host(url: &[u8]) -> &[u8] {
    // RFC 3986 §3.1: "scheme = ALPHA *( ALPHA / DIGIT / "+" / "-" / "." )".
    let of_scheme = |octet: &u8| octet.is_ascii_alphanumeric() || matches!(octet, b'+' | b'-' | b'.');
    let end = url.iter().position(|octet| !of_scheme(octet));
    let scheme = end.filter(|&end| url.get(end..).is_some_and(|rest| rest.starts_with(b"://")));
    let rest = scheme.and_then(|at| url.get(at + 3..)).unwrap_or(url);
    let authority = rest.split(|octet| matches!(octet, b'/' | b'?' | b'#' | b'\\')).next().unwrap_or_default();
    let host = authority.rsplit(|&octet| octet == b'@').next().unwrap_or_default();
    match host {
        [b'[', ..] => host,
        _ => host.split(|&octet| octet == b':').next().unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::TextFormat;
    use super::super::read_text;
    use super::super::tests::entries;
    use super::*;
    use crate::feed::{Report, Terms};

    /// What a file comes to with this column.
    fn read(text: &str, column: Option<Column>) -> (Vec<String>, Report) {
        let terms = Terms { column, ..Terms::default() };
        let (sorted, report) = read_text(text.as_bytes(), TextFormat::Csv, &terms).unwrap();
        assert!(report.balanced(), "{text:?}: {report:?}");
        (entries(&sorted), report)
    }

    /// A column's number.
    fn number(number: u16) -> Option<Column> {
        Some(Column::Number(number.try_into().unwrap()))
    }

    /// A column's name.
    fn name(name: &str) -> Option<Column> {
        Some(Column::Name(name.to_owned()))
    }

    #[test]
    fn line_by_line() {
        for (line, want) in [
            ("x,example.com", "example.com"),
            ("x,Example.com.,y", "example.com"),
            ("x, *.example.com ,y", "example.com"),
            ("x,.example.com", "example.com"),
            ("\"x, y\",\"example.com\"", "example.com"),
            ("\"x \"\"y\"\"\",example.com", "example.com"),
            ("x,disçordapp.com", "xn--disordapp-s3a.com"),
            ("", "comment"),
            ("  ", "comment"),
            ("# x,example.com", "comment"),
            ("x", "column"),
            ("x,", "root"),
            (",", "comment"),
            (" , \t", "comment"),
            ("\"\",\" \"", "comment"),
            ("x,g[.]listed[dot]example", "g.listed.example"),
            ("x,hxxp://f.listed[.]example/", "=f.listed.example"),
            ("x,hxxp://f.listed[.]example/x.exe", "url"),
            ("x,com", "tld"),
            ("x,1.2.3.4", "address"),
            ("x,http://example.com/", "url"),
            ("x,example.com/path", "path"),
            ("x,\"a.example,b.example\"", "character"),
            ("x,example.com\r", "example.com"),
            ("x,\"open", "syntax"),
        ] {
            let (found, report) = read(&format!("seen,domain\n{line}\n"), None);
            let reason = report.refusals().next().map(|(reason, _)| reason.label());
            let found = match reason {
                Some(reason) => reason.to_owned(),
                None if report.comment == 1 => "comment".to_owned(),
                None => found.join(" "),
            };
            assert_eq!((found.as_str(), report.header), (want, 1), "{line:?}");
        }
    }

    #[test]
    fn columns_and_separators() {
        let (one, both) = (&["a.example.com"][..], &["a.example.com", "b.example.com"][..]);
        for (text, column, want, header) in [
            ("id,Domain\n1,a.example.com\n", None, one, 1),
            ("id;\"hostname\"\n1;a.example.com\n", None, one, 1),
            ("id\tfqdn\tx\n1\ta.example.com\ty,z\n", None, one, 1),
            ("name\na.example.com\n", None, one, 1),
            ("\u{feff}host,x\na.example.com,1\n", None, one, 1),
            ("a,b\nx,a.example.com\n", number(2), one, 1),
            ("x,a.example.com\ny,b.example.com\n", number(2), both, 0),
            ("x,seen in\ny,a.example.com\n", name("Seen In"), one, 1),
            ("domain,referrer\nc.example.com,a.example.com\n", name("referrer"), one, 1),
            ("# why\n# id,domain\n1,a.example.com\n", None, one, 1),
            ("# id,domain\n1,a.example.com\n", number(2), one, 1),
        ] {
            let (found, report) = read(text, column.clone());
            assert_eq!(
                (found.iter().map(String::as_str).collect::<Vec<_>>(), report.header, report.refused_total()),
                (want.to_vec(), header, 0),
                "{text:?} {column:?}"
            );
        }
    }

    #[test]
    fn without_its_column_every_record_is_refused() {
        for (text, column) in [
            ("a.example.com,1\nb.example.com,2\n", None),
            ("id,seen\n1,a.example.com\n", None),
            ("id,domain\n1,a.example.com\n", name("hostname")),
        ] {
            let (found, report) = read(text, column.clone());
            assert!(found.is_empty(), "{text:?}");
            assert_eq!(report.refusals().collect::<Vec<_>>(), [(Reason::Column, 2)], "{text:?} {column:?}");
        }
    }

    #[test]
    fn where_the_header_says_url_the_host_alone_is_taken() {
        let text = "# URLhaus\n#\n# id,dateadded,url,tags\n\"1\",\"2021-01-01\",\"https://u:p@A.example.com:8080/x?y=z\",\"a,b\"\n\
                    \"2\",\"\",\"b.example.com/x\",\"\"\n\"3\",\"\",\"http://192.0.2.7/x\",\"\"\n\"4\",\"\",\"http://[2001:db8::1]/\",\"\"\n\
                    5,,b.example.com?z=http://c.example.com,\n";
        for column in [None, number(3), name("URL")] {
            let (found, report) = read(text, column);
            assert_eq!(found, ["=a.example.com", "=b.example.com"]);
            assert_eq!((report.comment, report.header, report.duplicate), (2, 1, 1));
            assert_eq!(report.refusals().collect::<Vec<_>>(), [(Reason::Address, 2)]);
        }
    }

    #[test]
    fn blank_records_are_blank_wherever_they_stand() {
        let text = format!("\n,,\ndomain,x\n{}a.example.com,\n{},", ",\n".repeat(40), "\"\",\n".repeat(40));
        let (found, report) = read(&text, None);
        assert_eq!(found, ["a.example.com"]);
        assert_eq!((report.used, report.comment, report.header, report.refused_total()), (1, 83, 1, 0));
    }

    #[test]
    fn a_misp_export_is_read_by_its_types() {
        let header = "uuid,event_id,category,type,value,comment,to_ids,date\n";
        let mut text = header.to_owned();
        for (number, (kind, value, to_ids)) in [
            ("domain", "a.listed.example", "1"),
            ("hostname", "b.listed.example", "1"),
            ("domain|ip", "c.listed.example|192.0.2.7", "1"),
            ("hostname|port", "d.listed.example|8080", "true"),
            ("url", "http://e.listed.example/", "1"),
            ("url", "http://f.listed.example/x", "1"),
            ("domain", "g.listed.example", "0"),
            ("domain", "h.listed.example", ""),
            ("ip-dst", "192.0.2.8", "1"),
            ("ip-dst", "10.0.0.1", "1"),
            ("sha256", "00ff", "1"),
            ("domain", "i[.]listed.example", "1"),
        ]
        .into_iter()
        .enumerate()
        {
            text += &format!("{number},1,Network activity,{kind},{value},\"x, y\",{to_ids},20260101\n");
        }
        for column in [None, name("value"), number(5)] {
            let (found, report) = read(&text, column);
            assert_eq!(
                found,
                [
                    "a.listed.example",
                    "b.listed.example",
                    "c.listed.example",
                    "d.listed.example",
                    "=e.listed.example",
                    "i.listed.example",
                    "Answer 192.0.2.8/32"
                ]
            );
            let refused: Vec<_> = report.refusals().collect();
            assert_eq!(refused, [(Reason::Url, 1), (Reason::NotToIds, 2), (Reason::InsideAddress, 1)]);
            assert_eq!((report.header, report.used), (2, 7));
        }
        let (found, _) = read(&text.replace("g.listed", "comment"), name("comment"));
        assert!(found.is_empty(), "another column of it is that column");
    }

    #[test]
    fn a_field_over_several_lines_and_one_that_does_not_end() {
        let text = "domain,note\na.example.com,\"one\n# two\n\nthree\"\nb.example.com,x\n";
        let (found, report) = read(text, None);
        assert_eq!(found, ["a.example.com", "b.example.com"]);
        assert_eq!((report.used, report.comment, report.header), (2, 3, 1));

        let text = format!("domain,note\na.example.com,\"open\n{}", "b.example.com,x\n".repeat(100));
        let (found, report) = read(&text, None);
        assert_eq!((found, report.refused_total(), report.duplicate), (vec!["b.example.com".to_owned()], 64, 36));

        let text = format!("domain,note\n{}.example.com,x\nb.example.com,{}\n", "a".repeat(9000), "x".repeat(9000));
        let (found, report) = read(&text, None);
        assert_eq!((found, report.refused_at), (vec!["b.example.com".to_owned()], vec![(2, Reason::NameTooLong)]));
    }
}
