use std::sync::Arc;
use std::time::Duration;

use shared::mail::TenantId;
use shared::port::{Clock, Ids, PortResult, Queue, Receipt, Received};
use tokio_util::sync::CancellationToken;

use crate::limits::{PORT_PAUSE, PORT_TRIES};
use crate::stage::{Meters, pause_before, run_caught};
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

impl Worker {
    pub(super) fn new(
        queue: Arc<dyn Queue>,
        stage: Arc<dyn Stage>,
        clock: Arc<dyn Clock>,
        ids: Arc<dyn Ids>,
        visibility: Duration,
    ) -> Self {
        let meters = Meters::of(stage.name());
        Self { queue, stage, clock, ids, visibility, meters }
    }

    pub(super) fn stage_name(&self) -> &'static str {
        self.stage.name()
    }

    pub(super) fn clock(&self) -> &Arc<dyn Clock> {
        &self.clock
    }

    pub(super) async fn receive(
        &self,
        max: usize,
        wait: Duration,
        but: &[TenantId],
    ) -> PortResult<Vec<Received>> {
        let received = self.queue.receive_but(max, wait, but).await?;
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
        let again_after = |after| pause_before(after, received.receives, self.ids.fraction());
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
            verdict = run_caught(&**stage, &self.received.body, self.received.receives) => verdict,
            () = self.kill.cancelled() => Verdict::Again { after: Duration::ZERO },
            () = self.worker.hold(&self.received.receipt) => Verdict::Again { after: Duration::ZERO },
        };
        meters.ended(verdict, clock.now().since(began_at));
        self.worker.settle(&self.received, verdict).await;
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.worker.meters.running.decrement(1);
    }
}
