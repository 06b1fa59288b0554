//! A report by mail (RFC 8460 §5.3), put in through the same door as any other message.

use std::net::{IpAddr, Ipv4Addr};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use shared::job::{Job, PrepareJob};
use shared::mail::{
    Client, ContentFacts, Envelope, MailOptions, Mailbox, MessageId, Notify, PackId, Recipient, ReversePath,
    TenantId,
};
use shared::pack::{self, NewMessage};
use shared::port::{Outgoing, PortError, PortResult};

use super::ReportsSettings;
use super::daily::ReportsPorts;
use super::report::DayOf;
use crate::limits::tls_report::BASE64_LINE;

/// Puts in the report `gzipped` to `to`. The pack has a derived id: put in twice, it is one message.
pub(super) async fn put_in(
    ports: &ReportsPorts,
    settings: &ReportsSettings,
    day: &DayOf,
    id: &str,
    gzipped: &[u8],
    to: &[Mailbox],
) -> PortResult<MessageId> {
    let seed = to.iter().fold(format!("tls-report {id}"), |seed, to| format!("{seed} {}", to.as_str()));
    let pack = PackId::derived(day.at, &seed);
    let now = ports.clock.now();
    let message = NewMessage {
        received_at: now,
        envelope: Envelope {
            from: ReversePath::Mailbox(settings.from.clone()),
            recipients: to.iter().map(|to| recipient(to.clone())).collect(),
            options: MailOptions::default(),
        },
        client: Client {
            ip: IpAddr::V4(Ipv4Addr::LOCALHOST),
            helo: settings.hostname.clone(),
            esmtp: true,
            tls: None,
            credential: None,
            submission: true,
            dns: Default::default(),
        },
        tenant: TenantId::default(),
    };
    // a report of what is wrong with TLS must not be kept back by it (RFC 8460 §3)
    let facts = ContentFacts { tls_not_required: true, ..ContentFacts::default() };
    let content = compose(settings, day, id, gzipped, to, &pack, &now.rfc5322());
    let parts = pack::encode(pack, now, vec![(message, facts, Bytes::from(content))]);
    ports.spool.put(pack, parts).await?;
    let job = Outgoing {
        body: PrepareJob { pack }.encode(),
        delay: std::time::Duration::ZERO,
        tenant: TenantId::default(),
        priority: 0,
    };
    let results = ports.inbound.send(vec![job]).await?;
    results
        .into_iter()
        .next()
        .unwrap_or_else(|| Err(PortError::unknown("the send of a job", "no result")))?;
    Ok(MessageId { pack, n: 0 })
}

/// Nobody is told where a report does not arrive: that is for its destination to notice.
fn recipient(address: Mailbox) -> Recipient {
    Recipient {
        notify: Some(Notify { success: false, failure: false, delay: false }),
        ..Recipient::from(address)
    }
}

fn compose(
    settings: &ReportsSettings,
    day: &DayOf,
    id: &str,
    gzipped: &[u8],
    to: &[Mailbox],
    pack: &PackId,
    date: &str,
) -> String {
    let ReportsSettings { from, organization, hostname } = settings;
    let boundary = format!("tlsrpt-{pack}");
    let (first, last) = day.range();
    let (domain, from, to) =
        (&day.domain, from.as_str(), to.iter().map(Mailbox::as_str).collect::<Vec<_>>().join(",\r\n\t"));
    let file = day.file_name(hostname);
    let encoded = BASE64_STANDARD.encode(gzipped);
    let lines: String = encoded
        .as_bytes()
        .chunks(BASE64_LINE)
        .map(|line| format!("{}\r\n", String::from_utf8_lossy(line)))
        .collect();
    format!(
        "From: {from}\r\n\
         To: {to}\r\n\
         Subject: Report Domain: {domain}\r\n\tSubmitter: {hostname}\r\n\tReport-ID: <{id}>\r\n\
         Date: {date}\r\n\
         Message-ID: <{pack}-0@{hostname}>\r\n\
         TLS-Report-Domain: {domain}\r\n\
         TLS-Report-Submitter: {hostname}\r\n\
         TLS-Required: No\r\n\
         Auto-Submitted: auto-generated\r\n\
         MIME-Version: 1.0\r\n\
         Content-Type: multipart/report; report-type=\"tlsrpt\";\r\n\tboundary=\"{boundary}\"\r\n\
         \r\n\
         This is a report in several parts (RFC 6522).\r\n\
         --{boundary}\r\n\
         Content-Type: text/plain; charset=utf-8\r\n\
         Content-Transfer-Encoding: 8bit\r\n\
         \r\n\
         This is what TLS with the mail servers of {domain} came to, from {first} to {last},\r\n\
         as {organization} saw it while it sent mail there (RFC 8460).\r\n\
         You get it as the record _smtp._tls.{domain} asks for it.\r\n\
         --{boundary}\r\n\
         Content-Type: application/tlsrpt+gzip\r\n\
         Content-Transfer-Encoding: base64\r\n\
         Content-Disposition: attachment;\r\n\tfilename=\"{file}.json.gz\"\r\n\
         \r\n\
         {lines}\
         --{boundary}--\r\n"
    )
}
