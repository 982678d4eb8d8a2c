//! A response policy zone as a zone file (draft-vixie-dnsop-dns-rpz): triggers on the query's name, the client's address and the answer's
//! addresses, and their actions.
//!
//! An owner stands for itself alone and `*.owner` for what is below it. Records that serve the zone (SOA, its NS, DNSSEC) are header. All
//! others are local data, answered as they are: an owner's add up to one set. What does not go with an earlier record of its owner is refused
//! (BIND refuses the zone): data beside another action, a CNAME beside other data. `rpz-passthru` alone overrides what stands before it.
//! Costs a scan of the line and two copies of its owner; of data, an allocation or two more.

use super::local_data::{data_type, target_rdata};
use super::owners::Owners;
use super::trigger::{self, Trigger, is_special};
use super::{Bucket, LineParser, Reason};
use crate::feed::intake::{Intake, Says};
use crate::index::{RECORD_SET_OCTETS_MAX, RECORD_TTL_SECS_MAX, Record, Until, Verb, Verbs};
use crate::name::Name;
use crate::wire::{self, Step, ZoneFile};

/// The TTL of local data in a file that states none: that of the sinkhole's own answers.
const TTL_SECS: u32 = 30;
/// The number of CNAME (RFC 1035 §3.2.2).
const CNAME: u16 = 5;
/// Types that sign the zone and say nothing of triggers.
const DNSSEC_TYPES: &[&[u8]] =
    &[b"RRSIG", b"NSEC", b"NSEC3", b"NSEC3PARAM", b"DNSKEY", b"DS", b"CDS", b"CDNSKEY", b"ZONEMD"];
/// Types that would redirect more than the trigger.
const REDIRECTING_TYPES: &[&[u8]] = &[b"NS", b"DNAME"];

/// The RPZ format.
#[derive(Default)]
pub(super) struct Rpz {
    /// The record at hand.
    file: ZoneFile,
    /// Whose it is.
    owners: Owners,
    /// How long it is kept.
    ttl: Ttl,
}

/// The TTLs stated so far, in seconds and at most [`RECORD_TTL_SECS_MAX`].
#[derive(Default)]
struct Ttl {
    /// By `$TTL`.
    default: Option<u32>,
    /// By the last record that had one.
    last: Option<u32>,
}

impl Ttl {
    /// What a record has that states none: RFC 2308 §4, and before there was a `$TTL` RFC 1035 §5.1, "the last explicitly stated values".
    fn unstated(&self) -> u32 {
        self.default.or(self.last).unwrap_or(TTL_SECS)
    }
}

