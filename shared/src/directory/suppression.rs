//! Suppressions: addresses that a tenant's mail is not sent to.
//!
//! Domains are compared as domains are, and local parts without regard to case: what bounced as `Ann@` bounces as `ann@` wherever mail
//! is read by people, and a receiver that tells the two apart is yet to be met. Quotes that are not needed make no difference either.
//!
//! The name of an entry is the tenant, a space, the domain, a space, and the local part in the form that is compared; so the
//! suppressions of a tenant lie together, sorted by domain. No tenant and no domain has a space in it.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::EntryError;
use super::recipient::canonical;
use crate::limits::SUPPRESSION_DETAIL_CHARS_MAX;
use crate::mail::{Mailbox, TenantId, Timestamp};
use crate::port::{Entry, EntryKind};

/// An address that a tenant's mail is not sent to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SuppressionEntry {
    /// Whose mail.
    pub tenant: TenantId,
    /// The address, as it was first met.
    pub address: Mailbox,
    /// Why.
    pub reason: SuppressionReason,
    /// What brought it there, for a person: a reply, who asked for it. On one line, at most
    /// [`SUPPRESSION_DETAIL_CHARS_MAX`] characters.
    pub source: String,
    /// Since when.
    pub since: Timestamp,
    /// Until when, where it is not for good.
    pub expires: Option<Timestamp>,
}

/// Why an address is suppressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SuppressionReason {
    /// The mailbox is not there, or takes no mail any more.
    HardBounce,
    /// Its owner complained of mail.
    Complaint,
    /// An operator said so.
    Manual,
}

impl SuppressionReason {
    /// Every reason.
    pub const ALL: [Self; 3] = [Self::HardBounce, Self::Complaint, Self::Manual];

    /// The reason as it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::HardBounce => "hard-bounce",
            Self::Complaint => "complaint",
            Self::Manual => "manual",
        }
    }
}

impl fmt::Display for SuppressionReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A text that is no [`SuppressionReason`].
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("`{0}` is no reason; use hard-bounce, complaint or manual")]
pub struct SuppressionReasonError(String);

impl FromStr for SuppressionReason {
    type Err = SuppressionReasonError;

    fn from_str(text: &str) -> Result<Self, SuppressionReasonError> {
        let found = Self::ALL.into_iter().find(|reason| reason.as_str() == text);
        found.ok_or_else(|| SuppressionReasonError(text.to_owned()))
    }
}

impl SuppressionEntry {
    /// A new one; `source` is cut and put on one line.
    pub fn new(
        tenant: TenantId,
        address: Mailbox,
        reason: SuppressionReason,
        source: &str,
        since: Timestamp,
    ) -> Self {
        let plain = source.chars().map(|letter| if letter.is_control() { ' ' } else { letter });
        let source = plain.take(SUPPRESSION_DETAIL_CHARS_MAX).collect::<String>().trim().to_owned();
        Self { tenant, address, reason, source, since, expires: None }
    }

    /// Whether it holds at `now`.
    pub fn holds(&self, now: Timestamp) -> bool {
        self.expires.is_none_or(|expires| now < expires)
    }

    /// The name of its entry.
    pub fn entry_name(&self) -> String {
        Self::name_of(&self.tenant, &self.address)
    }

    /// The name of the entry that keeps the mail of `tenant` from `address`.
    pub fn name_of(tenant: &TenantId, address: &Mailbox) -> String {
        format!("{tenant} {} {}", address.domain(), canonical(address.local_part()))
    }

    /// What the names of all entries of `tenant` begin with, and lie behind.
    pub fn before_all(tenant: &TenantId) -> String {
        format!("{tenant} ")
    }
}

/// Whether the two are one address to suppressions.
pub fn is_same_address(one: &Mailbox, other: &Mailbox) -> bool {
    one.domain() == other.domain() && canonical(one.local_part()) == canonical(other.local_part())
}

#[derive(Serialize, Deserialize)]
struct SuppressionValue {
    address: Mailbox,
    reason: SuppressionReason,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    source: String,
    since: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    expires: Option<Timestamp>,
}

