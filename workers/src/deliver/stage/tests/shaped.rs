//! Mail that is put off: at no cost of an attempt, never lost, and never in the way of other mail.

use std::time::Duration;

use shared::job::{DeliverJob, Delivery, Job};
use shared::mail::{Notify, ReversePath, TenantId};
use shared::port::DELAY_MAX;
use shared::port::RecipientStatus::{Bounced, Deferred, Delivered};

use crate::limits::RETRY_LIFETIME;
use crate::limits::shaping::{POSTPONE_MIN, WAIT_MAX, WAITERS_EACH_MAX};
use crate::testing::{World, delivery, drive, idle};
use crate::{Stage, Verdict};

const SUSPENDS: &str = "[[rule]]\nname = \"all\"\n[[rule.on]]\ncode = \"421\"\nthen = \"suspend\"\nfor = ";

fn suspending(lasts: &str) -> World {
    World::shaped(&format!("{SUSPENDS}\"{lasts}\""))
}

/// `count` deliveries of one domain, each a part of its own.
fn parts(domain: &str, count: u16) -> Vec<Delivery> {
    let part = |part| {
        let mut one = delivery(domain, &[&format!("ok{part}")]);
        one.key.part = part;
        one
    };
    (0..count).map(part).collect()
}

/// Makes `domain` suspend itself.
async fn suspend(world: &World, domain: &str) {
    let mut busy = delivery(domain, &["busy"]);
    busy.key.part = 999;
    busy.from = ReversePath::Null;
    assert_eq!(world.run_job(vec![busy], false).await, Verdict::Done);
    world.outbound.take_all();
}

#[tokio::test]
async fn what_is_put_off_costs_no_attempt_and_is_tried_when_it_may_be() {
    let world = suspending("5m");
    suspend(&world, "a.example").await;
    let began_at = world.now();
    assert_eq!(world.run_job(vec![delivery("a.example", &["ok"])], false).await, Verdict::Done);
    let state = world.deliveries.state(&delivery("a.example", &["ok"]).key).unwrap();
    let waiting = state.waiting.clone().unwrap();
    assert_eq!((state.attempts.len(), waiting.reason.as_str()), (0, "suspended"));
    assert!(waiting.until >= began_at + Duration::from_secs(290), "{waiting:?}");
    assert!(state.due_at > Some(waiting.until), "a job that is lost comes back by its due time");
    world.clock.set(waiting.until);
    world.clock.advance(Duration::from_secs(1));
    let body = world.outbound.take().expect("a job comes with its time");
    let next = DeliverJob::decode(&body).unwrap();
    assert_eq!((next.deliveries[0].attempt, next.deliveries[0].postponed), (1, 1));
    world.run_until_done(&body).await;
    let state = world.deliveries.state(&delivery("a.example", &["ok"]).key).unwrap();
    let numbers: Vec<u32> = state.attempts.iter().map(|attempt| attempt.number).collect();
    assert_eq!((numbers, state.waiting, state.due_at), (vec![1], None, None));
    assert_eq!(world.statuses("a.example"), [Delivered]);
}

#[tokio::test]
async fn a_wait_beyond_the_delay_of_a_queue_is_in_the_state_alone_and_swept() {
    let world = suspending("2h");
    suspend(&world, "a.example").await;
    assert_eq!(world.run_job(vec![delivery("a.example", &["ok"])], false).await, Verdict::Done);
    assert_eq!(world.outbound.len(), 0);
    for _ in 0..118 {
        world.advance_and_run().await;
    }
    assert_eq!(world.taken("ok@a.example"), 0);
    for _ in 0..15 {
        world.advance_and_run().await;
    }
    assert_eq!((world.taken("ok@a.example"), world.statuses("a.example")), (1, vec![Delivered]));
}

