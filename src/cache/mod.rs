//! The `cache` room.

mod config;
pub use config::Config;
