//! A feed's JSON, read in each format. See `cenote_fuzz::indicators`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| cenote_fuzz::indicators::run(data));
