//! The single checks, each on a queue of its own.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use super::super::fixture::Pair;
use super::super::{Fixture, eventually};
use super::{drain, job, next, send};
use crate::job::JOB_OCTETS_MAX;
use crate::mail::TenantId;
use crate::port::{BATCH_MAX, Clock, DELAY_MAX, Depth, Outgoing, Queue, Receipt};
use crate::system::SystemClock;

/// Longer than any visibility timeout or patience.
const LONG: Duration = Duration::from_secs(600);
const NO_WAIT: Duration = Duration::ZERO;

pub(super) async fn an_entry_sent_is_received_and_is_gone_once_acknowledged(
    fixture: &dyn Fixture<dyn Queue>,
) {
    let Pair { a, b, store: _store } = Pair::open(fixture).await;
    send(&*a, "the job \u{1f4e8} \"quoted\"\n").await;
    let entry = next(&*b, fixture.windows()).await;
    assert_eq!((entry.body.as_str(), entry.receives), ("the job \u{1f4e8} \"quoted\"\n", 1));
    a.ack(&entry.receipt).await.expect("any handle can acknowledge");
    a.ack(&entry.receipt).await.expect("a receipt that is out of date is no error");
    assert!(drain(&*b, fixture.windows()).await.is_empty());
}

pub(super) async fn a_batch_has_a_result_for_each_entry(fixture: &dyn Fixture<dyn Queue>) {
    let Pair { a, b, store: _store } = Pair::open(fixture).await;
    let mut batch: Vec<Outgoing> = (0..BATCH_MAX).map(|n| job(&format!("job {n}"))).collect();
    let answers = a.send(batch.clone()).await.expect("send");
    assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), BATCH_MAX);
    let found = drain(&*b, fixture.windows()).await;
    assert_eq!(
        found.keys().cloned().collect::<BTreeSet<_>>(),
        batch.iter().map(|job| job.body.clone()).collect()
    );
    batch.push(job("one too many"));
    a.send(batch).await.expect_err("a batch that is too large");
    assert!(a.send(Vec::new()).await.expect("an empty batch").is_empty());
    assert!(drain(&*b, fixture.windows()).await.is_empty(), "none of a refused batch is there");
}

pub(super) async fn what_sqs_would_not_take_is_refused(fixture: &dyn Fixture<dyn Queue>) {
    let Pair { a, b, store: _store } = Pair::open(fixture).await;
    let largest = "x".repeat(JOB_OCTETS_MAX);
    let late = Outgoing { delay: DELAY_MAX + Duration::from_secs(1), ..job("too late") };
    let batch = vec![job("good"), job(&format!("{largest}x")), late, job(&largest)];
    let answers = a.send(batch).await.expect("send");
    assert_eq!(answers.iter().map(Result::is_ok).collect::<Vec<_>>(), [true, false, false, true]);
    let found = drain(&*b, fixture.windows()).await;
    assert_eq!(found.into_keys().collect::<Vec<_>>(), ["good".to_owned(), largest]);
}

pub(super) async fn an_entry_not_acknowledged_comes_back_and_its_receipt_goes_stale(
    fixture: &dyn Fixture<dyn Queue>,
) {
    let Pair { a, b, store: _store } = Pair::open(fixture).await;
    let windows = fixture.windows();
    send(&*a, "job").await;
    let began = SystemClock.now();
    let first = next(&*a, windows).await;
    let second = next(&*b, windows).await;
    // clocks of queues are coarse
    assert!(SystemClock.now().since(began) + Duration::from_millis(20) >= windows.visibility);
    assert_eq!((second.body.as_str(), second.receives), ("job", 2));
    b.release(&second.receipt, LONG).await.expect("release");
    a.release(&first.receipt, NO_WAIT).await.expect("a receipt that is out of date is no error");
    a.ack(&first.receipt).await.expect("a receipt that is out of date is no error");
    a.ack(&Receipt("not a receipt".to_owned())).await.ok();
    assert!(a.receive(1, NO_WAIT).await.expect("receive").is_empty(), "a stale receipt gives nothing back");
    b.release(&second.receipt, NO_WAIT).await.expect("release");
    assert_eq!(next(&*a, windows).await.receives, 3, "a stale receipt removes nothing");
}

pub(super) async fn an_entry_is_held_on_to_and_given_back_by_release(fixture: &dyn Fixture<dyn Queue>) {
    let Pair { a, b, store: _store } = Pair::open(fixture).await;
    send(&*a, "job").await;
    let entry = next(&*a, fixture.windows()).await;
    a.release(&entry.receipt, LONG).await.expect("release");
    let wait = fixture.windows().visibility * 2;
    assert!(b.receive(1, wait).await.expect("receive").is_empty(), "it is held beyond the queue's timeout");
    b.release(&entry.receipt, NO_WAIT).await.expect("release");
    let again = next(&*b, fixture.windows()).await;
    b.release(&again.receipt, fixture.windows().delay).await.expect("release");
    assert_eq!(next(&*a, fixture.windows()).await.receives, 3);
}

