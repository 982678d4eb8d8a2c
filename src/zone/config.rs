//! The settings of the operator's zones and of the special names.

use std::path::PathBuf;

use crate::name::Name;

/// One zone of the operator's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ZoneConfig {
    /// The zone's apex.
    pub apex: Name,
    /// Its zone file (RFC 1035 §5).
    pub file: PathBuf,
}

/// Which names are answered here with authority.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Config {
    /// The operator's zones.
    pub zones: Vec<ZoneConfig>,
    /// The special names.
    pub special_names: SpecialConfig,
}

/// Which special names are answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpecialConfig {
    /// Whether those of the RFCs are.
    pub enabled: bool,
    /// Whether `use-application-dns.net` is said not to be there: Firefox, where it was not told by its user, then asks the network's resolver
    /// and not one of its own.
    pub block_application_dns: bool,
    /// Whether `mask.icloud.com` and `mask-h2.icloud.com` are said not to be there: Apple's devices then tell that the network does not
    /// go with iCloud Private Relay, which would ask elsewhere.
    pub block_private_relay: bool,
    /// Those that are forwarded all the same, by apex: an internal `10.in-addr.arpa`, say.
    pub forwarded: Vec<Name>,
}

impl Config {
    /// The most zones, and the most forwarded special names (a guess: an organisation has some dozen).
    pub const ZONES_MAX: usize = 1024;
}

impl Default for SpecialConfig {
    fn default() -> Self {
        Self { enabled: true, block_application_dns: false, block_private_relay: false, forwarded: Vec::new() }
    }
}
