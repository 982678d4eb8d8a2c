//! Where the admin socket lies, and how its file is made so that nobody else can get in between.

use std::ffi::OsString;
use std::fs::{self, DirBuilder, File, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, FileTypeExt as _, MetadataExt as _, PermissionsExt as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};

/// Connections the kernel holds before they are accepted.
const BACKLOG: i32 = 16;
/// The folder of the service, made by the service manager or by root: nobody else may write to `/run`.
const SERVICE_FOLDER: &str = "/run/cenote";
/// The socket's name in each of the default folders.
const SOCKET_NAME: &str = "admin.sock";

/// Why there is no admin socket.
#[derive(Debug, thiserror::Error)]
pub enum SocketError {
    /// A server listens there.
    #[error("{}: already served by another process; each server needs an admin.socket of its own", path.display())]
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

/// What the default places depend on.
#[derive(Debug, Clone)]
struct Environment {
    /// The effective user.
    uid: u32,
    /// `$RUNTIME_DIRECTORY`: the folders a service manager made for this service, separated by colons (systemd.exec(5)).
    made: Option<OsString>,
    /// [`SERVICE_FOLDER`].
    service: PathBuf,
    /// `$XDG_RUNTIME_DIR`: a logged-in user's own.
    login: Option<PathBuf>,
    /// Where anybody may write.
    temporary: PathBuf,
}

impl Environment {
    /// This process's.
    fn of_process() -> Self {
        let folder = |name: &str| std::env::var_os(name).filter(|folder| !folder.is_empty());
        Self {
            uid: rustix::process::geteuid().as_raw(),
            made: folder("RUNTIME_DIRECTORY"),
            service: PathBuf::from(SERVICE_FOLDER),
            login: folder("XDG_RUNTIME_DIR").map(PathBuf::from),
            temporary: std::env::temp_dir(),
        }
    }

    /// The first folder that a service manager made.
    fn made(&self) -> Option<PathBuf> {
        std::env::split_paths(self.made.as_ref()?).find(|folder| folder.is_absolute())
    }

    /// The user's own folder in the temporary one.
    fn own(&self) -> PathBuf {
        self.temporary.join(format!("cenote-{}", self.uid))
    }

    /// Where this user's server has its socket.
    fn server_folder(&self) -> Result<PathBuf, SocketError> {
        if let Some(made) = self.made() {
            return Ok(made);
        }
        if self.uid == 0 || self.service.is_dir() && check_own(&self.service, self.uid).is_ok() {
            return Ok(self.service.clone());
        }
        if let Some(login) = &self.login {
            return Ok(login.join("cenote"));
        }
        let own = self.own();
        check_own(&own, self.uid)?;
        Ok(own)
    }

