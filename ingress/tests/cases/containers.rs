//! Two containers of one edge, each with its own handle on the stores: what a credential may send is counted for both together.

use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use ingress::{Limits, Server};
use shared::directory::CredentialEntry;
use shared::testkit::ManualClock;
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

use super::support::client::{Client, Edge};
use super::support::credential::{credential, for_credentials, log_in};
use super::support::ports::World;

const RATE: u64 = 100;
const QUOTA: u64 = 150;

/// The first, and a client of each.
async fn two_containers(clock: &Arc<ManualClock>) -> (Edge, Client, Client) {
    // whoever is refused goes on asking
    let limits = Limits { idle_commands: u32::MAX, ..Limits::default() };
    let edge = Edge::start_in(World::at_the_time_of(clock).await, for_credentials(limits.clone())).await;
    let (rate, quota) = (Some("100/m".parse().unwrap()), Some("150/day".parse().unwrap()));
    edge.world.put(CredentialEntry { rate, quota, ..credential(&["@example.com"]) }).await;
    let other = edge.world.ports_of_another().await;
    let server = Server::bind(for_credentials(limits), other).await.unwrap();
    let address = server.addresses()[0];
    tokio::spawn(server.serve(CancellationToken::new()));
    let (one, two) = tokio::join!(logged_in(edge.address), logged_in(address));
    (edge, one, two)
}

async fn logged_in(address: SocketAddr) -> Client {
    let mut client = Client::new(TcpStream::connect(address).await.unwrap());
    client.expect("220").await;
    client.ehlo().await;
    client.ask(&log_in(), "235").await;
    client
}

/// Sends up to `most` messages: how many are taken, and the reply that ended it, if one did.
async fn send(client: &mut Client, most: u64) -> (u64, String) {
    for taken in 0..most {
        client.send("MAIL FROM:<a@example.com>\r\n").await;
        let reply = client.line().await;
        if !reply.starts_with("250") {
            return (taken, reply);
        }
        client.ask("RCPT TO:<c@d.example>", "250").await;
        client.ask("DATA", "354").await;
        client.send("From: a@example.com\r\n\r\nhello\r\n.\r\n").await;
        client.expect("250 2.0.0 queued as").await;
    }
    (most, String::new())
}

/// All of a limit but a twentieth.
fn nearly(limit: u64) -> RangeInclusive<u64> {
    limit - limit / 20..=limit
}

async fn messages(edge: &Edge) -> u64 {
    edge.world.messages_with_jobs().await.len() as u64
}

#[tokio::test]
async fn the_rate_and_the_quota_of_a_credential_hold_for_both_together() {
    let clock = Arc::new(ManualClock::default());
    let (edge, mut one, mut two) = two_containers(&clock).await;
    let ((first, refused), (second, also)) = tokio::join!(send(&mut one, 200), send(&mut two, 200));
    assert!(nearly(RATE).contains(&(first + second)), "{first} and {second}");
    assert!(first > 0 && second > 0, "{first} and {second}");
    for reply in [refused, also] {
        assert_eq!(reply, "450 4.7.1 limit of 100/m messages reached, try again in 60 s");
    }
    clock.advance(Duration::from_secs(45));
    assert_eq!(send(&mut one, 1).await.1, "450 4.7.1 limit of 100/m messages reached, try again in 15 s");

    clock.advance(Duration::from_secs(15));
    let ((third, refused), (fourth, also)) = tokio::join!(send(&mut one, 200), send(&mut two, 200));
    let all = first + second + third + fourth;
    assert!(nearly(QUOTA).contains(&all), "{first}, {second}, {third} and {fourth}");
    for reply in [refused, also] {
        assert_eq!(reply, "450 4.7.1 limit of 150/day messages reached, try again in 86340 s");
    }
    assert_eq!(messages(&edge).await, all);
}

#[tokio::test]
async fn what_a_container_that_falls_silent_holds_is_no_more_than_a_twentieth() {
    let clock = Arc::new(ManualClock::default());
    let (_edge, mut one, mut two) = two_containers(&clock).await;
    let ((first, _), (second, _)) = tokio::join!(send(&mut one, 40), send(&mut two, 40));
    let (rest, refused) = send(&mut one, 200).await;
    assert!(nearly(RATE).contains(&(first + second + rest)), "{first}, {second} and {rest}");
    assert!(refused.starts_with("450 4.7.1 limit of 100/m"), "{refused}");
    let (more, _) = send(&mut two, 200).await;
    assert!(first + second + rest + more <= RATE, "{more} more");
}
