use std::io::Read as _;
use std::net::IpAddr;

use async_trait::async_trait;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use flate2::read::GzDecoder;
use hyper::Uri;
use serde_json::{Value, json};
use shared::job::{Job, PrepareJob};
use shared::mail::ReversePath;
use shared::pack::PackReader;
use shared::testkit::{ManualClock, SeededIds, TempStores, ZoneResolver, eventually};
use tokio_util::sync::CancellationToken;

use super::*;
use crate::deliver::{ObserveTls as _, PolicyFound, Reminders, ResultType, TlsObservation};
use crate::sweep::{Sweep, SweepPorts, SweepSettings};
use crate::tls_report::{PostError, TlsTally};

const MINUTE: Duration = Duration::from_secs(60);

const ZONE: &str = r#"
    _smtp._tls.both.example TXT "v=TLSRPTv1; rua=mailto:tls@both.example,https://both.example/tls"
    _smtp._tls.mail.example TXT "v=TLSRPTv1; rua=mailto:a@mail.example,mailto:b@mail.example"
    $SERVFAIL _smtp._tls.down.example
"#;

/// Two containers on one store: the first counts and reports, the second may report too.
struct World {
    clock: Arc<ManualClock>,
    stores: TempStores,
    resolver: Arc<ZoneResolver>,
    post: Arc<FakePost>,
    tally: TlsTally,
    reports: [Reports; 2],
}

#[derive(Default)]
struct FakePost {
    fails: std::sync::atomic::AtomicBool,
    /// How many wait for an answer that never comes; `None` where they get one.
    silent: Mutex<Option<usize>>,
    taken: Mutex<Vec<(String, Bytes)>>,
}

#[async_trait]
impl Post for FakePost {
    async fn post(&self, to: &Uri, gzipped: Bytes) -> Result<(), PostError> {
        let waits = self.silent.lock().unwrap().as_mut().map(|waiting| *waiting += 1);
        if waits.is_some() {
            return std::future::pending().await;
        }
        if self.fails.load(std::sync::atomic::Ordering::Relaxed) {
            return Err(PostError::Late);
        }
        self.taken.lock().unwrap().push((to.to_string(), gzipped));
        Ok(())
    }
}

impl World {
    async fn new() -> Self {
        let clock = Arc::new(ManualClock::default());
        let stores = TempStores::open(Arc::clone(&clock) as Arc<dyn Clock>).await;
        let (resolver, post) = (Arc::new(ZoneResolver::parse(ZONE).unwrap()), Arc::new(FakePost::default()));
        let settings = ReportsSettings {
            from: Mailbox::parse("tls-reports@edge.example").unwrap(),
            organization: "Example Edge".to_owned(),
            hostname: "edge.example".to_owned(),
        };
        let reports = [1, 2].map(|seed| {
            let ports = ReportsPorts {
                tallies: Arc::clone(&stores.stores.tallies),
                deliveries: Arc::clone(&stores.stores.deliveries),
                resolver: Arc::clone(&resolver) as Arc<dyn Resolver>,
                spool: Arc::clone(&stores.stores.spool),
                inbound: Arc::clone(&stores.stores.inbound),
                post: Arc::clone(&post) as Arc<dyn Post>,
                clock: Arc::clone(&clock) as Arc<dyn Clock>,
                ids: Arc::new(SeededIds::new(seed)),
            };
            Reports::new(settings.clone(), ports)
        });
        let tally = TlsTally::new(Arc::clone(&stores.stores.tallies), Arc::clone(&clock) as Arc<dyn Clock>);
        Self { clock, stores, resolver, post, tally, reports }
    }

    fn saw(&self, domain: &str, policy: &PolicyFound, failure: Option<ResultType>) {
        self.tally.observe(TlsObservation {
            policy_domain: domain.parse().unwrap(),
            policy: policy.clone(),
            mx_host: format!("mx.{domain}"),
            sending_ip: None,
            receiving_ip: Some("192.0.2.25".parse::<IpAddr>().unwrap()),
            result: failure.map_or(Ok(()), Err),
        });
    }

    /// To when the reports of the day that it is now are due.
    fn to_the_next_day(&self) {
        let next = midnight(self.clock.now()) + DAY + DAY_SETTLES + REPORTS_SPREAD;
        self.clock.set(next);
    }

