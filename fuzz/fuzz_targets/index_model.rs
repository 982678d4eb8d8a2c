//! Entries put in an index and in a naive twin. See `cenote_fuzz::index_model`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| cenote_fuzz::index_model::run(data));
