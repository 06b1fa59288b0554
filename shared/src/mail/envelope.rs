//! The envelope, and what is known of a message beside it.

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Mailbox, ReversePath, Timestamp};

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
    /// NOTIFY (RFC 3461 §4.1); where it was not given, failures are told of, and delays may be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notify: Option<Notify>,
    /// ORCPT (RFC 3461 §4.2).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub original: Option<OriginalRecipient>,
}

impl From<Mailbox> for Recipient {
    fn from(address: Mailbox) -> Self {
        Self { address, notify: None, original: None }
    }
}

/// The parameters of MAIL that travel with the message.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MailOptions {
    /// BODY (RFC 6152, RFC 3030).
    #[serde(default)]
    pub body: Body,
    /// SMTPUTF8 (RFC 6531).
    #[serde(default)]
    pub smtputf8: bool,
    /// REQUIRETLS (RFC 8689).
    #[serde(default, skip_serializing_if = "is_default")]
    pub require_tls: bool,
    /// RET (RFC 3461 §4.3).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ret: Option<Ret>,
    /// ENVID, decoded from its xtext (RFC 3461 §4.4): 1 to 100 printable ASCII characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub envid: Option<String>,
    /// HOLDFOR or HOLDUNTIL (RFC 4865).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hold: Option<Hold>,
    /// MT-PRIORITY (RFC 6710): -9 to 9, more is more urgent.
    #[serde(default, skip_serializing_if = "is_default")]
    pub priority: i8,
    /// BY (RFC 2852).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deliver_by: Option<DeliverBy>,
}

impl MailOptions {
    /// When a message that was received at `received_at` is released; `None` where it is not held.
    pub fn held_until(&self, received_at: Timestamp) -> Option<Timestamp> {
        self.hold.map(|hold| hold.until(received_at)).filter(|until| *until > received_at)
    }
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// The BODY parameter (RFC 6152 §2, RFC 3030 §3).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Body {
    /// 7BIT, also where nothing was said.
    #[default]
    SevenBit,
    /// 8BITMIME.
    EightBitMime,
    /// BINARYMIME: any octets in any order, so CR and LF need not come in pairs and lines may be of any length.
    BinaryMime,
}

/// When a recipient's outcome is to be told to the sender. None of the three is `NOTIFY=NEVER`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Notify {
    /// SUCCESS: it was delivered.
    #[serde(default, skip_serializing_if = "is_default")]
    pub success: bool,
    /// FAILURE: it cannot be.
    #[serde(default, skip_serializing_if = "is_default")]
    pub failure: bool,
    /// DELAY: it takes unusually long.
    #[serde(default, skip_serializing_if = "is_default")]
    pub delay: bool,
}

/// ORCPT: the address that the sender of the message gave, before anything was forwarded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OriginalRecipient {
    /// The address type: `rfc822`, `utf-8` (RFC 6533 §3), or what else the sender has.
    pub kind: String,
    /// The address, decoded from its xtext.
    pub address: String,
}

/// How much of the message a DSN returns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Ret {
    /// FULL: all of it.
    Full,
    /// HDRS: its header section.
    Hdrs,
}

/// Until when a message is to be held before its first attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Hold {
    /// HOLDFOR: so many seconds from when it was received.
    For(u32),
    /// HOLDUNTIL: until then.
    Until(Timestamp),
}

impl Hold {
    /// When the message is released, if it was received then.
    pub fn until(self, received_at: Timestamp) -> Timestamp {
        match self {
            Self::For(seconds) => received_at + Duration::from_secs(seconds.into()),
            Self::Until(until) => until,
        }
    }
}

/// The BY parameter: by when a message is to be delivered, and what else happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeliverBy {
    /// Seconds from when it was received; negative where the time had passed already (RFC 2852 §4.1.5).
    pub seconds: i32,
    /// What happens once they have passed.
    pub mode: ByMode,
    /// T: a DSN is wanted from each relay that does not know the extension (RFC 2852 §4.2).
    #[serde(default, skip_serializing_if = "is_default")]
    pub trace: bool,
}

/// What happens to a message that is not delivered by its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ByMode {
    /// R: it is returned.
    Return,
    /// N: its sender is notified, and attempts go on.
    Notify,
}

/// What reading the content once told: it decides what the next server must offer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContentFacts {
    /// An octet over 127 stands in the header section.
    pub eight_bit_header: bool,
    /// An octet over 127 stands in the body.
    pub eight_bit_body: bool,
    /// The header section has `TLS-Required: No` (RFC 8689 §5), which counts only without REQUIRETLS.
    #[serde(default, skip_serializing_if = "is_default")]
    pub tls_not_required: bool,
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
    /// What the DNS says of its address; empty where nobody looked.
    #[serde(default, skip_serializing_if = "is_default")]
    pub dns: ClientDns,
}

/// What the DNS says of a client's address, as far as policy wants it told.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClientDns {
    /// Its host name: one that its reverse DNS gives, and whose own addresses confirm it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What the look for that name came to, where policy tags by it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reverse: Option<ReverseDns>,
    /// The zones of the block lists that list it, of those that policy tags by.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub listed: Vec<String>,
}

/// What a look at reverse DNS with forward confirmation comes to (iprev, RFC 8601 §2.7.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ReverseDns {
    /// The address has a name, and the name has the address.
    Pass,
    /// It has names, and none of them has the address.
    Fail,
    /// The DNS could not be asked now.
    TempError,
    /// It has no name.
    PermError,
}

impl ReverseDns {
    /// The result's keyword.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Fail => "fail",
            Self::TempError => "temperror",
            Self::PermError => "permerror",
        }
    }
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
