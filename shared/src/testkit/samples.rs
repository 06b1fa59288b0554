//! Values for tests that need some and do not care which.

use crate::job::{Delivery, DeliveryKey};
use crate::mail::{
    Client, ContentFacts, Domain, Envelope, MailOptions, Mailbox, MessageId, PackId, Recipient, Reply,
    ReversePath, TenantId, Timestamp,
};
use crate::pack::NewMessage;
use crate::port::{Action, Attempt, Ids, Next, Notification, RecipientState, RecipientStatus, Record};
use crate::system::SystemIds;
use std::time::Duration;

/// A moment in 2025.
pub const NOW: Timestamp = Timestamp::from_millis(1_735_689_600_000);

/// A pack id that nobody else has.
pub fn pack_id() -> PackId {
    SystemIds::default().pack(NOW)
}

/// A name that nobody else has, so that tests which share a store do not meet.
pub fn unique(prefix: &str) -> String {
    format!("{prefix}-{}", pack_id())
}

/// A mailbox, which must be one.
pub fn mailbox(address: &str) -> Mailbox {
    address.parse().expect("the address is written in a test")
}

/// A domain, which must be one.
pub fn domain(name: &str) -> Domain {
    name.parse().expect("the domain is written in a test")
}

/// The reply of a server that took a message.
pub fn accepted() -> Reply {
    Reply::new(250, (0, 0), "ok")
}

/// The reply of a server that is busy.
pub fn busy() -> Reply {
    Reply::new(451, (7, 1), "greylisted, try again later")
}

/// A message from `from` to each of `to`, submitted over loopback.
pub fn message(from: &str, to: &[&str]) -> NewMessage {
    let from = if from.is_empty() { ReversePath::Null } else { ReversePath::Mailbox(mailbox(from)) };
    let recipients = to.iter().map(|address| Recipient::from(mailbox(address))).collect();
    let client = Client {
        ip: [127, 0, 0, 1].into(),
        helo: "client.example".to_owned(),
        esmtp: true,
        tls: None,
        credential: None,
        submission: true,
        dns: Default::default(),
    };
    let envelope = Envelope { from, recipients, options: MailOptions::default() };
    NewMessage { received_at: NOW, envelope, client, tenant: TenantId::default() }
}

/// A first attempt at delivering a message of a new pack to `to`, who are all of one domain.
pub fn delivery(to: &[&str]) -> Delivery {
    let recipients: Vec<Recipient> = to.iter().map(|address| Recipient::from(mailbox(address))).collect();
    let domain = recipients[0].address.domain().clone();
    let key = DeliveryKey { message: MessageId { pack: pack_id(), n: 0 }, domain, part: 0 };
    Delivery {
        key,
        offset: 300,
        length: 4096,
        prefix: "Received: from client.example\r\n".to_owned(),
        from: ReversePath::Mailbox(mailbox("sender@example.com")),
        return_path: None,
        recipients,
        options: MailOptions::default(),
        content: ContentFacts::default(),
        tenant: TenantId::default(),
        subject: "a subject".to_owned(),
        signed: vec!["s._domainkey.example.com".to_owned()],
        unsigned: None,
        attempt: 1,
        accepted_at: NOW,
        expires_at: NOW + Duration::from_secs(5 * 86_400),
        notices: Default::default(),
        route: None,
        postponed: 0,
        others: 0,
    }
}

/// What an attempt at `delivery` came to, the same for each of its recipients. A deferral is due in a minute.
pub fn record(delivery: &Delivery, status: RecipientStatus) -> Record {
    let reply = if status == RecipientStatus::Deferred { busy() } else { accepted() };
    let began_at = NOW + Duration::from_secs(u64::from(delivery.attempt) * 60);
    let attempt = Attempt {
        number: delivery.attempt,
        began_at,
        ended_at: began_at + Duration::from_millis(40),
        route: "mx".to_owned(),
        host: Some("mx.example.org".to_owned()),
        peer: Some("192.0.2.1:25".to_owned()),
        tls: None,
        source: None,
        reply: reply.clone(),
    };
    let state = |recipient: &Recipient| RecipientState {
        address: recipient.address.clone(),
        status,
        reply: Some(reply.clone()),
        failure: None,
        report: None,
        untold: None,
    };
    let next = match status {
        RecipientStatus::Deferred => Next::Due {
            at: began_at + Duration::from_secs(60),
            delivery: Box::new(Delivery { attempt: delivery.attempt + 1, ..delivery.clone() }),
        },
        _ => Next::Settled,
    };
    Record {
        delivery: delivery.clone(),
        attempt,
        recipients: delivery.recipients.iter().map(state).collect(),
        next,
        forget_at: NOW + Duration::from_secs(30 * 86_400),
    }
}

/// What a sender is to be told of the first recipient of `record`: that nobody has the name.
pub fn notification(record: &Record, action: Action) -> Notification {
    let reply = Reply::new(550, (1, 1), "no such user");
    Notification {
        action,
        original: None,
        status: reply.status(),
        reply: Some(reply),
        spoken: true,
        expired: false,
        suppressed: false,
        host: record.attempt.host.clone(),
        ended_at: record.attempt.ended_at,
        retry_until: record.delivery.expires_at,
    }
}
