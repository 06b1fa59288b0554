use std::collections::HashSet;
use workers::deliver::Transport as _;

use workers::deliver::{Outcome, Route};

use crate::server::{Act, Server, say};
use crate::world::{FakeDns, World, outcome, outcomes, rule};

const NONE: &[&str] = &[];

/// What becomes of mail for `recipient` in this DNS, with nobody listening anywhere.
async fn lost(dns: FakeDns, recipient: &str, private: bool) -> (Outcome, String) {
    let mut world = World::new(1);
    world.dns = dns;
    world.settings.allow_private_addresses = private;
    let message = world.message("x\r\n", &[recipient]);
    outcome(&world.attempt(&Route::Mx, vec![message]).await)
}

#[tokio::test]
async fn domains_that_can_never_get_mail_bounce() {
    for (dns, told) in [
        (FakeDns::default(), "550 5.1.2"),
        (FakeDns::default().mx("example.org", &[(0, "")]), "556 5.1.10"),
        (FakeDns::default().mx("example.org", &[]), "550 5.4.4"),
        (FakeDns::default().mx("example.org", &[(1, "gone.example"), (2, "lost.example")]), "550 5.4.4"),
        (FakeDns::default().mx("example.org", &[(1, "edge.example")]), "554 5.4.6"),
        (
            FakeDns::default().mx("example.org", &[(5, "EDGE.example"), (5, "a.example"), (9, "b.example")]),
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
        FakeDns::default().broken("example.org"),
        FakeDns::default().mx("example.org", &[(1, "a.example")]).broken("a.example"),
        FakeDns::default().mx("example.org", &[(1, "a.example"), (2, "gone.example")]).broken("a.example"),
    ] {
        let (outcome, reply) = lost(dns, "a@example.org", true).await;
        assert_eq!((outcome, &reply[..9]), (Outcome::Deferred, "451 4.4.3"));
    }
}

#[tokio::test]
async fn addresses_inside_are_not_connected_to_whatever_the_dns_says() {
    let dns = |addresses: &[&str]| {
        FakeDns::default().mx("example.org", &[(1, "a.example")]).host("a.example", addresses)
    };
    let inside = ["127.0.0.1", "::1", "10.0.0.1", "169.254.169.254", "::ffff:127.0.0.1"];
    for recipient in ["a@example.org", "a@[127.0.0.1]", "a@[IPv6:::1]"] {
        let (outcome, reply) = lost(dns(&inside), recipient, false).await;
        assert_eq!((outcome, &reply[..9]), (Outcome::Bounced, "550 5.7.1"), "{recipient}");
    }
    // allowed, they are tried, and nobody is there
    let (outcome, reply) = lost(dns(&["127.0.0.1"]), "a@example.org", true).await;
    assert_eq!((outcome, &reply[..9]), (Outcome::Deferred, "451 4.4.1"));
}

#[tokio::test]
async fn a_smart_host_may_be_inside() {
    let server = Server::start(NONE, |_| None).await;
    let mut world = World::new(1);
    world.settings.allow_private_addresses = false;
    world.dns = FakeDns::default().host("relay.example", &["127.0.0.1"]);
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
    world.dns = FakeDns::default().host("example.org", &["127.0.0.1"]);
    for recipient in ["a@example.org", "a@[127.0.0.1]"] {
        let message = world.message("x\r\n", &[recipient]);
        assert_eq!(outcome(&world.attempt(&Route::Mx, vec![message]).await).0, Outcome::Delivered);
    }
}

/// Two servers on one port of two addresses, which `a.example` and `b.example` name; the first one acts like this.
async fn pair(step: &'static str, act: Act) -> (Server, Server, World) {
    let hangs = matches!(act, Act::Hang);
    let first = Server::start(NONE, move |asked| (asked.step == step).then(|| act.clone())).await;
    let address = ([127, 0, 0, 2], first.port()).into();
    let second = Server::start_on(address, NONE, |_| None).await;
    let mut world = World::new(first.port());
    if hangs {
        world.hurry(step);
    }
    world.dns = FakeDns::default()
        .mx("example.org", &[(20, "b.example"), (10, "a.example")])
        .host("a.example", &["127.0.0.1"])
        .host("b.example", &["127.0.0.2"]);
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
    let (_first, _second, mut world) = pair("NEVER", Act::Close).await;
    world.dns = world.dns.mx("example.org", &[(10, "b.example"), (10, "a.example")]);
    let transports = world.transports();
    let mut hosts = HashSet::new();
    for _ in 0..40 {
        let (tried, mut back) = tokio::sync::mpsc::channel(1);
        transports.attempt(rule(&Route::Mx), vec![world.message("x\r\n", &["a@example.org"])], &tried).await;
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
