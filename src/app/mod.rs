//! Assembly: what is started in which order, how a generation is replaced, how it all ends.
//!
//! Start: bind every socket → start workers and doors, not ready → load feeds → publish → ready. End: streams drain, then workers, then
//! the rest, each in bounded time.

mod control;
mod explain;
mod feeds;
mod publisher;
mod signals;
mod sockets;

use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;
use std::{error, io};

use rand::rngs::{StdRng, SysRng};
use rand::{RngExt, SeedableRng};
use tokio::runtime::Runtime;
use tokio::sync::{mpsc, watch};

pub use feeds::{FeedError, FeedSet, FeedState, FeedTrouble, Progress, load_feeds};
pub use publisher::{ReloadError, Reloaded};

use crate::admin::{AdminSocket, Explanation, SocketError, serve_http};
use crate::cache::{Local, Seed, Shared};
use crate::config::Settings;
use crate::forward::Forward;
use crate::index::BuildError;
use crate::metrics::{LiveFigures, Metrics, Shard, Transport};
use crate::name::Name;
use crate::policy::{Live, Policy};
use crate::server::{
    Access, Clock, Post, Responder, Rules, Shutdown, StreamParts, UpstreamSockets, Worker, WorkerParts, ask_over_tcp,
    mailbox, serve_streams, sockets_per_upstream,
};
use crate::sys::{self, BindError};
use crate::zone::{ZoneError, Zones};
use control::Control;
use publisher::{Publisher, Task};

/// How many questions for upstreams over TCP wait for a task (a guess: a burst of truncated replies).
const TCP_ASKS_WAITING: usize = 1024;
/// How much longer a stream waits for its worker than the worker for its upstreams.
const STREAM_PATIENCE: Duration = Duration::from_millis(500);

/// Why the server did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A listener.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// The address of `[metrics] listen`.
    #[error("cannot listen on HTTP {address} (metrics.listen)")]
    Http {
        /// Which.
        address: SocketAddr,
        /// What the kernel said.
        source: io::Error,
    },
    /// The admin socket.
    #[error(transparent)]
    Socket(#[from] SocketError),
    /// Zones.
    #[error("{}", .0.iter().map(|fault| chain(fault)).collect::<Vec<_>>().join("\n"))]
    Zones(Vec<ZoneError>),
    /// The first load.
    #[error(transparent)]
    Load(#[from] ReloadError),
    /// Threads, pollers, randomness, limits.
    #[error("cannot {what}")]
    System {
        /// Do what.
        what: &'static str,
        /// What the system said.
        source: io::Error,
    },
}

/// Makes a system's error a [`StartError`].
fn system(what: &'static str) -> impl FnOnce(io::Error) -> StartError {
    move |source| StartError::System { what, source }
}

/// An error and its causes in one line; a cause that its error already ends with is not said twice.
#[must_use]
pub fn chain(error: &dyn error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let said = cause.to_string();
        if !text.ends_with(&said) {
            text = format!("{text}: {said}");
        }
        source = cause.source();
    }
    text
}

/// What was started, for whoever prints it.
#[derive(Debug, Clone)]
pub struct Started {
    /// Addresses, ports as bound.
    pub listen: Vec<SocketAddr>,
    /// Worker threads.
    pub workers: usize,
    /// The least receive buffer a UDP socket was granted, octets.
    pub granted_octets: usize,
    /// Where HTTP is.
    pub http: Option<SocketAddr>,
    /// Where the admin socket is.
    pub socket: Option<PathBuf>,
    /// The feeds of the first generation.
    pub feeds: Vec<FeedState>,
    /// The first generation's number.
    pub generation: u64,
    /// What works, but hardly as it was meant.
    pub notes: Vec<String>,
}

/// A running server.
pub struct Server {
    /// What was started.
    started: Started,
    /// Tells workers to drain.
    shutdown: Arc<Shutdown>,
    /// Wakes them.
    posts: Arc<[Post]>,
    /// Their threads.
    workers: Vec<JoinHandle<()>>,
    /// What may wait.
    runtime: Runtime,
    /// Tells streams and doors to end.
    stop: watch::Sender<bool>,
    /// The streams.
    streams: tokio::task::JoinHandle<()>,
    /// The publisher's queue.
    tasks: Sender<Task>,
    /// The publisher, once it runs.
    publisher: Option<JoinHandle<()>>,
    /// Every figure.
    metrics: Arc<Metrics>,
    /// What is in force.
    live: Arc<Live<Rules>>,
    /// How long to drain.
    drain: Duration,
}

