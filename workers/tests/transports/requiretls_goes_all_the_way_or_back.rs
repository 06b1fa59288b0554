use std::sync::Arc;

use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::TlsAcceptor;
use workers::deliver::{Outcome, Route, TrustAnchors};

use crate::server::{Act, Asked, Server, say};
use crate::world::{World, outcome, outcomes, smart_host, zone};

/// Offered after STARTTLS, the only time that counts.
const UNDER_TLS: &str = "250-mx.example\r\n250-DSN\r\n250 REQUIRETLS";

/// A server's side of TLS with a certificate for `names`, and that certificate.
fn acceptor(names: &[&str]) -> (TlsAcceptor, CertificateDer<'static>) {
    let key = rcgen::KeyPair::generate().unwrap();
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let certificate = rcgen::CertificateParams::new(names).unwrap().self_signed(&key).unwrap().der().clone();
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.clone()], key)
        .unwrap();
    (TlsAcceptor::from(Arc::new(config)), certificate)
}

/// A server that says `hello` to the second EHLO.
fn secure(acceptor: TlsAcceptor, hello: &'static str) -> impl Fn(&Asked) -> Option<Act> + Send + Sync {
    move |asked| match asked.step.as_str() {
        "STARTTLS" => Some(Act::Tls(acceptor.clone(), String::new())),
        "EHLO" if asked.nth % 2 == 0 => Some(say(hello)),
        _ => None,
    }
}

fn required(world: &World) -> shared::job::Delivery {
    let mut message = world.message("x\r\n", &["a@example.org"]);
    message.options.require_tls = true;
    message
}

fn is_returned((outcome, reply): (Outcome, String), why: &str) {
    assert_eq!(outcome, Outcome::Bounced, "{reply}");
    assert!(reply.starts_with("550 5.7.30 REQUIRETLS support required: ") && reply.contains(why), "{reply}");
}

#[tokio::test]
async fn a_server_that_proves_its_name_and_offers_it_gets_the_message() {
    let (acceptor, certificate) = acceptor(&["127.0.0.1"]);
    let server = Server::start(&["STARTTLS"], secure(acceptor, UNDER_TLS)).await;
    let mut world = World::new(0);
    world.settings.trust = TrustAnchors::These(vec![certificate]);
    let mut message = required(&world);
    message.options.ret = Some(shared::mail::Ret::Full);
    let tried = world
        .attempt(&smart_host(server.port()), vec![message, world.message("y\r\n", &["b@example.org"])])
        .await;
    assert!(outcomes(&tried).iter().all(|each| each[0].0 == Outcome::Delivered));
    let tls: Vec<_> = tried.iter().map(|tried| tried.attempt.tls.clone().unwrap()).collect();
    assert!(
        tls[0].ends_with("(REQUIRETLS, certificate verified)")
            && tls[1].ends_with("(certificate not checked)"),
        "{tls:?}"
    );
    let mail: Vec<_> = server.seen().commands.into_iter().filter(|line| line.starts_with("MAIL")).collect();
    let plain = "MAIL FROM:<sender@edge.example>";
    assert_eq!(mail, [format!("{plain} REQUIRETLS RET=HDRS"), plain.to_owned()]);
}

#[tokio::test]
async fn anything_less_sends_the_message_back() {
    let (good, certificate) = acceptor(&["127.0.0.1"]);
    let (elsewhere, other) = acceptor(&["elsewhere.example"]);
    let stranger = vec![other.clone()];
    let trust = vec![certificate, other];
    for (extensions, acceptor, hello, trust, why) in [
        (&["STARTTLS"][..], &good, "250 mx.example", trust.clone(), "the server does not offer it"),
        (&["STARTTLS"], &good, UNDER_TLS, Vec::new(), ""),
        (&["STARTTLS"], &good, UNDER_TLS, stranger, "certificate"),
        (&["STARTTLS"], &elsewhere, UNDER_TLS, trust.clone(), "certificate"),
        (&["REQUIRETLS"], &good, UNDER_TLS, trust.clone(), "the server offers no TLS"),
    ] {
        let server = Server::start(extensions, secure(acceptor.clone(), hello)).await;
        let mut world = World::new(0);
        let nobody_is_trusted = trust.is_empty();
        world.settings.trust = TrustAnchors::These(trust);
        let message = required(&world);
        let told = outcome(&world.attempt(&smart_host(server.port()), vec![message]).await);
        if nobody_is_trusted {
            // no fault of the server: it is tried again when this system can verify
            assert_eq!(told.0, Outcome::Deferred, "{}", told.1);
        } else {
            is_returned(told, why);
        }
        assert!(!server.seen().commands.iter().any(|line| line.starts_with("MAIL")));
    }
}

#[tokio::test]
async fn a_server_that_has_no_tls_right_now_is_tried_again() {
    let not_now = |asked: &Asked| (asked.step == "STARTTLS").then(|| say("454 4.7.0 not now"));
    let server = Server::start(&["STARTTLS"], not_now).await;
    let mut world = World::new(0);
    world.settings.trust = TrustAnchors::These(vec![acceptor(&["127.0.0.1"]).1]);
    let message = required(&world);
    let told = outcome(&world.attempt(&smart_host(server.port()), vec![message]).await);
    assert_eq!(told, (Outcome::Deferred, "454 4.7.0 not now".to_owned()));
}

const HOSTS: &str =
    "example.org MX 1 a.example\nexample.org MX 2 b.example\na.example A 127.0.0.1\nb.example A 127.0.0.2";

#[tokio::test]
async fn mx_hosts_count_only_where_dnssec_proves_them_and_the_next_one_is_asked() {
    let (acceptor, certificate) = acceptor(&["b.example"]);
    // the better host has no TLS
    let first = Server::start(&[], |_| None).await;
    let address = format!("127.0.0.2:{}", first.port()).parse().unwrap();
    let second = Server::start_on(address, &["STARTTLS"], secure(acceptor, UNDER_TLS)).await;
    let mut world = World::new(first.port());
    world.settings.trust = TrustAnchors::These(vec![certificate]);
    world.dns = zone(HOSTS);
    let message = required(&world);
    is_returned(outcome(&world.attempt(&Route::Mx, vec![message]).await), "DNSSEC");
    assert_eq!((first.seen().connections, second.seen().connections), (0, 0));
    world.dns = zone(&format!("{HOSTS}\n$SECURE example.org"));
    let message = required(&world);
    let tried = world.attempt(&Route::Mx, vec![message]).await;
    assert_eq!(outcome(&tried).0, Outcome::Delivered);
    assert_eq!(tried[0].attempt.host.as_deref(), Some("b.example"));
    assert!(!first.seen().commands.iter().any(|line| line.starts_with("MAIL")));
}
