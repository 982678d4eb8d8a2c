//! The only door for TOML: a file's text into [`Settings`], the product of every room's own `Config`.
//!
//! Every fault of a file is found in one pass ([`Faults`]); what is odd but works is a [`Warning`]. Nothing here opens a feed, a zone
//! file or a socket. Cost: one parse of at most [`FILE_OCTETS_MAX`].

mod fault;
mod feeds;
mod networks;
mod reader;
mod reload;
mod resolv;
mod rooms;
mod sinkholes;
mod tenants;
mod upstreams;
mod warning;

use std::io::Read as _;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use fault::{FAULTS_MAX, Fault, Faults, Problem};
pub use reload::check_upstreams;
use resolv::System;
pub(crate) use resolv::reachable;
pub use warning::{ResolvFlaw, Warning};

use crate::index::FEEDS_MAX;
use crate::name::{Name, NameSet};
use crate::policy::{BeforeLoad, DEFAULT_TENANT, FeedConfig, SinkConfig, TENANTS_MAX, TenantConfig};
use crate::{admin, cache, feed, forward, server, zone};
use reader::Document;
use upstreams::Otherwise;

/// The largest configuration file: 10,000 tenants of ten networks each take a fifth of it.
pub const FILE_OCTETS_MAX: u64 = 16 << 20;

/// All settings of one server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Listeners and workers.
    pub server: server::Config,
    /// Who may ask.
    pub access: server::AccessConfig,
    /// Who asks for others.
    pub proxy: server::ProxyConfig,
    /// Whom to ask; never this server itself.
    pub upstream: forward::Config,
    /// The system's file that the upstreams of no group are of; `None`: the configuration names them.
    pub name_servers_of: Option<PathBuf>,
    /// What is kept.
    pub cache: cache::Config,
    /// What a sunk name is answered with.
    pub sink: SinkConfig,
    /// The feeds in order, at most [`FEEDS_MAX`], each name once.
    pub feeds: Vec<feed::Config>,
    /// Names that no feed may sink.
    pub protected: Arc<NameSet>,
    /// The file that some of them stand in.
    pub protected_file: Option<PathBuf>,
    /// Where generations are kept.
    pub state: feed::StoreConfig,
    /// The same feeds in the same order, as policy sees them.
    pub policy_feeds: Vec<FeedConfig>,
    /// Who asks, each name once, each network once; everyone else may be among them.
    pub tenants: Vec<TenantConfig>,
    /// The line on which each `[[tenant]]` of the file starts; a tenant that is in none has no line.
    pub tenant_lines: Vec<usize>,
    /// Names that may have addresses of the inside; `None`: answers are not looked at.
    pub rebinding: Option<Vec<Name>>,
    /// The operator's zones and the special names.
    pub zones: zone::Config,
    /// The two doors.
    pub admin: admin::Config,
    /// What works, but hardly as it was meant.
    pub warnings: Vec<Warning>,
}

/// Reads the file at `path`, and the system's name servers if it names none.
///
/// # Errors
/// [`Faults`]: the file cannot be read, or all that is wrong in it.
pub fn load(path: &Path) -> Result<Settings, Faults> {
    read(&text_of(path)?, path, &System::read(), Otherwise::Warning)
}

/// As [`load`], to serve by it: that neither the file nor the system names anybody to ask is a fault.
///
/// # Errors
/// As of [`load`].
pub fn load_to_serve(path: &Path) -> Result<Settings, Faults> {
    read(&text_of(path)?, path, &System::read(), Otherwise::Fault)
}

/// As [`load`], for a server that runs by the settings `in_force`: it goes on with its upstreams should the system name no others by now.
///
/// # Errors
/// As of [`load`].
pub fn load_again(path: &Path, in_force: &Settings) -> Result<Settings, Faults> {
    read(&text_of(path)?, path, &System::read(), Otherwise::InForce(in_force))
}

