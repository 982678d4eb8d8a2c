//! [`Watch`]: tells when files have changed and come to rest, each for itself.
//!
//! The folders are watched, not the files: editors and `mv` put another file in the place of the one that was there, and a Kubernetes
//! ConfigMap swaps a link on the way to it. Any event in them leads to a look at the files, and only a file that looks other than before
//! is a change, so that our own reading of it never is. A folder that cannot be watched, because it is not there say, is told once and tried
//! again every two seconds, and its files are looked at as often. One thread, which sleeps until something happens.

use std::collections::BTreeSet;
use std::path::{Component, Path, PathBuf};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use notify::{RecommendedWatcher, RecursiveMode, Watcher as _};

use super::settle::{STILL_FOR, Settling, Stat, Verdict};

/// The most links followed on the way to a file (Linux follows 40).
const LINKS_MAX: usize = 40;
/// How often files are looked at while a folder on the way to one of them cannot be watched (a guess: a person waits for no more).
const UNWATCHED_LOOK_EVERY: Duration = Duration::from_secs(2);

/// What a watch tells.
#[derive(Debug)]
pub enum Notice {
    /// Files changed and may be read again.
    Changed(Changed),
    /// Something is not watched; its files are looked at now and then instead.
    Unwatched(WatchError),
}

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
    /// Watches `paths`. Begin before the first load, so that no change falls between the two. Neither a file nor its folder need exist.
    ///
    /// # Errors
    /// [`WatchError::Thread`]; whatever else cannot be watched is a [`Notice`].
    pub fn start(paths: Vec<PathBuf>) -> Result<(Self, Receiver<Notice>), WatchError> {
        let (send, messages) = mpsc::channel();
        let (notices, receiver) = mpsc::channel();
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
        });
        let watcher = watcher.map_err(|source| notices.send(Notice::Unwatched(WatchError::Unavailable(source)))).ok();
        let mut watched = Watched {
            watcher,
            files: Vec::new(),
            steps: BTreeSet::new(),
            folders: BTreeSet::new(),
            unwatched: BTreeSet::new(),
            arm_at: None,
            notices,
        };
        watched.files = paths.into_iter().map(|path| File { path, known: None, settling: None }).collect();
        watched.arm(Instant::now());
        for file in &mut watched.files {
            file.known = Stat::of(&file.path);
        }
        let thread = std::thread::Builder::new()
            .name("feed-watch".to_owned())
            .spawn(move || watched.run(&messages))
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

/// A file that is watched.
struct File {
    /// As it was given.
    path: PathBuf,
    /// What it looked like when it was last reported, or at the start.
    known: Option<Stat>,
    /// While it looks other than that.
    settling: Option<Settling>,
}

impl File {
    /// Looks at it: what that means if it changed, or is changing.
    fn look(&mut self, now: Instant) -> Option<Verdict> {
        let stat = Stat::of(&self.path);
        if self.settling.is_none() && stat == self.known {
            return None;
        }
        let verdict = self.settling.get_or_insert_with(|| Settling::begin(now, stat)).look(now, stat);
        if matches!(verdict, Verdict::Wait(_)) {
            return Some(verdict);
        }
        self.settling = None;
        // It may be what it was again.
        (std::mem::replace(&mut self.known, stat) != stat).then_some(verdict)
    }
}

/// The thread's own.
struct Watched {
    /// The system's watches, if it gives any.
    watcher: Option<RecommendedWatcher>,
    /// The files.
    files: Vec<File>,
    /// Every path on the way to a file: each link, and the file.
    steps: BTreeSet<PathBuf>,
    /// The folders of `steps`.
    folders: BTreeSet<PathBuf>,
    /// Those of them that are not watched, each told once.
    unwatched: BTreeSet<PathBuf>,
    /// When folders are next to be watched anew.
    arm_at: Option<Instant>,
    /// Where what is found is told.
    notices: Sender<Notice>,
}

impl Watched {
    /// Waits for events, for rest, and reports; until told to stop.
    fn run(mut self, messages: &Receiver<Message>) {
        let mut wake = self.arm_at;
        loop {
            let message = match wake {
                None => messages.recv().map_err(|_| RecvTimeoutError::Disconnected),
                Some(at) => messages.recv_timeout(at.saturating_duration_since(Instant::now())),
            };
            let now = Instant::now();
            match message {
                Ok(Message::Stop) | Err(RecvTimeoutError::Disconnected) => return,
                Ok(Message::Event(paths)) if !self.concerns(&paths) => continue,
                // A folder on the way may have been replaced with all in it.
                Ok(Message::Event(_)) => {
                    let soon = now + STILL_FOR;
                    self.arm_at = Some(self.arm_at.map_or(soon, |at| at.min(soon)));
                }
                Err(RecvTimeoutError::Timeout) => {}
            }
            // Files are looked at after that: what changed before its folder was watched is seen.
            if self.arm_at.is_some_and(|at| at <= now) {
                self.arm(now);
            }
            match self.look(now) {
                Ok(next) => wake = next.into_iter().chain(self.arm_at).min(),
                Err(mpsc::SendError(_)) => return,
            }
        }
    }

