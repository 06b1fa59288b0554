//! The seam between the stage and what carries mail out.

use std::sync::Arc;

use async_trait::async_trait;
use shared::job::Delivery;
use shared::mail::{Domain, TenantId, Timestamp};
use tokio::sync::mpsc::Sender;

use super::{Rule, Site, Source, Tried};

/// What carries mail out of the edge.
#[async_trait]
pub trait Transport: Send + Sync {
    /// The site that mail for `domain` is taken to by the route of `rule`; `None` where there is none. An error says why it cannot be told
    /// now.
    async fn site(&self, rule: Rule<'_>, domain: &Domain) -> Result<Option<Site>, String> {
        let _ = (rule, domain);
        Ok(None)
    }

    /// The source that the mail of `tenant` leaves from; `None` is wherever the system sends it from.
    fn source(&self, tenant: &TenantId) -> Option<Arc<Source>> {
        let _ = tenant;
        None
    }

    /// Until when each of the connections is kept that wait for the next message to `site` from `source`.
    fn kept(&self, site: &Site, source: Option<&Source>) -> Vec<Timestamp> {
        let _ = (site, source);
        Vec::new()
    }

    /// Closes the one of them that has waited longest; returns once it is closed.
    async fn part(&self, site: &Site, source: Option<&Source>) {
        let _ = (site, source);
    }

    /// Makes one attempt at each of `deliveries`, one after the other, and hands each to `tried` exactly once, as
    /// soon as its outcome is known. A place in `tried` is reserved before an attempt begins: once `tried` is closed none begins,
    /// those under way are finished and handed over, and somebody else makes the others. All leave by the route of `rule`; for
    /// [`Route::Mx`](super::Route::Mx) they have one domain, and for [`Route::Discard`](super::Route::Discard) `rule` is that of
    /// them all.
    async fn attempt(&self, rule: Rule<'_>, deliveries: Vec<Delivery>, tried: &Sender<Tried>);
}
