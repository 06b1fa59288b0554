//! The loop that feeds a stage from its queue, where no cloud service does that.

mod job;
mod shares;

use std::sync::Arc;
use std::time::Duration;

use shared::mail::TenantId;
use shared::port::{Clock, Ids, Queue};
use tokio::task::{JoinError, JoinSet};
use tokio_util::sync::CancellationToken;

use self::job::{Running, Worker};
use self::shares::Shares;
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

/// Whose a job was that has ended.
type Ended = Option<TenantId>;

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

    async fn feed(&self, drain: &CancellationToken, kill: &CancellationToken, jobs: &mut JoinSet<Ended>) {
        let concurrency = self.settings.concurrency.max(1);
        let mut shares = Shares::new(concurrency);
        let mut pause = PORT_PAUSE;
        loop {
            while let Some(ended) = jobs.try_join_next() {
                shares.end(check(ended));
            }
            let room = concurrency.saturating_sub(jobs.len());
            // a receive for one job costs as much as one for ten: a little room is left until there is more
            if room < shares.room_min() {
                tokio::select! {
                    biased;
                    () = drain.cancelled() => return,
                    Some(ended) = jobs.join_next() => {
                        shares.end(check(ended));
                        continue;
                    }
                    // jobs that hang for hours must not keep the last places empty
                    () = self.worker.clock().sleep(ROOM_PAUSE), if room > 0 => {}
                }
            }
            let (but, most) = shares.next();
            // who has enough may have less in a moment, and must not wait then
            let wait = if but.is_empty() { self.settings.wait } else { Duration::ZERO };
            let received = tokio::select! {
                biased;
                () = drain.cancelled() => return,
                received = self.worker.receive(room.min(most), wait, &but) => received,
            };
            match received {
                Ok(received) => {
                    pause = PORT_PAUSE;
                    let nothing = received.is_empty();
                    for received in received {
                        let tenant = received.tenant.clone();
                        shares.begin(tenant.as_ref());
                        let running = Running::new(&self.worker, received, kill.clone());
                        jobs.spawn(async move {
                            running.run().await;
                            tenant
                        });
                    }
                    if nothing && !but.is_empty() {
                        tokio::select! {
                            biased;
                            () = drain.cancelled() => return,
                            Some(ended) = jobs.join_next() => shares.end(check(ended)),
                            () = self.worker.clock().sleep(ROOM_PAUSE) => {}
                        }
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

async fn all_of(jobs: &mut JoinSet<Ended>) {
    while let Some(ended) = jobs.join_next().await {
        check(ended);
    }
}

/// A panic of a stage is dealt with where its job runs; this is one of the loop itself.
fn check(ended: Result<Ended, JoinError>) -> Ended {
    ended.unwrap_or_else(|cause| {
        tracing::error!(%cause, "a job's task broke; the job comes back by itself");
        None
    })
}

#[cfg(test)]
mod tests;
