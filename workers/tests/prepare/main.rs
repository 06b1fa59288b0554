//! The prepare stage from outside: a pack and its job in, jobs of deliveries out.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod return_paths;
mod tls_reports;
mod world;

use std::collections::HashMap;
use std::time::Duration;

use bytes::Bytes;
use shared::job::Delivery;
use shared::mail::{
    Client, ContentFacts, Envelope, MailOptions, Mailbox, Notify, OriginalRecipient, PackId, ReversePath,
    TenantId,
};
use shared::pack::{NewMessage, StreamedPack};
use workers::dkim::{Verification, verify};
use workers::{Stage, Verdict};
use world::{Edge, NOW};

fn submission(recipients: &[&str]) -> NewMessage {
    NewMessage {
        received_at: NOW,
        envelope: Envelope {
            from: ReversePath::Mailbox("sender@bounces.example".parse().unwrap()),
            recipients: recipients.iter().map(|to| to.parse::<Mailbox>().unwrap().into()).collect(),
            options: MailOptions::default(),
        },
        client: Client {
            ip: "192.0.2.7".parse().unwrap(),
            helo: "app.example".to_owned(),
            esmtp: true,
            tls: None,
            credential: None,
            submission: true,
            dns: Default::default(),
        },
        tenant: TenantId::default(),
    }
}

fn leaves(delivery: &Delivery, bytes: &[u8]) -> Vec<u8> {
    [delivery.prefix.as_bytes(), bytes].concat()
}

fn all_pass(records: &HashMap<String, String>, message: &[u8]) -> usize {
    let told = verify(message, |name| records.get(name).cloned());
    assert!(told.iter().all(|(_, verdict)| *verdict == Verification::Pass), "{told:?}");
    told.len()
}

#[tokio::test]
async fn a_submission_from_our_domain_leaves_complete_and_signed_twice() {
    let edge = Edge::new().await;
    let records = edge.add_domain("example.com").await;
    let bytes = b"From: a@Example.com\r\nSubject: =?utf-8?Q?gr=C3=BC=C3=9Fe?=\r\n\r\nhello  \r\n \r\n";
    let delivery = edge.one(submission(&["b@example.net"]), bytes).await;
    let signed = leaves(&delivery, bytes);
    assert_eq!(all_pass(&records, &signed), 2);
    let text = String::from_utf8_lossy(&signed);
    assert!(text.contains("\r\nDate: Tue, 14 Nov 2023 22:13:20 +0000\r\n"), "{text}");
    assert!(text.contains(&format!("\r\nMessage-ID: <{}@mx.example>\r\n", delivery.key.message)), "{text}");
    assert_eq!(delivery.signed, ["e1._domainkey.example.com", "r1._domainkey.example.com"]);
    assert_eq!(delivery.unsigned, None);
    assert_eq!(delivery.subject, "gr\u{fc}\u{df}e");
    let changed = text.replace("Tue, 14 Nov", "Wed, 15 Nov");
    let told = verify(changed.as_bytes(), |name| records.get(name).cloned());
    assert!(
        told.iter().all(|(_, verdict)| *verdict == Verification::SignatureWrong),
        "the added Date is signed"
    );
}

#[tokio::test]
async fn a_job_is_as_urgent_as_the_most_urgent_of_its_messages() {
    let edge = Edge::new().await;
    let ranked = |priority, to: &str| {
        let mut message = submission(&[to]);
        message.envelope.options.priority = priority;
        message
    };
    for (priorities, expected) in [([0, 4], 4), ([-3, -5], -3), ([0, -9], 0)] {
        let messages = priorities.map(|priority| (ranked(priority, "b@example.net"), &b"\r\n"[..]));
        let pack = edge.put(&format!("{priorities:?}"), messages.into()).await;
        assert_eq!(edge.run(pack).await, Verdict::Done);
        let sent = std::mem::take(&mut *edge.outbound.sent.lock().unwrap());
        assert_eq!(sent.iter().map(|job| job.priority).max(), Some(expected), "{priorities:?}");
    }
}

