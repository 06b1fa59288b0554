//! The return paths that submissions leave with.

use std::collections::HashSet;

use shared::job::Delivery;
use shared::mail::{MessageId, ReversePath};
use shared::return_path::{ReturnPath, ReturnPaths};
use shared::testkit::{ManualClock, SeededIds};
use workers::Verdict;

use super::submission;
use super::world::{Edge, NOW};

const BYTES: &[u8] = b"From: a@example.com\r\n\r\nhello\r\n";

async fn edge() -> (Edge, ReturnPaths) {
    let edge = Edge::with_return_paths(Some("bounces.example.net")).await;
    let clock = std::sync::Arc::new(ManualClock::at(NOW));
    let paths =
        ReturnPaths::new("bounces.example.net".parse().unwrap(), edge.stores().directory.clone(), clock);
    (edge, paths)
}

fn deliveries(edge: &Edge) -> Vec<Delivery> {
    edge.jobs().into_iter().flat_map(|job| job.deliveries).collect()
}

#[tokio::test]
async fn each_recipient_of_a_submission_leaves_with_a_signed_path_of_its_own() {
    let (edge, paths) = edge().await;
    paths.ensure_key(&SeededIds::new(1)).await.unwrap();
    let message = submission(&["b@b.example", "a1@a.example", "a2@a.example"]);
    let pack = edge.put("one", vec![(message, BYTES)]).await;
    assert_eq!(edge.run(pack).await, Verdict::Done);
    let all = deliveries(&edge);
    let mut recipients = Vec::new();
    for delivery in &all {
        assert_eq!(delivery.recipients.len(), 1);
        assert_eq!(delivery.from.as_str(), "sender@bounces.example", "its sender is who it was");
        let path = delivery.return_path.as_ref().unwrap();
        assert_eq!(delivery.mail_from(), Some(path));
        let told = paths.verify(path).await.unwrap().unwrap();
        assert_eq!(told.message, MessageId { pack, n: 0 });
        recipients.push((told.recipient, delivery.recipients[0].address.to_string()));
    }
    recipients.sort();
    let expected = [(0, "a1@a.example"), (1, "a2@a.example"), (2, "b@b.example")];
    assert_eq!(recipients, expected.map(|(n, to)| (n, to.to_owned())));
    let keys: HashSet<_> = all.iter().map(|delivery| &delivery.key).collect();
    assert_eq!(keys.len(), 3);
    // a second run, after a crash, makes the same to the letter
    edge.stores().deliveries.abandon(&format!("P#{pack}"), "x").await.unwrap();
    let path = ReturnPath { message: MessageId { pack, n: 0 }, recipient: 0 };
    assert_eq!(
        paths.sign(path).await.unwrap().as_ref(),
        all.iter().find_map(|delivery| {
            (delivery.recipients[0].address.as_str() == "a1@a.example")
                .then_some(delivery.return_path.as_ref())?
        })
    );
}

#[tokio::test]
async fn what_is_not_ours_to_bounce_keeps_its_sender() {
    let (edge, paths) = edge().await;
    let unsigned = edge.one(submission(&["a1@a.example"]), BYTES).await;
    assert_eq!(unsigned.return_path, None, "there is no key yet");
    paths.ensure_key(&SeededIds::new(1)).await.unwrap();
    let mut strangers = submission(&["a1@a.example", "a2@a.example"]);
    strangers.client.submission = false;
    let mut null = submission(&["a1@a.example"]);
    null.envelope.from = ReversePath::Null;
    let pack = edge.put("two", vec![(strangers, BYTES), (null, BYTES)]).await;
    assert_eq!(edge.run(pack).await, Verdict::Done);
    let all = deliveries(&edge);
    assert_eq!(all.iter().map(|delivery| delivery.recipients.len()).collect::<Vec<_>>(), [2, 1]);
    assert!(all.iter().all(|delivery| delivery.return_path.is_none()));
}

#[tokio::test]
async fn each_recipient_at_the_domain_of_return_paths_is_alone() {
    let (edge, _paths) = edge().await;
    let mut bounce = submission(&["b+1@bounces.example.net", "b+2@bounces.example.net", "a@a.example"]);
    (bounce.client.submission, bounce.envelope.from) = (false, ReversePath::Null);
    let pack = edge.put("one", vec![(bounce, BYTES)]).await;
    assert_eq!(edge.run(pack).await, Verdict::Done);
    let all = deliveries(&edge);
    let parts: Vec<_> = all.iter().map(|delivery| (delivery.recipients.len(), delivery.key.part)).collect();
    assert_eq!(parts, [(1, 0), (1, 0), (1, 1)]);
}
