//! The fault decorator: what happens, and what is said of it.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use shared::port::{Clock, Ids, PortError, Spool};
use shared::testkit::samples::pack_id;
use shared::testkit::{Embedded, Fate, Faults, Faulty, Fixture, ManualClock, Mode, SeededIds, Store};

async fn spool(faults: &Arc<Faults>) -> (Box<dyn Store<dyn Spool>>, Arc<dyn Spool>, Arc<dyn Spool>) {
    let store = Fixture::<dyn Spool>::fresh(&Embedded).await;
    let (inner, sound) = (store.open().await, store.open().await);
    (store, Faulty::<dyn Spool>::new(inner, faults), sound)
}

#[tokio::test]
async fn what_happens_and_what_is_said_are_set_apart() {
    let faults = Faults::new(1);
    let (_store, faulty, sound) = spool(&faults).await;
    for (fate, there, said) in [
        (Fate::Through, true, "ok"),
        (Fate::Refused, false, "refused"),
        (Fate::NothingUnknown, false, "unknown"),
        (Fate::HappenedUnknown, true, "unknown"),
    ] {
        faults.set(Mode::Always(fate));
        let id = pack_id();
        let answer = match faulty.put(id, vec![Bytes::from_static(b"pack")]).await {
            Ok(()) => "ok",
            Err(PortError::Refused { .. }) => "refused",
            Err(PortError::Unknown { .. }) => "unknown",
        };
        let found = sound.get(id, 0..1).await.unwrap().is_some();
        assert_eq!((found, answer), (there, said), "{fate:?}");
    }
    assert_eq!((faults.calls("put"), faults.failed()), (4, 3));
    let read = faulty.get(pack_id(), 0..1).await;
    assert!(matches!(read, Err(PortError::Refused { .. })), "a read that failed is never in doubt");
}

#[tokio::test]
async fn one_operation_can_fail_alone_and_only_for_a_while() {
    let faults = Faults::new(1);
    let (_store, faulty, _) = spool(&faults).await;
    faults.set_for("put", Mode::Always(Fate::Refused));
    faulty.probe().await.unwrap();
    assert!(faulty.put(pack_id(), vec![]).await.is_err());
    faults.set(Mode::Sound);
    faulty.put(pack_id(), vec![]).await.unwrap();
}

#[tokio::test]
async fn a_slow_port_answers_late_and_a_stuck_one_when_it_is_freed() {
    let clock = Arc::new(ManualClock::default());
    let faults = Faults::with_clock(1, clock.clone());
    let (_store, faulty, _) = spool(&faults).await;
    faults.set(Mode::Slow { by: Duration::from_secs(60) });
    let slow = tokio::spawn({
        let faulty = Arc::clone(&faulty);
        async move { faulty.probe().await }
    });
    clock.until_asleep(1).await;
    assert!(!slow.is_finished());
    clock.advance(Duration::from_secs(60));
    slow.await.unwrap().unwrap();
    faults.set(Mode::Stuck);
    let clock: Arc<dyn Clock> = Arc::new(shared::system::SystemClock);
    assert!(clock.timeout(Duration::from_millis(20), faulty.probe()).await.is_none());
    let freed = tokio::spawn(async move { faulty.probe().await });
    faults.until_called("probe", 3).await;
    assert!(!freed.is_finished());
    faults.set(Mode::Sound);
    freed.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_seed_draws_the_same_faults_each_time() {
    let mut runs = Vec::new();
    for seed in [7, 7, 8] {
        let faults = Faults::new(seed);
        let (_store, faulty, _) = spool(&faults).await;
        faults.set(Mode::Random { probability: 0.5 });
        let mut answers = Vec::new();
        for _ in 0..64 {
            answers.push(faulty.get(pack_id(), 0..1).await.is_ok());
        }
        runs.push(answers);
    }
    assert_eq!(runs[0], runs[1]);
    assert_ne!(runs[0], runs[2]);
    assert!((16..48).contains(&runs[0].iter().filter(|ok| **ok).count()));
    assert_eq!(SeededIds::new(3).random(), SeededIds::new(3).random());
}
