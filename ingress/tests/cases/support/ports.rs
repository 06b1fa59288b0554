//! Ports that do what a test tells them to. They keep packs and jobs in memory and can be made to fail, to wait, or to be vague.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use ingress::Ports;
use shared::mail::{PackId, Timestamp};
use shared::pack::{PackHeader, PackReader};
use shared::port::{
    Clock, Depth, Ids, Outgoing, PackInfo, Piece, PortError, PortResult, Queue, Receipt, Received, Spool,
    SpoolWriter,
};
use tokio::sync::watch;

/// How a write is to go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mood {
    Fine,
    Refuses,
    /// It happens, and the answer says that nobody knows.
    Unknown,
    /// It waits until the mood changes.
    Hangs,
}

#[derive(Default)]
struct Kept {
    packs: HashMap<PackId, Bytes>,
    jobs: Vec<String>,
}

/// A spool and a queue in one, which share a memory of what happened.
pub(crate) struct World {
    kept: Mutex<Kept>,
    pub(crate) spool: watch::Sender<Mood>,
    pub(crate) queue: watch::Sender<Mood>,
    puts_begun: watch::Sender<usize>,
    queue_asked: watch::Sender<usize>,
    aborted: watch::Sender<usize>,
    ids: AtomicU64,
}

impl World {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            kept: Mutex::default(),
            spool: watch::Sender::new(Mood::Fine),
            queue: watch::Sender::new(Mood::Fine),
            puts_begun: watch::Sender::new(0),
            queue_asked: watch::Sender::new(0),
            aborted: watch::Sender::new(0),
            ids: AtomicU64::new(0),
        })
    }

    pub(crate) fn ports(self: &Arc<Self>) -> Ports {
        Ports {
            spool: Arc::new(MemorySpool(Arc::clone(self))),
            inbound: Arc::new(MemoryQueue(Arc::clone(self))),
            clock: Arc::new(SystemClock),
            ids: Arc::new(CountedIds(Arc::clone(self))),
        }
    }

    pub(crate) fn jobs(&self) -> Vec<String> {
        self.kept.lock().unwrap().jobs.clone()
    }

    pub(crate) fn packs(&self) -> usize {
        self.kept.lock().unwrap().packs.len()
    }

    /// Waits until `n` writers have been aborted.
    pub(crate) async fn aborted(&self, n: usize) {
        self.aborted.subscribe().wait_for(|aborted| *aborted >= n).await.unwrap();
    }

    /// Waits until `n` sends have been asked for.
    pub(crate) async fn queue_asked(&self, n: usize) {
        self.queue_asked.subscribe().wait_for(|asked| *asked >= n).await.unwrap();
    }

    pub(crate) fn puts_begun_so_far(&self) -> usize {
        *self.puts_begun.borrow()
    }

    /// Waits until `n` packs have been begun or put.
    pub(crate) async fn puts_begun(&self, n: usize) {
        self.puts_begun.subscribe().wait_for(|begun| *begun >= n).await.unwrap();
    }

    /// Every pack with its messages' content.
    pub(crate) async fn read_packs(self: &Arc<Self>) -> Vec<(PackHeader, Vec<Bytes>)> {
        let mut ids: Vec<_> = self.kept.lock().unwrap().packs.keys().copied().collect();
        ids.sort();
        let mut packs = Vec::new();
        for id in ids {
            let mut reader = PackReader::new(Arc::new(MemorySpool(Arc::clone(self))), id);
            let header = reader.header().await.unwrap();
            let pack = self.kept.lock().unwrap().packs[&id].clone();
            let content = |message: &shared::pack::PackedMessage| {
                let at = usize::try_from(message.offset).unwrap();
                let bytes = pack.slice(at..at + usize::try_from(message.length).unwrap());
                assert_eq!(crc32c::crc32c(&bytes), message.crc32c);
                bytes
            };
            let contents = header.messages.iter().map(content).collect();
            packs.push((header, contents));
        }
        packs
    }
}

async fn settle(mood: &watch::Sender<Mood>) -> Mood {
    *mood.subscribe().wait_for(|mood| *mood != Mood::Hangs).await.unwrap()
}

fn outcome(mood: Mood) -> PortResult<()> {
    match mood {
        Mood::Fine | Mood::Hangs => Ok(()),
        Mood::Refuses => Err(PortError::refused("the write of a test", "the test said so")),
        Mood::Unknown => Err(PortError::unknown("the write of a test", "the test said so")),
    }
}

struct MemorySpool(Arc<World>);

