//! What one process has taken of the windows of the counters, and not used yet.
//!
//! Tokens are taken in leases, so that few uses cost a request. A request asks for as many as are waited for at that moment, and for a
//! twentieth more of what this process has used in this window or in the one before. No more than that can be left over when a window
//! ends, which is what is lost of a limit where some processes fall silent while others go on. Near the limit leases shrink to what is
//! waited for.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use tokio::sync::Mutex;
use tracing::warn;

use crate::limits::lease::{COUNTERS_REST, COUNTERS_WAIT, COUNTERS_WARN_EVERY, LEFT_SHARE, SHARE};
use crate::mail::Timestamp;
use crate::port::{Clock, Counters, PortError, Taken, Window};

/// The counters, and how they are asked.
pub struct Store {
    counters: Arc<dyn Counters>,
    clock: Arc<dyn Clock>,
    /// Whose limits these are, for the log: `credentials`.
    whose: &'static str,
    /// Told of each failure.
    failed: fn(),
    /// When a failure was last told of, in milliseconds.
    warned_at: AtomicI64,
}

impl Store {
    /// The limits of `whose`, a word for the log, over `counters`. `failed` is called each time that these do not answer.
    pub fn new(
        counters: Arc<dyn Counters>,
        clock: Arc<dyn Clock>,
        whose: &'static str,
        failed: fn(),
    ) -> Self {
        Self { counters, clock, whose, failed, warned_at: AtomicI64::new(i64::MIN) }
    }

    /// The time.
    pub fn now(&self) -> Timestamp {
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
        (self.failed)();
        let warned_at = self.warned_at.load(Ordering::Relaxed);
        let is_new = warned_at == i64::MIN
            || now.since(Timestamp::from_millis(warned_at)) >= COUNTERS_WARN_EVERY
            || now.millis() < warned_at;
        if is_new {
            self.warned_at.store(now.millis(), Ordering::Relaxed);
            let whose = self.whose;
            warn!(error = %error.chain(), "the counters fail: each process keeps the limits of {whose} for itself");
        }
        None
    }
}

/// The window of a name, as far as this process uses it.
#[derive(Default)]
pub struct Meter {
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
    pub async fn take(&self, store: &Store, window: &Window) -> Result<(), Timestamp> {
        self.take_some(store, window, 1).await.map(drop)
    }

    /// Takes up to `n` tokens and at least one, and tells how many; otherwise when the next window begins.
    pub async fn take_some(&self, store: &Store, window: &Window, n: u64) -> Result<u64, Timestamp> {
        let _waiting = Waiting::new(&self.waiting, n);
        let mut lease = self.lease.lock().await;
        // not before: the window may have passed meanwhile
        let now = store.clock.now();
        let period = i64::try_from(window.period.as_millis()).unwrap_or(i64::MAX).max(1);
        lease.enter(window, period, now);
        let until = Timestamp::from_millis(lease.began_at.saturating_add(period));
        self.over_at.store(until.millis().saturating_add(period), Ordering::Relaxed);
        loop {
            if lease.in_hand > 0 {
                let taken = lease.in_hand.min(n);
                lease.in_hand -= taken;
                lease.used += taken;
                return Ok(taken);
            }
            if lease.alone_until.is_some_and(|until| now < until) {
                let taken = lease.limit.saturating_sub(lease.used).min(n);
                lease.used += taken;
                return if taken == 0 { Err(until) } else { Ok(taken) };
            }
            if lease.ask_max == 0 {
                return Err(until);
            }
            let asked = lease.wanted(self.waiting.load(Ordering::Relaxed));
            match store.take(window, asked, now).await {
                Some(Taken::Granted { left }) => (lease.in_hand, lease.left) = (asked, left),
                // all or none: there may be fewer
                Some(Taken::Exhausted { .. }) => lease.ask_max = asked / 2,
                None => lease.alone_until = Some(now + COUNTERS_REST),
            }
        }
    }

    /// Gives `n` tokens back that were taken and not used, if their window is still there.
    pub async fn give_back(&self, store: &Store, window: &Window, n: u64) {
        let mut lease = self.lease.lock().await;
        let period = i64::try_from(window.period.as_millis()).unwrap_or(i64::MAX).max(1);
        let began_at = lease.began_at;
        lease.enter(window, period, store.now());
        if lease.began_at == began_at {
            lease.used = lease.used.saturating_sub(n);
            // while the counters are left alone, what is used is all that counts
            lease.in_hand += if lease.alone_until.is_none() { n } else { 0 };
        }
    }

    /// Whether nothing is lost with it: its window and the one behind it have passed.
    pub fn is_over(&self, now: Timestamp) -> bool {
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
        let more = (self.used.max(self.used_before) / SHARE).min(self.left / LEFT_SHARE);
        waiting.saturating_add(more).min(self.left).min(self.ask_max).max(1)
    }
}

/// Some tokens that are waited for, counted out however the wait ends.
struct Waiting<'a>(&'a AtomicU64, u64);

impl<'a> Waiting<'a> {
    fn new(waiting: &'a AtomicU64, n: u64) -> Self {
        waiting.fetch_add(n, Ordering::Relaxed);
        Self(waiting, n)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(self.1, Ordering::Relaxed);
    }
}
