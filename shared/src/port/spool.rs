use std::ops::Range;

use async_trait::async_trait;
use bytes::Bytes;

use super::PortResult;
use crate::mail::{PackId, Timestamp};

/// Where packs lie. A pack is written once, whole or not at all, and never changed.
///
/// - Durable: once `put` or `finish` has returned `Ok`, the pack outlives the process and the machine's power.
/// - Atomic: a reader sees the whole pack or none of it, whatever the writer's fate.
/// - Visible: a `get` or `list` that begins after that `Ok` sees the pack, through any handle of the same store.
#[async_trait]
pub trait Spool: Send + Sync {
    /// Writes a pack: the concatenation of `parts`. Where a pack of this id is there already, it stays as it
    /// is and the answer is `Ok`: an id stands for its content.
    async fn put(&self, id: PackId, parts: Vec<Bytes>) -> PortResult<()>;

    /// Begins a pack that is too large to be held in memory. Nothing is visible before `finish`.
    async fn begin(&self, id: PackId) -> PortResult<Box<dyn SpoolWriter>>;

    /// The octets of `range` that the pack has, and how long the whole pack is. A range that ends or begins
    /// behind the pack's end gives what there is, perhaps nothing. `None`: there is no such pack.
    async fn get(&self, id: PackId, range: Range<u64>) -> PortResult<Option<Piece>>;

    /// Deletes a pack. One that is not there is deleted already.
    async fn delete(&self, id: PackId) -> PortResult<()>;

    /// Up to `limit` packs with ids over `after`, in an order that is the same for each call, though not
    /// the order of their ids; an empty list is the end.
    async fn list(&self, after: Option<PackId>, limit: usize) -> PortResult<Vec<PackInfo>>;

    /// Takes a pack that cannot be read out of the way of `get` and `list`, and keeps its bytes for a person to look at.
    /// One that is not there is out of the way already.
    async fn set_aside(&self, id: PackId) -> PortResult<()>;

    /// Writes and removes a probe; the spool is healthy if that works.
    async fn probe(&self) -> PortResult<()>;
}

/// A pack being written. Dropped without `finish`, it leaves nothing behind, or what an upkeep of the store removes.
#[async_trait]
pub trait SpoolWriter: Send {
    /// Adds octets at the end. The writer may hold back up to 5 MiB before it passes them on.
    async fn write(&mut self, bytes: Bytes) -> PortResult<()>;

    /// Makes the pack durable and visible. Where a pack of this id is there already, that one stays.
    async fn finish(self: Box<Self>) -> PortResult<()>;

    /// Gives the pack up.
    async fn abort(self: Box<Self>) -> PortResult<()>;
}

/// Part of a pack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    /// The octets asked for, as far as the pack has them.
    pub bytes: Bytes,
    /// The length of the whole pack.
    pub pack_length: u64,
}

/// A pack in a listing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PackInfo {
    /// Which pack.
    pub id: PackId,
    /// Its length in octets.
    pub length: u64,
    /// When it was written.
    pub written_at: Timestamp,
}
