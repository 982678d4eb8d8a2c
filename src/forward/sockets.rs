//! [`Pool`]: one upstream's sockets: which are used, which ids are out on each, and when a source port has served long enough.
//!
//! A try is an id on a socket, both from the CSPRNG. Each socket's ids stand sorted in a vector: a reply costs one binary search, and there is
//! no table of all to grow.

use rand::RngExt;
use rand::rngs::StdRng;

/// A source port is given up after so many queries: who finds it out gains little. A guess; a renewal's four system calls vanish among them.
const USES_MAX: u32 = 512;
/// A source port is given up at this age, milliseconds: scanning for open ports takes tens of seconds (SAD DNS, CCS 2020, §6). A guess.
const AGE_MAX_MS: u64 = 30_000;
/// Draws of an id before a socket counts as full: with half of all ids out, 16 fail once in 65,536.
const DRAWS_MAX: usize = 16;
/// Wrong replies on a socket between two looks at who waits there. A try that sees two looks is asked over TCP: at most 64 guesses of 65,536 ids,
/// 0.1 % even without 0x20, while a few late or doubled replies are normal.
const WRONG_A_LOOK: u32 = 32;

/// An id that is out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Out {
    /// The id.
    id: u16,
    /// Whose: the flight's place.
    pub(super) flight: u32,
    /// Which of its tries.
    pub(super) number: u8,
    /// Whether it was out at the last look for wrong replies.
    suspect: bool,
}

/// One socket.
#[derive(Debug, Default)]
struct Socket {
    /// Ids that are out, ascending.
    out: Vec<Out>,
    /// Queries sent from this port.
    uses: u32,
    /// Since when it has this port.
    opened_ms: u64,
    /// Wrong replies since the last look.
    wrong: u32,
    /// Not chosen any more: renewed once nothing is out.
    draining: bool,
}

impl Socket {
    /// Whether its port has served long enough.
    const fn is_worn(&self, now_ms: u64) -> bool {
        self.uses >= USES_MAX || now_ms.saturating_sub(self.opened_ms) >= AGE_MAX_MS
    }

    /// Starts over with a new port.
    const fn renew(&mut self, now_ms: u64) {
        self.uses = 0;
        self.opened_ms = now_ms;
        self.wrong = 0;
        self.draining = false;
    }

    /// Where `id` is, or would be.
    fn find(&self, id: u16) -> Result<usize, usize> {
        self.out.binary_search_by_key(&id, |out| out.id)
    }
}

/// A try put on a socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Opened {
    /// The socket.
    pub(super) socket: u16,
    /// The id.
    pub(super) id: u16,
    /// Whether the socket needs a new port first.
    pub(super) renew: bool,
}

/// One upstream's sockets.
#[derive(Debug)]
pub(super) struct Pool {
    /// All of them.
    sockets: Vec<Socket>,
    /// Those that are not draining: at least half of all, rounded up, so at least one.
    usable: Vec<u16>,
}

impl Pool {
    /// `sockets` fresh ones, at least one.
    pub(super) fn new(sockets: u16) -> Self {
        let usable: Vec<u16> = (0..sockets.max(1)).collect();
        Self { sockets: usable.iter().map(|_| Socket::default()).collect(), usable }
    }

    /// Puts a try on a random socket with a random id; `None` if no free id was drawn.
    pub(super) fn open(&mut self, rng: &mut StdRng, flight: u32, number: u8, now_ms: u64) -> Option<Opened> {
        loop {
            if self.usable.is_empty() {
                return None;
            }
            let place = rng.random_range(0..self.usable.len());
            let index = *self.usable.get(place)?;
            let spared = self.usable.len() > self.sockets.len().div_ceil(2);
            let socket = self.sockets.get_mut(usize::from(index))?;
            let mut renew = false;
            if socket.is_worn(now_ms) {
                if socket.out.is_empty() {
                    socket.renew(now_ms);
                    renew = true;
                } else if spared {
                    // Each turn takes one from the usable, so this ends.
                    socket.draining = true;
                    self.usable.swap_remove(place);
                    continue;
                }
            }
            for _ in 0..DRAWS_MAX {
                let id = rng.random();
                if let Err(at) = socket.find(id) {
                    socket.out.insert(at, Out { id, flight, number, suspect: false });
                    socket.uses += 1;
                    return Some(Opened { socket: index, id, renew });
                }
            }
            return None;
        }
    }

    /// Whose `id` on `socket` is.
    #[inline]
    pub(super) fn find(&self, socket: u16, id: u16) -> Option<Out> {
        let socket = self.sockets.get(usize::from(socket))?;
        socket.find(id).ok().and_then(|at| socket.out.get(at)).copied()
    }

    /// Takes a try off its socket; whether the socket is to be renewed now.
    pub(super) fn close(&mut self, socket: u16, id: u16, now_ms: u64) -> bool {
        if let Some(socket) = self.sockets.get_mut(usize::from(socket))
            && let Ok(at) = socket.find(id)
        {
            socket.out.remove(at);
        }
        self.renew_if_drained(socket, now_ms)
    }

