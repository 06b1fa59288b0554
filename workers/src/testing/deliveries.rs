use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use shared::job::{Delivery, DeliveryKey};
use shared::mail::{MessageId, Reply, Timestamp};
use shared::port::{
    Cancel, Claim, Deliveries, DeliveryState, Held, Next, PendingCursor, PortError, PortResult, Postponed,
    RecipientState, Record, due_shard,
};

use super::Gate;

/// How a call fails.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Fault {
    /// Did not happen.
    Refused,
    /// Happened, and the answer was lost.
    Lost,
}

struct Owned {
    holder: String,
    until: Timestamp,
    finished: bool,
}

/// The state of deliveries, by the port's contract.
pub(crate) struct FakeDeliveries {
    gate: Arc<Gate>,
    claims: Mutex<HashMap<String, Owned>>,
    pub(crate) items: Mutex<HashMap<DeliveryKey, DeliveryState>>,
    /// How the next writes fail.
    pub(crate) record_faults: Mutex<VecDeque<Fault>>,
    /// Sizes of the writes.
    pub(crate) writes: Mutex<Vec<usize>>,
    pub(crate) claim_calls: Mutex<usize>,
}

impl FakeDeliveries {
    pub(crate) fn new(gate: Arc<Gate>) -> Self {
        Self {
            gate,
            claims: Mutex::default(),
            items: Mutex::default(),
            record_faults: Mutex::default(),
            writes: Mutex::default(),
            claim_calls: Mutex::default(),
        }
    }

    pub(crate) fn state(&self, key: &DeliveryKey) -> Option<DeliveryState> {
        self.items.lock().unwrap().get(key).cloned()
    }

    fn write(&self, record: Record) {
        let Record { delivery, attempt, recipients, next, .. } = record;
        let mut items = self.items.lock().unwrap();
        let item = items.entry(delivery.key.clone()).or_insert_with(|| new_item(&delivery));
        for state in recipients {
            let known = item.recipients.iter_mut().find(|known| known.address == state.address).unwrap();
            if !known.status.is_final() {
                *known = state;
            }
        }
        let latest = item.attempts.iter().map(|attempt| attempt.number).max().unwrap_or(0);
        let number = attempt.number;
        if item.attempts.iter().all(|known| known.number != number) {
            item.attempts.push(attempt);
        }
        if number >= latest {
            item.waiting = None;
            (item.due_at, item.pending) = match next {
                Next::Settled => (None, None),
                Next::Due { at, delivery } => (Some(at), Some(delivery)),
            };
        }
    }
}

fn new_item(delivery: &Delivery) -> DeliveryState {
    let waiting = |address| RecipientState {
        address,
        status: shared::port::RecipientStatus::Deferred,
        reply: None,
        report: None,
    };
    DeliveryState {
        key: delivery.key.clone(),
        tenant: delivery.tenant.clone(),
        from: delivery.from.clone(),
        subject: delivery.subject.clone(),
        size: delivery.length,
        signed: delivery.signed.clone(),
        unsigned: delivery.unsigned.clone(),
        accepted_at: delivery.accepted_at,
        expires_at: delivery.expires_at,
        held_until: None,
        waiting: None,
        recipients: delivery.recipients.iter().map(|r| waiting(r.address.clone())).collect(),
        attempts: Vec::new(),
        due_at: None,
        pending: None,
    }
}

#[async_trait]
impl Deliveries for FakeDeliveries {
    async fn claim(&self, job: &str, holder: &str, now: Timestamp, lease: Duration) -> PortResult<Claim> {
        self.gate.cross().await;
        *self.claim_calls.lock().unwrap() += 1;
        let claim = {
            let mut claims = self.claims.lock().unwrap();
            let known = claims.get(job);
            match known {
                Some(Owned { finished: true, .. }) => Claim::Finished,
                Some(held) if held.holder != holder && held.until > now => Claim::Held { until: held.until },
                _ => {
                    let again = known.is_some();
                    let held = Owned { holder: holder.to_owned(), until: now + lease, finished: false };
                    claims.insert(job.to_owned(), held);
                    Claim::Taken { again }
                }
            }
        };
        self.gate.cross().await;
        Ok(claim)
    }