#[tokio::test]
async fn a_suspended_site_holds_nobody_else_up() {
    let world = suspending("1h");
    suspend(&world, "a.example").await;
    let began_at = world.now();
    for n in 0..40 {
        let mut job = parts(&format!("n{n}.shared.example"), 32);
        // they all have the site that is suspended
        job.iter_mut().for_each(|one| one.key.domain = "a.example".parse().unwrap());
        job.iter_mut().for_each(|one| one.key.message.n = n);
        assert_eq!(world.run_job(job, false).await, Verdict::Done);
    }
    assert_eq!(world.run_job(parts("b.example", 1), false).await, Verdict::Done);
    assert_eq!((world.taken("ok0@b.example"), world.now()), (1, began_at), "no time passed");
    // and within one job
    let mut mixed = parts("a.example", 3);
    mixed.extend(parts("c.example", 1));
    assert_eq!(world.run_job(mixed, false).await, Verdict::Done);
    assert_eq!((world.taken("ok0@c.example"), world.now()), (1, began_at));
}

#[tokio::test]
async fn those_who_wait_for_a_slow_site_take_no_connection_from_others() {
    let world = World::shaped("[[rule]]\nname = \"all\"\nconnections = 1");
    // one connection is all that this worker may have beside the one in use
    let worker = world.worker_with(2);
    let jobs: Vec<String> = (0..8)
        .map(|n| {
            let mut job = parts("slow.example", 1);
            job[0].key.message.n = n;
            DeliverJob::new(job, false).encode()
        })
        .collect();
    let runs = futures::future::join_all(jobs.iter().map(|body| worker.run(body)));
    let other = DeliverJob::new(parts("b.example", 1), false).encode();
    let mut runs = std::pin::pin!(runs);
    tokio::select! {
        _ = &mut runs => panic!("they are slow"),
        () = idle() => {}
    }
    tokio::select! {
        _ = &mut runs => panic!("they are slow"),
        verdict = worker.run(&other) => assert_eq!(verdict, Verdict::Done),
    }
    assert_eq!(world.taken("ok0@b.example"), 1);
    world.transport.slow.send_replace(100);
    drive(&world.clock, runs).await;
}

#[tokio::test]
async fn only_so_many_wait_in_a_worker_and_the_others_leave_their_places() {
    let world = World::shaped("[[rule]]\nname = \"all\"\nconnections = 1");
    let worker = world.worker();
    let count = 2 * WAITERS_EACH_MAX;
    let jobs: Vec<String> = (0..u32::try_from(count).unwrap())
        .map(|n| {
            let mut job = parts("slow.example", 1);
            job[0].key.message.n = n;
            DeliverJob::new(job, false).encode()
        })
        .collect();
    let mut runs: futures::stream::FuturesUnordered<_> = jobs.iter().map(|body| worker.run(body)).collect();
    let mut done = 0;
    loop {
        tokio::select! {
            biased;
            Some(verdict) = futures::StreamExt::next(&mut runs) => {
                assert_eq!(verdict, Verdict::Done);
                done += 1;
            }
            () = idle() => break,
        }
    }
    let waiting = WAITERS_EACH_MAX * 3 / 4;
    assert_eq!((done, runs.len()), (count - 1 - waiting, 1 + waiting), "no time passed");
    assert_eq!(world.outbound.len(), done);
    // and who has waited long enough goes, too
    world.clock.advance(WAIT_MAX + Duration::from_secs(1));
    idle().await;
    drop(runs);
}

#[tokio::test]
async fn a_tenant_with_one_message_is_next_at_a_site_for_which_another_one_has_hundreds() {
    let world = World::shaped("[[rule]]\nname = \"all\"\nconnections = 1");
    let worker = world.worker();
    let job = |n: u32, tenant: &str| {
        let mut job = parts("slow.example", 1);
        job[0].key.message.n = n;
        job[0].tenant = TenantId(tenant.to_owned());
        DeliverJob::new(job, false).encode()
    };
    let hundreds: Vec<String> = (0..300).map(|n| job(n, "large")).collect();
    let mut large: futures::stream::FuturesUnordered<_> =
        hundreds.iter().map(|body| worker.run(body)).collect();
    loop {
        tokio::select! {
            biased;
            Some(_) = futures::StreamExt::next(&mut large) => {}
            () = idle() => break,
        }
    }
    assert!(large.len() > 100, "so many wait, and one is under way");
    let one = job(300, "small");
    let small = worker.run(&one);
    tokio::pin!(small);
    // three of the server's answers: for what is under way, and for a turn of each
    world.transport.slow.send_replace(3);
    let began = world.now();
    loop {
        tokio::select! {
            biased;
            verdict = &mut small => {
                assert_eq!(verdict, Verdict::Done);
                break;
            }
            Some(_) = futures::StreamExt::next(&mut large) => {}
            () = idle() => world.clock.advance(Duration::from_millis(10)),
        }
        assert!(world.now().since(began) < Duration::from_secs(1), "it waits behind the other tenant's");
    }
    let mut key = parts("slow.example", 1).remove(0).key;
    key.message.n = 300;
    assert_eq!(world.deliveries.state(&key).unwrap().recipients[0].status, Delivered, "it was not put off");
}

