//! The artifact: an index as a file. Typed, length-led sections behind a magic, a version and a checksum.
//!
//! ```text
//! magic 8 | version u32 | sections u32 | crc32 u32 of all that follows | { kind u32 | required u32 | length u64 | octets }…
//! ```
//!
//! Numbers are big-endian. A section whose kind is unknown is passed over, unless it is required: then the file is refused. The file
//! is read into memory, never mapped: a file cut short under a map is a SIGBUS. Nothing is looked up before both the file's and the
//! map's own checksum hold and every node was looked at: an `Fst` over other octets may panic or, worse, be silently wrong.
//!
//! An overlay is a file of its own, of the same sections and one that says which base it is over: that of ten million names is written once, and
//! what changes is kilobytes.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use fst::raw::Fst;

use super::filter::Filter;
use super::layers::{Body, Layer};
use super::lookup::IndexedFeed;
use super::networks::Networks;
use super::record_sets::RecordSets;
use super::sound::is_sound;
use super::{FEEDS_MAX, FeedId, Index, rows};

/// The first octets of every artifact.
pub const MAGIC: [u8; 8] = *b"\x89CENOTE\n";
/// The version written, and the only one read.
const VERSION: u32 = 1;
/// Octets in front of the sections.
const PREAMBLE_OCTETS: usize = 20;
/// Octets in front of a section's own.
const SECTION_HEAD_OCTETS: usize = 16;
/// The most sections in a file.
const SECTIONS_MAX: u32 = 64;
/// The largest file read: some 200 million names.
pub const ARTIFACT_OCTETS_MAX: u64 = 4 << 30;
/// The longest feed name.
const FEED_NAME_OCTETS_MAX: usize = 64;

/// Kinds of sections.
mod kind {
    /// A count, then for each feed its place (u8), its entries (u64), its name's length (u8) and its name.
    pub(super) const FEEDS: u32 = 1;
    /// See `rows::encode`.
    pub(super) const ROWS: u32 = 2;
    /// The FST.
    pub(super) const MAP: u32 = 3;
    /// See `Filter::encode`; an index without it is only slower.
    pub(super) const FILTER: u32 = 4;
    /// See `Networks::encode`; there if there are networks.
    pub(super) const NETWORKS: u32 = 5;
    /// See `RecordSets::encode`; there if there are sets.
    pub(super) const RECORDS: u32 = 6;
    /// The base's mark (u64); a file without it has the one that it would be built with.
    pub(super) const MARK: u32 = 7;
    /// In an overlay: the mark of the base that it is over.
    pub(super) const BASE: u32 = 8;
    /// Sections without which nothing is answered otherwise.
    pub(super) const OPTIONAL: [u32; 2] = [FILTER, MARK];
    /// The highest known.
    pub(super) const LAST: u32 = BASE;
}

