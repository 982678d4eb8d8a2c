//! `[sinkhole]` and `[feed.sinkhole]`: what a sunk name is answered with.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::RangeInclusive;

use super::reader::{Placed, Section};
use super::rooms::or;
use crate::name::Name;
use crate::policy::{Garden, SinkConfig};

/// What `sinkhole.ttl-secs` may be: up to a day, so that a name taken off a list comes back the day after at the latest.
const SINK_TTL_SECS: RangeInclusive<u32> = 0..=86_400;
/// What `sinkhole.ede-code` may be: the operator's own policy, or the client's wish (RFC 8914 §4.16, §4.18); 16 is a third party's.
const EDE_CODES: &str = "15 (Blocked) or 17 (Filtered)";
/// The longest `sinkhole.ede-text`: with it a sink answer to the longest name, without a garden and names in its SOA,
/// still fits 512 octets.
const EDE_TEXT_OCTETS_MAX: usize = 128;

/// The longest `sinkhole.soa`, both names in wire form: with them and no text any negative answer still fits 512 octets.
const SOA_OCTETS_MAX: usize = 128;

/// MNAME and RNAME in wire form.
fn soa_names(text: &str) -> Option<Box<[u8]>> {
    let names: Option<Vec<Name>> = text.split_whitespace().map(|name| Name::from_text(name.as_bytes()).ok()).collect();
    let [mname, rname] = names?.try_into().ok()?;
    let octets = [mname.wire(), rname.wire()].concat();
    (octets.len() <= SOA_OCTETS_MAX).then(|| octets.into())
}

/// Notes an address that a walled garden cannot have.
fn refuse_unspecified<T: Copy + Into<IpAddr>>(section: &Section<'_, '_>, address: Option<&Placed<Option<T>>>) {
    let is_unspecified =
        |placed: &&Placed<Option<T>>| placed.value.is_some_and(|address| address.into().is_unspecified());
    if let Some(placed) = address.filter(is_unspecified) {
        section.refuse(placed, "the walled garden's address, or \"\" for none, or cname = \"\" beside it");
    }
}

/// `[sinkhole]`, and a feed's own: a key that is left out is as in `default`; but where `cname` is given, the garden has the addresses that are
/// given beside it and no others.
pub(super) fn sinkhole(section: &mut Section<'_, '_>, default: SinkConfig) -> SinkConfig {
    /// An address, or none for the empty text.
    fn address<T: std::str::FromStr>(text: &str) -> Option<Option<T>> {
        if text.is_empty() { Some(None) } else { text.parse().ok().map(Some) }
    }
    let cname =
        section.text("cname", "a name, as \"garden.example\" or \"*.garden.example\", or \"\" for none", |text| {
            if text.is_empty() { Some(None) } else { Garden::from_text(text).map(Some) }
        });
    let ipv4 = section.text("ipv4", "an IPv4 address, or \"\" for none", address::<Ipv4Addr>);
    let ipv6 = section.text("ipv6", "an IPv6 address, or \"\" for none", address::<Ipv6Addr>);
    let own_garden = cname.as_ref().is_some_and(|cname| cname.value.is_some());
    let cname = or(cname, default.cname);
    if cname.is_some() {
        refuse_unspecified(section, ipv4.as_ref());
        refuse_unspecified(section, ipv6.as_ref());
    }
    let expected =
        format!("two names, as \"ns.example hostmaster.example\", of at most {SOA_OCTETS_MAX} octets together");
    let soa_names = section.text("soa", &expected, soa_names);
    let ede_code = section.value("ede-code", EDE_CODES);
    if let Some(placed) = ede_code.as_ref().filter(|placed| !matches!(placed.value, 15 | 17)) {
        section.refuse(placed, EDE_CODES);
    }
    let ede_text = section.text("ede-text", &format!("at most {EDE_TEXT_OCTETS_MAX} octets of text"), |text| {
        (text.len() <= EDE_TEXT_OCTETS_MAX && !text.chars().any(char::is_control)).then(|| text.to_owned())
    });
    SinkConfig {
        ipv4: or(ipv4, default.ipv4.filter(|_| !own_garden)),
        ipv6: or(ipv6, default.ipv6.filter(|_| !own_garden)),
        cname,
        ttl_secs: or(section.number("ttl-secs", &SINK_TTL_SECS), default.ttl_secs),
        soa_names: or(soa_names, default.soa_names),
        ede_code: or(ede_code, default.ede_code),
        ede_text: or(ede_text, default.ede_text),
    }
}