impl LineParser for Rpz {
    fn line(&mut self, text: &[u8], intake: &mut Intake<'_>) -> Bucket {
        match self.file.line(text) {
            Some(Step::Blank) => Bucket::Comment,
            Some(Step::Open) => Bucket::Open,
            Some(Step::Record) => self.record(intake).map_or_else(Bucket::Refused, |read| match read {
                Read::Header => Bucket::Header,
                Read::Taken => Bucket::Taken,
            }),
            None => {
                self.owners.lose_owner(Reason::Syntax);
                Bucket::Refused(Reason::Syntax)
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
    fn record(&mut self, intake: &mut Intake<'_>) -> Result<Read, Reason> {
        let mut tokens = self.file.tokens();
        let mut stated = None;
        if !self.file.indented() {
            let first = tokens.next().ok_or(Reason::Syntax)?;
            if first.first() == Some(&b'$') {
                let value = tokens.next().filter(|_| tokens.next().is_none());
                return directive(first, value, &mut self.owners, &mut self.ttl);
            }
            self.owners.state(first);
            stated = Some(first);
        }
        let (mut ttl, mut class) = (None, false);
        let kind = loop {
            let token = tokens.next().ok_or(Reason::Syntax)?;
            // RFC 1035 §5.1: "[<TTL>] [<class>] <type> <RDATA>" or "[<class>] [<TTL>] <type> <RDATA>".
            match ttl_secs(token).filter(|_| ttl.is_none()) {
                Some(secs) => ttl = Some(secs),
                None if !class && token.eq_ignore_ascii_case(b"IN") => class = true,
                None => break token,
            }
        };
        self.ttl.last = ttl.or(self.ttl.last);
        let ttl_secs = ttl.unwrap_or_else(|| self.ttl.unstated());
        let data: Vec<&[u8]> = tokens.collect();
        let first = *data.first().ok_or(Reason::Syntax)?;
        if kind.eq_ignore_ascii_case(b"CNAME") {
            let owner = self.owners.owner()?;
            let says = match action(first, owner)? {
                _ if data.len() > 1 => return Err(Reason::Syntax),
                Action::Verb(verb) => Says::Verb(verb),
                Action::Target(target) => match self.owners.absolute(target) {
                    Some(name) => Says::Record(Record { rtype: CNAME, ttl_secs, rdata: target_rdata(&name)? }),
                    // Where it leads cannot be known; that it is to lead away can.
                    None => Says::Verb(Verb::Listed),
                },
            };
            return trigger(owner, says, intake);
        }
        if kind.eq_ignore_ascii_case(b"SOA") {
            self.owners.learn_apex(stated);
            return Ok(Read::Header);
        }
        let is = |kinds: &[&[u8]]| kinds.iter().any(|one| kind.eq_ignore_ascii_case(one));
        let owner = self.owners.owner()?;
        if is(DNSSEC_TYPES) {
            return Ok(Read::Header);
        }
        let (kind, redirects) = (data_type(kind), is(REDIRECTING_TYPES));
        match (owner, kind) {
            // Whatever else stands at the apex speaks of the zone, not of a trigger.
            (b"", kind) if kind.is_some() || redirects => Ok(Read::Header),
            (_, Some(_)) if self.file.is_cut() => Err(Reason::DataTooLarge),
            (_, Some(kind)) => {
                trigger::read(owner, intake.trusts_suffixes())?;
                let absolute = |token: &[u8]| {
                    let text = self.owners.absolute(token)?;
                    if text.is_empty() { Some(Name::ROOT) } else { Name::from_text(&text).ok() }
                };
                let rdata = kind.rdata(&data, &absolute).ok_or(Reason::Rdata)?;
                if rdata.len() > RECORD_SET_OCTETS_MAX {
                    return Err(Reason::DataTooLarge);
                }
                trigger(owner, Says::Record(Record { rtype: kind.number(), ttl_secs, rdata: rdata.into() }), intake)
            }
            _ if redirects => Err(Reason::UnsupportedAction),
            _ => Err(Reason::Syntax),
        }
    }
}

/// Takes an owner as a trigger (draft §4).
fn trigger(owner: &[u8], says: Says, intake: &mut Intake<'_>) -> Result<Read, Reason> {
    match trigger::read(owner, intake.trusts_suffixes())? {
        Trigger::Network(side, network) => intake.take_network(side, network, says, Until::NEVER)?,
        Trigger::Name(b"*") if intake.trusts_suffixes() => intake.take_root(says)?,
        Trigger::Name(b"*" | b"") => return Err(Reason::Root),
        Trigger::Name([b'*', b'.', parent @ ..]) => intake.take_as(parent, Verbs::below, says)?,
        Trigger::Name(name) => intake.take_as(name, Verbs::exact, says)?,
    }
    Ok(Read::Taken)
}

/// Reads `$ORIGIN` or `$TTL`; any other directive would bring in text from elsewhere.
fn directive(name: &[u8], value: Option<&[u8]>, owners: &mut Owners, ttl: &mut Ttl) -> Result<Read, Reason> {
    if name.eq_ignore_ascii_case(b"$ORIGIN") {
        owners.set_origin(value)?;
        return Ok(Read::Header);
    }
    let secs = value.filter(|_| name.eq_ignore_ascii_case(b"$TTL")).and_then(ttl_secs);
    ttl.default = Some(secs.ok_or(Reason::Directive)?);
    Ok(Read::Header)
}

/// A TTL in seconds, at most [`RECORD_TTL_SECS_MAX`]; `None` if it is none.
fn ttl_secs(token: &[u8]) -> Option<u32> {
    wire::ttl_secs(token).map(|secs| secs.min(RECORD_TTL_SECS_MAX))
}

/// What a CNAME asks for.
enum Action<'t> {
    /// This.
    Verb(Verb),
    /// To be answered, its target being as it stands in the file.
    Target(&'t [u8]),
}

/// What a CNAME asks for (draft §3).
///
/// # Errors
/// [`Reason::UnsupportedAction`] also for what is all but certainly a special target without its final dot: read to the letter it
/// would sink a name that was to pass.
fn action<'t>(target: &'t [u8], owner: &[u8]) -> Result<Action<'t>, Reason> {
    let Some(absolute) = target.strip_suffix(b".") else {
        let special =
            target == b"*" || target.eq_ignore_ascii_case(owner) || (is_special(target) && !target.contains(&b'.'));
        return if special { Err(Reason::UnsupportedAction) } else { Ok(Action::Target(target)) };
    };
    Ok(Action::Verb(match absolute {
        b"" => Verb::Nxdomain,
        b"*" => Verb::Nodata,
        name if name.eq_ignore_ascii_case(b"rpz-passthru") => Verb::Passthru,
        name if name.eq_ignore_ascii_case(b"rpz-drop") => Verb::Drop,
        name if name.eq_ignore_ascii_case(b"rpz-tcp-only") => Verb::TcpOnly,
        name if is_special(name) && !name.contains(&b'.') => return Err(Reason::UnsupportedAction),
        // Draft §3.3: the first way to write PASSTHRU was a CNAME to the trigger's own name.
        name if name.eq_ignore_ascii_case(owner) => Verb::Passthru,
        _ => return Ok(Action::Target(target)),
    }))
}

#[cfg(test)]
mod tests {
    use crate::feed::Terms;
    use std::collections::{BTreeMap, BTreeSet};
    use std::fmt::Write as _;

