//! Adblock rules, as far as they speak of whole names: `||name^` lists the name and everything below, `@@||name^` takes it back.
//!
//! A rule that holds only for some page, path, kind of request or client is refused: a resolver sees none of these, and would sink the
//! name for everybody. Bare names and hosts lines are taken, as AdGuard's own filters do.

use super::hosts::{hosts_line, target};
use super::{Bucket, LineParser, Reason};
use crate::feed::intake::Intake;
use crate::index::{Verb, Verbs};

/// The adblock format.
pub(super) struct Adblock;

/// Separators of rules about page elements, scripts and HTML, and what a comment must not begin with.
const COSMETIC: [&[u8]; 7] = [b"##", b"#@#", b"#?#", b"#$#", b"#%#", b"#@?#", b"$$"];

impl LineParser for Adblock {
    fn line(&mut self, text: &[u8], intake: &mut Intake<'_>) -> Bucket {
        let text = text.trim_ascii();
        match text {
            [] | [b'!', ..] => return Bucket::Comment,
            [b'[', .., b']'] => return Bucket::Header,
            _ => {}
        }
        if is_cosmetic(text) {
            return Bucket::Refused(Reason::Cosmetic);
        }
        if text.first() == Some(&b'#') {
            return Bucket::Comment;
        }
        let (exception, rule) = text.strip_prefix(b"@@").map_or((false, text), |rule| (true, rule));
        if let Some(pattern) = rule.strip_prefix(b"||") {
            return named_rule(pattern, exception, intake).map_or_else(Bucket::Refused, |()| Bucket::Taken);
        }
        if rule.first() == Some(&b'/') {
            return Bucket::Refused(if is_regex(rule) { Reason::Regex } else { Reason::Path });
        }
        if exception {
            return Bucket::Refused(Reason::Syntax);
        }
        bare_line(text, intake)
    }
}

/// Whether the line is a rule about a page's elements.
fn is_cosmetic(text: &[u8]) -> bool {
    // A separator's first octet is rare in names, so most lines cost one pass.
    if !text.iter().any(|octet| matches!(octet, b'#' | b'$')) {
        return false;
    }
    COSMETIC.iter().any(|separator| text.windows(separator.len()).any(|window| window == *separator))
}

/// Whether a rule led by a slash is a regular expression: it ends in one too, modifiers aside.
fn is_regex(rule: &[u8]) -> bool {
    rule.len() > 1 && (rule.ends_with(b"/") || rule.windows(2).any(|window| window == b"/$"))
}

/// Reads what follows `||`.
fn named_rule(pattern: &[u8], exception: bool, intake: &mut Intake<'_>) -> Result<(), Reason> {
    let dollar = pattern.iter().position(|&octet| octet == b'$');
    let (pattern, modifiers) = match dollar.and_then(|at| pattern.split_at_checked(at)) {
        Some((pattern, [_, modifiers @ ..])) => (pattern, Some(modifiers)),
        _ => (pattern, None),
    };
    let verb = verb_of(exception, modifiers)?;
    let end = pattern.iter().position(|octet| matches!(octet, b'^' | b'/')).unwrap_or(pattern.len());
    let (name, tail) = pattern.split_at_checked(end).unwrap_or((pattern, &[]));
    match tail {
        b"^" | b"^|" => {}
        [] if name.contains(&b'*') => return Err(Reason::Wildcard),
        [] => return Err(Reason::Prefix),
        _ => return Err(Reason::Path),
    }
    // `||*.name^`: the separator `||` stands before a label, so at least one label comes before the name.
    match name.strip_prefix(b"*.") {
        Some(parent) => intake.take(parent, Verbs::below(verb)),
        None => intake.take(name, Verbs::subtree(verb)),
    }
}

/// What a rule with these modifiers does, if it holds for the whole name and every query.
///
/// `$all` is every kind of request; `$important` only ranks a rule against exceptions, and here an exception wins. `$badfilter` takes a
/// rule back. Whatever else narrows the rule (`$document`, `$popup`, `$third-party`, `$domain`, `$dnstype`, `$denyallow`, `$client` …).
fn verb_of(exception: bool, modifiers: Option<&[u8]>) -> Result<Verb, Reason> {
    let plain = if exception { Verb::Cancel } else { Verb::Listed };
    match modifiers {
        None => Ok(plain),
        Some(b"badfilter") if !exception => Ok(Verb::Cancel),
        Some(modifiers) => {
            let whole = modifiers.split(|&octet| octet == b',').all(|one| matches!(one, b"all" | b"important"));
            if whole { Ok(plain) } else { Err(Reason::Modifier) }
        }
    }
}

