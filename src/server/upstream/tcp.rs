//! The tasks that ask upstreams over TCP: one an upstream, which does what its [`Lines`] decide, and one a connection.
//!
//! An upstream has a queue, connections and a task of its own, so that one whose TCP hangs is no other's loss. A full queue is the worker's to
//! answer for. What peers can make it hold is bounded: a queue of questions, 400 questions out, a message of 64 KiB half read on each of four
//! lines and [`EVENTS_MAX`] whole ones.

use std::collections::HashMap;
use std::future::pending;
use std::io;
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use rand::SeedableRng;
use rand::rngs::StdRng;
use tokio::io::{AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::mpsc;
use tokio::task::{AbortHandle, JoinSet};

use super::super::clock::Clock;
use super::super::mailbox::{Letter, Post};
use super::line::{PIPELINE_MAX, Question};
use super::lines::{Effect, End, LINES_PER_UPSTREAM_MAX, Lines};
use crate::forward::Slot;
use crate::metrics::Shard;

/// A line is waited for in vain after this at least, milliseconds, and half of it is the time there is to connect: over the longest round trips
/// between cities, some 350 ms.
const PATIENCE_MIN_MS: u32 = 800;
/// Messages and ends of lines that wait for an upstream's task; more are left in their sockets (a guess: each is a few microseconds' work).
const EVENTS_MAX: usize = 4 * LINES_PER_UPSTREAM_MAX;

/// A question for an upstream over TCP.
#[derive(Debug)]
pub struct TcpAsk {
    /// Whose it is.
    pub worker: usize,
    /// Which query.
    pub slot: Slot,
    /// What to ask.
    pub packet: Box<[u8]>,
    /// When nobody waits for it any more, milliseconds of the process's clock: it is dropped then, sent or not, and no letter is written.
    pub deadline_ms: u64,
}

/// Where workers put their questions, by upstream.
pub type TcpQueues = Arc<[mpsc::Sender<TcpAsk>]>;

/// Who takes them out there, by upstream.
pub type TcpAskers = Vec<mpsc::Receiver<TcpAsk>>;

/// A queue for each of so many upstreams, for `waiting_max` questions at most.
#[must_use]
pub fn tcp_queues(upstreams: usize, waiting_max: usize) -> (TcpQueues, TcpAskers) {
    let (queues, askers): (Vec<_>, _) = (0..upstreams).map(|_| mpsc::channel(waiting_max.max(1))).unzip();
    (queues.into(), askers)
}

/// What the tasks of all upstreams share.
#[derive(Debug, Clone)]
pub struct TcpParts {
    /// Where outcomes go, by worker.
    pub posts: Arc<[Post]>,
    /// The process's clock.
    pub clock: Clock,
    /// How long a try waits, milliseconds.
    pub timeout_ms: u32,
    /// Where panics are counted.
    pub shard: Arc<Shard>,
}

/// Asks `servers` what comes out of their queues, until the workers are gone.
pub async fn ask_over_tcp(askers: TcpAskers, servers: Arc<[SocketAddr]>, parts: TcpParts, mut rng: StdRng) {
    let mut tasks = JoinSet::new();
    for (&server, asks) in servers.iter().zip(askers) {
        tasks.spawn(Upstream::new(server, parts.clone(), StdRng::from_rng(&mut rng)).serve(asks));
    }
    while tasks.join_next().await.is_some() {}
}

/// Whom an outcome goes to.
#[derive(Debug, Clone, Copy)]
struct Asker {
    /// The worker.
    worker: usize,
    /// Its query.
    slot: Slot,
}

/// What a connection's task tells; it is its line's number that it tells it of.
#[derive(Debug)]
enum Event {
    /// A message came.
    Message(u64, Box<[u8]>),
    /// It is over.
    End(u64, End),
}

/// A connection's task as its upstream's sees it.
#[derive(Debug)]
struct Connection {
    /// What it is to write: at most one frame a question that is out.
    frames: mpsc::Sender<Box<[u8]>>,
    /// Ends it.
    task: AbortHandle,
}

/// One upstream's connections.
struct Upstream {
    /// Whom to ask.
    server: SocketAddr,
    /// What all share.
    parts: TcpParts,
    /// How long a line is waited for in vain before others are preferred, milliseconds.
    patience_ms: u64,
    /// What decides.
    lines: Lines<Asker>,
    /// What it wants done.
    effects: Vec<Effect<Asker>>,
    /// By line.
    open: HashMap<u64, Connection>,
    /// Their tasks.
    tasks: JoinSet<()>,
}

impl Upstream {
    /// One without a connection.
    fn new(server: SocketAddr, parts: TcpParts, rng: StdRng) -> Self {
        let patience_ms = u64::from(parts.timeout_ms.max(PATIENCE_MIN_MS));
        let lines = Lines::new(patience_ms, rng);
        Self { server, parts, patience_ms, lines, effects: Vec::new(), open: HashMap::new(), tasks: JoinSet::new() }
    }

    /// Until the workers are gone.
    async fn serve(mut self, mut asks: mpsc::Receiver<TcpAsk>) {
        let (teller, mut events) = mpsc::channel(EVENTS_MAX);
        loop {
            while self.tasks.try_join_next().is_some() {}
            let now_ms = self.parts.clock.now_ms();
            let due_ms = self.lines.next_deadline_ms().map(|at_ms| at_ms.saturating_sub(now_ms));
            tokio::select! {
                Some(event) = events.recv() => {
                    if let Event::End(line, _) = event {
                        self.open.remove(&line);
                    }
                    self.turn(&teller, |lines, now_ms, effects| match event {
                        Event::Message(line, octets) => lines.on_message(line, octets, now_ms, effects),
                        Event::End(line, end) => lines.on_end(line, end, now_ms, effects),
                    });
                }
                // What finds no room stays in the queue, whose bound is the worker's to count.
                ask = asks.recv(), if self.lines.has_room(now_ms) => {
                    let Some(TcpAsk { worker, slot, packet, deadline_ms }) = ask else { return };
                    let question = Question { asker: Asker { worker, slot }, packet, deadline_ms, lost_with: None };
                    self.turn(&teller, |lines, now_ms, effects| lines.ask(question, now_ms, effects));
                }
                () = sleep(due_ms) => self.turn(&teller, Lines::on_tick),
            }
        }
    }

    /// Lets `happens` happen and does what follows. A panic costs this upstream's connections and what is out on them, and is counted.
    fn turn(
        &mut self,
        teller: &mpsc::Sender<Event>,
        happens: impl FnOnce(&mut Lines<Asker>, u64, &mut Vec<Effect<Asker>>),
    ) {
        let now_ms = self.parts.clock.now_ms();
        if catch_unwind(AssertUnwindSafe(|| happens(&mut self.lines, now_ms, &mut self.effects))).is_err() {
            self.parts.shard.panics.bump();
            self.effects.clear();
            self.lines.forget();
            self.open.clear();
            self.tasks.abort_all();
        }
        for effect in std::mem::take(&mut self.effects) {
            self.apply(effect, teller);
        }
    }

    /// Does one thing.
    fn apply(&mut self, effect: Effect<Asker>, teller: &mpsc::Sender<Event>) {
        match effect {
            Effect::Open { line } => {
                let (frames, written) = mpsc::channel(PIPELINE_MAX);
                let limit = Duration::from_millis(self.patience_ms / 2);
                let task = self.tasks.spawn(connection(line, self.server, limit, written, teller.clone()));
                self.open.insert(line, Connection { frames, task });
            }
            Effect::Send { line, frame } => {
                if let Some(connection) = self.open.get(&line) {
                    // Refused by one that has just ended, which it tells next; or that is too full for a question to be still waited for.
                    connection.frames.try_send(frame).ok();
                }
            }
            Effect::Close { line } => {
                if let Some(connection) = self.open.remove(&line) {
                    connection.task.abort();
                }
            }
            Effect::Done { asker: Asker { worker, slot }, result } => {
                let taken = self.parts.posts.get(worker).is_some_and(|post| post.put(Letter::Reply { slot, result }));
                if !taken {
                    tracing::debug!("a mailbox is full; the query runs into its time limit");
                }
            }
        }
    }
}

/// Waits so many milliseconds; for ever without.
async fn sleep(due_ms: Option<u64>) {
    match due_ms {
        Some(due_ms) => tokio::time::sleep(Duration::from_millis(due_ms)).await,
        None => pending().await,
    }
}

/// One connection: connects within `limit`, writes what it is given, tells what comes and that it is over.
async fn connection(
    line: u64,
    server: SocketAddr,
    limit: Duration,
    frames: mpsc::Receiver<Box<[u8]>>,
    teller: mpsc::Sender<Event>,
) {
    let end = match tokio::time::timeout(limit, TcpStream::connect(server)).await {
        Ok(Ok(stream)) => {
            // Without it replies are late, not lost.
            stream.set_nodelay(true).ok();
            let (read, write) = stream.into_split();
            tokio::select! {
                _ = read_messages(line, read, &teller) => {}
                () = write_frames(write, frames) => {}
            }
            End::Closed
        }
        Ok(Err(_)) => End::Refused,
        Err(_) => End::Late,
    };
    // The upstream's task may have ended before.
    teller.send(Event::End(line, end)).await.ok();
}

/// Reads length-led messages (RFC 1035 §4.2.2) until the other end closes.
async fn read_messages(line: u64, stream: OwnedReadHalf, teller: &mpsc::Sender<Event>) -> io::Result<()> {
    let mut stream = BufReader::new(stream);
    loop {
        let length = stream.read_u16().await?;
        let mut octets = vec![0; usize::from(length)].into_boxed_slice();
        stream.read_exact(&mut octets).await?;
        teller.send(Event::Message(line, octets)).await.map_err(io::Error::other)?;
    }
}

/// Writes frames, as many at once as there are. Whoever cannot be written to is still read to the end, which tells it too.
async fn write_frames(mut stream: OwnedWriteHalf, mut frames: mpsc::Receiver<Box<[u8]>>) {
    let (mut taken, mut octets) = (Vec::new(), Vec::new());
    while frames.recv_many(&mut taken, PIPELINE_MAX).await > 0 {
        octets.clear();
        taken.drain(..).for_each(|frame| octets.extend_from_slice(&frame));
        if stream.write_all(&octets).await.is_err() {
            return pending().await;
        }
    }
}
