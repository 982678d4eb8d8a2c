//! [`Store`]: the last generations on disk, so that a start enforces at once, whatever became of the sources, and an operator can go back.
//!
//! ```text
//! generation-0000000012-big.index    an index, named after the generation that first had it; never written twice
//! generation-0000000015-big.overlay  what a later generation has over it
//! generation-0000000015.json         a generation: which indexes, and each feed's standing
//! lock                               held while a server uses the folder, as is the folder itself; in it the last number given
//! ```
//!
//! Only what is ours is removed: files of these names that begin as we write them, and those that a manifest names, however earlier versions
//! called them. Whatever else is in the folder is somebody's. A file is written beside its place, synced, read back and verified, then renamed; a generation's indexes before its manifest. Whatever
//! happens in between, what is read is a whole generation, old or new. Folder 0700, files 0600. An error names files and counts alone.

mod cleaning;
mod config;
mod lock;
mod manifest;
mod names;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use config::{Start, StoreConfig};
pub use manifest::KeptFeed;
pub use names::is_kept_name;

use crate::index::{Index, OpenError};
use lock::{LOCK, Lock, NotLocked};
use manifest::Manifest;
use names::Kind;

/// The largest manifest: 128 feeds with every reason take a tenth of it.
const MANIFEST_OCTETS_MAX: u64 = 4 << 20;

/// Why something was not kept, or cannot be had back.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The folder cannot be made, locked or read.
    #[error("{path}: the state directory cannot be used", path = path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Another server has it.
    #[error(
        "{path}: the state directory is used by another process; stop that server, or give this one a folder of its own (state.directory)",
        path = path.display()
    )]
    InUse {
        /// The folder.
        path: PathBuf,
    },
    /// A file cannot be written.
    #[error("{path}: cannot be written", path = path.display())]
    Write {
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A manifest cannot be read, or is none.
    #[error("{path}: expected a kept generation, got a damaged file", path = path.display())]
    Manifest {
        /// Which.
        path: PathBuf,
    },
    /// A newer version of this program wrote it.
    #[error(
        "{path}: expected a generation kept by this version of cenote or an older one, got one of a newer version",
        path = path.display()
    )]
    Newer {
        /// Which.
        path: PathBuf,
    },
    /// An index cannot be read, or is damaged.
    #[error("{path}: cannot be used", path = path.display())]
    Index {
        /// Which.
        path: PathBuf,
        /// Why not.
        source: OpenError,
    },
    /// There is no such generation.
    #[error("expected one of the kept generations, got {generation}; `cenote generations` lists them")]
    NoSuchGeneration {
        /// Its number.
        generation: u64,
    },
}

impl StoreError {
    /// Whether it is of what a newer version of this program wrote.
    #[must_use]
    pub const fn is_newer(&self) -> bool {
        match self {
            Self::Newer { .. } => true,
            Self::Index { source, .. } => source.is_newer(),
            _ => false,
        }
    }
}

/// A generation read back.
#[derive(Debug)]
pub struct Kept {
    /// Its number.
    pub generation: u64,
    /// Its feeds, by place.
    pub feeds: Vec<KeptFeed>,
    /// Its indexes, by part.
    pub parts: BTreeMap<String, Arc<Index>>,
}

/// A generation as it is listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptGeneration {
    /// Its number.
    pub generation: u64,
    /// When it was published, seconds since 1970.
    pub made_at_secs: u64,
    /// Its feeds, by place.
    pub feeds: Vec<KeptFeed>,
}

/// What was kept last.
#[derive(Debug)]
struct Saved {
    /// Its manifest.
    manifest: Manifest,
    /// Its indexes, by part: what is in force and needs no second file.
    parts: BTreeMap<String, Arc<Index>>,
    /// Parts whose file holds the index's base as it is in memory, so that another overlay may be over it.
    bases: BTreeSet<String>,
}

/// Where an index is kept.
struct Place {
    /// The file of its base, or of all of it.
    file: String,
    /// The file of the overlay over that.
    overlay: Option<String>,
    /// Whether `file` holds its base.
    holds_base: bool,
}

/// The folder of kept generations.
#[derive(Debug)]
pub struct Store {
    /// Where.
    folder: PathBuf,
    /// Held as long as this is; without it nothing is written or removed.
    lock: Result<Lock, io::Error>,
    /// How many generations stay.
    keep: usize,
    /// What was kept, or read, last.
    saved: Option<Saved>,
}

