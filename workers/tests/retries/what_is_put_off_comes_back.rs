//! What shaping puts off waits in the stores, whatever becomes of the queue and of the worker.

use std::time::Duration;

use shared::port::{DELAY_MAX, DUE_SHARDS, DeliveryState};
use shared::testkit::{Fate, Mode};
use workers::limits::{RETRY_GRACE, SWEEP_LEASE};

use crate::world::{MINUTE, World};

/// A world in which a site has had its message of this hour, and one more is put off.
async fn with_one_put_off() -> World {
    let world = World::deferring_for(DELAY_MAX * 90).await;
    for name in ["first", "second"] {
        world.send(&format!("{name}@slow.example")).await;
    }
    world.work().await;
    assert_eq!(world.remote.attempts(), 1);
    world
}

/// What is put off, of all that waits.
async fn put_off(world: &World) -> Vec<DeliveryState> {
    let mut found = Vec::new();
    for shard in 0..DUE_SHARDS {
        found.extend(world.deliveries.pending(shard, None, 100).await.unwrap());
    }
    found.retain(|state| state.waiting.is_some());
    found
}

#[tokio::test]
async fn a_long_wait_is_in_the_state_and_ends_when_it_is_due() {
    let world = with_one_put_off().await;
    let [state] = &put_off(&world).await[..] else { panic!("one is put off") };
    let waiting = state.waiting.clone().unwrap();
    assert_eq!((waiting.reason.as_str(), state.attempts.len()), ("message_rate", 0));
    assert_eq!((state.due_at, world.depth().await.delayed), (Some(waiting.until), 0), "no queue holds it");
    world.clock.set(waiting.until - Duration::from_millis(1));
    assert_eq!(world.sweep().await, 0, "it is not due yet");
    world.clock.advance(Duration::from_millis(1));
    assert_eq!((world.sweep().await, world.sweep().await), (1, 0), "it is due, and leased");
    world.work().await;
    assert_eq!((world.remote.attempts(), put_off(&world).await.len()), (2, 0));
}

#[tokio::test]
async fn a_short_wait_that_the_queue_loses_comes_back_by_its_grace() {
    let world = World::deferring_for(DELAY_MAX * 90).await;
    // the hour is nearly over
    world.clock.advance(MINUTE * 50);
    for name in ["first", "second"] {
        world.send(&format!("{name}@slow.example")).await;
    }
    world.work().await;
    let [state] = &put_off(&world).await[..] else { panic!("one is put off") };
    let until = state.waiting.clone().unwrap().until;
    assert_eq!(world.depth().await.delayed, 1);
    world.clock.set(until + Duration::from_secs(1));
    assert_eq!(world.lose().await, 1);
    world.clock.set(until + RETRY_GRACE - Duration::from_millis(1));
    assert_eq!(world.sweep().await, 0, "the queue has its grace");
    world.clock.advance(Duration::from_millis(1));
    assert_eq!(world.sweep().await, 1);
    world.work().await;
    assert_eq!(world.remote.attempts(), 2);
}

#[tokio::test]
async fn what_is_put_off_and_swept_as_well_is_tried_once_however_often_it_comes() {
    let world = with_one_put_off().await;
    let state = put_off(&world).await.remove(0);
    world.clock.set(state.due_at.unwrap());
    assert_eq!(world.sweep().await, 1);
    // nobody works the queue for so long that the sweep takes the job for lost
    world.clock.advance(SWEEP_LEASE);
    assert_eq!(world.sweep().await, 1);
    let jobs = world.work().await;
    assert_eq!((jobs.len(), world.remote.attempts()), (2, 2));
    for body in jobs {
        world.put(body).await;
    }
    world.work().await;
    assert_eq!((world.remote.attempts(), world.depth().await.ready), (2, 0));
}

#[tokio::test]
async fn a_wait_that_cannot_be_written_leaves_the_job_in_the_queue() {
    for fate in [Fate::Refused, Fate::NothingUnknown, Fate::HappenedUnknown] {
        let world = World::deferring_for(DELAY_MAX * 90).await;
        world.send("first@slow.example").await;
        world.work().await;
        world.faults.set_for("postpone", Mode::Always(fate));
        world.send("second@slow.example").await;
        work_through_pauses(&world).await;
        assert_eq!(
            (world.remote.attempts(), world.depth().await.in_flight),
            (1, 1),
            "{fate:?}: it is given back"
        );
        world.faults.set(Mode::Sound);
        let world = world.restarted().await;
        world.clock.advance(MINUTE * 5);
        world.work().await;
        assert_eq!((put_off(&world).await.len(), world.depth().await.in_flight), (1, 0), "{fate:?}");
        world.clock.advance(MINUTE * 120);
        world.sweep().await;
        world.work().await;
        assert_eq!(world.remote.attempts(), 2, "{fate:?}");
    }
}

/// Works off the queue, and lets the pauses pass that a worker makes before it tries a port again.
async fn work_through_pauses(world: &World) {
    let work = world.work();
    tokio::pin!(work);
    loop {
        tokio::select! {
            biased;
            _ = &mut work => return,
            () = world.clock.advance_to_next_waking() => tokio::task::yield_now().await,
        }
    }
}
