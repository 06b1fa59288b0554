//! When what must wait comes back: one after the other, as fast as the site takes it. All at once, most of it would go back again.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use lru::LruCache;
use shared::mail::Timestamp;

use crate::limits::shaping::{PACE, PACE_SHARE, POSTPONE_MIN, POSTPONE_SPREAD_MAX, SITES_MAX};

/// The next turn of each site, as far as this process hands them out.
pub(super) struct Turns(Mutex<LruCache<String, Turn>>);

#[derive(Debug, Clone, Copy)]
struct Turn {
    /// From when on the last one could have been.
    from: Timestamp,
    next: Timestamp,
    /// How long a connection is in use.
    pace: Duration,
}

impl Turns {
    pub(super) fn new() -> Self {
        Self(Mutex::new(LruCache::sparse(SITES_MAX)))
    }

    /// A turn at `from` or later, `interval` behind the last one that was given out. `chance`, from 0 up to 1, spreads what no
    /// order would be kept in anyway.
    pub(super) fn take(
        &self,
        key: &str,
        now: Timestamp,
        from: Timestamp,
        interval: Duration,
        chance: f64,
    ) -> Timestamp {
        let from = from.max(now + POSTPONE_MIN);
        let mut turns = self.lock();
        let turn = turns.get_or_insert_mut(key.to_owned(), || Turn { from, next: from, pace: PACE });
        if from < turn.from {
            // what those waited for is over, sooner than was thought
            turn.next = from;
        }
        turn.from = from;
        let at = turn.next.max(from);
        if at.since(from) > POSTPONE_SPREAD_MAX {
            return from + POSTPONE_SPREAD_MAX.mul_f64(chance);
        }
        turn.next = at + interval;
        at
    }

    /// Notes for how long a connection was in use.
    pub(super) fn note(&self, key: &str, now: Timestamp, used: Duration) {
        let mut turns = self.lock();
        let turn = turns.get_or_insert_mut(key.to_owned(), || Turn { from: now, next: now, pace: used });
        turn.pace = turn.pace.mul_f64(1.0 - PACE_SHARE) + used.mul_f64(PACE_SHARE);
    }

    /// How long a connection is in use.
    pub(super) fn pace(&self, key: &str) -> Duration {
        self.lock().get(key).map_or(PACE, |turn| turn.pace)
    }

    fn lock(&self) -> MutexGuard<'_, LruCache<String, Turn>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_700_000_000_000);
    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn turns_follow_one_another_and_sites_do_not_wait_for_each_other() {
        let turns = Turns::new();
        let from = NOW + SECOND * 10;
        let taken: Vec<_> = (0..3).map(|_| turns.take("a", NOW, from, SECOND, 0.5)).collect();
        assert_eq!(taken, [from, from + SECOND, from + SECOND * 2]);
        assert_eq!(turns.take("b", NOW, from, SECOND, 0.5), from);
        assert_eq!(turns.take("a", NOW, from + SECOND * 60, SECOND, 0.5), from + SECOND * 60);
        assert_eq!(turns.take("a", NOW, from, SECOND, 0.5), from, "nobody waits for what is over");
        assert_eq!(turns.take("c", NOW, NOW, SECOND, 0.5), NOW + POSTPONE_MIN, "not at once");
    }

    #[test]
    fn more_than_fits_comes_back_at_any_time_of_the_spread() {
        let turns = Turns::new();
        let mut last = NOW;
        for _ in 0..10_000 {
            last = turns.take("a", NOW, NOW, SECOND, 0.25);
            assert!(last <= NOW + POSTPONE_SPREAD_MAX + POSTPONE_MIN);
        }
        assert_eq!(last, NOW + POSTPONE_MIN + POSTPONE_SPREAD_MAX / 4);
    }
}
