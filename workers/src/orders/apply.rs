//! An order, put on the mail that waits in the state.

use shared::directory::OrderEntry;
use shared::mail::{MessageId, Timestamp};
use shared::port::{DUE_SHARDS, Deliveries, DeliveryState, Ordered, PendingCursor, PortError, PortResult};

use crate::limits::{ORDERS_PAGE, RECORDS_MAX};

/// What became of an order.
#[derive(Debug, Default)]
pub struct Applied {
    /// Deliveries that know of it now.
    pub deliveries: u64,
    /// Those that could not be written.
    pub failed: Vec<PortError>,
}

/// Puts each of `orders` on every delivery in the state that it is for, and that is not settled. `each` is told of every
/// delivery with the orders for it, before they are put on it; one that it answers `false` for is passed over.
pub async fn apply(
    deliveries: &dyn Deliveries,
    orders: &[OrderEntry],
    now: Timestamp,
    mut each: impl FnMut(&DeliveryState) -> bool + Send,
) -> PortResult<Applied> {
    let mut applied = Applied::default();
    let (of_messages, others): (Vec<_>, Vec<_>) =
        orders.iter().partition(|order| !order.filter.messages.is_empty());
    let mut messages: Vec<MessageId> =
        of_messages.iter().flat_map(|order| order.filter.messages.iter().copied()).collect();
    messages.sort_unstable();
    messages.dedup();
    for message in messages {
        let states = deliveries.message(message).await?;
        put(deliveries, &of_messages, states, now, &mut each, &mut applied).await?;
    }
    if others.is_empty() {
        return Ok(applied);
    }
    for shard in 0..DUE_SHARDS {
        let mut after = None;
        loop {
            let page = deliveries.pending(shard, after.take(), ORDERS_PAGE).await?;
            let full = page.len() >= ORDERS_PAGE;
            after = page
                .last()
                .and_then(|last| Some(PendingCursor { due_at: last.due_at?, key: last.key.clone() }));
            put(deliveries, &others, page, now, &mut each, &mut applied).await?;
            if !full || after.is_none() {
                break;
            }
        }
    }
    Ok(applied)
}

async fn put(
    deliveries: &dyn Deliveries,
    orders: &[&OrderEntry],
    states: Vec<DeliveryState>,
    now: Timestamp,
    each: &mut (impl FnMut(&DeliveryState) -> bool + Send),
    applied: &mut Applied,
) -> PortResult<()> {
    let mut ordered = Vec::new();
    for state in states {
        let is_new = |order: &OrderEntry| state.orders.iter().all(|known| known.id != order.order.id);
        let own = orders.iter().filter(|order| is_new(order) && order.filter.matches(&state, now));
        let own: Vec<_> = own.map(|order| order.order.clone()).collect();
        if !own.is_empty() && each(&state) {
            ordered.push(Ordered { key: state.key, orders: own, now, untried: None });
        }
    }
    let mut ordered = ordered.into_iter().peekable();
    while ordered.peek().is_some() {
        let batch: Vec<Ordered> = ordered.by_ref().take(RECORDS_MAX).collect();
        for answer in deliveries.order(batch).await? {
            match answer {
                // settled meanwhile, it is no longer the order's
                Ok(state) => {
                    let waits = state.is_some_and(|state| state.pending.is_some());
                    applied.deliveries += u64::from(waits);
                }
                Err(cause) => applied.failed.push(cause),
            }
        }
    }
    Ok(())
}
