//! RFC 2920.

use ingress::{Limits, ListenerKind};
use shared::testkit::Mode;

use super::support::client::{Edge, settings};

#[tokio::test]
async fn replies_to_commands_that_came_together_go_out_together() {
    let edge = Edge::start(Limits::default()).await;
    let mut client = edge.connect().await;
    client.send("HELO c.example\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\nRCPT TO:<e@d.example>\r\nDATA\r\n").await;
    let replies = client.read_once().await;
    assert_eq!(replies.matches("\r\n").count(), 5, "{replies}");
    assert!(replies.ends_with("354 end with <CRLF>.<CRLF>\r\n"), "{replies}");
}

#[tokio::test]
async fn content_sent_before_354_is_content_and_what_follows_its_end_waits_for_the_commit() {
    let edge = Edge::start(Limits::default()).await;
    edge.world.spool.set(Mode::Stuck);
    let mut client = edge.connect().await;
    let message = "MAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\nDATA\r\nRSET\r\n.\r\n";
    client.send(format!("HELO c.example\r\n{message}{message}NOOP\r\nQUIT\r\n")).await;
    for code in ["250 edge.example", "250 2.1.0", "250 2.1.5", "354"] {
        client.expect(code).await;
    }
    edge.world.spool.until_called("put", 1).await;
    assert!(client.is_silent().await);
    edge.world.spool.set(Mode::Sound);
    for code in
        ["250 2.0.0 queued as", "250 2.1.0", "250 2.1.5", "354", "250 2.0.0 queued as", "250 2.0.0 ok", "221"]
    {
        client.expect(code).await;
    }
    assert!(client.is_closed().await);
    for (_, contents) in edge.world.read_packs().await {
        assert_eq!(contents[0], "RSET\r\n".as_bytes());
    }
}

#[tokio::test]
async fn a_flood_of_commands_is_answered_without_being_heaped_up() {
    let edge = Edge::start(Limits { idle_commands: u32::MAX, ..Limits::default() }).await;
    let mut client = edge.connect().await;
    let count = 50_000;
    let (mut reading, mut writing) = client.split();
    let sent = writing.send_all("HELP\r\n".repeat(count) + "QUIT\r\n");
    let (replies, ()) = tokio::join!(reading.rest(), sent);
    assert_eq!(replies.matches("214 2.0.0 ").count(), count);
    assert!(replies.ends_with("221 2.0.0 bye\r\n"));
}

#[tokio::test]
async fn an_mx_listener_takes_mail_for_relay_domains_only_and_from_anybody() {
    let mut settings = settings(Limits::default());
    settings.listeners[0].kind = ListenerKind::Mx;
    settings.relay_domains.push("d.example".parse().unwrap());
    let edge = Edge::start_with(settings).await;
    let mut client = edge.connect().await;
    client.ask("HELO c.example", "250").await;
    client.ask("MAIL FROM:<a@b.example>", "250").await;
    client.ask("RCPT TO:<c@elsewhere.example>", "550 5.7.1 relaying denied").await;
    client.ask("RCPT TO:<postmaster>", "250").await;
    client.ask("RCPT TO:<c@d.example>", "250").await;
    client.ask("DATA", "354").await;
    client.ask(".", "250 2.0.0 queued as").await;
    let packs = edge.world.read_packs().await;
    let message = &packs[0].0.messages[0];
    assert!(!message.client.submission);
    let recipients: Vec<_> = message.envelope.recipients.iter().map(|to| to.address.as_str()).collect();
    assert_eq!(recipients, ["postmaster@edge.example", "c@d.example"]);
}

#[tokio::test]
async fn a_stranger_on_a_submission_listener_must_authenticate_first() {
    let mut settings = settings(Limits::default());
    settings.trusted_networks.clear();
    let edge = Edge::start_with(settings).await;
    let mut client = edge.connect().await;
    client.ask("HELO c.example", "250").await;
    client.ask("MAIL FROM:<a@b.example>", "530 5.7.0").await;
    client.ask("RCPT TO:<postmaster>", "503").await;
}
