//! The README's section on `explain`: its configuration, its files and its cases are run as they stand there.

use std::fs;

use crate::harness::child::run_in;

/// The section.
fn section() -> &'static str {
    let readme = include_str!("../../README.md");
    let (_, rest) = readme.split_once("\n## Explain, thirteen hard cases\n").expect("README.md has the section");
    rest.split("\n## ").next().unwrap_or_default()
}

/// What stands between a fence of this kind and its end, block by block.
fn blocks(kind: &str) -> Vec<&'static str> {
    let fence = format!("\n```{kind}\n");
    section().split(&fence).skip(1).map(|rest| rest.split("```").next().unwrap_or_default()).collect()
}

/// Each command of a block, and the lines below it up to the next one; empty lines and comments left out.
fn commands(block: &str) -> Vec<(&str, Vec<&str>)> {
    let mut commands: Vec<(&str, Vec<&str>)> = Vec::new();
    for line in block.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        match (line.strip_prefix("$ "), commands.last_mut()) {
            (Some(command), _) => commands.push((command, Vec::new())),
            (None, Some((_, lines))) => lines.push(line),
            (None, None) => panic!("{line}: a command comes first"),
        }
    }
    commands
}

#[test]
fn the_readmes_thirteen_hard_cases_are_what_explain_says() {
    let folder = tempfile::tempdir().unwrap();
    let (tomls, consoles) = (blocks("toml"), blocks("console"));
    let ([config], [files, cases]) = (&tomls[..], &consoles[..]) else { panic!("a configuration, files, cases") };
    fs::write(folder.path().join("explain.toml"), config).unwrap();
    for (command, lines) in commands(files) {
        let file = command.strip_prefix("cat ").unwrap_or_else(|| panic!("{command}: shows a file"));
        fs::write(folder.path().join(file), lines.join("\n") + "\n").unwrap();
    }
    let comments: Vec<&str> = cases.lines().filter(|line| line.starts_with('#')).collect();
    let commands = commands(cases);
    assert_eq!((comments.len(), commands.len()), (13, 13), "each case says what it shows");
    for ((number, comment), (command, lines)) in (1..).zip(comments).zip(commands) {
        assert!(comment.starts_with(&format!("# {number}. ")), "{comment}");
        let words: Vec<&str> = command.split(' ').skip(1).collect();
        let output = run_in(folder.path(), &words);
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
        let mut rest = said.lines();
        assert!(lines.iter().any(|line| line.starts_with("decision")), "{command}: its decision is shown");
        for line in lines {
            assert!(
                rest.any(|said| said == line),
                "{command}: README.md has, at its place, `{line}`, and it says\n{said}"
            );
        }
    }
}
