//! What is wrong with a configuration ([`Faults`]), every one in one pass.
//!
//! A fault shows the operator's own text, cut short; it must never show a line of a feed.

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;

use ipnet::IpNet;

/// The most faults that are kept; the rest are counted. Three screens of them are as good as more.
pub const FAULTS_MAX: usize = 100;

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The configuration file.
    pub file: PathBuf,
    /// The line, from 1; 0 when no line is to blame.
    pub line: usize,
    /// The key with its sections, as `server.workers` or `feed[2].name`; empty when no key is to blame.
    pub key: String,
    /// What is wrong there.
    pub problem: Problem,
}

/// What is wrong in one place.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// The file cannot be read.
    #[error("expected a readable file, got: {0}")]
    Unreadable(std::io::ErrorKind),
    /// The file is larger than any configuration.
    #[error("expected a file of at most {expected} octets, got a larger one")]
    TooLarge {
        /// The limit.
        expected: u64,
    },
    /// The file is not text.
    #[error("expected UTF-8, got other octets")]
    NotText,
    /// The text is not TOML.
    #[error("expected TOML, got a syntax error: {0}")]
    Syntax(String),
    /// A value is not what the key takes.
    #[error("expected {expected}, got {got}")]
    Value {
        /// What the key takes.
        expected: String,
        /// The text that stands there, cut short.
        got: String,
    },
    /// A network whose address has bits of the host.
    #[error("expected {network}, or {address} for that address alone, got {got}")]
    HostBits {
        /// The network that holds the address.
        network: IpNet,
        /// The address.
        address: IpAddr,
        /// The text that stands there.
        got: String,
    },
    /// No upstream is named, and the system names none either.
    #[error(
        "expected servers to ask, got no such key, and {} names none that can be asked: {why}; set it, or [] to ask nobody",
        .path.display()
    )]
    NoNameServer {
        /// The system's list.
        path: PathBuf,
        /// What stands there instead.
        why: String,
    },
    /// A key that must be there is not.
    #[error("expected {expected}, got no such key")]
    Missing {
        /// What the key takes.
        expected: String,
    },
    /// A tenant's upstreams are not there before a restart.
    #[error(
        "expected an upstream-group that the running server has, got {group} for tenant {tenant}: groups take effect at a restart; \
         nothing was changed"
    )]
    NewGroup {
        /// Whose.
        tenant: String,
        /// The group.
        group: String,
    },
    /// Until a restart a client would ask servers that are given to it neither now nor by the file.
    #[error(
        "expected tenant {tenant}'s clients to stay with their servers until {group} has its new ones, got clients that it does not have now: \
         servers take effect at a restart; nothing was changed"
    )]
    OlderServers {
        /// Whose.
        tenant: String,
        /// The group, or `[upstream]`.
        group: String,
    },
    /// A key that once was.
    #[error("expected a known key, got one that is no more; there is {by}")]
    Replaced {
        /// What there is in its place.
        by: &'static str,
    },
    /// No such key.
    #[error("expected a known key, got {got}{}", .suggestion.map(|key| format!("; did you mean {key}?")).unwrap_or_default())]
    Unknown {
        /// The key as written.
        got: String,
        /// A known key that looks like it.
        suggestion: Option<&'static str>,
    },
}

impl Fault {
    /// The key, and what is wrong, fit for a log: of what stands in the file only keys are shown that are ours, or nearly. A value, and any other
    /// key, may be a name that was to be kept: what a customer denies, an indicator in the wrong place.
    #[must_use]
    pub fn for_log(&self) -> (&str, String) {
        match &self.problem {
            Problem::Value { expected, .. } => (&self.key, format!("expected {expected}, got something else")),
            // Whose network it is may be seen from it.
            Problem::HostBits { .. } => (&self.key, "expected a network without bits of the host".to_owned()),
            Problem::Unknown { got, suggestion } if suggestion.is_none() || got.contains(['.', '"', '\'']) => {
                let section = self.key.strip_suffix(got.as_str()).unwrap_or_default().trim_end_matches('.');
                (section, "expected a known key, got another".to_owned())
            }
            problem => (&self.key, problem.to_string()),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.file.display())?;
        if self.line > 0 {
            write!(f, "{}:", self.line)?;
        }
        if !self.key.is_empty() {
            write!(f, " {}:", self.key)?;
        }
        write!(f, " {}", self.problem)
    }
}

/// Everything that is wrong with a configuration, in the order of its lines.
#[derive(Debug, Clone, PartialEq, Eq, Default, thiserror::Error)]
pub struct Faults {
    /// At most [`FAULTS_MAX`], never none.
    found: Vec<Fault>,
    /// How many more there are.
    more: usize,
}

