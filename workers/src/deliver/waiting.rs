//! Those who wait: by urgency, and then a turn for each tenant, in the order in which they came.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};

use shared::mail::TenantId;
use tokio::sync::oneshot::Sender;

use super::Permit;

/// Somebody who waits.
pub(super) struct Waiter {
    pub(super) tenant: TenantId,
    pub(super) to: Sender<Permit>,
}

/// Each operation costs a time that grows with the logarithm of the number of tenants, and not with the number of those who wait.
#[derive(Default)]
pub(super) struct Waiting(BTreeMap<Reverse<i8>, Class>);

/// Those of one priority.
#[derive(Default)]
struct Class {
    /// Grows by one with each turn that is taken or begins.
    turns: u64,
    /// Whose turn it is: the least first. One a tenant.
    order: BTreeSet<(u64, TenantId)>,
    waiting: HashMap<TenantId, VecDeque<Sender<Permit>>>,
}

impl Waiting {
    pub(super) fn push(&mut self, priority: i8, tenant: TenantId, to: Sender<Permit>) {
        self.0.entry(Reverse(priority)).or_default().push(tenant, to);
    }

    /// Takes out who is next of those that `may_have` a permit.
    pub(super) fn pop(&mut self, may_have: impl Fn(&TenantId) -> bool) -> Option<Waiter> {
        let (priority, next) =
            self.0.iter_mut().find_map(|(priority, class)| Some((*priority, class.pop(&may_have)?)))?;
        if self.0.get(&priority).is_some_and(|class| class.order.is_empty()) {
            self.0.remove(&priority);
        }
        Some(next)
    }
}

impl Class {
    fn push(&mut self, tenant: TenantId, to: Sender<Permit>) {
        if let Some(own) = self.waiting.get_mut(&tenant) {
            own.push_back(to);
            return;
        }
        self.turns += 1;
        self.order.insert((self.turns, tenant.clone()));
        self.waiting.insert(tenant, VecDeque::from([to]));
    }

    fn pop(&mut self, may_have: impl Fn(&TenantId) -> bool) -> Option<Waiter> {
        let next = self.order.iter().find(|(_, tenant)| may_have(tenant))?.clone();
        self.order.remove(&next);
        let (_, tenant) = next;
        let own = self.waiting.get_mut(&tenant)?;
        let to = own.pop_front()?;
        if own.is_empty() {
            self.waiting.remove(&tenant);
        } else {
            self.turns += 1;
            self.order.insert((self.turns, tenant.clone()));
        }
        Some(Waiter { tenant, to })
    }
}
