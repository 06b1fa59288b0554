//! Clients that hold a session by sending as little as they can.

use std::sync::Arc;
use std::time::Duration;

use ingress::Limits;
use shared::testkit::ManualClock;

use super::support::client::{Client, Edge, settings};
use super::support::counted::Counted;
use super::support::ports::World;

const MINUTE: Duration = Duration::from_secs(60);
const MOMENT: Duration = Duration::from_millis(1);

async fn edge(clock: &Arc<ManualClock>) -> Edge {
    Edge::start_in(World::at_the_time_of(clock).await, settings(Limits::default())).await
}

/// Lets time pass, sends, and sees that nothing is said to it.
async fn after(clock: &ManualClock, span: Duration, client: &mut Client, octets: &[u8]) {
    clock.advance(span);
    client.send(octets).await;
    assert!(client.is_silent().await);
}

#[tokio::test]
async fn content_at_an_octet_a_minute_is_cut_off_after_the_first_minute() {
    let counted = Counted::default();
    let _recording = metrics::set_default_local_recorder(&counted);
    let clock = Arc::new(ManualClock::default());
    let edge = edge(&clock).await;
    let mut client = edge.connect().await;
    client.begin().await;
    after(&clock, MINUTE, &mut client, b"x").await;
    assert_eq!(counted.over_limit("content_rate"), 0);
    clock.advance(MINUTE);
    client.send("x").await;
    client.expect("421 4.4.2 your message comes too slowly").await;
    assert!(client.is_closed().await);
    assert_eq!((counted.over_limit("content_rate"), counted.refusals("421")), (1, 1));
    assert_eq!(edge.world.packs().await, 0);
}

#[tokio::test]
async fn content_in_chunks_is_held_to_the_same_rate() {
    let clock = Arc::new(ManualClock::default());
    let edge = edge(&clock).await;
    let mut client = edge.connect().await;
    client.ehlo().await;
    client.send("MAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\nBDAT 5000 LAST\r\n").await;
    client.expect("250").await;
    client.expect("250").await;
    after(&clock, MINUTE, &mut client, b"x").await;
    clock.advance(MOMENT);
    client.send("x").await;
    client.expect("421 4.4.2 your message comes too slowly").await;
}

#[tokio::test]
async fn content_just_fast_enough_is_taken() {
    let clock = Arc::new(ManualClock::default());
    let edge = edge(&clock).await;
    let mut client = edge.connect().await;
    client.begin().await;
    // 50 octets a second, in one piece a minute
    let piece = ("x".repeat(98) + "\r\n").repeat(30);
    for _ in 0..4 {
        after(&clock, MINUTE, &mut client, piece.as_bytes()).await;
    }
    client.ask(".", "250 2.0.0 queued as").await;
}

#[tokio::test]
async fn content_just_too_slow_is_cut_off_however_steadily_it_comes() {
    let clock = Arc::new(ManualClock::default());
    let edge = edge(&clock).await;
    let mut client = edge.connect().await;
    client.begin().await;
    let piece = ("x".repeat(97) + "\r\n").repeat(30);
    after(&clock, MINUTE, &mut client, piece.as_bytes()).await;
    clock.advance(MINUTE);
    client.send(piece).await;
    client.expect("421 4.4.2 your message comes too slowly").await;
}

#[tokio::test]
async fn a_command_at_an_octet_a_minute_has_five_minutes() {
    let clock = Arc::new(ManualClock::default());
    let edge = edge(&clock).await;
    let mut client = edge.connect().await;
    client.ask("HELO client.example", "250").await;
    for octet in "NOOP".bytes() {
        after(&clock, MINUTE, &mut client, &[octet]).await;
    }
    clock.advance(MINUTE - MOMENT);
    client.ask("", "250").await;
    // it was whole in time, and the next one has its own five minutes
    for octet in "NOOP".bytes() {
        after(&clock, MINUTE, &mut client, &[octet]).await;
    }
    clock.advance(MINUTE);
    client.send(" ").await;
    client.expect("421 4.4.2").await;
    assert!(client.is_closed().await);
}
