//! [`Key`]: what a cached answer is an answer to, and what queries in flight are joined by.
//!
//! Made once a query, on the stack: one copy of the name and one keyed hash. Names are attackers' input, so the hash has a [`Seed`] nobody
//! outside knows, and every table compares the whole key, never the hash alone.

use std::hash::{BuildHasher, Hasher};

use foldhash::SharedSeed;
use foldhash::quality::FoldHasher;

use crate::name::{NAME_OCTETS_MAX, fold};
use crate::wire::{Query, u16_at};

/// Octets of the hash that leads a key.
const HASH_OCTETS: usize = 8;
/// Octets of group, type and flags, which follow it.
const FIXED_OCTETS: usize = 5;
/// Where the name starts.
const NAME_AT: usize = HASH_OCTETS + FIXED_OCTETS;
/// Octets of the longest key.
const KEY_OCTETS_MAX: usize = NAME_AT + NAME_OCTETS_MAX;
/// The flag for DO.
const DNSSEC_OK: u8 = 1;
/// The flag for CD.
const CHECKING_DISABLED: u8 = 2;

/// The secret of a process's hashes, from a CSPRNG; all keys that meet in one table are made with one seed.
#[derive(Clone)]
pub struct Seed {
    /// What each hash starts from.
    start: u64,
    /// What its rounds mix in.
    shared: SharedSeed,
}

impl Seed {
    /// A seed of two random numbers.
    #[must_use]
    pub const fn new(random: [u64; 2]) -> Self {
        let [start, shared] = random;
        Self { start, shared: SharedSeed::from_u64(shared) }
    }
}

/// A question as the cache knows it: folded name, type, DO, CD and group of upstreams; the class is IN.
#[derive(Clone)]
pub struct Key {
    /// The first `length` octets: hash, group, type, flags, folded name in wire form.
    octets: [u8; KEY_OCTETS_MAX],
    /// Octets in use, over [`NAME_AT`].
    length: u16,
    /// The type, as it stands in `octets`.
    qtype: u16,
    /// DO and CD, as they stand in `octets`.
    flags: u8,
}

impl Key {
    /// The key of `query` asked of the upstreams of `group`.
    #[inline]
    #[must_use]
    pub fn of(query: &Query<'_>, group: u16, seed: &Seed) -> Self {
        let mut octets = [0; KEY_OCTETS_MAX];
        let flags = if query.dnssec_ok() { DNSSEC_OK } else { 0 }
            | if query.header.checking_disabled() { CHECKING_DISABLED } else { 0 };
        let [group_high, group_low] = group.to_be_bytes();
        let [type_high, type_low] = query.qtype.to_be_bytes();
        let fixed = [group_high, group_low, type_high, type_low, flags];
        let name = query.qname.wire();
        let (hash_room, rest) = octets.split_at_mut(HASH_OCTETS);
        for (slot, octet) in rest.iter_mut().zip(fixed) {
            *slot = octet;
        }
        for (slot, &octet) in rest.iter_mut().skip(FIXED_OCTETS).zip(name) {
            *slot = fold(octet);
        }
        let mut hasher = FoldHasher::with_seed(seed.start, &seed.shared);
        hasher.write(rest.get(..FIXED_OCTETS + name.len()).unwrap_or_default());
        hash_room.copy_from_slice(&hasher.finish().to_ne_bytes());
        #[expect(clippy::cast_possible_truncation, reason = "a name has at most 255 octets")]
        let length = (NAME_AT + name.len()) as u16;
        Self { octets, length, qtype: query.qtype, flags }
    }

    /// The whole key, its hash in front: equal for equal keys of one seed, and for no others.
    #[inline]
    pub(super) fn as_bytes(&self) -> &[u8] {
        self.octets.get(..usize::from(self.length)).unwrap_or_default()
    }

    /// The keyed hash.
    #[inline]
    #[must_use]
    pub const fn hash(&self) -> u64 {
        leading_hash(&self.octets)
    }

    /// The name, folded, in wire form.
    #[inline]
    #[must_use]
    pub fn name(&self) -> &[u8] {
        self.as_bytes().get(NAME_AT..).unwrap_or_default()
    }

    /// The group of upstreams.
    #[inline]
    #[must_use]
    pub fn group(&self) -> u16 {
        u16_at(&self.octets, HASH_OCTETS).unwrap_or_default()
    }

