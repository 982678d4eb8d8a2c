//! BIND's configuration used as a list: `zone "name" { type master; file "null.zone.file"; };`, on one line or over several.
//!
//! A zone of the server's own lists the name and everything below: whatever its file says, it is not what the name's holder says. A zone that
//! is fetched or forwarded elsewhere is refused. Other statements are header. Keeps two words of the statement at hand; costs one pass.

use super::{Bucket, LineParser, Reason};
use crate::feed::intake::Intake;
use crate::index::{Verb, Verbs};
use crate::name::NAME_OCTETS_MAX;

/// The most physical lines one statement, or comment, may span: past it a brace was forgotten, and the rest of the file must not vanish in
/// it. Zones of lists take five (a guess, far above).
const STATEMENT_LINES_MAX: usize = 64;
/// The most octets of a word that are kept: as many as a name with escapes could have, so that what is longer is no name.
const WORD_OCTETS_MAX: usize = 4 * NAME_OCTETS_MAX;

/// Types of zones that the server answers from a file of its own (`hint` stands in old lists).
const OWN: [&[u8]; 3] = [b"hint", b"master", b"primary"];
/// Types of zones whose names are someone else's to answer.
const ELSEWHERE: [&[u8]; 9] = [
    b"delegation-only",
    b"forward",
    b"in-view",
    b"mirror",
    b"redirect",
    b"secondary",
    b"slave",
    b"static-stub",
    b"stub",
];

/// The BIND format.
#[derive(Default)]
pub(super) struct Bind {
    /// The statement at hand.
    statement: Statement,
    /// Braces open.
    depth: usize,
    /// Whether a comment that began with `/*` is open.
    comment: bool,
    /// Physical lines of the statement or comment so far.
    lines: usize,
    /// What the statements that ended since the last line without an open one came to.
    outcome: Outcome,
}

/// A statement so far.
#[derive(Default)]
struct Statement {
    /// What its words say.
    kind: Kind,
    /// Words of it outside braces, or in the clause at hand within them.
    words: usize,
    /// The zone's name.
    name: Vec<u8>,
    /// The word after `type`.
    zone_type: Vec<u8>,
    /// Whether the word `type` was the last one, as the first of its clause.
    typed: bool,
}

/// What a statement is about.
#[derive(Default, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// No word yet.
    #[default]
    Empty,
    /// A zone.
    Zone,
    /// Text from elsewhere.
    Include,
    /// Anything else.
    Other,
}

/// What some statements came to.
#[derive(Default)]
struct Outcome {
    /// A name was taken.
    taken: bool,
    /// The first refusal.
    refused: Option<Reason>,
    /// There was a statement without a name.
    header: bool,
}

impl LineParser for Bind {
    fn line(&mut self, text: &[u8], intake: &mut Intake<'_>) -> Bucket {
        self.lines += 1;
        let mut rest = text;
        while let Some(token) = self.token(&mut rest) {
            self.read(token, intake);
        }
        if self.comment || self.depth > 0 || self.statement.kind != Kind::Empty {
            if self.lines < STATEMENT_LINES_MAX {
                return Bucket::Open;
            }
            self.abandon();
            return Bucket::Refused(Reason::Syntax);
        }
        self.lines = 0;
        match std::mem::take(&mut self.outcome) {
            Outcome { taken: true, .. } => Bucket::Taken,
            Outcome { refused: Some(reason), .. } => Bucket::Refused(reason),
            Outcome { header: true, .. } => Bucket::Header,
            _ => Bucket::Comment,
        }
    }

    fn abandon(&mut self) {
        *self = Self::default();
    }
}

/// A piece of a line.
enum Token<'t> {
    /// A word, or a string without its quotes.
    Word(&'t [u8]),
    /// `{`.
    Opens,
    /// `}`.
    Closes,
    /// `;`.
    Ends,
}

