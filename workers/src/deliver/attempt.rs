//! What an attempt came to: the value that passes from the transports to the stage that records it.

use shared::job::Delivery;
use shared::mail::{Mailbox, Reply};
use shared::port::Attempt;

/// A delivery after an attempt.
#[derive(Debug)]
pub struct Tried {
    /// The delivery as it was tried.
    pub delivery: Delivery,
    /// When, by which route, with which host; its reply is the one that decided.
    pub attempt: Attempt,
    /// One for each recipient of `delivery`, in their order.
    pub outcomes: Vec<RecipientOutcome>,
}

/// What an attempt came to for one recipient.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecipientOutcome {
    /// Who.
    pub address: Mailbox,
    /// What it came to.
    pub outcome: Outcome,
    /// The remote's reply, or our own words in that form.
    pub reply: Reply,
}

/// Delivered, deferred or bounced; or discarded by a route that says so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The next server took it.
    Delivered,
    /// Not now.
    Deferred,
    /// Not ever.
    Bounced,
    /// Thrown away by a rule, which the reply names.
    Discarded,
}
