use shared::job::Delivery;
use workers::deliver::Transport as _;
use workers::deliver::{Outcome, Route};

use crate::world::{World, outcome, outcomes, rule};

#[tokio::test]
async fn the_file_is_the_message_behind_its_envelope() {
    let folder = tempfile::tempdir().unwrap();
    let inbox = folder.path().join("inbox");
    let world = World::new(1).with_inbox(&inbox);
    let message = world.message(".x\r\n", &["a@example.org", "b@example.org"]);
    let id = message.key.message;
    let tried = world.attempt(&Route::Inbox, vec![message]).await;
    assert!(outcomes(&tried)[0].iter().all(|(outcome, _)| *outcome == Outcome::Delivered));
    let expected = "Return-Path: <sender@edge.example>\r\nDelivered-To: a@example.org\r\n\
        Delivered-To: b@example.org\r\nReceived: from here\r\n.x\r\n";
    assert_eq!(std::fs::read_to_string(inbox.join(format!("{id}.eml"))).unwrap(), expected);
    assert_eq!(std::fs::read_dir(inbox).unwrap().count(), 1);
}

/// The same message for other recipients.
fn also_to(message: &Delivery, recipient: &str) -> Delivery {
    let mut also = message.clone();
    also.recipients = vec![recipient.parse::<shared::mail::Mailbox>().unwrap().into()];
    also.key.domain = also.recipients[0].address.domain().clone();
    also
}

#[tokio::test]
async fn deliveries_of_one_message_meet_in_one_file_however_often_and_however_close() {
    let folder = tempfile::tempdir().unwrap();
    let world = World::new(1).with_inbox(folder.path());
    // its own header must not be mistaken for what an earlier delivery put there
    let message = world.message("Delivered-To: c3@example.org\r\n\r\nx\r\n", &["c0@example.org"]);
    let transports = world.transports().await;
    let (tried, mut back) = tokio::sync::mpsc::channel(64);
    let all: Vec<Delivery> = (0..8).map(|n| also_to(&message, &format!("c{}@example.org", n % 4))).collect();
    let attempts = all.into_iter().map(|each| transports.attempt(rule(&Route::Inbox), vec![each], &tried));
    futures::future::join_all(attempts).await;
    drop(tried);
    while let Some(tried) = back.recv().await {
        assert_eq!(tried.outcomes[0].outcome, Outcome::Delivered);
    }
    let file = std::fs::read_to_string(folder.path().join(format!("{}.eml", message.key.message))).unwrap();
    let (head, rest) = file.split_once("Received: from here\r\n").unwrap();
    assert_eq!(rest, "Delivered-To: c3@example.org\r\n\r\nx\r\n");
    let mut lines: Vec<&str> = head.lines().collect();
    lines.sort_unstable();
    let expected =
        ["Delivered-To: c0@example.org", "Delivered-To: c1@example.org", "Delivered-To: c2@example.org"];
    assert_eq!(lines[..3], expected);
    assert_eq!(lines[3..], ["Delivered-To: c3@example.org", "Return-Path: <sender@edge.example>"]);
}

#[tokio::test]
async fn a_message_that_cannot_be_read_leaves_no_file() {
    let folder = tempfile::tempdir().unwrap();
    let world = World::new(1).with_inbox(folder.path());
    let message = world.message("x\r\n", &["a@example.org"]);
    let file = folder.path().join(format!("{}.eml", message.key.message));
    world.truncate(1);
    assert_eq!(outcome(&world.attempt(&Route::Inbox, vec![message]).await).0, Outcome::Deferred);
    assert!(!file.exists());
}

#[tokio::test]
async fn what_is_in_the_inbox_is_its_owners_alone() {
    let folder = tempfile::tempdir().unwrap();
    let inbox = folder.path().join("new/inbox");
    let world = World::new(1).with_inbox(&inbox);
    let message = world.message("x\r\n", &["a@example.org"]);
    let file = inbox.join(format!("{}.eml", message.key.message));
    assert_eq!(outcome(&world.attempt(&Route::Inbox, vec![message]).await).0, Outcome::Delivered);
    for path in [inbox, file] {
        let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&path).unwrap().permissions());
        assert_eq!(mode & 0o077, 0, "{}: {mode:o}", path.display());
    }
}