    async fn run(&self) {
        for reports in &self.reports {
            reports.run_once().await;
        }
    }

    /// The messages that were put in: sender, recipients, content.
    async fn mail(&self) -> Vec<(String, Vec<String>, String)> {
        let mut mail = Vec::new();
        loop {
            let received = self.stores.stores.inbound.receive(10, Duration::ZERO).await.unwrap();
            if received.is_empty() {
                return mail;
            }
            for job in received {
                let PrepareJob { pack } = PrepareJob::decode(&job.body).unwrap();
                let mut reader = PackReader::new(Arc::clone(&self.stores.stores.spool), pack);
                let header = reader.header().await.unwrap();
                let message = &header.messages[0];
                let ReversePath::Mailbox(from) = &message.envelope.from else { panic!() };
                let to = message.envelope.recipients.iter().map(|to| to.address.as_str().to_owned());
                let content = reader.read(message.offset, message.length).await.unwrap();
                assert!(message.envelope.recipients[0].notify.is_some_and(|notify| !notify.failure));
                mail.push((
                    from.as_str().to_owned(),
                    to.collect(),
                    String::from_utf8(content.to_vec()).unwrap(),
                ));
                self.stores.stores.inbound.ack(&job.receipt).await.unwrap();
            }
        }
    }
}

fn gunzip(octets: &[u8]) -> Value {
    let mut text = String::new();
    GzDecoder::new(octets).read_to_string(&mut text).unwrap();
    serde_json::from_str(&text).unwrap()
}

/// The report in a message.
fn attached(message: &str) -> Value {
    let part = message.split("Content-Type: application/tlsrpt+gzip\r\n").nth(1).unwrap();
    let body = part.split("\r\n\r\n").nth(1).unwrap().split("\r\n--").next().unwrap();
    gunzip(&BASE64_STANDARD.decode(body.replace("\r\n", "")).unwrap())
}

fn sts() -> PolicyFound {
    let lines = ["version: STSv1", "mode: testing", "mx: *.both.example"];
    PolicyFound::Sts(lines.map(str::to_owned).into())
}

#[tokio::test]
async fn a_day_is_told_once_to_all_who_ask_for_it() {
    let world = World::new().await;
    let tlsa = PolicyFound::Tlsa(vec!["3 1 1 00FF".to_owned()]);
    for _ in 0..3 {
        world.saw("both.example", &sts(), None);
        world.saw("mail.example", &tlsa, None);
        world.saw("nobody.example", &PolicyFound::None, None);
    }
    world.saw("both.example", &sts(), Some(ResultType::CertificateExpired));
    world.tally.flush().await;
    world.saw("both.example", &sts(), Some(ResultType::CertificateExpired));
    world.saw("both.example", &PolicyFound::None, Some(ResultType::StartTlsNotSupported));
    world.tally.flush().await;
    world.run().await;
    assert!(world.mail().await.is_empty(), "the day is not over");

    world.to_the_next_day();
    world.run().await;
    world.run().await;
    let posted = std::mem::take(&mut *world.post.taken.lock().unwrap());
    assert_eq!(posted.len(), 1);
    assert_eq!(posted[0].0, "https://both.example/tls");
    let mut mail = world.mail().await;
    mail.sort_by(|one, other| one.1.cmp(&other.1));
    let to: Vec<_> = mail.iter().map(|(from, to, _)| (from.as_str(), to.join(" "))).collect();
    let from = "tls-reports@edge.example";
    assert_eq!(
        to,
        [(from, "a@mail.example b@mail.example".to_owned()), (from, "tls@both.example".to_owned())]
    );
    let report = attached(&mail[1].2);
    assert_eq!(report, gunzip(&posted[0].1), "both ways tell the same");
    assert_eq!(report["organization-name"], "Example Edge");
    assert_eq!(report["contact-info"], from);
    assert_eq!(
        report["date-range"],
        json!({"start-datetime": "2025-01-01T00:00:00Z", "end-datetime": "2025-01-01T23:59:59Z"})
    );
    let policies = report["policies"].as_array().unwrap();
    let of = |kind: &str| policies.iter().find(|policy| policy["policy"]["policy-type"] == kind).unwrap();
    assert_eq!(
        of("sts"),
        &json!({
            "policy": {
                "policy-type": "sts", "policy-domain": "both.example", "mx-host": ["*.both.example"],
                "policy-string": ["version: STSv1", "mode: testing", "mx: *.both.example"]
            },
            "summary": {"total-successful-session-count": 3, "total-failure-session-count": 2},
            "failure-details": [{
                "result-type": "certificate-expired", "receiving-mx-hostname": "mx.both.example",
                "receiving-ip": "192.0.2.25", "failed-session-count": 2
            }]
        })
    );
    assert_eq!(of("no-policy-found")["summary"]["total-failure-session-count"], 1);
    let tlsa = attached(&mail[0].2);
    assert_eq!(tlsa["policies"][0]["policy"]["policy-string"], json!(["3 1 1 00FF"]));
    assert_eq!(tlsa["policies"][0].get("failure-details"), None);
}

