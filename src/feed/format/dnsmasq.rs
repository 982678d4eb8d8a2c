//! dnsmasq's configuration used as a list: `address=/name/…/address`, `local=/name/…/`, `server=/name/…/`.
//!
//! What stands between slashes are names, what stands behind the last one is the address (dnsmasq(8), `--server` and `--address`). Without
//! an address the names are answered locally, hence listed; so are those with a null or loopback address, and `#` for both null addresses.
//! With another address an `address=` maps the names, and a `server=` or `local=` forwards them: both are refused. `server=/name/#` has a name
//! resolved as usual: an exception, for this feed alone. Costs one split of the line.

use super::hosts::{Target, target};
use super::{Bucket, LineParser, Reason};
use crate::feed::intake::{Intake, Says};
use crate::index::{Verb, Verbs};

/// The dnsmasq format.
pub(super) struct Dnsmasq;

/// Options without a name to list or to refuse, as far as they occur beside lists.
const SETTINGS: [&[u8]; 42] = [
    b"addn-hosts",
    b"all-servers",
    b"bind-dynamic",
    b"bind-interfaces",
    b"bogus-nxdomain",
    b"bogus-priv",
    b"cache-size",
    b"clear-on-reload",
    b"dhcp-authoritative",
    b"dhcp-option",
    b"dhcp-range",
    b"dns-forward-max",
    b"dnssec",
    b"domain",
    b"domain-needed",
    b"edns-packet-max",
    b"except-interface",
    b"expand-hosts",
    b"filter-A",
    b"filter-AAAA",
    b"filterwin2k",
    b"group",
    b"interface",
    b"ipset",
    b"listen-address",
    b"local-ttl",
    b"localise-queries",
    b"log-facility",
    b"log-queries",
    b"max-cache-ttl",
    b"min-cache-ttl",
    b"neg-ttl",
    b"nftset",
    b"no-hosts",
    b"no-negcache",
    b"no-poll",
    b"no-resolv",
    b"port",
    b"rebind-domain-ok",
    b"resolv-file",
    b"stop-dns-rebind",
    b"strict-order",
];
/// Options that bring in text from elsewhere: what it lists is not here.
const INCLUDES: [&[u8]; 4] = [b"conf-dir", b"conf-file", b"conf-script", b"servers-file"];
/// Options that give a name data.
const MAPPINGS: [&[u8]; 4] = [b"cname", b"host-record", b"ptr-record", b"txt-record"];

impl LineParser for Dnsmasq {
    fn line(&mut self, text: &[u8], intake: &mut Intake<'_>) -> Bucket {
        let text = without_comment(text).trim_ascii();
        if text.is_empty() {
            return Bucket::Comment;
        }
        let equals = text.iter().position(|&octet| octet == b'=');
        let (option, value) = match equals.and_then(|at| text.split_at_checked(at)) {
            Some((option, [_, value @ ..])) => (option.trim_ascii_end(), value.trim_ascii_start()),
            _ => (text, &[][..]),
        };
        match option {
            b"address" | b"local" | b"server" => match (value.strip_prefix(b"/"), option) {
                (Some(fields), _) => fields_of(fields, option == b"address", intake),
                // Every name there is.
                (None, b"address") => domains(b"#", Verb::Listed, intake),
                (None, _) => Bucket::Refused(Reason::Forwarding),
            },
            b"rev-server" => Bucket::Refused(Reason::Forwarding),
            _ if SETTINGS.contains(&option) => Bucket::Header,
            _ if INCLUDES.contains(&option) => Bucket::Refused(Reason::Directive),
            _ if MAPPINGS.contains(&option) => Bucket::Refused(Reason::Mapping),
            _ => Bucket::Refused(Reason::Syntax),
        }
    }
}

/// The line without its comment: `#` at its start or behind white space.
fn without_comment(text: &[u8]) -> &[u8] {
    if text.first() == Some(&b'#') {
        return &[];
    }
    let space = text.windows(2).position(|pair| matches!(pair, [space, b'#'] if space.is_ascii_whitespace()));
    space.and_then(|at| text.get(..at)).unwrap_or(text)
}

/// Reads what follows the first slash.
fn fields_of(fields: &[u8], maps: bool, intake: &mut Intake<'_>) -> Bucket {
    let Some(last) = fields.iter().rposition(|&octet| octet == b'/') else {
        return Bucket::Refused(Reason::Syntax);
    };
    let (names, address) = match fields.split_at_checked(last) {
        Some((names, [_, address @ ..])) => (names, address.trim_ascii()),
        _ => (fields, &[][..]),
    };
    let verb = match (address, maps) {
        (b"", _) | (b"#", true) => Verb::Listed,
        (b"#", false) => Verb::Cancel,
        (_, false) => return Bucket::Refused(Reason::Forwarding),
        (address, true) => match target(address) {
            Some(Target::Nowhere) => Verb::Listed,
            Some(Target::Somewhere) => return Bucket::Refused(Reason::Mapping),
            None => return Bucket::Refused(Reason::Syntax),
        },
    };
    domains(names, verb, intake)
}

