//! A greeting that is kept back, and clients that do not wait for it (RFC 5321 §4.3.1: the client waits for the greeting).

use std::sync::Arc;
use std::time::Duration;

use ingress::{Limits, ListenerTls, Settings};
use shared::port::Clock;
use shared::testkit::ManualClock;

use super::support::client::{Client, Edge, settings};
use super::support::counted::Counted;
use super::support::ports::World;
use super::support::tls::Identity;

const DELAY: Duration = Duration::from_secs(20);
const SPOKE: &str = "554 5.7.1 you spoke before it was your turn";

/// An edge that trusts 127.0.0.9 alone.
async fn edge(clock: &Arc<ManualClock>, tls: Option<&Identity>) -> Edge {
    let mut settings = Settings {
        trusted_networks: vec!["127.0.0.9/32".parse().unwrap()],
        tls: tls.map(|identity| identity.tls.clone()),
        ..settings(Limits { greeting_delay: DELAY, ..Limits::default() })
    };
    if tls.is_some() {
        settings.listeners[0].tls = ListenerTls::Implicit;
    }
    Edge::start_in(World::at_the_time_of(clock).await, settings).await
}

#[tokio::test]
async fn a_client_that_waits_is_greeted_once_the_delay_is_over() {
    let clock = Arc::new(ManualClock::default());
    let edge = edge(&clock, None).await;
    let mut client = edge.connect_silently().await;
    clock.until_asleep_until(clock.now() + DELAY).await;
    clock.advance(DELAY - Duration::from_millis(1));
    assert!(client.is_silent().await);
    clock.advance(Duration::from_millis(1));
    client.expect("220 edge.example").await;
    client.ask("HELO client.example", "250").await;
}

#[tokio::test]
async fn who_talks_before_the_greeting_is_told_so_and_counted_and_others_go_on() {
    let counted = Counted::default();
    let _recording = metrics::set_default_local_recorder(&counted);
    let clock = Arc::new(ManualClock::default());
    let edge = edge(&clock, None).await;
    let mut patient = edge.connect_silently().await;
    clock.until_asleep_until(clock.now() + DELAY).await;
    for (at, words) in ["E", "EHLO client.example\r\nMAIL FROM:<a@b.example>\r\n"].into_iter().enumerate() {
        let mut hasty = edge.connect_silently().await;
        hasty.send(words).await;
        hasty.expect(SPOKE).await;
        assert!(hasty.is_closed().await, "a reset could take the reply along");
        let count = u64::try_from(at + 1).unwrap();
        assert_eq!((counted.over_limit("early_talker"), counted.refusals("554")), (count, count));
    }
    clock.advance(DELAY);
    patient.expect("220 edge.example").await;
    assert_eq!(counted.over_limit("early_talker"), 2);
}

#[tokio::test]
async fn who_talks_before_the_greeting_within_tls_is_told_so_within_tls() {
    let clock = Arc::new(ManualClock::default());
    let identity = Identity::new().await;
    let edge = edge(&clock, Some(&identity)).await;
    let socket = edge.connect_silently().await.into_inner();
    let mut hasty = Client::new(identity.connect(socket).await);
    hasty.send("EHLO client.example\r\n").await;
    hasty.expect(SPOKE).await;
    assert!(hasty.is_closed().await);
}

#[tokio::test]
async fn a_trusted_client_does_not_wait() {
    let clock = Arc::new(ManualClock::default());
    let edge = edge(&clock, None).await;
    let mut client = edge.connect_from("127.0.0.9").await;
    assert!(client.message("hello\r\n").await.starts_with("250"));
}
