//! `spoolway queue`: what waits to be delivered, by destination, and how full the queues are.

mod filter;
mod hands;
mod list;
mod orders;

use std::collections::{BTreeMap, HashSet};
use std::io::Write;
use std::sync::Arc;

use serde::Serialize;
use shared::directory::Filter;
use shared::mail::{Domain, MessageId, Timestamp};
use shared::port::{Attempt, Deliveries, DeliveryState, Depth, Queue, RecipientStatus};

pub(crate) use self::filter::filter;
pub(crate) use self::hands::{Ports as HandPorts, Wish, run as lay_hands};
pub(crate) use self::orders::{detail, list as list_orders, revoke};
use crate::exit::Outcome;
use crate::pending;
use crate::screen::{Screen, Table, Tone, count, due, moment, span, write_json};
use crate::trace::{ReplyStory, rfc3339};

/// What the command needs of an edge.
pub(crate) struct Ports {
    pub(crate) deliveries: Arc<dyn Deliveries>,
    pub(crate) inbound: Arc<dyn Queue>,
    pub(crate) outbound: Arc<dyn Queue>,
    pub(crate) now: Timestamp,
}

/// What is to be shown.
pub(crate) struct Wanted {
    pub(crate) filter: Filter,
    /// Single deliveries: how many, and from behind which place.
    pub(crate) list: Option<(usize, Option<String>)>,
    pub(crate) json: bool,
}

/// Writes what waits.
pub(crate) async fn run(ports: &Ports, wanted: &Wanted, screen: Screen, out: &mut dyn Write) -> Outcome {
    let Wanted { filter, list, json } = wanted;
    if let Some((limit, after)) = list {
        let how = (ports.now, *json, screen);
        return list::run(&*ports.deliveries, filter, (*limit, after.as_deref()), how, out).await;
    }
    let (destinations, held) = destinations(ports.deliveries.as_ref(), filter, ports.now).await?;
    let view = View {
        destinations,
        held,
        queues: Queues {
            inbound: DepthView::from(ports.inbound.depth().await?),
            outbound: DepthView::from(ports.outbound.depth().await?),
        },
    };
    if *json { write_json(out, &view) } else { write_text(&view, ports.now, screen, out) }
}

/// As JSON, the answer of `queue --json`: fields are added, never changed.
#[derive(Debug, Serialize)]
struct View {
    /// Destinations with deferred mail, those with the most recipients first.
    destinations: Vec<Destination>,
    /// Destinations with held mail, the next release first.
    held: Vec<HeldDestination>,
    queues: Queues,
}

#[derive(Debug, Serialize)]
struct Queues {
    inbound: DepthView,
    outbound: DepthView,
}

#[derive(Debug, Serialize)]
struct Destination {
    domain: Domain,
    messages: u64,
    recipients: u64,
    #[serde(with = "rfc3339")]
    oldest: Timestamp,
    #[serde(with = "rfc3339::option")]
    next_attempt_by: Option<Timestamp>,
    last_reply: Option<ReplyStory>,
    /// What most of it that was put off waits for; `null` where nothing was.
    waiting: Option<String>,
    /// How much of it was put off.
    waiting_messages: u64,
    #[serde(skip)]
    last_line: String,
}

#[derive(Debug, Serialize)]
struct HeldDestination {
    domain: Domain,
    messages: u64,
    recipients: u64,
    #[serde(with = "rfc3339")]
    next_release: Timestamp,
}

#[derive(Debug, Serialize)]
struct DepthView {
    ready: u64,
    in_flight: u64,
    delayed: u64,
    dead: u64,
    #[serde(with = "rfc3339::option")]
    oldest: Option<Timestamp>,
}

impl From<Depth> for DepthView {
    fn from(Depth { ready, in_flight, delayed, dead, oldest }: Depth) -> Self {
        Self { ready, in_flight, delayed, dead, oldest }
    }
}

/// What is known of a destination so far.
struct Tally {
    messages: HashSet<MessageId>,
    recipients: u64,
    oldest: Timestamp,
    due_at: Option<Timestamp>,
    last: Option<Attempt>,
    /// What was put off, by what it waits for.
    waiting: BTreeMap<String, u64>,
}

/// Destinations with deferred mail, and those with held mail.
async fn destinations(
    deliveries: &dyn Deliveries,
    filter: &Filter,
    now: Timestamp,
) -> Outcome<(Vec<Destination>, Vec<HeldDestination>)> {
    let (mut deferred, mut held) = (BTreeMap::new(), BTreeMap::new());
    pending::each(deliveries, |state| {
        if filter.matches(&state, now) {
            let held_by_any = state.is_held() || state.is_held_by_order(now);
            add(if held_by_any { &mut held } else { &mut deferred }, state);
        }
    })
    .await?;
    let mut deferred: Vec<Destination> = deferred.into_iter().map(Destination::from).collect();
    deferred.sort_by_key(|destination| std::cmp::Reverse(destination.recipients));
    let mut held: Vec<HeldDestination> = held.into_iter().map(HeldDestination::from).collect();
    held.sort_by_key(|destination| destination.next_release);
    Ok((deferred, held))
}

