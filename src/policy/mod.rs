//! What happens to a match, for whom, and why: feeds and their actions over their [`Index`](crate::index::Index)es, and tenants, each with its
//! own order of them; immutable once built.
//!
//! [`Judge`] decides; it allocates nothing and has no clock. [`Live`] is the one swap by which a new generation takes over.

mod entry;
mod feeds;
mod garden;
mod hearing;
mod judge;
mod live;
#[cfg(test)]
mod model;
mod order;
mod rebinding;
mod tenant;
mod territory;
#[cfg(test)]
mod tests;
mod verdict;

use std::net::{Ipv4Addr, Ipv6Addr};

pub use entry::EntryAt;
pub use feeds::Policy;
pub use garden::Garden;
pub use judge::Judge;
pub use live::{Live, Reader};
pub use order::Order;
pub use rebinding::Rebinding;
pub use tenant::{BeforeLoad, DEFAULT_TENANT, Figures, Standing, TENANTS_MAX, Tenant, TenantConfig, Tenants};
pub use territory::Territory;
pub use verdict::{By, Decision, Opinion, Reason, Trigger, Verdict};

pub use crate::index::Record;

use serde::Deserialize;

/// What happens to a query whose name a feed lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    /// Answered with the sinkhole's addresses, NODATA for every other type; or as an alias of the walled garden.
    Sinkhole,
    /// Answered with the records that an RPZ entry brings; no feed's action as a whole.
    #[serde(skip)]
    Data,
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
    pub const ALL: [Self; 9] = [
        Self::Sinkhole,
        Self::Data,
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
            Self::Data => "data",
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
    /// Whether the names that an answer leads to are looked up in it.
    pub check_targets: bool,
    /// Whether the addresses in an answer are.
    pub check_addresses: bool,
    /// What its names are answered with; `None`: as all others.
    pub sink: Option<SinkConfig>,
}

impl FeedConfig {
    /// One of this name with nothing else said.
    #[must_use]
    pub const fn plain(name: String) -> Self {
        Self { name, action: None, may_allow: false, check_targets: true, check_addresses: true, sink: None }
    }
}

/// Whose the SOA of a negative answer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SoaOwner {
    /// The name asked.
    Name,
    /// The zone that the answer would be from if nothing were listed: of NXDOMAIN the name above the entry, of NODATA the entry's own.
    Zone,
}

/// What a sunk name is answered with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SinkConfig {
    /// The walled garden that sunk names are aliases of; without one they have the addresses themselves.
    pub cname: Option<Garden>,
    /// For A, the garden's if there is one; without one, NODATA, or the alias alone.
    pub ipv4: Option<Ipv4Addr>,
    /// For AAAA, the garden's if there is one; without one, NODATA, or the alias alone.
    pub ipv6: Option<Ipv6Addr>,
    /// TTL of the addresses and of negative answers, seconds.
    pub ttl_secs: u32,
    /// MNAME and RNAME of the SOA in negative answers, in wire form, one behind the other; at most 128 octets.
    pub soa_names: Box<[u8]>,
    /// Its SERIAL, REFRESH, RETRY, EXPIRE and MINIMUM; `None`: such that say nothing, and `ttl_secs` as MINIMUM.
    pub soa_numbers: Option<[u32; 5]>,
    /// Whose it is.
    pub soa_owner: SoaOwner,
    /// Whether MX is answered with the null MX of RFC 7505, where A and AAAA are answered with an address or an alias.
    pub null_mx: bool,
    /// The EDE INFO-CODE: 15 Blocked, or 17 Filtered (RFC 8914); `None`: no EDE at all.
    pub ede_code: Option<u16>,
    /// The EDE's EXTRA-TEXT: the operator's, the same for every name; at most 128 octets.
    pub ede_text: String,
}

impl Default for SinkConfig {
    fn default() -> Self {
        Self {
            cname: None,
            ipv4: Some(Ipv4Addr::UNSPECIFIED),
            ipv6: Some(Ipv6Addr::UNSPECIFIED),
            ttl_secs: 30,
            // Two roots, which say nothing of anyone.
            soa_names: [0, 0].into(),
            soa_numbers: None,
            soa_owner: SoaOwner::Name,
            null_mx: false,
            ede_code: Some(15),
            ede_text: String::new(),
        }
    }
}
