//! One record of an event.

use std::time::Duration;

use aws_lambda_events::sqs::SqsMessage;
use shared::port::Receipt;

use super::Batch;
use crate::Verdict;
use crate::limits::FAILED_PAUSE;
use crate::limits::lambda::RELEASE_TIME;
use crate::stage::{pause_before, run_caught};

/// The attribute in which SQS counts receives, this one included.
const RECEIVES: &str = "ApproximateReceiveCount";

/// A job as an event carries it.
pub(super) struct Record {
    /// What the service calls it. Empty where it is missing; to report that gives the whole batch back, which is harmless.
    pub(super) id: String,
    body: Option<String>,
    receipt: Option<Receipt>,
    receives: u32,
}

impl From<SqsMessage> for Record {
    fn from(message: SqsMessage) -> Self {
        let receives = message.attributes.get(RECEIVES).and_then(|count| count.parse().ok());
        Self {
            id: message.message_id.unwrap_or_default(),
            body: message.body,
            receipt: message.receipt_handle.map(Receipt),
            receives: receives.unwrap_or(1),
        }
    }
}

impl Record {
    /// Works it off, or gives it back; tells whether it is done.
    pub(super) async fn run(self, batch: &Batch) -> bool {
        match self.verdict(batch).await {
            Verdict::Done => true,
            Verdict::Again { after } => {
                self.give_back(batch, after).await;
                false
            }
        }
    }

    async fn verdict(&self, batch: &Batch) -> Verdict {
        let at_once = Verdict::Again { after: Duration::ZERO };
        let Some(body) = &self.body else {
            tracing::error!(
                sqs_message_id = self.id,
                "a record has no body; it goes to the dead-letter queue in time"
            );
            return Verdict::Again { after: FAILED_PAUSE };
        };
        let _room = tokio::select! {
            biased;
            () = batch.ending.drain.cancelled() => return at_once,
            room = batch.room.acquire() => room,
        };
        let clock = &batch.ports.clock;
        let began_at = clock.now();
        batch.meters.running.increment(1);
        let verdict = tokio::select! {
            biased;
            verdict = run_caught(&*batch.stage, body, self.receives) => verdict,
            () = batch.ending.dropped.cancelled() => {
                tracing::warn!(sqs_message_id = self.id, stage = batch.stage.name(), "a job is given back unfinished");
                at_once
            }
        };
        batch.meters.running.decrement(1);
        batch.meters.ended(verdict, clock.now().since(began_at));
        verdict
    }

    async fn give_back(&self, batch: &Batch, after: Duration) {
        let Some(receipt) = &self.receipt else { return };
        let pause = pause_before(after, self.receives, batch.ports.ids.fraction());
        let released =
            batch.ports.clock.timeout(RELEASE_TIME, batch.ports.queue.release(receipt, pause)).await;
        let cause = match released {
            Some(Ok(())) => return,
            Some(Err(cause)) => cause.chain(),
            None => "it takes too long".to_owned(),
        };
        tracing::warn!(
            sqs_message_id = self.id,
            cause,
            "a record could not be given back; it comes back by itself"
        );
    }
}
