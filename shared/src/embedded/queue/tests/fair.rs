//! Tenants take turns, and what one has sent costs the others nothing.

use std::collections::BTreeMap;

use rusqlite::{Connection, Statement, StatementStatus, params};

use super::*;

fn of(tenant: &str, body: &str) -> Outgoing {
    Outgoing { tenant: TenantId(tenant.to_owned()), ..job(body, Duration::ZERO) }
}

/// Puts `count` jobs of each of `tenants` into the queue, at one blow.
async fn fill(database: &Database, tenants: impl IntoIterator<Item = String>, count: usize) {
    let tenants: Vec<String> = tenants.into_iter().collect();
    let fill = move |db: &Connection| {
        for tenant in &tenants {
            let batch: Vec<Outgoing> = (0..count).map(|_| of(tenant, tenant)).collect();
            store::send(db, "jobs", &batch, Timestamp::from_millis(0))?;
        }
        Ok(())
    };
    database.write("a test", fill).await.unwrap();
}

/// How many jobs of each tenant so many receives of ten give.
async fn receive(queue: &SqliteQueue, times: usize) -> BTreeMap<String, usize> {
    let mut found = BTreeMap::new();
    for _ in 0..times {
        for entry in queue.receive(10, Duration::ZERO).await.unwrap() {
            assert_eq!(entry.tenant, Some(TenantId(entry.body.clone())));
            *found.entry(entry.body).or_default() += 1;
        }
    }
    found
}

#[tokio::test]
async fn one_job_of_a_tenant_comes_next_behind_a_hundred_thousand_of_another() {
    let clock = Arc::new(ManualClock::default());
    for (many, one) in [("a", "b"), ("b", "a")] {
        let (_folder, queue, database) = queue(&clock);
        fill(&database, [many.to_owned()], 100_000).await;
        receive(&queue, 3).await;
        queue.send(vec![of(one, one)]).await.unwrap();
        assert_eq!(receive(&queue, 1).await, [(many.to_owned(), 9), (one.to_owned(), 1)].into());
        assert_eq!(receive(&queue, 5).await, [(many.to_owned(), 50)].into());
    }
}

#[tokio::test]
async fn tenants_share_what_is_received_equally_and_of_one_the_oldest_comes_first() {
    let clock = Arc::new(ManualClock::default());
    let (_folder, queue, database) = queue(&clock);
    fill(&database, ["a".to_owned()], 500).await;
    fill(&database, ["b".to_owned(), "c".to_owned()], 50).await;
    let found = receive(&queue, 12).await;
    assert_eq!(found.values().sum::<usize>(), 120);
    assert!(found.values().all(|count| (38..=42).contains(count)), "{found:?}");
    let tenants = (0..25).map(|n| format!("t{n:02}"));
    fill(&database, tenants, 4).await;
    // a, b, c and 25 others, in three receives each of them
    let found = receive(&queue, 3).await;
    assert!(found.len() >= 28 && found.values().all(|count| *count <= 2), "{found:?}");
}

#[tokio::test]
async fn who_is_left_out_waits_and_the_others_do_not() {
    let clock = Arc::new(ManualClock::default());
    let (_folder, queue, database) = queue(&clock);
    fill(&database, ["a".to_owned()], 100).await;
    let but = [TenantId("a".to_owned())];
    assert!(queue.receive_but(10, Duration::ZERO, &but).await.unwrap().is_empty());
    queue.send(vec![of("b", "b")]).await.unwrap();
    let received = queue.receive_but(10, Duration::ZERO, &but).await.unwrap();
    assert_eq!(received.into_iter().map(|entry| entry.body).collect::<Vec<_>>(), ["b"]);
    assert_eq!(receive(&queue, 1).await, [("a".to_owned(), 10)].into());
}

#[tokio::test]
async fn thousands_of_tenants_whose_jobs_are_for_later_hide_nobody() {
    let clock = Arc::new(ManualClock::default());
    let (_folder, queue, database) = queue(&clock);
    let later = |db: &Connection| {
        for n in 0..5000 {
            let sent = Outgoing { delay: Duration::from_secs(900), ..of(&format!("later{n:04}"), "later") };
            store::send(db, "jobs", &[sent], Timestamp::from_millis(i64::MAX / 2))?;
        }
        Ok(())
    };
    database.write("a test", later).await.unwrap();
    fill(&database, ["a".to_owned(), "later2500x".to_owned(), "z".to_owned()], 200).await;
    let found = receive(&queue, 60).await;
    assert_eq!((found.len(), found.values().sum::<usize>()), (3, 600), "{found:?}");
}

/// The steps that SQLite's machine makes for one look; a look that walks through entries makes some for each.
fn steps(db: &Connection, sql: &str, parameters: impl rusqlite::Params) -> i32 {
    let run = |statement: &mut Statement<'_>| {
        statement.reset_status(StatementStatus::VmStep);
        let mut rows = statement.query(parameters).unwrap();
        while rows.next().unwrap().is_some() {}
        drop(rows);
        statement.get_status(StatementStatus::VmStep)
    };
    run(&mut db.prepare(sql).unwrap())
}

#[tokio::test]
async fn a_receive_takes_as_many_steps_with_ten_thousand_times_the_entries() {
    let looks = |db: &Connection| {
        let take = params![1_000, 2_000, "jobs", "a", 10];
        let take = |sql: &str| {
            let sql = sql
                .replace(":now", "?1")
                .replace(":until", "?2")
                .replace(":queue", "?3")
                .replace(":tenant", "?4")
                .replace(":max", "?5");
            steps(db, &sql, take)
        };
        Ok([
            steps(db, receive::RANK_BELOW, params!["jobs", i64::MAX]),
            steps(db, receive::FIRST_PLAIN, params!["jobs"]),
            steps(db, receive::TENANT_PLAIN, params!["jobs", "a"]),
            take(receive::TAKE_PLAIN),
        ])
    };
    let clock = Arc::new(ManualClock::default());
    let mut counts = Vec::new();
    for size in [10, 100_000] {
        let (_folder, _queue, database) = queue(&clock);
        fill(&database, ["a".to_owned(), "b".to_owned()], size).await;
        counts.push(database.write("a test", looks).await.unwrap());
    }
    assert_eq!(counts[0], counts[1]);
}
