use std::sync::{Arc, Mutex};

use aws_lc_rs::{digest, hmac};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs as provider;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use shared::directory::ScramVerifier;
use tokio_rustls::TlsAcceptor;
use workers::deliver::{
    Login, Mechanism, Outcome, Route, SecretSource, SmartHost, SmartHostTls, SmartHosts, Transport as _,
    TrustAnchors,
};

use crate::server::{Act, Asked, Server, say};
use crate::world::{World, outcome, rule};

const PASSWORD: &str = "pencil";

/// A route to one server, in clear text unless told otherwise, where we are `edge`.
fn relay(port: u16, mechanism: Option<Mechanism>) -> SmartHosts {
    SmartHosts {
        name: "relay".to_owned(),
        hosts: vec![SmartHost { host: "127.0.0.1".to_owned(), port, weight: 1 }],
        tls: SmartHostTls::Off,
        implicit_tls: false,
        login: Some(Login {
            mechanism,
            name: "edge".to_owned(),
            secret: SecretSource::Secret("ssm:/smart-host".to_owned()),
            unverified: true,
        }),
    }
}

async fn send(world: &World, relay: SmartHosts) -> (Outcome, String) {
    let message = world.message("x\r\n", &["a@example.org"]);
    outcome(&world.attempt(&Route::SmartHosts(Arc::new(relay)), vec![message]).await)
}

fn base64(text: &str) -> String {
    BASE64_STANDARD.encode(text)
}

/// A server that takes `first` behind AUTH, and then each of `lines` for a challenge.
fn asks(first: &str, lines: &[&str]) -> impl Fn(&Asked) -> Option<Act> + Send + Sync + use<> {
    let first = format!("AUTH {first}");
    let lines: Vec<String> = lines.iter().map(|line| base64(line)).collect();
    move |asked| {
        let next = match lines.iter().position(|line| *line == asked.line) {
            Some(at) => at + 1,
            None if asked.step == "AUTH" && asked.line == first => 0,
            None if asked.step == "AUTH" => return Some(say("535 5.7.8 no")),
            None => return None,
        };
        Some(say(if next == lines.len() { "235 2.7.0 welcome" } else { "334 Pz8/" }))
    }
}

#[tokio::test]
async fn each_mechanism_says_what_its_specification_asks_for() {
    let xoauth2 = format!("XOAUTH2 {}", base64("user=edge\x01auth=Bearer pencil\x01\x01"));
    let plain = format!("PLAIN {}", base64("\0edge\0pencil"));
    for (mechanism, first, lines) in [
        (Some(Mechanism::Plain), plain.as_str(), &[][..]),
        (Some(Mechanism::Login), "LOGIN", &["edge", PASSWORD]),
        (Some(Mechanism::XOauth2), xoauth2.as_str(), &[]),
        // of what is offered, none is safer
        (None, plain.as_str(), &[]),
    ] {
        let server = Server::start(&["AUTH LOGIN PLAIN XOAUTH2"], asks(first, lines)).await;
        let told = send(&World::new(0), relay(server.port(), mechanism)).await;
        assert_eq!(told.0, Outcome::Delivered, "{mechanism:?}: {}", told.1);
    }
}

#[tokio::test]
async fn two_routes_to_one_server_share_no_login() {
    let welcome = |asked: &Asked| (asked.step == "AUTH").then(|| say("235 2.7.0 welcome"));
    let server = Server::start(&["AUTH PLAIN"], welcome).await;
    let mut world = World::new(0);
    world.settings.limits.keep = std::time::Duration::from_secs(60);
    let messages = [1, 2, 3].map(|n| world.message(&format!("{n}\r\n"), &["a@example.org"]));
    let transports = world.transports().await;
    for (message, name) in messages.into_iter().zip(["one", "other", "one"]) {
        let mut route = relay(server.port(), None);
        name.clone_into(&mut route.name);
        name.clone_into(&mut route.login.as_mut().unwrap().name);
        let route = Route::SmartHosts(Arc::new(route));
        let (tried, mut back) = tokio::sync::mpsc::channel(1);
        transports.attempt(rule(&route), vec![message], &tried).await;
        assert_eq!(outcome(&[back.recv().await.unwrap()]).0, Outcome::Delivered);
    }
    let logins: Vec<_> = server.seen().commands.into_iter().filter(|line| line.starts_with("AUTH")).collect();
    let plain = |name: &str| format!("AUTH PLAIN {}", base64(&format!("\0{name}\0pencil")));
    assert_eq!(logins, [plain("one"), plain("other")]);
    assert_eq!(server.seen().contents.len(), 3);
}

