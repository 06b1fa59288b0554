//! What all connections share.

use std::sync::Arc;

use tokio::sync::Semaphore;

use crate::checks::Checks;
use crate::commit::Committer;
use crate::over_limit::OverLimits;
use crate::policy::Policy;
use crate::rates::Rates;
use crate::telemetry::Telemetry;
use crate::{Limits, Ports, Settings};

pub(crate) struct Edge {
    pub(crate) policy: Policy,
    pub(crate) checks: Checks,
    pub(crate) rates: Rates,
    pub(crate) over_limits: OverLimits,
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
            checks: Checks::new(
                settings.checks.clone(),
                Arc::clone(&ports.resolver),
                Arc::clone(&ports.clock),
            ),
            rates: Rates::new(&limits),
            over_limits: OverLimits::default(),
            committer: Arc::new(Committer::new(ports.clone(), limits.clone(), Arc::clone(&telemetry))),
            memory: Arc::new(Semaphore::new(usize::try_from(limits.memory_octets).unwrap_or(usize::MAX))),
            limits,
            ports,
            telemetry,
        }
    }
}
