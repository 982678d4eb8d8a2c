//! What the files of kept generations are called, and which files in the folder are ours to remove: by a name that nobody else gives, and of an
//! index by its mark besides.
//!
//! An artifact that an operator compiles has the same mark: `compile` refuses these names.

use std::ffi::OsStr;
use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use crate::index::MAGIC;

/// What every name begins with; the generation's number follows, ten digits or more.
const FRONT: &str = "generation-";
/// The fewest digits of a number.
const DIGITS: usize = 10;
/// What a manifest's name ends with.
const MANIFEST_END: &str = ".json";
/// What an index's ends with.
const INDEX_END: &str = ".index";
/// What an overlay's ends with.
const OVERLAY_END: &str = ".overlay";
/// What the name of a file ends with that is being written.
const TEMPORARY_END: &str = ".tmp";

/// What kind of file one of these names is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A manifest.
    Manifest,
    /// An index, or an overlay.
    Index,
    /// One of them, being written.
    Temporary,
}

/// What a generation's manifest is called.
pub(super) fn manifest(generation: u64) -> String {
    format!("{FRONT}{generation:010}{MANIFEST_END}")
}

/// What an index is called that a generation first had.
pub(super) fn index(generation: u64, part: &str) -> String {
    format!("{FRONT}{generation:010}-{part}{INDEX_END}")
}

/// What an overlay is called that a generation first had.
pub(super) fn overlay(generation: u64, part: &str) -> String {
    format!("{FRONT}{generation:010}-{part}{OVERLAY_END}")
}

/// What a name says, if it is one of these: the generation's number, and the kind.
pub(super) fn read(name: &str) -> Option<(u64, Kind)> {
    let rest = name.strip_prefix(FRONT)?;
    let (number, rest) = rest.split_at(rest.find(|c: char| !c.is_ascii_digit())?);
    // As we write it, and no other way to write the same number.
    let generation: u64 = number.parse().ok().filter(|generation| format!("{generation:0DIGITS$}") == number)?;
    let kind = match rest {
        MANIFEST_END => Kind::Manifest,
        TEMPORARY_END => Kind::Temporary,
        _ => {
            let (part, end) = rest.strip_prefix('-')?.split_once('.')?;
            let is_part = !part.is_empty() && part.bytes().all(|octet| octet.is_ascii_lowercase());
            let of_index =
                |end: &str| [INDEX_END, OVERLAY_END].iter().any(|known| known.strip_prefix('.') == Some(end));
            // `index.4711.tmp`
            let written = |end: &str| {
                let (end, process) = end.strip_suffix(TEMPORARY_END)?.split_once('.')?;
                (of_index(end) && process.bytes().all(|octet| octet.is_ascii_digit())).then_some(())
            };
            match () {
                () if is_part && of_index(end) => Kind::Index,
                () if is_part && written(end).is_some() => Kind::Temporary,
                () => return None,
            }
        }
    };
    Some((generation, kind))
}

/// Whether a file called so would be taken for one of a state directory's own.
#[must_use]
pub fn is_kept_name(name: &OsStr) -> bool {
    name.to_str().is_some_and(|name| read(name).is_some())
}

/// Whether a file begins as an index or an overlay does.
pub(super) fn has_mark(path: &Path) -> bool {
    let mut mark = [0; MAGIC.len()];
    File::open(path).is_ok_and(|mut file| file.read_exact(&mut mark).is_ok()) && mark == MAGIC
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_they_are_written_and_no_other_way() {
        for generation in [0, 7, 9_999_999_999, u64::MAX] {
            for (name, kind) in [
                (manifest(generation), Kind::Manifest),
                (index(generation, "big"), Kind::Index),
                (overlay(generation, "small"), Kind::Index),
                (format!("{}.4711.tmp", index(generation, "big")), Kind::Temporary),
                (manifest(generation).replace(".json", ".tmp"), Kind::Temporary),
            ] {
                assert_eq!(read(&name), Some((generation, kind)), "{name}");
                assert!(is_kept_name(OsStr::new(&name)));
            }
        }
        for name in [
            "0000000012-big.cenote",
            "indicators.cenote",
            "list.cenote.7.tmp",
            "generation-12.json",
            "generation-00000000012.json",
            "generation-+000000012.json",
            "generation-0000000012.json.bak",
            "generation-0000000012-.index",
            "generation-0000000012-big.cenote",
            "generation-0000000012-Big.index",
            "generation-0000000012-big.index.tmp",
            "generation-0000000012-big.index.x.tmp",
            "generation-99999999999999999999.json",
            "generation-",
            "lock",
            "",
        ] {
            assert_eq!(read(name), None, "{name}");
        }
    }
}
