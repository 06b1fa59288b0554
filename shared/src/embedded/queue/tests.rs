use tempfile::TempDir;

use super::*;
use crate::mail::TenantId;
use crate::system::SystemClock;
use crate::testkit::ManualClock;

mod fair;

const MINUTE: Duration = Duration::from_secs(60);

fn queue(clock: &Arc<ManualClock>) -> (TempDir, Arc<SqliteQueue>, Database) {
    let folder = tempfile::tempdir().unwrap();
    let database = Database::open(&folder.path().join("queue.db")).unwrap();
    (folder, Arc::new(open(&database, "jobs", clock)), database)
}

fn open(database: &Database, name: &str, clock: &Arc<ManualClock>) -> SqliteQueue {
    SqliteQueue::new(database, name, QueueSettings::default(), Arc::clone(clock) as Arc<dyn Clock>).unwrap()
}

fn job(body: &str, delay: Duration) -> Outgoing {
    Outgoing { body: body.to_owned(), delay, tenant: TenantId::default(), priority: 0 }
}

#[tokio::test]
async fn a_send_wakes_a_receive_without_any_time_going_by() {
    let clock = Arc::new(ManualClock::default());
    let (_folder, queue, _) = queue(&clock);
    let receive = tokio::spawn({
        let queue = Arc::clone(&queue);
        async move { queue.receive(10, MINUTE).await }
    });
    clock.until_asleep(1).await;
    queue.send(vec![job("now", Duration::ZERO)]).await.unwrap();
    assert_eq!(receive.await.unwrap().unwrap()[0].body, "now");
}

#[tokio::test]
async fn a_receive_that_waits_wakes_when_a_delay_ends() {
    let clock = Arc::new(ManualClock::default());
    let (_folder, queue, _) = queue(&clock);
    let receive = tokio::spawn({
        let queue = Arc::clone(&queue);
        async move { queue.receive(10, MINUTE).await }
    });
    clock.until_asleep(1).await;
    let delay = Duration::from_millis(300);
    queue.send(vec![job("soon", delay)]).await.unwrap();
    // it sleeps exactly up to then, and not up to its next look
    let began = clock.now();
    while clock.next_waking() != Some(began + delay) {
        tokio::task::yield_now().await;
    }
    clock.advance(delay);
    assert_eq!(receive.await.unwrap().unwrap()[0].body, "soon");
}

#[tokio::test]
async fn what_another_process_sends_is_seen_within_a_second() {
    let clock = Arc::new(ManualClock::default());
    let (folder, queue, _) = queue(&clock);
    let other = Database::open_existing(&folder.path().join("queue.db")).unwrap();
    let receive = tokio::spawn(async move { queue.receive(10, MINUTE).await });
    clock.until_asleep(1).await;
    open(&other, "jobs", &clock).send(vec![job("from afar", Duration::ZERO)]).await.unwrap();
    clock.advance(LOOK_EVERY);
    assert_eq!(receive.await.unwrap().unwrap()[0].body, "from afar");
}

#[tokio::test]
async fn one_send_of_many_wakes_as_many_receives_as_have_work() {
    let clock = Arc::new(ManualClock::default());
    let (_folder, queue, _) = queue(&clock);
    let receives: Vec<_> = (0..3)
        .map(|_| {
            let queue = Arc::clone(&queue);
            tokio::spawn(async move { queue.receive(1, MINUTE).await })
        })
        .collect();
    clock.until_asleep(3).await;
    queue.send((0..3).map(|n| job(&n.to_string(), Duration::ZERO)).collect()).await.unwrap();
    for receive in receives {
        assert_eq!(receive.await.unwrap().unwrap().len(), 1);
    }
}

