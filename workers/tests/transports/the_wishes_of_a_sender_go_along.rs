use std::time::Duration;

use shared::job::Delivery;
use shared::mail::{ByMode, DeliverBy, Hold, Notify, OriginalRecipient, Ret, ReversePath};
use shared::port::Clock as _;
use shared::system::SystemClock;
use workers::deliver::{Hop, Outcome, Route, Tried};

use crate::server::{Seen, Server};
use crate::world::{World, outcome, smart_host};

/// What a server with `extensions` saw, and what was told, of a message that `change` was made to.
async fn send(
    extensions: &'static [&'static str],
    recipients: &[&str],
    change: impl FnOnce(&mut Delivery),
) -> (Seen, Vec<Tried>) {
    let server = Server::start(extensions, |_| None).await;
    let world = World::new(0);
    let mut message = world.message("x\r\n", recipients);
    change(&mut message);
    let tried = world.attempt(&smart_host(server.port()), vec![message]).await;
    (server.seen(), tried)
}

fn line<'a>(seen: &'a Seen, verb: &str) -> &'a str {
    seen.commands.iter().find(|line| line.starts_with(verb)).map_or("", String::as_str)
}

fn original(kind: &str, address: &str) -> Option<OriginalRecipient> {
    Some(OriginalRecipient { kind: kind.to_owned(), address: address.to_owned() })
}

fn wordy(message: &mut Delivery) {
    message.options.ret = Some(Ret::Full);
    message.options.envid = Some("a+b=c".to_owned());
    message.recipients[0].notify = Some(Notify { success: true, failure: true, delay: false });
    message.recipients[0].original = original("rfc822", "old+one@example.org");
}

#[tokio::test]
async fn dsn_goes_to_a_server_that_offers_it_and_to_no_other() {
    let (seen, tried) = send(&["DSN"], &["a@example.org"], wordy).await;
    assert_eq!(line(&seen, "MAIL"), "MAIL FROM:<sender@edge.example> RET=FULL ENVID=a+2Bb+3Dc");
    let rcpt = "RCPT TO:<a@example.org> NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;old+2Bone@example.org";
    assert_eq!(line(&seen, "RCPT"), rcpt);
    let told = &tried[0].outcomes[0];
    assert_eq!((told.spoken, told.hop), (true, Hop::Server { dsn: true, deliver_by: false }));
    let (seen, tried) = send(&["PIPELINING"], &["a@example.org"], wordy).await;
    assert_eq!(line(&seen, "MAIL"), "MAIL FROM:<sender@edge.example>");
    assert_eq!(line(&seen, "RCPT"), "RCPT TO:<a@example.org>");
    assert_eq!(tried[0].outcomes[0].hop, Hop::Server { dsn: false, deliver_by: false });
    let never = |message: &mut Delivery| message.recipients[0].notify = Some(Notify::default());
    let (seen, _) = send(&["DSN"], &["a@example.org"], never).await;
    assert_eq!(line(&seen, "RCPT"), "RCPT TO:<a@example.org> NOTIFY=NEVER");
}

#[tokio::test]
async fn an_original_recipient_of_utf_8_is_escaped_unless_the_transaction_is() {
    let utf8 =
        |message: &mut Delivery| message.recipients[0].original = original("utf-8", "d\u{f6}+r@example.org");
    let (seen, _) = send(&["DSN", "SMTPUTF8"], &["a@example.org"], utf8).await;
    assert_eq!(line(&seen, "RCPT"), "RCPT TO:<a@example.org> ORCPT=utf-8;d\\x{F6}\\x{2B}r@example.org");
    let sender = |message: &mut Delivery| {
        utf8(message);
        message.from = ReversePath::Mailbox("\u{e9}@edge.example".parse().unwrap());
    };
    let (seen, _) = send(&["DSN", "SMTPUTF8"], &["a@example.org"], sender).await;
    assert_eq!(line(&seen, "RCPT"), "RCPT TO:<a@example.org> ORCPT=utf-8;d\u{f6}\\x{2B}r@example.org");
}

#[tokio::test]
async fn a_sender_whose_domain_alone_is_not_ascii_needs_no_smtputf8() {
    let sender = |message: &mut Delivery| {
        message.from = ReversePath::Mailbox("info@b\u{fc}cher.example".parse().unwrap());
    };
    for extensions in [&[][..], &["SMTPUTF8"]] {
        let (seen, tried) = send(extensions, &["a@example.org"], sender).await;
        assert_eq!(line(&seen, "MAIL"), "MAIL FROM:<info@xn--bcher-kva.example>");
        assert_eq!(outcome(&tried).0, Outcome::Delivered);
    }
}

