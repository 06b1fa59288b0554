//! `spoolway trace ID`: the whole story of a message, from its pack and its deliveries.

mod text;
mod wishes;

use std::io::Write;
use std::sync::Arc;

use serde::Serialize;
use shared::mail::{
    Client, FailureKind, MailOptions, Mailbox, MessageId, Recipient, Reply, ReversePath, TenantId, Timestamp,
};
use shared::order::{Order, OrderId};
use shared::pack::{PackError, PackReader, PackedMessage};
use shared::port::{
    Attempt, Deliveries, DeliveryState, Feedback, FeedbackKind, RecipientState, RecipientStatus, Spool,
    Standing,
};

use crate::exit::{Exit, Failure, Outcome};
use crate::screen::{Screen, write_json};

/// What a trace needs of an edge.
pub(crate) struct Ports {
    pub(crate) spool: Arc<dyn Spool>,
    pub(crate) deliveries: Arc<dyn Deliveries>,
    pub(crate) now: Timestamp,
    /// Where the edge keeps its state, to say where a message was looked for.
    pub(crate) place: String,
}

/// Writes the story of `id`.
pub(crate) async fn run(
    ports: &Ports,
    id: MessageId,
    json: bool,
    screen: Screen,
    out: &mut dyn Write,
) -> Outcome {
    let story = find(ports, id).await?;
    if json { write_json(out, &story) } else { Ok(text::write(&story, ports.now, screen, out)?) }
}

/// All that is known of a message. As JSON, the answer of `trace --json`: fields are added, never changed.
#[derive(Debug, Serialize)]
struct Story {
    message: MessageId,
    status: StoryStatus,
    #[serde(with = "rfc3339")]
    accepted_at: Timestamp,
    from: ReversePath,
    recipients: Vec<Mailbox>,
    subject: Option<String>,
    size: u64,
    tenant: TenantId,
    /// What only the pack knows; `null` once it is deleted.
    submission: Option<Submission>,
    pack: PackFate,
    deliveries: Vec<DeliveryStory>,
    /// Recipients at whom no attempt has ended yet.
    waiting: Vec<Mailbox>,
}

/// Where a message is on its way, over all of its recipients.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum StoryStatus {
    /// Accepted, and no attempt has ended.
    Accepted,
    /// Some recipients have no final outcome.
    Pending,
    /// Every recipient has its final outcome.
    Settled,
}

#[derive(Debug, Serialize)]
struct Submission {
    client: Client,
    options: MailOptions,
    /// The recipients that came with parameters (RFC 3461).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    wishes: Vec<Recipient>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase", tag = "state", content = "why")]
enum PackFate {
    Present,
    Deleted,
    Corrupt(&'static str),
}

#[derive(Debug, Serialize)]
struct DeliveryStory {
    destination: String,
    signed: Vec<String>,
    /// Why a submission is not signed.
    unsigned: Option<String>,
    recipients: Vec<RecipientStory>,
    attempts: Vec<AttemptStory>,
    /// What operators ordered.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    orders: Vec<OrderStory>,
    #[serde(with = "rfc3339::option")]
    next_attempt_by: Option<Timestamp>,
    #[serde(with = "rfc3339")]
    expires_at: Timestamp,
    /// When its message was released, or will be.
    #[serde(with = "rfc3339::option")]
    held_until: Option<Timestamp>,
    /// What the next attempt waits for, where it was put off.
    waiting: Option<WaitingStory>,
    /// Whether it is held still.
    #[serde(skip)]
    held: bool,
    /// What it left with in place of its sender.
    return_path: Option<Mailbox>,
    /// What came to be known later.
    feedback: Vec<FeedbackStory>,
    /// Until when an operator holds it.
    #[serde(skip)]
    held_by_order: Option<Timestamp>,
}

#[derive(Debug, Serialize)]
struct FeedbackStory {
    #[serde(with = "rfc3339")]
    at: Timestamp,
    kind: FeedbackKind,
    address: Mailbox,
    reply: ReplyStory,
    reporter: Option<String>,
    /// The message that said so, which has a trace of its own.
    report: MessageId,
    suppressed: bool,
}

#[derive(Debug, Serialize)]
struct OrderStory {
    order: OrderId,
    #[serde(with = "rfc3339")]
    at: Timestamp,
    by: String,
    hand: &'static str,
    /// The end of a hold, the reason of a bounce, or a route.
    detail: Option<String>,
}

impl From<&Order> for OrderStory {
    fn from(Order { id, hand, at, by }: &Order) -> Self {
        let detail = crate::queue::detail(hand);
        Self { order: id.clone(), at: *at, by: by.clone(), hand: hand.as_str(), detail }
    }
}

#[derive(Debug, Serialize)]
struct WaitingStory {
    reason: String,
    text: String,
    #[serde(with = "rfc3339")]
    until: Timestamp,
    /// How often the attempt was put off.
    times: u32,
}

#[derive(Debug, Serialize)]
struct RecipientStory {
    address: Mailbox,
    status: RecipientStatus,
    reply: Option<ReplyStory>,
    /// What kind of failure it is, where it is one.
    failure: Option<FailureKind>,
    /// The DSN by which its sender was told; a message with a trace of its own.
    report: Option<MessageId>,
    /// Whether the sender is to be told of it still, together with other destinations of the message.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    to_be_told: bool,
}

#[derive(Debug, Serialize)]
struct AttemptStory {
    number: u32,
    #[serde(with = "rfc3339")]
    began_at: Timestamp,
    #[serde(with = "rfc3339")]
    ended_at: Timestamp,
    route: String,
    host: Option<String>,
    peer: Option<String>,
    tls: Option<String>,
    source: Option<String>,
    reply: ReplyStory,
}

#[derive(Debug, Serialize)]
pub(crate) struct ReplyStory {
    code: u16,
    enhanced: Option<String>,
    text: String,
    #[serde(skip)]
    line: String,
}

impl From<&Reply> for ReplyStory {
    fn from(reply: &Reply) -> Self {
        Self {
            code: reply.code(),
            enhanced: reply.enhanced().map(|_| reply.status().to_string()),
            text: reply.text().to_owned(),
            line: crate::screen::reply_line(reply),
        }
    }
}

impl ReplyStory {
    pub(crate) fn code(&self) -> u16 {
        self.code
    }

