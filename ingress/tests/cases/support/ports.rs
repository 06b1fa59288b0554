//! The stores of an edge in a folder of its own, behind faults that a test can switch on.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use ingress::Ports;
use shared::directory::CredentialEntry;
use shared::pack::{PackHeader, PackReader};
use shared::port::{BATCH_MAX, Clock, Directory, Entry, Queue, Spool};
use shared::system::{SystemClock, SystemIds};
use shared::testkit::{Faults, Faulty, ManualClock, TempStores, ZoneResolver};
use shared::wire::Stores;

/// The stores, with how some of them fail, the time and the DNS.
pub(crate) struct World {
    stores: TempStores,
    clock: Arc<dyn Clock>,
    pub(crate) spool: Arc<Faults>,
    pub(crate) queue: Arc<Faults>,
    pub(crate) directory: Arc<Faults>,
    pub(crate) dns: Arc<ZoneResolver>,
}

impl World {
    pub(crate) async fn new() -> Self {
        Self::on(Arc::new(SystemClock)).await
    }

    /// One whose time is the test's.
    pub(crate) async fn at_the_time_of(clock: &Arc<ManualClock>) -> Self {
        Self::on(Arc::clone(clock) as Arc<dyn Clock>).await
    }

    async fn on(clock: Arc<dyn Clock>) -> Self {
        let stores = TempStores::open(Arc::clone(&clock)).await;
        let [spool, queue, directory] = [0; 3].map(Faults::new);
        let dns = Arc::new(ZoneResolver::parse("").unwrap());
        Self { stores, clock, spool, queue, directory, dns }
    }

    pub(crate) fn ports(&self) -> Ports {
        self.ports_of(&self.stores.stores)
    }

    /// The same for another process: a handle of its own on each store.
    pub(crate) async fn ports_of_another(&self) -> Ports {
        self.ports_of(&self.stores.again(Arc::clone(&self.clock)).await.unwrap())
    }

    fn ports_of(&self, stores: &Stores) -> Ports {
        Ports {
            spool: Faulty::<dyn Spool>::new(Arc::clone(&stores.spool), &self.spool),
            inbound: Faulty::<dyn Queue>::new(Arc::clone(&stores.inbound), &self.queue),
            resolver: Arc::clone(&self.dns) as _,
            directory: Faulty::<dyn Directory>::new(Arc::clone(&stores.directory), &self.directory),
            counters: Arc::clone(&stores.counters),
            clock: Arc::clone(&self.clock),
            ids: Arc::new(SystemIds::default()),
        }
    }

    /// Puts a credential into the directory, in the place of one of the same name.
    pub(crate) async fn put(&self, entry: CredentialEntry) {
        self.stores.stores.directory.put(Entry::from(entry)).await.unwrap();
    }

    /// Takes every job out of the queue.
    pub(crate) async fn jobs(&self) -> Vec<String> {
        let mut jobs = Vec::new();
        loop {
            let received = self.stores.stores.inbound.receive(BATCH_MAX, Duration::ZERO).await.unwrap();
            if received.is_empty() {
                return jobs;
            }
            jobs.extend(received.into_iter().map(|job| job.body));
        }
    }

    pub(crate) async fn packs(&self) -> usize {
        self.stores.stores.spool.list(None, usize::MAX).await.unwrap().len()
    }

    /// The ids of all messages in the spool, once each of their packs is seen to have a job.
    pub(crate) async fn messages_with_jobs(&self) -> BTreeSet<String> {
        let (spool, jobs) = (&self.stores.stores.spool, self.jobs().await);
        let mut messages = BTreeSet::new();
        for pack in spool.list(None, usize::MAX).await.unwrap() {
            let id = pack.id.to_string();
            assert_eq!(jobs.iter().filter(|job| job.contains(&id)).count(), 1, "{id} in {jobs:?}");
            let header = PackReader::new(Arc::clone(spool), pack.id).header().await.unwrap();
            messages.extend((0..header.messages.len()).map(|n| format!("{id}-{n}")));
        }
        messages
    }

    /// Every pack with its messages' content, the first one first.
    pub(crate) async fn read_packs(&self) -> Vec<(PackHeader, Vec<Bytes>)> {
        let spool = &self.stores.stores.spool;
        let mut packs = Vec::new();
        let mut ids: Vec<_> =
            spool.list(None, usize::MAX).await.unwrap().into_iter().map(|pack| pack.id).collect();
        ids.sort_unstable();
        for id in ids {
            let header = PackReader::new(Arc::clone(spool), id).header().await.unwrap();
            let mut contents = Vec::new();
            for message in &header.messages {
                let range = message.offset..message.offset + message.length;
                let bytes = spool.get(id, range).await.unwrap().unwrap().bytes;
                assert_eq!(crc32c::crc32c(&bytes), message.crc32c);
                contents.push(bytes);
            }
            packs.push((header, contents));
        }
        packs
    }
}
