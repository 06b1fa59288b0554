//! Deliveries that wait for their turn: shaping admits them, or puts them off at no cost of an attempt.
//!
//! What is put off is written first, then sent as a job with a delay, and only then is its claim ended. Who dies between leaves it to the
//! job that comes again, which finds its turn passed, and to the due time, by which the sweep finds it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::future::{BoxFuture, join_all};
use shared::job::{Delivery, DeliveryKey};
use shared::mail::{Domain, FailureClass, FailureKind, FailureScope, Reply, Timestamp};
use shared::port::{Attempt, DELAY_MAX, Postponed, Waiting};
use tokio::sync::mpsc::Sender;

use super::super::backoff::persist;
use super::super::batch::{send_jobs, to_jobs};
use super::super::outcome::Failure;
use super::super::permits::Permit;
use super::super::shaping::{Admission, Place, PutOff, Shaper, Wait};
use super::super::{Hop, Meaning, Outcome, RecipientOutcome, Rule, Site, Tried};
use super::claims::attempt_claim;
use super::groups::Group;
use super::recorder::Recorded;
use super::{Deliver, Run};
use crate::limits::{PORT_TRIES, RETRY_GRACE};

/// The sites of a run's deliveries: of one domain, some may have a route of their own.
#[derive(Default)]
pub(super) struct Sites(Mutex<HashMap<DeliveryKey, Site>>);

impl Sites {
    fn note(&self, load: &[Delivery], site: &Site) {
        let mut sites = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for delivery in load {
            sites.insert(delivery.key.clone(), site.clone());
        }
    }

    fn of(&self, key: &DeliveryKey) -> Option<Site> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(key).cloned()
    }
}

impl Deliver {
    /// The destination of a group, and its site where it has one; or why that cannot be told now.
    pub(super) async fn site(
        &self,
        run: &Run,
        group: &Group<'_>,
        load: &[Delivery],
    ) -> Result<Option<(Domain, Site)>, String> {
        let Some(domain) = load.first().map(|delivery| delivery.key.domain.clone()) else { return Ok(None) };
        let site = {
            let _lookup = self.lookups.acquire().await;
            self.transport.site(group.rule, &domain).await?
        };
        Ok(site.map(|site| {
            run.sites.note(load, &site);
            (domain, site)
        }))
    }

    /// Defers what goes to a site that cannot be told: a moment later it might, and the mail would be out of all bounds.
    pub(super) async fn defer_unknown(
        &self,
        rule: Rule<'_>,
        load: Vec<Delivery>,
        why: String,
        tried: &Sender<Tried>,
    ) {
        let failure = Failure::LookupFailed(why);
        let (now, (_, reply), meaning) = (self.ports.clock.now(), failure.verdict(), failure.meaning());
        for delivery in load {
            // whoever records no more has lost the claim, and somebody else will see to it
            drop(tried.send(not_tried(rule, delivery, &reply, meaning, now)).await);
        }
    }

