//! RFC 3207 and RFC 8314, on sockets.

use ingress::{Limits, ListenerTls, Settings};

use super::support::client::{Client, Edge, settings};
use super::support::tls::Identity;

async fn edge(tls: ListenerTls) -> (Identity, Edge) {
    let identity = Identity::new().await;
    let mut settings = Settings { tls: Some(identity.tls.clone()), ..settings(Limits::default()) };
    settings.listeners[0].tls = tls;
    (identity, Edge::start_with(settings).await)
}

#[tokio::test]
async fn what_was_sent_in_clear_text_behind_starttls_is_never_answered() {
    let (identity, edge) = edge(ListenerTls::StartTls).await;
    let mut client = edge.connect().await;
    assert!(client.ehlo().await.contains(&"STARTTLS".to_owned()));
    client.ask("MAIL FROM:<smuggled@b.example>", "250").await;
    client.send("STARTTLS\r\nRCPT TO:<smuggled@d.example>\r\nNOOP\r\n").await;
    client.expect("220 2.0.0").await;
    let mut client = Client::new(identity.connect(client.into_inner()).await);
    // the session starts anew, and without a greeting
    client.ask("RCPT TO:<c@d.example>", "503 5.5.1").await;
    client.ask("MAIL FROM:<a@b.example>", "503 5.5.1").await;
    let keywords = client.ehlo().await;
    assert!(keywords.contains(&"REQUIRETLS".to_owned()) && !keywords.contains(&"STARTTLS".to_owned()));
    assert!(client.message("hello\r\n").await.starts_with("250"));
    client.ask("QUIT", "221").await;
    let packs = edge.world.read_packs().await;
    let tls = packs[0].0.messages[0].client.tls.as_deref().unwrap();
    assert!(tls.starts_with("TLSv1.3 ") && tls.ends_with(" X25519MLKEM768"), "{tls}");
}

#[tokio::test]
async fn a_listener_with_implicit_tls_greets_behind_the_handshake() {
    let (identity, edge) = edge(ListenerTls::Implicit).await;
    let socket = edge.connect_silently().await.into_inner();
    let mut client = Client::new(identity.connect(socket).await);
    client.expect("220 edge.example").await;
    // a large message goes through many records, and is streamed
    assert!(client.message(("x".repeat(998) + "\r\n").repeat(600)).await.starts_with("250"));
    client.ask("STARTTLS", "503 5.5.1").await;
    client.ask("QUIT", "221").await;
    assert!(client.is_closed().await, "the end of TLS is told too");
}

#[tokio::test]
async fn clear_text_on_a_port_with_implicit_tls_gets_no_session() {
    let (_identity, edge) = edge(ListenerTls::Implicit).await;
    let mut client = edge.connect_silently().await;
    client.send("EHLO client.example\r\n").await;
    // no more than an alert
    let said = client.rest().await;
    assert!(!said.windows(3).any(|octets| octets == b"220" || octets == b"250"), "{said:?}");
}

#[tokio::test]
async fn a_handshake_that_fails_ends_the_connection_and_no_other() {
    let (identity, edge) = edge(ListenerTls::StartTls).await;
    let mut broken = edge.connect().await;
    broken.ask("STARTTLS", "220").await;
    broken.send("this is no handshake\r\n").await;
    let said = broken.rest().await;
    assert!(!said.starts_with(b"2") && !said.starts_with(b"5"), "{said:?}");
    let mut client = edge.connect().await;
    client.ask("STARTTLS", "220").await;
    let mut client = Client::new(identity.connect(client.into_inner()).await);
    assert!(client.message("hello\r\n").await.starts_with("250"));
}