/// Why a file is no artifact we serve from.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The file cannot be read.
    #[error("cannot read the artifact")]
    Io(#[from] io::Error),
    /// Over [`ARTIFACT_OCTETS_MAX`].
    #[error("expected an artifact of at most {ARTIFACT_OCTETS_MAX} octets, got {0}")]
    TooLarge(u64),
    /// It does not begin as one.
    #[error("expected an artifact made by `cenote compile`, got something else")]
    Magic,
    /// Made by another version of this program.
    #[error("expected artifact version {VERSION}, got {0}; compile it again with this version")]
    Version(u32),
    /// The octets are not those that were written.
    #[error("expected checksum {expected:08x}, got {got:08x}; the artifact is damaged, copy or compile it again")]
    Checksum {
        /// As the file says.
        expected: u32,
        /// As computed.
        got: u32,
    },
    /// A section is cut short, missing, there twice, or does not hold what its kind says.
    #[error("expected a whole {0} section, got a damaged or missing one; compile the artifact again")]
    Section(&'static str),
    /// An overlay, and no base beside it.
    #[error("expected a whole artifact, got changes to one")]
    Overlay,
    /// An overlay over another base than the one at hand, or none.
    #[error("expected changes to the artifact at hand, got others")]
    OtherBase,
    /// A section this version does not know and must.
    #[error("expected section kinds up to {max}, got the required kind {kind}; it needs a newer version of this program", max = kind::LAST)]
    UnknownSection {
        /// Its kind.
        kind: u32,
    },
}

impl OpenError {
    /// Whether the file is of a newer version of this program.
    #[must_use]
    pub const fn is_newer(&self) -> bool {
        match self {
            Self::Version(version) => *version > VERSION,
            Self::UnknownSection { .. } => true,
            _ => false,
        }
    }
}

/// Where each known section lies in the file.
#[derive(Default)]
struct Layout {
    /// FEEDS.
    feeds: Option<std::ops::Range<usize>>,
    /// ROWS.
    rows: Option<std::ops::Range<usize>>,
    /// MAP.
    map: Option<std::ops::Range<usize>>,
    /// FILTER.
    filter: Option<std::ops::Range<usize>>,
    /// NETWORKS.
    networks: Option<std::ops::Range<usize>>,
    /// RECORDS.
    records: Option<std::ops::Range<usize>>,
    /// MARK.
    mark: Option<std::ops::Range<usize>>,
    /// BASE.
    base: Option<std::ops::Range<usize>>,
}

/// What a file holds.
struct Opened {
    /// Its keys and what is said of them.
    layer: Layer,
    /// Whose.
    feeds: Vec<IndexedFeed>,
    /// The mark of the base, if it is an overlay.
    base: Option<u64>,
}

impl Index {
    /// Opens an artifact held in memory, verifying all of it: some 10 ms for a million names.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn open(file: Vec<u8>) -> Result<Self, OpenError> {
        let Opened { layer, feeds, base } = open(file)?;
        if base.is_some() { Err(OpenError::Overlay) } else { Ok(Self { base: layer, overlay: None, feeds }) }
    }

    /// Puts an overlay held in memory, which [`write_overlay_file`](Self::write_overlay_file) wrote, in place of what there is over the base.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn with_overlay(self, file: Vec<u8>) -> Result<Self, OpenError> {
        let Opened { layer, feeds, base } = open(file)?;
        let named = |feeds: &[IndexedFeed]| feeds.iter().map(|feed| (feed.id, feed.name.clone())).collect::<Vec<_>>();
        if base != Some(self.base.body.mark) || named(&feeds) != named(&self.feeds) {
            return Err(OpenError::OtherBase);
        }
        Ok(Self { base: self.base, overlay: Some(layer).filter(|layer| layer.len() > 0), feeds })
    }

    /// Reads and opens the artifact at `path`.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn open_file(path: &Path) -> Result<Self, OpenError> {
        Self::open(read_file(path)?)
    }

    /// Writes the artifact: beside `path`, synced, opened and verified again, then renamed over it. A reader sees the old file or the
    /// new one, whole. An overlay is worked in first, which is a build.
    ///
    /// # Errors
    /// [`OpenError::Io`] if it cannot be written; the rest if what was written does not verify.
    pub fn write_file(&self, path: &Path) -> Result<(), OpenError> {
        replace_file(path, |file| self.write(file))
    }

    /// Writes the artifact's octets; an overlay is worked in first, which is a build.
    ///
    /// # Errors
    /// What `out` says.
    pub fn write(&self, out: &mut impl Write) -> io::Result<()> {
        if self.is_amended() {
            return self.flattened().map_err(io::Error::other)?.write(out);
        }
        write_layer(&self.base, &self.feeds, (kind::MARK, self.base.body.mark), out)
    }

    /// Writes the overlay alone, as [`write_file`](Self::write_file) does; its base must be in a file already. `false`: there is none, and one
    /// that was written before is no longer true.
    ///
    /// # Errors
    /// As of [`write_file`](Self::write_file).
    pub fn write_overlay_file(&self, path: &Path) -> Result<bool, OpenError> {
        let Some(overlay) = &self.overlay else { return Ok(false) };
        let base = (kind::BASE, self.base.body.mark);
        replace_file(path, |file| write_layer(overlay, &self.feeds, base, file)).map(|()| true)
    }
}

