//! The part of a report that a person reads.

use std::fmt::Write;

use shared::mail::{Reply, Status};
use shared::port::Action;

use super::encode::clean;
use super::original::Returned;
use super::report::Report;
use super::row::Row;
use crate::limits::DSN_REPLY_CHARS_MAX;

const SUPPRESSED_ADVICE: &str =
    "Mail to this address failed or was unwanted before: ask your postmaster to lift the suppression.";

/// The Subject of the report.
pub(super) fn subject(action: Action) -> &'static str {
    match action {
        Action::Failed => "Your message could not be delivered",
        Action::Delayed => "Your message is late, and is still being tried",
        Action::Relayed => "Your message was passed on",
        Action::Delivered => "Your message was delivered",
    }
}

/// What happened, to whom, why, and what can be done; each line ended by CRLF.
pub(super) fn explain(report: &Report<'_>) -> String {
    let Report { original, hostname, .. } = report;
    let mut out = String::new();
    let subject = clean(&original.subject, DSN_REPLY_CHARS_MAX);
    let mut line = |text: &str| write!(out, "{text}\r\n").expect("a string takes everything");
    let whom = if report.rows.len() == 1 { "this recipient" } else { "these recipients" };
    for opening in opening(report.action) {
        line(&opening.replace("{whom}", whom));
    }
    for row in report.rows {
        line("");
        line(&format!("  {}", row.address));
        line(&format!("    {}", reason(report.action, row)));
        if report.action == Action::Failed {
            line(&format!("    {}", if row.told.suppressed { SUPPRESSED_ADVICE } else { advice(row) }));
        }
    }
    line("");
    line("The message:");
    line("");
    if !subject.is_empty() {
        line(&format!("  Subject:   {subject}"));
    }
    line(&format!("  Accepted:  {}", original.accepted_at.rfc5322()));
    line(&format!("  Reference: {}", original.key.message));
    let until = report.rows.iter().map(|row| row.told.retry_until).max();
    if let (Action::Delayed, Some(until)) = (report.action, until) {
        line(&format!("  Tried until: {}", until.rfc5322()));
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

fn opening(action: Action) -> [&'static str; 2] {
    match action {
        Action::Failed => {
            ["Your message could not be delivered to {whom},", "and no further attempt will be made:"]
        }
        Action::Delayed => [
            "Your message has not been delivered yet to {whom}.",
            "You need not send it again: it is tried further.",
        ],
        Action::Relayed => {
            ["Your message for {whom} was passed on to a server", "that may not tell you what becomes of it:"]
        }
        Action::Delivered => ["Your message was delivered to {whom},", "as you asked to be told:"],
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

fn reason(action: Action, row: &Row<'_>) -> String {
    let reply = spoken(row.reply);
    let host = row.told.host.as_ref().map(|host| clean(host, 255));
    match (action, host) {
        (Action::Failed, _) if row.told.suppressed => format!("It was not sent there: {reply}"),
        (Action::Failed, Some(host)) if row.told.expired => {
            format!("Time ran out. The last attempt, at the server {host}, came to: {reply}")
        }
        (Action::Failed, None) if row.told.expired => format!("Time ran out. At last: {reply}"),
        (Action::Failed, Some(host)) => format!("It cannot be delivered to the server {host}: {reply}"),
        (Action::Failed, None) => format!("It cannot be delivered: {reply}"),
        (Action::Delayed, Some(host)) => {
            format!("The last attempt, at the server {host}, came to: {reply}")
        }
        (Action::Delayed, None) => format!("The last attempt came to: {reply}"),
        (Action::Relayed | Action::Delivered, Some(host)) => format!("The server {host} took it: {reply}"),
        (Action::Relayed | Action::Delivered, None) => reply,
    }
}

fn spoken(reply: &Reply) -> String {
    clean(&reply.to_string(), DSN_REPLY_CHARS_MAX)
}

/// What can be done, by the status (RFC 3463 §3).
fn advice(row: &Row<'_>) -> &'static str {
    let Status { subject, detail, .. } = row.told.status;
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
