//! Prints an [`Explanation`] to whoever asked about the name.

use std::io::{self, Write};

use super::Asked;
use super::table::{Cell, Table, plain};
use crate::admin::{Explanation, Rule, Verdict};

/// Prints what `whom` explained.
///
/// # Errors
/// As `out` has.
pub(super) fn write(explanation: &Explanation, whom: Asked<'_>, out: &mut dyn Write) -> io::Result<()> {
    let mut line = |key: &str, text: &str| writeln!(out, "{key:<11} {}", plain(text));
    line("name", &explanation.name)?;
    if let Some(client) = explanation.client {
        let how = if explanation.proxied { ", named by a load balancer" } else { "" };
        line("client", &format!("{client}{how}"))?;
    }
    if let Some(listener) = explanation.listener {
        line("listener", &listener.to_string())?;
    }
    line("tenant", &explanation.tenant)?;
    match (whom, explanation.generation) {
        (Asked::Offline(_), _) => line("generation", "none: the configuration was loaded for this question")?,
        (Asked::Running(_), 0) => line("generation", "none yet: not all feeds are loaded")?,
        (Asked::Running(_), generation) => line("generation", &generation.to_string())?,
    }
    line("decision", &decision(explanation))?;
    match explanation.verdict {
        Verdict::Forwarded if explanation.protected => {
            line("answer", "protected: no feed sinks it, whatever it leads to; the tenant's own names are asked")?;
        }
        Verdict::Forwarded => line("answer", "judged when it comes: the names it leads to, then its addresses")?,
        Verdict::LetThrough => line("answer", "not judged: what is let through by its name is let through whole")?,
        _ => {}
    }
    if let Some(entry) = &explanation.entry {
        let rule = explanation.rule.map(|rule| format!(" ({rule})")).unwrap_or_default();
        line("entry", &format!("{entry}{rule}"))?;
    }
    if explanation.feeds.is_empty() {
        return Ok(());
    }
    let mut table = Table::new(vec!["feed", "says", "entry", "covers", "effect"]);
    for opinion in &explanation.feeds {
        let rule = opinion.rule.as_ref().map_or_else(|| "-".to_owned(), Rule::to_string);
        let entry = opinion.entry.as_deref().unwrap_or("-");
        let row = [opinion.feed.as_str(), &opinion.says, entry, &rule, &opinion.effect];
        table.row(row.map(Cell::from).to_vec());
    }
    writeln!(out)?;
    table.write(out, 0)
}

/// What becomes of the query, how, and by whose word.
fn decision(explanation: &Explanation) -> String {
    let mut text = explanation.verdict.to_string();
    if let Some(action) = &explanation.action {
        text = format!("{text}: {action}");
    }
    if let Some(word) = &explanation.by {
        text = format!("{text}, by {word}");
    }
    text
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::admin::{Opinion, Word};
    use crate::config;

    fn shown(explanation: &Explanation, whom: Asked<'_>) -> String {
        let mut out = Vec::new();
        write(explanation, whom, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn shows_who_decided_and_what_the_others_say() {
        let opinion = |feed: &str, says: &str, entry: Option<&str>, rule, effect: &str| Opinion {
            feed: feed.to_owned(),
            says: says.to_owned(),
            entry: entry.map(str::to_owned),
            rule,
            effect: effect.to_owned(),
        };
        let explanation = Explanation {
            generation: 3,
            name: "www.malware.example".to_owned(),
            client: Some("10.0.0.9".parse().unwrap()),
            listener: Some("127.0.0.1:1053".parse().unwrap()),
            proxied: false,
            protected: false,
            tenant: "default".to_owned(),
            verdict: Verdict::Sunk,
            action: Some("sinkhole".to_owned()),
            by: Some(Word::Feed("sample".to_owned())),
            entry: Some("malware.example".to_owned()),
            rule: Some(Rule::NameAndBelow),
            feeds: vec![
                opinion("allow", "not listed", None, None, "none"),
                opinion("sample", "sinkhole", Some("malware.example"), Some(Rule::NameAndBelow), "decides"),
                opinion(
                    "rpz",
                    "nxdomain",
                    Some("www.malware.example"),
                    Some(Rule::Exact),
                    "none: an earlier feed decides",
                ),
            ],
        };
        let want = "\
name        www.malware.example
client      10.0.0.9
listener    127.0.0.1:1053
tenant      default
generation  3
decision    sunk: sinkhole, by feed sample
entry       malware.example (the name and everything below it)

feed    says        entry                covers                            effect
allow   not listed  -                    -                                 none
sample  sinkhole    malware.example      the name and everything below it  decides
rpz     nxdomain    www.malware.example  this name alone                   none: an earlier feed decides
";
        let running = Asked::Running(Path::new("admin.sock"));
        assert_eq!(shown(&explanation, running), want);
        let forwarded = Explanation {
            generation: 0,
            client: None,
            verdict: Verdict::Forwarded,
            action: None,
            by: None,
            entry: None,
            rule: None,
            feeds: vec![],
            ..explanation
        };
        let settings = config::embedded();
        for (whom, generation) in [
            (Asked::Offline(&settings), "none: the configuration was loaded for this question"),
            (running, "none yet: not all feeds are loaded"),
        ] {
            let want = format!(
                "\ngeneration  {generation}\ndecision    forwarded\n\
                 answer      judged when it comes: the names it leads to, then its addresses\n"
            );
            let shown = shown(&forwarded, whom);
            assert!(shown.ends_with(&want), "{shown}");
        }
    }
}
