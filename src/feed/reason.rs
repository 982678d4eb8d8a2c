//! [`Reason`]: why a line of a feed was refused, or an object. It names a rule, never the text that broke it.

/// Why a line, or one name on it, was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Reason {
    /// An IPv4 or IPv6 address, with or without a port.
    Address,
    /// A network: an address and a prefix length.
    Cidr,
    /// It would sink a protected name.
    Protected,
    /// A URL with its scheme, or one that means less than its whole host.
    Url,
    /// Written so that nobody follows it by mistake, as `name[.]example`, in a format that has no such names.
    Defanged,
    /// A name with a path behind it.
    Path,
    /// A name with a port behind it.
    Port,
    /// A `*` that does not stand alone in front.
    Wildcard,
    /// A character, or an escape, that no listed name may hold.
    Character,
    /// Octets that are not UTF-8.
    NotUtf8,
    /// A Unicode name that UTS 46 does not turn into A-labels.
    Idna,
    /// Two dots in a row.
    EmptyLabel,
    /// A label over 63 octets (RFC 1035 §2.3.4).
    LabelTooLong,
    /// A name over 253 characters (RFC 1035 §2.3.4).
    NameTooLong,
    /// The root, that is everything.
    Root,
    /// One label that is no known TLD.
    SingleLabel,
    /// A top-level domain, and the feed is not trusted for one.
    Tld,
    /// A public suffix of the ICANN section, and the feed is not trusted for one.
    PublicSuffix,
    /// `localhost` and the other names every hosts file starts with.
    Boilerplate,
    /// A line that gives a name a real address, or other data: not a block.
    Mapping,
    /// A line that has a name resolved after all, by some server or as usual: not a block.
    Forwarding,
    /// An adblock rule with a modifier that a name alone cannot honour.
    Modifier,
    /// A rule for queries of some types alone, such as adblock's `$dnstype`.
    RecordType,
    /// A rule for some hours alone: dnscrypt-proxy's `@schedule`.
    Schedule,
    /// A rule that is a regular expression.
    Regex,
    /// A rule for every name that a word stands in: v2fly's `keyword:`.
    Keyword,
    /// An adblock rule that hides page elements.
    Cosmetic,
    /// An adblock rule for every name that begins so: `||word` without `^`.
    Prefix,
    /// A zone file's `$` directive other than `$ORIGIN` and `$TTL`, or what brings in another file.
    Directive,
    /// An RPZ trigger on a name server: `rpz-nsdname`, `rpz-nsip`.
    UnsupportedTrigger,
    /// An RPZ action that is not applied.
    UnsupportedAction,
    /// An RPZ owner outside its zone.
    OutOfZone,
    /// A network that is not written as its format writes networks, or has host bits set.
    Network,
    /// A network that is more than any one holder's, and the feed is not trusted for one.
    WideNetwork,
    /// An RPZ record whose data cannot be read.
    Rdata,
    /// An RPZ record that is larger than records are taken, or would make its owner's records so.
    DataTooLarge,
    /// An RPZ record that would be one more distinct set of them than a feed may have (262,144), or more octets of them all.
    RecordSets,
    /// An RPZ record that does not go with an earlier one of its owner: data beside another action, or beside a CNAME.
    Conflict,
    /// A CSV record without the column that holds the names, or one of a file whose header does not tell which that is.
    Column,
    /// A line, or an object, that its format does not know.
    Syntax,
    /// A line over [`LINE_OCTETS_MAX`](super::LINE_OCTETS_MAX), or an object's string over 64 KiB.
    LineTooLong,
    /// A name that came when the feed held as many as it may.
    FeedFull,
    /// An indicator's pattern that a name or an address alone does not meet, or that is not written in STIX's own language.
    Pattern,
    /// An indicator of neither a name, a URL nor an address: a file, a process.
    Observable,
    /// An indicator that its author took back.
    Revoked,
    /// An indicator of which a later version stands elsewhere in the file.
    Superseded,
    /// An indicator that counts from a later time on.
    NotYetValid,
    /// An indicator whose time is over.
    Expired,
    /// An indicator whose author is less sure of it than the operator asks.
    Confidence,
    /// An indicator that is marked more strictly than the operator takes, or not as the operator asks.
    Marking,
    /// A MISP attribute that is not for detection.
    NotToIds,
    /// An indicator's address that is nobody's on the Internet: loopback, private, multicast.
    InsideAddress,
}

impl Reason {
    /// How many there are.
    pub const COUNT: usize = 52;

