//! The delivery state in DynamoDB: one item a delivery, one a claim, in one table with the key `pk`, `sk`.
//!
//! | item | `pk` | `sk` | |
//! |---|---|---|---|
//! | delivery | `M#<message>` | `D#<destination>` | `state` JSON, `v` its version; while due, `due_shard` and `due` |
//! | claim | `J#<job>` | `J` | `holder`, `held_until`, `finished` |
//!
//! What is due stands in the sparse index `due` (`due_shard`, `due`), keys only. `expires` is DynamoDB's time to live, in seconds: it
//! clears garbage within days, and nothing else rests on it. Every write is conditional, so writes are single and made side
//! by side: a batch of DynamoDB takes no conditions and costs the same.

mod claims;
mod due;
mod holds;
mod items;
mod notes;
mod orders;
mod postponements;
mod records;

use std::collections::HashMap;
use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::AttributeValue;

use super::Aws;
use crate::job::{Delivery, DeliveryKey};
use crate::mail::{MessageId, Reply, Timestamp};
use crate::port::{
    Cancel, Claim, Deliveries, DeliveryState, Feedback, Held, Ordered, PendingCursor, PortResult, Postponed,
    Record, Telling,
};

type Item = HashMap<String, AttributeValue>;

/// Delivery state and claims in a table.
#[derive(Clone)]
pub struct DynamoDeliveries {
    client: Client,
    table: String,
}

impl DynamoDeliveries {
    /// The state in `table`. Nothing is asked of DynamoDB yet.
    pub fn new(aws: &Aws, table: &str) -> Self {
        Self { client: aws.dynamodb(), table: table.to_owned() }
    }
}

#[async_trait]
impl Deliveries for DynamoDeliveries {
    async fn claim(&self, job: &str, holder: &str, now: Timestamp, lease: Duration) -> PortResult<Claim> {
        self.claim_job(job, holder, now, lease).await
    }

    async fn finish(&self, job: &str, holder: &str, forget_at: Timestamp) -> PortResult<()> {
        self.finish_job(job, holder, forget_at).await
    }

    async fn abandon(&self, job: &str, holder: &str) -> PortResult<()> {
        self.abandon_job(job, holder).await
    }

    async fn record(&self, records: Vec<Record>) -> PortResult<Vec<PortResult<()>>> {
        Ok(self.record_all(records).await)
    }

    async fn hold(&self, held: Vec<Held>) -> PortResult<Vec<PortResult<()>>> {
        Ok(self.hold_all(held).await)
    }

    async fn postpone(&self, postponed: Vec<Postponed>) -> PortResult<Vec<PortResult<()>>> {
        Ok(self.postpone_all(postponed).await)
    }

    async fn cancel(&self, key: &DeliveryKey, reply: &Reply) -> PortResult<Cancel> {
        self.cancel_one(key, reply).await
    }

    async fn note(&self, key: &DeliveryKey, feedback: Feedback) -> PortResult<bool> {
        let note = |state: &mut DeliveryState| (state.note(feedback.clone()), ());
        Ok(self.amend("the note on a delivery", key, note).await?.is_some())
    }

    async fn tell(&self, key: &DeliveryKey, telling: Telling) -> PortResult<bool> {
        Ok(self.amend("the note of a DSN", key, |state| state.tell(&telling)).await?.unwrap_or(false))
    }

    async fn order(&self, ordered: Vec<Ordered>) -> PortResult<Vec<PortResult<Option<DeliveryState>>>> {
        Ok(self.order_all(ordered).await)
    }

    async fn settled(&self, keys: &[DeliveryKey]) -> PortResult<Vec<Option<DeliveryState>>> {
        let found = self.find(keys).await?;
        keys.iter().map(|key| found.get(key).map(items::state).transpose()).collect()
    }

    async fn due(
        &self,
        shard: u8,
        now: Timestamp,
        lease: Duration,
        limit: usize,
    ) -> PortResult<Vec<Delivery>> {
        self.lease_due(shard, now, lease, limit).await
    }

    async fn pending(
        &self,
        shard: u8,
        after: Option<PendingCursor>,
        limit: usize,
    ) -> PortResult<Vec<DeliveryState>> {
        self.pending_page(shard, after.as_ref(), limit).await
    }

    async fn message(&self, message: MessageId) -> PortResult<Vec<DeliveryState>> {
        self.of_message(message).await
    }

    /// The table forgets by itself, by its time to live.
    async fn forget(&self, _: Timestamp, _: usize) -> PortResult<usize> {
        Ok(0)
    }
}
