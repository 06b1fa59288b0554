//! From what an attempt came to, to what is written down and what comes next.

mod news;

use std::time::Duration;

use shared::job::Delivery;
use shared::mail::{EnhancedCode, MessageId, PackId, Recipient, Reply, ReversePath, Timestamp};
use shared::port::{DELAY_MAX, Next, Notification, RecipientState, RecipientStatus, Record};

#[cfg(test)]
pub(super) use self::news::fitting;
pub(super) use self::news::{Event, Item, News, may_be_told_of_delay};
use super::dsn::Row;
use super::{Hop, Meaning, Outcome, RecipientOutcome, RetrySettings, Tried};
use crate::limits::{
    ATTEMPT_REPLY_OCTETS_MAX, RECIPIENT_REPLY_OCTETS_MAX, REPORT_PAUSE, RETRY_GRACE, UNTOLD_REPLY_OCTETS_MAX,
};

/// An attempt, judged: what is to be written, and what has to happen before and after that.
#[derive(Debug)]
pub(super) struct Judged {
    pub(super) record: Record,
    /// What the sender is to be told first, a DSN each.
    pub(super) news: Vec<News>,
    /// The recipients whose address takes no mail any more, by their place.
    pub(super) hard: Vec<usize>,
    /// When the next attempt is to be made, where a job with a delay can carry it.
    pub(super) retry_at: Option<Timestamp>,
    /// When the message is given up.
    pub(super) retry_until: Timestamp,
    /// How often it was tried in vain to write it, in rounds.
    pub(super) rounds: u32,
}

/// Judges `tried` at `now`. `chance` spreads the next attempt.
pub(super) fn judge(
    tried: Tried,
    settings: &RetrySettings,
    retain: Duration,
    now: Timestamp,
    chance: f64,
) -> Judged {
    let Tried { delivery, mut attempt, mut outcomes } = tried;
    attempt.reply = attempt.reply.cut(ATTEMPT_REPLY_OCTETS_MAX);
    // a recipient without an outcome must not be lost, whatever the transport did
    for recipient in delivery.recipients.iter().skip(outcomes.len()) {
        let reply = Reply::new(451, (3, 0), "the attempt ended without an outcome");
        let (address, outcome) = (recipient.address.clone(), Outcome::Deferred);
        outcomes.push(RecipientOutcome {
            address,
            outcome,
            reply,
            spoken: false,
            meaning: Meaning::default(),
            hop: Hop::End,
        });
    }
    let deferred = outcomes.iter().any(|one| one.outcome == Outcome::Deferred);
    let soon = outcomes.iter().any(|one| one.outcome == Outcome::Deferred && one.meaning.soon);
    let next_try = if deferred { settings.next_try(&delivery, now, soon, chance) } else { None };
    let news = news::of(&delivery, &outcomes, next_try.is_some(), settings.notices_due(&delivery, now));
    let hard =
        outcomes.iter().enumerate().filter(|(_, one)| one.meaning.hard && one.outcome == Outcome::Bounced);
    let hard = hard.map(|(at, _)| at).collect();
    let mut recipients = Vec::with_capacity(outcomes.len());
    for (at, RecipientOutcome { address, outcome, reply, meaning, .. }) in outcomes.into_iter().enumerate() {
        let mut report = None;
        let (status, reply) = match outcome {
            Outcome::Delivered => (RecipientStatus::Delivered, reply),
            Outcome::Discarded => (RecipientStatus::Discarded, reply),
            Outcome::Deferred if next_try.is_some() => {
                let recipient = delivery.recipients.get(at);
                // of what is gathered, the state knows
                let notice = delivery.notices.latest().filter(|_| delivery.others == 0);
                report = notice.filter(|_| recipient.is_some_and(news::may_be_told_of_delay));
                (RecipientStatus::Deferred, reply)
            }
            Outcome::Deferred | Outcome::Bounced | Outcome::Suppressed => {
                let expired = outcome == Outcome::Deferred;
                let final_reply = if expired { settings.expiry_reply(&delivery, &reply) } else { reply };
                let told = news.iter().any(|news| news.event == Event::Failed && news.names(at));
                let reply = if told { final_reply } else { untold_reply(&delivery, &final_reply) };
                let suppressed = outcome == Outcome::Suppressed;
                (if suppressed { RecipientStatus::Suppressed } else { RecipientStatus::Bounced }, reply)
            }
        };
        recipients.push(RecipientState {
            address,
            status,
            reply: Some(reply.cut(RECIPIENT_REPLY_OCTETS_MAX)),
            failure: meaning.kind,
            report,
            untold: None,
        });
    }
    let retry_until = settings.expiry(&delivery);
    let mut record = Record { delivery, attempt, recipients, next: Next::Settled, forget_at: now + retain };
    let retry_at = next_try.and_then(|at| schedule(&mut record, now, at, retain));
    Judged { record, news, hard, retry_at, retry_until, rounds: 0 }
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
    Delivery { recipients, attempt, postponed: 0, ..record.delivery.clone() }
}

