//! The settings of the two doors.

use std::net::SocketAddr;
use std::path::PathBuf;

/// Where metrics are read and where the operator's commands arrive.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Config {
    /// HTTP: `/metrics`, `/healthz`, `/readyz`. `None`: no HTTP.
    pub http: Option<SocketAddr>,
    /// The admin socket (0600). `None`: no socket.
    pub socket: Option<PathBuf>,
}
