//! [`Live`]: the one swap by which a new generation takes over, and the shelf on which old ones wait to be freed.
//!
//! A retired generation is kept here until nobody else holds it, so its memory is never given back on a worker. Readers are woken by
//! whoever publishes (the workers' eventfds are not this room's), let go of the old one, and the next [`Live::reap`] frees it.

use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::{ArcSwap, Cache};

/// A value that readers follow and a publisher replaces.
#[derive(Debug)]
pub struct Live<T> {
    /// What readers see.
    current: Arc<ArcSwap<T>>,
    /// What they may still hold.
    retired: Mutex<Vec<Arc<T>>>,
}

/// One reader's own view of a [`Live`]: a pointer compare unless something was published.
pub type Reader<T> = Cache<Arc<ArcSwap<T>>, Arc<T>>;

impl<T> Live<T> {
    /// Starts with `first`.
    #[must_use]
    pub fn new(first: T) -> Self {
        Self { current: Arc::new(ArcSwap::from_pointee(first)), retired: Mutex::default() }
    }

    /// A view for one thread.
    #[must_use]
    pub fn reader(&self) -> Reader<T> {
        Cache::new(Arc::clone(&self.current))
    }

    /// What is in force, for a caller off the query path.
    #[must_use]
    pub fn load(&self) -> Arc<T> {
        self.current.load_full()
    }

    /// Puts `next` in force and shelves what was. Wake the readers, then [`Self::reap`].
    pub fn publish(&self, next: T) {
        let old = self.current.swap(Arc::new(next));
        self.retired.lock().unwrap_or_else(PoisonError::into_inner).push(old);
    }

    /// Frees what nobody else holds; says how many are still held.
    pub fn reap(&self) -> usize {
        let mut shelf = self.retired.lock().unwrap_or_else(PoisonError::into_inner);
        let (free, held) = std::mem::take(&mut *shelf).into_iter().partition(|old| Arc::strong_count(old) == 1);
        *shelf = held;
        let left = shelf.len();
        drop(shelf);
        // Freed outside the lock: a big index takes milliseconds.
        drop::<Vec<Arc<T>>>(free);
        left
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_old_value_is_freed_only_when_its_reader_lets_go() {
        let witness = Arc::new(());
        let live = Live::new(Arc::clone(&witness));
        let mut reader = live.reader();
        assert_eq!(Arc::strong_count(reader.load()), 2);
        live.publish(Arc::new(()));
        assert_eq!(live.reap(), 1, "the reader still holds it");
        assert_eq!(Arc::strong_count(&witness), 2);
        reader.load();
        assert_eq!(live.reap(), 0);
        assert_eq!(Arc::strong_count(&witness), 1);
    }
}
