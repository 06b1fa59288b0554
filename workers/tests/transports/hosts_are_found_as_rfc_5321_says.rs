use std::collections::HashSet;
use workers::deliver::Transport as _;

use workers::deliver::{Outcome, Route};

use crate::server::{Act, Server, say};
use crate::world::{World, outcome, outcomes, rule, zone};

const NONE: &[&str] = &[];

/// What becomes of mail for `recipient` in this DNS, with nobody listening anywhere.
async fn lost(dns: &str, recipient: &str, private: bool) -> (Outcome, String) {
    let mut world = World::new(1);
    world.dns = zone(dns);
    // names are compared without regard to case
    world.settings.hostname = "EDGE.example".to_owned();
    world.settings.allow_private_addresses = private;
    let message = world.message("x\r\n", &[recipient]);
    outcome(&world.attempt(&Route::Mx, vec![message]).await)
}

#[tokio::test]
async fn domains_that_can_never_get_mail_bounce() {
    for (dns, told) in [
        ("", "550 5.1.2"),
        ("example.org MX 0 .", "556 5.1.10"),
        ("example.org TXT none", "550 5.4.4"),
        ("example.org MX 1 gone.example\nexample.org MX 2 lost.example", "550 5.4.4"),
        ("example.org MX 1 edge.example", "554 5.4.6"),
        (
            "example.org MX 5 edge.example\nexample.org MX 5 a.example\nexample.org MX 9 b.example",
            "554 5.4.6",
        ),
    ] {
        let (outcome, reply) = lost(dns, "a@example.org", true).await;
        assert_eq!(outcome, Outcome::Bounced, "{reply}");
        assert!(reply.starts_with(told), "{told}: {reply}");
    }
}

#[tokio::test]
async fn a_dns_that_does_not_answer_defers() {
    for dns in [
        "$SERVFAIL example.org",
        "example.org MX 1 a.example\n$SERVFAIL a.example",
        "example.org MX 1 a.example\nexample.org MX 2 gone.example\n$SERVFAIL a.example",
    ] {
        let (outcome, reply) = lost(dns, "a@example.org", true).await;
        assert_eq!((outcome, &reply[..9]), (Outcome::Deferred, "451 4.4.3"));
    }
}

#[tokio::test]
async fn addresses_inside_are_not_connected_to_whatever_the_dns_says() {
    let inside = "
        example.org  MX    1 a.example
        a.example    A     127.0.0.1
                     A     10.0.0.1
                     A     169.254.169.254
                     AAAA  ::1
                     AAAA  ::ffff:127.0.0.1
    ";
    for recipient in ["a@example.org", "a@[127.0.0.1]", "a@[IPv6:::1]"] {
        let (outcome, reply) = lost(inside, recipient, false).await;
        assert_eq!((outcome, &reply[..9]), (Outcome::Bounced, "550 5.7.1"), "{recipient}");
    }
    // allowed, they are tried, and nobody is there
    let (outcome, reply) = lost("example.org A 127.0.0.1", "a@example.org", true).await;
    assert_eq!((outcome, &reply[..9]), (Outcome::Deferred, "451 4.4.1"));
}

#[tokio::test]
async fn a_smart_host_may_be_inside() {
    let server = Server::start(NONE, |_| None).await;
    let mut world = World::new(1);
    world.settings.allow_private_addresses = false;
    world.dns = zone("relay.example A 127.0.0.1");
    let route = Route::SmartHost { host: "relay.example".to_owned(), port: server.port() };
    let message = world.message("x\r\n", &["a@example.org"]);
    let tried = world.attempt(&route, vec![message]).await;
    assert_eq!(outcome(&tried).0, Outcome::Delivered);
    assert_eq!(tried[0].attempt.host.as_deref(), Some("relay.example"));
    let route = Route::SmartHost { host: "missing.example".to_owned(), port: server.port() };
    let message = world.message("x\r\n", &["a@example.org"]);
    // no fault of the message's: the operator's, who can put it right
    assert_eq!(outcome(&world.attempt(&route, vec![message]).await).0, Outcome::Deferred);
}

