//! How long a job that is not done is left alone.

use std::time::Duration;

use crate::limits::{AGAIN_PAUSE, AGAIN_PAUSE_MAX, RELEASE_MAX, RETRY_JITTER};

/// How long a job is left alone that was received `receives` times and wants to be left alone for `wanted`. It grows with the receives,
/// because a queue counts them, and an outage of hours must not make a job dead that would be done once it is over. `chance` keeps
/// the jobs that one outage turned back from coming all at once.
pub(crate) fn pause_before(wanted: Duration, receives: u32, chance: f64) -> Duration {
    if wanted.is_zero() {
        return wanted;
    }
    let doubled = AGAIN_PAUSE.saturating_mul(1 << receives.saturating_sub(1).min(16)).min(AGAIN_PAUSE_MAX);
    wanted.max(doubled.mul_f64(1.0 - RETRY_JITTER + 2.0 * RETRY_JITTER * chance)).min(RELEASE_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const WANTED: Duration = Duration::from_secs(1);

    #[test]
    fn the_receives_of_a_queue_outlast_an_outage_of_eight_hours() {
        let receives = shared::embedded::QueueSettings::default().receives_max;
        let shortest: Duration = (1..receives).map(|n| pause_before(WANTED, n, 0.0)).sum();
        assert!(shortest > Duration::from_secs(8 * 3600), "{shortest:?}");
    }

    #[test]
    fn pauses_grow_spread_and_end_growing() {
        assert_eq!(pause_before(WANTED, 1, 0.5), AGAIN_PAUSE);
        assert_eq!(pause_before(WANTED, 4, 0.5), AGAIN_PAUSE * 8);
        assert_eq!(pause_before(WANTED, 4, 0.0), AGAIN_PAUSE.mul_f64(6.4));
        assert_eq!(pause_before(WANTED, u32::MAX, 0.5), AGAIN_PAUSE_MAX);
    }

    #[test]
    fn who_wants_longer_gets_it_and_at_once_stays_at_once() {
        let hour = Duration::from_secs(3600);
        assert_eq!(pause_before(hour, 50, 0.9), hour);
        assert_eq!(pause_before(Duration::ZERO, 50, 0.9), Duration::ZERO);
    }
}
