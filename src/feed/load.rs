//! Loads one feed: opens its source, tells its format, reads it. Blocks; runs where it may wait.
//!
//! An error names the file and counts, never a line's text. Memory is the entries' own: the text passes through one block's buffer.

use std::fs::File;
use std::io::{self, Read, Seek as _};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use super::detect::{DETECT_OCTETS, Detected, detect};
use super::format::{TextFormat, read_text};
use super::json::{JsonError, JsonFormat, Survey};
use super::sample::SAMPLE;
use super::{Config, Format, Report, Source, Terms};
use crate::index::Sorted;

/// The largest feed file: some fifty million names as text (a guess; ten million take 220 MB).
pub const FILE_OCTETS_MAX: u64 = 1 << 30;

/// What came of a feed.
pub enum Loaded {
    /// It was text.
    Text {
        /// Its entries.
        entries: Sorted,
        /// Where its lines went.
        report: Box<Report>,
    },
    /// It is an artifact, not opened yet.
    Artifact {
        /// The whole file.
        bytes: Vec<u8>,
    },
}

impl std::fmt::Debug for Loaded {
    /// Counts alone: the entries are indicators.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Text { report, .. } => f.debug_struct("Text").field("report", report).finish_non_exhaustive(),
            Self::Artifact { bytes } => f.debug_struct("Artifact").field("octets", &bytes.len()).finish(),
        }
    }
}

/// Why a feed did not load.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The file could not be opened or read.
    #[error("{path}: cannot be read", path = path.display())]
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A folder, a pipe, a device.
    #[error("{path}: expected a regular file", path = path.display())]
    NotRegular {
        /// Which file.
        path: PathBuf,
    },
    /// Over [`FILE_OCTETS_MAX`].
    #[error("{path}: expected at most {FILE_OCTETS_MAX} octets, got {octets}", path = path.display())]
    TooLarge {
        /// Which file.
        path: PathBuf,
        /// How large it is, at least.
        octets: u64,
    },
    /// It is something else altogether.
    #[error("{path}: expected a feed's text or an artifact, got {found}", path = path.display())]
    Foreign {
        /// Which file.
        path: PathBuf,
        /// What it looks like.
        found: &'static str,
    },
    /// `format = "auto"`, and its lines are of no known format, or there are none.
    #[error(
        "{path}: expected hosts, plain, adblock or rpz lines, or STIX or MISP, got none of these; if it is one, name its format",
        path = path.display()
    )]
    Unknown {
        /// Which file.
        path: PathBuf,
    },
    /// `format = "artifact"`, and it is none.
    #[error("{path}: expected an artifact, got another file", path = path.display())]
    NotArtifact {
        /// Which file.
        path: PathBuf,
    },
    /// `format` is a JSON format, and it is not read to its end.
    #[error("{path}: the feed is not read to its end", path = path.display())]
    Json {
        /// Which file.
        path: PathBuf,
        /// What stopped it.
        source: JsonError,
    },
    /// Read to its end, and nothing was taken.
    #[error(
        "{path}: expected at least one usable entry, got none in {lines} {unit}, {refused}",
        path = path.display(), lines = report.lines, unit = report.unit(), refused = report.refusals_told()
    )]
    NoUsableEntry {
        /// Which file.
        path: PathBuf,
        /// Where its lines went.
        report: Box<Report>,
    },
}

/// Loads the feed of `config`; `progress` hears of octets read and octets in all, once a block.
///
/// # Errors
/// [`LoadError`]; nothing that a line holds ends a load.
pub fn load(config: &Config, progress: &mut dyn FnMut(u64, u64)) -> Result<Loaded, LoadError> {
    let path = match &config.source {
        Source::File(path) => path,
        Source::Sample => return load_sample(&config.terms),
    };
    let unreadable = |error: io::Error| match error.kind() {
        io::ErrorKind::FileTooLarge => LoadError::TooLarge { path: path.clone(), octets: FILE_OCTETS_MAX + 1 },
        _ => LoadError::Unreadable { path: path.clone(), source: error },
    };
    let (file, octets) = open(path)?;
    let mut source = Counted { source: &file, done: 0, total: octets, progress };
    let mut head = Vec::with_capacity(DETECT_OCTETS);
    (&mut source).take(DETECT_OCTETS as u64).read_to_end(&mut head).map_err(unreadable)?;
    match format_of(path, config.format, detect(&head))? {
        Reader::Artifact => {
            let capacity = usize::try_from(octets).unwrap_or_default().saturating_sub(head.len());
            head.reserve_exact(capacity);
            source.read_to_end(&mut head).map_err(unreadable)?;
            Ok(Loaded::Artifact { bytes: head })
        }
        Reader::Text(format) => {
            let text = io::Cursor::new(head).chain(source);
            let (entries, report) = read_text(text, format, &config.terms).map_err(unreadable)?;
            usable(path, entries, report)
        }
        Reader::Json(format) => {
            let (entries, report) =
                load_json(&file, octets, format, &config.terms, progress).map_err(|error| match error {
                    JsonError::Unreadable(error) => unreadable(error),
                    source => LoadError::Json { path: path.clone(), source },
                })?;
            usable(path, entries, report)
        }
    }
}

