//! MISP: which attributes count, and what each asks for.

use super::super::super::Reason;
use super::super::super::format::tests::entries;
use super::super::super::terms::{IndicatorTerms, Tlp};
use super::super::JsonFormat;
use super::{fell, misp, read};

#[test]
fn misp_attributes_by_type_and_use() {
    let (used, unused) = (r#""to_ids": true"#, r#""to_ids": false"#);
    for (kind, value, keys, want) in [
        ("domain", "a.example.com", used, "a.example.com"),
        ("hostname", "a.example.com", used, "a.example.com"),
        ("domain|ip", "a.example.com|192.0.2.1", used, "a.example.com"),
        ("domain|ip", "a.example.com", used, "a.example.com"),
        ("domain", "a.example.com|192.0.2.1", used, "refused character"),
        ("hostname|port", "a.example.com|443", used, "a.example.com"),
        ("url", "http://a.example.com/", used, "=a.example.com"),
        ("url", "http://a.example.com/x", used, "refused url"),
        ("url", "a.example.com/x", used, "refused url"),
        ("ip-dst", "192.0.2.1", used, "Answer 192.0.2.1/32"),
        ("ip-dst", "192.0.2.0/24", used, "Answer 192.0.2.0/24"),
        ("ip-dst", "2001:db8::1", used, "Answer 2001:db8::1/128"),
        ("ip-dst", "192.168.1.1", used, "refused inside-address"),
        ("ip-dst|port", "192.0.2.1|443", used, "Answer 192.0.2.1/32"),
        ("ip-src", "192.0.2.1", used, "header"),
        ("sha256", "ab", used, "header"),
        ("comment", "a.example.com", unused, "header"),
        ("domain", "a.example.com", unused, "refused not-to-ids"),
        ("domain", "a.example.com", r#""to_ids": "1""#, "a.example.com"),
        ("domain", "a.example.com", r#""to_ids": 0"#, "refused not-to-ids"),
        ("domain", "a.example.com", r#""to_ids": null"#, "refused not-to-ids"),
        ("domain", "a.example.com", r#""to_ids": "x""#, "refused syntax"),
        ("domain", "a.example.com", r#""to_ids": true, "deleted": true"#, "refused revoked"),
        ("domain", "a.example.com", r#""to_ids": true, "deleted": "0""#, "a.example.com"),
        ("domain", "a.example.com", r#""to_ids": true, "last_seen": "2019-01-01T00:00:00Z""#, "a.example.com"),
        ("domain", "a.example.com", r#""to_ids": true, "value": ["x"]"#, "refused syntax"),
        ("domain", "a.example.com", r#""to_ids": true, "value": null"#, "refused syntax"),
        ("domain", "a.example.com", r#""to_ids": true, "type": null"#, "refused syntax"),
    ] {
        assert_eq!(misp(kind, value, keys, "", IndicatorTerms::default()), want, "{kind} {value} {keys}");
    }
    for attributes in ["7", "[7]", "[[]]", "null"] {
        let text = format!(r#"{{"Event": {{"Attribute": {attributes}}}}}"#);
        let want = if attributes.starts_with("[") { "refused syntax" } else { "header" };
        assert_eq!(fell(JsonFormat::Misp, &text, IndicatorTerms::default()), want, "{text}");
    }
}

#[test]
fn misp_tags_of_events_and_attributes() {
    let tags = |names: &[&str]| {
        let tags: Vec<_> =
            names.iter().map(|name| format!(r#"{{"id": "1", "name": "{}"}}"#, name.replace('"', "\\\""))).collect();
        format!(r#", "Tag": [{}]"#, tags.join(", "))
    };
    let used = r#""to_ids": true"#;
    let green = || IndicatorTerms { tlp_max: Tlp::Green, ..IndicatorTerms::default() };
    let half = || IndicatorTerms { confidence_min: 50, ..IndicatorTerms::default() };
    let asking = || IndicatorTerms { marking: Some("share:\u{e9}cs".into()), ..IndicatorTerms::default() };
    let (taken, marking, confidence) = ("a.example.com", "refused marking", "refused confidence");
    let sure = r#"misp:confidence-level="completely-confident""#;
    let unsure = r#"misp:confidence-level="rarely-confident""#;
    for (event, attribute, terms, want) in [
        (&["tlp:white"][..], &[][..], green(), taken),
        (&["TLP:GREEN", "other"], &[], green(), taken),
        (&["tlp:amber"], &[], green(), marking),
        (&["tlp:amber+strict"], &[], IndicatorTerms { tlp_max: Tlp::Amber, ..IndicatorTerms::default() }, marking),
        (&["tlp:ex:chr"], &[], green(), marking),
        (&["tlp:clear", "tlp:red"], &[], green(), marking),
        (&[], &["tlp:red"], green(), marking),
        (&["tlp:amber"], &["tlp:clear"], green(), marking),
        (&[], &[], green(), taken),
        (&[], &[], half(), confidence),
        (&[sure], &[], half(), taken),
        (&[unsure], &[], half(), confidence),
        (&[unsure], &[sure], half(), taken),
        (&[sure], &[unsure], half(), confidence),
        (&[], &[], asking(), marking),
        (&["share:\u{e9}cs"], &[], asking(), taken),
        (&[], &["x", "share:\u{e9}cs"], asking(), taken),
    ] {
        let keys = format!("{used}{}", tags(attribute));
        assert_eq!(misp("domain", "a.example.com", &keys, &tags(event), terms), want, "{event:?} {attribute:?}");
    }
}

#[test]
fn misp_events_however_they_are_wrapped() {
    let attribute = |name: &str| format!(r#"{{"type": "domain", "to_ids": true, "value": "{name}.example"}}"#);
    let event = |name: &str, tag: &str| {
        format!(r#"{{"Event": {{"Attribute": [{}], "Tag": [{{"name": "{tag}"}}]}}}}"#, attribute(name))
    };
    let (a, b) = (event("a", "tlp:red"), event("b", "tlp:green"));
    let object = format!(
        r#"{{"Event": {{"Object": [{{"name": "x", "Attribute": [{}]}}, 7], "Attribute": []}}}}"#,
        attribute("b")
    );
    for text in [
        format!("[{a}, {b}]"),
        format!("[{b}, {a}]"),
        format!(r#"{{"response": [{a}, {b}]}}"#),
        format!(r#"{{"response": [[{a}], [{b}]], "other": {b}}}"#),
        format!(r#"{{"response": {b}}}"#),
        format!(r#"{{"response": {{"Attribute": [{}]}}}}"#, attribute("b")),
        object.clone(),
        format!("[{object}, {a}]"),
        format!(
            r#"{{"Event": {{"RelatedEvent": [{a}], "ShadowAttribute": [{}], "Attribute": [{}]}}}}"#,
            attribute("a"),
            attribute("b")
        ),
    ] {
        let terms = IndicatorTerms { tlp_max: Tlp::Green, ..IndicatorTerms::default() };
        let (sorted, report) = read(JsonFormat::Misp, text.as_bytes(), terms).unwrap();
        assert_eq!(entries(&sorted), ["b.example"], "{text}");
        assert!(report.refusals().all(|(reason, count)| (reason, count) == (Reason::Marking, 1)), "{text}");
    }
}
