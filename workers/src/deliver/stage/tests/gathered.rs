//! What a message's deliveries leave to tell is told together.

use std::time::Duration;

use shared::job::{DeliverJob, Delivery, Job, RECIPIENTS_MAX, Tell};
use shared::limits::ATTEMPTS_MAX;
use shared::mail::{Notify, OriginalRecipient, Recipient, Reply, TenantId};
use shared::port::RecipientStatus::{Bounced, Deferred};
use shared::port::{Attempt, DeliveryState};

use super::crashes::killed_at;
use crate::deliver::record::judge;
use crate::deliver::{Hop, Meaning, Outcome, RecipientOutcome, RetrySettings, Tried};
use crate::limits::{
    DELAY_NOTICE, GATHERED_WITHIN, LEASE, PORT_TRIES, RECORD_TRIES, REMINDER_LEASE, REMINDER_MAX,
    REMINDERS_A_JOB, RETAIN,
};
use crate::testing::{World, delivery, drive};
use crate::{Stage, Verdict};

const DELAY_AND_FAILURE: Notify = Notify { success: false, failure: true, delay: true };
const SUCCESS: Notify = Notify { success: true, failure: false, delay: false };
const DOMAINS: [&str; 3] = ["a.example", "b.example", "c.example"];

/// The deliveries of one message to `name` at each domain, each in a job of its own.
fn message(name: &str, notify: Option<Notify>) -> Vec<Delivery> {
    let mut deliveries = DOMAINS.map(|domain| delivery(domain, &[name]));
    for delivery in &mut deliveries {
        delivery.others = 2;
        delivery.recipients[0].notify = notify;
    }
    deliveries.into()
}

async fn try_each(world: &World, deliveries: &[Delivery]) {
    for one in deliveries {
        assert_eq!(world.run_job(vec![one.clone()], false).await, Verdict::Done);
    }
}

/// Works until there are `count` DSNs; tells how long that took.
async fn until_told(world: &World, count: usize) -> Duration {
    let began = world.now();
    while world.reports().len() < count {
        assert!(world.now().since(began) < Duration::from_secs(7 * 24 * 3600), "it is never told");
        world.advance_and_run().await;
    }
    world.now().since(began)
}

/// Whom each DSN tells of, in the order of the DSNs.
fn told(world: &World) -> Vec<Vec<String>> {
    let told = world.reports().into_iter().map(|report| {
        let text = String::from_utf8_lossy(&report).into_owned();
        let lines = text.lines().filter_map(|line| line.strip_prefix("Final-Recipient: rfc822; "));
        lines.map(str::to_owned).collect::<Vec<_>>()
    });
    let mut told: Vec<Vec<String>> = told.collect();
    told.sort();
    told
}

#[tokio::test]
async fn destinations_that_fail_at_once_are_told_of_in_one_dsn() {
    let world = World::new();
    let all = message("never", None);
    try_each(&world, &all).await;
    assert!(world.reports().is_empty(), "others may have something to tell");
    for one in &all {
        let state = world.deliveries.state(&one.key).unwrap();
        assert_eq!((state.recipients[0].status, state.due_at), (Bounced, None));
        assert!(state.recipients[0].untold.is_some() && state.original.is_some());
    }
    world.run_to_the_end().await;
    assert_eq!(told(&world), [["never@a.example", "never@b.example", "never@c.example"]]);
    let report = String::from_utf8_lossy(&world.reports()[0]).into_owned();
    assert_eq!(report.matches("Remote-MTA: dns; mx.remote.example").count(), 3, "{report}");
    assert!(report.contains("Subject: hello"), "the header comes back: {report}");
    let dsns: Vec<_> = all
        .iter()
        .map(|one| {
            let state = world.deliveries.state(&one.key).unwrap();
            assert!(state.recipients[0].untold.is_none() && state.original.is_none());
            state.recipients[0].report.expect("the DSN is on record")
        })
        .collect();
    assert!(dsns.iter().all(|dsn| *dsn == dsns[0]));
}

