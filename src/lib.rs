//! Cenote, a DNS sinkhole: the map of the house (grows with it).

pub mod admin;
pub mod cache;
pub mod cli;
pub mod config;
pub mod feed;
pub mod forward;
pub mod index;
pub mod metrics;
pub mod name;
pub mod policy;
pub mod server;
pub mod wire;
pub mod zone;
