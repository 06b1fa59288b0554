//! The embedded adapters in temporary folders: for their own suites, and for any test that needs stores.

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use tempfile::TempDir;

use super::{Fixture, Store, Windows};
use crate::embedded::{
    Database, FileKeys, FileSpool, QueueSettings, SqliteCounters, SqliteDeliveries, SqliteDirectory,
    SqliteQueue, SqliteTallies,
};
use crate::port::{Clock, Counters, Deliveries, Directory, Keys, Queue, Spool, Tallies};
use crate::system::SystemClock;
use crate::wire::{StoreUrls, Stores, WireError};

/// The stores of an edge in a folder that goes when this does.
pub struct TempStores {
    folder: TempDir,
    /// The stores.
    pub stores: Stores,
}

impl TempStores {
    /// Opens new stores.
    pub async fn open(clock: Arc<dyn Clock>) -> Self {
        let folder = tempfile::tempdir().expect("a test can make a folder");
        let stores = Stores::open(&StoreUrls::below(folder.path()), clock).await;
        Self { folder, stores: stores.expect("the default URLs are good") }
    }

    /// Opens the same stores once more, as another process would.
    pub async fn again(&self, clock: Arc<dyn Clock>) -> Result<Stores, WireError> {
        Stores::open(&StoreUrls::below(self.folder.path()), clock).await
    }

    /// The data folder.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }
}

/// The embedded adapters, for the suites.
#[derive(Debug, Clone, Copy, Default)]
pub struct Embedded;

struct Folder(TempDir);

impl Folder {
    fn new() -> Box<Self> {
        Box::new(Self(tempfile::tempdir().expect("a test can make a folder")))
    }

    fn database(&self) -> Database {
        Database::open(&self.0.path().join("store.db")).expect("a new file is a good database")
    }
}

macro_rules! embedded {
    ($($port:ident => $open:expr),* $(,)?) => {$(
        #[async_trait]
        impl Fixture<dyn $port> for Embedded {
            async fn fresh(&self) -> Box<dyn Store<dyn $port>> {
                Folder::new()
            }
        }

        #[async_trait]
        impl Store<dyn $port> for Folder {
            async fn open(&self) -> Arc<dyn $port> {
                let open: fn(&Folder) -> Arc<dyn $port> = $open;
                open(self)
            }
        }
    )*};
}
const OPENS: &str = "a store in a new folder opens";
embedded! {
    Spool => |folder| Arc::new(FileSpool::open(folder.0.path(), Arc::new(SystemClock)).expect(OPENS)),
    Queue => |folder| Arc::new(queue(&folder.database())),
    Deliveries => |folder| Arc::new(SqliteDeliveries::new(&folder.database()).expect(OPENS)),
    Directory => |folder| Arc::new(SqliteDirectory::new(&folder.database()).expect(OPENS)),
    Keys => |folder| Arc::new(FileKeys::open(folder.0.path(), &SystemClock).expect(OPENS)),
    Counters => |folder| Arc::new(SqliteCounters::new(&folder.database()).expect(OPENS)),
    Tallies => |folder| Arc::new(SqliteTallies::new(&folder.database()).expect(OPENS)),
}

fn queue(database: &Database) -> SqliteQueue {
    let Windows { visibility, receives_max, .. } = Windows::default();
    let settings = QueueSettings { visibility, receives_max };
    SqliteQueue::new(database, "jobs", settings, Arc::new(SystemClock)).expect(OPENS)
}
