//! Assembly: what is started in which order, how a generation is replaced, how it all ends.
//!
//! Start: catch signals → bind every socket → start workers and doors, not ready → load feeds → publish → ready. End: not ready, and still
//! answering for a while → streams finish, then workers, then the rest, each in bounded time.

mod assemble;
mod assembly;
mod compile;
mod content;
mod control;
mod differences;
mod explain;
mod feeds;
mod generation;
mod guarding;
mod keeping;
mod loading;
mod merging;
mod publisher;
mod rollback;
mod server;
mod signals;
mod sockets;
mod standing;
mod tasks;
mod upstreams;
mod watching;

use std::net::SocketAddr;
use std::sync::Arc;
use std::{error, io};

pub use compile::{Asked, CompileError, Uncarried, compile};
pub use differences::{DIFFERENCES_NAMED_MAX, Differences};
pub use explain::NoListener;
pub use feeds::FeedSet;
pub use loading::{FeedError, FeedTrouble, LoadedFeeds, Progress, Wanted, load_feeds};
pub use server::{Server, Started};
pub use signals::Signals;
pub use standing::{FeedState, Tally};
pub use tasks::{Generations, ReloadError, Reloaded};

use crate::admin::{Asker, Explanation, SocketError};
use crate::config::Settings;
use crate::index::BuildError;
use crate::name::Name;
use crate::sys::{self, BindError};
use crate::zone::{ZoneError, Zones};

/// Why the server did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A listener.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// The address of `[metrics] listen`.
    #[error("cannot listen on HTTP {address} (metrics.listen)")]
    Http {
        /// Which.
        address: SocketAddr,
        /// What the kernel said.
        source: io::Error,
    },
    /// The admin socket.
    #[error(transparent)]
    Socket(#[from] SocketError),
    /// Zones.
    #[error("{}", .0.iter().map(|fault| chain(fault)).collect::<Vec<_>>().join("\n"))]
    Zones(Vec<ZoneError>),
    /// What `explain` was asked about.
    #[error(transparent)]
    Listener(#[from] NoListener),
    /// The first load.
    #[error(transparent)]
    Load(#[from] ReloadError),
    /// Threads, pollers, randomness, limits.
    #[error("cannot {what}")]
    System {
        /// Do what.
        what: &'static str,
        /// What the system said.
        source: io::Error,
    },
}

/// Makes a system's error a [`StartError`].
fn system(what: &'static str) -> impl FnOnce(io::Error) -> StartError {
    move |source| StartError::System { what, source }
}

/// An error and its causes in one line; a cause that its error already ends with is not said twice.
#[must_use]
pub fn chain(error: &dyn error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let said = cause.to_string();
        if !text.ends_with(&said) {
            text = format!("{text}: {said}");
        }
        source = cause.source();
    }
    text
}

/// Turns core dumps off. Once, before anything sensitive is read.
///
/// # Errors
/// [`StartError::System`].
pub fn harden() -> Result<(), StartError> {
    sys::forbid_core_dumps().map_err(system("turn core dumps off"))
}

/// Loads a policy without serving it, and explains a name by it.
///
/// # Errors
/// [`StartError`].
pub fn explain_offline(settings: &Settings, name: &Name, asker: Asker) -> Result<Explanation, StartError> {
    let listener = explain::place(&settings.server.listen, asker)?;
    let LoadedFeeds { set: feeds, troubles, .. } =
        load_feeds(&settings.feeds, None, Wanted::All, &mut |_, _, _| ()).map_err(ReloadError::Build)?;
    if !troubles.is_empty() {
        return Err(ReloadError::Feeds(troubles).into());
    }
    let zones = Zones::build(&settings.zones).map_err(StartError::Zones)?;
    let (indexes, _) = feeds.in_force(loading::now_secs());
    let rules = generation::rules(settings, Arc::new(zones), Some(indexes), 0, |_| None);
    Ok(explain::explain(&rules, name, asker, listener))
}

/// Reads feeds and zones as a start would, and gives every fault of either.
///
/// # Errors
/// All that is wrong.
pub fn check(settings: &Settings, progress: Progress<'_>) -> Result<FeedSet, Vec<Box<dyn error::Error + Send + Sync>>> {
    let mut faults: Vec<Box<dyn error::Error + Send + Sync>> = Vec::new();
    let zones = Zones::build(&settings.zones).err().unwrap_or_default();
    faults.extend(zones.into_iter().map(Into::into));
    let loaded: Result<_, BuildError> = load_feeds(&settings.feeds, None, Wanted::All, progress);
    match loaded {
        Ok(loaded) if loaded.troubles.is_empty() && faults.is_empty() => return Ok(loaded.set),
        Ok(LoadedFeeds { troubles, .. }) => faults.extend(troubles.into_iter().map(Into::into)),
        Err(error) => faults.push(error.into()),
    }
    Err(faults)
}
