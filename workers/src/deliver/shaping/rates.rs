//! So many in each period, over all workers: tokens of the counters, taken in leases.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use lru::LruCache;
use shared::lease::{Meter, Store};
use shared::mail::Timestamp;
use shared::port::{Clock, Counters, Window};

use crate::limits::shaping::SITES_MAX;

/// The windows that this process takes tokens of.
pub(super) struct Rates {
    store: Store,
    meters: Mutex<LruCache<String, Arc<Meter>>>,
}

/// What was taken of several windows.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Granted {
    /// So many of what was asked for.
    pub(super) count: u64,
    /// The window that had no more, by its place, and when the next one begins.
    pub(super) short: Option<Short>,
}

/// A window that is used up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Short {
    pub(super) at: usize,
    pub(super) until: Timestamp,
    /// How long each further one takes.
    pub(super) interval: Duration,
}

impl Rates {
    pub(super) fn new(counters: Arc<dyn Counters>, clock: Arc<dyn Clock>) -> Self {
        let failed = || metrics::counter!("spoolway_deliver_counters_failed_total").increment(1);
        let store = Store::new(counters, clock, "destinations", failed);
        Self { store, meters: Mutex::new(LruCache::sparse(SITES_MAX)) }
    }

    /// Takes up to `n` tokens of each of `windows`, as many of each.
    pub(super) async fn take(&self, windows: &[Window], n: u64) -> Granted {
        let mut granted = Granted { count: n, short: None };
        for (at, window) in windows.iter().enumerate() {
            let meter = self.meter(&window.name);
            let mut count = 0;
            while count < granted.count {
                match meter.take_some(&self.store, window, granted.count - count).await {
                    Ok(some) => count += some,
                    Err(until) => {
                        let interval = window.period / u32::try_from(window.limit.max(1)).unwrap_or(u32::MAX);
                        granted.short = Some(Short { at, until, interval });
                        break;
                    }
                }
            }
            self.give_back(&windows[..at], granted.count - count).await;
            granted.count = count;
            if count == 0 {
                break;
            }
        }
        granted
    }

    /// Gives tokens back that were not used.
    pub(super) async fn give_back(&self, windows: &[Window], n: u64) {
        if n == 0 {
            return;
        }
        for window in windows {
            self.meter(&window.name).give_back(&self.store, window, n).await;
        }
    }

    fn meter(&self, name: &str) -> Arc<Meter> {
        let mut meters = self.meters.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(meter) = meters.get(name) {
            return Arc::clone(meter);
        }
        let meter = Arc::new(Meter::default());
        meters.put(name.to_owned(), Arc::clone(&meter));
        meter
    }
}
