//! Credentials that change while sessions are open, and how seldom the directory is asked for them.

use std::sync::Arc;
use std::time::Duration;

use ingress::Limits;
use shared::directory::CredentialEntry;
use shared::port::Clock;
use shared::testkit::{ManualClock, Mode};

use super::support::client::{Client, Edge};
use super::support::credential::{credential, for_credentials, log_in};
use super::support::ports::World;

/// Within which a change takes effect, as README promises.
const PROMISED: Duration = Duration::from_secs(60);

async fn edge(clock: &Arc<ManualClock>) -> Edge {
    let edge = Edge::start_in(World::at_the_time_of(clock).await, for_credentials(Limits::default())).await;
    edge.world.put(credential(&["@example.com"])).await;
    edge
}

async fn logged_in(edge: &Edge) -> Client {
    let mut client = edge.connect().await;
    client.ehlo().await;
    client.ask(&log_in(), "235 2.7.0").await;
    client
}

async fn send(client: &mut Client, from: &str, author: &str) -> String {
    client.ask(&format!("MAIL FROM:<{from}>"), "250").await;
    client.ask("RCPT TO:<c@d.example>", "250").await;
    client.ask("DATA", "354").await;
    client.send(format!("From: {author}\r\n\r\nhello\r\n.\r\n")).await;
    client.line().await
}

#[tokio::test]
async fn a_credential_that_is_narrowed_holds_the_next_message_of_an_open_session_to_its_new_senders() {
    let clock = Arc::new(ManualClock::default());
    let edge = edge(&clock).await;
    let mut client = logged_in(&edge).await;
    assert!(send(&mut client, "a@example.com", "a@example.com").await.starts_with("250"));
    // a message that has begun is held to what it began under
    client.ask("MAIL FROM:<a@example.com>", "250").await;
    edge.world.put(credential(&["b@example.com"])).await;
    clock.advance(PROMISED);
    client.ask("RCPT TO:<c@d.example>", "250").await;
    client.ask("DATA", "354").await;
    client.send("From: a@example.com\r\n\r\nhello\r\n.\r\n").await;
    client.expect("250 2.0.0").await;

    client.ask("MAIL FROM:<a@example.com>", "553 5.7.1").await;
    let forged = send(&mut client, "b@example.com", "a@example.com").await;
    assert!(forged.starts_with("550 5.7.1"), "{forged}");
    assert!(send(&mut client, "b@example.com", "b@example.com").await.starts_with("250"));
}

#[tokio::test]
async fn a_credential_that_is_revoked_ends_for_open_sessions_and_new_ones_within_a_minute() {
    let clock = Arc::new(ManualClock::default());
    let edge = edge(&clock).await;
    let mut client = logged_in(&edge).await;
    assert!(send(&mut client, "a@example.com", "a@example.com").await.starts_with("250"));
    let revoked = Some(clock.now());
    edge.world.put(CredentialEntry { revoked, ..credential(&["@example.com"]) }).await;
    clock.advance(PROMISED);
    client.ask("MAIL FROM:<a@example.com>", "530 5.7.0").await;
    client.ask("RCPT TO:<c@d.example>", "503").await;
    let mut new = edge.connect().await;
    new.ehlo().await;
    new.ask(&log_in(), "535 5.7.8").await;
    new.ask("MAIL FROM:<a@example.com>", "530 5.7.0").await;
}

#[tokio::test]
async fn sessions_that_need_a_credential_at_once_share_one_read_of_the_directory() {
    let clock = Arc::new(ManualClock::default());
    let edge = edge(&clock).await;
    let mut clients = Vec::new();
    for _ in 0..10 {
        let mut client = edge.connect().await;
        client.ehlo().await;
        clients.push(client);
    }
    let rounds = [(log_in(), "235"), ("MAIL FROM:<a@example.com>".to_owned(), "250")];
    for (reads, (command, reply)) in (1..).zip(rounds) {
        edge.world.directory.set(Mode::Stuck);
        for client in &mut clients {
            client.send(format!("{command}\r\n")).await;
        }
        edge.world.directory.until_called("get", reads).await;
        for client in &mut clients {
            assert!(client.is_silent().await);
        }
        edge.world.directory.set(Mode::Sound);
        for client in &mut clients {
            client.expect(reply).await;
        }
        assert_eq!(edge.world.directory.calls("get"), reads, "{command}");
        clock.advance(PROMISED);
    }
}
