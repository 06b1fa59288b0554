//! What a message that came back says. Pure, and bounded by the octets it is given.

use mail_parser::{Message, MessageParser, MessagePart, MimeHeaders};
use shared::mail::header::split;
use shared::mail::{Mailbox, Reply};
use shared::port::FeedbackKind;
use shared::return_path::ReturnPath;

use super::fields::{Group, groups};
use crate::limits::{DSN_REPLY_CHARS_MAX, REPORT_PATHS_MAX};

/// A message, as far as it is a report.
#[derive(Debug)]
pub(super) enum Report {
    /// A DSN (RFC 3464, RFC 6533).
    Delivery {
        /// The reporting MTA, by its own account.
        reporter: Option<String>,
        /// One for each recipient that it tells of.
        statuses: Vec<Status>,
    },
    /// A feedback report (RFC 5965).
    Feedback {
        /// The generator, by its own account.
        reporter: Option<String>,
        /// `abuse`, `fraud`, `not-spam` and others, in lower case.
        kind: String,
        /// What look like return paths of ours in what it says of the message, and in the message.
        paths: Vec<Mailbox>,
    },
    /// Neither.
    None,
}

/// What a DSN says of one recipient.
#[derive(Debug)]
pub(super) struct Status {
    pub(super) kind: FeedbackKind,
    /// The address, and that which its sender gave.
    pub(super) addresses: Vec<Mailbox>,
    /// What was said of it, in the form of a reply.
    pub(super) reply: Reply,
}

/// Reads `message`, or the beginning of one.
pub(super) fn parse(message: &[u8]) -> Report {
    let Some(parsed) = parts(message) else { return Report::None };
    let find = |names: &[&str]| parsed.parts.iter().find(|part| is_message(part, names));
    if let Some(part) = find(&["delivery-status", "global-delivery-status"]) {
        return delivery(&groups(part.contents()));
    }
    let Some(part) = find(&["feedback-report"]) else { return Report::None };
    let groups = groups(part.contents());
    let Some(fields) = groups.first() else { return Report::None };
    let mut paths = Vec::new();
    for name in ["original-mail-from", "original-envelope-id", "removal-recipient"] {
        find_paths(fields.get(name).unwrap_or_default().as_bytes(), &mut paths);
    }
    for part in &parsed.parts {
        if is_message(part, &["rfc822", "global", "rfc822-headers", "global-headers"]) || is_headers(part) {
            find_paths(split(part.contents()).0, &mut paths);
        }
    }
    let kind = fields.get("feedback-type").unwrap_or("other").to_ascii_lowercase();
    Report::Feedback { reporter: fields.get("user-agent").map(plain), kind: plain(&kind), paths }
}

/// The parts of `message`. What the parser stumbles over is no report: it is others' work, and a stranger's octets must not take the
/// job's other mail along.
fn parts(message: &[u8]) -> Option<Message<'_>> {
    std::panic::catch_unwind(|| MessageParser::new().parse(message)).unwrap_or_default()
}

fn is_message(part: &MessagePart<'_>, names: &[&str]) -> bool {
    part.content_type().is_some_and(|kind| {
        let subtype = kind.subtype().unwrap_or_default();
        kind.ctype().eq_ignore_ascii_case("message")
            && names.iter().any(|name| subtype.eq_ignore_ascii_case(name))
    })
}

/// `text/rfc822-headers` (RFC 6522 §4).
fn is_headers(part: &MessagePart<'_>) -> bool {
    part.content_type().is_some_and(|kind| {
        kind.ctype().eq_ignore_ascii_case("text")
            && kind.subtype().is_some_and(|subtype| subtype.eq_ignore_ascii_case("rfc822-headers"))
    })
}

/// RFC 3464 §2.1: fields of the message, then a group for each recipient.
fn delivery(groups: &[Group]) -> Report {
    let reporter = groups.first().and_then(|group| group.typed("reporting-mta")).map(|(_, name)| plain(name));
    let statuses: Vec<Status> = groups.iter().filter_map(status).collect();
    if statuses.is_empty() { Report::None } else { Report::Delivery { reporter, statuses } }
}

