//! How a suite gets at an adapter.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use crate::port::{Clock, PortError, PortResult};
use crate::system::SystemClock;

/// Makes stores of one adapter for a suite.
#[async_trait]
pub trait Fixture<P: ?Sized + Send + Sync>: Send + Sync {
    /// A store with nothing in it, which nobody else uses.
    async fn fresh(&self) -> Box<dyn Store<P>>;

    /// How long things take here.
    fn windows(&self) -> Windows {
        Windows::default()
    }
}

/// A store that several handles can be opened on. It lasts as long as this value.
#[async_trait]
pub trait Store<P: ?Sized>: Send + Sync {
    /// One more handle, which shares nothing with the others but the store.
    async fn open(&self) -> Arc<P>;
}

/// How long things take in a store.
#[derive(Debug, Clone, Copy)]
pub struct Windows {
    /// How long anything may take before it counts as never.
    pub patience: Duration,
    /// The visibility timeout of the queues that the fixture makes.
    pub visibility: Duration,
    /// How often those queues let an entry be received.
    pub receives_max: u32,
    /// The shortest delay of an entry that can be told from none.
    pub delay: Duration,
    /// Whether those queues hand out the entries with more priority first.
    pub ranks: bool,
}

impl Default for Windows {
    fn default() -> Self {
        Self {
            patience: Duration::from_secs(20),
            visibility: Duration::from_millis(400),
            receives_max: 3,
            delay: Duration::from_millis(400),
            ranks: true,
        }
    }
}

/// Asks again until `question` has an answer; fails the test, naming `what`, if it has none within `patience` of real time.
pub async fn eventually<T, F>(what: &str, patience: Duration, mut question: impl FnMut() -> F) -> T
where
    F: Future<Output = Option<T>>,
{
    let clock = SystemClock;
    let deadline = clock.now() + patience;
    loop {
        if let Some(answer) = question().await {
            return answer;
        }
        assert!(clock.now() < deadline, "not within {patience:?}: {what}");
        clock.sleep(Duration::from_millis(5)).await;
    }
}

/// A fresh store with its two handles.
pub(super) struct Pair<P: ?Sized> {
    pub(super) store: Box<dyn Store<P>>,
    pub(super) a: Arc<P>,
    pub(super) b: Arc<P>,
}

impl<P: ?Sized + Send + Sync> Pair<P> {
    pub(super) async fn open(fixture: &dyn Fixture<P>) -> Self {
        let store = fixture.fresh().await;
        let (a, b) = (store.open().await, store.open().await);
        Self { store, a, b }
    }

    /// Drops both handles, as the end of every process would, and opens one anew.
    pub(super) async fn reopen(self) -> (Box<dyn Store<P>>, Arc<P>) {
        let Self { store, a, b } = self;
        drop((a, b));
        let handle = store.open().await;
        (store, handle)
    }
}

/// What a caller may believe of a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Belief {
    There,
    NotThere,
    Perhaps,
}

impl Belief {
    pub(super) fn of<T>(answer: &PortResult<T>) -> Self {
        match answer {
            Ok(_) => Self::There,
            Err(PortError::Refused { .. }) => Self::NotThere,
            Err(PortError::Unknown { .. }) => Self::Perhaps,
        }
    }

    /// Fails the test if what is found is not what may be believed.
    pub(super) fn check(self, what: &str, found: bool) {
        match self {
            Self::There => assert!(found, "it was said to have happened and is not there: {what}"),
            Self::NotThere => assert!(!found, "it was said not to have happened and is there: {what}"),
            Self::Perhaps => {}
        }
    }
}
