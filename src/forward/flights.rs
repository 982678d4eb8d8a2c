//! [`Flights`]: the questions in flight, in places that are used again, and when each is to be looked at.
//!
//! Two timers a flight: its current try's and its own end. Each kind has one fixed length, so each kind's queue is in order by itself: adding
//! is a push, and outdated timers are dropped when they reach the front.

use std::collections::{HashMap, VecDeque};

use rand::RngExt;
use rand::rngs::StdRng;

use super::check::Claim;
use super::packet::Letters;
use crate::cache::{Carried, Key};
use crate::wire::Ede;

/// The most tries of one flight: each upstream of its group over UDP and TCP. Then what is out is waited for.
pub(super) const TRIES_MAX: usize = 2 * super::GROUP_SERVERS_MAX;
/// Outdated timers that are never worth a sweep.
const TIMERS_SLACK: usize = 1024;

/// Names one try of one flight, for as long as the flight lasts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Slot {
    /// The flight's place.
    pub(super) index: u32,
    /// Which of the flights that have had this place.
    pub(super) generation: u32,
    /// Which of its tries.
    pub(super) number: u8,
}

/// What a try's reply will come on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Path {
    /// This socket of the upstream's.
    Udp(u16),
    /// A connection.
    Tcp,
    /// Nothing: it has been answered or given up.
    Closed,
}

/// One query sent.
#[derive(Debug, Clone, Copy)]
pub(super) struct Try {
    /// To whom.
    pub(super) upstream: usize,
    /// What its reply comes on.
    pub(super) path: Path,
    /// Its id.
    pub(super) id: u16,
    /// Whether it had the flight's letters; else all small.
    pub(super) mixed: bool,
    /// Whether it had an OPT.
    pub(super) edns: bool,
    /// When it was sent.
    pub(super) sent_ms: u64,
    /// Over TCP: what a reply over UDP with other letters claimed.
    pub(super) doubt: Option<Claim>,
}

/// One question in flight.
#[derive(Debug)]
pub(super) struct Flight<W> {
    /// Raised when it ends, so that whatever still names it names nothing.
    generation: u32,
    /// What is asked.
    pub(super) key: Key,
    /// The letters it is sent with.
    pub(super) letters: Letters,
    /// When it began.
    pub(super) started_ms: u64,
    /// What was sent, at most [`TRIES_MAX`]; the last is the one that is waited for, the others' replies are believed still.
    pub(super) tries: Vec<Try>,
    /// Who asked, at least one while it lasts.
    pub(super) waiters: Vec<W>,
    /// Upstreams not to ask again: a bit each.
    pub(super) spent: u64,
    /// What an upstream said that could not answer: the first with an EDE, else the first.
    pub(super) error: Option<Option<Ede>>,
}

impl<W> Flight<W> {
    /// Remembers an error.
    pub(super) fn keep_error(&mut self, ede: Option<Ede>) {
        if self.error.flatten().is_none() {
            self.error = Some(ede);
        }
    }

    /// Whether `number` is the try that is waited for.
    pub(super) fn is_current(&self, number: u8) -> bool {
        self.tries.len() == usize::from(number) + 1
    }
}

/// When a flight is to be looked at.
#[derive(Debug, Clone, Copy)]
pub(super) struct Timer {
    /// When.
    pub(super) at_ms: u64,
    /// Which; for a flight's own end the try says nothing.
    pub(super) slot: Slot,
}

/// Which queue a timer stands in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Try timeouts.
    Try,
    /// Ends of flights.
    Flight,
}

/// The questions in flight.
#[derive(Debug)]
pub(super) struct Flights<W> {
    /// All places that were ever used at once.
    places: Vec<Flight<W>>,
    /// Which of them are free.
    free: Vec<u32>,
    /// A live flight's place by its key's hash; of two keys with one hash the second is not found, and so not joined.
    by_hash: HashMap<u64, u32, Carried>,
    /// Timers of tries, ascending.
    tries: VecDeque<Timer>,
    /// Ends of flights, ascending.
    ends: VecDeque<Timer>,
    /// Vectors to be used again for waiters.
    spare: Vec<Vec<W>>,
    /// The most flights.
    max: usize,
}

