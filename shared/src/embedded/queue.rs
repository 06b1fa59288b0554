//! A queue in SQLite, with SQS's semantics.

mod dead;
mod receive;
mod store;

use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::Notify;

use super::database::Database;
use crate::limits::embedded::LOOK_EVERY;
use crate::limits::{RECEIVE_WAIT_MAX, RECEIVES, VISIBILITY};
use crate::mail::{TenantId, Timestamp};
use crate::port::{BATCH_MAX, Clock, Depth, Outgoing, PortError, PortResult, Queue, Receipt, Received};
use receive::{Found, Taken, Wanted};
use store::Turn;

const OPEN: &str = "the opening of a queue";
const SEND: &str = "the sending of jobs";
const RECEIVE: &str = "the receiving of jobs";
const ACK: &str = "the acknowledgement of a job";
const RELEASE: &str = "the release of a job";
const RECLAIM: &str = "the release of the jobs of a dead process";
const DEPTH: &str = "the count of a queue";
const PROBE: &str = "the probe of a queue";

/// What SQS keeps as attributes of a queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueueSettings {
    /// How long a received entry stays invisible.
    pub visibility: Duration,
    /// How often an entry is received before it goes to the dead-letter queue.
    pub receives_max: u32,
}

impl Default for QueueSettings {
    fn default() -> Self {
        Self { visibility: VISIBILITY, receives_max: RECEIVES }
    }
}

/// A named queue of a database.
pub struct SqliteQueue {
    shared: Arc<Shared>,
}

struct Shared {
    database: Database,
    name: Arc<str>,
    settings: QueueSettings,
    sends_in_company: bool,
    clock: Arc<dyn Clock>,
    /// Told whenever an entry may have become visible, or will sooner than a waiting receive knew.
    changed: Notify,
    /// The tenant that was served last.
    last: Arc<Mutex<String>>,
}

impl SqliteQueue {
    /// The queue `name` of `database`. Another name is another queue.
    pub fn new(
        database: &Database,
        name: &str,
        settings: QueueSettings,
        clock: Arc<dyn Clock>,
    ) -> PortResult<Self> {
        database.define_by(OPEN, store::define)?;
        let (database, name) = (database.clone(), name.into());
        let (changed, last) = (Notify::new(), Arc::default());
        let shared = Shared { database, name, settings, sends_in_company: false, clock, changed, last };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// Lets sends wait a little, under load, for others to share their commit: for a queue that no client waits for.
    #[must_use]
    pub fn sending_in_company(mut self) -> Self {
        if let Some(shared) = Arc::get_mut(&mut self.shared) {
            shared.sends_in_company = true;
        }
        self
    }

    /// Gives back at once every entry that was received and not acknowledged; tells how many. Only for the one process that holds
    /// the [`EdgeLock`](super::EdgeLock), before its first receive: whoever received them is dead.
    pub async fn reclaim(&self) -> PortResult<usize> {
        let (name, now) = (Arc::clone(&self.shared.name), self.shared.clock.now());
        let reclaim = move |db: &rusqlite::Connection| store::reclaim(db, &name, now);
        let reclaimed = self.shared.database.write(RECLAIM, reclaim).await?;
        self.shared.changed.notify_one();
        Ok(reclaimed)
    }
}

#[async_trait]
impl Queue for SqliteQueue {
    async fn send(&self, batch: Vec<Outgoing>) -> PortResult<Vec<Result<(), PortError>>> {
        if batch.len() > BATCH_MAX {
            return Err(PortError::refused(SEND, format!("at most {BATCH_MAX} jobs are sent at once")));
        }
        let answers: Vec<_> = batch.iter().map(|entry| entry.check(SEND)).collect();
        let mut good = batch;
        let mut fits = answers.iter().map(Result::is_ok);
        good.retain(|_| fits.next().unwrap_or(false));
        if !good.is_empty() {
            let (name, now) = (Arc::clone(&self.shared.name), self.shared.clock.now());
            let send = move |db: &rusqlite::Connection| store::send(db, &name, &good, now);
            let database = &self.shared.database;
            if self.shared.sends_in_company {
                database.write_in_company(SEND, send).await?;
            } else {
                database.write(SEND, send).await?;
            }
            self.shared.changed.notify_one();
        }
        Ok(answers)
    }

    async fn receive(&self, max: usize, wait: Duration) -> PortResult<Vec<Received>> {
        self.receive_but(max, wait, &[]).await
    }