#[tokio::test]
async fn what_a_client_wrote_is_neither_doubled_nor_completed_where_it_only_passes_through() {
    let edge = Edge::new().await;
    edge.add_domain("example.com").await;
    let bytes = b"Date: x\r\nMESSAGE-id: <y>\r\nFrom: a@other.net\r\n\r\n";
    let delivery = edge.one(submission(&["b@example.net"]), bytes).await;
    assert!(
        delivery.prefix.starts_with("Received: from app.example ([192.0.2.7])\r\n by mx.example with ESMTP")
    );
    assert_eq!(delivery.prefix.matches(": ").count(), 1, "{}", delivery.prefix);
    let mut relayed = submission(&["b@example.net"]);
    relayed.client.submission = false;
    let edge = Edge::new().await;
    edge.add_domain("example.com").await;
    let delivery = edge.one(relayed, b"From: a@example.com\r\n\r\n").await;
    assert_eq!(delivery.prefix.matches(": ").count(), 1, "{}", delivery.prefix);
}

#[tokio::test]
async fn the_envelope_is_never_derived_from_the_header() {
    let edge = Edge::new().await;
    edge.add_domain("example.com").await;
    let bytes = b"From: a@example.com\r\nTo: x@evil.example\r\nBcc: y@evil.example\r\nReturn-Path: <z@evil.example>\r\n\
                  Sender: s@evil.example\r\n\r\nTo: w@evil.example\r\n";
    let delivery = edge.one(submission(&["b@example.net"]), bytes).await;
    let json = serde_json::to_string(&Delivery { prefix: String::new(), ..delivery.clone() }).unwrap();
    assert!(!json.contains("evil"), "{json}");
    assert_eq!(delivery.from.as_str(), "sender@bounces.example");
    assert_eq!(delivery.key.domain.as_str(), "example.net");
    assert_eq!(delivery.expires_at, NOW + Duration::from_secs(5 * 24 * 60 * 60));
}

#[tokio::test]
async fn no_name_of_a_client_makes_a_header_line() {
    let mut message = submission(&["b@example.net"]);
    message.client.helo = "x)\r\nBcc: evil@example.org\r\n\r\n(\u{fc}".to_owned();
    let delivery = Edge::new().await.one(message, b"From: a@b.c\r\nDate: x\r\nMessage-ID: <y>\r\n\r\n").await;
    assert!(delivery.prefix.starts_with("Received: from x???Bcc:?evil?example.org"), "{}", delivery.prefix);
    assert!(delivery.prefix.trim_end().split("\r\n").skip(1).all(|line| line.starts_with(' ')));
    assert!(delivery.prefix.is_ascii());
}

#[tokio::test]
async fn a_message_that_opens_with_its_body_cannot_continue_our_header() {
    for bytes in [&b" continued\r\nFrom: a@example.com\r\n\r\n"[..], b"hello\r\n", b"hello"] {
        let edge = Edge::new().await;
        edge.add_domain("example.com").await;
        let delivery = edge.one(submission(&["b@example.net"]), bytes).await;
        assert!(delivery.prefix.ends_with("\r\n\r\n"), "{:?}", delivery.prefix);
        assert!(delivery.signed.is_empty() && delivery.unsigned.is_some(), "{:?}", delivery.unsigned);
    }
    let endless = [&b" "[..], &vec![b'x'; 300 * 1024]].concat();
    let delivery = Edge::new().await.one(submission(&["b@example.net"]), &endless).await;
    assert!(delivery.prefix.ends_with("\r\n\r\n"), "{:?}", delivery.prefix);
    for bytes in [&b"\r\nhello\r\n"[..], b"", b"A: b\r\n"] {
        let delivery = Edge::new().await.one(submission(&["b@example.net"]), bytes).await;
        assert!(!delivery.prefix.ends_with("\r\n\r\n"), "{:?}", delivery.prefix);
    }
}