/// The text of the file at `path`.
fn text_of(path: &Path) -> Result<String, Faults> {
    let alone = |problem| Faults::new(vec![Fault { file: path.to_owned(), line: 0, key: String::new(), problem }]);
    let unreadable = |error: std::io::Error| alone(Problem::Unreadable(error.kind()));
    let mut octets = Vec::new();
    let file = std::fs::File::open(path).map_err(unreadable)?;
    file.take(FILE_OCTETS_MAX + 1).read_to_end(&mut octets).map_err(unreadable)?;
    if u64::try_from(octets.len()).is_ok_and(|length| length > FILE_OCTETS_MAX) {
        return Err(alone(Problem::TooLarge { expected: FILE_OCTETS_MAX }));
    }
    String::from_utf8(octets).map_err(|_| alone(Problem::NotText))
}

/// Reads `text` as the file `origin`: faults name it, and paths in it are relative to its folder.
fn read(text: &str, origin: &Path, system: &System, otherwise: Otherwise<'_>) -> Result<Settings, Faults> {
    let document = Document::new(text, origin);
    let folder = origin.parent().unwrap_or_else(|| Path::new(""));
    let settings = settings(&document, folder, system, otherwise);
    document.finish().map(|_| settings)
}

/// Without a configuration: the defaults, the sample feed, and the system's own name servers as upstreams.
#[must_use]
pub fn embedded() -> Settings {
    embedded_with(&System::read())
}

/// As [`embedded`], with what the system says given.
fn embedded_with(system: &System) -> Settings {
    let (servers, warnings) = system.servers();
    let name = "sample".to_owned();
    let mut settings = Settings {
        server: server::Config::default(),
        access: server::AccessConfig::default(),
        proxy: server::ProxyConfig::default(),
        upstream: forward::Config { servers, ..forward::Config::default() },
        name_servers_of: Some(system.path.clone()),
        cache: cache::Config::default(),
        sink: SinkConfig::default(),
        rebinding: None,
        policy_feeds: vec![FeedConfig::plain(name.clone())],
        tenants: Vec::new(),
        tenant_lines: Vec::new(),
        feeds: vec![feed::Config::new("sample", feed::Source::Sample)],
        protected: Arc::default(),
        protected_file: None,
        state: feed::StoreConfig::default(),
        zones: zone::Config::default(),
        admin: rooms::admin_default(),
        warnings,
    };
    settings.drop_own_addresses();
    settings
}

/// The settings of a document, to be thrown away if it has faults.
fn settings(document: &Document<'_>, folder: &Path, system: &System, otherwise: Otherwise<'_>) -> Settings {
    let mut top = document.parse();
    let server = top.section("server", rooms::server);
    let access = top.section("access", rooms::access);
    let proxy = top.section("proxy", rooms::proxy);
    let unnamed = upstreams::Unnamed { system, listen: &server.listen, otherwise };
    let upstreams::Read { config: mut upstream, name_servers_of, warnings: of_system } =
        top.section("upstream", |section| upstreams::upstream(section, &unnamed));
    top.sections("upstream-group", forward::GROUPS_MAX, |section| {
        if let Some(group) = upstreams::upstream_group(section, &upstream) {
            upstream.groups.push(group);
        }
    });
    let cache = top.section("cache", rooms::cache);
    let sink = top.section("sinkhole", |section| sinkholes::sinkhole(section, SinkConfig::default()));
    let (guard, protected_file) = top.section("gate", |section| feeds::gate(section, folder));
    let (mut feeds, mut policy_feeds) = (Vec::new(), Vec::new());
    top.sections("feed", FEEDS_MAX, |section| {
        if let Some((feed, policy)) = feeds::feed(section, folder, &feeds, &sink, &guard) {
            feeds.push(feed);
            policy_feeds.push(policy);
        }
    });
    let state = top.section("state", |section| feeds::state(section, folder));
    let before_load = if state.start == feed::Start::Open { BeforeLoad::Open } else { BeforeLoad::default() };
    let mut reader = tenants::Reader::new(&feeds, &server, &upstream, &sink, before_load);
    let (mut tenants, mut tenant_lines): (Vec<TenantConfig>, Vec<usize>) = Default::default();
    // One more than the named ones: everyone else.
    top.sections("tenant", TENANTS_MAX + 1, |section| {
        tenant_lines.push(section.line());
        tenants.extend(reader.tenant(section));
    });
    if before_load == BeforeLoad::Open && !tenants.iter().any(|tenant| tenant.name == DEFAULT_TENANT) {
        tenants.push(TenantConfig { before_load, ..TenantConfig::plain(DEFAULT_TENANT.to_owned()) });
    }
    let mut zones = Vec::new();
    top.sections("zone", zone::Config::ZONES_MAX, |section| zones.extend(rooms::zone(section, folder, &zones)));
    let rebinding = top.section("rebinding", rooms::rebinding);
    let special_names = top.section("special-names", rooms::special_names);
    let default = rooms::admin_default();
    let http = top.section("metrics", |section| rooms::metrics(section, default.http, &server.listen));
    let socket = top.section("admin", |section| rooms::admin_socket(section, folder));
    top.finish();
    let mut settings = Settings {
        server,
        access,
        proxy,
        upstream,
        name_servers_of,
        cache,
        sink,
        feeds,
        protected: Arc::clone(guard.protected()),
        protected_file,
        state,
        policy_feeds,
        tenants,
        tenant_lines,
        rebinding,
        zones: zone::Config { zones, special_names },
        admin: admin::Config { http, socket },
        warnings: Vec::new(),
    };
    settings.warnings = warning::warnings(&settings);
    settings.warnings.extend(of_system);
    settings.drop_own_addresses();
    settings
}

