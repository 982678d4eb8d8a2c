//! Commands and everything printed.