impl Judged {
    /// What a DSN says of the news at `place`.
    pub(super) fn notifications(&self, place: usize) -> Vec<Notification> {
        let Record { delivery, attempt, recipients, .. } = &self.record;
        let News { event, items } = &self.news[place];
        let until = self.retry_until;
        let of = |item: &Item| {
            item.notification(
                event.action(),
                &delivery.recipients[item.at],
                &recipients[item.at],
                attempt,
                until,
            )
        };
        items.iter().map(of).collect()
    }

    /// The recipients in the news at `place`, of which `notifications` are told.
    pub(super) fn rows<'a>(&'a self, place: usize, notifications: &'a [Notification]) -> Vec<Row<'a>> {
        let told = self.news[place].items.iter().zip(notifications);
        told.filter_map(|(item, told)| Row::of(&self.record.recipients[item.at], told)).collect()
    }

    /// Notes the DSN that tells the news at `place`.
    pub(super) fn told_by(&mut self, place: usize, report: MessageId) {
        for item in &self.news[place].items {
            self.record.recipients[item.at].report = Some(report);
        }
        self.notice(place, report);
    }

    /// Notes the news to be told with that of the message's other deliveries.
    pub(super) fn leave_untold(&mut self) {
        for place in 0..self.news.len() {
            let notifications = self.notifications(place);
            for (item, mut notification) in self.news[place].items.iter().zip(notifications) {
                notification.reply = notification.reply.map(|reply| reply.cut(UNTOLD_REPLY_OCTETS_MAX));
                self.record.recipients[item.at].untold = Some(Box::new(notification));
            }
            let Delivery { key, accepted_at, .. } = &self.record.delivery;
            let name = format!("{} {:?}", key.message, self.news[place].event);
            let report = MessageId { pack: PackId::derived(*accepted_at, &name), n: 0 };
            self.notice(place, report);
        }
    }

    /// Lets the next attempt know of a delay that is told.
    fn notice(&mut self, place: usize, report: MessageId) {
        let (Event::Delayed { delay, deliver_by }, Next::Due { delivery, .. }) =
            (self.news[place].event, &mut self.record.next)
        else {
            return;
        };
        if delay {
            delivery.notices.delay = Some(report);
        }
        if deliver_by {
            delivery.notices.deliver_by = Some(report);
        }
    }

    /// Sees to it that the news at `place`, which could not be told, is told later if it can be. Whoever is given up is tried once
    /// more, and the others keep what they got; a delay is told after the next attempt.
    pub(super) fn untold(&mut self, place: usize, now: Timestamp, retain: Duration) {
        if self.news[place].event != Event::Failed {
            return;
        }
        for item in self.news[place].items.drain(..) {
            let state = &mut self.record.recipients[item.at];
            state.status = RecipientStatus::Deferred;
            state.reply = Some(item.reply.cut(RECIPIENT_REPLY_OCTETS_MAX));
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

/// RFC 5321 §4.5.5: nobody is told of mail from the null path; RFC 3461 §4.1: nor where NOTIFY forbids it.
fn untold_reply(delivery: &Delivery, reply: &Reply) -> Reply {
    let why = match delivery.from {
        ReversePath::Null => "the sender is null: nobody was told",
        ReversePath::Mailbox(_) => "nobody was told, as the sender asked",
    };
    let reply = reply.clone().cut(RECIPIENT_REPLY_OCTETS_MAX - why.len() - 3);
    let text = format!("{} ({why})", reply.text());
    match reply.enhanced() {
        Some(EnhancedCode(subject, detail)) => Reply::new(reply.code(), (subject, detail), text),
        None => Reply::plain(reply.code(), text),
    }
}
