//! Connections to be had, the most urgent first (RFC 6710 §4: priority orders the work, and takes nothing from anybody who has it).

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::oneshot;

/// So many permits, and whoever waits for one.
pub(super) struct Permits(Arc<Mutex<State>>);

struct State {
    free: usize,
    /// How many have waited so far.
    asked: u64,
    waiting: BinaryHeap<Waiter>,
}

/// Somebody who waits. Of two, the greater one is served first: the more urgent, and among equals who came first.
struct Waiter {
    rank: (i8, Reverse<u64>),
    to: oneshot::Sender<Permit>,
}

/// One of the permits. Dropped, it goes to the next.
#[derive(Debug)]
pub(super) struct Permit(Option<Arc<Mutex<State>>>);

impl Permits {
    pub(super) fn new(count: usize) -> Self {
        Self(Arc::new(Mutex::new(State { free: count, asked: 0, waiting: BinaryHeap::new() })))
    }

    /// Waits for a permit. To stop waiting is to drop this.
    pub(super) async fn acquire(&self, priority: i8) -> Permit {
        let waiting = {
            let mut state = lock(&self.0);
            if state.free > 0 {
                state.free -= 1;
                return Permit(Some(Arc::clone(&self.0)));
            }
            state.asked += 1;
            let (to, waiting) = oneshot::channel();
            let rank = (priority, Reverse(state.asked));
            state.waiting.push(Waiter { rank, to });
            waiting
        };
        match waiting.await {
            Ok(permit) => permit,
            // the queue is never dropped while somebody waits in it; and if it were, nobody would count permits
            Err(_) => Permit(None),
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let Some(queue) = self.0.take() else { return };
        loop {
            let next = {
                let mut state = lock(&queue);
                let next = state.waiting.pop();
                if next.is_none() {
                    state.free += 1;
                }
                next
            };
            let Some(Waiter { to, .. }) = next else { return };
            match to.send(Permit(Some(Arc::clone(&queue)))) {
                Ok(()) => return,
                // that one has stopped waiting, and its permit must not come back by itself
                Err(mut unwanted) => unwanted.0 = None,
            }
        }
    }
}

fn lock(state: &Mutex<State>) -> std::sync::MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("State").field("free", &self.free).field("waiting", &self.waiting.len()).finish()
    }
}

impl PartialEq for Waiter {
    fn eq(&self, other: &Self) -> bool {
        self.rank == other.rank
    }
}

impl Eq for Waiter {}

impl PartialOrd for Waiter {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Waiter {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.rank.cmp(&other.rank)
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;
    use futures::future::BoxFuture;

    use super::*;

    fn ask(permits: &Arc<Permits>, priority: i8) -> BoxFuture<'static, Permit> {
        let permits = Arc::clone(permits);
        let mut asked = async move { permits.acquire(priority).await }.boxed();
        assert!(asked.as_mut().now_or_never().is_none(), "there is none to be had");
        asked
    }

    fn has(asked: &mut BoxFuture<'static, Permit>) -> Option<Permit> {
        asked.now_or_never()
    }

    #[test]
    fn the_most_urgent_is_served_first_and_equals_in_their_order() {
        let permits = Arc::new(Permits::new(1));
        let mut held = permits.acquire(0).now_or_never();
        let mut asked = [0, -9, 9, 0].map(|priority| Some(ask(&permits, priority)));
        let mut served = Vec::new();
        while asked.iter().any(Option::is_some) {
            drop(held.take());
            for (at, one) in asked.iter_mut().enumerate() {
                if let Some(permit) = one.as_mut().and_then(has) {
                    (held, *one) = (Some(permit), None);
                    served.push(at);
                    break;
                }
            }
        }
        assert_eq!(served, [2, 0, 3, 1]);
    }

    #[test]
    fn who_stops_waiting_takes_no_permit_along() {
        let permits = Arc::new(Permits::new(1));
        let held = permits.acquire(0).now_or_never().unwrap();
        let gone = ask(&permits, 9);
        let mut stays = ask(&permits, 0);
        drop(gone);
        drop(held);
        let permit = has(&mut stays).unwrap();
        // served, and gone before it looked
        let served = ask(&permits, 0);
        drop(permit);
        drop(served);
        assert!(permits.acquire(0).now_or_never().is_some());
    }
}
