//! A client's packet, answered. See `cenote_fuzz::respond`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| cenote_fuzz::respond::run(data));