#[tokio::test]
async fn entries_received_for_a_caller_who_went_away_are_given_back() {
    let clock = Arc::new(ManualClock::default());
    let (_folder, queue, database) = queue(&clock);
    queue.send(vec![job("job", Duration::ZERO)]).await.unwrap();
    let (open, gate) = std::sync::mpsc::channel::<()>();
    database.write_later("a test", move |_| {
        let _ = gate.recv();
        Ok(())
    });
    let mut receive = Box::pin(queue.receive(1, Duration::ZERO));
    assert!(futures::poll!(&mut receive).is_pending());
    drop(receive);
    open.send(()).unwrap();
    // and no time goes by
    let patience: &dyn Clock = &SystemClock;
    let received = patience.timeout(MINUTE, queue.receive(1, MINUTE)).await.expect("it is given back");
    let entry = received.unwrap().remove(0);
    assert_eq!(entry.body, "job");
    queue.ack(&entry.receipt).await.unwrap();
    assert_eq!(queue.depth().await.unwrap(), Depth::default());
}

#[tokio::test]
async fn queues_of_one_file_do_not_meet() {
    let clock = Arc::new(ManualClock::default());
    let (_folder, queue, database) = queue(&clock);
    let other = open(&database, "other jobs", &clock);
    queue.send(vec![job("job", Duration::ZERO)]).await.unwrap();
    assert!(other.receive(1, Duration::ZERO).await.unwrap().is_empty());
    let entry = queue.receive(1, Duration::ZERO).await.unwrap().remove(0);
    other.ack(&entry.receipt).await.unwrap();
    other.release(&entry.receipt, Duration::ZERO).await.unwrap();
    assert_eq!(queue.depth().await.unwrap().in_flight, 1);
}

#[tokio::test]
async fn an_acknowledged_entry_leaves_no_row_behind() {
    let clock = Arc::new(ManualClock::default());
    let (_folder, queue, database) = queue(&clock);
    queue.send(vec![job("job", Duration::ZERO)]).await.unwrap();
    let entry = queue.receive(1, Duration::ZERO).await.unwrap().remove(0);
    queue.ack(&entry.receipt).await.unwrap();
    let bodies =
        |db: &rusqlite::Connection| db.query_row("SELECT count(*) FROM queue_body", [], |row| row.get(0));
    assert_eq!(database.read::<i64, _>("a test", bodies).await.unwrap(), 0);
}

#[tokio::test]
async fn a_receive_of_many_takes_the_urgent_ones_first_and_fills_up_with_the_others() {
    let clock = Arc::new(ManualClock::default());
    let (_folder, queue, _) = queue(&clock);
    let ranked = |body: &str, priority| Outgoing { priority, ..job(body, Duration::ZERO) };
    let sent = ["bulk", "plain", "bulk", "plain", "bulk", "plain", "bulk", "bulk"];
    let sent = sent.map(|body| ranked(body, if body == "bulk" { -1 } else { 0 }));
    queue.send(sent.into()).await.unwrap();
    queue.send(vec![ranked("urgent", 5), ranked("most urgent", 9)]).await.unwrap();
    let bodies = async |max| {
        let received = queue.receive(max, Duration::ZERO).await.unwrap();
        received.into_iter().map(|entry| entry.body).collect::<Vec<_>>()
    };
    assert_eq!(bodies(3).await, ["most urgent", "urgent", "plain"]);
    assert_eq!(bodies(6).await, ["plain", "plain", "bulk", "bulk", "bulk", "bulk"]);
}

#[tokio::test]
async fn a_receive_that_waits_wakes_when_the_delay_of_an_urgent_entry_ends() {
    let clock = Arc::new(ManualClock::default());
    let (_folder, queue, _) = queue(&clock);
    let delay = Duration::from_millis(300);
    queue.send(vec![Outgoing { priority: 7, ..job("soon", delay) }]).await.unwrap();
    let (began, receiver) = (clock.now(), Arc::clone(&queue));
    let receive = tokio::spawn(async move { receiver.receive(10, MINUTE).await });
    clock.until_asleep(1).await;
    assert_eq!(clock.next_waking(), Some(began + delay));
    clock.advance(delay);
    assert_eq!(receive.await.unwrap().unwrap()[0].body, "soon");
}

