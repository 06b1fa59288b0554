//! Which certificate is shown.

use super::world::{Session, World, shown};
use crate::tls::CertificateFacts;

#[tokio::test]
async fn a_client_is_shown_the_certificate_of_the_server_it_asks_for() {
    let world = World::new();
    let [first, exact, wild] = [&["mx.example"][..], &["a.b.example", "Other.Example"], &["*.b.example"]]
        .map(|names| world.issue(names));
    let tls = world
        .with([("1", &first), ("2", &exact), ("3", &wild)].map(|(at, own)| world.put(at, own)).into())
        .await;
    assert_eq!(shown(&world, &tls, "mx.example").await, first.der());
    assert_eq!(shown(&world, &tls, "a.b.example").await, exact.der());
    assert_eq!(shown(&world, &tls, "other.example").await, exact.der());
    assert_eq!(shown(&world, &tls, "c.b.example").await, wild.der());
}

#[tokio::test]
async fn the_first_certificate_is_shown_where_no_name_fits() {
    let world = World::new();
    let first = world.issue(&["mx.example", "unknown.example", "b.example", "d.c.b.example", "127.0.0.1"]);
    let wild = world.issue(&["*.b.example"]);
    let tls = world.with(vec![world.put("1", &first), world.put("2", &wild)]).await;
    // a wildcard stands for one label; an address is not sent as a server's name
    for name in ["unknown.example", "b.example", "d.c.b.example", "127.0.0.1"] {
        let session = Session::open(&tls, world.any_client(), name).await.unwrap();
        assert_eq!(session.shown(), first.der(), "{name}");
        assert_eq!(session.facts.sni.as_deref(), Some(name).filter(|name| *name != "127.0.0.1"));
    }
}

#[test]
fn a_wildcard_covers_one_label() {
    let facts = CertificateFacts {
        names: vec!["mx.example".into(), "*.b.example".into()],
        expires: shared::mail::Timestamp::from_millis(0),
    };
    for (host, covered) in [
        ("MX.example.", true),
        ("a.b.example", true),
        ("b.example", false),
        ("x.a.b.example", false),
        ("example", false),
        ("a.mx.example", false),
    ] {
        assert_eq!(facts.covers(host), covered, "{host}");
    }
}
