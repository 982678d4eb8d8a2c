//! The client's side of the admin socket: one request, one reply, blocking, for `cenote reload`, `explain` and `status`.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::paths::default_places;
use super::{REPLY_OCTETS_MAX, Reply, Request};

/// How long a reload may take, seconds: 10 million names build in some 30 s, feeds may be slow to read.
const RELOAD_SECS: u64 = 600;
/// How long anything else may take, seconds.
const REPLY_SECS: u64 = 10;

/// Why there is no reply.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// No such socket, or nobody behind it.
    #[error("no server answers at {}", path.display())]
    NoServer {
        /// The socket.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// Nor at any of the default places.
    #[error("no server answers at {}; --socket or --config says where else it is", list(.looked_at))]
    NoneAnswers {
        /// The places, and what the system says of each.
        looked_at: Vec<(PathBuf, io::Error)>,
    },
    /// It is another user's.
    #[error("{}: not allowed; run this as the user the server runs as", path.display())]
    NotAllowed {
        /// The socket.
        path: PathBuf,
    },
    /// It took too long.
    #[error("{}: expected a reply within {secs} s, got none", path.display())]
    Timeout {
        /// The socket.
        path: PathBuf,
        /// How long was waited.
        secs: u64,
    },
    /// The server went away before it replied.
    #[error("{}: the server closed the connection without a reply", path.display())]
    Closed {
        /// The socket.
        path: PathBuf,
    },
    /// The connection broke.
    #[error("{}: the connection broke", path.display())]
    Broken {
        /// The socket.
        path: PathBuf,
        /// How.
        source: io::Error,
    },
    /// What came is no reply of this version's.
    #[error("{}: expected a reply of this version's, got something else", path.display())]
    NotUnderstood {
        /// The socket.
        path: PathBuf,
        /// What is wrong with it.
        source: serde_json::Error,
    },
}

/// Places and what was found there, with commas.
fn list(looked_at: &[(PathBuf, io::Error)]) -> String {
    let one = |(path, found): &(PathBuf, io::Error)| format!("{} ({found})", path.display());
    looked_at.iter().map(one).collect::<Vec<_>>().join(", ")
}

/// The admin socket of the server that runs here, if nobody said which: of the default places the first where one answers.
///
/// # Errors
/// [`AskError::NoneAnswers`].
pub fn find_server() -> Result<PathBuf, AskError> {
    first_that_answers(default_places())
}

/// As [`find_server`], with the places given.
fn first_that_answers(places: Vec<PathBuf>) -> Result<PathBuf, AskError> {
    let mut looked_at = Vec::new();
    for place in places {
        match UnixStream::connect(&place) {
            Ok(_) => return Ok(place),
            Err(found) => looked_at.push((place, found)),
        }
    }
    Err(AskError::NoneAnswers { looked_at })
}

/// Asks the server at `path` and waits for its reply: 10 s for what is only looked up, 600 s for the rest.
///
/// # Errors
/// [`AskError`]. A request that the server could not do is no error but [`Reply::Failed`].
pub fn ask(path: &Path, request: &Request) -> Result<Reply, AskError> {
    let reads = matches!(request, Request::Explain { .. } | Request::Status);
    // Whatever else is asked waits for the publisher, which may be at a reload.
    let secs = if reads { REPLY_SECS } else { RELOAD_SECS };
    ask_within(path, request, Duration::from_secs(secs))
}

/// As [`ask`], with the time given.
fn ask_within(path: &Path, request: &Request, limit: Duration) -> Result<Reply, AskError> {
    let path = || path.to_owned();
    let broken = |source: io::Error| match source.kind() {
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => {
            AskError::Timeout { path: path(), secs: limit.as_secs() }
        }
        io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => AskError::Closed { path: path() },
        _ => AskError::Broken { path: path(), source },
    };
    let mut stream = UnixStream::connect(path()).map_err(|source| match source.kind() {
        io::ErrorKind::PermissionDenied => AskError::NotAllowed { path: path() },
        _ => AskError::NoServer { path: path(), source },
    })?;
    stream.set_read_timeout(Some(limit)).map_err(broken)?;
    stream.set_write_timeout(Some(limit)).map_err(broken)?;
    let not_understood = |source| AskError::NotUnderstood { path: path(), source };
    let mut line = serde_json::to_vec(request).map_err(not_understood)?;
    line.push(b'\n');
    stream.write_all(&line).map_err(broken)?;

    line.clear();
    let room = u64::try_from(REPLY_OCTETS_MAX).unwrap_or(u64::MAX);
    BufReader::new(stream).take(room).read_until(b'\n', &mut line).map_err(broken)?;
    if line.is_empty() {
        return Err(AskError::Closed { path: path() });
    }
    serde_json::from_slice(&line).map_err(not_understood)
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use super::*;

    /// A server that reads one line, writes `reply` and closes.
    fn scripted(reply: &'static [u8]) -> (tempfile::TempDir, PathBuf, std::thread::JoinHandle<()>) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s");
        let listener = UnixListener::bind(&path).unwrap();
        let server = std::thread::spawn(move || {
            let (stream, _) = listener.accept().unwrap();
            let mut stream = BufReader::new(stream);
            stream.read_until(b'\n', &mut Vec::new()).unwrap();
            stream.get_mut().write_all(reply).unwrap();
        });
        (folder, path, server)
    }

    #[test]
    fn faults_are_told_apart() {
        for (reply, want) in [
            (&b""[..], "closed the connection without a reply"),
            (b"{}\n", "expected a reply of this version's"),
            (b"{\"reply\":\"failed\"", "expected a reply of this version's"),
        ] {
            let (_folder, path, server) = scripted(reply);
            let got = ask(&path, &Request::Status).unwrap_err().to_string();
            assert!(got.contains(want), "{got}");
            server.join().unwrap();
        }
        let (_folder, path, server) = scripted(b"{\"reply\":\"failed\",\"message\":\"no\"}\n");
        assert_eq!(ask(&path, &Request::Reload).unwrap(), Reply::Failed { message: "no".to_owned() });
        server.join().unwrap();
        // Its file is still there, and nobody behind it; then not even the file.
        let gone = format!("no server answers at {}", path.display());
        assert_eq!(ask(&path, &Request::Status).unwrap_err().to_string(), gone);
        std::fs::remove_file(&path).unwrap();
        assert_eq!(ask(&path, &Request::Status).unwrap_err().to_string(), gone);
    }

    #[test]
    fn a_server_is_found_wherever_it_is_or_the_places_are_told() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        drop(UnixListener::bind(at("dead")).unwrap());
        let _servers = (UnixListener::bind(at("live")).unwrap(), UnixListener::bind(at("second")).unwrap());
        let places = |names: &[&str]| names.iter().map(|name| at(name)).collect::<Vec<_>>();
        assert_eq!(first_that_answers(places(&["none", "dead", "live", "second"])).unwrap(), at("live"));
        let told = first_that_answers(places(&["none", "dead"])).unwrap_err().to_string();
        let (none, dead) = (at("none"), at("dead"));
        let want = format!("no server answers at {} (No such file or directory", none.display());
        assert!(told.starts_with(&want) && told.contains(&format!("{} (Connection refused", dead.display())), "{told}");
        assert!(told.ends_with("; --socket or --config says where else it is"), "{told}");
    }

    #[test]
    fn a_silent_server_is_not_waited_for_for_ever() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s");
        let _listener = UnixListener::bind(&path).unwrap();
        let got = ask_within(&path, &Request::Status, Duration::from_millis(10)).unwrap_err();
        assert!(matches!(got, AskError::Timeout { .. }), "{got}");
    }
}
