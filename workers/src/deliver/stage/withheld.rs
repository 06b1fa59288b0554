//! Recipients that are suppressed: taken out of a delivery before its attempt, and put back behind it with their outcome, so that an
//! attempt has one record, and its sender one report.

use std::collections::HashMap;

use futures::future::try_join_all;
use shared::job::{Delivery, DeliveryKey};
use shared::mail::{Recipient, Reply};
use shared::port::{Attempt, PortResult};

use super::super::backoff::persist;
use super::super::{Hop, Meaning, Outcome, RecipientOutcome, SUPPRESSED_ROUTE, Tried};
use super::{Deliver, Run};
use crate::limits::PORT_TRIES;

/// What was taken out of the deliveries of a run.
#[derive(Default)]
pub(super) struct Withheld {
    /// What was taken out of deliveries that are tried.
    pub(super) parts: Parts,
    /// Deliveries of which nobody is left to be tried.
    pub(super) whole: Vec<Tried>,
}

/// By delivery: its recipients that are not tried, by their place, the first one first.
#[derive(Default)]
pub(super) struct Parts(HashMap<DeliveryKey, Vec<(usize, Recipient, Reply)>>);

impl Deliver {
    /// Takes whoever is suppressed out of `deliveries`.
    pub(super) async fn withhold(&self, run: &Run, deliveries: &mut Vec<Delivery>) -> PortResult<Withheld> {
        let mut asked = Vec::with_capacity(deliveries.len());
        for delivery in deliveries.iter() {
            asked.push(self.suppressed(delivery));
        }
        let found = try_join_all(asked).await.inspect_err(|cause| {
            tracing::error!(job = run.job, cause = cause.chain(), "the suppressions could not be read");
        })?;
        let mut withheld = Withheld::default();
        if found.iter().all(Vec::is_empty) {
            return Ok(withheld);
        }
        for (mut delivery, found) in std::mem::take(deliveries).into_iter().zip(found) {
            let mut taken = Vec::with_capacity(found.len());
            for (place, reply) in found.into_iter().rev() {
                taken.push((place, delivery.recipients.remove(place), reply));
            }
            taken.reverse();
            if taken.is_empty() {
                deliveries.push(delivery);
            } else if delivery.recipients.is_empty() {
                withheld.whole.push(self.not_tried(delivery, taken));
            } else {
                withheld.parts.0.insert(delivery.key.clone(), taken);
                deliveries.push(delivery);
            }
        }
        Ok(withheld)
    }

    async fn suppressed(&self, delivery: &Delivery) -> PortResult<Vec<(usize, Reply)>> {
        persist(&*self.ports.clock, PORT_TRIES, || self.ports.suppressions.of(delivery)).await
    }

    /// The delivery with the outcome of all its recipients, without an attempt.
    fn not_tried(&self, mut delivery: Delivery, taken: Vec<(usize, Recipient, Reply)>) -> Tried {
        let now = self.ports.clock.now();
        let reply = taken[0].2.clone();
        let outcomes = taken.iter().map(|(_, recipient, reply)| outcome(recipient, reply)).collect();
        delivery.recipients = taken.into_iter().map(|(_, recipient, _)| recipient).collect();
        let attempt = Attempt {
            number: delivery.attempt,
            began_at: now,
            ended_at: now,
            route: SUPPRESSED_ROUTE.to_owned(),
            host: None,
            peer: None,
            source: None,
            tls: None,
            reply,
        };
        Tried { delivery, attempt, outcomes }
    }
}

impl Parts {
    /// Puts back what was taken out of the delivery that `tried` is about.
    pub(super) fn give_back(&self, mut tried: Tried) -> Tried {
        for (place, recipient, reply) in self.0.get(&tried.delivery.key).into_iter().flatten() {
            tried.outcomes.insert((*place).min(tried.outcomes.len()), outcome(recipient, reply));
        }
        self.make_whole(&mut tried.delivery);
        tried
    }

    /// Puts back what was taken out of `delivery`, which is not tried after all.
    pub(super) fn make_whole(&self, delivery: &mut Delivery) {
        for (place, recipient, _) in self.0.get(&delivery.key).into_iter().flatten() {
            let place = (*place).min(delivery.recipients.len());
            delivery.recipients.insert(place, recipient.clone());
        }
    }
}

fn outcome(recipient: &Recipient, reply: &Reply) -> RecipientOutcome {
    RecipientOutcome {
        address: recipient.address.clone(),
        outcome: Outcome::Suppressed,
        reply: reply.clone(),
        spoken: false,
        meaning: Meaning::default(),
        hop: Hop::End,
    }
}
