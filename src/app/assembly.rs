//! The parts a server is put together from: sockets, what workers and streams share, the workers themselves.

use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rand::rngs::{StdRng, SysRng};
use rand::{RngExt, SeedableRng};

use super::generation::{self, Accounts};
use super::sockets::{self, Sockets};
use super::{StartError, Started, chain, system};
use crate::admin::{AdminSocket, SocketChoice};
use crate::cache::{Local, Seed, Shared};
use crate::config::Settings;
use crate::forward::Forward;
use crate::metrics::{Account, LiveFigures, Metrics, Shard, Transport};
use crate::policy::Live;
use crate::server::{
    Clock, Post, Responder, Rules, Shutdown, StreamParts, TcpQueues, UpstreamHealth, UpstreamSockets, Worker,
    WorkerParts, mailbox, sockets_per_upstream,
};
use crate::sys;
use crate::zone::Zones;

/// How much longer a stream waits for its worker than the worker for its upstreams.
pub(super) const STREAM_PATIENCE: Duration = Duration::from_millis(500);
/// How long answers in flight are waited for at the end at most: as long as stub resolvers wait for one.
const FINISH_TIME_MAX: Duration = Duration::from_secs(5);

/// How long answers in flight are waited for at the end: each has come or failed within the budget.
pub(super) fn finish_time(settings: &Settings) -> Duration {
    Duration::from_millis(u64::from(settings.upstream.budget_ms)).min(FINISH_TIME_MAX)
}

// Every upstream has a place of its own to be counted in.
const _: () = assert!(crate::metrics::UPSTREAMS_MAX == crate::forward::UPSTREAMS_MAX);

/// What every worker and every stream shares.
pub(super) struct Common {
    /// What is in force.
    pub(super) live: Arc<Live<Rules>>,
    /// Everyone's answers.
    pub(super) shared: Arc<Shared>,
    /// What cache keys are hashed with.
    pub(super) seed: Seed,
    /// The process's clock.
    pub(super) clock: Clock,
    /// When to end.
    pub(super) shutdown: Arc<Shutdown>,
    /// By worker.
    pub(super) in_flight: Arc<[AtomicUsize]>,
    /// Whether the upstreams answer.
    pub(super) health: Arc<UpstreamHealth>,
    /// Counters, one set a worker and one for the streams.
    pub(super) shards: Vec<Arc<Shard>>,
    /// Every figure.
    pub(super) metrics: Arc<Metrics>,
    /// Where the tenants are counted before the first load.
    pub(super) accounts: Vec<Account>,
    /// Where questions for upstreams over TCP go.
    pub(super) asks: TcpQueues,
}

/// Every socket, bound; nothing is served yet.
pub(super) struct Doors {
    /// Listeners.
    pub(super) sockets: Sockets,
    /// `/metrics` and its like.
    pub(super) http: Option<TcpListener>,
    /// The operator's commands.
    pub(super) socket: Option<AdminSocket>,
    /// What the operator should know of them.
    notes: Vec<String>,
}

impl Doors {
    /// Binds them all.
    pub(super) fn open(settings: &Settings) -> Result<Self, StartError> {
        let workers = match settings.server.workers {
            0 => thread::available_parallelism().map_or(1, usize::from),
            some => some,
        };
        let sockets = sockets::bind(&settings.server, workers)?;
        let http = settings.admin.http.map(bind_http).transpose()?;
        let mut notes = Vec::new();
        let socket = match AdminSocket::open(&settings.admin.socket) {
            // Nobody asked for it by name: answering queries matters more.
            Err(error) if settings.admin.socket == SocketChoice::DefaultPlace => {
                notes.push(format!("no admin socket, so that no command reaches this server: {}", chain(&error)));
                None
            }
            opened => opened?,
        };
        notes.iter().for_each(|note| tracing::warn!("{note}"));
        Ok(Self { sockets, http, socket, notes })
    }

    /// How many workers there are sockets for.
    pub(super) const fn workers(&self) -> usize {
        self.sockets.udp.len()
    }

    /// What can be said of the start so far.
    pub(super) fn started(&self) -> Started {
        Started {
            listen: self.sockets.listen.clone(),
            workers: self.workers(),
            granted_octets: self.sockets.granted_octets,
            http: self.http.as_ref().and_then(|listener| listener.local_addr().ok()),
            socket: self.socket.as_ref().map(|socket| socket.path().to_owned()),
            feeds: Vec::new(),
            generation: 0,
            notes: self.notes.clone(),
        }
    }
}

