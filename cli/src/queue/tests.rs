use std::time::Duration;

use shared::job::DeliveryKey;
use shared::mail::Reply;
use shared::port::{BATCH_MAX, Held, Next, Outgoing, Postponed, Record, Waiting};
use shared::testkit::{ManualClock, TempStores};

use super::*;
use crate::limits::PENDING_PAGE;
use crate::samples::{NOW, after, attempts, message_id, text};

/// The stores of an edge with three jobs to prepare, the first of them ten seconds old.
struct Edge {
    clock: Arc<ManualClock>,
    stores: TempStores,
}

impl Edge {
    async fn new(records: Vec<Record>) -> Self {
        let clock = Arc::new(ManualClock::at(after(110)));
        let stores = TempStores::open(clock.clone()).await;
        let edge = Self { clock, stores };
        for _ in 0..3 {
            edge.send(&*edge.stores.stores.inbound, Duration::ZERO).await;
        }
        edge.clock.set(NOW);
        for batch in records.chunks(100) {
            edge.stores.stores.deliveries.record(batch.to_vec()).await.unwrap();
        }
        edge
    }

    async fn send(&self, queue: &dyn Queue, delay: Duration) {
        let job = Outgoing { body: "{}".to_owned(), delay, tenant: Default::default(), priority: 0 };
        queue.send(vec![job]).await.unwrap();
    }

    async fn told(&self, json: bool, width: Option<usize>) -> String {
        let stores = self.stores.stores.clone();
        let ports = Ports {
            deliveries: stores.deliveries,
            inbound: stores.inbound,
            outbound: stores.outbound,
            now: NOW,
        };
        let wanted = Wanted { filter: Filter::default(), list: None, json };
        let mut out = Vec::new();
        run(&ports, &wanted, Screen { colour: false, width }, &mut out).await.unwrap();
        text(out)
    }
}

fn deferred(seed: &str, domain: &str, to: &[&str], reply: &str, due_at: u64) -> Vec<Record> {
    attempts(message_id(seed), domain, to, &[Reply::new(450, (2, 0), reply.to_owned())], Some(after(due_at)))
}

#[tokio::test]
async fn destinations_are_told_with_what_waits_for_them() {
    let mut earlier = deferred("a", "example.org", &["a@example.org", "b@example.org"], "greylisted", 400);
    earlier[0].attempt.ended_at = after(1);
    let records = [
        earlier,
        deferred("b", "example.org", &["c@example.org"], "out of space, so come back another day", 360),
        deferred("c", "example.net", &["d@example.net"], "busy", 60),
    ];
    let edge = Edge::new(records.concat()).await;
    let outbound = &*edge.stores.stores.outbound;
    edge.send(outbound, Duration::ZERO).await;
    outbound.receive(1, Duration::ZERO).await.unwrap();
    edge.send(outbound, Duration::from_secs(60)).await;
    edge.send(outbound, Duration::from_secs(60)).await;
    let told = edge.told(false, Some(70)).await;
    assert_eq!(
        told,
        "\
destination  messages  recipients  oldest  next try      why
example.org         2           3  2 min   within 4 min  450 4.2.0 ou…
example.net         1           1  2 min   now           450 4.2.0 bu…

queue     ready  in flight  delayed  dead  oldest
inbound       3          0        0     0  10 s
outbound      0          1        2     0  0 ms
"
    );
}

#[tokio::test]
async fn an_empty_queue_says_so_and_dead_jobs_stand_out() {
    let edge = Edge::new(Vec::new()).await;
    let outbound = &*edge.stores.stores.outbound;
    edge.send(outbound, Duration::ZERO).await;
    // received more often than the queue allows, it is dead
    while !outbound.receive(BATCH_MAX, Duration::ZERO).await.unwrap().is_empty() {
        edge.clock.advance(Duration::from_secs(3600));
    }
    edge.clock.set(NOW);
    let told = edge.told(false, None).await;
    assert!(told.starts_with("No mail is deferred.\n"), "{told}");
    assert!(
        told.ends_with("1 job could not be worked off and will not be tried again; the log says why\n"),
        "{told}"
    );
}

#[tokio::test]
async fn held_mail_is_told_with_its_release_and_is_not_called_deferred() {
    let edge = Edge::new(deferred("a", "example.org", &["a@example.org"], "greylisted", 360)).await;
    let held = [("b", "b@example.net", 86_400), ("c", "c@example.net", 3600), ("d", "d@example.com", 7200)];
    let held = held.map(|(seed, to, release)| crate::samples::hold(message_id(seed), &[to], after(release)));
    edge.stores.stores.deliveries.hold(held.into()).await.unwrap();
    let told = edge.told(false, None).await;
    assert!(
        told.starts_with(
            "\
destination  messages  recipients  oldest  next try      why
example.org         1           1  2 min   within 4 min  450 4.2.0 greylisted

held for     messages  recipients  next release
example.net         2           2  2023-11-14 23:13:20 UTC
example.com         1           1  2023-11-15 00:13:20 UTC

queue "
        ),
        "{told}"
    );
    let told: serde_json::Value = serde_json::from_str(&edge.told(true, None).await).unwrap();
    assert_eq!(told["destinations"].as_array().unwrap().len(), 1);
    let expected = serde_json::json!({"domain": "example.net", "messages": 2, "recipients": 2, "next_release": "2023-11-14T23:13:20Z"});
    assert_eq!(told["held"][0], expected);
}

