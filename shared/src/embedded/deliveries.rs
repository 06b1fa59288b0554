//! The state of deliveries in SQLite: a row each, its JSON beside the columns that are searched by.

mod store;

use std::time::Duration;

use async_trait::async_trait;
use rusqlite::Connection;

use super::claims;
use super::database::Database;
use crate::job::{Delivery, DeliveryKey};
use crate::mail::{MessageId, Reply, Timestamp};
use crate::port::{
    Cancel, Claim, Deliveries, DeliveryState, Feedback, Held, Ordered, PendingCursor, PortError, PortResult,
    Postponed, Record, Telling,
};
use store::Row;

const OPEN: &str = "the opening of the delivery state";
const CLAIM: &str = "the claim of a job";
const FINISH: &str = "the end of a claim";
const ABANDON: &str = "the giving up of a claim";
const RECORD: &str = "the record of an attempt";
const HOLD: &str = "the hold of a delivery";
const POSTPONE: &str = "the postponement of a delivery";
const CANCEL: &str = "the cancel of a delivery";
const NOTE: &str = "the note on a delivery";
const TELL: &str = "the note of a DSN";
const ORDER: &str = "the order for a delivery";
const READ: &str = "the read of the delivery state";
const DUE: &str = "the lease of due deliveries";
const FORGET: &str = "the deletion of old state";
const RECLAIM: &str = "the release of the claims of a dead process";

/// Delivery state and claims in a database.
pub struct SqliteDeliveries {
    database: Database,
}

impl SqliteDeliveries {
    /// The state in `database`.
    pub fn new(database: &Database) -> PortResult<Self> {
        database.define(OPEN, store::SCHEMA)?;
        database.define(OPEN, claims::SCHEMA)?;
        Ok(Self { database: database.clone() })
    }

    /// Ends every lease, of claims and of due deliveries; tells how many. Only for the one process that holds the
    /// [`EdgeLock`](super::EdgeLock), before its first claim: whoever held them is dead.
    pub async fn reclaim(&self) -> PortResult<usize> {
        let reclaim = |db: &Connection| Ok(claims::reclaim(db)? + store::reclaim(db)?);
        self.database.write(RECLAIM, reclaim).await
    }

    async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> PortResult<T> {
        self.database.read(READ, work).await
    }
}

#[async_trait]
impl Deliveries for SqliteDeliveries {
    async fn claim(&self, job: &str, holder: &str, now: Timestamp, lease: Duration) -> PortResult<Claim> {
        let (job, holder) = (job.to_owned(), holder.to_owned());
        let claim = move |db: &Connection| claims::claim(db, &job, &holder, now, lease);
        self.database.write_in_company(CLAIM, claim).await
    }

    async fn finish(&self, job: &str, holder: &str, forget_at: Timestamp) -> PortResult<()> {
        let (job, holder) = (job.to_owned(), holder.to_owned());
        let finish = move |db: &Connection| claims::finish(db, &job, &holder, forget_at);
        self.database.write_in_company(FINISH, finish).await
    }

    async fn abandon(&self, job: &str, holder: &str) -> PortResult<()> {
        let (job, holder) = (job.to_owned(), holder.to_owned());
        let abandon = move |db: &Connection| claims::abandon(db, &job, &holder);
        self.database.write_in_company(ABANDON, abandon).await
    }

    async fn record(&self, records: Vec<Record>) -> PortResult<Vec<PortResult<()>>> {
        // the usual row is made here, beside the writer, and not on its thread
        let rows: Vec<(Row, Record)> =
            records.into_iter().map(|record| (Row::first(record.clone()), record)).collect();
        let record = move |db: &Connection| {
            let mut answers = Vec::with_capacity(rows.len());
            for (first, record) in rows {
                match store::record(db, &first, record) {
                    Ok(()) => answers.push(Ok(())),
                    // not only this record: the transaction is gone, and all of them with it
                    Err(error) if db.is_autocommit() => return Err(error),
                    Err(error) => answers.push(Err(PortError::refused(RECORD, error))),
                }
            }
            Ok(answers)
        };
        self.database.write_in_company(RECORD, record).await
    }

