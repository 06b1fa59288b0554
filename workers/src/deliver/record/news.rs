//! What an attempt leaves to tell the sender (RFC 3461 §5.2, RFC 2852 §4).

use shared::job::Delivery;
use shared::mail::{ByMode, Recipient, Reply, ReversePath, Status, Timestamp};
use shared::port::{Action, Attempt, Notification, RecipientState, RecipientStatus};

use super::super::{Hop, Outcome, RecipientOutcome};
use crate::limits::RECIPIENT_REPLY_OCTETS_MAX;

/// One DSN to be: what happened, and to whom.
#[derive(Debug)]
pub(in super::super) struct News {
    pub(in super::super) event: Event,
    /// Never empty, but where the news could not be told.
    pub(in super::super) items: Vec<Item>,
}

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Event {
    /// Recipients were given up.
    Failed,
    /// Recipients are waiting for longer than the sender wanted to know nothing of it.
    Delayed {
        /// By NOTIFY=DELAY.
        delay: bool,
        /// By a deliver-by time of mode N.
        deliver_by: bool,
    },
    /// The message was given to a server that will not tell of it as the sender wants.
    Relayed,
    /// The message is in its mailbox.
    Delivered,
}

/// A recipient in the news.
#[derive(Debug)]
pub(in super::super) struct Item {
    /// Its place in the record's recipients.
    pub(in super::super) at: usize,
    /// The reply of this attempt; for an expired message not the one on record.
    pub(in super::super) reply: Reply,
    /// Whether that is what a server said.
    pub(in super::super) spoken: bool,
    /// Whether time is up: that of the message for one that was given up, that of its deliver-by for one that is late.
    pub(in super::super) expired: bool,
}

impl Event {
    /// What a DSN calls it.
    pub(in super::super) fn action(self) -> Action {
        match self {
            Self::Failed => Action::Failed,
            Self::Delayed { .. } => Action::Delayed,
            Self::Relayed => Action::Relayed,
            Self::Delivered => Action::Delivered,
        }
    }
}

impl Item {
    /// What a DSN says of the recipient, whose state is `state` after `attempt`.
    pub(super) fn notification(
        &self,
        action: Action,
        recipient: &Recipient,
        state: &RecipientState,
        attempt: &Attempt,
        retry_until: Timestamp,
    ) -> Notification {
        let kept = self.reply.clone().cut(RECIPIENT_REPLY_OCTETS_MAX);
        let reply = (state.reply != Some(kept)).then(|| self.reply.clone());
        let recorded = state.reply.as_ref().map(Reply::status);
        // RFC 2852 §4: 4.4.7 once the time is up
        let late = action == Action::Delayed && self.expired;
        let status = if late { Some(Status { class: 4, subject: 4, detail: 7 }) } else { recorded };
        Notification {
            action,
            original: recipient.original.clone(),
            status: fitting(action, status),
            reply,
            spoken: self.spoken,
            expired: self.expired,
            suppressed: state.status == RecipientStatus::Suppressed,
            host: attempt.host.clone(),
            ended_at: attempt.ended_at,
            retry_until,
        }
    }
}

/// `status` if its class is one that the action can have (RFC 3464 §2.3.4), and else the one that says no more than the class.
pub(in super::super) fn fitting(action: Action, status: Option<Status>) -> Status {
    let (fits, class): (&[u16], u16) = match action {
        Action::Failed => (&[4, 5], 5),
        Action::Delayed => (&[4], 4),
        Action::Relayed | Action::Delivered => (&[2], 2),
    };
    status.filter(|status| fits.contains(&status.class)).unwrap_or(Status { class, subject: 0, detail: 0 })
}

impl News {
    /// Whether the recipient at `place` is in it.
    pub(super) fn names(&self, place: usize) -> bool {
        self.items.iter().any(|item| item.at == place)
    }
}

/// The news of an attempt: nothing for the null sender, whatever it asked for (RFC 3461 §6.2, RFC 5321 §4.5.5). `retried` tells
/// that whoever is deferred is tried again; `due` whether it is time to tell of a delay, by NOTIFY and by deliver-by.
pub(super) fn of(
    delivery: &Delivery,
    outcomes: &[RecipientOutcome],
    retried: bool,
    (delay_due, deliver_by_due): (bool, bool),
) -> Vec<News> {
    if delivery.from == ReversePath::Null {
        return Vec::new();
    }
    let (mut delay, mut deliver_by) = (false, false);
    let [mut failed, mut delayed, mut relayed, mut delivered] = [(); 4].map(|()| Vec::new());
    for (at, (recipient, one)) in delivery.recipients.iter().zip(outcomes).enumerate() {
        let RecipientOutcome { outcome, reply, spoken, hop, .. } = one;
        let item = |expired| Item { at, reply: reply.clone(), spoken: *spoken, expired };
        match outcome {
            Outcome::Bounced | Outcome::Suppressed if wants_failure(recipient) => failed.push(item(false)),
            Outcome::Deferred if !retried && wants_failure(recipient) => failed.push(item(true)),
            Outcome::Deferred if retried => {
                let by_notify = delay_due && recipient.notify.is_some_and(|notify| notify.delay);
                let by_time = deliver_by_due && !is_never(recipient);
                if by_notify || by_time {
                    delay |= by_notify;
                    deliver_by |= by_time;
                    delayed.push(item(by_time));
                }
            }
            Outcome::Delivered if is_relayed(delivery, recipient, *hop) => relayed.push(item(false)),
            Outcome::Delivered if *hop == Hop::End && wants_success(recipient) => delivered.push(item(false)),
            // what was thrown away was not delivered, and did not fail
            Outcome::Delivered
            | Outcome::Discarded
            | Outcome::Deferred
            | Outcome::Bounced
            | Outcome::Suppressed => {}
        }
    }
    let all = [
        (Event::Failed, failed),
        (Event::Delayed { delay, deliver_by }, delayed),
        (Event::Relayed, relayed),
        (Event::Delivered, delivered),
    ];
    let told = all.into_iter().filter(|(_, items)| !items.is_empty());
    told.map(|(event, items)| News { event, items }).collect()
}

/// Whether the sender may have been told that it takes long.
pub(in crate::deliver) fn may_be_told_of_delay(recipient: &Recipient) -> bool {
    !is_never(recipient)
}

/// Whether the sender wants to hear that the message went on to `hop`, of which it will hear no more as it asked.
fn is_relayed(delivery: &Delivery, recipient: &Recipient, hop: Hop) -> bool {
    let Hop::Server { dsn, deliver_by } = hop else { return false };
    // RFC 3461 §5.2.2
    if wants_success(recipient) && !dsn {
        return true;
    }
    // RFC 2852 §4.1.4: at each relay where that is asked for, and §4.1.4.2: where the time is no longer looked at
    let by = delivery.options.deliver_by.filter(|_| !is_never(recipient));
    by.is_some_and(|by| by.trace || (by.mode == ByMode::Notify && !deliver_by))
}

fn wants_success(recipient: &Recipient) -> bool {
    recipient.notify.is_some_and(|notify| notify.success)
}

/// As it is where NOTIFY was not given (RFC 3461 §4.1).
fn wants_failure(recipient: &Recipient) -> bool {
    recipient.notify.is_none_or(|notify| notify.failure)
}

/// Whether this is NOTIFY=NEVER.
fn is_never(recipient: &Recipient) -> bool {
    recipient.notify.is_some_and(|notify| !notify.success && !notify.failure && !notify.delay)
}
