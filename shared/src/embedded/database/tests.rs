use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rusqlite::ErrorCode;
use tempfile::TempDir;

use super::*;

const WHAT: &str = "a test";

type Work = Box<dyn FnOnce(&Connection) -> rusqlite::Result<()> + Send>;

fn database() -> (TempDir, Database) {
    let folder = tempfile::tempdir().unwrap();
    let database = Database::open(&folder.path().join("new/folder/test.db")).unwrap();
    database.define(WHAT, "CREATE TABLE IF NOT EXISTS t (n INTEGER PRIMARY KEY)").unwrap();
    (folder, database)
}

fn insert(db: &Connection, n: i64) -> rusqlite::Result<()> {
    db.prepare_cached("INSERT INTO t (n) VALUES (?1)")?.execute([n]).map(drop)
}

async fn all(database: &Database) -> Vec<i64> {
    let all = |db: &Connection| {
        let mut select = db.prepare_cached("SELECT n FROM t ORDER BY n")?;
        let rows = select.query_map([], |row| row.get(0))?;
        rows.collect()
    };
    database.read(WHAT, all).await.unwrap()
}

/// Sends operations while the writer is busy, so that they share one transaction; their answers in their order.
async fn together(database: &Database, works: Vec<Work>) -> Vec<PortResult<()>> {
    let (busy, open) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
    let (at_gate, gate) = (Arc::clone(&busy), Arc::clone(&open));
    database.write_later(WHAT, move |_| {
        at_gate.store(true, Ordering::Release);
        while !gate.load(Ordering::Acquire) {
            std::thread::yield_now();
        }
        Ok(())
    });
    // or it would take the gate and only the first of them into one transaction
    while !busy.load(Ordering::Acquire) {
        tokio::task::yield_now().await;
    }
    let writes = works.into_iter().map(|work| database.write(WHAT, work));
    let mut answers = Box::pin(futures::future::join_all(writes));
    // the first poll puts every operation into the channel
    assert!(futures::poll!(&mut answers).is_pending());
    open.store(true, Ordering::Release);
    answers.await
}

fn disk_full() -> rusqlite::Error {
    rusqlite::Error::SqliteFailure(rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_FULL), None)
}

#[tokio::test]
async fn an_operation_that_fails_takes_no_other_with_it() {
    let (_folder, database) = database();
    let answers = together(
        &database,
        vec![
            Box::new(|db| insert(db, 1)),
            Box::new(|db| insert(db, 1)),
            Box::new(|db| {
                atomically(db, || {
                    insert(db, 2)?;
                    insert(db, 1)
                })
            }),
            Box::new(|db| insert(db, 3)),
        ],
    )
    .await;
    assert_eq!(answers.iter().map(Result::is_ok).collect::<Vec<_>>(), [true, false, false, true]);
    assert!(
        answers
            .iter()
            .flat_map(|answer| answer.as_ref().err())
            .all(|error| matches!(error, PortError::Refused { .. }))
    );
    assert_eq!(all(&database).await, [1, 3]);
}

#[tokio::test]
async fn a_broken_transaction_is_refused_to_all_who_shared_it_and_to_nobody_after() {
    let (_folder, database) = database();
    let broken = |db: &Connection| {
        // as SQLite does by itself when the disk is full
        db.execute_batch("ROLLBACK")?;
        Err(disk_full())
    };
    let answers = together(
        &database,
        vec![Box::new(|db| insert(db, 1)), Box::new(broken), Box::new(|db| insert(db, 2))],
    )
    .await;
    assert_eq!(answers.iter().map(Result::is_ok).collect::<Vec<_>>(), [false, false, true]);
    assert!(matches!(answers[0], Err(PortError::Refused { .. })));
    assert_eq!(all(&database).await, [2]);
}

#[tokio::test]
async fn a_commit_that_fails_is_refused_only_where_that_is_certain() {
    let (_folder, database) = database();
    // a transaction that ends before the commit: the commit fails, and what was written is there
    let early = |db: &Connection| {
        insert(db, 1)?;
        db.execute_batch("COMMIT; BEGIN")
    };
    database.write(WHAT, early).await.unwrap();
    database.define(WHAT, "CREATE TABLE parent (n INTEGER PRIMARY KEY)").unwrap();
    database
        .define(WHAT, "CREATE TABLE child (n INTEGER REFERENCES parent (n) DEFERRABLE INITIALLY DEFERRED)")
        .unwrap();
    let orphan = |db: &Connection| db.execute("INSERT INTO child (n) VALUES (7)", []).map(drop);
    let answer = database.write(WHAT, orphan).await;
    assert!(
        matches!(answer, Err(PortError::Unknown { .. })),
        "an error that nothing is known of is no refusal"
    );
    let after = |db: &Connection| insert(db, 2);
    database.write(WHAT, after).await.unwrap();
    assert_eq!(all(&database).await, [1, 2]);
}

