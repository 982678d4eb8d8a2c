//! What an address is: [`ClientNetwork`], what a client is counted by.
//!
//! No socket, no clock; nothing printed from here shows an address.

mod client_network;

pub use client_network::ClientNetwork;
