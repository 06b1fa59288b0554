//! RFC 8461: the policy of a domain, fetched as a client must, kept, and held to.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use shared::port::Clock;
use shared::system::SystemClock;
use shared::testkit::ManualClock;
use workers::deliver::{
    ObserveTls, Observer, Outcome, PolicyFound, ResultType, Route, TlsObservation, Transports, Tried,
    TrustAnchors,
};

use crate::certificates::{Authority, Identity, all_was_sent_under_tls, nothing_was_sent};
use crate::policy_site::PolicySite;
use crate::server::Server;
use crate::world::{World, outcome};

#[derive(Default)]
struct Observed(Mutex<Vec<TlsObservation>>);

impl ObserveTls for Observed {
    fn observe(&self, observation: TlsObservation) {
        self.0.lock().unwrap().push(observation);
    }
}

/// A domain with a mail server, a policy and a web server that has it, and whoever sends it mail.
struct Domain {
    authority: Authority,
    site: PolicySite,
    server: Server,
    world: World,
    observed: Arc<Observed>,
    clock: Arc<ManualClock>,
}

impl Domain {
    /// The server shows `identity`, which `authority` may have issued.
    async fn new(authority: Authority, identity: &Identity, policy: &str) -> Self {
        let server = identity.serve().await;
        Self::with_server(authority, server, policy).await
    }

    async fn with_server(authority: Authority, server: Server, policy: &str) -> Self {
        let site = PolicySite::start(&authority.issue(&["mta-sts.example.org"], false), policy).await;
        let mut world = World::new(server.port());
        let (observed, clock) = (Arc::<Observed>::default(), Arc::new(ManualClock::at(SystemClock.now())));
        world.settings.trust = TrustAnchors::These(vec![authority.certificate()]);
        world.settings.mta_sts_port = site.port;
        world.settings.observer = Observer(observed.clone());
        world.clock = clock.clone();
        let domain = Self { authority, site, server, world, observed, clock };
        domain.publishes(Some("1"));
        domain
    }

    fn publishes(&self, id: Option<&str>) {
        let record = id.map(|id| format!("_mta-sts.example.org TXT \"v=STSv1; id={id};\"\n"));
        let zone = format!(
            "example.org MX 1 mx.example.org\nmx.example.org A 127.0.0.1\nmta-sts.example.org A 127.0.0.1\n{}",
            record.unwrap_or_default()
        );
        self.world.dns.replace(&zone).unwrap();
    }

    async fn send(&self) -> Vec<Tried> {
        let message = self.world.message("x\r\n", &["a@example.org"]);
        self.world.attempt(&Route::Mx, vec![message]).await
    }

    /// The same by a process that goes on.
    async fn send_by(&self, transports: &Transports) -> Vec<Tried> {
        let message = self.world.message("x\r\n", &["a@example.org"]);
        // puts the message into the spool
        let _ = self.world.transports().await;
        self.world.attempt_by(transports, &Route::Mx, vec![message]).await
    }

    fn results(&self) -> Vec<Result<(), ResultType>> {
        self.observed.0.lock().unwrap().iter().map(|observation| observation.result).collect()
    }
}

fn policy(mode: &str, mx: &str) -> String {
    format!("version: STSv1\r\nmode: {mode}\r\nmx: {mx}\r\nmax_age: 604800\r\n")
}

fn is_delivered(tried: &[Tried], how: &str) {
    let (outcome, reply) = outcome(tried);
    assert_eq!(outcome, Outcome::Delivered, "{reply}");
    let tls = tried[0].attempt.tls.clone().unwrap();
    assert!(tls.ends_with(how), "{tls}");
}

fn is_deferred(tried: &[Tried], why: &str) {
    let (outcome, reply) = outcome(tried);
    assert_eq!(outcome, Outcome::Deferred, "{reply}");
    assert!(reply.starts_with("454 4.7.5 ") && reply.contains(why), "{reply}");
}

#[tokio::test]
async fn a_host_of_the_policy_that_proves_its_name_gets_the_mail() {
    let authority = Authority::new();
    let identity = authority.issue(&["mx.example.org"], false);
    let domain = Domain::new(authority, &identity, &policy("enforce", "*.example.org")).await;
    is_delivered(&domain.send().await, "(MTA-STS enforce)");
    all_was_sent_under_tls(&domain.server);
    let asked = domain.site.requests();
    assert_eq!(asked.len(), 1);
    assert!(asked[0].starts_with("GET /.well-known/mta-sts.txt HTTP/1.1\r\n"), "{}", asked[0]);
    assert!(asked[0].to_ascii_lowercase().contains("host: mta-sts.example.org\r\n"), "{}", asked[0]);
    let observed = domain.observed.0.lock().unwrap().clone();
    assert_eq!(observed.len(), 1);
    assert_eq!((observed[0].mx_host.as_str(), observed[0].result), ("mx.example.org", Ok(())));
    let strings = ["version: STSv1", "mode: enforce", "mx: *.example.org", "max_age: 604800"];
    assert_eq!(observed[0].policy, PolicyFound::Sts(strings.map(str::to_owned).to_vec()));
    assert_eq!(observed[0].sending_ip, Some("127.0.0.1".parse().unwrap()));
}

