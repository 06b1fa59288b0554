//! `spoolway cancel ID`: takes back a message that is held (RFC 4865), for as long as it is not released.

use std::io::Write;

use serde::Serialize;
use shared::mail::{Mailbox, MessageId, Reply, Timestamp};
use shared::pack::PackedMessage;
use shared::port::{Cancel, DeliveryState};

use crate::exit::{Exit, Failure, Outcome};
use crate::screen::{count, moment, write_json};
use crate::trace::{Ports, not_there, packed, rfc3339};

/// Cancels each delivery of `id` that is held, and tells of all. An error where not all of it is cancelled.
pub(crate) async fn run(ports: &Ports, id: MessageId, json: bool, out: &mut dyn Write) -> Outcome {
    let states = ports.deliveries.message(id).await?;
    // without its pack, what is in the state is all that is known of it
    let packed = packed(ports, id).await.unwrap_or_default();
    if states.is_empty() && packed.is_none() {
        return Err(not_there(ports, id));
    }
    let reply = Reply::new(250, (0, 0), format!("cancelled by the operator at {}", moment(ports.now)));
    let mut deliveries = Vec::with_capacity(states.len());
    for state in &states {
        let cancelled = match ports.deliveries.cancel(&state.key, &reply).await? {
            Cancel::Done => true,
            Cancel::Released | Cancel::Missing => false,
        };
        deliveries.push(DeliveryView::of(state, cancelled));
    }
    let view = View { message: id, deliveries, unprepared: unprepared(packed.as_ref(), &states) };
    if json {
        write_json(out, &view)?;
    } else {
        write_text(&view, out)?;
    }
    let held = packed.as_ref().and_then(|packed| packed.envelope.options.held_until(packed.received_at));
    view.verdict(held)
}

/// As JSON, the answer of `cancel --json`: fields are added, never changed.
#[derive(Debug, Serialize)]
struct View {
    message: MessageId,
    deliveries: Vec<DeliveryView>,
    /// Recipients whose deliveries are not in the state: nothing was cancelled for them.
    unprepared: Vec<Mailbox>,
}

#[derive(Debug, Serialize)]
struct DeliveryView {
    destination: String,
    recipients: Vec<Mailbox>,
    /// Whether it is cancelled, now or before.
    cancelled: bool,
    /// When it was, or would have been, released; `null` where it was never held.
    #[serde(with = "rfc3339::option")]
    held_until: Option<Timestamp>,
}

impl DeliveryView {
    fn of(state: &DeliveryState, cancelled: bool) -> Self {
        let recipients = state.recipients.iter().map(|recipient| recipient.address.clone());
        Self {
            destination: state.key.destination(),
            recipients: recipients.collect(),
            cancelled,
            held_until: state.held_until,
        }
    }
}

/// The recipients of the pack that no delivery in the state has.
pub(crate) fn unprepared(packed: Option<&PackedMessage>, states: &[DeliveryState]) -> Vec<Mailbox> {
    let known = |address: &Mailbox| {
        states.iter().flat_map(|state| &state.recipients).any(|recipient| recipient.address == *address)
    };
    let all = packed.into_iter().flat_map(|packed| &packed.envelope.recipients);
    all.map(|recipient| recipient.address.clone()).filter(|address| !known(address)).collect()
}

impl View {
    /// Whether all of the message is cancelled; `held_until` is what its pack says.
    fn verdict(&self, held_until: Option<Timestamp>) -> Outcome {
        let id = self.message;
        if let Some(late) = self.deliveries.iter().find(|delivery| !delivery.cancelled) {
            return Err(too_late(id, late.held_until));
        }
        match (self.unprepared.is_empty(), held_until) {
            (true, _) => Ok(()),
            (false, None) => Err(too_late(id, None)),
            (false, Some(_)) => {
                let text =
                    format!("message {id} is not prepared yet, at least not for all; try again in a moment");
                Err(Failure::new(Exit::Later, text))
            }
        }
    }
}

fn too_late(id: MessageId, held_until: Option<Timestamp>) -> Failure {
    let why = match held_until {
        Some(until) => format!("it was held until {} and is released", moment(until)),
        None => "it is not held".to_owned(),
    };
    Failure::new(
        Exit::Data,
        format!("too late for message {id}: {why}; spoolway trace {id} tells where it is"),
    )
}

fn write_text(view: &View, out: &mut dyn Write) -> Outcome {
    for DeliveryView { destination, recipients, cancelled, .. } in &view.deliveries {
        let what = if *cancelled { "cancelled" } else { "released, not cancelled" };
        writeln!(out, "{destination}: {what} ({})", count(recipients.len() as u64, "recipient"))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