#[tokio::test]
async fn a_priority_goes_along_and_a_hold_that_is_over_does_not() {
    let urgent = |message: &mut Delivery| {
        message.options.priority = -4;
        message.options.hold = Some(Hold::For(60));
    };
    let (seen, _) = send(&["MT-PRIORITY MIXER", "FUTURERELEASE 9 9"], &["a@example.org"], urgent).await;
    assert_eq!(line(&seen, "MAIL"), "MAIL FROM:<sender@edge.example> MT-PRIORITY=-4");
    let (seen, _) = send(&[], &["a@example.org"], urgent).await;
    assert_eq!(line(&seen, "MAIL"), "MAIL FROM:<sender@edge.example>");
}

/// A message of that long ago, to be delivered within ten minutes.
fn by(mode: ByMode, trace: bool, age: u64) -> impl FnOnce(&mut Delivery) {
    move |message| {
        message.accepted_at = SystemClock.now() - Duration::from_secs(age);
        message.options.deliver_by = Some(DeliverBy { seconds: 600, mode, trace });
    }
}

/// The seconds and the rest of the BY parameter.
fn by_told(seen: &Seen) -> (i64, String) {
    let (_, value) = line(seen, "MAIL").split_once(" BY=").unwrap();
    let (seconds, mode) = value.split_once(';').unwrap();
    (seconds.parse().unwrap(), mode.to_owned())
}

#[tokio::test]
async fn the_seconds_that_are_left_go_along() {
    for (mode, trace, age, left, told) in [
        (ByMode::Return, false, 100, 500, "R"),
        (ByMode::Notify, true, 100, 500, "NT"),
        (ByMode::Notify, false, 700, -100, "N"),
    ] {
        let (seen, tried) = send(&["DELIVERBY 240"], &["a@example.org"], by(mode, trace, age)).await;
        let (seconds, mode) = by_told(&seen);
        assert!((left - 20..=left).contains(&seconds), "{seconds}");
        assert_eq!(mode, told);
        assert_eq!(tried[0].outcomes[0].hop, Hop::Server { dsn: false, deliver_by: true });
    }
}

#[tokio::test]
async fn a_message_to_be_returned_goes_only_where_its_time_is_kept() {
    for (extensions, age, why) in [
        (&["PIPELINING"][..], 100, "cannot be told"),
        (&["DELIVERBY 501"], 100, "501 seconds"),
        (&["DELIVERBY"], 601, "has passed"),
    ] {
        let (seen, tried) = send(extensions, &["a@example.org"], by(ByMode::Return, false, age)).await;
        let (outcome, reply) = outcome(&tried);
        assert_eq!((outcome, line(&seen, "MAIL")), (Outcome::Bounced, ""), "{reply}");
        assert!(reply.starts_with("554 5.4.7") && reply.contains(why), "{reply}");
        assert_eq!(seen.connections == 0, age == 601, "what is late is not even taken to a server");
    }
    let (_, tried) = send(&[], &["a@example.org"], by(ByMode::Notify, false, 601)).await;
    assert_eq!(outcome(&tried).0, Outcome::Delivered);
}

#[tokio::test]
async fn what_is_late_is_not_kept_in_an_inbox_either() {
    let folder = tempfile::tempdir().unwrap();
    let world = World::new(0).with_inbox(folder.path());
    let mut message = world.message("x\r\n", &["a@example.org"]);
    by(ByMode::Return, false, 601)(&mut message);
    let told = world.attempt(&Route::Inbox, vec![message]).await;
    assert!(outcome(&told).1.starts_with("554 5.4.7"));
    let message = world.message("x\r\n", &["a@example.org"]);
    let told = world.attempt(&Route::Inbox, vec![message]).await;
    let told = &told[0].outcomes[0];
    assert_eq!((told.outcome, told.spoken, told.hop), (Outcome::Delivered, false, Hop::End));
}

#[tokio::test]
async fn our_own_words_are_not_said_to_be_a_servers() {
    let world = World::new(0);
    let message = world.message("x\r\n", &["a@example.org"]);
    // nobody listens on the port of discard
    let tried = world.attempt(&smart_host(9), vec![message]).await;
    let told = &tried[0].outcomes[0];
    assert_eq!((told.outcome, told.spoken), (Outcome::Deferred, false), "{}", told.reply);
}
