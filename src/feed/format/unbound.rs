//! Unbound's configuration used as a list: `local-zone: "name" type`, and `local-data: "name A 0.0.0.0"`.
//!
//! A zone of a type that answers for all of its names lists the name and everything below; one that has them resolved (`transparent` and its
//! kin) is refused. What it would answer with is the feed's action, not the type: `always_nxdomain` and `always_null` are both just listed.
//! Data with a null or loopback address list that name alone, as Unbound answers without a zone around it; any other data are refused.
//! Other settings are header (unbound.conf(5)). Costs one split of the line.

use super::hosts::{Target, target};
use super::{Bucket, LineParser, Reason};
use crate::feed::intake::Intake;
use crate::index::{Verb, Verbs};

/// The Unbound format.
pub(super) struct Unbound;

/// Types of zones that answer for every name of theirs, local data aside.
const BLOCKING: [&[u8]; 11] = [
    b"always_deny",
    b"always_nodata",
    b"always_null",
    b"always_nxdomain",
    b"always_refuse",
    b"deny",
    b"inform_deny",
    b"inform_redirect",
    b"redirect",
    b"refuse",
    b"static",
];
/// Types of zones whose names are resolved.
const RESOLVING: [&[u8]; 6] =
    [b"always_transparent", b"inform", b"noview", b"transparent", b"truncate", b"typetransparent"];

impl LineParser for Unbound {
    fn line(&mut self, text: &[u8], intake: &mut Intake<'_>) -> Bucket {
        let mut tokens = Tokens { rest: text };
        let (mut header, mut taken, mut refused) = (false, false, None);
        while let Some(keyword) = tokens.next() {
            match statement(keyword, &mut tokens, intake) {
                Ok(Read::Taken) => taken = true,
                Ok(Read::Header) => header = true,
                Err(reason) => refused = refused.or(Some(reason)),
            }
        }
        match refused {
            _ if taken => Bucket::Taken,
            Some(reason) => Bucket::Refused(reason),
            None if header => Bucket::Header,
            None => Bucket::Comment,
        }
    }
}

/// What a good statement was.
enum Read {
    /// It lists no name.
    Header,
    /// Its name was taken.
    Taken,
}

/// Reads one statement, its keyword first.
fn statement(keyword: &[u8], tokens: &mut Tokens<'_>, intake: &mut Intake<'_>) -> Result<Read, Reason> {
    match keyword {
        b"local-zone:" => {
            let (name, kind) = (tokens.next().ok_or(Reason::Syntax)?, tokens.next().ok_or(Reason::Syntax)?);
            match kind.to_ascii_lowercase().as_slice() {
                kind if BLOCKING.contains(&kind) => intake.take(undotted(name), Verbs::subtree(Verb::Listed))?,
                kind if RESOLVING.contains(&kind) => return Err(Reason::Forwarding),
                b"block_a" => return Err(Reason::RecordType),
                // It takes back a default of Unbound's own.
                b"nodefault" => return Ok(Read::Header),
                _ => return Err(Reason::Syntax),
            }
            Ok(Read::Taken)
        }
        b"local-data:" => {
            data(tokens.next().ok_or(Reason::Syntax)?, intake)?;
            Ok(Read::Taken)
        }
        b"include:" | b"include-toplevel:" => {
            tokens.next();
            Err(Reason::Directive)
        }
        [word @ .., b':'] if !word.is_empty() && word.iter().all(is_of_keyword) => {
            // Its values, if any, up to the next keyword.
            while tokens.clone().next().is_some_and(|token| !matches!(token, [.., b':'])) {
                tokens.next();
            }
            Ok(Read::Header)
        }
        _ => {
            tokens.rest = &[];
            Err(Reason::Syntax)
        }
    }
}

/// Whether a keyword may have this octet.
const fn is_of_keyword(octet: &u8) -> bool {
    matches!(octet, b'a'..=b'z' | b'0'..=b'9' | b'-')
}

/// Reads local data: a record as in a zone file, its name absolute.
fn data(record: &[u8], intake: &mut Intake<'_>) -> Result<(), Reason> {
    let mut tokens = record.split(u8::is_ascii_whitespace).filter(|token| !token.is_empty());
    let name = tokens.next().ok_or(Reason::Syntax)?;
    let is_class_or_ttl = |token: &&[u8]| token.eq_ignore_ascii_case(b"IN") || token.iter().all(u8::is_ascii_digit);
    let mut tokens = tokens.skip_while(is_class_or_ttl);
    let (kind, value) = (tokens.next().ok_or(Reason::Syntax)?, tokens.next().ok_or(Reason::Syntax)?);
    if !kind.eq_ignore_ascii_case(b"A") && !kind.eq_ignore_ascii_case(b"AAAA") {
        return Err(Reason::Mapping);
    }
    match target(value) {
        Some(Target::Nowhere) => intake.take(undotted(name), Verbs::exact(Verb::Listed)),
        Some(Target::Somewhere) => Err(Reason::Mapping),
        None => Err(Reason::Syntax),
    }
}

/// A name without its final dot.
fn undotted(name: &[u8]) -> &[u8] {
    name.strip_suffix(b".").unwrap_or(name)
}