    /// Whether an event at `paths` may mean a change of a file.
    fn concerns(&self, paths: &[PathBuf]) -> bool {
        paths.is_empty() || paths.iter().any(|path| self.steps.contains(path) || self.folders.contains(path))
    }

    /// Looks at every file and tells which may be read; when one that moves is to be looked at again. One that never rests keeps no other
    /// waiting.
    fn look(&mut self, now: Instant) -> Result<Option<Instant>, mpsc::SendError<Notice>> {
        let mut next: Option<Instant> = None;
        let mut changed = Changed { paths: Vec::new(), still: true };
        for file in &mut self.files {
            match file.look(now) {
                Some(Verdict::Wait(more)) => next = Some(next.map_or(now + more, |at| at.min(now + more))),
                Some(verdict) => {
                    changed.paths.push(file.path.clone());
                    changed.still &= verdict == Verdict::Still;
                }
                None => {}
            }
        }
        if !changed.paths.is_empty() {
            self.notices.send(Notice::Changed(changed))?;
        }
        Ok(next)
    }

    /// Watches every folder on the way to a file, and no other; those that cannot be are tried again later.
    fn arm(&mut self, now: Instant) {
        self.steps = self.files.iter().flat_map(|file| steps(&file.path)).collect();
        let folders = self.steps.iter().filter_map(|step| step.parent()).map(Path::to_owned).collect();
        let before = std::mem::replace(&mut self.folders, folders);
        if let Some(watcher) = &mut self.watcher {
            for folder in before.difference(&self.folders) {
                // The folder itself may be gone, and its watch with it.
                watcher.unwatch(folder).ok();
            }
            let told = std::mem::take(&mut self.unwatched);
            for folder in &self.folders {
                // Watching a folder again replaces its watch, which is what a folder made anew under the same name needs.
                let Err(source) = watcher.watch(folder, RecursiveMode::NonRecursive) else { continue };
                if !told.contains(folder) {
                    // Refused only once nobody listens: the next change ends the thread.
                    let folder = folder.clone();
                    self.notices.send(Notice::Unwatched(WatchError::Folder { folder, source })).ok();
                }
                self.unwatched.insert(folder.clone());
            }
        }
        let all_watched = self.watcher.is_some() && self.unwatched.is_empty();
        self.arm_at = (!all_watched).then(|| now + UNWATCHED_LOOK_EVERY);
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

    /// The next change that is told.
    fn changed(notices: &Receiver<Notice>) -> Option<Changed> {
        match notices.recv_timeout(LIMIT) {
            Ok(Notice::Changed(changed)) => Some(changed),
            Ok(Notice::Unwatched(error)) => panic!("{error:?}"),
            Err(_) => None,
        }
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
            assert_eq!(changed(&changes), Some(Changed { paths: vec![path.to_owned()], still: true }));
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
    fn a_folder_that_is_not_there_is_told_once_and_waited_for_and_the_others_are_watched() {
        let (_keep, root) = folder();
        let (there, none) = (root.join("there"), root.join("not/yet/feed"));
        let (_watch, notices) = Watch::start(vec![none.clone(), there.clone()]).unwrap();
        let told = notices.recv_timeout(LIMIT).unwrap();
        let of = none.parent().unwrap();
        assert!(matches!(&told, Notice::Unwatched(WatchError::Folder { folder, .. }) if folder == of), "{told:?}");
        for (path, text) in [(&there, "a"), (&none, "a"), (&there, "ab"), (&none, "ab")] {
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
            assert_eq!(changed(&notices), Some(Changed { paths: vec![path.clone()], still: true }));
        }
        // Made anew after it was gone: told again, and waited for again.
        std::fs::remove_dir_all(root.join("not")).unwrap();
        let (mut gone, mut unwatched) = (false, false);
        while !(gone && unwatched) {
            match notices.recv_timeout(LIMIT).unwrap() {
                Notice::Changed(changed) => gone |= changed.paths == [none.clone()],
                Notice::Unwatched(_) => unwatched = true,
            }
        }
        std::fs::create_dir_all(of).unwrap();
        std::fs::write(&none, "abc").unwrap();
        assert_eq!(changed(&notices), Some(Changed { paths: vec![none], still: true }));
    }

    #[test]
    fn a_file_that_never_rests_keeps_no_other_waiting() {
        let (_keep, root) = folder();
        let (restless, calm) = (root.join("restless"), root.join("calm"));
        let (_watch, notices) = Watch::start(vec![restless.clone(), calm.clone()]).unwrap();
        let (stop, stopped) = mpsc::channel::<()>();
        let writer = std::thread::spawn({
            let restless = restless.clone();
            move || {
                let mut text = String::new();
                // Until the other side is gone.
                while stopped.recv_timeout(STILL_FOR / 10) == Err(RecvTimeoutError::Timeout) {
                    text.push('a');
                    std::fs::write(&restless, &text).unwrap();
                }
            }
        });
        std::fs::write(&calm, "a").unwrap();
        // A machine that stalls may make the other one look still for once.
        let told = std::iter::from_fn(|| changed(&notices)).find(|changed| changed.paths.contains(&calm)).unwrap();
        assert!(told.still, "{told:?}");
        drop(stop);
        writer.join().unwrap();
    }
}
