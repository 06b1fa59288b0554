use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::Bytes;
use shared::mail::{PackId, Timestamp};
use shared::port::{Clock, PackInfo, Piece, PortError, PortResult, Spool, SpoolWriter};

use super::Gate;

/// A spool of whole packs.
pub(crate) struct FakeSpool {
    gate: Arc<Gate>,
    clock: Arc<dyn Clock>,
    pub(crate) packs: Mutex<BTreeMap<PackId, (Timestamp, Bytes)>>,
    /// Puts that fail before the next one works.
    pub(crate) put_failures: Mutex<u32>,
}

impl FakeSpool {
    pub(crate) fn new(gate: Arc<Gate>, clock: Arc<dyn Clock>) -> Self {
        Self { gate, clock, packs: Mutex::default(), put_failures: Mutex::default() }
    }
}

#[async_trait]
impl Spool for FakeSpool {
    async fn put(&self, id: PackId, parts: Vec<Bytes>) -> PortResult<()> {
        self.gate.cross().await;
        {
            let mut failures = self.put_failures.lock().unwrap();
            if *failures > 0 {
                *failures -= 1;
                return Err(PortError::refused("the write of a pack", "told to fail"));
            }
        }
        let now = self.clock.now();
        self.packs.lock().unwrap().entry(id).or_insert_with(|| (now, parts.concat().into()));
        self.gate.cross().await;
        Ok(())
    }

    async fn begin(&self, _: PackId) -> PortResult<Box<dyn SpoolWriter>> {
        Err(PortError::refused("the write of a pack", "no test streams"))
    }

    async fn get(&self, id: PackId, range: Range<u64>) -> PortResult<Option<Piece>> {
        self.gate.cross().await;
        Ok(self.packs.lock().unwrap().get(&id).map(|(_, bytes)| {
            let at = |at: u64| usize::try_from(at).unwrap().min(bytes.len());
            Piece { bytes: bytes.slice(at(range.start)..at(range.end)), pack_length: bytes.len() as u64 }
        }))
    }

    async fn delete(&self, id: PackId) -> PortResult<()> {
        self.packs.lock().unwrap().remove(&id);
        Ok(())
    }

    async fn list(&self, after: Option<PackId>, limit: usize) -> PortResult<Vec<PackInfo>> {
        let packs = self.packs.lock().unwrap();
        let over = packs.iter().filter(|(id, _)| after.is_none_or(|after| **id > after));
        let info = |(id, (at, bytes)): (&PackId, &(Timestamp, Bytes))| PackInfo {
            id: *id,
            length: bytes.len() as u64,
            written_at: *at,
        };
        Ok(over.map(info).take(limit).collect())
    }

    async fn set_aside(&self, id: PackId) -> PortResult<()> {
        self.delete(id).await
    }

    async fn probe(&self) -> PortResult<()> {
        Ok(())
    }
}
