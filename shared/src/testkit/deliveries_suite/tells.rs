//! What a sender is to be told of a delivery, and which DSN tells it.

use std::sync::Arc;

use super::super::Fixture;
use super::super::fixture::{Belief, Pair};
use super::super::samples::{delivery, notification, pack_id, record};
use super::{LEASE, read, write};
use crate::job::{Delivery, DeliveryKey};
use crate::mail::MessageId;
use crate::port::{Action, Deliveries, DeliveryState, Next, RecipientStatus, Record, Telling, due_shard};

/// A record that leaves `action` to be told of the first recipient.
fn newsworthy(delivery: &Delivery, status: RecipientStatus, action: Action) -> Record {
    let mut record = record(delivery, status);
    record.recipients[0].untold = Some(Box::new(notification(&record, action)));
    record
}

/// The telling of the first recipient.
fn telling(delivery: &Delivery, action: Action, put_in: bool) -> Telling {
    let ended_at = record(delivery, RecipientStatus::Deferred).attempt.ended_at;
    let recipients = vec![(delivery.recipients[0].address.clone(), ended_at)];
    Telling { report: MessageId { pack: pack_id(), n: 0 }, action, recipients, put_in }
}

async fn tell(deliveries: &dyn Deliveries, key: &DeliveryKey, telling: &Telling) -> bool {
    deliveries.tell(key, telling.clone()).await.expect("a sound store takes it")
}

pub(super) async fn what_is_told_is_noted_and_changes_nothing_else(fixture: &dyn Fixture<dyn Deliveries>) {
    let Pair { a, b, store: _store } = Pair::open(fixture).await;
    let tried = delivery(&["r@example.org", "other@example.org"]);
    let begun = telling(&tried, Action::Delayed, false);
    let put_in = Telling { put_in: true, ..begun.clone() };
    assert!(!tell(&*a, &tried.key, &begun).await, "there is no item");
    write(&*a, newsworthy(&tried, RecipientStatus::Deferred, Action::Delayed)).await;
    // a lease must not be taken back
    let at = read(&*a, &tried.key).await.and_then(|state| state.due_at).expect("it is due");
    b.due(due_shard(&tried.key), at, LEASE, 100).await.expect("due");
    let mut before = read(&*b, &tried.key).await.expect("it is there");
    let original = before.original.as_ref().expect("there is something to be told");
    assert_eq!((original.prefix.as_str(), original.recipients.len()), (tried.prefix.as_str(), 0));
    for _ in 0..2 {
        assert!(!tell(&*b, &tried.key, &telling(&tried, Action::Failed, true)).await);
        assert_eq!(read(&*a, &tried.key).await.as_ref(), Some(&before), "nobody failed");
        assert!(tell(&*b, &tried.key, &begun).await);
        before.recipients[0].report = Some(begun.report);
        assert_eq!(read(&*a, &tried.key).await.as_ref(), Some(&before));
    }
    for first in [true, false] {
        assert_eq!(tell(&*a, &tried.key, &put_in).await, first, "who was told is not to be told of");
        (before.recipients[0].untold, before.original) = (None, None);
        assert_eq!(read(&*b, &tried.key).await.as_ref(), Some(&before));
    }
}

