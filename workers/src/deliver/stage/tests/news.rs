//! What senders are told of, and when.

use std::time::Duration;

use shared::job::{DeliverJob, Delivery, Job};
use shared::mail::{ByMode, DeliverBy, Notify, Ret, ReversePath};
use shared::port::RecipientStatus::{Bounced, Deferred, Delivered};

use crate::limits::{DELAY_NOTICE, PORT_TRIES};
use crate::testing::{World, delivery, idle};
use crate::{Stage, Verdict};

const NEVER: Notify = Notify { success: false, failure: false, delay: false };
const SUCCESS: Notify = Notify { success: true, ..NEVER };
const FAILURE: Notify = Notify { failure: true, ..NEVER };
const DELAY: Notify = Notify { delay: true, ..NEVER };

fn asked(domain: &str, name: &str, notify: Option<Notify>) -> Delivery {
    let mut delivery = delivery(domain, &[name]);
    delivery.recipients[0].notify = notify;
    delivery
}

fn by(mode: ByMode, trace: bool, mut delivery: Delivery) -> Delivery {
    delivery.options.deliver_by = Some(DeliverBy { seconds: 600, mode, trace });
    delivery
}

/// The actions of the DSNs that a delivery comes to, in no order.
async fn actions(delivery: Delivery) -> Vec<String> {
    let world = World::new();
    assert_eq!(world.run_job(vec![delivery], false).await, Verdict::Done);
    world.run_to_the_end().await;
    world.actions()
}

#[tokio::test]
async fn success_is_told_where_nobody_else_will_tell() {
    for (domain, notify, told) in [
        ("a.example", Some(SUCCESS), &["relayed"][..]),
        ("inbox.example", Some(SUCCESS), &["delivered"]),
        ("dsn.example", Some(SUCCESS), &[]),
        ("a.example", None, &[]),
        ("a.example", Some(FAILURE), &[]),
        ("inbox.example", Some(NEVER), &[]),
    ] {
        assert_eq!(actions(asked(domain, "ok", notify)).await, told, "{domain} {notify:?}");
    }
    let null = Delivery { from: ReversePath::Null, ..asked("a.example", "ok", Some(SUCCESS)) };
    assert!(actions(null).await.is_empty(), "nobody is told of mail from nobody");
    let gone = asked("inbox.example", "gone", Some(SUCCESS));
    assert!(actions(gone).await.is_empty(), "what was thrown away was not delivered");
}

#[tokio::test]
async fn failure_is_told_unless_notify_leaves_it_out() {
    for (notify, told) in [
        (None, &["failed"][..]),
        (Some(FAILURE), &["failed"]),
        (Some(NEVER), &[]),
        (Some(SUCCESS), &[]),
        (Some(DELAY), &[]),
    ] {
        let world = World::new();
        let one = asked("a.example", "never", notify);
        assert_eq!(world.run_job(vec![one.clone()], false).await, Verdict::Done);
        assert_eq!(world.actions(), told, "{notify:?}");
        let state = world.deliveries.state(&one.key).unwrap();
        assert_eq!(state.recipients[0].status, Bounced);
        let reply = state.recipients[0].reply.as_ref().unwrap();
        assert_eq!(reply.text().contains("nobody was told"), told.is_empty(), "{reply}");
    }
}

#[tokio::test]
async fn a_delay_is_told_once_when_its_time_has_come_and_only_who_asked() {
    let world = World::new();
    let began = world.now();
    let mut late = delivery("a.example", &["later", "later2"]);
    late.recipients[0].notify = Some(Notify { delay: true, ..FAILURE });
    assert_eq!(world.run_job(vec![late.clone()], false).await, Verdict::Done);
    while world.reports().is_empty() {
        assert!(world.now() < began + DELAY_NOTICE + Duration::from_secs(120), "it is told by now");
        world.advance_and_run().await;
    }
    assert!(world.now() >= began + DELAY_NOTICE - Duration::from_secs(5));
    let report = world.reports().remove(0);
    let report = String::from_utf8_lossy(&report).into_owned();
    assert!(report.contains("Action: delayed\r\nStatus: 4.7.1\r\n"), "{report}");
    assert!(report.contains("Will-Retry-Until: Sun, 19 Nov 2023 22:13:20 +0000"), "{report}");
    assert!(!report.contains("later2@"), "{report}");
    let state = world.deliveries.state(&late.key).unwrap();
    assert!(state.recipients[0].status == Deferred && state.recipients[0].report.is_some());
    assert_eq!(state.recipients[1].report, None, "nobody told of that one");
    world.run_to_the_end().await;
    assert_eq!(world.actions(), ["delayed", "failed", "failed"], "both fail in one report");
    assert_eq!(world.reports().len(), 2);
}

#[tokio::test]
async fn a_delay_that_could_not_be_told_is_told_after_the_next_attempt() {
    let world = World::new();
    let late = asked("a.example", "later", Some(DELAY));
    world.clock.advance(DELAY_NOTICE);
    *world.spool.put_failures.lock().unwrap() = PORT_TRIES;
    assert_eq!(world.run_job(vec![late], false).await, Verdict::Done);
    assert!(world.reports().is_empty());
    world.run_to_the_end().await;
    assert_eq!(world.actions(), ["delayed"]);
}

