//! Tallies in SQLite: a row for each key of a book.

use std::time::Duration;

use async_trait::async_trait;
use rusqlite::{Connection, Row, params};

use super::database::Database;
use crate::mail::Timestamp;
use crate::port::{Count, PortResult, Tallies};

const OPEN: &str = "the opening of the tallies";
const ADD: &str = "the adding to tallies";
const READ: &str = "the read of tallies";
const CLEAR: &str = "the clearing of tallies";

const SCHEMA: &str = "
    CREATE TABLE IF NOT EXISTS tally (
        book TEXT NOT NULL,
        key TEXT NOT NULL,
        detail TEXT NOT NULL,
        n INTEGER NOT NULL,
        forget_at INTEGER NOT NULL,
        PRIMARY KEY (book, key)
    ) WITHOUT ROWID;
    CREATE INDEX IF NOT EXISTS tally_by_age ON tally (forget_at);
";

/// Tallies in a database.
pub struct SqliteTallies {
    database: Database,
}

impl SqliteTallies {
    /// The tallies in `database`.
    pub fn new(database: &Database) -> PortResult<Self> {
        database.define(OPEN, SCHEMA)?;
        Ok(Self { database: database.clone() })
    }
}

#[async_trait]
impl Tallies for SqliteTallies {
    async fn add(&self, book: &str, counts: &[Count], now: Timestamp, keep: Duration) -> PortResult<()> {
        let (book, counts) = (book.to_owned(), counts.to_vec());
        let add = move |db: &Connection| {
            add(db, &book, &counts, now + keep)?;
            let mut forget = db.prepare_cached("DELETE FROM tally WHERE forget_at < ?1")?;
            forget.execute(params![now.millis()]).map(drop)
        };
        self.database.write_in_company(ADD, add).await
    }

    async fn read(&self, book: &str, after: Option<&str>, limit: usize) -> PortResult<Vec<Count>> {
        let (book, after) = (book.to_owned(), after.map(str::to_owned));
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let read = move |db: &Connection| {
            let mut select = db.prepare_cached(
                "SELECT key, detail, n FROM tally WHERE book = ?1 AND (?2 IS NULL OR key > ?2) ORDER BY key LIMIT ?3",
            )?;
            let counts = select.query_map(params![book, after, limit], count)?;
            counts.collect()
        };
        self.database.read(READ, read).await
    }

    async fn clear(&self, book: &str, keys: &[String]) -> PortResult<()> {
        let (book, keys) = (book.to_owned(), keys.to_vec());
        let clear = move |db: &Connection| {
            let mut delete = db.prepare_cached("DELETE FROM tally WHERE book = ?1 AND key = ?2")?;
            keys.iter().try_for_each(|key| delete.execute(params![book, key]).map(drop))
        };
        self.database.write_in_company(CLEAR, clear).await
    }
}

fn add(db: &Connection, book: &str, counts: &[Count], forget_at: Timestamp) -> rusqlite::Result<()> {
    let mut insert = db.prepare_cached(
        "INSERT INTO tally (book, key, detail, n, forget_at) VALUES (?1, ?2, ?3, ?4, ?5)
         ON CONFLICT DO UPDATE SET n = n + excluded.n, forget_at = MAX(forget_at, excluded.forget_at)",
    )?;
    for Count { key, detail, n } in counts {
        let n = i64::try_from(*n).unwrap_or(i64::MAX);
        insert.execute(params![book, key, detail, n, forget_at.millis()])?;
    }
    Ok(())
}

fn count(row: &Row<'_>) -> rusqlite::Result<Count> {
    let n: i64 = row.get(2)?;
    Ok(Count { key: row.get(0)?, detail: row.get(1)?, n: u64::try_from(n).unwrap_or(0) })
}
