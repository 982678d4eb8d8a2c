//! Where generations are kept, how many, and what they are for at a start.

use std::ffi::OsStr;
use std::ops::RangeInclusive;
use std::path::PathBuf;

use serde::Deserialize;

/// What is enforced at a start before the sources were read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Start {
    /// What was kept last; with nothing kept, names that would be forwarded are SERVFAIL until all sources were read.
    #[default]
    LastGood,
    /// Nothing: those names are SERVFAIL until all sources were read. A source that cannot be read falls back on what was kept of it.
    Wait,
    /// What was kept last; with nothing kept, names are forwarded but for those that the sources read so far list.
    Open,
}

/// The store's settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreConfig {
    /// The folder; `None`: nothing is kept.
    pub directory: Option<PathBuf>,
    /// How many generations are kept, the one in force among them.
    pub generations: u32,
    /// What a start enforces.
    pub start: Start,
}

impl StoreConfig {
    /// What `generations` may be.
    pub const GENERATIONS: RangeInclusive<u32> = 1..=100;
}

impl Default for StoreConfig {
    /// In the first folder that systemd makes for a service with `StateDirectory=`; without one nothing is kept.
    fn default() -> Self {
        let directory = std::env::var_os("STATE_DIRECTORY").and_then(|folders| first_folder(&folders));
        Self { directory, generations: 5, start: Start::default() }
    }
}

/// The first of the folders that a service manager made, which stand in one variable with colons between them (systemd.exec(5)).
fn first_folder(folders: &OsStr) -> Option<PathBuf> {
    std::env::split_paths(folders).find(|folder| folder.is_absolute())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_several_folders_the_first_is_taken() {
        for (folders, want) in [
            ("/var/lib/cenote/state", Some("/var/lib/cenote/state")),
            ("/var/lib/cenote/state:/var/lib/more", Some("/var/lib/cenote/state")),
            ("", None),
        ] {
            assert_eq!(first_folder(OsStr::new(folders)).as_deref(), want.map(std::path::Path::new), "{folders}");
        }
    }
}
