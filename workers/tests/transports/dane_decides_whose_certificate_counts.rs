//! RFC 7672 §3, with TLSA records that are proved: which certificates they vouch for.

use workers::deliver::{Outcome, Route, Tried};

use crate::certificates::{Authority, Identity, all_was_sent_under_tls, association, nothing_was_sent};
use crate::server::Server;
use crate::world::{World, outcome, zone};

/// Delivers to `server` by a zone that is proved and has these TLSA records of the host.
async fn deliver(server: &Server, tlsa: &[String]) -> Vec<Tried> {
    deliver_to(server, "mx.example.org", tlsa).await
}

async fn deliver_to(server: &Server, owner: &str, tlsa: &[String]) -> Vec<Tried> {
    let mut world = World::new(server.port());
    let records = tlsa.iter().map(|record| format!("_{}._tcp.{owner} TLSA {record}\n", server.port()));
    world.dns = zone(&format!(
        "example.org MX 1 mx.example.org\nmx.example.org A 127.0.0.1\n$SECURE example.org\n{}",
        records.collect::<String>()
    ));
    let message = world.message("x\r\n", &["a@example.org"]);
    world.attempt(&Route::Mx, vec![message]).await
}

fn is_delivered(tried: &[Tried], server: &Server, how: &str) {
    let (outcome, reply) = outcome(tried);
    assert_eq!(outcome, Outcome::Delivered, "{reply}");
    let tls = tried[0].attempt.tls.clone().unwrap();
    assert!(tls.starts_with("TLSv1.3 TLS") && tls.ends_with(how), "{tls}");
    all_was_sent_under_tls(server);
}

fn is_deferred(tried: &[Tried], server: &Server, why: &str) {
    let (outcome, reply) = outcome(tried);
    assert_eq!(outcome, Outcome::Deferred, "{reply}");
    assert!(reply.contains(why), "{reply}");
    nothing_was_sent(server);
}

#[tokio::test]
async fn dane_ee_means_the_certificate_or_its_key_whatever_its_names_and_dates() {
    for (selector, matching) in [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2)] {
        let identity = Identity::self_signed(&["elsewhere.example"], true);
        let selected = if selector == 0 { identity.chain[0].to_vec() } else { identity.public_key() };
        let server = identity.serve().await;
        let right = format!("3 {selector} {matching} {}", association(matching, &selected));
        is_delivered(&deliver(&server, &[right]).await, &server, "(DANE-EE)");
        let server = identity.serve().await;
        let wrong = format!("3 {selector} {matching} {}", association(matching, b"another one"));
        is_deferred(&deliver(&server, &[wrong]).await, &server, "454 4.7.5 ");
    }
}

#[tokio::test]
async fn dane_ta_means_an_authority_that_vouches_for_the_host() {
    let authority = Authority::new();
    for (selector, matching) in [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2)] {
        let selected = if selector == 0 { authority.certificate().to_vec() } else { authority.public_key() };
        let record = format!("2 {selector} {matching} {}", association(matching, &selected));
        let server = authority.issue(&["mx.example.org"], false).serve().await;
        is_delivered(&deliver(&server, std::slice::from_ref(&record)).await, &server, "(DANE-TA)");
        let other = Authority::new().issue(&["mx.example.org"], false).serve().await;
        is_deferred(&deliver(&other, &[record]).await, &other, "454 4.7.5 ");
    }
}

#[tokio::test]
async fn under_dane_ta_names_and_dates_count() {
    let authority = Authority::new();
    let record = format!("2 1 1 {}", association(1, &authority.public_key()));
    let of_the_domain = authority.issue(&["example.org"], false).serve().await;
    is_delivered(&deliver(&of_the_domain, std::slice::from_ref(&record)).await, &of_the_domain, "(DANE-TA)");
    for (identity, why) in [
        (authority.issue(&["elsewhere.example"], false), "certificate does not hold"),
        (authority.issue(&["mx.example.org"], true), "certificate does not hold"),
    ] {
        let server = identity.serve().await;
        is_deferred(&deliver(&server, std::slice::from_ref(&record)).await, &server, why);
    }
    // the full certificate in the record vouches where the server does not show it
    let mut identity = authority.issue(&["mx.example.org"], false);
    identity.chain.truncate(1);
    let server = identity.serve().await;
    let full = format!("2 0 0 {}", association(0, &authority.certificate()));
    is_delivered(&deliver(&server, &[full]).await, &server, "(DANE-TA)");
}

