//! What is removed from the folder: generations older than are kept, what they alone name, and what a write left half done; never what is not
//! provably ours.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use super::Store;
use super::names::{self, Kind};

impl Store {
    /// Removes as many of the oldest generations as make room for `octets`, and none if even all but `stay` would not; what of `generation` is
    /// there already stays, and so does the generation kept last.
    pub(super) fn make_room(&self, generation: u64, octets: u64, free: u64, stay: usize) -> bool {
        let last = self.saved.as_ref().map(|saved| saved.manifest.generation);
        let numbers = self.numbers();
        let may_go: Vec<u64> = numbers.iter().copied().filter(|&number| Some(number) != last).collect();
        for count in 1..=may_go.len().min(numbers.len().saturating_sub(stay)) {
            let (go, _) = may_go.split_at(count);
            let left = numbers.iter().copied().filter(|number| !go.contains(number));
            let unneeded = self.unneeded(left, &self.named_by(go), Some(generation)).into_iter();
            let given: u64 = unneeded.filter_map(|file| fs::metadata(file).ok()).map(|file| file.len()).sum();
            if free.saturating_add(given) >= octets {
                return self.prune(go, Some(generation)) > 0;
            }
        }
        false
    }

    /// Removes these generations and what is older than is kept, with what they alone name, indexes of ours that no manifest names but those of
    /// `coming`, and what a write left half done; how many manifests that were.
    pub(super) fn prune(&self, go: &[u64], coming: Option<u64>) -> usize {
        let (mut go, numbers) = (go.to_vec(), self.numbers());
        go.extend(
            numbers.iter().rev().filter(|number| !go.contains(number)).skip(self.keep).copied().collect::<Vec<_>>(),
        );
        let named = self.named_by(&go);
        // A manifest that cannot be read is not known to be ours. What cannot be removed now is at the next save.
        go.retain(|&number| self.manifest(number).is_ok() && fs::remove_file(self.manifest_path(number)).is_ok());
        let left = numbers.into_iter().filter(|number| !go.contains(number));
        for file in self.unneeded(left, &named, coming) {
            fs::remove_file(file).ok();
        }
        go.len()
    }

    /// The files that these generations name.
    fn named_by(&self, generations: &[u64]) -> BTreeSet<String> {
        let manifests = generations.iter().filter_map(|&number| self.manifest(number).ok());
        manifests.flat_map(|manifest| manifest.files().cloned().collect::<Vec<_>>()).collect()
    }

    /// The files that are ours, by their name and mark or because they are among `named`, and that none of these generations needs, nor `coming`.
    fn unneeded(
        &self,
        generations: impl Iterator<Item = u64>,
        named: &BTreeSet<String>,
        coming: Option<u64>,
    ) -> Vec<PathBuf> {
        let (mut needed, mut unknown) = (BTreeSet::new(), None);
        for number in generations {
            match self.manifest(number) {
                Ok(manifest) => needed.extend(manifest.files().cloned()),
                // Of a manifest that cannot be read it is not known what it needs, but that it needs nothing that is newer.
                Err(_) => unknown = unknown.max(Some(number)),
            }
        }
        let is_ours = |name: &String| match names::read(name) {
            Some((generation, _)) if Some(generation) == coming || Some(generation) <= unknown => false,
            None if unknown.is_some() => false,
            Some((_, Kind::Index)) => names::has_mark(&self.folder.join(name)),
            Some((_, Kind::Temporary)) => true,
            Some((_, Kind::Manifest)) | None => named.contains(name) && names::has_mark(&self.folder.join(name)),
        };
        let unneeded = self.names().into_iter().filter(|name| !needed.contains(name) && is_ours(name));
        unneeded.map(|name| self.folder.join(name)).collect()
    }
}
