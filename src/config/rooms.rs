//! One section of the file into one room's own settings.
//!
//! Each function takes every key of its section, checks what belongs together within it, and falls back on the room's default
//! where a key is absent or wrong (a wrong one is noted, so the result is thrown away in the end).

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use super::networks::{networks, refuse_everyone};
use super::reader::{Placed, Section};
use crate::name::Name;
use crate::{admin, cache, feed, server, zone};

/// What was read, or the default.
pub(super) fn or<T>(read: Option<Placed<T>>, default: T) -> T {
    read.map_or(default, |placed| placed.value)
}

/// What [`word`] takes.
pub(super) const WORD: &str = "a name of a to z, 0 to 9 and -, at most 64 characters";

/// The operator's name for something.
pub(super) fn word(text: &str) -> Option<String> {
    let fits = (1..=feed::Config::NAME_OCTETS_MAX).contains(&text.len())
        && text.bytes().all(|octet| matches!(octet, b'a'..=b'z' | b'0'..=b'9' | b'-'));
    fits.then(|| text.to_owned())
}

/// A path in the file, relative to the file's folder.
pub(super) fn path(text: &str, folder: &Path) -> Option<PathBuf> {
    (!text.is_empty() && !text.contains('\0')).then(|| folder.join(text))
}

/// `[server]`.
pub(super) fn server(section: &mut Section<'_, '_>) -> server::Config {
    use server::Config;
    let default = Config::default();
    let expected = "an address and a port, as \"127.0.0.1:1053\" or \"[::1]:1053\"";
    let listen = section.list("listen", expected, 1..=server::LISTEN_MAX, |text| text.parse::<SocketAddr>().ok());
    if let Some(list) = &listen {
        for (place, item) in list.value.iter().enumerate() {
            // Port 0 is any free port: twice is no duplicate.
            if item.value.port() != 0 && list.value.iter().take(place).any(|before| before.value == item.value) {
                section.refuse(item, "each address once");
            }
        }
    }
    Config {
        listen: listen.map_or(default.listen, |list| list.value.into_iter().map(|item| item.value).collect()),
        workers: or(section.number("workers", &Config::WORKERS), default.workers),
        spread: or(section.value("spread", "one of flow, random"), default.spread),
        receive_buffer_kb: or(
            section.number("receive-buffer-kb", &Config::RECEIVE_BUFFER_KB),
            default.receive_buffer_kb,
        ),
        tcp_connections_max: or(
            section.number("tcp-connections", &Config::TCP_CONNECTIONS_MAX),
            default.tcp_connections_max,
        ),
        tcp_connections_per_client_max: or(
            section.number("tcp-connections-per-client", &Config::TCP_CONNECTIONS_PER_CLIENT_MAX),
            default.tcp_connections_per_client_max,
        ),
        tcp_idle_secs: or(section.number("tcp-idle-secs", &Config::TCP_IDLE_SECS), default.tcp_idle_secs),
        drain_secs: or(section.number("drain-secs", &Config::DRAIN_SECS), default.drain_secs),
        log_format: or(section.value("log-format", "one of text, json"), default.log_format),
    }
}

/// `[access]`. A server that answers everyone is an amplifier in other people's hands (BCP 140, RFC 5358), so it takes two keys.
pub(super) fn access(section: &mut Section<'_, '_>) -> server::AccessConfig {
    let everyone = or(section.value("allow-everyone", "true or false"), false);
    let Some(list) = networks(section, "allow", 1..=server::AccessConfig::NETWORKS_MAX) else {
        return server::AccessConfig::default();
    };
    if !everyone {
        let expected = "the networks of your clients, or access.allow-everyone = true beside it: an open resolver is used to attack \
                        others (BCP 140, RFC 5358)";
        refuse_everyone(section, &list, expected);
    }
    server::AccessConfig { allow: list.value.into_iter().map(|item| item.value).collect() }
}

