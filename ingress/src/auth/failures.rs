//! How often logins fail, by address and by name.

use std::hash::Hash;
use std::net::IpAddr;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use lru::LruCache;
use shared::mail::Timestamp;
use shared::port::Clock;

use super::Denial;
use crate::Limits;
use crate::limits::{FAILURES_KEPT_MAX, GOOD_AGE_MAX, GOOD_KEPT_MAX};
use crate::places::stranger;

/// Counts failures and refuses whoever has too many. An address that a name has logged in from is exempt for that name, until
/// it fails there itself: nobody is locked out by what others try.
pub(super) struct Failures {
    clock: Arc<dyn Clock>,
    window: Duration,
    each_max: u32,
    name_max: u32,
    counts: Mutex<Counts>,
}

struct Counts {
    addresses: LruCache<IpAddr, Count>,
    names: LruCache<String, Count>,
    good: LruCache<(IpAddr, String), Timestamp>,
}

/// Failures since the first one of a window.
struct Count {
    since: Timestamp,
    failures: u32,
}

impl Failures {
    pub(super) fn new(limits: &Limits, clock: Arc<dyn Clock>) -> Self {
        let counts = Counts {
            addresses: cache(FAILURES_KEPT_MAX),
            names: cache(FAILURES_KEPT_MAX),
            good: cache(GOOD_KEPT_MAX),
        };
        Self {
            clock,
            window: limits.auth_failures_window,
            each_max: limits.auth_failures_each.max(1),
            name_max: limits.auth_failures_name.max(1),
            counts: Mutex::new(counts),
        }
    }

    /// Whether `client` may try, and to be `name` if that is known yet.
    pub(super) fn check(&self, client: IpAddr, name: Option<&str>) -> Result<(), Denial> {
        let (now, client) = (self.clock.now(), stranger(client));
        let mut counts = self.lock();
        if let Some(name) = name {
            let good = counts.good.get(&(client, name.to_owned()));
            if good.is_some_and(|since| now.since(*since) < GOOD_AGE_MAX) {
                return Ok(());
            }
        }
        let over = |count: Option<&Count>, most| {
            count.is_some_and(|count| self.is_current(count, now) && count.failures >= most)
        };
        if over(counts.addresses.peek(&client), self.each_max) {
            return Err(Denial::AddressLimited);
        }
        if name.is_some_and(|name| over(counts.names.peek(name), self.name_max)) {
            return Err(Denial::NameLimited);
        }
        Ok(())
    }

    pub(super) fn failed(&self, client: IpAddr, name: Option<&str>) {
        let (now, client) = (self.clock.now(), stranger(client));
        let mut counts = self.lock();
        self.add(&mut counts.addresses, client, now);
        if let Some(name) = name {
            self.add(&mut counts.names, name.to_owned(), now);
            counts.good.pop(&(client, name.to_owned()));
        }
    }

    pub(super) fn succeeded(&self, client: IpAddr, name: &str) {
        let (now, client) = (self.clock.now(), stranger(client));
        self.lock().good.put((client, name.to_owned()), now);
    }

    fn add<K: Hash + Eq>(&self, counts: &mut LruCache<K, Count>, key: K, now: Timestamp) {
        let count = counts.get_or_insert_mut(key, || Count { since: now, failures: 0 });
        if !self.is_current(count, now) {
            *count = Count { since: now, failures: 0 };
        }
        count.failures = count.failures.saturating_add(1);
    }

    fn is_current(&self, count: &Count, now: Timestamp) -> bool {
        now.since(count.since) < self.window
    }

    fn lock(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn cache<K: Hash + Eq, V>(most: usize) -> LruCache<K, V> {
    LruCache::new(NonZeroUsize::new(most).unwrap_or(NonZeroUsize::MIN))
}
