//! STIX: which indicators count, and what each asks for.

use super::super::super::format::tests::entries;
use super::super::super::terms::{IndicatorTerms, Tlp};
use super::super::{JsonFormat, markings};
use super::{OWN, bundle, fell, indicator, read, stix};

#[test]
fn stix_patterns_by_what_is_enough() {
    for (pattern, want) in [
        ("[domain-name:value='a.example.com']", "a.example.com"),
        ("[domain-name:value = ' A.Example.COM. ']", "a.example.com"),
        ("[domain-name:value = '*.a.example.com']", "a.example.com"),
        ("[domain-name:value='b.example' OR ipv4-addr:value='192.0.2.1']", "b.example Answer 192.0.2.1/32"),
        ("[domain-name:value IN ('a.example.com', 'com')]", "a.example.com"),
        ("[domain-name:value='a.example.com' OR domain-name:value LIKE '%']", "a.example.com"),
        (
            "[domain-name:value='a.example.com' AND domain-name:resolves_to_refs[*].value='192.0.2.1']",
            "refused pattern",
        ),
        ("[ipv4-addr:value='192.0.2.0/24']", "Answer 192.0.2.0/24"),
        ("[ipv6-addr:value='2001:db8::1']", "Answer 2001:db8::1/128"),
        ("[ipv4-addr:value='192.0.2.1/24']", "refused network"),
        ("[ipv4-addr:value='127.0.0.1']", "refused inside-address"),
        ("[ipv4-addr:value='128.0.0.0/1']", "refused wide-network"),
        ("[ipv4-addr:value='a.example.com']", "refused network"),
        ("[url:value='http://a.example.com']", "=a.example.com"),
        ("[url:value='https://A.example.com:8443/']", "=a.example.com"),
        ("[url:value='http://a.example.com/x.exe']", "refused url"),
        ("[url:value='http://192.0.2.1/']", "Answer 192.0.2.1/32"),
        ("[url:value='http://[2001:db8::1]/']", "Answer 2001:db8::1/128"),
        ("[url:value='http://localhost/']", "refused boilerplate"),
        ("[url:value='http://com']", "refused tld"),
        ("[url:value='http://']", "refused root"),
        ("[file:name='a.example.com']", "refused observable"),
        ("[process:name='x' AND file:name='y']", "refused observable"),
        ("[domain-name:value MATCHES '.*']", "refused pattern"),
        ("a.example.com", "refused syntax"),
        ("", "refused syntax"),
    ] {
        assert_eq!(
            fell(JsonFormat::Stix, &bundle(&indicator(pattern, "")), IndicatorTerms::default()),
            want,
            "{pattern}"
        );
    }
}

