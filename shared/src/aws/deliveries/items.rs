//! How deliveries stand in the table.

use aws_sdk_dynamodb::types::AttributeValue;

use super::Item;
use crate::job::DeliveryKey;
use crate::mail::Timestamp;
use crate::port::{DeliveryState, PortError, PortResult, due_shard};

const READ: &str = "the read of the delivery state";

pub(super) fn text(text: impl Into<String>) -> AttributeValue {
    AttributeValue::S(text.into())
}

pub(super) fn number(number: impl Into<i64>) -> AttributeValue {
    AttributeValue::N(number.into().to_string())
}

pub(super) fn text_of<'a>(item: &'a Item, name: &str) -> Option<&'a str> {
    item.get(name)?.as_s().ok().map(String::as_str)
}

pub(super) fn number_of(item: &Item, name: &str) -> Option<i64> {
    item.get(name)?.as_n().ok()?.parse().ok()
}

/// Whole seconds for the time to live; never too soon.
pub(super) fn expires(at: Timestamp) -> AttributeValue {
    number(at.millis().div_euclid(1000).saturating_add(1))
}

pub(super) fn partition(key: &DeliveryKey) -> String {
    format!("M#{}", key.message)
}

pub(super) fn sort(key: &DeliveryKey) -> String {
    format!("D#{}", key.destination())
}

/// The key of an item as DynamoDB asks for it.
pub(super) fn primary(key: &DeliveryKey) -> Item {
    [("pk".to_owned(), text(partition(key))), ("sk".to_owned(), text(sort(key)))].into()
}

/// What the index orders by: the time, and the key where times are the same.
pub(super) fn due(at: Timestamp, key: &DeliveryKey) -> String {
    format!("{}#{key}", due_time(at))
}

/// Behind everything that is due by `at`, and before everything later.
pub(super) fn due_by(at: Timestamp) -> String {
    format!("{}$", due_time(at))
}

fn due_time(at: Timestamp) -> String {
    format!("{:015}", at.millis().max(0))
}

/// When the item is due by its index.
pub(super) fn due_at(item: &Item) -> Option<Timestamp> {
    let (time, _) = text_of(item, "due")?.split_once('#')?;
    time.parse().ok().map(Timestamp::from_millis)
}

/// The item of `state`.
pub(super) fn item(state: &DeliveryState, version: i64, forget_at: Timestamp) -> Item {
    let json = serde_json::to_string(state).expect("a state is plain data");
    let mut item = primary(&state.key);
    item.insert("state".to_owned(), text(json));
    item.insert("v".to_owned(), number(version));
    item.insert("expires".to_owned(), expires(forget_at));
    if let Some(at) = state.due_at {
        item.insert("due_shard".to_owned(), number(due_shard(&state.key)));
        item.insert("due".to_owned(), text(due(at, &state.key)));
    }
    item
}

/// Gives `item` the time to live of `known` where that is longer: it is remembered no shorter than before.
pub(super) fn keep_expiry(item: &mut Item, known: &mut Item) {
    if let Some(expires) = known.remove("expires")
        && number_of(item, "expires") < expires.as_n().ok().and_then(|n| n.parse().ok())
    {
        item.insert("expires".to_owned(), expires);
    }
}

/// The state in an item. When it is due is what the index says: a lease changes that alone.
pub(super) fn state(item: &Item) -> PortResult<DeliveryState> {
    let json = text_of(item, "state").ok_or_else(|| PortError::refused(READ, "an item has no state"))?;
    let mut state: DeliveryState =
        serde_json::from_str(json).map_err(|error| PortError::refused(READ, error))?;
    state.due_at = due_at(item);
    Ok(state)
}

/// The states in `items`. One that cannot be read must not keep every other from being worked on.
pub(super) fn states<'a>(items: impl IntoIterator<Item = &'a Item>) -> Vec<DeliveryState> {
    let read = |item: &Item| {
        state(item)
            .inspect_err(|error| {
                let (cause, pk) = (error.chain(), text_of(item, "pk"));
                tracing::error!(cause, pk, "the state of a delivery cannot be read, and is passed over");
            })
            .ok()
    };
    items.into_iter().filter_map(read).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testkit::samples::delivery;

    #[test]
    fn the_index_orders_by_time_and_a_time_ends_behind_all_that_is_due_then() {
        let key = delivery(&["r@example.org"]).key;
        let at = |millis| Timestamp::from_millis(millis);
        assert!(due(at(999), &key) < due(at(1000), &key));
        assert!(due(at(999_999_999_999), &key) < due(at(1_000_000_000_000), &key));
        assert!(due(at(1000), &key) < due_by(at(1000)));
        assert!(due_by(at(1000)) < due(at(1001), &key));
        let item: Item = [("due".to_owned(), text(due(at(1_700_000_000_123), &key)))].into();
        assert_eq!(due_at(&item), Some(at(1_700_000_000_123)));
    }
}
