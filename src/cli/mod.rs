//! Commands, and everything that is printed.
//!
//! [`run`] reads the command line, loads the configuration, has the [`House`] do the work and prints what came of it: results on standard
//! output, faults on standard error. Nothing but this room prints, and it prints a name only to whoever asked about that name.

mod args;
mod banner;
mod check;
mod exit;
mod explain;
mod feeds;
mod house;
mod log;
mod progress;
mod table;

use std::error::Error;
use std::ffi::OsString;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser as _, ValueEnum as _};

pub use banner::{Banner, BannerFeed};
pub use check::FeedLines;
pub use exit::Exit;
pub use house::Cenote;
pub use log::{Level, subscriber};

use crate::admin::{self, Asker, Explanation, FeedDifferences, FeedSummary, GenerationSummary, Request, SocketChoice};
use crate::config::{self, Faults, Settings};
use crate::name::Name;
use crate::server::LogFormat;
use args::{Command, Line};
use progress::Progress;
use table::{plain, thousands};

/// Why the house could not do what was asked; printed with all its sources.
pub type Failed = Box<dyn Error + Send + Sync>;

/// What the commands ask of the rest of the program.
pub trait House {
    /// What must be in place before anything of [`serve`](Self::serve) happens, the reading of its configuration included.
    ///
    /// # Errors
    /// The system does not let it.
    fn prepare(&self) -> Result<(), Failed>;

    /// Serves until told to stop; `started` is called once, when queries are answered. `config`: the file that a reload reads.
    ///
    /// # Errors
    /// It could not start, or had to stop.
    fn serve(&self, settings: Settings, config: Option<&Path>, started: &mut dyn FnMut(&Banner)) -> Result<(), Failed>;

    /// Reads feeds and zones as `serve` would.
    ///
    /// # Errors
    /// All that is wrong with them, never nothing.
    fn check(&self, settings: &Settings) -> Result<Checked, Vec<Failed>>;

    /// Decides on one name that `asker` would ask for, and says why.
    ///
    /// # Errors
    /// Nobody to ask, no such listener, or feeds that cannot be loaded.
    fn explain(&self, whom: Asked<'_>, name: &Name, asker: Asker) -> Result<Explanation, Failed>;

    /// Writes the index of all feeds to `out`; `step` is told how much of how much is done.
    ///
    /// # Errors
    /// Feeds that cannot be loaded, or a file that cannot be written.
    fn compile(&self, settings: &Settings, out: &Path, step: &(dyn Fn(u64, u64) + Sync)) -> Result<Compiled, Failed>;

    /// Has the server behind `socket` do what publishes a generation: reload, refresh, roll back, unpin.
    ///
    /// # Errors
    /// Nobody to ask, or what it refused.
    fn publish(&self, socket: &Path, request: &Request) -> Result<Reloaded, Failed>;

    /// The feeds of the server behind `socket`.
    ///
    /// # Errors
    /// Nobody to ask.
    fn feeds(&self, socket: &Path) -> Result<Vec<FeedSummary>, Failed>;

    /// How a feed of the server behind `socket` differs, as [`Request::Differences`] asks.
    ///
    /// # Errors
    /// Nobody to ask, no such feed or generation, or a source that cannot be read.
    fn differences(&self, socket: &Path, request: &Request) -> Result<FeedDifferences, Failed>;

    /// The generations that the server behind `socket` keeps, the newest first, and the number of what it enforces (0: nothing).
    ///
    /// # Errors
    /// Nobody to ask, or none are kept.
    fn generations(&self, socket: &Path) -> Result<(Vec<GenerationSummary>, u64), Failed>;
}

/// Who explains.
#[derive(Debug, Clone, Copy)]
pub enum Asked<'a> {
    /// The server behind this admin socket.
    Running(&'a Path),
    /// This process, which loads these settings' feeds.
    Offline(&'a Settings),
}

/// What was checked and is well.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Checked {
    /// How the feeds' lines fell.
    pub feeds: Vec<FeedLines>,
    /// What works, but hardly as it was meant.
    pub notes: Vec<String>,
}

/// What was compiled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Compiled {
    /// Distinct names.
    pub entries: u64,
    /// The file's length.
    pub octets: u64,
}

/// What a reload came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reloaded {
    /// The generation that serves now.
    pub generation: u64,
    /// What was kept, and which keys need a restart.
    pub notes: Vec<String>,
    /// The feeds that were not taken.
    pub refused: Vec<String>,
}

