use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use shared::mail::TenantId;
use shared::port::Clock;
use shared::testkit::SeededIds;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::{PollSettings, Poller};
use crate::limits::{FAILED_PAUSE, VISIBILITY};
use crate::testing::{World, idle};
use crate::{Stage, Verdict};

/// Does what the job says: `done`, `again`, `panic`, or `wait` until it is let go.
struct Obedient {
    running: AtomicUsize,
    running_most: AtomicUsize,
    gone_on: Semaphore,
}

#[async_trait]
impl Stage for Obedient {
    fn name(&self) -> &'static str {
        "obedient"
    }

    async fn run(&self, body: &str) -> Verdict {
        let running = self.running.fetch_add(1, Ordering::Relaxed) + 1;
        self.running_most.fetch_max(running, Ordering::Relaxed);
        let verdict = match body {
            "again" => Verdict::Again { after: Duration::from_secs(7) },
            "panic" => panic!("told to"),
            "wait" => {
                self.gone_on.acquire().await.unwrap().forget();
                Verdict::Done
            }
            _ => Verdict::Done,
        };
        self.running.fetch_sub(1, Ordering::Relaxed);
        verdict
    }
}

struct Loop {
    world: World,
    stage: Arc<Obedient>,
    drain: CancellationToken,
    task: JoinHandle<()>,
}

fn start(concurrency: usize) -> Loop {
    let world = World::new();
    let stage = Arc::new(Obedient {
        running: AtomicUsize::new(0),
        running_most: AtomicUsize::new(0),
        gone_on: Semaphore::new(0),
    });
    let settings = PollSettings { concurrency, ..PollSettings::default() };
    let clock: Arc<dyn Clock> = world.clock.clone();
    let poller =
        Poller::new(world.outbound.clone(), stage.clone(), clock, Arc::new(SeededIds::new(1)), settings);
    let drain = CancellationToken::new();
    let task = tokio::spawn(poller.run(drain.clone()));
    Loop { world, stage, drain, task }
}

impl Loop {
    fn acks(&self) -> usize {
        self.world.outbound.acks.lock().unwrap().len()
    }

    fn releases(&self) -> Vec<Duration> {
        self.world.outbound.releases.lock().unwrap().iter().map(|(_, after)| *after).collect()
    }
}

#[tokio::test]
async fn what_is_done_is_acknowledged_and_what_is_not_is_given_back() {
    let this = start(8);
    for body in ["done", "again", "done"] {
        this.world.outbound.push(body);
    }
    idle().await;
    assert_eq!((this.acks(), this.releases()), (2, vec![Duration::from_secs(7)]));
}

#[tokio::test]
async fn a_panic_gives_the_job_back_and_the_loop_goes_on() {
    let this = start(8);
    this.world.outbound.push("panic");
    idle().await;
    this.world.outbound.push("done");
    idle().await;
    assert_eq!((this.acks(), this.releases()), (1, vec![FAILED_PAUSE]));
}

#[tokio::test]
async fn a_long_job_is_held_on_to() {
    let this = start(8);
    this.world.outbound.push("wait");
    for held in 0..5 {
        idle().await;
        assert_eq!(this.releases(), vec![VISIBILITY; held]);
        this.world.clock.advance(VISIBILITY / 3);
    }
    this.stage.gone_on.add_permits(1);
    idle().await;
    assert_eq!(this.acks(), 1);
}

#[tokio::test]
async fn no_more_is_received_than_there_is_room_for() {
    let this = start(13);
    for _ in 0..40 {
        this.world.outbound.push("wait");
    }
    idle().await;
    assert_eq!(this.world.outbound.len(), 27);
    this.stage.gone_on.add_permits(40);
    idle().await;
    assert_eq!((this.acks(), this.stage.running_most.load(Ordering::Relaxed)), (40, 13));
    let most = *this.world.outbound.receive_maxima.lock().unwrap().iter().max().unwrap();
    assert_eq!(most, shared::port::BATCH_MAX);
}

