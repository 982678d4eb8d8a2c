//! What tells one feed's entries from another's, in one number: so that a file written again with the same in it is no change, and a rollback
//! knows which generations differ. It guards against no forger: who can write a feed can leave it unchanged. Costs one pass.

use std::hash::{Hash, Hasher};
use std::io::{self, Write};

use super::loading::Next;
use super::standing::Tally;
use crate::index::{Sorted, Verb};

/// The number of what was read now, and what its entries ask for: one pass for both. Of what is at hand there is none to count, and of an
/// artifact nothing is asked.
pub(super) fn survey(next: &Next) -> (Option<u64>, Tally) {
    let (mut sum, mut tally) = (Sum::new(), Tally::default());
    let counted = match next {
        Next::Fresh(entries) => {
            add(entries, &mut sum, &mut tally);
            true
        }
        Next::Whole(index) => index.write(&mut sum).is_ok(),
        Next::Kept(..) | Next::Nothing => false,
    };
    (counted.then(|| sum.finish()), tally)
}

/// Adds every name and network, and what is said of it.
fn add(entries: &Sorted, sum: &mut Sum, tally: &mut Tally) {
    let verb = |verb: Option<Verb>, sum: &mut Sum| match verb {
        // Sets are numbered in the order they were met in: what is in them counts.
        Some(Verb::Data(id)) => entries.records(id).hash(sum),
        verb => verb.hash(sum),
    };
    for (key, verbs) in entries.iter() {
        tally.add_name(verbs);
        key.hash(sum);
        verb(verbs.at, sum);
        verb(verbs.below, sum);
        verbs.until.hash(sum);
    }
    for (side, network, verbs) in entries.networks() {
        tally.add_network(verbs);
        (side, network).hash(sum);
        verb(verbs.at, sum);
        verbs.until.hash(sum);
    }
}

/// A running sum of 64 bits, eight octets a step as FNV-1a takes one, the high bits turned in; the same on every run, for it is kept.
struct Sum(u64);

impl Sum {
    /// Of nothing: FNV's offset basis (RFC 9923).
    const fn new() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }

    /// Takes in eight octets.
    const fn step(&mut self, word: u64) {
        self.0 = (self.0.rotate_left(29) ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }
}

impl Hasher for Sum {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, octets: &[u8]) {
        let (words, rest) = octets.as_chunks::<8>();
        words.iter().for_each(|word| self.step(u64::from_le_bytes(*word)));
        // What a slice is hashed with tells how long it is, so zeroes may fill the last word.
        let mut last = [0; 8];
        if let Some(room) = last.get_mut(..rest.len()).filter(|room| !room.is_empty()) {
            room.copy_from_slice(rest);
            self.step(u64::from_le_bytes(last));
        }
    }
}

impl Write for Sum {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        Hasher::write(self, octets);
        Ok(octets.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::index::{Entries, Record, Verbs};

    /// The number of these names, each with what is said of it.
    fn of(names: &[(&[u8], Verbs)]) -> Option<u64> {
        let mut entries = Entries::default();
        for (key, verbs) in names {
            entries.push(key, *verbs, false).unwrap();
        }
        survey(&Next::Fresh(entries.finish().0)).0
    }

    /// The number of two names with data, met in this order.
    fn of_data(order: [u8; 2]) -> Option<u64> {
        let mut entries = Entries::default();
        for last in order {
            let verb = entries.record(Record { rtype: 1, ttl_secs: 60, rdata: [192, 0, 2, last].into() }).unwrap();
            entries.push(&[1, b'a' + last], Verbs::exact(verb), false).unwrap();
        }
        survey(&Next::Fresh(entries.finish().0)).0
    }

    #[test]
    fn it_tells_what_is_said_and_not_how_it_was_written() {
        let (listed, exact) = (Verbs::subtree(Verb::Listed), Verbs::exact(Verb::Listed));
        let (a, b): (&[u8], &[u8]) = (b"\x01a", b"\x01b");
        assert_eq!(of(&[(a, listed), (b, exact)]), of(&[(b, exact), (a, listed), (a, listed)]));
        for other in [&[(a, listed)][..], &[(a, exact), (b, exact)], &[(a, listed), (b"\x01c", exact)], &[]] {
            assert_ne!(of(&[(a, listed), (b, exact)]), of(other), "{other:?}");
        }
        assert_eq!(of_data([1, 2]), of_data([2, 1]));
        assert_ne!(of_data([1, 2]), of_data([1, 3]));
        assert_eq!(survey(&Next::Nothing), (None, Tally::default()));
    }
}
