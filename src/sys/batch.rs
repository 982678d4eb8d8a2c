//! Datagrams in batches: `recvmmsg` and `sendmmsg`, with the local address each query was sent to (`IP_PKTINFO`, RFC 3542).
//!
//! One system call moves up to [`BATCH`] datagrams. A reply is written straight into the buffer it leaves from. Buffers are allocated
//! once; nothing here allocates afterwards.

#![expect(clippy::cast_possible_truncation, reason = "sizes of C structs and of a batch, in C's own types")]
#![expect(
    unsafe_code,
    reason = "recvmmsg and sendmmsg have no safe wrapper that keeps headers and control messages between calls"
)]

use std::io;
use std::mem::{size_of, zeroed};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsRawFd, BorrowedFd};

use libc::{
    c_int, c_uint, c_void, cmsghdr, in_pktinfo, in6_pktinfo, iovec, mmsghdr, sockaddr_in, sockaddr_in6, socklen_t,
};

/// Datagrams a system call moves at most: a guess; 64 × 4 KiB stay in a core's L2 cache, and the call's price is shared by enough.
pub const BATCH: usize = 64;
/// The longest datagram read whole: above any query worth answering; a longer one is seen as cut short.
const RECEIVE_OCTETS: usize = 4096;
/// The longest datagram sent: `wire::UDP_OCTETS_MAX`.
const SEND_OCTETS: usize = 1232;
/// Room for one address control message of either family.
const CONTROL_OCTETS: usize = 64;

/// A socket address as the kernel writes it: the larger of the two families we use.
#[derive(Clone, Copy)]
#[repr(C, align(8))]
struct RawAddress([u8; size_of::<sockaddr_in6>()]);

/// A control buffer, aligned for `cmsghdr`.
#[derive(Clone, Copy)]
#[repr(C, align(8))]
struct Control([u8; CONTROL_OCTETS]);

/// Who sent a datagram, and to which of our addresses: all that is needed to answer. Shows neither when printed.
#[derive(Clone, Copy)]
pub struct Peer {
    /// Where it came from.
    address: RawAddress,
    /// Octets of `address` in use.
    address_octets: u8,
    /// The address it was sent to, and through which interface, if the socket tells.
    local: Local,
}

/// Our side of a datagram.
#[derive(Clone, Copy)]
enum Local {
    /// The socket is bound to one address: nothing to say.
    Bound,
    /// `IP_PKTINFO`.
    V4(in_pktinfo),
    /// `IPV6_PKTINFO`.
    V6(in6_pktinfo),
}

impl std::fmt::Debug for Peer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("<peer>")
    }
}

impl Peer {
    /// The client's address; an IPv4-mapped one as IPv4. `None` for a family that is neither.
    #[must_use]
    pub fn ip(&self) -> Option<IpAddr> {
        let raw = &self.address.0;
        match c_int::from(u16::from_ne_bytes([raw[0], raw[1]])) {
            libc::AF_INET => {
                let four: [u8; 4] = raw.get(4..8)?.try_into().ok()?;
                Some(IpAddr::V4(Ipv4Addr::from(four)))
            }
            libc::AF_INET6 => {
                let sixteen: [u8; 16] = raw.get(8..24)?.try_into().ok()?;
                Some(IpAddr::V6(Ipv6Addr::from(sixteen)).to_canonical())
            }
            _ => None,
        }
    }

    /// Whether a reply could go anywhere: port 0 is nobody's, and a reflection loop's favourite.
    #[must_use]
    pub const fn is_answerable(&self) -> bool {
        let raw = &self.address.0;
        raw[2] != 0 || raw[3] != 0
    }

    /// A peer at `address`, for tests and models.
    #[must_use]
    pub fn at(address: SocketAddr) -> Self {
        let mut raw = RawAddress([0; size_of::<sockaddr_in6>()]);
        let address = socket2::SockAddr::from(address);
        let octets = address.len().min(raw.0.len() as socklen_t);
        // SAFETY: `address` holds at least `octets` initialised octets and `raw` has room for them; both are plain memory.
        unsafe {
            std::ptr::copy_nonoverlapping(address.as_ptr().cast::<u8>(), raw.0.as_mut_ptr(), octets as usize);
        }
        Self { address: raw, address_octets: u8::try_from(octets).unwrap_or(0), local: Local::Bound }
    }
}

/// Room for one batch of received datagrams.
pub struct Inbox {
    /// Where datagrams land; `iovecs` point into it.
    packets: Box<[[u8; RECEIVE_OCTETS]; BATCH]>,
    /// Where senders land; `headers` point into it.
    addresses: Box<[RawAddress; BATCH]>,
    /// Where control messages land; `headers` point into it.
    controls: Box<[Control; BATCH]>,
    /// One a header.
    iovecs: Box<[iovec; BATCH]>,
    /// What the kernel is handed; its pointers are set once and the boxes they point into never move or go away before it.
    headers: Box<[mmsghdr; BATCH]>,
    /// How many of the last batch are valid.
    received: usize,
}

