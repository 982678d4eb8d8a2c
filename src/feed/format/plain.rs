//! One name a line, or many with commas between: `name`, `.name` and `*.name` are the name and everything below, `=name` the name alone.
//!
//! Comments are whole lines led by `#`, `;` or `!`, and what follows a space and `#`. A `#` without a space is no comment:
//! `name##selector` is an adblock rule that must not sink `name`, nor may `name,name##selector`. Costs one pass more than the name's own;
//! of a line with commas, two.

use super::{Bucket, LineParser, Reason, bare_name};
use crate::feed::intake::Intake;
use crate::index::{Verb, Verbs};

/// The plain format.
pub(super) struct Plain;

impl LineParser for Plain {
    fn line(&mut self, text: &[u8], intake: &mut Intake<'_>) -> Bucket {
        let text = text.trim_ascii();
        if let [] | [b'#' | b';' | b'!', ..] = text {
            return Bucket::Comment;
        }
        // One test an octet: white space and the comma are all below 64.
        let ends = |octet: &u8| matches!(octet, b'\t' | b'\n' | b'\x0c' | b'\r' | b' ' | b',');
        let end = text.iter().position(ends).unwrap_or(text.len());
        let (name, rest) = text.split_at_checked(end).unwrap_or((text, &[]));
        match rest.trim_ascii_start() {
            [] | [b'#', ..] => take(name, intake).map_or_else(Bucket::Refused, |()| Bucket::Taken),
            [b',', ..] => comma_list(text, intake),
            _ => Bucket::Refused(Reason::Syntax),
        }
    }
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
    let comment = text.windows(2).position(|pair| matches!(pair, [b' ' | b'\t', b'#']));
    let text = comment.and_then(|at| text.get(..at)).unwrap_or(text);
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
            ("example.com", "example.com"),
            ("  Example.COM.\t", "example.com"),
            ("=example.com", "=example.com"),
            ("=example.com.", "=example.com"),
            (".id.google.ac", "id.google.ac"),
            ("*.2mdn.net", "2mdn.net"),
            ("178linux.com # seen", "178linux.com"),
            ("178linux.com\t#seen", "178linux.com"),
            ("disçordapp.com", "xn--disordapp-s3a.com"),
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