#[tokio::test]
async fn a_streamed_message_is_signed_without_being_held() {
    let edge = Edge::new().await;
    let records = edge.add_domain("example.com").await;
    let line = b"some words  and\twhite space \r\n";
    let body = line.repeat(5 * 1024 * 1024 / line.len());
    let bytes = [b"From: a@example.com\r\nSubject: large\r\n\r\n", &body[..], b" \r\n\r\n"].concat();
    let id = PackId::derived(NOW, "streamed");
    let message = submission(&["b@example.net"]);
    let mut pack = StreamedPack::begin(&*edge.stores().spool, id, NOW, message).await.unwrap();
    for piece in bytes.chunks(70_001) {
        pack.write(Bytes::copy_from_slice(piece)).await.unwrap();
    }
    pack.finish(ContentFacts::default()).await.unwrap();
    assert_eq!(edge.run(id).await, Verdict::Done);
    let delivery = edge.jobs().remove(0).deliveries.remove(0);
    assert_eq!(all_pass(&records, &leaves(&delivery, &bytes)), 2);
    assert!(edge.spool.largest_read() <= 1024 * 1024);
}

#[tokio::test]
async fn a_header_that_lies_across_pieces_is_read_and_one_without_end_is_carried_unsigned() {
    let edge = Edge::new().await;
    let records = edge.add_domain("example.com").await;
    let header = |octets: usize| {
        let filler = format!("X-Filler: {}\r\n", "x".repeat(900));
        format!("Date: x\r\n{}From: a@example.com\r\n\r\nbody\r\n", filler.repeat(octets / filler.len()))
    };
    // the first message moves the second one's header across the end of what is read at once
    let first = [b"From: a@other.net\r\n\r\n", &vec![b'x'; 900 * 1024][..]].concat();
    let fits = header(200 * 1024);
    let pack = edge
        .put(
            "p",
            vec![(submission(&["b@example.net"]), &first), (submission(&["b@example.net"]), fits.as_bytes())],
        )
        .await;
    assert_eq!(edge.run(pack).await, Verdict::Done);
    let deliveries = edge.jobs().remove(0).deliveries;
    assert_eq!(all_pass(&records, &leaves(&deliveries[1], fits.as_bytes())), 2);
    for octets in [257 * 1024, 600 * 1024] {
        let delivery =
            edge_with_domain().await.one(submission(&["b@example.net"]), header(octets).as_bytes()).await;
        assert_eq!((delivery.prefix.matches(": ").count(), delivery.signed.len()), (1, 0), "{octets}");
    }
}

async fn edge_with_domain() -> Edge {
    let edge = Edge::new().await;
    edge.add_domain("example.com").await;
    edge
}

#[tokio::test]
async fn deliveries_are_one_a_domain_and_jobs_keep_destinations_together() {
    let edge = Edge::new().await;
    let bytes = b"From: a@b.c\r\n\r\n";
    let messages = (0..40).map(|n| {
        let to = [format!("u{n}@A.example"), format!("u{n}@b.example"), format!("v{n}@a.EXAMPLE")];
        (submission(&to.each_ref().map(String::as_str)), &bytes[..])
    });
    let pack = edge.put("p", messages.collect()).await;
    assert_eq!(edge.run(pack).await, Verdict::Done);
    let shape: Vec<(usize, Vec<String>)> = edge
        .jobs()
        .iter()
        .map(|job| {
            let mut domains: Vec<_> = job.deliveries.iter().map(|one| one.key.domain.to_string()).collect();
            domains.dedup();
            (job.deliveries.len(), domains)
        })
        .collect();
    let strings = |names: &[&str]| names.iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(
        shape,
        [
            (32, strings(&["a.example"])),
            (32, strings(&["a.example", "b.example"])),
            (16, strings(&["b.example"]))
        ]
    );
}

#[tokio::test]
async fn over_a_hundred_recipients_of_one_domain_are_parted_and_jobs_stay_small() {
    let edge = Edge::new().await;
    let local = "\\\"".repeat(29);
    let recipients: Vec<String> =
        (0..950).map(|n| format!("\"{local}{n:03}\"@{}.example", "d".repeat(60))).collect();
    let recipients: Vec<&str> = recipients.iter().map(String::as_str).collect();
    let message = || (submission(&recipients), &b"Subject: \"\\\x01\"\r\n\r\n"[..]);
    let pack = edge.put("p", vec![message(), message()]).await;
    assert_eq!(edge.run(pack).await, Verdict::Done);
    let jobs = edge.jobs();
    assert!(jobs.len() > 1, "it would not fit into one");
    let deliveries: Vec<Delivery> = jobs.into_iter().flat_map(|job| job.deliveries).collect();
    let parts: Vec<(u16, usize)> =
        deliveries.iter().map(|one| (one.key.part, one.recipients.len())).collect();
    let one: Vec<(u16, usize)> = (0..10).map(|part| (part, if part < 9 { 100 } else { 50 })).collect();
    assert_eq!(parts, [one.clone(), one].concat());
}

