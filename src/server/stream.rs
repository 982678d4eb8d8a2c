//! TCP: queries pipelined on a connection, answered as they come ready, out of order (RFC 7766 §6.2.1.1).
//!
//! A connection's task reads, climbs the ladder itself, and hands misses to a worker's mailbox. Bounded in connections, in connections of a
//! client, in queries in flight on a connection, and in time.

use std::cell::RefCell;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::io::{self, Cursor};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::clock::Clock;
use super::mailbox::{Letter, Post};
use super::proxy::{ProxyHeader, identify};
use super::respond::Miss;
use super::{Client, Config, Outcome, Responder, Rules};
use crate::metrics::{Limit, Outcome as Counted, Transport};
use crate::net::ClientNetwork;
use crate::policy::Live;
use crate::wire::{Ede, HEADER_OCTETS, STREAM_OCTETS_MAX};

/// The most queries of one connection in flight; one more waits to be read (a guess: browsers keep some ten).
const IN_FLIGHT_MAX: usize = 64;
/// How long after a failed `accept` the next is tried: out of file descriptors, trying at once would spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What all connections share.
pub struct StreamParts {
    /// What queries are judged by.
    pub rules: Arc<Live<Rules>>,
    /// Makes each connection its responder.
    pub responder: Box<dyn Fn() -> Responder + Send + Sync>,
    /// The workers' mailboxes.
    pub posts: Arc<[Post]>,
    /// The process's clock.
    pub clock: Clock,
    /// Limits and times.
    pub config: Config,
    /// How long a forwarded query is waited for: the forwarder's budget, and a little.
    pub patience: Duration,
    /// How long connections have at the end to finish what they asked.
    pub finish: Duration,
}

/// How many connections each client has. Lives in memory while they last, and nowhere else.
type PerClient = Arc<Mutex<HashMap<ClientNetwork, usize>>>;

/// One connection's place among its client's; given back when it ends.
struct Seat {
    /// The count.
    clients: PerClient,
    /// Whose.
    client: ClientNetwork,
    /// Its place among all connections.
    _permit: OwnedSemaphorePermit,
}

impl Seat {
    /// Takes a seat, if this client has fewer than `most`.
    fn take(clients: &PerClient, client: ClientNetwork, most: usize, permit: OwnedSemaphorePermit) -> Option<Self> {
        let mut seats = clients.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = seats.entry(client).or_insert(0);
        if *taken >= most {
            return None;
        }
        *taken += 1;
        drop(seats);
        Some(Self { clients: Arc::clone(clients), client, _permit: permit })
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut seats = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        if let Entry::Occupied(mut taken) = seats.entry(self.client) {
            *taken.get_mut() -= 1;
            if *taken.get() == 0 {
                taken.remove();
            }
        }
    }
}

/// Serves every listener until `stop` turns true, then lets open connections finish what they asked, in bounded time.
pub async fn serve_streams(
    listeners: Vec<std::net::TcpListener>,
    parts: Arc<StreamParts>,
    stop: watch::Receiver<bool>,
) {
    let permits = Arc::new(Semaphore::new(parts.config.tcp_connections_max));
    let clients = PerClient::default();
    let mut tasks = JoinSet::new();
    for (place, listener) in listeners.into_iter().enumerate() {
        match TcpListener::from_std(listener) {
            Ok(listener) => {
                let (permits, clients) = (Arc::clone(&permits), Arc::clone(&clients));
                tasks.spawn(accept(listener, place, Arc::clone(&parts), permits, clients, stop.clone()));
            }
            Err(error) => tracing::error!(%error, "a TCP listener could not be served"),
        }
    }
    while tasks.join_next().await.is_some() {}
}

