//! The keys that return paths are signed with.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

use super::EntryError;
use crate::limits::RETURN_PATH_KEY_OCTETS;
use crate::mail::Timestamp;
use crate::port::{Entry, EntryKind, Ids};

/// A key that all of one edge sign return paths with. Each has an entry of its own, so that two that are made at a time are both there:
/// the newest signs, and all of them vouch for what comes back.
#[derive(Clone, PartialEq, Eq)]
pub struct ReturnPathKey {
    /// The name of its entry, by which keys sort by age.
    pub name: String,
    /// When it was made.
    pub created: Timestamp,
    /// The key itself.
    pub octets: [u8; RETURN_PATH_KEY_OCTETS],
}

impl ReturnPathKey {
    /// What the names of all of them begin with, and lie behind.
    pub const BEFORE_ALL: &str = "return-path-key ";

    /// A new one.
    pub fn generate(ids: &dyn Ids, now: Timestamp) -> Self {
        let name = format!("{}{:015} {:016x}", Self::BEFORE_ALL, now.millis().max(0), ids.random());
        Self { name, created: now, octets: ids.octets() }
    }
}

impl std::fmt::Debug for ReturnPathKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ReturnPathKey({}..)", self.name)
    }
}

impl From<ReturnPathKey> for Entry {
    fn from(ReturnPathKey { name, octets, .. }: ReturnPathKey) -> Self {
        let value = serde_json::Value::String(BASE64_STANDARD.encode(octets));
        Self { kind: EntryKind::Fleet, name, value }
    }
}

impl TryFrom<Entry> for ReturnPathKey {
    type Error = EntryError;

    fn try_from(Entry { kind, name, value }: Entry) -> Result<Self, EntryError> {
        let read = || -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
            let rest = name.strip_prefix(Self::BEFORE_ALL).ok_or("it is no key of return paths")?;
            let millis = rest.split(' ').next().unwrap_or_default().parse()?;
            let octets = BASE64_STANDARD.decode(value.as_str().ok_or("it is no text")?)?;
            let octets = octets.try_into().map_err(|_| "it is of another length")?;
            Ok(Self { name: name.clone(), created: Timestamp::from_millis(millis), octets })
        };
        read().map_err(|cause| EntryError { kind, name: name.clone(), cause })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::system::SystemIds;

    #[test]
    fn a_key_is_read_as_it_was_written_and_never_shown() {
        let made = |millis| ReturnPathKey::generate(&SystemIds::default(), Timestamp::from_millis(millis));
        let (old, new) = (made(999), made(1_700_000_000_000));
        assert!(old.name < new.name && new.octets != old.octets);
        assert_eq!(ReturnPathKey::try_from(Entry::from(new.clone())).unwrap(), new);
        let text = BASE64_STANDARD.encode(new.octets);
        assert!(!format!("{new:?}").contains(&text));
        let short = Entry { value: "AAAA".into(), ..Entry::from(new) };
        assert!(ReturnPathKey::try_from(short).is_err());
    }
}
