//! The stage on stores of its own, with a queue that tells what was sent.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use shared::directory::{DomainEntry, Selector};
use shared::job::{DeliverJob, Delivery, JOB_OCTETS_MAX, Job, PrepareJob};
use shared::mail::{ContentFacts, Domain, PackId, Timestamp};
use shared::pack::{NewMessage, encode};
use shared::port::*;
use shared::return_path::ReturnPaths;
use shared::testkit::{Faults, Faulty, ManualClock, TempStores};
use shared::wire::Stores;
use workers::dkim::generate;
use workers::prepare::{Prepare, PreparePorts, PrepareSettings};
use workers::{Stage, Verdict};

pub(crate) const NOW: Timestamp = Timestamp::from_millis(1_700_000_000_000);

/// Where the jobs go: in their order, with their tenants, and only so many.
#[derive(Default)]
pub(crate) struct Outbound {
    pub(crate) sent: Mutex<Vec<Outgoing>>,
    /// Entries that the queue still takes.
    pub(crate) room: Mutex<Option<usize>>,
}

#[async_trait]
impl Queue for Outbound {
    async fn send(&self, batch: Vec<Outgoing>) -> PortResult<Vec<Result<(), PortError>>> {
        assert!((1..=BATCH_MAX).contains(&batch.len()));
        let mut room = self.room.lock().unwrap();
        let mut take = |entry| {
            if room.as_mut().is_some_and(|room| std::mem::replace(room, room.saturating_sub(1)) == 0) {
                return Err(PortError::unknown("the send", "the queue is full"));
            }
            self.sent.lock().unwrap().push(entry);
            Ok(())
        };
        Ok(batch.into_iter().map(&mut take).collect())
    }
    async fn receive(&self, _: usize, _: Duration) -> PortResult<Vec<Received>> {
        unreachable!("the stage only sends")
    }
    async fn ack(&self, _: &Receipt) -> PortResult<()> {
        unreachable!("the stage only sends")
    }
    async fn release(&self, _: &Receipt, _: Duration) -> PortResult<()> {
        unreachable!("the stage only sends")
    }
    async fn depth(&self) -> PortResult<Depth> {
        unreachable!("the stage only sends")
    }
    async fn probe(&self) -> PortResult<()> {
        unreachable!("the stage only sends")
    }
}

pub(crate) struct Edge {
    open: TempStores,
    pub(crate) outbound: Arc<Outbound>,
    /// What was asked of the spool and of the keys.
    pub(crate) spool: Arc<Faults>,
    pub(crate) keys: Arc<Faults>,
    pub(crate) stage: Prepare,
}

impl Edge {
    pub(crate) async fn new() -> Self {
        Self::with_return_paths(None).await
    }

    /// One whose submissions leave with return paths at `domain`, where there is one.
    pub(crate) async fn with_return_paths(domain: Option<&str>) -> Self {
        let clock = Arc::new(ManualClock::at(NOW));
        let open = TempStores::open(clock.clone()).await;
        let outbound = Arc::new(Outbound::default());
        let (spool, keys) = (Faults::new(0), Faults::new(0));
        let stores = &open.stores;
        let ports = PreparePorts {
            spool: Faulty::<dyn Spool>::new(stores.spool.clone(), &spool),
            outbound: outbound.clone(),
            deliveries: stores.deliveries.clone(),
            directory: stores.directory.clone(),
            keys: Faulty::<dyn Keys>::new(stores.keys.clone(), &keys),
            return_paths: domain.map(|domain| {
                let domain = domain.parse().unwrap();
                Arc::new(ReturnPaths::new(domain, stores.directory.clone(), clock.clone()))
            }),
            clock,
        };
        let settings = PrepareSettings { hostname: "mx.example".to_owned(), ..PrepareSettings::default() };
        Self { open, outbound, spool, keys, stage: Prepare::new(settings, ports) }
    }

    pub(crate) fn stores(&self) -> &Stores {
        &self.open.stores
    }

    pub(crate) async fn put(&self, seed: &str, messages: Vec<(NewMessage, &[u8])>) -> PackId {
        let id = PackId::derived(NOW, seed);
        let messages = messages
            .into_iter()
            .map(|(message, bytes)| (message, ContentFacts::default(), Bytes::copy_from_slice(bytes)));
        self.stores().spool.put(id, encode(id, NOW, messages.collect())).await.unwrap();
        id
    }

    /// The file of a pack.
    pub(crate) fn file(&self, pack: PackId) -> PathBuf {
        self.open.folder().join("spool/packs").join(pack.shard()).join(pack.to_string())
    }

    /// The packs that were set aside.
    pub(crate) fn set_aside(&self) -> Vec<String> {
        let files = std::fs::read_dir(self.open.folder().join("spool/corrupt")).unwrap();
        files.map(|file| file.unwrap().file_name().to_string_lossy().into_owned()).collect()
    }

    pub(crate) async fn run(&self, pack: PackId) -> Verdict {
        self.stage.run(&PrepareJob { pack }.encode()).await
    }

    pub(crate) fn jobs(&self) -> Vec<DeliverJob> {
        let sent = std::mem::take(&mut *self.outbound.sent.lock().unwrap());
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
            self.stores().keys.put(&domain, selector, &key).await.unwrap();
            records.insert(format!("{selector}._domainkey.{name}"), public.dns_record());
            selectors.push(Selector {
                selector: selector.to_owned(),
                algorithm,
                public_key: public.base64(),
            });
        }
        self.stores().directory.put(DomainEntry { domain, selectors, created: NOW }.into()).await.unwrap();
        records
    }
}
