//! What the metrics of a server on this thread have counted.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use metrics::{Counter, Gauge, Histogram, Key, KeyName, Metadata, Recorder, SharedString, Unit};

/// A recorder of counters. Set as the local one, it sees a server that runs on the runtime of this thread.
#[derive(Default)]
pub(crate) struct Counted {
    counters: Mutex<BTreeMap<String, Arc<AtomicU64>>>,
}

impl Counted {
    /// How often clients were over a limit.
    pub(crate) fn over_limit(&self, limit: &str) -> u64 {
        self.of(&format!("spoolway_ingress_over_limit_total limit={limit}"))
    }

    /// How often this code was the reply.
    pub(crate) fn refusals(&self, code: &str) -> u64 {
        self.of(&format!("spoolway_ingress_refusals_total code={code}"))
    }

    /// A counter by its name and labels, as in `connections check=bl.example result=listed`.
    pub(crate) fn of(&self, name: &str) -> u64 {
        self.counters.lock().unwrap().get(name).map_or(0, |count| count.load(Ordering::Relaxed))
    }
}

impl Recorder for Counted {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        let labels = key.labels().map(|label| format!(" {}={}", label.key(), label.value()));
        let name = key.name().to_owned() + &labels.collect::<String>();
        Arc::clone(self.counters.lock().unwrap().entry(name).or_default()).into()
    }

    fn register_gauge(&self, _: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::noop()
    }

    fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::noop()
    }
}
