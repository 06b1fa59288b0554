use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde::Serialize;
use tokio::sync::Mutex;

use crate::limits::telemetry::{HEALTH_AGE, PROBE_TIME};
use crate::mail::Timestamp;
use crate::port::{Clock, PortResult, Queue, Spool};

type Probe = Box<dyn Fn() -> Pin<Box<dyn Future<Output = PortResult<()>> + Send>> + Send + Sync>;

/// Whether this process can do its work: whether what it must write to can be written.
///
/// A report is kept for some seconds and made once for all who ask meanwhile.
pub struct Health {
    clock: Arc<dyn Clock>,
    probes: Vec<(&'static str, Probe)>,
    latest: Mutex<Option<(Timestamp, HealthReport)>>,
    draining: AtomicBool,
}

/// What the probes found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct HealthReport {
    /// Whether every part is well, and the process is not about to end.
    pub healthy: bool,
    /// Whether the process finishes what it has and takes nothing new.
    pub draining: bool,
    /// Each part.
    pub parts: BTreeMap<&'static str, PartHealth>,
}

/// How a part is. Why it is not well is in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum PartHealth {
    /// It can be written.
    Healthy,
    /// It cannot.
    Failing,
    /// It did not answer in time.
    Silent,
}

impl Health {
    /// Health of nothing so far.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, probes: Vec::new(), latest: Mutex::new(None), draining: AtomicBool::new(false) }
    }

    /// Adds a spool that must be writable.
    #[must_use]
    pub fn with_spool(mut self, name: &'static str, spool: Arc<dyn Spool>) -> Self {
        let probe = move || -> Pin<Box<dyn Future<Output = PortResult<()>> + Send>> {
            let spool = Arc::clone(&spool);
            Box::pin(async move { spool.probe().await })
        };
        self.probes.push((name, Box::new(probe)));
        self
    }

    /// Adds a queue that must be writable.
    #[must_use]
    pub fn with_queue(mut self, name: &'static str, queue: Arc<dyn Queue>) -> Self {
        let probe = move || -> Pin<Box<dyn Future<Output = PortResult<()>> + Send>> {
            let queue = Arc::clone(&queue);
            Box::pin(async move { queue.probe().await })
        };
        self.probes.push((name, Box::new(probe)));
        self
    }

    /// From now on the process is unhealthy, so that nobody sends it anything new.
    pub fn drain(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }

    /// How things are, or were a moment ago.
    pub async fn report(&self) -> HealthReport {
        let mut report = self.probed().await;
        report.draining = self.draining.load(Ordering::Relaxed);
        report.healthy &= !report.draining;
        report
    }

    async fn probed(&self) -> HealthReport {
        let mut latest = self.latest.lock().await;
        if let Some((at, report)) = &*latest
            && self.clock.now().since(*at) < HEALTH_AGE
        {
            return report.clone();
        }
        let probes = self.probes.iter().map(async |(name, probe)| (*name, self.probe(name, probe).await));
        let parts: BTreeMap<_, _> = futures::future::join_all(probes).await.into_iter().collect();
        let healthy = parts.values().all(|part| *part == PartHealth::Healthy);
        let report = HealthReport { healthy, draining: false, parts };
        *latest = Some((self.clock.now(), report.clone()));
        report
    }

    async fn probe(&self, name: &str, probe: &Probe) -> PartHealth {
        match self.clock.timeout(PROBE_TIME, probe()).await {
            Some(Ok(())) => PartHealth::Healthy,
            Some(Err(error)) => {
                tracing::warn!(part = name, error = error.chain(), "unhealthy: it cannot be written");
                PartHealth::Failing
            }
            None => {
                tracing::warn!(part = name, "unhealthy: the probe takes too long");
                PartHealth::Silent
            }
        }
    }
}