// SAFETY: the raw pointers in `headers` and `iovecs` point into boxes owned by the same value, so they move with it.
unsafe impl Send for Inbox {}

impl Default for Inbox {
    fn default() -> Self {
        // SAFETY: iovec and mmsghdr are plain C structs for which all zeroes is a valid value.
        let (iovecs, headers) = unsafe { (zeroed::<[iovec; BATCH]>(), zeroed::<[mmsghdr; BATCH]>()) };
        let mut inbox = Self {
            packets: vec![[0; RECEIVE_OCTETS]; BATCH].try_into().unwrap_or_else(|_| unreachable!()),
            addresses: Box::new([RawAddress([0; size_of::<sockaddr_in6>()]); BATCH]),
            controls: Box::new([Control([0; CONTROL_OCTETS]); BATCH]),
            iovecs: Box::new(iovecs),
            headers: Box::new(headers),
            received: BATCH,
        };
        let rows = inbox.packets.iter_mut().zip(inbox.addresses.iter_mut()).zip(inbox.controls.iter_mut());
        for (((packet, address), control), (iov, header)) in
            rows.zip(inbox.iovecs.iter_mut().zip(inbox.headers.iter_mut()))
        {
            iov.iov_base = packet.as_mut_ptr().cast();
            iov.iov_len = RECEIVE_OCTETS;
            header.msg_hdr.msg_name = std::ptr::from_mut(address).cast();
            header.msg_hdr.msg_iov = iov;
            header.msg_hdr.msg_iovlen = 1;
            header.msg_hdr.msg_control = control.0.as_mut_ptr().cast();
        }
        inbox
    }
}

impl Inbox {
    /// Receives what is there, up to [`BATCH`] datagrams, without waiting; 0 when there is nothing.
    ///
    /// # Errors
    /// What `recvmmsg(2)` says; on a connected socket also what ICMP said of an earlier send.
    pub fn receive(&mut self, socket: BorrowedFd<'_>) -> io::Result<usize> {
        for header in self.headers.iter_mut().take(self.received) {
            header.msg_hdr.msg_namelen = size_of::<RawAddress>() as socklen_t;
            header.msg_hdr.msg_controllen = CONTROL_OCTETS;
        }
        self.received = 0;
        // SAFETY: every header's pointers lead to live, exclusively borrowed buffers of the lengths it states.
        let count = unsafe {
            libc::recvmmsg(
                socket.as_raw_fd(),
                self.headers.as_mut_ptr(),
                BATCH as c_uint,
                libc::MSG_DONTWAIT,
                std::ptr::null_mut(),
            )
        };
        match usize::try_from(count) {
            Ok(count) => {
                self.received = count;
                Ok(count)
            }
            Err(_) => match io::Error::last_os_error() {
                error if error.kind() == io::ErrorKind::WouldBlock => Ok(0),
                error => Err(error),
            },
        }
    }

    /// The `index`th datagram of the last batch; `None` beyond it, or if the datagram was cut short.
    #[inline]
    #[must_use]
    pub fn packet(&self, index: usize) -> Option<&[u8]> {
        let header = self.headers.get(..self.received)?.get(index)?;
        if header.msg_hdr.msg_flags & libc::MSG_TRUNC != 0 {
            return None;
        }
        self.packets.get(index)?.get(..header.msg_len as usize)
    }

    /// Who sent the `index`th datagram of the last batch.
    #[inline]
    #[must_use]
    pub fn peer(&self, index: usize) -> Option<Peer> {
        let header = self.headers.get(..self.received)?.get(index)?;
        Some(Peer {
            address: *self.addresses.get(index)?,
            address_octets: u8::try_from(header.msg_hdr.msg_namelen).ok()?,
            local: local(&header.msg_hdr),
        })
    }
}

/// The local address among a received header's control messages.
fn local(header: &libc::msghdr) -> Local {
    if header.msg_controllen < size_of::<cmsghdr>() {
        return Local::Bound;
    }
    // SAFETY: the kernel filled `msg_control` with `msg_controllen` octets of well-formed control messages; the CMSG functions stay inside
    // them and give null at the end; the payload types are those that the level and type stand for, read unaligned.
    unsafe {
        let mut message = libc::CMSG_FIRSTHDR(header);
        while !message.is_null() {
            match ((*message).cmsg_level, (*message).cmsg_type) {
                (libc::IPPROTO_IP, libc::IP_PKTINFO) => {
                    return Local::V4(std::ptr::read_unaligned(libc::CMSG_DATA(message).cast()));
                }
                (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO) => {
                    return Local::V6(std::ptr::read_unaligned(libc::CMSG_DATA(message).cast()));
                }
                _ => message = libc::CMSG_NXTHDR(header, message),
            }
        }
    }
    Local::Bound
}

