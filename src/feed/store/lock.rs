//! [`Lock`]: one server a folder. The folder itself is locked, which nobody removes by cleaning up, and a file in it, which earlier versions lock
//! and file systems know that lock no folders (NFS). Held until it is dropped, or the process ends in whatever way.
//!
//! In the file stands the last number that was given to a generation, kept or not, so that no number is given twice. It is written over in its
//! place, which a full disk allows.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{FileExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;

use super::StoreError;

/// The file that is locked.
pub(super) const LOCK: &str = "lock";

/// Octets of a number in it: the digits of the largest, and a newline.
const NUMBER_OCTETS: usize = 21;

/// A folder that is this process's to write in.
#[derive(Debug)]
pub(super) struct Lock {
    /// The folder; locked, where its file system locks folders.
    folder: File,
    /// [`LOCK`] in it, locked.
    file: File,
}

/// Why a folder is not this process's to write in.
#[derive(Debug)]
pub(super) enum NotLocked {
    /// Another process has it.
    InUse,
    /// It cannot be written in, or not be locked.
    Unwritable(io::Error),
}

impl Lock {
    /// Takes the folder, which is there.
    pub(super) fn take(folder: &Path) -> Result<Self, NotLocked> {
        // Who cannot write needs no lock, and keeps nobody out.
        let file = open_file(folder)?;
        let folder = open_folder(folder)?;
        lock_folder(&folder)?;
        lock_file(&file)?;
        Ok(Self { folder, file })
    }

    /// The last number that was given, as far as is known; 0: none was.
    pub(super) fn last_number(&self) -> u64 {
        let mut digits = [0; NUMBER_OCTETS];
        let read = self.file.read_exact_at(&mut digits, 0);
        let digits = std::str::from_utf8(&digits).ok().filter(|_| read.is_ok());
        digits.and_then(|digits| digits.trim_end().parse().ok()).unwrap_or(0)
    }

    /// Writes down that `number` is given.
    pub(super) fn give_number(&self, number: u64) -> io::Result<()> {
        self.file.write_all_at(format!("{number:020}\n").as_bytes(), 0)?;
        self.file.sync_data()
    }

    /// Takes anew what is no longer there as it was taken: a folder, or a file in it, that an operator removed may have been made by another
    /// server meanwhile.
    pub(super) fn renew(&mut self, folder: &Path) -> Result<(), StoreError> {
        let path = folder.to_owned();
        self.try_renew(folder).map_err(|error| match error {
            NotLocked::InUse => StoreError::InUse { path },
            NotLocked::Unwritable(source) => StoreError::Write { path, source },
        })
    }

    /// As [`renew`](Self::renew).
    fn try_renew(&mut self, folder: &Path) -> Result<(), NotLocked> {
        if !is_at(&self.folder, folder) {
            let anew = open_folder(folder)?;
            lock_folder(&anew)?;
            self.folder = anew;
        }
        if !is_at(&self.file, &folder.join(LOCK)) {
            let anew = open_file(folder)?;
            lock_file(&anew)?;
            self.file = anew;
        }
        Ok(())
    }
}

/// Opens the folder.
fn open_folder(folder: &Path) -> Result<File, NotLocked> {
    File::open(folder).map_err(NotLocked::Unwritable)
}

/// Opens the file in it, made if it is not there.
fn open_file(folder: &Path) -> Result<File, NotLocked> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false).mode(0o600);
    options.open(folder.join(LOCK)).map_err(NotLocked::Unwritable)
}

/// Locks the folder, where folders are locked at all.
fn lock_folder(folder: &File) -> Result<(), NotLocked> {
    match folder.try_lock() {
        Err(TryLockError::WouldBlock) => Err(NotLocked::InUse),
        // NFS wants what it locks open for writing (flock(2)); others may not lock folders: the file in it is locked.
        Ok(()) | Err(TryLockError::Error(_)) => Ok(()),
    }
}

/// Locks the file.
fn lock_file(file: &File) -> Result<(), NotLocked> {
    file.try_lock().map_err(|error| match error {
        TryLockError::WouldBlock => NotLocked::InUse,
        TryLockError::Error(source) => {
            NotLocked::Unwritable(io::Error::new(ErrorKind::Unsupported, CannotLock(source)))
        }
    })
}

/// Files cannot be locked there.
#[derive(Debug, thiserror::Error)]
#[error("cannot be locked against another server: {0}")]
struct CannotLock(io::Error);

/// Whether what is open is what stands at `path`.
fn is_at(open: &File, path: &Path) -> bool {
    let same = |open: fs::Metadata, path: fs::Metadata| (open.dev(), open.ino()) == (path.dev(), path.ino());
    open.metadata().and_then(|open| fs::metadata(path).map(|path| same(open, path))).unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_taken_is_renewed_and_kept_from_others() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("state");
        fs::create_dir(&folder).unwrap();
        let mut lock = Lock::take(&folder).unwrap();
        let is_taken = || matches!(Lock::take(&folder), Err(NotLocked::InUse));
        assert!(is_taken());
        // The file is gone; the folder is gone; both are as nobody made them yet.
        fs::remove_file(folder.join(LOCK)).unwrap();
        assert!(is_taken(), "the folder is locked");
        lock.renew(&folder).unwrap();
        fs::remove_dir_all(&folder).unwrap();
        assert!(matches!(lock.renew(&folder), Err(StoreError::Write { .. })));
        fs::create_dir(&folder).unwrap();
        lock.renew(&folder).unwrap();
        assert!(is_taken());
        // Another one was faster.
        fs::remove_dir_all(&folder).unwrap();
        fs::create_dir(&folder).unwrap();
        let other = Lock::take(&folder).unwrap();
        assert!(matches!(lock.renew(&folder), Err(StoreError::InUse { .. })));
        drop(other);
        lock.renew(&folder).unwrap();
        drop(lock);
        assert!(Lock::take(&folder).is_ok());
    }

    #[test]
    fn the_last_number_outlives_the_process() {
        let folder = tempfile::tempdir().unwrap();
        let lock = Lock::take(folder.path()).unwrap();
        assert_eq!(lock.last_number(), 0, "an empty file");
        for number in [7, u64::MAX, 12] {
            lock.give_number(number).unwrap();
            assert_eq!(lock.last_number(), number);
        }
        drop(lock);
        assert_eq!(Lock::take(folder.path()).unwrap().last_number(), 12);
        for damaged in ["", "12", "0000000000000000001x\n", "\u{fc}0000000000000000012\n"] {
            fs::write(folder.path().join(LOCK), damaged).unwrap();
            assert_eq!(Lock::take(folder.path()).unwrap().last_number(), 0, "{damaged:?}");
        }
    }

    #[test]
    fn an_earlier_version_that_locks_the_file_alone_is_heard() {
        let folder = tempfile::tempdir().unwrap();
        let theirs = open_file(folder.path()).unwrap();
        theirs.try_lock().unwrap();
        assert!(matches!(Lock::take(folder.path()), Err(NotLocked::InUse)));
    }

    #[test]
    fn a_folder_that_cannot_be_written_is_no_ones() {
        let folder = tempfile::tempdir().unwrap();
        // Whoever may write anywhere cannot write to a folder.
        fs::create_dir(folder.path().join(LOCK)).unwrap();
        assert!(matches!(Lock::take(folder.path()), Err(NotLocked::Unwritable(_))));
        assert!(folder.path().is_dir() && File::open(folder.path()).unwrap().try_lock().is_ok());
    }
}
