//! What other threads tell a worker: queries that came over a stream, and replies that came over TCP.
//!
//! A bounded queue and a doorbell. A full queue is the sender's to answer for: the query is SERVFAIL.

use std::io;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use tokio::sync::oneshot;

use super::Client;
use crate::cache::Key;
use crate::forward::{Slot, TcpFailed};
use crate::sys::Doorbell;

/// The most letters that wait for one worker (a guess: two batches of each kind would do).
const LETTERS_MAX: usize = 4096;

/// One thing told.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "a key is 300 octets on the stack; a box would allocate for each")]
pub enum Letter {
    /// A miss of a stream's, to be forwarded.
    Query {
        /// What it is cached under.
        key: Key,
        /// Who asked.
        client: Client,
        /// The number of the client's tenant.
        tenant: u16,
        /// The query, trimmed.
        packet: Box<[u8]>,
        /// Where the reply goes; dropped without one if there is none.
        reply: oneshot::Sender<Box<[u8]>>,
    },
    /// What came of asking an upstream over TCP.
    Reply {
        /// For which query.
        slot: Slot,
        /// The reply's octets.
        result: Result<Box<[u8]>, TcpFailed>,
    },
}

/// Where one worker's letters are put in. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Post {
    /// The queue's end.
    letters: SyncSender<Letter>,
    /// Wakes the worker.
    bell: Doorbell,
}

/// Where a worker takes its letters out.
#[derive(Debug)]
pub struct Mailbox {
    /// The queue's other end.
    letters: Receiver<Letter>,
    /// Rings when there may be some, when a generation was published, and when it is time to stop.
    pub bell: Doorbell,
}

/// A mailbox and its post.
///
/// # Errors
/// What `eventfd(2)` says.
pub fn mailbox() -> io::Result<(Post, Mailbox)> {
    let (sender, letters) = sync_channel(LETTERS_MAX);
    let bell = Doorbell::new()?;
    Ok((Post { letters: sender, bell: bell.clone() }, Mailbox { letters, bell }))
}

impl Post {
    /// Puts a letter in and rings; false when the box is full or the worker gone, and the letter is lost.
    #[must_use]
    pub fn put(&self, letter: Letter) -> bool {
        let taken = self.letters.try_send(letter).is_ok();
        if taken {
            self.bell.ring();
        }
        taken
    }

    /// Wakes the worker without a letter.
    pub fn ring(&self) {
        self.bell.ring();
    }
}

impl Mailbox {
    /// The next letter, if there is one.
    pub fn take(&self) -> Option<Letter> {
        self.letters.try_recv().ok()
    }
}
