//! The loop that feeds a stage from its queue, where no cloud service does that.

mod job;

use std::sync::Arc;
use std::time::Duration;

use shared::port::{BATCH_MAX, Clock, Ids, Queue};
use tokio::task::{JoinError, JoinSet};
use tokio_util::sync::CancellationToken;

use self::job::{Running, Worker};
use crate::Stage;
use crate::limits::{
    DRAIN, DRAIN_RELEASE, JOBS_MAX, PORT_PAUSE, RECEIVE_PAUSE_MAX, RECEIVE_WAIT, ROOM_PAUSE, VISIBILITY,
};

/// How a poll loop works.
#[derive(Debug, Clone)]
pub struct PollSettings {
    /// Most jobs at a time.
    pub concurrency: usize,
    /// The queue's visibility timeout; a running job asks for as much again three times in that time.
    pub visibility: Duration,
    /// How long one receive waits for a job; at most 20 s.
    pub wait: Duration,
    /// How long running jobs may go on once the loop is to end.
    pub drain: Duration,
}

impl Default for PollSettings {
    fn default() -> Self {
        Self { concurrency: JOBS_MAX, visibility: VISIBILITY, wait: RECEIVE_WAIT, drain: DRAIN }
    }
}

/// A loop that receives jobs, runs them, and acknowledges each when it is done.
pub struct Poller {
    worker: Arc<Worker>,
    settings: PollSettings,
}

impl Poller {
    /// A loop from `queue` to `stage`.
    pub fn new(
        queue: Arc<dyn Queue>,
        stage: Arc<dyn Stage>,
        clock: Arc<dyn Clock>,
        ids: Arc<dyn Ids>,
        settings: PollSettings,
    ) -> Self {
        let worker = Arc::new(Worker::new(queue, stage, clock, ids, settings.visibility));
        Self { worker, settings }
    }

    /// Runs until `drain` is cancelled. Then nothing more is received; running jobs have
    /// [`PollSettings::drain`] to end, after which they are dropped and given back to the queue.
    pub async fn run(self, drain: CancellationToken) {
        let kill = CancellationToken::new();
        let mut jobs = JoinSet::new();
        self.feed(&drain, &kill, &mut jobs).await;
        tracing::info!(stage = self.worker.stage_name(), running = jobs.len(), "no more jobs are received");
        let clock = Arc::clone(self.worker.clock());
        if clock.timeout(self.settings.drain, all_of(&mut jobs)).await.is_none() {
            tracing::warn!(
                stage = self.worker.stage_name(),
                left = jobs.len(),
                "jobs are given back unfinished"
            );
            kill.cancel();
            if clock.timeout(DRAIN_RELEASE, all_of(&mut jobs)).await.is_none() {
                tracing::error!(
                    left = jobs.len(),
                    "receipts could not be given back; the jobs come back by themselves"
                );
            }
        }
    }

    async fn feed(&self, drain: &CancellationToken, kill: &CancellationToken, jobs: &mut JoinSet<()>) {
        let concurrency = self.settings.concurrency.max(1);
        // a receive for one job costs as much as one for ten: a little room is left until there is more
        let room_min = (concurrency / 4).clamp(1, BATCH_MAX);
        let mut pause = PORT_PAUSE;
        loop {
            while let Some(ended) = jobs.try_join_next() {
                check(ended);
            }
            let room = concurrency.saturating_sub(jobs.len());
            if room < room_min {
                tokio::select! {
                    biased;
                    () = drain.cancelled() => return,
                    Some(ended) = jobs.join_next() => {
                        check(ended);
                        continue;
                    }
                    // jobs that hang for hours must not keep the last places empty
                    () = self.worker.clock().sleep(ROOM_PAUSE), if room > 0 => {}
                }
            }
            let received = tokio::select! {
                biased;
                () = drain.cancelled() => return,
                received = self.worker.receive(room.min(BATCH_MAX), self.settings.wait) => received,
            };
            match received {
                Ok(received) => {
                    pause = PORT_PAUSE;
                    for received in received {
                        jobs.spawn(Running::new(&self.worker, received, kill.clone()).run());
                    }
                }
                Err(cause) => {
                    let stage = self.worker.stage_name();
                    tracing::error!(stage, cause = cause.chain(), ?pause, "jobs could not be received");
                    tokio::select! {
                        biased;
                        () = drain.cancelled() => return,
                        () = self.worker.clock().sleep(pause) => {}
                    }
                    pause = (pause * 2).min(RECEIVE_PAUSE_MAX);
                }
            }
        }
    }
}

async fn all_of(jobs: &mut JoinSet<()>) {
    while let Some(ended) = jobs.join_next().await {
        check(ended);
    }
}

/// A panic of a stage is dealt with where its job runs; this is one of the loop itself.
fn check(ended: Result<(), JoinError>) {
    if let Err(cause) = ended {
        tracing::error!(%cause, "a job's task broke; the job comes back by itself");
    }
}

#[cfg(test)]
mod tests;
