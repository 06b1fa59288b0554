//! A clock that stands still until a test moves it.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::watch;

use crate::mail::Timestamp;
use crate::port::Clock;

/// A clock that stands still until it is moved. Sleepers wake when it passes their time.
pub struct ManualClock {
    now: watch::Sender<Timestamp>,
    /// When those who sleep want to be woken, by the order in which they fell asleep.
    sleepers: watch::Sender<BTreeMap<u64, Timestamp>>,
    slept: Mutex<u64>,
}

impl Default for ManualClock {
    /// 2025-01-01T00:00:00Z.
    fn default() -> Self {
        Self::at(Timestamp::from_millis(1_735_689_600_000))
    }
}

impl ManualClock {
    /// A clock that shows `now`.
    pub fn at(now: Timestamp) -> Self {
        let (now, sleepers) = (watch::Sender::new(now), watch::Sender::new(BTreeMap::new()));
        Self { now, sleepers, slept: Mutex::new(0) }
    }

    /// Moves the clock on.
    pub fn advance(&self, span: Duration) {
        self.now.send_modify(|now| *now = *now + span);
    }

    /// Sets the clock, back as well.
    pub fn set(&self, now: Timestamp) {
        self.now.send_replace(now);
    }

    /// When the next of those who sleep wants to be woken.
    pub fn next_waking(&self) -> Option<Timestamp> {
        let now = self.now();
        // one whose time has come is in the list until it gets to run
        self.sleepers.borrow().values().copied().filter(|waking| *waking > now).min()
    }

    /// Moves the clock on to the next waking; tells whether there is one.
    pub fn advance_to_next(&self) -> bool {
        let next = self.next_waking();
        if let Some(waking) = next {
            self.set(waking);
        }
        next.is_some()
    }

    /// Waits until at least `count` sleep.
    pub async fn until_asleep(&self, count: usize) {
        let mut sleepers = self.sleepers.subscribe();
        let enough = sleepers.wait_for(|sleepers| sleepers.len() >= count).await;
        enough.expect("the sender lives as long as self");
    }

    /// Waits until somebody sleeps until `at` or longer.
    pub async fn until_asleep_until(&self, at: Timestamp) {
        let mut sleepers = self.sleepers.subscribe();
        let enough = sleepers.wait_for(|sleepers| sleepers.values().any(|waking| *waking >= at)).await;
        enough.expect("the sender lives as long as self");
    }

    /// Waits until somebody sleeps and moves the clock on to the next waking.
    pub async fn advance_to_next_waking(&self) {
        self.until_asleep(1).await;
        self.advance_to_next();
    }
}

#[async_trait]
impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        *self.now.borrow()
    }

    async fn sleep(&self, span: Duration) {
        if span.is_zero() {
            return tokio::task::yield_now().await;
        }
        let mut now = self.now.subscribe();
        let waking = *now.borrow() + span;
        let _asleep = Asleep::new(self, waking);
        let woken = now.wait_for(|now| *now >= waking).await;
        woken.expect("the sender lives as long as self");
    }
}

/// A sleeper's entry, taken out however the sleep ends.
struct Asleep<'a> {
    clock: &'a ManualClock,
    number: u64,
}

impl<'a> Asleep<'a> {
    fn new(clock: &'a ManualClock, waking: Timestamp) -> Self {
        let number = {
            let mut slept = clock.slept.lock().expect("nothing panics while it is held");
            *slept += 1;
            *slept
        };
        clock.sleepers.send_modify(|sleepers| {
            sleepers.insert(number, waking);
        });
        Self { clock, number }
    }
}

impl Drop for Asleep<'_> {
    fn drop(&mut self) {
        self.clock.sleepers.send_modify(|sleepers| {
            sleepers.remove(&self.number);
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[tokio::test]
    async fn a_sleeper_wakes_when_its_time_has_come_and_not_before() {
        let clock = Arc::new(ManualClock::default());
        let sleeper = tokio::spawn({
            let clock = Arc::clone(&clock);
            async move { clock.sleep(Duration::from_secs(10)).await }
        });
        clock.until_asleep(1).await;
        clock.advance(Duration::from_secs(9));
        tokio::task::yield_now().await;
        assert!(!sleeper.is_finished());
        assert_eq!(clock.next_waking(), Some(clock.now() + Duration::from_secs(1)));
        clock.advance(Duration::from_secs(1));
        sleeper.await.unwrap();
        assert_eq!(clock.next_waking(), None);
    }

    #[tokio::test]
    async fn a_sleep_that_is_given_up_is_not_waited_for() {
        let clock = ManualClock::default();
        let clock: &dyn Clock = &clock;
        assert_eq!(clock.timeout(Duration::from_secs(1), async { 7 }).await, Some(7));
    }
}
