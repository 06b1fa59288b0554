//! What a server's reply means: a class of the published set, whom it concerns, and whether it is final. Pure: the table it asks is data.

mod pattern;
mod table;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::fmt;

use serde::{Deserialize, Serialize};
use shared::mail::{EnhancedCode, Reply, ReplyClass};

use super::outcome::Step;
use table::{Row, Table};

/// What is wrong, by the names that outcomes are published under.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Class {
    /// There is no such mailbox, or its address cannot be one.
    InvalidRecipient,
    /// The recipient's domain does not exist, takes no mail, or has another owner.
    BadDomain,
    /// The mailbox has no room.
    MailboxFull,
    /// The mailbox is there, and is disabled, suspended or moved away.
    Inactive,
    /// A rule of the receiver that asks neither for the content nor for the sender's reputation.
    Policy,
    /// What is in the message: spam, malware, a forbidden attachment, a form that is not taken.
    Content,
    /// What is known of the sender: a block list, complaints, a score.
    Reputation,
    /// Who sends is not shown as the receiver asks: SPF, DKIM, DMARC, reverse DNS (RFC 7372), AUTH (RFC 4954).
    AuthenticationFailed,
    /// Too much at once or in a time: connections, messages, recipients.
    RateLimit,
    /// An unknown sender is asked to come again soon (RFC 6647).
    Greylisting,
    /// TLS is missing, or is not as the receiver or the message asks.
    Tls,
    /// The receiver does not get the message to where it belongs: a loop, no route, no answer (RFC 3463 §3.5).
    Routing,
    /// The server does not take mail for the recipient from us.
    RelayDenied,
    /// The message is larger than is taken.
    TooLarge,
    /// The server is in trouble and says no more than that.
    Transient,
    /// Nothing of the above, or nothing that is known, an error of protocol among it.
    Unknown,
}

impl Class {
    /// Every class.
    pub const ALL: [Self; 16] = [
        Self::InvalidRecipient,
        Self::BadDomain,
        Self::MailboxFull,
        Self::Inactive,
        Self::Policy,
        Self::Content,
        Self::Reputation,
        Self::AuthenticationFailed,
        Self::RateLimit,
        Self::Greylisting,
        Self::Tls,
        Self::Routing,
        Self::RelayDenied,
        Self::TooLarge,
        Self::Transient,
        Self::Unknown,
    ];

    /// The published name, the same as in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::InvalidRecipient => "invalid-recipient",
            Self::BadDomain => "bad-domain",
            Self::MailboxFull => "mailbox-full",
            Self::Inactive => "inactive",
            Self::Policy => "policy",
            Self::Content => "content",
            Self::Reputation => "reputation",
            Self::AuthenticationFailed => "authentication-failed",
            Self::RateLimit => "rate-limit",
            Self::Greylisting => "greylisting",
            Self::Tls => "tls",
            Self::Routing => "routing",
            Self::RelayDenied => "relay-denied",
            Self::TooLarge => "too-large",
            Self::Transient => "transient",
            Self::Unknown => "unknown",
        }
    }
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Whom a reply concerns: of what else it is true.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scope {
    /// This recipient: others at the site may get the message.
    Recipient,
    /// This message, whoever gets it.
    Message,
    /// This connection: another one may do.
    Connection,
    /// All that we send to the site.
    Site,
}

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
    pub class: Class,
    /// Whom it concerns.
    pub scope: Scope,
    /// Whether another try of the same recipient is pointless. The reply code says it (RFC 5321 §4.2.1), but where the table
    /// names a text that means the other, and where the refusal is of a host or an extension, not of the mail.
    pub permanent: bool,
    /// When to try again.
    pub retry: Retry,
    /// Where the row of the table that was taken comes from: an RFC's section, or an address.
    pub source: &'static str,
}

/// Classifies the refusal `reply` of `step`. Total: what the table does not know is [`Class::Unknown`].
pub fn classify(reply: &Reply, step: Step) -> Classification {
    classify_by(Table::shipped(), reply, step)
}

fn classify_by(table: &'static Table, reply: &Reply, step: Step) -> Classification {
    let text = lower_case(reply.text());
    let status = reply.enhanced().or_else(|| status_in(reply, text.as_bytes()));
    let row = table.find(reply.code(), status, step, text.as_bytes());
    let class = row.map_or(Class::Unknown, |row| row.class);
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
        Step::Hello | Step::Mail | Step::Recipient | Step::Data | Step::Content | Step::End => true,
    };
    match reply.class() {
        ReplyClass::Permanent => of_the_mail,
        ReplyClass::Transient | ReplyClass::Completed | ReplyClass::Intermediate => false,
    }
}

fn usual_scope(class: Class, reply: &Reply, step: Step) -> Scope {
    match class {
        Class::InvalidRecipient | Class::BadDomain | Class::MailboxFull | Class::Inactive => Scope::Recipient,
        Class::Content | Class::TooLarge | Class::AuthenticationFailed => Scope::Message,
        Class::Reputation | Class::RateLimit | Class::Tls => Scope::Site,
        Class::Policy
        | Class::Greylisting
        | Class::Routing
        | Class::RelayDenied
        | Class::Transient
        | Class::Unknown => match step {
            // the server is about to close, whatever was asked (RFC 5321 §3.8)
            _ if reply.code() == 421 => Scope::Connection,
            Step::Greeting | Step::Hello | Step::StartTls | Step::Reset => Scope::Connection,
            Step::Recipient => Scope::Recipient,
            Step::Mail | Step::Data | Step::Content | Step::End => Scope::Message,
        },
    }
}

fn retry(class: Class, row: Option<&Row>) -> Retry {
    row.and_then(|row| row.retry).unwrap_or(match class {
        Class::Greylisting => Retry::Soon,
        Class::RateLimit | Class::Reputation => Retry::BackOff,
        Class::InvalidRecipient
        | Class::BadDomain
        | Class::MailboxFull
        | Class::Inactive
        | Class::Policy
        | Class::Content
        | Class::AuthenticationFailed
        | Class::Tls
        | Class::Routing
        | Class::RelayDenied
        | Class::TooLarge
        | Class::Transient
        | Class::Unknown => Retry::Usual,
    })
}
