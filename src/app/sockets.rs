//! Every listening socket, bound once, before anything is served.

use std::io;
use std::net::{SocketAddr, TcpListener, UdpSocket};

use crate::server;
use crate::sys::{self, BindError, granted_receive_buffer};

/// How often a free port is looked for when the operator asks for any (port 0): UDP's may be taken for TCP.
const ANY_PORT_TRIES: usize = 16;

/// Bound sockets.
#[derive(Debug)]
pub(super) struct Sockets {
    /// The addresses, ports as bound.
    pub(super) listen: Vec<SocketAddr>,
    /// By worker, then by address.
    pub(super) udp: Vec<Vec<UdpSocket>>,
    /// By address.
    pub(super) tcp: Vec<TcpListener>,
    /// The least receive buffer that was granted, octets.
    pub(super) granted_octets: usize,
}

/// Binds every address for every worker.
pub(super) fn bind(config: &server::Config, workers: usize) -> Result<Sockets, BindError> {
    let octets = usize::try_from(config.receive_buffer_kb).unwrap_or(usize::MAX).saturating_mul(1024);
    let mut sockets = Sockets {
        listen: Vec::new(),
        udp: (0..workers).map(|_| Vec::new()).collect(),
        tcp: Vec::new(),
        granted_octets: octets,
    };
    for &address in &config.listen {
        let (address, first, tcp) = bind_pair(address, octets)?;
        let failed = |source| BindError::Io { transport: "UDP", address, source };
        let mut first = Some(first);
        for worker in &mut sockets.udp {
            let socket = match first.take() {
                Some(socket) => socket,
                None => sys::bind_udp(address, octets).map_err(failed)?,
            };
            sockets.granted_octets = sockets.granted_octets.min(granted_receive_buffer(&socket));
            worker.push(socket);
        }
        if let (server::Spread::Random, Some(any)) = (config.spread, sockets.udp.first().and_then(|own| own.last())) {
            sys::spread_at_random(any, u32::try_from(workers).unwrap_or(u32::MAX)).map_err(failed)?;
        }
        sockets.tcp.push(tcp);
        sockets.listen.push(address);
    }
    Ok(sockets)
}

/// A UDP and a TCP socket on one port.
fn bind_pair(address: SocketAddr, octets: usize) -> Result<(SocketAddr, UdpSocket, TcpListener), BindError> {
    if address.port() != 0 {
        sys::probe(address)?;
        return try_pair(address, octets);
    }
    let mut last = try_pair(address, octets);
    for _ in 1..ANY_PORT_TRIES {
        if last.is_ok() {
            break;
        }
        last = try_pair(address, octets);
    }
    last
}

/// One try; with port 0, on whatever port UDP got.
fn try_pair(address: SocketAddr, octets: usize) -> Result<(SocketAddr, UdpSocket, TcpListener), BindError> {
    let failed = |transport| {
        move |source: io::Error| match source.kind() {
            io::ErrorKind::AddrInUse => BindError::InUse { transport, address },
            _ => BindError::Io { transport, address, source },
        }
    };
    let udp = sys::bind_udp(address, octets).map_err(failed("UDP"))?;
    let bound = udp.local_addr().map_err(failed("UDP"))?;
    let tcp = sys::bind_tcp(bound).map_err(failed("TCP"))?;
    Ok((bound, udp, tcp))
}