    async fn finish(&self, job: &str, holder: &str, forget_at: Timestamp) -> PortResult<()> {
        self.gate.cross().await;
        let held = Owned { holder: holder.to_owned(), until: forget_at, finished: true };
        self.claims.lock().unwrap().insert(job.to_owned(), held);
        self.gate.cross().await;
        Ok(())
    }

    async fn abandon(&self, job: &str, holder: &str) -> PortResult<()> {
        self.gate.cross().await;
        if let Some(held) = self.claims.lock().unwrap().get_mut(job)
            && held.holder == holder
            && !held.finished
        {
            held.until = Timestamp::from_millis(0);
        }
        self.gate.cross().await;
        Ok(())
    }

    async fn record(&self, records: Vec<Record>) -> PortResult<Vec<PortResult<()>>> {
        self.gate.cross().await;
        let fault = self.record_faults.lock().unwrap().pop_front();
        if let Some(Fault::Refused) = fault {
            return Err(PortError::refused("the write of outcomes", "told to fail"));
        }
        self.writes.lock().unwrap().push(records.len());
        let results = records.into_iter().map(|record| {
            self.write(record);
            Ok(())
        });
        let results = results.collect();
        if let Some(Fault::Lost) = fault {
            return Err(PortError::unknown("the write of outcomes", "told to fail"));
        }
        self.gate.cross().await;
        Ok(results)
    }

    async fn hold(&self, held: Vec<Held>) -> PortResult<Vec<PortResult<()>>> {
        self.gate.cross().await;
        let mut items = self.items.lock().unwrap();
        Ok(held
            .into_iter()
            .map(|held| {
                items.entry(held.delivery.key.clone()).or_insert_with(|| DeliveryState::hold(held));
                Ok(())
            })
            .collect())
    }

    async fn postpone(&self, postponed: Vec<Postponed>) -> PortResult<Vec<PortResult<()>>> {
        self.gate.cross().await;
        let results = {
            let mut items = self.items.lock().unwrap();
            let write = |one: Postponed| {
                match items.get_mut(&one.delivery.key) {
                    Some(item) => drop(item.put_off(one)),
                    None => drop(items.insert(one.delivery.key.clone(), DeliveryState::postpone(one))),
                }
                Ok(())
            };
            postponed.into_iter().map(write).collect()
        };
        self.gate.cross().await;
        Ok(results)
    }

    async fn cancel(&self, key: &DeliveryKey, reply: &Reply) -> PortResult<Cancel> {
        let mut items = self.items.lock().unwrap();
        Ok(items.get_mut(key).map_or(Cancel::Missing, |item| item.cancel(reply)))
    }

    async fn settled(&self, keys: &[DeliveryKey]) -> PortResult<Vec<Option<DeliveryState>>> {
        self.gate.cross().await;
        Ok(keys.iter().map(|key| self.state(key)).collect())
    }

    async fn due(
        &self,
        shard: u8,
        now: Timestamp,
        lease: Duration,
        limit: usize,
    ) -> PortResult<Vec<Delivery>> {
        self.gate.cross().await;
        let mut due = Vec::new();
        for item in self.items.lock().unwrap().values_mut() {
            let is_due = due_shard(&item.key) == shard && item.due_at.is_some_and(|at| at <= now);
            if is_due && due.len() < limit {
                item.due_at = Some(now + lease);
                due.extend(item.pending.as_deref().cloned());
            }
        }
        self.gate.cross().await;
        Ok(due)
    }

    async fn pending(&self, _: u8, _: Option<PendingCursor>, _: usize) -> PortResult<Vec<DeliveryState>> {
        Ok(Vec::new())
    }

    async fn message(&self, message: MessageId) -> PortResult<Vec<DeliveryState>> {
        let items = self.items.lock().unwrap();
        Ok(items.values().filter(|item| item.key.message == message).cloned().collect())
    }

    async fn forget(&self, _: Timestamp, _: usize) -> PortResult<usize> {
        self.gate.cross().await;
        Ok(0)
    }
}