    /// Tries what of `load` is admitted, as long as some of it is, and puts the rest off.
    pub(super) async fn send_shaped(
        &self,
        run: &Run,
        group: &Group<'_>,
        (domain, site): (&Domain, &Site),
        shaper: &Arc<Shaper>,
        mut load: Vec<Delivery>,
        tried: &Sender<Tried>,
    ) -> Recorded {
        let source = self.transport.source(&group.tenant);
        let place = Place { domain, site, source: source.as_deref() };
        let mut patience = shaper.patience(group.priority, &group.tenant);
        let mut recorded = Recorded::default();
        while !load.is_empty() {
            let permit = || -> BoxFuture<'_, Permit> {
                Box::pin(self.connections.acquire(group.priority, &group.tenant))
            };
            let admission = tokio::select! {
                biased;
                () = run.stop.cancelled() => return recorded,
                admission = shaper.admit(&place, load, &mut patience, &permit) => admission,
            };
            let Admission { go, permit, connection, later, put_off } = admission;
            for put_off in put_off {
                recorded = recorded.and(self.put_off(run, group.rule, shaper, put_off, tried).await);
            }
            load = later;
            if go.is_empty() {
                continue;
            }
            let mut connection = connection;
            if let Some(other) = connection.as_ref().and_then(|slot| slot.displaces(site)) {
                self.transport.part(other, source.as_deref()).await;
            }
            let attempt = self.transport.attempt(group.rule, go, tried);
            match &mut connection {
                Some(slot) => tokio::select! {
                    biased;
                    () = attempt => {}
                    () = slot.keep() => {}
                },
                None => attempt.await,
            }
            drop(permit);
            shaper.leave(&place, connection, || self.transport.kept(site, source.as_deref())).await;
        }
        recorded
    }

    /// Puts deliveries off, at no cost of an attempt. What has waited too long comes to what an attempt in vain comes to.
    async fn put_off(
        &self,
        run: &Run,
        rule: Rule<'_>,
        shaper: &Shaper,
        put_off: PutOff,
        tried: &Sender<Tried>,
    ) -> Recorded {
        let now = self.ports.clock.now();
        let wait = put_off.wait.clone();
        let mut turns: Vec<(Timestamp, Delivery)> = Vec::new();
        for (at, together) in shaper.turns(put_off) {
            for mut delivery in together {
                match self.settings.retry.wait_max(&delivery, now) {
                    Some(latest) => {
                        run.withheld.make_whole(&mut delivery);
                        turns.push((at.min(latest), delivery));
                    }
                    // whoever records no more has lost the claim, and somebody else will see to it
                    None => {
                        let reply = Reply::new(451, (4, 5), format!("not tried, as {}", wait.text));
                        let meaning = Meaning { kind: Some(RATE_LIMIT), ..Meaning::default() };
                        drop(tried.send(not_tried(rule, delivery, &reply, meaning, now)).await);
                    }
                }
            }
        }
        if turns.is_empty() {
            return Recorded::default();
        }
        let postponed: Vec<Postponed> =
            turns.iter().map(|(at, delivery)| self.postponed(delivery, *at, &wait, now)).collect();
        let write = || self.ports.deliveries.postpone(postponed.clone());
        let written = match persist(&*self.ports.clock, PORT_TRIES, write).await {
            Ok(written) => written,
            Err(cause) => {
                tracing::error!(job = run.job, cause = cause.chain(), "deliveries could not be put off");
                return Recorded::default();
            }
        };
        let mut recorded = Recorded::default();
        let mut jobs: Vec<(Timestamp, Vec<Delivery>)> = Vec::new();
        for (((at, delivery), postponed), result) in turns.into_iter().zip(postponed).zip(written) {
            if let Err(cause) = result {
                tracing::error!(message_id = %delivery.key.message, cause = cause.chain(), "a delivery could not be put off");
                continue;
            }
            tell(&postponed);
            recorded.count += 1;
            if run.own_claims {
                recorded.claims.push(attempt_claim(&delivery));
            }
            match jobs.last_mut() {
                Some((last, together)) if *last == at => together.push(postponed.delivery),
                _ => jobs.push((at, vec![postponed.delivery])),
            }
        }
        self.send_turns(jobs, now).await;
        join_all(recorded.claims.iter().map(|claim| self.finish(claim, &run.holder))).await;
        recorded
    }

    fn postponed(&self, delivery: &Delivery, at: Timestamp, wait: &Wait, now: Timestamp) -> Postponed {
        let next = Delivery { postponed: delivery.postponed.saturating_add(1), ..delivery.clone() };
        let waiting = Waiting { reason: wait.reason.as_str().to_owned(), text: wait.text.clone(), until: at };
        let due_at = if is_short(at, now) { at + RETRY_GRACE } else { at };
        let forget_at = delivery.expires_at.max(at) + self.settings.retain;
        Postponed { delivery: next, waiting, due_at, forget_at }
    }

    /// Sends those turns that are soon. What is not sent is found by its due time.
    pub(super) async fn send_turns(&self, turns: Vec<(Timestamp, Vec<Delivery>)>, now: Timestamp) {
        let mut jobs = Vec::new();
        for (at, deliveries) in turns.into_iter().filter(|(at, _)| is_short(*at, now)) {
            // to the next second, as SQS counts
            let delay = Duration::from_secs(at.since(now).as_millis().div_ceil(1000) as u64).min(DELAY_MAX);
            jobs.extend(to_jobs(deliveries).into_iter().map(|job| (job, delay)));
        }
        if jobs.is_empty() {
            return;
        }
        let (_, errors) = send_jobs(&*self.ports.outbound, jobs).await;
        for cause in errors {
            tracing::warn!(
                cause = cause.chain(),
                "what was put off could not be sent; the sweep will find it"
            );
        }
    }

    /// Shows shaping what a server replied, where it is not pleased.
    pub(super) fn observe<'a>(
        &'a self,
        run: &Run,
        tried: &Tried,
    ) -> Option<impl Future<Output = ()> + use<'a>> {
        let shaper = self.shaper.as_ref()?;
        let domain = tried.delivery.key.domain.clone();
        let site = run.sites.of(&tried.delivery.key)?;
        let mut replies: Vec<(Reply, Option<FailureKind>)> = Vec::new();
        for one in &tried.outcomes {
            let failed = matches!(one.outcome, Outcome::Deferred | Outcome::Bounced);
            if failed && one.spoken && !replies.iter().any(|(known, _)| *known == one.reply) {
                replies.push((one.reply.clone(), one.meaning.kind));
            }
        }
        let tenant = tried.delivery.tenant.clone();
        (!replies.is_empty()).then_some(async move {
            let source = self.transport.source(&tenant);
            let place = Place { domain: &domain, site: &site, source: source.as_deref() };
            for (reply, kind) in replies {
                shaper.observe(&place, &tenant, &reply, kind).await;
            }
        })
    }
}

