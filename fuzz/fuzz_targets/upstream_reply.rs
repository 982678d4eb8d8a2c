//! An upstream's reply, judged, kept and written out. See `cenote_fuzz::upstream_reply`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| cenote_fuzz::upstream_reply::run(data));
