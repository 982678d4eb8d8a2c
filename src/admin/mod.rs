//! The `admin` room.

mod config;
pub use config::Config;