    use hickory_proto::rr::RData;
    use hickory_proto::serialize::binary::BinEncodable as _;
    use hickory_proto::serialize::txt::Parser;

    use super::super::tests::{entries, show_record};
    use super::super::{TextFormat, read_text};
    use crate::feed::Report;
    use crate::index::{RECORD_TTL_SECS_MAX, Record};

    /// Entries, and `used duplicate comment header refused`, and the reasons.
    fn read(text: &str) -> (Vec<String>, [u64; 5], Vec<&'static str>) {
        let (sorted, report) = read_text(text.as_bytes(), TextFormat::Rpz, &Terms::default()).unwrap();
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
            ("a.example.com CNAME garden.example.net.", Ok("=a.example.com 30 CNAME garden.example.net")),
            ("a.example.com 5 CNAME *.garden.example.net.", Ok("=a.example.com 5 CNAME *.garden.example.net")),
            ("a.example.com CNAME garden", Ok("=a.example.com")),
            ("a.example.com 1h A 192.0.2.1", Ok("=a.example.com 3600 A 192.0.2.1")),
            ("*.a.example.com IN 2w A 192.0.2.1", Ok("*.a.example.com 86400 A 192.0.2.1")),
            ("24.0.2.0.192.rpz-client-ip A 192.0.2.1", Ok("Client 192.0.2.0/24 30 A 192.0.2.1")),
            ("24.1.2.0.192.rpz-client-ip A 192.0.2.1", Err("network")),
            ("a.example.com A 192.0.2", Err("rdata")),
            ("a.example.com MX 10 mail", Err("rdata")),
            ("a.example.com CNAME a..b.", Err("rdata")),
            ("a.example.com TYPE5 \\# 1 00", Err("syntax")),
            ("country A 192.0.2", Err("rdata")),
            ("a.example.com TXT \"a ; b\"", Ok("=a.example.com 30 TXT 6")),
            ("a.example.com TYPE65280 \\# 0", Ok("=a.example.com 30 TYPE65280 0")),
            ("a.example.com CNAME rpz-tcp-only.", Ok("=a.example.com TcpOnly")),
            ("a.example.com CNAME rpz-new.", Err("unsupported-action")),
            ("a.example.com CNAME rpz-passthru", Err("unsupported-action")),
            ("a.example.com CNAME *", Err("unsupported-action")),
            ("a.example.com CNAME a.example.com", Err("unsupported-action")),
            ("a.example.com NS ns.example.net.", Err("unsupported-action")),
            ("a.example.com DNAME example.net.", Err("unsupported-action")),
            ("32.1.7.168.192.rpz-ip CNAME .", Ok("Answer 192.168.7.1/32 Nxdomain")),
            ("24.0.2.0.192.RPZ-client-ip CNAME rpz-passthru.", Ok("Client 192.0.2.0/24 Passthru")),
            ("32.zz.db8.2001.rpz-ip CNAME rpz-drop.", Ok("Answer 2001:db8::/32 Drop")),
            ("32.1.7.168.192.rpz-client-ip CNAME rpz-new.", Err("unsupported-action")),
            ("24.1.2.0.192.rpz-ip CNAME .", Err("network")),
            ("*.rpz-ip CNAME .", Err("network")),
            ("4.0.0.0.192.rpz-ip CNAME .", Err("wide-network")),
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
    fn a_trusted_feed_may_list_the_root_and_suffixes_and_every_address() {
        let text = "* CNAME .\n*.co.uk CNAME .\ncountry CNAME rpz-passthru.\n0.0.0.0.0.rpz-client-ip CNAME .\n0.zz.rpz-ip CNAME .\n";
        let (sorted, report) =
            read_text(text.as_bytes(), TextFormat::Rpz, &Terms { trust_suffixes: true, ..Terms::default() }).unwrap();
        assert_eq!(
            entries(&sorted),
            [
                "*. Nxdomain",
                "*.co.uk Nxdomain",
                "=country Passthru",
                "Client 0.0.0.0/0 Nxdomain",
                "Answer ::/0 Nxdomain"
            ]
        );
        assert!(report.balanced() && report.used == 5 && report.entries == 5);
    }

    /// What a zone is, its text, its entries, and `used duplicate comment header refused`.
    type Zone<'z> = (&'z str, &'z str, &'z [&'z str], [u64; 5]);

    /// Reads each zone and compares.
    fn check(zones: &[Zone<'_>]) {
        for (what, text, want, buckets) in zones {
            let (entries, got, _) = read(text);
            assert_eq!(
                (entries.iter().map(String::as_str).collect::<Vec<_>>(), got),
                (want.to_vec(), *buckets),
                "{what}"
            );
        }
    }

    #[test]
    fn whole_zones_and_where_their_lines_go() {
        check(&[
            (
                "a real header: the NS inherits the apex",
                "; t\n$TTL 30\n@ IN SOA rpz.x. host.x. 1 2 3 4 5\n NS localhost.\n\na.example.com CNAME .\n",
                &["=a.example.com Nxdomain"],
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
                "networks of both sides, relative to the zone as names are",
                "$ORIGIN z.\n@ SOA . . 1 2 3 4 5\n$ORIGIN rpz-ip.z.\n24.0.2.0.192 CNAME .\n24.0.2.0.192.rpz-ip.z. CNAME .\n\
                 24.0.2.0.192.rpz-client-ip.z. CNAME *.\n24.0.2.0.192.rpz-ip. CNAME .\n25.0.2.0.192 CNAME rpz-tcp-only.\n",
                &["Client 192.0.2.0/24 Nodata", "Answer 192.0.2.0/25 TcpOnly", "Answer 192.0.2.0/24 Nxdomain"],
                [3, 1, 0, 3, 1],
            ),
            (
                "as a server writes a zone out: the root first, then the zone",
                "$ORIGIN .\n$TTL 300\t; 5 minutes\nrpz.zone\t\tIN SOA\t. . (\n\t1\n\t2 3 4 5 )\n\t\tNS\t.\n$ORIGIN com.rpz.zone.\n\
                 a.example\tCNAME\t.\n\t\t\tRRSIG\tCNAME 8 2 300 (\n\t\tx y z )\n",
                &["=a.example.com Nxdomain"],
                [1, 0, 0, 9, 0],
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
        ]);
    }

    #[test]
    fn local_data_by_owner() {
        check(&[
            (
                "several records of one owner are one entry; what inherits a refused owner is refused",
                "a.example.com A 192.0.2.1\n AAAA ::1\n TXT \"x\"\nout.example. A 192.0.2.1\n AAAA ::1\n",
                &["=a.example.com 30 A 192.0.2.1, 30 TXT 2, 30 AAAA"],
                [3, 0, 0, 0, 2],
            ),
            (
                "records of one owner add up wherever they stand; the same again is a duplicate",
                "a.example.com A 192.0.2.2\nb.example.com A 192.0.2.2\n*.a.example.com A 192.0.2.3\na.example.com A 192.0.2.1\n\
                 A.example.com 99 A 192.0.2.2\n24.0.2.0.192.rpz-ip A 192.0.2.1\n A 192.0.2.2\n A 192.0.2.2\n",
                &[
                    "=a.example.com 30 A 192.0.2.1, 30 A 192.0.2.2 *. 30 A 192.0.2.3",
                    "=b.example.com 30 A 192.0.2.2",
                    "Answer 192.0.2.0/24 99 A 192.0.2.1, 99 A 192.0.2.2",
                ],
                [6, 2, 0, 0, 0],
            ),
            (
                "data beside an action, or beside a CNAME, is refused; PASSTHRU stands over all",
                "a.example.com CNAME .\n A 192.0.2.1\nb.example.com A 192.0.2.1\n CNAME .\n CNAME garden.\nc.example.com CNAME garden.\n\
                 c.example.com CNAME other.\nc.example.com CNAME Garden.\n TXT (\n x )\nd.example.com A 192.0.2.1\n CNAME rpz-passthru.\n",
                &[
                    "=a.example.com Nxdomain",
                    "=b.example.com 30 A 192.0.2.1",
                    "=c.example.com 30 CNAME garden",
                    "=d.example.com Passthru",
                ],
                [5, 0, 1, 0, 6],
            ),
            (
                "a TTL is the record's own, else $TTL's, else the last stated",
                "a.example.com A 192.0.2.1\nb.example.com 7 A 192.0.2.1\nc.example.com A 192.0.2.1\n$TTL 1m\nd.example.com A 192.0.2.1\n\
                 e.example.com 8 A 192.0.2.1\nf.example.com A 192.0.2.1\n",
                &[
                    "=a.example.com 30 A 192.0.2.1",
                    "=b.example.com 7 A 192.0.2.1",
                    "=c.example.com 7 A 192.0.2.1",
                    "=d.example.com 60 A 192.0.2.1",
                    "=e.example.com 8 A 192.0.2.1",
                    "=f.example.com 60 A 192.0.2.1",
                ],
                [6, 0, 0, 1, 0],
            ),
            (
                "names in data are below the origin; where that is not known, a CNAME's owner is listed",
                "a.example.com CNAME garden\n$ORIGIN z.\n@ SOA . . 1 2 3 4 5\nb.example.com CNAME garden\n$ORIGIN com.z.\nc.example CNAME garden\n\
                 d.example CNAME @\ne.example CNAME *.garden\nf.example CNAME garden.\n",
                &[
                    "=a.example.com",
                    "=b.example.com 30 CNAME garden.z",
                    "=c.example.com 30 CNAME garden.com.z",
                    "=d.example.com 30 CNAME com.z",
                    "=e.example.com 30 CNAME *.garden.com.z",
                    "=f.example.com 30 CNAME garden",
                ],
                [6, 0, 0, 3, 0],
            ),
        ]);
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
        let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for set in sets.values() {
            let owner = set.name().to_string().to_ascii_lowercase();
            let Some(owner) = owner.strip_suffix(".rpz.zone.") else { continue };
            let exact = if owner.starts_with("*.") { "" } else { "=" };
            for record in set.records_without_rrsigs() {
                let target = match &record.data {
                    RData::CNAME(target) => target.to_string().to_ascii_lowercase(),
                    _ => String::new(),
                };
                let says = match target.as_str() {
                    "." => "Nxdomain".to_owned(),
                    "*." => "Nodata".to_owned(),
                    "rpz-passthru." => "Passthru".to_owned(),
                    "rpz-drop." => "Drop".to_owned(),
                    own if own.strip_suffix('.') == Some(owner) => "Passthru".to_owned(),
                    _ => {
                        let (rtype, ttl_secs) = (record.record_type().into(), record.ttl.min(RECORD_TTL_SECS_MAX));
                        show_record(&Record { rtype, ttl_secs, rdata: record.data.to_bytes().unwrap().into() })
                    }
                };
                found.entry(format!("{exact}{owner}")).or_default().push(says);
            }
        }
        found.into_iter().map(|(owner, says)| format!("{owner} {}", says.join(", "))).collect()
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
