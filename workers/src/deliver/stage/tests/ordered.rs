//! Orders of operators: obeyed before an attempt, whether the delivery has an item or only a job.

use std::time::Duration;

use shared::directory::Filter;
use shared::job::{DeliverJob, Job};
use shared::mail::Notify;
use shared::order::Hand;
use shared::port::RecipientStatus::{Bounced, Deferred, Delivered};

use crate::limits::{LEASE, ORDERED_PAUSE, ORDERS_FRESH, ORDERS_SETTLE};
use crate::sweep::SweepSettings;
use crate::testing::{World, delivery, drive, idle};
use crate::{Stage, Verdict};

const HOUR: Duration = Duration::from_secs(3600);

fn to(domain: &str) -> Filter {
    Filter { destination: Some(domain.parse().unwrap()), ..Filter::default() }
}

fn hold() -> Hand {
    Hand::Hold { until: None }
}

fn bounce() -> Hand {
    Hand::Bounce { reason: "sent by mistake".to_owned() }
}

#[tokio::test]
async fn what_is_in_a_queue_only_is_held_and_released_and_sent_once() {
    let world = World::new();
    world.give(hold(), to("a.example")).await;
    let job = DeliverJob::new(vec![delivery("a.example", &["ok"]), delivery("b.example", &["ok"])], false);
    assert_eq!(world.run(&job.encode()).await, Verdict::Done);
    assert_eq!((world.taken("ok@a.example"), world.taken("ok@b.example")), (0, 1));
    assert_eq!(world.statuses("a.example"), [Deferred]);
    // held, it is not swept up; and its job, should it come again, does nothing
    world.clock.advance(HOUR * 24);
    assert_eq!(world.sweep(SweepSettings::default()).run_once().await.sent, 0);
    assert_eq!(world.run(&job.encode()).await, Verdict::Done);
    world.give_and_apply(Hand::Release, to("a.example")).await;
    world.run_to_the_end().await;
    assert_eq!(world.run(&job.encode()).await, Verdict::Done);
    assert_eq!((world.taken("ok@a.example"), world.taken("ok@b.example")), (1, 1));
}

#[tokio::test]
async fn a_delayed_job_finds_the_hold_and_the_release() {
    let world = World::new();
    assert_eq!(world.run_job(vec![delivery("a.example", &["flaky"])], false).await, Verdict::Done);
    let delayed = world.outbound.take_all().remove(0).body;
    world.give_and_apply(hold(), to("a.example")).await;
    assert_eq!(world.run(&delayed).await, Verdict::Done);
    assert_eq!(world.statuses("a.example"), [Deferred]);
    world.give_and_apply(Hand::Release, to("a.example")).await;
    assert_eq!(world.sweep(SweepSettings::default()).run_once().await.sent, 1);
    let swept = world.outbound.take_all().remove(0).body;
    for body in [&swept, &delayed, &swept] {
        world.run_until_done(body).await;
    }
    assert_eq!((world.statuses("a.example"), world.taken("flaky@a.example")), (vec![Delivered], 1));
}

#[tokio::test]
async fn a_lease_that_was_taken_before_the_hold_sends_nothing() {
    let world = World::new();
    assert_eq!(world.run_job(vec![delivery("a.example", &["flaky"])], false).await, Verdict::Done);
    world.outbound.take_all();
    world.clock.advance(HOUR);
    assert_eq!(world.sweep(SweepSettings::default()).run_once().await.sent, 1);
    world.give_and_apply(hold(), to("a.example")).await;
    let leased = world.outbound.take_all().remove(0).body;
    assert_eq!(world.run(&leased).await, Verdict::Done);
    // and the lease does not bring it back
    world.clock.advance(HOUR);
    assert_eq!(world.sweep(SweepSettings::default()).run_once().await.sent, 0);
    assert_eq!(world.taken("flaky@a.example"), 0);
}

#[tokio::test]
async fn what_is_bounced_is_not_sent_and_its_sender_is_told_by_whom() {
    let (mut quiet, mut nobodys) = (delivery("b.example", &["ok"]), delivery("c.example", &["ok"]));
    quiet.recipients[0].notify = Some(Notify::default());
    nobodys.from = shared::mail::ReversePath::Null;
    let world = World::new();
    world.give(bounce(), Filter::default()).await;
    let job = vec![delivery("a.example", &["ok", "later"]), quiet, nobodys];
    assert_eq!(world.run_job(job, false).await, Verdict::Done);
    assert_eq!(world.statuses("a.example"), [Bounced, Bounced]);
    assert_eq!((world.statuses("b.example"), world.statuses("c.example")), (vec![Bounced], vec![Bounced]));
    assert!(world.transport.begun.lock().unwrap().is_empty());
    assert_eq!(world.actions(), ["failed", "failed"]);
    let report = String::from_utf8_lossy(&world.reports()[0]).into_owned();
    assert!(report.contains("Status: 5.0.0"), "{report}");
    assert!(report.contains("returned by the operator: sent by mistake"), "{report}");
}