impl Bind {
    /// The next token of a line; comments are passed over.
    fn token<'t>(&mut self, rest: &mut &'t [u8]) -> Option<Token<'t>> {
        loop {
            if self.comment {
                let end = rest.windows(2).position(|pair| pair == b"*/")?;
                *rest = rest.get(end + 2..).unwrap_or_default();
                self.comment = false;
            }
            *rest = rest.trim_ascii_start();
            match *rest {
                [] | [b'#', ..] | [b'/', b'/', ..] => return None,
                [b'/', b'*', tail @ ..] => {
                    self.comment = true;
                    *rest = tail;
                }
                [one @ (b'{' | b'}' | b';'), tail @ ..] => {
                    *rest = tail;
                    return Some(match one {
                        b'{' => Token::Opens,
                        b'}' => Token::Closes,
                        _ => Token::Ends,
                    });
                }
                [b'"', tail @ ..] => {
                    let end = tail.iter().position(|&octet| octet == b'"').unwrap_or(tail.len());
                    *rest = tail.get(end + 1..).unwrap_or_default();
                    return tail.get(..end).map(Token::Word);
                }
                text => {
                    let ends = |octet: &u8| octet.is_ascii_whitespace() || b"{};\"#".contains(octet);
                    let (word, tail) = text.split_at_checked(text.iter().position(ends).unwrap_or(text.len()))?;
                    *rest = tail;
                    return Some(Token::Word(word));
                }
            }
        }
    }

    /// Reads one token.
    fn read(&mut self, token: Token<'_>, intake: &mut Intake<'_>) {
        match token {
            Token::Word(word) => self.statement.word(word, self.depth),
            Token::Opens => {
                self.depth += 1;
                self.statement.words = 0;
            }
            Token::Closes => match self.depth.checked_sub(1) {
                Some(depth) => self.depth = depth,
                None => self.outcome.refused = self.outcome.refused.or(Some(Reason::Syntax)),
            },
            Token::Ends if self.depth > 0 => self.statement.words = 0,
            Token::Ends => {
                let statement = std::mem::take(&mut self.statement);
                match statement.end(intake) {
                    Ok(true) => self.outcome.taken = true,
                    Ok(false) => self.outcome.header = true,
                    Err(reason) => self.outcome.refused = self.outcome.refused.or(Some(reason)),
                }
            }
        }
    }
}

impl Statement {
    /// Reads one word of it.
    fn word(&mut self, word: &[u8], depth: usize) {
        self.words += 1;
        let kept = word.get(..WORD_OCTETS_MAX).unwrap_or(word);
        if self.kind == Kind::Empty {
            self.kind = match word {
                b"zone" => Kind::Zone,
                b"include" => Kind::Include,
                _ => Kind::Other,
            };
        } else if self.kind == Kind::Zone && depth == 0 && self.words == 2 {
            self.name = kept.to_vec();
        } else if depth == 1 && self.words == 2 && self.typed {
            self.zone_type = kept.to_ascii_lowercase();
        }
        self.typed = depth == 1 && self.words == 1 && word == b"type";
        if depth == 1 && self.words == 1 && word == b"in-view" {
            self.zone_type = word.to_vec();
        }
    }

