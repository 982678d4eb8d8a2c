//! The alerts that are shipped: each is tried once where it fires and once where it nearly does, and speaks of metrics, rules and outcomes that
//! exist. `.ci/run` has promtool run the cases; here it is seen that there are any.

use std::collections::{BTreeMap, BTreeSet};

const ALERTS: &str = include_str!("../../deploy/alerts.yml");
const CASES: &str = include_str!("../alerts.yml");
/// Every series that is exposed, with what labels are words of ours.
const EXPOSED: &str = include_str!("../../src/metrics/golden.txt");

/// Each alert's text by its name.
fn alerts() -> BTreeMap<&'static str, &'static str> {
    let texts = ALERTS.split("- alert: ").skip(1);
    texts.map(|text| text.split_once('\n').expect("an alert has more than a name")).collect()
}

/// Each case's text by its name.
fn cases() -> BTreeMap<&'static str, &'static str> {
    CASES.split("- name: ").skip(1).map(|text| text.split_once('\n').expect("a case has more than a name")).collect()
}

/// The words in a text that begin so.
fn words<'t>(text: &'t str, front: &'t str) -> impl Iterator<Item = &'t str> {
    let is_of_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    text.split(move |c| !is_of_word(c)).filter(move |word| word.starts_with(front))
}

/// The values of a label, as `label="a"` or `label=~"a|b"` has them.
fn values<'t>(text: &'t str, label: &str) -> Vec<&'t str> {
    let behind = |operator: &str| {
        let texts = text.split(&format!("{label}{operator}\"")).skip(1).collect::<Vec<_>>();
        texts.into_iter().filter_map(|text| text.split('"').next()).flat_map(|values| values.split('|'))
    };
    ["=", "!=", "=~", "!~"].iter().flat_map(|operator| behind(operator).collect::<Vec<_>>()).collect()
}

#[test]
fn each_alert_fires_in_one_case_and_stays_silent_in_another() {
    let (alerts, mut cases) = (alerts(), cases());
    assert!(alerts.len() > 10, "{alerts:?}");
    for alert in alerts.keys() {
        for (does, expects_none) in [("fires", false), ("stays silent", true)] {
            let case = cases.remove(format!("{alert} {does}").as_str());
            let case = case.unwrap_or_else(|| panic!("tests/alerts.yml has no case in which {alert} {does}"));
            assert!(case.contains(&format!("alertname: {alert}\n")), "{alert} {does}: it asks for another alert");
            assert_eq!(case.contains("exp_alerts: []"), expects_none, "{alert} {does}: it expects otherwise");
        }
    }
    assert!(cases.is_empty(), "no alert is called so: {:?}", cases.keys());
}

#[test]
fn what_alerts_speak_of_is_exposed() {
    let exposed: BTreeSet<_> = words(EXPOSED, "cenote_").collect();
    for (file, text) in [("deploy/alerts.yml", ALERTS), ("tests/alerts.yml", CASES)] {
        for metric in words(text, "cenote_") {
            assert!(exposed.contains(metric), "{file}: {metric} is not exposed");
        }
        for label in ["rule", "outcome", "transport"] {
            let known = values(EXPOSED, label);
            for value in values(text, label) {
                assert!(known.contains(&value), "{file}: {label} is never {value:?}");
            }
        }
    }
    let scraped = include_str!("../../deploy/prometheus.yml");
    for job in values(ALERTS, "job") {
        assert!(scraped.contains(&format!("job_name: {job}\n")), "deploy/prometheus.yml scrapes no {job}");
    }
}

#[test]
fn every_rule_that_refuses_an_update_raises_the_alert() {
    let case = cases()["CenoteFeedUpdateRefused fires"];
    let rules: BTreeSet<_> = values(EXPOSED, "rule").into_iter().filter(|&rule| rule != "unreadable").collect();
    assert_eq!(values(case, "rule").into_iter().collect::<BTreeSet<_>>(), rules);
}
