//! What all connections share.

use std::sync::Arc;

use tokio::sync::Semaphore;

use crate::commit::Committer;
use crate::policy::Policy;
use crate::telemetry::Telemetry;
use crate::{Limits, Ports, Settings};

pub(crate) struct Edge {
    pub(crate) policy: Policy,
    pub(crate) limits: Limits,
    pub(crate) ports: Ports,
    pub(crate) committer: Arc<Committer>,
    /// One permit is one octet of content in memory.
    pub(crate) memory: Arc<Semaphore>,
    pub(crate) telemetry: Arc<Telemetry>,
}

impl Edge {
    pub(crate) fn new(settings: &Settings, ports: Ports) -> Self {
        let limits = settings.limits.clone();
        let telemetry = Arc::new(Telemetry::new());
        Self {
            policy: Policy::new(settings),
            committer: Arc::new(Committer::new(ports.clone(), limits.clone(), Arc::clone(&telemetry))),
            memory: Arc::new(Semaphore::new(usize::try_from(limits.memory_octets).unwrap_or(usize::MAX))),
            limits,
            ports,
            telemetry,
        }
    }
}
