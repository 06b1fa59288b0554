//! Domains that mail is signed for.

use serde::{Deserialize, Serialize};

use super::EntryError;
use crate::mail::{Domain, Timestamp};
use crate::port::{Entry, EntryKind, KeyAlgorithm};

/// A domain that mail is signed for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DomainEntry {
    /// The domain, which is the name of its entry.
    pub domain: Domain,
    /// Its signing keys. The first of each algorithm signs; those behind it are still, or already, in the DNS.
    pub selectors: Vec<Selector>,
    /// When the domain was added.
    pub created: Timestamp,
}

/// The public half of a signing key. The private half is in the keys' store, under the same domain and selector.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Selector {
    /// The name under `_domainkey` (RFC 6376 §3.1).
    pub selector: String,
    /// What the key is for.
    pub algorithm: KeyAlgorithm,
    /// The public key in base64, as the `p=` of its DNS record has it.
    pub public_key: String,
}

#[derive(Serialize, Deserialize)]
struct DomainValue {
    selectors: Vec<Selector>,
    created: Timestamp,
}

impl From<DomainEntry> for Entry {
    fn from(DomainEntry { domain, selectors, created }: DomainEntry) -> Self {
        let value = serde_json::to_value(DomainValue { selectors, created }).expect("an entry is plain data");
        Self { kind: EntryKind::Domain, name: domain.as_str().to_owned(), value }
    }
}

impl TryFrom<Entry> for DomainEntry {
    type Error = EntryError;

    fn try_from(Entry { kind, name, value }: Entry) -> Result<Self, EntryError> {
        let read = || -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
            if kind != EntryKind::Domain {
                return Err("it is not a domain".into());
            }
            let DomainValue { selectors, created } = serde_json::from_value(value)?;
            Ok(Self { domain: Domain::parse(&name)?, selectors, created })
        };
        read().map_err(|cause| EntryError { kind, name, cause })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_domain_comes_back_from_its_entry_and_its_json_stays_as_it_is() {
        let selector = |selector: &str, algorithm| Selector {
            selector: selector.to_owned(),
            algorithm,
            public_key: "AAAA".to_owned(),
        };
        let domain = DomainEntry {
            domain: "example.com".parse().unwrap(),
            selectors: vec![selector("r1", KeyAlgorithm::Rsa), selector("e1", KeyAlgorithm::Ed25519)],
            created: Timestamp::from_millis(1_700_000_000_000),
        };
        let entry = Entry::from(domain.clone());
        assert_eq!((entry.kind, entry.name.as_str()), (EntryKind::Domain, "example.com"));
        assert_eq!(
            entry.value,
            serde_json::json!({"selectors": [
                {"selector": "r1", "algorithm": "rsa", "public_key": "AAAA"},
                {"selector": "e1", "algorithm": "ed25519", "public_key": "AAAA"},
            ], "created": 1_700_000_000_000_i64})
        );
        assert_eq!(DomainEntry::try_from(entry).unwrap(), domain);
    }

    #[test]
    fn an_entry_of_another_kind_or_shape_is_an_error_that_names_it() {
        let entry = |kind, value| Entry { kind, name: "example.com".to_owned(), value };
        for wrong in [
            entry(EntryKind::Route, serde_json::json!({"selectors": [], "created": 0})),
            entry(EntryKind::Domain, serde_json::json!({"selectors": 1})),
        ] {
            let error = DomainEntry::try_from(wrong).unwrap_err();
            assert!(error.to_string().contains("`example.com`"), "{error}");
        }
    }
}
