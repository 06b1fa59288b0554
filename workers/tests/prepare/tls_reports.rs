//! Reports of TLS by mail (RFC 8460 §5.3) leave as submissions do: signed by the key of the domain that they are from (§3).

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use hyper::Uri;
use shared::mail::Timestamp;
use shared::pack::PackReader;
use shared::port::{Clock, Received};
use shared::testkit::{ManualClock, SeededIds, ZoneResolver};
use workers::deliver::{ObserveTls as _, PolicyFound, TlsObservation};
use workers::tls_report::{Post, PostError, Reports, ReportsPorts, ReportsSettings, TlsTally};
use workers::{Stage as _, Verdict};

use super::world::{Edge, NOW};
use super::{all_pass, leaves};

struct NoPost;

#[async_trait]
impl Post for NoPost {
    async fn post(&self, _: &Uri, _: Bytes) -> Result<(), PostError> {
        unreachable!("the report is wanted by mail")
    }
}

/// Early in the morning of the day after.
const MORNING: Timestamp = Timestamp::from_millis(NOW.millis() + 8 * 3_600_000);

/// Sees TLS with `b.example`, and puts in the report of the day; gives its job.
async fn put_in_a_report(edge: &Edge) -> Received {
    let (stores, clock) = (edge.stores().clone(), Arc::new(ManualClock::at(NOW)));
    let tally = TlsTally::new(stores.tallies.clone(), clock.clone());
    tally.observe(TlsObservation {
        policy_domain: "b.example".parse().unwrap(),
        policy: PolicyFound::None,
        mx_host: "mx.b.example".to_owned(),
        sending_ip: None,
        receiving_ip: None,
        result: Ok(()),
    });
    tally.flush().await;
    clock.set(MORNING);
    let settings = ReportsSettings {
        from: "tls-reports@edge.example".parse().unwrap(),
        organization: "Example Edge".to_owned(),
        hostname: "mx.edge.example".to_owned(),
    };
    let wanted = r#"_smtp._tls.b.example TXT "v=TLSRPTv1; rua=mailto:tls@b.example""#;
    let ports = ReportsPorts {
        tallies: stores.tallies,
        deliveries: stores.deliveries,
        resolver: Arc::new(ZoneResolver::parse(wanted).unwrap()),
        spool: stores.spool,
        inbound: stores.inbound.clone(),
        post: Arc::new(NoPost),
        clock: clock as Arc<dyn Clock>,
        ids: Arc::new(SeededIds::new(1)),
    };
    Reports::new(settings, ports).run_once().await;
    let mut jobs = stores.inbound.receive(10, Duration::ZERO).await.unwrap();
    assert_eq!(jobs.len(), 1);
    jobs.remove(0)
}

#[tokio::test]
async fn a_report_of_tls_leaves_with_signatures_of_the_domain_that_it_is_from() {
    let edge = Edge::new().await;
    let records = edge.add_domain("edge.example").await;
    let job = put_in_a_report(&edge).await;
    assert_eq!(edge.stage.run(&job.body).await, Verdict::Done);
    let delivery = edge.jobs().remove(0).deliveries.remove(0);
    assert_eq!(delivery.recipients[0].address.as_str(), "tls@b.example");
    assert_eq!(delivery.signed, ["e1._domainkey.edge.example", "r1._domainkey.edge.example"]);
    let mut pack = PackReader::new(edge.stores().spool.clone(), delivery.key.message.pack);
    let content = pack.read(delivery.offset, delivery.length).await.unwrap();
    let message = leaves(&delivery, &content);
    assert_eq!(all_pass(&records, &message), 2);
    let text = String::from_utf8(message).unwrap();
    assert!(text.contains("\r\nFrom: tls-reports@edge.example\r\n"), "{text}");
}
