use std::time::Duration;

use async_trait::async_trait;

use super::{PortError, PortResult};
use crate::limits::JOB_OCTETS_MAX;
use crate::mail::{TenantId, Timestamp};

pub use crate::limits::{BATCH_MAX, DELAY_MAX};

/// A queue as SQS defines one: each entry is delivered at least once, in any order.
///
/// An entry that was received is invisible for the queue's visibility timeout and comes back unless it is acknowledged
/// in that time. One that has been received more often than the queue allows goes to the dead-letter queue
/// instead. Timeout and number of receives belong to the queue, not to the call.
#[async_trait]
pub trait Queue: Send + Sync {
    /// Puts up to [`BATCH_MAX`] entries in the queue. The outer error speaks for all of them; within `Ok` there is one
    /// result an entry, in their order. An entry that is `Ok` is durable. [`PortError::Unknown`]: it may be there, once or twice.
    async fn send(&self, batch: Vec<Outgoing>) -> PortResult<Vec<Result<(), PortError>>>;

    /// Takes up to `max` (at most [`BATCH_MAX`]) visible entries, and waits up to `wait` (at most 20 s) for the first. Tenants take turns
    /// within a priority, as far as the queue can (fair queues of SQS), so that nobody waits behind all that another has sent.
    async fn receive(&self, max: usize, wait: Duration) -> PortResult<Vec<Received>>;

    /// The same, but nothing of these tenants, where the queue can tell them apart (SQS cannot): who has as much under way as is good
    /// for the others does not get more.
    async fn receive_but(&self, max: usize, wait: Duration, but: &[TenantId]) -> PortResult<Vec<Received>> {
        let _ = but;
        self.receive(max, wait).await
    }

    /// Removes an entry that has been dealt with. A receipt that is out of date removes nothing and is `Ok`.
    async fn ack(&self, receipt: &Receipt) -> PortResult<()>;

    /// Sets how long from now a received entry stays invisible: zero gives it back at once, a longer time holds on to it
    /// or delays it (at most 12 h after it was received). A receipt that is out of date changes nothing and is `Ok`.
    async fn release(&self, receipt: &Receipt, after: Duration) -> PortResult<()>;

    /// How much is in the queue; approximate.
    async fn depth(&self) -> PortResult<Depth>;

    /// Tells whether the queue can be written, at the price of a request.
    async fn probe(&self) -> PortResult<()>;
}

/// An entry to send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outgoing {
    /// The job: text, at most 200 KiB.
    pub body: String,
    /// How long it stays invisible at first; at most [`DELAY_MAX`].
    pub delay: Duration,
    /// Whose entry this is, for fair queues.
    pub tenant: TenantId,
    /// A hint, 0 for most: of the entries that are visible, a queue that can hands out those with more of it first. SQS cannot.
    pub priority: i8,
}

impl Outgoing {
    /// Refuses an entry that is longer or later than every queue must take.
    pub(crate) fn check(&self, what: &'static str) -> PortResult<()> {
        if self.body.len() > JOB_OCTETS_MAX {
            return Err(PortError::refused(what, format!("a job has at most {JOB_OCTETS_MAX} octets")));
        }
        if self.delay > DELAY_MAX {
            return Err(PortError::refused(what, format!("a delay is at most {} s", DELAY_MAX.as_secs())));
        }
        Ok(())
    }
}

/// An entry that was received.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Received {
    /// The job.
    pub body: String,
    /// How to speak of this receive.
    pub receipt: Receipt,
    /// How often the entry has been received, this time included.
    pub receives: u32,
    /// Whose it is, where the queue tells.
    pub tenant: Option<TenantId>,
}

/// Names one receive of one entry; opaque.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Receipt(pub String);

/// What a queue holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Depth {
    /// Visible entries.
    pub ready: u64,
    /// Received and not yet acknowledged.
    pub in_flight: u64,
    /// Not yet visible for the first time.
    pub delayed: u64,
    /// In the dead-letter queue.
    pub dead: u64,
    /// When the oldest entry was sent, where the backend tells.
    pub oldest: Option<Timestamp>,
}
