use std::time::Duration;

use shared::testkit::{Fate, Faults, Faulty, ManualClock, Mode, TempStores, samples};

use super::*;

/// Containers that share counters, each with a handle of its own.
struct World {
    clock: Arc<ManualClock>,
    faults: Arc<Faults>,
    containers: Vec<Arc<Allowance>>,
    _stores: TempStores,
}

async fn world(containers: usize) -> World {
    let clock = Arc::new(ManualClock::default());
    let stores = TempStores::open(clock.clone()).await;
    let faults = Faults::new(0);
    let mut all = Vec::new();
    for _ in 0..containers {
        let counters = stores.again(clock.clone()).await.unwrap().counters;
        let counters = Faulty::<dyn Counters>::new(counters, &faults);
        all.push(Arc::new(Allowance::new(counters, clock.clone())));
    }
    World { clock, faults, containers: all, _stores: stores }
}

fn credential(rate: Option<&str>, quota: Option<&str>) -> CredentialEntry {
    CredentialEntry {
        name: "app".to_owned(),
        tenant: shared::mail::TenantId::default(),
        verifier: None,
        cram_md5: None,
        senders: Vec::new(),
        rate: rate.map(|rate| rate.parse().unwrap()),
        quota: quota.map(|quota| quota.parse().unwrap()),
        recipients: None,
        message_octets: None,
        created: samples::NOW,
        revoked: None,
    }
}

impl World {
    /// How many of so many messages are let through, sent by these containers in turn.
    async fn send(
        &self,
        entry: &CredentialEntry,
        containers: std::ops::Range<usize>,
        messages: usize,
    ) -> u64 {
        let mut sent = 0;
        for container in self.containers[containers].iter().cycle().take(messages) {
            sent += u64::from(container.take(entry).await.is_ok());
        }
        sent
    }

    fn asked(&self) -> u64 {
        self.faults.calls("take")
    }
}

#[tokio::test]
async fn a_limit_holds_over_all_containers_and_few_messages_ask_for_tokens() {
    let world = world(5).await;
    let entry = credential(Some("1000/m"), None);
    assert_eq!(world.send(&entry, 0..5, 1500).await, 1000, "all go on, so nothing is left over");
    let asked = world.asked();
    assert!(asked < 500, "{asked} requests for 1000 messages in the first window");

    world.clock.advance(Duration::from_secs(60));
    assert_eq!(world.send(&entry, 0..5, 1500).await, 1000, "the next window grants again");
    let asked = world.asked() - asked;
    assert!(asked < 250, "{asked} requests for 1000 messages in the second window");
}

#[tokio::test]
async fn one_container_alone_asks_seldom() {
    let world = world(1).await;
    let entry = credential(None, Some("20000/day"));
    assert_eq!(world.send(&entry, 0..1, 20_001).await, 20_000);
    let asked = world.asked();
    assert!(asked < 300, "{asked} requests for 20,000 messages");
}

#[tokio::test]
async fn what_silent_containers_hold_is_at_most_a_twentieth_of_the_limit() {
    let world = world(5).await;
    for spoken in (100..1000).step_by(45) {
        let entry = CredentialEntry { name: format!("app-{spoken}"), ..credential(Some("1000/m"), None) };
        // then three of them fall silent, and hold what they have
        let sent = world.send(&entry, 0..5, spoken).await + world.send(&entry, 0..2, 1000).await;
        assert!((950..=1000).contains(&sent), "{sent} after {spoken}");
    }
}

#[tokio::test]
async fn a_refusal_tells_when_the_next_window_begins_and_nothing_is_asked_until_then() {
    let world = world(1).await;
    let entry = credential(Some("3/m"), Some("5/day"));
    world.clock.advance(Duration::from_millis(12_345));
    assert_eq!(world.send(&entry, 0..1, 3).await, 3);
    let minute = Exceeded { until: samples::NOW + Duration::from_secs(60), which: "3/m".parse().unwrap() };
    assert_eq!(world.containers[0].take(&entry).await, Err(minute));
    let asked = world.asked();
    assert_eq!(world.containers[0].take(&entry).await, Err(minute));
    assert_eq!(world.asked(), asked);

    world.clock.set(minute.until);
    assert_eq!(world.send(&entry, 0..1, 2).await, 2, "what the rate refused took nothing of the quota");
    let day = Exceeded { until: samples::NOW + Duration::from_secs(86_400), which: "5/day".parse().unwrap() };
    assert_eq!(world.containers[0].take(&entry).await, Err(day));
    world.clock.set(day.until);
    assert_eq!(world.containers[0].take(&entry).await, Ok(()));
}

#[tokio::test]
async fn those_who_wait_share_one_request() {
    let world = world(1).await;
    let entry = credential(Some("1000/m"), None);
    world.faults.set(Mode::Stuck);
    let sessions: Vec<_> = (0..40)
        .map(|_| {
            let (container, entry) = (Arc::clone(&world.containers[0]), entry.clone());
            tokio::spawn(async move { container.take(&entry).await })
        })
        .collect();
    world.faults.until_called("take", 1).await;
    world.faults.set(Mode::Sound);
    for session in sessions {
        assert_eq!(session.await.unwrap(), Ok(()));
    }
    assert!(world.asked() <= 3, "{} requests for 40 messages at once", world.asked());
}

#[tokio::test]
async fn counters_that_fail_stop_no_mail_and_the_limit_is_kept_locally() {
    let world = world(1).await;
    let entry = credential(Some("100/m"), None);
    assert_eq!(world.send(&entry, 0..1, 10).await, 10);
    world.faults.set(Mode::Always(Fate::NothingUnknown));
    assert_eq!(world.send(&entry, 0..1, 200).await, 90);
    let failed = world.faults.failed();
    assert_eq!(failed, 1, "they are left alone for a while");

    world.clock.advance(Duration::from_secs(60));
    world.faults.set(Mode::Sound);
    assert_eq!(world.send(&entry, 0..1, 200).await, 100, "and asked again then");
}

#[tokio::test]
async fn counters_that_hang_are_not_waited_for() {
    let world = world(1).await;
    world.faults.set(Mode::Stuck);
    let (container, entry) = (Arc::clone(&world.containers[0]), credential(Some("100/h"), None));
    let take = tokio::spawn(async move { container.take(&entry).await });
    world.clock.advance_to_next_waking().await;
    assert_eq!(take.await.unwrap(), Ok(()));
}

#[tokio::test]
async fn a_limit_that_is_changed_holds_at_once() {
    let world = world(1).await;
    let (low, high) = (credential(Some("5/m"), None), credential(Some("8/m"), None));
    assert_eq!(world.send(&low, 0..1, 10).await, 5);
    assert_eq!(world.send(&high, 0..1, 10).await, 3);
    assert_eq!(world.send(&low, 0..1, 10).await, 0);
}

#[tokio::test]
async fn a_credential_without_limits_asks_nobody() {
    let world = world(1).await;
    assert_eq!(world.send(&credential(None, None), 0..1, 100).await, 100);
    assert_eq!(world.asked(), 0);
}

#[tokio::test]
async fn windows_that_are_over_are_forgotten() {
    let world = world(1).await;
    for n in 0..10 {
        let entry = CredentialEntry { name: format!("app-{n}"), ..credential(Some("5/s"), None) };
        world.containers[0].take(&entry).await.unwrap();
    }
    assert_eq!(world.containers[0].meters(), 10);
    world.clock.advance(Duration::from_secs(2));
    world.containers[0].take(&credential(Some("5/s"), None)).await.unwrap();
    assert_eq!(world.containers[0].meters(), 1);
}
