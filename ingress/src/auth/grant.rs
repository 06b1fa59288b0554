//! What an exchange comes to.

use std::sync::Arc;

use shared::directory::CredentialEntry;
use shared::mail::Reply;

/// What comes next in an exchange.
#[derive(Debug)]
pub(crate) enum Step {
    /// 334 with these octets, in base64, and the client's answer to them is awaited.
    Challenge(Vec<u8>),
    /// 235.
    Granted(Arc<Grant>),
    /// The exchange has failed.
    Denied(Denial),
}

/// A client that has proved who it is.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Grant {
    /// The credential, as it was then.
    pub(crate) entry: Arc<CredentialEntry>,
    /// By what.
    pub(crate) mechanism: &'static str,
}

impl Grant {
    /// The credential's name.
    pub(crate) fn name(&self) -> &str {
        &self.entry.name
    }
}

/// Why an exchange failed, as far as the client is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Denial {
    /// It did not prove who it is. It is not told whether there is such a name.
    Wrong,
    /// What it said is not of the mechanism's form.
    Malformed,
    /// It cannot be known now.
    Unavailable,
    /// The name has failed too often.
    NameLimited,
    /// The address has failed too often; the session ends.
    AddressLimited,
}

impl Denial {
    /// What the client is told (RFC 4954 §6).
    pub(crate) fn reply(self) -> Reply {
        match self {
            Self::Wrong => Reply::new(535, (7, 8), "authentication credentials invalid"),
            Self::Malformed => Reply::new(501, (5, 2), "cannot read this response"),
            Self::Unavailable => Reply::new(454, (7, 0), "temporary authentication failure"),
            Self::NameLimited => Reply::new(454, (7, 0), "too many failures, try again later"),
            Self::AddressLimited => {
                Reply::new(421, (7, 0), "too many failures from your address, try again later")
            }
        }
    }

    /// Whether it is a failure of the client's, to be counted against it.
    pub(crate) fn counts(self) -> bool {
        match self {
            Self::Wrong | Self::Malformed => true,
            Self::Unavailable | Self::NameLimited | Self::AddressLimited => false,
        }
    }
}
