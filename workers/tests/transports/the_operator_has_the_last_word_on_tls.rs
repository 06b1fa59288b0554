use rustls::version::{TLS12, TLS13};
use tokio_rustls::TlsAcceptor;
use workers::deliver::{Outcome, Route, TlsMode, TlsOverride, TlsVersion, Tried, TrustAnchors};

use crate::certificates::{
    Authority, Identity, all_was_sent_under_tls, association, nothing_was_sent, script,
};
use crate::server::Server;
use crate::world::{World, outcome, smart_host, zone};

fn rule(mode: TlsMode) -> TlsOverride {
    TlsOverride { mode, min_version: TlsVersion::V1_2 }
}

/// Delivers by a rule for the domain, or that of its parents.
async fn deliver(server: &Server, rule: TlsOverride, authority: &Authority, records: &str) -> Vec<Tried> {
    let mut world = World::new(server.port());
    world.settings.trust = TrustAnchors::These(vec![authority.certificate()]);
    world.settings.tls_overrides.add("*.example.org", rule).unwrap();
    world.dns = zone(&format!(
        "mail.example.org MX 1 mx.example.org\nmx.example.org A 127.0.0.1\n{}",
        records.replace("PORT", &server.port().to_string())
    ));
    let message = world.message("x\r\n", &["a@mail.example.org"]);
    world.attempt(&Route::Mx, vec![message]).await
}

fn is_delivered(tried: &[Tried], how: Option<&str>) {
    let (outcome, reply) = outcome(tried);
    assert_eq!(outcome, Outcome::Delivered, "{reply}");
    let tls = tried[0].attempt.tls.clone();
    match how {
        Some(how) => assert!(tls.clone().unwrap().ends_with(how), "{tls:?}"),
        None => assert_eq!(tls, None),
    }
}

fn is_deferred(tried: &[Tried], server: &Server, why: &str) {
    let (outcome, reply) = outcome(tried);
    assert_eq!(outcome, Outcome::Deferred, "{reply}");
    assert!(reply.contains(why), "{reply}");
    nothing_was_sent(server);
}

#[tokio::test]
async fn may_is_content_with_anything() {
    let authority = Authority::new();
    let wrong = format!("$SECURE example.org\n_PORT._tcp.mx.example.org TLSA 3 1 1 {}", association(1, b"x"));
    let server = Identity::self_signed(&["x.example"], true).serve().await;
    let tried = deliver(&server, rule(TlsMode::May), &authority, &wrong).await;
    is_delivered(&tried, Some("(tls_policy \"*.example.org\", certificate not checked)"));
    let without = Server::start(&[], |_| None).await;
    is_delivered(&deliver(&without, rule(TlsMode::May), &authority, &wrong).await, None);
}

#[tokio::test]
async fn require_wants_tls_and_looks_at_no_certificate() {
    let authority = Authority::new();
    let server = Identity::self_signed(&["x.example"], true).serve().await;
    let tried = deliver(&server, rule(TlsMode::Require), &authority, "").await;
    is_delivered(&tried, Some("(tls_policy \"*.example.org\", certificate not checked)"));
    all_was_sent_under_tls(&server);
    let without = Server::start(&[], |_| None).await;
    let tried = deliver(&without, rule(TlsMode::Require), &authority, "").await;
    is_deferred(&tried, &without, "the server offers no TLS (tls_policy \"*.example.org\")");
    let garbage = |asked: &crate::server::Asked| {
        (asked.step == "STARTTLS").then(|| crate::server::Act::Part("220 go\r\nno TLS\r\n".to_owned()))
    };
    let broken = Server::start(&["STARTTLS"], garbage).await;
    is_deferred(&deliver(&broken, rule(TlsMode::Require), &authority, "").await, &broken, "no TLS");
}

