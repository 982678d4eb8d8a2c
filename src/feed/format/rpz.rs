//! A response policy zone as a zone file (draft-vixie-dnsop-dns-rpz): QNAME triggers and their actions.
//!
//! An owner stands for itself alone and `*.owner` for what is below it. Records that serve the zone (SOA, its NS, DNSSEC) are header.
//! Local data counts as [`Verb::Listed`]. Costs a scan of the line and two copies of its owner.

use super::owners::Owners;
use super::zone_file::{Step, ZoneFile};
use super::{Bucket, LineParser, Reason};
use crate::feed::intake::Intake;
use crate::index::{Verb, Verbs};

/// The last labels of triggers other than QNAME start with this (draft §4: `rpz-ip`, `rpz-client-ip`, `rpz-nsdname`, `rpz-nsip`), and
/// so do the targets of special actions (draft §3).
const SPECIAL_PREFIX: &[u8] = b"rpz-";

/// Types that sign the zone and say nothing of triggers.
const DNSSEC_TYPES: &[&[u8]] =
    &[b"RRSIG", b"NSEC", b"NSEC3", b"NSEC3PARAM", b"DNSKEY", b"DS", b"CDS", b"CDNSKEY", b"ZONEMD"];
/// Types that local data are made of (draft §3.6); any other may be written as `TYPE` and its number (RFC 3597 §5).
const DATA_TYPES: &[&[u8]] = &[
    b"A", b"AAAA", b"TXT", b"MX", b"SRV", b"PTR", b"CAA", b"HINFO", b"NAPTR", b"SVCB", b"HTTPS", b"SSHFP", b"TLSA",
    b"SPF", b"LOC", b"RP", b"URI", b"CERT",
];
/// Types that would redirect more than the trigger.
const REDIRECTING_TYPES: &[&[u8]] = &[b"NS", b"DNAME"];

/// The RPZ format.
#[derive(Default)]
pub(super) struct Rpz {
    /// The record at hand.
    file: ZoneFile,
    /// Whose it is.
    owners: Owners,
}

impl LineParser for Rpz {
    fn line(&mut self, text: &[u8], intake: &mut Intake) -> Bucket {
        match self.file.line(text) {
            Ok(Step::Blank) => Bucket::Comment,
            Ok(Step::Open) => Bucket::Open,
            Ok(Step::Record) => self.record(intake).map_or_else(Bucket::Refused, |read| match read {
                Read::Header => Bucket::Header,
                Read::Taken => Bucket::Taken,
            }),
            Err(reason) => {
                self.owners.lose_owner(reason);
                Bucket::Refused(reason)
            }
        }
    }

    fn abandon(&mut self) {
        self.file.abandon();
        self.owners.lose_owner(Reason::LineTooLong);
    }
}

/// What a good record was.
enum Read {
    /// It serves the zone.
    Header,
    /// Its trigger was taken.
    Taken,
}

impl Rpz {
    /// Reads one record or directive.
    fn record(&mut self, intake: &mut Intake) -> Result<Read, Reason> {
        let mut tokens = self.file.tokens();
        let mut stated = None;
        if !self.file.indented() {
            let first = tokens.next().ok_or(Reason::Syntax)?;
            if first.first() == Some(&b'$') {
                let value = tokens.next().filter(|_| tokens.next().is_none());
                return directive(first, value, &mut self.owners);
            }
            self.owners.state(first);
            stated = Some(first);
        }
        let (mut ttl, mut class) = (false, false);
        let kind = loop {
            let token = tokens.next().ok_or(Reason::Syntax)?;
            // RFC 1035 §5.1: "[<TTL>] [<class>] <type> <RDATA>" or "[<class>] [<TTL>] <type> <RDATA>".
            if !ttl && is_ttl(token) {
                ttl = true;
            } else if !class && token.eq_ignore_ascii_case(b"IN") {
                class = true;
            } else {
                break token;
            }
        };
        let first = tokens.next().ok_or(Reason::Syntax)?;
        if kind.eq_ignore_ascii_case(b"CNAME") {
            let owner = self.owners.owner()?;
            let action = action(first, owner);
            return if tokens.next().is_some() { Err(Reason::Syntax) } else { trigger(owner, action, intake) };
        }
        if kind.eq_ignore_ascii_case(b"SOA") {
            self.owners.learn_apex(stated);
            return Ok(Read::Header);
        }
        other(kind, self.owners.owner()?, intake)
    }
}

