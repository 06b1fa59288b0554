use std::time::Duration;

use shared::job::{DeliverJob, Job};
use shared::mail::ReversePath;
use shared::port::RecipientStatus::{Bounced, Deferred, Delivered, Discarded};

use super::groups::Groups;
use crate::deliver::{Route, Routes};
use crate::limits::{RECORD_ROUNDS, RECORD_TRIES};
use crate::testing::{Fault, World, delivery, drive, idle};
use crate::{Stage, Verdict};

mod crashes;
mod gathered;
mod news;
mod ordered;
mod shaped;
mod shapes;

#[tokio::test]
async fn the_ordinary_job_costs_one_claim_and_one_write() {
    let world = World::new();
    let job = vec![delivery("a.example", &["ok"]), delivery("b.example", &["ok", "gone"])];
    assert_eq!(world.run_job(job, false).await, Verdict::Done);
    assert_eq!(world.statuses("a.example"), [Delivered]);
    assert_eq!(world.statuses("b.example"), [Delivered, Discarded]);
    assert_eq!(*world.deliveries.writes.lock().unwrap(), [2]);
    assert_eq!(*world.deliveries.claim_calls.lock().unwrap(), 1);
    assert!(world.reports().is_empty());
}

#[tokio::test]
async fn deliveries_that_can_share_a_connection_do() {
    let world = World::new();
    let mut other_part = delivery("a.example", &["ok2"]);
    other_part.key.part = 1;
    let job = vec![
        delivery("a.example", &["ok"]),
        other_part,
        delivery("b.example", &["ok"]),
        delivery("x.smart.example", &["ok"]),
        delivery("y.smart.example", &["ok"]),
    ];
    assert_eq!(world.run_job(job, false).await, Verdict::Done);
    let mut calls = world.transport.calls.lock().unwrap().clone();
    calls.sort();
    let relay = "smtp://relay.example:25".to_owned();
    assert_eq!(calls, [("mx".to_owned(), 1), ("mx".to_owned(), 2), (relay, 2)]);
}

#[test]
fn what_is_discarded_goes_by_its_own_rule_each() {
    let mut routes = Routes::new(Route::Inbox);
    for pattern in ["a.example", "*.example"] {
        routes.add(pattern, Route::Discard).unwrap();
    }
    let job = ["a.example", "b.example", "c.example"].map(|domain| delivery(domain, &["gone"]));
    let (groups, loads) = Groups::new(&routes, &[], job.into());
    let rules: Vec<&str> = groups.iter().map(|group| group.rule.pattern).collect();
    assert_eq!((rules, loads.iter().map(Vec::len).collect()), (vec!["a.example", "*.example"], vec![1, 2]));
}

#[tokio::test]
async fn a_slow_destination_holds_no_outcome_of_another_up() {
    let world = World::new();
    let body =
        DeliverJob::new(vec![delivery("slow.example", &["ok"]), delivery("b.example", &["ok"])], false);
    let (worker, body) = (world.worker(), body.encode());
    let mut run = worker.run(&body);
    tokio::select! {
        _ = &mut run => panic!("the slow one has no outcome yet"),
        () = idle() => {}
    }
    assert_eq!(world.statuses("b.example"), [Delivered]);
    world.transport.slow.send_replace(1);
    assert_eq!(drive(&world.clock, run).await, Verdict::Done);
    assert_eq!(world.statuses("slow.example"), [Delivered]);
}

#[tokio::test]
async fn a_job_that_the_queue_delivers_twice_is_done_once() {
    let world = World::new();
    let job = vec![delivery("a.example", &["ok", "never"])];
    assert_eq!(world.run_job(job.clone(), false).await, Verdict::Done);
    assert_eq!(world.run_job(job, false).await, Verdict::Done);
    assert_eq!((world.taken("ok@a.example"), world.reports().len()), (1, 1));
}

#[tokio::test]
async fn of_two_workers_with_one_job_the_second_waits_out_the_first() {
    let world = World::new();
    let body = DeliverJob::new(vec![delivery("slow.example", &["ok"])], false).encode();
    let first = world.worker();
    let mut run = first.run(&body);
    tokio::select! {
        _ = &mut run => panic!("it is slow"),
        () = idle() => {}
    }
    let Verdict::Again { after } = world.worker().run(&body).await else { panic!("it is held") };
    assert_eq!(after, crate::limits::LEASE);
    world.transport.slow.send_replace(1);
    assert_eq!(drive(&world.clock, run).await, Verdict::Done);
    assert_eq!(world.run(&body).await, Verdict::Done);
    assert_eq!(world.taken("ok@slow.example"), 1);
}

#[tokio::test]
async fn a_claim_is_renewed_for_as_long_as_the_job_runs() {
    let world = World::new();
    let body = DeliverJob::new(vec![delivery("slow.example", &["ok"])], false).encode();
    let first = world.worker();
    let mut run = first.run(&body);
    for _ in 0..20 {
        tokio::select! {
            _ = &mut run => panic!("it is slow"),
            () = idle() => world.clock.advance(crate::limits::LEASE / 3),
        }
    }
    tokio::select! {
        _ = &mut run => panic!("it is slow"),
        () = idle() => {}
    }
    assert!(matches!(world.worker().run(&body).await, Verdict::Again { .. }));
    world.transport.slow.send_replace(1);
    assert_eq!(drive(&world.clock, run).await, Verdict::Done);
}

