//! A hosts file used as a list: `0.0.0.0 name …`. Each name stands for itself and everything below it.
//!
//! Only a name that is sent to no host, an unspecified or loopback address, is listed: a line that gives a name a real address maps it,
//! and is refused. Costs one split of the line.

use std::net::IpAddr;

use super::{Bucket, LineParser, Reason, bare_name};
use crate::feed::intake::Intake;
use crate::index::{Verb, Verbs};

/// The hosts format.
pub(super) struct Hosts;

/// What stands in front of a hosts line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::feed) enum Target {
    /// An address of no host, or of this one: the names are blocked.
    Nowhere,
    /// Any other address.
    Somewhere,
}

/// Whether `token` is an address, and which.
pub(in crate::feed) fn target(token: &[u8]) -> Option<Target> {
    if matches!(token, b"0.0.0.0" | b"127.0.0.1" | b"::" | b"::1") {
        return Some(Target::Nowhere);
    }
    let text = std::str::from_utf8(token).ok()?;
    if is_short_nowhere(text) {
        return Some(Target::Nowhere);
    }
    // macOS writes its loopback also as `fe80::1%lo0` (RFC 4007 §11: what follows the percent sign names the interface).
    let (address, zone) = text.split_once('%').map_or((text, ""), |(address, zone)| (address, zone));
    let address: IpAddr = address.parse().ok()?;
    let nowhere = address.is_unspecified() || address.is_loopback() || zone.starts_with("lo");
    Some(if nowhere { Target::Nowhere } else { Target::Somewhere })
}

/// Whether text is a short or padded form of an IPv4 address of no host or of this one, as inet_aton(3) takes them: `0`, `127.1`,
/// `000.000.000.000`. Short forms of others are not looked for: a number may be a rank.
fn is_short_nowhere(text: &str) -> bool {
    let parts = text.split('.');
    let (count, digits) =
        (parts.clone().count(), |part: &str| !part.is_empty() && part.bytes().all(|o| o.is_ascii_digit()));
    let zero = parts.clone().all(|part| digits(part) && part.len() <= 3 && part.bytes().all(|octet| octet == b'0'));
    let mut rest = parts.clone();
    let loopback = rest.next() == Some("127")
        && (2..=4).contains(&count)
        && rest.all(|part| digits(part) && part.parse::<u8>().is_ok());
    (zero && count <= 4) || loopback
}

impl LineParser for Hosts {
    fn line(&mut self, text: &[u8], intake: &mut Intake<'_>) -> Bucket {
        // hosts(5): "Text from a "#" character until the end of the line is a comment".
        let text = text.split(|&octet| octet == b'#').next().unwrap_or_default().trim_ascii();
        if text.is_empty() {
            return Bucket::Comment;
        }
        hosts_line(text, intake)
    }
}

/// Reads a trimmed hosts line without its comment.
pub(super) fn hosts_line(text: &[u8], intake: &mut Intake<'_>) -> Bucket {
    let mut tokens = text.split(u8::is_ascii_whitespace).filter(|token| !token.is_empty());
    let Some(target) = tokens.next().and_then(target) else {
        return Bucket::Refused(Reason::Syntax);
    };
    let (mut taken, mut refused) = (false, None);
    for name in tokens {
        let outcome = match target {
            Target::Nowhere => intake.take(bare_name(name), Verbs::subtree(Verb::Listed)),
            Target::Somewhere => match intake.judge(name) {
                Err(Reason::Boilerplate) => Err(Reason::Boilerplate),
                _ => Err(Reason::Mapping),
            },
        };
        match outcome {
            Ok(()) => taken = true,
            Err(reason) => refused = refused.or(Some(reason)),
        }
    }
    match refused {
        _ if taken => Bucket::Taken,
        Some(reason) => Bucket::Refused(reason),
        // An address with no name behind it.
        None => Bucket::Refused(Reason::Address),
    }
}

#[cfg(test)]
mod tests {
    use super::super::TextFormat;
    use super::super::tests::verdict;

    #[test]
    fn line_by_line() {
        for (line, want) in [
            ("", "comment"),
            ("# 0.0.0.0 a.com", "comment"),
            ("   # x", "comment"),
            ("0.0.0.0 Example.com", "example.com"),
            ("127.0.0.1\texample.com", "example.com"),
            ("127.0.53.53 example.com", "example.com"),
            (":: example.com", "example.com"),
            ("::1 example.com", "example.com"),
            ("  0.0.0.0   a.example.com b.example.com  # two", "a.example.com b.example.com"),
            ("0.0.0.0 example.com#comment", "example.com"),
            ("0.0.0.0 example.com.", "example.com"),
            ("0.0.0.0 .id.google.ac", "id.google.ac"),
            ("fe80::1%lo0 example.com", "example.com"),
            ("127.0.0.1 localhost #[IPv4]", "refused boilerplate"),
            ("127.0.0.1 local", "refused boilerplate"),
            ("255.255.255.255 broadcasthost", "refused boilerplate"),
            ("fe80::1%lo0 localhost", "refused boilerplate"),
            ("::1 ip6-localhost ip6-loopback", "refused boilerplate"),
            ("ff02::1 ip6-allnodes", "refused boilerplate"),
            ("0.0.0.0 0.0.0.0", "refused address"),
            ("192.0.2.7 router.example.com", "refused mapping"),
            ("0.0.0.0", "refused address"),
            ("example.com", "refused syntax"),
            ("0 example.com", "example.com"),
            ("127.1 example.com", "example.com"),
            ("127.0.1 example.com", "example.com"),
            ("000.000.000.000 example.com", "example.com"),
            ("1 example.com", "refused syntax"),
            ("127 example.com", "refused syntax"),
            ("10.1 example.com", "refused syntax"),
            ("127.256 example.com", "refused syntax"),
            ("0.0.0.0 g[.]listed.example", "refused defanged"),
            ("0.0.0.0 javmovie.com/", "refused path"),
            ("0.0.0.0 inf", "refused single-label"),
            ("0.0.0.0 http://x.com/", "refused url"),
            ("0.0.0.0 example.com:80", "refused port"),
            ("0.0.0.0\0 example.com", "refused syntax"),
            ("0.0.0.0/8 example.com", "refused syntax"),
            ("||example.com^", "refused syntax"),
        ] {
            assert_eq!(verdict(TextFormat::Hosts, line), want, "{line:?}");
        }
    }
}