#[tokio::test]
async fn more_than_a_page_in_one_shard_is_counted_whole() {
    // parts of one delivery lie in different shards, so a page is filled by many messages to one domain
    let [record] = &deferred("x", "example.org", &["a@example.org"], "later", 60)[..] else {
        panic!("one attempt is one record")
    };
    let records: Vec<Record> = (0..20_000)
        .map(|n| DeliveryKey { message: message_id(&n.to_string()), ..record.delivery.key.clone() })
        .filter(|key| shared::port::due_shard(key) == 7)
        .map(|key| {
            let mut record = record.clone();
            if let Next::Due { delivery, .. } = &mut record.next {
                delivery.key = key.clone();
            }
            record.delivery.key = key;
            record
        })
        .collect();
    let count = records.len();
    assert!(count > PENDING_PAGE);
    let told = Edge::new(records).await.told(true, None).await;
    let told: serde_json::Value = serde_json::from_str(&told).unwrap();
    assert_eq!(told["destinations"][0]["messages"], count);
}

#[tokio::test]
async fn what_was_put_off_says_what_it_waits_for() {
    let edge = Edge::new(deferred("a", "example.org", &["a@example.org"], "greylisted", 360)).await;
    let until = after(600);
    let postponed = ["b", "c"].map(|seed| {
        let Held { mut delivery, .. } = crate::samples::hold(message_id(seed), &["b@example.org"], until);
        delivery.postponed = 1;
        let text = "mx.example.org has its 20 connections".to_owned();
        let waiting = Waiting { reason: "connections".to_owned(), text, until };
        Postponed { delivery, waiting, due_at: until, forget_at: until }
    });
    for result in edge.stores.stores.deliveries.postpone(postponed.into()).await.unwrap() {
        result.unwrap();
    }
    let told = edge.told(false, None).await;
    assert!(
        told.contains("example.org         3           3  2 min   within 4 min  mx.example.org has its"),
        "{told}"
    );
    let told: serde_json::Value = serde_json::from_str(&edge.told(true, None).await).unwrap();
    let row = &told["destinations"][0];
    assert_eq!(
        (&row["waiting_messages"], &row["waiting"]),
        (&2.into(), &"mx.example.org has its 20 connections".into())
    );
    let mut out = Vec::new();
    let filter = Filter { reason: Some("its 20 CONN".to_owned()), ..Filter::default() };
    let how = (NOW, true, Screen::default());
    list::run(&*edge.stores.stores.deliveries, &filter, (9, None), how, &mut out).await.unwrap();
    let page: serde_json::Value = serde_json::from_str(&text(out)).unwrap();
    assert_eq!(page["deliveries"].as_array().unwrap().len(), 2);
    assert_eq!(page["deliveries"][0]["waiting"], "mx.example.org has its 20 connections");
    let mut out = Vec::new();
    let filter = Filter { reason: Some("greylisting".to_owned()), ..Filter::default() };
    list::run(&*edge.stores.stores.deliveries, &filter, (9, None), how, &mut out).await.unwrap();
    let page: serde_json::Value = serde_json::from_str(&text(out)).unwrap();
    assert_eq!(page["deliveries"].as_array().unwrap().len(), 1, "by its class");
}

#[tokio::test]
async fn the_queue_as_json_stays_as_it_is() {
    let edge = Edge::new(deferred("a", "example.org", &["a@example.org"], "greylisted", 360)).await;
    edge.clock.set(after(119));
    edge.send(&*edge.stores.stores.outbound, Duration::ZERO).await;
    edge.clock.set(NOW);
    let told = edge.told(true, None).await;
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
                "waiting": null,
                "waiting_messages": 0,
            }],
            "held": [],
            "queues": {
                "inbound": {"ready": 3, "in_flight": 0, "delayed": 0, "dead": 0, "oldest": "2023-11-14T22:15:10Z"},
                "outbound": {"ready": 1, "in_flight": 0, "delayed": 0, "dead": 0, "oldest": "2023-11-14T22:15:19Z"},
            },
        })
    );
}

#[tokio::test]
async fn single_deliveries_are_listed_a_page_at_a_time() {
    let records: Vec<Record> = (0..25)
        .flat_map(|n| {
            let domain = if n < 20 { "example.org" } else { "example.net" };
            deferred(&n.to_string(), domain, &[&format!("u@{domain}")], "greylisted", 60 + n)
        })
        .collect();
    let edge = Edge::new(records).await;
    let deliveries = &*edge.stores.stores.deliveries;
    let filter = Filter { destination: Some("example.org".parse().unwrap()), ..Filter::default() };
    let (mut found, mut after, mut pages) = (HashSet::new(), None::<String>, 0);
    loop {
        let mut out = Vec::new();
        let how = (NOW, true, Screen::default());
        list::run(deliveries, &filter, (7, after.as_deref()), how, &mut out).await.unwrap();
        let page: serde_json::Value = serde_json::from_str(&text(out)).unwrap();
        for row in page["deliveries"].as_array().unwrap() {
            assert_eq!((&row["destination"], &row["status"]), (&"example.org".into(), &"deferred".into()));
            assert!(found.insert(row["message"].to_string()), "nothing is listed twice");
        }
        pages += 1;
        match page["next"].as_str() {
            Some(next) => after = Some(next.to_owned()),
            None => break,
        }
    }
    assert_eq!((found.len(), pages), (20, 3));
    let mut out = Vec::new();
    let how = (NOW, false, Screen::default());
    assert!(list::run(deliveries, &filter, (7, Some("nowhere")), how, &mut out).await.is_err());
}
