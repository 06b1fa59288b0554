//! SIGTERM and SIGINT: the first asks for an end, the second insists. SIGHUP: look for new certificates.

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::exit::{Failure, Outcome};

/// Listens for signals from now on.
pub(crate) struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    pub(crate) fn listen() -> Outcome<Self> {
        let listen = |kind| signal(kind).map_err(|error| Failure::io("signals cannot be handled", &error));
        Ok(Self { terminate: listen(SignalKind::terminate())?, interrupt: listen(SignalKind::interrupt())? })
    }

    /// Cancels `drain` at the first signal, and ends the process at the second. Never returns.
    pub(crate) async fn watch(mut self, drain: CancellationToken) {
        let signal = self.next().await;
        tracing::info!(signal, "draining; a second signal ends at once");
        drain.cancel();
        let signal = self.next().await;
        tracing::warn!(signal, "ending at once; what was accepted goes on after the next start");
        std::process::exit(128 + signal);
    }

    async fn next(&mut self) -> i32 {
        tokio::select! {
            _ = self.terminate.recv() => SignalKind::terminate().as_raw_value(),
            _ = self.interrupt.recv() => SignalKind::interrupt().as_raw_value(),
        }
    }
}

/// Listens for SIGHUP from now on, which would end the process otherwise.
pub(crate) struct Hangups(Signal);

impl Hangups {
    pub(crate) fn listen() -> Outcome<Self> {
        let hangup = signal(SignalKind::hangup());
        Ok(Self(hangup.map_err(|error| Failure::io("signals cannot be handled", &error))?))
    }

    /// Calls `reload` at each, until `stop` is cancelled.
    pub(crate) async fn watch(mut self, stop: &CancellationToken, reload: impl Fn()) {
        while let Some(Some(())) = stop.run_until_cancelled(self.0.recv()).await {
            reload();
        }
    }
}
