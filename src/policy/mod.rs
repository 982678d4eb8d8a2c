//! What happens to a match: feeds in order and their actions, over their [`Index`](crate::index::Index)es; immutable once built.
//!
//! [`Policy::decide`] allocates nothing and has no clock. [`Live`] is the one swap by which a new generation takes over.

mod decide;
mod live;
mod rebinding;

use std::net::{Ipv4Addr, Ipv6Addr};

pub use decide::{Decision, Opinion, Policy, Reason, Verdict};
pub use live::{Live, Reader};
pub use rebinding::Rebinding;

use serde::Deserialize;

/// What happens to a query whose name a feed lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    /// Answered with the sinkhole's addresses; NODATA for every other type.
    Sinkhole,
    /// Answered that the name does not exist.
    Nxdomain,
    /// Answered that the name has no such record.
    Nodata,
    /// Answered REFUSED.
    Refused,
    /// Not answered.
    Drop,
    /// Over UDP answered that the client is to ask over TCP; over TCP no match of this feed, for there the client's address is proven.
    TcpOnly,
    /// Let through, and no later feed is asked; needs `may-allow`.
    Passthru,
    /// Counted as if enforced, and otherwise nothing.
    Observe,
}

impl Action {
    /// Every action, in the order metrics list them.
    pub const ALL: [Self; 8] = [
        Self::Sinkhole,
        Self::Nxdomain,
        Self::Nodata,
        Self::Refused,
        Self::Drop,
        Self::TcpOnly,
        Self::Passthru,
        Self::Observe,
    ];

    /// Its name in the configuration and in a metric's label.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Sinkhole => "sinkhole",
            Self::Nxdomain => "nxdomain",
            Self::Nodata => "nodata",
            Self::Refused => "refused",
            Self::Drop => "drop",
            Self::TcpOnly => "tcp-only",
            Self::Passthru => "passthru",
            Self::Observe => "observe",
        }
    }
}

/// How a query came, which [`Action::TcpOnly`] turns on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Via {
    /// UDP: whoever sent it may have written any address on it.
    Datagram,
    /// TCP.
    Stream,
}

/// A feed as policy sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FeedConfig {
    /// The operator's name for it.
    pub name: String,
    /// What happens to its matches. `None`: an RPZ entry's own action stands, everything else is sunk.
    pub action: Option<Action>,
    /// Whether its passthru entries, or its passthru action, count.
    pub may_allow: bool,
    /// What its names are answered with; `None`: as all others.
    pub sink: Option<SinkConfig>,
}

/// What a sunk name is answered with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SinkConfig {
    /// For A; without one, NODATA.
    pub ipv4: Option<Ipv4Addr>,
    /// For AAAA; without one, NODATA.
    pub ipv6: Option<Ipv6Addr>,
    /// TTL of the addresses and of negative answers, seconds.
    pub ttl_secs: u32,
    /// The EDE INFO-CODE: 15 Blocked, or 17 Filtered (RFC 8914).
    pub ede_code: u16,
    /// The EDE's EXTRA-TEXT: the operator's, the same for every name; at most 128 octets.
    pub ede_text: String,
}

impl Default for SinkConfig {
    fn default() -> Self {
        Self {
            ipv4: Some(Ipv4Addr::UNSPECIFIED),
            ipv6: Some(Ipv6Addr::UNSPECIFIED),
            ttl_secs: 30,
            ede_code: 15,
            ede_text: String::new(),
        }
    }
}
