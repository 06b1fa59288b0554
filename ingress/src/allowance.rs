//! How much a credential may send: its rate and its quota, over all containers of the edge.
//! Tokens are taken in leases: see [`shared::lease`].

use std::sync::{Arc, Mutex, PoisonError};

use lru::LruCache;
use shared::directory::{CredentialEntry, Rate};
use shared::lease::{Meter, Store};
use shared::mail::Timestamp;
use shared::port::{Clock, Counters, Window};

use crate::limits::ALLOWANCES_MAX;
use crate::telemetry::counters_failed;

/// A credential has sent as much as it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Exceeded {
    /// When more may be sent.
    pub(crate) until: Timestamp,
    /// Its rate or its quota.
    pub(crate) which: Rate,
}

/// The rates and quotas of all credentials.
pub(crate) struct Allowance {
    store: Store,
    /// By the name of the window.
    meters: Mutex<LruCache<String, Arc<Meter>>>,
}

impl Allowance {
    pub(crate) fn new(counters: Arc<dyn Counters>, clock: Arc<dyn Clock>) -> Self {
        let store = Store::new(counters, clock, "credentials", counters_failed);
        Self { store, meters: Mutex::new(LruCache::sparse(ALLOWANCES_MAX)) }
    }

    /// Counts one message of the credential. Counters that fail stop no mail: until they are back, each container keeps the limits
    /// for itself.
    pub(crate) async fn take(&self, entry: &CredentialEntry) -> Result<(), Exceeded> {
        // the shorter window first: what it refuses must not use up the longer one
        for (which, limit) in [("rate", entry.rate), ("quota", entry.quota)] {
            let Some(rate) = limit else { continue };
            let name = format!("credential/{}/{which}", entry.name);
            let window = Window { name, limit: rate.messages, period: rate.period };
            let meter = self.meter(&window.name);
            if let Err(until) = meter.take(&self.store, &window).await {
                return Err(Exceeded { until, which: rate });
            }
        }
        Ok(())
    }

    fn meter(&self, name: &str) -> Arc<Meter> {
        let now = self.store.now();
        let mut meters = self.meters.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(meter) = meters.get(name) {
            return Arc::clone(meter);
        }
        // before one is added, those are forgotten that nobody has used for more than a window
        while meters.peek_lru().is_some_and(|(_, meter)| meter.is_over(now)) {
            meters.pop_lru();
        }
        let meter = Arc::new(Meter::default());
        meters.put(name.to_owned(), Arc::clone(&meter));
        meter
    }

    #[cfg(test)]
    fn meters(&self) -> usize {
        self.meters.lock().unwrap().len()
    }
}

#[cfg(test)]
mod tests;
