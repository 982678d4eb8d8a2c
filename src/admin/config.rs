//! The settings of the two doors.

use std::net::SocketAddr;
use std::path::PathBuf;

/// Where metrics are read and where the operator's commands arrive.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Config {
    /// HTTP: `/metrics`, `/healthz`, `/readyz`. `None`: no HTTP.
    pub http: Option<SocketAddr>,
    /// The admin socket (0600).
    pub socket: SocketChoice,
}

/// Which admin socket a server has.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum SocketChoice {
    /// One at the default place, which depends on the user and the environment. A server that cannot have it serves all the same, and says so.
    DefaultPlace,
    /// This one, and no start without it.
    Path(PathBuf),
    /// None.
    #[default]
    Nowhere,
}
