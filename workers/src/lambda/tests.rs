use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use serde_json::json;
use shared::job::{DeliverJob, Job};
use shared::port::RecipientStatus::Delivered;
use shared::testkit::SeededIds;

use super::*;
use crate::Verdict;
use crate::limits::lambda::{DRAIN_MARGIN, DRAIN_PART};
use crate::limits::{AGAIN_PAUSE, FAILED_PAUSE};
use crate::sweep::SweepSettings;
use crate::testing::{World, delivery, drive, idle};

/// Does what the job says: `done`, `again`, `panic`, or `hang` for ever.
#[derive(Default)]
struct Obedient {
    running: AtomicUsize,
    running_most: AtomicUsize,
    seen: Mutex<Vec<String>>,
}

#[async_trait]
impl Stage for Obedient {
    fn name(&self) -> &'static str {
        "obedient"
    }

    async fn run(&self, body: &str) -> Verdict {
        self.seen.lock().unwrap().push(body.to_owned());
        let running = self.running.fetch_add(1, Ordering::Relaxed) + 1;
        self.running_most.fetch_max(running, Ordering::Relaxed);
        tokio::task::yield_now().await;
        let verdict = match body {
            "again" => Verdict::Again { after: Duration::from_secs(7) },
            "soon" => Verdict::Again { after: Duration::from_millis(1) },
            "panic" => panic!("told to"),
            "hang" => std::future::pending().await,
            _ => Verdict::Done,
        };
        self.running.fetch_sub(1, Ordering::Relaxed);
        verdict
    }
}

fn batches(world: &World, stage: impl Fn(&Ending) -> Arc<dyn Stage> + Send + Sync + 'static) -> Batches {
    let ports = BatchPorts {
        queue: world.outbound.clone(),
        clock: world.clock.clone(),
        ids: Arc::new(SeededIds::new(1)),
    };
    Batches::new(ports, stage)
}

/// An event as SQS writes it: ids `m0`, `m1`, …, receipts `r0`, `r1`, …
fn event(bodies: &[&str]) -> SqsEvent {
    let record = |(n, body): (usize, &&str)| {
        json!({
            "messageId": format!("m{n}"), "receiptHandle": format!("r{n}"), "body": body,
            "attributes": { "ApproximateReceiveCount": "1", "SentTimestamp": "1700000000000" },
            "messageAttributes": {}, "md5OfBody": "", "eventSource": "aws:sqs",
            "eventSourceARN": "arn:aws:sqs:eu-west-1:123456789012:outbound", "awsRegion": "eu-west-1"
        })
    };
    let records: Vec<_> = bodies.iter().enumerate().map(record).collect();
    serde_json::from_value(json!({ "Records": records })).unwrap()
}

fn failed(answer: &SqsBatchResponse) -> Vec<&str> {
    answer.batch_item_failures.iter().map(|failure| failure.item_identifier.as_str()).collect()
}

/// What `event` comes to in the five minutes it has.
async fn run(world: &World, event: SqsEvent) -> SqsBatchResponse {
    let stage = Arc::new(Obedient::default());
    let batches = batches(world, move |_| stage.clone());
    drive(&world.clock, batches.run(event, world.now() + Duration::from_secs(300))).await
}

fn releases(world: &World) -> Vec<(String, Duration)> {
    let mut releases = world.outbound.releases.lock().unwrap().clone();
    releases.sort();
    releases
}

#[tokio::test]
async fn of_three_records_the_one_that_is_not_done_is_reported_and_no_other() {
    let world = World::new();
    let answer = run(&world, event(&["done", "again", "done"])).await;
    assert_eq!(
        serde_json::to_value(&answer).unwrap(),
        json!({ "batchItemFailures": [{ "itemIdentifier": "m1" }] })
    );
    assert_eq!(releases(&world), [("r1".to_owned(), Duration::from_secs(7))]);
    assert!(world.outbound.acks.lock().unwrap().is_empty(), "the service acknowledges");
}

