//! Those who wait: by urgency (RFC 6710), and then a turn for each tenant, in the order in which they came.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};

use shared::mail::TenantId;

/// Those who wait, each to be told by a `T`. To come and to be next cost a time that grows with the logarithm of the number of tenants,
/// and not with the number of those who wait.
pub(super) struct Waiting<T>(BTreeMap<Reverse<i8>, Class<T>>);

/// Those of one priority.
struct Class<T> {
    /// Grows by one with each turn that is taken or begins.
    turns: u64,
    /// Whose turn it is: the least first. One a tenant.
    order: BTreeSet<(u64, TenantId)>,
    waiting: HashMap<TenantId, VecDeque<T>>,
}

impl<T> Default for Waiting<T> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<T> Waiting<T> {
    pub(super) fn push(&mut self, priority: i8, tenant: TenantId, to: T) {
        let new = || Class { turns: 0, order: BTreeSet::new(), waiting: HashMap::new() };
        self.0.entry(Reverse(priority)).or_insert_with(new).push(tenant, to);
    }

    /// Takes out who is next of those that `may_have` what is waited for.
    pub(super) fn pop(&mut self, may_have: impl Fn(&TenantId) -> bool) -> Option<(TenantId, T)> {
        let (priority, next) =
            self.0.iter_mut().find_map(|(priority, class)| Some((*priority, class.pop(&may_have)?)))?;
        if self.0.get(&priority).is_some_and(|class| class.order.is_empty()) {
            self.0.remove(&priority);
        }
        Some(next)
    }

    /// Lets those go who wait no more. Costs a time that grows with the number of those who wait.
    pub(super) fn retain(&mut self, still: impl Fn(&T) -> bool) {
        self.0.retain(|_, class| {
            class.waiting.retain(|_, own| {
                own.retain(&still);
                !own.is_empty()
            });
            class.order.retain(|(_, tenant)| class.waiting.contains_key(tenant));
            !class.order.is_empty()
        });
    }
}

impl<T> Class<T> {
    fn push(&mut self, tenant: TenantId, to: T) {
        if let Some(own) = self.waiting.get_mut(&tenant) {
            own.push_back(to);
            return;
        }
        self.turns += 1;
        self.order.insert((self.turns, tenant.clone()));
        self.waiting.insert(tenant, VecDeque::from([to]));
    }

    fn pop(&mut self, may_have: impl Fn(&TenantId) -> bool) -> Option<(TenantId, T)> {
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
        Some((tenant, to))
    }
}
