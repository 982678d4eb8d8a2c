//! Tells a feed's format from its first octets.
//!
//! Each line votes by its shape for the one format it can only belong to; lines of no known shape vote against all. A file that is
//! mostly of no known shape is not guessed at: wrong names sunk are worse than a feed that says it needs its format named.

use super::format::{TextFormat, fields, is_header, is_rule, is_words, target};
use super::json::JsonFormat;
use super::refang::refang;
use crate::index::MAGIC;

/// How much of a feed is looked at: some thousand lines, past any comment in front.
pub const DETECT_OCTETS: usize = 64 * 1024;

/// What the first octets show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Detected {
    /// Lines of this format.
    Text(TextFormat),
    /// JSON of this format.
    Json(JsonFormat),
    /// An artifact.
    Artifact,
    /// A page of HTML or XML, whatever format is named: a login, an error.
    Page,
    /// Not a feed's text, whatever format is named: what it is instead.
    Foreign(&'static str),
    /// Nothing but blank lines and comments of any format, if that.
    Nothing,
    /// Text of no format known here.
    Unknown,
}

/// How files that are no feed begin.
const FOREIGN: [(&[u8], &str); 9] = [
    // The outer one was taken off before.
    (b"\x1f\x8b", "gzip within gzip or zstd"),
    (b"\x28\xb5\x2f\xfd", "zstd within gzip or zstd"),
    (b"\xfd7zXZ\0", "xz"),
    (b"BZh", "bzip2"),
    (b"PK\x03\x04", "a zip archive"),
    (b"SQLite format 3\0", "a database"),
    (b"%PDF", "a PDF file"),
    (b"\xff\xfe", "UTF-16 text"),
    (b"\xfe\xff", "UTF-16 text"),
];

/// Tells what `head`, a feed's first [`DETECT_OCTETS`] or all of it, is.
#[must_use]
pub fn detect(head: &[u8]) -> Detected {
    if head.starts_with(&MAGIC) {
        return Detected::Artifact;
    }
    if let Some((_, what)) = FOREIGN.iter().find(|(magic, _)| head.starts_with(magic)) {
        return Detected::Foreign(what);
    }
    // No format here has a line that starts with `<`; a server's error page does.
    let text = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head);
    if text.trim_ascii_start().first() == Some(&b'<') {
        return Detected::Page;
    }
    // A line of text may begin with a bracket: `[Adblock Plus]`.
    json(text).map_or_else(|| vote(text), Detected::Json)
}

/// [`detect`] of a feed that has a column set: its text is CSV.
pub(super) fn detect_with(head: &[u8], column: bool) -> Detected {
    match detect(head) {
        Detected::Text(_) | Detected::Unknown if column => Detected::Text(TextFormat::Csv),
        detected => detected,
    }
}

/// The JSON format whose keys stand in `text`, if it is JSON; they may stand in any order, and the objects before the bundle's own type.
fn json(text: &[u8]) -> Option<JsonFormat> {
    if !matches!(text.trim_ascii_start(), [b'{' | b'[', ..]) {
        return None;
    }
    let has = |key: &[u8], value: &[u8]| {
        let is_here = |(at, window): (usize, &[u8])| {
            let behind = text.get(at + key.len()..).filter(|_| window == key)?;
            let behind = behind.trim_ascii_start().strip_prefix(b":")?;
            Some(behind.trim_ascii_start().starts_with(value))
        };
        text.windows(key.len()).enumerate().any(|place| is_here(place) == Some(true))
    };
    if has(b"\"type\"", b"\"bundle\"") || has(b"\"objects\"", b"[") && has(b"\"spec_version\"", b"\"2.") {
        return Some(JsonFormat::Stix);
    }
    (has(b"\"Event\"", b"{") || has(b"\"Attribute\"", b"[")).then_some(JsonFormat::Misp)
}