/// A server's side of SCRAM-SHA-256 that proves, or does not, that it knows the secret.
fn scram(honest: bool) -> impl Fn(&Asked) -> Option<Act> + Send + Sync {
    let verifier = ScramVerifier::of(PASSWORD, b"salt", 4096).unwrap();
    let so_far: Mutex<Option<(String, String)>> = Mutex::default();
    move |asked| {
        let sign =
            |key: &[u8], text: &str| hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), text.as_bytes());
        if let Some(first) = asked.line.strip_prefix("AUTH SCRAM-SHA-256 ") {
            let first = String::from_utf8(BASE64_STANDARD.decode(first).unwrap()).unwrap();
            let bare = first.strip_prefix("n,,").unwrap().to_owned();
            let nonce = bare.strip_prefix("n=edge,r=").unwrap();
            let challenge = format!("r={nonce}more,s={},i=4096", base64("salt"));
            *so_far.lock().unwrap() = Some((bare, challenge.clone()));
            return Some(say(&format!("334 {}", base64(&challenge))));
        }
        if asked.line.is_empty() {
            return Some(say("235 2.7.0 welcome"));
        }
        let (bare, challenge) = so_far.lock().unwrap().take()?;
        let last = String::from_utf8(BASE64_STANDARD.decode(&asked.line).unwrap()).unwrap();
        let (without_proof, proof) = last.split_once(",p=").unwrap();
        let signed = format!("{bare},{challenge},{without_proof}");
        let signature = sign(&verifier.stored_key, &signed);
        let proof = BASE64_STANDARD.decode(proof).unwrap();
        let key: Vec<u8> = proof.iter().zip(signature.as_ref()).map(|(one, other)| one ^ other).collect();
        if digest::digest(&digest::SHA256, &key).as_ref() != verifier.stored_key {
            return Some(say("535 5.7.8 wrong"));
        }
        let key = if honest { &verifier.server_key } else { &verifier.stored_key };
        let proof = BASE64_STANDARD.encode(sign(key, &signed));
        Some(say(&format!("334 {}", base64(&format!("v={proof}")))))
    }
}

#[tokio::test]
async fn scram_proves_the_password_without_saying_it_and_wants_the_same_of_the_server() {
    let server = Server::start(&["AUTH PLAIN SCRAM-SHA-256"], scram(true)).await;
    assert_eq!(send(&World::new(0), relay(server.port(), None)).await.0, Outcome::Delivered);
    let said = server.seen().commands.join("\n");
    assert!(!said.contains(&base64(PASSWORD)) && !said.contains(&base64("\0edge\0pencil")));
    let impostor = Server::start(&["AUTH PLAIN SCRAM-SHA-256"], scram(false)).await;
    let (outcome, reply) = send(&World::new(0), relay(impostor.port(), None)).await;
    assert_eq!(outcome, Outcome::Deferred);
    assert!(reply.contains("did not prove that it knows the secret"), "{reply}");
    assert!(impostor.seen().contents.is_empty());
}