#[tokio::test]
async fn another_process_that_writes_is_waited_for() {
    let (folder, database) = database();
    let path = folder.path().join("new/folder/test.db");
    let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&path).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o600);
    let other = Database::open_existing(&path).unwrap();
    let writes = (0..100).map(|n| {
        let database = if n % 2 == 0 { &database } else { &other };
        database.write(WHAT, move |db| insert(db, n))
    });
    for answer in futures::future::join_all(writes).await {
        answer.unwrap();
    }
    assert_eq!(all(&database).await, (0..100).collect::<Vec<_>>());
}

#[tokio::test]
async fn every_answered_write_is_there_after_the_last_handle_is_gone() {
    let (folder, database) = database();
    for n in 0..10 {
        database.write(WHAT, move |db| insert(db, n)).await.unwrap();
    }
    database.write_later(WHAT, |db| insert(db, 10));
    drop(database);
    let again = Database::open_existing(&folder.path().join("new/folder/test.db")).unwrap();
    assert_eq!(all(&again).await, (0..=10).collect::<Vec<_>>());
}

#[test]
fn a_file_that_is_missing_foreign_or_newer_is_told_from_each_other() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("test.db");
    let error = Database::open_existing(&path).err().unwrap();
    assert!(error.to_string().contains("is this the right data folder?"), "{error}");
    assert!(!path.exists(), "looking makes nothing");
    std::fs::write(&path, "this is not a database, but text that is long enough to be one".repeat(20))
        .unwrap();
    assert!(matches!(Database::open(&path), Err(OpenError::Sqlite { cause, .. })
        if cause.sqlite_error_code() == Some(ErrorCode::NotADatabase)));
    std::fs::remove_file(&path).unwrap();
    Connection::open(&path).unwrap().pragma_update(None, "user_version", 2).unwrap();
    assert!(matches!(Database::open(&path), Err(OpenError::Version { version: 2, .. })));
}

#[tokio::test]
async fn what_nobody_waits_for_is_committed_with_what_a_client_waits_for() {
    let (folder, _database) = database();
    let path = folder.path().join("new/folder/test.db");
    let (tasks, waiting) = mpsc::channel::<Box<dyn Task>>(10);
    let forever = std::time::Duration::from_secs(600);
    let writer = std::thread::spawn(move || writer::run(&connection(&path, 1024).unwrap(), waiting, forever));
    let ask = |n: i64, gate: Arc<AtomicBool>| {
        let (reply, answer) = oneshot::channel();
        let work = move |db: &Connection| {
            while !gate.load(Ordering::Acquire) {
                std::thread::yield_now();
            }
            insert(db, n)
        };
        (Operation::new(WHAT, work, reply), answer)
    };
    let [open, gate] = [true, false].map(|open| Arc::new(AtomicBool::new(open)));
    let (idle, answer) = ask(1, Arc::clone(&open));
    tasks.send(Box::new(idle.patient())).await.unwrap();
    answer.await.unwrap().unwrap();
    // the second waits while the first runs, and is taken for itself by a writer that is busy
    let (first, first_answer) = ask(2, Arc::clone(&gate));
    let (patient, patient_answer) = ask(3, Arc::clone(&open));
    tasks.send(Box::new(first)).await.unwrap();
    while tasks.capacity() < tasks.max_capacity() {
        tokio::task::yield_now().await;
    }
    tasks.send(Box::new(patient.patient())).await.unwrap();
    gate.store(true, Ordering::Release);
    first_answer.await.unwrap().unwrap();
    let (urgent, urgent_answer) = ask(4, open);
    tasks.send(Box::new(urgent)).await.unwrap();
    writer.thread().unpark();
    for answer in [patient_answer, urgent_answer] {
        answer.await.unwrap().unwrap();
    }
    drop(tasks);
    writer.join().unwrap();
}
