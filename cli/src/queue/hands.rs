//! The hands of `spoolway queue`: an order is written down, and put on all that waits and that it is for.

use std::collections::HashSet;
use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use shared::directory::{Filter, OrderEntry, WaitingStatus};
use shared::mail::{MessageId, Timestamp};
use shared::order::{Hand, Order, OrderId};
use shared::port::{Directory, EntryKind};
use workers::orders;

use super::list::{Row, write_rows};
use crate::cancel::unprepared;
use crate::exit::{Exit, Failure, Outcome};
use crate::limits::{LIST_ROWS, ORDER_KEPT, ORDER_KEPT_SHORT};
use crate::screen::{Screen, count, write_json};
use crate::trace::{self, not_there, packed};

/// What a hand needs of an edge.
pub(crate) struct Ports {
    pub(crate) trace: trace::Ports,
    pub(crate) directory: Arc<dyn Directory>,
    /// A number that nobody else draws.
    pub(crate) chance: u64,
}

/// What is to be done.
pub(crate) struct Wish {
    pub(crate) hand: Hand,
    pub(crate) filter: Filter,
    /// Mail that is accepted in this time is meant too.
    pub(crate) lasting: Option<Duration>,
    pub(crate) by: String,
    pub(crate) dry_run: bool,
    pub(crate) json: bool,
}

/// As JSON, the answer of the hands: fields are added, never changed.
#[derive(Debug, Serialize)]
struct View {
    order: OrderId,
    hand: &'static str,
    dry_run: bool,
    messages: u64,
    deliveries: u64,
    /// The first of them, as they were before.
    first: Vec<Row>,
    /// Deliveries that could not be written; the sweep tries it again.
    failed: u64,
    /// Orders for mail yet to come that this one has ended.
    ended: Vec<OrderId>,
}

/// Does what `wish` says. `confirm` is asked where it is for more than one message.
pub(crate) async fn run(
    ports: &Ports,
    wish: Wish,
    confirm: impl FnOnce(&str) -> Outcome<bool>,
    screen: Screen,
    out: &mut dyn Write,
) -> Outcome {
    let now = ports.trace.now;
    let known = orders::read(&*ports.directory, now).await?;
    let (Written { entry, all_known }, json) = (entry(ports, &wish, &known).await?, wish.json);
    let mut view = look(ports, &entry, wish.dry_run).await?;
    if view.deliveries == 0 && all_known {
        return Err(Failure::new(
            Exit::Data,
            "nothing of that waits: it is settled, or knows of the same already",
        ));
    }
    if !wish.dry_run {
        let what = format!(
            "{} {} ({})",
            view.hand,
            count(view.messages, "message"),
            if view.deliveries == 1 {
                "1 delivery".to_owned()
            } else {
                format!("{} deliveries", view.deliveries)
            }
        );
        if view.messages > 1 && !confirm(&what)? {
            return Err(Failure::new(Exit::Usage, "nothing was done"));
        }
        if known.len() >= orders::ORDERS_MAX {
            let text = format!("{} orders are in force; end some of them with queue revoke", known.len());
            return Err(Failure::new(Exit::Later, text));
        }
        // first the word for those who deliver, then what waits: what is written in between knows of it
        ports.directory.put(entry.entry()).await?;
        view.ended = end_covered(ports, &entry, &known).await?;
        let applied =
            orders::apply(&*ports.trace.deliveries, std::slice::from_ref(&entry), now, |_| true).await?;
        view.failed = applied.failed.len() as u64;
    }
    if json {
        write_json(out, &view)?;
    } else {
        write_text(&view, &entry, now, screen, out)?;
    }
    if view.failed > 0 {
        let text =
            format!("{} could not be written yet; the sweep tries it again", count(view.failed, "item"));
        return Err(Failure::new(Exit::Io, text));
    }
    Ok(())
}

/// An order, as it is to be written.
struct Written {
    entry: OrderEntry,
    /// Whether it is for single messages of which every recipient is in the state.
    all_known: bool,
}

