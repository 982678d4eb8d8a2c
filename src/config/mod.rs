//! The only door for TOML.
