//! Going away without losing anything.

use std::time::Duration;

use ingress::Limits;
use shared::testkit::Mode;
use tokio::net::TcpStream;

use super::support::client::{Edge, within};

#[tokio::test]
async fn transactions_under_way_are_finished_and_the_next_command_gets_421() {
    let edge = Edge::start(Limits::default()).await;
    let (mut idle, mut sending, mut committing) =
        (edge.connect().await, edge.connect().await, edge.connect().await);
    edge.world.spool.set(Mode::Stuck);
    sending.begin().await;
    committing.begin().await;
    committing.send("x\r\n.\r\n").await;
    edge.world.spool.until_called("put", 1).await;
    edge.drain.cancel();
    within(async {
        while TcpStream::connect(edge.address).await.is_ok() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    idle.ask("NOOP", "421 4.3.2").await;
    assert!(idle.is_closed().await);
    sending.send("y\r\n.\r\n").await;
    assert!(!edge.serving.is_finished());
    edge.world.spool.set(Mode::Sound);
    for client in [&mut sending, &mut committing] {
        client.expect("250 2.0.0 queued as").await;
        client.ask("MAIL FROM:<a@b.example>", "421 4.3.2").await;
        assert!(client.is_closed().await);
    }
    within(edge.serving).await.unwrap();
    assert_eq!(edge.world.read_packs().await.iter().map(|(_, contents)| contents.len()).sum::<usize>(), 2);
}

#[tokio::test]
async fn a_session_that_says_nothing_does_not_hold_up_the_drain() {
    let edge = Edge::start(Limits { drain_idle: Duration::from_millis(100), ..Limits::default() }).await;
    let mut client = edge.connect().await;
    edge.drain.cancel();
    client.expect("421 4.3.2").await;
    assert!(client.is_closed().await);
    within(edge.serving).await.unwrap();
}

#[tokio::test]
async fn a_transaction_that_never_ends_is_ended_when_the_time_is_up() {
    let edge = Edge::start(Limits { drain: Duration::from_millis(200), ..Limits::default() }).await;
    let mut client = edge.connect().await;
    client.begin().await;
    edge.drain.cancel();
    client.expect("421 4.3.2").await;
    within(edge.serving).await.unwrap();
    assert_eq!(edge.world.packs().await, 0);
}
