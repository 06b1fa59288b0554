//! How fast content must come.

use std::time::Duration;

use crate::Limits;

/// The least rate of a message's content, on average from its first octet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Pace {
    least: u32,
    grace: Duration,
}

impl Pace {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self { least: limits.least_content_rate, grace: limits.least_content_grace }
    }

    /// Whether a client that has sent so many octets in so long is too slow. What the server itself took of that time, for memory or
    /// a spool, is to be left out.
    pub(crate) fn is_too_slow(&self, octets: u64, elapsed: Duration) -> bool {
        elapsed > self.grace && u128::from(octets) * 1000 < u128::from(self.least) * elapsed.as_millis()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pace(least_content_rate: u32) -> Pace {
        let least_content_grace = Duration::from_secs(60);
        Pace::new(&Limits { least_content_rate, least_content_grace, ..Limits::default() })
    }

    #[test]
    fn content_must_keep_the_rate_once_its_grace_is_over() {
        let fifty = pace(50);
        assert!(!fifty.is_too_slow(0, Duration::from_secs(60)), "the grace");
        assert!(fifty.is_too_slow(0, Duration::from_millis(60_001)));
        assert!(fifty.is_too_slow(4_999, Duration::from_secs(100)));
        assert!(!fifty.is_too_slow(5_000, Duration::from_secs(100)));
    }

    #[test]
    fn a_fast_start_buys_time() {
        assert!(!pace(50).is_too_slow(180_000, Duration::from_secs(3600)));
        assert!(pace(50).is_too_slow(179_999, Duration::from_secs(3600)));
    }

    #[test]
    fn any_pace_does_where_there_is_no_least_one() {
        assert!(!pace(0).is_too_slow(0, Duration::MAX));
        assert!(pace(1).is_too_slow(u64::from(u32::MAX), Duration::MAX));
        assert!(!pace(u32::MAX).is_too_slow(u64::MAX, Duration::from_secs(61)));
    }
}