    /// Where a server that this user may command can have its socket; the service's before the user's own. No folder that somebody else could
    /// have made: what is asked there may be a name.
    fn client_folders(&self) -> Vec<PathBuf> {
        let mut folders: Vec<PathBuf> = self.made().into_iter().collect();
        folders.push(self.service.clone());
        if self.uid != 0 {
            let own = [self.login.as_ref().map(|login| login.join("cenote")), Some(self.own())];
            folders.extend(own.into_iter().flatten().filter(|folder| check_own(folder, self.uid).is_ok()));
        }
        let mut seen = std::collections::HashSet::new();
        folders.retain(|folder| seen.insert(folder.clone()));
        folders
    }
}

/// Where a server's admin socket lies when the operator says nothing: in the first folder of `$RUNTIME_DIRECTORY`; else in `/run/cenote`, for
/// root, or if that is a folder of this user's own, as a container may have it; else below `$XDG_RUNTIME_DIR`; else in a folder of the user's
/// own in the temporary folder.
///
/// # Errors
/// [`SocketError::UnsafeFolder`] if that last folder is there and is not the user's own: anybody may write to the temporary folder.
pub(super) fn default_socket() -> Result<PathBuf, SocketError> {
    Ok(Environment::of_process().server_folder()?.join(SOCKET_NAME))
}

/// Where commands look for a server that was not named: all the places where [`default_socket`] may have put it, whoever it runs as.
#[must_use]
pub(super) fn default_places() -> Vec<PathBuf> {
    let folders = Environment::of_process().client_folders();
    folders.into_iter().map(|folder| folder.join(SOCKET_NAME)).collect()
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

    /// User 7's environment, or root's, in `folder`.
    fn environment(folder: &Path, uid: u32) -> Environment {
        let (service, temporary) = (folder.join("run/cenote"), folder.to_owned());
        Environment { uid, made: None, service, login: None, temporary }
    }

    #[test]
    fn the_default_is_by_user_and_environment() {
        let folder = tempfile::tempdir().unwrap();
        let (uid, at) = (rustix::process::geteuid().as_raw(), |text: &str| folder.path().join(text));
        let other = environment(folder.path(), uid + 1);
        let login =
            |environment: &Environment| Environment { login: Some("/run/user/7".into()), ..environment.clone() };
        let made = |text: &str| Environment { made: Some(text.into()), ..login(&other) };
        assert_eq!(
            environment(folder.path(), 0).server_folder().unwrap(),
            at("run/cenote"),
            "root, though it is not there"
        );
        assert_eq!(login(&other).server_folder().unwrap(), Path::new("/run/user/7/cenote"));
        assert_eq!(other.server_folder().unwrap(), at(&format!("cenote-{}", uid + 1)));
        // What the service manager made comes first; of several the first.
        assert_eq!(made("/run/cenote-eu:/run/more").server_folder().unwrap(), Path::new("/run/cenote-eu"));
        assert_eq!(made("not/absolute").server_folder().unwrap(), Path::new("/run/user/7/cenote"));

        // As in a container: the service's folder is there and this user's own; or another's.
        fs::create_dir(at("run")).unwrap();
        DirBuilder::new().mode(0o700).create(at("run/cenote")).unwrap();
        assert_eq!(login(&environment(folder.path(), uid)).server_folder().unwrap(), at("run/cenote"));
        assert_eq!(login(&other).server_folder().unwrap(), Path::new("/run/user/7/cenote"));

        // In the temporary folder somebody else made it.
        DirBuilder::new().mode(0o700).create(other.own()).unwrap();
        assert!(matches!(other.server_folder(), Err(SocketError::UnsafeFolder { .. })));
    }

    #[test]
    fn commands_look_where_a_server_may_be_and_nowhere_that_others_could_have_made() {
        let folder = tempfile::tempdir().unwrap();
        let (uid, at) = (rustix::process::geteuid().as_raw(), |text: &str| folder.path().join(text));
        let mut environment = environment(folder.path(), uid.max(1));
        environment.login = Some(at("login"));
        let mut want = vec![at("run/cenote"), at("login/cenote"), environment.own()];
        assert_eq!(environment.client_folders(), want);
        environment.made = Some(at("run/cenote").into());
        assert_eq!(environment.client_folders(), want, "each once");
        environment.made = Some(at("run/cenote-eu").into());
        want.insert(0, at("run/cenote-eu"));
        assert_eq!(environment.client_folders(), want);
        environment.uid = 0;
        assert_eq!(environment.client_folders(), want[..2], "root's own server is at the service's place");

        environment.uid = uid + 1;
        fs::create_dir_all(at("login/cenote")).unwrap();
        DirBuilder::new().mode(0o700).create(environment.own()).unwrap();
        assert_eq!(environment.client_folders(), want[..2], "{uid} made the others");
    }

    #[test]
    fn a_folder_of_ones_own_is_closed_and_no_link() {
        let folder = tempfile::tempdir().unwrap();
        let uid = rustix::process::geteuid().as_raw();
        let own = folder.path().join("own");
        assert!(check_own(&own, uid).is_ok(), "to be made");
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
