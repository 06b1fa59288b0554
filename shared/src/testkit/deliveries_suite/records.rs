//! Records of attempts.

use std::sync::Arc;

use super::super::Fixture;
use super::super::fixture::Pair;
use super::super::samples::{accepted, busy, delivery, domain, record};
use super::{read, write};
use crate::job::{Delivery, DeliveryKey};
use crate::limits::ATTEMPTS_MAX;
use crate::mail::{MessageId, Recipient};
use crate::port::{Deliveries, Next, RecipientStatus};

fn numbers(state: &crate::port::DeliveryState) -> Vec<u32> {
    state.attempts.iter().map(|attempt| attempt.number).collect()
}

fn due_of(next: &Next) -> Option<crate::mail::Timestamp> {
    match next {
        Next::Due { at, .. } => Some(*at),
        Next::Settled => None,
    }
}

pub(super) async fn an_item_is_made_by_its_first_record(fixture: &dyn Fixture<dyn Deliveries>) {
    let Pair { a, b, store: _store } = Pair::open(fixture).await;
    let delivery = delivery(&["r1@example.org", "\"r 2\"@example.org"]);
    assert_eq!(read(&*b, &delivery.key).await, None);
    let written = record(&delivery, RecipientStatus::Deferred);
    write(&*a, written.clone()).await;
    let state = read(&*b, &delivery.key).await.expect("it is there");
    assert_eq!((&state.key, &state.tenant, &state.from), (&delivery.key, &delivery.tenant, &delivery.from));
    assert_eq!((state.subject.as_str(), state.size), (delivery.subject.as_str(), delivery.length));
    assert_eq!((state.accepted_at, state.expires_at), (delivery.accepted_at, delivery.expires_at));
    assert_eq!((&state.signed, &state.recipients), (&delivery.signed, &written.recipients));
    assert_eq!(state.attempts, std::slice::from_ref(&written.attempt));
    assert_eq!(state.due_at, due_of(&written.next));
    assert_eq!(state.pending, Some(Box::new(Delivery { attempt: 2, ..delivery })));
}

pub(super) async fn states_come_in_the_order_of_their_keys(fixture: &dyn Fixture<dyn Deliveries>) {
    let Pair { a, b, store: _store } = Pair::open(fixture).await;
    let [one, none, two] = [(); 3].map(|()| delivery(&["r@example.org"]));
    for delivery in [&two, &one] {
        write(&*a, record(delivery, RecipientStatus::Delivered)).await;
    }
    let keys = [one.key.clone(), none.key, two.key.clone(), one.key.clone()];
    let states = b.settled(&keys).await.expect("settled");
    let found: Vec<_> = states.into_iter().map(|state| state.map(|state| state.key)).collect();
    assert_eq!(found, [Some(one.key.clone()), None, Some(two.key), Some(one.key)]);
    assert!(b.settled(&[]).await.expect("settled").is_empty());
}

pub(super) async fn a_final_status_stays(fixture: &dyn Fixture<dyn Deliveries>) {
    for last in [RecipientStatus::Delivered, RecipientStatus::Bounced, RecipientStatus::Discarded] {
        let Pair { a, b, store: _store } = Pair::open(fixture).await;
        let first = delivery(&["done@example.org", "open@example.org"]);
        let mut written = record(&first, RecipientStatus::Deferred);
        written.recipients[0].status = last;
        written.recipients[0].reply = Some(accepted());
        write(&*a, written).await;
        // a second worker tried both, and was turned away by the server
        let second = Delivery { attempt: 2, ..first.clone() };
        write(&*b, record(&second, RecipientStatus::Deferred)).await;
        let state = read(&*a, &first.key).await.expect("it is there");
        assert_eq!((state.recipients[0].status, state.recipients[0].reply.clone()), (last, Some(accepted())));
        assert_eq!(state.recipients[1].status, RecipientStatus::Deferred);
        assert_eq!(state.recipients[1].reply, Some(busy()));
        let pending = state.pending.expect("one recipient is left");
        let left: Vec<&str> = pending.recipients.iter().map(|left| left.address.as_str()).collect();
        assert_eq!(left, ["open@example.org"], "who has a final status is not tried again");
        let third = Delivery { attempt: 3, recipients: first.recipients[1..].to_vec(), ..first.clone() };
        write(&*a, record(&third, RecipientStatus::Bounced)).await;
        let state = read(&*b, &first.key).await.expect("it is there");
        assert!(state.recipients.iter().all(|recipient| recipient.status.is_final()));
        assert_eq!((state.due_at, state.pending), (None, None));
    }
}

pub(super) async fn an_attempt_is_added_once(fixture: &dyn Fixture<dyn Deliveries>) {
    let Pair { a, b, store: _store } = Pair::open(fixture).await;
    let delivery = delivery(&["r@example.org"]);
    let written = record(&delivery, RecipientStatus::Deferred);
    write(&*a, written.clone()).await;
    let mut again = written.clone();
    again.attempt.host = Some("another.example".to_owned());
    write(&*b, again).await;
    let state = read(&*a, &delivery.key).await.expect("it is there");
    assert_eq!(state.attempts, [written.attempt]);
    assert_eq!(state.due_at, due_of(&written.next));
}