#[test]
fn stix_indicators_that_do_not_count() {
    for (keys, want) in [
        ("", "a.example.com"),
        (r#", "pattern_type": "stix", "spec_version": "2.1""#, "a.example.com"),
        (r#", "pattern_type": "sigma""#, "refused pattern"),
        (r#", "pattern_type": 1"#, "refused syntax"),
        (r#", "revoked": false"#, "a.example.com"),
        (r#", "revoked": true"#, "refused revoked"),
        (r#", "revoked": "maybe""#, "refused syntax"),
        (r#", "valid_from": "2025-01-01T00:00:00Z""#, "a.example.com"),
        (r#", "valid_from": "2025-01-01T00:00:00.001Z""#, "refused not-yet-valid"),
        (r#", "valid_from": "soon""#, "refused syntax"),
        (r#", "valid_until": "2025-01-01T00:00:00Z""#, "refused expired"),
        (r#", "valid_until": "2025-01-01T00:00:01Z""#, "a.example.com"),
        (r#", "valid_until": "2025-01-01""#, "refused syntax"),
        (r#", "valid_until": null"#, "a.example.com"),
        (r#", "valid_until": {"a": [1]}"#, "refused syntax"),
        (r#", "confidence": 0"#, "a.example.com"),
        (r#", "confidence": "high""#, "refused syntax"),
        (r#", "object_marking_refs": "x""#, "refused syntax"),
        (r#", "object_marking_refs": [1]"#, "refused syntax"),
        (r#", "object_marking_refs": {"a": 1}"#, "refused syntax"),
        (r#", "type": 7"#, "refused syntax"),
        (r#", "type": "malware""#, "header"),
        (r#", "pattern": 7"#, "refused syntax"),
        (r#", "pattern": null"#, "refused syntax"),
    ] {
        assert_eq!(stix(keys, IndicatorTerms::default()), want, "{keys}");
    }
    for (objects, want) in [
        ("", "header"),
        (r#"{"type": "identity"}, {"type": "relationship"}, {"type": "domain-name", "value": "a.example"}"#, "header"),
        ("{}", "refused syntax"),
        (r#"7, "x", null, [], [{"type": "indicator"}]"#, &["refused syntax"; 5].join(" ")),
    ] {
        assert_eq!(fell(JsonFormat::Stix, &bundle(objects), IndicatorTerms::default()), want, "{objects}");
    }
}

#[test]
fn stix_filters_by_confidence() {
    for (confidence, least, taken) in
        [(None, 0, true), (None, 1, false), (Some(0), 0, true), (Some(49), 50, false), (Some(50), 50, true)]
    {
        let keys = confidence.map_or(String::new(), |number: i64| format!(", \"confidence\": {number}"));
        let got = stix(&keys, IndicatorTerms { confidence_min: least, ..IndicatorTerms::default() });
        assert_eq!(got, if taken { "a.example.com" } else { "refused confidence" }, "{confidence:?} {least}");
    }
}

/// A bundle of a definition behind the indicator that refers to it.
fn marked(definition: &str, id: &str) -> String {
    let keys = format!(r#", "object_marking_refs": ["{id}"]"#);
    let indicator = indicator("[domain-name:value='a.example.com']", &keys);
    bundle(&format!(r#"{indicator}, {{"type": "marking-definition", "id": "{id}", {definition}}}"#))
}

#[test]
fn stix_filters_by_tlp() {
    let [clear, green, amber, red, clear_2, _, amber_2, strict_2, red_2] = markings::TLP_IDS.map(|(id, _)| id);
    let v1 = |level: &str| format!(r#""definition_type": "tlp", "definition": {{"tlp": "{level}"}}"#);
    let v2 = |level: &str| {
        format!(
            r#""extensions": {{"{}": {{"extension_type": "property-extension", "tlp_2_0": "{level}"}}}}"#,
            markings::TLP_2
        )
    };
    let statement = r#""definition_type": "statement", "definition": {"statement": "Copyright"}"#;
    for (definition, id, strictest) in [
        (statement.to_owned(), OWN, Tlp::Clear),
        (v1("white"), OWN, Tlp::Clear),
        (v1("GREEN"), OWN, Tlp::Green),
        (v1("amber"), OWN, Tlp::Amber),
        (v1("red"), OWN, Tlp::Red),
        (v1("ex:chr"), OWN, Tlp::Red),
        (v2("clear"), OWN, Tlp::Clear),
        (v2("amber+strict"), OWN, Tlp::AmberStrict),
        (v2("red"), OWN, Tlp::Red),
        (r#""definition": {"tlp": 7}"#.to_owned(), OWN, Tlp::Red),
        (v1("white"), red, Tlp::Red), // the id says more than what it is defined as
        (v1("red"), clear, Tlp::Clear),
        (statement.to_owned(), green, Tlp::Green),
        (statement.to_owned(), amber, Tlp::Amber),
        (statement.to_owned(), clear_2, Tlp::Clear),
        (statement.to_owned(), amber_2, Tlp::Amber),
        (statement.to_owned(), strict_2, Tlp::AmberStrict),
        (statement.to_owned(), red_2, Tlp::Red),
    ] {
        for tlp_max in [Tlp::Clear, Tlp::Green, Tlp::Amber, Tlp::AmberStrict, Tlp::Red] {
            let want = if strictest <= tlp_max { "a.example.com" } else { "refused marking" };
            let terms = IndicatorTerms { tlp_max, ..IndicatorTerms::default() };
            assert_eq!(fell(JsonFormat::Stix, &marked(&definition, id), terms), want, "{id} {definition} {tlp_max:?}");
        }
    }
    for (keys, want) in [
        (format!(r#", "object_marking_refs": ["{OWN}"]"#), "refused marking"), // defined nowhere
        (format!(r#", "object_marking_refs": ["{clear}", "{amber}"]"#), "refused marking"),
        (
            format!(r#", "granular_markings": [{{"marking_ref": "{amber}", "selectors": ["pattern"]}}]"#),
            "refused marking",
        ),
        (
            format!(r#", "granular_markings": [{{"marking_ref": "{amber}", "selectors": ["description"]}}]"#),
            "a.example.com",
        ),
        (r#", "granular_markings": [{"lang": "en", "selectors": ["pattern"]}]"#.to_owned(), "a.example.com"),
        (String::new(), "a.example.com"),
    ] {
        let terms = IndicatorTerms { tlp_max: Tlp::Green, ..IndicatorTerms::default() };
        assert_eq!(stix(&keys, terms), want, "{keys}");
    }
}

#[test]
fn stix_filters_by_the_marking_that_is_asked_for() {
    let sensitivity = "NTOC_DHS_ECYBER_SVC_SHARE.NSA.NSA";
    let new = |set: &str| {
        format!(r#""extensions": {{"{}": {{"identifier": "isa:1", "control_set": {set}}}}}"#, markings::ACS[0])
    };
    let old =
        |set: &str| format!(r#""definition_type": "{}", "definition": {{"control_set": {set}}}"#, markings::ACS[1]);
    let has = format!(r#"{{"classification": "U", "sensitivity": ["PR", "{sensitivity}"]}}"#);
    let lacks = r#"{"classification": "U", "sensitivity": ["PR"]}"#;
    for (definition, asked_for, taken) in [
        (new(&has), sensitivity, true),
        (new(lacks), sensitivity, false),
        (new(&has), "isa:1", true),
        (new(&has), OWN, true),
        (old(&has), sensitivity, true),
        (old(lacks), sensitivity, false),
        (format!(r#""name": "{sensitivity}""#), sensitivity, false),
    ] {
        let terms = IndicatorTerms { marking: Some(asked_for.to_owned()), ..IndicatorTerms::default() };
        let want = if taken { "a.example.com" } else { "refused marking" };
        assert_eq!(fell(JsonFormat::Stix, &marked(&definition, OWN), terms), want, "{asked_for}: {definition}");
    }
    for (keys, want) in
        [(String::new(), "refused marking"), (format!(r#", "object_marking_refs": ["{OWN}"]"#), "a.example.com")]
    {
        let terms = IndicatorTerms { marking: Some(OWN.to_owned()), ..IndicatorTerms::default() };
        assert_eq!(stix(&keys, terms), want, "{keys}");
    }
}

#[test]
fn what_is_to_be_destroyed_is_used_no_longer() {
    for (date, want) in [
        (r#""2024-12-31T00:00:00Z""#, "refused expired"),
        (r#""2025-12-31T00:00:00Z""#, "a.example.com"),
        (r#""some day""#, "refused expired"),
        ("7", "refused expired"),
        ("null", "a.example.com"),
    ] {
        let definition = format!(
            r#""extensions": {{"{}": {{"resource_disposition": {{"disposition_date": {date}}}}}}}"#,
            markings::ACS[0]
        );
        assert_eq!(fell(JsonFormat::Stix, &marked(&definition, OWN), IndicatorTerms::default()), want, "{date}");
    }
}

#[test]
fn of_several_versions_the_last_counts() {
    let version = |name: &str, modified: &str, keys: &str| {
        indicator(&format!("[domain-name:value='{name}.example']"), &format!(r#", "modified": "{modified}"{keys}"#))
    };
    let (early, late) = ("2021-01-01T00:00:00.000Z", "2021-01-01T00:00:00.001Z");
    let revoked = r#", "revoked": true"#;
    for (one, two, want) in [
        (version("a", early, ""), version("b", late, ""), "b.example refused superseded"),
        (version("b", late, ""), version("a", early, ""), "b.example refused superseded"),
        (version("a", early, ""), version("b", early, ""), "a.example b.example"),
        (version("a", early, ""), version("a", late, revoked), "refused revoked refused superseded"),
        (version("a", early, revoked), version("a", early, ""), "refused revoked refused superseded"),
        (version("a", early, revoked), version("a", late, ""), "a.example refused superseded"),
        (version("a", "never", ""), version("b", early, ""), "b.example refused superseded"),
        (
            version("a", early, ""),
            version("b", late, "").replace("indicator--1", "indicator--2"),
            "a.example b.example",
        ),
    ] {
        let text = bundle(&format!("{one}, {two}"));
        assert_eq!(fell(JsonFormat::Stix, &text, IndicatorTerms::default()), want, "{text}");
    }
}

#[test]
fn stix_keys_in_any_order_and_what_stands_around() {
    let object = r#"{"pattern": "[domain-name:value='a.example.com']", "description": "\" } ]", "id": "i", "type": "indicator"}"#;
    for text in [
        format!(r#"{{"objects": [{object}], "id": "bundle--1", "type": "bundle"}}"#),
        format!("\u{feff} {{\"objects\"\r\n:\t[{object}]}}\n\n"),
        format!(r#"{{"more": true, "next": "2", "objects": [{object}]}}"#),
        format!(r#"{{"objects": 7, "other": [{{"objects": [{object}, {object}]}}], "objects": [{object}]}}"#),
    ] {
        let (sorted, report) = read(JsonFormat::Stix, text.as_bytes(), IndicatorTerms::default()).unwrap();
        assert_eq!((entries(&sorted), report.lines, report.used), (vec!["a.example.com".to_owned()], 1, 1), "{text}");
    }
}
