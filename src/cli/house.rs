//! The house behind the commands: [`app`] for what is done here, the admin socket for what a running server does.

use std::path::Path;
use std::sync::{Mutex, PoisonError};

use super::{Asked, Banner, BannerFeed, Checked, Compiled, Exit, Failed, FeedLines, House, Reloaded};
use crate::admin::{self, Asker, Explanation, FeedDifferences, FeedSummary, GenerationSummary, Reply, Request};
use crate::app::{self, FeedState, Server, Signals};
use crate::config::Settings;
use crate::feed::{Reason, Report, SAMPLE_NAME, Source};
use crate::name::Name;

/// The real one.
#[derive(Debug, Default)]
pub struct Cenote {
    /// The signals, from [`House::prepare`] on.
    signals: Mutex<Option<Signals>>,
}

/// What the running server said it could not do.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Refused(String);

/// It was asked to serve before it was prepared.
#[derive(Debug, thiserror::Error)]
#[error("expected prepare before serve, got serve alone: a defect")]
struct NotPrepared;

/// A reply to another question.
#[derive(Debug, thiserror::Error)]
#[error("expected a reply to what was asked, got another; are server and command of one version?")]
struct Crossed;

impl House for Cenote {
    fn prepare(&self) -> Result<(), Failed> {
        let signals = Signals::catch(|| std::process::exit(i32::from(Exit::Done as u8)))?;
        *self.signals.lock().unwrap_or_else(PoisonError::into_inner) = Some(signals);
        Ok(app::harden()?)
    }

    fn serve(&self, settings: Settings, config: Option<&Path>, started: &mut dyn FnMut(&Banner)) -> Result<(), Failed> {
        let mut banner = Banner {
            receive_buffer_asked_kb: settings.server.receive_buffer_kb,
            upstreams: settings.upstream.upstreams(),
            upstreams_of: settings.name_servers_of.clone().map(|file| (file, settings.upstream.servers.len())),
            zones: settings.zones.zones.len(),
            ..Banner::default()
        };
        let sample = settings.feeds.iter().any(|feed| feed.source == Source::Sample);
        let signals = self.signals.lock().unwrap_or_else(PoisonError::into_inner).take().ok_or(NotPrepared)?;
        let server = Server::start(settings, config, &mut |_, _, _| ())?;
        let ready = server.started();
        banner.listen.clone_from(&ready.listen);
        banner.workers = ready.workers;
        banner.receive_buffer_granted_kb = u32::try_from(ready.granted_octets / 1024).unwrap_or(u32::MAX);
        banner.feeds = ready.feeds.iter().map(banner_feed).collect();
        banner.generation = ready.generation;
        banner.http = ready.http;
        banner.socket.clone_from(&ready.socket);
        banner.warnings.clone_from(&ready.notes);
        banner.sample_name = sample.then_some(SAMPLE_NAME);
        started(&banner);
        server.wait(&signals);
        server.stop();
        Ok(())
    }

    fn check(&self, settings: &Settings) -> Result<Checked, Vec<Failed>> {
        let feeds = app::check(settings, &mut |_, _, _| ())?;
        Ok(Checked {
            feeds: feeds.states.iter().map(feed_lines).collect(),
            notes: feeds.notes(&settings.policy_feeds, &settings.tenants),
        })
    }

    fn explain(&self, whom: Asked<'_>, name: &Name, asker: Asker) -> Result<Explanation, Failed> {
        match whom {
            Asked::Offline(settings) => Ok(app::explain_offline(settings, name, asker)?),
            Asked::Running(socket) => match admin::ask(socket, &asker.request(name.reveal().to_string()))? {
                Reply::Explained(explanation) => Ok(explanation),
                reply => Err(unexpected(reply)),
            },
        }
    }

    fn compile(&self, settings: &Settings, out: &Path, step: &(dyn Fn(u64, u64) + Sync)) -> Result<Compiled, Failed> {
        app::harden()?;
        let index = app::compile(settings, out, &mut |_, done, total| step(done, total))?;
        let octets = std::fs::metadata(out)?.len();
        Ok(Compiled { entries: index.keys() as u64, octets })
    }

    fn publish(&self, socket: &Path, request: &Request) -> Result<Reloaded, Failed> {
        match admin::ask(socket, request)? {
            Reply::Reloaded { generation, warnings, refused, .. } => {
                Ok(Reloaded { generation, notes: warnings, refused })
            }
            reply => Err(unexpected(reply)),
        }
    }

    fn feeds(&self, socket: &Path) -> Result<Vec<FeedSummary>, Failed> {
        match admin::ask(socket, &Request::Status)? {
            Reply::Status(status) => Ok(status.feeds),
            reply => Err(unexpected(reply)),
        }
    }

    fn differences(&self, socket: &Path, request: &Request) -> Result<FeedDifferences, Failed> {
        match admin::ask(socket, request)? {
            Reply::Differences(differences) => Ok(differences),
            reply => Err(unexpected(reply)),
        }
    }

    fn generations(&self, socket: &Path) -> Result<(Vec<GenerationSummary>, u64), Failed> {
        match admin::ask(socket, &Request::Generations)? {
            Reply::Generations { kept, enforced } => Ok((kept, enforced)),
            reply => Err(unexpected(reply)),
        }
    }
}

/// A reply that is not to the question.
fn unexpected(reply: Reply) -> Failed {
    match reply {
        Reply::Failed { message } => Refused(message).into(),
        _ => Crossed.into(),
    }
}

/// A feed's line of the banner.
fn banner_feed(state: &FeedState) -> BannerFeed {
    BannerFeed {
        name: state.figures.name.clone(),
        format: state.format.label(),
        entries: state.figures.entries,
        refused: state.figures.refused.iter().map(|(_, lines)| lines).sum(),
        unit: state.report.as_ref().map_or("lines", Report::unit),
    }
}

/// A feed's row of the table.
fn feed_lines(state: &FeedState) -> FeedLines {
    let name = state.figures.name.clone();
    let (format, entries) = (state.format.label(), state.figures.entries);
    let Some(report) = &state.report else { return FeedLines { name, format, entries, ..FeedLines::default() } };
    FeedLines {
        name,
        format,
        lines: report.lines,
        used: report.used,
        duplicate: report.duplicate,
        comment: report.comment,
        header: report.header,
        refused: report.refusals().map(|(reason, lines)| (reason.label(), lines)).collect(),
        entries,
        names_refused: report.names_refused,
        refused_at: report.refused_at.iter().map(|&(line, reason): &(u64, Reason)| (line, reason.label())).collect(),
    }
}
