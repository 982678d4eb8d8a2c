//! What `feed list` and `generations` print. Counts, ages and the operator's own names of feeds; never an indicator.

use std::io::{self, Write};
use std::time::{SystemTime, UNIX_EPOCH};

use super::table::{Cell, Table, plain, thousands};
use crate::admin::{FeedDifferences, FeedSummary, GenerationSummary};

/// Prints the feeds in force.
///
/// # Errors
/// As `out` has.
pub(super) fn write_feeds(feeds: &[FeedSummary], out: &mut dyn Write) -> io::Result<()> {
    let mut table = Table::new(vec!["feed", "format", "entries", "refused", "read", "standing", "refused updates"]);
    for feed in feeds {
        let updates: Vec<String> = feed.refused_updates.iter().map(|(rule, loads)| format!("{rule} {loads}")).collect();
        let standing = match feed {
            FeedSummary { loaded_at_secs: 0, .. } => "not read yet",
            FeedSummary { pinned: true, .. } => "pinned",
            FeedSummary { stale: true, .. } => "stale: the last good one",
            _ => "as its source",
        };
        table.row(vec![
            feed.name.as_str().into(),
            feed.format.as_str().into(),
            feed.entries.into(),
            feed.refused_lines.into(),
            Cell::Text(ago(feed.loaded_at_secs)),
            standing.into(),
            Cell::Text(if updates.is_empty() { "-".to_owned() } else { updates.join(", ") }),
        ]);
    }
    table.write(out, 0)?;
    for feed in feeds {
        if let Some(because) = &feed.refused_because {
            writeln!(out, "\n{}, last refused: {}", plain(&feed.name), plain(because))?;
        }
    }
    Ok(())
}

/// Prints how a feed differs.
///
/// # Errors
/// As `out` has.
pub(super) fn write_differences(differences: &FeedDifferences, out: &mut dyn Write) -> io::Result<()> {
    let FeedDifferences { added, removed, altered, refused, entries } = differences;
    let [added, removed, altered] = [added, removed, altered].map(|&count| thousands(count));
    writeln!(out, "added {added}, removed {removed}, altered {altered}")?;
    if let Some(why) = refused {
        writeln!(out, "would be refused: {}", plain(why))?;
    }
    for entry in entries {
        writeln!(out, "{}", plain(entry))?;
    }
    let all = differences.added + differences.removed + differences.altered;
    let left = all.saturating_sub(entries.len() as u64);
    if left > 0 && !entries.is_empty() {
        writeln!(out, "... and {} more", thousands(left))?;
    }
    Ok(())
}

/// Prints the generations that are kept, and whether what is enforced is among them.
///
/// # Errors
/// As `out` has.
pub(super) fn write_generations(kept: &[GenerationSummary], enforced: u64, out: &mut dyn Write) -> io::Result<()> {
    let mut table = Table::new(vec!["generation", "published", "entries", "feeds", ""]);
    for generation in kept {
        let feeds: Vec<String> = generation
            .feeds
            .iter()
            .map(|(name, entries, pinned)| {
                format!("{name} {}{}", thousands(*entries), if *pinned { " (pinned)" } else { "" })
            })
            .collect();
        table.row(vec![
            generation.generation.into(),
            Cell::Text(ago(generation.made_at_secs)),
            generation.feeds.iter().map(|(_, entries, _)| entries).sum::<u64>().into(),
            Cell::Text(feeds.join(", ")),
            if generation.in_force { "in force" } else { "" }.into(),
        ]);
    }
    table.write(out, 0)?;
    match enforced {
        0 => writeln!(out, "nothing is enforced yet"),
        _ if kept.iter().any(|kept| kept.in_force) => Ok(()),
        enforced => writeln!(out, "generation {enforced} is enforced, and not kept"),
    }
}

/// How long ago a moment was, its time given in seconds since 1970; 0 is never.
fn ago(at_secs: u64) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    match at_secs {
        0 => "never".to_owned(),
        at => span(now.saturating_sub(at)),
    }
}

/// A span in its largest unit, two at most.
fn span(secs: u64) -> String {
    match secs {
        0..120 => format!("{secs} s ago"),
        120..7200 => format!("{} min ago", secs / 60),
        7200..172_800 => format!("{} h {} min ago", secs / 3600, secs % 3600 / 60),
        _ => format!("{} d {} h ago", secs / 86_400, secs % 86_400 / 3600),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_in_words() {
        for (secs, want) in [
            (0, "0 s ago"),
            (119, "119 s ago"),
            (120, "2 min ago"),
            (7199, "119 min ago"),
            (7200, "2 h 0 min ago"),
            (90_061, "25 h 1 min ago"),
            (180_000, "2 d 2 h ago"),
        ] {
            assert_eq!(span(secs), want);
        }
        assert_eq!(ago(0), "never");
    }

    #[test]
    fn tables_say_how_each_stands() {
        let feed =
            |name: &str| FeedSummary { name: name.to_owned(), format: "plain".to_owned(), ..FeedSummary::default() };
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        let feeds = [
            FeedSummary { entries: 1_000_000, loaded_at_secs: now - 300, ..feed("good") },
            FeedSummary {
                stale: true,
                loaded_at_secs: now - 300,
                refused_updates: vec![("shrunk".to_owned(), 2), ("empty".to_owned(), 1)],
                refused_because: Some("expected more, got less; refused: path 2 (lines 3, 4)".to_owned()),
                ..feed("bad")
            },
            FeedSummary { pinned: true, loaded_at_secs: now - 300, ..feed("old") },
            feed("new"),
        ];
        let mut out = Vec::new();
        write_feeds(&feeds, &mut out).unwrap();
        let want = "\
feed  format    entries  refused  read       standing                  refused updates
good  plain   1,000,000        0  5 min ago  as its source             -
bad   plain           0        0  5 min ago  stale: the last good one  shrunk 2, empty 1
old   plain           0        0  5 min ago  pinned                    -
new   plain           0        0  never      not read yet              -

bad, last refused: expected more, got less; refused: path 2 (lines 3, 4)
";
        assert_eq!(String::from_utf8(out).unwrap(), want);

        let generation = |generation, in_force, entries| GenerationSummary {
            generation,
            made_at_secs: now - 600,
            in_force,
            feeds: vec![("a".to_owned(), entries, !in_force), ("b".to_owned(), 2, false)],
        };
        let mut out = Vec::new();
        write_generations(&[generation(12, true, 1000), generation(11, false, 999)], 12, &mut out).unwrap();
        let want = "\
generation  published   entries  feeds
        12  10 min ago    1,002  a 1,000, b 2         in force
        11  10 min ago    1,001  a 999 (pinned), b 2
";
        assert_eq!(String::from_utf8(out).unwrap(), want);
        for (enforced, want) in [(13, "generation 13 is enforced, and not kept\n"), (0, "nothing is enforced yet\n")] {
            let mut out = Vec::new();
            write_generations(&[generation(11, false, 999)], enforced, &mut out).unwrap();
            assert!(String::from_utf8(out).unwrap().ends_with(want), "{want}");
        }
    }
}
