//! [`Shared`]: the cache all workers share, bounded in bytes.
//!
//! A lookup takes one of dashmap's read locks and allocates nothing; a hit writes a shared octet only the first time since the entry was last
//! passed over. Entries stand in a queue in the order they came; when room is wanted the oldest goes, unless it was touched: then it loses its
//! mark and goes to the end (CLOCK, Corbató 1968). Storing takes one lock more, which only misses pay.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use dashmap::DashMap;

use super::key::Carried;
use super::{Answer, Config, Key};

/// What an allocation costs beyond its octets: its header and the rounding up, as glibc's allocator has them (8 and, on average, 8).
const ALLOCATION_BYTES: usize = 16;
/// The two reference counts in front of what an `Arc` holds.
const ARC_BYTES: usize = 16;
/// What an entry costs besides its key's and its answer's octets. A table that doubles has at worst two slots and control octets an entry (7/16
/// full), the queue on average one and a half, and the queue may hold as many outdated tickets as good ones. Measured by hand against resident
/// memory: within a tenth, either way.
const ENTRY_BYTES: usize =
    2 * (size_of::<(Arc<[u8]>, Held)>() + 1) + 3 * size_of::<Ticket>() + 2 * ARC_BYTES + 3 * ALLOCATION_BYTES;
/// An entry may take this part of the cache: one huge answer must not push out hundreds of usual ones. A guess.
const ENTRY_PART: usize = 64;
/// The most touched entries one put passes over: with all touched, it must not walk the whole queue. A guess.
const SPARED_MAX: usize = 64;
/// Outdated tickets that are never worth a sweep of the queue.
const TICKETS_SLACK: usize = 1024;

/// An answer in the map.
#[derive(Debug)]
struct Held {
    /// The answer.
    answer: Arc<Answer>,
    /// The number of its ticket in the queue.
    ticket: u64,
    /// Whether it was asked for since it came or was last passed over.
    touched: AtomicBool,
}

/// A place in the queue; outdated once the map's entry has another number, or is gone.
struct Ticket {
    /// Whose: the map's own key.
    key: Arc<[u8]>,
    /// Which of that key's entries.
    number: u64,
}

/// What only a store needs.
#[derive(Default)]
struct Queue {
    /// Oldest in front. Each entry of the map has exactly one ticket that is not outdated.
    tickets: VecDeque<Ticket>,
    /// The last number given out.
    last: u64,
    /// How many tickets may stand here before the outdated are dropped.
    sweep_at: usize,
}

/// The cache all workers share.
pub struct Shared {
    /// The entries.
    map: DashMap<Arc<[u8]>, Held, Carried>,
    /// Their order. Entries are added only by who holds it.
    queue: Mutex<Queue>,
    /// What all entries cost; raised before an entry is added, lowered after it is taken out.
    bytes: AtomicUsize,
    /// The most `bytes` may be.
    bytes_max: usize,
}