#[tokio::test]
async fn a_queue_of_an_earlier_release_keeps_its_jobs() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("queue.db");
    let database = Database::open(&path).unwrap();
    // as version 0.1 made it
    let earlier = "
        CREATE TABLE queue_entry (
            id INTEGER PRIMARY KEY AUTOINCREMENT, queue TEXT NOT NULL, tenant TEXT NOT NULL, sent_at INTEGER NOT NULL,
            visible_at INTEGER NOT NULL, received_at INTEGER, receives INTEGER NOT NULL DEFAULT 0, dead_at INTEGER
        );
        CREATE INDEX queue_entry_turn ON queue_entry (queue, visible_at) WHERE dead_at IS NULL;
        CREATE TABLE queue_body (
            id INTEGER PRIMARY KEY REFERENCES queue_entry (id) ON DELETE CASCADE, body TEXT NOT NULL
        );
        INSERT INTO queue_entry (id, queue, tenant, sent_at, visible_at) VALUES (7, 'jobs', 'default', 0, 0);
        INSERT INTO queue_body VALUES (7, 'the job');";
    database.define("a test", earlier).unwrap();
    let clock = Arc::new(ManualClock::default());
    let queue = open(&database, "jobs", &clock);
    // and once more beside it, which changes nothing
    let other = open(&Database::open_existing(&path).unwrap(), "jobs", &clock);
    other.send(vec![Outgoing { priority: 1, ..job("urgent", Duration::ZERO) }]).await.unwrap();
    let received = queue.receive(10, Duration::ZERO).await.unwrap();
    assert_eq!(received.iter().map(|entry| entry.body.as_str()).collect::<Vec<_>>(), ["urgent", "the job"]);
}

/// What the planner does for each query of a receive; a scan of the table would cost more with each entry.
#[tokio::test]
async fn every_look_at_the_queue_goes_by_an_index() {
    let (_folder, _queue, database) = queue(&Arc::new(ManualClock::default()));
    let explain = |sql: &'static str| {
        let plan = move |db: &rusqlite::Connection| {
            let mut explain = db.prepare(&format!("EXPLAIN QUERY PLAN {sql}"))?;
            let lines =
                explain.raw_query().mapped(|row| row.get::<_, String>(3)).collect::<Result<Vec<_>, _>>();
            lines.map(|lines| lines.join("; "))
        };
        database.read("a test", plan)
    };
    for (sql, index) in [
        (receive::FIRST_PLAIN, "queue_entry_plain (queue=?)"),
        (receive::FIRST_RANKED, "queue_entry_ranked (queue=? AND priority=?)"),
        (receive::TENANT_PLAIN, "queue_entry_plain_tenant (queue=? AND tenant>?)"),
        (receive::TENANT_RANKED, "queue_entry_ranked_tenant (queue=? AND priority=? AND tenant>?)"),
        (receive::TAKE_PLAIN, "queue_entry_plain_tenant (queue=? AND tenant=? AND visible_at<?)"),
        (
            receive::TAKE_RANKED,
            "queue_entry_ranked_tenant (queue=? AND priority=? AND tenant=? AND visible_at<?)",
        ),
        (receive::RANK_BELOW, "queue_entry_ranked"),
    ] {
        let plan = explain(sql).await.unwrap();
        assert!(plan.contains(index) && !plan.contains("SCAN") && !plan.contains("TEMP B-TREE"), "{plan}");
    }
}

#[tokio::test]
async fn nothing_is_held_longer_than_twelve_hours_after_its_receive() {
    let clock = Arc::new(ManualClock::default());
    let (_folder, queue, _) = queue(&clock);
    queue.send(vec![job("job", Duration::ZERO)]).await.unwrap();
    let entry = queue.receive(1, Duration::ZERO).await.unwrap().remove(0);
    clock.advance(MINUTE);
    queue.release(&entry.receipt, MINUTE * 60 * 24).await.unwrap();
    clock.advance(MINUTE * 60 * 12 - MINUTE);
    assert_eq!(queue.receive(1, Duration::ZERO).await.unwrap()[0].receives, 2);
}
