//! HTTP: `/metrics`, `/healthz`, `/readyz`; reads only, aggregates only.
//!
//! A connection carries one request. Connections are bounded in number, and each in time: until its first octet is answered, and until its
//! answer is read. With all places taken a new connection gets the place of one that has asked nothing yet, of the oldest, so that silent
//! clients, however many and from wherever, keep nobody from `/readyz`. A scrape costs one pass over the counters.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::{CONNECTION, CONTENT_TYPE, HeaderValue};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, Sleep, sleep};

use super::slots::{ConnectionSlots, Slot};
use super::{Stop, stopped};
use crate::metrics::Metrics;

/// The most connections at once. A guess: a few Prometheus servers and health checks, and some that hang.
pub const HTTP_CONNECTIONS_MAX: usize = 64;
/// How long a connection may take until its request is there. A guess: clients send it at once.
const REQUEST_TIME_MAX: Duration = Duration::from_secs(5);
/// How long it may then take to read its answer: thrice the ten seconds that Prometheus waits for a scrape.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(30);
/// How long replies in the making are waited for at the end.
const DRAIN_TIME_MAX: Duration = Duration::from_secs(2);
/// How long accepting rests after it failed, for want of file descriptors say.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);
/// The text format of Prometheus.
const METRICS_TYPE: &str = "text/plain; version=0.0.4";
/// What `/` says.
const INDEX: &str = "cenote\n\n/metrics  Prometheus metrics\n/healthz  200 while the process serves\n/readyz   200 while a policy is enforced\n";

/// Why HTTP is not served.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// The runtime does not take the socket, or it failed.
    #[error("the HTTP listener failed")]
    Listener(#[from] io::Error),
}

/// Serves HTTP on a socket bound by the caller until `stop`, then finishes the replies it is at, within two seconds.
///
/// # Errors
/// [`HttpError`].
pub async fn serve_http(listener: std::net::TcpListener, metrics: Arc<Metrics>, stop: Stop) -> Result<(), HttpError> {
    listener.set_nonblocking(true)?;
    let listener = TcpListener::from_std(listener)?;
    let limits = Limits { connections: HTTP_CONNECTIONS_MAX, request: REQUEST_TIME_MAX, answer: ANSWER_TIME_MAX };
    serve_at(Doors { listener, slots: ConnectionSlots::new(limits.connections), limits }, metrics, stop).await
}

/// What connections may use up.
#[derive(Debug, Clone, Copy)]
struct Limits {
    /// How many there may be.
    connections: usize,
    /// Until the request is there.
    request: Duration,
    /// From then until the answer is read.
    answer: Duration,
}

/// As [`serve_http`], with the limits given.
async fn serve_at(doors: Doors, metrics: Arc<Metrics>, stop: Stop) -> Result<(), HttpError> {
    let server = axum::serve(doors, routes(metrics)).with_graceful_shutdown(stopped(stop.clone()));
    let overdue = async {
        stopped(stop).await;
        sleep(DRAIN_TIME_MAX).await;
    };
    tokio::select! {
        served = server => served?,
        () = overdue => {}
    }
    Ok(())
}

/// What is served.
fn routes(metrics: Arc<Metrics>) -> Router {
    Router::new()
        .route("/", get(|| async { INDEX }))
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(scrape))
        .with_state(metrics)
        .layer(axum::middleware::map_response(last_of_connection))
}

/// Says that no second request is read. A scrape every ten seconds or less often would find its connection closed anyway.
async fn last_of_connection(mut response: Response) -> Response {
    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    response
}

/// `/readyz`: whether a policy is enforced, and queries go on being answered.
async fn ready(State(metrics): State<Arc<Metrics>>) -> (StatusCode, String) {
    if metrics.is_draining() {
        return (StatusCode::SERVICE_UNAVAILABLE, "draining\n".to_owned());
    }
    let gauges = metrics.gauges();
    let missing = gauges.feeds.iter().filter(|feed| feed.loaded_at_secs == 0).count();
    let mut but = match missing {
        0 => String::new(),
        1 => ", 1 feed never read".to_owned(),
        _ => format!(", {missing} feeds never read"),
    };
    if gauges.state_newer {
        but.push_str(", the state directory was written by a newer version of cenote");
    }
    // A feed that an operator added and that was never read takes no server out of service; but it is told.
    match gauges.generation {
        0 => (StatusCode::SERVICE_UNAVAILABLE, format!("not enforcing{but}\n")),
        generation => (StatusCode::OK, format!("enforcing generation {generation}{but}\n")),
    }
}

