//! Outcomes, written: the first record makes the item, each later one is merged into what is there.

use std::collections::HashMap;

use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::types::{
    KeysAndAttributes, ReturnConsumedCapacity, ReturnValuesOnConditionCheckFailure,
};
use futures::StreamExt;

use super::items::{self, number, number_of, text};
use super::{DynamoDeliveries, Item};
use crate::aws::error::{of_read, of_write};
use crate::aws::meter::capacity;
use crate::job::DeliveryKey;
use crate::limits::aws::{KEYS_MAX, LEFT_OUT_MAX, LEFT_OUT_PAUSE, RACES_MAX, WRITES_MAX};
use crate::mail::MessageId;
use crate::port::{Clock, DeliveryState, PortError, PortResult, Record};
use crate::system::SystemClock;

const RECORD: &str = "the record of an attempt";
const READ: &str = "the read of the delivery state";

impl DynamoDeliveries {
    pub(super) async fn record_all(&self, records: Vec<Record>) -> Vec<PortResult<()>> {
        let count = records.len();
        // records of one delivery one after the other, those of others beside them
        let mut order: Vec<Vec<(usize, Record)>> = Vec::new();
        let mut places: HashMap<DeliveryKey, usize> = HashMap::new();
        for (n, record) in records.into_iter().enumerate() {
            let place = *places.entry(record.delivery.key.clone()).or_insert_with(|| {
                order.push(Vec::new());
                order.len() - 1
            });
            order[place].push((n, record));
        }
        let written = futures::stream::iter(order).map(|own| async move {
            let mut answers = Vec::with_capacity(own.len());
            for (n, record) in own {
                answers.push((n, self.record_one(record).await));
            }
            answers
        });
        let written = written.buffer_unordered(WRITES_MAX).collect::<Vec<_>>().await;
        let mut answers: HashMap<usize, PortResult<()>> = written.into_iter().flatten().collect();
        let lost = || Err(PortError::unknown(RECORD, "no answer came for it"));
        (0..count).map(|n| answers.remove(&n).unwrap_or_else(lost)).collect()
    }

    async fn record_one(&self, record: Record) -> PortResult<()> {
        let forget_at = record.forget_at;
        let first = items::item(&DeliveryState::begin(record.clone()), 1, forget_at);
        let Some(mut known) = self.put(RECORD, first, None).await? else { return Ok(()) };
        for _ in 0..RACES_MAX {
            let version = number_of(&known, "v").unwrap_or(0);
            let mut state = items::state(&known)?;
            state.add(record.clone());
            let mut merged = items::item(&state, version + 1, forget_at);
            items::keep_expiry(&mut merged, &mut known);
            match self.put(RECORD, merged, Some(version)).await? {
                None => return Ok(()),
                Some(changed) => known = changed,
            }
        }
        Err(PortError::refused(RECORD, "others write the same delivery again and again"))
    }

    /// Writes an item where there is none, or in place of `version`; what is there, where that is another one.
    pub(super) async fn put(
        &self,
        what: &'static str,
        item: Item,
        version: Option<i64>,
    ) -> PortResult<Option<Item>> {
        let put = self.client.put_item().table_name(&self.table).set_item(Some(item));
        let put = match version {
            None => put.condition_expression("attribute_not_exists(pk)"),
            Some(version) => {
                put.condition_expression("v = :v").expression_attribute_values(":v", number(version))
            }
        };
        let put = put
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .return_consumed_capacity(ReturnConsumedCapacity::Total);
        match put.send().await {
            Ok(answer) => {
                capacity("PutItem", "write", &answer.consumed_capacity);
                Ok(None)
            }
            Err(error) => match error.as_service_error() {
                Some(PutItemError::ConditionalCheckFailedException(failed)) => {
                    let known = failed.item.clone();
                    known.map(Some).ok_or_else(|| PortError::refused(what, "the item went away meanwhile"))
                }
                _ => Err(of_write(what, error)),
            },
        }
    }

    /// The items that there are of `keys`.
    pub(super) async fn find(&self, keys: &[DeliveryKey]) -> PortResult<HashMap<DeliveryKey, Item>> {
        let mut found = HashMap::with_capacity(keys.len());
        let mut left: Vec<&DeliveryKey> = keys.iter().collect();
        left.sort_unstable();
        left.dedup();
        for some in left.chunks(KEYS_MAX) {
            self.find_some(some, &mut found).await?;
        }
        Ok(found)
    }

    async fn find_some(
        &self,
        keys: &[&DeliveryKey],
        found: &mut HashMap<DeliveryKey, Item>,
    ) -> PortResult<()> {
        let names: HashMap<(String, String), &DeliveryKey> =
            keys.iter().map(|key| ((items::partition(key), items::sort(key)), *key)).collect();
        let mut asked: Vec<Item> = keys.iter().map(|key| items::primary(key)).collect();
        let mut pause = LEFT_OUT_PAUSE;
        for _ in 0..LEFT_OUT_MAX {
            let wanted = KeysAndAttributes::builder().set_keys(Some(asked)).consistent_read(true).build();
            let wanted = wanted.map_err(|error| PortError::refused(READ, error))?;
            let get = self.client.batch_get_item().request_items(&self.table, wanted);
            let get = get.return_consumed_capacity(ReturnConsumedCapacity::Total);
            let answer = get.send().await.map_err(|error| of_read(READ, error))?;
            capacity("BatchGetItem", "read", answer.consumed_capacity());
            for item in answer.responses.into_iter().flatten().flat_map(|(_, items)| items) {
                let name = |name| items::text_of(&item, name).unwrap_or_default().to_owned();
                if let Some(key) = names.get(&(name("pk"), name("sk"))) {
                    found.insert((*key).clone(), item);
                }
            }
            asked = answer.unprocessed_keys.into_iter().flatten().flat_map(|(_, left)| left.keys).collect();
            if asked.is_empty() {
                return Ok(());
            }
            SystemClock.sleep(pause).await;
            pause *= 2;
        }
        Err(PortError::refused(READ, "DynamoDB leaves some of it out again and again"))
    }

    pub(super) async fn of_message(&self, message: MessageId) -> PortResult<Vec<DeliveryState>> {
        let mut found = Vec::new();
        let mut after = None;
        loop {
            let query = self.client.query().table_name(&self.table).consistent_read(true);
            let query = query
                .key_condition_expression("pk = :pk")
                .expression_attribute_values(":pk", text(format!("M#{message}")))
                .set_exclusive_start_key(after)
                .return_consumed_capacity(ReturnConsumedCapacity::Total);
            let answer = query.send().await.map_err(|error| of_read(READ, error))?;
            capacity("Query", "read", &answer.consumed_capacity);
            found.extend(items::states(answer.items()));
            after = answer.last_evaluated_key;
            if after.is_none() {
                return Ok(found);
            }
        }
    }
}
