//! Places that this process has and does not use: of connections that it keeps, and of those that somebody waits for.

use futures::future::join_all;
use shared::mail::Timestamp;
use shared::port::Claim;

use super::{Ports, Slot, Slots, name};
use crate::deliver::Site;
use crate::limits::shaping::{SLOT_GRACE, SLOT_LEASE, SLOT_PAUSE};

/// A place that nobody has.
pub(super) struct Spare {
    pub(super) number: u32,
    leased_until: Timestamp,
    /// The connection that it is held for.
    pub(super) kept: Option<Kept>,
    /// When it is given back.
    until: Timestamp,
}

/// A connection that is kept.
#[derive(Debug, Clone)]
pub(super) struct Kept {
    pub(super) site: Site,
    pub(super) until: Timestamp,
}

impl Slots {
    /// A place that this process has claimed and does not use, and that fits.
    pub(super) fn spare(&self, key: &str, limit: u32, fits: impl Fn(&Spare) -> bool) -> Option<Slot> {
        let now = self.ports.clock.now();
        let mut state = self.lock();
        let local = state.sites.get_mut(key)?;
        // one whose connection is about to be closed must wait until it is
        let is_open = |spare: &Spare| spare.kept.as_ref().is_none_or(|kept| kept.until > now);
        let is_leased = |spare: &Spare| spare.leased_until > now + SLOT_LEASE / 2;
        let is_good =
            |spare: &Spare| spare.number < limit && is_leased(spare) && is_open(spare) && fits(spare);
        // whose connection is kept, rather than one without; and that which waited least, as is done with connections
        let at = local.spare.iter().rposition(|spare| spare.kept.is_some() && is_good(spare));
        let at = at.or_else(|| local.spare.iter().rposition(is_good))?;
        let Spare { number, leased_until, kept, .. } = local.spare.remove(at);
        local.held.insert(number);
        Some(self.slot(key, number, leased_until, kept))
    }

    /// Gives back all that is spare.
    pub(in super::super) async fn give_all_back(&self) {
        join_all(self.take_out(|_| true).into_iter().map(Slot::abandon)).await;
    }

    /// Takes out what is spare and `is_due`.
    fn take_out(&self, is_due: impl Fn(&Spare) -> bool) -> Vec<Slot> {
        let mut all = Vec::new();
        for (key, local) in &mut self.lock().sites {
            let due: Vec<Spare> = local.spare.extract_if(.., |spare| is_due(spare)).collect();
            for Spare { number, leased_until, kept, .. } in due {
                local.held.insert(number);
                all.push(self.slot(key, number, leased_until, kept));
            }
        }
        all
    }

    /// Gives back what has been spare for long enough, and renews the leases of the rest, until nothing is spare.
    async fn tend(self) {
        loop {
            self.ports.clock.sleep(SLOT_PAUSE).await;
            let now = self.ports.clock.now();
            join_all(self.take_out(|spare| spare.until <= now).into_iter().map(Slot::abandon)).await;
            let old = self.take_out(|spare| spare.leased_until <= now + SLOT_LEASE * 2 / 3);
            join_all(old.into_iter().map(Slot::renew)).await;
            let mut state = self.lock();
            if state.sites.values().all(|local| local.spare.is_empty()) {
                state.tended = false;
                return;
            }
        }
    }
}

impl Slot {
    /// Whether it came with a connection to `site`.
    pub(in super::super) fn has_kept(&self, site: &Site) -> bool {
        self.kept.as_ref().is_some_and(|kept| kept.site == *site)
    }

    /// The other site to which a connection is kept that must make room for one that goes to `site`.
    pub fn displaces(&self, site: &Site) -> Option<&Site> {
        self.kept.as_ref().map(|kept| &kept.site).filter(|kept| *kept != site)
    }

    /// Leaves the place, with its claim, in this process, for the connection that `stays`, or for somebody who waits; `false` where there
    /// is neither.
    pub(super) fn lay_by(&mut self, stays: impl FnOnce(&[Spare]) -> Option<Kept>) -> bool {
        let now = self.slots.ports.clock.now();
        let mut state = self.slots.lock();
        let Some(local) = state.sites.get_mut(&self.key) else { return false };
        let kept = stays(&local.spare);
        let unmet = local.waiting > local.spare.len();
        let until = match &kept {
            // who takes leave waits a moment for the answer
            Some(kept) => kept.until + SLOT_GRACE,
            None if unmet => now + SLOT_PAUSE * 2,
            None => return false,
        };
        local.held.remove(&self.number);
        local.spare.push(Spare { number: self.number, leased_until: self.leased_until, kept, until });
        local.call_next();
        self.passed_on = true;
        if !std::mem::replace(&mut state.tended, true) {
            tokio::spawn(self.slots.clone().tend());
        }
        true
    }

    /// Renews the lease of a place that is spare, which it is again then.
    async fn renew(mut self) {
        let Ports { deliveries, clock, holder, .. } = self.slots.ports.as_ref();
        let now = clock.now();
        match deliveries.claim(&name(&self.key, self.number), holder, now, SLOT_LEASE).await {
            Ok(Claim::Taken { .. }) => self.leased_until = now + SLOT_LEASE,
            Ok(Claim::Held { .. } | Claim::Finished) => return,
            // until its lease runs out it is tried again
            Err(_) if self.leased_until <= now => return,
            Err(_) => {}
        }
        let kept = self.kept.take();
        if !self.lay_by(|_| kept) {
            self.abandon().await;
        }
    }
}
