//! [`Signals`]: SIGTERM, SIGINT and SIGHUP, caught from the very start, so that none ends the process half way; the rest that would, ignored.

use std::io;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::Instant;

use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::{StartError, system};
use crate::sys;

/// What a signal asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Told {
    /// SIGTERM: end, but let those who ask go elsewhere first.
    Drain,
    /// SIGINT: end.
    End,
    /// SIGHUP: reload.
    Reload,
}

/// The caught signals. One that comes while the server starts is heeded once it has.
#[derive(Debug)]
pub struct Signals {
    /// What they asked for, in order.
    told: Receiver<Told>,
}

/// What is waited for.
struct Caught {
    /// SIGTERM.
    terminate: Signal,
    /// SIGINT.
    interrupt: Signal,
    /// SIGHUP.
    hangup: Signal,
}

impl Signals {
    /// Catches them, from now on until the process ends. `at_once` is called at the second SIGTERM or SIGINT, wherever the server is by then: it
    /// is to end the process.
    ///
    /// # Errors
    /// [`StartError::System`].
    pub fn catch(at_once: fn()) -> Result<Self, StartError> {
        sys::ignore_meaningless_signals();
        let (runtime, caught) = Caught::catch().map_err(system("wait for signals"))?;
        let (tell, told) = channel();
        let work = move || runtime.block_on(caught.pass_on(&tell, at_once));
        thread::Builder::new().name("cenote-signals".to_owned()).spawn(work).map_err(system("start a thread"))?;
        Ok(Self { told })
    }

    /// What the next one asks for; `None`: there was none until `end`.
    pub(super) fn next(&self, end: Option<Instant>) -> Option<Told> {
        let Some(end) = end else { return self.told.recv().ok() };
        self.told.recv_timeout(end.saturating_duration_since(Instant::now())).ok()
    }
}

impl Caught {
    /// Installs the handlers.
    fn catch() -> io::Result<(Runtime, Self)> {
        let runtime = Builder::new_current_thread().enable_io().build()?;
        let entered = runtime.enter();
        let terminate = signal(SignalKind::terminate())?;
        let interrupt = signal(SignalKind::interrupt())?;
        let hangup = signal(SignalKind::hangup())?;
        drop(entered);
        Ok((runtime, Self { terminate, interrupt, hangup }))
    }

    /// Passes on what signals ask for, for ever.
    async fn pass_on(self, tell: &Sender<Told>, at_once: fn()) {
        let Self { mut terminate, mut interrupt, mut hangup } = self;
        let mut ending = false;
        loop {
            let told = tokio::select! {
                _ = terminate.recv() => Told::Drain,
                _ = interrupt.recv() => Told::End,
                _ = hangup.recv() => Told::Reload,
            };
            if told != Told::Reload && std::mem::replace(&mut ending, true) {
                tracing::warn!("told to end a second time: ends at once, answers in flight are lost");
                at_once();
            }
            // Nobody listens any more when the end is near, or the start failed.
            tell.send(told).ok();
        }
    }
}