/// Accepts connections of the listener at `place`.
async fn accept(
    listener: TcpListener,
    place: usize,
    parts: Arc<StreamParts>,
    permits: Arc<Semaphore>,
    clients: PerClient,
    mut stop: watch::Receiver<bool>,
) {
    let (mut connections, counts) = (JoinSet::new(), (parts.responder)());
    loop {
        while connections.try_join_next().is_some() {}
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stop.wait_for(|&stopping| stopping) => break,
        };
        match accepted {
            Ok((stream, peer)) => {
                // Over the limit: closed at once, which a client understands (RFC 7766 §6.2.2 lets us).
                let Ok(permit) = Arc::clone(&permits).try_acquire_owned() else {
                    counts.shard().limit(Limit::TcpConnections).bump();
                    continue;
                };
                let client = Client::direct(peer.ip(), place);
                // A connection keeps what it began with, whatever a reload says meanwhile.
                let peer = Peer { client, listed: parts.rules.load().proxies.lists(client.address()) };
                // A load balancer's connections are those of many clients: only the limit on all connections holds it.
                let most = if peer.listed { usize::MAX } else { parts.config.tcp_connections_per_client_max };
                let Some(seat) = Seat::take(&clients, ClientNetwork::of(client.address()), most, permit) else {
                    counts.shard().limit(Limit::TcpConnectionsPerClient).bump();
                    continue;
                };
                connections.spawn(converse(stream, peer, seat, Arc::clone(&parts), stop.clone()));
            }
            Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
        }
    }
    drop(listener);
    let ended = timeout(parts.finish, async { while connections.join_next().await.is_some() {} }).await;
    if ended.is_err() {
        connections.shutdown().await;
    }
}

/// The other end of a connection.
#[derive(Clone, Copy)]
struct Peer {
    /// Its own identity.
    client: Client,
    /// Whether a PROXY header must come first.
    listed: bool,
}

/// One connection, from its first octet to its end.
async fn converse(stream: TcpStream, peer: Peer, seat: Seat, parts: Arc<StreamParts>, mut stop: watch::Receiver<bool>) {
    // Small replies leave at once; failing that they leave a little later.
    stream.set_nodelay(true).ok();
    let (mut reader, writer) = stream.into_split();
    let idle = Duration::from_secs(u64::from(parts.config.tcp_idle_secs));
    let responder = (parts.responder)();
    let Some((client, begun)) = begin(&mut reader, peer, &responder, idle, &mut stop).await else { return };
    let reader = Cursor::new(begun).chain(reader);
    let (replies, outgoing) = mpsc::channel(IN_FLIGHT_MAX);
    let mut writing = JoinSet::new();
    writing.spawn(write_replies(writer, outgoing, idle));
    read_queries(reader, client, responder, &parts, replies, idle, stop).await;
    // The last reply's sender is gone: the writer ends by itself, each write within the idle time.
    while writing.join_next().await.is_some() {}
    drop(seat);
}

/// Reads how a connection begins: who asks, and what was read of the first query. `None`: it is to be closed, and counted if it was refused.
async fn begin(
    reader: &mut OwnedReadHalf,
    peer: Peer,
    responder: &Responder,
    idle: Duration,
    stop: &mut watch::Receiver<bool>,
) -> Option<(Client, Vec<u8>)> {
    let mut octets = Vec::new();
    let reading = async {
        while let ProxyHeader::Partial { more } = ProxyHeader::read(&octets) {
            // Ended, or failed: what is there is judged as it is.
            if !matches!(reader.take(more as u64).read_buf(&mut octets).await, Ok(1..)) {
                break;
            }
        }
    };
    tokio::select! {
        // Silent for too long: likewise.
        _ = timeout(idle, reading) => {}
        _ = stop.wait_for(|&stopping| stopping) => return None,
    }
    if octets.is_empty() {
        return None;
    }
    match identify(peer.listed, peer.client, &octets) {
        Ok((client, behind)) => Some((client, behind.to_vec())),
        Err(reason) => {
            responder.shard().proxy_refused(reason).bump();
            None
        }
    }
}

/// Reads queries and answers or forwards each, until the client ends, falls silent, or sends what is no message.
async fn read_queries(
    mut reader: impl AsyncRead + Unpin,
    client: Client,
    mut responder: Responder,
    parts: &Arc<StreamParts>,
    replies: mpsc::Sender<Box<[u8]>>,
    idle: Duration,
    mut stop: watch::Receiver<bool>,
) {
    let in_flight = Arc::new(Semaphore::new(IN_FLIGHT_MAX));
    let mut waiting = JoinSet::new();
    loop {
        while waiting.try_join_next().is_some() {}
        let Ok(permit) = Arc::clone(&in_flight).acquire_owned().await else { break };
        let next = tokio::select! {
            next = timeout(idle, read_message(&mut reader)) => next,
            _ = stop.wait_for(|&stopping| stopping) => break,
        };
        // Else: ended, not a message, or silent for too long; what is on its way is still answered.
        let Ok(Ok(packet)) = next else { break };
        match answer(&mut responder, parts, client, &packet) {
            Answered::Not => {}
            Answered::Now(reply) => {
                if replies.send(reply).await.is_err() {
                    break;
                }
            }
            Answered::Later(answer) => {
                let (replies, patience) = (replies.clone(), parts.patience);
                waiting.spawn(async move {
                    if let Ok(Ok(reply)) = timeout(patience, answer).await {
                        // The client may have gone.
                        replies.send(reply).await.ok();
                    }
                    drop(permit);
                });
            }
        }
    }
    drop(replies);
    while waiting.join_next().await.is_some() {}
}

