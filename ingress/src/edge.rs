//! What all connections share.

use std::sync::Arc;

use tokio::sync::Semaphore;

use crate::allowance::Allowance;
use crate::auth::Authenticator;
use crate::checks::Checks;
use crate::commit::Committer;
use crate::over_limit::OverLimits;
use crate::policy::Policy;
use crate::rates::Rates;
use crate::recipients::Recipients;
use crate::telemetry::Telemetry;
use crate::{Limits, Ports, Settings};

pub(crate) struct Edge {
    pub(crate) policy: Policy,
    pub(crate) auth: Arc<Authenticator>,
    pub(crate) allowance: Allowance,
    pub(crate) recipients: Recipients,
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
            auth: Arc::new(Authenticator::new(settings, &ports)),
            allowance: Allowance::new(Arc::clone(&ports.counters), Arc::clone(&ports.clock)),
            recipients: Recipients::new(settings, Arc::clone(&ports.directory), Arc::clone(&ports.clock)),
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
