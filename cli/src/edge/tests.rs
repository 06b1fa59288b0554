use std::sync::Mutex;

use shared::testkit::ManualClock;

use super::*;

type Log = Arc<Mutex<Vec<String>>>;

fn tell(log: &Log, text: &str) {
    log.lock().unwrap().push(text.to_owned());
}

/// A part that ends when it is told to.
fn obedient(name: &'static str, log: &Log) -> Part {
    let log = Arc::clone(log);
    Box::new(move |stop| {
        Box::pin(async move {
            stop.cancelled().await;
            tokio::task::yield_now().await;
            tell(&log, &format!("{name} ended"));
        })
    })
}

fn part(work: impl Future<Output = ()> + Send + 'static) -> Part {
    Box::new(move |_| Box::pin(work))
}

/// An edge whose time stands still, or passes as soon as somebody waits for it.
fn edge(hasty: bool, ingress: Part, workers: Vec<(&'static str, Part)>) -> Edge {
    let manual = Arc::new(ManualClock::default());
    let clock: Arc<dyn Clock> = manual.clone();
    if hasty {
        tokio::spawn(async move {
            loop {
                manual.advance_to_next_waking().await;
                tokio::task::yield_now().await;
            }
        });
    }
    let health = Arc::new(Health::new(Arc::clone(&clock)));
    let running = Running { smtp: Vec::new(), http: None };
    Edge { running, clock, health, ingress: Some(ingress), workers, http: None, _held: Box::new(()) }
}

#[tokio::test]
async fn ingress_ends_before_the_workers_do() {
    let log = Log::default();
    let workers = vec![("prepare", obedient("prepare", &log)), ("deliver", obedient("deliver", &log))];
    let edge = edge(false, obedient("ingress", &log), workers);
    let health = Arc::clone(&edge.health);
    let drain = CancellationToken::new();
    let running = tokio::spawn(edge.run(drain.clone()));
    assert!(health.report().await.healthy);
    drain.cancel();
    assert!(running.await.unwrap().is_ok());
    let ended = log.lock().unwrap().clone();
    assert_eq!((ended[0].as_str(), ended.len()), ("ingress ended", 3));
    assert!(health.report().await.draining);
}

#[tokio::test]
async fn work_that_does_not_end_does_not_hold_up_the_end() {
    let log = Log::default();
    let workers = vec![("deliver", part(std::future::pending()))];
    let drain = CancellationToken::new();
    drain.cancel();
    assert!(edge(true, obedient("ingress", &log), workers).run(drain).await.is_ok());
}

#[tokio::test]
async fn a_part_that_ends_by_itself_ends_the_edge_in_order() {
    let log = Log::default();
    let workers = vec![("sweep", part(async {})), ("deliver", obedient("deliver", &log))];
    let failure =
        edge(false, obedient("ingress", &log), workers).run(CancellationToken::new()).await.unwrap_err();
    assert_eq!(failure.exit, Exit::Internal);
    assert!(failure.text.starts_with("sweep ended by itself"), "{failure:?}");
    assert_eq!(*log.lock().unwrap(), ["ingress ended", "deliver ended"]);
}

#[tokio::test]
async fn a_part_that_panics_ends_the_edge_in_order() {
    let log = Log::default();
    let workers = vec![("deliver", obedient("deliver", &log))];
    let edge = edge(false, part(async { panic!("on purpose") }), workers);
    assert_eq!(edge.run(CancellationToken::new()).await.unwrap_err().exit, Exit::Internal);
    assert_eq!(*log.lock().unwrap(), ["deliver ended"]);
}

#[tokio::test]
async fn parts_that_have_ended_before_anybody_looks_ended_because_of_the_drain() {
    for _ in 0..32 {
        let drain = CancellationToken::new();
        let signal = drain.clone();
        let ingress = part(async move { signal.cancel() });
        let log = Log::default();
        let workers = vec![("deliver", obedient("deliver", &log))];
        assert!(edge(false, ingress, workers).run(drain).await.is_ok());
    }
}
