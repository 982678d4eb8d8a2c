//! One name a line: `name`, `.name` and `*.name` are the name and everything below, `=name` the name alone.
//!
//! Comments are whole lines led by `#`, `;` or `!`, and what follows a space and `#`. A `#` without a space is no comment:
//! `name##selector` is an adblock rule that must not sink `name`.

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
        let end = text.iter().position(u8::is_ascii_whitespace).unwrap_or(text.len());
        let (name, rest) = text.split_at_checked(end).unwrap_or((text, &[]));
        if !matches!(rest.trim_ascii_start(), [] | [b'#', ..]) {
            return Bucket::Refused(Reason::Syntax);
        }
        let taken = match name.strip_prefix(b"=") {
            Some(exact) => intake.take(exact.strip_suffix(b".").unwrap_or(exact), Verbs::exact(Verb::Listed)),
            None => intake.take(bare_name(name), Verbs::subtree(Verb::Listed)),
        };
        taken.map_or_else(Bucket::Refused, |()| Bucket::Taken)
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
            ("example.com##.ad", "refused character"),
            ("url s.ixiaa.com", "refused syntax"),
            ("0.0.0.0 example.com", "refused syntax"),
            ("example.com,example.org", "refused character"),
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
}