#[tokio::test]
async fn each_kind_is_told_by_itself() {
    let world = World::new();
    let mut all = message("never", None);
    all[1].recipients[0].address = "ok@b.example".parse().unwrap();
    all[1].recipients[0].notify = Some(SUCCESS);
    all[2].recipients[0].address = "ok@c.example".parse().unwrap();
    all[2].recipients[0].notify = Some(SUCCESS);
    try_each(&world, &all).await;
    world.run_to_the_end().await;
    assert_eq!(told(&world), [vec!["never@a.example"], vec!["ok@b.example", "ok@c.example"]]);
    assert_eq!(world.actions(), ["failed", "relayed", "relayed"]);
}

#[tokio::test]
async fn a_delay_is_told_once_a_message_and_so_is_its_end() {
    let world = World::new();
    try_each(&world, &message("later", Some(DELAY_AND_FAILURE))).await;
    let after = until_told(&world, 1).await;
    let minutes = Duration::from_secs(5 * 60);
    assert!((DELAY_NOTICE..DELAY_NOTICE + minutes).contains(&after), "{after:?}");
    let state = world.deliveries.state(&message("later", None)[0].key).unwrap();
    assert!(state.recipients[0].status == Deferred && state.recipients[0].report.is_some());
    let report = state.recipients[0].report;
    // the DSN stays on record while the message is tried further
    for _ in 0..600 {
        world.advance_and_run().await;
    }
    let state = world.deliveries.state(&state.key).unwrap();
    assert_eq!((state.recipients[0].status, state.recipients[0].report), (Deferred, report));
    world.run_to_the_end().await;
    let everybody = ["later@a.example", "later@b.example", "later@c.example"];
    assert_eq!(told(&world), [everybody, everybody]);
    assert_eq!(world.actions(), ["delayed", "delayed", "delayed", "failed", "failed", "failed"]);
}

#[tokio::test]
async fn who_fails_waits_for_the_others_two_minutes_and_no_longer() {
    let world = World::new();
    let mut all = message("never", None);
    all[2].recipients[0].address = "later@c.example".parse().unwrap();
    // nobody has tried the others yet
    try_each(&world, &all[..1]).await;
    let waited = until_told(&world, 1).await;
    assert!((GATHERED_WITHIN..GATHERED_WITHIN * 2).contains(&waited), "{waited:?}");
    assert_eq!(told(&world), [["never@a.example"]]);
    // one that is tried again in hours is not waited for
    try_each(&world, &all[1..]).await;
    while world.deliveries.state(&all[2].key).unwrap().attempts.len() < 6 {
        world.advance_and_run().await;
    }
    world.run_to_the_end().await;
    assert_eq!(told(&world), [["later@c.example"], ["never@a.example"], ["never@b.example"]]);
}

#[tokio::test]
async fn what_cannot_be_noted_is_tried_again() {
    let world = World::new();
    *world.tallies.failures.lock().unwrap() = RECORD_TRIES;
    let all = message("never", None);
    try_each(&world, &all).await;
    assert_eq!(world.statuses("a.example"), [Deferred], "its sender could not be told");
    assert_eq!(world.statuses("b.example"), [Bounced]);
    world.run_to_the_end().await;
    assert_eq!(world.statuses("a.example"), [Bounced]);
    let told = told(&world).concat();
    assert_eq!(told.len(), 3, "{told:?}");
}

#[tokio::test]
async fn a_dsn_that_cannot_be_put_in_is_put_in_later() {
    let world = World::new();
    try_each(&world, &message("never", None)).await;
    *world.spool.put_failures.lock().unwrap() = PORT_TRIES;
    world.run_to_the_end().await;
    assert_eq!(told(&world).concat().len(), 3);
    assert_eq!(world.reports().len(), 1);
}

