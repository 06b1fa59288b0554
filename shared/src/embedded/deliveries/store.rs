//! The table of deliveries and its statements.

use std::time::Duration;

use rusqlite::types::Type;
use rusqlite::{CachedStatement, Connection, OptionalExtension, Params, params};

use crate::job::{Delivery, DeliveryKey};
use crate::mail::{MessageId, Reply, Timestamp};
use crate::port::{Cancel, DeliveryState, Held, Ordered, PendingCursor, Postponed, Record, due_shard};

/// `due_at` is the truth, and not what the JSON says: a lease changes it alone. `leased_from` is the due time before the lease.
pub(super) const SCHEMA: &str = "
    CREATE TABLE IF NOT EXISTS delivery (
        id INTEGER PRIMARY KEY,
        message TEXT NOT NULL,
        destination TEXT NOT NULL,
        state TEXT NOT NULL,
        due_shard INTEGER,
        due_at INTEGER,
        leased_from INTEGER,
        forget_at INTEGER NOT NULL,
        UNIQUE (message, destination)
    );
    CREATE INDEX IF NOT EXISTS delivery_due ON delivery (due_shard, due_at, message, destination)
        WHERE due_at IS NOT NULL;
    CREATE INDEX IF NOT EXISTS delivery_forget ON delivery (forget_at);
";

/// A row as it is written.
pub(super) struct Row {
    message: String,
    destination: String,
    state: String,
    due_shard: Option<u8>,
    due_at: Option<i64>,
    forget_at: i64,
}

impl Row {
    /// The row of a delivery whose first record this is.
    pub(super) fn first(record: Record) -> Self {
        let forget_at = record.forget_at;
        Self::of(&DeliveryState::begin(record), forget_at)
    }

    /// The row of a delivery that is held.
    pub(super) fn held(held: Held) -> Self {
        let forget_at = held.forget_at;
        Self::of(&DeliveryState::hold(held), forget_at)
    }

    /// The row of a delivery whose first attempt is put off.
    pub(super) fn postponed(postponed: Postponed) -> Self {
        let forget_at = postponed.forget_at;
        Self::of(&DeliveryState::postpone(postponed), forget_at)
    }

    fn of(state: &DeliveryState, forget_at: Timestamp) -> Self {
        Self {
            message: state.key.message.to_string(),
            destination: state.key.destination(),
            state: serde_json::to_string(state).expect("a state is plain data"),
            due_shard: state.due_at.map(|_| due_shard(&state.key)),
            due_at: state.due_at.map(Timestamp::millis),
            forget_at: forget_at.millis(),
        }
    }
}

/// Whether there was no row of this delivery; one that is there stays as it is.
pub(super) fn insert(db: &Connection, row: &Row) -> rusqlite::Result<bool> {
    let Row { message, destination, state, due_shard, due_at, forget_at } = row;
    let mut insert = db.prepare_cached(
        "INSERT INTO delivery (message, destination, state, due_shard, due_at, forget_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT (message, destination) DO NOTHING",
    )?;
    Ok(insert.execute(params![message, destination, state, due_shard, due_at, forget_at])? == 1)
}

pub(super) fn record(db: &Connection, first: &Row, record: Record) -> rusqlite::Result<()> {
    if insert(db, first)? {
        return Ok(());
    }
    let Some(mut known) = find(db, &record.delivery.key)? else {
        return Err(rusqlite::Error::QueryReturnedNoRows);
    };
    known.add(record);
    update(db, &known, Timestamp::from_millis(first.forget_at))
}

pub(super) fn postpone(db: &Connection, first: &Row, postponed: Postponed) -> rusqlite::Result<()> {
    if insert(db, first)? {
        return Ok(());
    }
    let Some(mut known) = find(db, &postponed.delivery.key)? else {
        return Err(rusqlite::Error::QueryReturnedNoRows);
    };
    if known.put_off(postponed) {
        update(db, &known, Timestamp::from_millis(first.forget_at))?;
    }
    Ok(())
}

pub(super) fn cancel(db: &Connection, key: &DeliveryKey, reply: &Reply) -> rusqlite::Result<Cancel> {
    let Some(mut known) = find(db, key)? else { return Ok(Cancel::Missing) };
    let was_held = known.is_held();
    let answer = known.cancel(reply);
    if was_held {
        // it is remembered as long as it would have been
        update(db, &known, Timestamp::from_millis(0))?;
    }
    Ok(answer)
}

/// Changes the state alone: what is due, or leased, stays so. `change` tells whether it did, and what there is to answer; `None` where
/// there is no row.
pub(super) fn amend<T>(
    db: &Connection,
    key: &DeliveryKey,
    change: impl FnOnce(&mut DeliveryState) -> (bool, T),
) -> rusqlite::Result<Option<T>> {
    let Some(mut known) = find(db, key)? else { return Ok(None) };
    let (changed, answer) = change(&mut known);
    if changed {
        let state = serde_json::to_string(&known).expect("a state is plain data");
        let mut update =
            db.prepare_cached("UPDATE delivery SET state = ?3 WHERE message = ?1 AND destination = ?2")?;
        update.execute(params![key.message.to_string(), key.destination(), state])?;
    }
    Ok(Some(answer))
}