#[async_trait]
impl Spool for MemorySpool {
    async fn put(&self, id: PackId, parts: Vec<Bytes>) -> PortResult<()> {
        self.0.puts_begun.send_modify(|begun| *begun += 1);
        let mood = settle(&self.0.spool).await;
        if mood != Mood::Refuses {
            self.0.kept.lock().unwrap().packs.insert(id, parts.concat().into());
        }
        outcome(mood)
    }

    async fn begin(&self, id: PackId) -> PortResult<Box<dyn SpoolWriter>> {
        self.0.puts_begun.send_modify(|begun| *begun += 1);
        outcome(settle(&self.0.spool).await)?;
        Ok(Box::new(MemoryWriter { world: Arc::clone(&self.0), id, bytes: Vec::new() }))
    }

    async fn get(&self, id: PackId, range: Range<u64>) -> PortResult<Option<Piece>> {
        let kept = self.0.kept.lock().unwrap();
        Ok(kept.packs.get(&id).map(|pack| {
            let at = |offset: u64| usize::try_from(offset).unwrap().min(pack.len());
            Piece { bytes: pack.slice(at(range.start)..at(range.end)), pack_length: pack.len() as u64 }
        }))
    }

    async fn delete(&self, _: PackId) -> PortResult<()> {
        unreachable!("the ingress only puts")
    }

    async fn list(&self, _: Option<PackId>, _: usize) -> PortResult<Vec<PackInfo>> {
        unreachable!("the ingress only puts")
    }

    async fn set_aside(&self, _: PackId) -> PortResult<()> {
        unreachable!("the ingress only puts")
    }

    async fn probe(&self) -> PortResult<()> {
        Ok(())
    }
}

struct MemoryWriter {
    world: Arc<World>,
    id: PackId,
    bytes: Vec<u8>,
}

#[async_trait]
impl SpoolWriter for MemoryWriter {
    async fn write(&mut self, bytes: Bytes) -> PortResult<()> {
        outcome(settle(&self.world.spool).await)?;
        self.bytes.extend_from_slice(&bytes);
        Ok(())
    }

    async fn finish(self: Box<Self>) -> PortResult<()> {
        let mood = settle(&self.world.spool).await;
        if mood != Mood::Refuses {
            self.world.kept.lock().unwrap().packs.insert(self.id, self.bytes.into());
        }
        outcome(mood)
    }

    async fn abort(self: Box<Self>) -> PortResult<()> {
        self.world.aborted.send_modify(|aborted| *aborted += 1);
        Ok(())
    }
}

struct MemoryQueue(Arc<World>);

#[async_trait]
impl Queue for MemoryQueue {
    async fn send(&self, batch: Vec<Outgoing>) -> PortResult<Vec<Result<(), PortError>>> {
        self.0.queue_asked.send_modify(|asked| *asked += 1);
        let mood = settle(&self.0.queue).await;
        let mut kept = self.0.kept.lock().unwrap();
        let answers = batch.iter().map(|_| outcome(mood)).collect();
        if mood != Mood::Refuses {
            kept.jobs.extend(batch.into_iter().map(|job| job.body));
        }
        Ok(answers)
    }

    async fn receive(&self, _: usize, _: Duration) -> PortResult<Vec<Received>> {
        unreachable!("the ingress only sends")
    }

    async fn ack(&self, _: &Receipt) -> PortResult<()> {
        unreachable!("the ingress only sends")
    }

    async fn release(&self, _: &Receipt, _: Duration) -> PortResult<()> {
        unreachable!("the ingress only sends")
    }

    async fn depth(&self) -> PortResult<Depth> {
        unreachable!("the ingress only sends")
    }

    async fn probe(&self) -> PortResult<()> {
        Ok(())
    }
}

struct SystemClock;

#[async_trait]
impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the clock")]
    fn now(&self) -> Timestamp {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
        Timestamp::from_millis(i64::try_from(since.as_millis()).unwrap())
    }

    #[expect(clippy::disallowed_methods, reason = "this is the clock")]
    async fn sleep(&self, span: Duration) {
        tokio::time::sleep(span).await;
    }
}

/// Ids in the order they were drawn.
struct CountedIds(Arc<World>);

impl Ids for CountedIds {
    fn pack(&self, _: Timestamp) -> PackId {
        format!("{:032x}", self.random() + 1).parse().unwrap()
    }

    fn random(&self) -> u64 {
        self.0.ids.fetch_add(1, Ordering::Relaxed)
    }
}
