//! Sockets, made once and handed out: listeners with `SO_REUSEPORT`, upstream sockets connected to their server.

#![expect(clippy::cast_possible_truncation, reason = "sizes of C structs, in C's own types")]
#![expect(unsafe_code, reason = "SO_MEMINFO and IP_MTU_DISCOVER have no safe wrapper")]

use std::io;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::os::fd::{AsRawFd, BorrowedFd};

use libc::{c_int, socklen_t};
use socket2::{Domain, Protocol, SockRef, Socket, Type};

/// Return what the accumulator holds (linux/filter.h; libc has no name for it).
const BPF_A: u32 = 0x10;
/// Connections the kernel keeps for us before they are accepted.
const BACKLOG: c_int = 1024;

/// Why an address cannot be listened on.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// Another program has it, or another instance of this one.
    #[error("{transport} {address} is in use by another program or another instance")]
    InUse {
        /// "UDP" or "TCP".
        transport: &'static str,
        /// The operator's address.
        address: SocketAddr,
    },
    /// Anything else.
    #[error("cannot listen on {transport} {address}")]
    Io {
        /// "UDP" or "TCP".
        transport: &'static str,
        /// The operator's address.
        address: SocketAddr,
        /// What the kernel said.
        source: io::Error,
    },
}

/// An unbound socket that does not block.
fn socket(address: SocketAddr, kind: Type, protocol: Protocol) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), kind.nonblocking().cloexec(), Some(protocol))?;
    if address.is_ipv6() {
        // `::` must not take the IPv4 port as well: the operator lists each.
        socket.set_only_v6(true)?;
    }
    Ok(socket)
}

/// Binds `address` without `SO_REUSEPORT` and lets go again: with it, a second instance would silently share the port.
///
/// # Errors
/// [`BindError`].
pub fn probe(address: SocketAddr) -> Result<(), BindError> {
    for (transport, kind, protocol) in [("UDP", Type::DGRAM, Protocol::UDP), ("TCP", Type::STREAM, Protocol::TCP)] {
        probe_one(address, kind, protocol).map_err(|source| match source.kind() {
            io::ErrorKind::AddrInUse => BindError::InUse { transport, address },
            _ => BindError::Io { transport, address, source },
        })?;
    }
    Ok(())
}

/// Binds, and for TCP listens, as the only one.
fn probe_one(address: SocketAddr, kind: Type, protocol: Protocol) -> io::Result<()> {
    let socket = socket(address, kind, protocol)?;
    if kind == Type::STREAM {
        // Connections of an earlier run in TIME_WAIT are not another instance; a listener still is.
        socket.set_reuse_address(true)?;
        socket.bind(&address.into())?;
        return socket.listen(1);
    }
    socket.bind(&address.into())
}

/// A UDP listener that shares its port with the other workers'; a wildcard one tells which address was asked.
///
/// # Errors
/// What the kernel says.
pub fn bind_udp(address: SocketAddr, receive_octets: usize) -> io::Result<UdpSocket> {
    let socket = socket(address, Type::DGRAM, Protocol::UDP)?;
    socket.set_reuse_port(true)?;
    // The kernel cuts to net.core.rmem_max without a word; `granted_receive_buffer` tells what came of it.
    socket.set_recv_buffer_size(receive_octets)?;
    socket.set_send_buffer_size(receive_octets)?;
    if address.ip().is_unspecified() {
        let (level, option) = match address {
            SocketAddr::V4(_) => (libc::IPPROTO_IP, libc::IP_PKTINFO),
            SocketAddr::V6(_) => (libc::IPPROTO_IPV6, libc::IPV6_RECVPKTINFO),
        };
        set_option(&socket, level, option, 1)?;
    }
    if address.is_ipv4() {
        // Never fragment by a path MTU an attacker forged (RFC 9715 §3.1): replies are at most 1232 octets anyway.
        set_option(&socket, libc::IPPROTO_IP, libc::IP_MTU_DISCOVER, libc::IP_PMTUDISC_OMIT)?;
    }
    socket.bind(&address.into())?;
    Ok(socket.into())
}

/// Has the kernel deal datagrams of a port's sockets out at random instead of by flow: a load balancer in front makes few flows. `socket` is
/// any of the `sockets` that share the port; all must be bound (`SO_ATTACH_REUSEPORT_CBPF`, socket(7)).
///
/// # Errors
/// What the kernel says.
pub fn spread_at_random(socket: &UdpSocket, sockets: u32) -> io::Result<()> {
    let instruction = |code: u32, k: u32| libc::sock_filter { code: code as u16, jt: 0, jf: 0, k };
    let mut program = [
        instruction(
            libc::BPF_LD | libc::BPF_W | libc::BPF_ABS,
            (libc::SKF_AD_OFF + libc::SKF_AD_RANDOM).cast_unsigned(),
        ),
        instruction(libc::BPF_ALU | libc::BPF_MOD | libc::BPF_K, sockets.max(1)),
        instruction(libc::BPF_RET | BPF_A, 0),
    ];
    let filter = libc::sock_fprog { len: program.len() as u16, filter: program.as_mut_ptr() };
    // SAFETY: the option's value is a sock_fprog, whose pointer leads to as many instructions as it says; the kernel copies them.
    let status = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_ATTACH_REUSEPORT_CBPF,
            (&raw const filter).cast(),
            size_of::<libc::sock_fprog>() as socklen_t,
        )
    };
    if status == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// A TCP listener.
