//! Where the stores are: the URLs, read.
//!
//! To add a backend, add a variant to the place of each store that it can be, read its URL in [`url`], and open it in [`open`].
//!
//! [`open`]: super::open

use std::path::{Path, PathBuf};

use super::problems::Problems;
use super::{Needs, Store, StoreUrls, WireError, url};
use crate::embedded::QueueSettings;

/// A place of each store that is needed; `None` of the others.
pub(super) struct Plan {
    pub(super) spool: Option<SpoolAt>,
    pub(super) inbound: Option<QueueAt>,
    pub(super) outbound: Option<QueueAt>,
    pub(super) state: Option<TableAt>,
    pub(super) directory: Option<TableAt>,
    pub(super) keys: Option<KeysAt>,
    pub(super) counters: Option<TableAt>,
}

/// Where a spool can be.
pub(super) enum SpoolAt {
    /// A folder.
    File(PathBuf),
    /// A bucket, and a prefix of its keys, which may be empty.
    S3(String, String),
}

/// Where a queue can be.
pub(super) enum QueueAt {
    /// A database, and how the queue behaves.
    File(PathBuf, QueueSettings),
    /// A queue's URL.
    Sqs(String),
}

/// Where items with a key can be: state, directory, counters.
pub(super) enum TableAt {
    /// A database.
    File(PathBuf),
    /// A table's name.
    DynamoDb(String),
}

/// Where signing keys can be.
pub(super) enum KeysAt {
    /// A folder.
    File(PathBuf),
    /// A path of the parameter store.
    Ssm(String),
}

impl SpoolAt {
    fn folder(&self) -> Option<&Path> {
        match self {
            Self::File(folder) => Some(folder),
            Self::S3(..) => None,
        }
    }
}

impl QueueAt {
    fn file(&self) -> Option<&Path> {
        match self {
            Self::File(file, _) => Some(file),
            Self::Sqs(_) => None,
        }
    }
}

impl TableAt {
    fn file(&self) -> Option<&Path> {
        match self {
            Self::File(file) => Some(file),
            Self::DynamoDb(_) => None,
        }
    }
}

impl KeysAt {
    fn folder(&self) -> Option<&Path> {
        match self {
            Self::File(folder) => Some(folder),
            Self::Ssm(_) => None,
        }
    }
}

/// What a store of the embedded kind is on disk.
pub(super) enum OnDisk<'a> {
    Folder(&'a Path),
    File(&'a Path),
}

impl Plan {
    /// Reads the URLs of the stores in `needs`. Every mistake that can be found without making or changing anything is found.
    pub(super) fn new(urls: &StoreUrls, needs: Needs) -> Result<Self, WireError> {
        let mut reading = Reading { problems: Problems::default(), needs };
        let plan = Self {
            spool: reading.read(Store::Spool, &urls.spool, url::spool),
            inbound: reading.read(Store::QueueInbound, &urls.queue_inbound, url::queue),
            outbound: reading.read(Store::QueueOutbound, &urls.queue_outbound, url::queue),
            state: reading.read(Store::State, &urls.state, url::table),
            directory: reading.read(Store::Directory, &urls.directory, url::table),
            keys: reading.read(Store::Keys, &urls.keys, url::keys),
            counters: reading.read(Store::Counters, &urls.counters, url::table),
        };
        for (store, place) in plan.on_disk() {
            match place {
                OnDisk::Folder(path) if path.exists() && !path.is_dir() => {
                    let text = format!("{} is not a folder: name one, or one to be made", path.display());
                    reading.problems.add(store, text);
                }
                OnDisk::File(path) if path.exists() && !path.is_file() => {
                    let text = format!("{} is not a file: name one, or one to be made", path.display());
                    reading.problems.add(store, text);
                }
                OnDisk::Folder(_) | OnDisk::File(_) => {}
            }
        }
        reading.problems.finish()?;
        Ok(plan)
    }

    /// Whether any store is in the cloud.
    pub(super) fn needs_aws(&self) -> bool {
        let queue = |at: &Option<QueueAt>| matches!(at, Some(QueueAt::Sqs(_)));
        let table = |at: &Option<TableAt>| matches!(at, Some(TableAt::DynamoDb(_)));
        matches!(self.spool, Some(SpoolAt::S3(..)))
            || matches!(self.keys, Some(KeysAt::Ssm(_)))
            || [&self.inbound, &self.outbound].into_iter().any(queue)
            || [&self.state, &self.directory, &self.counters].into_iter().any(table)
    }

    /// What of the plan is on this machine's disk. Folders come first: in one of them there may be files of other stores.
    pub(super) fn on_disk(&self) -> Vec<(Store, OnDisk<'_>)> {
        let all = [
            (Store::Spool, self.spool.as_ref().and_then(SpoolAt::folder).map(OnDisk::Folder)),
            (Store::Keys, self.keys.as_ref().and_then(KeysAt::folder).map(OnDisk::Folder)),
            (Store::QueueInbound, self.inbound.as_ref().and_then(QueueAt::file).map(OnDisk::File)),
            (Store::QueueOutbound, self.outbound.as_ref().and_then(QueueAt::file).map(OnDisk::File)),
            (Store::State, self.state.as_ref().and_then(TableAt::file).map(OnDisk::File)),
            (Store::Directory, self.directory.as_ref().and_then(TableAt::file).map(OnDisk::File)),
            (Store::Counters, self.counters.as_ref().and_then(TableAt::file).map(OnDisk::File)),
        ];
        all.into_iter().filter_map(|(store, place)| Some((store, place?))).collect()
    }
}

struct Reading {
    problems: Problems,
    needs: Needs,
}

impl Reading {
    fn read<T>(
        &mut self,
        store: Store,
        url: &str,
        read: impl FnOnce(&str) -> Result<T, Vec<String>>,
    ) -> Option<T> {
        if self.needs.has(store) { self.problems.take(store, read(url)) } else { None }
    }
}
