//! Counters in SQLite: a row for each window of a name that was counted in, and one for each mark.

use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension, params};

use super::database::Database;
use crate::limits::MARK_OCTETS_MAX;
use crate::mail::Timestamp;
use crate::port::{Counters, Mark, PortError, PortResult, Taken, Window};

const OPEN: &str = "the opening of the counters";
const TAKE: &str = "the taking of tokens";
const MARK: &str = "the write of a mark";
const MARKED: &str = "the read of a mark";

const SCHEMA: &str = "
    CREATE TABLE IF NOT EXISTS counter (
        name TEXT NOT NULL,
        period INTEGER NOT NULL,
        began_at INTEGER NOT NULL,
        taken INTEGER NOT NULL,
        PRIMARY KEY (name, period, began_at)
    ) WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS mark (
        name TEXT PRIMARY KEY,
        value TEXT NOT NULL,
        until INTEGER NOT NULL
    ) WITHOUT ROWID;
";

/// Counters in a database.
pub struct SqliteCounters {
    database: Database,
}

impl SqliteCounters {
    /// The counters in `database`.
    pub fn new(database: &Database) -> PortResult<Self> {
        database.define(OPEN, SCHEMA)?;
        Ok(Self { database: database.clone() })
    }
}

#[async_trait]
impl Counters for SqliteCounters {
    async fn take(&self, window: &Window, n: u64, now: Timestamp) -> PortResult<Taken> {
        let window = window.clone();
        self.database.write(TAKE, move |db| take(db, &window, n, now)).await
    }

    async fn mark(&self, mark: &Mark) -> PortResult<()> {
        if mark.value.len() > MARK_OCTETS_MAX {
            return Err(PortError::refused(
                MARK,
                format!("its value has more than {MARK_OCTETS_MAX} octets"),
            ));
        }
        let Mark { name, value, until } = mark.clone();
        let write = move |db: &Connection| {
            let mut write =
                db.prepare_cached("INSERT OR REPLACE INTO mark (name, value, until) VALUES (?1, ?2, ?3)")?;
            write.execute(params![name, value, until.millis()]).map(drop)
        };
        self.database.write(MARK, write).await
    }

    async fn marked(&self, name: &str, now: Timestamp) -> PortResult<Option<Mark>> {
        let name = name.to_owned();
        let read = move |db: &Connection| {
            let mut read =
                db.prepare_cached("SELECT value, until FROM mark WHERE name = ?1 AND until > ?2")?;
            let mark = read.query_row(params![name, now.millis()], |row| {
                let (value, until) = (row.get(0)?, Timestamp::from_millis(row.get(1)?));
                Ok(Mark { name: name.clone(), value, until })
            });
            mark.optional()
        };
        self.database.read(MARKED, read).await
    }
}

fn take(db: &Connection, window: &Window, n: u64, now: Timestamp) -> rusqlite::Result<Taken> {
    let period = i64::try_from(window.period.as_millis()).unwrap_or(i64::MAX).max(1);
    let began_at = now.millis().saturating_sub(now.millis().rem_euclid(period));
    let mut count =
        db.prepare_cached("SELECT taken FROM counter WHERE name = ?1 AND period = ?2 AND began_at = ?3")?;
    let known: Option<i64> =
        count.query_row(params![window.name, period, began_at], |row| row.get(0)).optional()?;
    let sum = u64::try_from(known.unwrap_or(0)).unwrap_or(0).checked_add(n);
    let Some(taken) = sum.filter(|sum| *sum <= window.limit) else {
        return Ok(Taken::Exhausted { until: Timestamp::from_millis(began_at.saturating_add(period)) });
    };
    let mut write = db.prepare_cached(
        "INSERT INTO counter (name, period, began_at, taken) VALUES (?1, ?2, ?3, ?4)
         ON CONFLICT DO UPDATE SET taken = excluded.taken",
    )?;
    let stored = i64::try_from(taken).unwrap_or(i64::MAX);
    write.execute(params![window.name, period, began_at, stored])?;
    if known.is_none() {
        // the one before is kept for those whose clock is a little behind
        let mut forget =
            db.prepare_cached("DELETE FROM counter WHERE name = ?1 AND period = ?2 AND began_at < ?3")?;
        forget.execute(params![window.name, period, began_at.saturating_sub(period)])?;
    }
    Ok(Taken::Granted { left: window.limit - taken })
}
