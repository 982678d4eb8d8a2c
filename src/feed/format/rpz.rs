//! A response policy zone as a zone file (draft-vixie-dnsop-dns-rpz): QNAME triggers and their actions.
//!
//! An owner stands for itself alone and `*.owner` for what is below it. The zone's own name comes from the SOA's owner, or until then
//! from `$ORIGIN`; a file that names it nowhere is read relative to it, and an absolute owner is then outside. Records that serve the
//! zone (SOA, its NS, DNSSEC) are header. Local data counts as [`Verb::Listed`]. Costs a scan of the line and one copy of its tokens.

use hickory_proto::rr::RecordType;

use super::zone_file::{Step, ZoneFile};
use super::{Bucket, LineParser, Reason};
use crate::feed::intake::Intake;
use crate::index::{Verb, Verbs};

/// The last labels of triggers other than QNAME start with this (§4: `rpz-ip`, `rpz-client-ip`, `rpz-nsdname`, `rpz-nsip`).
const TRIGGER_PREFIX: &[u8] = b"rpz-";

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
        let kind = std::str::from_utf8(kind).map_err(|_| Reason::Syntax)?.to_ascii_uppercase();
        let kind: RecordType = kind.parse().map_err(|_| Reason::Syntax)?;
        if kind == RecordType::SOA {
            self.learn_apex(file.tokens().next().filter(|_| !file.indented()));
            return Ok(Read::Header);
        }
        self.owner_stands?;
        let at_apex = self.owner.is_empty();
        match kind {
            // Whatever else stands at the apex speaks of the zone, not of a trigger.
            _ if at_apex => Ok(Read::Header),
            kind if kind.is_dnssec() || kind == RecordType::DS => Ok(Read::Header),
            // §5.5: local data are ordinary records; a delegation or a DNAME would redirect more than the trigger.
            RecordType::NS | RecordType::Unknown(DNAME) => Err(Reason::UnsupportedAction),
            _ => self.trigger(Ok(Verb::Listed), intake),
        }
    }

    /// Takes the last owner as a QNAME trigger (§4.2).
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

/// DNAME (RFC 6672), which the record types in use here do not name.
const DNAME: u16 = 39;

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

/// What a CNAME asks for (§5).
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
        // §5.3: the first way to write PASSTHRU was a CNAME to the trigger's own name.
        name if name.eq_ignore_ascii_case(owner) => Ok(Verb::Passthru),
        _ => Ok(Verb::Listed),
    }
}