/// Why a command ended other than well.
enum Failure {
    /// The configuration is wrong.
    Faults(Faults),
    /// What the configuration names is wrong: all of it.
    Checked(Vec<Failed>),
    /// The house failed.
    House(Failed),
    /// It failed, and the log says why.
    Logged,
    /// Standard output failed.
    Output(io::Error),
}

impl From<Faults> for Failure {
    fn from(faults: Faults) -> Self {
        Self::Faults(faults)
    }
}

impl From<Failed> for Failure {
    fn from(error: Failed) -> Self {
        Self::House(error)
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Output(error)
    }
}

/// No admin socket is set.
#[derive(Debug, thiserror::Error)]
#[error("expected an admin socket to ask, got a configuration without one (admin.socket)")]
struct NoSocket;

/// Feeds were to be read and were not taken.
#[derive(Debug, thiserror::Error)]
#[error("not taken, what was enforced of them stays: {}", .0.join(", "))]
struct NotTaken(Vec<String>);

/// Runs one command line, its first word the program's name.
pub fn run(args: impl IntoIterator<Item = OsString>, house: &dyn House) -> ExitCode {
    let line = match Line::try_parse_from(args) {
        Ok(line) => line,
        Err(error) => return usage(&error),
    };
    let level = match line.log.map_or_else(level_of_environment, Ok) {
        Ok(level) => level,
        Err(error) => return usage(&error),
    };
    log::hide_panic_messages();
    if !matches!(line.command, Command::Serve(_)) {
        log::start(level, LogFormat::Text);
    }
    // Not locked: the log writes to standard error from other threads.
    dispatch(line.command, level, house, &mut io::stdout(), &mut io::stderr()).into()
}

/// Prints what clap has to say: help and version on standard output, wrong usage on standard error.
fn usage(error: &clap::Error) -> ExitCode {
    let exit = if error.use_stderr() { Exit::Usage } else { Exit::Done };
    match error.print() {
        Ok(()) => exit.into(),
        Err(_) => Exit::Failed.into(),
    }
}

/// The level that the environment sets; without one, info.
fn level_of_environment() -> Result<Level, clap::Error> {
    let Some(value) = std::env::var_os(log::VARIABLE) else { return Ok(Level::Info) };
    Level::from_str(&value.to_string_lossy(), true).map_err(|_| {
        let levels = "off, error, warn, info, debug or trace";
        clap::Error::raw(clap::error::ErrorKind::InvalidValue, format!("{}: expected {levels}\n", log::VARIABLE))
    })
}

/// Does what the command says, and prints why it could not.
fn dispatch(command: Command, level: Level, house: &dyn House, out: &mut dyn Write, err: &mut dyn Write) -> Exit {
    let result = match command {
        Command::Serve(args) => serve(args.config.as_deref(), level, house, out),
        Command::Check(args) => check(args.config.as_deref(), house, out),
        Command::Explain(args) => explain(&args, house, out),
        Command::Compile(args) => compile(&args, house, out),
        Command::Reload(args) => publish(args, &Request::Reload, house, out),
        Command::Generations(args) => generations(args, house, out),
        Command::Rollback(args) => {
            let request = Request::Rollback { generation: args.generation, feeds: args.feeds };
            publish(args.socket, &request, house, out)
        }
        Command::Feed(args::Feed::List(args)) => feeds(args, house, out),
        Command::Feed(args::Feed::Refresh(args)) => {
            publish(args.socket, &Request::Refresh { feeds: args.feeds, force: args.force }, house, out)
        }
        Command::Feed(args::Feed::Diff(args)) => differences(args, house, out),
        Command::Feed(args::Feed::Unpin(args)) => {
            publish(args.socket, &Request::Unpin { feeds: args.feeds }, house, out)
        }
    };
    let (exit, printed) = match result {
        Ok(()) => (Exit::Done, Ok(())),
        Err(Failure::Faults(faults)) => (Exit::Configuration, writeln!(err, "{faults}")),
        Err(Failure::Checked(errors)) => {
            (Exit::Configuration, errors.iter().try_for_each(|error| writeln!(err, "{}", chain(&**error))))
        }
        // The reader has had enough: `cenote check | head`.
        Err(Failure::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => (Exit::Done, Ok(())),
        Err(Failure::Output(error)) => (Exit::Failed, writeln!(err, "cenote: standard output: {error}")),
        Err(Failure::Logged) => (Exit::Failed, Ok(())),
        Err(Failure::House(error)) => (Exit::Failed, writeln!(err, "cenote: {}", chain(&*error))),
    };
    if printed.is_err() {
        tracing::debug!("standard error is gone");
    }
    exit
}

/// An error and its sources on one line; a source that the text before it already ends with is not said twice.
fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let cause = error.to_string();
        if !text.ends_with(&cause) {
            text.push_str(": ");
            text.push_str(&cause);
        }
        source = error.source();
    }
    text
}

