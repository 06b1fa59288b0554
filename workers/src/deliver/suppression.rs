//! Suppressions: whom a tenant's mail is not sent to, and who becomes one of these.
//!
//! Looked at right before an attempt, and not before: what waits for its next try when its recipient bounces elsewhere is not sent
//! either, and nothing that was decided earlier has to hold. Only submissions are looked at. Mail that comes in from anybody goes to
//! recipients whom the operator lists, and is refused by those who know them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use futures::future::try_join_all;
use shared::directory::{SuppressionEntry, SuppressionReason};
use shared::job::Delivery;
use shared::mail::{Mailbox, Reply, TenantId, Timestamp};
use shared::port::{Clock, Directory, Entry, EntryKind, PortResult};

use crate::limits::{SUPPRESSION_READS_MAX, SUPPRESSION_TENANTS_KEPT_MAX, SUPPRESSIONS_KEPT};

/// What is suppressed by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SuppressionSettings {
    /// Whether an address that hard-bounces is.
    pub hard_bounces: bool,
    /// Whether one whose owner complains is.
    pub complaints: bool,
    /// Tenants for whom neither is done. What an operator suppresses holds for them too.
    pub exempt: Vec<TenantId>,
}

impl Default for SuppressionSettings {
    fn default() -> Self {
        Self { hard_bounces: true, complaints: true, exempt: Vec::new() }
    }
}

/// The suppressions of an edge.
pub struct Suppressions {
    settings: SuppressionSettings,
    directory: Arc<dyn Directory>,
    clock: Arc<dyn Clock>,
    /// Tenants that had no suppression then; most have none, and pay nothing.
    without: Mutex<HashMap<TenantId, Timestamp>>,
}

impl Suppressions {
    /// Those in `directory`.
    pub fn new(settings: SuppressionSettings, directory: Arc<dyn Directory>, clock: Arc<dyn Clock>) -> Self {
        Self { settings, directory, clock, without: Mutex::default() }
    }

    /// The recipients of `delivery` that are not to be tried, by their place, each with the reply that says why.
    pub(super) async fn of(&self, delivery: &Delivery) -> PortResult<Vec<(usize, Reply)>> {
        if !delivery.is_submission() || !self.has_any(&delivery.tenant).await? {
            return Ok(Vec::new());
        }
        let now = self.clock.now();
        let mut suppressed = Vec::new();
        for (n, some) in delivery.recipients.chunks(SUPPRESSION_READS_MAX).enumerate() {
            let mut reads = Vec::with_capacity(some.len());
            for recipient in some {
                reads.push(self.find(&delivery.tenant, &recipient.address));
            }
            for (at, found) in try_join_all(reads).await?.into_iter().enumerate() {
                let held = found.filter(|entry| entry.holds(now));
                suppressed.extend(held.map(|entry| (n * SUPPRESSION_READS_MAX + at, reply(&entry))));
            }
        }
        Ok(suppressed)
    }

    /// Whether an address of `tenant` is suppressed by itself for `reason`.
    pub(super) fn adds(&self, tenant: &TenantId, reason: SuppressionReason) -> bool {
        let wanted = match reason {
            SuppressionReason::HardBounce => self.settings.hard_bounces,
            SuppressionReason::Complaint => self.settings.complaints,
            SuppressionReason::Manual => true,
        };
        wanted && !self.settings.exempt.contains(tenant)
    }

    /// Suppresses an address. One that is suppressed already stays as it is: the first reason is the one to know.
    pub(super) async fn add(&self, entry: SuppressionEntry) -> PortResult<()> {
        let known = self.find(&entry.tenant, &entry.address).await?;
        if known.is_some_and(|known| known.holds(self.clock.now())) {
            return Ok(());
        }
        let tenant = entry.tenant.clone();
        let reason = entry.reason.as_str();
        self.directory.put(Entry::from(entry)).await?;
        self.without().remove(&tenant);
        metrics::counter!("spoolway_suppressions_total", "reason" => reason).increment(1);
        Ok(())
    }

    async fn find(&self, tenant: &TenantId, address: &Mailbox) -> PortResult<Option<SuppressionEntry>> {
        let name = SuppressionEntry::name_of(tenant, address);
        let Some(entry) = self.directory.get(EntryKind::Suppression, &name).await? else { return Ok(None) };
        match SuppressionEntry::try_from(entry) {
            Ok(entry) => Ok(Some(entry)),
            // an entry that says nothing keeps no mail back
            Err(wrong) => {
                tracing::error!("{wrong}");
                Ok(None)
            }
        }
    }

    async fn has_any(&self, tenant: &TenantId) -> PortResult<bool> {
        let now = self.clock.now();
        if let Some(since) = self.without().get(tenant)
            && *since <= now
            && now.since(*since) < SUPPRESSIONS_KEPT
        {
            return Ok(false);
        }
        let before = SuppressionEntry::before_all(tenant);
        let first = self.directory.list(EntryKind::Suppression, Some(&before), 1).await?;
        let any = first.first().is_some_and(|entry| entry.name.starts_with(&before));
        let mut without = self.without();
        if any {
            without.remove(tenant);
        } else {
            if without.len() >= SUPPRESSION_TENANTS_KEPT_MAX {
                without.clear();
            }
            without.insert(tenant.clone(), now);
        }
        Ok(any)
    }

    fn without(&self) -> std::sync::MutexGuard<'_, HashMap<TenantId, Timestamp>> {
        self.without.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Why it is not tried. RFC 3463 §3.8: 5.7.1, as it is a rule of this side, and nobody asked the recipient's.
fn reply(entry: &SuppressionEntry) -> Reply {
    let since = entry.since.to_string();
    let day = since.get(..10).unwrap_or_default();
    let source = if entry.source.is_empty() { String::new() } else { format!(": {}", entry.source) };
    Reply::new(550, (7, 1), format!("not tried: suppressed since {day} ({}){source}", entry.reason))
}

#[cfg(test)]
mod tests;
