//! The stores of an edge, and the right to work them.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use thiserror::Error;

use super::open::Mode;
use super::plan::Plan;
use super::{Needs, StoreUrls, WireError};
use crate::embedded::{EdgeLock, LockError, SqliteDeliveries, SqliteQueue};
use crate::port::{Clock, Counters, Deliveries, Directory, Keys, PortError, Queue, Spool, Tallies};

/// The stores of an edge. One that was not asked for is there by name only, and refuses every call.
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
    /// Reminders of what senders are to be told, which are where the state is: who finds the one finds the other.
    pub reminders: Arc<dyn Tallies>,
    /// What an operator has set up.
    pub directory: Arc<dyn Directory>,
    /// Signing keys.
    pub keys: Arc<dyn Keys>,
    /// Counters.
    pub counters: Arc<dyn Counters>,
    /// Statistics, which are where the counters are.
    pub tallies: Arc<dyn Tallies>,
    pub(super) owned: Arc<Owned>,
}

/// The stores in which a process that died leaves something behind that the next one can clear at once: those on this machine's
/// disk, which one process has to itself. Where many share a store, visibility and leases run out.
#[derive(Default)]
pub(super) struct Owned {
    folders: Vec<PathBuf>,
    queues: Vec<Arc<SqliteQueue>>,
    deliveries: Option<Arc<SqliteDeliveries>>,
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
        Self::open_needed(urls, Needs::all(), clock).await
    }

    /// The same for the stores in `needs`. Of the others, not even the URL is looked at.
    pub async fn open_needed(
        urls: &StoreUrls,
        needs: Needs,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, WireError> {
        Plan::new(urls, needs)?.open(&clock, Mode::Make).await
    }

    /// Opens every store, for commands that look at the data of an edge and must not make any.
    pub async fn open_existing(urls: &StoreUrls, clock: Arc<dyn Clock>) -> Result<Self, WireError> {
        Self::open_existing_needed(urls, Needs::all(), clock).await
    }

    /// The same for the stores in `needs`.
    pub async fn open_existing_needed(
        urls: &StoreUrls,
        needs: Needs,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, WireError> {
        Plan::new(urls, needs)?.open(&clock, Mode::Find).await
    }

    /// Makes this process the one that works the queues on this machine's disk, and gives back at once what the one before had
    /// received, claimed or leased when it died. To be called before the first receive, and the locks kept until the last one has
    /// been dealt with. Where no such store is open, it does nothing.
    pub async fn take_over(&self) -> Result<Vec<EdgeLock>, TakeOverError> {
        let locks = self.owned.folders.iter().map(|folder| EdgeLock::acquire(folder));
        let locks = locks.collect::<Result<_, _>>()?;
        for queue in &self.owned.queues {
            queue.reclaim().await?;
        }
        if let Some(deliveries) = &self.owned.deliveries {
            deliveries.reclaim().await?;
        }
        Ok(locks)
    }
}

impl Owned {
    pub(super) fn add_queue(&mut self, file: &Path, queue: Arc<SqliteQueue>) {
        self.add_folder(file);
        self.queues.push(queue);
    }

    pub(super) fn add_deliveries(&mut self, file: &Path, deliveries: Arc<SqliteDeliveries>) {
        self.add_folder(file);
        self.deliveries = Some(deliveries);
    }

    /// In their order, each once: two processes that want the same locks must not wait for each other's.
    fn add_folder(&mut self, file: &Path) {
        let folder = file.parent().filter(|folder| *folder != Path::new("")).unwrap_or(Path::new("."));
        if let Err(at) = self.folders.binary_search_by(|known| known.as_path().cmp(folder)) {
            self.folders.insert(at, folder.to_owned());
        }
    }
}
