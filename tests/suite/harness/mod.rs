//! A server in this process, its folder, its scripted upstreams and its clients. Loopback only, no fixed port, no sleep that is waited for.

pub mod child;
pub mod client;
pub mod upstream;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use cenote::admin::{self, Fault};
use cenote::app::{Progress, ReloadError, Reloaded, Server};
use cenote::config;
use tempfile::TempDir;

pub use client::{Ask, BOTH, Client, Reply, Via};
pub use upstream::Upstream;

/// How long anything is waited for before its test fails.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Waits until something holds, and fails after a while.
pub fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < PATIENCE, "not in time: {what}");
        thread::sleep(Duration::from_millis(2));
    }
}

/// Addresses that nobody else is given: servers in tests listen elsewhere unless they got theirs here.
pub fn free_addresses<const N: usize>() -> [SocketAddr; N] {
    let held = [(); N].map(|()| TcpListener::bind("127.7.7.7:0").unwrap());
    held.map(|listener| listener.local_addr().unwrap())
}

/// A server to be: its configuration and its files.
pub struct Plan {
    /// Where its files are.
    folder: TempDir,
    /// Lines by section.
    sections: BTreeMap<String, Vec<String>>,
    /// `[[feed]]`, `[[upstream-group]]` and `[[zone]]`.
    tables: String,
    /// `[[tenant]]`.
    tenants: String,
}

impl Plan {
    /// One with no upstream, no feed, and ports of the kernel's choice. Keys may be overridden with [`Self::key`].
    pub fn new() -> Self {
        let plan = Self {
            folder: tempfile::tempdir().unwrap(),
            sections: BTreeMap::new(),
            tables: String::new(),
            tenants: String::new(),
        };
        plan.key("server", "listen = ['127.0.0.1:0']")
            .key("server", "workers = 2")
            .key("server", "drain-secs = 0")
            .key("server", "receive-buffer-kb = 256")
            .key("cache", "size-mb = 8")
            .key("upstream", "servers = []")
            // A machine that stalls must not look like an upstream that is silent.
            .key("upstream", "timeout-ms = 10000")
            .key("upstream", "budget-ms = 20000")
            .key("metrics", "listen = ''")
            .key("admin", "socket = ''")
    }

    /// Sets a key, in the place of an earlier setting of it.
    pub fn key(mut self, section: &str, line: &str) -> Self {
        let lines = self.sections.entry(section.to_owned()).or_default();
        let key = |line: &str| line.split(" = ").next().unwrap().to_owned();
        lines.retain(|old| key(old) != key(line));
        lines.push(line.to_owned());
        self
    }

    /// Leaves a section to the defaults.
    pub fn without(mut self, section: &str) -> Self {
        self.sections.remove(section);
        self
    }

    /// Asks these, in this order.
    pub fn upstreams(self, upstreams: &[&Upstream]) -> Self {
        let servers: Vec<String> = upstreams.iter().map(|upstream| upstream.at.to_string()).collect();
        self.key("upstream", &format!("servers = {servers:?}"))
    }

    /// A feed with default settings.
    pub fn feed(self, name: &str, text: &str) -> Self {
        self.feed_with(name, text, "")
    }

    /// A feed with further keys.
    pub fn feed_with(mut self, name: &str, text: &str, keys: &str) -> Self {
        fs::write(self.folder.path().join(name), text).unwrap();
        writeln!(self.tables, "[[feed]]\nname = '{name}'\nsource = '{name}'\n{keys}").unwrap();
        self
    }

    /// Tables as text.
    pub fn tables(mut self, text: &str) -> Self {
        self.tables.push_str(text);
        self
    }

    /// Without feeds, groups and zones.
    pub fn no_tables(mut self) -> Self {
        self.tables.clear();
        self
    }

    /// A tenant.
    pub fn tenant(mut self, name: &str, keys: &str) -> Self {
        writeln!(self.tenants, "[[tenant]]\nname = '{name}'\n{keys}").unwrap();
        self
    }

    /// Without tenants.
    pub fn no_tenants(mut self) -> Self {
        self.tenants.clear();
        self
    }

    /// A group of upstreams.
    pub fn group(mut self, name: &str, upstream: &Upstream) -> Self {
        writeln!(self.tables, "[[upstream-group]]\nname = '{name}'\nservers = ['{}']", upstream.at).unwrap();
        self
    }

    /// A zone.
    pub fn zone(mut self, apex: &str, text: &str) -> Self {
        fs::write(self.folder.path().join(format!("{apex}.zone")), text).unwrap();
        writeln!(self.tables, "[[zone]]\nname = '{apex}'\nfile = '{apex}.zone'").unwrap();
        self
    }

    /// The configuration file's text.
    fn text(&self) -> String {
        let mut text = String::new();
        for (section, lines) in &self.sections {
            writeln!(text, "[{section}]\n{}", lines.join("\n")).unwrap();
        }
        text + &self.tables + &self.tenants
    }

    /// Writes the configuration file and gives its path.
    pub fn write(&self) -> PathBuf {
        let file = self.folder.path().join("cenote.toml");
        fs::write(&file, self.text()).unwrap();
        file
    }

    /// Puts another text in a file's place, as `mv` does.
    pub fn replace(&self, file: &str, text: &str) {
        let (path, fresh) = (self.folder().join(file), self.folder().join("fresh"));
        fs::write(&fresh, text).unwrap();
        fs::rename(fresh, path).unwrap();
    }

    /// The path of one of its files.
    pub fn path(&self, file: &str) -> String {
        self.folder().join(file).display().to_string()
    }

