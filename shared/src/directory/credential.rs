//! Credentials: who may submit mail, and how much of it.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::EntryError;
use crate::mail::{Domain, Mailbox, TenantId, Timestamp};
use crate::port::{Entry, EntryKind};

/// A name that an app authenticates with, and what it may do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CredentialEntry {
    /// The name, which is the name of its entry, compared as it stands.
    #[serde(skip)]
    pub name: String,
    /// Whom its messages are accounted to.
    pub tenant: TenantId,
    /// What proves its secret; without one, only a token of an issuer does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verifier: Option<ScramVerifier>,
    /// The secret itself, kept only where CRAM-MD5 was asked for, which cannot do without.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cram_md5: Option<Secret>,
    /// What it may say in MAIL FROM and From; nothing may stand there where this is empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub senders: Vec<SenderPattern>,
    /// Messages a time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate: Option<Rate>,
    /// Messages a longer time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quota: Option<Rate>,
    /// Recipients of a message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recipients: Option<usize>,
    /// Octets of a message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message_octets: Option<u64>,
    /// When it was made.
    pub created: Timestamp,
    /// Since when it is of no use any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked: Option<Timestamp>,
}

/// A secret in clear text. It is never shown.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Secret(pub String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

/// What a server keeps to verify a secret by SCRAM-SHA-256, PLAIN and LOGIN (RFC 5802 §3). The secret does not follow from it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScramVerifier {
    /// The salt.
    #[serde(with = "octets")]
    pub salt: Vec<u8>,
    /// Rounds of PBKDF2.
    pub iterations: u32,
    /// H(ClientKey).
    #[serde(with = "octets")]
    pub stored_key: Vec<u8>,
    /// HMAC(SaltedPassword, "Server Key").
    #[serde(with = "octets")]
    pub server_key: Vec<u8>,
}

/// Never shown: whoever has the keys can pass for the server, and try secrets as fast as they can.
impl fmt::Debug for ScramVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ScramVerifier").finish_non_exhaustive()
    }
}

/// Senders that a credential may use: `*`, `@example.com`, `@*.example.com` (every name below it), or one address.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum SenderPattern {
    /// Any.
    Any,
    /// Any at this domain.
    Domain(Domain),
    /// Any at a domain below this one, and none at the domain itself.
    Below(Domain),
    /// This one; its local part is compared without regard to case.
    Address(Mailbox),
}

/// A text that is no [`SenderPattern`].
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("`{0}` is no sender; use *, @example.com, @*.example.com or app@example.com")]
pub struct SenderPatternError(String);

impl SenderPattern {
    /// Whether `sender` is one of these.
    pub fn matches(&self, sender: &Mailbox) -> bool {
        match self {
            Self::Any => true,
            Self::Domain(domain) => sender.domain() == domain,
            Self::Below(domain) => {
                let above = sender.domain().as_str().strip_suffix(domain.as_str());
                above.is_some_and(|above| above.ends_with('.'))
            }
            Self::Address(address) => {
                address.domain() == sender.domain()
                    && address.local_part().eq_ignore_ascii_case(sender.local_part())
            }
        }
    }
}

impl FromStr for SenderPattern {
    type Err = SenderPatternError;

    fn from_str(text: &str) -> Result<Self, SenderPatternError> {
        let wrong = || SenderPatternError(text.to_owned());
        let domain = |text: &str| Domain::parse(text).map_err(|_| wrong());
        match text.strip_prefix('@') {
            _ if text == "*" => Ok(Self::Any),
            Some(rest) => match rest.strip_prefix("*.") {
                Some(below) => domain(below).map(Self::Below),
                None => domain(rest).map(Self::Domain),
            },
            None => Mailbox::parse(text).map(Self::Address).map_err(|_| wrong()),
        }
    }
}

impl fmt::Display for SenderPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("*"),
            Self::Domain(domain) => write!(f, "@{domain}"),
            Self::Below(domain) => write!(f, "@*.{domain}"),
            Self::Address(address) => write!(f, "{address}"),
        }
    }
}

impl TryFrom<String> for SenderPattern {
    type Error = SenderPatternError;
    fn try_from(text: String) -> Result<Self, SenderPatternError> {
        text.parse()
    }
}

impl From<SenderPattern> for String {
    fn from(pattern: SenderPattern) -> Self {
        pattern.to_string()
    }
}

/// So many messages in each period: `100/s`, `5000/m`, `20000/h`, `100000/day`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Rate {
    /// Messages; at least 1.
    pub messages: u64,
    /// The period.
    pub period: Duration,
}

/// A text that is no [`Rate`].
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("`{0}` is no rate; use 100/s, 5000/m, 20000/h or 100000/day")]
pub struct RateError(String);