/// Turns core dumps off. Once, before anything sensitive is read.
///
/// # Errors
/// [`StartError::System`].
pub fn harden() -> Result<(), StartError> {
    sys::forbid_core_dumps().map_err(system("turn core dumps off"))
}

/// What every worker and every stream shares.
struct Common {
    /// What is in force.
    live: Arc<Live<Rules>>,
    /// Everyone's answers.
    shared: Arc<Shared>,
    /// What cache keys are hashed with.
    seed: Seed,
    /// The process's clock.
    clock: Clock,
    /// When to end.
    shutdown: Arc<Shutdown>,
    /// By worker.
    in_flight: Arc<[AtomicUsize]>,
    /// Where questions for upstreams over TCP go.
    asks: mpsc::Sender<crate::server::TcpAsk>,
}

impl Server {
    /// Starts everything and loads the first generation. `config_file` is what a reload reads; without one it keeps the settings.
    ///
    /// # Errors
    /// [`StartError`]; nothing is left running.
    pub fn start(settings: Settings, config_file: Option<&Path>, progress: Progress<'_>) -> Result<Self, StartError> {
        let open_files = sys::open_files_limit();
        let count = match settings.server.workers {
            0 => thread::available_parallelism().map_or(1, usize::from),
            some => some,
        };
        let zones = Arc::new(Zones::build(&settings.zones).map_err(StartError::Zones)?);
        let bound = sockets::bind(&settings.server, count)?;
        let http = settings.admin.http.map(bind_http).transpose()?;
        let socket = settings.admin.socket.as_deref().map(AdminSocket::bind).transpose()?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(count.min(4))
            .thread_name("cenote-waits")
            .enable_all()
            .build()
            .map_err(system("start the runtime"))?;

        let mut started = Started {
            listen: bound.listen.clone(),
            workers: count,
            granted_octets: bound.granted_octets,
            http: http.as_ref().and_then(|listener| listener.local_addr().ok()),
            socket: socket.as_ref().map(|socket| socket.path().to_owned()),
            feeds: Vec::new(),
            generation: 0,
            notes: Vec::new(),
        };
        let (asks, asked) = mpsc::channel(TCP_ASKS_WAITING);
        let access = Access::new(&settings.access);
        let common = Common {
            live: Arc::new(Live::new(Rules { generation: 0, access, zones: Arc::clone(&zones), policy: None })),
            shared: Arc::new(Shared::new(&settings.cache)),
            seed: random_seed()?,
            clock: Clock::start(),
            shutdown: Arc::default(),
            in_flight: (0..count).map(|_| AtomicUsize::new(0)).collect(),
            asks,
        };
        let shards: Vec<Arc<Shard>> = (0..=count).map(|_| Arc::default()).collect();
        let metrics = Arc::new(Metrics::new(shards.clone(), live_figures(&common)));
        let (posts, workers) = start_workers(&settings, &common, bound.udp, &shards, open_files)?;
        let (stop, stopping) = watch::channel(false);
        let streams = {
            let shard = shards.last().map(Arc::clone).unwrap_or_default();
            let parts = stream_parts(&settings, &common, &posts, shard);
            runtime.spawn(serve_streams(bound.tcp, Arc::new(parts), stopping.clone()))
        };
        let servers: Arc<[SocketAddr]> = settings.upstream.servers.clone().into();
        let timeout = Duration::from_millis(u64::from(settings.upstream.budget_ms));
        runtime.spawn(ask_over_tcp(asked, servers, Arc::clone(&posts), timeout));
        if let Some(listener) = http {
            let serving = serve_http(listener, Arc::clone(&metrics), stopping.clone());
            runtime.spawn(async move {
                if let Err(error) = serving.await {
                    tracing::error!(error = chain(&error), "HTTP ended");
                }
            });
        }
        let (tasks, queue) = publisher::tasks();
        if let Some(socket) = socket {
            let control = Control {
                live: Arc::clone(&common.live),
                metrics: Arc::clone(&metrics),
                tasks: Mutex::new(tasks.clone()),
            };
            let serving = socket.serve(Arc::new(control), stopping);
            runtime.spawn(async move {
                if let Err(error) = serving.await {
                    tracing::error!(error = chain(&error), "the admin socket ended");
                }
            });
        }
        let drain = Duration::from_secs(u64::from(settings.server.drain_secs));
        let mut publisher = Publisher {
            config_file: config_file.map(Path::to_owned),
            settings,
            live: Arc::clone(&common.live),
            posts: Arc::clone(&posts),
            metrics: Arc::clone(&metrics),
            feeds: None,
            seen: Vec::new(),
            zones,
            generation: 0,
            reload_failures: 0,
        };
        let loaded = publisher.first_load(progress);
        started.feeds = publisher.feeds.as_ref().map(|set| set.states.clone()).unwrap_or_default();
        let mut server = Self {
            started,
            shutdown: common.shutdown,
            posts,
            workers,
            runtime,
            stop,
            streams,
            tasks: tasks.clone(),
            publisher: None,
            metrics,
            live: common.live,
            drain,
        };
        match loaded {
            Ok(Reloaded { generation, notes }) => {
                server.started.generation = generation;
                server.started.notes = notes;
            }
            Err(error) => {
                server.drain = Duration::ZERO;
                server.stop();
                return Err(error.into());
            }
        }
        let publishing = thread::Builder::new().name("cenote-publisher".to_owned());
        let publishing = publishing.spawn(move || publisher.run(&queue, &tasks)).map_err(system("start a thread"))?;
        server.publisher = Some(publishing);
        Ok(server)
    }

