use std::sync::Arc;

use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::PrivateKeyDer;
use tokio_rustls::TlsAcceptor;
use workers::deliver::{Outcome, Tried};

use crate::server::{Act, Asked, Server, say};
use crate::world::{World, outcome, smart_host};

const STARTTLS: &[&str] = &["STARTTLS", "PIPELINING"];

/// A server's side of TLS, with a certificate of its own making that ran out long ago where `expired`.
fn acceptor(expired: bool) -> TlsAcceptor {
    let key = rcgen::KeyPair::generate().unwrap();
    let mut params = rcgen::CertificateParams::new(vec!["elsewhere.example".to_owned()]).unwrap();
    if expired {
        params.not_before = rcgen::date_time_ymd(2000, 1, 1);
        params.not_after = rcgen::date_time_ymd(2001, 1, 1);
    }
    let certificate = params.self_signed(&key).unwrap();
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key)
        .unwrap();
    TlsAcceptor::from(Arc::new(config))
}

async fn send(server: &Server) -> Vec<Tried> {
    let world = World::new(0);
    let message = world.message("x\r\n", &["a@example.org"]);
    world.attempt(&smart_host(server.port()), vec![message]).await
}

#[tokio::test]
async fn a_certificate_that_nobody_would_trust_still_gives_tls() {
    for expired in [false, true] {
        let acceptor = acceptor(expired);
        let script = move |asked: &Asked| {
            (asked.step == "STARTTLS").then(|| Act::Tls(acceptor.clone(), String::new()))
        };
        let server = Server::start(STARTTLS, script).await;
        let tried = send(&server).await;
        assert_eq!(outcome(&tried).0, Outcome::Delivered);
        let tls = tried[0].attempt.tls.clone().unwrap();
        assert!(tls.starts_with("TLSv1.3 TLS") && tls.ends_with("(certificate not checked)"), "{tls}");
        let seen = server.seen();
        assert_eq!(seen.connections, 1);
        assert_eq!(seen.commands[..3], ["EHLO edge.example", "STARTTLS", "EHLO edge.example"]);
    }
}

#[tokio::test]
async fn a_handshake_that_fails_costs_a_connection_and_not_the_mail() {
    let garbage = || Act::Part("220 go\r\nthis is not TLS\r\n".to_owned());
    let hang_up = || Act::Part("220 go\r\n".to_owned());
    for act in [garbage as fn() -> Act, hang_up] {
        let server = Server::start(STARTTLS, move |asked| (asked.step == "STARTTLS").then(act)).await;
        let tried = send(&server).await;
        assert_eq!(outcome(&tried).0, Outcome::Delivered);
        assert_eq!(tried[0].attempt.tls, None);
        assert_eq!(server.seen().connections, 2);
    }
}

#[tokio::test]
async fn a_server_that_has_no_tls_right_now_gets_the_mail_in_clear_text() {
    let script = |asked: &Asked| (asked.step == "STARTTLS").then(|| say("454 4.7.0 not now"));
    let server = Server::start(STARTTLS, script).await;
    let tried = send(&server).await;
    assert_eq!((outcome(&tried).0, tried[0].attempt.tls.clone()), (Outcome::Delivered, None));
    assert_eq!(server.seen().connections, 1);
}

#[tokio::test]
async fn what_was_slipped_in_before_tls_is_thrown_away() {
    let acceptor = acceptor(false);
    // taken for the reply to EHLO, it would offer an extension that the server does not have
    let script = move |asked: &Asked| match asked.step.as_str() {
        "STARTTLS" => Some(Act::Tls(acceptor.clone(), "250-x\r\n250 SMTPUTF8\r\n".to_owned())),
        "EHLO" if asked.nth == 2 => Some(say("250 mx.example")),
        _ => None,
    };
    let server = Server::start(STARTTLS, script).await;
    let world = World::new(0);
    let message = world.message("x\r\n", &["d\u{f6}rte@example.org"]);
    let tried = world.attempt(&smart_host(server.port()), vec![message]).await;
    assert_eq!(outcome(&tried).0, Outcome::Bounced);
    assert!(!server.seen().commands.iter().any(|line| line.starts_with("MAIL")));
}

#[tokio::test]
async fn broken_tls_is_remembered_for_a_while() {
    let garbage = |asked: &Asked| {
        (asked.step == "STARTTLS").then(|| Act::Part("220 go\r\nthis is not TLS\r\n".to_owned()))
    };
    let server = Server::start(STARTTLS, garbage).await;
    let mut world = World::new(0);
    let clock = Arc::new(shared::testkit::ManualClock::at(shared::mail::Timestamp::from_millis(0)));
    world.clock = clock.clone();
    let messages: Vec<_> = (0..3).map(|_| world.message("x\r\n", &["a@example.org"])).collect();
    let transports = world.transports().await;
    let mut connections = Vec::new();
    for message in messages {
        let tried = world.attempt_by(&transports, &smart_host(server.port()), vec![message]).await;
        assert_eq!((outcome(&tried).0, tried[0].attempt.tls.clone()), (Outcome::Delivered, None));
        connections.push(server.seen().connections);
        if connections.len() == 2 {
            clock.advance(std::time::Duration::from_secs(3600));
        }
    }
    assert_eq!(connections, [2, 3, 5]);
}
