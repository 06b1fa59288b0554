use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use metrics::{Counter, Gauge, Histogram};
use shared::port::{Clock, Ids, PortResult, Queue, Receipt, Received};
use tokio_util::sync::CancellationToken;

use crate::limits::{
    AGAIN_PAUSE, AGAIN_PAUSE_MAX, FAILED_PAUSE, PORT_PAUSE, PORT_TRIES, RELEASE_MAX, RETRY_JITTER,
};
use crate::{Stage, Verdict};

/// What every job of a loop needs.
pub(super) struct Worker {
    queue: Arc<dyn Queue>,
    stage: Arc<dyn Stage>,
    clock: Arc<dyn Clock>,
    ids: Arc<dyn Ids>,
    visibility: Duration,
    meters: Meters,
}

struct Meters {
    received: Counter,
    done: Counter,
    again: Counter,
    running: Gauge,
    seconds: Histogram,
}

impl Worker {
    pub(super) fn new(
        queue: Arc<dyn Queue>,
        stage: Arc<dyn Stage>,
        clock: Arc<dyn Clock>,
        ids: Arc<dyn Ids>,
        visibility: Duration,
    ) -> Self {
        let name = stage.name();
        let meters = Meters {
            received: metrics::counter!("spoolway_jobs_received_total", "stage" => name),
            done: metrics::counter!("spoolway_jobs_done_total", "stage" => name),
            again: metrics::counter!("spoolway_jobs_again_total", "stage" => name),
            running: metrics::gauge!("spoolway_jobs_running", "stage" => name),
            seconds: metrics::histogram!("spoolway_jobs_seconds", "stage" => name),
        };
        Self { queue, stage, clock, ids, visibility, meters }
    }

    pub(super) fn stage_name(&self) -> &'static str {
        self.stage.name()
    }

    pub(super) fn clock(&self) -> &Arc<dyn Clock> {
        &self.clock
    }

    pub(super) async fn receive(&self, max: usize, wait: Duration) -> PortResult<Vec<Received>> {
        let received = self.queue.receive(max, wait).await?;
        self.meters.received.increment(received.len() as u64);
        Ok(received)
    }

    /// Asks for more time again and again; it never returns.
    async fn hold(&self, receipt: &Receipt) {
        loop {
            self.clock.sleep(self.visibility / 3).await;
            if let Err(cause) = self.queue.release(receipt, self.visibility).await {
                let stage = self.stage.name();
                tracing::warn!(stage, cause = cause.chain(), "a running job could not be held on to");
            }
        }
    }

    /// Tells the queue what became of the job. If that fails the job comes back, which is harmless.
    async fn settle(&self, received: &Received, verdict: Verdict) {
        let receipt = &received.receipt;
        let again_after =
            |after| pause_before(after, received.receives, self.ids.fraction()).min(RELEASE_MAX);
        let verdict = match verdict {
            Verdict::Done => Verdict::Done,
            Verdict::Again { after } => Verdict::Again { after: again_after(after) },
        };
        let mut pause = PORT_PAUSE;
        for tried in 1..=PORT_TRIES {
            let told = match verdict {
                Verdict::Done => self.queue.ack(receipt).await,
                Verdict::Again { after } => self.queue.release(receipt, after).await,
            };
            let Err(cause) = told else { return };
            let stage = self.stage.name();
            tracing::warn!(stage, tried, cause = cause.chain(), "the queue could not be told of a job's end");
            if tried < PORT_TRIES {
                self.clock.sleep(pause).await;
                pause *= 2;
            }
        }
    }
}

/// How long a job is left alone that was received `receives` times and wants to be left alone for `wanted`. It grows with the receives,
/// because a queue counts them, and an outage of hours must not make a job dead that would be done once it is over. `chance` keeps
/// the jobs that one outage turned back from coming all at once.
fn pause_before(wanted: Duration, receives: u32, chance: f64) -> Duration {
    if wanted.is_zero() {
        return wanted;
    }
    let doubled = AGAIN_PAUSE.saturating_mul(1 << receives.saturating_sub(1).min(16)).min(AGAIN_PAUSE_MAX);
    wanted.max(doubled.mul_f64(1.0 - RETRY_JITTER + 2.0 * RETRY_JITTER * chance))
}

/// A job that was received.
pub(super) struct Running {
    worker: Arc<Worker>,
    received: Received,
    kill: CancellationToken,
}

impl Running {
    pub(super) fn new(worker: &Arc<Worker>, received: Received, kill: CancellationToken) -> Self {
        worker.meters.running.increment(1);
        Self { worker: Arc::clone(worker), received, kill }
    }

    /// Runs the job to its end, or until it is killed, and tells the queue.
    pub(super) async fn run(self) {
        let Worker { stage, clock, meters, .. } = &*self.worker;
        let began_at = clock.now();
        let verdict = tokio::select! {
            biased;
            verdict = AssertUnwindSafe(stage.run(&self.received.body)).catch_unwind() => {
                verdict.unwrap_or_else(|_| {
                    tracing::error!(stage = stage.name(), receives = self.received.receives, "a job panicked");
                    Verdict::Again { after: FAILED_PAUSE }
                })
            }
            () = self.kill.cancelled() => Verdict::Again { after: Duration::ZERO },
            () = self.worker.hold(&self.received.receipt) => Verdict::Again { after: Duration::ZERO },
        };
        meters.seconds.record(clock.now().since(began_at).as_secs_f64());
        match verdict {
            Verdict::Done => meters.done.increment(1),
            Verdict::Again { .. } => meters.again.increment(1),
        }
        self.worker.settle(&self.received, verdict).await;
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.worker.meters.running.decrement(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WANTED: Duration = Duration::from_secs(1);

    #[test]
    fn the_receives_of_a_queue_outlast_an_outage_of_eight_hours() {
        let receives = shared::embedded::QueueSettings::default().receives_max;
        let shortest: Duration = (1..receives).map(|n| pause_before(WANTED, n, 0.0)).sum();
        assert!(shortest > Duration::from_secs(8 * 3600), "{shortest:?}");
    }

    #[test]
    fn pauses_grow_spread_and_end_growing() {
        assert_eq!(pause_before(WANTED, 1, 0.5), AGAIN_PAUSE);
        assert_eq!(pause_before(WANTED, 4, 0.5), AGAIN_PAUSE * 8);
        assert_eq!(pause_before(WANTED, 4, 0.0), AGAIN_PAUSE.mul_f64(6.4));
        assert_eq!(pause_before(WANTED, u32::MAX, 0.5), AGAIN_PAUSE_MAX);
    }

    #[test]
    fn who_wants_longer_gets_it_and_at_once_stays_at_once() {
        let hour = Duration::from_secs(3600);
        assert_eq!(pause_before(hour, 50, 0.9), hour);
        assert_eq!(pause_before(Duration::ZERO, 50, 0.9), Duration::ZERO);
    }
}
