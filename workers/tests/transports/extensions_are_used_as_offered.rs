use shared::job::Delivery;
use shared::mail::ReversePath;
use workers::deliver::Outcome;

use crate::server::{Seen, Server};
use crate::world::{World, outcomes, smart_host};

/// What a server with `extensions` saw and what was told of a message that `change` was made to.
async fn send(
    extensions: &'static [&'static str],
    recipients: &[&str],
    change: impl FnOnce(&mut Delivery),
) -> (Seen, Vec<(Outcome, String)>) {
    let server = Server::start(extensions, |_| None).await;
    let world = World::new(0);
    let mut message = world.message("x\r\n", recipients);
    change(&mut message);
    let tried = world.attempt(&smart_host(server.port()), vec![message]).await;
    (server.seen(), outcomes(&tried).remove(0))
}

fn mail(seen: &Seen) -> Option<&str> {
    seen.commands.iter().map(String::as_str).find(|line| line.starts_with("MAIL"))
}

#[tokio::test]
async fn a_message_over_the_size_limit_is_not_tried() {
    let (seen, told) = send(&["SIZE 23"], &["a@example.org"], |_| {}).await;
    assert_eq!((mail(&seen), told[0].0), (None, Outcome::Bounced));
    assert!(told[0].1.starts_with("552 5.3.4"), "{}", told[0].1);
    // 21 octets of prefix and 3 of content
    let (seen, told) = send(&["SIZE 24"], &["a@example.org"], |_| {}).await;
    assert_eq!(mail(&seen), Some("MAIL FROM:<sender@edge.example> SIZE=24"));
    assert_eq!(told[0].0, Outcome::Delivered);
}

#[tokio::test]
async fn eight_bit_content_needs_8bitmime() {
    let eight_bit = |message: &mut Delivery| message.content.eight_bit_body = true;
    let (seen, told) = send(&["8BITMIME"], &["a@example.org"], eight_bit).await;
    assert_eq!(mail(&seen), Some("MAIL FROM:<sender@edge.example> BODY=8BITMIME"));
    assert_eq!(told[0].0, Outcome::Delivered);
    let (seen, told) = send(&["PIPELINING"], &["a@example.org"], eight_bit).await;
    assert_eq!((mail(&seen), told[0].0), (None, Outcome::Bounced));
    assert!(told[0].1.starts_with("554 5.6.3"), "{}", told[0].1);
}

#[tokio::test]
async fn an_8bitmime_message_of_seven_bit_content_goes_anywhere() {
    let declared = |message: &mut Delivery| message.options.body = shared::mail::Body::EightBitMime;
    let (_, told) = send(&[], &["a@example.org"], declared).await;
    assert_eq!(told[0].0, Outcome::Delivered);
}

#[tokio::test]
async fn an_internationalized_header_or_sender_needs_smtputf8() {
    let header = |message: &mut Delivery| {
        message.content.eight_bit_header = true;
        message.options.smtputf8 = true;
    };
    let sender = |message: &mut Delivery| {
        message.from = ReversePath::Mailbox("d\u{f6}rte@edge.example".parse().unwrap());
    };
    for change in [header as fn(&mut Delivery), sender] {
        let (seen, told) = send(&["SMTPUTF8", "8BITMIME"], &["a@example.org"], change).await;
        assert!(mail(&seen).unwrap().ends_with(" SMTPUTF8"));
        assert_eq!(told[0].0, Outcome::Delivered);
        let (seen, told) = send(&["8BITMIME"], &["a@example.org"], change).await;
        assert_eq!((mail(&seen), told[0].0), (None, Outcome::Bounced));
        assert!(told[0].1.starts_with("550 5.6.7"), "{}", told[0].1);
    }
}

#[tokio::test]
async fn an_eight_bit_header_that_nobody_declared_goes_where_eight_bit_content_goes() {
    let header = |message: &mut Delivery| message.content.eight_bit_header = true;
    let (seen, told) = send(&["SMTPUTF8", "8BITMIME"], &["a@example.org"], header).await;
    assert_eq!(mail(&seen), Some("MAIL FROM:<sender@edge.example> BODY=8BITMIME"));
    assert_eq!(told[0].0, Outcome::Delivered);
    let (_, told) = send(&[], &["a@example.org"], header).await;
    assert!(told[0].1.starts_with("554 5.6.3"), "{}", told[0].1);
}

#[tokio::test]
async fn only_recipients_that_need_smtputf8_bounce_for_want_of_it() {
    let recipients = ["d\u{f6}rte@example.org", "a@example.org"];
    let (seen, told) = send(&["PIPELINING"], &recipients, |_| {}).await;
    assert!(told[0].1.starts_with("550 5.6.7"), "{}", told[0].1);
    assert_eq!((told[0].0, told[1].0), (Outcome::Bounced, Outcome::Delivered));
    assert!(!seen.commands.iter().any(|line| !line.is_ascii()));
    let (seen, told) = send(&["SMTPUTF8"], &recipients, |_| {}).await;
    assert_eq!((told[0].0, told[1].0), (Outcome::Delivered, Outcome::Delivered));
    assert!(seen.commands.contains(&"RCPT TO:<d\u{f6}rte@example.org>".to_owned()));
}

#[tokio::test]
async fn a_domain_that_is_not_ascii_goes_out_as_a_labels() {
    let (seen, told) = send(&[], &["info@b\u{fc}cher.example"], |_| {}).await;
    assert_eq!(told[0].0, Outcome::Delivered);
    assert!(seen.commands.contains(&"RCPT TO:<info@xn--bcher-kva.example>".to_owned()));
}

#[tokio::test]
async fn a_null_sender_stays_null() {
    let (seen, _) = send(&["SIZE"], &["a@example.org"], |message| message.from = ReversePath::Null).await;
    assert_eq!(mail(&seen), Some("MAIL FROM:<> SIZE=24"));
}
