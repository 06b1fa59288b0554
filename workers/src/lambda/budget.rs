//! The time of an invocation, and how it comes to its end.

use std::time::Duration;

use shared::mail::Timestamp;
use shared::port::Clock;
use tokio_util::sync::CancellationToken;

use crate::limits::lambda::{CUT_MARGIN, CUT_PART, DRAIN_MARGIN, DRAIN_PART, DROP_MARGIN, DROP_PART};

/// What an invocation is told on its way to the deadline.
#[derive(Debug, Clone, Default)]
pub struct Ending {
    /// Nothing more is begun; what is under way may end.
    pub drain: CancellationToken,
    /// Nobody outside is waited for any more; what is under way ends with what is known.
    pub cut: CancellationToken,
    /// What still runs is dropped, as if the process had died.
    pub(super) dropped: CancellationToken,
}

/// How long from now until each step of the ending.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Budget {
    drain: Duration,
    cut: Duration,
    pub(super) dropped: Duration,
    /// When the answer goes out, whoever has not been told of it yet.
    answer: Duration,
}

impl Budget {
    pub(super) fn new(now: Timestamp, deadline: Timestamp) -> Self {
        let time = deadline.since(now);
        let margin = |most: Duration, part: u32| most.min(time / part);
        let last = margin(DROP_MARGIN, DROP_PART);
        Self {
            drain: time - margin(DRAIN_MARGIN, DRAIN_PART),
            cut: time - margin(CUT_MARGIN, CUT_PART),
            dropped: time - last,
            answer: time - last / 2,
        }
    }

    /// Cancels one token after the other; returns when there is no time left to wait for anything.
    pub(super) async fn run_out(self, clock: &dyn Clock, ending: &Ending) {
        let Self { drain, cut, dropped, answer } = self;
        clock.sleep(drain).await;
        ending.drain.cancel();
        clock.sleep(cut - drain).await;
        ending.cut.cancel();
        clock.sleep(dropped - cut).await;
        ending.dropped.cancel();
        clock.sleep(answer - dropped).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(seconds: u64) -> [f64; 4] {
        let now = Timestamp::from_millis(1_700_000_000_000);
        let Budget { drain, cut, dropped, answer } = Budget::new(now, now + Duration::from_secs(seconds));
        [drain, cut, dropped, answer].map(|at| at.as_secs_f64())
    }

    #[test]
    fn a_long_invocation_ends_in_steps_of_seconds() {
        assert_eq!(of(900), [675.0, 890.0, 896.0, 898.0]);
        assert_eq!(of(1600), [1300.0, 1590.0, 1596.0, 1598.0]);
    }

    #[test]
    fn a_short_one_keeps_most_of_its_time_for_work() {
        assert_eq!(of(16), [12.0, 14.0, 15.0, 15.5]);
    }

    #[test]
    fn one_whose_deadline_has_passed_begins_nothing() {
        let now = Timestamp::from_millis(1_700_000_000_000);
        let late = Budget::new(now, now - Duration::from_secs(1));
        assert_eq!((late.drain, late.answer), (Duration::ZERO, Duration::ZERO));
    }
}