impl Store {
    /// Opens the folder, made if it is not there. One that cannot be written or locked is only read from: see
    /// [`unwritable`](Self::unwritable).
    ///
    /// # Errors
    /// [`StoreError::Folder`], [`StoreError::InUse`].
    pub fn open(folder: &Path, keep: u32) -> Result<Self, StoreError> {
        let bad = |source| StoreError::Folder { path: folder.to_owned(), source };
        if !folder.is_dir() {
            DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(bad)?;
        }
        fs::read_dir(folder).map_err(bad)?;
        let lock = match Lock::take(folder) {
            Ok(lock) => Ok(lock),
            Err(NotLocked::Unwritable(why)) => Err(why),
            Err(NotLocked::InUse) => return Err(StoreError::InUse { path: folder.to_owned() }),
        };
        let keep = usize::try_from(keep).unwrap_or(usize::MAX).max(1);
        Ok(Self { folder: folder.to_owned(), lock, keep, saved: None })
    }

    /// Whether anything can be kept.
    #[must_use]
    pub const fn is_writable(&self) -> bool {
        self.lock.is_ok()
    }

    /// Why nothing can be kept, if nothing can.
    #[must_use]
    pub fn unwritable(&self) -> Option<&io::Error> {
        self.lock.as_ref().err()
    }

    /// Sees to it that the folder is still this process's to write in.
    fn hold(&mut self) -> Result<(), StoreError> {
        match &mut self.lock {
            Ok(lock) => lock.renew(&self.folder),
            Err(why) => Err(StoreError::Write {
                path: self.folder.clone(),
                source: io::Error::new(why.kind(), why.to_string()),
            }),
        }
    }

    /// The newest generation that is whole, and what was passed over on the way to it.
    pub fn newest(&mut self) -> (Option<Kept>, Vec<StoreError>) {
        let mut passed_over = Vec::new();
        for generation in self.numbers().into_iter().rev() {
            match self.read(generation) {
                Ok((manifest, parts)) => {
                    let kept = Kept { generation, feeds: manifest.feeds.clone(), parts: parts.clone() };
                    let bases = parts.keys().cloned().collect();
                    self.saved = Some(Saved { manifest, parts, bases });
                    return (Some(kept), passed_over);
                }
                Err(error) => passed_over.push(error),
            }
        }
        (None, passed_over)
    }

