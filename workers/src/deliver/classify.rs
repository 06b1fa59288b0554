//! What a server's reply means: a class of the published set, whom it concerns, and whether it is final. Pure: the table it asks is data.

mod pattern;
mod table;
#[cfg(test)]
mod tests;

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use shared::mail::{EnhancedCode, FailureClass, FailureKind, FailureScope, Reply, ReplyClass};

use super::outcome::Step;
use table::{Row, Table};

/// When to try again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Retry {
    /// Not at all.
    Never,
    /// Sooner than the schedule says: the server waits for it.
    Soon,
    /// As the schedule says.
    Usual,
    /// Later and more slowly, with all that the scope covers.
    BackOff,
}

/// What a reply comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Classification {
    /// What is wrong.
    pub class: FailureClass,
    /// Whom it concerns.
    pub scope: FailureScope,
    /// Whether another try of the same recipient is pointless. The reply code says it (RFC 5321 §4.2.1), but where the table
    /// names a text that means the other, and where the refusal is of a host or an extension, not of the mail.
    pub permanent: bool,
    /// When to try again.
    pub retry: Retry,
    /// Where the row of the table that was taken comes from: an RFC's section, or an address.
    pub source: &'static str,
}

impl From<&Classification> for FailureKind {
    fn from(found: &Classification) -> Self {
        Self { class: found.class, scope: found.scope }
    }
}

/// Classifies the refusal `reply` of `step`. Total: what the table does not know is [`FailureClass::Unknown`].
pub fn classify(reply: &Reply, step: Step) -> Classification {
    classify_by(Table::shipped(), reply, step)
}

fn classify_by(table: &'static Table, reply: &Reply, step: Step) -> Classification {
    let text = lower_case(reply.text());
    let status = reply.enhanced().or_else(|| status_in(reply, text.as_bytes()));
    let row = table.find(reply.code(), status, step, text.as_bytes());
    let class = row.map_or(FailureClass::Unknown, |row| row.class);
    let permanent = row.and_then(|row| row.permanent).unwrap_or_else(|| is_final(reply, step));
    Classification {
        class,
        scope: row.and_then(|row| row.scope).unwrap_or_else(|| usual_scope(class, reply, step)),
        permanent,
        retry: if permanent { Retry::Never } else { retry(class, row) },
        source: row.map_or("RFC 5321 §4.2.1", |row| &row.source),
    }
}

/// Texts are compared without case; most are compared often.
fn lower_case(text: &str) -> Cow<'_, str> {
    if text.bytes().any(|octet| octet.is_ascii_uppercase()) {
        text.to_ascii_lowercase().into()
    } else {
        text.into()
    }
}

/// An enhanced code that stands behind a `#` somewhere in the text, as qmail and its descendants write it.
fn status_in(reply: &Reply, text: &[u8]) -> Option<EnhancedCode> {
    let from = memchr::memchr(b'#', text)? + 1;
    let length = text[from..].iter().take_while(|octet| octet.is_ascii_digit() || **octet == b'.').count();
    let found = std::str::from_utf8(&text[from..from + length]).ok()?;
    Reply::received(reply.code(), found)?.enhanced()
}

/// Whether the code alone makes an end of it.
fn is_final(reply: &Reply, step: Step) -> bool {
    let of_the_mail = match step {
        // a host that gives no service now may give it later, and another one may now; only 521 says "never" (RFC 7504 §3)
        Step::Greeting => reply.code() == 521,
        // that the server does without is no fault of the message
        Step::StartTls | Step::Reset => false,
        // the login is the operator's, and no fault of the message
        Step::Auth => false,
        Step::Hello | Step::Mail | Step::Recipient | Step::Data | Step::Content | Step::End => true,
    };
    match reply.class() {
        ReplyClass::Permanent => of_the_mail,
        ReplyClass::Transient | ReplyClass::Completed | ReplyClass::Intermediate => false,
    }
}

fn usual_scope(class: FailureClass, reply: &Reply, step: Step) -> FailureScope {
    match class {
        FailureClass::InvalidRecipient
        | FailureClass::BadDomain
        | FailureClass::MailboxFull
        | FailureClass::Inactive => FailureScope::Recipient,
        FailureClass::Content | FailureClass::TooLarge | FailureClass::AuthenticationFailed => {
            FailureScope::Message
        }
        FailureClass::Reputation | FailureClass::RateLimit | FailureClass::Tls => FailureScope::Site,
        FailureClass::Policy
        | FailureClass::Greylisting
        | FailureClass::Routing
        | FailureClass::RelayDenied
        | FailureClass::Transient
        | FailureClass::Unknown => match step {
            // the server is about to close, whatever was asked (RFC 5321 §3.8)
            _ if reply.code() == 421 => FailureScope::Connection,
            Step::Greeting | Step::Hello | Step::StartTls | Step::Auth | Step::Reset => {
                FailureScope::Connection
            }
            Step::Recipient => FailureScope::Recipient,
            Step::Mail | Step::Data | Step::Content | Step::End => FailureScope::Message,
        },
    }
}

fn retry(class: FailureClass, row: Option<&Row>) -> Retry {
    row.and_then(|row| row.retry).unwrap_or(match class {
        FailureClass::Greylisting => Retry::Soon,
        FailureClass::RateLimit | FailureClass::Reputation => Retry::BackOff,
        FailureClass::InvalidRecipient
        | FailureClass::BadDomain
        | FailureClass::MailboxFull
        | FailureClass::Inactive
        | FailureClass::Policy
        | FailureClass::Content
        | FailureClass::AuthenticationFailed
        | FailureClass::Tls
        | FailureClass::Routing
        | FailureClass::RelayDenied
        | FailureClass::TooLarge
        | FailureClass::Transient
        | FailureClass::Unknown => Retry::Usual,
    })
}
