//! [`Filter`]: says of nearly every name that is not listed that it is not, before the map is walked.
//!
//! A blocked Bloom filter (Putze, Sanders, Singler: "Cache-, Hash- and Space-Efficient Bloom Filters", 2007) over the hashes of all keys:
//! each key sets seven bits of one 64-octet block, at 12 bits a key. A query hashes its labels from the root's side, one multiply for eight
//! octets, and looks at one block a label boundary, where the walk takes a step an octet. A false positive costs a walk and nothing else.
//! A name that is not listed is decided in 67 ns among a million names and 79 ns among ten (`benches/lookup.rs`).

use crate::name::NameRef;

/// Bits a key gets.
const BITS_A_KEY: usize = 12;
/// Bits a key sets.
const PROBES: u32 = 7;
/// 64-bit words of a block: one cache line.
const BLOCK_WORDS: usize = 8;
/// Octets of a block.
const BLOCK_OCTETS: usize = BLOCK_WORDS * 8;
/// Octets in front of the blocks in the artifact: the least and the most labels of a key.
const HEAD_OCTETS: usize = 2;
/// An odd number with well-mixed bits (the golden ratio's, as in Fibonacci hashing).
const MIX: u64 = 0x9e37_79b9_7f4a_7c15;

/// One cache line of bits.
#[derive(Clone, Copy)]
#[repr(align(64))]
struct Block([u64; BLOCK_WORDS]);

/// The hashes of an index's keys.
pub(super) struct Filter {
    /// At least one.
    blocks: Box<[Block]>,
    /// The fewest labels a key has: boundaries above are not looked at.
    least_labels: u8,
    /// The most labels a key has: boundaries below are not looked at.
    most_labels: u8,
}

/// Folds the ASCII capitals among eight octets to small letters.
const fn fold_eight(octets: u64) -> u64 {
    const ONES: u64 = 0x0101_0101_0101_0101;
    let low = octets & (ONES * 0x7f);
    let from_a = low + ONES * (0x80 - b'A' as u64);
    let past_z = low + ONES * (0x7f - b'Z' as u64);
    let capitals = (from_a ^ past_z) & !octets & (ONES * 0x80);
    octets | capitals >> 2
}

/// Takes one label, its length octet in front, into the hash of what is above it.
#[inline]
fn take_label(above: u64, label: &[u8]) -> u64 {
    let mut hash = above;
    let mut mix = |eight: u64| {
        let product = u128::from(hash ^ fold_eight(eight)) * u128::from(MIX);
        #[expect(clippy::cast_possible_truncation, reason = "both halves are taken")]
        let folded = (product >> 64) as u64 ^ product as u64;
        hash = folded;
    };
    let (eights, rest) = label.as_chunks::<8>();
    for &eight in eights {
        mix(u64::from_le_bytes(eight));
    }
    if !rest.is_empty() {
        mix(rest.iter().rev().fold(0, |word, &octet| word << 8 | u64::from(octet)));
    }
    hash
}

/// The labels of a key, each with its length octet.
fn labels_of(key: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = key;
    std::iter::from_fn(move || {
        let length = usize::from(*rest.first()?) + 1;
        let (label, tail) = rest.split_at_checked(length)?;
        rest = tail;
        Some(label)
    })
}

impl Filter {
    /// An empty filter with room for `keys`.
    pub(super) fn with_room(keys: usize) -> Self {
        let blocks = (keys * BITS_A_KEY).div_ceil(BLOCK_OCTETS * 8).max(1);
        Self { blocks: vec![Block([0; BLOCK_WORDS]); blocks].into(), least_labels: u8::MAX, most_labels: 0 }
    }

    /// The block of a hash.
    #[inline]
    fn place(&self, hash: u64) -> usize {
        // Multiply-shift: the high bits choose the block, the low ones the bits in it.
        usize::try_from((u128::from(hash) * self.blocks.len() as u128) >> 64).unwrap_or(0)
    }

    /// The word and the bit of each probe.
    #[inline]
    fn probes(hash: u64) -> impl Iterator<Item = (usize, u64)> {
        (0..PROBES).map(move |probe| {
            let nine = hash >> (probe * 9) & 511;
            ((nine >> 6) as usize & (BLOCK_WORDS - 1), 1 << (nine & 63))
        })
    }

    /// Takes a key in.
    pub(super) fn insert(&mut self, key: &[u8]) {
        let (mut hash, mut labels) = (MIX, 0_u8);
        for label in labels_of(key) {
            hash = take_label(hash, label);
            labels = labels.saturating_add(1);
        }
        self.least_labels = self.least_labels.min(labels);
        self.most_labels = self.most_labels.max(labels);
        let place = self.place(hash);
        if let Some(Block(words)) = self.blocks.get_mut(place) {
            for (word, bit) in Self::probes(hash) {
                if let Some(word) = words.get_mut(word) {
                    *word |= bit;
                }
            }
        }
    }