/// The shape of one line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shape {
    /// A comment in more than one format, or blank.
    Neutral,
    /// A line of this format.
    Of(TextFormat),
    /// A line that only this format's files have: it decides alone.
    Surely(TextFormat),
    /// No format's.
    Other,
}

/// Counts the votes of all lines; a last line that `head` may have cut short has none unless all before it are comments.
fn vote(text: &[u8]) -> Detected {
    let mut votes = [0_usize; TextFormat::ALL.len()];
    let mut others = 0_usize;
    let end = text.iter().rposition(|&octet| octet == b'\n').map_or(0, |end| end + 1);
    let (whole, last) = text.split_at_checked(end).unwrap_or((&[], text));
    let (mut header, mut first) = (None, None);
    for line in whole.split_inclusive(|&octet| octet == b'\n').chain([last]) {
        let cut = !line.ends_with(b"\n");
        if cut && first.is_some() {
            break;
        }
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        match shape(line, cut) {
            Shape::Neutral => {
                header = line.strip_prefix(b"#").filter(|comment| first.is_none() && is_header(comment)).or(header);
                continue;
            }
            _ if first.is_none() && line.trim_ascii_start().starts_with(b"<") => return Detected::Page,
            _ if first.is_none() && is_header(line) => return Detected::Text(TextFormat::Csv),
            shape => {
                first = first.or(Some(line));
                match shape {
                    Shape::Surely(format) => return Detected::Text(format),
                    Shape::Of(format) => {
                        if let Some(count) = votes.get_mut(format as usize) {
                            *count += 1;
                        }
                    }
                    Shape::Other | Shape::Neutral => others += 1,
                }
            }
        }
    }
    let votes_of = |format: TextFormat| votes.get(format as usize).copied().unwrap_or_default();
    let scheduled = votes_of(TextFormat::Dnscrypt);
    let winner = TextFormat::ALL.into_iter().zip(votes).max_by_key(|&(_, count)| count);
    // Bare names stand in v2fly's lists too, some with what looks like a schedule.
    let v2fly = votes_of(TextFormat::V2fly);
    let names = v2fly + scheduled + votes_of(TextFormat::Plain);
    match winner {
        Some((TextFormat::Plain | TextFormat::Dnscrypt | TextFormat::V2fly, _)) if v2fly > 0 && names >= others => {
            Detected::Text(TextFormat::V2fly)
        }
        // Its lines are plain ones too, but for a few.
        Some((TextFormat::Plain, count)) if count >= others && scheduled > 0 => Detected::Text(TextFormat::Dnscrypt),
        Some((format, count)) if count > 0 && count >= others => Detected::Text(format),
        _ if header.zip(first).is_some_and(|(header, record)| fields(header) == fields(record)) => {
            Detected::Text(TextFormat::Csv)
        }
        _ if first.is_none() => Detected::Nothing,
        _ => Detected::Unknown,
    }
}

/// How lines begin that only one format has.
const OPENINGS: [(&[u8], TextFormat); 5] = [
    (b"address=/", TextFormat::Dnsmasq),
    (b"local=/", TextFormat::Dnsmasq),
    (b"server=/", TextFormat::Dnsmasq),
    (b"local-zone:", TextFormat::Unbound),
    (b"local-data:", TextFormat::Unbound),
];