#[tokio::test]
async fn a_failure_tells_the_address_that_it_was_sent_from_where_that_is_known() {
    let world = World::new().await;
    for sending in [Some("198.51.100.7"), Some("2001:db8::7"), None] {
        world.tally.observe(TlsObservation {
            policy_domain: "both.example".parse().unwrap(),
            policy: sts(),
            mx_host: "mx.both.example".to_owned(),
            sending_ip: sending.map(|ip| ip.parse().unwrap()),
            receiving_ip: Some("192.0.2.25".parse().unwrap()),
            result: Err(ResultType::CertificateExpired),
        });
    }
    world.tally.flush().await;
    world.to_the_next_day();
    world.run().await;
    let report = gunzip(&world.post.taken.lock().unwrap()[0].1);
    let failures = report["policies"][0]["failure-details"].as_array().unwrap();
    let mut sending: Vec<&Value> = failures.iter().map(|failure| &failure["sending-mta-ip"]).collect();
    sending.sort_by_key(ToString::to_string);
    assert_eq!(sending, [&json!("198.51.100.7"), &json!("2001:db8::7"), &Value::Null]);
    let unknown = failures.iter().find(|failure| failure["sending-mta-ip"].is_null()).unwrap();
    assert_eq!(unknown.get("sending-mta-ip"), None, "it is left out, not null");
}

#[tokio::test]
async fn a_report_by_mail_is_as_rfc_8460_says() {
    let world = World::new().await;
    world.saw("both.example", &sts(), None);
    world.tally.flush().await;
    world.to_the_next_day();
    world.run().await;
    let mail = world.mail().await;
    let (header, _) = mail[0].2.split_once("\r\n\r\n").unwrap();
    for field in [
        "From: tls-reports@edge.example",
        "Subject: Report Domain: both.example\r\n\tSubmitter: edge.example\r\n\tReport-ID: <2025-01-01.both.example@edge.example>",
        "TLS-Report-Domain: both.example",
        "TLS-Report-Submitter: edge.example",
        "TLS-Required: No",
        "Content-Type: multipart/report; report-type=\"tlsrpt\";",
    ] {
        assert!(header.contains(field), "{field}\n{header}");
    }
    assert!(mail[0].2.contains("filename=\"edge.example!both.example!1735689600!1735775999.json.gz\""));
    assert!(mail[0].2.lines().all(|line| line.len() <= 998) && mail[0].2.is_ascii());
}

#[tokio::test]
async fn what_could_not_be_told_is_told_later_and_the_rest_not_again() {
    let world = World::new().await;
    world.post.fails.store(true, std::sync::atomic::Ordering::Relaxed);
    for domain in ["both.example", "mail.example", "down.example"] {
        world.saw(domain, &PolicyFound::None, None);
    }
    world.tally.flush().await;
    world.to_the_next_day();
    world.run().await;
    assert_eq!(world.mail().await.len(), 2);

    world.post.fails.store(false, std::sync::atomic::Ordering::Relaxed);
    world.run().await;
    assert!(world.post.taken.lock().unwrap().is_empty(), "there is a pause first");
    world.clock.advance(RUN_PAUSE);
    world.resolver.replace(&ZONE.replace("$SERVFAIL", "; ")).unwrap();
    world.run().await;
    assert_eq!(world.post.taken.lock().unwrap().len(), 1);
    let again = world.mail().await;
    assert!(
        again.iter().all(|(_, to, _)| to == &["tls@both.example"]),
        "the same pack, as its id is the same"
    );
    world.clock.advance(RUN_PAUSE);
    world.run().await;
    assert_eq!(world.post.taken.lock().unwrap().len(), 1, "the day is done");
}

