//! [`Garden`]: a walled garden, the name that a sunk name becomes an alias of: a server of the operator's that tells people what happened.

use std::net::IpAddr;

use crate::name::{Name, NameRef};

/// Where the CNAME of a sunk name leads: `garden.example`, or `*.garden.example`, which has the name asked in front.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Garden {
    /// The garden's name, of a wildcard what follows the asterisk; never the root.
    name: Name,
    /// How many labels `name` has, at least 1.
    labels: usize,
    /// Whether the name asked is put in front.
    wildcard: bool,
}

impl Garden {
    /// Reads `garden.example` or `*.garden.example`. `None`: no name, the root, an asterisk elsewhere, or an IP address, which an alias cannot
    /// lead to.
    #[must_use]
    pub fn from_text(text: &str) -> Option<Self> {
        let (wildcard, rest) = text.strip_prefix("*.").map_or((false, text), |rest| (true, rest));
        if rest.trim_end_matches('.').parse::<IpAddr>().is_ok() {
            return None;
        }
        let name = Name::from_text(rest.as_bytes()).ok()?;
        let view = name.view().ok()?;
        let labels = view.labels();
        if labels == 0 || name.has_wildcard() {
            return None;
        }
        Some(Self { name, labels, wildcard })
    }

    /// Its name in wire form; of a wildcard, what follows the asterisk.
    #[inline]
    #[must_use]
    pub fn wire(&self) -> &[u8] {
        self.name.wire()
    }

    /// Whether the name asked is put in front.
    #[inline]
    #[must_use]
    pub const fn is_wildcard(&self) -> bool {
        self.wildcard
    }

    /// Whether an alias of `target`, with the name asked in front if `wildcard` says so, leads where the garden's do.
    #[inline]
    #[must_use]
    pub fn is_target(&self, wildcard: bool, target: &[u8]) -> bool {
        self.wildcard == wildcard && self.name.wire().eq_ignore_ascii_case(target)
    }

    /// Whether `name` is the garden itself, or a name in a wildcard's: an alias of it would lead round.
    #[inline]
    #[must_use]
    pub fn covers(&self, name: &NameRef<'_>) -> bool {
        (name.labels() == self.labels || self.wildcard && name.labels() > self.labels)
            && name.suffix(self.labels).eq_ignore_ascii_case(self.name.wire())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_garden_is_a_name() {
        let long = "a.".repeat(127);
        for (text, want) in [
            ("garden.example", Some((&b"\x06garden\x07example\0"[..], false))),
            ("garden.example.", Some((b"\x06garden\x07example\0", false))),
            ("*.garden.example", Some((b"\x06garden\x07example\0", true))),
            ("*.g", Some((b"\x01g\0", true))),
            ("", None),
            (".", None),
            ("*", None),
            ("*.", None),
            ("*..", None),
            ("*.*.example", None),
            ("a.*.example", None),
            ("a..example", None),
            ("b\u{fc}cher.example", None),
            ("192.0.2.1", None),
            ("*.192.0.2.1.", None),
            ("2001:db8::1", None),
        ] {
            let garden = Garden::from_text(text);
            assert_eq!(garden.as_ref().map(|garden| (garden.wire(), garden.is_wildcard())), want, "{text}");
        }
        assert!(Garden::from_text(&long).is_some() && Garden::from_text(&(long + "a")).is_none());
    }

    #[test]
    fn what_would_lead_round() {
        for (garden, name, want) in [
            ("garden.example", "Garden.example", true),
            ("garden.example", "a.garden.example", false),
            ("garden.example", "example", false),
            ("*.garden.example", "garden.EXAMPLE", true),
            ("*.garden.example", "a.b.garden.example", true),
            ("*.garden.example", "agarden.example", false),
            ("*.garden.example", "example", false),
            ("*.garden.example", ".", false),
        ] {
            let name = Name::from_text(name.as_bytes()).unwrap();
            let got = Garden::from_text(garden).unwrap().covers(&name.view().unwrap());
            assert_eq!(got, want, "{garden} {}", name.reveal());
        }
    }
}