#[tokio::test]
async fn a_success_that_cannot_be_told_sends_nothing_twice() {
    let world = World::new();
    *world.spool.put_failures.lock().unwrap() = crate::limits::RECORD_TRIES;
    let one = asked("a.example", "ok", Some(SUCCESS));
    assert_eq!(world.run_job(vec![one], false).await, Verdict::Done);
    assert_eq!((world.statuses("a.example"), world.taken("ok@a.example")), (vec![Delivered], 1));
    assert!(world.reports().is_empty());
}

#[tokio::test]
async fn a_message_to_be_returned_is_returned_at_its_time() {
    let world = World::new();
    let began = world.now();
    let one = by(ByMode::Return, false, delivery("a.example", &["later"]));
    assert_eq!(world.run_job(vec![one.clone()], false).await, Verdict::Done);
    while world.reports().is_empty() {
        world.advance_and_run().await;
    }
    let (end, late) = (began + Duration::from_secs(600), Duration::from_secs(90));
    assert!(world.now() <= end + late, "{}", world.now());
    let state = world.deliveries.state(&one.key).unwrap();
    assert_eq!(state.recipients[0].status, Bounced);
    assert_eq!(state.recipients[0].reply.as_ref().unwrap().status().to_string(), "5.4.7");
    assert!(String::from_utf8_lossy(&world.reports()[0]).contains("Status: 5.4.7"));
}

#[tokio::test]
async fn a_message_of_mode_n_is_told_of_once_and_tried_further() {
    let told = actions(by(ByMode::Notify, false, delivery("dsn.example", &["later"]))).await;
    assert_eq!(told, ["delayed", "failed"]);
    let told = actions(by(ByMode::Notify, false, asked("a.example", "later", Some(NEVER)))).await;
    assert!(told.is_empty(), "{told:?}");
    let world = World::new();
    let one = by(ByMode::Notify, false, delivery("a.example", &["later"]));
    world.clock.advance(Duration::from_secs(600));
    assert_eq!(world.run_job(vec![one], false).await, Verdict::Done);
    assert!(String::from_utf8_lossy(&world.reports()[0]).contains("Action: delayed\r\nStatus: 4.4.7\r\n"));
}

#[tokio::test]
async fn a_relay_that_does_not_know_the_time_is_told_of_and_with_t_every_relay() {
    // the fake server does not offer DELIVERBY
    for (mode, trace, notify, told) in [
        (ByMode::Notify, false, None, &["relayed"][..]),
        (ByMode::Notify, false, Some(FAILURE), &["relayed"]),
        (ByMode::Notify, false, Some(NEVER), &[]),
        (ByMode::Return, false, None, &[]),
        (ByMode::Return, true, None, &["relayed"]),
        (ByMode::Return, true, Some(NEVER), &[]),
    ] {
        let one = by(mode, trace, asked("dsn.example", "ok", notify));
        assert_eq!(actions(one).await, told, "{mode:?} {trace} {notify:?}");
    }
}

#[tokio::test]
async fn as_much_of_the_message_comes_back_as_ret_says_and_is_fit() {
    for (ret, require_tls, extra, whole) in [
        (None, false, 0, false),
        (Some(Ret::Hdrs), false, 0, false),
        (Some(Ret::Full), false, 0, true),
        (Some(Ret::Full), true, 0, false),
        (Some(Ret::Full), false, 64 * 1024, false),
    ] {
        let world = World::new();
        let mut one = delivery("a.example", &["never"]);
        (one.options.ret, one.options.require_tls) = (ret, require_tls);
        one.prefix += &"X: y\r\n".repeat(extra / 6);
        assert_eq!(world.run_job(vec![one], false).await, Verdict::Done);
        let report = String::from_utf8_lossy(&world.reports()[0]).into_owned();
        assert_eq!(report.contains("the body"), whole, "{ret:?} {require_tls} {extra}");
        assert_eq!(report.contains("Content-Type: message/rfc822\r\n"), whole);
        assert_eq!(report.contains("it is too large to be returned whole"), extra > 0);
        assert_eq!(report.contains("\"require_tls\":true"), require_tls);
        assert!(report.contains("Subject: hello"));
    }
    let told = asked("inbox.example", "ok", Some(SUCCESS));
    let world = World::new();
    let one = Delivery {
        options: shared::mail::MailOptions { ret: Some(Ret::Full), ..told.options.clone() },
        ..told
    };
    world.run_job(vec![one], false).await;
    assert!(!String::from_utf8_lossy(&world.reports()[0]).contains("the body"), "RET is for failures");
}

#[tokio::test]
async fn urgent_deliveries_get_the_connections_first() {
    let world = World::new();
    let urgent = |domain: &str, priority: i8| {
        let mut one = delivery(domain, &["ok"]);
        one.options.priority = priority;
        one
    };
    let worker = world.worker_with(1);
    let first = DeliverJob::new(vec![urgent("slow.example", 0)], false).encode();
    let second = vec![urgent("a.example", -4), urgent("b.example", 0)];
    let third = vec![urgent("c.example", 9), urgent("d.example", 0)];
    let [second, third] = [second, third].map(|job| DeliverJob::new(job, false).encode());
    let all = async { tokio::join!(worker.run(&first), worker.run(&second), worker.run(&third)) };
    tokio::pin!(all);
    tokio::select! {
        _ = &mut all => panic!("the first one is slow"),
        () = idle() => {}
    }
    world.transport.slow.send_replace(1);
    assert_eq!(all.await, (Verdict::Done, Verdict::Done, Verdict::Done));
    let begun = world.transport.begun.lock().unwrap().clone();
    assert_eq!(begun, ["slow.example 1", "c.example 1", "b.example 1", "d.example 1", "a.example 1"]);
}
