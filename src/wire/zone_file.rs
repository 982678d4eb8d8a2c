//! [`ZoneFile`]: the lexical half of a zone file (RFC 1035 §5.1): physical lines in, records of tokens out.
//!
//! Knows comments, quoted strings, escapes and parentheses; knows nothing of names and types. Keeps one record at most, copies each
//! token once.

/// The most physical lines one record may span: past it a parenthesis was forgotten, and the rest of the file must not vanish in it.
/// A signed zone's longest records take some ten (a guess, doubled twice).
const RECORD_LINES_MAX: usize = 64;
/// The most tokens kept of a record: data of the most octets that records are taken of, as hexadecimal digits in words of eight.
const RECORD_TOKENS_MAX: usize = 1024;
/// The most octets kept of a record's tokens: the same data as `\DDD` escapes.
const RECORD_TEXT_OCTETS_MAX: usize = 16_384;

/// Where a line left the record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// No token at all.
    Blank,
    /// A parenthesis is open: the record goes on.
    Open,
    /// The record is whole.
    Record,
}

/// A zone file's tokens, a record at a time.
#[derive(Default)]
pub struct ZoneFile {
    /// The kept tokens' octets, end to end.
    text: Vec<u8>,
    /// Where each kept token ends in `text`.
    ends: Vec<usize>,
    /// Parentheses open.
    depth: usize,
    /// Physical lines of the record so far.
    lines: usize,
    /// Whether the record began with white space: its owner is the last one's.
    indented: bool,
    /// Whether there were more tokens than are kept.
    cut: bool,
}

impl ZoneFile {
    /// Reads one physical line. `None`: a quote or a parenthesis has no other, or the record is too long; it is forgotten.
    pub fn line(&mut self, line: &[u8]) -> Option<Step> {
        if self.depth == 0 {
            self.text.clear();
            self.ends.clear();
            self.lines = 0;
            self.cut = false;
            self.indented = matches!(line, [b' ' | b'\t', ..]);
        }
        self.lines += 1;
        if self.scan(line).is_none() || (self.depth > 0 && self.lines >= RECORD_LINES_MAX) {
            self.abandon();
            return None;
        }
        Some(match (self.depth, self.ends.is_empty()) {
            (1.., _) => Step::Open,
            (0, true) => Step::Blank,
            (0, false) => Step::Record,
        })
    }

    /// Forgets the record at hand.
    pub fn abandon(&mut self) {
        *self = Self { text: std::mem::take(&mut self.text), ends: std::mem::take(&mut self.ends), ..Self::default() };
        self.text.clear();
        self.ends.clear();
    }

    /// Whether a parenthesis is open.
    #[must_use]
    pub const fn is_open(&self) -> bool {
        self.depth > 0
    }

    /// Whether the record's owner is the last one's.
    #[must_use]
    pub const fn indented(&self) -> bool {
        self.indented
    }

    /// Whether the record has more tokens than [`tokens`](Self::tokens) tells.
    #[must_use]
    pub const fn is_cut(&self) -> bool {
        self.cut
    }

    /// The record's tokens, at most 1,024 of 16 KiB in all, escapes as they stand.
    pub fn tokens(&self) -> impl Iterator<Item = &[u8]> {
        let mut start = 0;
        self.ends.iter().map(move |&end| {
            let token = self.text.get(start..end).unwrap_or_default();
            start = end;
            token
        })
    }

    /// Splits the line into tokens; `None` for a quote or a parenthesis that does not match.
    fn scan(&mut self, line: &[u8]) -> Option<()> {
        let mut rest = line;
        while let [octet, tail @ ..] = rest {
            rest = match octet {
                b';' => break,
                b'(' => {
                    self.depth += 1;
                    tail
                }
                b')' => {
                    self.depth = self.depth.checked_sub(1)?;
                    tail
                }
                b'"' => {
                    let (token, [_, after @ ..]) = split_unescaped(tail, |octet| octet == b'"') else { return None };
                    self.keep(token);
                    after
                }
                octet if octet.is_ascii_whitespace() => tail,
                _ => {
                    let (token, after) = split_unescaped(rest, ends_token);
                    match after {
                        // RFC 9460 appendix A: `key="value"` is one token.
                        [b'"', quoted @ ..] if token.ends_with(b"=") => {
                            let (value, [_, after @ ..]) = split_unescaped(quoted, |octet| octet == b'"') else {
                                return None;
                            };
                            self.keep(&[token, value].concat());
                            after
                        }
                        _ => {
                            self.keep(token);
                            after
                        }
                    }
                }
            };
        }
        Some(())
    }

    /// Keeps a token if there is room.
    fn keep(&mut self, token: &[u8]) {
        if self.ends.len() < RECORD_TOKENS_MAX && self.text.len() + token.len() <= RECORD_TEXT_OCTETS_MAX {
            self.text.extend_from_slice(token);
            self.ends.push(self.text.len());
        } else {
            self.cut = true;
        }
    }
}

