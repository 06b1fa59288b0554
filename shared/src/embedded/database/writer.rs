//! The thread that owns the writing connection.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use rusqlite::{Connection, ErrorCode};
use tokio::sync::{mpsc, oneshot};

use crate::limits::embedded::TRANSACTION_MAX;
use crate::port::{PortError, PortResult};

/// An operation whose types are forgotten.
pub(super) trait Task: Send {
    fn is_patient(&self) -> bool;
    fn run(&mut self, connection: &Connection);
    fn answer(self: Box<Self>, fate: &Fate);
}

/// What became of a transaction.
pub(super) enum Fate {
    Committed,
    /// None of it happened.
    RolledBack(Arc<str>),
    /// It was being committed, and the disk did not say how that went.
    Unknown(Arc<str>),
}

pub(super) struct Operation<T, W> {
    what: &'static str,
    patient: bool,
    work: Option<W>,
    done: Option<rusqlite::Result<T>>,
    reply: oneshot::Sender<PortResult<T>>,
}

impl<T, W> Operation<T, W> {
    pub(super) fn new(what: &'static str, work: W, reply: oneshot::Sender<PortResult<T>>) -> Self {
        Self { what, patient: false, work: Some(work), done: None, reply }
    }

    /// It may be kept waiting for others to share its commit.
    pub(super) fn patient(self) -> Self {
        Self { patient: true, ..self }
    }
}

impl<T, W> Task for Operation<T, W>
where
    T: Send,
    W: FnOnce(&Connection) -> rusqlite::Result<T> + Send,
{
    fn is_patient(&self) -> bool {
        self.patient
    }

    fn run(&mut self, connection: &Connection) {
        self.done = self.work.take().map(|work| work(connection));
    }

    fn answer(self: Box<Self>, fate: &Fate) {
        let what = self.what;
        let answer = match (self.done, fate) {
            // a statement that fails is undone by itself, whatever becomes of the transaction
            (Some(Err(error)), _) => Err(PortError::refused(what, error)),
            (Some(Ok(value)), Fate::Committed) => Ok(value),
            (_, Fate::Unknown(cause)) => Err(PortError::unknown(what, cause.to_string())),
            (_, Fate::RolledBack(cause)) => Err(PortError::refused(what, cause.to_string())),
            (None, Fate::Committed) => Err(PortError::refused(what, "it was not run")),
        };
        let _ = self.reply.send(answer);
    }
}

/// Works off operations until the last sender is gone. Under load (something waited already when the last commit ended) patient
/// operations wait up to `company_wait` for others; whoever sends one that is not patient unparks the thread.
pub(super) fn run(
    connection: &Connection,
    mut waiting: mpsc::Receiver<Box<dyn Task>>,
    company_wait: Duration,
) {
    let writer = Writer { connection };
    let mut taken = Vec::with_capacity(TRANSACTION_MAX);
    let mut busy = false;
    while waiting.blocking_recv_many(&mut taken, TRANSACTION_MAX) > 0 {
        if busy && taken.iter().all(|task| task.is_patient()) {
            std::thread::park_timeout(company_wait);
            while taken.len() < TRANSACTION_MAX
                && let Ok(task) = waiting.try_recv()
            {
                taken.push(task);
            }
        }
        let mut tasks: VecDeque<_> = taken.drain(..).collect();
        while !tasks.is_empty() {
            writer.transact(&mut tasks);
        }
        busy = !waiting.is_empty();
    }
}

struct Writer<'a> {
    connection: &'a Connection,
}

impl Writer<'_> {
    /// Runs tasks from the front in one transaction and answers them.
    fn transact(&self, tasks: &mut VecDeque<Box<dyn Task>>) {
        let mut ran = Vec::with_capacity(tasks.len());
        let fate = match self.begin() {
            Ok(()) => loop {
                let Some(mut task) = tasks.pop_front() else { break self.commit() };
                task.run(self.connection);
                ran.push(task);
                // full disk, I/O error, no memory: SQLite has undone the whole transaction, and the next
                // statement would be one of its own
                if self.connection.is_autocommit() {
                    break Fate::RolledBack("another operation broke the transaction".into());
                }
            },
            Err(error) => {
                ran.extend(tasks.drain(..));
                Fate::RolledBack(error.to_string().into())
            }
        };
        for task in ran {
            task.answer(&fate);
        }
    }

    fn begin(&self) -> rusqlite::Result<()> {
        self.connection.prepare_cached("BEGIN IMMEDIATE")?.execute([]).map(drop)
    }

    fn commit(&self) -> Fate {
        let commit = || self.connection.prepare_cached("COMMIT")?.execute([]);
        let Err(error) = commit() else { return Fate::Committed };
        if !self.connection.is_autocommit() {
            let _ = self.connection.execute_batch("ROLLBACK");
        }
        // The commit mark is what is written last. Without room it was not written; after any other error (a failed
        // fsync above all) it may be in the file, and be believed by whoever opens the database next.
        match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull | ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
                Fate::RolledBack(error.to_string().into())
            }
            _ => Fate::Unknown(error.to_string().into()),
        }
    }
}
