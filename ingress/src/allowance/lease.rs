//! What one container has taken of one window, and not used yet.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use shared::mail::Timestamp;
use shared::port::{Clock, Counters, PortError, Taken, Window};
use tokio::sync::Mutex;
use tracing::warn;

use crate::limits::{COUNTERS_REST, COUNTERS_WAIT, COUNTERS_WARN_EVERY, LEASE_LEFT_SHARE, LEASE_SHARE};
use crate::telemetry::counters_failed;

/// The counters, and how they are asked.
pub(super) struct Store {
    counters: Arc<dyn Counters>,
    clock: Arc<dyn Clock>,
    /// When a failure was last told of, in milliseconds.
    warned_at: AtomicI64,
}

impl Store {
    pub(super) fn new(counters: Arc<dyn Counters>, clock: Arc<dyn Clock>) -> Self {
        Self { counters, clock, warned_at: AtomicI64::new(i64::MIN) }
    }

    pub(super) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// `None` where they fail.
    async fn take(&self, window: &Window, n: u64, now: Timestamp) -> Option<Taken> {
        let taken = self.clock.timeout(COUNTERS_WAIT, self.counters.take(window, n, now)).await;
        let error = match taken {
            Some(Ok(taken)) => return Some(taken),
            Some(Err(error)) => error,
            None => PortError::unknown("the taking of tokens", "the counters do not answer"),
        };
        counters_failed();
        let warned_at = self.warned_at.load(Ordering::Relaxed);
        let is_new = warned_at == i64::MIN
            || now.since(Timestamp::from_millis(warned_at)) >= COUNTERS_WARN_EVERY
            || now.millis() < warned_at;
        if is_new {
            self.warned_at.store(now.millis(), Ordering::Relaxed);
            warn!(error = %error.chain(), "the counters fail: each process keeps the limits of credentials for itself");
        }
        None
    }
}

/// The window of a name, as far as this container uses it.
#[derive(Default)]
pub(super) struct Meter {
    /// Held while the counters are asked: whoever comes meanwhile gets of the same answer.
    lease: Mutex<Lease>,
    /// How many wait for a token.
    waiting: AtomicU64,
    /// When the window behind this one ends, in milliseconds.
    over_at: AtomicI64,
}

#[derive(Debug)]
struct Lease {
    /// When the window began, in milliseconds.
    began_at: i64,
    limit: u64,
    /// Tokens that were used of this window and of the one before it.
    used: u64,
    used_before: u64,
    in_hand: u64,
    /// What the counters had left at last.
    left: u64,
    /// No more is asked for at once, as there is not so much left.
    ask_max: u64,
    /// Until when the counters are left alone.
    alone_until: Option<Timestamp>,
}

impl Default for Lease {
    fn default() -> Self {
        Self {
            began_at: i64::MIN,
            limit: 0,
            used: 0,
            used_before: 0,
            in_hand: 0,
            left: 0,
            ask_max: 0,
            alone_until: None,
        }
    }
}

impl Meter {
    /// Takes a token; otherwise tells when the next window begins.
    pub(super) async fn take(&self, store: &Store, window: &Window) -> Result<(), Timestamp> {
        let _waiting = Waiting::new(&self.waiting);
        let mut lease = self.lease.lock().await;
        // not before: the window may have passed meanwhile
        let now = store.clock.now();
        let period = i64::try_from(window.period.as_millis()).unwrap_or(i64::MAX).max(1);
        lease.enter(window, period, now);
        let until = Timestamp::from_millis(lease.began_at.saturating_add(period));
        self.over_at.store(until.millis().saturating_add(period), Ordering::Relaxed);
        loop {
            if lease.in_hand > 0 {
                lease.in_hand -= 1;
                lease.used += 1;
                return Ok(());
            }
            if lease.alone_until.is_some_and(|until| now < until) {
                if lease.used >= lease.limit {
                    return Err(until);
                }
                lease.used += 1;
                return Ok(());
            }
            if lease.ask_max == 0 {
                return Err(until);
            }
            let n = lease.wanted(self.waiting.load(Ordering::Relaxed));
            match store.take(window, n, now).await {
                Some(Taken::Granted { left }) => (lease.in_hand, lease.left) = (n, left),
                // all or none: there may be fewer
                Some(Taken::Exhausted { .. }) => lease.ask_max = n / 2,
                None => lease.alone_until = Some(now + COUNTERS_REST),
            }
        }
    }

    /// Whether nothing is lost with it: its window and the one behind it have passed.
    pub(super) fn is_over(&self, now: Timestamp) -> bool {
        self.waiting.load(Ordering::Relaxed) == 0 && self.over_at.load(Ordering::Relaxed) <= now.millis()
    }
}

impl Lease {
    /// Comes into the window that `now` falls in. What was left of another one lapses.
    fn enter(&mut self, window: &Window, period: i64, now: Timestamp) {
        let began_at = now.millis().saturating_sub(now.millis().rem_euclid(period));
        let next = self.began_at.saturating_add(period);
        let is_same = began_at == self.began_at;
        if is_same && self.limit == window.limit {
            return;
        }
        let (used, used_before) = match () {
            () if is_same => (self.used, self.used_before),
            () if began_at == next => (0, self.used),
            () => (0, 0),
        };
        *self = Self {
            began_at,
            limit: window.limit,
            used,
            used_before,
            in_hand: 0,
            left: window.limit,
            ask_max: window.limit,
            alone_until: self.alone_until,
        };
    }

    /// How many tokens to ask for, where so many wait for one.
    fn wanted(&self, waiting: u64) -> u64 {
        let more = (self.used.max(self.used_before) / LEASE_SHARE).min(self.left / LEASE_LEFT_SHARE);
        waiting.saturating_add(more).min(self.left).min(self.ask_max).max(1)
    }
}

/// One who waits for a token, counted out however the wait ends.
struct Waiting<'a>(&'a AtomicU64);

impl<'a> Waiting<'a> {
    fn new(waiting: &'a AtomicU64) -> Self {
        waiting.fetch_add(1, Ordering::Relaxed);
        Self(waiting)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
