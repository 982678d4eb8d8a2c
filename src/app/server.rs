//! [`Server`]: started in order, stopped in order.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use tokio::runtime::Runtime;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::assembly::{Common, Doors, STREAM_PATIENCE, build_workers, finish_time, random, run_workers};
use super::control::{Control, Refusals};
use super::publisher::Publisher;
use super::signals::Told;
use super::tasks::{Task, tasks};
use super::upstreams::tell_of_upstreams;
use super::{FeedState, Progress, ReloadError, Reloaded, Signals, StartError, chain, system};
use crate::admin::{self, serve_http};
use crate::config::Settings;
use crate::metrics::Metrics;
use crate::policy::Live;
use crate::server::{Post, Rules, Shutdown, TcpParts, ask_over_tcp, serve_streams, tcp_queues};
use crate::sys;
use crate::zone::Zones;

/// How long the publisher's end is waited for, at least.
const PUBLISHER_PATIENCE: Duration = Duration::from_secs(1);
/// How long the two doors have at the end for replies in the making.
const DOORS_PATIENCE: Duration = Duration::from_secs(1);
/// Threads of the runtime at most: streams and doors are not the query path.
const RUNTIME_THREADS_MAX: usize = 4;

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
    /// Tells streams to end.
    stop: watch::Sender<bool>,
    /// The streams.
    streams: tokio::task::JoinHandle<()>,
    /// Tells the two doors to end.
    close: watch::Sender<bool>,
    /// The two doors.
    doors: JoinSet<()>,
    /// What the admin socket can have done.
    control: Arc<Control>,
    /// The publisher's queue.
    tasks: Sender<Task>,
    /// Closed when the publisher has ended.
    published: std::sync::mpsc::Receiver<()>,
    /// Every figure.
    metrics: Arc<Metrics>,
    /// What is in force.
    live: Arc<Live<Rules>>,
    /// How long queries are still answered after SIGTERM.
    drain: Duration,
    /// How long answers in flight are waited for after that.
    finish: Duration,
}

