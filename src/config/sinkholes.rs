//! `[sinkhole]`, `[feed.sinkhole]` and `[tenant.sinkhole]`: what a sunk name is answered with.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::RangeInclusive;

use super::reader::{Placed, Section};
use super::rooms::or;
use crate::name::Name;
use crate::policy::{Garden, SinkConfig};

/// What `sinkhole.ttl-secs` may be: up to a day, so that a name taken off a list comes back the day after at the latest.
const SINK_TTL_SECS: RangeInclusive<u32> = 0..=86_400;
/// What `sinkhole.ede-code` may be: the operator's own policy, or the client's wish (RFC 8914 §4.16, §4.18); 16 is a third party's.
const EDE_CODES: &str = "15 (Blocked), 17 (Filtered), or 0 for no extended error";
/// What `sinkhole.ede-code` is for none. As an INFO-CODE it would be "Other Error", which tells nobody anything.
const NO_EDE: u16 = 0;
/// The longest `sinkhole.ede-text`: with it a sink answer to the longest name, without a garden and names in its SOA,
/// still fits 512 octets.
const EDE_TEXT_OCTETS_MAX: usize = 128;

/// The longest `sinkhole.soa`, both names in wire form: with them and no text any negative answer still fits 512 octets.
const SOA_OCTETS_MAX: usize = 128;

/// A SOA's names in wire form, one behind the other; and its numbers, if they are there.
type Soa = (Box<[u8]>, Option<[u32; 5]>);

/// MNAME and RNAME; and SERIAL, REFRESH, RETRY, EXPIRE and MINIMUM, if they are there.
fn soa(text: &str) -> Option<Soa> {
    let words: Vec<&str> = text.split_whitespace().collect();
    let (names, numbers) = words.split_at_checked(2)?;
    let names: Option<Vec<Name>> = names.iter().map(|name| Name::from_text(name.as_bytes()).ok()).collect();
    let octets: Vec<u8> = names?.iter().flat_map(|name| name.wire().iter().copied()).collect();
    let numbers = match numbers {
        [] => None,
        numbers => {
            Some(numbers.iter().map(|number| number.parse().ok()).collect::<Option<Vec<u32>>>()?.try_into().ok()?)
        }
    };
    (octets.len() <= SOA_OCTETS_MAX).then(|| (octets.into(), numbers))
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
    let expected = format!(
        "two names, as \"ns.example hostmaster.example\", of at most {SOA_OCTETS_MAX} octets together, and behind them nothing or \
         five numbers: serial, refresh, retry, expire and minimum"
    );
    let soa = section.text("soa", &expected, soa);
    let (soa_names, soa_numbers) = or(soa, (default.soa_names, default.soa_numbers));
    let ede_code = section.value("ede-code", EDE_CODES);
    if let Some(placed) = ede_code.as_ref().filter(|placed| !matches!(placed.value, 15 | 17 | NO_EDE)) {
        section.refuse(placed, EDE_CODES);
    }
    let ede_code = ede_code.map(|placed| placed.map(|code| (code != NO_EDE).then_some(code)));
    let ede_text = section.text("ede-text", &format!("at most {EDE_TEXT_OCTETS_MAX} octets of text"), |text| {
        (text.len() <= EDE_TEXT_OCTETS_MAX && !text.chars().any(char::is_control)).then(|| text.to_owned())
    });
    if let (Some(text), Some(None)) = (&ede_text, ede_code.as_ref().map(|code| code.value)) {
        section.refuse(text, "no text beside ede-code = 0, which sends no extended error");
    }
    SinkConfig {
        ipv4: or(ipv4, default.ipv4.filter(|_| !own_garden)),
        ipv6: or(ipv6, default.ipv6.filter(|_| !own_garden)),
        cname,
        ttl_secs: or(section.number("ttl-secs", &SINK_TTL_SECS), default.ttl_secs),
        soa_names,
        soa_numbers,
        soa_owner: or(section.value("soa-owner", "one of name, zone"), default.soa_owner),
        null_mx: or(section.value("null-mx", "true or false"), default.null_mx),
        ede_code: or(ede_code, default.ede_code),
        ede_text: or(ede_text, default.ede_text),
    }
}
