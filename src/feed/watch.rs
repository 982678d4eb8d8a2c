//! [`Watch`]: tells when files have changed and come to rest.
//!
//! The folders are watched, not the files: editors and `mv` put another file in the place of the one that was there, and a Kubernetes
//! ConfigMap swaps a link on the way to it. Any event in them leads to a look at the files, and only a file that looks other than before
//! is a change, so that our own reading of it never is. One thread, which sleeps until something happens.

use std::collections::BTreeSet;
use std::path::{Component, Path, PathBuf};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use notify::{RecommendedWatcher, RecursiveMode, Watcher as _};

use super::settle::{Settling, Stat, Verdict};

/// The most links followed on the way to a file (Linux follows 40).
const LINKS_MAX: usize = 40;

/// Files changed and may be read again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Changed {
    /// Which, as they were given.
    pub paths: Vec<PathBuf>,
    /// Whether they had come to rest; else one of them may be half written.
    pub still: bool,
}

/// Why files cannot be watched.
#[derive(Debug, thiserror::Error)]
pub enum WatchError {
    /// The system gives no watches at all.
    #[error("files cannot be watched for changes")]
    Unavailable(#[source] notify::Error),
    /// This folder cannot be watched: it does not exist, may not be read, or watches have run out.
    #[error("{folder}: cannot be watched for changes", folder = folder.display())]
    Folder {
        /// Which.
        folder: PathBuf,
        /// What the system said.
        source: notify::Error,
    },
    /// No thread could be started.
    #[error("no thread to watch files with")]
    Thread(#[source] std::io::Error),
}

/// What the thread is told.
enum Message {
    /// Something happened at these paths, or anywhere (none).
    Event(Vec<PathBuf>),
    /// Its owner is gone.
    Stop,
}

/// A watch over some files; ends when it is dropped.
#[derive(Debug)]
pub struct Watch {
    /// Tells the thread to end.
    stop: Sender<Message>,
    /// The thread.
    thread: Option<JoinHandle<()>>,
}

impl Watch {
    /// Watches `paths`. Begin before the first load, so that no change falls between the two.
    ///
    /// # Errors
    /// [`WatchError`]; a file need not exist, its folder must.
    pub fn start(paths: Vec<PathBuf>) -> Result<(Self, Receiver<Changed>), WatchError> {
        let (send, messages) = mpsc::channel();
        let on_event = send.clone();
        let watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            let paths = match event {
                Ok(event) if event.kind.is_access() && !event.need_rescan() => return,
                Ok(event) if !event.need_rescan() => event.paths,
                // Events were lost: look at everything.
                _ => Vec::new(),
            };
            // Refused only once the thread is gone, and then nobody wants it.
            on_event.send(Message::Event(paths)).ok();
        })
        .map_err(WatchError::Unavailable)?;
        let (changed, receiver) = mpsc::channel();
        let mut watched =
            Watched { watcher, paths, steps: BTreeSet::new(), folders: BTreeSet::new(), known: Vec::new() };
        watched.arm()?;
        watched.known = watched.look();
        let thread = std::thread::Builder::new()
            .name("feed-watch".to_owned())
            .spawn(move || watched.run(&messages, &changed))
            .map_err(WatchError::Thread)?;
        Ok((Self { stop: send, thread: Some(thread) }, receiver))
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        // Refused only if the thread is gone already; and a panic of the thread ends with it.
        self.stop.send(Message::Stop).ok();
        if let Some(thread) = self.thread.take() {
            thread.join().ok();
        }
    }
}

/// The thread's own.
struct Watched {
    /// The system's watches.
    watcher: RecommendedWatcher,
    /// The files, as they were given.
    paths: Vec<PathBuf>,
    /// Every path on the way to a file: each link, and the file.
    steps: BTreeSet<PathBuf>,
    /// The folders of `steps`, which are watched.
    folders: BTreeSet<PathBuf>,
    /// What the files looked like when they were last reported, or at the start.
    known: Vec<Option<Stat>>,
}

impl Watched {
    /// Waits for events, for rest, and reports; until told to stop.
    fn run(mut self, messages: &Receiver<Message>, changed: &Sender<Changed>) {
        let mut settling: Option<Settling> = None;
        let mut wait = None;
        loop {
            let message = match wait {
                None => messages.recv().map_err(|_| RecvTimeoutError::Disconnected),
                Some(time) => messages.recv_timeout(time),
            };
            match message {
                Ok(Message::Stop) | Err(RecvTimeoutError::Disconnected) => return,
                Ok(Message::Event(paths)) if settling.is_none() && !self.concerns(&paths) => continue,
                Ok(Message::Event(_)) | Err(RecvTimeoutError::Timeout) => {}
            }
            let (now, stats) = (Instant::now(), self.look());
            let verdict = settling.get_or_insert_with(|| Settling::begin(now, stats.clone())).look(now, &stats);
            if let Verdict::Wait(time) = verdict {
                wait = Some(time);
                continue;
            }
            // A folder on the way may have been replaced with all in it, and a file in it may change before it is watched: look again. A
            // folder that cannot be watched now is tried again at the next event.
            self.arm().ok();
            if verdict == Verdict::Still && self.look() != stats {
                wait = Some(Duration::ZERO);
                continue;
            }
            (settling, wait) = (None, None);
            if let Some(paths) = self.report(stats)
                && changed.send(Changed { paths, still: verdict == Verdict::Still }).is_err()
            {
                return;
            }
        }
    }

    /// Whether an event at `paths` may mean a change of a file.
    fn concerns(&self, paths: &[PathBuf]) -> bool {
        paths.is_empty() || paths.iter().any(|path| self.steps.contains(path) || self.folders.contains(path))
    }

