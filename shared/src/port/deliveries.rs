use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::{Notification, PortResult, Telling};
use crate::job::{Delivery, DeliveryKey};
use crate::mail::{FailureKind, Mailbox, MessageId, Reply, ReversePath, TenantId, Timestamp};
use crate::order::Order;

/// Number of shards that due deliveries are spread over.
pub const DUE_SHARDS: u8 = 64;

/// The shard in which a delivery is due; always the same for one delivery.
pub fn due_shard(key: &DeliveryKey) -> u8 {
    let hash = crc32c::crc32c(key.to_string().as_bytes());
    u8::try_from(hash % u32::from(DUE_SHARDS)).unwrap_or(0)
}

/// The state of every delivery, and the claims by which workers keep out of each other's way.
/// Every write is conditional and atomic by itself; no operation spans two deliveries.
#[async_trait]
pub trait Deliveries: Send + Sync {
    /// Claims the job `job` for `holder` until `now + lease`. A claim by the same holder renews the lease.
    async fn claim(&self, job: &str, holder: &str, now: Timestamp, lease: Duration) -> PortResult<Claim>;

    /// Ends the claim for good: the job is done. Remembered at least until `forget_at`.
    async fn finish(&self, job: &str, holder: &str, forget_at: Timestamp) -> PortResult<()>;

    /// Gives the claim up: the job is not done, and anyone may claim it at once. Nothing, if `holder` does not hold it.
    async fn abandon(&self, job: &str, holder: &str) -> PortResult<()>;

    /// Writes what attempts came to; one result a record, in their order. For each, the item is created from `delivery` where there
    /// is none. A recipient with a final status keeps it. An attempt with a number that the item has is not added
    /// again. The due time becomes that of `next`, unless a later attempt was recorded before.
    async fn record(&self, records: Vec<Record>) -> PortResult<Vec<PortResult<()>>>;

    /// Writes deliveries that are held (RFC 4865), one result each, in their order: each becomes due at its release. Where there is an
    /// item already, it stays as it is and the answer is `Ok`: written twice it is held once, and what was cancelled stays so.
    async fn hold(&self, held: Vec<Held>) -> PortResult<Vec<PortResult<()>>>;

    /// Writes deliveries whose attempt is put off, one result each, in their order: each becomes due at the time given, and says what it
    /// waits for. An item is made where there is none. It stays as it is, and the answer is `Ok`, where this attempt or a later one is on
    /// record, where it was put off as often or more often, and where nobody is left to be tried. What an operator's order returns keeps
    /// its due time, and passes its turn.
    async fn postpone(&self, postponed: Vec<Postponed>) -> PortResult<Vec<PortResult<()>>>;

    /// Cancels a delivery that is held: each of its recipients gets the final status cancelled, with `reply`, and nothing is due any
    /// more. Not once [`due`](Self::due) has leased it, which is its release: of a cancel and a lease that race, one wins.
    async fn cancel(&self, key: &DeliveryKey, reply: &Reply) -> PortResult<Cancel>;

    /// Adds what came to be known of a recipient after its delivery; its status stays as it is. Written twice (by the same report on
    /// the same recipient) it is there once. `false` where there is no item.
    async fn note(&self, key: &DeliveryKey, feedback: Feedback) -> PortResult<bool>;

    /// Notes on the recipients that `telling` names, of whom its sender is to be told, which DSN does so; and where that is put in, that
    /// there is nothing to be told of them any more. When the delivery is due stays as it is. `false` where one of them was not to be
    /// told of any more, or there is no item: a DSN that is not put in yet would tell somebody twice.
    async fn tell(&self, key: &DeliveryKey, telling: Telling) -> PortResult<bool>;

    /// Gives orders to deliveries; one answer each, in their order: the state after them, `None` where there is no item and none was
    /// to be made. An order changes nothing that is settled, and given twice it is given once
    /// ([`DeliveryState::obey`]). Of an order and an attempt that end at the same time, none undoes the other.
    async fn order(&self, ordered: Vec<Ordered>) -> PortResult<Vec<PortResult<Option<DeliveryState>>>>;

    /// The state of each delivery, in the order of `keys`; `None` where no attempt has ended and it was never held.
    async fn settled(&self, keys: &[DeliveryKey]) -> PortResult<Vec<Option<DeliveryState>>>;