pub(super) async fn who_stays_deferred_stays_told_of_and_an_end_is_told_anew(
    fixture: &dyn Fixture<dyn Deliveries>,
) {
    let Pair { a, b, store: _store } = Pair::open(fixture).await;
    let tried = delivery(&["r@example.org"]);
    write(&*a, newsworthy(&tried, RecipientStatus::Deferred, Action::Delayed)).await;
    let again = Delivery { attempt: 2, ..tried.clone() };
    write(&*b, record(&again, RecipientStatus::Deferred)).await;
    let state = read(&*a, &tried.key).await.expect("it is there");
    assert!(state.recipients[0].untold.is_some() && state.original.is_some(), "it is late no less");
    let put_in = telling(&tried, Action::Delayed, true);
    assert!(tell(&*a, &tried.key, &put_in).await);
    let third = Delivery { attempt: 3, ..tried.clone() };
    write(&*b, record(&third, RecipientStatus::Deferred)).await;
    let state = read(&*a, &tried.key).await.expect("it is there");
    assert_eq!((state.recipients[0].report, &state.recipients[0].untold), (Some(put_in.report), &None));
    let fourth = Delivery { attempt: 4, ..tried.clone() };
    let last = newsworthy(&fourth, RecipientStatus::Bounced, Action::Failed);
    for _ in 0..2 {
        write(&*b, last.clone()).await;
        let state = read(&*a, &tried.key).await.expect("it is there");
        assert_eq!((state.recipients[0].report, state.due_at), (None, None));
        assert!(state.recipients[0].untold.is_some() && state.original.is_some());
    }
    let put_in = telling(&fourth, Action::Failed, true);
    // who was told of an earlier attempt was not told of this one
    assert!(!tell(&*a, &tried.key, &telling(&third, Action::Failed, true)).await);
    assert!(read(&*a, &tried.key).await.is_some_and(|state| state.original.is_some()));
    assert!(tell(&*a, &tried.key, &put_in).await);
    // an attempt that is recorded once more is not told once more
    write(&*b, last).await;
    let state = read(&*a, &tried.key).await.expect("it is there");
    assert!(state.recipients[0].untold.is_none() && state.original.is_none());
    assert_eq!(state.recipients[0].report, Some(put_in.report));
}

pub(super) async fn an_attempt_that_is_recorded_twice_is_not_to_be_told_twice(
    fixture: &dyn Fixture<dyn Deliveries>,
) {
    let Pair { a, b, store: _store } = Pair::open(fixture).await;
    let tried = delivery(&["r@example.org"]);
    let late = newsworthy(&tried, RecipientStatus::Deferred, Action::Delayed);
    write(&*a, late.clone()).await;
    assert!(tell(&*b, &tried.key, &telling(&tried, Action::Delayed, true)).await);
    let told = read(&*a, &tried.key).await;
    write(&*a, late).await;
    assert_eq!(read(&*b, &tried.key).await, told, "its answer was lost");
}

pub(super) async fn tellings_and_records_that_race_are_all_kept(fixture: &dyn Fixture<dyn Deliveries>) {
    let Pair { a, b, store: _store } = Pair::open(fixture).await;
    let tried = delivery(&["r@example.org", "other@example.org"]);
    write(&*a, newsworthy(&tried, RecipientStatus::Deferred, Action::Delayed)).await;
    let put_in = telling(&tried, Action::Delayed, true);
    let mut tasks = Vec::new();
    for attempt in 2..=6 {
        let (writer, again) = (Arc::clone(&a), Delivery { attempt, ..tried.clone() });
        tasks.push(tokio::spawn(async move {
            write(&*writer, record(&again, RecipientStatus::Deferred)).await;
        }));
        let (teller, key, put_in) = (Arc::clone(&b), tried.key.clone(), put_in.clone());
        tasks.push(tokio::spawn(async move {
            tell(&*teller, &key, &put_in).await;
        }));
    }
    for task in tasks {
        task.await.expect("the task ends");
    }
    let state = read(&*a, &tried.key).await.expect("it is there");
    assert_eq!((state.attempts.len(), state.recipients[0].report), (6, Some(put_in.report)));
    assert!(state.recipients[0].untold.is_none() && state.original.is_none());
}

/// What was said to be noted is there, and what was refused is not.
pub(super) async fn tellings_hold(faulty: &dyn Deliveries, sound: &dyn Deliveries) {
    let tried = delivery(&["r@example.org"]);
    let mut failed = newsworthy(&tried, RecipientStatus::Bounced, Action::Failed);
    failed.next = Next::Settled;
    write(sound, failed).await;
    let put_in = telling(&tried, Action::Failed, true);
    let answer = faulty.tell(&tried.key, put_in.clone()).await;
    let is_told = |state: Option<DeliveryState>| state.is_some_and(|state| state.original.is_none());
    Belief::of(&answer).check("a telling", is_told(read(sound, &tried.key).await));
    // what is in doubt is noted again
    tell(sound, &tried.key, &put_in).await;
    assert!(is_told(read(sound, &tried.key).await));
}
