use std::io::Read as _;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use flate2::read::GzDecoder;
use serde_json::Value;
use shared::port::Clock;
use shared::system::SystemClock;
use shared::testkit::{ManualClock, SeededIds, SignedDns};
use shared::wire::{StoreUrls, Stores};
use workers::tls_report::{Post, PostError, Reports, ReportsPorts, ReportsSettings};

const DAY: Duration = Duration::from_secs(86_400);

/// What a domain is told of one policy on one day (RFC 8460 §4.4).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsReport {
    /// The domain.
    pub domain: String,
    /// `tlsa`, `sts` or `no-policy-found`.
    pub policy: String,
    /// Sessions that were as they should be.
    pub successes: u64,
    /// Sessions that were not.
    pub failures: u64,
    /// In which ways they were not.
    pub results: Vec<String>,
}

/// Takes reports as a web server would.
#[derive(Default)]
struct Collector(Mutex<Vec<Bytes>>);

#[async_trait]
impl Post for Collector {
    async fn post(&self, _: &hyper::Uri, gzipped: Bytes) -> Result<(), PostError> {
        self.0.lock().expect("no test panics while it holds the lock").push(gzipped);
        Ok(())
    }
}

/// What the domains of `dns` that want reports get to hear of an edge that has stopped, and of which this is the data folder: the code is
/// the edge's own, the counts are those that it wrote, and the clock is a day ahead.
pub async fn tls_reports(folder: &Path, dns: &SignedDns) -> Vec<TlsReport> {
    let collector = Arc::new(Collector::default());
    // the edge may have begun to count before midnight
    for days in [0, 1] {
        let five_in_the_morning = SystemClock.now().millis() / 86_400_000 * 86_400_000 + 5 * 3_600_000;
        let now = shared::mail::Timestamp::from_millis(five_in_the_morning) + DAY * days;
        let clock: Arc<dyn Clock> = Arc::new(ManualClock::at(now));
        let stores = Stores::open(&StoreUrls::below(folder), Arc::clone(&clock)).await;
        let stores = stores.expect("the stores of an edge can be opened");
        let settings = ReportsSettings {
            from: shared::mail::Mailbox::parse("tls@app.test").expect("a good address"),
            organization: "a test".to_owned(),
            hostname: "edge.example".to_owned(),
        };
        let ports = ReportsPorts {
            tallies: stores.tallies,
            deliveries: stores.deliveries,
            resolver: Arc::new(dns.resolver()),
            spool: stores.spool,
            inbound: stores.inbound,
            post: Arc::clone(&collector) as Arc<dyn Post>,
            clock,
            ids: Arc::new(SeededIds::new(1)),
        };
        Reports::new(settings, ports).run_once().await;
    }
    let posted = collector.0.lock().expect("no test panics while it holds the lock");
    posted.iter().flat_map(|gzipped| read(gzipped)).collect()
}

fn read(gzipped: &[u8]) -> Vec<TlsReport> {
    let mut text = String::new();
    GzDecoder::new(gzipped).read_to_string(&mut text).expect("a report is gzipped");
    let report: Value = serde_json::from_str(&text).expect("a report is JSON");
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let policies = report["policies"].as_array().expect("a report has policies");
    let of = |policy: &Value| TlsReport {
        domain: text(&policy["policy"]["policy-domain"]),
        policy: text(&policy["policy"]["policy-type"]),
        successes: policy["summary"]["total-successful-session-count"].as_u64().unwrap_or_default(),
        failures: policy["summary"]["total-failure-session-count"].as_u64().unwrap_or_default(),
        results: policy["failure-details"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|details| text(&details["result-type"]))
            .collect(),
    };
    policies.iter().map(of).collect()
}