    /// The reply on one line.
    pub(crate) fn line(&self) -> &str {
        &self.line
    }
}

/// Moments as RFC 3339 text.
pub(crate) mod rfc3339 {
    use serde::Serializer;
    use shared::mail::Timestamp;

    pub(crate) fn serialize<S: Serializer>(at: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(at)
    }

    pub(crate) mod option {
        use super::{Serializer, Timestamp};

        #[expect(clippy::ref_option, reason = "the shape serde asks for")]
        pub(crate) fn serialize<S: Serializer>(
            at: &Option<Timestamp>,
            serializer: S,
        ) -> Result<S::Ok, S::Error> {
            match at {
                Some(at) => serializer.collect_str(at),
                None => serializer.serialize_none(),
            }
        }
    }
}

async fn find(ports: &Ports, id: MessageId) -> Outcome<Story> {
    let states = ports.deliveries.message(id).await?;
    let (packed, pack) = match packed(ports, id).await {
        Ok(message) => (message, PackFate::Present),
        Err(PackError::Missing) => (None, PackFate::Deleted),
        Err(PackError::Corrupt(why)) => (None, PackFate::Corrupt(why)),
        Err(PackError::Spool(error)) => return Err(error.into()),
    };
    if let Some(packed) = packed {
        return Ok(Story::of_packed(id, packed, &states));
    }
    match (states.first(), pack) {
        (Some(state), pack) => Ok(Story::of_state(id, state, pack, &states)),
        (None, PackFate::Corrupt(why)) => {
            Err(Failure::new(Exit::Io, format!("the pack of message {id} is corrupt: {why}")))
        }
        (None, PackFate::Present | PackFate::Deleted) => Err(not_there(ports, id)),
    }
}

/// Nobody knows of the message.
pub(crate) fn not_there(ports: &Ports, id: MessageId) -> Failure {
    Failure::new(
        Exit::NoInput,
        format!(
            "there is no message {id} in {}; it was never accepted by this edge, or it is forgotten",
            ports.place
        ),
    )
}

/// The message as its pack has it; `None` where the pack has no such message.
pub(crate) async fn packed(ports: &Ports, id: MessageId) -> Result<Option<PackedMessage>, PackError> {
    let header = PackReader::new(Arc::clone(&ports.spool), id.pack).header().await?;
    Ok(header.messages.into_iter().find(|message| message.n == id.n))
}

impl Story {
    fn of_packed(id: MessageId, packed: PackedMessage, states: &[DeliveryState]) -> Self {
        let wishes = packed.envelope.recipients.iter();
        let wishes = wishes.filter(|to| to.notify.is_some() || to.original.is_some()).cloned().collect();
        let recipients: Vec<Mailbox> =
            packed.envelope.recipients.into_iter().map(|recipient| recipient.address).collect();
        let known = |address: &Mailbox| {
            states.iter().flat_map(|state| &state.recipients).any(|recipient| recipient.address == *address)
        };
        let waiting: Vec<Mailbox> = recipients.iter().filter(|address| !known(address)).cloned().collect();
        Self {
            message: id,
            status: status(states, !waiting.is_empty()),
            accepted_at: packed.received_at,
            from: packed.envelope.from,
            recipients,
            subject: states.first().map(|state| state.subject.clone()).filter(|subject| !subject.is_empty()),
            size: packed.length,
            tenant: packed.tenant,
            submission: Some(Submission { client: packed.client, options: packed.envelope.options, wishes }),
            pack: PackFate::Present,
            deliveries: states.iter().map(DeliveryStory::from).collect(),
            waiting,
        }
    }

