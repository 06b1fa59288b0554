//! What is due, by the sparse index. The index lags behind the table; each lease is taken from the table itself.

use std::time::Duration;

use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::types::{ReturnConsumedCapacity, ReturnValue};
use futures::StreamExt;

use super::items::{self, number, text, text_of};
use super::{DynamoDeliveries, Item};
use crate::aws::error::{of_read, of_write};
use crate::aws::meter::capacity;
use crate::job::{Delivery, DeliveryKey};
use crate::limits::aws::WRITES_MAX;
use crate::mail::Timestamp;
use crate::port::{DeliveryState, PendingCursor, PortError, PortResult};

const DUE: &str = "the lease of due deliveries";
const READ: &str = "the read of the delivery state";
const INDEX: &str = "due";
/// Before and behind everything in the index, which begins with digits.
const FIRST: &str = "0";
const LAST: &str = "~";

impl DynamoDeliveries {
    pub(super) async fn lease_due(
        &self,
        shard: u8,
        now: Timestamp,
        lease: Duration,
        limit: usize,
    ) -> PortResult<Vec<Delivery>> {
        let until = items::due_by(now);
        let (mut after, mut leased) = (FIRST.to_owned(), Vec::new());
        // where others were quicker, or the index lags behind, a page gives less than it holds: there may be more behind it
        while leased.len() < limit {
            let wanted = limit - leased.len();
            let due = match self.index(shard, &after, &until, wanted).await {
                Ok(due) => due,
                // what was leased must be sent, whatever became of the rest, which stays due
                Err(_) if !leased.is_empty() => break,
                Err(error) => return Err(error),
            };
            let (Some(last), full) = (due.last(), due.len() == wanted) else { break };
            after = behind(last);
            let leases = futures::stream::iter(due).map(|entry| self.lease(entry, now + lease));
            let mut failed = None;
            for lease in leases.buffered(WRITES_MAX).collect::<Vec<_>>().await {
                match lease {
                    Ok(Some(item)) => {
                        leased.extend(
                            items::states([&item]).into_iter().filter_map(|state| Some(*state.pending?)),
                        );
                    }
                    Ok(None) => {}
                    Err(error) => {
                        tracing::warn!(
                            cause = error.chain(),
                            "a due delivery could not be leased; it stays due"
                        );
                        failed = Some(error);
                    }
                }
            }
            match failed {
                Some(error) if leased.is_empty() => return Err(error),
                Some(_) => break,
                None if !full => break,
                None => {}
            }
        }
        Ok(leased)
    }

    /// Moves the due time of one entry of the index; `None` where another caller was quicker.
    async fn lease(&self, entry: Item, until: Timestamp) -> PortResult<Option<Item>> {
        let (Some(key), Some(seen)) = (key(&entry), text_of(&entry, "due")) else {
            return Err(PortError::refused(DUE, "an entry of the index cannot be read"));
        };
        let update = self.client.update_item().table_name(&self.table).set_key(Some(items::primary(&key)));
        let update = update
            // the version too: whoever has read the item writes it anew with this due time
            .update_expression("SET due = :until ADD v :one")
            .condition_expression("due = :seen")
            .expression_attribute_values(":until", text(items::due(until, &key)))
            .expression_attribute_values(":one", number(1))
            .expression_attribute_values(":seen", text(seen))
            .return_values(ReturnValue::AllNew)
            .return_consumed_capacity(ReturnConsumedCapacity::Total);
        match update.send().await {
            Ok(answer) => {
                capacity("UpdateItem", "write", &answer.consumed_capacity);
                Ok(answer.attributes)
            }
            Err(error) => match error.as_service_error() {
                Some(UpdateItemError::ConditionalCheckFailedException(_)) => Ok(None),
                _ => Err(of_write(DUE, error)),
            },
        }
    }

    pub(super) async fn pending_page(
        &self,
        shard: u8,
        after: Option<&PendingCursor>,
        limit: usize,
    ) -> PortResult<Vec<DeliveryState>> {
        let mut after = after.map_or_else(
            || FIRST.to_owned(),
            |after| format!("{}\u{1}", items::due(after.due_at, &after.key)),
        );
        let mut page = Vec::new();
        while page.len() < limit {
            let entries = self.index(shard, &after, LAST, limit - page.len()).await?;
            let Some(last) = entries.last() else { break };
            after = behind(last);
            let keys: Vec<DeliveryKey> = entries.iter().filter_map(key).collect();
            let found = self.find(&keys).await?;
            for (entry, key) in entries.iter().zip(&keys) {
                let Some(item) = found.get(key) else { continue };
                // in the order of the index and with its due time, or the next page would begin behind others that are due
                for mut state in items::states([item]) {
                    if state.due_at.is_some() {
                        state.due_at = items::due_at(entry);
                        page.push(state);
                    }
                }
            }
        }
        Ok(page)
    }

    /// Up to `limit` entries of a shard from `first` to `last`, by due time.
    async fn index(&self, shard: u8, first: &str, last: &str, limit: usize) -> PortResult<Vec<Item>> {
        let mut found: Vec<Item> = Vec::new();
        let mut after = None;
        while found.len() < limit {
            let query = self.client.query().table_name(&self.table).index_name(INDEX);
            let query = query
                .key_condition_expression("due_shard = :shard AND due BETWEEN :first AND :last")
                .expression_attribute_values(":shard", number(shard))
                .expression_attribute_values(":first", text(first))
                .expression_attribute_values(":last", text(last))
                .limit(i32::try_from(limit - found.len()).unwrap_or(i32::MAX))
                .set_exclusive_start_key(after)
                .return_consumed_capacity(ReturnConsumedCapacity::Total);
            let answer = query.send().await.map_err(|error| of_read(READ, error))?;
            capacity("Query", "read", &answer.consumed_capacity);
            found.extend(answer.items.unwrap_or_default());
            after = answer.last_evaluated_key;
            if after.is_none() {
                break;
            }
        }
        Ok(found)
    }
}

/// Where the index goes on behind an entry.
fn behind(entry: &Item) -> String {
    format!("{}\u{1}", text_of(entry, "due").unwrap_or_default())
}

/// The delivery that an entry of the index is of: its `due` ends with the key.
fn key(entry: &Item) -> Option<DeliveryKey> {
    let (_, key) = text_of(entry, "due")?.split_once('#')?;
    let (message, destination) = key.split_once('/')?;
    let (domain, part) = match destination.split_once('#') {
        Some((domain, part)) => (domain, part.parse().ok()?),
        None => (destination, 0),
    };
    Some(DeliveryKey { message: message.parse().ok()?, domain: domain.parse().ok()?, part })
}