impl Faults {
    /// Sorted by line, the first [`FAULTS_MAX`] kept.
    pub(super) fn new(mut found: Vec<Fault>) -> Self {
        found.sort_by_key(|fault| fault.line);
        let more = found.len().saturating_sub(FAULTS_MAX);
        found.truncate(FAULTS_MAX);
        Self { found, more }
    }

    /// The faults, in the order of their lines.
    pub fn iter(&self) -> impl Iterator<Item = &Fault> {
        self.found.iter()
    }

    /// How many there are, those not kept included.
    #[must_use]
    pub const fn count(&self) -> usize {
        self.found.len() + self.more
    }
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, fault) in self.found.iter().enumerate() {
            if place > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{fault}")?;
        }
        if self.more > 0 {
            write!(f, "\nand {} more", self.more)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::testing::read;
    use super::*;

    #[test]
    fn a_fault_names_file_line_and_key() {
        let fault = |line, key: &str, problem| Fault { file: "cenote.toml".into(), line, key: key.to_owned(), problem };
        for (fault, want) in [
            (
                fault(12, "server.workers", Problem::Value { expected: "a number".into(), got: "\"x\"".into() }),
                "cenote.toml:12: server.workers: expected a number, got \"x\"",
            ),
            (
                fault(3, "server.listn", Problem::Unknown { got: "listn".into(), suggestion: Some("listen") }),
                "cenote.toml:3: server.listn: expected a known key, got listn; did you mean listen?",
            ),
            (
                fault(3, "x", Problem::Unknown { got: "x".into(), suggestion: None }),
                "cenote.toml:3: x: expected a known key, got x",
            ),
            (
                fault(0, "", Problem::Unreadable(std::io::ErrorKind::NotFound)),
                "cenote.toml: expected a readable file, got: entity not found",
            ),
        ] {
            assert_eq!(fault.to_string(), want);
        }
    }

    #[test]
    fn a_log_shows_keys_and_no_values() {
        let fault = |key: &str, problem| Fault { file: "f".into(), line: 1, key: key.to_owned(), problem };
        let value = Problem::Value { expected: "a name".into(), got: "'canary.example'".into() };
        let unknown = |got: &str, suggestion| Problem::Unknown { got: got.to_owned(), suggestion };
        for (fault, key, problem) in [
            (fault("gate.canaries[2]", value), "gate.canaries[2]", "expected a name, got something else"),
            (
                fault("server.lissten", unknown("lissten", Some("listen"))),
                "server.lissten",
                "expected a known key, got lissten; did you mean listen?",
            ),
            (fault("gate.'c.example'", unknown("'c.example'", None)), "gate", "expected a known key, got another"),
            (
                fault("'feeds.example'", unknown("'feeds.example'", Some("feed"))),
                "",
                "expected a known key, got another",
            ),
            (fault("c1", unknown("c1", None)), "", "expected a known key, got another"),
        ] {
            assert_eq!(fault.for_log(), (key, problem.to_owned()));
        }
    }

    #[test]
    fn faults_come_in_the_order_of_lines_and_are_bounded() {
        let fault = |line| Fault { file: "f".into(), line, key: String::new(), problem: Problem::NotText };
        let faults = Faults::new((1..=FAULTS_MAX + 2).rev().map(fault).collect());
        assert_eq!(faults.count(), FAULTS_MAX + 2);
        assert!(faults.iter().map(|fault| fault.line).eq(1..=FAULTS_MAX));
        assert!(faults.to_string().ends_with("and 2 more"));
    }

    #[test]
    fn what_a_log_shows_of_a_damaged_file_is_nothing_of_its_values() {
        let text = "[gate]\ncanaries = [\"canary.example\", \"canary two\"]\nprotected = ['*.canary.test']\n[[tenant]]\n\
                    name = 'canary tenant'\nnetworks = ['192.0.2.5/24']\ndeny = [\"canary.example\"]\nallow = ['canary.test', 'canary..']\n[access]\n\
                    allow = ['canary']\n[[zone]]\nname = 'canary..'\nfile = 'canary'\n[sinkhole]\ncname = 'canary..'\nsoa = 'canary'\n";
        for at in 0..text.len() {
            let (before, after) = text.split_at(at);
            for damaged in [
                before.to_owned(),
                format!("{before}\"{after}"),
                format!("{before}\n[{after}"),
                format!("{before}={after}"),
            ] {
                let faults = read(&damaged, Path::new("c.toml")).err().unwrap_or_default();
                for fault in faults.iter() {
                    let (key, problem) = fault.for_log();
                    assert!(!key.contains("canary.") && !problem.contains("canary"), "{key}: {problem}\n{damaged}");
                    assert!(!problem.contains("192.0.2.5/24"), "{key}: {problem}\n{damaged}");
                }
            }
        }
    }
}