impl<W> Flights<W> {
    /// Room for `max` flights, taken as they come.
    pub(super) fn new(max: usize) -> Self {
        Self {
            places: Vec::new(),
            free: Vec::new(),
            by_hash: HashMap::default(),
            tries: VecDeque::new(),
            ends: VecDeque::new(),
            spare: Vec::new(),
            max,
        }
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.places.len() - self.free.len()
    }

    /// The flight for exactly `key`.
    #[inline]
    pub(super) fn find(&mut self, key: &Key) -> Option<&mut Flight<W>> {
        let index = *self.by_hash.get(&key.hash())?;
        self.places.get_mut(index as usize).filter(|flight| flight.key == *key)
    }

    /// Every flight that lasts.
    pub(super) fn all(&self) -> Vec<Slot> {
        let slot = |(index, flight): (u32, &Flight<W>)| {
            (!flight.waiters.is_empty()).then_some(Slot { index, generation: flight.generation, number: 0 })
        };
        (0..).zip(&self.places).filter_map(slot).collect()
    }

    /// Whether there is no room for one more.
    pub(super) fn is_full(&self) -> bool {
        self.len() >= self.max
    }

    /// A flight of those that last, by chance; mostly none if few of the places are in use.
    pub(super) fn any(&self, rng: &mut StdRng) -> Option<(Slot, &Flight<W>)> {
        let index = rng.random_range(0..self.places.len().max(1));
        let flight = self.places.get(index).filter(|flight| !flight.waiters.is_empty())?;
        Some((Slot { index: u32::try_from(index).ok()?, generation: flight.generation, number: 0 }, flight))
    }

    /// Begins a flight, of which there is room for one more.
    pub(super) fn begin(&mut self, key: Key, letters: Letters, waiter: W, now_ms: u64) -> Slot {
        let mut waiters = self.spare.pop().unwrap_or_default();
        waiters.push(waiter);
        let hash = key.hash();
        let (index, generation) = if let Some(index) = self.free.pop()
            && let Some(flight) = self.places.get_mut(index as usize)
        {
            let tries = std::mem::take(&mut flight.tries);
            let generation = flight.generation;
            let (spent, error) = (0, None);
            *flight = Flight { generation, key, letters, started_ms: now_ms, tries, waiters, spent, error };
            (index, generation)
        } else {
            // Under `max` flights there are under 2^32 places.
            let index = u32::try_from(self.places.len()).unwrap_or(u32::MAX);
            let (tries, spent, error) = (Vec::new(), 0, None);
            self.places.push(Flight { generation: 0, key, letters, started_ms: now_ms, tries, waiters, spent, error });
            (index, 0)
        };
        self.by_hash.entry(hash).or_insert(index);
        Slot { index, generation, number: 0 }
    }

    /// The flight a slot names, if it still lasts.
    #[inline]
    pub(super) fn get(&mut self, slot: Slot) -> Option<&mut Flight<W>> {
        self.places.get_mut(slot.index as usize).filter(|flight| flight.generation == slot.generation)
    }

    /// The try a slot names, if its flight still lasts.
    pub(super) fn try_of(&mut self, slot: Slot) -> Option<&mut Try> {
        self.get(slot).and_then(|flight| flight.tries.get_mut(usize::from(slot.number)))
    }

    /// The slot of a try that is out, and so of a flight that lasts.
    #[inline]
    pub(super) fn slot(&self, index: u32, number: u8) -> Slot {
        let generation = self.places.get(index as usize).map_or(0, |flight| flight.generation);
        Slot { index, generation, number }
    }

    /// Ends a flight: what was asked and who asked. Its tries are closed already.
    pub(super) fn end(&mut self, slot: Slot) -> Option<(Key, Vec<W>)> {
        let flight = self.get(slot)?;
        flight.generation = flight.generation.wrapping_add(1);
        flight.tries.clear();
        let ended = (flight.key.clone(), std::mem::take(&mut flight.waiters));
        let hash = ended.0.hash();
        if self.by_hash.get(&hash) == Some(&slot.index) {
            self.by_hash.remove(&hash);
        }
        self.free.push(slot.index);
        self.trim();
        Some(ended)
    }

