//! `[[feed]]`, `[gate]` and `[state]`: where entries come from, what they must be, where they are kept.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::reader::Section;
use super::rooms::{WORD, or, path, word};
use super::sinkholes::sinkhole;
use crate::feed::{self, GateConfig, StoreConfig};
use crate::name::Name;
use crate::policy::{Action, FeedConfig, SinkConfig};

/// The most protected names that are listed in the file itself; more go into a file of their own.
const PROTECTED_LISTED_MAX: usize = 10_000;

/// `[[feed]]`: what it is for the feed room, and what it is for policy.
pub(super) fn feed(
    section: &mut Section<'_, '_>,
    folder: &Path,
    before: &[feed::Config],
    sink: &SinkConfig,
    guard: &Arc<feed::Guard>,
) -> Option<(feed::Config, FeedConfig)> {
    let sourced = "the path of a file, or \"sample\" (what a URL holds is to be fetched into a file first)";
    let name = if section.has("name") { section.text("name", WORD, word) } else { section.missing("name", WORD) };
    if let Some(placed) = name.as_ref().filter(|name| before.iter().any(|feed| feed.name == name.value)) {
        section.refuse(placed, "a name that no other feed has");
    }
    let source = if section.has("source") {
        section.text("source", sourced, |text| match text {
            "sample" => Some(feed::Source::Sample),
            _ if text.contains("://") => None,
            _ => path(text, folder).map(feed::Source::File),
        })
    } else {
        section.missing("source", sourced)
    };
    let format = section.value(
        "format",
        "one of auto, hosts, plain, adblock, rpz, dnsmasq, unbound, bind, dnscrypt, csv, v2fly, stix, misp, artifact",
    );
    let action =
        section.value("action", "one of sinkhole, nxdomain, nodata, refused, drop, tcp-only, passthru, observe");
    let may_allow = or(section.value("may-allow", "true or false"), false);
    let check_targets = or(section.value("check-targets", "true or false"), true);
    let check_addresses = or(section.value("check-addresses", "true or false"), true);
    let trust_suffixes = or(section.value("trust-suffixes", "true or false"), false);
    let indicators = indicators(section);
    let column = section.value("column", "a column's number from 1, or what the header calls it");
    let columned = format.as_ref().is_none_or(|format| matches!(format.value, feed::Format::Auto | feed::Format::Csv));
    if let Some(placed) = column.as_ref().filter(|_| !columned) {
        section.refuse(placed, "format = \"csv\" beside it");
    }
    if let Some(placed) = action.as_ref().filter(|action| action.value == Action::Passthru && !may_allow) {
        section.refuse(placed, "may-allow = true beside passthru: letting names through is a power a feed is given");
    }
    let gate = gate_bounds(section);
    let refresh_secs = or(section.number("refresh-secs", &feed::Config::REFRESH_SECS), 0);
    // What lets names through sinks nothing.
    let lets_through = action.as_ref().is_some_and(|action| action.value == Action::Passthru);
    let guard = if lets_through { Arc::default() } else { Arc::clone(guard) };
    let (has_sink, sink) =
        (section.has("sinkhole"), section.section("sinkhole", |section| sinkhole(section, sink.clone())));
    let name = name?.value;
    let policy = FeedConfig {
        name: name.clone(),
        action: action.map(|placed| placed.value),
        may_allow,
        check_targets,
        check_addresses,
        sink: has_sink.then_some(sink),
    };
    let format = or(format, feed::Format::Auto);
    let terms = feed::Terms { trust_suffixes, may_allow, guard, column: column.map(|placed| placed.value), indicators };
    Some((feed::Config { name, source: source?.value, format, terms, gate, refresh_secs }, policy))
}

