//! What is negotiated, and what a session tells.

use std::io::ErrorKind;
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use rustls::NamedGroup;
use rustls::client::Resumption;
use rustls::version::{TLS12, TLS13};
use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

use super::world::{Session, World};
use crate::tls::{LeastVersion, TlsSettings};

#[tokio::test]
async fn a_client_with_its_defaults_gets_post_quantum_key_exchange() {
    let world = World::new();
    let tls = world.with(vec![world.put("a", &world.issue(&["mx.example"]))]).await;
    let session = Session::open(&tls, world.any_client(), "mx.example").await.unwrap();
    let group = session.client.get_ref().1.negotiated_key_exchange_group().unwrap();
    assert_eq!(group.name(), NamedGroup::X25519MLKEM768);
    let facts = &session.facts;
    assert_eq!(
        (facts.version, facts.cipher.as_str()),
        ("TLSv1.3", "TLSv1.3 TLS_AES_256_GCM_SHA384 X25519MLKEM768")
    );
    assert_eq!(
        (facts.sni.as_deref(), facts.resumed, &facts.client_certificate),
        (Some("mx.example"), false, &None)
    );
}

#[tokio::test]
async fn both_ends_have_the_same_channel_bindings() {
    let world = World::new();
    let own = world.issue(&["mx.example"]);
    let tls = world.with(vec![world.put("a", &own)]).await;
    let first = Session::open(&tls, world.any_client(), "mx.example").await.unwrap();
    let second = Session::open(&tls, world.any_client(), "mx.example").await.unwrap();
    for session in [&first, &second] {
        let client = session.client.get_ref().1;
        let expected =
            client.export_keying_material([0; 32], b"EXPORTER-Channel-Binding", Some(b"")).unwrap();
        assert_eq!(session.facts.exporter, Some(expected));
        // rcgen signs with ECDSA and SHA-256
        assert_eq!(session.facts.server_end_point.as_deref(), Some(digest(&SHA256, &own.der()).as_ref()));
    }
    assert_ne!(first.facts.exporter, second.facts.exporter);
}

#[tokio::test]
async fn tls_1_2_is_spoken_unless_the_settings_forbid_it() {
    let world = World::new();
    let source = world.put("a", &world.issue(&["mx.example"]));
    let tls = world.with(vec![source.clone()]).await;
    let facts = Session::open(&tls, world.client(&[&TLS12], None), "mx.example").await.unwrap().facts;
    assert_eq!(facts.version, "TLSv1.2");
    assert!(facts.cipher.starts_with("TLSv1.2 TLS_ECDHE_ECDSA_WITH_"), "{facts:?}");
    assert_eq!(facts.exporter, None);
    assert!(facts.server_end_point.is_some());

    let settings = TlsSettings {
        certificates: vec![source],
        least_version: LeastVersion::Tls13,
        ..TlsSettings::default()
    };
    let strict = world.load(settings).await.unwrap();
    assert!(Session::open(&strict, world.client(&[&TLS12], None), "mx.example").await.is_err());
    assert!(Session::open(&strict, world.client(&[&TLS13], None), "mx.example").await.is_ok());
}

#[tokio::test]
async fn a_client_that_comes_back_resumes_its_session() {
    for version in [&TLS12, &TLS13] {
        let world = World::new();
        let tls = world.with(vec![world.put("a", &world.issue(&["mx.example"]))]).await;
        let mut client = world.client(&[version], None);
        client.resumption = Resumption::in_memory_sessions(4);
        let mut resumed = Vec::new();
        for _ in 0..3 {
            let session = Session::open(&tls, client.clone(), "mx.example").await.unwrap();
            assert!(session.facts.server_end_point.is_some());
            resumed.push(session.facts.resumed);
        }
        assert_eq!(resumed, [false, true, true], "{version:?}");
    }
}

#[tokio::test]
async fn a_client_that_says_nothing_is_not_waited_for() {
    let world = World::new();
    let tls = world.with(vec![world.put("a", &world.issue(&["mx.example"]))]).await;
    let (_near, far) = duplex(1024);
    let error = tls.acceptor(Duration::from_millis(20)).accept(far).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TimedOut);
}

#[tokio::test]
async fn clear_text_in_place_of_a_handshake_is_answered_with_an_alert() {
    let world = World::new();
    let tls = world.with(vec![world.put("a", &world.issue(&["mx.example"]))]).await;
    for text in ["EHLO a.example\r\n", "GET / HTTP/1.1\r\nHost: mx.example\r\n\r\n"] {
        let (mut near, far) = duplex(1024);
        near.write_all(text.as_bytes()).await.unwrap();
        let accepted = tls.acceptor(Duration::from_secs(60)).accept(far).await;
        assert_eq!(accepted.unwrap_err().kind(), ErrorKind::InvalidData);
        let mut heard = Vec::new();
        near.read_to_end(&mut heard).await.unwrap();
        // an alert that is fatal (RFC 8446 §6)
        assert_eq!((heard[0], heard[5]), (21, 2), "{heard:?}");
    }
}

#[tokio::test]
async fn a_client_that_goes_away_ends_the_handshake() {
    let world = World::new();
    let tls = Arc::new(world.with(vec![world.put("a", &world.issue(&["mx.example"]))]).await);
    let (near, far) = duplex(1024);
    drop(near);
    let error = tls.acceptor(Duration::from_secs(60)).accept(far).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::UnexpectedEof);
}
