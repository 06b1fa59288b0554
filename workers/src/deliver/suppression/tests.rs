use std::time::Duration;

use shared::port::RecipientStatus::{Bounced, Delivered, Suppressed};

use super::*;
use crate::Verdict;
use crate::testing::{World, delivery};

fn submission(domain: &str, names: &[&str]) -> Delivery {
    Delivery { signed: vec!["s._domainkey.sender.example".to_owned()], ..delivery(domain, names) }
}

fn entry(world: &World, address: &str) -> SuppressionEntry {
    let (tenant, address) = (TenantId::default(), address.parse().unwrap());
    SuppressionEntry::new(tenant, address, SuppressionReason::HardBounce, "550 5.1.1 gone", world.now())
}

async fn suppress(world: &World, entry: SuppressionEntry) {
    world.directory.put(Entry::from(entry)).await.unwrap();
}

/// The entries there are, by address and reason.
fn suppressed(world: &World) -> Vec<String> {
    let entries = world.directory.entries.lock().unwrap();
    let entries = entries.values().map(|entry| SuppressionEntry::try_from(entry.clone()).unwrap());
    entries.map(|entry| format!("{} {} {}", entry.tenant, entry.address, entry.reason)).collect()
}

#[tokio::test]
async fn a_suppressed_recipient_is_not_tried_and_its_sender_is_told() {
    let world = World::new();
    suppress(&world, entry(&world, "OK2@a.example")).await;
    let job = vec![submission("a.example", &["ok1", "ok2", "never", "ok3"])];
    assert_eq!(world.run_job(job, false).await, Verdict::Done);
    assert_eq!(world.statuses("a.example"), [Delivered, Suppressed, Bounced, Delivered]);
    assert_eq!([world.taken("ok1@a.example"), world.taken("ok2@a.example")], [1, 0]);
    assert_eq!(world.actions(), ["failed", "failed"]);
    let [report] = &world.reports()[..] else { panic!("one report tells of both") };
    let report = String::from_utf8_lossy(report);
    assert!(report.contains("not tried: suppressed since") && report.contains("550 5.1.1 gone"), "{report}");
}

#[tokio::test]
async fn where_all_are_suppressed_no_server_is_asked() {
    let world = World::new();
    for name in ["ok1", "ok2"] {
        suppress(&world, entry(&world, &format!("{name}@a.example"))).await;
    }
    let job = vec![submission("a.example", &["ok1", "ok2"]), submission("b.example", &["ok1"])];
    assert_eq!(world.run_job(job, false).await, Verdict::Done);
    assert_eq!(world.statuses("a.example"), [Suppressed; 2]);
    assert_eq!(world.statuses("b.example"), [Delivered]);
    assert_eq!(*world.transport.begun.lock().unwrap(), ["b.example 1"]);
    assert_eq!(world.actions(), ["failed", "failed"]);
    // and the same job again, by a queue that delivers it twice, tells nobody again
    let again = vec![submission("a.example", &["ok1", "ok2"])];
    world.run_job(again, true).await;
    assert_eq!(world.reports().len(), 1);
}