    /// Leases up to `limit` deliveries of `shard` that were due by `now`: they become due again at `now + lease`,
    /// unless an attempt is recorded before. Two callers never get the same delivery within one lease.
    async fn due(
        &self,
        shard: u8,
        now: Timestamp,
        lease: Duration,
        limit: usize,
    ) -> PortResult<Vec<Delivery>>;

    /// Up to `limit` deliveries of `shard` that are not settled, ordered by due time and key, from behind `after`. Leases nothing.
    async fn pending(
        &self,
        shard: u8,
        after: Option<PendingCursor>,
        limit: usize,
    ) -> PortResult<Vec<DeliveryState>>;

    /// Every delivery of a message that was held or that an attempt has been made at.
    async fn message(&self, message: MessageId) -> PortResult<Vec<DeliveryState>>;

    /// Deletes up to `limit` claims and items whose `forget_at` lies before `now`; tells how many. A store that does so by itself answers 0.
    async fn forget(&self, now: Timestamp, limit: usize) -> PortResult<usize>;
}

/// The answer to a claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Claim {
    /// Yours. `again` tells that somebody held it before and did not finish, so some of it may be done.
    Taken {
        /// Whether the job was claimed before.
        again: bool,
    },
    /// Somebody else's, until then.
    Held {
        /// When the lease runs out.
        until: Timestamp,
    },
    /// Done, by anyone.
    Finished,
}

/// A delivery to be held, to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// The delivery as its first attempt will make it.
    pub delivery: Delivery,
    /// When it is released.
    pub until: Timestamp,
    /// When the item may be deleted; behind the release and all attempts.
    pub forget_at: Timestamp,
}

/// A delivery and the orders for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ordered {
    /// Which delivery.
    pub key: DeliveryKey,
    /// What is to be done.
    pub orders: Vec<Order>,
    /// The time.
    pub now: Timestamp,
    /// What to make an item of where there is none; only for whoever has the claim of its first attempt.
    pub untried: Option<Box<Untried>>,
}

/// A delivery that is in a queue, and has no item yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Untried {
    /// The delivery as its first attempt will make it.
    pub delivery: Delivery,
    /// When it is due unless an order says otherwise: behind the end of an attempt that is about to be made.
    pub due_at: Timestamp,
    /// When the item may be deleted.
    pub forget_at: Timestamp,
}

/// A delivery whose attempt is put off, to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Postponed {
    /// The delivery as it will be tried: the same attempt, put off once more.
    pub delivery: Delivery,
    /// Why, and until when.
    pub waiting: Waiting,
    /// When it is due. A worker that sends the job itself, with a delay, adds a grace to the time of `waiting`.
    pub due_at: Timestamp,
    /// When the item may be deleted.
    pub forget_at: Timestamp,
}

/// What an attempt waits for, other than its time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Waiting {
    /// A short name of the reason, such as `suspended`.
    pub reason: String,
    /// The reason for a person, on one line.
    pub text: String,
    /// Until when.
    pub until: Timestamp,
}

/// What a cancel came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cancel {
    /// It is cancelled, now or by an earlier call.
    Done,
    /// Too late: it is released, or was never held.
    Released,
    /// There is no item.
    Missing,
}

/// What one attempt came to, to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// The delivery as it was tried.
    pub delivery: Delivery,
    /// The attempt itself.
    pub attempt: Attempt,
    /// The state of each recipient of `delivery` after the attempt.
    pub recipients: Vec<RecipientState>,
    /// What comes next.
    pub next: Next,
    /// When the item may be deleted.
    pub forget_at: Timestamp,
}

/// What comes after an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    /// Nothing: each recipient has its final outcome.
    Settled,
    /// Another attempt.
    Due {
        /// When to make it. A worker that sends the job itself, with a delay, adds a grace here.
        at: Timestamp,
        /// The delivery for it: the recipients that are left, and the next attempt's number.
        delivery: Box<Delivery>,
    },
}

