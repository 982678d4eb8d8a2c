//! Whether every walk over a map stays inside it: one sweep over its nodes, from the root, which is last, down to the first.
//!
//! The fst crate believes what it reads, and its checksum tells damage from what was written, not what was written well: an artifact that some
//! other program made, or somebody changed and summed again, would panic at the first lookup. Costs a few nanoseconds a node, and two bits an
//! octet of memory while it runs. Not looked at: the order of inputs and the count of keys, which no walk relies on.
//!
//! ```text
//! map   version u64 | type u64 | nodes | keys u64 | root u64 | checksum u32                    (version 3, little-endian)
//! node  [final output] [outputs] [deltas] [inputs] [256 index] sizes [count] state             (read from its state, backwards)
//! node  [output] [delta] sizes [input] state                                                   (of one transition)
//! node  [input] state                                                                          (of one transition, to the node in front)
//! ```

/// Octets in front of the first node.
const HEAD_OCTETS: usize = 16;
/// Octets behind the root.
const FOOT_OCTETS: usize = 20;
/// The address that stands for the node that is final and has no transitions; it has no octets.
const EMPTY: usize = 0;
/// Nodes of more transitions have an index of 256 octets.
const INDEXED_ABOVE: usize = 32;
/// The widest number.
const NUMBER_OCTETS_MAX: usize = 8;

/// One node's parts.
struct Node {
    /// Its first octet.
    start: usize,
    /// Its transitions; their deltas stand one behind the other.
    transitions: usize,
    /// Where the deltas are.
    deltas_at: usize,
    /// Octets of a delta; 0: its only transition goes to the node in front.
    delta_octets: usize,
    /// Where the outputs are; the final one, if there is one, is the first.
    outputs_at: usize,
    /// How many outputs.
    outputs: usize,
    /// Octets of an output.
    output_octets: usize,
}

impl Node {
    /// The node whose last octet is at `at`; `None` if it does not fit behind the head, or has numbers of no width there is.
    fn read(map: &[u8], at: usize) -> Option<Self> {
        let state = *map.get(at)?;
        let (one, next) = (state & 0x80 != 0, state & 0xc0 == 0xc0);
        // A node of one transition names its input here, else its count; 0: in the octet in front.
        let apart = usize::from(state & 0x3f == 0);
        let front = at.checked_sub(apart)?;
        if next {
            let start = Some(front).filter(|&start| start > HEAD_OCTETS)?;
            return Some(Self {
                start,
                transitions: 1,
                deltas_at: start,
                delta_octets: 0,
                outputs_at: start,
                outputs: 0,
                output_octets: 0,
            });
        }
        let transitions = match (one, apart) {
            (true, _) => 1,
            (false, 0) => usize::from(state & 0x3f),
            // One transition never stands there, so 1 means 256.
            (false, _) => match *map.get(front)? {
                1 => 256,
                count => usize::from(count),
            },
        };
        let sizes_at = front.checked_sub(1)?;
        let sizes = *map.get(sizes_at)?;
        let (delta_octets, output_octets) = (usize::from(sizes >> 4), usize::from(sizes & 15));
        let too_wide = delta_octets > NUMBER_OCTETS_MAX || output_octets > NUMBER_OCTETS_MAX;
        if too_wide || (transitions > 0 && delta_octets == 0) {
            return None;
        }
        let index = if transitions > INDEXED_ABOVE { 256 } else { 0 };
        let inputs = if one { 0 } else { transitions };
        let has_final = !one && state & 0x40 != 0;
        let outputs = if output_octets == 0 { 0 } else { transitions + usize::from(has_final) };
        let deltas_at = sizes_at.checked_sub(index + inputs + transitions * delta_octets)?;
        let start = deltas_at.checked_sub(outputs * output_octets).filter(|&start| start >= HEAD_OCTETS)?;
        Some(Self { start, transitions, deltas_at, delta_octets, outputs_at: start, outputs, output_octets })
    }

    /// Where its transitions go; `None` for one that goes nowhere.
    fn targets<'m>(&'m self, map: &'m [u8]) -> impl Iterator<Item = Option<usize>> + 'm {
        (0..self.transitions).map(move |number| {
            let delta = match self.delta_octets {
                0 => 1,
                octets => usize::try_from(number_at(map, self.deltas_at + number * octets, octets)?).ok()?,
            };
            if delta == 0 { Some(EMPTY) } else { self.start.checked_sub(delta).filter(|&target| target >= HEAD_OCTETS) }
        })
    }

    /// Its outputs.
    fn outputs<'m>(&'m self, map: &'m [u8]) -> impl Iterator<Item = Option<u64>> + 'm {
        let octets = self.output_octets;
        (0..self.outputs).map(move |number| number_at(map, self.outputs_at + number * octets, octets))
    }
}

