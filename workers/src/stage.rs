//! A stage: a job in, a verdict out; and what all who run one have in common.

mod meters;
mod pause;

use std::panic::AssertUnwindSafe;
use std::time::Duration;

use async_trait::async_trait;
use futures::FutureExt;

pub(crate) use self::meters::Meters;
pub(crate) use self::pause::pause_before;
use crate::limits::FAILED_PAUSE;

/// What works off the jobs of one queue. Running a job twice, or two runs at once, must be harmless.
#[async_trait]
pub trait Stage: Send + Sync {
    /// The stage's name, for logs and metrics.
    fn name(&self) -> &'static str;

    /// Works off one job. `body` is what the queue carried.
    async fn run(&self, body: &str) -> Verdict;
}

/// What is to become of the job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Everything it asked for is done and durable: acknowledge it.
    Done,
    /// It is not done: give it back to the queue, to be received again after this time, and later the more often it has been
    /// received ([`AGAIN_PAUSE`](crate::limits::AGAIN_PAUSE)). A job that never gets done ends in the dead-letter queue by the
    /// number of its receives.
    Again {
        /// How long to leave it alone at least; zero is at once, for a worker that stops and has nothing against the job.
        after: Duration,
    },
}

/// Runs `stage` on a job that was received `receives` times. A panic is a verdict like any other: the job comes back, and who runs the
/// stage goes on.
pub(crate) async fn run_caught(stage: &dyn Stage, body: &str, receives: u32) -> Verdict {
    let verdict = AssertUnwindSafe(stage.run(body)).catch_unwind().await;
    verdict.unwrap_or_else(|_| {
        tracing::error!(stage = stage.name(), receives, "a job panicked");
        Verdict::Again { after: FAILED_PAUSE }
    })
}
