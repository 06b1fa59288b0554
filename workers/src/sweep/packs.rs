use shared::mail::{PackId, Timestamp};
use shared::port::PackInfo;

use super::{PackRetention, SweepPorts, SweepReport};
use crate::limits::{PACK_PAGE, PACK_PAGES_MAX};

/// A walk through all packs, some of them in each sweep.
pub(super) struct PackWalk {
    /// When the next walk begins.
    next_at: Timestamp,
    /// Where the last sweep stopped.
    after: Option<PackId>,
}

impl PackWalk {
    pub(super) fn new(next_at: Timestamp) -> Self {
        Self { next_at, after: None }
    }

    /// Looks through the next packs and deletes those that are too old.
    pub(super) async fn go_on(
        &mut self,
        ports: &SweepPorts,
        retention: PackRetention,
        report: &mut SweepReport,
    ) {
        let now = ports.clock.now();
        if now < self.next_at {
            return;
        }
        let old = now - retention.keep;
        for _ in 0..PACK_PAGES_MAX {
            let page = match ports.spool.list(self.after, PACK_PAGE).await {
                Ok(page) => page,
                Err(cause) => return report.failed("the packs could not be listed", &cause),
            };
            let Some(last) = page.last() else {
                *self = Self::new(now + retention.pause);
                return;
            };
            self.after = Some(last.id);
            // a held message is tried from its release on
            let aged_from = |pack: &&PackInfo| pack.id.held_until().max(Some(pack.written_at));
            for pack in page.iter().filter(|pack| aged_from(pack) < Some(old)) {
                match ports.spool.delete(pack.id).await {
                    Ok(()) => report.packs_deleted += 1,
                    Err(cause) => report.failed("an old pack could not be deleted", &cause),
                }
            }
        }
    }
}
