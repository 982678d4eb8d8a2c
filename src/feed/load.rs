//! Loads one feed: opens its source, unpacks it, tells its format, reads it. Blocks; runs where it may wait.
//!
//! An error names the file and counts, never a line's text. Memory is the entries' own: the text passes through a block's buffer, and the
//! window of what it is packed in.

use std::fs::File;
use std::io::{self, Read, Seek as _};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use super::detect::{DETECT_OCTETS, Detected, detect_with};
use super::format::{TextFormat, column_names, read_text};
use super::json::{JsonError, JsonFormat, Survey};
use super::sample::SAMPLE;
use super::unpack::{MAGIC_OCTETS, Metered, Packing, Unpack, UnpackError};
use super::{Column, Config, Format, LoadError, Reason, Report, Source, Terms};
use crate::index::Sorted;

/// The largest feed file, and the largest that one may unpack to: some fifty million names as text (a guess; ten million take 220 MB).
pub const FILE_OCTETS_MAX: u64 = 1 << 30;

/// What a file without a line for an entry holds.
const COMMENTS_ALONE: &str = "comments alone";

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

/// Loads the feed of `config`; `progress` hears of octets read and octets in all, once a block.
///
/// # Errors
/// [`LoadError`]; nothing that a line holds ends a load.
pub fn load(config: &Config, progress: &mut dyn FnMut(u64, u64)) -> Result<Loaded, LoadError> {
    let path = match &config.source {
        Source::File(path) => path,
        Source::Sample => return load_sample(&config.terms),
    };
    let (file, octets) = open(path)?;
    let mut source = Counted { source: &file, done: 0, total: octets, progress };
    let mut head = Vec::with_capacity(DETECT_OCTETS);
    (&mut source).take(MAGIC_OCTETS as u64).read_to_end(&mut head).map_err(|error| failed(path, None, error))?;
    let packing = Packing::of(&head);
    let failed = |error| failed(path, packing, error);
    let mut source = Unpack::new(packing, Begun { head: io::Cursor::new(std::mem::take(&mut head)), source });
    (&mut source).take(DETECT_OCTETS as u64).read_to_end(&mut head).map_err(failed)?;
    let is_whole = head.len() < DETECT_OCTETS;
    match format_of(path, config, &head, is_whole)? {
        Reader::Artifact => {
            let capacity = usize::try_from(octets).unwrap_or_default().saturating_sub(head.len());
            head.reserve_exact(if packing.is_none() { capacity } else { 0 });
            source.read_to_end(&mut head).map_err(failed)?;
            Ok(Loaded::Artifact { bytes: head })
        }
        Reader::Text(format) => {
            let text = io::Cursor::new(head).chain(source);
            let (entries, report) = read_text(text, format, &config.terms).map_err(failed)?;
            usable(path, &config.terms, entries, report)
        }
        Reader::Json(format) => {
            drop(source);
            let read = load_json(&file, octets, packing, format, &config.terms, progress);
            let (entries, report) = read.map_err(|error| match error {
                JsonError::Unreadable(error) => failed(error),
                source => LoadError::Json { path: path.clone(), source },
            })?;
            usable(path, &config.terms, entries, report)
        }
    }
}

/// What was read, unless nothing is usable.
fn usable(path: &Path, terms: &Terms, entries: Sorted, report: Report) -> Result<Loaded, LoadError> {
    if entries.is_empty() {
        return Err(nothing_in(path, terms, report));
    }
    Ok(Loaded::Text { entries, report: Box::new(report) })
}

/// Why a file without a usable entry has none.
fn nothing_in(path: &Path, terms: &Terms, report: Report) -> LoadError {
    let path = path.to_owned();
    if report.refused_total() == 0 {
        let of_objects = matches!(report.format, Format::Stix | Format::Misp);
        return LoadError::Empty {
            path,
            holds: if of_objects { "no object that could be one" } else { COMMENTS_ALONE },
        };
    }
    let without_column = report.refused.get(Reason::Column as usize).is_some_and(|&count| count > 0);
    match &terms.column {
        None if without_column => LoadError::Column { path, expected: column_names() },
        Some(Column::Name(name)) if without_column => LoadError::Column { path, expected: format!("{name:?}") },
        _ => LoadError::NoUsableEntry { path, report: Box::new(report) },
    }
}

