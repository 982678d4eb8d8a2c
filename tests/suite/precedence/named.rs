//! BIND's named as a child with response policy zones, on loopback, in a folder of its own.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::table::Zone;
use super::{has_ipv6, zone};
use crate::harness::{PATIENCE, upstream::pair};

/// How often a port is tried that turns out to be taken between looking and listening.
const TRIES: usize = 16;

/// What it says of a port that another has: over TCP, over UDP.
const TAKEN: [&str; 2] = ["address in use", "interface ignored"];

/// A running named; killed when it is dropped.
pub struct Named {
    /// The process.
    child: Child,
    /// Its port.
    port: u16,
    /// Where its files are.
    folder: TempDir,
}

impl Named {
    /// Starts one with these zones, in this order, that forwards to `upstream`; waits until it enforces them all.
    pub fn start(zones: &[Zone], upstream: SocketAddr) -> Self {
        let started = (0..TRIES).find_map(|_| Self::spawn(zones, upstream).wait(zones.len()));
        started.expect("named finds a free port")
    }

    /// Where a client of an address's family asks.
    pub fn at(&self, client: IpAddr) -> SocketAddr {
        let own = if client.is_ipv4() { IpAddr::from(Ipv4Addr::LOCALHOST) } else { Ipv6Addr::LOCALHOST.into() };
        SocketAddr::new(own, self.port)
    }

    /// Writes its files and starts it.
    fn spawn(zones: &[Zone], upstream: SocketAddr) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let port = pair().0.local_addr().unwrap().port();
        for Zone { name, .. } in zones {
            fs::write(folder.path().join(format!("{name}.rpz")), zone(name)).unwrap();
        }
        let config = folder.path().join("named.conf");
        fs::write(&config, settings(folder.path().to_str().unwrap(), port, zones, upstream)).unwrap();
        let log = File::create(folder.path().join("log")).unwrap();
        let mut command = Command::new("named");
        // In the foreground, on standard error, with one worker.
        command.args(["-g", "-n", "1", "-c"]).arg(&config);
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn();
        Self { child: child.unwrap_or_else(|error| panic!("named does not start: {error}")), port, folder }
    }

    /// Waits until it has taken in so many policy zones; `None` if another has its port.
    fn wait(mut self, zones: usize) -> Option<Self> {
        let start = Instant::now();
        loop {
            let log = fs::read_to_string(self.folder.path().join("log")).unwrap();
            if TAKEN.iter().any(|said| log.contains(said)) {
                return None;
            }
            if log.matches(": reload done: success").count() >= zones && log.contains(" running\n") {
                return Some(self);
            }
            let ended = self.child.try_wait().unwrap();
            assert!(ended.is_none(), "named ended, {ended:?}: {log}");
            assert!(start.elapsed() < PATIENCE, "named is not ready in time: {log}");
            thread::sleep(Duration::from_millis(2));
        }
    }
}

impl Drop for Named {
    fn drop(&mut self) {
        // Gone already, if it ended by itself.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// Its configuration.
fn settings(folder: &str, port: u16, zones: &[Zone], upstream: SocketAddr) -> String {
    let v6 = if has_ipv6() { "::1;" } else { "none;" };
    let policy: String = zones.iter().map(Zone::policy).collect();
    let mut text = format!(
        "controls {{}};\n\
         options {{\n\
         directory \"{folder}\"; pid-file none; session-keyfile none; lock-file none;\n\
         listen-on port {port} {{ 127.0.0.1; }}; listen-on-v6 port {port} {{ {v6} }};\n\
         allow-query {{ any; }}; allow-recursion {{ any; }}; allow-query-cache {{ any; }};\n\
         recursion yes; forward only; forwarders {{ {} port {}; }};\n\
         dnssec-validation no; empty-zones-enable no; notify no; max-cache-size 8M;\n\
         response-policy {{ {policy} }} qname-wait-recurse no break-dnssec yes min-update-interval 0;\n\
         }};\n",
        upstream.ip(),
        upstream.port()
    );
    for Zone { name, .. } in zones {
        writeln!(text, "zone {name}.rpz {{ type primary; file \"{name}.rpz\"; }};").unwrap();
    }
    text
}