#[tokio::test]
async fn a_password_that_is_wrong_makes_mail_wait_and_is_never_told() {
    let refuse = |asked: &Asked| (asked.step == "AUTH").then(|| say("535 5.7.8 bad credentials"));
    let server = Server::start(&["AUTH PLAIN"], refuse).await;
    let (outcome, reply) = send(&World::new(0), relay(server.port(), None)).await;
    assert_eq!(outcome, Outcome::Deferred);
    assert_eq!(reply, "454 4.7.8 no login at the smart host: the server said 535 5.7.8 bad credentials");
    assert!(!format!("{:?}", relay(1, None)).contains(PASSWORD));
    // a server that has a bad day says so
    let later = |asked: &Asked| (asked.step == "AUTH").then(|| say("454 4.7.0 later"));
    let server = Server::start(&["AUTH PLAIN"], later).await;
    assert_eq!(
        send(&World::new(0), relay(server.port(), None)).await,
        (Outcome::Deferred, "454 4.7.0 later".to_owned())
    );
    // and what is not offered, or not there, is told too
    let server = Server::start(&["AUTH CRAM-MD5"], |_| None).await;
    let (_, reply) = send(&World::new(0), relay(server.port(), None)).await;
    assert!(reply.contains("does not offer SCRAM-SHA-256, PLAIN or LOGIN"), "{reply}");
    let mut missing = relay(server.port(), None);
    missing.login.as_mut().unwrap().secret = SecretSource::File("/nowhere/secret".into());
    let (outcome, reply) = send(&World::new(0), missing).await;
    assert!(outcome == Outcome::Deferred && reply.contains("/nowhere/secret cannot be read"), "{reply}");
}

/// A server's side of TLS with a certificate for its address, and that certificate.
fn acceptor() -> (TlsAcceptor, CertificateDer<'static>) {
    let key = rcgen::KeyPair::generate().unwrap();
    let params = rcgen::CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
    let certificate = params.self_signed(&key).unwrap().der().clone();
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(provider::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.clone()], key)
        .unwrap();
    (TlsAcceptor::from(Arc::new(config)), certificate)
}

#[tokio::test]
async fn a_secret_goes_only_to_a_server_that_has_proved_its_name() {
    let welcome = |asked: &Asked| (asked.step == "AUTH").then(|| say("235 2.7.0 welcome"));
    for implicit in [false, true] {
        for trusted in [false, true] {
            let (acceptor, certificate) = acceptor();
            let script = move |asked: &Asked| match asked.step.as_str() {
                "STARTTLS" => Some(Act::Tls(acceptor.clone(), String::new())),
                "GREETING" if implicit => {
                    Some(Act::Tls(acceptor.clone(), "220 mx.example ESMTP\r\n".to_owned()))
                }
                _ => welcome(asked),
            };
            let server = Server::start(&["STARTTLS", "AUTH PLAIN"], script).await;
            let mut world = World::new(0);
            world.settings.trust = TrustAnchors::These(vec![certificate]);
            let mut route = relay(server.port(), None);
            (route.implicit_tls, route.tls) = (implicit, SmartHostTls::Verify);
            route.login.as_mut().unwrap().unverified = false;
            if !trusted {
                // a name that the certificate does not have
                route.hosts[0].host = "relay.example".to_owned();
                world.dns = crate::world::zone("relay.example A 127.0.0.1");
            }
            let (outcome, reply) = send(&world, route).await;
            let expected = if trusted { Outcome::Delivered } else { Outcome::Deferred };
            assert_eq!(outcome, expected, "{reply}");
            let said = server.seen().commands.iter().any(|line| line.starts_with("AUTH"));
            assert_eq!((said, server.seen().contents.len()), (trusted, usize::from(trusted)));
        }
    }
    // where any certificate will do, it is not told either
    let server = Server::start(&["AUTH PLAIN"], welcome).await;
    let mut route = relay(server.port(), None);
    route.tls = SmartHostTls::May;
    route.login.as_mut().unwrap().unverified = false;
    let (outcome, reply) = send(&World::new(0), route).await;
    assert!(outcome == Outcome::Deferred && reply.contains("not verified"), "{reply}");
    assert!(!server.seen().commands.iter().any(|line| line.starts_with("AUTH")));
}