    /// Takes an emptied vector back.
    pub(super) fn recycle(&mut self, mut waiters: Vec<W>) {
        waiters.clear();
        if self.spare.len() < self.places.len() {
            self.spare.push(waiters);
        }
    }

    /// Sets a timer; each kind's come in order.
    pub(super) fn set_timer(&mut self, kind: Kind, at_ms: u64, slot: Slot) {
        let queue = match kind {
            Kind::Try => &mut self.tries,
            Kind::Flight => &mut self.ends,
        };
        queue.push_back(Timer { at_ms, slot });
        if queue.len() > 2 * self.max.min(self.places.len()) + TIMERS_SLACK {
            let places = &self.places;
            queue.retain(|timer| is_live(places, kind, timer));
        }
    }

    /// Drops what is outdated from the fronts.
    pub(super) fn trim(&mut self) {
        while self.tries.front().is_some_and(|timer| !is_live(&self.places, Kind::Try, timer)) {
            self.tries.pop_front();
        }
        while self.ends.front().is_some_and(|timer| !is_live(&self.places, Kind::Flight, timer)) {
            self.ends.pop_front();
        }
    }

    /// When the next timer is due.
    pub(super) fn next_deadline_ms(&self) -> Option<u64> {
        [self.tries.front(), self.ends.front()].into_iter().flatten().map(|timer| timer.at_ms).min()
    }

    /// Takes the next timer that is due, tries first.
    pub(super) fn pop_due(&mut self, now_ms: u64) -> Option<(Kind, Slot)> {
        self.trim();
        for (kind, queue) in [(Kind::Try, &mut self.tries), (Kind::Flight, &mut self.ends)] {
            if queue.front().is_some_and(|timer| timer.at_ms <= now_ms) {
                return queue.pop_front().map(|timer| (kind, timer.slot));
            }
        }
        None
    }
}

/// Whether a timer's flight lasts and, for a try's, still waits for that try.
fn is_live<W>(places: &[Flight<W>], kind: Kind, timer: &Timer) -> bool {
    places.get(timer.slot.index as usize).is_some_and(|flight| {
        flight.generation == timer.slot.generation && (kind == Kind::Flight || flight.is_current(timer.slot.number))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cache::testing::{key_of, query};

    #[test]
    fn the_whole_key_is_compared() {
        let (one, two) = (key_of(&query(1)), key_of(&query(2)));
        let mut flights = Flights::new(9);
        let slot = flights.begin(one.clone(), Letters::SMALL, 'a', 0);
        flights.by_hash.insert(two.hash(), slot.index);
        assert!(flights.find(&one).is_some() && flights.find(&two).is_none(), "as if their hashes were one");
        let second = flights.begin(two, Letters::SMALL, 'b', 0);
        assert_eq!(flights.end(second).unwrap().1, ['b']);
        assert_eq!(flights.end(slot).unwrap().1, ['a']);
        assert!(flights.end(slot).is_none() && flights.len() == 0, "ended once");
    }

    #[test]
    fn outdated_timers_do_not_pile_up() {
        let mut flights = Flights::new(9);
        let waiting = flights.begin(key_of(&query(0)), Letters::SMALL, 0, 0);
        flights.set_timer(Kind::Flight, 2500, waiting);
        for at_ms in 0..10_000 {
            let slot = flights.begin(key_of(&query(1)), Letters::SMALL, 1, 0);
            flights.set_timer(Kind::Flight, 2500 + at_ms, slot);
            flights.end(slot);
        }
        assert!(flights.ends.len() <= TIMERS_SLACK + 9, "{}", flights.ends.len());
        assert_eq!(flights.next_deadline_ms(), Some(2500));
        assert_eq!(flights.pop_due(2500).map(|(_, slot)| slot), Some(waiting));
    }
}