#[tokio::test]
async fn jobs_that_hang_leave_the_last_places_to_others() {
    let this = start(12);
    // two places are left, and three are waited for at first
    for _ in 0..10 {
        this.world.outbound.push("wait");
    }
    idle().await;
    for _ in 0..4 {
        this.world.outbound.push("done");
    }
    for _ in 0..4 {
        idle().await;
        this.world.clock.advance(crate::limits::ROOM_PAUSE);
    }
    idle().await;
    assert_eq!(this.acks(), 4);
}

#[tokio::test]
async fn one_tenants_jobs_that_hang_leave_places_for_another() {
    let this = start(96);
    let (busy, other) = (TenantId("busy".to_owned()), TenantId("other".to_owned()));
    for _ in 0..10_000 {
        this.world.outbound.push_of(busy.clone(), "wait");
    }
    idle().await;
    let running = || this.stage.running.load(Ordering::Relaxed);
    assert!((60..=72).contains(&running()), "{}", running());
    for _ in 0..5 {
        this.world.outbound.push_of(other.clone(), "done");
    }
    idle().await;
    this.world.clock.advance(crate::limits::ROOM_PAUSE);
    idle().await;
    assert_eq!(this.acks(), 5);
    // and what ends makes room for more of the first
    this.stage.gone_on.add_permits(500);
    for _ in 0..100 {
        idle().await;
        this.world.clock.advance(crate::limits::ROOM_PAUSE);
    }
    assert_eq!(this.acks(), 505);
}

#[tokio::test]
async fn receives_that_fail_are_repeated_after_growing_pauses() {
    let this = start(8);
    *this.world.outbound.receive_failures.lock().unwrap() = 5;
    // the first receive was not asked yet: the loop's task has not run
    this.world.outbound.push("done");
    let receives = || this.world.outbound.receive_maxima.lock().unwrap().len();
    let began = this.world.clock.now();
    for failed in 1..=5 {
        idle().await;
        assert_eq!(receives(), failed);
        assert!(this.world.clock.advance_to_next());
    }
    idle().await;
    assert_eq!(this.acks(), 1);
    assert_eq!(this.world.clock.now().since(began), Duration::from_millis(100 + 200 + 400 + 800 + 1600));
}

#[tokio::test]
async fn an_acknowledgement_that_fails_is_repeated() {
    let this = start(8);
    *this.world.outbound.send_failures.lock().unwrap() = 2;
    this.world.outbound.push("done");
    for _ in 0..2 {
        idle().await;
        assert_eq!(this.acks(), 0);
        assert!(this.world.clock.advance_to_next());
    }
    idle().await;
    assert_eq!(this.acks(), 1);
}

#[tokio::test]
async fn a_drain_lets_running_jobs_end_and_receives_no_more() {
    let this = start(8);
    this.world.outbound.push("wait");
    idle().await;
    this.drain.cancel();
    idle().await;
    this.world.outbound.push("done");
    this.stage.gone_on.add_permits(1);
    let Loop { world, task, .. } = this;
    task.await.unwrap();
    assert_eq!((world.outbound.acks.lock().unwrap().len(), world.outbound.len()), (1, 1));
}

#[tokio::test]
async fn jobs_that_do_not_end_in_time_are_given_back_at_once() {
    let this = start(8);
    for _ in 0..3 {
        this.world.outbound.push("wait");
    }
    idle().await;
    this.drain.cancel();
    idle().await;
    assert!(!this.task.is_finished());
    this.world.clock.advance(PollSettings::default().drain);
    let Loop { world, task, .. } = this;
    task.await.unwrap();
    let releases = world.outbound.releases.lock().unwrap();
    assert_eq!(releases.iter().filter(|(_, after)| after.is_zero()).count(), 3);
    assert!(world.outbound.acks.lock().unwrap().is_empty());
}
