use std::time::Duration;

use metrics::{Counter, Gauge, Histogram};

use super::Verdict;

/// What is counted of a stage's jobs.
pub(crate) struct Meters {
    pub(crate) received: Counter,
    done: Counter,
    again: Counter,
    pub(crate) running: Gauge,
    seconds: Histogram,
}

impl Meters {
    /// Those of the stage of this name.
    pub(crate) fn of(name: &'static str) -> Self {
        Self {
            received: metrics::counter!("spoolway_jobs_received_total", "stage" => name),
            done: metrics::counter!("spoolway_jobs_done_total", "stage" => name),
            again: metrics::counter!("spoolway_jobs_again_total", "stage" => name),
            running: metrics::gauge!("spoolway_jobs_running", "stage" => name),
            seconds: metrics::histogram!("spoolway_jobs_seconds", "stage" => name),
        }
    }

    /// Counts a job that ran so long.
    pub(crate) fn ended(&self, verdict: Verdict, ran: Duration) {
        self.seconds.record(ran.as_secs_f64());
        match verdict {
            Verdict::Done => self.done.increment(1),
            Verdict::Again { .. } => self.again.increment(1),
        }
    }
}
