use std::time::Duration;

use shared::job::Delivery;
use workers::deliver::{Outcome, Route, Transport as _, Transports, Tried};

use crate::server::{Act, Asked, Seen, Server, say};
use crate::world::{World, outcomes, rule, smart_host, zone};

const PIPELINING: &[&str] = &["PIPELINING"];
const CHUNKING: &[&str] = &["PIPELINING", "CHUNKING"];
const NONE: &[&str] = &[];
const LONG: Duration = Duration::from_secs(60);

/// A world that keeps connections for `keep`.
fn keeping(port: u16, keep: Duration) -> World {
    let mut world = World::new(port);
    world.settings.limits.keep = keep;
    world
}

/// One call, as of one job.
async fn send(transports: &Transports, route: &Route, deliveries: Vec<Delivery>) -> Vec<Tried> {
    let expected = deliveries.len();
    let (tried, mut back) = tokio::sync::mpsc::channel(64);
    let attempt = transports.attempt(rule(route), deliveries, &tried);
    tokio::time::timeout(Duration::from_secs(30), attempt).await.expect("an attempt must not get stuck");
    drop(tried);
    let mut all = Vec::new();
    while let Some(tried) = back.recv().await {
        all.push(tried);
    }
    assert_eq!(all.len(), expected, "each delivery comes back exactly once");
    all
}

fn all_delivered(tried: &[Tried]) -> bool {
    outcomes(tried).iter().flatten().all(|(outcome, _)| *outcome == Outcome::Delivered)
}

fn count(seen: &Seen, verb: &str) -> usize {
    seen.commands.iter().filter(|line| line.split(' ').next() == Some(verb)).count()
}

/// Waits until the server has seen that often the `verb`.
async fn until_seen(server: &Server, verb: &str, times: usize) {
    let wait = async {
        while count(&server.seen(), verb) < times {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), wait).await.expect("the server hears of it");
}

#[tokio::test]
async fn calls_that_follow_each_other_share_one_connection() {
    for extensions in [NONE, PIPELINING, CHUNKING] {
        let server = Server::start(extensions, |_| None).await;
        let world = keeping(0, LONG);
        let messages: Vec<_> = (1..=6)
            .map(|n| world.message(&format!("{n}\r\n"), &[&format!("a@domain-{n}.example")]))
            .collect();
        let transports = world.transports().await;
        for message in messages {
            assert!(all_delivered(&send(&transports, &smart_host(server.port()), vec![message]).await));
        }
        let seen = server.seen();
        assert_eq!((seen.connections, count(&seen, "EHLO"), count(&seen, "QUIT")), (1, 1, 0));
        // each ended clean, so that nothing has to be taken back
        assert_eq!((seen.contents.len(), count(&seen, "RSET")), (6, 0));
    }
}

#[tokio::test]
async fn domains_with_the_same_hosts_share_connections_and_others_do_not() {
    let server = Server::start(CHUNKING, |_| None).await;
    let mut world = keeping(server.port(), LONG);
    world.dns = zone(
        "
        one.example    MX  10 mx1.example
                       MX  20 mx2.example
        two.example    MX  10 MX1.example
                       MX  20 mx2.example
        other.example  MX  10 mx1.example
        mx1.example    A   127.0.0.1
        mx2.example    A   127.0.0.1
        ",
    );
    let domains = ["one.example", "two.example", "other.example", "two.example", "other.example"];
    let messages = domains.map(|domain| world.message("x\r\n", &[&format!("a@{domain}")]));
    let transports = world.transports().await;
    for message in messages {
        assert!(all_delivered(&send(&transports, &Route::Mx, vec![message]).await));
    }
    let seen = server.seen();
    assert_eq!((seen.connections, seen.contents.len()), (2, 5));
}

