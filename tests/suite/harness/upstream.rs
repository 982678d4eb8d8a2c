//! A scripted upstream on a loopback port, UDP and TCP. What it does with a query is said by the first label of the name:
//!
//! | label | what it does |
//! |---|---|
//! | `alias-a-b` | a CNAME to `a.b`, and the honest answer of that |
//! | `alias2-a-b`, `alias3-a-b` | a CNAME to `alias-a-b`, or `alias2-a-b`, and so on |
//! | `held-a-b` | the same as `alias-a-b`, at [`Upstream::release`] |
//! | `service-a-b` | an HTTPS or SVCB whose target is `a.b`, to whoever asks for one; any other name's has the owner itself |
//! | `inside`, anywhere | an address of the inside, 10.0.0.1, or an HTTPS that hints at it |
//! | `nx`, `nodata` | NXDOMAIN, or no record; with a SOA of 60 s |
//! | `servfail` | SERVFAIL, EDE 6 with a text |
//! | `tc` | TC over UDP, the answer over TCP |
//! | `tc-hold`, `tc-drop` | TC over UDP; over TCP as `hold` and `drop` |
//! | `tc-last` | TC over UDP; over TCP the answer, and the end of the connection |
//! | `big` | 200 addresses; TC over UDP |
//! | `medium` | 40 addresses, 680 octets or so |
//! | `hold` | nothing, until [`Upstream::release`] |
//! | `drop` | nothing |
//! | `secure` | the answer with AD |
//! | `forged-id`, `forged-question` | a reply that is not to the query, then the answer |
//! | `case` | over UDP the question comes back in small letters |
//! | any other | one address, TTL 300 |

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::{self, JoinHandle};

use super::{PATIENCE, client::Via};

/// What an honest answer says.
pub const ADDRESS: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
/// In front of the IPv4 address, its AAAA: 2001:db8::/32.
const PREFIX: [u8; 12] = [0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0];
/// What a forged one says.
pub const FORGED: IpAddr = IpAddr::V4(Ipv4Addr::new(198, 51, 100, 66));
/// The text of its extended errors.
pub const EDE_TEXT: &str = "canary: a text of the upstream's";

/// A query that came.
#[derive(Debug, Clone)]
pub struct Asked {
    /// The name, in small letters.
    pub qname: String,
    /// The type.
    pub qtype: u16,
    /// How it came.
    pub via: Via,
    /// The whole of it.
    pub octets: Vec<u8>,
}

/// What is done with a query.
pub enum Step {
    /// These leave, in this order.
    Send(Vec<Vec<u8>>),
    /// This waits for the release.
    Hold(Vec<u8>),
    /// This leaves, and the connection ends.
    Last(Vec<u8>),
}

/// How an upstream behaves.
pub type Script = fn(&Asked) -> Step;

/// Whom a reply goes to.
enum Asker {
    /// Over UDP.
    Peer(SocketAddr),
    /// Over TCP.
    Stream(TcpStream),
}

/// What its threads share.
#[derive(Default)]
struct Desk {
    /// All that came.
    asked: Mutex<Vec<Asked>>,
    /// Something came.
    came: Condvar,
    /// Replies that wait, and for whom.
    held: Mutex<Vec<(Vec<u8>, Asker)>>,
    /// Every connection there was.
    streams: Mutex<Vec<TcpStream>>,
    /// How many.
    connections: AtomicUsize,
    /// It ends.
    stop: AtomicBool,
}

/// A scripted upstream; ends when it is dropped.
pub struct Upstream {
    /// Where it listens.
    pub at: SocketAddr,
    /// Its UDP socket.
    socket: Arc<UdpSocket>,
    /// What its threads share.
    desk: Arc<Desk>,
    /// Its threads.
    threads: Vec<JoinHandle<()>>,
}

impl Upstream {
    /// One that does as the labels say.
    pub fn start() -> Self {
        Self::with(by_label)
    }

    /// One that does as the labels say, at an address that nobody has.
    pub fn at(at: SocketAddr) -> Self {
        Self::of((UdpSocket::bind(at).unwrap(), TcpListener::bind(at).unwrap()), by_label)
    }

    /// One with a script of its own.
    pub fn with(script: Script) -> Self {
        Self::of(pair(), script)
    }

