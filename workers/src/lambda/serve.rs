//! The Lambda runtime: events in, answers out, one invocation at a time.

use std::sync::Arc;

use aws_lambda_events::sqs::SqsEvent;
use lambda_runtime::{Context, Error, LambdaEvent, service_fn};
use serde_json::{Value, json};
use shared::mail::Timestamp;
use shared::port::Clock;
use shared::telemetry::EmfMetrics;
use tracing::Instrument as _;

use super::Batches;
use super::budget::Budget;
use crate::sweep::{Sweep, SweepReport};

/// Answers SQS events until the runtime ends the process. What an invocation counted is told before its answer, behind which the
/// process is frozen.
pub async fn serve_batches(batches: Batches, metrics: EmfMetrics) -> Result<(), Error> {
    let batches = Arc::new(batches);
    let handler = service_fn(move |event: LambdaEvent<SqsEvent>| {
        let (batches, metrics) = (Arc::clone(&batches), metrics.clone());
        async move {
            let LambdaEvent { payload, context, .. } = event;
            let deadline = deadline(&context);
            let answer = batches.run(payload, deadline).instrument(span(&context)).await;
            metrics.tell();
            Ok::<_, Error>(answer)
        }
    });
    lambda_runtime::run(handler).await
}

/// Sweeps at each event, whatever it says, until the runtime ends the process. What was counted is told likewise.
pub async fn serve_sweeps(sweep: Sweep, clock: Arc<dyn Clock>, metrics: EmfMetrics) -> Result<(), Error> {
    let sweep = Arc::new(sweep);
    let handler = service_fn(move |event: LambdaEvent<Value>| {
        let (sweep, clock, metrics) = (Arc::clone(&sweep), Arc::clone(&clock), metrics.clone());
        async move {
            let context = event.context;
            let deadline = deadline(&context);
            let swept = sweep_within(&sweep, &clock, deadline).instrument(span(&context)).await;
            metrics.tell();
            swept.map_err(Error::from)
        }
    });
    lambda_runtime::run(handler).await
}

/// One sweep, in the time until `deadline`; what it did, as JSON. A sweep that could not do all of it is a failed invocation, for the
/// service to repeat and an operator to see: what was done is done, and the rest is there for the next one.
pub async fn sweep_within(
    sweep: &Sweep,
    clock: &Arc<dyn Clock>,
    deadline: Timestamp,
) -> Result<Value, String> {
    let time = Budget::new(clock.now(), deadline).dropped;
    let Some(report) = clock.timeout(time, sweep.run_once()).await else {
        tracing::warn!("there was no time to sweep everything; the next sweep goes on");
        return Err("there was no time to sweep everything; the next sweep goes on".to_owned());
    };
    let SweepReport { sent, ordered, forgotten, packs_deleted, errors } = report;
    tracing::info!(sent, ordered, forgotten, packs_deleted, errors = errors.len(), "swept");
    match errors.first() {
        None => Ok(json!({ "sent": sent, "forgotten": forgotten, "packs_deleted": packs_deleted })),
        Some(first) => Err(format!("{} of the sweep's steps failed, the first one: {first}", errors.len())),
    }
}

/// What each log line of an invocation says of it. It is there at every level of the log.
fn span(context: &Context) -> tracing::Span {
    tracing::error_span!("invocation", request_id = context.request_id)
}

fn deadline(context: &Context) -> Timestamp {
    Timestamp::from_millis(context.deadline.try_into().unwrap_or(i64::MAX))
}
