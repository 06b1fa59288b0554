//! Deliveries that are held, and cancelled.

use std::sync::Arc;
use std::time::Duration;

use super::super::Fixture;
use super::super::fixture::{Belief, Pair};
use super::super::samples::{NOW, accepted, busy, delivery, record};
use super::{LEASE, read, write};
use crate::job::DeliveryKey;
use crate::port::{Cancel, Deliveries, Held, RecipientStatus, due_shard};

const HOUR: Duration = Duration::from_secs(3600);

/// A delivery to two that is held for an hour.
fn held() -> Held {
    let delivery = delivery(&["one@example.org", "two@example.org"]);
    Held { delivery, until: NOW + HOUR, forget_at: NOW + HOUR * 1000 }
}

async fn hold(deliveries: &dyn Deliveries, held: Held) {
    let answers = deliveries.hold(vec![held]).await.expect("a sound store holds");
    assert!(matches!(answers.as_slice(), [Ok(())]));
}

async fn cancel(deliveries: &dyn Deliveries, key: &DeliveryKey) -> Cancel {
    deliveries.cancel(key, &accepted()).await.expect("a sound store cancels")
}

async fn statuses(deliveries: &dyn Deliveries, key: &DeliveryKey) -> Vec<RecipientStatus> {
    let state = read(deliveries, key).await.expect("it is there");
    state.recipients.iter().map(|recipient| recipient.status).collect()
}

pub(super) async fn a_held_delivery_is_due_at_its_release(fixture: &dyn Fixture<dyn Deliveries>) {
    let Pair { a, b, store: _store } = Pair::open(fixture).await;
    let (first, second) = (held(), held());
    let answers = a.hold(vec![first.clone(), second.clone()]).await.expect("hold");
    assert!(matches!(answers.as_slice(), [Ok(()), Ok(())]));
    let Held { delivery, until, .. } = first;
    let (key, shard) = (delivery.key.clone(), due_shard(&delivery.key));
    let state = read(&*b, &key).await.expect("it is there");
    assert!(state.is_held() && state.attempts.is_empty());
    assert_eq!(
        (state.held_until, state.due_at, state.pending.as_deref()),
        (Some(until), Some(until), Some(&delivery))
    );
    assert_eq!(statuses(&*b, &key).await, [RecipientStatus::Deferred; 2]);
    assert_eq!(b.message(key.message).await.expect("message"), std::slice::from_ref(&state));
    let pending = b.pending(shard, None, 10).await.expect("pending");
    assert!(pending.contains(&state), "it is listed with what waits");

    let due = async |now| b.due(shard, now, LEASE, 10).await.expect("due");
    assert!(due(until - Duration::from_millis(1)).await.is_empty());
    let leased: Vec<_> = due(until).await.into_iter().filter(|leased| leased.key == key).collect();
    assert_eq!(leased, std::slice::from_ref(&delivery));
    assert!(!read(&*a, &key).await.expect("it is there").is_held(), "a lease is its release");
    write(&*a, record(&delivery, RecipientStatus::Delivered)).await;
    let state = read(&*b, &key).await.expect("it is there");
    assert_eq!((state.held_until, state.due_at, state.attempts.len()), (Some(until), None, 1));
    assert!(read(&*b, &second.delivery.key).await.is_some());
}

pub(super) async fn what_is_held_twice_is_held_once_and_what_came_of_it_stays(
    fixture: &dyn Fixture<dyn Deliveries>,
) {
    let Pair { a, b, store: _store } = Pair::open(fixture).await;
    // held, released, delivered, cancelled: none is changed by a second hold
    for step in 0..4 {
        let held = held();
        let key = held.delivery.key.clone();
        hold(&*a, held.clone()).await;
        match step {
            1 => drop(a.due(due_shard(&key), held.until, LEASE, 100).await.expect("due")),
            2 => write(&*a, record(&held.delivery, RecipientStatus::Delivered)).await,
            3 => assert_eq!(cancel(&*a, &key).await, Cancel::Done),
            _ => {}
        }
        let before = read(&*b, &key).await;
        hold(&*b, Held { until: held.until + HOUR, ..held }).await;
        assert_eq!(read(&*a, &key).await, before, "step {step}");
    }
}