/// A line that is no rule: a bare name, or a hosts line; else the reason that describes it best.
fn bare_line(text: &[u8], intake: &mut Intake<'_>) -> Bucket {
    // A comment needs a space before it here, since `name#selector` could be a rule.
    let mut text = text;
    if let Some(at) = text.windows(2).position(|window| matches!(window, [b' ' | b'\t', b'#'])) {
        text = text.get(..at).unwrap_or_default().trim_ascii_end();
    }
    let first = text.split(u8::is_ascii_whitespace).next().unwrap_or_default();
    if first.len() < text.len() {
        return if target(first).is_some() { hosts_line(text, intake) } else { Bucket::Refused(Reason::Syntax) };
    }
    match text {
        // `|` anchors a URL; `.name`, `-name` and `name-` are fragments of one.
        [b'|' | b'.' | b'-' | b'_', ..] | [.., b'-' | b'_' | b'.' | b'^' | b'|'] => Bucket::Refused(Reason::Syntax),
        _ => intake.take(text, Verbs::subtree(Verb::Listed)).map_or_else(Bucket::Refused, |()| Bucket::Taken),
    }
}

#[cfg(test)]
mod tests {
    use super::super::TextFormat;
    use super::super::read_text;
    use super::super::tests::{entries, verdict};
    use crate::feed::Terms;

    #[test]
    fn line_by_line() {
        for (line, want) in [
            ("", "comment"),
            ("! Title: x", "comment"),
            ("# Title", "comment"),
            ("#", "comment"),
            ("[Adblock Plus 2.0]", "header"),
            ("||Example.com^", "example.com"),
            ("||example.com^|", "example.com"),
            ("||disçordapp.com^", "xn--disordapp-s3a.com"),
            ("@@||example.com^", "example.com Cancel"),
            ("||example.com^$important", "example.com"),
            ("||ru.com^$all", "ru.com"),
            ("@@||example.com^$important", "example.com Cancel"),
            ("||amazonaws.com^$badfilter", "amazonaws.com Cancel"),
            ("||*.example.com^", "*.example.com"),
            ("example.com", "example.com"),
            ("example.com # why", "example.com"),
            ("0.0.0.0 example.com", "example.com"),
            ("127.0.0.1 localhost", "refused boilerplate"),
            ("||top^$domain=~caitlin.top|~x.top", "refused modifier"),
            ("||example.com^$document", "refused modifier"),
            ("||example.com^$popup", "refused modifier"),
            ("||example.com^$third-party", "refused modifier"),
            ("||example.com^$all,domain=x.com", "refused modifier"),
            ("||example.com^$dnstype=A", "refused modifier"),
            ("||example.com^$denyallow=a.example.com", "refused modifier"),
            ("||example.com^$", "refused modifier"),
            ("||example.com^$important,badfilter", "refused modifier"),
            ("@@||example.com^$badfilter", "refused modifier"),
            ("@@||example.com^$document", "refused modifier"),
            (r"/^1\.10\.(3[01])/", "refused regex"),
            (r"@@/^x\.com$/$important", "refused regex"),
            ("/ads/banner.gif", "refused path"),
            ("site.com##+js(x)", "refused cosmetic"),
            ("##.ad", "refused cosmetic"),
            ("example.com#@#.ad", "refused cosmetic"),
            ("example.com$$script[x]", "refused cosmetic"),
            ("||rentry.co^frame", "refused path"),
            ("||rentry.co/frame", "refused path"),
            ("||rentry.co/frame^", "refused path"),
            ("||example.com^*x", "refused path"),
            ("||get-me-wow.", "refused prefix"),
            ("||example.com", "refused prefix"),
            ("||exam*.com^", "refused wildcard"),
            ("||exam*.com", "refused wildcard"),
            ("||example.com:8080^", "refused port"),
            ("||1.2.3.4^", "refused address"),
            ("||net.bw^", "refused public-suffix"),
            ("||com^", "refused tld"),
            ("||^", "refused root"),
            ("||.example.com^", "refused empty-label"),
            ("||example.com.^", "refused empty-label"),
            ("|https://example.com^", "refused syntax"),
            ("https://example.com/x", "refused url"),
            (".example.com", "refused syntax"),
            ("-ad.example.com", "refused syntax"),
            ("@@example.com", "refused syntax"),
            ("a.example.com b.example.com", "refused syntax"),
            ("example.com^", "refused syntax"),
            ("example.com/ads", "refused path"),
        ] {
            assert_eq!(verdict(TextFormat::Adblock, line), want, "{line:?}");
        }
    }

    #[test]
    fn an_exception_wins_over_its_own_feed_in_either_order() {
        for text in ["||example.com^\n@@||example.com^", "@@||example.com^\n||example.com^$important"] {
            let (sorted, report) = read_text(text.as_bytes(), TextFormat::Adblock, &Terms::default()).unwrap();
            assert_eq!(entries(&sorted), ["example.com Cancel"]);
            assert!(report.balanced());
        }
    }
}
