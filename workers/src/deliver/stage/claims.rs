//! Claims: what of a job is to be done, and by whom.

use std::future::pending;
use std::sync::Arc;

use futures::future::join_all;
use shared::job::{DeliverJob, Delivery, DeliveryKey};
use shared::mail::{Mailbox, Timestamp};
use shared::port::{Claim, DeliveryState, PortResult};

use super::super::backoff::persist;
use super::ordered::{Course, SettledHere};
use super::{Deliver, Run};
use crate::limits::{PORT_TRIES, RETRY_GRACE};
use crate::orders::{Given, Trait};

/// What of a job is to be done.
#[derive(Default)]
pub(super) struct Todo {
    pub(super) deliveries: Vec<Delivery>,
    /// Deliveries whose outcome is known without an attempt.
    pub(super) settled_here: Vec<SettledHere>,
    /// The claims of deliveries that an operator holds.
    pub(super) held: Vec<String>,
    /// The deliveries' own claims that this run holds, with those of `held`; none where the job's claim is enough.
    pub(super) claimed: Vec<String>,
    /// Deliveries were left out because somebody else is at them, until then at most.
    pub(super) others_until: Option<Timestamp>,
    /// Deliveries were left out because they could not be claimed.
    pub(super) failed: bool,
    /// What to watch for while they are under way.
    pub(super) watch: Watch,
}

/// What a run watches for: an order for what it has not begun.
#[derive(Default)]
pub(super) struct Watch {
    given: Arc<Given>,
    under_way: Vec<Trait>,
}

/// The claim of one attempt; of one that was put off, each turn has its own.
pub(super) fn attempt_claim(delivery: &Delivery) -> String {
    let Delivery { key, attempt, postponed, .. } = delivery;
    match postponed {
        0 => format!("{key}@{attempt}"),
        times => format!("{key}@{attempt}+{times}"),
    }
}

impl Deliver {
    /// Sorts out what is left of `job`. A job that nobody had before, that needs no check and that no order is for costs nothing here.
    pub(super) async fn todo(&self, run: &Run, job: DeliverJob, again: bool) -> PortResult<Todo> {
        let given = persist(&*self.ports.clock, PORT_TRIES, || self.orders.current()).await;
        let given = given.inspect_err(|cause| {
            tracing::error!(job = run.job, cause = cause.chain(), "the orders could not be read");
        })?;
        let under_way = job.deliveries.iter().map(Trait::from).collect();
        // a job that somebody had before may be that of a delivery which was held, and has another job by now
        let check = job.check || again || given.concerns(&job.deliveries);
        let watch = Watch { given: Arc::clone(&given), under_way };
        let mut todo = Todo { deliveries: job.deliveries, watch, ..Todo::default() };
        if !check {
            return Ok(todo);
        }
        // claim, then read: what another worker recorded before its claim ended is seen
        self.claim_each(run, &mut todo).await;
        if let Err(cause) = self.sort_out_checked(run, &mut todo, &given).await {
            tracing::error!(job = run.job, cause = cause.chain(), "the deliveries' state could not be read");
            self.abandon(run, &todo.claimed).await;
            return Err(cause);
        }
        Ok(todo)
    }

    async fn sort_out_checked(&self, run: &Run, todo: &mut Todo, given: &Given) -> PortResult<()> {
        let keys: Vec<DeliveryKey> = todo.deliveries.iter().map(|delivery| delivery.key.clone()).collect();
        if keys.is_empty() {
            return Ok(());
        }
        let states = persist(&*self.ports.clock, PORT_TRIES, || self.ports.deliveries.settled(&keys)).await?;
        let (mut done, mut left, mut turns) = (Vec::new(), Vec::new(), Vec::new());
        for (delivery, state) in std::mem::take(&mut todo.deliveries).into_iter().zip(states) {
            let claim = attempt_claim(&delivery);
            match left_of(delivery, state.as_ref()) {
                Some(delivery) => left.push((delivery, state)),
                None => {
                    done.push(claim);
                    turns.extend(state.as_ref().and_then(next_turn));
                }
            }
        }
        // whoever had this job before may have died between the write of what comes next and its job
        self.send_turns(turns, self.ports.clock.now()).await;
        for course in self.courses(left, given).await? {
            match course {
                Course::Try(delivery) => todo.deliveries.push(delivery),
                Course::Settle(settled) => todo.settled_here.push(settled),
                Course::Hold(delivery) => todo.held.push(attempt_claim(&delivery)),
            }
        }
        join_all(done.iter().map(|claim| self.finish(claim, &run.holder))).await;
        todo.claimed.retain(|claim| !done.contains(claim));
        Ok(())
    }