#[tokio::test]
async fn a_host_that_is_not_in_the_policy_gets_nothing() {
    let authority = Authority::new();
    let identity = authority.issue(&["mx.example.org"], false);
    let domain = Domain::new(authority, &identity, &policy("enforce", "mx.elsewhere.example")).await;
    is_deferred(&domain.send().await, "does not have mx.example.org");
    assert_eq!(domain.server.seen().connections, 0);
    assert_eq!(domain.results(), [Err(ResultType::ValidationFailure)]);
}

#[tokio::test]
async fn a_host_whose_certificate_does_not_hold_gets_nothing() {
    let stranger = Authority::new();
    for (named, expired, of_stranger, result) in [
        ("mx.example.org", true, false, ResultType::CertificateExpired),
        ("elsewhere.example", false, false, ResultType::CertificateHostMismatch),
        ("mx.example.org", false, true, ResultType::CertificateNotTrusted),
    ] {
        let authority = Authority::new();
        let issuer = if of_stranger { &stranger } else { &authority };
        let identity = issuer.issue(&[named], expired);
        let domain = Domain::new(authority, &identity, &policy("enforce", "mx.example.org")).await;
        is_deferred(&domain.send().await, "the server's certificate does not hold");
        nothing_was_sent(&domain.server);
        assert_eq!((domain.server.seen().connections, domain.results()), (1, vec![Err(result)]));
    }
}

#[tokio::test]
async fn a_host_without_tls_gets_nothing() {
    let server = Server::start(&[], |_| None).await;
    let domain = Domain::with_server(Authority::new(), server, &policy("enforce", "mx.example.org")).await;
    is_deferred(&domain.send().await, "the server offers no TLS (MTA-STS enforce)");
    nothing_was_sent(&domain.server);
    assert_eq!(domain.results(), [Err(ResultType::StartTlsNotSupported)]);
}

#[tokio::test]
async fn a_policy_in_testing_is_reported_and_stops_nothing() {
    for (mx, result) in [
        ("mx.example.org", ResultType::CertificateExpired),
        ("mx.elsewhere.example", ResultType::ValidationFailure),
    ] {
        let authority = Authority::new();
        let identity = authority.issue(&["mx.example.org"], true);
        let domain = Domain::new(authority, &identity, &policy("testing", mx)).await;
        is_delivered(&domain.send().await, "(MTA-STS testing)");
        all_was_sent_under_tls(&domain.server);
        assert_eq!(domain.results()[0], Err(result));
    }
    let server = Server::start(&[], |_| None).await;
    let domain = Domain::with_server(Authority::new(), server, &policy("testing", "mx.example.org")).await;
    let tried = domain.send().await;
    assert_eq!((outcome(&tried).0, tried[0].attempt.tls.clone()), (Outcome::Delivered, None));
    assert_eq!(domain.results(), [Err(ResultType::StartTlsNotSupported)]);
}

#[tokio::test]
async fn a_policy_outlives_its_record_and_its_web_server_as_long_as_it_says() {
    let authority = Authority::new();
    let identity = authority.issue(&["elsewhere.example"], false);
    let domain = Domain::new(authority, &identity, &policy("enforce", "mx.example.org")).await;
    is_deferred(&domain.send().await, "certificate does not hold");
    // another process: what it knows, it has from the directory
    domain.publishes(None);
    domain.site.answers("500 Oops", "text/plain", "");
    is_deferred(&domain.send().await, "certificate does not hold");
    assert_eq!(domain.site.requests().len(), 1);
    // a newer one that cannot be had does not end it
    domain.publishes(Some("2"));
    is_deferred(&domain.send().await, "certificate does not hold");
    assert_eq!(domain.site.requests().len(), 2);
    assert!(domain.results().contains(&Err(ResultType::StsPolicyFetchError)));
    domain.clock.advance(Duration::from_secs(604_800));
    is_delivered(&domain.send().await, "(certificate not checked)");
}

#[tokio::test]
async fn a_policy_is_fetched_anew_when_its_id_changes_or_it_is_a_day_old_and_not_before() {
    let authority = Authority::new();
    let identity = authority.issue(&["mx.example.org"], false);
    let domain = Domain::new(authority, &identity, &policy("enforce", "mx.example.org")).await;
    let transports = domain.world.transports().await;
    let send = async || domain.send_by(&transports).await;
    for _ in 0..2 {
        is_delivered(&send().await, "(MTA-STS enforce)");
    }
    assert_eq!(domain.site.requests().len(), 1);
    domain.site.answers("200 OK", "text/plain; charset=utf-8", &policy("testing", "mx.example.org"));
    domain.publishes(Some("2"));
    is_delivered(&send().await, "(MTA-STS testing)");
    assert_eq!(domain.site.requests().len(), 2);
    domain.clock.advance(Duration::from_secs(86_400));
    domain.site.answers("200 OK", "text/plain", "version: STSv1\nmode: none\nmax_age: 86400\n");
    is_delivered(&send().await, "(certificate not checked)");
    assert_eq!(domain.site.requests().len(), 3);
}

