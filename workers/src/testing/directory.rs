use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use shared::port::{Directory, Entry, EntryKind, PortError, PortResult};

/// A directory, by the port's contract.
#[derive(Default)]
pub(crate) struct FakeDirectory {
    pub(crate) entries: Mutex<BTreeMap<(EntryKind, String), Entry>>,
    /// How often it was asked for anything.
    pub(crate) reads: Mutex<usize>,
    /// Whether it refuses to be read.
    pub(crate) broken: AtomicBool,
    /// Reads that fail before the next one works.
    pub(crate) failures: Mutex<u32>,
}

impl FakeDirectory {
    fn read(&self) -> PortResult<()> {
        *self.reads.lock().unwrap() += 1;
        let mut failures = self.failures.lock().unwrap();
        if *failures > 0 || self.broken.load(Ordering::Relaxed) {
            *failures = failures.saturating_sub(1);
            return Err(PortError::refused("the read of a directory entry", "told to fail"));
        }
        Ok(())
    }
}

#[async_trait]
impl Directory for FakeDirectory {
    async fn get(&self, kind: EntryKind, name: &str) -> PortResult<Option<Entry>> {
        self.read()?;
        Ok(self.entries.lock().unwrap().get(&(kind, name.to_owned())).cloned())
    }

    async fn put(&self, entry: Entry) -> PortResult<()> {
        self.entries.lock().unwrap().insert((entry.kind, entry.name.clone()), entry);
        Ok(())
    }

    async fn list(&self, kind: EntryKind, after: Option<&str>, limit: usize) -> PortResult<Vec<Entry>> {
        self.read()?;
        let entries = self.entries.lock().unwrap();
        let behind = entries.values().filter(|entry| entry.kind == kind);
        let behind = behind.filter(|entry| after.is_none_or(|after| entry.name.as_str() > after));
        Ok(behind.take(limit).cloned().collect())
    }

    async fn delete(&self, kind: EntryKind, name: &str) -> PortResult<bool> {
        Ok(self.entries.lock().unwrap().remove(&(kind, name.to_owned())).is_some())
    }
}
