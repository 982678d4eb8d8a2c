//! [`Local`]: a worker's own answers, in a direct-mapped table of fixed size.
//!
//! No lock, no shared write, no allocation on a hit: one slot is looked at and the whole key compared. What it holds may have left the shared
//! cache meanwhile; it is given out until it expires or another key takes the slot.

use std::sync::Arc;

use super::{Answer, Config, Key};

/// Slots of a worker's table; a power of two. 4,096 of 40 octets and their keys are some 350 kB a worker, which stays in a core's own cache for
/// the part that is hot. A guess, to be measured.
const SLOTS: usize = 4096;
/// Bigger answers are left to the shared cache, so that a worker's table holds at most 8 MB; nearly all replies are under 1,232 octets.
const ANSWER_BYTES_MAX: usize = 2048;

/// One place of the table.
#[derive(Default)]
struct Slot {
    /// The whole key's octets; its room is used again.
    key: Vec<u8>,
    /// What is held, if anything.
    answer: Option<Arc<Answer>>,
}

/// A worker's own answers.
pub struct Local {
    /// [`SLOTS`] places, or none if the cache is off.
    slots: Box<[Slot]>,
}

impl Local {
    /// An empty table; without slots if `config` keeps nothing.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        let slots = if config.size_mb == 0 { 0 } else { SLOTS };
        Self { slots: std::iter::repeat_with(Slot::default).take(slots).collect() }
    }

    /// A table that keeps nothing.
    #[must_use]
    pub fn none() -> Self {
        Self { slots: Box::default() }
    }

    /// Which slot is `key`'s: the hash's middle bits, since the shared map uses both ends.
    #[inline]
    const fn place(key: &Key) -> usize {
        (key.hash() >> 24) as usize & (SLOTS - 1)
    }

    /// The answer to `key`, if it is here and may still be given out.
    #[inline]
    #[must_use]
    pub fn get(&self, key: &Key, now_ms: u64) -> Option<&Arc<Answer>> {
        let slot = self.slots.get(Self::place(key))?;
        let answer = slot.answer.as_ref()?;
        (slot.key == key.as_bytes() && answer.is_fresh(now_ms)).then_some(answer)
    }

    /// Keeps `answer` to `key` in place of whatever has its slot; not if it is big or expired.
    #[inline]
    pub fn put(&mut self, key: &Key, answer: Arc<Answer>, now_ms: u64) {
        if answer.size_bytes() > ANSWER_BYTES_MAX || !answer.is_fresh(now_ms) {
            return;
        }
        if let Some(slot) = self.slots.get_mut(Self::place(key)) {
            slot.key.clear();
            slot.key.extend_from_slice(key.as_bytes());
            slot.answer = Some(answer);
        }
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        for slot in &mut self.slots {
            slot.answer = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cache::testing::{address_reply, key_of, query};

    fn answer(name: u16, addresses: usize) -> Arc<Answer> {
        let reply = address_reply(&query(name), &vec![1; addresses], 10);
        Arc::new(Answer::from_reply(&reply, 0, &Config::default()).unwrap())
    }

    #[test]
    fn a_slot_is_one_keys_at_a_time() {
        let mut local = Local::new(&Config::default());
        let of_slot = |place| move |name: &u16| Local::place(&key_of(&query(*name))) == place;
        let first = key_of(&query(0));
        let rival = (1..u16::MAX).find(of_slot(Local::place(&first))).map(|name| key_of(&query(name))).unwrap();
        local.put(&first, answer(0, 1), 0);
        assert!(local.get(&first, 9999).is_some());
        assert!(local.get(&rival, 0).is_none(), "the whole key is compared");
        assert!(local.get(&first, 10_000).is_none(), "expired");
        local.put(&rival, answer(1, 1), 0);
        assert!(local.get(&first, 0).is_none() && local.get(&rival, 0).is_some());
        local.clear();
        assert!(local.get(&rival, 0).is_none());
    }

    #[test]
    fn what_is_not_kept() {
        let key = key_of(&query(0));
        let mut local = Local::new(&Config::default());
        local.put(&key, answer(0, 250), 0);
        assert!(local.get(&key, 0).is_none(), "big");
        local.put(&key, answer(0, 1), 10_000);
        assert!(local.get(&key, 0).is_none(), "expired when it came");
        let mut off = Local::new(&Config { size_mb: 0, ..Config::default() });
        off.put(&key, answer(0, 1), 0);
        assert!(off.get(&key, 0).is_none(), "switched off");
    }
}
