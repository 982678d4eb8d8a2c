//! Where the admin socket lies, and how its file is made so that nobody else can get in between.

use std::fs::{self, DirBuilder, File, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, FileTypeExt as _, MetadataExt as _, PermissionsExt as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};

/// Connections the kernel holds before they are accepted.
const BACKLOG: i32 = 16;

/// Why there is no admin socket.
#[derive(Debug, thiserror::Error)]
pub enum SocketError {
    /// A server listens there.
    #[error("{}: already served by another process", path.display())]
    AlreadyServed {
        /// The socket.
        path: PathBuf,
    },
    /// Something that is no socket stands there; it is left alone.
    #[error("{}: expected a socket or nothing, got another kind of file", path.display())]
    NotASocket {
        /// What is there.
        path: PathBuf,
    },
    /// The folder is not a folder of ours alone.
    #[error("{}: expected a folder of mode 0700 owned by this user, got another", path.display())]
    UnsafeFolder {
        /// The folder.
        path: PathBuf,
    },
    /// Another process is making its socket in the same folder at this moment.
    #[error("{}: another process is starting there", path.display())]
    Busy {
        /// The folder.
        path: PathBuf,
    },
    /// The folder or the socket cannot be made.
    #[error("{}: the admin socket cannot be made", path.display())]
    Make {
        /// Where.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

/// Where the admin socket lies when the operator says nothing: `/run/cenote/admin.sock` for root, else below `$XDG_RUNTIME_DIR`, else in a
/// folder of the user's own in the temporary folder.
///
/// # Errors
/// [`SocketError::UnsafeFolder`] if that last folder is there and is not the user's own: anybody may write to the temporary folder.
pub fn default_socket() -> Result<PathBuf, SocketError> {
    let uid = rustix::process::geteuid().as_raw();
    let runtime = std::env::var_os("XDG_RUNTIME_DIR").filter(|folder| !folder.is_empty()).map(PathBuf::from);
    socket_for(uid, runtime, &std::env::temp_dir())
}

/// As [`default_socket`], with the user and the folders given.
fn socket_for(uid: u32, runtime: Option<PathBuf>, temporary: &Path) -> Result<PathBuf, SocketError> {
    let folder = match runtime {
        _ if uid == 0 => PathBuf::from("/run/cenote"),
        Some(runtime) => runtime.join("cenote"),
        None => {
            let folder = temporary.join(format!("cenote-{uid}"));
            check_own(&folder, uid)?;
            folder
        }
    };
    Ok(folder.join("admin.sock"))
}

/// Whether `folder`, if it is there, is a true folder, `uid`'s, and closed to others.
fn check_own(folder: &Path, uid: u32) -> Result<(), SocketError> {
    // Not followed if it is a link.
    let Ok(found) = fs::symlink_metadata(folder) else { return Ok(()) };
    if found.is_dir() && found.uid() == uid && found.mode() & 0o077 == 0 {
        return Ok(());
    }
    Err(SocketError::UnsafeFolder { path: folder.to_owned() })
}

/// Makes the socket at `path`, mode 0600, listening; a dead process's is replaced. The folder is made too (0700), its parents are not.
///
/// It is made closed, and listens only then: nobody can connect before the mode is set, and the process's umask is left alone.
pub(super) fn listen(path: &Path) -> Result<UnixListener, SocketError> {
    let made = |source: io::Error| SocketError::Make { path: path.to_owned(), source };
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    match DirBuilder::new().mode(0o700).create(folder) {
        Err(fault) if fault.kind() != io::ErrorKind::AlreadyExists => return Err(made(fault)),
        _ => {}
    }
    // Held until the socket listens, so that of two servers that find a dead one's file only one replaces it.
    let guard = File::open(folder).map_err(made)?;
    if let Err(TryLockError::WouldBlock) = guard.try_lock() {
        return Err(SocketError::Busy { path: folder.to_owned() });
    }
    clear(path)?;
    let address = SocketAddrUnix::new(path).map_err(|fault| made(fault.into()))?;
    let socket = rustix::net::socket_with(
        AddressFamily::UNIX,
        SocketType::STREAM,
        SocketFlags::CLOEXEC | SocketFlags::NONBLOCK,
        None,
    )
    .map_err(|fault| made(fault.into()))?;
    rustix::net::bind(&socket, &address).map_err(|fault| made(fault.into()))?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).map_err(made)?;
    rustix::net::listen(&socket, BACKLOG).map_err(|fault| made(fault.into()))?;
    Ok(UnixListener::from(socket))
}

/// Removes a dead process's socket; anything else that stands there is an error.
fn clear(path: &Path) -> Result<(), SocketError> {
    let Ok(found) = fs::symlink_metadata(path) else { return Ok(()) };
    if !found.file_type().is_socket() {
        return Err(SocketError::NotASocket { path: path.to_owned() });
    }
    match UnixStream::connect(path) {
        Err(fault) if fault.kind() == io::ErrorKind::ConnectionRefused => {
            fs::remove_file(path).map_err(|source| SocketError::Make { path: path.to_owned(), source })
        }
        Err(source) if source.kind() == io::ErrorKind::PermissionDenied => {
            Err(SocketError::Make { path: path.to_owned(), source })
        }
        // It connects, or its queue is full: somebody is there.
        _ => Err(SocketError::AlreadyServed { path: path.to_owned() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_is_by_user() {
        let folder = tempfile::tempdir().unwrap();
        let uid = rustix::process::geteuid().as_raw();
        let run = || Some(PathBuf::from("/run/user/7"));
        assert_eq!(socket_for(0, run(), folder.path()).unwrap(), Path::new("/run/cenote/admin.sock"));
        assert_eq!(socket_for(7, run(), folder.path()).unwrap(), Path::new("/run/user/7/cenote/admin.sock"));
        assert_eq!(socket_for(7, None, folder.path()).unwrap(), folder.path().join("cenote-7/admin.sock"));

        // Somebody else made it, it is open to others, or it is a link.
        let own = folder.path().join(format!("cenote-{}", uid.max(1)));
        DirBuilder::new().mode(0o700).create(&own).unwrap();
        assert!(check_own(&own, uid).is_ok());
        assert!(matches!(check_own(&own, uid + 1), Err(SocketError::UnsafeFolder { .. })));
        fs::set_permissions(&own, fs::Permissions::from_mode(0o755)).unwrap();
        assert!(check_own(&own, uid).is_err());
        fs::set_permissions(&own, fs::Permissions::from_mode(0o700)).unwrap();
        let link = folder.path().join("link");
        std::os::unix::fs::symlink(&own, &link).unwrap();
        assert!(check_own(&link, uid).is_err());
    }

    #[test]
    fn a_live_socket_is_left_a_dead_one_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("made/admin.sock");
        let first = listen(&path).unwrap();
        assert_eq!(fs::symlink_metadata(&path).unwrap().mode() & 0o777, 0o600);
        assert_eq!(fs::symlink_metadata(path.parent().unwrap()).unwrap().mode() & 0o777, 0o700);
        assert!(matches!(listen(&path), Err(SocketError::AlreadyServed { .. })));
        drop(first);
        assert!(path.exists(), "its file stays, as after a crash");
        let second = listen(&path).unwrap();
        UnixStream::connect(&path).unwrap();
        drop(second);

        fs::remove_file(&path).unwrap();
        fs::write(&path, "mine").unwrap();
        assert!(matches!(listen(&path), Err(SocketError::NotASocket { .. })));
        assert_eq!(fs::read_to_string(&path).unwrap(), "mine");
        let long = folder.path().join("x".repeat(120));
        assert!(matches!(listen(&long), Err(SocketError::Make { .. })));
        assert!(matches!(listen(&folder.path().join("no/such/folder/s")), Err(SocketError::Make { .. })));

        let guard = File::open(folder.path()).unwrap();
        guard.lock().unwrap();
        assert!(matches!(listen(&folder.path().join("s")), Err(SocketError::Busy { .. })));
    }
}
