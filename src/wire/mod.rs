//! DNS messages on the wire: read a query, walk a reply's records, write an answer, EDNS and EDE (RFC 1035, 6891, 8914).
//!
//! Works on the packet's own octets: no allocation, no I/O, no panic on any input. What needs a whole message taken apart
//! (a reply whose OPT is not last) goes through hickory-proto, in `cache/`. Zone files and RDATA as text, which are read when a generation is
//! built and never for a query, allocate ([`ZoneFile`], [`DataType`]).

mod query;
mod rdata;
mod records;
mod shape;
mod write;
mod zone_file;

pub use query::{Edns, Header, Query, QueryError, TRIMMED_OCTETS_MAX};
pub use rdata::DataType;
pub use records::{Question, Record, Records, RecordsError, Section, expand_name, read_question};
pub use write::{Ede, Owner, ReplyFlags, Soa, Writer};
pub use zone_file::{Step, ZoneFile, ttl_secs};

/// Octets of a message header (RFC 1035 §4.1.1).
pub const HEADER_OCTETS: usize = 12;
/// What a client without EDNS takes over UDP (RFC 1035 §4.2.1).
pub const PLAIN_UDP_OCTETS: usize = 512;
/// The most we send over UDP, and what we advertise: fits the IPv6 minimum MTU, so nothing fragments (DNS flag day 2020; RFC 9715).
pub const UDP_OCTETS_MAX: usize = 1232;
/// The longest message over a stream (RFC 1035 §4.2.2).
pub const STREAM_OCTETS_MAX: usize = 65_535;

/// Record and query types by number (IANA DNS parameters).
pub mod rtype {
    #![expect(missing_docs, reason = "each is the registry's own name")]
    pub const A: u16 = 1;
    pub const NS: u16 = 2;
    pub const CNAME: u16 = 5;
    pub const SOA: u16 = 6;
    pub const HINFO: u16 = 13;
    pub const MX: u16 = 15;
    pub const TXT: u16 = 16;
    pub const SIG: u16 = 24;
    pub const KEY: u16 = 25;
    pub const AAAA: u16 = 28;
    pub const NXT: u16 = 30;
    pub const DNAME: u16 = 39;
    pub const OPT: u16 = 41;
    pub const DS: u16 = 43;
    pub const RRSIG: u16 = 46;
    pub const NSEC: u16 = 47;
    pub const DNSKEY: u16 = 48;
    pub const NSEC3: u16 = 50;
    pub const SVCB: u16 = 64;
    pub const HTTPS: u16 = 65;
    pub const TKEY: u16 = 249;
    pub const TSIG: u16 = 250;
    pub const IXFR: u16 = 251;
    pub const AXFR: u16 = 252;
    pub const MAILB: u16 = 253;
    pub const MAILA: u16 = 254;
    pub const ANY: u16 = 255;
}

/// The Internet class (RFC 1035 §3.2.4).
pub const CLASS_IN: u16 = 1;

/// Response codes by number (RFC 6895 §2.3); those over 15 need an OPT.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[expect(missing_docs, reason = "each is the registry's own name")]
#[repr(u8)]
pub enum Rcode {
    NoError = 0,
    FormErr = 1,
    ServFail = 2,
    NxDomain = 3,
    NotImp = 4,
    Refused = 5,
    YxDomain = 6,
    /// Any other that an upstream sent.
    Other = 15,
    BadVers = 16,
}

impl Rcode {
    /// Every code we may send, in the order metrics list them.
    pub const ALL: [Self; 9] = [
        Self::NoError,
        Self::FormErr,
        Self::ServFail,
        Self::NxDomain,
        Self::NotImp,
        Self::Refused,
        Self::YxDomain,
        Self::Other,
        Self::BadVers,
    ];

    /// The code with this number, [`Self::Other`] if it is none we name.
    #[must_use]
    pub const fn from_code(code: u16) -> Self {
        match code {
            0 => Self::NoError,
            1 => Self::FormErr,
            2 => Self::ServFail,
            3 => Self::NxDomain,
            4 => Self::NotImp,
            5 => Self::Refused,
            6 => Self::YxDomain,
            16 => Self::BadVers,
            _ => Self::Other,
        }
    }

    /// The registry's name in small letters, for a metric's label.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::NoError => "noerror",
            Self::FormErr => "formerr",
            Self::ServFail => "servfail",
            Self::NxDomain => "nxdomain",
            Self::NotImp => "notimp",
            Self::Refused => "refused",
            Self::YxDomain => "yxdomain",
            Self::Other => "other",
            Self::BadVers => "badvers",
        }
    }
}

/// Reads a big-endian `u16` at `at`.
#[inline]
#[must_use]
pub fn u16_at(octets: &[u8], at: usize) -> Option<u16> {
    octets.get(at..at + 2).and_then(|pair| pair.try_into().ok()).map(u16::from_be_bytes)
}

/// Reads a big-endian `u32` at `at`.
#[inline]
#[must_use]
pub fn u32_at(octets: &[u8], at: usize) -> Option<u32> {
    octets.get(at..at + 4).and_then(|four| four.try_into().ok()).map(u32::from_be_bytes)
}
