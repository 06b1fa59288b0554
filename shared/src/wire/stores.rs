//! The adapters, opened.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use thiserror::Error;

use super::{Problem, StoreUrls, WireError, url};
use crate::embedded::{
    Database, EdgeLock, FileKeys, FileSpool, LockError, OpenError, QueueSettings, SqliteCounters,
    SqliteDeliveries, SqliteDirectory, SqliteQueue, make_folder,
};
use crate::port::{Clock, Counters, Deliveries, Directory, Keys, PortError, Queue, Spool};

/// Every store of an edge.
#[derive(Clone)]
pub struct Stores {
    /// The packs.
    pub spool: Arc<dyn Spool>,
    /// The queue of packs to prepare.
    pub inbound: Arc<dyn Queue>,
    /// The queue of deliveries to make.
    pub outbound: Arc<dyn Queue>,
    /// Delivery state and claims.
    pub deliveries: Arc<dyn Deliveries>,
    /// What an operator has set up.
    pub directory: Arc<dyn Directory>,
    /// Signing keys.
    pub keys: Arc<dyn Keys>,
    /// Counters.
    pub counters: Arc<dyn Counters>,
    owned: Arc<Owned>,
}

/// The stores in which a process that died leaves something behind that the next one can clear at once.
struct Owned {
    folders: Vec<PathBuf>,
    queues: [Arc<SqliteQueue>; 2],
    deliveries: Arc<SqliteDeliveries>,
}

/// Why this process may not work the queues.
#[derive(Debug, Error)]
pub enum TakeOverError {
    /// Another one does, or that could not be told.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// What a dead process held could not be given back.
    #[error("the work of the process before this one could not be taken over")]
    Reclaim(#[from] PortError),
}

impl Stores {
    /// Opens every store, and makes those that are not there. All mistakes in `urls` are told before anything is made.
    pub async fn open(urls: &StoreUrls, clock: Arc<dyn Clock>) -> Result<Self, WireError> {
        Plan::new(urls)?.open(&clock, Mode::Make)
    }

    /// Opens every store, for commands that look at the data of an edge and must not make any.
    pub async fn open_existing(urls: &StoreUrls, clock: Arc<dyn Clock>) -> Result<Self, WireError> {
        Plan::new(urls)?.open(&clock, Mode::Find)
    }

    /// Makes this process the one that works the queues, and gives back at once what the one before had received, claimed or
    /// leased when it died. To be called before the first receive, and the locks kept until the last one has been dealt with.
    pub async fn take_over(&self) -> Result<Vec<EdgeLock>, TakeOverError> {
        let locks = self.owned.folders.iter().map(|folder| EdgeLock::acquire(folder));
        let locks = locks.collect::<Result<_, _>>()?;
        for queue in &self.owned.queues {
            queue.reclaim().await?;
        }
        self.owned.deliveries.reclaim().await?;
        Ok(locks)
    }
}

#[derive(Clone, Copy)]
enum Mode {
    Make,
    Find,
}

/// The URLs, read.
pub(super) struct Plan {
    spool: PathBuf,
    inbound: (PathBuf, QueueSettings),
    outbound: (PathBuf, QueueSettings),
    state: PathBuf,
    directory: PathBuf,
    keys: PathBuf,
    counters: PathBuf,
}

impl Plan {
    pub(super) fn new(urls: &StoreUrls) -> Result<Self, WireError> {
        let mut problems = Problems::default();
        let spool = problems.take("stores.spool", url::plain(&urls.spool));
        let inbound = problems.take("stores.queue_inbound", url::queue(&urls.queue_inbound));
        let outbound = problems.take("stores.queue_outbound", url::queue(&urls.queue_outbound));
        let state = problems.take("stores.state", url::plain(&urls.state));
        let directory = problems.take("stores.directory", url::plain(&urls.directory));
        let keys = problems.take("stores.keys", url::plain(&urls.keys));
        let counters = problems.take("stores.counters", url::plain(&urls.counters));
        for (key, folder) in [("stores.spool", &spool), ("stores.keys", &keys)] {
            if let Some(path) = folder.as_deref().filter(|path| path.exists() && !path.is_dir()) {
                problems.add(key, format!("{} is not a folder: name one, or one to be made", path.display()));
            }
        }
        let file = |of: &Option<(PathBuf, QueueSettings)>| of.as_ref().map(|(path, _)| path.clone());
        for (key, file) in [
            ("stores.queue_inbound", file(&inbound)),
            ("stores.queue_outbound", file(&outbound)),
            ("stores.state", state.clone()),
            ("stores.directory", directory.clone()),
            ("stores.counters", counters.clone()),
        ] {
            if let Some(path) = file.filter(|path| path.exists() && !path.is_file()) {
                problems.add(key, format!("{} is not a file: name one, or one to be made", path.display()));
            }
        }
        match (spool, inbound, outbound, state, directory, keys, counters) {
            (
                Some(spool),
                Some(inbound),
                Some(outbound),
                Some(state),
                Some(directory),
                Some(keys),
                Some(counters),
            ) if problems.0.is_empty() => {
                Ok(Self { spool, inbound, outbound, state, directory, keys, counters })
            }
            _ => Err(WireError { problems: problems.0 }),
        }
    }

