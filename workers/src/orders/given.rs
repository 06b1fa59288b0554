//! The orders that there are, read now and then.

use std::collections::HashMap;
use std::sync::Arc;

use shared::directory::OrderEntry;
use shared::job::Delivery;
use shared::mail::{Domain, MessageId, TenantId, Timestamp};
use shared::order::{Hand, Order, OrderId};
use shared::port::{Clock, DeliveryState, Directory, EntryKind, PortResult};
use tokio::sync::Mutex;

use crate::limits::{ORDERS_FRESH, ORDERS_MAX, ORDERS_PAGE};

/// The orders of the directory, as they were not long ago.
pub struct Orders {
    directory: Arc<dyn Directory>,
    clock: Arc<dyn Clock>,
    known: Mutex<Option<(Timestamp, Arc<Given>)>>,
}

/// The orders of one moment.
#[derive(Debug, Default)]
pub struct Given {
    /// Those for single messages.
    of_messages: HashMap<MessageId, Vec<Arc<OrderEntry>>>,
    others: Vec<Arc<OrderEntry>>,
    /// The latest, as far as there is one.
    latest: Option<OrderId>,
}

/// What is kept of a delivery under way, to tell whether a new order may be for it.
pub(crate) struct Trait {
    message: MessageId,
    domain: Domain,
    tenant: TenantId,
}

impl From<&Delivery> for Trait {
    fn from(delivery: &Delivery) -> Self {
        let (key, tenant) = (&delivery.key, delivery.tenant.clone());
        Self { message: key.message, domain: key.domain.clone(), tenant }
    }
}

/// Every order in `directory` that is kept at `now`, the oldest first; at most [`ORDERS_MAX`]. One that cannot be read is passed over.
pub async fn read(directory: &dyn Directory, now: Timestamp) -> PortResult<Vec<OrderEntry>> {
    let mut orders = Vec::new();
    let mut after: Option<String> = None;
    loop {
        let page = directory.list(EntryKind::Order, after.as_deref(), ORDERS_PAGE).await?;
        let full = page.len() >= ORDERS_PAGE;
        after = page.last().map(|last| last.name.clone());
        for entry in page {
            match OrderEntry::try_from(entry) {
                Ok(order) if order.kept_until > now => orders.push(order),
                Ok(_) => {}
                Err(error) => tracing::error!(%error, "an order is passed over"),
            }
        }
        if !full || orders.len() >= ORDERS_MAX {
            orders.truncate(ORDERS_MAX);
            return Ok(orders);
        }
    }
}

impl Orders {
    /// Nothing is read yet.
    pub fn new(directory: Arc<dyn Directory>, clock: Arc<dyn Clock>) -> Self {
        Self { directory, clock, known: Mutex::default() }
    }

    /// The orders as they were [`ORDERS_FRESH`] ago at most; older ones where they cannot be read. An error where they never could.
    pub async fn current(&self) -> PortResult<Arc<Given>> {
        let mut known = self.known.lock().await;
        let now = self.clock.now();
        if let Some((read_at, given)) = &*known
            && *read_at <= now
            && now.since(*read_at) < ORDERS_FRESH
        {
            return Ok(Arc::clone(given));
        }
        let given = match (read(&*self.directory, now).await, &*known) {
            (Ok(orders), _) => Arc::new(Given::from(orders)),
            (Err(cause), Some((_, old))) => {
                tracing::warn!(cause = cause.chain(), "orders could not be read; those known are gone by");
                Arc::clone(old)
            }
            (Err(cause), None) => return Err(cause),
        };
        *known = Some((now, Arc::clone(&given)));
        Ok(given)
    }
}

impl From<Vec<OrderEntry>> for Given {
    fn from(orders: Vec<OrderEntry>) -> Self {
        let mut given = Self::default();
        for order in orders.into_iter().map(Arc::new) {
            given.latest = given.latest.max(Some(order.order.id.clone()));
            if order.filter.messages.is_empty() {
                given.others.push(order);
                continue;
            }
            for message in &order.filter.messages {
                given.of_messages.entry(*message).or_default().push(Arc::clone(&order));
            }
        }
        given
    }
}

impl Given {
    /// Whether an order says that one of `deliveries` is not to be tried as its job says.
    pub(crate) fn concerns(&self, deliveries: &[Delivery]) -> bool {
        let is_other = |order: &OrderEntry, delivery: &Delivery| match order.order.hand {
            Hand::Retry | Hand::Release => false,
            Hand::Hold { .. } | Hand::Bounce { .. } | Hand::Reroute { .. } => {
                order.filter.matches_untried(delivery)
            }
        };
        self.latest.is_some()
            && deliveries
                .iter()
                .any(|delivery| self.about(delivery.key.message).any(|order| is_other(order, delivery)))
    }

    /// The orders for `delivery` that its item, where there is one, does not know yet: those that ask nothing of its state, which whoever
    /// gave them has looked at. To try it now is no order for whoever is about to.
    pub(crate) fn new_to(&self, delivery: &Delivery, state: Option<&DeliveryState>) -> Vec<Order> {
        let tried = state.is_some_and(|state| !state.attempts.is_empty());
        let known = state.map_or(&[][..], |state| &state.orders);
        let is_new = |OrderEntry { order, filter, .. }: &OrderEntry| {
            order.hand != Hand::Retry
                && known.iter().all(|known| known.id != order.id)
                && (!tried || filter.status.is_none())
                && filter.matches_untried(delivery)
        };
        let orders = self.about(delivery.key.message).filter(|order| is_new(order));
        let mut orders: Vec<Order> = orders.map(|order| order.order.clone()).collect();
        orders.sort_by(|a, b| a.id.cmp(&b.id));
        orders
    }

    fn about(&self, message: MessageId) -> impl Iterator<Item = &OrderEntry> {
        let own = self.of_messages.get(&message).into_iter().flatten();
        own.chain(&self.others).map(Arc::as_ref)
    }

    /// Whether an order that came later than all of `earlier` may be for one of `under_way`.
    pub(crate) fn has_news(&self, earlier: &Self, under_way: &[Trait]) -> bool {
        if self.latest <= earlier.latest {
            return false;
        }
        let is_new = |order: &OrderEntry| Some(&order.order.id) > earlier.latest.as_ref();
        under_way.iter().any(|one| {
            self.about(one.message).filter(|order| is_new(order)).any(|OrderEntry { filter, .. }| {
                filter.tenant.as_ref().is_none_or(|tenant| *tenant == one.tenant)
                    && filter.destination.as_ref().is_none_or(|pattern| pattern.matches(&one.domain))
            })
        })
    }
}
