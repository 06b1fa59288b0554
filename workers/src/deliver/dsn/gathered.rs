//! What several deliveries of a message leave to tell, told together: one DSN a message and kind, where they come to it at about the
//! same time.
//!
//! What is to be told lies in the deliveries' state, written with the outcome that it tells of. A DSN is noted there before it is put in,
//! and again once it is: whoever finds one that was noted and is in the spool ends what another has begun, and tells the same once.

use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use shared::job::Tell;
use shared::mail::{Mailbox, MessageId, Timestamp};
use shared::port::{Action, DeliveryState, PortResult, RecipientState, Telling};

use super::super::backoff::persist;
use super::super::reminders::Reminder;
use super::super::stage::DeliverPorts;
use super::{Dsn, Row, put_in, send};
use crate::limits::{GATHERED_SOON, GATHERED_WITHIN, NOTED_AT_A_TIME, PORT_TRIES, REMINDER_MAX};

/// Tells the sender of `tell` what there is to be told, unless more is to be known soon; then takes away the reminders of which nothing is
/// left. For whoever has the claim of the message.
pub(in super::super) async fn tell(ports: &DeliverPorts, hostname: &str, tell: &Tell) -> PortResult<()> {
    let message = tell.message;
    let mut states = persist(&*ports.clock, PORT_TRIES, || ports.deliveries.message(message)).await?;
    // what is told twice is told in the same order
    states.sort_by(|one, other| one.key.cmp(&other.key));
    let mut gathered = Gathered { ports, hostname, states };
    for action in Action::ALL {
        gathered.tell(action).await?;
    }
    let now = ports.clock.now();
    let done = tell.reminders.iter().filter(|reminder| gathered.is_done(reminder, now));
    let done: Vec<String> = done.cloned().collect();
    persist(&*ports.clock, PORT_TRIES, || ports.reminders.clear(message, &done)).await
}

/// The deliveries of a message, as far as they have been tried.
struct Gathered<'a> {
    ports: &'a DeliverPorts,
    hostname: &'a str,
    states: Vec<DeliveryState>,
}

impl Gathered<'_> {
    async fn tell(&mut self, action: Action) -> PortResult<()> {
        let mut begun: Vec<MessageId> = self.untold(action).filter_map(|one| one.report).collect();
        begun.sort_unstable();
        begun.dedup();
        for report in begun {
            self.end(action, report).await?;
        }
        let untold: Vec<RecipientState> = self.untold(action).cloned().collect();
        let rows: Vec<Row<'_>> =
            untold.iter().filter_map(|one| Row::of(one, one.untold.as_deref()?)).collect();
        let Some(first) = rows.iter().map(|row| row.told.ended_at).min() else { return Ok(()) };
        if self.is_more_to_come(first) {
            return Ok(());
        }
        let Some(original) = self.states.iter().find_map(|state| state.original.clone()) else {
            tracing::error!(
                action = action.as_str(),
                "there is something to be told of a message that is not known"
            );
            return Ok(());
        };
        let begun = format!("{} {}", original.key.message, action.as_str());
        let seed = rows
            .iter()
            .fold(begun, |seed, row| format!("{seed} {}@{}", row.address, row.told.ended_at.millis()));
        let dsn = Dsn { seed, original: &original, action, rows: &rows };
        let report = dsn.id();
        if !self.note(action, report, false, |_| true).await? {
            tracing::info!(message_id = %original.key.message, "somebody else has told the sender meanwhile");
            return Ok(());
        }
        put_in(self.ports, self.hostname, &dsn).await?;
        self.note(action, report, true, |_| true).await.map(drop)
    }

    /// Ends what somebody has begun: a DSN that is in the spool tells of all for whom it was noted. One that is not is not begun.
    async fn end(&mut self, action: Action, report: MessageId) -> PortResult<()> {
        let ports = self.ports;
        let found = persist(&*ports.clock, PORT_TRIES, || ports.spool.get(report.pack, 0..1)).await?;
        let original = self.states.iter().find_map(|state| state.original.clone());
        let (Some(_), Some(original)) = (found, original) else { return Ok(()) };
        persist(&*ports.clock, PORT_TRIES, || send(ports, &original, report.pack)).await?;
        self.note(action, report, true, |one| one.report == Some(report)).await.map(drop)
    }

    /// Notes `report` with each recipient that `of` picks; tells whether all of them were to be told of still.
    async fn note(
        &mut self,
        action: Action,
        report: MessageId,
        put_in: bool,
        of: impl Fn(&RecipientState) -> bool,
    ) -> PortResult<bool> {
        let ports = self.ports;
        let noting = self.states.iter_mut().filter_map(|state| {
            let picked = state.recipients.iter().filter(|one| is_untold(one, action) && of(one));
            let named = picked.filter_map(|one| Some((one.address.clone(), one.untold.as_ref()?.ended_at)));
            let recipients: Vec<(Mailbox, Timestamp)> = named.collect();
            let telling = Telling { report, action, recipients, put_in };
            (!telling.recipients.is_empty()).then_some(async move {
                let tell = || ports.deliveries.tell(&state.key, telling.clone());
                let all = persist(&*ports.clock, PORT_TRIES, tell).await?;
                state.tell(&telling);
                PortResult::Ok(all)
            })
        });
        let noting: Vec<_> = noting.collect();
        let noted = stream::iter(noting).buffer_unordered(NOTED_AT_A_TIME);
        noted.try_fold(true, |all, one| std::future::ready(Ok(all && one))).await
    }

    fn untold(&self, action: Action) -> impl Iterator<Item = &RecipientState> {
        self.states.iter().flat_map(|state| &state.recipients).filter(move |one| is_untold(one, action))
    }

    /// Whether another delivery has an attempt before it that may end soon. Whoever was given up `first` waits for it that long, and no
    /// longer.
    fn is_more_to_come(&self, first: Timestamp) -> bool {
        let now = self.ports.clock.now();
        let others = self.states.iter().find_map(|state| Some(state.original.as_ref()?.others)).unwrap_or(0);
        let untried = self.states.len() <= usize::try_from(others).unwrap_or(usize::MAX);
        let soon = |state: &DeliveryState| state.due_at.is_some_and(|at| at <= now + GATHERED_SOON);
        now.since(first) < GATHERED_WITHIN && (untried || self.states.iter().any(soon))
    }

    /// Whether the attempt that a reminder is of is on record, and nothing is to be told of its delivery. Of two attempts of one number,
    /// which two workers have made, each leaves something to tell.
    fn is_done(&self, reminder: &str, now: Timestamp) -> bool {
        let Some(reminder) = Reminder::parse(reminder) else { return true };
        let state = self.states.iter().find(|state| state.key.destination() == reminder.destination);
        let is_told = state.is_none_or(|state| state.recipients.iter().all(|one| one.untold.is_none()));
        let mut attempts = state.iter().flat_map(|state| &state.attempts);
        let recorded = attempts.any(|attempt| attempt.ended_at == reminder.ended_at);
        if state.is_none() && now.since(reminder.ended_at) > REMINDER_MAX {
            let (message_id, destination) = (reminder.message, &reminder.destination);
            tracing::error!(%message_id, destination, "nothing is known of what a sender was to be told of");
        }
        // one that is not on record by then was made again, and left a reminder of its own
        is_told && (recorded || now.since(reminder.ended_at) > REMINDER_MAX)
    }
}

fn is_untold(recipient: &RecipientState, action: Action) -> bool {
    recipient.untold.as_ref().is_some_and(|untold| untold.action == action)
}
