//! DSNs (RFC 3461, RFC 3464), put in through the same door as any other mail.

mod encode;
mod original;
mod report;
mod text;

use std::net::{IpAddr, Ipv4Addr};

use bytes::Bytes;
use shared::job::{Delivery, Job, PrepareJob};
use shared::mail::{
    Body, Client, ContentFacts, Envelope, MailOptions, MessageId, PackId, Reply, ReversePath, Status,
};
use shared::pack::{self, NewMessage};
use shared::port::{Outgoing, PortError, PortResult, RecipientStatus};

use self::report::{Report, Row};
use super::backoff::persist;
use super::record::{Event, Item, Judged, News};
use super::stage::DeliverPorts;
use crate::limits::{PORT_TRIES, RECORD_TRIES};

/// Puts in the DSN of the news at `place` of `judged`, whose sender is not null; tells which message it is.
///
/// Its pack has a derived id, so that an attempt that is repeated after a crash makes the same report again and not a second
/// one: of two packs the first stays, whatever the second says, and `prepare` prepares a pack once. The
/// recipients are part of what the id is derived from: who fails only in the repetition is reported too. A delay is told once a
/// delivery, whoever is late.
///
/// So there is at most one of a kind for a delivery and an attempt, which tells of all its recipients together. A message to several
/// domains is several deliveries, and those that fail at different times are told of one by one, as RFC 3464 §2 foresees: to wait
/// for the slowest would keep from the sender for days what is known. `expanded` is never told, as no list is expanded here.
pub(super) async fn put_in(
    ports: &DeliverPorts,
    hostname: &str,
    judged: &Judged,
    place: usize,
) -> PortResult<MessageId> {
    let delivery = &judged.record.delivery;
    let news = &judged.news[place];
    let id = PackId::derived(delivery.accepted_at, &seed(judged, news));
    let returned = original::read(ports, delivery, news.event == Event::Failed).await;
    let report = Report {
        hostname,
        id,
        boundary: format!("{:016x}{:016x}", ports.ids.random(), ports.ids.random()),
        now: ports.clock.now(),
        delivery,
        attempt: &judged.record.attempt,
        event: news.event,
        rows: rows(judged, news),
        retry_until: judged.retry_until,
        returned,
    };
    let message = pack_message(hostname, &report);
    let parts = pack::encode(id, report.now, vec![message]);
    // a failure or a delay that cannot be told now is told later; a delivery is not made again to tell of it
    let tries = match news.event {
        Event::Failed | Event::Delayed { .. } => PORT_TRIES,
        Event::Relayed | Event::Delivered => RECORD_TRIES,
    };
    persist(&*ports.clock, tries, || ports.spool.put(id, parts.clone())).await?;
    persist(&*ports.clock, tries, || send(ports, delivery, id)).await?;
    tracing::info!(message_id = %delivery.key.message, report_id = %MessageId { pack: id, n: 0 }, event = ?news.event, "DSN put in");
    metrics::counter!("spoolway_dsns_total").increment(1);
    Ok(MessageId { pack: id, n: 0 })
}

fn seed(judged: &Judged, news: &News) -> String {
    let delivery = &judged.record.delivery;
    let attempt = format!("{}@{}", delivery.key, delivery.attempt);
    let mut seed = match news.event {
        Event::Failed => format!("{attempt} failed"),
        Event::Delayed { delay, deliver_by } => {
            return format!("{} delayed {delay} {deliver_by}", delivery.key);
        }
        Event::Relayed => format!("{attempt} relayed"),
        Event::Delivered => format!("{attempt} delivered"),
    };
    for item in &news.items {
        seed = format!("{seed} {}", judged.record.recipients[item.at].address);
    }
    seed
}

fn rows<'a>(judged: &'a Judged, news: &'a News) -> Vec<Row<'a>> {
    let row = |item: &'a Item| {
        let recorded = judged.record.recipients[item.at].reply.as_ref().map(Reply::status);
        let status = match news.event {
            // RFC 2852 §4: 4.4.7 once the time is up
            Event::Delayed { .. } if item.expired => Some(Status { class: 4, subject: 4, detail: 7 }),
            _ => recorded,
        };
        Row {
            recipient: &judged.record.delivery.recipients[item.at],
            status: fitting(news.event, status),
            reply: &item.reply,
            spoken: item.spoken,
            expired: item.expired,
            suppressed: judged.record.recipients[item.at].status == RecipientStatus::Suppressed,
        }
    };
    news.items.iter().map(row).collect()
}

/// `status` if its class is one that the event can have (RFC 3464 §2.3.4), and else the one that says no more than the class.
fn fitting(event: Event, status: Option<Status>) -> Status {
    let (fits, class): (&[u16], u16) = match event {
        Event::Failed => (&[4, 5], 5),
        Event::Delayed { .. } => (&[4], 4),
        Event::Relayed | Event::Delivered => (&[2], 2),
    };
    status.filter(|status| fits.contains(&status.class)).unwrap_or(Status { class, subject: 0, detail: 0 })
}

fn pack_message(hostname: &str, report: &Report<'_>) -> (NewMessage, ContentFacts, Bytes) {
    let bytes = report.compose();
    let Delivery { from, options, tenant, .. } = report.delivery;
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

async fn send(ports: &DeliverPorts, delivery: &Delivery, pack: PackId) -> PortResult<()> {
    let body = PrepareJob { pack }.encode();
    let outgoing =
        Outgoing { body, delay: std::time::Duration::ZERO, tenant: delivery.tenant.clone(), priority: 0 };
    let results = ports.inbound.send(vec![outgoing]).await?;
    results.into_iter().next().unwrap_or_else(|| Err(PortError::unknown("the send of a job", "no result")))
}

#[cfg(test)]
mod tests;
