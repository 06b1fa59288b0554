//! The queue's tables and statements.

use std::time::Duration;

use rusqlite::{Connection, Transaction, TransactionBehavior, params};

use super::super::database::atomically;
use crate::limits::HELD_MAX;
use crate::mail::Timestamp;
use crate::port::{Depth, Outgoing, Receipt};

/// Bodies have a table of their own: an entry's turn changes often, and SQLite writes rows anew as a whole. `AUTOINCREMENT`, as
/// a receipt must not fit a later entry.
const TABLES: &str = "
    CREATE TABLE IF NOT EXISTS queue_entry (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        queue TEXT NOT NULL,
        tenant TEXT NOT NULL,
        sent_at INTEGER NOT NULL,
        visible_at INTEGER NOT NULL,
        received_at INTEGER,
        receives INTEGER NOT NULL DEFAULT 0,
        dead_at INTEGER,
        priority INTEGER NOT NULL DEFAULT 0
    );
    CREATE TABLE IF NOT EXISTS queue_body (
        id INTEGER PRIMARY KEY REFERENCES queue_entry (id) ON DELETE CASCADE,
        body TEXT NOT NULL
    );
    CREATE TABLE IF NOT EXISTS queue_probe (queue TEXT PRIMARY KEY, probed_at INTEGER NOT NULL) WITHOUT ROWID;
";

/// Entries of no priority, which are nearly all, have indexes of their own: what has one costs them a look into an empty index.
/// One index is by age, and tells whether there is anything at all; one by tenant and age, so that the next tenant is one look away
/// however much the others have. A query must repeat an index's condition word for word to get it.
const INDEXES: &str = "
    DROP INDEX IF EXISTS queue_entry_turn;
    CREATE INDEX IF NOT EXISTS queue_entry_plain ON queue_entry (queue, visible_at)
        WHERE dead_at IS NULL AND priority = 0;
    CREATE INDEX IF NOT EXISTS queue_entry_plain_tenant ON queue_entry (queue, tenant, visible_at)
        WHERE dead_at IS NULL AND priority = 0;
    CREATE INDEX IF NOT EXISTS queue_entry_ranked ON queue_entry (queue, priority, visible_at)
        WHERE dead_at IS NULL AND priority <> 0;
    CREATE INDEX IF NOT EXISTS queue_entry_ranked_tenant ON queue_entry (queue, priority, tenant, visible_at)
        WHERE dead_at IS NULL AND priority <> 0;
    CREATE INDEX IF NOT EXISTS queue_entry_dead ON queue_entry (queue, dead_at) WHERE dead_at IS NOT NULL;
";

/// Makes the tables, and adds to those of an earlier release what they lack.
pub(super) fn define(db: &Connection) -> rusqlite::Result<()> {
    db.execute_batch(TABLES)?;
    if !has_priority(db)? {
        // looked at again where nobody else can add it meanwhile
        let alone = Transaction::new_unchecked(db, TransactionBehavior::Immediate)?;
        if !has_priority(&alone)? {
            alone.execute_batch("ALTER TABLE queue_entry ADD COLUMN priority INTEGER NOT NULL DEFAULT 0")?;
        }
        alone.commit()?;
    }
    db.execute_batch(INDEXES)
}

fn has_priority(db: &Connection) -> rusqlite::Result<bool> {
    let column = "SELECT EXISTS (SELECT 1 FROM pragma_table_info('queue_entry') WHERE name = 'priority')";
    db.query_row(column, [], |row| row.get(0))
}

/// One receive of one entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Turn {
    pub(super) id: i64,
    pub(super) receives: u32,
}

impl Turn {
    pub(super) fn receipt(self) -> Receipt {
        Receipt(format!("{}.{}", self.id, self.receives))
    }

    pub(super) fn parse(receipt: &Receipt) -> Option<Self> {
        let (id, receives) = receipt.0.split_once('.')?;
        Some(Self { id: id.parse().ok()?, receives: receives.parse().ok()? })
    }
}

