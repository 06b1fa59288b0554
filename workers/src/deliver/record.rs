//! From what an attempt came to, to what is written down and what comes next.

use std::time::Duration;

use shared::job::Delivery;
use shared::mail::{EnhancedCode, MessageId, Recipient, Reply, ReversePath, Timestamp};
use shared::port::{DELAY_MAX, Next, RecipientState, RecipientStatus, Record};

use super::{Outcome, RecipientOutcome, RetrySettings, Tried};
use crate::limits::{REPORT_PAUSE, RETRY_GRACE};

/// An attempt, judged: what is to be written, and what has to happen before and after that.
#[derive(Debug)]
pub(super) struct Judged {
    pub(super) record: Record,
    /// Recipients that were given up in this attempt and whose sender is to be told first.
    pub(super) failures: Vec<Failure>,
    /// When the next attempt is to be made, where a job with a delay can carry it.
    pub(super) retry_at: Option<Timestamp>,
    /// How often it was tried in vain to write it, in rounds.
    pub(super) rounds: u32,
}

/// A recipient given up.
#[derive(Debug)]
pub(super) struct Failure {
    /// Its place in the record's recipients.
    pub(super) at: usize,
    /// The reply of the last attempt; for an expired message not the one on record.
    pub(super) last_reply: Reply,
    /// Whether it was given up for its age.
    pub(super) expired: bool,
}

/// Judges `tried` at `now`. `chance` spreads the next attempt.
pub(super) fn judge(
    tried: Tried,
    settings: &RetrySettings,
    retain: Duration,
    now: Timestamp,
    chance: f64,
) -> Judged {
    let Tried { delivery, attempt, mut outcomes } = tried;
    // a recipient without an outcome must not be lost, whatever the transport did
    for recipient in delivery.recipients.iter().skip(outcomes.len()) {
        let reply = Reply::new(451, (3, 0), "the attempt ended without an outcome");
        let address = recipient.address.clone();
        outcomes.push(RecipientOutcome { address, outcome: Outcome::Deferred, reply });
    }
    let deferred = outcomes.iter().any(|one| one.outcome == Outcome::Deferred);
    let next_try = if deferred { settings.next_try(&delivery, now, chance) } else { None };
    let untold = delivery.from == ReversePath::Null;
    let mut failures = Vec::new();
    let mut recipients = Vec::with_capacity(outcomes.len());
    for (at, RecipientOutcome { address, outcome, reply }) in outcomes.into_iter().enumerate() {
        let expired = outcome == Outcome::Deferred && next_try.is_none();
        let (status, reply) = match outcome {
            Outcome::Delivered => (RecipientStatus::Delivered, reply),
            Outcome::Discarded => (RecipientStatus::Discarded, reply),
            Outcome::Deferred if !expired => (RecipientStatus::Deferred, reply),
            Outcome::Deferred | Outcome::Bounced => {
                let final_reply = if expired { expiry_reply(&reply) } else { reply.clone() };
                let final_reply = if untold { untold_reply(&final_reply) } else { final_reply };
                if !untold {
                    failures.push(Failure { at, last_reply: reply, expired });
                }
                (RecipientStatus::Bounced, final_reply)
            }
        };
        recipients.push(RecipientState { address, status, reply: Some(reply), report: None });
    }
    let mut record = Record { delivery, attempt, recipients, next: Next::Settled, forget_at: now + retain };
    let retry_at = next_try.and_then(|at| schedule(&mut record, now, at, retain));
    Judged { record, failures, retry_at, rounds: 0 }
}

/// Sets the next attempt at whoever is deferred. Tells when, if it is soon enough for a delayed job.
fn schedule(record: &mut Record, now: Timestamp, at: Timestamp, retain: Duration) -> Option<Timestamp> {
    let delivery = Box::new(next_delivery(record));
    record.forget_at = delivery.expires_at.max(at) + retain;
    let short = at.since(now) <= DELAY_MAX;
    let due_at = if short { at + RETRY_GRACE } else { at };
    record.next = Next::Due { at: due_at, delivery };
    short.then_some(at)
}

fn next_delivery(record: &Record) -> Delivery {
    let left = record.delivery.recipients.iter().zip(&record.recipients);
    let left = left.filter(|(_, state)| !state.status.is_final());
    let recipients: Vec<Recipient> = left.map(|(recipient, _)| recipient.clone()).collect();
    // a number the transport made up must not hide the next attempt behind this one
    let attempt = record.delivery.attempt.max(record.attempt.number).saturating_add(1);
    Delivery { recipients, attempt, ..record.delivery.clone() }
}

impl Judged {
    /// Notes the DSN that tells of the failures.
    pub(super) fn told_by(&mut self, report: MessageId) {
        for failure in &self.failures {
            self.record.recipients[failure.at].report = Some(report);
        }
    }

    /// Takes the failures back, because their sender could not be told: these recipients are tried once more, and
    /// the others keep what they got.
    pub(super) fn try_failures_again(&mut self, now: Timestamp, retain: Duration) {
        for failure in self.failures.drain(..) {
            let state = &mut self.record.recipients[failure.at];
            state.status = RecipientStatus::Deferred;
            state.reply = Some(failure.last_reply);
        }
        let at = self.retry_at.unwrap_or(now + REPORT_PAUSE);
        self.retry_at = schedule(&mut self.record, now, at, retain);
    }

    /// The delivery of the next attempt, where a delayed job is to carry it.
    pub(super) fn short_retry(&self) -> Option<(Timestamp, Delivery)> {
        match (&self.record.next, self.retry_at) {
            (Next::Due { delivery, .. }, Some(at)) => Some((at, delivery.as_ref().clone())),
            (Next::Due { .. }, None) | (Next::Settled, _) => None,
        }
    }
}

/// RFC 3463 §3.5: X.4.7, delivery time expired.
fn expiry_reply(last: &Reply) -> Reply {
    Reply::new(451, (4, 7), format!("delivery time expired; the last reply was: {last}"))
}

/// RFC 5321 §4.5.5: nobody is told of mail from the null path.
fn untold_reply(reply: &Reply) -> Reply {
    let text = format!("{} (the sender is null: nobody was told)", reply.text());
    match reply.enhanced() {
        Some(EnhancedCode(subject, detail)) => Reply::new(reply.code(), (subject, detail), text),
        None => Reply::plain(reply.code(), text),
    }
}
