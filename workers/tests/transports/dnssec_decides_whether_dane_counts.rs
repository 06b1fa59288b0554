//! RFC 7672 §2, with a signed DNS that is validated from its own root: what is not proved is not believed, and what is bogus is
//! not used.

use std::sync::Arc;

use shared::testkit::{SignedDns, Signing};
use workers::deliver::{Outcome, Route, Tried};

use crate::certificates::{Authority, Identity, all_was_sent_under_tls, association, nothing_was_sent};
use crate::server::Server;
use crate::world::{World, outcome};

/// Delivers to a host of `test.example` in zones that are signed as they say; `example.` is the zone above the other two.
async fn deliver(server: &Server, domain: Signing, host: Signing, tlsa: &str) -> Vec<Tried> {
    let port = server.port();
    // a forger says 127.0.0.1 (`Signing::Broken`)
    let address = if host == Signing::Broken { "192.0.2.1" } else { "127.0.0.1" };
    let hosts = format!("mx.host.example. A {address}\n{}", tlsa.replace("PORT", &port.to_string()));
    let dns = SignedDns::serve(
        Signing::Signed,
        &[
            ("domain.example.", domain, "domain.example. MX 1 mx.host.example."),
            ("host.example.", host, &hosts),
        ],
    )
    .await;
    let mut world = World::new(port);
    world.resolver = Some(Arc::new(dns.resolver()));
    let message = world.message("x\r\n", &["a@domain.example"]);
    world.attempt(&Route::Mx, vec![message]).await
}

fn tlsa(octets: &[u8]) -> String {
    format!("_PORT._tcp.mx.host.example. TLSA 3 1 1 {}", association(1, octets))
}

fn is_opportunistic(tried: &[Tried], server: &Server) {
    let (outcome, reply) = outcome(tried);
    assert_eq!(outcome, Outcome::Delivered, "{reply}");
    let tls = tried[0].attempt.tls.clone().unwrap();
    assert!(tls.ends_with("(certificate not checked)"), "{tls}");
    all_was_sent_under_tls(server);
}

fn is_deferred(tried: &[Tried], server: &Server, why: &str) {
    let (outcome, reply) = outcome(tried);
    assert_eq!(outcome, Outcome::Deferred, "{reply}");
    assert!(reply.contains(why), "{reply}");
    nothing_was_sent(server);
}

#[tokio::test]
async fn a_proved_record_decides() {
    let identity = Identity::self_signed(&["elsewhere.example"], true);
    for signing in [Signing::Signed] {
        let server = identity.serve().await;
        let tried = deliver(&server, Signing::Signed, signing, &tlsa(&identity.public_key())).await;
        assert_eq!(outcome(&tried).0, Outcome::Delivered, "{:?}", outcome(&tried));
        assert!(tried[0].attempt.tls.clone().unwrap().ends_with("(DANE-EE)"));
        all_was_sent_under_tls(&server);
        let server = identity.serve().await;
        let tried = deliver(&server, Signing::Signed, signing, &tlsa(b"another key")).await;
        is_deferred(
            &tried,
            &server,
            "454 4.7.5 the server's certificate does not hold: no TLSA record fits it (DANE)",
        );
    }
}

#[tokio::test]
async fn records_that_are_proved_not_to_be_there_are_none() {
    let server = Identity::self_signed(&["x.example"], true).serve().await;
    is_opportunistic(&deliver(&server, Signing::Signed, Signing::Signed, "").await, &server);
}

#[tokio::test]
async fn records_in_a_zone_without_signatures_are_none() {
    let identity = Identity::self_signed(&["x.example"], true);
    for (domain, host) in [
        (Signing::Signed, Signing::Unsigned),
        (Signing::Unsigned, Signing::Signed),
        (Signing::Unsigned, Signing::Unsigned),
    ] {
        let server = identity.serve().await;
        is_opportunistic(&deliver(&server, domain, host, &tlsa(b"another key")).await, &server);
    }
}

#[tokio::test]
async fn what_is_bogus_is_deferred_and_nobody_is_spoken_to() {
    let identity = Identity::self_signed(&["x.example"], true);
    for (domain, host) in [
        (Signing::Stripped, Signing::Signed),
        (Signing::Signed, Signing::Stripped),
        (Signing::Signed, Signing::Broken),
    ] {
        let server = identity.serve().await;
        let tried = deliver(&server, domain, host, &tlsa(&identity.public_key())).await;
        is_deferred(&tried, &server, "451 4.4.3 the DNS lookup failed");
        assert_eq!(server.seen().connections, 0, "{domain:?} {host:?}");
    }
}