#[tokio::test]
async fn what_could_not_be_told_before_the_next_midnight_is_told_after_it() {
    let world = World::new().await;
    world.post.fails.store(true, std::sync::atomic::Ordering::Relaxed);
    world.saw("both.example", &PolicyFound::None, None);
    world.tally.flush().await;
    world.to_the_next_day();
    let end = world.clock.now() + DAY;
    while world.clock.now() < end {
        world.run().await;
        world.clock.advance(RUN_PAUSE);
    }
    world.post.fails.store(false, std::sync::atomic::Ordering::Relaxed);
    world.run().await;
    assert_eq!(world.post.taken.lock().unwrap().len(), 1);
    world.clock.advance(RUN_PAUSE);
    world.run().await;
    assert_eq!(world.post.taken.lock().unwrap().len(), 1, "the day is done");
}

#[tokio::test]
async fn a_day_is_given_up_after_its_time() {
    let world = World::new().await;
    world.post.fails.store(true, std::sync::atomic::Ordering::Relaxed);
    world.saw("both.example", &PolicyFound::None, None);
    world.tally.flush().await;
    world.to_the_next_day();
    for _ in 0..60 {
        world.run().await;
        world.clock.advance(RUN_PAUSE);
    }
    world.post.fails.store(false, std::sync::atomic::Ordering::Relaxed);
    world.run().await;
    assert!(world.post.taken.lock().unwrap().is_empty());
}

#[tokio::test]
async fn counts_that_cannot_be_written_are_written_later() {
    use shared::testkit::{Fate, Faults, Faulty, Mode};
    let world = World::new().await;
    let faults = Faults::new(1);
    let tallies = Faulty::<dyn Tallies>::new(Arc::clone(&world.stores.stores.tallies), &faults);
    let tally = TlsTally::new(tallies, Arc::clone(&world.clock) as Arc<dyn Clock>);
    let seen = TlsObservation {
        policy_domain: "both.example".parse().unwrap(),
        policy: PolicyFound::None,
        mx_host: String::new(),
        sending_ip: None,
        receiving_ip: None,
        result: Ok(()),
    };
    faults.set(Mode::Always(Fate::Refused));
    tally.observe(seen.clone());
    tally.flush().await;
    tally.observe(seen);
    faults.set(Mode::Sound);
    tally.flush().await;
    tally.flush().await;
    let counts = world.stores.stores.tallies.read(&book(world.clock.now()), None, 10).await.unwrap();
    assert_eq!(counts.iter().map(|count| count.n).collect::<Vec<_>>(), [2]);
}

#[tokio::test]
async fn a_sweep_does_not_wait_for_a_server_that_takes_no_report() {
    let world = World::new().await;
    world.saw("both.example", &sts(), None);
    world.tally.flush().await;
    world.to_the_next_day();
    *world.post.silent.lock().unwrap() = Some(0);
    let (stores, clock) = (world.stores.stores.clone(), Arc::clone(&world.clock));
    let ports = SweepPorts {
        spool: stores.spool,
        outbound: stores.outbound,
        deliveries: stores.deliveries,
        directory: stores.directory,
        reminders: Reminders::new(stores.reminders, Arc::clone(&clock) as Arc<dyn Clock>),
        clock: Arc::clone(&clock) as Arc<dyn Clock>,
    };
    let [reports, _] = world.reports;
    let sweep =
        Sweep::new(SweepSettings { packs: None, ..SweepSettings::default() }, ports).reporting(reports);
    let stop = CancellationToken::new();
    let drain = stop.clone();
    let running = tokio::spawn(async move { sweep.run(drain).await });
    let posting = || async { (*world.post.silent.lock().unwrap() == Some(1)).then_some(()) };
    eventually("a report is being posted", MINUTE, posting).await;
    for _ in 0..2 {
        eventually("the sweep waits for its next turn", MINUTE, || async { clock.next_waking() }).await;
        clock.advance_to_next();
    }
    stop.cancel();
    running.await.unwrap();
}
