//! The report as a message: multipart/report (RFC 6522) of a text, message/delivery-status (RFC 3464) and the original's header.

use shared::job::Delivery;
use shared::mail::{Mailbox, PackId, Reply, Status, Timestamp};
use shared::port::Attempt;

use super::encode::{clean_ascii, fold, is_seven_bit, quoted_printable, typed_address};
use super::text;
use crate::limits::DSN_REPLY_CHARS_MAX;

/// All that a report says.
pub(super) struct Report<'a> {
    pub(super) hostname: &'a str,
    pub(super) id: PackId,
    /// Not to be guessed by who wrote the original, whose header stands between two of it.
    pub(super) boundary: String,
    pub(super) now: Timestamp,
    pub(super) delivery: &'a Delivery,
    pub(super) attempt: &'a Attempt,
    pub(super) failed: Vec<Failed<'a>>,
    pub(super) header: Option<&'a [u8]>,
}

/// A recipient who does not get the message.
pub(super) struct Failed<'a> {
    pub(super) address: &'a Mailbox,
    pub(super) status: Status,
    /// The last reply.
    pub(super) reply: &'a Reply,
    /// Whether time ran out.
    pub(super) expired: bool,
}

impl Report<'_> {
    /// The whole message.
    pub(super) fn compose(&self) -> Vec<u8> {
        let mut out = self.header().into_bytes();
        out.extend_from_slice(b"\r\nThis is a report in several parts (RFC 6522).\r\n");
        self.part(&mut out, "text/plain; charset=utf-8", text::explain(self).as_bytes());
        self.part(&mut out, "message/delivery-status", self.delivery_status().as_bytes());
        if let Some(header) = self.header {
            // RFC 6533 §6 for UTF-8; other octets over 127 have no type of their own
            let global = !header.is_ascii() && std::str::from_utf8(header).is_ok();
            self.part(
                &mut out,
                if global { "message/global-headers" } else { "text/rfc822-headers" },
                header,
            );
        }
        out.extend_from_slice(format!("--{}--\r\n", self.boundary).as_bytes());
        out
    }

    fn header(&self) -> String {
        let Self { hostname, id, boundary, now, delivery, .. } = self;
        let reply_to = self.header.and_then(message_id);
        let reply_to =
            reply_to.map_or(String::new(), |id| format!("In-Reply-To: {id}\r\nReferences: {id}\r\n"));
        format!(
            "From: Mail Delivery System <mailer-daemon@{hostname}>\r\n\
             To: {sender}\r\n\
             Subject: Your message could not be delivered\r\n\
             Date: {date}\r\n\
             Message-ID: <{id}-0@{hostname}>\r\n\
             {reply_to}\
             Auto-Submitted: auto-replied\r\n\
             MIME-Version: 1.0\r\n\
             Content-Type: multipart/report; report-type=delivery-status;\r\n\
             \tboundary=\"{boundary}\"\r\n",
            sender = delivery.from,
            date = now.rfc5322(),
        )
    }

    fn part(&self, out: &mut Vec<u8>, content_type: &str, body: &[u8]) {
        let seven_bit = is_seven_bit(body);
        let encoding = if seven_bit { "7bit" } else { "quoted-printable" };
        let head = format!(
            "--{}\r\nContent-Type: {content_type}\r\nContent-Transfer-Encoding: {encoding}\r\n\r\n",
            self.boundary
        );
        out.extend_from_slice(head.as_bytes());
        if seven_bit {
            out.extend_from_slice(body);
        } else {
            out.extend_from_slice(&quoted_printable(body));
        }
        // this CRLF belongs to the boundary after it (RFC 2046 §5.1.1)
        out.extend_from_slice(b"\r\n");
    }

    /// RFC 3464 §2: the fields of the message, then those of each recipient.
    fn delivery_status(&self) -> String {
        let mut out = format!(
            "Reporting-MTA: dns; {}\r\nArrival-Date: {}\r\n",
            self.hostname,
            self.delivery.accepted_at.rfc5322()
        );
        for failed in &self.failed {
            let mut fields = vec![
                format!("Final-Recipient: {}", typed_address(failed.address)),
                "Action: failed".to_owned(),
                format!("Status: {}", failed.status),
            ];
            // without a host the reply is our own, and not one of SMTP (RFC 3464 §2.3.6)
            let kind = match &self.attempt.host {
                Some(host) => {
                    fields.push(format!("Remote-MTA: dns; {}", clean_ascii(host, DSN_REPLY_CHARS_MAX)));
                    "smtp"
                }
                None => "x-spoolway",
            };
            let reply = clean_ascii(&failed.reply.to_string(), DSN_REPLY_CHARS_MAX);
            fields.push(format!("Diagnostic-Code: {kind}; {reply}"));
            fields.push(format!("Last-Attempt-Date: {}", self.attempt.ended_at.rfc5322()));
            out.push_str("\r\n");
            for field in fields {
                out.push_str(&fold(&field));
                out.push_str("\r\n");
            }
        }
        out
    }
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
