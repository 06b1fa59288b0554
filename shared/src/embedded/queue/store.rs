//! The queue's tables and statements.

use std::time::Duration;

use rusqlite::{Connection, OptionalExtension, named_params, params};

use super::super::database::atomically;
use super::{QueueSettings, dead};
use crate::limits::HELD_MAX;
use crate::mail::Timestamp;
use crate::port::{Depth, Outgoing, Receipt};

/// Bodies have a table of their own: an entry's turn changes often, and SQLite writes rows anew as a whole. `AUTOINCREMENT`, as
/// a receipt must not fit a later entry.
pub(super) const SCHEMA: &str = "
    CREATE TABLE IF NOT EXISTS queue_entry (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        queue TEXT NOT NULL,
        tenant TEXT NOT NULL,
        sent_at INTEGER NOT NULL,
        visible_at INTEGER NOT NULL,
        received_at INTEGER,
        receives INTEGER NOT NULL DEFAULT 0,
        dead_at INTEGER
    );
    CREATE INDEX IF NOT EXISTS queue_entry_turn ON queue_entry (queue, visible_at) WHERE dead_at IS NULL;
    CREATE INDEX IF NOT EXISTS queue_entry_dead ON queue_entry (queue, dead_at) WHERE dead_at IS NOT NULL;
    CREATE TABLE IF NOT EXISTS queue_body (
        id INTEGER PRIMARY KEY REFERENCES queue_entry (id) ON DELETE CASCADE,
        body TEXT NOT NULL
    );
    CREATE TABLE IF NOT EXISTS queue_probe (queue TEXT PRIMARY KEY, probed_at INTEGER NOT NULL) WITHOUT ROWID;
";

/// One receive of one entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Turn {
    id: i64,
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

/// What a receive found.
pub(super) struct Found {
    pub(super) entries: Vec<(Turn, String)>,
    /// Where there were none: when the next one becomes visible, as far as is known now.
    pub(super) next_at: Option<Timestamp>,
}

pub(super) fn send(db: &Connection, queue: &str, batch: &[Outgoing], now: Timestamp) -> rusqlite::Result<()> {
    atomically(db, || {
        let mut entry = db.prepare_cached(
            "INSERT INTO queue_entry (queue, tenant, sent_at, visible_at) VALUES (?1, ?2, ?3, ?4)",
        )?;
        let mut body = db.prepare_cached("INSERT INTO queue_body (id, body) VALUES (?1, ?2)")?;
        for sent in batch {
            let visible_at = (now + sent.delay).millis();
            let id = entry.insert(params![queue, sent.tenant.0, now.millis(), visible_at])?;
            body.execute(params![id, sent.body])?;
        }
        Ok(())
    })
}

/// Takes up to `max` visible entries. Stopped half way, some of them have a receive more than they were received.
pub(super) fn receive(
    db: &Connection,
    queue: &str,
    settings: QueueSettings,
    max: usize,
    now: Timestamp,
) -> rusqlite::Result<Found> {
    let mut take = db.prepare_cached(
        "UPDATE queue_entry SET receives = receives + 1, received_at = :now, visible_at = :until
         WHERE id IN (SELECT id FROM queue_entry WHERE queue = :queue AND visible_at <= :now AND dead_at IS NULL
                      ORDER BY visible_at LIMIT :max)
         RETURNING id, receives",
    )?;
    let until = (now + settings.visibility).millis();
    let mut entries = Vec::new();
    loop {
        let room = i64::try_from(max - entries.len()).unwrap_or(0);
        let taken = take
            .query_map(
                named_params! {":now": now.millis(), ":until": until, ":queue": queue, ":max": room},
                |row| Ok(Turn { id: row.get(0)?, receives: row.get(1)? }),
            )?
            .collect::<rusqlite::Result<Vec<_>>>()?;
        let (alive, worn): (Vec<_>, Vec<_>) =
            taken.into_iter().partition(|turn| turn.receives <= settings.receives_max);
        for turn in alive {
            entries.push((turn, body(db, turn)?));
        }
        for turn in &worn {
            let mut bury = db.prepare_cached(
                "UPDATE queue_entry SET dead_at = ?2, receives = receives - 1 WHERE id = ?1",
            )?;
            bury.execute(params![turn.id, now.millis()])?;
            // within the transaction: one that is rolled back tells it twice, and none is silent
            dead::tell(queue, settings.receives_max, &body(db, *turn)?);
        }
        // the dead have taken the place of others that may be there
        if worn.is_empty() {
            break;
        }
    }
    let next_at = if entries.is_empty() { next_at(db, queue)? } else { None };
    Ok(Found { entries, next_at })
}

fn body(db: &Connection, turn: Turn) -> rusqlite::Result<String> {
    db.prepare_cached("SELECT body FROM queue_body WHERE id = ?1")?.query_row([turn.id], |row| row.get(0))
}

fn next_at(db: &Connection, queue: &str) -> rusqlite::Result<Option<Timestamp>> {
    let mut first = db.prepare_cached(
        "SELECT visible_at FROM queue_entry WHERE queue = ?1 AND dead_at IS NULL ORDER BY visible_at LIMIT 1",
    )?;
    Ok(first.query_row([queue], |row| row.get(0)).optional()?.map(Timestamp::from_millis))
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
    let mut update = db.prepare_cached(
        "UPDATE queue_entry SET visible_at = sent_at
         WHERE queue = ?1 AND visible_at > ?2 AND receives > 0 AND dead_at IS NULL",
    )?;
    update.execute(params![queue, now.millis()])
}

pub(super) fn depth(db: &Connection, queue: &str, now: Timestamp) -> rusqlite::Result<Depth> {
    let mut count = db.prepare_cached(
        "SELECT count(*) FILTER (WHERE visible_at <= ?2), count(*) FILTER (WHERE visible_at > ?2 AND receives > 0),
                count(*) FILTER (WHERE visible_at > ?2 AND receives = 0), min(sent_at)
         FROM queue_entry WHERE queue = ?1 AND dead_at IS NULL",
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