/// What was read, unless nothing is usable.
fn usable(path: &Path, entries: Sorted, report: Report) -> Result<Loaded, LoadError> {
    let report = Box::new(report);
    if entries.is_empty() {
        return Err(LoadError::NoUsableEntry { path: path.to_owned(), report });
    }
    Ok(Loaded::Text { entries, report })
}

/// Reads JSON in its two passes, from its start.
fn load_json(
    mut file: &File,
    octets: u64,
    format: JsonFormat,
    terms: &Terms,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<(Sorted, Report), JsonError> {
    let now_secs = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    file.rewind().map_err(JsonError::Unreadable)?;
    let first = &mut |done, total: u64| progress(done, total.saturating_mul(2));
    let survey = Survey::of(Counted { source: file, done: 0, total: octets, progress: first }, format, terms)?;
    file.rewind().map_err(JsonError::Unreadable)?;
    let second = &mut |done: u64, total: u64| progress(total.saturating_add(done), total.saturating_mul(2));
    survey.read(Counted { source: file, done: 0, total: octets, progress: second }, now_secs)
}

/// Loads what is compiled in.
fn load_sample(terms: &Terms) -> Result<Loaded, LoadError> {
    let path = PathBuf::from("sample");
    let (entries, report) =
        read_text(SAMPLE, TextFormat::Plain, terms).map_err(|source| LoadError::Unreadable { path, source })?;
    Ok(Loaded::Text { entries, report: Box::new(report) })
}

/// Opens a regular file and says how large it is.
fn open(path: &Path) -> Result<(File, u64), LoadError> {
    let unreadable = |source| LoadError::Unreadable { path: path.to_owned(), source };
    // Asked before it is opened, since opening a pipe waits for its writer; and of what was opened, since it may be another by then.
    let before = std::fs::metadata(path).map_err(unreadable)?;
    if !before.is_file() {
        return Err(LoadError::NotRegular { path: path.to_owned() });
    }
    let file = File::open(path).map_err(unreadable)?;
    let metadata = file.metadata().map_err(unreadable)?;
    match metadata.len() {
        _ if !metadata.is_file() => Err(LoadError::NotRegular { path: path.to_owned() }),
        octets if octets > FILE_OCTETS_MAX => Err(LoadError::TooLarge { path: path.to_owned(), octets }),
        octets => Ok((file, octets)),
    }
}

/// What reads a file.
enum Reader {
    /// Whoever opens artifacts.
    Artifact,
    /// Lines of this format.
    Text(TextFormat),
    /// Objects of this format.
    Json(JsonFormat),
}

/// What reads the file, by the format that is named or the one that is told.
fn format_of(path: &Path, named: Format, detected: Detected) -> Result<Reader, LoadError> {
    let path = path.to_owned();
    match (named, detected) {
        (Format::Auto | Format::Artifact, Detected::Artifact) => Ok(Reader::Artifact),
        (Format::Artifact, _) => Err(LoadError::NotArtifact { path }),
        (_, Detected::Foreign(found)) => Err(LoadError::Foreign { path, found }),
        (_, Detected::Artifact) => Err(LoadError::Foreign { path, found: "an artifact" }),
        (Format::Auto, Detected::Text(format)) => Ok(Reader::Text(format)),
        (Format::Auto, Detected::Json(format)) => Ok(Reader::Json(format)),
        (Format::Auto, Detected::Unknown) => Err(LoadError::Unknown { path }),
        (Format::Hosts, _) => Ok(Reader::Text(TextFormat::Hosts)),
        (Format::Plain, _) => Ok(Reader::Text(TextFormat::Plain)),
        (Format::Adblock, _) => Ok(Reader::Text(TextFormat::Adblock)),
        (Format::Rpz, _) => Ok(Reader::Text(TextFormat::Rpz)),
        (Format::Stix, _) => Ok(Reader::Json(JsonFormat::Stix)),
        (Format::Misp, _) => Ok(Reader::Json(JsonFormat::Misp)),
    }
}

/// A source that tells how far it was read, and ends at [`FILE_OCTETS_MAX`] if the file grew meanwhile.
struct Counted<'p, R> {
    /// The file.
    source: R,
    /// Octets read.
    done: u64,
    /// Octets expected.
    total: u64,
    /// Who hears of it.
    progress: &'p mut dyn FnMut(u64, u64),
}