/// Replies that leave together.
pub struct Outbox {
    /// Where replies are written; `iovecs` point into it.
    packets: Box<[[u8; SEND_OCTETS]; BATCH]>,
    /// To whom; `headers` point into it.
    peers: Box<[Peer; BATCH]>,
    /// From which address; `headers` point into it.
    controls: Box<[Control; BATCH]>,
    /// One a header.
    iovecs: Box<[iovec; BATCH]>,
    /// What the kernel is handed; as in [`Inbox`].
    headers: Box<[mmsghdr; BATCH]>,
    /// How many replies wait.
    waiting: usize,
}

// SAFETY: as for `Inbox`.
unsafe impl Send for Outbox {}

impl Default for Outbox {
    fn default() -> Self {
        // SAFETY: as in `Inbox::default`.
        let (iovecs, headers) = unsafe { (zeroed::<[iovec; BATCH]>(), zeroed::<[mmsghdr; BATCH]>()) };
        let nobody =
            Peer { address: RawAddress([0; size_of::<sockaddr_in6>()]), address_octets: 0, local: Local::Bound };
        let mut outbox = Self {
            packets: Box::new([[0; SEND_OCTETS]; BATCH]),
            peers: Box::new([nobody; BATCH]),
            controls: Box::new([Control([0; CONTROL_OCTETS]); BATCH]),
            iovecs: Box::new(iovecs),
            headers: Box::new(headers),
            waiting: 0,
        };
        let rows = outbox.packets.iter_mut().zip(outbox.peers.iter_mut());
        for ((packet, peer), (iov, header)) in rows.zip(outbox.iovecs.iter_mut().zip(outbox.headers.iter_mut())) {
            iov.iov_base = packet.as_mut_ptr().cast();
            header.msg_hdr.msg_name = std::ptr::from_mut(&mut peer.address).cast();
            header.msg_hdr.msg_iov = iov;
            header.msg_hdr.msg_iovlen = 1;
        }
        outbox
    }
}

impl Outbox {
    /// How many replies wait.
    #[inline]
    #[must_use]
    pub const fn waiting(&self) -> usize {
        self.waiting
    }

    /// The room for the next reply; `None` when [`BATCH`] wait: flush first.
    #[inline]
    pub fn room(&mut self) -> Option<&mut [u8; SEND_OCTETS]> {
        self.packets.get_mut(self.waiting)
    }

    /// Addresses what was written to [`Self::room`], `octets` long, to `peer`.
    #[inline]
    pub fn commit(&mut self, octets: usize, peer: &Peer) {
        let index = self.waiting;
        let (Some(slot), Some(iov), Some(header), Some(control)) = (
            self.peers.get_mut(index),
            self.iovecs.get_mut(index),
            self.headers.get_mut(index),
            self.controls.get_mut(index),
        ) else {
            return;
        };
        *slot = *peer;
        iov.iov_len = octets.min(SEND_OCTETS);
        header.msg_hdr.msg_namelen = socklen_t::from(peer.address_octets);
        header.msg_hdr.msg_control = control.0.as_mut_ptr().cast();
        header.msg_hdr.msg_controllen = match peer.local {
            Local::Bound => 0,
            // The source address as asked; the interface is the route's choice (`ipi_ifindex` 0), but for link-local addresses.
            Local::V4(info) => {
                let info = in_pktinfo { ipi_ifindex: 0, ..info };
                put_control(control, &header.msg_hdr, libc::IPPROTO_IP, libc::IP_PKTINFO, info)
            }
            Local::V6(info) => {
                let link_local = info.ipi6_addr.s6_addr[0] == 0xfe && info.ipi6_addr.s6_addr[1] & 0xc0 == 0x80;
                let ipi6_ifindex = if link_local { info.ipi6_ifindex } else { 0 };
                let info = in6_pktinfo { ipi6_ifindex, ..info };
                put_control(control, &header.msg_hdr, libc::IPPROTO_IPV6, libc::IPV6_PKTINFO, info)
            }
        };
        self.waiting += 1;
    }