#[tokio::test]
async fn of_a_bounce_and_an_attempt_that_race_one_wins() {
    for name in ["ok", "later"] {
        let world = World::new();
        // a first attempt that is deferred, and a second one that is under way
        let mut one = delivery("slow.example", &["ok"]);
        one.recipients = delivery("slow.example", &[name]).recipients;
        let body = DeliverJob::new(vec![one.clone()], true).encode();
        world.deliveries.order_untried(&one).await;
        let worker = world.worker();
        let mut run = worker.run(&body);
        tokio::select! {
            _ = &mut run => panic!("it is slow"),
            () = idle() => {}
        }
        world.give_and_apply(bounce(), to("slow.example")).await;
        // the sweep sends it at once, and whoever gets that job waits for the attempt to end
        world.sweep(SweepSettings::default()).run_once().await;
        let swept = world.outbound.take_all().remove(0).body;
        assert!(matches!(world.run(&swept).await, Verdict::Again { .. }));
        world.transport.slow.send_replace(1);
        drive(&world.clock, run).await;
        world.transport.slow.send_replace(100);
        world.run_until_done(&swept).await;
        world.run_to_the_end().await;
        let expected = if name == "ok" { (Delivered, 0, 1) } else { (Bounced, 1, 0) };
        let address = format!("{name}@slow.example");
        let found = (world.statuses("slow.example")[0], world.reports().len(), world.taken(&address));
        assert_eq!(found, expected);
        assert_eq!(world.transport.begun.lock().unwrap().len(), 1, "no further attempt is made");
    }
}

#[tokio::test]
async fn killed_at_any_line_a_bounce_is_told_once_and_a_hold_sends_nothing() {
    for hand in [bounce(), hold()] {
        for check in [false, true] {
            let mut line = 0;
            loop {
                line += 1;
                let world = World::new();
                let body = DeliverJob::new(vec![delivery("a.example", &["ok"])], check).encode();
                world.give(hand.clone(), to("a.example")).await;
                let killed = super::crashes::killed_at(&world, line, &body).await;
                if killed {
                    world.run_until_done(&body).await;
                }
                assert_eq!(world.taken("ok@a.example"), 0, "line {line}");
                if hand == hold() {
                    world.give_and_apply(Hand::Release, to("a.example")).await;
                }
                world.run_to_the_end().await;
                let expected = if hand == hold() { (Delivered, 0, 1) } else { (Bounced, 1, 0) };
                let found =
                    (world.statuses("a.example")[0], world.reports().len(), world.taken("ok@a.example"));
                assert_eq!(found, expected, "line {line}");
                if !killed {
                    break;
                }
            }
            assert!(line > 8, "the worker crosses more lines than {line}");
        }
    }
}

#[tokio::test]
async fn a_route_that_was_ordered_is_gone_by_from_the_next_attempt_on() {
    let world = World::new();
    let reroute = Hand::Reroute { route: "smtp://other.example:2525".to_owned() };
    assert_eq!(world.run_job(vec![delivery("a.example", &["flaky"])], false).await, Verdict::Done);
    world.give_and_apply(reroute.clone(), to("a.example")).await;
    world.run_to_the_end().await;
    world.give(reroute, to("b.example")).await;
    world.clock.advance(ORDERS_FRESH);
    assert_eq!(world.run_job(vec![delivery("b.example", &["later"])], false).await, Verdict::Done);
    let calls: Vec<String> =
        world.transport.calls.lock().unwrap().iter().map(|(route, _)| route.clone()).collect();
    assert_eq!(calls, ["mx", "smtp://other.example:2525", "smtp://other.example:2525"]);
    assert_eq!((world.statuses("a.example"), world.statuses("b.example")), (vec![Delivered], vec![Deferred]));
    world.advance_and_run().await;
    world.advance_and_run().await;
    let calls = world.transport.calls.lock().unwrap();
    assert_eq!(calls.last().unwrap().0, "smtp://other.example:2525");
    assert!(calls.len() > 3);
}

#[tokio::test]
async fn an_order_may_name_smart_hosts_and_one_for_unknown_ones_is_not_gone_by() {
    let world = World::new();
    for (domain, name) in [("a.example", "relay"), ("b.example", "gone")] {
        world.give(Hand::Reroute { route: format!("smart_host:{name}") }, to(domain)).await;
    }
    for domain in ["a.example", "b.example"] {
        assert_eq!(world.run_job(vec![delivery(domain, &["ok"])], false).await, Verdict::Done);
    }
    let calls: Vec<String> =
        world.transport.calls.lock().unwrap().iter().map(|(route, _)| route.clone()).collect();
    assert_eq!(calls, ["smart_host:relay", "mx"]);
    assert_eq!(
        (world.statuses("a.example"), world.statuses("b.example")),
        (vec![Delivered], vec![Delivered])
    );
}