    /// One generation.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn get(&self, generation: u64) -> Result<Kept, StoreError> {
        if !self.numbers().contains(&generation) {
            return Err(StoreError::NoSuchGeneration { generation });
        }
        let (manifest, parts) = self.read(generation)?;
        Ok(Kept { generation, feeds: manifest.feeds, parts })
    }

    /// All that are kept and whose manifest can be read, the newest first.
    #[must_use]
    pub fn list(&self) -> Vec<KeptGeneration> {
        let manifests = self.numbers().into_iter().rev().filter_map(|number| self.manifest(number).ok());
        manifests
            .map(|Manifest { generation, made_at_secs, feeds, .. }| KeptGeneration { generation, made_at_secs, feeds })
            .collect()
    }

    /// The highest number ever given here, as far as can be told.
    #[must_use]
    pub fn last_number(&self) -> u64 {
        let kept = self.numbers().into_iter().next_back().unwrap_or(0);
        self.lock.as_ref().map_or(0, Lock::last_number).max(kept)
    }

    /// Writes down that a generation has this number, so that no other gets it though this one may never be kept.
    ///
    /// # Errors
    /// [`StoreError::Write`], [`StoreError::InUse`].
    pub fn give_number(&mut self, generation: u64) -> Result<(), StoreError> {
        self.hold()?;
        let Ok(lock) = &self.lock else { return Ok(()) };
        lock.give_number(generation).map_err(|source| StoreError::Write { path: self.folder.join(LOCK), source })
    }

    /// Keeps a generation; indexes that the one kept last has are not written again. One that holds the same as the last takes its place.
    ///
    /// # Errors
    /// [`StoreError`]; what was kept before stays.
    pub fn save(
        &mut self,
        generation: u64,
        made_at_secs: u64,
        feeds: Vec<KeptFeed>,
        parts: BTreeMap<String, Arc<Index>>,
    ) -> Result<(), StoreError> {
        self.hold()?;
        if let Some(saved) = &mut self.saved {
            // Nothing can be over these any more: they need no memory, whatever comes of the rest.
            saved.parts.retain(|_, old| parts.values().any(|index| index.shares_base(old)));
        }
        let (manifest, bases) = self.write_all(generation, made_at_secs, feeds, &parts).inspect_err(|_| {
            // What is there of it helps nobody, and takes room.
            self.prune(&[], None);
        })?;
        let same = |old: &&Saved| {
            let standing = |manifest: &Manifest| {
                let each = manifest.feeds.iter().map(|feed| (feed.name.clone(), feed.pinned));
                (each.collect::<Vec<_>>(), manifest.parts.clone(), manifest.overlays.clone())
            };
            old.manifest.generation != generation && standing(&old.manifest) == standing(&manifest)
        };
        let replaced = self.saved.as_ref().filter(same).map(|old| old.manifest.generation);
        self.saved = Some(Saved { manifest, parts, bases });
        self.prune(replaced.as_slice(), None);
        Ok(())
    }

    /// Writes the indexes that are not kept yet, then the manifest; which parts' files hold their bases.
    fn write_all(
        &self,
        generation: u64,
        made_at_secs: u64,
        feeds: Vec<KeptFeed>,
        parts: &BTreeMap<String, Arc<Index>>,
    ) -> Result<(Manifest, BTreeSet<String>), StoreError> {
        let (mut files, mut overlays, mut bases) = (BTreeMap::new(), BTreeMap::new(), BTreeSet::new());
        for (part, index) in parts {
            let place = self.place(generation, part, index)?;
            if place.holds_base {
                bases.insert(part.clone());
            }
            overlays.extend(place.overlay.map(|file| (part.clone(), file)));
            files.insert(part.clone(), place.file);
        }
        let manifest = Manifest::new(generation, made_at_secs, feeds, files, overlays);
        self.write_manifest(&manifest)?;
        Ok((manifest, bases))
    }

    /// Writes the standing of the feeds of the generation kept last anew: they were read again and say the same.
    ///
    /// # Errors
    /// [`StoreError::Write`]; what was written before stays.
    pub fn restate(&mut self, feeds: Vec<KeptFeed>) -> Result<(), StoreError> {
        self.hold()?;
        let Some(mut saved) = self.saved.take() else { return Ok(()) };
        let before = std::mem::replace(&mut saved.manifest.feeds, feeds);
        let written = self.write_manifest(&saved.manifest);
        if written.is_err() {
            saved.manifest.feeds = before;
        }
        self.saved = Some(saved);
        written
    }

    /// As [`save`](Self::save), of what the generation kept last holds already in other indexes: it takes that one's place.
    ///
    /// # Errors
    /// As of [`save`](Self::save).
    pub fn save_again(
        &mut self,
        generation: u64,
        made_at_secs: u64,
        feeds: Vec<KeptFeed>,
        parts: BTreeMap<String, Arc<Index>>,
    ) -> Result<(), StoreError> {
        let last = self.saved.as_ref().map(|saved| saved.manifest.generation).filter(|&last| last != generation);
        self.save(generation, made_at_secs, feeds, parts)?;
        self.prune(last.as_slice(), None);
        Ok(())
    }

    /// Where an index is kept already, or is now: whole, or as an overlay over what is kept.
    fn place(&self, generation: u64, part: &str, index: &Arc<Index>) -> Result<Place, StoreError> {
        let kept = |file: &String| self.folder.join(file).exists();
        let saved = self.saved.iter().flat_map(|saved| saved.parts.iter().map(move |(name, old)| (saved, name, old)));
        for (saved, name, old) in saved.filter(|(.., old)| index.shares_base(old)) {
            let Some(file) = saved.manifest.parts.get(name).filter(|file| kept(file)).cloned() else { continue };
            let holds_base = saved.bases.contains(name);
            if Arc::ptr_eq(old, index) {
                let overlay = saved.manifest.overlays.get(name).cloned();
                if overlay.as_ref().is_none_or(kept) {
                    return Ok(Place { file, overlay, holds_base });
                }
            }
            if holds_base {
                let overlay = names::overlay(generation, part);
                let path = self.folder.join(&overlay);
                let written = self.write(generation, &path, overlay_octets(index), self.free_octets(), || {
                    index.write_overlay_file(&path)
                })?;
                return Ok(Place { file, overlay: Some(overlay).filter(|_| written), holds_base });
            }
        }
        let file = names::index(generation, part);
        let path = self.folder.join(&file);
        self.write(generation, &path, index.bytes() as u64, self.free_octets(), || index.write_file(&path))?;
        Ok(Place { file, overlay: None, holds_base: !index.is_amended() })
    }

    /// Writes an index of about `octets`, `free` of which are there; on a full disk the oldest generations make room for it, if they can.
    fn write<T>(
        &self,
        generation: u64,
        path: &Path,
        octets: u64,
        free: u64,
        write: impl Fn() -> Result<T, OpenError>,
    ) -> Result<T, StoreError> {
        // What did not help once may not help again: then two stay.
        let mut stay = 1;
        loop {
            let error = match write() {
                Ok(written) => return Ok(written),
                Err(OpenError::Io(error)) => error,
                Err(source) => return Err(StoreError::Index { path: path.to_owned(), source }),
            };
            let free = match error.kind() {
                ErrorKind::StorageFull => Some(free),
                // What a quota leaves the system does not say.
                ErrorKind::QuotaExceeded => Some(0),
                _ => None,
            };
            if !free.is_some_and(|free| self.make_room(generation, octets, free, stay)) {
                return Err(StoreError::Write { path: path.to_owned(), source: error });
            }
            stay = 2;
        }
    }

    /// How much may still be written where generations are kept.
    fn free_octets(&self) -> u64 {
        rustix::fs::statvfs(&self.folder).map_or(0, |system| system.f_bavail.saturating_mul(system.f_frsize))
    }

    /// The file names in the folder.
    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.folder).into_iter().flatten().flatten();
        entries.filter_map(|entry| entry.file_name().into_string().ok()).collect()
    }

    /// The kept generations' numbers, ascending.
    fn numbers(&self) -> BTreeSet<u64> {
        let of_manifest = |name: String| names::read(&name).filter(|(_, kind)| *kind == Kind::Manifest);
        self.names().into_iter().filter_map(of_manifest).map(|(number, _)| number).collect()
    }

    /// Where a generation's manifest is.
    fn manifest_path(&self, generation: u64) -> PathBuf {
        self.folder.join(names::manifest(generation))
    }

    /// Reads a manifest.
    fn manifest(&self, generation: u64) -> Result<Manifest, StoreError> {
        let path = self.manifest_path(generation);
        let mut octets = Vec::new();
        let read = File::open(&path).and_then(|file| file.take(MANIFEST_OCTETS_MAX).read_to_end(&mut octets));
        let manifest = read.ok().and_then(|_| Manifest::decode(&octets));
        match manifest.filter(|manifest| manifest.generation == generation) {
            Some(manifest) => Ok(manifest),
            None if Manifest::is_newer(&octets) => Err(StoreError::Newer { path }),
            None => Err(StoreError::Manifest { path }),
        }
    }

    /// Reads a generation whole; what the last kept one has too is shared with it.
    fn read(&self, generation: u64) -> Result<(Manifest, BTreeMap<String, Arc<Index>>), StoreError> {
        let manifest = self.manifest(generation)?;
        let mut parts = BTreeMap::new();
        for (part, file) in &manifest.parts {
            let overlay = manifest.overlays.get(part);
            let known = self.saved.as_ref().and_then(|saved| {
                let same = |(name, known): &(&String, &String)| {
                    *known == file && saved.manifest.overlays.get(*name) == overlay
                };
                saved.parts.get(saved.manifest.parts.iter().find(same)?.0).map(Arc::clone)
            });
            let index = match known {
                Some(index) => index,
                None => Arc::new(self.open_index(file, overlay)?),
            };
            parts.insert(part.clone(), index);
        }
        let held = |(place, feed): (usize, &KeptFeed)| {
            let own =
                |index: &Arc<Index>| index.feeds().iter().any(|one| one.id.index() == place && one.name == feed.name);
            parts.get(&feed.part).is_some_and(own)
        };
        if !manifest.feeds.iter().enumerate().all(held) {
            return Err(StoreError::Manifest { path: self.manifest_path(generation) });
        }
        Ok((manifest, parts))
    }

    /// Opens an index, and the overlay over it.
    fn open_index(&self, file: &str, overlay: Option<&String>) -> Result<Index, StoreError> {
        let path = self.folder.join(file);
        let index = Index::open_file(&path).map_err(|source| StoreError::Index { path, source })?;
        let Some(overlay) = overlay else { return Ok(index) };
        let path = self.folder.join(overlay);
        let opened = fs::read(&path).map_err(OpenError::Io).and_then(|octets| index.with_overlay(octets));
        opened.map_err(|source| StoreError::Index { path, source })
    }

    /// Writes a manifest beside its place, syncs it, and renames it.
    fn write_manifest(&self, manifest: &Manifest) -> Result<(), StoreError> {
        let path = self.manifest_path(manifest.generation);
        let temporary = path.with_extension("tmp");
        let write = || -> io::Result<()> {
            let octets = serde_json::to_vec_pretty(manifest)?;
            let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&temporary)?;
            file.write_all(&octets)?;
            file.sync_all()?;
            fs::rename(&temporary, &path)?;
            File::open(&self.folder)?.sync_all()
        };
        write().map_err(|source| {
            fs::remove_file(&temporary).ok();
            StoreError::Write { path: path.clone(), source }
        })
    }
}

/// About how large an index's overlay is as a file: a row and a key an entry, both at their longest (a guess on the safe side).
fn overlay_octets(index: &Index) -> u64 {
    index.overlay_entries() as u64 * 512
}

#[cfg(test)]
mod tests;