#[tokio::test]
async fn a_record_that_comes_again_and_again_is_left_alone_for_longer_each_time() {
    let world = World::new();
    let mut often = event(&["soon", "soon", "soon"]);
    for (record, receives) in often.records.iter_mut().zip(["1", "4", "nonsense"]) {
        record.attributes.insert("ApproximateReceiveCount".to_owned(), receives.to_owned());
    }
    assert_eq!(failed(&run(&world, often).await), ["m0", "m1", "m2"]);
    let spread = |pause: Duration, of: Duration| (of.mul_f64(0.8)..=of.mul_f64(1.2)).contains(&pause);
    let pauses: Vec<Duration> = releases(&world).into_iter().map(|(_, pause)| pause).collect();
    assert!(spread(pauses[0], AGAIN_PAUSE) && spread(pauses[2], AGAIN_PAUSE), "{pauses:?}");
    assert!(spread(pauses[1], AGAIN_PAUSE * 8), "{pauses:?}");
}

#[tokio::test]
async fn a_panic_is_a_failure_of_its_record_alone() {
    let world = World::new();
    assert_eq!(failed(&run(&world, event(&["panic", "done"])).await), ["m0"]);
    assert_eq!(releases(&world), [("r0".to_owned(), FAILED_PAUSE)]);
}

#[tokio::test]
async fn a_record_without_a_body_or_a_receipt_is_a_failure_of_its_own() {
    let world = World::new();
    let mut broken = event(&["done", "again", "done"]);
    broken.records[0].body = None;
    broken.records[1].receipt_handle = None;
    assert_eq!(failed(&run(&world, broken).await), ["m0", "m1"]);
    assert_eq!(releases(&world), [("r0".to_owned(), FAILED_PAUSE)]);
    // the service takes an empty name for the whole batch, which does no harm; no name at all would acknowledge it
    let mut nameless = event(&["again"]);
    nameless.records[0].message_id = None;
    assert_eq!(failed(&run(&world, nameless).await), [""]);
}

#[tokio::test]
async fn what_hangs_is_dropped_and_given_back_at_once_before_the_deadline() {
    let world = World::new();
    let deadline = world.now() + Duration::from_secs(300);
    assert_eq!(failed(&run(&world, event(&["hang", "done", "hang"])).await), ["m0", "m2"]);
    assert!(world.now() < deadline, "{:?}", deadline.since(world.now()));
    assert_eq!(releases(&world), [("r0".to_owned(), Duration::ZERO), ("r2".to_owned(), Duration::ZERO)]);
}

#[tokio::test]
async fn what_was_not_begun_in_time_goes_back_and_is_not_begun_any_more() {
    let world = World::new();
    let stage = Arc::new(Obedient::default());
    let seen = stage.clone();
    let batches = batches(&world, move |_| stage.clone());
    let mut bodies = vec!["hang"; JOBS_MAX];
    bodies.push("late");
    let answer = batches.run(event(&bodies), world.now() + Duration::from_secs(300));
    assert_eq!(failed(&drive(&world.clock, answer).await).len(), JOBS_MAX + 1);
    assert!(!seen.seen.lock().unwrap().iter().any(|body| body == "late"));
    assert_eq!(seen.running_most.load(Ordering::Relaxed), JOBS_MAX);
    // and where the deadline is there already, nothing is waited for
    let answer = batches.run(event(&["hang"]), world.now());
    assert_eq!(failed(&drive(&world.clock, answer).await), ["m0"]);
}

/// Batches of the deliver stage.
fn delivering(world: &Arc<World>) -> Batches {
    let workers = world.clone();
    batches(world, move |ending| Arc::new(workers.worker().drained_by(ending.drain.clone())))
}

#[tokio::test]
async fn of_one_job_twice_in_a_batch_one_is_done_and_the_other_comes_back_to_find_that() {
    let world = Arc::new(World::new());
    let job = DeliverJob::new(vec![delivery("slow.example", &["ok"])], false).encode();
    let batches = delivering(&world);
    let mut running = Box::pin(batches.run(event(&[&job, &job]), world.now() + Duration::from_secs(300)));
    tokio::select! {
        _ = &mut running => panic!("it is slow"),
        () = idle() => {}
    }
    world.transport.slow.send_replace(1);
    let answer = drive(&world.clock, running).await;
    assert_eq!(failed(&answer).len(), 1);
    assert_eq!((world.taken("ok@slow.example"), world.statuses("slow.example")), (1, vec![Delivered]));
    let answer = batches.run(event(&[&job]), world.now() + Duration::from_secs(300));
    assert!(failed(&drive(&world.clock, answer).await).is_empty());
    assert_eq!(world.taken("ok@slow.example"), 1);
}

