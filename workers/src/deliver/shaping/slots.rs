//! Connections at a time, over all workers: each has a place at its site, which is a claim with a lease. A worker that dies keeps its
//! places until their leases end, and no longer. The limit is exceeded only by connections that were open when it fell, and by those of a
//! worker that could not renew their leases in time, as when it was stopped for a minute: each of them is told in the log.
//!
//! A connection that is kept for the next message holds its place all the while: the place is spare then, and whoever takes it has
//! the connection, too.

mod spare;

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use shared::mail::Timestamp;
use shared::port::{Claim, Clock, Deliveries, Ids};
use tokio::sync::oneshot;

use self::spare::{Kept, Spare};
use super::{Patience, Site};
use crate::deliver::waiting::Waiting;
use crate::limits::shaping::{SLOT_LEASE, SLOT_PAUSE, SLOT_PROBES_MAX};

/// The places of this process.
#[derive(Clone)]
pub(super) struct Slots {
    ports: Arc<Ports>,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    sites: HashMap<String, Local>,
    /// Whether somebody sees to what is spare.
    tended: bool,
}

struct Ports {
    deliveries: Arc<dyn Deliveries>,
    clock: Arc<dyn Clock>,
    ids: Arc<dyn Ids>,
    /// The name of this process in its claims.
    holder: String,
}

/// What this process has at one site.
#[derive(Default)]
struct Local {
    held: BTreeSet<u32>,
    /// Places that were given back here, are claimed still, and nobody has yet.
    spare: Vec<Spare>,
    /// How many wait for one, and who is next.
    waiting: usize,
    next: Waiting<oneshot::Sender<()>>,
    /// Until when no place is looked for: a moment ago there was none.
    full_until: Option<Timestamp>,
}

impl Local {
    /// Tells whoever is next of those who wait that there may be a place.
    fn call_next(&mut self) {
        while let Some((_, to)) = self.next.pop(|_| true) {
            if to.send(()).is_ok() {
                return;
            }
        }
    }

    fn is_idle(&self) -> bool {
        self.held.is_empty() && self.spare.is_empty() && self.waiting == 0
    }
}

/// A place at a site. Whoever has it may have one connection.
pub struct Slot {
    slots: Slots,
    key: String,
    number: u32,
    leased_until: Timestamp,
    since: Timestamp,
    /// The kept connection that came with it, until it is used.
    kept: Option<Kept>,
    passed_on: bool,
    /// Whether it is somebody else's by now: nobody may have it after this one.
    lost: bool,
}

impl Slots {
    pub(super) fn new(deliveries: Arc<dyn Deliveries>, clock: Arc<dyn Clock>, ids: Arc<dyn Ids>) -> Self {
        let holder = format!("shaper {:016x}", ids.random());
        Self { ports: Arc::new(Ports { deliveries, clock, ids, holder }), state: Arc::default() }
    }

    /// Takes one of `limit` places at the site that is counted under `key`, for a connection to `site`; `None` where none was found.
    pub(super) async fn take(&self, key: &str, limit: u32, site: &Site) -> Option<Slot> {
        let own = |spare: &Spare| spare.kept.as_ref().is_none_or(|kept| kept.site == *site);
        if let Some(slot) = self.spare(key, limit, own) {
            return Some(slot);
        }
        if !self.is_full(key)
            && let Some(slot) = self.claim_one(key, limit).await
        {
            return Some(slot);
        }
        // one that is kept to another site of those that are counted together makes room
        self.spare(key, limit, |_| true)
    }

    /// Claims a place that nobody has.
    async fn claim_one(&self, key: &str, limit: u32) -> Option<Slot> {
        let Ports { deliveries, clock, ids, holder } = self.ports.as_ref();
        let first = u32::try_from(ids.random() % u64::from(limit.max(1))).unwrap_or(0);
        let mut probes = 0;
        for step in 0..limit {
            let number = (first + step) % limit;
            let Some(slot) = self.hold(key, number, clock.now() + SLOT_LEASE) else { continue };
            match deliveries.claim(&name(key, number), holder, clock.now(), SLOT_LEASE).await {
                Ok(Claim::Taken { .. }) => return Some(slot),
                Ok(Claim::Held { .. } | Claim::Finished) => drop(slot),
                // a store that does not answer stops no mail: this process keeps to the limit by itself
                Err(cause) => {
                    tracing::warn!(
                        site = key,
                        cause = cause.chain(),
                        "a place at a site could not be claimed"
                    );
                    return Some(slot);
                }
            }
            probes += 1;
            if probes == SLOT_PROBES_MAX {
                break;
            }
        }
        // one look serves all who wait; of a site that nobody asks for any more, nothing stays
        let now = clock.now();
        let mut state = self.lock();
        state.sites.retain(|_, local| !local.is_idle() || local.full_until.is_some_and(|until| now < until));
        state.sites.entry(key.to_owned()).or_default().full_until = Some(now + SLOT_PAUSE);
        None
    }

    /// Whether somebody sees to what is spare.
    #[cfg(test)]
    pub(super) fn is_tended(&self) -> bool {
        self.lock().tended
    }

    fn is_full(&self, key: &str) -> bool {
        let now = self.ports.clock.now();
        let mut state = self.lock();
        let full = state.sites.get(key).and_then(|local| local.full_until).is_some_and(|until| now < until);
        if !full {
            state.forget_idle(key);
        }
        full
    }

