//! Clients, over UDP and TCP: they ask, and read what comes. Silence is proven by what comes after it, never by waiting.

use std::fmt;
use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Shutdown, SocketAddr, TcpStream, UdpSocket};
use std::sync::atomic::{AtomicU16, Ordering};

use hickory_proto::op::{Edns, Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::rdata::opt::{EdnsCode, EdnsOption};
use hickory_proto::rr::{DNSClass, Name, RData, RecordType};

use super::PATIENCE;

/// The next query's id.
static NEXT_ID: AtomicU16 = AtomicU16::new(1);

/// A query in the making.
#[derive(Clone)]
pub struct Ask {
    /// The query.
    message: Message,
}

impl Ask {
    /// A query with RD and nothing else; `qtype` by its name, or as "TYPE123".
    pub fn new(qname: &str, qtype: &str) -> Self {
        let mut message = Message::new(NEXT_ID.fetch_add(1, Ordering::Relaxed), MessageType::Query, OpCode::Query);
        message.metadata.recursion_desired = true;
        let qtype = match qtype.strip_prefix("TYPE") {
            Some(number) => RecordType::from(number.parse::<u16>().unwrap()),
            None => qtype.parse().unwrap(),
        };
        message.add_query(Query::query(Name::from_ascii(format!("{qname}.")).unwrap(), qtype));
        Self { message }
    }

    /// For a name's A.
    pub fn a(qname: &str) -> Self {
        Self::new(qname, "A")
    }

    /// Changes the message as hickory has it.
    pub fn with(mut self, change: impl FnOnce(&mut Message)) -> Self {
        change(&mut self.message);
        self
    }

    /// With EDNS and room for so many octets.
    pub fn edns(self, octets: u16) -> Self {
        self.with(|message| {
            message.edns.get_or_insert_default().set_max_payload(octets);
        })
    }

    /// With EDNS and DO.
    pub fn dnssec_ok(self) -> Self {
        self.edns(1232).with(|message| {
            message.edns.as_mut().unwrap().set_dnssec_ok(true);
        })
    }

    /// Without RD.
    pub fn no_rd(self) -> Self {
        self.with(|message| message.metadata.recursion_desired = false)
    }

    /// With AD.
    pub fn ad(self) -> Self {
        self.with(|message| message.metadata.authentic_data = true)
    }

    /// In another class.
    pub fn class(self, class: DNSClass) -> Self {
        self.with(|message| {
            message.queries[0].set_query_class(class);
        })
    }

    /// Its octets.
    pub fn octets(&self) -> Vec<u8> {
        self.message.to_vec().unwrap()
    }

    /// EDNS as it is, or none.
    pub fn edns_mut(message: &mut Message) -> &mut Edns {
        message.edns.get_or_insert_default()
    }
}

/// What came.
#[derive(Clone)]
pub struct Reply {
    /// As it came.
    pub octets: Vec<u8>,
    /// As hickory reads it.
    pub message: Message,
}

impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} octets: {}", self.octets.len(), self.message)
    }
}

impl Reply {
    /// Reads it, whole.
    pub fn read(octets: &[u8]) -> Self {
        let message = Message::from_vec(octets).unwrap_or_else(|error| panic!("{error}: {octets:02x?}"));
        assert_eq!(message.metadata.message_type, MessageType::Response);
        Self { octets: octets.to_vec(), message }
    }

    /// Its code.
    pub fn rcode(&self) -> ResponseCode {
        self.message.metadata.response_code
    }

    /// The addresses of its answer.
    pub fn addresses(&self) -> Vec<IpAddr> {
        let address = |data: &RData| match data {
            RData::A(a) => Some(IpAddr::V4(a.0)),
            RData::AAAA(aaaa) => Some(IpAddr::V6(aaaa.0)),
            _ => None,
        };
        self.message.answers.iter().filter_map(|record| address(&record.data)).collect()
    }

    /// The extended error's code and text.
    pub fn ede(&self) -> Option<(u16, String)> {
        match self.message.edns.as_ref()?.option(EdnsCode::Unknown(15))? {
            EdnsOption::Unknown(_, octets) => {
                Some((u16::from_be_bytes([octets[0], octets[1]]), String::from_utf8(octets[2..].to_vec()).unwrap()))
            }
            _ => None,
        }
    }

    /// The extended error's code.
    pub fn ede_code(&self) -> Option<u16> {
        self.ede().map(|(code, _)| code)
    }

    /// The TTL of the first answer, or of the first authority.
    pub fn ttl(&self) -> u32 {
        self.message.answers.iter().chain(&self.message.authorities).next().unwrap().ttl
    }

    /// Whether it is the answer of a sinkhole as it comes out of the box.
    pub fn is_sunk(&self) -> bool {
        self.rcode() == ResponseCode::NoError && self.addresses() == [IpAddr::V4(Ipv4Addr::UNSPECIFIED)]
    }

    /// Whether it is what the scripted upstream says.
    pub fn is_upstreams(&self) -> bool {
        self.rcode() == ResponseCode::NoError && self.addresses() == [super::upstream::ADDRESS]
    }
}

/// How queries travel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Via {
    /// Datagrams.
    Udp,
    /// A stream.
    Tcp,
}

/// Both.
pub const BOTH: [Via; 2] = [Via::Udp, Via::Tcp];

