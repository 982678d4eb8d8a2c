//! What reading a feed now would change, or what changed since an older generation: for the operator who is about to force an update, or to
//! go back. Counts; names only if they are asked for, and then to whoever asked alone.

use std::net::IpAddr;

use ipnet::IpNet;

use super::loading::{Next, previous, read_one};
use super::publisher::Publisher;
use super::tasks::ReloadError;
use super::{FeedError, FeedSet, FeedTrouble};
use crate::index::{Change, FeedId, Kept, Side, Sorted, Subject, changes};
use crate::name::Name;

/// The most names that are told: what a person looks through.
pub const DIFFERENCES_NAMED_MAX: usize = 1000;

/// How two readings of a feed differ.
#[derive(Clone, Default)]
pub struct Differences {
    /// Entries that were not there.
    pub added: u64,
    /// Entries that are there no more.
    pub removed: u64,
    /// Entries that say something else.
    pub altered: u64,
    /// Why the gate would refuse what the source holds now, if it would.
    pub refused: Option<String>,
    /// The first of them as text, if that was asked for.
    pub entries: Vec<(Change, String)>,
}

impl std::fmt::Debug for Differences {
    /// Counts alone: the entries are indicators.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { added, removed, altered, refused, entries } = self;
        f.debug_struct("Differences")
            .field("added", added)
            .field("removed", removed)
            .field("altered", altered)
            .field("refused", refused)
            .field("entries", &entries.len())
            .finish()
    }
}

impl Publisher {
    /// Compares a feed in force with its source, or with what it was in a generation; `named`: the entries are told, too.
    pub(super) fn differences(&self, name: &str, since: Option<u64>, named: bool) -> Result<Differences, ReloadError> {
        let no_such_feed = || ReloadError::NoSuchFeed(name.to_owned());
        let set = self.feeds.as_ref().ok_or_else(no_such_feed)?;
        let (state, now) = set.find(name).ok_or_else(no_such_feed)?;
        if let Some(generation) = since {
            let store = self.store.as_ref().ok_or(ReloadError::NoStore)?;
            let old = FeedSet::from_kept(store.get(generation)?);
            let (_, then) = old.find(name).ok_or_else(no_such_feed)?;
            return compare(&then, &now, named);
        }
        let config = self.settings.feeds.iter().find(|config| config.name == name).ok_or_else(no_such_feed)?;
        let trouble = |error: FeedError| ReloadError::Feeds(vec![FeedTrouble { name: name.to_owned(), error }]);
        let place = FeedId::new(0).ok_or_else(no_such_feed)?;
        let fresh = read_one(place, config, &mut |_, _, _| ()).map_err(trouble)?;
        let found = compare(&now, &fresh.next, named)?;
        let refused = fresh.pass(config, previous(config, state, &now), false).err().map(|error| error.to_string());
        Ok(Differences { refused, ..found })
    }
}

/// Counts what differs.
fn compare(old: &Next, new: &Next, named: bool) -> Result<Differences, ReloadError> {
    let nothing = Sorted::default();
    let mut found = Differences::default();
    changes(kept(old, &nothing), kept(new, &nothing), &mut |change, subject| {
        let count = match change {
            Change::Added => &mut found.added,
            Change::Removed => &mut found.removed,
            Change::Altered => &mut found.altered,
        };
        *count += 1;
        if named && found.entries.len() < DIFFERENCES_NAMED_MAX {
            found.entries.extend(text(subject).map(|text| (change, text)));
        }
    })?;
    Ok(found)
}

/// Where a feed's entries are.
fn kept<'n>(next: &'n Next, nothing: &'n Sorted) -> Kept<'n> {
    match next {
        Next::Fresh(entries) => Kept::New(entries),
        Next::Whole(index) => FeedId::new(0).map_or(Kept::New(nothing), |place| Kept::Old(index, place)),
        Next::Kept(index, place) => Kept::Old(index, *place),
        Next::Nothing => Kept::New(nothing),
    }
}

/// An entry as a person reads it.
fn text(subject: Subject<'_>) -> Option<String> {
    match subject {
        Subject::Name(key) => Name::from_key(key).ok().map(|name| name.reveal().to_string()),
        Subject::Network(side, network) => {
            let address = std::net::Ipv6Addr::from_bits(network.first());
            let (address, prefix_len) = match address.to_ipv4_mapped() {
                Some(four) => (IpAddr::V4(four), network.prefix_len().saturating_sub(96)),
                None => (IpAddr::V6(address), network.prefix_len()),
            };
            let network = IpNet::new(address, prefix_len).ok()?;
            Some(match side {
                Side::Client => format!("clients in {network}"),
                Side::Answer => format!("answers in {network}"),
            })
        }
    }
}
