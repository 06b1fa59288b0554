//! When to try again, and when to give up (RFC 5321 §4.5.4.1).

use std::collections::HashMap;
use std::time::Duration;

use shared::job::Delivery;
use shared::mail::{Domain, Timestamp};

use crate::limits::{LAST_TRY_MARGIN, RETRY_JITTER, RETRY_LIFETIME, RETRY_PAUSE_MAX, RETRY_SCHEDULE};

/// When deferred mail is tried again.
#[derive(Debug, Clone, PartialEq)]
pub struct RetrySettings {
    /// The pause after each attempt; the last one repeats.
    pub schedule: Vec<Duration>,
    /// How long after its 250 a message is given up.
    pub lifetime: Duration,
    /// By how much of itself each pause is spread to either side: 0.2 is ± 20 %.
    pub jitter: f64,
    /// What is different for a destination.
    pub domains: HashMap<Domain, DomainRetry>,
}

/// What is different for one destination.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DomainRetry {
    /// In place of the general schedule.
    pub schedule: Option<Vec<Duration>>,
    /// In place of the general lifetime.
    pub lifetime: Option<Duration>,
}

impl Default for RetrySettings {
    fn default() -> Self {
        Self {
            schedule: RETRY_SCHEDULE.to_vec(),
            lifetime: RETRY_LIFETIME,
            jitter: RETRY_JITTER,
            domains: HashMap::new(),
        }
    }
}

impl RetrySettings {
    /// When a message for `domain` that was accepted at `accepted_at` is given up.
    pub fn expires_at(&self, domain: &Domain, accepted_at: Timestamp) -> Timestamp {
        let own = self.domains.get(domain).and_then(|own| own.lifetime);
        accepted_at + own.unwrap_or(self.lifetime)
    }

    /// When to make the attempt after `delivery`, which was deferred at `now`; `None` if that was the last one. The
    /// last one is made at the expiry. `chance` is from 0 up to 1.
    pub(super) fn next_try(&self, delivery: &Delivery, now: Timestamp, chance: f64) -> Option<Timestamp> {
        let expires_at = self.expiry(delivery);
        if now + LAST_TRY_MARGIN >= expires_at {
            return None;
        }
        let own = self.domains.get(&delivery.key.domain).and_then(|own| own.schedule.as_ref());
        let schedule = own.unwrap_or(&self.schedule);
        let step = usize::try_from(delivery.attempt.saturating_sub(1)).unwrap_or(usize::MAX);
        let pause = schedule.get(step).or(schedule.last()).copied().unwrap_or(RETRY_SCHEDULE[6]);
        let spread = 1.0 + self.jitter.clamp(0.0, 1.0) * (2.0 * chance - 1.0);
        let pause = pause.min(RETRY_PAUSE_MAX).mul_f64(spread.clamp(0.0, 2.0));
        Some((now + pause).min(expires_at))
    }

    /// When `delivery` is given up. A domain's own lifetime goes before what the delivery says; the general one can only
    /// shorten it, so that a shorter lifetime holds for what is pending too.
    pub(super) fn expiry(&self, delivery: &Delivery) -> Timestamp {
        let configured = self.expires_at(&delivery.key.domain, delivery.accepted_at);
        match self.domains.get(&delivery.key.domain) {
            Some(DomainRetry { lifetime: Some(_), .. }) => configured,
            Some(_) | None => configured.min(delivery.expires_at),
        }
    }
}
