//! Which files make a generation, and that a change of one becomes a task.

use std::path::{Path, PathBuf};
use std::sync::mpsc::Sender;
use std::thread;

use super::publisher::Publisher;
use super::tasks::Task;
use crate::config::Settings;
use crate::feed::{Notice, Source, Stat, Watch, WatchError};

impl Publisher {
    /// Every file that makes a generation.
    pub(super) fn files(&self) -> Vec<PathBuf> {
        files(self.config_file.as_deref(), &self.settings)
    }

    /// Watches the files; a change that has come to rest is a task, and so is one since they were read. Without a watch there is still
    /// SIGHUP.
    pub(super) fn watch(&self, tasks: &Sender<Task>) -> Option<Watch> {
        let files = self.files();
        let watch = if files.is_empty() { None } else { begin_watch(files, tasks) };
        if self.seen.as_ref() != Some(&look(&self.files())) {
            // Refused only once the publisher is gone.
            tasks.send(Task::Recheck).ok();
        }
        watch
    }
}

/// Watches these files, and makes what is told of them tasks.
fn begin_watch(files: Vec<PathBuf>, tasks: &Sender<Task>) -> Option<Watch> {
    let (watch, notices) = Watch::start(files).inspect_err(warn_unwatched).ok()?;
    let tasks = tasks.clone();
    let relay = move || {
        // Ends with the watch, or with the publisher.
        while let Ok(notice) = notices.recv() {
            match notice {
                Notice::Unwatched(error) => warn_unwatched(&error),
                Notice::Changed(changed) => {
                    if tasks.send(Task::Changed(changed.paths)).is_err() {
                        break;
                    }
                }
            }
        }
    };
    thread::Builder::new().name("cenote-changes".to_owned()).spawn(relay).ok()?;
    Some(watch)
}

/// Every file that makes a generation: the configuration first, then zones and what feeds may not sink, then feeds.
pub(super) fn files(config_file: Option<&Path>, settings: &Settings) -> Vec<PathBuf> {
    let feeds = settings.feeds.iter().filter_map(|feed| match &feed.source {
        Source::File(path) => Some(path.clone()),
        Source::Sample => None,
    });
    other_files(config_file, settings).chain(feeds).collect()
}

/// Those of them that are no feed's.
pub(super) fn other_files(config_file: Option<&Path>, settings: &Settings) -> impl Iterator<Item = PathBuf> {
    let zones = settings.zones.zones.iter().map(|zone| zone.file.clone());
    config_file.map(Path::to_owned).into_iter().chain(settings.protected_file.clone()).chain(zones)
}

/// What files look like now.
pub(super) fn look(files: &[PathBuf]) -> Vec<Option<Stat>> {
    files.iter().map(|file| Stat::of(file)).collect()
}

/// Says that files are not watched.
fn warn_unwatched(error: &WatchError) {
    match error {
        WatchError::Thread(_) => {
            tracing::warn!(error = super::chain(error), "files are not watched; SIGHUP or `cenote reload` reloads");
        }
        _ => tracing::warn!(error = super::chain(error), "its files are looked at every two seconds instead"),
    }
}