/// The body of the job that tells of the message, once that is due.
async fn job(world: &World) -> String {
    loop {
        if let Some(body) = world.outbound.take() {
            return body;
        }
        world.clock.advance(REMINDER_LEASE);
        world.sweep(Default::default()).run_once().await;
    }
}

#[tokio::test]
async fn killed_at_any_line_of_an_attempt_or_of_the_telling_everybody_is_told_of_once() {
    let all = message("never", None);
    let mut line = 0;
    loop {
        line += 1;
        let world = World::new();
        let first = DeliverJob::new(vec![all[0].clone()], false).encode();
        let killed = killed_at(&world, line, &first).await;
        if killed {
            world.run_until_done(&first).await;
        }
        try_each(&world, &all[1..]).await;
        world.run_to_the_end().await;
        assert_eq!(told(&world), [["never@a.example", "never@b.example", "never@c.example"]], "line {line}");
        if !killed {
            break;
        }
    }
    assert!(line > 6, "an attempt crosses more lines than {line}");
    line = 0;
    loop {
        line += 1;
        let world = World::new();
        try_each(&world, &all[..2]).await;
        world.clock.advance(GATHERED_WITHIN);
        let telling = job(&world).await;
        let killed = killed_at(&world, line, &telling).await;
        // what comes up before another one takes over is not part of what was begun
        try_each(&world, &all[2..]).await;
        world.clock.advance(LEASE);
        world.run_to_the_end().await;
        let mut everybody = told(&world).concat();
        everybody.sort();
        assert_eq!(everybody, ["never@a.example", "never@b.example", "never@c.example"], "line {line}");
        assert!(world.reports().len() <= 2, "line {line}");
        let state = world.deliveries.state(&all[0].key).unwrap();
        let dsn = state.recipients[0].report.expect("it is on record");
        assert!(world.spool.packs.lock().unwrap().contains_key(&dsn.pack), "line {line}: that DSN exists");
        if !killed {
            break;
        }
    }
    assert!(line > 15, "the telling crosses more lines than {line}");
}

#[tokio::test]
async fn a_sweep_that_is_killed_at_any_line_forgets_no_sender() {
    let mut line = 0;
    loop {
        line += 1;
        let world = World::new();
        try_each(&world, &message("never", None)).await;
        world.clock.advance(GATHERED_WITHIN);
        let sweep = world.sweep(Default::default());
        let stopped = world.gate.stop_at(line);
        let killed = tokio::select! {
            biased;
            () = stopped.cancelled() => true,
            _ = drive(&world.clock, sweep.run_once()) => false,
        };
        world.gate.open();
        // its jobs are thrown away
        world.outbound.take_all();
        world.run_to_the_end().await;
        assert_eq!(told(&world).concat().len(), 3, "line {line}");
        assert_eq!(world.reports().len(), 1, "line {line}");
        if !killed {
            return;
        }
    }
}

#[tokio::test]
async fn a_reminder_of_an_attempt_that_never_was_goes_away_in_a_day() {
    let world = World::new();
    let [first, ..] = &message("never", None)[..] else { unreachable!() };
    let body = DeliverJob::new(vec![first.clone()], false).encode();
    let mut line = 1;
    while killed_at(&world, line, &body).await && world.tallies.counts.lock().unwrap().is_empty() {
        world.clock.advance(LEASE);
        line += 1;
    }
    assert_eq!(world.tallies.counts.lock().unwrap().len(), 1);
    let began = world.now();
    while !world.tallies.counts.lock().unwrap().is_empty() {
        assert!(world.now().since(began) < REMINDER_MAX * 2);
        world.advance_and_run().await;
    }
    assert!(world.now().since(began) > REMINDER_MAX);
}

#[tokio::test]
async fn a_reminder_that_cannot_be_read_goes_away() {
    let world = World::new();
    let message = message("ok", None)[0].key.message;
    let tell = Tell { message, tenant: TenantId::default(), reminders: vec!["nonsense".to_owned()] };
    assert_eq!(world.run(&DeliverJob::tell(tell, world.now()).encode()).await, Verdict::Done);
    assert!(world.reports().is_empty());
}