#[tokio::test]
async fn a_retry_is_made_at_once_and_only_once() {
    let world = World::new();
    assert_eq!(world.run_job(vec![delivery("a.example", &["flaky"])], false).await, Verdict::Done);
    let delayed = world.outbound.take_all().remove(0).body;
    world.give_and_apply(Hand::Retry, to("a.example")).await;
    assert_eq!(world.sweep(SweepSettings::default()).run_once().await.sent, 1);
    world.run_to_the_end().await;
    assert_eq!(world.taken("flaky@a.example"), 1);
    assert_eq!(world.run(&delayed).await, Verdict::Done);
    assert_eq!(world.taken("flaky@a.example"), 1);
    let state = world.deliveries.state(&delivery("a.example", &["flaky"]).key).unwrap();
    assert_eq!((state.attempts.len(), state.orders.len()), (2, 1));
}

#[tokio::test]
async fn what_grows_old_in_a_hold_goes_back_to_its_sender() {
    let world = World::new();
    world.give(hold(), to("a.example")).await;
    assert_eq!(world.run_job(vec![delivery("a.example", &["ok"])], false).await, Verdict::Done);
    world.run_to_the_end().await;
    assert_eq!((world.statuses("a.example"), world.taken("ok@a.example")), (vec![Bounced], 0));
    let report = String::from_utf8_lossy(&world.reports()[0]).into_owned();
    assert!(report.contains("Status: 4.4.7") && report.contains("held by the operator"), "{report}");
}

#[tokio::test]
async fn a_hold_with_an_end_ends_by_itself() {
    let world = World::new();
    world.give(Hand::Hold { until: Some(world.now() + HOUR) }, to("a.example")).await;
    assert_eq!(world.run_job(vec![delivery("a.example", &["ok"])], false).await, Verdict::Done);
    world.clock.advance(HOUR / 2);
    world.advance_and_run().await;
    assert_eq!(world.taken("ok@a.example"), 0);
    world.clock.advance(HOUR / 2);
    world.advance_and_run().await;
    assert_eq!(world.taken("ok@a.example"), 1);
}

#[tokio::test]
async fn an_order_stops_what_a_running_job_has_not_begun() {
    let world = World::new();
    let mut second = delivery("slow.example", &["ok2"]);
    second.key.part = 1;
    let body = DeliverJob::new(vec![delivery("slow.example", &["ok"]), second], false).encode();
    let worker = world.worker();
    let mut run = worker.run(&body);
    tokio::select! {
        _ = &mut run => panic!("it is slow"),
        () = idle() => {}
    }
    world.give(hold(), to("slow.example")).await;
    // within a minute, whatever the server does
    for _ in 0..3 {
        world.clock.advance(LEASE / 3);
        tokio::select! {
            _ = &mut run => panic!("it is slow"),
            () = idle() => {}
        }
    }
    world.transport.slow.send_replace(100);
    assert_eq!(drive(&world.clock, run).await, Verdict::Again { after: ORDERED_PAUSE });
    assert_eq!((world.taken("ok@slow.example"), world.taken("ok2@slow.example")), (1, 0));
    assert_eq!(world.run(&body).await, Verdict::Done);
    assert_eq!((world.taken("ok@slow.example"), world.taken("ok2@slow.example")), (1, 0));
}

#[tokio::test]
async fn the_sweep_puts_an_order_on_what_was_recorded_behind_its_givers_back() {
    let world = World::new();
    // the order is written, and its giver goes away
    world.give(bounce(), to("a.example")).await;
    world.deliveries.order_untried(&delivery("a.example", &["ok"])).await;
    let sweep = world.sweep(SweepSettings::default());
    assert_eq!(sweep.run_once().await.ordered, 1);
    assert_eq!(sweep.run_once().await.ordered, 0);
    world.run_to_the_end().await;
    assert_eq!((world.statuses("a.example"), world.taken("ok@a.example")), (vec![Bounced], 0));
    world.clock.advance(ORDERS_SETTLE + HOUR * 24 * 30);
    sweep.run_once().await;
    assert!(world.orders().await.is_empty(), "an order that is over is deleted");
}

#[tokio::test]
async fn orders_are_read_now_and_then_and_known_ones_outlast_a_failure() {
    let world = World::new();
    let worker = world.worker();
    let reads = || *world.directory.reads.lock().unwrap();
    let job = |domain: &str| DeliverJob::new(vec![delivery(domain, &["ok"])], false).encode();
    *world.directory.failures.lock().unwrap() = 4;
    let verdict = drive(&world.clock, worker.run(&job("a.example"))).await;
    assert!(matches!(verdict, Verdict::Again { .. }), "nobody knows what is ordered");
    world.give(hold(), to("c.example")).await;
    let before = reads();
    for domain in ["a.example", "b.example"] {
        assert_eq!(drive(&world.clock, worker.run(&job(domain))).await, Verdict::Done);
    }
    assert_eq!(reads(), before + 1);
    world.clock.advance(ORDERS_FRESH);
    *world.directory.failures.lock().unwrap() = 1;
    assert_eq!(drive(&world.clock, worker.run(&job("c.example"))).await, Verdict::Done);
    assert_eq!(world.taken("ok@c.example"), 0);
}
