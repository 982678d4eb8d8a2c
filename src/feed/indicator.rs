//! One indicator's value into an entry: a name, a URL's host, an address. The same for every format of indicators, and for what people write
//! so that nobody follows it by mistake: `hxxp://name[.]example`.

use std::net::IpAddr;

use super::Reason;
use super::entry::{bare_name, network};
use super::intake::{Intake, Says};
use crate::index::{Network, Side, Until, Verb, Verbs};

/// Microseconds in a second.
pub(super) const MICROS_PER_SEC: u64 = 1_000_000;

/// What an indicator is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A domain name.
    Name,
    /// A URL.
    Url,
    /// An address or a network.
    Address,
}

/// What a MISP attribute of this type is of, and whether its value is two with `|` between; `None` if of nothing that is looked up.
pub(super) fn misp_type(named: &str) -> Option<(Kind, bool)> {
    match named {
        "domain" | "hostname" => Some((Kind::Name, false)),
        "domain|ip" | "hostname|port" => Some((Kind::Name, true)),
        "url" => Some((Kind::Url, false)),
        "ip-dst" => Some((Kind::Address, false)),
        "ip-dst|port" => Some((Kind::Address, true)),
        // `ip-src` is where something comes from, which nobody looks up.
        _ => None,
    }
}

/// Takes the value of a MISP attribute that is for detection.
///
/// # Errors
/// Why it is refused.
pub(super) fn take_misp((kind, paired): (Kind, bool), value: &str, intake: &mut Intake<'_>) -> Result<(), Reason> {
    // Of `domain|ip` the name: the address is where it led once, and may be anyone's.
    let value = value.split_once('|').filter(|_| paired).map_or(value, |(value, _)| value);
    take(kind, value, None, intake)
}

/// What the operator asks of an attribute that has no tags.
///
/// # Errors
/// [`Reason::NotToIds`], [`Reason::Confidence`], [`Reason::Marking`].
pub(super) fn untagged(to_ids: bool, intake: &Intake<'_>) -> Result<(), Reason> {
    let asked = intake.indicators();
    match () {
        () if !to_ids => Err(Reason::NotToIds),
        () if asked.confidence_min > 0 => Err(Reason::Confidence),
        () if asked.marking.is_some() => Err(Reason::Marking),
        () => Ok(()),
    }
}

/// Takes what [`refang`](super::refang::refang) read: the host of a URL that is nothing else, a name and all below it, or behind `=` the name alone.
///
/// # Errors
/// Why it is refused.
pub(super) fn take_refanged(plain: &str, intake: &mut Intake<'_>) -> Result<(), Reason> {
    match plain.strip_prefix('=') {
        _ if plain.contains("://") => match host_of(plain) {
            (host, true) => intake.take(bare_name(host.as_bytes()), Verbs::exact(Verb::Listed)),
            _ => Err(Reason::Url),
        },
        Some(exact) => intake.take(bare_name(exact.as_bytes()), Verbs::exact(Verb::Listed)),
        None => intake.take(bare_name(plain.as_bytes()), Verbs::subtree(Verb::Listed)),
    }
}

/// Takes an indicator's value, which counts until `until`, in microseconds since 1970.
///
/// # Errors
/// Why it is refused; it is counted among the names refused on its object.
pub(super) fn take(kind: Kind, value: &str, until: Option<u64>, intake: &mut Intake<'_>) -> Result<(), Reason> {
    let value = value.trim_ascii();
    match kind {
        Kind::Name => intake.take(bare_name(value.as_bytes()), Verbs::subtree(Verb::Listed).until(hour(until))),
        Kind::Address => take_address(value, until, intake),
        Kind::Url => {
            let (host, whole) = host_of(value);
            if !whole && !intake.indicators().url_hosts {
                intake.refuse_name();
                return Err(Reason::Url);
            }
            let address = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
            if address.parse::<IpAddr>().is_ok() {
                return take_address(address, until, intake);
            }
            // A URL names one host, and says nothing of what is below.
            intake.take(bare_name(host.as_bytes()), Verbs::exact(Verb::Listed).until(hour(until)))
        }
    }
}

/// The hour an indicator is enforced until.
fn hour(until: Option<u64>) -> Until {
    until.map_or(Until::NEVER, |micros| Until::from_secs(micros.div_ceil(MICROS_PER_SEC)))
}

/// Takes an address or a network, for the answers that hold one of it.
fn take_address(value: &str, until: Option<u64>, intake: &mut Intake<'_>) -> Result<(), Reason> {
    let taken = network_of(value, intake.trusts_suffixes())
        .and_then(|network| intake.take_network(Side::Answer, network, Says::Verb(Verb::Listed), hour(until)));
    if taken.is_err() {
        intake.refuse_name();
    }
    taken
}

/// Reads an address, or a network as CIDR.
fn network_of(value: &str, trust_wide: bool) -> Result<Network, Reason> {
    let (address, prefix_len) =
        value.split_once('/').map_or((value, None), |(address, length)| (address, Some(length)));
    let address: IpAddr = address.parse().map_err(|_| Reason::Network)?;
    let prefix_len = match prefix_len {
        None if address.is_ipv4() => 32,
        None => 128,
        Some(length) => length.parse().map_err(|_| Reason::Network)?,
    };
    if is_inside(address) {
        return Err(Reason::InsideAddress);
    }
    network(address, prefix_len, trust_wide)
}

