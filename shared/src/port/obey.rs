//! What orders make of an item, the same in every store.

use super::{DeliveryState, RecipientState, RecipientStatus, Untried};
use crate::limits::ORDERS_KEPT;
use crate::mail::{Mailbox, Timestamp};
use crate::order::{Hand, Order};

/// What the orders on a delivery come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing<'a> {
    /// It is tried when it is due.
    Free,
    /// It is not tried before then.
    Held {
        /// When the hold ends; where nobody said, when the delivery expires.
        until: Timestamp,
    },
    /// It is to be given up.
    Returned {
        /// Why.
        reason: &'a str,
    },
}

impl DeliveryState {
    /// The item of a delivery that has no other, and that no attempt has ended at.
    pub fn untried(Untried { delivery, due_at, .. }: Untried) -> Self {
        let waiting = |address: &Mailbox| RecipientState {
            address: address.clone(),
            status: RecipientStatus::Deferred,
            reply: None,
            failure: None,
            report: None,
            untold: None,
        };
        Self {
            key: delivery.key.clone(),
            tenant: delivery.tenant.clone(),
            from: delivery.from.clone(),
            return_path: delivery.return_path.clone(),
            subject: delivery.subject.clone(),
            size: delivery.length,
            signed: delivery.signed.clone(),
            unsigned: delivery.unsigned.clone(),
            accepted_at: delivery.accepted_at,
            expires_at: delivery.expires_at,
            held_until: None,
            waiting: None,
            recipients: delivery.recipients.iter().map(|recipient| waiting(&recipient.address)).collect(),
            attempts: Vec::new(),
            orders: Vec::new(),
            original: None,
            feedback: Vec::new(),
            due_at: Some(due_at),
            pending: Some(Box::new(delivery)),
        }
    }

    /// What the orders come to, the latest before all others.
    pub fn standing(&self) -> Standing<'_> {
        let stands = |order: &'_ Order| !matches!(order.hand, Hand::Retry | Hand::Reroute { .. });
        match self.orders.iter().rfind(|order| stands(order)).map(|order| &order.hand) {
            Some(Hand::Hold { until }) => {
                Standing::Held { until: until.unwrap_or(self.expires_at).min(self.expires_at) }
            }
            Some(Hand::Bounce { reason }) => Standing::Returned { reason },
            Some(Hand::Release | Hand::Retry | Hand::Reroute { .. }) | None => Standing::Free,
        }
    }

    /// Whether an operator holds it at `now`.
    pub fn is_held_by_order(&self, now: Timestamp) -> bool {
        self.pending.is_some() && matches!(self.standing(), Standing::Held { until } if until > now)
    }

    /// The route that an operator has given it.
    pub fn route(&self) -> Option<&str> {
        self.orders.iter().rev().find_map(|order| match &order.hand {
            Hand::Reroute { route } => Some(route.as_str()),
            Hand::Retry | Hand::Hold { .. } | Hand::Release | Hand::Bounce { .. } => None,
        })
    }

    /// Takes an order in, if it is not settled; one that is known changes nothing, but that a hold holds again. Tells whether the item
    /// has changed.
    pub fn obey(&mut self, order: &Order, now: Timestamp) -> bool {
        if self.pending.is_none() {
            return false;
        }
        let before = self.due_at;
        let place = self.orders.binary_search_by(|known| known.id.cmp(&order.id));
        if let Err(place) = place {
            self.orders.insert(place, order.clone());
            self.forget_orders();
        }
        let new = place.is_err();
        let held = self.is_held_by_order(now);
        match (&order.hand, self.standing()) {
            // what its sender holds is not the operator's to send
            (Hand::Retry, _) if new && !held && !self.is_held() => self.due_by(now),
            (Hand::Release, Standing::Free) if new && !self.is_held() => self.due_by(now),
            (Hand::Bounce { .. }, Standing::Returned { .. }) if new => self.due_by(now),
            (Hand::Hold { .. }, Standing::Held { until }) if held && !self.is_held() => {
                self.due_at = Some(until);
            }
            _ => {}
        }
        self.reroute();
        new || self.due_at != before
    }

    /// After an attempt at `now`: what an order has said meanwhile goes before what the attempt left.
    pub(super) fn obey_standing(&mut self, now: Timestamp) {
        if self.pending.is_none() {
            return;
        }
        match self.standing() {
            Standing::Held { until } if until > now => self.due_at = Some(until),
            Standing::Returned { .. } => self.due_by(now),
            Standing::Held { .. } | Standing::Free => {}
        }
        self.reroute();
    }

    fn due_by(&mut self, now: Timestamp) {
        self.due_at = self.due_at.map(|at| at.min(now));
    }

    fn reroute(&mut self) {
        let route = self.route().map(str::to_owned);
        if let (Some(route), Some(pending)) = (route, &mut self.pending) {
            pending.route = Some(route);
        }
    }

    /// Of too many orders, those go that nothing hangs on any more.
    fn forget_orders(&mut self) {
        while self.orders.len() > ORDERS_KEPT {
            let last = |pick: fn(&Hand) -> bool| self.orders.iter().rposition(|order| pick(&order.hand));
            let stands = last(|hand| !matches!(hand, Hand::Retry | Hand::Reroute { .. }));
            let routes = last(|hand| matches!(hand, Hand::Reroute { .. }));
            let idle = (0..self.orders.len()).find(|at| Some(*at) != stands && Some(*at) != routes);
            self.orders.remove(idle.unwrap_or(0));
        }
    }
}

#[cfg(test)]
mod tests;
