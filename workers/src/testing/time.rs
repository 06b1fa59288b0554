use std::pin::pin;

use shared::testkit::ManualClock;

/// Returns once everything that can run without time passing has run.
pub(crate) async fn idle() {
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
}

/// Runs `work`, and lets time pass whenever nothing else can happen.
pub(crate) async fn drive<T>(clock: &ManualClock, work: impl Future<Output = T>) -> T {
    let mut work = pin!(work);
    loop {
        tokio::select! {
            biased;
            done = &mut work => return done,
            () = idle() => assert!(clock.advance_to_next(), "stuck: nobody waits for time"),
        }
    }
}
