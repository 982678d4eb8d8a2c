//! What the publisher is told to do, and what comes of it.

use std::path::PathBuf;
use std::sync::mpsc::{Receiver, Sender, channel};

use super::differences::Differences;
use super::loading::FeedTrouble;
use super::merging::Merged;
use crate::config::{Fault, Faults};
use crate::feed::{KeptGeneration, StoreError};
use crate::index::BuildError;
use crate::zone::ZoneError;

/// Where an answer goes; whoever asked may have gone.
pub(super) type Answer<T> = Sender<Result<T, ReloadError>>;

/// What the publisher is told to do.
pub(super) enum Task {
    /// Read everything again, whatever the files look like: an operator asks.
    Reload(Option<Answer<Reloaded>>),
    /// Read configuration and zones again, and the feeds that changed.
    Recheck,
    /// These files changed.
    Changed(Vec<PathBuf>),
    /// Read these feeds again, or all, whatever their files look like.
    Refresh {
        /// The operator's names for them; none: all.
        feeds: Vec<String>,
        /// Whether the gate's bounds are waived.
        force: bool,
        /// Who asked.
        answer: Answer<Reloaded>,
    },
    /// Enforce an older generation's feeds, and pin them.
    Rollback {
        /// Its number; `None`: the newest in which one of them was other than it is.
        generation: Option<u64>,
        /// The operator's names for them; none: all.
        feeds: Vec<String>,
        /// Who asked.
        answer: Answer<Reloaded>,
    },
    /// Let these pinned feeds, or all, follow their sources again.
    Unpin {
        /// The operator's names for them; none: all.
        feeds: Vec<String>,
        /// Who asked.
        answer: Answer<Reloaded>,
    },
    /// Say what reading this feed now would change, or what changed since a generation.
    Differences {
        /// The operator's name for it.
        feed: String,
        /// The generation's number.
        since: Option<u64>,
        /// Whether entries are told too.
        named: bool,
        /// Who asked.
        answer: Answer<Differences>,
    },
    /// Take an index that was built whole in the background.
    Merged(Merged),
    /// Say which generations are kept.
    Generations(Answer<Generations>),
    /// Panic.
    #[cfg(test)]
    Panic,
    /// End.
    Stop,
}

/// What a reload came to.
#[derive(Debug, Clone)]
pub struct Reloaded {
    /// The generation in force now.
    pub generation: u64,
    /// What the operator should know.
    pub notes: Vec<String>,
    /// The feeds that were to be read and were not taken.
    pub refused: Vec<String>,
}

/// The generations kept on disk.
#[derive(Debug, Clone)]
pub struct Generations {
    /// The newest first.
    pub kept: Vec<KeptGeneration>,
    /// The number of the one in force; 0: what is enforced, if anything is, is not kept.
    pub in_force: u64,
    /// The number of what is enforced; 0: nothing is.
    pub enforced: u64,
}

/// Why nothing was reloaded; the generation in force stays.
#[derive(Debug, thiserror::Error)]
pub enum ReloadError {
    /// The configuration is wrong.
    #[error(transparent)]
    Config(#[from] Faults),
    /// The configuration is right, but its queries would go to servers that it does not mean, before a restart.
    #[error("{0}")]
    Upstreams(Fault),
    /// A zone is wrong.
    #[error("{}", list(.0))]
    Zones(Vec<ZoneError>),
    /// The index could not be built.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// A load without a server: these could not be taken.
    #[error("{}", list(.0))]
    Feeds(Vec<FeedTrouble>),
    /// The first load: none could be taken.
    #[error(
        "{}\nno feed could be read and none is kept, so that nothing would be enforced: not started; mend the sources, or set state.start = \
         \"wait\" or \"open\"",
        list(.0)
    )]
    NothingToEnforce(Vec<FeedTrouble>),
    /// A generation could not be had back, or another server has the folder.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Nothing is kept.
    #[error("expected a state directory (state.directory), got a server that keeps no generations")]
    NoStore,
    /// There is only one generation.
    #[error(
        "expected an older generation in which a feed was other than it is, got none; `cenote generations` lists them"
    )]
    NoneBefore,
    /// No feed is called so.
    #[error("expected a feed's name, got one that no feed has: {0}")]
    NoSuchFeed(String),
    /// There is nothing to do.
    #[error("{0}")]
    Nothing(&'static str),
    /// The server is stopping, or the task panicked.
    #[error("it was not done: the server is stopping, or failed by a defect; see its log")]
    Stopping,
}

/// Each on a line.
fn list<E: std::error::Error>(errors: &[E]) -> String {
    let lines: Vec<String> = errors.iter().map(|error| super::chain(error)).collect();
    lines.join("\n")
}

/// A queue of tasks.
pub(super) fn tasks() -> (Sender<Task>, Receiver<Task>) {
    channel()
}
