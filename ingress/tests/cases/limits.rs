//! Bounds of the server: time, memory, connections.

use std::time::Duration;

use ingress::Limits;
use shared::testkit::Mode;

use super::support::client::{Edge, within};

const SHORT: Duration = Duration::from_millis(200);

#[tokio::test]
async fn a_client_that_says_nothing_is_told_so_and_left() {
    let edge = Edge::start(Limits { command_timeout: SHORT, ..Limits::default() }).await;
    let mut client = edge.connect().await;
    client.expect("421 4.4.2").await;
    assert!(client.is_closed().await);
}

#[tokio::test]
async fn a_command_that_drips_has_no_more_time_than_another() {
    let edge = Edge::start(Limits { command_timeout: SHORT * 2, ..Limits::default() }).await;
    let mut client = edge.connect().await;
    let (mut reading, mut writing) = client.split();
    let dripping = async {
        while writing.try_send("x").await.is_ok() {
            edge.pause(SHORT / 10).await;
        }
    };
    let (line, ()) = tokio::join!(reading.rest(), dripping);
    assert!(line.starts_with("421 4.4.2"), "{line}");
}

#[tokio::test]
async fn content_that_stops_or_drips_for_too_long_is_not_waited_for() {
    let stops = Limits { content_timeout: SHORT, ..Limits::default() };
    let drips = Limits { content_total_timeout: SHORT * 2, ..Limits::default() };
    for limits in [stops, drips] {
        let edge = Edge::start(limits).await;
        let mut client = edge.connect().await;
        client.begin().await;
        let (mut reading, mut writing) = client.split();
        let dripping = async {
            if edge.limits.content_timeout > SHORT {
                while writing.try_send("x\r\n").await.is_ok() {
                    edge.pause(SHORT / 10).await;
                }
            }
        };
        let (line, ()) = tokio::join!(reading.rest(), dripping);
        assert!(line.starts_with("421 4.4.2"), "{line}");
        assert_eq!(edge.world.packs().await, 0);
    }
}

#[tokio::test]
async fn one_connection_too_many_is_turned_away_until_another_ends() {
    let edge = Edge::start(Limits { connections: 2, ..Limits::default() }).await;
    let (mut first, _second) = (edge.connect().await, edge.connect().await);
    let mut third = edge.connect_silently().await;
    third.expect("421 4.3.2").await;
    assert!(third.is_closed().await);
    first.ask("QUIT", "221").await;
    assert!(first.is_closed().await);
    within(async {
        while !edge.connect_silently().await.line().await.starts_with("220") {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_stranger_has_fewer_connections_than_there_are_and_turns_nobody_else_away() {
    let mut settings = super::support::client::settings(Limits { connections_each: 2, ..Limits::default() });
    settings.trusted_networks = vec!["127.0.0.9/32".parse().unwrap()];
    let edge = Edge::start_with(settings).await;
    let (mut first, _second) = (edge.connect().await, edge.connect().await);
    let mut third = edge.connect_silently().await;
    third.expect("421 4.7.0").await;
    assert!(third.is_closed().await);
    let mut trusted = Vec::new();
    for _ in 0..3 {
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.9:0".parse().unwrap()).unwrap();
        let mut client = edge.connect_through(socket).await;
        client.expect("220").await;
        trusted.push(client);
    }
    first.ask("QUIT", "221").await;
    assert!(first.is_closed().await);
    within(async {
        while !edge.connect_silently().await.line().await.starts_with("220") {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test]
async fn without_memory_a_message_waits_and_is_then_read_away_and_refused() {
    let limits = Limits {
        memory_octets: 64 * 1024,
        memory_step_octets: 32 * 1024,
        memory_wait: SHORT,
        ..Limits::default()
    };
    let edge = Edge::start(limits).await;
    edge.world.spool.set(Mode::Stuck);
    let (mut first, mut second, mut third) =
        (edge.connect().await, edge.connect().await, edge.connect().await);
    for client in [&mut first, &mut second] {
        client.begin().await;
        client.send("x\r\n.\r\n").await;
        assert!(client.is_silent().await);
    }
    let refused = third.message("x".repeat(998).repeat(100) + "\r\n").await;
    assert!(refused.starts_with("452 4.3.1"), "{refused}");
    edge.world.spool.set(Mode::Sound);
    first.expect("250").await;
    second.expect("250").await;
    // memory came back with the answers, and the session of the refused message goes on
    assert!(third.message("x\r\n").await.starts_with("250"));
}

#[tokio::test]
async fn recipients_of_long_envelopes_take_memory_until_their_transaction_ends() {
    let limits = Limits { memory_octets: 64 * 1024, memory_wait: SHORT, ..Limits::default() };
    let edge = Edge::start(limits).await;
    let mut client = edge.connect().await;
    client.ask("HELO client.example", "250").await;
    for end in ["RSET", "HELO client.example", "RSET"] {
        client.ask("MAIL FROM:<a@b.example>", "250").await;
        let mut taken = 0;
        let refused = loop {
            client.send(format!("RCPT TO:<r{taken}@{}.example>\r\n", "d".repeat(60))).await;
            let reply = client.line().await;
            if !reply.starts_with("250") {
                break reply;
            }
            taken += 1;
        };
        assert!(refused.starts_with("452 4.3.1"), "{refused}");
        assert!((100..500).contains(&taken), "{taken}");
        client.ask(end, "250").await;
    }
    assert!(client.message("x\r\n").await.starts_with("250"));
}

#[tokio::test]
async fn a_message_that_outgrows_the_memory_of_all_is_refused() {
    let limits = Limits { memory_octets: 96 * 1024, memory_wait: SHORT, ..Limits::default() };
    let edge = Edge::start(limits).await;
    let mut client = edge.connect().await;
    let content = ("x".repeat(998) + "\r\n").repeat(200);
    assert!(client.message(&content).await.starts_with("452 4.3.1"));
    assert!(client.message(&content[..30_000]).await.starts_with("250"));
}

#[tokio::test]
async fn http_and_tls_get_a_reply_and_a_close() {
    let edge = Edge::start(Limits { linger: SHORT, ..Limits::default() }).await;
    for hello in [&b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"[..], b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"]
    {
        let mut client = edge.connect().await;
        client.send(hello).await;
        client.expect("500 5.5.2").await;
        assert!(client.is_closed().await);
    }
}

#[tokio::test]
async fn an_address_in_use_is_named() {
    let edge = Edge::start(Limits::default()).await;
    let mut settings = super::support::client::settings(Limits::default());
    settings.listeners[0].address = edge.address;
    let Err(error) = ingress::Server::bind(settings, edge.world.ports()).await else {
        panic!("it was bound twice")
    };
    assert!(error.to_string().contains(&edge.address.to_string()), "{error}");
}
