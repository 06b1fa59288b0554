//! The smallest stores that the commands can be tested with.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::sync::Mutex;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use shared::job::{Delivery, DeliveryKey};
use shared::mail::{Domain, MessageId, PackId, Reply, ReversePath, TenantId, Timestamp};
use shared::port::*;

/// 2023-11-14 22:13:20 UTC.
pub(crate) const ACCEPTED: Timestamp = Timestamp::from_millis(1_700_000_000_000);
/// Two minutes later.
pub(crate) const NOW: Timestamp = Timestamp::from_millis(1_700_000_120_000);

/// A moment some seconds after [`ACCEPTED`].
pub(crate) fn after(seconds: u64) -> Timestamp {
    ACCEPTED + Duration::from_secs(seconds)
}

/// Message 0 of the pack that `seed` gives.
pub(crate) fn message_id(seed: &str) -> MessageId {
    MessageId { pack: PackId::derived(ACCEPTED, seed), n: 0 }
}

/// What a command wrote.
pub(crate) fn text(out: Vec<u8>) -> String {
    String::from_utf8(out).unwrap()
}

/// A delivery at which attempts were made, each ended by a reply; with `due_at` it is deferred.
pub(crate) fn state(
    message: MessageId,
    domain: &str,
    to: &[&str],
    replies: &[Reply],
    due_at: Option<Timestamp>,
) -> DeliveryState {
    let status = if due_at.is_some() { RecipientStatus::Deferred } else { RecipientStatus::Delivered };
    let recipient = |to: &&str| RecipientState {
        address: to.parse().unwrap(),
        status,
        reply: replies.last().cloned(),
        report: None,
    };
    let attempt = |(n, reply): (u32, &Reply)| Attempt {
        number: n,
        began_at: after(u64::from(n) * 60 - 59),
        ended_at: after(u64::from(n) * 60 - 58),
        route: "mx".to_owned(),
        host: Some(format!("mx.{domain}")),
        peer: Some("192.0.2.1:25".to_owned()),
        tls: None,
        reply: reply.clone(),
    };
    DeliveryState {
        key: DeliveryKey { message, domain: domain.parse().unwrap(), part: 0 },
        tenant: TenantId::default(),
        from: ReversePath::try_from("alice@example.com".to_owned()).unwrap(),
        subject: "Hello".to_owned(),
        size: 1234,
        signed: vec!["s1._domainkey.example.com".to_owned()],
        accepted_at: ACCEPTED,
        expires_at: after(5 * 86_400),
        recipients: to.iter().map(recipient).collect(),
        attempts: (1..).zip(replies).map(attempt).collect(),
        due_at,
        pending: None,
    }
}

/// Packs, as they would lie in a spool.
#[derive(Default)]
pub(crate) struct FakeSpool(pub(crate) HashMap<PackId, Bytes>);

#[async_trait]
impl Spool for FakeSpool {
    async fn put(&self, _: PackId, _: Vec<Bytes>) -> PortResult<()> {
        unreachable!("the commands only read")
    }
    async fn begin(&self, _: PackId) -> PortResult<Box<dyn SpoolWriter>> {
        unreachable!("the commands only read")
    }
    async fn get(&self, id: PackId, range: Range<u64>) -> PortResult<Option<Piece>> {
        Ok(self.0.get(&id).map(|pack| {
            let at = |offset: u64| usize::try_from(offset).unwrap().min(pack.len());
            Piece { bytes: pack.slice(at(range.start)..at(range.end)), pack_length: pack.len() as u64 }
        }))
    }
    async fn delete(&self, _: PackId) -> PortResult<()> {
        unreachable!("the commands only read")
    }
    async fn list(&self, _: Option<PackId>, _: usize) -> PortResult<Vec<PackInfo>> {
        unreachable!("the commands only read")
    }
    async fn set_aside(&self, _: PackId) -> PortResult<()> {
        unreachable!("the commands only read")
    }
    async fn probe(&self) -> PortResult<()> {
        Ok(())
    }
}

/// Deliveries that are there to be read.
#[derive(Default)]
pub(crate) struct FakeDeliveries(pub(crate) Vec<DeliveryState>);