pub(super) async fn a_record_that_comes_late_does_not_move_the_due_time(
    fixture: &dyn Fixture<dyn Deliveries>,
) {
    let Pair { a, b, store: _store } = Pair::open(fixture).await;
    let first = delivery(&["r@example.org"]);
    let second = Delivery { attempt: 2, ..first.clone() };
    let newest = record(&second, RecipientStatus::Deferred);
    write(&*a, newest.clone()).await;
    let mut late = record(&first, RecipientStatus::Deferred);
    late.recipients[0].reply = Some(accepted());
    write(&*b, late).await;
    let state = read(&*a, &first.key).await.expect("it is there");
    assert_eq!(numbers(&state), [1, 2], "oldest first");
    assert_eq!(state.due_at, due_of(&newest.next));
    assert_eq!(state.pending.map(|pending| pending.attempt), Some(3));
    assert_eq!(state.recipients[0].reply, Some(busy()), "the last word is that of the later attempt");
    // but a final outcome is one, however late it is told
    write(&*b, record(&first, RecipientStatus::Delivered)).await;
    let state = read(&*a, &first.key).await.expect("it is there");
    assert_eq!(state.recipients[0].status, RecipientStatus::Delivered);
    assert_eq!((state.due_at, state.pending), (None, None), "nobody is left to be tried");
}

pub(super) async fn records_of_one_call_are_taken_in_their_order(fixture: &dyn Fixture<dyn Deliveries>) {
    let Pair { a, b, store: _store } = Pair::open(fixture).await;
    let first = delivery(&["r@example.org"]);
    let second = Delivery { attempt: 2, ..first.clone() };
    let other = delivery(&["r@example.net"]);
    let records = vec![
        record(&first, RecipientStatus::Deferred),
        record(&other, RecipientStatus::Discarded),
        record(&second, RecipientStatus::Bounced),
    ];
    let answers = a.record(records).await.expect("record");
    assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 3);
    let state = read(&*b, &first.key).await.expect("it is there");
    assert_eq!((numbers(&state), state.due_at), (vec![1, 2], None));
    assert!(read(&*b, &other.key).await.is_some());
    assert!(a.record(Vec::new()).await.expect("record").is_empty());
}

pub(super) async fn records_that_race_are_all_kept(fixture: &dyn Fixture<dyn Deliveries>) {
    let Pair { a, b, store: _store } = Pair::open(fixture).await;
    let first = delivery(&["r@example.org"]);
    let tasks: Vec<_> = (1..=8)
        .map(|attempt| {
            let store = Arc::clone(if attempt % 2 == 0 { &a } else { &b });
            let written = record(&Delivery { attempt, ..first.clone() }, RecipientStatus::Deferred);
            tokio::spawn(async move { write(&*store, written).await })
        })
        .collect();
    for task in tasks {
        task.await.expect("the task ends");
    }
    let state = read(&*a, &first.key).await.expect("it is there");
    assert_eq!(numbers(&state), (1..=8).collect::<Vec<_>>());
    assert_eq!(state.pending.map(|pending| pending.attempt), Some(9));
}

pub(super) async fn a_message_has_all_its_deliveries_and_no_others(fixture: &dyn Fixture<dyn Deliveries>) {
    let Pair { a, b, store: _store } = Pair::open(fixture).await;
    let first = delivery(&["r@a.example"]);
    let message = first.key.message;
    let next_message = MessageId { n: 1, ..message };
    let mut keys = Vec::new();
    for (message, name, part) in [
        (message, "a.example", 0),
        (message, "a.example", 1),
        (message, "b.example", 0),
        (next_message, "a.example", 0),
    ] {
        let address = format!("r@{name}").parse::<crate::mail::Mailbox>().expect("an address");
        let key = DeliveryKey { message, domain: domain(name), part };
        let other =
            Delivery { key: key.clone(), recipients: vec![Recipient::from(address)], ..first.clone() };
        write(&*a, record(&other, RecipientStatus::Delivered)).await;
        keys.push(key);
    }
    let mut found: Vec<_> =
        b.message(message).await.expect("message").into_iter().map(|state| state.key).collect();
    found.sort();
    assert_eq!(found, keys[..3]);
    assert!(b.message(MessageId { n: 7, ..message }).await.expect("message").is_empty());
}

pub(super) async fn of_many_attempts_the_first_and_the_latest_are_kept(
    fixture: &dyn Fixture<dyn Deliveries>,
) {
    let Pair { a, b, store: _store } = Pair::open(fixture).await;
    let mut tried = delivery(&["r@example.org"]);
    let last = u32::try_from(ATTEMPTS_MAX).expect("it is small") + 5;
    for number in 1..=last {
        tried.attempt = number;
        write(&*a, record(&tried, RecipientStatus::Deferred)).await;
    }
    let state = read(&*b, &tried.key).await.expect("it is there");
    assert_eq!(state.attempts.len(), ATTEMPTS_MAX);
    assert_eq!((numbers(&state)[..2].to_vec(), numbers(&state).last().copied()), (vec![1, 7], Some(last)));
    assert_eq!(state.pending.map(|next| next.attempt), Some(last + 1));
}