    /// The type asked.
    #[inline]
    #[must_use]
    pub const fn qtype(&self) -> u16 {
        self.qtype
    }

    /// Whether DNSSEC records are wanted.
    #[inline]
    #[must_use]
    pub const fn dnssec_ok(&self) -> bool {
        self.flags & DNSSEC_OK != 0
    }

    /// Whether the upstream is asked not to validate.
    #[inline]
    #[must_use]
    pub const fn checking_disabled(&self) -> bool {
        self.flags & CHECKING_DISABLED != 0
    }
}

impl PartialEq for Key {
    #[inline]
    fn eq(&self, other: &Self) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl Eq for Key {}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("<key>")
    }
}

/// The hash that leads a key's octets; 0 of fewer than eight.
#[inline]
const fn leading_hash(octets: &[u8]) -> u64 {
    match octets.first_chunk() {
        Some(hash) => u64::from_ne_bytes(*hash),
        None => 0,
    }
}

/// Hashes a key's octets by taking the hash they carry, and a key's hash by taking it, so that a lookup hashes nothing again.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Carried(u64);

impl BuildHasher for Carried {
    type Hasher = Self;

    #[inline]
    fn build_hasher(&self) -> Self {
        Self(0)
    }
}

impl Hasher for Carried {
    #[inline]
    fn finish(&self) -> u64 {
        self.0
    }

    #[inline]
    fn write(&mut self, octets: &[u8]) {
        self.0 = leading_hash(octets);
    }

    #[inline]
    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }

    /// The slice's length, which says nothing the hash does not.
    #[inline]
    fn write_usize(&mut self, _: usize) {}
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{Header, rtype};

    /// The key of a query for `name` with the given flags' second octet and DO.
    fn key(name: &[u8], qtype: u16, cd: bool, dnssec_ok: bool, group: u16, seed: &Seed) -> Key {
        let mut octets = vec![0, 1, 1, u8::from(cd) << 4, 0, 1, 0, 0, 0, 0, 0, 1];
        octets.extend_from_slice(name);
        octets.extend_from_slice(&qtype.to_be_bytes());
        octets.extend_from_slice(&[0, 1, 0, 0, 41, 16, 0, 0, 0, u8::from(dnssec_ok) << 7, 0, 0, 0]);
        Key::of(&Query::read(Header::read(&octets).unwrap(), &octets).unwrap(), group, seed)
    }

    #[test]
    fn what_tells_questions_apart() {
        let seed = Seed::new([1, 2]);
        let one = key(b"\x01a\x07example\0", rtype::A, false, false, 0, &seed);
        assert_eq!((one.name(), one.qtype(), one.group()), (&b"\x01a\x07example\0"[..], rtype::A, 0));
        assert_eq!(one, key(b"\x01A\x07eXample\0", rtype::A, false, false, 0, &seed), "letter case is folded");
        for (why, other) in [
            ("name", key(b"\x01b\x07example\0", rtype::A, false, false, 0, &seed)),
            ("type", key(b"\x01a\x07example\0", rtype::AAAA, false, false, 0, &seed)),
            ("CD", key(b"\x01a\x07example\0", rtype::A, true, false, 0, &seed)),
            ("DO", key(b"\x01a\x07example\0", rtype::A, false, true, 0, &seed)),
            ("group", key(b"\x01a\x07example\0", rtype::A, false, false, 1, &seed)),
        ] {
            assert!(one != other && one.hash() != other.hash(), "{why}");
        }
        let other_seed = key(b"\x01a\x07example\0", rtype::A, false, false, 0, &Seed::new([3, 2]));
        assert_ne!(one.hash(), other_seed.hash());
        assert_eq!(format!("{one:?}"), "<key>");
    }

    #[test]
    fn the_longest_name_fits() {
        let longest: Vec<u8> = [1, b'a'].repeat(127).into_iter().chain([0]).collect();
        let key = key(&longest, u16::MAX, true, true, u16::MAX, &Seed::new([1, 2]));
        assert_eq!(key.name(), longest);
        assert!(key.dnssec_ok() && key.checking_disabled() && key.group() == u16::MAX);
        assert_eq!(Carried::default().hash_one(key.as_bytes()), key.hash());
    }
}
