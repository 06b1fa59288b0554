//! FUTURERELEASE (RFC 4865): held in the state, sent at the release or cancelled before it, whoever dies in between.

use std::time::Duration;

use shared::job::{DeliverJob, Delivery, Job};
use shared::mail::MessageId;
use shared::port::{Cancel, Clock, DeliveryState, RecipientStatus};
use shared::testkit::{Fate, Mode, eventually, samples};
use workers::Verdict;
use workers::limits::{LEASE, PACK_WALK_PAUSE, RETRY_LIFETIME, SWEEP_LEASE};
use workers::sweep::SweepSettings;

use crate::world::{MINUTE, World};

const MONTH: Duration = Duration::from_secs(30 * 24 * 3600);
const TO: [&str; 2] = ["user@example.org", "user@example.net"];

impl World {
    async fn states(&self, message: MessageId) -> Vec<DeliveryState> {
        self.deliveries.message(message).await.unwrap()
    }

    async fn cancel(&self, message: MessageId) -> Vec<Cancel> {
        let mut answers = Vec::new();
        for state in self.states(message).await {
            answers.push(self.deliveries.cancel(&state.key, &samples::accepted()).await.unwrap());
        }
        answers
    }

    /// Sweeps and delivers for a day: whatever is to be sent is sent.
    async fn go_on_for_a_day(&self) {
        for _ in 0..48 {
            self.sweep().await;
            self.work().await;
            self.clock.advance(MINUTE * 30);
        }
    }
}

/// A held message, prepared.
async fn held(hold: Duration) -> (World, MessageId) {
    let world = World::deferring_for(MINUTE).await;
    let message = world.accept_held(&TO, hold).await;
    assert_eq!(world.prepare(message).await, Verdict::Done);
    (world, message)
}

#[tokio::test]
async fn it_is_sent_at_its_release_and_not_before_and_its_age_counts_from_then() {
    let (world, message) = held(MONTH).await;
    let depth = world.depth().await;
    assert_eq!((depth.ready, depth.delayed), (0, 0), "nothing is in a queue");
    let accepted_at = world.clock.now();
    for state in world.states(message).await {
        assert!(state.is_held());
        assert_eq!(
            (state.accepted_at, state.expires_at),
            (accepted_at, accepted_at + MONTH + RETRY_LIFETIME)
        );
    }
    world.clock.advance(MONTH - PACK_WALK_PAUSE);
    let world = world.restarted().await;
    let sweep = world.sweeper(SweepSettings::default());
    world.clock.advance(PACK_WALK_PAUSE - Duration::from_millis(1));
    assert_eq!(sweep.run_once().await.sent, 0, "it is held still");

    world.clock.advance(Duration::from_millis(1));
    let report = sweep.run_once().await;
    assert_eq!((report.sent, report.packs_deleted), (2, 0));
    assert!(world.has_pack(message).await, "its bytes are older than any other message is tried");
    world.work().await;
    assert_eq!(world.remote.attempts(), 2, "the first attempt, which is deferred and not given up");
    world.go_on_for_a_day().await;
    assert_eq!(world.remote.taken(), [1, 1]);
}

#[tokio::test]
async fn what_is_cancelled_is_never_sent_even_by_a_job_that_is_there() {
    let (world, message) = held(MONTH).await;
    let deliveries: Vec<Delivery> =
        world.states(message).await.into_iter().map(|state| *state.pending.unwrap()).collect();
    assert_eq!(world.cancel(message).await, [Cancel::Done; 2]);
    let world = world.restarted().await;
    world.clock.advance(MONTH);
    world.put(DeliverJob::new(deliveries, true).encode()).await;
    world.go_on_for_a_day().await;
    // not by preparing it once more either, when the claim of its pack is forgotten
    world.clock.advance(RETRY_LIFETIME * 2);
    assert!(world.deliveries.forget(world.clock.now(), 10).await.unwrap() > 0);
    assert_eq!(world.prepare(message).await, Verdict::Done);
    world.go_on_for_a_day().await;
    assert_eq!(world.remote.attempts(), 0);
    let states = world.states(message).await;
    let statuses = states.iter().flat_map(|state| &state.recipients).map(|recipient| recipient.status);
    assert!(statuses.eq([RecipientStatus::Cancelled; 2]));
}

#[tokio::test]
async fn what_a_sweep_has_taken_cannot_be_cancelled_whether_it_was_sent_or_not() {
    let (world, message) = held(MONTH).await;
    world.clock.advance(MONTH);
    world.faults.set_for("send", Mode::Always(Fate::Refused));
    world.sweeper(SweepSettings::default()).run_once().await;
    world.faults.set(Mode::Sound);
    assert_eq!(world.cancel(message).await, [Cancel::Released; 2]);
    // a start gives leases back, and knows of no job that was sent
    let world = world.restarted().await;
    assert_eq!(world.cancel(message).await, [Cancel::Released; 2]);
    world.go_on_for_a_day().await;
    assert_eq!(world.remote.taken(), [1, 1]);
}

#[tokio::test]
async fn prepared_twice_it_is_held_once_and_sent_once_whenever_that_is() {
    for later in [Duration::ZERO, MONTH * 2] {
        let world = World::deferring_for(MINUTE).await;
        let message = world.accept_held(&TO, MONTH).await;
        world.faults.set_for("finish", Mode::Always(Fate::Refused));
        assert!(
            matches!(world.prepare(message).await, Verdict::Again { .. }),
            "its claim could not be ended"
        );
        world.faults.set(Mode::Sound);
        if !later.is_zero() {
            world.clock.advance(MONTH);
            world.go_on_for_a_day().await;
        }
        assert_eq!(world.prepare(message).await, Verdict::Done);
        assert_eq!(world.depth().await.ready, 0, "a second run sends nothing");
        assert_eq!(world.states(message).await.len(), 2);
        world.clock.advance(MONTH);
        world.go_on_for_a_day().await;
        assert_eq!((world.remote.taken(), world.remote.attempts()), (vec![1, 1], 4));
    }
}

#[tokio::test]
async fn killed_while_it_is_written_it_is_prepared_by_the_next() {
    let world = World::deferring_for(MINUTE).await;
    let message = world.accept_held(&TO, MONTH).await;
    world.faults.set_for("hold", Mode::Stuck);
    let writes =
        eventually("it is written", MINUTE, || async { (world.faults.calls("hold") > 0).then_some(()) });
    tokio::select! {
        biased;
        _ = world.prepare(message) => panic!("the write never answers"),
        () = writes => {}
    }
    let world = world.restarted().await;
    assert_eq!(world.prepare(message).await, Verdict::Done);
    world.clock.advance(MONTH.max(LEASE).max(SWEEP_LEASE));
    world.go_on_for_a_day().await;
    assert_eq!(world.remote.taken(), [1, 1]);
}
