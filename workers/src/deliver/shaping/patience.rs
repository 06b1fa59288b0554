//! How long, and how many, wait in a process for their turn. Those who wait hold a place of their job, which others could use.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::limits::shaping::{WAIT_MAX, WAITERS_EACH_MAX, WAITERS_MAX};

/// Those who wait, by what is counted together.
#[derive(Clone, Default)]
pub(super) struct Waiters(Arc<Mutex<HashMap<String, usize>>>);

/// What one group may still wait.
pub struct Patience {
    waiters: Waiters,
    left: Duration,
    /// Under which key the group is counted among those who wait.
    place: Option<String>,
}

impl Waiters {
    /// The patience of a new group.
    pub(super) fn patience(&self) -> Patience {
        Patience { waiters: self.clone(), left: WAIT_MAX, place: None }
    }

    fn enter(&self, key: &str) -> bool {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let total: usize = all.values().sum();
        let own = all.get(key).copied().unwrap_or(0);
        let room = total < WAITERS_MAX && own < WAITERS_EACH_MAX;
        if room {
            all.insert(key.to_owned(), own + 1);
        }
        room
    }
}

impl Patience {
    /// Whether the group may wait for `span` at the site that is counted under `key`; it is counted among those who wait from now on.
    pub(super) fn allows(&mut self, key: &str, span: Duration) -> bool {
        if span > self.left {
            return false;
        }
        if self.place.is_none() && self.waiters.enter(key) {
            self.place = Some(key.to_owned());
        }
        self.place.is_some()
    }

    /// What is left.
    pub(super) fn left(&self) -> Duration {
        self.left
    }

    /// Notes that the group has waited so long.
    pub(super) fn spend(&mut self, waited: Duration) {
        self.left = self.left.saturating_sub(waited);
    }

    /// Notes that the group waits no more.
    pub(super) fn rest(&mut self) {
        let Some(key) = self.place.take() else { return };
        let mut all = self.waiters.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = all.get_mut(&key) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                all.remove(&key);
            }
        }
    }
}

impl Drop for Patience {
    fn drop(&mut self) {
        self.rest();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_wait_for_one_site_and_some_places_are_always_left() {
        let waiters = Waiters::default();
        let mut waiting = Vec::new();
        let mut enter = |key: &str| {
            let mut patience = waiters.patience();
            let allowed = patience.allows(key, WAIT_MAX);
            waiting.push(patience);
            allowed
        };
        assert_eq!((0..2 * WAITERS_EACH_MAX).filter(|_| enter("a")).count(), WAITERS_EACH_MAX);
        let others = (0..2 * WAITERS_MAX).filter(|n| enter(&format!("b{n}"))).count();
        assert_eq!(others, WAITERS_MAX - WAITERS_EACH_MAX);
        waiting.clear();
        assert!(waiters.patience().allows("c", WAIT_MAX), "who has gone takes no place");
        assert!(waiters.0.lock().unwrap().is_empty());
    }

    #[test]
    fn patience_has_an_end() {
        let waiters = Waiters::default();
        let mut patience = waiters.patience();
        assert!(!patience.allows("a", WAIT_MAX + Duration::from_millis(1)));
        assert!(patience.allows("a", WAIT_MAX));
        patience.spend(WAIT_MAX / 2);
        assert!(!patience.allows("a", WAIT_MAX));
        assert!(patience.allows("a", WAIT_MAX / 2));
    }
}