/// How periods are written, with their seconds; the first name of a length is the one that is shown.
const PERIODS: [(&str, u64); 8] = [
    ("s", 1),
    ("m", 60),
    ("h", 3600),
    ("day", 86_400),
    ("second", 1),
    ("minute", 60),
    ("hour", 3600),
    ("d", 86_400),
];

impl FromStr for Rate {
    type Err = RateError;

    fn from_str(text: &str) -> Result<Self, RateError> {
        let read = || {
            let (messages, period) = text.split_once('/')?;
            let messages = messages.parse().ok().filter(|messages| *messages > 0)?;
            let (_, seconds) = PERIODS.iter().find(|(name, _)| *name == period)?;
            Some(Self { messages, period: Duration::from_secs(*seconds) })
        };
        read().ok_or_else(|| RateError(text.to_owned()))
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.period.as_secs();
        match PERIODS.iter().find(|(_, length)| *length == seconds) {
            Some((name, _)) => write!(f, "{}/{name}", self.messages),
            None => write!(f, "{}/{seconds}s", self.messages),
        }
    }
}

impl TryFrom<String> for Rate {
    type Error = RateError;
    fn try_from(text: String) -> Result<Self, RateError> {
        text.parse()
    }
}

impl From<Rate> for String {
    fn from(rate: Rate) -> Self {
        rate.to_string()
    }
}

impl From<CredentialEntry> for Entry {
    fn from(entry: CredentialEntry) -> Self {
        let value = serde_json::to_value(&entry).expect("an entry is plain data");
        Self { kind: EntryKind::Credential, name: entry.name, value }
    }
}

impl TryFrom<Entry> for CredentialEntry {
    type Error = EntryError;

    fn try_from(Entry { kind, name, value }: Entry) -> Result<Self, EntryError> {
        if kind != EntryKind::Credential {
            return Err(EntryError { kind, name, cause: "it is not a credential".into() });
        }
        match serde_json::from_value::<Self>(value) {
            Ok(entry) => Ok(Self { name, ..entry }),
            Err(cause) => Err(EntryError { kind, name, cause: cause.into() }),
        }
    }
}

mod octets {
    use base64::Engine as _;
    use base64::prelude::BASE64_STANDARD;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(octets: &[u8], to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&BASE64_STANDARD.encode(octets))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<u8>, D::Error> {
        let text = String::deserialize(from)?;
        BASE64_STANDARD.decode(text).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_credential_comes_back_from_its_entry() {
        let credential = CredentialEntry {
            name: "app".to_owned(),
            tenant: TenantId("t".to_owned()),
            verifier: Some(ScramVerifier {
                salt: vec![1],
                iterations: 4096,
                stored_key: vec![2],
                server_key: vec![3],
            }),
            cram_md5: None,
            senders: vec!["@example.com".parse().unwrap()],
            rate: Some("100/s".parse().unwrap()),
            quota: Some("100000/day".parse().unwrap()),
            recipients: Some(5),
            message_octets: None,
            created: Timestamp::from_millis(1_700_000_000_000),
            revoked: None,
        };
        let entry = Entry::from(credential.clone());
        assert_eq!((entry.kind, entry.name.as_str()), (EntryKind::Credential, "app"));
        assert_eq!(CredentialEntry::try_from(entry).unwrap(), credential);
    }

    #[test]
    fn an_entry_of_another_kind_or_shape_is_an_error_that_names_it() {
        let entry = |kind, value| Entry { kind, name: "app".to_owned(), value };
        for wrong in [
            entry(EntryKind::Route, serde_json::json!({"tenant": "t", "created": 0})),
            entry(EntryKind::Credential, serde_json::json!({"tenant": 1})),
        ] {
            assert!(CredentialEntry::try_from(wrong).unwrap_err().to_string().contains("`app`"));
        }
    }

    #[test]
    fn senders_are_one_address_or_all_of_a_domain() {
        let matches = |pattern: &str, sender: &str| {
            pattern.parse::<SenderPattern>().unwrap().matches(&sender.parse().unwrap())
        };
        assert!(matches("*", "a@b.c") && matches("@b.c", "a@B.c") && matches("A@b.c", "a@b.c"));
        assert!(
            matches("@*.b.c", "a@x.y.b.c") && !matches("@*.b.c", "a@b.c") && !matches("@*.b.c", "a@xb.c")
        );
        assert!(!matches("@b.c", "a@x.b.c") && !matches("a@b.c", "b@b.c"));
        for wrong in ["", "@", "b.c", "@*", "**"] {
            assert!(wrong.parse::<SenderPattern>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn rates_are_read_as_they_are_written() {
        for text in ["100/s", "5/m", "7/h", "100000/day"] {
            assert_eq!(text.parse::<Rate>().unwrap().to_string(), text);
        }
        for wrong in ["", "100", "0/s", "-1/s", "1/", "1/w", "1 / s"] {
            assert!(wrong.parse::<Rate>().is_err(), "{wrong}");
        }
    }
}
