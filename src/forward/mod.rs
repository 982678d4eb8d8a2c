//! The `forward` room.

mod config;
pub use config::{Config, UPSTREAMS_MAX};
