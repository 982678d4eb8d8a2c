//! A STIX pattern (STIX 2.1 §9, STIX 2.0 part 5), as far as it speaks of names, URLs and addresses: which of them are enough for it to
//! match.
//!
//! `[domain-name:value = 'a' OR domain-name:value IN ('b', 'c')]` matches on each alone. What is so only together with something else (`AND`,
//! `FOLLOWEDBY`, `WITHIN`, `REPEATS`, `START`), or only if something is not (`NOT`, `!=`), or is known by its looks (`LIKE`, `MATCHES`), says
//! less than a name that is sunk for everybody: it is left out and counted. The whole pattern must be of the language; what cannot be read
//! to its end is not guessed at. Costs one pass over the text, and a copy of a value that has escapes.

use std::borrow::Cow;

use super::super::indicator::Kind;

/// How deep parentheses may lie inside one another (a guess; published patterns have two).
const NESTING_MAX: usize = 32;

/// What a pattern says.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Pattern<'t> {
    /// What is enough for a match, each alone.
    pub(super) enough: Vec<(Kind, Cow<'t, str>)>,
    /// Comparisons of names, URLs and addresses that are not enough, or not made here.
    pub(super) left_out: usize,
}

/// Reads a pattern; `None` if it is none.
pub(super) fn read(text: &str) -> Option<Pattern<'_>> {
    let mut parser = Parser { rest: text, nesting: 0, pattern: Pattern::default() };
    parser.observations()?;
    (parser.token()? == Token::End).then_some(parser.pattern)
}

/// A piece of a pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Token<'t> {
    /// A keyword, a type, a property.
    Word(&'t str),
    /// A string, without its quotes, its escapes as they stand.
    Text(&'t str),
    /// A number, or `t'…'`, `h'…'`, `b'…'`.
    Literal,
    /// `=`.
    Equal,
    /// `!=`, `<`, `<=`, `>`, `>=`.
    Unequal,
    /// One of `[ ] ( ) : . , *`.
    Mark(u8),
    /// Nothing is left.
    End,
}

/// Takes a pattern apart. What reads a part of it gives `None` if there is no such part.
struct Parser<'t> {
    /// What was not read yet.
    rest: &'t str,
    /// Parentheses that are open, at most [`NESTING_MAX`].
    nesting: usize,
    /// What it says so far.
    pattern: Pattern<'t>,
}

