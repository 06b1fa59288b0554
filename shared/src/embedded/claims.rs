//! The claims by which workers keep out of each other's way.

use std::time::Duration;

use rusqlite::{Connection, params};

use crate::limits::embedded::UNFINISHED_KEPT;
use crate::mail::Timestamp;
use crate::port::Claim;

pub(super) const SCHEMA: &str = "
    CREATE TABLE IF NOT EXISTS claim (
        job TEXT PRIMARY KEY,
        holder TEXT NOT NULL,
        held_until INTEGER NOT NULL,
        finished INTEGER NOT NULL DEFAULT FALSE,
        forget_at INTEGER NOT NULL
    ) WITHOUT ROWID;
    CREATE INDEX IF NOT EXISTS claim_forget ON claim (forget_at);
";

pub(super) fn claim(
    db: &Connection,
    job: &str,
    holder: &str,
    now: Timestamp,
    lease: Duration,
) -> rusqlite::Result<Claim> {
    let until = (now + lease).millis();
    let forget_at = until.saturating_add(i64::try_from(UNFINISHED_KEPT.as_millis()).unwrap_or(0));
    let mut first = db.prepare_cached(
        "INSERT INTO claim (job, holder, held_until, forget_at) VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO NOTHING",
    )?;
    if first.execute(params![job, holder, until, forget_at])? == 1 {
        return Ok(Claim::Taken { again: false });
    }
    let mut known = db.prepare_cached("SELECT holder, held_until, finished FROM claim WHERE job = ?1")?;
    let (owner, held_until, finished): (String, i64, bool) =
        known.query_row([job], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
    if finished {
        return Ok(Claim::Finished);
    }
    if owner != holder && held_until > now.millis() {
        return Ok(Claim::Held { until: Timestamp::from_millis(held_until) });
    }
    let mut take =
        db.prepare_cached("UPDATE claim SET holder = ?2, held_until = ?3, forget_at = ?4 WHERE job = ?1")?;
    take.execute(params![job, holder, until, forget_at])?;
    // also to the same holder: it may have been given the job twice
    Ok(Claim::Taken { again: true })
}

/// The job is done, whoever holds it by now.
pub(super) fn finish(db: &Connection, job: &str, holder: &str, forget_at: Timestamp) -> rusqlite::Result<()> {
    let mut finish = db.prepare_cached(
        "INSERT INTO claim (job, holder, held_until, finished, forget_at) VALUES (?1, ?2, 0, TRUE, ?3)
         ON CONFLICT DO UPDATE SET forget_at = CASE WHEN finished THEN max(forget_at, ?3) ELSE ?3 END, finished = TRUE",
    )?;
    finish.execute(params![job, holder, forget_at.millis()]).map(drop)
}

/// The row stays, so that the next claim knows that there was one.
pub(super) fn abandon(db: &Connection, job: &str, holder: &str) -> rusqlite::Result<()> {
    let mut abandon = db.prepare_cached(
        "UPDATE claim SET holder = '', held_until = 0 WHERE job = ?1 AND holder = ?2 AND NOT finished",
    )?;
    abandon.execute(params![job, holder]).map(drop)
}

/// Ends the lease of every claim that is not finished.
pub(super) fn reclaim(db: &Connection) -> rusqlite::Result<usize> {
    db.execute("UPDATE claim SET holder = '', held_until = 0 WHERE NOT finished AND held_until > 0", [])
}

pub(super) fn forget(db: &Connection, now: Timestamp, limit: usize) -> rusqlite::Result<usize> {
    let mut delete = db.prepare_cached(
        "DELETE FROM claim WHERE job IN (SELECT job FROM claim WHERE forget_at < ?1 LIMIT ?2)",
    )?;
    delete.execute(params![now.millis(), i64::try_from(limit).unwrap_or(i64::MAX)])
}