#[tokio::test]
async fn two_different_jobs_with_one_delivery_send_it_once() {
    let world = World::new();
    let both = vec![delivery("slow.example", &["ok"]), delivery("b.example", &["ok"])];
    let one = DeliverJob::new(vec![delivery("slow.example", &["ok"])], true).encode();
    let two = DeliverJob::new(both, true).encode();
    let first = world.worker();
    let mut run = first.run(&one);
    tokio::select! {
        _ = &mut run => panic!("it is slow"),
        () = idle() => {}
    }
    // the delivery that is free is made, and the job comes back for the other one
    assert!(matches!(world.worker().run(&two).await, Verdict::Again { .. }));
    assert_eq!(world.statuses("b.example"), [Delivered]);
    world.transport.slow.send_replace(1);
    assert_eq!(drive(&world.clock, run).await, Verdict::Done);
    world.run_until_done(&two).await;
    assert_eq!((world.taken("ok@slow.example"), world.taken("ok@b.example")), (1, 1));
}

#[tokio::test]
async fn writes_that_fail_or_may_have_failed_are_repeated_and_nothing_is_sent_again() {
    for fault in [Fault::Refused, Fault::Lost] {
        let world = World::new();
        world.deliveries.record_faults.lock().unwrap().extend([fault; 5]);
        let job = vec![delivery("a.example", &["ok", "flaky"])];
        assert_eq!(world.run_job(job, false).await, Verdict::Done, "{fault:?}");
        assert_eq!(world.statuses("a.example"), [Delivered, Deferred]);
        world.run_to_the_end().await;
        assert_eq!((world.taken("ok@a.example"), world.taken("flaky@a.example")), (1, 1));
    }
}

#[tokio::test]
async fn an_outcome_outlasts_a_store_that_takes_nothing_for_half_an_hour() {
    let world = World::new();
    let began = world.now();
    let faults = [Fault::Refused; (RECORD_TRIES * RECORD_ROUNDS / 2) as usize];
    world.deliveries.record_faults.lock().unwrap().extend(faults);
    assert_eq!(world.run_job(vec![delivery("a.example", &["ok"])], false).await, Verdict::Done);
    assert!(world.now().since(began) > Duration::from_secs(25 * 60));
    assert_eq!((world.statuses("a.example"), world.taken("ok@a.example")), (vec![Delivered], 1));
}

#[tokio::test]
async fn a_job_whose_outcome_cannot_be_written_is_not_done_and_is_free_for_others() {
    let world = World::new();
    world
        .deliveries
        .record_faults
        .lock()
        .unwrap()
        .extend([Fault::Refused; (RECORD_TRIES * RECORD_ROUNDS) as usize]);
    let job = vec![delivery("a.example", &["ok"])];
    assert!(matches!(world.run_job(job.clone(), false).await, Verdict::Again { .. }));
    assert_eq!(world.run_job(job, false).await, Verdict::Done);
    assert_eq!(world.statuses("a.example"), [Delivered]);
}

#[tokio::test]
async fn only_who_is_deferred_is_tried_again_and_soon_retries_go_to_the_queue() {
    let world = World::new();
    let began = world.now();
    let job = vec![delivery("a.example", &["ok", "flaky", "never", "later"])];
    assert_eq!(world.run_job(job, false).await, Verdict::Done);
    assert_eq!(world.statuses("a.example"), [Delivered, Deferred, Bounced, Deferred]);
    let [retry] = &world.outbound.take_all()[..] else { panic!("one retry") };
    let job = DeliverJob::decode(&retry.body).unwrap();
    let next = &job.deliveries[0];
    let names: Vec<&str> = next.recipients.iter().map(|r| r.address.local_part()).collect();
    assert_eq!((job.check, next.attempt, names), (true, 2, vec!["flaky", "later"]));
    assert!((48..=72).contains(&retry.delay.as_secs()), "{:?}", retry.delay);
    let due = world.deliveries.state(&next.key).unwrap().due_at.unwrap();
    assert_eq!(due, began + retry.delay + crate::limits::RETRY_GRACE);
}

#[tokio::test]
async fn a_retry_that_the_queue_lost_is_found_by_the_sweep() {
    let world = World::new();
    *world.outbound.send_failures.lock().unwrap() = 1;
    assert_eq!(world.run_job(vec![delivery("a.example", &["flaky"])], false).await, Verdict::Done);
    assert_eq!(world.outbound.len(), 0);
    world.run_to_the_end().await;
    assert_eq!(world.statuses("a.example"), [Delivered]);
}