impl Server {
    /// Starts everything and loads the first generation. `config_file` is what a reload reads; without one it keeps the settings.
    ///
    /// # Errors
    /// [`StartError`]; nothing is left running.
    pub fn start(settings: Settings, config_file: Option<&Path>, progress: Progress<'_>) -> Result<Self, StartError> {
        sys::map_large_blocks();
        let zones = Arc::new(Zones::build(&settings.zones).map_err(StartError::Zones)?);
        let doors = Doors::open(&settings)?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(doors.workers().min(RUNTIME_THREADS_MAX))
            .thread_name("cenote-waits")
            .enable_all()
            .build()
            .map_err(system("start the runtime"))?;
        let servers: Arc<[SocketAddr]> = settings.upstream.upstreams().into();
        let (asks, askers) = tcp_queues(servers.len(), settings.upstream.tcp_waiting_max);
        let common = Common::new(&settings, Arc::clone(&zones), doors.workers(), asks)?;
        let metrics = Arc::clone(&common.metrics);
        let mut started = doors.started();
        let (posts, workers) = build_workers(&settings, &common, doors.sockets.udp)?;

        let shard = common.shards.last().map(Arc::clone).unwrap_or_default();
        let parts = Arc::new(common.stream_parts(&settings, &posts, Arc::clone(&shard)));
        let timeout_ms = settings.upstream.timeout_ms;
        let tcp = TcpParts { posts: Arc::clone(&posts), clock: common.clock, timeout_ms, shard };
        let refusals = Arc::<Refusals>::default();
        let drain = Duration::from_secs(u64::from(settings.server.drain_secs));
        let finish = finish_time(&settings);
        let config_file = config_file.map(Path::to_owned);
        let mut publisher =
            Publisher::new(config_file, settings, &common, Arc::clone(&posts), zones, Arc::clone(&refusals))?;
        // What was kept is enforced before the first query is read: those that come meanwhile wait in the sockets.
        let restored = publisher.restore(progress)?;
        let workers = run_workers(workers)?;

        let ((stop, stopping), (close, closing)) = (watch::channel(false), watch::channel(false));
        let (tasks, queue) = tasks();
        let streams = runtime.spawn(serve_streams(doors.sockets.tcp, parts, stopping));
        runtime.spawn(tell_of_upstreams(servers.to_vec(), Arc::clone(&common.health), common.clock));
        runtime.spawn(ask_over_tcp(askers, servers, tcp, random()?));
        let mut open = JoinSet::new();
        if let Some(listener) = doors.http {
            let http = serve_door("HTTP", serve_http(listener, Arc::clone(&metrics), closing.clone()));
            open.spawn_on(http, runtime.handle());
        }
        let control = Arc::new(Control {
            live: Arc::clone(&common.live),
            metrics: Arc::clone(&metrics),
            listen: started.listen.clone(),
            refusals: Arc::clone(&refusals),
            tasks: Mutex::new(tasks.clone()),
        });
        if let Some(socket) = doors.socket {
            let control = Arc::<Control>::clone(&control);
            open.spawn_on(serve_door("the admin socket", socket.serve(control, closing)), runtime.handle());
        }

        let loaded = restored.map_or_else(|| publisher.first_load(progress), Ok);
        if let Ok(Reloaded { generation, notes, refused: _ }) = &loaded {
            started.generation = *generation;
            started.notes.extend_from_slice(notes);
            started.feeds = publisher.feeds.as_ref().map(|set| set.states.clone()).unwrap_or_default();
        }
        let own_tasks = tasks.clone();
        let (publishing, published) = std::sync::mpsc::channel();
        let work = move || {
            publisher.run(&queue, &own_tasks);
            drop(publishing);
        };
        thread::Builder::new().name("cenote-publisher".to_owned()).spawn(work).map_err(system("start a thread"))?;
        let server = Self {
            started,
            shutdown: common.shutdown,
            posts,
            workers,
            runtime,
            stop,
            streams,
            close,
            doors: open,
            control,
            tasks,
            published,
            metrics,
            live: common.live,
            drain,
            finish,
        };
        match loaded {
            Ok(_) => Ok(server),
            Err(error) => {
                server.wind_down();
                Err(error.into())
            }
        }
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

    /// What the admin socket can have done, without one.
    #[must_use]
    pub fn control(&self) -> &dyn admin::Control {
        &*self.control
    }

    /// Reads configuration and feeds again, and waits for the result.
    ///
    /// # Errors
    /// [`ReloadError`]; the generation in force stays.
    pub fn reload(&self) -> Result<Reloaded, ReloadError> {
        self.control.have_done(|answer| Task::Reload(Some(answer)))
    }

    /// Serves until SIGTERM or SIGINT; SIGHUP reloads. After SIGTERM it goes on answering for `server.drain-secs`, while `/readyz` says that nobody
    /// should ask any more.
    pub fn wait(&self, signals: &Signals) {
        let mut end = None;
        loop {
            match signals.next(end) {
                Some(Told::Reload) => drop(self.tasks.send(Task::Reload(None))),
                Some(Told::Drain) if end.is_none() => {
                    self.metrics.begin_drain();
                    let drain_secs = self.drain.as_secs();
                    tracing::info!(
                        drain_secs,
                        "SIGTERM: draining: /readyz says 503, queries are still answered for so long"
                    );
                    end = Some(Instant::now() + self.drain);
                }
                Some(Told::Drain | Told::End) | None => return,
            }
        }
    }

    /// Ends: streams finish what they were asked, workers what they received and what is in flight, then everything goes.
    pub fn stop(self) {
        let finish_ms = u64::try_from(self.finish.as_millis()).unwrap_or(u64::MAX);
        tracing::info!(finish_ms, "ends: nothing is taken any more, answers in flight are waited for at most so long");
        self.wind_down();
        tracing::info!("ended");
    }

    /// As [`Self::stop`], without a word.
    fn wind_down(mut self) {
        self.metrics.begin_drain();
        let finish = self.finish;
        self.stop.send_replace(true);
        let streams = self.streams;
        self.runtime.block_on(async move {
            // Streams end by themselves within their time; this is for one that does not.
            drop(tokio::time::timeout(finish + STREAM_PATIENCE, streams).await);
        });
        self.shutdown.begin();
        for post in self.posts.iter() {
            post.ring();
        }
        for worker in self.workers {
            // A worker that panicked outside a packet has said so on its way out.
            worker.join().ok();
        }
        // Refused only if it is gone already.
        self.tasks.send(Task::Stop).ok();
        // At low priority it may take its time, and in the middle of a build even longer: nothing is lost if the process ends before it.
        self.published.recv_timeout(PUBLISHER_PATIENCE).ok();
        self.close.send_replace(true);
        self.runtime.block_on(async {
            drop(tokio::time::timeout(DOORS_PATIENCE, async { while self.doors.join_next().await.is_some() {} }).await);
        });
        self.runtime.shutdown_timeout(DOORS_PATIENCE);
    }
}

/// Serves one of the two doors until it ends.
async fn serve_door<E: std::error::Error>(door: &'static str, serving: impl Future<Output = Result<(), E>>) {
    if let Err(error) = serving.await {
        tracing::error!(error = chain(&error), "{door} ended");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_of_the_publisher_costs_one_task_and_is_counted() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("cenote.toml");
        std::fs::write(folder.path().join("ads"), "one.test\n").unwrap();
        let text = "[server]\nlisten = ['127.0.0.1:0']\nworkers = 1\ndrain-secs = 0\n[upstream]\nservers = ['127.7.7.8:9']\n\
                    [metrics]\nlisten = ''\n[admin]\nsocket = ''\n[[feed]]\nname = 'ads'\nsource = 'ads'\n";
        std::fs::write(&file, text).unwrap();
        let settings = crate::config::load(&file).unwrap();
        let server = Server::start(settings, Some(&file), &mut |_, _, _| ()).unwrap();
        let before = server.live().load().generation;
        server.tasks.send(Task::Panic).unwrap();
        let reloaded = server.reload().unwrap();
        assert!(reloaded.generation > before && reloaded.notes.is_empty(), "{:?}", reloaded.notes);
        assert_eq!(server.metrics().gauges().reload_failures, 1);
        server.stop();
    }
}
