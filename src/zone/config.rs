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
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// The operator's zones.
    pub zones: Vec<ZoneConfig>,
    /// Whether the built-in special names are answered.
    pub special_names: bool,
    /// Special names that are forwarded all the same, by apex: an internal `10.in-addr.arpa`, say.
    pub special_names_forwarded: Vec<Name>,
}

impl Config {
    /// The most zones, and the most forwarded special names (a guess: an organisation has some dozen).
    pub const ZONES_MAX: usize = 1024;
}

impl Default for Config {
    fn default() -> Self {
        Self { zones: Vec::new(), special_names: true, special_names_forwarded: Vec::new() }
    }
}