/// What came of one query.
enum Answered {
    /// Nothing is sent.
    Not,
    /// Its reply.
    Now(Box<[u8]>),
    /// A worker will send its reply.
    Later(oneshot::Receiver<Box<[u8]>>),
}

thread_local! {
    /// Where a reply is written before it is sent as long as it is: one a thread, not one a connection.
    static ROOM: RefCell<Box<[u8]>> = RefCell::new(vec![0; STREAM_OCTETS_MAX].into_boxed_slice());
}

/// Climbs the ladder with one query.
fn answer(responder: &mut Responder, parts: &StreamParts, client: Client, packet: &[u8]) -> Answered {
    let rules = parts.rules.load();
    let answered = responder.guard(Transport::Tcp, |responder| {
        ROOM.with_borrow_mut(|room| {
            let octets = match responder.respond(&rules, packet, client, parts.clock.now_ms(), room) {
                Outcome::Silence => None,
                Outcome::Reply(octets) => Some(octets),
                Outcome::Forward(miss) => match hand_over(parts, client, &miss) {
                    Some(answer) => return Answered::Later(answer),
                    None => {
                        responder.shard().limit(Limit::Handover).bump();
                        responder.turn_away(Transport::Tcp, &miss.query, Counted::Overload, Ede::OTHER, room)
                    }
                },
            };
            octets.and_then(|octets| room.get(..octets)).map_or(Answered::Not, |reply| Answered::Now(reply.into()))
        })
    });
    answered.unwrap_or(Answered::Not)
}

/// Hands a miss to the worker its key belongs to, so that equal questions meet there; `None` when its mailbox is full.
fn hand_over(parts: &StreamParts, client: Client, miss: &Miss<'_>) -> Option<oneshot::Receiver<Box<[u8]>>> {
    let place = usize::try_from(miss.key.hash() % (parts.posts.len() as u64).max(1)).ok()?;
    let (reply, answer) = oneshot::channel();
    let (key, tenant, packet) = (miss.key.clone(), miss.tenant, miss.query.trimmed());
    let taken = parts.posts.get(place)?.put(Letter::Query { client, tenant, key, packet, reply });
    taken.then_some(answer)
}

/// Reads one length-led message (RFC 1035 §4.2.2).
async fn read_message(reader: &mut (impl AsyncRead + Unpin)) -> io::Result<Vec<u8>> {
    let length = usize::from(reader.read_u16().await?);
    if length < HEADER_OCTETS {
        return Err(io::ErrorKind::InvalidData.into());
    }
    // Grows as octets come: a length alone reserves nothing.
    let mut packet = Vec::with_capacity(length.min(512));
    let read = reader.take(length as u64).read_to_end(&mut packet).await?;
    if read == length { Ok(packet) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
}

/// Writes replies as they come ready, each with its length in front, in one write.
async fn write_replies(mut writer: OwnedWriteHalf, mut replies: mpsc::Receiver<Box<[u8]>>, idle: Duration) {
    let mut framed = Vec::new();
    while let Some(reply) = replies.recv().await {
        framed.clear();
        framed.extend_from_slice(&u16::try_from(reply.len()).unwrap_or(0).to_be_bytes());
        framed.extend_from_slice(&reply);
        match timeout(idle, writer.write_all(&framed)).await {
            Ok(Ok(())) => {}
            // A client that does not read: close.
            Ok(Err(_)) | Err(_) => return,
        }
    }
    // Sends FIN; the client may have gone.
    writer.shutdown().await.ok();
}