    /// Notes that this process is about to have the place; `None` where it has it already.
    fn hold(&self, key: &str, number: u32, leased_until: Timestamp) -> Option<Slot> {
        let mut state = self.lock();
        let local = state.sites.entry(key.to_owned()).or_default();
        let free = local.spare.iter().all(|spare| spare.number != number) && local.held.insert(number);
        free.then(|| self.slot(key, number, leased_until, None))
    }

    fn slot(&self, key: &str, number: u32, leased_until: Timestamp, kept: Option<Kept>) -> Slot {
        let since = self.ports.clock.now();
        let (slots, key) = (self.clone(), key.to_owned());
        Slot { slots, key, number, leased_until, since, kept, passed_on: false, lost: false }
    }

    /// Returns when a place may have become free: of those who wait here, it is the turn of whoever waits by `patience`.
    pub(super) async fn wait(&self, key: &str, patience: &Patience) {
        let (to, turn) = oneshot::channel();
        {
            let mut state = self.lock();
            let local = state.sites.entry(key.to_owned()).or_default();
            local.waiting += 1;
            local.next.push(patience.priority, patience.tenant.clone(), to);
        }
        let counted = Counted { slots: self, key };
        tokio::select! {
            _ = turn => {}
            () = self.ports.clock.sleep(SLOT_PAUSE) => {}
        }
        drop(counted);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn forget_idle(&mut self, key: &str) {
        if self.sites.get(key).is_some_and(Local::is_idle) {
            self.sites.remove(key);
        }
    }
}

impl Slot {
    /// Renews the lease for as long as it is polled. It never returns.
    pub async fn keep(&mut self) {
        loop {
            let Ports { deliveries, clock, holder, .. } = self.slots.ports.as_ref();
            let left = self.leased_until.since(clock.now());
            clock.sleep(left.saturating_sub(SLOT_LEASE * 2 / 3)).await;
            let now = clock.now();
            match deliveries.claim(&name(&self.key, self.number), holder, now, SLOT_LEASE).await {
                Ok(Claim::Taken { .. }) => self.leased_until = now + SLOT_LEASE,
                Ok(Claim::Held { .. } | Claim::Finished) => {
                    tracing::warn!(
                        site = self.key,
                        "the place of a connection was lost; one is open beyond the limit"
                    );
                    (self.leased_until, self.lost) = (now + SLOT_LEASE, true);
                }
                Err(cause) => {
                    tracing::warn!(
                        site = self.key,
                        cause = cause.chain(),
                        "the place of a connection could not be kept"
                    );
                    clock.sleep(SLOT_PAUSE).await;
                }
            }
        }
    }

    /// How long it has been had.
    pub fn age(&self) -> std::time::Duration {
        self.slots.ports.clock.now().since(self.since)
    }

    /// Gives a place back that was not used: with the connection that it came with, to somebody who waits in this process, or to all.
    pub async fn give_back(mut self) {
        let kept = self.kept.take();
        if !self.lost && !self.lay_by(|_| kept) {
            self.abandon().await;
        }
    }

    /// The same after it was used, where this process keeps connections to `site` until the times of `kept`. As many places as those
    /// stay with it.
    pub(super) async fn leave(mut self, site: &Site, kept: impl FnOnce() -> Vec<Timestamp> + Send) {
        let stays = |spare: &[Spare]| {
            let kept = kept();
            let places =
                spare.iter().filter_map(|spare| spare.kept.as_ref()).filter(|kept| kept.site == *site);
            let mut places: Vec<Timestamp> = places.map(|kept| kept.until).collect();
            let mut kept = kept.to_vec();
            places.sort_unstable_by(|a, b| b.cmp(a));
            kept.sort_unstable_by(|a, b| b.cmp(a));
            // a place of one that is closed by now ends too soon for one that came later
            let are_held = kept.iter().enumerate().all(|(at, until)| places.get(at) >= Some(until));
            let until = *kept.first().filter(|_| !are_held)?;
            Some(Kept { site: site.clone(), until })
        };
        if !self.lost && !self.lay_by(stays) {
            self.abandon().await;
        }
    }

    async fn abandon(self) {
        let Ports { deliveries, holder, .. } = self.slots.ports.as_ref();
        if let Err(cause) = deliveries.abandon(&name(&self.key, self.number), holder).await {
            tracing::warn!(
                site = self.key,
                cause = cause.chain(),
                "a place could not be given back; it runs out"
            );
        }
        // only now may this process claim it anew: what was given up is not somebody else's claim
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        if self.passed_on {
            return;
        }
        let mut state = self.slots.lock();
        if let Some(local) = state.sites.get_mut(&self.key) {
            local.held.remove(&self.number);
            local.full_until = None;
        }
        state.forget_idle(&self.key);
    }
}

/// One who waits, counted out however the wait ends.
struct Counted<'a> {
    slots: &'a Slots,
    key: &'a str,
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        let mut state = self.slots.lock();
        if let Some(local) = state.sites.get_mut(self.key) {
            local.waiting = local.waiting.saturating_sub(1);
            local.next.retain(|to| !to.is_closed());
        }
        state.forget_idle(self.key);
    }
}

/// The name of the claim of a place.
fn name(key: &str, number: u32) -> String {
    format!("slot/{key}/{number}")
}
