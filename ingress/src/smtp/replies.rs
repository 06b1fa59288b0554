//! What the server says. Enhanced codes are those of RFC 3463; the texts tell a stranger nothing but what to do.

use std::time::Duration;

use shared::mail::{MessageId, Reply};

use super::command::CommandError;
use super::content::Fault;
use super::session::Setback;

pub(super) fn greeting(hostname: &str) -> Reply {
    Reply::plain(220, format!("{hostname} ESMTP Spoolway"))
}

pub(super) fn helo(hostname: &str) -> Reply {
    Reply::plain(250, hostname.to_owned())
}

pub(super) fn ok() -> Reply {
    Reply::new(250, (0, 0), "ok")
}

pub(super) fn sender_ok() -> Reply {
    Reply::new(250, (1, 0), "sender ok")
}

pub(super) fn recipient_ok() -> Reply {
    Reply::new(250, (1, 5), "recipient ok")
}

pub(super) fn begin_content() -> Reply {
    Reply::plain(354, "end with <CRLF>.<CRLF>")
}

pub(super) fn queued(id: MessageId) -> Reply {
    Reply::new(250, (0, 0), format!("queued as {id}"))
}

/// Neither does this server tell who exists, nor refuse to answer (RFC 5321 §3.5.3).
pub(super) fn cannot_verify() -> Reply {
    Reply::new(252, (0, 0), "send mail to find out")
}

pub(super) fn help() -> Reply {
    Reply::new(
        214,
        (0, 0),
        "EHLO HELO STARTTLS AUTH MAIL RCPT DATA BDAT RSET NOOP VRFY HELP QUIT; see RFC 5321",
    )
}

pub(super) fn bye() -> Reply {
    Reply::new(221, (0, 0), "bye")
}

pub(super) fn shutting_down() -> Reply {
    Reply::new(421, (3, 2), "shutting down, try again later")
}

pub(super) fn timed_out() -> Reply {
    Reply::new(421, (4, 2), "waited too long, closing the connection")
}

pub(super) fn too_many_errors() -> Reply {
    Reply::new(421, (7, 0), "too many errors, closing the connection")
}

pub(super) fn too_many_recipients() -> Reply {
    Reply::new(452, (5, 3), "too many recipients, send the rest separately")
}

pub(super) fn line_too_long() -> Reply {
    Reply::new(500, (5, 2), "line too long")
}

pub(super) fn bare_line_end() -> Reply {
    Reply::new(500, (5, 2), "bare CR or LF in a command, lines end with CRLF")
}

pub(super) fn chunk_size() -> Reply {
    Reply::new(
        501,
        (5, 4),
        "syntax: BDAT octets [LAST]; closing the connection, as the next command cannot be found",
    )
}

pub(super) fn chunk_ok(octets: u64) -> Reply {
    Reply::new(250, (0, 0), format!("{octets} octets received"))
}

/// RFC 3207 §4.
pub(super) fn ready_for_tls() -> Reply {
    Reply::new(220, (0, 0), "ready to start TLS")
}

/// RFC 3207 §4.
pub(super) fn tls_not_available() -> Reply {
    Reply::new(454, (7, 0), "TLS is not available now")
}

pub(super) fn tls_unasked() -> Reply {
    Reply::new(500, (5, 2), "this port does not begin with TLS")
}

pub(super) fn require_tls_needs_tls() -> Reply {
    Reply::new(530, (7, 10), "REQUIRETLS needs TLS, send STARTTLS first")
}

pub(super) fn authenticated() -> Reply {
    Reply::new(235, (7, 0), "authenticated")
}

pub(super) fn auth_needs_tls() -> Reply {
    Reply::new(538, (7, 11), "AUTH needs TLS, send STARTTLS first")
}

pub(super) fn unknown_mechanism() -> Reply {
    Reply::new(504, (5, 4), "unknown authentication mechanism")
}

pub(super) fn auth_cancelled() -> Reply {
    Reply::new(501, (7, 0), "authentication cancelled")
}

pub(super) fn not_base64() -> Reply {
    Reply::new(501, (5, 2), "not base64")
}

pub(super) fn auth_line_too_long() -> Reply {
    Reply::new(500, (5, 6), "line too long")
}

pub(super) fn too_many_auth_failures() -> Reply {
    Reply::new(421, (7, 0), "too many failed logins, closing the connection")
}

pub(super) fn held_too_long(most: Duration) -> Reply {
    Reply::new(501, (5, 4), format!("a message is held for {} seconds at most", most.as_secs()))
}

pub(super) fn held_beyond_its_time() -> Reply {
    Reply::new(501, (5, 4), "the message would be held until after BY has it returned")
}

pub(super) fn not_smtp() -> Reply {
    Reply::new(500, (5, 2), "this is an SMTP server")
}

pub(super) fn not_implemented() -> Reply {
    Reply::new(502, (5, 1), "not implemented")
}

pub(super) fn out_of_order(first: &'static str) -> Reply {
    Reply::new(503, (5, 1), first)
}

pub(super) fn no_recipients() -> Reply {
    Reply::new(554, (5, 1), "no valid recipients")
}

pub(super) fn not_extended() -> Reply {
    Reply::new(555, (5, 4), "parameters need EHLO")
}

pub(super) fn too_large() -> Reply {
    Reply::new(552, (3, 4), "message too large")
}

pub(super) fn no_utf8() -> Reply {
    Reply::new(553, (6, 7), "addresses outside ASCII need SMTPUTF8")
}

pub(super) fn setback(setback: &Setback) -> Reply {
    match setback {
        Setback::Refused(reply) => (**reply).clone(),
        Setback::NoMemory => Reply::new(452, (3, 1), "no room for the message now, try again later"),
        Setback::NotDurable => Reply::new(451, (3, 0), "not queued, try again later"),
    }
}

pub(super) fn fault(fault: Fault) -> Reply {
    match fault {
        Fault::BareLineEnd => Reply::new(550, (6, 0), "bare CR or LF in the message, lines end with CRLF"),
        Fault::TooLarge => too_large(),
        Fault::Loop => Reply::new(554, (4, 6), "too many Received lines, the message loops"),
    }
}

pub(super) fn command_error(error: CommandError) -> Reply {
    match error {
        CommandError::Unknown => Reply::new(500, (5, 1), "unknown command"),
        CommandError::Http => not_smtp(),
        CommandError::ChunkSize => chunk_size(),
        CommandError::Base64 => not_base64(),
        CommandError::Malformed => Reply::new(500, (5, 2), "malformed command"),
        CommandError::Form(form) => Reply::new(501, (5, 4), format!("syntax: {form}")),
        CommandError::Sender => Reply::new(501, (1, 7), "malformed sender address"),
        CommandError::Recipient => Reply::new(501, (1, 3), "malformed recipient address"),
        CommandError::NotAscii => no_utf8(),
        CommandError::UnknownParameter => Reply::new(555, (5, 4), "unknown parameter"),
        CommandError::Parameter => Reply::new(501, (5, 4), "malformed parameter"),
    }
}
