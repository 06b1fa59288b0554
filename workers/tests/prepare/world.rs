//! Every port of the stage, in as few lines as will do.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use shared::directory::{DomainEntry, Selector};
use shared::job::{DeliverJob, Delivery, DeliveryKey, JOB_OCTETS_MAX, Job, PrepareJob};
use shared::mail::{ContentFacts, Domain, MessageId, PackId, Timestamp};
use shared::pack::{NewMessage, encode};
use shared::port::*;
use workers::dkim::generate;
use workers::prepare::{Prepare, PreparePorts, PrepareSettings};
use workers::{Stage, Verdict};

pub(crate) const NOW: Timestamp = Timestamp::from_millis(1_700_000_000_000);

/// Every port, as little of each as the stage uses.
#[derive(Default)]
pub(crate) struct World {
    pub(crate) packs: Mutex<HashMap<PackId, Vec<u8>>>,
    pub(crate) set_aside: Mutex<Vec<PackId>>,
    pub(crate) largest_read: AtomicUsize,
    pub(crate) sent: Mutex<Vec<Outgoing>>,
    /// Entries that the queue still takes.
    pub(crate) room: Mutex<Option<usize>>,
    /// Holder and whether it is finished.
    pub(crate) claims: Mutex<HashMap<String, (Option<String>, bool)>>,
    pub(crate) entries: Mutex<HashMap<String, Entry>>,
    pub(crate) keys: Mutex<HashMap<(Domain, String), SigningKey>>,
    pub(crate) key_reads: AtomicUsize,
}

struct Writer(Arc<World>, PackId, Vec<u8>);

#[async_trait]
impl SpoolWriter for Writer {
    async fn write(&mut self, bytes: Bytes) -> PortResult<()> {
        self.2.extend_from_slice(&bytes);
        Ok(())
    }
    async fn finish(self: Box<Self>) -> PortResult<()> {
        self.0.packs.lock().unwrap().insert(self.1, self.2);
        Ok(())
    }
    async fn abort(self: Box<Self>) -> PortResult<()> {
        Ok(())
    }
}

pub(crate) struct Handle(pub(crate) Arc<World>);

#[async_trait]
impl Spool for Handle {
    async fn put(&self, id: PackId, parts: Vec<Bytes>) -> PortResult<()> {
        self.0.packs.lock().unwrap().insert(id, parts.concat());
        Ok(())
    }
    async fn begin(&self, id: PackId) -> PortResult<Box<dyn SpoolWriter>> {
        Ok(Box::new(Writer(self.0.clone(), id, Vec::new())))
    }
    async fn get(&self, id: PackId, range: Range<u64>) -> PortResult<Option<Piece>> {
        let packs = self.0.packs.lock().unwrap();
        Ok(packs.get(&id).map(|pack| {
            let clip = |at: u64| usize::try_from(at).unwrap().min(pack.len());
            let bytes = Bytes::copy_from_slice(&pack[clip(range.start)..clip(range.end)]);
            self.0.largest_read.fetch_max(bytes.len(), Ordering::Relaxed);
            Piece { bytes, pack_length: pack.len() as u64 }
        }))
    }
    async fn delete(&self, _: PackId) -> PortResult<()> {
        unreachable!()
    }
    async fn list(&self, _: Option<PackId>, _: usize) -> PortResult<Vec<PackInfo>> {
        unreachable!()
    }
    async fn set_aside(&self, id: PackId) -> PortResult<()> {
        self.0.packs.lock().unwrap().remove(&id);
        self.0.set_aside.lock().unwrap().push(id);
        Ok(())
    }
    async fn probe(&self) -> PortResult<()> {
        unreachable!()
    }
}

#[async_trait]
impl Queue for Handle {
    async fn send(&self, batch: Vec<Outgoing>) -> PortResult<Vec<Result<(), PortError>>> {
        assert!((1..=BATCH_MAX).contains(&batch.len()));
        let mut room = self.0.room.lock().unwrap();
        let mut take = |entry| {
            if room.as_mut().is_some_and(|room| std::mem::replace(room, room.saturating_sub(1)) == 0) {
                return Err(PortError::unknown("the send", "the queue is full"));
            }
            self.0.sent.lock().unwrap().push(entry);
            Ok(())
        };
        Ok(batch.into_iter().map(&mut take).collect())
    }
    async fn receive(&self, _: usize, _: Duration) -> PortResult<Vec<Received>> {
        unreachable!()
    }
    async fn ack(&self, _: &Receipt) -> PortResult<()> {
        unreachable!()
    }
    async fn release(&self, _: &Receipt, _: Duration) -> PortResult<()> {
        unreachable!()
    }
    async fn depth(&self) -> PortResult<Depth> {
        unreachable!()
    }
    async fn probe(&self) -> PortResult<()> {
        unreachable!()
    }
}

