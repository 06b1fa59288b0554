//! Counters in DynamoDB: an item for each window of a name that was counted in, and one for each mark.
//!
//! A take whose answer was lost is made again by the SDK, and counts twice then: a limit is kept, and now and then a little early.

use async_trait::async_trait;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::types::{AttributeValue, ReturnConsumedCapacity, ReturnValue};

use super::Aws;
use super::error::{of_read, of_write};
use super::meter::capacity;
use crate::limits::MARK_OCTETS_MAX;
use crate::limits::aws::COUNTER_KEPT;
use crate::mail::Timestamp;
use crate::port::{Counters, Mark, PortError, PortResult, Taken, Window};

const TAKE: &str = "the taking of tokens";
const MARK: &str = "the write of a mark";
const MARKED: &str = "the read of a mark";
/// The sort key of a mark.
const SORT: &str = "M";

/// Counters in the table of the delivery state, under keys of their own.
pub struct DynamoCounters {
    client: Client,
    table: String,
}

impl DynamoCounters {
    /// The counters in `table`. Nothing is asked of DynamoDB yet.
    pub fn new(aws: &Aws, table: &str) -> Self {
        Self { client: aws.dynamodb(), table: table.to_owned() }
    }
}

#[async_trait]
impl Counters for DynamoCounters {
    async fn take(&self, window: &Window, n: u64, now: Timestamp) -> PortResult<Taken> {
        let period = i64::try_from(window.period.as_millis()).unwrap_or(i64::MAX).max(1);
        let began_at = now.millis().saturating_sub(now.millis().rem_euclid(period));
        let until = Timestamp::from_millis(began_at.saturating_add(period));
        let Some(room) = window.limit.checked_sub(n) else { return Ok(Taken::Exhausted { until }) };
        let number = |number: i128| AttributeValue::N(number.to_string());
        let expires = (until + window.period + COUNTER_KEPT).millis() / 1000;
        let take = self.client.update_item().table_name(&self.table);
        let take = take
            .key("pk", AttributeValue::S(format!("C#{}", window.name)))
            .key("sk", AttributeValue::S(format!("W#{period}#{began_at}")))
            .update_expression("ADD taken :n SET expires = :expires")
            .condition_expression("attribute_not_exists(taken) OR taken <= :room")
            .expression_attribute_values(":n", number(n.into()))
            .expression_attribute_values(":room", number(room.into()))
            .expression_attribute_values(":expires", number(expires.into()))
            .return_values(ReturnValue::UpdatedNew)
            .return_consumed_capacity(ReturnConsumedCapacity::Total);
        match take.send().await {
            Ok(answer) => {
                capacity("UpdateItem", "write", &answer.consumed_capacity);
                let taken = answer.attributes.and_then(|new| new.get("taken")?.as_n().ok()?.parse().ok());
                Ok(Taken::Granted { left: window.limit.saturating_sub(taken.unwrap_or(n)) })
            }
            Err(error)
                if error
                    .as_service_error()
                    .is_some_and(UpdateItemError::is_conditional_check_failed_exception) =>
            {
                Ok(Taken::Exhausted { until })
            }
            Err(error) => Err(of_write(TAKE, error)),
        }
    }

    async fn mark(&self, mark: &Mark) -> PortResult<()> {
        if mark.value.len() > MARK_OCTETS_MAX {
            return Err(PortError::refused(
                MARK,
                format!("its value has more than {MARK_OCTETS_MAX} octets"),
            ));
        }
        let expires = (mark.until + COUNTER_KEPT).millis() / 1000;
        let put = self.client.put_item().table_name(&self.table);
        let put = put
            .item("pk", AttributeValue::S(format!("C#{}", mark.name)))
            .item("sk", AttributeValue::S(SORT.to_owned()))
            .item("value", AttributeValue::S(mark.value.clone()))
            .item("until", AttributeValue::N(mark.until.millis().to_string()))
            .item("expires", AttributeValue::N(expires.to_string()))
            .return_consumed_capacity(ReturnConsumedCapacity::Total);
        let answer = put.send().await.map_err(|error| of_write(MARK, error))?;
        capacity("PutItem", "write", &answer.consumed_capacity);
        Ok(())
    }

    async fn marked(&self, name: &str, now: Timestamp) -> PortResult<Option<Mark>> {
        let get = self.client.get_item().table_name(&self.table).consistent_read(true);
        let get = get
            .key("pk", AttributeValue::S(format!("C#{name}")))
            .key("sk", AttributeValue::S(SORT.to_owned()))
            .return_consumed_capacity(ReturnConsumedCapacity::Total);
        let answer = get.send().await.map_err(|error| of_read(MARKED, error))?;
        capacity("GetItem", "read", &answer.consumed_capacity);
        let Some(item) = answer.item else { return Ok(None) };
        let value = item.get("value").and_then(|value| value.as_s().ok());
        let until = item.get("until").and_then(|until| until.as_n().ok()?.parse().ok());
        let (Some(value), Some(until)) = (value, until) else {
            return Err(PortError::refused(MARKED, "an item is no mark"));
        };
        let until = Timestamp::from_millis(until);
        Ok((until > now).then(|| Mark { name: name.to_owned(), value: value.clone(), until }))
    }
}