impl<R: Read> Read for Counted<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.source.read(buffer)?;
        self.done += count as u64;
        if self.done > FILE_OCTETS_MAX {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        (self.progress)(self.done, self.total);
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::feed::format::tests::entries;

    fn load_text(text: &[u8], format: Format) -> Result<Loaded, LoadError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("feed");
        std::fs::write(&path, text).unwrap();
        let config = Config { format, ..Config::new("f", Source::File(path)) };
        load(&config, &mut |done, total| assert!(done <= total))
    }

    #[test]
    fn a_file_of_more_than_one_block_is_read_whole() {
        let text: String = (0..40_000).map(|i| format!("0.0.0.0 n{i}.example.com\n")).collect();
        let mut last = (0, 0);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("feed");
        std::fs::write(&path, &text).unwrap();
        let config = Config::new("f", Source::File(path));
        let Ok(Loaded::Text { entries, report }) = load(&config, &mut |done, total| last = (done, total)) else {
            panic!("not loaded as text")
        };
        assert_eq!((entries.len(), report.format, report.used), (40_000, Format::Hosts, 40_000));
        assert_eq!(last, (text.len() as u64, text.len() as u64));
    }

    #[test]
    fn json_of_more_than_one_block_is_read_twice_and_progress_never_turns_back() {
        let indicator = |i: u32| {
            let (id, text) = (format!("indicator--{i}"), "x".repeat(100));
            format!(
                r#"{{"type": "indicator", "id": "{id}", "description": "{text}", "pattern": "[domain-name:value='n{i}.example']"}}"#
            )
        };
        let objects: Vec<_> = (0..5_000).map(indicator).collect();
        let text = format!("{{\"type\": \"bundle\", \"objects\": [{}]}}", objects.join(",\n"));
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("feed");
        std::fs::write(&path, &text).unwrap();
        let mut parts = Vec::new();
        let loaded = load(&Config::new("f", Source::File(path)), &mut |done, total| parts.push((done, total)));
        let Ok(Loaded::Text { entries, report }) = loaded else { panic!("not loaded: {loaded:?}") };
        assert_eq!((entries.len(), report.format, report.lines, report.used), (5_000, Format::Stix, 5_000, 5_000));
        // The head is read once more before them.
        let passes: Vec<_> = parts.iter().filter(|(_, total)| *total == 2 * text.len() as u64).collect();
        assert!(passes.is_sorted() && passes.last() == Some(&&(2 * text.len() as u64, 2 * text.len() as u64)));
    }

    #[test]
    fn an_artifact_is_handed_over_whole() {
        let bytes: Vec<u8> =
            crate::index::MAGIC.into_iter().chain((0..200_000_u32).map(|i| i.to_le_bytes()[0])).collect();
        for format in [Format::Auto, Format::Artifact] {
            match load_text(&bytes, format) {
                Ok(Loaded::Artifact { bytes: got }) => assert!(got == bytes),
                other => panic!("{other:?}"),
            }
        }
        assert!(matches!(load_text(b"a.example.com", Format::Artifact), Err(LoadError::NotArtifact { .. })));
        assert!(matches!(load_text(&bytes, Format::Plain), Err(LoadError::Foreign { .. })));
    }

    #[test]
    fn what_is_no_feed_fails_to_load_and_says_so_without_its_text() {
        for (text, format, want) in [
            (&b""[..], Format::Auto, "expected hosts, plain"),
            (b"", Format::Plain, "got none in 0 lines, 0 of them refused"),
            (b"# c\n", Format::Rpz, "got none in 1 lines"),
            (b"<html>\ncanary.example.com\n", Format::Plain, "got an HTML or XML page"),
            (b"\x1f\x8b\x08canary.example.com", Format::Hosts, "got gzip"),
            (b"address=/canary.example.com/\n", Format::Auto, "name its format"),
            (b"address=/canary.example.com/\n", Format::Plain, "got none in 1 lines, 1 of them refused"),
            (b"1.2.3.4\n5.6.7.8\n", Format::Auto, "got none in 2 lines, 2 of them refused"),
            (b"{\"canary\": 1}", Format::Auto, "name its format"),
            (b"{\"canary\": 1}", Format::Stix, "got none in 0 objects, 0 of them refused"),
            (b"{\"objects\": [{\"canary\": 1}]}", Format::Stix, "got none in 1 objects, 1 of them refused (syntax 1)"),
            (b"canary.example.com\n", Format::Misp, "not read to its end: expected JSON, got a syntax error at line 1"),
            (b"{\"Event\": {\"canary\": 1", Format::Auto, "expected JSON, got only its beginning"),
            (b"{\"Event\": {}}\n", Format::Plain, "got none in 1 lines, 1 of them refused"),
        ] {
            let error = load_text(text, format).unwrap_err();
            let cause = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
            let told = format!("{error}: {cause}");
            assert!(told.contains(want), "{told} lacks {want:?}");
            assert!(!format!("{error} {error:?}").contains("canary"), "{want}");
        }
    }

    #[test]
    fn folders_and_missing_files() {
        let folder = tempfile::tempdir().unwrap();
        let config = |path: PathBuf| Config::new("f", Source::File(path));
        let error = load(&config(folder.path().to_owned()), &mut |_, _| ()).unwrap_err();
        assert!(matches!(error, LoadError::NotRegular { .. }), "{error:?}");
        let error = load(&config(folder.path().join("none")), &mut |_, _| ()).unwrap_err();
        assert!(matches!(error, LoadError::Unreadable { .. }), "{error:?}");
    }

    #[test]
    fn the_sample_loads() {
        let config = Config::new("s", Source::Sample);
        let Ok(Loaded::Text { entries: sorted, .. }) = load(&config, &mut |_, _| ()) else { panic!("not loaded") };
        assert!(entries(&sorted).contains(&"malware.example".to_owned()));
    }
}
