//! HTTP: `/metrics`, `/healthz`, `/readyz`; reads only, aggregates only.
//!
//! Connections are bounded in number, and each by a deadline that only a written octet pushes back: a client that trickles its request, or
//! does not read the reply, is cut off. A scrape costs one pass over the counters.

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
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use axum::routing::get;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, Sleep, sleep};

use super::{Stop, stopped};
use crate::metrics::Metrics;

/// The most connections at once; one more waits in the kernel's queue. A guess: a few Prometheus servers and health checks.
pub const HTTP_CONNECTIONS_MAX: usize = 64;
/// How long a connection may go without a written octet: for a whole request to arrive, and between requests.
const SILENCE_TIME_MAX: Duration = Duration::from_secs(10);
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
    let doors = Doors {
        listener: TcpListener::from_std(listener)?,
        slots: Arc::new(Semaphore::new(HTTP_CONNECTIONS_MAX)),
        silence_max: SILENCE_TIME_MAX,
    };
    serve_at(doors, metrics, stop).await
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
}

/// `/readyz`: whether a policy is enforced.
async fn ready(State(metrics): State<Arc<Metrics>>) -> (StatusCode, String) {
    let generation = metrics.generation();
    if generation == 0 {
        return (StatusCode::SERVICE_UNAVAILABLE, "not enforcing\n".to_owned());
    }
    // A feed that an operator added and that was never read takes no server out of service; but it is told.
    let missing = metrics.gauges().feeds.iter().filter(|feed| feed.loaded_at_secs == 0).count();
    let but = if missing == 0 { String::new() } else { format!(", {missing} feeds never read") };
    (StatusCode::OK, format!("enforcing generation {generation}{but}\n"))
}

/// `/metrics`.
async fn scrape(State(metrics): State<Arc<Metrics>>) -> impl IntoResponse {
    ([(CONTENT_TYPE, METRICS_TYPE)], metrics.render())
}

/// The listener, no more than so many connections at once.
struct Doors {
    /// Where they come from.
    listener: TcpListener,
    /// One for each connection that may be open.
    slots: Arc<Semaphore>,
    /// How long one may go without a written octet.
    silence_max: Duration,
}

impl axum::serve::Listener for Doors {
    type Io = Guest;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Guest, SocketAddr) {
        loop {
            let Ok(slot) = Arc::clone(&self.slots).acquire_owned().await else { return std::future::pending().await };
            match self.listener.accept().await {
                Ok((stream, peer)) => {
                    let deadline = Box::pin(sleep(self.silence_max));
                    return (Guest { stream, deadline, silence_max: self.silence_max, _slot: slot }, peer);
                }
                Err(_) => sleep(ACCEPT_PAUSE).await,
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// A connection with its deadline.
struct Guest {
    /// The connection.
    stream: TcpStream,
    /// When it is cut off.
    deadline: Pin<Box<Sleep>>,
    /// How far a written octet pushes that back.
    silence_max: Duration,
    /// Given back when the connection ends.
    _slot: OwnedSemaphorePermit,
}

impl Guest {
    /// What a socket that is not ready means: wait, or past the deadline an error.
    fn waiting<T>(&mut self, context: &mut Context<'_>) -> Poll<io::Result<T>> {
        match self.deadline.as_mut().poll(context) {
            Poll::Ready(()) => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
            Poll::Pending => Poll::Pending,
        }
    }
}

impl AsyncRead for Guest {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        // Asked whether or not there is something to read: a trickle is not progress.
        if self.deadline.is_elapsed() {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        match Pin::new(&mut self.stream).poll_read(context, buffer) {
            Poll::Pending => self.waiting(context),
            ready => ready,
        }
    }
}

impl AsyncWrite for Guest {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, octets: &[u8]) -> Poll<io::Result<usize>> {
        match Pin::new(&mut self.stream).poll_write(context, octets) {
            Poll::Pending => self.waiting(context),
            Poll::Ready(Ok(written @ 1..)) => {
                let later = Instant::now() + self.silence_max;
                self.deadline.as_mut().reset(later);
                Poll::Ready(Ok(written))
            }
            ready => ready,
        }
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
    use crate::metrics::{Gauges, LiveFigures};

    /// Serves on a free port while `client` runs, then stops.
    fn with_server(slots: usize, silence_max: Duration, client: impl FnOnce(SocketAddr, &Metrics) + Send + 'static) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let metrics = Arc::new(Metrics::new(Vec::new(), Box::new(LiveFigures::default)));
        runtime.block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            let doors = Doors { listener, slots: Arc::new(Semaphore::new(slots)), silence_max };
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
        write!(stream, "{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")?;
        let mut reply = String::new();
        stream.read_to_string(&mut reply)?;
        Ok(reply)
    }

    /// As [`try_exchange`], where nothing may go wrong.
    fn exchange(address: SocketAddr, method: &str, path: &str) -> String {
        try_exchange(address, method, path).unwrap()
    }

    #[test]
    fn each_path_says_its_own() {
        with_server(4, SILENCE_TIME_MAX, |address, metrics| {
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
            metrics.set(Gauges { generation: 7, ..Gauges::default() });
            let reply = exchange(address, "GET", "/readyz");
            assert!(reply.starts_with("HTTP/1.1 200 ") && reply.ends_with("enforcing generation 7\n"), "{reply}");
        });
    }

    #[test]
    fn a_silent_client_loses_its_place() {
        // One place: the second client is served only because the first is cut off.
        with_server(1, Duration::from_millis(50), |address, _| {
            let mut silent = std::net::TcpStream::connect(address).unwrap();
            silent.write_all(b"GET /healthz HTTP/1.1\r\n").unwrap();
            // A busy machine may make us late ourselves; in the end we are served.
            while !try_exchange(address, "GET", "/healthz").is_ok_and(|reply| reply.ends_with("ok\n")) {}
            let mut rest = Vec::new();
            drop(silent.read_to_end(&mut rest));
            assert!(!rest.starts_with(b"HTTP/1.1 200"), "nothing was served to it");
        });
    }

    #[test]
    fn an_idle_connection_does_not_hold_up_the_end() {
        let idle = Arc::new(std::sync::Mutex::new(None));
        let kept = Arc::clone(&idle);
        with_server(4, SILENCE_TIME_MAX, move |address, _| {
            *kept.lock().unwrap() = Some(std::net::TcpStream::connect(address).unwrap());
            assert!(exchange(address, "GET", "/healthz").ends_with("ok\n"));
        });
        assert!(idle.lock().unwrap().is_some());
    }
}