#[tokio::test]
async fn a_job_belongs_to_one_tenant() {
    let edge = Edge::new().await;
    let of =
        |tenant: &str| NewMessage { tenant: TenantId(tenant.to_owned()), ..submission(&["b@example.net"]) };
    let messages = ["x", "y", "x"].map(|tenant| (of(tenant), &b"A: b\r\n\r\n"[..]));
    let pack = edge.put("p", messages.into()).await;
    assert_eq!(edge.run(pack).await, Verdict::Done);
    let sent = edge.outbound.sent.lock().unwrap().clone();
    let tenants: Vec<_> = sent.iter().map(|entry| entry.tenant.0.as_str()).collect();
    assert_eq!(tenants, ["x", "y"]);
    assert_eq!(edge.jobs().iter().map(|job| job.deliveries.len()).collect::<Vec<_>>(), [2, 1]);
}

#[tokio::test]
async fn killed_after_some_jobs_a_second_run_sends_the_same_ones_marked() {
    let edge = edge_with_domain().await;
    let messages: Vec<_> = (0..64)
        .map(|n| (submission(&[&format!("u@d{n}.example")]), &b"From: a@example.com\r\n\r\nx\r\n"[..]))
        .collect();
    let pack = edge.put("p", messages).await;
    *edge.outbound.room.lock().unwrap() = Some(1);
    assert!(matches!(edge.run(pack).await, Verdict::Again { .. }));
    let first = edge.jobs();
    assert_eq!(first.len(), 1);
    *edge.outbound.room.lock().unwrap() = None;
    assert_eq!(edge.run(pack).await, Verdict::Done);
    let second = edge.jobs();
    assert!(!first[0].check && second.iter().all(|job| job.check));
    assert_eq!(second.len(), 2);
    assert_eq!(first[0].id, second[0].id);
    assert_eq!(first[0].deliveries, second[0].deliveries, "signatures included");
    assert_eq!(edge.run(pack).await, Verdict::Done);
    assert_eq!(edge.jobs(), [], "a pack that is done is done");
}

#[tokio::test]
async fn a_pack_that_another_worker_holds_is_left_alone() {
    let edge = Edge::new().await;
    let pack = edge.put("p", vec![(submission(&["b@example.net"]), b"A: b\r\n\r\n")]).await;
    let lease = Duration::from_secs(40);
    edge.stores().deliveries.claim(&format!("P#{pack}"), "other", NOW, lease).await.unwrap();
    assert!(matches!(edge.run(pack).await, Verdict::Again { after } if after > Duration::ZERO));
    assert_eq!(edge.jobs(), []);
}

#[tokio::test]
async fn of_a_corrupt_pack_nothing_is_sent_and_it_is_set_aside() {
    let messages = || {
        (0..12)
            .map(|n| (submission(&[&format!("u@d{n}.example")]), &b"From: a@b.c\r\n\r\nthe body\r\n"[..]))
            .collect()
    };
    let whole = Edge::new().await;
    let pack = whole.put("p", messages()).await;
    let length = std::fs::read(whole.file(pack)).unwrap().len();
    // each part of the pack: magic, header length, header, the first and the last message; and its end cut off
    for at in [0, 9, 40, length - 300, length - 3] {
        for cut in [false, true] {
            let edge = Edge::new().await;
            let pack = edge.put("p", messages()).await;
            let mut bytes = std::fs::read(edge.file(pack)).unwrap();
            if cut {
                bytes.truncate(at);
            } else {
                bytes[at] ^= 1;
            }
            std::fs::write(edge.file(pack), bytes).unwrap();
            for _ in 0..2 {
                assert!(matches!(edge.run(pack).await, Verdict::Again { .. }));
            }
            assert_eq!(edge.jobs(), [], "{at}");
            assert_eq!(edge.set_aside(), [pack.to_string()], "{at}");
        }
    }
}