impl Shared {
    /// An empty cache of the configured size.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        Self::with_bytes(usize::try_from(config.size_mb).unwrap_or(usize::MAX).saturating_mul(1_000_000))
    }

    /// An empty cache of at most `bytes_max`.
    fn with_bytes(bytes_max: usize) -> Self {
        let map = DashMap::with_hasher(Carried::default());
        Self { map, queue: Mutex::default(), bytes: AtomicUsize::new(0), bytes_max }
    }

    /// The answer to `key`, if there is one that may still be given out.
    #[inline]
    pub fn get(&self, key: &Key, now_ms: u64) -> Option<Arc<Answer>> {
        {
            let held = self.map.get(key.as_bytes())?;
            if held.answer.is_fresh(now_ms) {
                // Read before written: a hot entry's cache line stays shared between cores.
                if !held.touched.load(Ordering::Relaxed) {
                    held.touched.store(true, Ordering::Relaxed);
                }
                return Some(Arc::clone(&held.answer));
            }
        }
        self.remove_if(key.as_bytes(), |held| !held.answer.is_fresh(now_ms));
        None
    }

    /// Keeps `answer` to `key`, in place of what was kept; not if its lifetime is over or it is too big.
    pub fn put(&self, key: &Key, answer: Arc<Answer>, now_ms: u64) {
        let cost = cost(key.as_bytes(), &answer);
        if !answer.is_fresh(now_ms) || cost > self.bytes_max / ENTRY_PART {
            return;
        }
        let mut queue = self.lock();
        self.remove_if(key.as_bytes(), |_| true);
        self.make_room(&mut queue, cost, now_ms);
        self.sweep(&mut queue);
        queue.last += 1;
        let number = queue.last;
        let key: Arc<[u8]> = key.as_bytes().into();
        queue.tickets.push_back(Ticket { key: Arc::clone(&key), number });
        self.bytes.fetch_add(cost, Ordering::Relaxed);
        self.map.insert(key, Held { answer, ticket: number, touched: AtomicBool::new(false) });
    }

    /// Takes entries out, oldest first, sparing a few that were touched, until `cost` more fits.
    fn make_room(&self, queue: &mut Queue, cost: usize, now_ms: u64) {
        let mut spared = 0;
        while self.bytes() + cost > self.bytes_max {
            let Some(ticket) = queue.tickets.pop_front() else { return };
            let spare = spared < SPARED_MAX
                && self.map.get(&ticket.key).is_some_and(|held| {
                    held.ticket == ticket.number
                        && held.answer.is_fresh(now_ms)
                        && held.touched.swap(false, Ordering::Relaxed)
                });
            if spare {
                spared += 1;
                queue.tickets.push_back(ticket);
            } else {
                self.remove_if(&ticket.key, |held| held.ticket == ticket.number);
            }
        }
    }

    /// Drops outdated tickets whenever the queue has doubled, so that it costs a put but a constant on average.
    fn sweep(&self, queue: &mut Queue) {
        if queue.tickets.len() > queue.sweep_at {
            queue.tickets.retain(|ticket| self.map.get(&ticket.key).is_some_and(|held| held.ticket == ticket.number));
            queue.sweep_at = 2 * queue.tickets.len() + TICKETS_SLACK;
        }
    }

    /// Takes the entry of `key` out if `unwanted` says so.
    fn remove_if(&self, key: &[u8], unwanted: impl FnOnce(&Held) -> bool) {
        if let Some((key, held)) = self.map.remove_if(key, |_, held| unwanted(held)) {
            self.bytes.fetch_sub(cost(&key, &held.answer), Ordering::Relaxed);
        }
    }

    /// The queue; who panicked with it left nothing worse than outdated tickets.
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What all entries cost, their bookkeeping included.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    /// How many entries, those included that have expired and nobody met.
    #[must_use]
    pub fn len(&self) -> usize {
        self.map.len()
    }

    /// Whether there is no entry.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.map.is_empty()
    }

    /// Forgets everything.
    pub fn clear(&self) {
        let mut queue = self.lock();
        for ticket in queue.tickets.drain(..) {
            self.remove_if(&ticket.key, |held| held.ticket == ticket.number);
        }
    }
}

