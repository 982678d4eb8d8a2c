//! An artifact's octets, opened. See `cenote_fuzz::artifact_open`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| cenote_fuzz::artifact_open::run(data));