#[tokio::test]
async fn retries_for_one_destination_share_a_job() {
    let world = World::new();
    let parts = (0..30).map(|part| {
        let mut one = delivery("a.example", &[&format!("flaky{part}")]);
        one.key.part = part;
        one
    });
    assert_eq!(world.run_job(parts.collect(), false).await, Verdict::Done);
    let jobs = world.outbound.take_all();
    let carried: usize = jobs.iter().map(|job| DeliverJob::decode(&job.body).unwrap().deliveries.len()).sum();
    assert_eq!((jobs.len(), carried), (1, 30));
}

#[tokio::test]
async fn mail_that_is_always_deferred_expires_with_a_report() {
    let world = World::new();
    let first = delivery("a.example", &["later", "ok"]);
    let expires_at = first.expires_at;
    assert_eq!(world.run_job(vec![first.clone()], false).await, Verdict::Done);
    world.run_to_the_end().await;
    assert_eq!(world.statuses("a.example"), [Bounced, Delivered]);
    let state = world.deliveries.state(&first.key).unwrap();
    let reply = state.recipients[0].reply.as_ref().unwrap();
    assert_eq!(reply.status().to_string(), "4.4.7");
    assert!(reply.text().contains("greylisted"), "{reply}");
    let last = state.attempts.last().unwrap();
    assert!(last.began_at >= expires_at && last.began_at <= expires_at + Duration::from_secs(120));
    assert_eq!((world.reports().len(), world.inbound.len()), (1, 1));
    // 1, 5, 15, 30 min, 1, 2, 4 h, then every 4 h ± 20 % until five days
    assert!((30..=45).contains(&state.attempts.len()), "{}", state.attempts.len());
}

#[tokio::test]
async fn what_lay_in_the_queue_past_its_expiry_is_tried_once() {
    for (name, status) in [("ok", Delivered), ("later", Bounced)] {
        let world = World::new();
        world.clock.advance(Duration::from_secs(30 * 24 * 3600));
        assert_eq!(world.run_job(vec![delivery("a.example", &[name])], false).await, Verdict::Done);
        assert_eq!(world.statuses("a.example"), [status]);
        assert_eq!(world.transport.begun.lock().unwrap().len(), 1);
    }
}

#[tokio::test]
async fn nobody_is_told_of_mail_from_the_null_sender() {
    let world = World::new();
    let first = shared::job::Delivery { from: ReversePath::Null, ..delivery("a.example", &["never"]) };
    assert_eq!(world.run_job(vec![first.clone()], false).await, Verdict::Done);
    assert_eq!(world.statuses("a.example"), [Bounced]);
    let reply = world.deliveries.state(&first.key).unwrap().recipients[0].reply.clone().unwrap();
    assert!(reply.text().contains("null"), "{reply}");
    assert_eq!((world.reports().len(), world.inbound.len()), (0, 0));
}

#[tokio::test]
async fn a_sender_who_cannot_be_told_is_told_later_and_the_others_get_one_copy() {
    let world = World::new();
    *world.spool.put_failures.lock().unwrap() = crate::limits::PORT_TRIES;
    assert_eq!(world.run_job(vec![delivery("a.example", &["ok", "never"])], false).await, Verdict::Done);
    assert_eq!(world.statuses("a.example"), [Delivered, Deferred]);
    assert_eq!(world.reports().len(), 0);
    world.run_to_the_end().await;
    assert_eq!(world.statuses("a.example"), [Delivered, Bounced]);
    assert_eq!((world.reports().len(), world.taken("ok@a.example")), (1, 1));
}

#[tokio::test]
async fn a_drain_finishes_the_message_under_way_and_begins_no_other() {
    let world = World::new();
    let mut second = delivery("slow.example", &["ok2"]);
    second.key.part = 1;
    let job = vec![delivery("slow.example", &["ok"]), second];
    let body = DeliverJob::new(job, false).encode();
    let worker = world.worker();
    let mut run = worker.run(&body);
    tokio::select! {
        _ = &mut run => panic!("it is slow"),
        () = idle() => {}
    }
    world.drain.cancel();
    // a drain that is seen only when the first message is done may find the second one begun
    tokio::select! {
        _ = &mut run => panic!("it is slow"),
        () = idle() => {}
    }
    world.transport.slow.send_replace(1);
    assert_eq!(drive(&world.clock, run).await, Verdict::Again { after: Duration::ZERO });
    assert_eq!((world.taken("ok@slow.example"), world.taken("ok2@slow.example")), (1, 0));
    // whoever gets it next does what is left, at once
    let next = World { drain: Default::default(), ..world };
    next.transport.slow.send_replace(1);
    assert_eq!(next.run(&body).await, Verdict::Done);
    assert_eq!((next.taken("ok@slow.example"), next.taken("ok2@slow.example")), (1, 1));
}

#[tokio::test]
async fn a_job_that_cannot_be_read_stays_in_the_queue() {
    let world = World::new();
    for body in ["", "{}", "{\"v\":9}", "not a job"] {
        assert!(matches!(world.run(body).await, Verdict::Again { .. }), "{body}");
    }
}