/// `[proxy]`. Whoever is listed may ask in anyone's name, so that everyone cannot be.
pub(super) fn proxy(section: &mut Section<'_, '_>) -> server::ProxyConfig {
    let Some(list) = networks(section, "from", 0..=server::ProxyConfig::NETWORKS_MAX) else {
        return server::ProxyConfig::default();
    };
    refuse_everyone(section, &list, "the addresses of your load balancers: whoever is listed may ask in anyone's name");
    server::ProxyConfig { from: list.value.into_iter().map(|item| item.value).collect() }
}

/// `[cache]`.
pub(super) fn cache(section: &mut Section<'_, '_>) -> cache::Config {
    use cache::Config;
    let default = Config::default();
    let min = section.number("ttl-min-secs", &Config::TTL_MIN_SECS);
    let max = section.number("ttl-max-secs", &Config::TTL_MAX_SECS);
    let ttl_min_secs = min.as_ref().map_or(default.ttl_min_secs, |placed| placed.value);
    let ttl_max_secs = max.as_ref().map_or(default.ttl_max_secs, |placed| placed.value);
    if let (true, Some(placed)) = (ttl_max_secs < ttl_min_secs, max.as_ref().or(min.as_ref())) {
        section.refuse(
            placed,
            &format!("cache.ttl-max-secs ({ttl_max_secs}) at least cache.ttl-min-secs ({ttl_min_secs})"),
        );
    }
    Config {
        size_mb: or(section.number("size-mb", &Config::SIZE_MB), default.size_mb),
        ttl_min_secs,
        ttl_max_secs,
        negative_ttl_max_secs: or(
            section.number("negative-ttl-max-secs", &Config::NEGATIVE_TTL_MAX_SECS),
            default.negative_ttl_max_secs,
        ),
    }
}

/// `[[zone]]`.
pub(super) fn zone(
    section: &mut Section<'_, '_>,
    folder: &Path,
    before: &[zone::ZoneConfig],
) -> Option<zone::ZoneConfig> {
    let named = "a zone's name, as \"corp.example\"";
    let filed = "the path of a zone file";
    // The root as one's own zone would answer every name there is.
    let apex = if section.has("name") {
        section.text("name", named, |text| Name::from_written(text).ok().filter(|name| *name != Name::ROOT))
    } else {
        section.missing("name", named)
    };
    if let Some(placed) = apex.as_ref().filter(|apex| before.iter().any(|zone| zone.apex == apex.value)) {
        section.refuse(placed, "a name that no other zone has");
    }
    let file = if section.has("file") {
        section.text("file", filed, |text| path(text, folder))
    } else {
        section.missing("file", filed)
    };
    Some(zone::ZoneConfig { apex: apex?.value, file: file?.value })
}

/// `[special-names]`: which are answered, and which are forwarded all the same.
pub(super) fn special_names(section: &mut Section<'_, '_>) -> zone::SpecialConfig {
    let default = zone::SpecialConfig::default();
    let expected = "a special name, as \"10.in-addr.arpa\"";
    let forward =
        section.list("forward", expected, 0..=zone::Config::ZONES_MAX, |text| Name::from_text(text.as_bytes()).ok());
    let mut flag = |key, default| or(section.value(key, "true or false"), default);
    zone::SpecialConfig {
        enabled: flag("enabled", default.enabled),
        block_application_dns: flag("block-application-dns", default.block_application_dns),
        block_private_relay: flag("block-private-relay", default.block_private_relay),
        forwarded: forward.map_or(default.forwarded, |list| list.value.into_iter().map(|item| item.value).collect()),
    }
}

/// What [`domain`] takes.
pub(super) const DOMAIN: &str = "a name, as \"example.com\" or \"*.example.com\", which both mean it and all below it";

/// A name that stands for itself and all below it, as a list of names has it; nothing that only looks like one: a URL, an address, a rule.
pub(super) fn domain(text: &str) -> Option<Name> {
    let text = text.strip_prefix("*.").or_else(|| text.strip_prefix('.')).unwrap_or(text);
    let usual = |letter: char| letter.is_alphanumeric() || !letter.is_ascii() || "-_.".contains(letter);
    if !text.chars().all(usual) || text.parse::<IpAddr>().is_ok() {
        return None;
    }
    Name::from_written(text).ok().filter(|name| *name != Name::ROOT)
}