/// A client with one socket.
pub enum Client {
    /// Datagrams.
    Udp(UdpSocket),
    /// A stream.
    Tcp(TcpStream),
}

impl Client {
    /// Connects.
    pub fn new(via: Via, at: SocketAddr) -> Self {
        let own = if at.is_ipv4() { "127.0.0.1" } else { "::1" };
        Self::from(own.parse().unwrap(), via, at)
    }

    /// Connects from an address of its own.
    pub fn from(own: IpAddr, via: Via, at: SocketAddr) -> Self {
        match via {
            Via::Udp => {
                let socket = UdpSocket::bind((own, 0)).unwrap();
                socket.connect(at).unwrap();
                socket.set_read_timeout(Some(PATIENCE)).unwrap();
                Self::Udp(socket)
            }
            Via::Tcp => {
                let family = if own.is_ipv4() { socket2::Domain::IPV4 } else { socket2::Domain::IPV6 };
                let socket = socket2::Socket::new(family, socket2::Type::STREAM, None).unwrap();
                socket.bind(&SocketAddr::new(own, 0).into()).unwrap();
                socket.connect(&at.into()).unwrap();
                let stream = TcpStream::from(socket);
                stream.set_read_timeout(Some(PATIENCE)).unwrap();
                stream.set_nodelay(true).unwrap();
                Self::Tcp(stream)
            }
        }
    }

    /// Sends one message.
    pub fn send(&mut self, octets: &[u8]) {
        match self {
            Self::Udp(socket) => {
                socket.send(octets).unwrap();
            }
            Self::Tcp(stream) => {
                let length = u16::try_from(octets.len()).unwrap().to_be_bytes();
                stream.write_all(&[&length, octets].concat()).unwrap();
            }
        }
    }

    /// Sends octets as they are.
    pub fn send_raw(&mut self, octets: &[u8]) {
        match self {
            Self::Udp(socket) => drop(socket.send(octets).unwrap()),
            Self::Tcp(stream) => stream.write_all(octets).unwrap(),
        }
    }

    /// Ends the stream's sending half.
    pub fn finish(&mut self) {
        if let Self::Tcp(stream) = self {
            // The other end may have closed it already.
            stream.shutdown(Shutdown::Write).ok();
        }
    }

    /// The next message's octets; `None` at a stream's end.
    pub fn receive_octets(&mut self) -> Option<Vec<u8>> {
        match self {
            Self::Udp(socket) => {
                let mut octets = vec![0; 65_535];
                let length = socket.recv(&mut octets).expect("a reply in time");
                octets.truncate(length);
                Some(octets)
            }
            Self::Tcp(stream) => {
                let mut length = [0; 2];
                match stream.read_exact(&mut length) {
                    Ok(()) => {}
                    Err(error) if matches!(error.kind(), ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset) => {
                        return None;
                    }
                    Err(error) => panic!("neither a reply nor an end in time: {error}"),
                }
                let mut octets = vec![0; usize::from(u16::from_be_bytes(length))];
                stream.read_exact(&mut octets).unwrap();
                Some(octets)
            }
        }
    }

    /// The next message.
    pub fn receive(&mut self) -> Reply {
        Reply::read(&self.receive_octets().expect("a reply, not the stream's end"))
    }

    /// The next message; `None` if none comes for a long while.
    pub fn receive_in_time(&mut self) -> Option<Reply> {
        let mut octets = vec![0; 65_535];
        let length = match self {
            Self::Udp(socket) => socket.recv(&mut octets).ok()?,
            Self::Tcp(stream) => {
                let mut length = [0; 2];
                stream.read_exact(&mut length).ok()?;
                let length = usize::from(u16::from_be_bytes(length));
                stream.read_exact(&mut octets[..length]).ok()?;
                length
            }
        };
        Some(Reply::read(&octets[..length]))
    }

    /// The message that is there already, if one is.
    pub fn receive_at_once(&mut self) -> Option<Reply> {
        let waits = match self {
            Self::Udp(socket) => {
                socket.set_nonblocking(true).unwrap();
                let waits = socket.peek(&mut [0]);
                socket.set_nonblocking(false).unwrap();
                waits
            }
            Self::Tcp(stream) => {
                stream.set_nonblocking(true).unwrap();
                let waits = stream.peek(&mut [0]);
                stream.set_nonblocking(false).unwrap();
                waits
            }
        };
        // A stream may have ended: that is no message.
        if waits.is_ok_and(|octets| octets > 0) { self.receive_in_time() } else { None }
    }

    /// Asks over a stream that may have been closed at once.
    pub fn try_ask(&mut self, ask: &Ask) -> Option<Reply> {
        if let Self::Tcp(stream) = self {
            let octets = ask.octets();
            let length = u16::try_from(octets.len()).unwrap().to_be_bytes();
            stream.write_all(&[&length, &octets[..]].concat()).ok()?;
        }
        self.receive_octets().map(|octets| Reply::read(&octets))
    }

    /// Asks, and gives the reply, which must be to this question.
    pub fn ask(&mut self, ask: &Ask) -> Reply {
        self.send(&ask.octets());
        let reply = self.receive();
        assert_eq!(reply.message.metadata.id, ask.message.metadata.id, "a reply to another query");
        reply
    }

    /// Sends what must get no reply: the next one is to the query sent after it.
    pub fn assert_silence(&mut self, octets: &[u8]) {
        self.send(octets);
        self.ask(&Ask::a("after.localhost"));
    }
}