impl Settings {
    /// Takes out the upstreams that are this very server, and warns; warns too if none is left.
    fn drop_own_addresses(&mut self) {
        let Self { server, upstream, warnings, .. } = self;
        let own = |upstream| server.listen.iter().copied().find(|&listen| receives(listen, upstream));
        let found = upstream.upstreams().into_iter().filter_map(|upstream| Some((upstream, own(upstream)?)));
        warnings.extend(found.map(|(upstream, listen)| Warning::OwnAddress { upstream, listen }));
        upstream.servers.retain(|&server| own(server).is_none());
        if upstream.servers.is_empty() {
            warnings.push(Warning::NoUpstream);
        }
        for group in &mut upstream.groups {
            group.servers.retain(|&server| own(server).is_none());
            if group.servers.is_empty() {
                warnings.push(Warning::NoGroupUpstream { group: group.name.clone() });
            }
        }
    }
}

/// Whether what this host sends to `target` arrives at its own listener on `listen`. Of a wildcard listener only the loopback addresses
/// are known to be this host's.
fn receives(listen: SocketAddr, target: SocketAddr) -> bool {
    let (own, ip) = (listen.ip().to_canonical(), target.ip().to_canonical());
    let same_family = matches!((own, ip), (IpAddr::V4(_), IpAddr::V4(_)) | (IpAddr::V6(_), IpAddr::V6(_)));
    listen.port() == target.port() && (own == ip || own.is_unspecified() && ip.is_loopback() && same_family)
}

impl Settings {
    /// These with what needs a restart as it was in `old`: named again at the next reload. A tenant's listeners are those of the sockets there
    /// are; one that is still to be opened has nobody asking yet, and one that is still to be closed stays its tenant's.
    #[must_use]
    pub fn until_restart(mut self, old: &Self) -> Self {
        let places: Vec<Option<u8>> = self.server.listen.iter().map(|address| old.server.place(*address)).collect();
        let closes = |place: &&u8| !places.contains(&Some(**place));
        let closing = old
            .tenants
            .iter()
            .flat_map(|tenant| tenant.listeners.iter().filter(closes).map(move |&place| (tenant.name.as_str(), place)));
        let closing: Vec<(&str, u8)> = closing.collect();
        for tenant in &mut self.tenants {
            let now = |place: &u8| places.get(usize::from(*place)).copied().flatten();
            tenant.listeners = tenant.listeners.iter().filter_map(now).collect();
            tenant.listeners.extend(closing.iter().filter(|(name, _)| *name == tenant.name).map(|&(_, place)| place));
        }
        Self {
            server: old.server.clone(),
            upstream: old.upstream.clone(),
            name_servers_of: old.name_servers_of.clone(),
            cache: old.cache.clone(),
            admin: old.admin.clone(),
            state: old.state.clone(),
            ..self
        }
    }
}