/// One delivery as the store knows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeliveryState {
    /// Which delivery.
    #[serde(flatten)]
    pub key: DeliveryKey,
    /// Whom the message is accounted to.
    pub tenant: TenantId,
    /// MAIL FROM.
    pub from: ReversePath,
    /// The return path that it left with in its place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub return_path: Option<Mailbox>,
    /// The Subject, cut to 120 characters.
    pub subject: String,
    /// Size of the message as stored, in octets.
    pub size: u64,
    /// The signatures it left with.
    pub signed: Vec<String>,
    /// Why it left without one, where it is a submission.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unsigned: Option<String>,
    /// When 250 was said.
    pub accepted_at: Timestamp,
    /// When to give up.
    pub expires_at: Timestamp,
    /// Until when it is held, or was before its first attempt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held_until: Option<Timestamp>,
    /// What the next attempt waits for, where it was put off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waiting: Option<Waiting>,
    /// Each recipient.
    pub recipients: Vec<RecipientState>,
    /// The attempts that ended, oldest first: the first one and the latest, at most [`ATTEMPTS_MAX`](crate::limits::ATTEMPTS_MAX).
    pub attempts: Vec<Attempt>,
    /// What operators ordered, oldest first: all that stands, and at most [`ORDERS_KEPT`](crate::limits::ORDERS_KEPT).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub orders: Vec<Order>,
    /// When the next attempt is due; `None` once settled.
    pub due_at: Option<Timestamp>,
    /// The delivery as the next attempt will make it; `None` once settled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pending: Option<Box<Delivery>>,
    /// The delivery as it was tried, without recipients: what DSNs return of the message, while there is something to be told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub original: Option<Box<Delivery>>,
    /// What came to be known later, oldest first: the first one and the latest, at most
    /// [`FEEDBACK_MAX`](crate::limits::FEEDBACK_MAX).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub feedback: Vec<Feedback>,
}

/// What a report from elsewhere said of a recipient, after the next server had the message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Feedback {
    /// When it was read.
    pub at: Timestamp,
    /// What it says.
    pub kind: FeedbackKind,
    /// Of whom.
    pub address: Mailbox,
    /// In which words, in the form of a reply.
    pub reply: Reply,
    /// Who says so, by its own account: a mail server, or a complaint's generator.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reporter: Option<String>,
    /// The message that said it.
    pub report: MessageId,
    /// Whether the address was suppressed for it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub suppressed: bool,
}

/// What a report says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FeedbackKind {
    /// It could not be delivered after all (RFC 3464, `failed`).
    Bounced,
    /// It waits somewhere (`delayed`).
    Delayed,
    /// It is in its mailbox (`delivered`).
    Delivered,
    /// It went on to where nothing more is told (`relayed`).
    Relayed,
    /// It went on to the members of a list (`expanded`).
    Expanded,
    /// The recipient complained of it (RFC 5965).
    Complaint,
    /// A report of another kind (RFC 5965 §7.3: `not-spam` and others).
    Other,
}

/// A recipient and what became of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecipientState {
    /// Who.
    pub address: Mailbox,
    /// What became of it.
    pub status: RecipientStatus,
    /// The last reply that concerned it, or our own words in that form.
    pub reply: Option<Reply>,
    /// What kind of failure it tells of, where it is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<FailureKind>,
    /// The DSN by which its sender was told of it: that it was given up, is late, or was delivered. With `untold` the one that is about
    /// to be put in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub report: Option<MessageId>,
    /// What its sender is to be told of it still.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub untold: Option<Box<Notification>>,
}

/// What became of a recipient.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RecipientStatus {
    /// Not yet: another attempt is due.
    Deferred,
    /// The next server took the responsibility.
    Delivered,
    /// Given up; the sender was told, unless it is null or asked not to be.
    Bounced,
    /// Thrown away by a rule, which the reply names.
    Discarded,
    /// Cancelled while it was held, by whom the reply names; the sender is not told.
    Cancelled,
    /// Not tried, as the address is suppressed for the tenant; the sender was told as of a bounce.
    Suppressed,
}

impl RecipientStatus {
    /// Whether this is the end.
    pub fn is_final(self) -> bool {
        match self {
            Self::Deferred => false,
            Self::Delivered | Self::Bounced | Self::Discarded | Self::Cancelled | Self::Suppressed => true,
        }
    }
}

/// One try at a delivery.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    /// From 1.
    pub number: u32,
    /// When it began.
    pub began_at: Timestamp,
    /// When it ended.
    pub ended_at: Timestamp,
    /// The route it went by, as the configuration writes it.
    pub route: String,
    /// The host that was spoken to, where there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// Its address and port.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peer: Option<String>,
    /// TLS version and cipher; `None` is clear text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<String>,
    /// The source it was made from, and the address, where the operator set any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// The reply that decided, or our own words in that form.
    pub reply: Reply,
}

/// Where a page of pending deliveries ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PendingCursor {
    /// Due time of the last delivery on the page.
    pub due_at: Timestamp,
    /// Its key.
    pub key: DeliveryKey,
}
