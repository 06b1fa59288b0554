//! Group commit: messages that end while a commit is in flight share the next one.
//!
//! A commit is `Spool::put`, then `Queue::send`, then the answers. Killed before the send has happened: the pack lies in
//! the spool without a job, nothing was promised, and the pack goes by its age. Killed after it: the message is delivered though
//! its client never heard so, and sends it again, as SMTP has it (RFC 5321 §4.2.5, §4.5.4.1).

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use shared::job::{Job, PrepareJob};
use shared::mail::{ContentFacts, MessageId, PackId, TenantId};
use shared::pack::{self, NewMessage};
use shared::port::{Outgoing, PortError, PortResult};
use tokio::sync::{OwnedSemaphorePermit, oneshot};
use tracing::{debug, warn};

use crate::smtp::Setback;
use crate::telemetry::Telemetry;
use crate::{Limits, Ports};

/// Commits messages, as many at a time as wait.
pub(crate) struct Committer {
    ports: Ports,
    limits: Limits,
    telemetry: Arc<Telemetry>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Entry>,
    /// What is held (RFC 4865) waits apart: it goes in packs of its own, which are kept for longer.
    waiting_held: VecDeque<Entry>,
    /// Whose turn it is where both wait.
    held_is_next: bool,
    in_flight: usize,
}

/// A message that waits for its commit.
struct Entry {
    message: NewMessage,
    content: ContentFacts,
    bytes: Bytes,
    /// Given back when the commit has been answered.
    memory: Option<OwnedSemaphorePermit>,
    answer: oneshot::Sender<Result<MessageId, Setback>>,
}

impl Committer {
    pub(crate) fn new(ports: Ports, limits: Limits, telemetry: Arc<Telemetry>) -> Self {
        Self { ports, limits, telemetry, state: Mutex::default() }
    }

    /// Makes a message durable and its job too; `Ok` only when both are.
    pub(crate) async fn commit(
        self: &Arc<Self>,
        message: NewMessage,
        content: ContentFacts,
        bytes: Bytes,
        memory: Option<OwnedSemaphorePermit>,
    ) -> Result<MessageId, Setback> {
        let (answer, answered) = oneshot::channel();
        {
            let mut state = self.state();
            let held = message.held_until().is_some();
            let waiting = if held { &mut state.waiting_held } else { &mut state.waiting };
            waiting.push_back(Entry { message, content, bytes, memory, answer });
            if state.in_flight < self.limits.commits_in_flight.max(1) {
                state.in_flight += 1;
                // what else ends before this task runs is in the same pack
                tokio::spawn(Slot { committer: Arc::clone(self), held: true }.run());
            }
        }
        // the sender is dropped unused only where the commit did not come to its end
        answered.await.unwrap_or(Err(Setback::NotDurable))
    }

    /// Sends the job of a pack that is durable, as the last thing before 250. `priority` is that of its most urgent message, and `tenant`
    /// whose turn it is in the queue.
    pub(crate) async fn send_job(&self, pack: PackId, priority: i8, tenant: TenantId) -> PortResult<()> {
        let body = PrepareJob { pack }.encode();
        let job = Outgoing { body, delay: Duration::ZERO, tenant, priority };
        let mut sent = self.ports.inbound.send(vec![job]).await?;
        sent.pop().unwrap_or_else(|| {
            Err(PortError::unknown("the send of a job", "the queue did not answer for it"))
        })
    }

    /// Up to a pack of what waits, all of it held or none. Where nothing waits, the slot is given back.
    fn take(&self) -> Option<Vec<Entry>> {
        let mut state = self.state();
        let state = &mut *state;
        let held = !state.waiting_held.is_empty() && (state.held_is_next || state.waiting.is_empty());
        state.held_is_next = !held;
        let waiting = if held { &mut state.waiting_held } else { &mut state.waiting };
        let (mut octets, mut header_octets) = (0, 0);
        let fits = |entry: &&Entry| {
            octets += entry.bytes.len();
            header_octets += entry.message.header_octets();
            octets <= self.limits.pack_octets && header_octets <= self.limits.pack_header_octets
        };
        let fitting = waiting.iter().take(self.limits.pack_messages.max(1)).take_while(fits).count();
        let count = fitting.max(1).min(waiting.len());
        if count == 0 {
            state.in_flight -= 1;
            return None;
        }
        Some(waiting.drain(..count).collect())
    }

    async fn commit_batch(&self, batch: Vec<Entry>) {
        let began = self.ports.clock.now();
        let released_at = batch.iter().filter_map(|entry| entry.message.held_until()).max();
        let id = self.ports.ids.pack(began);
        let id = released_at.map_or(id, |until| id.held(until));
        let priority = batch.iter().map(|entry| entry.message.envelope.options.priority).max().unwrap_or(0);
        let tenant = least_of(&batch);
        let mut messages = Vec::with_capacity(batch.len());
        let mut answers = Vec::with_capacity(batch.len());
        for Entry { message, content, bytes, memory, answer } in batch {
            messages.push((message, content, bytes));
            answers.push((memory, answer));
        }
        let parts = pack::encode(id, began, messages);
        let durable = async {
            self.ports.spool.put(id, parts).await?;
            self.send_job(id, priority, tenant).await
        };
        let outcome = self.ports.clock.timeout(self.limits.commit_timeout, durable).await;
        let took = self.ports.clock.now().since(began);
        let ok = is_durable(id, outcome);
        self.telemetry.commit(answers.len(), took, ok);
        debug!(pack_id = %id, messages = answers.len(), ok, "commit ended");
        for (n, (memory, answer)) in (0..).zip(answers) {
            drop(memory);
            // a session that is gone does not care any more
            let _ = answer.send(if ok { Ok(MessageId { pack: id, n }) } else { Err(Setback::NotDurable) });
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether a commit, which came to `outcome` or to none in its time, may be answered with 250; logs why not.
pub(crate) fn is_durable(pack: PackId, outcome: Option<PortResult<()>>) -> bool {
    match outcome {
        Some(Ok(())) => true,
        Some(Err(error)) => {
            warn!(pack_id = %pack, error = error.chain(), "commit failed; its messages were answered with 451");
            false
        }
        None => {
            warn!(pack_id = %pack, "commit took too long; its messages were answered with 451");
            false
        }
    }
}

/// The right to have a commit in flight.
struct Slot {
    committer: Arc<Committer>,
    held: bool,
}

impl Slot {
    async fn run(mut self) {
        while let Some(batch) = self.committer.take() {
            self.committer.commit_batch(batch).await;
        }
        self.held = false;
    }
}

/// A commit that did not come to its end must not leave others waiting for ever.
impl Drop for Slot {
    fn drop(&mut self) {
        if self.held {
            let mut state = self.committer.state();
            state.in_flight -= 1;
            state.waiting.clear();
            state.waiting_held.clear();
        }
    }
}

/// The tenant with the fewest messages in `batch`: who sends a lot must not make those wait who share a pack with it.
fn least_of(batch: &[Entry]) -> TenantId {
    let tenants = || batch.iter().map(|entry| &entry.message.tenant);
    let least = tenants().min_by_key(|tenant| tenants().filter(|other| other == tenant).count());
    least.cloned().unwrap_or_default()
}

#[cfg(test)]
mod tests;
