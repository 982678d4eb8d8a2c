//! One binary for everything that is tested from outside a room.

mod rooms;
