//! The queue's tables and statements.

use std::time::Duration;

use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior, named_params, params};

use super::super::database::atomically;
use super::{QueueSettings, dead};
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

/// Entries of no priority, which are nearly all, have an index of their own: what has one costs them a look into an empty index.
/// A query must repeat an index's condition word for word to get it.
const INDEXES: &str = "
    DROP INDEX IF EXISTS queue_entry_turn;
    CREATE INDEX IF NOT EXISTS queue_entry_plain ON queue_entry (queue, visible_at)
        WHERE dead_at IS NULL AND priority = 0;
    CREATE INDEX IF NOT EXISTS queue_entry_ranked ON queue_entry (queue, priority, visible_at)
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

/// Takes up to `max` visible entries, the most urgent ones first. Stopped half way, some of them have a receive more than they were
/// received.
pub(super) fn receive(
    db: &Connection,
    queue: &str,
    settings: QueueSettings,
    max: usize,
    now: Timestamp,
) -> rusqlite::Result<Found> {
    let mut entries = Vec::new();
    let mut rank = rank_below(db, queue, i64::MAX)?;
    while let Some(priority) = rank.filter(|priority| *priority > 0 && entries.len() < max) {
        take(db, queue, settings, max, now, Some(priority), &mut entries)?;
        rank = rank_below(db, queue, priority)?;
    }
    take(db, queue, settings, max, now, None, &mut entries)?;
    while let Some(priority) = rank.filter(|_| entries.len() < max) {
        take(db, queue, settings, max, now, Some(priority), &mut entries)?;
        rank = rank_below(db, queue, priority)?;
    }
    let next_at = if entries.is_empty() { next_at(db, queue)? } else { None };
    Ok(Found { entries, next_at })
}

/// The highest priority under `priority` that an entry has, but for 0.
fn rank_below(db: &Connection, queue: &str, priority: i64) -> rusqlite::Result<Option<i64>> {
    let mut next = db.prepare_cached(RANK_BELOW)?;
    next.query_row(params![queue, priority], |row| row.get(0)).optional()
}

pub(super) const RANK_BELOW: &str = "
    SELECT priority FROM queue_entry WHERE queue = ?1 AND dead_at IS NULL AND priority <> 0 AND priority < ?2
    ORDER BY priority DESC LIMIT 1";

pub(super) const TAKE_PLAIN: &str = "
    UPDATE queue_entry SET receives = receives + 1, received_at = :now, visible_at = :until
    WHERE id IN (SELECT id FROM queue_entry
                 WHERE queue = :queue AND visible_at <= :now AND dead_at IS NULL AND priority = 0
                 ORDER BY visible_at LIMIT :max)
    RETURNING id, receives";

pub(super) const TAKE_RANKED: &str = "
    UPDATE queue_entry SET receives = receives + 1, received_at = :now, visible_at = :until
    WHERE id IN (SELECT id FROM queue_entry
                 WHERE queue = :queue AND visible_at <= :now AND dead_at IS NULL AND priority <> 0 AND priority = :priority
                 ORDER BY visible_at LIMIT :max)
    RETURNING id, receives";

/// Takes visible entries of one priority, `None` for 0, until there are `max` entries or no more.
fn take(
    db: &Connection,
    queue: &str,
    settings: QueueSettings,
    max: usize,
    now: Timestamp,
    priority: Option<i64>,
    entries: &mut Vec<(Turn, String)>,
) -> rusqlite::Result<()> {
    let until = (now + settings.visibility).millis();
    let mut take = db.prepare_cached(if priority.is_some() { TAKE_RANKED } else { TAKE_PLAIN })?;
    loop {
        let room = i64::try_from(max - entries.len()).unwrap_or(0);
        if room == 0 {
            return Ok(());
        }
        let turn = |row: &rusqlite::Row<'_>| Ok(Turn { id: row.get(0)?, receives: row.get(1)? });
        let now = now.millis();
        let taken = match priority {
            None => take.query_map(
                named_params! {":now": now, ":until": until, ":queue": queue, ":max": room},
                turn,
            ),
            Some(priority) => take.query_map(
                named_params! {":now": now, ":until": until, ":queue": queue, ":max": room, ":priority": priority},
                turn,
            ),
        };
        let taken = taken?.collect::<rusqlite::Result<Vec<_>>>()?;
        let (alive, worn): (Vec<_>, Vec<_>) =
            taken.into_iter().partition(|turn| turn.receives <= settings.receives_max);
        for turn in alive {
            entries.push((turn, body(db, turn)?));
        }
        for turn in &worn {
            let mut bury = db.prepare_cached(
                "UPDATE queue_entry SET dead_at = ?2, receives = receives - 1 WHERE id = ?1",
            )?;
            bury.execute(params![turn.id, now])?;
            // within the transaction: one that is rolled back tells it twice, and none is silent
            dead::tell(queue, settings.receives_max, &body(db, *turn)?);
        }
        // the dead have taken the place of others that may be there
        if worn.is_empty() {
            return Ok(());
        }
    }
}

fn body(db: &Connection, turn: Turn) -> rusqlite::Result<String> {
    db.prepare_cached("SELECT body FROM queue_body WHERE id = ?1")?.query_row([turn.id], |row| row.get(0))
}

fn next_at(db: &Connection, queue: &str) -> rusqlite::Result<Option<Timestamp>> {
    let mut first = db.prepare_cached(
        "SELECT visible_at FROM queue_entry WHERE queue = ?1 AND dead_at IS NULL AND priority = 0
         ORDER BY visible_at LIMIT 1",
    )?;
    let mut next: Option<i64> = first.query_row([queue], |row| row.get(0)).optional()?;
    let mut first = db.prepare_cached(
        "SELECT visible_at FROM queue_entry WHERE queue = ?1 AND dead_at IS NULL AND priority <> 0 AND priority = ?2
         ORDER BY visible_at LIMIT 1",
    )?;
    let mut below = i64::MAX;
    while let Some(priority) = rank_below(db, queue, below)? {
        let at = first.query_row(params![queue, priority], |row| row.get(0)).optional()?;
        next = next.into_iter().chain(at).min();
        below = priority;
    }
    Ok(next.map(Timestamp::from_millis))
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