/// What a `[[feed]]` asks of indicators.
fn indicators(section: &mut Section<'_, '_>) -> feed::IndicatorTerms {
    let most = feed::IndicatorTerms::MARKING_OCTETS_MAX;
    let marking = section.text("marking", &format!("a marking of at most {most} octets, or \"\" for any"), |text| {
        (text.len() <= most).then(|| Some(text.to_owned()).filter(|text| !text.is_empty()))
    });
    feed::IndicatorTerms {
        confidence_min: or(section.number("confidence-min", &(0..=100)), 0),
        tlp_max: or(section.value("tlp-max", "one of clear, green, amber, amber-strict, red"), feed::Tlp::Red),
        marking: or(marking, None),
        url_hosts: or(section.value("url-hosts", "true or false"), false),
    }
}

/// What a feed's loads must be.
fn gate_bounds(section: &mut Section<'_, '_>) -> GateConfig {
    let default = GateConfig::default();
    let min = section.number("entries-min", &GateConfig::ENTRIES);
    let max = section.number("entries-max", &GateConfig::ENTRIES);
    let entries_min = min.as_ref().map_or(default.entries_min, |placed| placed.value);
    let entries_max = max.as_ref().map_or(default.entries_max, |placed| placed.value);
    if let (true, Some(placed)) = (entries_max < entries_min, max.as_ref().or(min.as_ref())) {
        section.refuse(placed, &format!("entries-max ({entries_max}) at least entries-min ({entries_min})"));
    }
    GateConfig {
        shrink_max_percent: or(
            section.number("shrink-max-percent", &GateConfig::SHRINK_MAX_PERCENT),
            default.shrink_max_percent,
        ),
        growth_max_percent: or(
            section.number("growth-max-percent", &GateConfig::GROWTH_MAX_PERCENT),
            default.growth_max_percent,
        ),
        entries_min,
        entries_max,
        refused_max_percent: or(
            section.number("refused-max-percent", &GateConfig::REFUSED_MAX_PERCENT),
            default.refused_max_percent,
        ),
    }
}

/// `[gate]`: what no feed may sink, and the file that some of it stands in.
pub(super) fn gate(section: &mut Section<'_, '_>, folder: &Path) -> (Arc<feed::Guard>, Option<PathBuf>) {
    let expected = "a name, or *.name for what is below it too";
    let listed =
        section.list("protected", expected, 0..=PROTECTED_LISTED_MAX, |text| feed::Protected::from_text(text).ok());
    let mut protected: Vec<_> =
        listed.map_or_else(Vec::new, |list| list.value.into_iter().map(|item| item.value).collect());
    let file = section.text("protected-file", "the path of a file of names, or \"\" for none", |text| {
        if text.is_empty() { Some(None) } else { path(text, folder).map(Some) }
    });
    if let Some(placed) = &file
        && let Some(path) = &placed.value
    {
        match feed::Protected::read_file(path) {
            Ok(names) => protected.extend(names),
            Err(error) => {
                let cause = std::error::Error::source(&error).map_or_else(String::new, |cause| format!(": {cause}"));
                section.refuse(placed, &format!("a file of names, one a line ({error}{cause})"));
            }
        }
    }
    let expected = "a name that is never to be sunk, without \"*\"";
    let canary = |text: &str| Name::from_written(text).ok().filter(|name| !name.has_wildcard());
    let canaries = section.list("canaries", expected, 0..=feed::CANARIES_MAX, canary);
    let canaries = canaries.map_or_else(Vec::new, |list| list.value.into_iter().map(|item| item.value).collect());
    (Arc::new(feed::Guard::new(&protected, canaries)), or(file, None))
}

/// `[state]`.
pub(super) fn state(section: &mut Section<'_, '_>, folder: &Path) -> StoreConfig {
    let default = StoreConfig::default();
    let directory = section.text("directory", "the path of a folder, or \"\" for none", |text| {
        if text.is_empty() { Some(None) } else { path(text, folder).map(Some) }
    });
    StoreConfig {
        directory: or(directory, default.directory),
        generations: or(section.number("generations", &StoreConfig::GENERATIONS), default.generations),
        start: or(section.value("start", "one of last-good, wait, open"), default.start),
    }
}
