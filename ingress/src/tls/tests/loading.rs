//! What is refused at a start, and in which words.

use std::time::Duration;

use rcgen::date_time_ymd;
use shared::port::Clock as _;

use super::world::World;
use crate::tls::{CertificateSource, ClientCertificates, TlsSettings, check_authorities, examine};

/// What is said of chain and key with these texts; the folder is left out of it.
async fn said(world: &World, chain: &str, key: &str) -> String {
    let source =
        CertificateSource::Files { chain: world.file("a.crt", chain), key: world.file("a.key", key) };
    said_of(world, source).await
}

async fn said_of(world: &World, source: CertificateSource) -> String {
    let settings = TlsSettings { certificates: vec![source], ..TlsSettings::default() };
    let error = world.load(settings).await.expect_err("it is refused");
    error.to_string().replace(&format!("{}/", world.folder.path().display()), "")
}

#[tokio::test]
async fn what_cannot_be_used_is_refused_with_the_file_and_what_to_do() {
    let world = World::new();
    let good = world.issue(&["mx.example"]);
    let other = world.issue(&["mx.example"]);
    let two_keys = format!("{}{}", good.key, other.key);
    let locked = good.key.replace("PRIVATE KEY", "ENCRYPTED PRIVATE KEY");
    for (chain, key, words) in [
        (
            "",
            good.key.as_str(),
            "there is no certificate in a.crt; use PEM with `-----BEGIN CERTIFICATE-----`, the server's own first",
        ),
        (
            &good.key,
            &good.key,
            "there is no certificate in a.crt; use PEM with `-----BEGIN CERTIFICATE-----`, the server's own first",
        ),
        (&good.chain, "", "there is no key in a.key; use PEM with one `-----BEGIN PRIVATE KEY-----`"),
        (&good.chain, &two_keys, "there are 2 keys in a.key; use PEM with one `-----BEGIN PRIVATE KEY-----`"),
        (
            &good.chain,
            &locked,
            "the key in a.key is encrypted; decrypt it (`openssl pkey`) into a file that only this user can read",
        ),
        (
            &good.chain,
            &other.key,
            "the key in a.key does not belong to the first certificate in a.crt; put the server's own certificate first, and the key that it was made with",
        ),
        (
            "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
            &good.key,
            "the first certificate in a.crt cannot be read; put an X.509 certificate there",
        ),
    ] {
        assert_eq!(said(&world, chain, key).await, words);
    }
    assert!(
        said(&world, &good.chain, "-----BEGIN PRIVATE KEY-----\nAAAA")
            .await
            .starts_with("the key in a.key is no PEM; ")
    );
}

#[tokio::test]
async fn a_certificate_must_be_good_at_the_time_of_the_clock() {
    let world = World::new();
    let old = world.issue_with(&["mx.example"], |params| {
        params.not_before = date_time_ymd(2024, 1, 1);
        params.not_after = date_time_ymd(2025, 1, 1);
    });
    let text = said(&world, &old.chain, &old.key).await;
    assert_eq!(text, "the certificate in a.crt expired at 2025-01-01T00:00:00Z; put a renewed one there");
    let new = world.issue_with(&["mx.example"], |params| params.not_before = date_time_ymd(2025, 1, 2));
    let words = "the certificate in a.crt is not valid before 2025-01-02T00:00:00Z; use it from then on, or set this machine's clock";
    assert_eq!(said(&world, &new.chain, &new.key).await, words);
    world.clock.advance(Duration::from_secs(86_400));
    let (chain, key) = (world.folder.path().join("a.crt"), world.folder.path().join("a.key"));
    let facts = examine(&chain, &key, world.clock.now()).unwrap();
    assert_eq!(
        (facts.names, facts.expires.to_string()),
        (vec!["mx.example".to_owned()], "2026-01-01T00:00:00Z".to_owned())
    );
}

#[tokio::test]
async fn a_certificate_without_a_name_is_refused() {
    let world = World::new();
    let nameless = world.issue(&["192.0.2.1"]);
    let text = said(&world, &nameless.chain, &nameless.key).await;
    assert_eq!(
        text,
        "the certificate in a.crt has no DNS name (subjectAltName); use one that was issued for a host name"
    );
}

#[tokio::test]
async fn every_mistake_is_told_at_once() {
    let world = World::new();
    let good = world.issue(&["mx.example"]);
    let missing = |name: &str| world.folder.path().join(name);
    let settings = TlsSettings {
        certificates: vec![
            CertificateSource::Files { chain: missing("b.crt"), key: missing("b.key") },
            world.put("good", &good),
            CertificateSource::Files { chain: world.folder.path().to_owned(), key: missing("good.key") },
            CertificateSource::Secret("ssm:/none".to_owned()),
        ],
        client_certificates: ClientCertificates::Required { authorities: missing("none.pem") },
        ..TlsSettings::default()
    };
    let error = world.load(settings).await.unwrap_err();
    let folder = world.folder.path().display().to_string();
    let wrong: Vec<String> = error.problems.into_iter().map(|one| one.wrong.replace(&folder, "")).collect();
    assert_eq!(
        wrong,
        [
            "/b.crt cannot be read: No such file or directory (os error 2)",
            "/b.key cannot be read: No such file or directory (os error 2)",
            " is no file",
            "there is no secret ssm:/none",
            "/none.pem cannot be read: No such file or directory (os error 2)",
        ]
    );
    assert!(check_authorities(&world.authority_file).is_ok());
    assert!(
        check_authorities(&missing("good.key")).unwrap_err().wrong.starts_with("there is no certificate in ")
    );
}

#[tokio::test]
async fn a_secret_holds_chain_and_key_together() {
    let world = World::new();
    let own = world.issue(&["mx.example"]);
    world.secrets.set("secretsmanager:edge", Some(&format!("{}{}", own.key, own.chain)));
    let tls = world.with(vec![CertificateSource::Secret("secretsmanager:edge".to_owned())]).await;
    assert_eq!(super::world::shown(&world, &tls, "mx.example").await, own.der());
    let shown = format!("{tls:?}");
    assert_eq!(shown, r#"Tls { names: {["mx.example"]}, .. }"#);
    world.secrets.set("secretsmanager:edge", None);
    let text = said_of(&world, CertificateSource::Secret("secretsmanager:edge".to_owned())).await;
    assert_eq!(
        text,
        "the secret secretsmanager:edge cannot be read: the read of a secret did not happen: out of order; give this process the right to read it"
    );
}
