//! Domain names and address literals as they stand right of the `@` (RFC 5321 §4.1.2, §4.1.3).

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use serde::{Deserialize, Serialize};

use super::AddressError;
use crate::limits::{DOMAIN_OCTETS_MAX, LABEL_OCTETS_MAX};

/// A domain in the one form by which two spellings are compared: lower case, U-labels as A-labels,
/// no trailing dot; or an address literal in its brackets, such as `[192.0.2.1]` or `[IPv6:2001:db8::1]`.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Domain(String);

impl Domain {
    /// Reads a domain name or an address literal. U-labels are turned into A-labels (RFC 5890).
    pub fn parse(text: &str) -> Result<Self, AddressError> {
        if let Some(literal) = text.strip_prefix('[') {
            return Self::parse_literal(literal.strip_suffix(']').ok_or(AddressError::Domain)?);
        }
        let ascii = if text.is_ascii() {
            text.to_ascii_lowercase()
        } else {
            idna::domain_to_ascii_strict(text).map_err(|_| AddressError::Domain)?
        };
        if ascii.len() > DOMAIN_OCTETS_MAX || !ascii.split('.').all(is_label) {
            return Err(AddressError::Domain);
        }
        Ok(Self(ascii))
    }

    fn parse_literal(literal: &str) -> Result<Self, AddressError> {
        let address = match literal.get(..5).filter(|tag| tag.eq_ignore_ascii_case("ipv6:")) {
            Some(_) => literal[5..].parse::<Ipv6Addr>().map(IpAddr::V6),
            None => literal.parse::<Ipv4Addr>().map(IpAddr::V4),
        };
        address.map(Self::from_ip).map_err(|_| AddressError::Domain)
    }

    /// The address literal of `ip`.
    pub fn from_ip(ip: IpAddr) -> Self {
        match ip {
            IpAddr::V4(ip) => Self(format!("[{ip}]")),
            IpAddr::V6(ip) => Self(format!("[IPv6:{ip}]")),
        }
    }

    /// The address, where this is an address literal.
    pub fn literal(&self) -> Option<IpAddr> {
        let inner = self.0.strip_prefix('[')?.strip_suffix(']')?;
        inner.strip_prefix("IPv6:").unwrap_or(inner).parse().ok()
    }

    /// The canonical text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn is_label(label: &str) -> bool {
    let bytes = label.as_bytes();
    let edge = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    bytes.len() <= LABEL_OCTETS_MAX
        && edge(bytes.first())
        && edge(bytes.last())
        && bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'-')
}

impl fmt::Display for Domain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Domain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::str::FromStr for Domain {
    type Err = AddressError;
    fn from_str(text: &str) -> Result<Self, AddressError> {
        Self::parse(text)
    }
}

impl TryFrom<String> for Domain {
    type Error = AddressError;
    fn try_from(text: String) -> Result<Self, AddressError> {
        Self::parse(&text)
    }
}

impl From<Domain> for String {
    fn from(domain: Domain) -> Self {
        domain.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_of_one_domain_are_equal() {
        let domain = Domain::parse("B\u{fc}cher.Example").unwrap();
        assert_eq!(domain.as_str(), "xn--bcher-kva.example");
        assert_eq!(domain, Domain::parse("XN--BCHER-KVA.example").unwrap());
    }

    #[test]
    fn literals_keep_their_brackets_and_tell_their_address() {
        for (text, ip) in [("[192.0.2.1]", "192.0.2.1"), ("[ipv6:2001:DB8::1]", "2001:db8::1")] {
            assert_eq!(Domain::parse(text).unwrap().literal(), Some(ip.parse().unwrap()));
        }
        assert_eq!(Domain::parse("example.com").unwrap().literal(), None);
    }

    #[test]
    fn malformed_domains_are_refused() {
        let long_label = "a".repeat(64);
        let long = format!("{}.com", vec!["a".repeat(60); 5].join("."));
        for text in [
            "",
            ".",
            "a..b",
            "-a.com",
            "a-.com",
            "a_b.com",
            "a b",
            "[",
            "[1.2.3]",
            "[::1]",
            "a.",
            &long_label,
            &long,
        ] {
            assert_eq!(Domain::parse(text), Err(AddressError::Domain), "{text}");
        }
    }
}