    /// What was started.
    #[must_use]
    pub const fn started(&self) -> &Started {
        &self.started
    }

    /// Every figure.
    #[must_use]
    pub const fn metrics(&self) -> &Arc<Metrics> {
        &self.metrics
    }

    /// What is in force, and what still waits to be freed.
    #[must_use]
    pub const fn live(&self) -> &Arc<Live<Rules>> {
        &self.live
    }

    /// Reads configuration and feeds again, and waits for the result.
    ///
    /// # Errors
    /// [`ReloadError`]; the generation in force stays.
    pub fn reload(&self) -> Result<Reloaded, ReloadError> {
        let (reply, result) = std::sync::mpsc::channel();
        self.tasks.send(Task::Reload(Some(reply))).map_err(|_| ReloadError::Stopping)?;
        result.recv().map_err(|_| ReloadError::Stopping)?
    }

    /// Serves until SIGTERM or SIGINT; SIGHUP reloads.
    ///
    /// # Errors
    /// [`StartError::System`] if signals cannot be waited for.
    pub fn wait(&self) -> Result<(), StartError> {
        let reload = || drop(self.tasks.send(Task::Reload(None)));
        self.runtime.block_on(signals::wait(reload)).map_err(system("wait for signals"))
    }

    /// Ends: streams finish what they were asked, workers what they received and what is in flight, then everything goes.
    pub fn stop(self) {
        self.stop.send_replace(true);
        let drain = self.drain;
        let streams = self.streams;
        self.runtime.block_on(async move {
            // Streams end by themselves within their drain time; this is for one that does not.
            drop(tokio::time::timeout(drain + STREAM_PATIENCE, streams).await);
        });
        self.shutdown.begin();
        for post in self.posts.iter() {
            post.ring();
        }
        for worker in self.workers {
            // A worker that panicked outside a packet has said so on its way out.
            worker.join().ok();
        }
        // Gone already if it could not start.
        self.tasks.send(Task::Stop).ok();
        if let Some(publisher) = self.publisher {
            publisher.join().ok();
        }
        self.runtime.shutdown_timeout(drain);
    }
}

/// Loads a policy without serving it, and explains a name by it.
///
/// # Errors
/// [`StartError`].
pub fn explain_offline(
    settings: &Settings,
    name: &Name,
    client: Option<std::net::IpAddr>,
) -> Result<Explanation, StartError> {
    let (feeds, troubles) = load_feeds(&settings.feeds, None, &mut |_, _, _| ()).map_err(ReloadError::Build)?;
    if !troubles.is_empty() {
        return Err(ReloadError::Feeds(troubles).into());
    }
    let zones = Zones::build(&settings.zones).map_err(StartError::Zones)?;
    let policy = Policy::new(feeds.index, settings.policy_feeds.clone(), settings.sink.clone());
    let rules = Rules {
        generation: 0,
        access: Access::new(&settings.access),
        zones: Arc::new(zones),
        policy: Some(Arc::new(policy)),
    };
    Ok(explain::explain(&rules, name, client))
}