/// What one line looks like; `cut`: its end may be missing.
fn shape(line: &[u8], cut: bool) -> Shape {
    let indented = line.first().is_some_and(u8::is_ascii_whitespace);
    let line = line.trim_ascii();
    match line {
        [] | [b'#' | b';', ..] | [b'/', b'/' | b'*', ..] => return Shape::Neutral,
        [b'!', ..] => return Shape::Of(TextFormat::Adblock),
        [b'|', _, ..] | [b'@', b'@', _, ..] => return Shape::Of(TextFormat::Adblock),
        _ => {}
    }
    if line.starts_with(b"[Adblock") || line.starts_with(b"[uBlock") {
        return Shape::Surely(TextFormat::Adblock);
    }
    if line.starts_with(b"$TTL") || line.starts_with(b"$ORIGIN") {
        return Shape::Surely(TextFormat::Rpz);
    }
    if let Some((_, format)) = OPENINGS.iter().find(|(opening, _)| line.starts_with(opening)) {
        return Shape::Of(*format);
    }
    let mut tokens = line.split(u8::is_ascii_whitespace).filter(|token| !token.is_empty());
    let first = tokens.next().unwrap_or_default();
    let begins_comment = |token: &[u8]| matches!(token, [b'#' | b';' | b'!', ..] | [b'/', b'/', ..]);
    let mut rest = tokens.take_while(|token| !begins_comment(token)).take(3);
    let second = rest.next();
    match second {
        second if first.contains(&b',') || second.is_some_and(|token| token.starts_with(b",")) => comma_list(line, cut),
        _ if is_rule(first) => Shape::Of(TextFormat::V2fly),
        None => single(first),
        Some(_) if target(first).is_some() => Shape::Of(TextFormat::Hosts),
        Some([b'@', _, ..]) => Shape::Of(TextFormat::Dnscrypt),
        // Over one line or several, of which the others look like nothing.
        Some(name) if first == b"zone" && (name.starts_with(b"\"") || line.contains(&b'{')) => {
            Shape::Surely(TextFormat::Bind)
        }
        Some(second) => {
            // owner [TTL] [class] type, the owner left out when the line is indented.
            let kinds = [Some(first).filter(|_| indented), Some(second), rest.next(), rest.next()];
            zone_shape(kinds.into_iter().flatten())
        }
    }
}

/// What a line of one token looks like: a name, or what lists of names have in its place.
fn single(token: &[u8]) -> Shape {
    if let Some(plain) = std::str::from_utf8(token).ok().and_then(refang) {
        return single(plain.as_bytes());
    }
    let hash = token.iter().position(|&octet| octet == b'#');
    let token = match hash.and_then(|at| token.split_at_checked(at)) {
        Some((name, [_, comment @ ..])) if is_words(comment) => name,
        _ => token,
    };
    let octet_fits = |octet: &u8| {
        !octet.is_ascii() || octet.is_ascii_alphanumeric() || matches!(octet, b'.' | b'-' | b'_' | b'*' | b':' | b'/')
    };
    let name = token.strip_prefix(b"=").unwrap_or(token);
    let fits = name.iter().all(octet_fits) && name.contains(&b'.') && !name.starts_with(b"/");
    if fits { Shape::Of(TextFormat::Plain) } else { Shape::Other }
}

/// What a line with commas looks like: a plain list, if each item looks like a name; the last may be missing, or `cut` short.
fn comma_list(line: &[u8], cut: bool) -> Shape {
    let mut items = line.split(|&octet| octet == b',').map(<[u8]>::trim_ascii);
    let last = items.next_back().unwrap_or_default();
    let is_name = |item| single(item) == Shape::Of(TextFormat::Plain);
    if items.all(is_name) && (cut || last.is_empty() || is_name(last)) {
        Shape::Of(TextFormat::Plain)
    } else {
        Shape::Other
    }
}

