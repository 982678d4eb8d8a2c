//! A response policy zone as a zone file (draft-vixie-dnsop-dns-rpz): QNAME triggers and their actions.
//!
//! An owner stands for itself alone and `*.owner` for what is below it. The zone's own name comes from the SOA's owner, or until then
//! from `$ORIGIN`; a file that names it nowhere is read relative to it, and an absolute owner is then outside. Records that serve the
//! zone (SOA, its NS, DNSSEC) are header. Local data counts as [`Verb::Listed`]. Costs a scan of the line and one copy of its tokens.

use super::zone_file::{Step, ZoneFile};
use super::{Bucket, LineParser, Reason};
use crate::feed::intake::Intake;
use crate::index::{Verb, Verbs};

/// The last labels of triggers other than QNAME start with this (draft §4: `rpz-ip`, `rpz-client-ip`, `rpz-nsdname`, `rpz-nsip`).
const TRIGGER_PREFIX: &[u8] = b"rpz-";

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
#[derive(Debug, Default)]
pub(super) struct Rpz {
    /// The record at hand.
    file: ZoneFile,
    /// What the records before it established.
    zone: Zone,
}

/// The zone's name, the origin and the last owner.
#[derive(Debug)]
struct Zone {
    /// The zone's absolute name without its final dot, if it is known.
    apex: Option<Vec<u8>>,
    /// Whether `apex` is the SOA's owner, which is final.
    from_soa: bool,
    /// What a relative name is relative to.
    origin: Origin,
    /// The origin relative to the apex; `None`: it is outside. Follows from the three above.
    prefix: Option<Vec<u8>>,
    /// The last owner relative to the apex, empty for the apex itself; meaningful while `owner_stands` is.
    owner: Vec<u8>,
    /// Whether the last owner is usable, or why not.
    owner_stands: Result<(), Reason>,
}

/// What a relative name is relative to.
#[derive(Debug)]
enum Origin {
    /// So far below the zone's apex, whatever that is called.
    Below(Vec<u8>),
    /// This absolute name, without its final dot.
    Absolute(Vec<u8>),
}

impl Default for Zone {
    fn default() -> Self {
        Self {
            apex: None,
            from_soa: false,
            origin: Origin::Below(Vec::new()),
            prefix: Some(Vec::new()),
            owner: Vec::new(),
            // RFC 1035 §5.1: a record with a blank owner takes "the last stated owner"; at first there is none.
            owner_stands: Err(Reason::Syntax),
        }
    }
}

impl LineParser for Rpz {
    fn line(&mut self, text: &[u8], intake: &mut Intake) -> Bucket {
        match self.file.line(text) {
            Ok(Step::Blank) => Bucket::Comment,
            Ok(Step::Open) => Bucket::Open,
            Ok(Step::Record) => {
                self.zone.record(&self.file, intake).map_or_else(Bucket::Refused, |header| match header {
                    Read::Header => Bucket::Header,
                    Read::Taken => Bucket::Taken,
                })
            }
            Err(reason) => {
                self.zone.owner_stands = Err(reason);
                Bucket::Refused(reason)
            }
        }
    }

    fn abandon(&mut self) {
        self.file.abandon();
        self.zone.owner_stands = Err(Reason::LineTooLong);
    }
}

/// What a good record was.
enum Read {
    /// It serves the zone.
    Header,
    /// Its trigger was taken.
    Taken,
}

impl Zone {
    /// Reads one record or directive.
    fn record(&mut self, file: &ZoneFile, intake: &mut Intake) -> Result<Read, Reason> {
        let mut tokens = file.tokens();
        if !file.indented() {
            let first = tokens.next().ok_or(Reason::Syntax)?;
            if first.first() == Some(&b'$') {
                return self.directive(first, tokens.next(), tokens.next().is_some());
            }
            self.own(first);
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
            let action = action(first, &self.owner);
            if tokens.next().is_some() {
                return Err(Reason::Syntax);
            }
            return self.trigger(action, intake);
        }
        self.other(kind, file, intake)
    }

    /// Reads a record that is not a CNAME.
    fn other(&mut self, kind: &[u8], file: &ZoneFile, intake: &mut Intake) -> Result<Read, Reason> {
        let is = |kinds: &[&[u8]]| kinds.iter().any(|one| kind.eq_ignore_ascii_case(one));
        if is(&[b"SOA"]) {
            self.learn_apex(file.tokens().next().filter(|_| !file.indented()));
            return Ok(Read::Header);
        }
        self.owner_stands?;
        if is(DNSSEC_TYPES) {
            return Ok(Read::Header);
        }
        let known = is(DATA_TYPES) || kind.get(..4).is_some_and(|start| start.eq_ignore_ascii_case(b"TYPE"));
        match self.owner.as_slice() {
            // Whatever else stands at the apex speaks of the zone, not of a trigger.
            b"" if known || is(REDIRECTING_TYPES) => Ok(Read::Header),
            _ if known => self.trigger(Ok(Verb::Listed), intake),
            _ if is(REDIRECTING_TYPES) => Err(Reason::UnsupportedAction),
            _ => Err(Reason::Syntax),
        }
    }