#[tokio::test]
async fn at_the_deadline_the_message_under_way_is_finished_and_the_next_one_is_not_begun() {
    let world = Arc::new(World::new());
    let mut second = delivery("slow.example", &["ok2"]);
    second.key.part = 1;
    let job = DeliverJob::new(vec![delivery("slow.example", &["ok"]), second], false).encode();
    // long enough for the whole margin
    let deadline = world.now() + DRAIN_MARGIN * DRAIN_PART;
    let batches = delivering(&world);
    let event_of_job = event(&[&job]);
    let mut running = Box::pin(batches.run(event_of_job, deadline));
    tokio::select! {
        _ = &mut running => panic!("it is slow"),
        () = idle() => world.clock.set(deadline - DRAIN_MARGIN),
    }
    tokio::select! {
        _ = &mut running => panic!("it is slow"),
        () = idle() => {}
    }
    world.transport.slow.send_replace(1);
    assert_eq!(failed(&drive(&world.clock, running).await), ["m0"]);
    assert_eq!((world.taken("ok@slow.example"), world.taken("ok2@slow.example")), (1, 0));
    assert_eq!(releases(&world), [("r0".to_owned(), Duration::ZERO)]);
    // whoever gets it next does what is left
    world.transport.slow.send_replace(1);
    let answer = batches.run(event(&[&job]), world.now() + Duration::from_secs(300));
    assert!(failed(&drive(&world.clock, answer).await).is_empty());
    assert_eq!((world.taken("ok@slow.example"), world.taken("ok2@slow.example")), (1, 1));
}

#[tokio::test]
async fn a_sweep_tells_what_it_did_and_fails_its_invocation_where_it_could_not() {
    let world = World::new();
    let clock: Arc<dyn Clock> = world.clock.clone();
    assert_eq!(world.run_job(vec![delivery("a.example", &["flaky"])], false).await, Verdict::Done);
    world.outbound.take_all();
    world.clock.advance(Duration::from_secs(3600));
    let sweep = world.sweep(SweepSettings::default());
    *world.outbound.send_failures.lock().unwrap() = 1;
    let deadline = world.now() + Duration::from_secs(60);
    let error = sweep_within(&sweep, &clock, deadline).await.unwrap_err();
    assert!(error.contains("told to fail"), "{error}");
    world.clock.advance(crate::limits::SWEEP_LEASE);
    let deadline = world.now() + Duration::from_secs(60);
    let told = sweep_within(&sweep, &clock, deadline).await.unwrap();
    assert_eq!(told, json!({ "sent": 1, "forgotten": 0, "packs_deleted": 0 }));
    // one that hangs ends before the deadline
    let _stopped = world.gate.stop_at(1);
    let deadline = world.now() + Duration::from_secs(60);
    world.clock.advance(Duration::ZERO);
    let hung = sweep_within(&sweep, &clock, deadline);
    assert!(drive(&world.clock, hung).await.is_err() && world.now() < deadline);
}

#[tokio::test]
async fn an_invocation_rests_once_its_work_is_done_and_before_its_answer() {
    let world = World::new();
    let stage = Arc::new(Obedient::default());
    let seen_at_rest = Arc::new(Mutex::new(Vec::new()));
    let (working, noted) = (Arc::clone(&stage), Arc::clone(&seen_at_rest));
    let batches = batches(&world, move |_| stage.clone()).resting_by(move || {
        let (working, noted) = (Arc::clone(&working), Arc::clone(&noted));
        Box::pin(async move {
            tokio::task::yield_now().await;
            let running = working.running.load(Ordering::Relaxed);
            noted.lock().unwrap().push((running, working.seen.lock().unwrap().len()));
        })
    });
    for invocation in 1..=2 {
        let deadline = world.now() + Duration::from_secs(300);
        drive(&world.clock, batches.run(event(&["done", "again", "done"]), deadline)).await;
        assert_eq!(seen_at_rest.lock().unwrap().len(), invocation);
    }
    assert_eq!(*seen_at_rest.lock().unwrap(), [(0, 3), (0, 6)]);
}