/// Words and quoted strings of a line, up to its comment.
#[derive(Clone)]
struct Tokens<'t> {
    /// What was not read yet.
    rest: &'t [u8],
}

impl<'t> Tokens<'t> {
    /// The next one, without its quotes; a string that does not end goes to the line's end.
    fn next(&mut self) -> Option<&'t [u8]> {
        self.rest = self.rest.trim_ascii_start();
        let (token, rest) = match self.rest {
            [] | [b'#', ..] => return None,
            [quote @ (b'"' | b'\''), rest @ ..] => {
                let end = rest.iter().position(|octet| octet == quote).unwrap_or(rest.len());
                let (token, rest) = rest.split_at_checked(end)?;
                (token, rest.get(1..).unwrap_or_default())
            }
            rest => {
                let ends = |octet: &u8| octet.is_ascii_whitespace() || matches!(octet, b'"' | b'\'' | b'#');
                rest.split_at_checked(rest.iter().position(ends).unwrap_or(rest.len()))?
            }
        };
        self.rest = rest;
        Some(token)
    }
}

#[cfg(test)]
mod tests {
    use super::super::TextFormat;
    use super::super::tests::{entries, verdict};
    use crate::feed::Terms;
    use crate::feed::format::read_text;

    #[test]
    fn line_by_line() {
        for (line, want) in [
            ("", "comment"),
            ("  # local-zone: \"example.com\" refuse", "comment"),
            ("server:", "header"),
            ("    server: # all of it", "header"),
            ("local-zone: \"example.com\" always_nxdomain", "example.com"),
            ("\tlocal-zone: \"Example.com.\" always_null # why", "example.com"),
            ("local-zone: 'example.com' refuse", "example.com"),
            ("local-zone: example.com static", "example.com"),
            ("local-zone:\"example.com\" redirect", "example.com"),
            ("local-zone: \"example.com\" \"deny\"", "example.com"),
            ("local-zone: \"example.com\" always_refuse", "example.com"),
            ("local-zone: \"example.com\" always_nodata", "example.com"),
            ("local-zone: \"example.com\" always_deny", "example.com"),
            ("local-zone: \"example.com\" inform_deny", "example.com"),
            ("local-zone: \"example.com\" inform_redirect", "example.com"),
            ("local-zone: \"disçordapp.com\" static", "xn--disordapp-s3a.com"),
            ("local-zone: \"example.com\" transparent", "refused forwarding"),
            ("local-zone: \"example.com\" always_transparent", "refused forwarding"),
            ("local-zone: \"example.com\" typetransparent", "refused forwarding"),
            ("local-zone: \"example.com\" inform", "refused forwarding"),
            ("local-zone: \"example.com\" block_a", "refused dnstype"),
            ("local-zone: \"10.in-addr.arpa\" nodefault", "header"),
            ("local-zone: \"example.com\" blocked", "refused syntax"),
            ("local-zone: \"example.com\"", "refused syntax"),
            ("local-zone:", "refused syntax"),
            ("local-zone: \"com\" static", "refused tld"),
            ("local-zone: \".\" static", "refused root"),
            ("local-zone: \"1.2.3.4\" static", "refused address"),
            ("local-zone: \"localhost.\" redirect", "refused boilerplate"),
            ("local-zone: \"exa mple.com\" static", "refused character"),
            ("local-zone: \"example.com refuse", "refused syntax"),
            ("local-data: \"example.com A 0.0.0.0\"", "=example.com"),
            ("local-data: 'example.com. 3600 IN AAAA ::'", "=example.com"),
            ("local-data: \"example.com IN A 127.0.0.1\"", "=example.com"),
            ("local-data: \"example.com A 192.0.2.7\"", "refused mapping"),
            ("local-data: 'example.com TXT \"x\"'", "refused mapping"),
            ("local-data: \"example.com CNAME example.org.\"", "refused mapping"),
            ("local-data: \"example.com A\"", "refused syntax"),
            ("local-data: example.com A 0.0.0.0", "refused syntax"),
            ("local-zone: \"a.example\" redirect local-data: \"a.example A 192.0.2.7\"", "a.example"),
            ("local-data-ptr: \"192.0.2.7 example.com\"", "header"),
            ("access-control: 192.0.2.0/24 allow", "header"),
            ("include: \"/etc/more.conf\"", "refused directive"),
            ("example.com", "refused syntax"),
            ("https://example.com/", "refused syntax"),
            ("address=/example.com/", "refused syntax"),
        ] {
            assert_eq!(verdict(TextFormat::Unbound, line), want, "{line:?}");
        }
    }

    #[test]
    fn data_fold_into_their_zone() {
        let text = "server:\nlocal-zone: \"a.example.com\" redirect\nlocal-data: \"a.example.com A 0.0.0.0\"\n\
                    local-data: \"b.example.com AAAA ::\"\nlocal-zone: \"b.example.com\" static\n";
        let (sorted, report) = read_text(text.as_bytes(), TextFormat::Unbound, &Terms::default()).unwrap();
        assert!(report.balanced());
        assert_eq!(entries(&sorted), ["a.example.com", "b.example.com"]);
        assert_eq!((report.header, report.used, report.duplicate), (1, 3, 1));
    }
}
