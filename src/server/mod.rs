//! The `server` room.

mod config;
pub use config::{AccessConfig, Config, LISTEN_MAX, WORKERS_MAX};