    /// Takes the last owner as a QNAME trigger (draft §4.2).
    fn trigger(&self, action: Result<Verb, Reason>, intake: &mut Intake) -> Result<Read, Reason> {
        self.owner_stands?;
        let owner = self.owner.as_slice();
        let last = owner.rsplit(|&octet| octet == b'.').next().unwrap_or_default();
        if last.get(..TRIGGER_PREFIX.len()).is_some_and(|start| start.eq_ignore_ascii_case(TRIGGER_PREFIX)) {
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
    fn directive(&mut self, name: &[u8], value: Option<&[u8]>, more: bool) -> Result<Read, Reason> {
        let value = value.filter(|_| !more).ok_or(Reason::Directive)?;
        if name.eq_ignore_ascii_case(b"$TTL") && is_ttl(value) {
            return Ok(Read::Header);
        }
        if !name.eq_ignore_ascii_case(b"$ORIGIN") || value.contains(&b'\\') {
            return Err(Reason::Directive);
        }
        self.origin = match (value.strip_suffix(b"."), &self.origin) {
            (Some(absolute), _) => Origin::Absolute(absolute.to_vec()),
            (None, Origin::Below(parent)) => Origin::Below(join(value, parent)),
            (None, Origin::Absolute(parent)) => Origin::Absolute(join(value, parent)),
        };
        if let (None, Origin::Absolute(origin)) = (&self.apex, &self.origin) {
            // `$ORIGIN .` comes first in a zone that a server wrote out; it is not the zone.
            self.apex = Some(origin.clone()).filter(|origin| !origin.is_empty());
        }
        self.resolve_prefix();
        Ok(Read::Header)
    }

    /// Finds the origin relative to the apex, after either changed.
    fn resolve_prefix(&mut self) {
        self.prefix = match &self.origin {
            Origin::Below(prefix) => Some(prefix.clone()),
            Origin::Absolute(origin) => self.relative(origin).map(<[u8]>::to_vec),
        };
    }

    /// An absolute name, without its final dot, relative to the apex; `None` outside the zone.
    fn relative<'n>(&self, name: &'n [u8]) -> Option<&'n [u8]> {
        let apex = self.apex.as_deref()?;
        if apex.is_empty() {
            return Some(name);
        }
        let (front, end) = name.split_at_checked(name.len().checked_sub(apex.len())?)?;
        if !end.eq_ignore_ascii_case(apex) {
            return None;
        }
        if front.is_empty() { Some(front) } else { front.strip_suffix(b".") }
    }

    /// Makes `token` the last stated owner.
    fn own(&mut self, token: &[u8]) {
        let mut owner = std::mem::take(&mut self.owner);
        owner.clear();
        self.owner_stands = match (token, &self.prefix) {
            // An escape stands for a character that no listed name may hold.
            (token, _) if token.contains(&b'\\') => Err(Reason::Character),
            (b"@", Some(prefix)) => {
                owner.extend_from_slice(prefix);
                Ok(())
            }
            ([absolute @ .., b'.'], _) => match self.relative(absolute) {
                Some(relative) => {
                    owner.extend_from_slice(relative);
                    Ok(())
                }
                None => Err(Reason::OutOfZone),
            },
            (_, None) => Err(Reason::OutOfZone),
            (relative, Some(prefix)) => {
                owner.extend_from_slice(relative);
                if !prefix.is_empty() {
                    owner.push(b'.');
                    owner.extend_from_slice(prefix);
                }
                Ok(())
            }
        };
        self.owner = owner;
    }

    /// The SOA's owner is the apex, if it can be made absolute; the first SOA decides.
    fn learn_apex(&mut self, token: Option<&[u8]>) {
        if !self.from_soa {
            self.from_soa = true;
            let absolute = match (token, &self.origin) {
                (Some([absolute @ .., b'.']), _) => Some(absolute.to_vec()),
                (Some(b"@"), Origin::Absolute(origin)) => Some(origin.clone()),
                (Some(relative), Origin::Absolute(origin)) => Some(join(relative, origin)),
                _ => None,
            };
            self.apex = absolute.or_else(|| self.apex.take());
            self.resolve_prefix();
        }
        self.owner.clear();
        self.owner_stands = Ok(());
    }
}

/// A name below another, both without a final dot.
fn join(name: &[u8], parent: &[u8]) -> Vec<u8> {
    let name = if name == b"@" { &[] } else { name };
    let dot: &[u8] = if name.is_empty() || parent.is_empty() { b"" } else { b"." };
    [name, dot, parent].concat()
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
        let special = target == b"*"
            || target.eq_ignore_ascii_case(owner)
            || (target.get(..TRIGGER_PREFIX.len()).is_some_and(|start| start.eq_ignore_ascii_case(TRIGGER_PREFIX))
                && !target.contains(&b'.'));
        return if special { Err(Reason::UnsupportedAction) } else { Ok(Verb::Listed) };
    };
    match absolute {
        b"" => Ok(Verb::Nxdomain),
        b"*" => Ok(Verb::Nodata),
        name if name.eq_ignore_ascii_case(b"rpz-passthru") => Ok(Verb::Passthru),
        name if name.eq_ignore_ascii_case(b"rpz-drop") => Ok(Verb::Drop),
        name if !name.contains(&b'.') && name.to_ascii_lowercase().starts_with(TRIGGER_PREFIX) => {
            Err(Reason::UnsupportedAction)
        }
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
            ("a.example.com CNAME rpz-tcp-only.", Err("unsupported-action")),
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
