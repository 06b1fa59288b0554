use std::time::Duration;

use async_trait::async_trait;

use super::PortResult;
use crate::mail::Timestamp;

/// Counts that many add to and one reads: statistics of a day, in a book of their own. A book is as good as empty before its first
/// count, and a count is forgotten some time after it was kept for as long
/// as it was asked to be.
#[async_trait]
pub trait Tallies: Send + Sync {
    /// Adds each of `counts` to that of its key in `book`, to be kept until `now + keep` at least. The detail of a key is the one that came with its first count. After
    /// [`PortError`](super::PortError) any number of them may have been added; a count that is added again counts twice.
    async fn add(&self, book: &str, counts: &[Count], now: Timestamp, keep: Duration) -> PortResult<()>;

    /// Up to `limit` counts of `book`, ordered by key, from behind `after`; an empty list is the end.
    async fn read(&self, book: &str, after: Option<&str>, limit: usize) -> PortResult<Vec<Count>>;

    /// Deletes the counts of these keys. One that is not there is no error.
    async fn clear(&self, book: &str, keys: &[String]) -> PortResult<()>;
}

/// A count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Count {
    /// What is counted; unique in its book, at most 512 octets.
    pub key: String,
    /// What the key stands for, where it is longer than a key may be; at most 16 KiB.
    pub detail: String,
    /// How often.
    pub n: u64,
}
