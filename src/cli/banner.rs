//! [`Banner`]: what `serve` prints, once, when it answers: where, what was loaded, what is odd, and a line to try.
//!
//! Never shows an indicator, save a name of the sample that everybody has.

use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::PathBuf;

use super::table::{plain, thousands};
use crate::config::reachable;

/// What a started server is.
#[derive(Debug, Clone, Default)]
pub struct Banner {
    /// The addresses it answers on, ports as bound.
    pub listen: Vec<SocketAddr>,
    /// How many workers.
    pub workers: usize,
    /// What each UDP socket asked of the kernel, KiB.
    pub receive_buffer_asked_kb: u32,
    /// The least that one was granted, KiB.
    pub receive_buffer_granted_kb: u32,
    /// Whom it asks.
    pub upstreams: Vec<SocketAddr>,
    /// The system's file that names some of them, and how many: the first.
    pub upstreams_of: Option<(PathBuf, usize)>,
    /// Its feeds, in order.
    pub feeds: Vec<BannerFeed>,
    /// Zones of the operator's.
    pub zones: usize,
    /// The generation it starts with.
    pub generation: u64,
    /// Where HTTP is.
    pub http: Option<SocketAddr>,
    /// Where the admin socket is.
    pub socket: Option<PathBuf>,
    /// What works, but hardly as it was meant.
    pub warnings: Vec<String>,
    /// A name of the sample feed, if that feed is loaded.
    pub sample_name: Option<&'static str>,
}

/// One feed of a started server.
#[derive(Debug, Clone)]
pub struct BannerFeed {
    /// The operator's name for it.
    pub name: String,
    /// How it was read.
    pub format: &'static str,
    /// Distinct names.
    pub entries: u64,
    /// Lines refused, or objects.
    pub refused: u64,
    /// Which of the two.
    pub unit: &'static str,
}

impl Banner {
    /// Prints it.
    ///
    /// # Errors
    /// As `out` has.
    pub fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        let mut line = |key: &str, text: String| writeln!(out, "  {key:<10}{}", plain(&text));
        let listen = list(&self.listen);
        line("listens", format!("{listen} (UDP and TCP), {} worker{}", self.workers, plural(self.workers)))?;
        line("forwards", self.forwards())?;
        for feed in &self.feeds {
            let refused = match feed.refused {
                0 => String::new(),
                count => format!(", {} {} refused", thousands(count), feed.unit),
            };
            line("feed", format!("{} ({}): {} names{refused}", feed.name, feed.format, thousands(feed.entries)))?;
        }
        if self.zones > 0 {
            line("zones", format!("{} of your own", self.zones))?;
        }
        line("policy", self.policy())?;
        if let Some(http) = self.http {
            line("http", format!("http://{http}/metrics"))?;
        }
        if let Some(socket) = &self.socket {
            line("socket", socket.display().to_string())?;
        }
        let (asked, granted) = (self.receive_buffer_asked_kb, self.receive_buffer_granted_kb);
        if granted < asked {
            line(
                "warning",
                format!(
                    "server.receive-buffer-kb: asked for {asked} KiB, granted {granted} KiB; raise net.core.rmem_max"
                ),
            )?;
        }
        for warning in &self.warnings {
            line("warning", warning.clone())?;
        }
        if let Some(first) = self.listen.first() {
            let (ip, name) = (reachable(first.ip()), self.sample_name.unwrap_or("localhost"));
            line("try", format!("dig @{ip} -p {} {name}", first.port()))?;
        }
        out.flush()
    }
}

impl Banner {
    /// Whom it asks, and who said so.
    fn forwards(&self) -> String {
        let (file, of_system) = self.upstreams_of.as_ref().map_or((None, 0), |(file, count)| (Some(file), *count));
        let (of_system, own) = self.upstreams.split_at_checked(of_system).unwrap_or((&[], &self.upstreams));
        match (of_system, own, file) {
            ([], [], _) => "nothing".to_owned(),
            ([], own, _) | (own, _, None) => list(own),
            (of_system, [], Some(file)) => format!("{} ({})", list(of_system), file.display()),
            (of_system, own, Some(file)) => format!("{} ({}), {}", list(of_system), file.display(), list(own)),
        }
    }

    /// What is enforced.
    fn policy(&self) -> String {
        match self.generation {
            0 => "waits for its feeds, not enforcing yet".to_owned(),
            generation => format!("generation {generation}, enforcing"),
        }
    }
}

/// Addresses, with commas.
fn list(addresses: &[SocketAddr]) -> String {
    addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// The plural's ending.
const fn plural(count: usize) -> &'static str {
    if count == 1 { "" } else { "s" }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a banner prints.
    fn printed(banner: &Banner) -> String {
        let mut out = Vec::new();
        banner.write(&mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn says_what_runs_what_is_odd_and_what_to_try() {
        let banner = Banner {
            listen: vec!["127.0.0.1:1053".parse().unwrap(), "[::1]:1053".parse().unwrap()],
            workers: 2,
            receive_buffer_asked_kb: 4096,
            receive_buffer_granted_kb: 208,
            upstreams: vec![],
            upstreams_of: None,
            feeds: vec![
                BannerFeed { name: "sample".into(), format: "plain", entries: 12, refused: 0, unit: "lines" },
                BannerFeed { name: "big".into(), format: "hosts", entries: 982_685, refused: 1200, unit: "lines" },
            ],
            zones: 1,
            generation: 1,
            http: Some("127.0.0.1:9153".parse().unwrap()),
            socket: Some("/run/cenote/admin.sock".into()),
            warnings: vec!["set upstream.servers".into()],
            sample_name: Some("malware.example"),
        };
        let want = "  listens   127.0.0.1:1053, [::1]:1053 (UDP and TCP), 2 workers
  forwards  nothing
  feed      sample (plain): 12 names
  feed      big (hosts): 982,685 names, 1,200 lines refused
  zones     1 of your own
  policy    generation 1, enforcing
  http      http://127.0.0.1:9153/metrics
  socket    /run/cenote/admin.sock
  warning   server.receive-buffer-kb: asked for 4096 KiB, granted 208 KiB; raise net.core.rmem_max
  warning   set upstream.servers
  try       dig @127.0.0.1 -p 1053 malware.example
";
        assert_eq!(printed(&banner), want);
        let upstreams: Vec<SocketAddr> = vec!["192.0.2.1:53".parse().unwrap(), "192.0.2.2:53".parse().unwrap()];
        for (of_system, want) in [
            (0, "192.0.2.1:53, 192.0.2.2:53"),
            (1, "192.0.2.1:53 (/etc/resolv.conf), 192.0.2.2:53"),
            (2, "192.0.2.1:53, 192.0.2.2:53 (/etc/resolv.conf)"),
        ] {
            let upstreams_of = Some(("/etc/resolv.conf".into(), of_system));
            let banner = Banner { upstreams: upstreams.clone(), upstreams_of, ..banner.clone() };
            assert!(printed(&banner).contains(&format!("\n  forwards  {want}\n")), "{}", printed(&banner));
        }
    }

    #[test]
    fn a_wildcard_listener_is_tried_on_loopback_and_without_an_indicator() {
        for (listen, want) in [
            ("0.0.0.0:53", "dig @127.0.0.1 -p 53 localhost\n"),
            ("[::]:53", "dig @::1 -p 53 localhost\n"),
            ("192.0.2.1:53", "dig @192.0.2.1 -p 53 localhost\n"),
        ] {
            let banner = Banner { listen: vec![listen.parse().unwrap()], workers: 1, ..Banner::default() };
            assert!(printed(&banner).ends_with(want), "{listen}");
        }
    }
}