///
/// # Errors
/// What the kernel says.
pub fn bind_tcp(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = socket(address, Type::STREAM, Protocol::TCP)?;
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// A UDP socket to one upstream, on a port of the kernel's random choice; the kernel drops what comes from anywhere else.
///
/// # Errors
/// What the kernel says.
pub fn connect_udp(upstream: SocketAddr) -> io::Result<UdpSocket> {
    let socket = socket(upstream, Type::DGRAM, Protocol::UDP)?;
    socket.connect(&upstream.into())?;
    Ok(socket.into())
}

/// Octets of receive buffer that the kernel granted (it doubles what it is asked for, for its own bookkeeping).
#[must_use]
pub fn granted_receive_buffer(socket: &UdpSocket) -> usize {
    SockRef::from(socket).recv_buffer_size().unwrap_or(0) / 2
}

/// Datagrams the kernel dropped on this socket since it was made, for want of room (`SO_MEMINFO`, `SK_MEMINFO_DROPS`).
#[must_use]
pub fn receive_drops(socket: BorrowedFd<'_>) -> u32 {
    let mut figures = [0_u32; 9];
    let mut octets = size_of_val(&figures) as socklen_t;
    // SAFETY: the kernel writes at most `octets` octets into `figures`, which is that long.
    let status = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_MEMINFO,
            figures.as_mut_ptr().cast(),
            &raw mut octets,
        )
    };
    if status == 0 { figures[8] } else { 0 }
}

/// How many ports the kernel chooses from for a socket that names none.
#[must_use]
pub fn ephemeral_ports() -> usize {
    let text = std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").unwrap_or_default();
    let mut bounds = text.split_ascii_whitespace().filter_map(|bound| bound.parse::<usize>().ok());
    match (bounds.next(), bounds.next()) {
        (Some(low), Some(high)) if low <= high => high - low + 1,
        _ => 28_232, // the kernel's default, 32768 to 60999
    }
}

/// Sets an option that is an `int`.
fn set_option(socket: &Socket, level: c_int, option: c_int, value: c_int) -> io::Result<()> {
    // SAFETY: the option's value is an int, which is what is passed and how long it is said to be.
    let status = unsafe {
        libc::setsockopt(socket.as_raw_fd(), level, option, (&raw const value).cast(), size_of::<c_int>() as socklen_t)
    };
    if status == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;

    use super::*;

    #[test]
    fn a_port_in_use_is_found_in_spite_of_reuse_port() {
        let first = bind_udp("127.0.0.1:0".parse().unwrap(), 65_536).unwrap();
        let address = first.local_addr().unwrap();
        bind_udp(address, 65_536).expect("workers share the port");
        let error = probe(address).unwrap_err();
        assert!(matches!(error, BindError::InUse { transport: "UDP", .. }), "{error}");
        drop(first);
        let listener = bind_tcp("127.0.0.1:0".parse().unwrap()).unwrap();
        let error = probe(listener.local_addr().unwrap()).unwrap_err();
        assert!(matches!(error, BindError::InUse { transport: "TCP", .. }), "{error}");
        assert!(matches!(probe("203.0.113.1:1".parse().unwrap()), Err(BindError::Io { .. })));
    }

    #[test]
    fn one_flow_is_dealt_out_at_random() {
        let first = bind_udp("127.0.0.1:0".parse().unwrap(), 65_536).unwrap();
        let address = first.local_addr().unwrap();
        let mut sockets = vec![first];
        sockets.extend((1..4).map(|_| bind_udp(address, 65_536).unwrap()));
        spread_at_random(&sockets[0], 4).unwrap();
        let client = UdpSocket::bind("127.0.0.1:0").unwrap();
        let mut counts = [0_usize; 4];
        for _ in 0..400 {
            client.send_to(b"x", address).unwrap();
            let got = |socket: &UdpSocket| socket.recv(&mut [0; 8]).is_ok();
            // Delivered on send: loopback queues it before send returns.
            let place = sockets.iter().position(got).unwrap();
            counts[place] += 1;
        }
        assert!(counts.iter().all(|&count| count > 40), "{counts:?}");
    }

    #[test]
    fn figures_of_a_socket() {
        let socket = bind_udp("127.0.0.1:0".parse().unwrap(), 65_536).unwrap();
        assert!(granted_receive_buffer(&socket) >= 65_536);
        assert_eq!(receive_drops(socket.as_fd()), 0);
        let client = UdpSocket::bind("127.0.0.1:0").unwrap();
        for _ in 0..1000 {
            client.send_to(&[0; 1000], socket.local_addr().unwrap()).unwrap();
        }
        assert!(receive_drops(socket.as_fd()) > 0, "a megabyte does not fit");
        assert!(ephemeral_ports() > 1000);
    }
}
