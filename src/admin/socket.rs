//! The server's side of the admin socket: reads request lines, has the [`Control`] do them, writes reply lines.
//!
//! A line is bounded in length and in time, connections in number. It never logs; what cannot be read is answered with a fixed sentence.

use std::future::Future;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::UnixStream;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::paths::{SocketError, default_socket, listen};
use super::{
    Asker, Explanation, LINE_OCTETS_MAX, REPLY_OCTETS_MAX, Reply, Request, SocketChoice, Status, Stop, stopped,
};

/// The most connections at once; one more waits. A guess: it is one operator and their scripts.
pub const SOCKET_CONNECTIONS_MAX: usize = 16;
/// How long a connection may be silent, and how long a reply may take to be read.
const LINE_TIME_MAX: Duration = Duration::from_secs(10);
/// How long replies in the making are waited for at the end.
const DRAIN_TIME_MAX: Duration = Duration::from_secs(2);
/// How long accepting rests after it failed, for want of file descriptors say.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

/// Why a request was not done.
pub type Fault = Box<dyn std::error::Error + Send + Sync>;

/// Who does what the socket is asked. Called on a thread that may block, by several connections at once.
pub trait Control: Send + Sync + 'static {
    /// Loads everything again and gives [`Reply::Reloaded`]. May take seconds; of two at once one waits, or is refused.
    ///
    /// # Errors
    /// What keeps the older generation in force.
    fn reload(&self) -> Result<Reply, Fault>;

    /// Says what happens to `name`, in presentation format, asked by `asker`.
    ///
    /// # Errors
    /// The text is no name, or the listener is none.
    fn explain(&self, name: &str, asker: Asker) -> Result<Explanation, Fault>;

    /// Says what is enforced.
    fn status(&self) -> Status;

    /// Reads feeds again, whatever their sizes if `force`, and gives [`Reply::Reloaded`]; `feeds` as in the next two: none is all.
    ///
    /// # Errors
    /// No feed is called so.
    fn refresh(&self, feeds: Vec<String>, force: bool) -> Result<Reply, Fault>;

    /// Enforces an older generation's feeds, pins them, and gives [`Reply::Reloaded`].
    ///
    /// # Errors
    /// There is no such generation or feed, or nothing to do.
    fn roll_back(&self, generation: Option<u64>, feeds: Vec<String>) -> Result<Reply, Fault>;

    /// Lets pinned feeds follow their sources again, and gives [`Reply::Reloaded`].
    ///
    /// # Errors
    /// There is no such feed, or none is pinned.
    fn unpin(&self, feeds: Vec<String>) -> Result<Reply, Fault>;

    /// Compares a feed in force with its source, or with what it was in a generation, and gives [`Reply::Differences`]; `named`: entries are
    /// told too.
    ///
    /// # Errors
    /// There is no such feed or generation, or the source cannot be read.
    fn differences(&self, feed: String, since: Option<u64>, named: bool) -> Result<Reply, Fault>;

    /// Gives [`Reply::Generations`].
    ///
    /// # Errors
    /// None are kept.
    fn generations(&self) -> Result<Reply, Fault>;
}

/// The socket, bound and listening; its file goes when this does.
#[derive(Debug)]
pub struct AdminSocket {
    /// Taken when it is served.
    listener: Option<std::os::unix::net::UnixListener>,
    /// Its file.
    file: SocketFile,
}

/// The socket's file, removed at the end if it is still ours.
#[derive(Debug)]
struct SocketFile {
    /// Where.
    path: PathBuf,
    /// Device and inode as it was made.
    identity: Option<(u64, u64)>,
}

/// Device and inode of what stands at `path`.
fn identity(path: &Path) -> Option<(u64, u64)> {
    std::fs::symlink_metadata(path).ok().map(|found| (found.dev(), found.ino()))
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if self.identity.is_some() && identity(&self.path) == self.identity {
            // It may be gone already, with its folder.
            drop(std::fs::remove_file(&self.path));
        }
    }
}