/// Reads a record that is neither a CNAME nor a SOA.
fn other(kind: &[u8], owner: &[u8], intake: &mut Intake) -> Result<Read, Reason> {
    let is = |kinds: &[&[u8]]| kinds.iter().any(|one| kind.eq_ignore_ascii_case(one));
    if is(DNSSEC_TYPES) {
        return Ok(Read::Header);
    }
    let known = is(DATA_TYPES) || is_numbered(kind);
    let redirects = is(REDIRECTING_TYPES);
    match owner {
        // Whatever else stands at the apex speaks of the zone, not of a trigger.
        b"" if known || redirects => Ok(Read::Header),
        _ if known => trigger(owner, Ok(Verb::Listed), intake),
        _ if redirects => Err(Reason::UnsupportedAction),
        _ => Err(Reason::Syntax),
    }
}

/// Takes an owner as a QNAME trigger (draft §4.2).
fn trigger(owner: &[u8], action: Result<Verb, Reason>, intake: &mut Intake) -> Result<Read, Reason> {
    let last = owner.rsplit(|&octet| octet == b'.').next().unwrap_or_default();
    if is_special(last) {
        return Err(Reason::UnsupportedTrigger);
    }
    let verb = action?;
    match owner {
        b"*" if intake.trusts_suffixes() => intake.take_root(Verbs::below(verb))?,
        b"*" | b"" => return Err(Reason::Root),
        [b'*', b'.', parent @ ..] => intake.take(parent, Verbs::below(verb))?,
        _ => intake.take(owner, Verbs::exact(verb))?,
    }
    Ok(Read::Taken)
}

/// Reads `$ORIGIN` or `$TTL`; any other directive would bring in text from elsewhere.
fn directive(name: &[u8], value: Option<&[u8]>, owners: &mut Owners) -> Result<Read, Reason> {
    if name.eq_ignore_ascii_case(b"$ORIGIN") {
        owners.set_origin(value)?;
        return Ok(Read::Header);
    }
    let good = name.eq_ignore_ascii_case(b"$TTL") && value.is_some_and(is_ttl);
    if good { Ok(Read::Header) } else { Err(Reason::Directive) }
}

/// Whether a label is one of those that triggers and actions are written with.
fn is_special(label: &[u8]) -> bool {
    label.get(..SPECIAL_PREFIX.len()).is_some_and(|start| start.eq_ignore_ascii_case(SPECIAL_PREFIX))
}

/// Whether it is a type by number: `TYPE` and digits (RFC 3597 §5).
fn is_numbered(kind: &[u8]) -> bool {
    let split = kind.split_at_checked(4).filter(|(word, _)| word.eq_ignore_ascii_case(b"TYPE"));
    split.is_some_and(|(_, number)| !number.is_empty() && number.iter().all(u8::is_ascii_digit))
}

/// Whether it is a TTL: digits, with or without units (`1h30m`).
fn is_ttl(token: &[u8]) -> bool {
    let unit = |octet: u8| matches!(octet.to_ascii_lowercase(), b's' | b'm' | b'h' | b'd' | b'w');
    token.first().is_some_and(u8::is_ascii_digit) && token.iter().all(|&octet| octet.is_ascii_digit() || unit(octet))
}