/// One statement writes, so nothing is left half done.
pub(super) fn order(db: &Connection, ordered: Ordered) -> rusqlite::Result<Option<DeliveryState>> {
    let Ordered { key, orders, now, untried } = ordered;
    let (mut state, new) = match (find(db, &key)?, untried) {
        (Some(state), _) => (state, None),
        (None, Some(untried)) => {
            let forget_at = untried.forget_at;
            (DeliveryState::untried(*untried), Some(forget_at))
        }
        (None, None) => return Ok(None),
    };
    let mut changed = false;
    for order in &orders {
        changed |= state.obey(order, now);
    }
    match new {
        Some(forget_at) => drop(insert(db, &Row::of(&state, forget_at))?),
        // it is remembered as long as it would have been
        None if changed => update(db, &state, Timestamp::from_millis(0))?,
        None => {}
    }
    Ok(Some(state))
}

/// Writes the row anew; it is remembered no shorter than before.
fn update(db: &Connection, known: &DeliveryState, forget_at: Timestamp) -> rusqlite::Result<()> {
    let Row { message, destination, state, due_shard, due_at, forget_at } = Row::of(known, forget_at);
    let mut update = db.prepare_cached(
        "UPDATE delivery SET state = ?3, due_shard = ?4, due_at = ?5, leased_from = NULL, forget_at = max(forget_at, ?6)
         WHERE message = ?1 AND destination = ?2",
    )?;
    update.execute(params![message, destination, state, due_shard, due_at, forget_at]).map(drop)
}

pub(super) fn find(db: &Connection, key: &DeliveryKey) -> rusqlite::Result<Option<DeliveryState>> {
    let mut select =
        db.prepare_cached("SELECT state, due_at FROM delivery WHERE message = ?1 AND destination = ?2")?;
    select.query_row(params![key.message.to_string(), key.destination()], state).optional()
}

pub(super) fn due(
    db: &Connection,
    shard: u8,
    now: Timestamp,
    lease: Duration,
    limit: usize,
) -> rusqlite::Result<Vec<Delivery>> {
    let mut take = db.prepare_cached(
        "UPDATE delivery SET leased_from = coalesce(leased_from, due_at), due_at = ?3
         WHERE id IN (SELECT id FROM delivery WHERE due_shard = ?1 AND due_at <= ?2 ORDER BY due_at LIMIT ?4)
         RETURNING state, due_at",
    )?;
    let (until, limit) = ((now + lease).millis(), signed(limit));
    let states = states(&mut take, params![shard, now.millis(), until, limit])?;
    Ok(states.into_iter().filter_map(|state| state.pending.map(|delivery| *delivery)).collect())
}

/// Gives back what was leased, a millisecond later than it was due: what was held until then is released, and its job may be in the
/// queue, so it must not be taken for one that can be cancelled still.
pub(super) fn reclaim(db: &Connection) -> rusqlite::Result<usize> {
    db.execute(
        "UPDATE delivery SET due_at = leased_from + 1, leased_from = NULL
         WHERE due_at IS NOT NULL AND leased_from IS NOT NULL",
        [],
    )
}

pub(super) fn pending(
    db: &Connection,
    shard: u8,
    after: Option<&PendingCursor>,
    limit: usize,
) -> rusqlite::Result<Vec<DeliveryState>> {
    let mut select = db.prepare_cached(
        "SELECT state, due_at FROM delivery
         WHERE due_shard = ?1 AND due_at IS NOT NULL AND (due_at, message, destination) > (?2, ?3, ?4)
         ORDER BY due_at, message, destination LIMIT ?5",
    )?;
    let (due_at, message, destination) = match after {
        Some(after) => (after.due_at.millis(), after.key.message.to_string(), after.key.destination()),
        None => (i64::MIN, String::new(), String::new()),
    };
    states(&mut select, params![shard, due_at, message, destination, signed(limit)])
}

pub(super) fn message(db: &Connection, message: MessageId) -> rusqlite::Result<Vec<DeliveryState>> {
    let mut select =
        db.prepare_cached("SELECT state, due_at FROM delivery WHERE message = ?1 ORDER BY destination")?;
    states(&mut select, params![message.to_string()])
}

pub(super) fn forget(db: &Connection, now: Timestamp, limit: usize) -> rusqlite::Result<usize> {
    let mut delete = db.prepare_cached(
        "DELETE FROM delivery WHERE id IN (SELECT id FROM delivery WHERE forget_at < ?1 LIMIT ?2)",
    )?;
    delete.execute(params![now.millis(), signed(limit)])
}

fn states(
    statement: &mut CachedStatement<'_>,
    parameters: impl Params,
) -> rusqlite::Result<Vec<DeliveryState>> {
    let mut found = Vec::new();
    for read in statement.query_map(parameters, state)? {
        match read {
            Ok(state) => found.push(state),
            // one row that cannot be read must not keep every other from being worked on
            Err(rusqlite::Error::FromSqlConversionFailure(_, _, error)) => {
                tracing::error!(error, "the state of a delivery cannot be read, and is passed over");
            }
            Err(error) => return Err(error),
        }
    }
    Ok(found)
}

fn state(row: &rusqlite::Row<'_>) -> rusqlite::Result<DeliveryState> {
    let text = row.get_ref(0)?.as_str()?;
    let mut state: DeliveryState = serde_json::from_str(text)
        .map_err(|error| rusqlite::Error::FromSqlConversionFailure(0, Type::Text, error.into()))?;
    state.due_at = row.get::<_, Option<i64>>(1)?.map(Timestamp::from_millis);
    Ok(state)
}

fn signed(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}
