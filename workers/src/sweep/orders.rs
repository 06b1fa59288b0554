//! Orders of operators: the new ones are put on what they are for, and the old ones go away.

use shared::directory::OrderEntry;
use shared::port::{Entry, EntryKind, PortResult};

use super::{SweepPorts, SweepReport};
use crate::limits::{ORDERS_PAGE, ORDERS_SETTLE};
use crate::orders::apply;

/// Puts the orders of the last minutes on deliveries that do not know of them yet: whoever gave one may have gone away half way, and an
/// attempt may have ended meanwhile that knew nothing of it.
pub(super) async fn settle(ports: &SweepPorts, report: &mut SweepReport) {
    let now = ports.clock.now();
    let new = match sort_out(ports).await {
        Ok(new) => new,
        Err(cause) => return report.failed("the orders could not be read", &cause),
    };
    if new.is_empty() {
        return;
    }
    match apply(&*ports.deliveries, &new, now, |_| true).await {
        Ok(applied) => {
            report.ordered += usize::try_from(applied.deliveries).unwrap_or(usize::MAX);
            for cause in applied.failed {
                report.failed("an order could not be put on a delivery", &cause);
            }
        }
        Err(cause) => report.failed("orders could not be put on what they are for", &cause),
    }
}

/// The orders of the last minutes. Those that are over are deleted.
async fn sort_out(ports: &SweepPorts) -> PortResult<Vec<OrderEntry>> {
    let now = ports.clock.now();
    let (mut new, mut after) = (Vec::new(), None);
    loop {
        let page: Vec<Entry> = ports.directory.list(EntryKind::Order, after.as_deref(), ORDERS_PAGE).await?;
        let full = page.len() >= ORDERS_PAGE;
        after = page.last().map(|last| last.name.clone());
        for entry in page {
            let name = entry.name.clone();
            match OrderEntry::try_from(entry) {
                Ok(order) if order.kept_until <= now => {
                    ports.directory.delete(EntryKind::Order, &name).await?;
                }
                Ok(order) if now.since(order.order.at) <= ORDERS_SETTLE => new.push(order),
                Ok(_) => {}
                Err(error) => tracing::error!(%error, "an order is passed over"),
            }
        }
        if !full {
            return Ok(new);
        }
    }
}