/// The keys that differ and whose change needs a restart; every other one applies on reload.
#[must_use]
pub fn restart_keys(old: &Settings, new: &Settings) -> Vec<&'static str> {
    // Taken apart whole, so that a new setting cannot be forgotten here.
    let server::Config {
        listen,
        workers,
        spread,
        receive_buffer_kb,
        tcp_connections_max,
        tcp_connections_per_client_max,
        tcp_idle_secs,
        drain_secs,
        log_format,
    } = &old.server;
    let forward::Config {
        servers,
        groups,
        timeout_ms,
        budget_ms,
        in_flight_max,
        waiting_max_mb,
        waiting_per_client_max,
        tcp_waiting_max,
        randomize_case,
    } = &old.upstream;
    let cache::Config { size_mb, ttl_min_secs, ttl_max_secs, negative_ttl_max_secs } = &old.cache;
    let admin::Config { http, socket } = &old.admin;
    let feed::StoreConfig { directory, generations, start } = &old.state;
    [
        ("server.listen", *listen == new.server.listen),
        ("server.workers", *workers == new.server.workers),
        ("server.spread", *spread == new.server.spread),
        ("server.receive-buffer-kb", *receive_buffer_kb == new.server.receive_buffer_kb),
        ("server.tcp-connections", *tcp_connections_max == new.server.tcp_connections_max),
        (
            "server.tcp-connections-per-client",
            *tcp_connections_per_client_max == new.server.tcp_connections_per_client_max,
        ),
        ("server.tcp-idle-secs", *tcp_idle_secs == new.server.tcp_idle_secs),
        ("server.drain-secs", *drain_secs == new.server.drain_secs),
        ("server.log-format", *log_format == new.server.log_format),
        ("upstream.servers", *servers == new.upstream.servers),
        ("upstream-group", *groups == new.upstream.groups),
        ("upstream.timeout-ms", *timeout_ms == new.upstream.timeout_ms),
        ("upstream.budget-ms", *budget_ms == new.upstream.budget_ms),
        ("upstream.in-flight-max", *in_flight_max == new.upstream.in_flight_max),
        ("upstream.waiting-max-mb", *waiting_max_mb == new.upstream.waiting_max_mb),
        ("upstream.waiting-per-client-max", *waiting_per_client_max == new.upstream.waiting_per_client_max),
        ("upstream.tcp-waiting-max", *tcp_waiting_max == new.upstream.tcp_waiting_max),
        ("upstream.randomize-case", *randomize_case == new.upstream.randomize_case),
        ("cache.size-mb", *size_mb == new.cache.size_mb),
        ("cache.ttl-min-secs", *ttl_min_secs == new.cache.ttl_min_secs),
        ("cache.ttl-max-secs", *ttl_max_secs == new.cache.ttl_max_secs),
        ("cache.negative-ttl-max-secs", *negative_ttl_max_secs == new.cache.negative_ttl_max_secs),
        ("state.directory", *directory == new.state.directory),
        ("state.generations", *generations == new.state.generations),
        ("state.start", *start == new.state.start),
        ("metrics.listen", *http == new.admin.http),
        ("admin.socket", *socket == new.admin.socket),
    ]
    .into_iter()
    .filter_map(|(key, same)| (!same).then_some(key))
    .collect()
}

#[cfg(test)]
mod testing {
    use super::*;

    /// A system whose `/etc/resolv.conf` says this.
    pub(super) fn system(text: &str) -> System {
        System { path: "/etc/resolv.conf".into(), text: Ok(text.to_owned()) }
    }

