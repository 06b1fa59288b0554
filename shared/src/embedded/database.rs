//! One SQLite file: a thread that commits together what waits together, and a connection for reads. Every commit
//! is synced to the disk before it is answered.
//!
//! WAL: whoever reads sees the last commit and waits for nobody; other processes may read and write beside us.

mod writer;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};
use thiserror::Error;
use tokio::sync::{mpsc, oneshot};

use super::files;
use crate::limits::embedded::{
    BUSY_TIMEOUT, CHECKPOINT_PAGES, COMPANY_WAIT, READER_CACHE_KIB, STATEMENTS_KEPT, WAITING_MAX,
    WRITER_CACHE_KIB,
};
use crate::port::{PortError, PortResult};
use writer::{Operation, Task};

const STOPPED: &str = "the database's writer has stopped";

/// The version of the tables, as `user_version`.
const VERSION: i64 = 1;

/// Why a database could not be opened.
#[derive(Debug, Error)]
pub enum OpenError {
    /// The file is not there, and was not to be made.
    #[error("there is no {}: is this the right data folder?", .0.display())]
    Missing(PathBuf),
    /// The file or its folder could not be made, or the thread that writes it.
    #[error("{} could not be made", path.display())]
    Folder {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        cause: std::io::Error,
    },
    /// SQLite could not open it, or did not find a database in it.
    #[error("{} could not be opened as a database", path.display())]
    Sqlite {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        cause: rusqlite::Error,
    },
    /// A later release wrote it.
    #[error("{} has version {version}, and this program reads up to version {VERSION}: use a newer spoolway", path.display())]
    Version {
        /// The file.
        path: PathBuf,
        /// The version it has.
        version: i64,
    },
}

/// A handle on a database. The last one that is dropped ends the writer, after what it was asked before.
#[derive(Clone)]
pub struct Database {
    inner: Arc<Inner>,
}

struct Inner {
    /// Taken when dropped, which ends the writer.
    tasks: Option<mpsc::Sender<Box<dyn Task>>>,
    writer: Option<JoinHandle<()>>,
    reader: Arc<Mutex<Connection>>,
}

impl Database {
    /// Opens the database at `path`, which is made where it is not there.
    pub fn open(path: &Path) -> Result<Self, OpenError> {
        let failed = |cause| OpenError::Folder { path: path.to_owned(), cause };
        let folder = path.parent().filter(|folder| *folder != Path::new(""));
        folder.map_or(Ok(()), files::make_folder).map_err(failed)?;
        // SQLite gives its logs the mode of the file, and syncs their names, but not that of the file
        let made = files::make_empty(path).map_err(failed)?;
        let database = Self::connect(path)?;
        if made {
            files::sync_folder(folder.unwrap_or(Path::new("."))).map_err(failed)?;
        }
        Ok(database)
    }

    /// Opens the database at `path`, which must be there.
    pub fn open_existing(path: &Path) -> Result<Self, OpenError> {
        if !path.exists() {
            return Err(OpenError::Missing(path.to_owned()));
        }
        Self::connect(path)
    }

    fn connect(path: &Path) -> Result<Self, OpenError> {
        let failed = |cause| OpenError::Sqlite { path: path.to_owned(), cause };
        let writer = connection(path, WRITER_CACHE_KIB).map_err(failed)?;
        let version: i64 =
            writer.pragma_query_value(None, "user_version", |row| row.get(0)).map_err(failed)?;
        match version {
            0 => writer.pragma_update(None, "user_version", VERSION).map_err(failed)?,
            VERSION => {}
            version => return Err(OpenError::Version { path: path.to_owned(), version }),
        }
        let reader = connection(path, READER_CACHE_KIB).map_err(failed)?;
        let (tasks, waiting) = mpsc::channel(WAITING_MAX);
        let thread = std::thread::Builder::new().name("sqlite writer".to_owned());
        let writer = thread
            .spawn(move || writer::run(&writer, waiting, COMPANY_WAIT))
            .map_err(|cause| OpenError::Folder { path: path.to_owned(), cause })?;
        let reader = Arc::new(Mutex::new(reader));
        Ok(Self { inner: Arc::new(Inner { tasks: Some(tasks), writer: Some(writer), reader }) })
    }

    /// Makes the tables of a store, where they are not there.
    pub(super) fn define(&self, what: &'static str, schema: &'static str) -> PortResult<()> {
        self.define_by(what, |db| db.execute_batch(schema))
    }

