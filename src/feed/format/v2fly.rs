//! Lists of v2fly's domain-list-community, which V2Ray and its kin read: `domain:name` and a bare `name` are the name and everything below,
//! `full:name` the name alone.
//!
//! `keyword:` and `regexp:` match what no list of names can hold, `include:` brings in another list: they are refused. Attributes (`@ads`,
//! `&other`, and `:@ads` in exported lists) only choose parts of a list, and all of it is read. A comment is what begins with `#`, at the start
//! or behind white space.

use super::{Bucket, LineParser, Reason, without_comment};
use crate::feed::intake::Intake;
use crate::index::{Verb, Verbs};

/// The v2fly format.
pub(super) struct V2fly;

/// How rules begin.
const PREFIXES: [&[u8]; 5] = [b"domain:", b"full:", b"keyword:", b"regexp:", b"include:"];

/// Whether a line's first token begins as none but this format's do.
pub(in crate::feed) fn is_rule(token: &[u8]) -> bool {
    PREFIXES.iter().any(|prefix| token.strip_prefix(*prefix).is_some_and(|rest| !rest.is_empty()))
}

impl LineParser for V2fly {
    fn line(&mut self, text: &[u8], intake: &mut Intake<'_>) -> Bucket {
        let text = text.trim_ascii();
        if let [] | [b'#', ..] = text {
            return Bucket::Comment;
        }
        let mut tokens = without_comment(text).split(u8::is_ascii_whitespace).filter(|token| !token.is_empty());
        let rule = tokens.next().unwrap_or_default();
        let is_regexp = rule.starts_with(b"regexp:");
        if !is_regexp && !tokens.all(|token| matches!(token, [b'@' | b'&', _, ..])) {
            return Bucket::Refused(Reason::Syntax);
        }
        take(rule, intake).map_or_else(Bucket::Refused, |()| Bucket::Taken)
    }
}

/// Takes one rule.
fn take(rule: &[u8], intake: &mut Intake<'_>) -> Result<(), Reason> {
    let attributes = rule.windows(2).position(|pair| pair == b":@");
    let named = attributes.and_then(|at| rule.get(..at)).unwrap_or(rule);
    let colon = named.iter().position(|&octet| octet == b':');
    let (kind, name) = match colon.and_then(|at| named.split_at_checked(at)) {
        Some((kind, [_, name @ ..])) => (kind, name),
        _ => (&b"domain"[..], named),
    };
    let name = name.strip_suffix(b".").unwrap_or(name);
    match kind {
        b"domain" => intake.take(name, Verbs::subtree(Verb::Listed)),
        b"full" => intake.take(name, Verbs::exact(Verb::Listed)),
        b"keyword" => Err(Reason::Keyword),
        b"regexp" => Err(Reason::Regex),
        b"include" => Err(Reason::Directive),
        _ => intake.take(named, Verbs::subtree(Verb::Listed)),
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
            ("# full:example.com", "comment"),
            ("Example.com", "example.com"),
            ("example.com.", "example.com"),
            ("domain:example.com", "example.com"),
            ("full:example.com", "=example.com"),
            ("full:www.example.com. # why", "=www.example.com"),
            ("example.com @ads", "example.com"),
            ("example.com @ads @!cn # why", "example.com"),
            ("full:example.com @ads &other", "=example.com"),
            ("domain:example.com:@ads,@cn", "example.com"),
            ("full:example.com:@ads", "=example.com"),
            ("disçordapp.com", "xn--disordapp-s3a.com"),
            ("keyword:example", "refused keyword"),
            ("keyword:example @ads", "refused keyword"),
            (r"regexp:^x.*\.example\.com$", "refused regex"),
            (r"regexp:^(a|b c)\.example\.com$ @ads", "refused regex"),
            ("include:other-list", "refused directive"),
            ("include:other-list @ads", "refused directive"),
            ("full:", "refused root"),
            ("full:com", "refused tld"),
            ("domain:co.uk", "refused public-suffix"),
            ("full:1.2.3.4", "refused address"),
            ("example.com:80", "refused port"),
            ("https://example.com/", "refused url"),
            ("suffix:example.com", "refused character"),
            ("*.example.com", "refused wildcard"),
            (".example.com", "refused empty-label"),
            ("example.com example.org", "refused syntax"),
            ("example.com @", "refused syntax"),
            ("||example.com^", "refused character"),
        ] {
            assert_eq!(verdict(TextFormat::V2fly, line), want, "{line:?}");
        }
    }
}
