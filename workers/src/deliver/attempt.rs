//! What an attempt came to: the value that passes from the transports to the stage that records it.

use shared::job::Delivery;
use shared::mail::{FailureKind, Mailbox, Reply};
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
    /// Whether `reply` is what a server said, and not our own words.
    pub spoken: bool,
    /// What it means beside that, where it is a failure.
    pub meaning: Meaning,
    /// Who has it, where it was delivered.
    pub hop: Hop,
}

/// What a failure means beside its outcome.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Meaning {
    /// Its kind; `None` where nothing failed.
    pub kind: Option<FailureKind>,
    /// Whether the server waits to be tried again soon (RFC 6647).
    pub soon: bool,
    /// Whether the address takes no mail, now or later.
    pub hard: bool,
}

/// Where a delivered message went: what the sender is told by others, and what by us, depends on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hop {
    /// Into its mailbox, or nowhere: there is no further server.
    End,
    /// To a server, which was told what it can be told of the sender's wishes.
    Server {
        /// Whether it offers DSN (RFC 3461), and so tells the sender by itself.
        dsn: bool,
        /// Whether it offers DELIVERBY (RFC 2852).
        deliver_by: bool,
    },
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
    /// Not tried, as the address is suppressed.
    Suppressed,
}

/// What stands in the place of a route where nobody was tried, as all were suppressed.
pub const SUPPRESSED_ROUTE: &str = "suppressed";
