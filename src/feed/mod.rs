//! The `feed` room.

mod config;
pub use config::{Config, Format, Source};
