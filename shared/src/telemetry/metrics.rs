use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle, PrometheusRecorder};

use super::AlreadySetUp;

/// Upper bounds of the histograms whose names end in `_seconds`: from a commit on a fast disk to a slow remote.
const TIME_BOUNDS: [f64; 15] =
    [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0, 300.0];

/// Upper bounds of all other histograms, which count things, such as messages in a pack.
const NUMBER_BOUNDS: [f64; 9] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 1024.0];

/// The metrics of this process. Without it, the `metrics` macros cost nothing and keep nothing.
#[derive(Clone)]
pub struct Metrics(PrometheusHandle);

impl Metrics {
    /// Begins to record what the process counts.
    pub fn install() -> Result<Self, AlreadySetUp> {
        let recorder = recorder();
        let handle = recorder.handle();
        metrics::set_global_recorder(recorder).map_err(|_| AlreadySetUp("the recorder of metrics"))?;
        Ok(Self(handle))
    }

    /// Everything recorded, in Prometheus' text format.
    pub fn render(&self) -> String {
        self.0.render()
    }

    /// Folds the samples of histograms. They pile up between calls, so this must be called every few seconds.
    pub(super) fn fold(&self) {
        self.0.run_upkeep();
    }

    /// Metrics that only `work` is recorded in.
    #[cfg(test)]
    pub(crate) fn local(work: impl FnOnce()) -> Self {
        let recorder = recorder();
        metrics::with_local_recorder(&recorder, work);
        Self(recorder.handle())
    }
}

fn recorder() -> PrometheusRecorder {
    let seconds = Matcher::Suffix("_seconds".to_owned());
    let builder = PrometheusBuilder::new().set_buckets_for_metric(seconds, &TIME_BOUNDS);
    builder
        .and_then(|builder| builder.set_buckets(&NUMBER_BOUNDS))
        .expect("there are bounds")
        .build_recorder()
}
