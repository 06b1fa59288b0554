use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::PortResult;

/// What an operator has set up: credentials, domains, recipients, suppressions, routes. Small entries, seldom written, often read.
/// A read that begins after a write has returned `Ok` sees it, through any handle of the same store.
#[async_trait]
pub trait Directory: Send + Sync {
    /// The entry, if there is one.
    async fn get(&self, kind: EntryKind, name: &str) -> PortResult<Option<Entry>>;

    /// Writes the entry, in place of one of the same kind and name.
    async fn put(&self, entry: Entry) -> PortResult<()>;

    /// Up to `limit` entries of a kind whose names are over `after`, ordered by name; an empty list is the end.
    async fn list(&self, kind: EntryKind, after: Option<&str>, limit: usize) -> PortResult<Vec<Entry>>;

    /// Deletes the entry; tells whether it was there.
    async fn delete(&self, kind: EntryKind, name: &str) -> PortResult<bool>;
}

/// What an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EntryKind {
    /// A name and what it may do.
    Credential,
    /// A domain and its signing keys' selectors.
    Domain,
    /// An address, or a pattern of them, that mail is taken for.
    Recipient,
    /// An address that is not sent to.
    Suppression,
    /// How a domain's mail leaves.
    Route,
    /// What the containers of one edge share.
    Fleet,
    /// The MTA-STS policy of a domain that mail goes to, as it was fetched last.
    MtaSts,
    /// What an operator wants done with mail that waits.
    Order,
}

impl EntryKind {
    /// The kind as stores write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Credential => "credential",
            Self::Domain => "domain",
            Self::Recipient => "recipient",
            Self::Suppression => "suppression",
            Self::Route => "route",
            Self::Fleet => "fleet",
            Self::MtaSts => "mtasts",
            Self::Order => "order",
        }
    }
}

/// An entry. Its value is JSON, and its shape belongs to whoever owns the kind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// What it is.
    pub kind: EntryKind,
    /// What it is called; unique within its kind, at most 512 octets.
    pub name: String,
    /// What it says; at most 64 KiB as text.
    pub value: serde_json::Value,
}
