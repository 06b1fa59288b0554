use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use shared::job::{Delivery, DeliveryKey};
use shared::mail::{MessageId, Reply, Timestamp};
use shared::port::{
    Cancel, Claim, Deliveries, DeliveryState, Feedback, Held, Ordered, PendingCursor, PortError, PortResult,
    Postponed, Record, Telling, Untried, due_shard,
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

    /// Makes the item of a delivery that no attempt has been made at.
    pub(crate) async fn order_untried(&self, delivery: &Delivery) {
        let (key, now) = (delivery.key.clone(), delivery.accepted_at);
        let untried = Untried {
            delivery: delivery.clone(),
            due_at: now + Duration::from_secs(3600),
            forget_at: delivery.expires_at,
        };
        let ordered = Ordered { key, orders: Vec::new(), now, untried: Some(Box::new(untried)) };
        self.order(vec![ordered]).await.unwrap();
    }

    fn write(&self, record: Record) {
        let mut items = self.items.lock().unwrap();
        match items.get_mut(&record.delivery.key) {
            Some(item) => item.add(record),
            None => drop(items.insert(record.delivery.key.clone(), DeliveryState::begin(record))),
        }
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

    async fn note(&self, key: &DeliveryKey, feedback: Feedback) -> PortResult<bool> {
        self.gate.cross().await;
        let mut items = self.items.lock().unwrap();
        Ok(items.get_mut(key).map(|item| item.note(feedback)).is_some())
    }

    async fn tell(&self, key: &DeliveryKey, telling: Telling) -> PortResult<bool> {
        self.gate.cross().await;
        let answer = self.items.lock().unwrap().get_mut(key).is_some_and(|item| item.tell(&telling).1);
        self.gate.cross().await;
        Ok(answer)
    }

    async fn order(&self, ordered: Vec<Ordered>) -> PortResult<Vec<PortResult<Option<DeliveryState>>>> {
        self.gate.cross().await;
        let mut items = self.items.lock().unwrap();
        let answers = ordered.into_iter().map(|Ordered { key, orders, now, untried }| {
            if let Some(untried) = untried {
                items.entry(key.clone()).or_insert_with(|| DeliveryState::untried(*untried));
            }
            let state = items.get_mut(&key).map(|state| {
                for order in &orders {
                    state.obey(order, now);
                }
                state.clone()
            });
            Ok(state)
        });
        Ok(answers.collect())
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

    async fn pending(
        &self,
        shard: u8,
        after: Option<PendingCursor>,
        limit: usize,
    ) -> PortResult<Vec<DeliveryState>> {
        let place = |state: &DeliveryState| (state.due_at, state.key.clone());
        let after = after.map(|after| (Some(after.due_at), after.key));
        let items = self.items.lock().unwrap();
        let own = items.values().filter(|item| due_shard(&item.key) == shard && item.due_at.is_some());
        let behind = own.filter(|item| after.as_ref().is_none_or(|after| place(item) > *after));
        let mut page: Vec<DeliveryState> = behind.cloned().collect();
        page.sort_by_key(place);
        page.truncate(limit);
        Ok(page)
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
