//! `spoolway queue orders` and `revoke`: the orders that those who deliver go by.

use std::io::Write;

use serde::Serialize;
use shared::directory::{Filter, OrderEntry};
use shared::mail::Timestamp;
use shared::order::{Hand, OrderId};
use shared::port::{Directory, EntryKind};
use workers::orders::read;

use super::filter::in_words;
use crate::exit::{Exit, Failure, Outcome};
use crate::screen::{Screen, Table, moment, plain, write_json};
use crate::trace::rfc3339;

/// As JSON, one of the answer of `queue orders --json`: fields are added, never changed.
#[derive(Debug, Serialize)]
struct View<'a> {
    order: &'a OrderId,
    hand: &'static str,
    /// The end of a hold, the reason of a bounce, or a route.
    detail: Option<String>,
    #[serde(with = "rfc3339")]
    given_at: Timestamp,
    by: &'a str,
    #[serde(rename = "for")]
    filter: &'a Filter,
    /// Whether it is for mail that is yet to come, too.
    lasting: bool,
    #[serde(with = "rfc3339")]
    until: Timestamp,
}

/// What a hand says beside its name.
pub(crate) fn detail(hand: &Hand) -> Option<String> {
    match hand {
        Hand::Hold { until } => until.map(|until| format!("until {}", moment(until))),
        Hand::Bounce { reason } => Some(reason.clone()).filter(|reason| !reason.is_empty()),
        Hand::Reroute { route } => Some(format!("by {route}")),
        Hand::Retry | Hand::Release => None,
    }
}

/// Writes the orders that are in force.
pub(crate) async fn list(
    directory: &dyn Directory,
    now: Timestamp,
    json: bool,
    screen: Screen,
    out: &mut dyn Write,
) -> Outcome {
    let orders = read(directory, now).await?;
    if json {
        return write_json(out, &orders.iter().map(view).collect::<Vec<_>>());
    }
    if orders.is_empty() {
        writeln!(out, "No orders are in force.")?;
        return Ok(());
    }
    let mut table = Table::new(&["order", "given", "by", "in force until", "what", "for"], &[]);
    for order in &orders {
        let View { order: id, hand, detail, given_at, by, filter, until, .. } = view(order);
        table.row(vec![
            id.to_string(),
            moment(given_at),
            plain(by).into_owned(),
            moment(until),
            detail.map_or_else(|| hand.to_owned(), |detail| format!("{hand} {}", plain(&detail))),
            plain(&in_words(filter)).into_owned(),
        ]);
    }
    Ok(table.write(out, screen)?)
}

fn view(entry: &OrderEntry) -> View<'_> {
    View {
        order: &entry.order.id,
        hand: entry.order.hand.as_str(),
        detail: detail(&entry.order.hand),
        given_at: entry.order.at,
        by: &entry.order.by,
        filter: &entry.filter,
        lasting: entry.is_lasting(),
        until: entry.kept_until,
    }
}

/// Ends an order.
pub(crate) async fn revoke(
    directory: &dyn Directory,
    order: &str,
    json: bool,
    out: &mut dyn Write,
) -> Outcome {
    if !directory.delete(EntryKind::Order, order).await? {
        let text = format!("there is no order {order}; spoolway queue orders lists those in force");
        return Err(Failure::new(Exit::NoInput, text));
    }
    if json {
        return write_json(out, &serde_json::json!({ "order": order, "revoked": true }));
    }
    Ok(writeln!(out, "order {order} is for no mail that is yet to come")?)
}
