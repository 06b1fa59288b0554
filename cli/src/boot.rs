//! The life of an edge in one process: build, announce, serve, drain.

use tokio_util::sync::CancellationToken;

use crate::descriptors;
use crate::edge::{Edge, Running};
use crate::exit::{Failure, Outcome};
use crate::limits::THREADS_TIME;
use crate::settings::Settings;
use crate::signal::Signals;

/// Runs an edge until a signal ends it. `announce` is told what is running once all of it is.
pub(crate) fn run(settings: &Settings, announce: impl FnOnce(&Running) -> Outcome) -> Outcome {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure::io("the runtime does not start", &error))?;
    let ended = runtime.block_on(async {
        let signals = Signals::listen()?;
        let edge = Edge::build(&descriptors::share_out(settings)).await?;
        announce(edge.running())?;
        let drain = CancellationToken::new();
        let watch = tokio::spawn(signals.watch(drain.clone()));
        let ended = edge.run(drain).await;
        watch.abort();
        ended
    });
    runtime.shutdown_timeout(THREADS_TIME);
    ended
}
