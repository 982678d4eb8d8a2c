//! The log: `tracing` events of Cenote's own, on standard error.
//!
//! Each is a line of text, or of JSON: an object of `timestamp` (RFC 3339), `level`, `target`, `message` and the event's own fields.
//!
//! Only targets `cenote` and `cenote::*` pass, whatever the level: hickory-server prints query names at debug. The filter is code, not a
//! setting. An event that does not pass costs one load once its place in the code is known.

use std::io::Write as _;

use clap::ValueEnum;
use tracing::level_filters::LevelFilter;
use tracing::{Metadata, Subscriber};
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::{Layer as _, SubscriberExt as _};
use tracing_subscriber::registry::Registry;

use crate::server::LogFormat;

/// The environment variable that sets the level where `--log` is not given.
pub(super) const VARIABLE: &str = "CENOTE_LOG";

/// How much is logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum Level {
    /// Nothing.
    Off,
    /// What failed.
    Error,
    /// And what is odd.
    Warn,
    /// And what changed: the usual level.
    Info,
    /// And what was decided on the way.
    Debug,
    /// And everything else.
    Trace,
}

impl From<Level> for LevelFilter {
    fn from(level: Level) -> Self {
        match level {
            Level::Off => Self::OFF,
            Level::Error => Self::ERROR,
            Level::Warn => Self::WARN,
            Level::Info => Self::INFO,
            Level::Debug => Self::DEBUG,
            Level::Trace => Self::TRACE,
        }
    }
}

/// Whether an event is ours.
fn is_own(metadata: &Metadata<'_>) -> bool {
    let target = metadata.target();
    target == "cenote" || target.starts_with("cenote::")
}

/// The one subscriber there is, writing to `writer`.
pub fn subscriber<W>(level: Level, format: LogFormat, writer: W) -> impl Subscriber + Send + Sync
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let max = LevelFilter::from(level);
    let filter = filter_fn(move |metadata| is_own(metadata) && *metadata.level() <= max).with_max_level_hint(max);
    let layer = tracing_subscriber::fmt::layer().with_ansi(false).with_writer(writer);
    let layer = match format {
        LogFormat::Text => layer.boxed(),
        // There are no spans of our own.
        LogFormat::Json => layer.json().flatten_event(true).with_current_span(false).with_span_list(false).boxed(),
    };
    Registry::default().with(layer.with_filter(filter))
}

/// Starts the log on standard error; a second start changes nothing.
pub(super) fn start(level: Level, format: LogFormat) {
    if tracing::subscriber::set_global_default(subscriber(level, format, std::io::stderr)).is_err() {
        tracing::debug!("the log was started already");
    }
}

/// From here on a panic says where it happened and nothing else: its message may quote what was being worked on. Before the log has started it
/// says so without it.
pub(super) fn hide_panic_messages() {
    std::panic::set_hook(Box::new(|panic| {
        let (file, line) = panic.location().map_or(("unknown", 0), |place| (place.file(), place.line()));
        if tracing::dispatcher::has_been_set() {
            tracing::error!(target: "cenote", file, line, "a panic");
        } else {
            // There is nobody left to tell.
            writeln!(std::io::stderr(), "cenote: a panic at {file}:{line}").ok();
        }
    }));
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::{Arc, Mutex};

    use super::*;

    /// A writer that several threads may read afterwards.
    #[derive(Clone, Default)]
    struct Shared(Arc<Mutex<Vec<u8>>>);

    impl Write for Shared {
        fn write(&mut self, octets: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(octets)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    /// What is written while one event of each kind happens.
    fn written(level: Level, format: LogFormat) -> String {
        let shared = Shared::default();
        let writer = shared.clone();
        tracing::subscriber::with_default(subscriber(level, format, move || writer.clone()), || {
            tracing::debug!(target: "hickory_server::server", "request: canary-server.example");
            tracing::error!(target: "hickory_server", "canary-error.example");
            tracing::trace!(target: "hickory_proto::op", "canary-proto.example");
            tracing::error!(target: "cenotes", "canary-neighbour.example");
            tracing::error!(target: "tokio", "canary-tokio.example");
            tracing::error!(target: "cenote", "own error");
            tracing::info!(target: "cenote::app", generation = 7, "own info");
            tracing::trace!(target: "cenote::server::respond", "own trace");
            let _span = tracing::info_span!(target: "hickory_server", "span", name = "canary-span.example").entered();
            tracing::warn!(target: "cenote::zone", "own warning");
        });
        let octets = shared.0.lock().unwrap().clone();
        String::from_utf8(octets).unwrap()
    }

    #[test]
    fn other_crates_are_silent_at_every_level() {
        for level in Level::value_variants() {
            for format in [LogFormat::Text, LogFormat::Json] {
                let text = written(*level, format);
                assert!(!text.contains("canary"), "{level:?}: {text}");
            }
        }
    }

    #[test]
    fn a_level_shows_itself_and_what_is_worse() {
        for (level, want) in [
            (Level::Off, &[][..]),
            (Level::Error, &["own error"]),
            (Level::Warn, &["own error", "own warning"]),
            (Level::Info, &["own error", "own info generation=7", "own warning"]),
            (Level::Debug, &["own error", "own info generation=7", "own warning"]),
            (Level::Trace, &["own error", "own info generation=7", "own trace", "own warning"]),
        ] {
            let text = written(level, LogFormat::Text);
            let got: Vec<_> = text.lines().filter_map(|line| line.find("own").and_then(|at| line.get(at..))).collect();
            assert_eq!(got, want, "{level:?}");
        }
    }

    #[test]
    fn each_line_of_json_is_one_object() {
        let text = written(Level::Trace, LogFormat::Json);
        let lines: Vec<serde_json::Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(lines.len(), 4, "{text}");
        for line in &lines {
            let time = line["timestamp"].as_str().unwrap();
            // RFC 3339, in UTC, to the microsecond.
            let shape: String = time.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
            assert_eq!(shape, "0000-00-00T00:00:00.000000Z");
        }
        let info = &lines[1];
        assert_eq!((&info["level"], &info["target"]), (&"INFO".into(), &"cenote::app".into()));
        assert_eq!((&info["message"], &info["generation"]), (&"own info".into(), &7.into()));
    }
}
