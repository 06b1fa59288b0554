use tempfile::TempDir;

use super::*;
use crate::mail::TenantId;
use crate::system::SystemClock;
use crate::testkit::ManualClock;

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
    Outgoing { body: body.to_owned(), delay, tenant: TenantId::default() }
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