#[tokio::test]
async fn of_two_who_tell_at_a_time_one_does_and_the_other_leaves_it() {
    let world = World::new();
    try_each(&world, &message("never", None)).await;
    world.clock.advance(GATHERED_WITHIN);
    let telling = job(&world).await;
    // the first one has its claim, and stands still before it puts anything in
    let stopped = world.gate.stop_at(3);
    let (first, second) = (world.worker(), world.worker());
    let standing = first.run(&telling);
    tokio::pin!(standing);
    tokio::select! {
        biased;
        _ = &mut standing => panic!("it stands still"),
        () = stopped.cancelled() => {}
    }
    let claims = || *world.deliveries.claim_calls.lock().unwrap();
    let before = claims();
    world.gate.open();
    assert_eq!(drive(&world.clock, second.run(&telling)).await, Verdict::Done);
    assert_eq!((claims() - before, world.reports().len()), (1, 0), "it is somebody else's");
    world.clock.advance(LEASE);
    world.run_to_the_end().await;
    assert_eq!(told(&world), [["never@a.example", "never@b.example", "never@c.example"]]);
}

#[tokio::test]
async fn a_message_of_many_destinations_is_told_of_in_one_dsn_over_several_jobs() {
    let world = World::new();
    let count = REMINDERS_A_JOB + 3;
    for n in 0..count {
        let one = Delivery {
            others: u32::try_from(count - 1).unwrap(),
            ..delivery(&format!("d{n}.example"), &["never"])
        };
        assert_eq!(world.run_job(vec![one], false).await, Verdict::Done);
    }
    world.run_to_the_end().await;
    assert_eq!(world.reports().len(), 1);
    assert_eq!(told(&world).concat().len(), count);
}

#[test]
fn the_largest_delivery_with_all_to_be_told_is_no_larger_than_an_item_may_be() {
    let names: Vec<String> = (0..RECIPIENTS_MAX).map(|n| format!("{n:064}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut delivery = Delivery { others: 1, ..delivery(&format!("{}.example", "d".repeat(63)), &names) };
    let original = OriginalRecipient { kind: "rfc822".to_owned(), address: "o".repeat(300) };
    for recipient in &mut delivery.recipients {
        recipient.original = Some(original.clone());
    }
    delivery.prefix = "x".repeat(8 * 1024);
    // each octet of it is two in JSON, and each comes to the end of its time
    let reply = Reply::received(450, &"\"".repeat(1000)).unwrap();
    let attempt = Attempt {
        number: 1,
        began_at: delivery.accepted_at,
        ended_at: delivery.expires_at,
        route: "mx".to_owned(),
        host: Some("h".repeat(255)),
        peer: None,
        tls: None,
        source: None,
        reply: reply.clone(),
    };
    let outcome = |address: &Recipient| RecipientOutcome {
        address: address.address.clone(),
        outcome: Outcome::Deferred,
        reply: reply.clone(),
        spoken: true,
        meaning: Meaning::default(),
        hop: Hop::End,
    };
    let outcomes = delivery.recipients.iter().map(outcome).collect();
    let now = delivery.expires_at;
    let tried = Tried { delivery, attempt, outcomes };
    let mut judged = judge(tried, &RetrySettings::default(), RETAIN, now, 0.5);
    judged.leave_untold();
    let mut state = DeliveryState::begin(judged.record);
    assert!(state.recipients.iter().all(|recipient| recipient.untold.is_some()));
    state.attempts = vec![state.attempts[0].clone(); ATTEMPTS_MAX];
    let octets = serde_json::to_string(&state).unwrap().len();
    assert!(octets < 400 * 1024, "DynamoDB takes 400 KB, and not {octets}");
}