    /// Reads a configuration on a system whose name server is 127.0.0.1.
    pub(super) fn read(text: &str, origin: &Path) -> Result<Settings, Faults> {
        super::read(text, origin, &system("nameserver 127.0.0.1"), Otherwise::Warning)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = include_str!("../../config/cenote.toml");

    /// The text read as `/etc/cenote/c.toml`.
    fn read_there(text: &str) -> Result<Settings, Faults> {
        testing::read(text, Path::new("/etc/cenote/c.toml"))
    }

    #[test]
    fn a_listener_stays_its_tenants_while_others_wait_for_a_restart() {
        let of = |listen: &str, own: &str| {
            let text = format!("[server]\nlisten = [{listen}]\n[[tenant]]\nname = 't'\nlisteners = [{own}]\n");
            read_there(&text).unwrap()
        };
        let old = of("'127.0.0.1:53', '127.0.0.2:53', '127.0.0.3:53'", "'127.0.0.2:53'");
        let new =
            of("'127.0.0.9:53', '127.0.0.3:53', '127.0.0.2:53'", "'127.0.0.9:53', '127.0.0.2:53', '127.0.0.3:53'");
        let settings = new.until_restart(&old);
        assert_eq!((&settings.server, settings.tenants[0].listeners.as_slice()), (&old.server, &[1, 2][..]));
    }

    #[test]
    fn the_example_shows_the_defaults() {
        assert_eq!(read_there(FILE).unwrap(), embedded_with(&testing::system("nameserver 127.0.0.1")));
    }

    #[test]
    fn the_example_shows_every_key_and_explains_it() {
        // A "#" and no space before a setting: taken in.
        let all: String = FILE
            .lines()
            .map(|line| line.strip_prefix('#').filter(|rest| !rest.starts_with(' ')).unwrap_or(line).to_owned() + "\n")
            .collect();
        let document = Document::new(&all, Path::new("c.toml"));
        settings(&document, Path::new(""), &testing::system(""), Otherwise::Warning);
        let known = document.finish().unwrap();
        let (mut shown, mut section, mut before) = (std::collections::BTreeSet::new(), String::new(), "");
        for line in all.lines() {
            if let Some(header) = line.strip_prefix('[') {
                section = header.trim_matches(['[', ']']).to_owned();
                shown.insert(section.clone());
            } else if let Some((key, _)) = line.split_once(" = ").filter(|_| !line.starts_with('#')) {
                shown.insert(format!("{section}.{key}"));
                assert!(before.starts_with("# "), "a line that explains is missing above {section}.{key}");
            }
            before = line;
        }
        assert_eq!(shown, known, "left: shown in config/cenote.toml; right: known to the code");
    }

    #[test]
    fn the_two_deployments_load_without_a_warning() {
        for (file, text, feeds, actions) in [
            (
                "csp.toml",
                include_str!("../../config/csp.toml"),
                5,
                &[Some("passthru"), None, None, Some("nxdomain"), Some("observe")][..],
            ),
            ("oi.toml", include_str!("../../config/oi.toml"), 2, &[None, Some("nodata")]),
        ] {
            let settings = testing::read(text, Path::new(file)).unwrap_or_else(|faults| panic!("{faults}"));
            assert_eq!(settings.warnings, [], "{file}");
            assert_eq!(settings.feeds.len(), feeds, "{file}");
            let got: Vec<_> =
                settings.policy_feeds.iter().map(|feed| feed.action.map(|action| action.label())).collect();
            assert_eq!(got, actions, "{file}");
            assert!(settings.feeds.iter().map(|f| &f.name).eq(settings.policy_feeds.iter().map(|f| &f.name)), "{file}");
        }
    }

    #[test]
    fn an_empty_file_sinks_nothing_and_says_so() {
        let settings = read_there("").unwrap();
        assert_eq!(settings.warnings, [Warning::NoFeed]);
        assert_eq!(settings.upstream.servers, ["127.0.0.1:53".parse().unwrap()]);
    }

    #[test]
    fn paths_are_relative_to_the_files_folder() {
        let text = "[[feed]]\nname = 'a'\nsource = 'f/a'\n[[feed]]\nname = 'b'\nsource = '/b'\n\
                    [[zone]]\nname = 'z'\nfile = 'z.zone'\n[admin]\nsocket = '../s'";
        let settings = read_there(text).unwrap();
        let files: Vec<_> = settings.feeds.iter().map(|feed| feed.source.clone()).collect();
        assert_eq!(files, [feed::Source::File("/etc/cenote/f/a".into()), feed::Source::File("/b".into())]);
        assert_eq!(settings.zones.zones[0].file, Path::new("/etc/cenote/z.zone"));
        assert_eq!(settings.admin.socket, admin::SocketChoice::Path("/etc/cenote/../s".into()));
    }

    #[test]
    fn a_csv_feed_has_a_column_by_number_or_by_name_and_no_other_has() {
        let feed = |lines: &str| read_there(&format!("[[feed]]\nname = 'a'\nsource = 'a'\n{lines}"));
        for (lines, want) in [
            ("format = 'csv'\ncolumn = 3", Some(feed::Column::Number(3.try_into().unwrap()))),
            ("column = 'Host'", Some(feed::Column::Name("Host".to_owned()))),
            ("format = 'csv'", None),
        ] {
            assert_eq!(feed(lines).unwrap().feeds[0].terms.column, want, "{lines}");
        }
        for lines in ["column = 0", "column = -1", "column = 70000", "column = []", "format = 'hosts'\ncolumn = 1"] {
            assert!(feed(lines).unwrap_err().to_string().contains("column"), "{lines}");
        }
    }

    #[test]
    fn this_server_is_no_upstream_of_its_own() {
        for (listen, server, own) in [
            ("127.0.0.1:1053", "127.0.0.1:1053", true),
            ("127.0.0.1:1053", "127.0.0.1", false),
            ("0.0.0.0:53", "127.0.0.1", true),
            ("0.0.0.0:53", "127.1.2.3", true),
            ("0.0.0.0:53", "192.0.2.1", false),
            ("0.0.0.0:53", "[::1]:53", false),
            ("[::]:53", "[::1]:53", true),
            ("[::]:53", "[::ffff:192.0.2.1]:53", false),
            ("192.0.2.1:53", "[::ffff:192.0.2.1]:53", true),
            ("192.0.2.1:53", "192.0.2.1:54", false),
        ] {
            let text = format!(
                "[server]\nlisten = ['{listen}']\n[upstream]\nservers = ['{server}']\n[[feed]]\nname='s'\nsource='sample'"
            );
            let settings = read_there(&text).unwrap();
            let mut want = Vec::new();
            if own {
                let server = server.parse().unwrap_or_else(|_| SocketAddr::new(server.parse().unwrap(), 53));
                want.push(Warning::OwnAddress { upstream: server, listen: listen.parse().unwrap() });
                want.push(Warning::NoUpstream);
            }
            assert_eq!(settings.warnings, want, "{listen} {server}");
            assert_eq!(settings.upstream.servers.is_empty(), own, "{listen} {server}");
        }
    }

    #[test]
    fn this_server_is_in_no_group_either() {
        let settings = read_there(
            "[server]\nlisten = ['127.0.0.1:53']\n[upstream]\nservers = ['192.0.2.1', '127.0.0.1']\n\
             [[upstream-group]]\nname = 'some'\nservers = ['127.0.0.1', '192.0.2.2']\n\
             [[upstream-group]]\nname = 'none'\nservers = ['127.0.0.1']\n[[feed]]\nname='s'\nsource='sample'",
        )
        .unwrap();
        let own = "127.0.0.1:53".parse().unwrap();
        let left = Warning::OwnAddress { upstream: own, listen: own };
        assert_eq!(settings.warnings, [left, Warning::NoGroupUpstream { group: "none".to_owned() }], "each once");
        let shown: Vec<_> = settings.upstream.upstreams().iter().map(ToString::to_string).collect();
        assert_eq!(shown, ["192.0.2.1:53", "192.0.2.2:53"]);
        assert_eq!(settings.upstream.group("none"), Some(2), "a group keeps its number");
    }

    #[test]
    fn without_a_file_and_without_upstreams_the_key_to_set_is_named() {
        let settings = embedded_with(&testing::system(""));
        assert!(settings.upstream.servers.is_empty());
        assert!(settings.warnings.last().unwrap().to_string().contains("set upstream.servers"));
        assert_eq!(settings.feeds[0].source, feed::Source::Sample);
    }

    #[test]
    fn only_what_cannot_be_reloaded_wants_a_restart() {
        let old = read_there(FILE).unwrap();
        assert_eq!(restart_keys(&old, &old), [""; 0]);
        for (from, to, want) in [
            ("workers = 0", "workers = 2", &["server.workers"][..]),
            ("log-format = \"text\"", "log-format = \"json\"", &["server.log-format"]),
            ("[\"127.0.0.1:1053\"]", "[\"127.0.0.1:1054\"]", &["server.listen"]),
            ("timeout-ms = 800", "timeout-ms = 801", &["upstream.timeout-ms"]),
            (
                "#[[upstream-group]]",
                "[[upstream-group]]\nname = \"eu\"\nservers = [\"192.0.2.1\"]",
                &["upstream-group"],
            ),
            ("size-mb = 64", "size-mb = 65", &["cache.size-mb"]),
            ("127.0.0.1:9153", "", &["metrics.listen"]),
            ("#socket = \"/run/cenote/admin.sock\"", "socket = \"\"", &["admin.socket"]),
            ("\"10.0.0.0/8\", ", "", &[]),
            ("from = []", "from = [\"10.0.0.1\"]", &[]),
            ("ttl-secs = 30", "ttl-secs = 31", &[]),
            ("name = \"sample\"", "name = \"other\"", &[]),
            ("enabled = true", "enabled = false", &[]),
        ] {
            assert!(FILE.contains(from), "{from}");
            let new = read_there(&FILE.replace(from, to)).unwrap();
            assert_ne!(old, new, "{from}");
            assert_eq!(restart_keys(&old, &new), want, "{from}");
        }
    }

    #[test]
    fn a_damaged_file_is_read_or_refused_with_its_line() {
        let lines = FILE.lines().count();
        for at in (0..FILE.len()).step_by(3).filter(|&at| FILE.is_char_boundary(at)) {
            let (before, after) = FILE.split_at(at);
            for damaged in [before.to_owned(), format!("{before}\"{after}"), format!("{before}\n[{after}")] {
                if let Err(faults) = read_there(&damaged) {
                    assert!(faults.count() > 0);
                    let fits = |line| (1..=lines + 1).contains(&line);
                    assert!(faults.iter().all(|fault| fits(fault.line)), "octet {at}: {faults}");
                }
            }
        }
    }

    #[test]
    fn what_is_no_configuration_is_one_fault() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str, octets: &[u8]| {
            let path = folder.path().join(name);
            std::fs::write(&path, octets).unwrap();
            path
        };
        for (path, want) in [
            (folder.path().join("none"), Problem::Unreadable(std::io::ErrorKind::NotFound)),
            (folder.path().to_owned(), Problem::Unreadable(std::io::ErrorKind::IsADirectory)),
            (file("latin", b"# \xe9"), Problem::NotText),
            (file("large", &vec![b'#'; (16 << 20) + 1]), Problem::TooLarge { expected: FILE_OCTETS_MAX }),
        ] {
            let faults = load(&path).unwrap_err();
            assert_eq!(faults.iter().map(|fault| &fault.problem).collect::<Vec<_>>(), [&want]);
            assert!(faults.to_string().starts_with(&*path.to_string_lossy()));
        }
        assert_eq!(load(&file("bom", b"\xef\xbb\xbf[server]\r\nworkers = 3\r\n")).unwrap().server.workers, 3);
    }
}
