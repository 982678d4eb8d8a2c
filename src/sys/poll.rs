//! Readiness: `epoll`, level-triggered, and the doorbell that wakes a worker from another thread.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::event::{EventfdFlags, Timespec, eventfd};

/// Events taken from the kernel at once.
const EVENTS: usize = 64;

/// Waits for sockets to be readable.
#[derive(Debug)]
pub struct Poller {
    /// The epoll instance.
    epoll: OwnedFd,
}

impl Poller {
    /// An empty one.
    ///
    /// # Errors
    /// What `epoll_create1(2)` says.
    pub fn new() -> io::Result<Self> {
        Ok(Self { epoll: epoll::create(CreateFlags::CLOEXEC)? })
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

    /// Waits until something is ready or `timeout_ms` have passed, and puts the tokens into `ready`.
    ///
    /// # Errors
    /// What `epoll_wait(2)` says; an interrupted wait is an empty one.
    pub fn wait(&self, timeout_ms: u32, ready: &mut Vec<u64>) -> io::Result<()> {
        let timeout =
            Timespec { tv_sec: i64::from(timeout_ms / 1000), tv_nsec: i64::from(timeout_ms % 1000) * 1_000_000 };
        ready.clear();
        let mut events = [const { MaybeUninit::<Event>::uninit() }; EVENTS];
        match epoll::wait(&self.epoll, &mut events[..], Some(&timeout)) {
            Ok((events, _)) => ready.extend(events.iter().map(|event| event.data.u64())),
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        Ok(())
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
        let poller = Poller::new().unwrap();
        let ready = |timeout_ms| {
            let mut ready = Vec::new();
            poller.wait(timeout_ms, &mut ready).unwrap();
            ready
        };
        let bell = Doorbell::new().unwrap();
        poller.add(&bell, 7).unwrap();
        assert!(ready(0).is_empty());
        bell.ring();
        bell.clone().ring();
        assert_eq!(ready(1000), [7]);
        assert_eq!(ready(1000), [7], "level-triggered");
        bell.hush();
        assert!(ready(0).is_empty());
        poller.remove(&bell).unwrap();
        bell.ring();
        assert!(ready(0).is_empty());
    }
}
