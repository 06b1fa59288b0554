use std::time::Duration;

use super::*;
use crate::order::OrderId;
use crate::port::{Held, Next, Record};
use crate::testkit::samples::{NOW, accepted, delivery, record};

const HOUR: Duration = Duration::from_secs(3600);

fn order(at: Timestamp, hand: Hand) -> Order {
    Order { id: OrderId::new(at, 7), hand, at, by: "ann".to_owned() }
}

fn hold() -> Hand {
    Hand::Hold { until: None }
}

fn bounce() -> Hand {
    Hand::Bounce { reason: "spam".to_owned() }
}

/// A delivery whose first attempt has failed, and that is due in an hour.
fn deferred() -> (DeliveryState, Record) {
    let first = record(&delivery(&["r@example.org"]), RecipientStatus::Deferred);
    let mut state = DeliveryState::begin(first.clone());
    state.due_at = Some(NOW + HOUR);
    (state, first)
}

/// The record of the attempt behind that, which defers it again or delivers it.
fn second(first: &Record, status: RecipientStatus) -> Record {
    let Next::Due { delivery, .. } = &first.next else { panic!("it is deferred") };
    record(delivery, status)
}

#[test]
fn each_hand_sets_when_it_is_due() {
    let (state, _) = deferred();
    let end = state.expires_at;
    let at = NOW + HOUR / 2;
    let due = |hands: &[Hand]| {
        let mut state = state.clone();
        for (n, hand) in (0..).zip(hands) {
            assert!(state.obey(&order(at + Duration::from_secs(n), hand.clone()), at), "{hand:?}");
        }
        state.due_at.unwrap()
    };
    let reroute = Hand::Reroute { route: "discard".to_owned() };
    assert_eq!(due(&[Hand::Retry]), at);
    assert_eq!(due(&[hold()]), end);
    assert_eq!(due(&[Hand::Hold { until: Some(at + HOUR) }]), at + HOUR);
    assert_eq!(due(&[hold(), Hand::Retry]), end, "what is held is not tried");
    assert_eq!(due(&[hold(), Hand::Release]), at);
    assert_eq!(due(&[hold(), bounce()]), at);
    assert_eq!(due(&[bounce(), hold()]), end, "the last word counts");
    assert_eq!(due(&[reroute]), NOW + HOUR);
}

#[test]
fn of_two_orders_that_come_in_the_wrong_order_the_later_one_counts() {
    let (mut state, _) = deferred();
    let (earlier, later) = (order(NOW, hold()), order(NOW + HOUR, Hand::Release));
    state.obey(&later, NOW + HOUR);
    state.obey(&earlier, NOW + HOUR);
    assert_eq!((state.standing(), state.due_at), (Standing::Free, Some(NOW + HOUR)));
    assert_eq!(state.orders, [earlier, later]);
}

#[test]
fn an_order_is_obeyed_once_but_a_hold_holds_again_after_a_lease() {
    let (mut state, first) = deferred();
    let retry = order(NOW, Hand::Retry);
    assert!(state.obey(&retry, NOW));
    state.add(second(&first, RecipientStatus::Deferred));
    let due = state.due_at;
    assert!(!state.obey(&retry, NOW) && state.due_at == due);
    let hold = order(NOW + HOUR, hold());
    state.obey(&hold, NOW);
    state.due_at = Some(NOW + HOUR);
    assert!(state.obey(&hold, NOW));
    assert_eq!(state.due_at, Some(state.expires_at));
    assert_eq!(state.orders.len(), 2);
}

#[test]
fn an_attempt_that_was_under_way_undoes_no_order() {
    for (hand, due) in [(hold(), None), (bounce(), Some(NOW))] {
        let (mut state, first) = deferred();
        state.obey(&order(NOW, hand), NOW);
        state.add(second(&first, RecipientStatus::Deferred));
        let due = due.unwrap_or(state.expires_at);
        assert!(state.due_at.is_some_and(|at| at.since(due) <= HOUR && at >= due), "{:?}", state.due_at);
        // and what it has delivered is delivered, and ends as that
        state.add(second(&first, RecipientStatus::Delivered));
    }
    let (mut state, first) = deferred();
    state.obey(&order(NOW, bounce()), NOW);
    state.add(second(&first, RecipientStatus::Delivered));
    assert_eq!((state.due_at, state.recipients[0].status), (None, RecipientStatus::Delivered));
    assert!(!state.obey(&order(NOW + HOUR, bounce()), NOW), "what is settled obeys nobody");
}

#[test]
fn a_route_stays_with_all_attempts_that_follow() {
    let (mut state, first) = deferred();
    state.obey(&order(NOW, Hand::Reroute { route: "smtp://relay.example:25".to_owned() }), NOW);
    state.add(second(&first, RecipientStatus::Deferred));
    assert_eq!(state.pending.unwrap().route.as_deref(), Some("smtp://relay.example:25"));
}

#[test]
fn what_its_sender_holds_is_not_the_operators_to_send() {
    let held = Held { delivery: delivery(&["r@example.org"]), until: NOW + HOUR, forget_at: NOW + HOUR * 99 };
    let mut state = DeliveryState::hold(held);
    for (n, hand) in (0..).zip([Hand::Retry, hold(), Hand::Release]) {
        state.obey(&order(NOW + Duration::from_secs(n), hand), NOW);
        assert!(state.is_held());
    }
    // it can be cancelled all the same
    state.cancel(&accepted());
    assert_eq!(state.due_at, None);
}

#[test]
fn of_many_orders_those_that_stand_are_kept() {
    let (mut state, _) = deferred();
    let at = |n: u64| NOW + Duration::from_secs(n);
    state.obey(&order(at(0), Hand::Reroute { route: "discard".to_owned() }), NOW);
    state.obey(&order(at(1), hold()), NOW);
    for n in 2..200 {
        state.obey(&order(at(n), Hand::Retry), NOW);
    }
    assert_eq!((state.orders.len(), state.route()), (ORDERS_KEPT, Some("discard")));
    assert!(state.is_held_by_order(NOW));
}