    /// Sends what waits; gives how many the kernel did not take.
    pub fn flush(&mut self, socket: BorrowedFd<'_>) -> usize {
        let total = std::mem::take(&mut self.waiting);
        let (mut at, mut failed) = (0, 0);
        while let Some(headers) = self.headers.get_mut(at..total).filter(|headers| !headers.is_empty()) {
            // SAFETY: every header's pointers lead to live buffers of the lengths it states.
            let sent = unsafe {
                libc::sendmmsg(
                    socket.as_raw_fd(),
                    headers.as_mut_ptr(),
                    headers.len() as c_uint,
                    libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL,
                )
            };
            match usize::try_from(sent) {
                Ok(sent) if sent > 0 => at += sent,
                // The first one could not be sent: it is dropped, as UDP may, and the rest goes on.
                _ => {
                    at += 1;
                    failed += 1;
                }
            }
        }
        failed
    }
}

/// Writes one control message into `control` and gives its length.
fn put_control<T: Copy>(control: &mut Control, header: &libc::msghdr, level: c_int, kind: c_int, payload: T) -> usize {
    let octets = size_of::<T>() as c_uint;
    // SAFETY: CMSG_SPACE of either payload is at most 40 octets, under CONTROL_OCTETS; `header.msg_control` points to `control`, which is
    // aligned for cmsghdr; the payload is written unaligned.
    unsafe {
        let space = libc::CMSG_SPACE(octets) as usize;
        debug_assert!(space <= CONTROL_OCTETS && header.msg_control == control.0.as_mut_ptr().cast::<c_void>());
        let message = control.0.as_mut_ptr().cast::<cmsghdr>();
        (*message).cmsg_level = level;
        (*message).cmsg_type = kind;
        (*message).cmsg_len = libc::CMSG_LEN(octets) as _;
        std::ptr::write_unaligned(libc::CMSG_DATA(message).cast(), payload);
        space
    }
}

const _: () = assert!(size_of::<sockaddr_in>() <= size_of::<sockaddr_in6>());

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;
    use std::os::fd::AsFd;

    use super::*;
    use crate::sys::bind_udp;

    /// Sends three queries to a server socket bound as `listen` and checks that the replies come from `asked`.
    fn round_trip(listen: &str, asked: IpAddr) {
        let server = bind_udp(listen.parse().unwrap(), 64 * 1024).unwrap();
        let address = SocketAddr::new(asked, server.local_addr().unwrap().port());
        let client = UdpSocket::bind(SocketAddr::new(asked, 0)).unwrap();
        client.connect(address).unwrap();
        let (mut inbox, mut outbox) = (Inbox::default(), Outbox::default());
        assert_eq!(inbox.receive(server.as_fd()).unwrap(), 0);
        for text in ["one", "two", "three"] {
            client.send(text.as_bytes()).unwrap();
        }
        let mut seen = 0;
        while seen < 3 {
            let count = inbox.receive(server.as_fd()).unwrap();
            for index in 0..count {
                let peer = inbox.peer(index).unwrap();
                assert_eq!(peer.ip(), Some(asked));
                assert!(peer.is_answerable());
                let packet = inbox.packet(index).unwrap();
                outbox.room().unwrap()[..packet.len()].copy_from_slice(packet);
                outbox.commit(packet.len(), &peer);
            }
            assert_eq!(outbox.flush(server.as_fd()), 0);
            seen += count;
        }
        // Connected: the kernel drops a reply from any other address.
        let mut buffer = [0; 16];
        for text in ["one", "two", "three"] {
            let length = client.recv(&mut buffer).unwrap();
            assert_eq!(&buffer[..length], text.as_bytes());
        }
    }

    #[test]
    fn replies_leave_from_the_address_that_was_asked() {
        round_trip("127.0.0.1:0", "127.0.0.1".parse().unwrap());
        round_trip("0.0.0.0:0", "127.0.0.53".parse().unwrap());
        round_trip("[::]:0", "::1".parse().unwrap());
    }

    #[test]
    fn a_datagram_too_long_is_not_a_packet() {
        let server = bind_udp("127.0.0.1:0".parse().unwrap(), 64 * 1024).unwrap();
        let client = UdpSocket::bind("127.0.0.1:0").unwrap();
        client.send_to(&vec![0; RECEIVE_OCTETS + 1], server.local_addr().unwrap()).unwrap();
        client.send_to(&[], server.local_addr().unwrap()).unwrap();
        let mut inbox = Inbox::default();
        while inbox.receive(server.as_fd()).unwrap() == 0 {}
        assert_eq!(inbox.packet(0), None);
        assert_eq!(inbox.packet(BATCH), None);
    }

    #[test]
    fn a_peer_keeps_its_address_to_itself() {
        let peer = Peer::at("[::ffff:192.0.2.7]:53".parse().unwrap());
        assert_eq!(peer.ip(), Some("192.0.2.7".parse().unwrap()));
        assert_eq!(format!("{peer:?}"), "<peer>");
        assert!(!Peer::at("192.0.2.7:0".parse().unwrap()).is_answerable());
    }
}