    async fn receive_but(&self, max: usize, wait: Duration, but: &[TenantId]) -> PortResult<Vec<Received>> {
        let max = max.clamp(1, BATCH_MAX);
        let deadline = self.shared.clock.now() + wait.min(RECEIVE_WAIT_MAX);
        loop {
            let (received, next_at) = self.shared.take(max, but).await?;
            let now = self.shared.clock.now();
            if !received.is_empty() || now >= deadline {
                return Ok(received);
            }
            // what is left out is visible, and stays so
            let next_at = next_at.filter(|at| *at > now);
            let until = next_at.map_or(deadline, |at| at.min(deadline));
            tokio::select! {
                () = self.shared.changed.notified() => {}
                () = self.shared.clock.sleep(until.since(now).min(LOOK_EVERY)) => {}
            }
        }
    }

    async fn ack(&self, receipt: &Receipt) -> PortResult<()> {
        // not even one of ours: it names nothing, as one that is out of date does
        let Some(turn) = Turn::parse(receipt) else { return Ok(()) };
        let name = Arc::clone(&self.shared.name);
        let ack = move |db: &rusqlite::Connection| store::ack(db, &name, turn);
        self.shared.database.write_in_company(ACK, ack).await
    }

    async fn release(&self, receipt: &Receipt, after: Duration) -> PortResult<()> {
        let Some(turn) = Turn::parse(receipt) else { return Ok(()) };
        let (name, now) = (Arc::clone(&self.shared.name), self.shared.clock.now());
        let release = move |db: &rusqlite::Connection| store::release(db, &name, turn, now, after);
        self.shared.database.write_in_company(RELEASE, release).await?;
        self.shared.changed.notify_one();
        Ok(())
    }

    async fn depth(&self) -> PortResult<Depth> {
        let (name, now) = (Arc::clone(&self.shared.name), self.shared.clock.now());
        self.shared.database.read(DEPTH, move |db| store::depth(db, &name, now)).await
    }

    async fn probe(&self) -> PortResult<()> {
        let (name, now) = (Arc::clone(&self.shared.name), self.shared.clock.now());
        let probe = move |db: &rusqlite::Connection| store::probe(db, &name, now);
        self.shared.database.write(PROBE, probe).await
    }
}

impl Shared {
    /// Takes what is visible; else tells when the next entry will be.
    async fn take(
        self: &Arc<Self>,
        max: usize,
        but: &[TenantId],
    ) -> PortResult<(Vec<Received>, Option<Timestamp>)> {
        let (name, now, settings) = (Arc::clone(&self.name), self.clock.now(), self.settings);
        let (last, but) = (Arc::clone(&self.last), but.to_vec());
        let mut returned = GiveBack { queue: Arc::downgrade(self), turns: Vec::new() };
        let take = move |db: &rusqlite::Connection| {
            let mut last = last.lock().unwrap_or_else(PoisonError::into_inner);
            let wanted = Wanted { queue: &name, settings, max, but: &but, now };
            let found = receive::receive(db, &wanted, &mut last)?;
            returned.turns.extend(found.entries.iter().map(|taken| taken.turn));
            Ok((found, returned))
        };
        let (found, mut returned) = self.database.write_in_company(RECEIVE, take).await?;
        returned.turns.clear();
        let Found { entries, next_at } = found;
        if entries.len() == max {
            // there may be more, and the one that was told is busy now
            self.changed.notify_one();
        }
        let received = |Taken { turn, tenant, body }: Taken| Received {
            receipt: turn.receipt(),
            receives: turn.receives,
            tenant: Some(tenant),
            body,
        };
        Ok((entries.into_iter().map(received).collect(), next_at))
    }
}

/// Entries that were received for a caller who may have gone away while they were: they are given back when this is dropped.
struct GiveBack {
    queue: Weak<Shared>,
    turns: Vec<Turn>,
}

impl Drop for GiveBack {
    fn drop(&mut self) {
        let turns = std::mem::take(&mut self.turns);
        let (Some(queue), false) = (self.queue.upgrade(), turns.is_empty()) else { return };
        let (name, now) = (Arc::clone(&queue.name), queue.clock.now());
        queue.database.write_later(RELEASE, move |db| {
            turns.iter().try_for_each(|turn| store::release(db, &name, *turn, now, Duration::ZERO))
        });
        queue.changed.notify_one();
    }
}

#[cfg(test)]
mod tests;
