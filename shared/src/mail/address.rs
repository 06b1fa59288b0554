//! Mailboxes and reverse paths (RFC 5321 §4.1.2; RFC 6531 §3.3 for UTF-8).

use std::fmt;
use std::hash::{Hash, Hasher};

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::Domain;
use crate::limits::LOCAL_PART_OCTETS_MAX;

/// Why a text is not an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum AddressError {
    /// The local part breaks RFC 5321 §4.1.2 or is over 64 octets.
    #[error("the local part is malformed")]
    LocalPart,
    /// The domain or address literal breaks RFC 5321 §4.1.2 or §4.1.3.
    #[error("the domain is malformed")]
    Domain,
    /// There is no `@`.
    #[error("the address has no domain")]
    NoDomain,
}

/// `local-part@domain`, kept exactly as it was given. Two mailboxes are equal when their local parts
/// are the same to the letter and their domains are the same domain.
#[derive(Clone, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Mailbox {
    text: String,
    at: usize,
    domain: Domain,
}

impl Mailbox {
    /// Reads a mailbox without its angle brackets. UTF-8 is let through; whether it was allowed is
    /// told by [`Mailbox::is_ascii`].
    pub fn parse(text: &str) -> Result<Self, AddressError> {
        let at = local_part_end(text)?;
        if text.as_bytes().get(at) != Some(&b'@') {
            return Err(if at == text.len() { AddressError::NoDomain } else { AddressError::LocalPart });
        }
        let domain = Domain::parse(&text[at + 1..])?;
        Ok(Self { text: text.to_owned(), at, domain })
    }

    /// The text left of the `@`, quotes included.
    pub fn local_part(&self) -> &str {
        &self.text[..self.at]
    }

    /// The domain in its canonical form.
    pub fn domain(&self) -> &Domain {
        &self.domain
    }

    /// The whole address as it was given.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether the address can be sent without SMTPUTF8 as it stands (RFC 6531 §3.4).
    pub fn is_ascii(&self) -> bool {
        self.text.is_ascii()
    }
}

/// Where the local part that `text` begins with ends: a dot-string or a quoted-string.
fn local_part_end(text: &str) -> Result<usize, AddressError> {
    let bytes = text.as_bytes();
    let end = if bytes.first() == Some(&b'"') { quoted_string_end(bytes) } else { dot_string_end(bytes) };
    end.filter(|end| (1..=LOCAL_PART_OCTETS_MAX).contains(end)).ok_or(AddressError::LocalPart)
}

fn quoted_string_end(bytes: &[u8]) -> Option<usize> {
    let mut at = 1;
    loop {
        match bytes.get(at)? {
            b'"' => return Some(at + 1),
            b'\\' if matches!(bytes.get(at + 1), Some(32..=126)) => at += 2,
            b'\\' => return None,
            32..=126 | 128.. => at += 1,
            _ => return None,
        }
    }
}

fn dot_string_end(bytes: &[u8]) -> Option<usize> {
    let end = bytes.iter().position(|byte| !is_atext(*byte) && *byte != b'.').unwrap_or(bytes.len());
    bytes[..end].split(|byte| *byte == b'.').all(|atom| !atom.is_empty()).then_some(end)
}

fn is_atext(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~".contains(&byte) || byte >= 128
}

impl PartialEq for Mailbox {
    fn eq(&self, other: &Self) -> bool {
        self.local_part() == other.local_part() && self.domain == other.domain
    }
}

impl Eq for Mailbox {}

impl Hash for Mailbox {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.local_part().hash(state);
        self.domain.hash(state);
    }
}

impl fmt::Display for Mailbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for Mailbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::str::FromStr for Mailbox {
    type Err = AddressError;
    fn from_str(text: &str) -> Result<Self, AddressError> {
        Self::parse(text)
    }
}

impl TryFrom<String> for Mailbox {
    type Error = AddressError;
    fn try_from(text: String) -> Result<Self, AddressError> {
        Self::parse(&text)
    }
}

impl From<Mailbox> for String {
    fn from(mailbox: Mailbox) -> Self {
        mailbox.text
    }
}

/// What MAIL FROM names: a mailbox, or nobody (`<>`), to whom nothing is ever bounced (RFC 5321 §4.5.5).
/// As text and in JSON, the null path is the empty string.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum ReversePath {
    /// `<>`.
    Null,
    /// Who is told when the message cannot be delivered.
    Mailbox(Mailbox),
}

impl ReversePath {
    /// The address, without angle brackets; empty for the null path.
    pub fn as_str(&self) -> &str {
        self.mailbox().map_or("", Mailbox::as_str)
    }

    /// The mailbox, unless the path is null.
    pub fn mailbox(&self) -> Option<&Mailbox> {
        match self {
            Self::Null => None,
            Self::Mailbox(mailbox) => Some(mailbox),
        }
    }
}

impl fmt::Display for ReversePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl TryFrom<String> for ReversePath {
    type Error = AddressError;
    fn try_from(text: String) -> Result<Self, AddressError> {
        if text.is_empty() { Ok(Self::Null) } else { Mailbox::parse(&text).map(Self::Mailbox) }
    }
}

impl From<ReversePath> for String {
    fn from(path: ReversePath) -> Self {
        path.as_str().to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_rfc_5321_are_read_as_they_stand() {
        for text in [
            "user@example.com",
            "first.last+tag@EXAMPLE.com",
            "\"a b\"@example.com",
            "\"a@b\\\"c\"@example.com",
            "\"\"@example.com",
            "!#$%&'*+-/=?^_`{|}~@example.com",
            "x@[192.0.2.1]",
            "x@[IPv6:2001:db8::1]",
            "d\u{f6}rte@example.com",
        ] {
            let mailbox = Mailbox::parse(text).unwrap();
            assert_eq!(mailbox.as_str(), text);
            assert_eq!(format!("{}@", mailbox.local_part()), text[..=mailbox.local_part().len()]);
        }
    }

    #[test]
    fn malformed_addresses_say_which_half_is_wrong() {
        let long = format!("{}@example.com", "a".repeat(65));
        for text in [
            "@b.c",
            ".a@b.c",
            "a.@b.c",
            "a..b@b.c",
            "a b@c.d",
            "\"a@b.c",
            "\"a\"b@c.d",
            "(a)@b.c",
            &long,
            "\"\t\"@b.c",
        ] {
            assert_eq!(Mailbox::parse(text), Err(AddressError::LocalPart), "{text}");
        }
        for text in ["a@", "a@b@c", "a@-b", "a@b..c", "a@[1.2.3.4", "a@b.c."] {
            assert_eq!(Mailbox::parse(text), Err(AddressError::Domain), "{text}");
        }
        assert_eq!(Mailbox::parse("postmaster"), Err(AddressError::NoDomain));
    }

    #[test]
    fn local_parts_differ_by_case_and_domains_do_not() {
        let mailbox = |text| Mailbox::parse(text).unwrap();
        assert_eq!(mailbox("a@example.com"), mailbox("a@Example.COM"));
        assert_ne!(mailbox("a@example.com"), mailbox("A@example.com"));
    }

    #[test]
    fn the_null_path_is_the_empty_string_in_json() {
        assert_eq!(serde_json::to_string(&ReversePath::Null).unwrap(), "\"\"");
        assert_eq!(serde_json::from_str::<ReversePath>("\"\"").unwrap(), ReversePath::Null);
    }
}
