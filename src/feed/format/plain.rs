//! One name a line, or many with commas between: `name`, `.name` and `*.name` are the name and everything below, `=name` the name alone.
//!
//! Comments are whole lines led by `#`, `;`, `!` or `//`, what follows one of these behind white space, and words behind `name#`. Nothing else
//! behind a `#` is a comment: `name##selector` is an adblock rule that must not sink `name`, nor may `name,name##selector`. What people write
//! so that nobody follows it (`name[.]example`, `hxxp://name.example/`) is read as what it was: a name, or of a URL that is nothing but a
//! host that host alone. A URL that anybody may follow is refused: it may as well be where the list comes from. Costs one pass more than the
//! name's own; of a line with commas, two.

use super::{Bucket, LineParser, Reason, bare_name, without_comment};
use crate::feed::indicator::take_refanged;
use crate::feed::intake::Intake;
use crate::feed::refang::refang;
use crate::index::{Verb, Verbs};

/// The plain format.
pub(super) struct Plain;

/// What a name ends at: white space, the comma, and what begins a comment or is in no name.
const ENDS: [bool; 256] = {
    let (octets, mut table, mut at) = (*b"\t\n\x0c\r ,#[({:", [false; 256], 0);
    while at < octets.len() {
        #[expect(clippy::indexing_slicing, reason = "an octet is always under 256, and this runs at compile time")]
        {
            table[octets[at] as usize] = true;
        }
        at += 1;
    }
    table
};

impl LineParser for Plain {
    fn line(&mut self, text: &[u8], intake: &mut Intake<'_>) -> Bucket {
        let text = text.trim_ascii();
        if let [] | [b'#' | b';' | b'!', ..] | [b'/', b'/', ..] = text {
            return Bucket::Comment;
        }
        let ends = |octet: &u8| ENDS.get(usize::from(*octet)).copied().unwrap_or_default();
        let end = text.iter().position(ends).unwrap_or(text.len());
        let (name, rest) = text.split_at_checked(end).unwrap_or((text, &[]));
        let read = match rest {
            [] => take(name, intake),
            [b'#', comment @ ..] if is_words(comment) => take(name, intake),
            [b'#' | b'[' | b'(' | b'{' | b':', ..] => return unusual(text, intake),
            _ => match without_comment(rest) {
                [] => take(name, intake),
                // The comma may stand behind white space.
                rest if rest.trim_ascii_start().starts_with(b",") => return comma_list(text, intake),
                _ => return unusual(text, intake),
            },
        };
        read.map_or_else(Bucket::Refused, |()| Bucket::Taken)
    }
}

/// Whether what stands behind `name#` is words, and no rule about a page's elements.
pub(in crate::feed) fn is_words(comment: &[u8]) -> bool {
    !comment.iter().any(|octet| b"#()[]{}<>*^$|@%~\\".contains(octet))
}

/// Reads a line that is not plainly a name: one that was made harmless, or one to be refused.
#[cold]
fn unusual(text: &[u8], intake: &mut Intake<'_>) -> Bucket {
    let text = without_comment(text).trim_ascii_end();
    if let Some(plain) = std::str::from_utf8(text).ok().and_then(refang) {
        return if plain.contains(',') { comma_list(plain.as_bytes(), intake) } else { refanged(&plain, intake) };
    }
    match text {
        _ if text.iter().any(u8::is_ascii_whitespace) => Bucket::Refused(Reason::Syntax),
        _ if text.contains(&b',') => comma_list(text, intake),
        _ => take(text, intake).map_or_else(Bucket::Refused, |()| Bucket::Taken),
    }
}

/// Takes what was made harmless.
fn refanged(plain: &str, intake: &mut Intake<'_>) -> Bucket {
    if plain.bytes().any(|octet| octet.is_ascii_whitespace()) {
        return Bucket::Refused(Reason::Syntax);
    }
    take_refanged(plain, intake).map_or_else(Bucket::Refused, |()| Bucket::Taken)
}

/// Takes one name.
fn take(name: &[u8], intake: &mut Intake<'_>) -> Result<(), Reason> {
    match name.strip_prefix(b"=") {
        Some(exact) => intake.take(exact.strip_suffix(b".").unwrap_or(exact), Verbs::exact(Verb::Listed)),
        None => intake.take(bare_name(name), Verbs::subtree(Verb::Listed)),
    }
}

