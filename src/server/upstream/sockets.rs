//! A worker's UDP sockets to its upstreams.
//!
//! Each UDP socket is connected, on a port of the kernel's random choice, opened when it is first used, and retired in turn as `forward`
//! says. How many there are comes from a process-wide budget: [`sockets_per_upstream`].

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;

use crate::sys::{Poller, connect_udp};

/// The first token of upstream sockets: `upstream << 16 | socket` above it.
pub(in crate::server) const UPSTREAM_TOKENS: u64 = 1 << 32;
/// The most upstream sockets of the whole process.
const SOCKETS_MAX: u64 = 8192;
/// The most sockets a worker has to one upstream. Each query goes out on one port: 64 or 7,000 open ones, a forger has to hit that one in
/// 28,000; fewer are drained in fewer system calls.
const SOCKETS_PER_UPSTREAM_MAX: u64 = 64;

/// How many sockets each worker has to each upstream: the least of 8,192, half of the open files and a quarter of the ephemeral ports,
/// divided; at least one.
#[must_use]
pub fn sockets_per_upstream(open_files: u64, ephemeral_ports: usize, workers: usize, upstreams: usize) -> u16 {
    let budget = SOCKETS_MAX.min(open_files / 2).min(ephemeral_ports as u64 / 4);
    let share = budget / (workers.max(1) as u64 * upstreams.max(1) as u64);
    u16::try_from(share.clamp(1, SOCKETS_PER_UPSTREAM_MAX)).unwrap_or(1)
}

/// One worker's sockets, by upstream.
#[derive(Debug)]
pub struct UpstreamSockets {
    /// Whom to ask.
    servers: Arc<[SocketAddr]>,
    /// By upstream, then by socket; `None` until it is used.
    sockets: Vec<Vec<Option<UdpSocket>>>,
}

impl UpstreamSockets {
    /// Room for `each` sockets to each of `servers`; none is open yet.
    #[must_use]
    pub fn new(servers: Arc<[SocketAddr]>, each: u16) -> Self {
        let sockets = servers.iter().map(|_| (0..each).map(|_| None).collect()).collect();
        Self { servers, sockets }
    }

    /// The socket `socket` to `upstream`, if it is open.
    pub(in crate::server) fn get(&self, upstream: usize, socket: u16) -> Option<&UdpSocket> {
        self.sockets.get(upstream)?.get(usize::from(socket))?.as_ref()
    }

    /// Sends over it, opening it first if need be.
    pub(in crate::server) fn send(
        &mut self,
        poller: &Poller,
        upstream: usize,
        socket: u16,
        packet: &[u8],
    ) -> io::Result<()> {
        let missing = || io::Error::from(io::ErrorKind::NotFound);
        let server = *self.servers.get(upstream).ok_or_else(missing)?;
        let slot = self.sockets.get_mut(upstream).and_then(|sockets| sockets.get_mut(usize::from(socket)));
        let slot = slot.ok_or_else(missing)?;
        let open = match slot {
            Some(open) => open,
            None => {
                let fresh = connect_udp(server)?;
                poller.add(&fresh, UPSTREAM_TOKENS + ((upstream as u64) << 16 | u64::from(socket)))?;
                slot.insert(fresh)
            }
        };
        open.send(packet).map(drop)
    }

    /// Closes it; its next use opens another, on another port.
    pub(in crate::server) fn renew(&mut self, poller: &Poller, upstream: usize, socket: u16) {
        let slot = self.sockets.get_mut(upstream).and_then(|sockets| sockets.get_mut(usize::from(socket)));
        if let Some(old) = slot.and_then(Option::take) {
            // Closing it would do, were it not for a copy that a child process might hold.
            poller.remove(&old).ok();
        }
    }

    /// Upstream and socket of a token behind `UPSTREAM_TOKENS`.
    pub(in crate::server) fn of_token(token: u64) -> Option<(usize, u16)> {
        Some((usize::try_from(token >> 16).ok()?, u16::try_from(token & 0xffff).ok()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_budget_is_divided() {
        for (open_files, ports, workers, upstreams, want) in [
            (1_048_576, 28_232, 1, 1, 64),
            (1024, 28_232, 4, 2, 64),
            (1024, 28_232, 16, 2, 16),
            (1_048_576, 28_232, 64, 16, 6),
            (16, 28_232, 64, 16, 1),
            (1_048_576, 28_232, 1, 0, 64),
        ] {
            assert_eq!(sockets_per_upstream(open_files, ports, workers, upstreams), want);
        }
    }

    #[test]
    fn a_renewed_socket_has_another_port() {
        let server = UdpSocket::bind("127.0.0.1:0").unwrap();
        let poller = Poller::new().unwrap();
        let mut sockets = UpstreamSockets::new([server.local_addr().unwrap()].into(), 2);
        assert!(sockets.get(0, 0).is_none());
        sockets.send(&poller, 0, 0, b"one").unwrap();
        let mut buffer = [0; 8];
        let (_, first) = server.recv_from(&mut buffer).unwrap();
        server.send_to(b"reply", first).unwrap();
        let mut tokens = Vec::new();
        poller.wait(1000, &mut tokens).unwrap();
        assert_eq!(UpstreamSockets::of_token(tokens[0] - UPSTREAM_TOKENS), Some((0, 0)));
        sockets.renew(&poller, 0, 0);
        sockets.send(&poller, 0, 0, b"two").unwrap();
        let (_, second) = server.recv_from(&mut buffer).unwrap();
        assert_ne!(first, second);
        assert!(sockets.send(&poller, 1, 0, b"nobody").is_err());
    }
}