#[async_trait]
impl Deliveries for Handle {
    async fn claim(&self, job: &str, holder: &str, now: Timestamp, lease: Duration) -> PortResult<Claim> {
        let mut claims = self.0.claims.lock().unwrap();
        let again = match claims.get(job) {
            Some((_, true)) => return Ok(Claim::Finished),
            Some((Some(other), false)) if other != holder => return Ok(Claim::Held { until: now + lease }),
            known => known.is_some(),
        };
        claims.insert(job.to_owned(), (Some(holder.to_owned()), false));
        Ok(Claim::Taken { again })
    }
    async fn finish(&self, job: &str, holder: &str, _: Timestamp) -> PortResult<()> {
        self.0.claims.lock().unwrap().insert(job.to_owned(), (Some(holder.to_owned()), true));
        Ok(())
    }
    async fn abandon(&self, job: &str, _: &str) -> PortResult<()> {
        self.0.claims.lock().unwrap().insert(job.to_owned(), (None, false));
        Ok(())
    }
    async fn record(&self, _: Vec<Record>) -> PortResult<Vec<PortResult<()>>> {
        unreachable!()
    }
    async fn settled(&self, _: &[DeliveryKey]) -> PortResult<Vec<Option<DeliveryState>>> {
        unreachable!()
    }
    async fn due(&self, _: u8, _: Timestamp, _: Duration, _: usize) -> PortResult<Vec<Delivery>> {
        unreachable!()
    }
    async fn pending(&self, _: u8, _: Option<PendingCursor>, _: usize) -> PortResult<Vec<DeliveryState>> {
        unreachable!()
    }
    async fn message(&self, _: MessageId) -> PortResult<Vec<DeliveryState>> {
        unreachable!()
    }
    async fn forget(&self, _: Timestamp, _: usize) -> PortResult<usize> {
        unreachable!()
    }
}

#[async_trait]
impl Directory for Handle {
    async fn get(&self, kind: EntryKind, name: &str) -> PortResult<Option<Entry>> {
        assert_eq!(kind, EntryKind::Domain);
        Ok(self.0.entries.lock().unwrap().get(name).cloned())
    }
    async fn put(&self, entry: Entry) -> PortResult<()> {
        self.0.entries.lock().unwrap().insert(entry.name.clone(), entry);
        Ok(())
    }
    async fn list(&self, _: EntryKind, _: Option<&str>, _: usize) -> PortResult<Vec<Entry>> {
        unreachable!()
    }
    async fn delete(&self, _: EntryKind, _: &str) -> PortResult<bool> {
        unreachable!()
    }
}

#[async_trait]
impl Keys for Handle {
    async fn get(&self, domain: &Domain, selector: &str) -> PortResult<Option<SigningKey>> {
        self.0.key_reads.fetch_add(1, Ordering::Relaxed);
        Ok(self.0.keys.lock().unwrap().get(&(domain.clone(), selector.to_owned())).cloned())
    }
    async fn put(&self, domain: &Domain, selector: &str, key: &SigningKey) -> PortResult<bool> {
        let mut keys = self.0.keys.lock().unwrap();
        Ok(keys.insert((domain.clone(), selector.to_owned()), key.clone()).is_none())
    }
    async fn delete(&self, _: &Domain, _: &str) -> PortResult<bool> {
        unreachable!()
    }
}

#[async_trait]
impl Clock for Handle {
    fn now(&self) -> Timestamp {
        NOW
    }
    async fn sleep(&self, _: Duration) {
        unreachable!()
    }
}

pub(crate) struct Edge {
    pub(crate) world: Arc<World>,
    pub(crate) stage: Prepare,
}

impl Edge {
    pub(crate) fn new() -> Self {
        let world = Arc::new(World::default());
        let handle = Arc::new(Handle(world.clone()));
        let ports = PreparePorts {
            spool: handle.clone(),
            outbound: handle.clone(),
            deliveries: handle.clone(),
            directory: handle.clone(),
            keys: handle.clone(),
            clock: handle,
        };
        let settings = PrepareSettings { hostname: "mx.example".to_owned(), ..PrepareSettings::default() };
        Self { world, stage: Prepare::new(settings, ports) }
    }

    pub(crate) fn handle(&self) -> Handle {
        Handle(self.world.clone())
    }

    pub(crate) async fn put(&self, seed: &str, messages: Vec<(NewMessage, &[u8])>) -> PackId {
        let id = PackId::derived(NOW, seed);
        let messages = messages
            .into_iter()
            .map(|(message, bytes)| (message, ContentFacts::default(), Bytes::copy_from_slice(bytes)));
        Spool::put(&self.handle(), id, encode(id, NOW, messages.collect())).await.unwrap();
        id
    }

    pub(crate) async fn run(&self, pack: PackId) -> Verdict {
        self.stage.run(&PrepareJob { pack }.encode()).await
    }

    pub(crate) fn jobs(&self) -> Vec<DeliverJob> {
        let sent = std::mem::take(&mut *self.world.sent.lock().unwrap());
        sent.iter()
            .map(|entry| {
                assert!(entry.body.len() <= JOB_OCTETS_MAX, "{}", entry.body.len());
                DeliverJob::decode(&entry.body).unwrap()
            })
            .collect()
    }

    /// Prepares one message and gives its one delivery.
    pub(crate) async fn one(&self, message: NewMessage, bytes: &[u8]) -> Delivery {
        let pack = self.put("one", vec![(message, bytes)]).await;
        assert_eq!(self.run(pack).await, Verdict::Done);
        let mut jobs = self.jobs();
        assert_eq!((jobs.len(), jobs[0].deliveries.len()), (1, 1));
        jobs.remove(0).deliveries.remove(0)
    }

    /// Adds a domain with both keys; gives their records.
    pub(crate) async fn add_domain(&self, name: &str) -> HashMap<String, String> {
        let domain: Domain = name.parse().unwrap();
        let (mut selectors, mut records) = (Vec::new(), HashMap::new());
        for (selector, algorithm) in [("r1", KeyAlgorithm::Rsa), ("e1", KeyAlgorithm::Ed25519)] {
            let (key, public) = generate(algorithm).unwrap();
            Keys::put(&self.handle(), &domain, selector, &key).await.unwrap();
            records.insert(format!("{selector}._domainkey.{name}"), public.dns_record());
            selectors.push(Selector {
                selector: selector.to_owned(),
                algorithm,
                public_key: public.base64(),
            });
        }
        Directory::put(&self.handle(), DomainEntry { domain, selectors, created: NOW }.into()).await.unwrap();
        records
    }
}
