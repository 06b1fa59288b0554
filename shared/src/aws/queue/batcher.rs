//! Requests that fill by themselves: what comes while a request is under way shares the next one, as messages share a pack.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use tokio::sync::oneshot;

use crate::limits::BATCH_MAX;
use crate::limits::aws::{BATCH_OCTETS_MAX, BATCHES_MAX};
use crate::port::{PortError, PortResult};

/// A request that takes up to [`BATCH_MAX`] things.
#[async_trait]
pub(super) trait Request: Send + Sync + 'static {
    /// One of the things.
    type Item: Send + 'static;

    /// What is done to them, as a noun phrase.
    const WHAT: &'static str;

    /// What it adds to a request.
    fn octets(item: &Self::Item) -> usize;

    /// Sends them; one answer each, in their order.
    async fn send(&self, items: Vec<Self::Item>) -> Vec<PortResult<()>>;
}

/// Gathers what waits into requests.
pub(super) struct Batcher<R: Request> {
    request: R,
    state: Mutex<State<R::Item>>,
}

struct State<T> {
    waiting: VecDeque<Entry<T>>,
    under_way: usize,
}

struct Entry<T> {
    item: T,
    answer: oneshot::Sender<PortResult<()>>,
}

impl<R: Request> Batcher<R> {
    pub(super) fn new(request: R) -> Arc<Self> {
        let state = Mutex::new(State { waiting: VecDeque::new(), under_way: 0 });
        Arc::new(Self { request, state })
    }

    /// Hands `items` over together; one answer each, in their order.
    pub(super) async fn submit(self: &Arc<Self>, items: Vec<R::Item>) -> Vec<PortResult<()>> {
        let mut answers = Vec::with_capacity(items.len());
        {
            let mut state = self.state();
            for item in items {
                let (answer, answered) = oneshot::channel();
                state.waiting.push_back(Entry { item, answer });
                answers.push(answered);
            }
            if state.under_way < BATCHES_MAX && !state.waiting.is_empty() {
                state.under_way += 1;
                tokio::spawn(Slot { batcher: Arc::clone(self), held: true }.run());
            }
        }
        let lost = || Err(PortError::unknown(R::WHAT, "the request was given up"));
        let mut results = Vec::with_capacity(answers.len());
        for answer in answers {
            results.push(answer.await.unwrap_or_else(|_| lost()));
        }
        results
    }

    fn take(&self) -> Option<Vec<Entry<R::Item>>> {
        let mut state = self.state();
        // whoever has gone has told its client that it failed: it must not happen after that
        state.waiting.retain(|entry| !entry.answer.is_closed());
        let mut octets = 0;
        let fits = |entry: &&Entry<R::Item>| {
            octets += R::octets(&entry.item);
            octets <= BATCH_OCTETS_MAX
        };
        let count = state.waiting.iter().take(BATCH_MAX).take_while(fits).count();
        let count = count.max(1).min(state.waiting.len());
        if count == 0 {
            state.under_way -= 1;
            return None;
        }
        Some(state.waiting.drain(..count).collect())
    }

    fn state(&self) -> MutexGuard<'_, State<R::Item>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The right to have a request under way.
struct Slot<R: Request> {
    batcher: Arc<Batcher<R>>,
    held: bool,
}

impl<R: Request> Slot<R> {
    async fn run(mut self) {
        while let Some(batch) = self.batcher.take() {
            let (items, answers): (Vec<_>, Vec<_>) =
                batch.into_iter().map(|Entry { item, answer }| (item, answer)).unzip();
            let results = self.batcher.request.send(items).await;
            for (answer, result) in answers.into_iter().zip(results) {
                // who is gone does not care any more
                let _ = answer.send(result);
            }
        }
        self.held = false;
    }
}

/// A request that broke must not leave others waiting for ever.
impl<R: Request> Drop for Slot<R> {
    fn drop(&mut self) {
        if self.held {
            let mut state = self.batcher.state();
            state.under_way -= 1;
            state.waiting.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::Semaphore;

    use super::*;

    /// Answers with the item's own result, once it may.
    struct Gated {
        gate: Arc<Semaphore>,
        sizes: Arc<Mutex<Vec<usize>>>,
    }

    #[async_trait]
    impl Request for Gated {
        type Item = (usize, bool);
        const WHAT: &'static str = "a test";

        fn octets((octets, _): &Self::Item) -> usize {
            *octets
        }

        async fn send(&self, items: Vec<Self::Item>) -> Vec<PortResult<()>> {
            self.gate.acquire().await.unwrap().forget();
            self.sizes.lock().unwrap().push(items.len());
            let answer = |(_, good)| if good { Ok(()) } else { Err(PortError::refused("a test", "bad")) };
            items.into_iter().map(answer).collect()
        }
    }

    type Sizes = Arc<Mutex<Vec<usize>>>;

    fn gated() -> (Arc<Semaphore>, Sizes, Arc<Batcher<Gated>>) {
        let (gate, sizes) = (Arc::new(Semaphore::new(0)), Arc::default());
        let batcher = Batcher::new(Gated { gate: Arc::clone(&gate), sizes: Arc::clone(&sizes) });
        (gate, sizes, batcher)
    }

    #[tokio::test]
    async fn what_comes_while_requests_are_under_way_shares_the_next_one_and_each_gets_its_own_answer() {
        let (gate, sizes, batcher) = gated();
        let submits = (0..25).map(|n| {
            let batcher = Arc::clone(&batcher);
            async move { batcher.submit(vec![(1, n % 5 != 0)]).await.remove(0).is_ok() }
        });
        let mut all = Box::pin(futures::future::join_all(submits));
        assert!(futures::poll!(&mut all).is_pending());
        gate.add_permits(100);
        let answers = all.await;
        assert_eq!(answers, (0..25).map(|n| n % 5 != 0).collect::<Vec<_>>());
        let sizes = sizes.lock().unwrap().clone();
        assert_eq!((sizes.iter().sum::<usize>(), sizes.len()), (25, 3), "{sizes:?}");
    }

    #[tokio::test]
    async fn what_nobody_waits_for_any_more_is_not_sent() {
        let (gate, sizes, batcher) = gated();
        let (first, second) = (Arc::clone(&batcher), Arc::clone(&batcher));
        let mut first = Box::pin(async move { first.submit(vec![(1, true); BATCH_MAX * BATCHES_MAX]).await });
        let mut second = Box::pin(async move { second.submit(vec![(1, true)]).await });
        assert!(futures::poll!(&mut first).is_pending() && futures::poll!(&mut second).is_pending());
        drop(second);
        gate.add_permits(100);
        assert!(first.await.iter().all(Result::is_ok));
        assert_eq!(sizes.lock().unwrap().iter().sum::<usize>(), BATCH_MAX * BATCHES_MAX);
    }

    #[tokio::test]
    async fn a_request_has_no_more_octets_than_one_may_have_and_one_item_always_goes() {
        let (gate, sizes, batcher) = gated();
        gate.add_permits(100);
        let large = BATCH_OCTETS_MAX / 2 + 1;
        let answers = batcher.submit(vec![(large, true), (large, true), (BATCH_OCTETS_MAX * 2, true)]).await;
        assert!(answers.iter().all(Result::is_ok));
        assert_eq!(*sizes.lock().unwrap(), [1, 1, 1]);
    }
}
