//! What is said over the admin socket: one JSON object a line each way, a request and its reply.
//!
//! Names stand in it as text, for the person who asked about them; hence no derived `Debug` where one does.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use serde::{Deserialize, Serialize};

/// The longest request line, octets. A name takes at most 1,265 of them: `\\DDD` in JSON for each of its octets.
pub const LINE_OCTETS_MAX: usize = 4096;
/// The longest reply line, octets: 128 feeds, each with an opinion of some 3 KiB at most, or a warning or two.
pub const REPLY_OCTETS_MAX: usize = 1 << 20;

/// What the operator asks.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "request", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Request {
    /// Load the configuration and the feeds again.
    Reload,
    /// Say what happens to a name.
    Explain {
        /// In presentation format.
        name: String,
        /// As [`Asker::client`].
        #[serde(default, skip_serializing_if = "Option::is_none")]
        client: Option<IpAddr>,
        /// As [`Asker::listener`].
        #[serde(default, skip_serializing_if = "Option::is_none")]
        listener: Option<SocketAddr>,
        /// As [`Asker::proxied`].
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        proxied: bool,
    },
    /// Say what is enforced.
    Status,
    /// Read feeds again.
    Refresh {
        /// Which, by name; none: all.
        feeds: Vec<String>,
        /// Whether the gate's bounds on size and refused lines are waived.
        force: bool,
    },
    /// Enforce an older generation's feeds, and pin them.
    Rollback {
        /// Its number; `None`: the newest in which one of them was other than it is.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        generation: Option<u64>,
        /// Which feeds, by name; none: all.
        feeds: Vec<String>,
    },
    /// Let pinned feeds follow their sources again.
    Unpin {
        /// Which, by name; none: all.
        feeds: Vec<String>,
    },
    /// List the generations that are kept.
    Generations,
    /// Say what reading a feed now would change, or what changed since a generation.
    Differences {
        /// Which, by name.
        feed: String,
        /// The generation's number; `None`: the feed's source as it is now.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        since: Option<u64>,
        /// Whether entries are told too.
        named: bool,
    },
}

/// Who would ask about a name, as far as it is said.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Asker {
    /// The client; `None`: one like any other.
    pub client: Option<IpAddr>,
    /// The listener that is asked, one of `server.listen`; `None`: one that is no tenant's.
    pub listener: Option<SocketAddr>,
    /// Whether a load balancer's PROXY header says that it is this client.
    pub proxied: bool,
}

impl Asker {
    /// The question about `name`, for a server.
    #[must_use]
    pub const fn request(self, name: String) -> Request {
        let Self { client, listener, proxied } = self;
        Request::Explain { name, client, listener, proxied }
    }
}

impl fmt::Debug for Asker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Asker { .. }")
    }
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Reload => "Reload",
            Self::Explain { .. } => "Explain { .. }",
            Self::Status => "Status",
            Self::Refresh { .. } => "Refresh { .. }",
            Self::Rollback { .. } => "Rollback { .. }",
            Self::Unpin { .. } => "Unpin { .. }",
            Self::Generations => "Generations",
            Self::Differences { .. } => "Differences { .. }",
        })
    }
}

/// What the server says to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "reply", rename_all = "kebab-case")]
pub enum Reply {
    /// A new generation is enforced.
    Reloaded {
        /// Its number.
        generation: u64,
        /// Every feed of it.
        feeds: Vec<FeedSummary>,
        /// What the operator should know: keys that need a restart, feeds that kept their older copy.
        warnings: Vec<String>,
        /// The feeds that were to be read and were not taken: their older copies stay, if there are any.
        #[serde(default)]
        refused: Vec<String>,
    },
    /// What happens to the name.
    Explained(Explanation),
    /// What is enforced.
    Status(Status),
    /// The generations that are kept.
    Generations {
        /// The newest first.
        kept: Vec<GenerationSummary>,
        /// The number of what is enforced, kept or not; 0: nothing is.
        #[serde(default)]
        enforced: u64,
    },
    /// How a feed differs.
    Differences(FeedDifferences),
    /// It was not done, and why: an error and its causes.
    Failed {
        /// In words.
        message: String,
    },
}

