//! The sample feed compiled into the program, so that the first start has something to sink. Read by the ordinary plain parser.

/// Its text.
pub(super) const SAMPLE: &[u8] = include_bytes!("sample.txt");

/// A name of it, to try: everybody has the sample, so that it may be shown.
pub const SAMPLE_NAME: &str = "malware.example";

#[cfg(test)]
mod tests {
    use super::super::Terms;
    use super::super::format::{TextFormat, read_text};
    use super::*;

    #[test]
    fn every_name_is_taken_and_none_can_exist() {
        let (sorted, report) = read_text(SAMPLE, TextFormat::Plain, &Terms::default()).unwrap();
        assert!(report.balanced());
        assert!(std::str::from_utf8(SAMPLE).unwrap().lines().any(|line| line == SAMPLE_NAME));
        assert_eq!((report.refused_total(), report.duplicate, sorted.len()), (0, 0, 10));
        for name in std::str::from_utf8(SAMPLE).unwrap().lines().filter(|line| !line.starts_with('#')) {
            // RFC 2606 §2 and §3.
            let reserved = [".example", ".test", ".example.com", ".example.net", ".example.org"];
            assert!(reserved.iter().any(|end| name.ends_with(end)), "{name}");
        }
    }
}
