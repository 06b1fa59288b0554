//! What operators ordered stands in the story, where it happened.

use std::time::Duration;

use shared::order::Hand;
use shared::port::Ordered;

use super::*;

fn order(seconds: u64, hand: Hand) -> Order {
    Order { id: OrderId::new(after(seconds), 0), hand, at: after(seconds), by: "ann".to_owned() }
}

/// The story of a delivery that was deferred, for which these orders were given.
async fn told(orders: Vec<Order>, json: bool) -> String {
    let (open, id) = (stores().await, message_id("a"));
    let (spool, deliveries) = (open.stores.spool.clone(), open.stores.deliveries.clone());
    let records = attempts(id, "example.org", &["bob@example.org"], &[deferral()], Some(after(360)));
    let key = records[0].delivery.key.clone();
    deliveries.record(records).await.unwrap();
    deliveries.order(vec![Ordered { key, orders, now: NOW, untried: None }]).await.unwrap();
    let ports = Ports { spool, deliveries, now: NOW, place: "./.spoolway".to_owned() };
    let mut out = Vec::new();
    run(&ports, id, json, Screen::default(), &mut out).await.unwrap();
    text(out)
}

#[tokio::test]
async fn a_story_tells_who_ordered_what_and_what_comes_of_it() {
    let hold = order(90, Hand::Hold { until: None });
    let said = told(vec![order(60, Hand::Retry), hold.clone()], false).await;
    assert!(said.contains("22:14:20  retry ordered by ann\n"), "{said}");
    assert!(said.contains("22:14:50  hold ordered by ann\n"), "{said}");
    assert!(said.contains("  held      bob@example.org"), "{said}");
    assert!(
        said.contains("next      nothing until it is released; returned to its sender on 2023-11-19"),
        "{said}"
    );
    let until = NOW + Duration::from_secs(3600);
    let said = told(vec![order(90, Hand::Hold { until: Some(until) })], false).await;
    assert!(said.contains("released; tried again on 2023-11-14 23:15:20 UTC"), "{said}");
    let said = told(vec![hold, order(100, Hand::Release)], false).await;
    assert!(said.contains("  deferred  bob@example.org") && said.contains("attempt 2 now"), "{said}");
}

#[tokio::test]
async fn orders_stand_in_the_story_as_json() {
    let bounce = order(90, Hand::Bounce { reason: "sent twice".to_owned() });
    let said: serde_json::Value = serde_json::from_str(&told(vec![bounce.clone()], true).await).unwrap();
    let expected = serde_json::json!([{
        "order": bounce.id, "at": "2023-11-14T22:14:50Z", "by": "ann", "hand": "bounce", "detail": "sent twice",
    }]);
    assert_eq!(said["deliveries"][0]["orders"], expected);
}
