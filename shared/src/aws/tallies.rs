//! Tallies in DynamoDB: an item for each key of a book.
//!
//! An addition whose answer was lost is made again by the SDK, and counts twice then.

use std::collections::HashMap;
use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::{AttributeValue, ReturnConsumedCapacity};
use futures::{StreamExt as _, TryStreamExt as _};

use super::Aws;
use super::error::{of_read, of_write};
use super::meter::capacity;
use crate::limits::aws::TALLIES_AT_A_TIME;
use crate::mail::Timestamp;
use crate::port::{Count, PortError, PortResult, Tallies};

const ADD: &str = "the adding to tallies";
const READ: &str = "the read of tallies";
const CLEAR: &str = "the clearing of tallies";

/// Tallies in the table of the delivery state, under keys of their own.
pub struct DynamoTallies {
    client: Client,
    table: String,
}

impl DynamoTallies {
    /// The tallies in `table`. Nothing is asked of DynamoDB yet.
    pub fn new(aws: &Aws, table: &str) -> Self {
        Self { client: aws.dynamodb(), table: table.to_owned() }
    }

    async fn add_one(&self, book: &str, count: &Count, forget_at: Timestamp) -> PortResult<()> {
        let number = |number: i128| AttributeValue::N(number.to_string());
        let add = self.client.update_item().table_name(&self.table);
        let add = add
            .key("pk", partition(book))
            .key("sk", text(&count.key))
            .update_expression("ADD n :n SET detail = if_not_exists(detail, :detail), expires = :expires")
            .expression_attribute_values(":n", number(count.n.into()))
            .expression_attribute_values(":detail", text(&count.detail))
            .expression_attribute_values(":expires", number((forget_at.millis() / 1000).into()))
            .return_consumed_capacity(ReturnConsumedCapacity::Total);
        let added = add.send().await.map_err(|error| of_write(ADD, error))?;
        capacity("UpdateItem", "write", &added.consumed_capacity);
        Ok(())
    }

    async fn clear_one(&self, book: &str, key: &str) -> PortResult<()> {
        let delete = self.client.delete_item().table_name(&self.table);
        let delete = delete.key("pk", partition(book)).key("sk", text(key));
        let delete = delete.return_consumed_capacity(ReturnConsumedCapacity::Total);
        let deleted = delete.send().await.map_err(|error| of_write(CLEAR, error))?;
        capacity("DeleteItem", "write", &deleted.consumed_capacity);
        Ok(())
    }
}

#[async_trait]
impl Tallies for DynamoTallies {
    async fn add(&self, book: &str, counts: &[Count], now: Timestamp, keep: Duration) -> PortResult<()> {
        let forget_at = now + keep;
        let adding: Vec<_> = counts.iter().map(|count| self.add_one(book, count, forget_at)).collect();
        futures::stream::iter(adding).buffer_unordered(TALLIES_AT_A_TIME).try_collect().await
    }

    async fn read(&self, book: &str, after: Option<&str>, limit: usize) -> PortResult<Vec<Count>> {
        let mut after = after.map(str::to_owned);
        let mut found = Vec::new();
        while found.len() < limit {
            let page = i32::try_from(limit - found.len()).unwrap_or(i32::MAX);
            let query = self.client.query().table_name(&self.table).consistent_read(true).limit(page);
            let query = query.return_consumed_capacity(ReturnConsumedCapacity::Total);
            let query = query.expression_attribute_values(":book", partition(book));
            let query = match &after {
                Some(after) => query
                    .key_condition_expression("pk = :book AND sk > :after")
                    .expression_attribute_values(":after", text(after)),
                None => query.key_condition_expression("pk = :book"),
            };
            let answer = query.send().await.map_err(|error| of_read(READ, error))?;
            capacity("Query", "read", &answer.consumed_capacity);
            for item in answer.items() {
                found.push(count(item)?);
            }
            if answer.last_evaluated_key().is_none() {
                break;
            }
            after = found.last().map(|last| last.key.clone());
        }
        Ok(found)
    }

    async fn clear(&self, book: &str, keys: &[String]) -> PortResult<()> {
        let clearing: Vec<_> = keys.iter().map(|key| self.clear_one(book, key)).collect();
        futures::stream::iter(clearing).buffer_unordered(TALLIES_AT_A_TIME).try_collect().await
    }
}

fn partition(book: &str) -> AttributeValue {
    text(&format!("T#{book}"))
}

fn text(text: &str) -> AttributeValue {
    AttributeValue::S(text.to_owned())
}

fn count(item: &HashMap<String, AttributeValue>) -> PortResult<Count> {
    let text = |name: &str| item.get(name).and_then(|value| value.as_s().ok());
    let n = item.get("n").and_then(|value| value.as_n().ok()?.parse().ok());
    let (Some(key), Some(detail), Some(n)) = (text("sk"), text("detail"), n) else {
        return Err(PortError::refused(READ, "an item of the table is no count"));
    };
    Ok(Count { key: key.clone(), detail: detail.clone(), n })
}
