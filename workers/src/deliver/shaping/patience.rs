//! How long, and how many, wait in a process for their turn. Those who wait hold a place of their job, which others could use.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use shared::mail::TenantId;

use crate::fairness;
use crate::limits::shaping::{WAIT_MAX, WAITERS_EACH_MAX, WAITERS_MAX};

/// Those who wait: how many of each tenant, by what is counted together.
#[derive(Clone, Default)]
pub(super) struct Waiters(Arc<Mutex<HashMap<String, HashMap<TenantId, usize>>>>);

/// What one group may still wait.
pub struct Patience {
    waiters: Waiters,
    left: Duration,
    pub(super) priority: i8,
    pub(super) tenant: TenantId,
    /// Under which key the group is counted among those who wait.
    place: Option<String>,
}

impl Waiters {
    /// The patience of a new group of `tenant`.
    pub(super) fn patience(&self, priority: i8, tenant: &TenantId) -> Patience {
        Patience { waiters: self.clone(), left: WAIT_MAX, priority, tenant: tenant.clone(), place: None }
    }

    /// Counts one more of `tenant`, where there is room that is not for others.
    fn enter(&self, key: &str, tenant: &TenantId) -> bool {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let own = |site: &HashMap<TenantId, usize>| site.get(tenant).copied().unwrap_or(0);
        let total: usize = all.values().flat_map(HashMap::values).sum();
        let held = all.values().map(own).sum();
        let (here, held_here) = all.get(key).map_or((0, 0), |site| (site.values().sum(), own(site)));
        let room = fairness::may_have(held, WAITERS_MAX.saturating_sub(total))
            && fairness::may_have(held_here, WAITERS_EACH_MAX.saturating_sub(here));
        if room {
            *all.entry(key.to_owned()).or_default().entry(tenant.clone()).or_default() += 1;
        }
        room
    }

    fn leave(&self, key: &str, tenant: &TenantId) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(site) = all.get_mut(key) else { return };
        if let Some(count) = site.get_mut(tenant) {
            *count = count.saturating_sub(1);
        }
        site.retain(|_, count| *count > 0);
        if site.is_empty() {
            all.remove(key);
        }
    }
}

impl Patience {
    /// Whether the group may wait for `span` at the site that is counted under `key`; it is counted among those who wait from now on.
    pub(super) fn allows(&mut self, key: &str, span: Duration) -> bool {
        if span > self.left {
            return false;
        }
        if self.place.is_none() && self.waiters.enter(key, &self.tenant) {
            self.place = Some(key.to_owned());
        }
        self.place.is_some()
    }

    /// What is left.
    pub(super) fn left(&self) -> Duration {
        self.left
    }

    /// Notes that the group has waited so long.
    pub(super) fn spend(&mut self, waited: Duration) {
        self.left = self.left.saturating_sub(waited);
    }

    /// Notes that the group waits no more.
    pub(super) fn rest(&mut self) {
        if let Some(key) = self.place.take() {
            self.waiters.leave(&key, &self.tenant);
        }
    }
}

impl Drop for Patience {
    fn drop(&mut self) {
        self.rest();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn some_wait_for_one_site_and_some_places_are_always_left_for_other_sites_and_tenants() {
        let waiters = Waiters::default();
        let mut waiting = Vec::new();
        let mut enter = |key: &str, tenant: &str| {
            let mut patience = waiters.patience(0, &TenantId(tenant.to_owned()));
            let allowed = patience.allows(key, WAIT_MAX);
            waiting.push(patience);
            allowed
        };
        let own = (0..WAITERS_MAX).filter(|_| enter("a", "large")).count();
        assert_eq!(own, WAITERS_EACH_MAX * 3 / 4);
        assert!(enter("a", "small") && enter("a", "smaller"), "no tenant takes all of a site");
        let others = (0..WAITERS_MAX).filter(|n| enter(&format!("b{n}"), "large")).count();
        assert!((1..WAITERS_MAX - own).contains(&others), "nor all of a process: {others}");
        assert!(enter("c", "small"));
        waiting.clear();
        assert!(waiters.0.lock().unwrap().is_empty(), "who has gone takes no place");
    }

    #[test]
    fn patience_has_an_end() {
        let waiters = Waiters::default();
        let mut patience = waiters.patience(0, &TenantId::default());
        assert!(!patience.allows("a", WAIT_MAX + Duration::from_millis(1)));
        assert!(patience.allows("a", WAIT_MAX));
        patience.spend(WAIT_MAX / 2);
        assert!(!patience.allows("a", WAIT_MAX));
        assert!(patience.allows("a", WAIT_MAX / 2));
    }
}
