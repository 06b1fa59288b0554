use std::time::Duration;

use async_trait::async_trait;

use super::PortResult;
use crate::mail::Timestamp;

/// Tokens of named windows, shared by all who limit the same thing.
#[async_trait]
pub trait Counters: Send + Sync {
    /// Takes `n` tokens out of the window that `now` falls in, all or none.
    async fn take(&self, window: &Window, n: u64, now: Timestamp) -> PortResult<Taken>;

    /// Writes `mark`, in place of one of the same name. Its value has at most [`MARK_OCTETS_MAX`](crate::limits::MARK_OCTETS_MAX).
    async fn mark(&self, mark: &Mark) -> PortResult<()>;

    /// The mark of this name, where it is in force at `now`. A read that begins after a write has returned `Ok` sees it.
    async fn marked(&self, name: &str, now: Timestamp) -> PortResult<Option<Mark>>;
}

/// Something that all who share the counters are to know for a while, such as why a site is left alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mark {
    /// What it is about.
    pub name: String,
    /// What it says.
    pub value: String,
    /// Until when it is in force.
    pub until: Timestamp,
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