/// What an entry costs in all.
fn cost(key: &[u8], answer: &Answer) -> usize {
    ENTRY_BYTES + key.len() + answer.size_bytes()
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use rand::rngs::StdRng;
    use rand::{RngExt, SeedableRng};

    use super::*;
    use crate::cache::testing::{address_reply, key_of, query};

    /// The answer that name `name` has the address `address`, for `ttl` seconds, of some hundred octets more if `long`.
    fn answer(name: u16, address: u32, ttl: u32, now_ms: u64, long: bool) -> Arc<Answer> {
        let reply = address_reply(&query(name), &vec![address; if long { 100 } else { 1 }], ttl);
        Arc::new(Answer::from_reply(&reply, now_ms, &Config::default()).unwrap())
    }

    /// The address an answer gives.
    fn address(answer: &Answer) -> u32 {
        u32::from_be_bytes(answer.octets[12..16].try_into().unwrap())
    }

    #[test]
    fn a_naive_map_never_disagrees() {
        for seed in 0..60 {
            let mut rng = StdRng::seed_from_u64(seed);
            let bytes_max = rng.random_range(30_000..300_000);
            let shared = Shared::with_bytes(bytes_max);
            let mut model: HashMap<u16, (u32, u64)> = HashMap::new();
            let mut now_ms = 0_u64;
            let mut hits = 0;
            for step in 0..3000_u32 {
                let name = rng.random_range(0..400);
                let key = key_of(&query(name));
                match rng.random_range(0..100) {
                    0..55 => {
                        if let Some(got) = shared.get(&key, now_ms) {
                            let (want, expires_ms) = model[&name];
                            assert_eq!(address(&got), want, "seed {seed} step {step}: a wrong answer");
                            assert!(now_ms < expires_ms, "seed {seed} step {step}: an expired answer");
                            hits += 1;
                        }
                    }
                    55..95 => {
                        let ttl = rng.random_range(0..300);
                        let long = rng.random_range(0..20) == 0;
                        shared.put(&key, answer(name, step, ttl, now_ms, long), now_ms);
                        if cost(key.as_bytes(), &answer(name, step, ttl, now_ms, long)) <= bytes_max / ENTRY_PART
                            && ttl > 0
                        {
                            model.insert(name, (step, now_ms + u64::from(ttl) * 1000));
                        }
                    }
                    95..99 => now_ms += rng.random_range(0..20_000),
                    _ if rng.random_range(0..20) == 0 => shared.clear(),
                    _ => {}
                }
                assert!(shared.bytes() <= bytes_max, "seed {seed} step {step}: {} > {bytes_max}", shared.bytes());
            }
            assert!(hits > 50, "seed {seed}: {hits} hits prove nothing");
            let sum: usize = shared.map.iter().map(|held| cost(held.key(), &held.answer)).sum();
            assert_eq!(shared.bytes(), sum, "seed {seed}");
            shared.clear();
            assert_eq!((shared.bytes(), shared.len(), shared.is_empty()), (0, 0, true), "seed {seed}");
        }
    }

    #[test]
    fn what_is_asked_for_outlives_what_is_not() {
        let shared = Shared::with_bytes(100_000);
        let hot = key_of(&query(0));
        shared.put(&hot, answer(0, 7, 1000, 0, false), 0);
        for name in 1..2000 {
            assert!(shared.get(&hot, 0).is_some(), "passed over at {name}");
            shared.put(&key_of(&query(name)), answer(name, 7, 1000, 0, false), 0);
        }
        assert!(shared.get(&key_of(&query(1)), 0).is_none());
        assert!(shared.len() < 400 && shared.bytes() > 90_000);
    }

    #[test]
    fn what_is_not_kept() {
        let key = key_of(&query(1));
        let off = Shared::new(&Config { size_mb: 0, ..Config::default() });
        off.put(&key, answer(1, 7, 1000, 0, false), 0);
        assert_eq!((off.len(), off.bytes()), (0, 0), "size 0");
        let small = Shared::with_bytes(64 * (ENTRY_BYTES + 300));
        small.put(&key, answer(1, 7, 1000, 0, true), 0);
        assert!(small.is_empty(), "over a 64th");
        small.put(&key, answer(1, 7, 0, 0, false), 0);
        assert!(small.is_empty(), "TTL 0");
        small.put(&key, answer(1, 7, 2, 0, false), 0);
        assert!(small.get(&key, 1999).is_some() && small.len() == 1);
        assert!(small.get(&key, 2000).is_none() && small.is_empty(), "expired and met");
    }

    #[test]
    fn the_queue_is_bounded_by_what_is_held() {
        let shared = Shared::with_bytes(100_000);
        let key = key_of(&query(1));
        for _ in 0..20_000 {
            shared.put(&key, answer(1, 7, 1000, 0, false), 0);
        }
        assert!(shared.lock().tickets.len() <= 2 * TICKETS_SLACK, "{}", shared.lock().tickets.len());
    }
}