/// Whether an octet that is not escaped ends a bare token.
const fn ends_token(octet: u8) -> bool {
    octet.is_ascii_whitespace() || matches!(octet, b';' | b'(' | b')' | b'"')
}

/// Splits before the first octet that `ends` and no backslash escapes.
fn split_unescaped(text: &[u8], ends: impl Fn(u8) -> bool) -> (&[u8], &[u8]) {
    let mut escaped = false;
    let end = text.iter().position(|&octet| {
        if escaped {
            escaped = false;
            return false;
        }
        escaped = octet == b'\\';
        ends(octet)
    });
    text.split_at_checked(end.unwrap_or(text.len())).unwrap_or((text, &[]))
}

/// A TTL, digits with or without units (`1h30m`), as seconds, at most `u32::MAX`; `None` if it is none.
#[must_use]
pub fn ttl_secs(token: &[u8]) -> Option<u32> {
    let (mut secs, mut number) = (0_u32, 0_u32);
    token.first().filter(|first| first.is_ascii_digit())?;
    for octet in token {
        let unit = match octet.to_ascii_lowercase() {
            digit @ b'0'..=b'9' => {
                number = number.saturating_mul(10).saturating_add(u32::from(digit - b'0'));
                continue;
            }
            b's' => 1,
            b'm' => 60,
            b'h' => 3600,
            b'd' => 86_400,
            b'w' => 604_800,
            _ => return None,
        };
        secs = secs.saturating_add(number.saturating_mul(unit));
        number = 0;
    }
    Some(secs.saturating_add(number))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every step, and the tokens of each whole record joined by `|`.
    fn read(text: &str) -> Vec<String> {
        let mut file = ZoneFile::default();
        text.split('\n')
            .map(|line| match file.line(line.as_bytes()) {
                Some(Step::Record) => {
                    let tokens: Vec<_> = file.tokens().map(|token| String::from_utf8_lossy(token)).collect();
                    format!("{}{}", if file.indented() { "+" } else { "" }, tokens.join("|"))
                }
                Some(Step::Blank) => "blank".to_owned(),
                Some(Step::Open) => "open".to_owned(),
                None => "syntax".to_owned(),
            })
            .collect()
    }

    #[test]
    fn tokens_of_every_kind() {
        for (text, want) in [
            ("", &["blank"][..]),
            ("  ; x", &["blank"]),
            ("a IN CNAME . ; x", &["a|IN|CNAME|."]),
            (" NS localhost.", &["+NS|localhost."]),
            ("\tNS x.", &["+NS|x."]),
            (r#"a TXT "b ; (c" d"#, &["a|TXT|b ; (c|d"]),
            (r#"a TXT "q\"q" "" x"#, &[r#"a|TXT|q\"q||x"#]),
            (r"a\;b\ c CNAME .", &[r"a\;b\ c|CNAME|."]),
            (
                "@ SOA a. b. (1 ; serial\n  2 3\n 4 )5\nx CNAME .",
                &["open", "open", "@|SOA|a.|b.|1|2|3|4|5", "x|CNAME|."],
            ),
            (r#"a HTTPS 1 . alpn="h2,h3"b="#, &["a|HTTPS|1|.|alpn=h2,h3|b="]),
            (r#"a HTTPS 1 . alpn="h2"#, &["syntax"]),
            (r#"a TXT b"c"d"#, &["a|TXT|b|c|d"]),
            ("a CNAME(\n.)", &["open", "a|CNAME|."]),
            ("a ( b\n\"c\nd", &["open", "syntax", "d"]),
            ("a )", &["syntax"]),
            ("a TXT \"b", &["syntax"]),
            ("a \\", &["a|\\"]),
        ] {
            assert_eq!(read(text), want, "{text:?}");
        }
    }

    #[test]
    fn of_a_long_record_the_front_is_kept_and_the_rest_is_told() {
        let mut file = ZoneFile::default();
        for (text, kept, cut) in [
            (vec!["x"; RECORD_TOKENS_MAX].join(" "), RECORD_TOKENS_MAX, false),
            (vec!["x"; RECORD_TOKENS_MAX + 1].join(" "), RECORD_TOKENS_MAX, true),
            (vec!["x".repeat(4096); 4].join(" "), 4, false),
            (vec!["x".repeat(4096); 5].join(" "), 4, true),
            ("x".to_owned(), 1, false),
        ] {
            assert_eq!(file.line(text.as_bytes()), Some(Step::Record));
            assert_eq!((file.tokens().count(), file.is_cut()), (kept, cut), "{} octets", text.len());
        }
    }

    #[test]
    fn a_forgotten_parenthesis_costs_a_bounded_number_of_lines() {
        let steps = read(&format!("a TXT (\n{}", "x CNAME .\n".repeat(100)));
        assert_eq!(steps.iter().filter(|step| *step == "open").count(), RECORD_LINES_MAX - 1);
        assert_eq!(steps[RECORD_LINES_MAX - 1], "syntax");
        assert_eq!(steps[RECORD_LINES_MAX], "x|CNAME|.");
    }
}
