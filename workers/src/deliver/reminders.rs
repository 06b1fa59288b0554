//! Reminders that a sender is to be told something: what finds again what is to be told, when its time has come or whoever was about
//! to tell it is gone.
//!
//! A reminder is there before what it reminds of, and goes away after it is told.

use std::sync::Arc;
use std::time::Duration;

use futures::stream::{self, StreamExt as _};
use shared::job::{DeliverJob, Delivery, Tell};
use shared::mail::{MessageId, TenantId, Timestamp};
use shared::port::{Clock, Count, PortError, PortResult, Queue, Tallies};

use super::batch::send_jobs;
use crate::limits::{
    AGAIN_PAUSE_MAX, GATHERED_FOR, REMINDER_BOOKS, REMINDER_LEASE, REMINDERS_A_JOB, REMINDERS_PAGE,
    REMINDERS_PAGES_MAX, RETAIN,
};

/// The reminders of an edge. They stand in several books, as one could not take as many.
#[derive(Clone)]
pub struct Reminders {
    books: Arc<dyn Tallies>,
    clock: Arc<dyn Clock>,
}

/// One of them. As text, in the order of the time that it is due: `<due> <message> <destination> <ended>`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Reminder {
    due_at: Timestamp,
    pub(super) message: MessageId,
    /// The delivery below its message.
    pub(super) destination: String,
    /// When the attempt ended that leaves something to be told.
    pub(super) ended_at: Timestamp,
}

impl Reminder {
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut words = text.split(' ');
        let mut word = || words.next();
        let due_at = time(word()?)?;
        let message = word()?.parse().ok()?;
        let destination = word()?.to_owned();
        let ended_at = time(word()?)?;
        Some(Self { due_at, message, destination, ended_at })
    }

    fn text(&self) -> String {
        let Self { due_at, message, destination, ended_at } = self;
        format!("{:015} {message} {destination} {}", due_at.millis(), ended_at.millis())
    }
}

fn time(text: &str) -> Option<Timestamp> {
    text.parse().ok().map(Timestamp::from_millis)
}

/// A reminder that is due, as it stands in its book.
struct Due {
    reminder: Reminder,
    tenant: TenantId,
    text: String,
}

impl Reminders {
    /// Reminders in `books`, which are where the state of deliveries is.
    pub fn new(books: Arc<dyn Tallies>, clock: Arc<dyn Clock>) -> Self {
        Self { books, clock }
    }

    /// Adds the reminder that an attempt at `delivery`, which ended at `ended_at`, leaves something to be told.
    pub(super) async fn add(&self, delivery: &Delivery, ended_at: Timestamp) -> PortResult<()> {
        let Delivery { key, tenant, .. } = delivery;
        let (message, due_at) = (key.message, self.clock.now() + GATHERED_FOR);
        let reminder = Reminder { due_at, message, destination: key.destination(), ended_at };
        self.write(&book(message), &[(reminder.text(), tenant.clone())]).await
    }

    /// Takes reminders of `message` away.
    pub(super) async fn clear(&self, message: MessageId, reminders: &[String]) -> PortResult<()> {
        if reminders.is_empty() { Ok(()) } else { self.books.clear(&book(message), reminders).await }
    }

    /// Sends the jobs of all that is due to `outbound`, one a message; it is due again after a while. Tells what failed.
    pub(crate) async fn send_due(&self, outbound: &dyn Queue) -> Vec<PortError> {
        let books = (0..REMINDER_BOOKS).map(|number| self.send_book(outbound, number));
        let books: Vec<_> = books.collect();
        let failed = stream::iter(books).buffer_unordered(usize::from(REMINDER_BOOKS));
        failed.collect::<Vec<_>>().await.into_iter().flatten().collect()
    }

    async fn send_book(&self, outbound: &dyn Queue, number: u8) -> Vec<PortError> {
        let (book, mut after) = (name(number), None::<String>);
        for _ in 0..REMINDERS_PAGES_MAX {
            let now = self.clock.now();
            let page = match self.books.read(&book, after.as_deref(), REMINDERS_PAGE).await {
                Ok(page) => page,
                Err(cause) => return vec![cause],
            };
            let read = page.len();
            after = page.last().map(|last| last.key.clone());
            // one that cannot be read is of a later version, which knows what it is for
            let known = page.into_iter().filter_map(|Count { key: text, detail, .. }| {
                Some(Due { reminder: Reminder::parse(&text)?, tenant: TenantId(detail), text })
            });
            let mut due: Vec<Due> = known.filter(|due| due.reminder.due_at <= now).collect();
            let more = read >= REMINDERS_PAGE && !due.is_empty();
            due.sort_by_key(|due| due.reminder.message);
            let failed = self.send(outbound, &book, &due, now).await;
            if !failed.is_empty() || !more {
                return failed;
            }
        }
        Vec::new()
    }

    /// Sends the jobs of `due`, which is in the order of the messages. A reminder is in its book at any time, before or behind its lease.
    async fn send(&self, outbound: &dyn Queue, book: &str, due: &[Due], now: Timestamp) -> Vec<PortError> {
        let mut jobs = Vec::new();
        let mut leased = Vec::with_capacity(due.len());
        for of_message in due.chunk_by(|one, other| one.reminder.message == other.reminder.message) {
            for some in of_message.chunks(REMINDERS_A_JOB) {
                let reminders: Vec<String> = some.iter().map(|due| due.leased(now)).collect();
                let tenants = some.iter().map(|due| due.tenant.clone());
                leased.extend(reminders.iter().cloned().zip(tenants));
                let (message, tenant) = (some[0].reminder.message, some[0].tenant.clone());
                let job = DeliverJob::tell(Tell { message, tenant, reminders }, now);
                jobs.push((job, Duration::ZERO));
            }
        }
        if jobs.is_empty() {
            return Vec::new();
        }
        if let Err(cause) = self.write(book, &leased).await {
            return vec![cause];
        }
        let (_, mut failed) = send_jobs(outbound, jobs).await;
        let before: Vec<String> = due.iter().map(|due| due.text.clone()).collect();
        failed.extend(self.books.clear(book, &before).await.err());
        failed
    }

    async fn write(&self, book: &str, reminders: &[(String, TenantId)]) -> PortResult<()> {
        let count = |(key, TenantId(tenant)): &(String, TenantId)| Count {
            key: key.clone(),
            detail: tenant.clone(),
            n: 1,
        };
        let counts: Vec<Count> = reminders.iter().map(count).collect();
        self.books.add(book, &counts, self.clock.now(), RETAIN).await
    }
}

impl Due {
    /// The reminder behind its lease.
    fn leased(&self, now: Timestamp) -> String {
        // in a queue that is far behind, an old one has jobs already
        let lease = (now.since(self.reminder.ended_at) / 2).clamp(REMINDER_LEASE, AGAIN_PAUSE_MAX);
        // whoever leases it again before it was taken away behind that writes the same
        let step = i64::try_from(REMINDER_LEASE.as_millis()).unwrap_or(i64::MAX);
        let due_at = Timestamp::from_millis(((now + lease).millis() / step + 1) * step);
        Reminder { due_at, ..self.reminder.clone() }.text()
    }
}

/// The book of a message.
fn book(message: MessageId) -> String {
    let hash = crc32c::crc32c(message.to_string().as_bytes());
    name(u8::try_from(hash % u32::from(REMINDER_BOOKS)).unwrap_or(0))
}

fn name(number: u8) -> String {
    format!("dsn {number}")
}