/// Opens a file held in memory.
fn open(mut file: Vec<u8>) -> Result<Opened, OpenError> {
    let layout = read_layout(&file)?;
    let part = |range: Option<std::ops::Range<usize>>, what| {
        range.and_then(|range| file.get(range)).ok_or(OpenError::Section(what))
    };
    let number = |range: Option<std::ops::Range<usize>>, what| match range {
        None => Ok(None),
        some => match part(some, what)?.try_into() {
            Ok(eight) => Ok(Some(u64::from_be_bytes(eight))),
            Err(_) => Err(OpenError::Section(what)),
        },
    };
    let feeds = decode_feeds(part(layout.feeds, "feeds")?).ok_or(OpenError::Section("feeds"))?;
    let held = feeds.iter().fold(0, |held, feed| held | feed.id.bit());
    let sets = match layout.records {
        None => RecordSets::default(),
        some => RecordSets::decode(part(some, "records")?).ok_or(OpenError::Section("records"))?,
    };
    let rows = rows::decode(part(layout.rows, "rows")?, held, sets.len()).ok_or(OpenError::Section("rows"))?;
    let filter = match layout.filter {
        None => None,
        some => Some(Filter::decode(part(some, "filter")?).ok_or(OpenError::Section("filter"))?),
    };
    let networks = match layout.networks {
        None => Networks::default(),
        some => Networks::decode(part(some, "networks")?, rows.len()).ok_or(OpenError::Section("networks"))?,
    };
    let (mark, base) = (number(layout.mark, "mark")?, number(layout.base, "base")?);
    let range = layout.map.ok_or(OpenError::Section("map"))?;
    // What is left of the file is the map: all else was copied out of it.
    file.truncate(range.end);
    file.drain(..range.start);
    file.shrink_to_fit();
    let map = Fst::new(file).map_err(|_| OpenError::Section("map"))?;
    map.verify().map_err(|_| OpenError::Section("map"))?;
    if !is_sound(map.as_bytes(), rows.len()) {
        return Err(OpenError::Section("map"));
    }
    let mut body = Body { map, filter, networks, sets, mark: 0 };
    body.mark = mark.unwrap_or_else(|| body.mark_with(&rows));
    Ok(Opened { layer: Layer { body: Arc::new(body), rows: rows.into() }, feeds, base })
}

/// Reads a file that is not too large.
fn read_file(path: &Path) -> Result<Vec<u8>, OpenError> {
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    if length > ARTIFACT_OCTETS_MAX {
        return Err(OpenError::TooLarge(length));
    }
    let mut octets = Vec::with_capacity(usize::try_from(length).unwrap_or(0));
    Read::take(&mut file, ARTIFACT_OCTETS_MAX).read_to_end(&mut octets)?;
    Ok(octets)
}

/// Writes a file beside `path`, verifies it, and renames it.
fn replace_file(path: &Path, write: impl FnOnce(&mut File) -> io::Result<()>) -> Result<(), OpenError> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."));
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.tmp", std::process::id()));
    let temporary = Temporary(folder.join(name));
    // 0600: indicators are for their owner's eyes alone.
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary.0)?;
    write(&mut file)?;
    file.sync_all()?;
    drop(file);
    open(read_file(&temporary.0)?)?;
    fs::rename(&temporary.0, path)?;
    File::open(folder)?.sync_all()?;
    Ok(())
}

/// Writes a layer of these feeds, and the mark of it or of its base.
fn write_layer(layer: &Layer, feeds: &[IndexedFeed], mark: (u32, u64), out: &mut impl Write) -> io::Result<()> {
    let feeds = encode_feeds(feeds);
    let rows = rows::encode(&layer.rows);
    let Body { map, filter, networks, sets, .. } = &*layer.body;
    let filter = filter.as_ref().map(Filter::encode);
    let networks = (networks.len() > 0).then(|| networks.encode());
    let records = (sets.len() > 0).then(|| sets.encode());
    let (mark_kind, mark) = (mark.0, mark.1.to_be_bytes());
    let mut sections =
        vec![(kind::FEEDS, feeds.as_slice()), (kind::ROWS, rows.as_slice()), (kind::MAP, map.as_bytes())];
    sections.extend(filter.as_deref().map(|filter| (kind::FILTER, filter)));
    sections.extend(networks.as_deref().map(|networks| (kind::NETWORKS, networks)));
    sections.extend(records.as_deref().map(|records| (kind::RECORDS, records)));
    sections.push((mark_kind, mark.as_slice()));
    let mut checksum = crc32fast::Hasher::new();
    for &(kind, octets) in &sections {
        checksum.update(&section_head(kind, octets));
        checksum.update(octets);
    }
    out.write_all(&MAGIC)?;
    out.write_all(&VERSION.to_be_bytes())?;
    out.write_all(&u32::try_from(sections.len()).unwrap_or(u32::MAX).to_be_bytes())?;
    out.write_all(&checksum.finalize().to_be_bytes())?;
    for (kind, octets) in sections {
        out.write_all(&section_head(kind, octets))?;
        out.write_all(octets)?;
    }
    Ok(())
}