/// `/metrics`.
async fn scrape(State(metrics): State<Arc<Metrics>>) -> impl IntoResponse {
    ([(CONTENT_TYPE, METRICS_TYPE)], metrics.render())
}

/// The listener, and the places of its connections.
struct Doors {
    /// Where they come from.
    listener: TcpListener,
    /// Who is there.
    slots: ConnectionSlots,
    /// What each may use up.
    limits: Limits,
}

impl axum::serve::Listener for Doors {
    type Io = LimitedStream;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (LimitedStream, SocketAddr) {
        loop {
            match self.listener.accept().await {
                Ok((stream, peer)) => {
                    let slot = self.slots.take().await;
                    let deadline = Box::pin(sleep(self.limits.request));
                    return (LimitedStream { stream, deadline, answer_max: self.limits.answer, slot }, peer);
                }
                Err(_) => sleep(ACCEPT_PAUSE).await,
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// A connection with its deadline and its place.
struct LimitedStream {
    /// The connection.
    stream: TcpStream,
    /// When it is cut off.
    deadline: Pin<Box<Sleep>>,
    /// How long it may take to read its answer.
    answer_max: Duration,
    /// Given back when the connection ends; lost if another connection needs it more.
    slot: Slot,
}

impl LimitedStream {
    /// Past its deadline, or without its place, an error; else it waits for whichever comes first.
    fn check(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        if self.deadline.as_mut().poll(context).is_ready() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        if self.slot.poll_lost(context).is_ready() {
            return Err(io::ErrorKind::ConnectionAborted.into());
        }
        Ok(())
    }
}

impl AsyncRead for LimitedStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        // Asked whether or not there is something to read: a trickle is not progress.
        self.check(context)?;
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for LimitedStream {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, octets: &[u8]) -> Poll<io::Result<usize>> {
        // Nothing is written but an answer: the request is there.
        if self.slot.begin_answer() {
            let later = Instant::now() + self.answer_max;
            self.deadline.as_mut().reset(later);
        }
        self.check(context)?;
        Pin::new(&mut self.stream).poll_write(context, octets)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};

    use super::*;
    use crate::metrics::{FeedFigures, Gauges, LiveFigures};

    /// So long that no test sees the end of it.
    const FOREVER: Duration = Duration::from_secs(3600);
    /// Limits of a test, but for how many connections there may be.
    const PATIENT: Limits = Limits { connections: 4, request: FOREVER, answer: FOREVER };

    /// Serves on a free port while `client` runs, then stops.
    fn with_server(limits: Limits, client: impl FnOnce(SocketAddr, &Metrics) + Send + 'static) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let metrics = Arc::new(Metrics::new(Vec::new(), Box::new(LiveFigures::default)));
        runtime.block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            let doors = Doors { listener, slots: ConnectionSlots::new(limits.connections), limits };
            let (stop, stopping) = tokio::sync::watch::channel(false);
            let server = tokio::spawn(serve_at(doors, Arc::clone(&metrics), stopping));
            tokio::task::spawn_blocking(move || client(address, &metrics)).await.unwrap();
            stop.send(true).unwrap();
            server.await.unwrap().unwrap();
        });
    }

    /// One request on a connection of its own: the whole reply as text.
    fn try_exchange(address: SocketAddr, method: &str, path: &str) -> io::Result<String> {
        let mut stream = std::net::TcpStream::connect(address)?;
        stream.set_read_timeout(Some(Duration::from_secs(30)))?;
        write!(stream, "{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")?;
        let mut reply = String::new();
        stream.read_to_string(&mut reply)?;
        Ok(reply)
    }

    /// Figures whose exposition is more than any socket's buffers hold.
    fn large() -> Gauges {
        let upstreams = (0..60_000).map(|place| format!("192.0.2.1:{place}/{}", "x".repeat(100))).collect();
        Gauges { upstreams, ..Gauges::default() }
    }

    /// As [`try_exchange`], where nothing may go wrong.
    fn exchange(address: SocketAddr, method: &str, path: &str) -> String {
        try_exchange(address, method, path).unwrap()
    }

    #[test]
    fn each_path_says_its_own() {
        with_server(PATIENT, |address, metrics| {
            for (method, path, status, body) in [
                ("GET", "/", "200", "/readyz"),
                ("GET", "/healthz", "200", "ok\n"),
                ("GET", "/readyz", "503", "not enforcing\n"),
                ("GET", "/metrics", "200", "cenote_ready 0\n"),
                ("GET", "/metrics/x", "404", ""),
                ("GET", "/explain?name=a.example", "404", ""),
                ("POST", "/metrics", "405", ""),
                ("DELETE", "/", "405", ""),
            ] {
                let reply = exchange(address, method, path);
                assert!(reply.starts_with(&format!("HTTP/1.1 {status} ")), "{method} {path}: {reply}");
                assert!(reply.contains(body), "{method} {path}: {reply}");
            }
            assert!(exchange(address, "GET", "/metrics").contains("content-type: text/plain; version=0.0.4\r\n"));
            let feeds = vec![FeedFigures::default()];
            let newer = ", the state directory was written by a newer version of cenote";
            for (gauges, status, body) in [
                (Gauges { generation: 7, ..Gauges::default() }, "200", "enforcing generation 7".to_owned()),
                (Gauges { state_newer: true, generation: 7, ..Gauges::default() }, "200", format!("7{newer}")),
                (
                    Gauges { state_newer: true, feeds, ..Gauges::default() },
                    "503",
                    format!("not enforcing, 1 feed never read{newer}"),
                ),
            ] {
                metrics.set(gauges);
                let reply = exchange(address, "GET", "/readyz");
                assert!(reply.starts_with(&format!("HTTP/1.1 {status} ")), "{reply}");
                assert!(reply.ends_with(&format!("{body}\n")), "{reply}");
            }
            metrics.set(Gauges { generation: 7, ..Gauges::default() });
            metrics.begin_drain();
            let reply = exchange(address, "GET", "/readyz");
            assert!(reply.starts_with("HTTP/1.1 503 ") && reply.ends_with("draining\n"), "{reply}");
            assert!(exchange(address, "GET", "/healthz").starts_with("HTTP/1.1 200 "), "it serves until the end");
        });
    }

    #[test]
    fn what_takes_too_long_is_cut_off() {
        let limits = Limits { request: Duration::from_millis(20), answer: Duration::from_millis(20), ..PATIENT };
        with_server(limits, |address, metrics| {
            let mut silent = std::net::TcpStream::connect(address).unwrap();
            silent.write_all(b"GET /healthz HTTP/1.1\r\n").unwrap();
            let mut rest = Vec::new();
            drop(silent.read_to_end(&mut rest));
            assert!(!rest.starts_with(b"HTTP/1.1 200"), "nothing was served to it");
            metrics.set(large());
            // Its place is given back though it reads nothing: the server closes, which resets the connection.
            let slow = std::net::TcpStream::connect(address).unwrap();
            (&slow).write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
            let closed = || (&slow).write_all(b"x").is_err();
            let until = std::time::Instant::now() + Duration::from_secs(30);
            while !closed() {
                assert!(std::time::Instant::now() < until, "the server does not close it");
                std::thread::yield_now();
            }
        });
    }

    #[test]
    fn silent_connections_take_no_place_from_one_that_asks() {
        // None of them is cut off by the clock: they have to make room.
        with_server(Limits { connections: HTTP_CONNECTIONS_MAX, ..PATIENT }, |address, _| {
            let half = |place: usize| {
                let mut silent = std::net::TcpStream::connect(address).unwrap();
                silent.write_all(if place.is_multiple_of(2) { b"" } else { b"GET /readyz HTTP/1.1\r\n" }).unwrap();
                silent
            };
            let mut silent: Vec<_> = (0..HTTP_CONNECTIONS_MAX * 2).map(half).collect();
            for _ in 0..3 {
                assert!(exchange(address, "GET", "/healthz").ends_with("ok\n"));
            }
            // The youngest of them is still there, and is heard out.
            let last = silent.last_mut().unwrap();
            last.write_all(b"Host: x\r\nConnection: close\r\n\r\n").unwrap();
            let mut reply = String::new();
            last.read_to_string(&mut reply).unwrap();
            assert!(reply.ends_with("not enforcing\n"), "{reply}");
        });
    }

    #[test]
    fn those_that_do_not_read_their_reply_make_room_too() {
        with_server(PATIENT, |address, metrics| {
            metrics.set(large());
            let slow = |_| {
                let mut slow = std::net::TcpStream::connect(address).unwrap();
                slow.write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
                slow.read_exact(&mut [0]).unwrap();
                slow
            };
            let _slow: Vec<_> = (0..4).map(slow).collect();
            assert!(exchange(address, "GET", "/healthz").ends_with("ok\n"));
        });
    }

    #[test]
    fn an_idle_connection_does_not_hold_up_the_end() {
        let idle = Arc::new(std::sync::Mutex::new(None));
        let kept = Arc::clone(&idle);
        with_server(PATIENT, move |address, _| {
            *kept.lock().unwrap() = Some(std::net::TcpStream::connect(address).unwrap());
            assert!(exchange(address, "GET", "/healthz").ends_with("ok\n"));
        });
        assert!(idle.lock().unwrap().is_some());
    }
}
