//! Why a recipient did not get a message, in a small published set.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A failure in short.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailureKind {
    /// What is wrong.
    pub class: FailureClass,
    /// Whom it concerns.
    pub scope: FailureScope,
}

/// What is wrong, by the names that outcomes are published under.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FailureClass {
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

impl FailureClass {
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

impl fmt::Display for FailureClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Whom a failure concerns: of what else it is true.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FailureScope {
    /// This recipient: others at the site may get the message.
    Recipient,
    /// This message, whoever gets it.
    Message,
    /// This connection: another one may do.
    Connection,
    /// All that we send to the site.
    Site,
}

impl FailureScope {
    /// The published name, the same as in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Recipient => "recipient",
            Self::Message => "message",
            Self::Connection => "connection",
            Self::Site => "site",
        }
    }
}

impl fmt::Display for FailureScope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for FailureClass {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let found = Self::ALL.into_iter().find(|class| class.as_str() == text);
        found.ok_or_else(|| format!("use one of {}", Self::ALL.map(Self::as_str).join(", ")))
    }
}