impl AdminSocket {
    /// Makes the socket that is chosen, if any.
    ///
    /// # Errors
    /// As [`AdminSocket::bind`], or there is no default place.
    pub fn open(choice: &SocketChoice) -> Result<Option<Self>, SocketError> {
        match choice {
            SocketChoice::DefaultPlace => Self::bind(&default_socket()?).map(Some),
            SocketChoice::Path(path) => Self::bind(path).map(Some),
            SocketChoice::Nowhere => Ok(None),
        }
    }

    /// Makes the socket at `path`, mode 0600, and its folder if it is not there. A dead process's socket is replaced.
    ///
    /// # Errors
    /// [`SocketError`]; a socket somebody listens on is left alone.
    pub fn bind(path: &Path) -> Result<Self, SocketError> {
        let listener = listen(path)?;
        let file = SocketFile { path: path.to_owned(), identity: identity(path) };
        Ok(Self { listener: Some(listener), file })
    }

    /// Where it lies.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.file.path
    }

    /// Serves until `stop`, then finishes the requests it is at, within two seconds, and removes the file.
    ///
    /// # Errors
    /// The runtime does not take the socket.
    pub async fn serve(mut self, control: Arc<dyn Control>, stop: Stop) -> io::Result<()> {
        let Some(listener) = self.listener.take() else { return Ok(()) };
        let listener = tokio::net::UnixListener::from_std(listener)?;
        let slots = Arc::new(Semaphore::new(SOCKET_CONNECTIONS_MAX));
        let mut connections = JoinSet::new();
        let accept = async {
            loop {
                while connections.try_join_next().is_some() {}
                let Ok(slot) = Arc::clone(&slots).acquire_owned().await else { break };
                match listener.accept().await {
                    Ok((stream, _)) => {
                        let connection = converse(stream, Arc::clone(&control), stop.clone());
                        connections.spawn(async move {
                            connection.await;
                            drop(slot);
                        });
                    }
                    Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
                }
            }
        };
        tokio::select! {
            () = accept => {}
            () = stopped(stop.clone()) => {}
        }
        // What is not done by then is cut off when the set is dropped.
        drop(timeout(DRAIN_TIME_MAX, async { while connections.join_next().await.is_some() {} }).await);
        Ok(())
    }
}

/// Answers request after request until the other side closes, is silent for too long, or says what cannot be read.
async fn converse(stream: UnixStream, control: Arc<dyn Control>, stop: Stop) {
    let (read, mut write) = stream.into_split();
    let mut read = BufReader::new(read);
    let room = u64::try_from(LINE_OCTETS_MAX).unwrap_or(u64::MAX);
    loop {
        let mut line = Vec::new();
        let mut bounded = (&mut read).take(room);
        let got = tokio::select! {
            got = timeout(LINE_TIME_MAX, bounded.read_until(b'\n', &mut line)) => got,
            () = stopped(stop.clone()) => break,
        };
        if !matches!(got, Ok(Ok(1..))) {
            break;
        }
        let request = if line.ends_with(b"\n") { serde_json::from_slice(&line).ok() } else { None };
        let last = request.is_none();
        let reply = match request {
            Some(request) => perform(request, Arc::clone(&control)).await,
            None => failed("expected one JSON request a line, as this version of cenote writes it"),
        };
        let sent = timeout(LINE_TIME_MAX, send(&mut write, &reply)).await;
        if last || !matches!(sent, Ok(Ok(()))) {
            break;
        }
    }
}

/// Writes one reply line.
async fn send(write: &mut (impl tokio::io::AsyncWrite + Unpin), reply: &Reply) -> io::Result<()> {
    let mut line = serde_json::to_vec(reply)?;
    if line.len() >= REPLY_OCTETS_MAX {
        line = serde_json::to_vec(&failed("the reply is longer than a client reads"))?;
    }
    line.push(b'\n');
    write.write_all(&line).await
}

/// Has the request done, on a thread that may block.
fn perform(request: Request, control: Arc<dyn Control>) -> impl Future<Output = Reply> {
    let work = tokio::task::spawn_blocking(move || {
        let done = match request {
            Request::Reload => control.reload(),
            Request::Explain { name, client, listener, proxied } => {
                control.explain(&name, Asker { client, listener, proxied }).map(Reply::Explained)
            }
            Request::Status => Ok(Reply::Status(control.status())),
            Request::Refresh { feeds, force } => control.refresh(feeds, force),
            Request::Rollback { generation, feeds } => control.roll_back(generation, feeds),
            Request::Unpin { feeds } => control.unpin(feeds),
            Request::Generations => control.generations(),
            Request::Differences { feed, since, named } => control.differences(feed, since, named),
        };
        done.unwrap_or_else(|fault| Reply::Failed { message: chain(fault.as_ref()) })
    });
    async { work.await.unwrap_or_else(|_| failed("the request could not be done: a defect of the server")) }
}