impl<'t> Parser<'t> {
    /// Takes `length` octets.
    fn take(&mut self, length: usize) -> Option<&'t str> {
        let (taken, rest) = self.rest.split_at_checked(length)?;
        self.rest = rest;
        Some(taken)
    }

    /// Takes the next token.
    fn token(&mut self) -> Option<Token<'t>> {
        let rest = self.rest.trim_ascii_start();
        self.rest = rest;
        let count = |fits: fn(&u8) -> bool| rest.bytes().take_while(fits).count();
        let Some(first) = rest.bytes().next() else { return Some(Token::End) };
        match first {
            b'\'' => self.text(),
            b'A'..=b'Z' | b'a'..=b'z' | b'_' => {
                let length = count(|octet| octet.is_ascii_alphanumeric() || matches!(octet, b'_' | b'-'));
                let word = self.take(length)?;
                if matches!(word, "t" | "h" | "b") && self.rest.starts_with('\'') {
                    return self.text().map(|_| Token::Literal);
                }
                Some(Token::Word(word))
            }
            b'0'..=b'9' | b'+' | b'-' => {
                let length = count(|octet| octet.is_ascii_digit() || matches!(octet, b'.' | b'+' | b'-'));
                self.take(length)?.parse::<f64>().ok().map(|_| Token::Literal)
            }
            b'=' | b'!' | b'<' | b'>' => match self.take(count(|octet| matches!(octet, b'=' | b'!' | b'<' | b'>')))? {
                "=" | "==" => Some(Token::Equal),
                "!=" | "<>" | "<" | "<=" | ">" | ">=" => Some(Token::Unequal),
                _ => None,
            },
            b'[' | b']' | b'(' | b')' | b':' | b'.' | b',' | b'*' => self.take(1).map(|_| Token::Mark(first)),
            _ => None,
        }
    }

    /// Takes a string from its opening quote on. Only a quote and a backslash are escaped.
    fn text(&mut self) -> Option<Token<'t>> {
        self.take(1)?;
        let mut octets = self.rest.bytes().enumerate();
        let end = loop {
            match octets.next()? {
                (end, b'\'') => break end,
                (_, b'\\') => octets.next().filter(|(_, octet)| matches!(octet, b'\'' | b'\\')).map(|_| ())?,
                _ => {}
            }
        };
        let text = self.take(end)?;
        self.take(1)?;
        Some(Token::Text(text))
    }

    /// The next token, not taken.
    fn ahead(&self) -> Option<Token<'t>> {
        Parser { rest: self.rest, nesting: 0, pattern: Pattern::default() }.token()
    }

    /// Takes `token` if it is the next.
    fn has(&mut self, token: Token<'_>) -> Option<bool> {
        let next = self.ahead()? == token;
        if next {
            self.token()?;
        }
        Some(next)
    }

    /// Takes `word` if it is the next, whatever its letters' case.
    fn has_word(&mut self, word: &str) -> Option<bool> {
        let next = matches!(self.ahead()?, Token::Word(ahead) if ahead.eq_ignore_ascii_case(word));
        if next {
            self.token()?;
        }
        Some(next)
    }

    /// Takes `token`, which must be the next.
    fn expect(&mut self, token: Token<'_>) -> Option<()> {
        self.has(token)?.then_some(())
    }

    /// Leaves out whatever was found since there were `enough`.
    fn leave_out_from(&mut self, enough: usize) {
        self.pattern.left_out += self.pattern.enough.len().saturating_sub(enough);
        self.pattern.enough.truncate(enough);
    }

    /// Reads operands with `word` between them; of several none is enough.
    fn all_of(&mut self, word: &str, operand: fn(&mut Self) -> Option<()>) -> Option<()> {
        let before = self.pattern.enough.len();
        operand(self)?;
        while self.has_word(word)? {
            operand(self)?;
            self.leave_out_from(before);
        }
        Some(())
    }

    /// Reads operands with `OR` between them; each is enough.
    fn any_of(&mut self, operand: fn(&mut Self) -> Option<()>) -> Option<()> {
        operand(self)?;
        while self.has_word("OR")? {
            operand(self)?;
        }
        Some(())
    }

    /// Reads what stands in parentheses, behind the opening one.
    fn nested(&mut self, inside: fn(&mut Self) -> Option<()>) -> Option<()> {
        self.nesting += 1;
        if self.nesting > NESTING_MAX {
            return None;
        }
        inside(self)?;
        self.nesting -= 1;
        self.expect(Token::Mark(b')'))
    }

    /// Observations, the loosest operator first.
    fn observations(&mut self) -> Option<()> {
        self.all_of("FOLLOWEDBY", |parser| parser.any_of(|parser| parser.all_of("AND", Self::observation)))
    }

    /// One observation, or several in parentheses, and what qualifies it.
    fn observation(&mut self) -> Option<()> {
        let before = self.pattern.enough.len();
        match self.token()? {
            Token::Mark(b'(') => self.nested(Self::observations)?,
            Token::Mark(b'[') => {
                self.comparisons()?;
                self.expect(Token::Mark(b']'))?;
            }
            _ => return None,
        }
        while self.qualifier()? {
            self.leave_out_from(before);
        }
        Some(())
    }

    /// A qualifier, if there is one: `WITHIN 5 SECONDS`, `REPEATS 5 TIMES`, `START t'…' STOP t'…'`.
    fn qualifier(&mut self) -> Option<bool> {
        let last = match self.ahead()? {
            Token::Word(word) if word.eq_ignore_ascii_case("WITHIN") => "SECONDS",
            Token::Word(word) if word.eq_ignore_ascii_case("REPEATS") => "TIMES",
            Token::Word(word) if word.eq_ignore_ascii_case("START") => "STOP",
            _ => return Some(false),
        };
        self.token()?;
        self.constant()?;
        if !self.has_word(last)? {
            return None;
        }
        if last == "STOP" {
            self.constant()?;
        }
        Some(true)
    }

    /// Comparisons, the loosest operator first.
    fn comparisons(&mut self) -> Option<()> {
        self.any_of(|parser| parser.all_of("AND", Self::comparison))
    }

    /// One comparison, or several in parentheses.
    fn comparison(&mut self) -> Option<()> {
        if self.has(Token::Mark(b'('))? {
            return self.nested(Self::comparisons);
        }
        if self.has_word("EXISTS")? {
            let kind = self.path()?;
            self.pattern.left_out += usize::from(kind.is_some());
            return Some(());
        }
        let kind = self.path()?;
        let before = self.pattern.enough.len();
        let mut enough = !self.has_word("NOT")?;
        match self.token()? {
            Token::Equal => self.value(kind)?,
            Token::Unequal => {
                enough = false;
                self.value(kind)?;
            }
            Token::Word(word) if word.eq_ignore_ascii_case("IN") => self.values(kind)?,
            Token::Word(word) => {
                // An address is in a network just when it is a subset of it.
                enough &= word.eq_ignore_ascii_case("ISSUBSET") && kind == Some(Kind::Address);
                if !["LIKE", "MATCHES", "ISSUBSET", "ISSUPERSET"].iter().any(|known| word.eq_ignore_ascii_case(known)) {
                    return None;
                }
                self.value(kind)?;
            }
            _ => return None,
        }
        if !enough {
            self.leave_out_from(before);
        }
        Some(())
    }

    /// A type and a path into it; what it is of, if it is of use here.
    fn path(&mut self) -> Option<Option<Kind>> {
        let Token::Word(of) = self.token()? else { return None };
        self.expect(Token::Mark(b':'))?;
        let value = matches!(self.token()?, Token::Word("value") | Token::Text("value"));
        let mut whole = true;
        loop {
            if self.has(Token::Mark(b'.'))? {
                let (Token::Word(_) | Token::Text(_)) = self.token()? else { return None };
            } else if self.has(Token::Mark(b'['))? {
                let (Token::Literal | Token::Mark(b'*')) = self.token()? else { return None };
                self.expect(Token::Mark(b']'))?;
            } else {
                break;
            }
            whole = false;
        }
        Some(match of {
            _ if !value || !whole => None,
            "domain-name" => Some(Kind::Name),
            "url" => Some(Kind::Url),
            "ipv4-addr" | "ipv6-addr" => Some(Kind::Address),
            _ => None,
        })
    }

    /// A constant: its text, if it is a string.
    fn constant(&mut self) -> Option<Option<&'t str>> {
        match self.token()? {
            Token::Text(text) => Some(Some(text)),
            Token::Literal => Some(None),
            Token::Word(word) if word.eq_ignore_ascii_case("true") || word.eq_ignore_ascii_case("false") => Some(None),
            _ => None,
        }
    }

    /// A constant that is compared with.
    fn value(&mut self, kind: Option<Kind>) -> Option<()> {
        let text = self.constant()?;
        match (kind, text) {
            (Some(kind), Some(text)) => self.pattern.enough.push((kind, unescape(text))),
            (Some(_), None) => self.pattern.left_out += 1,
            (None, _) => {}
        }
        Some(())
    }

    /// Constants in parentheses.
    fn values(&mut self, kind: Option<Kind>) -> Option<()> {
        self.expect(Token::Mark(b'('))?;
        loop {
            self.value(kind)?;
            match self.token()? {
                Token::Mark(b',') => {}
                Token::Mark(b')') => return Some(()),
                _ => return None,
            }
        }
    }
}

