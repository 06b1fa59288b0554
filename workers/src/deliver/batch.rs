//! Deliveries that are due, as jobs: one destination a job, within the bounds of a job.

use std::cmp::Reverse;
use std::time::Duration;

use shared::job::{DELIVERIES_MAX, DeliverJob, Delivery, JOB_OCTETS_MAX, Job};
use shared::mail::{Domain, TenantId};
use shared::port::{BATCH_MAX, Outgoing, PortError, Queue};

use crate::limits::JOB_FRAME_OCTETS;

/// Jobs for `deliveries`, which are in the [`job_order`]: each of one urgency, tenant and destination, at most [`DELIVERIES_MAX`]
/// deliveries and about [`JOB_OCTETS_MAX`] octets. All are marked `check`.
pub(crate) fn to_jobs(deliveries: impl IntoIterator<Item = Delivery>) -> Vec<DeliverJob> {
    let mut jobs: Vec<Vec<Delivery>> = Vec::new();
    let mut octets = 0;
    for delivery in deliveries {
        let own = serde_json::to_string(&delivery).map_or(0, |text| text.len() + 1);
        let fits = jobs.last().is_some_and(|job| {
            job.len() < DELIVERIES_MAX
                && octets + own <= JOB_OCTETS_MAX - JOB_FRAME_OCTETS
                && job.last().is_some_and(|last| share_a_job(last, &delivery))
        });
        match jobs.last_mut().filter(|_| fits) {
            Some(job) => {
                octets += own;
                job.push(delivery);
            }
            None => {
                octets = own;
                jobs.push(vec![delivery]);
            }
        }
    }
    jobs.into_iter().map(|deliveries| DeliverJob::new(deliveries, true)).collect()
}

/// How urgent a job of `deliveries` is: as the most urgent of them (RFC 6710).
pub(crate) fn priority(deliveries: &[Delivery]) -> i8 {
    deliveries.iter().map(|delivery| delivery.options.priority).max().unwrap_or(0)
}

/// Whether one job may have both: what is urgent is not held up by what is not (RFC 6710), and no tenant by another.
pub(crate) fn share_a_job(one: &Delivery, other: &Delivery) -> bool {
    job_order(one) == job_order(other)
}

/// The order in which deliveries become jobs: the most urgent first, and then by destination and tenant.
pub(crate) fn job_order(delivery: &Delivery) -> (Reverse<i8>, &Domain, &TenantId) {
    (Reverse(delivery.options.priority), &delivery.key.domain, &delivery.tenant)
}

/// Sends `jobs`, each with its delay, in batches. Tells how many deliveries went, and what became of the others.
pub(crate) async fn send_jobs(
    queue: &dyn Queue,
    jobs: Vec<(DeliverJob, Duration)>,
) -> (usize, Vec<PortError>) {
    let mut sent = 0;
    let mut errors = Vec::new();
    for batch in jobs.chunks(BATCH_MAX) {
        let outgoing = batch.iter().map(|(job, delay)| Outgoing {
            body: job.encode(),
            delay: *delay,
            tenant: job.tenant(),
            priority: priority(&job.deliveries),
        });
        match queue.send(outgoing.collect()).await {
            Ok(results) => {
                for ((job, _), result) in batch.iter().zip(results) {
                    match result {
                        Ok(()) => sent += job.deliveries.len(),
                        Err(cause) => errors.push(cause),
                    }
                }
            }
            Err(cause) => errors.push(cause),
        }
    }
    (sent, errors)
}