impl Common {
    /// What is shared by `workers` workers, before the first generation.
    pub(super) fn new(
        settings: &Settings,
        zones: Arc<Zones>,
        workers: usize,
        asks: TcpQueues,
    ) -> Result<Self, StartError> {
        let mut rng = random()?;
        let shared = Arc::new(Shared::new(&settings.cache));
        let in_flight: Arc<[AtomicUsize]> = (0..workers).map(|_| AtomicUsize::new(0)).collect();
        let shards: Vec<Arc<Shard>> = (0..=workers).map(|_| Arc::default()).collect();
        let metrics = Arc::new(Metrics::new(shards.clone(), live_figures(&shared, &in_flight)));
        let mut accounts = Accounts::new(&metrics);
        let rules = generation::rules(settings, zones, None, 0, |tenant| accounts.account(tenant));
        let accounts = accounts.into_opened();
        Ok(Self {
            live: Arc::new(Live::new(rules)),
            shared,
            // Names are chosen by strangers: their hashes must not be.
            seed: Seed::new([rng.random(), rng.random()]),
            clock: Clock::start(),
            shutdown: Arc::default(),
            in_flight,
            health: Arc::new(UpstreamHealth::new(settings.upstream.upstreams().len())),
            shards,
            metrics,
            accounts,
            asks,
        })
    }

    /// What connections share.
    pub(super) fn stream_parts(&self, settings: &Settings, posts: &Arc<[Post]>, shard: Arc<Shard>) -> StreamParts {
        let (shared, seed) = (Arc::clone(&self.shared), self.seed.clone());
        let responder = move || {
            // A connection's answers come from the shared cache: a table of its own would cost more than it saves.
            Responder::new(Transport::Tcp, Arc::clone(&shard), Local::none(), Arc::clone(&shared), seed.clone())
        };
        StreamParts {
            rules: Arc::clone(&self.live),
            responder: Box::new(responder),
            posts: Arc::clone(posts),
            clock: self.clock,
            config: settings.server.clone(),
            patience: Duration::from_millis(u64::from(settings.upstream.budget_ms)) + STREAM_PATIENCE,
            finish: finish_time(settings),
        }
    }
}

/// What a scrape asks for beside the counters.
fn live_figures(shared: &Arc<Shared>, in_flight: &Arc<[AtomicUsize]>) -> Box<dyn Fn() -> LiveFigures + Send + Sync> {
    let (shared, in_flight) = (Arc::clone(shared), Arc::clone(in_flight));
    Box::new(move || LiveFigures {
        cache_bytes: shared.bytes() as u64,
        cache_entries: shared.len() as u64,
        in_flight: in_flight.iter().map(|count| count.load(Ordering::Relaxed) as u64).sum(),
    })
}

/// Binds the HTTP listener.
pub(super) fn bind_http(address: SocketAddr) -> Result<TcpListener, StartError> {
    sys::bind_tcp(address).map_err(|source| StartError::Http { address, source })
}

/// A CSPRNG, seeded by the system.
pub(super) fn random() -> Result<StdRng, StartError> {
    StdRng::try_from_rng(&mut SysRng).map_err(|error| system("draw randomness")(error.into()))
}

/// The workers' mailboxes, and the workers.
pub(super) type Workers = (Arc<[Post]>, Vec<Worker>);

/// Builds every worker; none reads a query before it is run.
pub(super) fn build_workers(
    settings: &Settings,
    common: &Common,
    sockets: Vec<Vec<UdpSocket>>,
) -> Result<Workers, StartError> {
    let servers: Arc<[SocketAddr]> = settings.upstream.upstreams().into();
    let each = sockets_per_upstream(sys::open_files_limit(), sys::ephemeral_ports(), sockets.len(), servers.len());
    let (mut posts, mut built) = (Vec::new(), Vec::new());
    for (index, (sockets, shard)) in sockets.into_iter().zip(&common.shards).enumerate() {
        let (post, mailbox) = mailbox().map_err(system("make a mailbox"))?;
        posts.push(post);
        let local = Local::new(&settings.cache);
        let responder =
            Responder::new(Transport::Udp, Arc::clone(shard), local, Arc::clone(&common.shared), common.seed.clone());
        let worker = Worker::new(WorkerParts {
            sockets,
            mailbox,
            rules: common.live.reader(),
            responder,
            forward: Forward::new(settings.upstream.clone(), settings.cache.clone(), each, random()?),
            upstreams: UpstreamSockets::new(Arc::clone(&servers), each),
            tcp: Arc::clone(&common.asks),
            clock: common.clock,
            shutdown: Arc::clone(&common.shutdown),
            finish_ms: u64::try_from(finish_time(settings).as_millis()).unwrap_or(u64::MAX),
            health: Arc::clone(&common.health),
            in_flight: Arc::clone(&common.in_flight),
            index,
        });
        built.push(worker.map_err(system("make a poller"))?);
    }
    Ok((posts.into(), built))
}

/// Starts the workers' threads.
pub(super) fn run_workers(built: Vec<Worker>) -> Result<Vec<JoinHandle<()>>, StartError> {
    let mut threads = Vec::new();
    for (index, worker) in built.into_iter().enumerate() {
        let thread = thread::Builder::new().name(format!("cenote-{index}")).spawn(move || worker.run());
        threads.push(thread.map_err(system("start a thread"))?);
    }
    Ok(threads)
}
