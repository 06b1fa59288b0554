//! Deliveries whose attempt is put off.

use std::time::Duration;

use super::super::Fixture;
use super::super::fixture::{Belief, Pair};
use super::super::samples::{NOW, delivery, record};
use super::{LEASE, read, write};
use crate::job::Delivery;
use crate::order::{Hand, Order, OrderId};
use crate::port::{Deliveries, Held, Ordered, Postponed, RecipientStatus, Waiting, due_shard};

const HOUR: Duration = Duration::from_secs(3600);

/// `delivery`, put off for the `times`-th time.
fn put_off(delivery: &Delivery, times: u32) -> Postponed {
    let until = NOW + HOUR * times;
    let text = format!("wait {times}");
    Postponed {
        delivery: Delivery { postponed: times, ..delivery.clone() },
        waiting: Waiting { reason: "suspended".to_owned(), text, until },
        due_at: until + LEASE,
        forget_at: NOW + HOUR * 1000,
    }
}

async fn postpone(deliveries: &dyn Deliveries, postponed: Postponed) {
    let answers = deliveries.postpone(vec![postponed]).await.expect("a sound store puts off");
    assert!(matches!(answers.as_slice(), [Ok(())]));
}

pub(super) async fn what_is_put_off_is_due_at_its_time_and_says_why(fixture: &dyn Fixture<dyn Deliveries>) {
    let Pair { a, b, store: _store } = Pair::open(fixture).await;
    let (untried, tried) = (delivery(&["one@example.org", "two@example.org"]), delivery(&["r@example.org"]));
    write(&*a, record(&tried, RecipientStatus::Deferred)).await;
    let tried = Delivery { attempt: 2, ..tried };
    let both = [put_off(&untried, 1), put_off(&tried, 1)];
    let answers = a.postpone(both.to_vec()).await.expect("postpone");
    assert!(matches!(answers.as_slice(), [Ok(()), Ok(())]));
    for (postponed, attempts) in both.iter().zip([0, 1]) {
        let key = &postponed.delivery.key;
        let state = read(&*b, key).await.expect("it is there");
        assert_eq!(
            (state.attempts.len(), state.due_at),
            (attempts, Some(postponed.due_at)),
            "no attempt is made"
        );
        assert_eq!(state.waiting.as_ref(), Some(&postponed.waiting));
        assert!(state.recipients.iter().all(|recipient| recipient.status == RecipientStatus::Deferred));
        assert_eq!(state.recipients.len(), postponed.delivery.recipients.len());
        let shard = due_shard(key);
        let before = postponed.due_at - Duration::from_millis(1);
        let is_mine = |due: &Delivery| due.key == *key;
        assert!(
            !b.due(shard, before, LEASE, 100).await.expect("due").iter().any(is_mine),
            "not before its time"
        );
        let due = b.due(shard, postponed.due_at, LEASE, 100).await.expect("due").into_iter().find(is_mine);
        assert_eq!(due.as_ref(), Some(&postponed.delivery), "the same attempt");
        let state = read(&*a, key).await.expect("it is there");
        assert_eq!(state.due_at, Some(postponed.due_at + LEASE), "a lease never clears the due time");
    }
}

pub(super) async fn an_attempt_that_was_made_is_not_put_off(fixture: &dyn Fixture<dyn Deliveries>) {
    let Pair { a, b, store: _store } = Pair::open(fixture).await;
    for status in [RecipientStatus::Deferred, RecipientStatus::Delivered] {
        let tried = delivery(&["r@example.org"]);
        write(&*a, record(&tried, status)).await;
        let before = read(&*b, &tried.key).await;
        postpone(&*b, put_off(&tried, 1)).await;
        assert_eq!(read(&*a, &tried.key).await, before);
    }
}

pub(super) async fn the_later_of_two_postponements_stays(fixture: &dyn Fixture<dyn Deliveries>) {
    let Pair { a, b, store: _store } = Pair::open(fixture).await;
    let waits = delivery(&["r@example.org"]);
    for (times, stays) in [(1, 1), (3, 3), (2, 3), (3, 3)] {
        postpone(&*a, put_off(&waits, times)).await;
        let state = read(&*b, &waits.key).await.expect("it is there");
        let expected = put_off(&waits, stays);
        assert_eq!((state.due_at, state.waiting), (Some(expected.due_at), Some(expected.waiting)));
        assert_eq!(state.pending.map(|pending| pending.postponed), Some(stays));
    }
    // one of the same turn that comes again, late, changes not even a lease
    let shard = due_shard(&waits.key);
    assert_eq!(b.due(shard, NOW + HOUR * 10, LEASE, 100).await.expect("due").len(), 1);
    let leased = read(&*a, &waits.key).await;
    postpone(&*a, put_off(&waits, 3)).await;
    assert_eq!(read(&*b, &waits.key).await, leased);
}

