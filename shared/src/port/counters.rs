use std::time::Duration;

use async_trait::async_trait;

use super::PortResult;
use crate::mail::Timestamp;

/// Tokens of named windows, shared by all who limit the same thing.
#[async_trait]
pub trait Counters: Send + Sync {
    /// Takes `n` tokens out of the window that `now` falls in, all or none.
    async fn take(&self, window: &Window, n: u64, now: Timestamp) -> PortResult<Taken>;
}

/// A limit: at most `limit` tokens in each span of `period`, counted from the epoch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Window {
    /// What is limited.
    pub name: String,
    /// Tokens a period; the limit in force is the one of the call.
    pub limit: u64,
    /// At least 1 s.
    pub period: Duration,
}

/// The answer to a take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    /// The tokens are yours.
    Granted {
        /// What is left in the window.
        left: u64,
    },
    /// There are not that many left.
    Exhausted {
        /// When the next window begins.
        until: Timestamp,
    },
}
