//! What comes to be known of a delivery later.

use std::sync::Arc;

use super::super::Fixture;
use super::super::fixture::{Belief, Pair};
use super::super::samples::{NOW, accepted, delivery, pack_id, record};
use super::{LEASE, read, write};
use crate::job::{Delivery, DeliveryKey};
use crate::limits::FEEDBACK_MAX;
use crate::mail::{MessageId, Reply};
use crate::port::{Deliveries, Feedback, FeedbackKind, RecipientStatus, due_shard};

fn bounced(delivery: &Delivery) -> Feedback {
    Feedback {
        at: NOW + LEASE,
        kind: FeedbackKind::Bounced,
        address: delivery.recipients[0].address.clone(),
        reply: Reply::new(550, (1, 1), "no such user"),
        reporter: Some("mx.example.org".to_owned()),
        report: MessageId { pack: pack_id(), n: 0 },
        suppressed: true,
    }
}

async fn note(deliveries: &dyn Deliveries, key: &DeliveryKey, feedback: Feedback) -> bool {
    deliveries.note(key, feedback).await.expect("a sound store takes notes")
}

pub(super) async fn what_is_noted_is_there_once_and_changes_nothing_else(
    fixture: &dyn Fixture<dyn Deliveries>,
) {
    let Pair { a, b, store: _store } = Pair::open(fixture).await;
    let tried = delivery(&["r@example.org", "other@example.org"]);
    let first = bounced(&tried);
    assert!(!note(&*a, &tried.key, first.clone()).await, "there is no item");
    assert_eq!(read(&*b, &tried.key).await, None);
    write(&*a, record(&tried, RecipientStatus::Deferred)).await;
    // a lease must not be taken back by a note
    let shard = due_shard(&tried.key);
    let at = read(&*a, &tried.key).await.and_then(|state| state.due_at).expect("it is due");
    b.due(shard, at, LEASE, 100).await.expect("due");
    let mut before = read(&*b, &tried.key).await.expect("it is there");
    for _ in 0..2 {
        assert!(note(&*b, &tried.key, first.clone()).await);
    }
    let of_another = Feedback { address: tried.recipients[1].address.clone(), ..first.clone() };
    assert!(note(&*a, &tried.key, of_another.clone()).await);
    before.feedback = vec![first, of_another];
    assert_eq!(read(&*a, &tried.key).await, Some(before.clone()));
    // and a record takes nothing of it away
    write(&*a, record(&Delivery { attempt: 2, ..tried.clone() }, RecipientStatus::Delivered)).await;
    let state = read(&*b, &tried.key).await.expect("it is there");
    assert_eq!((state.feedback, state.due_at), (before.feedback, None));
    assert!(state.recipients.iter().all(|recipient| recipient.reply == Some(accepted())));
}

pub(super) async fn of_many_notes_the_first_and_the_latest_are_kept(fixture: &dyn Fixture<dyn Deliveries>) {
    let Pair { a, b, store: _store } = Pair::open(fixture).await;
    let tried = delivery(&["r@example.org"]);
    write(&*a, record(&tried, RecipientStatus::Delivered)).await;
    let all: Vec<Feedback> = (0..FEEDBACK_MAX + 3).map(|_| bounced(&tried)).collect();
    for feedback in &all {
        assert!(note(&*a, &tried.key, feedback.clone()).await);
    }
    let kept = read(&*b, &tried.key).await.expect("it is there").feedback;
    assert_eq!((&kept[0], &kept[1..]), (&all[0], &all[4..]));
}

pub(super) async fn notes_and_records_that_race_are_all_kept(fixture: &dyn Fixture<dyn Deliveries>) {
    let Pair { a, b, store: _store } = Pair::open(fixture).await;
    let tried = delivery(&["r@example.org"]);
    write(&*a, record(&tried, RecipientStatus::Deferred)).await;
    let tasks: Vec<_> = (2..=6)
        .flat_map(|attempt| {
            let (writer, noter) = (Arc::clone(&a), Arc::clone(&b));
            let (again, feedback) = (Delivery { attempt, ..tried.clone() }, bounced(&tried));
            let key = tried.key.clone();
            [
                tokio::spawn(async move { write(&*writer, record(&again, RecipientStatus::Deferred)).await }),
                tokio::spawn(async move { assert!(note(&*noter, &key, feedback).await) }),
            ]
        })
        .collect();
    for task in tasks {
        task.await.expect("the task ends");
    }
    let state = read(&*a, &tried.key).await.expect("it is there");
    assert_eq!((state.attempts.len(), state.feedback.len()), (6, 5));
}

/// What was said to be noted is there, and what was refused is not.
pub(super) async fn notes_hold(faulty: &dyn Deliveries, sound: &dyn Deliveries) {
    let tried = delivery(&["r@example.org"]);
    write(sound, record(&tried, RecipientStatus::Delivered)).await;
    let feedback = bounced(&tried);
    let answer = faulty.note(&tried.key, feedback.clone()).await;
    let is_there = |state: Option<crate::port::DeliveryState>| {
        state.is_some_and(|state| state.feedback == [feedback.clone()])
    };
    Belief::of(&answer).check("a note", is_there(read(sound, &tried.key).await));
    // what is in doubt is noted again
    assert!(note(sound, &tried.key, feedback.clone()).await);
    assert!(is_there(read(sound, &tried.key).await));
}
