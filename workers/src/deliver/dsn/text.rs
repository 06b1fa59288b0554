//! The part of a report that a person reads.

use std::fmt::Write;

use shared::mail::{Reply, Status};

use super::super::record::Event;
use super::encode::clean;
use super::original::Returned;
use super::report::{Report, Row};
use crate::limits::DSN_REPLY_CHARS_MAX;

const SUPPRESSED_ADVICE: &str =
    "Mail to this address failed or was unwanted before: ask your postmaster to lift the suppression.";

/// The Subject of the report.
pub(super) fn subject(event: Event) -> &'static str {
    match event {
        Event::Failed => "Your message could not be delivered",
        Event::Delayed { .. } => "Your message is late, and is still being tried",
        Event::Relayed => "Your message was passed on",
        Event::Delivered => "Your message was delivered",
    }
}

/// What happened, to whom, why, and what can be done; each line ended by CRLF.
pub(super) fn explain(report: &Report<'_>) -> String {
    let Report { delivery, hostname, .. } = report;
    let mut out = String::new();
    let subject = clean(&delivery.subject, DSN_REPLY_CHARS_MAX);
    let mut line = |text: &str| write!(out, "{text}\r\n").expect("a string takes everything");
    let whom = if report.rows.len() == 1 { "this recipient" } else { "these recipients" };
    for opening in opening(report.event) {
        line(&opening.replace("{whom}", whom));
    }
    for row in &report.rows {
        line("");
        line(&format!("  {}", row.recipient.address));
        line(&format!("    {}", reason(report, row)));
        if report.event == Event::Failed {
            line(&format!("    {}", if row.suppressed { SUPPRESSED_ADVICE } else { advice(row) }));
        }
    }
    line("");
    line("The message:");
    line("");
    if !subject.is_empty() {
        line(&format!("  Subject:   {subject}"));
    }
    line(&format!("  Accepted:  {}", delivery.accepted_at.rfc5322()));
    line(&format!("  Reference: {}", delivery.key.message));
    if matches!(report.event, Event::Delayed { .. }) {
        line(&format!("  Tried until: {}", report.retry_until.rfc5322()));
    }
    line("");
    for closing in closing(report) {
        line(closing);
    }
    line("");
    line("-- ");
    line(&format!("The mail system at {hostname}"));
    out
}

fn opening(event: Event) -> [&'static str; 2] {
    match event {
        Event::Failed => {
            ["Your message could not be delivered to {whom},", "and no further attempt will be made:"]
        }
        Event::Delayed { .. } => [
            "Your message has not been delivered yet to {whom}.",
            "You need not send it again: it is tried further.",
        ],
        Event::Relayed => {
            ["Your message for {whom} was passed on to a server", "that may not tell you what becomes of it:"]
        }
        Event::Delivered => ["Your message was delivered to {whom},", "as you asked to be told:"],
    }
}

fn closing(report: &Report<'_>) -> Vec<&'static str> {
    let mut lines = Vec::new();
    match report.returned {
        Returned::Nothing => lines.push("The technical details are attached. If you need help, send this"),
        Returned::Header { instead, .. } => {
            if let Some(why) = instead {
                lines.push("You asked for the message, and get its header alone:");
                lines.push(why);
            }
            lines.push("Its header and the technical details are attached. If you need help, send this");
        }
        Returned::Full { .. } => {
            lines.push("The message and the technical details are attached. If you need help, send this");
        }
    }
    lines.push("report, with all its parts, to your postmaster.");
    lines
}

fn reason(report: &Report<'_>, row: &Row<'_>) -> String {
    let reply = spoken(row.reply);
    let host = report.attempt.host.as_ref().map(|host| clean(host, 255));
    match (report.event, host) {
        (Event::Failed, _) if row.suppressed => format!("It was not sent there: {reply}"),
        (Event::Failed, Some(host)) if row.expired => {
            format!("Time ran out. The last attempt, at the server {host}, came to: {reply}")
        }
        (Event::Failed, None) if row.expired => format!("Time ran out. At last: {reply}"),
        (Event::Failed, Some(host)) => format!("It cannot be delivered to the server {host}: {reply}"),
        (Event::Failed, None) => format!("It cannot be delivered: {reply}"),
        (Event::Delayed { .. }, Some(host)) => {
            format!("The last attempt, at the server {host}, came to: {reply}")
        }
        (Event::Delayed { .. }, None) => format!("The last attempt came to: {reply}"),
        (Event::Relayed | Event::Delivered, Some(host)) => format!("The server {host} took it: {reply}"),
        (Event::Relayed | Event::Delivered, None) => reply,
    }
}

fn spoken(reply: &Reply) -> String {
    clean(&reply.to_string(), DSN_REPLY_CHARS_MAX)
}

/// What can be done, by the status (RFC 3463 §3).
fn advice(row: &Row<'_>) -> &'static str {
    let Status { subject, detail, .. } = row.status;
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
