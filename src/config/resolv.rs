//! The name servers the system uses, out of the text of `/etc/resolv.conf` (resolv.conf(5)).
//!
//! Never guesses a server that is not written there. Cost: one pass over the text.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};

use super::fault::Problem;
use super::receives;
use super::warning::{ResolvFlaw, Warning};
use crate::forward::GROUP_SERVERS_MAX;

/// Where the system says which name servers it uses.
const RESOLV_CONF: &str = "/etc/resolv.conf";

/// What the system says of its name servers.
#[derive(Debug)]
pub(super) struct System {
    /// Where.
    pub(super) path: PathBuf,
    /// The text, or why it cannot be read.
    pub(super) text: Result<String, io::ErrorKind>,
}

impl System {
    /// Reads what it says now.
    pub(super) fn read() -> Self {
        let text = std::fs::read(RESOLV_CONF).map_err(|error| error.kind());
        // A comment may be in any encoding.
        let text = text.map(|octets| String::from_utf8_lossy(&octets).into_owned());
        Self { path: RESOLV_CONF.into(), text }
    }

    /// The servers it names, this one's own addresses among them, and what is odd about them.
    pub(super) fn servers(&self) -> (Vec<SocketAddr>, Vec<Warning>) {
        match &self.text {
            Ok(text) => servers(text, &self.path),
            Err(kind) => (Vec::new(), vec![Warning::ResolvUnreadable { path: self.path.clone(), kind: *kind }]),
        }
    }

    /// As [`Self::servers`], of which at least one is to be another than a server that listens on `listen`.
    ///
    /// # Errors
    /// [`Problem::NoNameServer`].
    pub(super) fn others(&self, listen: &[SocketAddr]) -> Result<(Vec<SocketAddr>, Vec<Warning>), Problem> {
        let (servers, warnings) = self.servers();
        let own = |server: &SocketAddr| listen.iter().any(|&listen| receives(listen, *server));
        if servers.iter().any(|server| !own(server)) {
            return Ok((servers, warnings));
        }
        let mut why: Vec<String> = match &self.text {
            Err(kind) => vec![format!("it cannot be read: {kind}")],
            Ok(_) => servers.iter().map(|server| format!("{server} is this server")).collect(),
        };
        why.extend(warnings.iter().filter_map(|warning| match warning {
            Warning::ResolvLine { line, why, .. } => Some(format!("line {line}: {why}")),
            _ => None,
        }));
        if why.is_empty() {
            why.push("no line begins with nameserver".to_owned());
        }
        Err(Problem::NoNameServer { path: self.path.clone(), why: why.join(", ") })
    }
}

/// The port of DNS (RFC 1035 §4.2); resolv.conf has no way to name another.
const DNS_PORT: u16 = 53;

/// The servers of the `nameserver` lines of `text`, in order, each once, at most [`GROUP_SERVERS_MAX`]; what cannot be asked is a warning.
fn servers(text: &str, path: &Path) -> (Vec<SocketAddr>, Vec<Warning>) {
    let (mut servers, mut warnings) = (Vec::new(), Vec::new());
    for (place, line) in text.lines().enumerate() {
        let mut words = line.split_ascii_whitespace();
        if words.next() != Some("nameserver") {
            continue;
        }
        let mut warn = |why| warnings.push(Warning::ResolvLine { path: path.to_owned(), line: place + 1, why });
        match words.next().map(|word| (word, word.parse::<IpAddr>())) {
            Some((word, Err(_))) if word.contains('%') => warn(ResolvFlaw::Scoped),
            None | Some((_, Err(_))) => warn(ResolvFlaw::NoAddress),
            Some((_, Ok(ip))) => {
                let server = SocketAddr::new(reachable(ip), DNS_PORT);
                if servers.contains(&server) {
                    continue;
                }
                if servers.len() == GROUP_SERVERS_MAX {
                    warn(ResolvFlaw::TooMany);
                    break;
                }
                servers.push(server);
            }
        }
    }
    (servers, warnings)
}

/// This host's own address for the unspecified one: what listens there answers at, and what the C library takes it for (resolv.conf(5) since
/// the BSDs).
pub(crate) const fn reachable(ip: IpAddr) -> IpAddr {
    match ip {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn name_servers_are_told_from_everything_else() {
        let path = Path::new("/etc/resolv.conf");
        for (text, want, flaws) in [
            ("", vec![], vec![]),
            ("nameserver 192.0.2.1\nnameserver 2001:db8::1\n", vec!["192.0.2.1:53", "[2001:db8::1]:53"], vec![]),
            (
                "# nameserver 192.0.2.9\n; x\nsearch corp.example\n nameserver\t192.0.2.1 # y",
                vec!["192.0.2.1:53"],
                vec![],
            ),
            ("nameserver 192.0.2.1\r\nnameserver 192.0.2.1", vec!["192.0.2.1:53"], vec![]),
            ("nameserver fe80::1%eth0", vec![], vec![(1, ResolvFlaw::Scoped)]),
            ("\nnameserver\nnameserver x%", vec![], vec![(2, ResolvFlaw::NoAddress), (3, ResolvFlaw::Scoped)]),
            ("nameserver 0.0.0.0\nnameserver ::", vec!["127.0.0.1:53", "[::1]:53"], vec![]),
            ("nameservers 192.0.2.1", vec![], vec![]),
        ] {
            let (servers, warnings) = servers(text, path);
            assert_eq!(servers.iter().map(ToString::to_string).collect::<Vec<_>>(), want, "{text:?}");
            let flaws: Vec<_> =
                flaws.into_iter().map(|(line, why)| Warning::ResolvLine { path: path.to_owned(), line, why }).collect();
            assert_eq!(warnings, flaws, "{text:?}");
        }
    }

    #[test]
    fn at_most_so_many() {
        let text: String = (0..=GROUP_SERVERS_MAX + 3).map(|n| format!("nameserver 192.0.2.{n}\n")).collect();
        let (servers, warnings) = servers(&text, Path::new("r"));
        assert_eq!(servers.len(), GROUP_SERVERS_MAX);
        assert_eq!(
            warnings,
            [Warning::ResolvLine { path: "r".into(), line: GROUP_SERVERS_MAX + 1, why: ResolvFlaw::TooMany }]
        );
    }

    #[test]
    fn none_but_this_server_is_a_fault_that_says_why() {
        let listen: Vec<SocketAddr> = vec!["127.0.0.1:53".parse().unwrap(), "[::]:5353".parse().unwrap()];
        for (text, want) in [
            (Err(io::ErrorKind::NotFound), "it cannot be read: entity not found"),
            (Ok("search corp.example\n"), "no line begins with nameserver"),
            (Ok("nameserver 127.0.0.1\nnameserver 0.0.0.0"), "127.0.0.1:53 is this server"),
            (
                Ok("nameserver 127.0.0.1\nnameserver fe80::1%eth0"),
                "127.0.0.1:53 is this server, line 2: an address with a zone (%interface) is not supported",
            ),
        ] {
            let system = System { path: "/r".into(), text: text.map(str::to_owned) };
            let Err(Problem::NoNameServer { path, why }) = system.others(&listen) else { panic!("{want}") };
            assert_eq!((path.as_path(), why.as_str()), (Path::new("/r"), want));
        }
        let system = System { path: "/r".into(), text: Ok("nameserver 127.0.0.1\nnameserver ::1".to_owned()) };
        assert_eq!(system.others(&listen).unwrap().0.len(), 2, "what is this server's own is taken out later");
    }
}
