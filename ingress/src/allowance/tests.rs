use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use shared::mail::TenantId;
use shared::port::{PortError, PortResult, Taken};
use shared::testkit::{ManualClock, TempStores, samples};

use super::*;

/// Counters that count how often they are asked, or fail.
struct Asked {
    counters: Arc<dyn Counters>,
    requests: AtomicU64,
    fail: bool,
}

#[async_trait]
impl Counters for Asked {
    async fn take(&self, window: &Window, n: u64, now: Timestamp) -> PortResult<Taken> {
        self.requests.fetch_add(1, Ordering::Relaxed);
        if self.fail {
            return Err(PortError::unknown("a take", "no network"));
        }
        self.counters.take(window, n, now).await
    }
}

async fn counters(fail: bool) -> (TempStores, Arc<Asked>, Arc<dyn Clock>) {
    let clock: Arc<ManualClock> = Arc::new(ManualClock::at(samples::NOW));
    let stores = TempStores::open(clock.clone()).await;
    let counters = stores.stores.counters.clone();
    (stores, Arc::new(Asked { counters, requests: AtomicU64::new(0), fail }), clock)
}

fn credential(rate: Option<&str>, quota: Option<&str>) -> CredentialEntry {
    CredentialEntry {
        name: "app".to_owned(),
        tenant: TenantId::default(),
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

#[tokio::test]
async fn several_processes_keep_a_limit_together_and_ask_seldom() {
    let (_stores, asked, clock) = counters(false).await;
    let processes: Vec<Allowance> =
        (0..5).map(|_| Allowance::new(Arc::clone(&asked) as Arc<dyn Counters>, Arc::clone(&clock))).collect();
    let entry = credential(None, Some("1000/day"));
    let mut granted = 0;
    for n in 0..1500 {
        let taken = processes[n % processes.len()].take(&entry, samples::NOW).await;
        granted += usize::from(taken.is_ok());
    }
    assert!((950..=1000).contains(&granted), "{granted} of 1000");
    let requests = asked.requests.load(Ordering::Relaxed);
    assert!(requests < 500, "{requests} requests for {granted} messages");
}

#[tokio::test]
async fn whoever_is_over_a_limit_is_told_until_when_and_may_go_on_then() {
    let (_stores, asked, clock) = counters(false).await;
    let allowance = Allowance::new(asked, clock);
    let entry = credential(Some("3/m"), None);
    for _ in 0..3 {
        assert_eq!(allowance.take(&entry, samples::NOW).await, Ok(()));
    }
    let minute = 60_000;
    let until = Timestamp::from_millis((samples::NOW.millis() / minute + 1) * minute);
    let exceeded = Exceeded { until, which: "3/m".parse().unwrap() };
    assert_eq!(allowance.take(&entry, samples::NOW).await, Err(exceeded));
    assert_eq!(allowance.take(&entry, until).await, Ok(()));
    assert_eq!(allowance.meters(), 1);
}

#[tokio::test]
async fn counters_that_fail_stop_no_mail_and_each_process_keeps_the_limit_for_itself() {
    let (_stores, asked, clock) = counters(true).await;
    let allowance = Allowance::new(Arc::clone(&asked) as Arc<dyn Counters>, clock);
    let entry = credential(Some("10/h"), None);
    for _ in 0..10 {
        assert_eq!(allowance.take(&entry, samples::NOW).await, Ok(()));
    }
    assert!(allowance.take(&entry, samples::NOW).await.is_err());
    assert_eq!(asked.requests.load(Ordering::Relaxed), 1, "they are left alone for a while");
}
