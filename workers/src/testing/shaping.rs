use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use shared::mail::Timestamp;
use shared::port::{Counters, Mark, PortResult, Taken, Window};

use super::Gate;

/// Counters by the port's contract, in which a worker can be stopped.
pub(crate) struct FakeCounters {
    gate: Arc<Gate>,
    taken: Mutex<std::collections::HashMap<(String, i64), u64>>,
    marks: Mutex<std::collections::HashMap<String, Mark>>,
}

impl FakeCounters {
    pub(crate) fn new(gate: Arc<Gate>) -> Self {
        Self { gate, taken: Mutex::default(), marks: Mutex::default() }
    }
}

#[async_trait]
impl Counters for FakeCounters {
    async fn take(&self, window: &Window, n: u64, now: Timestamp) -> PortResult<Taken> {
        self.gate.cross().await;
        let period = i64::try_from(window.period.as_millis()).unwrap();
        let began_at = now.millis() - now.millis().rem_euclid(period);
        let mut taken = self.taken.lock().unwrap();
        let count = taken.entry((window.name.clone(), began_at)).or_default();
        if *count + n > window.limit {
            return Ok(Taken::Exhausted { until: Timestamp::from_millis(began_at + period) });
        }
        *count += n;
        Ok(Taken::Granted { left: window.limit - *count })
    }

    async fn mark(&self, mark: &Mark) -> PortResult<()> {
        self.gate.cross().await;
        self.marks.lock().unwrap().insert(mark.name.clone(), mark.clone());
        Ok(())
    }

    async fn marked(&self, name: &str, now: Timestamp) -> PortResult<Option<Mark>> {
        self.gate.cross().await;
        Ok(self.marks.lock().unwrap().get(name).filter(|mark| mark.until > now).cloned())
    }
}
