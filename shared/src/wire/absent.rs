//! A store that this process has no need of.

use std::ops::Range;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;

use super::Store;
use crate::job::{Delivery, DeliveryKey};
use crate::mail::{Domain, MessageId, PackId, Reply, Timestamp};
use crate::port::{
    Cancel, Claim, Count, Counters, Deliveries, DeliveryState, Depth, Directory, Entry, EntryKind, Feedback,
    Held, Keys, Mark, Ordered, Outgoing, PackInfo, PendingCursor, Piece, PortError, PortResult, Postponed,
    Queue, Receipt, Received, Record, SigningKey, Spool, SpoolWriter, Taken, Tallies, Telling, Window,
};

/// Stands where a store is that is not opened. Whoever asks it for anything has a fault, and is told so: it refuses every call.
pub(super) struct Absent(pub(super) Store);

impl Absent {
    fn refuse<T>(&self, what: &'static str) -> PortResult<T> {
        Err(PortError::refused(what, format!("this role has no such store: {}", self.0.key())))
    }
}

#[async_trait]
impl Spool for Absent {
    async fn put(&self, _: PackId, _: Vec<Bytes>) -> PortResult<()> {
        self.refuse("the write of a pack")
    }

    async fn begin(&self, _: PackId) -> PortResult<Box<dyn SpoolWriter>> {
        self.refuse("the begin of a pack")
    }

    async fn get(&self, _: PackId, _: Range<u64>) -> PortResult<Option<Piece>> {
        self.refuse("the read of a pack")
    }

    async fn delete(&self, _: PackId) -> PortResult<()> {
        self.refuse("the deletion of a pack")
    }

    async fn list(&self, _: Option<PackId>, _: usize) -> PortResult<Vec<PackInfo>> {
        self.refuse("the list of packs")
    }

    async fn set_aside(&self, _: PackId) -> PortResult<()> {
        self.refuse("the setting aside of a pack")
    }

    async fn probe(&self) -> PortResult<()> {
        self.refuse("the probe of the spool")
    }
}

#[async_trait]
impl Queue for Absent {
    async fn send(&self, _: Vec<Outgoing>) -> PortResult<Vec<Result<(), PortError>>> {
        self.refuse("the sending of jobs")
    }

    async fn receive(&self, _: usize, _: Duration) -> PortResult<Vec<Received>> {
        self.refuse("the receiving of jobs")
    }

    async fn ack(&self, _: &Receipt) -> PortResult<()> {
        self.refuse("the acknowledgement of a job")
    }

    async fn release(&self, _: &Receipt, _: Duration) -> PortResult<()> {
        self.refuse("the release of a job")
    }

    async fn depth(&self) -> PortResult<Depth> {
        self.refuse("the count of a queue")
    }

    async fn probe(&self) -> PortResult<()> {
        self.refuse("the probe of a queue")
    }
}

#[async_trait]
impl Deliveries for Absent {
    async fn claim(&self, _: &str, _: &str, _: Timestamp, _: Duration) -> PortResult<Claim> {
        self.refuse("the claim of a job")
    }

    async fn finish(&self, _: &str, _: &str, _: Timestamp) -> PortResult<()> {
        self.refuse("the end of a claim")
    }

    async fn abandon(&self, _: &str, _: &str) -> PortResult<()> {
        self.refuse("the giving up of a claim")
    }

    async fn record(&self, _: Vec<Record>) -> PortResult<Vec<PortResult<()>>> {
        self.refuse("the record of outcomes")
    }

    async fn postpone(&self, _: Vec<Postponed>) -> PortResult<Vec<PortResult<()>>> {
        self.refuse("the postponement of a delivery")
    }

    async fn hold(&self, _: Vec<Held>) -> PortResult<Vec<PortResult<()>>> {
        self.refuse("the hold of deliveries")
    }

    async fn cancel(&self, _: &DeliveryKey, _: &Reply) -> PortResult<Cancel> {
        self.refuse("the cancel of a delivery")
    }

    async fn note(&self, _: &DeliveryKey, _: Feedback) -> PortResult<bool> {
        self.refuse("the note on a delivery")
    }

    async fn tell(&self, _: &DeliveryKey, _: Telling) -> PortResult<bool> {
        self.refuse("the note of a DSN")
    }

    async fn order(&self, _: Vec<Ordered>) -> PortResult<Vec<PortResult<Option<DeliveryState>>>> {
        self.refuse("the order for deliveries")
    }

    async fn settled(&self, _: &[DeliveryKey]) -> PortResult<Vec<Option<DeliveryState>>> {
        self.refuse("the read of deliveries")
    }

    async fn due(&self, _: u8, _: Timestamp, _: Duration, _: usize) -> PortResult<Vec<Delivery>> {
        self.refuse("the lease of due deliveries")
    }

    async fn pending(&self, _: u8, _: Option<PendingCursor>, _: usize) -> PortResult<Vec<DeliveryState>> {
        self.refuse("the list of pending deliveries")
    }

    async fn message(&self, _: MessageId) -> PortResult<Vec<DeliveryState>> {
        self.refuse("the read of a message's deliveries")
    }

    async fn forget(&self, _: Timestamp, _: usize) -> PortResult<usize> {
        self.refuse("the deletion of old state")
    }
}

#[async_trait]
impl Directory for Absent {
    async fn get(&self, _: EntryKind, _: &str) -> PortResult<Option<Entry>> {
        self.refuse("the read of an entry")
    }

    async fn put(&self, _: Entry) -> PortResult<()> {
        self.refuse("the write of an entry")
    }

    async fn list(&self, _: EntryKind, _: Option<&str>, _: usize) -> PortResult<Vec<Entry>> {
        self.refuse("the list of entries")
    }

    async fn delete(&self, _: EntryKind, _: &str) -> PortResult<bool> {
        self.refuse("the deletion of an entry")
    }
}

#[async_trait]
impl Keys for Absent {
    async fn get(&self, _: &Domain, _: &str) -> PortResult<Option<SigningKey>> {
        self.refuse("the read of a key")
    }

    async fn put(&self, _: &Domain, _: &str, _: &SigningKey) -> PortResult<bool> {
        self.refuse("the write of a key")
    }

    async fn delete(&self, _: &Domain, _: &str) -> PortResult<bool> {
        self.refuse("the deletion of a key")
    }
}

#[async_trait]
impl Counters for Absent {
    async fn take(&self, _: &Window, _: u64, _: Timestamp) -> PortResult<Taken> {
        self.refuse("the taking of tokens")
    }

    async fn mark(&self, _: &Mark) -> PortResult<()> {
        self.refuse("the write of a mark")
    }

    async fn marked(&self, _: &str, _: Timestamp) -> PortResult<Option<Mark>> {
        self.refuse("the read of a mark")
    }
}

#[async_trait]
impl Tallies for Absent {
    async fn add(&self, _: &str, _: &[Count], _: Timestamp, _: Duration) -> PortResult<()> {
        self.refuse("the adding to tallies")
    }

    async fn read(&self, _: &str, _: Option<&str>, _: usize) -> PortResult<Vec<Count>> {
        self.refuse("the read of tallies")
    }

    async fn clear(&self, _: &str, _: &[String]) -> PortResult<()> {
        self.refuse("the clearing of tallies")
    }
}
