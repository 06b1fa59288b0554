//! `spoolway queue --list`: single deliveries, a page at a time.

use std::io::Write;

use serde::Serialize;
use shared::directory::{Filter, WaitingStatus};
use shared::job::DeliveryKey;
use shared::mail::{Mailbox, MessageId, ReversePath, TenantId, Timestamp};
use shared::port::{DUE_SHARDS, Deliveries, DeliveryState, PendingCursor, RecipientStatus};

use crate::exit::{Exit, Failure, Outcome};
use crate::limits::PENDING_PAGE;
use crate::screen::{Screen, Table, due, plain, span, write_json};
use crate::trace::{ReplyStory, rfc3339};

/// One delivery that waits.
#[derive(Debug, Serialize)]
pub(super) struct Row {
    message: MessageId,
    destination: String,
    tenant: TenantId,
    from: ReversePath,
    recipients: Vec<Mailbox>,
    status: WaitingStatus,
    #[serde(with = "rfc3339")]
    accepted_at: Timestamp,
    #[serde(with = "rfc3339::option")]
    next_attempt_by: Option<Timestamp>,
    attempts: u32,
    /// The route that an operator has given it.
    route: Option<String>,
    last_reply: Option<ReplyStory>,
    /// What the next attempt waits for, where it was put off.
    waiting: Option<String>,
}

/// As JSON, the answer of `queue --list --json`: fields are added, never changed.
#[derive(Debug, Serialize)]
struct Page {
    deliveries: Vec<Row>,
    /// What `--after` takes for the next page; `null` where this is the last.
    next: Option<String>,
}

impl Row {
    pub(super) fn of(state: &DeliveryState, now: Timestamp) -> Self {
        let left = state.recipients.iter().filter(|recipient| recipient.status == RecipientStatus::Deferred);
        let last = state.attempts.last();
        Self {
            message: state.key.message,
            destination: state.key.destination(),
            tenant: state.tenant.clone(),
            from: state.from.clone(),
            recipients: left.map(|recipient| recipient.address.clone()).collect(),
            status: WaitingStatus::of(state, now),
            accepted_at: state.accepted_at,
            next_attempt_by: state.due_at,
            attempts: last.map_or(0, |last| last.number),
            route: state.route().map(str::to_owned),
            last_reply: last.map(|last| ReplyStory::from(&last.reply)),
            waiting: state.waiting.as_ref().map(|waiting| waiting.text.clone()),
        }
    }
}

impl Row {
    /// Why it waits, on one line.
    fn why(&self) -> String {
        match (&self.waiting, &self.last_reply) {
            (Some(text), _) => plain(text).into_owned(),
            (None, reply) => reply.as_ref().map(|reply| reply.line().to_owned()).unwrap_or_default(),
        }
    }
}

/// Writes up to `limit` deliveries that `filter` means, from behind `after`.
pub(super) async fn run(
    deliveries: &dyn Deliveries,
    filter: &Filter,
    (limit, after): (usize, Option<&str>),
    (now, json, screen): (Timestamp, bool, Screen),
    out: &mut dyn Write,
) -> Outcome {
    let page = page(deliveries, filter, limit.max(1), after, now).await?;
    if json { write_json(out, &page) } else { write_text(&page, now, screen, out) }
}

async fn page(
    deliveries: &dyn Deliveries,
    filter: &Filter,
    limit: usize,
    after: Option<&str>,
    now: Timestamp,
) -> Outcome<Page> {
    let (first, mut after) = match after {
        None => (0, None),
        Some(text) => read_place(text).map(|(shard, cursor)| (shard, Some(cursor))).ok_or_else(|| {
            Failure::new(Exit::Usage, format!("`{text}` is no place in the queue; copy it from a list"))
        })?,
    };
    let mut rows = Vec::new();
    for shard in first..DUE_SHARDS {
        loop {
            let page = deliveries.pending(shard, after.take(), PENDING_PAGE).await?;
            let full = page.len() >= PENDING_PAGE;
            for state in page {
                let cursor = state.due_at.map(|due_at| PendingCursor { due_at, key: state.key.clone() });
                if filter.matches(&state, now) {
                    rows.push(Row::of(&state, now));
                    if rows.len() >= limit {
                        return Ok(Page { deliveries: rows, next: cursor.map(|at| write_place(shard, &at)) });
                    }
                }
                after = cursor;
            }
            if !full || after.is_none() {
                after = None;
                break;
            }
        }
    }
    Ok(Page { deliveries: rows, next: None })
}

fn write_place(shard: u8, PendingCursor { due_at, key }: &PendingCursor) -> String {
    format!("{shard}:{}:{key}", due_at.millis())
}

fn read_place(text: &str) -> Option<(u8, PendingCursor)> {
    let (shard, rest) = text.split_once(':')?;
    let (due_at, key) = rest.split_once(':')?;
    let (message, destination) = key.split_once('/')?;
    let (domain, part) = match destination.split_once('#') {
        Some((domain, part)) => (domain, part.parse().ok()?),
        None => (destination, 0),
    };
    let key = DeliveryKey { message: message.parse().ok()?, domain: domain.parse().ok()?, part };
    let due_at = Timestamp::from_millis(due_at.parse().ok()?);
    Some((shard.parse().ok()?, PendingCursor { due_at, key }))
}

fn write_text(page: &Page, now: Timestamp, screen: Screen, out: &mut dyn Write) -> Outcome {
    if page.deliveries.is_empty() {
        writeln!(out, "No such mail waits.")?;
        return Ok(());
    }
    write_rows(&page.deliveries, now, screen, out)?;
    if let Some(next) = &page.next {
        writeln!(out, "\nthere may be more: --after '{next}'")?;
    }
    Ok(())
}

pub(super) fn write_rows(rows: &[Row], now: Timestamp, screen: Screen, out: &mut dyn Write) -> Outcome {
    let mut table = Table::new(
        &["message", "destination", "tenant", "from", "recipients", "status", "age", "next try", "why"],
        &[4],
    );
    for row in rows {
        let from = if row.from.mailbox().is_none() { "<>" } else { row.from.as_str() };
        table.row(vec![
            row.message.to_string(),
            row.destination.clone(),
            plain(&row.tenant.0).into_owned(),
            plain(from).into_owned(),
            row.recipients.len().to_string(),
            format!("{:?}", row.status).to_lowercase(),
            span(now.since(row.accepted_at)),
            row.next_attempt_by.map_or_else(|| "-".to_owned(), |at| due(at, now)),
            row.why(),
        ]);
    }
    Ok(table.write(out, screen)?)
}
