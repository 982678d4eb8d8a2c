//! The text formats. Each reads a line at a time, takes its names and says what the line was; [`read_text`] does the rest.
//!
//! No line ends a load, and no format keeps more than one record in memory.

mod adblock;
mod bind;
mod csv;
mod dnscrypt;
mod dnsmasq;
mod hosts;
mod local_data;
mod overrule;
mod owners;
mod plain;
mod rpz;
#[cfg(test)]
mod traps;
mod trigger;
mod unbound;
mod v2fly;

pub(super) use csv::{column_names, fields, is_header};
pub(super) use hosts::target;
pub(super) use plain::is_words;
pub(super) use v2fly::is_rule;

use std::io::{self, Read};

use super::door::Door;
use super::entry::bare_name;
use super::intake::{Bucket, Intake};
use super::lines::{Line, Lines};
use super::{Format, Reason, Report, Terms};
use crate::index::Sorted;

/// A format that is text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TextFormat {
    /// `0.0.0.0 name …`.
    Hosts,
    /// One name a line.
    Plain,
    /// `||name^`.
    Adblock,
    /// A response policy zone.
    Rpz,
    /// dnsmasq's configuration.
    Dnsmasq,
    /// Unbound's configuration.
    Unbound,
    /// BIND's configuration.
    Bind,
    /// dnscrypt-proxy's blocked names.
    Dnscrypt,
    /// A column of a CSV file.
    Csv,
    /// A list of v2fly's domain-list-community.
    V2fly,
}

impl TextFormat {
    /// Every text format.
    pub const ALL: [Self; 10] = [
        Self::Hosts,
        Self::Plain,
        Self::Adblock,
        Self::Rpz,
        Self::Dnsmasq,
        Self::Unbound,
        Self::Bind,
        Self::Dnscrypt,
        Self::Csv,
        Self::V2fly,
    ];

    /// The same as a setting.
    #[must_use]
    pub const fn format(self) -> Format {
        match self {
            Self::Hosts => Format::Hosts,
            Self::Plain => Format::Plain,
            Self::Adblock => Format::Adblock,
            Self::Rpz => Format::Rpz,
            Self::Dnsmasq => Format::Dnsmasq,
            Self::Unbound => Format::Unbound,
            Self::Bind => Format::Bind,
            Self::Dnscrypt => Format::Dnscrypt,
            Self::Csv => Format::Csv,
            Self::V2fly => Format::V2fly,
        }
    }
}

