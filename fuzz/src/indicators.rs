//! A feed's JSON through `feed::Survey`, in both formats.
//!
//! Input: an octet (1 trusts suffixes; 2 takes the hosts of all URLs; 4 asks for a marking, 8 for a TLP, 16 for a confidence), then the text.

use cenote::feed::{IndicatorTerms, JsonFormat, Survey, Terms, Tlp};

use super::octet;

/// 2025-01-01T00:00:00Z.
const NOW_SECS: u64 = 1_735_689_600;

/// Reads the text and checks the books.
pub fn run(data: &[u8]) {
    let mut text = data;
    let switches = octet(&mut text);
    let indicators = IndicatorTerms {
        confidence_min: if switches & 16 != 0 { 50 } else { 0 },
        tlp_max: if switches & 8 != 0 { Tlp::Green } else { Tlp::Red },
        marking: (switches & 4 != 0).then(|| "asked-for".to_owned()),
        url_hosts: switches & 2 != 0,
    };
    let terms = Terms { trust_suffixes: switches & 1 != 0, indicators, ..Terms::default() };
    for format in JsonFormat::ALL {
        let Ok(survey) = Survey::of(text, format, &terms) else {
            continue;
        };
        // The second pass keeps more strings than the first, and may find one that is not UTF-8.
        let Ok((sorted, report)) = survey.read(text, NOW_SECS) else {
            continue;
        };
        assert!(report.balanced(), "{report:?}");
        assert_eq!((report.entries, report.format), (sorted.len() as u64, format.format()));
        assert!(report.used <= report.lines && (report.used > 0) == (report.entries > 0), "{report:?}");
        assert!(report.lines <= text.len() as u64, "each object is at least one octet");
        let keys: Vec<&[u8]> = sorted.iter().map(|(key, _)| key).collect();
        assert!(keys.is_sorted_by(|a, b| a < b), "sorted and unique");
        assert_eq!(sorted.len(), keys.len() + sorted.networks().count());
    }
}
