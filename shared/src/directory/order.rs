//! Orders of an operator: what is to be done, with which mail.
//!
//! The name of an entry is the id of its order, so that a list is in the order in which they were given.

use serde::{Deserialize, Serialize};

use super::{EntryError, Filter};
use crate::mail::Timestamp;
use crate::order::Order;
use crate::port::{Entry, EntryKind};

/// An order, and what it is for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderEntry {
    /// What is to be done.
    #[serde(flatten)]
    pub order: Order,
    /// With which mail.
    #[serde(rename = "for")]
    pub filter: Filter,
    /// Until when whoever delivers looks at it: as long as there may be mail that is in a queue only, or as long as it is to hold for mail
    /// that is yet to come.
    pub kept_until: Timestamp,
}

impl OrderEntry {
    /// The entry of the directory.
    pub fn entry(&self) -> Entry {
        Entry {
            kind: EntryKind::Order,
            name: self.order.id.to_string(),
            value: serde_json::to_value(self).expect("an order is plain data"),
        }
    }

    /// Whether it is for mail that is yet to come, too.
    pub fn is_lasting(&self) -> bool {
        self.filter.accepted_before.is_none() && self.filter.messages.is_empty()
    }
}

impl TryFrom<Entry> for OrderEntry {
    type Error = EntryError;

    fn try_from(entry: Entry) -> Result<Self, EntryError> {
        let Entry { kind, name, value } = entry;
        serde_json::from_value(value).map_err(|cause| EntryError { kind, name, cause: cause.into() })
    }
}