/// One feed of a generation.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FeedSummary {
    /// The operator's name for it.
    pub name: String,
    /// Indicators enforced.
    pub entries: u64,
    /// Lines refused at the last load.
    pub refused_lines: u64,
    /// When the enforced copy was loaded, seconds since 1970.
    pub loaded_at_secs: u64,
    /// Whether the last load was refused and an older copy is enforced.
    pub stale: bool,
    /// How it was read.
    pub format: String,
    /// Whether it stays as it is until it is unpinned.
    pub pinned: bool,
    /// Loads that were refused since the start, by rule.
    pub refused_updates: Vec<(String, u64)>,
    /// Why the last one was, while it is stale.
    #[serde(default)]
    pub refused_because: Option<String>,
}

/// How a feed differs from what it was, or would be.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FeedDifferences {
    /// Entries that were not there.
    pub added: u64,
    /// Entries that are there no more.
    pub removed: u64,
    /// Entries that say something else.
    pub altered: u64,
    /// Why the source as it is now would be refused, if it would.
    pub refused: Option<String>,
    /// The first of the entries, led by `+`, `-` or `~`, if they were asked for.
    pub entries: Vec<String>,
}

impl fmt::Debug for FeedDifferences {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FeedDifferences")
            .field("added", &self.added)
            .field("removed", &self.removed)
            .finish_non_exhaustive()
    }
}

/// One generation that is kept.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GenerationSummary {
    /// Its number.
    pub generation: u64,
    /// When it was published, seconds since 1970.
    pub made_at_secs: u64,
    /// Whether it is what is enforced.
    pub in_force: bool,
    /// Each feed's name, entries, and whether it is pinned.
    pub feeds: Vec<(String, u64, bool)>,
}

/// What is enforced, and by whom.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// The program's version.
    pub version: String,
    /// The policy's number; 0: nothing is enforced yet.
    pub generation: u64,
    /// Every feed, in the configuration's order.
    pub feeds: Vec<FeedSummary>,
}

/// What becomes of a query for a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// It is listed, and answered here, or not at all.
    Sunk,
    /// It is let through, and answered from the cache or by an upstream.
    LetThrough,
    /// It lies in a zone of the operator's, or is a special name.
    Zone,
    /// This client may not ask.
    Refused,
    /// No feed decides it: it is answered from the cache or by an upstream.
    Forwarded,
    /// No policy is loaded yet: SERVFAIL.
    NotReady,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Sunk => "sunk",
            Self::LetThrough => "let through",
            Self::Zone => "answered from a zone",
            Self::Refused => "refused",
            Self::Forwarded => "forwarded",
            Self::NotReady => "not ready",
        })
    }
}

/// How an entry covers a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rule {
    /// The name alone.
    Exact,
    /// The name and everything below it.
    NameAndBelow,
    /// Everything below the name, and not the name.
    Below,
    /// Clients in the network.
    Clients,
    /// Answers with an address in the network.
    Addresses,
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Exact => "this name alone",
            Self::NameAndBelow => "the name and everything below it",
            Self::Below => "everything below the name",
            Self::Clients => "clients in this network",
            Self::Addresses => "answers with an address in this network",
        })
    }
}

/// Whose word decided.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Word {
    /// A feed's.
    Feed(String),
    /// The tenant's own names.
    Tenant,
}

impl fmt::Display for Word {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Feed(name) => write!(f, "feed {name}"),
            Self::Tenant => f.write_str("the tenant's own names"),
        }
    }
}

/// What happens to a name, and why.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Explanation {
    /// The policy's number.
    pub generation: u64,
    /// The name asked about.
    pub name: String,
    /// The client asked for.
    pub client: Option<IpAddr>,
    /// The listener asked for.
    pub listener: Option<SocketAddr>,
    /// Whether the client was asked for as one that a load balancer names.
    #[serde(default)]
    pub proxied: bool,
    /// Whether no feed sinks the name, or what it leads to.
    #[serde(default)]
    pub protected: bool,
    /// The tenant it is of.
    pub tenant: String,
    /// What becomes of the query.
    pub verdict: Verdict,
    /// The action's label, if the policy decided.
    pub action: Option<String>,
    /// Whose word that was.
    pub by: Option<Word>,
    /// The listed name or network that matched, or the zone's apex.
    pub entry: Option<String>,
    /// What that covers.
    pub rule: Option<Rule>,
    /// What every feed says, in the tenant's order, the deciding one too; those the tenant does not have come last.
    pub feeds: Vec<Opinion>,
}