pub(super) async fn a_cancelled_delivery_is_never_due(fixture: &dyn Fixture<dyn Deliveries>) {
    let Pair { a, b, store: _store } = Pair::open(fixture).await;
    let held = held();
    let (key, shard) = (held.delivery.key.clone(), due_shard(&held.delivery.key));
    assert_eq!(cancel(&*b, &key).await, Cancel::Missing);
    hold(&*a, held.clone()).await;
    assert_eq!((cancel(&*b, &key).await, cancel(&*a, &key).await), (Cancel::Done, Cancel::Done));
    assert_eq!(statuses(&*a, &key).await, [RecipientStatus::Cancelled; 2]);
    let state = read(&*a, &key).await.expect("it is there");
    assert!(state.recipients.iter().all(|recipient| recipient.reply == Some(accepted())));
    assert_eq!((state.due_at, state.pending, state.held_until), (None, None, Some(held.until)));
    assert!(b.due(shard, held.until + HOUR, LEASE, 10).await.expect("due").is_empty());
    assert!(b.pending(shard, None, 10).await.expect("pending").is_empty());
    // an attempt that nobody should have made changes no final status, and nothing becomes due by it
    write(&*a, record(&held.delivery, RecipientStatus::Deferred)).await;
    assert_eq!(statuses(&*b, &key).await, [RecipientStatus::Cancelled; 2]);
    assert!(b.due(shard, held.until + HOUR, LEASE, 10).await.expect("due").is_empty());
    assert_eq!(
        b.forget(held.forget_at - Duration::from_secs(1), 10).await.expect("forget"),
        0,
        "it is remembered"
    );
}

pub(super) async fn what_is_released_cannot_be_cancelled(fixture: &dyn Fixture<dyn Deliveries>) {
    let Pair { a, b, store: _store } = Pair::open(fixture).await;
    let (leased, tried, never_held) = (held(), held(), delivery(&["r@example.org"]));
    for held in [&leased, &tried] {
        hold(&*a, held.clone()).await;
    }
    // overdue is not released: nothing was sent
    let shard = due_shard(&leased.delivery.key);
    assert!(!b.due(shard, leased.until + HOUR, LEASE, 10).await.expect("due").is_empty());
    write(&*a, record(&tried.delivery, RecipientStatus::Deferred)).await;
    write(&*a, record(&never_held, RecipientStatus::Deferred)).await;
    for key in [&leased.delivery.key, &tried.delivery.key, &never_held.key] {
        let before = read(&*a, key).await;
        assert_eq!(cancel(&*b, key).await, Cancel::Released);
        assert_eq!(read(&*a, key).await, before);
    }
    // its lease has ended, and so has its job perhaps: it is released all the same
    let again = b.due(shard, leased.until + HOUR + LEASE, LEASE, 10).await.expect("due");
    assert!(again.iter().any(|again| again.key == leased.delivery.key));
    assert_eq!(cancel(&*b, &leased.delivery.key).await, Cancel::Released);
}

pub(super) async fn of_a_cancel_and_a_lease_that_race_one_wins(fixture: &dyn Fixture<dyn Deliveries>) {
    let Pair { a, b, store: _store } = Pair::open(fixture).await;
    for _ in 0..8 {
        let held = held();
        let (key, shard) = (held.delivery.key.clone(), due_shard(&held.delivery.key));
        hold(&*a, held.clone()).await;
        let lease = tokio::spawn({
            let b = Arc::clone(&b);
            async move { b.due(shard, held.until, LEASE, 100).await.expect("due") }
        });
        let cancelled = cancel(&*a, &key).await;
        let leased = lease.await.expect("the task ends").iter().any(|leased| leased.key == key);
        match cancelled {
            Cancel::Done => assert!(!leased, "both have won"),
            Cancel::Released => assert!(leased, "nobody has won"),
            Cancel::Missing => panic!("it was held"),
        }
    }
}

/// What was said to be held is, what was said to be cancelled is not due, and what was refused is as it was.
pub(super) async fn holds_hold(faulty: &dyn Deliveries, sound: &dyn Deliveries) {
    let held = held();
    let key = held.delivery.key.clone();
    let belief = match faulty.hold(vec![held.clone()]).await {
        Ok(answers) => Belief::of(&answers[0]),
        error @ Err(_) => Belief::of(&error),
    };
    belief.check("a hold", read(sound, &key).await.is_some());
    hold(sound, held.clone()).await;
    let answer = faulty.cancel(&key, &busy()).await;
    let is_cancelled = statuses(sound, &key).await == [RecipientStatus::Cancelled; 2];
    Belief::of(&answer).check("a cancel", is_cancelled);
    // what is in doubt is cancelled again, and the first word stays
    assert_eq!(cancel(sound, &key).await, Cancel::Done);
    let due = sound.due(due_shard(&key), held.until, LEASE, 100).await.expect("due");
    assert!(due.iter().all(|due| due.key != key));
}
