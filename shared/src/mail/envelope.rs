//! The envelope, and what is known of a message beside it.

use std::fmt;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::{Mailbox, ReversePath};

/// What MAIL and RCPT said. Never derived from the headers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Envelope {
    /// MAIL FROM.
    pub from: ReversePath,
    /// RCPT TO, in the order given, each mailbox once.
    pub recipients: Vec<Recipient>,
    /// The parameters of MAIL.
    #[serde(default)]
    pub options: MailOptions,
}

/// One RCPT TO with its parameters.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recipient {
    /// Who is to get the message.
    pub address: Mailbox,
}

impl From<Mailbox> for Recipient {
    fn from(address: Mailbox) -> Self {
        Self { address }
    }
}

/// The parameters of MAIL that travel with the message.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MailOptions {
    /// BODY (RFC 6152).
    #[serde(default)]
    pub body: Body,
    /// SMTPUTF8 (RFC 6531).
    #[serde(default)]
    pub smtputf8: bool,
}

/// The BODY parameter (RFC 6152 §2).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Body {
    /// 7BIT, also where nothing was said.
    #[default]
    SevenBit,
    /// 8BITMIME.
    EightBitMime,
}

/// What reading the content once told: it decides what the next server must offer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContentFacts {
    /// An octet over 127 stands in the header section.
    pub eight_bit_header: bool,
    /// An octet over 127 stands in the body.
    pub eight_bit_body: bool,
}

/// Who handed the message in, and how. What the client said of itself is unverified text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Client {
    /// Where the connection came from.
    pub ip: IpAddr,
    /// The argument of EHLO or HELO, as given.
    pub helo: String,
    /// Whether it said EHLO (ESMTP) and not HELO.
    pub esmtp: bool,
    /// TLS version and cipher, where there was TLS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<String>,
    /// The credential it authenticated with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credential: Option<String>,
    /// Whether this was a submission (RFC 6409): from a credential or a trusted network. A missing Date
    /// and Message-ID are then added, and the message is signed.
    pub submission: bool,
}

/// Whom a message is accounted to. `default` where nothing else was said.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TenantId(pub String);

impl Default for TenantId {
    fn default() -> Self {
        Self("default".to_owned())
    }
}

impl fmt::Display for TenantId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