#[async_trait]
impl Deliveries for FakeDeliveries {
    async fn claim(&self, _: &str, _: &str, _: Timestamp, _: Duration) -> PortResult<Claim> {
        unreachable!("the commands only read")
    }
    async fn finish(&self, _: &str, _: &str, _: Timestamp) -> PortResult<()> {
        unreachable!("the commands only read")
    }
    async fn abandon(&self, _: &str, _: &str) -> PortResult<()> {
        unreachable!("the commands only read")
    }
    async fn record(&self, _: Vec<Record>) -> PortResult<Vec<PortResult<()>>> {
        unreachable!("the commands only read")
    }
    async fn settled(&self, _: &[DeliveryKey]) -> PortResult<Vec<Option<DeliveryState>>> {
        unreachable!("the commands ask by message")
    }
    async fn due(&self, _: u8, _: Timestamp, _: Duration, _: usize) -> PortResult<Vec<Delivery>> {
        unreachable!("the commands only read")
    }
    async fn pending(
        &self,
        shard: u8,
        behind: Option<PendingCursor>,
        limit: usize,
    ) -> PortResult<Vec<DeliveryState>> {
        let place = |state: &DeliveryState| Some((state.due_at?, state.key.clone()));
        let behind = behind.map(|cursor| (cursor.due_at, cursor.key));
        let mut page: Vec<DeliveryState> = self
            .0
            .iter()
            .filter(|state| due_shard(&state.key) == shard && place(state) > behind)
            .cloned()
            .collect();
        page.sort_by_key(place);
        page.truncate(limit);
        Ok(page)
    }
    async fn message(&self, message: MessageId) -> PortResult<Vec<DeliveryState>> {
        Ok(self.0.iter().filter(|state| state.key.message == message).cloned().collect())
    }
    async fn forget(&self, _: Timestamp, _: usize) -> PortResult<usize> {
        unreachable!("the commands only read")
    }
}

/// A queue of which only the depth is asked.
#[derive(Default)]
pub(crate) struct FakeQueue(pub(crate) Depth);

#[async_trait]
impl Queue for FakeQueue {
    async fn send(&self, _: Vec<Outgoing>) -> PortResult<Vec<Result<(), PortError>>> {
        unreachable!("the commands only read")
    }
    async fn receive(&self, _: usize, _: Duration) -> PortResult<Vec<Received>> {
        unreachable!("the commands only read")
    }
    async fn ack(&self, _: &Receipt) -> PortResult<()> {
        unreachable!("the commands only read")
    }
    async fn release(&self, _: &Receipt, _: Duration) -> PortResult<()> {
        unreachable!("the commands only read")
    }
    async fn depth(&self) -> PortResult<Depth> {
        Ok(self.0)
    }
    async fn probe(&self) -> PortResult<()> {
        Ok(())
    }
}

/// A directory; with `broken`, one that cannot be written.
#[derive(Default)]
pub(crate) struct FakeDirectory {
    pub(crate) entries: Mutex<BTreeMap<(EntryKind, String), Entry>>,
    pub(crate) broken: std::sync::atomic::AtomicBool,
}

#[async_trait]
impl Directory for FakeDirectory {
    async fn get(&self, kind: EntryKind, name: &str) -> PortResult<Option<Entry>> {
        Ok(self.entries.lock().unwrap().get(&(kind, name.to_owned())).cloned())
    }
    async fn put(&self, entry: Entry) -> PortResult<()> {
        if self.broken.load(std::sync::atomic::Ordering::SeqCst) {
            return Err(PortError::refused("the write of an entry", "disk full"));
        }
        self.entries.lock().unwrap().insert((entry.kind, entry.name.clone()), entry);
        Ok(())
    }
    async fn list(&self, kind: EntryKind, behind: Option<&str>, limit: usize) -> PortResult<Vec<Entry>> {
        let entries = self.entries.lock().unwrap();
        let wanted =
            entries.values().filter(|entry| entry.kind == kind && Some(entry.name.as_str()) > behind);
        Ok(wanted.take(limit).cloned().collect())
    }
    async fn delete(&self, _: EntryKind, _: &str) -> PortResult<bool> {
        unreachable!("the commands delete nothing")
    }
}

/// Keys, by domain and selector.
#[derive(Default)]
pub(crate) struct FakeKeys(pub(crate) Mutex<BTreeMap<(Domain, String), SigningKey>>);

#[async_trait]
impl Keys for FakeKeys {
    async fn get(&self, domain: &Domain, selector: &str) -> PortResult<Option<SigningKey>> {
        Ok(self.0.lock().unwrap().get(&(domain.clone(), selector.to_owned())).cloned())
    }
    async fn put(&self, domain: &Domain, selector: &str, key: &SigningKey) -> PortResult<bool> {
        let mut keys = self.0.lock().unwrap();
        let place = (domain.clone(), selector.to_owned());
        let free = !keys.contains_key(&place);
        keys.entry(place).or_insert_with(|| key.clone());
        Ok(free)
    }
    async fn delete(&self, _: &Domain, _: &str) -> PortResult<bool> {
        unreachable!("the commands delete nothing")
    }
}

/// Ids that are always the same.
pub(crate) struct FakeIds;

impl Ids for FakeIds {
    fn pack(&self, now: Timestamp) -> PackId {
        PackId::derived(now, "fake")
    }
    fn random(&self) -> u64 {
        0xabcd
    }
}
