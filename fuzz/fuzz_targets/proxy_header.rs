//! What may be a PROXY header. See `cenote_fuzz::proxy_header`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| cenote_fuzz::proxy_header::run(data));