    /// Takes its name if it is a zone that lists one; whether it did.
    fn end(self, intake: &mut Intake<'_>) -> Result<bool, Reason> {
        match self.kind {
            Kind::Include => Err(Reason::Directive),
            Kind::Empty | Kind::Other => Ok(false),
            Kind::Zone if OWN.contains(&self.zone_type.as_slice()) => {
                let name = self.name.strip_suffix(b".").unwrap_or(&self.name);
                intake.take(name, Verbs::subtree(Verb::Listed)).map(|()| true)
            }
            Kind::Zone if ELSEWHERE.contains(&self.zone_type.as_slice()) => Err(Reason::Forwarding),
            Kind::Zone => Err(Reason::Syntax),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::TextFormat;
    use super::super::tests::{entries, verdict};
    use crate::feed::format::read_text;
    use crate::feed::{Reason, Terms};

    #[test]
    fn line_by_line() {
        for (line, want) in [
            ("", "comment"),
            ("# zone \"example.com\" { type master; };", "comment"),
            ("// zone", "comment"),
            ("/* zone \"example.com\" { type master; }; */", "comment"),
            ("zone \"Example.com\" { type master; notify no; file \"null.zone.file\"; };", "example.com"),
            ("zone \"example.com\" {type master;file \"x\";};", "example.com"),
            ("zone \"example.com.\" IN { type primary; file \"x\"; }; // why", "example.com"),
            ("zone example.com { file \"x\"; type hint; };", "example.com"),
            ("zone \"example.com\" { type /* */ MASTER; };", "example.com"),
            ("zone \"a.example\" { type master; }; zone \"b.example\" { type master; };", "a.example b.example"),
            ("zone \"disçordapp.com\" { type master; };", "xn--disordapp-s3a.com"),
            ("zone \"example.com\" { type forward; forwarders { 192.0.2.53; }; };", "refused forwarding"),
            ("zone \"example.com\" { type slave; masters { 192.0.2.53; }; };", "refused forwarding"),
            ("zone \"example.com\" { type secondary; };", "refused forwarding"),
            ("zone \"example.com\" { type stub; };", "refused forwarding"),
            ("zone \"example.com\" { in-view other; };", "refused forwarding"),
            ("zone \"example.com\" { allow-query { type master; }; };", "refused syntax"),
            ("zone \"example.com\" { file \"type master;\"; };", "refused syntax"),
            ("zone \"example.com\" { };", "refused syntax"),
            ("zone \"example.com\";", "refused syntax"),
            ("zone { type master; };", "refused root"),
            ("zone \".\" { type hint; file \"root\"; };", "refused root"),
            ("zone \"com\" { type master; };", "refused tld"),
            ("zone \"localhost\" { type master; };", "refused boilerplate"),
            ("zone \"1.2.3.4\" { type master; };", "refused address"),
            ("zone \"*.example.com\" { type master; };", "refused wildcard"),
            ("options { directory \"/var\"; };", "header"),
            ("};", "refused syntax"),
            ("include \"/etc/more.conf\";", "refused directive"),
            // Not ended: what else it would say is not known.
            ("zone \"example.com\" { type master; }", "refused syntax"),
            ("zone \"example.com\" { type master;", "refused syntax"),
            ("/* no end", "refused syntax"),
            ("example.com", "refused syntax"),
        ] {
            assert_eq!(verdict(TextFormat::Bind, line), want, "{line:?}");
        }
    }

    #[test]
    fn a_zone_over_several_lines_is_one_record() {
        let text = "/* a\n list */\nzone \"a.example.com\" {\n\ttype master;\n\tfile \"x\";\n};\nzone \"b.example.com\" {\n type slave;\n};\n\
                    options {\n};\nzone \"a.example.com\"\n{ type primary; };\n";
        let (sorted, report) = read_text(text.as_bytes(), TextFormat::Bind, &Terms::default()).unwrap();
        assert!(report.balanced());
        assert_eq!(entries(&sorted), ["a.example.com"]);
        let counts = [report.used, report.duplicate, report.comment, report.header, report.refused_total()];
        assert_eq!(counts, [1, 1, 2 + 3 + 1, 2, 3]);
        assert_eq!(report.refused_at, [(7, Reason::Forwarding)]);
    }

    #[test]
    fn a_brace_that_was_forgotten_does_not_swallow_the_file() {
        let text = format!(
            "zone \"a.example.com\" {{ type master;\n{}",
            "zone \"b.example.com\" { type master; };\n".repeat(80)
        );
        let (sorted, report) = read_text(text.as_bytes(), TextFormat::Bind, &Terms::default()).unwrap();
        assert_eq!(entries(&sorted), ["b.example.com"]);
        assert_eq!((report.refused_total(), report.used, report.duplicate), (64, 1, 16));
        assert!(report.balanced());
    }
}
