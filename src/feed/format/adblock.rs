//! Adblock rules, as far as they speak of whole names: `||name^` lists the name and everything below, `|name^` and `|name|` the host alone;
//! behind `@@` they take it back.
//!
//! A rule without its end, `||name`, is for every name that begins so. Of a whole name the name and everything below are taken, which is less;
//! of anything else it is refused. An exception is read wider than a block, so that it holds: `@@name` is `@@||name^`.
//!
//! A rule that holds only for some page, path, kind of request or client is refused: a resolver sees none of these, and would sink the
//! name for everybody. `$important`, `$badfilter` and `$denyallow` are honoured as AdGuard's DNS filtering means them ([`overrule`]); `$all`
//! adds nothing. `$dnstype` could be honoured by a resolver, but an entry here is for all types: such a rule is refused and counted by itself.
//! Bare names and hosts lines are taken, as AdGuard's own filters do; a `$badfilter` that disables `||name^` disables them too, and
//! `||name^$all`, for entries do not tell them apart, nor `||name^` beside `|name^` from `||name^` alone.
//!
//! [`overrule`]: super::overrule

use super::hosts::{hosts_line, target};
use super::overrule::{Overrules, Rule, Scope};
use super::{Bucket, LineParser, Reason, without_comment};
use crate::feed::Report;
use crate::feed::door::Door;
use crate::feed::intake::Intake;
use crate::index::{Sorted, Verb, Verbs};

/// The adblock format.
#[derive(Default)]
pub(super) struct Adblock {
    /// Rules that are not plain blocks.
    overrules: Overrules,
}

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
        // No rule but a regular expression has white space in it.
        let rule = if rule.first() == Some(&b'/') { rule } else { without_comment(rule) };
        let (pattern, host_alone) = match rule {
            [b'|', b'|', pattern @ ..] => (pattern, false),
            [b'|', pattern @ ..] => (pattern, true),
            [b'/', ..] => return Bucket::Refused(if is_regex(rule) { Reason::Regex } else { Reason::Path }),
            // Anywhere in a URL, the host above all.
            pattern if exception => (pattern, false),
            _ => return bare_line(rule, intake),
        };
        self.named_rule(pattern, host_alone, exception, intake).unwrap_or_else(Bucket::Refused)
    }

    fn settle(self, sorted: Sorted, report: Report, door: Door<'_>) -> (Sorted, Report) {
        self.overrules.settle(sorted, report, door)
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

impl Adblock {
    /// Reads what follows `||`, or `|` if `host_alone`.
    fn named_rule(
        &mut self,
        pattern: &[u8],
        host_alone: bool,
        exception: bool,
        intake: &mut Intake<'_>,
    ) -> Result<Bucket, Reason> {
        let dollar = pattern.iter().position(|&octet| octet == b'$');
        let (pattern, modifiers) = match dollar.and_then(|at| pattern.split_at_checked(at)) {
            Some((pattern, [_, modifiers @ ..])) => (pattern, Modifiers::read(modifiers)),
            _ => (pattern, Modifiers::default()),
        };
        let Modifiers { important, disables, refused, denyallow } = modifiers;
        if let (Some(reason), false) = (refused, disables) {
            return Err(reason);
        }
        let (name, has_end) = whole_name(pattern)?;
        // `||*.name^`: the separator `||` stands before a label, so at least one label comes before the name.
        let below = if host_alone { None } else { name.strip_prefix(b"*.") };
        let (place, scope): (fn(Verb) -> Verbs, _) = match below {
            _ if host_alone => (Verbs::exact, Scope::EXACT),
            Some(_) => (Verbs::below, Scope::BELOW),
            None => (Verbs::subtree, Scope::SUBTREE),
        };
        let name = below.unwrap_or(name);
        if !has_end && !may_be_whole(name) {
            return Err(if name.contains(&b'*') { Reason::Wildcard } else { Reason::Prefix });
        }
        if !exception && !important && !disables && denyallow.is_none() {
            return intake.take(name, place(Verb::Listed)).map(|()| Bucket::Taken);
        }
        let verb = if exception { Verb::Cancel } else { Verb::Listed };
        // Refused if it would sink what is protected but for `$denyallow`: as a plain block is, whatever exceptions stand beside it.
        let key = if disables { intake.key_of_any(name)? } else { intake.key(name, place(verb))? };
        if refused.is_some() {
            // What it disables was refused, too.
            return Ok(Bucket::Header);
        }
        let rule = Rule { key, scope, exception, important, holes: holes(denyallow, intake)? };
        if disables {
            return self.overrules.disable(rule).map(|()| Bucket::Header);
        }
        self.overrules.add(rule).map(|()| Bucket::Taken)
    }
}

/// The name of a rule without what anchors its end, and whether there was such: `^`, which stands for the end of a host too, or `|`.
fn whole_name(pattern: &[u8]) -> Result<(&[u8], bool), Reason> {
    if pattern.windows(3).any(|window| window == b"://") {
        return Err(Reason::Url);
    }
    let end = pattern.iter().position(|octet| matches!(octet, b'^' | b'/' | b'|')).unwrap_or(pattern.len());
    match pattern.split_at_checked(end).unwrap_or((pattern, &[])) {
        (name, b"^" | b"^|") => Ok((name, true)),
        (name, b"" | b"|") => Ok((name, false)),
        _ => Err(Reason::Path),
    }
}

/// Whether a name that has no end may be whole: it has a dot, and ends as names do.
fn may_be_whole(name: &[u8]) -> bool {
    name.contains(&b'.') && !name.contains(&b'*') && !matches!(name, [.., b'.' | b'-' | b'_'])
}

/// A rule's modifiers.
#[derive(Default)]
struct Modifiers<'t> {
    /// `$important`.
    important: bool,
    /// `$badfilter`.
    disables: bool,
    /// Why a rule with these holds for some queries alone: `$document`, `$popup`, `$third-party`, `$domain`, `$client` …
    refused: Option<Reason>,
    /// The value of `$denyallow`.
    denyallow: Option<&'t [u8]>,
}

