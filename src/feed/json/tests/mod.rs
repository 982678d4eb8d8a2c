//! Whole files: where each object falls, whatever stands around it.

mod on_misp;
mod on_stix;

use std::fmt::Write as _;

use super::super::format::tests::entries;
use super::super::terms::IndicatorTerms;
use super::super::{Reason, Report, Terms};
use super::{DEPTH_MAX, JsonError, JsonFormat, Survey};
use crate::index::Sorted;

/// 2025-01-01T00:00:00Z.
const NOW_SECS: u64 = 1_735_689_600;
/// A marking definition's id that no other has.
const OWN: &str = "marking-definition--11111111-1111-4111-8111-111111111111";

/// Reads a file in both passes.
fn read(format: JsonFormat, text: &[u8], indicators: IndicatorTerms) -> Result<(Sorted, Report), JsonError> {
    let terms = Terms { indicators, ..Terms::default() };
    let (sorted, report) = Survey::of(text, format, &terms)?.read(text, NOW_SECS)?;
    assert!(report.balanced(), "{}: {report:?}", String::from_utf8_lossy(text));
    assert_eq!(report.entries, sorted.len() as u64);
    Ok((sorted, report))
}

/// What came of a file: its entries, and each reason as often as it was; `header` if nothing else.
fn fell(format: JsonFormat, text: &str, indicators: IndicatorTerms) -> String {
    let (sorted, report) = read(format, text.as_bytes(), indicators).unwrap_or_else(|error| panic!("{text}: {error}"));
    let refused = report.refusals().flat_map(|(reason, count)| {
        std::iter::repeat_n(format!("refused {}", reason.label()), usize::try_from(count).unwrap())
    });
    let shown: Vec<_> = entries(&sorted).into_iter().chain(refused).collect();
    if shown.is_empty() { "header".to_owned() } else { shown.join(" ") }
}