#[tokio::test]
async fn a_domain_without_mx_and_an_address_literal_are_their_own_hosts() {
    let server = Server::start(NONE, |_| None).await;
    let mut world = World::new(server.port());
    world.dns = zone("example.org A 127.0.0.1");
    for recipient in ["a@example.org", "a@[127.0.0.1]"] {
        let message = world.message("x\r\n", &[recipient]);
        assert_eq!(outcome(&world.attempt(&Route::Mx, vec![message]).await).0, Outcome::Delivered);
    }
}

/// Two servers on one port of two addresses, which `a.example` and `b.example` name; the first one acts like this.
async fn pair(step: &'static str, act: Act) -> (Server, Server, World) {
    preferring(10, step, act).await
}

/// The same, where the first one has this preference and the second one 20.
async fn preferring(preference: u16, step: &'static str, act: Act) -> (Server, Server, World) {
    let hangs = matches!(act, Act::Hang);
    let first = Server::start(NONE, move |asked| (asked.step == step).then(|| act.clone())).await;
    let address = ([127, 0, 0, 2], first.port()).into();
    let second = Server::start_on(address, NONE, |_| None).await;
    let mut world = World::new(first.port());
    if hangs {
        world.hurry(step);
    }
    world.dns = zone(&format!(
        "
        example.org  MX  20 b.example
                     MX  {preference} a.example
        a.example    A   127.0.0.1
        b.example    A   127.0.0.2
        "
    ));
    (first, second, world)
}

#[tokio::test]
async fn the_next_host_is_tried_where_the_better_one_is_not_up_to_it() {
    for (step, act) in [
        ("GREETING", Act::Close),
        ("GREETING", say("554 no")),
        ("GREETING", Act::Hang),
        ("EHLO", say("450 no")),
        ("MAIL", Act::Close),
        ("RCPT", say("421 closing")),
        ("DATA", Act::Close),
    ] {
        let (first, second, world) = pair(step, act).await;
        let messages = ["one\r\n", "two\r\n"].map(|text| world.message(text, &["a@example.org"]));
        let tried = world.attempt(&Route::Mx, messages.into()).await;
        assert!(outcomes(&tried).iter().all(|each| each[0].0 == Outcome::Delivered), "{step}");
        assert_eq!(tried[0].attempt.host.as_deref(), Some("b.example"));
        assert_eq!((first.seen().connections, second.seen().connections), (1, 1), "{step}");
    }
}

#[tokio::test]
async fn what_a_host_says_of_the_message_is_not_asked_of_another_one() {
    for (step, act, expected) in [
        ("MAIL", say("450 4.1.0 later"), Outcome::Deferred),
        ("RCPT", say("550 5.1.1 unknown"), Outcome::Bounced),
        ("END", Act::Close, Outcome::Deferred),
    ] {
        let (_first, second, world) = pair(step, act).await;
        let message = world.message("x\r\n", &["a@example.org"]);
        assert_eq!(outcome(&world.attempt(&Route::Mx, vec![message]).await).0, expected, "{step}");
        assert_eq!(second.seen().connections, 0, "{step}");
    }
}

#[tokio::test]
async fn equal_hosts_share_the_load() {
    let (_first, _second, world) = preferring(20, "NEVER", Act::Close).await;
    let message = world.message("x\r\n", &["a@example.org"]);
    let transports = world.transports().await;
    let mut hosts = HashSet::new();
    for _ in 0..40 {
        let (tried, mut back) = tokio::sync::mpsc::channel(1);
        transports.attempt(rule(&Route::Mx), vec![message.clone()], &tried).await;
        hosts.insert(back.recv().await.unwrap().attempt.host.unwrap());
    }
    assert_eq!(hosts.len(), 2);
}

#[tokio::test]
async fn only_so_many_addresses_are_tried() {
    let (first, _second, mut world) = pair("GREETING", Act::Close).await;
    world.settings.limits.addresses = 1;
    let message = world.message("x\r\n", &["a@example.org"]);
    assert_eq!(outcome(&world.attempt(&Route::Mx, vec![message]).await).0, Outcome::Deferred);
    assert_eq!(first.seen().connections, 1);
}

#[tokio::test]
async fn discarded_mail_names_its_rule() {
    let world = World::new(1);
    let message = world.message("x\r\n", &["a@example.org"]);
    let told = outcome(&world.attempt(&Route::Discard, vec![message]).await);
    assert_eq!(told, (Outcome::Discarded, "250 2.0.0 discarded by route \"*\"".to_owned()));
}