#[tokio::test]
async fn a_pack_that_is_not_there_and_a_job_that_is_none_are_not_done() {
    let edge = Edge::new().await;
    assert!(matches!(edge.run(PackId::derived(NOW, "gone")).await, Verdict::Again { .. }));
    assert!(edge.set_aside().is_empty());
    for body in ["", "{}", "{\"v\":1,\"pack\":\"x\"}", "{\"v\":9,\"pack\":\"0\"}"] {
        assert!(matches!(edge.stage.run(body).await, Verdict::Again { .. }), "{body}");
    }
}

#[tokio::test]
async fn keys_are_not_read_for_each_message_and_a_lost_key_holds_no_mail() {
    let edge = edge_with_domain().await;
    edge.stores().keys.delete(&"example.com".parse().unwrap(), "r1").await.unwrap();
    let messages =
        || (0..30).map(|_| (submission(&["b@example.net"]), &b"From: a@example.com\r\n\r\n"[..])).collect();
    for seed in ["p", "q"] {
        let pack = edge.put(seed, messages()).await;
        assert_eq!(edge.run(pack).await, Verdict::Done);
    }
    for job in edge.jobs() {
        assert!(job.deliveries.iter().all(|one| one.signed == ["e1._domainkey.example.com"]));
    }
    assert_eq!(edge.keys.calls("get"), 2);
}

#[tokio::test]
async fn what_is_urgent_goes_first_and_is_in_no_job_with_what_is_not() {
    let edge = Edge::new().await;
    let at = |priority: i8, to: &str| {
        let mut message = submission(&[to]);
        message.envelope.options.priority = priority;
        (message, &b"From: a@example.com\r\n\r\n"[..])
    };
    let mail = vec![at(0, "a@a.example"), at(-3, "b@a.example"), at(5, "c@z.example"), at(0, "d@b.example")];
    let pack = edge.put("mixed", mail).await;
    assert_eq!(edge.run(pack).await, Verdict::Done);
    let jobs = edge.jobs();
    let priorities: Vec<Vec<i8>> =
        jobs.iter().map(|job| job.deliveries.iter().map(|one| one.options.priority).collect()).collect();
    assert_eq!(priorities, [vec![5], vec![0, 0], vec![-3]]);
}

#[tokio::test]
async fn that_tls_is_not_required_is_noted_unless_the_envelope_requires_it() {
    for require_tls in [false, true] {
        let edge = Edge::new().await;
        let mut message = submission(&["b@example.net"]);
        message.envelope.options.require_tls = require_tls;
        let delivery = edge.one(message, b"From: a@example.com\r\nTLS-Required: No\r\n\r\n").await;
        assert_eq!(delivery.content.tls_not_required, !require_tls);
    }
}

#[tokio::test]
async fn jobs_have_room_for_all_that_senders_ask_for() {
    let edge = Edge::new().await;
    let to: Vec<String> = (0..100).map(|n| format!("{n}@example.net")).collect();
    let mut message = submission(&to.iter().map(String::as_str).collect::<Vec<_>>());
    message.envelope.options.envid = Some("\"".repeat(100));
    for recipient in &mut message.envelope.recipients {
        recipient.notify = Some(Notify { success: true, failure: true, delay: true });
        let address = "\"".repeat(500);
        recipient.original = Some(OriginalRecipient { kind: "rfc822".to_owned(), address });
    }
    let mail = (0..8).map(|_| (message.clone(), &b"From: a@example.com\r\n\r\n"[..])).collect();
    let pack = edge.put("wordy", mail).await;
    assert_eq!(edge.run(pack).await, Verdict::Done);
    // that none is too long is asserted where they are read
    assert_eq!(edge.jobs().iter().map(|job| job.deliveries.len()).sum::<usize>(), 8);
}
