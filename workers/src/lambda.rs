//! A stage as a Lambda function: an SQS event in, the records that are not done out (`ReportBatchItemFailures`).
//!
//! The service acknowledges what is not reported. What is reported comes back when its visibility runs out, which is set here to when
//! the stage wants to see it again. An invocation ends in steps before its deadline ([`Ending`]), because at the deadline the process
//! is killed, and whoever is killed in the middle of a transaction cannot record that it may have been done.

mod budget;
mod record;
mod serve;

use std::sync::Arc;

use aws_lambda_events::sqs::{SqsBatchResponse, SqsEvent};
use futures::future::BoxFuture;
use shared::mail::Timestamp;
use shared::port::{Clock, Ids, Queue};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tracing::Instrument as _;

use self::budget::Budget;
pub use self::budget::Ending;
use self::record::Record;
pub use self::serve::{serve_batches, serve_sweeps, sweep_within};
use crate::Stage;
use crate::limits::lambda::JOBS_MAX;
use crate::stage::Meters;

/// What batches need of the world.
#[derive(Clone)]
pub struct BatchPorts {
    /// The queue that the records come from, to say when they are to come again.
    pub queue: Arc<dyn Queue>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Chance.
    pub ids: Arc<dyn Ids>,
}

/// The stage of one invocation, which may heed its ending.
type StageOf = Box<dyn Fn(&Ending) -> Arc<dyn Stage> + Send + Sync>;

/// What is to be done when an invocation has no more work, before the process is frozen.
type AtRest = Box<dyn Fn() -> BoxFuture<'static, ()> + Send + Sync>;

/// Runs a stage on the records of one event after the other.
pub struct Batches {
    ports: BatchPorts,
    stage: StageOf,
    rest: AtRest,
}

/// What all records of one event share.
struct Batch {
    ports: BatchPorts,
    stage: Arc<dyn Stage>,
    ending: Ending,
    room: Semaphore,
    meters: Meters,
}

impl Batches {
    /// Batches from the queue of `ports`, run by what `stage` gives for each invocation.
    pub fn new(ports: BatchPorts, stage: impl Fn(&Ending) -> Arc<dyn Stage> + Send + Sync + 'static) -> Self {
        Self { ports, stage: Box::new(stage), rest: Box::new(|| Box::pin(std::future::ready(()))) }
    }

    /// Has `rest` done, and waits for it, at the end of each invocation: a process that is frozen hears nobody, so that it must not
    /// leave anybody waiting, such as a server at the other end of a connection.
    #[must_use]
    pub fn resting_by(mut self, rest: impl Fn() -> BoxFuture<'static, ()> + Send + Sync + 'static) -> Self {
        self.rest = Box::new(rest);
        self
    }

    /// Works off the records of `event` and names those that are not done, in their order. It answers before `deadline`, whatever
    /// the stage does.
    pub async fn run(&self, event: SqsEvent, deadline: Timestamp) -> SqsBatchResponse {
        let ending = Ending::default();
        let stage = (self.stage)(&ending);
        let batch = Arc::new(Batch {
            ports: self.ports.clone(),
            meters: Meters::of(stage.name()),
            stage,
            ending: ending.clone(),
            room: Semaphore::new(JOBS_MAX),
        });
        batch.meters.received.increment(event.records.len() as u64);
        let records: Vec<Record> = event.records.into_iter().map(Record::from).collect();
        let ids: Vec<String> = records.iter().map(|record| record.id.clone()).collect();
        // a record is reported unless it is known to be done, whatever became of its task
        let mut done = vec![false; records.len()];
        let mut running = JoinSet::new();
        for (at, record) in records.into_iter().enumerate() {
            let batch = Arc::clone(&batch);
            // the span has the invocation's request id
            running.spawn(async move { (at, record.run(&batch).await) }.in_current_span());
        }
        let clock = &*self.ports.clock;
        let all = async {
            while let Some(ended) = running.join_next().await {
                match ended {
                    Ok((at, is_done)) => done[at] = is_done,
                    Err(cause) => tracing::error!(%cause, "a record's task broke; it comes back by itself"),
                }
            }
            (self.rest)().await;
        };
        tokio::select! {
            biased;
            () = all => {}
            () = Budget::new(clock.now(), deadline).run_out(clock, &ending) => {
                tracing::error!("records could not be given back; they come back by themselves");
            }
        }
        let mut answer = SqsBatchResponse::default();
        for (id, _) in ids.into_iter().zip(done).filter(|(_, done)| !done) {
            answer.add_failure(id);
        }
        tracing::info!(
            stage = batch.stage.name(),
            undone = answer.batch_item_failures.len(),
            "invocation ended"
        );
        answer
    }
}

#[cfg(test)]
mod tests;