pub(super) async fn a_delayed_entry_is_not_visible_before_its_time(fixture: &dyn Fixture<dyn Queue>) {
    let Pair { a, b, store: _store } = Pair::open(fixture).await;
    let delay = fixture.windows().delay;
    let began = SystemClock.now();
    let delayed = Outgoing { delay, ..job("later") };
    a.send(vec![delayed, job("now")]).await.expect("send");
    let now = next(&*b, fixture.windows()).await;
    assert_eq!(now.body, "now");
    a.ack(&now.receipt).await.expect("ack");
    let later = next(&*b, fixture.windows()).await;
    assert!(SystemClock.now().since(began) >= delay, "it came before its time");
    assert_eq!((later.body.as_str(), later.receives), ("later", 1));
}

pub(super) async fn an_entry_received_too_often_goes_to_the_dead_letter_queue(
    fixture: &dyn Fixture<dyn Queue>,
) {
    let Pair { a, b, store: _store } = Pair::open(fixture).await;
    let windows = fixture.windows();
    send(&*a, "poison").await;
    for receives in 1..=windows.receives_max {
        let entry = next(&*a, windows).await;
        assert_eq!(entry.receives, receives);
        b.release(&entry.receipt, NO_WAIT).await.expect("release");
    }
    send(&*a, "behind it").await;
    assert_eq!(next(&*b, windows).await.body, "behind it", "the dead do not stand in the way");
    eventually("the entry is counted as dead", windows.patience, async || {
        let received = b.receive(10, NO_WAIT).await.expect("receive");
        assert!(received.iter().all(|entry| entry.body == "behind it"));
        b.depth().await.expect("depth").dead.eq(&1).then_some(())
    })
    .await;
}

pub(super) async fn a_receive_that_waits_is_woken_by_a_send(fixture: &dyn Fixture<dyn Queue>) {
    let Pair { a, b, store: _store } = Pair::open(fixture).await;
    for sender in [&a, &b] {
        let began = SystemClock.now();
        let waiting = tokio::spawn({
            let a = Arc::clone(&a);
            async move { a.receive(10, Duration::from_secs(20)).await }
        });
        tokio::task::yield_now().await;
        send(&**sender, "job").await;
        let received = waiting.await.expect("the task ends").expect("receive");
        assert_eq!(received.len(), 1);
        assert!(SystemClock.now().since(began) < Duration::from_secs(15), "it waited to the end");
        a.ack(&received[0].receipt).await.expect("ack");
    }
}

pub(super) async fn a_receive_that_waits_sees_an_entry_come_back(fixture: &dyn Fixture<dyn Queue>) {
    let Pair { a, b, store: _store } = Pair::open(fixture).await;
    send(&*a, "job").await;
    drop(next(&*a, fixture.windows()).await);
    let began = SystemClock.now();
    let received = b.receive(1, Duration::from_secs(20)).await.expect("receive");
    assert_eq!(received.len(), 1);
    assert!(SystemClock.now().since(began) < Duration::from_secs(15) + fixture.windows().visibility);
}

pub(super) async fn an_empty_queue_is_not_waited_for_unless_asked(fixture: &dyn Fixture<dyn Queue>) {
    let Pair { a, store: _store, .. } = Pair::open(fixture).await;
    let began = SystemClock.now();
    assert!(a.receive(10, NO_WAIT).await.expect("receive").is_empty());
    assert!(SystemClock.now().since(began) < fixture.windows().patience);
    let wait = Duration::from_millis(1500);
    assert!(a.receive(10, wait).await.expect("receive").is_empty());
    assert!(SystemClock.now().since(began) >= Duration::from_millis(1000), "it did not wait");
}

pub(super) async fn a_priority_loses_no_entry_and_comes_first_where_the_queue_ranks(
    fixture: &dyn Fixture<dyn Queue>,
) {
    let Pair { a, b, store: _store } = Pair::open(fixture).await;
    let ranked = |body: &str, priority| Outgoing { priority, ..job(body) };
    let batch =
        vec![ranked("last", -4), ranked("third", 0), ranked("second", 3), ranked("first", 9), job("fourth")];
    // the lower ones have waited longer
    for entry in batch {
        a.send(vec![entry]).await.expect("send");
        SystemClock.sleep(Duration::from_millis(2)).await;
    }
    let late = Outgoing { delay: DELAY_MAX, ..ranked("not visible", 9) };
    a.send(vec![late]).await.expect("send");
    let order = ["first", "second", "third", "fourth", "last"];
    if !fixture.windows().ranks {
        assert!(
            drain(&*b, fixture.windows())
                .await
                .into_keys()
                .eq(["first", "fourth", "last", "second", "third"])
        );
        return;
    }
    let depth = b.depth().await.expect("depth");
    assert_eq!((depth.ready, depth.delayed), (5, 1));
    for (n, body) in order.into_iter().enumerate() {
        let entry = next(&*b, fixture.windows()).await;
        assert_eq!(entry.body, body, "entry {n}");
        b.ack(&entry.receipt).await.expect("ack");
    }
    assert!(a.receive(10, NO_WAIT).await.expect("receive").is_empty());
}

