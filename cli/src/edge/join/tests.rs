use std::time::Duration;

use shared::job::{Job as _, PrepareJob};
use shared::pack::PackReader;
use shared::testkit::{ManualClock, TempStores, ZoneResolver, eventually};
use workers::deliver::{ObserveTls as _, PolicyFound, TlsObservation};

use super::*;
use crate::samples::NOW;
use crate::settings::{Roles, TlsReports};

const MINUTE: Duration = Duration::from_secs(60);

/// A session with `b.example` that found no policy and had TLS.
fn session() -> TlsObservation {
    TlsObservation {
        policy_domain: "b.example".parse().unwrap(),
        policy: PolicyFound::None,
        mx_host: "mx.b.example".to_owned(),
        sending_ip: None,
        receiving_ip: None,
        result: Ok(()),
    }
}

#[tokio::test]
async fn the_sweep_of_an_edge_reports_what_its_deliver_counted_the_day_before() {
    let clock = Arc::new(ManualClock::at(NOW));
    let open = TempStores::open(clock.clone()).await;
    let mut settings = Settings::new("edge.example".parse().unwrap(), open.folder().to_owned());
    settings.roles = Roles(vec![Role::Sweep]);
    let from = "tls@edge.example".parse().unwrap();
    settings.tls_reports = Some(TlsReports { from, organization: None });
    let stores = joined(&settings, &open.stores, clock.clone());
    let tally = deliver::tls_tally(&settings, &stores).unwrap();
    tally.observe(session());
    tally.flush().await;
    // early in the morning
    clock.set(NOW + 8 * 60 * MINUTE);
    let wanted = r#"_smtp._tls.b.example TXT "v=TLSRPTv1; rua=mailto:reports@b.example""#;
    let resolver: Arc<dyn Resolver> = Arc::new(ZoneResolver::parse(wanted).unwrap());
    let (_, sweep) = workers(&settings, &stores, &resolver).unwrap().remove(0);
    let drain = CancellationToken::new();
    let running = tokio::spawn(sweep(drain.clone()));
    let put_in = || async { stores.inbound.receive(1, Duration::ZERO).await.unwrap().pop() };
    let job = eventually("a report is put in", MINUTE, put_in).await;
    drain.cancel();
    running.await.unwrap();
    let PrepareJob { pack } = PrepareJob::decode(&job.body).unwrap();
    let header = PackReader::new(Arc::clone(&stores.spool), pack).header().await.unwrap();
    let envelope = &header.messages[0].envelope;
    assert_eq!(envelope.from.as_str(), "tls@edge.example");
    let to: Vec<_> = envelope.recipients.iter().map(|to| to.address.as_str()).collect();
    assert_eq!(to, ["reports@b.example"]);
}