pub(super) fn send(db: &Connection, queue: &str, batch: &[Outgoing], now: Timestamp) -> rusqlite::Result<()> {
    atomically(db, || {
        let mut entry = db.prepare_cached(
            "INSERT INTO queue_entry (queue, tenant, sent_at, visible_at, priority) VALUES (?1, ?2, ?3, ?4, ?5)",
        )?;
        let mut body = db.prepare_cached("INSERT INTO queue_body (id, body) VALUES (?1, ?2)")?;
        for sent in batch {
            let visible_at = (now + sent.delay).millis();
            let id = entry.insert(params![queue, sent.tenant.0, now.millis(), visible_at, sent.priority])?;
            body.execute(params![id, sent.body])?;
        }
        Ok(())
    })
}

pub(super) fn ack(db: &Connection, queue: &str, turn: Turn) -> rusqlite::Result<()> {
    let mut delete = db.prepare_cached(
        "DELETE FROM queue_entry WHERE id = ?1 AND receives = ?2 AND queue = ?3 AND dead_at IS NULL",
    )?;
    delete.execute(params![turn.id, turn.receives, queue]).map(drop)
}

pub(super) fn release(
    db: &Connection,
    queue: &str,
    turn: Turn,
    now: Timestamp,
    after: Duration,
) -> rusqlite::Result<()> {
    let mut update = db.prepare_cached(
        "UPDATE queue_entry SET visible_at = min(?4, received_at + ?5)
         WHERE id = ?1 AND receives = ?2 AND queue = ?3 AND dead_at IS NULL",
    )?;
    let held_max = i64::try_from(HELD_MAX.as_millis()).unwrap_or(i64::MAX);
    let visible_at = (now + after).millis();
    update.execute(params![turn.id, turn.receives, queue, visible_at, held_max]).map(drop)
}

/// They were there before anything that is visible now, so they are first.
pub(super) fn reclaim(db: &Connection, queue: &str, now: Timestamp) -> rusqlite::Result<usize> {
    let mut reclaimed = 0;
    for which in ["priority = 0", "priority <> 0"] {
        let update = format!(
            "UPDATE queue_entry SET visible_at = sent_at
             WHERE queue = ?1 AND visible_at > ?2 AND receives > 0 AND dead_at IS NULL AND {which}"
        );
        reclaimed += db.execute(&update, params![queue, now.millis()])?;
    }
    Ok(reclaimed)
}

pub(super) fn depth(db: &Connection, queue: &str, now: Timestamp) -> rusqlite::Result<Depth> {
    let mut count = db.prepare_cached(
        "SELECT count(*) FILTER (WHERE visible_at <= ?2), count(*) FILTER (WHERE visible_at > ?2 AND receives > 0),
                count(*) FILTER (WHERE visible_at > ?2 AND receives = 0), min(sent_at)
         FROM (SELECT visible_at, receives, sent_at FROM queue_entry
               WHERE queue = ?1 AND dead_at IS NULL AND priority = 0
               UNION ALL
               SELECT visible_at, receives, sent_at FROM queue_entry
               WHERE queue = ?1 AND dead_at IS NULL AND priority <> 0)",
    )?;
    let dead = db
        .prepare_cached("SELECT count(*) FROM queue_entry WHERE queue = ?1 AND dead_at IS NOT NULL")?
        .query_row([queue], |row| row.get(0))
        .map(unsigned)?;
    count.query_row(params![queue, now.millis()], |row| {
        let oldest = row.get::<_, Option<i64>>(3)?.map(Timestamp::from_millis);
        Ok(Depth {
            ready: unsigned(row.get(0)?),
            in_flight: unsigned(row.get(1)?),
            delayed: unsigned(row.get(2)?),
            dead,
            oldest,
        })
    })
}

fn unsigned(count: i64) -> u64 {
    u64::try_from(count).unwrap_or(0)
}

pub(super) fn probe(db: &Connection, queue: &str, now: Timestamp) -> rusqlite::Result<()> {
    let mut write =
        db.prepare_cached("INSERT OR REPLACE INTO queue_probe (queue, probed_at) VALUES (?1, ?2)")?;
    write.execute(params![queue, now.millis()]).map(drop)
}
