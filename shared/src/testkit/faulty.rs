//! Decorators that let the operations of a port fail.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;

use super::Faults;
use crate::job::{Delivery, DeliveryKey};
use crate::mail::{Domain, MessageId, PackId, Reply, TenantId, Timestamp};
use crate::port::{
    Cancel, Claim, Count, Counters, Deliveries, DeliveryState, Depth, Directory, Entry, EntryKind, Feedback,
    Held, Keys, Mark, Ordered, Outgoing, PackInfo, PendingCursor, Piece, PortError, PortResult, Postponed,
    Queue, Receipt, Received, Record, SigningKey, Spool, SpoolWriter, Taken, Tallies, Telling, Window,
};

/// A port whose operations fail as [`Faults`] has it: `Faulty<dyn Spool>` is a `Spool`, and so on for each port.
pub struct Faulty<P: ?Sized> {
    inner: Arc<P>,
    faults: Arc<Faults>,
}

impl<P: ?Sized> Faulty<P> {
    /// Puts `faults` in front of `inner`.
    pub fn new(inner: Arc<P>, faults: &Arc<Faults>) -> Arc<Self> {
        Arc::new(Self { inner, faults: Arc::clone(faults) })
    }
}

#[async_trait]
impl Spool for Faulty<dyn Spool> {
    async fn put(&self, id: PackId, parts: Vec<Bytes>) -> PortResult<()> {
        self.faults.apply("put", self.inner.put(id, parts)).await
    }
    async fn begin(&self, id: PackId) -> PortResult<Box<dyn SpoolWriter>> {
        let writer = self.faults.apply("begin", self.inner.begin(id)).await?;
        Ok(Box::new(FaultyWriter { inner: writer, faults: Arc::clone(&self.faults), broken: false }))
    }
    async fn get(&self, id: PackId, range: Range<u64>) -> PortResult<Option<Piece>> {
        let read = self.faults.apply_read("get", self.inner.get(id, range)).await?;
        self.faults.note_read(read.as_ref().map_or(0, |piece| piece.bytes.len()));
        Ok(read)
    }
    async fn delete(&self, id: PackId) -> PortResult<()> {
        self.faults.apply("delete", self.inner.delete(id)).await
    }
    async fn list(&self, after: Option<PackId>, limit: usize) -> PortResult<Vec<PackInfo>> {
        self.faults.apply_read("list", self.inner.list(after, limit)).await
    }
    async fn set_aside(&self, id: PackId) -> PortResult<()> {
        self.faults.apply("set_aside", self.inner.set_aside(id)).await
    }
    async fn probe(&self) -> PortResult<()> {
        self.faults.apply("probe", self.inner.probe()).await
    }
}

struct FaultyWriter {
    inner: Box<dyn SpoolWriter>,
    faults: Arc<Faults>,
    broken: bool,
}

#[async_trait]
impl SpoolWriter for FaultyWriter {
    async fn write(&mut self, bytes: Bytes) -> PortResult<()> {
        let done = self.faults.apply("write", self.inner.write(bytes)).await;
        self.broken |= done.is_err();
        done
    }
    async fn finish(self: Box<Self>) -> PortResult<()> {
        if self.broken {
            return Err(PortError::refused("finish", "an earlier write of this pack failed"));
        }
        self.faults.apply("finish", self.inner.finish()).await
    }
    async fn abort(self: Box<Self>) -> PortResult<()> {
        self.faults.apply("abort", self.inner.abort()).await
    }
}

#[async_trait]
impl Queue for Faulty<dyn Queue> {
    async fn send(&self, batch: Vec<Outgoing>) -> PortResult<Vec<Result<(), PortError>>> {
        self.faults.apply("send", self.inner.send(batch)).await
    }
    async fn receive(&self, max: usize, wait: Duration) -> PortResult<Vec<Received>> {
        self.faults.apply("receive", self.inner.receive(max, wait)).await
    }
    async fn receive_but(&self, max: usize, wait: Duration, but: &[TenantId]) -> PortResult<Vec<Received>> {
        self.faults.apply("receive", self.inner.receive_but(max, wait, but)).await
    }
    async fn ack(&self, receipt: &Receipt) -> PortResult<()> {
        self.faults.apply("ack", self.inner.ack(receipt)).await
    }
    async fn release(&self, receipt: &Receipt, after: Duration) -> PortResult<()> {
        self.faults.apply("release", self.inner.release(receipt, after)).await
    }
    async fn depth(&self) -> PortResult<Depth> {
        self.faults.apply_read("depth", self.inner.depth()).await
    }
    async fn probe(&self) -> PortResult<()> {
        self.faults.apply("probe", self.inner.probe()).await
    }
}

