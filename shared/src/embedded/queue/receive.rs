//! What a receive takes: the most urgent first; among equals a fair share for each tenant; of one tenant the oldest.

use rusqlite::{CachedStatement, Connection, OptionalExtension, Params, Row, named_params, params};

use super::store::Turn;
use super::{QueueSettings, dead};
use crate::limits::embedded::TENANTS_ASKED_MAX;
use crate::mail::{TenantId, Timestamp};

/// An entry that was taken.
pub(super) struct Taken {
    pub(super) turn: Turn,
    pub(super) tenant: TenantId,
    pub(super) body: String,
}

/// What a receive found.
pub(super) struct Found {
    pub(super) entries: Vec<Taken>,
    /// Where there were none: when the next one becomes visible, as far as is known now.
    pub(super) next_at: Option<Timestamp>,
}

/// What is asked for.
pub(super) struct Wanted<'a> {
    pub(super) queue: &'a str,
    pub(super) settings: QueueSettings,
    /// At most so many.
    pub(super) max: usize,
    /// Nothing of these tenants.
    pub(super) but: &'a [TenantId],
    pub(super) now: Timestamp,
}

/// Takes visible entries. `last` is the tenant that was served last, by this receive or an earlier one: the next turn is that of
/// whoever comes behind it. Stopped half way, some entries have a receive more than they were received.
pub(super) fn receive(db: &Connection, wanted: &Wanted<'_>, last: &mut String) -> rusqlite::Result<Found> {
    let mut entries = Vec::new();
    let mut rank = rank_below(db, wanted.queue, i64::MAX)?;
    while let Some(priority) = rank.filter(|priority| *priority > 0 && entries.len() < wanted.max) {
        share(db, wanted, Some(priority), last, &mut entries)?;
        rank = rank_below(db, wanted.queue, priority)?;
    }
    share(db, wanted, None, last, &mut entries)?;
    while let Some(priority) = rank.filter(|_| entries.len() < wanted.max) {
        share(db, wanted, Some(priority), last, &mut entries)?;
        rank = rank_below(db, wanted.queue, priority)?;
    }
    let next_at = if entries.is_empty() { next_at(db, wanted.queue)? } else { None };
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

pub(super) const FIRST_PLAIN: &str = "
    SELECT visible_at, tenant FROM queue_entry WHERE queue = ?1 AND dead_at IS NULL AND priority = 0
    ORDER BY visible_at LIMIT 1";

pub(super) const FIRST_RANKED: &str = "
    SELECT visible_at, tenant FROM queue_entry WHERE queue = ?1 AND dead_at IS NULL AND priority <> 0 AND priority = ?2
    ORDER BY visible_at LIMIT 1";

pub(super) const TENANT_PLAIN: &str = "
    SELECT tenant, visible_at FROM queue_entry
    WHERE queue = ?1 AND dead_at IS NULL AND priority = 0 AND tenant > ?2
    ORDER BY tenant, visible_at LIMIT 1";

pub(super) const TENANT_RANKED: &str = "
    SELECT tenant, visible_at FROM queue_entry
    WHERE queue = ?1 AND dead_at IS NULL AND priority <> 0 AND priority = ?3 AND tenant > ?2
    ORDER BY tenant, visible_at LIMIT 1";

pub(super) const TAKE_PLAIN: &str = "
    UPDATE queue_entry SET receives = receives + 1, received_at = :now, visible_at = :until
    WHERE id IN (SELECT id FROM queue_entry
                 WHERE queue = :queue AND tenant = :tenant AND visible_at <= :now AND dead_at IS NULL AND priority = 0
                 ORDER BY visible_at LIMIT :max)
    RETURNING id, receives";

pub(super) const TAKE_RANKED: &str = "
    UPDATE queue_entry SET receives = receives + 1, received_at = :now, visible_at = :until
    WHERE id IN (SELECT id FROM queue_entry
                 WHERE queue = :queue AND tenant = :tenant AND visible_at <= :now AND dead_at IS NULL
                   AND priority <> 0 AND priority = :priority
                 ORDER BY visible_at LIMIT :max)
    RETURNING id, receives";

/// When the first entry of a priority, `None` for 0, becomes or became visible, and whose it is.
fn first(db: &Connection, queue: &str, priority: Option<i64>) -> rusqlite::Result<Option<(i64, String)>> {
    let found = |row: &Row<'_>| Ok((row.get(0)?, row.get(1)?));
    match priority {
        None => db.prepare_cached(FIRST_PLAIN)?.query_row([queue], found),
        Some(priority) => db.prepare_cached(FIRST_RANKED)?.query_row(params![queue, priority], found),
    }
    .optional()
}

fn next_at(db: &Connection, queue: &str) -> rusqlite::Result<Option<Timestamp>> {
    let mut next = first(db, queue, None)?.map(|(at, _)| at);
    let mut below = i64::MAX;
    while let Some(priority) = rank_below(db, queue, below)? {
        next = next.into_iter().chain(first(db, queue, Some(priority))?.map(|(at, _)| at)).min();
        below = priority;
    }
    Ok(next.map(Timestamp::from_millis))
}

/// Takes visible entries of one priority, `None` for 0, until there are as many as wanted or no more: the same number of each
/// tenant, as far as they have them.
fn share(
    db: &Connection,
    wanted: &Wanted<'_>,
    priority: Option<i64>,
    last: &mut String,
    entries: &mut Vec<Taken>,
) -> rusqlite::Result<()> {
    let Some((at, oldest)) = first(db, wanted.queue, priority)? else { return Ok(()) };
    if at > wanted.now.millis() {
        return Ok(());
    }
    let room = wanted.max - entries.len();
    let Ready { tenants: mut ready, stopped_at } = ready(db, wanted, priority, (last, oldest), room)?;
    // where there is more than one for each, somebody else begins the next time, and gets what does not divide
    let last_served = if ready.len() < room { ready.first() } else { ready.last() };
    if let Some(at) = stopped_at.as_ref().or(last_served) {
        last.clone_from(at);
    }
    while !ready.is_empty() {
        let tenants = std::mem::take(&mut ready);
        let count = tenants.len();
        for (served, tenant) in tenants.into_iter().enumerate() {
            let part = (wanted.max - entries.len()).div_ceil(count - served);
            if part == 0 {
                break;
            }
            let taken = take(db, wanted, priority, &tenant, part, entries)?;
            if taken == part {
                ready.push(tenant);
            }
        }
    }
    Ok(())
}

/// Tenants that have something visible.
struct Ready {
    tenants: Vec<String>,
    /// Who was asked last, where not all were.
    stopped_at: Option<String>,
}

/// Up to `max` tenants that have something visible, from behind `last` on and round. No more than [`TENANTS_ASKED_MAX`] are asked, as
/// thousands may have nothing but what is to be tried later: then it is the turn of `oldest`, whose entry has waited longest, and
/// the next receive goes on from there.
fn ready(
    db: &Connection,
    wanted: &Wanted<'_>,
    priority: Option<i64>,
    (last, oldest): (&str, String),
    max: usize,
) -> rusqlite::Result<Ready> {
    let is_wanted = |tenant: &str| wanted.but.iter().all(|but| but.0 != tenant);
    let (mut tenants, mut from, mut round) = (Vec::new(), last.to_owned(), false);
    for asked in 0.. {
        if tenants.len() >= max {
            break;
        }
        if asked >= TENANTS_ASKED_MAX && (!tenants.is_empty() || is_wanted(&oldest)) {
            if tenants.is_empty() {
                tenants.push(oldest);
            }
            return Ok(Ready { tenants, stopped_at: Some(from) });
        }
        let Some((tenant, at)) = tenant_behind(db, wanted.queue, priority, &from)? else {
            // at the end: what is left is up to where it began
            if std::mem::replace(&mut round, true) {
                break;
            }
            from.clear();
            continue;
        };
        if round && *tenant > *last {
            break;
        }
        if at <= wanted.now.millis() && is_wanted(&tenant) {
            tenants.push(tenant.clone());
        }
        from = tenant;
    }
    Ok(Ready { tenants, stopped_at: None })
}

/// The first tenant behind `tenant` that has entries, and when the first of them becomes or became visible.
fn tenant_behind(
    db: &Connection,
    queue: &str,
    priority: Option<i64>,
    tenant: &str,
) -> rusqlite::Result<Option<(String, i64)>> {
    let found = |row: &Row<'_>| Ok((row.get(0)?, row.get(1)?));
    match priority {
        None => db.prepare_cached(TENANT_PLAIN)?.query_row(params![queue, tenant], found),
        Some(priority) => {
            db.prepare_cached(TENANT_RANKED)?.query_row(params![queue, tenant, priority], found)
        }
    }
    .optional()
}

/// Takes up to `part` visible entries of `tenant`; tells how many there were.
fn take(
    db: &Connection,
    wanted: &Wanted<'_>,
    priority: Option<i64>,
    tenant: &str,
    part: usize,
    entries: &mut Vec<Taken>,
) -> rusqlite::Result<usize> {
    let Wanted { queue, settings, now, .. } = *wanted;
    let (until, now) = ((now + settings.visibility).millis(), now.millis());
    let mut take = db.prepare_cached(if priority.is_some() { TAKE_RANKED } else { TAKE_PLAIN })?;
    let mut count = 0;
    loop {
        let room = i64::try_from(part - count).unwrap_or(0);
        let taken = match priority {
            None => turns(
                &mut take,
                named_params! {":now": now, ":until": until, ":queue": queue, ":tenant": tenant, ":max": room},
            ),
            Some(priority) => turns(
                &mut take,
                named_params! {
                    ":now": now, ":until": until, ":queue": queue, ":tenant": tenant, ":max": room, ":priority": priority
                },
            ),
        }?;
        let (alive, worn): (Vec<_>, Vec<_>) =
            taken.into_iter().partition(|turn| turn.receives <= settings.receives_max);
        count += alive.len();
        for turn in alive {
            entries.push(Taken { turn, tenant: TenantId(tenant.to_owned()), body: body(db, turn)? });
        }
        for turn in &worn {
            bury(db, queue, settings, now, *turn)?;
        }
        // the dead have taken the place of others that may be there
        if worn.is_empty() || count == part {
            return Ok(count);
        }
    }
}

fn turns(take: &mut CachedStatement<'_>, parameters: impl Params) -> rusqlite::Result<Vec<Turn>> {
    let turn = |row: &Row<'_>| Ok(Turn { id: row.get(0)?, receives: row.get(1)? });
    take.query_map(parameters, turn)?.collect()
}

fn bury(db: &Connection, queue: &str, settings: QueueSettings, now: i64, turn: Turn) -> rusqlite::Result<()> {
    let mut bury =
        db.prepare_cached("UPDATE queue_entry SET dead_at = ?2, receives = receives - 1 WHERE id = ?1")?;
    bury.execute(params![turn.id, now])?;
    // within the transaction: one that is rolled back tells it twice, and none is silent
    dead::tell(queue, settings.receives_max, &body(db, turn)?);
    Ok(())
}

fn body(db: &Connection, turn: Turn) -> rusqlite::Result<String> {
    db.prepare_cached("SELECT body FROM queue_body WHERE id = ?1")?.query_row([turn.id], |row| row.get(0))
}