    fn of_state(id: MessageId, state: &DeliveryState, pack: PackFate, states: &[DeliveryState]) -> Self {
        let recipients = states.iter().flat_map(|state| &state.recipients);
        Self {
            message: id,
            status: status(states, false),
            accepted_at: state.accepted_at,
            from: state.from.clone(),
            recipients: recipients.map(|recipient| recipient.address.clone()).collect(),
            subject: Some(state.subject.clone()).filter(|subject| !subject.is_empty()),
            size: state.size,
            tenant: state.tenant.clone(),
            submission: None,
            pack,
            deliveries: states.iter().map(DeliveryStory::from).collect(),
            waiting: Vec::new(),
        }
    }
}

fn status(states: &[DeliveryState], waiting: bool) -> StoryStatus {
    let settled = |recipient: &RecipientState| recipient.status.is_final();
    if states.is_empty() {
        StoryStatus::Accepted
    } else if waiting || !states.iter().flat_map(|state| &state.recipients).all(settled) {
        StoryStatus::Pending
    } else {
        StoryStatus::Settled
    }
}

impl From<&DeliveryState> for DeliveryStory {
    fn from(state: &DeliveryState) -> Self {
        let recipient = |recipient: &RecipientState| RecipientStory {
            address: recipient.address.clone(),
            status: recipient.status,
            reply: recipient.reply.as_ref().map(ReplyStory::from),
            failure: recipient.failure,
            report: recipient.report,
            to_be_told: recipient.untold.is_some(),
        };
        Self {
            destination: state.key.destination(),
            signed: state.signed.clone(),
            unsigned: state.unsigned.clone(),
            recipients: state.recipients.iter().map(recipient).collect(),
            attempts: state.attempts.iter().map(AttemptStory::from).collect(),
            orders: state.orders.iter().map(OrderStory::from).collect(),
            next_attempt_by: state.due_at,
            expires_at: state.expires_at,
            held_until: state.held_until,
            waiting: state.waiting.as_ref().map(|waiting| WaitingStory {
                reason: waiting.reason.clone(),
                text: waiting.text.clone(),
                until: waiting.until,
                times: state.pending.as_ref().map_or(0, |pending| pending.postponed),
            }),
            held: state.is_held(),
            return_path: state.return_path.clone(),
            feedback: state.feedback.iter().map(FeedbackStory::from).collect(),
            held_by_order: match state.standing() {
                Standing::Held { until } if state.pending.is_some() => Some(until),
                Standing::Held { .. } | Standing::Returned { .. } | Standing::Free => None,
            },
        }
    }
}

impl From<&Feedback> for FeedbackStory {
    fn from(feedback: &Feedback) -> Self {
        let Feedback { at, kind, address, reply, reporter, report, suppressed } = feedback.clone();
        Self { at, kind, address, reply: ReplyStory::from(&reply), reporter, report, suppressed }
    }
}

impl From<&Attempt> for AttemptStory {
    fn from(attempt: &Attempt) -> Self {
        Self {
            number: attempt.number,
            began_at: attempt.began_at,
            ended_at: attempt.ended_at,
            route: attempt.route.clone(),
            host: attempt.host.clone(),
            peer: attempt.peer.clone(),
            tls: attempt.tls.clone(),
            source: attempt.source.clone(),
            reply: ReplyStory::from(&attempt.reply),
        }
    }
}

#[cfg(test)]
mod tests;
