//! Orders of operators, before an attempt: what is held is left alone, what is to be returned is, and what has a route goes by it.

use std::sync::Arc;

use shared::job::Delivery;
use shared::mail::{Recipient, Reply, Timestamp};
use shared::port::{Attempt, Clock, DeliveryState, Ordered, PortResult, Standing, Untried};
use tokio::sync::mpsc::Sender;

use super::super::backoff::persist;
use super::super::{Hop, Meaning, Outcome, RecipientOutcome, Route, SmartHosts, Tried};
use super::Deliver;
use crate::limits::{LAST_TRY_MARGIN, PORT_TRIES, RETRY_GRACE};
use crate::orders::Given;

/// What stands in the place of the route of a delivery that no attempt is made at.
const BY_ORDER: &str = "none, by order";

/// A delivery whose outcome is known without an attempt.
pub(super) struct SettledHere {
    delivery: Delivery,
    outcome: Outcome,
    reply: Reply,
}

/// What is to become of a delivery.
pub(super) enum Course {
    /// An attempt is made.
    Try(Delivery),
    /// None is.
    Settle(SettledHere),
    /// It is left alone.
    Hold(Delivery),
}

impl Deliver {
    /// What is to become of each of `deliveries`, whose claims this run holds, by the orders in their items and by those `given` that
    /// these do not know yet, and know after this.
    pub(super) async fn courses(
        &self,
        deliveries: Vec<(Delivery, Option<DeliveryState>)>,
        given: &Given,
    ) -> PortResult<Vec<Course>> {
        let now = self.ports.clock.now();
        let mut ordered = Vec::new();
        for (delivery, state) in &deliveries {
            let mut orders = given.new_to(delivery, state.as_ref());
            // a lease has moved its due time: the hold holds again
            let held = state.as_ref().filter(|state| orders.is_empty() && state.is_held_by_order(now));
            orders.extend(held.map(|state| state.orders.clone()).unwrap_or_default());
            if !orders.is_empty() {
                ordered.push(self.ordered(delivery, orders, now));
            }
        }
        let mut written = self.order(ordered).await?;
        let mut courses = Vec::with_capacity(deliveries.len());
        for (delivery, state) in deliveries {
            let at = written.iter().position(|written| written.key == delivery.key);
            let state = at.map(|at| written.swap_remove(at)).or(state);
            courses.push(self.course(delivery, state.as_ref(), now));
        }
        Ok(courses)
    }

    fn ordered(&self, delivery: &Delivery, orders: Vec<shared::order::Order>, now: Timestamp) -> Ordered {
        let untried = Untried {
            delivery: delivery.clone(),
            // behind this run, which has the claim of the attempt
            due_at: now + RETRY_GRACE,
            forget_at: delivery.expires_at.max(now) + self.settings.retain,
        };
        Ordered { key: delivery.key.clone(), orders, now, untried: Some(Box::new(untried)) }
    }

    async fn order(&self, ordered: Vec<Ordered>) -> PortResult<Vec<DeliveryState>> {
        if ordered.is_empty() {
            return Ok(Vec::new());
        }
        let answers =
            persist(&*self.ports.clock, PORT_TRIES, || self.ports.deliveries.order(ordered.clone())).await?;
        let states: PortResult<Vec<_>> = answers.into_iter().collect();
        Ok(states?.into_iter().flatten().collect())
    }

    fn course(&self, mut delivery: Delivery, state: Option<&DeliveryState>, now: Timestamp) -> Course {
        let Some(state) = state else { return Course::Try(delivery) };
        match state.standing() {
            // one that has an end before that is over at its end
            Standing::Held { until } if until > now || until >= state.expires_at => {
                if until > now && now + LAST_TRY_MARGIN < self.settings.retry.expiry(&delivery) {
                    return Course::Hold(delivery);
                }
                // it has grown old in its hold, and is not sent at the last moment after all
                let reply = Reply::new(451, (3, 0), "held by the operator until its time was up");
                Course::Settle(SettledHere { delivery, outcome: Outcome::Deferred, reply })
            }
            Standing::Returned { reason } => {
                let colon = if reason.is_empty() { "" } else { ": " };
                let text = format!("returned by the operator{colon}{reason}");
                let reply = Reply::new(550, (0, 0), text);
                Course::Settle(SettledHere { delivery, outcome: Outcome::Bounced, reply })
            }
            Standing::Held { .. } | Standing::Free => {
                if let Some(route) = state.route() {
                    delivery.route = Some(route.to_owned());
                }
                Course::Try(delivery)
            }
        }
    }
}

/// Hands over what needs no attempt. As with an attempt, a place is reserved first.
pub(super) async fn settle(settled: Vec<SettledHere>, clock: &dyn Clock, tried: &Sender<Tried>) {
    for SettledHere { delivery, outcome, reply } in settled {
        let Ok(place) = tried.reserve().await else { return };
        let at = clock.now();
        let one = |recipient: &Recipient| RecipientOutcome {
            address: recipient.address.clone(),
            outcome,
            reply: reply.clone(),
            spoken: false,
            meaning: Meaning::default(),
            hop: Hop::End,
        };
        let outcomes = delivery.recipients.iter().map(one).collect();
        let attempt = Attempt {
            number: delivery.attempt,
            began_at: at,
            ended_at: at,
            route: BY_ORDER.to_owned(),
            host: None,
            peer: None,
            source: None,
            tls: None,
            reply,
        };
        place.send(Tried { delivery, attempt, outcomes });
    }
}

/// The routes that orders have given `deliveries`, by what they are written as; a smart host is one of these.
pub(super) fn routes(deliveries: &[Delivery], smart_hosts: &[Arc<SmartHosts>]) -> Vec<(String, Route)> {
    let mut routes: Vec<(String, Route)> = Vec::new();
    for (key, text) in deliveries.iter().filter_map(|one| Some((&one.key, one.route.as_ref()?))) {
        if routes.iter().any(|(known, _)| known == text) {
            continue;
        }
        match Route::named(text, smart_hosts) {
            Ok(route) => routes.push((text.clone(), route)),
            Err(error) => {
                tracing::error!(message_id = %key.message, %error, "the route of an order is not gone by");
            }
        }
    }
    routes
}
