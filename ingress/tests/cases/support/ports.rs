//! The stores of an edge in a folder of its own, behind faults that a test can switch on.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use ingress::Ports;
use shared::pack::{PackHeader, PackReader};
use shared::port::{BATCH_MAX, Queue, Spool};
use shared::system::{SystemClock, SystemIds};
use shared::testkit::{Faults, Faulty, TempStores, ZoneResolver};

/// A spool and a queue, with how they fail.
pub(crate) struct World {
    stores: TempStores,
    pub(crate) spool: Arc<Faults>,
    pub(crate) queue: Arc<Faults>,
}

impl World {
    pub(crate) async fn new() -> Self {
        let stores = TempStores::open(Arc::new(SystemClock)).await;
        Self { stores, spool: Faults::new(0), queue: Faults::new(0) }
    }

    pub(crate) fn ports(&self) -> Ports {
        let stores = &self.stores.stores;
        Ports {
            spool: Faulty::<dyn Spool>::new(Arc::clone(&stores.spool), &self.spool),
            inbound: Faulty::<dyn Queue>::new(Arc::clone(&stores.inbound), &self.queue),
            resolver: Arc::new(ZoneResolver::parse("").unwrap()),
            directory: Arc::clone(&stores.directory),
            counters: Arc::clone(&stores.counters),
            clock: Arc::new(SystemClock),
            ids: Arc::new(SystemIds::default()),
        }
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