    fn open(self, clock: &Arc<dyn Clock>, mode: Mode) -> Result<Stores, WireError> {
        if let Mode::Make = mode {
            self.make_folders()?;
        }
        let mut opened = Opened { databases: BTreeMap::new(), mode };
        let mut problems = Problems::default();
        let spool = match mode {
            Mode::Make => FileSpool::open(&self.spool, Arc::clone(clock)),
            Mode::Find => Ok(FileSpool::open_existing(&self.spool, Arc::clone(clock))),
        };
        let spool = problems.take("stores.spool", spool.map_err(told));
        let keys = match mode {
            Mode::Make => FileKeys::open(&self.keys, &**clock),
            Mode::Find => Ok(FileKeys::open_existing(&self.keys)),
        };
        let keys = problems.take("stores.keys", keys.map_err(told));
        let mut queue = |key, name, (path, settings): &(PathBuf, QueueSettings)| {
            let make = |database: &Database| SqliteQueue::new(database, name, *settings, Arc::clone(clock));
            problems.take(key, opened.store(path, make))
        };
        let inbound = queue("stores.queue_inbound", "inbound", &self.inbound);
        let outbound = queue("stores.queue_outbound", "outbound", &self.outbound);
        let outbound = outbound.map(SqliteQueue::sending_in_company);
        let deliveries = problems.take("stores.state", opened.store(&self.state, SqliteDeliveries::new));
        let directory =
            problems.take("stores.directory", opened.store(&self.directory, SqliteDirectory::new));
        let counters = problems.take("stores.counters", opened.store(&self.counters, SqliteCounters::new));
        let folders = self.folders();
        match (spool, inbound, outbound, deliveries, directory, keys, counters) {
            (
                Some(spool),
                Some(inbound),
                Some(outbound),
                Some(deliveries),
                Some(directory),
                Some(keys),
                Some(counters),
            ) => {
                let (queues, deliveries) = ([Arc::new(inbound), Arc::new(outbound)], Arc::new(deliveries));
                let [inbound, outbound] = queues.clone();
                let owned = Arc::new(Owned { folders, queues, deliveries: Arc::clone(&deliveries) });
                Ok(Stores {
                    spool: Arc::new(spool),
                    inbound,
                    outbound,
                    deliveries,
                    directory: Arc::new(directory),
                    keys: Arc::new(keys),
                    counters: Arc::new(counters),
                    owned,
                })
            }
            _ => Err(WireError { problems: problems.0 }),
        }
    }

    /// Makes the folders of all stores first, so that one that cannot be made is one mistake and not one of each store in it.
    fn make_folders(&self) -> Result<(), WireError> {
        let mut problems = Problems::default();
        for (key, folder) in [("stores.spool", &self.spool), ("stores.keys", &self.keys)] {
            make_folder(folder).unwrap_or_else(|error| problems.add_once(key, &error));
        }
        for (key, file) in [
            ("stores.queue_inbound", &self.inbound.0),
            ("stores.queue_outbound", &self.outbound.0),
            ("stores.state", &self.state),
            ("stores.directory", &self.directory),
            ("stores.counters", &self.counters),
        ] {
            let made = folder_of(file).as_deref().map_or(Ok(()), make_folder);
            made.unwrap_or_else(|error| problems.add_once(key, &error));
        }
        if problems.0.is_empty() { Ok(()) } else { Err(WireError { problems: problems.0 }) }
    }

    /// The folders of the files that the owner of the queues works on.
    fn folders(&self) -> Vec<PathBuf> {
        let folder = |file: &PathBuf| folder_of(file).unwrap_or_else(|| PathBuf::from("."));
        let mut folders: Vec<_> = [&self.inbound.0, &self.outbound.0, &self.state].map(folder).into();
        folders.sort();
        folders.dedup();
        folders
    }
}

/// The folder that `file` is in, unless that is the current one.
fn folder_of(file: &Path) -> Option<PathBuf> {
    file.parent().filter(|folder| *folder != Path::new("")).map(Path::to_owned)
}

/// Databases by path: each is opened once.
struct Opened {
    databases: BTreeMap<PathBuf, Database>,
    mode: Mode,
}

impl Opened {
    fn store<T>(
        &mut self,
        path: &Path,
        make: impl FnOnce(&Database) -> Result<T, PortError>,
    ) -> Result<T, Vec<String>> {
        let database = match self.databases.get(path) {
            Some(database) => database.clone(),
            None => {
                let database: Result<Database, OpenError> = match self.mode {
                    Mode::Make => Database::open(path),
                    Mode::Find => Database::open_existing(path),
                };
                let database = database.map_err(told)?;
                self.databases.insert(path.to_owned(), database.clone());
                database
            }
        };
        make(&database).map_err(told)
    }
}

fn told(error: impl std::error::Error) -> Vec<String> {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    vec![text]
}

#[derive(Default)]
struct Problems(Vec<Problem>);

impl Problems {
    fn add(&mut self, key: &'static str, message: impl Display) {
        self.0.push(Problem { key, message: message.to_string(), forbidden: false });
    }

    /// Adds what the operating system says, unless another store has told it.
    fn add_once(&mut self, key: &'static str, error: &std::io::Error) {
        let message = error.to_string();
        if self.0.iter().all(|known| known.message != message) {
            let forbidden = error.kind() == std::io::ErrorKind::PermissionDenied;
            self.0.push(Problem { key, message, forbidden });
        }
    }

    fn take<T>(&mut self, key: &'static str, read: Result<T, Vec<String>>) -> Option<T> {
        read.map_err(|messages| messages.into_iter().for_each(|message| self.add(key, message))).ok()
    }
}
