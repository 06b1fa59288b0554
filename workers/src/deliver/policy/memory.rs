//! Servers whose TLS is broken, remembered for a while so that the next session does not pay for another handshake that fails.
//! Only for sessions that would go on in clear text: whoever must have TLS asks again.

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use lru::LruCache;
use shared::mail::Timestamp;
use shared::port::Clock;

use crate::limits::policy::{BROKEN_TLS_KEPT, BROKEN_TLS_MAX};

pub(super) struct BrokenTls {
    clock: Arc<dyn Clock>,
    until: Mutex<LruCache<SocketAddr, Timestamp>>,
}

impl BrokenTls {
    pub(super) fn new(clock: Arc<dyn Clock>) -> Self {
        let most = NonZeroUsize::new(BROKEN_TLS_MAX).unwrap_or(NonZeroUsize::MIN);
        Self { clock, until: Mutex::new(LruCache::new(most)) }
    }

    pub(super) fn note(&self, address: SocketAddr) {
        let until = self.clock.now() + BROKEN_TLS_KEPT;
        self.until().put(address, until);
    }

    pub(super) fn has(&self, address: SocketAddr) -> bool {
        let now = self.clock.now();
        self.until().get(&address).is_some_and(|until| *until > now)
    }

    fn until(&self) -> MutexGuard<'_, LruCache<SocketAddr, Timestamp>> {
        // every change is one call, so that nothing is half done
        self.until.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use shared::testkit::ManualClock;

    use super::*;

    #[test]
    fn what_is_broken_is_remembered_for_a_while_and_within_bounds() {
        let clock = Arc::new(ManualClock::at(Timestamp::from_millis(0)));
        let broken = BrokenTls::new(clock.clone());
        let at = |n: usize| SocketAddr::from(([127, 0, (n >> 8) as u8, n as u8], 25));
        broken.note(at(0));
        assert!(broken.has(at(0)) && !broken.has(at(1)));
        clock.advance(BROKEN_TLS_KEPT - Duration::from_millis(1));
        assert!(broken.has(at(0)));
        clock.advance(Duration::from_millis(1));
        assert!(!broken.has(at(0)));
        for n in 0..=BROKEN_TLS_MAX {
            broken.note(at(n));
        }
        assert!(!broken.has(at(0)) && broken.has(at(1)));
        assert_eq!(broken.until().len(), BROKEN_TLS_MAX);
    }
}
