//! Where a client really is: PROXY headers of load balancers, and XCLIENT of trusted proxies.

use ingress::{Limits, ListenerKind, Settings};
use shared::mail::ClientDns;

use super::support::client::{Edge, settings};

/// A PROXY header of version 2 for a client at 192.0.2.7.
const V2: &[u8] = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xc0\0\x02\x07\x7f\0\0\x01\x30\x39\0\x19";
/// One of a balancer's health check.
const LOCAL: &[u8] = b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0";

async fn behind_a_balancer(networks: &str) -> Edge {
    let mut settings = Settings {
        trusted_networks: vec!["192.0.2.0/24".parse().unwrap()],
        proxy_networks: vec![networks.parse().unwrap()],
        ..settings(Limits { proxy_timeout: std::time::Duration::from_millis(200), ..Limits::default() })
    };
    settings.listeners[0].proxy = true;
    Edge::start_with(settings).await
}

#[tokio::test]
async fn a_client_behind_a_balancer_is_where_the_header_says() {
    let edge = behind_a_balancer("127.0.0.0/8").await;
    for header in [V2, b"PROXY TCP4 192.0.2.7 127.0.0.1 12345 25\r\n"] {
        let mut client = edge.connect_silently().await;
        // the first command may come with the header
        client.send([header, b"NOOP\r\n"].concat()).await;
        client.expect("220").await;
        client.expect("250").await;
        assert!(client.message("hello\r\n").await.starts_with("250"));
    }
    for (header, _) in edge.world.read_packs().await {
        assert_eq!(header.messages[0].client.ip.to_string(), "192.0.2.7");
    }
}

#[tokio::test]
async fn a_health_check_is_greeted_and_trusted_with_nothing() {
    let edge = behind_a_balancer("127.0.0.0/8").await;
    let mut client = edge.connect_silently().await;
    client.send(LOCAL).await;
    client.expect("220").await;
    client.ask("HELO check.example", "250").await;
    client.ask("MAIL FROM:<a@b.example>", "530").await;
    client.ask("QUIT", "221").await;
}

#[tokio::test]
async fn without_exactly_one_header_from_a_listed_network_nothing_is_said() {
    let edge = behind_a_balancer("127.0.0.0/8").await;
    for opening in [
        b"EHLO client.example\r\n".as_slice(),
        b"",
        b"PROXY TCP4 192.0.2.7\r\n",
        b"PROXY TCP4 192.0.2.700 127.0.0.1 1 25\r\n",
    ] {
        let mut client = edge.connect_silently().await;
        client.send(opening).await;
        assert_eq!(client.rest().await, b"", "{opening:?}");
    }
    let mut twice = edge.connect_silently().await;
    twice.send([V2, b"PROXY TCP4 192.0.2.8 127.0.0.1 12345 25\r\n"].concat()).await;
    twice.expect("220").await;
    assert!(twice.rest().await.is_empty());
    let elsewhere = behind_a_balancer("10.0.0.0/8").await;
    let mut client = elsewhere.connect_silently().await;
    client.send(V2).await;
    assert_eq!(client.rest().await, b"");
}

#[tokio::test]
async fn a_trusted_proxy_speaks_for_another_client_which_is_trusted_no_more_than_it_would_be() {
    let xclient_networks = vec!["127.0.0.0/8".parse().unwrap()];
    let mut settings = Settings { xclient_networks, ..settings(Limits::default()) };
    settings.listeners[0].kind = ListenerKind::Mx;
    settings.relay_domains.push("d.example".parse().unwrap());
    let edge = Edge::start_with(settings).await;
    let mut client = edge.connect().await;
    let keywords = client.ehlo().await;
    assert!(keywords.iter().any(|keyword| keyword.starts_with("XCLIENT ")), "{keywords:?}");
    client.ask("XCLIENT ADDR=203.0.113.5 NAME=mail.far.example LOGIN=boss", "220 edge.example").await;
    client.ask("MAIL FROM:<a@b.example>", "503").await;
    assert!(client.message("hello\r\n").await.starts_with("250"));
    client.ask("MAIL FROM:<a@b.example>", "250").await;
    client.ask("RCPT TO:<u@elsewhere.example>", "550 5.7.1").await;
    let packs = edge.world.read_packs().await;
    let told = &packs[0].0.messages[0].client;
    assert_eq!((told.ip.to_string().as_str(), &told.credential), ("203.0.113.5", &None));
    assert_eq!(told.dns, ClientDns { name: Some("mail.far.example".to_owned()), ..ClientDns::default() });
}

#[tokio::test]
async fn only_listed_networks_may_say_xclient() {
    let edge = Edge::start(Limits::default()).await;
    let mut client = edge.connect().await;
    assert!(client.ehlo().await.iter().all(|keyword| !keyword.starts_with("XCLIENT")));
    client.ask("XCLIENT ADDR=203.0.113.5", "502").await;
}