    /// Every reason, in the order metrics list them; each stands at its own number.
    pub const ALL: [Self; Self::COUNT] = [
        Self::Address,
        Self::Cidr,
        Self::Protected,
        Self::Url,
        Self::Defanged,
        Self::Path,
        Self::Port,
        Self::Wildcard,
        Self::Character,
        Self::NotUtf8,
        Self::Idna,
        Self::EmptyLabel,
        Self::LabelTooLong,
        Self::NameTooLong,
        Self::Root,
        Self::SingleLabel,
        Self::Tld,
        Self::PublicSuffix,
        Self::Boilerplate,
        Self::Mapping,
        Self::Forwarding,
        Self::Modifier,
        Self::RecordType,
        Self::Schedule,
        Self::Regex,
        Self::Keyword,
        Self::Cosmetic,
        Self::Prefix,
        Self::Directive,
        Self::UnsupportedTrigger,
        Self::UnsupportedAction,
        Self::OutOfZone,
        Self::Network,
        Self::WideNetwork,
        Self::Rdata,
        Self::DataTooLarge,
        Self::RecordSets,
        Self::Conflict,
        Self::Column,
        Self::Syntax,
        Self::LineTooLong,
        Self::FeedFull,
        Self::Pattern,
        Self::Observable,
        Self::Revoked,
        Self::Superseded,
        Self::NotYetValid,
        Self::Expired,
        Self::Confidence,
        Self::Marking,
        Self::NotToIds,
        Self::InsideAddress,
    ];

    /// The reason with this label.
    #[must_use]
    pub fn from_label(label: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.label() == label)
    }

    /// Whether the terms are at work, the operator's or its author's own, on what is written as it should be: no sign that the feed is broken.
    #[must_use]
    pub const fn is_by_terms(self) -> bool {
        matches!(
            self,
            Self::Revoked
                | Self::Superseded
                | Self::NotYetValid
                | Self::Expired
                | Self::Confidence
                | Self::Marking
                | Self::NotToIds
        )
    }

    /// Its label in `cenote_feed_refused_lines{feed,reason}`.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Address => "address",
            Self::Cidr => "cidr",
            Self::Protected => "protected",
            Self::Url => "url",
            Self::Defanged => "defanged",
            Self::Path => "path",
            Self::Port => "port",
            Self::Wildcard => "wildcard",
            Self::Character => "character",
            Self::NotUtf8 => "not-utf8",
            Self::Idna => "idna",
            Self::EmptyLabel => "empty-label",
            Self::LabelTooLong => "label-too-long",
            Self::NameTooLong => "name-too-long",
            Self::Root => "root",
            Self::SingleLabel => "single-label",
            Self::Tld => "tld",
            Self::PublicSuffix => "public-suffix",
            Self::Boilerplate => "boilerplate",
            Self::Mapping => "mapping",
            Self::Forwarding => "forwarding",
            Self::Modifier => "modifier",
            Self::RecordType => "dnstype",
            Self::Schedule => "schedule",
            Self::Regex => "regex",
            Self::Keyword => "keyword",
            Self::Cosmetic => "cosmetic",
            Self::Prefix => "prefix",
            Self::Directive => "directive",
            Self::UnsupportedTrigger => "unsupported-trigger",
            Self::UnsupportedAction => "unsupported-action",
            Self::OutOfZone => "out-of-zone",
            Self::Network => "network",
            Self::WideNetwork => "wide-network",
            Self::Rdata => "rdata",
            Self::DataTooLarge => "data-too-large",
            Self::RecordSets => "record-sets",
            Self::Conflict => "conflict",
            Self::Column => "column",
            Self::Syntax => "syntax",
            Self::LineTooLong => "line-too-long",
            Self::FeedFull => "feed-full",
            Self::Pattern => "pattern",
            Self::Observable => "observable",
            Self::Revoked => "revoked",
            Self::Superseded => "superseded",
            Self::NotYetValid => "not-yet-valid",
            Self::Expired => "expired",
            Self::Confidence => "confidence",
            Self::Marking => "marking",
            Self::NotToIds => "not-to-ids",
            Self::InsideAddress => "inside-address",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_stands_at_its_number_with_a_label_of_its_own() {
        let mut labels = std::collections::BTreeSet::new();
        for (number, reason) in Reason::ALL.into_iter().enumerate() {
            assert_eq!(reason as usize, number, "{reason:?}");
            assert!(labels.insert(reason.label()), "{} twice", reason.label());
            assert!(reason.label().bytes().all(|o| matches!(o, b'a'..=b'z' | b'0'..=b'9' | b'-')), "{reason:?}");
        }
    }
}