    /// Takes every try off a socket whose far end is closed.
    pub(super) fn take_all(&mut self, socket: u16) -> Vec<Out> {
        self.sockets.get_mut(usize::from(socket)).map(|socket| std::mem::take(&mut socket.out)).unwrap_or_default()
    }

    /// Renews a draining socket that nothing is out on; whether it did.
    pub(super) fn renew_if_drained(&mut self, index: u16, now_ms: u64) -> bool {
        let Some(socket) = self.sockets.get_mut(usize::from(index)) else { return false };
        let drained = socket.draining && socket.out.is_empty();
        if drained {
            socket.renew(now_ms);
            self.usable.push(index);
        }
        drained
    }

    /// Counts a wrong reply on a socket. At every look, gives those tries that were there at the last one already.
    pub(super) fn count_wrong(&mut self, socket: u16) -> Vec<Out> {
        let Some(socket) = self.sockets.get_mut(usize::from(socket)) else { return Vec::new() };
        socket.wrong += 1;
        if socket.wrong < WRONG_A_LOOK {
            return Vec::new();
        }
        socket.wrong = 0;
        let suspects = socket.out.iter().filter(|out| out.suspect).copied().collect();
        for out in &mut socket.out {
            out.suspect = true;
        }
        suspects
    }

    /// How many ids are out on all sockets.
    #[cfg(test)]
    pub(super) fn out(&self) -> usize {
        self.sockets.iter().map(|socket| socket.out.len()).sum()
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    #[test]
    fn ids_on_a_socket_are_distinct_and_found() {
        let (mut pool, mut rng) = (Pool::new(2), StdRng::seed_from_u64(1));
        let opened: Vec<_> = (0..2000).map(|flight| pool.open(&mut rng, flight, 3, 0).unwrap()).collect();
        assert_eq!(pool.out(), 2000);
        for (flight, one) in (0..).zip(&opened) {
            let out = pool.find(one.socket, one.id).unwrap();
            assert_eq!((out.flight, out.number), (flight, 3));
        }
        for one in &opened {
            pool.close(one.socket, one.id, 0);
            assert_eq!(pool.find(one.socket, one.id), None);
        }
        assert_eq!((pool.out(), pool.find(9, 1)), (0, None));
    }

    #[test]
    fn a_full_socket_says_so() {
        let (mut pool, mut rng) = (Pool::new(1), StdRng::seed_from_u64(1));
        let taken = (0..=u16::MAX).map(|id| Out { id, flight: 0, number: 0, suspect: false }).collect();
        pool.sockets[0].out = taken;
        assert_eq!(pool.open(&mut rng, 1, 0, 0), None);
    }

    #[test]
    fn a_worn_port_is_renewed_when_nothing_is_out() {
        for sockets in [1, 2, 5] {
            let (mut pool, mut rng) = (Pool::new(sockets), StdRng::seed_from_u64(1));
            let first = pool.open(&mut rng, 0, 0, 0).unwrap();
            assert!(!first.renew);
            assert!(!pool.close(first.socket, first.id, 0), "used once");
            let renewed = (0..100).map(|_| pool.open(&mut rng, 0, 0, AGE_MAX_MS).unwrap()).collect::<Vec<_>>();
            let count = renewed.iter().filter(|opened| opened.renew).count();
            assert_eq!(count, usize::from(sockets), "each on its first use after it got old");
        }
    }

    #[test]
    fn half_of_the_ports_drain_at_a_time() {
        let (mut pool, mut rng) = (Pool::new(5), StdRng::seed_from_u64(1));
        let opened: Vec<_> = (0..40).map(|_| pool.open(&mut rng, 0, 0, 0).unwrap()).collect();
        for _ in 0..100 {
            assert!(!pool.open(&mut rng, 0, 0, AGE_MAX_MS).unwrap().renew, "something is out on each");
        }
        let draining: Vec<_> = (0..5).filter(|index| pool.sockets[usize::from(*index)].draining).collect();
        assert_eq!((draining.len(), pool.usable.len()), (2, 3));
        let left = |pool: &Pool, index: u16| pool.sockets[usize::from(index)].out.len();
        let mut renewals = 0;
        for one in &opened {
            let last = draining.contains(&one.socket) && left(&pool, one.socket) == 1;
            assert_eq!(pool.close(one.socket, one.id, AGE_MAX_MS), last);
            renewals += usize::from(last);
        }
        assert!(renewals == 2 || pool.out() > 0, "what the loop above put on a draining socket is still out");
    }

    #[test]
    fn who_sees_two_looks_is_suspect() {
        let (mut pool, mut rng) = (Pool::new(1), StdRng::seed_from_u64(1));
        let early = pool.open(&mut rng, 7, 0, 0).unwrap();
        let mut moved = Vec::new();
        for count in 1..=2 * WRONG_A_LOOK {
            if count == WRONG_A_LOOK + 5 {
                pool.open(&mut rng, 8, 0, 0).unwrap();
            }
            let suspects = pool.count_wrong(0);
            assert!(suspects.is_empty() || count == 2 * WRONG_A_LOOK);
            moved.extend(suspects.iter().map(|out| (out.flight, out.id)));
        }
        assert_eq!(moved, [(7, early.id)]);
    }
}
