//! A stage: a job in, a verdict out.

use std::time::Duration;

use async_trait::async_trait;

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
