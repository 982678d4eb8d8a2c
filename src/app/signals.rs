//! Signals: SIGTERM and SIGINT end the wait, SIGHUP reloads.

use std::io;

use tokio::signal::unix::{SignalKind, signal};

/// Waits for the signal to end; `reload` is called at each SIGHUP.
pub(super) async fn wait(reload: impl Fn()) -> io::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut hangup = signal(SignalKind::hangup())?;
    loop {
        tokio::select! {
            _ = terminate.recv() => return Ok(()),
            _ = interrupt.recv() => return Ok(()),
            _ = hangup.recv() => reload(),
        }
    }
}
