//! What replies have done to a site: for how long it, or a tenant at it, is left alone or slowed down. All workers know of it, a few
//! seconds later at most.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use lru::LruCache;
use serde::{Deserialize, Serialize};
use shared::mail::{Reply, TenantId, Timestamp};
use shared::port::{Clock, Counters, Mark};

use super::rules::{Action, Automation, Rule};
use crate::limits::shaping::{
    SITES_MAX, SLOW_DOWN_EVERY, SLOW_DOWN_MIN, SUSPENDED_TENANTS_MAX, SUSPENSION_AGE,
    SUSPENSION_REPLY_CHARS_MAX, SUSPENSION_STEP,
};

/// One measure that is in force, and why.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Measure {
    /// Until when.
    pub until: Timestamp,
    /// When it was taken, or last made longer.
    pub since: Timestamp,
    /// The rule that asked for it.
    pub rule: String,
    /// The reply that did it, which may name a recipient of whichever tenant's mail it was to.
    pub reply: String,
    /// Its code, and its status where it has one: what may be told to anybody.
    #[serde(default)]
    pub status: String,
    /// The share that rates and connections are slowed down to; 1 for a suspension.
    #[serde(default = "whole", skip_serializing_if = "is_whole")]
    pub factor: f64,
}

fn whole() -> f64 {
    1.0
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the shape serde asks for")]
fn is_whole(factor: &f64) -> bool {
    *factor >= 1.0
}

/// All measures at one site.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Measures {
    /// Nothing is sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suspended: Option<Measure>,
    /// Less is sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slowed: Option<Measure>,
    /// Nothing of these tenants is sent.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tenants: BTreeMap<String, Measure>,
}

impl Measures {
    /// The share that rates and connections have.
    pub(super) fn factor(&self) -> f64 {
        self.slowed.as_ref().map_or(1.0, |slowed| slowed.factor)
    }

    /// Without what is over.
    fn in_force(mut self, now: Timestamp) -> Self {
        let lasts = |measure: &Measure| measure.until > now;
        self.suspended = self.suspended.filter(lasts);
        self.slowed = self.slowed.filter(lasts);
        self.tenants.retain(|_, measure| lasts(measure));
        self
    }

    fn until(&self) -> Option<Timestamp> {
        let all = self.suspended.iter().chain(&self.slowed).chain(self.tenants.values());
        all.map(|measure| measure.until).max()
    }

    /// Adds what `automation` asks for after `reply`; tells whether that is anything new.
    fn add(
        &mut self,
        now: Timestamp,
        rule: &Rule,
        on: &Automation,
        tenant: &TenantId,
        reply: &Reply,
    ) -> bool {
        let mut measure = Measure {
            until: now + on.lasts,
            since: now,
            rule: rule.name.clone(),
            reply: reply.to_string().chars().take(SUSPENSION_REPLY_CHARS_MAX).collect(),
            status: reply
                .enhanced()
                .map_or_else(|| reply.code().to_string(), |_| format!("{} {}", reply.code(), reply.status())),
            factor: 1.0,
        };
        // of many replies that say the same, only those are written that make a difference
        let is_longer = |known: &Measure| known.until + on.lasts / SUSPENSION_STEP < now + on.lasts;
        match on.action {
            Action::Suspend => {
                let new = self.suspended.as_ref().is_none_or(is_longer);
                if new {
                    self.suspended = Some(measure);
                }
                new
            }
            Action::SuspendTenant => {
                let known = self.tenants.get(&tenant.0);
                let room = known.is_some() || self.tenants.len() < SUSPENDED_TENANTS_MAX;
                let new = room && known.is_none_or(is_longer);
                if new {
                    self.tenants.insert(tenant.0.clone(), measure);
                }
                new
            }
            Action::Ignore => false,
            Action::SlowDown(share) => {
                let known = self.slowed.as_ref();
                if known.is_some_and(|known| now.since(known.since) < SLOW_DOWN_EVERY) {
                    return false;
                }
                measure.factor = (self.factor() * share).max(SLOW_DOWN_MIN);
                measure.until = known.map_or(measure.until, |known| known.until.max(measure.until));
                self.slowed = Some(measure);
                true
            }
        }
    }
}