/// The settings of a file that is to be served by, or the embedded ones.
fn settings(config: Option<&Path>) -> Result<Settings, Faults> {
    config.map_or_else(|| Ok(config::embedded()), config::load_to_serve)
}

/// `serve`. The log begins with the settings, which say how it is written; what is wrong with them is printed.
fn serve(config: Option<&Path>, level: Level, house: &dyn House, out: &mut dyn Write) -> Result<(), Failure> {
    house.prepare()?;
    let settings = settings(config)?;
    let format = settings.server.log_format;
    log::start(level, format);
    let served = house.serve(settings, config, &mut |banner| {
        if banner.write(out).is_err() {
            tracing::warn!("the banner could not be printed");
        }
    });
    served.map_err(|error| {
        if format == LogFormat::Text || level == Level::Off {
            return Failure::House(error);
        }
        // Whoever reads the log as JSON reads this too.
        tracing::error!(error = chain(&*error), "the server ended");
        Failure::Logged
    })
}

/// `check`.
fn check(config: Option<&Path>, house: &dyn House, out: &mut dyn Write) -> Result<(), Failure> {
    let settings = settings(config)?;
    let Checked { feeds, notes } = house.check(&settings).map_err(Failure::Checked)?;
    check::write(&feeds, out)?;
    for warning in settings.warnings.iter().map(ToString::to_string).chain(notes) {
        writeln!(out, "warning: {warning}")?;
    }
    Ok(())
}

/// `explain`.
fn explain(args: &args::Explain, house: &dyn House, out: &mut dyn Write) -> Result<(), Failure> {
    let (settings, socket);
    let whom = if let Some(config) = &args.config {
        settings = config::load(config)?;
        Asked::Offline(&settings)
    } else {
        let choice = args.socket.clone().map_or(SocketChoice::DefaultPlace, SocketChoice::Path);
        socket = server_at(choice)?;
        Asked::Running(&socket)
    };
    explain::write(&house.explain(whom, &args.name, args.asker())?, whom, out)?;
    Ok(())
}

/// `compile`.
fn compile(args: &args::Compile, house: &dyn House, out: &mut dyn Write) -> Result<(), Failure> {
    let settings = config::load(&args.config)?;
    let progress = Progress::new("compiling");
    let compiled = house.compile(&settings, &args.out, &|done, total| progress.step(done, total));
    progress.finish();
    let Compiled { entries, octets } = compiled?;
    let file = args.out.display().to_string();
    writeln!(out, "{}: {} names, {} octets", plain(&file), thousands(entries), thousands(octets))?;
    Ok(())
}

/// The admin socket that is meant.
fn socket(args: args::Socket) -> Result<PathBuf, Failure> {
    server_at(match (args.socket, args.config) {
        (Some(socket), _) => SocketChoice::Path(socket),
        (None, Some(config)) => config::load(&config)?.admin.socket,
        (None, None) => SocketChoice::DefaultPlace,
    })
}

/// The admin socket of a server with this choice; at the default places, where one answers.
fn server_at(choice: SocketChoice) -> Result<PathBuf, Failure> {
    match choice {
        SocketChoice::Path(path) => Ok(path),
        SocketChoice::DefaultPlace => Ok(admin::find_server().map_err(Failed::from)?),
        SocketChoice::Nowhere => Err(Failed::from(NoSocket).into()),
    }
}

/// `feed list`.
fn feeds(args: args::Socket, house: &dyn House, out: &mut dyn Write) -> Result<(), Failure> {
    Ok(feeds::write_feeds(&house.feeds(&socket(args)?)?, out)?)
}

/// `feed diff`.
fn differences(args: args::Diff, house: &dyn House, out: &mut dyn Write) -> Result<(), Failure> {
    let request = Request::Differences { feed: args.feed, since: args.since, named: args.names };
    Ok(feeds::write_differences(&house.differences(&socket(args.socket)?, &request)?, out)?)
}

/// `generations`.
fn generations(args: args::Socket, house: &dyn House, out: &mut dyn Write) -> Result<(), Failure> {
    let (kept, enforced) = house.generations(&socket(args)?)?;
    Ok(feeds::write_generations(&kept, enforced, out)?)
}