    /// False: neither `name` nor a name above it is a key. True: one may be.
    // Called, and not inlined, it is 35 instructions dearer (`benches/instructions.rs`).
    #[inline(always)]
    pub(super) fn may_hold(&self, name: &NameRef<'_>) -> bool {
        if self.least_labels == 0 {
            return true;
        }
        let mut hash = MIX;
        for (above, label) in name.root_first().take(usize::from(self.most_labels)).enumerate() {
            hash = take_label(hash, label);
            if above + 1 >= usize::from(self.least_labels) && self.holds(hash) {
                return true;
            }
        }
        false
    }

    /// Whether all bits of a hash are set.
    #[inline]
    fn holds(&self, hash: u64) -> bool {
        let Some(Block(words)) = self.blocks.get(self.place(hash)) else { return true };
        Self::probes(hash).all(|(word, bit)| words.get(word).is_some_and(|word| word & bit != 0))
    }

    /// Octets it takes.
    pub(super) const fn bytes(&self) -> usize {
        self.blocks.len() * BLOCK_OCTETS
    }

    /// As the artifact holds it: the fewest and the most labels, then the words, little-endian.
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut octets = Vec::with_capacity(HEAD_OCTETS + self.bytes());
        octets.extend_from_slice(&[self.least_labels, self.most_labels]);
        octets.extend(self.blocks.iter().flat_map(|block| block.0).flat_map(u64::to_le_bytes));
        octets
    }

    /// The reverse of [`Self::encode`]; `None` if the octets are no filter.
    pub(super) fn decode(octets: &[u8]) -> Option<Self> {
        let (&[least_labels, most_labels], rest) = octets.split_first_chunk::<HEAD_OCTETS>()?;
        let (words, odd) = rest.as_chunks::<8>();
        let (blocks, odd_words) = words.as_chunks::<BLOCK_WORDS>();
        if blocks.is_empty() || !odd.is_empty() || !odd_words.is_empty() {
            return None;
        }
        let blocks = blocks.iter().map(|words| Block(words.map(u64::from_le_bytes))).collect();
        Some(Self { blocks, least_labels, most_labels })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::name::Name;

    fn name(text: &str) -> Name {
        Name::from_text(text.as_bytes()).unwrap()
    }

    #[test]
    fn letters_fold_eight_at_a_time() {
        for octet in 0..=255_u8 {
            let folded = fold_eight(u64::from_le_bytes([octet; 8])).to_le_bytes();
            assert_eq!(folded, [octet.to_ascii_lowercase(); 8]);
        }
    }

    #[test]
    fn every_key_and_all_below_it_may_be_held_and_few_others() {
        let count = 20_000;
        let mut filter = Filter::with_room(count);
        let listed = |i: usize| name(&format!("host{i}.listed-{}.example", i % 977));
        for i in 0..count {
            filter.insert(listed(i).key().unwrap().as_bytes());
        }
        let filter = Filter::decode(&filter.encode()).unwrap();
        for i in 0..count {
            let text = listed(i).reveal().to_string();
            for asked in [text.clone(), text.to_uppercase(), format!("deep.below.{text}")] {
                assert!(filter.may_hold(&name(&asked).view().unwrap()), "{asked}");
            }
        }
        let wrong =
            (0..count).filter(|i| filter.may_hold(&name(&format!("other{i}.example.com")).view().unwrap())).count();
        assert!(wrong < count / 50, "{wrong} of {count} false positives");
    }

    #[test]
    fn a_key_at_the_root_covers_everything() {
        let mut filter = Filter::with_room(1);
        filter.insert(b"");
        assert!(filter.may_hold(&name("a.b").view().unwrap()));
        let mut filter = Filter::with_room(0);
        assert!(!filter.may_hold(&name("a.b").view().unwrap()), "nothing is held");
        filter.insert(name("b").key().unwrap().as_bytes());
        assert!(filter.may_hold(&name("a.b").view().unwrap()));
        assert!(!filter.may_hold(&name(".").view().unwrap()));
    }

    #[test]
    fn octets_that_are_no_filter() {
        for octets in [&b""[..], b"\x01", b"\x01\x02", &[0; 65], &[0; 67], &[0; 90]] {
            assert!(Filter::decode(octets).is_none(), "{} octets", octets.len());
        }
    }
}
