//! The table, `tests/precedence/table.txt`, which says at its head what its rows mean.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::LazyLock;

use crate::harness::{Ask, Via};

/// The table as it is read.
pub static TABLE: LazyLock<Table> = LazyLock::new(|| Table::read(include_str!("../../precedence/table.txt")));

/// Scenarios in order, and why rows differ.
#[derive(Default)]
pub struct Table {
    /// Zones in an order, and the rows asked under it.
    pub scenarios: Vec<Scenario>,
    /// Each reason's text by its key.
    pub reasons: BTreeMap<&'static str, &'static str>,
}

/// Policy zones in an order.
pub struct Scenario {
    /// The zones, first to last.
    pub zones: Vec<Zone>,
    /// What is asked.
    pub rows: Vec<Row>,
}

/// A policy zone of a scenario.
pub struct Zone {
    /// Its file's name, without the ending.
    pub name: &'static str,
    /// Whether it may let through.
    pub may_allow: bool,
    /// What becomes of all that it sinks, if that is said: an action of Cenote's.
    pub action: Option<&'static str>,
}

/// What is special about a query.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Flag {
    /// Nothing: RD, and no DO.
    None,
    /// No RD.
    NoRd,
    /// DO.
    Do,
}

/// A query and what it comes to.
pub struct Row {
    /// Its line in the file, from 1.
    pub line: usize,
    /// The name asked.
    pub qname: &'static str,
    /// The type asked.
    pub qtype: &'static str,
    /// How it travels.
    pub via: Via,
    /// What is special about it.
    pub flag: Flag,
    /// Who asks.
    pub client: IpAddr,
    /// What Cenote does.
    pub cenote: &'static str,
    /// What named does.
    pub named: &'static str,
    /// Why they differ: keys.
    pub reasons: Vec<&'static str>,
}

impl Table {
    /// Reads it; a line it does not know is a mistake in it.
    fn read(text: &'static str) -> Self {
        let mut table = Self::default();
        for (line, text) in (1..).zip(text.lines()).filter(|(_, text)| !text.is_empty() && !text.starts_with('#')) {
            if let Some(reason) = text.strip_prefix("reason ") {
                let (key, reason) = reason.split_once(' ').unwrap_or_else(|| panic!("line {line}: a reason says why"));
                table.reasons.insert(key, reason.trim());
            } else if let Some(zones) = text.strip_prefix("scenario ") {
                table.scenarios.push(Scenario { zones: zones.split(' ').map(Zone::read).collect(), rows: vec![] });
            } else {
                let scenario = table.scenarios.last_mut().unwrap_or_else(|| panic!("line {line} is in no scenario"));
                scenario.rows.push(Row::read(line, text));
            }
        }
        table
    }

    /// Every row.
    pub fn rows(&self) -> impl Iterator<Item = &Row> {
        self.scenarios.iter().flat_map(|scenario| &scenario.rows)
    }
}

impl Zone {
    /// A name, perhaps a "?", perhaps "=" and an action.
    fn read(word: &'static str) -> Self {
        let (zone, action) = word.split_once('=').map_or((word, None), |(zone, action)| (zone, Some(action)));
        Self { name: zone.trim_end_matches('?'), may_allow: !zone.ends_with('?'), action }
    }

    /// Its keys in Cenote's configuration.
    pub fn keys(&self) -> String {
        let action = self.action.map_or_else(String::new, |action| format!("\naction = '{action}'"));
        format!("format = 'rpz'\nmay-allow = {}{action}", self.may_allow)
    }

    /// What named's `response-policy` says of it.
    pub fn policy(&self) -> String {
        let policy = match self.action {
            None => "given",
            Some("observe") => "disabled",
            Some(action) => action,
        };
        format!("zone {}.rpz policy {policy}; ", self.name)
    }
}

impl Row {
    /// Name, type, transport, client, and one outcome, or two and why.
    fn read(line: usize, text: &'static str) -> Self {
        let mut fields = text.split('|').map(str::trim);
        let words: Vec<&str> = fields.next().unwrap_or_default().split_whitespace().collect();
        let [qname, qtype, via, client] = words[..] else { panic!("line {line}: name, type, transport, client") };
        let (via, flag) = match via {
            "udp" => (Via::Udp, Flag::None),
            "udp-rd" => (Via::Udp, Flag::NoRd),
            "udp+do" => (Via::Udp, Flag::Do),
            "tcp" => (Via::Tcp, Flag::None),
            _ => panic!("line {line}: udp, udp-rd, udp+do or tcp"),
        };
        let client = match client {
            "-" => Ipv4Addr::LOCALHOST.into(),
            address => address.parse().unwrap_or_else(|error| panic!("line {line}: {error}")),
        };
        let fields: Vec<&str> = fields.collect();
        let (cenote, named, reasons) = match fields[..] {
            [both] => (both, both, vec![]),
            [cenote, named, why] => (cenote, named, why.split(", ").collect()),
            _ => panic!("line {line}: an outcome, or two and why they differ"),
        };
        Self { line, qname, qtype, via, flag, client, cenote, named, reasons }
    }

    /// What it asks.
    pub fn ask(&self) -> Ask {
        let ask = Ask::new(self.qname, self.qtype).edns(1232);
        match self.flag {
            Flag::None => ask,
            Flag::NoRd => ask.no_rd(),
            Flag::Do => ask.dnssec_ok(),
        }
    }
}