#[tokio::test]
async fn a_retry_is_not_made_once_its_recipient_is_suppressed() {
    let world = World::new();
    assert_eq!(world.run_job(vec![submission("a.example", &["later"])], false).await, Verdict::Done);
    suppress(&world, entry(&world, "later@a.example")).await;
    world.clock.advance(crate::limits::SUPPRESSIONS_KEPT);
    world.run_to_the_end().await;
    assert_eq!(world.statuses("a.example"), [Suppressed]);
    assert_eq!(world.transport.begun.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn an_address_that_hard_bounces_is_suppressed_for_its_tenant_at_once() {
    let world = World::new();
    let worker = world.worker();
    let run = async |tenant: &str, name: &str| {
        let mut delivery = submission("a.example", &[name]);
        delivery.tenant = TenantId(tenant.to_owned());
        delivery.key.message.n = u32::try_from(world.reports().len()).unwrap() + 1;
        let body = shared::job::Job::encode(&shared::job::DeliverJob::new(vec![delivery], false));
        assert_eq!(
            crate::testing::drive(&world.clock, crate::Stage::run(&worker, &body)).await,
            Verdict::Done
        );
    };
    run("shop", "never1").await;
    assert_eq!(suppressed(&world), ["shop never1@a.example hard-bounce"]);
    let begun = || world.transport.begun.lock().unwrap().len();
    assert_eq!(begun(), 1);
    run("shop", "NEVER1").await;
    assert_eq!(begun(), 1, "the next message is not tried");
    run("other", "never1").await;
    assert_eq!(begun(), 2, "it is another tenant's business");
    assert_eq!(suppressed(&world).len(), 2);
}

#[tokio::test]
async fn nothing_is_suppressed_that_should_not_be() {
    let world = World::new();
    // deferred, delivered, discarded, and mail that a stranger sent in
    let job = vec![submission("a.example", &["later", "ok", "gone"]), delivery("b.example", &["never"])];
    world.run_job(job, false).await;
    assert!(suppressed(&world).is_empty());
    suppress(&world, entry(&world, "ok@c.example")).await;
    world.run_job(vec![delivery("c.example", &["ok"])], false).await;
    assert_eq!(world.statuses("c.example"), [Delivered], "a stranger's mail goes to those who are listed");
    let settings = SuppressionSettings { hard_bounces: false, ..SuppressionSettings::default() };
    let off = world.suppressions(settings);
    let tenant = TenantId("shop".to_owned());
    assert!(
        !off.adds(&tenant, SuppressionReason::HardBounce) && off.adds(&tenant, SuppressionReason::Complaint)
    );
    let exempt = SuppressionSettings { exempt: vec![tenant.clone()], ..SuppressionSettings::default() };
    let exempt = world.suppressions(exempt);
    assert!(!exempt.adds(&tenant, SuppressionReason::HardBounce));
    assert!(exempt.adds(&TenantId::default(), SuppressionReason::HardBounce));
}

#[tokio::test]
async fn the_first_reason_stays_and_one_that_is_over_is_replaced() {
    let world = World::new();
    let own = world.suppressions(SuppressionSettings::default());
    let mut by_hand = entry(&world, "ok@a.example");
    by_hand.reason = SuppressionReason::Manual;
    by_hand.expires = Some(world.now() + Duration::from_secs(60));
    suppress(&world, by_hand).await;
    own.add(entry(&world, "ok@a.example")).await.unwrap();
    assert_eq!(suppressed(&world), ["default ok@a.example manual"]);
    let tried = submission("a.example", &["ok"]);
    assert_eq!(own.of(&tried).await.unwrap().len(), 1);
    world.clock.advance(Duration::from_secs(60));
    assert!(own.of(&tried).await.unwrap().is_empty(), "it is over");
    own.add(entry(&world, "ok@a.example")).await.unwrap();
    assert_eq!(suppressed(&world), ["default ok@a.example hard-bounce"]);
}

#[tokio::test]
async fn a_tenant_without_suppressions_costs_one_look_in_a_while() {
    let world = World::new();
    let own = world.suppressions(SuppressionSettings::default());
    let tried = submission("a.example", &["ok1", "ok2", "ok3"]);
    for _ in 0..100 {
        assert!(own.of(&tried).await.unwrap().is_empty());
    }
    assert_eq!(*world.directory.reads.lock().unwrap(), 1);
    world.clock.advance(crate::limits::SUPPRESSIONS_KEPT);
    suppress(&world, entry(&world, "ok2@a.example")).await;
    let found = own.of(&tried).await.unwrap();
    assert_eq!(found.iter().map(|(place, _)| *place).collect::<Vec<_>>(), [1]);
}

#[tokio::test]
async fn while_the_suppressions_cannot_be_read_nothing_is_sent_and_the_job_comes_back() {
    let world = World::new();
    suppress(&world, entry(&world, "ok2@a.example")).await;
    world.directory.broken.store(true, std::sync::atomic::Ordering::Relaxed);
    let body = shared::job::Job::encode(&shared::job::DeliverJob::new(
        vec![submission("a.example", &["ok1", "ok2"])],
        false,
    ));
    assert!(matches!(world.run(&body).await, Verdict::Again { .. }));
    assert!(world.transport.begun.lock().unwrap().is_empty());
    world.directory.broken.store(false, std::sync::atomic::Ordering::Relaxed);
    world.run_until_done(&body).await;
    assert_eq!(world.statuses("a.example"), [Delivered, Suppressed]);
}