/// Reads one format's lines.
trait LineParser {
    /// Reads one line, which is at most `LINE_OCTETS_MAX` octets and has no newline.
    fn line(&mut self, text: &[u8], intake: &mut Intake<'_>) -> Bucket;

    /// Forgets the record at hand: a line of it was too long.
    fn abandon(&mut self) {}

    /// What the entries and the books come to, once all lines are read; others than these come in by the door.
    fn settle(self, sorted: Sorted, report: Report, _door: Door<'_>) -> (Sorted, Report)
    where
        Self: Sized,
    {
        (sorted, report)
    }
}

/// Reads all of `source` as `format`: the entries in key order, and where each line went.
///
/// # Errors
/// The source's own; nothing that stands in the text.
pub fn read_text<R: Read>(source: R, format: TextFormat, terms: &Terms) -> io::Result<(Sorted, Report)> {
    let intake = Intake::new(format.format(), terms);
    match format {
        TextFormat::Hosts => drive(source, hosts::Hosts, intake),
        TextFormat::Plain => drive(source, plain::Plain, intake),
        TextFormat::Adblock => drive(source, adblock::Adblock::default(), intake),
        TextFormat::Rpz => drive(source, rpz::Rpz::default(), intake),
        TextFormat::Dnsmasq => drive(source, dnsmasq::Dnsmasq, intake),
        TextFormat::Unbound => drive(source, unbound::Unbound, intake),
        TextFormat::Bind => drive(source, bind::Bind::default(), intake),
        TextFormat::Dnscrypt => drive(source, dnscrypt::Dnscrypt, intake),
        TextFormat::Csv => drive(source, csv::Csv::default(), intake),
        TextFormat::V2fly => drive(source, v2fly::V2fly, intake),
    }
}

/// Hands every line to `parser`.
fn drive<R: Read>(source: R, mut parser: impl LineParser, mut intake: Intake<'_>) -> io::Result<(Sorted, Report)> {
    let mut lines = Lines::new(source);
    while let Some(line) = lines.next()? {
        let bucket = match line {
            Line::Text(text) => parser.line(text, &mut intake),
            Line::TooLong => {
                parser.abandon();
                Bucket::Refused(Reason::LineTooLong)
            }
        };
        intake.end_line(bucket);
    }
    let door = intake.later();
    let (sorted, report) = intake.finish();
    Ok(parser.settle(sorted, report, door))
}

/// A line without the comment behind white space that `#`, `;`, `!` or `//` begins: none of them begins a name.
pub(super) fn without_comment(text: &[u8]) -> &[u8] {
    let mut spaces = text.iter().enumerate().filter(|(_, octet)| octet.is_ascii_whitespace());
    let begins = |at: usize| matches!(text.get(at + 1..), Some([b'#' | b';' | b'!', ..] | [b'/', b'/', ..]));
    spaces.find(|&(at, _)| begins(at)).and_then(|(at, _)| text.get(..at)).unwrap_or(text)
}

#[cfg(test)]
pub(super) mod tests {
    use std::net::Ipv6Addr;

    use super::*;
    use crate::index::{Record, Verb, Verbs};

    /// What entries come of `text`, as `name` for the name and below, `=name` exact, `*.name` below, `Answer 192.0.2.0/24` a network, with
    /// the verb unless it is `Listed`, and of records TTL, type and data.
    pub(in crate::feed) fn entries(sorted: &Sorted) -> Vec<String> {
        let says = |verb: Verb| match verb {
            Verb::Listed => String::new(),
            Verb::Data(id) => format!(" {}", sorted.records(id).iter().map(show_record).collect::<Vec<_>>().join(", ")),
            verb => format!(" {verb:?}"),
        };
        let show = |key: &[u8], verbs: Verbs| {
            let mut labels = labels(key);
            labels.reverse();
            let name = labels.join(".");
            match (verbs.at, verbs.below) {
                (Some(a), Some(b)) if a == b => format!("{name}{}", says(a)),
                (Some(a), Some(b)) => format!("={name}{} *.{}", says(a), says(b)),
                (Some(a), None) => format!("={name}{}", says(a)),
                (None, Some(b)) => format!("*.{name}{}", says(b)),
                (None, None) => panic!("{name} says nothing"),
            }
        };
        let names = sorted.iter().map(|(key, verbs)| show(key, verbs));
        let networks = sorted.networks().map(|(side, network, verbs)| {
            let first = Ipv6Addr::from_bits(network.first());
            let shown = first.to_ipv4_mapped().map_or_else(|| format!("{first}"), |ipv4| format!("{ipv4}"));
            let front = if first.to_ipv4_mapped().is_some() { 96 } else { 0 };
            format!("{side:?} {shown}/{}{}", network.prefix_len() - front, says(verbs.at.unwrap()))
        });
        names.chain(networks).collect()
    }

    /// Labels that are led by their lengths, as text; the root's is left out.
    fn labels(octets: &[u8]) -> Vec<&str> {
        let (mut rest, mut labels) = (octets, Vec::new());
        while let [length @ 1..=u8::MAX, tail @ ..] = rest {
            let (label, after) = tail.split_at(usize::from(*length));
            labels.push(std::str::from_utf8(label).unwrap());
            rest = after;
        }
        labels
    }

    /// An address and a target as they are written; of other types how many octets.
    pub(super) fn show_record(record: &Record) -> String {
        let Record { rtype, ttl_secs, rdata } = record;
        match (*rtype, &rdata[..]) {
            (1, &[a, b, c, d]) => format!("{ttl_secs} A {a}.{b}.{c}.{d}"),
            (5, name) => format!("{ttl_secs} CNAME {}", labels(name).join(".")),
            (16, text) => format!("{ttl_secs} TXT {}", text.len()),
            (28, _) => format!("{ttl_secs} AAAA"),
            (rtype, rdata) => format!("{ttl_secs} TYPE{rtype} {}", rdata.len()),
        }
    }

    /// Reads each line alone: its entries, or the reason, or the bucket.
    pub(super) fn verdict(format: TextFormat, line: &str) -> String {
        let (sorted, report) = read_text(line.as_bytes(), format, &Terms::default()).unwrap();
        assert!(report.balanced(), "{line:?}: {report:?}");
        match report.refusals().next() {
            _ if report.comment == report.lines => "comment".to_owned(),
            _ if report.header == report.lines => "header".to_owned(),
            Some((reason, _)) if sorted.is_empty() => format!("refused {}", reason.label()),
            _ => entries(&sorted).join(" "),
        }
    }

    #[test]
    fn buckets_of_a_whole_file_sum() {
        let text = "\u{feff}# Title\r\n\r\n0.0.0.0 a.example.com b.example.com\r\n:: a.example.com\n\
                    0.0.0.0 c.example.com bad..name # half\n127.0.0.1 localhost\n0.0.0.0 d.example.com e.com/x\n0.0.0.0 github.io";
        let (sorted, report) = read_text(text.as_bytes(), TextFormat::Hosts, &Terms::default()).unwrap();
        assert!(report.balanced());
        assert_eq!(entries(&sorted), ["github.io", "a.example.com", "b.example.com", "c.example.com", "d.example.com"]);
        let counts =
            [report.lines, report.used, report.duplicate, report.comment, report.header, report.refused_total()];
        assert_eq!(counts, [8, 4, 1, 2, 0, 1]);
        assert_eq!(report.refused_at, [(6, Reason::Boilerplate)]);
        assert_eq!((report.names_refused, report.entries, report.private_suffixes), (2, 5, 1));
    }

    #[test]
    fn a_long_line_costs_itself_alone() {
        let text = format!("a.example.com\n{}\nb.example.com", "x.example.com,".repeat(80_000));
        let (sorted, report) = read_text(text.as_bytes(), TextFormat::Plain, &Terms::default()).unwrap();
        assert_eq!(entries(&sorted), ["a.example.com", "b.example.com"]);
        assert_eq!(report.refusals().collect::<Vec<_>>(), [(Reason::LineTooLong, 1)]);
        assert!(report.balanced());
    }

    #[test]
    fn any_octets_at_all_balance() {
        let mut state = 7_u64;
        let alphabet: Vec<&[u8]> = b"a.b-*|^@#!$;(){},'\"\\ \t\n\r\0\xca\xef=/:0123456789".chunks(1).collect();
        let words = [
            "IN",
            "CNAME",
            "SOA",
            "$ORIGIN",
            "a.test",
            "||a.test^",
            "||b.a.test^",
            "$important",
            ",badfilter",
            "$denyallow=b.a.test",
            "address=/",
            "local-zone: ",
            "static",
            "zone \"",
            "type master;",
            "};\n",
            "domain,x\n",
            "\n",
            "/*",
            "*/",
        ];
        let alphabet: Vec<&[u8]> = alphabet.into_iter().chain(words.into_iter().map(str::as_bytes)).collect();
        for round in 0..2000 {
            let text: Vec<u8> = (0..200)
                .flat_map(|_| {
                    state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                    alphabet[usize::try_from(state >> 33).unwrap() % alphabet.len()].to_vec()
                })
                .collect();
            for format in TextFormat::ALL {
                let (_, report) =
                    read_text(&text[..], format, &Terms { trust_suffixes: round % 2 == 0, ..Terms::default() })
                        .unwrap();
                let shown = text.escape_ascii();
                assert!(report.balanced(), "{format:?} {shown}: {report:?}");
                assert_eq!(report.used > 0, report.entries > 0, "{format:?} {shown}: {report:?}");
            }
        }
    }
}
