use std::time::Duration;

use shared::job::DeliveryKey;
use shared::mail::Reply;

use super::*;
use crate::fakes::{FakeDeliveries, FakeQueue, NOW, after, message_id, state, text};

async fn queue(states: Vec<DeliveryState>, outbound: Depth, json: bool, width: Option<usize>) -> String {
    let ports = Ports {
        deliveries: Arc::new(FakeDeliveries(states)),
        inbound: Arc::new(FakeQueue(Depth { ready: 3, oldest: Some(after(110)), ..Depth::default() })),
        outbound: Arc::new(FakeQueue(outbound)),
        now: NOW,
    };
    let mut out = Vec::new();
    run(&ports, json, Screen { colour: false, width }, &mut out).await.unwrap();
    text(out)
}

fn deferred(seed: &str, domain: &str, to: &[&str], reply: &str, due_at: u64) -> DeliveryState {
    state(message_id(seed), domain, to, &[Reply::new(450, (2, 0), reply.to_owned())], Some(after(due_at)))
}

#[tokio::test]
async fn destinations_are_told_with_what_waits_for_them() {
    let mut earlier = deferred("a", "example.org", &["a@example.org", "b@example.org"], "greylisted", 400);
    earlier.attempts[0].ended_at = after(1);
    let states = vec![
        earlier,
        deferred("b", "example.org", &["c@example.org"], "out of space, so come back another day", 360),
        deferred("c", "example.net", &["d@example.net"], "busy", 60),
    ];
    let told = queue(states, Depth { in_flight: 1, delayed: 2, ..Depth::default() }, false, Some(70)).await;
    assert_eq!(
        told,
        "\
destination  messages  recipients  oldest  next try      last reply
example.org         2           3  2 min   within 4 min  450 4.2.0 ou…
example.net         1           1  2 min   now           450 4.2.0 bu…

queue     ready  in flight  delayed  dead  oldest
inbound       3          0        0     0  10 s
outbound      0          1        2     0  -
"
    );
}

#[tokio::test]
async fn an_empty_queue_says_so_and_dead_jobs_stand_out() {
    let told = queue(Vec::new(), Depth { dead: 1, ..Depth::default() }, false, None).await;
    assert!(told.starts_with("No mail is deferred.\n"), "{told}");
    assert!(
        told.ends_with("1 job could not be worked off and will not be tried again; the log says why\n"),
        "{told}"
    );
}

#[tokio::test]
async fn more_than_a_page_in_one_shard_is_counted_whole() {
    // parts of one delivery lie in different shards, so a page is filled by many messages to one domain
    let states: Vec<DeliveryState> = (0..20_000)
        .map(|n| {
            let mut state = deferred("x", "example.org", &["a@example.org"], "later", 60);
            let id = message_id(&n.to_string());
            state.key = DeliveryKey { message: id, ..state.key };
            state
        })
        .filter(|state| shared::port::due_shard(&state.key) == 7)
        .collect();
    let count = states.len();
    assert!(count > PENDING_PAGE);
    let told = queue(states, Depth::default(), true, None).await;
    let told: serde_json::Value = serde_json::from_str(&told).unwrap();
    assert_eq!(told["destinations"][0]["messages"], count);
}

#[tokio::test]
async fn the_queue_as_json_stays_as_it_is() {
    let states = vec![deferred("a", "example.org", &["a@example.org"], "greylisted", 360)];
    let told =
        queue(states, Depth { oldest: Some(NOW - Duration::from_secs(1)), ..Depth::default() }, true, None)
            .await;
    assert_eq!(
        serde_json::from_str::<serde_json::Value>(&told).unwrap(),
        serde_json::json!({
            "destinations": [{
                "domain": "example.org",
                "messages": 1,
                "recipients": 1,
                "oldest": "2023-11-14T22:13:20Z",
                "next_attempt_by": "2023-11-14T22:19:20Z",
                "last_reply": {"code": 450, "enhanced": "4.2.0", "text": "greylisted"},
            }],
            "queues": {
                "inbound": {"ready": 3, "in_flight": 0, "delayed": 0, "dead": 0, "oldest": "2023-11-14T22:15:10Z"},
                "outbound": {"ready": 0, "in_flight": 0, "delayed": 0, "dead": 0, "oldest": "2023-11-14T22:15:19Z"},
            },
        })
    );
}