/// `[rebinding]`: the names that may have addresses of the inside; `None` if answers are not looked at.
pub(super) fn rebinding(section: &mut Section<'_, '_>) -> Option<Vec<Name>> {
    let protect = or(section.value("protect", "true or false"), false);
    let allow = section.list("allow", DOMAIN, 0..=zone::Config::ZONES_MAX, domain);
    let allow = allow.map_or_else(Vec::new, |list| list.value.into_iter().map(|item| item.value).collect());
    protect.then_some(allow)
}

/// `[metrics]`; HTTP shares its port's number space with DNS over TCP, hence `listen`.
pub(super) fn metrics(
    section: &mut Section<'_, '_>,
    default: Option<SocketAddr>,
    listen: &[SocketAddr],
) -> Option<SocketAddr> {
    let read = section.text("listen", "an address and a port, as \"127.0.0.1:9153\", or \"\" for none", |text| {
        if text.is_empty() { Some(None) } else { text.parse().ok().map(Some) }
    });
    let taken = |address: &Option<SocketAddr>| address.is_some_and(|it| it.port() != 0 && listen.contains(&it));
    if let Some(placed) = read.as_ref().filter(|placed| taken(&placed.value)) {
        section.refuse(placed, "an address that server.listen does not take");
    }
    or(read, default)
}

/// `[admin]`.
pub(super) fn admin_socket(section: &mut Section<'_, '_>, folder: &Path) -> admin::SocketChoice {
    use admin::SocketChoice;
    let read = section.text("socket", "the path of a socket, or \"\" for none", |text| {
        if text.is_empty() { Some(SocketChoice::Nowhere) } else { path(text, folder).map(SocketChoice::Path) }
    });
    or(read, SocketChoice::DefaultPlace)
}