/// Takes names with slashes between.
fn domains(names: &[u8], verb: Verb, intake: &mut Intake<'_>) -> Bucket {
    let (mut taken, mut refused) = (false, None);
    for name in names.split(|&octet| octet == b'/') {
        match domain(name, verb, intake) {
            Ok(()) => taken = true,
            Err(reason) => refused = refused.or(Some(reason)),
        }
    }
    if taken { Bucket::Taken } else { Bucket::Refused(refused.unwrap_or(Reason::Syntax)) }
}

/// Takes one name: `.name` is the name and below, `*.name` what is below it, `#` and `*` are everything.
fn domain(name: &[u8], verb: Verb, intake: &mut Intake<'_>) -> Result<(), Reason> {
    match name {
        b"#" | b"*" if intake.trusts_suffixes() => intake.take_root(Says::Verb(verb)),
        b"#" | b"*" => intake.take(b"", Verbs::subtree(verb)),
        // "empty domain specification, // ... has the special meaning of unqualified names only".
        b"" => Err(Reason::SingleLabel),
        [b'*', b'.', parent @ ..] => intake.take(undotted(parent), Verbs::below(verb)),
        _ => {
            let dots = name.iter().take_while(|&&octet| octet == b'.').count();
            intake.take(undotted(name.get(dots..).unwrap_or_default()), Verbs::subtree(verb))
        }
    }
}

/// A name without its final dot.
fn undotted(name: &[u8]) -> &[u8] {
    name.strip_suffix(b".").unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::super::TextFormat;
    use super::super::tests::{entries, verdict};
    use crate::feed::Terms;
    use crate::feed::format::read_text;

    #[test]
    fn line_by_line() {
        for (line, want) in [
            ("", "comment"),
            ("# Title", "comment"),
            ("  # address=/example.com/", "comment"),
            ("address=/Example.com/0.0.0.0", "example.com"),
            ("address=/example.com/", "example.com"),
            ("address=/example.com/#", "example.com"),
            ("address=/example.com/127.0.0.1", "example.com"),
            ("address=/example.com/::", "example.com"),
            (" address = /example.com/:: # why", "example.com"),
            ("address=/a.example.com/b.example.com/0.0.0.0", "a.example.com b.example.com"),
            ("address=/x.com/::1/", "x.com"),
            ("address=/.example.com/", "example.com"),
            ("address=/..example.com./", "example.com"),
            ("address=/*.example.com/", "*.example.com"),
            ("address=/*example.com/", "refused wildcard"),
            ("address=/disçordapp.com/", "xn--disordapp-s3a.com"),
            ("address=/example.com/192.0.2.7", "refused mapping"),
            ("address=/example.com/2001:db8::1", "refused mapping"),
            ("address=/example.com/NXDOMAIN", "refused syntax"),
            ("address=/example.com", "refused syntax"),
            ("address=/#/0.0.0.0", "refused root"),
            ("address=/*/", "refused root"),
            ("address=0.0.0.0", "refused root"),
            ("address=//0.0.0.0", "refused single-label"),
            ("address=/cn/", "refused tld"),
            ("address=/1.2.3.4/", "refused address"),
            ("address=/localhost/127.0.0.1", "refused boilerplate"),
            ("local=/example.com/", "example.com"),
            ("local=/example.com/192.0.2.53", "refused forwarding"),
            ("server=/s.sh/", "s.sh"),
            ("server=/0001.xin/114.114.114.114", "refused forwarding"),
            ("server=/a.com/b.com/192.0.2.53#5353", "refused forwarding"),
            ("server=/cn/114.114.114.114", "refused forwarding"),
            ("server=/www.example.com/#", "www.example.com Cancel"),
            ("server=192.0.2.53", "refused forwarding"),
            ("rev-server=192.0.2.0/24,192.0.2.53", "refused forwarding"),
            ("port=53", "header"),
            ("no-resolv", "header"),
            ("ipset=/example.com/set", "header"),
            ("conf-file=/etc/more.conf", "refused directive"),
            ("host-record=example.com,192.0.2.7", "refused mapping"),
            ("cname=example.com,example.org", "refused mapping"),
            ("adress=/example.com/", "refused syntax"),
            ("--address=/example.com/", "refused syntax"),
            ("example.com", "refused syntax"),
            ("0.0.0.0 example.com", "refused syntax"),
            ("example.com CNAME .", "refused syntax"),
        ] {
            assert_eq!(verdict(TextFormat::Dnsmasq, line), want, "{line:?}");
        }
    }

    #[test]
    fn a_name_that_is_no_name_beside_one_that_is_and_the_root_of_a_trusted_feed() {
        let text = "address=/x.com/::1/\nserver=/x.com/\naddress=/#/\n";
        for (trust, names, counts) in [(false, &["x.com"][..], [1, 1, 1, 1]), (true, &["*.", "x.com"], [2, 1, 0, 1])] {
            let terms = Terms { trust_suffixes: trust, ..Terms::default() };
            let (sorted, report) = read_text(text.as_bytes(), TextFormat::Dnsmasq, &terms).unwrap();
            assert!(report.balanced());
            assert_eq!(entries(&sorted), names);
            let found = [report.used, report.duplicate, report.refused_total(), report.names_refused];
            assert_eq!(found, counts, "trusted: {trust}");
        }
    }
}