    /// Looks at every file.
    fn look(&self) -> Vec<Option<Stat>> {
        self.paths.iter().map(|path| Stat::of(path)).collect()
    }

    /// The files that look other than they did; from now on they are known so.
    fn report(&mut self, stats: Vec<Option<Stat>>) -> Option<Vec<PathBuf>> {
        let before = std::mem::replace(&mut self.known, stats);
        let pairs = before.iter().zip(&self.known).zip(&self.paths);
        let paths: Vec<_> = pairs.filter(|((old, new), _)| old != new).map(|(_, path)| path.clone()).collect();
        Some(paths).filter(|paths| !paths.is_empty())
    }

    /// Watches every folder on the way to a file, and no other.
    fn arm(&mut self) -> Result<(), WatchError> {
        self.steps = self.paths.iter().flat_map(|path| steps(path)).collect();
        let folders = self.steps.iter().filter_map(|step| step.parent()).map(Path::to_owned).collect();
        for folder in std::mem::replace(&mut self.folders, folders).difference(&self.folders) {
            // The folder itself may be gone, and its watch with it.
            self.watcher.unwatch(folder).ok();
        }
        let mut outcome = Ok(());
        for folder in &self.folders {
            // Watching a folder again replaces its watch, which is what a folder made anew under the same name needs.
            let watched = self.watcher.watch(folder, RecursiveMode::NonRecursive);
            outcome = outcome.and(watched.map_err(|source| WatchError::Folder { folder: folder.clone(), source }));
        }
        outcome
    }
}

/// Every path on the way to the file behind `path`: each link that is followed, and the file itself, absolute.
fn steps(path: &Path) -> Vec<PathBuf> {
    let mut steps = Vec::new();
    let Ok(mut path) = std::path::absolute(path) else { return steps };
    for _ in 0..LINKS_MAX {
        match first_link(&path) {
            None => {
                steps.push(path);
                break;
            }
            Some((link, followed)) => {
                steps.push(link);
                path = followed;
            }
        }
    }
    steps
}

/// The first link in `path`, and `path` with that link replaced by what it says.
fn first_link(path: &Path) -> Option<(PathBuf, PathBuf)> {
    let mut done = PathBuf::new();
    let mut components = path.components();
    while let Some(component) = components.next() {
        if component == Component::ParentDir {
            done.pop();
            continue;
        }
        done.push(component);
        if let Ok(target) = std::fs::read_link(&done) {
            let folder = done.parent().unwrap_or(Path::new("/"));
            let followed = folder.join(target).join(components.as_path());
            return Some((done, followed));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    /// Far longer than a change takes to be told.
    const LIMIT: Duration = Duration::from_secs(20);

    /// A folder whose own path has no link in it.
    fn folder() -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().canonicalize().unwrap();
        (folder, path)
    }

    #[test]
    fn every_link_on_the_way_is_a_step() {
        let (_keep, root) = folder();
        std::fs::create_dir(root.join("v1")).unwrap();
        std::fs::write(root.join("v1/feed"), "a").unwrap();
        symlink("v1", root.join("..data")).unwrap();
        symlink("..data/feed", root.join("feed")).unwrap();
        assert_eq!(steps(&root.join("feed")), [root.join("feed"), root.join("..data"), root.join("v1/feed")]);
        assert_eq!(steps(&root.join("v1/feed")), [root.join("v1/feed")]);
        assert_eq!(steps(&root.join("none")), [root.join("none")]);
        symlink("loop", root.join("loop")).unwrap();
        assert_eq!(steps(&root.join("loop")).len(), LINKS_MAX);
    }

    #[test]
    fn a_write_a_move_and_a_swapped_link_are_told_and_a_neighbour_is_not() {
        let (_keep, root) = folder();
        for version in ["v1", "v2"] {
            std::fs::create_dir(root.join(version)).unwrap();
            std::fs::write(root.join(version).join("linked"), version).unwrap();
        }
        symlink("v1", root.join("..data")).unwrap();
        symlink("..data/linked", root.join("linked")).unwrap();
        let (plain, linked) = (root.join("plain"), root.join("linked"));
        std::fs::write(&plain, "a").unwrap();
        let (watch, changes) = Watch::start(vec![plain.clone(), linked.clone()]).unwrap();
        let told = |path: &Path| {
            assert_eq!(changes.recv_timeout(LIMIT), Ok(Changed { paths: vec![path.to_owned()], still: true }));
        };

        std::fs::write(&plain, "ab").unwrap();
        told(&plain);

        std::fs::write(root.join("other"), "abc").unwrap();
        std::fs::rename(root.join("other"), &plain).unwrap();
        told(&plain);

        symlink("v2", root.join("..data_tmp")).unwrap();
        std::fs::rename(root.join("..data_tmp"), root.join("..data")).unwrap();
        told(&linked);

        // The folder the link now leads to is watched too.
        std::fs::write(root.join("v2/linked"), "v2, again").unwrap();
        told(&linked);

        std::fs::read(&plain).unwrap();
        std::fs::write(root.join("neighbour"), "x").unwrap();
        std::fs::remove_file(&plain).unwrap();
        told(&plain);
        drop(watch);
        assert!(changes.recv_timeout(LIMIT).is_err(), "nothing else was told");
    }

    #[test]
    fn a_folder_that_is_not_there_cannot_be_watched() {
        let (_keep, root) = folder();
        let error = Watch::start(vec![root.join("none/feed")]).unwrap_err();
        assert!(matches!(error, WatchError::Folder { .. }), "{error:?}");
    }
}
