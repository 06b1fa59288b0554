//! What the commands are tested with: stores of their own, and records of attempts.

use std::sync::Arc;
use std::time::Duration;

use shared::job::{Delivery, DeliveryKey};
use shared::mail::{
    FailureClass, FailureKind, FailureScope, MessageId, PackId, Reply, ReversePath, Timestamp,
};
use shared::port::{Attempt, Held, Next, RecipientState, RecipientStatus, Record};
use shared::testkit::{ManualClock, TempStores, samples};

/// 2023-11-14 22:13:20 UTC.
pub(crate) const ACCEPTED: Timestamp = Timestamp::from_millis(1_700_000_000_000);
/// Two minutes later.
pub(crate) const NOW: Timestamp = Timestamp::from_millis(1_700_000_120_000);

/// A moment some seconds after [`ACCEPTED`].
pub(crate) fn after(seconds: u64) -> Timestamp {
    ACCEPTED + Duration::from_secs(seconds)
}

/// Message 0 of the pack that `seed` gives.
pub(crate) fn message_id(seed: &str) -> MessageId {
    MessageId { pack: PackId::derived(ACCEPTED, seed), n: 0 }
}

/// What a recipient that is deferred waits for.
const GREYLISTED: FailureKind =
    FailureKind { class: FailureClass::Greylisting, scope: FailureScope::Recipient };

/// What a command wrote.
pub(crate) fn text(out: Vec<u8>) -> String {
    String::from_utf8(out).unwrap()
}

/// Empty stores, at [`NOW`].
pub(crate) async fn stores() -> TempStores {
    TempStores::open(Arc::new(ManualClock::at(NOW))).await
}

/// A delivery of `message` to `to`, who are of one domain, that is held until `until`.
pub(crate) fn hold(message: MessageId, to: &[&str], until: Timestamp) -> Held {
    let sample = samples::delivery(to);
    let delivery = Delivery {
        key: DeliveryKey { message, ..sample.key },
        accepted_at: ACCEPTED,
        expires_at: until + sample.expires_at.since(sample.accepted_at),
        ..sample
    };
    Held { delivery, until, forget_at: after(90 * 86_400) }
}

/// The attempts at a delivery, each ended by a reply; with `due_at` it is deferred.
pub(crate) fn attempts(
    message: MessageId,
    domain: &str,
    to: &[&str],
    replies: &[Reply],
    due_at: Option<Timestamp>,
) -> Vec<Record> {
    let delivery = Delivery {
        key: DeliveryKey { message, domain: samples::domain(domain), part: 0 },
        length: 1234,
        from: ReversePath::Mailbox(samples::mailbox("alice@example.com")),
        subject: "Hello".to_owned(),
        signed: vec!["s1._domainkey.example.com".to_owned()],
        accepted_at: ACCEPTED,
        expires_at: after(5 * 86_400),
        ..samples::delivery(to)
    };
    let status = if due_at.is_some() { RecipientStatus::Deferred } else { RecipientStatus::Delivered };
    let record = |(number, reply): (u32, &Reply)| {
        let delivery = Delivery { attempt: number, ..delivery.clone() };
        let state = |to: &&str| RecipientState {
            address: samples::mailbox(to),
            status,
            reply: Some(reply.clone()),
            failure: (status == RecipientStatus::Deferred).then_some(GREYLISTED),
            report: None,
            untold: None,
        };
        let again = Box::new(Delivery { attempt: number + 1, ..delivery.clone() });
        Record {
            recipients: to.iter().map(state).collect(),
            next: due_at.map_or(Next::Settled, |at| Next::Due { at, delivery: again }),
            attempt: Attempt {
                number,
                began_at: after(u64::from(number) * 60 - 59),
                ended_at: after(u64::from(number) * 60 - 58),
                route: "mx".to_owned(),
                host: Some(format!("mx.{domain}")),
                peer: Some("192.0.2.1:25".to_owned()),
                tls: None,
                source: None,
                reply: reply.clone(),
            },
            forget_at: after(30 * 86_400),
            delivery,
        }
    };
    (1..).zip(replies).map(record).collect()
}
