//! The part of a report that a person reads.

use std::fmt::Write;

use shared::mail::{Reply, Status};

use super::encode::clean;
use super::report::{Failed, Report};
use crate::limits::DSN_REPLY_CHARS_MAX;

/// What happened, to whom, why, and what can be done; each line ended by CRLF.
pub(super) fn explain(report: &Report<'_>) -> String {
    let Report { delivery, hostname, .. } = report;
    let mut out = String::new();
    let whom = if report.failed.len() == 1 { "this recipient" } else { "these recipients" };
    let subject = clean(&delivery.subject, DSN_REPLY_CHARS_MAX);
    let mut line = |text: &str| write!(out, "{text}\r\n").expect("a string takes everything");
    line(&format!("Your message could not be delivered to {whom},"));
    line("and no further attempt will be made:");
    for failed in &report.failed {
        line("");
        line(&format!("  {}", failed.address));
        line(&format!("    {}", reason(report, failed)));
        line(&format!("    {}", advice(failed)));
    }
    line("");
    line("The message:");
    line("");
    if !subject.is_empty() {
        line(&format!("  Subject:   {subject}"));
    }
    line(&format!("  Accepted:  {}", delivery.accepted_at.rfc5322()));
    line(&format!("  Reference: {}", delivery.key.message));
    line("");
    line("Its header and the technical details are attached. If you need help, send this");
    line("report, with all its parts, to your postmaster.");
    line("");
    line("-- ");
    line(&format!("The mail system at {hostname}"));
    out
}

fn reason(report: &Report<'_>, failed: &Failed<'_>) -> String {
    let reply = spoken(failed.reply);
    match (&report.attempt.host, failed.expired) {
        (Some(host), false) => format!("It cannot be delivered to the server {}: {reply}", clean(host, 255)),
        (None, false) => format!("It cannot be delivered: {reply}"),
        (Some(host), true) => {
            format!("Time ran out. The last attempt, at the server {}, came to: {reply}", clean(host, 255))
        }
        (None, true) => format!("Time ran out. At last: {reply}"),
    }
}

fn spoken(reply: &Reply) -> String {
    clean(&reply.to_string(), DSN_REPLY_CHARS_MAX)
}

/// What can be done, by the status (RFC 3463 §3).
fn advice(failed: &Failed<'_>) -> &'static str {
    let Status { subject, detail, .. } = failed.status;
    match (subject, detail) {
        (1, 2) => "The domain in the address may be misspelt: check it and send the message again.",
        (1, 10) => "The domain takes no mail at all: check the address, or ask for another one.",
        (1, _) => "The address may be misspelt or gone: check it and send the message again.",
        (2, 2) => "The mailbox is full: tell the recipient in another way, and send it again later.",
        (2, 3) | (3, 4) => "The message is too large there: send it without attachments, or share a link.",
        (2, _) => "The mailbox takes no mail at present: tell the recipient in another way.",
        (4, 7) => "The reason may be gone by now: send it again later, or tell the recipient in another way.",
        (4, _) => "The recipient's mail system could not be reached: send it again later.",
        (6, _) => {
            "The server cannot take a message in this form: send it as plain text, without attachments."
        }
        (7, _) => "The server's rules forbid it: show this report to your postmaster, or use another way.",
        _ => "The answer above may tell why: change what it asks for, or tell the recipient in another way.",
    }
}