/// A failure in fixed words.
fn failed(message: &str) -> Reply {
    Reply::Failed { message: message.to_owned() }
}

/// An error and its causes, on one line.
fn chain(fault: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(fault), |fault| fault.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead as _, Write as _};
    use std::sync::Barrier;

    use super::*;
    use crate::admin::{FeedDifferences, GenerationSummary, Verdict, ask};

    /// A server whose reload meets the test at a barrier, fails the second time, and panics the third.
    struct Scripted {
        entered: Barrier,
        reloads: std::sync::atomic::AtomicU64,
    }

    impl Control for Scripted {
        fn reload(&self) -> Result<Reply, Fault> {
            match self.reloads.fetch_add(1, std::sync::atomic::Ordering::Relaxed) {
                0 => {
                    self.entered.wait();
                    Ok(Reply::Reloaded {
                        generation: 2,
                        feeds: Vec::new(),
                        warnings: vec!["w".to_owned()],
                        refused: Vec::new(),
                    })
                }
                1 => {
                    let source = io::Error::other("the cause");
                    Err(Box::new(SocketError::Make { path: PathBuf::from("p"), source }))
                }
                _ => panic!("third"),
            }
        }

        fn explain(&self, name: &str, asker: Asker) -> Result<Explanation, Fault> {
            Ok(Explanation {
                generation: 1,
                name: name.to_owned(),
                client: asker.client,
                listener: asker.listener,
                proxied: asker.proxied,
                protected: false,
                tenant: "default".to_owned(),
                verdict: Verdict::Forwarded,
                action: None,
                by: None,
                entry: None,
                rule: None,
                feeds: Vec::new(),
            })
        }

        fn status(&self) -> Status {
            Status { generation: 1, ..Status::default() }
        }

        fn refresh(&self, feeds: Vec<String>, force: bool) -> Result<Reply, Fault> {
            Ok(Reply::Reloaded {
                generation: 3,
                feeds: Vec::new(),
                warnings: vec![format!("{feeds:?} {force}")],
                refused: Vec::new(),
            })
        }

        fn roll_back(&self, generation: Option<u64>, feeds: Vec<String>) -> Result<Reply, Fault> {
            Ok(Reply::Reloaded {
                generation: 4,
                feeds: Vec::new(),
                warnings: vec![format!("{generation:?} {feeds:?}")],
                refused: Vec::new(),
            })
        }

        fn unpin(&self, feeds: Vec<String>) -> Result<Reply, Fault> {
            Ok(Reply::Reloaded { generation: 5, feeds: Vec::new(), warnings: feeds, refused: Vec::new() })
        }

        fn differences(&self, feed: String, since: Option<u64>, named: bool) -> Result<Reply, Fault> {
            let entries = vec![format!("{feed} {since:?} {named}")];
            Ok(Reply::Differences(FeedDifferences { entries, ..FeedDifferences::default() }))
        }

        fn generations(&self) -> Result<Reply, Fault> {
            let kept = vec![GenerationSummary { generation: 6, ..GenerationSummary::default() }];
            Ok(Reply::Generations { kept, enforced: 6 })
        }
    }

    /// Serves a [`Scripted`] while `client` runs on a thread of its own, then stops.
    fn with_server(client: impl FnOnce(&Path, &Scripted) + Send + 'static) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("admin.sock");
        let control = Arc::new(Scripted { entered: Barrier::new(2), reloads: 0.into() });
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        runtime.block_on(async {
            let socket = AdminSocket::bind(&path).unwrap();
            assert_eq!(socket.path(), path);
            let (stop, stopping) = tokio::sync::watch::channel(false);
            let server = tokio::spawn(socket.serve(Arc::<Scripted>::clone(&control), stopping));
            let socket_path = path.clone();
            let client = tokio::task::spawn_blocking(move || client(&socket_path, &control));
            client.await.unwrap();
            stop.send(true).unwrap();
            server.await.unwrap().unwrap();
        });
        assert!(!path.exists(), "the socket's file is removed at the end");
    }

    #[test]
    fn requests_are_done_and_a_reload_keeps_nobody_waiting() {
        with_server(|path, control| {
            let slow = std::thread::spawn({
                let path = path.to_owned();
                move || ask(&path, &Request::Reload).unwrap()
            });
            // Answered while the reload stands at the barrier.
            let Reply::Status(status) = ask(path, &Request::Status).unwrap() else { panic!("no status") };
            assert_eq!(status.generation, 1);
            control.entered.wait();
            assert!(matches!(slow.join().unwrap(), Reply::Reloaded { generation: 2, .. }));

            let failed = ask(path, &Request::Reload).unwrap();
            assert_eq!(failed, Reply::Failed { message: "p: the admin socket cannot be made: the cause".to_owned() });
            assert!(
                matches!(ask(path, &Request::Reload).unwrap(), Reply::Failed { .. }),
                "a panic is told as a failure"
            );

            let (client, listener) = ("2001:db8::7".parse().ok(), "192.0.2.53:53".parse().ok());
            let request = Asker { client, listener, proxied: true }.request("a.example".to_owned());
            let Reply::Explained(told) = ask(path, &request).unwrap() else { panic!("no explanation") };
            assert_eq!(
                (told.name.as_str(), told.client, told.listener, told.proxied),
                ("a.example", client, listener, true)
            );

            let feeds = vec!["a".to_owned()];
            for (request, generation, warning) in [
                (Request::Refresh { feeds: feeds.clone(), force: true }, 3, "[\"a\"] true"),
                (Request::Rollback { generation: Some(9), feeds: feeds.clone() }, 4, "Some(9) [\"a\"]"),
                (Request::Unpin { feeds }, 5, "a"),
            ] {
                let reloaded = Reply::Reloaded {
                    generation,
                    feeds: Vec::new(),
                    warnings: vec![warning.to_owned()],
                    refused: Vec::new(),
                };
                assert_eq!(ask(path, &request).unwrap(), reloaded);
            }
            let differences = Request::Differences { feed: "a".to_owned(), since: Some(2), named: true };
            let Reply::Differences(told) = ask(path, &differences).unwrap() else { panic!("no differences") };
            assert_eq!(told.entries, ["a Some(2) true"]);
            let listed = ask(path, &Request::Generations).unwrap();
            assert!(matches!(listed, Reply::Generations { kept, enforced: 6 } if kept[0].generation == 6));
        });
    }

    #[test]
    fn what_cannot_be_read_is_answered_and_closed() {
        with_server(|path, _| {
            let long = vec![b'x'; LINE_OCTETS_MAX + 1];
            for line in [&b"GET / HTTP/1.1\r\n"[..], b"{\"request\":\"stop\"}\n", &long, b"\xff\n", b"\n"] {
                let mut stream = std::os::unix::net::UnixStream::connect(path).unwrap();
                // The server may have closed before all of a long line is written.
                drop(stream.write_all(line));
                let mut reply = String::new();
                let mut read = io::BufReader::new(stream);
                read.read_line(&mut reply).unwrap();
                assert!(reply.contains("expected one JSON request a line"), "{reply}");
                assert!(!matches!(read.read_line(&mut reply), Ok(1..)), "the connection is closed");
            }
            // Two requests on one connection.
            let mut stream = std::os::unix::net::UnixStream::connect(path).unwrap();
            let mut read = io::BufReader::new(stream.try_clone().unwrap());
            for _ in 0..2 {
                stream.write_all(b"{\"request\":\"status\"}\n").unwrap();
                let mut reply = String::new();
                read.read_line(&mut reply).unwrap();
                assert!(reply.starts_with("{\"reply\":\"status\""), "{reply}");
            }
        });
    }

    #[test]
    fn only_our_own_file_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s");
        let socket = AdminSocket::bind(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        std::fs::write(&path, "another's").unwrap();
        drop(socket);
        assert!(path.exists());
    }
}