/// Reads a line of names with commas between.
fn comma_list(text: &[u8], intake: &mut Intake<'_>) -> Bucket {
    let text = without_comment(text);
    if text.iter().any(|octet| b"#$|^\"'()[]{}<>;?&!@\\".contains(octet)) {
        return Bucket::Refused(Reason::Character);
    }
    let (mut taken, mut refused) = (false, None);
    for name in text.split(|&octet| octet == b',').map(<[u8]>::trim_ascii).filter(|name| !name.is_empty()) {
        match take(name, intake) {
            Ok(()) => taken = true,
            Err(reason) => refused = refused.or(Some(reason)),
        }
    }
    if taken { Bucket::Taken } else { Bucket::Refused(refused.unwrap_or(Reason::Syntax)) }
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
            (" \t", "comment"),
            ("# Title: x.com", "comment"),
            ("; x.com", "comment"),
            ("! x.com", "comment"),
            ("// x.com", "comment"),
            ("example.com", "example.com"),
            ("  Example.COM.\t", "example.com"),
            ("=example.com", "=example.com"),
            ("=example.com.", "=example.com"),
            (".id.google.ac", "id.google.ac"),
            ("*.2mdn.net", "2mdn.net"),
            ("178linux.com # seen", "178linux.com"),
            ("178linux.com\t#seen", "178linux.com"),
            ("disçordapp.com", "xn--disordapp-s3a.com"),
            ("example.com ; why", "example.com"),
            ("example.com\t! why", "example.com"),
            ("example.com // why", "example.com"),
            ("example.com#why", "example.com"),
            ("example.com#seen on 2026-01-01, twice", "example.com"),
            ("example.com#", "example.com"),
            ("example.com#div(ad)", "refused character"),
            ("example.com#why#not", "refused character"),
            ("g[.]listed[dot]example", "g.listed.example"),
            ("G(.)listed{DOT}example ; why", "g.listed.example"),
            ("=g[.]listed[.]example", "=g.listed.example"),
            ("a[.]example,b[.]example", "a.example b.example"),
            ("hxxp://f.listed[.]example", "=f.listed.example"),
            ("hXXps[:]//f[.]listed[.]example/", "=f.listed.example"),
            ("http[://]f.listed.example # seen", "=f.listed.example"),
            ("hxxp://f.listed[.]example/x.exe", "refused url"),
            ("hxxp://192[.]0[.]2[.]7/", "refused address"),
            ("192[.]0[.]2[.]7", "refused address"),
            ("g[.]listed[at]example", "refused character"),
            ("example.com,example.org", "example.com example.org"),
            ("example.com, =example.org ,*.example.net,", "example.com example.net =example.org"),
            ("example.com,example.org # two", "example.com example.org"),
            ("example.com,,bad..name,x/y,example.org", "example.com example.org"),
            (",", "refused syntax"),
            ("com,net", "refused tld"),
            ("2021-01-01,evil", "refused single-label"),
            ("example.com,example.org##.ad", "refused character"),
            ("example.com,example.org#@#.ad", "refused character"),
            ("example.com,example.org$$script", "refused character"),
            ("\"example.com\",\"example.org\"", "refused character"),
            ("||example.com^$script,third-party", "refused character"),
            ("/ads,example.com,(x)/", "refused character"),
            ("example.com##.ad", "refused character"),
            ("url s.ixiaa.com", "refused syntax"),
            ("0.0.0.0 example.com", "refused syntax"),
            ("||example.com^", "refused character"),
            ("address=/example.com/0.0.0.0", "refused character"),
            ("server=/0001.xin/114.114.114.114", "refused character"),
            ("local-zone: \"example.com\" always_nxdomain", "refused syntax"),
            ("[domain-name:value='example.com']", "refused character"),
            ("*.1.12.232.254", "refused address"),
            ("=*.example.com", "refused wildcard"),
            ("*.*.example.com", "refused wildcard"),
            ("exa*.example.com", "refused wildcard"),
            ("..example.com", "refused empty-label"),
            ("example.com..", "refused empty-label"),
            (".", "refused root"),
            ("*.", "refused root"),
            ("*", "refused wildcard"),
            ("=", "refused root"),
            (".abb", "refused tld"),
            ("*.co.uk", "refused public-suffix"),
            ("https://example.com/", "refused url"),
        ] {
            assert_eq!(verdict(TextFormat::Plain, line), want, "{line:?}");
        }
    }

    #[test]
    fn a_list_of_one_long_line_is_one_line_of_many_names() {
        let line: String = (0..50_000).map(|number| format!("n{number}.example,")).collect();
        let text = format!("{line}com,n7.example\n{line}\nlast.example");
        let (sorted, report) = read_text(text.as_bytes(), TextFormat::Plain, &Terms::default()).unwrap();
        assert!(report.balanced() && line.len() > 700_000);
        assert_eq!((report.lines, report.used, report.duplicate, report.names_refused), (3, 2, 1, 1));
        assert_eq!((sorted.len(), entries(&sorted)[0].as_str()), (50_001, "n0.example"));
    }
}
