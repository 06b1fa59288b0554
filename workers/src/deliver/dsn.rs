//! DSNs (RFC 3461, RFC 3464), put in through the same door as any other mail.

mod encode;
mod gathered;
mod original;
mod report;
mod row;
mod text;

use std::net::{IpAddr, Ipv4Addr};

use bytes::Bytes;
use shared::job::{Delivery, Job, PrepareJob};
use shared::mail::{Body, Client, ContentFacts, Envelope, MailOptions, MessageId, PackId, ReversePath};
use shared::pack::{self, NewMessage};
use shared::port::{Action, Outgoing, PortError, PortResult};

pub(super) use self::gathered::tell;
use self::report::Report;
pub(super) use self::row::Row;
use super::backoff::persist;
use super::record::Event;
use super::stage::DeliverPorts;
use crate::limits::{PORT_TRIES, RECORD_TRIES};

/// A DSN to be.
pub(super) struct Dsn<'a> {
    /// What its id is derived from: all that makes it the one that it is.
    pub(super) seed: String,
    /// The message, as a delivery of it was tried; its sender is not null.
    pub(super) original: &'a Delivery,
    /// What it tells.
    pub(super) action: Action,
    /// Of whom.
    pub(super) rows: &'a [Row<'a>],
}

impl<'a> Dsn<'a> {
    /// The DSN of one attempt's news, whose only delivery that is.
    ///
    /// An attempt that is repeated after a crash makes the same report again and not a second one, by its seed. The recipients are part
    /// of it: who fails only in the repetition is reported too. A delay is told once, whoever is late.
    pub(super) fn of(delivery: &'a Delivery, event: Event, rows: &'a [Row<'a>]) -> Self {
        let (key, action) = (&delivery.key, event.action());
        let seed = match event {
            Event::Delayed { delay, deliver_by } => format!("{key} delayed {delay} {deliver_by}"),
            Event::Failed | Event::Relayed | Event::Delivered => {
                let begun = format!("{key}@{} {}", delivery.attempt, action.as_str());
                rows.iter().fold(begun, |seed, row| format!("{seed} {}", row.address))
            }
        };
        Self { seed, original: delivery, action, rows }
    }

    /// The message that it will be.
    pub(super) fn id(&self) -> MessageId {
        MessageId { pack: PackId::derived(self.original.accepted_at, &self.seed), n: 0 }
    }
}

/// Puts in `dsn`, and tells which message it is. Of two packs with its id the first stays, whatever the second says, and `prepare`
/// prepares a pack once. `expanded` is never told, as no list is expanded here.
pub(super) async fn put_in(ports: &DeliverPorts, hostname: &str, dsn: &Dsn<'_>) -> PortResult<MessageId> {
    let Dsn { original, action, rows, .. } = *dsn;
    let message = dsn.id();
    let id = message.pack;
    let returned = original::read(ports, original, action == Action::Failed).await;
    let boundary = format!("{:016x}{:016x}", ports.ids.random(), ports.ids.random());
    let report = Report { hostname, id, boundary, now: ports.clock.now(), original, action, rows, returned };
    let packed = pack_message(hostname, &report);
    let parts = pack::encode(id, report.now, vec![packed]);
    // a failure or a delay that cannot be told now is told later; a delivery is not made again to tell of it
    let tries = match action {
        Action::Failed | Action::Delayed => PORT_TRIES,
        Action::Relayed | Action::Delivered => RECORD_TRIES,
    };
    persist(&*ports.clock, tries, || ports.spool.put(id, parts.clone())).await?;
    persist(&*ports.clock, tries, || send(ports, original, id)).await?;
    let (about, action) = (original.key.message, action.as_str());
    tracing::info!(message_id = %about, report_id = %message, action, recipients = rows.len(), "DSN put in");
    metrics::counter!("spoolway_dsns_total").increment(1);
    Ok(message)
}

fn pack_message(hostname: &str, report: &Report<'_>) -> (NewMessage, ContentFacts, Bytes) {
    let bytes = report.compose();
    let Delivery { from, options, tenant, .. } = report.original;
    let recipients = from.mailbox().cloned().into_iter().map(Into::into).collect();
    // the header is ASCII, but for a sender's address that is not
    let smtputf8 = from.mailbox().is_some_and(|sender| encode::in_ascii(sender).is_none());
    let eight_bit_body = report.returned.is_eight_bit();
    let body = if smtputf8 || eight_bit_body { Body::EightBitMime } else { Body::SevenBit };
    let message = NewMessage {
        received_at: report.now,
        envelope: Envelope {
            from: ReversePath::Null,
            recipients,
            // RFC 8689 §5: what tells of a message goes no less safely than the message
            options: MailOptions {
                body,
                smtputf8,
                require_tls: options.require_tls,
                ..MailOptions::default()
            },
        },
        client: Client {
            ip: IpAddr::V4(Ipv4Addr::LOCALHOST),
            helo: hostname.to_owned(),
            esmtp: true,
            tls: None,
            credential: None,
            submission: true,
            dns: Default::default(),
        },
        tenant: tenant.clone(),
    };
    let facts = ContentFacts { eight_bit_header: smtputf8, eight_bit_body, ..ContentFacts::default() };
    (message, facts, bytes.into())
}

pub(super) async fn send(ports: &DeliverPorts, delivery: &Delivery, pack: PackId) -> PortResult<()> {
    let body = PrepareJob { pack }.encode();
    let outgoing =
        Outgoing { body, delay: std::time::Duration::ZERO, tenant: delivery.tenant.clone(), priority: 0 };
    let results = ports.inbound.send(vec![outgoing]).await?;
    results.into_iter().next().unwrap_or_else(|| Err(PortError::unknown("the send of a job", "no result")))
}

#[cfg(test)]
mod tests;