#[tokio::test]
async fn a_fetch_that_failed_is_not_tried_again_for_five_minutes() {
    let authority = Authority::new();
    let identity = authority.issue(&["mx.example.org"], false);
    let domain = Domain::new(authority, &identity, &policy("enforce", "mx.example.org")).await;
    domain.site.answers("503 Later", "text/plain", "");
    let transports = domain.world.transports().await;
    for _ in 0..2 {
        is_delivered(&domain.send_by(&transports).await, "(certificate not checked)");
    }
    assert_eq!(domain.site.requests().len(), 1);
    domain.site.answers("200 OK", "text/plain", &policy("enforce", "mx.example.org"));
    domain.clock.advance(Duration::from_secs(300));
    is_delivered(&domain.send_by(&transports).await, "(MTA-STS enforce)");
    assert_eq!(domain.site.requests().len(), 2);
}

#[tokio::test]
async fn what_is_no_answer_of_a_policy_site_is_no_policy() {
    let good = policy("enforce", "mx.elsewhere.example");
    let long = format!("{good}{}", "x: y\r\n".repeat(20_000));
    for (status, kind, body, result) in [
        ("301 Moved", "text/plain", good.as_str(), ResultType::StsPolicyFetchError),
        ("404 Not Found", "text/plain", &good, ResultType::StsPolicyFetchError),
        ("200 OK", "text/html", &good, ResultType::StsPolicyFetchError),
        ("200 OK", "text/plain", &long, ResultType::StsPolicyFetchError),
        ("200 OK", "text/plain", "nonsense", ResultType::StsPolicyInvalid),
    ] {
        let identity = Identity::self_signed(&["mx.example.org"], false);
        let domain = Domain::new(Authority::new(), &identity, &good).await;
        domain.site.answers(status, kind, body);
        is_delivered(&domain.send().await, "(certificate not checked)");
        assert_eq!(domain.site.requests().len(), 1, "no redirect is followed");
        assert_eq!(domain.results(), [Err(result), Ok(())], "{status} {kind}");
    }
}

#[tokio::test]
async fn a_policy_site_must_prove_its_name_and_have_a_public_address() {
    let identity = Identity::self_signed(&["mx.example.org"], false);
    let mut domain =
        Domain::new(Authority::new(), &identity, &policy("enforce", "mx.elsewhere.example")).await;
    domain.site =
        PolicySite::start(&domain.authority.issue(&["example.org"], false), &policy("enforce", "x.example"))
            .await;
    domain.world.settings.mta_sts_port = domain.site.port;
    is_delivered(&domain.send().await, "(certificate not checked)");
    assert_eq!(domain.results(), [Err(ResultType::StsWebpkiInvalid), Ok(())]);
    assert_eq!(domain.site.requests(), [""; 0]);
    let mut domain =
        Domain::new(Authority::new(), &identity, &policy("enforce", "mx.elsewhere.example")).await;
    domain.world.settings.allow_private_addresses = false;
    assert_eq!(outcome(&domain.send().await).0, Outcome::Bounced);
    assert_eq!(domain.site.requests(), [""; 0]);
}

#[tokio::test]
async fn requiretls_is_content_with_mta_sts() {
    let send = async |mx: &str| {
        let authority = Authority::new();
        let identity = authority.issue(&["mx.example.org"], false);
        let domain = Domain::new(authority, &identity, &policy("enforce", mx)).await;
        let mut message = domain.world.message("x\r\n", &["a@example.org"]);
        message.options.require_tls = true;
        (domain.world.attempt(&Route::Mx, vec![message]).await, domain)
    };
    let (tried, domain) = send("mx.example.org").await;
    is_delivered(&tried, "(REQUIRETLS, certificate verified)");
    all_was_sent_under_tls(&domain.server);
    let (tried, domain) = send("mx.elsewhere.example").await;
    let (outcome, reply) = outcome(&tried);
    assert_eq!(outcome, Outcome::Bounced);
    assert!(
        reply.starts_with("550 5.7.30 REQUIRETLS support required: neither DNSSEC nor MTA-STS"),
        "{reply}"
    );
    nothing_was_sent(&domain.server);
}

#[tokio::test]
async fn dane_goes_before_mta_sts() {
    let authority = Authority::new();
    let identity = Identity::self_signed(&["elsewhere.example"], true);
    let domain = Domain::new(authority, &identity, &policy("enforce", "mx.elsewhere.example")).await;
    let record = crate::certificates::association(1, &identity.public_key());
    let zone = format!(
        "example.org MX 1 mx.example.org\nmx.example.org A 127.0.0.1\nmta-sts.example.org A 127.0.0.1\n$SECURE example.org\n\
         _mta-sts.example.org TXT \"v=STSv1; id=1\"\n_{}._tcp.mx.example.org TLSA 3 1 1 {record}",
        domain.server.port()
    );
    domain.world.dns.replace(&zone).unwrap();
    is_delivered(&domain.send().await, "(DANE-EE)");
    assert_eq!(domain.site.requests(), [""; 0]);
}
