//! How often an address may connect, and how many messages it may send without authentication.

use std::sync::Arc;
use std::time::Duration;

use ingress::{Limits, ListenerKind, Settings};
use shared::testkit::ManualClock;

use super::support::client::{Edge, settings};
use super::support::counted::Counted;
use super::support::ports::World;

/// A listener for anybody's mail to `d.example`, on an edge that trusts 127.0.0.9 alone.
async fn edge(clock: &Arc<ManualClock>, limits: Limits) -> Edge {
    let mut settings =
        Settings { trusted_networks: vec!["127.0.0.9/32".parse().unwrap()], ..settings(limits) };
    settings.listeners[0].kind = ListenerKind::Mx;
    settings.relay_domains.push("d.example".parse().unwrap());
    Edge::start_in(World::at_the_time_of(clock).await, settings).await
}

#[tokio::test]
async fn an_address_that_connects_too_often_is_told_when_to_come_again_and_others_go_on() {
    let counted = Counted::default();
    let _recording = metrics::set_default_local_recorder(&counted);
    let clock = Arc::new(ManualClock::default());
    let limits = Limits { connection_rate: Some("2/m".parse().unwrap()), ..Limits::default() };
    let edge = edge(&clock, limits).await;
    let mut within_it = edge.connect_from("127.0.0.5").await;
    let _second = edge.connect_from("127.0.0.5").await;
    let over = "421 4.7.0 your address connects too often, try again in 30 s";
    for count in 1..=2 {
        let mut client = edge.connect_silently_from("127.0.0.5").await;
        client.expect(over).await;
        assert!(client.is_closed().await);
        assert_eq!((counted.over_limit("connection_rate"), counted.refusals("421")), (count, count));
    }
    assert!(within_it.message("hello\r\n").await.starts_with("250"), "a session that is open goes on");
    let mut other = edge.connect_from("127.0.0.6").await;
    assert!(other.message("hello\r\n").await.starts_with("250"));
    for _ in 0..4 {
        edge.connect_from("127.0.0.9").await;
    }
    clock.advance(Duration::from_secs(29));
    edge.connect_silently_from("127.0.0.5").await.expect("421 4.7.0").await;
    clock.advance(Duration::from_secs(1));
    edge.connect_from("127.0.0.5").await;
    assert_eq!(counted.over_limit("connection_rate"), 3);
}

#[tokio::test]
async fn an_address_that_sends_too_much_is_told_when_to_try_again_and_others_go_on() {
    let counted = Counted::default();
    let _recording = metrics::set_default_local_recorder(&counted);
    let clock = Arc::new(ManualClock::default());
    let limits = Limits { message_rate: Some("2/m".parse().unwrap()), ..Limits::default() };
    let edge = edge(&clock, limits).await;
    let mut client = edge.connect_from("127.0.0.5").await;
    for _ in 0..2 {
        assert!(client.message("hello\r\n").await.starts_with("250"));
    }
    let over = "450 4.7.1 too many messages from your address, try again in 30 s";
    client.ask("MAIL FROM:<a@b.example>", over).await;
    client.ask("RCPT TO:<c@d.example>", "503").await;
    let mut again = edge.connect_from("127.0.0.5").await;
    again.ask("HELO client.example", "250").await;
    again.ask("MAIL FROM:<a@b.example>", over).await;
    assert_eq!((counted.over_limit("message_rate"), counted.refusals("450")), (2, 2));
    for ip in ["127.0.0.6", "127.0.0.9"] {
        let mut other = edge.connect_from(ip).await;
        assert!(other.message("hello\r\n").await.starts_with("250"), "{ip}");
    }
    clock.advance(Duration::from_secs(30));
    assert!(client.message("hello\r\n").await.starts_with("250"), "the session has gone on");
    assert_eq!(counted.over_limit("message_rate"), 2);
}

#[tokio::test]
async fn whoever_is_trusted_sends_as_much_as_it_likes() {
    let clock = Arc::new(ManualClock::default());
    let limits = Limits { message_rate: Some("1/h".parse().unwrap()), ..Limits::default() };
    let edge = edge(&clock, limits).await;
    let mut client = edge.connect_from("127.0.0.9").await;
    for _ in 0..3 {
        assert!(client.message("hello\r\n").await.starts_with("250"));
    }
}