    /// The same where it takes more than a batch of statements.
    pub(super) fn define_by(
        &self,
        what: &'static str,
        define: impl FnOnce(&Connection) -> rusqlite::Result<()>,
    ) -> PortResult<()> {
        let reader = self.inner.reader.lock().unwrap_or_else(PoisonError::into_inner);
        define(&reader).map_err(|error| PortError::unknown(what, error))
    }

    /// Runs `work` in a transaction that it shares with whatever else waits, and answers when that is committed. `work` must be one
    /// statement that writes, or be harmless when it stops half way, or open a savepoint ([`atomically`]); it
    /// must not go on after a statement has failed and the transaction with it ([`Connection::is_autocommit`]).
    pub(super) async fn write<T, W>(&self, what: &'static str, work: W) -> PortResult<T>
    where
        T: Send + 'static,
        W: FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        let asked = self.ask(what, Box::new(Operation::new(what, work, reply)));
        asked.await?;
        if let Some(writer) = &self.inner.writer {
            writer.thread().unpark();
        }
        answered(what, answer).await
    }

    /// The same for what no client waits for: under load it waits a little for more to share its commit with.
    pub(super) async fn write_in_company<T, W>(&self, what: &'static str, work: W) -> PortResult<T>
    where
        T: Send + 'static,
        W: FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        self.ask(what, Box::new(Operation::new(what, work, reply).patient())).await?;
        answered(what, answer).await
    }

    async fn ask(&self, what: &'static str, task: Box<dyn Task>) -> PortResult<()> {
        let stopped = || PortError::refused(what, STOPPED);
        let tasks = self.inner.tasks.as_ref().ok_or_else(stopped)?;
        tasks.send(task).await.map_err(|_| stopped())
    }

    /// Runs `work` soon, if the writer has room for it, and tells nobody what became of it.
    pub(super) fn write_later<W>(&self, what: &'static str, work: W)
    where
        W: FnOnce(&Connection) -> rusqlite::Result<()> + Send + 'static,
    {
        let (reply, _) = oneshot::channel();
        if let Some(tasks) = &self.inner.tasks {
            let _ = tasks.try_send(Box::new(Operation::new(what, work, reply).patient()));
        }
    }

    /// Runs `work`, which only reads, beside the writer. It sees every write that was answered before.
    pub(super) async fn read<T, W>(&self, what: &'static str, work: W) -> PortResult<T>
    where
        T: Send + 'static,
        W: FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    {
        let reader = Arc::clone(&self.inner.reader);
        files::blocking(what, move || {
            let reader = reader.lock().unwrap_or_else(PoisonError::into_inner);
            work(&reader).map_err(|error| PortError::refused(what, error))
        })
        .await
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        drop(self.tasks.take());
        if let Some(writer) = self.writer.take()
            // an answer that nobody takes may hold the last handle, and is dropped by the writer
            && writer.thread().id() != std::thread::current().id()
        {
            let _ = writer.join();
        }
    }
}

async fn answered<T>(what: &'static str, answer: oneshot::Receiver<PortResult<T>>) -> PortResult<T> {
    answer.await.unwrap_or_else(|_| Err(PortError::unknown(what, STOPPED)))
}

/// Runs `work` whole or not at all within the shared transaction.
pub(super) fn atomically<T>(
    connection: &Connection,
    work: impl FnOnce() -> rusqlite::Result<T>,
) -> rusqlite::Result<T> {
    connection.prepare_cached("SAVEPOINT operation")?.execute([])?;
    let done = work();
    if done.is_err() && !connection.is_autocommit() {
        connection.prepare_cached("ROLLBACK TO operation")?.execute([])?;
    }
    if !connection.is_autocommit() {
        connection.prepare_cached("RELEASE operation")?.execute([])?;
    }
    done
}

fn connection(path: &Path, cache_kib: i64) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS_KEPT);
    // else a statement is planned anew whenever a value is bound that the plan could depend on
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    let mode: String = connection.pragma_query_value(None, "journal_mode", |row| row.get(0))?;
    if mode != "wal" {
        connection.pragma_update_and_check(None, "journal_mode", "wal", |_| Ok(()))?;
    }
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    connection.pragma_update(None, "cache_size", -cache_kib)?;
    connection.pragma_update(None, "mmap_size", 0)?;
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    connection.pragma_update(None, "wal_autocheckpoint", CHECKPOINT_PAGES)?;
    connection.pragma_update(None, "journal_size_limit", CHECKPOINT_PAGES * 4 * 4096)?;
    Ok(connection)
}

#[cfg(test)]
mod tests;