    async fn hold(&self, held: Vec<Held>) -> PortResult<Vec<PortResult<()>>> {
        let rows: Vec<Row> = held.into_iter().map(Row::held).collect();
        let hold = move |db: &Connection| {
            let mut answers = Vec::with_capacity(rows.len());
            for row in rows {
                match store::insert(db, &row) {
                    Ok(_) => answers.push(Ok(())),
                    Err(error) if db.is_autocommit() => return Err(error),
                    Err(error) => answers.push(Err(PortError::refused(HOLD, error))),
                }
            }
            Ok(answers)
        };
        self.database.write_in_company(HOLD, hold).await
    }

    async fn postpone(&self, postponed: Vec<Postponed>) -> PortResult<Vec<PortResult<()>>> {
        let rows: Vec<(Row, Postponed)> =
            postponed.into_iter().map(|one| (Row::postponed(one.clone()), one)).collect();
        let postpone = move |db: &Connection| {
            let mut answers = Vec::with_capacity(rows.len());
            for (first, postponed) in rows {
                match store::postpone(db, &first, postponed) {
                    Ok(()) => answers.push(Ok(())),
                    Err(error) if db.is_autocommit() => return Err(error),
                    Err(error) => answers.push(Err(PortError::refused(POSTPONE, error))),
                }
            }
            Ok(answers)
        };
        self.database.write_in_company(POSTPONE, postpone).await
    }

    async fn cancel(&self, key: &DeliveryKey, reply: &Reply) -> PortResult<Cancel> {
        let (key, reply) = (key.clone(), reply.clone());
        self.database.write(CANCEL, move |db| store::cancel(db, &key, &reply)).await
    }

    async fn note(&self, key: &DeliveryKey, feedback: Feedback) -> PortResult<bool> {
        let key = key.clone();
        let note = move |db: &Connection| store::amend(db, &key, |state| (state.note(feedback), ()));
        Ok(self.database.write(NOTE, note).await?.is_some())
    }

    async fn tell(&self, key: &DeliveryKey, telling: Telling) -> PortResult<bool> {
        let key = key.clone();
        let tell = move |db: &Connection| store::amend(db, &key, |state| state.tell(&telling));
        Ok(self.database.write_in_company(TELL, tell).await?.unwrap_or(false))
    }

    async fn order(&self, ordered: Vec<Ordered>) -> PortResult<Vec<PortResult<Option<DeliveryState>>>> {
        let order = move |db: &Connection| {
            let mut answers = Vec::with_capacity(ordered.len());
            for ordered in ordered {
                match store::order(db, ordered) {
                    Ok(state) => answers.push(Ok(state)),
                    Err(error) if db.is_autocommit() => return Err(error),
                    Err(error) => answers.push(Err(PortError::refused(ORDER, error))),
                }
            }
            Ok(answers)
        };
        self.database.write_in_company(ORDER, order).await
    }

    async fn settled(&self, keys: &[DeliveryKey]) -> PortResult<Vec<Option<DeliveryState>>> {
        let keys = keys.to_vec();
        self.read(move |db| keys.iter().map(|key| store::find(db, key)).collect()).await
    }

    async fn due(
        &self,
        shard: u8,
        now: Timestamp,
        lease: Duration,
        limit: usize,
    ) -> PortResult<Vec<Delivery>> {
        let due = move |db: &Connection| store::due(db, shard, now, lease, limit);
        self.database.write(DUE, due).await
    }

    async fn pending(
        &self,
        shard: u8,
        after: Option<PendingCursor>,
        limit: usize,
    ) -> PortResult<Vec<DeliveryState>> {
        self.read(move |db| store::pending(db, shard, after.as_ref(), limit)).await
    }

    async fn message(&self, message: MessageId) -> PortResult<Vec<DeliveryState>> {
        self.read(move |db| store::message(db, message)).await
    }

    async fn forget(&self, now: Timestamp, limit: usize) -> PortResult<usize> {
        let forget = move |db: &Connection| {
            let claims = claims::forget(db, now, limit)?;
            Ok(claims + store::forget(db, now, limit - claims.min(limit))?)
        };
        self.database.write(FORGET, forget).await
    }
}
