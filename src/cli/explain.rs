//! What `explain` prints: the decision on one name, who made it, and what every other feed would have said.
//!
//! This is the one place where names are shown, to a person who asked about this very name.

use std::io::{self, Write};

use super::table::{Cell, Table, plain};

/// The decision on one name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation {
    /// The generation that decided.
    pub generation: u64,
    /// The name, in presentation format.
    pub name: String,
    /// What happens to it, in the words of the configuration: an action, or `forward`, or the zone that answers.
    pub decision: String,
    /// Which of `feeds` decided, if one did.
    pub decided_by: Option<usize>,
    /// What each feed says, in order.
    pub feeds: Vec<FeedWord>,
    /// What else is to be known: a power that was not given, a deviation.
    pub notes: Vec<String>,
}

/// One feed's word on the name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FeedWord {
    /// The operator's name for it.
    pub feed: String,
    /// What it lists; `None`: neither the name nor one above it.
    pub said: Option<Said>,
}

/// What a feed that lists the name says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    /// The entry, in presentation format.
    pub entry: String,
    /// Why it covers the name: `this name`, `below the entry`.
    pub rule: String,
    /// What would happen if this feed alone were asked.
    pub action: String,
}

impl Explanation {
    /// Prints it.
    ///
    /// # Errors
    /// As `out` has.
    pub fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        let by = self.decided_by.and_then(|place| self.feeds.get(place));
        writeln!(out, "name        {}", plain(&self.name))?;
        writeln!(out, "generation  {}", self.generation)?;
        match by {
            Some(word) => writeln!(out, "decision    {}, by feed {}", plain(&self.decision), plain(&word.feed))?,
            None => writeln!(out, "decision    {}, by no feed", plain(&self.decision))?,
        }
        for note in &self.notes {
            writeln!(out, "note        {}", plain(note))?;
        }
        if self.feeds.is_empty() {
            return Ok(());
        }
        let mut table = Table::new(vec!["", "feed", "would do", "entry", "rule"]);
        for (place, word) in self.feeds.iter().enumerate() {
            let mark = if self.decided_by == Some(place) { ">" } else { "" };
            let mut row: Vec<Cell> = vec![mark.into(), word.feed.as_str().into()];
            match &word.said {
                Some(said) => row.extend([&said.action, &said.entry, &said.rule].map(|text| Cell::from(text.as_str()))),
                None => row.push("- (not listed)".into()),
            }
            table.row(row);
        }
        writeln!(out)?;
        table.write(out, 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shows_who_decided_and_what_the_others_say() {
        let said = |entry: &str, rule: &str, action: &str| {
            Some(Said { entry: entry.into(), rule: rule.into(), action: action.into() })
        };
        let explanation = Explanation {
            generation: 3,
            name: "www.malware.example".into(),
            decision: "sinkhole".into(),
            decided_by: Some(1),
            feeds: vec![
                FeedWord { feed: "allow".into(), said: None },
                FeedWord { feed: "sample".into(), said: said("malware.example", "below the entry", "sinkhole") },
                FeedWord { feed: "rpz".into(), said: said("www.malware.example", "this name", "nxdomain") },
            ],
            notes: vec!["allow: may-allow is not set".into()],
        };
        let mut out = Vec::new();
        explanation.write(&mut out).unwrap();
        let want = "\
name        www.malware.example
generation  3
decision    sinkhole, by feed sample
note        allow: may-allow is not set

   feed    would do        entry                rule
   allow   - (not listed)
>  sample  sinkhole        malware.example      below the entry
   rpz     nxdomain        www.malware.example  this name
";
        assert_eq!(String::from_utf8(out).unwrap(), want);
    }

    #[test]
    fn a_name_nobody_lists_is_decided_by_no_feed() {
        let explanation = Explanation {
            generation: 1,
            name: "example.com".into(),
            decision: "forward".into(),
            decided_by: None,
            feeds: vec![],
            notes: vec![],
        };
        let mut out = Vec::new();
        explanation.write(&mut out).unwrap();
        let want = "name        example.com\ngeneration  1\ndecision    forward, by no feed\n";
        assert_eq!(String::from_utf8(out).unwrap(), want);
    }
}
