//! The report as a message: multipart/report (RFC 6522) of a text, message/delivery-status (RFC 3464) and what is returned of the
//! original.

use shared::job::Delivery;
use shared::mail::header::split;
use shared::mail::{PackId, Timestamp};
use shared::port::Action;

use super::encode::{
    Encoding, clean, clean_ascii, encoding, fold, in_ascii, quoted_printable, typed_address, typed_original,
};
use super::original::Returned;
use super::row::Row;
use super::text;
use crate::limits::DSN_REPLY_CHARS_MAX;

/// All that a report says.
pub(super) struct Report<'a> {
    pub(super) hostname: &'a str,
    pub(super) id: PackId,
    /// Not to be guessed by who wrote the original, whose header stands between two of it.
    pub(super) boundary: String,
    pub(super) now: Timestamp,
    /// The message, as a delivery of it was tried.
    pub(super) original: &'a Delivery,
    pub(super) action: Action,
    pub(super) rows: &'a [Row<'a>],
    pub(super) returned: Returned,
}

impl Report<'_> {
    /// The whole message.
    pub(super) fn compose(&self) -> Vec<u8> {
        let mut out = self.header().into_bytes();
        out.extend_from_slice(b"\r\nThis is a report in several parts (RFC 6522).\r\n");
        self.part(&mut out, "text/plain; charset=utf-8", text::explain(self).as_bytes());
        // RFC 6533 §4: in its own type, addresses of UTF-8 stand as they are
        let status =
            if self.is_global() { "message/global-delivery-status" } else { "message/delivery-status" };
        self.part(&mut out, status, self.delivery_status().as_bytes());
        // RFC 6533 §6 for UTF-8; other octets over 127 have no type of their own
        let is_global = |header: &[u8]| !header.is_ascii() && std::str::from_utf8(header).is_ok();
        match &self.returned {
            Returned::Nothing => {}
            Returned::Header { octets, .. } => {
                let global = is_global(octets);
                let kind = if global { "message/global-headers" } else { "text/rfc822-headers" };
                self.part(&mut out, kind, octets);
            }
            Returned::Full { octets, encoding } => {
                let global = is_global(split(octets).0);
                let kind = if global { "message/global" } else { "message/rfc822" };
                self.part_as_is(&mut out, kind, *encoding, octets);
            }
        }
        out.extend_from_slice(format!("--{}--\r\n", self.boundary).as_bytes());
        out
    }

    /// Whether the status has UTF-8 that its reader knows of: the message was one of SMTPUTF8. Its lines become quoted-printable, which
    /// every server takes, wherever the sender's mail is kept.
    fn is_global(&self) -> bool {
        self.original.options.smtputf8 && !self.delivery_status().is_ascii()
    }

    fn header(&self) -> String {
        let Self { hostname, id, boundary, now, original, .. } = self;
        let reply_to = message_id(split(self.returned.octets()).0);
        let reply_to =
            reply_to.map_or(String::new(), |id| format!("In-Reply-To: {id}\r\nReferences: {id}\r\n"));
        let sender = original
            .from
            .mailbox()
            .map_or(String::new(), |sender| in_ascii(sender).unwrap_or_else(|| sender.as_str().to_owned()));
        // RFC 8689 §4.2: who does without TLS does so for what comes back, too
        let tls = if original.content.tls_not_required { "TLS-Required: No\r\n" } else { "" };
        format!(
            "From: Mail Delivery System <mailer-daemon@{hostname}>\r\n\
             To: {sender}\r\n\
             Subject: {subject}\r\n\
             Date: {date}\r\n\
             Message-ID: <{id}-0@{hostname}>\r\n\
             {reply_to}\
             {tls}\
             Auto-Submitted: auto-replied\r\n\
             MIME-Version: 1.0\r\n\
             Content-Type: multipart/report; report-type=delivery-status;\r\n\
             \tboundary=\"{boundary}\"\r\n",
            subject = text::subject(self.action),
            date = now.rfc5322(),
        )
    }

    fn part(&self, out: &mut Vec<u8>, content_type: &str, body: &[u8]) {
        if encoding(body) == Some(Encoding::SevenBit) {
            return self.part_as_is(out, content_type, Encoding::SevenBit, body);
        }
        self.begin_part(out, content_type, "quoted-printable");
        out.extend_from_slice(&quoted_printable(body));
        out.extend_from_slice(b"\r\n");
    }

    fn part_as_is(&self, out: &mut Vec<u8>, content_type: &str, encoding: Encoding, body: &[u8]) {
        self.begin_part(out, content_type, encoding.as_str());
        out.extend_from_slice(body);
        // this CRLF belongs to the boundary after it (RFC 2046 §5.1.1)
        out.extend_from_slice(b"\r\n");
    }

    fn begin_part(&self, out: &mut Vec<u8>, content_type: &str, encoding: &str) {
        let boundary = &self.boundary;
        let head = format!(
            "--{boundary}\r\nContent-Type: {content_type}\r\nContent-Transfer-Encoding: {encoding}\r\n\r\n"
        );
        out.extend_from_slice(head.as_bytes());
    }

    /// RFC 3464 §2: the fields of the message, then those of each recipient.
    fn delivery_status(&self) -> String {
        let mut fields = Vec::new();
        if let Some(envid) = &self.original.options.envid {
            fields.push(format!("Original-Envelope-Id: {}", clean_ascii(envid, DSN_REPLY_CHARS_MAX)));
        }
        fields.push(format!("Reporting-MTA: dns; {}", self.hostname));
        fields.push(format!("Arrival-Date: {}", self.original.accepted_at.rfc5322()));
        let mut out = group(&fields);
        for row in self.rows {
            out.push_str("\r\n");
            out.push_str(&group(&self.recipient_fields(row)));
        }
        out
    }

    /// RFC 3464 §2.3.
    fn recipient_fields(&self, row: &Row<'_>) -> Vec<String> {
        let mut fields = Vec::new();
        // RFC 6533 §3: where the message was not one of SMTPUTF8, its sender reads ASCII
        let utf8 = self.original.options.smtputf8;
        if let Some(original) = &row.told.original {
            fields.push(format!("Original-Recipient: {}", typed_original(original, utf8)));
        }
        fields.push(format!("Final-Recipient: {}", typed_address(row.address, utf8)));
        fields.push(format!("Action: {}", self.action.as_str()));
        fields.push(format!("Status: {}", row.told.status));
        // what no server said is our own, and not a reply of SMTP (RFC 3464 §2.3.6)
        let kind = if row.told.spoken { "smtp" } else { "x-spoolway" };
        if let (Some(host), true) = (&row.told.host, row.told.spoken) {
            fields.push(format!("Remote-MTA: dns; {}", clean_ascii(host, DSN_REPLY_CHARS_MAX)));
        }
        let cleaned = if utf8 { clean } else { clean_ascii };
        let reply = cleaned(&row.reply.to_string(), DSN_REPLY_CHARS_MAX);
        fields.push(format!("Diagnostic-Code: {kind}; {reply}"));
        if !row.told.suppressed {
            fields.push(format!("Last-Attempt-Date: {}", row.told.ended_at.rfc5322()));
        }
        if self.action == Action::Delayed {
            fields.push(format!("Will-Retry-Until: {}", row.told.retry_until.rfc5322()));
        }
        fields
    }
}

/// Fields, folded, a line or more each.
fn group(fields: &[String]) -> String {
    fields.iter().map(|field| fold(field) + "\r\n").collect()
}

/// The original's Message-ID, if it is one that can be repeated.
fn message_id(header: &[u8]) -> Option<&str> {
    let name = b"message-id:";
    let lines = header.split(|byte| *byte == b'\n');
    let mut lines = lines.filter(|line| line.get(..name.len()).is_some_and(|n| n.eq_ignore_ascii_case(name)));
    let id = std::str::from_utf8(&lines.next()?[name.len()..]).ok()?.trim();
    let inner = id.strip_prefix('<')?.strip_suffix('>')?;
    let plain = |byte: u8| byte.is_ascii_graphic() && byte != b'<' && byte != b'>';
    (inner.len() < 250 && inner.bytes().all(plain)).then_some(id)
}