#[tokio::test]
async fn a_message_that_was_only_ever_put_off_bounces_when_its_time_is_up() {
    let world = suspending("7d");
    suspend(&world, "a.example").await;
    let waits = delivery("a.example", &["ok"]);
    assert_eq!(world.run_job(vec![waits.clone()], false).await, Verdict::Done);
    let due_at = world.deliveries.state(&waits.key).unwrap().due_at;
    assert_eq!(due_at, Some(waits.accepted_at + RETRY_LIFETIME), "it is looked at again at its expiry");
    world.clock.set(waits.accepted_at + RETRY_LIFETIME - Duration::from_secs(120));
    world.advance_and_run().await;
    assert_eq!(world.statuses("a.example"), [Deferred]);
    world.advance_and_run().await;
    assert_eq!(world.statuses("a.example"), [Bounced]);
    let state = world.deliveries.state(&waits.key).unwrap();
    let reply = state.recipients[0].reply.clone().unwrap().to_string();
    assert!(reply.contains("4.4.7") && reply.contains("suspended by rule all"), "{reply}");
    assert_eq!((world.reports().len(), world.taken("ok@a.example")), (1, 0));
}

#[tokio::test]
async fn a_sender_who_wants_to_know_of_a_delay_is_told_of_a_wait() {
    let world = suspending("7d");
    suspend(&world, "a.example").await;
    let mut waits = delivery("a.example", &["ok"]);
    waits.recipients[0].notify = Some(Notify { delay: true, failure: true, success: false });
    assert_eq!(world.run_job(vec![waits], false).await, Verdict::Done);
    for _ in 0..245 {
        world.advance_and_run().await;
    }
    assert_eq!(world.actions(), ["delayed"]);
    assert_eq!(world.statuses("a.example"), [Deferred]);
}

#[tokio::test]
async fn deliveries_that_wait_for_a_rate_come_back_in_their_own_time_and_all_leave() {
    let world = World::shaped("[[rule]]\nname = \"all\"\nmessage_rate = \"6/m\"");
    assert_eq!(world.run_job(parts("a.example", 32), false).await, Verdict::Done);
    let mut minutes = 0;
    while world.transport.taken.lock().unwrap().len() < 32 {
        world.clock.advance(Duration::from_secs(10));
        while let Some(body) = world.outbound.take() {
            world.run_until_done(&body).await;
        }
        minutes += 1;
        assert!(minutes < 60, "ten seconds each: {minutes}");
    }
    assert!(minutes >= 24, "no faster than 6 a minute: {minutes}");
    assert!(world.transport.taken.lock().unwrap().values().all(|times| *times == 1));
    let states = world.deliveries.items.lock().unwrap();
    assert!(states.values().all(|state| state.attempts.len() == 1), "none of it cost an attempt");
}

#[tokio::test]
async fn one_tenant_is_put_off_and_another_goes() {
    let world = World::shaped("[[rule]]\nname = \"shop\"\ntenant = \"shop\"\nmessage_rate = \"1/h\"");
    let mut job = parts("a.example", 4);
    job[..3].iter_mut().for_each(|one| one.tenant = TenantId("shop".to_owned()));
    assert_eq!(world.run_job(job, false).await, Verdict::Done);
    let taken: usize = (0..4).map(|n| world.taken(&format!("ok{n}@a.example"))).sum();
    assert_eq!((taken, world.taken("ok3@a.example")), (2, 1));
}

#[tokio::test]
async fn a_postponement_that_cannot_be_sent_is_found_in_the_state() {
    let world = suspending("5m");
    suspend(&world, "a.example").await;
    let body = DeliverJob::new(vec![delivery("a.example", &["ok"])], false).encode();
    *world.outbound.send_failures.lock().unwrap() = 9;
    assert_eq!(world.run(&body).await, Verdict::Done);
    assert_eq!(world.outbound.len(), 0);
    world.run_to_the_end().await;
    assert_eq!((world.taken("ok@a.example"), world.statuses("a.example")), (1, vec![Delivered]));
}

