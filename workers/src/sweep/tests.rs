use std::time::Duration;

use bytes::Bytes;
use shared::job::{DELIVERIES_MAX, DeliverJob, Job};
use shared::mail::PackId;

use super::{PackRetention, SweepSettings};
use crate::Verdict;
use crate::limits::SWEEP_LEASE;
use crate::testing::{World, delivery, drive};

/// A world in which `count` deliveries to each domain were deferred, and their retries were lost.
async fn deferred(domains: &[&str], count: u16) -> World {
    let world = World::new();
    for domain in domains {
        for part in 0..count {
            let mut one = delivery(domain, &["flaky"]);
            one.key.part = part;
            assert_eq!(world.run_job(vec![one], false).await, Verdict::Done);
        }
    }
    world.outbound.take_all();
    world.clock.advance(Duration::from_secs(3600));
    world
}

fn sent(world: &World) -> Vec<DeliverJob> {
    world.outbound.take_all().iter().map(|job| DeliverJob::decode(&job.body).unwrap()).collect()
}

#[tokio::test]
async fn what_is_due_goes_out_by_destination_and_is_checked() {
    let world = deferred(&["a.example", "b.example"], 70).await;
    let report = world.sweep(SweepSettings::default()).run_once().await;
    assert_eq!((report.sent, report.errors), (140, vec![]));
    let jobs = sent(&world);
    assert_eq!(jobs.iter().map(|job| job.deliveries.len()).sum::<usize>(), 140);
    for job in &jobs {
        assert!(job.check && job.deliveries.len() <= DELIVERIES_MAX);
        assert!(job.deliveries.iter().all(|one| one.key.domain == job.deliveries[0].key.domain));
    }
    assert_eq!(jobs.len(), 6);
}

#[tokio::test]
async fn jobs_stay_within_the_size_of_a_job() {
    let mut large = delivery("a.example", &["ok"]);
    large.prefix = "X-Large: x\r\n".repeat(5_000);
    let jobs = crate::deliver::to_jobs(vec![large; 10]);
    assert_eq!(jobs.iter().map(|job| job.deliveries.len()).collect::<Vec<_>>(), [2, 2, 2, 2, 2]);
    assert!(jobs.iter().all(|job| job.encode().len() <= shared::job::JOB_OCTETS_MAX));
}

#[tokio::test]
async fn killed_at_any_line_the_sweep_loses_nothing() {
    let mut line = 0;
    loop {
        line += 1;
        let world = deferred(&["a.example"], 3).await;
        let stopped = world.gate.stop_at(line);
        let sweep = world.sweep(SweepSettings { shards: 64, ..Default::default() });
        let killed = tokio::select! {
            biased;
            () = stopped.cancelled() => true,
            _ = drive(&world.clock, sweep.run_once()) => false,
        };
        world.gate.open();
        let before: usize = sent(&world).iter().map(|job| job.deliveries.len()).sum();
        world.clock.advance(SWEEP_LEASE);
        // the jobs are thrown away here: not even then is a delivery lost
        let report = world.sweep(SweepSettings::default()).run_once().await;
        assert_eq!(report.sent, 3, "line {line}: {before} went before");
        if !killed {
            return;
        }
    }
}

#[tokio::test]
async fn what_cannot_be_sent_is_reported_and_sent_after_the_lease() {
    let world = deferred(&["a.example"], 3).await;
    *world.outbound.send_failures.lock().unwrap() = 1;
    let sweep = world.sweep(SweepSettings::default());
    let report = sweep.run_once().await;
    assert_eq!((report.sent, report.errors.len()), (0, 1));
    assert_eq!(sweep.run_once().await.sent, 0);
    world.clock.advance(SWEEP_LEASE);
    assert_eq!(sweep.run_once().await.sent, 3);
}

#[tokio::test]
async fn a_pack_of_held_mail_ages_from_its_release() {
    let world = World::new();
    let hold = Duration::from_secs(30 * 24 * 3600);
    let PackRetention { keep, pause } = PackRetention::default();
    let held = PackId::derived(world.now(), "held").held(world.now() + hold);
    world.spool.packs.lock().unwrap().insert(held, (world.now(), Bytes::new()));
    world.clock.advance(hold + keep);
    let sweep = world.sweep(SweepSettings::default());
    let kept = || world.spool.packs.lock().unwrap().contains_key(&held);
    world.clock.set(world.now() - pause);
    let early = world.sweep(SweepSettings::default());
    world.clock.advance(pause);
    early.run_once().await;
    assert!(kept(), "its messages may be tried still");
    world.clock.advance(pause);
    sweep.run_once().await;
    assert!(!kept());
}

#[tokio::test]
async fn packs_are_deleted_by_age_and_not_before_the_first_hour() {
    let world = World::new();
    let keep = PackRetention::default().keep;
    let old = PackId::derived(world.now(), "old");
    let young = PackId::derived(world.now(), "young");
    let put = |id| world.spool.packs.lock().unwrap().insert(id, (world.now(), Bytes::new()));
    put(old);
    world.clock.advance(keep);
    put(young);
    world.clock.advance(Duration::from_millis(1));
    let sweep = world.sweep(SweepSettings::default());
    assert_eq!(sweep.run_once().await.packs_deleted, 0);
    world.clock.advance(PackRetention::default().pause);
    // the original of the test's world is old as well
    assert_eq!(sweep.run_once().await.packs_deleted, 2);
    assert_eq!(world.spool.packs.lock().unwrap().keys().copied().collect::<Vec<_>>(), [young]);
    let off = world.sweep(SweepSettings { packs: None, ..Default::default() });
    world.clock.advance(keep * 2);
    assert_eq!(off.run_once().await.packs_deleted, 0);
}