pub(super) async fn a_record_ends_the_wait(fixture: &dyn Fixture<dyn Deliveries>) {
    let Pair { a, b, store: _store } = Pair::open(fixture).await;
    for status in [RecipientStatus::Deferred, RecipientStatus::Delivered] {
        let waits = delivery(&["one@example.org", "two@example.org"]);
        postpone(&*a, put_off(&waits, 1)).await;
        let mut tried = record(&waits, status);
        tried.recipients[0].status = RecipientStatus::Delivered;
        write(&*b, tried).await;
        let state = read(&*a, &waits.key).await.expect("it is there");
        assert_eq!((state.attempts.len(), state.waiting), (1, None));
        assert_eq!(state.due_at.is_some(), status == RecipientStatus::Deferred);
        assert_eq!(state.recipients[0].status, RecipientStatus::Delivered);
        // put off at the next attempt, whoever has it stays done
        let next = Delivery { attempt: 2, ..waits.clone() };
        postpone(&*a, put_off(&next, 1)).await;
        let state = read(&*b, &waits.key).await.expect("it is there");
        let left = state.pending.map(|pending| pending.recipients.len());
        assert_eq!(left, (status == RecipientStatus::Deferred).then_some(1));
        assert_eq!(state.waiting.is_some(), status == RecipientStatus::Deferred);
    }
}

pub(super) async fn what_is_released_from_a_hold_can_be_put_off(fixture: &dyn Fixture<dyn Deliveries>) {
    let Pair { a, b, store: _store } = Pair::open(fixture).await;
    let released = delivery(&["r@example.org"]);
    let held = Held { delivery: released.clone(), until: NOW, forget_at: NOW + HOUR * 1000 };
    let answers = a.hold(vec![held]).await.expect("hold");
    assert!(matches!(answers.as_slice(), [Ok(())]));
    assert_eq!(a.due(due_shard(&released.key), NOW, LEASE, 100).await.expect("due").len(), 1);
    postpone(&*b, put_off(&released, 1)).await;
    let state = read(&*a, &released.key).await.expect("it is there");
    assert_eq!((state.held_until, state.is_held()), (Some(NOW), false));
    assert_eq!(state.due_at, Some(put_off(&released, 1).due_at));
}

/// Whoever puts a turn off ends its claim: the turn must pass, or nobody could ever take it again.
pub(super) async fn what_an_operator_returns_stays_due_at_once(fixture: &dyn Fixture<dyn Deliveries>) {
    let Pair { a, b, store: _store } = Pair::open(fixture).await;
    let waits = delivery(&["r@example.org"]);
    postpone(&*a, put_off(&waits, 1)).await;
    let bounce = Order {
        id: OrderId::new(NOW, 0),
        hand: Hand::Bounce { reason: String::new() },
        at: NOW,
        by: "ann".to_owned(),
    };
    let ordered = Ordered { key: waits.key.clone(), orders: vec![bounce], now: NOW, untried: None };
    b.order(vec![ordered]).await.expect("order").remove(0).expect("it is there");
    postpone(&*a, put_off(&waits, 2)).await;
    let state = read(&*b, &waits.key).await.expect("it is there");
    assert_eq!((state.due_at, state.waiting.as_ref()), (Some(NOW), None));
    assert_eq!(state.pending.map(|pending| pending.postponed), Some(2));
}

/// What was said to be put off is due, and what was refused is as it was.
pub(super) async fn postponements_hold(faulty: &dyn Deliveries, sound: &dyn Deliveries) {
    let waits = delivery(&["r@example.org"]);
    let belief = match faulty.postpone(vec![put_off(&waits, 1)]).await {
        Ok(answers) => Belief::of(&answers[0]),
        error @ Err(_) => Belief::of(&error),
    };
    belief.check("a postponement", read(sound, &waits.key).await.is_some());
    postpone(sound, put_off(&waits, 1)).await;
    let state = read(sound, &waits.key).await.expect("it is there");
    assert_eq!(state.due_at, Some(put_off(&waits, 1).due_at));
    write(sound, record(&waits, RecipientStatus::Delivered)).await;
}