/// A queue that cannot tell tenants apart gives what it has.
pub(super) async fn tenants_who_are_left_out_lose_nothing(fixture: &dyn Fixture<dyn Queue>) {
    let Pair { a, b, store: _store } = Pair::open(fixture).await;
    let (busy, other) = (TenantId("busy".to_owned()), TenantId("other".to_owned()));
    let of = |tenant: &TenantId, body: &str| Outgoing { tenant: tenant.clone(), ..job(body) };
    let batch = vec![of(&busy, "first"), of(&other, "second"), of(&busy, "third")];
    a.send(batch).await.expect("a sound queue takes a batch");
    let received = b.receive_but(10, Duration::from_secs(1), std::slice::from_ref(&busy)).await;
    let received = received.expect("a sound queue answers");
    // whose an entry is, is told rightly or not at all
    for entry in &received {
        let whose = if entry.body == "second" { &other } else { &busy };
        assert!(entry.tenant.as_ref().is_none_or(|tenant| tenant == whose));
    }
    for entry in received {
        b.release(&entry.receipt, Duration::ZERO).await.expect("release");
    }
    let found = drain(&*b, fixture.windows()).await;
    assert_eq!(found.keys().map(String::as_str).collect::<Vec<_>>(), ["first", "second", "third"]);
}

pub(super) async fn receivers_that_compete_get_every_entry(fixture: &dyn Fixture<dyn Queue>) {
    let Pair { a, b, store: _store } = Pair::open(fixture).await;
    let wait = fixture.windows().visibility * 3;
    let receivers: Vec<_> = (0..4)
        .map(|n| {
            let queue = Arc::clone(if n % 2 == 0 { &a } else { &b });
            tokio::spawn(async move {
                let mut found = Vec::new();
                loop {
                    let received = queue.receive(7, wait).await.expect("receive");
                    assert!(received.len() <= 7, "more came than was asked for");
                    if received.is_empty() {
                        return found;
                    }
                    for entry in received {
                        queue.ack(&entry.receipt).await.expect("ack");
                        found.push(entry.body);
                    }
                }
            })
        })
        .collect();
    let sent: Vec<String> = (0..100).map(|n| format!("job {n:03}")).collect();
    for (n, batch) in sent.chunks(BATCH_MAX).enumerate() {
        let queue = if n % 2 == 0 { &a } else { &b };
        queue.send(batch.iter().map(|body| job(body)).collect()).await.expect("send");
    }
    let mut found = BTreeSet::new();
    for receiver in receivers {
        found.extend(receiver.await.expect("the task ends"));
    }
    // those whose receiver stopped in the short time in which all had been received and not all acknowledged
    found.extend(drain(&*a, fixture.windows()).await.into_keys());
    assert_eq!(found.into_iter().collect::<Vec<_>>(), sent);
}

pub(super) async fn the_depth_tells_what_is_where(fixture: &dyn Fixture<dyn Queue>) {
    let Pair { a, b, store: _store } = Pair::open(fixture).await;
    assert_eq!(a.depth().await.expect("depth"), Depth::default());
    send(&*a, "received").await;
    let entry = next(&*a, fixture.windows()).await;
    a.release(&entry.receipt, LONG).await.expect("release");
    let delayed = Outgoing { delay: DELAY_MAX, ..job("delayed") };
    a.send(vec![delayed, job("ready"), job("ready as well")]).await.expect("send");
    eventually("the depth is right", fixture.windows().patience, async || {
        let depth = b.depth().await.expect("depth");
        (depth == Depth { ready: 2, in_flight: 1, delayed: 1, dead: 0, oldest: depth.oldest }).then_some(())
    })
    .await;
}

pub(super) async fn entries_outlive_their_handles_and_those_received_come_back(
    fixture: &dyn Fixture<dyn Queue>,
) {
    let pair = Pair::open(fixture).await;
    for body in ["received", "never received"] {
        send(&*pair.a, body).await;
    }
    drop(next(&*pair.b, fixture.windows()).await);
    let (_store, queue) = pair.reopen().await;
    let found = drain(&*queue, fixture.windows()).await;
    assert_eq!(found.into_keys().collect::<Vec<_>>(), ["never received", "received"]);
}

pub(super) async fn a_probe_leaves_nothing(fixture: &dyn Fixture<dyn Queue>) {
    let Pair { a, b, store: _store } = Pair::open(fixture).await;
    a.probe().await.expect("a sound queue is healthy");
    assert!(b.receive(1, NO_WAIT).await.expect("receive").is_empty());
}