/// What it is that a delivery waited for in vain.
const RATE_LIMIT: FailureKind = FailureKind { class: FailureClass::RateLimit, scope: FailureScope::Site };

/// Whether a queue can carry a job until then.
fn is_short(at: Timestamp, now: Timestamp) -> bool {
    at.since(now) <= DELAY_MAX
}

/// What becomes of a delivery of which no attempt is made: its time is up, its sender must be told of a delay, or nobody knows where it
/// goes.
fn not_tried(rule: Rule<'_>, delivery: Delivery, reply: &Reply, meaning: Meaning, now: Timestamp) -> Tried {
    let outcome = |address| RecipientOutcome {
        address,
        outcome: Outcome::Deferred,
        reply: reply.clone(),
        spoken: false,
        meaning,
        hop: Hop::End,
    };
    let outcomes = delivery.recipients.iter().map(|to| outcome(to.address.clone())).collect();
    let attempt = Attempt {
        number: delivery.attempt,
        began_at: now,
        ended_at: now,
        route: rule.route.to_string(),
        host: None,
        peer: None,
        source: None,
        tls: None,
        reply: reply.clone(),
    };
    Tried { delivery, attempt, outcomes }
}

/// Says that a delivery was put off, once that is on record.
fn tell(postponed: &Postponed) {
    let Postponed { delivery, waiting, .. } = postponed;
    let reason = waiting.reason.clone();
    metrics::counter!("spoolway_deliver_postponed_total", "reason" => reason).increment(1);
    tracing::info!(
        message_id = %delivery.key.message,
        destination = delivery.key.destination(),
        attempt = delivery.attempt,
        times = delivery.postponed,
        reason = waiting.reason,
        until = %waiting.until,
        waits_for = waiting.text,
        "attempt put off"
    );
}