/// The measures of all sites, as far as this process has heard.
pub(super) struct Suspensions {
    counters: Arc<dyn Counters>,
    clock: Arc<dyn Clock>,
    known: Mutex<LruCache<String, Known>>,
    /// Held while one is written, so that two of this process do not undo each other.
    writing: tokio::sync::Mutex<()>,
}

#[derive(Clone)]
struct Known {
    read_at: Timestamp,
    measures: Arc<Measures>,
}

impl Suspensions {
    pub(super) fn new(counters: Arc<dyn Counters>, clock: Arc<dyn Clock>) -> Self {
        let known = Mutex::new(LruCache::sparse(SITES_MAX));
        Self { counters, clock, known, writing: tokio::sync::Mutex::default() }
    }

    /// The measures at the site that is counted under `key`. A store that does not answer stops no mail: what was known holds.
    pub(super) async fn of(&self, key: &str) -> Arc<Measures> {
        let now = self.clock.now();
        let known = self.lock().get(key).cloned();
        if let Some(known) = &known
            && now.since(known.read_at) < SUSPENSION_AGE
        {
            return Arc::new(known.measures.as_ref().clone().in_force(now));
        }
        let measures = match self.read(key, now).await {
            Ok(measures) => measures,
            Err(cause) => {
                tracing::warn!(site = key, cause, "it cannot be read whether a site is suspended");
                known.map(|known| known.measures.as_ref().clone().in_force(now)).unwrap_or_default()
            }
        };
        self.remember(key, measures)
    }

    /// Does as `on` of `rule` says after `reply`.
    pub(super) async fn add(
        &self,
        key: &str,
        rule: &Rule,
        on: &Automation,
        tenant: &TenantId,
        reply: &Reply,
    ) {
        let _writing = self.writing.lock().await;
        let now = self.clock.now();
        let known = self.of(key).await;
        if !known.as_ref().clone().add(now, rule, on, tenant, reply) {
            return;
        }
        // others may have written meanwhile; of two that write at once one is lost, and the next reply takes its measure again
        let mut measures = self.read(key, now).await.unwrap_or_else(|_| known.as_ref().clone());
        measures.add(now, rule, on, tenant, reply);
        let (action, lasts): (_, Duration) = (on.action.to_string(), on.lasts);
        let name = match on.action {
            Action::Suspend => "suspend",
            Action::SuspendTenant => "suspend_tenant",
            Action::SlowDown(_) => "slow_down",
            Action::Ignore => "ignore",
        };
        metrics::counter!("spoolway_deliver_backoffs_total", "action" => name).increment(1);
        tracing::warn!(
            site = key,
            rule = rule.name,
            action,
            ?lasts,
            tenant = tenant.0,
            code = reply.code(),
            "a reply asks for less mail"
        );
        let value = serde_json::to_string(&measures).expect("measures are plain data");
        let until = measures.until().unwrap_or(now);
        self.remember(key, measures);
        if let Err(cause) = self.counters.mark(&Mark { name: mark(key), value, until }).await {
            tracing::warn!(site = key, cause = cause.chain(), "other workers cannot be told of it");
        }
    }

    async fn read(&self, key: &str, now: Timestamp) -> Result<Measures, String> {
        match self.counters.marked(&mark(key), now).await {
            Ok(None) => Ok(Measures::default()),
            Ok(Some(mark)) => {
                let read = serde_json::from_str::<Measures>(&mark.value);
                read.map(|measures| measures.in_force(now)).map_err(|error| error.to_string())
            }
            Err(cause) => Err(cause.chain()),
        }
    }

    fn remember(&self, key: &str, measures: Measures) -> Arc<Measures> {
        let measures = Arc::new(measures);
        let known = Known { read_at: self.clock.now(), measures: Arc::clone(&measures) };
        self.lock().put(key.to_owned(), known);
        measures
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, LruCache<String, Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn mark(key: &str) -> String {
    format!("shaping/{key}")
}
