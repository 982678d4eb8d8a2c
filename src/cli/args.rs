//! The command line, as clap reads it.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use super::log::Level;
use crate::admin::Asker;
use crate::name::Name;

/// A DNS sinkhole for vetted threat indicators: sinks listed names, forwards and caches the rest, counts only in aggregate.
#[derive(Debug, Parser)]
#[command(name = "cenote", version, max_term_width = 100)]
pub(super) struct Line {
    /// How much is logged on standard error: off, error, warn, info, debug or trace; without it what CENOTE_LOG says, else info.
    #[arg(long, global = true, value_name = "LEVEL", value_enum, hide_possible_values = true)]
    pub(super) log: Option<Level>,
    /// What to do.
    #[command(subcommand)]
    pub(super) command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Answer queries until told to stop.
    ///
    /// Without --config: UDP and TCP on 127.0.0.1:1053, upstreams from /etc/resolv.conf, a small sample feed, HTTP on 127.0.0.1:9153.
    /// SIGHUP, or a change of the file or of a feed, reloads. SIGTERM drains: /readyz says 503 and queries are answered for server.drain-secs more;
    /// then, or at once after SIGINT, what is in flight is answered and it ends. A second of either ends it at once.
    Serve(OptionalConfig),
    /// Read configuration, feeds and zones, and say what would be served or all that is wrong.
    ///
    /// Exit code 78 and every fault by file, line and key, or 0 and a table of how every feed's lines fell.
    Check(OptionalConfig),
    /// Say what happens to a name, by which feed, entry and rule, and what each other feed would have said.
    ///
    /// Asks the running server over its admin socket; with --config loads the configuration itself and asks nobody. Whose policy is asked,
    /// --listener and --client tell as they would of a query: the listener's tenant comes first, else the client's; with --proxied the
    /// client's comes first.
    Explain(Box<Explain>),
    /// Write the index of all feeds into a file, which is a feed source itself (format artifact).
    ///
    /// The file holds entries and no policy: a feed with an action, may-allow, checks turned off or a sinkhole of its own is refused, and so
    /// are several feeds whose entries do not all ask for the same.
    Compile(Compile),
    /// Have the running server read its configuration and all feeds again, whatever their files look like.
    Reload(Socket),
    /// List the generations that the running server keeps on disk.
    Generations(Socket),
    /// Have the running server enforce what feeds were in an older generation, and pin them there.
    ///
    /// A pinned feed does not follow its source until `cenote feed unpin`; everything else goes on as before.
    Rollback(Rollback),
    /// List, refresh, compare or unpin the running server's feeds.
    #[command(subcommand)]
    Feed(Feed),
}

/// An optional configuration file.
#[derive(Debug, Args)]
pub(super) struct OptionalConfig {
    /// The configuration file; config/cenote.toml shows every key.
    #[arg(long, value_name = "FILE")]
    pub(super) config: Option<PathBuf>,
}

/// `explain`.
#[derive(Debug, Args)]
pub(super) struct Explain {
    /// The name.
    #[arg(value_parser = Name::from_written)]
    pub(super) name: Name,
    /// The client that would ask.
    #[arg(long, value_name = "IP")]
    pub(super) client: Option<IpAddr>,
    /// The listener that would be asked, one of server.listen's addresses; without it one that is no tenant's.
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub(super) listener: Option<SocketAddr>,
    /// The client would not come itself: a load balancer's PROXY header names it.
    #[arg(long, requires = "client")]
    pub(super) proxied: bool,
    /// Load this configuration instead of asking the running server.
    #[arg(long, value_name = "FILE", conflicts_with = "socket")]
    pub(super) config: Option<PathBuf>,
    /// The running server's admin socket, if not the default one.
    #[arg(long, value_name = "PATH")]
    pub(super) socket: Option<PathBuf>,
}

impl Explain {
    /// Who would ask.
    pub(super) const fn asker(&self) -> Asker {
        Asker { client: self.client, listener: self.listener, proxied: self.proxied }
    }
}

/// `compile`.
#[derive(Debug, Args)]
pub(super) struct Compile {
    /// The file to write; replaced only when the new one is whole and verified.
    #[arg(long, value_name = "FILE")]
    pub(super) out: PathBuf,
    /// The configuration whose feeds are compiled.
    #[arg(long, value_name = "FILE")]
    pub(super) config: PathBuf,
}

/// Which running server.
#[derive(Debug, Args)]
pub(super) struct Socket {
    /// The server's admin socket, if not the default one.
    #[arg(long, value_name = "PATH", conflicts_with = "config")]
    pub(super) socket: Option<PathBuf>,
    /// The server's configuration file, to find its admin socket.
    #[arg(long, value_name = "FILE")]
    pub(super) config: Option<PathBuf>,
}