/// What a CNAME asks for (draft §3).
///
/// # Errors
/// [`Reason::UnsupportedAction`] also for what is all but certainly a special target without its final dot: read to the letter it
/// would sink a name that was to pass.
fn action(target: &[u8], owner: &[u8]) -> Result<Verb, Reason> {
    let Some(absolute) = target.strip_suffix(b".") else {
        let special =
            target == b"*" || target.eq_ignore_ascii_case(owner) || (is_special(target) && !target.contains(&b'.'));
        return if special { Err(Reason::UnsupportedAction) } else { Ok(Verb::Listed) };
    };
    match absolute {
        b"" => Ok(Verb::Nxdomain),
        b"*" => Ok(Verb::Nodata),
        name if name.eq_ignore_ascii_case(b"rpz-passthru") => Ok(Verb::Passthru),
        name if name.eq_ignore_ascii_case(b"rpz-drop") => Ok(Verb::Drop),
        name if name.eq_ignore_ascii_case(b"rpz-tcp-only") => Ok(Verb::TcpOnly),
        name if is_special(name) && !name.contains(&b'.') => Err(Reason::UnsupportedAction),
        // Draft §3.3: the first way to write PASSTHRU was a CNAME to the trigger's own name.
        name if name.eq_ignore_ascii_case(owner) => Ok(Verb::Passthru),
        _ => Ok(Verb::Listed),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fmt::Write as _;

    use hickory_proto::rr::RData;
    use hickory_proto::serialize::txt::Parser;

    use super::super::tests::entries;
    use super::super::{TextFormat, read_text};
    use crate::feed::Report;

    /// Entries, and `used duplicate comment header refused`, and the reasons.
    fn read(text: &str) -> (Vec<String>, [u64; 5], Vec<&'static str>) {
        let (sorted, report) = read_text(text.as_bytes(), TextFormat::Rpz, false).unwrap();
        assert!(report.balanced(), "{text}: {report:?}");
        let Report { used, duplicate, comment, header, .. } = report;
        let reasons = report.refusals().map(|(reason, _)| reason.label()).collect();
        (entries(&sorted), [used, duplicate, comment, header, report.refused_total()], reasons)
    }

    #[test]
    fn triggers_and_actions() {
        for (line, want) in [
            ("a.example.com CNAME .", Ok("=a.example.com Nxdomain")),
            ("A.Example.COM 1h30m IN CNAME *.", Ok("=a.example.com Nodata")),
            ("*.a.example.com IN 30 CNAME .", Ok("*.a.example.com Nxdomain")),
            ("a.example.com CNAME rpz-passthru.", Ok("=a.example.com Passthru")),
            ("a.example.com CNAME RPZ-DROP.", Ok("=a.example.com Drop")),
            ("a.example.com CNAME A.example.com.", Ok("=a.example.com Passthru")),
            ("a.example.com CNAME garden.example.net.", Ok("=a.example.com")),
            ("a.example.com CNAME *.garden.example.net.", Ok("=a.example.com")),
            ("a.example.com CNAME garden", Ok("=a.example.com")),
            ("a.example.com A 192.0.2.1", Ok("=a.example.com")),
            ("a.example.com TXT \"a ; b\"", Ok("=a.example.com")),
            ("a.example.com TYPE65280 \\# 0", Ok("=a.example.com")),
            ("a.example.com CNAME rpz-tcp-only.", Ok("=a.example.com TcpOnly")),
            ("a.example.com CNAME rpz-new.", Err("unsupported-action")),
            ("a.example.com CNAME rpz-passthru", Err("unsupported-action")),
            ("a.example.com CNAME *", Err("unsupported-action")),
            ("a.example.com CNAME a.example.com", Err("unsupported-action")),
            ("a.example.com NS ns.example.net.", Err("unsupported-action")),
            ("a.example.com DNAME example.net.", Err("unsupported-action")),
            ("32.1.7.168.192.rpz-ip CNAME .", Err("unsupported-trigger")),
            ("32.1.7.168.192.rpz-client-ip CNAME .", Err("unsupported-trigger")),
            ("ns.example.com.RPZ-NSDNAME CNAME .", Err("unsupported-trigger")),
            ("32.1.7.168.192.rpz-nsip CNAME .", Err("unsupported-trigger")),
            ("abbp1.science. CNAME .", Err("out-of-zone")),
            (r"194.58.122.146\032stratum.aikapool.com CNAME .", Err("character")),
            ("http://x.com/ CNAME .", Err("url")),
            ("country CNAME .", Err("tld")),
            ("*.co.uk CNAME .", Err("public-suffix")),
            ("* CNAME .", Err("root")),
            ("@ CNAME .", Err("root")),
            ("a.*.example.com CNAME .", Err("wildcard")),
            ("zec..example.com CNAME .", Err("empty-label")),
            ("$INCLUDE other.db", Err("directive")),
            ("$GENERATE 1-9 a$.example.com CNAME .", Err("directive")),
            ("$TTL x", Err("directive")),
            ("foobar", Err("syntax")),
            ("a.example.com CNAME", Err("syntax")),
            ("a.example.com CNAME . x", Err("syntax")),
            ("a.example.com CH CNAME .", Err("syntax")),
            ("a.example.com NOTATYPE x", Err("syntax")),
            ("a.example.com typecom.com x", Err("syntax")),
            ("$ORIGIN a. b.", Err("directive")),
            (" CNAME .", Err("syntax")),
        ] {
            let (entries, buckets, reasons) = read(line);
            match want {
                Ok(entry) => assert_eq!((entries, buckets), (vec![entry.to_owned()], [1, 0, 0, 0, 0]), "{line}"),
                Err(reason) => assert_eq!((entries, reasons), (vec![], vec![reason]), "{line}"),
            }
        }
    }

    #[test]
    fn a_trusted_feed_may_list_the_root_and_suffixes() {
        let text = "* CNAME .\n*.co.uk CNAME .\ncountry CNAME rpz-passthru.\n";
        let (sorted, report) = read_text(text.as_bytes(), TextFormat::Rpz, true).unwrap();
        assert_eq!(entries(&sorted), ["*. Nxdomain", "*.co.uk Nxdomain", "=country Passthru"]);
        assert!(report.balanced() && report.used == 3);
    }

    #[test]
    fn whole_zones_and_where_their_lines_go() {
        for (what, text, want, buckets) in [
            (
                "a real header: the NS inherits the apex",
                "; t\n$TTL 30\n@ IN SOA rpz.x. host.x. 1 2 3 4 5\n NS localhost.\n\na.example.com CNAME .\n",
                &["=a.example.com Nxdomain"][..],
                [1, 0, 2, 3, 0],
            ),
            (
                "an SOA over lines is header throughout",
                "@ SOA x. y. ( 1 ; serial\n 6h\n 1h 1w 2h )\n\tIN NS x.\na.example.com CNAME .",
                &["=a.example.com Nxdomain"],
                [1, 0, 0, 4, 0],
            ),
            (
                "a record over lines: the first is used, the rest add nothing",
                "a.example.com CNAME (\n ; why\n . )\na.example.com CNAME (\n .)\n",
                &["=a.example.com Nxdomain"],
                [1, 1, 3, 0, 0],
            ),
            ("a refused record over lines: all of them", "a.rpz-nsip CNAME (\n .\n )\n", &[], [0, 0, 0, 0, 3]),
            (
                "the zone's name from the SOA's owner",
                "rpz.zone. SOA . . 1 2 3 4 5\na.example.com.rpz.zone. CNAME .\nb.example.com CNAME .\nc.example.com. CNAME .\n\
                 d.example.com.notrpz.zone. CNAME .\nrpz.zone. TXT x\n",
                &["=a.example.com Nxdomain", "=b.example.com Nxdomain"],
                [2, 0, 0, 2, 2],
            ),
            (
                "the zone's name from $ORIGIN, and names below another",
                "$ORIGIN rpz.zone.\n@ SOA . . 1 2 3 4 5\na.example.com CNAME .\n$ORIGIN com.RPZ.zone.\nb.example CNAME .\n*.b.example CNAME .\n\
                 $ORIGIN example\nc CNAME .\n$ORIGIN elsewhere.\nd.example.com CNAME .\n",
                &["=a.example.com Nxdomain", "b.example.com Nxdomain", "=c.example.com Nxdomain"],
                [4, 0, 0, 5, 1],
            ),
            (
                "as a server writes a zone out: the root first, then the zone",
                "$ORIGIN .\n$TTL 300\t; 5 minutes\nrpz.zone\t\tIN SOA\t. . (\n\t1\n\t2 3 4 5 )\n\t\tNS\t.\n$ORIGIN com.rpz.zone.\n\
                 a.example\tCNAME\t.\n\t\t\tRRSIG\tCNAME 8 2 300 (\n\t\tx y z )\n",
                &["=a.example.com Nxdomain"],
                [1, 0, 0, 9, 0],
            ),
            (
                "several records of one owner are one entry; what inherits a refused owner is refused",
                "a.example.com A 192.0.2.1\n AAAA ::1\n TXT \"x\"\nout.example. A 192.0.2.1\n AAAA ::1\n",
                &["=a.example.com"],
                [1, 2, 0, 0, 2],
            ),
            (
                "what inherits an owner that could not be read is refused, not given to the one before",
                "a.example.com CNAME .\nb.example.com TXT \"x\n CNAME rpz-passthru.\nc.example.com CNAME .\n",
                &["=a.example.com Nxdomain", "=c.example.com Nxdomain"],
                [2, 0, 0, 0, 2],
            ),
            (
                "a record still open at the end",
                "a.example.com CNAME .\nb.example.com CNAME (\n.\n",
                &["=a.example.com Nxdomain"],
                [1, 0, 0, 0, 2],
            ),
        ] {
            let got = read(text);
            assert_eq!(
                (got.0.as_slice(), got.1),
                (&*want.iter().map(|&s| s.to_owned()).collect::<Vec<_>>(), buckets),
                "{what}"
            );
        }
    }

    /// Small numbers from a seed.
    struct Dice(u64);

    impl Dice {
        fn roll(&mut self, sides: usize) -> usize {
            self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            usize::try_from(self.0 >> 33).unwrap() % sides
        }

        fn pick<'a>(&mut self, choices: &[&'a str]) -> &'a str {
            choices[self.roll(choices.len())]
        }
    }

    /// A random zone `rpz.zone.` of every feature both readers know.
    fn random_zone(dice: &mut Dice) -> String {
        let mut text = String::from("$ORIGIN rpz.zone.\n$TTL 1h\n");
        text.push_str(dice.pick(&[
            "@ IN SOA rpz.zone. h.rpz.zone. 1 6h 1h 1w 2h\n",
            "@ SOA . . ( 1 ; serial\n  2 3\n\t4 5 ) ; done\n",
            "rpz.zone. 60 IN SOA . . (1 2 3 4 5)\n",
        ]));
        text.push_str(dice.pick(&["", " NS localhost.\n", "\t3h IN NS .\n", "@ NS ns.example.\n"]));
        let mut origin = "";
        for number in 0..30 {
            text.push_str(dice.pick(&["", "", "\n", "; c\n", "  \t; c ( \"\n", "$TTL 2d ; c\n"]));
            if dice.roll(6) == 0 {
                origin = dice.pick(&["", "com.", "example.com."]);
                writeln!(text, "$ORIGIN {origin}rpz.zone.").unwrap();
            }
            let name = format!("{}{}{number}.b", dice.pick(&["", "", "*."]), dice.pick(&["x", "Y-", "_z", "zp-"]));
            let below = if origin.is_empty() { format!("{name}.test") } else { name };
            let owner = if dice.roll(4) == 0 { format!("{below}.{origin}RPZ.zone.") } else { below.clone() };
            let front = dice.pick(&["", "IN ", "30 ", "1h30m IN ", "IN\t1w2D ", "  in 5M  "]);
            let end = dice.pick(&["\n", " ; c\n", "\t\n", " ;\"(\n"]);
            let own = format!("{below}.{origin}");
            match dice.roll(8) {
                0 => {
                    write!(text, "{owner} {front}A 192.0.2.{number}{end}\t{front}AAAA 2001:db8::1{end}").unwrap();
                }
                1 => write!(text, "{owner} {front}TXT \"a ; ( b\" c ( \n d ) {end}").unwrap(),
                2 => write!(text, "{owner} {front}CNAME ( ; c\n {own} ; d\n ){end}").unwrap(),
                _ => {
                    let target =
                        dice.pick(&[".", "*.", "rpz-passthru.", "rpz-drop.", "a.garden.", "*.garden.", "garden"]);
                    write!(text, "{owner}\t{front}CNAME {target}{end}").unwrap();
                }
            }
        }
        text.truncate(text.trim_end_matches('\n').len() + dice.roll(2));
        text
    }

    /// The same through hickory's reader, which keeps the whole zone in memory.
    fn oracle(text: &str) -> BTreeSet<String> {
        let (_, sets) = Parser::new(text, None, None).parse().unwrap_or_else(|error| panic!("{error}\n{text}"));
        let mut found = BTreeSet::new();
        for set in sets.values() {
            let owner = set.name().to_string().to_ascii_lowercase();
            let Some(owner) = owner.strip_suffix(".rpz.zone.") else { continue };
            let verb = set.records_without_rrsigs().map(|record| match &record.data {
                RData::CNAME(target) => match target.to_string().to_ascii_lowercase().as_str() {
                    "." => " Nxdomain",
                    "*." => " Nodata",
                    "rpz-passthru." => " Passthru",
                    "rpz-drop." => " Drop",
                    own if own.strip_suffix('.') == Some(owner) => " Passthru",
                    _ => "",
                },
                _ => "",
            });
            let exact = if owner.starts_with("*.") { "" } else { "=" };
            found.extend(verb.map(|verb| format!("{exact}{owner}{verb}")));
        }
        found
    }

    #[test]
    fn random_zones_read_as_hickory_reads_them() {
        for seed in 0..300 {
            let text = random_zone(&mut Dice(seed));
            let (ours, buckets, reasons) = read(&text);
            let want = oracle(&text);
            assert!(want.len() >= 20, "seed {seed} makes too little");
            assert_eq!(ours.into_iter().collect::<BTreeSet<_>>(), want, "seed {seed}: {buckets:?} {reasons:?}\n{text}");
        }
    }
}