    /// Where its files are.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Starts it in this process.
    pub fn start(self) -> House {
        self.start_and(&mut |_, _, _| ())
    }

    /// As [`Self::start`]; `progress` is called while feeds load.
    pub fn start_and(self, progress: Progress<'_>) -> House {
        let file = self.write();
        let settings = config::load(&file).unwrap_or_else(|faults| panic!("{faults}"));
        let server = Server::start(settings, Some(&file), progress).unwrap_or_else(|error| panic!("{error}"));
        House { at: server.started().listen[0], plan: self, server: Some(server) }
    }
}

/// A running server; stops when it is dropped.
pub struct House {
    /// Where it listens.
    pub at: SocketAddr,
    /// Its configuration.
    plan: Plan,
    /// The server.
    server: Option<Server>,
}

impl House {
    /// The server itself.
    pub fn server(&self) -> &Server {
        self.server.as_ref().unwrap()
    }

    /// A client of it.
    pub fn client(&self, via: Via) -> Client {
        Client::new(via, self.at)
    }

    /// Asks over a socket of its own.
    pub fn ask(&self, via: Via, ask: &Ask) -> Reply {
        self.client(via).ask(ask)
    }

    /// A client of it at an address of its own.
    pub fn client_at(&self, own: &str, via: Via) -> Client {
        Client::from(own.parse().unwrap(), via, self.at)
    }

    /// Asks for a name's A from an address of its own over UDP.
    pub fn a_from(&self, own: &str, qname: &str) -> Reply {
        self.client_at(own, Via::Udp).ask(&Ask::a(qname))
    }

    /// Asks for a name's A over UDP.
    pub fn a(&self, qname: &str) -> Reply {
        self.ask(Via::Udp, &Ask::a(qname))
    }

    /// Puts another text in a file's place, as `mv` does.
    pub fn replace(&self, file: &str, text: &str) {
        self.plan.replace(file, text);
    }

    /// Overwrites a file where it is.
    pub fn overwrite(&self, file: &str, text: &str) {
        fs::write(self.plan.folder().join(file), text).unwrap();
    }

    /// Where its files are.
    pub fn folder(&self) -> &Path {
        self.plan.folder()
    }

    /// Changes the plan and writes its configuration file.
    pub fn configure(&mut self, change: impl FnOnce(Plan) -> Plan) {
        let plan = std::mem::replace(&mut self.plan, Plan::new());
        self.plan = change(plan);
        self.replace("cenote.toml", &self.plan.text());
    }

    /// Stops it and gives its plan, files and all.
    pub fn stop(mut self) -> Plan {
        if let Some(server) = self.server.take() {
            server.stop();
        }
        std::mem::replace(&mut self.plan, Plan::new())
    }

    /// Has it read feeds again, and gives the generation and the notes.
    pub fn refresh(&self, feeds: &[&str], force: bool) -> Result<(u64, Vec<String>), String> {
        told(self.server().control().refresh(owned(feeds), force))
    }

    /// Has it enforce what feeds were.
    pub fn roll_back(&self, generation: Option<u64>, feeds: &[&str]) -> Result<(u64, Vec<String>), String> {
        told(self.server().control().roll_back(generation, owned(feeds)))
    }

    /// Has it let feeds follow their sources.
    pub fn unpin(&self, feeds: &[&str]) -> Result<(u64, Vec<String>), String> {
        told(self.server().control().unpin(owned(feeds)))
    }

    /// The numbers of the generations it keeps, the newest first, and the one in force.
    pub fn generations(&self) -> (Vec<u64>, Option<u64>) {
        let Ok(admin::Reply::Generations { kept, .. }) = self.server().control().generations() else {
            panic!("none are kept")
        };
        let in_force = kept.iter().find(|kept| kept.in_force).map(|kept| kept.generation);
        (kept.iter().map(|kept| kept.generation).collect(), in_force)
    }

    /// Reloads, as SIGHUP does, and waits.
    pub fn reload(&self) -> Result<Reloaded, ReloadError> {
        self.server().reload()
    }

    /// One series' value: its name and labels as they are exposed.
    pub fn metric(&self, series: &str) -> u64 {
        value(&self.server().metrics().render(), series)
    }

    /// The generation in force.
    pub fn generation(&self) -> u64 {
        self.server().live().load().generation
    }
}

/// Names as the admin socket takes them.
fn owned(names: &[&str]) -> Vec<String> {
    names.iter().map(|&name| name.to_owned()).collect()
}

/// What a task that publishes came to.
fn told(reply: Result<admin::Reply, Fault>) -> Result<(u64, Vec<String>), String> {
    match reply {
        Ok(admin::Reply::Reloaded { generation, warnings, .. }) => Ok((generation, warnings)),
        Ok(other) => panic!("{other:?}"),
        Err(fault) => Err(fault.to_string()),
    }
}

impl Drop for House {
    fn drop(&mut self) {
        if let Some(server) = self.server.take() {
            server.stop();
        }
    }
}

/// One series' value in an exposition; a series is exposed from the start.
pub fn value(exposition: &str, series: &str) -> u64 {
    let line = exposition.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("{series} is not exposed:\n{exposition}")).parse::<f64>().unwrap() as u64
}

/// The sum of all series of a family whose labels include these.
pub fn sum(exposition: &str, family: &str, label: &str) -> u64 {
    let of_family = |line: &&str| line.starts_with(family) && line.contains(label);
    let values =
        exposition.lines().filter(of_family).map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap());
    values.sum::<f64>() as u64
}

/// One HTTP request: status and body.
pub fn http(at: SocketAddr, path: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(at).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    let status = text.split(' ').nth(1).unwrap().parse().unwrap();
    (status, text)
}