/// `reload`, `rollback`, `feed refresh`, `feed unpin`.
fn publish(args: args::Socket, request: &Request, house: &dyn House, out: &mut dyn Write) -> Result<(), Failure> {
    let Reloaded { generation, notes, refused } = house.publish(&socket(args)?, request)?;
    match generation {
        0 => writeln!(out, "nothing is enforced yet")?,
        generation => writeln!(out, "generation {generation} serves")?,
    }
    for note in &notes {
        writeln!(out, "note: {}", plain(note))?;
    }
    // Scripts are to know.
    if refused.is_empty() { Ok(()) } else { Err(Failure::House(NotTaken(refused).into())) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A house that does nothing but answer, and fails if told to.
    struct Scripted {
        /// Whether everything fails.
        fails: bool,
    }

    /// What a failing house says.
    #[derive(Debug, thiserror::Error)]
    #[error("port 53 on 127.0.0.1 is taken")]
    struct Taken(#[source] io::Error);

    impl Scripted {
        /// The failure, if it fails.
        fn result(&self) -> Result<(), Failed> {
            if self.fails { Err(Taken(io::ErrorKind::AddrInUse.into()).into()) } else { Ok(()) }
        }
    }

    impl House for Scripted {
        fn prepare(&self) -> Result<(), Failed> {
            Ok(())
        }

        fn serve(&self, _: Settings, _: Option<&Path>, started: &mut dyn FnMut(&Banner)) -> Result<(), Failed> {
            self.result()?;
            started(&Banner { workers: 1, ..Banner::default() });
            Ok(())
        }

        fn check(&self, settings: &Settings) -> Result<Checked, Vec<Failed>> {
            self.result().map_err(|error| vec![error, "feed b: no such file".into()])?;
            let row = |feed: &crate::feed::Config| FeedLines { name: feed.name.clone(), ..FeedLines::default() };
            Ok(Checked { feeds: settings.feeds.iter().map(row).collect(), notes: vec!["feed a: odd".to_owned()] })
        }

        fn explain(&self, whom: Asked<'_>, name: &Name, asker: Asker) -> Result<Explanation, Failed> {
            self.result()?;
            let whom = match whom {
                Asked::Running(socket) => socket.display().to_string(),
                Asked::Offline(settings) => settings.feeds[0].name.clone(),
            };
            Ok(Explanation {
                generation: 0,
                name: name.reveal().to_string(),
                client: asker.client,
                listener: asker.listener,
                proxied: asker.proxied,
                protected: false,
                tenant: "default".to_owned(),
                verdict: admin::Verdict::Forwarded,
                action: None,
                by: Some(admin::Word::Feed(whom)),
                entry: None,
                rule: None,
                feeds: vec![],
            })
        }

        fn compile(&self, _: &Settings, _: &Path, step: &(dyn Fn(u64, u64) + Sync)) -> Result<Compiled, Failed> {
            self.result()?;
            step(1, 2);
            Ok(Compiled { entries: 12_345, octets: 67_890 })
        }

        fn publish(&self, socket: &Path, request: &Request) -> Result<Reloaded, Failed> {
            self.result()?;
            let notes = vec![format!("{} {}", socket.display(), serde_json::to_string(request)?)];
            let refused = match request {
                Request::Refresh { feeds, .. } if feeds == &["bad"] => feeds.clone(),
                _ => Vec::new(),
            };
            Ok(Reloaded { generation: 4, notes, refused })
        }

        fn feeds(&self, socket: &Path) -> Result<Vec<FeedSummary>, Failed> {
            self.result()?;
            Ok(vec![FeedSummary { name: socket.display().to_string(), ..FeedSummary::default() }])
        }

        fn differences(&self, _: &Path, request: &Request) -> Result<FeedDifferences, Failed> {
            self.result()?;
            Ok(FeedDifferences {
                added: 1234,
                entries: vec![serde_json::to_string(request)?],
                ..FeedDifferences::default()
            })
        }

        fn generations(&self, _: &Path) -> Result<(Vec<GenerationSummary>, u64), Failed> {
            self.result()?;
            Ok((vec![GenerationSummary { generation: 77, in_force: true, ..GenerationSummary::default() }], 77))
        }
    }

    /// Runs a command line: exit, standard output, standard error.
    fn outcome(line: &str, fails: bool) -> (Exit, String, String) {
        let words = std::iter::once("cenote").chain(line.split_ascii_whitespace());
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let exit =
            dispatch(Line::try_parse_from(words).unwrap().command, Level::Off, &Scripted { fails }, &mut out, &mut err);
        (exit, String::from_utf8(out).unwrap(), String::from_utf8(err).unwrap())
    }

    #[test]
    fn every_command_does_prints_and_exits() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).unwrap();
            path.display().to_string()
        };
        let good = write("good.toml", "[[feed]]\nname = 'a'\nsource = 'a'\n[admin]\nsocket = 'x.sock'\n");
        let dumb = write("dumb.toml", "[admin]\nsocket = ''\n");
        let bad = write("bad.toml", "[server]\nworkers = 'x'\n[cach]\n");
        let (done, failed, wrong) = (Exit::Done, Exit::Failed, Exit::Configuration);
        for (line, fails, want, in_out, in_err) in [
            ("serve".to_owned(), false, done, "enforcing", ""),
            ("serve".to_owned(), true, failed, "", "cenote: port 53 on 127.0.0.1 is taken: address in use\n"),
            (format!("serve --config {bad}"), false, wrong, "", "bad.toml:2: server.workers: expected a whole number"),
            (format!("check --config {good}"), false, done, "\na                 0", ""),
            (format!("check --config {good}"), false, done, "warning: feed a: odd", ""),
            (format!("check --config {dumb}"), false, done, "warning: no [[feed]]", ""),
            (format!("check --config {bad}"), false, wrong, "", "bad.toml:3: cach: expected a known key"),
            (format!("check --config {good}"), true, wrong, "", "taken: address in use\nfeed b: no such file\n"),
            ("explain a.example --socket s".to_owned(), false, done, "name        a.example", ""),
            ("explain a.example --socket s --client ::1".to_owned(), false, done, "client      ::1\n", ""),
            (
                "explain a.example --socket s --client ::1 --proxied --listener [::1]:53".to_owned(),
                false,
                done,
                "client      ::1, named by a load balancer\nlistener    [::1]:53\n",
                "",
            ),
            ("explain a.example --socket s".to_owned(), false, done, "none yet: not all feeds are loaded\n", ""),
            (format!("explain a.example --config {good}"), false, done, "was loaded for this question\n", ""),
            (format!("explain a.example --config {good}"), false, done, "by feed a\n", ""),
            (format!("explain a.example --config {bad}"), false, wrong, "", "cach"),
            (format!("compile --out o --config {good}"), false, done, "o: 12,345 names, 67,890 octets\n", ""),
            (format!("compile --out o --config {good}"), true, failed, "", "taken"),
            (format!("reload --config {good}"), false, done, "x.sock", ""),
            (format!("reload --config {dumb}"), false, failed, "", "expected an admin socket"),
            (
                "reload --socket s".to_owned(),
                false,
                done,
                "generation 4 serves\nnote: s {\"request\":\"reload\"}\n",
                "",
            ),
            ("generations --socket s".to_owned(), false, done, "77", ""),
            ("generations --socket s".to_owned(), true, failed, "", "taken"),
            ("rollback --socket s".to_owned(), false, done, "\"rollback\",\"feeds\":[]}", ""),
            ("rollback 9 --feed a --socket s".to_owned(), false, done, "\"generation\":9,\"feeds\":[\"a\"]}", ""),
            ("feed list --socket s".to_owned(), false, done, "not read yet", ""),
            ("feed refresh a b --force --socket s".to_owned(), false, done, "[\"a\",\"b\"],\"force\":true}", ""),
            ("feed refresh bad --socket s".to_owned(), false, failed, "note: s", "stays: bad\n"),
            ("feed diff a --since 3 --names --socket s".to_owned(), false, done, "\"since\":3,\"named\":true}", ""),
            ("feed diff a --socket s".to_owned(), false, done, "added 1,234, removed 0, altered 0\n", ""),
            ("feed unpin --socket s".to_owned(), false, done, "\"unpin\",\"feeds\":[]}", ""),
            ("reload --config none.toml".to_owned(), false, wrong, "", "none.toml: expected a readable file"),
        ] {
            let (exit, out, err) = outcome(&line, fails);
            assert_eq!(exit, want, "{line}\n{err}");
            assert!(out.contains(in_out) && out.is_empty() == in_out.is_empty(), "{line}\nwanted {in_out:?} in\n{out}");
            assert!(err.contains(in_err) && err.is_empty() == in_err.is_empty(), "{line}\nwanted {in_err:?} in\n{err}");
        }
    }

    #[test]
    fn a_reader_that_has_had_enough_is_no_failure() {
        /// A pipe whose reader has gone.
        struct Gone;
        impl Write for Gone {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(io::ErrorKind::BrokenPipe.into())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        for (fails, want) in [(false, Exit::Done), (true, Exit::Configuration)] {
            let command = Line::try_parse_from(["cenote", "check"]).unwrap().command;
            assert_eq!(
                dispatch(command, Level::Off, &Scripted { fails }, &mut Gone, &mut Gone),
                want,
                "fails: {fails}"
            );
        }
    }
}