#[async_trait]
impl Deliveries for Faulty<dyn Deliveries> {
    async fn claim(&self, job: &str, holder: &str, now: Timestamp, lease: Duration) -> PortResult<Claim> {
        self.faults.apply("claim", self.inner.claim(job, holder, now, lease)).await
    }
    async fn finish(&self, job: &str, holder: &str, forget_at: Timestamp) -> PortResult<()> {
        self.faults.apply("finish", self.inner.finish(job, holder, forget_at)).await
    }
    async fn abandon(&self, job: &str, holder: &str) -> PortResult<()> {
        self.faults.apply("abandon", self.inner.abandon(job, holder)).await
    }
    async fn record(&self, records: Vec<Record>) -> PortResult<Vec<PortResult<()>>> {
        self.faults.apply("record", self.inner.record(records)).await
    }
    async fn hold(&self, held: Vec<Held>) -> PortResult<Vec<PortResult<()>>> {
        self.faults.apply("hold", self.inner.hold(held)).await
    }
    async fn postpone(&self, postponed: Vec<Postponed>) -> PortResult<Vec<PortResult<()>>> {
        self.faults.apply("postpone", self.inner.postpone(postponed)).await
    }
    async fn cancel(&self, key: &DeliveryKey, reply: &Reply) -> PortResult<Cancel> {
        self.faults.apply("cancel", self.inner.cancel(key, reply)).await
    }
    async fn note(&self, key: &DeliveryKey, feedback: Feedback) -> PortResult<bool> {
        self.faults.apply("note", self.inner.note(key, feedback)).await
    }
    async fn tell(&self, key: &DeliveryKey, telling: Telling) -> PortResult<bool> {
        self.faults.apply("tell", self.inner.tell(key, telling)).await
    }

    async fn order(&self, ordered: Vec<Ordered>) -> PortResult<Vec<PortResult<Option<DeliveryState>>>> {
        self.faults.apply("order", self.inner.order(ordered)).await
    }
    async fn settled(&self, keys: &[DeliveryKey]) -> PortResult<Vec<Option<DeliveryState>>> {
        self.faults.apply_read("settled", self.inner.settled(keys)).await
    }
    async fn due(
        &self,
        shard: u8,
        now: Timestamp,
        lease: Duration,
        limit: usize,
    ) -> PortResult<Vec<Delivery>> {
        self.faults.apply("due", self.inner.due(shard, now, lease, limit)).await
    }
    async fn pending(
        &self,
        shard: u8,
        after: Option<PendingCursor>,
        limit: usize,
    ) -> PortResult<Vec<DeliveryState>> {
        self.faults.apply_read("pending", self.inner.pending(shard, after, limit)).await
    }
    async fn message(&self, message: MessageId) -> PortResult<Vec<DeliveryState>> {
        self.faults.apply_read("message", self.inner.message(message)).await
    }
    async fn forget(&self, now: Timestamp, limit: usize) -> PortResult<usize> {
        self.faults.apply("forget", self.inner.forget(now, limit)).await
    }
}

#[async_trait]
impl Directory for Faulty<dyn Directory> {
    async fn get(&self, kind: EntryKind, name: &str) -> PortResult<Option<Entry>> {
        self.faults.apply_read("get", self.inner.get(kind, name)).await
    }
    async fn put(&self, entry: Entry) -> PortResult<()> {
        self.faults.apply("put", self.inner.put(entry)).await
    }
    async fn list(&self, kind: EntryKind, after: Option<&str>, limit: usize) -> PortResult<Vec<Entry>> {
        self.faults.apply_read("list", self.inner.list(kind, after, limit)).await
    }
    async fn delete(&self, kind: EntryKind, name: &str) -> PortResult<bool> {
        self.faults.apply("delete", self.inner.delete(kind, name)).await
    }
}

#[async_trait]
impl Keys for Faulty<dyn Keys> {
    async fn get(&self, domain: &Domain, selector: &str) -> PortResult<Option<SigningKey>> {
        self.faults.apply_read("get", self.inner.get(domain, selector)).await
    }
    async fn put(&self, domain: &Domain, selector: &str, key: &SigningKey) -> PortResult<bool> {
        self.faults.apply("put", self.inner.put(domain, selector, key)).await
    }
    async fn delete(&self, domain: &Domain, selector: &str) -> PortResult<bool> {
        self.faults.apply("delete", self.inner.delete(domain, selector)).await
    }
}

#[async_trait]
impl Counters for Faulty<dyn Counters> {
    async fn take(&self, window: &Window, n: u64, now: Timestamp) -> PortResult<Taken> {
        self.faults.apply("take", self.inner.take(window, n, now)).await
    }
    async fn mark(&self, mark: &Mark) -> PortResult<()> {
        self.faults.apply("mark", self.inner.mark(mark)).await
    }
    async fn marked(&self, name: &str, now: Timestamp) -> PortResult<Option<Mark>> {
        self.faults.apply_read("marked", self.inner.marked(name, now)).await
    }
}

#[async_trait]
impl Tallies for Faulty<dyn Tallies> {
    async fn add(&self, book: &str, counts: &[Count], now: Timestamp, keep: Duration) -> PortResult<()> {
        self.faults.apply("add", self.inner.add(book, counts, now, keep)).await
    }
    async fn read(&self, book: &str, after: Option<&str>, limit: usize) -> PortResult<Vec<Count>> {
        self.faults.apply_read("read", self.inner.read(book, after, limit)).await
    }
    async fn clear(&self, book: &str, keys: &[String]) -> PortResult<()> {
        self.faults.apply("clear", self.inner.clear(book, keys)).await
    }
}