async fn entry(ports: &Ports, wish: &Wish, known: &[OrderEntry]) -> Outcome<Written> {
    let now = ports.trace.now;
    let mut filter = wish.filter.clone();
    if wish.lasting.is_none() {
        // those who deliver may go by a hold that this one ends for a moment yet
        let until = if wish.hand == Hand::Release { now + ORDER_KEPT_SHORT } else { now };
        filter.accepted_before = filter.accepted_before.or(Some(until));
    }
    let mut hand = wish.hand.clone();
    if let (Hand::Hold { until }, Some(lasting)) = (&mut hand, wish.lasting) {
        *until = Some(now + lasting);
    }
    let all_known = all_in_the_state(ports, &filter.messages).await?;
    let everywhere = all_known || in_the_state_only(&filter);
    let kept = match (&hand, wish.lasting) {
        (_, Some(lasting)) => lasting,
        // whoever delivers tries it anyway, unless an earlier order says otherwise
        (Hand::Retry, None) => ORDER_KEPT_SHORT,
        (Hand::Release, None) => {
            let ends = known.iter().map(|order| order.kept_until.since(now));
            ends.fold(ORDER_KEPT_SHORT, Duration::max)
        }
        (Hand::Hold { .. } | Hand::Bounce { .. } | Hand::Reroute { .. }, None) if everywhere => {
            ORDER_KEPT_SHORT
        }
        (Hand::Hold { .. } | Hand::Bounce { .. } | Hand::Reroute { .. }, None) => ORDER_KEPT,
    };
    let order = Order { id: OrderId::new(now, ports.chance), hand, at: now, by: wish.by.clone() };
    Ok(Written { entry: OrderEntry { order, filter, kept_until: now + kept }, all_known })
}

/// Whether a filter asks for what only the state can tell: nothing that is in a queue only is meant.
fn in_the_state_only(filter: &Filter) -> bool {
    filter.due_by.is_some()
        || filter.reason.is_some()
        || matches!(filter.status, Some(WaitingStatus::Held | WaitingStatus::Deferred))
}

/// Whether every recipient of these messages is in the state, so that nobody needs to look out for more. An error where there is
/// no such message.
async fn all_in_the_state(ports: &Ports, messages: &[MessageId]) -> Outcome<bool> {
    let mut all = !messages.is_empty();
    for id in messages {
        let states = ports.trace.deliveries.message(*id).await?;
        let packed = packed(&ports.trace, *id).await.unwrap_or_default();
        if states.is_empty() && packed.is_none() {
            return Err(not_there(&ports.trace, *id));
        }
        all &= unprepared(packed.as_ref(), &states).is_empty();
    }
    Ok(all)
}

/// What the order is for, of all that is in the state.
async fn look(ports: &Ports, entry: &OrderEntry, dry_run: bool) -> Outcome<View> {
    let (now, mut messages, mut deliveries, mut first) = (ports.trace.now, HashSet::new(), 0, Vec::new());
    let each = |state: &shared::port::DeliveryState| {
        messages.insert(state.key.message);
        deliveries += 1;
        if first.len() < LIST_ROWS {
            first.push(Row::of(state, now));
        }
        false
    };
    orders::apply(&*ports.trace.deliveries, std::slice::from_ref(entry), now, each).await?;
    let hand = entry.order.hand.as_str();
    let (order, messages) = (entry.order.id.clone(), messages.len() as u64);
    Ok(View { order, hand, dry_run, messages, deliveries, first, failed: 0, ended: Vec::new() })
}

/// A release ends the orders for mail yet to come that it covers.
async fn end_covered(ports: &Ports, entry: &OrderEntry, known: &[OrderEntry]) -> Outcome<Vec<OrderId>> {
    let mut ended = Vec::new();
    if entry.order.hand != Hand::Release {
        return Ok(ended);
    }
    let stops = |order: &&OrderEntry| {
        order.is_lasting()
            && matches!(order.order.hand, Hand::Hold { .. } | Hand::Bounce { .. })
            && entry.filter.covers(&order.filter)
    };
    for order in known.iter().filter(stops) {
        ports.directory.delete(EntryKind::Order, order.order.id.as_str()).await?;
        ended.push(order.order.id.clone());
    }
    Ok(ended)
}

fn write_text(
    view: &View,
    entry: &OrderEntry,
    now: Timestamp,
    screen: Screen,
    out: &mut dyn Write,
) -> Outcome {
    if view.dry_run && !view.first.is_empty() {
        write_rows(&view.first, now, screen, out)?;
        writeln!(out)?;
    }
    let would = if view.dry_run { "would be for" } else { "is for" };
    let deliveries = if view.deliveries == 1 {
        "1 delivery".to_owned()
    } else {
        format!("{} deliveries", view.deliveries)
    };
    writeln!(
        out,
        "{} {}: it {would} {}, {deliveries}, and what of it is in a queue only",
        view.hand,
        super::filter::in_words(&entry.filter),
        count(view.messages, "message")
    )?;
    for ended in &view.ended {
        writeln!(out, "order {ended} has ended with it")?;
    }
    if !view.dry_run {
        writeln!(out, "order {}, in force within a minute", view.order)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