impl fmt::Debug for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Explanation").field("verdict", &self.verdict).finish_non_exhaustive()
    }
}

/// What one feed says to a name.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Opinion {
    /// Whose.
    pub feed: String,
    /// The action it asks for, or that it does not list the name.
    pub says: String,
    /// Its entry that matched.
    pub entry: Option<String>,
    /// What that covers.
    pub rule: Option<Rule>,
    /// What comes of it: that it decides, would have, or is ignored and why.
    pub effect: String,
}

impl fmt::Debug for Opinion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Opinion").field("feed", &self.feed).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_read_as_written() {
        let client = Some("192.0.2.7".parse().unwrap());
        let listener = Some("[2001:db8::53]:53".parse().unwrap());
        let asks = |asker: Asker| asker.request("canary.example".to_owned());
        for (request, line) in [
            (Request::Reload, r#"{"request":"reload"}"#),
            (Request::Status, r#"{"request":"status"}"#),
            (Request::Generations, r#"{"request":"generations"}"#),
            (
                Request::Refresh { feeds: vec!["a".to_owned()], force: true },
                r#"{"request":"refresh","feeds":["a"],"force":true}"#,
            ),
            (Request::Rollback { generation: None, feeds: vec![] }, r#"{"request":"rollback","feeds":[]}"#),
            (
                Request::Differences { feed: "a".to_owned(), since: None, named: false },
                r#"{"request":"differences","feed":"a","named":false}"#,
            ),
            (Request::Unpin { feeds: vec![] }, r#"{"request":"unpin","feeds":[]}"#),
            (asks(Asker::default()), r#"{"request":"explain","name":"canary.example"}"#),
            (
                asks(Asker { client, ..Asker::default() }),
                r#"{"request":"explain","name":"canary.example","client":"192.0.2.7"}"#,
            ),
            (
                asks(Asker { client, listener, proxied: true }),
                r#"{"request":"explain","name":"canary.example","client":"192.0.2.7","listener":"[2001:db8::53]:53","proxied":true}"#,
            ),
        ] {
            assert_eq!(serde_json::to_string(&request).unwrap(), line);
            assert_eq!(serde_json::from_str::<Request>(line).unwrap(), request);
        }
        for line in [
            "",
            "{}",
            r#"{"request":"stop"}"#,
            r#"{"request":"explain"}"#,
            r#"{"request":"explain","nam":"x"}"#,
            // What a later version may ask is refused, not left out.
            r#"{"request":"explain","name":"x","later":true}"#,
        ] {
            assert!(serde_json::from_str::<Request>(line).is_err(), "{line}");
        }
    }

    #[test]
    fn nothing_shows_a_name_or_a_client_by_accident() {
        let client: Option<IpAddr> = Some("192.0.2.7".parse().unwrap());
        let opinion = Opinion {
            feed: "f".to_owned(),
            says: "sinkhole".to_owned(),
            entry: Some("canary.example".to_owned()),
            rule: Some(Rule::Exact),
            effect: String::new(),
        };
        let reply = Reply::Explained(Explanation {
            generation: 1,
            name: "canary.example".to_owned(),
            client,
            listener: Some("192.0.2.53:53".parse().unwrap()),
            proxied: true,
            protected: true,
            tenant: "acme".to_owned(),
            verdict: Verdict::Sunk,
            action: None,
            by: None,
            entry: Some("canary.example".to_owned()),
            rule: None,
            feeds: vec![opinion.clone()],
        });
        let asker = Asker { client, ..Asker::default() };
        let request = asker.request("canary.example".to_owned());
        let shown = format!("{asker:?} {request:?} {reply:?} {opinion:?}");
        assert!(!shown.contains("canary") && !shown.contains("192.0.2.7"), "{shown}");
        let line = serde_json::to_string(&reply).unwrap();
        assert_eq!(serde_json::from_str::<Reply>(&line).unwrap(), reply);
        let earlier = line.replace(r#""listener":"192.0.2.53:53","proxied":true,"protected":true,"#, "");
        assert!(earlier.len() < line.len() && serde_json::from_str::<Reply>(&earlier).is_ok(), "{earlier}");
    }
}