/// What an error of the source means.
fn failed(path: &Path, packing: Option<Packing>, error: io::Error) -> LoadError {
    let (path, packing) = (path.to_owned(), packing.map_or("nothing", Packing::label));
    if error.kind() == io::ErrorKind::FileTooLarge {
        return LoadError::TooLarge { path, octets: FILE_OCTETS_MAX + 1 };
    }
    match error.downcast::<UnpackError>() {
        Ok(UnpackError::Damaged(source)) => LoadError::Damaged { path, packing, source },
        Ok(UnpackError::Ratio) => LoadError::UnpacksTooFar { path, packing },
        Ok(UnpackError::TooLarge) => LoadError::UnpacksTooLarge { path, packing },
        Err(source) => LoadError::Unreadable { path, source },
    }
}

/// Reads JSON in its two passes, from its start.
fn load_json(
    file: &File,
    octets: u64,
    packing: Option<Packing>,
    format: JsonFormat,
    terms: &Terms,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<(Sorted, Report), JsonError> {
    let now_secs = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let first = &mut |done, total: u64| progress(done, total.saturating_mul(2));
    let survey = Survey::of(from_start(file, octets, packing, first).map_err(JsonError::Unreadable)?, format, terms)?;
    let second = &mut |done: u64, total: u64| progress(total.saturating_add(done), total.saturating_mul(2));
    survey.read(from_start(file, octets, packing, second).map_err(JsonError::Unreadable)?, now_secs)
}

/// A file from its first octet, unpacked.
type Whole<'f> = Unpack<Begun<Counted<'f, &'f File>>>;

/// Reads `file` again from its start.
fn from_start<'f>(
    mut file: &'f File,
    octets: u64,
    packing: Option<Packing>,
    progress: &'f mut dyn FnMut(u64, u64),
) -> io::Result<Whole<'f>> {
    file.rewind()?;
    let source = Counted { source: file, done: 0, total: octets, progress };
    Ok(Unpack::new(packing, Begun { head: io::Cursor::default(), source }))
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

/// What reads the file, by the format that is named or the one that is told by its first octets, which may be all.
fn format_of(path: &Path, config: &Config, head: &[u8], is_whole: bool) -> Result<Reader, LoadError> {
    let path = path.to_owned();
    match (config.format, detect_with(head, config.terms.column.is_some())) {
        (_, Detected::Page) => Err(LoadError::Html { path }),
        (_, Detected::Nothing) if is_whole && is_blank(head) => Err(LoadError::Empty { path, holds: "an empty file" }),
        (Format::Auto, Detected::Nothing) if is_whole => Err(LoadError::Empty { path, holds: COMMENTS_ALONE }),
        (Format::Auto | Format::Artifact, Detected::Artifact) => Ok(Reader::Artifact),
        (Format::Artifact, _) => Err(LoadError::NotArtifact { path }),
        (_, Detected::Foreign(found)) => Err(LoadError::Foreign { path, found }),
        (_, Detected::Artifact) => Err(LoadError::Foreign { path, found: "an artifact" }),
        (Format::Auto, Detected::Text(format)) => Ok(Reader::Text(format)),
        (Format::Auto, Detected::Json(format)) => Ok(Reader::Json(format)),
        (Format::Auto, Detected::Unknown | Detected::Nothing) => Err(LoadError::Unknown { path }),
        (Format::Hosts, _) => Ok(Reader::Text(TextFormat::Hosts)),
        (Format::Plain, _) => Ok(Reader::Text(TextFormat::Plain)),
        (Format::Adblock, _) => Ok(Reader::Text(TextFormat::Adblock)),
        (Format::Rpz, _) => Ok(Reader::Text(TextFormat::Rpz)),
        (Format::Dnsmasq, _) => Ok(Reader::Text(TextFormat::Dnsmasq)),
        (Format::Unbound, _) => Ok(Reader::Text(TextFormat::Unbound)),
        (Format::Bind, _) => Ok(Reader::Text(TextFormat::Bind)),
        (Format::Dnscrypt, _) => Ok(Reader::Text(TextFormat::Dnscrypt)),
        (Format::Csv, _) => Ok(Reader::Text(TextFormat::Csv)),
        (Format::V2fly, _) => Ok(Reader::Text(TextFormat::V2fly)),
        (Format::Stix, _) => Ok(Reader::Json(JsonFormat::Stix)),
        (Format::Misp, _) => Ok(Reader::Json(JsonFormat::Misp)),
    }
}

/// Whether there is nothing in a file but blank space, and what marks it as UTF-8.
fn is_blank(text: &[u8]) -> bool {
    text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text).trim_ascii().is_empty()
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