impl From<SuppressionEntry> for Entry {
    fn from(entry: SuppressionEntry) -> Self {
        let name = entry.entry_name();
        let SuppressionEntry { tenant: _, address, reason, source, since, expires } = entry;
        let value = SuppressionValue { address, reason, source, since, expires };
        let value = serde_json::to_value(value).expect("an entry is plain data");
        Self { kind: EntryKind::Suppression, name, value }
    }
}

impl TryFrom<Entry> for SuppressionEntry {
    type Error = EntryError;

    fn try_from(Entry { kind, name, value }: Entry) -> Result<Self, EntryError> {
        let read = || -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
            if kind != EntryKind::Suppression {
                return Err("it is not a suppression".into());
            }
            let (tenant, _) = name.split_once(' ').ok_or("its name has no tenant")?;
            let SuppressionValue { address, reason, source, since, expires } = serde_json::from_value(value)?;
            let entry = Self { tenant: TenantId(tenant.to_owned()), address, reason, source, since, expires };
            if entry.entry_name() != name {
                return Err("its name is that of another address".into());
            }
            Ok(entry)
        };
        read().map_err(|cause| EntryError { kind, name: name.clone(), cause })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(tenant: &str, address: &str) -> SuppressionEntry {
        let (tenant, address) = (TenantId(tenant.to_owned()), address.parse().unwrap());
        let since = Timestamp::from_millis(1_700_000_000_000);
        SuppressionEntry::new(tenant, address, SuppressionReason::HardBounce, "550 5.1.1\r\nno user", since)
    }

    #[test]
    fn an_entry_comes_back_as_it_went_in_and_its_json_stays_as_it_is() {
        let mut one = entry("shop", "Ann@Example.COM");
        let written = Entry::from(one.clone());
        assert_eq!(written.name, "shop example.com ann");
        assert_eq!(
            written.value,
            serde_json::json!({"address": "Ann@Example.COM", "reason": "hard-bounce",
                "source": "550 5.1.1  no user", "since": 1_700_000_000_000_i64})
        );
        one.expires = Some(Timestamp::from_millis(1_800_000_000_000));
        assert_eq!(SuppressionEntry::try_from(Entry::from(one.clone())).unwrap(), one);
        let strange = Entry { name: "shop example.com bob".to_owned(), ..Entry::from(one) };
        assert!(SuppressionEntry::try_from(strange).is_err());
    }

    #[test]
    fn case_and_needless_quotes_make_no_other_address_and_a_tenant_does() {
        let name = entry("shop", "Ann.Lee@example.com").entry_name();
        for same in ["ann.lee@EXAMPLE.com", "\"ann.lee\"@example.com"] {
            assert_eq!(entry("shop", same).entry_name(), name, "{same}");
            assert!(is_same_address(&same.parse().unwrap(), &"Ann.Lee@example.com".parse().unwrap()));
        }
        for (tenant, other) in [("shop", "annlee@example.com"), ("shop2", "ann.lee@example.com")] {
            assert_ne!(entry(tenant, other).entry_name(), name, "{tenant} {other}");
        }
    }

    #[test]
    fn the_longest_name_and_source_are_within_the_bounds_of_a_directory() {
        let longest = format!("{}@{}.example", "\u{2c6f}".repeat(21), "a.".repeat(120).trim_end_matches('.'));
        let mut one = entry(&"t".repeat(64), &longest);
        one.source = "\u{1f600}".repeat(SUPPRESSION_DETAIL_CHARS_MAX);
        assert!(one.entry_name().len() <= crate::limits::NAME_OCTETS_MAX);
        assert!(Entry::from(one).value.to_string().len() <= crate::limits::VALUE_OCTETS_MAX);
    }

    #[test]
    fn it_holds_until_it_expires() {
        let mut one = entry("shop", "ann@example.com");
        assert!(one.holds(Timestamp::from_millis(i64::MAX / 2)));
        one.expires = Some(Timestamp::from_millis(10));
        assert!(one.holds(Timestamp::from_millis(9)) && !one.holds(Timestamp::from_millis(10)));
    }
}
