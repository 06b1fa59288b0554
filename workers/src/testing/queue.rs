use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use shared::mail::{TenantId, Timestamp};
use shared::port::{Clock, Depth, Outgoing, PortError, PortResult, Queue, Receipt, Received};
use tokio::sync::Notify;

use super::Gate;

/// A queue that shows what was done to it. Receipts are numbers; visibility is not modelled but for delays.
pub(crate) struct FakeQueue {
    gate: Arc<Gate>,
    clock: Arc<dyn Clock>,
    entries: Mutex<VecDeque<(Timestamp, Outgoing)>>,
    arrived: Notify,
    received: Mutex<u64>,
    pub(crate) acks: Mutex<Vec<String>>,
    pub(crate) releases: Mutex<Vec<(String, Duration)>>,
    /// Calls that fail before the next one works.
    pub(crate) send_failures: Mutex<u32>,
    pub(crate) receive_failures: Mutex<u32>,
    pub(crate) receive_maxima: Mutex<Vec<usize>>,
}

impl FakeQueue {
    pub(crate) fn new(gate: Arc<Gate>, clock: Arc<dyn Clock>) -> Self {
        Self {
            gate,
            clock,
            entries: Mutex::default(),
            arrived: Notify::new(),
            received: Mutex::default(),
            acks: Mutex::default(),
            releases: Mutex::default(),
            send_failures: Mutex::default(),
            receive_failures: Mutex::default(),
            receive_maxima: Mutex::default(),
        }
    }

    pub(crate) fn push(&self, body: &str) {
        self.push_of(TenantId::default(), body);
    }

    /// A job of somebody, who is named when it is received.
    pub(crate) fn push_of(&self, tenant: TenantId, body: &str) {
        let outgoing = Outgoing { body: body.to_owned(), delay: Duration::ZERO, tenant, priority: 0 };
        self.entries.lock().unwrap().push_back((self.clock.now(), outgoing));
        self.arrived.notify_one();
    }

    /// Takes out everything, with its delay, visible or not.
    pub(crate) fn take_all(&self) -> Vec<Outgoing> {
        self.entries.lock().unwrap().drain(..).map(|(_, outgoing)| outgoing).collect()
    }

    /// Takes out one visible body.
    pub(crate) fn take(&self) -> Option<String> {
        self.take_but(&[]).map(|outgoing| outgoing.body)
    }

    fn take_but(&self, but: &[TenantId]) -> Option<Outgoing> {
        let now = self.clock.now();
        let mut entries = self.entries.lock().unwrap();
        let at = entries.iter().position(|(at, one)| *at <= now && !but.contains(&one.tenant))?;
        entries.remove(at).map(|(_, outgoing)| outgoing)
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.lock().unwrap().len()
    }

    fn fails(failures: &Mutex<u32>) -> bool {
        let mut failures = failures.lock().unwrap();
        let fails = *failures > 0;
        *failures = failures.saturating_sub(1);
        fails
    }
}

#[async_trait]
impl Queue for FakeQueue {
    async fn send(&self, batch: Vec<Outgoing>) -> PortResult<Vec<Result<(), PortError>>> {
        assert!(batch.len() <= shared::port::BATCH_MAX && !batch.is_empty());
        self.gate.cross().await;
        if Self::fails(&self.send_failures) {
            return Err(PortError::refused("the send", "told to fail"));
        }
        let results = batch.iter().map(|_| Ok(())).collect();
        for outgoing in batch {
            assert!(outgoing.delay <= shared::port::DELAY_MAX);
            let at = self.clock.now() + outgoing.delay;
            self.entries.lock().unwrap().push_back((at, outgoing));
        }
        self.gate.cross().await;
        Ok(results)
    }

    async fn receive(&self, max: usize, wait: Duration) -> PortResult<Vec<Received>> {
        self.receive_but(max, wait, &[]).await
    }

    async fn receive_but(&self, max: usize, wait: Duration, but: &[TenantId]) -> PortResult<Vec<Received>> {
        self.receive_maxima.lock().unwrap().push(max);
        if Self::fails(&self.receive_failures) {
            return Err(PortError::refused("the receive", "told to fail"));
        }
        loop {
            let taken: Vec<Outgoing> = std::iter::from_fn(|| self.take_but(but)).take(max).collect();
            if !taken.is_empty() || wait.is_zero() {
                let mut count = self.received.lock().unwrap();
                let receive = |Outgoing { body, tenant, .. }| {
                    *count += 1;
                    let tenant = Some(tenant).filter(|tenant| *tenant != TenantId::default());
                    Received { body, receipt: Receipt(count.to_string()), receives: 1, tenant }
                };
                return Ok(taken.into_iter().map(receive).collect());
            }
            self.arrived.notified().await;
        }
    }

    async fn ack(&self, receipt: &Receipt) -> PortResult<()> {
        if Self::fails(&self.send_failures) {
            return Err(PortError::refused("the ack", "told to fail"));
        }
        self.acks.lock().unwrap().push(receipt.0.clone());
        Ok(())
    }

    async fn release(&self, receipt: &Receipt, after: Duration) -> PortResult<()> {
        self.releases.lock().unwrap().push((receipt.0.clone(), after));
        Ok(())
    }

    async fn depth(&self) -> PortResult<Depth> {
        Ok(Depth::default())
    }

    async fn probe(&self) -> PortResult<()> {
        Ok(())
    }
}