/// A bundle of these objects.
fn bundle(objects: &str) -> String {
    format!(r#"{{"type": "bundle", "id": "bundle--1", "objects": [{objects}]}}"#)
}

/// An indicator with this pattern and these other keys.
fn indicator(pattern: &str, keys: &str) -> String {
    let pattern = pattern.replace('\\', "\\\\").replace('"', "\\\"");
    format!(r#"{{"type": "indicator", "id": "indicator--1", "pattern": "{pattern}"{keys}}}"#)
}

/// What comes of an indicator for a name, with these other keys.
fn stix(keys: &str, indicators: IndicatorTerms) -> String {
    fell(JsonFormat::Stix, &bundle(&indicator("[domain-name:value='a.example.com']", keys)), indicators)
}

/// What comes of one attribute, of an event with these other keys.
fn misp(kind: &str, value: &str, keys: &str, event: &str, indicators: IndicatorTerms) -> String {
    let attribute = format!(r#"{{"type": "{kind}", "value": "{value}", {keys}}}"#);
    let text = format!(r#"{{"Event": {{"id": "1", "Attribute": [{attribute}]{event}}}}}"#);
    fell(JsonFormat::Misp, &text, indicators)
}

/// What published lists hold in place of names, and what each of the formats makes of it.
#[test]
fn what_real_lists_hold_in_place_of_names() {
    let long = "a".repeat(64) + ".example.com";
    for (value, want) in [
        ("109.201.135.46", "refused address"),
        ("2001:148f:fffe::1", "refused address"),
        ("103.114.104.194/31", "refused cidr"),
        ("47.106.91.17:9999", "refused address"),
        (".id.google.ac", "id.google.ac"),
        ("*.2mdn.net", "2mdn.net"),
        ("array*-prod.do.dsp.mp.microsoft.com", "refused wildcard"),
        ("disçordapp.com", "xn--disordapp-s3a.com"),
        ("xn--4x6-jgq.adj.st", "xn--4x6-jgq.adj.st"),
        ("r1---sn-i3b7kn7s.googlevideo.com", "r1---sn-i3b7kn7s.googlevideo.com"),
        ("119_51377620.ampnetwork.net", "119_51377620.ampnetwork.net"),
        ("aftr-88-152-.tumblr.com", "aftr-88-152-.tumblr.com"),
        ("sO.2mdn.net", "so.2mdn.net"),
        ("abbp1.science.", "abbp1.science"),
        ("zec-asia1..nanopool.org", "refused empty-label"),
        (&long, "refused label-too-long"),
        ("fgr1w2gnsdvsb.xyz/x", "refused path"),
        ("example.com:8080", "refused port"),
        ("http://example.com/", "refused url"),
        ("domain autuo.xicp.net", "refused character"),
        ("a\u{a0}b.example.com", "refused character"),
        ("country", "refused tld"),
        ("inf", "refused single-label"),
        ("ce.gov.br", "refused public-suffix"),
        ("csb.app", "csb.app"),
        ("x.bazar", "x.bazar"),
        ("localhost", "refused boilerplate"),
        ("", "refused root"),
    ] {
        let pattern = format!("[domain-name:value = '{value}']");
        let got = fell(JsonFormat::Stix, &bundle(&indicator(&pattern, "")), IndicatorTerms::default());
        assert_eq!(got, want, "STIX {value}");
        for kind in ["domain", "hostname"] {
            assert_eq!(misp(kind, value, r#""to_ids": true"#, "", IndicatorTerms::default()), want, "MISP {value}");
        }
    }
}

#[test]
fn a_url_with_a_path_is_its_host_only_if_the_operator_says_so() {
    let terms = || IndicatorTerms { url_hosts: true, ..IndicatorTerms::default() };
    for (url, want) in [
        ("http://a.example.com/x.exe?y#z", "=a.example.com"),
        ("ftp://me:word@a.example.com:21/", "=a.example.com"),
        ("https://192.0.2.1/x", "Answer 192.0.2.1/32"),
        ("https://10.0.0.1/x", "refused inside-address"),
        ("/x.exe", "refused root"),
    ] {
        assert_eq!(misp("url", url, r#""to_ids": true"#, "", terms()), want, "MISP {url}");
        let text = bundle(&indicator(&format!("[url:value = '{url}']"), ""));
        assert_eq!(fell(JsonFormat::Stix, &text, terms()), want, "STIX {url}");
    }
}

#[test]
fn what_is_not_json_ends_the_load_and_says_where_alone() {
    let good = bundle(&indicator("[domain-name:value='canary.example']", ""));
    let deep = format!(r#"{{"canary": {}1{}}}"#, "[".repeat(DEPTH_MAX), "]".repeat(DEPTH_MAX));
    for (text, want) in [
        (String::new(), "got only its beginning: it ends at line 1, column 0"),
        ("canary.example".to_owned(), "a syntax error at line 1, column 1"),
        (good[..good.len() - 1].to_owned(), "got only its beginning"),
        (good[..good.len() - 20].to_owned(), "got only its beginning"),
        (good.clone() + "\n]", "a syntax error at line 2, column 1"),
        (good.clone() + &good, "a syntax error at line 1"),
        (good.replace("\"id\"", "\n\"id\",\n"), "a syntax error at line 2"),
        (good.replace("canary", "can\nary"), "a syntax error at line 2, column 0"),
        (good.replace("\"objects\"", "\"canary\": 01, \"objects\""), "a syntax error"),
        (deep, "at most 64 values inside one another, got more at line 1"),
    ] {
        for format in JsonFormat::ALL {
            let error = read(format, text.as_bytes(), IndicatorTerms::default()).unwrap_err();
            assert!(error.to_string().contains(want), "{text}: {error} lacks {want}");
            assert!(!format!("{error} {error:?}").contains("canary"), "{error:?}");
        }
    }
    // Half a surrogate pair, or what is not UTF-8 (RFC 8259 §8.1), is no JSON in what is kept; in what is not kept nobody looks.
    for octets in [&b"\\ud800"[..], b"\xca"] {
        let mut text = good.replace("canary", "can\u{1}ary").into_bytes();
        let place = text.iter().position(|&octet| octet == 1).unwrap();
        text.splice(place..=place, octets.iter().copied());
        assert!(matches!(read(JsonFormat::Stix, &text, IndicatorTerms::default()), Err(JsonError::Syntax { .. })));
        assert!(read(JsonFormat::Misp, &text, IndicatorTerms::default()).is_ok());
    }
}

#[test]
fn a_long_string_costs_its_own_object() {
    let long = indicator(&format!("[domain-name:value='{}']", "x".repeat(70_000)), "");
    let described =
        indicator("[domain-name:value='a.example.com']", &format!(r#", "description": "{}""#, "x".repeat(70_000)));
    let got = fell(JsonFormat::Stix, &bundle(&format!("{long}, {described}")), IndicatorTerms::default());
    assert_eq!(got, "a.example.com refused line-too-long");
    let got = misp("domain", &"x".repeat(70_000), r#""to_ids": true"#, "", IndicatorTerms::default());
    assert_eq!(got, "refused line-too-long");
}

#[test]
fn objects_are_numbered_and_counted_like_lines() {
    let objects = [
        r#"{"type": "identity"}"#.to_owned(),
        indicator("[domain-name:value='a.example']", "").replace("--1", "--2"),
        indicator("[domain-name:value='com']", "").replace("--1", "--3"),
        indicator("[domain-name:value='A.example' OR url:value='http://x.example/x']", "").replace("--1", "--4"),
        indicator("[domain-name:value='b.example' OR domain-name:value LIKE 'c']", "").replace("--1", "--5"),
        indicator("[file:name='x']", "").replace("--1", "--6"),
    ];
    let (sorted, report) =
        read(JsonFormat::Stix, bundle(&objects.join(",\n")).as_bytes(), IndicatorTerms::default()).unwrap();
    assert_eq!(entries(&sorted), ["a.example", "b.example"]);
    let Report { lines, used, duplicate, comment, header, names_refused, .. } = report;
    assert_eq!([lines, used, duplicate, comment, header, report.refused_total()], [6, 2, 1, 0, 1, 2]);
    assert_eq!(report.refused_at, [(3, Reason::Tld), (6, Reason::Observable)]);
    assert_eq!((names_refused, report.unit()), (2, "objects"));
}

#[test]
fn any_octets_at_all_balance() {
    let mut state = 7_u64;
    let mut random = |below: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        usize::try_from(state >> 33).unwrap() % below
    };
    let pieces = [
        "{",
        "}",
        "[",
        "]",
        ",",
        ":",
        "\"",
        "null",
        "1",
        "true",
        "\"type\":",
        "\"indicator\"",
        "\"pattern\":",
        "\"objects\":",
        "\"Event\":",
        "\"Attribute\":",
        "\"domain\"",
        "\"value\":",
        "\"to_ids\":",
        "\"Tag\":",
        "\"name\":",
        "\"tlp:red\"",
        "\"id\":",
        "\"response\":",
        "\"[domain-name:value='a.example']\"",
        "\"marking-definition\"",
        "\"definition\":",
        "\"object_marking_refs\":",
        "\\u00",
        "\u{e9}",
    ];
    for _ in 0..20_000 {
        let mut text = String::from("{\"objects\":[");
        for _ in 0..random(24) {
            write!(text, "{}", pieces[random(pieces.len())]).unwrap();
        }
        for format in JsonFormat::ALL {
            drop(read(format, text.as_bytes(), IndicatorTerms::default()));
        }
    }
}