    /// One on these sockets.
    fn of((socket, listener): (UdpSocket, TcpListener), script: Script) -> Self {
        let (at, socket, desk) = (socket.local_addr().unwrap(), Arc::new(socket), Arc::new(Desk::default()));
        let datagrams = {
            let (socket, desk) = (Arc::clone(&socket), Arc::clone(&desk));
            thread::spawn(move || serve_datagrams(&socket, &desk, script))
        };
        let streams = {
            let desk = Arc::clone(&desk);
            thread::spawn(move || serve_streams(&listener, &desk, script))
        };
        Self { at, socket, desk, threads: vec![datagrams, streams] }
    }

    /// How many queries for a name came, by whatever transport.
    pub fn seen(&self, qname: &str) -> usize {
        self.asked().iter().filter(|asked| asked.qname == qname).count()
    }

    /// All that came.
    pub fn asked(&self) -> Vec<Asked> {
        self.desk.asked.lock().unwrap().clone()
    }

    /// How many came so.
    pub fn seen_via(&self, via: Via) -> usize {
        self.desk.asked.lock().unwrap().iter().filter(|asked| asked.via == via).count()
    }

    /// How many TCP connections there have been.
    pub fn connections(&self) -> usize {
        self.desk.connections.load(Ordering::Acquire)
    }

    /// Ends all connections.
    pub fn close_connections(&self) {
        self.desk.close_connections();
    }

    /// Waits until so many queries for a name have come.
    pub fn wait_for(&self, qname: &str, count: usize) {
        let asked = self.desk.asked.lock().unwrap();
        let short = |asked: &mut Vec<Asked>| asked.iter().filter(|one| one.qname == qname).count() < count;
        let (_asked, late) = self.desk.came.wait_timeout_while(asked, PATIENCE, short).unwrap();
        assert!(!late.timed_out(), "{qname} was not asked for {count} times");
    }

    /// Sends what is held, the last first.
    pub fn release(&self) {
        for (reply, asker) in self.desk.held.lock().unwrap().drain(..).rev() {
            match asker {
                Asker::Peer(peer) => drop(self.socket.send_to(&reply, peer).unwrap()),
                Asker::Stream(stream) => write_message(&stream, &reply),
            }
        }
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.desk.stop.store(true, Ordering::Release);
        self.socket.send_to(&[], self.at).unwrap();
        drop(TcpStream::connect(self.at));
        for thread in self.threads.drain(..) {
            // A script that panicked has made its test fail already: nothing answered.
            thread.join().ok();
        }
    }
}

/// A UDP and a TCP socket on one free port.
pub fn pair() -> (UdpSocket, TcpListener) {
    for _ in 0..64 {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        if let Ok(listener) = TcpListener::bind(socket.local_addr().unwrap()) {
            return (socket, listener);
        }
    }
    panic!("no port is free for UDP and TCP both");
}

impl Desk {
    /// Notes a query.
    fn note(&self, asked: Asked) {
        self.asked.lock().unwrap().push(asked);
        self.came.notify_all();
    }

    /// Ends all connections.
    fn close_connections(&self) {
        for stream in self.streams.lock().unwrap().drain(..) {
            // The other end may have closed it already.
            stream.shutdown(Shutdown::Both).ok();
        }
    }
}

/// Until the end.
fn serve_datagrams(socket: &UdpSocket, desk: &Desk, script: Script) {
    let mut octets = [0; 4096];
    loop {
        // An error is an ICMP's about a reply that came too late.
        let Ok((length, peer)) = socket.recv_from(&mut octets) else { continue };
        if desk.stop.load(Ordering::Acquire) {
            return;
        }
        let asked = Asked::read(&octets[..length], Via::Udp);
        match script(&asked) {
            Step::Send(replies) => {
                desk.note(asked);
                for reply in replies {
                    socket.send_to(&reply, peer).unwrap();
                }
            }
            Step::Hold(reply) => {
                desk.held.lock().unwrap().push((reply, Asker::Peer(peer)));
                desk.note(asked);
            }
            Step::Last(_) => panic!("a datagram has no connection to end"),
        }
    }
}

/// A thread a connection, until the end.
fn serve_streams(listener: &TcpListener, desk: &Arc<Desk>, script: Script) {
    let mut threads = Vec::new();
    for stream in listener.incoming().map_while(Result::ok) {
        if desk.stop.load(Ordering::Acquire) {
            break;
        }
        desk.connections.fetch_add(1, Ordering::AcqRel);
        desk.streams.lock().unwrap().push(stream.try_clone().unwrap());
        let desk = Arc::clone(desk);
        threads.push(thread::spawn(move || serve_stream(&stream, &desk, script)));
    }
    desk.close_connections();
    threads.into_iter().for_each(|thread| drop(thread.join()));
}

