//! The claims by which workers keep out of each other's way.

use std::time::Duration;

use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::operation::update_item::builders::UpdateItemFluentBuilder;
use aws_sdk_dynamodb::types::{AttributeValue, ReturnConsumedCapacity, ReturnValuesOnConditionCheckFailure};

use super::items::{expires, number, number_of, text, text_of};
use super::{DynamoDeliveries, Item};
use crate::aws::error::of_write;
use crate::aws::meter::capacity;
use crate::limits::aws::{RACES_MAX, UNFINISHED_KEPT};
use crate::mail::Timestamp;
use crate::port::{Claim, PortError, PortResult};

const CLAIM: &str = "the claim of a job";
const FINISH: &str = "the end of a claim";
const ABANDON: &str = "the giving up of a claim";

impl DynamoDeliveries {
    pub(super) async fn claim_job(
        &self,
        job: &str,
        holder: &str,
        now: Timestamp,
        lease: Duration,
    ) -> PortResult<Claim> {
        let until = now + lease;
        let Some(mut known) = self.claim_first(job, holder, until).await? else {
            return Ok(Claim::Taken { again: false });
        };
        for _ in 0..RACES_MAX {
            if matches!(known.get("finished"), Some(AttributeValue::Bool(true))) {
                return Ok(Claim::Finished);
            }
            let owner = text_of(&known, "holder").unwrap_or_default();
            let held_until = number_of(&known, "held_until").unwrap_or(0);
            if owner != holder && held_until > now.millis() {
                return Ok(Claim::Held { until: Timestamp::from_millis(held_until) });
            }
            // also to the same holder: it may have been given the job twice
            match self.take_over(job, holder, until, owner, held_until).await? {
                None => return Ok(Claim::Taken { again: true }),
                Some(changed) => known = changed,
            }
        }
        Err(PortError::refused(CLAIM, "others claim the same job again and again"))
    }

    /// The claim of a job that nobody had; what stands in its way where somebody did.
    async fn claim_first(&self, job: &str, holder: &str, until: Timestamp) -> PortResult<Option<Item>> {
        let put = self.client.put_item().table_name(&self.table);
        let put = put
            .item("pk", text(partition(job)))
            .item("sk", text("J"))
            .item("holder", text(holder))
            .item("held_until", number(until.millis()))
            .item("expires", expires(until + UNFINISHED_KEPT))
            .condition_expression("attribute_not_exists(pk)")
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .return_consumed_capacity(ReturnConsumedCapacity::Total);
        match put.send().await {
            Ok(answer) => {
                capacity("PutItem", "write", &answer.consumed_capacity);
                Ok(None)
            }
            Err(error) => match error.as_service_error() {
                Some(PutItemError::ConditionalCheckFailedException(failed)) => {
                    Ok(Some(failed.item.clone().unwrap_or_default()))
                }
                _ => Err(of_write(CLAIM, error)),
            },
        }
    }

    /// Takes a claim over from who had it; what it is by now, where another one was quicker.
    async fn take_over(
        &self,
        job: &str,
        holder: &str,
        until: Timestamp,
        owner: &str,
        held_until: i64,
    ) -> PortResult<Option<Item>> {
        let take = self.update(job);
        let take = take
            .update_expression("SET holder = :holder, held_until = :until, expires = :expires")
            .condition_expression("holder = :owner AND held_until = :held AND attribute_not_exists(finished)")
            .expression_attribute_values(":holder", text(holder))
            .expression_attribute_values(":until", number(until.millis()))
            .expression_attribute_values(":expires", expires(until + UNFINISHED_KEPT))
            .expression_attribute_values(":owner", text(owner))
            .expression_attribute_values(":held", number(held_until));
        changed(CLAIM, take).await
    }

    /// The job is done, whoever holds it by now.
    pub(super) async fn finish_job(&self, job: &str, holder: &str, forget_at: Timestamp) -> PortResult<()> {
        let finish = self.update(job);
        let finish = finish
            .update_expression("SET finished = :true, expires = :expires, holder = if_not_exists(holder, :holder), held_until = if_not_exists(held_until, :zero)")
            // one that was finished before is remembered no shorter
            .condition_expression("attribute_not_exists(finished) OR expires < :expires")
            .expression_attribute_values(":true", AttributeValue::Bool(true))
            .expression_attribute_values(":expires", expires(forget_at))
            .expression_attribute_values(":holder", text(holder))
            .expression_attribute_values(":zero", number(0));
        changed(FINISH, finish).await.map(drop)
    }

    /// The item stays, so that the next claim knows that there was one.
    pub(super) async fn abandon_job(&self, job: &str, holder: &str) -> PortResult<()> {
        let abandon = self.update(job);
        let abandon = abandon
            .update_expression("SET holder = :nobody, held_until = :zero")
            .condition_expression("holder = :holder AND attribute_not_exists(finished)")
            .expression_attribute_values(":nobody", text(""))
            .expression_attribute_values(":zero", number(0))
            .expression_attribute_values(":holder", text(holder));
        changed(ABANDON, abandon).await.map(drop)
    }

    fn update(&self, job: &str) -> UpdateItemFluentBuilder {
        let update = self.client.update_item().table_name(&self.table);
        update
            .key("pk", text(partition(job)))
            .key("sk", text("J"))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .return_consumed_capacity(ReturnConsumedCapacity::Total)
    }
}

fn partition(job: &str) -> String {
    format!("J#{job}")
}

/// Makes the update; the item as it is, where its condition does not hold.
async fn changed(what: &'static str, update: UpdateItemFluentBuilder) -> PortResult<Option<Item>> {
    match update.send().await {
        Ok(answer) => {
            capacity("UpdateItem", "write", &answer.consumed_capacity);
            Ok(None)
        }
        Err(error) => match error.as_service_error() {
            Some(UpdateItemError::ConditionalCheckFailedException(failed)) => {
                Ok(Some(failed.item.clone().unwrap_or_default()))
            }
            _ => Err(of_write(what, error)),
        },
    }
}
