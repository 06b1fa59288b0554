//! What mail waits for.

use std::time::Duration;

use shared::mail::Timestamp;

use super::suspension::Measure;

/// Why mail waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reason {
    /// The site is left alone.
    Suspended,
    /// The tenant's mail is kept from the site.
    TenantSuspended,
    /// So many messages a time went to the site.
    MessageRate,
    /// The same of the tenant.
    TenantRate,
    /// So many connections a time were opened.
    ConnectionRate,
    /// So many connections are open.
    Connections,
    /// The source has sent what it may on this day of its beginning.
    WarmUp,
}

impl Reason {
    /// A short name, for metrics and records.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Suspended => "suspended",
            Self::TenantSuspended => "tenant_suspended",
            Self::MessageRate => "message_rate",
            Self::TenantRate => "tenant_rate",
            Self::ConnectionRate => "connection_rate",
            Self::Connections => "connections",
            Self::WarmUp => "warm_up",
        }
    }
}

/// A wait that is longer than mail waits in a process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wait {
    /// What is counted together; for a tenant's wait, of that tenant.
    pub key: String,
    /// Why.
    pub reason: Reason,
    /// Why, for a person.
    pub text: String,
    /// Until when at least.
    pub until: Timestamp,
    /// How long after one of those who wait the next one gets its turn.
    pub interval: Duration,
    /// Whether a group of deliveries gets one turn, and not each of them.
    pub whole: bool,
}

impl Wait {
    /// The wait for the end of a suspension; of a tenant's, where that is said.
    pub(super) fn of(measure: &Measure, key: &str, tenant: Option<&str>, interval: Duration) -> Self {
        let Measure { until, rule, status, .. } = measure;
        let who = tenant.map_or_else(|| key.to_owned(), |tenant| format!("{key} for {tenant}"));
        Self {
            key: tenant.map_or_else(|| key.to_owned(), |tenant| format!("{key} of {tenant}")),
            reason: if tenant.is_some() { Reason::TenantSuspended } else { Reason::Suspended },
            // not in its own words: they may name another tenant's recipient
            text: format!("{who} is suspended by rule {rule} after {status}"),
            until: *until,
            interval,
            whole: true,
        }
    }
}
