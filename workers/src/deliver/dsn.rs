//! Reports of failed deliveries (RFC 3461, RFC 3464), put in through the same door as any other mail.

mod encode;
mod report;
mod text;

use std::net::{IpAddr, Ipv4Addr};

use bytes::Bytes;
use shared::job::{Delivery, Job, PrepareJob};
use shared::mail::{
    Body, Client, ContentFacts, Envelope, MailOptions, MessageId, PackId, Reply, ReversePath, Status,
};
use shared::pack::{self, NewMessage};
use shared::port::{Outgoing, PortError, PortResult};

use self::report::{Failed, Report};
use super::backoff::persist;
use super::record::Judged;
use super::stage::DeliverPorts;
use crate::limits::{DSN_HEADER_OCTETS_MAX, PORT_TRIES};

/// Puts in one DSN for all failures of `judged`, whose sender is not null; tells which message it is.
///
/// Its pack has a derived id, so that an attempt that is repeated after a crash makes the same report again and not a second
/// one: of two packs the first stays, whatever the second says, and `prepare` prepares a pack once. The failed
/// recipients are part of what the id is derived from: who fails only in the repetition is reported too.
pub(super) async fn put_in(ports: &DeliverPorts, hostname: &str, judged: &Judged) -> PortResult<MessageId> {
    let delivery = &judged.record.delivery;
    let id = PackId::derived(delivery.accepted_at, &seed(judged));
    let header = original_header(ports, delivery).await;
    let report = Report {
        hostname,
        id,
        boundary: format!("{:016x}{:016x}", ports.ids.random(), ports.ids.random()),
        now: ports.clock.now(),
        delivery,
        attempt: &judged.record.attempt,
        failed: failed(judged),
        header: header.as_deref(),
    };
    let message = pack_message(hostname, &report);
    let parts = pack::encode(id, report.now, vec![message]);
    persist(&*ports.clock, PORT_TRIES, || ports.spool.put(id, parts.clone())).await?;
    persist(&*ports.clock, PORT_TRIES, || send(ports, delivery, id)).await?;
    tracing::info!(message_id = %delivery.key.message, report_id = %MessageId { pack: id, n: 0 }, "DSN put in");
    metrics::counter!("spoolway_dsns_total").increment(1);
    Ok(MessageId { pack: id, n: 0 })
}

fn seed(judged: &Judged) -> String {
    let delivery = &judged.record.delivery;
    let mut seed = format!("{}@{} failed", delivery.key, delivery.attempt);
    for failure in &judged.failures {
        seed = format!("{seed} {}", judged.record.recipients[failure.at].address);
    }
    seed
}

fn failed(judged: &Judged) -> Vec<Failed<'_>> {
    let failed = judged.failures.iter().map(|failure| {
        let state = &judged.record.recipients[failure.at];
        let status = state.reply.as_ref().map_or(UNKNOWN, Reply::status);
        Failed {
            address: &state.address,
            // a status of a DSN for a failure is 4.x.x or 5.x.x (RFC 3464 §2.3.4)
            status: if matches!(status.class, 4 | 5) { status } else { UNKNOWN },
            reply: &failure.last_reply,
            expired: failure.expired,
        }
    });
    failed.collect()
}

/// RFC 3463 §3.1: 5.0.0, other undefined status.
const UNKNOWN: Status = Status { class: 5, subject: 0, detail: 0 };

fn pack_message(hostname: &str, report: &Report<'_>) -> (NewMessage, ContentFacts, Bytes) {
    let bytes = report.compose();
    let recipients = report.delivery.from.mailbox().cloned().into_iter().map(Into::into).collect();
    // all of it is 7-bit, but for a sender's address that is not
    let smtputf8 = report.delivery.from.mailbox().is_some_and(|sender| !sender.is_ascii());
    let body = if smtputf8 { Body::EightBitMime } else { Body::SevenBit };
    let message = NewMessage {
        received_at: report.now,
        envelope: Envelope {
            from: ReversePath::Null,
            recipients,
            options: MailOptions { body, smtputf8, ..MailOptions::default() },
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
        tenant: report.delivery.tenant.clone(),
    };
    (message, ContentFacts { eight_bit_header: smtputf8, ..ContentFacts::default() }, bytes.into())
}

async fn send(ports: &DeliverPorts, delivery: &Delivery, pack: PackId) -> PortResult<()> {
    let body = PrepareJob { pack }.encode();
    let outgoing =
        Outgoing { body, delay: std::time::Duration::ZERO, tenant: delivery.tenant.clone(), priority: 0 };
    let results = ports.inbound.send(vec![outgoing]).await?;
    results.into_iter().next().unwrap_or_else(|| Err(PortError::unknown("the send of a job", "no result")))
}

/// The original's header section, with what we put in front of it, as far as it is within bounds. A report without it is better
/// than none.
async fn original_header(ports: &DeliverPorts, delivery: &Delivery) -> Option<Vec<u8>> {
    let end = delivery.offset.saturating_add(delivery.length.min(DSN_HEADER_OCTETS_MAX));
    let pack = delivery.key.message.pack;
    let piece = match persist(&*ports.clock, PORT_TRIES, || ports.spool.get(pack, delivery.offset..end)).await
    {
        Ok(Some(piece)) => piece,
        Ok(None) => {
            tracing::warn!(message_id = %delivery.key.message, "the original of a DSN is not in the spool any more");
            return None;
        }
        Err(cause) => {
            tracing::warn!(message_id = %delivery.key.message, cause = cause.chain(), "the original of a DSN cannot be read");
            return None;
        }
    };
    let mut header = delivery.prefix.as_bytes().to_vec();
    header.extend_from_slice(header_section(&piece.bytes));
    Some(header)
}

/// The whole lines in front of the first empty one.
fn header_section(bytes: &[u8]) -> &[u8] {
    if bytes.starts_with(b"\r\n") {
        return &[];
    }
    let end = memchr::memmem::find(bytes, b"\r\n\r\n").or_else(|| memchr::memmem::rfind(bytes, b"\r\n"));
    &bytes[..end.map_or(0, |end| end + 2)]
}

#[cfg(test)]
mod tests;