#[tokio::test]
async fn a_connection_that_is_gone_costs_neither_an_attempt_nor_a_host() {
    for extensions in [NONE, PIPELINING, CHUNKING] {
        for act in [Act::Close, Act::Part("421 4.4.2 idle for too long\r\n".to_owned())] {
            // whatever is said to the first connection behind its first message finds it gone
            let last = act.clone();
            let script = move |asked: &Asked| {
                (asked.step == "MAIL" && asked.connection == 1 && asked.nth == 2).then(|| last.clone())
            };
            let server = Server::start(extensions, script).await;
            let world = keeping(0, LONG);
            let messages = ["one\r\n", "two\r\n"].map(|text| world.message(text, &["a@example.org"]));
            let transports = world.transports().await;
            for message in messages {
                let tried = send(&transports, &smart_host(server.port()), vec![message]).await;
                assert!(all_delivered(&tried), "{extensions:?}: {:?}", outcomes(&tried));
            }
            assert_eq!((server.seen().connections, server.seen().contents.len() >= 2), (2, true));
        }
    }
}

#[tokio::test]
async fn a_connection_on_which_something_came_unasked_is_not_used_again() {
    // with the reply to the final dot comes that the server leaves; or a reply to nothing, which would be taken for that to MAIL
    for act in [
        Act::Part("250 taken\r\n421 4.3.2 going down\r\n".to_owned()),
        Act::Say("250 taken\r\n250 and more\r\n".to_owned()),
    ] {
        let script = move |asked: &Asked| (asked.step == "END").then(|| act.clone());
        let server = Server::start(PIPELINING, script).await;
        let world = keeping(0, LONG);
        let messages = ["one\r\n", "two\r\n"].map(|text| world.message(text, &["a@example.org"]));
        let transports = world.transports().await;
        for message in messages {
            assert!(all_delivered(&send(&transports, &smart_host(server.port()), vec![message]).await));
        }
        assert_eq!((server.seen().connections, count(&server.seen(), "MAIL")), (2, 2));
    }
}

#[tokio::test]
async fn a_connection_carries_as_many_messages_as_the_limit_says_whoever_brings_them() {
    for extensions in [NONE, PIPELINING, CHUNKING] {
        let server = Server::start(extensions, |_| None).await;
        let mut world = keeping(0, LONG);
        world.settings.limits.messages_per_connection = 3;
        let messages: Vec<_> = (0..7).map(|_| world.message("x\r\n", &["a@example.org"])).collect();
        let transports = world.transports().await;
        for message in messages {
            assert!(all_delivered(&send(&transports, &smart_host(server.port()), vec![message]).await));
        }
        assert_eq!((server.seen().connections, server.seen().contents.len()), (3, 7));
        // who has had as many is told so with the last of them
        assert_eq!(count(&server.seen(), "QUIT"), 2);
    }
}

#[tokio::test]
async fn what_was_refused_last_is_taken_back_by_whoever_comes_next() {
    for extensions in [NONE, PIPELINING, CHUNKING] {
        let script = |asked: &Asked| match asked.step.as_str() {
            "RCPT" if asked.nth == 1 => Some(say("550 5.1.1 nobody")),
            "DATA" | "BDAT" if asked.nth == 1 && asked.connection == 1 => {
                Some(say("554 5.5.1 no recipients"))
            }
            _ => None,
        };
        let script = move |asked: &Asked| {
            // in lockstep nothing is sent for nobody
            if extensions.is_empty() && asked.step == "DATA" { None } else { script(asked) }
        };
        let server = Server::start(extensions, script).await;
        let world = keeping(0, LONG);
        let messages = ["one\r\n", "two\r\n"].map(|text| world.message(text, &["a@example.org"]));
        let transports = world.transports().await;
        let mut told = Vec::new();
        for message in messages {
            told.extend(
                outcomes(&send(&transports, &smart_host(server.port()), vec![message]).await).remove(0),
            );
        }
        assert_eq!([told[0].0, told[1].0], [Outcome::Bounced, Outcome::Delivered]);
        assert_eq!((server.seen().connections, count(&server.seen(), "RSET")), (1, 1));
    }
}

#[tokio::test]
async fn a_server_that_bounds_the_domains_of_a_session_gets_another_one_for_the_next() {
    let server = Server::start(&["PIPELINING", "CHUNKING", "LIMITS RCPTDOMAINMAX=1"], |_| None).await;
    let world = keeping(0, LONG);
    let domains = ["one.example", "one.example", "two.example", "one.example"];
    let messages = domains.map(|domain| world.message("x\r\n", &[&format!("a@{domain}")]));
    let transports = world.transports().await;
    for message in messages {
        assert!(all_delivered(&send(&transports, &smart_host(server.port()), vec![message]).await));
    }
    assert_eq!((server.seen().connections, server.seen().contents.len()), (3, 4));
}