#[tokio::test]
async fn verify_wants_a_certificate_for_the_host() {
    let authority = Authority::new();
    let server = authority.issue(&["mx.example.org"], false).serve().await;
    let tried = deliver(&server, rule(TlsMode::Verify), &authority, "").await;
    is_delivered(&tried, Some("(tls_policy \"*.example.org\", certificate verified)"));
    for identity in [
        authority.issue(&["mail.example.org"], false),
        authority.issue(&["mx.example.org"], true),
        Identity::self_signed(&["mx.example.org"], false),
    ] {
        let server = identity.serve().await;
        let tried = deliver(&server, rule(TlsMode::Verify), &authority, "").await;
        is_deferred(&tried, &server, "454 4.7.5 the server's certificate does not hold");
    }
}

#[tokio::test]
async fn dane_wants_records() {
    let authority = Authority::new();
    let identity = Identity::self_signed(&["x.example"], true);
    let record = association(1, &identity.public_key());
    let records = format!("$SECURE example.org\n_PORT._tcp.mx.example.org TLSA 3 1 1 {record}");
    let server = identity.serve().await;
    let tried = deliver(&server, rule(TlsMode::Dane), &authority, &records).await;
    is_delivered(&tried, Some("(tls_policy \"*.example.org\", DANE-EE)"));
    for records in ["", "$SECURE example.org"] {
        let server = identity.serve().await;
        let tried = deliver(&server, rule(TlsMode::Dane), &authority, records).await;
        is_deferred(&tried, &server, "454 4.7.5 DNSSEC proves no TLSA records of mx.example.org");
    }
}

#[tokio::test]
async fn forbid_does_not_even_ask() {
    let authority = Authority::new();
    let server = authority.issue(&["mx.example.org"], false).serve().await;
    is_delivered(&deliver(&server, rule(TlsMode::Forbid), &authority, "").await, None);
    assert!(!server.seen().commands.contains(&"STARTTLS".to_owned()));
}

#[tokio::test]
async fn a_least_version_is_held_to() {
    let authority = Authority::new();
    let identity = Identity::self_signed(&["x.example"], false);
    let newer = TlsOverride { mode: TlsMode::Require, min_version: TlsVersion::V1_3 };
    for (version, will_do) in [(&TLS13, true), (&TLS12, false)] {
        let acceptor = TlsAcceptor::from(identity.config(&[version]));
        let server = Server::start(&["STARTTLS"], script(acceptor)).await;
        let tried = deliver(&server, newer, &authority, "").await;
        if will_do {
            is_delivered(&tried, Some("certificate not checked)"));
        } else {
            is_deferred(&tried, &server, "no TLS");
        }
    }
    let older = TlsAcceptor::from(identity.config(&[&TLS12]));
    let server = Server::start(&["STARTTLS"], script(older)).await;
    let tried = deliver(&server, rule(TlsMode::Require), &authority, "").await;
    assert!(tried[0].attempt.tls.clone().unwrap().starts_with("TLSv1.2 "));
}

#[tokio::test]
async fn a_smart_host_has_the_rule_of_its_own_name() {
    let authority = Authority::new();
    let server = Identity::self_signed(&["127.0.0.1"], false).serve().await;
    let mut world = World::new(0);
    world.settings.trust = TrustAnchors::These(vec![authority.certificate()]);
    world.settings.tls_overrides.add("example.org", rule(TlsMode::Forbid)).unwrap();
    world.settings.tls_overrides.add("*", rule(TlsMode::Verify)).unwrap();
    let message = world.message("x\r\n", &["a@example.org"]);
    let tried = world.attempt(&smart_host(server.port()), vec![message]).await;
    is_deferred(&tried, &server, "the server's certificate does not hold");
}

#[tokio::test]
async fn requiretls_is_returned_where_tls_is_forbidden() {
    let server = Authority::new().issue(&["127.0.0.1"], false).serve().await;
    let mut world = World::new(0);
    world.settings.tls_overrides.add("*", rule(TlsMode::Forbid)).unwrap();
    let mut message = world.message("x\r\n", &["a@example.org"]);
    message.options.require_tls = true;
    let told = outcome(&world.attempt(&smart_host(server.port()), vec![message]).await);
    let text = "550 5.7.30 REQUIRETLS support required: the configuration forbids TLS";
    assert_eq!(told, (Outcome::Bounced, text.to_owned()));
    nothing_was_sent(&server);
}
