use std::sync::Arc;

use bytes::Bytes;
use shared::mail::{ContentFacts, Hold};
use shared::pack::encode;
use shared::port::{Deliveries, Spool};
use shared::testkit::{TempStores, samples};

use super::*;
use crate::samples::{ACCEPTED, NOW, after, attempts, hold, message_id, stores, text};

const RELEASE: u32 = 86_400;

struct Edge {
    _stores: TempStores,
    spool: Arc<dyn Spool>,
    deliveries: Arc<dyn Deliveries>,
}

impl Edge {
    async fn new() -> Self {
        let stores = stores().await;
        let (spool, deliveries) = (stores.stores.spool.clone(), stores.stores.deliveries.clone());
        Self { _stores: stores, spool, deliveries }
    }

    /// Puts the pack of a message to `to`.
    async fn accept(&self, id: MessageId, to: &[&str], hold: Option<Hold>) {
        let mut message = samples::message("alice@example.com", to);
        (message.received_at, message.envelope.options.hold) = (ACCEPTED, hold);
        let content =
            (message, ContentFacts::default(), Bytes::from_static(b"Subject: Hello\r\n\r\nbody\r\n"));
        self.spool.put(id.pack, encode(id.pack, ACCEPTED, vec![content])).await.unwrap();
    }

    async fn cancel(&self, id: MessageId, json: bool) -> (Outcome, String) {
        let (spool, deliveries) = (self.spool.clone(), self.deliveries.clone());
        let ports = Ports { spool, deliveries, now: NOW, place: "./.spoolway".to_owned() };
        let mut out = Vec::new();
        (run(&ports, id, json, &mut out).await, text(out))
    }
}

#[tokio::test]
async fn a_held_message_is_cancelled_for_all_and_may_be_again() {
    let (edge, id) = (Edge::new().await, message_id("a"));
    let to = ["bob@example.org", "carol@example.net"];
    edge.accept(id, &to, Some(Hold::For(RELEASE))).await;
    edge.deliveries.hold(to.map(|to| hold(id, &[to], after(RELEASE.into()))).into()).await.unwrap();
    for _ in 0..2 {
        let (outcome, told) = edge.cancel(id, false).await;
        outcome.unwrap();
        assert_eq!(told, "example.net: cancelled (1 recipient)\nexample.org: cancelled (1 recipient)\n");
    }
    let states = edge.deliveries.message(id).await.unwrap();
    assert!(states.iter().all(|state| state.due_at.is_none()));
    let reply = states[0].recipients[0].reply.as_ref().unwrap().to_string();
    assert_eq!(reply, "250 2.0.0 cancelled by the operator at 2023-11-14 22:15:20 UTC");
}

#[tokio::test]
async fn what_is_released_is_told_and_the_rest_is_cancelled() {
    let (edge, id) = (Edge::new().await, message_id("a"));
    let (early, late) =
        (hold(id, &["bob@example.org"], after(60)), hold(id, &["carol@example.net"], after(86_400)));
    let shard = shared::port::due_shard(&early.delivery.key);
    edge.deliveries.hold(vec![early, late]).await.unwrap();
    edge.deliveries.due(shard, NOW, std::time::Duration::from_secs(60), 1).await.unwrap();
    let (outcome, told) = edge.cancel(id, true).await;
    let failure = outcome.unwrap_err();
    assert_eq!(failure.exit, Exit::Data);
    assert!(
        failure.text.contains("it was held until 2023-11-14 22:14:20 UTC and is released"),
        "{failure:?}"
    );
    assert_eq!(
        serde_json::from_str::<serde_json::Value>(&told).unwrap(),
        serde_json::json!({
            "message": id.to_string(),
            "deliveries": [
                {"destination": "example.net", "recipients": ["carol@example.net"], "cancelled": true, "held_until": "2023-11-15T22:13:20Z"},
                {"destination": "example.org", "recipients": ["bob@example.org"], "cancelled": false, "held_until": "2023-11-14T22:14:20Z"},
            ],
            "unprepared": [],
        })
    );
}

#[tokio::test]
async fn a_message_that_is_not_prepared_yet_is_to_be_asked_for_again() {
    let (edge, id) = (Edge::new().await, message_id("a"));
    edge.accept(id, &["bob@example.org", "carol@example.net"], Some(Hold::For(RELEASE))).await;
    edge.deliveries.hold(vec![hold(id, &["bob@example.org"], after(RELEASE.into()))]).await.unwrap();
    let (outcome, told) = edge.cancel(id, true).await;
    assert_eq!(outcome.unwrap_err().exit, Exit::Later);
    let told: serde_json::Value = serde_json::from_str(&told).unwrap();
    assert_eq!(
        (&told["unprepared"][0], &told["deliveries"][0]["cancelled"]),
        (&"carol@example.net".into(), &true.into())
    );
}

#[tokio::test]
async fn a_message_that_was_never_held_is_too_late_and_one_that_is_not_there_is_no_input() {
    let (edge, id) = (Edge::new().await, message_id("a"));
    assert_eq!(edge.cancel(id, false).await.0.unwrap_err().exit, Exit::NoInput);
    edge.accept(id, &["bob@example.org"], None).await;
    assert_eq!(edge.cancel(id, false).await.0.unwrap_err().exit, Exit::Data);
    let tried = attempts(
        id,
        "example.org",
        &["bob@example.org"],
        &[Reply::new(450, (2, 0), "later")],
        Some(after(300)),
    );
    edge.deliveries.record(tried).await.unwrap();
    let (outcome, told) = edge.cancel(id, false).await;
    assert!(outcome.unwrap_err().text.contains("it is not held"));
    assert_eq!(told, "example.org: released, not cancelled (1 recipient)\n");
    assert!(edge.deliveries.message(id).await.unwrap()[0].due_at.is_some(), "it is tried as before");
}