impl<'t> Modifiers<'t> {
    /// Reads what follows `$`.
    fn read(text: &'t [u8]) -> Self {
        let mut modifiers = Self::default();
        for one in text.split(|&octet| octet == b',') {
            match (one, one.strip_prefix(b"denyallow=")) {
                (b"all", _) => {}
                (b"important", _) => modifiers.important = true,
                (b"badfilter", _) => modifiers.disables = true,
                (_, Some(names)) if modifiers.denyallow.is_none() => modifiers.denyallow = Some(names),
                _ if one.starts_with(b"dnstype=") => {
                    modifiers.refused = modifiers.refused.or(Some(Reason::RecordType));
                }
                _ => modifiers.refused = Some(Reason::Modifier),
            }
        }
        modifiers
    }
}

/// The keys of the names that `$denyallow` leaves out. One that is no name would leave out what cannot be known.
fn holes(denyallow: Option<&[u8]>, intake: &mut Intake<'_>) -> Result<Vec<Box<[u8]>>, Reason> {
    let names = denyallow.into_iter().flat_map(|names| names.split(|&octet| octet == b'|'));
    let mut keys =
        names.map(|name| intake.key_of_any(name).map_err(|_| Reason::Modifier)).collect::<Result<Vec<_>, _>>()?;
    keys.sort_unstable();
    keys.dedup();
    Ok(keys)
}

