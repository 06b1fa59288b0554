use std::time::Duration;

use shared::mail::{Reply, TenantId};
use shared::testkit::TempStores;

use super::*;
use crate::samples::{NOW, after, attempts, message_id, stores, text};

/// Mail to three destinations, of which two messages are for the first.
async fn edge() -> TempStores {
    let edge = stores().await;
    let busy = [Reply::new(450, (2, 0), "greylisted")];
    for (seed, to) in [("a", "a@example.org"), ("b", "b@example.org"), ("c", "c@example.net")] {
        let domain = to.split_once('@').unwrap().1;
        let records = attempts(message_id(seed), domain, &[to], &busy, Some(after(3600)));
        edge.stores.deliveries.record(records).await.unwrap();
    }
    edge
}

fn wish(hand: Hand, filter: Filter) -> Wish {
    Wish { hand, filter, lasting: None, by: "ann".to_owned(), dry_run: false, json: true }
}

fn to(domain: &str) -> Filter {
    Filter { destination: Some(domain.parse().unwrap()), ..Filter::default() }
}

async fn told(edge: &TempStores, wish: Wish, say: bool) -> (Outcome, String) {
    let stores = edge.stores.clone();
    let trace = trace::Ports {
        spool: stores.spool,
        deliveries: stores.deliveries,
        now: NOW,
        place: "here".to_owned(),
    };
    let ports = Ports { trace, directory: stores.directory, chance: orders_given(edge).await };
    let mut out = Vec::new();
    let done = run(&ports, wish, |_| Ok(say), Screen::default(), &mut out).await;
    (done, text(out))
}

/// How many orders there are: the next one has another number.
async fn orders_given(edge: &TempStores) -> u64 {
    orders::read(&*edge.stores.directory, NOW).await.unwrap().len() as u64
}

async fn state(edge: &TempStores, seed: &str) -> shared::port::DeliveryState {
    edge.stores.deliveries.message(message_id(seed)).await.unwrap().remove(0)
}

#[tokio::test]
async fn a_hand_is_laid_on_what_the_filter_means_and_stands_in_the_directory() {
    let edge = edge().await;
    let (done, said) = told(&edge, wish(Hand::Hold { until: None }, to("example.org")), true).await;
    done.unwrap();
    let said: serde_json::Value = serde_json::from_str(&said).unwrap();
    assert_eq!((said["messages"].as_u64(), said["deliveries"].as_u64()), (Some(2), Some(2)));
    for (seed, held) in [("a", true), ("b", true), ("c", false)] {
        assert_eq!(state(&edge, seed).await.is_held_by_order(NOW), held, "{seed}");
    }
    assert_eq!(state(&edge, "a").await.orders[0].by, "ann");
    let orders = orders::read(&*edge.stores.directory, NOW).await.unwrap();
    assert_eq!(orders.len(), 1);
    assert_eq!(orders[0].filter.accepted_before, Some(NOW), "it is not for what comes later");
}

#[tokio::test]
async fn a_dry_run_and_a_no_change_nothing() {
    let edge = edge().await;
    let before = state(&edge, "a").await;
    let dry = Wish { dry_run: true, json: false, ..wish(Hand::Retry, Filter::default()) };
    let (done, said) = told(&edge, dry, false).await;
    done.unwrap();
    assert!(said.contains("retry all mail") || said.contains("would be for 3 messages"), "{said}");
    let bounce = wish(Hand::Bounce { reason: String::new() }, to("example.org"));
    let (done, _) = told(&edge, bounce, false).await;
    assert_eq!(done.unwrap_err().exit, Exit::Usage);
    assert_eq!(state(&edge, "a").await, before);
    assert!(orders::read(&*edge.stores.directory, NOW).await.unwrap().is_empty());
    // one message is not asked about
    let one = wish(Hand::Retry, Filter { messages: vec![message_id("c")], ..Filter::default() });
    told(&edge, one, false).await.0.unwrap();
    assert_eq!(state(&edge, "c").await.due_at, Some(NOW));
}

#[tokio::test]
async fn a_message_that_is_not_there_is_said_so() {
    let edge = edge().await;
    let filter = Filter { messages: vec![message_id("nobody")], ..Filter::default() };
    let (done, _) = told(&edge, wish(Hand::Retry, filter), true).await;
    assert_eq!(done.unwrap_err().exit, Exit::NoInput);
}

#[tokio::test]
async fn a_release_ends_the_lasting_holds_that_it_covers() {
    let edge = edge().await;
    let lasting = |filter| Wish {
        lasting: Some(Duration::from_secs(7200)),
        ..wish(Hand::Hold { until: None }, filter)
    };
    told(&edge, lasting(to("example.org")), true).await.0.unwrap();
    let other = Filter { tenant: Some(TenantId("other".to_owned())), ..Filter::default() };
    told(&edge, lasting(other.clone()), true).await.0.unwrap();
    assert_eq!(state(&edge, "a").await.due_at, Some(NOW + Duration::from_secs(7200)));
    let (done, said) = told(&edge, wish(Hand::Release, to("example.org")), true).await;
    done.unwrap();
    let said: serde_json::Value = serde_json::from_str(&said).unwrap();
    assert_eq!(said["ended"].as_array().unwrap().len(), 1);
    assert_eq!(state(&edge, "a").await.due_at, Some(NOW));
    let left = orders::read(&*edge.stores.directory, NOW).await.unwrap();
    assert_eq!(left.iter().map(|order| order.order.hand.as_str()).collect::<Vec<_>>(), ["hold", "release"]);
    assert_eq!(left[0].filter.tenant, other.tenant);
}
