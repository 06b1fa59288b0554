//! The seam between the stage and what carries mail out.

use async_trait::async_trait;
use shared::job::Delivery;
use tokio::sync::mpsc::Sender;

use super::{Route, Tried};

/// What carries mail out of the edge.
#[async_trait]
pub trait Transport: Send + Sync {
    /// Makes one attempt at each of `deliveries`, one after the other, and hands each to `tried` exactly once, as
    /// soon as its outcome is known. All leave by `route`; for [`Route::Mx`] they have one domain.
    ///
    /// It may be dropped between two deliveries: those that were not handed over are tried again by somebody else.
    async fn attempt(&self, route: &Route, deliveries: Vec<Delivery>, tried: &Sender<Tried>);
}
