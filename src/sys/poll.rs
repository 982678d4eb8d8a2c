//! Readiness: `epoll`, level-triggered, and the doorbell that wakes a worker from another thread.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::event::{EventfdFlags, Timespec, eventfd};

/// Events taken from the kernel at once.
const EVENTS: usize = 64;

/// Waits for sockets to be readable.
pub struct Poller {
    /// The epoll instance.
    epoll: OwnedFd,
    /// Tokens of what was ready at the last wait.
    ready: Vec<Event>,
}

impl Poller {
    /// An empty one.
    ///
    /// # Errors
    /// What `epoll_create1(2)` says.
    pub fn new() -> io::Result<Self> {
        Ok(Self { epoll: epoll::create(CreateFlags::CLOEXEC)?, ready: Vec::with_capacity(EVENTS) })
    }

    /// Watches `source` for input, under `token`.
    ///
    /// # Errors
    /// What `epoll_ctl(2)` says.
    pub fn add(&self, source: impl AsFd, token: u64) -> io::Result<()> {
        Ok(epoll::add(&self.epoll, source, EventData::new_u64(token), EventFlags::IN)?)
    }

    /// Stops watching `source`.
    ///
    /// # Errors
    /// What `epoll_ctl(2)` says.
    pub fn remove(&self, source: impl AsFd) -> io::Result<()> {
        Ok(epoll::delete(&self.epoll, source)?)
    }

    /// Waits until something is ready or `timeout_ms` have passed, and gives the tokens.
    ///
    /// # Errors
    /// What `epoll_wait(2)` says; an interrupted wait is an empty one.
    pub fn wait(&mut self, timeout_ms: u32) -> io::Result<impl Iterator<Item = u64> + use<'_>> {
        let timeout =
            Timespec { tv_sec: i64::from(timeout_ms / 1000), tv_nsec: i64::from(timeout_ms % 1000) * 1_000_000 };
        self.ready.clear();
        match epoll::wait(&self.epoll, rustix::buffer::spare_capacity(&mut self.ready), Some(&timeout)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        Ok(self.ready.iter().map(|event| event.data.u64()))
    }
}

/// Wakes the [`Poller`] that watches it. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Doorbell(Arc<OwnedFd>);

impl Doorbell {
    /// A silent one.
    ///
    /// # Errors
    /// What `eventfd(2)` says.
    pub fn new() -> io::Result<Self> {
        Ok(Self(Arc::new(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?)))
    }

    /// Rings: the next wait returns at once. Rings before a [`Self::hush`] are one.
    pub fn ring(&self) {
        // Fails only when 2^64 - 2 rings were not heard, and then it is ringing anyway.
        rustix::io::write(&*self.0, &1_u64.to_ne_bytes()).ok();
    }

    /// Silences it until the next ring.
    pub fn hush(&self) {
        // Fails only when it was silent.
        rustix::io::read(&*self.0, &mut [0; 8]).ok();
    }
}

impl AsFd for Doorbell {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.0.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ring_is_heard_until_hushed() {
        let mut poller = Poller::new().unwrap();
        let bell = Doorbell::new().unwrap();
        poller.add(&bell, 7).unwrap();
        assert_eq!(poller.wait(0).unwrap().count(), 0);
        bell.ring();
        bell.clone().ring();
        assert_eq!(poller.wait(1000).unwrap().collect::<Vec<_>>(), [7]);
        assert_eq!(poller.wait(1000).unwrap().count(), 1, "level-triggered");
        bell.hush();
        assert_eq!(poller.wait(0).unwrap().count(), 0);
        poller.remove(&bell).unwrap();
        bell.ring();
        assert_eq!(poller.wait(0).unwrap().count(), 0);
    }
}
