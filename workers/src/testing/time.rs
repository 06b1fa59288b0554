use std::pin::pin;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use shared::mail::{PackId, Timestamp};
use shared::port::{Clock, Ids};
use tokio::sync::watch;

/// A clock that stands still until it is moved.
pub(crate) struct ManualClock {
    now: watch::Sender<i64>,
    sleepers: Mutex<Vec<i64>>,
}

impl ManualClock {
    pub(crate) fn new(at: i64) -> Self {
        Self { now: watch::Sender::new(at), sleepers: Mutex::default() }
    }

    pub(crate) fn advance(&self, span: Duration) {
        self.now.send_modify(|now| *now += i64::try_from(span.as_millis()).unwrap());
    }

    /// Moves on to when the next sleeper wakes, if there is one.
    pub(crate) fn advance_to_next(&self) -> bool {
        let now = *self.now.borrow();
        let next = self.sleepers.lock().unwrap().iter().copied().filter(|at| *at > now).min();
        if let Some(next) = next {
            self.now.send_replace(next);
        }
        next.is_some()
    }
}

#[async_trait]
impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(*self.now.borrow())
    }

    async fn sleep(&self, span: Duration) {
        struct Asleep<'a>(&'a ManualClock, i64);
        impl Drop for Asleep<'_> {
            fn drop(&mut self) {
                let mut sleepers = self.0.sleepers.lock().unwrap();
                let at = sleepers.iter().position(|at| *at == self.1).unwrap();
                sleepers.swap_remove(at);
            }
        }
        let until = (self.now() + span).millis();
        self.sleepers.lock().unwrap().push(until);
        let _asleep = Asleep(self, until);
        self.now.subscribe().wait_for(|now| *now >= until).await.unwrap();
    }
}

/// Returns once everything that can run without time passing has run.
pub(crate) async fn idle() {
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
}

/// Runs `work`, and lets time pass whenever nothing else can happen.
pub(crate) async fn drive<T>(clock: &ManualClock, work: impl Future<Output = T>) -> T {
    let mut work = pin!(work);
    loop {
        tokio::select! {
            biased;
            done = &mut work => return done,
            () = idle() => assert!(clock.advance_to_next(), "stuck: nobody waits for time"),
        }
    }
}

/// Chance that repeats: xorshift.
pub(crate) struct SeededIds(AtomicU64);

impl SeededIds {
    pub(crate) fn new(seed: u64) -> Self {
        Self(AtomicU64::new(seed | 1))
    }
}

impl Ids for SeededIds {
    fn pack(&self, now: Timestamp) -> PackId {
        PackId::derived(now, &self.random().to_string())
    }

    fn random(&self) -> u64 {
        let step = |mut x: u64| {
            x ^= x << 13;
            x ^= x >> 7;
            x ^ (x << 17)
        };
        self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |x| Some(step(x))).unwrap()
    }
}
