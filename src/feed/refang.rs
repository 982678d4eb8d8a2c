//! [`refang`]: what people write so that nobody follows it by mistake (`name[.]example`, `hxxp://name.example`), read as what it was.
//!
//! Costs a pass over the text and a copy, so that it is asked only of text that is not plainly a name.

/// How a dot is written that nobody is to follow.
const DOTS: [&str; 6] = ["[.]", "(.)", "{.}", "[dot]", "(dot)", "{dot}"];
/// How `://` is.
const COLONS: [&str; 3] = ["[://]", "[:]//", "(:)//"];

/// Text as it was before it was made harmless ("defanged"), if it was. There is one reading: no name, address or URL has brackets in these
/// places, and no scheme is called `hxxp`.
pub(super) fn refang(text: &str) -> Option<String> {
    let starts = |text: &str, with: &str| text.get(..with.len()).is_some_and(|start| start.eq_ignore_ascii_case(with));
    let written = |rest: &str, all: &[&str]| all.iter().find(|one| starts(rest, one)).map(|one| one.len());
    let (mut plain, mut rest, mut changed) = (String::with_capacity(text.len()), text, false);
    while let Some(first) = rest.chars().next() {
        let (reads, length) = match (written(rest, &DOTS), written(rest, &COLONS)) {
            (Some(length), _) => (".", length),
            (None, Some(length)) => ("://", length),
            (None, None) => {
                plain.push(first);
                rest = rest.get(first.len_utf8()..)?;
                continue;
            }
        };
        changed = true;
        plain.push_str(reads);
        rest = rest.get(length..)?;
    }
    if ["hxxp://", "hxxps://"].iter().any(|scheme| starts(&plain, scheme)) {
        plain.replace_range(..4, "http");
        changed = true;
    }
    changed.then_some(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_made_harmless_reads_one_way() {
        for (text, want) in [
            ("g[.]listed[dot]example", Some("g.listed.example")),
            ("g(DOT)listed{.}example", Some("g.listed.example")),
            ("hxxp://g.example/x", Some("http://g.example/x")),
            ("hXXps[://]g[.]example", Some("https://g.example")),
            ("http[:]//g.example", Some("http://g.example")),
            ("ftp(:)//g.example", Some("ftp://g.example")),
            ("192[.]0.2[.]1", Some("192.0.2.1")),
            ("ö[.]example", Some("ö.example")),
            ("g.example", None),
            ("hxxpress.example", None),
            ("http://g.example", None),
            ("g[at]example", None),
            ("g[.example", None),
            ("", None),
        ] {
            assert_eq!(refang(text).as_deref(), want, "{text}");
        }
    }
}
