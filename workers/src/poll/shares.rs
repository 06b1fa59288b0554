//! What each tenant has of the places of a poll loop.

use std::collections::HashMap;

use shared::mail::TenantId;
use shared::port::BATCH_MAX;

use crate::fairness;

/// How many jobs of each tenant are running.
pub(super) struct Shares {
    places: usize,
    running: usize,
    of: HashMap<TenantId, usize>,
}

impl Shares {
    pub(super) fn new(places: usize) -> Self {
        Self { places, running: 0, of: HashMap::new() }
    }

    /// How many places must be free before it is worth a receive.
    pub(super) fn room_min(&self) -> usize {
        (self.places / 4).clamp(1, BATCH_MAX)
    }

    pub(super) fn begin(&mut self, tenant: Option<&TenantId>) {
        self.running += 1;
        if let Some(tenant) = tenant {
            *self.of.entry(tenant.clone()).or_default() += 1;
        }
    }

    pub(super) fn end(&mut self, tenant: Option<TenantId>) {
        self.running = self.running.saturating_sub(1);
        let Some(tenant) = tenant else { return };
        if let Some(running) = self.of.get_mut(&tenant) {
            *running -= 1;
            if *running == 0 {
                self.of.remove(&tenant);
            }
        }
    }

    /// Who gets no more for now, and how many jobs the next receive may ask for, as it may give all of them to any of the others.
    pub(super) fn next(&self) -> (Vec<TenantId>, usize) {
        let free = self.places.saturating_sub(self.running);
        let (mut full, mut most) = (Vec::new(), allowance(0, free));
        for (tenant, running) in &self.of {
            let allowance = allowance(*running, free);
            if allowance < self.room_min().min(free) {
                full.push(tenant.clone());
            } else {
                most = most.min(allowance);
            }
        }
        (full, most.clamp(1, BATCH_MAX))
    }
}

/// How many more a tenant with `running` jobs may have of what is `free`.
fn allowance(running: usize, free: usize) -> usize {
    (0..free).find(|more| !fairness::may_have(running + more, free - more)).unwrap_or(free)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tenant_that_has_its_share_is_left_out_until_it_has_less() {
        let (busy, mut shares) = (TenantId("busy".to_owned()), Shares::new(96));
        let mut running = 0;
        loop {
            let (full, most) = shares.next();
            if full == [busy.clone()] {
                break;
            }
            (0..most).for_each(|_| shares.begin(Some(&busy)));
            running += most;
        }
        assert!((60..=72).contains(&running), "{running}");
        // whoever comes has room at once
        assert_eq!(shares.next().1, BATCH_MAX);
        (0..BATCH_MAX).for_each(|_| shares.end(Some(busy.clone())));
        assert!(shares.next().0.is_empty());
    }

    #[test]
    fn who_has_no_name_is_never_left_out() {
        let mut shares = Shares::new(8);
        (0..7).for_each(|_| shares.begin(None));
        assert_eq!(shares.next(), (vec![], 1));
    }
}
