//! Shaping: mail goes to a site no faster than the site, its provider or the operator wants it, whoever of the workers sends it.
//!
//! Before deliveries are tried they are admitted: a site or a tenant that is suspended, a rate that is used up or a site that has
//! all its connections lets them wait. A short wait is waited for here; after a longer one the deliveries come back by the queue or by
//! the sweep, at no cost of an attempt. What servers reply may suspend a site, or slow it down.

mod admission;
mod explain;
mod live;
mod patience;
mod place;
mod rates;
mod rules;
mod shape;
mod slots;
mod suspension;
mod turns;
mod wait;
mod warm_up;

use std::sync::Arc;
use std::time::Duration;

use shared::job::Delivery;
use shared::mail::{FailureKind, Reply, ReplyClass, TenantId, Timestamp};
use shared::port::{Clock, Counters, Deliveries, Ids};
use tokio_util::sync::CancellationToken;

pub use admission::{Admission, PutOff};
pub use explain::{ExplainedMeasure, ExplainedNumber, Explanation};
pub use live::{LiveRules, OwnRules};
pub use patience::Patience;
pub use place::Place;
pub use rules::{Action, Automation, Limit, Numbers, Origin, Pattern, Rule as ShapingRule, Rules};
pub use shape::{Applied, Shape};
pub use slots::Slot;
pub use suspension::{Measure, Measures};
pub use wait::{Reason, Wait};
pub use warm_up::WarmUp;

use super::Site;
use crate::limits::shaping::{POSTPONE_JITTER, POSTPONE_MERGE};
use patience::Waiters;
use rates::Rates;
use slots::Slots;
use suspension::Suspensions;
use turns::Turns;

/// What shaping needs of the world.
#[derive(Clone)]
pub struct ShaperPorts {
    /// Tokens of rates, and the suspensions of sites.
    pub counters: Arc<dyn Counters>,
    /// Claims, for the places of connections.
    pub deliveries: Arc<dyn Deliveries>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Chance.
    pub ids: Arc<dyn Ids>,
}

/// Admits mail to sites. One serves a whole process; those of several processes share what is in the ports.
pub struct Shaper {
    rules: LiveRules,
    rates: Rates,
    slots: Slots,
    suspensions: Suspensions,
    turns: Turns,
    waiters: Waiters,
    counters: Arc<dyn Counters>,
    clock: Arc<dyn Clock>,
    ids: Arc<dyn Ids>,
}

impl Shaper {
    /// One that goes by `rules`.
    pub fn new(rules: LiveRules, ports: ShaperPorts) -> Self {
        let ShaperPorts { counters, deliveries, clock, ids } = ports;
        Self {
            rules,
            rates: Rates::new(Arc::clone(&counters), Arc::clone(&clock)),
            slots: Slots::new(deliveries, Arc::clone(&clock), Arc::clone(&ids)),
            suspensions: Suspensions::new(Arc::clone(&counters), Arc::clone(&clock)),
            turns: Turns::new(),
            waiters: Waiters::default(),
            counters,
            clock,
            ids,
        }
    }

    /// What the rules come to at `place` now: for everybody, or for `tenant` beside that.
    pub fn shape(&self, place: &Place<'_>, tenant: Option<&TenantId>) -> Shape {
        Shape::of(&self.rules.now(), place, tenant)
    }

    /// The patience of a group of deliveries of `tenant`, for all its calls of [`Shaper::admit`].
    pub fn patience(&self, priority: i8, tenant: &TenantId) -> Patience {
        self.waiters.patience(priority, tenant)
    }

    /// Does what the rules ask for after `reply`, which a server at `place` gave to mail of `tenant` and which is a failure of `kind`, as
    /// far as that is known.
    pub async fn observe(
        &self,
        place: &Place<'_>,
        tenant: &TenantId,
        reply: &Reply,
        kind: Option<FailureKind>,
    ) {
        if !matches!(reply.class(), ReplyClass::Transient | ReplyClass::Permanent) {
            return;
        }
        let everybody = self.shape(place, None);
        let own = self.shape(place, Some(tenant));
        if let Some((rule, on)) = own.automation(reply, kind).or_else(|| everybody.automation(reply, kind)) {
            self.suspensions.add(&everybody.key, rule, on, tenant, reply).await;
        }
    }

    /// When deliveries that wait are to be tried, those together that one job may carry.
    pub fn turns(&self, put_off: PutOff) -> Vec<(Timestamp, Vec<Delivery>)> {
        let PutOff { deliveries, wait } = put_off;
        let now = self.clock.now();
        // who waits for tomorrow is not in the way of who waits for a minute
        let key = format!("{} {}", wait.reason.as_str(), wait.key);
        let turn = || {
            let from = wait.until.max(now);
            self.turns.take(&key, now, from, wait.interval, self.ids.fraction())
        };
        let chance = self.ids.fraction();
        // bounded before chance comes in: cut off behind it, long waits would be made longer by the same in every process
        let late = |at: Timestamp| {
            let most = at.since(now).mul_f64(POSTPONE_JITTER).min(POSTPONE_MERGE);
            at + most.mul_f64(chance)
        };
        if wait.whole {
            return vec![(late(turn()), deliveries)];
        }
        let mut all: Vec<(Timestamp, Vec<Delivery>)> = Vec::new();
        let mut began = None;
        for delivery in deliveries {
            let at = turn();
            match all.last_mut() {
                Some((last, together)) if began.is_some_and(|began| at.since(began) <= POSTPONE_MERGE) => {
                    *last = at;
                    together.push(delivery);
                }
                _ => {
                    began = Some(at);
                    all.push((at, vec![delivery]));
                }
            }
        }
        all.into_iter().map(|(at, together)| (late(at), together)).collect()
    }

    /// Reads the file of the rules again now; see [`Shaper::watch`].
    pub fn reload(&self) {
        self.rules.reload();
    }

    /// Reads the file of the rules again whenever it changes, until `stop` is cancelled.
    pub async fn watch(&self, stop: CancellationToken) {
        self.rules.watch(self.clock.as_ref(), stop).await;
    }

    /// Gives the place of a connection back, after it was in use. `kept` tells until when each connection is kept that waits here for
    /// the next message to `place`: each of them holds its place. It is asked when no other place here can come or go.
    pub async fn leave(
        &self,
        place: &Place<'_>,
        connection: Option<Slot>,
        kept: impl FnOnce() -> Vec<Timestamp> + Send,
    ) {
        let Some(slot) = connection else { return };
        self.note_pace(&self.shape(place, None).key, slot.age());
        slot.leave(place.site, kept).await;
    }

    /// Gives back the places of connections that were kept, once all of these are closed.
    pub async fn rest(&self) {
        self.slots.give_all_back().await;
    }

    fn note_pace(&self, key: &str, used: Duration) {
        self.turns.note(key, self.clock.now(), used);
    }
}

#[cfg(test)]
mod tests;
