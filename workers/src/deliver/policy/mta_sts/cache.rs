//! Policies in the directory, for all workers of an edge.

use serde::{Deserialize, Serialize};
use shared::mail::{Domain, Timestamp};
use shared::port::{Directory, Entry, EntryKind, PortResult};

use super::text::StsPolicy;

/// A policy that was fetched.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::deliver::policy) struct Cached {
    /// What the domain's TXT record named it by.
    pub(in crate::deliver::policy) id: String,
    pub(super) fetched_at: Timestamp,
    #[serde(flatten)]
    pub(in crate::deliver::policy) policy: StsPolicy,
}

impl Cached {
    /// RFC 8461 §3.2: it holds for `max_age` from its fetch on.
    pub(super) fn expires_at(&self) -> Timestamp {
        self.fetched_at + self.policy.holds_for()
    }

    /// What the directory has for `domain`; what cannot be read is not there, and will be written anew.
    pub(super) async fn find(directory: &dyn Directory, domain: &Domain) -> PortResult<Option<Self>> {
        let entry = directory.get(EntryKind::MtaSts, domain.as_str()).await?;
        Ok(entry.and_then(|entry| serde_json::from_value(entry.value).ok()))
    }

    /// Writes it for `domain`. Where that fails this process knows it all the same.
    pub(super) async fn keep(&self, directory: &dyn Directory, domain: &Domain) {
        let value = match serde_json::to_value(self) {
            Ok(value) => value,
            Err(cause) => {
                tracing::error!(%domain, %cause, "an MTA-STS policy cannot be written as JSON");
                return;
            }
        };
        let entry = Entry { kind: EntryKind::MtaSts, name: domain.as_str().to_owned(), value };
        if let Err(cause) = directory.put(entry).await {
            tracing::warn!(%domain, cause = cause.chain(), "the MTA-STS policy cannot be kept for others");
        }
    }
}
