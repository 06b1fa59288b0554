//! A queue counts receives, and a store may be away for hours: the pauses between receives grow.

use std::sync::Arc;
use std::time::Duration;

use shared::embedded::{Database, QueueSettings, SqliteQueue};
use shared::job::{DeliverJob, Job};
use shared::mail::TenantId;
use shared::port::{Clock, Outgoing, Queue};
use shared::testkit::{Fate, Mode, SeededIds, samples};
use tokio_util::sync::CancellationToken;
use workers::poll::{PollSettings, Poller};

use crate::world::{MINUTE, World};

/// A quarter of what a queue allows unless told otherwise; the outage is shorter in proportion, so that the test is.
const RECEIVES_MAX: u32 = 12;
const OUTAGE: Duration = Duration::from_secs(40 * 60);

#[tokio::test]
async fn jobs_outlast_an_outage_of_the_state() {
    let world = World::deferring_for(MINUTE).await;
    let folder = tempfile::tempdir().unwrap();
    let database = Database::open(&folder.path().join("queue.db")).unwrap();
    let settings = QueueSettings { receives_max: RECEIVES_MAX, ..QueueSettings::default() };
    let queue = Arc::new(SqliteQueue::new(&database, "outbound", settings, world.clock.clone()).unwrap());
    let body = DeliverJob::new(vec![samples::delivery(&["user@example.org"])], false).encode();
    let job = Outgoing { body, delay: Duration::ZERO, tenant: TenantId::default(), priority: 0 };
    queue.send(vec![job]).await.unwrap();

    world.faults.set(Mode::Always(Fate::Refused));
    let (over_at, drain) = (world.clock.now() + OUTAGE, CancellationToken::new());
    let ids = Arc::new(SeededIds::new(7));
    let poller =
        Poller::new(queue.clone(), world.stage.clone(), world.clock.clone(), ids, PollSettings::default());
    let polling = tokio::spawn(poller.run(drain.clone()));
    while world.clock.now() < over_at {
        world.clock.advance_to_next_waking().await;
        tokio::task::yield_now().await;
    }
    assert!(world.faults.calls("claim") > 10, "it was tried throughout");
    assert_eq!((queue.depth().await.unwrap().dead, world.remote.attempts()), (0, 0));

    world.faults.set(Mode::Sound);
    let back_at_last = world.clock.now() + workers::limits::AGAIN_PAUSE_MAX * 2;
    while world.remote.attempts() == 0 && world.clock.now() < back_at_last {
        world.clock.advance_to_next_waking().await;
        tokio::task::yield_now().await;
    }
    assert_eq!(world.remote.attempts(), 1, "it is done once the outage is over");
    drain.cancel();
    polling.await.unwrap();
}
