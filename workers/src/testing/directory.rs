use std::collections::BTreeMap;
use std::sync::Mutex;

use async_trait::async_trait;
use shared::port::{Directory, Entry, EntryKind, PortError, PortResult};

/// A directory that can be told to fail.
#[derive(Default)]
pub(crate) struct FakeDirectory {
    entries: Mutex<BTreeMap<(EntryKind, String), Entry>>,
    /// Calls that fail before the next one works.
    pub(crate) failures: Mutex<u32>,
    pub(crate) reads: Mutex<usize>,
}

#[async_trait]
impl Directory for FakeDirectory {
    async fn get(&self, kind: EntryKind, name: &str) -> PortResult<Option<Entry>> {
        Ok(self.entries.lock().unwrap().get(&(kind, name.to_owned())).cloned())
    }

    async fn put(&self, entry: Entry) -> PortResult<()> {
        self.entries.lock().unwrap().insert((entry.kind, entry.name.clone()), entry);
        Ok(())
    }

    async fn list(&self, kind: EntryKind, after: Option<&str>, limit: usize) -> PortResult<Vec<Entry>> {
        *self.reads.lock().unwrap() += 1;
        let mut failures = self.failures.lock().unwrap();
        if *failures > 0 {
            *failures -= 1;
            return Err(PortError::refused("the list", "told to fail"));
        }
        let entries = self.entries.lock().unwrap();
        let own = entries.values().filter(|entry| entry.kind == kind);
        Ok(own.filter(|entry| after.is_none_or(|after| *entry.name > *after)).take(limit).cloned().collect())
    }

    async fn delete(&self, kind: EntryKind, name: &str) -> PortResult<bool> {
        Ok(self.entries.lock().unwrap().remove(&(kind, name.to_owned())).is_some())
    }
}