/// Until either end closes it.
fn serve_stream(mut stream: &TcpStream, desk: &Desk, script: Script) {
    loop {
        let mut length = [0; 2];
        if stream.read_exact(&mut length).is_err() {
            return;
        }
        let mut octets = vec![0; usize::from(u16::from_be_bytes(length))];
        if stream.read_exact(&mut octets).is_err() {
            return;
        }
        let asked = Asked::read(&octets, Via::Tcp);
        match script(&asked) {
            Step::Send(replies) => {
                desk.note(asked);
                replies.iter().for_each(|reply| write_message(stream, reply));
            }
            Step::Hold(reply) => {
                desk.held.lock().unwrap().push((reply, Asker::Stream(stream.try_clone().unwrap())));
                desk.note(asked);
            }
            Step::Last(reply) => {
                desk.note(asked);
                write_message(stream, &reply);
                stream.shutdown(Shutdown::Both).ok();
                return;
            }
        }
    }
}

/// Writes one message; whoever asked may have gone.
fn write_message(mut stream: &TcpStream, message: &[u8]) {
    let length = u16::try_from(message.len()).unwrap().to_be_bytes();
    stream.write_all(&[&length[..], message].concat()).ok();
}

impl Asked {
    /// Reads a query of the server's.
    fn read(octets: &[u8], via: Via) -> Self {
        let (mut at, mut labels) = (12, Vec::new());
        while octets[at] != 0 {
            let label = &octets[at + 1..at + 1 + usize::from(octets[at])];
            labels.push(String::from_utf8(label.to_ascii_lowercase()).unwrap());
            at += 1 + label.len();
        }
        let qtype = u16::from_be_bytes([octets[at + 1], octets[at + 2]]);
        Self { qname: labels.join("."), qtype, via, octets: octets.to_vec() }
    }

    /// Octets of its question.
    fn question(&self) -> &[u8] {
        &self.octets[12..12 + self.qname.len() + 2 + 4]
    }

    /// A reply: flags (QR and RA are set anyhow), code, records, authorities, EDE.
    fn reply(&self, flags: u16, rcode: u16, answers: &[Vec<u8>], soa: bool, ede: Option<u16>) -> Vec<u8> {
        let has_opt = self.octets[11] == 1;
        let mut octets = self.octets[..2].to_vec();
        let counts = [1, answers.len() as u16, u16::from(soa), u16::from(has_opt)];
        for field in [0x8180 | flags | rcode].iter().chain(&counts) {
            octets.extend_from_slice(&field.to_be_bytes());
        }
        octets.extend_from_slice(self.question());
        octets.extend(answers.iter().flatten());
        if soa {
            octets.extend(record(&[0xc0, 12], 6, 60, &[[0; 18].as_slice(), &60_u32.to_be_bytes()].concat()));
        }
        if has_opt {
            let mut option = Vec::new();
            if let Some(code) = ede {
                option.extend_from_slice(&[0, 15, 0, (2 + EDE_TEXT.len()) as u8]);
                option.extend_from_slice(&code.to_be_bytes());
                option.extend_from_slice(EDE_TEXT.as_bytes());
            }
            octets.extend_from_slice(&[0, 0, 41, 0x04, 0xd0, 0, 0, 0, 0, 0, option.len() as u8]);
            octets.extend(option);
        }
        octets
    }

    /// The honest answer: the chain of aliases, then `count` addresses.
    pub fn answer(&self, flags: u16, count: u16) -> Vec<u8> {
        let (mut owner, mut records, mut name) = (vec![0xc0, 12], Vec::new(), self.qname.clone());
        while let Some(target) = target(&name) {
            records.push(record(&owner, 5, 300, &wire(&target)));
            (owner, name) = (wire(&target), target);
        }
        let IpAddr::V4(honest) = ADDRESS else { unreachable!() };
        let inside = name.split('.').any(|label| label == "inside");
        let first = if inside { Ipv4Addr::new(10, 0, 0, 1) } else { honest };
        let hint = if inside { &b"\0\x04\0\x04\x0a\0\0\x01"[..] } else { &[] };
        records.extend((0..count).map(|place| {
            let address = u32::from(first) + u32::from(place);
            match self.qtype {
                1 => record(&owner, 1, 300, &address.to_be_bytes()),
                28 => record(&owner, 28, 300, &[&PREFIX[..], &address.to_be_bytes()].concat()),
                64 | 65 => record(&owner, self.qtype, 300, &[&[0, 1][..], &service_target(&name), hint].concat()),
                _ => record(&owner, 16, 300, b"\x04text"),
            }
        }));
        self.reply(flags, 0, &records, false, None)
    }