/// `rollback`.
#[derive(Debug, Args)]
pub(super) struct Rollback {
    /// The generation's number; without it the newest older one in which a feed was other than it is.
    #[arg(value_name = "GENERATION")]
    pub(super) generation: Option<u64>,
    /// Roll back this feed alone; may be given several times.
    #[arg(long = "feed", value_name = "NAME")]
    pub(super) feeds: Vec<String>,
    /// Which running server.
    #[command(flatten)]
    pub(super) socket: Socket,
}

/// `feed`.
#[derive(Debug, Subcommand)]
pub(super) enum Feed {
    /// List the feeds: how each was read, when, and how it stands.
    List(Socket),
    /// Read feeds again, whatever their files look like.
    Refresh(Refresh),
    /// Say what reading a feed now would change and whether it would be taken, or what changed since a generation: in counts.
    Diff(Diff),
    /// Let feeds that were rolled back follow their sources again.
    Unpin(Feeds),
}

/// `feed refresh`.
#[derive(Debug, Args)]
pub(super) struct Refresh {
    /// Which; without one all.
    #[arg(value_name = "NAME")]
    pub(super) feeds: Vec<String>,
    /// Take their sizes and refused lines as meant. What is empty, or would sink a canary or a
    /// protected name, is refused all the same.
    #[arg(long)]
    pub(super) force: bool,
    /// Which running server.
    #[command(flatten)]
    pub(super) socket: Socket,
}

/// `feed diff`.
#[derive(Debug, Args)]
pub(super) struct Diff {
    /// Which.
    #[arg(value_name = "NAME")]
    pub(super) feed: String,
    /// Compare with what the feed was in this generation, not with what its source is now.
    #[arg(long, value_name = "GENERATION")]
    pub(super) since: Option<u64>,
    /// Print the entries too, at most 1000: indicators, on this terminal.
    #[arg(long)]
    pub(super) names: bool,
    /// Which running server.
    #[command(flatten)]
    pub(super) socket: Socket,
}

/// Some feeds of a running server.
#[derive(Debug, Args)]
pub(super) struct Feeds {
    /// Which; without one all.
    #[arg(value_name = "NAME")]
    pub(super) feeds: Vec<String>,
    /// Which running server.
    #[command(flatten)]
    pub(super) socket: Socket,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_definition_is_sound() {
        Line::command().debug_assert();
    }

    #[test]
    fn lines_that_are_right_and_lines_that_are_not() {
        use clap::error::ErrorKind::{
            ArgumentConflict, DisplayHelp, DisplayHelpOnMissingArgumentOrSubcommand, DisplayVersion, InvalidSubcommand,
            InvalidValue, MissingRequiredArgument, UnknownArgument, ValueValidation,
        };
        for (line, want) in [
            ("serve", None),
            ("serve --config f --log debug", None),
            ("--log trace check", None),
            ("explain www.example", None),
            ("explain b\u{fc}cher.example --client 2001:db8::1 --socket s", None),
            ("explain a.example --listener [::1]:53 --client 192.0.2.7 --proxied", None),
            ("compile --out o --config c", None),
            ("reload --config c", None),
            ("rollback 12 --feed a --feed b", None),
            ("feed list", None),
            ("feed refresh a b --force --socket s", None),
            ("feed unpin a", None),
            ("feed diff a --since 3 --names", None),
            ("feed diff", Some(MissingRequiredArgument)),
            ("feed", Some(DisplayHelpOnMissingArgumentOrSubcommand)),
            ("rollback x", Some(ValueValidation)),
            ("", Some(DisplayHelpOnMissingArgumentOrSubcommand)),
            ("--version", Some(DisplayVersion)),
            ("help explain", Some(DisplayHelp)),
            ("serv", Some(InvalidSubcommand)),
            ("serve --conf f", Some(UnknownArgument)),
            ("serve --log loud", Some(InvalidValue)),
            ("explain", Some(MissingRequiredArgument)),
            ("explain a..b", Some(ValueValidation)),
            ("explain a.example --client host", Some(ValueValidation)),
            ("explain a.example --listener 127.0.0.1", Some(ValueValidation)),
            ("explain a.example --listener 127.0.0.1:53 --proxied", Some(MissingRequiredArgument)),
            ("explain a.example --config c --socket s", Some(ArgumentConflict)),
            ("compile --out o", Some(MissingRequiredArgument)),
            ("reload --config c --socket s", Some(ArgumentConflict)),
        ] {
            let words = std::iter::once("cenote").chain(line.split_ascii_whitespace());
            assert_eq!(Line::try_parse_from(words).map_err(|error| error.kind()).err(), want, "{line}");
        }
    }
}
