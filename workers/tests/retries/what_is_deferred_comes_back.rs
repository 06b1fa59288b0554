//! Design §6: every deferral has a due time that something acts on, whoever dies in between.

use std::time::Duration;

use shared::port::DELAY_MAX;
use shared::testkit::{Fate, Mode, eventually};
use workers::limits::{RETRY_GRACE, SWEEP_LEASE};
use workers::sweep::SweepSettings;

use crate::world::{MINUTE, World};

#[tokio::test]
async fn what_is_deferred_beyond_the_delay_of_a_queue_comes_back_when_it_is_due() {
    let pause = DELAY_MAX * 4;
    let world = World::deferring_for(pause).await;
    world.send("user@example.org").await;
    world.work().await;
    let depth = world.depth().await;
    assert_eq!((depth.ready, depth.delayed, world.remote.attempts()), (0, 0, 1), "no queue holds it");

    world.clock.advance(pause - Duration::from_millis(1));
    assert_eq!(world.sweep().await, 0, "it is not due yet");
    world.clock.advance(Duration::from_millis(1));
    assert_eq!((world.sweep().await, world.sweep().await), (1, 0), "it is due, and leased");
    world.work().await;
    assert_eq!(world.remote.taken(), [1]);

    world.clock.advance(SWEEP_LEASE * 100);
    assert_eq!((world.sweep().await, world.remote.attempts()), (0, 2), "what is settled is never due");
}

#[tokio::test]
async fn a_short_retry_that_the_queue_loses_comes_back_by_its_grace() {
    let world = World::deferring_for(5 * MINUTE).await;
    world.send("user@example.org").await;
    world.work().await;
    assert_eq!(world.depth().await.delayed, 1);
    world.clock.advance(5 * MINUTE);
    assert_eq!(world.lose().await, 1);

    world.clock.advance(RETRY_GRACE - Duration::from_millis(1));
    assert_eq!(world.sweep().await, 0, "the queue has its grace");
    world.clock.advance(Duration::from_millis(1));
    assert_eq!(world.sweep().await, 1);
    world.work().await;
    assert_eq!(world.remote.taken(), [1]);
}

#[tokio::test]
async fn what_a_killed_sweep_leased_and_did_not_send_comes_back_after_the_lease() {
    let world = World::deferring_for(DELAY_MAX * 2).await;
    world.send("user@example.org").await;
    world.work().await;
    world.clock.advance(DELAY_MAX * 2);

    world.faults.set_for("send", Mode::Stuck);
    let sent_before = world.faults.calls("send");
    let sweep = world.sweeper(SweepSettings::default());
    let begins_to_send = eventually("the sweep sends", MINUTE, || async {
        (world.faults.calls("send") > sent_before).then_some(())
    });
    tokio::select! {
        biased;
        _ = sweep.run_once() => panic!("the send never answers"),
        () = begins_to_send => {}
    }
    world.faults.set(Mode::Sound);

    world.clock.advance(SWEEP_LEASE - Duration::from_millis(1));
    assert_eq!((world.sweep().await, world.depth().await.ready), (0, 0), "it is leased to the dead one");
    world.clock.advance(Duration::from_millis(1));
    assert_eq!(world.sweep().await, 1);
    world.work().await;
    assert_eq!(world.remote.taken(), [1]);
}

#[tokio::test]
async fn a_retry_that_is_late_and_was_swept_as_well_is_sent_once_however_often_it_comes() {
    let world = World::deferring_for(5 * MINUTE).await;
    world.send("user@example.org").await;
    let first = world.work().await;
    // no worker runs for so long that the sweep takes the delayed job for lost
    world.clock.advance(5 * MINUTE + RETRY_GRACE);
    assert_eq!((world.sweep().await, world.depth().await.ready), (1, 2));
    let jobs = world.work().await;
    assert_eq!((jobs.len(), world.remote.taken(), world.remote.attempts()), (2, vec![1], 2));

    for body in first.into_iter().chain(jobs) {
        world.put(body).await;
    }
    world.work().await;
    let depth = world.depth().await;
    assert_eq!((depth.ready, depth.in_flight, depth.delayed), (0, 0, 0), "all are done");
    assert_eq!((world.remote.taken(), world.remote.attempts()), (vec![1], 2), "and none was made again");
}

#[tokio::test]
async fn a_sweep_sends_a_page_of_each_shard_however_full_the_queue_is_and_no_more_then() {
    const DUE: usize = 90;
    let world = World::deferring_for(DELAY_MAX * 2).await;
    for n in 0..DUE {
        world.send(&format!("user@n{n}.example.org")).await;
    }
    world.work().await;
    world.clock.advance(DELAY_MAX * 2);
    for _ in 0..3 {
        world.put("somebody else's".to_owned()).await;
    }

    let settings = SweepSettings { page: 1, backlog: 3, ..SweepSettings::default() };
    let full = world.sweeper(settings.clone()).run_once().await;
    assert!((1..DUE).contains(&full.sent), "others do not wait for what is queued: {}", full.sent);
    assert_eq!(full.errors, Vec::<String>::new());
    world.work().await;
    let mut sent = full.sent;
    while sent < DUE {
        let more = world.sweeper(settings.clone()).run_once().await.sent;
        assert!(more > 0, "what was held back is due still");
        world.work().await;
        sent += more;
    }
    assert_eq!(world.remote.taken(), vec![1; DUE]);
}

#[tokio::test]
async fn a_queue_that_does_not_answer_leaves_what_is_due_to_the_next_sweep() {
    let world = World::deferring_for(DELAY_MAX * 2).await;
    world.send("user@example.org").await;
    world.work().await;
    world.clock.advance(DELAY_MAX * 2);
    world.faults.set_for("depth", Mode::Always(Fate::Refused));
    let report = world.sweeper(SweepSettings::default()).run_once().await;
    assert_eq!((report.sent, report.errors.len()), (0, 1));
    world.faults.set(Mode::Sound);
    assert_eq!(world.sweep().await, 1, "nothing was leased in vain");
}