/// The two doors, without a file.
pub(super) fn admin_default() -> admin::Config {
    admin::Config {
        http: Some(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 9153)),
        socket: admin::SocketChoice::DefaultPlace,
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::read;
    use super::*;
    use crate::forward;
    use crate::policy::Garden;

    /// A feed's and a zone's keys that must be there.
    const FEED: &str = "[[feed]]\nname = 'a'\nsource = 'a'\n";

    /// Checks that `text` has exactly these faults: line, key, and a part of the message.
    #[track_caller]
    fn assert_faults(text: &str, want: &[(usize, &str, &str)]) {
        let faults = read(text, Path::new("c.toml")).expect_err(text);
        let shown = faults.to_string();
        assert_eq!(faults.count(), want.len(), "{text}\n{shown}");
        for (fault, &(line, key, part)) in faults.iter().zip(want) {
            assert_eq!((fault.line, fault.key.as_str()), (line, key), "{text}\n{shown}");
            assert!(fault.problem.to_string().contains(part), "{text}\nwanted: {part}\n{shown}");
        }
    }

    #[test]
    fn what_is_asked_of_indicators() {
        let asked =
            |keys: &str| read(&format!("{FEED}{keys}"), Path::new("c.toml")).unwrap().feeds.remove(0).terms.indicators;
        let default = feed::IndicatorTerms::default;
        for (keys, want) in [
            ("", default()),
            ("confidence-min = 70", feed::IndicatorTerms { confidence_min: 70, ..default() }),
            ("tlp-max = 'amber-strict'", feed::IndicatorTerms { tlp_max: feed::Tlp::AmberStrict, ..default() }),
            ("marking = 'a'", feed::IndicatorTerms { marking: Some("a".to_owned()), ..default() }),
            ("marking = ''", default()),
            ("url-hosts = true", feed::IndicatorTerms { url_hosts: true, ..default() }),
        ] {
            assert_eq!(asked(keys), want, "{keys}");
        }
        for (keys, key, part) in [
            ("confidence-min = 101", "feed[0].confidence-min", "from 0 to 100"),
            ("tlp-max = 'white'", "feed[0].tlp-max", "one of clear, green, amber"),
            ("marking = 7", "feed[0].marking", "a marking of at most 128 octets"),
            ("url-hosts = 1", "feed[0].url-hosts", "true or false"),
        ] {
            assert_faults(&format!("{FEED}{keys}"), &[(4, key, part)]);
        }
    }

    #[test]
    #[expect(clippy::too_many_lines, reason = "one table")]
    fn each_wrong_value_is_told_by_line_key_and_expectation() {
        for (text, line, key, part) in [
            ("[server]\nworkers = 'x'", 2, "server.workers", "expected a whole number from 0 to 256, got 'x'"),
            ("[gate]\ncanaries = ['*.bank.example']", 2, "gate.canaries[0]", "never to be sunk, without \"*\""),
            ("[gate]\nprotected = ['*.a.*.example']", 2, "gate.protected[0]", "expected"),
            ("[gate]\nprotected = ['*']", 2, "gate.protected[0]", "expected"),
            ("[server]\nspread = 'wide'", 2, "server.spread", "expected one of flow, random"),
            ("[server]\nlog-format = 'logfmt'", 2, "server.log-format", "expected one of text, json"),
            ("[server]\nworkers = 257", 2, "server.workers", "from 0 to 256, got 257"),
            ("[server]\nworkers = -1", 2, "server.workers", "from 0 to 256, got -1"),
            ("[server]\nworkers = 1.5", 2, "server.workers", "from 0 to 256, got 1.5"),
            ("[server]\nworkers = 99999999999999999999", 2, "server.workers", "from 0 to 256"),
            ("[server]\nlisten = []", 2, "server.listen", "a list of 1 to 64 items, got []"),
            ("[server]\nlisten = '127.0.0.1:53'", 2, "server.listen", "a list, each item an address and a port"),
            ("[server]\nlisten = [\n '127.0.0.1:53',\n '127.0.0.1',\n]", 4, "server.listen[1]", "got '127.0.0.1'"),
            ("[server]\nlisten = ['[::1]:53', '[::1]:53']", 2, "server.listen[1]", "each address once"),
            ("server = 1", 1, "server", "a table, [server]"),
            ("[access]\nallow = ['10.1.2.3/8']", 2, "access.allow[0]", "expected 10.0.0.0/8, or 10.1.2.3 for"),
            ("[proxy]\nfrom = ['::1', '2001:db8::2/64']", 2, "proxy.from[1]", "expected 2001:db8::/64, or"),
            ("[access]\nallow = ['10.0.0.0/33']", 2, "access.allow[0]", "a network, as"),
            ("[access]\nallow = ['0.0.0.0/0']", 2, "access.allow[0]", "access.allow-everyone = true"),
            ("[access]\nallow = ['::/0']", 2, "access.allow[0]", "BCP 140"),
            ("[access]\nallow = ['::/1']", 2, "access.allow[0]", "open resolver"),
            ("[access]\nallow = ['10.0.0.0/8']\nallow-everyone = 1", 3, "access.allow-everyone", "true or false"),
            ("[access]\nallow = ['::ffff:0:0/96']", 2, "access.allow[0]", "open resolver"),
            ("[access]\nallow = []", 2, "access.allow", "a list of 1 to 4096 items"),
            ("[proxy]\nfrom = ['lb.example']", 2, "proxy.from[0]", "a network, as"),
            ("[proxy]\nfrom = ['10.0.0.1', '0.0.0.0/0']", 2, "proxy.from[1]", "your load balancers"),
            ("[proxy]\nfrom = ['::/0']", 2, "proxy.from[0]", "in anyone's name"),
            ("[proxy]\nfrom = ['2000::/3']", 2, "proxy.from[0]", "in anyone's name"),
            ("[proxy]\nfrom = ['::fffe:0:0/95']", 2, "proxy.from[0]", "in anyone's name"),
            ("[proxy]\nfrom = '10.0.0.1'", 2, "proxy.from", "a list, each item a network"),
            ("[upstream]\nservers = ['dns.example']", 2, "upstream.servers[0]", "a server's address"),
            ("[upstream]\nservers = ['192.0.2.1:0']", 2, "upstream.servers[0]", "a server's address"),
            ("[upstream]\nservers = ['0.0.0.0']", 2, "upstream.servers[0]", "a server's address"),
            ("[upstream]\nservers = ['192.0.2.1', '192.0.2.1:53']", 2, "upstream.servers[1]", "each server once"),
            ("[upstream-group]\nname = 'a'", 1, "upstream-group", "at most 64 tables, each [[upstream-group]]"),
            ("[[upstream-group]]\nname = 'a'", 1, "upstream-group[0].servers", "got no such key"),
            ("[[upstream-group]]\nservers = ['::1']", 1, "upstream-group[0].name", "a to z, 0 to 9 and -"),
            (
                "[[upstream-group]]\nname = 'EU'\nservers = ['::1']",
                2,
                "upstream-group[0].name",
                "at most 64 characters, got 'EU'",
            ),
            ("[[upstream-group]]\nname = 'a'\nservers = []", 3, "upstream-group[0].servers", "a list of 1 to 16 items"),
            (
                "[[upstream-group]]\nname = 'a'\nservers = ['::1', '::1']",
                3,
                "upstream-group[0].servers[1]",
                "each server once",
            ),
            (
                "[upstream]\ntimeout-ms = 900\nbudget-ms = 899",
                3,
                "upstream.budget-ms",
                "at least upstream.timeout-ms (900)",
            ),
            ("[upstream]\ntcp-waiting-max = 0", 2, "upstream.tcp-waiting-max", "from 1 to 65536, got 0"),
            ("[upstream]\ntimeout-ms = 2501", 2, "upstream.timeout-ms", "upstream.budget-ms (2500) at least"),
            (
                "[cache]\nttl-min-secs = 10\nttl-max-secs = 9",
                3,
                "cache.ttl-max-secs",
                "at least cache.ttl-min-secs (10)",
            ),
            ("[cache]\nttl-max-secs = 604801", 2, "cache.ttl-max-secs", "from 1 to 604800"),
            ("[sinkhole]\nipv4 = '::'", 2, "sinkhole.ipv4", "an IPv4 address, or \"\" for none"),
            ("[sinkhole]\nipv6 = '0.0.0.0'", 2, "sinkhole.ipv6", "an IPv6 address"),
            ("[sinkhole]\ncname = '.'", 2, "sinkhole.cname", "a name, as \"garden.example\" or \"*.garden.example\""),
            ("[sinkhole]\ncname = '*'", 2, "sinkhole.cname", "got '*'"),
            ("[sinkhole]\ncname = '192.0.2.99'", 2, "sinkhole.cname", "a name, as"),
            ("[sinkhole]\nipv4 = '0.0.0.0'\ncname = 'g.test'", 2, "sinkhole.ipv4", "the walled garden's address"),
            ("[sinkhole]\nipv6 = '::'\ncname = 'g.test'", 2, "sinkhole.ipv6", "or cname = \"\" beside it"),
            ("[sinkhole]\nsoa = 'ns.test'", 2, "sinkhole.soa", "two names"),
            ("[sinkhole]\nsoa = 'ns.test host..master'", 2, "sinkhole.soa", "two names"),
            ("[sinkhole]\nsoa = '. . .'", 2, "sinkhole.soa", "two names"),
            ("[sinkhole]\nsoa = '. . 1 2 3 4'", 2, "sinkhole.soa", "nothing or five numbers"),
            ("[sinkhole]\nsoa = '. . 1 2 3 4 5 6'", 2, "sinkhole.soa", "nothing or five numbers"),
            ("[sinkhole]\nsoa = '. . 1 2 3 4 4294967296'", 2, "sinkhole.soa", "nothing or five numbers"),
            ("[sinkhole]\nsoa-owner = 'parent'", 2, "sinkhole.soa-owner", "one of name, zone"),
            ("[sinkhole]\nnull-mx = 'yes'", 2, "sinkhole.null-mx", "true or false"),
            ("[sinkhole]\nede-code = 0\nede-text = 'x'", 3, "sinkhole.ede-text", "no text beside ede-code = 0"),
            ("[special-names]\nblock-application-dns = 1", 2, "special-names.block-application-dns", "true or false"),
            ("[special-names]\nblock-private-relay = ''", 2, "special-names.block-private-relay", "true or false"),
            (&format!("[sinkhole]\nsoa = '. {}'", "a.".repeat(64)), 2, "sinkhole.soa", "at most 128 octets together"),
            ("[sinkhole]\nede-code = 16", 2, "sinkhole.ede-code", "15 (Blocked), 17 (Filtered), or 0 for"),
            ("[sinkhole]\nede-code = -1", 2, "sinkhole.ede-code", "15 (Blocked), 17 (Filtered), or 0 for"),
            ("[sinkhole]\nede-text = \"a\\u0000\"", 2, "sinkhole.ede-text", "at most 128 octets"),
            (
                "[[feed]]\nname = 'a'\nsource = 'a'\nsinkhole = { ttl-secs = 86401 }",
                4,
                "feed[0].sinkhole.ttl-secs",
                "from 0 to 86400",
            ),
            ("[[feed]]\nname = 'a'\nsource = 'a'\nsinkhole = '::'", 4, "feed[0].sinkhole", "a table, "),
            ("[special-names]\nforward = ['a..b']", 2, "special-names.forward[0]", "a special name"),
            ("[metrics]\nlisten = '9153'", 2, "metrics.listen", "an address and a port"),
            ("[metrics]\nlisten = '127.0.0.1:1053'", 2, "metrics.listen", "that server.listen does not take"),
            ("[admin]\nsocket = 1", 2, "admin.socket", "the path of a socket"),
            ("feed = 1", 1, "feed", "at most 128 tables, each [[feed]]"),
            ("[feed]\nname = 'a'", 1, "feed", "each [[feed]]"),
            ("feed = [1]", 1, "feed[0]", "each [[feed]]"),
            ("[[zone]]\nname = '.'\nfile = 'x'", 2, "zone[0].name", "a zone's name"),
            ("\n[[zone]]\nname = 'a'", 2, "zone[0].file", "expected the path of a zone file, got no such key"),
        ] {
            assert_faults(text, &[(line, key, part)]);
        }
    }

    #[test]
    fn an_open_resolver_takes_a_second_key_however_it_is_written() {
        let eights = |count: u8| -> String { (1..=count).map(|first| format!("'{first}.0.0.0/8', ")).collect() };
        for (networks, want) in [
            ("'0.0.0.0/1', '128.0.0.0/1'", &["access.allow[0]", "access.allow[1]"][..]),
            ("'::ffff:0:0/97', '::ffff:128.0.0.0/97'", &["access.allow[0]", "access.allow[1]"]),
            ("'::ffc0:0:0/90'", &["access.allow[0]"]),
            ("'2000::/3'", &["access.allow[0]"]),
            ("'2000::/4', '192.0.2.0/24'", &["access.allow[0]"]),
            ("'8.0.0.0/7'", &["access.allow[0]"]),
            ("'2a00::/15'", &["access.allow[0]"]),
            (&eights(17), &["access.allow"]),
            (&eights(16), &[]),
            ("'8.0.0.0/8', '8.0.0.0/9', '9.0.0.0/8', '10.0.0.0/8', '11.0.0.0/8'", &[]),
            ("'2a00::/16', '2a01::/16'", &[]),
            ("'fc00::/7', 'fe80::/10', 'fec0::/10', 'ff00::/8', '200::/7'", &[]),
            ("'224.0.0.0/4', '240.0.0.0/4', '127.0.0.0/8', '169.254.0.0/16'", &[]),
        ] {
            let text = format!("[access]\nallow = [{networks}]");
            if want.is_empty() {
                assert!(read(&text, Path::new("c.toml")).is_ok(), "{text}");
                continue;
            }
            let want: Vec<_> = want.iter().map(|&key| (2, key, "open resolver")).collect();
            assert_faults(&text, &want);
            assert!(read(&format!("{text}\nallow-everyone = true"), Path::new("c.toml")).is_ok(), "{text}");
            let balancers: Vec<_> =
                want.iter().map(|(line, key, _)| (*line, key.replace("access.allow", "proxy.from"))).collect();
            let balancers: Vec<_> =
                balancers.iter().map(|(line, key)| (*line, key.as_str(), "load balancers")).collect();
            assert_faults(&format!("[proxy]\nfrom = [{networks}]"), &balancers);
        }
    }

    #[test]
    fn feeds_are_checked_each_and_together() {
        let long = format!("{FEED}[[feed]]\nname = '{}'\nsource = 'b'", "x".repeat(65));
        for (text, want) in [
            ("[[feed]]", &[(1, "feed[0].name", "a name of"), (1, "feed[0].source", "no such key")][..]),
            (&long, &[(5, "feed[1].name", "at most 64 characters")]),
            ("[[feed]]\nname = 'A'\nsource = ''", &[(2, "feed[0].name", "a to z"), (3, "feed[0].source", "a file")]),
            (&format!("{FEED}{FEED}"), &[(5, "feed[1].name", "no other feed has")]),
            (&format!("{FEED}format = 'xml'"), &[(4, "feed[0].format", "one of auto, hosts")]),
            (&format!("{FEED}action = 'block'"), &[(4, "feed[0].action", "one of sinkhole")]),
            (&format!("{FEED}action = 'passthru'"), &[(4, "feed[0].action", "may-allow = true beside")]),
            (
                "[[feed]]\nname = 'a'\nsource = 'https://feeds.example/a'",
                &[(3, "feed[0].source", "fetched into a file")],
            ),
            (
                &FEED.replace("'a'", "'a\n'"),
                &[(2, "", "syntax error"), (3, "", "syntax error"), (5, "", "syntax error")],
            ),
        ] {
            assert_faults(text, want);
        }
        let many: String = (0..=128).map(|n| format!("[[feed]]\nname = 'f{n}'\nsource = 'a'\n")).collect();
        assert_faults(&many, &[(1, "feed", "at most 128 tables")]);
        assert!(read(&format!("{FEED}action = 'passthru'\nmay-allow = true"), Path::new("")).is_ok());
    }

    #[test]
    fn a_garden_has_the_addresses_given_beside_it_and_no_others() {
        let four = |text: &str| -> Option<Ipv4Addr> { (!text.is_empty()).then(|| text.parse().unwrap()) };
        for (common, own, (name, ipv4)) in [
            ("", "", ("", "0.0.0.0")),
            ("cname = 'g.test'", "", ("g.test", "")),
            ("cname = 'g.test'\nipv4 = '192.0.2.1'", "", ("g.test", "192.0.2.1")),
            ("cname = 'g.test'\nipv4 = '192.0.2.1'", "ttl-secs = 1", ("g.test", "192.0.2.1")),
            ("cname = 'g.test'\nipv4 = '192.0.2.1'", "ipv4 = '192.0.2.2'", ("g.test", "192.0.2.2")),
            ("cname = 'g.test'\nipv4 = '192.0.2.1'", "cname = '*.h.test'", ("*.h.test", "")),
            ("cname = 'g.test'\nipv4 = '192.0.2.1'", "cname = ''", ("", "192.0.2.1")),
            ("ipv4 = '192.0.2.1'", "cname = 'h.test'", ("h.test", "")),
            ("ipv4 = '192.0.2.1'", "cname = 'h.test'\nipv4 = '192.0.2.2'", ("h.test", "192.0.2.2")),
        ] {
            let text = format!("[sinkhole]\n{common}\n{FEED}[feed.sinkhole]\n{own}");
            let settings = read(&text, Path::new("c.toml")).unwrap();
            let sink = settings.policy_feeds[0].sink.as_ref().unwrap();
            assert_eq!((&sink.cname, sink.ipv4), (&Garden::from_text(name), four(ipv4)), "{text}");
        }
    }

    /// A group of `count` servers, the first of them given by its place.
    fn group(name: &str, first: usize, count: usize) -> String {
        let servers: Vec<String> = (first..first + count).map(|place| format!("192.0.2.{place}")).collect();
        format!("[[upstream-group]]\nname = '{name}'\nservers = {servers:?}\n")
    }

    #[test]
    fn groups_are_checked_each_and_together() {
        let twice = group("eu", 1, 1) + &group("eu", 2, 1);
        assert_faults(&twice, &[(5, "upstream-group[1].name", "a name that no other group has")]);
        // With the 127.0.0.1 of [upstream], 63 more are 64.
        let full = [group("a", 1, 16), group("b", 17, 16), group("c", 33, 16), group("d", 49, 15)].concat();
        let settings = read(&(full.clone() + &group("e", 1, 16)), Path::new("c.toml")).unwrap();
        assert_eq!(settings.upstream.upstreams().len(), forward::UPSTREAMS_MAX);
        assert_eq!((settings.upstream.group("a"), settings.upstream.group("e")), (Some(1), Some(5)));
        let over = full + &group("e", 63, 2);
        assert_faults(&over, &[(15, "upstream-group[4].servers", "at most 64 different servers in all groups")]);
        let many: String = (0..=64).map(|number| group(&format!("g{number}"), 1, 1)).collect();
        assert_faults(&many, &[(1, "upstream-group", "at most 64 tables")]);
    }

    #[test]
    fn unknown_keys_come_with_a_suggestion() {
        for (text, line, key, part) in [
            ("[server]\nlisten-on = ['x']", 2, "server.listen-on", "got listen-on; did you mean listen?"),
            ("[servr]\nworkers = 1", 1, "servr", "did you mean server?"),
            ("workers = 1", 1, "workers", "expected a known key, got workers"),
            (&format!("{FEED}may_allow = true"), 4, "feed[0].may_allow", "did you mean may-allow?"),
            (&format!("{FEED}url = 'x'"), 4, "feed[0].url", "got url"),
            ("[upstream]\nwaiters-max = 1", 2, "upstream.waiters-max", "there is waiting-max-mb"),
            ("[cache]\n'size mb' = 1", 2, "cache.'size mb'", "did you mean size-mb?"),
        ] {
            assert_faults(text, &[(line, key, part)]);
        }
    }

    #[test]
    fn every_fault_is_found_in_one_pass() {
        assert_faults(
            "[server]\nworkers = 'x'\nlisten = ['a', '127.0.0.1:53', 'b']\n[cach]\n[[feed]]\nname = 'a'\nactoin = 1",
            &[
                (2, "server.workers", "whole number"),
                (3, "server.listen[0]", "got 'a'"),
                (3, "server.listen[2]", "got 'b'"),
                (4, "cach", "did you mean cache?"),
                (5, "feed[0].source", "no such key"),
                (7, "feed[0].actoin", "did you mean action?"),
            ],
        );
    }

    #[test]
    fn what_is_not_toml_is_told_by_line() {
        for (text, line) in [
            ("[server]\nworkers = ", 2),
            ("[server\n", 1),
            ("a = 1\na = 2", 2),
            ("x = 'unclosed", 1),
            ("\n\n[a]\n[a]", 4),
            ("\u{0}", 1),
        ] {
            assert_faults(text, &[(line, "", "expected TOML, got a syntax error")]);
        }
        let deep = format!("a = {}", "[".repeat(10_000));
        assert!(read(&deep, Path::new("c.toml")).is_err());
    }

    #[test]
    fn values_in_all_their_shapes() {
        let settings = read(
            "[access]\nallow = ['192.0.2.1', '10.0.0.0/8', '0.0.0.0/0']\nallow-everyone = true\n\
             [proxy]\nfrom = ['192.0.2.2', '2001:db8::/64']\n\
             [upstream]\nservers = ['192.0.2.1', '192.0.2.1:54', '::1', '[::1]:54']\n\
             [sinkhole]\nipv4 = ''\nede-code = 17\n[metrics]\nlisten = ''\n[admin]\nsocket = ''",
            Path::new("c.toml"),
        )
        .unwrap();
        let shown = |network: &ipnet::IpNet| network.to_string();
        assert_eq!(
            settings.access.allow.iter().map(shown).collect::<Vec<_>>(),
            ["192.0.2.1/32", "10.0.0.0/8", "0.0.0.0/0"]
        );
        assert_eq!(settings.proxy.from.iter().map(shown).collect::<Vec<_>>(), ["192.0.2.2/32", "2001:db8::/64"]);
        assert_eq!(
            settings.upstream.servers.iter().map(ToString::to_string).collect::<Vec<_>>(),
            ["192.0.2.1:53", "192.0.2.1:54", "[::1]:53", "[::1]:54"]
        );
        assert_eq!((settings.sink.ipv4, settings.sink.ede_code), (None, Some(17)));
        assert_eq!(settings.admin, admin::Config::default());
    }
}