/// Whether one of the tokens is a record type that policy zones have.
fn zone_shape<'t>(mut tokens: impl Iterator<Item = &'t [u8]>) -> Shape {
    let is = |token: &[u8], kinds: &[&[u8]]| kinds.iter().any(|kind| token.eq_ignore_ascii_case(kind));
    let kind = tokens.find(|token| is(token, &[b"SOA", b"CNAME", b"NS", b"A", b"AAAA", b"TXT"]));
    match kind {
        Some(kind) if is(kind, &[b"SOA"]) => Shape::Surely(TextFormat::Rpz),
        Some(_) => Shape::Of(TextFormat::Rpz),
        None => Shape::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_format_by_its_lines() {
        use Detected::{Artifact, Foreign, Json, Nothing, Page, Text, Unknown};
        for (head, want) in [
            ("# t\n0.0.0.0 a.example.com\n", Text(TextFormat::Hosts)),
            ("127.0.0.1 localhost #[IPv4]", Text(TextFormat::Hosts)),
            ("# t\na.example.com\nb.example.com # x\n", Text(TextFormat::Plain)),
            ("\u{feff}a.example.com\r\n", Text(TextFormat::Plain)),
            ("=a.example.com", Text(TextFormat::Plain)),
            ("*.a.example.com", Text(TextFormat::Plain)),
            ("disçordapp.com\n1.2.3.4\n", Text(TextFormat::Plain)),
            ("! t\n||a.example.com^\n", Text(TextFormat::Adblock)),
            ("[Adblock Plus]\na.example.com\nb.example.com\n", Text(TextFormat::Adblock)),
            ("; t\n$TTL 30\n@ IN SOA . . 1 2 3 4 5\n", Text(TextFormat::Rpz)),
            ("a.example.com CNAME .\n", Text(TextFormat::Rpz)),
            ("@ SOA a. b. (\n1\n2\n3\n4 )\n", Text(TextFormat::Rpz)),
            ("\tNS .\na 30 IN CNAME *.\n", Text(TextFormat::Rpz)),
            ("", Nothing),
            ("\u{feff}", Nothing),
            ("\u{feff}\r\n \n", Nothing),
            ("# only\n# comments\n", Nothing),
            ("\n <!DOCTYPE html>\n<p>a.example.com</p>", Page),
            ("\u{feff}<HTML>", Page),
            ("<!-- moved -->\n<html>", Page),
            ("<?xml version=\"1.0\"?><Error/>", Page),
            ("# a list\n\n <html>\nSign in\n", Page),
            ("BZh91", Foreign("bzip2")),
            ("# t\naddress=/a.example.com/0.0.0.0\nserver=/b.example.com/\n", Text(TextFormat::Dnsmasq)),
            ("local=/a.example.com/\nport=53\n", Text(TextFormat::Dnsmasq)),
            ("server:\n  local-zone: \"a.example.com\" always_nxdomain\n", Text(TextFormat::Unbound)),
            ("local-data: \"a.example.com A 0.0.0.0\"\n", Text(TextFormat::Unbound)),
            ("// t\nzone \"a.example.com\" { type master; };\n", Text(TextFormat::Bind)),
            ("zone \"a.example.com\" {\n\ttype master;\n\tfile \"x\";\n};\n", Text(TextFormat::Bind)),
            ("a.example.com\n=b.example.com\nads.*\n", Text(TextFormat::Plain)),
            ("a.example.com\nb.example.com @work\n", Text(TextFormat::Dnscrypt)),
            ("a.example.com,b.example.com,c.exam", Text(TextFormat::Plain)),
            ("a.example.com, b.example.com,\nc.example.com,d.example.com\n", Text(TextFormat::Plain)),
            ("\"a.example.com\",\"2021\"\n", Unknown),
            ("a.example.com,2021\nb.example.com,2022\n", Unknown),
            ("a.example.com,malware\nb.example.com,spam\n", Unknown),
            ("a.example.com # x, y\nb.example.com # z, y\n", Text(TextFormat::Plain)),
            ("0.0.0.0 a.example.com # x, y\n", Text(TextFormat::Hosts)),
            ("a.example.com TXT \"x, y\"\n", Text(TextFormat::Rpz)),
            ("a.example.com,some words\nb.example.com,x y\n", Unknown),
            ("a.example.com,b.example.com##.ad\n", Unknown),
            ("# t\na.example.com", Text(TextFormat::Plain)),
            ("# t\n\na.example.com,b.example.com,c.exam", Text(TextFormat::Plain)),
            ("# t\n{\"cut", Unknown),
            ("0 a.example.com\n127.1 b.example.com\n", Text(TextFormat::Hosts)),
            ("1 a.example.com\n2 b.example.com\n", Unknown),
            ("a.example.com#why\nb.example.com ; why\n", Text(TextFormat::Plain)),
            ("a.example.com##.ad\n", Unknown),
            ("g[.]listed[dot]example\nhxxp://f.listed[.]example\n", Text(TextFormat::Plain)),
            ("|a.example.com|\n@@b.example.com\n", Text(TextFormat::Adblock)),
            ("id,category,type,value,to_ids\n1,x,domain,a.example.com,1\n", Text(TextFormat::Csv)),
            ("include:other-list\nfull:a.example.com\nb.example.com @ads\n", Text(TextFormat::V2fly)),
            ("a.example.com\nb.example.com @ads\n# t\nkeyword:ads\n", Text(TextFormat::V2fly)),
            ("domain:a.example.com:@ads\n", Text(TextFormat::V2fly)),
            ("full: a.example.com\n", Unknown),
            ("# t\nname,seen\na.example.com,2021\n", Text(TextFormat::Csv)),
            ("\"id\";\"First Seen\";\"URL\"\n1;;http://a.example.com/\n", Text(TextFormat::Csv)),
            ("# t\n# id,seen,url\n\"1\",\"\",\"http://a.example.com/x,y\"\n", Text(TextFormat::Csv)),
            ("# name, domain\nroute a.example.com\n", Unknown),
            ("# name, domain\na.example.com\n", Text(TextFormat::Plain)),
            ("id,seen\na.example.com,2021\n", Unknown),
            ("a.example.com\nroute b\nroute c\n", Unknown),
            ("{\n\"type\": \"bundle\",\n\"objects\": []\n}\n", Json(JsonFormat::Stix)),
            (
                "\u{feff} {\"id\":\"bundle--1\",\"objects\":[{\"spec_version\":\"2.1\",\"type\":\"ind",
                Json(JsonFormat::Stix),
            ),
            ("{\"more\": false, \"objects\" : [\n{\"spec_version\"\n:\"2.1\"}]}", Json(JsonFormat::Stix)),
            ("{\"Event\": {\"id\": \"1\"}}", Json(JsonFormat::Misp)),
            ("[\n{\"Event\":\n{}}]", Json(JsonFormat::Misp)),
            ("{\"response\": {\"Attribute\": [{\"type\": \"domain\"}]}}", Json(JsonFormat::Misp)),
            ("{\"objects\": [{\"name\": \"a.example.com\"}]}", Unknown),
            ("{\"info\": \"\\\"type\\\": \\\"bundle\\\"\"}", Unknown),
            ("{}", Unknown),
        ] {
            assert_eq!(detect(head.as_bytes()), want, "{head:?}");
        }
        assert_eq!(detect(b"\x1f\x8b\x08\x00"), Foreign("gzip within gzip or zstd"));
        assert_eq!(detect(&MAGIC), Artifact);
    }

    #[test]
    fn a_column_that_is_set_says_csv_of_any_text_and_of_nothing_else() {
        for (head, want) in [
            ("a.example.com,2021\n", Detected::Text(TextFormat::Csv)),
            ("a.example.com\n", Detected::Text(TextFormat::Csv)),
            ("{\"Event\": {}}", Detected::Json(JsonFormat::Misp)),
            ("<p>", Detected::Page),
        ] {
            assert_eq!(detect_with(head.as_bytes(), true), want, "{head:?}");
            assert_eq!(detect_with(head.as_bytes(), false), detect(head.as_bytes()), "{head:?}");
        }
    }

    #[test]
    fn a_line_cut_at_the_end_of_the_head_has_no_vote() {
        assert_eq!(detect(b"a.example.com\n{\"cut"), Detected::Text(TextFormat::Plain));
    }
}
