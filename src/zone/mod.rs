//! The `zone` room.

mod config;
pub use config::{Config, ZoneConfig};
