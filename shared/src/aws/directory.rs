//! The directory in DynamoDB: one item an entry, by kind and name.

use async_trait::async_trait;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::{AttributeValue, ReturnConsumedCapacity, ReturnValue};

use super::Aws;
use super::error::{of_read, of_write};
use super::meter::capacity;
use crate::limits::{NAME_OCTETS_MAX, VALUE_OCTETS_MAX};
use crate::port::{Directory, Entry, EntryKind, PortError, PortResult};

const READ: &str = "the read of a directory entry";
const PUT: &str = "the write of a directory entry";
const DELETE: &str = "the deletion of a directory entry";

/// Directory entries in a table with the key `kind`, `name`.
pub struct DynamoDirectory {
    client: Client,
    table: String,
}

impl DynamoDirectory {
    /// The directory in `table`. Nothing is asked of DynamoDB yet.
    pub fn new(aws: &Aws, table: &str) -> Self {
        Self { client: aws.dynamodb(), table: table.to_owned() }
    }
}

fn text(text: &str) -> AttributeValue {
    AttributeValue::S(text.to_owned())
}

#[async_trait]
impl Directory for DynamoDirectory {
    async fn get(&self, kind: EntryKind, name: &str) -> PortResult<Option<Entry>> {
        // DynamoDB has no item without a name
        if name.is_empty() {
            return Ok(None);
        }
        let get = self.client.get_item().table_name(&self.table).key("kind", text(kind.as_str()));
        let get = get.key("name", text(name)).consistent_read(true);
        let get = get.return_consumed_capacity(ReturnConsumedCapacity::Total);
        let got = get.send().await.map_err(|error| of_read(READ, error))?;
        capacity("GetItem", "read", &got.consumed_capacity);
        got.item.map(|item| entry(kind, &item)).transpose()
    }

    async fn put(&self, entry: Entry) -> PortResult<()> {
        let value = entry.value.to_string();
        if entry.name.len() > NAME_OCTETS_MAX || value.len() > VALUE_OCTETS_MAX {
            let limits =
                format!("a name has at most {NAME_OCTETS_MAX} octets, and a value {VALUE_OCTETS_MAX}");
            return Err(PortError::refused(PUT, limits));
        }
        let put = self.client.put_item().table_name(&self.table).item("kind", text(entry.kind.as_str()));
        let put = put.item("name", text(&entry.name)).item("value", AttributeValue::S(value));
        let put = put.return_consumed_capacity(ReturnConsumedCapacity::Total);
        let put = put.send().await.map_err(|error| of_write(PUT, error))?;
        capacity("PutItem", "write", &put.consumed_capacity);
        Ok(())
    }

    async fn list(&self, kind: EntryKind, after: Option<&str>, limit: usize) -> PortResult<Vec<Entry>> {
        let mut after = after.map(str::to_owned);
        let mut found = Vec::new();
        while found.len() < limit {
            let page = i32::try_from(limit - found.len()).unwrap_or(i32::MAX);
            let query = self.client.query().table_name(&self.table).consistent_read(true).limit(page);
            let query = query.return_consumed_capacity(ReturnConsumedCapacity::Total);
            let query = query
                .expression_attribute_names("#kind", "kind")
                .expression_attribute_values(":kind", text(kind.as_str()));
            let query = match &after {
                Some(after) => query
                    .key_condition_expression("#kind = :kind AND #name > :after")
                    .expression_attribute_names("#name", "name")
                    .expression_attribute_values(":after", text(after)),
                None => query.key_condition_expression("#kind = :kind"),
            };
            let answer = query.send().await.map_err(|error| of_read(READ, error))?;
            capacity("Query", "read", &answer.consumed_capacity);
            for item in answer.items() {
                found.push(entry(kind, item)?);
            }
            if answer.last_evaluated_key().is_none() {
                break;
            }
            after = found.last().map(|last| last.name.clone());
        }
        Ok(found)
    }

    async fn delete(&self, kind: EntryKind, name: &str) -> PortResult<bool> {
        let delete = self.client.delete_item().table_name(&self.table).key("kind", text(kind.as_str()));
        let delete = delete.key("name", text(name)).return_values(ReturnValue::AllOld);
        let delete = delete.return_consumed_capacity(ReturnConsumedCapacity::Total);
        let deleted = delete.send().await.map_err(|error| of_write(DELETE, error))?;
        capacity("DeleteItem", "write", &deleted.consumed_capacity);
        Ok(deleted.attributes.is_some_and(|old| !old.is_empty()))
    }
}

fn entry(kind: EntryKind, item: &std::collections::HashMap<String, AttributeValue>) -> PortResult<Entry> {
    let text = |name: &str| item.get(name).and_then(|value| value.as_s().ok());
    let (Some(name), Some(value)) = (text("name"), text("value")) else {
        return Err(PortError::refused(READ, "an item of the table is no directory entry"));
    };
    let value = serde_json::from_str(value).map_err(|error| PortError::refused(READ, error))?;
    Ok(Entry { kind, name: name.clone(), value })
}