    async fn claim_each(&self, run: &Run, todo: &mut Todo) {
        let deliveries = std::mem::take(&mut todo.deliveries);
        let claims: Vec<String> = deliveries.iter().map(attempt_claim).collect();
        let answers = join_all(claims.iter().map(|claim| self.claim(claim, &run.holder))).await;
        for ((delivery, claim), answer) in deliveries.into_iter().zip(claims).zip(answers) {
            match answer {
                Ok(Claim::Taken { .. }) => {
                    todo.deliveries.push(delivery);
                    todo.claimed.push(claim);
                }
                Ok(Claim::Held { until }) => todo.others_until = todo.others_until.max(Some(until)),
                Ok(Claim::Finished) => {}
                Err(cause) => {
                    tracing::warn!(claim, cause = cause.chain(), "a delivery could not be claimed");
                    todo.failed = true;
                    // the claim may have been taken all the same: given back with the others
                    todo.claimed.push(claim);
                }
            }
        }
    }

    pub(super) async fn claim(&self, claim: &str, holder: &str) -> PortResult<Claim> {
        persist(&*self.ports.clock, PORT_TRIES, || {
            self.ports.deliveries.claim(claim, holder, self.ports.clock.now(), self.settings.lease)
        })
        .await
    }

    /// Renews the claims for as long as it is polled. It never returns.
    pub(super) async fn renew(&self, run: &Run, claimed: &[String], watch: &Watch) {
        let Self { settings, ports, .. } = self;
        loop {
            ports.clock.sleep(settings.lease / 3).await;
            let claim = |claim| ports.deliveries.claim(claim, &run.holder, ports.clock.now(), settings.lease);
            match claim(&run.job).await {
                Ok(Claim::Taken { .. }) => {}
                Ok(Claim::Held { .. } | Claim::Finished) => {
                    tracing::error!(job = run.job, "the claim was lost; nothing more of the job is begun");
                    run.stop.cancel();
                    return pending().await;
                }
                Err(cause) => {
                    tracing::warn!(job = run.job, cause = cause.chain(), "the claim could not be renewed");
                }
            }
            // those whose outcome is on record by now answer that they are finished
            join_all(claimed.iter().map(|claimed| claim(claimed))).await;
            self.look_for_orders(run, watch).await;
        }
    }

    /// Stops what is not begun where an order may be for it: the next run of the job goes by that.
    async fn look_for_orders(&self, run: &Run, watch: &Watch) {
        let Ok(given) = self.orders.current().await else { return };
        if !run.stop.is_cancelled() && given.has_news(&watch.given, &watch.under_way) {
            run.ordered.cancel();
            run.stop.cancel();
        }
    }

    /// Ends a claim for good. If that fails it runs out, and whoever takes it next reads the state first.
    pub(super) async fn finish(&self, claim: &str, holder: &str) {
        let forget_at = self.ports.clock.now() + self.settings.retain;
        let finish = || self.ports.deliveries.finish(claim, holder, forget_at);
        if let Err(cause) = persist(&*self.ports.clock, PORT_TRIES, finish).await {
            tracing::warn!(claim, cause = cause.chain(), "a claim could not be ended; it will run out");
        }
    }

    /// Gives up the run's claim of its job, and `claims`. One that fails runs out.
    pub(super) async fn abandon(&self, run: &Run, claims: &[String]) {
        let claims = claims.iter().chain([&run.job]);
        let abandoned = join_all(claims.map(|claim| self.ports.deliveries.abandon(claim, &run.holder))).await;
        for cause in abandoned.into_iter().filter_map(Result::err) {
            tracing::warn!(
                job = run.job,
                cause = cause.chain(),
                "a claim could not be given up; it will run out"
            );
        }
    }
}

/// When what comes next for a delivery is tried, and with whom; `None` once it is settled.
fn next_turn(state: &DeliveryState) -> Option<(Timestamp, Vec<Delivery>)> {
    let next = state.pending.as_deref()?;
    let at = match &state.waiting {
        Some(waiting) => waiting.until,
        None => state.due_at? - RETRY_GRACE,
    };
    Some((at, vec![next.clone()]))
}

/// What of `delivery` has no outcome yet by `state`: nothing if this attempt or a later one is on record, or if it was put off.
fn left_of(mut delivery: Delivery, state: Option<&DeliveryState>) -> Option<Delivery> {
    let Some(state) = state else { return Some(delivery) };
    if state.has_passed(&delivery) {
        return None;
    }
    let is_final = |address: &Mailbox| {
        state.recipients.iter().any(|state| state.address == *address && state.status.is_final())
    };
    delivery.recipients.retain(|recipient| !is_final(&recipient.address));
    (!delivery.recipients.is_empty()).then_some(delivery)
}
