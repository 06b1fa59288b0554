//! Connections to be had: the most urgent first (RFC 6710 §4: priority orders the work, and takes nothing from anybody who has it), among
//! equals a turn for each tenant, and some always left for a tenant who has none.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use shared::mail::TenantId;
use tokio::sync::oneshot;

use super::waiting::Waiting;
use crate::fairness;

/// So many permits, and whoever waits for one.
pub(super) struct Permits(Arc<Mutex<State>>);

struct State {
    free: usize,
    /// How many each tenant has; nobody is in it with none.
    held: HashMap<TenantId, usize>,
    waiting: Waiting<oneshot::Sender<Permit>>,
}

/// One of the permits. Dropped, it goes to the next.
pub(super) struct Permit(Option<(Arc<Mutex<State>>, TenantId)>);

impl Permits {
    pub(super) fn new(count: usize) -> Self {
        let (held, waiting) = (HashMap::new(), Waiting::default());
        Self(Arc::new(Mutex::new(State { free: count, held, waiting })))
    }

    /// Waits for a permit. To stop waiting is to drop this.
    pub(super) async fn acquire(&self, priority: i8, tenant: &TenantId) -> Permit {
        let waiting = {
            let mut state = lock(&self.0);
            // who may have one does not wait: whoever waits may not
            if state.may_have(tenant) {
                return state.give(&self.0, tenant.clone());
            }
            let (to, waiting) = oneshot::channel();
            state.waiting.push(priority, tenant.clone(), to);
            waiting
        };
        match waiting.await {
            Ok(permit) => permit,
            // the queue is never dropped while somebody waits in it; and if it were, nobody would count permits
            Err(_) => Permit(None),
        }
    }
}

impl State {
    fn may_have(&self, tenant: &TenantId) -> bool {
        fairness::may_have(self.held.get(tenant).copied().unwrap_or(0), self.free)
    }

    fn give(&mut self, all: &Arc<Mutex<State>>, tenant: TenantId) -> Permit {
        self.free -= 1;
        *self.held.entry(tenant.clone()).or_default() += 1;
        Permit(Some((Arc::clone(all), tenant)))
    }

    fn take_back(&mut self, tenant: &TenantId) {
        self.free += 1;
        if let Some(held) = self.held.get_mut(tenant) {
            *held -= 1;
            if *held == 0 {
                self.held.remove(tenant);
            }
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let Some((all, tenant)) = self.0.take() else { return };
        let mut freed = Some(tenant);
        loop {
            let next = {
                let mut state = lock(&all);
                if let Some(tenant) = freed.take() {
                    state.take_back(&tenant);
                }
                let State { free, held, waiting } = &mut *state;
                let may_have =
                    |tenant: &TenantId| fairness::may_have(held.get(tenant).copied().unwrap_or(0), *free);
                let next = waiting.pop(may_have);
                next.map(|(tenant, to)| (to, state.give(&all, tenant)))
            };
            let Some((to, permit)) = next else { return };
            if let Err(mut unwanted) = to.send(permit) {
                // that one has stopped waiting, and its permit must not come back by itself
                freed = unwanted.0.take().map(|(_, tenant)| tenant);
            }
        }
    }
}

fn lock(state: &Mutex<State>) -> std::sync::MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
