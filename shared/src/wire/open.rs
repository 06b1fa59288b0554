//! The adapters, opened.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::absent::Absent;
use super::plan::{KeysAt, OnDisk, Plan, QueueAt, SpoolAt, TableAt};
use super::problems::{Problems, told};
use super::stores::{Owned, Stores};
use super::{Store, WireError};
use crate::aws::{
    Aws, DynamoCounters, DynamoDeliveries, DynamoDirectory, DynamoTallies, S3Spool, SqsQueue, SsmKeys,
};
use crate::embedded::{
    Database, FileKeys, FileSpool, OpenError, SqliteCounters, SqliteDeliveries, SqliteDirectory, SqliteQueue,
    SqliteTallies, make_folder,
};
use crate::port::{Clock, Counters, Deliveries, Directory, Keys, PortError, Queue, Spool, Tallies};

/// What becomes of stores that are not there.
#[derive(Clone, Copy)]
pub(super) enum Mode {
    /// They are made.
    Make,
    /// They are a mistake.
    Find,
}

impl Plan {
    pub(super) async fn open(self, clock: &Arc<dyn Clock>, mode: Mode) -> Result<Stores, WireError> {
        if let Mode::Make = mode {
            self.make_folders()?;
        }
        let aws = if self.needs_aws() { Some(Aws::load().await) } else { None };
        let mut opening = Opening {
            aws,
            clock: Arc::clone(clock),
            mode,
            databases: BTreeMap::new(),
            problems: Problems::default(),
            owned: Owned::default(),
        };
        let spool = opening.spool(self.spool);
        let keys = opening.keys(self.keys);
        let inbound = opening.inbound(self.inbound);
        let outbound = opening.outbound(self.outbound);
        let (deliveries, reminders) = opening.state(self.state);
        let directory = opening.directory(self.directory);
        let (counters, tallies) = opening.counters(self.counters);
        opening.problems.finish()?;
        let owned = Arc::new(opening.owned);
        Ok(Stores {
            spool,
            inbound,
            outbound,
            deliveries,
            reminders,
            directory,
            keys,
            counters,
            tallies,
            owned,
        })
    }

    /// Makes the folders of all stores first, so that one that cannot be made is one mistake and not one of each store in it.
    fn make_folders(&self) -> Result<(), WireError> {
        let mut problems = Problems::default();
        for (store, place) in self.on_disk() {
            let made = match place {
                OnDisk::Folder(folder) => make_folder(folder),
                OnDisk::File(file) => folder_of(file).map_or(Ok(()), make_folder),
            };
            made.unwrap_or_else(|error| problems.add_once(store, &error));
        }
        problems.finish()
    }
}

/// The folder that `file` is in, unless that is the current one.
fn folder_of(file: &Path) -> Option<&Path> {
    file.parent().filter(|folder| *folder != Path::new(""))
}

struct Opening {
    /// There where any store is in the cloud. Nothing is made there: what is not there is found by the first request.
    aws: Option<Aws>,
    clock: Arc<dyn Clock>,
    mode: Mode,
    /// By path: each is opened once.
    databases: BTreeMap<PathBuf, Database>,
    problems: Problems,
    owned: Owned,
}

/// Each gives the store, open. Where that is not to be had the mistake is noted, and [`Absent`] lets the opening go on.
impl Opening {
    fn spool(&mut self, at: Option<SpoolAt>) -> Arc<dyn Spool> {
        let spool = match at {
            Some(SpoolAt::File(folder)) => match self.mode {
                Mode::Make => FileSpool::open(&folder, Arc::clone(&self.clock)).map_err(told),
                Mode::Find => Ok(FileSpool::open_existing(&folder, Arc::clone(&self.clock))),
            },
            Some(SpoolAt::S3(bucket, prefix)) => {
                return self.cloud(Arc::new(Absent(Store::Spool)), |aws| {
                    Arc::new(S3Spool::new(aws, &bucket, &prefix))
                });
            }
            None => return Arc::new(Absent(Store::Spool)),
        };
        match self.problems.take(Store::Spool, spool) {
            Some(spool) => Arc::new(spool),
            None => Arc::new(Absent(Store::Spool)),
        }
    }

    fn keys(&mut self, at: Option<KeysAt>) -> Arc<dyn Keys> {
        let keys = match at {
            Some(KeysAt::File(folder)) => match self.mode {
                Mode::Make => FileKeys::open(&folder, &*self.clock).map_err(told),
                Mode::Find => Ok(FileKeys::open_existing(&folder)),
            },
            Some(KeysAt::Ssm(path)) => {
                return self.cloud(Arc::new(Absent(Store::Keys)), |aws| Arc::new(SsmKeys::new(aws, &path)));
            }
            None => return Arc::new(Absent(Store::Keys)),
        };
        match self.problems.take(Store::Keys, keys) {
            Some(keys) => Arc::new(keys),
            None => Arc::new(Absent(Store::Keys)),
        }
    }

