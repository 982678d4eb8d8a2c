//! dnscrypt-proxy's blocked names: `name`, `.name` and `*.name` are the name and everything below, `=name` the name alone.
//!
//! As dnscrypt-proxy reads them, `*name` is `name` too: its match ends at a label. Patterns (`ads.*`, `*word*`, `a*b.com`, `name[0-9]`, `a?.com`)
//! match what no list of names can hold, and a rule with `@schedule` holds for some hours alone: both are refused. A comment is what begins
//! with `#`, at the start or behind white space.

use super::{Bucket, LineParser, Reason, bare_name};
use crate::feed::intake::Intake;
use crate::index::{Verb, Verbs};

/// The dnscrypt-proxy format.
pub(super) struct Dnscrypt;

impl LineParser for Dnscrypt {
    fn line(&mut self, text: &[u8], intake: &mut Intake<'_>) -> Bucket {
        let text = text.trim_ascii();
        if let [] | [b'#', ..] = text {
            return Bucket::Comment;
        }
        let end = text.iter().position(u8::is_ascii_whitespace).unwrap_or(text.len());
        let (rule, rest) = text.split_at_checked(end).unwrap_or((text, &[]));
        let read = match rest.trim_ascii_start() {
            _ if is_scheduled(rule) => Err(Reason::Schedule),
            [b'@', _, ..] => Err(Reason::Schedule),
            [] | [b'#', ..] => take(rule, intake),
            _ => Err(Reason::Syntax),
        };
        read.map_or_else(Bucket::Refused, |()| Bucket::Taken)
    }
}

/// Whether a rule has its schedule without a space before it.
fn is_scheduled(rule: &[u8]) -> bool {
    rule.iter().skip(1).any(|&octet| octet == b'@')
}

/// Takes one rule.
fn take(rule: &[u8], intake: &mut Intake<'_>) -> Result<(), Reason> {
    let behind_first = rule.get(1..).unwrap_or_default();
    if behind_first.contains(&b'*') || rule.iter().any(|octet| matches!(octet, b'?' | b'[' | b']')) {
        return Err(Reason::Wildcard);
    }
    match rule {
        [b'=', exact @ ..] => intake.take(exact.strip_suffix(b".").unwrap_or(exact), Verbs::exact(Verb::Listed)),
        [b'*', b'.', ..] => intake.take(bare_name(rule), Verbs::subtree(Verb::Listed)),
        [b'*', name @ ..] if !name.is_empty() => intake.take(bare_name(name), Verbs::subtree(Verb::Listed)),
        _ => intake.take(bare_name(rule), Verbs::subtree(Verb::Listed)),
    }
}

#[cfg(test)]
mod tests {
    use super::super::TextFormat;
    use super::super::tests::verdict;

    #[test]
    fn line_by_line() {
        for (line, want) in [
            ("", "comment"),
            ("## example.com", "comment"),
            ("Example.com", "example.com"),
            ("example.com.", "example.com"),
            ("example.com  # why", "example.com"),
            ("*.example.com", "example.com"),
            (".example.com", "example.com"),
            ("*example.com", "example.com"),
            ("=example.com", "=example.com"),
            ("disçordapp.com", "xn--disordapp-s3a.com"),
            ("ads.*", "refused wildcard"),
            ("*sex*", "refused wildcard"),
            ("ads*.example*", "refused wildcard"),
            ("ads[0-9]*", "refused wildcard"),
            ("name[0-9].example.com", "refused wildcard"),
            ("[a-z0-9\\-_]*.example.com", "refused wildcard"),
            ("a?.example.com", "refused wildcard"),
            ("=a*.example.com", "refused wildcard"),
            ("*", "refused wildcard"),
            ("*.local", "refused boilerplate"),
            ("*.workgroup", "refused single-label"),
            ("*.com", "refused tld"),
            ("facebook.com @work", "refused schedule"),
            ("*.youtube.*  @time-to-sleep", "refused schedule"),
            ("facebook.com@work", "refused schedule"),
            ("=", "refused root"),
            (".", "refused root"),
            ("1.2.3.4", "refused address"),
            ("example.com example.org", "refused syntax"),
            ("0.0.0.0 example.com", "refused syntax"),
            ("example.com#x", "refused character"),
            ("; example.com", "refused syntax"),
            ("! example.com", "refused syntax"),
        ] {
            assert_eq!(verdict(TextFormat::Dnscrypt, line), want, "{line:?}");
        }
    }
}