#[tokio::test]
async fn killed_at_any_line_of_a_postponement_nothing_is_lost_or_sent_twice() {
    for check in [false, true] {
        let mut line = 0;
        loop {
            line += 1;
            let world = suspending("3m");
            suspend(&world, "a.example").await;
            let mut job = vec![delivery("a.example", &["ok"]), delivery("b.example", &["ok"])];
            job[0].key.part = 1;
            let key = job[0].key.clone();
            let body = DeliverJob::new(job, check).encode();
            let stopped = world.gate.stop_at(line);
            let worker = world.worker();
            let killed = tokio::select! {
                biased;
                () = stopped.cancelled() => true,
                verdict = drive(&world.clock, worker.run(&body)) => {
                    assert_eq!(verdict, Verdict::Done);
                    false
                }
            };
            world.gate.open();
            if killed {
                // the queue delivers it again, at once and once more when all is over
                world.run_until_done(&body).await;
            }
            world.run_to_the_end().await;
            world.run_until_done(&body).await;
            assert_eq!(world.taken("ok@a.example"), 1, "line {line}");
            // b.example may get its message twice by a kill between its 250 and the record
            assert!((1..=2).contains(&world.taken("ok@b.example")), "line {line}");
            let state = world.deliveries.state(&key).unwrap();
            let attempts: Vec<u32> = state.attempts.iter().map(|attempt| attempt.number).collect();
            assert_eq!((attempts, state.due_at), (vec![1], None), "line {line}");
            if !killed {
                break;
            }
        }
        assert!(line > 12, "the worker crosses more lines than {line}");
    }
}

#[tokio::test]
async fn a_job_that_is_put_off_is_not_tried_at_once_however_often_it_comes() {
    let world = suspending("5m");
    suspend(&world, "a.example").await;
    let body = DeliverJob::new(vec![delivery("a.example", &["ok"])], false).encode();
    for _ in 0..3 {
        assert_eq!(world.run(&body).await, Verdict::Done);
    }
    assert_eq!(world.outbound.len(), 1, "it is put off once");
    let next = world.outbound.take_all().remove(0);
    assert!(next.delay >= POSTPONE_MIN && next.delay <= DELAY_MAX);
    // its job comes early, and twice
    for _ in 0..2 {
        assert_eq!(world.run(&next.body).await, Verdict::Done);
    }
    let state = world.deliveries.state(&delivery("a.example", &["ok"]).key).unwrap();
    assert_eq!((state.pending.unwrap().postponed, state.attempts.len()), (2, 0));
    world.run_to_the_end().await;
    assert_eq!(world.taken("ok@a.example"), 1);
}

#[tokio::test]
async fn a_job_that_comes_again_leaves_what_was_put_off_to_its_next_turn() {
    let body = DeliverJob::new(vec![delivery("a.example", &["ok"])], false).encode();
    let mut written = 0;
    for line in 1.. {
        let world = suspending("5m");
        suspend(&world, "a.example").await;
        let stopped = world.gate.stop_at(line);
        let worker = world.worker();
        let killed = tokio::select! {
            biased;
            () = stopped.cancelled() => true,
            _ = drive(&world.clock, worker.run(&body)) => false,
        };
        world.gate.open();
        if !killed {
            break;
        }
        if world.deliveries.state(&delivery("a.example", &["ok"]).key).is_none() {
            continue;
        }
        written += 1;
        // the site is free again, and the job comes before what was to follow it
        world.clock.advance(Duration::from_secs(400));
        let begun = world.transport.begun.lock().unwrap().len();
        assert_eq!(world.run(&body).await, Verdict::Done);
        assert_eq!(world.transport.begun.lock().unwrap().len(), begun, "line {line}: its turn has passed");
        assert!(world.outbound.len() > 0, "line {line}: the job of its next turn is there");
        world.run_to_the_end().await;
        assert_eq!(world.taken("ok@a.example"), 1, "line {line}");
    }
    assert!(written >= 3, "it is killed behind the write, too: {written}");
}
