//! Orders of operators: put on what waits, obeyed once, and never in the way of an outcome.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::super::Fixture;
use super::super::fixture::{Belief, Pair};
use super::super::samples::{NOW, delivery, record};
use super::{LEASE, read, write};
use crate::job::{Delivery, DeliveryKey};
use crate::mail::Timestamp;
use crate::order::{Hand, Order, OrderId};
use crate::port::{Deliveries, DeliveryState, Ordered, RecipientStatus, Standing, Untried, due_shard};

const HOUR: Duration = Duration::from_secs(3600);

/// An order that is later than all before it.
fn an(hand: Hand) -> Order {
    static GIVEN: AtomicU64 = AtomicU64::new(0);
    let later = NOW + Duration::from_millis(GIVEN.fetch_add(1, Ordering::Relaxed));
    Order { id: OrderId::new(later, 0), hand, at: NOW, by: "ann".to_owned() }
}

fn hold() -> Order {
    an(Hand::Hold { until: None })
}

async fn order(
    deliveries: &dyn Deliveries,
    key: &DeliveryKey,
    order: Order,
    now: Timestamp,
) -> Option<DeliveryState> {
    let ordered = Ordered { key: key.clone(), orders: vec![order], now, untried: None };
    let mut answers = deliveries.order(vec![ordered]).await.expect("a sound store takes orders");
    assert_eq!(answers.len(), 1);
    answers.remove(0).expect("and each of them")
}

/// A delivery whose first attempt has failed.
async fn deferred(deliveries: &dyn Deliveries) -> Delivery {
    let delivery = delivery(&["r@example.org"]);
    write(deliveries, record(&delivery, RecipientStatus::Deferred)).await;
    delivery
}

fn second(delivery: &Delivery, status: RecipientStatus) -> crate::port::Record {
    record(&Delivery { attempt: 2, ..delivery.clone() }, status)
}

async fn is_due(deliveries: &dyn Deliveries, key: &DeliveryKey, now: Timestamp) -> bool {
    let due = deliveries.due(due_shard(key), now, LEASE, 1000).await.expect("due");
    due.iter().any(|due| due.key == *key)
}

pub(super) async fn an_order_changes_when_a_delivery_is_due(fixture: &dyn Fixture<dyn Deliveries>) {
    let Pair { a, b, store: _store } = Pair::open(fixture).await;
    let key = deferred(&*a).await.key;
    assert_eq!(order(&*b, &delivery(&["r@example.org"]).key, hold(), NOW).await, None);
    let (held, far) = (hold(), NOW + HOUR * 24);
    let state = order(&*b, &key, held.clone(), NOW).await.expect("it is there");
    assert_eq!(
        (state.due_at, state.orders.as_slice()),
        (Some(state.expires_at), std::slice::from_ref(&held))
    );
    assert_eq!(read(&*a, &key).await, Some(state.clone()));
    assert!(!is_due(&*a, &key, far).await, "held, it is not due");
    let listed = a.pending(due_shard(&key), None, 1000).await.expect("pending");
    assert!(listed.contains(&state), "and is listed where it waits now");
    let state = order(&*a, &key, an(Hand::Release), far).await.expect("it is there");
    assert_eq!((state.due_at, state.standing()), (Some(far), Standing::Free));
    assert!(is_due(&*b, &key, far).await && !is_due(&*b, &key, far).await, "released, it is leased once");
    // an order that came before changes nothing, and neither does one that is known
    for known in [held, state.orders[1].clone()] {
        let before = read(&*a, &key).await;
        assert_eq!(order(&*b, &key, known, far + HOUR).await, before);
    }
    let route = "smtp://relay.example:25";
    order(&*a, &key, an(Hand::Reroute { route: route.to_owned() }), far).await;
    let leased = b.due(due_shard(&key), far + HOUR, LEASE, 1000).await.expect("due");
    let leased = leased.iter().find(|due| due.key == key).expect("it is due again");
    assert_eq!(leased.route.as_deref(), Some(route));
}