/// A source of which the first octets were read already.
struct Begun<R> {
    /// Those.
    head: io::Cursor<Vec<u8>>,
    /// The rest.
    source: R,
}

impl<R: Read> Read for Begun<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.head.read(buffer)? {
            0 => self.source.read(buffer),
            count => Ok(count),
        }
    }
}

impl<R: Read> Metered for Begun<Counted<'_, R>> {
    fn octets_read(&self) -> u64 {
        self.source.done
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::feed::format::tests::entries;
    use crate::feed::unpack::tests::{gzip, zstd};

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
            (&b""[..], Format::Auto, "got an empty file"),
            (b"\xef\xbb\xbf \r\n", Format::Plain, "got an empty file"),
            (b"", Format::Stix, "got an empty file"),
            (b"", Format::Artifact, "got an empty file"),
            (b"; c\n", Format::Rpz, "got comments alone"),
            (b"# c\n", Format::Rpz, "got none in 1 lines; refused: syntax 1 (line 1)"),
            (b"# c", Format::Auto, "got comments alone"),
            (b"<?xml version=\"1.0\"?>\n<Error>canary.example.com</Error>", Format::Auto, "got an HTML or XML page"),
            (&gzip(b"\n<!DOCTYPE html>canary.example.com"), Format::Artifact, "got an HTML or XML page"),
            (b"<html>\ncanary.example.com\n", Format::Plain, "got an HTML or XML page"),
            (b"\x1f\x8b\x08canary.example.com", Format::Hosts, "expected whole gzip, got it cut short or damaged"),
            (&gzip(b"canary.example.com\n")[..30], Format::Plain, "expected whole gzip"),
            (&zstd(b"canary.example.com\n")[..20], Format::Plain, "expected whole zstd"),
            (&gzip(&zstd(b"canary.example.com\n")), Format::Plain, "got zstd within gzip"),
            (&gzip(b"PK\x03\x04"), Format::Plain, "got a zip archive"),
            (&gzip(b""), Format::Plain, "got an empty file"),
            (&zstd(&vec![b'a'; 9 << 20]), Format::Plain, "expected zstd that unpacks to at most 1000 times its size"),
            (b"route canary.example.com\n", Format::Auto, "name its format"),
            (
                b"canary.example.com,1\n",
                Format::Csv,
                "called domain, hostname, host, name, fqdn, indicator, url or uri, got none; set `column`",
            ),
            (b"address=/canary.example.com/\n", Format::Plain, "got none in 1 lines; refused: character 1 (line 1)"),
            (b"1.2.3.4\n5.6.7.8\n", Format::Auto, "got none in 2 lines; refused: address 2 (lines 1, 2)"),
            (b"{\"canary\": 1}", Format::Auto, "name its format"),
            (b"{\"canary\": 1}", Format::Stix, "got no object that could be one"),
            (b"{\"objects\": [{\"canary\": 1}]}", Format::Stix, "got none in 1 objects; refused: syntax 1 (object 1)"),
            (b"canary.example.com\n", Format::Misp, "not read to its end: expected JSON, got a syntax error at line 1"),
            (b"{\"Event\": {\"canary\": 1", Format::Auto, "expected JSON, got only its beginning"),
            (b"{\"Event\": {}}\n", Format::Plain, "got none in 1 lines; refused: syntax 1 (line 1)"),
        ] {
            let error = load_text(text, format).unwrap_err();
            let cause = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
            let told = format!("{error}: {cause}");
            assert!(told.contains(want), "{told} lacks {want:?}");
            assert!(!format!("{error} {error:?}").contains("canary"), "{want}");
        }
    }

    #[test]
    fn what_is_packed_is_read_as_what_it_unpacks_to() {
        let text = b"0.0.0.0 a.example.com\n0.0.0.0 b.example.com\n";
        let artifact = [&crate::index::MAGIC[..], b"some octets"].concat();
        for pack in [gzip, zstd] {
            for format in [Format::Auto, Format::Hosts] {
                let Ok(Loaded::Text { entries: sorted, report }) = load_text(&pack(text), format) else {
                    panic!("not loaded as text")
                };
                assert_eq!(entries(&sorted), ["a.example.com", "b.example.com"]);
                assert_eq!((report.format, report.lines), (Format::Hosts, 2));
            }
            let Ok(Loaded::Artifact { bytes }) = load_text(&pack(&artifact), Format::Auto) else {
                panic!("not loaded")
            };
            assert_eq!(bytes, artifact);
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
