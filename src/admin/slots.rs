//! [`ConnectionSlots`]: who is connected to the HTTP door, and who makes room when all places are taken.
//!
//! A new connection always gets a place: that of the oldest that has asked nothing yet, else of the one whose answer has been on its way for
//! longest. Cost: one lock a connection, and one more when its answer begins; a look through the places when all are taken.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

/// Who has a place.
#[derive(Debug)]
struct Connection {
    /// Whether its answer has begun.
    answering: bool,
    /// Dropped when it loses its place.
    _keep: oneshot::Sender<()>,
}

/// Who is there, by the order in which they came.
type Register = Arc<Mutex<BTreeMap<u64, Connection>>>;

/// The register; a panic while it was held left it whole, for each change of it is one call.
fn lock(register: &Register) -> MutexGuard<'_, BTreeMap<u64, Connection>> {
    register.lock().unwrap_or_else(PoisonError::into_inner)
}

/// So many places.
#[derive(Debug)]
pub(super) struct ConnectionSlots {
    /// One permit a place.
    free: Arc<Semaphore>,
    /// Who has one.
    register: Register,
    /// The next number.
    next: u64,
}

impl ConnectionSlots {
    /// `most` free ones, at least one.
    pub(super) fn new(most: usize) -> Self {
        Self { free: Arc::new(Semaphore::new(most.max(1))), register: Register::default(), next: 0 }
    }

    /// Takes a place. With none free, one connection loses its own, and its end is waited for.
    pub(super) async fn take(&mut self) -> Slot {
        let free = Arc::clone(&self.free);
        let permit = match Arc::clone(&free).try_acquire_owned() {
            Ok(permit) => Some(permit),
            Err(_) => {
                self.make_room();
                // Never closed, so that it is always had.
                free.acquire_owned().await.ok()
            }
        };
        let (keep, lost) = oneshot::channel();
        let number = self.next;
        self.next += 1;
        lock(&self.register).insert(number, Connection { answering: false, _keep: keep });
        Slot { number, register: Arc::clone(&self.register), lost: Some(lost), answering: false, _permit: permit }
    }

    /// Takes a place away.
    fn make_room(&self) {
        let mut register = lock(&self.register);
        let silent = register.iter().find(|(_, taken)| !taken.answering).map(|(&number, _)| number);
        if let Some(number) = silent.or_else(|| register.keys().next().copied()) {
            register.remove(&number);
        }
    }
}

/// A place; given back when it is dropped.
#[derive(Debug)]
pub(super) struct Slot {
    /// Its number in the register.
    number: u64,
    /// Where it stands, unless it was lost.
    register: Register,
    /// Ends when it is lost; `None` once it is.
    lost: Option<oneshot::Receiver<()>>,
    /// Whether its answer has begun.
    answering: bool,
    /// Counts it.
    _permit: Option<OwnedSemaphorePermit>,
}

impl Slot {
    /// Ready once the place is lost.
    pub(super) fn poll_lost(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let Some(lost) = &mut self.lost else { return Poll::Ready(()) };
        let poll = Pin::new(lost).poll(context).map(drop);
        if poll.is_ready() {
            self.lost = None;
        }
        poll
    }

    /// Its answer begins; whether it had not yet.
    pub(super) fn begin_answer(&mut self) -> bool {
        if self.answering {
            return false;
        }
        self.answering = true;
        if let Some(taken) = lock(&self.register).get_mut(&self.number) {
            taken.answering = true;
        }
        true
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        lock(&self.register).remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether a place is lost.
    fn is_lost(place: &mut Slot) -> bool {
        place.poll_lost(&mut Context::from_waker(std::task::Waker::noop())).is_ready()
    }

    #[test]
    fn the_oldest_that_asked_nothing_goes_first_then_the_oldest_of_all() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let mut places = ConnectionSlots::new(3);
            let (mut first, mut second, mut third) = (places.take().await, places.take().await, places.take().await);
            assert!(first.begin_answer() && !first.begin_answer());
            for want in [[false, true, false], [false, true, true], [true, true, true]] {
                places.make_room();
                assert_eq!([&mut first, &mut second, &mut third].map(is_lost), want);
            }
            places.make_room();
            drop(second);
            let fourth = places.take().await;
            assert_eq!(lock(&places.register).len(), 1);
            drop((first, third, fourth));
            assert_eq!((lock(&places.register).len(), places.free.available_permits()), (0, 3));
        });
    }
}