#[tokio::test]
async fn records_that_cannot_be_looked_up_hold_their_host_back() {
    for directive in ["$SERVFAIL", "$BOGUS"] {
        let server = Identity::self_signed(&["mx.example.org"], false).serve().await;
        let mut world = World::new(server.port());
        world.dns = crate::world::zone(&format!(
            "example.org MX 1 mx.example.org\nmx.example.org A 127.0.0.1\n$SECURE example.org\n\
             {directive} _{}._tcp.mx.example.org",
            server.port()
        ));
        let message = world.message("x\r\n", &["a@example.org"]);
        is_deferred(&world.attempt(&Route::Mx, vec![message]).await, &server, "451 4.4.3 ");
    }
}

#[tokio::test]
async fn requiretls_is_content_with_dane() {
    let identity = Authority::new().issue(&["elsewhere.example"], true);
    let server = identity.serve().await;
    let mut world = World::new(server.port());
    world.dns = crate::world::zone(&format!(
        "example.org MX 1 mx.example.org\nmx.example.org A 127.0.0.1\n$SECURE example.org\n\
         _{}._tcp.mx.example.org TLSA 3 1 1 {}",
        server.port(),
        association(1, &identity.public_key())
    ));
    let mut message = world.message("x\r\n", &["a@example.org"]);
    message.options.require_tls = true;
    let tried = world.attempt(&Route::Mx, vec![message]).await;
    assert_eq!(outcome(&tried).0, Outcome::Delivered, "{:?}", outcome(&tried));
    assert!(tried[0].attempt.tls.clone().unwrap().ends_with("(REQUIRETLS, DANE-EE)"));
    all_was_sent_under_tls(&server);
}

#[tokio::test]
async fn a_message_that_needs_no_tls_is_not_held_back_by_a_wrong_record() {
    let record = format!("TLSA 3 1 1 {}", association(1, b"x"));
    let send = async |server: &Server, require: bool| {
        let mut world = World::new(server.port());
        world.dns = crate::world::zone(&format!(
            "example.org MX 1 mx.example.org\nmx.example.org A 127.0.0.1\n$SECURE example.org\n\
             _{}._tcp.mx.example.org {record}",
            server.port()
        ));
        let mut message = world.message("x\r\n", &["a@example.org"]);
        message.content.tls_not_required = true;
        message.options.require_tls = require;
        world.attempt(&Route::Mx, vec![message]).await
    };
    let server = Identity::self_signed(&["x.example"], true).serve().await;
    let tried = send(&server, false).await;
    assert_eq!(outcome(&tried).0, Outcome::Delivered);
    let tls = tried[0].attempt.tls.clone().unwrap();
    assert!(tls.ends_with("(TLS-Required: No, certificate not checked)"), "{tls}");
    let without = Server::start(&[], |_| None).await;
    let tried = send(&without, false).await;
    assert_eq!((outcome(&tried).0, tried[0].attempt.tls.clone()), (Outcome::Delivered, None));
    // beside REQUIRETLS the field does not count (RFC 8689 §5)
    let server = Identity::self_signed(&["x.example"], true).serve().await;
    assert_eq!(outcome(&send(&server, true).await).0, Outcome::Bounced);
    nothing_was_sent(&server);
}

#[tokio::test]
async fn records_of_a_proved_host_that_are_not_proved_themselves_are_none() {
    let server = Identity::self_signed(&["x.example"], true).serve().await;
    let mut world = World::new(server.port());
    world.dns = crate::world::zone(&format!(
        "example.org MX 1 mx.example.org\nmx.example.org A 127.0.0.1\n$SECURE example.org\n\
         _{}._tcp.mx.example.org CNAME tlsa.plain.example\ntlsa.plain.example TLSA 3 1 1 {}",
        server.port(),
        association(1, b"another key")
    ));
    let message = world.message("x\r\n", &["a@example.org"]);
    is_opportunistic(&world.attempt(&Route::Mx, vec![message]).await, &server);
}