    fn inbound(&mut self, at: Option<QueueAt>) -> Arc<dyn Queue> {
        self.queue(Store::QueueInbound, "inbound", at, |queue| queue)
    }

    fn outbound(&mut self, at: Option<QueueAt>) -> Arc<dyn Queue> {
        self.queue(Store::QueueOutbound, "outbound", at, SqliteQueue::sending_in_company)
    }

    fn queue(
        &mut self,
        store: Store,
        name: &'static str,
        at: Option<QueueAt>,
        tune: impl FnOnce(SqliteQueue) -> SqliteQueue,
    ) -> Arc<dyn Queue> {
        match at {
            Some(QueueAt::File(path, settings)) => {
                let clock = Arc::clone(&self.clock);
                let make = |database: &Database| SqliteQueue::new(database, name, settings, clock);
                match self.table(store, &path, make) {
                    Some(queue) => {
                        let queue = Arc::new(tune(queue));
                        self.owned.add_queue(&path, Arc::clone(&queue));
                        queue
                    }
                    None => Arc::new(Absent(store)),
                }
            }
            Some(QueueAt::Sqs(url)) => {
                self.cloud(Arc::new(Absent(store)), |aws| Arc::new(SqsQueue::new(aws, &url)))
            }
            None => Arc::new(Absent(store)),
        }
    }

    fn state(&mut self, at: Option<TableAt>) -> (Arc<dyn Deliveries>, Arc<dyn Tallies>) {
        let absent = || Arc::new(Absent(Store::State));
        match at {
            Some(TableAt::File(path)) => {
                let open = |database: &Database| {
                    Ok((SqliteDeliveries::new(database)?, SqliteTallies::new(database)?))
                };
                match self.table(Store::State, &path, open) {
                    Some((deliveries, reminders)) => {
                        let deliveries = Arc::new(deliveries);
                        self.owned.add_deliveries(&path, Arc::clone(&deliveries));
                        (deliveries, Arc::new(reminders))
                    }
                    None => (absent(), absent()),
                }
            }
            Some(TableAt::DynamoDb(table)) => (
                self.cloud(absent(), |aws| Arc::new(DynamoDeliveries::new(aws, &table))),
                self.cloud(absent(), |aws| Arc::new(DynamoTallies::new(aws, &table))),
            ),
            None => (absent(), absent()),
        }
    }

    fn directory(&mut self, at: Option<TableAt>) -> Arc<dyn Directory> {
        match at {
            Some(TableAt::File(path)) => match self.table(Store::Directory, &path, SqliteDirectory::new) {
                Some(directory) => Arc::new(directory),
                None => Arc::new(Absent(Store::Directory)),
            },
            Some(TableAt::DynamoDb(table)) => self
                .cloud(Arc::new(Absent(Store::Directory)), |aws| Arc::new(DynamoDirectory::new(aws, &table))),
            None => Arc::new(Absent(Store::Directory)),
        }
    }

    fn counters(&mut self, at: Option<TableAt>) -> (Arc<dyn Counters>, Arc<dyn Tallies>) {
        let absent = || Arc::new(Absent(Store::Counters));
        match at {
            Some(TableAt::File(path)) => {
                let open =
                    |database: &Database| Ok((SqliteCounters::new(database)?, SqliteTallies::new(database)?));
                match self.table(Store::Counters, &path, open) {
                    Some((counters, tallies)) => (Arc::new(counters), Arc::new(tallies)),
                    None => (absent(), absent()),
                }
            }
            Some(TableAt::DynamoDb(table)) => (
                self.cloud(absent(), |aws| Arc::new(DynamoCounters::new(aws, &table))),
                self.cloud(absent(), |aws| Arc::new(DynamoTallies::new(aws, &table))),
            ),
            None => (absent(), absent()),
        }
    }

    /// A store in the cloud, for which [`Plan::needs_aws`] has had the clients loaded.
    fn cloud<P: ?Sized>(&self, absent: Arc<P>, make: impl FnOnce(&Aws) -> Arc<P>) -> Arc<P> {
        self.aws.as_ref().map_or(absent, make)
    }

    /// A store in a database, which others may be in too.
    fn table<T>(
        &mut self,
        store: Store,
        path: &Path,
        make: impl FnOnce(&Database) -> Result<T, PortError>,
    ) -> Option<T> {
        let table = self.database(path).and_then(|database| make(&database).map_err(told));
        self.problems.take(store, table)
    }

    fn database(&mut self, path: &Path) -> Result<Database, Vec<String>> {
        if let Some(database) = self.databases.get(path) {
            return Ok(database.clone());
        }
        let database: Result<Database, OpenError> = match self.mode {
            Mode::Make => Database::open(path),
            Mode::Find => Database::open_existing(path),
        };
        let database = database.map_err(told)?;
        self.databases.insert(path.to_owned(), database.clone());
        Ok(database)
    }
}