/// The little-endian number of `octets` at `at`.
fn number_at(map: &[u8], at: usize, octets: usize) -> Option<u64> {
    let octets = map.get(at..at + octets)?;
    Some(octets.iter().rev().fold(0, |number, &octet| number << 8 | u64::from(octet)))
}

/// A bit for each octet of a map.
struct Places(Vec<u64>);

impl Places {
    /// Marks the place `at`.
    fn mark(&mut self, at: usize) {
        if let Some(bits) = self.0.get_mut(at / 64) {
            *bits |= 1 << (at % 64);
        }
    }
}

/// Whether no walk over `map` leaves it, and no output on the way is the number of a row from `rows` on.
pub(super) fn is_sound(map: &[u8], rows: usize) -> bool {
    sweep(map, rows as u64).is_some()
}

/// [`is_sound`]; `None` if it is not.
fn sweep(map: &[u8], rows: u64) -> Option<()> {
    let foot = map.len().checked_sub(FOOT_OCTETS)?;
    let root = usize::try_from(number_at(map, foot + 8, 8)?).ok()?;
    if root == EMPTY {
        return (foot == HEAD_OCTETS).then_some(());
    }
    if foot <= HEAD_OCTETS || root != foot - 1 {
        return None;
    }
    let places = map.len().div_ceil(64);
    let (mut targets, mut nodes) = (Places(vec![0; places]), Places(vec![0; places]));
    targets.mark(root);
    nodes.mark(EMPTY);
    let mut at = root;
    loop {
        let node = Node::read(map, at)?;
        nodes.mark(at);
        for target in node.targets(map) {
            targets.mark(target?);
        }
        if !node.outputs(map).all(|output| output.is_some_and(|output| output == 0 || output < rows)) {
            return None;
        }
        if node.start == HEAD_OCTETS {
            break;
        }
        at = node.start - 1;
    }
    let all_are_nodes = targets.0.iter().zip(&nodes.0).all(|(targets, nodes)| targets & !nodes == 0);
    all_are_nodes.then_some(())
}

#[cfg(test)]
mod tests {
    use fst::raw::Builder;

    use super::*;

    /// A map of these keys, each with its place as its value.
    fn map(keys: &[&[u8]]) -> Vec<u8> {
        let mut builder = Builder::memory();
        for (value, key) in keys.iter().enumerate() {
            builder.insert(key, value as u64).unwrap();
        }
        builder.into_inner().unwrap()
    }

    #[test]
    fn what_the_builder_builds_is_sound() {
        let wide: Vec<[u8; 2]> = (0..=255).map(|octet| [octet, 7]).collect();
        let forty: Vec<&[u8]> = wide.iter().take(40).map(|key| &key[..]).collect();
        let all: Vec<&[u8]> = wide.iter().map(|key| &key[..]).collect();
        let few: [&[&[u8]]; 6] =
            [&[], &[b""], &[b"", b"a"], &[b"abc"], &[b"abc", b"abd", b"b", b"xbc"], &[b"\xff\xfe", b"\xff\xff"]];
        for keys in few.into_iter().chain([&forty[..], &all]) {
            let map = map(keys);
            assert!(is_sound(&map, keys.len()), "{} keys", keys.len());
            assert_eq!(
                is_sound(&map, keys.len().saturating_sub(1)),
                keys.len() <= 1,
                "{} keys, a row less",
                keys.len()
            );
        }
    }

    #[test]
    fn a_root_elsewhere_is_not() {
        let good = map(&[b"abc", b"abd"]);
        let at = good.len() - 12;
        for root in [0, 1, 15, 16, good.len() as u64 - 22, good.len() as u64, u64::MAX] {
            let mut bad = good.clone();
            bad[at..at + 8].copy_from_slice(&root.to_le_bytes());
            assert!(!is_sound(&bad, 2), "root at {root}");
        }
        for length in 0..good.len() {
            assert!(!is_sound(&good[..length], 2), "cut at {length}");
        }
    }

    #[test]
    fn what_is_sound_does_not_panic() {
        let good = map(&[b"", b"abc", b"abd", b"xbc", b"\xfe\x01"]);
        let (mut sound, mut not) = (0, 0);
        for at in HEAD_OCTETS..good.len() - FOOT_OCTETS {
            for octet in 0..=255 {
                let mut map = good.clone();
                map[at] = octet;
                if !is_sound(&map, 5) {
                    not += 1;
                    continue;
                }
                sound += 1;
                let map = fst::raw::Fst::new(map).unwrap();
                for key in [&b""[..], b"a", b"abc", b"abd", b"abx", b"\xfe\x01", b"xbc", b"zzz"] {
                    std::hint::black_box(map.get(key));
                }
            }
        }
        assert!(sound > 100 && not > 1000, "{sound} and {not} prove nothing");
    }
}
