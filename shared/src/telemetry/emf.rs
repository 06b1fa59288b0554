//! What a function counts, for CloudWatch, which takes metrics out of log lines (the embedded metric format). Nobody can ask a function
//! for `/metrics`: between two invocations it is frozen.
//!
//! CloudWatch bills each name and set of dimensions by itself, $0.30 a month: all functions of an edge together make about fifty. So a
//! metric has one set and no second one, what is of a stage has the dimension `stage`, other labels are part of the name, and
//! what all stages do (AWS requests) is one metric for all of them.

use std::collections::BTreeMap;
use std::io::{self, Write as _};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use metrics::{Counter, Gauge, Histogram, Key, KeyName, Metadata, Recorder, SharedString, Unit};
use metrics_util::registry::{AtomicStorage, Registry};
use serde_json::{Map, Value, json};

use super::AlreadySetUp;
use crate::limits::telemetry::{EMF_METRICS_MAX, EMF_VALUES_MAX};
use crate::port::Clock;

/// Where the metrics are, unless the environment says otherwise.
pub const EMF_NAMESPACE: &str = "Spoolway";

/// The label that is a dimension.
const STAGE: &str = "stage";

/// What is not worth its price: AWS bills nothing by the first, and the second is `spoolway_recipients_total` before it is on record.
const UNTOLD: [&str; 2] = ["spoolway_aws_request_octets_total", "spoolway_deliver_recipients_total"];

/// The counters and histograms of a process that runs one stage as a function.
#[derive(Clone)]
pub struct EmfMetrics {
    counted: Arc<Counted>,
    namespace: Arc<str>,
    stage: &'static str,
    clock: Arc<dyn Clock>,
}

impl EmfMetrics {
    /// Begins to record what this process, which runs `stage`, counts.
    pub fn install(
        namespace: &str,
        stage: &'static str,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, AlreadySetUp> {
        let new = Self::new(namespace, stage, clock);
        metrics::set_global_recorder(Arc::clone(&new.counted))
            .map_err(|_| AlreadySetUp("the recorder of metrics"))?;
        Ok(new)
    }

    fn new(namespace: &str, stage: &'static str, clock: Arc<dyn Clock>) -> Self {
        Self { counted: Arc::new(Counted(Registry::atomic())), namespace: namespace.into(), stage, clock }
    }

    /// Writes what was counted since the call before to standard output: one line, or none where nothing was counted. It is there when
    /// this returns, as the process may be frozen then.
    pub fn tell(&self) {
        let text: String = self.take().iter().map(|line| format!("{line}\n")).collect();
        if !text.is_empty() {
            let mut out = io::stdout().lock();
            // there is nowhere to tell that it cannot be written
            let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
        }
    }

    /// What was counted since the call before. It is more than one line only where a histogram has more samples than a line may carry.
    fn take(&self) -> Vec<Value> {
        let mut lines = Vec::new();
        self.counted.0.visit_counters(|key, counter| {
            let more = counter.swap(0, Ordering::Relaxed);
            if more > 0 {
                self.add(&mut lines, 0, key, more.into());
            }
        });
        self.counted.0.visit_histograms(|key, histogram| {
            let mut samples = Vec::new();
            histogram.clear_with(|some| samples.extend_from_slice(some));
            // with its samples a histogram is one metric, which CloudWatch knows count, sum and percentiles of
            for (at, some) in samples.chunks(EMF_VALUES_MAX).enumerate() {
                self.add(&mut lines, at, key, some.into());
            }
        });
        let now = self.clock.now().millis();
        lines.into_iter().map(|line| line.told(&self.namespace, self.stage, now)).collect()
    }

    fn add(&self, lines: &mut Vec<Line>, at: usize, key: &Key, value: Value) {
        if lines.len() <= at {
            lines.resize_with(at + 1, Line::default);
        }
        let mut of_stage = false;
        let mut name = key.name().to_owned();
        for label in key.labels() {
            if label.key() == STAGE && label.value() == self.stage {
                of_stage = true;
            } else {
                name = name + "_" + label.value();
            }
        }
        let metrics = if of_stage { &mut lines[at].of_stage } else { &mut lines[at].of_all };
        metrics.insert(name, value);
    }
}

/// The metrics of a line, by their names.
#[derive(Default)]
struct Line {
    of_stage: BTreeMap<String, Value>,
    of_all: BTreeMap<String, Value>,
}

impl Line {
    fn told(self, namespace: &str, stage: &str, now: i64) -> Value {
        let mut line = Map::new();
        let mut directives = Vec::new();
        if !self.of_stage.is_empty() {
            line.insert(STAGE.to_owned(), stage.into());
        }
        for (dimensions, metrics) in [(json!([[STAGE]]), self.of_stage), (json!([[]]), self.of_all)] {
            let named: Vec<Value> = metrics.keys().map(|name| named(name)).collect();
            directives.extend(
                named
                    .chunks(EMF_METRICS_MAX)
                    .map(|some| json!({ "Namespace": namespace, "Dimensions": dimensions, "Metrics": some })),
            );
            line.extend(metrics);
        }
        line.insert("_aws".to_owned(), json!({ "Timestamp": now, "CloudWatchMetrics": directives }));
        line.into()
    }
}

/// A count says no unit: the log is billed by the octet.
fn named(name: &str) -> Value {
    if name.ends_with("_seconds") {
        json!({ "Name": name, "Unit": "Seconds" })
    } else {
        json!({ "Name": name })
    }
}

/// What is recorded and not told yet. A gauge says how things are now, and at the end of an invocation nothing goes on.
struct Counted(Registry<Key, AtomicStorage>);

impl Recorder for Counted {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        if UNTOLD.contains(&key.name()) {
            return Counter::noop();
        }
        self.0.get_or_create_counter(key, |counter| Counter::from_arc(Arc::clone(counter)))
    }

    fn register_gauge(&self, _: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::noop()
    }

    fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> Histogram {
        self.0.get_or_create_histogram(key, |histogram| Histogram::from_arc(Arc::clone(histogram)))
    }
}

#[cfg(test)]
mod tests;
