use std::future::Future;
use std::time::Duration;

use async_trait::async_trait;

use crate::mail::Timestamp;

/// The time.
#[async_trait]
pub trait Clock: Send + Sync {
    /// The time of day.
    fn now(&self) -> Timestamp;

    /// Returns after `span`.
    async fn sleep(&self, span: Duration);
}

impl dyn Clock {
    /// What `work` comes to, or `None` where it takes longer than `limit`.
    pub async fn timeout<T>(&self, limit: Duration, work: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            biased;
            done = work => Some(done),
            () = self.sleep(limit) => None,
        }
    }
}