/// A line that is no rule: a bare name, or a hosts line; else the reason that describes it best.
fn bare_line(text: &[u8], intake: &mut Intake<'_>) -> Bucket {
    let text = text.trim_ascii_end();
    let first = text.split(u8::is_ascii_whitespace).next().unwrap_or_default();
    if first.len() < text.len() {
        return if target(first).is_some() { hosts_line(text, intake) } else { Bucket::Refused(Reason::Syntax) };
    }
    match text {
        // `.name`, `-name` and `name-` are fragments of a URL.
        [b'.' | b'-' | b'_', ..] | [.., b'-' | b'_' | b'.' | b'^' | b'|'] => Bucket::Refused(Reason::Syntax),
        _ => intake.take(text, Verbs::subtree(Verb::Listed)).map_or_else(Bucket::Refused, |()| Bucket::Taken),
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
            ("||amazonaws.com^$badfilter", "header"),
            ("||example.com^$important,badfilter", "header"),
            ("||example.com^$popup,badfilter", "header"),
            ("@@||example.com^$badfilter", "header"),
            ("||example.com^$denyallow=a.example.com", "example.com a.example.com Cancel"),
            ("||example.com^$denyallow=com|net,all", "example.com"),
            ("||*.example.com^", "*.example.com"),
            ("example.com", "example.com"),
            ("example.com # why", "example.com"),
            ("0.0.0.0 example.com", "example.com"),
            ("0 example.com", "example.com"),
            ("127.1 example.com", "example.com"),
            ("||example.com^ # why", "example.com"),
            ("||example.com^$important\t#why", "example.com"),
            ("example.com ; why", "example.com"),
            ("example.com#why", "refused character"),
            ("|single.example|", "=single.example"),
            ("|single.example^", "=single.example"),
            ("|single.example^|", "=single.example"),
            ("|single.example", "=single.example"),
            ("|single.example^$important", "=single.example"),
            ("|single.example^$popup", "refused modifier"),
            ("|single.example/x|", "refused path"),
            ("||nocaret.example", "nocaret.example"),
            ("||nocaret.example|", "nocaret.example"),
            ("||nocaret.example$important", "nocaret.example"),
            ("||*.nocaret.example", "*.nocaret.example"),
            ("@@|www.example.com|", "=www.example.com Cancel"),
            ("@@|www.example.com^", "=www.example.com Cancel"),
            ("@@||free.example.com", "free.example.com Cancel"),
            ("@@free.example.com", "free.example.com Cancel"),
            ("@@free.example.com^", "free.example.com Cancel"),
            ("@@free.example.com/x", "refused path"),
            ("@@||free", "refused prefix"),
            ("||g[.]listed.example^", "refused defanged"),
            ("g[.]listed.example", "refused defanged"),
            ("127.0.0.1 localhost", "refused boilerplate"),
            ("||top^$domain=~caitlin.top|~x.top", "refused modifier"),
            ("||example.com^$document", "refused modifier"),
            ("||example.com^$popup", "refused modifier"),
            ("||example.com^$third-party", "refused modifier"),
            ("||example.com^$all,domain=x.com", "refused modifier"),
            ("||example.com^$dnstype=A", "refused dnstype"),
            ("||example.com^$dnstype=~AAAA,important", "refused dnstype"),
            ("||example.com^$dnstype=A,client=x", "refused modifier"),
            ("||example.com^$dnsrewrite=1.2.3.4", "refused modifier"),
            ("||example.com^$denyallow=", "refused modifier"),
            ("||example.com^$denyallow=~a.example.com", "refused modifier"),
            ("||example.com^$denyallow=a*.example.com", "refused modifier"),
            ("*$denyallow=com|net", "refused wildcard"),
            ("||example.com^$", "refused modifier"),
            ("||exam*.com^$badfilter", "refused wildcard"),
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
            ("||ads", "refused prefix"),
            ("||ads.exam-", "refused prefix"),
            ("||exam*.com^", "refused wildcard"),
            ("||exam*.com", "refused wildcard"),
            ("||example.com:8080^", "refused port"),
            ("||1.2.3.4^", "refused address"),
            ("||net.bw^", "refused public-suffix"),
            ("||com^", "refused tld"),
            ("||^", "refused root"),
            ("||.example.com^", "refused empty-label"),
            ("||example.com.^", "refused empty-label"),
            ("|https://example.com^", "refused url"),
            ("https://example.com/x", "refused url"),
            (".example.com", "refused syntax"),
            ("-ad.example.com", "refused syntax"),
            ("a.example.com b.example.com", "refused syntax"),
            ("example.com^", "refused syntax"),
            ("example.com/ads", "refused path"),
        ] {
            assert_eq!(verdict(TextFormat::Adblock, line), want, "{line:?}");
        }
    }
}