/// Reads feeds and zones as a start would, and gives every fault of either.
///
/// # Errors
/// All that is wrong.
pub fn check(settings: &Settings, progress: Progress<'_>) -> Result<FeedSet, Vec<Box<dyn error::Error + Send + Sync>>> {
    let mut faults: Vec<Box<dyn error::Error + Send + Sync>> = Vec::new();
    let zones = Zones::build(&settings.zones).err().unwrap_or_default();
    faults.extend(zones.into_iter().map(Into::into));
    let loaded: Result<_, BuildError> = load_feeds(&settings.feeds, None, progress);
    match loaded {
        Ok((feeds, troubles)) if troubles.is_empty() && faults.is_empty() => return Ok(feeds),
        Ok((_, troubles)) => faults.extend(troubles.into_iter().map(Into::into)),
        Err(error) => faults.push(error.into()),
    }
    Err(faults)
}

/// Binds the HTTP listener.
fn bind_http(address: SocketAddr) -> Result<TcpListener, StartError> {
    sys::bind_tcp(address).map_err(|source| StartError::Http { address, source })
}

/// What a scrape asks for beside the counters.
fn live_figures(common: &Common) -> Box<dyn Fn() -> LiveFigures + Send + Sync> {
    let (shared, in_flight) = (Arc::clone(&common.shared), Arc::clone(&common.in_flight));
    Box::new(move || LiveFigures {
        cache_bytes: shared.bytes() as u64,
        cache_entries: shared.len() as u64,
        in_flight: in_flight.iter().map(|count| count.load(Ordering::Relaxed) as u64).sum(),
    })
}

/// What connections share.
fn stream_parts(settings: &Settings, common: &Common, posts: &Arc<[Post]>, shard: Arc<Shard>) -> StreamParts {
    let (shared, seed) = (Arc::clone(&common.shared), common.seed.clone());
    let responder = move || {
        // A connection's answers come from the shared cache: a table of its own would cost more than it saves.
        Responder::new(Transport::Tcp, Arc::clone(&shard), Local::none(), Arc::clone(&shared), seed.clone())
    };
    StreamParts {
        rules: Arc::clone(&common.live),
        responder: Box::new(responder),
        posts: Arc::clone(posts),
        clock: common.clock,
        config: settings.server.clone(),
        patience: Duration::from_millis(u64::from(settings.upstream.budget_ms)) + STREAM_PATIENCE,
    }
}

/// Starts every worker: their posts and their threads.
fn start_workers(
    settings: &Settings,
    common: &Common,
    sockets: Vec<Vec<std::net::UdpSocket>>,
    shards: &[Arc<Shard>],
    open_files: u64,
) -> Result<(Arc<[Post]>, Vec<JoinHandle<()>>), StartError> {
    let servers: Arc<[SocketAddr]> = settings.upstream.servers.clone().into();
    let each = sockets_per_upstream(open_files, sys::ephemeral_ports(), sockets.len(), servers.len());
    let (mut posts, mut built) = (Vec::new(), Vec::new());
    for (index, (sockets, shard)) in sockets.into_iter().zip(shards).enumerate() {
        let (post, mailbox) = mailbox().map_err(system("make a mailbox"))?;
        posts.push(post);
        let rng = StdRng::try_from_rng(&mut SysRng).map_err(|error| system("draw randomness")(error.into()))?;
        let local = Local::new(&settings.cache);
        let responder =
            Responder::new(Transport::Udp, Arc::clone(shard), local, Arc::clone(&common.shared), common.seed.clone());
        let worker = Worker::new(WorkerParts {
            sockets,
            mailbox,
            rules: common.live.reader(),
            responder,
            forward: Forward::new(settings.upstream.clone(), settings.cache.clone(), each, rng),
            upstreams: UpstreamSockets::new(Arc::clone(&servers), each),
            tcp: common.asks.clone(),
            clock: common.clock,
            shutdown: Arc::clone(&common.shutdown),
            drain_ms: u64::from(settings.server.drain_secs) * 1000,
            in_flight: Arc::clone(&common.in_flight),
            index,
        });
        built.push(worker.map_err(system("make a poller"))?);
    }
    let mut threads = Vec::new();
    for (index, worker) in built.into_iter().enumerate() {
        let thread = thread::Builder::new().name(format!("cenote-{index}")).spawn(move || worker.run());
        threads.push(thread.map_err(system("start a thread"))?);
    }
    Ok((posts.into(), threads))
}

/// A seed for the hashes of cache keys: names are chosen by strangers.
fn random_seed() -> Result<Seed, StartError> {
    let mut rng = StdRng::try_from_rng(&mut SysRng).map_err(|error| system("draw randomness")(error.into()))?;
    Ok(Seed::new([rng.random(), rng.random()]))
}