pub(super) async fn what_is_settled_obeys_nobody(fixture: &dyn Fixture<dyn Deliveries>) {
    let Pair { a, b, store: _store } = Pair::open(fixture).await;
    let delivery = deferred(&*a).await;
    let bounce = an(Hand::Bounce { reason: "spam".to_owned() });
    order(&*b, &delivery.key, bounce, NOW).await;
    // the attempt that was under way has won
    write(&*a, second(&delivery, RecipientStatus::Delivered)).await;
    let before = read(&*b, &delivery.key).await.expect("it is there");
    assert_eq!((before.due_at, before.recipients[0].status), (None, RecipientStatus::Delivered));
    assert_eq!(order(&*b, &delivery.key, an(Hand::Retry), NOW).await, Some(before));
    assert!(!is_due(&*a, &delivery.key, NOW + HOUR * 1000).await);
}

pub(super) async fn an_attempt_undoes_no_order(fixture: &dyn Fixture<dyn Deliveries>) {
    let Pair { a, b, store: _store } = Pair::open(fixture).await;
    let delivery = deferred(&*a).await;
    order(&*b, &delivery.key, hold(), NOW).await;
    write(&*a, second(&delivery, RecipientStatus::Deferred)).await;
    let state = read(&*b, &delivery.key).await.expect("it is there");
    assert_eq!((state.due_at, state.attempts.len()), (Some(state.expires_at), 2));
}

pub(super) async fn an_order_makes_an_item_only_where_it_is_told_of_what(
    fixture: &dyn Fixture<dyn Deliveries>,
) {
    let Pair { a, b, store: _store } = Pair::open(fixture).await;
    let delivery = delivery(&["one@example.org", "two@example.org"]);
    let (key, due_at) = (delivery.key.clone(), NOW + HOUR);
    let untried = Untried { delivery: delivery.clone(), due_at, forget_at: NOW + HOUR * 1000 };
    let ordered = |hand| Ordered {
        key: key.clone(),
        orders: vec![an(hand)],
        now: NOW,
        untried: Some(Box::new(untried.clone())),
    };
    let route = "discard".to_owned();
    let made = b.order(vec![ordered(Hand::Reroute { route })]).await.expect("order").remove(0).expect("it");
    let made = made.expect("it is made");
    assert_eq!((made.due_at, made.attempts.len(), made.recipients.len()), (Some(due_at), 0, 2));
    assert_eq!(read(&*a, &key).await, Some(made));
    // where there is one, it is that which obeys
    write(&*a, record(&delivery, RecipientStatus::Deferred)).await;
    let state = b.order(vec![ordered(Hand::Retry)]).await.expect("order").remove(0).expect("it");
    let state = state.expect("it is there");
    assert_eq!((state.attempts.len(), state.orders.len(), state.due_at), (1, 2, Some(NOW)));
}

pub(super) async fn orders_and_records_that_race_are_all_kept(fixture: &dyn Fixture<dyn Deliveries>) {
    let Pair { a, b, store: _store } = Pair::open(fixture).await;
    for _ in 0..4 {
        let delivery = deferred(&*a).await;
        let task = tokio::spawn({
            let (b, key) = (Arc::clone(&b), delivery.key.clone());
            async move { order(&*b, &key, hold(), NOW).await.expect("it is there") }
        });
        write(&*a, second(&delivery, RecipientStatus::Deferred)).await;
        order(&*a, &delivery.key, an(Hand::Reroute { route: "mx".to_owned() }), NOW).await;
        task.await.expect("the task ends");
        let state = read(&*a, &delivery.key).await.expect("it is there");
        assert_eq!((state.attempts.len(), state.orders.len()), (2, 2));
        assert_eq!(state.due_at, Some(state.expires_at));
    }
}

/// What was said to be ordered is, and what was refused is not.
pub(super) async fn orders_hold(faulty: &dyn Deliveries, sound: &dyn Deliveries) {
    let key = deferred(sound).await.key;
    let ordered = Ordered { key: key.clone(), orders: vec![hold()], now: NOW, untried: None };
    let belief = match faulty.order(vec![ordered]).await {
        Ok(answers) => Belief::of(&answers[0]),
        error @ Err(_) => Belief::of(&error),
    };
    let state = read(sound, &key).await.expect("it is there");
    belief.check("an order", state.is_held_by_order(NOW));
}