/// A string without its escapes.
fn unescape(text: &str) -> Cow<'_, str> {
    if !text.contains('\\') {
        return Cow::Borrowed(text);
    }
    let mut characters = text.chars();
    let plain = std::iter::from_fn(|| match characters.next()? {
        '\\' => characters.next(),
        character => Some(character),
    });
    Cow::Owned(plain.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is enough, as `name a`, and how many are not.
    fn show(text: &str) -> Option<(String, usize)> {
        let Pattern { enough, left_out } = read(text)?;
        let shown: Vec<_> = enough.iter().map(|(kind, value)| format!("{kind:?} {value}").to_lowercase()).collect();
        Some((shown.join(", "), left_out))
    }

    #[test]
    fn what_is_enough_alone_and_what_is_not() {
        for (text, enough, left_out) in [
            ("[domain-name:value='a.example']", "name a.example", 0),
            (" [ domain-name:value = 'a.example' ]\n", "name a.example", 0),
            ("[domain-name:'value' == 'a.example']", "name a.example", 0),
            ("[url:value = 'http://a.example/it\\'s\\\\']", "url http://a.example/it's\\", 0),
            ("[ipv4-addr:value = '192.0.2.0/24' OR ipv6-addr:value = '::1']", "address 192.0.2.0/24, address ::1", 0),
            ("[ipv4-addr:value ISSUBSET '192.0.2.0/24']", "address 192.0.2.0/24", 0),
            ("[domain-name:value IN ('a', 'b','c')]", "name a, name b, name c", 0),
            (
                "[domain-name:value = 'a' OR ipv4-addr:value = '192.0.2.1' or file:name = 'x']",
                "name a, address 192.0.2.1",
                0,
            ),
            ("[(domain-name:value = 'a' OR (domain-name:value = 'b'))]", "name a, name b", 0),
            ("[domain-name:value='a'] OR [domain-name:value='b']", "name a, name b", 0),
            ("([domain-name:value='a'] OR ([url:value='b']))", "name a, url b", 0),
            ("[domain-name:value='a' AND domain-name:resolves_to_refs[*].value = '192.0.2.1']", "", 1),
            ("[domain-name:value='a' AND domain-name:value='b']", "", 2),
            ("[domain-name:value='a' OR domain-name:value='b' AND file:name='x']", "name a", 1),
            ("[(domain-name:value='a' OR domain-name:value='b') AND file:name='x']", "", 2),
            ("[file:name='x' AND (domain-name:value='a' OR domain-name:value='b')]", "", 2),
            ("[domain-name:value='a'] AND [domain-name:value='b']", "", 2),
            ("[domain-name:value='a'] OR [domain-name:value='b'] AND [file:name='x']", "name a", 1),
            ("[domain-name:value='a'] FOLLOWEDBY [domain-name:value='b']", "", 2),
            ("[domain-name:value='a'] OR [url:value='b'] FOLLOWEDBY [file:name='x']", "", 2),
            ("([domain-name:value='a'] FOLLOWEDBY [file:name='x']) WITHIN 300 SECONDS", "", 1),
            ("[domain-name:value='a'] REPEATS 5 TIMES WITHIN 1800.5 SECONDS", "", 1),
            ("[domain-name:value='a'] OR [domain-name:value='b'] REPEATS 5 TIMES", "name a", 1),
            ("[domain-name:value='a'] START t'2021-01-01T00:00:00Z' STOP t'2022-01-01T00:00:00Z'", "", 1),
            ("[domain-name:value='a'] START '2021-01-01T00:00:00Z' STOP '2022-01-01T00:00:00Z'", "", 1),
            ("[domain-name:value != 'a']", "", 1),
            ("[domain-name:value NOT = 'a']", "", 1),
            ("[domain-name:value NOT IN ('a', 'b')]", "", 2),
            ("[domain-name:value LIKE '%.a']", "", 1),
            ("[url:value MATCHES '^http://a/']", "", 1),
            ("[domain-name:value ISSUBSET 'a']", "", 1),
            ("[ipv4-addr:value NOT ISSUBSET '192.0.2.0/24']", "", 1),
            ("[ipv4-addr:value ISSUPERSET '192.0.2.0/24']", "", 1),
            ("[domain-name:value > 'a']", "", 1),
            ("[domain-name:value = 5 OR domain-name:value = h'ffd8']", "", 2),
            ("[EXISTS domain-name:value OR EXISTS file:name]", "", 1),
            ("[file:hashes.'SHA-256' = 'ab' OR file:hashes.MD5 = 'ab']", "", 0),
            ("[file:extensions.'windows-pebinary-ext'.sections[*].entropy > 7.0]", "", 0),
            ("[network-traffic:dst_ref.value = 'a' AND network-traffic:dst_port IN (443, -1, +2)]", "", 0),
            ("[domain-name:resolves_to_refs[0].value = '192.0.2.1']", "", 0),
            ("[network-traffic:start = t'2014-01-13T07:03:17Z' AND x:is_active = true AND y:t = b'AA==']", "", 0),
        ] {
            assert_eq!(show(text), Some((enough.to_owned(), left_out)), "{text}");
        }
    }

    #[test]
    fn what_is_not_of_the_language_is_no_pattern() {
        for text in [
            "",
            "a.example",
            "domain-name:value = 'a'",
            "[]",
            "[domain-name:value = 'a'",
            "[domain-name:value = 'a]",
            "[domain-name:value = 'a\\n']",
            "[domain-name:value = 'a\\']",
            "[domain-name:value = \"a\"]",
            "[domain-name:value = a]",
            "[domain-name:value 'a']",
            "[domain-name:value SOUNDSLIKE 'a']",
            "[domain-name:value = 'a'] [domain-name:value = 'b']",
            "[domain-name:value = 'a' OR]",
            "[domain-name:value = 'a'] OR",
            "[domain-name:value = 'a'] XOR [domain-name:value = 'b']",
            "[domain-name:value = 'a'] WITHIN 5",
            "[domain-name:value = 'a'] WITHIN SECONDS",
            "[domain-name:value IN ()]",
            "[domain-name:value IN ('a' 'b')]",
            "[domain-name:value IN 'a']",
            "[domain-name = 'a']",
            "[domain-name: = 'a']",
            "[domain-name:value[ = 'a']",
            "[domain-name:value. = 'a']",
            "[domain-name:value =! 'a']",
            "[domain-name:value = 'a'] ; x",
            "[ｄomain-name:value = 'a']",
            "([domain-name:value = 'a']",
            "[domain-name:value = 'a'])",
            "[domain-name:value = 1.2.3]",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
    }

    #[test]
    fn nesting_has_an_end() {
        let nested = |count: usize| format!("{}[domain-name:value='a']{}", "(".repeat(count), ")".repeat(count));
        assert!(read(&nested(NESTING_MAX)).is_some());
        assert_eq!(read(&nested(NESTING_MAX + 1)), None);
        assert_eq!(read(&"(".repeat(60_000)), None);
    }
}
