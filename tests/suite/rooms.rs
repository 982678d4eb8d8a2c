//! The house rules, as a test: who may name whom, who may not wait, print, be unsafe or ask the time.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Each room and the rooms it may name; `*` is everyone but `cli`.
const ROOMS: [(&str, &[&str]); 16] = [
    ("sys", &[]),
    ("name", &[]),
    ("net", &[]),
    ("metrics", &[]),
    ("wire", &["name"]),
    ("index", &["name", "sys"]),
    ("policy", &["name", "index"]),
    ("zone", &["name", "wire"]),
    ("cache", &["name", "wire"]),
    ("forward", &["name", "wire", "policy", "cache"]),
    ("feed", &["name", "wire", "index", "policy", "metrics"]),
    ("server", &["name", "net", "wire", "policy", "zone", "cache", "forward", "metrics", "sys"]),
    ("admin", &["metrics", "policy", "feed"]),
    ("config", &["name", "index", "policy", "zone", "cache", "forward", "feed", "server", "admin"]),
    ("app", &["*"]),
    ("cli", &["*", "cli"]),
];

/// Rooms and files without a clock, a socket, randomness of their own, waiting or logging.
const PURE: [&str; 16] = [
    "name/",
    "net/",
    "wire/",
    "index/",
    "policy/",
    "cache/",
    "forward/",
    "server/respond.rs",
    "server/sink/",
    "server/access.rs",
    "server/chain/",
    "server/client.rs",
    "server/networks.rs",
    "server/proxy.rs",
    "server/upstream/line.rs",
    "server/upstream/lines.rs",
];

/// Every source file below `src`, and its text without test modules and comments.
fn sources() -> Vec<(PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut folders = vec![root.clone()];
    let mut sources = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                sources.push((path.strip_prefix(&root).unwrap().to_owned(), code(&text)));
            }
        }
    }
    assert!(sources.len() > 40, "the sources were not found");
    sources
}

/// The text up to the test module, without comments.
fn code(text: &str) -> String {
    let text = text.split("\n#[cfg(test)]\nmod tests").next().unwrap();
    text.lines().map(|line| line.split("//").next().unwrap()).collect::<Vec<_>>().join("\n")
}

/// Modules compiled for tests alone: `mod x;` behind `#[cfg(test)]`.
fn test_only(sources: &[(PathBuf, String)]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for (path, text) in sources {
        let lines: Vec<&str> = text.lines().map(str::trim).collect();
        for pair in lines.windows(2).filter(|pair| pair[0] == "#[cfg(test)]") {
            let module = pair[1].rsplit("mod ").next().unwrap().trim_end_matches(';').to_owned();
            let folder = path.parent().unwrap();
            found.push(folder.join(format!("{module}.rs")));
            found.push(folder.join(module));
        }
    }
    found
}

/// The rooms a text names through `crate::`.
fn named(text: &str) -> Vec<String> {
    let mut rooms = Vec::new();
    for part in text.split("crate::").skip(1) {
        if let Some(group) = part.strip_prefix('{') {
            let (mut depth, mut word) = (0, String::new());
            for c in group.chars() {
                match c {
                    '{' => depth += 1,
                    '}' if depth == 0 => break,
                    '}' => depth -= 1,
                    _ => {}
                }
                if depth == 0 && (c.is_alphanumeric() || c == '_') {
                    word.push(c);
                } else if !word.is_empty() {
                    rooms.push(std::mem::take(&mut word));
                }
            }
            rooms.push(word);
        } else {
            rooms.push(part.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect());
        }
    }
    let known: BTreeMap<_, _> = ROOMS.into_iter().collect();
    rooms.retain(|room| known.contains_key(room.as_str()));
    rooms
}

/// The sources that end up in the program, with the room each is in.
fn program() -> Vec<(String, PathBuf, String)> {
    let sources = sources();
    let tests = test_only(&sources);
    sources
        .into_iter()
        .filter(|(path, _)| !tests.iter().any(|test| path.starts_with(test)))
        .map(|(path, text)| (path.iter().next().unwrap().to_str().unwrap().to_owned(), path, text))
        .collect()
}

#[test]
fn a_room_names_only_whom_it_may() {
    let rules: BTreeMap<_, _> = ROOMS.into_iter().collect();
    for (room, path, text) in program() {
        let Some(may) = rules.get(room.as_str()) else {
            assert!(["lib.rs", "main.rs"].contains(&room.as_str()), "{} is in no room", path.display());
            continue;
        };
        for other in named(&text) {
            let fine = other == room || may.contains(&other.as_str()) || (may.contains(&"*") && other != "cli");
            assert!(fine, "{} names {other}; {room} may name {may:?}", path.display());
        }
    }
}

#[test]
fn pure_rooms_have_no_clock_no_socket_no_waiting_and_no_log() {
    for (_, path, text) in program() {
        if !PURE.iter().any(|pure| path.to_str().unwrap().starts_with(pure)) {
            continue;
        }
        for word in [
            "async ",
            ".await",
            "Instant::now",
            "SystemTime",
            "std::net::Udp",
            "std::net::Tcp",
            "tokio",
            "tracing",
            "rand::rng(",
            "thread_rng",
            "SysRng",
        ] {
            assert!(!text.contains(word), "{} says `{word}`", path.display());
        }
    }
}

#[test]
fn unsafe_is_in_sys_alone_printing_in_cli_alone_and_toml_in_config_alone() {
    for (room, path, text) in program() {
        for (word, home) in [
            ("unsafe ", "sys"),
            ("println!", "cli"),
            ("print!(", "cli"),
            ("io::stdout", "cli"),
            ("io::stderr", "cli"),
            ("toml::", "config"),
        ] {
            let mut found = text.lines().filter(|line| line.contains(word) && !line.contains("unsafe_code"));
            let allowed = room == home || (word.starts_with("io::std") && room == "main.rs");
            assert!(allowed || found.next().is_none(), "{} says `{word}`, which is {home}'s", path.display());
        }
    }
}

#[test]
fn entries_of_a_feeds_text_come_in_by_one_door() {
    for (room, path, text) in program().into_iter().filter(|(room, ..)| room == "feed") {
        let gathers = text.contains("Entries::") && !path.ends_with("store/tests.rs");
        assert!(!gathers || path.ends_with("door.rs"), "{room}: {} gathers entries past the guard", path.display());
    }
}

#[test]
fn a_name_is_revealed_to_who_asked_about_it_and_to_nobody_else() {
    for (_, path, text) in program() {
        let place = path.to_str().unwrap();
        let may = place == "name/owned.rs"
            || place == "app/explain.rs"
            || place == "app/differences.rs"
            || place.starts_with("cli/")
            || place.starts_with("config/");
        assert!(may || !text.contains(".reveal()"), "{place} reveals a name");
    }
}

#[test]
fn every_file_says_what_it_is() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    for (path, _) in sources() {
        let text = fs::read_to_string(root.join(&path)).unwrap();
        assert!(text.starts_with("//!"), "{} does not open with //!", path.display());
        assert!(text.lines().count() <= 600, "{} is long: does it still have one idea?", path.display());
    }
}