fn add(tallies: &mut BTreeMap<Domain, Tally>, state: DeliveryState) {
    let accepted_at = state.accepted_at;
    let tally = tallies.entry(state.key.domain).or_insert_with(|| Tally {
        messages: HashSet::new(),
        recipients: 0,
        oldest: accepted_at,
        due_at: None,
        last: None,
        waiting: BTreeMap::new(),
    });
    tally.messages.insert(state.key.message);
    let deferred = state.recipients.iter().filter(|recipient| recipient.status == RecipientStatus::Deferred);
    tally.recipients += deferred.count() as u64;
    tally.oldest = tally.oldest.min(accepted_at);
    tally.due_at = [tally.due_at, state.due_at].into_iter().flatten().min();
    if let Some(waiting) = state.waiting {
        *tally.waiting.entry(waiting.text).or_default() += 1;
    }
    let last = state.attempts.into_iter().next_back();
    tally.last = tally.last.take().into_iter().chain(last).max_by_key(|attempt| attempt.ended_at);
}

impl From<(Domain, Tally)> for Destination {
    fn from((domain, tally): (Domain, Tally)) -> Self {
        let reply = tally.last.map(|attempt| attempt.reply);
        let most = tally.waiting.iter().max_by_key(|(_, count)| **count);
        Self {
            domain,
            messages: tally.messages.len() as u64,
            recipients: tally.recipients,
            oldest: tally.oldest,
            next_attempt_by: tally.due_at,
            last_line: reply.as_ref().map(crate::screen::reply_line).unwrap_or_default(),
            last_reply: reply.as_ref().map(ReplyStory::from),
            waiting: most.map(|(text, _)| text.clone()),
            waiting_messages: tally.waiting.values().sum(),
        }
    }
}

impl Destination {
    /// Why its mail waits, on one line: what was put off, or else the last reply.
    fn why(&self) -> String {
        let text = self.waiting.as_deref().map(|text| crate::screen::plain(text).into_owned());
        text.unwrap_or_else(|| self.last_line.clone())
    }
}

impl From<(Domain, Tally)> for HeldDestination {
    fn from((domain, tally): (Domain, Tally)) -> Self {
        Self {
            domain,
            messages: tally.messages.len() as u64,
            recipients: tally.recipients,
            // what is held is due
            next_release: tally.due_at.unwrap_or(tally.oldest),
        }
    }
}

fn write_text(view: &View, now: Timestamp, screen: Screen, out: &mut dyn Write) -> Outcome {
    if view.destinations.is_empty() {
        writeln!(out, "No mail is deferred.")?;
    } else {
        let mut table =
            Table::new(&["destination", "messages", "recipients", "oldest", "next try", "why"], &[1, 2]);
        for row in &view.destinations {
            table.row(vec![
                row.domain.to_string(),
                row.messages.to_string(),
                row.recipients.to_string(),
                span(now.since(row.oldest)),
                row.next_attempt_by.map_or_else(|| "-".to_owned(), |at| due(at, now)),
                row.why(),
            ]);
        }
        table.write(out, screen)?;
    }
    if !view.held.is_empty() {
        writeln!(out)?;
        let mut table = Table::new(&["held for", "messages", "recipients", "next release"], &[1, 2]);
        for row in &view.held {
            let numbers = [row.messages, row.recipients].map(|n| n.to_string());
            let cells = [row.domain.to_string()].into_iter().chain(numbers).chain([moment(row.next_release)]);
            table.row(cells.collect());
        }
        table.write(out, screen)?;
    }
    writeln!(out)?;
    let mut table = Table::new(&["queue", "ready", "in flight", "delayed", "dead", "oldest"], &[1, 2, 3, 4]);
    for (name, depth) in [("inbound", &view.queues.inbound), ("outbound", &view.queues.outbound)] {
        let mut cells = vec![name.to_owned()];
        cells.extend([depth.ready, depth.in_flight, depth.delayed, depth.dead].map(|n| n.to_string()));
        cells.push(depth.oldest.map_or_else(|| "-".to_owned(), |at| span(now.since(at))));
        table.row(cells);
    }
    table.write(out, screen)?;
    let dead = view.queues.inbound.dead + view.queues.outbound.dead;
    if dead > 0 {
        let text = format!(
            "\n{} could not be worked off and will not be tried again; the log says why",
            count(dead, "job")
        );
        writeln!(out, "{}", screen.tint(Tone::Bad, &text))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