    /// SERVFAIL, with EDE 6 (DNSSEC Bogus).
    pub fn servfail(&self) -> Vec<u8> {
        self.reply(0, 2, &[], false, Some(6))
    }
}

/// Where a name's alias leads.
fn target(name: &str) -> Option<String> {
    let (label, rest) = name.split_once('.')?;
    let (alias, target) = label.split_once('-')?;
    match alias {
        "alias" | "held" => Some(target.replace('-', ".")),
        "alias2" => Some(format!("alias-{target}.{rest}")),
        "alias3" => Some(format!("alias2-{target}.{rest}")),
        _ => None,
    }
}

/// Whom an HTTPS record names: the root stands for the owner.
fn service_target(name: &str) -> Vec<u8> {
    let label = name.split('.').next().unwrap_or_default();
    label.strip_prefix("service-").map_or(vec![0], |target| wire(&target.replace('-', ".")))
}

/// A name as it travels.
fn wire(name: &str) -> Vec<u8> {
    let label = |label: &str| [&[label.len() as u8], label.as_bytes()].concat();
    name.split('.').flat_map(label).chain([0]).collect()
}

/// One record of class IN.
fn record(owner: &[u8], rtype: u16, ttl: u32, rdata: &[u8]) -> Vec<u8> {
    let length = (rdata.len() as u16).to_be_bytes();
    [owner, &rtype.to_be_bytes(), &[0, 1], &ttl.to_be_bytes(), &length, rdata].concat()
}

/// Does as the first label says.
pub fn by_label(asked: &Asked) -> Step {
    const TC: u16 = 0x0200;
    const AD: u16 = 0x0020;
    let one = asked.answer(0, 1);
    let only = |reply| Step::Send(vec![reply]);
    match (asked.qname.split('.').next().unwrap(), asked.via) {
        ("nx", _) => only(asked.reply(0, 3, &[], true, None)),
        ("nodata", _) => only(asked.reply(0, 0, &[], true, None)),
        ("servfail", _) => only(asked.servfail()),
        ("tc" | "big" | "tc-hold" | "tc-drop" | "tc-last", Via::Udp) => only(asked.reply(TC, 0, &[], false, None)),
        ("big", Via::Tcp) => only(asked.answer(0, 200)),
        ("medium", _) => only(asked.answer(0, 40)),
        ("hold" | "tc-hold", _) => Step::Hold(one),
        ("tc-last", _) => Step::Last(one),
        (held, _) if held.starts_with("held-") => Step::Hold(one),
        ("drop" | "tc-drop", _) => Step::Send(vec![]),
        ("secure", _) => only(asked.answer(AD, 1)),
        ("forged-id", _) => {
            let mut forged = forge(one.clone());
            forged[1] ^= 1;
            Step::Send(vec![forged, one])
        }
        ("forged-question", _) => {
            let mut forged = forge(one.clone());
            forged[13] ^= 1;
            Step::Send(vec![forged, one])
        }
        ("case", Via::Udp) => {
            let mut forged = forge(one);
            forged[12..12 + asked.qname.len()].make_ascii_lowercase();
            only(forged)
        }
        _ => only(one),
    }
}

/// Puts the forger's address in the place of the honest one, which is the message's last four octets before an OPT of 11.
fn forge(mut reply: Vec<u8>) -> Vec<u8> {
    let IpAddr::V4(address) = FORGED else { unreachable!() };
    let at = reply.len() - 11 - 4;
    reply[at..at + 4].copy_from_slice(&address.octets());
    reply
}

/// Answers nothing at all.
pub fn silent(_: &Asked) -> Step {
    Step::Send(vec![])
}

/// Answers SERVFAIL to everything.
pub fn failing(asked: &Asked) -> Step {
    Step::Send(vec![asked.servfail()])
}