fn status(group: &Group) -> Option<Status> {
    let kind = match group.get("action")?.split_whitespace().next()?.to_ascii_lowercase().as_str() {
        "failed" => FeedbackKind::Bounced,
        "delayed" => FeedbackKind::Delayed,
        "delivered" => FeedbackKind::Delivered,
        "relayed" => FeedbackKind::Relayed,
        "expanded" => FeedbackKind::Expanded,
        _ => return None,
    };
    let addresses = ["original-recipient", "final-recipient"];
    let addresses = addresses.into_iter().filter_map(|name| group.address(name)).collect();
    Some(Status { kind, addresses, reply: reply(kind, group) })
}

/// Diagnostic-Code where it is a reply of SMTP (RFC 3464 §2.3.6), and Status where that says more.
fn reply(kind: FeedbackKind, group: &Group) -> Reply {
    let status = group.get("status").and_then(|text| enhanced(text.split_whitespace().next()?));
    let said = group.typed("diagnostic-code");
    let spoken =
        said.filter(|(kind, _)| kind.eq_ignore_ascii_case("smtp")).and_then(|(_, text)| spoken(text));
    match (spoken, status) {
        (Some(reply), Some((class, subject, detail)))
            if reply.enhanced().is_none() && class == reply.code() / 100 =>
        {
            Reply::new(reply.code(), (subject, detail), reply.text().to_owned())
        }
        (Some(reply), _) => reply,
        (None, status) => {
            let class = match kind {
                FeedbackKind::Bounced | FeedbackKind::Complaint | FeedbackKind::Other => 5,
                FeedbackKind::Delayed => 4,
                FeedbackKind::Delivered | FeedbackKind::Relayed | FeedbackKind::Expanded => 2,
            };
            let (class, subject, detail) = status.unwrap_or((class, 0, 0));
            let text = said.map_or_else(|| "no reason was given".to_owned(), |(_, text)| plain(text));
            Reply::new(class * 100 + 50, (subject, detail), text)
        }
    }
}

/// A reply as it stands in Diagnostic-Code: `550 5.1.1 no such user`, or `550-5.1.1 no such 550 5.1.1 user`.
fn spoken(text: &str) -> Option<Reply> {
    let code = text.get(..3)?.parse().ok()?;
    Reply::received(code, plain(text.get(3..)?.trim_start_matches(['-', ' '])).as_str())
}

/// The numbers of a Status (RFC 3464 §2.3.4).
fn enhanced(text: &str) -> Option<(u16, u16, u16)> {
    let mut parts = text.splitn(3, '.').map(|part| part.parse::<u16>().ok().filter(|_| part.len() <= 3));
    let class = parts.next()??;
    matches!(class, 2 | 4 | 5).then_some(())?;
    Some((class, parts.next()??, parts.next()??))
}

/// Adds what look like return paths in `text`: they stand in Return-Path, in what a receiver noted of SPF, and elsewhere.
fn find_paths(text: &[u8], paths: &mut Vec<Mailbox>) {
    let is_part = |byte: &u8| byte.is_ascii_alphanumeric() || b"+-.@_[]:".contains(byte) || *byte >= 128;
    for word in text.split(|byte| !is_part(byte)) {
        let begins = word.get(..2).is_some_and(|begin| begin.eq_ignore_ascii_case(b"b+"));
        let Some(mailbox) = std::str::from_utf8(word).ok().filter(|_| begins) else { continue };
        let Ok(mailbox) = Mailbox::parse(mailbox.trim_end_matches('.')) else { continue };
        if paths.len() < REPORT_PATHS_MAX
            && ReturnPath::read(mailbox.local_part()).is_some()
            && !paths.contains(&mailbox)
        {
            paths.push(mailbox);
        }
    }
}

/// On one line, and not longer than it is kept.
fn plain(text: &str) -> String {
    let letters = text.trim().chars().map(|letter| if letter.is_control() { ' ' } else { letter });
    letters.take(DSN_REPLY_CHARS_MAX).collect()
}

#[cfg(test)]
mod tests;