#[tokio::test]
async fn one_record_of_several_is_enough() {
    let identity = Identity::self_signed(&["mx.example.org"], false);
    let server = identity.serve().await;
    let records = [
        format!("3 1 1 {}", association(1, b"the next key")),
        format!("1 1 1 {}", association(1, b"of no use")),
        format!("3 1 1 {}", association(1, &identity.public_key())),
    ];
    is_delivered(&deliver(&server, &records).await, &server, "(DANE-EE)");
}

#[tokio::test]
async fn where_no_record_can_be_used_tls_is_a_must_and_any_certificate_will_do() {
    let unusable = [
        format!("0 1 1 {}", association(1, b"x")),
        format!("1 0 2 {}", association(2, b"x")),
        "3 1 1 00ff".to_owned(),
    ];
    let server = Identity::self_signed(&["elsewhere.example"], true).serve().await;
    is_delivered(
        &deliver(&server, &unusable).await,
        &server,
        "no record can be used; certificate not checked)",
    );
    let without = Server::start(&[], |_| None).await;
    is_deferred(&deliver(&without, &unusable).await, &without, "the server offers no TLS (DANE)");
}

#[tokio::test]
async fn a_server_without_tls_gets_nothing() {
    let record = format!("3 1 1 {}", association(1, b"x"));
    let without = Server::start(&[], |_| None).await;
    is_deferred(
        &deliver(&without, std::slice::from_ref(&record)).await,
        &without,
        "the server offers no TLS (DANE)",
    );
    let not_now = |asked: &crate::server::Asked| {
        (asked.step == "STARTTLS").then(|| crate::server::say("454 4.7.0 not now"))
    };
    let refusing = Server::start(&["STARTTLS"], not_now).await;
    is_deferred(&deliver(&refusing, std::slice::from_ref(&record)).await, &refusing, "454 4.7.0 not now");
    let garbage = |asked: &crate::server::Asked| {
        (asked.step == "STARTTLS").then(|| crate::server::Act::Part("220 go\r\nno TLS\r\n".to_owned()))
    };
    let broken = Server::start(&["STARTTLS"], garbage).await;
    is_deferred(&deliver(&broken, &[record]).await, &broken, "454 4.7.0 no TLS");
    assert_eq!(broken.seen().connections, 1);
}

#[tokio::test]
async fn an_alias_has_the_records_of_what_it_leads_to_or_its_own() {
    let identity = Identity::self_signed(&["elsewhere.example"], false);
    let record = format!("3 1 1 {}", association(1, &identity.public_key()));
    let wrong = format!("3 1 1 {}", association(1, b"x"));
    for (owner, other, right) in
        [("real", None, true), ("mx", None, true), ("real", Some("mx"), true), ("mx", Some("real"), false)]
    {
        let server = identity.serve().await;
        let port = server.port();
        let mut world = World::new(port);
        let other = other.map(|other| format!("_{port}._tcp.{other}.example.org TLSA {wrong}\n"));
        world.dns = zone(&format!(
            "example.org MX 1 mx.example.org\nmx.example.org CNAME real.example.org\nreal.example.org A 127.0.0.1\n\
             _{port}._tcp.{owner}.example.org TLSA {record}\n{}$SECURE example.org",
            other.unwrap_or_default()
        ));
        let message = world.message("x\r\n", &["a@example.org"]);
        let tried = world.attempt(&Route::Mx, vec![message]).await;
        if right {
            is_delivered(&tried, &server, "(DANE-EE)");
        } else {
            is_deferred(&tried, &server, "no TLSA record fits it");
        }
    }
}
