//! A feed's text, read in each format. See `cenote_fuzz::feed_format`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| cenote_fuzz::feed_format::run(data));