/// Kind, required, length.
fn section_head(kind: u32, octets: &[u8]) -> [u8; SECTION_HEAD_OCTETS] {
    let mut head = [0; SECTION_HEAD_OCTETS];
    let required = u32::from(!kind::OPTIONAL.contains(&kind)).to_be_bytes();
    let fields = kind.to_be_bytes().into_iter().chain(required).chain((octets.len() as u64).to_be_bytes());
    head.iter_mut().zip(fields).for_each(|(slot, octet)| *slot = octet);
    head
}

/// Checks preamble and checksum, and finds the sections.
fn read_layout(file: &[u8]) -> Result<Layout, OpenError> {
    let word = |at: usize| {
        let four = file.get(at..at + 4).and_then(|four| four.try_into().ok());
        four.map(u32::from_be_bytes).ok_or(OpenError::Section("first"))
    };
    if file.get(..MAGIC.len()) != Some(&MAGIC) {
        return Err(OpenError::Magic);
    }
    let version = word(8)?;
    if version != VERSION {
        return Err(OpenError::Version(version));
    }
    let (count, expected) = (word(12)?, word(16)?);
    let got = crc32fast::hash(file.get(PREAMBLE_OCTETS..).unwrap_or_default());
    if got != expected {
        return Err(OpenError::Checksum { expected, got });
    }
    if count > SECTIONS_MAX {
        return Err(OpenError::Section("last"));
    }
    let mut layout = Layout::default();
    let mut at = PREAMBLE_OCTETS;
    for _ in 0..count {
        let (kind, required) = (word(at)?, word(at + 4)?);
        let length = u64::from(word(at + 8)?) << 32 | u64::from(word(at + 12)?);
        let from = at + SECTION_HEAD_OCTETS;
        let to = usize::try_from(length).ok().and_then(|length| from.checked_add(length));
        let to = to.filter(|&to| to <= file.len()).ok_or(OpenError::Section("last"))?;
        let (slot, what) = match kind {
            kind::FEEDS => (&mut layout.feeds, "feeds"),
            kind::ROWS => (&mut layout.rows, "rows"),
            kind::MAP => (&mut layout.map, "map"),
            kind::FILTER => (&mut layout.filter, "filter"),
            kind::NETWORKS => (&mut layout.networks, "networks"),
            kind::RECORDS => (&mut layout.records, "records"),
            kind::MARK => (&mut layout.mark, "mark"),
            kind::BASE => (&mut layout.base, "base"),
            _ if required != 0 => return Err(OpenError::UnknownSection { kind }),
            _ => {
                at = to;
                continue;
            }
        };
        if slot.replace(from..to).is_some() {
            return Err(OpenError::Section(what));
        }
        at = to;
    }
    if at == file.len() { Ok(layout) } else { Err(OpenError::Section("last")) }
}

/// The FEEDS section.
fn encode_feeds(feeds: &[IndexedFeed]) -> Vec<u8> {
    let mut octets = vec![u8::try_from(feeds.len()).unwrap_or(u8::MAX)];
    for feed in feeds {
        let name = feed.name.as_bytes();
        let name = name.get(..name.len().min(FEED_NAME_OCTETS_MAX)).unwrap_or_default();
        octets.push(u8::try_from(feed.id.index()).unwrap_or(u8::MAX));
        octets.extend_from_slice(&feed.entries.to_be_bytes());
        octets.push(u8::try_from(name.len()).unwrap_or(0));
        octets.extend_from_slice(name);
    }
    octets
}

/// The reverse of [`encode_feeds`].
fn decode_feeds(octets: &[u8]) -> Option<Vec<IndexedFeed>> {
    let (&count, mut rest) = octets.split_first()?;
    if usize::from(count) > FEEDS_MAX {
        return None;
    }
    let mut feeds = Vec::new();
    for _ in 0..count {
        let (&id, tail) = rest.split_first()?;
        let id = FeedId::new(usize::from(id))?;
        let (entries, tail) = tail.split_first_chunk::<8>()?;
        let (&length, tail) = tail.split_first()?;
        let (name, tail) = tail.split_at_checked(usize::from(length))?;
        let name = std::str::from_utf8(name).ok()?.to_owned();
        feeds.push(IndexedFeed { id, name, entries: u64::from_be_bytes(*entries) });
        rest = tail;
    }
    (rest.is_empty() && feeds.is_sorted_by(|a, b| a.id < b.id)).then_some(feeds)
}

/// A file that goes away unless it was renamed.
struct Temporary(PathBuf);

impl Drop for Temporary {
    fn drop(&mut self) {
        // Gone already after the rename; on a failed write there is nothing more to do about a failed removal.
        fs::remove_file(&self.0).ok();
    }
}