/// Whether an address is nobody's on the Internet: unspecified, loopback, private, link-local, multicast, broadcast, unique local
/// (RFC 6890). Published indicators have such of a sandbox's own network; as an answer's address each would take many names along.
fn is_inside(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(four) => {
            let [first, ..] = four.octets();
            first == 0
                || four.is_loopback()
                || four.is_private()
                || four.is_link_local()
                || four.is_multicast()
                || four.is_broadcast()
        }
        IpAddr::V6(six) => {
            six.is_unspecified()
                || six.is_loopback()
                || six.is_unique_local()
                || six.is_unicast_link_local()
                || six.is_multicast()
        }
    }
}

/// A URL's host, brackets and all, and whether the URL is the whole host: it has no path, query or fragment, and names no user.
fn host_of(url: &str) -> (&str, bool) {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let end = rest.find(['/', '?', '#', '\\']).unwrap_or(rest.len());
    let (authority, tail) = rest.split_at_checked(end).unwrap_or((rest, ""));
    let (user, host) = authority.rsplit_once('@').map_or((false, authority), |(_, host)| (true, host));
    let port = host.rsplit_once(':').filter(|(_, port)| port.bytes().all(|octet| octet.is_ascii_digit()));
    // Colons in brackets, or more than one, are an address's own.
    let host = port.map(|(host, _)| host).filter(|host| host.ends_with(']') || !host.contains(':')).unwrap_or(host);
    (host, !user && matches!(tail, "" | "/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_urls_host_and_whether_it_is_all_of_it() {
        for (url, host, whole) in [
            ("http://a.example", "a.example", true),
            ("https://a.example/", "a.example", true),
            ("hxxp://a.example:8080/", "a.example", true),
            ("a.example", "a.example", true),
            ("a.example/", "a.example", true),
            ("a.example:443", "a.example", true),
            ("http://a.example/x", "a.example", false),
            ("http://a.example//", "a.example", false),
            ("http://a.example?x=1", "a.example", false),
            ("http://a.example/?x", "a.example", false),
            ("http://a.example#x", "a.example", false),
            (r"http://a.example\x", "a.example", false),
            ("a.example/x.exe", "a.example", false),
            ("ftp://user:word@a.example/", "a.example", false),
            ("http://b.example@a.example", "a.example", false),
            ("http://192.0.2.1:81", "192.0.2.1", true),
            ("http://[2001:db8::1]", "[2001:db8::1]", true),
            ("http://[2001:db8::1]:81/x", "[2001:db8::1]", false),
            ("http://2001:db8::1", "2001:db8::1", true),
            ("http://", "", true),
            ("", "", true),
            ("mailto:x@a.example", "a.example", false),
            ("http://a.example:x", "a.example:x", true),
        ] {
            assert_eq!(host_of(url), (host, whole), "{url}");
        }
    }

    #[test]
    fn addresses_and_networks() {
        let show = |value: &str, trust| {
            network_of(value, trust).map(|network| (network.first().to_be_bytes()[15], network.prefix_len()))
        };
        for (value, want) in [
            ("192.0.2.1", Ok((1, 128))),
            ("192.0.2.1/32", Ok((1, 128))),
            ("192.0.2.0/24", Ok((0, 120))),
            ("2001:db8::1", Ok((1, 128))),
            ("2001:db8::/32", Ok((0, 32))),
            ("192.0.2.1/24", Err(Reason::Network)),
            ("192.0.2.1/33", Err(Reason::Network)),
            ("192.0.2.1/", Err(Reason::Network)),
            ("192.0.2.1:80", Err(Reason::Network)),
            ("192.0.2.300", Err(Reason::Network)),
            ("a.example", Err(Reason::Network)),
            ("", Err(Reason::Network)),
            ("::ffff:192.0.2.1", Err(Reason::Network)),
            ("128.0.0.0/7", Err(Reason::WideNetwork)),
            ("2000::/15", Err(Reason::WideNetwork)),
            ("0.0.0.0/0", Err(Reason::InsideAddress)),
            ("127.0.0.1", Err(Reason::InsideAddress)),
            ("10.0.0.0/8", Err(Reason::InsideAddress)),
            ("172.16.1.1", Err(Reason::InsideAddress)),
            ("192.168.1.1", Err(Reason::InsideAddress)),
            ("169.254.1.1", Err(Reason::InsideAddress)),
            ("224.0.0.1", Err(Reason::InsideAddress)),
            ("255.255.255.255", Err(Reason::InsideAddress)),
            ("::", Err(Reason::InsideAddress)),
            ("::1", Err(Reason::InsideAddress)),
            ("fd00::1", Err(Reason::InsideAddress)),
            ("fe80::1", Err(Reason::InsideAddress)),
            ("ff02::1", Err(Reason::InsideAddress)),
            ("::ffff:10.0.0.1", Err(Reason::InsideAddress)),
        ] {
            assert_eq!(show(value, false), want, "{value}");
            let trusted = if want == Err(Reason::WideNetwork) { show(value, true).map(|_| ()) } else { Ok(()) };
            assert_eq!(trusted, Ok(()), "{value}");
        }
    }
}