#[tokio::test]
async fn one_that_waits_too_long_is_closed_with_quit() {
    let server = Server::start(PIPELINING, |_| None).await;
    let world = keeping(0, Duration::from_millis(200));
    let messages = ["one\r\n", "two\r\n"].map(|text| world.message(text, &["a@example.org"]));
    let transports = world.transports().await;
    for (at, message) in messages.into_iter().enumerate() {
        assert!(all_delivered(&send(&transports, &smart_host(server.port()), vec![message]).await));
        until_seen(&server, "QUIT", at + 1).await;
    }
    assert_eq!(server.seen().connections, 2);
}

#[tokio::test]
async fn before_a_process_rests_every_connection_is_closed_with_quit() {
    let server = Server::start(CHUNKING, |_| None).await;
    let world = keeping(0, LONG);
    let messages = ["one\r\n", "two\r\n"].map(|text| world.message(text, &["a@example.org"]));
    let transports = world.transports().await;
    for (at, message) in messages.into_iter().enumerate() {
        assert!(all_delivered(&send(&transports, &smart_host(server.port()), vec![message]).await));
        assert_eq!(count(&server.seen(), "QUIT"), at);
        transports.close_kept().await;
        // the answer to QUIT was waited for
        assert_eq!(count(&server.seen(), "QUIT"), at + 1);
    }
    assert_eq!(server.seen().connections, 2);
}

#[tokio::test]
async fn a_connection_that_is_kept_is_told_of_and_can_be_made_to_leave() {
    let server = Server::start(CHUNKING, |_| None).await;
    let world = keeping(0, LONG);
    let message = world.message("one\r\n", &["a@example.org"]);
    let transports = world.transports().await;
    let route = smart_host(server.port());
    let site = transports.site(rule(&route), &"example.org".parse().unwrap()).await.unwrap().unwrap();
    assert!(transports.kept(&site, None).is_empty());
    assert!(all_delivered(&send(&transports, &route, vec![message]).await));
    assert_eq!(transports.kept(&site, None).len(), 1);
    let other = workers::deliver::Site::of_hosts(["mx.example.org"]);
    transports.part(&other, None).await;
    assert_eq!((transports.kept(&site, None).len(), count(&server.seen(), "QUIT")), (1, 0));
    transports.part(&site, None).await;
    assert_eq!((transports.kept(&site, None).len(), count(&server.seen(), "QUIT")), (0, 1));
}

#[tokio::test]
async fn no_more_are_kept_than_the_limits_say() {
    let servers = [
        Server::start(NONE, |_| None).await,
        Server::start(NONE, |_| None).await,
        Server::start(NONE, |_| None).await,
    ];
    let mut world = keeping(0, LONG);
    world.settings.limits.kept = 2;
    let messages: Vec<_> = servers.iter().map(|_| world.message("x\r\n", &["a@example.org"])).collect();
    let transports = world.transports().await;
    for (server, message) in servers.iter().zip(messages) {
        assert!(all_delivered(&send(&transports, &smart_host(server.port()), vec![message]).await));
    }
    // the one that waited longest made room
    until_seen(&servers[0], "QUIT", 1).await;
    assert_eq!(servers[1..].iter().map(|server| count(&server.seen(), "QUIT")).sum::<usize>(), 0);
    // and for a new one too, where no more may be open
    let mut world = keeping(0, LONG);
    world.settings.limits.connections = 1;
    let messages: Vec<_> = servers.iter().map(|_| world.message("x\r\n", &["a@example.org"])).collect();
    let transports = world.transports().await;
    for (server, message) in servers[1..].iter().zip(messages) {
        assert!(all_delivered(&send(&transports, &smart_host(server.port()), vec![message]).await));
    }
    until_seen(&servers[1], "QUIT", 1).await;
}
