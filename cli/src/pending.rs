//! Every delivery that is not settled, a page at a time.

use shared::port::{DUE_SHARDS, Deliveries, DeliveryState, PendingCursor, PortResult};

use crate::limits::PENDING_PAGE;

/// Shows `take` each of them, by shard and due time.
pub(crate) async fn each(deliveries: &dyn Deliveries, mut take: impl FnMut(DeliveryState)) -> PortResult<()> {
    for shard in 0..DUE_SHARDS {
        let mut after = None;
        loop {
            let page = deliveries.pending(shard, after.take(), PENDING_PAGE).await?;
            let full = page.len() >= PENDING_PAGE;
            after = page
                .last()
                .and_then(|state| Some(PendingCursor { due_at: state.due_at?, key: state.key.clone() }));
            page.into_iter().for_each(&mut take);
            if !full || after.is_none() {
                break;
            }
        }
    }
    Ok(())
}
