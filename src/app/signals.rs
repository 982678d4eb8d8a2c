//! [`Signals`]: SIGTERM and SIGINT end the wait, SIGHUP reloads. Caught before anything is served, so that none ends the process half way.

use std::io;

use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::{StartError, system};

/// The caught signals. One that comes while the server starts is heeded once it has.
#[derive(Debug)]
pub struct Signals {
    /// What they are waited for in.
    runtime: Runtime,
    /// SIGTERM.
    terminate: Signal,
    /// SIGINT.
    interrupt: Signal,
    /// SIGHUP.
    hangup: Signal,
}

impl Signals {
    /// Catches them, from now on until the process ends.
    ///
    /// # Errors
    /// [`StartError::System`].
    pub fn catch() -> Result<Self, StartError> {
        Self::try_catch().map_err(system("wait for signals"))
    }

    /// As [`Self::catch`].
    fn try_catch() -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_io().build()?;
        let entered = runtime.enter();
        let terminate = signal(SignalKind::terminate())?;
        let interrupt = signal(SignalKind::interrupt())?;
        let hangup = signal(SignalKind::hangup())?;
        drop(entered);
        Ok(Self { runtime, terminate, interrupt, hangup })
    }

    /// Waits for the signal to end; `reload` is called at each SIGHUP.
    pub(super) fn wait(&mut self, reload: impl Fn()) {
        let Self { runtime, terminate, interrupt, hangup } = self;
        runtime.block_on(async {
            loop {
                tokio::select! {
                    _ = terminate.recv() => return,
                    _ = interrupt.recv() => return,
                    _ = hangup.recv() => reload(),
                }
            }
        });
    }
}
